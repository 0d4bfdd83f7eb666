/**
 * Keras' recurrent layers, step by step: gate order and biases as in tfjs-layers/src/layers/recurrent.ts.
 */
import { stack, type Tensor, zeros } from '../../tensor/index.ts';
import type { Layer, Rule } from './layers.ts';

type Activations = Readonly<Record<string, (x: Tensor) => Tensor>>;
/** State to state; the first of it is the output. */
type Step = (x: Tensor, state: readonly Tensor[]) => readonly Tensor[];

/** A layer over [n, steps, features] -> [n, units], or [n, steps, units] with return_sequences. */
export const recurrent =
  (kind: keyof typeof CELLS, activations: Activations): Rule =>
  ([x], layer) => {
    const { config, name } = layer;
    const pick = (key: string, absent: string): ((x: Tensor) => Tensor) => {
      const found = activations[config.text(key, absent)];
      if (!found) throw new Error(`${name}: the activation ${JSON.stringify(config.text(key, absent))} is not known`);
      return found;
    };
    const cell = CELLS[kind];
    const units = layer.weight('recurrent_kernel').shape[0]!;
    const step = cell.step(layer, units, pick('activation', 'tanh'), pick('recurrent_activation', cell.gate));
    const [n, steps] = x!.shape as [number, number];
    let state: readonly Tensor[] = Array.from({ length: cell.states }, () => zeros([n, units], { dtype: x!.dtype }));
    const outputs: Tensor[] = [];
    const backwards = config.flag('go_backwards', false);
    for (let t = 0; t < steps; t++) {
      state = step(x!.select(1, backwards ? steps - 1 - t : t), state);
      outputs.push(state[0]!);
    }
    return config.flag('return_sequences', false) ? stack(outputs, 1) : state[0]!;
  };

interface Cell {
  readonly states: number;
  /** The default of recurrent_activation. */
  readonly gate: string;
  step(layer: Layer, units: number, act: (x: Tensor) => Tensor, gate: (x: Tensor) => Tensor): Step;
}

const biasOf = (layer: Layer): Tensor | null => (layer.config.flag('use_bias', true) ? layer.weight('bias') : null);
const plus = (x: Tensor, bias: Tensor | null): Tensor => (bias ? x.add(bias) : x);

const CELLS = {
  SimpleRNN: {
    states: 1,
    gate: 'linear',
    step: (layer, _, act) => {
      const [kernel, inner, bias] = [layer.weight('kernel'), layer.weight('recurrent_kernel'), biasOf(layer)];
      return (x, [h]) => [act(plus(x.matmul(kernel), bias).add(h!.matmul(inner)))];
    },
  },
  LSTM: {
    states: 2,
    gate: 'hard_sigmoid',
    // Gates input, forget, candidate, output.
    step: (layer, units, act, gate) => {
      const [kernel, inner, bias] = [layer.weight('kernel'), layer.weight('recurrent_kernel'), biasOf(layer)];
      return (x, [h, c]) => {
        const z = plus(x.matmul(kernel).add(h!.matmul(inner)), bias);
        const [i, f, g, o] = z.split(units, 1) as [Tensor, Tensor, Tensor, Tensor];
        const next = gate(f)
          .mul(c!)
          .add(gate(i).mul(act(g)));
        return [gate(o).mul(act(next)), next];
      };
    },
  },
  GRU: {
    states: 1,
    gate: 'hard_sigmoid',
    // Gates update, reset, candidate; with reset_after the bias has a row for each side and the reset comes after the
    // product.
    step: (layer, units, act, gate) => {
      const [kernel, inner, bias] = [layer.weight('kernel'), layer.weight('recurrent_kernel'), biasOf(layer)];
      const after = layer.config.flag('reset_after', false);
      const [outer, own] = after && bias ? [bias.select(0, 0), bias.select(0, 1)] : [bias, null];
      return (x, [h]) => {
        const [xz, xr, xh] = plus(x.matmul(kernel), outer).split(units, 1) as [Tensor, Tensor, Tensor];
        if (after) {
          const [hz, hr, hh] = plus(h!.matmul(inner), own).split(units, 1) as [Tensor, Tensor, Tensor];
          const z = gate(xz.add(hz));
          return [
            z.mul(h!).add(
              z
                .neg()
                .add(1)
                .mul(act(xh.add(gate(xr.add(hr)).mul(hh)))),
            ),
          ];
        }
        const [uz, ur, uh] = inner.split(units, 1) as [Tensor, Tensor, Tensor];
        const z = gate(xz.add(h!.matmul(uz)));
        const candidate = act(
          xh.add(
            gate(xr.add(h!.matmul(ur)))
              .mul(h!)
              .matmul(uh),
          ),
        );
        return [z.mul(h!).add(z.neg().add(1).mul(candidate))];
      };
    },
  },
} as const satisfies Readonly<Record<string, Cell>>;
