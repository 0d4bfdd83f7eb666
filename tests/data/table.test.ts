import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { columnOf, readTable, type Table } from '../../src/data/table.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

const rowsOf = (table: Table): string[][] =>
  Array.from({ length: table.rows }, (_, row) => table.columns.map(column => column.values[column.codes[row]!]!));

const read = (content: string, options = {}): Promise<Table> => readTable(folder.write('table.csv', content), options);

test('separator and header are told from the file', async () => {
  for (const separator of [',', '\t', ';', '|']) {
    const table = await read(
      [`age${separator}city`, `31${separator}Rome`, `42${separator}"a ${separator} b"`].join('\n'),
    );
    expect(table.columns.map(c => c.name)).toEqual(['age', 'city']);
    expect(rowsOf(table)).toEqual([
      ['31', 'Rome'],
      ['42', `a ${separator} b`],
    ]);
  }
});

test('without a header, columns go by their index', async () => {
  const table = await read('1,a\r\n2,b\r\n');
  expect(table.columns.map(c => c.name)).toEqual(['0', '1']);
  expect(rowsOf(table)).toEqual([
    ['1', 'a'],
    ['2', 'b'],
  ]);
  expect(columnOf(table, '1').values).toEqual(['a', 'b']);
  expect(() => columnOf(table, 'x')).toThrow('no column "x"; its columns are 0, 1');
  expect(rowsOf(await read('a,b\nc,d', { header: false }))).toHaveLength(2);
  expect(rowsOf(await read('a,b\nc,d', { header: true }))).toHaveLength(1);
});

test('fields are trimmed, empty lines and comment lines skipped, a byte order mark dropped', async () => {
  const table = await read('\ufeff|a comment\n 1 ,  x y \n\n2,\n', { comment: '|' });
  expect(rowsOf(table)).toEqual([
    ['1', 'x y'],
    ['2', ''],
  ]);
});

test('what is written by the rules of RFC 4180 is read back', async () => {
  const field = fc
    .string({ unit: fc.constantFrom('a', 'ß', '"', ',', '\n', '1', ' ', '|', '漢'), maxLength: 6 })
    .map(s => s.trim());
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(field, field, field), { minLength: 2, maxLength: 8 }), async rows => {
      const text = rows.map(row => row.map(f => `"${f.replaceAll('"', '""')}"`).join(',')).join('\n');
      expect(rowsOf(await read(text, { header: false, separator: ',' }))).toEqual(rows);
    }),
    { numRuns: 40 },
  );
});

test('gzip by content; a truncated or damaged one is named', async () => {
  const content = Array.from({ length: 500 }, (_, i) => `${i},${(i * 7919) % 1000}`).join('\n');
  const zipped = gzipSync(content);
  expect((await readTable(folder.write('t.csv', zipped))).rows).toBe(500);
  const cut = folder.write('cut.csv.gz', zipped.subarray(0, zipped.length - 20));
  await expect(readTable(cut)).rejects.toThrow(`${cut}: the gzip data ends too early`);
  const bad = Uint8Array.from(zipped);
  bad[zipped.length >> 1]! ^= 0x55;
  await expect(readTable(folder.write('bad.csv.gz', bad))).rejects.toThrow('the gzip data is damaged');
});

test('rows of another length, repeated names and empty files are named with their line', async () => {
  await expect(read('a,b\n1,2\n3,4,5\n')).rejects.toThrow('table.csv line 3: 3 fields, expected 2');
  await expect(read('a,a\n1,2\n', { header: true })).rejects.toThrow('two columns are named "a"');
  await expect(read('')).rejects.toThrow('it has no rows');
  await expect(read('a,b\n', { header: true })).rejects.toThrow('it has no rows');
  await expect(read('1,2\n', { names: ['x'] })).rejects.toThrow('2 fields, expected 1');
  await expect(read('a,"b\n1,2\n')).rejects.toThrow(/table\.csv.*[Qq]uote/);
  await expect(readTable(folder.file('absent.csv'))).rejects.toThrow('no such file or folder');
  await expect(readTable(folder.path)).rejects.toThrow('it is not a file');
  await expect(read(`1,${'x'.repeat(4000)}\n2,y`, { maxLineBytes: 1000 })).rejects.toThrow('table.csv');
});
