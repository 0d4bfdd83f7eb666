/**
 * Independent vectors of an innermost loop take turns: one instruction of each, each vector some instructions behind
 * the one before it. A processor looks only as far ahead as its schedulers hold instructions that wait, and of a long
 * formula that is a few vectors, too few to hide how long each instruction takes (decision 287). Rewrites loop IR.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { holdsBlock, isStraight, type Nested, operandsOf, writtenBy } from '../../compiler/usage.ts';

/** Instructions of a vector from which on taking turns is worth it. */
const LEAST = 8;
/** Registers for what is in the making, as hoisting constants has them. */
const IN_THE_MAKING = 2;
/** Loads, of constants as well, for each instruction: two go with the three or four that start in a cycle. */
const MOST_LOADS = 0.6;
/** Masks that may be alive at once. */
const MOST_MASKS = 4;

type Vector = readonly Inst[];

/** @param registers vector registers there are */
export function takeTurns(body: readonly Inst[], registers: number): readonly Inst[] {
  // Copied from the first instruction on that changes.
  let out: Inst[] | null = null;
  for (let i = 0; i < body.length; i++) {
    const inst = body[i]!;
    const now = holdsBlock(inst) ? inside(inst, registers) : inst;
    if (!out && now !== inst) out = body.slice(0, i);
    out?.push(now);
  }
  return out ?? body;
}

function inside(inst: Nested, registers: number): Inst {
  if (inst.op === 'for' && isStraight(inst.body)) {
    const body = inTurns(inst.body, registers);
    return body === inst.body ? inst : { ...inst, body };
  }
  const body = takeTurns(inst.body, registers);
  if (inst.op !== 'if') return body === inst.body ? inst : { ...inst, body };
  const otherwise = takeTurns(inst.otherwise, registers);
  return body === inst.body && otherwise === inst.otherwise ? inst : { ...inst, body, otherwise };
}

function inTurns(body: readonly Inst[], registers: number): readonly Inst[] {
  const parts = body.length < 2 * LEAST || isProduct(body) ? null : partsOf(body);
  if (!parts) return body;
  const { shared, vectors } = parts;
  const longest = vectors.reduce((most, { length }) => Math.max(most, length), 0);
  if (vectors.length < 2 || longest < LEAST) return body;
  const pressure = new Pressure(body, vectors);
  const fitting = (behind: number): readonly Inst[] | null => {
    const order = inMemoryOrder(body, turnsOf(vectors, behind));
    return order && pressure.fits(order, registers - IN_THE_MAKING) ? order : null;
  };
  let order = fitting(0);
  // Nearly one after another they need least: where that is too much, all between is.
  if (!order && fitting(longest - 1)) for (let behind = 1; !order; behind++) order = fitting(behind);
  return order ? withConstants(shared, order) : body;
}

/** Whether a loop does nothing but multiply and add what it loads: its sums share that, so none is independent. */
function isProduct(body: readonly Inst[]): boolean {
  for (let i = 0; i < body.length; i++) if (!OF_PRODUCTS.has(body[i]!.op)) return false;
  return true;
}

const OF_PRODUCTS: ReadonlySet<string> = new Set([
  'fma',
  'dot',
  'load',
  'splat',
  'const',
  'addr',
  'advance',
  'prefetch',
]);

/** What is shared, then the vectors, constants where they are first read: not alive for longer than they must. */
function withConstants(shared: readonly Inst[], order: readonly Inst[]): Inst[] {
  const constants = new Map<Reg, Inst>();
  for (const inst of shared) if (inst.op === 'const') constants.set(inst.d, inst);
  const out: Inst[] = [];
  const operands: Reg[] = [];
  for (const inst of [...shared, ...order]) {
    if (inst.op === 'const') continue;
    const count = operandsOf(inst, operands);
    for (let i = 0; i < count; i++) {
      const constant = constants.get(operands[i]!);
      if (!constant) continue;
      constants.delete(operands[i]!);
      out.push(constant);
    }
    out.push(inst);
  }
  out.unshift(...constants.values());
  return out;
}

