/**
 * The forward product, or the input gradient, of f32 on matrix registers: for every pixel of the result the images of
 * the batch are rows. A task cuts the pixels that it meets into parts of bf16, each once, in a ring that stays in the
 * second cache; a long sum goes over some channels at a time. Where a block holds numbers that cannot be cut, its
 * products are summed from where both operands lie.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, Tiles } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, type Cursor, origin, sizesOf, step, stepAll, walk, whenInside } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
import { hinderedBy, PARTS, storeParts } from '../parts.ts';
import { extent, type Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, type Group, LINE, outputGroups, storeTile, touchesOf } from '../store.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { sumInTiles } from '../tile-products.ts';
import { BLOCK, noMagnitudes, SIDE } from './formats.ts';
import type { Forward } from './forward.ts';
import { type KernelParts, kernelParts } from './kernel-parts.ts';
import { type PartsPlan, planParts } from './parts-plan.ts';
import { LANES, sumPlainly } from './plain.ts';
import { type Pixels, pixelCount, pixelNumber, pixelsOf } from './range.ts';

const F32 = 4;
const WORD = 4;

/** No dims of batches: all are rows. */
const NONE: Coords = new Map();

const sizeOf = (p: Problem, d: number): number => p.dims[d]!.size;

export function suitsParts(p: Problem, f: Forward, target: Target): boolean {
  if (target.packedProducts?.f32 !== 'tiles' || f.dtype !== 'f32') return false;
  const { image, images, channel, out, pixels } = f;
  const whole = [out, images].every(d => sizeOf(p, d) % SIDE === 0) && sizeOf(p, channel) % BLOCK === 0;
  if (!whole) return false;
  // Results come in the order of memory, so that a run of them meets a run of the image.
  const inOrder = pixels.every((d, i) => {
    const next = pixels[i + 1];
    return image.lin[d]! > 0 && (next === undefined || image.lin[d]! >= (sizeOf(p, next) - 1) * image.lin[next]!);
  });
  // Elements say which pixel they are in.
  const size = sizeOf(p, images) * image.lin[images]!;
  return inOrder && image.lin[images]! >= sizeOf(p, channel) && pixelsOf(p, image, pixels, f.taps).stride >= size;
}

/** Emits the whole kernel. */
export function lowerParts(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch): void {
  new PartsKernel(b, p, f, target, scratch).write();
}

/** Where a task has its ring, its list and its sums. */
interface Areas {
  /** Blocks [step of channels][part][image][16 words] of pixels, and the largest magnitude of each. */
  readonly ring: Reg;
  readonly magnitudes: Reg;
  /** For each tap inside the bytes to its pixel in the ring and to its part of the kernel. */
  readonly list: Reg;
  readonly sums: Reg;
}

/** What a task computes: its rows of images, pixels and panels. */
interface Task {
  readonly images: Reg;
  readonly pixels: readonly [lo: Reg, hi: Reg];
  readonly panels: readonly [lo: Reg, hi: Reg];
}

class PartsKernel {
  private readonly b: LoopBuilder;
  private readonly p: Problem;
  private readonly f: Forward;
  private readonly scratch: Scratch;
  private readonly plan: PartsPlan;
  private readonly pixels: Pixels;
  private readonly kernel: KernelParts;
  private readonly lanes: number;
  private readonly groups: { readonly m: Group[]; readonly n: Group[] };

  constructor(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch) {
    this.b = b;
    this.p = p;
    this.f = f;
    this.scratch = scratch;
    this.pixels = pixelsOf(p, f.image, f.pixels, f.taps);
    this.plan = planParts(p, f, this.pixels, target);
    this.kernel = kernelParts(b, p, f, this.plan, scratch);
    this.lanes = lanesFor(target, WORD);
    this.groups = { m: outputGroups(p, p.m), n: outputGroups(p, p.n) };
  }

  write(): void {
    const { b, p, f, plan, scratch } = this;
    const { rows, width, panels, nTasks, mTasks, imageBlocks } = plan;
    const packs = this.kernel.pack();
    const tasks = nTasks * imageBlocks * mTasks;
    const slots = slotsOf(tasks);
    const room = (name: string, dtype: 'i32' | 'f32', size: number): ((slot: Reg) => Reg) => {
      const at = scratch.room(name, dtype, slots * size);
      return slot => b.addr(at, b.mul(slot, b.i32(size)));
    };
    const ring = room('ring of pixels', 'i32', (plan.ring * plan.pixelBytes) / WORD);
    const magnitudes = room('largest magnitudes', 'i32', plan.ring);
    const list = room('taps inside', 'i32', 2 * extent(p, f.taps));
    const sums = room('sums', 'f32', plan.sums * rows * width);
    if (packs) b.barrier();
    eachTask(b, tasks, (task, slot) => {
      const [nTask, block, mTask] = unravel(b, task, [nTasks, imageBlocks, mTasks]);
      const part = (i: Reg, all: number, count: number): Reg => b.bin('divU', b.mul(i, b.i32(all)), b.i32(count));
      const share = (i: Reg, all: number, count: number): readonly [Reg, Reg] => [
        part(i, all, count),
        part(b.add(i, b.i32(1)), all, count),
      ];
      this.sum(
        { ring: ring(slot), magnitudes: magnitudes(slot), list: list(slot), sums: sums(slot) },
        {
          images: b.mul(block!, b.i32(rows)),
          pixels: share(mTask!, extent(p, f.pixels), mTasks),
          panels: share(nTask!, panels, nTasks),
        },
      );
    });
  }

