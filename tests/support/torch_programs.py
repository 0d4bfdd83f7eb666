"""Makes tests/fixtures/programs.json with PyTorch 1.13 in f64: what tests/train/programs.test.ts computes, whole programs as users write them, from formula
weights and data.

    python3 tests/support/torch_programs.py
"""
import json
import os
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch_formula import formula
from torch_zoo import formula_state

torch.set_default_dtype(torch.float64)


def made(model):
    formula_state(model)
    return model


def transfer_learning():
    """A frozen backbone in evaluation mode, then let loose with a rate of its own; a schedule, clipping, label smoothing."""
    backbone = made(nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    head = made(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 5)))
    x, y = formula(1, [6, 3, 14, 14], 1), torch.arange(6) % 5
    backbone.eval().requires_grad_(False)
    opt = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(opt, 3, 0.5)
    out = []
    for i in range(10):
        if i == 4:
            backbone.train().requires_grad_(True)
            opt.add_param_group({"params": list(backbone.parameters()), "lr": 1e-3, "weight_decay": 0.0})
        opt.zero_grad()
        loss = F.cross_entropy(head(backbone(x)), y, label_smoothing=0.1)
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*backbone.parameters(), *head.parameters()], 0.5)
        opt.step()
        schedule.step()
        out += [loss.item(), norm.item()]
    return out + [head(backbone.eval()(x)).abs().sum().item()]


def adversaries():
    """Two networks and two optimizers that learn from each other in one step."""
    generator = made(nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.BatchNorm1d(32), nn.Linear(32, 4), nn.Tanh()))
    critic = made(nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)))
    generates = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    judges = torch.optim.RMSprop(critic.parameters(), lr=2e-3, momentum=0.5, centered=True)
    loss = lambda x, value: F.binary_cross_entropy_with_logits(x, torch.full_like(x, value))
    noise, real = formula(1, [8, 16, 8], 2), formula(2, [8, 16, 4], 1) + 0.3
    out = []
    for z, r in zip(noise, real):
        judges.zero_grad()
        fake = generator(z)
        judged = loss(critic(r), 1.0) + loss(critic(fake.detach()), 0.0)
        judged.backward()
        judges.step()
        generates.zero_grad()
        fooled = loss(critic(fake), 1.0)
        fooled.backward()
        generates.step()
        out += [judged.item(), fooled.item()]
    return out


def twins():
    """One encoder for three inputs, gradients added up over four passes, an exponential average of the weights."""
    encoder = made(nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 6)))
    sgd = torch.optim.SGD(encoder.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
    averaged = torch.optim.swa_utils.AveragedModel(encoder, avg_fn=lambda mean, x, _: 0.9 * mean + 0.1 * x)
    anchors, others, change = formula(1, [6, 4, 8, 10], 1), formula(2, [6, 4, 8, 10], 1), formula(3, [6, 4, 8, 10], 0.5)
    out = []
    for i in range(6):
        sgd.zero_grad()
        total = 0
        for k in range(4):
            a, p, n = (encoder(x) for x in (anchors[i, k], anchors[i, k] + change[i, k], others[i, k]))
            loss = F.triplet_margin_loss(a, p, n, margin=0.7, swap=True) / 4 + 0.1 * F.cosine_embedding_loss(a, p, torch.ones(8))
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_value_(encoder.parameters(), 0.05)
        sgd.step()
        averaged.update_parameters(encoder)
        out.append(total)
    return out + [averaged(anchors[0, 0]).sum().item()]


def language_model():
    """An embedding that is the output's weight as well, padding that counts neither in attention nor in the loss."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 16, padding_idx=0)
            self.layer = nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True, norm_first=True)
            self.head = nn.Linear(16, 20)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            mask = torch.full([7, 7], float("-inf")).triu(1)
            return self.head(self.layer(self.embed(tokens), src_mask=mask, src_key_padding_mask=tokens == 0))

    model = made(Model())
    with torch.no_grad():
        model.embed.weight[0] = 0
    adam = torch.optim.Adam(model.parameters(), lr=3e-3, amsgrad=True)
    lengths = torch.tensor([8, 5, 3, 7, 8])[:, None]
    tokens = torch.where(torch.arange(8) < lengths, (torch.arange(40) * 7 % 19 + 1).reshape(5, 8), 0)
    out = []
    for _ in range(6):
        adam.zero_grad()
        loss = F.cross_entropy(model(tokens[:, :-1]).reshape(-1, 20), tokens[:, 1:].reshape(-1), ignore_index=0)
        loss.backward()
        adam.step()
        out.append(loss.item())
    return out


PROGRAMS = {"transfer learning": transfer_learning, "adversaries": adversaries, "twins": twins, "language model": language_model}

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "fixtures", "programs.json"), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(run())}" for name, run in PROGRAMS.items()) + "\n}\n")
