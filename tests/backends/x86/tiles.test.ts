/**
 * Blocks of products on matrix registers, instruction by instruction: every kind and size of block, one after another and in runs, against sums in f64.
 */
import { describe, expect, it } from 'vitest';
import { sumInTiles } from '../../../src/compiler/contract/tile-products.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { LoopKernel, TileKind } from '../../../src/compiler/loops.ts';
import { Random } from '../../compiler/contract/specs.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas } from './available.ts';

const WORDS = 16;
const POINTS = 32;
/** A product of parts that is left out, or taken twice, is off by 2^-17 of the sum's size or more; some dozens of sums are rounded. */
const NEAR = 2 ** -21;
const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** `x` rounded to bf16, ties away from zero, and its upper 16 bits. */
function rounded(x: number): [value: number, half: number] {
  float[0] = x;
  bits[0] = (bits[0]! + 0x8000) & 0xffff0000;
  return [float[0]!, bits[0]! >>> 16];
}

/** The parts of a number, as bf16. */
function partsOf(x: number, count: number): number[] {
  let left = x;
  return Array.from({ length: count }, () => {
    const [value, half] = rounded(left);
    left = Math.fround(left - value);
    return half;
  });
}

interface Block {
  readonly kind: TileKind & ('bf16' | 'f32');
  readonly rows: 1 | 2;
  readonly columns: 1 | 2;
}

/** [steps][parts][lines][words] of values [lines][points of k], each word points w and w + 16 of its step. */
function asLines(values: readonly Float32Array[], parts: number): Uint32Array<ArrayBuffer> {
  const [lines, steps] = [values.length, values[0]!.length / POINTS];
  const words = new Uint32Array(steps * parts * lines * WORDS);
  for (const [line, row] of values.entries())
    for (let k = 0; k < row.length; k++) {
      const [step, w] = [Math.floor(k / POINTS), k % POINTS];
      for (const [part, half] of partsOf(row[k]!, parts).entries())
        words[((step * parts + part) * lines + line) * WORDS + (w % WORDS)]! |= half << (w < WORDS ? 0 : 16);
    }
  return words;
}

/** The same as [steps][parts][words][lines]. */
function asWords(values: readonly Float32Array[], parts: number): Uint32Array<ArrayBuffer> {
  const lines = values.length;
  const from = asLines(values, parts);
  return from.map((_, i) => {
    const [block, within] = [Math.floor(i / (lines * WORDS)), i % (lines * WORDS)];
    return from[block * lines * WORDS + (within % lines) * WORDS + Math.floor(within / lines)]!;
  });
}

/** The same as [line][steps][parts][words], `pitch` words from line to line. */
function asRows(values: readonly Float32Array[], parts: number, pitch: number): Uint32Array<ArrayBuffer> {
  const lines = values.length;
  const rows = new Uint32Array(lines * pitch);
  for (const [i, word] of asLines(values, parts).entries()) {
    const [block, line] = [Math.floor(i / (lines * WORDS)), Math.floor(i / WORDS) % lines];
    rows[line * pitch + block * WORDS + (i % WORDS)] = word;
  }
  return rows;
}

/** Runs what `write` writes, in one task, over a, b, c, of which c is written, and lists. */
function runOver(
  [a, b, c, ...lists]: readonly [
    Uint32Array<ArrayBuffer>,
    Uint32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
    ...Int32Array<ArrayBuffer>[],
  ],
  write: (builder: LoopBuilder) => void,
): void {
  const builder = new LoopBuilder();
  builder.parallel(1, () => write(builder));
  const arrays = [new Int32Array(a.buffer), new Int32Array(b.buffer), c, ...lists];
  const kernel: LoopKernel = {
    name: 'tiles',
    buffers: arrays.map((array, i) => ({
      name: 'abcr'[i]!,
      dtype: i === 2 ? ('f32' as const) : ('i32' as const),
      elements: array.length,
      access: i === 2 ? ('readwrite' as const) : ('read' as const),
    })),
    body: builder.instructions,
  };
  runX86Kernel(kernel, arrays, { isa: 'amx' });
}

/** Runs one `tiles` over a, b, c (and the pairs of its runs, if any). */
function run(
  block: Block,
  of: { readonly steps: number; readonly inRegister: boolean; readonly add: boolean; readonly ahead: number },
  a: Uint32Array<ArrayBuffer>,
  b: Uint32Array<ArrayBuffer>,
  c: Float32Array<ArrayBuffer>,
  runs?: { readonly pairs: Int32Array<ArrayBuffer>; readonly pitch: number | null },
  pitch?: number,
): void {
  runOver([a, b, c, ...(runs ? [runs.pairs] : [])], builder =>
    sumInTiles(
      builder,
      {
        ...block,
        a: builder.addr(0),
        b: builder.addr(1),
        steps: of.inRegister ? builder.i32(of.steps) : of.steps,
        ...(of.ahead > 0 ? { ahead: { from: builder.addr(1), lines: of.ahead } } : {}),
        ...(runs ? { runs: { at: builder.addr(3), count: builder.i32(runs.pairs.length / 2) } } : {}),
        ...(runs && runs.pitch !== null ? { pitch: runs.pitch } : {}),
      },
      { c: builder.addr(2), ...(pitch === undefined ? {} : { pitch }) },
      of.add,
    ),
  );
}