  /** All products of a task. */
  private sum(areas: Areas, task: Task): void {
    const { b, p, f, plan, lanes, pixels } = this;
    const { rows, width, channelBlocks, imageBlocks } = plan;
    const tile = rows * width;
    const [from, to] = task.pixels;
    if (channelBlocks > 1)
      b.for(0, plan.sums * tile, lanes, i => b.store('f32', b.advance(areas.sums, i, F32), zero(b, 'f32', lanes)));
    b.for(0, channelBlocks, 1, block => {
      const channel = b.mul(block, b.i32(plan.channels));
      const packed = b.copy(b.i32(0));
      b.for(from, to, 1, ordinal => {
        const coords = unravel(b, ordinal, sizesOf(p, f.pixels));
        const pixel = stepAll(b, f.image, origin(b, f.image), f.pixels, coords);
        const number = (reach: number): Reg => pixelNumber(b, pixels, b.add(pixel.index, b.i32(reach)));
        b.bin('max', packed, number(pixels.before), packed);
        const until = b.add(number(pixels.behind), b.i32(1));
        const offset = affine(b, [[task.images, f.image.lin[f.images]!], [channel, 1]], 0); // biome-ignore format: a sum
        b.for(packed, until, 1, i => this.packPixel(areas, i, offset));
        b.bin('max', packed, until, packed);

        const { count, largest } = this.listInside(areas, pixel);
        const next = this.pixelAt(b.bin('min', until, b.i32(pixelCount(pixels) - 1)), offset);
        const image = affine(b, [[ordinal, imageBlocks * rows], [task.images, 1]], 0); // biome-ignore format: a sum
        const [lo, hi] = task.panels;
        b.for(lo, hi, 1, panel => {
          const place = affine(b, [[b.sub(ordinal, from), plan.taskPanels], [b.sub(panel, lo), 1]], 0); // biome-ignore format: a sum
          const results = { rows, m: image, n: b.mul(panel, b.i32(width)), columns: width, batch: NONE };
          const sums = channelBlocks > 1 ? b.advance(areas.sums, place, tile * F32) : areas.sums;
          const isLast = b.cmp('eq', block, b.i32(channelBlocks - 1));
          const touches = touchesOf(b, p, this.groups.m, this.groups.n, lanes, results);
          if (touches) b.if(isLast, () => b.for(0, touches.times, 1, touches.each));
          const trips = b.mul(b.sub(panel, lo), b.mul(count, b.i32(plan.channels / BLOCK)));
          const ahead = { from: b.advance(next, trips, plan.linesAhead * LINE), lines: plan.linesAhead };
          const tiles = (): void => this.multiplyTiles(areas, count, ahead, panel, block, sums);
          const plain = (): void =>
            this.multiplyPlainly(step(b, f.image, pixel, f.images, task.images), panel, channel, sums);
          const hindered = hinderedBy(b, largest, this.largestOf(panel));
          b.if(b.cmp('ge', hindered, b.i32(0)), tiles, plain);
          b.if(isLast, () =>
            storeTile(b, p, this.groups.m, this.groups.n, lanes, { ...results, from: sums, pitch: width }),
          );
        });
      });
    });
  }

  /** Where a pixel lies, `offset` elements on. */
  private pixelAt(pixel: Reg, offset: Reg): Reg {
    const { first, stride } = this.pixels;
    return this.b.addr(this.f.image.buffer, affine(this.b, [[pixel, stride], [offset, 1]], first)); // biome-ignore format: a sum
  }

