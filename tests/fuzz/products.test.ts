/**
 * Random products and their gradients, compiled, against the reference backend in f64: every element within the
 * rounding of its own sum; NaN and infinities where IEEE has them; on several threads to the bit what they are on one.
 * TENON_ISA says which machine code.
 */
import { expect, it } from 'vitest';
import { compile, type DType, isFloat, onesLike, setBackend, setNumThreads, Tensor, vjp } from '../../src/index.ts';
import { FIRST, MINUTES, runFor, THREADS } from './budget.ts';
import { type Product, randomProduct } from './products.ts';
import { Random } from './random.ts';
import { EPSILON } from './values.ts';

const RUNS = Number(process.env['TENON_FUZZ'] ?? 24);
const backend = process.env['TENON_BACKEND'] ?? 'x86';

/** From here on a sum may overflow in one order and not in another. */
const LARGE: { readonly [D in DType]?: number } = { f32: 1e38, bf16: 1e38, f16: 3e4, f64: 1e300 };
/** Denormal operands of bf16 count as zeros. */
const SMALLEST: { readonly [D in DType]?: number } = {
  f32: 2 ** -149,
  bf16: 2 ** -126,
  f16: 2 ** -24,
  f64: 2 ** -1074,
};
/** Larger numbers leave their neighbours in a transformed tile no digits. */
const MOST_IN_TILE = 100;

type Figures = { readonly dtype: DType; readonly data: Float64Array | BigInt64Array };

const figures = (x: Tensor): Figures => ({
  dtype: x.dtype,
  data: x.to(isFloat(x.dtype) ? 'f64' : 'i64').data() as Float64Array | BigInt64Array,
});

const same = ({ data }: Figures, of: Figures): boolean =>
  data.length === of.data.length && data.every((x: number | bigint, k: number) => Object.is(x, of.data[k]));

/** The product and, where they can be compared, the gradients of its operands. */
const resultsOf =
  (product: Product, dtype: DType) =>
  (up: Tensor, ...operands: Tensor[]): Tensor[] => {
    if (!product.smooth) return [product.of(operands, dtype)];
    const [y, pullback] = vjp((...xs: Tensor[]) => product.of(xs, dtype), ...operands);
    return [y, ...pullback(up.to(y.dtype))];
  };

/** The same of other numbers, in f64. */
function wide(product: Product, up: Tensor, number: (x: Tensor) => Tensor): Float64Array[] {
  const all = [up, ...product.operands].map(x => number(x.to('f64')).eval());
  return resultsOf(product, 'f64')(...(all as [Tensor, ...Tensor[]])).map(x => x.data() as Float64Array);
}

/** Ones, and twos where the number is large or none. */
const marked = (x: Tensor): Tensor => x.abs().lt(MOST_IN_TILE).logicalNot().to('f64').add(1);

/** The same for whole images and results, in whose tiles one such number spoils what stands beside it. */
const markedWhole = (x: Tensor): Tensor =>
  x.ndim > 1 ? marked(x).amax(x.shape.map((_, d) => d).slice(1), { keepdim: true }).expand(x.shape) : marked(x); // biome-ignore format: short

const largestFinite = (x: Tensor): number =>
  (x.to('f64').data() as Float64Array).reduce(
    (most, v) => (Number.isFinite(v) ? Math.max(most, Math.abs(v)) : most),
    0,
  );

/**
 * For each element what rounding may change it by; infinite where anything may come, NaN where what is no number
 * has met no more than the zeros around an image.
 */
