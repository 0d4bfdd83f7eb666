/**
 * Reading samples in worker threads. A worker cannot be handed a live dataset, so it is given a module that makes one.
 */
import { Worker } from 'node:worker_threads';
import type { Dataset } from './dataset.ts';

/** A dataset that knows the module it came from. */
export interface ModuleDataset<T> extends Dataset<T> {
  readonly module: string;
  readonly options: unknown;
}

/**
 * The dataset that the default export of `module` (a URL or absolute path of a JavaScript module) makes of `options`,
 * which must be structured-cloneable. Samples must be so too: numbers, strings, typed arrays, images, tuples and
 * objects of them, not tensors.
 */
export async function moduleDataset<T>(module: string | URL, options: unknown = {}): Promise<ModuleDataset<T>> {
  const href = String(module);
  const { default: make } = (await import(href)) as { default?: unknown };
  if (typeof make !== 'function') throw new Error(`moduleDataset: ${href} has no function as its default export`);
  const dataset = (await make(options)) as Dataset<T>;
  return {
    length: dataset.length,
    get: (index, epoch) => dataset.get(index, epoch),
    module: href,
    options,
  };
}

export const isModuleDataset = <T>(dataset: Dataset<T>): dataset is ModuleDataset<T> =>
  typeof (dataset as Partial<ModuleDataset<T>>).module === 'string';

/** Plain JavaScript, because a worker starts from built and from source trees alike. */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const dataset = import(workerData.module).then(m => m.default(workerData.options));
parentPort.on('message', async ({ id, indices, epoch }) => {
  try {
    const source = await dataset;
    const samples = await Promise.all(Array.from(indices, index => source.get(index, epoch)));
    parentPort.postMessage({ id, samples });
  } catch (error) {
    parentPort.postMessage({ id, failure: error instanceof Error ? error.message : String(error) });
  }
});
`;

interface Answer<T> {
  readonly id: number;
  readonly samples?: T[];
  readonly failure?: string;
}

interface Waiting<T> {
  resolve(samples: T[]): void;
  reject(error: Error): void;
}

/** Workers that each hold the dataset; batch k is read by worker k mod n. */
export class WorkerPool<T> {
  private readonly workers: Worker[] = [];
  private readonly waiting = new Map<number, Waiting<T>>();
  private asked = 0;

  constructor(dataset: ModuleDataset<T>, count: number) {
    for (let i = 0; i < count; i++) {
      const worker = new Worker(WORKER, {
        eval: true,
        workerData: { module: dataset.module, options: dataset.options },
      });
      worker.on('message', (answer: Answer<T>) => this.settle(answer));
      worker.on('error', error => this.failAll(`a data worker failed: ${(error as Error).message}`));
      worker.on('exit', code => this.failAll(`a data worker ended with code ${code}`));
      this.workers.push(worker);
    }
  }

  /** Samples `indices`, read by the next worker. */
  read(indices: ArrayLike<number>, epoch: number): Promise<T[]> {
    const id = this.asked++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.workers[id % this.workers.length]!.postMessage({ id, indices: Array.from(indices), epoch });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map(worker => worker.terminate()));
  }

  private settle({ id, samples, failure }: Answer<T>): void {
    const { resolve, reject } = this.waiting.get(id)!;
    this.waiting.delete(id);
    if (samples) resolve(samples);
    else reject(new Error(`DataLoader: reading in a worker failed: ${failure}`));
  }

  private failAll(message: string): void {
    for (const { reject } of this.waiting.values()) reject(new Error(`DataLoader: ${message}`));
    this.waiting.clear();
  }
}
