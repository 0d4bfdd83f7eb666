/**
 * Imported models as modules: names, training, compilation, functions, control flow, external data, what is refused.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, F, manualSeed, randn, Tensor } from 'tenon';
import { onnx } from 'tenon/formats';
import { BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential } from 'tenon/nn';
import { SGD } from 'tenon/optim';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AttributeProto, FunctionProto, NodeProto, TensorProto } from '../../../src/formats/onnx/proto/schema.ts';
import { floats, int, model, node, perceptron, port, subgraph } from './models.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenon-onnx-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const messageOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was refused';
};

it('is a module with the file’s names', () => {
  const net = onnx.parse(perceptron());
  expect(net.namedParameters().map(([name, { shape }]) => [name, shape])).toEqual([['layer.weight', [2, 3]], ['layer.bias', [3]]]); // biome-ignore format: one line
  expect(net.inputs).toEqual([{ name: 'x', kind: 'tensor', type: 'float', shape: ['batch', 2] }]);
  // [1 2] w + b = [9.5, 12, 14]
  expect(net.forward(Tensor.from([[1, 2]])).toArray()).toEqual([[9.5, 12, 14]]);
  expect(Object.keys(net.run({ x: Tensor.from([[1, 2]]) }))).toEqual(['y']);
});

it('has copies with parameters, statistics and modes of their own', () => {
  manualSeed(4);
  const made = new Sequential(
    new Conv2d(1, 4, 3),
    new BatchNorm2d(4),
    new ReLU(),
    new Flatten(),
    new Linear(4 * 36, 2),
  );
  const net = onnx.parse(onnx.export(made.eval(), randn([2, 1, 8, 8])));
  const x = randn([2, 1, 8, 8]);
  const before = net.forward(x).toArray();
  const copy = net.clone();
  expect(copy).toBeInstanceOf(onnx.OnnxModel);
  expect(copy.forward(x).toArray()).toEqual(before);
  copy.train();
  const optimizer = new SGD(copy.parameters(), { lr: 0.1 });
  copy.forward(x).square().sum().backward();
  optimizer.step();
  expect(copy.eval().forward(x).toArray()).not.toEqual(before);
  expect(net.forward(x).toArray()).toEqual(before);
});

it('trains further as the module it was exported from', () => {
  manualSeed(3);
  const make = () => new Sequential(new Conv2d(1, 4, 3), new BatchNorm2d(4), new ReLU(), new Flatten(), new Dropout(0), new Linear(4 * 36, 2));
  const original = make().eval();
  const imported = onnx.parse(onnx.export(original, randn([5, 1, 8, 8])));
  const x = randn([5, 1, 8, 8]);
  const y = Tensor.from(BigInt64Array.from([0n, 1n, 1n, 0n, 1n]));
  const losses = [original, imported].map(net => {
    net.train();
    const optimizer = new SGD(net.parameters(), { lr: 0.05 });
    const step = compile((inputs: Tensor, labels: Tensor) => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(net.forward(inputs), labels);
      loss.backward();
      optimizer.step();
      return loss;
    });
    return Array.from({ length: 6 }, () => step(x, y).item());
  });
  for (const [i, loss] of losses[0]!.entries()) expect(losses[1]![i]).toBeCloseTo(loss, 5);
  expect(losses[1]![5]).toBeLessThan(losses[1]![0]!);
}); // biome-ignore format: long lines

/** y = x * x where the sum is positive, else -x. */
const branches = (): Uint8Array => {
  const branch = (op: string, inputs: readonly string[]) => ({
    name: op,
    output: [port('r', [2])],
    node: [node(op, inputs, ['r'])] as NodeProto[],
  });
  return model({
    name: 'branches',
    input: [port('x', [2])],
    output: [port('y', [2])],
    initializer: [floats('zero', [], [0])] as TensorProto[],
    node: [
      node('ReduceSum', ['x'], ['total'], [int('keepdims', 0)]),
      node('Greater', ['total', 'zero'], ['positive']),
      node(
        'If',
        ['positive'],
        ['y'],
        [subgraph('then_branch', branch('Mul', ['x', 'x'])), subgraph('else_branch', branch('Neg', ['x']))],
      ),
    ] as NodeProto[],
  });
};

