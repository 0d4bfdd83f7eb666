/**
 * Random graphs from a seed: elementwise chains, views with guards, reductions, gathers and contractions over awkward sizes, with many
 * values shared and several outputs.
 */
import * as g from '../../src/graph/build.ts';
import { type DType, hostArray, isFloat } from '../../src/graph/dtype.ts';
import { bf16Bits, f16Bits } from '../../src/graph/half.ts';
import type { AxisMap, Binary, Node, Unary } from '../../src/graph/node.ts';

export class Random {
  private s: number;

  constructor(seed: number) {
    this.s = (Math.imul(seed, 2654435761) + 12345) | 0;
  }

  next(): number {
    this.s = (this.s + 0x6d2b79f5) | 0;
    let t = Math.imul(this.s ^ (this.s >>> 15), 1 | this.s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  pick<T>(xs: readonly T[]): T {
    return xs[this.int(xs.length)]!;
  }
}

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17];
/** Just under, at and over vectors and tiles. */
const EDGES = [...SIZES, 11, 13, 15, 23, 31, 32, 33, 47, 48, 49];

/** What graphs are drawn from: `wide` adds the narrow types, sizes around vectors and tiles, and denormals. */
export interface RandomOptions {
  readonly wide?: boolean;
}

const ODD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
const DENORMALS = [1e-40, -3e-41, 2 ** -149];

export function leaf(
  r: Random,
  shape: readonly number[],
  dtype: DType,
  wild = false,
  { wide = false }: RandomOptions = {},
): Node {
  const n = shape.reduce((a, b) => a * b, 1);
  const x = hostArray(dtype, n);
  const bits = dtype === 'bf16' ? bf16Bits : dtype === 'f16' ? f16Bits : null;
  if (bits) {
    for (let i = 0; i < n; i++) (x as Uint16Array)[i] = bits(wild && r.int(12) === 0 ? r.pick(ODD) : r.next() * 4 - 2);
    return g.data(x, shape, dtype);
  }
  for (let i = 0; i < n; i++) {
    if (dtype === 'i64') (x as BigInt64Array)[i] = BigInt(r.int(20) - 10);
    else if (dtype === 'bool') (x as Uint8Array)[i] = r.int(2);
    else if (!isFloat(dtype)) (x as Int32Array)[i] = r.int(20) - 10;
    else if (wild && r.int(12) === 0) (x as Float32Array)[i] = r.pick(wide ? [...ODD, ...DENORMALS] : ODD);
    else (x as Float32Array)[i] = Math.fround(r.next() * 4 - 2);
  }
  return g.data(x, shape, dtype);
}

/** Exact operations only: results must agree to the bit (sums and contractions aside). */
const UNARIES: readonly Unary[] = ['neg', 'abs', 'floor', 'sign', 'sqrt'];
const BINARIES: readonly Binary[] = ['add', 'sub', 'mul', 'min', 'max'];

export interface RandomGraph {
  readonly outputs: Node[];
  /** Whether every output is made of exact operations. */
  readonly exact: boolean;
}

export function randomGraph(seed: number, options: RandomOptions = {}): RandomGraph {
  const r = new Random(seed);
  const sizes = options.wide ? EDGES : SIZES;
  const rank = 1 + r.int(4);
  const shape = Array.from({ length: rank }, () => r.pick(sizes));
  // Now and then large enough to be shared out between threads and cut into pieces.
  const large = r.int(4) === 0;
  if (large) shape[r.int(rank)] = r.pick([64, 129, 300]);
  while (shape.reduce((a, b) => a * b, 1) > (large ? 20_000 : 3000)) shape[r.int(rank)] = r.pick([1, 2, 3]);
  const narrow: readonly DType[] = options.wide ? ['bf16', 'bf16', 'f16', 'i8'] : [];
  const dtype: DType = r.pick(['f32', 'f32', 'f32', 'f64', 'i32', 'i64', 'u8', ...narrow]);
  const wild = r.int(3) === 0;
  const values: Node[] = [leaf(r, shape, dtype, wild, options), leaf(r, shape, dtype)];
  let exact = true;
  const steps = 3 + r.int(16);
  const fit = (x: Node, to: readonly number[]): Node | null => {
    if (x.size === to.reduce((a, b) => a * b, 1)) return g.reshape(x, to);
    const lead = to.length - x.shape.length;
    if (lead >= 0 && x.shape.every((n, d) => n === 1 || n === to[d + lead])) return g.broadcastTo(x, to);
    return null;
  };
  const take = (): Node =>
    r.int(3) === 0 ? r.pick(values) : values[values.length - 1 - r.int(Math.min(3, values.length))]!;
  for (let s = 0; s < steps; s++) {
    const x = take();
    const rankX = x.shape.length;
    switch (r.int(17)) {
      case 0:
      case 1: {
        // Where rounding has come in, a jump could be taken on one side only.
        const fns = isFloat(dtype) && exact ? UNARIES : UNARIES.slice(0, 2);
        values.push(g.unary(r.pick(fns), x));
        break;
      }
      case 2:
      case 3:
      case 4:
      case 5: {
        const others = values.map(v => fit(v, x.shape)).filter(v => v !== null);
        const y = others.length > 0 ? r.pick(others) : leaf(r, x.shape, dtype);
        values.push(g.binary(r.pick(BINARIES), x, y));
        break;
      }
      case 6: {
        if (!exact) break;
        const other = fit(r.pick(values), x.shape) ?? leaf(r, x.shape, dtype);
        values.push(g.where(g.compare(r.pick(['eq', 'lt', 'le'] as const), x, other), x, g.unary('neg', other)));
        break;
      }
      case 7: {
        if (rankX < 2) break;
        const order = Array.from({ length: rankX }, (_, d) => d);
        for (let i = order.length - 1; i > 0; i--) {
          const j = r.int(i + 1);
          [order[i], order[j]] = [order[j]!, order[i]!];
        }
        values.push(g.permute(x, order));
        break;
      }
      case 8: {
        // Another factorisation of the same size.
        const to: number[] = [];
        let left = x.size;
        while (left > 1 && to.length < 4) {
          const divisors = [2, 3, 4, 5, 6, 7, 8, 9, 12].filter(n => left % n === 0);
          const n = divisors.length === 0 || r.int(4) === 0 ? left : r.pick(divisors);
          to.push(n);
          left /= n;
        }
        if (left > 1) to.push(left);
        values.push(g.reshape(x, to));
        break;
      }
      case 9: {
        if (x.size > 20_000) break;
        const lo = x.shape.map(() => r.int(3));
        const hi = x.shape.map(() => r.int(3));
        values.push(g.pad(x, lo, hi, r.int(3)));
        break;
      }
      case 10: {
        const start = x.shape.map(n => r.int(n));
        const step = x.shape.map(() => r.pick([1, 1, 2, -1]));
        const length = x.shape.map((n, d) => {
          const room = step[d]! > 0 ? Math.ceil((n - start[d]!) / step[d]!) : start[d]! + 1;
          return 1 + r.int(room);
        });
        values.push(g.slice(x, start, length, step));
        break;
      }
      case 11: {
        // Windows and dilation: several terms, and a divisor.
        if (rankX === 0) break;
        const axes: AxisMap[] = x.shape.map((_, d) => ({ terms: [[d, 1]], offset: 0, div: 1 }));
        const to = [...x.shape];
        const d = r.int(rankX);
        if (r.int(2) === 0 && x.size < 1000) {
          const k = 1 + r.int(3);
          axes[d] = {
            terms: [
              [d, 1 + r.int(2)],
              [rankX, 1],
            ],
            offset: -r.int(2),
            div: 1,
          };
          to.push(k);
        } else {
          axes[d] = { terms: [[d, 1]], offset: -r.int(2), div: 2 };
          if (x.size < 1000) to[d] = to[d]! * 2;
        }
        values.push(g.reindex(x, to, axes, 0));
        break;
      }
      case 12: {
        const axesOf = x.shape.map((_, d) => d).filter(() => r.int(2) === 0);
        if (axesOf.length === 0) break;
        const kind = r.pick(['sum', 'max', 'min', 'sum'] as const);
        if (kind === 'sum' && isFloat(dtype)) exact = false;
        values.push(g.reduce(kind, x, axesOf));
        break;
      }
      case 13: {
        if (rankX === 0) break;
        const d = r.int(rankX);
        const count = 1 + r.int(5);
        const index = new Int32Array(count).map(() => r.int(x.shape[d]!));
        values.push(g.gather(x, g.data(index, [count], 'i32'), d));
        break;
      }
      case 14: {
        // Rows: softmax or a normalisation over trailing dims.
        if (rankX === 0 || !isFloat(dtype)) break;
        exact = false;
        const axesOf = x.shape.map((_, d) => d).filter(d => d === rankX - 1 || (d > 0 && r.int(3) === 0));
        const back = (y: Node): Node =>
          g.broadcastTo(
            g.reshape(
              y,
              x.shape.map((n, d) => (axesOf.includes(d) ? 1 : n)),
            ),
            x.shape,
          );
        if (r.int(2) === 0) {
          const e = g.unary('exp', g.binary('sub', x, back(g.reduce('max', x, axesOf))));
          if (r.int(3) === 0) values.push(e);
          values.push(g.binary('div', e, back(g.reduce('sum', e, axesOf))));
        } else {
          const n = axesOf.reduce((m, d) => m * x.shape[d]!, 1);
          const mean = g.binary(
            'mul',
            g.reduce('sum', x, axesOf),
            g.full(
              1 / n,
              x.shape.filter((_, d) => !axesOf.includes(d)),
              dtype,
            ),
          );
          const centred = g.binary('sub', x, back(mean));
          const variance = g.reduce('sum', g.binary('mul', centred, centred), axesOf);
          const scale = g.unary('sqrt', g.binary('add', variance, g.full(1, variance.shape, dtype)));
          values.push(g.binary('div', centred, back(scale)));
        }
        break;
      }
      case 15: {
        if (!isFloat(dtype)) break;
        exact = false;
        values.push(
          g.unary(r.pick(['exp', 'tanh', 'sigmoid'] as const), g.binary('min', x, g.full(3, x.shape, dtype))),
        );
        break;
      }
      default: {
        if (rankX < 2 || dtype === 'u8' || x.size > 1500) break;
        // Multiply by a matrix along the last dim.
        const k = x.shape[rankX - 1]!;
        const n = r.pick(sizes);
        const labels = x.shape.map((_, d) => d);
        const w = leaf(r, [k, n], dtype);
        if (isFloat(dtype)) exact = false;
        values.push(g.contract(x, w, labels, [rankX - 1, rankX], [...labels.slice(0, -1), rankX]));
      }
    }
    if (values[values.length - 1]!.shape.length === 0) values.push(g.broadcastTo(values[values.length - 1]!, [3]));
  }
  const outputs = [values[values.length - 1]!];
  for (let i = 0; i < r.int(4); i++) outputs.push(r.pick(values));
  return { outputs: [...new Set(outputs)], exact };
}
