/**
 * What is known about public tables: their columns and quirks.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkOptions } from '../tensor/options.ts';
import { gunzip, isGzip, readStart } from './gzip.ts';
import { readTable, TABLE_OPTIONS, type Table, type TableColumn, type TableOptions } from './table.ts';
import type { SchemaOptions } from './tableSchema.ts';

export interface TablePreset {
  readonly reading: TableOptions;
  readonly schema: SchemaOptions;
  /** Training and test file of a folder that holds the data set. */
  readonly files: { readonly train: readonly string[]; readonly test: readonly string[] };
  /** Corrects what the file spells differently. */
  readonly clean: (table: Table) => Table;
  /** Options that depend on what the file holds. */
  readonly adapt?: (path: string) => TableOptions;
}

const ADULT_COLUMNS = [
  'age', 'workclass', 'fnlwgt', 'education', 'education-num', 'marital-status', 'occupation', 'relationship', 'race', 'sex',
  'capital-gain', 'capital-loss', 'hours-per-week', 'native-country', 'income',
]; // biome-ignore format: a list

const numbered = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
const CRITEO_COLUMNS = ['label', ...numbered('I', 13), ...numbered('C', 26)];

/** Public tables whose files are known: what `tenon train table --preset NAME` reads. */
export const TABLE_PRESETS = {
  /** Census income (UCI). adult.test has a line of its own on top and a dot after every label. */
  adult: {
    reading: { separator: ',', header: false, names: ADULT_COLUMNS, comment: '|' },
    schema: { label: 'income', positive: '>50K' },
    files: { train: ['adult.data', 'adult.data.gz'], test: ['adult.test', 'adult.test.gz'] },
    /** Labels of adult.test without their dot. */
    clean: table => mapColumn(table, 'income', value => value.replace(/\.$/, '')),
  },
  /**
   * Criteo display advertising: label, 13 counts, 26 hashed categories; tabs and no header as published, commas and a
   * header in samples.
   */
  criteo: {
    reading: {},
    schema: { label: 'label', positive: '1', numeric: numbered('I', 13), categorical: numbered('C', 26), minCount: 4 },
    files: { train: ['train.txt', 'train.txt.gz', 'train.csv', 'train.csv.gz'], test: ['test.csv', 'test.csv.gz'] },
    /** Kaggle's and others' samples have an Id and write Label. */
    clean: table => ({
      ...table,
      columns: table.columns
        .filter(column => column.name.toLowerCase() !== 'id')
        .map(column => (column.name === 'Label' ? { ...column, name: 'label' } : column)),
    }),
    /** A first line that starts with a letter names the columns. */
    adapt: path => (startsWithLetter(path) ? { header: true } : { header: false, names: CRITEO_COLUMNS }),
  },
} satisfies Record<string, TablePreset>;

export type TablePresetName = keyof typeof TABLE_PRESETS;

/** Whether `name` is one of `TABLE_PRESETS`. */
export const isTablePreset = (name: string): name is TablePresetName => Object.hasOwn(TABLE_PRESETS, name);

/** A header line starts with a name, a data line of Criteo's with its label. */
function startsWithLetter(path: string): boolean {
  const bytes = readStart(path, 4096);
  const text = new TextDecoder('latin1').decode(
    isGzip(bytes) ? gunzip(bytes, path, 4096 * 1032, { partial: true }) : bytes,
  );
  return /^\s*"?[A-Za-z]/.test(text);
}

function mapColumn(table: Table, name: string, clean: (value: string) => string): Table {
  const map = (column: TableColumn): TableColumn => {
    if (column.name !== name) return column;
    const values = [...new Set(column.values.map(clean))];
    const codeOf = new Map(values.map((value, code) => [value, code]));
    const recoded = column.values.map(value => codeOf.get(clean(value))!);
    return { name, values, codes: column.codes.map(code => recoded[code]!) };
  };
  return { ...table, columns: table.columns.map(map) };
}

/** Training and test file of a preset: `path` is its training file, or a folder that holds both. */
export function presetFiles(preset: TablePreset, path: string): { train: string; test: string | null } {
  if (!existsSync(path)) throw new Error(`cannot read ${path}: no such file or folder`);
  if (!statSync(path).isDirectory()) return { train: path, test: null };
  const find = (names: readonly string[]): string | null =>
    names.map(name => join(path, name)).find(existsSync) ?? null;
  const train = find(preset.files.train);
  if (!train) throw new Error(`${path}: none of ${preset.files.train.join(', ')} is there`);
  return { train, test: find(preset.files.test) };
}

/** Reads a table as its preset says; `options` go before it. */
export async function readPresetTable(preset: TablePreset, path: string, options: TableOptions = {}): Promise<Table> {
  checkOptions('readPresetTable', options, TABLE_OPTIONS);
  return preset.clean(await readTable(path, { ...preset.reading, ...preset.adapt?.(path), ...options }));
}