it('branches on data, inside compile too', () => {
  const net = onnx.parse(branches());
  const compiled = compile((x: Tensor) => net.forward(x));
  for (const [x, y] of [[[1, 2], [1, 4]], [[-1, -2], [1, 2]]] as const) {
    expect(net.forward(Tensor.from([...x])).toArray()).toEqual(y);
    expect(compiled(Tensor.from([...x])).toArray()).toEqual(y);
  }
}); // biome-ignore format: a table

it('scans inside compile as outside of it', () => {
  const ints = (name: string, ...values: number[]): Partial<AttributeProto> => ({ name, type: 7, ints: values.map(BigInt) });
  const bytes = model({
    name: 'scan',
    input: [port('x', [2, 40]), port('start', [2])],
    output: [port('last', [2]), port('sums', [2, 40])],
    node: [
      node('Scan', ['start', 'x'], ['last', 'sums'], [
        int('num_scan_inputs', 1), ints('scan_input_axes', 1), ints('scan_input_directions', 1), ints('scan_output_axes', 1), ints('scan_output_directions', 1),
        subgraph('body', {
          name: 'body',
          input: [port('sum', [2]), port('v', [2])],
          output: [port('next', [2]), port('seen', [2])],
          node: [node('Add', ['sum', 'v'], ['next']), node('Identity', ['next'], ['seen'])] as NodeProto[],
        }),
      ]),
    ] as NodeProto[],
  });
  const net = onnx.parse(bytes);
  const x = Tensor.from(Float32Array.from({ length: 80 }, (_, i) => Math.sin(i)), { shape: [2, 40] });
  const start = Tensor.from([1, -1]);
  const want = x.flip(1).cumsum(1).flip(1).add(Tensor.from([[1], [-1]]));
  const run = (a: Tensor, b: Tensor) => net.run({ x: a, start: b }) as Record<string, Tensor>;
  for (const { last, sums } of [run(x, start), compile(run)(x, start)]) {
    expect(sums!.sub(want).abs().amax().item()).toBeLessThan(1e-5);
    expect(last!.sub(want.select(1, 0)).abs().amax().item()).toBeLessThan(1e-5);
  }
}); // biome-ignore format: a node a line

it('loops on data inside compile', () => {
  // Without scan outputs the loop becomes one that the program itself ends.
  const bytes = model({
    name: 'loop',
    input: [port('x', [2])],
    output: [port('y', [2])],
    initializer: [floats('limit', [], [100])] as TensorProto[],
    node: [
      node('Loop', ['', '', 'x'], ['y'], [
        subgraph('body', {
          name: 'body',
          input: [port('i', [], 7), port('c', [], 9), port('v', [2])],
          output: [port('goes', [], 9), port('next', [2])],
          node: [node('Add', ['v', 'v'], ['next']), node('ReduceMax', ['next'], ['most'], [int('keepdims', 0)]), node('Less', ['most', 'limit'], ['goes'])] as NodeProto[],
        }),
      ]),
    ] as NodeProto[],
  });
  const net = onnx.parse(bytes);
  const compiled = compile((x: Tensor) => net.forward(x));
  for (const [x, y] of [[[1, 3], [64, 192]], [[60, 2], [120, 4]]] as const) {
    expect(net.forward(Tensor.from([...x])).toArray()).toEqual(y);
    expect(compiled(Tensor.from([...x])).toArray()).toEqual(y);
  }
}); // biome-ignore format: a table

/** Doubles x `trips` times, or until its first element exceeds 100. */
const loop = (): Uint8Array =>
  model({
    name: 'loop',
    input: [port('trips', [], 7), port('x', [2])],
    output: [port('y', [2]), port('seen', ['steps', 2])],
    initializer: [floats('limit', [], [100])] as TensorProto[],
    node: [
      node(
        'Loop',
        ['trips', '', 'x'],
        ['y', 'seen'],
        [
          subgraph('body', {
            name: 'body',
            input: [port('i', [], 7), port('c', [], 9), port('v', [2])],
            output: [port('goes', [], 9), port('next', [2]), port('out', [2])],
            node: [
              node('Add', ['v', 'v'], ['next']),
              node('Identity', ['next'], ['out']),
              node('ReduceMax', ['next'], ['most'], [int('keepdims', 0)]),
              node('Less', ['most', 'limit'], ['goes']),
            ] as NodeProto[],
          }),
        ],
      ),
    ] as NodeProto[],
  });

