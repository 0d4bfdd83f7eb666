"""Makes tests/fixtures/{nn,optim,schedulers}.json with PyTorch 1.13 in f64.

    python3 tests/support/torch_reference.py

Weights and inputs come from `formula`, which formula.ts repeats, so the figures need no random state. A tensor is kept as two
weighted sums of its elements ("probes"), which any wrong element moves.
"""
import json
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))


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


def fill(module):
    for i, (_, p) in enumerate(module.named_parameters()):
        with torch.no_grad():
            p.copy_(formula(i + 1, p.shape))


def outputs_of(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [t for part in result for t in outputs_of(part)]


X = lambda *shape: dict(shape=list(shape), kind="float")
I = lambda n, *shape: dict(shape=list(shape), kind="int", n=n)
P = lambda *shape: dict(shape=list(shape), kind="probability")
M = lambda *shape: dict(shape=list(shape), kind="mask")


def make_input(spec, seed):
    u = formula(seed, spec["shape"])
    if spec["kind"] == "float":
        return (2 * u).requires_grad_()
    if spec["kind"] == "int":
        return ((u + 0.5) * spec["n"]).floor().long().clamp(0, spec["n"] - 1)
    if spec["kind"] == "mask":
        return u > 0.2
    return u + 0.5


CASES = {
    "Linear": (nn.Linear(5, 3), [X(2, 4, 5)]),
    "Bilinear": (nn.Bilinear(3, 4, 2), [X(5, 3), X(5, 4)]),
    "Conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), [X(2, 4, 9)]),
    "Conv2d": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), [X(2, 3, 7, 6)]),
    "Conv2d.same": (nn.Conv2d(2, 2, 3, padding="same", bias=False), [X(1, 2, 4, 4)]),
    "Conv3d": (nn.Conv3d(2, 3, 2, padding=1), [X(1, 2, 3, 4, 3)]),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2), [X(2, 4, 5)]),
    "ConvTranspose2d": (nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), [X(2, 3, 4, 5)]),
    "ConvTranspose3d": (nn.ConvTranspose3d(2, 2, 2, stride=2), [X(1, 2, 2, 3, 2)]),
    "BatchNorm1d": (nn.BatchNorm1d(4), [X(6, 4)]),
    "BatchNorm2d": (nn.BatchNorm2d(3, momentum=0.3), [X(4, 3, 2, 5)]),
    "BatchNorm2d.average": (nn.BatchNorm2d(3, momentum=None), [X(4, 3, 2, 5)]),
    "BatchNorm2d.eval": (nn.BatchNorm2d(3).eval(), [X(4, 3, 2, 5)]),
    "BatchNorm3d.untracked": (nn.BatchNorm3d(2, affine=False, track_running_stats=False), [X(2, 2, 2, 3, 2)]),
    "LayerNorm": (nn.LayerNorm([3, 4]), [X(5, 3, 4)]),
    "GroupNorm": (nn.GroupNorm(2, 6), [X(3, 6, 4)]),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), [X(2, 3, 4, 5)]),
    "Embedding": (nn.Embedding(7, 3, padding_idx=2), [I(7, 4, 5)]),
    "PReLU": (nn.PReLU(3), [X(2, 3, 4)]),
    "GELU": (nn.GELU(), [X(3, 4)]),
    "GELU.tanh": (nn.GELU(approximate="tanh"), [X(3, 4)]),
    "SiLU": (nn.SiLU(), [X(3, 4)]),
    "Mish": (nn.Mish(), [X(3, 4)]),
    "SELU": (nn.SELU(), [X(3, 4)]),
    "CELU": (nn.CELU(1.5), [X(3, 4)]),
    "ELU": (nn.ELU(0.7), [X(3, 4)]),
    "Softplus": (nn.Softplus(2.0), [X(3, 4)]),
    "LogSigmoid": (nn.LogSigmoid(), [X(3, 4)]),
    "Hardswish": (nn.Hardswish(), [X(3, 4)]),
    "GLU": (nn.GLU(), [X(3, 4)]),
    "ReLU6": (nn.Sequential(nn.Linear(4, 3), nn.ReLU6()), [X(5, 4)]),
    "LeakyReLU": (nn.LeakyReLU(0.2), [X(3, 4)]),
    "Hardtanh": (nn.Hardtanh(-0.4, 0.3), [X(3, 4)]),
    "Hardsigmoid": (nn.Hardsigmoid(), [X(3, 4)]),
    "Softsign": (nn.Softsign(), [X(3, 4)]),
    "Tanhshrink": (nn.Tanhshrink(), [X(3, 4)]),
    "Softshrink": (nn.Softshrink(0.2), [X(3, 4)]),
    "Hardshrink": (nn.Hardshrink(0.2), [X(3, 4)]),
    "Threshold": (nn.Threshold(0.1, -2.0), [X(3, 4)]),
    "Softmin": (nn.Softmin(1), [X(3, 4)]),
    "Unflatten": (nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 6))), [X(3, 4, 3)]),
    "MaxPool1d": (nn.MaxPool1d(3, stride=2, dilation=2, ceil_mode=True), [X(2, 3, 11)]),
    "MaxPool3d": (nn.MaxPool3d(2), [X(1, 2, 4, 4, 5)]),
    "AvgPool1d": (nn.AvgPool1d(3, stride=2, padding=1), [X(2, 3, 9)]),
    "AvgPool3d": (nn.AvgPool3d(2), [X(1, 2, 4, 4, 5)]),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d((3, 2)), [X(2, 2, 7, 5)]),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(3), [X(2, 2, 7)]),
    "LogSoftmax": (nn.LogSoftmax(1), [X(3, 4, 2)]),
    "MaxPool2d": (nn.MaxPool2d(3, stride=2, padding=1), [X(2, 3, 7, 8)]),
    "AvgPool2d": (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), [X(2, 3, 7, 8)]),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((2, 3)), [X(2, 3, 7, 8)]),
    "RNN": (nn.RNN(3, 4, num_layers=2, nonlinearity="relu"), [X(5, 2, 3)]),
    "LSTM": (nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), [X(2, 5, 3)]),
    "LSTM.state": (nn.LSTM(3, 4), [X(5, 2, 3), X(1, 2, 4), X(1, 2, 4)]),
    "GRU": (nn.GRU(3, 4, bidirectional=True, bias=False), [X(5, 2, 3)]),
    "GRU.single": (nn.GRU(3, 4), [X(5, 3), X(1, 4)]),
    "LSTMCell": (nn.LSTMCell(3, 4), [X(2, 3), X(2, 4), X(2, 4)]),
    "GRUCell": (nn.GRUCell(3, 4), [X(2, 3), X(2, 4)]),
    "RNNCell": (nn.RNNCell(3, 4), [X(2, 3)]),
    "MultiheadAttention": (nn.MultiheadAttention(6, 2), [X(4, 3, 6)]),
    "MultiheadAttention.cross": (nn.MultiheadAttention(6, 3, kdim=5, vdim=4, batch_first=True), [X(2, 3, 6), X(2, 4, 5), X(2, 4, 4), M(2, 4)]),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(6, 2, dim_feedforward=8, dropout=0.0), [X(4, 3, 6)]),
    "TransformerEncoderLayer.normFirst": (nn.TransformerEncoderLayer(6, 2, dim_feedforward=8, dropout=0.0, activation="gelu", norm_first=True, batch_first=True), [X(3, 4, 6)]),
    "TransformerDecoderLayer": (nn.TransformerDecoderLayer(6, 2, dim_feedforward=8, dropout=0.0), [X(4, 3, 6), X(5, 3, 6)]),
    "TransformerEncoder": (nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, dim_feedforward=8, dropout=0.0), 2, norm=nn.LayerNorm(6)), [X(4, 3, 6)]),
    "TransformerDecoder": (nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, dim_feedforward=8, dropout=0.0, batch_first=True, norm_first=True), 2), [X(3, 4, 6), X(3, 5, 6)]),
    "NLLLoss": (nn.NLLLoss(ignore_index=2), [X(6, 4), I(4, 6)]),
    "MSELoss": (nn.MSELoss(), [X(6), P(6)]),
    "L1Loss": (nn.L1Loss(reduction="none"), [X(6), P(6)]),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(label_smoothing=0.1), [X(6, 4), I(4, 6)]),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), [X(6), P(6)]),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.3), [X(6), P(6)]),
    "HuberLoss": (nn.HuberLoss(delta=0.3, reduction="sum"), [X(6), P(6)]),
    "KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), [X(6, 2), P(6, 2)]),
}

