/**
 * Operands that many contractions of one program read in the same packed form, as every step of a recurrence reads its
 * weights: they are packed once, by a kernel of their own, into memory of the arena. Which operands those are, and the
 * steps that pack them. Imports kernels and their lowered form; knows no machine.
 */
import type { AbsorbedOperand } from './absorb.ts';
import { storage, Value } from './flow.ts';
import type { ContractKernel, Kernel, PackKernel } from './kernels.ts';
import type { LoopKernel, Reg } from './loops.ts';
import type { BufferRef, LoweredKernel } from './lower/context.ts';
import { loweredStep, type Step } from './plan/index.ts';

/**
 * Readers for which packing ahead pays: what all threads pack goes to memory and comes back from there, which costs as
 * much as packing it for oneself up to five times (`PACKED_FOR_ALL` of contract/traffic.ts).
 */
const READERS = 5;

/** How an operand is read, but for how many lines the other one has. */
function readingOf(kernel: ContractKernel, operand: AbsorbedOperand): string {
  const { dims } = kernel.plan;
  const axes = operand.axes.map(({ map, size, stride }) => {
    const terms = map.terms.map(([d, c]) => `${c}*${dims[d]!.role}${d}<${dims[d]!.size}`);
    return `${terms.join('+')}+${map.offset}/${map.div}:${size}*${stride}`;
  });
  return `${storage(operand.base).id} ${axes.join(' ')}`;
}

/**
 * The operands of `kernels` that so many of them read in the same way; one of a kernel at most. `lasts` is packed ahead
 * of all runs anyway.
 */
export function repeatedOperands(
  kernels: readonly Kernel[],
  lasts: (value: Value) => boolean,
): ReadonlySet<AbsorbedOperand> {
  const readings = new Map<string, AbsorbedOperand[]>();
  for (const kernel of kernels) {
    if (kernel.kind !== 'contract') continue;
    const { a, b } = kernel.plan;
    if (lasts(storage(a.base)) || lasts(storage(b.base))) continue;
    for (const operand of [a, b]) {
      const reading = readingOf(kernel, operand);
      const known = readings.get(reading);
      if (known) known.push(operand);
      else readings.set(reading, [operand]);
    }
  }
  const repeated = new Set([...readings.values()].filter(readers => readers.length >= READERS).flat());
  for (const kernel of kernels) {
    if (kernel.kind !== 'contract') continue;
    const { a, b } = kernel.plan;
    if (repeated.has(a) && repeated.has(b)) repeated.delete(a.base.size < b.base.size ? a : b);
  }
  return repeated;
}

/** What a kernel does, whatever its registers are numbered. */
function codeOf({ body, buffers }: LoopKernel): string {
  const numbers = new Map<number, number>();
  const numbered = (_: string, part: unknown): unknown => {
    if (typeof part !== 'object' || part === null || !('id' in part) || !('type' in part)) return part;
    const { id, type } = part as Reg;
    const number = numbers.get(id) ?? numbers.size;
    numbers.set(id, number);
    return [number, type.scalar, type.lanes];
  };
  return JSON.stringify([buffers.map(({ dtype, elements, access }) => [dtype, elements, access]), body], numbered);
}

/** One kernel that packs, and what it packs into, by slot of those that read it. */
interface Packing {
  readonly step: Step;
  readonly packed: ReadonlyMap<number, Value>;
}

/**
 * The steps with those before them that pack `repeated` operands: what several kernels would have prepared alike is
 * prepared once.
 */
export function withPackings(steps: readonly Step[], repeated: ReadonlySet<AbsorbedOperand>): Step[] {
  const codes = new Map<LoopKernel, string>();
  const packings = new Map<string, Packing>();
  return steps.flatMap(step => {
    const { kernel, preparation } = step;
    if (kernel.kind !== 'contract' || !preparation) return [step];
    const { a, b } = kernel.plan;
    const operand = repeated.has(a) ? a : repeated.has(b) ? b : null;
    if (!operand) return [step];
    const code = codes.get(preparation.loop) ?? codeOf(preparation.loop);
    codes.set(preparation.loop, code);
    const key = `${storage(operand.base).id} ${code}`;
    const known = packings.get(key);
    const packing = known ?? packingOf(kernel, preparation, storage(operand.base));
    packings.set(key, packing);
    const { preparation: _, ...rest } = step.lowered;
    const reader = loweredStep(kernel, { ...rest, refs: rest.refs.map(ref => found(ref, packing.packed)) });
    return known ? [reader] : [packing.step, reader];
  });
}

/** What a kernel has asked to be prepared from `source`, as a step that stores values. */
function packingOf(
  reader: ContractKernel,
  preparation: NonNullable<LoweredKernel['preparation']>,
  source: Value,
): Packing {
  const packed = new Map<number, Value>();
  preparation.refs.forEach((ref, i) => {
    if (ref.kind !== 'kept') return;
    const { dtype, elements } = preparation.loop.buffers[i]!;
    packed.set(
      ref.slot,
      new Value(source.id, 'data', {}, [], [elements], dtype, -1, source.born, source.group) as Value,
    );
  });
  let born = 0;
  for (const value of reader.members.keys()) born = Math.max(born, value.born);
  const kernel: PackKernel = {
    kind: 'pack',
    stage: reader.stage,
    members: new Map(),
    stores: [...packed.values()],
    lasting: false,
    born,
  };
  const step = loweredStep(kernel, {
    loop: preparation.loop,
    refs: preparation.refs.map(ref => found(ref, packed)),
    mayFail: false,
    single: false,
    inPlace: [],
    describe: () => [`packed = v${source.id}`],
  });
  return { step, packed };
}

const found = (ref: BufferRef, packed: ReadonlyMap<number, Value>): BufferRef => {
  if (ref.kind !== 'kept') return ref;
  const value = packed.get(ref.slot)!;
  return { kind: 'value', value, offset: 0, known: value };
};
