import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import {
  loadPaddle,
  loadWeights,
  openMindSpore,
  openPaddle,
  openWeights,
  type PaddleProgram,
  type RaggedInput,
} from '../../src/formats/index.ts';
import { compile, Tensor } from '../../src/tensor/index.ts';
import { unpack } from '../support/modelFiles.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

testWithData('the older layout: a folder with a file per variable', 'models/paddle-uci_housing.tar.gz', async () => {
  unpack('models/paddle-uci_housing.tar.gz', folder.path);
  const path = folder.file('uci_housing_model');
  const file = await openWeights(path);
  expect(file.program).toEqual({
    inputs: [{ name: 'x', type: 'f32', shape: [null, 13] }],
    outputs: [{ name: 'fc_0.tmp_1', type: 'f32', shape: [null, 1] }],
    operators: ['feed', 'mul', 'elementwise_add', 'fetch'].map(name => ({ name, count: 1, runs: true })),
  });
  const { 'fc_0.w_0': w, 'fc_0.b_0': b } = await loadWeights(path);
  // The last four bytes of the file are the bias: 0x41b5e809 is 22.7383.
  expect(b!.item()).toBeCloseTo(22.7383, 4);
  const model = loadPaddle(path);
  expect(model.namedParameters().map(([name]) => name)).toEqual(['fc_0.b_0', 'fc_0.w_0']);
  const x = Array.from({ length: 13 }, (_, i) => (i - 6) / 3);
  const weights = Array.from(w!.data(), Number);
  const expected = x.reduce((sum, value, i) => sum + value * weights[i]!, b!.item() as number);
  expect((model.call(Tensor.from([x])) as Tensor).item()).toBeCloseTo(expected, 4);
});

testWithData('a production program of 408 slots is understood', 'models/paddle-rec_inference.pdmodel.gz', async () => {
  const path = folder.write(
    'rec.pdmodel',
    gunzipSync(readFileSync(sharedData('models/paddle-rec_inference.pdmodel.gz'))),
  );
  const { program, format } = await openWeights(path);
  expect([format, program!.inputs.length, program!.operators.filter(({ runs }) => !runs)]).toEqual([
    'Paddle program',
    408,
    [],
  ]);
  expect(() => loadPaddle(path)).toThrow(`${path}: the parameters of 13 variables are not there`);
});

type Attributes = Readonly<Record<string, number | string | boolean | readonly number[]>>;
interface Op {
  readonly type: string;
  readonly in: Readonly<Record<string, readonly string[]>>;
  readonly out: Readonly<Record<string, readonly string[]>>;
  readonly attributes?: Attributes;
}

function attribute(writer: BinaryWriter, name: string, value: Attributes[string]): void {
  writer.tag(4, 2).fork().tag(1, 2).string(name);
  if (name === 'sub_block')
    writer
      .tag(2, 0)
      .int32(8)
      .tag(12, 0)
      .int32(value as number);
  else if (typeof value === 'string') writer.tag(2, 0).int32(2).tag(5, 2).string(value);
  else if (typeof value === 'boolean') writer.tag(2, 0).int32(6).tag(10, 0).bool(value);
  else if (typeof value === 'number')
    if (Number.isInteger(value)) writer.tag(2, 0).int32(0).tag(3, 0).int32(value);
    else writer.tag(2, 0).int32(1).tag(4, 5).float(value);
  else {
    writer.tag(2, 0).int32(3);
    for (const item of value as readonly number[]) writer.tag(6, 0).int32(item);
  }
  writer.join();
}

