import { describe, expect, test } from 'vitest';
import { centreDigit } from '../../src/cli/tasks/digitImage.ts';
import { drawDigit } from '../../src/data/digits.ts';
import { toPng } from '../../src/data/image.ts';
import { RandomStream } from '../../src/data/random.ts';
import { tenon } from '../support/runTenon.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

describe('train digits', () => {
  test('a run, its evaluation and predictions of pictures', async () => {
    const out = folder.file('run');
    const trained = await tenon(
      'train',
      'digits',
      '--limit',
      '128',
      '--epochs',
      '1',
      '--batch',
      '32',
      '--out',
      out,
      '--json',
    );
    expect([trained.code, trained.stderr]).toEqual([0, '']);
    expect(trained.events.map(e => e['event'])).toEqual(['start', 'epoch', 'end']);
    const { test_accuracy, test_loss } = trained.events.at(-1)!;
    expect(test_accuracy).toBeTypeOf('number');
    const evaluated = await tenon('eval', `${out}/model.json`, '--json');
    expect(evaluated.events.at(-1)).toEqual({ event: 'end', test_accuracy, test_loss });

    const small = folder.write('small.png', toPng(drawDigit(3, new RandomStream(1))));
    const large = folder.write('large.png', toPng(drawDigit(7, new RandomStream(2), 90)));
    const predicted = await tenon('predict', out, small, large, '--json');
    const predictions = predicted.events.filter(e => e['event'] === 'prediction');
    expect(predictions.map(e => e['file'])).toEqual([small, large]);
    for (const { probabilities, digit } of predictions as unknown as { probabilities: number[]; digit: number }[]) {
      expect(probabilities.reduce((a, p) => a + p, 0)).toBeCloseTo(1, 5);
      expect(probabilities[digit]).toBe(Math.max(...probabilities));
    }
    const text = folder.write('note.txt', 'hello');
    const refused = await tenon('predict', out, text);
    expect([refused.code, refused.stderr]).toEqual([1, `tenon: ${text}: neither a PNG nor a JPEG file\n`]);
    expect((await tenon('sample', out)).stderr).toContain('is a model of digits, expected one of text');
  });
});

describe('centreDigit', () => {
  const drawn = drawDigit(5, new RandomStream(4), 112);
  const centre = (pixels: Float32Array): readonly [number, number] => {
    let [mass, x, y] = [0, 0, 0];
    pixels.forEach((value, i) => {
      mass += value;
      x += value * (i % 28);
      y += value * Math.floor(i / 28);
    });
    return [x / mass, y / mass];
  };

  test('ink lands in the middle, whatever the polarity', () => {
    const pixels = centreDigit(drawn, 28);
    const [x, y] = centre(pixels);
    expect(Math.abs(x - 13.5)).toBeLessThan(0.8);
    expect(Math.abs(y - 13.5)).toBeLessThan(0.8);
    const inverted = centreDigit({ ...drawn, data: Uint8Array.from(drawn.data, value => 255 - value) }, 28);
    for (const [i, value] of inverted.entries()) expect(Math.abs(value - pixels[i]!)).toBeLessThan(1e-5);
  });

  test('the ink fits into 20 pixels, also from an odd shape', () => {
    const wide = { channels: 1, height: 30, width: 200, data: new Uint8Array(6000) };
    for (let y = 10; y < 22; y++) wide.data.fill(255, y * 200 + 20, y * 200 + 180);
    const pixels = centreDigit(wide, 28);
    const columns = new Set([...pixels.keys()].filter(i => pixels[i]! > 0.5).map(i => i % 28));
    expect(columns.size).toBe(20);
  });

  test('an image of the right size is taken as it is, an empty one too', () => {
    const right = drawDigit(2, new RandomStream(5));
    expect([...centreDigit(right, 28)]).toEqual([...right.data].map(value => Math.fround(value / 255)));
    expect(
      centreDigit({ channels: 1, height: 50, width: 40, data: new Uint8Array(2000) }, 28).every(value => value === 0),
    ).toBe(true);
  });
});
