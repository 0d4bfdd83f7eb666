/**
 * What every primitive computes, as one total table from its step to its values.
 */
import type { Primitive } from '../../graph/node.ts';
import { bigBinary, bigUnary, COMPARISONS, castElement, numberBinary, numberUnary } from './elementwise.ts';
import { argReduce, argSort, contract, reduce, scan } from './folds.ts';
import { matrix } from './matrix.ts';
import { checkIndex, concat, gather, reindex, scatter } from './moves.ts';
import type { Plan, Step } from './plan.ts';
import { randomWords } from './random.ts';
import { isBig, makeValues, type NumberArray, settle, type Values } from './values.ts';

/** Computes a step from its inputs' values into `out`, which is zeroed; or returns other values to use instead. */
type Meaning<P extends Primitive> = (step: Step<P>, inputs: readonly Values[], out: Values) => Values | undefined;

const leaf = (step: Step): never => {
  throw new Error(`internal: ${step.op} is not among the program's leaves`);
};

/** The runtime runs control flow and gives backends the straight parts between. */
const control = (step: Step): never => {
  throw new Error(`internal: ${step.op} in a program without control flow`);
};

const same = (_: Step, [x]: readonly Values[]): Values => x!;

const MEANINGS: { readonly [P in Primitive]: Meaning<P> } = {
  constant({ attrs }, _, out) {
    (out as { fill(value: number | bigint): void }).fill(attrs.value);
  },
  data: leaf,
  variable: leaf,
  placeholder: leaf,
  iota({ type }, _inputs, out) {
    const big = isBig(out);
    const last = type.dtype === 'bool' ? 1 : out.length;
    for (let i = 0; i < out.length; i++) out[i] = big ? BigInt(i) : Math.min(i, last);
  },

  unary({ attrs, type }, [x], out) {
    if (isBig(x!) && isBig(out)) {
      const fn = bigUnary(attrs.fn);
      for (let i = 0; i < out.length; i++) out[i] = fn(x[i]!);
      return;
    }
    const fn = numberUnary(attrs.fn, type.dtype);
    for (let i = 0; i < out.length; i++) out[i] = fn(x![i] as number);
  },
  binary({ attrs, type }, [x, y], out) {
    if (isBig(x!) && isBig(y!) && isBig(out)) {
      const fn = bigBinary(attrs.fn);
      for (let i = 0; i < out.length; i++) out[i] = fn(x[i]!, y[i]!);
      return;
    }
    const fn = numberBinary(attrs.fn, type.dtype);
    for (let i = 0; i < out.length; i++) out[i] = fn(x![i] as number, y![i] as number);
  },
  compare({ attrs }, [x, y], out) {
    const fn = COMPARISONS[attrs.fn];
    for (let i = 0; i < out.length; i++) out[i] = Number(fn(x![i]!, y![i]!));
  },
  where(_step, [condition, a, b], out) {
    for (let i = 0; i < out.length; i++) out[i] = condition![i] ? a![i]! : b![i]!;
  },
  cast({ type, inputTypes }, [x], out) {
    const fn = castElement(inputTypes[0]!.dtype, type.dtype);
    for (let i = 0; i < out.length; i++) out[i] = fn(x![i]!);
  },
  bitcast(_step, [x], out) {
    return new (out.constructor as new (buffer: ArrayBufferLike) => NumberArray)(x!.slice().buffer);
  },
  checkIndex({ attrs }, [x], out) {
    checkIndex(x!, attrs.size, attrs.what, out);
  },
  detach: same,
  barrier: same,

  reshape: same,
  reindex({ attrs, type, inputTypes }, [x], out) {
    reindex(x!, inputTypes[0]!.shape, type.shape, attrs.axes, attrs.fill, out);
  },
  concat({ attrs, inputTypes, type }, parts, out) {
    const shapes = inputTypes.map(part => part.shape);
    concat(parts, shapes, type.shape, attrs.axis, out);
  },
  gather({ attrs, inputTypes }, [x, index], out) {
    gather(x!, inputTypes[0]!.shape, attrs.axis, index!, attrs.what, out);
  },

  reduce({ attrs, type, inputTypes }, [x], out) {
    reduce(attrs.kind, type.dtype, x!, inputTypes[0]!.shape, attrs.axes, out);
  },
  argReduce({ attrs, inputTypes }, [x], out) {
    argReduce(attrs.kind, x!, inputTypes[0]!.shape, attrs.axis, out as BigInt64Array);
  },
  scan({ attrs, type }, [x], out) {
    scan(attrs.kind, type.dtype, x!, type.shape, attrs.axis, attrs.reverse, out);
  },
  scatter({ attrs, type }, [base, index, updates], out) {
    // Half types and f32 add up in f64, like every other sum here.
    const wide = type.dtype === 'f32' || type.dtype === 'f16' || type.dtype === 'bf16';
    const into = wide ? Float64Array.from(base as Float32Array) : base!.slice();
    scatter(attrs.kind, type.dtype, type.shape, attrs.axis, index!, updates!, attrs.drop ? null : attrs.what, into);
    if (!wide) return into;
    out.set(into as never);
  },
  contract({ attrs, type, inputTypes }, [a, b], out) {
    contract(attrs, type.dtype, a!, inputTypes[0]!.shape, b!, inputTypes[1]!.shape, out);
  },

  argSort({ attrs, type }, [x], out) {
    argSort(x!, type.shape, attrs.axis, attrs.descending, out as BigInt64Array);
  },
  matrix({ attrs, inputTypes }, inputs, out) {
    const shapes = inputTypes.map(type => type.shape);
    matrix(attrs.routine, inputs as NumberArray[], shapes, out as NumberArray);
  },
  custom: same,
  loop: control,
  choose: control,
  random({ type }, [key]) {
    return randomWords(key as BigInt64Array, type.size);
  },
};

/** Runs a plan over the values of its leaves; gives the values of its roots, which may be shared between them. */
export function interpret(plan: Plan, leaves: readonly Values[]): Values[] {
  const slots: (Values | undefined)[] = [...leaves];
  for (const step of plan.steps) {
    const out = makeValues(step.type.dtype, step.type.size);
    const inputs = step.inputs.map(slot => slots[slot]!);
    const meaning = MEANINGS[step.op] as Meaning<Primitive>;
    slots[step.out] = settle(meaning(step, inputs, out) ?? out, step.type.dtype);
    for (const slot of step.drops) slots[slot] = undefined;
  }
  return plan.roots.map(root => slots[root.slot]!);
}
