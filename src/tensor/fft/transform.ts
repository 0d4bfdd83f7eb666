/**
 * The discrete Fourier transform of one dim, composed of contractions: a length is split into factors of at most 64
 * (Cooley and Tukey 1965), each of which is a product with its matrix of roots of unity, with twiddle factors in
 * between; a large prime goes through a power of two (Bluestein 1970). So it is as fast as contractions are, and its
 * gradients, transforms and batches are theirs.
 */
import * as build from '../../graph/build.ts';
import { hostArray } from '../../graph/dtype.ts';
import { writer } from '../convert.ts';
import { Tensor } from '../tensor.ts';
import { mapParts, type Parts } from './complex.ts';

/** Largest factor that is one product with a matrix. */
const RADIX = 64;
/** Largest prime length for which the matrix is taken all the same. */
const PRIME = 256;

type Float = 'f32' | 'f64';

function literal(values: readonly number[], shape: readonly number[], dtype: Float): Tensor {
  const host = hostArray(dtype, values.length);
  const write = writer(dtype, host);
  values.forEach((value, i) => {
    write(i, value);
  });
  return new Tensor(build.data(host, shape, dtype));
}

/** cos and sin of 2 pi k / n, from the octant where they are exact. */
function root(k: number, n: number): { readonly cos: number; readonly sin: number } {
  const turn = ((k % n) + n) % n;
  const eighths = Math.floor((8 * turn) / n);
  const part = (count: number): number => (2 * Math.PI * count) / n;
  const near = (count: number): [number, number] => [Math.cos(part(count)), Math.sin(part(count))];
  const [cos, sin] = ((): [number, number] => {
    const quarter = n / 4;
    switch (eighths) {
      case 0:
        return near(turn);
      case 1:
      case 2: {
        const [c, s] = near(turn - quarter);
        return [-s, c];
      }
      case 3:
      case 4: {
        const [c, s] = near(turn - n / 2);
        return [-c, -s];
      }
      case 5:
      case 6: {
        const [c, s] = near(turn - 3 * quarter);
        return [s, -c];
      }
      default:
        return near(turn - n);
    }
  })();
  return { cos, sin };
}

const table = (rows: number, cols: number, angle: (i: number, j: number) => number, n: number) => {
  const cos: number[] = [];
  const sin: number[] = [];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) {
      const { cos: c, sin: s } = root(angle(i, j), n);
      cos.push(c);
      sin.push(s);
    }
  return { cos, sin };
};

/** (a + i b)(c + i d) with the second known; a factor without imaginary part saves half of it. */
function product(x: Parts, times: (part: Tensor, of: 'cos' | 'sin') => Tensor): Parts {
  const { real, imag } = x;
  if (!imag) return { real: times(real, 'cos'), imag: times(real, 'sin') };
  return {
    real: times(real, 'cos').sub(times(imag, 'sin')),
    imag: times(real, 'sin').add(times(imag, 'cos')),
  };
}

/** Sum over dim `d` of x[j] w^(jk), w = exp(sign 2 pi i / n), by the matrix of roots. */
function byMatrix(x: Parts, d: number, n: number, sign: 1 | -1): Parts {
  const { dtype, ndim } = x.real;
  const { cos, sin } = table(n, n, (j, k) => sign * j * k, n);
  const matrices = { cos: literal(cos, [n, n], dtype as Float), sin: literal(sin, [n, n], dtype as Float) };
  const labels = x.real.shape.map((_, i) => i);
  const out = labels.map(label => (label === d ? ndim : label));
  return product(x, (part, of) => new Tensor(build.contract(part.node, matrices[of].node, labels, [d, ndim], out)));
}

/** The largest divisor up to RADIX, or the smallest prime one. */
function factorOf(n: number): number {
  for (let p = RADIX; p > 1; p--) if (n % p === 0) return p;
  let p = RADIX + 1;
  while (p * p <= n && n % p !== 0) p++;
  return n % p === 0 ? p : n;
}

/**
 * The transform of the last dim, of length n, without a factor: sign -1 forward, 1 backward.
 */
export function transformLast(x: Parts, sign: 1 | -1): Parts {
  const { shape, dtype } = x.real;
  const n = shape.at(-1)!;
  const d = shape.length - 1;
  if (n === 1) return x;
  if (n <= RADIX) return byMatrix(x, d, n, sign);
  const p = factorOf(n);
  if (p === n) return n <= PRIME ? byMatrix(x, d, n, sign) : bluestein(x, sign);
  // j = q j1 + j2, k = k1 + p k2: over j1, then the twiddles w_n^(j2 k1), then over j2.
  const q = n / p;
  const lead = shape.slice(0, -1);
  const columns = mapParts(x, part => part.reshape([...lead, p, q]));
  const inner = p <= RADIX ? byMatrix(columns, d, p, sign) : swapped(transformLast(swapped(columns), sign));
  const { cos, sin } = table(p, q, (k1, j2) => sign * k1 * j2, n);
  const twiddles = { cos: literal(cos, [p, q], dtype as Float), sin: literal(sin, [p, q], dtype as Float) };
  const turned = product(inner, (part, of) => part.mul(twiddles[of]));
  return mapParts(swapped(transformLast(turned, sign)), part => part.reshape(shape));
}

const swapped = (x: Parts): Parts => mapParts(x, part => part.transpose(-1, -2));

/** jk = (j^2 + k^2 - (k - j)^2) / 2 makes it a convolution with a chirp, done in a power of two. */
function bluestein(x: Parts, sign: 1 | -1): Parts {
  const { shape, dtype } = x.real;
  const n = shape.at(-1)!;
  const m = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const chirp = table(1, n, (_, j) => sign * ((j * j) % (2 * n)), 2 * n);
  const factors = { cos: literal(chirp.cos, [n], dtype as Float), sin: literal(chirp.sin, [n], dtype as Float) };
  const times = (part: Tensor, of: 'cos' | 'sin'): Tensor => part.mul(factors[of]);
  const padded = mapParts(product(x, times), part => part.constantPad([0, m - n]));
  // The kernel w^(-k^2 / 2), round the end for negative k.
  const kernel = (values: readonly number[], flip: 1 | -1): Tensor => {
    const line = new Array<number>(m).fill(0);
    values.forEach((value, k) => {
      line[k] = flip * value;
      if (k > 0) line[m - k] = flip * value;
    });
    return literal(line, [m], dtype as Float);
  };
  const response = transformLast({ real: kernel(chirp.cos, 1), imag: kernel(chirp.sin, -1) }, -1);
  const parts = { cos: response.real, sin: response.imag! };
  const spectrum = product(transformLast(padded, -1), (part, of) => part.mul(parts[of]));
  const back = mapParts(transformLast(spectrum, 1), part => part.narrow(-1, 0, n).mul(1 / m));
  return product(back, times);
}
