import { describe, expect, test } from 'vitest';
import { CharVocabulary, readText, TextWindows } from '../../src/data/text.ts';
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

describe('TextWindows', () => {
  const tokens = Int32Array.from({ length: 50 }, (_, i) => i);

  test('lie one after the other, each with the token that follows', () => {
    const windows = new TextWindows(tokens, { block: 4 });
    expect(windows.length).toBe(12);
    expect([...windows.get(0, 0)]).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect([...windows.get(11, 0)]).toEqual([44n, 45n, 46n, 47n, 48n]);
  });

  test('at random places depend on seed, epoch and index alone, and reach both ends', () => {
    const windows = new TextWindows(tokens, { block: 4, randomPerEpoch: 600, seed: 3 });
    const starts = Array.from({ length: windows.length }, (_, i) => Number(windows.get(i, 1)[0]));
    expect(starts).toEqual(Array.from({ length: 600 }, (_, i) => Number(windows.get(i, 1)[0])));
    expect(starts).not.toEqual(Array.from({ length: 600 }, (_, i) => Number(windows.get(i, 2)[0])));
    expect([Math.min(...starts), Math.max(...starts)]).toEqual([0, 45]);
    expect([...windows.get(9, 1)]).toEqual([0, 1, 2, 3, 4].map(t => BigInt(starts[9]! + t)));
  });

  test('need a text longer than the window', () => {
    expect(() => new TextWindows(Int32Array.of(1, 2, 3), { block: 3 })).toThrow(
      '3 tokens, expected at least 4 for windows of 3',
    );
  });
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
