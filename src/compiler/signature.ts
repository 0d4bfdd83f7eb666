/**
 * Equal kernels are lowered once: layers of one shape, steps of a recurrence, updates of parameters of one size. A
 * signature says all that lowering depends on, with buffers by order of appearance. Imports kernels and the flow.
 */
import type { AbsorbedOperand } from './absorb.ts';
import { storage, type Value } from './flow.ts';
import type { Ix } from './index-expr.ts';
import type { ChainKernel, ContractKernel, CopyKernel, Kernel, SpaceKernel } from './kernels.ts';
import type { BufferRef, LoweredKernel } from './lower/context.ts';
import { attributesKey } from './normalise.ts';
import { LateStep, loweredStep, type Step } from './plan/index.ts';
import type { MemoryWindows } from './windows.ts';

interface Signature {
  readonly key: string;
  /** Values the kernel's buffers may stand for, in the order the signature met them. */
  readonly values: readonly Value[];
  /** Those among them that are in memory already: the kernel may read them. */
  readonly reads: readonly Value[];
  /** Whether an index comes from memory, which may be checked. */
  readonly indexed: boolean;
}

const coordsKey = (coords: readonly Ix[]): string => {
  let key = '@';
  for (const ix of coords) key += `${ix.id},`;
  return key;
};

function signatureOf(
  kernel: SpaceKernel | ContractKernel,
  realised: (value: Value) => boolean,
  windows: MemoryWindows,
  lasts: (value: Value) => boolean,
  repeated: ReadonlySet<AbsorbedOperand>,
): Signature {
  const values: Value[] = [];
  const reads: Value[] = [];
  let indexed = false;
  const number = new Map<Value, number>();
  const parts: string[] = [];
  const meet = (value: Value, text: string): void => {
    number.set(value, values.length);
    values.push(value);
    parts.push(text);
  };
  const read = (value: Value, text: string): void => {
    reads.push(value);
    meet(value, text);
  };
  const visit = (value: Value): void => {
    if (number.has(value)) return;
    const member = kernel.members.get(value);
    const { type } = value;
    if (!member && realised(value)) {
      read(value, `in ${type}${lasts(value) ? ' lasting' : ''}`);
      return;
    }
    const { op } = value;
    indexed ||= op === 'gather' || op === 'scatter' || op === 'checkIndex';
    const coords = member ? coordsKey(member) : '';
    // As in expr.ts: members read through windows as others do.
    if (value.is('reindex')) {
      const window = kernel.members.has(storage(value.inputs[0]!)) ? null : windows.of(value);
      if (window) {
        if (!number.has(window)) read(window, `in ${window.type}`);
        const maps = value.attrs.axes.map(map => map.terms.map(([d, c]) => `${d}*${c}`).join('+'));
        meet(value, `slice ${maps} of ${value.inputs[0]!.shape} ${type} ${number.get(window)}${coords}`);
        return;
      }
    }
    if (!member && op === 'reshape' && realised(storage(value))) visit(storage(value));
    else for (const input of value.inputs) visit(input);
    const inputs = value.inputs.map(input => number.get(input) ?? number.get(storage(input)));
    meet(value, `${op} ${attributesKey(op, value.attrs)} ${type} ${inputs}${coords}`);
  };
  if (kernel.kind === 'contract') {
    const { plan } = kernel;
    const bases = [plan.a.base, plan.b.base].map(base => storage(base));
    for (const base of bases) visit(base);
    const axes = [plan.a.axes, plan.b.axes].map(list =>
      list
        .map(({ map, size, stride }) => `${map.terms.join('+')}+${map.offset}/${map.div}:${size}*${stride}`)
        .join(';'),
    );
    const dims = plan.dims.map(dim => `${dim.role}${dim.size}`);
    const ahead = [plan.a, plan.b].map(operand => repeated.has(operand));
    // The contraction itself is met as an input of its kind: what it reads is said here.
    meet(
      kernel.value,
      `contract ${dims} ${axes} ${bases.map(base => number.get(base))} ${ahead} ${kernel.value.dtype}${coordsKey(plan.out)}`,
    );
  } else {
    parts.push(`space ${kernel.shape} ${kernel.kept ?? ''} ${kernel.split}`);
    for (const reduction of kernel.reductions) visit(reduction);
  }
  for (const value of kernel.stores) visit(value);
  parts.push(`stores ${kernel.stores.map(value => number.get(value))}`);
  if (kernel.kind === 'space') parts.push(`reduces ${kernel.reductions.map(value => number.get(value))}`);
  return { key: parts.join('\n'), values, reads, indexed };
}

