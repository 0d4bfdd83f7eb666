/**
 * The feature function: a record in, ids, numbers and labels out. One function for training (records as byte ranges of
 * a file) and for serving (records as objects), pure: the same record gives the same example everywhere.
 */
import { checkOptions } from '../../tensor/options.ts';
import type { BatchSchema, SparseBatch } from '../batch.ts';
import { Fields, NONE } from './fields.ts';
import { parseNumber } from './numbers.ts';
import { Rows } from './rows.ts';
import { COUNTS, hashRun, type NumberColumn, numberRun, writeNumber } from './runs.ts';
import { slotSeed, slotWriter, type Writer } from './slots.ts';
import { type DenseSpec, type FeatureSpec, type FullSpec, fullSpec, type LabelSpec, type SlotSpec } from './spec.ts';

/**
 * What a record's column may hold; dates are taken as ISO 8601 has them, bytes as UTF-8. A list is a column with
 * several values; null, undefined and '' are missing.
 */
export type FieldValue = string | number | bigint | boolean | Date | Uint8Array | null | undefined;
/**
 * A record as an object: values by column. Numbers are taken as JavaScript prints them (5, not 5.0); where they become
 * signs, whole ones beyond 2^53 are refused, because their last digits may be lost already: bigints and texts are
 * exact.
 */
export type FeatureRecord = Readonly<Record<string, FieldValue | readonly FieldValue[]>>;

/** Writes one record's example into rows: null, or why the record is bad (the rows are as before then). */
export type Extractor = (fields: Fields, rows: Rows) => string | null;

/** Records to examples, as a `FeatureSpec` says: for training and for serving by the same compiled function. */
export class Features {
  readonly spec: FeatureSpec;
  readonly schema: BatchSchema;
  /** Columns that are read, labels included. */
  readonly columns: readonly string[];
  /** Those of them that signs are made of. */
  readonly signColumns: ReadonlySet<string>;
  private readonly full: FullSpec;
  private readonly serving: { readonly fields: Fields; readonly extract: Extractor };

  /** @throws Error in one sentence where the spec is wrong. */
  constructor(spec: FeatureSpec) {
    this.spec = spec;
    const full = fullSpec(spec);
    this.full = full;
    this.schema = {
      slots: full.slots.map(slot => slot.name),
      dense: full.dense.flatMap(({ name, width = 1 }) =>
        width === 1 ? [name] : Array.from({ length: width }, (_, i) => `${name}.${i}`),
      ),
      labels: full.labels.map(label => label.name),
    };
    const ofSlots = (slots: readonly SlotSpec[]): string[] =>
      slots.flatMap(slot => (slot.type === 'cross' ? slot.from : [slot.from ?? slot.name]));
    const numbers = [...full.dense, ...full.labels].map(column => column.from ?? column.name);
    this.columns = [...new Set([...ofSlots(full.slots), ...numbers])];
    this.signColumns = new Set(ofSlots(full.slots.filter(({ type }) => type !== 'bucket' && type !== 'logBucket')));
    // A served record has no labels yet.
    const labels = full.labels.map(label => ({ ...label, missing: 'unknown' as const }));
    this.serving = { fields: new Fields(this.columns), extract: extractor({ ...full, labels }, this.columns) };
  }

  /**
   * The example of one record: a batch of size 1, whose labels are NaN where the record has none.
   * @throws Error in one sentence naming the feature for which the record is bad.
   */
  extract(record: FeatureRecord): SparseBatch {
    return this.extractAll([record]);
  }

  /**
   * The examples of several records, one batch.
   * @throws Error naming the record and the feature for which it is bad.
   */
  extractAll(records: readonly FeatureRecord[]): SparseBatch {
    if (!Array.isArray(records)) throw new TypeError(`extractAll: records: ${typeof records} came, expected an array`);
    const rows = new Rows(this.schema, records.length);
    const { fields, extract } = this.serving;
    records.forEach((record, i) => {
      const fault = fillFields(fields, record, this.signColumns) ?? extract(fields, rows);
      if (fault !== null) throw new Error(`extract: record ${i}: ${fault}`);
    });
    return rows.take();
  }

