/**
 * Files of rows, version 1, little-endian, written in a stream and atomically:
 *
 *     "TENONEMB", u32 version, u32 bytes of header, header (JSON, padded with spaces to a multiple of 4) blocks: u32
 *     rows, u32 words, words; a row is sign high, sign low, slot | days unseen << 16, delta score, show, click, 1 if
 *     the vector is there; wide weight [and state]; vector [and state]. State is in files of mode full and batch. end:
 *     u32 0, u32 rows (low), u32 rows (high), u32 CRC-32 of all before it
 *
 * A file is checked to its last byte before the first row is taken from it.
 */
import { crc32 } from 'node:zlib';
import { writeAtomic } from '../../formats/atomic.ts';
import { type ByteSource, withFile } from '../../formats/source.ts';
import { hashSign, tagSign } from './hash.ts';
import { CLICK, DELTA, HI, LINK, LO, META, OLDEST, SHOW, WIDE } from './layout.ts';
import type { RowOptimizer } from './options.ts';
import type { SaveMode, SaveReport } from './sparse-table.ts';
import type { EmbeddingTable } from './table.ts';

const MAGIC = 'TENONEMB';
const VERSION = 1;
const PREFIX = 16;
const END = 16;
/** Words of a block, about. */
const BLOCK_WORDS = 1 << 16;
/** Words of a row before its weights. */
const HEAD = 7;

interface Header {
  readonly mode: SaveMode;
  readonly dim: number;
  readonly wide: boolean;
  readonly optimizer: RowOptimizer;
  readonly wideOptimizer: RowOptimizer;
  readonly steps: number;
}

const hasState = (mode: SaveMode): boolean => mode === 'full' || mode === 'batch';

/** Whether a save of a mode holds a row. */
function selects(table: EmbeddingTable, mode: SaveMode): (row: number) => boolean {
  const { base, delta, keepDays } = table.settings.score;
  const { rows } = table;
  if (hasState(mode)) return row => table.lives(row);
  return row => {
    if (!table.lives(row)) return false;
    const { f32, u32 } = rows.segment(row);
    const at = rows.at(row);
    const grown = mode === 'base' || f32[at + DELTA]! >= delta;
    return grown && u32[at + META]! >>> 16 <= keepDays && table.score(f32[at + SHOW]!, f32[at + CLICK]!) >= base;
  };
}

