/**
 * Rows of large arrays that lie where loaded indices say (embeddings and their updates): each is asked for some rows
 * before it is read, because what is computed with a row leaves the processor no room to begin with the next ones.
 * Imports level 1, the target and the loop IR.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { CheckedIndex, Expr, LoadExpr } from '../expr.ts';
import { coefficient, type DataAtom, type Term } from '../index-expr.ts';
import type { KernelBuffers } from './context.ts';
import type { Emitter } from './emitter.ts';
import type { SpaceLoops } from './space-loops.ts';

/** Rows from a read to the row that is asked for: as many lines as a core waits for at once. */
const AHEAD = 16;
const LINE = 64;
/** Lines of a row that are asked for: the processor finds those behind them. */
const MOST_LINES = 4;

/** An array, and the term of its index that is loaded. */
interface Gather {
  readonly load: LoadExpr;
  readonly term: Term;
  /** Where the index is loaded from. */
  readonly from: LoadExpr;
  /** Elements from an index to that of the next trip of the loop it belongs to. */
  readonly step: number;
}

/** The load of an index that is used as it was loaded, or put inside of its range first; null for any other. */
function loadIn(index: Expr): LoadExpr | null {
  if (index.kind === 'load') return index;
  if (index.kind !== 'op' || (index.value.op !== 'where' && index.value.op !== 'binary')) return null;
  const args = index.value.op === 'where' ? index.args.slice(1) : index.args;
  const [other, ...more] = args.filter(arg => arg.kind !== 'const');
  return other && more.length === 0 ? loadIn(other) : null;
}

export class Gathers {
  private readonly emitter: Emitter;
  private readonly buffers: KernelBuffers;
  private readonly loops: SpaceLoops;
  /** By the loop, kept ones first, in which the index is known. */
  private readonly byLevel = new Map<number, Gather[]>();

  constructor(emitter: Emitter, buffers: KernelBuffers, loops: SpaceLoops) {
    this.emitter = emitter;
    this.buffers = buffers;
    this.loops = loops;
    const { keepsOrder, l2Bytes } = emitter.context.target;
    if (!keepsOrder) return;
    for (const e of loops.trace.exprs)
      if (e.kind === 'load' && e.conditions.length === 0 && e.of.size * bytesOf(e.of.dtype) > l2Bytes) this.add(e);
  }

  private add(load: LoadExpr): void {
    const { keptLoops, summedLoops, lane } = this.loops;
    for (const term of load.ix.terms) {
      if (term.atom.kind !== 'data' || term.coef <= 0) continue;
      const level = this.emitter.indices.atomLevel(term.atom);
      const loop = [...keptLoops, ...summedLoops][level];
      const from = loadIn((term.atom as DataAtom<CheckedIndex>).of.index);
      if (!loop || loop === lane || !from || from.conditions.length > 0) continue;
      if (from.of.dtype !== 'i32' && from.of.dtype !== 'i64') continue;
      const step = coefficient(from.ix, loop.atom);
      if (step === null || step <= 0 || from.ix.terms.some(({ atom }) => atom.kind === 'data')) continue;
      const known = this.byLevel.get(level);
      if (!known) this.byLevel.set(level, [{ load, term, from, step }]);
      else if (!known.some(g => g.load.of === load.of && g.term.atom === term.atom))
        known.push({ load, term, from, step });
    }
  }

  /**
   * Asks, in the loop of a level, for the rows that its later trips read. What stands behind the indices of the last
   * trips is taken to be those of the next loop over them, which it mostly is.
   */
  ask(level: number): void {
    const { b, indices, memory, tracer } = this.emitter;
    for (const { load, term, from, step } of this.byLevel.get(level) ?? []) {
      const { of, ix } = load;
      const later = b.add(indices.index(from.ix), b.i32(AHEAD * step));
      const at = b.bin('min', later, b.i32(from.of.size - 1));
      const index = b.cvt('i32', b.load(from.of.dtype, b.addr(this.buffers.read(from.of), at)));
      const { table } = tracer;
      const rest = ix.terms.filter(t => t !== term && indices.atomLevel(t.atom) <= level);
      const start = table.sum(
        rest.map(({ atom, coef }) => [table.ofAtom(atom), coef] as const),
        ix.constant,
      );
      const bytes = bytesOf(of.dtype);
      const p = b.advance(memory.pointer(this.buffers.read(of), of.dtype, start), index, term.coef * bytes);
      const { lane } = this.loops;
      const row = lane && coefficient(ix, lane.atom) === 1 ? lane.atom.extent * bytes : bytes;
      const asked = Math.min(row, MOST_LINES * LINE);
      for (let offset = 0; offset < asked; offset += LINE) b.prefetch(p, offset, false);
      if (asked % LINE !== 0) b.prefetch(p, asked - bytes, false);
    }
  }
}
