/**
 * TensorFlow.js models: `model.json` with its weight shards, of layers (Keras) or as a graph, and bare weight
 * manifests. May import nn and tensor.
 */
import type { Tensor } from '../../tensor/index.ts';
import { type Json, parseJson } from '../json.ts';
import { withFile } from '../source.ts';
import { type ProgramSummary, readAll, type WeightsFile } from '../weights.ts';
import { GraphModel } from './graphModel.ts';
import { inputsOf, kindsOf, LayersModel, rootOf, runsLayer, type Weights } from './layersModel.ts';
import { isObject, manifestTensors } from './manifest.ts';
import { libraryOf, nodesOf, portsOf, runsOperator } from './nodes.ts';

export { GraphModel } from './graphModel.ts';
export { LayersModel } from './layersModel.ts';

/** Topologies are a few megabytes at most. */
const MAX_JSON_BYTES = 256 << 20;

function readJson(path: string): Json {
  const text = withFile(path, source => {
    if (source.size > MAX_JSON_BYTES)
      throw new Error(`${path}: it has ${source.size} bytes of JSON, at most ${MAX_JSON_BYTES} are read`);
    return new TextDecoder().decode(source.read(0, source.size));
  });
  try {
    return parseJson(text, { maxDepth: 200 });
  } catch (error) {
    throw new Error(`${path}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Whether a JSON file is one of TensorFlow.js, as its manifest of weights tells. */
const isTfjs = (json: Json): boolean =>
  Array.isArray(json) ? isObject(json[0]) && 'weights' in json[0] : isObject(json) && 'modelTopology' in json;

interface Contents {
  readonly file: WeightsFile;
  readonly topology: Json;
  readonly graph: boolean;
  readonly signature: Json | undefined;
}

function contentsOf(path: string): Contents {
  const json = readJson(path);
  if (!isTfjs(json))
    throw new Error(`${path}: not a TensorFlow.js model: it has neither modelTopology nor a list of weights`);
  const fields: { readonly [key: string]: Json } = isObject(json) ? json : { weightsManifest: json };
  const topology = fields['modelTopology'] ?? null;
  const graph = isObject(topology) && 'node' in topology;
  const user = fields['userDefinedMetadata'];
  const signature = fields['signature'] ?? (isObject(user) ? user['signature'] : undefined);
  const { tensors, close } = manifestTensors(fields['weightsManifest'] ?? [], path);
  try {
    const program = topology === null ? undefined : summaryOf(topology, graph, signature, path);
    const metadata = Object.fromEntries(
      ['format', 'generatedBy', 'convertedBy'].flatMap(key => (fields[key] ? [[key, fields[key]]] : [])),
    );
    const kind = topology === null ? 'weights' : graph ? 'graph model' : 'layers model';
    const file = { path, format: `TensorFlow.js ${kind}`, tensors, metadata, ...(program && { program }), close };
    return { file, topology, graph, signature };
  } catch (error) {
    close();
    throw error;
  }
}

function summaryOf(topology: Json, graph: boolean, signature: Json | undefined, path: string): ProgramSummary {
  if (graph) {
    const nodes = nodesOf(topology, path);
    const counts = new Map<string, number>();
    const functions = [...libraryOf(topology, path).values()].flatMap(called => called.nodes);
    for (const { op } of [...nodes, ...functions]) counts.set(op, (counts.get(op) ?? 0) + 1);
    return { ...portsOf(nodes, signature), operators: listed(counts, runsOperator) };
  }
  return naming(path, () => {
    const root = rootOf(topology, path);
    return { inputs: inputsOf(root), outputs: [], operators: listed(kindsOf(root), runsLayer) };
  });
}

/** What `read` gives; errors name the file, also where they speak of a layer. */
function naming<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { message } = error as Error;
    throw message.startsWith(path) ? error : new Error(`${path}: ${message}`, { cause: error });
  }
}

const listed = (counts: ReadonlyMap<string, number>, runs: (name: string) => boolean): ProgramSummary['operators'] =>
  [...counts].map(([name, count]) => ({ name, count, runs: runs(name) }));

/** Opens a `model.json` or `weights_manifest.json`. @throws Error naming the file and what is wrong in it */
export const openTfjs = (path: string): WeightsFile => contentsOf(path).file;

/**
 * Loads a TensorFlow.js model (`model.json`) as a module: `LayersModel` or `GraphModel`. Takes and gives tensors as
 * TensorFlow has them, channels last.
 * @throws Error naming the file: what is wrong in it, or every layer or operator that cannot be run, before anything
 * runs
 */
export function loadTfjs(path: string): LayersModel | GraphModel {
  const { file, topology, graph, signature } = contentsOf(path);
  try {
    if (topology === null) throw new Error(`${path} holds weights without a model: use loadWeights`);
    const weights: Weights = readAll(file) as Record<string, Tensor>;
    if (graph) return new GraphModel(nodesOf(topology, path), libraryOf(topology, path), signature, weights, path);
    return naming(path, () => new LayersModel(rootOf(topology, path), weights));
  } finally {
    file.close();
  }
}
