/**
 * Runs ONNX models on the inputs of a suite and compares their outputs: `runOnnx(path)` reads the folder or archive.
 * Data only is read; nothing of ONNX is needed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setBackend, Tensor } from 'tenon';
import { parseNpz } from 'tenon/formats';
import {
  load,
  type ModelPort,
  type OnnxModel,
  parse,
  parseValue,
  typed,
  typedAs,
  type Value,
} from 'tenon/formats/onnx';
import type { CaseResult } from '../report.ts';
import { casesOf, type DataSet, type SuiteCase } from './cases.ts';
import { difference } from './compare.ts';
import { readSuite } from './files.ts';

export interface OnnxOptions {
  readonly backend?: string | undefined;
  /** Only cases whose name holds this. */
  readonly only?: string | undefined;
  /** Every n-th case only. */
  readonly every?: number | undefined;
}

/** Outputs that are drawn at random, by operator. */
const RANDOM = ['Bernoulli', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Multinomial'];

/** arange(n) / n of the declared shape. */
function countingInput({ shape }: ModelPort): Value {
  const sizes = shape?.map(size => (typeof size === 'number' ? size : 1)) ?? [];
  const n = sizes.reduce((a, b) => a * b, 1);
  return typed(
    Tensor.from(
      Float32Array.from({ length: n }, (_, i) => i / n),
      { shape: sizes },
    ),
  );
}

interface Expected {
  readonly feeds: Record<string, Value>;
  readonly wanted: ReadonlyMap<string, Value>;
}

function expectedOf(set: DataSet, model: OnnxModel): Expected {
  const feeds: Record<string, Value> = {};
  const wanted = new Map<string, Value>();
  if (set.npz) {
    const arrays = parseNpz(set.npz);
    const value = ({ name, type }: ModelPort): Value | null => {
      const array = arrays[name] ?? arrays[name.split(':')[0]!];
      return array ? typedAs(array, type ?? 'float') : null;
    };
    for (const port of model.inputs) feeds[port.name] = value(port) ?? missing(port.name);
    for (const port of model.outputs) {
      const found = value(port);
      if (found) wanted.set(port.name, found);
    }
    return { feeds, wanted };
  }
  // Suites number the inputs that are not stored in the model; where there are more files, all of them.
  const ports = set.inputs.length > model.inputs.length ? model.ports : model.inputs;
  if (set.inputs.length === 0) for (const port of model.inputs) feeds[port.name] = countingInput(port);
  for (const [k, bytes] of set.inputs.entries()) {
    const port = ports[k];
    if (port) feeds[port.name] = asDeclared(parseValue(bytes, port.kind, `input_${k}.pb`), port);
  }
  for (const [k, bytes] of set.outputs.entries()) {
    const port = model.outputs[k];
    if (port) wanted.set(port.name, asDeclared(parseValue(bytes, port.kind, `output_${k}.pb`), port));
  }
  return { feeds, wanted };
}

function missing(name: string): never {
  throw new Error(`io.npz has no array "${name}"`);
}

/** The model; from a folder of its own where other files hold its tensors. */
function modelOf({ name, model, beside }: SuiteCase): OnnxModel {
  if (beside.size === 0) return parse(model, name);
  const folder = mkdtempSync(join(tmpdir(), 'tenon-onnx-'));
  try {
    for (const [file, bytes] of [['model.onnx', model] as const, ...beside]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), bytes);
    }
    return load(join(folder, 'model.onnx'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Before onnx 1.15 test data had no bfloat16: the bits lie in uint16. */
function asDeclared(value: Value, { type }: ModelPort): Value {
  if (type !== 'bfloat16' || value.kind !== 'tensor' || value.type !== 'uint16') return value;
  const { tensor } = value;
  return typed(Tensor.from(Uint16Array.from(tensor.data() as Int32Array), { shape: tensor.shape, dtype: 'bf16' }));
}

function runCase(suiteCase: SuiteCase): CaseResult {
  const { name, sets } = suiteCase;
  let operators: readonly string[] = [];
  const result = (outcome: CaseResult['outcome'], reason = ''): CaseResult => {
    const op = operators.length === 1 ? operators[0]! : operators.length === 0 ? 'unreadable' : 'several operators';
    return { op, name, outcome, reason: reason.replaceAll('\n', ' ') };
  };
  if (sets.length === 0) return result('skip', 'no expected outputs');
  try {
    const model = modelOf(suiteCase);
    operators = model.operators;
    if (RANDOM.some(operator => operators.includes(operator)))
      return result('skip', 'random numbers cannot be compared');
    const quantised = operators.some(operator => /Quantize|QLinear|Integer/.test(operator));
    const half = model.ports.some(({ type }) => type === 'float16' || type === 'bfloat16');
    for (const set of sets) {
      const { feeds, wanted } = expectedOf(set, model);
      const outputs = model.runValues(feeds);
      for (const [port, want] of wanted) {
        const found = difference(outputs[port]!, want, quantised, half);
        if (found) return result('fail', `${port}: ${found}`);
      }
    }
    return result('pass');
  } catch (error) {
    return result('fail', error instanceof Error ? error.message : String(error));
  }
}

/** Runs every case of a folder or .tar.gz. */
export function runOnnx(path: string, { backend, only, every = 1 }: OnnxOptions = {}): CaseResult[] {
  if (backend) setBackend(backend);
  return casesOf(readSuite(path))
    .filter(({ name }, i) => (only === undefined || name.includes(only)) && i % every === 0)
    .map(runCase);
}
