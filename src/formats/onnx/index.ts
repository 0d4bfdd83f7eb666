/**
 * ONNX files: reading them as modules that run, compile and train. May import tensor, nn and the byte sources of
 * formats.
 */

export type { ElementType, NumericType } from './elementTypes.ts';
export { type ExportOptions, exportModel as export, save } from './export/index.ts';
export { load, type ModelPort, type ModelValue, OnnxModel, parse, parseValue, type Strings, typedAs } from './model.ts';
export { openOnnx } from './open.ts';
export { operatorNames } from './ops/index.ts';
export {
  describeValue,
  type EmptyOptional,
  type MapValue,
  type SequenceValue,
  type StringTensor,
  type TensorValue,
  typed,
  type Value,
} from './values.ts';