/** One instruction of each vector in turn, each vector `behind` instructions behind the one before it. */
function turnsOf(vectors: readonly Vector[], behind: number): Inst[] {
  const order: Inst[] = [];
  const count = vectors.reduce((n, { length }) => n + length, 0);
  for (let step = 0; order.length < count; step++)
    vectors.forEach((vector, v) => {
      const inst = vector[step - behind * v];
      if (inst) order.push(inst);
    });
  return order;
}

interface Parts {
  /** What no vector of the loop has a part in: constants, addresses, what is asked for. */
  readonly shared: readonly Inst[];
  /** The instructions of each vector: no register that one of them writes is known to another. */
  readonly vectors: readonly Vector[];
}

/** Null where that cannot be told apart. */
function partsOf(body: readonly Inst[]): Parts | null {
  const writes = new Map<number, number>();
  for (let i = 0; i < body.length; i++) {
    const d = writtenBy(body[i]!);
    if (d) writes.set(d.id, (writes.get(d.id) ?? 0) + 1);
  }
  const operands: Reg[] = [];
  /** By register: the vector it belongs to, as the tree that leads to it. */
  const above = new Map<number, number>();
  const rootOf = (id: number): number => {
    let root = id;
    for (let up = above.get(root)!; up !== root; up = above.get(root)!) root = up;
    above.set(id, root);
    return root;
  };
  const known = new Set<number>();
  const shared: Inst[] = [];
  const own: { readonly inst: Inst; readonly id: number }[] = [];
  for (const inst of body) {
    const count = operandsOf(inst, operands);
    const ids: number[] = [];
    for (let i = 0; i < count; i++) {
      const { id } = operands[i]!;
      if (writes.has(id) && !known.has(id)) ids.push(id);
    }
    const written = writtenBy(inst)?.id ?? null;
    if (ids.length === 0 && MAY_BE_SHARED.has(inst.op) && (written === null || writes.get(written) === 1)) {
      if (written !== null) known.add(written);
      shared.push(inst);
      continue;
    }
    if (written !== null) ids.push(written);
    if (ids.length === 0 || !TAKES_PART.has(inst.op)) return null;
    // Loads may come earlier and stores later than they stand: their operands must be the same there.
    if (inst.op === 'load' && (count !== 1 || ids.length > 1 || writes.get(inst.d.id) !== 1)) return null;
    if (inst.op === 'store' && ids.some(id => writes.get(id) !== 1 || !above.has(id))) return null;
    for (const id of ids) if (!above.has(id)) above.set(id, id);
    for (const id of ids) above.set(rootOf(id), rootOf(ids[0]!));
    own.push({ inst, id: ids[0]! });
  }
  const vectors = new Map<number, Inst[]>();
  for (const { inst, id } of own) {
    const vector = vectors.get(rootOf(id));
    if (vector) vector.push(inst);
    else vectors.set(rootOf(id), [inst]);
  }
  return { shared, vectors: [...vectors.values()] };
}

const MAY_BE_SHARED: ReadonlySet<string> = new Set([
  'const',
  'addr',
  'advance',
  'prefetch',
  'splat',
  'bin',
  'un',
  'cvt',
  'bitcast',
  'iota',
  'count',
]);
const TAKES_PART: ReadonlySet<string> = new Set([
  'load',
  'store',
  'bin',
  'un',
  'cmp',
  'fma',
  'dot',
  'select',
  'cvt',
  'bitcast',
  'shuffle',
  'move',
]);

/**
 * The same order with stores among each other, and behind loads, as they were: what is left to load is loaded before
 * the first store. Null where loads stand behind stores.
 */
