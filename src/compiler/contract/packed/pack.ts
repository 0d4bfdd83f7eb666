/**
 * Packing into words: a panel of lines (of m or n) times a block of k, laid out `words` ([word][line], what vectors and
 * the right side of tiles read) or `lines` ([16 words][line][word], the left side of tiles). Lines beyond the operand
 * repeat its last one: nobody reads their products.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { asReg, type Cursor, type Extent, sizesOf, stepAll, walk } from '../cursor.ts';
import { unravel } from '../indices.ts';
import { transpose } from '../pack.ts';
import { extent, type View } from '../problem.ts';
import type { RunningBlock } from '../sides.ts';
import { elementBytes, joinParts, STEP, type WordProblem } from './problem.ts';

export type Layout = 'words' | 'lines';

const WORD = 4;

interface PackedPanel {
  /** Cursor at the batch's and the block's first point, minor coordinates 0. */
  readonly at: Cursor;
  readonly first: Reg;
  /** Lines of the panel, a multiple of the lines that are packed at once. */
  readonly width: number;
  readonly block: RunningBlock;
  /** First word of the counted dim in this block. */
  readonly lo: Extent;
  readonly to: Reg;
  /** As large as the panel, for what must be transposed. */
  readonly staging: Reg;
}

/** Whether panels of `view` come out in the other layout first. */
export const needsStaging = (q: WordProblem, view: View, minor: readonly number[], layout: Layout): boolean => {
  const natural = naturalLayout(q, view, minor);
  return natural !== null && natural !== layout;
};

/** The counted dim's words that lie side by side in memory, in vectors of so many; 0 where they do not. */
function runOf(q: WordProblem, view: View): number {
  const { p, words, dim, size } = q;
  if (view.lin[dim] !== words.per || !words.asStored) return 0;
  const whole = Math.floor(size / words.per);
  if (p.k.length === 1) return whole >= STEP ? STEP : 0;
  if (size % words.per !== 0) return 0;
  return [16, 8, 4].find(n => whole % n === 0) ?? 0;
}

/** Lines that lie side by side in memory, in vectors of so many; 0 where they do not. */
function neighboursOf(q: WordProblem, view: View, minor: readonly number[]): number {
  const inner = minor[minor.length - 1];
  if (inner === undefined || view.lin[inner] !== 1) return 0;
  const { size } = q.p.dims[inner]!;
  const even = [16, 8, 4].find(n => size % n === 0) ?? 0;
  return size >= 48 ? 16 : even;
}

/** How a view's words come out of vector loads; null where they are put together one by one. */
function naturalLayout(q: WordProblem, view: View, minor: readonly number[]): Layout | null {
  const run = runOf(q, view);
  const neighbours = neighboursOf(q, view, minor);
  if (run === 0 && neighbours === 0) return null;
  return run >= neighbours ? 'lines' : 'words';
}

/** Packs one panel of `view`; the block is padded with zero words to a multiple of `pad`. */
export function packWords(
  b: LoopBuilder,
  q: WordProblem,
  view: View,
  minor: readonly number[],
  layout: Layout,
  pad: number,
  panel: PackedPanel,
): void {
  const { p, words, dim } = q;
  const { width, block } = panel;
  const natural = naturalLayout(q, view, minor) ?? layout;
  const target = natural === layout ? panel.to : panel.staging;
  const sizes = sizesOf(p, minor);
  const total = extent(p, minor);
  const strideBytes = (view.lin[dim]! / words.per) * elementBytes(view);
  const cursorOf = (line: Reg): Cursor =>
    stepAll(b, view, panel.at, minor, unravel(b, b.bin('min', line, b.i32(total - 1)), sizes));
  const outer = block.dims.slice(0, -1);
  const outerExtents = block.extents.slice(0, -1);
  const count = block.extents[outer.length] ?? 1;
  /** Words of the counted dim here that are whole; at most one more is not. */
  const whole: Extent =
    q.size % words.per === 0
      ? count
      : b.bin('min', asReg(b, count), b.sub(b.i32(Math.floor(q.size / words.per)), asReg(b, panel.lo)));

  /** Where word `k` of line `line` (from the panel's first) goes. */
  const place = (k: Reg, line: Reg | null): Reg => {
    const ofLine = line ?? b.i32(0);
    if (natural === 'words') return b.advance(b.advance(target, k, width * WORD), ofLine, WORD);
    const step = b.bin('and', k, b.i32(-STEP));
    const within = b.bin('and', k, b.i32(STEP - 1));
    return b.advance(b.advance(b.advance(target, step, width * WORD), ofLine, STEP * WORD), within, WORD);
  };
  const word = (index: Reg, lanes: number, parts: number): Reg => {
    const at = b.addr(view.buffer, index);
    return joinParts(
      b,
      words,
      view.dtype === 'bf16',
      Array.from({ length: parts }, (_, j) => b.load(view.dtype, at, j * strideBytes, lanes)),
    );
  };

  /** Runs `fill(cursor, word)` for the block's words, `step` at a time while they are whole; the last one by `one`. */
  const eachWord = (
    start: Cursor,
    step: number,
    fill: (index: Reg, k: Reg, size: number, parts: number) => void,
  ): void => {
    const k = b.copy(b.i32(0));
    const bump = (by: number): Reg => b.add(k, b.i32(by), k);
    walk(b, view, [start], outer, outerExtents, [], ([cursor]) => {
      const index = b.copy(cursor!.index);
      const forward = (size: number): void => {
        b.add(index, b.i32(view.lin[dim]! * size), index);
        bump(size);
      };
      const run = (lo: Extent, hi: Extent, size: number, parts: number): void =>
        b.for(lo, hi, size, () => {
          fill(index, k, size, parts);
          forward(size);
        });
      const vectors =
        step === 1 ? 0 : typeof whole === 'number' ? whole - (whole % step) : b.bin('and', whole, b.i32(-step));
      if (step > 1) run(0, vectors, step, words.per);
      if (vectors !== whole) run(vectors, whole, 1, words.per);
      if (whole !== count) run(whole, count, 1, q.size % words.per);
    });
  };

  /** One line, by runs of words where there are any. */
  const packLine = (line: Reg, run: number): void => {
    eachWord(cursorOf(b.add(panel.first, line)), Math.max(1, run), (index, k, size, parts) => {
      const value = size > 1 ? b.load('i32', b.addr(view.buffer, index), 0, size) : word(index, 1, parts);
      b.store('i32', place(k, line), value);
    });
  };
  /**
   * So many vectors of lines that are neighbours in memory: one visit per word, which matters where rows lie pages
   * apart.
   */
  const packNeighbours = (line: Reg, lanes: number, vectors: number): void => {
    eachWord(cursorOf(b.add(panel.first, line)), 1, (index, k, _, parts) => {
      const to = place(k, line);
      for (let v = 0; v < vectors; v++) {
        const at = v === 0 ? index : b.add(index, b.i32(v * lanes));
        b.store('i32', to, word(at, lanes, parts), v * lanes * WORD);
      }
    });
  };

  if (naturalLayout(q, view, minor) === 'words') {
    const lanes = Math.min(neighboursOf(q, view, minor), width);
    const neighbours = (line: Reg, count: number): void => packNeighbours(line, lanes, count / lanes);
    inRows(b, p, minor, panel, lanes, neighbours, line => packLine(line, 0));
  } else {
    const run = naturalLayout(q, view, minor) === 'lines' ? runOf(q, view) : 0;
    b.for(0, width, 1, line => packLine(line, run));
  }
  if (natural !== layout) {
    transposePanel(b, width, block.length, natural, panel.staging, panel.to);
  }
  padPanel(b, width, block.length, layout, pad, panel.to);
}

