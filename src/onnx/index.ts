/**
 * ONNX files: reading them as modules that run, compile and train. May import tensor, nn and formats; nothing imports it but the program and
 * the formats' own index.
 */
export { load, type ModelPort, type ModelValue, OnnxModel, parse, type Strings } from './model.ts';
export { operatorNames } from './ops/index.ts';
