/**
 * Units of reading: a file, or a stretch of a large plain one. Which unit gives which examples depends on the files
 * alone, not on who reads it.
 */
import { statSync } from 'node:fs';
import { reasonOf } from '../../formats/atomic.ts';
import type { Features } from '../features/features.ts';
import { type Format, hasHeader, isSplittable } from './format.ts';
import { type Block, checkLineLength, LineExamples, readLines } from './lines.ts';
import { compressionOf, openChunks } from './open.ts';

/** Lines that begin in bytes [start, stop) of a file. */
export interface Unit {
  readonly path: string;
  readonly start: number;
  readonly stop: number;
}

/** Bytes of a plain file that are one unit. */
const UNIT_BYTES = 8 << 20;

/** The units of files, in order. @throws Error naming a file that cannot be read */
export function planUnits(files: readonly string[], format: Format): Unit[] {
  return files.flatMap(path => {
    const whole = [{ path, start: 0, stop: Number.POSITIVE_INFINITY }];
    let size: number;
    try {
      size = statSync(path).size;
    } catch (error) {
      throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
    }
    if (size <= UNIT_BYTES || !isSplittable(format) || compressionOf(path) !== 'none') return whole;
    const count = Math.ceil(size / UNIT_BYTES);
    return Array.from({ length: count }, (_, i) => ({
      path,
      start: i * UNIT_BYTES,
      stop: i === count - 1 ? Number.POSITIVE_INFINITY : (i + 1) * UNIT_BYTES,
    }));
  });
}

/**
 * Blocks of at most `blockRows` examples.
 * @throws Error naming the file when it cannot be read, is damaged or does not fit the features
 */
export async function* readUnit(
  { path, start, stop }: Unit,
  format: Format,
  features: Features,
  blockRows: number,
): AsyncGenerator<Block, void, undefined> {
  if (format.type === 'parquet') {
    // Loaded when wanted: with its library's files it takes longer to load than the rest of a reader.
    const { readParquet } = await import('./parquet.ts');
    yield* readParquet(path, features, blockRows);
    return;
  }
  const header = hasHeader(format) && format.type === 'csv' ? await headerOf(path, format) : null;
  if (header?.length === 0) return;
  const examples = new LineExamples(path, features, format, header, blockRows);
  if (start === 0) {
    yield* readLines(openChunks(path), examples, { skipFirst: header !== null, stop, firstLine: header ? 2 : 1, path });
    return;
  }
  // From one byte before, so that a line which begins exactly here is not passed over.
  const cut = { skipFirst: true, stop: stop - start + 1, firstLine: 1, path };
  let before: number | null = null;
  for await (const block of readLines(openChunks(path, start - 1), examples, cut)) {
    // The line that is passed over ends behind byte start - 1.
    if (block.bad.length > 0) before ??= 1 + (await countLines(path, start - 1));
    const offset = before ?? 0;
    yield { ...block, bad: block.bad.map(bad => ({ ...bad, line: bad.line + offset })) };
  }
}

/** The names in a file's first line; none of a file without a byte, as jobs write them where a part has no rows. */
async function headerOf(path: string, { separator = ',', quotes = true }: Format & { type: 'csv' }): Promise<string[]> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of openChunks(path)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes('\n')) break;
    checkLineLength(path, text.length);
  }
  if (text === '') return [];
  const [line] = text.replace(/^\ufeff/, '').split(/\r?\n/, 1);
  if (line.trim() === '') throw new Error(`${path}: the first line is empty, expected the names of the columns`);
  const names = quotes ? quotedFields(line, separator) : line.split(separator);
  if (!names)
    throw new Error(`${path}: the names of the columns in the first line have a quote that does not end there`);
  return names.map(name => name.trim());
}

/** The fields of a line, some in double quotes; null where a quoted one does not end, or text follows it. */
function quotedFields(line: string, separator: string): string[] | null {
  const names: string[] = [];
  for (let from = 0; from <= line.length; ) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*/.exec(line.slice(from));
    const stop = line.indexOf(separator, from + (quoted?.[0].length ?? 0));
    const end = stop < 0 ? line.length : stop;
    const name = line.slice(from, end);
    if (quoted ? quoted[0].length !== name.length : name.trimStart().startsWith('"')) return null;
    names.push(quoted ? quoted[1].replaceAll('""', '"') : name);
    from = end + 1;
  }
  return names;
}

/** Line breaks before byte `end`. */
async function countLines(path: string, end: number): Promise<number> {
  let lines = 0;
  let origin = 0;
  for await (const chunk of openChunks(path)) {
    const part = chunk.subarray(0, Math.min(chunk.length, end - origin));
    for (let at = part.indexOf(10); at >= 0; at = part.indexOf(10, at + 1)) lines++;
    origin += chunk.length;
    if (origin >= end) break;
  }
  return lines;
}