/**
 * Packs the lines of a panel as neighbours, all or `lanes` of them, where they lie in one row of memory, and one by one
 * elsewhere.
 */
function inRows(
  b: LoopBuilder,
  p: WordProblem['p'],
  minor: readonly number[],
  { first: start, width }: PackedPanel,
  lanes: number,
  neighbours: (line: Reg, count: number) => void,
  one: (line: Reg) => void,
): void {
  const { size } = p.dims[minor[minor.length - 1]!]!;
  const total = extent(p, minor);
  const zero = b.i32(0);
  const inOneRow = (line: Reg, count: number, otherwise: () => void): void => {
    const first = line === zero ? start : b.add(start, line);
    const inRow = minor.length === 1 ? first : b.bin('remU', first, b.i32(size));
    const room = b.bin('or', b.sub(b.i32(size - count), inRow), b.sub(b.i32(total - count), first));
    b.if(b.cmp('ge', room, b.i32(0)), () => neighbours(line, count), otherwise);
  };
  const byVectors = (): void =>
    b.for(0, width, lanes, line => inOneRow(line, lanes, () => b.for(0, lanes, 1, lane => one(b.add(line, lane)))));
  if (width > lanes && size >= width) inOneRow(zero, width, byVectors);
  else byVectors();
}

/** Zero words behind the block's, up to a multiple of `pad`. */
function padPanel(b: LoopBuilder, width: number, length: Extent, layout: Layout, pad: number, to: Reg): void {
  if (pad === 1 || (typeof length === 'number' && length % pad === 0)) return;
  const from = asReg(b, length);
  const end = b.bin('and', b.add(from, b.i32(pad - 1)), b.i32(-pad));
  const zero = b.i32(0);
  b.for(from, end, 1, k => {
    const step = b.bin('and', k, b.i32(-STEP));
    const within = b.bin('and', k, b.i32(STEP - 1));
    b.for(0, width, 1, line => {
      const at =
        layout === 'words'
          ? b.advance(b.advance(to, k, width * WORD), line, WORD)
          : b.advance(b.advance(b.advance(to, step, width * WORD), line, STEP * WORD), within, WORD);
      b.store('i32', at, zero);
    });
  });
}

/** From one layout to the other, squares of words at a time; whole squares are moved, so both areas must hold them. */
function transposePanel(b: LoopBuilder, width: number, length: Extent, natural: Layout, from: Reg, to: Reg): void {
  const n = Math.min(STEP, width);
  const places = (base: Reg, layout: Layout, k: Reg, line: Reg): [at: Reg, pitch: number] =>
    layout === 'words'
      ? [b.advance(b.advance(base, k, width * WORD), line, WORD), width * WORD]
      : [
          b.advance(
            b.advance(b.advance(base, b.bin('and', k, b.i32(-STEP)), width * WORD), line, STEP * WORD),
            b.bin('and', k, b.i32(STEP - 1)),
            WORD,
          ),
          STEP * WORD,
        ];
  b.for(0, length, n, k => {
    b.for(0, width, n, line => {
      const [source, sourcePitch] = places(from, natural, k, line);
      const [target, targetPitch] = places(to, natural === 'words' ? 'lines' : 'words', k, line);
      const rows = Array.from({ length: n }, (_, i) => b.load('i32', source, i * sourcePitch, n));
      for (const [i, column] of transpose(b, rows).entries()) b.store('i32', target, column, i * targetPitch);
    });
  });
}
