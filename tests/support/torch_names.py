"""Makes tests/fixtures/torch-names.json: the public functions, methods and classes of PyTorch 1.13 by the room they are in.

    python3 tests/support/torch_names.py
"""
import inspect
import json
import os
import types
import typing

import torch
import torch.nn.functional
import torch.nn.utils
import torch.optim.lr_scheduler

HERE = os.path.dirname(os.path.abspath(__file__))


def callables(room):
    found = []
    for name in dir(room):
        value = getattr(room, name)
        if name.startswith("_") or not callable(value) or isinstance(value, types.ModuleType):
            continue
        if inspect.isclass(value) or getattr(value, "__module__", None) == "typing" or hasattr(typing, name):
            continue
        found.append(name)
    return found


def classes(room):
    return [name for name in dir(room) if inspect.isclass(getattr(room, name)) and not name.startswith("_")]


ROOMS = {
    "torch": callables(torch),
    "Tensor": [name for name in dir(torch.Tensor) if not name.startswith("_")],
    "nn.functional": callables(torch.nn.functional),
    "nn.init": callables(torch.nn.init),
    "nn.utils": callables(torch.nn.utils),
    "nn.Module": [name for name in dir(torch.nn.Module) if not name.startswith("_")],
    "linalg": callables(torch.linalg),
    "special": callables(torch.special),
    "fft": callables(torch.fft),
    "optim": classes(torch.optim),
    "optim.lr_scheduler": [name for name in classes(torch.optim.lr_scheduler) if name != "Counter"],
}
with open(os.path.join(HERE, "..", "fixtures", "torch-names.json"), "w") as f:
    json.dump(ROOMS, f, separators=(",", ":"))
    f.write("\n")
print({room: len(names) for room, names in ROOMS.items()})
