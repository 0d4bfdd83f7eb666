/**
 * What every lowering shares: the buffers a kernel is given, where its failures are recorded, and what it hands to the planner.
 * Imports the flow and the loop IR.
 */
import type { DType } from '../../graph/dtype.ts';
import { storage, type Value } from '../flow.ts';
import type { IndexTable } from '../index-expr.ts';
import type { KernelBuffer, LoopKernel } from '../loops.ts';
import type { FailSite } from '../program.ts';
import type { Target } from '../target.ts';
import type { MemoryWindows } from '../windows.ts';

/** What a kernel's buffer stands for, until the planner places it. */
export type BufferRef =
  /** A value's memory, from `offset` elements on; `known` is what the kernel calls it. */
  | { readonly kind: 'value'; readonly value: Value; readonly offset: number; readonly known: Value }
  | { readonly kind: 'scratch'; readonly bytes: number }
  | { readonly kind: 'result'; readonly to: 'output' | 'leaf'; readonly index: number };

/** A kernel as code, and what the planner must know of it. */
export interface LoweredKernel {
  readonly loop: LoopKernel;
  /** One per buffer of `loop`. */
  readonly refs: readonly BufferRef[];
  readonly mayFail: boolean;
  /** Whether only thread 0 does anything. */
  readonly single: boolean;
  /** Stored values that may take the very memory of a read one: each element is read before it is written, and not again. */
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

  constructor(target: Target, table: IndexTable, windows: MemoryWindows) {
    this.target = target;
    this.table = table;
    this.windows = windows;
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

  get buffers(): readonly KernelBuffer[] {
    return this.entries;
  }

  private add(ref: BufferRef, entry: BufferEntry): number {
    this.refs.push(ref);
    this.entries.push(entry);
    return this.refs.length - 1;
  }

  private value(value: Value, access: 'read' | 'write'): number {
    const root = storage(value);
    const known = this.byValue.get(root);
    if (known !== undefined) {
      const entry = this.entries[known]!;
      if (entry.access !== access) entry.access = 'readwrite';
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

  result(to: 'output' | 'leaf', index: number, dtype: DType, elements: number): number {
    return this.add({ kind: 'result', to, index }, { name: `${to}${index}`, dtype, elements, access: 'write' });
  }
}
