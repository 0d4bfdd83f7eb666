import { describe, expect, test } from 'vitest';
import type { Image } from '../../src/data/image.ts';
import { RandomStream } from '../../src/data/random.ts';
import {
  compose,
  normalise,
  randomAffine,
  randomCrop,
  randomHorizontalFlip,
  resize,
  toFloat,
} from '../../src/data/transforms.ts';

const random = (): RandomStream => new RandomStream(1);
/** Two channels of 2 x 3: 0 to 5 and 10 to 15. */
const image: Image = {
  channels: 2,
  height: 2,
  width: 3,
  data: Uint8Array.of(0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15),
};

test('normalise: (x / 255 - mean) / std per channel', () => {
  const { data } = normalise([0, 0.5], [1, 0.25])(image, random());
  expect(data[5]).toBeCloseTo(5 / 255, 7);
  expect(data[6]).toBeCloseTo((10 / 255 - 0.5) / 0.25, 6);
  expect(() => normalise([0], [1])(image, random())).toThrow('1 means and 1 deviations for 2 channels');
});

test('a flip reverses every row', () => {
  expect([...randomHorizontalFlip(1)(image, random()).data]).toEqual([2, 1, 0, 5, 4, 3, 12, 11, 10, 15, 14, 13]);
  expect(randomHorizontalFlip(0)(image, random())).toBe(image);
});

describe('randomCrop', () => {
  test('cuts windows of the padded image, each place about equally often', () => {
    const places = new Map<string, number>();
    const stream = random();
    for (let i = 0; i < 900; i++) {
      const { data } = randomCrop(2, 3, 1)(image, stream);
      const key = [...data].join();
      places.set(key, (places.get(key) ?? 0) + 1);
    }
    expect(places.size).toBe(9);
    expect(places.has([...image.data].join())).toBe(true);
    // Shifted down and right by one: zeros above and on the left.
    expect(places.has('0,0,0,0,0,1,0,0,0,0,10,11')).toBe(true);
    for (const count of places.values()) expect(Math.abs(count - 100)).toBeLessThan(48);
  });

  test('refuses a window larger than the image', () => {
    expect(() => randomCrop(5, 3)(image, random())).toThrow('5x3 out of an image of 2x3, padding 0');
  });
});

describe('randomAffine', () => {
  const square: Image = { channels: 1, height: 3, width: 3, data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) };

  test('without amounts it changes nothing', () => {
    expect(randomAffine({})(square, random())).toEqual(square);
    expect(randomAffine({})(image, random())).toEqual(image);
  });

  test('turning by a known angle turns the picture about its centre', () => {
    const stream = { uniform: (low = 0, high = 1) => (high === 90 ? 90 : (low + high) / 2) } as unknown as RandomStream;
    const turned = randomAffine({ degrees: 90 })(square, stream);
    // y points down, so a positive angle turns clockwise.
    const expected = [7, 4, 1, 8, 5, 2, 9, 6, 3];
    for (const [i, value] of turned.data.entries()) expect(value).toBeCloseTo(expected[i]!, 5);
  });

  test('shifting moves content and brings in zeros', () => {
    const stream = { uniform: (low = 0, high = 1) => (high === 2 ? 1 : (low + high) / 2) } as unknown as RandomStream;
    expect([...randomAffine({ shift: 2 })(square, stream).data]).toEqual([0, 0, 0, 0, 1, 2, 0, 4, 5]);
  });
});

// torch.nn.functional.interpolate(torch.arange(6.).reshape(1, 1, 2, 3), size=(4, 2), mode='bilinear', align_corners=False)
test("resize equals PyTorch's bilinear interpolation", () => {
  const small: Image = { channels: 1, height: 2, width: 3, data: Float32Array.of(0, 1, 2, 3, 4, 5) };
  const expected = [0.25, 1.75, 1, 2.5, 2.5, 4, 3.25, 4.75];
  for (const [i, value] of resize(4, 2)(small).data.entries()) expect(value).toBeCloseTo(expected[i]!, 6);
});

test('compose runs in order', () => {
  expect(compose(toFloat, normalise([1, 1], [2, 2]))(image, random()).data[0]).toBe(-0.5);
});
