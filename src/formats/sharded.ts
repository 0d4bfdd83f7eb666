/**
 * Models in several files beside an index, as Hugging Face writes them: `model.safetensors.index.json` and
 * `pytorch_model.bin.index.json`.
 */
import { type Json, parseJson } from './json.ts';
import { path as paths } from './node.ts';
import { withFile } from './source.ts';
import type { StoredTensor, WeightsFile } from './weights.ts';

const MAX_INDEX_BYTES = 100_000_000;

const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A shard and its tensors by name. */
interface Shard {
  readonly file: WeightsFile;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * Opens `{"metadata": {...}, "weight_map": {tensor: file}}` and with `open` the files that it names, whose tensors are
 * read when they are asked for.
 * @throws Error naming the file and what is wrong with it; a shard outside of the index's folder is refused
 */
export async function openSharded(
  path: string,
  open: (path: string) => WeightsFile | Promise<WeightsFile>,
): Promise<WeightsFile> {
  const fail = (what: string): never => {
    throw new Error(`${path}: not a valid index of shards: ${what}`);
  };
  const text = withFile(path, source => {
    if (source.size > MAX_INDEX_BYTES) fail(`it has ${source.size} bytes, at most ${MAX_INDEX_BYTES} are read`);
    return new TextDecoder().decode(source.read(0, source.size));
  });
  let index: Json;
  try {
    index = parseJson(text, { maxDepth: 16 });
  } catch (error) {
    return fail(`it is not JSON: ${(error as Error).message}`);
  }
  const map = isObject(index) ? index['weight_map'] : undefined;
  if (!isObject(index) || !isObject(map)) return fail('it has no object "weight_map"');
  const { basename, dirname, join } = paths();
  const shards = new Map<string, Shard>();
  const close = (): void => {
    for (const { file } of shards.values()) file.close();
  };
  try {
    const tensors: StoredTensor[] = [];
    for (const [name, file] of Object.entries(map)) {
      if (typeof file !== 'string' || file !== basename(file) || file === '..' || file === '')
        return fail(`tensor ${JSON.stringify(name)} lies in ${JSON.stringify(file)}, expected a file beside the index`);
      if (join(dirname(path), file) === path || file.endsWith('.index.json'))
        return fail(`tensor ${JSON.stringify(name)} lies in ${JSON.stringify(file)}, which is an index itself`);
      let shard = shards.get(file);
      if (!shard) {
        const opened = await open(join(dirname(path), file));
        shard = { file: opened, tensors: new Map(opened.tensors.map(tensor => [tensor.name, tensor])) };
        shards.set(file, shard);
      }
      tensors.push(shard.tensors.get(name) ?? fail(`tensor ${JSON.stringify(name)} is not in ${file}`));
    }
    const [first] = shards.values();
    const metadata = isObject(index['metadata']) ? index['metadata'] : {};
    return {
      path,
      format: `${first?.file.format ?? 'no files'} (${shards.size === 1 ? '1 shard' : `${shards.size} shards`})`,
      tensors,
      metadata,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