/** A program of one block; weights are written beside it. */
function program(
  name: string,
  inputs: readonly string[],
  ops: readonly Op[],
  outputs: readonly string[],
  weights: Record<string, Tensor> = {},
  blocks: readonly (readonly Op[])[] = [],
): string {
  const writer = new BinaryWriter().tag(1, 2).fork().tag(1, 0).int32(0).tag(2, 0).int32(-1);
  for (const key of Object.keys(weights)) {
    writer.tag(3, 2).fork().tag(1, 2).string(key);
    writer.tag(2, 2).fork().tag(1, 0).int32(7).join().tag(3, 0).bool(true).join();
  }
  const plumbing = (type: string, names: readonly string[]): Op[] =>
    names.map((key, col) => ({
      type,
      in: { X: [type === 'feed' ? 'feed' : key] },
      out: { Out: [type === 'feed' ? key : 'fetch'] },
      attributes: { col },
    }));
  const write = (op: Op): void => {
    writer.tag(4, 2).fork();
    for (const [field, list] of [
      [1, op.in],
      [2, op.out],
    ] as const)
      for (const [parameter, args] of Object.entries(list)) {
        writer.tag(field, 2).fork().tag(1, 2).string(parameter);
        for (const arg of args) writer.tag(2, 2).string(arg);
        writer.join();
      }
    writer.tag(3, 2).string(op.type);
    for (const [key, value] of Object.entries(op.attributes ?? {})) attribute(writer, key, value);
    writer.join();
  };
  for (const op of [...plumbing('feed', inputs), ...ops, ...plumbing('fetch', outputs)]) write(op);
  writer.join();
  blocks.forEach((block, i) => {
    writer
      .tag(1, 2)
      .fork()
      .tag(1, 0)
      .int32(i + 1)
      .tag(2, 0)
      .int32(0);
    for (const op of block) write(op);
    writer.join();
  });
  const path = folder.write(`${name}.pdmodel`, writer.finish());
  writeFileSync(
    folder.file(`${name}.pdiparams`),
    Buffer.concat(
      Object.keys(weights)
        .sort()
        .map(key => record(weights[key]!)),
    ),
  );
  return path;
}

