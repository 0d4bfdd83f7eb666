/**
 * What every lowering shares: the buffers a kernel is given, where its failures are recorded, and what it hands to the
 * planner. Imports the flow and the loop IR.
 */
import type { DType } from '../../graph/dtype.ts';
import { storage, type Value } from '../flow.ts';
import type { IndexTable } from '../index-expr.ts';
import type { Inst, KernelBuffer, LoopKernel } from '../loops.ts';
import type { FailSite } from '../program.ts';
import type { Target } from '../target.ts';
import type { MemoryWindows } from '../windows.ts';

/** What a kernel's buffer stands for, until the planner places it. */
export type BufferRef =
  /** A value's memory, from `offset` elements on; `known` is what the kernel calls it. */
  | { readonly kind: 'value'; readonly value: Value; readonly offset: number; readonly known: Value }
  | { readonly kind: 'scratch'; readonly bytes: number }
  /** Memory that the kernel's preparation fills; numbered within the kernel. */
  | { readonly kind: 'kept'; readonly slot: number; readonly bytes: number }
  | { readonly kind: 'result'; readonly to: 'output' | 'leaf'; readonly index: number }
  /** No memory, a number. */
  | { readonly kind: 'count'; readonly value: number };

/** A kernel that fills memory which another one finds filled when it runs. */
interface Preparation {
  readonly loop: LoopKernel;
  readonly refs: readonly BufferRef[];
}

/** A kernel as code, and what the planner must know of it. */
export interface LoweredKernel {
  readonly loop: LoopKernel;
  /** One per buffer of `loop`. */
  readonly refs: readonly BufferRef[];
  /** What must have run since values that the kernel reads have changed: it fills memory that is kept until then. */
  readonly preparation?: Preparation;
  readonly mayFail: boolean;
  /** Whether only thread 0 does anything. */
  readonly single: boolean;
  /**
   * Stored values that may take the very memory of a read one: each element is read before it is written, and not
   * again.
   */
  readonly inPlace: readonly { readonly stored: Value; readonly read: Value }[];
  /** The kernel at level 1, for people. */
  readonly describe: () => string[];
}

/** Things said once per program. */
export class ProgramContext {
  readonly target: Target;
  readonly table: IndexTable;
  readonly failSites: FailSite[] = [];
  private readonly sites = new Map<string, number>();

  readonly windows: MemoryWindows;
  /** Whether a value in memory lasts from run to run, and memory may be kept for what is made of it. */
  readonly lasts: (value: Value) => boolean;
  /** Values that become variables. */
  readonly updated: ReadonlySet<Value>;
  /** Updates that are told their size, by what they compute: a body serves all. */
  readonly sized = new Map<string, LoopKernel>();

  constructor(
    target: Target,
    table: IndexTable,
    windows: MemoryWindows,
    lasts: (value: Value) => boolean,
    updated: ReadonlySet<Value>,
  ) {
    this.target = target;
    this.table = table;
    this.windows = windows;
    this.lasts = lasts;
    this.updated = updated;
  }

  /** Number of the record that says what failed. */
  site(what: string, size: number): number {
    const key = `${size}:${what}`;
    let site = this.sites.get(key);
    if (site === undefined) {
      site = this.failSites.length;
      this.failSites.push({ what, size });
      this.sites.set(key, site);
    }
    return site;
  }
}

/** Instructions of a body, and of all blocks inside. */
function* within(body: readonly Inst[]): Generator<Inst> {
  for (const inst of body) {
    yield inst;
    if (inst.op === 'if') yield* within(inst.otherwise);
    if (inst.op === 'while') yield* within(inst.test);
    if ('body' in inst) yield* within(inst.body);
  }
}

function buffersIn(body: readonly Inst[]): Set<number> {
  const found = new Set<number>();
  for (const inst of within(body)) {
    if (inst.op === 'addr' || inst.op === 'count') found.add(inst.buf);
    if (inst.op === 'apart') for (const buf of [inst.buf, ...inst.others]) found.add(buf);
  }
  return found;
}

