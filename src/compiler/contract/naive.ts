/**
 * The obvious contraction: one output element after the other, every guard tested for every product. It is what the
 * schedules fall back to for shapes that are not worth one (a handful of products, axis maps that divide in unusual
 * ways). Imports the spec and the loop IR.
 */
import { numeratorRange } from '../../graph/reindex.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { affine, unravel, zero } from './indices.ts';
import { type AccScalar, accumulator, type ContractOperand, type ContractSpec } from './spec.ts';

/** The element an operand shows at `coords`, 0 outside, in the accumulator's type. */
function readGuarded(
  b: LoopBuilder,
  operand: ContractOperand,
  acc: AccScalar,
  sizes: readonly number[],
  coords: readonly Reg[],
): Reg {
  const value = zero(b, acc);
  const terms: [Reg, number][] = [];
  const visit = (a: number): void => {
    const axis = operand.axes[a];
    if (!axis) {
      const index = affine(b, terms, operand.offset ?? 0);
      const x = b.load(operand.dtype, b.addr(operand.buffer, index));
      b.move(value, operand.prologue ? operand.prologue(b, x, { index, lanes: 1 }) : x);
      return;
    }
    const { map } = axis;
    const at = affine(
      b,
      map.terms.map(([dim, coef]) => [coords[dim]!, coef] as const),
      map.offset,
    );
    const descend = (position: Reg): void => {
      terms.push([position, axis.stride]);
      visit(a + 1);
      terms.pop();
    };
    const inside = (position: Reg): void => {
      const [lo, hi] = numeratorRange(map, sizes);
      if (lo >= 0 && hi <= (axis.size - 1) * map.div) descend(position);
      else b.if(b.cmp('ltU', position, b.i32(axis.size)), () => descend(position));
    };
    if (map.div === 1) {
      inside(at);
      return;
    }
    const div = b.i32(map.div);
    b.if(b.cmp('eq', b.bin('rem', at, div), b.i32(0)), () => inside(b.bin('div', at, div)));
  };
  visit(0);
  return value;
}

/** Emits the whole kernel. */
export function lowerNaive(b: LoopBuilder, spec: ContractSpec): void {
  const sizes = spec.dims.map(dim => dim.size);
  const outDims = spec.dims.flatMap((dim, d) => (dim.role === 'k' ? [] : [d]));
  const sumDims = spec.dims.flatMap((dim, d) => (dim.role === 'k' ? [d] : []));
  const extent = outDims.reduce((n, d) => n * sizes[d]!, 1);
  if (extent === 0) return;
  const scalar = accumulator(spec);
  b.parallel(extent, i => {
    const coords: Reg[] = Array.from({ length: sizes.length });
    unravel(
      b,
      i,
      outDims.map(d => sizes[d]!),
    ).forEach((x, at) => {
      coords[outDims[at]!] = x;
    });
    const acc = zero(b, scalar);
    const sum = (k: number): void => {
      const dim = sumDims[k];
      if (dim === undefined) {
        const x = readGuarded(b, spec.a, scalar, sizes, coords);
        const y = readGuarded(b, spec.b, scalar, sizes, coords);
        b.add(b.mul(x, y), acc, acc);
        return;
      }
      b.for(0, sizes[dim]!, 1, x => {
        coords[dim] = x;
        sum(k + 1);
      });
    };
    if (sumDims.every(d => sizes[d]! > 0)) sum(0);
    const index = affine(
      b,
      outDims.map(d => [coords[d]!, spec.out.strides[d]!] as const),
      spec.out.offset ?? 0,
    );
    const site = {
      coords: spec.dims.map((dim, d) => (dim.role === 'k' ? null : coords[d]!)),
      vectorDim: null,
      lanes: 1,
      mask: null,
      shared: null,
      index,
    };
    const value = spec.epilogue ? spec.epilogue(b, acc, site) : acc;
    if (value) b.store(spec.out.dtype, b.addr(spec.out.buffer, index), value);
  });
}
