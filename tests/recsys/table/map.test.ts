/** The embedding table against a plain Map under random operations, wherever its rows live. */
import path from 'node:path';
import fc from 'fast-check';
import { EmbeddingTable, type TableOptions } from 'tenon/recsys';
import { describe, expect, it } from 'vitest';
import { PagedBacking } from '../../../src/recsys/table/backing.ts';
import { type Push, pull, push, rowsOf } from '../../support/pushes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** The obvious table: SGD, everything in f32 where the table rounds. */
class MapTable {
  readonly rows = new Map<
    bigint,
    { show: number; click: number; delta: number; unseen: number; weights: number[] | null }
  >();

  push({ signs, gradients, shows, clicks }: Push, start: (sign: bigint) => number[], threshold: number): void {
    signs.forEach((sign, i) => {
      const row = this.rows.get(sign) ?? {
        show: 0,
        click: 0,
        delta: 0,
        unseen: 0,
        weights: threshold > 0 ? null : start(sign),
      };
      this.rows.set(sign, row);
      row.show = Math.fround(row.show + shows[i]!);
      row.click = Math.fround(row.click + clicks[i]!);
      row.delta = Math.fround(row.delta + (shows[i]! - clicks[i]!) * 0.1 + clicks[i]!);
      row.unseen = 0;
      if (row.weights) row.weights = row.weights.map(w => Math.fround(w - 0.05 * Math.fround(gradients[i]!)));
      else if (row.show >= threshold) row.weights = start(sign);
    });
  }

  shrink(): void {
    for (const [sign, row] of this.rows) {
      row.show = Math.fround(row.show * 0.98);
      row.click = Math.fround(row.click * 0.98);
      if ((row.show - row.click) * 0.1 + row.click < 0.8 || row.unseen > 2) this.rows.delete(sign);
    }
  }
}

const sign = fc.oneof(
  fc.bigInt({ min: 0n, max: 30n }),
  fc.bigInt({ min: 0n, max: 30n }).map(n => (1n << 64n) - 1n - n),
  fc.bigInt({ min: 0n, max: 30n }).map(n => (1n << 53n) + n),
  fc.bigInt({ min: 0n, max: 3n }).map(n => n << 32n),
);
const pushes = fc
  .uniqueArray(fc.tuple(sign, fc.float({ min: -2, max: 2, noNaN: true }), fc.integer({ min: 1, max: 12 }), fc.nat(3)), {
    selector: ([s]) => s,
    minLength: 1,
    maxLength: 20,
  })
  .map(list => ({
    kind: 'push' as const,
    signs: list.map(([s]) => s),
    gradients: list.map(([, g]) => g),
    shows: list.map(([, , s]) => s),
    clicks: list.map(([, , s, c]) => Math.min(s, c)),
  }));
const operation = fc.oneof(
  { weight: 6, arbitrary: pushes },
  { weight: 1, arbitrary: fc.constantFrom(...(['shrink', 'batch', 'restart'] as const)).map(kind => ({ kind })) },
);

describe('EmbeddingTable against a Map', () => {
  const folder = temporaryFolder().path;
  const variants: readonly [string, TableOptions, () => EmbeddingTable][] = (
    [
      ['vectors in the row', { dim: 3, optimizer: { type: 'sgd' }, score: { deleteAfterDays: 2 } }],
      [
        'vectors admitted by count',
        { dim: 3, optimizer: { type: 'sgd' }, admission: { type: 'count', n: 10 }, score: { deleteAfterDays: 2 } },
      ],
    ] as [string, TableOptions][]
  ).map(([name, options]) => [name, options, () => new EmbeddingTable(options)]);
  const paged = variants.map(
    ([name, options]) =>
      [`${name}, paged`, options, () => new EmbeddingTable(options, () => new PagedBacking(folder, 1))] as const,
  );
  const mapped = variants.map(
    ([name, options]) =>
      [`${name}, mapped`, options, () => new EmbeddingTable({ ...options, folder: folder })] as const,
  );

  it.each([...variants, ...paged, ...mapped])('%s', (_name, options, create) => {
    const threshold = options.admission?.type === 'count' ? options.admission.n : 0;
    const untouched = new EmbeddingTable({ ...options, admission: { type: 'always' } });
    const start = (s: bigint): number[] => [...pull(untouched, [s])];
    const file = path.join(folder, 'table');
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 25 }), operations => {
        let table = create();
        const model = new MapTable();
        for (const op of operations) {
          if (op.kind === 'push') {
            push(table, op);
            model.push(op, start, threshold);
          } else if (op.kind === 'shrink') {
            const before = model.rows.size;
            model.shrink();
            expect(table.shrink()).toEqual({ deleted: before - model.rows.size, kept: model.rows.size });
          } else if (op.kind === 'batch') {
            expect(table.save(file, 'batch').rows).toBe(model.rows.size);
            for (const row of model.rows.values()) row.unseen++;
          } else {
            table.save(file, 'full');
            table = create();
            table.load(file);
          }
        }
        expect(table.size).toBe(model.rows.size);
        expect(rowsOf(table).map(r => [r.sign, r.show, r.click, r.unseenDays, [...r.weights]])).toEqual(
          [...model.rows]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([s, r]) => [s, r.show, r.click, r.unseen, r.weights ?? [0, 0, 0]]),
        );
        for (const row of table.entries()) expect(row.deltaScore).toBeCloseTo(model.rows.get(row.sign)!.delta, 4);
      }),
      { numRuns: 60 },
    );
  });
});
