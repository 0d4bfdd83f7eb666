/**
 * A Keras model of TensorFlow.js as a module: Sequential and functional topologies, models within models, shared
 * layers. Parameters keep their names in the file, so they can be trained further and saved again.
 */

import { Module } from '../../nn/index.ts';
import { Parameter, type Tensor } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import { addParameter, liveParameter } from '../liveParameters.ts';
import type { Port } from '../weights.ts';
import { Config, LAYERS, type Layer } from './layers.ts';
import { isObject } from './manifest.ts';

type JsonObject = { readonly [key: string]: Json };

/** A layer of the file: what it is and which weights are its own. */
interface Described {
  readonly name: string;
  readonly kind: string;
  readonly config: JsonObject;
  readonly inbound: readonly Json[];
}

/** Where a tensor of a functional model comes from: call `node` of `layer`. */
interface Source {
  readonly layer: string;
  readonly node: number;
}

/** Names of weights that training does not change. */
const BUFFERS: ReadonlySet<string> = new Set(['moving_mean', 'moving_variance']);

/** Models nest, wrappers too. */
const MAX_DEPTH = 32;

const MODELS: ReadonlySet<string> = new Set(['Sequential', 'Functional', 'Model']);
const WRAPPERS: ReadonlySet<string> = new Set(['TimeDistributed', 'Bidirectional']);

/** The class and configuration of a topology, however the version of Keras wraps it. */
export function rootOf(topology: Json, path: string): Described {
  const model = isObject(topology) && isObject(topology['model_config']) ? topology['model_config'] : topology;
  return described(model, path);
}

function described(value: Json | undefined, where: string): Described {
  if (!isObject(value) || typeof value['class_name'] !== 'string')
    throw new Error(`${where}: a layer without class_name`);
  const { class_name: kind, config, inbound_nodes: inbound } = value as { class_name: string } & JsonObject;
  // Sequential models of old files are lists of layers.
  const fields = Array.isArray(config) ? { layers: config } : config;
  if (!isObject(fields)) throw new Error(`${where}: the layer ${kind} has no config`);
  const name = value['name'] ?? fields['name'] ?? kind;
  return { name: String(name), kind, config: fields, inbound: Array.isArray(inbound) ? inbound : [] };
}

const childrenOf = ({ config, name }: Described): Described[] =>
  (Array.isArray(config['layers']) ? config['layers'] : []).map((layer: Json) => described(layer, name));

/** Class names of all layers below, with their number. */
export function kindsOf(root: Described, counts = new Map<string, number>(), depth = 0): Map<string, number> {
  if (depth > MAX_DEPTH) throw new Error(`${root.name}: models nested deeper than ${MAX_DEPTH}`);
  for (const child of childrenOf(root)) {
    if (MODELS.has(child.kind)) kindsOf(child, counts, depth + 1);
    else counts.set(child.kind, (counts.get(child.kind) ?? 0) + 1);
    if (WRAPPERS.has(child.kind))
      kindsOf({ ...child, config: { layers: [child.config['layer'] ?? null] } }, counts, depth + 1);
  }
  return counts;
}

/** A layer's own name and those of all layers inside of a model: its weights are under any of them. */
function namesOf(layer: Described, into = new Set<string>(), depth = 0): Set<string> {
  if (depth > MAX_DEPTH) throw new Error(`${layer.name}: models nested deeper than ${MAX_DEPTH}`);
  into.add(layer.name);
  if (MODELS.has(layer.kind)) for (const child of childrenOf(layer)) namesOf(child, into, depth + 1);
  return into;
}

export const runsLayer = (kind: string): boolean => Object.hasOwn(LAYERS, kind) || MODELS.has(kind);

/** Weights of a model by their full names. */
export type Weights = Readonly<Record<string, Tensor>>;

/**
 * What the file says of a layer or a model, and the names of its weights: symbols, as the fields with names are the
 * file's.
 */
const FILE = Symbol('file');
const WEIGHTS = Symbol('weights');

/** A layer with its weights; models within models are LayersModels. */
class LayerModule extends Module<[readonly Tensor[]], Tensor> {
  private readonly [FILE]: Described;
  private readonly [WEIGHTS]: string[] = [];

