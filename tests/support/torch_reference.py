"""Makes tests/fixtures/{optim,sparse,schedulers}.json with PyTorch 1.13 in f64.

    python3 tests/support/torch_reference.py
"""
import json
import os
import torch
import torch.nn.functional as F
from torch_formula import formula, probe

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))


# ---------------------------------------------------------------------------------------------- optimizers


class LAMB(torch.optim.Optimizer):
    """Algorithm 2 of You et al. 2020, with phi the identity."""

    def __init__(self, ps, **settings):
        super().__init__(ps, settings)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), lr, wd, eps = group["betas"], group["lr"], group["weight_decay"], group["eps"]
            for p in (p for p in group["params"] if p.grad is not None):
                s = self.state[p]
                s["t"] = s.get("t", 0) + 1
                s["m"] = b1 * s.get("m", 0) + (1 - b1) * p.grad
                s["v"] = b2 * s.get("v", 0) + (1 - b2) * p.grad**2
                r = (s["m"] / (1 - b1 ** s["t"])) / ((s["v"] / (1 - b2 ** s["t"])).sqrt() + eps)
                u = r + wd * p
                p -= lr * p.norm() / u.norm() * u


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, ps, **settings):
        super().__init__(ps, settings)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), lr, wd = group["betas"], group["lr"], group["weight_decay"]
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].get("m", torch.zeros_like(p))
                c = b1 * m + (1 - b1) * p.grad
                p -= lr * (c.sign() + wd * p)
                self.state[p]["m"] = b2 * m + (1 - b2) * p.grad


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
    "SGD.maximize": lambda ps: torch.optim.SGD(ps, lr=0.02, momentum=0.5, maximize=True),
    "Adam.maximize": lambda ps: torch.optim.Adam(ps, lr=0.02, weight_decay=0.1, maximize=True),
    "Adam.groups": lambda ps: torch.optim.Adam([dict(params=ps[:1], lr=0.02, betas=(0.7, 0.9)), dict(params=ps[1:], weight_decay=0.3)], lr=0.05),
    "Adadelta": lambda ps: torch.optim.Adadelta(ps, lr=0.7, rho=0.8, eps=1e-3, weight_decay=0.1),
    "Adamax": lambda ps: torch.optim.Adamax(ps, lr=0.03, betas=(0.8, 0.95), weight_decay=0.1),
    # The single-tensor code of 1.13 multiplies mu_t in twice; later versions and the paper do as foreach does.
    "NAdam": lambda ps: torch.optim.NAdam(ps, lr=0.03, betas=(0.8, 0.95), weight_decay=0.1, momentum_decay=0.01, foreach=True),
    "RAdam": lambda ps: torch.optim.RAdam(ps, lr=0.05, betas=(0.8, 0.9), weight_decay=0.1),
    "RAdam.default": lambda ps: torch.optim.RAdam(ps, lr=0.05),
    "Rprop": lambda ps: torch.optim.Rprop(ps, lr=0.03, etas=(0.4, 1.3), step_sizes=(0.01, 0.05)),
    "ASGD": lambda ps: torch.optim.ASGD(ps, lr=0.1, lambd=0.05, alpha=0.6, t0=4, weight_decay=0.1),
    "LAMB": lambda ps: LAMB(ps, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "Lion": lambda ps: Lion(ps, lr=0.01, betas=(0.8, 0.9), weight_decay=0.1),
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
        averages = [x for p in (w, b) if "ax" in optimizer.state[p] for x in probe(optimizer.state[p]["ax"])]
        trajectory.append([float(loss), *probe(w), *probe(b), *(averages if step == 9 else [])])
    return trajectory


LBFGS = {
    "LBFGS": dict(lr=0.5, max_iter=3),
    "LBFGS.history": dict(lr=0.8, max_iter=4, history_size=2),
    "LBFGS.strongWolfe": dict(lr=1, max_iter=4, line_search_fn="strong_wolfe"),
    "LBFGS.maxEval": dict(lr=1, max_iter=20, max_eval=5, line_search_fn="strong_wolfe"),
}


def lbfgs_case(settings):
    """The same network without weight sharing of steps: a line search needs one function."""
    w, b = (formula(1, (3, 4)).requires_grad_(), formula(2, (3,)).requires_grad_())
    x, y = formula(3, (5, 4)), formula(4, (5, 3))
    optimizer = torch.optim.LBFGS([w, b], **settings)
    trajectory = []

    def closure():
        optimizer.zero_grad()
        loss = ((torch.tanh(3 * x @ w.t() + b) - y) ** 2).mean()
        loss.backward()
        return loss

    for _ in range(10):
        loss = optimizer.step(closure)
        trajectory.append([float(loss), *probe(w), *probe(b), optimizer.state[w]["func_evals"]])
    return trajectory


def sparse_case(make, table_kind):
    """Six steps on a table of 12 rows; ids repeat within and across steps, some rows are never looked up."""
    table = formula(5, (12, 3)).requires_grad_()
    target = formula(6, (7, 3))
    optimizer = make([table])
    trajectory = []
    for step in range(6):
        optimizer.zero_grad(set_to_none=True)
        ids = torch.tensor([(3 * k * k + step * k) % 10 for k in range(7)])
        if table_kind == "bag":
            rows = torch.nn.functional.embedding_bag(ids.repeat(2), table, torch.arange(0, 14, 2), mode="sum", sparse=True)
        else:
            rows = torch.nn.functional.embedding(ids, table, sparse=True)
        loss = ((torch.tanh(rows) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        trajectory.append([float(loss), *probe(table)])
    return trajectory


SPARSE = {
    "SGD": lambda ps: torch.optim.SGD(ps, lr=0.5),
    "Adagrad": lambda ps: torch.optim.Adagrad(ps, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.1),
    "SparseAdam": lambda ps: torch.optim.SparseAdam(ps, lr=0.05, betas=(0.8, 0.95)),
}

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
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda e: 0.9 if e % 3 else 1.05),
    "CyclicLR": lambda o: S.CyclicLR(o, base_lr=0.05, max_lr=0.4, step_size_up=3, step_size_down=2, cycle_momentum=False),
    "CyclicLR.triangular2": lambda o: S.CyclicLR(o, base_lr=[0.05, 0.1], max_lr=[0.4, 0.5], step_size_up=2, mode="triangular2", cycle_momentum=False),
    "CyclicLR.expRange": lambda o: S.CyclicLR(o, base_lr=0.05, max_lr=0.4, step_size_up=2, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "ChainedScheduler": lambda o: S.ChainedScheduler([S.ConstantLR(o, factor=0.3, total_iters=3), S.ExponentialLR(o, 0.9), S.StepLR(o, 4, gamma=0.5)]),
    "ChainedScheduler.cosine": lambda o: S.ChainedScheduler([S.LinearLR(o, start_factor=0.25, total_iters=4), S.CosineAnnealingLR(o, 5, eta_min=0.01)]),
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


KFAC = {
    "KFAC": dict(lr=0.05, momentum=0.9, weight_decay=0.0, damping=0.01, decay=0.95, interval=1, clip=None),
    "KFAC.interval": dict(lr=0.1, momentum=0.5, weight_decay=0.1, damping=0.05, decay=0.8, interval=4, clip=None),
    "KFAC.clip": dict(lr=0.3, momentum=0.0, weight_decay=0.0, damping=0.001, decay=0.5, interval=2, clip=0.01),
}


def kfac_case(s):
    """Martens and Grosse 2015 for the linear layer, Grosse and Martens 2016 for the convolution, written out for this network."""
    cw, cb, lw, lb, scale = (formula(i + 1, shape).requires_grad_() for i, shape in enumerate([(3, 2, 2, 2), (3,), (2, 27), (2,), (2,)]))
    x, y = formula(6, (4, 2, 3, 3), 2.0), formula(7, (4, 2))
    params = [cw, cb, lw, lb, scale]
    factors, inverses, buffers = {}, {}, [torch.zeros_like(p) for p in params]
    trajectory = []

    def stats(name, k, moment_a, moment_g):
        decay = min(1 - 1 / k, s["decay"])
        a, g = factors.get(name, (0, 0))
        factors[name] = (decay * a + (1 - decay) * moment_a, decay * g + (1 - decay) * moment_g)

    def invert(name):
        a, g = factors[name]
        pi = ((a.trace() / len(a)) / (g.trace() / len(g))).sqrt()
        root = s["damping"] ** 0.5
        inverses[name] = ((a + pi * root * torch.eye(len(a))).inverse(), (g + root / pi * torch.eye(len(g))).inverse())

    for step in range(10):
        conv = F.conv2d(x, cw, cb, padding=1)
        hidden = torch.tanh(conv)
        flat = hidden[:, :, :3, :3].reshape(4, 27)
        pre = F.linear(flat, lw, lb)
        loss = ((pre * scale - y) ** 2).mean()
        gc, gl, *grads = torch.autograd.grad(loss, [conv, pre, *params])
        batch, positions = 4, conv.shape[2] * conv.shape[3]
        ones = lambda rows: torch.cat([rows, torch.ones(len(rows), 1)], 1)
        a_conv = ones(F.unfold(x, 2, padding=1).transpose(1, 2).reshape(-1, 8))
        g_conv = gc.flatten(2).transpose(1, 2).reshape(-1, 3)
        stats("conv", step + 1, a_conv.t() @ a_conv / batch, g_conv.t() @ g_conv * batch / positions)
        a_lin = ones(flat.detach())
        stats("linear", step + 1, a_lin.t() @ a_lin / batch, gl.t() @ gl * batch)
        if step % s["interval"] == 0:
            invert("conv"), invert("linear")
        slopes = {"conv": torch.cat([grads[0].reshape(3, 8), grads[1][:, None]], 1), "linear": torch.cat([grads[2], grads[3][:, None]], 1)}
        natural = {n: inverses[n][1] @ v @ inverses[n][0] for n, v in slopes.items()}
        change = s["lr"] ** 2 * sum(float((natural[n] * slopes[n]).sum()) for n in slopes)
        nu = min(1.0, (s["clip"] / change) ** 0.5) if s["clip"] else 1.0
        c, l = natural["conv"] * nu, natural["linear"] * nu
        directions = [c[:, :-1].reshape(cw.shape), c[:, -1], l[:, :-1], l[:, -1], grads[4]]
        with torch.no_grad():
            for i, p in enumerate(params):
                buffers[i] = s["momentum"] * buffers[i] + directions[i] + s["weight_decay"] * p
                p -= s["lr"] * buffers[i]
        trajectory.append([float(loss), *(v for p in params for v in probe(p))])
    return trajectory


def root(matrix, power):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values ** power) @ vectors.t()


SHAMPOO = {
    "Shampoo": dict(lr=0.1, momentum=0.0, weight_decay=0.0, epsilon=1e-2, interval=1),
    "Shampoo.interval": dict(lr=0.05, momentum=0.9, weight_decay=0.1, epsilon=1e-3, interval=3),
    "Shampoo.blocks": dict(lr=0.1, momentum=0.0, weight_decay=0.0, epsilon=1e-2, interval=1, block=2),
}


def shampoo_case(s):
    """Algorithm 2 of Gupta et al. 2018 for tensors of order 1, 2 and 3."""
    w, b, t = (formula(i + 1, shape).requires_grad_() for i, shape in enumerate([(3, 4), (3,), (3, 2, 2)]))
    x, y = formula(4, (5, 4)), formula(5, (5, 3))
    params = [w, b, t]
    sums = [[s["epsilon"] * torch.eye(n) for n in p.shape] for p in params]
    roots = [[None] * p.dim() for p in params]

    def same_block(n):
        size = -(-n // -(-n // s.get("block", n)))
        block = torch.arange(n) // size
        return (block[:, None] == block[None, :]).double()

    buffers = [torch.zeros_like(p) for p in params]
    trajectory = []
    for step in range(10):
        hidden = torch.tanh(x @ w.t() + b)
        loss = ((torch.einsum("bi,ijk->bjk", hidden, t).sum((1, 2))[:, None] + hidden - y) ** 2).mean()
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, grads)):
                direction = g
                for axis in range(p.dim()):
                    rows = g.movedim(axis, 0).reshape(p.shape[axis], -1)
                    sums[i][axis] = sums[i][axis] + rows @ rows.t() * same_block(len(rows))
                    if step % s["interval"] == 0:
                        roots[i][axis] = root(sums[i][axis], -1 / (2 * p.dim()))
                    direction = torch.tensordot(roots[i][axis], direction.movedim(axis, 0), 1).movedim(0, axis)
                buffers[i] = s["momentum"] * buffers[i] + direction + s["weight_decay"] * p
                p -= s["lr"] * buffers[i]
        trajectory.append([float(loss), *(v for p in params for v in probe(p))])
    return trajectory


MOMENTA = {
    "OneCycleLR": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=13),
    "OneCycleLR.threePhase": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=13, three_phase=True, base_momentum=0.7, max_momentum=0.8),
    "CyclicLR": lambda o: S.CyclicLR(o, base_lr=0.05, max_lr=0.4, step_size_up=3, base_momentum=0.6, max_momentum=0.95),
}


