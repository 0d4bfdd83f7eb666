import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { parquetWriteFile } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import {
  avazuFeatures,
  BatchReader,
  criteoFeatures,
  type FeatureSpec,
  Features,
  type Format,
  type ReaderOptions,
  type SparseBatch,
  signOf,
} from '../../../src/recsys/index.ts';
import { gatherBatch } from '../../../src/recsys/read/batches.ts';
import { planUnits } from '../../../src/recsys/read/unit.ts';
import { sharedData, testWithData } from '../../support/sharedData.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();

async function readAll(
  files: readonly string[],
  options: Partial<ReaderOptions> & Pick<ReaderOptions, 'format' | 'features'>,
) {
  const reader = new BatchReader(files, { batchSize: 64, threads: 0, ...options });
  const batches: SparseBatch[] = [];
  for await (const batch of reader) batches.push(batch);
  return { ...reader.stats, batches, all: gatherBatch(reader.features.schema, batches) };
}

const plain = ({ size, hi, lo, offsets, dense, labels }: SparseBatch): object => ({
  size,
  hi: [...hi],
  lo: [...lo],
  offsets: [...offsets],
  dense: [...dense],
  labels: [...labels],
});

const bag = (batch: SparseBatch, row: number, slot: string): bigint[] => {
  const s = row * batch.schema.slots.length + batch.schema.slots.indexOf(slot);
  return Array.from({ length: batch.offsets[s + 1]! - batch.offsets[s]! }, (_, i) =>
    signOf(batch.hi[batch.offsets[s]! + i]!, batch.lo[batch.offsets[s]! + i]!),
  );
};

/** Criteo-like lines whose first count is the line's number. */
function criteoLines(count: number, first = 0): string {
  const line = (i: number): string =>
    [
      i % 3 === 0 ? 1 : 0,
      i,
      ...Array.from({ length: 12 }, (_, d) => (d % 5 === i % 5 ? '' : (i * d) % 97)),
      ...Array.from({ length: 26 }, (_, c) =>
        c === i % 26 ? '' : ((i * 31 + c) % 1000).toString(16).padStart(8, '0'),
      ),
    ].join('\t');
  return Array.from({ length: count }, (_, i) => `${line(first + i)}\n`).join('');
}
const lineNumbers = (batch: SparseBatch): number[] =>
  Array.from({ length: batch.size }, (_, i) => Math.round(Math.expm1(batch.dense[13 * i]!)));
const criteo = { format: { type: 'criteo' }, features: criteoFeatures() } as const;

