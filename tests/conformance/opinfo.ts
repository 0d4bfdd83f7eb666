/**
 * Runs PyTorch's operator database against the Tensor API: `runOpinfo(file)` decodes each case, calls our function of the same name, and
 * compares values and gradients. Data only is read; nothing of PyTorch is needed.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type DType, isFloat } from '../../src/graph/dtype.ts';
import * as tenon from '../../src/index.ts';
import { functional, Parameter, Tensor } from '../../src/index.ts';
import { reader } from '../../src/tensor/convert.ts';
import { NAMES, OPTIONS, SIGNATURES } from './opinfoSignatures.ts';

interface RawTensor {
  readonly tensor: { readonly dtype: DType; readonly shape: number[]; readonly data: string; readonly grad?: boolean };
}

interface Case {
  readonly op: string;
  readonly index: number;
  readonly args: readonly unknown[];
  readonly kwargs: { readonly [name: string]: unknown };
  readonly outputs?: readonly unknown[];
  readonly cotangents?: readonly RawTensor[];
  readonly grads?: readonly (RawTensor | null)[];
  readonly error?: string;
}

export type Outcome = 'pass' | 'fail' | 'missing';

export interface CaseResult {
  readonly op: string;
  readonly index: number;
  readonly outcome: Outcome;
  /** Why not, in a line. */
  readonly reason: string;
}

const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase());

const isTensor = (value: unknown): value is RawTensor =>
  typeof value === 'object' && value !== null && 'tensor' in value;

const ARRAYS = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i64: BigInt64Array,
  i32: Int32Array,
  u8: Uint8Array,
  i8: Int8Array,
  bool: Uint8Array,
} as const;

function tensorOf(raw: RawTensor): Tensor {
  const { dtype, shape, data } = raw.tensor;
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return Tensor.from(new ARRAYS[dtype](bytes.buffer), { shape, dtype });
}

