/**
 * The weight gradient of bf16, on matrix registers or by dot products, and of f32 in parts. A task takes some channels
 * of both and a run of rows; the gradients of a step of rows become blocks [result][pairs of images], the pixels of the
 * image, each once per task, blocks [pair][channel] in a ring, and per tap the pixels that meet are listed. Sums of all
 * taps stay in the second cache; long sums are cut into chunks by shapes alone.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, Tiles } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, type Cursor, origin, sizesOf, stepAll, walk, whenInside } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
import { type KernelWriter, kernelWriter } from '../kernel-gradients.ts';
import { hinderedBy } from '../parts.ts';
import { extent, type Problem, type View } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { bf16Sums, type SumProducts, sumInTiles } from '../tile-products.ts';
import { BLOCK, type BlockFormat, bf16Blocks, f32Blocks, noMagnitudes, SIDE } from './formats.ts';
import type { WeightGradient } from './gradient.ts';
import { type GradientPlan, planGradient } from './gradient-plan.ts';
import { LANES, sumPlainly } from './plain.ts';
import { type Pixels, pixelNumber, pixelsOf } from './range.ts';

const WORD = 4;
/** Elements of a block of sums. */
const BLOCK_SUMS = BLOCK * BLOCK;
export function suitsGradientInBlocks(p: Problem, g: WeightGradient, target: Target): boolean {
  if (!target.packedProducts?.[g.dtype]) return false;
  return [g.out, g.channel, g.images].every(d => p.dims[d]!.size % BLOCK === 0);
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
  /**
   * Per tap the number of pixels that meet, and for each of them bytes from the gradients' blocks and from the ring.
   */
  readonly meets: Reg;
  readonly lists: Reg;
  readonly ring: Reg;
  readonly sums: Reg;
  /** Room for a block that is packed. */
  readonly staging: Reg;
  /**
   * Where numbers have limits: the largest magnitude of the image that each tap meets, those of the pixels in the ring,
   * and what is listed, as elements.
   */
  readonly largest: Reg;
  readonly magnitudes: Reg;
  readonly met: Reg;
}

/** Words of a task's own in a buffer. */
type Area = (slot: Reg) => Reg;

const words = (bytes: number): number => bytes / WORD;