export function writeTable(table: EmbeddingTable, path: string, mode: SaveMode): SaveReport {
  const chosen = selects(table, mode);
  let rows = 0;
  let bytes = 0;
  const counted = function* (): Generator<Uint8Array> {
    for (const chunk of chunks(table, mode, chosen)) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  writeAtomic(path, counted());
  // Statistics change only once the file is there.
  for (let row = 0; row < table.rows.end; row++) {
    if (!chosen(row)) continue;
    rows++;
    const { f32, u32 } = table.rows.segment(row);
    const at = table.rows.at(row);
    if (mode === 'delta' || mode === 'base') f32[at + DELTA] = 0;
    if (mode === 'batch') {
      const meta = u32[at + META]!;
      u32[at + META] = (meta & 0xffff) | (Math.min(OLDEST, (meta >>> 16) + 1) << 16);
    }
  }
  return { rows, bytes };
}

function* chunks(table: EmbeddingTable, mode: SaveMode, chosen: (row: number) => boolean): Generator<Uint8Array> {
  const { settings, layout, rows, vectors, steps } = table;
  const { dim, wide, optimizer, wideOptimizer } = settings;
  const header: Header = { mode, dim, wide, optimizer, wideOptimizer, steps };
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(json.length / 4) * 4;
  const prefix = Buffer.alloc(PREFIX + length, ' ');
  prefix.write(MAGIC, 'latin1');
  prefix.writeUInt32LE(VERSION, 8);
  prefix.writeUInt32LE(length, 12);
  json.copy(prefix, PREFIX);
  let checksum = crc32(prefix);
  yield prefix;

  const state = hasState(mode) ? 1 : 0;
  const wideWords = layout.wide + state * layout.wideStateWords;
  const vectorWords = dim + state * layout.vectorStateWords;
  const block = new Uint32Array(2 + BLOCK_WORDS + HEAD + wideWords + vectorWords);
  let inBlock = 0;
  let at = 2;
  let total = 0;
  const flush = (): Uint8Array => {
    block[0] = inBlock;
    block[1] = at - 2;
    const bytes = new Uint8Array(block.buffer, 0, 4 * at);
    checksum = crc32(bytes, checksum);
    total += inBlock;
    inBlock = 0;
    at = 2;
    return bytes;
  };
  for (let row = 0; row < rows.end; row++) {
    if (!chosen(row)) continue;
    const { u32 } = rows.segment(row);
    const from = rows.at(row);
    const link = u32[from + LINK]!;
    const admitted = dim > 0 && (!layout.apart || link !== 0);
    block[at++] = u32[from + HI]!;
    block[at++] = u32[from + LO]!;
    for (const word of [META, DELTA, SHOW, CLICK]) block[at++] = u32[from + word]!;
    block[at++] = admitted ? 1 : 0;
    for (let k = 0; k < wideWords; k++) block[at++] = u32[from + WIDE + k]!;
    if (admitted) {
      const store = layout.apart ? vectors.segment(link - 1).u32 : u32;
      const start = layout.apart ? vectors.at(link - 1) : from + layout.vector;
      for (let k = 0; k < vectorWords; k++) block[at++] = store[start + k]!;
    }
    inBlock++;
    if (at >= 2 + BLOCK_WORDS) yield flush();
  }
  if (inBlock > 0) yield flush();
  const end = new Uint32Array([0, total >>> 0, Math.floor(total / 2 ** 32), 0]);
  end[3] = crc32(new Uint8Array(end.buffer, 0, END - 4), checksum);
  yield new Uint8Array(end.buffer);
}

/** Reads the header of a file of rows. @throws Error in one sentence for a file that is none, or of another version. */
function readHeader(source: ByteSource): { readonly header: Header; readonly start: number } {
  const bad = (reason: string): Error => new Error(`${source.name}: ${reason}`);
  if (source.size < PREFIX + END) throw bad('not a table file: it is too short');
  const prefix = Buffer.from(source.read(0, PREFIX));
  if (prefix.toString('latin1', 0, 8) !== MAGIC) throw bad('not a table file');
  const version = prefix.readUInt32LE(8);
  if (version !== VERSION) throw bad(`a table file of version ${version}; this reads version ${VERSION}`);
  const length = prefix.readUInt32LE(12);
  if (length > source.size - PREFIX - END) throw bad('cut short in its header');
  try {
    return { header: JSON.parse(Buffer.from(source.read(PREFIX, length)).toString()), start: PREFIX + length };
  } catch {
    throw bad('damaged in its header');
  }
}

/** The blocks of a file, each as its rows' words. */
function* blocks(source: ByteSource, start: number): Generator<{ rows: number; words: Uint32Array }> {
  let at = start;
  for (;;) {
    if (at + END > source.size) throw new Error(`${source.name}: cut short after ${at} bytes`);
    const [rows, words] = new Uint32Array(source.read(at, 8).buffer);
    if (rows === 0) return;
    if (at + 8 + 4 * words! + END > source.size) throw new Error(`${source.name}: cut short in its rows`);
    yield { rows: rows!, words: new Uint32Array(source.read(at + 8, 4 * words!).buffer) };
    at += 8 + 4 * words!;
  }
}

/** Reads the whole file once. @throws Error where it is cut short, has bytes behind its end or a wrong checksum. */
function verify(source: ByteSource, start: number): void {
  let checksum = crc32(source.read(0, start));
  let total = 0;
  let at = start;
  for (const { rows, words } of blocks(source, start)) {
    checksum = crc32(new Uint32Array([rows, words.length]), checksum);
    checksum = crc32(words, checksum);
    total += rows;
    at += 8 + 4 * words.length;
  }
  const end = new Uint32Array(source.read(at, END).buffer);
  checksum = crc32(new Uint8Array(end.buffer, 0, END - 4), checksum);
  if (at + END !== source.size || end[1]! + end[2]! * 2 ** 32 !== total || end[3] !== checksum)
    throw new Error(`${source.name}: damaged: its checksum does not fit`);
}

/**
 * Takes the rows of a file into a table: in place of all it has, or over them.
 * `before` is called once the file is known to be whole and to fit.
 */
export function readTable(table: EmbeddingTable, path: string, how: 'replace' | 'merge', before: () => void): void {
  withFile(path, source => {
    const { header, start } = readHeader(source);
    const { settings, layout } = table;
    const differs = (what: string, came: unknown, here: unknown): Error =>
      new Error(`${path}: a table file with ${what} ${came}; this table has ${what} ${here}`);
    if (header.dim !== settings.dim) throw differs('dim', header.dim, settings.dim);
    if (header.wide !== settings.wide) throw differs('wide', header.wide, settings.wide);
    const state = hasState(header.mode) ? 1 : 0;
    if (state) {
      if (header.optimizer.type !== settings.optimizer.type)
        throw differs('optimizer', header.optimizer.type, settings.optimizer.type);
      if (header.wide && header.wideOptimizer.type !== settings.wideOptimizer.type)
        throw differs('wideOptimizer', header.wideOptimizer.type, settings.wideOptimizer.type);
    }
    verify(source, start);
    before();
    if (how === 'replace') table.clear();
    table.steps = how === 'replace' ? header.steps : Math.max(table.steps, header.steps);
    const wideWords = layout.wide + state * layout.wideStateWords;
    const vectorWords = layout.dim + state * layout.vectorStateWords;
    for (const { rows, words } of blocks(source, start)) {
      let at = 0;
      for (let k = 0; k < rows; k++) {
        const admitted = words[at + HEAD - 1] === 1;
        takeRow(table, words, at, wideWords, admitted ? vectorWords : 0);
        at += HEAD + wideWords + (admitted ? vectorWords : 0);
      }
    }
  });
}

/** One row of a file at `words[at]`. */
function takeRow(table: EmbeddingTable, words: Uint32Array, at: number, wideWords: number, vectorWords: number): void {
  const { rows, vectors, layout } = table;
  const hi = words[at]!;
  const lo = words[at + 1]!;
  const hash = hashSign(hi, lo);
  const known = table.index.find(hash, tagSign(hi, lo), hi, lo);
  const { memoryLimit, atLimit } = table.settings;
  if (known < 0 && atLimit === 'refuse' && table.bytes + table.rowBytes > memoryLimit!) {
    table.refused++;
    return;
  }
  const row = known >= 0 ? known : table.insert(hash, hi, lo);
  const link = layout.apart ? rows.segment(row).u32[rows.at(row) + LINK]! : 0;
  if (link > 0 && vectorWords === 0) {
    // It was deleted since, came again and waits for admission.
    vectors.release(link - 1);
    rows.segment(row).u32[rows.at(row) + LINK] = 0;
  } else if (layout.apart && vectorWords > 0) {
    const vector = link > 0 ? link - 1 : vectors.allocate();
    if (link === 0) table.startVector(vector, hash, hi, lo);
    rows.segment(row).u32[rows.at(row) + LINK] = vector + 1;
    vectors
      .segment(vector)
      .u32.set(words.subarray(at + HEAD + wideWords, at + HEAD + wideWords + vectorWords), vectors.at(vector));
  }
  const { u32 } = rows.segment(row);
  const to = rows.at(row);
  u32[to + META] = words[at + 2]!;
  u32[to + DELTA] = words[at + 3]!;
  u32[to + SHOW] = words[at + 4]!;
  u32[to + CLICK] = words[at + 5]!;
  for (let k = 0; k < wideWords; k++) u32[to + WIDE + k] = words[at + HEAD + k]!;
  if (!layout.apart)
    for (let k = 0; k < vectorWords; k++) u32[to + layout.vector + k] = words[at + HEAD + wideWords + k]!;
}
