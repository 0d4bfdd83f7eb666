/**
 * From texts to numbers: a schema learned on training rows says how each column is encoded, and encodes any later rows
 * the same way. Plain JSON, so that it is saved with the model. Knows tables, not models.
 */
import { checkOptions } from '../tensor/options.ts';
import { RandomStream } from './random.ts';
import { columnOf, isMissing, isNumeric, selectRows, type Table, type TableColumn } from './table.ts';

/** Slot of a category that was not seen in training (or too rarely), and of a missing one. */
const UNSEEN = 0;
const MISSING_SLOT = 1;
const FIRST_VALUE = 2;

/**
 * A column of numbers: standardised, with an indicator of missing ones, and cut into buckets that are categories of
 * their own.
 */
export interface NumberColumn {
  readonly kind: 'number';
  readonly name: string;
  /** Of log1p(|x|) with x's sign when `log`, else of x. */
  readonly mean: number;
  readonly std: number;
  readonly log: boolean;
  /** Whether training rows lack values: only then is there an indicator. */
  readonly missing: boolean;
  /** Rising inner boundaries: bucket k holds edges[k - 1] <= x < edges[k]. */
  readonly edges: readonly number[];
}

/** A column of categories: `values[k]` has slot k + 2. */
export interface CategoryColumn {
  readonly kind: 'category';
  readonly name: string;
  readonly values: readonly string[];
}

export type SchemaColumn = NumberColumn | CategoryColumn;

export interface TableSchema {
  readonly label: string;
  /** The label's text that counts as 1. */
  readonly positive: string;
  readonly columns: readonly SchemaColumn[];
}

/** Encoded rows. */
export interface EncodedTable {
  readonly rows: number;
  /** `[rows, numbers]`: standardised values, 0 where missing, then one indicator per column with missing values. */
  readonly numbers: Float32Array;
  /** `[rows, fields]`: slots of categories, then buckets of numbers; each field counts from 0. */
  readonly categories: Int32Array;
  /** [rows] of 0 and 1. */
  readonly labels: Float32Array;
}

export interface SchemaOptions {
  readonly label: string;
  /** Default: the greater of 0/1, false/true, no/yes, -1/1; otherwise it has to be said. */
  readonly positive?: string;
  /** Columns to read as categories or numbers whatever they look like, and columns to leave out. */
  readonly categorical?: readonly string[];
  readonly numeric?: readonly string[];
  readonly ignore?: readonly string[];
  /** Rows a category value must have to get a slot of its own. Default 2, so that rare ones train the unseen slot. */
  readonly minCount?: number;
  /** Buckets per number column, at quantiles. Default 32. */
  readonly buckets?: number;
}

const POSITIVE = [
  ['0', '1'],
  ['false', 'true'],
  ['no', 'yes'],
  ['-1', '1'],
  ['n', 'y'],
] as const;

/**
 * Learns the encoding of a table. A column is numeric when every value that is not missing is a number. Columns with
 * one value, and texts that differ in every row (identifiers), are left out.
 * @throws Error when the label column is not there, is not binary, or which value is positive cannot be told.
 */
export function fitSchema(table: Table, options: SchemaOptions): TableSchema {
  checkOptions('fitSchema', options, ['label', 'positive', 'categorical', 'numeric', 'ignore', 'minCount', 'buckets']);
  const labelColumn = columnOf(table, options.label);
  const positive = positiveValue(labelColumn, table.name, options.positive);
  const named = (names: readonly string[] | undefined): Set<string> =>
    new Set((names ?? []).map(name => columnOf(table, name).name));
  const categorical = named(options.categorical);
  const numeric = named(options.numeric);
  const ignored = named(options.ignore).add(labelColumn.name);
  const columns: SchemaColumn[] = [];
  for (const column of table.columns) {
    if (ignored.has(column.name)) continue;
    const counts = countsOf(column);
    const present = column.values.filter((value, code) => counts[code]! > 0 && !isMissing(value));
    // A column that never varies says nothing.
    if (counts.filter(count => count > 0).length < 2 || present.length === 0) continue;
    const isNumber = numeric.has(column.name) || (!categorical.has(column.name) && present.every(isNumeric));
    if (isNumber) {
      const odd = present.find(value => !isNumeric(value));
      if (odd !== undefined)
        throw new Error(
          `${table.name}: column ${JSON.stringify(column.name)} is said to be numeric and holds ${JSON.stringify(odd)}`,
        );
      columns.push(fitNumber(column, counts, options.buckets ?? 32));
    } else if (present.length < table.rows || categorical.has(column.name))
      columns.push(fitCategory(column, counts, options.minCount ?? 2));
  }
  if (columns.length === 0) throw new Error(`${table.name}: no column but the label can be used`);
  return { label: labelColumn.name, positive, columns };
}

