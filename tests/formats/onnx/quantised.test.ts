/**
 * QDQ models, whose convolutions and products are summed in integers: against the same operands dequantised in f64,
 * eager and compiled, with zero points that show at the borders, scales per channel, and against onnxruntime.
 */
import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-web';
import { compile, F, manualSeed, randint, randn, Tensor } from 'tenon';
import { onnx } from 'tenon/formats';
import { expect, it } from 'vitest';
import type { AttributeProto, NodeProto, TensorProto } from '../../../src/formats/onnx/proto/schema.ts';
import { floats, int, model, node, port } from './models.ts';

const ort = createRequire(import.meta.url)('onnxruntime-web') as typeof Ort;
const UINT8 = 2;
const INT8 = 3;

const bytes = (
  name: string,
  dims: readonly number[],
  values: ArrayLike<number>,
  type: number,
): Partial<TensorProto> => ({
  name,
  dims: [...dims],
  dataType: type,
  rawData: new Uint8Array(type === INT8 ? Int8Array.from(values).buffer : Uint8Array.from(values).buffer),
});
const ints = (name: string, values: readonly number[]): Partial<AttributeProto> => ({
  name,
  type: 7,
  ints: values.map(BigInt),
});

const SCALE = 0.05;
const ZERO = 131;
const [IMAGE, WEIGHT] = [
  [2, 20, 9, 7],
  [24, 20, 3, 3],
] as const;

/**
 * x quantised and back, convolved with weights that are dequantised per channel, averaged, quantised and multiplied
 * with a dequantised matrix.
 */
function network(): { file: Uint8Array; weight: Tensor; scales: Tensor; matrix: Tensor } {
  manualSeed(5);
  const weight = randint(-127, 128, WEIGHT, { dtype: 'i8' });
  const scales = randn([24]).abs().add(0.1).mul(0.01);
  const matrix = randint(-127, 128, [24, 10], { dtype: 'i8' });
  const values = (x: Tensor): number[] => Array.from(x.data() as ArrayLike<number>);
  const file = model({
    name: 'qdq',
    input: [port('x', IMAGE)],
    output: [port('conv', [2, 24, 5, 4]), port('product', [2, 10])],
    initializer: [
      floats('s', [], [SCALE]),
      bytes('z', [], [ZERO], UINT8),
      bytes('w', WEIGHT, values(weight), INT8),
      floats('ws', [24], values(scales)),
      bytes('wz', [24], new Array<number>(24).fill(0), INT8),
      bytes('m', [24, 10], values(matrix), INT8),
      floats('ms', [], [0.02]),
      bytes('mz', [], [3], INT8),
    ] as TensorProto[],
    node: [
      node('QuantizeLinear', ['x', 's', 'z'], ['q']),
      node('DequantizeLinear', ['q', 's', 'z'], ['d']),
      node('DequantizeLinear', ['w', 'ws', 'wz'], ['wd'], [int('axis', 0)]),
      node('Conv', ['d', 'wd'], ['conv'], [ints('pads', [1, 1, 1, 1]), ints('strides', [2, 2])]),
      node('GlobalAveragePool', ['conv'], ['pooled']),
      node('Flatten', ['pooled'], ['mean']),
      node('QuantizeLinear', ['mean', 's', 'z'], ['mq']),
      node('DequantizeLinear', ['mq', 's', 'z'], ['md']),
      node('DequantizeLinear', ['m', 'ms', 'mz'], ['mm']),
      node('MatMul', ['md', 'mm'], ['product']),
    ] as NodeProto[],
  });
  return { file, weight, scales, matrix };
}

const onGrid = (x: Tensor): Tensor => x.div(SCALE).round().add(ZERO).clamp(0, 255).sub(ZERO).to('f64').mul(SCALE);
const largest = (x: Tensor): number => x.abs().amax().item();

it('sums QDQ convolutions and products in integers', async () => {
  const { file, weight, scales, matrix } = network();
  const x = randn(IMAGE).mul(3);
  x.data();
  const dequantised = weight.to('f64').mul(scales.to('f64').reshape([24, 1, 1, 1]));
  const conv = F.conv2d(onGrid(x), dequantised, null, { padding: 1, stride: 2 });
  conv.data();
  const near = (got: Tensor, want: Tensor): void => {
    expect(got.shape).toEqual(want.shape);
    expect(largest(got.to('f64').sub(want)) / largest(want)).toBeLessThan(2e-6);
  };

  const imported = onnx.parse(file, 'qdq');
  const eager = imported.run({ x });
  near(eager['conv'] as Tensor, conv);
  // What is multiplied is what our own convolution rounds to, so that a tie cannot fall to the other side.
  const pooled = onGrid((eager['conv'] as Tensor).mean([2, 3]));
  near(eager['product'] as Tensor, pooled.matmul(matrix.to('f64').sub(3).mul(0.02)));
  const compiled = compile((image: Tensor) => imported.run({ x: image })['conv'] as Tensor);
  near(compiled(x), conv);

  const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  const theirs = await session.run({ x: new ort.Tensor('float32', x.data() as Float32Array, [...IMAGE]) });
  near(Tensor.from(theirs['conv']!.data as Float32Array, { shape: [2, 24, 5, 4] }), conv);
  await session.release();
});
