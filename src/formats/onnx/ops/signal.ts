/** Fourier transforms as products with their matrices, window functions, mel filters. */
import { cat, stack, type Tensor } from '../../../tensor/index.ts';
import type { OperatorTable, Rule } from '../call.ts';
import { TYPES } from '../elementTypes.ts';
import { tensorOf } from '../tensorData.ts';
import { typed } from '../values.ts';
import { dtypeAttribute } from './shape.ts';

/** cos and sin of 2 pi j k / n for inputs j and outputs k, the product reduced first so that large ones stay exact. */
function fourier(inputs: number, outputs: number, n: number, dtype: Tensor['dtype']): { cos: Tensor; sin: Tensor } {
  const angle = (i: number): number => (2 * Math.PI * ((Math.floor(i / outputs) * (i % outputs)) % n)) / n;
  const matrix = (fn: (x: number) => number): Tensor =>
    tensorOf(
      Float64Array.from({ length: inputs * outputs }, (_, i) => fn(angle(i))),
      [inputs, outputs],
      dtype,
    );
  return { cos: matrix(Math.cos), sin: matrix(Math.sin) };
}

/** The last dim cut or filled with zeros to n. */
function fitted(x: Tensor, n: number): Tensor {
  const size = x.shape[x.ndim - 1]!;
  return size >= n ? x.narrow(x.ndim - 1, 0, n) : x.constantPad([0, n - size]);
}

/** Transforms the last dim; bins outputs. Inverse divides by n. */
function transform(re: Tensor, im: Tensor | null, n: number, bins: number, inverse: boolean): [Tensor, Tensor] {
  const { cos, sin } = fourier(n, bins, n, re.dtype);
  const real = fitted(re, n);
  const sign = inverse ? 1 : -1;
  let outRe = real.matmul(cos);
  let outIm = real.matmul(sin).mul(sign);
  if (im) {
    const imaginary = fitted(im, n);
    outRe = outRe.sub(imaginary.matmul(sin).mul(sign));
    outIm = outIm.add(imaginary.matmul(cos));
  }
  return inverse ? [outRe.div(n), outIm.div(n)] : [outRe, outIm];
}

const wide = (x: Tensor): Tensor => (x.dtype === 'f64' ? x : x.to('f32'));

/** Real input has a last dim of 1, complex of 2. Before opset 20 the axis was an attribute. */
const dft: Rule = call => {
  const x = call.x(0);
  const signal = x.ndim - 1;
  const axisOf = call.opset < 20 ? call.int('axis', 1) : call.numberOr(2, -2);
  const axis = call.axis(axisOf, x.ndim);
  const [inverse, onesided] = [call.flag('inverse'), call.flag('onesided')];
  const n = call.has(1) ? call.number(1) : inverse && onesided ? 2 * (x.shape[axis]! - 1) : x.shape[axis]!;
  const parts = x.shape[signal] === 2 ? 2 : 1;
  const last = (part: number): Tensor => wide(x.select(signal, part)).transpose(axis, signal - 1);
  let [re, im]: [Tensor, Tensor | null] = [last(0), parts === 2 ? last(1) : null];
  if (inverse && onesided) {
    // The other half is the mirrored conjugate; the result is real.
    const half = Math.floor(n / 2) + 1;
    const mirrored = (t: Tensor): Tensor =>
      fitted(t, half)
        .narrow(t.ndim - 1, 1, n - half)
        .flip(t.ndim - 1);
    const imaginary = im ?? re.mul(0);
    [re, im] = [
      cat([fitted(re, half), mirrored(re)], re.ndim - 1),
      cat([fitted(imaginary, half), mirrored(imaginary).neg()], re.ndim - 1),
    ];
    const [real] = transform(re, im, n, n, true);
    return call.like(0, real.transpose(axis, signal - 1).unsqueeze(signal));
  }
  const bins = onesided ? Math.floor(n / 2) + 1 : n;
  const [outRe, outIm] = transform(re, im, n, bins, inverse);
  return call.like(0, stack([outRe.transpose(axis, signal - 1), outIm.transpose(axis, signal - 1)], signal));
};

const stft: Rule = call => {
  const x = call.x(0);
  const step = call.number(1);
  const window = call.optional(2);
  const length = call.has(3)
    ? call.number(3)
    : window
      ? window.numel()
      : call.fail('neither window nor frame_length is given');
  const onesided = call.flag('onesided', true);
  const parts = x.shape[2] === 2 ? 2 : 1;
  const frames = (part: number): Tensor => {
    const cut = wide(x.select(2, part)).unfold(1, length, step);
    return window ? cut.mul(wide(window)) : cut;
  };
  const bins = onesided ? Math.floor(length / 2) + 1 : length;
  const [re, im] = transform(frames(0), parts === 2 ? frames(1) : null, length, bins, false);
  return call.like(0, stack([re, im], 3));
};

/** Sum of cosines (periodic: over n, symmetric: over n - 1). */
const cosineWindow =
  (terms: readonly number[]): Rule =>
  call => {
    const n = call.number(0);
    const type = dtypeAttribute(call, 'float', 'output_datatype');
    const period = call.flag('periodic', true) ? n : n - 1;
    const value = (i: number): number =>
      terms.reduce((sum, a, k) => sum + a * Math.cos((2 * Math.PI * k * i) / period), 0);
    return typed(
      tensorOf(
        Float64Array.from({ length: n }, (_, i) => value(i)),
        [n],
        TYPES[type].dtype,
      ),
      type,
    );
  };

/** Triangular filters, evenly spaced in mels, over the bins of a spectrum. */
const melWeightMatrix: Rule = call => {
  const [mels, length, rate, low, high] = [0, 1, 2, 3, 4].map(i => call.number(i)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const type = dtypeAttribute(call, 'float', 'output_datatype');
  const bins = Math.floor(length / 2) + 1;
  const toMel = (f: number): number => 2595 * Math.log10(1 + f / 700);
  const [from, to] = [toMel(low), toMel(high)];
  const edges = Array.from({ length: mels + 2 }, (_, i) => {
    const mel = i * ((to - from) / (mels + 2)) + from;
    return Math.floor(((length + 1) * (700 * (10 ** (mel / 2595) - 1))) / rate);
  });
  const weights = new Float64Array(bins * mels);
  for (let m = 0; m < mels; m++) {
    const [left, center, right] = edges.slice(m, m + 3) as [number, number, number];
    if (center === left) weights[center * mels + m] = 1;
    else for (let j = left; j <= center; j++) if (j < bins) weights[j * mels + m] = (j - left) / (center - left);
    for (let j = center; j < right; j++)
      if (j < bins && right > center) weights[j * mels + m] = (right - j) / (right - center);
  }
  return typed(tensorOf(weights, [bins, mels], TYPES[type].dtype), type);
};

export const signal: OperatorTable = {
  BlackmanWindow: cosineWindow([0.42, -0.5, 0.08]),
  DFT: dft,
  HammingWindow: cosineWindow([25 / 46, -21 / 46]),
  HannWindow: cosineWindow([0.5, -0.5]),
  MelWeightMatrix: melWeightMatrix,
  STFT: stft,
};