function countsOf(column: TableColumn): Uint32Array {
  const counts = new Uint32Array(column.values.length);
  for (const code of column.codes) counts[code]!++;
  return counts;
}

function positiveValue(column: TableColumn, table: string, asked: string | undefined): string {
  const counts = countsOf(column);
  const values = column.values.filter((_, code) => counts[code]! > 0);
  const shown = values
    .slice(0, 10)
    .map(value => JSON.stringify(value))
    .join(', ');
  const where = `${table}: label column ${JSON.stringify(column.name)}`;
  if (values.length < 2) throw new Error(`${where} has only the value ${shown}`);
  if (asked !== undefined) {
    if (!values.includes(asked)) throw new Error(`${where} never holds ${JSON.stringify(asked)}; it holds ${shown}`);
    return asked;
  }
  if (values.length > 2)
    throw new Error(
      `${where} has ${values.length} values (${shown}${values.length > 10 ? ', ...' : ''}); say with --positive which one is positive`,
    );
  const lower = values.map(value => value.toLowerCase().replace(/\.0+$/, ''));
  for (const [no, yes] of POSITIVE) if (lower.includes(no) && lower.includes(yes)) return values[lower.indexOf(yes)]!;
  throw new Error(`${where} holds ${shown}; say with --positive which one is positive`);
}

function fitNumber(column: TableColumn, counts: Uint32Array, buckets: number): NumberColumn {
  const sorted = column.values
    .map((text, code) => ({ value: isMissing(text) ? Number.NaN : Number(text), count: counts[code]! }))
    .filter(({ value, count }) => count > 0 && !Number.isNaN(value))
    .sort((a, b) => a.value - b.value);
  const rows = sorted.reduce((a, { count }) => a + count, 0);
  const moments = (of: (x: number) => number): { mean: number; std: number; skew: number } => {
    const mean = sorted.reduce((a, { value, count }) => a + of(value) * count, 0) / rows;
    const variance = sorted.reduce((a, { value, count }) => a + (of(value) - mean) ** 2 * count, 0) / rows;
    const std = Math.sqrt(variance) || 1;
    const skew = sorted.reduce((a, { value, count }) => a + ((of(value) - mean) / std) ** 3 * count, 0) / rows;
    return { mean, std, skew };
  };
  const plain = moments(x => x);
  // Counts, prices and the like have long tails that standardising alone leaves huge.
  const log = Math.abs(plain.skew) > 3;
  const { mean, std } = log ? moments(squash) : plain;
  return {
    kind: 'number',
    name: column.name,
    mean,
    std,
    log,
    missing: rows < column.codes.length,
    edges: quantileEdges(sorted, rows, buckets),
  };
}

const squash = (x: number): number => Math.sign(x) * Math.log1p(Math.abs(x));

/**
 * Boundaries between distinct values. A value that fills a bucket by itself gets one of its own, and the rows that are
 * left share the other buckets equally: a column that is mostly 0 keeps its resolution where it is not.
 */
function quantileEdges(sorted: readonly { value: number; count: number }[], rows: number, buckets: number): number[] {
  const heavy = sorted.map(({ count }) => count >= rows / buckets);
  const heavyRows = sorted.reduce((a, { count }, i) => a + (heavy[i] ? count : 0), 0);
  const heavyBuckets = heavy.filter(Boolean).length;
  const share = Math.max(1, (rows - heavyRows) / Math.max(1, buckets - heavyBuckets));
  const edges: number[] = [];
  let filled = 0;
  for (let i = 0; i + 1 < sorted.length; i++) {
    filled += sorted[i]!.count;
    if (heavy[i] || heavy[i + 1] || filled >= share) {
      edges.push((sorted[i]!.value + sorted[i + 1]!.value) / 2);
      filled = 0;
    }
  }
  return edges;
}

function fitCategory(column: TableColumn, counts: Uint32Array, minCount: number): CategoryColumn {
  const values = column.values.filter((value, code) => counts[code]! >= minCount && !isMissing(value)).sort();
  return { kind: 'category', name: column.name, values };
}

