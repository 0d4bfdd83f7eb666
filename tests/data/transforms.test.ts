import { describe, expect, test } from 'vitest';
import type { Image } from '../../src/data/image.ts';
import { RandomStream } from '../../src/data/random.ts';
import {
  adjustHue,
  centerCrop,
  colorJitter,
  compose,
  normalize,
  randomAffine,
  randomCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  randomVerticalFlip,
  resize,
  toFloat,
} from '../../src/data/transforms/index.ts';

const random = (): RandomStream => new RandomStream(1);
/** Two channels of 2 x 3: 0 to 5 and 10 to 15. */
const image: Image = {
  channels: 2,
  height: 2,
  width: 3,
  data: Uint8Array.of(0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15),
};

test('normalize: (x / 255 - mean) / std per channel', () => {
  const { data } = normalize([0, 0.5], [1, 0.25])(image);
  expect(data[5]).toBeCloseTo(5 / 255, 7);
  expect(data[6]).toBeCloseTo((10 / 255 - 0.5) / 0.25, 6);
  expect(() => normalize([0], [1])(image)).toThrow('1 means and 1 deviations for 2 channels');
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

  test('makes a square of one number, and refuses what is no number of pixels', () => {
    expect(randomCrop(2)(image, random())).toMatchObject({ height: 2, width: 2 });
    expect(() => randomCrop(2, { padding: 1 } as unknown as number)).toThrow(
      'randomCrop: width: expected a whole number of at least 1, got object',
    );
    expect(() => randomCrop(2, 2, -1)).toThrow(
      'randomCrop: padding: expected a whole number of at least 0, got number -1',
    );
    expect(() => centerCrop(2.5)).toThrow('centerCrop: height: expected a whole number of at least 1, got number 2.5');
    expect(() => resize(0)).toThrow('resize: height: expected a whole number of at least 1, got number 0');
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

// torch.nn.functional.interpolate(torch.arange(6.).reshape(1, 1, 2, 3), size=(4, 2), mode='bilinear',
// align_corners=False)
test("resize equals PyTorch's bilinear interpolation", () => {
  const small: Image = { channels: 1, height: 2, width: 3, data: Float32Array.of(0, 1, 2, 3, 4, 5) };
  const expected = [0.25, 1.75, 1, 2.5, 2.5, 4, 3.25, 4.75];
  for (const [i, value] of resize(4, 2, { antialias: false })(small).data.entries())
    expect(value).toBeCloseTo(expected[i]!, 6);
});

test('compose runs in order', () => {
  expect(compose(toFloat, normalize([1, 1], [2, 2]))(image).data[0]).toBe(-0.5);
});

// torch 1.13: F.interpolate(torch.arange(35.).reshape(1, 1, 5, 7).sin(), size, mode='bilinear', align_corners=False,
// antialias=True)
test("resize that shrinks equals PyTorch's with antialias", () => {
  const waves: Image = {
    channels: 1,
    height: 5,
    width: 7,
    data: Float32Array.from({ length: 35 }, (_, i) => Math.sin(i)),
  };
  const expected: readonly (readonly [size: [number, number], values: readonly number[]])[] = [
    [
      [2, 3],
      [0.61721, -0.269852, -0.253244, 0.083106, -0.458017, 0.53465],
    ],
    [
      [3, 10],
      [
        0.281566, 0.624373, 0.852694, 0.706652, 0.144545, -0.400492, -0.85687, -0.798694, -0.418672, 0.020406, 0.882258,
        0.715555, 0.370268, -0.214635, -0.646303, -0.790654, -0.62873, -0.067099, 0.439307, 0.81309, 0.51337, 0.02036,
        -0.519073, -0.900043, -0.726879, -0.311907, 0.290369, 0.738236, 0.814498, 0.712208,
      ],
    ],
    [[1, 1], [-0.022727]],
  ];
  for (const [[height, width], values] of expected) {
    const { data } = resize(height, width)(waves);
    expect(data).toHaveLength(values.length);
    for (const [i, value] of data.entries()) expect(value).toBeCloseTo(values[i]!, 5);
  }
  expect([...resize(5, 7)(waves).data]).toEqual([...waves.data]);
});

test('one number is the shorter side', () => {
  const wide: Image = { channels: 1, height: 4, width: 10, data: new Uint8Array(40).fill(7) };
  const { height, width, data } = resize(3)(wide);
  expect([height, width, new Set(data)]).toEqual([3, 7, new Set([7])]);
});

test('a vertical flip reverses the order of rows', () => {
  expect([...randomVerticalFlip(1)(image, random()).data]).toEqual([3, 4, 5, 0, 1, 2, 13, 14, 15, 10, 11, 12]);
});

test('the middle, with zeros where the image ends', () => {
  expect([...centerCrop(2, 1)(image).data]).toEqual([1, 4, 11, 14]);
  expect([...centerCrop(4, 1)(image).data]).toEqual([0, 1, 4, 0, 0, 11, 14, 0]);
});

test('random parts have the size asked for and show what the image shows', () => {
  const ramp: Image = {
    channels: 1,
    height: 40,
    width: 60,
    data: Float32Array.from({ length: 2400 }, (_, i) => i % 60),
  };
  const stream = random();
  for (let i = 0; i < 50; i++) {
    const { height, width, data } = randomResizedCrop(8, 6)(ramp, stream);
    expect([height, width, data.length]).toEqual([8, 6, 48]);
    // A ramp stays one: every row rises by the same steps.
    expect(data[1]! - data[0]!).toBeGreaterThan(0);
    expect(data[5]! - data[4]!).toBeCloseTo(data[1]! - data[0]!, 0);
    expect([...data].every(value => value >= 0 && value <= 59)).toBe(true);
  }
});

test('colours: a factor of brightness scales, contrast keeps the mean, saturation keeps the grey', () => {
  const pixel: Image = { channels: 3, height: 1, width: 2, data: Float32Array.of(0.2, 0.4, 0.4, 0.2, 0.6, 0.4) };
  const grey = (img: Image, i: number): number =>
    0.2989 * img.data[i]! + 0.587 * img.data[2 + i]! + 0.114 * img.data[4 + i]!;
  const brighter = colorJitter({ brightness: 0.3 })(pixel, random());
  const factor = brighter.data[0]! / 0.2;
  for (const [i, value] of brighter.data.entries()) expect(value).toBeCloseTo(pixel.data[i]! * factor, 5);
  const contrast = colorJitter({ contrast: 0.3 })(pixel, random());
  expect(grey(contrast, 0) + grey(contrast, 1)).toBeCloseTo(grey(pixel, 0) + grey(pixel, 1), 4);
  const saturated = colorJitter({ saturation: 0.3 })(pixel, random());
  expect(grey(saturated, 1)).toBeCloseTo(grey(pixel, 1), 4);
  const bytes: Image = { ...pixel, data: Uint8Array.of(250, 0, 10, 250, 255, 3) };
  const { data } = colorJitter({ brightness: 0.9, contrast: 0.9, saturation: 0.9 })(bytes, random());
  expect(data).toBeInstanceOf(Uint8Array);
});

describe('hue', () => {
  const pixel = (...data: number[]): Image => ({ channels: 3, height: 1, width: 1, data: Float32Array.from(data) });

  // Python's colorsys: rgb_to_hsv, the hue plus the turn, hsv_to_rgb.
  test.each<[number[], number, number[]]>([
    [[0.2, 0.5, 0.9], 0.25, [0.9, 0.2, 0.85]],
    [[0.2, 0.5, 0.9], -0.4, [0.78, 0.9, 0.2]],
    [[0.9, 0.1, 0.3], 0.25, [0.7, 0.9, 0.1]],
    [[0.9, 0.1, 0.3], -0.4, [0.1, 0.62, 0.9]],
    [[0.4, 0.4, 0.1], 0.25, [0.1, 0.4, 0.25]],
    [[0.4, 0.4, 0.1], -0.4, [0.28, 0.1, 0.4]],
    [[1, 0, 0], 0.25, [0.5, 1, 0]],
    [[0.3, 0.3, 0.3], 0.25, [0.3, 0.3, 0.3]],
  ])('%j turned by %d', (from, turn, to) => {
    for (const [i, value] of adjustHue(pixel(...from), turn).data.entries()) expect(value).toBeCloseTo(to[i]!, 6);
  });

  test('bytes come back as they were after no turn and after two halves', () => {
    const data = Uint8Array.of(7, 255, 0, 128, 64, 31, 90, 255, 200, 10, 20, 60);
    const bytes: Image = { channels: 4, height: 1, width: 3, data };
    expect([...adjustHue(bytes, 0).data]).toEqual([...data]);
    expect([...adjustHue(adjustHue(bytes, 0.5), 0.5).data]).toEqual([...data]);
  });

  test('colorJitter turns by at most hue; greys have none', () => {
    const turned = colorJitter({ hue: 0.1 })(pixel(1, 0, 0), random());
    expect(turned.data).not.toEqual(pixel(1, 0, 0).data);
    expect([turned.data[0], Math.max(turned.data[1]!, turned.data[2]!) <= 0.6 + 1e-6]).toEqual([1, true]);
    const grey: Image = { channels: 1, height: 1, width: 1, data: Uint8Array.of(9) };
    expect(colorJitter({ hue: 0.5 })(grey, random())).toBe(grey);
    expect(() => colorJitter({ hue: 0.6 })).toThrow('colorJitter: hue 0.6 came, expected 0 to 0.5');
    expect(() => adjustHue(grey, 1)).toThrow('adjustHue: turn 1 came, expected -0.5 to 0.5');
  });
});