  /**
   * The feature function for records of these columns; `flat` ones have one value per column.
   * @throws Error naming a feature whose column is not among them.
   */
  extractor(columns: readonly string[], options: { flat?: boolean } = {}): Extractor {
    const { flat = false } = checkOptions('Features.extractor', options, ['flat']);
    return extractor(this.full, columns, flat);
  }
}

function extractor({ slots, dense, labels }: FullSpec, columns: readonly string[], flat = false): Extractor {
  const columnOf =
    (feature: string) =>
    (name: string): number => {
      const column = columns.indexOf(name);
      if (column >= 0) return column;
      const some = columns.slice(0, 8).join(', ');
      throw new Error(
        `features: ${feature} reads column ${name}, and the data has ${some}${columns.length > 8 ? ', ...' : ''}`,
      );
    };
  const writers: Writer[] = [
    ...labels.map((label, i) => labelWriter(label, i, columnOf(`label ${label.name}`)(label.from ?? label.name))),
    ...denseWriters(dense, name => columnOf(`dense column ${name}`), flat),
    ...slotWriters(slots, name => columnOf(`slot ${name}`), flat),
  ];
  return (fields, rows) => {
    for (let i = 0; i < writers.length; i++) {
      const fault = writers[i](fields, rows);
      if (fault === null) continue;
      rows.rollback();
      return fault;
    }
    rows.commit();
    return null;
  };
}

function labelWriter({ name, positive, missing = 'bad', range }: LabelSpec, position: number, column: number): Writer {
  const [least, most] = range ?? [0, 1];
  const one = positive === undefined ? null : new TextEncoder().encode(positive);
  return (fields, rows) => {
    const at = rows.size * rows.schema.labels.length + position;
    const token = fields.head[column];
    if (token === NONE || fields.start[token] === fields.end[token]) {
      if (missing === 'bad') return `label ${name} is missing`;
      rows.labels[at] = Number.NaN;
      return null;
    }
    if (fields.next[token] !== NONE) return `label ${name} is there more than once`;
    const [start, end] = [fields.start[token], fields.end[token]];
    if (one) {
      rows.labels[at] = one.length === end - start && one.every((byte, i) => byte === fields.bytes[start + i]) ? 1 : 0;
      return null;
    }
    const value = parseNumber(fields.bytes, start, end);
    if (Number.isNaN(value)) return `label ${name}: "${fields.text(column)}" is not a number`;
    if (value < least || value > most)
      return `label ${name}: ${fields.text(column)} came, expected a number from ${least} to ${most}`;
    rows.labels[at] = value;
    return null;
  };
}

/** The column that a feature of this name reads. */
type Find = (feature: string) => (name: string) => number;

/** Stretches of `items` that are alike, in order. */
function stretches<T>(
  items: readonly T[],
  plain: (item: T) => boolean,
): { readonly plain: boolean; readonly items: readonly T[] }[] {
  const found: { plain: boolean; items: T[] }[] = [];
  for (const item of items) {
    const last = found.at(-1);
    if (last && last.plain === plain(item)) last.items.push(item);
    else found.push({ plain: plain(item), items: [item] });
  }
  return found;
}

function slotWriters(slots: readonly SlotSpec[], find: Find, flat: boolean): Writer[] {
  return stretches(slots, slot => flat && isPlainHash(slot)).flatMap(({ plain, items }) => {
    if (!plain) return items.map(slot => slotWriter(slot, find(slot.name)));
    const hashes = items as readonly HashSlot[];
    const columns = Int32Array.from(hashes, ({ name, from }) => find(name)(from ?? name));
    return [
      hashRun(
        columns,
        Uint32Array.from(hashes, ({ name, share }) => slotSeed(share ?? name)),
      ),
    ];
  });
}

type HashSlot = Extract<SlotSpec, { type: 'hash' }>;

