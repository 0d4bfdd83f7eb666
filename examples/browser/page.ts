/**
 * The browser example's page: trains the spirals of spiral.ts, a few steps per frame, and draws what the network
 * believes of every point of the square, the points, and the loss. Canvas only, no dependencies.
 */
import { numThreads, Tensor } from 'tenon';
import { type Classifier, createClassifier } from './spiral.ts';

const STEPS = 300;
const STEPS_PER_FRAME = 3;
/** Pixels on a side of the picture of probabilities; the page scales it up. */
const GRID = 120;
const COLORS = [
  [0x2f, 0x6f, 0xb3],
  [0xe0, 0x8a, 0x1e],
  [0x3f, 0x9b, 0x57],
] as const;

const canvasOf = (id: string): CanvasRenderingContext2D =>
  (document.getElementById(id) as HTMLCanvasElement).getContext('2d')!;
const regions = canvasOf('regions');
const curve = canvasOf('curve');
const status = document.getElementById('status')!;

const picture = new ImageData(GRID, GRID);
const gridPoints = Tensor.from(
  Float32Array.from({ length: GRID * GRID * 2 }, (_, i) => {
    const pixel = i >> 1;
    const position = i % 2 === 0 ? pixel % GRID : Math.floor(pixel / GRID);
    return (2 * (position + 0.5)) / GRID - 1;
  }),
  { shape: [GRID * GRID, 2] },
);

function drawRegions({ probabilities, points, arms }: Classifier): void {
  const p = probabilities(gridPoints).data();
  for (let pixel = 0; pixel < GRID * GRID; pixel++)
    for (let channel = 0; channel < 4; channel++) {
      let value = 0;
      for (const [arm, color] of COLORS.entries())
        value += Number(p[pixel * COLORS.length + arm]) * (color[channel] ?? 255);
      // Half way to white, so that the points stand out.
      picture.data[pixel * 4 + channel] = channel < 3 ? 128 + value / 2 : 255;
    }
  regions.putImageData(picture, 0, 0);
  const { width } = regions.canvas;
  regions.drawImage(regions.canvas, 0, 0, GRID, GRID, 0, 0, width, width);
  const [at, labels] = [points.data(), arms.data()];
  for (let i = 0; i < labels.length; i++) {
    const [x, y] = [Number(at[2 * i]), Number(at[2 * i + 1])].map(v => ((v + 1) / 2) * width) as [number, number];
    regions.fillStyle = `rgb(${COLORS[Number(labels[i])]!.join()})`;
    regions.beginPath();
    regions.arc(x, y, 3.5, 0, 2 * Math.PI);
    regions.fill();
    regions.stroke();
  }
}

function drawCurve(losses: readonly number[]): void {
  const { width, height } = curve.canvas;
  curve.clearRect(0, 0, width, height);
  curve.beginPath();
  for (const [i, loss] of losses.entries())
    curve.lineTo(4 + (i / STEPS) * (width - 8), height - 4 - Math.min(1, loss / losses[0]!) * (height - 8));
  curve.stroke();
}

function accuracy({ probabilities, points, arms }: Classifier): number {
  return Number(probabilities(points).argmax(1).to('i32').eq(arms).to('f32').mean().item());
}

regions.strokeStyle = 'white';
curve.strokeStyle = '#2f6fb3';
curve.lineWidth = 2;
const classifier = createClassifier(100, 1);
const losses: number[] = [];
let milliseconds = 0;

function frame(): void {
  const begin = performance.now();
  for (let i = 0; i < STEPS_PER_FRAME; i++) losses.push(Number(classifier.step().item()));
  milliseconds += performance.now() - begin;
  drawRegions(classifier);
  drawCurve(losses);
  status.textContent =
    `step ${losses.length} of ${STEPS}, loss ${losses.at(-1)!.toFixed(4)}, accuracy ${(100 * accuracy(classifier)).toFixed(1)} %, ` +
    `${(milliseconds / losses.length).toFixed(2)} ms a step on ${numThreads()} ${numThreads() === 1 ? 'thread' : 'threads'}`;
  if (losses.length < STEPS) requestAnimationFrame(frame);
  else status.dataset['done'] = 'true';
}
requestAnimationFrame(frame);
