/** Loops and choices whose bodies are calls themselves, on values that come along and values from outside. */
import { cond, isFloat, scan, type Tensor, whileLoop } from '../../../src/index.ts';
import { call, type Held, type Maker } from './draw.ts';

/** What bodies do with the value that comes along and one from outside of the same shape; neither grows. */
const BODIES: { readonly [name: string]: (c: Tensor, outside: Tensor) => Tensor } = {
  mixed: (c, y) => c.mul(0.5).add(y.tanh()),
  turned: (c, y) => c.sin().add(y.mul(c).tanh().mul(0.5)),
  summed: (c, y) => c.sub(c.mean()).tanh().add(y.sigmoid()),
  soft: (c, y) => (c.ndim > 0 ? c.softmax(-1) : c.sigmoid()).sub(y.mul(0.25)),
  flipped: (c, y) => (c.ndim > 0 ? c.flip([-1]).cumsum(-1).tanh() : c.neg()).add(y.cos()),
};

const body = (r: { pick<T>(xs: readonly T[]): T }) => r.pick(Object.entries(BODIES));

const fits = (x: Held): boolean => isFloat(x.dtype) && x.tensor.numel() > 0;

const folded: Maker = (d, x) => {
  const { r } = d;
  const length = x.shape[0];
  if (!fits(x) || !length || length > 9) return null;
  const [name, of] = body(r);
  const options = { reverse: r.once(2), unroll: 1 + r.int(3) };
  const last = r.once(2);
  const init = d.like(x.shape.slice(1), x.dtype);
  return call(`scan ${name}`, [options, last], [init, x], (start, slices) => {
    const [end, seen] = scan((c: Tensor, slice: Tensor) => [of(c, slice), c.mul(slice)] as const, start, slices, options);
    return last ? end : seen;
  }); // biome-ignore format: short
};

const looped: Maker = (d, x) => {
  const { r } = d;
  if (!fits(x)) return null;
  const [name, of] = body(r);
  const y = d.like(x.shape, x.dtype);
  // More steps than there may be, as many, or none.
  const [steps, maxSteps] = [r.int(4), r.pick([2, 4])];
  return call(`whileLoop ${name}`, [steps, maxSteps], [x, y], (a, outside) => {
    const left = a.detach().sum().isfinite().where(steps, 0).to('i32');
    return whileLoop(
      c => c.left.gt(0),
      c => ({ left: c.left.sub(1), a: of(c.a, outside) }),
      { left, a },
      { maxSteps },
    ).a;
  });
};

const chosen: Maker = (d, x) => {
  const { r } = d;
  if (!fits(x)) return null;
  const [[one, first], [other, second]] = [body(r), body(r)];
  const y = d.like(x.shape, x.dtype);
  return call(`cond ${one} ${other}`, null, [x, y], (a, outside) =>
    cond(
      a.detach().sum().gt(0),
      (p: Tensor) => first(p, outside),
      (p: Tensor) => second(p.mul(0.5), outside),
      a,
    ),
  );
};

export const CONTROL: readonly Maker[] = [folded, folded, looped, chosen];
