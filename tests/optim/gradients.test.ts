/**
 * Gradients between backward() and step(): several optimizers and passes, accumulation inside and outside of compiled
 * functions, and what is said where a gradient is gone.
 */
import { describe, expect, it, test } from 'vitest';
import '../support/backend.ts';
import { compile, F, manualSeed, Parameter, randn, type Tensor, tensor, zeros } from '../../src/index.ts';
import { Embedding, Linear, type Module, ReLU, Sequential } from '../../src/nn/index.ts';
import { Adam, clipGradNorm, SGD } from '../../src/optim/index.ts';

const valuesOf = (model: Module): unknown => model.parameters().map(parameter => parameter.toArray());

describe('two networks against each other', () => {
  /**
   * PyTorch's DCGAN example: the generator's loss leaves gradients in the discriminator, which nobody uses before they
   * are dropped.
   */
  function train(how: 'eager' | 'compiled'): { values: unknown; losses: number[] } {
    manualSeed(3);
    const generator = new Sequential(new Linear(3, 8), new ReLU(), new Linear(8, 2));
    const critic = new Sequential(new Linear(2, 8), new ReLU(), new Linear(8, 1));
    const forGenerator = new Adam(generator.parameters(), { lr: 1e-2 });
    const forCritic = new Adam(critic.parameters(), { lr: 1e-2 });
    const judge = (x: Tensor, label: number): Tensor =>
      F.binaryCrossEntropyWithLogits(critic.call(x), zeros([x.size(0), 1]).add(label));
    const body = (real: Tensor): { d: Tensor; g: Tensor } => {
      const fake = generator.call(randn([real.size(0), 3]));
      forCritic.zeroGrad();
      const d = judge(real, 1).add(judge(fake.detach(), 0));
      d.backward();
      forCritic.step();
      forGenerator.zeroGrad();
      const g = judge(fake, 1);
      g.backward();
      forGenerator.step();
      return { d, g };
    };
    const step = how === 'eager' ? body : compile(body);
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { d, g } = step(randn([4, 2]).add(1));
      losses.push(d.item(), g.item());
    }
    return { values: [valuesOf(generator), valuesOf(critic)], losses };
  }

  it('train in a plain loop as in a compiled step', () => {
    const [eager, compiled] = [train('eager'), train('compiled')];
    eager.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(compiled.losses[i]!, 5);
    });
    const flat = (values: unknown): number[] => (values as []).flat(9);
    flat(eager.values).forEach((value, i) => {
      expect(value).toBeCloseTo(flat(compiled.values)[i]!, 4);
    });
  });
});

describe('accumulation', () => {
  const inputs = [1, 2, 3, 4].map(i => tensor([[i, -i, 1]]));

  function train(micro: (model: Module, x: Tensor) => () => void, steps: number): unknown {
    manualSeed(5);
    const model = new Linear(3, 2);
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    const passes = inputs.map(x => micro(model, x));
    for (let i = 0; i < steps; i++) {
      optimizer.zeroGrad();
      for (const pass of passes) pass();
      clipGradNorm(model.parameters(), 1);
      optimizer.step();
    }
    return valuesOf(model);
  }
  const lossOf = (model: Module, x: Tensor): Tensor => model.call(x).square().sum();
  const eager = (model: Module, x: Tensor) => (): void => lossOf(model, x).backward();

  it('over compiled passes is what it is over plain ones', () => {
    const known = new Map<Module, (x: Tensor) => Tensor>();
    const compiled = (model: Module, x: Tensor) => {
      const pass =
        known.get(model) ??
        compile((input: Tensor) => {
          const loss = lossOf(model, input);
          loss.backward();
          return loss;
        });
      known.set(model, pass);
      return (): void => {
        pass(x);
      };
    };
    const [a, b] = [train(eager, 3), train(compiled, 3)] as [number[][], number[][]];
    expect(b.flat(3)).toHaveLength(8);
    a.flat(3).forEach((value, i) => {
      expect(b.flat(3)[i]).toBeCloseTo(value as number, 5);
    });
  });

  it('a compiled pass that begins with zeroGrad() replaces, and gradients of before the recording come back', () => {
    const p = new Parameter(tensor([1, 2]));
    const add = compile((x: Tensor) => p.mul(x).sum().backward());
    p.mul(10).sum().backward();
    add(tensor([1, 2])); // recorded with a gradient there already
    add(tensor([1, 2]));
    expect(p.grad!.toArray()).toEqual([12, 14]);
    const replace = compile((x: Tensor) => {
      p.grad = null;
      p.mul(x).sum().backward();
    });
    replace(tensor([3, 4]));
    replace(tensor([3, 4]));
    expect(p.grad!.toArray()).toEqual([3, 4]);
    const drop = compile(() => {
      p.grad = null;
    });
    drop();
    expect(p.grad).toBeNull();
  });

  it('leaves no gradients where the function updates parameters itself', () => {
    const [p, other] = [new Parameter(tensor([1])), new Parameter(tensor([2]))];
    const optimizer = new SGD([p], { lr: 0.5 });
    const step = compile(() => {
      optimizer.zeroGrad();
      p.mul(other).sum().backward();
      optimizer.step();
    });
    step();
    expect([p.item(), p.grad, other.grad]).toEqual([0, null, null]);
  });

  it('comes back as it was when the function fails', () => {
    const p = new Parameter(tensor([1]));
    p.mul(3).sum().backward();
    expect(() =>
      compile(() => {
        p.mul(2).sum().backward();
        return p.item();
      })(),
    ).toThrow('a value was read');
    expect(p.grad!.item()).toBe(3);
  });
});

