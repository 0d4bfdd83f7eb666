/**
 * A line through noisy points, with nothing but tensors and `valueAndGrad`: parameters are plain values that a loop
 * replaces.
 */
import { manualSeed, rand, randn, type Tensor, valueAndGrad, zeros } from 'tenon';

manualSeed(1);
const x = rand([200]);
const y = x
  .mul(3)
  .add(0.5)
  .add(randn([200]).mul(0.05));

const meanSquaredError = ([slope, offset]: readonly [Tensor, Tensor]): Tensor =>
  x.mul(slope).add(offset).sub(y).square().mean();

let parameters: readonly [Tensor, Tensor] = [zeros([]), zeros([])];
for (let step = 0; step < 300; step++) {
  const [, [slope, offset]] = valueAndGrad(meanSquaredError)(parameters);
  parameters = [parameters[0].sub(slope.mul(0.5)), parameters[1].sub(offset.mul(0.5))];
  // Computes them now; without it the graph of all 300 steps would run as one program.
  for (const p of parameters) p.eval();
}
const [slope, offset] = parameters.map(p => p.item() as number) as [number, number];
console.log(`y = ${slope.toFixed(3)} x + ${offset.toFixed(3)} (the points were drawn around 3 x + 0.5)`);
if (Math.abs(slope - 3) > 0.1 || Math.abs(offset - 0.5) > 0.05) throw new Error('the line is off');
