/**
 * Lanes a few elements apart, read across: a transposition whose rows are short, of every length around a vector, and
 * every n-th element from each of its places, up to the last one of the memory it is in.
 */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { compile, type DType, Tensor } from '../../src/index.ts';

const TYPES = ['f32', 'i32', 'bf16', 'f16', 'u8', 'f64'] as const;
/** Numbers that every dtype has. */
const value = (i: number): number => (i * 7) % 101;

describe.each(TYPES)('%s', (dtype: DType) => {
  it.each([2, 3, 7, 9, 15, 16, 17])('%i apart', step => {
    for (const rows of [16, 33, 80]) {
      const x = Tensor.from(Float64Array.from({ length: rows * step }, (_, i) => value(i)), { shape: [rows, step] }); // biome-ignore format: short
      const all = compile((x: Tensor) => [x.t().contiguous(), ...Array.from({ length: step }, (_, k) => x.select(1, k).add(1))]); // biome-ignore format: short
      const [transposed, ...columns] = all(x.to(dtype).eval());
      const column = (k: number): number[] => Array.from({ length: rows }, (_, row) => value(row * step + k));
      const numbers = (x: Tensor): number[] => Array.from(x.to('f32').data(), Number);
      expect(numbers(transposed!)).toEqual(Array.from({ length: step }, (_, k) => column(k)).flat());
      for (const [k, x] of columns.entries()) expect(numbers(x)).toEqual(column(k).map(v => v + 1));
    }
  });
});