/** JSON values as ours; tensors marked as leaves become parameters, collected in order. */
function decode(value: unknown, leaves: Parameter[]): unknown {
  if (isTensor(value)) {
    const tensor = tensorOf(value);
    if (!value.tensor.grad) return tensor;
    const leaf = new Parameter(tensor);
    leaves.push(leaf);
    return leaf;
  }
  if (Array.isArray(value)) return value.map(part => decode(part, leaves));
  if (typeof value !== 'object' || value === null) return value;
  if ('float' in value) {
    const text = String(value.float);
    return text === 'nan' ? Number.NaN : text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if ('dtype' in value) return value.dtype;
  if ('ellipsis' in value) return '...';
  if ('slice' in value) {
    const [start, stop, step] = value.slice as (number | null)[];
    return { start, stop, step };
  }
  if ('dict' in value)
    return Object.fromEntries(Object.entries(value.dict as object).map(([key, part]) => [key, decode(part, leaves)]));
  throw new Error(`unknown value ${JSON.stringify(value)}`);
}

type Callable = (...args: unknown[]) => unknown;

const SPACES: readonly (readonly [prefix: string, space: object])[] = [
  ['nn.functional.', functional],
  ['linalg.', tenon.linalg],
  ['masked.', tenon.masked],
  ['special.', tenon.special],
];
const PREFIX = /^(nn\.functional|linalg|masked|special)\./;

/** The function, and how its arguments are bound. */
function functionOf(op: string): Callable | null {
  const short = op.replace(PREFIX, '');
  const name = NAMES[short] ?? camel(short);
  const space = SPACES.find(([prefix]) => op.startsWith(prefix))?.[1] as Record<string, unknown> | undefined;
  const found = space?.[name] ?? (tenon as unknown as Record<string, unknown>)[name];
  if (typeof found === 'function') return found as Callable;
  if (space) return null;
  if (!(name in Tensor.prototype)) return null;
  return (input, ...rest) => {
    const member = (input as Record<string, unknown>)[name];
    return typeof member === 'function' ? (member as Callable).apply(input, rest) : member;
  };
}

/** Keywords that say nothing here. */
const IGNORED = new Set([
  'device',
  'requires_grad',
  'out',
  'stable',
  'memory_format',
  'inplace',
  'layout',
  'pin_memory',
]);

/** PyTorch's arguments as ours. */
function bind(op: string, args: readonly unknown[], kwargs: { readonly [name: string]: unknown }): unknown[] {
  const special = SPECIAL[op] ?? (op.startsWith('masked.') ? masked(op) : undefined);
  if (special) return special(args, kwargs);
  const entries = Object.entries(kwargs).filter(([name]) => !IGNORED.has(name));
  const named = new Map(entries.map(([name, value]) => [OPTIONS[name] ?? camel(name), value]));
  const signature = SIGNATURES[op];
  if (signature === undefined) return named.size > 0 ? [...args, Object.fromEntries(named)] : [...args];
  const [positional, options = ''] = signature.split('|').map(part => part.trim().split(/\s+/).filter(Boolean));
  const all = [...positional!, ...options];
  const [input, ...rest] = args;
  rest.forEach((value, i) => {
    if (all[i]) named.set(all[i], value);
  });
  const out: unknown[] = [input, ...positional!.map(name => named.get(name))];
  for (const name of positional!) named.delete(name);
  while (out.length > 1 && out[out.length - 1] === undefined && named.size === 0) out.pop();
  if (named.size > 0) out.push(Object.fromEntries([...named].filter(([name]) => !IGNORED.has(name))));
  return out;
}

type Special = (args: readonly unknown[], kwargs: { readonly [name: string]: unknown }) => unknown[];

const dtypeOption = (kwargs: { readonly [name: string]: unknown }): object =>
  kwargs['dtype'] ? { dtype: kwargs['dtype'] } : {};

/** Variance and its kin: `unbiased` is correction 1 or 0. */
const moments: Special = (args, kwargs) => {
  const [input, ...rest] = args;
  const first = rest[0];
  const unbiased = kwargs['unbiased'] ?? (typeof first === 'boolean' ? first : rest[1]);
  const dim = kwargs['dim'] ?? (typeof first === 'boolean' ? undefined : first);
  const keepdim = kwargs['keepdim'] ?? rest[2];
  const correction = kwargs['correction'] ?? (unbiased === undefined ? undefined : unbiased ? 1 : 0);
  return [
    input,
    dim ?? undefined,
    { ...(keepdim ? { keepdim } : {}), ...(typeof correction === 'number' ? { correction } : {}) },
  ];
};

/** torch.masked: dims and the like may stand in either place; `unbiased` is correction 1 or 0. */
const masked =
  (op: string): Special =>
  (args, kwargs) => {
    const [input, ...rest] = args;
    const leading =
      op === 'masked.normalize' || op === 'masked.norm'
        ? ['ord', 'dim']
        : op === 'masked.logaddexp'
          ? ['other']
          : ['dim'];
    const named = new Map(Object.entries(kwargs));
    rest.forEach((value, i) => {
      named.set(leading[i]!, value);
    });
    const positional = leading.map(name => named.get(name) ?? undefined);
    for (const name of leading) named.delete(name);
    if (named.has('unbiased')) named.set('correction', named.get('unbiased') ? 1 : 0);
    named.delete('unbiased');
    return [input, ...positional, Object.fromEntries([...named].map(([name, value]) => [camel(name), value]))];
  };

/** Sizes given one by one. */
const sizes: Special = ([input, ...rest]) => [input, Array.isArray(rest[0]) ? rest[0] : rest];

const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

const SPECIAL: { readonly [op: string]: Special } = {
  var: moments,
  std: moments,
  var_mean: moments,
  std_mean: moments,
  sum_to_size: sizes,
  unique: ([input], kwargs) => [input, { dim: kwargs['dim'] }],
  unique_consecutive: ([input], kwargs) => [input, { dim: kwargs['dim'] }],
  nonzero: ([input]) => [input],
  reshape: sizes,
  view: sizes,
  expand: sizes,
  permute: sizes,
  repeat: sizes,
  tile: sizes,
  broadcast_tensors: args => [args],
  meshgrid: (args, kwargs) => [args.flat(), kwargs],
  block_diag: args => [args],
  cartesian_prod: args => [args],
  cat: (args, kwargs) => [args[0], kwargs['dim'] ?? args[1] ?? 0],
  hstack: args => [args[0]],
  vstack: args => [args[0]],
  dstack: args => [args[0]],
  column_stack: args => [args[0]],
  stack: (args, kwargs) => [args[0], kwargs['dim'] ?? args[1] ?? 0],
  einsum: ([operands, equation]) => [equation, operands],
  where: ([input, condition, other]) => [condition, input, other],
  __getitem__: ([input, ...list]) => [
    input,
    asList(list.length === 1 ? list[0] : list).map(part =>
      Array.isArray(part) ? Tensor.from(part as number[], { dtype: 'i64' }) : part,
    ),
  ],
  slice: ([input, ...rest]) => {
    const [dim, start, stop, step] = rest as [number, number?, number?, number?];
    return [input, [...new Array<string>(dim ?? 0).fill(':'), { start, stop, step }]];
  },
  arange: (args, kwargs) => {
    const numbers = [...args, ...(kwargs['start'] !== undefined ? [kwargs['start']] : [])];
    if (kwargs['end'] !== undefined) numbers.push(kwargs['end']);
    if (kwargs['step'] !== undefined) numbers.push(kwargs['step']);
    return [...numbers, dtypeOption(kwargs)];
  },
  ones: (args, kwargs) => [args[0], dtypeOption(kwargs)],
  zeros: (args, kwargs) => [args[0], dtypeOption(kwargs)],
  eye: (args, kwargs) => [args[0], args[1] ?? args[0], dtypeOption(kwargs)],
  linspace: (args, kwargs) => [args[0], args[1], args[2], dtypeOption(kwargs)],
  logspace: (args, kwargs) => [
    args[0],
    args[1],
    args[2],
    { ...dtypeOption(kwargs), ...(args[3] === undefined ? {} : { base: args[3] }) },
  ],
  tril_indices: (args, kwargs) => [args[0], args[1], { offset: args[2] ?? kwargs['offset'] ?? 0 }],
  triu_indices: (args, kwargs) => [args[0], args[1], { offset: args[2] ?? kwargs['offset'] ?? 0 }],
  unflatten: ([input, dim, parts]) => [input, dim, parts],
  tensor_split: ([input, sections, dim]) => [
    input,
    sections instanceof Tensor
      ? sections.ndim === 0
        ? sections.item()
        : Array.from(sections.data(), Number)
      : sections,
    dim,
  ],
  // The database puts the weight first there.
  'nn.functional.embedding_bag': ([weight, index], kwargs) => [
    index,
    weight,
    Object.fromEntries(Object.entries(kwargs).map(([name, value]) => [camel(name), value])),
  ],
  'nn.functional.embedding': ([weight, index], kwargs) => [index, weight, { paddingIdx: kwargs['padding_idx'] }],
};

/** Results that PyTorch shapes by its arguments. */
const distinctParts = (result: unknown, kwargs: { readonly [name: string]: unknown }): unknown => {
  const { values, inverse, counts } = result as { values: Tensor; inverse: Tensor; counts: Tensor };
  return [values, ...(kwargs['return_inverse'] ? [inverse] : []), ...(kwargs['return_counts'] ? [counts] : [])];
};
const RESULTS: {
  readonly [op: string]: (result: unknown, kwargs: { readonly [name: string]: unknown }) => unknown;
} = {
  unique: distinctParts,
  unique_consecutive: distinctParts,
  nonzero: (result, kwargs) => (kwargs['as_tuple'] ? (result as Tensor).unbind(1) : result),
};

/** Every tensor of a result, in order. */
function tensorsOf(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  if (Array.isArray(result)) return result.flatMap(tensorsOf);
  if (typeof result === 'object' && result !== null) return Object.values(result).flatMap(tensorsOf);
  return [];
}

/** Why `got` is not `want`, or null. */
function difference(got: Tensor, want: RawTensor, atol: number, rtol: number): string | null {
  const expected = tensorOf(want);
  if (got.dtype !== expected.dtype) return `dtype ${got.dtype}, expected ${expected.dtype}`;
  if (got.shape.join() !== expected.shape.join()) return `shape [${got.shape}], expected [${expected.shape}]`;
  const a = reader(got.dtype, got.data());
  const b = reader(expected.dtype, expected.data());
  for (let i = 0; i < expected.numel(); i++) {
    const [x, y] = [a(i), b(i)];
    const same = Object.is(x, y) || x === y || (Number.isNaN(x) && Number.isNaN(y));
    const near = isFloat(got.dtype) && Math.abs(x - y) <= atol + rtol * Math.abs(y);
    if (!same && !near) return `element ${i} is ${x}, expected ${y}`;
  }
  return null;
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

function runCase(test: Case): CaseResult {
  const { op, index } = test;
  const fn = functionOf(op);
  if (!fn) return { op, index, outcome: 'missing', reason: 'no such function' };
  try {
    const leaves: Parameter[] = [];
    const args = test.args.map(arg => decode(arg, leaves));
    const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([name, arg]) => [name, decode(arg, leaves)]));
    const result = fn(...bind(op, args, kwargs));
    const outputs = tensorsOf(RESULTS[op]?.(result, test.kwargs) ?? result);
    const expected = (test.outputs ?? []).filter(isTensor);
    // Reading values lets go of graphs, so gradients come first.
    const wrongGradient = checkGradients(outputs, leaves, test);
    if (outputs.length < expected.length)
      return { op, index, outcome: 'fail', reason: `${outputs.length} outputs, expected ${expected.length}` };
    for (let i = 0; i < expected.length; i++) {
      const wrong = difference(outputs[i]!, expected[i]!, 1e-5, 1e-4);
      if (wrong) return { op, index, outcome: 'fail', reason: `output ${i}: ${wrong}` };
    }
    if (wrongGradient) return { op, index, outcome: 'fail', reason: wrongGradient };
    return { op, index, outcome: 'pass', reason: '' };
  } catch (error) {
    return {
      op,
      index,
      outcome: 'fail',
      reason: error instanceof Error ? error.message.split('\n')[0]! : String(error),
    };
  }
}

