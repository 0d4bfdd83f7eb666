/**
 * How blocks of 32 channels by 32 images reach matrix registers in a weight gradient: of the image [pairs of
 * images][channel], of the gradient [result][pairs of images]. bf16 pairs neighbours among the images; f32 is cut into
 * parts, and pairs an image with the one 16 behind it. Imports packing and loop IR.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { zero } from '../indices.ts';
import { transpose } from '../pack.ts';
import { PARTS, storeParts } from '../parts.ts';

const WORD = 4;
/** Side of a matrix register; channels, and images, of a block. */
export const SIDE = 16;
export const BLOCK = 32;

/** Where a block is read: `at` the first channel of its first image, images `pitch` elements apart. */
interface Source {
  readonly at: Reg;
  readonly pitch: number;
}

export interface BlockFormat {
  readonly kind: 'bf16' | 'f32';
  /** Bytes of an element in memory, and of a packed block. */
  readonly element: number;
  readonly blockBytes: number;
  /**
   * In how many parts rows and columns of sums are apart: lane l of part v is channel `apart` * l + v of a block of
   * `apart` * 16.
   */
  readonly apart: 1 | 2;
  /** Words of room that packing a gradient needs. */
  readonly stagingWords: number;
  /**
   * Whether numbers may be too large, or too small: then their magnitudes' maximum by lane goes into `largest` (i32).
   */
  readonly hasLimits: boolean;
  /** Pack a block. */
  readonly packImage: (from: Source, to: Reg, largest: Reg) => void;
  readonly packGradient: (from: Source, to: Reg, largest: Reg, staging: Reg) => void;
}

const BF16 = 2;

/** Words of 16 channels of a pair of images: those of even channels of a block of 32, then those of odd ones. */
function pairOf(b: LoopBuilder, { at, pitch }: Source, pair: number, odd: boolean): Reg {
  const [x, y] = [0, 1].map(i => b.load('i32', at, (2 * pair + i) * pitch * BF16, SIDE));
  const bits = (value: number): Reg => b.const('i32', value, SIDE);
  return odd
    ? b.bin('or', b.bin('shrU', x!, bits(16)), b.bin('and', y!, bits(-65536)))
    : b.bin('or', b.bin('and', x!, bits(65535)), b.bin('shl', y!, bits(16)));
}

export function bf16Blocks(b: LoopBuilder): BlockFormat {
  return {
    kind: 'bf16',
    element: BF16,
    blockBytes: BLOCK * BLOCK * BF16,
    apart: 2,
    stagingWords: 0,
    hasLimits: false,
    packImage(from, to) {
      for (let pair = 0; pair < SIDE; pair++)
        for (const [v, odd] of [false, true].entries())
          b.store('i32', to, pairOf(b, from, pair, odd), (2 * pair + v) * SIDE * WORD);
    },
    packGradient(from, to) {
      for (const [v, odd] of [false, true].entries()) {
        const pairs = Array.from({ length: SIDE }, (_, pair) => pairOf(b, from, pair, odd));
        for (const [i, line] of transpose(b, pairs).entries()) b.store('i32', to, line, (v * SIDE + i) * SIDE * WORD);
      }
    },
  };
}

const F32 = 4;
/** Bytes of one part of a block. */
const PART = SIDE * BLOCK * WORD;

export function f32Blocks(b: LoopBuilder): BlockFormat {
  const packImage = ({ at, pitch }: Source, to: Reg, largest: Reg): void =>
    b.for(0, SIDE, 1, image => {
      const [from, line] = [b.advance(at, image, pitch * F32), b.advance(to, image, BLOCK * WORD)];
      for (let v = 0; v < BLOCK; v += SIDE) {
        const [x, y] = [0, SIDE].map(i => b.load('f32', from, (i * pitch + v) * F32, SIDE));
        storeParts(b, x!, y!, line, v * WORD, PART, largest);
      }
    });
  return {
    kind: 'f32',
    element: F32,
    blockBytes: PARTS * PART,
    apart: 1,
    stagingWords: (PARTS * PART) / WORD,
    hasLimits: true,
    packImage,
    packGradient(from, to, largest, staging) {
      packImage(from, staging, largest);
      b.for(0, PARTS, 1, part => {
        const [words, lines] = [staging, to].map(at => b.advance(at, part, PART));
        for (let v = 0; v < BLOCK; v += SIDE) {
          const pairs = Array.from({ length: SIDE }, (_, i) => b.load('i32', words!, (i * BLOCK + v) * WORD, SIDE));
          for (const [i, line] of transpose(b, pairs).entries()) b.store('i32', lines!, line, (v + i) * SIDE * WORD);
        }
      });
    },
  };
}

/** Magnitudes that nothing has been added to, by lane. */
export const noMagnitudes = (b: LoopBuilder): Reg => zero(b, 'i32', SIDE);
