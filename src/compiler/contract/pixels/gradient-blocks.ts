/**
 * The weight gradient of bf16 on matrix registers. A task takes some channels of both and a run of
 * rows; the gradients of a step of rows become blocks [result][pairs of images], the pixels of the image, each once per task, blocks [pair][channel] in a
 * ring, and per tap the pixels that meet are listed. Sums of all taps stay in the second cache; long sums are cut into chunks by shapes alone.
 */
import { gcd } from '../../index-expr.ts';
import type { LoopBuilder, Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, type Cursor, origin, sizesOf, stepAll, walk, whenInside } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
import { type KernelWriter, kernelWriter } from '../kernel-gradients.ts';
import { transpose } from '../pack.ts';
import { extent, type Problem, product, type View } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { chunksFor, eachTask, evenPart, slotsOf } from '../tasks.ts';
import type { WeightGradient } from './gradient.ts';

const BF16 = 2;
const WORD = 4;
/** Side of a matrix register; channels, and images, of a block. */
const SIDE = 16;
const BLOCK = 32;
/** Bytes of a block of channels by images, and elements of a block of sums. */
const BLOCK_BYTES = BLOCK * BLOCK * BF16;
const BLOCK_SUMS = BLOCK * BLOCK;
/** Channels of a task at most, in and out, and share of the second cache for its sums. */
const MOST_CHANNELS = 128;
const SUMS_SHARE = 0.3;
/** Share of the second cache for the sums and the blocks of a step. */
const SHARE = 0.7;
/** Tasks there should be, for threads to share, and rows of a chunk at least. */
const TASKS = 8;
const LEAST_ROWS = 4;

export function suitsGradientInBlocks(p: Problem, g: WeightGradient, target: Target): boolean {
  if (target.packedProducts?.bf16 !== 'tiles' || g.dtype !== 'bf16') return false;
  return [g.out, g.channel, g.images].every(d => p.dims[d]!.size % BLOCK === 0);
}

/** The pixels of an image, numbered from the first that is inside. */
interface Pixels {
  /** Element of pixel 0 and of the last pixel, and elements from one to the next. */
  readonly first: number;
  readonly last: number;
  readonly stride: number;
  /** How far the taps reach before and behind a pixel, in elements. */
  readonly before: number;
  readonly behind: number;
}

function pixelsOf(p: Problem, { image, rows, row, taps }: WeightGradient): Pixels {
  const dims = [...rows, ...row, ...taps];
  let [first, last] = [image.base, image.base];
  const reach = (coef: number, d: number): [number, number] => {
    const far = coef * (p.dims[d]!.size - 1);
    return [Math.min(0, far), Math.max(0, far)];
  };
  const free = [...image.lin];
  for (const guard of image.guards) {
    let [low, high] = [guard.offset, guard.offset];
    for (const d of dims) {
      const [down, up] = reach(guard.coefs[d]!, d);
      low += down;
      high += up;
      free[d] = free[d]! - guard.coefs[d]! * guard.stride;
    }
    const inside = (x: number): number => Math.max(0, Math.min(guard.size - 1, x));
    first += (inside(low) - guard.offset) * guard.stride;
    last += (inside(high) - guard.offset) * guard.stride;
  }
  for (const d of dims) {
    const [down, up] = reach(free[d]!, d);
    first += down;
    last += up;
  }
  const strides = [...dims.map(d => image.lin[d]!), ...image.guards.map(g => g.stride)];
  const [before, behind] = [0, 1].map(side => taps.reduce((sum, d) => sum + reach(image.lin[d]!, d)[side]!, 0));
  return { first, last, stride: strides.map(Math.abs).reduce(gcd, 0), before: before!, behind: behind! };
}

interface GradientPlan {
  readonly outs: number;
  readonly ins: number;
  readonly outBlocks: number;
  readonly inBlocks: number;
  readonly chunks: number;
  /** Rows of a step, and pixels of the image that they meet at most. */
  readonly step: number;
  readonly ring: number;
}

