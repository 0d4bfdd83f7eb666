"""The click, sequence, multi-task and retrieval models of tenon/recsys, written down from their papers in PyTorch 1.13, f64:
outputs, losses and gradients for parameters and inputs by formula. Loops over pairs, heads and steps stand where the papers have sums.

    /usr/bin/python3 tests/support/torch_clicks.py > tests/fixtures/clicks.json
"""
import json
import math

import torch
import torch.nn.functional as F

from torch_formula import formula, probe

SIZE, STEPS, DENSE = 5, 4, 3
SLOTS = ["user", "item", "context", "history"]
HISTORY = {"histories": {"history": "item"}, "length": STEPS}
RETRIEVAL = {"items": ["item", "context"], "temperature": 0.5}


class Weights:
    """Parameters by name: collected in a first run, filled as formula.ts fills them in a second."""

    def __init__(self):
        self.shapes, self.values = {}, None

    def __call__(self, name, *shape):
        if self.values is None:
            self.shapes[name] = list(shape)
            return torch.zeros(shape, dtype=torch.float64)
        return self.values[name]

    def fill(self):
        self.values = {}
        for i, name in enumerate(sorted(self.shapes)):
            shape = self.shapes[name]
            if len(shape) >= 2:
                fan = math.prod(shape) / shape[0]
                value = formula(i + 1, shape, math.sqrt(3 / fan))
            elif name.endswith("bias"):
                value = formula(i + 1, shape, 0.1)
            else:
                value = formula(i + 1, shape, 0.2) + 1
            self.values[name] = value.requires_grad_()


def linear(w, name, x, outputs, bias=True):
    y = x @ w(f"{name}.weight", outputs, x.shape[-1]).T
    return y + w(f"{name}.bias", outputs) if bias else y


def dice(w, name, x, counts):
    """p(s) s + (1 - p(s)) alpha s, p the sigmoid of s standardised over the rows that count (Zhou et al. 2018, equation 7)."""
    n = x.shape[-1]
    w(f"{name}.running_mean", n), w(f"{name}.running_var", n)
    there = x[counts > 0]
    mean, variance = there.mean(0), there.var(0, unbiased=False)
    p = torch.sigmoid((x - mean) / torch.sqrt(variance + 1e-8))
    return p * x + (1 - p) * w(f"{name}.alpha", n) * x


def tower(w, name, x, hidden, activation="relu", counts=None):
    for i, n in enumerate(hidden):
        s = linear(w, f"{name}.layers.{i}", x, n)
        if activation == "dice":
            x = dice(w, f"{name}.dice.{i}", s, counts)
        else:
            x = F.leaky_relu(s, 0.01 if activation == "leakyRelu" else 0)
    return x


def first_order(w, i):
    return i["wide"].sum(1) + w("linear.bias", 1) + linear(w, "linear.dense", i["dense"], 1, bias=False)[:, 0]


def flat(i):
    return torch.cat([*i["vectors"].unbind(1), i["dense"]], 1)


def network(w, x, hidden, *activation):
    return linear(w, "out", tower(w, "tower", x, hidden, *activation), 1)


def pairs(v):
    n = v.shape[1]
    return sum((v[:, a] * v[:, b]).sum(1) for a in range(n) for b in range(a + 1, n))


# ------------------------------------------------------------------------------------------------ click models


def lr(w, i, o):
    return first_order(w, i)[:, None]


def fm(w, i, o):
    """y = w0 + sum w_i x_i + sum_{i<j} <v_i, v_j> (Rendle 2010, equation 1)."""
    return (first_order(w, i) + pairs(i["vectors"]))[:, None]


def ffm(w, i, o):
    """sum_{i<j} <w_{i, f_j}, w_{j, f_i}> (Juan et al. 2016, equation 4)."""
    v, d = i["vectors"], o["dim"]
    n = v.shape[1]
    toward = lambda a, f: v[:, a, f * d : (f + 1) * d]
    inner = sum((toward(a, b) * toward(b, a)).sum(1) for a in range(n) for b in range(a + 1, n))
    return (first_order(w, i) + inner)[:, None]


def dnn(w, i, o):
    return network(w, flat(i), o["hidden"])


def widedeep(w, i, o):
    return first_order(w, i)[:, None] + network(w, flat(i), o["hidden"])


def deepfm(w, i, o):
    return widedeep(w, i, o) + pairs(i["vectors"])[:, None]


