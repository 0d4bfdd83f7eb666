/**
 * What one machine can do at most, measured by loops of our own in the same process as a workload: multiply-adds
 * between registers and of what the first cache holds, and bytes copied between arrays that fit no cache. The only
 * place of the benchmarks that reaches below the Tensor API.
 */
import { queryCpu } from '#tenon/backends/x86/cpu.js';
import { Machine } from '#tenon/backends/x86/machine.js';
import { Native } from '#tenon/backends/x86/memory/native.js';
import { type Stream, sweep } from '#tenon/compiler/contract/micro.js';
import { LoopBuilder } from '#tenon/compiler/loop-builder.js';
import type { LoopKernel } from '#tenon/compiler/loops.js';
import type { LoopProgram } from '#tenon/compiler/program.js';
import { hostArray } from '#tenon/graph/dtype.js';
import { Variable } from '#tenon/graph/storage.js';

export interface Peaks {
  /** GFLOP/s of fused multiply-adds on f32, all threads together. */
  readonly fmaGflops: number;
  /**
   * The same where operands are loaded from the first cache, as a product's register tile loads them: processors lower
   * their clock for that.
   */
  readonly fedGflops: number;
  /** GB/s read and written by a copy of 64 MB. */
  readonly copyGbPerS: number;
}

const LANES = 16;
const SUMS = 24;
const ROUNDS = 20_000;
/** Shares of the work, dealt out to the threads. */
const SHARES = 64;
/** 3 x 16 columns and 8 rows of 128 steps: 28 KB. */
const TILE_ROWS = 8;
const TILE_VECTORS = 3;
const TILE_STEPS = 128;
const TILES = 150;
const COPIED = 16 << 20;

function fmaKernel(): LoopKernel {
  const b = new LoopBuilder();
  b.parallel(SHARES, share => {
    const factor = b.const('f32', 0.5, LANES);
    const sums = Array.from({ length: SUMS }, (_, i) => b.copy(b.const('f32', i, LANES)));
    b.for(0, ROUNDS, 1, () => {
      for (const sum of sums) b.move(sum, b.fma(sum, factor, factor));
    });
    const all = sums.reduce((x, y) => b.add(x, y));
    b.store('f32', b.addr(0, b.mul(share, b.i32(LANES))), all);
  });
  const buffers = [{ name: 'sums', dtype: 'f32', elements: SHARES * LANES, access: 'write' }] as const;
  return { name: 'fma peak', buffers, body: b.instructions };
}

/** A register tile of a product, over and over, whose panels stay in the first cache. */
function fedKernel(): LoopKernel {
  const b = new LoopBuilder();
  b.parallel(SHARES, share => {
    const zero = b.const('f32', 0, LANES);
    const sums = Array.from({ length: TILE_ROWS }, () => Array.from({ length: TILE_VECTORS }, () => b.copy(zero)));
    const rows: Stream = { dtype: 'f32', from: b.addr(1, b.i32(0)), across: 1, along: TILE_ROWS };
    const columns: Stream = { dtype: 'f32', from: b.addr(2, b.i32(0)), across: LANES, along: TILE_VECTORS * LANES };
    b.for(0, TILES, 1, () => sweep(b, 'f32', LANES, sums, TILE_STEPS, rows, columns, 2));
    b.store(
      'f32',
      b.addr(0, b.mul(share, b.i32(LANES))),
      sums.flat().reduce((x, y) => b.add(x, y)),
    );
  });
  const buffers = [
    { name: 'sums', dtype: 'f32', elements: SHARES * LANES, access: 'write' },
    { name: 'rows', dtype: 'f32', elements: TILE_STEPS * TILE_ROWS, access: 'read' },
    { name: 'columns', dtype: 'f32', elements: TILE_STEPS * TILE_VECTORS * LANES, access: 'read' },
  ] as const;
  return { name: 'fed fma peak', buffers, body: b.instructions };
}

function copyKernel(): LoopKernel {
  const unroll = 4 * LANES;
  const share = COPIED / SHARES;
  const b = new LoopBuilder();
  b.parallel(SHARES, i => {
    const first = b.mul(i, b.i32(share));
    const [from, to] = [b.addr(0, first), b.addr(1, first)];
    b.for(0, share, unroll, at => {
      const [source, target] = [b.advance(from, at, 4), b.advance(to, at, 4)];
      for (let v = 0; v < unroll; v += LANES) b.store('f32', target, b.load('f32', source, v * 4, LANES), v * 4);
    });
  });
  const buffers = [
    { name: 'from', dtype: 'f32', elements: COPIED, access: 'read' },
    { name: 'to', dtype: 'f32', elements: COPIED, access: 'write' },
  ] as const;
  return { name: 'copy', buffers, body: b.instructions };
}

function program(kernel: LoopKernel): LoopProgram {
  return {
    leaves: kernel.buffers.map(({ dtype, elements }) => ({ dtype, elements, written: true })),
    outputs: [],
    kernels: [
      {
        kernel,
        places: kernel.buffers.map((_, index) => ({ kind: 'leaf', index })),
        barrierBefore: false,
        commits: false,
      },
    ],
    preparations: 0,
    arenaBytes: 0,
    keptBytes: 0,
    failSites: [],
  };
}

/** Seconds of the fastest of several runs over fresh variables. */
function fastest(machine: Machine, kernel: LoopKernel, runs: number): number {
  const executable = machine.load(program(kernel));
  const variables = kernel.buffers.map(
    ({ dtype, elements }) => new Variable([elements], dtype, hostArray(dtype, elements)),
  );
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    executable.run(variables);
    best = Math.min(best, performance.now() - start);
  }
  return best / 1e3;
}

/** Measures them on `threads` threads: some 0.4 s. Null without AVX-512, which the loops are written with. */
export function measurePeaks(threads: number): Peaks | null {
  const native = new Native();
  if (!queryCpu(native).avx512) return null;
  const machine = new Machine(native, 'avx512');
  machine.threads = threads;
  const flop = 2 * SHARES * ROUNDS * SUMS * LANES;
  const fed = 2 * SHARES * TILES * TILE_STEPS * TILE_ROWS * TILE_VECTORS * LANES;
  return {
    fmaGflops: flop / fastest(machine, fmaKernel(), 5) / 1e9,
    fedGflops: fed / fastest(machine, fedKernel(), 5) / 1e9,
    copyGbPerS: (2 * COPIED * 4) / fastest(machine, copyKernel(), 5) / 1e9,
  };
}