  constructor(layer: Described, weights: Weights, scope: string, depth: number) {
    super();
    this[FILE] = layer;
    for (const [name, value] of Object.entries(weights)) {
      const parameter = new Parameter(value, { requiresGrad: !BUFFERS.has(lastOf(name)), name });
      const key = name.slice(scope.length);
      addParameter(this, key, parameter, `${name}: the weight's name`);
      this[WEIGHTS].push(key);
      if (BUFFERS.has(lastOf(name))) this.registerBuffer(key, parameter);
    }
    if (WRAPPERS.has(layer.kind) && depth > MAX_DEPTH)
      throw new Error(`${layer.name}: nested deeper than ${MAX_DEPTH}`);
  }

  protected override childKey(property: string): string {
    return property;
  }

  forward(inputs: readonly Tensor[]): Tensor {
    return this.run(this[FILE], inputs, '');
  }

  private run({ name, kind, config }: Described, inputs: readonly Tensor[], scope: string): Tensor {
    const rule = LAYERS[kind];
    if (!rule) throw new Error(`${name}: layers of class ${kind} cannot be run`);
    const layer: Layer = {
      name,
      kind,
      config: new Config(name, config),
      training: this.training,
      weight: key => {
        const found = this[WEIGHTS].find(full => lastOf(full) === key && full.includes(scope));
        if (found === undefined) throw new Error(`${name}: the file has no weight "${key}" for it`);
        return liveParameter(this, found);
      },
      inner: (x, part = '') => {
        const direction = part === 'backward' ? 'backward_layer' : 'layer';
        const child = described(config[direction] ?? config['layer'], name);
        return this.run(child, [x], part);
      },
    };
    return rule(inputs, layer);
  }
}

const lastOf = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

/** A topology whose layers run in the order their inputs allow. Takes and gives one tensor per input and output. */
export class LayersModel extends Module<readonly Tensor[], Tensor | readonly Tensor[]> {
  private readonly [FILE]: Described;

  constructor(root: Described, weights: Weights, depth = 0) {
    super();
    if (depth > MAX_DEPTH) throw new Error(`${root.name}: models nested deeper than ${MAX_DEPTH}`);
    this[FILE] = root;
    const missing = [...kindsOf(root).keys()].filter(kind => !runsLayer(kind));
    if (missing.length > 0) throw new Error(`${root.name}: layers of class ${missing.join(', ')} cannot be run`);
    const claimed = new Set<string>();
    for (const child of childrenOf(root)) {
      const names = [...namesOf(child)].map(name => `/${name}/`);
      const own = Object.keys(weights).filter(
        name => !claimed.has(name) && names.some(part => `/${name}`.includes(part)),
      );
      for (const name of own) claimed.add(name);
      const part = Object.fromEntries(own.map(name => [name, weights[name]!]));
      const at = own.length > 0 ? `/${own[0]!}`.indexOf(`/${child.name}/`) : -1;
      const scope = at < 0 ? '' : own[0]!.slice(0, at + child.name.length + 1);
      const module = MODELS.has(child.kind)
        ? new LayersModel(child, part, depth + 1)
        : new LayerModule(child, part, scope, depth);
      if (child.name in this)
        throw new Error(`${root.name}: the name of layer ${child.name} is taken by a member of the class`);
      Object.defineProperty(this, child.name, { value: module, enumerable: true, configurable: true, writable: true });
    }
  }

  protected override childKey(property: string): string {
    return property;
  }

  forward(...inputs: readonly Tensor[]): Tensor | readonly Tensor[] {
    return this[FILE].kind === 'Sequential' ? this.chain(inputs) : this.graph(inputs);
  }

  private callLayer(name: string, inputs: readonly Tensor[]): Tensor | readonly Tensor[] {
    const layer = (this as unknown as Readonly<Record<string, LayerModule | LayersModel>>)[name]!;
    return layer instanceof LayersModel ? layer.call(...inputs) : layer.call(inputs);
  }

