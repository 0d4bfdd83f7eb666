import { describe, expect, it } from 'vitest';
import { compileGraph } from '../../src/compiler/compile.ts';
import type { Target } from '../../src/compiler/target.ts';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { checkpointed, markGrad, vjp } from '../../src/transform/index.ts';
import { leaf, numbers, numbersOf } from '../graph/evaluate.ts';
import { checkDerivatives, generic } from './derivatives.ts';

const target: Target = {
  name: 'test',
  vectorBytes: 16,
  vectorRegisters: 16,
  fusedMultiplyAdd: false,
  l1Bytes: 2 ** 15,
  l2Bytes: 2 ** 20,
  pointerBytes: 4,
};

const ones = (x: Node): Node => g.full(1, x.shape, x.dtype);
const layer = (x: Node, w: Node): Node => g.unary('tanh', g.contract(x, w, [0, 1], [1, 2], [0, 2]));

describe('checkpointed', () => {
  it('changes no derivative of any order', () => {
    checkDerivatives(
      (x, w) => {
        const [h] = checkpointed([x], ([a]) => [layer(layer(a!, w), w)]);
        const [y] = checkpointed([h!, w], ([a, b]) => [layer(a!, b!)]);
        return y!;
      },
      generic([2, 3]),
      generic([3, 3], 2),
    );
  });

  it('gives the gradients of what it reads from outside, and of several outputs, one of them unused', () => {
    const x = markGrad(leaf([0.3, -0.4], [1, 2]));
    const w = markGrad(leaf([0.5, 1, -1, 2], [2, 2]));
    const scaled = g.binary('mul', w, w);
    const inside = (a: Node): Node[] => {
      const h = layer(a, scaled);
      return [h, g.unary('exp', h), g.binary('mul', h, a)];
    };
    const grads = (outputs: Node[]): (Node | null)[] => {
      // The second output depends on the first through nodes outside.
      const y = g.binary('add', g.unary('sin', outputs[0]!), outputs[2]!);
      return vjp([y], [ones(y)], [x, w, scaled]);
    };
    const plain = numbersOf(...(grads(inside(x)) as Node[]));
    const again = numbersOf(...(grads(checkpointed([x], ([a]) => inside(a!))) as Node[]));
    expect(again).toEqual(plain);
  });

  it('nests', () => {
    const inner = (a: Node, w: Node): Node => checkpointed([a], ([b]) => [layer(b!, w)])[0]!;
    checkDerivatives(
      (x, w) => checkpointed([x], ([a]) => [inner(inner(a!, w), w)])[0]!,
      generic([2, 3]),
      generic([3, 3], 2),
    );
  });

  it('an output that is an input passes its cotangent on', () => {
    const x = markGrad(leaf([2], [1]));
    const [same, square] = checkpointed([x], ([a]) => [a!, g.binary('mul', a!, a!)]);
    const [dx] = vjp([same!, square!], [ones(x), ones(x)], [x]);
    expect(numbers(dx!)).toEqual([1 + 4]);
  });

  it('keeps nothing of its interior: the gradient reads the inputs alone, after the cotangent', () => {
    const x = markGrad(leaf([0.3, -0.4], [2]));
    let interior: Node[] = [];
    const [y] = checkpointed([x], ([a]) => {
      interior = [g.unary('exp', a!)];
      interior.push(g.unary('sin', interior[0]!));
      interior.push(g.binary('mul', interior[1]!, interior[0]!));
      return [interior[2]!];
    });
    const ct = g.unary('cos', leaf([1, 2], [2]));
    const [dx] = vjp([y!], [ct], [x]);
    const order = topologicalOrder([dx!]);
    for (const node of interior) expect(order).not.toContain(node);
    const copies = order.filter(node => node.is('unary') && node.attrs.fn === 'exp');
    expect(copies).toHaveLength(1);
    expect(order.indexOf(copies[0]!)).toBeGreaterThan(order.indexOf(ct));
  });

  it('saves the memory it promises', () => {
    // 16 blocks of 4 layers: without checkpoints 64 activations live until the backward pass, with them 16 and those of
    // one block.
    const arena = (block: (h: Node, layers: (a: Node) => Node) => Node): number => {
      const ws = Array.from({ length: 64 }, (_, i) => g.placeholder(`w${i}`, [8, 8], 'f32', true));
      let h: Node = g.placeholder('x', [256, 8], 'f32');
      for (let i = 0; i < 16; i++) h = block(h, a => ws.slice(4 * i, 4 * i + 4).reduce(layer, a));
      const loss = g.reduce('sum', h, [0, 1]);
      const outputs = [loss, ...(vjp([loss], [ones(loss)], ws) as Node[])];
      const leaves = topologicalOrder(outputs).filter(node => node.is('placeholder'));
      return compileGraph({ leaves, outputs, updates: [] }, target).arenaBytes;
    };
    const plain = arena((h, layers) => layers(h));
    const saving = arena((h, layers) => checkpointed([h], ([a]) => [layers(a!)])[0]!);
    expect(plain).toBeGreaterThan(64 * 256 * 8 * 4);
    expect(saving).toBeLessThan(plain * 0.45);
  });

  it('draws the same random numbers again', () => {
    const x = markGrad(leaf([1, 2, 3, 4], [4]));
    const key = leaf([5, 0], [2], 'i64');
    const dropout = (a: Node): Node => {
      const bits = g.random(key, [4]);
      return g.where(g.compare('lt', bits, g.full(0, [4], 'i32')), g.full(0, [4], 'f64'), g.binary('mul', a, a));
    };
    const [y] = checkpointed([x], ([a]) => [dropout(a!)]);
    const [dx] = vjp([y!], [ones(y!)], [x]);
    const [values, slopes] = numbersOf(y!, dx!);
    expect(slopes).toEqual(values!.map(v => 2 * Math.sqrt(v)));
    expect(new Set(values!.map(v => v === 0)).size).toBe(2);
  });
});
