/**
 * The feature function: a record in, ids, numbers and labels out. One function for training (records as byte ranges of a file) and for serving
 * (records as objects), pure: the same record gives the same example everywhere.
 */
import type { BatchSchema, SparseBatch } from '../batch.ts';
import { Fields, NONE } from './fields.ts';
import { parseNumber } from './numbers.ts';
import { Rows } from './rows.ts';
import { slotWriter, type Writer } from './slots.ts';
import { type DenseSpec, type FeatureSpec, type FullSpec, fullSpec, type LabelSpec } from './spec.ts';

/** What a record's column may hold. A list is a column with several values; null, undefined and '' are missing. */
export type FieldValue = string | number | bigint | boolean | null | undefined;
/** A record as an object: values by column. Numbers are taken as JavaScript prints them (5, not 5.0). */
export type FeatureRecord = Readonly<Record<string, FieldValue | readonly FieldValue[]>>;

/** Writes one record's example into rows: null, or why the record is bad (the rows are as before then). */
export type Extractor = (fields: Fields, rows: Rows) => string | null;

export class Features {
  readonly spec: FeatureSpec;
  readonly schema: BatchSchema;
  /** Columns that are read, labels included. */
  readonly columns: readonly string[];
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
    const read = [
      ...full.slots.flatMap(slot => (slot.type === 'cross' ? slot.from : [slot.from ?? slot.name])),
      ...[...full.dense, ...full.labels].map(column => column.from ?? column.name),
    ];
    this.columns = [...new Set(read)];
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

  /** The examples of several records, one batch. @throws Error naming the record and the feature for which it is bad. */
  extractAll(records: readonly FeatureRecord[]): SparseBatch {
    const rows = new Rows(this.schema, records.length);
    const { fields, extract } = this.serving;
    records.forEach((record, i) => {
      fillFields(fields, record);
      const fault = extract(fields, rows);
      if (fault !== null) throw new Error(`extract: record ${i}: ${fault}`);
    });
    return rows.take();
  }

  /**
   * The feature function for records of these columns.
   * @throws Error naming a feature whose column is not among them.
   */
  extractor(columns: readonly string[]): Extractor {
    return extractor(this.full, columns);
  }
}

function extractor({ slots, dense, labels }: FullSpec, columns: readonly string[]): Extractor {
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
    ...denseWriters(dense, name => columnOf(`dense column ${name}`)),
    ...slots.map(slot => slotWriter(slot, columnOf(`slot ${slot.name}`))),
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

function labelWriter({ name, positive, missing = 'bad' }: LabelSpec, position: number, column: number): Writer {
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
    rows.labels[at] = value;
    return null;
  };
}

function denseWriters(specs: readonly DenseSpec[], columnOf: (feature: string) => (name: string) => number): Writer[] {
  let offset = 0;
  return specs.map(spec => {
    const position = offset;
    offset += spec.width ?? 1;
    return denseWriter(spec, position, columnOf(spec.name)(spec.from ?? spec.name));
  });
}

/** Counts whose scaled values are looked up: 12 ns less than a logarithm. */
const COUNTS = 1024;

function denseWriter(spec: DenseSpec, position: number, column: number): Writer {
  const { name, width = 1, missing = 0, log1p = false, mean = 0, std = 1 } = spec;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = spec;
  const scaled = (x: number): number => {
    const clipped = Math.min(max, Math.max(min, x));
    return ((log1p ? Math.log1p(Math.max(clipped, 0)) : clipped) - mean) / std;
  };
  const absent = scaled(missing);
  // Most dense columns of logs are small counts.
  const counts = Float64Array.from({ length: COUNTS }, (_, count) => scaled(count));
  return (fields, rows) => {
    const { start, end, next } = fields;
    const at = rows.size * rows.schema.dense.length + position;
    let filled = 0;
    for (let token = fields.head[column]; token !== NONE; token = next[token]) {
      if (filled === width) return `dense column ${name} has more than ${width} value${width === 1 ? '' : 's'}`;
      if (start[token] === end[token]) rows.dense[at + filled++] = absent;
      else {
        const x = parseNumber(fields.bytes, start[token], end[token]);
        if (Number.isNaN(x)) return `dense column ${name}: "${fields.text(column)}" is not a number`;
        rows.dense[at + filled++] = x >= 0 && x < COUNTS && x === (x | 0) ? counts[x] : scaled(x);
      }
    }
    if (filled > 0 && filled < width) return `dense column ${name} has ${filled} values, expected ${width}`;
    for (; filled < width; filled++) rows.dense[at + filled] = absent;
    return null;
  };
}

const encoder = new TextEncoder();

/** An object's values as bytes in the fields of a record. */
export function fillFields(fields: Fields, record: FeatureRecord): void {
  fields.clear(fields.bytes);
  let used = 0;
  const add = (column: number, value: FieldValue): void => {
    if (value === null || value === undefined) return;
    const text = typeof value === 'boolean' ? String(Number(value)) : String(value);
    // A UTF-16 unit is at most three bytes of UTF-8.
    if (fields.bytes.length < used + text.length * 3) {
      const larger = new Uint8Array(2 * (used + text.length * 3) + 256);
      larger.set(fields.bytes.subarray(0, used));
      fields.bytes = larger;
    }
    const { written } = encoder.encodeInto(text, fields.bytes.subarray(used));
    fields.add(column, used, used + written);
    used += written;
  };
  fields.columns.forEach((name, column) => {
    const value = record[name];
    if (Array.isArray(value)) for (const item of value as readonly FieldValue[]) add(column, item);
    else add(column, value as FieldValue);
  });
}
