/**
 * Running graphs: which backend, what is pending, the program cache, random keys, tracing. Imports graph, compiler and
 * backends; knows nodes and variables but no Tensor, module or optimizer.
 */

export { collect, isProfiling, record, span, type TraceEvent } from '../compiler/profile.ts';
export { noteMade, noteResult, quietly } from './asked.ts';
export {
  backend,
  backendName,
  backendNames,
  numThreads,
  setBackend,
  setNumThreads,
  whyUnavailable,
  withHostKernels,
} from './backends.ts';
export { Cell, type CellOptions, keepForFlush, pendingCells, releaseKept } from './cells.ts';
export { constantValue, isSymbolic } from './constants.ts';
export {
  drawingForExamples,
  drawingInLoop,
  type LoopKey,
  nextLoopKey,
  type Randomness,
  streamOf,
} from './drawing.ts';
export { evaluate, evaluateAsync, flush, flushUpdates } from './evaluate.ts';
export { defaultGenerator, Generator, manualSeed } from './generator.ts';
export { noticeOnce } from './notice.ts';
export { type ArgumentType, isTracing, type Trace, trace } from './trace.ts';
