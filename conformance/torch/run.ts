/**
 * Runs PyTorch's operator database against the Tensor API: `runOpinfo(file)` decodes each case, calls our function of
 * the same name, and compares values and gradients. Data only is read; nothing of PyTorch is needed.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import * as tenon from 'tenon';
import { isFloat, type Parameter, Tensor } from 'tenon';
import type { CaseResult } from '../report.ts';
import { bind, RESULTS } from './arguments.ts';
import { type Case, decode, difference, rawTensors, tensorOf } from './case.ts';
import { type Callable, functionOf, nameOf } from './functions.ts';
import { callOf, checkProperty, type Property, type Verdict } from './properties.ts';

/** Every tensor of a result, in order. */
function tensorsOf(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  if (Array.isArray(result)) return result.flatMap(tensorsOf);
  if (typeof result === 'object' && result !== null) return Object.values(result).flatMap(tensorsOf);
  return [];
}

function checkGradients(outputs: readonly Tensor[], leaves: readonly Parameter[], test: Case): string | null {
  const { cotangents, grads } = test;
  if (!cotangents || !grads) return null;
  let sources = outputs.filter(output => isFloat(output.dtype));
  if (sources.length !== cotangents.length) sources = sources.filter(output => output.requiresGrad);
  if (sources.length !== cotangents.length)
    return `${sources.length} differentiable outputs, expected ${cotangents.length}`;
  sources.forEach((output, i) => {
    if (output.requiresGrad) output.backward(tensorOf(cotangents[i]!));
  });
  for (let i = 0; i < leaves.length; i++) {
    const want = grads[i];
    if (!want) continue;
    const { grad, shape, dtype } = leaves[i]!;
    const wrong = difference(grad ?? tenon.zeros(shape, { dtype }), want, 1e-4, 1e-3);
    if (wrong) return `gradient ${i}: ${wrong}`;
  }
  return null;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message.split('\n')[0]! : String(error));

/** Whether the case needs complex numbers, which Tenon's tensors do not hold. */
const needsComplex = ({ args, kwargs }: Case): boolean => /"dtype":"c(64|128)"/.test(JSON.stringify([args, kwargs]));

/** Why the case does not give PyTorch's figures, or null. */
function valueProblem(fn: Callable, test: Case): string | null {
  const { op } = test;
  const leaves: Parameter[] = [];
  const args = test.args.map(arg => decode(arg, leaves));
  const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([name, arg]) => [name, decode(arg, leaves)]));
  const result = fn(...bind(op, args, kwargs));
  const outputs = tensorsOf(RESULTS[op]?.(result, test.kwargs) ?? result);
  const expected = (test.outputs ?? []).flatMap(rawTensors);
  // Reading values lets go of graphs, so gradients come first.
  const wrongGradient = checkGradients(outputs, leaves, test);
  if (outputs.length < expected.length) return `${outputs.length} outputs, expected ${expected.length}`;
  for (let i = 0; i < expected.length; i++) {
    const wrong = difference(outputs[i]!, expected[i]!, 1e-5, 1e-4);
    if (wrong) return `output ${i}: ${wrong}`;
  }
  return wrongGradient;
}

/**
 * Why a call that PyTorch refuses does not get an error of ours, before anything is computed, that names the op; or
 * null.
 */
function refusalProblem(fn: Callable, test: Case): string | null {
  const name = nameOf(test.op);
  try {
    const args = test.args.map(arg => decode(arg, []));
    const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([key, arg]) => [key, decode(arg, [])]));
    fn(...bind(test.op, args, kwargs));
  } catch (error) {
    const message = messageOf(error);
    const ours = /^[A-Za-z0-9.]+: /.test(message) && !message.startsWith('internal:');
    return ours && message.toLowerCase().includes(name.toLowerCase()) ? null : `refused, but not by name: ${message}`;
  }
  return `accepted; PyTorch: ${test.error}`;
}

/** What a property says of the case; its values are not looked at. */
function propertyOf(property: Exclude<Property, 'eager'>, fn: Callable, test: Case): Verdict {
  const args = test.args.map(arg => decode(arg, []));
  const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([name, arg]) => [name, decode(arg, [])]));
  const call = callOf(bind(test.op, args, kwargs), bound => {
    const result = fn(...bound);
    return tensorsOf(RESULTS[test.op]?.(result, test.kwargs) ?? result);
  });
  return checkProperty(property, call);
}

function runCase(test: Case, property: Property): CaseResult {
  const result = (outcome: CaseResult['outcome'], reason: string): CaseResult => ({
    op: test.op,
    name: `${test.variant ? `${test.variant} ` : ''}#${test.index}`,
    outcome,
    reason,
  });
  if (needsComplex(test)) return result('skip', 'complex numbers');
  const fn = functionOf(test.op);
  if (!fn) return result('fail', 'no such function');
  try {
    if (property !== 'eager') {
      const found = propertyOf(property, fn, test);
      if (!found) return result('pass', '');
      return 'skip' in found ? result('skip', found.skip) : result('fail', found.problem);
    }
    const problem = test.error === undefined ? valueProblem(fn, test) : refusalProblem(fn, test);
    return problem === null ? result('pass', '') : result('fail', problem);
  } catch (error) {
    return result('fail', messageOf(error));
  }
}

export interface OpinfoOptions {
  /** Which backend computes; the one in use by default. */
  readonly backend?: string;
  /** Only these cases, by operator and place in the file. */
  readonly only?: (op: string, place: number) => boolean;
  /** What is checked: PyTorch's figures ('eager', the default), or a property that holds whatever they are. */
  readonly property?: Property;
}

function textOf(file: string): string {
  try {
    return gunzipSync(readFileSync(file)).toString();
  } catch (error) {
    throw new Error(`${file}: not gzipped JSON lines: ${(error as Error).message}`, { cause: error });
  }
}

/** Runs every case of an opinfo file (gzipped JSON lines) and says how each went. */
export function runOpinfo(file: string, options: OpinfoOptions = {}): CaseResult[] {
  if (options.backend) tenon.setBackend(options.backend);
  const text = textOf(file);
  const results: CaseResult[] = [];
  let place = 0;
  for (const line of text.split('\n')) {
    if (!line) continue;
    const test = JSON.parse(line) as Case;
    if (options.only && !options.only(test.op, place++)) continue;
    results.push(runCase(test, options.property ?? 'eager'));
  }
  return results;
}
