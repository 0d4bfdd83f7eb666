/**
 * Generated code for tables and pooling gives the bits of its twins in TypeScript, for every optimizer, layout and
 * number of threads.
 */
import { manualSeed, numThreads, setBackend, setNumThreads } from 'tenon';
import {
  type Admission,
  type BatchSchema,
  buildModel,
  EmbeddingTable,
  type Pooling,
  type RowOptimizer,
  type SparseBatch,
  SparseTrainer,
  type TableOptions,
} from 'tenon/recsys';
import { afterEach, describe, expect, it } from 'vitest';
import { backend, whyUnavailable } from '../../src/runtime/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const machineCode = whyUnavailable('x86') === null;
const before = numThreads();
const guarded = (process.env['TENON_DEBUG'] ?? '').split(',').includes('guard');
/**
 * Numbers of threads that are compared. Between guard pages, where a call costs most, the last one alone: the other
 * projects compare all of them.
 */
const counts = (...threads: readonly number[]): readonly number[] => (guarded ? threads.slice(-1) : threads);
const folder = temporaryFolder();

afterEach(() => {
  setNumThreads(before);
  setBackend(machineCode ? 'x86' : 'wasm');
});

/** A deterministic stream of numbers in [0, 1). */
function uniform(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** All bits of a table's rows, in hexadecimal. */
const bitsOf = (table: EmbeddingTable): string =>
  [...table.entries()]
    .map(
      ({ sign, slot, show, click, unseenDays, deltaScore, admitted, weights }) =>
        `${sign} ${slot} ${unseenDays} ${admitted} ${hex(Float32Array.of(show, click, deltaScore, ...weights))}`,
    )
    .join('\n');

const hex = (of: Float32Array | Int32Array): string =>
  Buffer.from(of.buffer, of.byteOffset, of.byteLength).toString('hex');

/** All that can be seen of a table after some batches of frequent and rare signs. */
function life(options: TableOptions, steps = 12): string {
  const table = new EmbeddingTable(options);
  const next = uniform(7);
  const pulled: string[] = [];
  for (let step = 0; step < steps; step++) {
    const count = step === 3 ? 0 : 700;
    const hi = Uint32Array.from({ length: count }, () => Math.floor(next() * 3) * 0x8000_0000);
    const lo = Uint32Array.from({ length: count }, () => Math.floor(next() ** 3 * 4000) * 0x9e3779b1);
    const found = table.lookup(hi, lo, count);
    const { unique } = found;
    const out = new Float32Array(unique * table.width);
    table.gather(found, out);
    const shows = new Float32Array(unique);
    table.shows(found, shows);
    pulled.push(hex(found.inverse.subarray(0, count)), hex(out), hex(shows));
    const gradients = Float32Array.from({ length: unique * table.width }, () => next() - 0.5);
    const shown = Float32Array.from({ length: unique }, () => 1 + Math.floor(next() * 4));
    const clicks = Float32Array.from({ length: unique }, () => Math.floor(next() * 2));
    const slots = step % 2 === 0 ? Int32Array.from({ length: unique }, (_, u) => u % 9) : undefined;
    table.push(found, gradients, shown, clicks, slots);
    if (step === 8) table.shrink();
  }
  return `${pulled.join('\n')}\n${bitsOf(table)}`;
}

const OPTIMIZERS: readonly RowOptimizer[] = [
  { type: 'sgd', lr: 0.1 },
  { type: 'rowAdagrad', bound: 0.05 },
  { type: 'adagrad', lr: 0.05, initialAccumulator: 0.1 },
  { type: 'adam', lr: 0.01 },
  { type: 'sharedAdam', lr: 0.01, betas: [0.8, 0.9] },
  { type: 'ftrl', l1: 0.3, l2: 0.1 },
];
const ADMISSIONS: readonly Admission[] = [{ type: 'always' }, { type: 'count', n: 6 }];

describe.skipIf(!machineCode)('tables', () => {
  for (const optimizer of OPTIMIZERS)
    for (const admission of ADMISSIONS)
      it(`${optimizer.type}, ${admission.type}`, () => {
        for (const [dim, wide] of [
          [1, false],
          [8, false],
          [10, true],
          [19, false],
          [0, true],
        ] as const) {
          const options = { dim, wide, optimizer, admission };
          setBackend('reference');
          const expected = life(options);
          setBackend('x86');
          for (const threads of counts(1, 3)) {
            setNumThreads(threads);
            expect(life(options) === expected, `dim ${dim}, ${threads} threads`).toBe(true);
          }
        }
      });

  it('rows that are drawn, refused and evicted, and initial weights of either kind', () => {
    const few = { dim: 10, wide: true, seed: 5, memoryLimit: 60_000 } as const;
    const lives: readonly TableOptions[] = [
      { dim: 10, admission: { type: 'probability', p: 0.4 } },
      { dim: 9, init: { type: 'normal', std: 0.1 } },
      { dim: 10, init: { type: 'uniform', range: 0 } },
      { ...few, atLimit: 'evict' },
      { ...few, atLimit: 'refuse', admission: { type: 'score' } },
    ];
    for (const options of lives) {
      setBackend('reference');
      const expected = life(options);
      setBackend('x86');
      for (const threads of counts(1, 2, 5)) {
        setNumThreads(threads);
        expect(life(options) === expected, `${JSON.stringify(options)}, ${threads} threads`).toBe(true);
      }
    }
  });

  it('shared Adam counts beyond the last correction that differs from 1', () => {
    const options = { dim: 3, optimizer: { type: 'sharedAdam', betas: [0.1, 0.2] } } as const;
    setBackend('reference');
    const expected = life(options, 60);
    setBackend('x86');
    expect(life(options, 60) === expected).toBe(true);
  });

  it('a table in mapped segments', () => {
    const options = { dim: 10, folder: folder.path };
    setBackend('reference');
    const expected = life(options);
    setBackend('x86');
    expect(life(options) === expected).toBe(true);
  });
});

const SCHEMA: BatchSchema = { slots: ['user', 'item', 'tags', 'history'], dense: ['x'], labels: ['click'] };

/** Bags of no, one and several ids; a history that is longer than what the model reads. */
function batchOf(size: number, seed: number): SparseBatch {
  const next = uniform(seed);
  const signs: number[] = [];
  const offsets = [0];
  for (let b = 0; b < size; b++)
    for (const most of [1, 2, 6, 9]) {
      const count = Math.floor(next() * (most + 1));
      for (let k = 0; k < count; k++) signs.push(Math.floor(next() ** 2 * 300));
      offsets.push(signs.length);
    }
  return {
    schema: SCHEMA,
    size,
    hi: new Uint32Array(signs.length),
    lo: Uint32Array.from(signs),
    offsets: Uint32Array.from(offsets),
    dense: Float32Array.from({ length: size }, next),
    labels: Float32Array.from({ length: size }, () => Math.floor(next() * 2)),
  };
}

describe.skipIf(!machineCode)('pooling', () => {
  const run = (pooling: Pooling, model: 'deepfm' | 'din'): string => {
    manualSeed(3);
    const history = model === 'din' ? { histories: { history: 'item' }, length: 5 } : {};
    const trainer = new SparseTrainer({
      model: buildModel({ model, dim: 6, hidden: [8], ...history } as never, SCHEMA),
      pooling: { tags: pooling },
      table: { optimizer: { type: 'rowAdagrad' } },
    });
    const losses = [5, 3, 7, 1, 7].map((size, i) => trainer.step(batchOf(size * 20, i)).loss);
    return `${losses}\n${bitsOf(trainer.table as EmbeddingTable)}`;
  };

  // The dense part is machine code on both sides: what differs is who pools and merges.
  for (const pooling of ['sum', 'mean', 'sqrtn'] as const)
    for (const model of ['deepfm', 'din'] as const)
      it(`${pooling}, ${model}`, () => {
        setBackend('x86');
        const machine = backend();
        const kernels = machine.hostKernels;
        Object.defineProperty(machine, 'hostKernels', { value: undefined, configurable: true });
        let expected: string;
        try {
          expected = run(pooling, model);
        } finally {
          Object.defineProperty(machine, 'hostKernels', { value: kernels, configurable: true });
        }
        for (const threads of counts(1, 2, 5)) {
          setNumThreads(threads);
          expect(run(pooling, model)).toEqual(expected);
        }
      });
});
