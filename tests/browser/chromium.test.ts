/**
 * Tenon in a real browser: headless Chromium imports the built package as plain ES modules and trains the browser
 * example, with threads over shared memory and without, to the same bits as Node. Needs Debian's package chromium (or
 * CHROMIUM=path) and `npm run build`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ISOLATION, projectFolder, serveFile } from '../../examples/browser/files.ts';
import { createClassifier } from '../../examples/browser/spiral.ts';
import { setBackend } from '../../src/index.ts';

const chromium = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const missing = !existsSync(chromium)
  ? `no browser at ${chromium}: apt-get install chromium, or set CHROMIUM`
  : !existsSync(path.join(projectFolder, 'build/examples/browser/spiral.js'))
    ? 'not built: npm run build'
    : '';
if (missing) console.log(`skipped: ${missing}`);

const STEPS = 12;
/** So many points that a step takes milliseconds, and so is run on all threads there are. */
const PER_ARM = 2000;

interface Outcome {
  readonly isolated: boolean;
  readonly shared: boolean;
  readonly threads: number;
  /** Threads each kernel of the last step ran on. */
  readonly used: readonly number[];
  /** The losses' bits. */
  readonly losses: readonly number[];
  readonly predictions: readonly number[];
  readonly error?: string;
}

/** What runs in the page. Every other step is asynchronous: a worker leads it where there are any. */
const PAGE_SCRIPT = `
import { numThreads, profile, rand, setNumThreads, Tensor } from 'tenon';
import * as models from 'tenon/models';
import { createClassifier } from '/build/examples/browser/spiral.js';

const post = result => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
const threadsOf = work => profile(work).traceEvents.map(event => event.args?.threads).filter(n => n !== undefined);
try {
  setNumThreads(Number(new URLSearchParams(location.search).get('threads')));
  if (typeof models.LeNet !== 'function') throw new Error('tenon/models is not whole');
  // Workers come up in the background: wait until a product runs on all of them.
  const [a, b] = [rand([640, 640]), rand([640, 640])];
  for (const begin = performance.now(); Math.max(...threadsOf(() => a.matmul(b).data())) !== numThreads(); ) {
    if (performance.now() > begin + 50000) throw new Error('the threads did not come up in 50 s');
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  const { step, points, probabilities } = createClassifier(${PER_ARM}, 3);
  const losses = [];
  for (let i = 0; i < ${STEPS}; i++) losses.push((i % 2 ? await step.async() : step()).item());
  const used = threadsOf(() => losses.push(step().item()));
  await post({
    isolated: crossOriginIsolated,
    shared: typeof SharedArrayBuffer !== 'undefined',
    threads: numThreads(),
    used,
    losses: [...new Uint32Array(Float32Array.from(losses).buffer)],
    predictions: Array.from(probabilities(points).argmax(1).data(), Number),
  });
} catch (error) {
  await post({ error: String(error?.stack ?? error) });
}
`;

/** Watches the example's own page until it has finished. */
const DEMO = `<!doctype html><iframe src="/" width="560" height="900"></iframe><script>
const timer = setInterval(() => {
  const status = document.querySelector('iframe').contentDocument?.getElementById('status');
  if (!status?.dataset.done) return;
  clearInterval(timer);
  const canvas = status.ownerDocument.getElementById('regions');
  const corner = canvas.getContext('2d').getImageData(0, 0, 1, 1).data;
  fetch('/result', { method: 'POST', body: JSON.stringify({ text: status.textContent, corner: [...corner] }) });
}, 50);
</script>`;

const page = `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">
<script type="importmap">{ "imports": {
  "tenon": "/dist/index.js", "tenon/nn": "/dist/nn/index.js", "tenon/optim": "/dist/optim/index.js", "tenon/models": "/dist/models/index.js"
} }</script>
<script>onerror = message => { fetch('/result', { method: 'POST', body: JSON.stringify({ error: String(message) }) }); };</script>
<script type="module">${PAGE_SCRIPT}</script>`;

let clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const action of clean.reverse()) await action();
  clean = [];
});

