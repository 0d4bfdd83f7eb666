/**
 * Generating with causal models: the cache against whole sequences, sampling against closed forms.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import { manualSeed, ones, randint, type Tensor, tensor } from '../../src/tensor/index.ts';

beforeEach(() => {
  manualSeed(3);
});

const SMALL = {
  gpt2: () => models.gpt2({ vocabSize: 31, nPositions: 48, nEmbd: 16, nLayer: 2, nHead: 4, eosTokenId: 30 }),
  llama: () =>
    new models.LlamaForCausalLM({
      vocabSize: 31,
      hiddenSize: 16,
      intermediateSize: 24,
      numHiddenLayers: 2,
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      maxPositionEmbeddings: 48,
      slidingWindow: 5,
      initializerRange: 0.4,
      eosTokenIds: [30],
    }),
} as const;

const int = (value: number): Tensor => tensor(value, { dtype: 'i64' });
const greedy = { temperature: 0, eosTokenIds: [] };

/** The likeliest next token of the whole model, without a cache. */
const likeliest = (model: models.CausalLM, context: readonly number[]): number =>
  model
    .call(tensor([[...context]], { dtype: 'i64' }))
    .select(1, -1)
    .argmax()
    .item();

describe.each(Object.keys(SMALL) as (keyof typeof SMALL)[])('%s', name => {
  it('piece by piece over the cache, the logits are those of whole sequences', () => {
    const model = SMALL[name]().eval();
    const tokens = randint(0, 31, [2, 12]);
    const whole = model.call(tokens);
    const cache = model.newCache(16, 2);
    // Pieces of 5, 1, 1 and 5 tokens.
    for (const [start, end] of [
      [0, 5],
      [5, 6],
      [6, 7],
      [7, 12],
    ] as const) {
      const logits = model.step(tokens.narrow(1, start, end - start), int(start), cache);
      const difference = logits
        .sub(whole.select(1, end - 1))
        .abs()
        .amax()
        .item();
      expect(difference).toBeLessThan(2e-5);
    }
  });

  it('greedy generation is the likeliest continuation of the whole model', () => {
    const model = SMALL[name]();
    // Longer than a piece of the prompt, so that both programs run.
    const prompt = Array.from({ length: 20 }, (_, i) => (7 * i) % 30);
    const added = model.generate(prompt, { ...greedy, maxNewTokens: 6 });
    expect(model.training).toBe(true);
    model.eval();
    const context = [...prompt];
    for (let i = 0; i < 6; i++) context.push(likeliest(model, context));
    expect(added).toEqual(context.slice(20));
    // The cache of the first text does not shine through in the second.
    expect(model.generate([1, 2], { ...greedy, maxNewTokens: 1 })).toEqual([likeliest(model, [1, 2])]);
  });

  it('ends at the end of the text, of what was asked for, and of the longest sequence', () => {
    const model = SMALL[name]();
    const prompt = [1, 2, 3];
    const first = model.generate(prompt, { ...greedy, maxNewTokens: 8 });
    const stop = first[3]!;
    const until = first.indexOf(stop);
    expect(model.generate(prompt, { temperature: 0, maxNewTokens: 8, eosTokenIds: [stop] })).toEqual(
      first.slice(0, until),
    );
    expect(model.generate(prompt, { ...greedy, maxNewTokens: 1000 })).toHaveLength(45);
    expect(model.generate(prompt, { ...greedy, maxNewTokens: 0 })).toEqual([]);
  });

  it('streams tokens, and a loop that is left early leaves the model as it was', () => {
    const model = SMALL[name]();
    const seen: number[] = [];
    for (const token of model.stream([4], { eosTokenIds: [] })) {
      seen.push(token);
      if (seen.length === 3) break;
    }
    expect(seen).toHaveLength(3);
    expect(model.training).toBe(true);
  });

  it('the same seed draws the same text', () => {
    const model = SMALL[name]();
    const draw = (): number[] => {
      manualSeed(6);
      return model.generate([1], {
        maxNewTokens: 12,
        topK: 10,
        topP: 0.9,
        temperature: 2,
        repetitionPenalty: 1.2,
        eosTokenIds: [],
      });
    };
    const text = draw();
    expect(text).toHaveLength(12);
    expect(draw()).toEqual(text);
  });

  it('refuses what it cannot read', () => {
    const model = SMALL[name]();
    expect(() => model.generate([])).toThrow('the prompt is empty');
    expect(() => model.generate([31])).toThrow('token 31 came, expected whole numbers from 0 to 30');
    expect(() => model.generate(new Array(49).fill(1))).toThrow('a prompt of 49 tokens came, expected at most 48');
    expect(() => model.generate([1], { topP: 0 })).toThrow('topP 0 came, expected more than 0 and at most 1');
    expect(() => model.generate([1], { topK: 0 })).toThrow('topK 0 came');
    expect(() => model.generate([1], { temperature: -1 })).toThrow('temperature -1 came');
    expect(() => model.call(ones([1, 49]).to('i64'))).toThrow('expected [batch, at most 48]');
  });
});

describe('sampling', () => {
  const logits = tensor([0.5, 0.25, 0.125, 0.125]).log();
  const kept = (x: Tensor): unknown => x.gt(Number.NEGATIVE_INFINITY).toArray();

  it('top-k keeps the k likeliest', () => {
    expect(kept(models.keepTopK(logits, 2))).toEqual([true, true, false, false]);
    expect(kept(models.keepTopK(logits, 9))).toEqual([true, true, true, true]);
  });

  it('top-p keeps the fewest that reach p', () => {
    expect(kept(models.keepTopP(logits, 0.5))).toEqual([true, false, false, false]);
    expect(kept(models.keepTopP(logits, 0.6))).toEqual([true, true, false, false]);
    expect(kept(models.keepTopP(logits, 0.01))).toEqual([true, false, false, false]);
    expect(kept(models.keepTopP(logits, 1))).toEqual([true, true, true, true]);
    // Of the two likeliest, which have 2/3 and 1/3.
    expect(kept(models.keepTopP(models.keepTopK(logits, 2), 0.6, 2))).toEqual([true, false, false, false]);
  });

  it('a penalty shrinks what came before', () => {
    const seen = tensor([true, true, false]);
    expect(models.penalise(tensor([2, -2, 2]), seen, 2).toArray()).toEqual([1, -4, 2]);
  });

  it('tokens are drawn as often as they are likely', () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) counts[models.sampleToken(logits).item()]!++;
    // Three standard deviations of a binomial count.
    [0.5, 0.25, 0.125, 0.125].forEach((p, i) => {
      expect(Math.abs(counts[i]! - 400 * p)).toBeLessThan(3 * Math.sqrt(400 * p * (1 - p)));
    });
    expect(models.sampleToken(logits, { temperature: 0 }).item()).toBe(0);
  });

  it('a repetition penalty that forbids repetition visits every token once', () => {
    const model = SMALL.gpt2();
    const text = model.generate([0], { ...greedy, maxNewTokens: 20, repetitionPenalty: 1e9 });
    expect(new Set([0, ...text]).size).toBe(21);
  });
});
