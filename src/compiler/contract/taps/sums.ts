/**
 * The sums of a tile over all taps, in registers, and what stores them from there.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { advance, allGuards, type Cursor, violations, whenInside } from '../cursor.ts';
import { affine, zero } from '../indices.ts';
import { addProduct } from '../micro.ts';
import { extent } from '../problem.ts';
import { finish } from '../store.ts';
import type { Place } from './places.ts';
import type { TapsPlan } from './plan.ts';

/** Some rows of A, packed side by side, against the vectors of a tile. */
export interface Tile {
  readonly rows: number;
  readonly places: readonly Place[];
  /** A's rows at the first tap. */
  readonly packedAt: () => Reg;
  /** Buffer of the taps' offsets in B, -1 where taps are jumped over. */
  readonly table: number;
}

/**
 * Every other element, from two loads of which the second starts one early, so that nothing behind the last one is
 * touched.
 */
function loadEven(b: LoopBuilder, { p, lanes, bytes }: TapsPlan, at: Reg): Reg {
  const half = lanes / 2;
  const order = Array.from({ length: lanes }, (_, i) => (i < half ? 2 * i : lanes + 2 * (i - half) + 1));
  return b.shuffle(b.load(p.acc, at, 0, lanes), b.load(p.acc, at, (lanes - 1) * bytes, lanes), order);
}

class TapSums {
  readonly sums: Reg[][];
  private readonly b: LoopBuilder;
  private readonly plan: TapsPlan;
  private readonly tile: Tile;

  constructor(b: LoopBuilder, plan: TapsPlan, tile: Tile) {
    this.b = b;
    this.plan = plan;
    this.tile = tile;
    const { p, lanes } = plan;
    this.sums = Array.from({ length: tile.rows }, () => tile.places.map(() => zero(b, p.acc, lanes)));
  }

  /** One tap: `offset` bytes from every place in B, the rows at `a`. */
  add(a: Reg, offset: Reg): void {
    const { b, sums } = this;
    const { p, target, lanes, bytes } = this.plan;
    const left = (r: number): Reg => b.splat(b.load(p.acc, a, r * bytes), lanes);
    const early = target.keepsOrder ? null : sums.map((_, r) => left(r));
    const y = this.vectorsAt(offset);
    for (const [r, line] of sums.entries()) {
      const x = early ? early[r]! : left(r);
      for (const [v, value] of line.entries()) addProduct(b, p.acc, x, y[v]!, value);
    }
  }

  private vectorsAt(offset: Reg): Reg[] {
    const { b, plan } = this;
    const { p, lanes, bytes, stride } = plan;
    const { places } = this.tile;
    const start = b.advance(places[0]!.at, offset, 1);
    return places.map(({ at, shift, mask }, v) => {
      if (shift !== null && stride === 1 && mask) return b.loadMasked(p.acc, start, mask, shift * bytes);
      if (shift !== null && stride === 1) return b.load(p.acc, start, shift * bytes, lanes);
      const here = v === 0 ? start : b.advance(at, offset, 1);
      if (mask && stride === 1) return b.loadMasked(p.acc, here, mask);
      if (mask) return b.gather(p.acc as 'f32' | 'i32', here, b.iota(lanes, stride), mask);
      return stride === 1 ? b.load(p.acc, here, 0, lanes) : loadEven(b, plan, here);
    });
  }

  /** All taps, at the offsets that the table has. */
  addAll(): void {
    const { b, tile } = this;
    const { p, bytes } = this.plan;
    const a = b.copy(tile.packedAt());
    const tap = b.copy(b.addr(tile.table));
    b.for(0, extent(p, p.k), 1, () => {
      this.add(a, b.load('i32', tap));
      b.advance(a, b.i32(tile.rows), bytes, a);
      b.advance(tap, b.i32(1), 4, tap);
    });
  }

  /** All taps inside of the image. */
  addInside(): void {
    const { b, tile } = this;
    const { p } = this.plan;
    const start: Cursor = { index: b.i32(0), pos: tile.places[0]!.pos };
    // What no tap moves (a window of one row over a border of two) holds for all of them.
    const still = allGuards(p.b).filter(g => p.k.every(d => p.b.guards[g]!.coefs[d] === 0));
    whenInside(b, violations(b, p.b, start, still, 0, 1), () => this.insideFrom(0, start, tile.packedAt()));
  }

  /** The same from `level` of k on; a tap's rows of A lie where they would if all were. */
  private insideFrom(level: number, at: Cursor, a: Reg): void {
    const { b } = this;
    const { p, bytes } = this.plan;
    const dim = p.k[level];
    if (dim === undefined) {
      this.add(a, b.mul(at.index, b.i32(bytes)));
      return;
    }
    const deeper = p.k.slice(level + 1);
    const moves = (g: number, d: number): boolean => p.b.guards[g]!.coefs[d] !== 0;
    const settled = allGuards(p.b).filter(g => moves(g, dim) && !deeper.some(d => moves(g, d)));
    const here: Cursor = { index: b.copy(at.index), pos: at.pos.map((x, g) => (moves(g, dim) ? b.copy(x) : x)) };
    const rowsAt = b.copy(a);
    b.for(0, p.dims[dim]!.size, 1, () => {
      whenInside(b, violations(b, p.b, here, settled, 0, 1), () => this.insideFrom(level + 1, here, rowsAt));
      advance(b, p.b, here, dim, 1);
      b.advance(rowsAt, b.i32(this.tile.rows * extent(p, deeper)), bytes, rowsAt);
    });
  }
}

/** Sums by row and vector. */
export function sumTaps(b: LoopBuilder, plan: TapsPlan, tile: Tile): readonly (readonly Reg[])[] {
  const sums = new TapSums(b, plan, tile);
  if (plan.skips) sums.addInside();
  else sums.addAll();
  return sums.sums;
}

/** Finishes sums in registers, of the rows from `first` on. */
export function storeSums(
  b: LoopBuilder,
  plan: TapsPlan,
  sums: readonly (readonly Reg[])[],
  first: Reg,
  places: readonly Place[],
): void {
  const { p, lanes, run, units, vectors, mGroups } = plan;
  const down = mGroups[0]?.inner;
  const downStep = down === undefined ? 0 : p.out.lin[down]!;
  for (const [v, place] of places.entries()) {
    const put = (): void => {
      const index = affine(b, [[first, downStep], [place.out, 1]], 0); // biome-ignore format: two terms
      for (const [r, line] of sums.entries()) {
        const coords = new Map(place.coords);
        if (down !== undefined) coords.set(down, r === 0 ? first : b.add(first, b.i32(r)));
        const at = r === 0 ? index : b.add(index, b.i32(r * downStep));
        if (!p.epilogue || typeof place.skip !== 'number' || place.skip === 0) {
          finish(b, p, line[v]!, coords, at, run, place.mask);
          continue;
        }
        for (let lane = place.skip; lane < lanes; lane++) {
          coords.set(run, b.add(place.coords.get(run)!, b.i32(lane)));
          finish(b, p, b.extract(line[v]!, lane), coords, b.add(at, b.i32(lane)), null);
        }
      }
    };
    if (units % vectors !== 0) b.if(b.cmp('lt', place.n, b.i32(extent(p, p.n))), put);
    else put();
  }
}
