/**
 * The loops of a space kernel: its variables split and merged until accesses are affine, which of them are vectors, and
 * in which order they nest. Imports level 1 and the target; emits nothing.
 */

import { isView, type Value } from '../flow.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { SpaceKernel } from '../kernels.ts';
import type { ProgramContext } from './context.ts';
import { type Domain, guessed, type Loops, type LoopVar, mergeLoops, splitLoops } from './domain.ts';
import { chooseVectors, type Vectors } from './lanes.ts';
import { type SpaceTrace, traceSpace } from './space-trace.ts';

/** Elements of a sum that is written out (pooling windows). */
const WRITTEN_OUT = 9;
/** Chunks of a sum with few results at most. */
export const MAX_CHUNKS = 64;

/** A loop nest, outermost variable first. */
export interface SpaceLoops extends Vectors {
  readonly trace: SpaceTrace;
  readonly vars: readonly LoopVar[];
  /** Loops over kept dims outside of the lane loop, then the lane loop if it is one of them. */
  readonly keptLoops: readonly LoopVar[];
  readonly summedLoops: readonly LoopVar[];
}

/** A kernel's space while its loops are chosen. */
export class Space {
  /**
   * Number of the chunk, in kernels that sum in two stages; of the running thread's row (one of two, where rows take
   * turns), where rows wait in memory of their own.
   */
  readonly chunkVar: VarAtom;
  /** Whether sums are so short that all their elements are written out. */
  private readonly writtenOut: boolean;
  private readonly kernel: SpaceKernel;
  private readonly context: ProgramContext;
  private readonly realised: (value: Value) => boolean;

  constructor(kernel: SpaceKernel, context: ProgramContext, realised: (value: Value) => boolean) {
    this.kernel = kernel;
    this.context = context;
    this.realised = realised;
    this.chunkVar = context.table.variable(2 * MAX_CHUNKS);
    const extent = (kept: boolean): number =>
      kernel.vars.reduce((n, atom, d) => ((kernel.kept?.[d] ?? true) === kept ? n * atom.extent : n), 1);
    const summed = extent(false);
    this.writtenOut =
      summed > 1 && summed <= WRITTEN_OUT && extent(true) >= 64 && summed * kernel.members.size <= 12 * WRITTEN_OUT;
  }

  /** The space, or a piece of it, in variables that make indices affine. */
  split(piece: Loops | null): Domain<SpaceTrace> {
    const { kernel } = this;
    const { table } = this.context;
    const vars = kernel.vars.map((atom, d) => ({ atom, kept: kernel.kept?.[d] ?? true }));
    const whole = { vars, meaning: new Map(vars.map(v => [v.atom, table.ofAtom(v.atom)])) };
    return (piece ? null : this.guess(whole)) ?? splitLoops(table, piece ?? whole, this.retraced);
  }

  /**
   * Nearly every space is walked as rows of whatever its innermost variable counts, or as one row where nothing is read
   * that is repeated along the others: looked for first, that takes one trace in place of two.
   */
  private guess(whole: Loops): Domain<SpaceTrace> | null {
    if (this.writtenOut) return null;
    const repeats = this.repeats();
    const joins = (v: LoopVar, next: LoopVar, isLast: boolean): boolean => v.kept === next.kept && !(isLast && repeats);
    return guessed(this.context.table, whole, joins, this.retraced);
  }

  /** Whether the kernel reads something that is neither as large as the space nor a single element. */
  private repeats(): boolean {
    const { members, shape } = this.kernel;
    const size = shape.reduce((n, extent) => n * extent, 1);
    for (const value of members.keys())
      for (const input of value.inputs) {
        let source = input;
        while (isView(source) && !members.has(source) && !this.realised(source)) source = source.inputs[0]!;
        if (source.size !== size && source.size !== 1) return true;
      }
    return false;
  }

  /** How a space that has been split is looped over. */
  loops(split: Domain<SpaceTrace>): SpaceLoops {
    const domain = mergeLoops(this.context.table, split, this.retraced);
    const trace = domain.traced;
    const vars = this.writtenOut ? domain.vars.filter(v => v.kept) : domain.vars;
    const vectors = chooseVectors(trace, vars, this.context.target);
    const { lane } = vectors;
    const rest = (kept: boolean): LoopVar[] => vars.filter(v => v !== lane && v.kept === kept);
    return {
      ...vectors,
      trace,
      vars,
      keptLoops: lane?.kept ? [...rest(true), lane] : rest(true),
      summedLoops: lane && !lane.kept ? [...rest(false), lane] : rest(false),
    };
  }

  private readonly retraced = (vars: readonly VarAtom[], meaning: ReadonlyMap<VarAtom, Ix>): SpaceTrace =>
    traceSpace(this.kernel, this.context, this.realised, {
      vars: [...vars, this.chunkVar],
      meaning,
      writtenOut: this.writtenOut,
    });
}