/** Products of a chain pack for themselves. */
const NONE: ReadonlySet<AbsorbedOperand> = new Set();

/** Those of the parts, and which of their values are the same. */
function chainSignature(
  { products, rows, results }: ChainKernel,
  realised: (value: Value) => boolean,
  windows: MemoryWindows,
  lasts: (value: Value) => boolean,
): Signature {
  const parts = [...products, rows, ...results].map(part => signatureOf(part, realised, windows, lasts, NONE));
  const values = parts.flatMap(part => part.values);
  const first = new Map<Value, number>();
  values.forEach((value, i) => {
    if (!first.has(value)) first.set(value, i);
  });
  const key = `chain\n${parts.map(part => part.key).join('\n')}\n${values.map(value => first.get(value))}`;
  const reads = [...new Set(parts.flatMap(part => part.reads))];
  return { key, values, reads, indexed: parts.some(part => part.indexed) };
}

interface Template {
  readonly lowered: LoweredKernel;
  readonly values: readonly Value[];
}

/** Lowers through templates: a kernel equal to an earlier one takes its code. */
export class LoweringCache {
  private readonly templates = new Map<string, Template>();
  private readonly windows: MemoryWindows;
  private readonly lasts: (value: Value) => boolean;
  private readonly repeated: ReadonlySet<AbsorbedOperand>;

  constructor(windows: MemoryWindows, lasts: (value: Value) => boolean, repeated: ReadonlySet<AbsorbedOperand>) {
    this.windows = windows;
    this.lasts = lasts;
    this.repeated = repeated;
  }

  /** Copies of one size and type differ in where from and where to. */
  private copy(kernel: CopyKernel, make: () => LoweredKernel): LoweredKernel {
    const { from, to } = kernel;
    const key = `copy ${from.type}`;
    const template = this.templates.get(key);
    if (!template) {
      const lowered = make();
      this.templates.set(key, { lowered, values: [from] });
      return lowered;
    }
    const { root, offset } = this.windows.resolve(storage(from));
    return {
      ...template.lowered,
      refs: template.lowered.refs.map(
        (ref): BufferRef =>
          ref.kind === 'value'
            ? { kind: 'value', value: root, offset, known: storage(from) }
            : { kind: 'result', to: to.kind, index: to.index },
      ),
      describe: () => make().describe(),
    };
  }

  /** The step of a kernel, which is lowered at once where its order and its memory depend on that. */
  step(kernel: Kernel, realised: (value: Value) => boolean, make: () => LoweredKernel): Step {
    const { windows, lasts, repeated } = this;
    if (kernel.kind === 'routine') return loweredStep(kernel, make());
    if (kernel.kind === 'copy')
      return new LateStep(kernel, [storage(kernel.from)], windows, () => this.copy(kernel, make));
    const signature =
      kernel.kind === 'chain'
        ? chainSignature(kernel, realised, windows, lasts)
        : signatureOf(kernel, realised, windows, lasts, repeated);
    const lower = (): LoweredKernel => this.lower(signature, make);
    if (signature.indexed || this.packsAhead(kernel)) return loweredStep(kernel, lower());
    return new LateStep(kernel, signature.reads, windows, lower);
  }

  /** Whether an operand may be packed by a kernel of its own. */
  private packsAhead(kernel: Kernel): boolean {
    if (kernel.kind !== 'contract') return false;
    const { a, b } = kernel.plan;
    return [a, b].some(operand => this.repeated.has(operand) || this.lasts(storage(operand.base)));
  }

  private lower({ key, values }: Signature, make: () => LoweredKernel): LoweredKernel {
    const template = this.templates.get(key);
    if (!template) {
      const lowered = make();
      this.templates.set(key, { lowered, values });
      return lowered;
    }
    const mine = new Map(template.values.map((value, i) => [value, values[i]!]));
    const { lowered } = template;
    const refsOf = (refs: readonly BufferRef[]): BufferRef[] =>
      refs.map(ref => {
        if (ref.kind !== 'value') return ref;
        const known = mine.get(ref.known)!;
        const { root, offset } = this.windows.resolve(known);
        return { kind: 'value', value: root, offset, known };
      });
    const { preparation } = lowered;
    return {
      ...lowered,
      refs: refsOf(lowered.refs),
      ...(preparation ? { preparation: { loop: preparation.loop, refs: refsOf(preparation.refs) } } : {}),
      inPlace: lowered.inPlace.map(({ stored, read }) => ({ stored: mine.get(stored)!, read: mine.get(read)! })),
      describe: () => make().describe(),
    };
  }
}
