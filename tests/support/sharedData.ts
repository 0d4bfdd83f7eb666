/**
 * Where the real data lies that is never copied into this project: TENON_DATA, else TENON_SHARED/data, else
 * ../shared/data.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const shared = process.env['TENON_SHARED'] ?? path.join(root, '../shared');
const data = path.resolve(process.env['TENON_DATA'] ?? path.join(shared, 'data'));

/** The path of a shared file or folder. */
export const sharedData = (...parts: readonly string[]): string => path.join(data, ...parts);

/** `test` where the shared file is there; elsewhere a skipped test whose name says what is missing. */
export function testWithData(name: string, file: string, body: () => void | Promise<void>, timeout?: number): void {
  if (existsSync(sharedData(file))) test(name, body, timeout);
  else test.skip(`${name} (skipped: ${sharedData(file)} is not there)`, body);
}