function planGradient(p: Problem, g: WeightGradient, pixels: Pixels, target: Target): GradientPlan {
  const { image, out, channel, taps, images, rows, row } = g;
  const [results, channels, kernel] = [extent(p, [out]), extent(p, [channel]), extent(p, taps)];
  const [count, length] = [extent(p, rows), extent(p, row)];
  const outs = evenPart(results, BLOCK, MOST_CHANNELS);
  const sumsMost = (target.l2Bytes * SUMS_SHARE) / (kernel * outs * WORD);
  const ins = evenPart(channels, BLOCK, Math.min(MOST_CHANNELS, Math.floor(sumsMost)));
  const [outBlocks, inBlocks] = [results / outs, channels / ins];
  const chunks = chunksFor(outBlocks * inBlocks, TASKS, count / LEAST_ROWS);

  const sizes = sizesOf(p, rows);
  const start = (i: number): number =>
    rows.reduce((at, d, k) => at + image.lin[d]! * (Math.floor(i / product(sizes.slice(k + 1))) % sizes[k]!), 0);
  const end = (length - 1) * (row.length > 0 ? image.lin[row[0]!]! : 0) + pixels.behind - pixels.before;
  const ringOf = (step: number): number => {
    let most = 0;
    for (let i = 0; i < count; i++) most = Math.max(most, start(Math.min(count, i + step) - 1) - start(i));
    return (most + end) / pixels.stride + 1;
  };
  const room = target.l2Bytes * SHARE - kernel * outs * ins * WORD;
  const bytes = (step: number): number => extent(p, [images]) * BF16 * (step * length * outs + ringOf(step) * ins);
  let step = 1;
  while (step < Math.ceil(count / chunks) && bytes(step + 1) <= room) step++;
  return { outs, ins, outBlocks, inBlocks, chunks, step, ring: ringOf(step) };
}

/** Words of 16 channels of all pairs of images at one pixel: those of even channels of a block of 32, then those of odd ones. */
function pairsOf(b: LoopBuilder, at: Reg, pitch: number, pair: number, odd: boolean): Reg {
  const [x, y] = [0, 1].map(i => b.load('i32', at, (2 * pair + i) * pitch * BF16, SIDE));
  const bits = (value: number): Reg => b.const('i32', value, SIDE);
  return odd
    ? b.bin('or', b.bin('shrU', x!, bits(16)), b.bin('and', y!, bits(-65536)))
    : b.bin('or', b.bin('and', x!, bits(65535)), b.bin('shl', y!, bits(16)));
}

/** Runs `pack` for the images and channels of every block at one pixel: `index` is the element of the first, `to` its block; `apart` bytes further on are those of the next channels. */
function eachBlock(
  b: LoopBuilder,
  view: View,
  images: number,
  batches: number,
  parts: number,
  index: Reg,
  to: Reg,
  apart: number,
  pack: (at: Reg, pitch: number, to: Reg) => void,
): void {
  const pitch = view.lin[images]!;
  const from = b.addr(view.buffer, index);
  b.for(0, parts, 1, part => {
    const [source, block] = [b.advance(from, part, BLOCK * BF16), b.advance(to, part, apart)];
    b.for(0, batches, 1, i =>
      pack(b.advance(source, i, BLOCK * pitch * BF16), pitch, b.advance(block, i, BLOCK_BYTES)),
    );
  });
}

/** Emits the whole kernel. */
export function lowerGradientInBlocks(
  b: LoopBuilder,
  p: Problem,
  g: WeightGradient,
  target: Target,
  scratch: Scratch,
): void {
  new GradientKernel(b, p, g, target, scratch).write();
}

/** Where a task has its blocks, its lists and its sums. */
interface Areas {
  readonly gradients: Reg;
  /** Per tap the number of pixels that meet, and for each of them bytes from the gradients' blocks and from the ring. */
  readonly meets: Reg;
  readonly lists: Reg;
  readonly ring: Reg;
  readonly sums: Reg;
}

const words = (bytes: number): number => bytes / WORD;

class GradientKernel {
  private readonly b: LoopBuilder;
  private readonly p: Problem;
  private readonly g: WeightGradient;
  private readonly scratch: Scratch;
  private readonly plan: GradientPlan;
  private readonly pixels: Pixels;
  private readonly lanes: number;
  private readonly kernel: number;
  /** Pixels of a row and of a step. */
  private readonly length: number;
  private readonly stepPixels: number;
  /** Blocks of 32 images at a pixel. */
  private readonly batches: number;
  private readonly pixelBytes: number;
  private readonly outParts: number;
  private readonly inParts: number;
  /** Sums of a task. */
  private readonly area: number;

