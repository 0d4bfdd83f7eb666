/**
 * Products of f32 on matrix registers: image and kernel are cut into parts of bf16 once each, the image by all threads before the first product. Where a block holds
 * numbers that cannot be cut, its products are summed from where both lie.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { origin, sizesOf } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { laneWords, packPanel } from '../pack.ts';
import { hinderedBy, PARTS, PARTS_BYTES, storeParts } from '../parts.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, product, type View } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { BLOCK, noMagnitudes, SIDE } from './formats.ts';
import type { Forward, Product } from './forward.ts';
import { LANES, sumPlainly } from './plain.ts';
import { type Pixels, pixelCount, pixelNumber, pixelsOf } from './range.ts';

const F32 = 4;
const WORD = 4;
/** Bytes that offsets of 32 bits reach. */
const MOST_BYTES = 2 ** 31;

const sizeOf = (p: Problem, d: number): number => p.dims[d]!.size;
const pixelsRead = (p: Problem, f: Forward): Pixels => pixelsOf(p, f.image, f.pixels, f.taps);
/** Elements of all images at a pixel. */
const pixelSize = (p: Problem, f: Forward): number => extent(p, [f.images, f.channel]);

export function suitsParts(p: Problem, f: Forward, target: Target): boolean {
  if (target.packedProducts?.f32 !== 'tiles' || f.dtype !== 'f32') return false;
  const whole = [f.out, f.images].every(d => sizeOf(p, d) % SIDE === 0) && sizeOf(p, f.channel) % BLOCK === 0;
  // Elements say which block they are in.
  const even = f.image.lin[f.images] === sizeOf(p, f.channel) && pixelsRead(p, f).stride % pixelSize(p, f) === 0;
  return whole && even && pixelCount(pixelsRead(p, f)) * pixelSize(p, f) * PARTS_BYTES < MOST_BYTES;
}

/** What `kernel` has at each tap and channel, as rows of a panel in the order of memory: elements of a row's place that dims step by. */
function panelRows(p: Problem, kernel: View, { taps, channel }: Forward) {
  const dims = [channel, ...taps].sort((x, y) => Math.abs(kernel.lin[y]!) - Math.abs(kernel.lin[x]!));
  const sizes = sizesOf(p, dims);
  const steps = new Map(dims.map((d, i) => [d, product(sizes.slice(i + 1))]));
  const last = dims[dims.length - 1]!;
  // Where rows are one run of memory, they are one dim: whole squares of it are transposed.
  const isRun = kernel.lin[last] === 1 && dims.every(d => kernel.lin[d] === steps.get(d));
  const length = product(sizes);
  if (!isRun) return { p, block: { dims, extents: sizes, length }, steps };
  const run = { ...p, dims: p.dims.map((x, d) => (d === last ? { ...x, size: length } : x)) };
  return { p: run, block: { dims: [last], extents: [length], length }, steps };
}

/** Packs `kernel` into panels [panel][tap][step of channels][part][16 words][width], and the largest magnitude of each. */
function packKernel(
  b: LoopBuilder,
  p: Problem,
  f: Forward,
  { width, panels, to, magnitudes }: { width: number; panels: number; to: number; magnitudes: number },
  target: Target,
  scratch: Scratch,
): () => void {
  const { kernel, taps, channel } = f;
  const lanes = lanesFor(target, F32);
  const rows = panelRows(p, kernel, f);
  const channels = sizeOf(p, channel);
  const panelSize = rows.block.length * width;
  const slots = slotsOf(panels);
  const staged = scratch.room('staged kernel', 'f32', slots * panelSize);
  const words = laneWords(kernel, lanes);
  const lanesRoom = scratch.room('lanes of the kernel', 'i32', slots * words);
  const part = SIDE * width * WORD;
  return () =>
    eachTask(b, panels, (panel, slot) => {
      const staging = b.addr(staged, b.mul(slot, b.i32(panelSize)));
      packPanel(b, rows.p, kernel, p.n, lanes, {
        at: origin(b, kernel),
        first: b.mul(panel, b.i32(width)),
        width,
        most: width,
        block: rows.block,
        to: staging,
        lanesAt: b.addr(lanesRoom, b.mul(slot, b.i32(words))),
      });
      const line = b.addr(to, b.mul(panel, b.i32((panelSize * PARTS_BYTES) / WORD)));
      const largest = noMagnitudes(b);
      const step = rows.steps.get(channel)! * width * F32;
      b.for(0, extent(p, taps), 1, tap => {
        const coords = unravel(b, tap, sizesOf(p, taps));
        const row = affine(b, taps.map((d, i) => [coords[i]!, rows.steps.get(d)!] as const), 0); // biome-ignore format: a sum
        const ofTap = b.advance(staging, row, width * F32);
        b.for(0, channels, BLOCK, first => {
          b.for(0, SIDE, 1, word => {
            const from = b.advance(ofTap, b.add(first, word), step);
            const further = b.advance(from, b.i32(SIDE), step);
            for (let v = 0; v < width; v += SIDE) {
              const [x, y] = [from, further].map(at => b.load('f32', at, v * F32, SIDE));
              storeParts(b, x!, y!, line, v * WORD, part, largest);
            }
            b.advance(line, b.i32(1), width * WORD, line);
          });
          b.advance(line, b.i32(PARTS - 1), part, line);
        });
      });
      b.store('i32', b.addr(magnitudes, panel), b.reduce('max', largest));
    });
}

