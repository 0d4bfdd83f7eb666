/**
 * node build/bench/table.js [--rows N] [--small N] [--dim N] [--optimizer NAME] [--keys N] [--batches N] [--threads N]
 *
 * An embedding table of many rows beside one of few, in one process. A step is lookup, gather and push of 1000 samples
 * of 26 signs: half of them of the most frequent 100,000 signs, the rest from all of the table. Both tables get the
 * same stream of random numbers, batch by batch in turns, so that whatever else the machine does meets both. Prints one
 * JSON line: samples a second of each (median batch), the median of the pairs' ratios and their quartiles, bytes in
 * all. Then the same of training: a network (400-400-400) over the 26 vectors, forward, backward and update included.
 */
import { Command } from 'commander';
import { setNumThreads } from 'tenon';
import { type BatchSchema, DNN, EmbeddingTable, type RowOptimizer, SparseTrainer } from 'tenon/recsys';

const options = new Command('table')
  .option('--rows <n>', 'rows of the large table', '50000000')
  .option('--small <n>', 'rows of the small table', '1000000')
  .option('--threads <n>', 'threads', '1')
  .option('--dim <n>', 'weights of a row', '8')
  .option('--optimizer <name>', 'row optimizer', 'rowAdagrad')
  .option('--keys <n>', 'signs per sample', '26')
  .option('--batches <n>', 'batches that are timed at each size', '200')
  .parse()
  .opts<{
    rows: string;
    small: string;
    threads: string;
    dim: string;
    optimizer: RowOptimizer['type'];
    keys: string;
    batches: string;
  }>();
const rows = Number(options.rows);
const dim = Number(options.dim);
const SAMPLES = 1000;
const signs = SAMPLES * Number(options.keys);

setNumThreads(Number(options.threads));

const hi = new Uint32Array(signs);
const lo = new Uint32Array(signs);
const weights = new Float32Array(signs * dim);
const gradients = new Float32Array(signs * dim).fill(0.01);
const shows = new Float32Array(signs).fill(1);
const clicks = new Float32Array(signs);

let x = 88172645;
const next = (): number => {
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return (x >>> 0) / 2 ** 32;
};

/** Sign number k: an odd multiple of it, as hashes have no order. */
function put(at: number, k: number): void {
  lo[at] = Math.imul(k, 0x9e3779b1);
  hi[at] = Math.imul(k, 0x85ebca6b) ^ k;
}

/** Milliseconds of one step with the signs that are put. */
function step(table: EmbeddingTable): number {
  const start = performance.now();
  const found = table.lookup(hi, lo, signs);
  table.gather(found, weights);
  table.push(found, gradients, shows, clicks);
  return performance.now() - start;
}

/** A table of `count` rows, and its longest step on the way. */
function grown(count: number): { readonly table: EmbeddingTable; readonly worst: number; readonly perSecond: number } {
  const table = new EmbeddingTable({ dim, optimizer: { type: options.optimizer } });
  const begun = performance.now();
  let worst = 0;
  for (let from = 0; from < count; from += signs) {
    for (let k = 0; k < signs; k++) put(k, from + k);
    worst = Math.max(worst, step(table));
  }
  return { table, worst, perSecond: Math.round((table.size / (performance.now() - begun)) * 1000) };
}

const frequent = new Float64Array(signs);
const anywhere = new Float64Array(signs);
function draw(): void {
  for (let k = 0; k < signs; k++) {
    frequent[k] = Math.floor(100_000 * next() ** 2);
    anywhere[k] = next();
  }
}

/** The drawn signs, of a table's own. */
function putFor({ table }: { readonly table: EmbeddingTable }): void {
  for (let k = 0; k < signs; k++) put(k, k & 1 ? frequent[k]! : Math.floor((table.size - 1) * anywhere[k]!));
}

function timed(of: { readonly table: EmbeddingTable }): number {
  putFor(of);
  return step(of.table);
}

const quantile = (of: readonly number[], q: number): number =>
  of.toSorted((a, b) => a - b)[Math.floor(q * (of.length - 1))]!;

const small = grown(Number(options.small));
const large = grown(rows);
interface Pair {
  readonly small: number;
  readonly large: number;
}

/**
 * Milliseconds of both, in turns. Who comes first changes, so that neither always finds the other's memory in cache.
 */
function inTurns(batches: number, run: (of: 'small' | 'large') => number): Pair[] {
  return Array.from({ length: batches }, (_, batch) => {
    draw();
    if (batch % 2 === 0) return { small: run('small'), large: run('large') };
    const large = run('large');
    return { small: run('small'), large };
  });
}

const tables = { small, large };
const times = inTurns(Number(options.batches), of => timed(tables[of]));

const keys = Number(options.keys);
const schema: BatchSchema = { slots: Array.from({ length: keys }, (_, s) => `s${s}`), dense: [], labels: ['click'] };
const trainerOf = ({ table }: { readonly table: EmbeddingTable }): SparseTrainer =>
  new SparseTrainer({ model: new DNN({ schema, dim }), table });
const trainers = { small: trainerOf(small), large: trainerOf(large) };
const offsets = Uint32Array.from({ length: signs + 1 }, (_, i) => i);
const labels = Float32Array.from({ length: SAMPLES }, (_, i) => i & 1);
function trained(of: 'small' | 'large'): number {
  putFor(tables[of]);
  const start = performance.now();
  trainers[of].step({ schema, size: SAMPLES, hi, lo, offsets, dense: new Float32Array(0), labels });
  return performance.now() - start;
}
inTurns(3, trained);
const training = inTurns(Math.ceil(Number(options.batches) / 2), trained);

const summary = (pairs: readonly Pair[]): object => {
  const ratios = pairs.map(pair => pair.small / pair.large);
  const speed = (of: 'small' | 'large'): number =>
    Math.round(
      (SAMPLES * 1000) /
        quantile(
          pairs.map(pair => pair[of]),
          0.5,
        ),
    );
  return {
    samples_per_s_small: speed('small'),
    samples_per_s: speed('large'),
    ratio: quantile(ratios, 0.5),
    ratio_quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
  };
};
console.log(
  JSON.stringify({
    bench: 'table',
    rows: large.table.size,
    rows_small: small.table.size,
    dim,
    optimizer: options.optimizer,
    threads: Number(options.threads),
    table: summary(times),
    training: summary(training),
    inserted_per_s: large.perSecond,
    longest_batch_ms: Math.round(large.worst),
    rss_gb: process.memoryUsage().rss / 1e9,
  }),
);