  constructor(b: LoopBuilder, p: Problem, g: WeightGradient, target: Target, scratch: Scratch) {
    this.b = b;
    this.p = p;
    this.g = g;
    this.scratch = scratch;
    this.pixels = pixelsOf(p, g);
    this.plan = planGradient(p, g, this.pixels, target);
    this.lanes = lanesFor(target, WORD);
    this.kernel = extent(p, g.taps);
    this.length = extent(p, g.row);
    this.stepPixels = this.plan.step * this.length;
    this.batches = extent(p, [g.images]) / BLOCK;
    this.pixelBytes = this.batches * BLOCK_BYTES;
    this.outParts = this.plan.outs / BLOCK;
    this.inParts = this.plan.ins / BLOCK;
    this.area = this.kernel * this.outParts * this.inParts * BLOCK_SUMS;
  }

  write(): void {
    const { b, p, scratch, area, lanes, kernel, stepPixels, pixelBytes } = this;
    const { channel, taps, out } = this.g;
    const { outs, ins, outBlocks, inBlocks, chunks, ring } = this.plan;
    const tasks = chunks * outBlocks * inBlocks;
    const slots = slotsOf(tasks);
    const gradientWords = words(this.outParts * stepPixels * pixelBytes);
    const gradientsAt = scratch.room('blocks of gradients', 'i32', slots * gradientWords);
    const ringWords = words(this.inParts * ring * pixelBytes);
    const ringAt = scratch.room('ring of pixels', 'i32', slots * ringWords);
    const listWords = kernel * (1 + 2 * stepPixels);
    const listsAt = scratch.room('pixels that meet', 'i32', slots * listWords);
    const sumsAt = scratch.room('sums', 'f32', (chunks > 1 ? tasks : slots) * area);
    const kernels = { channel, taps, out, lanes, vectors: 2, place: (tap: number) => tap };
    const writer = kernelWriter(b, p, kernels, slotsOf(Math.max(tasks, outs * outBlocks)), scratch);

    eachTask(b, tasks, (task, slot) => {
      const [chunk, outBlock, inBlock] = unravel(b, task, [chunks, outBlocks, inBlocks]);
      const [lo, hi] = this.rowsOf(chunk!);
      const [gradients, meets, pixelRing] = [
        b.addr(gradientsAt, b.mul(slot, b.i32(gradientWords))),
        b.addr(listsAt, b.mul(slot, b.i32(listWords))),
        b.addr(ringAt, b.mul(slot, b.i32(ringWords))),
      ];
      const lists = b.advance(meets, b.i32(kernel), WORD);
      const sums = b.addr(sumsAt, b.mul(chunks > 1 ? task : slot, b.i32(area)));
      this.sumRows({ gradients, meets, lists, ring: pixelRing, sums }, lo, hi, outBlock!, inBlock!);
      if (chunks > 1) return;
      const own = writer(slot);
      b.for(0, outs, 1, line => {
        const result = affine(b, [[outBlock!, outs], [line, 1]], 0); // biome-ignore format: a sum
        this.writeFrom(own, sums, result, line, part => affine(b, [[inBlock!, ins], [part, BLOCK]], 0)); // biome-ignore format: a sum
      });
    });
    if (chunks === 1) return;

    b.barrier();
    eachTask(b, outs * outBlocks, (result, slot) => {
      const [outBlock, line] = unravel(b, result, [outBlocks, outs]);
      const own = writer(slot);
      b.for(0, inBlocks, 1, inBlock => {
        const block = affine(b, [[outBlock!, inBlocks], [inBlock, 1]], 0); // biome-ignore format: a sum
        const from = b.addr(sumsAt, b.mul(block, b.i32(area)));
        this.writeFrom(own, from, result, line!, part => affine(b, [[inBlock, ins], [part, BLOCK]], 0)); // biome-ignore format: a sum
      });
    });
  }

