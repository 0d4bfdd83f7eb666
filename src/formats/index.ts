/**
 * Files of tensors: safetensors, .npy, .npz and PyTorch's, read without trusting them and written atomically; models of
 * other frameworks as modules. May import tensor and nn; knows no training.
 */

export { writeAtomic } from './atomic.ts';
export { type Converted, type ConvertOptions, convertWeights, WRITABLE } from './convert.ts';
export { modelToOnnx } from './convertModel.ts';
export { type GgufValue, openGguf } from './gguf/reader.ts';
export { openMindSpore } from './mindspore.ts';
export { loadNpy, npyChunks, openNpy, parseNpy, saveNpy } from './npy.ts';
export { loadNpz, openNpz, parseNpz, saveNpz } from './npz.ts';
export * as onnx from './onnx/index.ts';
export { loadWeights, openWeights } from './open.ts';
export { loadPaddle, openPaddle, PaddleProgram, type RaggedInput } from './paddle/index.ts';
export { openPickle } from './pickle/file.ts';
export { openPyTorch } from './pytorch/reader.ts';
export { savePyTorch } from './pytorch/writer.ts';
export {
  loadSafetensors,
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  safetensorsChunks,
  saveSafetensors,
} from './safetensors.ts';
export { GraphModel, LayersModel, loadTfjs, openTfjs } from './tfjs/index.ts';
export type { OperatorCount, Port, ProgramSummary, StoredTensor, WeightsFile } from './weights.ts';
