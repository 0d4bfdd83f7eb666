/** The life of rows: admission, ageing, the end of a day, the memory limit. */
import { existsSync, readFileSync } from 'node:fs';
import { EmbeddingTable, type TableOptions } from 'tenon/recsys';
import { describe, expect, it } from 'vitest';
import { pull, push, rowsOf } from '../../support/pushes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

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

it('signs over 64 bits and numbers that lost digits are refused', () => {
  const table = new EmbeddingTable({ dim: 1 });
  expect(() => table.row(1n << 64n)).toThrow(
    'sign: 18446744073709551616 came, expected an unsigned integer of 64 bits',
  );
  expect(() => table.row(-1n)).toThrow('sign: -1 came');
  expect(() => table.row(2 ** 53)).toThrow('sign: 9007199254740992 came');
  expect(table.row(2 ** 53 - 1)).toBeNull();
});

describe('admission costs memory when it comes', () => {
  it.each([
    ['sgd', 0, 0],
    ['rowAdagrad', 1, 1],
    ['adagrad', 1, 8],
    ['adam', 2, 16],
    ['ftrl', 2, 16],
  ] as const)('%s: one weight and its state until then', (type, wideState, vectorState) => {
    const table = new EmbeddingTable({ dim: 8, wide: true, optimizer: { type }, admission: { type: 'count', n: 3 } });
    const signs = Array.from({ length: 1000 }, (_, i) => BigInt(i));
    const once = (): void =>
      push(table, {
        signs,
        gradients: signs.map(() => 0.1),
        shows: signs.map(() => 1),
        clicks: signs.map(() => 0),
      });
    once();
    // sign (2 words), link, slot and age, delta score, show, click; the index beside it
    const rare = 4 * (7 + 1 + wideState) + 20;
    expect([table.size, table.admitted, table.bytes]).toEqual([1000, 0, 1000 * rare]);
    once();
    expect(table.admitted).toBe(0);
    once();
    expect([table.admitted, table.bytes]).toEqual([1000, 1000 * (rare + 4 * (8 + vectorState))]);
  });
});