def momentum_case(make, optimizer_class, **settings):
    """Rate and momentum of every step, and where ten steps along x^2 / 2 lead under them."""
    p = torch.ones(1, requires_grad=True)
    optimizer = optimizer_class([p], lr=0.1, **settings)
    scheduler = make(optimizer)
    trajectory = []
    for _ in range(10):
        optimizer.zero_grad()
        (p * p / 2).sum().backward()
        optimizer.step()
        scheduler.step()
        group = optimizer.param_groups[0]
        trajectory.append([group["lr"], group["betas"][0] if "betas" in group else group["momentum"], float(p)])
    return trajectory


def swa_case(strategy):
    from torch.optim.swa_utils import SWALR

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    before = S.ExponentialLR(optimizer, 0.9)
    scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=4, anneal_strategy=strategy)
    rates = []
    for step in range(10):
        optimizer.step()
        (before if step < 3 else scheduler).step()
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
    write("optim.json", {name: optimizer_case(make) for name, make in OPTIMIZERS.items()})
    second_order = {name: kfac_case(settings) for name, settings in KFAC.items()}
    write("second-order.json", {**second_order, **{name: shampoo_case(settings) for name, settings in SHAMPOO.items()}})
    write("lbfgs.json", {name: lbfgs_case(settings) for name, settings in LBFGS.items()})
    write(
        "momentum-schedules.json",
        {
            **{f"SGD {name}": momentum_case(make, torch.optim.SGD, momentum=0.9) for name, make in MOMENTA.items()},
            # CyclicLR of PyTorch 1.13 moves no betas.
            **{f"Adam {name}": momentum_case(make, torch.optim.Adam) for name, make in MOMENTA.items() if name != "CyclicLR"},
            **{f"SWALR {strategy}": swa_case(strategy) for strategy in ("cos", "linear")},
        },
    )
    write("sparse.json", {f"{name} {kind}": sparse_case(make, kind) for name, make in SPARSE.items() for kind in ("rows", "bag")})
    schedules = {name: scheduler_case(make) for name, make in SCHEDULERS.items()}
    write("schedulers.json", {**schedules, "ReduceLROnPlateau": plateau_case()})
