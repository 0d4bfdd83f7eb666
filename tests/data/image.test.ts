import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { encode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { DataLoader, decodeImage, ImageFolder, readImage, toGrey, toPng } from '../../src/data/index.ts';
import type { Tensor } from '../../src/tensor/index.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const colour = {
  channels: 3,
  height: 2,
  width: 3,
  data: Uint8Array.from({ length: 18 }, (_, i) => i * 14),
};

describe('PNG', () => {
  test('colour and grey round trip, planar', async () => {
    expect(await decodeImage(toPng(colour))).toEqual(colour);
    const grey = toGrey(colour);
    expect(grey.data[0]).toBe(Math.round(0.299 * 0 + 0.587 * 84 + 0.114 * 168));
    expect(await decodeImage(toPng(grey))).toEqual(grey);
  });

  test('16 bits keep the upper 8; palettes of 2 bits and grey of 1 bit are expanded', async () => {
    const deep = encode({ width: 2, height: 1, channels: 1, depth: 16, data: Uint16Array.of(0x1234, 0xff00) });
    expect((await decodeImage(deep)).data).toEqual(Uint8Array.of(0x12, 0xff));
    // Made by PIL: Image.new('P', (3, 1)) with colours 0, 1, 2 of the palette (10 20 30)(40 50 60)(70 80 90), and
    // Image.new('1', (3, 1)) = 1, 0, 1.
    const palette =
      'iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAgMAAABmjvwnAAAADFBMVEUKFB4oMjxGUFoAAAAsNqsEAAAACklEQVR4nGOQAAAAGgAZLYj0NgAAAABJRU5ErkJggg==';
    expect((await decodeImage(Buffer.from(palette, 'base64'))).data).toEqual(
      Uint8Array.of(10, 40, 70, 20, 50, 80, 30, 60, 90),
    );
    const bits = 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAQAAAAAzmykZAAAACklEQVR4nGNYAAAAogCh3I2xzAAAAABJRU5ErkJggg==';
    expect(await decodeImage(Buffer.from(bits, 'base64'))).toEqual({
      channels: 1,
      height: 1,
      width: 3,
      data: Uint8Array.of(255, 0, 255),
    });
  });

  test('every truncation, a changed byte and a lying size are refused by name', async () => {
    const png = toPng(colour);
    for (let length = 2; length < png.length; length++)
      await expect(decodeImage(png.subarray(0, length), 'cut.png')).rejects.toThrow(/^cut\.png: /);
    const huge = Uint8Array.from(png);
    huge.set([0x7f, 0xff, 0xff, 0xff], 16);
    await expect(decodeImage(huge, 'huge.png')).rejects.toThrow(
      'huge.png: not a valid PNG file: its size is 2147483647 x 2',
    );
    await expect(decodeImage(Uint8Array.of(1, 2, 3), 'x.gif')).rejects.toThrow('x.gif: neither a PNG nor a JPEG file');
  });
});

describe('image folders', () => {
  test('one class per folder, files sorted, batches of planar u8', async () => {
    for (const [name, count] of [
      ['b', 1],
      ['a', 2],
    ] as const) {
      mkdirSync(folder.file(name));
      for (let i = 0; i < count; i++) folder.write(`${name}/${i}.png`, toPng(colour));
    }
    folder.write('a/notes.txt', 'not an image');
    const images = new ImageFolder(folder.path);
    expect([images.classes, images.length]).toEqual([['a', 'b'], 3]);
    for await (const batch of new DataLoader(images, { batchSize: 3 })) {
      const { image, label } = batch as Record<'image' | 'label', Tensor>;
      expect([image.dtype, image.shape, label.toArray()]).toEqual(['u8', [3, 3, 2, 3], [0, 0, 1]]);
    }
    expect(() => new ImageFolder(folder.file('a'))).toThrow('no images found, expected one folder per class');
    expect(() => new ImageFolder(folder.file('z'))).toThrow('no such file or folder');
  });

  testWithData('CIFAR-10 as JPEG files: 10 classes of 100; pixels as libjpeg decodes them', 'cifar10', async () => {
    execFileSync('tar', ['xzf', sharedData('cifar10/cifar10-jpeg-test100.tar.gz'), '-C', folder.path]);
    const images = new ImageFolder(folder.file('test'));
    expect([images.classes.length, images.classes[0], images.length]).toEqual([10, 'airplane', 1000]);
    const first = await readImage(folder.file('test/airplane/0000.jpg'));
    expect([first.channels, first.height, first.width]).toEqual([3, 32, 32]);
    // PIL: numpy.array(Image.open('test/airplane/0000.jpg'))[0, :3] = [[141 159 179] [159 176 196] [168 183 202]]
    const pixel = (x: number): number[] => [0, 1, 2].map(c => first.data[c * 1024 + x]!);
    expect([pixel(0), pixel(1), pixel(2)]).toEqual([[141, 159, 179], [159, 176, 196], [168, 183, 202]]); // biome-ignore format: pixels
  });

  testWithData('a truncated JPEG is refused by name', 'cifar10', async () => {
    execFileSync('tar', [
      'xzf',
      sharedData('cifar10/cifar10-jpeg-test100.tar.gz'),
      '-C',
      folder.path,
      'test/cat/0003.jpg',
    ]);
    const { readFileSync } = await import('node:fs');
    const whole = readFileSync(folder.file('test/cat/0003.jpg'));
    for (let length = 2; length < whole.length; length += 7)
      await expect(decodeImage(whole.subarray(0, length), 'cut.jpg')).rejects.toThrow(
        /^cut\.jpg: not a valid JPEG file: /,
      );
    expect((await decodeImage(whole)).width).toBe(32);
  });
});