describe('a memory limit', () => {
  const limit = 40_000;
  const signs = Array.from({ length: 400 }, (_, i) => BigInt(i));
  const batch = (table: EmbeddingTable, from: number, count: number, shows = 1): void =>
    push(table, {
      signs: signs.slice(from, from + count),
      gradients: Array(count).fill(0.5),
      shows: Array(count).fill(shows),
      clicks: Array(count).fill(0),
    });
  const options: TableOptions = {
    dim: 32,
    wide: true,
    admission: { type: 'count', n: 2 },
    memoryLimit: limit,
  };

  it('holds for vectors that are admitted later: evict', () => {
    const table = new EmbeddingTable({ ...options, atLimit: 'evict' });
    for (let from = 0; from < 400; from += 50) batch(table, from, 50);
    expect([table.size, table.admitted]).toEqual([400, 0]);
    for (let from = 0; from < 400; from += 50) {
      batch(table, from, 50);
      expect(table.bytes).toBeLessThanOrEqual(limit);
    }
    // Rows that were shown once made room for those that were shown twice, and the ones of a push are spared by it.
    expect(table.evicted).toBeGreaterThan(100);
    for (const { admitted, show } of table.entries()) expect(admitted).toBe(show === 2);
    for (const sign of signs.slice(350)) expect(table.row(sign)).not.toBeNull();
  });

  it('holds for vectors that are admitted later: refuse', () => {
    const table = new EmbeddingTable({ ...options, atLimit: 'refuse' });
    for (let round = 0; round < 3; round++)
      for (let from = 0; from < 400; from += 50) {
        batch(table, from, 50);
        expect(table.bytes).toBeLessThanOrEqual(limit);
      }
    expect([table.size, table.evicted]).toEqual([400, 0]);
    expect(table.admitted).toBe(Math.floor((limit - 400 * table.rowBytes) / table.vectorBytes));
    // Those that wait learn their one weight.
    expect(table.row(399n)).toMatchObject({ admitted: false, show: 3 });
    expect(table.row(399n)!.weights[0]).not.toBe(0);
  });

  it('holds for files that are loaded', () => {
    const file = temporaryFolder().file('table');
    const whole = new EmbeddingTable({ dim: 32 });
    for (let from = 0; from < 400; from += 50) batch(whole, from, 50, 1 + from);
    whole.save(file, 'full');
    const room = Math.floor(limit / whole.rowBytes);
    const evicting = new EmbeddingTable({ dim: 32, memoryLimit: limit });
    evicting.load(file);
    expect(evicting.bytes).toBeLessThanOrEqual(limit);
    expect(evicting.row(399n)).toEqual(whole.row(399n));
    expect(evicting.row(0n)).toBeNull();
    expect(evicting.evicted).toBe(400 - evicting.size);
    const refusing = new EmbeddingTable({ dim: 32, memoryLimit: limit, atLimit: 'refuse' });
    refusing.load(file);
    expect([refusing.size, refusing.refused]).toEqual([room, 400 - room]);
  });

  it('evicts the lowest score first, among equals the longest unseen, then the smallest sign', () => {
    const table = new EmbeddingTable({ dim: 1, memoryLimit: 8 * 56, score: { deleteBelow: 0 } });
    const file = temporaryFolder().file('day');
    const show = (sign: number, shows: number): void =>
      push(table, { signs: [BigInt(sign)], gradients: [0], shows: [shows], clicks: [0] });
    expect(table.rowBytes).toBe(56);
    show(1, 5);
    show(2, 4);
    table.save(file, 'batch'); // a day older
    show(3, 5);
    show(4, 5);
    for (const sign of [5, 6, 7, 8]) show(sign, 9);
    for (const gone of [2, 1, 3, 4]) {
      show(100 + gone, 20);
      expect(table.row(gone)).toBeNull();
      expect(table.size).toBe(8);
    }
  });

  it('spills into files: the bits of a table in memory', () => {
    const folder = temporaryFolder().path;
    const plain: TableOptions = {
      dim: 8,
      wide: true,
      optimizer: { type: 'adagrad' },
      admission: { type: 'count', n: 2 },
    };
    const memoryLimit = 1 << 20;
    const spilling = new EmbeddingTable({ ...plain, memoryLimit, folder });
    const inMemory = new EmbeddingTable(plain);
    for (let round = 0; round < 3; round++)
      for (let part = 0; part < 20; part++)
        for (const table of [spilling, inMemory]) {
          const some = Array.from(
            { length: 1500 },
            (_, i) => (BigInt(part * 1500 + i) * 0x9e37_79b9_7f4a_7c15n) % (1n << 64n),
          );
          push(table, {
            signs: some,
            gradients: some.map((_, i) => (i % 7) - 3),
            shows: some.map(() => 1),
            clicks: some.map((_, i) => i % 2),
          });
        }
    expect(spilling.bytes).toBe(inMemory.bytes);
    expect(spilling.bytes).toBeGreaterThan(3 * memoryLimit);
    expect(spilling.fileBytes).toBeGreaterThan(spilling.bytes - spilling.index.bytes - memoryLimit);
    expect(inMemory.fileBytes).toBe(0);
    expect(rowsOf(spilling)).toEqual(rowsOf(inMemory));
    const saved = temporaryFolder().file('full');
    spilling.save(saved, 'full');
    spilling.load(saved);
    expect(rowsOf(spilling)).toEqual(rowsOf(inMemory));
  });

  const status = '/proc/self/status';
  it.skipIf(!existsSync(status))('of a table ten times as large is what the process takes', () => {
    const anonymous = (): number => 1024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync(status, 'utf8'))![1]);
    const memoryLimit = 8 << 20;
    const table = new EmbeddingTable({
      dim: 240,
      optimizer: { type: 'sgd' },
      memoryLimit,
      folder: temporaryFolder().path,
    });
    const count = 1000;
    const some = (part: number): bigint[] => Array.from({ length: count }, (_, i) => BigInt(part * count + i));
    const { hi, lo } = { hi: new Uint32Array(count), lo: new Uint32Array(count) };
    const gradients = new Float32Array(count * 240).fill(0.5);
    const ones = new Float32Array(count).fill(1);
    const train = (part: number): void => {
      lo.set(some(part).map(Number));
      table.push(table.lookup(hi, lo, count), gradients, ones, ones);
    };
    train(0);
    const before = anonymous();
    for (let part = 1; part < 90; part++) train(part);
    expect(table.bytes).toBeGreaterThan(10 * memoryLimit);
    expect(anonymous() - before).toBeLessThan(4 * memoryLimit);
    // The first rows and the last are there, and go on learning.
    const first = pull(table, [5n])[0]!;
    train(0);
    expect(pull(table, [5n])[0]).toBe(Math.fround(first - 0.025));
  });

  it('says what it needs', () => {
    expect(() => new EmbeddingTable({ dim: 1, atLimit: 'spill' })).toThrow(
      "EmbeddingTable: atLimit: spill came, expected 'evict' or 'refuse' without a memoryLimit and a folder",
    );
    // 9 words, and a place in the index of 20 bytes.
    expect(() => new EmbeddingTable({ dim: 1, memoryLimit: 55 })).toThrow(
      'EmbeddingTable: memoryLimit: 55 bytes came, expected at least 56, of one row',
    );
    expect(() => new EmbeddingTable({ dim: 1, memorylimit: 5 } as never)).toThrow(
      'EmbeddingTable: "memorylimit" came, expected one of dim, wide, optimizer',
    );
    expect(() => new EmbeddingTable({ dim: 1, admission: { type: 'counts' } as never })).toThrow(
      'EmbeddingTable: admission.type: "counts" came, expected one of always, probability, count, score',
    );
  });
});
