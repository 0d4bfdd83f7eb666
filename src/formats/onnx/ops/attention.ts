/** Attention, its flexible form with subgraphs for scores and weights, and rotary embeddings. */
import { cat, full, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { isNumeric, TYPES, typeOfCode } from '../elementTypes.ts';
import { int64s, typed } from '../values.ts';

const range = (n: number): Tensor => int64s(Array.from({ length: n }, (_, i) => i));
const MINUS_INFINITY = Number.NEGATIVE_INFINITY;

/** [batch, steps, heads * size] as [batch, heads, steps, size]. */
function toHeads(x: Tensor, heads: number): Tensor {
  const [b, t, width] = x.shape as [number, number, number];
  return x.reshape([b, t, heads, width / heads]).transpose(1, 2);
}

/** What is added to the scores, of f32: 0 where a key is seen, minus infinity where not, or the mask's own values. */
function scoreBias(call: Call, queries: number, keys: number, batch: number, past: number | null): Tensor | null {
  const lengths = call.optional(6);
  let bias: Tensor | null = null;
  const add = (more: Tensor): void => {
    bias = bias === null ? more : bias.add(more);
  };
  const allowed = (seen: Tensor): Tensor => seen.where(full([], 0, { dtype: 'f32' }), MINUS_INFINITY);
  const mask = call.optional(3);
  if (mask) {
    const values = mask.dtype === 'bool' ? allowed(mask) : mask.to('f32');
    const missing = keys - mask.shape[mask.ndim - 1]!;
    add(missing > 0 ? values.constantPad([0, missing], MINUS_INFINITY) : values);
  }
  if (call.flag('is_causal')) {
    const at = range(queries).reshape([1, 1, queries, 1]);
    const key = range(keys).reshape([1, 1, 1, keys]);
    // Queries are the last of the keys that count.
    const offset =
      past === null && lengths
        ? lengths.to('i64').sub(queries).reshape([batch, 1, 1, 1])
        : full([1, 1, 1, 1], past ?? 0, { dtype: 'i64' });
    add(allowed(key.le(at.add(offset))));
  }
  if (lengths)
    add(
      allowed(
        range(keys)
          .reshape([1, 1, 1, keys])
          .lt(lengths.to('i64').reshape([batch, 1, 1, 1])),
      ),
    );
  return bias;
}

/** softmax where a row of minus infinities gives 0, not NaN. */
function safeSoftmax(x: Tensor): Tensor {
  const most = x.amax(-1, { keepdim: true }).detach();
  const shifted = x.sub(most.isneginf().where(0, most)).exp();
  const total = shifted.sum(-1, { keepdim: true });
  return shifted.div(total.eq(0).where(1, total));
}

function softmaxType(call: Call, name: string): 'f32' | 'f64' | null {
  if (!call.attribute(name)) return null;
  const type = typeOfCode(call.int(name));
  return type && isNumeric(type) && TYPES[type].dtype === 'f64' ? 'f64' : 'f32';
}

const attention: Rule = call => {
  const flat = call.x(0).ndim === 3;
  const named = (name: string): number => call.int(name, 0);
  const heads = (x: Tensor, name: string): Tensor => (flat ? toHeads(x, named(name)) : x);
  const q = heads(call.x(0), 'q_num_heads');
  let k = heads(call.x(1), 'kv_num_heads');
  let v = heads(call.x(2), 'kv_num_heads');
  const [pastKey, pastValue] = [call.optional(4), call.optional(5)];
  if (pastKey) k = cat([pastKey, k], 2);
  if (pastValue) v = cat([pastValue, v], 2);
  const [presentKey, presentValue] = [typed(k, call.type(1)), typed(v, call.type(2))];
  const [b, queryHeads, queries, size] = q.shape as [number, number, number, number];
  const keyHeads = k.shape[1]!;
  if (queryHeads !== keyHeads) {
    if (queryHeads % keyHeads !== 0) call.fail(`${queryHeads} query heads do not divide into ${keyHeads} key heads`);
    k = k.repeatInterleave(queryHeads / keyHeads, 1);
    v = v.repeatInterleave(queryHeads / keyHeads, 1);
  }
  const keys = k.shape[2]!;
  const scale = Math.sqrt(call.attribute('scale') ? call.float('scale') : 1 / Math.sqrt(size));
  const wide = q.dtype === 'f64' ? 'f64' : 'f32';
  const products = q.to(wide).mul(scale).matmul(k.to(wide).transpose(2, 3).mul(scale));
  const cap = call.float('softcap', 0);
  const capped = cap > 0 ? products.div(cap).tanh().mul(cap) : products;
  const bias = scoreBias(call, queries, keys, b, pastKey ? pastKey.shape[2]! : null);
  const biased = bias ? capped.add(bias.to(wide)) : capped;
  const weights = safeSoftmax(biased.to(softmaxType(call, 'softmax_precision') ?? wide));
  const y = weights.to(wide).matmul(v.to(wide));
  const [yb, yh, yt, yd] = y.shape as [number, number, number, number];
  const laid = flat ? y.transpose(1, 2).reshape([yb, yt, yh * yd]) : y;
  // The scores as they are asked for. Modes 1 and 2 changed places with opset 24's reading: capped, then capped and
  // biased.
  const mode = call.int('qk_matmul_output_mode', 0);
  const scores = [products, capped, biased, weights][mode] ?? call.fail(`qk_matmul_output_mode ${mode} is unknown`);
  return [call.like(0, laid), presentKey, presentValue, call.like(0, scores)];
};

/** Attention whose scores and weights go through subgraphs (ai.onnx.preview, FlexAttention of PyTorch). */
const flexAttention: Rule = call => {
  const [q, k, v] = [call.x(0), call.x(1), call.x(2)];
  const wide = softmaxType(call, 'softmax_precision') ?? (q.dtype === 'f64' ? 'f64' : 'f32');
  const groups = q.shape[1]! / k.shape[1]!;
  const shared = (x: Tensor): Tensor => (groups === 1 ? x : x.repeatInterleave(groups, 1));
  const given = call.float('scale', 0);
  const scale = call.attribute('scale') ? given : 1 / Math.sqrt(q.shape[3]!);
  const modified = (name: string, x: Tensor): Tensor => {
    if (!call.graph(name)) return x;
    const graph = call.context.subgraph(name);
    const declared = graph.inputs[0]?.type?.tensorType;
    const type = (declared && typeOfCode(declared.elemType)) ?? call.type(0);
    if (!isNumeric(type)) return call.fail(`${name}: its input is ${type}`);
    const [result] = graph.run([call.as(type, x)]);
    return result?.kind === 'tensor' ? result.tensor.to(wide) : call.fail(`${name}: it gives no tensor`);
  };
  const scores = modified('score_mod', q.to(wide).matmul(shared(k).to(wide).transpose(2, 3)).mul(scale));
  const weights = modified('prob_mod', safeSoftmax(scores));
  return call.like(0, weights.matmul(shared(v).to(wide)));
};

/** Pairs of elements turned by an angle that grows with the position (Su et al. 2021). */
const rotaryEmbedding: Rule = call => {
  const x = call.x(0);
  const flat = x.ndim === 3;
  const heads = call.int('num_heads', 0);
  if (flat && heads === 0) call.fail('num_heads is needed for an input of 3 dims');
  // [batch, steps, heads, size]
  const laid = flat ? x.reshape([x.shape[0]!, x.shape[1]!, heads, x.shape[2]! / heads]) : x.transpose(1, 2);
  const [b, t, h, size] = laid.shape as [number, number, number, number];
  const turned = call.int('rotary_embedding_dim', 0) || size;
  const half = turned / 2;
  const positions = call.optional(3);
  const cache = (i: number): Tensor => {
    const values = call.x(i);
    const picked = positions ? values.indexSelect(0, positions.reshape([b * t])).reshape([b, t, half]) : values;
    return picked.unsqueeze(2);
  };
  const [cos, sin] = [cache(1), cache(2)];
  const part = laid.narrow(3, 0, turned);
  const interleaved = call.flag('interleaved');
  const [p, q] = interleaved
    ? [part.slice(3, 0, null, 2), part.slice(3, 1, null, 2)]
    : [part.narrow(3, 0, half), part.narrow(3, half, half)];
  const real = cos.mul(p).sub(sin.mul(q));
  const imaginary = sin.mul(p).add(cos.mul(q));
  const joined = interleaved
    ? cat([real.unsqueeze(-1), imaginary.unsqueeze(-1)], 4).reshape([b, t, h, turned])
    : cat([real, imaginary], 3);
  const whole = turned === size ? joined : cat([joined, laid.narrow(3, turned, size - turned)], 3);
  return call.like(0, flat ? whole.reshape(x.shape) : whole.transpose(1, 2));
};

export const attentions: OperatorTable = { Attention: attention, RotaryEmbedding: rotaryEmbedding };
export const previewAttentions: OperatorTable = { FlexAttention: flexAttention };
