/**
 * Ready models against closed forms of their parts.
 */
import { describe, expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import { manualSeed, randint, randn, tensor } from '../../src/tensor/index.ts';

describe('GPT', () => {
  const config = { block: 8, layers: 2, heads: 2, d: 8, vocab: 11 };

  it('token by token over the cache, the logits are those of whole sequences', () => {
    manualSeed(3);
    const model = new models.GPT(config);
    const tokens = randint(0, 11, [2, 8]);
    const whole = model.call(tokens);
    const cache = model.newCache(8, 2);
    for (let t = 0; t < 8; t++) {
      const logits = model.step(tokens.narrow(1, t, 1), tensor(t, { dtype: 'i64' }), cache);
      const difference = logits.sub(whole.select(1, t)).abs().amax().item();
      expect(difference).toBeLessThan(1e-5);
    }
  });

  it('a position sees nothing after it', () => {
    manualSeed(4);
    const model = new models.GPT(config);
    const [a, b] = [tensor([[1, 2, 3, 4]], { dtype: 'i64' }), tensor([[1, 2, 9, 9]], { dtype: 'i64' })];
    expect(model.call(a).narrow(1, 0, 2).toArray()).toEqual(model.call(b).narrow(1, 0, 2).toArray());
  });

  it('at temperature 0 it generates the likeliest token of the full model', () => {
    manualSeed(5);
    const model = new models.GPT(config);
    for (const parameter of model.parameters())
      if (parameter.ndim > 1) parameter.assign(randn(parameter.shape).mul(0.5));
    const added = model.generate([3, 1], { maxNewTokens: 5, temperature: 0 });
    const context = [3, 1];
    for (let i = 0; i < 5; i++)
      context.push(
        model
          .call(tensor([context], { dtype: 'i64' }))
          .select(1, -1)
          .argmax()
          .item(),
      );
    expect(added).toEqual(context.slice(2));
    expect(model.training).toBe(true);
  });

  it('generates past its block, the same for the same seed, from the k likeliest tokens', () => {
    const model = new models.GPT(config);
    const draw = (): number[] => {
      manualSeed(6);
      return model.generate([1], { maxNewTokens: 20, topK: 3 });
    };
    const first = draw();
    expect(first).toHaveLength(20);
    expect(draw()).toEqual(first);
    expect(first.every(token => Number.isInteger(token) && token >= 0 && token < 11)).toBe(true);
  });

  it('refuses sequences that are too long, and empty prompts', () => {
    const model = new models.GPT(config);
    expect(() => model.call(randint(0, 11, [1, 9]))).toThrow('GPT: tokens [1, 9] came, expected [batch, at most 8]');
    expect(() => model.generate([])).toThrow('the prompt is empty');
  });
});

describe('models of tables', () => {
  const shape = { dense: 2, vocabularies: [3, 4] };
  const dense = tensor([
    [0.5, -1],
    [2, 0.25],
  ]);
  const ids = tensor(
    [
      [2, 0],
      [1, 3],
    ],
    { dtype: 'i64' },
  );

  it('a factorisation machine adds every pair of category vectors', () => {
    manualSeed(8);
    const model = new models.FactorizationMachine({ ...shape, embedding: 3 });
    const vectors = model.emb!.weight.toArray() as number[][];
    const weights = (model.emb1!.weight.toArray() as number[][]).map(([w]) => w!);
    const [w0, w1] = (model.dense1!.weight.toArray() as [[number, number]])[0];
    const bias = model.dense1!.bias!.item();
    // The second field's vocabulary starts at row 3.
    const rows = [
      [2, 3],
      [1, 6],
    ] as const;
    const expected = rows.map(([i, j], n) => {
      const [d0, d1] = (dense.toArray() as [number, number][])[n]!;
      const dot = vectors[i]!.reduce((sum, v, k) => sum + v * vectors[j]![k]!, 0);
      return w0 * d0 + w1 * d1 + bias + weights[i]! + weights[j]! + dot;
    });
    (model.call(dense, ids).toArray() as number[]).forEach((logit, n) => {
      expect(logit).toBeCloseTo(expected[n]!, 6);
    });
  });

  it.each([
    ['LogisticRegression', () => new models.LogisticRegression(shape)],
    ['WideDeep', () => new models.WideDeep({ ...shape, hidden: 8, dropout: 0.2 })],
    ['DeepFM', () => new models.DeepFM({ ...shape, hidden: 8 })],
    ['DLRM', () => new models.DLRM({ ...shape, embedding: 4 })],
  ] as const)('%s gives one logit per row, and every parameter a gradient', (_, make) => {
    const model = make();
    const logits = model.call(dense, ids);
    expect(logits.shape).toEqual([2]);
    logits.sum().backward();
    expect(model.namedParameters().filter(([, p]) => p.grad === null)).toEqual([]);
  });

  it('tables may lack numbers or categories', () => {
    const none = tensor(new BigInt64Array(0), { shape: [2, 0] });
    expect(new models.DeepFM({ dense: 2, vocabularies: [], hidden: 4 }).call(dense, none).shape).toEqual([2]);
    const noNumbers = tensor(new Float32Array(0), { shape: [2, 0] });
    expect(new models.DeepFM({ dense: 0, vocabularies: [3, 4], hidden: 4 }).call(noNumbers, ids).shape).toEqual([2]);
    expect(() => new models.DLRM({ dense: 0, vocabularies: [3] })).toThrow('DLRM: 0 numeric and 1 categorical columns');
  });
});
