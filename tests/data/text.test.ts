import { expect, test } from 'vitest';
import { CharVocabulary, readText, TextBlocks } from '../../src/data/text.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

test('encodes and decodes by code point', () => {
  const vocabulary = CharVocabulary.of('héllo 😀');
  expect(vocabulary.decode(vocabulary.encode('hello'.replace('e', 'é')))).toBe('héllo');
  expect(vocabulary.size).toBe(6);
  expect(() => vocabulary.encode('x')).toThrow('character "x" is not among the 6 that the model was trained on');
  expect(() => new CharVocabulary(['a', 'a'])).toThrow('a character is repeated');
});

test('targets are inputs moved on by one, and batch k of a seed is always the same', () => {
  const blocks = new TextBlocks(
    Int32Array.from({ length: 50 }, (_, i) => i),
    4,
  );
  const { input, target } = blocks.batch(8, 3, 17);
  expect([input.dtype, input.shape]).toEqual(['i64', [8, 4]]);
  const rows = input.toArray() as number[][];
  expect(target.toArray()).toEqual(rows.map(row => row.map(id => id + 1)));
  for (const row of rows) expect(row).toEqual([0, 1, 2, 3].map(t => row[0]! + t));
  expect(blocks.batch(8, 3, 17).input.toArray()).toEqual(rows);
  expect(blocks.batch(8, 3, 18).input.toArray()).not.toEqual(rows);
  expect(() => new TextBlocks(Int32Array.of(1, 2, 3), 3)).toThrow('3 tokens, expected at least 4 for blocks of 3');
});

test('files that are not text are named', () => {
  expect(() => readText(folder.write('bad.txt', Uint8Array.of(0x61, 0xff)))).toThrow('bad.txt: not UTF-8 text');
  expect(() => readText(folder.write('empty.txt', ''))).toThrow('empty.txt: it is empty');
  expect(() => readText(folder.file('absent.txt'))).toThrow('no such file or folder');
});

testWithData('tinyshakespeare: 1,115,394 characters, 65 distinct', 'text/tinyshakespeare.txt', () => {
  const text = readText(sharedData('text/tinyshakespeare.txt'));
  expect([text.length, CharVocabulary.of(text).size]).toEqual([1_115_394, 65]);
});
