/** The embedding table against a plain Map under random operations; its life, its files and its limits. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { tensor } from 'tenon';
import {
  EmbeddingTable,
  type RowOptimizer,
  type Sign,
  signParts,
  type TableOptions,
  type TableRow,
} from 'tenon/recsys';
import { afterAll, describe, expect, it } from 'vitest';
import { PagedBacking } from '../../src/recsys/table/backing.ts';
import { hashSign } from '../../src/recsys/table/hash.ts';
import { formula, probe } from '../support/formula.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

interface Push {
  readonly signs: readonly bigint[];
  readonly gradients: readonly number[];
  readonly shows: readonly number[];
  readonly clicks: readonly number[];
}

const halves = (signs: readonly Sign[]): [Uint32Array, Uint32Array] => [
  Uint32Array.from(signs, s => signParts(s).hi),
  Uint32Array.from(signs, s => signParts(s).lo),
];

/** Pushes distinct signs, with one gradient value for all weights of a sign. */
function push(table: EmbeddingTable, { signs, gradients, shows, clicks }: Push): void {
  const found = table.lookup(...halves(signs), signs.length);
  expect(found.unique).toBe(signs.length);
  const values = Float32Array.from(
    { length: signs.length * table.width },
    (_, i) => gradients[Math.floor(i / table.width)]!,
  );
  table.push(found, values, Float32Array.from(shows), Float32Array.from(clicks));
}

function pull(table: EmbeddingTable, signs: readonly Sign[]): Float32Array {
  const found = table.lookup(...halves(signs), signs.length);
  const out = new Float32Array(found.unique * table.width);
  table.gather(found, out);
  return out;
}

const rowsOf = (table: EmbeddingTable): TableRow[] =>
  [...table.entries()].sort((a, b) => (a.sign < b.sign ? -1 : a.sign > b.sign ? 1 : 0));

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

/** PyTorch's figures for sparse tables (tests/support/torch_reference.py), in f64; rows are f32. */
describe('row optimizers agree with PyTorch', () => {
  const TRAJECTORIES = JSON.parse(readFileSync(new URL('../fixtures/sparse.json', import.meta.url), 'utf8')) as Record<
    string,
    number[][]
  >;
  const OPTIMIZERS: Readonly<Record<string, (step: number) => RowOptimizer>> = {
    SGD: () => ({ type: 'sgd', lr: 0.5 }),
    // The fixture's rate decays as 0.1 / (1 + 0.1 t).
    Adagrad: step => ({ type: 'adagrad', lr: 0.1 / (1 + 0.1 * step), initialAccumulator: 0.1 }),
    SparseAdam: () => ({ type: 'adam', lr: 0.05, betas: [0.8, 0.95] }),
  };

  it.each(Object.keys(OPTIMIZERS))('%s', name => {
    const folder = temporaryFolder().path;
    const file = path.join(folder, 'table');
    let table = new EmbeddingTable({ dim: 3, optimizer: OPTIMIZERS[name]!(0) });
    const ids = Array.from({ length: 12 }, (_, i) => i);
    const start = formula(5, [12, 3]).data();
    for (const id of ids) {
      const row = table.insert(hashSign(0, id), 0, id);
      table.rows
        .segment(row)
        .f32.set([...start.slice(3 * id, 3 * id + 3)].map(Number), table.rows.at(row) + table.layout.vector);
    }
    const target = formula(6, [7, 3]).data();
    TRAJECTORIES[`${name} rows`]!.forEach((expected, step) => {
      if (step > 0 && name === 'Adagrad') {
        // The rate is the table's own: another rate is another table with the same rows.
        table.save(file, 'full');
        table = new EmbeddingTable({ dim: 3, optimizer: OPTIMIZERS[name]!(step) });
        table.load(file);
      }
      const batch = Array.from({ length: 7 }, (_, k) => (3 * k * k + step * k) % 10);
      const found = table.lookup(new Uint32Array(7), Uint32Array.from(batch), 7);
      const rows = new Float32Array(3 * found.unique);
      table.gather(found, rows);
      const gradients = new Float32Array(3 * found.unique);
      let loss = 0;
      // mean((tanh(w) - y)^2): slope 2 (tanh(w) - y) (1 - tanh(w)^2) / 21
      for (let k = 0; k < 7; k++)
        for (let d = 0; d < 3; d++) {
          const at = 3 * found.inverse[k]! + d;
          const y = Math.tanh(rows[at]!);
          const off = y - Number(target[3 * k + d]);
          loss += off ** 2 / 21;
          gradients[at] = gradients[at]! + (2 * off * (1 - y * y)) / 21;
        }
      table.push(found, gradients, new Float32Array(found.unique).fill(1), new Float32Array(found.unique));
      const all = ids.flatMap(id => [...table.row(id)!.weights]);
      const actual = [loss, ...probe(tensor(Float64Array.from(all), { shape: [12, 3] }))];
      for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(3e-6);
    });
  });
});