/** The body with buffers called by their new numbers. */
function renumbered(body: readonly Inst[], at: ReadonlyMap<number, number>): readonly Inst[] {
  return body.map((inst): Inst => {
    if (inst.op === 'addr' || inst.op === 'count') return { ...inst, buf: at.get(inst.buf)! };
    if (inst.op === 'apart') return { ...inst, buf: at.get(inst.buf)!, others: inst.others.map(buf => at.get(buf)!) };
    if (inst.op === 'if')
      return { ...inst, body: renumbered(inst.body, at), otherwise: renumbered(inst.otherwise, at) };
    if (inst.op === 'while') return { ...inst, test: renumbered(inst.test, at), body: renumbered(inst.body, at) };
    return 'body' in inst ? { ...inst, body: renumbered(inst.body, at) } : inst;
  });
}

interface BufferEntry {
  name: string;
  dtype: DType;
  elements: number;
  access: KernelBuffer['access'];
}

/** Buffers of one kernel, numbered as they are asked for. */
export class KernelBuffers {
  private readonly windows: MemoryWindows;

  constructor(windows: MemoryWindows) {
    this.windows = windows;
  }

  readonly refs: BufferRef[] = [];
  private readonly entries: BufferEntry[] = [];
  private readonly byValue = new Map<Value, number>();
  private slots = 0;
  /** Whether the planner counts on what is there. */
  private sealed = false;

  get buffers(): readonly KernelBuffer[] {
    return this.entries;
  }

  private seal(entry: BufferEntry): void {
    if (this.sealed) throw new Error(`internal: a kernel has told the planner nothing of how it uses ${entry.name}`);
  }

  private add(ref: BufferRef, entry: BufferEntry): number {
    this.seal(entry);
    this.refs.push(ref);
    this.entries.push(entry);
    return this.refs.length - 1;
  }

  private value(value: Value, access: 'read' | 'write'): number {
    const root = storage(value);
    const known = this.byValue.get(root);
    if (known !== undefined) {
      const entry = this.entries[known]!;
      if (entry.access !== access && entry.access !== 'readwrite') {
        this.seal(entry);
        entry.access = 'readwrite';
      }
      return known;
    }
    const name = root.leaf >= 0 ? `leaf${root.leaf}` : `v${root.id}`;
    const { root: whole, offset } = this.windows.resolve(root);
    const index = this.add(
      { kind: 'value', value: whole, offset, known: root },
      { name, dtype: root.dtype, elements: root.size, access },
    );
    this.byValue.set(root, index);
    return index;
  }

  read(value: Value): number {
    return this.value(value, 'read');
  }

  write(value: Value): number {
    return this.value(value, 'write');
  }

  scratch(name: string, dtype: DType, elements: number, bytes: number): number {
    return this.add({ kind: 'scratch', bytes }, { name, dtype, elements, access: 'scratch' });
  }

  /** Memory that is kept from run to run. */
  kept(name: string, dtype: DType, elements: number, bytes: number): number {
    return this.add({ kind: 'kept', slot: this.slots++, bytes }, { name, dtype, elements, access: 'read' });
  }

  /** A kernel with all buffers there are, whose body is written when it is asked for. */
  later(name: string, write: () => readonly Inst[]): LoopKernel {
    let body: readonly Inst[] | null = null;
    const written = (): readonly Inst[] => {
      this.sealed = true;
      return write();
    };
    return {
      name,
      buffers: this.entries,
      get body() {
        return (body ??= written());
      },
    };
  }

  /** A kernel with those buffers that `body` uses. */
  kernel(name: string, body: readonly Inst[]): Preparation {
    return this.part(name, body, false);
  }

  /** The same for a body that fills the kept ones. */
  preparation(name: string, body: readonly Inst[]): Preparation {
    return this.part(name, body, true);
  }

  private part(name: string, body: readonly Inst[], fills: boolean): Preparation {
    const used = [...buffersIn(body)].sort((x, y) => x - y);
    const at = new Map(used.map((buffer, i) => [buffer, i]));
    const refs = used.map(i => this.refs[i]!);
    const buffers = used.map((i): KernelBuffer => {
      const entry = this.entries[i]!;
      if (!fills || entry.access === 'scratch') return entry;
      return { ...entry, access: this.refs[i]!.kind === 'kept' ? 'write' : 'read' };
    });
    return { loop: { name, buffers, body: renumbered(body, at) }, refs };
  }

  count(name: string, value: number): number {
    return this.add({ kind: 'count', value }, { name, dtype: 'i32', elements: 0, access: 'count' });
  }

  result(to: 'output' | 'leaf', index: number, dtype: DType, elements: number): number {
    return this.add({ kind: 'result', to, index }, { name: `${to}${index}`, dtype, elements, access: 'write' });
  }
}