CALLS = {
    "LSTM.state": lambda m, x, h, c: m(x, (h, c)),
    "LSTMCell": lambda m, x, h, c: m(x, (h, c)),
    "MultiheadAttention": lambda m, x: m(x, x, x, attn_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)),
    "MultiheadAttention.cross": lambda m, q, k, v, mask: m(q, k, v, key_padding_mask=mask),
}


def nn_case(name):
    module, specs = CASES[name]
    fill(module)
    inputs = [make_input(s, 500 + i) for i, s in enumerate(specs)]
    if name == "MultiheadAttention.cross":
        inputs[3][:, 0] = False
    call = CALLS.get(name, lambda m, *xs: m(*xs))
    outputs = outputs_of(call(module, *inputs))
    loss = sum((o * formula(700 + i, o.shape)).sum() for i, o in enumerate(outputs))
    loss.backward()
    return dict(
        inputs=specs,
        keys={k: list(v.shape) for k, v in module.state_dict().items()},
        outputs=[dict(shape=list(o.shape), probe=probe(o)) for o in outputs],
        grads={k: probe(p.grad) for k, p in module.named_parameters()},
        input_grads=[probe(x.grad) if x.requires_grad and x.grad is not None else None for x in inputs],
        buffers={k: probe(b) for k, b in module.named_buffers()},
    )


