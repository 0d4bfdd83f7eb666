/**
 * Three interleaved spirals, a small network, a compiled training step, and a schedule that changes the learning rate
 * between calls.
 */
import { compile, F, manualSeed, noGrad, Tensor } from 'tenon';
import { Linear, Sequential, Tanh } from 'tenon/nn';
import { AdamW, CosineAnnealingLR } from 'tenon/optim';

const PER_CLASS = 120;
const points: number[][] = [];
const labels: number[] = [];
for (let arm = 0; arm < 3; arm++) {
  for (let i = 0; i < PER_CLASS; i++) {
    const radius = i / PER_CLASS;
    const angle = (arm * 2 * Math.PI) / 3 + 4 * radius;
    points.push([radius * Math.cos(angle), radius * Math.sin(angle)]);
    labels.push(arm);
  }
}
const x = Tensor.from(points);
const y = Tensor.from(Int32Array.from(labels));

manualSeed(7);
const model = new Sequential(new Linear(2, 64), new Tanh(), new Linear(64, 64), new Tanh(), new Linear(64, 3));
const optimizer = new AdamW(model.parameters(), { lr: 0.02 });
const schedule = new CosineAnnealingLR(optimizer, 400);

const step = compile(() => {
  optimizer.zeroGrad();
  const loss = F.crossEntropy(model.forward(x), y);
  loss.backward();
  optimizer.step();
  return loss;
});
for (let i = 0; i < 400; i++) {
  const loss = step();
  schedule.step();
  if (i % 100 === 0) console.log(`step ${i}  loss ${(loss.item() as number).toFixed(4)}`);
}
const predicted = noGrad(() => model.forward(x).argmax(1));
const accuracy = predicted.eq(y).to('f32').mean().item() as number;
console.log(`accuracy ${(100 * accuracy).toFixed(1)} %`);
if (accuracy < 0.97) throw new Error('the spirals were not learned');
