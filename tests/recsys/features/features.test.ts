import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { murmur128 } from '../../../src/recsys/features/murmur.ts';
import { parseNumber, parseSign } from '../../../src/recsys/features/numbers.ts';
import {
  criteoFeatures,
  type FeatureSpec,
  Features,
  type FieldValue,
  hashSign,
  type SparseBatch,
  signOf,
} from '../../../src/recsys/index.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('MurmurHash3_x86_128', () => {
  it("gives SMHasher's verification value, over 256 lengths and seeds", () => {
    const out = new Uint32Array(4);
    const digest = new Uint8Array(out.buffer);
    const all = new Uint8Array(16 * 256);
    const key = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (let length = 0; length < 256; length++) {
      murmur128(key, 0, length, 256 - length, out);
      all.set(digest, 16 * length);
    }
    murmur128(all, 0, all.length, 0, out);
    expect(out[0]).toBe(0xb3ece62a);
  });
});

describe('numbers in bytes', () => {
  const sign = (text: string): bigint | string => {
    const out = new Uint32Array(2);
    const bytes = bytesOf(`x${text}y`);
    const fault = parseSign(bytes, 1, bytes.length - 1, out);
    return fault === 'ok' ? signOf(out[0]!, out[1]!) : fault;
  };

  it('signs of 64 bits are exact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), value => sign(String(value)) === value),
      { numRuns: 2000 },
    );
    for (const value of [0n, 2n ** 32n, 2n ** 53n + 1n, 10n ** 15n - 1n, 10n ** 15n, 10n ** 19n, 2n ** 64n - 1n])
      expect(sign(String(value))).toBe(value);
    expect(sign('00000000000000000000000000000018446744073709551615')).toBe(2n ** 64n - 1n);
  });

  it.each([
    ['18446744073709551616', 'over-64-bits'],
    ['99999999999999999999', 'over-64-bits'],
    ['100000000000000000000000', 'over-64-bits'],
    ['-5', 'negative'],
    ['12a', 'not-a-number'],
    ['1234567890123456789a', 'not-a-number'],
    ['1.5', 'not-a-number'],
    ['', 'empty'],
  ])('%s is no sign: %s', (text, fault) => expect(sign(text)).toBe(fault));

  it('numbers are those of JavaScript', () => {
    const read = (text: string): number => {
      const bytes = bytesOf(`7${text}8`);
      return parseNumber(bytes, 1, bytes.length - 1);
    };
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), x =>
        Object.is(read(String(x)), Number(String(x))),
      ),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(fc.integer(), fc.nat(1e6), (a, b) => Object.is(read(`${a}.${b}`), Number(`${a}.${b}`))));
    for (const text of ['', ' ', '-', '.', 'abc', '1e', '0x1f', 'Infinity', '1 2', '--1']) expect(read(text)).toBeNaN();
    for (const text of ['.5', '5.', '-0', '1e-7', '+3']) expect(read(text)).toBe(Number(text));
  });
});

const bag = (batch: SparseBatch, slot: string): bigint[] => {
  const s = batch.schema.slots.indexOf(slot);
  const ids = [];
  for (let i = batch.offsets[s]!; i < batch.offsets[s + 1]!; i++) ids.push(signOf(batch.hi[i]!, batch.lo[i]!));
  return ids;
};
const hashed = (slot: string, text: string): bigint => {
  const { hi, lo } = hashSign(slot, text);
  return signOf(hi, lo);
};

