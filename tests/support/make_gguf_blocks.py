"""Writes tests/fixtures/gguf-blocks.json: one or two blocks of formula bytes per GGML format and their weights, by the loops of
ggml-quants.c's dequantize_row_* written out in numpy float32. Run once with any Python 3 that has numpy."""
import base64, json, pathlib
import numpy as np

f = np.float32


def half(b, at):
    return f(np.frombuffer(b[at:at + 2], np.float16)[0])


def min_k4(j, q):
    if j < 4:
        return q[j] & 63, q[j + 4] & 63
    return (q[j + 4] & 0xF) | ((q[j - 4] >> 6) << 4), (q[j + 4] >> 4) | ((q[j] >> 6) << 4)


def q4(b, offset, minimum):
    d = half(b, 0)
    qs = b[offset:]
    y = np.zeros(32, f)
    for j in range(16):
        for k, x in ((j, qs[j] & 0xF), (j + 16, qs[j] >> 4)):
            y[k] = f(f(x) * d) + half(b, 2) if minimum else f(x - 8) * d
    return y


def q5(b, offset, minimum):
    d = half(b, 0)
    qh = int.from_bytes(b[offset - 4:offset], 'little')
    qs = b[offset:]
    y = np.zeros(32, f)
    for j in range(16):
        xh0 = ((qh >> j) << 4) & 0x10
        xh1 = (qh >> (j + 12)) & 0x10
        for k, x in ((j, (qs[j] & 0xF) | xh0), (j + 16, (qs[j] >> 4) | xh1)):
            y[k] = f(f(x) * d) + half(b, 2) if minimum else f(x - 16) * d
    return y


def q8(b, offset, n, d):
    return np.frombuffer(b[offset:offset + n], np.int8).astype(f) * d


def q2k(b):
    d, dmin, q, y, i, s = half(b, 80), half(b, 82), b[16:80], [], 0, b[:16]
    at = 0
    for n in (0, 128):
        shift = 0
        for j in range(4):
            for part in (0, 16):
                sc = s[i]
                i += 1
                dl, ml = d * f(sc & 0xF), dmin * f(sc >> 4)
                y += [dl * f((q[at + part + l] >> shift) & 3) - ml for l in range(16)]
            shift += 2
        at += 32
    return np.array(y, f)


def q3k(b):
    hm, q, d = b[:32], b[32:96], half(b, 108)
    aux = list(np.frombuffer(b[96:108], '<u4').astype(object)) + [0]
    k1, k2 = 0x03030303, 0x0f0f0f0f
    tmp = int(aux[2])
    a0, a1 = int(aux[0]), int(aux[1])
    words = [(a0 & k2) | (((tmp >> 0) & k1) << 4), (a1 & k2) | (((tmp >> 2) & k1) << 4),
             ((a0 >> 4) & k2) | (((tmp >> 4) & k1) << 4), ((a1 >> 4) & k2) | (((tmp >> 6) & k1) << 4)]
    scales = np.frombuffer(np.array(words, '<u4').tobytes(), np.int8)
    y, i, m, at = [], 0, 1, 0
    for n in (0, 128):
        shift = 0
        for j in range(4):
            for part in (0, 16):
                dl = d * f(int(scales[i]) - 32)
                i += 1
                y += [dl * f(((q[at + part + l] >> shift) & 3) - (0 if hm[part + l] & m else 4)) for l in range(16)]
            shift += 2
            m <<= 1
        at += 32
    return np.array(y, f)


def q45k(b, fifth):
    d, dmin, s = half(b, 0), half(b, 2), b[4:16]
    qh, ql = b[16:48], b[48:] if fifth else b[16:]
    y, i, u1, u2, at = [], 0, 1, 2, 0
    for j in range(0, 256, 64):
        sc, m = min_k4(i, s)
        d1, m1 = d * f(sc), dmin * f(m)
        sc, m = min_k4(i + 1, s)
        d2, m2 = d * f(sc), dmin * f(m)
        y += [d1 * f((ql[at + l] & 0xF) + (16 if fifth and qh[l] & u1 else 0)) - m1 for l in range(32)]
        y += [d2 * f((ql[at + l] >> 4) + (16 if fifth and qh[l] & u2 else 0)) - m2 for l in range(32)]
        at += 32
        i += 2
        u1 <<= 2
        u2 <<= 2
    return np.array(y, f)