describe('a gradient that is gone', () => {
  const forgetful = (): { p: Parameter; optimizer: SGD } => {
    const p = new Parameter(tensor([1]), { name: 'scale' });
    const optimizer = new SGD([p], { lr: 0.25 });
    p.square().sum().backward();
    optimizer.step(); // 1 - 0.25 * 2 = 0.5
    return { p, optimizer };
  };

  test('is named when zeroGrad() was forgotten, nothing changes, and training goes on after it', () => {
    const { p, optimizer } = forgetful();
    p.square().sum().backward();
    const sentence =
      'SGD.step: the gradient of "scale" was used by an earlier step already: call zeroGrad() before backward()';
    expect(() => optimizer.step()).toThrow(sentence);
    expect(() => optimizer.step()).toThrow(sentence);
    expect(p.item()).toBe(0.5);
    optimizer.zeroGrad();
    p.square().sum().backward();
    optimizer.step();
    expect(p.item()).toBe(0.25);
  });

  test('is named when it is to be clipped', () => {
    const { p } = forgetful();
    expect(() => clipGradNorm([p], 1)).toThrow(
      'clipGradNorm: the gradient of "scale" was used by an earlier step already',
    );
  });

  test('of before a recording is refused inside', () => {
    const p = new Parameter(tensor([1]), { name: 'scale' });
    const optimizer = new SGD([p], { lr: 0.25 });
    p.square().sum().backward();
    expect(() => compile(() => optimizer.step())()).toThrow(
      'compile: the gradient of "scale" comes from outside the compiled function',
    );
    optimizer.step();
    expect(p.item()).toBe(0.5);
  });
});

describe('an evaluation that fails', () => {
  it('does not make later ones fail: a step with an index out of range changes nothing', () => {
    const table = new Embedding(4, 2);
    const optimizer = new SGD(table.parameters(), { lr: 1 });
    const before = table.weight.toArray();
    table
      .call(tensor([1, 4], { dtype: 'i64' }))
      .sum()
      .backward();
    expect(() => optimizer.step()).toThrow('index 4 is out of range for 4 elements');
    expect(tensor([1, 2]).sum().item()).toBe(3);
    expect(table.weight.toArray()).toEqual(before);
  });

  it('writes what was assigned and has nothing to do with it', () => {
    const [a, b] = [new Parameter(tensor([1])), new Parameter(tensor([2]))];
    const stale = a.mul(3);
    a.assign(tensor([5]));
    a.item();
    b.assign(tensor([7]));
    expect(() => stale.item()).toThrow('as it was before an update');
    expect([a.item(), b.item()]).toEqual([5, 7]);
    b.assign(stale); // cannot be computed: given up
    expect(() => b.item()).toThrow('as it was before an update');
    expect(b.item()).toBe(7);
  });
});