describe('formats', () => {
  it('slot text, sign first: signs beyond 2^53 are exact, slots come in any order and several times', async () => {
    const path = folder.write(
      'slots.txt',
      '1:click 18446744073709551615:7 9007199254740993:8 3:7 0.5:d\n0:click 4:8 1:99\n',
    );
    const features: FeatureSpec = {
      labels: ['click'],
      dense: ['d'],
      slots: [
        { type: 'id', name: '7' },
        { type: 'id', name: '8' },
      ],
    };
    const { all } = await readAll([path], { format: { type: 'slots' }, features });
    expect([...all.labels]).toEqual([1, 0]);
    expect([...all.dense]).toEqual([0.5, 0]);
    expect([bag(all, 0, '7'), bag(all, 0, '8')]).toEqual([[2n ** 64n - 1n, 3n], [2n ** 53n + 1n]]);
    expect([bag(all, 1, '7'), bag(all, 1, '8')]).toEqual([[], [4n]]);
  });

  it('MultiSlot', async () => {
    const path = folder.write('multi.txt', '1 1 2 18446744073709551614 5 3 0.1 0.2 0.3\n1 0 0 3 1 2 3\n');
    const features: FeatureSpec = {
      labels: ['y'],
      dense: [{ name: 'd', width: 3 }],
      slots: [{ type: 'id', name: 's' }],
    };
    const { all } = await readAll([path], { format: { type: 'multislot', slots: ['y', 's', 'd'] }, features });
    expect([...all.labels]).toEqual([1, 0]);
    expect([bag(all, 0, 's'), bag(all, 1, 's')]).toEqual([[2n ** 64n - 2n, 5n], []]);
    expect([...all.dense]).toEqual([0.1, 0.2, 0.3, 1, 2, 3].map(Math.fround));
  });

  it('CSV with quotes, line breaks inside them, other separators and blanks', async () => {
    const path = folder.write('a.csv', 'y,"name",x\r\n1,"a, ""b""\nc",2\r\n\r\n0,,3\n1,"",4');
    const features: FeatureSpec = { labels: ['y'], dense: ['x'], slots: ['name'] };
    const { all } = await readAll([path], { format: { type: 'csv' }, features });
    const served = new Features(features).extractAll([
      { y: 1, name: 'a, "b"\nc', x: 2 },
      { y: 0, name: '', x: 3 },
      { y: 1, x: 4 },
    ]);
    expect(plain(all)).toEqual(plain(served));
    const blanks = folder.write('b.csv', '1; a ;2\n0;b; 3\n');
    const format: Format = { type: 'csv', separator: ';', columns: ['y', 'name', 'x'], trim: true };
    const { all: trimmed } = await readAll([blanks], { format, features });
    expect(plain(trimmed)).toEqual(
      plain(
        new Features(features).extractAll([
          { y: 1, name: 'a', x: 2 },
          { y: 0, name: 'b', x: 3 },
        ]),
      ),
    );
  });

  it('CSV whose header has quoted names with separators and quotes in them', async () => {
    const features = { labels: ['click'], slots: ['item, name', 'the "user"', 'plain'] } as const;
    const path = folder.write('header.csv', '\ufeff"item, name" , plain,"the ""user""",click\r\n"a, b",c,d,1\r\n');
    const batches: SparseBatch[] = [];
    for await (const batch of new BatchReader([path], { format: { type: 'csv' }, features, batchSize: 2, threads: 0 }))
      batches.push(batch);
    const record = { 'item, name': 'a, b', 'the "user"': 'd', plain: 'c', click: 1 };
    const { hi, lo } = new Features(features).extract(record);
    expect([batches.length, [...batches[0]!.hi], [...batches[0]!.lo]]).toEqual([1, [...hi], [...lo]]);
    const empty = folder.write('no-rows.csv', '');
    for await (const _ of new BatchReader([empty], { format: { type: 'csv' }, features, batchSize: 2, threads: 0 }))
      expect.unreachable();
    for (const header of ['"item, name,plain', '"item" x,plain']) {
      const broken = folder.write('broken-header.csv', `${header}\n1,2\n`);
      const reader = new BatchReader([broken], { format: { type: 'csv' }, features, batchSize: 2, threads: 0 });
      await expect(reader[Symbol.asyncIterator]().next()).rejects.toThrow(
        `${broken}: the names of the columns in the first line have a quote that does not end there`,
      );
    }
  });

  it('a quote that is never closed spoils its line and not the rest of the file', async () => {
    const rows = Array.from({ length: 40_000 }, (_, i) => `${i % 2},n${i},${i}\n`);
    rows[10] = '1,"open,5\n';
    const path = folder.write('open.csv', `y,name,x\n${rows.join('')}`);
    const features: FeatureSpec = { labels: ['y'], dense: ['x'], slots: ['name'] };
    const quarantine = folder.file('open.bad');
    const { all, lines, bad } = await readAll([path], { format: { type: 'csv' }, features, badLines: { quarantine } });
    expect([all.size, lines, bad]).toEqual([39_999, 40_000, 1]);
    expect(readFileSync(quarantine, 'utf8')).toContain('"line":12,"reason":"a quoted field does not end"');
  });

  it('a line longer than a quoted field may be is one example like any other', async () => {
    const text = 'x'.repeat(400_000);
    const path = folder.write('long.csv', `y,name,x\n1,${text},2\n0,b,3\n`);
    const features: FeatureSpec = { labels: ['y'], dense: ['x'], slots: ['name'] };
    const { all, lines, bad } = await readAll([path], { format: { type: 'csv' }, features });
    expect([all.size, lines, bad]).toEqual([2, 2, 0]);
    expect(plain(all)).toEqual({
      ...plain(
        new Features(features).extractAll([
          { name: text, x: 2 },
          { name: 'b', x: 3 },
        ]),
      ),
      labels: [1, 0],
    });
  });

  it("a byte order mark is no part of the first line's first value", async () => {
    const features: FeatureSpec = { labels: ['y'], slots: ['name'] };
    const lines = 'Zürich,1\r\nBern,0';
    const format: Format = { type: 'csv', columns: ['name', 'y'] };
    const read = async (name: string, content: string | Buffer): Promise<object> =>
      plain((await readAll([folder.write(name, content)], { format, features })).all);
    const want = await read('no-mark.csv', lines);
    expect(await read('mark.csv', `\ufeff${lines}`)).toEqual(want);
    expect(await read('mark.csv.gz', gzipSync(`\ufeff${lines}`))).toEqual(want);
    const wide = folder.write('utf16.csv', Buffer.from(`\ufeff${lines}`, 'utf16le'));
    await expect(readAll([wide], { format, features })).rejects.toThrow(`${wide}: the text is UTF-16, expected UTF-8`);
  });

  it('Parquet, with lists and 64-bit integers', async () => {
    const path = folder.file('a.parquet');
    await parquetWriteFile({
      filename: path,
      columnData: [
        { name: 'click', data: [1, 0, 1], type: 'INT32' },
        { name: 'user', data: [5n, 2n ** 62n, 7n], type: 'INT64' },
        { name: 'city', data: ['Zürich', null, 'Bern'], type: 'STRING' },
        { name: 'price', data: [1.5, 2.5, null], type: 'DOUBLE' },
      ],
    });
    const features: FeatureSpec = {
      labels: ['click'],
      dense: ['price'],
      slots: [{ type: 'id', name: 'user' }, 'city'],
    };
    const { all } = await readAll([path], { format: { type: 'parquet' }, features });
    const records = [
      { click: 1, user: 5n, city: 'Zürich', price: 1.5 },
      { click: 0, user: 2n ** 62n, price: 2.5 },
      { click: 1, user: 7n, city: 'Bern' },
    ];
    expect(plain(all)).toEqual(plain(new Features(features).extractAll(records)));
  });

  it('gzip is told by its bytes, whatever the name', async () => {
    const text = criteoLines(5000);
    const path = folder.write('plain.tsv', text);
    const want = plain((await readAll([path], criteo)).all);
    const gzip = folder.write('gzip.tsv', gzipSync(text));
    const members = folder.write(
      'members.gz',
      Buffer.concat([gzipSync(criteoLines(2000)), gzipSync(criteoLines(3000, 2000))]),
    );
    for (const file of [gzip, members]) expect(plain((await readAll([file], criteo)).all)).toEqual(want);
  });
});