describe('the life of rows', () => {
  it('deletes at the end of the day what was never clicked and shown less than 9 times', () => {
    const table = new EmbeddingTable({ dim: 2 });
    const signs = Array.from({ length: 12 }, (_, i) => BigInt(i + 1));
    push(table, { signs, gradients: signs.map(() => 0), shows: signs.map(Number), clicks: signs.map(() => 0) });
    table.shrink();
    expect(rowsOf(table).map(r => r.sign)).toEqual([9n, 10n, 11n, 12n]);
  });

  it('gives a vector once the score is there, and one weight until then', () => {
    const table = new EmbeddingTable({
      dim: 4,
      wide: true,
      admission: { type: 'score', threshold: 3 },
      optimizer: { type: 'sgd', lr: 1 },
    });
    const once = (clicks: number): void => push(table, { signs: [7n], gradients: [0.5], shows: [2], clicks: [clicks] });
    once(1); // score 1.1: created
    expect(table.row(7n)).toMatchObject({ admitted: false, show: 2, click: 1 });
    expect([...table.row(7n)!.weights]).toEqual([-0.5, 0, 0, 0, 0]);
    const before = table.bytes;
    once(2); // score 3.1: the vector starts; this push's gradient moves the wide weight only
    expect(table.row(7n)).toMatchObject({ admitted: true });
    expect(table.bytes - before).toBe(4 * 4);
    expect(table.row(7n)!.weights[1]).not.toBe(0);
    expect(Math.abs(table.row(7n)!.weights[1]!)).toBeLessThan(1e-4);
    once(0);
    expect(table.row(7n)!.weights[1]).toBeCloseTo(-0.5, 3);
  });

  it('creates rows with the probability asked for', () => {
    const signs = Array.from({ length: 4000 }, (_, i) => BigInt(i));
    const one = (admission: TableOptions['admission']): number => {
      const table = new EmbeddingTable({ dim: 1, admission });
      push(table, { signs, gradients: signs.map(() => 0), shows: signs.map(() => 1), clicks: signs.map(() => 0) });
      return table.size / signs.length;
    };
    // binomial, four standard deviations
    expect(Math.abs(one({ type: 'probability', p: 0.3 }) - 0.3)).toBeLessThan(0.029);
    expect(Math.abs(one({ type: 'score' }) - 0.1)).toBeLessThan(0.019);
  });

  it.each(['evict', 'refuse'] as const)('keeps the memory limit: %s', atLimit => {
    const limit = 20_000;
    const table = new EmbeddingTable({ dim: 4, memoryLimit: limit, atLimit });
    for (let day = 0; day < 20; day++) {
      const signs = Array.from({ length: 40 }, (_, i) => BigInt(day * 40 + i));
      push(table, {
        signs,
        gradients: signs.map(() => 1),
        shows: signs.map((_, i) => i + 1),
        clicks: signs.map(() => 0),
      });
      expect(table.bytes).toBeLessThanOrEqual(limit);
    }
    expect(table.size).toBeGreaterThan(200);
    if (atLimit === 'refuse') expect([table.refused, table.size]).toEqual([800 - table.size, table.size]);
    else {
      expect(table.evicted).toBe(800 - table.size);
      // what stays was shown more than what went: the last rows pushed with 40 shows are all there
      for (let day = 0; day < 20; day++) expect(table.row(BigInt(day * 40 + 39))).not.toBeNull();
    }
  });
});

