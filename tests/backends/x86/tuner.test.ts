/**
 * Plans chosen by measuring: none unless asked for; every choice gives the bits of the cost model's; a choice is kept,
 * read back and followed, also by kept machine code; files that do not hold are ignored in one line.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { referenceBackend } from '../../../src/backends/reference/index.ts';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { choicesFile, PlanTuner } from '../../../src/backends/x86/tuner.ts';
import { compileGraph } from '../../../src/compiler/compile.ts';
import type { GraphProgram, LoopProgram } from '../../../src/compiler/program.ts';
import type { Tuner } from '../../../src/compiler/target.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { F, manualSeed, randn, type Tensor } from '../../../src/index.ts';
import { readPrivate, writePrivate } from '../../../src/launch/privateFiles.ts';
import { programOf } from '../../compiler/support.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { isas, machineCode } from './available.ts';

const leaf = (shape: readonly number[]): Tensor => {
  const x = randn(shape);
  x.data();
  return x;
};

/**
 * A product whose operands are read in place, one that packs both, and convolutions with padding, pixels innermost and
 * strides.
 */
const CASES: readonly (readonly [string, () => Tensor])[] = [
  [
    'a product with bias and gelu',
    () =>
      F.gelu(
        leaf([97, 700])
          .matmul(leaf([700, 131]))
          .add(leaf([131])),
      ),
  ],
  [
    'of transposed operands',
    () =>
      leaf([513, 66])
        .transpose(0, 1)
        .matmul(leaf([150, 513]).transpose(0, 1)),
  ],
  ['batched', () => leaf([3, 90, 130]).matmul(leaf([3, 130, 70]))],
  ['a convolution', () => F.conv2d(leaf([2, 40, 17, 19]), leaf([24, 40, 3, 3]), leaf([24]), { padding: 1 }).relu()],
  ['with stride', () => F.conv2d(leaf([3, 40, 29, 31]), leaf([36, 40, 3, 3]), null, { stride: 2, padding: 1 })],
];

function programFor(make: () => Tensor): { graph: GraphProgram; bindings: HostArray[] } {
  manualSeed(5);
  const graph = programOf([make().node]);
  return { graph, bindings: graph.leaves.map(x => x.value!) };
}

/** Takes the n-th label of every question, and notes them all. */
function taking(n: number): Tuner & { readonly questions: Map<string, readonly string[]> } {
  const questions = new Map<string, readonly string[]>();
  return {
    questions,
    choose: (key, labels) => {
      questions.set(key, labels);
      return labels[Math.min(n, labels.length - 1)]!;
    },
    settle: make => make(),
  };
}

const bodies = (program: LoopProgram): string => JSON.stringify(program.kernels.map(({ kernel }) => kernel.body));

// Sums of f32 use no tiles.
describe.each(isas.filter(isa => isa !== 'amx'))('%s', isa => {
  const native = new Native();
  const target = targetOf(isa, queryCpu(native));
  const machine = new Machine(native, isa, { allThreads: true, guards: true });

  it.each(CASES)('every plan gives the same bits: %s', (_, make) => {
    const { graph, bindings } = programFor(make);
    const plain = machine.load(compileGraph(graph, target)).run(bindings)[0] as Float32Array;
    const want = referenceBackend.compile(graph).run(bindings)[0] as Float32Array;
    const scale = want.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(want.every((x, i) => Math.abs(x - plain[i]!) < 4e-6 * scale)).toBe(true);
    const codes = new Set<string>();
    const model = taking(0);
    for (let n = 0, plans = 1; n < plans; n++) {
      const tuner = n === 0 ? model : taking(n);
      const program = compileGraph(graph, { ...target, tuner });
      plans = Math.max(...[...tuner.questions.values()].map(labels => labels.length));
      codes.add(bodies(program));
      const loaded = machine.load(program);
      for (const threads of [1, 3]) {
        machine.threads = threads;
        expect(loaded.run(bindings)[0]).toEqual(plain);
      }
    }
    expect(model.questions.size).toBeGreaterThan(0);
    expect(codes.size).toBeGreaterThan(2);
  });
});

