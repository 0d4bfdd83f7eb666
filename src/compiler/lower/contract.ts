/**
 * Lowers a contraction kernel: its plan becomes a `ContractSpec`, and what fusion put behind it becomes the epilogue, evaluated on
 * the finished sums at the coordinates the schedule says. Imports level 1 and the contraction's spec.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { AbsorbedOperand } from '../absorb.ts';
import { lowerContract } from '../contract/index.ts';
import type { ContractOperand, ContractSpec, OutputSite, Role } from '../contract/spec.ts';
import { bufferName, ExprPrinter, variableNames } from '../describe.ts';
import { type Expr, Tracer } from '../expr.ts';
import { storage, type Value } from '../flow.ts';
import { coefficient, type Ix, type VarAtom } from '../index-expr.ts';
import type { ContractKernel } from '../kernels.ts';
import { type Inst, LoopBuilder, type Reg, registerScalar } from '../loops.ts';
import { settle, toMemory } from '../math/index.ts';
import type { MemoryWindows } from '../windows.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from './context.ts';
import { checksIndices, eachLoaded, indicesOf, reachable } from './domain.ts';
import { Emitter } from './emitter.ts';

export interface StoreExpr {
  readonly value: Value;
  readonly ix: Ix;
  readonly expr: Expr;
}

/** A contraction as a spec, and what the planner and people want to know of its results. */
interface SpecifiedContraction {
  readonly spec: ContractSpec;
  readonly stores: readonly StoreExpr[];
  readonly exprs: readonly Expr[];
  /** Whether an index that was loaded may fail, as far as results have been emitted. */
  readonly mayFail: () => boolean;
}

/** Number of a buffer that is never addressed: an operand that the kernel itself makes. */
export const NO_BUFFER = -1;

