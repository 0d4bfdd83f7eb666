/**
 * Where the vectors of a tile stand: a walk along the rows of B that moves by additions and locates each row by
 * division once.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { type Cursor, type Extent, sizesOf, step, stepAll } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { extent } from '../problem.ts';
import type { Coords } from '../store.ts';
import type { TapsPlan } from './plan.ts';

/** A vector of the tile: where it reads B, and where it belongs. */
export interface Place {
  readonly at: Reg;
  /** Positions of B's guards there, at the first tap. */
  readonly pos: readonly Reg[];
  /** Element of the output for row 0 of m. */
  readonly out: Reg;
  /** Composite index over n. */
  readonly n: Reg;
  /** Leading lanes that the vector before it has stored already: a number where it is known when compiling. */
  readonly skip: Extent;
  /** Which lanes exist and how many, where not all do. */
  readonly mask: Reg | null;
  readonly exist: Reg | null;
  /** Elements from the tile's first vector to this one in B, where they always lie in one row. */
  readonly shift: number | null;
  readonly coords: Coords;
}

/** What the vectors of a task share: coordinates of the batch, and its place in B and in the output. */
interface BatchPlace {
  readonly coords: Coords;
  readonly inB: Cursor;
  readonly inOutput: Reg;
}

/** Stands before the next vector: its row, x in it, and the row's place in B, in the output and in n. */
export class RowWalk {
  private readonly b: LoopBuilder;
  private readonly plan: TapsPlan;
  private readonly batch: BatchPlace;
  private readonly row: Reg;
  private readonly x: Reg;
  private readonly rowB: Reg;
  private readonly rowOut: Reg;
  private readonly rowPos: readonly Reg[];
  private readonly rowCoords: readonly Reg[];

  /** `first`: the vector to start with, of those of all rows. */
  constructor(b: LoopBuilder, plan: TapsPlan, batch: BatchPlace, first: Reg) {
    this.b = b;
    this.plan = plan;
    this.batch = batch;
    const { p, perRow, lanes, rowDims } = plan;
    this.row = b.copy(b.bin('divU', first, b.i32(perRow)));
    this.x = b.copy(b.mul(b.bin('remU', first, b.i32(perRow)), b.i32(lanes)));
    this.rowB = b.reg('i32');
    this.rowOut = b.reg('i32');
    this.rowPos = p.b.guards.map(() => b.reg('i32'));
    this.rowCoords = rowDims.map(() => b.reg('i32'));
    this.enterRow();
  }

  /**
   * The next vector, number `v` of its tile. The last one of a row starts early where nothing masks, so that nothing
   * beyond the row is read.
   */
  next(v: number): Place {
    const { b, x } = this;
    const { p, lanes, length, perRow, ragged, vectors, wholeRows, inRow } = this.plan;
    if (wholeRows) {
      const wanted = (v % perRow) * lanes;
      const start = p.masks ? wanted : Math.min(wanted, length - lanes);
      const exist = start + lanes > length ? b.i32(length - start) : null;
      const next = this.place(b.i32(start), wanted - start, inRow ? start : null, exist);
      if (v % perRow === perRow - 1) this.nextRow();
      return next;
    }
    const overlaps = ragged && !p.masks;
    const start = overlaps ? b.bin('min', x, b.i32(length - lanes)) : b.copy(x);
    const exist = ragged && p.masks ? b.bin('min', b.i32(lanes), b.sub(b.i32(length), x)) : null;
    const next = this.place(start, overlaps ? b.sub(x, start) : 0, inRow ? v * lanes : null, exist);
    b.add(x, b.i32(lanes), x);
    if (inRow && v + 1 < vectors) return next;
    b.if(b.cmp('ge', x, b.i32(length)), () => {
      b.move(x, b.i32(0));
      this.nextRow();
    });
    return next;
  }

  private place(start: Reg, skip: Extent, shift: number | null, exist: Reg | null): Place {
    const { b, batch, row, rowB, rowOut, rowPos, rowCoords } = this;
    const { p, run, rowDims, length, lanes, straight } = this.plan;
    const coords = new Map([...batch.coords, [run, start]]);
    if (straight && p.epilogue) for (const [i, d] of rowDims.entries()) coords.set(d, b.copy(rowCoords[i]!));
    return {
      at: b.addr(p.b.buffer, step(b, p.b, { index: rowB, pos: [] }, run, start).index),
      pos: rowPos.map(x => b.copy(x)),
      out: b.add(rowOut, start),
      n: b.add(b.mul(row, b.i32(length)), start),
      skip,
      shift,
      mask: exist && b.firstLanes(exist, lanes),
      exist,
      coords,
    };
  }

  private nextRow(): void {
    const { b, row } = this;
    b.add(row, b.i32(1), row);
    this.enterRow();
  }

  private enterRow(): void {
    const { b, batch, row, rowB, rowOut, rowPos, rowCoords } = this;
    const { p, rowDims, length } = this.plan;
    // Vectors beyond the last row repeat it; they are not stored.
    const at = unravel(b, b.bin('min', row, b.i32(extent(p, p.n) / length - 1)), sizesOf(p, rowDims));
    for (const [i, coordinate] of at.entries()) b.move(rowCoords[i]!, coordinate);
    const start = stepAll(b, p.b, batch.inB, rowDims, at);
    b.move(rowB, start.index);
    for (const [g, pos] of start.pos.entries()) b.move(rowPos[g]!, pos);
    b.move(rowOut, affine(b, [[batch.inOutput, 1], ...rowDims.map((d, i) => [at[i]!, p.out.lin[d]!] as const)], 0));
  }
}