/** One variable as `SerializeToStream` writes it. */
function record(tensor: Tensor): Buffer {
  const desc = new BinaryWriter().tag(1, 0).int32(tensor.dtype === 'i64' ? 3 : 5);
  for (const n of tensor.shape) desc.tag(2, 0).int64(n);
  const bytes = desc.finish();
  const head = Buffer.alloc(4 + 8 + 4 + 4);
  head.writeInt32LE(bytes.length, 16);
  const data = tensor.data();
  return Buffer.concat([head, bytes, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

const single = (type: string, attributes: Attributes = {}): PaddleProgram =>
  loadPaddle(
    program(
      type,
      ['x', 'y'],
      [{ type, in: { X: ['x'], Y: ['y'], Input: ['x'] }, out: { Out: ['z'], Y: ['z'] }, attributes }],
      ['z'],
    ),
  );

const call = (model: PaddleProgram, ...inputs: readonly (Tensor | RaggedInput)[]): unknown =>
  (model.call(...inputs) as Tensor).toArray();

describe('operators', () => {
  const one = Tensor.from(0);

  test('elementwise operators place the second operand at an axis', () => {
    const x = Tensor.from([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]); // biome-ignore format: a cube
    expect(call(single('elementwise_add', { axis: 1 }), x, Tensor.from([10, 20]))).toEqual([
      [[11, 12], [23, 24]],
      [[15, 16], [27, 28]],
    ]); // biome-ignore format: a cube
    expect(call(single('elementwise_add', { axis: -1 }), x, Tensor.from([10, 20]))).toEqual([
      [[11, 22], [13, 24]],
      [[15, 26], [17, 28]],
    ]); // biome-ignore format: a cube
  });

  test('scale, clip, reshape2 with a kept dim, transpose2, slice, reduce', () => {
    const x = Tensor.from([[1, 2, 3], [4, 5, 6]]); // biome-ignore format: a matrix
    expect(call(single('scale', { scale: 2, bias: 0.5, bias_after_scale: true }), x, one)).toEqual([[2.5, 4.5, 6.5], [8.5, 10.5, 12.5]]);
    expect(call(single('scale', { scale: 2, bias: 1, bias_after_scale: false }), x, one)).toEqual([[4, 6, 8], [10, 12, 14]]);
    expect(call(single('clip', { min: 2, max: 4.5 }), x, one)).toEqual([[2, 2, 3], [4, 4.5, 4.5]]);
    expect(call(single('reshape2', { shape: [0, -1, 1] }), x, one)).toEqual([[[1], [2], [3]], [[4], [5], [6]]]);
    expect(call(single('transpose2', { axis: [1, 0] }), x, one)).toEqual([[1, 4], [2, 5], [3, 6]]);
    expect(call(single('slice', { axes: [1], starts: [-2], ends: [1000], decrease_axis: [] }), x, one)).toEqual([[2, 3], [5, 6]]);
    expect(call(single('slice', { axes: [0], starts: [1], ends: [2], decrease_axis: [0] }), x, one)).toEqual([4, 5, 6]);
    expect(call(single('reduce_sum', { dim: [0], keep_dim: true, reduce_all: false }), x, one)).toEqual([[5, 7, 9]]);
    expect(call(single('softmax', { axis: 0 }), Tensor.from([[0], [0]]), one)).toEqual([[0.5], [0.5]]);
  }); // biome-ignore format: matrices

  test('averages leave padding out, or not', () => {
    const x = Tensor.from([[[[1, 2], [3, 4]]]]); // biome-ignore format: an image
    const attributes = { pooling_type: 'avg', ksize: [2, 2], strides: [2, 2], paddings: [1, 1] };
    expect(call(single('pool2d', { ...attributes, exclusive: true }), x, one)).toEqual([[[[1, 2], [3, 4]]]]);
    expect(call(single('pool2d', { ...attributes, exclusive: false }), x, one)).toEqual([[[[0.25, 0.5], [0.75, 1]]]]);
  }); // biome-ignore format: images

  test('a table of ragged slots: lookup, pooling by sequence, and a dense layer', () => {
    const weights = {
      table: Tensor.from([[0, 0], [1, 10], [2, 20], [3, 30]]), // biome-ignore format: a matrix
      w: Tensor.from([[1], [0.5]]), // biome-ignore format: a matrix
    };
    const pooled = (pooltype: string): Op[] => [
      {
        type: 'lookup_table',
        in: { Ids: ['ids'], W: ['table'] },
        out: { Out: ['rows'] },
        attributes: { padding_idx: -1 },
      },
      { type: 'sequence_pool', in: { X: ['rows'] }, out: { Out: ['bag'] }, attributes: { pooltype, pad_value: -0.5 } },
      { type: 'matmul', in: { X: ['bag'], Y: ['w'] }, out: { Out: ['y'] } },
    ];
    const ids = { values: Tensor.from([[1], [3], [2]], { dtype: 'i64' }), offsets: [0, 2, 2, 3] };
    const run = (pooltype: string): unknown =>
      call(loadPaddle(program(pooltype, ['ids'], pooled(pooltype), ['y'], weights)), ids);
    // Rows (1, 10) and (3, 30); none; (2, 20): then x + y / 2.
    expect(run('SUM')).toEqual([[24], [-0.75], [12]]);
    expect(run('AVERAGE')).toEqual([[12], [-0.75], [12]]);
    expect(run('LAST')).toEqual([[18], [-0.75], [12]]);
    const model = loadPaddle(folder.file('SUM.pdmodel'));
    expect(() => model.call({ ...ids, offsets: [0, 5] })).toThrow(
      'input ids: offsets [0,5] came, expected to rise from 0 to the 3 rows',
    );
    expect(() => model.call(Tensor.from([[1n]]))).toThrow('sequence_pool of bag: sequence_pool needs a ragged input');
  });

  test('an imported program trains', () => {
    const weights = { w: Tensor.from([[1], [0.5]]), ids: Tensor.from([3n]) };
    const path = program(
      'trained',
      ['x'],
      [{ type: 'matmul_v2', in: { X: ['x'], Y: ['w'] }, out: { Out: ['y'] } }],
      ['y'],
      weights,
    );
    const model = loadPaddle(path);
    (model.call(Tensor.from([[2, 3]])) as Tensor).sum().backward();
    expect(model.parameters().map(p => p.grad!.toArray())).toEqual([[[2], [3]]]);
    const copy = model.clone();
    model.parameters()[0]!.assign(Tensor.from([[0], [0]]));
    expect([call(model, Tensor.from([[2, 3]])), call(copy, Tensor.from([[2, 3]]))]).toEqual([[[0]], [[3.5]]]);
    const wide = copy.to('f64').call(Tensor.from([[2, 3]], { dtype: 'f64' })) as Tensor;
    expect([wide.dtype, wide.item()]).toEqual(['f64', 3.5]);
  });
});

describe('bad input', () => {
  test('operators that cannot be run are all named before anything runs', () => {
    const ops = ['warp', 'weft'].map(type => ({ type, in: { X: ['x'] }, out: { Out: ['y'] } }));
    const path = program('unknown', ['x'], ops, ['y']);
    expect(() => loadPaddle(path)).toThrow(`${path}: operators that Tenon cannot run: warp, weft`);
  });

  test('parameters that are cut off, too long, or of another program', () => {
    const weights = { a: Tensor.from([1, 2]), b: Tensor.from([3]) };
    const path = program('cut', [], [], [], weights);
    const file = folder.file('cut.pdiparams');
    const whole = readFileSync(file);
    for (let end = 0; end < whole.length; end++) {
      writeFileSync(file, whole.subarray(0, end));
      expect(() => openPaddle(path), `${end} bytes`).toThrow(file);
    }
    writeFileSync(file, Buffer.concat([whole, Buffer.alloc(1)]));
    expect(() => openPaddle(path)).toThrow(
      `${file}: 2 variables end at byte ${whole.length}, and the file has ${whole.length + 1}`,
    );
    const claims = Buffer.from(whole);
    claims.writeBigUInt64LE(1n << 60n, 4);
    writeFileSync(file, claims);
    expect(() => openPaddle(path)).toThrow(/the number of levels at byte 4 is 1152921504606846976/);
  });

  test('a program cut at every byte, and names that leave the folder', () => {
    const bytes = readFileSync(
      program('whole', ['x'], [{ type: 'relu', in: { X: ['x'] }, out: { Out: ['y'] } }], ['y']),
    );
    for (let end = 1; end < bytes.length; end++) {
      const path = folder.write('part.pdmodel', bytes.subarray(0, end));
      expect(() => loadPaddle(path), `${end} bytes`).toThrow(path);
    }
    mkdirSync(folder.file('old'));
    writeFileSync(
      folder.file('old/__model__'),
      readFileSync(program('outside', [], [], [], { '../part.pdmodel': Tensor.from([1]) })),
    );
    expect(() => openPaddle(folder.file('old'))).toThrow('the variable "../part.pdmodel" has no file there');
  });
});

describe('MindSpore checkpoints', () => {
  const value = (tag: string, dims: readonly number[], type: string, content: Uint8Array): Uint8Array => {
    const writer = new BinaryWriter().tag(1, 2).fork().tag(1, 2).string(tag).tag(2, 2).fork();
    for (const n of dims) writer.tag(1, 0).int64(n);
    return writer.tag(2, 2).string(type).tag(3, 2).bytes(content).join().join().finish();
  };
  const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

  test('tensors, scalars, and tensors in parts', async () => {
    const path = folder.write('net.ckpt', Buffer.concat([
      value('fc.weight', [2, 2], 'Float32', f32(1, 2)),
      value('fc.weight', [2, 2], 'Float32', f32(3, 4)),
      value('step', [0], 'Int32', new Uint8Array([7, 0, 0, 0])),
      value('half', [1], 'Float16', new Uint8Array([0, 0x3c])),
    ])); // biome-ignore format: one record a line
    const file = await openWeights(path);
    expect(file.format).toBe('MindSpore checkpoint');
    expect(file.tensors.map(tensor => [tensor.name, tensor.read().toArray()])).toEqual([
      ['fc.weight', [[1, 2], [3, 4]]],
      ['step', 7],
      ['half', [1]],
    ]); // biome-ignore format: a table
  });

  test('damaged', () => {
    const bytes = value('w', [3], 'Float32', f32(1, 2, 3));
    for (let end = 1; end < bytes.length; end++) {
      const path = folder.write('cut.ckpt', bytes.subarray(0, end));
      expect(() => openMindSpore(path), `${end} bytes`).toThrow(path);
    }
    const path = folder.write('lies.ckpt', value('w', [1e12], 'Float32', f32(1)));
    expect(() => openMindSpore(path)).toThrow(
      `${path}: tensor "w": Float32 [1000000000000] needs 4000000000000 bytes, and there are 4`,
    );
  });
});

describe('blocks', () => {
  const op = (type: string, inputs: Op['in'], out: string, attributes: Attributes = {}): Op => ({ type, in: inputs, out: { Out: [out] }, attributes });
  const constant = (name: string, value: number): Op => op('fill_constant', {}, name, { shape: [1], value: value + 0.5, dtype: 5 });
  const expectOf = (path: string, cases: readonly (readonly [x: number, y: number])[]): void => {
    const model = loadPaddle(path);
    const compiled = compile((x: Tensor) => model.call(x) as Tensor);
    for (const [x, y] of cases) {
      expect((model.call(Tensor.from([x])) as Tensor).item()).toBeCloseTo(y, 4);
      expect(compiled(Tensor.from([x])).item()).toBeCloseTo(y, 4);
    }
  };

  test('while: doubled as long as it is below 100.5', () => {
    const path = program(
      'while',
      ['x'],
      [
        constant('limit', 100),
        op('assign', { X: ['x'] }, 'v'),
        op('less_than', { X: ['v'], Y: ['limit'] }, 'go'),
        { type: 'while', in: { X: ['v', 'limit'], Condition: ['go'] }, out: { Out: ['v', 'go'], StepScopes: ['s'] }, attributes: { sub_block: 1 } },
        op('scale', { X: ['v'] }, 'y', { scale: 1, bias: 0.5 }),
      ],
      ['y'],
      {},
      [[op('elementwise_add', { X: ['v'], Y: ['v'] }, 'v', { axis: -1 }), op('less_than', { X: ['v'], Y: ['limit'] }, 'go')]],
    );
    expectOf(path, [[3, 192.5], [200, 200.5], [50, 200.5]]);
  });

  test('conditional_block and select_input: x squared where it is over 1.5, else x + 7.5', () => {
    const path = program(
      'cond',
      ['x'],
      [
        constant('one', 1),
        op('greater_than', { X: ['x'], Y: ['one'] }, 'large'),
        op('logical_not', { X: ['large'] }, 'small'),
        { type: 'conditional_block', in: { Cond: ['large'], Input: ['x'] }, out: { Out: ['a'], Scope: ['s'] }, attributes: { sub_block: 1, is_scalar_condition: true } },
        { type: 'conditional_block', in: { Cond: ['small'], Input: ['x'] }, out: { Out: ['b'], Scope: ['s'] }, attributes: { sub_block: 2, is_scalar_condition: true } },
        op('cast', { X: ['large'] }, 'mask', { in_dtype: 0, out_dtype: 2 }),
        op('select_input', { X: ['b', 'a'], Mask: ['mask'] }, 'y'),
      ],
      ['y'],
      {},
      [
        [op('elementwise_mul', { X: ['x'], Y: ['x'] }, 'a', { axis: -1 })],
        [constant('seven', 7), op('elementwise_add', { X: ['x'], Y: ['seven'] }, 'b', { axis: -1 })],
      ],
    );
    expectOf(path, [[3, 9], [1, 8.5]]);
  });

  test('an array that a loop fills', () => {
    const path = program(
      'array',
      ['x'],
      [
        op('fill_constant', {}, 'i', { shape: [1], value: 0, dtype: 3 }),
        op('fill_constant', {}, 'n', { shape: [1], value: 4, dtype: 3 }),
        op('assign', { X: ['x'] }, 'v'),
        op('write_to_array', { X: ['v'], I: ['i'] }, 'list'),
        op('less_than', { X: ['i'], Y: ['n'] }, 'go'),
        { type: 'while', in: { X: ['v', 'i', 'n', 'list'], Condition: ['go'] }, out: { Out: ['v', 'i', 'go', 'list'], StepScopes: ['s'] }, attributes: { sub_block: 1 } },
        { type: 'tensor_array_to_tensor', in: { X: ['list'] }, out: { Out: ['all'], OutIndex: ['sizes'] }, attributes: { axis: 0, use_stack: false } },
        op('reduce_sum', { X: ['all'] }, 'y', { reduce_all: true }),
      ],
      ['y'],
      {},
      [[
        op('elementwise_add', { X: ['v'], Y: ['v'] }, 'v', { axis: -1 }),
        op('increment', { X: ['i'] }, 'i', { step: 1 }),
        op('write_to_array', { X: ['v'], I: ['i'] }, 'list'),
        op('less_than', { X: ['i'], Y: ['n'] }, 'go'),
      ]],
    );
    // 1 + 2 + 4 + 8 + 16
    const model = loadPaddle(path);
    expect((model.call(Tensor.from([1])) as Tensor).item()).toBe(31);
    expect(compile((x: Tensor) => model.call(x) as Tensor)(Tensor.from([1])).item()).toBe(31);
  });

  test('a block that runs itself, or is not there', () => {
    const with_ = (block: number): string =>
      program('bad', ['x'], [{ type: 'while', in: { X: ['x'], Condition: ['x'] }, out: { Out: ['x'] }, attributes: { sub_block: block } }], ['x'], {}, [[]]);
    expect(() => loadPaddle(with_(0))).toThrow('while in block 0 runs block 0, expected one from 1 on of 2');
    expect(() => loadPaddle(with_(9))).toThrow('runs block 9');
  });
}); // biome-ignore format: programs, an operator a line
