/**
 * The same machine in a browser: with threads where the page is cross-origin isolated, without them where it is not.
 * Needs Chromium.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createViteServer } from 'vitest/node';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const ROOT = path.resolve(import.meta.dirname, '../../..');

/** Loads the page with these response headers; returns what it found. */
async function visit(headers: Record<string, string>): Promise<unknown> {
  const server = await createViteServer({
    root: ROOT,
    configFile: false,
    logLevel: 'silent',
    cacheDir: path.join(ROOT, 'node_modules/.vite-browser-test'),
    optimizeDeps: { noDiscovery: true },
    server: { port: 0, headers, hmr: false, watch: null },
    plugins: [
      {
        name: 'page',
        configureServer: s => {
          s.middlewares.use('/page', (_, response) => {
            for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
            response.setHeader('content-type', 'text/html');
            response.end('<body><script type="module" src="/tests/support/browser-page.ts"></script></body>');
          });
        },
      },
    ],
  });
  await server.listen();
  try {
    const { port } = server.httpServer!.address() as AddressInfo;
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=30000', '--dump-dom'];
    const { stdout } = await promisify(execFile)(CHROMIUM!, [...flags, `http://localhost:${port}/page`], {
      timeout: 50_000,
    });
    return JSON.parse(/RESULT(.*?)<\/body>/.exec(stdout)?.[1] ?? 'null');
  } finally {
    await server.close();
  }
}

describe.skipIf(!CHROMIUM)(`in ${CHROMIUM ?? 'a browser (no Chromium here)'}`, () => {
  it('runs on threads where the page is cross-origin isolated', async () => {
    const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
    expect(await visit(headers)).toEqual({ isolated: true, shared: true, threads: 2, right: true });
  });

  it('runs on one thread where it is not', async () => {
    expect(await visit({})).toEqual({ isolated: false, shared: false, threads: 1, right: true });
  });
});