  private chain([x]: readonly Tensor[]): Tensor {
    let y = x!;
    for (const { name } of childrenOf(this[FILE])) {
      const out = this.callLayer(name, [y]);
      y = Array.isArray(out) ? (out as readonly Tensor[])[0]! : (out as Tensor);
    }
    return y;
  }

  private graph(inputs: readonly Tensor[]): Tensor | readonly Tensor[] {
    const { config, name } = this[FILE];
    const known = new Map<string, Tensor>();
    const ports = sourcesOf(config['input_layers'] ?? null);
    if (ports.length !== inputs.length)
      throw new Error(`${name}: ${inputs.length} inputs came, expected ${ports.length}`);
    for (const [i, { layer, node }] of ports.entries()) known.set(`${layer}:${node}`, inputs[i]!);
    const byName = new Map(childrenOf(this[FILE]).map(child => [child.name, child]));
    const first = this.firstNodes();
    const open = new Set<string>();
    const value = ({ layer, node }: Source): Tensor => {
      const key = `${layer}:${node}`;
      const found = known.get(key);
      if (found) return found;
      if (open.has(key)) throw new Error(`${name}: the layer ${layer} is an input of itself`);
      open.add(key);
      const child = byName.get(layer);
      if (!child) throw new Error(`${name}: there is no layer ${layer}`);
      const result = this.callLayer(layer, sourcesOf(child.inbound[node - (first.get(layer) ?? 0)] ?? null).map(value));
      const output = Array.isArray(result) ? (result as readonly Tensor[])[0]! : (result as Tensor);
      known.set(key, output);
      return output;
    };
    const outputs = sourcesOf(config['output_layers'] ?? null).map(value);
    return outputs.length === 1 ? outputs[0]! : outputs;
  }

  /**
   * The lowest number each layer's calls are known by: a model that had its own input before it was called here starts
   * at 1.
   */
  private firstNodes(): ReadonlyMap<string, number> {
    const { config } = this[FILE];
    const all = [...childrenOf(this[FILE]).flatMap(({ inbound }) => inbound), config['output_layers'] ?? null].flatMap(
      sourcesOf,
    );
    const first = new Map<string, number>();
    for (const { layer, node } of all) first.set(layer, Math.min(node, first.get(layer) ?? node));
    return first;
  }
}

/**
 * What a model takes, the batch left free: of a Sequential the shape stands with its first layer, which may be a model
 * itself.
 */
export function inputsOf(root: Described, depth = 0): readonly Port[] {
  const children = childrenOf(root);
  const first = children[0];
  if (root.kind !== 'Sequential')
    return sourcesOf(root.config['input_layers'] ?? null).map(({ layer }) => {
      const entry = children.find(child => child.name === layer);
      if (!entry) throw new Error(`${root.name}: there is no layer ${layer}`);
      return portOf(entry.name, entry.config);
    });
  if (!first || depth > MAX_DEPTH) return [];
  return MODELS.has(first.kind) ? inputsOf(first, depth + 1) : [portOf(first.name, first.config)];
}

function portOf(name: string, config: JsonObject): Port {
  const shape = config['batch_input_shape'] ?? config['batch_shape'];
  return {
    name,
    type: String(config['dtype'] ?? 'float32'),
    // The first is the batch, of all inputs the same.
    shape: Array.isArray(shape) ? shape.map((n, d) => (typeof n === 'number' ? n : d === 0 ? 'batch' : null)) : [],
  };
}

/**
 * References of Keras 2 ([name, node, tensor, ...], lists of them) and of Keras 3 (objects with keras_history), in
 * order.
 */
function sourcesOf(value: Json): Source[] {
  if (Array.isArray(value)) {
    const [name, node] = value as readonly Json[];
    if (typeof name === 'string' && typeof node === 'number') return [{ layer: name, node }];
    return (value as readonly Json[]).flatMap(sourcesOf);
  }
  if (!isObject(value)) return [];
  const history = isObject(value['config']) ? value['config']['keras_history'] : undefined;
  if (history !== undefined) return sourcesOf(history);
  return value['args'] !== undefined ? sourcesOf(value['args']) : [];
}