const zstd = '/usr/bin/zstd';
it.skipIf(!existsSync(zstd))(
  existsSync(zstd) ? 'zstd as the program zstd writes it, also several frames' : 'zstd (skipped: apt-get install zstd)',
  async () => {
    const parts = [criteoLines(2000), criteoLines(3000, 2000)].map((text, i) => folder.write(`part${i}.tsv`, text));
    const packed = parts.map(path => execFileSync(zstd, ['-q', '-c', path]));
    const path = folder.write('zstd.tsv', Buffer.concat(packed));
    const { all } = await readAll([path], criteo);
    expect(lineNumbers(all)).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    // A frame to be passed over, one without content or checksum, incompressible content, many blocks.
    const skipped = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5);
    const empty = folder.write('empty.tsv', '');
    const bare = execFileSync(zstd, ['-q', '-c', '--no-check', empty]);
    const many = folder.write('many.tsv', criteoLines(40_000));
    const blocks = execFileSync(zstd, ['-q', '-1', '-c', many], { maxBuffer: 1 << 26 });
    const mixed = folder.write('mixed.zst', Buffer.concat([skipped, bare, packed[0]!, skipped, blocks]));
    expect((await readAll([mixed], criteo)).all.size).toBe(42_000);
  },
);

it.skipIf(!existsSync(zstd))(
  'damaged zstd is an error wherever a bit has turned, and truncated anywhere too',
  async () => {
    const whole = execFileSync(zstd, ['-q', '-c', folder.write('flip.tsv', criteoLines(300))]);
    for (let k = 0; k < 40; k++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(((k + 0.5) / 40) * bytes.length);
      bytes[at]! ^= 1 << (k % 8);
      const reading = readAll([folder.write('flipped.zst', bytes)], criteo);
      await expect(reading, `bit ${k % 8} of byte ${at}`).rejects.toThrow(
        /flipped.zst: the zstd data (is damaged|ends too early)/,
      );
      const cut = folder.write('short.zst', whole.subarray(0, Math.max(5, at)));
      await expect(readAll([cut], criteo)).rejects.toThrow('short.zst: the zstd data ends too early (truncated file?)');
    }
  },
);