/** Chromium headless with a profile of its own; ended, and its profile removed, after the test. */
function launch(...args: readonly string[]): ChildProcess {
  const profileFolder = mkdtempSync(path.join(tmpdir(), 'tenon-chromium-'));
  const flags =
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
  // A group of its own, so that its helper processes end with it.
  const child = spawn(chromium, [...flags.split(' '), `--user-data-dir=${profileFolder}`, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const closed = new Promise(resolve => child.once('close', resolve));
  clean.push(async () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
    await closed;
    rmSync(profileFolder, { recursive: true, force: true, maxRetries: 5 });
  });
  return child;
}

/** A server of the project's built files and the test page; resolves `result` with what the page posts. */
async function serve<R>(
  headers: object,
  content: string,
): Promise<{ readonly url: string; readonly result: Promise<R> }> {
  let settle!: (outcome: R) => void;
  const result = new Promise<R>(resolve => {
    settle = resolve;
  });
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      response.writeHead(204).end();
      settle(JSON.parse(body));
    } else if (request.url?.startsWith('/test')) {
      response.writeHead(200, { 'content-type': 'text/html', ...headers }).end(content);
    } else await serveFile(request, response, headers);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  clean.push(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, result };
}

async function trainInBrowser(headers: object, threads: number): Promise<Outcome> {
  const { url, result } = await serve<Outcome>(headers, page);
  launch(`${url}/test?threads=${threads}`, '--remote-debugging-port=0');
  const outcome = await result;
  expect(outcome.error).toBeUndefined();
  return outcome;
}

function trainHere(): Pick<Outcome, 'losses' | 'predictions'> {
  setBackend('wasm');
  const { step, points, probabilities } = createClassifier(PER_ARM, 3);
  const losses = Float32Array.from({ length: STEPS + 1 }, () => step().item() as number);
  return {
    losses: [...new Uint32Array(losses.buffer)],
    predictions: Array.from(probabilities(points).argmax(1).data(), Number),
  };
}

describe.skipIf(missing !== '')('headless Chromium', { timeout: 120_000 }, () => {
  it('trains on two threads over shared memory where the page is cross-origin isolated, to the bits of one thread and of Node', async () => {
    const two = await trainInBrowser(ISOLATION, 2);
    expect(two).toMatchObject({ isolated: true, shared: true, threads: 2 });
    expect(Math.max(...two.used)).toBe(2);
    const one = await trainInBrowser(ISOLATION, 1);
    expect(one).toMatchObject({ isolated: true, threads: 1 });
    expect(Math.max(...one.used)).toBe(1);
    const here = trainHere();
    expect(two.losses).toEqual(here.losses);
    expect(one.losses).toEqual(here.losses);
    expect(two.predictions).toEqual(here.predictions);
    expect(new Set(here.losses).size).toBe(STEPS + 1);
  });

  it('trains on one thread where the page is not isolated, to the bits of Node', async () => {
    const outcome = await trainInBrowser({}, 2);
    expect(outcome).toMatchObject({ isolated: false, shared: false, threads: 1 });
    expect(Math.max(...outcome.used)).toBe(1);
    expect(outcome).toMatchObject(trainHere());
  });
});

describe.skipIf(missing !== '')('examples/browser', { timeout: 120_000 }, () => {
  it('learns the spirals and draws what it believes', async () => {
    const { url, result } = await serve<{ text: string; corner: number[] }>(ISOLATION, DEMO);
    launch(`${url}/test`, '--remote-debugging-port=0');
    const { text, corner } = await result;
    expect(text).toMatch(/^step 300 of 300, loss 0\.0\d+, accuracy (9[5-9]|100)\.\d %, .* on \d+ threads?$/);
    // Mixed out of an arm's color and white, opaque.
    expect(corner[3]).toBe(255);
    expect(Math.max(...corner.slice(0, 3)) - Math.min(...corner.slice(0, 3))).toBeGreaterThan(20);
  });
});

/** Every module that `entry` of dist imports, directly or not; bare specifiers as they stand. */
function reached(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  if (!entry.startsWith('/')) return seen;
  for (const [, specifier] of readFileSync(entry, 'utf8').matchAll(
    /^(?:import|export)\s(?:[\w*{}\s,$]+\sfrom\s)?['"]([^'"\n]+)['"];/gm,
  ))
    reached(specifier!.startsWith('.') ? path.resolve(path.dirname(entry), specifier!) : specifier!, seen);
  return seen;
}

describe.skipIf(!existsSync(path.join(projectFolder, 'dist/index.js')))('the built package', () => {
  it.each(['index', 'nn/index', 'optim/index', 'models/index', 'metrics/index'])(
    '%s imports nothing but relative modules',
    name => {
      const modules = [...reached(path.join(projectFolder, `dist/${name}.js`))];
      expect(modules.filter(module => !module.startsWith('/'))).toEqual([]);
      expect(modules).toContain(path.join(projectFolder, 'dist/chunks/core.js'));
    },
  );
});