it('loops until the data say so', () => {
  const net = onnx.parse(loop());
  const run = (trips: number) => net.run({ trips: Tensor.from(BigInt(trips)), x: Tensor.from([1, 3]) });
  expect((run(3)['y'] as Tensor).toArray()).toEqual([8, 24]);
  expect((run(3)['seen'] as Tensor).toArray()).toEqual([[2, 6], [4, 12], [8, 24]]); // biome-ignore format: one line
  // 3 * 2^6 = 192 is the first beyond 100.
  expect((run(50)['y'] as Tensor).toArray()).toEqual([64, 192]);
  expect((run(0)['seen'] as Tensor).shape).toEqual([0, 2]);
});

it('calls functions of the model, and refuses ones that call themselves', () => {
  const twice: Partial<FunctionProto> = {
    name: 'Twice',
    domain: 'mine',
    input: ['a'],
    output: ['b'],
    attribute: ['alpha'],
    opsetImport: [{ domain: '', version: 21 }],
    node: [node('LeakyRelu', ['a'], ['r'], [{ name: 'alpha', refAttrName: 'alpha', type: 1 }]), node('Add', ['r', 'r'], ['b'])] as NodeProto[],
  };
  const using = (fn: Partial<FunctionProto>): Uint8Array =>
    model(
      {
        name: 'g',
        input: [port('x', [2])],
        output: [port('y', [2])],
        node: [node('Twice', ['x'], ['y'], [{ name: 'alpha', type: 1, f: 0.5 }], { domain: 'mine' })] as NodeProto[],
      },
      { opsetImport: [{ domain: '', version: 21 }, { domain: 'mine', version: 1 }], functions: [fn as FunctionProto] },
    );
  expect(onnx.parse(using(twice)).forward(Tensor.from([1, -1])).toArray()).toEqual([2, -1]);
  const endless = { ...twice, opsetImport: [{ domain: 'mine', version: 1 }], node: [node('Twice', ['a'], ['b'], [], { domain: 'mine' })] as NodeProto[] };
  expect(messageOf(() => onnx.parse(using(endless)))).toContain('function Twice calls itself');
}); // biome-ignore format: long lines

it('names every operator it lacks, before anything runs', () => {
  const bytes = model({
    name: 'g',
    input: [port('x', [2])],
    output: [port('y', [2])],
    node: [
      node('Frobnicate', ['x'], ['h'], [], { name: 'first' }),
      node('Relu', ['h'], ['s']),
      node('Defrobnicate', ['s'], ['y'], [], { name: 'last' }),
    ] as NodeProto[],
  });
  expect(messageOf(() => onnx.parse(bytes, 'net.onnx'))).toBe(
    'net.onnx: operators that are not supported:\n  node "first" (Frobnicate), opset 21\n  node "last" (Defrobnicate), opset 21',
  );
});

it('names the node that fails and what it was given', () => {
  const net = onnx.parse(perceptron(), 'net.onnx');
  expect(messageOf(() => net.run({ x: randn([1, 3]) }))).toBe('net.onnx: input "x": expected shape [batch, 2], got [1, 3]');
  expect(messageOf(() => net.run({}))).toBe('net.onnx: input "x" is missing');
  expect(messageOf(() => net.run({ z: randn([1, 2]) }))).toBe('net.onnx: there is no input "z"; it takes "x"');
  const bad = model({ name: 'g', input: [port('x', ['a', 'b'])], output: [port('y', [])], initializer: [floats('w', [2, 2], [1, 2, 3, 4])] as TensorProto[], node: [node('MatMul', ['x', 'w'], ['y'], [], { name: 'product' })] as NodeProto[] });
  expect(messageOf(() => onnx.parse(bad).run({ x: randn([1, 3]) }))).toContain('node "product" (MatMul), opset 21: matmul: inner sizes differ');
}); // biome-ignore format: messages in one line

