"""Makes tests/fixtures/nn.json with PyTorch 1.13 in f64: for each module its state-dict keys and shapes, outputs, gradients and buffers
for formula weights and inputs; and tests/fixtures/torch-nn-classes.json, the public classes of torch.nn.

    python3 tests/support/torch_nn.py
"""
import inspect
import json
import os
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch_formula import formula, probe

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))


def fill(module):
    for i, (_, p) in enumerate(module.named_parameters()):
        with torch.no_grad():
            p.copy_(formula(i + 1, p.shape))
    # The vectors of spectral norm, which start at random.
    for i, (name, b) in enumerate(module.named_buffers()):
        if name.endswith(("_u", "_v")):
            b.copy_(formula(300 + i, b.shape))


def outputs_of(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [t for part in result for t in outputs_of(part)]


X = lambda *shape: dict(shape=list(shape), kind="float")
I = lambda n, *shape: dict(shape=list(shape), kind="int", n=n)
P = lambda *shape: dict(shape=list(shape), kind="probability")
M = lambda *shape: dict(shape=list(shape), kind="mask")
S = lambda *shape: dict(shape=list(shape), kind="sign")
U = lambda *shape: dict(shape=list(shape), kind="unit")


def make_input(spec, seed):
    u = formula(seed, spec["shape"])
    if spec["kind"] == "float":
        return (2 * u).requires_grad_()
    if spec["kind"] == "int":
        return ((u + 0.5) * spec["n"]).floor().long().clamp(0, spec["n"] - 1)
    if spec["kind"] == "mask":
        return u > 0.2
    if spec["kind"] == "unit":
        return (u + 0.5).requires_grad_()
    if spec["kind"] == "sign":
        return torch.where(u > 0, 1.0, -1.0)
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
    "Conv2d.reflect": (nn.Conv2d(2, 3, 3, padding=(2, 1), stride=2, padding_mode="reflect"), [X(2, 2, 5, 6)]),
    "Conv1d.circular": (nn.Conv1d(2, 3, 3, padding=2, padding_mode="circular"), [X(2, 2, 6)]),
    "Conv3d.replicate": (nn.Conv3d(2, 2, 2, padding=1, padding_mode="replicate"), [X(1, 2, 2, 3, 3)]),
    "Conv2d.sameEven": (nn.Conv2d(2, 2, (2, 4), padding="same", dilation=(1, 3)), [X(1, 2, 4, 9)]),
    "Conv2d.sameReflect": (nn.Conv2d(2, 2, (2, 4), padding="same", padding_mode="reflect"), [X(1, 2, 4, 5)]),
    "Conv2d.unbatched": (nn.Conv2d(2, 3, 3), [X(2, 4, 5)]),
    "ConvTranspose2d.outputSize": (nn.ConvTranspose2d(2, 3, 3, stride=3, padding=1), [X(1, 2, 3, 2)]),
    "BatchNorm1d.length": (nn.BatchNorm1d(3), [X(2, 3, 5)]),
    "InstanceNorm1d.tracked": (nn.InstanceNorm1d(3, affine=True, track_running_stats=True, momentum=0.3), [X(2, 3, 5)]),
    "InstanceNorm2d.trackedEval": (nn.InstanceNorm2d(3, track_running_stats=True).eval(), [X(2, 3, 4, 5)]),
    "InstanceNorm2d.unbatched": (nn.InstanceNorm2d(3), [X(3, 4, 5)]),
    "InstanceNorm3d": (nn.InstanceNorm3d(2, eps=1e-3), [X(2, 2, 2, 3, 2)]),
    "LocalResponseNorm": (nn.LocalResponseNorm(4, alpha=0.3, beta=0.6, k=2.0), [X(2, 6, 3)]),
    "CrossMapLRN2d": (nn.CrossMapLRN2d(3, alpha=0.3, beta=0.6, k=2), [X(2, 6, 3, 2)]),
    "CrossMapLRN2d.even": (nn.CrossMapLRN2d(4, alpha=0.3), [X(2, 6, 3, 2)]),
    "Embedding.maxNorm": (nn.Embedding(7, 3, max_norm=0.4), [I(7, 4, 2)]),
    "Embedding.scaleGradByFreq": (nn.Embedding(7, 3, scale_grad_by_freq=True), [I(7, 4, 5)]),
    "EmbeddingBag": (nn.EmbeddingBag(7, 3), [I(7, 4, 5)]),
    "EmbeddingBag.sum": (nn.EmbeddingBag(7, 3, mode="sum", padding_idx=1), [I(7, 12)]),
    "EmbeddingBag.max": (nn.EmbeddingBag(7, 3, mode="max", include_last_offset=True), [I(7, 12)]),
    "ReLU": (nn.ReLU(), [X(3, 4)]),
    "Sigmoid": (nn.Sigmoid(), [X(3, 4)]),
    "Tanh": (nn.Tanh(), [X(3, 4)]),
    "Softmax": (nn.Softmax(1), [X(3, 4)]),
    "Softmax2d": (nn.Softmax2d(), [X(2, 3, 4, 2)]),
    "RReLU.eval": (nn.RReLU(0.1, 0.4).eval(), [X(3, 4)]),
    "PReLU.one": (nn.PReLU(), [X(2, 3, 4)]),
    "GLU.dim": (nn.GLU(1), [X(3, 4, 2)]),
    "Dropout.eval": (nn.Sequential(nn.Dropout(), nn.Dropout1d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()).eval(), [X(3, 4, 2)]),
    "Identity": (nn.Identity(), [X(3, 4)]),
    "ConstantPad1d": (nn.ConstantPad1d((2, 1), 0.7), [X(2, 3, 4)]),
    "ConstantPad2d": (nn.ConstantPad2d((2, 1, 0, -1), 0.7), [X(2, 3, 4)]),
    "ConstantPad3d": (nn.ConstantPad3d(1, -2.0), [X(1, 2, 2, 3)]),
    "ZeroPad2d": (nn.ZeroPad2d((0, 1, 2, 0)), [X(2, 3, 4)]),
    "ReflectionPad1d": (nn.ReflectionPad1d((2, 1)), [X(2, 3, 4)]),
    "ReflectionPad2d": (nn.ReflectionPad2d((2, 1, 0, 2)), [X(2, 2, 3, 4)]),
    "ReflectionPad3d": (nn.ReflectionPad3d(1), [X(1, 2, 2, 3, 2)]),
    "ReplicationPad1d": (nn.ReplicationPad1d((5, 1)), [X(2, 3, 4)]),
    "ReplicationPad2d": (nn.ReplicationPad2d((2, 1, 0, 2)), [X(2, 2, 3, 4)]),
    "ReplicationPad3d": (nn.ReplicationPad3d(1), [X(1, 2, 2, 3, 2)]),
    "MaxPool2d.indices": (nn.MaxPool2d(2, stride=1, return_indices=True), [X(2, 2, 4, 3)]),
    "AdaptiveAvgPool3d": (nn.AdaptiveAvgPool3d((2, None, 3)), [X(1, 2, 3, 2, 4)]),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(3, return_indices=True), [X(2, 2, 7)]),
    "AdaptiveMaxPool3d": (nn.AdaptiveMaxPool3d(2), [X(1, 2, 4, 3, 5)]),
    "LPPool1d": (nn.LPPool1d(2, 3, stride=2), [X(2, 3, 9)]),
    "LPPool2d": (nn.LPPool2d(2, (2, 3), ceil_mode=True), [X(2, 2, 5, 6)]),
    "MaxUnpool1d": (nn.MaxUnpool1d(2), [X(2, 2, 7)]),
    "MaxUnpool2d": (nn.MaxUnpool2d(2), [X(2, 2, 5, 4)]),
    "MaxUnpool3d": (nn.MaxUnpool3d(2), [X(1, 2, 4, 4, 2)]),
    "PixelShuffle": (nn.PixelShuffle(2), [X(2, 8, 2, 3)]),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), [X(2, 2, 4, 6)]),
    "Upsample": (nn.Upsample(scale_factor=2), [X(2, 2, 3)]),
    "Upsample.linear": (nn.Upsample(size=5, mode="linear"), [X(2, 2, 3)]),
    "Upsample.bilinear": (nn.Upsample(scale_factor=(1.5, 2.0), mode="bilinear"), [X(2, 2, 3, 4)]),
    "Upsample.bicubic": (nn.Upsample(size=(5, 7), mode="bicubic", align_corners=True), [X(2, 2, 3, 4)]),
    "Upsample.trilinear": (nn.Upsample(scale_factor=2, mode="trilinear"), [X(1, 2, 2, 3, 2)]),
    "UpsamplingNearest2d": (nn.UpsamplingNearest2d(size=(5, 6)), [X(2, 2, 3, 4)]),
    "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(scale_factor=2), [X(2, 2, 3, 4)]),
    "Unfold": (nn.Unfold((2, 3), dilation=(1, 2), padding=1, stride=(2, 1)), [X(2, 2, 5, 6)]),
    "Fold": (nn.Fold((4, 5), (2, 3), padding=1, stride=2), [X(2, 12, 9)]),
    "CosineSimilarity": (nn.CosineSimilarity(dim=-1), [X(3, 4), X(3, 4)]),
    "PairwiseDistance": (nn.PairwiseDistance(p=3, keepdim=True), [X(3, 4), X(3, 4)]),
    "RNN.batchFirst": (nn.RNN(3, 4, batch_first=True), [X(2, 5, 3)]),
    "LSTM.proj": (nn.LSTM(3, 5, num_layers=2, proj_size=2, bidirectional=True), [X(4, 2, 3)]),
    "LSTM.projState": (nn.LSTM(3, 5, proj_size=2), [X(4, 2, 3), X(1, 2, 2), X(1, 2, 5)]),
    "LSTMCell.single": (nn.LSTMCell(3, 4), [X(3), X(4), X(4)]),
    "GRUCell.single": (nn.GRUCell(3, 4, bias=False), [X(3)]),
    "RNNCell.relu": (nn.RNNCell(3, 4, nonlinearity="relu"), [X(2, 3), X(2, 4)]),
    "MultiheadAttention.biasKv": (nn.MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True), [X(4, 3, 6), X(5, 3, 6), X(5, 3, 6), M(3, 5)]),
    "MultiheadAttention.single": (nn.MultiheadAttention(6, 2, bias=False, batch_first=True), [X(4, 6), X(5, 6), X(5, 6)]),
    "MultiheadAttention.perHead": (nn.MultiheadAttention(4, 2), [X(3, 2, 4), X(3, 2, 4), X(3, 2, 4), X(4, 3, 3)]),
    "Transformer": (nn.Transformer(6, 2, num_encoder_layers=2, num_decoder_layers=1, dim_feedforward=8, dropout=0.0), [X(4, 2, 6), X(3, 2, 6), M(2, 4)]),
    "AdaptiveLogSoftmaxWithLoss": (nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], div_value=2.0, head_bias=True), [X(6, 8), I(12, 6)]),
    "BCELoss": (nn.BCELoss(weight=formula(30, (4,)) + 1), [U(6, 4), P(6, 4)]),
    "BCEWithLogitsLoss.posWeight": (nn.BCEWithLogitsLoss(pos_weight=formula(31, (4,)) + 1), [X(6, 4), P(6, 4)]),
    "CrossEntropyLoss.weight": (nn.CrossEntropyLoss(weight=formula(32, (4,)) + 1, ignore_index=1), [X(2, 4, 3), I(4, 2, 3)]),
    "CrossEntropyLoss.probabilities": (nn.CrossEntropyLoss(reduction="sum"), [X(6, 4), P(6, 4)]),
    "SoftMarginLoss": (nn.SoftMarginLoss(), [X(6, 2), S(6, 2)]),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss(), [X(6, 4), I(2, 6, 4)]),
    "MultiMarginLoss": (nn.MultiMarginLoss(p=2, margin=0.5, weight=formula(33, (4,)) + 1), [X(6, 4), I(4, 6)]),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss(margin=0.3), [X(6, 2), S(6, 2)]),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(full=True), [X(6), I(5, 6)]),
    "GaussianNLLLoss": (nn.GaussianNLLLoss(full=True), [X(6), X(6), P(6)]),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss(margin=0.1), [X(6, 3), X(6, 3), S(6)]),
    "MarginRankingLoss": (nn.MarginRankingLoss(margin=0.2), [X(6), X(6), S(6)]),
    "TripletMarginLoss": (nn.TripletMarginLoss(margin=0.7, swap=True), [X(6, 3), X(6, 3), X(6, 3)]),
    "TripletMarginWithDistanceLoss": (nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(p=1), margin=0.4, swap=True), [X(6, 3), X(6, 3), X(6, 3)]),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss(), [X(3, 4)]),
    "CTCLoss": (nn.CTCLoss(blank=1), [X(6, 2, 4)]),
    "CTCLoss.infinite": (nn.CTCLoss(reduction="sum", zero_infinity=True), [X(3, 2, 4)]),
    "FractionalMaxPool2d": (nn.FractionalMaxPool2d((2, 3), output_size=(3, 2), return_indices=True, _random_samples=formula(50, (2, 2, 2)) + 0.5), [X(2, 2, 6, 7)]),
    "FractionalMaxPool3d": (nn.FractionalMaxPool3d(2, output_ratio=0.5, _random_samples=formula(51, (1, 2, 3)) + 0.5), [X(1, 2, 4, 6, 4)]),
    "weightNorm": (nn.utils.weight_norm(nn.Linear(4, 3)), [X(5, 4)]),
    "weightNorm.dim": (nn.utils.weight_norm(nn.ConvTranspose1d(2, 3, 2), dim=1), [X(1, 2, 4)]),
    "weightNorm.whole": (nn.utils.weight_norm(nn.Linear(4, 3), dim=None), [X(5, 4)]),
    "spectralNorm": (nn.utils.spectral_norm(nn.Conv2d(2, 3, 2)), [X(1, 2, 3, 4)]),
    "spectralNorm.eval": (nn.utils.spectral_norm(nn.Linear(4, 3)).eval(), [X(5, 4)]),
    "spectralNorm.transposed": (nn.utils.spectral_norm(nn.ConvTranspose1d(2, 3, 2), n_power_iterations=2), [X(1, 2, 4)]),
}

