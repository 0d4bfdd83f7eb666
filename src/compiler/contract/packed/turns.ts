/**
 * The tiles of a task in turns: while one is multiplied, a piece of its steps at a time, the one before it is finished,
 * a piece of its rows at a time. Products wait for matrix registers, finishing for vectors and memory, and a processor
 * runs both at once only where they lie within some hundred instructions of each other (decision 260).
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { Meanwhile } from '../store.ts';
import type { Products } from './multiply.ts';

/** A tile: its panel of rows, and of columns. */
export interface TileAt {
  readonly m: Reg;
  readonly n: Reg;
}

export interface Turns {
  /** Packs what passes, where the first tile of a column of panels has its turn. */
  readonly enter: (n: Reg) => void;
  /** The products of a tile whose turn it is; `turn` counts from 0. */
  readonly multiply: (tile: TileAt, turn: Reg) => Products;
  /** How the lines of a piece of its results are asked for, row by row; null where they are not. */
  readonly asks: (tile: TileAt, piece: Reg) => Meanwhile | null;
  /** Finishes a piece of the tile that was multiplied in turn `turn`. */
  readonly finish: (tile: TileAt, turn: Reg, piece: Reg, meanwhile: Meanwhile | null) => void;
}

/**
 * Runs all tiles of an area, those of a column of panels one after another; they are finished only where `finishes` is
 * true (null: always).
 */
export function inTurns(
  b: LoopBuilder,
  area: { readonly m: readonly [Reg, Reg]; readonly n: readonly [Reg, Reg] },
  pieces: number,
  finishes: Reg | null,
  turns: Turns,
): void {
  if (pieces === 1) {
    oneByOne(b, area, finishes, turns);
    return;
  }
  const { enter, multiply, asks, finish } = turns;
  const [mLo, mHi] = area.m;
  const [nLo, nHi] = area.n;
  const one = b.i32(1);
  const tiles = b.mul(b.sub(mHi, mLo), b.sub(nHi, nLo));
  const now = { m: b.copy(mLo), n: b.copy(nLo) };
  const before = { m: b.copy(mLo), n: b.copy(nLo) };
  b.for(0, b.add(tiles, one), 1, turn => {
    const multiplies = b.cmp('lt', turn, tiles);
    const waits = b.cmp('gt', turn, b.i32(0));
    const finishing = finishes ? b.bin('and', waits, finishes) : waits;
    const products = multiply(now, turn);
    b.if(multiplies, () => {
      b.if(b.cmp('eq', now.m, mLo), () => enter(now.n));
      products.begin();
    });
    b.for(0, pieces, 1, piece => {
      b.if(multiplies, () => {
        const lines = asks(now, piece);
        if (lines) b.for(0, lines.times, 1, lines.each);
        products.piece(piece);
      });
      b.if(finishing, () => finish(before, b.sub(turn, one), piece, null));
    });
    b.if(multiplies, products.end);
    b.move(before.m, now.m);
    b.move(before.n, now.n);
    b.add(now.m, one, now.m);
    b.if(b.cmp('eq', now.m, mHi), () => {
      b.move(now.m, mLo);
      b.add(now.n, one, now.n);
    });
  });
}

/** The same, each finished behind its products; meanwhile the lines of the next one are asked for. */
function oneByOne(
  b: LoopBuilder,
  { m: [mLo, mHi], n: [nLo, nHi] }: Parameters<typeof inTurns>[1],
  finishes: Reg | null,
  { enter, multiply, asks, finish }: Turns,
): void {
  const [first, one] = [b.i32(0), b.i32(1)];
  b.for(nLo, nHi, 1, n => {
    enter(n);
    b.for(mLo, mHi, 1, m => {
      const products = multiply({ m, n }, first);
      products.begin();
      products.piece(first);
      products.end();
      const below = b.add(m, one);
      const inColumn = b.cmp('lt', below, mHi);
      const next = { m: b.select(inColumn, below, mLo), n: b.select(inColumn, n, b.add(n, one)) };
      const finished = (): void => finish({ m, n }, first, first, asks(next, first));
      if (finishes) b.if(finishes, finished);
      else finished();
    });
  });
}
