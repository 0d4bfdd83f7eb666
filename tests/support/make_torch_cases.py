"""Figures for tests/tensor/torch.test.ts: values and gradients of PyTorch for seeded inputs.

    python3 tests/support/make_torch_cases.py > tests/fixtures/torch-cases.json

Each case is an expression over f64 inputs a, b, c (integer inputs i). The cotangent of output element k is sin(k + 1).
"""
import json
import sys

import torch
import torch.nn.functional as F  # noqa: F401 (used by the expressions)

torch.manual_seed(7)
r = lambda *s: torch.randn(*s, dtype=torch.float64)  # noqa: E731
u = lambda *s: torch.rand(*s, dtype=torch.float64) * 0.8 + 0.1  # noqa: E731
i = lambda n, *s: torch.randint(0, n, s)  # noqa: E731

CASES = [
    ("sum over broadcast", "(a * b).sum(1)", [r(2, 3), r(3)]),
    ("div floor", "torch.div(a, b, rounding_mode='floor')", [r(6), r(6)]),
    ("remainder", "torch.remainder(a, b)", [r(6), r(6)]),
    ("fmod", "torch.fmod(a, b)", [r(6), r(6)]),
    ("tan", "a.tan()", [r(5)]),
    ("asin", "a.asin()", [u(5)]),
    ("acos", "a.acos()", [u(5)]),
    ("sinh", "a.sinh()", [r(5)]),
    ("asinh", "a.asinh()", [r(5)]),
    ("acosh", "a.acosh()", [u(5) + 1]),
    ("atanh", "a.atanh()", [u(5)]),
    ("erf", "a.erf()", [r(5)]),
    ("lgamma", "a.lgamma()", [u(5) * 4]),
    ("logaddexp", "torch.logaddexp(a, b)", [r(5), r(5)]),
    ("lerp", "a.lerp(b, 0.3)", [r(5), r(5)]),
    ("clamp", "a.clamp(-0.5, 0.5)", [r(8)]),
    ("var", "a.var(1, unbiased=True)", [r(3, 4)]),
    ("std all", "a.std()", [r(3, 4)]),
    ("prod", "a.prod(1)", [r(3, 4)]),
    ("logsumexp", "a.logsumexp(1)", [r(3, 4)]),
    ("norm 3", "a.norm(3, 1)", [r(3, 4)]),
    ("cumsum", "a.cumsum(0)", [r(3, 4)]),
    ("cumprod", "a.cumprod(1)", [r(3, 4)]),
    ("amax ties", "torch.cat([a, 2 * a - a.detach()], 1).amax(1)", [r(3, 6)]),
    ("max dim", "a.max(1)[0]", [r(3, 6)]),
    ("sort", "a.sort(1, descending=True)[0]", [r(3, 5)]),
    ("topk", "a.topk(2, 1)[0]", [r(3, 5)]),
    ("diagonal", "a.diagonal(1, 0, 2)", [r(3, 2, 4)]),
    ("tril", "a.tril(-1)", [r(4, 4)]),
    ("roll", "a.roll([1, -2], [0, 1])", [r(3, 4)]),
    ("unfold", "a.unfold(1, 3, 2)", [r(2, 7)]),
    ("cat", "torch.cat([a, b], 1)", [r(2, 3), r(2, 2)]),
    ("stack", "torch.stack([a, b], 1)", [r(2, 3), r(2, 3)]),
    ("gather", "a.gather(1, i)", [r(3, 5)], i(5, 3, 4)),
    ("scatter add", "a.scatter_add(1, i, b)", [r(3, 5), r(3, 4)], i(5, 3, 4)),
    ("index two tensors", "a[i[0], :, i[1]]", [r(4, 3, 4)], i(4, 2, 5)),
    ("einsum", "torch.einsum('bij,bjk,k->bi', a, b, c)", [r(2, 3, 4), r(2, 4, 5), r(5)]),
    ("einsum diagonal", "torch.einsum('ii,i...->...', a, b)", [r(3, 3), r(3, 2)]),
    ("matmul batch", "a @ b", [r(5, 1, 2, 3), r(4, 3, 2)]),
    ("baddbmm", "torch.baddbmm(a, b, c, beta=0.5, alpha=2)", [r(2, 3, 3), r(2, 3, 4), r(2, 4, 3)]),
    ("softmax", "a.softmax(1)", [r(3, 4)]),
    ("log softmax", "a.log_softmax(0)", [r(3, 4)]),
    ("gelu", "F.gelu(a)", [r(6)]),
    ("gelu tanh", "F.gelu(a, approximate='tanh')", [r(6)]),
    ("elu", "F.elu(a, 0.7)", [r(6)]),
    ("softplus", "F.softplus(a, beta=2)", [r(6)]),
    ("mish", "F.mish(a)", [r(6)]),
    ("glu", "F.glu(a, 1)", [r(2, 6)]),
    ("linear", "F.linear(a, b, c)", [r(2, 3, 4), r(5, 4), r(5)]),
    ("conv1d dilated", "F.conv1d(a, b, c, stride=2, padding=3, dilation=2)", [r(2, 3, 9), r(4, 3, 3), r(4)]),
    ("conv2d groups", "F.conv2d(a, b, c, padding=(1, 0), groups=2)", [r(2, 4, 5, 6), r(6, 2, 3, 2), r(6)]),
    ("conv2d same", "F.conv2d(a, b, padding='same')", [r(1, 2, 5, 5), r(3, 2, 2, 3)]),
    ("conv3d", "F.conv3d(a, b, stride=2, padding=1)", [r(1, 2, 4, 3, 5), r(2, 2, 2, 3, 3)]),
    ("conv transpose 2d", "F.conv_transpose2d(a, b, c, stride=2, padding=1, output_padding=1, groups=2)",
     [r(1, 4, 3, 3), r(4, 2, 3, 3), r(4)]),
    ("conv transpose 1d dilated", "F.conv_transpose1d(a, b, stride=3, dilation=2)", [r(1, 2, 4), r(2, 3, 3)]),
    ("max pool overlapping", "F.max_pool2d(a, 3, stride=2, padding=1)", [r(1, 2, 6, 5)]),
    ("max pool ties", "F.max_pool1d(torch.relu(a), 3, stride=2, ceil_mode=True)", [r(1, 2, 8)]),
    ("avg pool without padding", "F.avg_pool2d(a, 3, stride=2, padding=1, count_include_pad=False)", [r(1, 2, 5, 6)]),
    ("avg pool ceil", "F.avg_pool1d(a, 3, stride=2, padding=1, ceil_mode=True)", [r(1, 2, 6)]),
    ("adaptive avg pool", "F.adaptive_avg_pool2d(a, (3, 2))", [r(1, 2, 7, 5)]),
    ("adaptive max pool", "F.adaptive_max_pool2d(a, (3, 2))", [r(1, 2, 7, 5)]),
    ("batch norm", "F.batch_norm(a, None, None, b, c, training=True)", [r(4, 3, 2), r(3), r(3)]),
    ("layer norm", "F.layer_norm(a, (2, 3), b, c)", [r(4, 2, 3), r(2, 3), r(2, 3)]),
    ("group norm", "F.group_norm(a, 2, b, c)", [r(2, 4, 3), r(4), r(4)]),
    ("local response norm", "F.local_response_norm(a, 3)", [r(2, 5, 3)]),
    ("pad reflect", "F.pad(a, (1, 2, 2, 0), mode='reflect')", [r(1, 1, 4, 5)]),
    ("pad circular", "F.pad(a, (2, 1), mode='circular')", [r(1, 2, 4)]),
    ("bilinear resize", "F.interpolate(a, size=(5, 3), mode='bilinear', align_corners=False)", [r(1, 2, 3, 4)]),
    ("fold", "F.fold(a, (4, 5), (2, 3), stride=(2, 1))", [r(1, 12, 6)]),
    ("cross entropy", "F.cross_entropy(a, i)", [r(4, 5)], i(5, 4)),
    ("cross entropy weighted", "F.cross_entropy(a, i, weight=b.detach(), label_smoothing=0.2)", [r(4, 5), u(5)], i(5, 4)),
    ("cross entropy images", "F.cross_entropy(a, i, ignore_index=1, reduction='none')", [r(2, 3, 2, 2)], i(3, 2, 2, 2)),
    ("cross entropy probabilities", "F.cross_entropy(a, b.softmax(1))", [r(4, 5), r(4, 5)]),
    ("bce logits", "F.binary_cross_entropy_with_logits(a, b.detach(), pos_weight=c.detach())", [r(3, 4), u(3, 4), u(4)]),
    ("bce", "F.binary_cross_entropy(a, b.detach())", [u(3, 4), u(3, 4)]),
    ("kl div", "F.kl_div(a.log_softmax(1), b.softmax(1).detach(), reduction='batchmean')", [r(3, 4), r(3, 4)]),
    ("smooth l1", "F.smooth_l1_loss(a, b, beta=0.5)", [r(8), r(8)]),
    ("huber", "F.huber_loss(a, b, delta=0.7)", [r(8), r(8)]),
    ("triplet", "F.triplet_margin_loss(a, b, c, margin=2.0)", [r(4, 3), r(4, 3), r(4, 3)]),
    ("cosine embedding", "F.cosine_embedding_loss(a, b, torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64))",
     [r(4, 3), r(4, 3)]),
]


def flat(t):
    return {"shape": list(t.shape), "data": [float(v) for v in t.detach().reshape(-1)]}


out = {}
for case in CASES:
    name, expression, floats = case[:3]
    inputs = [t.clone().requires_grad_() for t in floats]
    scope = dict(zip("abc", inputs))
    if len(case) > 3:
        scope["i"] = case[3]
    y = eval(expression, {"torch": torch, "F": F}, scope)
    ct = torch.sin(torch.arange(1, y.numel() + 1, dtype=torch.float64)).reshape(y.shape)
    grads = torch.autograd.grad(y, inputs, ct, allow_unused=True) if y.requires_grad else [None] * len(inputs)
    out[name] = {
        "torch": expression,
        "inputs": [flat(t) for t in inputs],
        **({"index": {"shape": list(case[3].shape), "data": case[3].reshape(-1).tolist()}} if len(case) > 3 else {}),
        "value": flat(y),
        "grads": [None if g is None else flat(g)["data"] for g in grads],
    }
text = json.dumps(out, separators=(",", ":"), allow_nan=True)
import re
sys.stdout.write(re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda m: repr(float("%.10g" % float(m.group()))), text).replace('},"', '},\n"') + "\n")
