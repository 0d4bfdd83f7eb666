/**
 * EmbeddingTable: a dynamic hash table from signs to rows. Semantics of the row, its score and its life are those of
 * PaddlePaddle's CTR accessor; weights start as a function of the sign, so nothing depends on the order in which signs
 * come.
 */
import type { HostKernels } from '../../compiler/program.ts';
import { withHostKernels } from '../../runtime/index.ts';
import { type Sign, signParts } from '../batch.ts';
import { TableKernels, type TableMemory } from '../kernels/index.ts';
import { admits, enters, scoreOf } from './admission.ts';
import { evictTo, shrinkRows } from './ageing.ts';
import { type Backing, backingFor, MemoryShare } from './backing.ts';
import { readTable, writeTable } from './file.ts';
import { hashSign, tagSign } from './hash.ts';
import { InitialValues } from './initial.ts';
import { CLICK, FREE_AGE, HI, type Layout, LINK, LO, layoutOf, META, SHOW } from './layout.ts';
import { TableLookup } from './lookup.ts';
import { type RowRule, rowRule } from './optimizers.ts';
import { settingsOf, type TableOptions, type TableSettings } from './options.ts';
import { findPlainly, readRow, updatePlainly } from './plain.ts';
import { RowStore } from './row-store.ts';
import { SignIndex, type SignOwner } from './sign-index.ts';
import type { Lookup, SaveMode, SaveReport, ShrinkReport, SparseTable, TableRow } from './sparse-table.ts';
import { viewRow } from './view.ts';

/** Index bytes a row takes when its part of the index is at its emptiest. */
const INDEX_BYTES = 20;

/**
 * A dynamic table of embeddings, from 64-bit signs to rows of [show, click, unseen days, wide weight, vector, optimizer
 * state]. A batch is looked up once (`lookup`), read (`gather`) and pushed to (`push`); rows come to be when they are
 * pushed, as the admission says. The end of a day (`shrink`), files (`save`, `load`, `applyDelta`) and the memory limit
 * are those of PaddlePaddle's sparse tables; TableOptions has the defaults. The same pushes give the same bits,
 * whatever the number of threads, where rows live, and whether the table was saved and loaded on the way.
 */
export class EmbeddingTable implements SparseTable, SignOwner {
  readonly settings: TableSettings;
  readonly layout: Layout;
  readonly width: number;
  /** Pushes so far: Adam's step. */
  steps = 0;
  /** Signs that were pushed and not created, because the memory limit was reached under the policy `refuse`. */
  refused = 0;
  /** Rows that made room for others. */
  evicted = 0;
  readonly rows: RowStore;
  /** Vectors, where they lie apart. */
  readonly vectors: RowStore;
  readonly index: SignIndex;
  readonly wideRule: RowRule;
  readonly rule: RowRule;
  readonly initial: InitialValues;
  /** The last two lookups, so that one batch may be looked up before the one before it is pushed. */
  private found = new TableLookup();
  private before = new TableLookup();
  /** What touching memory ahead of its use came to; kept so that the reads are not optimised away. */
  touched = 0;
  /** Counts what makes row numbers invalid. */
  private epoch = 0;
  /** Rows ever inserted. */
  private inserted = 0;
  /** Generated code for the machine it was last wanted for. */
  private generated: { readonly machine: HostKernels; readonly kernels: TableKernels } | null = null;

  /** @throws Error in one sentence for options that cannot be. */
  constructor(options: TableOptions, backing?: () => Backing) {
    this.settings = settingsOf(options);
    this.rule = rowRule(this.settings.optimizer);
    this.wideRule = rowRule(this.settings.wideOptimizer);
    this.layout = layoutOf(this.settings, this.wideRule, this.rule);
    this.width = this.layout.width;
    const least = this.rowBytes + this.vectorBytes;
    const { memoryLimit: given = least } = this.settings;
    if (given < least)
      throw new RangeError(`EmbeddingTable: memoryLimit: ${given} bytes came, expected at least ${least}, of one row`);
    this.initial = new InitialValues(this.settings, this.layout, this.wideRule, this.rule);
    this.index = new SignIndex(this);
    const { folder, memoryLimit, atLimit } = this.settings;
    const share = atLimit === 'spill' ? new MemoryShare(memoryLimit!, () => this.index.bytes) : null;
    const store = (words: number, link: number): RowStore =>
      new RowStore(words, link, backing?.() ?? backingFor(folder, share, words));
    this.rows = store(this.layout.rowWords, LINK);
    this.vectors = store(Math.max(1, this.layout.vectorWords), 0);
  }