def q6k(b):
    ql, qh, sc, d = b[:128], b[128:192], np.frombuffer(b[192:208], np.int8), half(b, 208)
    y = np.zeros(256, f)
    for n in range(2):
        for l in range(32):
            i = l // 16
            a, c, h, s = ql[n * 64 + l], ql[n * 64 + l + 32], qh[n * 32 + l], sc[n * 8:]
            qs = ((a & 0xF) | (((h >> 0) & 3) << 4), (c & 0xF) | (((h >> 2) & 3) << 4),
                  (a >> 4) | (((h >> 4) & 3) << 4), (c >> 4) | (((h >> 6) & 3) << 4))
            for k, q in enumerate(qs):
                y[n * 128 + l + 32 * k] = d * f(s[i + 2 * k]) * f(q - 32)
    return y


KV = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]


def iq4nl(b):
    d = half(b, 0)
    return np.array([d * f(KV[x & 15]) for x in b[2:]] + [d * f(KV[x >> 4]) for x in b[2:]], f)


def iq4xs(b):
    d, high, y = half(b, 0), b[2] | b[3] << 8, []
    for ib in range(8):
        ls = ((b[4 + ib // 2] >> 4 * (ib % 2)) & 0xF) | (((high >> 2 * ib) & 3) << 4)
        dl = d * f(ls - 32)
        qs = b[8 + 16 * ib:24 + 16 * ib]
        y += [dl * f(KV[x & 0xF]) for x in qs] + [dl * f(KV[x >> 4]) for x in qs]
    return np.array(y, f)


# name: (bytes, where the f16 scales lie, decode)
FORMATS = {
    'q4_0': (18, (0,), lambda b: q4(b, 2, False)), 'q4_1': (20, (0, 2), lambda b: q4(b, 4, True)),
    'q5_0': (22, (0,), lambda b: q5(b, 6, False)), 'q5_1': (24, (0, 2), lambda b: q5(b, 8, True)),
    'q8_0': (34, (0,), lambda b: q8(b, 2, 32, half(b, 0))), 'q8_1': (36, (0,), lambda b: q8(b, 4, 32, half(b, 0))),
    'q2_K': (84, (80, 82), q2k), 'q3_K': (110, (108,), q3k), 'q4_K': (144, (0, 2), lambda b: q45k(b, False)),
    'q5_K': (176, (0, 2), lambda b: q45k(b, True)), 'q6_K': (210, (208,), q6k),
    'q8_K': (292, (), lambda b: q8(b, 4, 256, np.frombuffer(b[:4], f)[0])),
    'iq4_nl': (18, (0,), iq4nl), 'iq4_xs': (136, (0,), iq4xs),
}
out = {}
for k, (name, (size, halves, decode)) in enumerate(FORMATS.items()):
    b = bytearray((i * i * 7 + i * (31 + 2 * k) + 113 * k + (i >> 3)) % 251 for i in range(size))
    for n, at in enumerate(halves):
        b[at:at + 2] = np.float16(0.0123 * (k + 1) / (n + 1)).tobytes()
    if name == 'q8_K':
        b[:4] = f(0.0371).tobytes()
    b = bytes(b)
    out[name] = {'bytes': base64.b64encode(b).decode(), 'weights': base64.b64encode(decode(b).astype('<f4').tobytes()).decode()}
target = pathlib.Path(__file__).parent.parent / 'fixtures' / 'gguf-blocks.json'
target.write_text(json.dumps(out, indent=2) + '\n')
