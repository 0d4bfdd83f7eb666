/**
 * Random graphs from a seed: every primitive that one program can hold (loops and choices are made of programs), on
 * every dtype, over odd sizes, with many values shared and several outputs.
 */
import * as g from '../../src/graph/build.ts';
import { Draw, type Step } from './draw.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { FOLDS } from './folds.ts';
import { DTYPES, SIZES, sizeOf, type Value } from './values.ts';
import { VIEWS } from './views.ts';

const STEPS: readonly (readonly Step[])[] = [ELEMENTWISE, ELEMENTWISE, VIEWS, FOLDS];

/** The outputs of the graph that `seed` names. */
export function randomGraph(seed: number): Value[] {
  const draw = new Draw(seed);
  const { r, values } = draw;
  const rank = r.int(5);
  const shape = Array.from({ length: rank }, () => r.pick(SIZES));
  // Now and then large enough to be shared out between threads and cut into pieces.
  const large = rank > 0 && r.once(4);
  if (large) shape[r.int(rank)] = r.pick([127, 129, 257, 300, 1000]);
  while (sizeOf(shape) > (large ? 20_000 : 3000)) shape[r.int(rank)] = r.pick([1, 2, 3]);
  if (rank > 0 && r.once(50)) shape[r.int(rank)] = 0;
  const dtype = r.pick(DTYPES);
  values.push(draw.leaf(shape, dtype), draw.leaf(shape, dtype));
  for (let left = 3 + r.int(16); left > 0; left--) {
    const result = r.pick(r.pick(STEPS))(draw, draw.take());
    if (!result) continue;
    values.push(
      result.node.shape.length === 0 && r.once(2) ? { ...result, node: g.broadcastTo(result.node, [3]) } : result,
    );
  }
  const outputs = new Map(
    [values[values.length - 1]!, ...Array.from({ length: r.int(4) }, () => r.pick(values))].map(v => [v.node, v]),
  );
  return [...outputs.values()];
}