  /** The rows of a chunk. */
  private rowsOf(chunk: Reg): readonly [lo: Reg, hi: Reg] {
    const { b } = this;
    const rowCount = extent(this.p, this.g.rows);
    const share = (x: Reg): Reg => b.bin('divU', b.mul(x, b.i32(rowCount)), b.i32(this.plan.chunks));
    return [share(chunk), share(b.add(chunk, b.i32(1)))];
  }

  private rowAt(view: View, i: Reg, from: Cursor = origin(this.b, view)): Cursor {
    const { b, p } = this;
    return stepAll(b, view, from, this.g.rows, unravel(b, i, sizesOf(p, this.g.rows)));
  }

  /** Number of the pixel of the image with element `index`, or of the one next to it inside. */
  private numberOf(index: Reg): Reg {
    const { b, pixels } = this;
    const inside = b.bin('min', b.bin('max', index, b.i32(pixels.first)), b.i32(pixels.last));
    return b.bin('divU', b.sub(inside, b.i32(pixels.first)), b.i32(pixels.stride));
  }

  /** The sums of a task over rows lo .. hi, a step of rows at a time. */
  private sumRows(areas: Areas, lo: Reg, hi: Reg, outBlock: Reg, inBlock: Reg): void {
    const { b, lanes, pixels, length } = this;
    const { image, row } = this.g;
    const { step, ins } = this.plan;
    b.for(0, this.area, lanes, i => b.store('f32', b.advance(areas.sums, i, WORD), zero(b, 'f32', lanes)));
    const end = row.length > 0 ? (length - 1) * image.lin[row[0]!]! : 0;
    const met = b.copy(this.numberOf(b.add(this.rowAt(image, lo).index, b.i32(pixels.before))));
    b.for(lo, hi, step, first => {
      const last = b.bin('min', b.add(first, b.i32(step)), hi);
      const ending = b.add(this.rowAt(image, b.sub(last, b.i32(1))).index, b.i32(end + pixels.behind));
      const until = b.add(this.numberOf(ending), b.i32(1));
      const ofTask = b.mul(inBlock, b.i32(ins));
      b.for(met, until, 1, pixel => this.packPixel(areas.ring, pixel, ofTask));
      b.bin('max', met, until, met);
      this.packGradients(areas.gradients, first, last, outBlock);
      this.listMet(areas, first, last);
      this.sumTaps(areas);
    });
  }

  /** Blocks [pair][channel] of one pixel of the image, into the ring. */
  private packPixel(ringAt: Reg, pixel: Reg, ofTask: Reg): void {
    const { b, batches, inParts, pixelBytes, pixels } = this;
    const { image, images } = this.g;
    const { ring } = this.plan;
    const index = affine(b, [[pixel, pixels.stride], [ofTask, 1]], pixels.first); // biome-ignore format: a sum
    const to = b.advance(ringAt, b.bin('remU', pixel, b.i32(ring)), pixelBytes);
    eachBlock(b, image, images, batches, inParts, index, to, ring * pixelBytes, (at, pitch, block) => {
      for (let pair = 0; pair < SIDE; pair++)
        for (const [v, odd] of [false, true].entries())
          b.store('i32', block, pairsOf(b, at, pitch, pair, odd), (2 * pair + v) * SIDE * WORD);
    });
  }

  /** Blocks [result][pairs of images] of the gradients of rows first .. last. */
  private packGradients(gradientsAt: Reg, first: Reg, last: Reg, outBlock: Reg): void {
    const { b, p, batches, outParts, pixelBytes, stepPixels } = this;
    const { gradient, images, row } = this.g;
    const to = b.copy(gradientsAt);
    const pack = (at: Reg, pitch: number, block: Reg): void => {
      for (const [v, odd] of [false, true].entries()) {
        const pairs = Array.from({ length: SIDE }, (_, pair) => pairsOf(b, at, pitch, pair, odd));
        for (const [i, line] of transpose(b, pairs).entries())
          b.store('i32', block, line, (v * SIDE + i) * SIDE * WORD);
      }
    };
    b.for(first, last, 1, i => {
      walk(b, gradient, [this.rowAt(gradient, i)], row, sizesOf(p, row), [], ([cursor]) => {
        const index = affine(b, [[cursor!.index, 1], [outBlock, this.plan.outs]], 0); // biome-ignore format: a sum
        eachBlock(b, gradient, images, batches, outParts, index, to, stepPixels * pixelBytes, pack);
        b.advance(to, b.i32(1), pixelBytes, to);
      });
    });
  }

