/**
 * The tiles of a task in turns: while one is multiplied, a piece of its steps at a time, the one before it is finished, a piece of its rows at a time. Products wait for matrix
 * registers, finishing for vectors and memory, and a processor runs both at once only where they lie within some hundred instructions of each other.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { Products } from './multiply.ts';

/** A tile: its panel of rows, and of columns. */
export interface TileAt {
  readonly m: Reg;
  readonly n: Reg;
}

export interface Turns {
  /** The products of a tile whose turn it is; `turn` counts from 0. */
  readonly multiply: (tile: TileAt, turn: Reg) => Products;
  /** Asks for the lines of a piece of its results meanwhile. */
  readonly ask: (tile: TileAt, piece: Reg) => void;
  /** Finishes a piece of the tile that was multiplied in turn `turn`. */
  readonly finish: (tile: TileAt, turn: Reg, piece: Reg) => void;
}

/** Runs all tiles of an area, those of a column of panels one after another; they are finished only where `finishes` is true (null: always). */
export function inTurns(
  b: LoopBuilder,
  area: { readonly m: readonly [Reg, Reg]; readonly n: readonly [Reg, Reg] },
  pieces: number,
  finishes: Reg | null,
  { multiply, ask, finish }: Turns,
): void {
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
    b.if(multiplies, products.begin);
    const inPiece = (piece: Reg): void => {
      b.if(multiplies, () => {
        ask(now, piece);
        products.piece(piece);
      });
      b.if(finishing, () => finish(before, b.sub(turn, one), piece));
    };
    if (pieces === 1) inPiece(b.i32(0));
    else b.for(0, pieces, 1, inPiece);
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
