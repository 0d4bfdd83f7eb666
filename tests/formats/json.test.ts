import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from '../../src/formats/json.ts';

test('reads what JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
});

test('refuses whatever JSON.parse refuses', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:01.-e+ tfn\\ul'), maxLength: 12 }), text => {
      const accepts = (parse: () => unknown): boolean => {
        try {
          parse();
          return true;
        } catch {
          return false;
        }
      };
      const keys = [...text.matchAll(/"[^"]*"\s*:/g)].map(match => match[0]);
      fc.pre(new Set(keys).size === keys.length);
      expect(accepts(() => parseJson(text))).toBe(accepts(() => JSON.parse(text)));
    }),
    { numRuns: 500 },
  );
});

test('refuses repeated keys and deep nesting, and keeps __proto__ harmless', () => {
  expect(() => parseJson('{"a":1,"b":{"a":2},"a":3}')).toThrow('the key "a" is repeated at character');
  expect(() => parseJson('['.repeat(100_000))).toThrow('nested deeper than 64');
  const parsed = parseJson('{"__proto__":{"x":1}}') as Record<string, unknown>;
  expect(Object.keys(parsed)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
});
