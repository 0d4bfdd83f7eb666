/** What cold.ts spawns: import, multiply 2x2, print. */
import { readFileSync } from 'node:fs';
import { ones, setBackend, Tensor } from 'tenon';

if (process.argv[2]) setBackend(process.argv[2]);
const product = Tensor.from([
  [1, 2],
  [3, 4],
]).matmul(ones([2, 2]));
console.log(JSON.stringify({ c: product.toArray() }));
const peak = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(JSON.stringify({ rss_mb: Math.round(Number(peak![1]) / 102.4) / 10 }));
