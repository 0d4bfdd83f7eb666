/**
 * Files of tensors: safetensors, .npy and .npz, read without trusting them and written atomically. May import tensor; knows no
 * modules, models or training.
 */

export { writeAtomic } from './atomic.ts';
export { type GgufValue, openGguf } from './gguf/reader.ts';
export { loadNpy, npyChunks, parseNpy, saveNpy } from './npy.ts';
export { loadNpz, parseNpz, saveNpz } from './npz.ts';
export { openPyTorch } from './pytorch/reader.ts';
export {
  loadSafetensors,
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  safetensorsChunks,
  saveSafetensors,
} from './safetensors.ts';
export type { StoredTensor, WeightsFile } from './weights.ts';
