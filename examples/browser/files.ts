/**
 * A request handler that serves what a page with Tenon needs out of this project: the built package, the built example,
 * its page. Nothing else of the folder can be reached.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

export const projectFolder = path.dirname(createRequire(import.meta.url).resolve('tenon/package.json'));
const SERVED = ['dist', 'build/examples/browser'].map(folder => path.join(projectFolder, folder) + path.sep);

/** With these two headers a page is cross-origin isolated, and may share memory between threads. */
export const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
} as const;

/**
 * Answers a GET for `/` (the example's page) or for a file below /dist and /build/examples/browser; 404 for anything
 * else.
 */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  headers: object = {},
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const file = path.join(projectFolder, pathname === '/' ? 'examples/browser/index.html' : pathname);
  const type = TYPES[path.extname(file)];
  const allowed = pathname === '/' || SERVED.some(folder => file.startsWith(folder));
  try {
    if (!type || !allowed) throw new Error('not served');
    const content = await readFile(file);
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache', ...headers }).end(content);
  } catch {
    response.writeHead(404, { 'content-type': 'text/plain', ...headers }).end(`${pathname} is not here\n`);
  }
}
