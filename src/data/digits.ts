/**
 * Handwritten-looking digits out of nothing: strokes per digit, warped at random, drawn with a soft pen and noise.
 * Deterministic: image i of a seed is the same on every machine up to the last bits of Math.sin and Math.cos, which
 * rounding to u8 hides.
 */
import { checkOptions } from '../tensor/options.ts';
import type { Image } from './image.ts';
import { RandomStream } from './random.ts';

type Point = readonly [x: number, y: number];
type Stroke = readonly Point[];

/** Points along an ellipse from angle `from` to `to` (turns, clockwise from the right, y down). */
function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number, points = 10): Stroke {
  return Array.from({ length: points + 1 }, (_, i) => {
    const angle = 2 * Math.PI * (from + ((to - from) * i) / points);
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)] as const;
  });
}

/** The ways each digit is written, in a unit square, y down. */
const SHAPES: readonly (readonly (readonly Stroke[])[])[] = [
  [[arc(0.5, 0.5, 0.26, 0.38, 0, 1, 18)], [arc(0.5, 0.5, 0.2, 0.38, 0, 1, 18)]],
  [
    [[[0.5, 0.1], [0.5, 0.9]]],
    [[[0.36, 0.26], [0.52, 0.1], [0.52, 0.9]]],
    [[[0.36, 0.26], [0.52, 0.1], [0.52, 0.9]], [[0.34, 0.9], [0.7, 0.9]]],
  ],
  [
    [[...arc(0.5, 0.32, 0.24, 0.22, 0.5, 1.08), [0.28, 0.88], [0.76, 0.88]]],
    [[...arc(0.5, 0.32, 0.24, 0.22, 0.55, 1.1), [0.4, 0.72], ...arc(0.36, 0.8, 0.1, 0.09, 0.75, 0.25, 5).slice(1), [0.52, 0.8], [0.78, 0.86]]],
  ],
  [
    [[...arc(0.46, 0.3, 0.24, 0.2, 0.55, 1.25), ...arc(0.46, 0.69, 0.26, 0.21, -0.25, 0.45)]],
    [[[0.28, 0.12], [0.7, 0.12], [0.46, 0.42], ...arc(0.46, 0.66, 0.25, 0.24, -0.25, 0.42)]],
  ],
  [
    [[[0.6, 0.1], [0.24, 0.62], [0.78, 0.62]], [[0.6, 0.1], [0.6, 0.9]]],
    [[[0.3, 0.12], [0.27, 0.5], [0.7, 0.5]], [[0.7, 0.12], [0.66, 0.9]]],
  ],
  [
    [[[0.72, 0.12], [0.34, 0.12], [0.31, 0.46], ...arc(0.47, 0.65, 0.25, 0.23, -0.35, 0.42)]],
    [[[0.34, 0.12], [0.32, 0.45], ...arc(0.46, 0.66, 0.25, 0.23, -0.33, 0.42)], [[0.34, 0.12], [0.74, 0.12]]],
  ],
  [
    [[[0.64, 0.1], [0.44, 0.3], ...arc(0.5, 0.67, 0.23, 0.21, 0.55, 1.55, 16)]],
    [[...arc(0.66, 0.54, 0.4, 0.44, 0.78, 0.5, 8), ...arc(0.48, 0.69, 0.22, 0.19, 0.5, 1.5, 14)]],
  ],
  [
    [[[0.26, 0.12], [0.74, 0.12], [0.44, 0.9]]],
    [[[0.26, 0.2], [0.28, 0.12], [0.74, 0.12], [0.44, 0.9]], [[0.42, 0.5], [0.7, 0.5]]],
  ],
  [
    [arc(0.5, 0.3, 0.19, 0.19, 0.25, 1.25, 16), arc(0.5, 0.69, 0.23, 0.21, -0.25, 0.75, 16)],
    [[...arc(0.5, 0.3, 0.19, 0.18, -0.1, -0.75, 10), ...arc(0.5, 0.69, 0.22, 0.21, -0.25, 0.75, 14), ...arc(0.5, 0.3, 0.19, 0.18, 0.25, -0.1, 6)]],
  ],
  [
    [[...arc(0.48, 0.33, 0.22, 0.21, 0, -1, 16), [0.7, 0.33], [0.66, 0.9]]],
    [[...arc(0.48, 0.33, 0.22, 0.21, 0, -1, 16), [0.7, 0.33], ...arc(0.36, 0.5, 0.34, 0.4, 0, 0.3, 8)]],
  ],
]; // biome-ignore format: strokes read better as rows

