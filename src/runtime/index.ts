/**
 * Running graphs: which backend, what is pending, the program cache, random keys, tracing. Imports graph, compiler and backends; knows
 * nodes and variables but no Tensor, module or optimizer.
 */

export { backend, backendNames, numThreads, setBackend, setNumThreads, whyUnavailable } from './backends.ts';
export { Cell, keepForFlush, pendingCells } from './cells.ts';
export { evaluate, evaluateAsync, flush, flushAsync } from './evaluate.ts';
export { defaultGenerator, type Generator, manualSeed } from './generator.ts';
export { isTracing, type Trace, trace } from './trace.ts';