/** Packs the images at every pixel into blocks [pixel][rows of images][step of channels][part][row][16 words], and the largest magnitude of each. */
function packImage(b: LoopBuilder, p: Problem, f: Forward, rows: number, to: number, magnitudes: number): void {
  const pixels = pixelsRead(p, f);
  const channels = sizeOf(p, f.channel);
  const blocks = sizeOf(p, f.images) / rows;
  const part = rows * SIDE * WORD;
  eachTask(b, pixelCount(pixels) * blocks, task => {
    const [pixel, block] = unravel(b, task, [pixelCount(pixels), blocks]);
    const index = affine(b, [[pixel!, pixels.stride], [block!, rows * channels]], pixels.first); // biome-ignore format: a sum
    const image = b.addr(f.image.buffer, index);
    const line = b.addr(to, b.mul(task, b.i32((rows * channels * PARTS_BYTES) / WORD)));
    const largest = noMagnitudes(b);
    b.for(0, channels, BLOCK, channel => {
      const from = b.copy(b.advance(image, channel, F32));
      b.for(0, rows, 1, () => {
        const [x, y] = [0, SIDE].map(at => b.load('f32', from, at * F32, SIDE));
        storeParts(b, x!, y!, line, 0, part, largest);
        b.advance(from, b.i32(channels), F32, from);
        b.advance(line, b.i32(1), SIDE * WORD, line);
      });
      b.advance(line, b.i32(PARTS - 1), part, line);
    });
    b.store('i32', b.addr(magnitudes, task), b.reduce('max', largest));
  });
}

export function productInParts(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch): Product {
  const { image, kernel: view, images, channel, taps } = f;
  const results = extent(p, p.n);
  const width = results % (2 * SIDE) === 0 ? 2 * SIDE : SIDE;
  const rows = sizeOf(p, images) % (2 * SIDE) === 0 ? 2 * SIDE : SIDE;
  const panels = results / width;
  const channels = sizeOf(p, channel);
  const panelBytes = extent(p, p.k) * width * PARTS_BYTES;
  const keeps = comesPacked(view);
  const kernelRoom = keeps ? scratch.kept : scratch.room;
  const kernel = kernelRoom('parts of the kernel', 'i32', (panels * panelBytes) / WORD);
  const kernelLargest = kernelRoom('largest of the kernel', 'i32', panels);
  const fillKernel = packKernel(b, p, f, { width, panels, to: kernel, magnitudes: kernelLargest }, target, scratch);
  const pixels = pixelsRead(p, f);
  const pixelBytes = pixelSize(p, f) * PARTS_BYTES;
  const blocks = sizeOf(p, images) / rows;
  const parts = scratch.room('parts of the image', 'i32', (pixelCount(pixels) * pixelBytes) / WORD);
  const largest = scratch.room('largest of the image', 'i32', pixelCount(pixels) * blocks);
  /** The pixel that an element is in, and the block of images. */
  const placeOf = (index: Reg): readonly [pixel: Reg, block: Reg] => {
    const pixel = pixelNumber(b, pixels, index);
    const within = b.sub(index, affine(b, [[pixel, pixels.stride]], pixels.first)); // biome-ignore format: a sum
    return [pixel, b.bin('divU', within, b.i32(rows * channels))];
  };
  return {
    rows,
    width,
    panels,
    panelBytes,
    tap: channels * width * PARTS_BYTES,
    place(index) {
      const [pixel, block] = placeOf(index);
      return affine(b, [[pixel, pixelBytes], [block, pixelBytes / blocks]], 0); // biome-ignore format: a sum
    },
    magnitude(index) {
      const [pixel, block] = placeOf(index);
      return b.load('i32', b.addr(largest, affine(b, [[pixel, blocks], [block, 1]], 0))); // biome-ignore format: a sum
    },
    pack() {
      if (keeps) scratch.prepare(fillKernel);
      else fillKernel();
      packImage(b, p, f, rows, parts, largest);
      return true;
    },
    multiply(panel, listed, to) {
      const inTiles = (): void =>
        b.emit({
          op: 'tiles',
          kind: 'f32',
          a: b.addr(parts),
          b: b.addr(kernel, b.mul(panel, b.i32(panelBytes / WORD))),
          c: to,
          steps: channels / BLOCK,
          rows: rows === SIDE ? 1 : 2,
          columns: width === SIDE ? 1 : 2,
          add: false,
          runs: { at: listed.at, count: listed.count, pitch: null },
        });
      const inPlain = (): void =>
        sumPlainly(b, {
          rows,
          columns: width,
          sums: to,
          pitch: width,
          add: false,
          across: channels,
          along: 1,
          eachRun: sum =>
            listed.eachInside((at, tap) => {
              const coords = unravel(b, tap, sizesOf(p, taps));
              const ofTap = affine(b, taps.map((d, i) => [coords[i]!, view.lin[d]!] as const), view.base); // biome-ignore format: a sum
              const offsets = b.iota(LANES, view.lin[f.out]!);
              sum(b.addr(image.buffer, at.index), channels, (point, column) => {
                const result = b.add(b.mul(panel, b.i32(width)), column);
                const index = affine(b, [[ofTap, 1], [point, view.lin[channel]!], [result, view.lin[f.out]!]], 0); // biome-ignore format: a sum
                return b.gather('f32', b.addr(view.buffer, index), offsets);
              });
            }),
        });
      const hindered = hinderedBy(b, listed.largest, b.load('i32', b.addr(kernelLargest, panel)));
      b.if(b.cmp('ge', hindered, b.i32(0)), inTiles, inPlain);
    },
  };
}
