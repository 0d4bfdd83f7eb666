/**
 * From a picture of a digit to a classifier's input. Knows images, no models.
 */
import { type Image, resize, toGrey } from '../../data/index.ts';

/**
 * Any picture of one digit as MNIST has them: light ink on black, the ink fitted into 20 of 28 pixels and centred by
 * its mass. An image of the right size is taken as it is, apart from its polarity.
 */
export function centreDigit(image: Image, size: number): Float32Array {
  const grey = lightOnDark(image);
  if (grey.width === size && grey.height === size) return grey.data;
  const box = inkBox(grey);
  const scale = (size * 20) / 28 / Math.max(box.width, box.height);
  const fitted = shrink(
    crop(grey, box),
    Math.max(1, Math.round(box.height * scale)),
    Math.max(1, Math.round(box.width * scale)),
  );
  const mass = centreOfMass(fitted);
  const left = Math.round(size / 2 - mass.x - 0.5);
  const top = Math.round(size / 2 - mass.y - 0.5);
  const result = new Float32Array(size * size);
  for (let y = 0; y < fitted.height; y++)
    for (let x = 0; x < fitted.width; x++) {
      const [px, py] = [x + left, y + top];
      if (px >= 0 && px < size && py >= 0 && py < size) result[py * size + px] = fitted.data[y * fitted.width + x]!;
    }
  return result;
}

interface Grey {
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Pixels of 0 to 1, inverted where the border is light: then the picture is ink on paper. */
function lightOnDark(image: Image): Grey {
  const { height, width, data } = toGrey(image);
  const values = data instanceof Uint8Array ? Float32Array.from(data, value => value / 255) : data;
  const border = values.filter((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  });
  const light = border.reduce((a, value) => a + value, 0) / border.length > 0.5;
  return { height, width, data: light ? values.map(value => 1 - value) : values };
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The smallest box around all pixels of at least 0.3 of the strongest. */
function inkBox({ data, width, height }: Grey): Box {
  const threshold = 0.3 * data.reduce((a, value) => Math.max(a, value), 0);
  let [left, top, right, bottom] = [width, height, -1, -1];
  data.forEach((value, i) => {
    if (value < threshold || value === 0) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  });
  if (right < 0) return { left: 0, top: 0, width, height };
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function crop({ data, width }: Grey, box: Box): Grey {
  const result = new Float32Array(box.width * box.height);
  for (let y = 0; y < box.height; y++)
    result.set(
      data.subarray((box.top + y) * width + box.left, (box.top + y) * width + box.left + box.width),
      y * box.width,
    );
  return { ...box, data: result };
}

function shrink(grey: Grey, height: number, width: number): Grey {
  const { data } = resize(height, width)({ channels: 1, height: grey.height, width: grey.width, data: grey.data });
  return { height, width, data: Float32Array.from(data) };
}

function centreOfMass({ data, width }: Grey): { x: number; y: number } {
  let [mass, x, y] = [0, 0, 0];
  data.forEach((value, i) => {
    mass += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return mass > 0 ? { x: x / mass, y: y / mass } : { x: (width - 1) / 2, y: (data.length / width - 1) / 2 };
}
