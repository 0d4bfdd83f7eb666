/**
 * The operators, by domain and family: `(call) -> outputs` on the Tensor API. `ruleFor` finds the rule of an operator
 * in an opset. May import tensor; knows no files and no modules.
 */
import type { OperatorTable, Rule, Versions } from '../call.ts';
import { attentions, previewAttentions } from './attention.ts';
import { control } from './control.ts';
import { convolutions } from './conv.ts';
import { convert } from './convert.ts';
import { elementwise } from './elementwise.ts';
import { images } from './images.ts';
import { indexing } from './indexing.ts';
import { linear } from './linear.ts';
import { losses } from './losses.ts';
import { ml } from './ml.ts';
import { norms } from './norm.ts';
import { pools } from './pool.ts';
import { quantized } from './quantized.ts';
import { random } from './random.ts';
import { recurrents } from './recurrent.ts';
import { reduce } from './reduce.ts';
import { resample } from './resample.ts';
import { shape } from './shape.ts';
import { signal } from './signal.ts';
import { texts } from './texts.ts';
import { training } from './training.ts';

/** Every operator of a domain; '' is ai.onnx. */
const DOMAINS: Readonly<Record<string, OperatorTable>> = {
  '': {
    ...attentions,
    ...control,
    ...convert,
    ...convolutions,
    ...elementwise,
    ...images,
    ...indexing,
    ...linear,
    ...losses,
    ...norms,
    ...pools,
    ...quantized,
    ...random,
    ...recurrents,
    ...reduce,
    ...resample,
    ...shape,
    ...signal,
    ...texts,
  },
  'ai.onnx.ml': ml,
  'ai.onnx.preview': previewAttentions,
  'ai.onnx.preview.training': training,
};

/** Operators whose value is another one every time. */
export const isRandom = (operator: string): boolean => Object.hasOwn(random, operator) || operator === 'Dropout';

/** The rule of an operator in an opset version, or null where there is none. */
export function ruleFor(domain: string, operator: string, opset: number): Rule | null {
  const table = DOMAINS[domain];
  const versions: Versions | undefined = table && Object.hasOwn(table, operator) ? table[operator] : undefined;
  if (versions === undefined) return null;
  if (typeof versions === 'function') return versions;
  return versions.findLast(([since]) => since <= opset)?.[1] ?? null;
}

/** Names of all operators by domain ('' is ai.onnx). */
export const operatorNames = (): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(Object.entries(DOMAINS).map(([domain, table]) => [domain, Object.keys(table).sort()]));
