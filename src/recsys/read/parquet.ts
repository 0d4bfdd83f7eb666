/**
 * Parquet files through hyparquet: row groups become records, records go through the feature function as served ones
 * do.
 */
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { reasonOf } from '../../formats/atomic.ts';
import { type FeatureRecord, type Features, fillFields } from '../features/features.ts';
import { Fields } from '../features/fields.ts';
import { Rows } from '../features/rows.ts';
import type { BadLine, Block } from './lines.ts';

/** Rows turned into JavaScript values at once. */
const ROWS = 8192;

/**
 * Blocks of the rows of a file; a bad line's number is its row, from 1.
 * @throws Error naming the file when it is damaged
 */
export async function* readParquet(
  path: string,
  features: Features,
  blockRows: number,
): AsyncGenerator<Block, void, undefined> {
  const fail = (error: unknown): never => {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code) throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
    throw new Error(`${path}: not a readable Parquet file (${message})`, { cause: error });
  };
  const file = await asyncBufferFromFile(path).catch(fail);
  const metadata = await parquetMetadataAsync(file).catch(fail);
  const names = parquetSchema(metadata).children.map(child => child.element.name);
  const columns = features.columns.filter(name => names.includes(name));
  // Names the feature whose column is not there.
  const extract = features.extractor(names);
  const fields = new Fields(names);
  const rows = new Rows(features.schema, blockRows);
  let number = 0;
  let lines = 0;
  let bad: BadLine[] = [];
  const take = (): Block => {
    // Bytes of a columnar file belong to no row: the share of the rows read.
    const bytes = Math.round((lines / Math.max(1, Number(metadata.num_rows))) * file.byteLength);
    const block = { batch: rows.take(), lines, bytes, bad };
    [lines, bad] = [0, []];
    return block;
  };
  for (let rowStart = 0; rowStart < Number(metadata.num_rows); rowStart += ROWS) {
    const rowEnd = Math.min(rowStart + ROWS, Number(metadata.num_rows));
    const records = await parquetReadObjects({ file, metadata, columns, compressors, rowStart, rowEnd }).catch(fail);
    for (const record of records) {
      number++;
      lines++;
      const reason = fillFields(fields, record as FeatureRecord, features.signColumns) ?? extract(fields, rows);
      if (reason !== null) bad.push({ file: path, line: number, reason, text: shown(record) });
      if (rows.full) yield take();
    }
  }
  if (lines > 0) yield take();
}

const shown = (record: object): string =>
  JSON.stringify(record, (_, value) => (typeof value === 'bigint' ? String(value) : value)).slice(0, 4096);