function bounds(product: Product, up: Tensor, want: readonly Float64Array[], dtypes: readonly DType[]): Float64Array[] {
  const { dtype, rightTo, terms, borders } = product;
  const inner = dtype === 'f64' ? EPSILON.f64! : EPSILON.f32!;
  const largest = (of: Float64Array): number => of.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  if (rightTo === 'largest') {
    const unit = dtype === 'f64' ? 1e-11 : dtype === 'f32' ? 1e-4 : 0.1;
    return want.map(of => new Float64Array(of.length).fill(unit * (0.01 + largest(of))));
  }
  const sizes = wide(product, up, x => x.abs());
  const tiles = rightTo === 'tiles';
  const [ones, reached, shared] = product.tame
    ? []
    : [onesLike, marked, tiles ? markedWhole : marked].map(of => wide(product, up, x => of(x))); // biome-ignore format: one line
  const widest = product.operands.reduce((most, x) => Math.max(most, largestFinite(x)), 1);
  return sizes.map((all, i) => {
    const outer = EPSILON[dtypes[i]!]! + EPSILON[dtype]!;
    const most = tiles ? largest(all.filter(v => v < 1e30)) : 0;
    return all.map((own, k) => {
      if (borders && ones && reached![i]![k] === ones[i]![k] && !Number.isFinite(want[i]![k]!)) return Number.NaN;
      if (!(own < LARGE[dtypes[i]!]!) || (tiles && ones && shared![i]![k] !== ones[i]![k]))
        return Number.POSITIVE_INFINITY;
      const floor = terms * widest * SMALLEST[dtype]! + 2 * SMALLEST[dtypes[i]!]!;
      // Of bf16, what is transformed may be rounded once more.
      const again = dtype === 'bf16' ? EPSILON.bf16! * most : 0;
      return 2 * outer * own + again + inner * (16 + terms / 4) * Math.max(own, most) + floor;
    });
  });
}

/** What differs by more than rounding, in words. */
function difference(
  { borders }: Product,
  got: readonly Figures[],
  want: readonly Float64Array[],
  bound: readonly Float64Array[],
): string | null {
  for (const [i, expected] of want.entries())
    for (const [k, y] of expected.entries()) {
      const x = got[i]!.data[k] as number;
      const most = bound[i]![k]!;
      // Beyond all bounds what is no number stays none, and infinities may meet on the way.
      const fits = Number.isFinite(y)
        ? most === Number.POSITIVE_INFINITY || Math.abs(x - y) <= most
        : Number.isNaN(most) || Number.isNaN(x) || x === y || (borders && Number.isNaN(y) && !Number.isFinite(x));
      if (!fits) return `result ${i}, element ${k} of ${expected.length} is ${x}, expected ${y} within ${most}`;
    }
  return null;
}

function check(seed: number): void {
  setBackend('reference');
  const r = new Random(seed);
  const product = randomProduct(r);
  const shape = product.of(product.operands, product.dtype).shape;
  const length = shape.reduce((a, b) => a * b, 1);
  const up = Tensor.from(Float64Array.from({ length }, () => Math.round(32 * r.next() - 16) / 16), { shape }); // biome-ignore format: short
  const lasting = r.once(3);
  const exact = !isFloat(product.dtype);
  const name = `seed ${seed}, ${backend} ${process.env['TENON_ISA'] ?? ''}, ${product.name}${lasting ? ', kept' : ''}`;
  const dtype = product.dtype === 'bf16' && product.operands[0]!.dtype === 'f32' ? 'f32' : product.dtype;
  const whole = exact ? figures(product.of(product.operands, dtype)) : null;
  const want = exact ? [] : wide(product, up, x => x);
  setBackend(backend);
  const on = (threads: number): Figures[] => {
    setNumThreads(threads);
    const results = resultsOf(product, dtype);
    // Kept operands are constants of the program, which are prepared ahead of its runs.
    if (lasting) return compile((given: Tensor) => results(given, ...product.operands))(up).map(figures);
    return compile(results)(up, ...product.operands).map(figures);
  };
  const [first, ...more] = THREADS as [number, ...number[]];
  const one = on(first);
  if (whole) expect(same(one[0]!, whole), name).toBe(true);
  const message = whole ? null : difference(product, one, want, bounds(product, up, want, one.map(x => x.dtype))); // biome-ignore format: short
  if (message) throw new Error(`${name}: ${message}`);
  for (const threads of more) {
    const other = on(threads);
    expect(other.every((result, i) => same(result, one[i]!)), `${name}, ${threads} threads`).toBe(true); // biome-ignore format: short
  }
}

it(`products equal the reference's (${RUNS} products)`, { timeout: 240_000 }, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) check(seed);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => runFor(MINUTES, check));