/** The spec of a contraction kernel. Operands for which `made` holds have no buffer; `repeated` ones are packed by a kernel of their own. */
export function specify(
  kernel: ContractKernel,
  context: ProgramContext,
  buffers: KernelBuffers,
  realised: (value: Value) => boolean,
  made: (value: Value) => boolean = () => false,
  repeated: ReadonlySet<AbsorbedOperand> = new Set(),
): SpecifiedContraction {
  const { plan, value } = kernel;
  const { table, target } = context;
  const tracer = new Tracer(table, plan.vars, {
    windows: context.windows,
    members: kernel.members,
    realised,
    reducedVars: new Set(),
  });
  const contracted = tracer.trace(value, plan.out);
  const stores: StoreExpr[] = kernel.stores.map(stored => {
    const coords = kernel.members.get(stored)!;
    return { value: stored, ix: table.linear(coords, stored.shape), expr: tracer.trace(stored, coords) };
  });
  const exprs = reachable(stores.map(s => s.expr));

  // The schedule addresses one result itself: the first whose place is affine in the dims.
  const lead = stores.find(s => plan.vars.every(v => coefficient(s.ix, v) !== null)) ?? stores[0]!;
  const strides = plan.vars.map((v, d) => (plan.dims[d]!.role === 'k' ? 0 : coefficient(lead.ix, v)));
  if (strides.some(s => s === null)) throw new Error('internal: no result of a contraction is affine in its dims');

  let mayFail = false;
  // Vectors of the sums' width cannot hold values of another (i64 positions under f32 scores): those go one element at a time. What all lanes share may have any.
  const width = bytesOfRegister(value.dtype);
  const inLanes = (along: VarAtom): readonly Expr[] =>
    exprs.filter(e => (e.mask & (2 ** plan.vars.indexOf(along))) !== 0 || stores.some(s => s.expr === e));
  const isOneWidth = (along: VarAtom): boolean =>
    inLanes(along).every(e => (e.kind === 'op' && e.dtype === 'bool') || bytesOfRegister(e.dtype) === width);
  const epilogue = (builder: LoopBuilder, acc: Reg, at: OutputSite): Reg | null => {
    if (at.vectorDim === null || isOneWidth(plan.vars[at.vectorDim]!)) return finish(builder, acc, at);
    for (let lane = 0; lane < at.lanes; lane++) {
      const offset = builder.i32(lane);
      const index = builder.add(at.index, offset);
      const coords = at.coords.map((c, d) => (c && d === at.vectorDim ? builder.add(c, offset) : c));
      const one = (): void => {
        const x = finish(builder, builder.extract(acc, lane), { coords, vectorDim: null, lanes: 1, index, mask: null });
        builder.store(lead.value.dtype, builder.addr(out, index), x);
      };
      if (at.mask) builder.if(builder.extract(at.mask, lane), one);
      else one();
    }
    return null;
  };
  const finish = (builder: LoopBuilder, acc: Reg, at: OutputSite): Reg => {
    const lane = at.vectorDim === null ? null : plan.vars[at.vectorDim]!;
    const emitter = new Emitter(
      builder,
      context,
      tracer,
      v => buffers.read(v),
      at.lanes > 1 ? lane : null,
      target.vectorBytes / at.lanes,
      plan.vars,
    );
    emitter.mode = { lanes: at.lanes, copies: 1, ...(at.mask ? { mask: at.mask } : {}) };
    plan.vars.forEach((v, d) => {
      const coord = at.coords[d];
      if (coord) emitter.setVar(v, coord);
    });
    emitter.bindIndex(lead.ix, at.index);
    emitter.bind(contracted, settle(builder, value.dtype, acc));
    for (const { expr } of stores) emitter.vector(expr, 0);
    for (const store of stores)
      if (store !== lead) emitter.store(store.value.dtype, buffers.write(store.value), store.ix, store.expr);
    mayFail ||= emitter.indices.mayFail;
    return toMemory(builder, lead.value.dtype, emitter.vector(lead.expr, 0));
  };

  /** Results and what is read of their size, where neighbours of the result lie side by side. */
  const touches = (builder: LoopBuilder, at: OutputSite): { from: Reg; bytes: number }[] => {
    const emitter = new Emitter(builder, context, tracer, v => buffers.read(v), null, target.vectorBytes, plan.vars);
    const along = at.vectorDim === null ? null : plan.vars[at.vectorDim]!;
    plan.vars.forEach((v, d) => {
      const coord = at.coords[d];
      if (coord) emitter.setVar(v, coord);
    });
    emitter.bindIndex(lead.ix, at.index);
    const sideBySide = (ix: Ix): boolean => {
      let loaded = false;
      eachLoaded(ix, () => {
        loaded = true;
      });
      return along !== null && !loaded && coefficient(ix, along) === 1;
    };
    const lines = (buffer: number, dtype: DType, ix: Ix): { from: Reg; bytes: number }[] =>
      sideBySide(ix) ? [{ from: emitter.memory.pointer(buffer, dtype, ix), bytes: bytesOf(dtype) }] : [];
    const written = stores.filter(s => s !== lead);
    const read = exprs.filter(e => e.kind === 'load' && e.of.size >= value.size && e.conditions.length === 0);
    return [
      ...written.flatMap(s => lines(buffers.write(s.value), s.value.dtype, s.ix)),
      ...read.flatMap(e => (e.kind === 'load' ? lines(buffers.read(e.of), e.of.dtype, e.ix) : [])),
    ];
  };

  const indices = [...new Set([...stores.map(s => s.ix), ...exprs.flatMap(indicesOf)])];
  const out = buffers.write(lead.value);
  const operand = (of: AbsorbedOperand): ContractOperand => ({
    buffer: made(storage(of.base)) ? NO_BUFFER : buffers.read(of.base),
    dtype: of.base.dtype,
    axes: of.axes,
    // What lasts itself is computed once: nothing has to be kept for it.
    packedAhead: repeated.has(of) || (!kernel.lasting && context.lasts(storage(of.base))),
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
          epilogue,
          touches,
          mergeable: (outer: number, inner: number): boolean =>
            indices.every(ix => {
              const slow = coefficient(ix, plan.vars[outer]!);
              const fast = coefficient(ix, plan.vars[inner]!);
              return slow !== null && fast !== null && slow === fast * plan.dims[inner]!.size;
            }),
        }),
  };
  return { spec, stores, exprs, mayFail: () => mayFail };
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
function describeContraction({ plan }: ContractKernel, stores: readonly StoreExpr[]): string[] {
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

const bytesOfRegister = (dtype: DType): number => bytesOf(registerScalar(dtype));

/** Every element is read by the epilogue that writes it, and by nobody else. */
function inPlace(
  stores: readonly StoreExpr[],
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