CALLS = {
    "LSTM.state": lambda m, x, h, c: m(x, (h, c)),
    "LSTMCell": lambda m, x, h, c: m(x, (h, c)),
    "MultiheadAttention": lambda m, x: m(x, x, x, attn_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)),
    "MultiheadAttention.cross": lambda m, q, k, v, mask: m(q, k, v, key_padding_mask=seen(mask)),
    "MultiheadAttention.biasKv": lambda m, q, k, v, mask: m(q, k, v, key_padding_mask=mask),
    "MultiheadAttention.perHead": lambda m, q, k, v, mask: m(q, k, v, attn_mask=mask, average_attn_weights=False),
    "Transformer": lambda m, src, tgt, mask: m(
        src, tgt, tgt_mask=nn.Transformer.generate_square_subsequent_mask(3), src_key_padding_mask=seen(mask), memory_key_padding_mask=seen(mask)
    ),
    "LSTM.projState": lambda m, x, h, c: m(x, (h, c)),
    "LSTMCell.single": lambda m, x, h, c: m(x, (h, c)),
    "ConvTranspose2d.outputSize": lambda m, x: m(x, output_size=[9, 5]),
    "EmbeddingBag.sum": lambda m, index: m(index, torch.tensor([0, 5, 5]), formula(40, (12,))),
    "EmbeddingBag.max": lambda m, index: m(index, torch.tensor([0, 3, 4, 12])),
    "MultiLabelMarginLoss": lambda m, x: m(x, torch.tensor([[3, 0, -1, 1], [2, -1, 0, 0], [-1, 0, 1, 2]])),
    "CTCLoss": lambda m, x: m(x.log_softmax(2), torch.tensor([[0, 2, 2], [3, 0, 0]]), torch.tensor([6, 5]), torch.tensor([3, 1])),
    "CTCLoss.infinite": lambda m, x: m(x.log_softmax(2), torch.tensor([1, 1, 1, 2]), torch.tensor([3, 3]), torch.tensor([3, 1])),
    "PoissonNLLLoss": lambda m, x, counts: m(x, counts.double()),
    "MaxUnpool1d": lambda m, x: m(*F.max_pool1d(x, 2, return_indices=True), output_size=[7]),
    "MaxUnpool2d": lambda m, x: m(*F.max_pool2d(x, 2, return_indices=True), output_size=[5, 4]),
    "MaxUnpool3d": lambda m, x: m(*F.max_pool3d(x, 2, return_indices=True)),
}