describe('extract', () => {
  const spec: FeatureSpec = {
    labels: ['click'],
    dense: ['price', { name: 'count', log1p: true, mean: 1, std: 2 }, { name: 'pair', width: 2, missing: -1 }],
    slots: [
      'city',
      { type: 'id', name: 'user' },
      { type: 'hash', name: 'history', separator: ' ', limit: 2, share: 'item' },
      { type: 'hash', name: 'oldest', from: 'history', separator: ' ', limit: 1, keep: 'first', share: 'item' },
      { type: 'hash', name: 'item' },
      { type: 'cross', name: 'city x item', from: ['city', 'item'] },
      { type: 'bucket', name: 'price bin', from: 'price', boundaries: [0, 10, 100] },
      { type: 'logBucket', name: 'count bin', from: 'count' },
    ],
  };
  const features = new Features(spec);
  const record = {
    click: 1,
    price: 12.5,
    count: 7,
    pair: [3, 4],
    city: 'Zürich',
    user: 2n ** 63n,
    history: 'a b c',
    item: 'c',
  };
  const batch = features.extract(record);

  it('hashes, takes ids, cuts sequences, crosses and bins', () => {
    expect(batch.size).toBe(1);
    expect(bag(batch, 'city')).toEqual([hashed('city', 'Zürich')]);
    expect(bag(batch, 'user')).toEqual([2n ** 63n]);
    expect(bag(batch, 'history')).toEqual([hashed('item', 'b'), hashed('item', 'c')]);
    expect(bag(batch, 'oldest')).toEqual([hashed('item', 'a')]);
    expect(bag(batch, 'item')).toEqual([hashed('item', 'c')]);
    expect(bag(batch, 'city x item')).toEqual([hashed('city x item', 'Zürich\x1fc\x1f')]);
    const other = (change: object): SparseBatch => features.extract({ ...record, ...change });
    for (const [price, same] of [
      [10, true],
      [99.9, true],
      [100, false],
      [9.99, false],
      [-1, false],
    ] as const)
      expect(bag(other({ price }), 'price bin')[0] === bag(batch, 'price bin')[0], String(price)).toBe(same);
    // floor(ln(7)^2) = 3 = floor(ln(6)^2), and ln(8)^2 = 4.3
    expect(bag(other({ count: 6 }), 'count bin')).toEqual(bag(batch, 'count bin'));
    expect(bag(other({ count: 8 }), 'count bin')).not.toEqual(bag(batch, 'count bin'));
  });

  it('scales numbers', () => {
    expect([...batch.dense]).toEqual([12.5, Math.fround((Math.log1p(7) - 1) / 2), 3, 4]);
    expect([...features.extract({}).dense]).toEqual([0, -0.5, -1, -1]);
  });

  it('gives missing values an id of their own, sequences none, and labels of served records NaN', () => {
    const nothing = features.extract({});
    expect(bag(nothing, 'city')).toEqual([hashed('city', '')]);
    expect(bag(nothing, 'user')).toEqual([]);
    expect(bag(nothing, 'history')).toEqual([]);
    expect(bag(nothing, 'city x item')).toEqual([hashed('city x item', '\x1f\x1f')]);
    expect(nothing.labels).toEqual(Float32Array.of(Number.NaN));
  });

  it('takes dates and bytes as logs have them, and refuses what no column holds', () => {
    const features = new Features({ slots: ['a'], dense: ['x'] });
    const text = (a: FieldValue): bigint[] => bag(features.extract({ a }), 'a');
    expect(text(new Date(0))).toEqual([hashed('a', '1970-01-01T00:00:00.000Z')]);
    expect(text(new TextEncoder().encode('Zürich'))).toEqual([hashed('a', 'Zürich')]);
    const nested = 'extract: record 0: column a holds nested values, expected text, numbers or lists of them';
    expect(() => text({ of: 1 } as never)).toThrow(nested);
    expect(() => text([['b']] as never)).toThrow(nested);
    expect(() => features.extractAll([{}, null as never])).toThrow('extract: record 1: null came, expected an object');
    expect(() => features.extractAll({ a: 'b' } as never)).toThrow(
      'extractAll: records: object came, expected an array',
    );
  });

  it('keeps the place of an empty piece in a sequence where asked to', () => {
    const sequence = { separator: '|', missing: 'sign' } as const;
    const features = new Features({
      slots: [
        { type: 'hash', name: 'items', ...sequence, share: 'item' },
        { type: 'id', name: 'shops', ...sequence, limit: 2 },
        { type: 'hash', name: 'dropped', from: 'items', separator: '|', share: 'item' },
      ],
    });
    const record = { items: 'a||c', shops: '1|2|' };
    const batch = features.extract(record);
    expect(bag(batch, 'items')).toEqual(['a', '', 'c'].map(text => hashed('item', text)));
    expect(bag(batch, 'shops')).toEqual([2n, hashed('shops', '')]);
    expect(bag(batch, 'dropped')).toEqual(['a', 'c'].map(text => hashed('item', text)));
  });

  it('refuses numbers that may have lost digits where they become signs, as of JSON', () => {
    const { user, when } = JSON.parse('{ "user": 9007199254740993, "when": 1700000000000000001 }');
    const features = new Features({
      slots: [{ type: 'id', name: 'user' }, 'name'],
      dense: [{ name: 'when', std: 1e18 }],
    });
    const lost = (column: string, value: number): string =>
      `extract: record 0: column ${column} holds the number ${value}, which may have lost digits: expected a bigint or text beyond 2^53`;
    expect(() => features.extract({ user })).toThrow(lost('user', user));
    expect(() => features.extract({ user: [1, user] })).toThrow(lost('user', user));
    expect(() => features.extract({ name: 2 ** 60 })).toThrow(lost('name', 2 ** 60));
    const exact = features.extract({ user: '9007199254740993', name: 0.5, when });
    expect([bag(exact, 'user'), exact.dense[0]]).toEqual([[9007199254740993n], Math.fround(1.7)]);
  });

  it('reads a part of a value', () => {
    const parts = new Features({
      slots: [
        { type: 'hash', name: 'hour', part: [-2] },
        { type: 'id', name: 'day', from: 'hour', part: [4, 6] },
        { type: 'hash', name: 'beyond', from: 'hour', part: [20] },
      ],
    });
    const cut = parts.extract({ hour: '14102107' });
    expect([bag(cut, 'hour'), bag(cut, 'beyond')]).toEqual([[hashed('hour', '07')], [hashed('beyond', '')]]);
    expect(bag(cut, 'day')).toEqual([21n]);
  });

  it('crosses every combination of several values', () => {
    const cross = new Features({ slots: [{ type: 'cross', name: 'x', from: ['a', 'b'] }] });
    expect(bag(cross.extract({ a: ['1', '2'], b: ['p', 'q'] }), 'x')).toEqual(
      ['1\x1fp\x1f', '1\x1fq\x1f', '2\x1fp\x1f', '2\x1fq\x1f'].map(text => hashed('x', text)),
    );
  });

  it.each([
    ['price', { price: 'much' }, 'extract: record 0: dense column price: "much" is not a number'],
    ['user', { user: -4 }, 'extract: record 0: slot user: sign -4 is negative, signs are unsigned'],
    [
      'large user',
      { user: 2n ** 64n },
      'extract: record 0: slot user: sign 18446744073709551616 is over 64 bits (18446744073709551615 is the largest sign)',
    ],
    ['pair', { pair: [1] }, 'extract: record 0: dense column pair has 1 values, expected 2'],
    ['click', { click: [0, 1] }, 'extract: record 0: label click is there more than once'],
  ])('refuses a wrong %s in one sentence', (_, change, sentence) => {
    expect(() => features.extract(change)).toThrow(sentence);
  });

  it('is pure: the same record gives the same example, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ city: fc.string(), item: fc.string(), history: fc.string() })), records => {
        const together = features.extractAll(records);
        records.forEach((each, i) => {
          const alone = features.extract(each);
          for (const slot of ['city', 'item', 'history', 'city x item']) {
            const s = spec.slots.length * i + features.schema.slots.indexOf(slot);
            expect([...together.lo.subarray(together.offsets[s], together.offsets[s + 1])]).toEqual(
              bag(alone, slot).map(sign => Number(sign & 0xffffffffn)),
            );
          }
        });
      }),
      { numRuns: 50 },
    );
  });
});