def xdeepfm(w, i, o):
    """X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i o X^0_j), sum pooled over d (Lian et al. 2018, equations 6 and 8)."""
    v = i["vectors"]
    m = v.shape[1]
    x, sums = v, []
    for k, maps in enumerate(o["maps"]):
        h = x.shape[1]
        weight = w(f"cin.layers.{k}.weight", maps, h * m).reshape(maps, h, m)
        x = torch.stack([sum(weight[n, a, b] * x[:, a] * v[:, b] for a in range(h) for b in range(m)) for n in range(maps)], 1)
        sums.append(x.sum(2))
    return widedeep(w, i, o) + linear(w, "cin_out", torch.cat(sums, 1), 1, bias=False)


def dcn(w, i, o):
    """x_{l+1} = x_0 x_l^T w_l + b_l + x_l (Wang et al. 2017, equation 3)."""
    x0 = x = flat(i)
    biases = w("cross.bias", o["crosses"], x0.shape[1])
    for l in range(o["crosses"]):
        weight = w(f"cross.layers.{l}.weight", 1, x0.shape[1])[0]
        x = torch.stack([torch.outer(a, b) @ weight for a, b in zip(x0, x)]) + biases[l] + x
    return linear(w, "out", torch.cat([x, tower(w, "tower", x0, o["hidden"])], 1), 1)


def dcnv2(w, i, o):
    """x_{l+1} = x_0 o (W x_l + b) + x_l, W = U V^T, or a gated mixture of such (Wang et al. 2021, equations 1, 4 and 5)."""
    x0 = x = flat(i)
    n, rank, experts = x0.shape[1], o.get("rank"), o.get("experts", 1)
    for l in range(o["crosses"]):
        if experts > 1:
            core = w("cross.core", o["crosses"], experts, rank, rank)[l]
            up = w("cross.up", o["crosses"], experts, n, rank)[l]
            bias = w("cross.bias", o["crosses"], n)[l]
            down = w(f"cross.down.{l}.weight", experts * rank, n).reshape(experts, rank, n)
            gates = torch.softmax(linear(w, f"cross.gates.{l}", x, experts, bias=False), 1)
            opinion = lambda e: x0 * (torch.tanh(torch.tanh(x @ down[e].T) @ core[e].T) @ up[e].T + bias)
            x = sum(gates[:, e : e + 1] * opinion(e) for e in range(experts)) + x
        else:
            low = linear(w, f"cross.down.{l}", x, rank, bias=False) if rank else x
            x = x0 * linear(w, f"cross.up.{l}", low, n) + x
    if o.get("structure") == "stacked":
        return network(w, x, o["hidden"])
    return linear(w, "out", torch.cat([x, tower(w, "tower", x0, o["hidden"])], 1), 1)


def autoint(w, i, o):
    """Each head attends over all fields; e_m = ReLU(concat of heads + W_res e_m) (Song et al. 2019, equations 5 to 8)."""
    e, heads, d = i["vectors"], o.get("heads", 2), o["headSize"]
    for l in range(o["layers"]):
        query, key, value = (linear(w, f"attention.{l}.{part}", e, heads * d, bias=False) for part in ("query", "key", "value"))
        mixed = []
        for h in range(heads):
            part = slice(h * d, (h + 1) * d)
            alpha = torch.softmax(torch.einsum("bmd,bkd->bmk", query[..., part], key[..., part]), 2)
            mixed.append(torch.einsum("bmk,bkd->bmd", alpha, value[..., part]))
        e = (torch.cat(mixed, 2) + linear(w, f"attention.{l}.residual", e, heads * d, bias=False)).clamp(min=0)
    return widedeep(w, i, o) + linear(w, "attention_out", e.flatten(1), 1, bias=False)


def dlrm(w, i, o):
    """Bottom network, dot products of all pairs, top network (Naumov et al. 2019)."""
    x = tower(w, "bottom", i["dense"], [*o["bottom"], o["dim"]])
    z = torch.cat([x[:, None], i["vectors"]], 1)
    dots = [(z[:, a] * z[:, b]).sum(1) for a in range(z.shape[1]) for b in range(a)]
    top = tower(w, "top", torch.cat([x, torch.stack(dots, 1)], 1), o["top"])
    return linear(w, "out", top, 1)