# ---------------------------------------------------------------------------------------------- optimizers

OPTIMIZERS = {
    "SGD": lambda ps: torch.optim.SGD(ps, lr=0.1),
    "SGD.momentum": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, weight_decay=0.1),
    "SGD.dampening": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, dampening=0.3),
    "SGD.nesterov": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda ps: torch.optim.Adam(ps, lr=0.05),
    "Adam.amsgrad": lambda ps: torch.optim.Adam(ps, lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=True),
    "AdamW": lambda ps: torch.optim.AdamW(ps, lr=0.05, weight_decay=0.2),
    "Adagrad": lambda ps: torch.optim.Adagrad(ps, lr=0.1, lr_decay=0.1, weight_decay=0.05, initial_accumulator_value=0.1),
    "RMSprop": lambda ps: torch.optim.RMSprop(ps, lr=0.02),
    "RMSprop.centered": lambda ps: torch.optim.RMSprop(ps, lr=0.02, alpha=0.9, weight_decay=0.1, momentum=0.5, centered=True),
}


def optimizer_case(make):
    """Ten steps of a small network; the second parameter has no gradient in steps 0 and 4."""
    w, b = (formula(1, (3, 4)).requires_grad_(), formula(2, (3,)).requires_grad_())
    x, y = formula(3, (5, 4)), formula(4, (5, 3))
    optimizer = make([w, b])
    trajectory = []
    for step in range(10):
        optimizer.zero_grad(set_to_none=True)
        bias = b.detach() if step in (0, 4) else b
        loss = ((torch.tanh(x @ w.t() + bias) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        trajectory.append([float(loss), *probe(w), *probe(b)])
    return trajectory


# ---------------------------------------------------------------------------------------------- schedules

S = torch.optim.lr_scheduler
SCHEDULERS = {
    "StepLR": lambda o: S.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [2, 5], gamma=0.3),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "LinearLR": lambda o: S.LinearLR(o, start_factor=0.2, total_iters=4),
    "ConstantLR": lambda o: S.ConstantLR(o, factor=0.5, total_iters=3),
    "PolynomialLR": lambda o: S.PolynomialLR(o, total_iters=6, power=2.0),
    "LambdaLR": lambda o: S.LambdaLR(o, lambda e: 1 / (1 + e)),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 5, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 2, T_mult=2, eta_min=0.01),
    "OneCycleLR": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=13, cycle_momentum=False),
    "OneCycleLR.threePhase": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=13, three_phase=True, anneal_strategy="linear", cycle_momentum=False),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor=0.1, total_iters=3), S.CosineAnnealingLR(o, 6)], milestones=[3]),
}
METRICS = [1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]


def scheduler_case(make):
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([dict(params=[p]), dict(params=[torch.zeros(1, requires_grad=True)], lr=0.3)], lr=0.1)
    scheduler = make(optimizer)
    rates = [[g["lr"] for g in optimizer.param_groups]]
    for _ in range(12):
        optimizer.step()
        scheduler.step()
        rates.append([g["lr"] for g in optimizer.param_groups])
    return rates


def plateau_case():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = S.ReduceLROnPlateau(optimizer, patience=2, factor=0.5, cooldown=1, min_lr=0.03)
    rates = []
    for metric in METRICS:
        scheduler.step(metric)
        rates.append([g["lr"] for g in optimizer.param_groups])
    return rates


def write(name, value):
    with open(os.path.join(HERE, "..", "fixtures", name), "w") as f:
        body = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        f.write("{\n" + body + "\n}\n")


if __name__ == "__main__":
    write("nn.json", {name: nn_case(name) for name in CASES})
    write("optim.json", {name: optimizer_case(make) for name, make in OPTIMIZERS.items()})
    schedules = {name: scheduler_case(make) for name, make in SCHEDULERS.items()}
    write("schedulers.json", {**schedules, "ReduceLROnPlateau": plateau_case()})