describe('threads, shuffle and batches', () => {
  // 9 MB and more: two units, the second of which begins in the middle of a line.
  const path = folder.write('large.tsv', criteoLines(60_000));
  const small = [0, 1, 2, 3, 4, 5].map(i => folder.write(`small${i}.tsv`, criteoLines(1500, 60_000 + 1500 * i)));
  const files = [path, ...small];

  it('every line once, and the same batches with any number of threads', async () => {
    expect(planUnits(files, criteo.format).length).toBeGreaterThan(7);
    const alone = await readAll(files, { ...criteo, batchSize: 1000 });
    expect(alone.batches.map(batch => batch.size)).toEqual(Array(69).fill(1000));
    expect(lineNumbers(alone.all).sort((a, b) => a - b)).toEqual(Array.from({ length: 69_000 }, (_, i) => i));
    for (const threads of [1, 3]) {
      const { batches } = await readAll(files, { ...criteo, batchSize: 1000, threads });
      expect(
        batches.every((batch, i) => JSON.stringify(plain(batch)) === JSON.stringify(plain(alone.batches[i]!))),
      ).toBe(true);
    }
  });

  it('the shuffle is a permutation, the same for a seed, another for each epoch, and global within its buffer', async () => {
    const order = async (seed: number, epoch: number, buffer?: number): Promise<number[]> =>
      lineNumbers((await readAll(small, { ...criteo, batchSize: 100, shuffle: { seed, epoch, buffer } })).all);
    const first = await order(1, 0);
    expect(await order(1, 0)).toEqual(first);
    expect(await order(1, 1)).not.toEqual(first);
    expect(await order(2, 0)).not.toEqual(first);
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 9000 }, (_, i) => 60_000 + i));
    // Of a perfect shuffle the expected distance between neighbours is n / 3.
    const distance = (of: readonly number[]): number =>
      of.reduce((sum, x, i) => sum + (i ? Math.abs(x - of[i - 1]!) : 0), 0) / of.length;
    expect(distance(first)).toBeGreaterThan(2800);
    const bounded = await order(1, 0, 1000);
    expect([...bounded].sort((a, b) => a - b)).toEqual([...first].sort((a, b) => a - b));
    expect(distance(bounded)).toBeGreaterThan(300);
  });

  it('the shuffled order does not depend on the threads', async () => {
    const shuffle = { seed: 4, buffer: 5000 };
    const order = async (threads: number): Promise<number[]> =>
      lineNumbers((await readAll(files, { ...criteo, batchSize: 1000, threads, shuffle })).all);
    const alone = await order(0);
    for (const threads of [1, 2]) expect(await order(threads)).toEqual(alone);
  });

  it('dropLast leaves out what does not fill a batch', async () => {
    const { batches } = await readAll([small[0]!], { ...criteo, batchSize: 400, dropLast: true });
    expect(batches.map(batch => batch.size)).toEqual([400, 400, 400]);
    expect((await readAll([small[0]!], { ...criteo, batchSize: 400 })).batches.at(-1)!.size).toBe(300);
  });

  it('threads that a loop left early go on with the next, from its beginning', async () => {
    const options = { ...criteo, batchSize: 1000, threads: 2 };
    const signsOf = async (from: typeof options): Promise<Buffer> => Buffer.from((await readAll(files, from)).all.lo);
    const expected = await signsOf({ ...options, threads: 0 });
    for (let round = 0; round < 3; round++) {
      const begun = new BatchReader(files, options);
      for await (const batch of begun) {
        expect(batch.size).toBe(1000);
        break;
      }
      expect((await signsOf(options)).equals(expected)).toBe(true);
    }
  });

  it('a loop that is left early lets the threads go', async () => {
    for await (const batch of new BatchReader(files, { ...criteo, batchSize: 10, threads: 2 })) {
      expect(batch.size).toBe(10);
      break;
    }
  });
});