  get summed(): { readonly wide: boolean; readonly vector: boolean } {
    return { wide: this.wideRule.perShow, vector: this.rule.perShow };
  }

  get size(): number {
    return this.rows.size;
  }

  /** Rows that have their vector. */
  get admitted(): number {
    return this.layout.apart ? this.vectors.size : this.layout.dim > 0 ? this.rows.size : 0;
  }

  /** Bytes of rows and their share of the index: what `memoryLimit` bounds by eviction or refusal. */
  get bytes(): number {
    return this.rows.size * this.rowBytes + this.vectors.size * this.vectorBytes;
  }

  /** Bytes of the segments of rows that live in files. */
  get fileBytes(): number {
    return this.rows.fileBytes + this.vectors.fileBytes;
  }

  /** Of one row with its place in the index, and of one vector that lies apart. */
  get rowBytes(): number {
    return 4 * this.layout.rowWords + INDEX_BYTES;
  }

  get vectorBytes(): number {
    return 4 * this.layout.vectorWords;
  }

  /** Whether a row belongs to the sign of these two words. */
  holds(row: number, hi: number, lo: number): boolean {
    const { u32 } = this.rows.segment(row);
    const at = this.rows.at(row);
    return u32[at + LO] === lo && u32[at + HI] === hi;
  }

  /** Whether a row is in use. */
  lives(row: number): boolean {
    return this.rows.segment(row).u32[this.rows.at(row) + META]! >>> 16 !== FREE_AGE;
  }

  /** What shows and clicks are worth, by the `score` of the settings. */
  score(show: number, click: number): number {
    return scoreOf(this.settings, show, click);
  }

  lookup(hi: Uint32Array, lo: Uint32Array, count: number): Lookup {
    const { before: found, width } = this;
    const kernels = this.kernels();
    this.before = this.found;
    this.found = found;
    found.read(hi, lo, count, kernels?.machine);
    found.reserveRows(width);
    if (kernels) this.find(found, kernels);
    else findPlainly(this, found);
    found.epoch = this.epoch;
    found.inserted = this.inserted;
    return found;
  }

  /** Generated code for this table, where there is a machine for it. */
  private kernels(): { readonly machine: HostKernels; readonly kernels: TableKernels } | null {
    const { rows, vectors, layout, settings } = this;
    if (!rows.fixed || !TableKernels.takes(settings)) return null;
    return withHostKernels(machine => {
      if (this.generated?.machine === machine) return this.generated;
      const shape = {
        layout,
        settings,
        rowShift: rows.shift,
        vectorShift: vectors.shift,
        blank: this.initial.blankRow(),
      };
      this.generated = { machine, kernels: new TableKernels(machine, shape) };
      return this.generated;
    });
  }

  private memory({ addressOf }: HostKernels): TableMemory {
    const { index, rows, vectors } = this;
    return {
      parts: index.addresses(addressOf),
      rows: rows.addresses(addressOf),
      vectors: vectors.addresses(addressOf),
    };
  }

  private find(found: TableLookup, { machine, kernels }: { machine: HostKernels; kernels: TableKernels }): void {
    const { unique, rows } = found;
    kernels.find(unique, found, this.memory(machine));
    if (kernels.starts) return;
    for (let u = 0; u < unique; u++) if (rows[u]! < 0) readRow(this, found, u);
  }

  /** One of the last two lookups. Rows that were deleted or inserted since are found again. */
  private current(lookup: Lookup): TableLookup {
    if (lookup !== this.found && lookup !== this.before)
      throw new Error('EmbeddingTable: a lookup was used after the next but one');
    const found = lookup as TableLookup;
    const moved = found.epoch !== this.epoch;
    if (!moved && found.inserted === this.inserted) return found;
    const { rows, unique, hash, tag, hi, lo } = found;
    for (let u = 0; u < unique; u++)
      if (moved || rows[u]! < 0) rows[u] = this.index.find(hash[u]!, tag[u]!, hi[u]!, lo[u]!);
    found.epoch = this.epoch;
    found.inserted = this.inserted;
    return found;
  }

