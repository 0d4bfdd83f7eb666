/**
 * Derivatives of derivatives: Newton's method on Rosenbrock's valley, with Hessian-vector products as the forward
 * derivative (jvp) of the reverse one (grad).
 */
import { grad, jvp, stack, Tensor } from 'tenon';

/** (1 - a)^2 + 100 (b - a^2)^2, smallest at (1, 1). */
const rosenbrock = (p: Tensor): Tensor => {
  const a = p.select(0, 0);
  const b = p.select(0, 1);
  return a.neg().add(1).square().add(b.sub(a.square()).square().mul(100));
};

const gradient = grad(rosenbrock);
const hessianTimes = (p: Tensor, v: Tensor): Tensor => jvp(gradient, [p], [v])[1];

let p = Tensor.from([-1.2, 1], { dtype: 'f64' });
for (let i = 0; i < 8; i++) {
  const columns = [
    [1, 0],
    [0, 1],
  ].map(unit => hessianTimes(p, Tensor.from(unit, { dtype: 'f64' })));
  const [[h00, h01], [h10, h11]] = stack(columns, 1).toArray() as [[number, number], [number, number]];
  const [g0, g1] = gradient(p).toArray() as [number, number];
  const det = h00 * h11 - h01 * h10;
  const move = [(h11 * g0 - h01 * g1) / det, (h00 * g1 - h10 * g0) / det];
  p = p.sub(Tensor.from(move, { dtype: 'f64' }));
  console.log(`step ${i}  f ${(rosenbrock(p).item() as number).toExponential(2)}  at ${p}`);
}
const distance = p.sub(1).abs().amax().item() as number;
if (distance > 1e-8) throw new Error(`Newton's method stopped ${distance} away from (1, 1)`);