/** A refused call passes when an error of ours comes before anything is computed, and names the op. */
function runError(test: Case): CaseResult {
  const { op, index } = test;
  const fn = functionOf(op);
  if (!fn) return { op, index, outcome: 'missing', reason: 'no such function' };
  const short = camel(op.replace(PREFIX, ''));
  try {
    const args = test.args.map(arg => decode(arg, []));
    const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([name, arg]) => [name, decode(arg, [])]));
    tensorsOf(fn(...bind(op, args, kwargs)));
    return { op, index, outcome: 'fail', reason: `accepted; PyTorch: ${test.error}` };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const ours = /^[A-Za-z0-9.]+: /.test(message);
    if (ours && !message.startsWith('internal:')) return { op, index, outcome: 'pass', reason: message };
    return { op, index, outcome: 'fail', reason: `${short}: ${message}` };
  }
}

export interface OpinfoOptions {
  /** Which backend computes; the one in use by default. */
  readonly backend?: string;
  /** Only these operators. */
  readonly only?: (op: string) => boolean;
}

/** Runs every case of an opinfo file (gzipped JSON lines) and says how each went. */
export function runOpinfo(file: string, options: OpinfoOptions = {}): CaseResult[] {
  if (options.backend) tenon.setBackend(options.backend);
  const text = gunzipSync(readFileSync(file)).toString();
  const results: CaseResult[] = [];
  for (const line of text.split('\n')) {
    if (!line) continue;
    const test = JSON.parse(line) as Case;
    if (options.only && !options.only(test.op)) continue;
    results.push(test.error === undefined ? runCase(test) : runError(test));
  }
  return results;
}

/** Passed and all cases of each operator, and the first reason of those that failed. */
export function summarise(
  results: readonly CaseResult[],
): Map<string, { passed: number; total: number; missing: boolean; reason: string }> {
  const table = new Map<string, { passed: number; total: number; missing: boolean; reason: string }>();
  for (const { op, outcome, reason, index } of results) {
    const row = table.get(op) ?? { passed: 0, total: 0, missing: false, reason: '' };
    row.total++;
    if (outcome === 'pass') row.passed++;
    else if (!row.reason) row.reason = `#${index} ${reason}`;
    if (outcome === 'missing') row.missing = true;
    table.set(op, row);
  }
  return table;
}
