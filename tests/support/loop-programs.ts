/**
 * Small loop programs written by hand, to test backends without the compiler.
 */
import { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import type { KernelBuffer, LoopKernel } from '../../src/compiler/loops.ts';
import type { ComingProgram, LoopProgram, PlacedKernel } from '../../src/compiler/program.ts';

const buffer = (name: string, elements: number, access: KernelBuffer['access']): KernelBuffer => ({
  name,
  dtype: 'f32',
  elements,
  access,
});

/** out[i] = fill(x[i]) for `n` elements, shared out in `chunks`. */
export function mapKernel(
  name: string,
  n: number,
  chunks: number,
  fill: (b: LoopBuilder, x: ReturnType<LoopBuilder['load']>) => ReturnType<LoopBuilder['load']>,
): LoopKernel {
  const b = new LoopBuilder();
  const per = Math.ceil(n / chunks);
  b.parallel(chunks, c => {
    const lo = b.mul(c, b.i32(per));
    const hi = b.bin('min', b.add(lo, b.i32(per)), b.i32(n));
    b.for(lo, hi, 1, i => b.store('f32', b.addr(1, i), fill(b, b.load('f32', b.addr(0, i)))));
  });
  return { name, buffers: [buffer('x', n, 'read'), buffer('out', n, 'write')], body: b.instructions };
}

/**
 * `steps` times, with a barrier before each: every element becomes its mirror image plus one, so each thread reads what
 * another wrote. Leaf 0 in, output 0 out; `steps` must be odd.
 */
export function mirrorProgram(n: number, steps: number): LoopProgram {
  const b = new LoopBuilder();
  b.parallel(n, i => {
    const mirrored = b.sub(b.i32(n - 1), i);
    b.store('f32', b.addr(1, i), b.add(b.load('f32', b.addr(0, mirrored)), b.const('f32', 1)));
  });
  const kernel: LoopKernel = {
    name: 'mirror',
    buffers: [buffer('x', n, 'read'), buffer('out', n, 'write')],
    body: b.instructions,
  };
  const bytes = Math.ceil((n * 4) / 64) * 64;
  const arena = (which: number) => ({ kind: 'arena' as const, offset: which * bytes });
  return {
    leaves: [{ dtype: 'f32', elements: n, written: false }],
    outputs: [{ dtype: 'f32', elements: n }],
    kernels: Array.from({ length: steps }, (_, s) => ({
      kernel,
      places: [
        s === 0 ? ({ kind: 'leaf', index: 0 } as const) : arena((s - 1) % 2),
        s === steps - 1 ? ({ kind: 'output', index: 0 } as const) : arena(s % 2),
      ],
      barrierBefore: s > 0,
      commits: false,
    })),
    preparations: 0,
    arenaBytes: 2 * bytes,
    keptBytes: 0,
    failSites: [],
  };
}

/** What `mirrorProgram` computes. */
export const mirrored = (x: Float32Array, steps: number): Float32Array =>
  steps === 0
    ? x
    : mirrored(
        x.toReversed().map(v => v + 1),
        steps - 1,
      );

/**
 * weight[i] += table[index] for one index, in place; leaf 0 is the weight, leaf 1 the table, leaf 2 the index. Fails
 * (site 0) when the index is outside the table. Output 0 is the sum of the new weight and the old one.
 */
export function gatherUpdateProgram(n: number, tableRows: number): LoopProgram {
  const check = new LoopBuilder();
  check.once(() => {
    const index = check.load('i64', check.addr(2));
    const bad = check.cmp('ltU', index, check.const('i64', BigInt(tableRows)));
    check.if(
      bad,
      () => {},
      () => check.fail(0, index),
    );
    const safe = check.select(bad, index, check.const('i64', 0n));
    const row = check.load('f32', check.addr(1, check.cvt('i32', safe)));
    check.for(0, n, 1, i => {
      const old = check.load('f32', check.addr(0, i));
      const now = check.add(old, row);
      check.store('f32', check.addr(3, i), now);
      check.store('f32', check.addr(4, i), check.add(old, now));
    });
  });
  return {
    leaves: [
      { dtype: 'f32', elements: n, written: true },
      { dtype: 'f32', elements: tableRows, written: false },
      { dtype: 'i64', elements: 1, written: false },
    ],
    outputs: [{ dtype: 'f32', elements: n }],
    kernels: [
      {
        kernel: {
          name: 'gather',
          buffers: [
            buffer('weight', n, 'read'),
            buffer('table', tableRows, 'read'),
            { name: 'index', dtype: 'i64', elements: 1, access: 'read' },
            buffer('new', n, 'write'),
            buffer('sum', n, 'write'),
          ],
          body: check.instructions,
        },
        places: [
          { kind: 'leaf', index: 0 },
          { kind: 'leaf', index: 1 },
          { kind: 'leaf', index: 2 },
          { kind: 'arena', offset: 0 },
          { kind: 'output', index: 0 },
        ],
        barrierBefore: false,
        commits: false,
      },
      {
        kernel: mapKernel('commit', n, 2, (_, x) => x),
        places: [
          { kind: 'arena', offset: 0 },
          { kind: 'leaf', index: 0 },
        ],
        barrierBefore: true,
        commits: true,
      },
    ],
    preparations: 0,
    arenaBytes: Math.ceil((n * 4) / 64) * 64,
    keptBytes: 0,
    failSites: [{ what: 'gather', size: tableRows }],
  };
}

/** Thread `thread` of the kernel's threads reads far outside the memory, which traps. */
export function trappingProgram(thread: number): LoopProgram {
  const program = mirrorProgram(1 << 15, 65);
  const b = new LoopBuilder();
  b.if(b.cmp('eq', b.thread(), b.i32(thread)), () => {
    const far = b.addr(0, b.i32(-(1 << 29)));
    b.store('f32', b.addr(1), b.load('f32', far));
  });
  const trap: LoopKernel = { ...program.kernels[0]!.kernel, body: b.instructions };
  return {
    ...program,
    kernels: program.kernels.map((k, i) => (i === 9 ? { ...k, kernel: trap } : k)),
  };
}

/** The program with a body of its own for each step. */
export const distinct = (program: LoopProgram): LoopProgram => ({
  ...program,
  kernels: program.kernels.map(placed => ({ ...placed, kernel: { ...placed.kernel, body: [...placed.kernel.body] } })),
});

/** The program with its kernels still to come, of which later ones need `most` bytes of the arena. */
export function coming(program: LoopProgram, most: number): ComingProgram {
  const kernels: PlacedKernel[] = [];
  const count = program.kernels.length;
  return {
    ...program,
    kernels,
    count,
    likelyBytes: program.arenaBytes,
    get arenaBytes() {
      return kernels.length > count / 2 ? Math.max(most, program.arenaBytes) : program.arenaBytes;
    },
    next() {
      kernels.push(program.kernels[kernels.length]!);
    },
  };
}
