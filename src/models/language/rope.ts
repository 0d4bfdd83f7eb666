/**
 * Rotary position embeddings (Su et al. 2021) in the layout of Hugging Face's LLaMA: the first half of a head's
 * features is paired with the second.
 */
import { arange, cat, Tensor } from '../../tensor/index.ts';

/**
 * How positions beyond those of the training are reached; the fields of `rope_scaling` in a config.json, in camelCase.
 */
export type RopeScaling =
  | { readonly ropeType: 'default' }
  | { readonly ropeType: 'linear'; readonly factor: number }
  /** Each pair of features slowed by a factor of its own. */
  | { readonly ropeType: 'factors'; readonly factors: readonly number[] }
  | {
      readonly ropeType: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    };

/** Radians per position of each pair of features. */
export function ropeFrequencies(
  headSize: number,
  theta: number,
  scaling: RopeScaling = { ropeType: 'default' },
): number[] {
  const plain = Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize));
  switch (scaling.ropeType) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map(f => f / scaling.factor);
    case 'factors':
      return plain.map((f, i) => f / (scaling.factors[i] ?? 1));
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original } = scaling;
      // Slow pairs are slowed further, fast ones kept, those between blended (Llama 3.1).
      return plain.map(f => {
        const turns = (original * f) / (2 * Math.PI);
        if (turns < lowFreqFactor) return f / factor;
        if (turns > highFreqFactor) return f;
        const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
    }
  }
}

/** Cosines and sines of `length` positions from `position` on, [length, head size] each. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export function rotation(
  frequencies: readonly number[],
  length: number,
  position: Tensor | number,
  dtype: Tensor['dtype'],
): Rotation {
  const compute = dtype === 'f64' ? 'f64' : 'f32';
  const places = arange(length, { dtype: 'i32' }).add(position).to(compute).unsqueeze(1);
  const half = places.mul(Tensor.from([...frequencies], { dtype: compute }));
  const angles = cat([half, half], 1);
  return { cos: angles.cos().to(dtype), sin: angles.sin().to(dtype) };
}

/** Turns the features of each position: x [B, heads, T, head size]. */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const [first, second] = x.chunk(2, -1) as [Tensor, Tensor];
  return x.mul(cos).add(cat([second.neg(), first], -1).mul(sin));
}
