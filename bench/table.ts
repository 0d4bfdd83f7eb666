/**
 * node build/bench/table.js [--rows N] [--dim N] [--optimizer NAME] [--keys N] [--batches N]
 *
 * An embedding table at two sizes: 1 M rows and `rows` of them. A step is lookup, gather and push of 1000 samples of 26 signs, long-tailed over
 * the table. Prints one JSON line: samples a second at either size, their ratio, bytes in all.
 */
import { Command } from 'commander';
import { EmbeddingTable, type RowOptimizer } from 'tenon/recsys';

const options = new Command('table')
  .option('--rows <n>', 'rows of the large table', '50000000')
  .option('--dim <n>', 'weights of a row', '8')
  .option('--optimizer <name>', 'row optimizer', 'rowAdagrad')
  .option('--keys <n>', 'signs per sample', '26')
  .option('--batches <n>', 'batches that are timed at each size', '200')
  .parse()
  .opts<{ rows: string; dim: string; optimizer: RowOptimizer['type']; keys: string; batches: string }>();
const rows = Number(options.rows);
const dim = Number(options.dim);
const SAMPLES = 1000;
const signs = SAMPLES * Number(options.keys);

const table = new EmbeddingTable({ dim, optimizer: { type: options.optimizer } });
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

function step(): void {
  const found = table.lookup(hi, lo, signs);
  table.gather(found, weights);
  table.push(found, gradients, shows, clicks);
}

function growTo(count: number): number {
  let worst = 0;
  for (let from = table.size; from < count; from += signs) {
    for (let k = 0; k < signs; k++) put(k, from + k);
    const start = performance.now();
    step();
    worst = Math.max(worst, performance.now() - start);
  }
  return worst;
}

/** Samples a second: the median batch. */
function speed(): number {
  const times: number[] = [];
  for (let b = 0; b < Number(options.batches); b++) {
    // Half of the signs are of the most frequent 100,000, the rest from the whole table.
    for (let k = 0; k < signs; k++)
      put(k, k & 1 ? Math.floor(100_000 * next() ** 2) : Math.floor((table.size - 1) * next()));
    const start = performance.now();
    step();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return Math.round((SAMPLES / times[times.length >> 1]!) * 1000);
}

growTo(1_000_000);
const small = speed();
const start = performance.now();
const worst = growTo(rows);
const seconds = (performance.now() - start) / 1000;
const large = speed();
console.log(
  JSON.stringify({
    bench: 'table',
    rows: table.size,
    dim,
    optimizer: options.optimizer,
    samples_per_s_1m: small,
    samples_per_s: large,
    ratio: large / small,
    inserted_per_s: Math.round((table.size - 1_000_000) / seconds),
    longest_batch_ms: Math.round(worst),
    rss_gb: process.memoryUsage().rss / 1e9,
  }),
);