/** Whether a slot has the hash of its column and nothing else, so exactly one id. */
const isPlainHash = (slot: SlotSpec): boolean =>
  slot.type === 'hash' && slot.separator === undefined && slot.part === undefined && slot.missing !== 'empty';

function denseWriters(specs: readonly DenseSpec[], find: Find, flat: boolean): Writer[] {
  let offset = 0;
  return stretches(specs, ({ width = 1 }) => flat && width === 1).flatMap(({ plain, items }) => {
    const position = offset;
    if (plain) {
      offset += items.length;
      return [
        numberRun(
          items.map(spec => numberColumn(spec, find)),
          position,
        ),
      ];
    }
    return items.map(spec => {
      const writer = denseWriter(spec, offset, numberColumn(spec, find));
      offset += spec.width ?? 1;
      return writer;
    });
  });
}

function numberColumn(spec: DenseSpec, find: Find): NumberColumn {
  const { name, from = name, missing = 0, log1p = false, mean = 0, std = 1 } = spec;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = spec;
  const scaled = (x: number): number => {
    const clipped = Math.min(max, Math.max(min, x));
    return ((log1p ? Math.log1p(Math.max(clipped, 0)) : clipped) - mean) / std;
  };
  const counts = Float32Array.from({ length: COUNTS }, (_, count) => scaled(count));
  return { name, column: find(name)(from), scaled, counts, absent: scaled(missing) };
}

function denseWriter({ width = 1 }: DenseSpec, position: number, numbers: NumberColumn): Writer {
  const { name, column, absent } = numbers;
  return (fields, rows) => {
    const { start, end, next } = fields;
    const at = rows.size * rows.schema.dense.length + position;
    let filled = 0;
    for (let token = fields.head[column]; token !== NONE; token = next[token]) {
      if (filled === width) return `dense column ${name} has more than ${width} value${width === 1 ? '' : 's'}`;
      if (start[token] === end[token]) rows.dense[at + filled++] = absent;
      else {
        const fault = writeNumber(numbers, fields, token, rows.dense, at + filled++);
        if (fault !== null) return fault;
      }
    }
    if (filled > 0 && filled < width) return `dense column ${name} has ${filled} values, expected ${width}`;
    for (; filled < width; filled++) rows.dense[at + filled] = absent;
    return null;
  };
}

const encoder = new TextEncoder();

/**
 * An object's values as bytes in the fields of a record; null, or why the record is bad. `signs`: the columns that
 * signs are made of.
 */
export function fillFields(fields: Fields, record: FeatureRecord, signs: ReadonlySet<string>): string | null {
  if (typeof record !== 'object' || record === null) return `${String(record)} came, expected an object`;
  fields.clear(fields.bytes);
  let used = 0;
  for (const [column, name] of fields.columns.entries()) {
    const value = record[name];
    for (const item of Array.isArray(value) ? (value as readonly FieldValue[]) : [value as FieldValue]) {
      if (item === null || item === undefined) continue;
      if (signs.has(name) && isInexact(item))
        return `column ${name} holds the number ${String(item)}, which may have lost digits: expected a bigint or text beyond 2^53`;
      const text = textOf(item);
      if (text === null) return `column ${name} holds nested values, expected text, numbers or lists of them`;
      // A UTF-16 unit is at most three bytes of UTF-8.
      if (fields.bytes.length < used + text.length * 3) {
        const larger = new Uint8Array(2 * (used + text.length * 3) + 256);
        larger.set(fields.bytes.subarray(0, used));
        fields.bytes = larger;
      }
      const { written } = encoder.encodeInto(text, fields.bytes.subarray(used));
      fields.add(column, used, used + written);
      used += written;
    }
  }
  return null;
}

/** A value as a log would have it; null of an object, which no column holds. */
function textOf(value: NonNullable<FieldValue>): string | null {
  if (typeof value === 'boolean') return String(Number(value));
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return new TextDecoder().decode(value);
  return typeof value === 'object' ? null : String(value);
}

/** Whether a number stands for several whole ones. */
const isInexact = (value: FieldValue): boolean => Number.isInteger(value) && !Number.isSafeInteger(value);