// ------------------------------------------------------------------------------------------------ encoding

/**
 * Sizes of the category fields: one per category column (values + 2), then one per number column (buckets + 1 for
 * missing).
 */
export function fieldSizes(schema: TableSchema): number[] {
  return [
    ...schema.columns.flatMap(column => (column.kind === 'category' ? [column.values.length + FIRST_VALUE] : [])),
    ...schema.columns.flatMap(column => (column.kind === 'number' ? [column.edges.length + 2] : [])),
  ];
}

/** How many of the fields are categories proper; the rest are buckets of numbers. */
export const categoryFields = (schema: TableSchema): number =>
  schema.columns.filter(column => column.kind === 'category').length;

/** Width of the dense numbers: one per number column and one per missing-value indicator. */
export const numberWidth = (schema: TableSchema): number =>
  schema.columns.reduce((a, column) => a + (column.kind === 'number' ? 1 + Number(column.missing) : 0), 0);

/**
 * Encodes rows as the schema says. `labels: false` leaves the labels 0, for rows that have none.
 * @throws Error when a column is missing, or a numeric one holds a text.
 */
export function encodeTable(
  table: Table,
  schema: TableSchema,
  options: { readonly labels?: boolean } = {},
): EncodedTable {
  const { labels = true } = checkOptions('encodeTable', options, ['labels']);
  const { rows } = table;
  const width = numberWidth(schema);
  const fields = fieldSizes(schema).length;
  const numbers = new Float32Array(rows * width);
  const categories = new Int32Array(rows * fields);
  const spread = (
    codes: Int32Array,
    perCode: ArrayLike<number>,
    into: Float32Array | Int32Array,
    at: number,
    stride: number,
  ): void => {
    for (let row = 0; row < rows; row++) into[row * stride + at] = perCode[codes[row]!]!;
  };

  const numberColumns = schema.columns.filter(column => column.kind === 'number');
  let field = 0;
  for (const column of schema.columns) {
    if (column.kind !== 'category') continue;
    const { codes, values } = columnOf(table, column.name);
    const slots = new Map(column.values.map((value, k) => [value, k + FIRST_VALUE]));
    const slot = (value: string): number => (isMissing(value) ? MISSING_SLOT : (slots.get(value) ?? UNSEEN));
    spread(codes, values.map(slot), categories, field++, fields);
  }
  let dense = 0;
  for (const column of numberColumns) {
    const { codes, values } = columnOf(table, column.name);
    const parsed = values.map(text => parseNumber(text, table.name, column.name));
    spread(
      codes,
      parsed.map(x => bucketOf(x, column.edges)),
      categories,
      field++,
      fields,
    );
    spread(
      codes,
      parsed.map(x => standardise(x, column)),
      numbers,
      dense++,
      width,
    );
    if (column.missing)
      spread(
        codes,
        parsed.map(x => Number(Number.isNaN(x))),
        numbers,
        dense++,
        width,
      );
  }
  const labelValues = new Float32Array(rows);
  if (labels) {
    const { codes, values } = columnOf(table, schema.label);
    spread(
      codes,
      values.map(value => Number(value === schema.positive)),
      labelValues,
      0,
      1,
    );
  }
  return { rows, numbers, categories, labels: labelValues };
}

function parseNumber(text: string, table: string, column: string): number {
  if (isMissing(text)) return Number.NaN;
  if (!isNumeric(text))
    throw new Error(
      `${table}: column ${JSON.stringify(column)} holds ${JSON.stringify(text)}, expected a number as in training`,
    );
  return Number(text);
}

function standardise(x: number, { mean, std, log }: NumberColumn): number {
  return Number.isNaN(x) ? 0 : ((log ? squash(x) : x) - mean) / std;
}

/** 0 for missing, else 1 + the number of edges at or below x. */
function bucketOf(x: number, edges: readonly number[]): number {
  if (Number.isNaN(x)) return 0;
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}

/** A seeded split into training and held-out rows. */
export function splitTable(table: Table, heldOut: number, seed: number): { train: Table; test: Table } {
  const order = new RandomStream(seed, 3).permutation(table.rows);
  const testRows = Math.round(table.rows * heldOut);
  return {
    train: selectRows(table, order.subarray(testRows).sort()),
    test: selectRows(table, order.subarray(0, testRows).sort()),
  };
}
