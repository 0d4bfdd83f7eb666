/**
 * RNN, GRU and LSTM. One matmul projects all steps at once; the steps are unrolled. Sequences may have lengths of their
 * own: beyond them the state stands still and the output is 0.
 */
import { F, full, stack, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { typed } from '../values.ts';

type Activation = (x: Tensor) => Tensor;

/** By name, with alpha and beta and what they are when not given. */
const ACTIVATIONS: Readonly<Record<string, (alpha: number | undefined, beta: number | undefined) => Activation>> = {
  relu: () => x => x.relu(),
  tanh: () => x => x.tanh(),
  sigmoid: () => x => x.sigmoid(),
  affine:
    (alpha = 1, beta = 0) =>
    x =>
      x.mul(alpha).add(beta),
  leakyrelu:
    (alpha = 0.01) =>
    x =>
      x.lt(0).where(x.mul(alpha), x),
  thresholdedrelu:
    (alpha = 1) =>
    x =>
      x.gt(alpha).where(x, 0),
  scaledtanh:
    (alpha = 1, beta = 1) =>
    x =>
      x.mul(beta).tanh().mul(alpha),
  hardsigmoid:
    (alpha = 0.2, beta = 0.5) =>
    x =>
      x.mul(alpha).add(beta).clamp(0, 1),
  elu:
    (alpha = 1) =>
    x =>
      x.gt(0).where(x, x.expm1().mul(alpha)),
  softsign: () => x => x.div(x.abs().add(1)),
  softplus: () => x => F.softplus(x),
};

/** How many of the alphas and betas each takes, in order. */
const TAKES: Readonly<Record<string, readonly [alpha: number, beta: number]>> = {
  affine: [1, 1],
  leakyrelu: [1, 0],
  thresholdedrelu: [1, 0],
  scaledtanh: [1, 1],
  hardsigmoid: [1, 1],
  elu: [1, 0],
};

function activationsOf(call: Call, absent: readonly string[], directions: number): Activation[][] {
  const names = call.texts('activations') ?? Array.from({ length: directions }, () => absent).flat();
  const alphas = [...(call.floats('activation_alpha') ?? [])];
  const betas = [...(call.floats('activation_beta') ?? [])];
  const all = names.map(name => {
    const key = name.toLowerCase();
    const make = ACTIVATIONS[key] ?? call.fail(`activation "${name}" is unknown`);
    const [takesAlpha, takesBeta] = TAKES[key] ?? [0, 0];
    return make(takesAlpha ? alphas.shift() : undefined, takesBeta ? betas.shift() : undefined);
  });
  if (all.length !== absent.length * directions)
    call.fail(`expected ${absent.length * directions} activations, got ${all.length}`);
  return Array.from({ length: directions }, (_, d) => all.slice(d * absent.length, (d + 1) * absent.length));
}

/** What one direction works with. */
interface Cell {
  /** Projected input of a step, [batch, gates * hidden]; recurrent weights [hidden, gates * hidden]. */
  readonly recurrent: Tensor;
  readonly recurrentBias: Tensor;
  readonly hidden: number;
  readonly activations: readonly Activation[];
  readonly clip: (x: Tensor) => Tensor;
  readonly peepholes: readonly Tensor[] | null;
  readonly linearBeforeReset: boolean;
  readonly inputForget: boolean;
}

type State = readonly Tensor[];
type Step = (cell: Cell, projected: Tensor, state: State) => State;

const part = (x: Tensor, hidden: number, i: number): Tensor => x.narrow(x.ndim - 1, i * hidden, hidden);

const rnnStep: Step = (cell, projected, [h]) => [
  cell.activations[0]!(cell.clip(projected.add(h!.matmul(cell.recurrent)).add(cell.recurrentBias))),
];

const gruStep: Step = (cell, projected, [h]) => {
  const { hidden, recurrent, recurrentBias, activations, clip } = cell;
  const [f, g] = activations as [Activation, Activation];
  const gates = h!.matmul(recurrent.narrow(1, 0, 2 * hidden)).add(recurrentBias.narrow(0, 0, 2 * hidden));
  const z = f(clip(part(projected, hidden, 0).add(part(gates, hidden, 0))));
  const r = f(clip(part(projected, hidden, 1).add(part(gates, hidden, 1))));
  const [weights, bias] = [recurrent.narrow(1, 2 * hidden, hidden), recurrentBias.narrow(0, 2 * hidden, hidden)];
  const reset = cell.linearBeforeReset ? r.mul(h!.matmul(weights).add(bias)) : r.mul(h!).matmul(weights).add(bias);
  const candidate = g(clip(part(projected, hidden, 2).add(reset)));
  return [z.neg().add(1).mul(candidate).add(z.mul(h!))];
};

/** Gates in ONNX's order: input, output, forget, cell. */
const lstmStep: Step = (cell, projected, [h, c]) => {
  const { hidden, activations, clip, peepholes } = cell;
  const [f, g, last] = activations as [Activation, Activation, Activation];
  const gates = projected.add(h!.matmul(cell.recurrent)).add(cell.recurrentBias);
  const peep = (i: number, from: Tensor): Tensor => {
    const gate = part(gates, hidden, i);
    return peepholes ? gate.add(peepholes[i]!.mul(from)) : gate;
  };
  const i = f(clip(peep(0, c!)));
  const forget = cell.inputForget ? i.neg().add(1) : f(clip(peep(2, c!)));
  const next = forget.mul(c!).add(i.mul(g(clip(part(gates, hidden, 3)))));
  const o = f(clip(peep(1, next)));
  return [o.mul(last(next)), next];
};

interface Kind {
  readonly gates: number;
  readonly states: number;
  readonly activations: readonly string[];
  readonly step: Step;
}

function recurrent({ gates, states, activations: absent, step }: Kind): Rule {
  return call => {
    const batchFirst = call.flag('layout');
    const input = batchFirst ? call.x(0).transpose(0, 1) : call.x(0);
    const [w, r, b] = [call.x(1), call.x(2), call.optional(3)];
    const [steps, batch] = input.shape as [number, number];
    const directions = w.shape[0]!;
    const hidden = r.shape[2]!;
    const direction = call.choice('direction', ['forward', 'reverse', 'bidirectional'], 'forward');
    if ((direction === 'bidirectional' ? 2 : 1) !== directions)
      call.fail(`${direction} needs other weights than ${directions} directions`);
    const activations = activationsOf(call, absent, directions);
    const limit = call.attribute('clip') ? call.float('clip') : null;
    const clip = (x: Tensor): Tensor => (limit === null ? x : x.clamp(-limit, limit));
    const lengths = call.optional(4);
    const peepholes = states === 2 ? call.optional(7) : null;
    const zero = full([batch, hidden], 0, { dtype: input.dtype });
    const initial = (i: number, d: number): Tensor => {
      const given = call.optional(5 + i);
      if (!given) return zero;
      return (batchFirst ? given.transpose(0, 1) : given).select(0, d);
    };

    const outputs: Tensor[] = [];
    const finals: Tensor[][] = [];
    for (let d = 0; d < directions; d++) {
      const reverse = direction === 'reverse' || d === 1;
      const bias = b ? b.select(0, d) : null;
      const projected = input.matmul(w.select(0, d).transpose(0, 1));
      const all = bias ? projected.add(bias.narrow(0, 0, gates * hidden)) : projected;
      const cell: Cell = {
        recurrent: r.select(0, d).transpose(0, 1),
        recurrentBias: bias
          ? bias.narrow(0, gates * hidden, gates * hidden)
          : full([gates * hidden], 0, { dtype: input.dtype }),
        hidden,
        activations: activations[d]!,
        clip,
        peepholes: peepholes ? [0, 1, 2].map(i => part(peepholes.select(0, d), hidden, i)) : null,
        linearBeforeReset: call.flag('linear_before_reset'),
        inputForget: call.flag('input_forget'),
      };
      let state: State = Array.from({ length: states }, (_, i) => initial(i, d));
      const seen = new Array<Tensor>(steps);
      for (let s = 0; s < steps; s++) {
        const t = reverse ? steps - 1 - s : s;
        const next = step(cell, all.select(0, t), state);
        if (lengths) {
          const inside = lengths.gt(t).reshape([batch, 1]);
          const before = state;
          state = next.map((value, i) => inside.where(value, before[i]!));
          seen[t] = inside.where(next[0]!, 0);
        } else {
          state = next;
          seen[t] = next[0]!;
        }
      }
      outputs.push(stack(seen, 0));
      finals.push([...state]);
    }
    // Y [steps, directions, batch, hidden], or batch first.
    const y = stack(outputs, 1);
    const last = (i: number): Tensor => stack(finals.map(list => list[i]!), 0); // biome-ignore format: one line
    const laid = [batchFirst ? y.permute([2, 0, 1, 3]) : y];
    for (let i = 0; i < states; i++) laid.push(batchFirst ? last(i).transpose(0, 1) : last(i));
    return laid.map(value => typed(value, call.type(0)));
  };
}

/** Linear attention: a state of key-value products that decays and is corrected step by step (opset 27). */
const linearAttention: Rule = call => {
  const [query, key, value] = [call.x(0), call.x(1), call.x(2)];
  const [past, decay, beta, erase] = [call.optional(3), call.optional(4), call.optional(5), call.optional(6)];
  const [heads, kvHeads] = [call.int('q_num_heads'), call.int('kv_num_heads')];
  const rule = call.choice('update_rule', ['linear', 'gated', 'delta', 'gated_delta'], 'gated_delta');
  const [b, t] = query.shape as [number, number];
  const split = (x: Tensor, n: number): Tensor =>
    x
      .to('f32')
      .reshape([b, t, n, x.shape[2]! / n])
      .transpose(1, 2);
  const [q, k, v] = [split(query, heads), split(key, kvHeads), split(value, kvHeads)];
  const [dk, dv] = [q.shape[3]!, v.shape[3]!];
  const gated = rule === 'gated' || rule === 'gated_delta';
  const delta = rule === 'delta' || rule === 'gated_delta';
  const gate = gated ? split(decay ?? call.fail(`${rule} needs decay`), kvHeads) : null;
  const strength = delta ? split(beta ?? call.fail(`${rule} needs beta`), beta?.shape[2] === 1 ? 1 : kvHeads) : null;
  const eraser = erase ? split(erase, kvHeads) : null;
  const given = call.float('scale', 0);
  const scale = given === 0 ? 1 / Math.sqrt(dk) : given;
  let state: Tensor = past ? past.to('f32') : full([b, kvHeads, dk, dv], 0, { dtype: 'f32' });
  const outputs: Tensor[] = [];
  for (let i = 0; i < t; i++) {
    const at = (x: Tensor): Tensor => x.select(2, i);
    const [kt, vt] = [at(k), at(v)];
    if (gate) state = state.mul(at(gate).exp().unsqueeze(-1));
    let write = vt;
    if (strength) {
      const seen = eraser ? at(eraser).mul(kt) : kt;
      write = at(strength).mul(vt.sub(seen.unsqueeze(-2).matmul(state).squeeze(-2)));
    }
    state = state.add(kt.unsqueeze(-1).mul(write.unsqueeze(-2)));
    const read = heads === kvHeads ? state : state.repeatInterleave(heads / kvHeads, 1);
    outputs.push(at(q).unsqueeze(-2).matmul(read).squeeze(-2).mul(scale));
  }
  const y = outputs.length === 0 ? full([b, heads, 0, dv], 0, { dtype: 'f32' }) : stack(outputs, 2);
  return [call.like(0, y.transpose(1, 2).reshape([b, t, heads * dv])), call.like(past ? 3 : 0, state)];
};

export const recurrents: OperatorTable = {
  GRU: recurrent({ gates: 3, states: 1, activations: ['Sigmoid', 'Tanh'], step: gruStep }),
  LSTM: recurrent({ gates: 4, states: 2, activations: ['Sigmoid', 'Tanh', 'Tanh'], step: lstmStep }),
  LinearAttention: linearAttention,
  RNN: recurrent({ gates: 1, states: 1, activations: ['Tanh'], step: rnnStep }),
};