describe('bad input', () => {
  it('bad lines are counted and kept with file, line and reason, in any part of a file, and do not disturb the good ones', async () => {
    const lines = criteoLines(60_000).split('\n');
    lines[4] = 'a\tb';
    lines[55_555] = lines[55_555]!.replace(/^\d/, '');
    lines[55_556] = `${lines[55_556]}\tmore`;
    lines[55_557] = lines[55_557]!.replace(/^\d\t\d+/, '1\tmany');
    const path = folder.write('bad.tsv', lines.join('\n'));
    const quarantine = folder.file('bad.jsonl');
    const { all, lines: read, bad } = await readAll([path], { ...criteo, threads: 2, badLines: { quarantine } });
    expect([all.size, read, bad]).toEqual([59_996, 60_000, 4]);
    const kept = readFileSync(quarantine, 'utf8')
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(kept.sort((a, b) => a.line - b.line).map(({ file, line, reason }) => [file, line, reason])).toEqual([
      [path, 5, '2 fields, expected 40'],
      [path, 55_556, 'label label is missing'],
      [path, 55_557, '41 fields, expected 40'],
      [path, 55_558, 'dense column I1: "many" is not a number'],
    ]);
    expect(kept[0].text).toBe('a\tb');
  });

  it('numbers that no model could learn from make a line a bad one: infinities, labels that are no probability', async () => {
    const lines = [
      '1,1e39,5', // beyond f32
      '0,2,1e999', // beyond f64
      '5,1,2',
      '-1,1,2',
      '1e999,1,2',
      '0.25,3,4',
    ];
    const quarantine = folder.file('infinite.bad');
    const format: Format = { type: 'csv', columns: ['y', 'a', 'b'] };
    // Flat records have a way of their own through stretches of plain columns; columns of several values do not take
    // it.
    for (const width of [undefined, 1]) {
      const features: FeatureSpec = { labels: ['y'], slots: [], dense: ['a', { name: 'b', width }] };
      const path = folder.write('infinite.csv', `${lines.join('\n')}\n`);
      const { all, bad } = await readAll([path], { format, features, badLines: { quarantine, maxShare: 1 } });
      expect([bad, [...all.labels], [...all.dense]]).toEqual([5, [0.25], [3, 4]]);
      const reasons = readFileSync(quarantine, 'utf8').trimEnd().split('\n');
      expect(reasons.map(line => JSON.parse(line).reason)).toEqual([
        'dense column a: "1e39" is too large for f32',
        'dense column b: "1e999" is too large for f32',
        'label y: 5 came, expected a number from 0 to 1',
        'label y: -1 came, expected a number from 0 to 1',
        'label y: 1e999 came, expected a number from 0 to 1',
      ]);
    }
    const rated: FeatureSpec = { labels: [{ name: 'y', range: [-1, 5] }], slots: [] };
    const path = folder.write('rated.csv', '5,,\n-1,,\n6,,\n');
    const { all, bad } = await readAll([path], { format, features: rated, badLines: { maxShare: 1 } });
    expect([bad, [...all.labels]]).toEqual([1, [5, -1]]);
  });

  it('too many are an error that names the first', async () => {
    const path = folder.write('toomany.tsv', `x\n${criteoLines(30)}y\nz\n`);
    await expect(readAll([path], { ...criteo, badLines: { maxShare: 1, max: 2 } })).rejects.toThrow(
      `3 of 33 lines are bad, expected at most 2; the first is ${path}, line 1: 1 field, expected 40`,
    );
    await expect(readAll([path], criteo)).rejects.toThrow('3 of 33 lines are bad, expected at most 5 %');
    expect((await readAll([path], { ...criteo, badLines: { maxShare: 0.2 } })).all.size).toBe(30);
  });

  const slots: FeatureSpec = {
    labels: ['click'],
    slots: [
      { type: 'id', name: '1', single: true },
      { type: 'id', name: '2' },
    ],
  };
  it.each<[Format, string, string]>([
    [
      { type: 'slots' },
      '1:click 18446744073709551616:1',
      'slot 1: sign 18446744073709551616 is over 64 bits (18446744073709551615 is the largest sign)',
    ],
    [{ type: 'slots' }, '1:click -3:1', 'slot 1: sign -3 is negative, signs are unsigned'],
    [{ type: 'slots' }, '1:click 3:-1', 'slot -1 is negative'],
    [{ type: 'slots' }, '1:click 3:1 4:1', 'slot 1 is there more than once'],
    [{ type: 'slots' }, '1:click 0:click 3:1', 'label click is there more than once'],
    [{ type: 'slots' }, '3:1 4:2', 'label click is missing'],
    [{ type: 'slots' }, '1:click 3', '"3" has no slot, expected sign:slot'],
    [{ type: 'slots' }, '1:click 3:', '"3:" has an empty slot'],
    [{ type: 'slots' }, '1:click abc:1', 'slot 1: sign abc is not a whole number'],
    [{ type: 'multislot', slots: ['click', '1', '2'] }, '1 1 2 5', 'slot 1 says 2 values, and the line ends after 1'],
    [{ type: 'multislot', slots: ['click', '1', '2'] }, '1 1 1 5', 'the line ends before slot 2'],
    [{ type: 'multislot', slots: ['click', '1', '2'] }, '1 1 1 5 1 6 7', 'the line goes on behind its 3 slots'],
    [{ type: 'multislot', slots: ['click', '1', '2'] }, '1 1 x 5 1 6', 'slot 1: "x" is not a number of values'],
  ])('%j: %s', async (format, line, reason) => {
    const path = folder.write('one.txt', `${line}\n`);
    await expect(readAll([path], { format, features: slots })).rejects.toThrow(`line 1: ${reason}`);
  });

  it.each<[string, string, Uint8Array | null]>([
    ['cut.gz', 'cut.gz: the gzip data ends too early (truncated file?)', gzipSync(criteoLines(2000)).subarray(0, 9000)],
    [
      'members.gz',
      'members.gz: the gzip data ends too early (truncated file?)',
      Buffer.concat([gzipSync(criteoLines(2000)), gzipSync(criteoLines(2000)).subarray(0, 9000)]),
    ],
    ['damaged.gz', 'damaged.gz: the gzip data is damaged', gzipSync(criteoLines(2000)).fill(7, 5000, 6000)],
    ['cut.zst', 'cut.zst: the zstd data ends too early (truncated file?)', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 4, 0)],
    ['absent.tsv', 'absent.tsv: no such file or folder', null],
  ])('%s: %s', async (name, sentence, bytes) => {
    const path = bytes ? folder.write(name, bytes) : folder.file(name);
    for (const threads of [0, 1]) await expect(readAll([path], { ...criteo, threads })).rejects.toThrow(sentence);
  });

  it('a folder in the place of a file is named', async () => {
    const path = folder.file('');
    await expect(readAll([path], criteo)).rejects.toThrow(`cannot read ${path}: it is not a file`);
  });

  it('a damaged Parquet file is named', async () => {
    const path = folder.write('damaged.parquet', 'PAR1 nothing PAR1');
    await expect(readAll([path], { format: { type: 'parquet' }, features: { slots: ['a'] } })).rejects.toThrow(
      `${path}: not a readable Parquet file`,
    );
  });

  it.each<[Format, string]>([
    [{ type: 'multislot', slots: ['a', 'b', 'a'] }, 'format multislot: slot a is there twice'],
    [{ type: 'csv', columns: ['a', 'b', 'a'] }, 'format csv: column a is there twice'],
    [{ type: 'csv', separator: '||' }, 'format csv: separator: "||" came, expected one ASCII character'],
    [{ type: 'csv', header: false }, 'format csv: the columns have no names: give columns, or header: true'],
  ])('%j: %s', async (format, sentence) => {
    const path = folder.write('any.txt', 'a,b,c\n');
    await expect(readAll([path], { format, features: { slots: ['a'] } })).rejects.toThrow(sentence);
  });
});