describe('files of rows', () => {
  const folder = temporaryFolder().path;
  const fill = (table: EmbeddingTable, from: number, count: number, shows: number): void => {
    const signs = Array.from({ length: count }, (_, i) => BigInt(from + i) << 40n);
    push(table, {
      signs,
      gradients: signs.map((_, i) => 0.01 * i - 1),
      shows: signs.map(() => shows),
      clicks: signs.map((_, i) => i % 2),
    });
  };

  it.each(['sgd', 'rowAdagrad', 'adagrad', 'adam', 'sharedAdam', 'ftrl'] as const)(
    'a restart is no different from going on: %s',
    type => {
      const options: TableOptions = { dim: 5, wide: true, optimizer: { type }, admission: { type: 'count', n: 3 } };
      const straight = new EmbeddingTable(options);
      const first = new EmbeddingTable(options);
      const file = path.join(folder, 'full');
      for (const table of [straight, first]) {
        fill(table, 0, 300, 2);
        fill(table, 100, 300, 2);
        table.shrink();
      }
      first.save(file, 'full');
      const restarted = new EmbeddingTable(options);
      restarted.load(file);
      for (const table of [straight, restarted]) {
        fill(table, 50, 400, 3);
        table.shrink();
        fill(table, 0, 30, 1);
      }
      expect(rowsOf(restarted)).toEqual(rowsOf(straight));
      const again = path.join(folder, 'again');
      restarted.save(again, 'full');
      restarted.load(again);
      expect(rowsOf(restarted)).toEqual(rowsOf(straight));
    },
  );

  it('a base and its deltas give what a full save has', () => {
    const table = new EmbeddingTable({ dim: 3, score: { base: 0, delta: 0.05 } });
    const at = folder;
    fill(table, 0, 100, 2);
    table.save(path.join(at, 'base'), 'base');
    fill(table, 50, 100, 1);
    expect(table.save(path.join(at, 'delta-1'), 'delta').rows).toBe(100);
    fill(table, 140, 20, 5);
    expect(table.save(path.join(at, 'delta-2'), 'delta').rows).toBe(20);
    expect(table.save(path.join(at, 'delta-3'), 'delta').rows).toBe(0);
    table.save(path.join(at, 'full'), 'full');
    const full = new EmbeddingTable({ dim: 3 });
    full.load(path.join(at, 'full'));
    const rebuilt = new EmbeddingTable({ dim: 3 });
    rebuilt.load(path.join(at, 'base'));
    for (const n of [1, 2, 3]) rebuilt.applyDelta(path.join(at, `delta-${n}`));
    const served = (t: EmbeddingTable): unknown[] =>
      rowsOf(t).map(({ sign, show, click, weights }) => [sign, show, click, weights]);
    expect(served(rebuilt)).toEqual(served(full));
  });

  it('a base holds the rows that are worth serving', () => {
    const table = new EmbeddingTable({ dim: 1 });
    push(table, { signs: [1n, 2n, 3n], gradients: [0, 0, 0], shows: [10, 15, 2], clicks: [0, 0, 1] });
    table.save(path.join(folder, 'b'), 'base'); // scores 1.0, 1.5 and 1.1 against 1.5
    const other = new EmbeddingTable({ dim: 1 });
    const file = path.join(folder, 'base');
    expect(table.save(file, 'base').rows).toBe(1);
    other.load(file);
    expect(rowsOf(other).map(r => r.sign)).toEqual([2n]);
  });

  it('refuses files that do not fit, and keeps its rows', () => {
    const at = folder;
    const file = path.join(at, 'table');
    const table = new EmbeddingTable({ dim: 3 });
    fill(table, 0, 100, 2);
    table.save(file, 'full');
    const bytes = readFileSync(file);
    const damaged = (name: string, change: (copy: Buffer) => unknown): string => {
      const target = path.join(at, name);
      const copy = Buffer.from(bytes);
      const changed = change(copy);
      writeFileSync(target, changed instanceof Buffer ? changed : copy);
      return target;
    };
    const before = rowsOf(table);
    const refuses = (target: string, sentence: RegExp, into = table): void =>
      expect(() => into.load(target)).toThrow(sentence);
    refuses(file, /dim 3; this table has dim 4$/, new EmbeddingTable({ dim: 4 }));
    refuses(
      file,
      /optimizer rowAdagrad; this table has optimizer adam$/,
      new EmbeddingTable({ dim: 3, optimizer: { type: 'adam' } }),
    );
    refuses(file, /wide false; this table has wide true$/, new EmbeddingTable({ dim: 3, wide: true }));
    refuses(
      damaged('v', b => b.writeUInt32LE(9, 8)),
      /version 9; this reads version 1$/,
    );
    refuses(
      damaged('m', b => b.write('x')),
      /not a table file$/,
    );
    refuses(
      damaged('s', b => b.subarray(0, b.length / 2)),
      /cut short/,
    );
    refuses(
      damaged('c', b => b.writeInt8(77, b.length / 2)),
      /damaged/,
    );
    refuses(
      damaged('t', b => Buffer.concat([b, b])),
      /damaged/,
    );
    refuses(path.join(at, 'nowhere'), /cannot read .*nowhere: no such file or folder$/);
    expect(() => table.save(path.join(at, 'no', 'where'), 'full')).toThrow(/no such file or folder$/);
    expect(rowsOf(table)).toEqual(before);
    table.load(file);
    expect(rowsOf(table)).toEqual(before);
  });
});