/** Worst error of c against sums of products of `a` and `b` in f64, as a share of the sum of their sizes. */
function worst(a: readonly Float32Array[], b: readonly Float32Array[], c: Float32Array, before: number): number {
  let most = 0;
  for (const [i, x] of a.entries())
    for (const [j, y] of b.entries()) {
      let [sum, size] = [before, Math.abs(before)];
      for (const [k, value] of x.entries()) {
        sum += value * y[k]!;
        size += Math.abs(value * y[k]!);
      }
      most = Math.max(most, Math.abs(c[i * b.length + j]! - sum) / size);
    }
  return most;
}

const blocks = (['bf16', 'f32'] as const).flatMap(kind =>
  ([1, 2] as const).flatMap(rows => ([1, 2] as const).map(columns => ({ kind, rows, columns }))),
);

describe.skipIf(!isas.includes('amx')).each(blocks)('$kind, $rows x $columns tiles', block => {
  const parts = block.kind === 'f32' ? 3 : 1;
  const random = new Random(7);
  /** Lines of `points` numbers that the kind holds exactly. */
  const lines = (tiles: number, points: number): Float32Array[] =>
    Array.from({ length: 16 * tiles }, () =>
      Float32Array.from({ length: points }, () => {
        const x = Math.fround((random.unit() - 0.5) * 2 ** Math.floor(8 * random.unit()));
        return parts === 1 ? rounded(x)[0] : x;
      }),
    );
  const sums = (): Float32Array<ArrayBuffer> => new Float32Array(256 * block.rows * block.columns).fill(3);

  it.each([
    { steps: 1, inRegister: false, add: false, ahead: 0 },
    { steps: 5, inRegister: true, add: true, ahead: 3 },
  ])('$steps steps, sums kept: $add', of => {
    const [a, b] = [lines(block.rows, POINTS * of.steps), lines(block.columns, POINTS * of.steps)];
    const c = sums();
    run(block, of, asLines(a, parts), asWords(b, parts), c);
    expect(worst(a, b, c, of.add ? 3 : 0)).toBeLessThan(NEAR);
  });

  it('sums stay in the registers while vectors run between two steps', () => {
    const steps = 4;
    const [a, b] = [lines(block.rows, POINTS * steps), lines(block.columns, POINTS * steps)];
    const c = sums();
    runOver([asLines(a, parts), asWords(b, parts), c], builder => {
      const { rows, columns } = block;
      const sums = builder.addr(2);
      builder.emit({ op: 'tileSums', does: 'clear', rows, columns });
      builder.for(0, steps, 1, i => {
        const stepBytes = parts * WORDS * 16 * 4;
        builder.emit({
          op: 'tiles',
          ...block,
          a: builder.advance(builder.addr(0), i, rows * stepBytes),
          b: builder.advance(builder.addr(1), i, columns * stepBytes),
          steps: 1,
        });
        const x = builder.load('f32', sums, 0, WORDS);
        builder.store('f32', sums, builder.mul(x, x));
      });
      builder.emit({ op: 'tileSums', does: 'store', c: sums, rows, columns });
    });
    expect(worst(a, b, c, 0)).toBeLessThan(NEAR);
  });

  it.each([false, true])('rows of sums that lie apart, kept: %s', add => {
    const of = { steps: 2, inRegister: false, add, ahead: 0 };
    const [a, b] = [lines(block.rows, POINTS * of.steps), lines(block.columns, POINTS * of.steps)];
    const [width, pitch] = [16 * block.columns, 16 * block.columns + 7];
    const wide = new Float32Array(16 * block.rows * pitch).fill(3);
    run(block, of, asLines(a, parts), asWords(b, parts), wide, undefined, pitch * 4);
    const c = sums().map((_, i) => wide[Math.floor(i / width) * pitch + (i % width)]!);
    expect(worst(a, b, c, add ? 3 : 0)).toBeLessThan(NEAR);
    // What lies between the rows is nobody's.
    expect(wide.every((x, i) => i % pitch < width || x === 3)).toBe(true);
  });

  it.each([null, 2 * 3 * parts * WORDS + 5])('runs, rows of a %s words apart', pitch => {
    const [steps, count] = [2, 3];
    const points = POINTS * steps;
    const [a, b] = [lines(block.rows, points * count), lines(block.columns, points * count)];
    const part = (rows: readonly Float32Array[], i: number): Float32Array[] =>
      rows.map(row => row.slice(i * points, (i + 1) * points));
    const runBytes = (tiles: number): number => steps * parts * WORDS * 16 * tiles * 4;
    // The runs in another order than they lie in.
    const pairs = Int32Array.from(
      [2, 0, 1].flatMap(i => [
        pitch === null ? i * runBytes(block.rows) : i * steps * parts * WORDS * 4,
        i * runBytes(block.columns),
      ]),
    );
    const all = [0, 1, 2];
    const words = (of: readonly Uint32Array[]): Uint32Array<ArrayBuffer> => Uint32Array.from(of.flatMap(x => [...x]));
    const left = pitch === null ? words(all.map(i => asLines(part(a, i), parts))) : asRows(a, parts, pitch);
    const right = words(all.map(i => asWords(part(b, i), parts)));
    const c = sums();
    const of = { steps, inRegister: false, add: false, ahead: 0 };
    run(block, of, left, right, c, { pairs, pitch: pitch === null ? null : pitch * 4 });
    expect(worst(a, b, c, 0)).toBeLessThan(NEAR);
  });
});
