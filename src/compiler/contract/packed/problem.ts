/**
 * Contractions of narrow types on machines that multiply words of packed elements (two bf16, two i16, four 8-bit
 * integers) and add the products: which problems suit, and the same problem over words. One k dim is counted in words;
 * the others stay.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, TileKind } from '../../loops.ts';
import type { PackedProducts, Target } from '../../target.ts';
import { stagedLayout } from '../pad.ts';
import { extent, type Problem, type View } from '../problem.ts';

/** What a word is made of. */
export interface Words {
  /** Elements of a word, and their bits. */
  readonly per: 2 | 4;
  readonly bits: 8 | 16;
  /** Whether elements in memory are already as wide as in a word, so that neighbours are a word. */
  readonly asStored: boolean;
}

/** A step of products: so many points of k, which take so many 32-bit words of every line. */
export interface Step {
  readonly points: number;
  readonly words: number;
}

interface Common {
  readonly p: Problem;
  readonly step: Step;
}

/** Over words: `dim` (the innermost of k) has ceil(size / per) points. */
export interface WordProblem extends Common {
  readonly by: 'tiles' | 'dot';
  readonly words: Words;
  /** The k dim that is counted in words, and how many elements it has. */
  readonly dim: number;
  readonly size: number;
}

/** f32 as it is, each point of k in three parts. */
export interface PartsProblem extends Common {
  readonly by: 'parts';
}

export type PackedProblem = WordProblem | PartsProblem;

/** Words of a step of tiles. */
export const STEP = 16;

/** Products below which a plain schedule is over before packing is. */
const WORTH = 16_384;

const NARROW = new Set(['i8', 'u8']);

function productsFor(p: Problem, target: Target): 'tiles' | 'dot' | null {
  const { packedProducts } = target;
  if (!packedProducts) return null;
  const kind: keyof PackedProducts | null =
    p.a.dtype === 'bf16' && p.b.dtype === 'bf16' && p.acc === 'f32'
      ? 'bf16'
      : NARROW.has(p.a.dtype) && NARROW.has(p.b.dtype) && p.acc === 'i32'
        ? 'int8'
        : null;
  return kind && packedProducts[kind];
}

/**
 * Whether words serve `p` better than single elements: narrow operands that are read where they lie or from padded
 * copies, and work enough.
 */
export function suitsWords(p: Problem, target: Target): boolean {
  if (!productsFor(p, target)) return false;
  const readable = (view: View): boolean =>
    !view.prologue && (view.guards.length === 0 || stagedLayout(p, view) !== null);
  const [m, n, k] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  return readable(p.a) && readable(p.b) && m >= 4 && n >= 4 && k >= 8 && m * n * k >= WORTH;
}

/** Elements from which on a run along the counted dim is worth looking for. */
const LONG_RUN = 16;

/** The k dim to count in words: the least is wasted on its last word, and operands should run along it. */
function countedDim(p: Problem, per: number): number {
  let best = p.k[0]!;
  let least = Number.POSITIVE_INFINITY;
  for (const d of p.k) {
    const { size } = p.dims[d]!;
    const runs = size < LONG_RUN ? 0 : Number(p.a.lin[d] === 1) + Number(p.b.lin[d] === 1);
    const cost = ((Math.ceil(size / per) * per) / size) * (1 - 0.2 * runs) * (size < per ? 2 : 1);
    if (cost < least * 0.999) {
      least = cost;
      best = d;
    }
  }
  return best;
}

/** The problem over words; operands must have no guards. */
export function packedProblem(p: Problem, target: Target): WordProblem {
  const by = productsFor(p, target)!;
  const words: Words =
    p.acc === 'f32'
      ? { per: 2, bits: 16, asStored: true }
      : by === 'tiles'
        ? { per: 4, bits: 8, asStored: true }
        : { per: 2, bits: 16, asStored: false };
  const dim = countedDim(p, words.per);
  const { size } = p.dims[dim]!;
  const counted = (view: View): View => ({ ...view, lin: view.lin.map((s, d) => (d === dim ? s * words.per : s)) });
  return {
    p: {
      ...p,
      dims: p.dims.map((x, d) => (d === dim ? { ...x, size: Math.ceil(size / words.per) } : x)),
      k: [...p.k.filter(d => d !== dim), dim],
      a: counted(p.a),
      b: counted(p.b),
      ...(by === 'dot' && p.acc === 'f32' ? { normal: true } : {}),
    },
    by,
    step: { points: STEP, words: STEP },
    words,
    dim,
    size,
  };
}

/** Two points of k are a word of each of three parts. */
export const partsProblem = (p: Problem): PartsProblem => ({
  p,
  by: 'parts',
  step: { points: 2 * STEP, words: 3 * STEP },
});

export const tileKind = ({ p, by }: PackedProblem): TileKind =>
  by === 'parts' ? 'f32' : p.acc === 'f32' ? 'bf16' : (`${p.a.dtype}${p.b.dtype}` as TileKind);

/**
 * Words from elements `lanes` neighbours at a time: element j of each word comes from `at(j)`, of type i32 or (bf16)
 * f32. `parts` is less than `per` for a dim's last word; what is missing is 0.
 */
export function joinParts(b: LoopBuilder, words: Words, float: boolean, parts: readonly Reg[]): Reg {
  const { lanes } = parts[0]!.type;
  const i32 = (value: number): Reg => b.const('i32', value, lanes);
  if (float) {
    // A bf16 stands in the upper half of the f32 it widens to.
    const low = b.bin('shrU', b.bitcast('i32', parts[0]!), i32(16));
    return parts[1] ? b.bin('or', low, b.bitcast('i32', parts[1])) : low;
  }
  const all = 2 ** words.bits - 1;
  const top = 32 / words.bits - 1;
  let word: Reg | null = null;
  for (const [j, part] of parts.entries()) {
    const own = j === top ? part : b.bin('and', part, i32(all));
    const placed = j === 0 ? own : b.bin('shl', own, i32(j * words.bits));
    word = word ? b.bin('or', word, placed) : placed;
  }
  return word!;
}

/** Bytes of an element in memory. */
export const elementBytes = (view: View): number => bytesOf(view.dtype);
