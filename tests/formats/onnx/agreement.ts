/**
 * Exported models against onnxruntime and our own reader: what the tests of the export share.
 */
import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-web';
import { noGrad, type Parameter, randn, Tensor } from 'tenon';
import { onnx } from 'tenon/formats';
import type * as nn from 'tenon/nn';
import { expect } from 'vitest';

const ort = createRequire(import.meta.url)('onnxruntime-web') as typeof Ort;

export type AnyModel = nn.Module<never[], unknown>;

const tensorsOf = (result: unknown): Tensor[] => {
  if (result instanceof Tensor) return [result];
  if (typeof result !== 'object' || result === null) return [];
  return Object.values(result).flatMap(tensorsOf);
};

const largest = (values: ArrayLike<number | bigint>): number =>
  Array.from(values, value => Math.abs(Number(value))).reduce((a, b) => Math.max(a, b), 0);

/** The largest difference, as a part of the largest expected value. */
function distance(got: ArrayLike<number | bigint>, want: Tensor): number {
  const expected = want.data();
  expect(got.length).toBe(expected.length);
  expect(largest(expected)).toBeGreaterThan(0);
  let most = 0;
  for (let i = 0; i < expected.length; i++) most = Math.max(most, Math.abs(Number(got[i]) - Number(expected[i])));
  return most / Math.max(largest(expected), 1e-30);
}

const ORT_TYPES: Readonly<Record<string, 'float32' | 'int32' | 'int64' | 'bool'>> = {
  f32: 'float32',
  i32: 'int32',
  i64: 'int64',
  bool: 'bool',
};

/** The file's outputs as onnxruntime computes them, by name. */
export async function runInOrt(file: Uint8Array, inputs: readonly Tensor[]): Promise<Ort.InferenceSession.ReturnType> {
  const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  const results = await session.run(feedsOf(session, inputs));
  await session.release();
  return results;
}

const feedsOf = (session: Ort.InferenceSession, inputs: readonly Tensor[]): Ort.InferenceSession.FeedsType =>
  Object.fromEntries(
    session.inputNames.map((name, i) => {
      const { dtype, shape } = inputs[i]!;
      return [name, new ort.Tensor(ORT_TYPES[dtype]!, inputs[i]!.data() as never, shape)] as const;
    }),
  );

/** Runs the file on each list of arguments: onnxruntime agrees to 1e-4 of the output's size, our own reader to 1e-5. */
export async function compare(
  file: Uint8Array,
  model: AnyModel,
  ...lists: readonly (readonly unknown[])[]
): Promise<void> {
  const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  const ours = onnx.parse(file, 'exported');
  for (const args of lists) {
    const inputs = args.flatMap(tensorsOf);
    const want = tensorsOf(noGrad(() => model.forward(...(args as never[]))));
    // Read at once: an embedding with a largest norm changes its weights when it is used.
    for (const tensor of want) tensor.data();
    const theirs = await session.run(feedsOf(session, inputs));
    const own = ours.run(Object.fromEntries(session.inputNames.map((name, i) => [name, inputs[i]!])));
    session.outputNames.forEach((name, k) => {
      expect(theirs[name]!.dims).toEqual([...want[k]!.shape]);
      expect(distance(theirs[name]!.data as Float32Array, want[k]!)).toBeLessThan(1e-4);
      expect(distance((own[name] as Tensor).data() as Float32Array, want[k]!)).toBeLessThan(1e-5);
    });
  }
  await session.release();
}

/** Values that training would leave: no bias of 0, no norm of 1, no head of 0, which would hide what is missing. */
export function unsettle(model: AnyModel): void {
  for (const state of new Set<Parameter>([...model.parameters(), ...model.buffers()])) {
    if (state.dtype !== 'f32') continue;
    if (state.ndim <= 1) state.assign(state.add(randn(state.shape).mul(0.1)));
    else if (largest(state.data()) === 0) state.assign(randn(state.shape).mul(0.05));
  }
}
