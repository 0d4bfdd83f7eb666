/**
 * PyTorch's arguments as ours: positional stays positional, keywords go to the options object, and the exceptions.
 */
import { isDType, Tensor } from 'tenon';
import { camel } from './functions.ts';
import { OPTIONS, SIGNATURES } from './signatures.ts';

/** Keywords that say nothing here. */
const IGNORED = new Set([
  ...['device', 'requires_grad', 'stable', 'memory_format', 'inplace', 'layout', 'pin_memory'],
  ...['unsafe', 'need_attn_weights', 'sparse', 'sparse_grad'],
]);

/** PyTorch's arguments as ours. */
export function bind(op: string, args: readonly unknown[], kwargs: { readonly [name: string]: unknown }): unknown[] {
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

const isNumbers = (value: unknown): boolean => Array.isArray(value) && value.every(part => typeof part === 'number');

const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

const SPECIAL: { readonly [op: string]: Special } = {
  var: moments,
  std: moments,
  var_mean: moments,
  std_mean: moments,
  sum_to_size: sizes,
  unique: ([input], kwargs) => [input, { dim: kwargs['dim'] }],
  unique_consecutive: ([input], kwargs) => [input, { dim: kwargs['dim'] }],
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
  cat: (args, kwargs) => [args[0], kwargs['dim'] ?? args[1] ?? 0, ...('out' in kwargs ? [{ out: kwargs['out'] }] : [])],
  hstack: args => [args[0]],
  vstack: args => [args[0]],
  dstack: args => [args[0]],
  column_stack: args => [args[0]],
  stack: (args, kwargs) => [args[0], kwargs['dim'] ?? args[1] ?? 0],
  // Real symmetric matrices are the only ones there are.
  'linalg.ldl_factor': ([input]) => [input],
  'linalg.ldl_factor_ex': ([input]) => [input],
  'linalg.ldl_solve': args => [...args],
  // The database multiplies two factors first.
  'linalg.pinv': ([a, b], kwargs) => [
    b instanceof Tensor ? (a as Tensor).matmul(b.mT) : a,
    Object.fromEntries(Object.entries(kwargs)),
  ],
  'special.polygamma': ([x, n]) => [n, x],
  einsum: ([operands, equation]) => [equation, operands],
  where: ([input, condition, other]) => [condition, input, other],
  __getitem__: ([input, ...list]) => [
    input,
    // A list of numbers alone is an index, any other list a tuple.
    asList(list.length === 1 && !isNumbers(list[0]) ? list[0] : list).map(part =>
      Array.isArray(part) ? Tensor.from(part as number[], { dtype: 'i64' }) : part,
    ),
  ],
  // Devices say nothing here.
  to: ([input, ...rest], kwargs) => [
    input,
    [kwargs['dtype'], ...rest].find(part => part instanceof Tensor || (typeof part === 'string' && isDType(part))) ??
      (input as Tensor).dtype,
  ],
  svd_lowrank: ([a, b], kwargs) => [(a as Tensor).matmul((b as Tensor).mT), { q: kwargs['q'], mean: kwargs['M'] }],
  pca_lowrank: ([a, b], kwargs) => [
    (a as Tensor).matmul((b as Tensor).mT),
    { q: kwargs['q'], center: kwargs['center'] },
  ],
  arange: (args, kwargs) => {
    const numbers = [...args.map(Number), ...(kwargs['start'] !== undefined ? [kwargs['start']] : [])];
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
  tril_indices: (args, kwargs) => [
    args[0],
    args[1],
    { offset: args[2] ?? kwargs['offset'] ?? 0, ...dtypeOption(kwargs) },
  ],
  triu_indices: (args, kwargs) => [
    args[0],
    args[1],
    { offset: args[2] ?? kwargs['offset'] ?? 0, ...dtypeOption(kwargs) },
  ],
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
export const RESULTS: {
  readonly [op: string]: (result: unknown, kwargs: { readonly [name: string]: unknown }) => unknown;
} = {
  unique: distinctParts,
  unique_consecutive: distinctParts,
};
