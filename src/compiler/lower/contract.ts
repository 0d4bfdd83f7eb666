/**
 * Lowers a contraction kernel: its plan becomes a `ContractSpec`, and what fusion put behind it becomes the epilogue,
 * evaluated on finished sums (epilogue.ts). Imports level 1 and the contraction's spec.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { AbsorbedOperand } from '../absorb.ts';
import { lowerContract } from '../contract/index.ts';
import type { ContractOperand, ContractSpec, Role } from '../contract/spec.ts';
import { bufferName, ExprPrinter, variableNames } from '../describe.ts';
import { type Expr, Tracer } from '../expr.ts';
import { storage, type Value } from '../flow.ts';
import { coefficient, type Ix } from '../index-expr.ts';
import type { ContractKernel } from '../kernels.ts';
import { LoopBuilder } from '../loop-builder.ts';
import type { Inst } from '../loops.ts';
import type { MemoryWindows } from '../windows.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from './context.ts';
import { checksIndices, reachable } from './domain.ts';
import { Epilogue, type ResultExpr } from './epilogue.ts';

/** A contraction as a spec, and what the planner and people want to know of its results. */
interface SpecifiedContraction {
  readonly spec: ContractSpec;
  readonly stores: readonly ResultExpr[];
  readonly exprs: readonly Expr[];
  /** Whether an index that was loaded may fail, as far as results have been emitted. */
  readonly mayFail: () => boolean;
}

/** Number of a buffer that is never addressed: an operand that the kernel itself makes. */
export const NO_BUFFER = -1;

/**
 * The spec of a contraction kernel. Operands for which `made` holds have no buffer; `repeated` ones are packed by a
 * kernel of their own.
 */
export function specify(
  kernel: ContractKernel,
  context: ProgramContext,
  buffers: KernelBuffers,
  realised: (value: Value) => boolean,
  made: (value: Value) => boolean = () => false,
  repeated: ReadonlySet<AbsorbedOperand> = new Set(),
): SpecifiedContraction {
  const { plan, value } = kernel;
  const { table } = context;
  const tracer = new Tracer(table, plan.vars, {
    windows: context.windows,
    members: kernel.members,
    realised,
    reducedVars: new Set(),
  });
  const contracted = tracer.trace(value, plan.out);
  const stores: ResultExpr[] = kernel.stores.map(stored => {
    const coords = kernel.members.get(stored)!;
    return { value: stored, ix: table.linear(coords, stored.shape), expr: tracer.trace(stored, coords) };
  });
  const exprs = reachable(stores.map(s => s.expr));

  // The schedule addresses one result itself: the first whose place is affine in the dims.
  const lead = stores.find(s => plan.vars.every(v => coefficient(s.ix, v) !== null)) ?? stores[0]!;
  const strides = plan.vars.map((v, d) => (plan.dims[d]!.role === 'k' ? 0 : coefficient(lead.ix, v)));
  if (strides.some(s => s === null)) throw new Error('internal: no result of a contraction is affine in its dims');
  const out = buffers.write(lead.value);
  const epilogue = new Epilogue(kernel, context, buffers, tracer, contracted, { stores, lead, exprs });
  const operand = (of: AbsorbedOperand): ContractOperand => ({
    buffer: made(storage(of.base)) ? NO_BUFFER : buffers.read(of.base),
    dtype: of.base.dtype,
    axes: of.axes,
    // What lasts itself is computed once: nothing has to be kept for it.
    packedAhead: repeated.has(of) || (!kernel.lasting && context.lasts(storage(of.base))),
    lasting: context.lasts(storage(of.base)),
  });
  const plain = stores.length === 1 && lead.value === value;
  const spec: ContractSpec = {
    dims: plan.dims,
    a: operand(plan.a),
    b: operand(plan.b),
    out: { buffer: out, dtype: lead.value.dtype, strides: strides as number[] },
    ...(plain
      ? {}
      : {
          epilogue: (builder, acc, at) => epilogue.emit(builder, acc, at),
          touches: (builder, at) => epilogue.touches(builder, at),
          mergeable: (outer, inner) => epilogue.mergeable(outer, inner),
        }),
  };
  return { spec, stores, exprs, mayFail: () => epilogue.mayFail };
}