  weights(lookup: Lookup): Float32Array {
    return this.current(lookup).weights;
  }

  gather(lookup: Lookup, out: Float32Array): void {
    const { weights, unique } = this.current(lookup);
    const { width } = this;
    if (out.length < unique * width)
      throw new RangeError(`EmbeddingTable: gather: ${out.length} elements came, expected ${unique} x ${width}`);
    out.set(weights.subarray(0, unique * width));
  }

  shows(lookup: Lookup, out: Float32Array): void {
    const { shows, unique } = this.current(lookup);
    out.set(shows.subarray(0, unique));
  }

  push(lookup: Lookup, gradients: Float32Array, shows: Float32Array, clicks: Float32Array, slots?: Int32Array): void {
    const found = this.current(lookup);
    const { unique } = found;
    const { width, rule, wideRule } = this;
    if (gradients.length < unique * width || shows.length < unique || clicks.length < unique)
      throw new RangeError(
        `EmbeddingTable: push: gradients ${gradients.length}, shows ${shows.length}, clicks ${clicks.length} came for ${unique} signs of ${width} weights`,
      );
    this.steps++;
    const rates = { rate: rule.begin(this.steps), wideRate: wideRule.begin(this.steps), step: this.steps };
    this.create(found, shows, clicks);
    const generated = this.kernels();
    if (generated) {
      const { machine, kernels } = generated;
      kernels.update(
        unique,
        found.rows,
        { gradients, shows, clicks, slots: slots ?? null },
        rates,
        this.memory(machine),
      );
    } else updatePlainly(this, found, gradients, shows, clicks, slots);
    if (this.layout.apart) this.admitWaiting(found);
  }

  /**
   * Gives their vector to the rows of a push that wait for it and may have it now; those without room go on waiting.
   */
  private admitWaiting(found: TableLookup): void {
    const { rows, unique, hash } = found;
    const waiting: number[] = [];
    for (let u = 0; u < unique; u++) {
      const row = rows[u]!;
      if (row < 0) continue;
      const { f32, u32 } = this.rows.segment(row);
      const at = this.rows.at(row);
      if (u32[at + LINK] === 0 && admits(this.settings, f32[at + SHOW]!, f32[at + CLICK]!)) waiting.push(u);
    }
    if (waiting.length === 0) return;
    for (const u of waiting.slice(0, this.roomFor(waiting.length, this.vectorBytes, found)))
      this.admit(rows[u]!, hash[u]!);
  }

  /** Gives a row its vector. The gradient of this push was taken where the vector was zero, and is not applied. */
  private admit(row: number, hash: number): void {
    const vector = this.vectors.allocate();
    const { u32 } = this.rows.segment(row);
    const at = this.rows.at(row);
    u32[at + LINK] = vector + 1;
    this.startVector(vector, hash, u32[at + HI]!, u32[at + LO]!);
  }

  /** Initial weights and state of a vector that lies apart. */
  startVector(vector: number, hash: number, hi: number, lo: number): void {
    this.initial.vector(hash, tagSign(hi, lo), this.vectors.segment(vector).f32, this.vectors.at(vector));
  }

  /** Creates the rows of pushed signs that have none, as far as admission and memory let them. */
  private create(found: TableLookup, shows: Float32Array, clicks: Float32Array): void {
    const count = this.listWanted(found, shows, clicks);
    if (count === 0) return;
    const room = this.roomFor(count, this.rowBytes, found);
    this.refused += Math.max(0, count - room);
    this.insertAll(found, Math.min(count, room));
    found.inserted = this.inserted;
  }

  /** Signs of a push that have no row and may have one. @returns how many */
  private listWanted(
    { rows, unique, hash, hi, lo, wanted }: TableLookup,
    shows: Float32Array,
    clicks: Float32Array,
  ): number {
    const { settings, steps } = this;
    let count = 0;
    for (let u = 0; u < unique; u++)
      if (rows[u]! < 0 && enters(settings, hash[u]!, hi[u]!, lo[u]!, shows[u]!, clicks[u]!, steps)) wanted[count++] = u;
    return count;
  }