describe('a spec that is wrong', () => {
  it.each<[FeatureSpec, string]>([
    [{ slots: ['a', 'a'] }, 'features: slot a is there twice'],
    [
      { slots: [{ type: 'cross', name: 'x', from: ['a'] }] },
      'features: slot x: a cross needs at least two columns in from',
    ],
    [
      { slots: [{ type: 'bucket', name: 'x', boundaries: [2, 1] }] },
      'features: slot x: boundaries are [2,1], expected ascending numbers',
    ],
    [
      { slots: [{ type: 'hash', name: 'x', limit: 0 }] },
      'features: slot x: limit: 0 came, expected a whole number of at least 1',
    ],
    [
      { slots: [{ type: 'hash', name: 'x', separator: ', ' }] },
      'features: slot x: separator ", " came, expected one ASCII character',
    ],
    [
      { slots: [{ type: 'embedding' as 'id', name: 'x' }] },
      'features: slot x: type: "embedding" came, expected one of id, hash, cross, bucket, logBucket',
    ],
    [
      { slots: [{ type: 'hash', name: 'x', part: ['a' as unknown as number] }] },
      'features: slot x: part.0: "a" came, expected a whole number',
    ],
    [{ slots: [], dense: [{ name: 'd', std: 0 }] }, 'features: dense column d: std: 0 came, expected a number above 0'],
    [{} as FeatureSpec, 'features: slots: nothing came, expected an array'],
    [
      { slots: [], lables: ['y'] } as unknown as FeatureSpec,
      'features: "lables" came, expected one of slots, dense, labels',
    ],
    [
      { slots: [{ type: 'hash', name: 'x', shared: 'y' } as never] },
      'features: slot x: "shared" came, expected one of type, name, numbered, limit, keep, missing, from, part, separator, single, share',
    ],
    [{ slots: [{ type: 'id', name: 'x', numbered: [3, 1] }] }, 'features: slot x: numbered: 1 comes behind 3'],
    [
      { slots: [], labels: [{ name: 'y', missing: 'no' as 'bad' }] },
      'features: label y: missing: "no" came, expected one of bad, unknown',
    ],
  ])('%j: %s', (spec, sentence) => expect(() => new Features(spec)).toThrow(sentence));

  it('numbered features stand for many', () => {
    const { schema } = new Features({
      slots: [{ type: 'id', name: '', numbered: [1, 408] }],
      dense: [{ name: 'x', from: 'I', numbered: [1, 3], log1p: true }],
    });
    expect(schema.slots).toEqual(Array.from({ length: 408 }, (_, i) => `${i + 1}`));
    expect(schema.dense).toEqual(['x1', 'x2', 'x3']);
    const features = new Features({ slots: [], dense: [{ name: 'x', from: 'I', numbered: [1, 2] }] });
    expect([...features.extract({ I1: 4, I2: 5 }).dense]).toEqual([4, 5]);
  });

  it('names the column that the data lacks', () => {
    expect(() => new Features(criteoFeatures()).extractor(['label', 'I1'])).toThrow(
      'features: dense column I2 reads column I2, and the data has label, I1',
    );
  });
});