it('refuses graphs that are none', () => {
  const graph = (nodes: Partial<NodeProto>[]): string =>
    messageOf(() => onnx.parse(model({ name: 'g', input: [port('x', [2])], output: [port('y', [2])], node: nodes as NodeProto[] }), 'net'));
  expect(graph([node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])])).toContain('the graph has a cycle');
  expect(graph([node('Relu', ['z'], ['y'])])).toContain('input "z" is neither an input, an initializer nor computed');
  expect(graph([node('Relu', ['x'], ['y']), node('Abs', ['x'], ['y'])])).toContain('output "y" is defined twice');
  expect(graph([node('Relu', ['x'], ['z'])])).toContain('output "y" is computed by no node');
  // Nodes may stand in any order.
  const reversed = model({ name: 'g', input: [port('x', [2])], output: [port('y', [2])], node: [node('Relu', ['h'], ['y']), node('Neg', ['x'], ['h'])] as NodeProto[] });
  expect(onnx.parse(reversed).forward(Tensor.from([1, -2])).toArray()).toEqual([0, 2]);
}); // biome-ignore format: long lines

/** A model whose weight [2] lies in a file beside it. */
const external = (location: string, offset: number | string = 0): Uint8Array =>
  model({
    name: 'g',
    input: [port('x', [2])],
    output: [port('y', [2])],
    initializer: [
      { name: 'w', dims: [2], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: location }, { key: 'offset', value: String(offset) }] },
    ] as TensorProto[],
    node: [node('Add', ['x', 'w'], ['y'])] as NodeProto[],
  }); // biome-ignore format: one list

it('reads external data from the model’s own folder only', () => {
  const inside = join(folder, 'inside');
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(folder, 'secret.bin'), new Uint8Array(8));
  writeFileSync(join(inside, 'w.bin'), new Uint8Array(Float32Array.from([9, 1, 2]).buffer));
  symlinkSync(join(folder, 'secret.bin'), join(inside, 'link.bin'));
  const path = join(inside, 'net.onnx');
  const load = (location: string, offset?: number | string): string => {
    writeFileSync(path, external(location, offset));
    return messageOf(() => onnx.load(path));
  };
  writeFileSync(path, external('w.bin', 4));
  expect(
    onnx
      .load(path)
      .forward(Tensor.from([0, 0]))
      .toArray(),
  ).toEqual([1, 2]);
  for (const location of ['../secret.bin', '/etc/passwd', 'a/../../secret.bin', '..\\secret.bin', 'C:\\secret.bin', ''])
    expect(load(location)).toMatch(
      /initializer "w": external_data.*(is not inside the model's folder|has no location)/,
    );
  expect(load('link.bin')).toContain("leads out of the model's folder");
  expect(load('absent.bin')).toContain('cannot be read');
  expect(load('w.bin', 8)).toContain('external_data ends at byte 16 of "w.bin", which has 12');
  expect(load('w.bin', '-4')).toContain('offset "-4" is no size');
  expect(messageOf(() => onnx.parse(external('w.bin')))).toContain('a model from memory has no folder');
});

it('reads files beyond 2 GiB by range', () => {
  // Holes take no space on the disk: a documentation string of 2.2 GB before the graph, and data 2.2 GB into the other
  // file.
  const hole = 2_200_000_000;
  const data = openSync(join(folder, 'large.bin'), 'w');
  ftruncateSync(data, hole);
  writeSync(data, new Uint8Array(Float32Array.from([3, 4]).buffer), 0, 8, hole);
  closeSync(data);
  const file = openSync(join(folder, 'large.onnx'), 'w');
  // Field 6 (doc_string) as a varint length: 0x32, then seven bits at a time.
  const header = [0x32];
  for (let rest = hole; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      header.push(rest);
      break;
    }
    header.push((rest % 128) | 128);
  }
  writeSync(file, Uint8Array.from(header), 0, header.length, 0);
  const rest = external('large.bin', hole);
  writeSync(file, rest, 0, rest.length, header.length + hole);
  closeSync(file);
  expect(
    onnx
      .load(join(folder, 'large.onnx'))
      .forward(Tensor.from([1, 1]))
      .toArray(),
  ).toEqual([4, 5]);
});