  /** New rows for the first `count` wanted signs of a lookup. */
  private insertAll(found: TableLookup, count: number): void {
    const { rows, hash, hi, lo, wanted } = found;
    const generated = this.kernels();
    if (!generated?.kernels.starts) {
      for (let i = 0; i < count; i++) {
        const u = wanted[i]!;
        rows[u] = this.insert(hash[u]!, hi[u]!, lo[u]!);
      }
      return;
    }
    const { rows: store, index } = this;
    const before = store.size;
    const { segmentCount } = store;
    const { kernels, machine } = generated;
    try {
      store.allocateAll(rows, wanted, count);
    } finally {
      // Also when the backing has no more room.
      const given = store.size - before;
      index.reserve(hash, wanted, given, pages => kernels.touch(pages));
      // A small table takes no more memory than its rows need.
      if (segmentCount > 0) kernels.touch(store.freshSegments(segmentCount));
      this.inserted += given;
      kernels.create(wanted, given, found, this.memory(machine));
    }
  }

  /** A new row with its initial weights; the sign must not be there. */
  insert(hash: number, hi: number, lo: number): number {
    const row = this.rows.allocate();
    const { f32, u32 } = this.rows.segment(row);
    const at = this.rows.at(row);
    const tag = tagSign(hi, lo);
    u32[at + HI] = hi;
    u32[at + LO] = lo;
    this.initial.row(hash, tag, f32, at);
    this.inserted++;
    this.index.insert(hash, tag, row);
    return row;
  }

  /** Deletes a row. */
  remove(row: number): void {
    const { u32 } = this.rows.segment(row);
    const at = this.rows.at(row);
    const hi = u32[at + HI]!;
    const lo = u32[at + LO]!;
    const link = u32[at + LINK]!;
    if (this.layout.apart && link !== 0) this.vectors.release(link - 1);
    this.index.remove(hashSign(hi, lo), tagSign(hi, lo), row);
    this.rows.segment(row).u32[this.rows.at(row) + META] = FREE_AGE << 16;
    this.rows.release(row);
  }

  /**
   * How many of `wanted` pieces of `each` bytes the memory limit has room for, once rows that `found` does not hold
   * were evicted for them.
   */
  private roomFor(wanted: number, each: number, found: TableLookup): number {
    const { memoryLimit, atLimit } = this.settings;
    if (memoryLimit === undefined || atLimit === 'spill') return wanted;
    if (atLimit === 'evict') {
      const gone = evictTo(this, memoryLimit - wanted * each, found.rows.subarray(0, found.unique));
      this.evicted += gone;
      if (gone > 0) found.epoch = ++this.epoch;
    }
    return Math.max(0, Math.min(wanted, Math.floor((memoryLimit - this.bytes) / each)));
  }

  row(sign: Sign): TableRow | null {
    const { hi, lo } = signParts(sign);
    const row = this.index.find(hashSign(hi, lo), tagSign(hi, lo), hi, lo);
    return row < 0 ? null : viewRow(this, row);
  }

  /** All rows, in no order that means anything. */
  *entries(): Generator<TableRow> {
    for (let row = 0; row < this.rows.end; row++) if (this.lives(row)) yield viewRow(this, row);
  }

  shrink(): ShrinkReport {
    this.epoch++;
    return shrinkRows(this);
  }

  save(path: string, mode: SaveMode): SaveReport {
    return writeTable(this, path, mode);
  }

  load(path: string): void {
    this.takeIn(path, 'replace');
  }

  applyDelta(path: string): void {
    this.takeIn(path, 'merge');
  }

  private takeIn(path: string, how: 'replace' | 'merge'): void {
    const { memoryLimit, atLimit } = this.settings;
    readTable(this, path, how, () => this.epoch++);
    if (memoryLimit !== undefined && atLimit === 'evict') this.evicted += evictTo(this, memoryLimit, []);
  }

  /** Forgets all rows. */
  clear(): void {
    this.epoch++;
    this.index.clear();
    this.rows.clear();
    this.vectors.clear();
  }
}
