"""Makes tests/fixtures/{optim,schedulers}.json with PyTorch 1.13 in f64.

    python3 tests/support/torch_reference.py
"""
import json
import os
import torch
from torch_formula import formula, probe

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))


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
    write("optim.json", {name: optimizer_case(make) for name, make in OPTIMIZERS.items()})
    schedules = {name: scheduler_case(make) for name, make in SCHEDULERS.items()}
    write("schedulers.json", {**schedules, "ReduceLROnPlateau": plateau_case()})