class GradientKernel {
  private readonly b: LoopBuilder;
  private readonly p: Problem;
  private readonly g: WeightGradient;
  private readonly target: Target;
  private readonly scratch: Scratch;
  private readonly format: BlockFormat;
  private readonly sum: SumProducts;
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
    this.target = target;
    this.scratch = scratch;
    this.format = g.dtype === 'bf16' ? bf16Blocks(b) : f32Blocks(b);
    this.sum = g.dtype === 'bf16' ? bf16Sums(target) : sumInTiles;
    this.pixels = pixelsOf(p, g.image, [...g.rows, ...g.row], g.taps);
    this.plan = planGradient(p, g, this.format, this.pixels, target);
    this.lanes = lanesFor(target, WORD);
    this.kernel = extent(p, g.taps);
    this.length = extent(p, g.row);
    this.stepPixels = this.plan.step * this.length;
    this.batches = extent(p, [g.images]) / BLOCK;
    this.pixelBytes = this.batches * this.format.blockBytes;
    this.outParts = this.plan.outs / BLOCK;
    this.inParts = this.plan.ins / BLOCK;
    this.area = this.kernel * this.outParts * this.inParts * BLOCK_SUMS;
  }

  write(): void {
    const { b, p, scratch, area, lanes } = this;
    const { channel, taps, out } = this.g;
    const { outs, ins, outBlocks, inBlocks, chunks } = this.plan;
    const tasks = chunks * outBlocks * inBlocks;
    const areasOf = this.areas(slotsOf(tasks));
    const sumsAt = scratch.room('sums', 'f32', (chunks > 1 ? tasks : slotsOf(tasks)) * area);
    const kernels = { channel, taps, out, lanes, vectors: this.format.apart, place: (tap: number) => tap };
    const writer = kernelWriter(b, p, kernels, this.target, slotsOf(Math.max(tasks, outs * outBlocks)), scratch);

    eachTask(b, tasks, (task, slot) => {
      const [chunk, outBlock, inBlock] = unravel(b, task, [chunks, outBlocks, inBlocks]);
      const [lo, hi] = this.rowsOf(chunk!);
      const sums = b.addr(sumsAt, b.mul(chunks > 1 ? task : slot, b.i32(area)));
      this.sumRows({ ...areasOf(slot), sums }, lo, hi, outBlock!, inBlock!);
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

  /** Asks for scratch of `slots` tasks at a time, all but their sums. */
  private areas(slots: number): (slot: Reg) => Omit<Areas, 'sums'> {
    const { b, kernel, stepPixels, pixelBytes, format } = this;
    const room = (name: string, size: number): Area => {
      if (size === 0) return slot => slot;
      const at = this.scratch.room(name, 'i32', slots * size);
      return slot => b.addr(at, b.mul(slot, b.i32(size)));
    };
    const gradients = room('blocks of gradients', words(this.outParts * stepPixels * pixelBytes));
    const ring = room('ring of pixels', words(this.inParts * this.plan.ring * pixelBytes));
    const lists = room('pixels that meet', kernel * (1 + 2 * stepPixels));
    const staging = room('staged block', format.stagingWords);
    const largest = room('largest magnitudes', format.hasLimits ? this.plan.ring + kernel : 0);
    const met = room('elements that meet', format.hasLimits ? kernel * 2 * stepPixels : 0);
    return slot => {
      const [gradientsAt, meets, ringAt, largestAt] = [gradients(slot), lists(slot), ring(slot), largest(slot)];
      return {
        gradients: gradientsAt,
        meets,
        lists: b.advance(meets, b.i32(kernel), WORD),
        ring: ringAt,
        staging: staging(slot),
        largest: largestAt,
        magnitudes: format.hasLimits ? b.advance(largestAt, b.i32(kernel), WORD) : largestAt,
        met: met(slot),
      };
    };
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

  private numberOf(index: Reg): Reg {
    return pixelNumber(this.b, this.pixels, index);
  }

  /** The sums of a task over rows lo .. hi, a step of rows at a time. */
  private sumRows(areas: Areas, lo: Reg, hi: Reg, outBlock: Reg, inBlock: Reg): void {
    const { b, lanes, pixels, length } = this;
    const { image, row } = this.g;
    const { step, ins, outs } = this.plan;
    b.for(0, this.area, lanes, i => b.store('f32', b.advance(areas.sums, i, WORD), zero(b, 'f32', lanes)));
    const end = row.length > 0 ? (length - 1) * image.lin[row[0]!]! : 0;
    const met = b.copy(this.numberOf(b.add(this.rowAt(image, lo).index, b.i32(pixels.before))));
    b.for(lo, hi, step, first => {
      const last = b.bin('min', b.add(first, b.i32(step)), hi);
      const ending = b.add(this.rowAt(image, b.sub(last, b.i32(1))).index, b.i32(end + pixels.behind));
      const until = b.add(this.numberOf(ending), b.i32(1));
      const [inAt, outAt] = [b.mul(inBlock, b.i32(ins)), b.mul(outBlock, b.i32(outs))];
      b.for(met, until, 1, pixel => this.packPixel(areas, pixel, inAt));
      b.bin('max', met, until, met);
      const largest = this.packGradients(areas, first, last, outAt);
      this.listMet(areas, first, last);
      this.sumTaps(areas, largest, outAt, inAt);
    });
  }

  /**
   * Runs `pack` for the images and channels of every block at one pixel: `index` is the element of the first, `to` its
   * block; `apart` bytes further on are those of the next channels.
   */
  private eachBlock(
    view: View,
    parts: number,
    index: Reg,
    to: Reg,
    apart: number,
    pack: (from: { readonly at: Reg; readonly pitch: number }, to: Reg) => void,
  ): void {
    const { b, batches } = this;
    const { element, blockBytes } = this.format;
    const pitch = view.lin[this.g.images]!;
    const from = b.addr(view.buffer, index);
    b.for(0, parts, 1, part => {
      const [source, block] = [b.advance(from, part, BLOCK * element), b.advance(to, part, apart)];
      b.for(0, batches, 1, i => {
        const at = b.advance(source, i, BLOCK * pitch * element);
        pack({ at, pitch }, b.advance(block, i, blockBytes));
      });
    });
  }

  /** Blocks [pair][channel] of one pixel of the image, into the ring. */
  private packPixel(areas: Areas, pixel: Reg, ofTask: Reg): void {
    const { b, inParts, pixelBytes, pixels, format } = this;
    const { ring } = this.plan;
    const index = affine(b, [[pixel, pixels.stride], [ofTask, 1]], pixels.first); // biome-ignore format: a sum
    const place = b.bin('remU', pixel, b.i32(ring));
    const to = b.advance(areas.ring, place, pixelBytes);
    const largest = noMagnitudes(b);
    this.eachBlock(this.g.image, inParts, index, to, ring * pixelBytes, (from, block) =>
      format.packImage(from, block, largest),
    );
    if (format.hasLimits) b.store('i32', b.advance(areas.magnitudes, place, WORD), b.reduce('max', largest));
  }

  /** Blocks [result][pairs of images] of the gradients of rows first .. last; their largest magnitude. */
  private packGradients(areas: Areas, first: Reg, last: Reg, ofTask: Reg): Reg {
    const { b, p, outParts, pixelBytes, stepPixels, format } = this;
    const { gradient, row } = this.g;
    const to = b.copy(areas.gradients);
    const largest = noMagnitudes(b);
    b.for(first, last, 1, i => {
      walk(b, gradient, [this.rowAt(gradient, i)], row, sizesOf(p, row), [], ([cursor]) => {
        this.eachBlock(gradient, outParts, b.add(cursor!.index, ofTask), to, stepPixels * pixelBytes, (from, block) =>
          format.packGradient(from, block, largest, areas.staging),
        );
        b.advance(to, b.i32(1), pixelBytes, to);
      });
    });
    return b.reduce('max', largest);
  }

  /** Lists for each tap where gradients and pixels lie that meet in rows first .. last. */
  private listMet({ meets, lists, largest, magnitudes, met }: Areas, first: Reg, last: Reg): void {
    const { b, p, stepPixels } = this;
    const { image, taps } = this.g;
    const one = b.i32(1);
    const at = { count: b.copy(meets), list: b.copy(lists), largest: b.copy(largest), met: b.copy(met) };
    walk(b, image, [origin(b, image)], taps, sizesOf(p, taps), [], ([tap]) => {
      const found = this.listTap(tap!, first, last, at.list, at.met, magnitudes);
      b.store('i32', at.count, found.count);
      b.advance(at.count, one, WORD, at.count);
      b.advance(at.list, b.i32(2 * stepPixels), WORD, at.list);
      if (!this.format.hasLimits) return;
      b.store('i32', at.largest, found.largest);
      b.advance(at.largest, one, WORD, at.largest);
      b.advance(at.met, b.i32(2 * stepPixels), WORD, at.met);
    });
  }

  /**
   * The list of one tap, as bytes at `list` and, where numbers have limits, as elements at `met`; how many there are,
   * and the image's largest magnitude there.
   */
  private listTap(tap: Cursor, first: Reg, last: Reg, list: Reg, met: Reg, magnitudes: Reg) {
    const { b, p, pixelBytes } = this;
    const { image, gradient, row } = this.g;
    const { hasLimits } = this.format;
    const one = b.i32(1);
    const [count, largest, bytes] = [b.copy(b.i32(0)), b.copy(b.i32(0)), b.copy(b.i32(0))];
    const entry = b.copy(list);
    const element = b.copy(b.i32(0));
    b.for(first, last, 1, i => {
      if (hasLimits) b.move(element, this.rowAt(gradient, i).index);
      walk(b, image, [this.rowAt(image, i, tap)], row, sizesOf(p, row), allGuards(image), ([cursor], [violated]) => {
        whenInside(b, violated!, () => {
          const place = b.bin('remU', this.numberOf(cursor!.index), b.i32(this.plan.ring));
          b.store('i32', entry, bytes);
          b.store('i32', entry, b.mul(place, b.i32(pixelBytes)), WORD);
          b.advance(entry, one, 2 * WORD, entry);
          if (hasLimits) {
            const plain = b.advance(met, count, 2 * WORD);
            b.store('i32', plain, element);
            b.store('i32', plain, cursor!.index, WORD);
            b.bin('max', largest, b.load('i32', b.advance(magnitudes, place, WORD)), largest);
          }
          b.add(count, one, count);
        });
        b.add(bytes, b.i32(pixelBytes), bytes);
        if (hasLimits) for (const d of row) b.add(element, b.i32(gradient.lin[d]!), element);
      });
    });
    return { count, largest };
  }

  /**
   * Adds the products of a step to the sums of every tap; `largest` of its gradients, `outAt` and `inAt` the task's
   * channels.
   */
  private sumTaps(areas: Areas, largest: Reg, outAt: Reg, inAt: Reg): void {
    const { b, outParts, inParts, stepPixels } = this;
    b.for(0, this.kernel, 1, tap => {
      const count = b.load('i32', b.advance(areas.meets, tap, WORD));
      const eachBlock = (multiply: (outPart: Reg, inPart: Reg, sums: Reg) => void): void =>
        b.for(0, outParts, 1, outPart => {
          b.for(0, inParts, 1, inPart => {
            const place = affine(b, [[tap, outParts * inParts], [outPart, inParts], [inPart, 1]], 0); // biome-ignore format: a sum
            multiply(outPart, inPart, b.advance(areas.sums, place, BLOCK_SUMS * WORD));
          });
        });
      const runs = { at: b.advance(areas.lists, tap, 2 * stepPixels * WORD), count };
      const inBlocks = (): void =>
        eachBlock((outPart, inPart, sums) => this.multiplyBlocks(areas, runs, outPart, inPart, sums));
      if (!this.format.hasLimits) {
        inBlocks();
        return;
      }
      const met = b.advance(areas.met, tap, 2 * stepPixels * WORD);
      const inPlain = (): void =>
        eachBlock((outPart, inPart, sums) => {
          const channels = { out: affine(b, [[outPart, BLOCK], [outAt, 1]], 0), in: affine(b, [[inPart, BLOCK], [inAt, 1]], 0) }; // biome-ignore format: sums
          this.multiplyPlainly(met, count, channels, sums);
        });
      const hindered = hinderedBy(b, largest, b.load('i32', b.advance(areas.largest, tap, WORD)));
      b.if(b.cmp('ge', hindered, b.i32(0)), inBlocks, inPlain);
    });
  }

  /** Adds the products of the blocks that are listed. */
  private multiplyBlocks(
    { gradients, ring }: Areas,
    runs: NonNullable<Tiles['runs']>,
    outPart: Reg,
    inPart: Reg,
    sums: Reg,
  ): void {
    const { b, stepPixels, pixelBytes } = this;
    this.sum(
      b,
      {
        kind: this.format.kind,
        a: b.advance(gradients, outPart, stepPixels * pixelBytes),
        b: b.advance(ring, inPart, this.plan.ring * pixelBytes),
        steps: this.batches,
        rows: 2,
        columns: 2,
        runs,
      },
      { c: sums },
      true,
    );
  }

  /** The same from where gradients and image lie, `channels` on from the elements that are listed at `met`. */
  private multiplyPlainly(met: Reg, count: Reg, channels: { readonly out: Reg; readonly in: Reg }, sums: Reg): void {
    const { b, p } = this;
    const { gradient, image, images } = this.g;
    sumPlainly(b, {
      rows: BLOCK,
      columns: BLOCK,
      sums,
      pitch: BLOCK,
      add: true,
      across: 1,
      along: gradient.lin[images]!,
      eachRun: sum =>
        b.for(0, count, 1, i => {
          const entry = b.advance(met, i, 2 * WORD);
          const pixel = b.add(b.load('i32', entry, WORD), channels.in);
          const from = b.addr(gradient.buffer, b.add(b.load('i32', entry), channels.out));
          sum(from, extent(p, [images]), (point, column) => {
            const at = affine(b, [[pixel, 1], [point, image.lin[images]!], [column, 1]], 0); // biome-ignore format: a sum
            return b.load('f32', b.addr(image.buffer, at), 0, LANES);
          });
        }),
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
    const { apart } = this.format;
    const within = b.bin('and', ofBlock, b.i32(BLOCK - 1));
    const line = apart === 1 ? within : affine(b, [[b.bin('and', within, b.i32(1)), SIDE], [b.bin('shrU', within, b.i32(1)), 1]], 0); // biome-ignore format: a sum
    const vectors = Array.from({ length: BLOCK / SIDE }, (_, v) => v);
    b.for(0, inParts, 1, part => {
      for (let first = 0; first < vectors.length; first += apart) {
        b.for(0, this.kernel, 1, tap => {
          const place = affine(b, [[tap, outParts * inParts], [b.bin('shrU', ofBlock, b.i32(5)), inParts], [part, 1]], 0); // biome-ignore format: a sum
          const at = b.advance(b.advance(from, place, BLOCK_SUMS * WORD), line, BLOCK * WORD);
          for (const v of vectors.slice(first, first + apart)) {
            const sum = b.copy(b.load('f32', at, v * SIDE * WORD, lanes));
            b.for(1, chunks, 1, chunk => {
              const next = b.advance(at, chunk, outBlocks * inBlocks * area * WORD);
              b.add(sum, b.load('f32', next, v * SIDE * WORD, lanes), sum);
            });
            b.store('f32', b.advance(stash, tap, apart * lanes * WORD), sum, (v - first) * lanes * WORD);
          }
        });
        write(result, affine(b, [[channelAt(part), 1]], first * SIDE)); // biome-ignore format: a sum
      }
    });
  }
}
