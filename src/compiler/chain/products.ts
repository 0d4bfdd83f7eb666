/**
 * The products of a chain as its schedule sees them: what packs, multiplies and stores block by block, by multiply-adds
 * (vectors.ts) or over words of bf16 (words.ts). And what both need: memory of a task, where a batch begins in an
 * operand. Imports level 1.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import { type Cursor, type Extent, origin, stepAll } from '../contract/cursor.ts';
import type { View } from '../contract/problem.ts';
import type { Coords } from '../contract/store.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { KernelBuffers } from '../lower/context.ts';
import type { Product } from './plan.ts';

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** Some rows of a batch: the first, how many, and how many columns they see. */
export interface Block {
  readonly first: Reg;
  readonly count: Extent;
  readonly limit: Extent;
}

/** Where a task has areas, one value per score of a block each. */
export interface Areas {
  readonly buffer: number;
  /** Elements that a task has of the buffer, and where in them each area begins. */
  readonly taskElements: number;
  readonly offsets: readonly number[];
}

export interface ChainProducts {
  /** Elements from row to row of areas. */
  readonly pitch: number;
  /** Columns that what reads areas takes at a time. */
  readonly grain: number;
  /** Areas of f32, and of bf16. */
  readonly wide: Areas;
  readonly narrow: Areas;
  /** A task begins a batch: packs what all its rows share. */
  readonly enter: (slot: Reg, batch: Reg) => BatchProducts;
}

/** The products of a batch. */
export interface BatchProducts {
  /** Leaves a block's scores in their areas. */
  readonly makeScores: (block: Block) => void;
  /** Multiplies what the passes over its rows have left there. */
  readonly multiply: (block: Block) => void;
  /** Stores what is summed over all rows. */
  readonly finish: () => void;
}

/** Memory of a task: parts of its share of a scratch buffer. */
export class Room {
  readonly dtype: DType;
  elements = 0;
  private readonly name: string;
  private opened = -1;

  constructor(name: string, dtype: DType) {
    this.name = name;
    this.dtype = dtype;
  }

  take(elements: number): number {
    const at = this.elements;
    this.elements += roundUp(elements, 32);
    return at;
  }

  /** Asks for the buffer, when all is taken. */
  open(buffers: KernelBuffers, slots: number): void {
    const elements = Math.max(1, slots * this.elements);
    this.opened = buffers.scratch(this.name, this.dtype, elements, elements * bytesOf(this.dtype));
  }

  get buffer(): number {
    return this.opened;
  }

  /** Pointers to a task's parts. */
  of(b: LoopBuilder, slot: Reg): (offset: number) => Reg {
    const base = b.addr(this.buffer, b.mul(slot, b.i32(this.elements)));
    return offset => b.advance(base, b.i32(offset), bytesOf(this.dtype));
  }

  areas(offsets: readonly number[]): Areas {
    return { buffer: this.buffer, taskElements: this.elements, offsets };
  }
}

/** A batch's number as coordinates of a product. */
export function coordsOf(b: LoopBuilder, { batch }: Product, index: Reg, batches: number): Coords {
  return new Map(
    batch.map(({ dim, inner, size }) => {
      const outer = inner === 1 ? index : b.bin('divU', index, b.i32(inner));
      return [dim, inner * size === batches ? outer : b.bin('remU', outer, b.i32(size))] as const;
    }),
  );
}

/** Where a batch begins in an operand. */
export function startOf(b: LoopBuilder, product: Product, view: View, batch: Coords): Cursor {
  const dims = product.problem.batch;
  return stepAll(
    b,
    view,
    origin(b, view),
    dims,
    dims.map(d => batch.get(d)!),
  );
}
