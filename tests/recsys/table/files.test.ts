/** Files of rows: every mode, what does not fit, a full disk. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EmbeddingTable, type TableOptions } from 'tenon/recsys';
import { afterAll, describe, expect, it } from 'vitest';
import { push, rowsOf } from '../../support/pushes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

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

  it('a row that was deleted and came again waits for its vector in the rebuilt table, too', () => {
    const options: TableOptions = {
      dim: 3,
      wide: true,
      admission: { type: 'count', n: 3 },
      score: { base: 0, delta: 0, deleteBelow: 1.5 },
    };
    const table = new EmbeddingTable(options);
    const rebuilt = new EmbeddingTable(options);
    const file = path.join(folder, 'came-again');
    fill(table, 0, 10, 4);
    table.save(file, 'base');
    rebuilt.load(file);
    expect([table.shrink().kept, rebuilt.admitted]).toEqual([0, 10]);
    fill(table, 0, 10, 1);
    table.save(file, 'delta');
    rebuilt.applyDelta(file);
    expect([table.admitted, rebuilt.admitted]).toEqual([0, 0]);
    const served = (t: EmbeddingTable): unknown[] =>
      rowsOf(t).map(row => [row.sign, row.show, row.admitted, row.weights]);
    expect(served(rebuilt)).toEqual(served(table));
    // And has it once more when it is admitted.
    fill(table, 0, 10, 2);
    table.save(file, 'delta');
    rebuilt.applyDelta(file);
    expect([table.admitted, served(rebuilt)]).toEqual([10, served(table)]);
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

const place = temporaryFolder();

it('a save below what is no folder names the reason', () => {
  const file = path.join(place.write('no-folder', 'a file'), 'table');
  expect(() => new EmbeddingTable({ dim: 2 }).save(file, 'full')).toThrow(
    `cannot write ${file}: a part of its path is not a folder`,
  );
});

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
