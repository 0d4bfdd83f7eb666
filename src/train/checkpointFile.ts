/**
 * One checkpoint as a safetensors file: tensors of model and optimizers, the rest as JSON in the metadata, and a
 * SHA-256 over both, so that a damaged file is recognised whatever byte it was. Knows no runs.
 */
import { createHash } from 'node:crypto';
import { loadSafetensors, saveSafetensors } from '../formats/index.ts';
import type { Tensor } from '../tensor/index.ts';

export interface CheckpointContent {
  readonly tensors: Record<string, Tensor>;
  /** Plain JSON. */
  readonly state: unknown;
}

const FORMAT = 'tenon-checkpoint';
const VERSION = '1';

function digest(tensors: Readonly<Record<string, Tensor>>, state: string): string {
  const hash = createHash('sha256').update(state);
  for (const name of Object.keys(tensors).sort()) {
    const tensor = tensors[name]!;
    const data = tensor.data();
    hash.update(`${name} ${tensor.dtype} ${tensor.shape}`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** Writes a checkpoint: to a temporary file, forced to disk, then renamed. */
export function writeCheckpoint(path: string, { tensors, state }: CheckpointContent): void {
  const json = JSON.stringify(state);
  saveSafetensors(path, tensors, { format: FORMAT, version: VERSION, state: json, sha256: digest(tensors, json) });
}

/** Reads a checkpoint. @throws Error naming the file when it is damaged or something else */
export function readCheckpoint(path: string): CheckpointContent {
  const { tensors, metadata } = loadSafetensors(path);
  if (metadata['format'] !== FORMAT) throw new Error(`${path} is not a checkpoint of a training run`);
  if (metadata['version'] !== VERSION)
    throw new Error(`${path}: checkpoint version ${metadata['version'] ?? 'none'} came, expected ${VERSION}`);
  const json = metadata['state'] ?? '';
  if (digest(tensors, json) !== metadata['sha256'])
    throw new Error(`${path} is damaged: its contents do not agree with its checksum`);
  return { tensors, state: JSON.parse(json) };
}
