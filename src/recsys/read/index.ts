/**
 * From files to batches: formats, decompression, threads, shuffle, bad lines. Knows no models or tables.
 */
export type { Format } from './format.ts';
export type { BadLine } from './lines.ts';
export type { BadLineOptions } from './quarantine.ts';
export { BatchReader, type ReaderOptions, type ReaderStats } from './reader.ts';
export type { ShuffleOptions } from './shuffle.ts';
