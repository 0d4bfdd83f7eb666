/**
 * Files of tensors: safetensors, .npy and .npz, read without trusting them and written atomically. May import tensor; knows no
 * modules, models or training.
 */

export { writeAtomic } from './atomic.ts';
export { type Converted, type ConvertOptions, convertWeights, WRITABLE } from './convert.ts';
export { type GgufValue, openGguf } from './gguf/reader.ts';
export { loadNpy, npyChunks, openNpy, parseNpy, saveNpy } from './npy.ts';
export { loadNpz, openNpz, parseNpz, saveNpz } from './npz.ts';
export { loadWeights, openWeights } from './open.ts';
export { openPickle } from './pickle/file.ts';
export { openPyTorch } from './pytorch/reader.ts';
export {
  loadSafetensors,
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  safetensorsChunks,
  saveSafetensors,
} from './safetensors.ts';
export type { OperatorCount, Port, ProgramSummary, StoredTensor, WeightsFile } from './weights.ts';
