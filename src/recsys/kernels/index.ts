/**
 * Generated code for tables and pooling, written in loop IR and run where the backend can work on the host's arrays:
 * finding distinct signs and their rows, gathering, pooling, merging gradients of duplicates, the row optimizers. Each
 * kernel has a twin in plain TypeScript (named at its head), which runs everywhere else and gives the same bits,
 * whatever the threads. Imports the loop IR; knows no models, files or readers.
 */
export { DistinctKernel } from './distinct.ts';
export { MergeKernel, PoolKernel, type SlotPlan } from './pool.ts';
export { TableKernels, type TableMemory } from './rows.ts';