def fibinet(w, i, o):
    """SENET: z = mean, A = relu(W2 relu(W1 z)), then v_i W o v_j of both (Huang et al. 2019, equations 3 to 8)."""
    e = i["vectors"]
    n, d = e.shape[1:]
    inner = max(1, n // 3)
    z = e.mean(2)
    weights = linear(w, "excitation.excite", linear(w, "excitation.squeeze", z, inner, bias=False).clamp(min=0), n, bias=False).clamp(min=0)
    kind = o.get("bilinear", "all")
    matrices = {"all": 1, "each": n - 1, "interaction": n * (n - 1) // 2}[kind]

    def bilinear(name, v):
        weight, out = w(name, matrices, d, d), []
        for a in range(n):
            for b in range(a + 1, n):
                which = {"all": 0, "each": a, "interaction": len(out)}[kind]
                out.append(v[:, a] @ weight[which] * v[:, b])
        return torch.cat(out, 1)

    both = [bilinear("bilinear.weight", e), bilinear("bilinear_excited.weight", e * weights[:, :, None])]
    return first_order(w, i)[:, None] + network(w, torch.cat([*both, i["dense"]], 1), o["hidden"])


# ------------------------------------------------------------------------------------------------ sequence models


def with_interest(w, i, o, interest, activation):
    return network(w, torch.cat([interest, flat(i)], 1), o["hidden"], o.get("activation", activation), i["weights"])


def din(w, i, o):
    """Sum of a(e_j, v_A) e_j, weights not normalised (Zhou et al. 2018, equation 3)."""
    history, mask, target = i["history"], i["mask"], i["vectors"][:, 1]
    pairs = [torch.cat([e, target, e - target, e * target], 1) for e in history.unbind(1)]
    there = mask * i["weights"][:, None]
    hidden = tower(w, "attention.tower", torch.stack(pairs, 1), [80, 40], o.get("activation", "dice"), there)
    weights = linear(w, "attention.out", hidden, 1)[:, :, 0]
    total = 0
    for t in range(STEPS):
        total = total + weights[:, t : t + 1] * mask[:, t : t + 1] * history[:, t]
    return with_interest(w, i, o, total, "dice")


def dien(w, i, o):
    """GRU, attention a_t = softmax(h_t W e_a), AUGRU with u' = a u (Zhou et al. 2019, equations 2 to 5 and 11 to 16), auxiliary loss (6)."""
    history, mask, target = i["history"], i["mask"], i["vectors"][:, 1]
    d = history.shape[2]
    weights = [w(f"extractor.{n}_l0", *shape) for n, shape in (("weight_ih", (3 * d, d)), ("weight_hh", (3 * d, d)), ("bias_ih", (3 * d,)), ("bias_hh", (3 * d,)))]
    h, states = torch.zeros(SIZE, d, dtype=torch.float64), []
    for t in range(STEPS):
        h = torch.gru_cell(history[:, t], h, *weights)
        states.append(h)
    states = torch.stack(states, 1)
    scores = torch.einsum("btd,bd->bt", states, linear(w, "attention", target, d, bias=False))
    attention = torch.softmax(scores.masked_fill(mask == 0, -math.inf), 1).nan_to_num() * mask
    h = torch.zeros(SIZE, d, dtype=torch.float64)
    for t in range(STEPS):
        xr, xu, xn = linear(w, "gates", states[:, t], 3 * d).chunk(3, 1)
        hr, hu, hn = linear(w, "recurrent", h, 3 * d, bias=False).chunk(3, 1)
        update = torch.sigmoid(xu + hu) * attention[:, t : t + 1]
        candidate = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        h = torch.where(mask[:, t : t + 1] > 0, (1 - update) * h + update * candidate, h)
    i["states"] = states
    return with_interest(w, i, o, h, "dice")


def bst(w, i, o):
    """One transformer layer over history and target (Chen et al. 2019, equations 3 to 8), post-norm with LeakyReLU; time lags beside items, learnt positions added."""
    history, mask, target = i["history"], i["mask"], i["vectors"][:, 1]
    if "lags" in o:
        history = torch.cat([history, i["lags"]], 2)
        target = torch.cat([target, w("now", o["dim"]).expand(SIZE, o["dim"])], 1)
    d = history.shape[2]
    x = torch.cat([history, target[:, None]], 1) + w("positions", STEPS + 1, d)
    there = torch.cat([mask, torch.ones(SIZE, 1, dtype=torch.float64)], 1)
    q, k, v = (x @ w("encoder.self_attn.in_proj_weight", 3 * d, d).T + w("encoder.self_attn.in_proj_bias", 3 * d)).chunk(3, 2)
    scores = (q @ k.transpose(1, 2) / math.sqrt(d)).masked_fill(there[:, None] == 0, -math.inf)
    x = norm(w, "encoder.norm1", x + linear(w, "encoder.self_attn.out_proj", torch.softmax(scores, 2) @ v, d))
    inner = F.leaky_relu(linear(w, "encoder.linear1", x, 4 * d), 0.01)
    x = norm(w, "encoder.norm2", x + linear(w, "encoder.linear2", inner, d))
    return with_interest(w, i, o, (x * there[:, :, None]).flatten(1), "leakyRelu")


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w(f"{name}.weight", x.shape[-1]), w(f"{name}.bias", x.shape[-1]))


# ------------------------------------------------------------------------------------------------ several tasks

TASKS = 2


def mmoe(w, i, o):
    """f^k = sum_i softmax(W_gk x)_i f_i(x), y_k = h^k(f^k) (Ma et al. 2018, equations 6 and 7)."""
    x = flat(i)
    experts = [tower(w, f"experts.experts.{e}", x, o["expert"]) for e in range(o["experts"])]
    outs = []
    for t in range(TASKS):
        gate = torch.softmax(linear(w, f"gates.{t}", x, len(experts), bias=False), 1)
        mixed = sum(gate[:, e : e + 1] * expert for e, expert in enumerate(experts))
        outs.append(linear(w, f"outs.{t}", tower(w, f"towers.{t}", mixed, o["towers"]), 1))
    return torch.cat(outs, 1)


def ple(w, i, o):
    """Each level: gates of a task over shared and own experts, the shared gate over all (Tang et al. 2020, equations 2 to 6)."""
    shared, own, levels = 2, 2, 2
    paths, path = [flat(i)] * TASKS, flat(i)
    mix = lambda experts, gate: sum(gate[:, e : e + 1] * expert for e, expert in enumerate(experts))
    for l in range(levels):
        expert = lambda e, x: tower(w, f"experts.{l}.{e}", x, o["expert"])
        common = [expert(e, path) for e in range(shared)]
        owned = [[expert(shared + t * own + e, paths[t]) for e in range(own)] for t in range(TASKS)]
        gate = lambda g, x, n: torch.softmax(linear(w, f"gates.{l}.{g}", x, n, bias=False), 1)
        after = [mix(common + owned[t], gate(t, paths[t], shared + own)) for t in range(TASKS)]
        if l < levels - 1:
            path = mix(common + sum(owned, []), gate(TASKS, path, shared + TASKS * own))
        paths = after
    return torch.cat([linear(w, f"outs.{t}", tower(w, f"towers.{t}", paths[t], o["towers"]), 1) for t in range(TASKS)], 1)


def esmm(w, i, o):
    """pCTCVR = pCTR pCVR over all impressions (Ma et al. 2018, equation 1); the output is the logits of pCTR and pCVR."""
    x = flat(i)
    return torch.cat([linear(w, f"{name}_out", tower(w, name, x, o["hidden"]), 1) for name in ("click", "conversion")], 1)


# ------------------------------------------------------------------------------------------------ retrieval


def item_vectors(w, i, o):
    x = torch.cat([i["vectors"][:, 1], i["vectors"][:, 2]], 1)
    return F.normalize(linear(w, "item_out", tower(w, "item_tower", x, o["hidden"]), o["dim"]), dim=1)


def twotower(w, i, o):
    others = [i["vectors"][:, 0], i["vectors"][:, 3], i["dense"]]
    user = linear(w, "user_out", tower(w, "user_tower", torch.cat(others, 1), o["hidden"]), o["dim"])
    return F.normalize(user, dim=1) @ item_vectors(w, i, o).T / o["temperature"]


def mind(w, i, o):
    """Behaviour-to-interest routing (Li et al. 2019, equations 5 to 8) into max(1, min(K, log2 |history|)) interests, example by example; label-aware attention
    (equation 9): softmax of (similarity to the own item) ^ p, or the nearest interest alone."""
    d = i["history"].shape[2]
    low = linear(w, "bilinear", i["history"], d, bias=False)
    start = w("start", o["interests"], STEPS)
    items = item_vectors(w, i, o)
    rows = []
    for b in range(SIZE):
        steps = int(i["mask"][b].sum())
        count = max(1, min(o["interests"], math.floor(math.log2(max(1, steps))))) if o.get("dynamic", True) else o["interests"]
        logits = start[:count, :steps]
        for round_ in range(3):
            used = low[b, :steps] if round_ == 2 else low[b, :steps].detach()
            z = torch.softmax(logits, 0) @ used
            squares = (z * z).sum(1, keepdim=True)
            capsules = squares / (1 + squares) * z / torch.sqrt(squares + 1e-9)
            logits = logits + capsules @ low[b, :steps].detach().T
        other = torch.cat([i["vectors"][b, 0], i["dense"][b]]).expand(count, -1)
        x = tower(w, "user_tower", torch.cat([capsules, other], 1), o["hidden"])
        users = F.normalize(linear(w, "user_out", x, o["dim"]), dim=1)
        own = users @ items[b]
        user = users[own.argmax()] if "power" not in o else torch.softmax(own.abs() ** o["power"] * own.sign(), 0) @ users
        rows.append(user @ items.T)
    return torch.stack(rows) / o["temperature"]


# ------------------------------------------------------------------------------------------------ losses


def weighted(losses, labels, weights):
    """Means over the examples that count and have the label, added over tasks."""
    total = 0
    for t in range(labels.shape[1]):
        counts = [float(weights[b]) if not math.isnan(labels[b, t]) else 0.0 for b in range(SIZE)]
        total = total + sum(c * losses(b, t) for b, c in enumerate(counts) if c) / max(sum(counts), 1)
    return total


def cross_entropy(output, i, o):
    return weighted(lambda b, t: F.softplus(output[b, t] * (1 - 2 * i["labels"][b, t])), i["labels"], i["weights"])


def entire_space(output, i, o):
    p = torch.sigmoid(output)
    p = torch.stack([p[:, 0], p[:, 0] * p[:, 1]], 1)
    return weighted(lambda b, t: -torch.log(p[b, t] if i["labels"][b, t] == 1 else 1 - p[b, t]), i["labels"], i["weights"])


def with_auxiliary(output, i, o):
    """Plus -log sigma(h_t . e_{t+1}) - log(1 - sigma(h_t . e'_{t+1})), e' the history of the example before."""
    states, history, mask = i["states"], i["history"], i["mask"]
    near, far = [], []
    for b in range(SIZE):
        for t in range(STEPS - 1):
            if mask[b, t + 1]:
                near.append(F.softplus(-(states[b, t] * history[b, t + 1]).sum()))
                if mask[b - 1, t + 1]:
                    far.append(F.softplus((states[b, t] * history[b - 1, t + 1]).sum()))
    return cross_entropy(output, i, o) + sum(near) / len(near) + sum(far) / len(far)


def in_batch(output, i, o):
    """Softmax over the batch's items, log Q taken off (Yi et al. 2019, equations 3 to 5); the same item and padding are no negatives."""
    corrected = output - torch.log(i["shows"][:, 1] + 1)
    losses = []
    for b in range(SIZE):
        others = [c for c in range(SIZE) if c == b or (i["ids"][c, 1] != i["ids"][b, 1] and i["weights"][c] == 1)]
        losses.append(torch.logsumexp(corrected[b, others], 0) - corrected[b, b])
    return sum(l * c for l, c in zip(losses, i["weights"])) / i["weights"].sum()


SMALL = {"dim": 6, "hidden": [8, 5]}
CASES = {
    "lr": (lr, {"model": "lr"}),
    "fm": (fm, {"model": "fm", "dim": 6}),
    "ffm": (ffm, {"model": "ffm", "dim": 3}),
    "dnn": (dnn, {"model": "dnn", **SMALL}),
    "slotdnn": (dnn, {"model": "slotdnn", "dim": 9, "hidden": [8, 5]}),
    "widedeep": (widedeep, {"model": "widedeep", **SMALL}),
    "deepfm": (deepfm, {"model": "deepfm", **SMALL}),
    "xdeepfm": (xdeepfm, {"model": "xdeepfm", **SMALL, "maps": [5, 3]}),
    "dcn": (dcn, {"model": "dcn", **SMALL, "crosses": 2}),
    "dcnv2, full rank": (dcnv2, {"model": "dcnv2", **SMALL, "crosses": 2}),
    "dcnv2, low rank, stacked": (dcnv2, {"model": "dcnv2", **SMALL, "crosses": 2, "rank": 4, "structure": "stacked"}),
    "dcnv2, mixture": (dcnv2, {"model": "dcnv2", **SMALL, "crosses": 2, "rank": 4, "experts": 3}),
    "autoint": (autoint, {"model": "autoint", **SMALL, "layers": 2, "headSize": 4}),
    "dlrm": (dlrm, {"model": "dlrm", "dim": 6, "bottom": [7], "top": [5]}),
    "fibinet, field all": (fibinet, {"model": "fibinet", **SMALL}),
    "fibinet, field each": (fibinet, {"model": "fibinet", **SMALL, "bilinear": "each"}),
    "fibinet, field interaction": (fibinet, {"model": "fibinet", **SMALL, "bilinear": "interaction"}),
    "din": (din, {"model": "din", **SMALL, **HISTORY}),
    "din, ReLU": (din, {"model": "din", **SMALL, **HISTORY, "activation": "relu"}),
    "dien": (dien, {"model": "dien", **SMALL, **HISTORY}),
    "bst": (bst, {"model": "bst", **SMALL, **HISTORY}),
    "bst, time lags": (bst, {"model": "bst", **SMALL, **HISTORY, "lags": "lags"}),
    "mmoe": (mmoe, {"model": "mmoe", "dim": 6, "expert": [7], "experts": 3, "towers": [5]}),
    "ple": (ple, {"model": "ple", "dim": 6, "expert": [7], "towers": [5]}),
    "esmm": (esmm, {"model": "esmm", **SMALL}),
    "twotower": (twotower, {"model": "twotower", **SMALL, **RETRIEVAL}),
    "mind": (mind, {"model": "mind", **SMALL, **RETRIEVAL, "history": "history", "length": STEPS, "interests": 2}),
    "mind, power 2": (mind, {"model": "mind", **SMALL, **RETRIEVAL, "history": "history", "length": STEPS, "interests": 3, "power": 2}),
    "mind, all interests": (mind, {"model": "mind", **SMALL, **RETRIEVAL, "history": "history", "length": STEPS, "interests": 3, "dynamic": False}),
}
LOSSES = {"esmm": entire_space, "dien": with_auxiliary, "twotower": in_batch, "mind": in_batch}
MULTI = ("mmoe", "ple", "esmm")
SEQUENCE = ("din", "dien", "bst", "mind")


def inputs(o):
    """What clicks.test.ts makes the same way: an example without a history, one without labels, one of padding."""
    name = o["model"]
    fields = 3 if name in SEQUENCE else 4
    dim = {"lr": 0, "ffm": 4 * o.get("dim", 0)}.get(name, o.get("dim", 0))
    nan = math.nan
    labels = torch.tensor([[1, 0], [0, 0], [nan, nan], [1, 1], [0, 1]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.float64)
    return {
        "wide": formula(51, (SIZE, fields)).requires_grad_(),
        "vectors": formula(52, (SIZE, fields, dim)).requires_grad_(),
        "history": (formula(53, (SIZE, STEPS, dim)) * mask[:, :, None]).requires_grad_(),
        "lags": (formula(55, (SIZE, STEPS, dim)) * mask[:, :, None]).requires_grad_(),
        "mask": mask,
        "dense": formula(54, (SIZE, DENSE)),
        "labels": labels[:, : 2 if name in MULTI else 1],
        "weights": torch.tensor([1, 1, 1, 1, 0], dtype=torch.float64),
        "ids": torch.tensor([[0, 4, 8, 3], [1, 5, 8, 3], [2, 4, 9, 3], [3, 6, 9, 3], [0, 7, 9, 3]]),
        "shows": torch.tensor([[3, 9, 2, 1], [1, 0, 2, 1], [1, 9, 2, 1], [3, 4, 2, 1], [3, 7, 2, 1]], dtype=torch.float64),
    }


def case(name):
    forward, o = CASES[name]
    w = Weights()
    i = inputs(o)
    forward(w, i, o)
    w.fill()
    i = inputs(o)
    output = forward(w, i, o)
    loss = LOSSES.get(o["model"], cross_entropy)(output, i, o)
    loss.backward()
    pulled = ["wide", "vectors", "history", "lags"]
    gradient = lambda t: probe(t.grad if t.grad is not None else torch.zeros_like(t))
    return {
        "model": o,
        "shapes": dict(sorted(w.shapes.items())),
        "output": probe(output),
        "loss": float(loss),
        "inputs": {part: gradient(i[part]) for part in pulled},
        "parameters": {part: gradient(value) for part, value in sorted(w.values.items())},
    }


lines = [f" {json.dumps(name)}: {json.dumps(case(name))}" for name in CASES]
print("{", ",\n".join(lines), "}", sep="\n")
