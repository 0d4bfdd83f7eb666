/**
 * Slices that start somewhere inside a value in the arena and need no guard: memory of their own, a constant further
 * on. Kernels that differ in that constant only (the steps of a recurrence) are one piece of code called with different
 * addresses. Imports the flow.
 */
import { bytesOf } from '../graph/dtype.ts';
import { isUnguarded } from '../graph/reindex.ts';
import { storage, Value } from './flow.ts';

/** Buffers start at multiples of so many bytes. */
export const ALIGN = 64;

/** A value's memory from `offset` elements on. */
interface MemoryWindow {
  readonly root: Value;
  readonly offset: number;
}

export class MemoryWindows {
  private readonly pinned: ReadonlySet<Value>;
  private readonly realised: (value: Value) => boolean;
  private readonly known = new Map<Value, Map<string, Value>>();
  private readonly meaning = new Map<Value, MemoryWindow>();
  private readonly byView = new Map<Value, Value | null>();

  /** `pinned` values may live outside of the arena, where places have no offsets. */
  constructor(pinned: ReadonlySet<Value>, realised: (value: Value) => boolean) {
    this.pinned = pinned;
    this.realised = realised;
  }

  /** Puts `part` into the memory of `whole`, `offset` elements on. */
  place(part: Value, whole: Value, offset: number): void {
    this.meaning.set(part, { root: whole, offset });
  }

  /**
   * What a stand-in made by `of` stands for, or where a value has been placed; the value itself from 0 on otherwise.
   */
  resolve(value: Value): MemoryWindow {
    const window = this.meaning.get(value);
    if (!window) return { root: value, offset: 0 };
    const { root, offset } = this.resolve(window.root);
    return { root, offset: window.offset + offset };
  }

  /**
   * A stand-in for the memory a slice reads, or null where it is not of that kind. Its maps then read without their
   * offsets.
   */
  of(view: Value<'reindex'>): Value | null {
    let window = this.byView.get(view);
    if (window === undefined) {
      window = this.make(view);
      this.byView.set(view, window);
    }
    return window;
  }

  private make(view: Value<'reindex'>): Value | null {
    const source = view.inputs[0]!;
    const root = storage(source);
    // What has been placed is known by its own name, so that its readers wait for it alone.
    if (root.leaf >= 0 || this.pinned.has(root) || this.meaning.has(root) || !this.realised(root)) return null;
    const { axes } = view.attrs;
    let offset = 0;
    let last = 0;
    let stride = 1;
    for (let d = axes.length - 1; d >= 0; d--) {
      const map = axes[d]!;
      if (map.div !== 1 || map.terms.some(([, coef]) => coef < 0)) return null;
      offset += map.offset * stride;
      for (const [dim, coef] of map.terms) last += coef * (view.shape[dim]! - 1) * stride;
      stride *= source.shape[d]!;
    }
    if (offset <= 0 || (offset * bytesOf(root.dtype)) % ALIGN !== 0) return null;
    if (view.size === 0 || !isUnguarded(axes, source.shape, view.shape)) return null;
    let offsets = this.known.get(root);
    if (!offsets) {
      offsets = new Map();
      this.known.set(root, offsets);
    }
    // As long as what is read: the same for every step, wherever it starts.
    const key = `${offset}+${last}`;
    let window = offsets.get(key);
    if (!window) {
      window = new Value(root.id, 'data', {}, [], [last + 1], root.dtype, -1, root.born, root.group) as Value;
      offsets.set(key, window);
      this.meaning.set(window, { root, offset });
    }
    return window;
  }
}
