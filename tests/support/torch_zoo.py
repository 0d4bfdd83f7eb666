"""Makes tests/fixtures/zoo.json with PyTorch 1.13 in f64: for each architecture of tenon/models the number of parameters and a digest of all
state-dict names and shapes at full size, and at a small size the output, the loss, the norm of its gradient and the loss after one step
of SGD, from formula weights.

    python3 tests/support/torch_zoo.py

The architectures are written here from their published definitions (torchvision, Hugging Face transformers), because neither library is
needed to run the tests or to make the figures.
"""
import hashlib
import json
import math
import os
from functools import partial
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch_formula import formula, probe

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))

# ---------------------------------------------------------------------------------------------- images


class LeNet(nn.Module):
    def __init__(self, channels=1, classes=10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class AlexNet(nn.Module):
    def __init__(self, num_classes=1000, shrink=1):
        super().__init__()
        r, pool = nn.ReLU, partial(nn.MaxPool2d, 3, 2)
        c1, c2, c3, c4, h = [n // shrink for n in (64, 192, 384, 256, 4096)]
        self.features = nn.Sequential(
            nn.Conv2d(3, c1, 11, 4, 2), r(), pool(), nn.Conv2d(c1, c2, 5, padding=2), r(), pool(),
            nn.Conv2d(c2, c3, 3, padding=1), r(), nn.Conv2d(c3, c4, 3, padding=1), r(), nn.Conv2d(c4, c4, 3, padding=1), r(), pool(),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(c4 * 36, h), r(), nn.Dropout(), nn.Linear(h, h), r(), nn.Linear(h, num_classes)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


VGG = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M", 13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class Vgg(nn.Module):
    def __init__(self, depth, bn=False, num_classes=1000, shrink=1):
        super().__init__()
        layers, c = [], 3
        for v in VGG[depth].split():
            if v == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                v = int(v) // shrink
                layers += [nn.Conv2d(c, v, 3, padding=1)] + ([nn.BatchNorm2d(v)] if bn else []) + [nn.ReLU()]
                c = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        h = 4096 // shrink
        self.classifier = nn.Sequential(
            nn.Linear(c * 49, h), nn.ReLU(), nn.Dropout(), nn.Linear(h, h), nn.ReLU(), nn.Dropout(), nn.Linear(h, num_classes)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride, groups, width, downsample):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inplanes, planes, stride, groups, width, downsample):
        super().__init__()
        w = int(planes * (width / 64.0)) * groups
        self.conv1 = nn.Conv2d(inplanes, w, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(w)
        self.conv2 = nn.Conv2d(w, w, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(w)
        self.conv3 = nn.Conv2d(w, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.downsample = downsample

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block, layers, num_classes=1000, groups=1, width=64, base=64):
        super().__init__()
        self.inplanes = base
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        make = lambda planes, n, stride: self._make(block, planes, n, stride, groups, width)
        self.layer1, self.layer2 = make(base, layers[0], 1), make(2 * base, layers[1], 2)
        self.layer3, self.layer4 = make(4 * base, layers[2], 2), make(8 * base, layers[3], 2)
        self.fc = nn.Linear(8 * base * block.expansion, num_classes)

    def _make(self, block, planes, n, stride, groups, width):
        down = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            down = nn.Sequential(
                nn.Conv2d(self.inplanes, planes * block.expansion, 1, stride, bias=False), nn.BatchNorm2d(planes * block.expansion)
            )
        layers = [block(self.inplanes, planes, stride, groups, width, down)]
        self.inplanes = planes * block.expansion
        return nn.Sequential(*layers, *[block(self.inplanes, planes, 1, groups, width, None) for _ in range(1, n)])

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


def make_divisible(v, divisor=8):
    new = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * v else new


def cna(i, o, k=3, s=1, g=1, act=nn.ReLU, norm=nn.BatchNorm2d):
    layers = [nn.Conv2d(i, o, k, s, (k - 1) // 2, groups=g, bias=False), norm(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class InvertedResidualV2(nn.Module):
    def __init__(self, i, o, stride, expand):
        super().__init__()
        h = int(round(i * expand))
        self.res = stride == 1 and i == o
        layers = [] if expand == 1 else [cna(i, h, 1, act=nn.ReLU6)]
        layers += [cna(h, h, 3, stride, h, nn.ReLU6), nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.res else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes=1000, width=1.0):
        super().__init__()
        c, last = make_divisible(32 * width), make_divisible(1280 * max(1.0, width))
        f = [cna(3, c, 3, 2, act=nn.ReLU6)]
        for t, o, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
            o = make_divisible(o * width)
            for k in range(n):
                f.append(InvertedResidualV2(c, o, s if k == 0 else 1, t))
                c = o
        f.append(cna(c, last, 1, act=nn.ReLU6))
        self.features = nn.Sequential(*f)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1))


class SqueezeExcitation(nn.Module):
    def __init__(self, c, sq, act=nn.ReLU, scale=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(c, sq, 1), nn.Conv2d(sq, c, 1)
        self.activation, self.scale_activation = act(), scale()

    def forward(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))) * x


class InvertedResidualV3(nn.Module):
    def __init__(self, i, k, e, o, se, act, s, norm):
        super().__init__()
        self.res = s == 1 and i == o
        a = nn.Hardswish if act == "HS" else nn.ReLU
        layers = [] if e == i else [cna(i, e, 1, act=a, norm=norm)]
        layers.append(cna(e, e, k, s, e, a, norm))
        if se:
            layers.append(SqueezeExcitation(e, make_divisible(e // 4), scale=nn.Hardsigmoid))
        layers.append(cna(e, o, 1, act=None, norm=norm))
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        return self.block(x) + x if self.res else self.block(x)


V3 = {
    "large": [
        (16, 3, 16, 16, 0, "RE", 1), (16, 3, 64, 24, 0, "RE", 2), (24, 3, 72, 24, 0, "RE", 1), (24, 5, 72, 40, 1, "RE", 2),
        (40, 5, 120, 40, 1, "RE", 1), (40, 5, 120, 40, 1, "RE", 1), (40, 3, 240, 80, 0, "HS", 2), (80, 3, 200, 80, 0, "HS", 1),
        (80, 3, 184, 80, 0, "HS", 1), (80, 3, 184, 80, 0, "HS", 1), (80, 3, 480, 112, 1, "HS", 1), (112, 3, 672, 112, 1, "HS", 1),
        (112, 5, 672, 160, 1, "HS", 2), (160, 5, 960, 160, 1, "HS", 1), (160, 5, 960, 160, 1, "HS", 1),
    ],
    "small": [
        (16, 3, 16, 16, 1, "RE", 2), (16, 3, 72, 24, 0, "RE", 2), (24, 3, 88, 24, 0, "RE", 1), (24, 5, 96, 40, 1, "HS", 2),
        (40, 5, 240, 40, 1, "HS", 1), (40, 5, 240, 40, 1, "HS", 1), (40, 5, 120, 48, 1, "HS", 1), (48, 5, 144, 48, 1, "HS", 1),
        (48, 5, 288, 96, 1, "HS", 2), (96, 5, 576, 96, 1, "HS", 1), (96, 5, 576, 96, 1, "HS", 1),
    ],
}


class MobileNetV3(nn.Module):
    def __init__(self, size, num_classes=1000, width=1.0):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        a = lambda c: make_divisible(c * width)
        rows = [(a(i), k, a(e), a(o), se, act, s) for i, k, e, o, se, act, s in V3[size]]
        li = rows[-1][3]
        self.features = nn.Sequential(
            cna(3, rows[0][0], 3, 2, act=nn.Hardswish, norm=norm), *[InvertedResidualV3(*r, norm) for r in rows], cna(li, 6 * li, 1, act=nn.Hardswish, norm=norm)
        )
        last = a(1280 if size == "large" else 1024)
        self.classifier = nn.Sequential(nn.Linear(6 * li, last), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(last, num_classes))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class ShuffleUnit(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        b = o // 2
        self.stride = stride
        dw = lambda c: [nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False), nn.BatchNorm2d(c)]
        pw = lambda c, d: [nn.Conv2d(c, d, 1, bias=False), nn.BatchNorm2d(d), nn.ReLU()]
        self.branch1 = nn.Sequential(*dw(i), *pw(i, b)) if stride > 1 else nn.Sequential()
        self.branch2 = nn.Sequential(*pw(i if stride > 1 else b, b), *dw(b), *pw(b, b))

    def forward(self, x):
        if self.stride == 1:
            x1, x2 = x.chunk(2, 1)
            out = torch.cat((x1, self.branch2(x2)), 1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), 1)
        n, c, h, w = out.shape
        return out.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleNetV2(nn.Module):
    def __init__(self, channels, num_classes=1000, repeats=(4, 8, 4)):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, channels[0], 3, 2, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for k in range(3):
            units = [ShuffleUnit(channels[k], channels[k + 1], 2)] + [ShuffleUnit(channels[k + 1], channels[k + 1], 1) for _ in range(repeats[k] - 1)]
            setattr(self, f"stage{k + 2}", nn.Sequential(*units))
        self.conv5 = nn.Sequential(nn.Conv2d(channels[3], channels[4], 1, bias=False), nn.BatchNorm2d(channels[4]), nn.ReLU())
        self.fc = nn.Linear(channels[4], num_classes)

    def forward(self, x):
        return self.fc(self.conv5(self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))).mean([2, 3]))


class MBConv(nn.Module):
    def __init__(self, t, k, s, i, o, norm):
        super().__init__()
        e = make_divisible(i * t)
        self.res = s == 1 and i == o
        layers = [] if e == i else [cna(i, e, 1, act=nn.SiLU, norm=norm)]
        layers += [cna(e, e, k, s, e, nn.SiLU, norm), SqueezeExcitation(e, max(1, i // 4), act=nn.SiLU), cna(e, o, 1, act=None, norm=norm)]
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        return self.block(x) + x if self.res else self.block(x)


class EfficientNet(nn.Module):
    def __init__(self, width, depth, norm=nn.BatchNorm2d, num_classes=1000):
        super().__init__()
        a = lambda c: make_divisible(c * width)
        layers = [cna(3, a(32), 3, 2, act=nn.SiLU, norm=norm)]
        for t, k, s, i, o, n in [
            (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3), (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1)
        ]:
            n = int(math.ceil(n * depth))
            layers.append(nn.Sequential(*[MBConv(t, k, s if r == 0 else 1, a(i) if r == 0 else a(o), a(o), norm) for r in range(n)]))
        layers.append(cna(a(320), 4 * a(320), 1, act=nn.SiLU, norm=norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * a(320), num_classes))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class EncoderBlock(nn.Module):
    def __init__(self, heads, d, mlp):
        super().__init__()
        self.ln_1 = nn.LayerNorm(d, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(d, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(d, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(d, mlp), nn.GELU(), nn.Dropout(0.0), nn.Linear(mlp, d), nn.Dropout(0.0))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self, length, layers, heads, d, mlp):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, length, d))
        self.layers = nn.Sequential()
        for i in range(layers):
            self.layers.add_module(f"encoder_layer_{i}", EncoderBlock(heads, d, mlp))
        self.ln = nn.LayerNorm(d, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    def __init__(self, image, patch, layers, heads, d, mlp, num_classes=1000, representation=None):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, d))
        self.conv_proj = nn.Conv2d(3, d, patch, patch)
        self.encoder = Encoder((image // patch) ** 2 + 1, layers, heads, d, mlp)
        self.heads = nn.Sequential()
        if representation:
            self.heads.add_module("pre_logits", nn.Linear(d, representation))
            self.heads.add_module("act", nn.Tanh())
        self.heads.add_module("head", nn.Linear(representation or d, num_classes))

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)
        return self.heads(self.encoder(x)[:, 0])


class DoubleConv(nn.Module):
    def __init__(self, i, o, mid=None):
        super().__init__()
        mid = mid or o
        self.double_conv = nn.Sequential(
            nn.Conv2d(i, mid, 3, padding=1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(), nn.Conv2d(mid, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(i, o))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, i, o, bilinear):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True) if bilinear else nn.ConvTranspose2d(i, i // 2, 2, 2)
        self.conv = DoubleConv(i, o, i // 2) if bilinear else DoubleConv(i, o)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        dy, dx = x2.size(2) - x1.size(2), x2.size(3) - x1.size(3)
        return self.conv(torch.cat([x2, F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])], 1))


class OutConv(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, channels=3, classes=2, bilinear=False, w=64):
        super().__init__()
        f = 2 if bilinear else 1
        self.inc = DoubleConv(channels, w)
        self.down1, self.down2, self.down3 = Down(w, 2 * w), Down(2 * w, 4 * w), Down(4 * w, 8 * w)
        self.down4 = Down(8 * w, 16 * w // f)
        self.up1, self.up2 = Up(16 * w, 8 * w // f, bilinear), Up(8 * w, 4 * w // f, bilinear)
        self.up3, self.up4 = Up(4 * w, 2 * w // f, bilinear), Up(2 * w, w, bilinear)
        self.outc = OutConv(w, classes)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        return self.outc(self.up4(self.up3(self.up2(self.up1(self.down4(x4), x4), x3), x2), x1))


# ---------------------------------------------------------------------------------------------- language


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(nx, nf)), nn.Parameter(torch.zeros(nf))

    def forward(self, x):
        return x @ self.weight + self.bias


class GPT2Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = Conv1D(3 * d, d), Conv1D(d, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = [p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.c_attn(x).split(d, 2)]
        w = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        w = w.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf).softmax(-1)
        return self.c_proj((w @ v).transpose(1, 2).reshape(b, t, d))


class GPT2MLP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(4 * d, d), Conv1D(d, 4 * d)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class GPT2Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = nn.LayerNorm(d), GPT2Attention(d, heads), nn.LayerNorm(d), GPT2MLP(d)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2Model(nn.Module):
    def __init__(self, vocab, positions, d, layers, heads):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, d), nn.Embedding(positions, d)
        self.h = nn.ModuleList(GPT2Block(d, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(d)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class GPT2LMHeadModel(nn.Module):
    def __init__(self, vocab=50257, positions=1024, d=768, layers=12, heads=12):
        super().__init__()
        self.transformer = GPT2Model(vocab, positions, d, layers, heads)
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, ids):
        return self.lm_head(self.transformer(ids))


class RMSNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


def rotate_half(x):
    return torch.cat((-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]), -1)


def inv_freq(c):
    f = 1.0 / (c["theta"] ** (torch.arange(0, c["head"], 2).double() / c["head"]))
    s = c.get("scaling")
    if not s:
        return f
    low, high = s["original"] / s["low"], s["original"] / s["high"]
    wavelen = 2 * math.pi / f
    g = torch.where(wavelen > low, f / s["factor"], f)
    smooth = (s["original"] / wavelen - s["low"]) / (s["high"] - s["low"])
    mid = (1 - smooth) * g / s["factor"] + smooth * g
    return torch.where(~(wavelen < high) * ~(wavelen > low), mid, g)


class LlamaAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        d, h, kv, hd = c["d"], c["heads"], c["kv"], c["head"]
        self.q_proj = nn.Linear(d, h * hd, bias=c["bias"])
        self.k_proj = nn.Linear(d, kv * hd, bias=c["bias"])
        self.v_proj = nn.Linear(d, kv * hd, bias=c["bias"])
        self.o_proj = nn.Linear(h * hd, d, bias=False)
        if c["qk"]:
            self.q_norm, self.k_norm = RMSNorm(hd, c["eps"]), RMSNorm(hd, c["eps"])

    def forward(self, x):
        b, t, _ = x.shape
        c = self.c
        q, k, v = [p(x).view(b, t, -1, c["head"]) for p in (self.q_proj, self.k_proj, self.v_proj)]
        if c["qk"]:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        angle = torch.outer(torch.arange(t).double(), inv_freq(c))
        angle = torch.cat((angle, angle), -1)
        q = q * angle.cos() + rotate_half(q) * angle.sin()
        k = k * angle.cos() + rotate_half(k) * angle.sin()
        k, v = [z.repeat_interleave(c["heads"] // c["kv"], 1) for z in (k, v)]
        hidden = torch.ones(t, t).triu(1).bool()
        if c.get("window"):
            hidden = hidden | torch.ones(t, t).tril(-c["window"]).bool()
        w = (q @ k.transpose(2, 3) / math.sqrt(c["head"])).masked_fill(hidden, -math.inf).softmax(-1)
        return self.o_proj((w @ v).transpose(1, 2).reshape(b, t, -1))


class LlamaMLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["d"], c["inner"], bias=False)
        self.up_proj = nn.Linear(c["d"], c["inner"], bias=False)
        self.down_proj = nn.Linear(c["inner"], c["d"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaDecoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = LlamaAttention(c), LlamaMLP(c)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(c["d"], c["eps"]), RMSNorm(c["d"], c["eps"])

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab"], c["d"])
        self.layers = nn.ModuleList(LlamaDecoderLayer(c) for _ in range(c["layers"]))
        self.norm = RMSNorm(c["d"], c["eps"])

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class LlamaForCausalLM(nn.Module):
    def __init__(self, **c):
        super().__init__()
        c = {**dict(vocab=32000, d=4096, inner=11008, layers=32, heads=32, theta=10000.0, eps=1e-6, bias=False, qk=False, tie=False), **c}
        c.setdefault("kv", c["heads"])
        c.setdefault("head", c["d"] // c["heads"])
        self.model = LlamaModel(c)
        self.lm_head = nn.Linear(c["d"], c["vocab"], bias=False)
        if c["tie"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids):
        return self.lm_head(self.model(ids))


class BertEmbeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.word_embeddings = nn.Embedding(c["vocab"], c["d"], padding_idx=0)
        self.position_embeddings, self.token_type_embeddings = nn.Embedding(c["positions"], c["d"]), nn.Embedding(2, c["d"])
        self.LayerNorm = nn.LayerNorm(c["d"], eps=1e-12)

    def forward(self, ids, types):
        return self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings(types) + self.position_embeddings(torch.arange(ids.shape[1])))


class BertSelf(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c["heads"]
        self.query, self.key, self.value = [nn.Linear(c["d"], c["d"]) for _ in range(3)]

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = [p(x).view(b, t, self.heads, -1).transpose(1, 2) for p in (self.query, self.key, self.value)]
        w = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min).softmax(-1)
        return (w @ v).transpose(1, 2).reshape(b, t, d)


class BertOut(nn.Module):
    def __init__(self, i, d):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(i, d), nn.LayerNorm(d, eps=1e-12)

    def forward(self, x, residual):
        return self.LayerNorm(self.dense(x) + residual)


class BertAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self, self.output = BertSelf(c), BertOut(c["d"], c["d"])

    def forward(self, x, mask):
        return self.output(self.self(x, mask), x)


class Dense(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.dense = nn.Linear(i, o)

    def forward(self, x):
        return self.dense(x)


class BertLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention, self.intermediate, self.output = BertAttention(c), Dense(c["d"], c["inner"]), BertOut(c["inner"], c["d"])

    def forward(self, x, mask):
        x = self.attention(x, mask)
        return self.output(F.gelu(self.intermediate(x)), x)


class BertEncoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(c) for _ in range(c["layers"]))


class BertModel(nn.Module):
    def __init__(self, pool=True, **c):
        super().__init__()
        c = {**dict(vocab=30522, d=768, inner=3072, layers=12, heads=12, positions=512), **c}
        self.c = c
        self.embeddings, self.encoder = BertEmbeddings(c), BertEncoder(c)
        self.pooler = Dense(c["d"], c["d"]) if pool else None

    def forward(self, ids, mask=None, types=None):
        x = self.embeddings(ids, torch.zeros_like(ids) if types is None else types)
        for layer in self.encoder.layer:
            x = layer(x, torch.ones(ids.shape) if mask is None else mask)
        return (x, self.pooler(x[:, 0]).tanh()) if self.pooler else x


class Transform(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(d, d), nn.LayerNorm(d, eps=1e-12)

    def forward(self, x):
        return self.LayerNorm(F.gelu(self.dense(x)))


class LMPredictionHead(nn.Module):
    def __init__(self, c, weight):
        super().__init__()
        self.transform = Transform(c["d"])
        self.decoder = nn.Linear(c["d"], c["vocab"])
        self.decoder.weight = weight
        self.bias = nn.Parameter(torch.zeros(c["vocab"]))
        self.decoder.bias = self.bias

    def forward(self, x):
        return self.decoder(self.transform(x))


class BertForMaskedLM(nn.Module):
    def __init__(self, **c):
        super().__init__()
        self.bert = BertModel(False, **c)
        self.cls = nn.Module()
        self.cls.predictions = LMPredictionHead(self.bert.c, self.bert.embeddings.word_embeddings.weight)

    def forward(self, ids, mask=None, types=None):
        return self.cls.predictions(self.bert(ids, mask, types))


class BertForSequenceClassification(nn.Module):
    def __init__(self, labels=2, **c):
        super().__init__()
        self.bert = BertModel(**c)
        self.classifier = nn.Linear(self.bert.c["d"], labels)

    def forward(self, ids, mask=None, types=None):
        return self.classifier(self.bert(ids, mask, types)[1])


# ---------------------------------------------------------------------------------------------- figures

TF_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
EFF = [(1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1)]
RES = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]), "resnet34": (BasicBlock, [3, 4, 6, 3]), "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]), "resnet152": (Bottleneck, [3, 8, 36, 3]),
}
TINY_LLAMA = dict(vocab=32000, d=2048, inner=5632, layers=22, heads=32, kv=4)
LLAMA32_1B = dict(vocab=128256, d=2048, inner=8192, layers=16, heads=32, kv=8, head=64, tie=True)
QWEN25_05B = dict(vocab=151936, d=896, inner=4864, layers=24, heads=14, kv=2, bias=True, tie=True)
QWEN3_06B = dict(vocab=151936, d=1024, inner=3072, layers=28, heads=16, kv=8, head=128, qk=True, tie=True)

FULL = {
    "alexnet": AlexNet,
    **{f"vgg{d}{'Bn' if bn else ''}": partial(Vgg, d, bn) for d in VGG for bn in (False, True)},
    **{name: partial(ResNet, *args) for name, args in RES.items()},
    "resnext50_32x4d": partial(ResNet, Bottleneck, [3, 4, 6, 3], groups=32, width=4),
    "resnext101_32x8d": partial(ResNet, Bottleneck, [3, 4, 23, 3], groups=32, width=8),
    "resnext101_64x4d": partial(ResNet, Bottleneck, [3, 4, 23, 3], groups=64, width=4),
    "wideResnet50_2": partial(ResNet, Bottleneck, [3, 4, 6, 3], width=128),
    "wideResnet101_2": partial(ResNet, Bottleneck, [3, 4, 23, 3], width=128),
    "mobilenetV2": MobileNetV2,
    "mobilenetV3Small": partial(MobileNetV3, "small"),
    "mobilenetV3Large": partial(MobileNetV3, "large"),
    "shufflenetV2_x0_5": partial(ShuffleNetV2, [24, 48, 96, 192, 1024]),
    "shufflenetV2_x1_0": partial(ShuffleNetV2, [24, 116, 232, 464, 1024]),
    "shufflenetV2_x1_5": partial(ShuffleNetV2, [24, 176, 352, 704, 1024]),
    "shufflenetV2_x2_0": partial(ShuffleNetV2, [24, 244, 488, 976, 2048]),
    **{f"efficientnetB{i}": partial(EfficientNet, w, d, TF_NORM if i >= 5 else nn.BatchNorm2d) for i, (w, d) in enumerate(EFF)},
    "vitB16": partial(VisionTransformer, 224, 16, 12, 12, 768, 3072),
    "vitB32": partial(VisionTransformer, 224, 32, 12, 12, 768, 3072),
    "vitL16": partial(VisionTransformer, 224, 16, 24, 16, 1024, 4096),
    "vitL32": partial(VisionTransformer, 224, 32, 24, 16, 1024, 4096),
    "vitH14": partial(VisionTransformer, 224, 14, 32, 16, 1280, 5120),
    "UNet": UNet,
    "UNet.bilinear": partial(UNet, bilinear=True),
    "gpt2": GPT2LMHeadModel,
    "gpt2Medium": partial(GPT2LMHeadModel, d=1024, layers=24, heads=16),
    "gpt2Large": partial(GPT2LMHeadModel, d=1280, layers=36, heads=20),
    "gpt2Xl": partial(GPT2LMHeadModel, d=1600, layers=48, heads=25),
    "BertModel": BertModel,
    "BertForMaskedLM": BertForMaskedLM,
    "BertForSequenceClassification": BertForSequenceClassification,
    "llama.7B": LlamaForCausalLM,
    "llama.tinyLlama": partial(LlamaForCausalLM, **TINY_LLAMA),
    "llama.llama32_1B": partial(LlamaForCausalLM, **LLAMA32_1B),
    "llama.qwen25_05B": partial(LlamaForCausalLM, **QWEN25_05B),
    "llama.qwen3_06B": partial(LlamaForCausalLM, **QWEN3_06B),
}

IMAGE = dict(kind="image", size=64, classes=10)
SMALL_LM = dict(vocab=31, d=16, layers=2, heads=4)
LLAMA_SMALL = dict(inner=24, theta=100.0, eps=1e-5)
SCALING = dict(factor=4.0, low=1.0, high=4.0, original=16)
SMALL = {
    "lenet": (partial(LeNet, 3), dict(IMAGE, size=28)),
    "alexnet": (partial(AlexNet, 10, 8), dict(IMAGE, dropout=True)),
    "vgg11": (partial(Vgg, 11, False, 10, 8), dict(IMAGE, size=32, dropout=True)),
    "vgg16Bn": (partial(Vgg, 16, True, 10, 8), dict(IMAGE, size=32, dropout=True)),
    "resnet.basic": (partial(ResNet, BasicBlock, [2, 1, 1, 2], 10, base=16), IMAGE),
    "resnet.bottleneck": (partial(ResNet, Bottleneck, [1, 2, 2, 1], 10, base=8), IMAGE),
    "resnext": (partial(ResNet, Bottleneck, [1, 1, 1, 1], 10, 4, 16, 16), IMAGE),
    "mobilenetV2": (partial(MobileNetV2, 10, 0.5), IMAGE),
    "mobilenetV3Small": (partial(MobileNetV3, "small", 10, 0.5), IMAGE),
    "mobilenetV3Large": (partial(MobileNetV3, "large", 10, 0.5), IMAGE),
    "shufflenetV2": (partial(ShuffleNetV2, [24, 48, 96, 192, 1024], 10), IMAGE),
    "efficientnet": (partial(EfficientNet, 0.4, 1.2, TF_NORM, 10), IMAGE),
    "vit": (partial(VisionTransformer, 32, 8, 2, 4, 32, 48, 10), dict(IMAGE, size=32)),
    "vit.representation": (partial(VisionTransformer, 32, 16, 1, 2, 16, 24, 10, 12), dict(IMAGE, size=32)),
    "UNet": (partial(UNet, 3, 4, False, 8), dict(kind="pixels", size=38, classes=4)),
    "UNet.bilinear": (partial(UNet, 3, 4, True, 8), dict(kind="pixels", size=32, classes=4)),
    "gpt2": (partial(GPT2LMHeadModel, 31, 16, 16, 2, 4), dict(kind="tokens", classes=31)),
    "llama": (partial(LlamaForCausalLM, **SMALL_LM, **LLAMA_SMALL), dict(kind="tokens", classes=31)),
    "llama.grouped": (partial(LlamaForCausalLM, **SMALL_LM, **LLAMA_SMALL, kv=2, head=6, bias=True, tie=True, scaling=SCALING), dict(kind="tokens", classes=31)),
    "llama.qwen3": (partial(LlamaForCausalLM, **SMALL_LM, **LLAMA_SMALL, kv=1, qk=True, window=3), dict(kind="tokens", classes=31)),
    "BertModel": (partial(BertModel, vocab=31, d=16, inner=24, layers=2, heads=4, positions=16), dict(kind="bert")),
    "BertForMaskedLM": (partial(BertForMaskedLM, vocab=31, d=16, inner=24, layers=2, heads=4, positions=16), dict(kind="bert", classes=31)),
    "BertForSequenceClassification": (partial(BertForSequenceClassification, 3, vocab=31, d=16, inner=24, layers=2, heads=4, positions=16), dict(kind="bert", classes=3)),
}


def names_digest(state):
    lines = "".join(f"{k} [{','.join(map(str, v.shape))}]\n" for k, v in sorted(state.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def full_size(make):
    class Empty(torch.utils._python_dispatch.TorchDispatchMode):
        """Parameters without memory or values: the largest models have billions."""

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **{**(kwargs or {}), **({"device": "meta"} if "device" in str(func._schema) else {})})

    with Empty():
        model = make()
    return dict(parameters=sum(p.numel() for p in model.parameters()), names=names_digest(model.state_dict()))


def formula_state(model):
    """Unit-gain matrices, scales around 1, biases and means around 0; a shared parameter has the seed of its first name."""
    seen = {}
    for i, (key, t) in enumerate(sorted(model.state_dict(keep_vars=True).items())):
        if not t.is_floating_point() or id(t) in seen:
            continue
        seen[id(t)] = key
        with torch.no_grad():
            if t.dim() >= 2:
                # Embeddings and Conv1D count their first dimension, all others their inputs; the rule only has to be the same on both sides.
                t.copy_(formula(i + 1, t.shape, math.sqrt(3.0 / (t.numel() / t.shape[0]))))
            elif key.endswith(("bias", "running_mean")):
                t.copy_(formula(i + 1, t.shape, 0.1))
            else:
                t.copy_(1 + formula(i + 1, t.shape, 0.2))


def small_size(make, spec):
    model = make()
    formula_state(model)
    kind, classes = spec["kind"], spec.get("classes")
    labels = lambda shape: ((formula(9002, shape) + 0.5) * classes).floor().long().clamp(0, classes - 1)
    if kind in ("image", "pixels"):
        n, size = 2, spec["size"]
        x = (formula(9001, (n, 3, size, size), 1.0),)
        y = labels((n,) if kind == "image" else (n, size, size))
        loss_of = lambda out: F.cross_entropy(out, y)
    elif kind == "tokens":
        ids = ((formula(9001, (2, 9)) + 0.5) * classes).floor().long()
        x = (ids[:, :-1],)
        loss_of = lambda out: F.cross_entropy(out.reshape(-1, classes), ids[:, 1:].reshape(-1))
    else:
        ids = ((formula(9001, (2, 7)) + 0.5) * 31).floor().long()
        mask = torch.ones(2, 7)
        mask[1, 5:] = 0
        types = (formula(9003, (2, 7)) > 0).long()
        x = (ids, mask, types)
        flat = lambda out: out if isinstance(out, torch.Tensor) else torch.cat([o.flatten() for o in out])
        loss_of = lambda out: (flat(out) * formula(9002, flat(out).shape)).sum()
    model.eval()
    out = model(*x)
    outs = [out] if isinstance(out, torch.Tensor) else list(out)
    figures = dict(outputs=[dict(shape=list(o.shape), probe=probe(o)) for o in outs], names=names_digest(model.state_dict()))
    # Dropout has random numbers of its own: those models train in evaluation mode here.
    model.train(not spec.get("dropout") and kind != "bert")
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.p = 0.0
    loss = loss_of(model(*x))
    loss.backward()
    norm = math.sqrt(sum(float((p.grad ** 2).sum()) for p in model.parameters() if p.grad is not None))
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 0.1 / norm * p.grad
    after = loss_of(model(*x))
    return dict(spec=spec, **figures, loss=float(loss), grad_norm=norm, loss_after=float(after))


if __name__ == "__main__":
    lines = []
    for name, make in FULL.items():
        lines.append(f"{json.dumps('full ' + name)}: {json.dumps(full_size(make))}")
    for name, (make, spec) in SMALL.items():
        lines.append(f"{json.dumps('small ' + name)}: {json.dumps(small_size(make, spec))}")
    with open(os.path.join(HERE, "..", "fixtures", "zoo.json"), "w") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")
