/**
 * A folder of images with one folder per class, as torchvision's ImageFolder: root/class/name.{png,jpg,jpeg}.
 */
import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../formats/atomic.ts';
import type { Dataset } from './dataset.ts';
import { type Image, readImage } from './image.ts';

export interface LabelledImage {
  readonly image: Image;
  /** Index into `classes`. */
  readonly label: number;
}

/** Images by class, sorted by class and file name; each is decoded when it is read. */
export class ImageFolder implements Dataset<LabelledImage> {
  readonly classes: readonly string[];
  /** Path and class of every sample. */
  readonly files: readonly { readonly path: string; readonly label: number }[];

  /** @throws Error when the folder is missing or has no image in any sub-folder. */
  constructor(root: string) {
    this.classes = list(root)
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name)
      .sort();
    this.files = this.classes.flatMap((name, label) =>
      list(join(root, name))
        .filter(entry => entry.isFile() && /\.(png|jpe?g)$/i.test(entry.name))
        .map(entry => ({ path: join(root, name, entry.name), label }))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
    if (this.files.length === 0)
      throw new Error(`${root}: no images found, expected one folder per class with .png, .jpg or .jpeg files`);
  }

  get length(): number {
    return this.files.length;
  }

  async get(index: number): Promise<LabelledImage> {
    const { path, label } = this.files[index]!;
    return { image: await readImage(path), label };
  }
}

function list(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw new Error(`cannot read ${folder}: ${reasonOf(error)}`, { cause: error });
  }
}