export function lowerContraction(
  kernel: ContractKernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
  repeated: ReadonlySet<AbsorbedOperand>,
): LoweredKernel {
  const { plan } = kernel;
  const b = new LoopBuilder(context.target);
  const buffers = new KernelBuffers(context.windows);
  const { spec, stores, exprs, mayFail } = specify(kernel, context, buffers, realised, () => false, repeated);
  // What the epilogue uses, which is written later.
  for (const store of stores) buffers.write(store.value);
  for (const e of exprs) if (e.kind === 'load') buffers.read(e.of);
  const ahead: Inst[] = [];
  lowerContract(b, spec, context.target, {
    room: (room, dtype, elements) => buffers.scratch(room, dtype, elements, elements * bytesOf(dtype)),
    kept: (room, dtype, elements) => buffers.kept(room, dtype, elements, elements * bytesOf(dtype)),
    prepare: fill => ahead.push(...b.separate(fill)),
  });
  if (checksIndices(exprs)) b.complete();
  const sizes = (role: Role): number => plan.dims.reduce((n, dim) => (dim.role === role ? n * dim.size : n), 1);
  const batch = sizes('batch') > 1 ? `${sizes('batch')} x ` : '';
  const whole = `[${batch}${sizes('m')} x ${sizes('n')} x ${sizes('k')}]`;
  const title = `${name} contract ${whole}`;
  return {
    ...(ahead.length > 0
      ? {
          ...buffers.kernel(title, b.instructions),
          preparation: buffers.preparation(`${name} pack for ${whole}`, ahead),
        }
      : { loop: buffers.later(title, () => b.instructions), refs: buffers.refs }),
    mayFail: mayFail(),
    single: false,
    inPlace: inPlace(stores, exprs, [storage(plan.a.base), storage(plan.b.base)], context.windows),
    describe: () => describeContraction(kernel, stores),
  };
}

/** The contraction at level 1, for people. */
function describeContraction({ plan }: ContractKernel, stores: readonly ResultExpr[]): string[] {
  const names = variableNames(plan.vars);
  const printer = new ExprPrinter(
    stores.map(s => s.expr),
    names,
  );
  const read = (of: AbsorbedOperand): string => {
    const at = of.axes.map(({ map }) => {
      const sum = [...map.terms.map(([d, c]) => (c === 1 ? '' : `${c}*`) + names(plan.vars[d]!)), map.offset || '']
        .filter(part => part !== '')
        .join(' + ');
      return map.div === 1 ? sum || '0' : `(${sum}) / ${map.div}`;
    });
    return `${bufferName(storage(of.base))}[${at.join(', ')}]`;
  };
  const dims = plan.dims.map((dim, d) => `${names(plan.vars[d]!)} < ${dim.size} (${dim.role})`).join(', ');
  const results = stores.map(s => `${bufferName(s.value)}[${printer.index(s.ix)}] = ${printer.text(s.expr)}`);
  return [`for ${dims}`, `acc = sum ${read(plan.a)} * ${read(plan.b)}`, ...printer.lines, ...results];
}

/** Every element is read by the epilogue that writes it, and by nobody else. */
function inPlace(
  stores: readonly ResultExpr[],
  exprs: readonly Expr[],
  operands: readonly Value[],
  windows: MemoryWindows,
): { stored: Value; read: Value }[] {
  const pairs: { stored: Value; read: Value }[] = [];
  const reads = new Map<Value, Ix | null>(operands.map(v => [v, null]));
  for (const e of exprs) {
    if (e.kind !== 'load') continue;
    const { root } = windows.resolve(e.of);
    if (root !== e.of) {
      reads.set(root, null);
      continue;
    }
    const known = reads.get(e.of);
    reads.set(e.of, e.conditions.length > 0 || (known !== undefined && known !== e.ix) ? null : e.ix);
  }
  for (const { value, ix } of stores)
    for (const [read, at] of reads)
      if (at === ix && read.size === value.size && bytesOf(read.dtype) === bytesOf(value.dtype))
        pairs.push({ stored: value, read });
  return pairs;
}
