/**
 * Matrix routines in loop IR against the reference, on WebAssembly and as machine code: many sizes, batches, both
 * dtypes, degenerate matrices.
 */
import { describe, expect, it } from 'vitest';
import { createX86Backend } from '../../src/backends/x86/index.ts';
import * as g from '../../src/graph/build.ts';
import { hostArray } from '../../src/graph/dtype.ts';
import { MATRIX_ROUTINES, type MatrixRoutine } from '../../src/graph/matrix.ts';
import type { Node } from '../../src/graph/node.ts';
import { machineCode } from '../backends/x86/available.ts';
import { Random } from '../fuzz/random.ts';
import { both, programOf } from './support.ts';

type Float = 'f32' | 'f64';
type Make = (r: Random, dtype: Float, shape: readonly number[]) => Node;

const random: Make = (r, dtype, shape) => {
  const host = hostArray(
    dtype,
    shape.reduce((a, n) => a * n, 1),
  ) as Float64Array;
  for (let i = 0; i < host.length; i++) host[i] = r.next() * 4 - 2;
  return g.data(host, shape, dtype);
};
/** Diagonally dominant. */
const dominant: Make = (r, dtype, shape) => {
  const x = random(r, dtype, shape);
  const n = shape[shape.length - 1]!;
  const host = x.value as Float64Array;
  for (let i = 0; i < host.length; i++) if (Math.floor(i / n) % n === i % n) host[i] = 2 * n + r.next();
  return x;
};
/** A column and a row of zeros. */
const deficient: Make = (r, dtype, shape) => {
  const x = random(r, dtype, shape);
  const n = shape[shape.length - 1]!;
  const host = x.value as Float64Array;
  for (let i = 0; i < host.length; i++) {
    if (i % n === n - 1 || Math.floor(i / n) % shape[shape.length - 2]! === 0) host[i] = 0;
  }
  return x;
};

type Inputs = (r: Random, dtype: Float, batch: readonly number[]) => Node[];
const SQUARE = [1, 2, 3, 5, 8, 17];
const RECTANGLES = [
  [1, 1],
  [3, 3],
  [4, 2],
  [2, 5],
  [9, 8],
  [8, 19],
  [1, 6],
  [7, 1],
];
const squares = (make: Make): Inputs[] => SQUARE.map(n => (r, dtype, batch) => [make(r, dtype, [...batch, n, n])]);
const rectangles = (make: Make): Inputs[] =>
  RECTANGLES.map(size => (r, dtype, batch) => [make(r, dtype, [...batch, ...size])]);
const systems = (first: (r: Random, dtype: Float, shape: readonly number[]) => Node): Inputs[] =>
  SQUARE.flatMap(n =>
    [1, 5].map(
      (k): Inputs =>
        (r, dtype, batch) => [first(r, dtype, [...batch, n, n]), random(r, dtype, [...batch, n, k])],
    ),
  );

const CASES: { readonly [R in MatrixRoutine]: readonly Inputs[] } = {
  cholesky: [...squares(dominant), ...squares(random)],
  solveTriangular: systems(dominant),
  solve: systems(random),
  lu: [...rectangles(random), ...rectangles(deficient)],
  permutation: [
    (_, dtype) => [g.data((dtype === 'f32' ? Float32Array : Float64Array).of(3, 2, 4, 4, 9), [1, 5], dtype)],
  ],
  det: [...squares(random), ...squares(deficient)],
  geqrf: [...rectangles(random), ...rectangles(deficient)],
  qr: [...rectangles(random), ...rectangles(deficient)],
  eigh: squares(random),
  eighUpper: squares(random),
  svd: [...rectangles(random), (r, dtype, batch) => [random(r, dtype, [...batch, 40, 33])]],
  pinv: [random, deficient].flatMap(make =>
    rectangles(make).map(
      (inputs): Inputs =>
        (r, dtype, batch) => [
          ...inputs(r, dtype, batch),
          g.broadcastTo(g.data((dtype === 'f32' ? Float32Array : Float64Array).of(1e-5, 1e-6), [1, 2], dtype), [
            ...batch,
            1,
            2,
          ]),
        ],
    ),
  ),
  ldl: [...squares(random), ...squares(deficient)],
  ldlSolve: systems((r, dtype, shape) => g.matrix('ldl', random(r, dtype, shape))),
};

const close = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): string | null => {
  let scale = 1;
  for (let i = 0; i < want.length; i++) if (Number.isFinite(want[i])) scale = Math.max(scale, Math.abs(want[i]!));
  for (let i = 0; i < want.length; i++) {
    const same = Object.is(got[i], want[i]) || Math.abs(got[i]! - want[i]!) <= tolerance * scale;
    if (!same) return `element ${i} is ${got[i]}, expected ${want[i]}`;
  }
  return got.length === want.length ? null : `${got.length} elements, expected ${want.length}`;
};

describe('equal to the reference', () => {
  const x86 = machineCode ? createX86Backend() : null;
  it.each(Object.keys(MATRIX_ROUTINES) as MatrixRoutine[])('%s', routine => {
    CASES[routine].forEach((make, c) => {
      for (const dtype of ['f32', 'f64'] as const)
        for (const batch of [[], [3]]) {
          const node = g.matrix(routine, ...make(new Random(c + 1), dtype, batch));
          const { compiled, reference } = both([node]);
          const tolerance = dtype === 'f32' ? 1e-6 : 1e-11;
          const what = `case ${c} ${dtype} [${node.inputs[0]!.shape}]`;
          const wrong = close(compiled[0] as Float64Array, reference[0] as Float64Array, tolerance);
          expect(wrong && `wasm, ${what}: ${wrong}`).toBeNull();
          if (!x86) continue;
          const program = programOf([node]);
          const executable = x86.compile(program);
          const [machine] = executable.run(program.leaves.map(leaf => leaf.value!));
          executable.free();
          const differs = close(machine as Float64Array, reference[0] as Float64Array, tolerance);
          expect(differs && `x86, ${what}: ${differs}`).toBeNull();
        }
    });
  });
});