it('signs over 64 bits and numbers that lost digits are refused', () => {
  const table = new EmbeddingTable({ dim: 1 });
  expect(() => table.row(1n << 64n)).toThrow(
    'sign: 18446744073709551616 came, expected an unsigned integer of 64 bits',
  );
  expect(() => table.row(-1n)).toThrow('sign: -1 came');
  expect(() => table.row(2 ** 53)).toThrow('sign: 9007199254740992 came');
  expect(table.row(2 ** 53 - 1)).toBeNull();
});

/** A disk of 1 MB, null where this process may not mount one. */
function smallDisk(name: string): string | null {
  const disk = temporaryFolder().file(name);
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return disk;
}

describe('a full disk', () => {
  const disk = smallDisk('disk');
  afterAll(() => {
    if (disk) execFileSync('umount', ['-l', disk]);
  });
  const grow = (table: EmbeddingTable, from: number, count: number): void =>
    push(table, {
      signs: Array.from({ length: count }, (_, k) => BigInt(from + k)),
      gradients: Array(count).fill(0.5),
      shows: Array(count).fill(2),
      clicks: Array(count).fill(2),
    });

  it.skipIf(!disk)(
    disk ? 'a save that does not fit' : 'a save that does not fit (skipped: no file system can be mounted here)',
    () => {
      const file = path.join(disk!, 'table');
      const table = new EmbeddingTable({ dim: 8 });
      grow(table, 0, 5000);
      const { rows } = table.save(file, 'full');
      grow(table, 5000, 20_000);
      const before = rowsOf(table);
      for (const mode of ['full', 'base', 'delta', 'batch'] as const)
        expect(() => table.save(file, mode)).toThrow(`cannot write ${file}: no space left on the disk`);
      // Neither the file nor the table has changed, and nothing is left beside it.
      expect(rowsOf(table)).toEqual(before);
      expect(readdirSync(disk!)).toEqual(['table']);
      const again = new EmbeddingTable({ dim: 8 });
      again.load(file);
      expect(again.size).toBe(rows);
      // A table whose rows live in files there: what it has is kept.
      const mapped = new EmbeddingTable({ dim: 8, folder: disk! });
      grow(mapped, 0, 10);
      expect(() => {
        for (let k = 10; ; k += 2000) grow(mapped, k, 2000);
      }).toThrow(`EmbeddingTable: folder ${disk}: cannot grow the file of rows: no space left on the disk`);
      expect(mapped.row(3n)!.show).toBe(2);
    },
  );
});
