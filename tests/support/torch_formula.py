"""Values by formula, which formula.ts repeats, and probes: two weighted sums of a tensor's elements, which any wrong element moves."""
import numpy as np
import torch


def formula(seed, shape, amp=0.5):
    n = int(np.prod(shape)) if len(shape) else 1
    x = np.arange(n, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    u = (x >> np.uint32(8)).astype(np.float64) / 16777216.0
    return torch.from_numpy(amp * (2 * u - 1)).reshape(list(shape))


def probe(t):
    flat = t.detach().reshape(-1).double()
    return [float((flat * formula(901, flat.shape)).sum()), float((flat * formula(902, flat.shape)).sum())]
