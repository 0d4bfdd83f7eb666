/**
 * State dicts: named tensors going into parameters. Says what does not fit before anything is changed.
 */

import { sameShape } from '../graph/shape.ts';
import { flush, isTracing } from '../runtime/index.ts';
import { shapeText } from '../tensor/convert.ts';
import { type Parameter, Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';

/** Tensors by PyTorch's keys. */
export type StateDict = Record<string, Tensor>;

export interface StateMismatch {
  /** Keys the module has and the state does not. */
  readonly missing: readonly string[];
  /** Keys the state has and the module does not. */
  readonly unexpected: readonly string[];
}

/** At most eight names, and how many more there are. */
export function list(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ');
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}

/** @throws TypeError for what holds no tensors by name, such as a promise of them or a whole file */
function checkState(state: unknown): void {
  const refuse = (what: string): never => {
    throw new TypeError(`loadStateDict: state: expected tensors by name, got ${what}`);
  };
  if (state instanceof Promise) refuse('a promise of them: await it');
  if (typeof state !== 'object' || state === null || state instanceof Tensor) refuse(describe(state));
  for (const [key, value] of Object.entries(state as object))
    if (!(value instanceof Tensor)) refuse(`${describe(value)} for "${key}"`);
}

/** Assigns `state` to `own` by key; `what` names the module in errors. */
export function loadState(
  what: string,
  own: Readonly<StateDict>,
  state: Readonly<StateDict>,
  strict: boolean,
): StateMismatch {
  checkState(state);
  const missing = Object.keys(own).filter(key => !(key in state));
  const unexpected = Object.keys(state).filter(key => !(key in own));
  const wrong = Object.keys(own)
    .filter(key => key in state && !sameShape(own[key]!.shape, state[key]!.shape))
    .map(key => `${key} is ${shapeText(state[key]!.shape)} instead of ${shapeText(own[key]!.shape)}`);
  const complaints: string[] = [];
  if (strict && missing.length > 0) complaints.push(`missing: ${list(missing)}`);
  if (strict && unexpected.length > 0) complaints.push(`unexpected: ${list(unexpected)}`);
  if (wrong.length > 0) complaints.push(`wrong shapes: ${list(wrong)}`);
  if (complaints.length > 0) throw new Error(`loadStateDict: the state does not fit ${what}: ${complaints.join('; ')}`);
  for (const [key, target] of Object.entries(own)) {
    const value = state[key];
    if (!value || value === target) continue;
    // Tensors from files have their values: they are copied, where a program of thousands of copies would have to be
    // compiled first.
    if (value.node.value && value.dtype === target.dtype && !isTracing()) (target as Parameter).write(value);
    else (target as Parameter).assign(value.detach().to(target.dtype));
  }
  flush();
  return { missing, unexpected };
}

/**
 * Writes tensors into `own` by key, each read when its turn comes and converted to the dtype it goes into. Shapes must
 * fit: `loadState` says so politely. Initial values that are about to be replaced are not computed on the way.
 */
export function loadTensors(own: Readonly<StateDict>, values: ReadonlyMap<string, () => Tensor>): void {
  const targets = [...values].map(([key, read]) => [own[key] as Parameter, read] as const);
  for (const [target] of targets) target.cell.settle();
  for (const [target, read] of targets) target.write(read().to(target.dtype));
}
