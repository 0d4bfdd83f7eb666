/**
 * Line search for the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6), step by step as
 * PyTorch's L-BFGS does it. Plain numbers and vectors; knows no tensors.
 */

/** Loss and gradient at a point of a line. */
export interface Evaluation {
  readonly loss: number;
  readonly grad: Float64Array;
}

interface Point extends Evaluation {
  /** Distance along the line. */
  readonly at: number;
  /** Slope along the line. */
  readonly slope: number;
}

interface LineSearchResult extends Evaluation {
  readonly at: number;
  readonly evaluations: number;
}

/** Sufficient decrease, and how flat the end must be. */
const DECREASE = 1e-4;
const CURVATURE = 0.9;
const MOST_STEPS = 25;

export const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

export const largest = (a: Float64Array): number => {
  let most = 0;
  for (const value of a) most = Math.max(most, Math.abs(value));
  return most;
};

/** Where the cubic through two points with their slopes is least, within bounds. */
function cubicMinimum(a: Point, b: Point, bounds?: readonly [number, number]): number {
  const [least, most] = bounds ?? (a.at <= b.at ? [a.at, b.at] : [b.at, a.at]);
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.at - b.at);
  const square = d1 ** 2 - a.slope * b.slope;
  if (!(square >= 0)) return (least + most) / 2;
  const d2 = Math.sqrt(square);
  const [near, far] = a.at <= b.at ? [a, b] : [b, a];
  const place = far.at - (far.at - near.at) * ((far.slope + d2 - d1) / (far.slope - near.slope + 2 * d2));
  return Math.min(Math.max(place, least), most);
}

/** Two points that a good one lies between, the lower first. */
type Bracket = [low: Point, high: Point];

const ordered = (a: Point, b: Point): Bracket => (a.loss <= b.loss ? [a, b] : [b, a]);

/**
 * A step along `direction` from `start` that satisfies both conditions, or the best one found.
 *
 * @param first the step tried first
 * @param evaluate loss and gradient at a distance along the direction
 * @param tolerance intervals that move no element by more are not divided further
 */
export function strongWolfe(
  evaluate: (at: number) => Evaluation,
  first: number,
  direction: Float64Array,
  start: Evaluation,
  tolerance: number,
): LineSearchResult {
  let evaluations = 0;
  const pointAt = (at: number): Point => {
    evaluations++;
    const found = evaluate(at);
    return { ...found, at, slope: dot(found.grad, direction) };
  };
  const origin: Point = { ...start, at: 0, slope: dot(start.grad, direction) };
  const tooHigh = ({ loss, at }: Point): boolean => loss > origin.loss + DECREASE * at * origin.slope;
  const isFlat = ({ slope }: Point): boolean => Math.abs(slope) <= -CURVATURE * origin.slope;
  const resultOf = ({ loss, grad, at }: Point): LineSearchResult => ({ loss, grad, at, evaluations });

  // Go on until a good point is bracketed.
  let before = origin;
  let point = pointAt(first);
  let bracket: Bracket | null = null;
  let steps = 0;
  for (; steps < MOST_STEPS; steps++) {
    if (tooHigh(point) || (steps > 1 && point.loss >= before.loss)) {
      bracket = ordered(before, point);
      break;
    }
    if (isFlat(point)) return resultOf(point);
    if (point.slope >= 0) {
      bracket = ordered(before, point);
      break;
    }
    const next = cubicMinimum(before, point, [point.at + 0.01 * (point.at - before.at), point.at * 10]);
    before = point;
    point = pointAt(next);
  }
  if (!bracket) return resultOf(ordered(origin, point)[0]);

  // Divide the bracket.
  const reach = largest(direction);
  let slow = false;
  let [low, high] = bracket;
  while (steps < MOST_STEPS && Math.abs(high.at - low.at) * reach >= tolerance) {
    const [least, most] = low.at <= high.at ? [low.at, high.at] : [high.at, low.at];
    let at = cubicMinimum(low, high);
    // A step too near to an end hardly shortens the bracket: twice in a row, or outside of it, a tenth is cut off
    // instead.
    const margin = 0.1 * (most - least);
    if (Math.min(most - at, at - least) < margin) {
      if (slow || at >= most || at <= least) {
        at = Math.abs(at - most) < Math.abs(at - least) ? most - margin : least + margin;
        slow = false;
      } else slow = true;
    } else slow = false;
    point = pointAt(at);
    steps++;
    if (tooHigh(point) || point.loss >= low.loss) {
      [low, high] = ordered(low, point);
      continue;
    }
    if (isFlat(point)) return resultOf(point);
    if (point.slope * (high.at - low.at) >= 0) high = low;
    low = point;
  }
  return resultOf(low);
}