function inMemoryOrder(body: readonly Inst[], order: readonly Inst[]): Inst[] | null {
  const stores = body.filter(inst => inst.op === 'store');
  const firstStore = body.findIndex(inst => inst.op === 'store');
  if (firstStore >= 0 && body.some((inst, i) => i > firstStore && inst.op === 'load')) return null;
  const out: Inst[] = [];
  const waiting = new Set<Inst>();
  const loaded = new Set<Inst>();
  let next = 0;
  for (const inst of order) {
    if (inst.op !== 'store') {
      if (!loaded.has(inst)) out.push(inst);
      if (inst.op === 'load') loaded.add(inst);
      continue;
    }
    if (next === 0 && waiting.size === 0)
      for (const load of order)
        if (load.op === 'load' && !loaded.has(load)) {
          out.push(load);
          loaded.add(load);
        }
    waiting.add(inst);
    for (; waiting.has(stores[next]!); next++) out.push(stores[next]!);
  }
  return out;
}

/** How many vector registers and masks an order of a loop's instructions needs, and how many loads. */
class Pressure {
  /** Registers that are there from trip to trip. */
  private readonly lasting = new Set<Reg>();
  /** By register that the vectors write: how often it is read. */
  private readonly reads = new Map<Reg, number>();
  /** How often each constant is read, most often first. */
  private readonly constantReads: readonly number[];
  private readonly mostLoads: number;

  constructor(body: readonly Inst[], vectors: readonly Vector[]) {
    const operands: Reg[] = [];
    const written = new Set<Reg>();
    const constants = new Map<Reg, number | bigint>();
    const constantReads = new Map<number | bigint, number>();
    for (const inst of body) if (inst.op === 'const') constants.set(inst.d, inst.value);
    const all = vectors.flat();
    for (const inst of all) {
      const count = operandsOf(inst, operands);
      for (let i = 0; i < count; i++) {
        const reg = operands[i]!;
        if (!isCounted(reg)) continue;
        const value = constants.get(reg);
        if (value !== undefined) constantReads.set(value, (constantReads.get(value) ?? 0) + 1);
        else if (written.has(reg)) this.reads.set(reg, (this.reads.get(reg) ?? 0) + 1);
        else this.lasting.add(reg);
      }
      const d = writtenBy(inst);
      if (d) written.add(d);
    }
    this.constantReads = [...constantReads.values()].sort((x, y) => y - x);
    this.mostLoads = MOST_LOADS * all.length - all.filter(({ op }) => op === 'load').length;
  }

  fits(order: readonly Inst[], registers: number): boolean {
    const most = this.mostAlive(order);
    if (most.masks > MOST_MASKS || most.vectors > registers) return false;
    const loads = this.constantReads.slice(registers - most.vectors).reduce((n, reads) => n + reads, 0);
    return loads <= Math.max(0, this.mostLoads);
  }

  private mostAlive(order: readonly Inst[]): { readonly vectors: number; readonly masks: number } {
    const { lasting } = this;
    const left = new Map(this.reads);
    const alive = { vectors: 0, masks: 0 };
    const most = { vectors: 0, masks: 0 };
    const add = (reg: Reg, by: number): void => {
      const kind = reg.type.scalar === 'mask' ? 'masks' : 'vectors';
      alive[kind] += by;
      most[kind] = Math.max(most[kind], alive[kind]);
    };
    for (const reg of lasting) add(reg, 1);
    const operands: Reg[] = [];
    for (const inst of order) {
      const count = operandsOf(inst, operands);
      for (let i = 0; i < count; i++) {
        const reg = operands[i]!;
        const reads = left.get(reg);
        if (reads === undefined || lasting.has(reg)) continue;
        left.set(reg, reads - 1);
        if (reads === 1) add(reg, -1);
      }
      const d = writtenBy(inst);
      if (d && isCounted(d) && !lasting.has(d) && left.has(d)) add(d, 1);
    }
    return most;
  }
}

const isCounted = ({ type }: Reg): boolean => type.lanes > 1 || type.scalar === 'f32' || type.scalar === 'f64';