  /** Cuts some channels of a task's images at one pixel into the ring. */
  private packPixel({ ring, magnitudes }: Areas, pixel: Reg, offset: Reg): void {
    const { b, f, plan } = this;
    const { rows } = plan;
    const place = b.bin('remU', pixel, b.i32(plan.ring));
    const image = this.pixelAt(pixel, offset);
    const line = b.copy(b.advance(ring, place, plan.pixelBytes));
    const part = rows * SIDE * WORD;
    const largest = noMagnitudes(b);
    b.for(0, plan.channels, BLOCK, channel => {
      const from = b.copy(b.advance(image, channel, F32));
      b.for(0, rows, 1, () => {
        const [x, y] = [0, SIDE].map(at => b.load('f32', from, at * F32, SIDE));
        storeParts(b, x!, y!, line, 0, part, largest);
        b.advance(from, b.i32(f.image.lin[f.images]!), F32, from);
        b.advance(line, b.i32(1), SIDE * WORD, line);
      });
      b.advance(line, b.i32(PARTS - 1), part, line);
    });
    b.store('i32', b.advance(magnitudes, place, WORD), b.reduce('max', largest));
  }

  /** Runs `visit` for each tap that lies inside, seen from a pixel: where it is, and its number. */
  private eachInside(pixel: Cursor, visit: (at: Cursor, tap: Reg) => void): void {
    const { b, p } = this;
    const { image, taps } = this.f;
    const tap = b.copy(b.i32(0));
    walk(b, image, [pixel], taps, sizesOf(p, taps), allGuards(image), ([cursor], [violated]) => {
      whenInside(b, violated!, () => visit(cursor!, tap));
      b.add(tap, b.i32(1), tap);
    });
  }

  /** Lists them; how many there are, and the images' largest magnitude at them. */
  private listInside({ list, magnitudes }: Areas, pixel: Cursor): { readonly count: Reg; readonly largest: Reg } {
    const { b, plan, pixels } = this;
    const [count, largest] = [b.copy(b.i32(0)), b.copy(b.i32(0))];
    this.eachInside(pixel, ({ index }, tap) => {
      const place = b.bin('remU', pixelNumber(b, pixels, index), b.i32(plan.ring));
      const entry = b.advance(list, count, 2 * WORD);
      b.store('i32', entry, b.mul(place, b.i32(plan.pixelBytes)));
      b.store('i32', entry, b.mul(tap, b.i32(this.kernel.tapBytes)), WORD);
      b.bin('max', largest, b.load('i32', b.advance(magnitudes, place, WORD)), largest);
      b.add(count, b.i32(1), count);
    });
    return { count, largest };
  }

  /** The largest magnitude of a panel of the kernel. */
  private largestOf(panel: Reg): Reg {
    const { b } = this;
    const steps = sizeOf(this.p, this.f.channel) / BLOCK;
    const at = b.addr(this.kernel.largest, b.mul(panel, b.i32(steps)));
    const largest = b.load('i32', at);
    b.for(1, steps, 1, i => b.bin('max', largest, b.load('i32', b.advance(at, i, WORD)), largest));
    return largest;
  }

  private multiplyTiles(
    { ring, list }: Areas,
    count: Reg,
    ahead: Tiles['ahead'],
    panel: Reg,
    block: Reg,
    sums: Reg,
  ): void {
    const { b, plan, kernel } = this;
    const ofPanel = affine(b, [[panel, kernel.panelBytes / WORD], [block, plan.blockBytes / WORD]], 0); // biome-ignore format: a sum
    sumInTiles(
      b,
      {
        kind: 'f32',
        a: ring,
        b: b.addr(kernel.words, ofPanel),
        steps: plan.channels / BLOCK,
        rows: plan.rows === SIDE ? 1 : 2,
        columns: plan.width === SIDE ? 1 : 2,
        ahead,
        runs: { at: list, count },
      },
      { c: sums },
      plan.channelBlocks > 1,
    );
  }

  /** The same from where image and kernel lie. */
  private multiplyPlainly(pixel: Cursor, panel: Reg, channel: Reg, sums: Reg): void {
    const { b, p, plan } = this;
    const { image, kernel, images, taps, out, channel: dim } = this.f;
    sumPlainly(b, {
      rows: plan.rows,
      columns: plan.width,
      sums,
      pitch: plan.width,
      add: plan.channelBlocks > 1,
      across: image.lin[images]!,
      along: 1,
      eachRun: sum =>
        this.eachInside(pixel, ({ index }, tap) => {
          const coords = unravel(b, tap, sizesOf(p, taps));
          const ofTap = affine(b, taps.map((d, i) => [coords[i]!, kernel.lin[d]!] as const), kernel.base); // biome-ignore format: a sum
          const offsets = b.iota(LANES, kernel.lin[out]!);
          sum(b.addr(image.buffer, b.add(index, channel)), plan.channels, (point, column) => {
            const result = b.add(b.mul(panel, b.i32(plan.width)), column);
            const at = affine(b, [[ofTap, 1], [b.add(point, channel), kernel.lin[dim]!], [result, kernel.lin[out]!]], 0); // biome-ignore format: a sum
            return b.gather('f32', b.addr(kernel.buffer, at), offsets);
          });
        }),
    });
  }
}
