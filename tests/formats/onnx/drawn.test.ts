/**
 * Every operator on inputs, types, attributes and opsets drawn at random: onnxruntime and our reader give the same.
 * What onnxruntime cannot run is left out; what it runs, ours runs. TENON_DRAWS=1000 draws more of each.
 */
import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-web';
import { onnx } from 'tenon/formats';
import { expect, it } from 'vitest';
import { writeMessage } from '../../../src/formats/onnx/proto/write.ts';
import { type Application, Draw, fileOf, inputProto, type Operator, ortTypeOf } from './draw.ts';
import { ELEMENTS } from './drawnElements.ts';
import { LAYERS } from './drawnLayers.ts';
import { MODELS } from './drawnModels.ts';
import { MOVES } from './drawnMoves.ts';

const ort = createRequire(import.meta.url)('onnxruntime-web') as typeof Ort;
const COUNT = Number(process.env['TENON_DRAWS'] ?? 3);
const ONLY = process.env['TENON_OPS']?.split(',');

const tensorValue = (name: string, input: Application['inputs'][number]): onnx.Value =>
  onnx.parseValue(writeMessage('TensorProto', inputProto(name, input!)), 'tensor', name);

async function theirs(file: Uint8Array, application: Application): Promise<readonly Ort.Tensor[] | string> {
  try {
    const session = await ort.InferenceSession.create(file, { logSeverityLevel: 4, intraOpNumThreads: 1 });
    const feeds = Object.fromEntries(
      session.inputNames.map(name => {
        const { type, dims, data } = application.inputs[Number(name.slice(1))]!;
        return [name, new ort.Tensor(ortTypeOf(type), data as never, dims)] as const;
      }),
    );
    const results = await session.run(feeds);
    const list = session.outputNames.map(name => results[name] as Ort.Tensor);
    await session.release();
    return list;
  } catch (error) {
    return (error as Error).message;
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = { float32: 'float', float64: 'double' };

function asValue(tensor: Ort.Tensor): onnx.Value {
  const type = (TYPE_NAMES[tensor.type] ?? tensor.type) as never;
  return tensorValue('want', { type, dims: tensor.dims, data: tensor.data as never });
}

function ours(file: Uint8Array, application: Application): readonly onnx.Value[] | string {
  try {
    const model = onnx.parse(file, 'drawn.onnx');
    const feeds = Object.fromEntries(
      model.inputs.map(({ name }) => [name, tensorValue(name, application.inputs[Number(name.slice(1))]!)] as const),
    );
    const results = model.runValues(feeds);
    return model.outputs.map(({ name }) => results[name]!);
  } catch (error) {
    return (error as Error).message;
  }
}

/** What differs, or null: whole numbers and texts in nothing, floats by rounding. */
function difference(got: onnx.Value, want: onnx.Value, half: boolean): string | null {
  if (got.kind === 'strings' && want.kind === 'strings')
    return JSON.stringify([got.shape, got.strings]) === JSON.stringify([want.shape, want.strings])
      ? null
      : `${JSON.stringify(got.strings)}, expected ${JSON.stringify(want.strings)}`;
  if (got.kind !== 'tensor' || want.kind !== 'tensor') return `${got.kind}, expected ${want.kind}`;
  const [type, shape] = [want.type, want.tensor.shape];
  if (got.type !== type || got.tensor.shape.join() !== shape.join())
    return `${got.type} [${got.tensor.shape}], expected ${type} [${shape}]`;
  const [a, b] = [got, want].map(({ tensor }) =>
    Array.from((tensor.dtype === 'f16' ? tensor.to('f32') : tensor).data() as ArrayLike<number | bigint>),
  );
  const exact = /int|bool/.test(type);
  const largest = b!.reduce<number>(
    (most, q) => Math.max(most, Number.isFinite(Number(q)) ? Math.abs(Number(q)) : 0),
    0,
  );
  const part = half || type === 'float16' ? 4e-3 : 1e-5;
  const at = b!.findIndex((q, i) => {
    const p = a![i]!;
    if (p === q || (Number.isNaN(p) && Number.isNaN(q))) return false;
    return exact || !(Math.abs(Number(p) - Number(q)) <= part * largest + 10 * part * Math.abs(Number(q)));
  });
  return at < 0 ? null : `element ${at} is ${a![at]}, expected ${b![at]}`;
}

const describe = ({ opset, inputs, attributes }: Application): string => {
  const show = (_: string, value: unknown): unknown =>
    typeof value === 'bigint' ? Number(value) : value instanceof Uint8Array ? new TextDecoder().decode(value) : ArrayBuffer.isView(value) ? Array.from(value as never, Number) : value; // biome-ignore format: one line
  return `opset ${opset} ${JSON.stringify(attributes, show)} ${JSON.stringify(inputs, show)}`.slice(0, 900);
};

async function check(op: string, { opsets, entry, domain = '' }: Operator): Promise<{ ran: number; wrong: string[] }> {
  const wrong: string[] = [];
  let ran = 0;
  for (let k = 0; k < 5 * COUNT && ran < COUNT; k++) {
    const draw = new Draw(k * 7919 + op.length * 104729 + op.charCodeAt(0) * 31 + op.charCodeAt(op.length - 1), opsets);
    const drawn = entry(draw);
    const application: Application = { op, domain, opset: draw.opset, attributes: [], outputs: 1, ...drawn };
    const constants = new Set(drawn.inputs.flatMap((_, i) => (i > 0 && draw.flag() ? [i] : [])));
    const file = fileOf(application, constants);
    const want = await theirs(file, application);
    if (typeof want === 'string') continue;
    ran++;
    const got = ours(file, application);
    if (typeof got === 'string') {
      wrong.push(`${got}; ${describe(application)}`);
      continue;
    }
    want.forEach((tensor, i) => {
      const found = difference(
        got[i]!,
        asValue(tensor),
        drawn.inputs.some(input => input?.type === 'float16'),
      );
      if (found) wrong.push(`output ${i}: ${found}; ${describe(application)}`);
    });
  }
  return { ran, wrong };
}

for (const [op, operator] of Object.entries({ ...ELEMENTS, ...MOVES, ...LAYERS, ...MODELS }))
  if (!ONLY || ONLY.includes(op))
    it(op, async () => {
      const { ran, wrong } = await check(op, operator);
      expect(wrong).toEqual([]);
      expect(ran).toBeGreaterThan(0);
    });
