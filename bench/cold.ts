/**
 * Process start to the first product read back: spawns cold-start.ts (compiled) as a user's own script would run.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Options, Result } from './report.ts';
import type { WorkloadSpec } from './spec.ts';

const script = fileURLToPath(new URL('./cold-start.js', import.meta.url));

function once(backend: string): Promise<{ seconds: number; rss: number }> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(process.execPath, [script, backend], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let seconds = 0;
    child.stdout.on('data', chunk => {
      text += chunk;
      if (!seconds && text.includes('\n')) seconds = (performance.now() - begin) / 1e3;
    });
    child.on('error', reject);
    child.on('close', () => {
      const [product, memory] = text.split('\n');
      if (product !== '{"c":[[3,3],[7,7]]}') reject(new Error(`cold start: the product came out as ${product}`));
      else resolve({ seconds, rss: JSON.parse(memory!).rss_mb });
    });
  });
}

export async function coldStart(spec: WorkloadSpec, options: Options): Promise<Result> {
  const times: number[] = [];
  let rss = 0;
  const reps = options.reps || spec.reps;
  for (let i = 0; i < spec.warmup + reps; i++) {
    const run = await once(options.backend);
    if (i >= spec.warmup) times.push(run.seconds);
    rss = run.rss;
  }
  return { times, peakRssMb: rss };
}
