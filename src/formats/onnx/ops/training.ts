/** ai.onnx.preview.training: gradients inside a graph, and the updates of optimizers. */
import { Tensor, vjp } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { typed, type Value } from '../values.ts';

/** dy/dx for every x: the nodes from them to y are run again over fresh leaves, the values of zs and xs given. */
const gradient: Rule = call => {
  const xs = call.texts('xs') ?? call.fail('attribute xs is missing');
  const zs = call.texts('zs') ?? [];
  const y = call.text('y');
  const at = xs.map((_, i) => call.x(i));
  const fixed = zs.map((name, i) => [name, call.value(xs.length + i)] as const);
  const fn = (...values: Tensor[]): Tensor => {
    const replaced = new Map<string, Value>(fixed);
    for (const [i, name] of xs.entries()) replaced.set(name, typed(values[i]!, call.type(i)));
    const value = call.context.rerun(replaced, y);
    return value.kind === 'tensor' ? value.tensor : call.fail(`"${y}" is no tensor`);
  };
  const [value, pull] = vjp(fn, ...at) as unknown as [Tensor, (cotangent: Tensor) => Tensor[] | Tensor];
  const gradients = pull(value.mul(0).add(1));
  return (Array.isArray(gradients) ? gradients : [gradients]).map((gradient, i) => typed(gradient, call.type(i)));
};

/** Inputs: R, T, then all X, all G, and the states. */
function groups(call: Call, states: number): { r: Tensor; t: Tensor; parts: Tensor[][] } {
  const rest = call.tensors(2);
  const n = rest.length / (2 + states);
  if (!Number.isInteger(n)) call.fail(`${rest.length} tensors do not divide into values, gradients and states`);
  return {
    r: call.x(0),
    t: call.x(1),
    parts: Array.from({ length: n }, (_, i) => Array.from({ length: 2 + states }, (_, k) => rest[k * n + i]!)),
  };
}

/** New values of all, then of each state in turn. */
const laid = (rows: readonly (readonly Tensor[])[]): Tensor[] =>
  (rows[0] ?? []).flatMap((_, k) => rows.map(row => row[k]!));

const adagrad: Rule = call => {
  const { r, t, parts } = groups(call, 1);
  const decay = call.float('decay_factor', 0);
  const [eps, norm] = [call.float('epsilon', 1e-6), call.float('norm_coefficient', 0)];
  const rate = r.div(t.to(r.dtype).mul(decay).add(1));
  return laid(
    parts.map(([x, g, h]) => {
      const regular = x!.mul(norm).add(g!);
      const sum = h!.add(regular.mul(regular));
      return [x!.sub(rate.mul(regular).div(sum.sqrt().add(eps))), sum];
    }),
  );
};

const adam: Rule = call => {
  const { r, t, parts } = groups(call, 2);
  const [alpha, beta, eps] = [call.float('alpha', 0.9), call.float('beta', 0.999), call.float('epsilon', 1e-6)];
  const [norm, normPost] = [call.float('norm_coefficient', 0), call.float('norm_coefficient_post', 0)];
  const step = t.to(r.dtype);
  const power = (base: number): Tensor => step.mul(Math.log(base)).exp();
  const corrected = r.mul(power(beta).neg().add(1).sqrt()).div(power(alpha).neg().add(1));
  const rate = step.gt(0).where(corrected, r);
  return laid(
    parts.map(([x, g, v, h]) => {
      const regular = x!.mul(norm).add(g!);
      const mean = v!.mul(alpha).add(regular.mul(1 - alpha));
      const square = h!.mul(beta).add(regular.mul(regular).mul(1 - beta));
      const next = x!.sub(rate.mul(mean).div(square.sqrt().add(eps)));
      return [next.mul(1 - normPost), mean, square];
    }),
  );
};

const momentum: Rule = call => {
  const { r, t, parts } = groups(call, 1);
  const [alpha, beta, norm] = [call.float('alpha'), call.float('beta'), call.float('norm_coefficient')];
  const nesterov = call.choice('mode', ['standard', 'nesterov']) === 'nesterov';
  // The first step takes the whole gradient.
  const share = t.gt(0).where(Tensor.from(beta, { dtype: r.dtype }), 1);
  return laid(
    parts.map(([x, g, v]) => {
      const regular = x!.mul(norm).add(g!);
      const velocity = v!.mul(alpha).add(regular.mul(share));
      const along = nesterov ? regular.add(velocity.mul(alpha)) : velocity;
      return [x!.sub(r.mul(along)), velocity];
    }),
  );
};

export const training: OperatorTable = { Adagrad: adagrad, Adam: adam, Gradient: gradient, Momentum: momentum };