describe.skipIf(!machineCode)('choices', () => {
  const folder = temporaryFolder();
  const isa = isas[isas.length - 1]!;
  const native = new Native();
  const cpu = queryCpu(native);
  const target = targetOf(isa, cpu);
  const machine = new Machine(native, isa);
  const { graph, bindings } = programFor(CASES[0]![1]);
  const said: string[] = [];
  let caches = 0;

  beforeEach(() => {
    said.length = 0;
    vi.spyOn(console, 'error').mockImplementation(line => void said.push(line));
    vi.stubEnv('TENON_CACHE', folder.file(`cache ${caches++}`));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  const file = (): string => choicesFile(cpu, isa)!;
  const kept = (): Record<string, string> => JSON.parse(new TextDecoder().decode(readPrivate(file())!.bytes));
  const keep = (choices: unknown): void => writePrivate(file(), new TextEncoder().encode(JSON.stringify(choices)), 1);
  const compiled = (): { program: LoopProgram; tuner: PlanTuner } => {
    const tuner = new PlanTuner(machine, cpu);
    return { program: compileGraph(graph, { ...target, tuner }), tuner };
  };

  it('are made only where they are asked for', () => {
    createX86Backend({ isa }).compile(graph);
    expect(existsSync(file())).toBe(false);
    createX86Backend({ isa, autotune: true }).compile(graph);
    expect(existsSync(file())).toBe(true);
    vi.stubEnv('TENON_AUTOTUNE', 'yes');
    expect(() => createX86Backend({ isa })).toThrow('x86: TENON_AUTOTUNE is yes, expected 0 or 1');
  });

  it('are measured once and read by whoever comes later', () => {
    const first = createX86Backend({ isa, autotune: true });
    const out = first.compile(graph).run(bindings);
    expect(said).toEqual([expect.stringMatching(/^x86: measured plans of 1 contractions in [\d.]+ s, kept in \//)]);
    expect(Object.keys(kept())).toEqual([expect.stringMatching(/ threads .*m97 n131 k700 /)]);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    const again = createX86Backend({ isa, autotune: true });
    expect(again.compile(graph).run(bindings)).toEqual(out);
    expect(said.length).toBe(1);
  });

  it('of a file are followed, and told with the program', () => {
    compiled();
    const [key] = Object.keys(kept());
    const model = bodies(compileGraph(graph, target));
    keep({ [key!]: 'k 350' });
    said.length = 0;
    const { program, tuner } = compiled();
    expect(bodies(program)).not.toBe(model);
    expect(machine.load(program).run(bindings)).toEqual(machine.load(compileGraph(graph, target)).run(bindings));
    expect(tuner.finish()).toEqual({ [key!]: 'k 350' });
    expect(tuner.agrees({ [key!]: 'k 350' })).toBe(true);
    expect(tuner.agrees({ [key!]: 'model' })).toBe(false);
    keep({ [key!]: 'model' });
    expect(bodies(compiled().program)).toBe(model);
    expect(said).toEqual([]);
    // A plan that this kernel does not have is measured again.
    keep({ [key!]: 'tile 1000x1000', other: 'kept' });
    compiled();
    expect(kept()[key!]).not.toBe('tile 1000x1000');
    expect(kept()['other']).toBe('kept');
  });

  it.each([
    ['text of no kind', () => writeFileSync(file(), 'not ours')],
    ['a list', () => keep(['model'])],
    ['numbers', () => keep({ key: 1 })],
    [
      'half a file',
      () => {
        keep({ key: 'model' });
        writeFileSync(file(), readFileSync(file()).subarray(0, 20));
      },
    ],
  ])('are made anew where a file does not hold: %s', (_, write) => {
    mkdirSync(path.dirname(file()), { recursive: true });
    write();
    compiled();
    expect(said).toEqual([
      `x86: ${file()} holds no choices of plans that Tenon wrote for this user; plans are measured again`,
    ]);
    expect(Object.keys(kept()).length).toBe(1);
    expect(readdirSync(path.dirname(file())).length).toBe(1);
  });

  it('are kept for the process where no file is to be', () => {
    vi.stubEnv('TENON_CACHE', 'off');
    const { tuner } = compiled();
    expect(Object.keys(tuner.finish()).length).toBe(1);
    expect(said).toEqual([expect.stringMatching(/, kept for this process$/)]);
  });
});

/** A program that is large enough to be kept; tells its sum's bits and whether it was lowered here. */
const PROGRAM = `
import { compile, F, manualSeed, profile, randn } from 'tenon';
manualSeed(3);
const [x, a, b] = [randn([130, 257]), randn([257, 300]), randn([300, 257])];
const f = compile((x, a, b) => {
  for (let i = 0; i < 12; i++) x = F.layerNorm(x.add(F.gelu(x.matmul(a)).matmul(b)), [257]);
  return F.logSoftmax(x, -1).mean();
});
for (const given of [x, a, b]) given.data();
let value = 0;
const { traceEvents } = profile(() => { value = f(x, a, b).item(); });
console.log(JSON.stringify({ value, lowered: traceEvents.filter(e => e.name === 'lower').length }));`;

const root = path.resolve(import.meta.dirname, '../../..');
describe.skipIf(!machineCode || !existsSync(path.join(root, 'dist/node/index.js')))('the built package', () => {
  const folder = temporaryFolder();
  const run = (autotune: '0' | '1'): { value: number; lowered: number } => {
    const { NODE_ENV: _, ...outer } = process.env;
    // Products on matrix registers have one plan.
    const env = {
      ...outer,
      TENON_CACHE: folder.path,
      TENON_ISA: 'avx2',
      TENON_BACKEND: 'x86',
      TENON_AUTOTUNE: autotune,
    };
    const args = ['--input-type=module', '-e', PROGRAM];
    return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: 'pipe', env }));
  };

  it('makes kept code again when another plan is chosen', () => {
    const plain = run('0');
    expect(readdirSync(folder.path).some(name => name.startsWith('plans-'))).toBe(false);
    const tuned = run('1');
    expect(tuned.value).toBe(plain.value);
    expect(tuned.lowered).toBe(1);
    expect(run('1')).toEqual({ ...tuned, lowered: 0 });
    const file = folder.file(readdirSync(folder.path).find(name => name.startsWith('plans-'))!);
    const choices: Record<string, string> = JSON.parse(new TextDecoder().decode(readPrivate(file)!.bytes));
    const other = Object.entries(choices).map(([key, label]) => [key, label === 'model' ? 'packed' : 'model']);
    writePrivate(file, new TextEncoder().encode(JSON.stringify(Object.fromEntries(other))), 1);
    expect(run('1')).toEqual(tuned);
  });
});