def seen(mask):
    """Every sequence keeps its first key."""
    mask = mask.clone()
    mask[:, 0] = False
    return mask



def nn_case(name):
    module, specs = CASES[name]
    fill(module)
    inputs = [make_input(s, 500 + i) for i, s in enumerate(specs)]
    call = CALLS.get(name, lambda m, *xs: m(*xs))
    outputs = outputs_of(call(module, *inputs))
    loss = sum((o * formula(700 + i, o.shape)).sum() for i, o in enumerate(outputs) if o.is_floating_point())
    loss.backward()
    return dict(
        inputs=specs,
        keys={k: list(v.shape) for k, v in module.state_dict().items()},
        outputs=[dict(shape=list(o.shape), probe=probe(o)) for o in outputs],
        grads={k: probe(p.grad) for k, p in module.named_parameters()},
        weights={k: probe(p) for k, p in module.named_parameters()} if name == "Embedding.maxNorm" else None,
        # The backward of CrossMapLRN2d is not the derivative of its forward, which never drops channel 0 from its sliding sum.
        input_grads=[probe(x.grad) if x.requires_grad and x.grad is not None and "CrossMap" not in name else None for x in inputs],
        buffers={k: probe(b) for k, b in module.named_buffers()},
    )


def write(name, value):
    with open(os.path.join(HERE, "..", "fixtures", name), "w") as f:
        body = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        f.write("{\n" + body + "\n}\n")


if __name__ == "__main__":
    write("nn.json", {name: nn_case(name) for name in CASES})
    classes = sorted(n for n, c in vars(nn).items() if inspect.isclass(c))
    with open(os.path.join(HERE, "..", "fixtures", "torch-nn-classes.json"), "w") as f:
        f.write(json.dumps(classes) + "\n")