  /** Lists for each tap where gradients and pixels lie that meet in rows first .. last. */
  private listMet({ meets, lists }: Areas, first: Reg, last: Reg): void {
    const { b, p, pixelBytes } = this;
    const { image, row, taps } = this.g;
    const countAt = b.copy(meets);
    const list = b.copy(lists);
    walk(b, image, [origin(b, image)], taps, sizesOf(p, taps), [], ([tap]) => {
      const count = b.copy(b.i32(0));
      const entry = b.copy(list);
      const bytes = b.copy(b.i32(0));
      b.for(first, last, 1, i => {
        walk(b, image, [this.rowAt(image, i, tap!)], row, sizesOf(p, row), allGuards(image), ([cursor], [violated]) => {
          whenInside(b, violated!, () => {
            const slot = b.bin('remU', this.numberOf(cursor!.index), b.i32(this.plan.ring));
            b.store('i32', entry, bytes);
            b.store('i32', entry, b.mul(slot, b.i32(pixelBytes)), WORD);
            b.advance(entry, b.i32(2), WORD, entry);
            b.add(count, b.i32(1), count);
          });
          b.add(bytes, b.i32(pixelBytes), bytes);
        });
      });
      b.store('i32', countAt, count);
      b.advance(countAt, b.i32(1), WORD, countAt);
      b.advance(list, b.i32(2 * this.stepPixels), WORD, list);
    });
  }

  /** Adds the products of a step to the sums of every tap. */
  private sumTaps({ gradients, meets, lists, ring, sums }: Areas): void {
    const { b, outParts, inParts, stepPixels, pixelBytes } = this;
    b.for(0, this.kernel, 1, tap => {
      const runs = {
        at: b.advance(lists, tap, 2 * stepPixels * WORD),
        count: b.load('i32', b.advance(meets, tap, WORD)),
        pitch: null,
      };
      b.for(0, outParts, 1, outPart => {
        b.for(0, inParts, 1, inPart => {
          const place = affine(b, [[tap, outParts * inParts], [outPart, inParts], [inPart, 1]], 0); // biome-ignore format: a sum
          b.emit({
            op: 'tiles',
            kind: 'bf16',
            a: b.advance(gradients, outPart, stepPixels * pixelBytes),
            b: b.advance(ring, inPart, this.plan.ring * pixelBytes),
            c: b.advance(sums, place, BLOCK_SUMS * WORD),
            steps: this.batches,
            rows: 2,
            columns: 2,
            add: true,
            runs,
          });
        });
      });
    });
  }

  /** Writes the kernels of some blocks of channels, from one area of sums or from those of all chunks. */
  private writeFrom(
    { stash, write }: KernelWriter,
    from: Reg,
    result: Reg,
    ofBlock: Reg,
    channelAt: (part: Reg) => Reg,
  ): void {
    const { b, outParts, inParts, lanes, area } = this;
    const { chunks, outBlocks, inBlocks } = this.plan;
    const within = b.bin('and', ofBlock, b.i32(BLOCK - 1));
    const line = affine(b, [[b.bin('and', within, b.i32(1)), SIDE], [b.bin('shrU', within, b.i32(1)), 1]], 0); // biome-ignore format: a sum
    b.for(0, inParts, 1, part => {
      b.for(0, this.kernel, 1, tap => {
        const place = affine(b, [[tap, outParts * inParts], [b.bin('shrU', ofBlock, b.i32(5)), inParts], [part, 1]], 0); // biome-ignore format: a sum
        const at = b.advance(b.advance(from, place, BLOCK_SUMS * WORD), line, BLOCK * WORD);
        for (const v of [0, 1]) {
          const sum = b.copy(b.load('f32', at, v * SIDE * WORD, lanes));
          b.for(1, chunks, 1, chunk => {
            const next = b.advance(at, chunk, outBlocks * inBlocks * area * WORD);
            b.add(sum, b.load('f32', next, v * SIDE * WORD, lanes), sum);
          });
          b.store('f32', b.advance(stash, tap, 2 * lanes * WORD), sum, v * lanes * WORD);
        }
      });
      write(result, channelAt(part));
    });
  }
}
