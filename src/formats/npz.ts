/**
 * NumPy's .npz: a zip of .npy files, one per name (stored by `np.savez`, deflated by `np.savez_compressed`).
 */

import { unzipSync, Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { bytesOf, type DType } from '../graph/dtype.ts';
import { sizeOf } from '../graph/shape.ts';
import type { Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { writeAtomic } from './atomic.ts';
import { npyChunks, parseNpy, storedNpy } from './npy.ts';
import { withFile } from './source.ts';
import type { WeightsFile } from './weights.ts';
import { checkZipSize, openZip } from './zip.ts';

/** A tensor to be written, read when its turn comes. */
interface PendingArray {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  read(): Tensor;
}

/** Deflate cannot expand by more than this (RFC 1951: 258 bytes from 2 bits): a larger claim is a lie. */
const MAX_EXPANSION = 1032;

/**
 * Reads every array of an .npz file, by name.
 * @throws Error naming the file and entry that is damaged, lies about its size, or holds pickled objects.
 */
export function loadNpz(path: string): Record<string, Tensor> {
  return parseNpz(
    withFile(path, source => source.read(0, source.size)),
    path,
  );
}

/** The same from bytes in memory; `name` is what errors call them. */
export function parseNpz(bytes: Uint8Array, name = 'npz'): Record<string, Tensor> {
  const fail = (what: string): never => {
    throw new Error(`${name}: not a valid .npz file: ${what}`);
  };
  let files: Record<string, Uint8Array>;
  const seen = new Set<string>();
  const lies: string[] = [];
  try {
    files = unzipSync(bytes, {
      // fflate allocates what the directory claims: check the claims before it does.
      filter: entry => {
        if (seen.has(entry.name)) lies.push(`the entry ${entry.name} is repeated`);
        else if (entry.size > bytes.length) lies.push(`${entry.name} claims ${entry.size} bytes of ${bytes.length}`);
        else if (entry.originalSize > entry.size * MAX_EXPANSION + 64)
          lies.push(`${entry.name} claims to unpack ${entry.size} bytes into ${entry.originalSize}`);
        seen.add(entry.name);
        return lies.length === 0;
      },
    });
  } catch (error) {
    return fail(`the zip is damaged: ${(error as Error).message}`);
  }
  if (lies.length > 0) fail(lies[0]!);
  const tensors: Record<string, Tensor> = Object.create(null);
  for (const [file, content] of Object.entries(files)) {
    if (!file.endsWith('.npy')) fail(`its entry ${JSON.stringify(file)} is not a .npy file`);
    tensors[file.slice(0, -'.npy'.length)] = parseNpy(content, `${name}: ${file}`);
  }
  return tensors;
}

/** Opens an .npz file without reading its arrays. @throws as `loadNpz` */
export async function openNpz(path: string): Promise<WeightsFile> {
  const zip = await openZip(path);
  try {
    const tensors = [...zip.entries.values()].map(entry => {
      if (!entry.name.endsWith('.npy'))
        throw new Error(`${path}: not a valid .npz file: its entry ${JSON.stringify(entry.name)} is not a .npy file`);
      return storedNpy(entry.open(), entry.name.slice(0, -'.npy'.length));
    });
    return { path, format: 'npz', tensors, metadata: {}, close: () => zip.close() };
  } catch (error) {
    zip.close();
    throw error;
  }
}

/**
 * Writes tensors as an .npz file, atomically; stored, or deflated with `compress`.
 * @throws RangeError for tensors of 4 GB and more
 */
export function saveNpz(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  options: { compress?: boolean } = {},
): void {
  const { compress = false } = checkOptions('saveNpz', options, ['compress']);
  const pending = Object.entries(tensors).map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    read: () => tensor,
  }));
  writeAtomic(path, streamNpz(pending, path, { compress }));
}

/** The bytes of an .npz file, in order, holding one tensor at a time; `path` is what errors call it. */
export function* streamNpz(
  tensors: readonly PendingArray[],
  path: string,
  { compress = false }: { compress?: boolean } = {},
): Generator<Uint8Array> {
  checkZipSize(
    path,
    tensors.reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * bytesOf(dtype), 0),
  );
  let ready: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    ready.push(chunk);
  });
  for (const tensor of tensors) {
    const name = `${tensor.name}.npy`;
    const entry = compress ? new ZipDeflate(name, { level: 6 }) : new ZipPassThrough(name);
    zip.add(entry);
    const chunks = npyChunks(tensor.read());
    for (const [i, chunk] of chunks.entries()) {
      entry.push(chunk, i === chunks.length - 1);
      yield* ready;
      ready = [];
    }
  }
  zip.end();
  yield* ready;
}