describe('the public samples load', () => {
  const samples = 'recsys/format-samples';
  const at = (name: string): string => sharedData(samples, name);
  const numbered = (count: number, letter = 'c'): string[] => Array.from({ length: count }, (_, i) => `${letter}${i}`);
  const ids = (...names: string[]) => names.map(name => ({ type: 'id' as const, name }));

  const cases: Record<string, { format: Format; features: FeatureSpec; rows: number }> = {
    'deepctr-criteo_sample.txt': { ...criteo, format: { type: 'csv' }, rows: 200 },
    'criteo-train.tiny.csv.gz': {
      format: { type: 'csv' },
      features: { ...criteoFeatures(), labels: [{ name: 'label', from: 'Label' }] },
      rows: 1999,
    },
    'deepctr-avazu_sample.txt': { format: { type: 'csv' }, features: avazuFeatures(), rows: 100 },
    'deepctr-census-income.sample': {
      format: { type: 'csv', columns: numbered(43), trim: true },
      features: {
        labels: [
          { name: 'income', from: 'c42', positive: '50000+.' },
          { name: 'marital', from: 'c8', positive: 'Never married' },
        ],
        slots: numbered(42).filter(name => name !== 'c8' && name !== 'c0'),
      },
      rows: 200,
    },
    'paddlerec-criteo-slot-sample_train.txt': {
      format: { type: 'slots', order: 'slot:sign' },
      features: {
        labels: ['click'],
        dense: [{ name: 'dense_feature', width: 13 }],
        slots: ids(...Array.from({ length: 26 }, (_, i) => String(i + 1))),
      },
      rows: 80,
    },
    'paddlerec-criteo-ffm-sample_train.txt': {
      format: { type: 'slots', order: 'slot:sign' },
      features: { labels: ['label'], dense: [{ name: 'feat_value', width: 39 }], slots: ids('feat_idx') },
      rows: 100,
    },
    'paddlerec-din-amazon-sample.txt': {
      format: { type: 'csv', separator: ';', columns: ['items', 'cats', 'item', 'cat', 'click'] },
      features: {
        labels: ['click'],
        slots: [
          { type: 'id', name: 'items', separator: ' ', limit: 50 },
          { type: 'id', name: 'cats', separator: ' ', limit: 50 },
          ...ids('item', 'cat'),
        ],
      },
      rows: 100,
    },
    'paddlerec-esmm-aliccp-sample.txt': {
      format: { type: 'slots', separator: ',', order: 'slot:sign', prefix: ['id', 'click', 'purchase'] },
      features: { labels: ['click', 'purchase'], slots: ids('210', '216', '301', '205', '150_14') },
      rows: 10,
    },
    'paddlerec-mmoe-census-sample.txt': {
      format: { type: 'csv', columns: numbered(501) },
      features: { labels: ['c0', 'c1'], slots: [], dense: numbered(501).slice(2) },
      rows: 30,
    },
  };
  for (const [name, { format, features, rows }] of Object.entries(cases))
    testWithData(name, `${samples}/${name}`, async () => {
      const { all, bad } = await readAll([at(name)], { format, features, badLines: { max: 0 } });
      expect([all.size, bad]).toEqual([rows, 0]);
      expect(all.labels.every(label => label === 0 || label === 1)).toBe(true);
      expect(all.dense.every(Number.isFinite)).toBe(true);
    });

  testWithData('every sample of the folder has its case', samples, () => {
    expect(readdirSync(sharedData(samples)).sort()).toEqual(Object.keys(cases).sort());
  });

  testWithData('values are those of the file', samples, async () => {
    const { format, features } = cases['paddlerec-criteo-slot-sample_train.txt']!;
    const { all } = await readAll([at('paddlerec-criteo-slot-sample_train.txt')], { format, features });
    const [first] = readFileSync(at('paddlerec-criteo-slot-sample_train.txt'), 'utf8').split('\n', 1);
    const pairs = first!
      .trim()
      .split(' ')
      .map(pair => pair.split(':') as [string, string]);
    for (const [slot, sign] of pairs.slice(14)) expect(bag(all, 0, slot)).toEqual([BigInt(sign)]);
    expect([...all.dense.subarray(0, 13)]).toEqual(pairs.slice(1, 14).map(([, x]) => Math.fround(Number(x))));
  });
});

describe('flat records', () => {
  it('give what records as objects give, whatever the lengths of their texts', async () => {
    const text = fc.stringMatching(/^[a-z0-9 .:-]{0,40}$/);
    const features: FeatureSpec = {
      labels: ['y'],
      slots: ['a', 'b', { type: 'hash', name: 'c', share: 'a' }],
      dense: ['x', { name: 'z', log1p: true, min: 2, missing: 7 }],
    };
    const record = fc.record({
      y: fc.constantFrom(0, 1),
      a: text,
      b: text,
      c: text,
      x: fc.double({ noNaN: true, min: -3e38, max: 3e38 }),
      z: fc.option(fc.nat(5000)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async records => {
        const lines = records.map(({ y, a, b, c, x, z }) => `${y}|${a}|${b}|${c}|${x}|${z ?? ''}\n`);
        const path = folder.write('flat.txt', lines.join(''));
        const format: Format = { type: 'csv', separator: '|', columns: ['y', 'a', 'b', 'c', 'x', 'z'] };
        const { all } = await readAll([path], { format, features });
        expect(plain(all)).toEqual(plain(new Features(features).extractAll(records)));
      }),
      { numRuns: 100 },
    );
  });
});
