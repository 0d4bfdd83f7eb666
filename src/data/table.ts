/**
 * Delimited tables in memory, dictionary-encoded: a column is one 32-bit code per row and the list of its distinct
 * texts. A million rows of forty columns take 160 MB and every distinct text is parsed once. Reading streams through
 * csv-parse, gzipped or not.
 */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type CsvError, parse } from 'csv-parse';
import { reasonOf } from '../formats/atomic.ts';
import { checkOptions } from '../tensor/options.ts';
import { gunzip, gzipReason, isGzip, readStart } from './gzip.ts';

/** One column: row r holds the text `values[codes[r]]`. */
export interface TableColumn {
  readonly name: string;
  readonly codes: Int32Array;
  readonly values: readonly string[];
}

export interface Table {
  readonly name: string;
  readonly rows: number;
  readonly columns: readonly TableColumn[];
}

export interface TableOptions {
  /**
   * One character between fields. Default: the one of tab, comma, semicolon and bar that splits the first lines evenly
   * into most fields.
   */
  readonly separator?: string;
  /**
   * Whether the first line names the columns; without names they go by their index from 0, as text. Default: told from
   * the file (see `looksLikeHeader`).
   */
  readonly header?: boolean;
  /** Names instead of what the file says, one per column. */
  readonly names?: readonly string[];
  /** Lines that start with this character are skipped. */
  readonly comment?: string;
  /** Bytes a single line may take, so that one without an end is noticed. Default 16 MiB. */
  readonly maxLineBytes?: number;
}

/** Names of TableOptions. */
export const TABLE_OPTIONS = ['separator', 'header', 'names', 'comment', 'maxLineBytes'] as const;

/** How much of a file is looked at to tell separator and header. */
const PEEK_BYTES = 64 * 1024;
const SEPARATORS = ['\t', ',', ';', '|'] as const;

/**
 * Reads a delimited text file. Fields are trimmed; double quotes may enclose them.
 * @throws Error naming the file, and the line where a row has another number of fields than the first.
 */
export async function readTable(path: string, options: TableOptions = {}): Promise<Table> {
  checkOptions('readTable', options, TABLE_OPTIONS);
  const start = readStart(path, PEEK_BYTES);
  const zipped = isGzip(start);
  const text = new TextDecoder().decode(zipped ? gunzip(start, path, PEEK_BYTES * 1032, { partial: true }) : start);
  const lines = text
    .slice(0, PEEK_BYTES)
    .split(/\r?\n/)
    .filter(line => line !== '' && !(options.comment && line.startsWith(options.comment)));
  if (lines.length === 0) throw new Error(`${path}: it has no rows`);
  // The last line may be cut off.
  const whole = lines.length > 1 ? lines.slice(0, -1) : lines;
  const separator = options.separator ?? guessSeparator(whole);
  if (separator.length !== 1)
    throw new Error(`${path}: separator is ${JSON.stringify(separator)}, expected one character`);

  const builder = new TableBuilder(path, options.header ?? null, options.names ?? null);
  const parser = parse({
    delimiter: separator,
    trim: true,
    bom: true,
    relax_quotes: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: options.maxLineBytes ?? 16 << 20,
    info: true,
    ...(options.comment ? { comment: options.comment, comment_no_infix: true } : {}),
  });
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  // What goes wrong here goes first: the pipeline may report its own tearing down instead.
  let failure: unknown = null;
  const consume = async (records: AsyncIterable<{ record: string[]; info: { lines: number } }>): Promise<void> => {
    try {
      for await (const { record, info } of records) builder.add(record, info.lines);
    } catch (error) {
      failure ??= error;
      throw error;
    }
  };
  try {
    await (zipped ? pipeline(file, createGunzip(), parser, consume) : pipeline(file, parser, consume));
  } catch (error) {
    throw describeFailure(failure ?? error, path);
  }
  return builder.finish();
}

/** Errors of our own pass; those of streams and parser get the file's name and a reason. */
function describeFailure(error: unknown, path: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code?.startsWith('Z_')) return new Error(`${path}: ${gzipReason(error)}`, { cause: error });
  if (code?.startsWith('CSV_')) {
    const line = (error as CsvError & { lines?: number }).lines;
    return new Error(`${path}${line ? ` line ${line}` : ''}: ${message}`, { cause: error });
  }
  if (code) return new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  return error as Error;
}

function guessSeparator(lines: readonly string[]): string {
  const counts = SEPARATORS.map(separator => {
    const fields = lines.slice(0, 50).map(line => line.split(separator).length);
    return { separator, fewest: Math.min(...fields) };
  });
  const best = counts.reduce((a, b) => (b.fewest > a.fewest ? b : a));
  return best.fewest > 1 ? best.separator : ',';
}

const NUMBER = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