export interface DigitsOptions {
  /** How many images. */
  readonly count: number;
  readonly seed: number;
  /** Height and width in pixels. Default 28. */
  readonly size?: number;
}

/** Images in one array [count, 1, size, size] of u8 (0 is paper, 255 ink), and their digits. */
export interface DigitArrays {
  readonly count: number;
  readonly size: number;
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** Draws digits; every class is as frequent as any other, in random order. */
export function generateDigits(options: DigitsOptions): DigitArrays {
  const { count, seed, size = 28 } = checkOptions('generateDigits', options, ['count', 'seed', 'size']);
  const images = new Uint8Array(count * size * size);
  const labels = new Uint8Array(count);
  const order = new RandomStream(seed, 1).permutation(count);
  for (let i = 0; i < count; i++) {
    labels[i] = order[i]! % 10;
    images.set(drawDigit(labels[i]!, new RandomStream(seed, 2, i), size).data, i * size * size);
  }
  return { count, size, images, labels };
}

/** One digit as a grey u8 image. */
export function drawDigit(digit: number, random: RandomStream, size = 28): Image {
  const shapes = SHAPES[digit];
  if (!shapes) throw new Error(`drawDigit: digit is ${digit}, expected 0 to 9`);
  const segments = warp(shapes[random.integer(shapes.length)]!, random);
  const pen = random.uniform(0.032, 0.062);
  const soft = 0.7 / size;
  const noise = random.uniform(0, 14);
  const ink = random.uniform(205, 255);
  const data = new Uint8Array(size * size);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const px = (x + 0.5) / size;
      const py = (y + 0.5) / size;
      let nearest = Number.POSITIVE_INFINITY;
      for (const segment of segments) nearest = Math.min(nearest, squaredDistance(px, py, segment));
      const covered = Math.min(1, Math.max(0, 0.5 - (Math.sqrt(nearest) - pen) / (2 * soft)));
      data[y * size + x] = Math.max(0, Math.min(255, Math.round(ink * covered + noise * random.normal())));
    }
  return { channels: 1, height: size, width: size, data };
}

type Segment = readonly [ax: number, ay: number, bx: number, by: number];

/** A random affine map about the centre, a slow wave and a jitter of the control points. */
function warp(strokes: readonly Stroke[], random: RandomStream): Segment[] {
  const angle = random.uniform(-0.24, 0.24);
  const slant = random.uniform(-0.3, 0.3);
  const width = random.uniform(0.62, 1.02);
  const height = random.uniform(0.68, 0.94);
  const shiftX = random.uniform(-0.08, 0.08);
  const shiftY = random.uniform(-0.06, 0.06);
  const wave = random.uniform(0, 0.035);
  const phase = random.uniform(0, 2 * Math.PI);
  const jitter = 0.012;
  const place = ([x, y]: Point): Point => {
    const ux = (x - 0.5) * width - slant * (y - 0.5) + wave * Math.sin(phase + 7 * y);
    const uy = (y - 0.5) * height + wave * Math.cos(phase + 7 * x);
    return [
      0.5 + shiftX + Math.cos(angle) * ux - Math.sin(angle) * uy + jitter * random.normal(),
      0.5 + shiftY + Math.sin(angle) * ux + Math.cos(angle) * uy + jitter * random.normal(),
    ];
  };
  return strokes.flatMap(stroke => {
    const points = stroke.map(place);
    return points.slice(1).map((b, i) => [points[i]![0], points[i]![1], b[0], b[1]] as const);
  });
}

function squaredDistance(x: number, y: number, [ax, ay, bx, by]: Segment): number {
  const dx = bx - ax;
  const dy = by - ay;
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
  return (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
}