/** Whether a field is a finite number in decimal notation. */
export const isNumeric = (text: string): boolean => NUMBER.test(text);

/** What counts as no value. */
const MISSING = new Set(['', '?', 'NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', '\\N']);
export const isMissing = (text: string): boolean => MISSING.has(text);

/**
 * A first line is a header when it has a distinct, non-numeric text for every column and some column is numeric below
 * it.
 */
function looksLikeHeader(first: readonly string[], second: readonly string[]): boolean {
  if (first.some(field => field === '' || isNumeric(field)) || new Set(first).size < first.length) return false;
  return second.some(isNumeric);
}

/** Rows to columns. The first row waits for the second, which tells whether it is a header. */
class TableBuilder {
  private readonly path: string;
  private readonly header: boolean | null;
  private names: readonly string[] | null;
  private first: { row: string[]; line: number } | null = null;
  private seen = 0;
  private rows = 0;
  private columns: ColumnBuilder[] = [];

  constructor(path: string, header: boolean | null, names: readonly string[] | null) {
    this.path = path;
    this.header = header;
    this.names = names;
  }

  add(row: string[], line: number): void {
    this.seen++;
    if (this.seen === 1) {
      this.first = { row, line };
      return;
    }
    if (this.seen === 2) this.start(row);
    this.push(row, line);
  }

  finish(): Table {
    if (this.seen === 1) this.start(null);
    if (this.rows === 0) throw new Error(`${this.path}: it has no rows`);
    return {
      name: this.path,
      rows: this.rows,
      columns: this.columns.map((column, c) => ({ name: this.names![c]!, ...column.finish() })),
    };
  }

  private start(second: readonly string[] | null): void {
    const { row, line } = this.first!;
    const isHeader = this.header ?? (second !== null && looksLikeHeader(row, second));
    if (this.names && this.names.length !== row.length)
      throw new Error(
        `${this.path} line ${line}: ${row.length} fields, expected ${this.names.length} (${this.names[0]} to ${this.names.at(-1)})`,
      );
    this.names ??= isHeader ? row : row.map((_, c) => String(c));
    const repeated = this.names.find((name, c) => this.names!.indexOf(name) !== c);
    if (repeated !== undefined)
      throw new Error(`${this.path} line ${line}: two columns are named ${JSON.stringify(repeated)}`);
    this.columns = this.names.map(() => new ColumnBuilder());
    if (!isHeader) this.push(row, line);
  }

  private push(row: readonly string[], line: number): void {
    if (row.length !== this.columns.length)
      throw new Error(`${this.path} line ${line}: ${row.length} fields, expected ${this.columns.length}`);
    for (let c = 0; c < row.length; c++) this.columns[c]!.push(row[c]!);
    this.rows++;
  }
}

class ColumnBuilder {
  private codes = new Int32Array(1024);
  private length = 0;
  private readonly index = new Map<string, number>();
  private readonly values: string[] = [];

  push(text: string): void {
    let code = this.index.get(text);
    if (code === undefined) {
      // The parser hands out slices of its input; a copy lets the input go.
      const own = Buffer.from(text).toString();
      code = this.values.push(own) - 1;
      this.index.set(own, code);
    }
    if (this.length === this.codes.length) {
      const grown = new Int32Array(this.codes.length * 2);
      grown.set(this.codes);
      this.codes = grown;
    }
    this.codes[this.length++] = code;
  }

  finish(): { codes: Int32Array; values: string[] } {
    return { codes: this.codes.slice(0, this.length), values: this.values };
  }
}

/** A table out of rows of texts in memory. */
export function tableFromRows(name: string, names: readonly string[], rows: Iterable<readonly string[]>): Table {
  const builder = new TableBuilder(name, false, names);
  let line = 1;
  for (const row of rows) builder.add([...row], line++);
  return builder.finish();
}

/** Rows `indices` of a table, in that order. */
export function selectRows(table: Table, indices: ArrayLike<number>): Table {
  return {
    name: table.name,
    rows: indices.length,
    columns: table.columns.map(column => ({
      ...column,
      codes: Int32Array.from({ length: indices.length }, (_, i) => column.codes[indices[i]!]!),
    })),
  };
}

/**
 * A column by name, or by its index from 0.
 * @throws Error naming the table's columns when there is none of that name.
 */
export function columnOf(table: Table, name: string): TableColumn {
  const column =
    table.columns.find(c => c.name === name) ?? (/^[0-9]+$/.test(name) ? table.columns[Number(name)] : undefined);
  if (!column) {
    const names = table.columns.map(c => c.name);
    const shown = names.length > 40 ? `${names.slice(0, 40).join(', ')}, ...` : names.join(', ');
    throw new Error(`${table.name}: no column ${JSON.stringify(name)}; its columns are ${shown}`);
  }
  return column;
}
