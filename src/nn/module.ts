/**
 * Module: a function with parameters. Parameters, buffers and child modules are found by looking at the object's own
 * properties, so a class just assigns fields. Imports the Tensor API; knows nothing of optimizers, training loops or
 * files.
 */
import { hostArray } from '../graph/dtype.ts';
import { evaluate, flush } from '../runtime/index.ts';
import { type DType, type HostArray, isFloat, Parameter, type Tensor } from '../tensor/index.ts';
import { bumpModeEpoch, modeSwitched } from '../tensor/mode.ts';
import { checkOptions } from '../tensor/options.ts';
import { requireGrads } from '../tensor/parameter.ts';
import { deepCopy, refusePrivateMembers } from './clone.ts';
import { joinKey, keyOf } from './names.ts';
import { noteMethods } from './noted.ts';
import { describe, describeSettings } from './print.ts';
import { loadState, type StateDict, type StateMismatch } from './state.ts';
import { summarize } from './summary.ts';

/** Any module, whatever `forward` takes and gives. */
export type AnyModule = Module<never[], unknown>;

export interface LoadOptions {
  /** Whether missing and unexpected keys are errors; true by default. Wrong shapes always are. */
  readonly strict?: boolean;
}

/** Called with the module and the arguments; may return other arguments. */
export type ForwardPreHook<M, In> = (module: M, input: In) => In | undefined;

/** Called with the module, the arguments and the output; may return another output. */
export type ForwardHook<M, In, Out> = (module: M, input: In, output: Out) => Out | undefined;

/** Takes a hook back. */
export interface HookHandle {
  /** Takes the hook off again. */
  remove(): void;
}

/** Hooks without the types of their module, which would bind every module to exactly its own argument types. */
interface Hooks {
  readonly before: Set<(module: unknown, input: unknown) => unknown>;
  readonly after: Set<(module: unknown, input: unknown, output: unknown) => unknown>;
}

interface OwnTensor {
  readonly property: string;
  readonly tensor: Parameter;
  readonly kind: 'parameter' | 'buffer';
  readonly persistent: boolean;
}

/**
 * Base of all layers and models. Subclasses assign `Parameter`s, buffers and `Module`s to fields (TypeScript's
 * `private` ones as well, but not `#private` ones, which nobody else can see or copy) and define `forward`:
 *
 *     class Net extends Module {
 *       readonly fc1 = new Linear(784, 128);
 *       readonly fc2 = new Linear(128, 10);
 *       forward(x: Tensor): Tensor {
 *         return this.fc2.call(this.fc1.call(x).relu());
 *       }
 *     }
 *
 * `In` and `Out` are the types of `forward`, its arguments as a tuple and what it returns: one tensor to one tensor by
 * default, else for instance `extends Module<[ids: Tensor, state?: State], [logits: Tensor, state: State]>`.
 */
export abstract class Module<In extends readonly unknown[] = [Tensor], Out = Tensor> {
  /**
   * Whether the module is in training mode (dropout active, batch statistics used); changed by `train()` and `eval()`.
   */
  training = true;

  /** Property name of each buffer, and whether it is saved. */
  readonly #buffers = new Map<string, boolean>();

  #hooks: Hooks | null = null;

  constructor() {
    noteMethods(new.target.prototype, Module.prototype);
  }

  /** The computation. Call it through `call`, or directly. */
  abstract forward(...args: In): Out;

  /** Runs `forward` between the hooks that were registered. */
  call(...args: In): Out {
    const hooks = this.#hooks;
    if (!hooks) return this.forward(...args);
    let input = args;
    for (const hook of hooks.before) input = (hook(this, input) ?? input) as In;
    let output = this.forward(...input);
    for (const hook of hooks.after) output = (hook(this, input, output) ?? output) as Out;
    return output;
  }

  /**
   * Has `hook` called before each `call` (not before a direct `forward`); what it returns, if anything, replaces the
   * arguments. Inside `compile` it runs when the function is recorded.
   */
  registerForwardPreHook<I extends readonly unknown[] | [] = In>(hook: ForwardPreHook<this, I>): HookHandle {
    return this.#register(hooks => hooks.before, hook as (module: unknown, input: unknown) => unknown);
  }

  /** Has `hook` called after each `call`; what it returns, if anything, replaces the output. */
  registerForwardHook<I extends readonly unknown[] | [] = In, O = Out>(hook: ForwardHook<this, I, O>): HookHandle {
    return this.#register(hooks => hooks.after, hook as (module: unknown, input: unknown, output: unknown) => unknown);
  }

  #register<H>(listOf: (hooks: Hooks) => Set<H>, hook: H): HookHandle {
    this.#hooks ??= { before: new Set(), after: new Set() };
    const list = listOf(this.#hooks);
    list.add(hook);
    bumpModeEpoch();
    return {
      remove: () => {
        list.delete(hook);
        bumpModeEpoch();
      },
    };
  }

  /**
   * Declares the field `property` as a buffer: state that is no parameter, such as running statistics. A buffer has no
   * gradient, and is saved unless `persistent` is false.
   */
  registerBuffer(property: string, value: Tensor, options: { readonly persistent?: boolean } = {}): Parameter {
    const { persistent = true } = checkOptions('registerBuffer', options, ['persistent']);
    const buffer = value instanceof Parameter ? value : new Parameter(value, { requiresGrad: false });
    buffer.requiresGrad = false;
    this.#buffers.set(property, persistent);
    Object.defineProperty(this, property, { value: buffer, enumerable: true, configurable: true, writable: true });
    return buffer;
  }

  /** @throws where the module's parameters do not exist yet; see lazy.ts */
  protected checkReady(): void {}

  #ownTensors(): OwnTensor[] {
    this.checkReady();
    const found: OwnTensor[] = [];
    for (const [property, value] of Object.entries(this)) {
      if (!(value instanceof Parameter)) continue;
      const persistent = this.#buffers.get(property);
      const kind = persistent === undefined ? 'parameter' : 'buffer';
      found.push({ property, tensor: value, kind, persistent: persistent ?? true });
    }
    return found;
  }

  /** Direct child modules with their keys. */
  namedChildren(): [string, AnyModule][] {
    const found: [string, AnyModule][] = [];
    for (const [property, value] of Object.entries(this)) {
      if (value instanceof Module) found.push([this.childKey(property), value]);
      else if (typeof value === 'object' && value !== null) this.#refuseHidden(property, value);
    }
    return found;
  }

  /** @throws Error for modules and parameters in a plain container, where nobody would find them */
  #refuseHidden(property: string, container: object): void {
    const refuse = (kind: string, wrapper: string): never => {
      throw new Error(
        `${this.constructor.name}.${property} is a plain ${kind}, whose parameters nobody would find: wrap it in ${wrapper}`,
      );
    };
    const isArray = Array.isArray(container);
    const kind = isArray ? 'array' : container.constructor?.name;
    // Maps may be long vocabularies: their first value speaks for all.
    const [first] = container instanceof Map || container instanceof Set ? container.values() : [];
    const items: readonly unknown[] = isArray ? container : [first];
    if (items.some(item => item instanceof Module)) refuse(`${kind} of modules`, isArray ? 'ModuleList' : 'ModuleDict');
    if (items.some(item => item instanceof Parameter))
      refuse(`${kind} of parameters`, isArray ? 'ParameterList' : 'ParameterDict');
  }

  /** The key of a field; containers with names given by the user keep them unchanged. */
  protected childKey(property: string): string {
    return keyOf(property);
  }

  /** Direct child modules. */
  children(): AnyModule[] {
    return this.namedChildren().map(([, child]) => child);
  }

  /** This module (key '') and all below it, depth first; a shared module comes once. */
  namedModules(prefix = '', seen = new Set<AnyModule>()): [string, AnyModule][] {
    if (seen.has(this)) return [];
    seen.add(this);
    const below = this.namedChildren().flatMap(([key, child]) => child.namedModules(joinKey(prefix, key), seen));
    return [[prefix, this], ...below];
  }

  /** This module and all below it. */
  modules(): AnyModule[] {
    return this.namedModules().map(([, module]) => module);
  }

  #named(kind: OwnTensor['kind']): [string, Parameter][] {
    const seen = new Set<Parameter>();
    const found: [string, Parameter][] = [];
    for (const [prefix, module] of this.namedModules()) {
      for (const own of module.#ownTensors()) {
        if (own.kind !== kind || seen.has(own.tensor)) continue;
        seen.add(own.tensor);
        found.push([joinKey(prefix, module.childKey(own.property)), own.tensor]);
      }
    }
    return found;
  }

  /**
   * All parameters below this module with their state-dict keys; a shared parameter comes once, under its first name.
   */
  namedParameters(): [string, Parameter][] {
    return this.#named('parameter');
  }

  /** All parameters below this module, each once: what an optimizer takes. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** All buffers below this module with their state-dict keys. */
  namedBuffers(): [string, Parameter][] {
    return this.#named('buffer');
  }

  /** All buffers below this module. */
  buffers(): Parameter[] {
    return this.namedBuffers().map(([, buffer]) => buffer);
  }

  /** The module under a key such as `layer1.0.conv1`. @throws when there is none */
  getSubmodule(key: string): AnyModule {
    const found = this.namedModules().find(([name]) => name === key);
    if (!found) throw new Error(`getSubmodule: ${this.constructor.name} has no module "${key}"`);
    return found[1];
  }

  /** The parameter under a state-dict key. @throws when there is none */
  getParameter(key: string): Parameter {
    const found = this.namedParameters().find(([name]) => name === key);
    if (!found) throw new Error(`getParameter: ${this.constructor.name} has no parameter "${key}"`);
    return found[1];
  }

  /** Switches this module and all below to training mode, or out of it. */
  train(mode = true): this {
    const switched = this.modules().filter(module => module.training !== mode);
    for (const module of switched) module.training = mode;
    if (switched.length > 0) modeSwitched(switched);
    return this;
  }

  /** Switches this module and all below to evaluation mode. */
  eval(): this {
    return this.train(false);
  }

  /** Freezes (false) or unfreezes all parameters below; compiled functions record anew. */
  requiresGrad_(value = true): this {
    requireGrads(this.parameters(), value);
    return this;
  }

  /** Drops the gradients of all parameters below. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Calls `visit` on all modules below and then on this one. */
  apply(visit: (module: AnyModule) => void): this {
    for (const child of this.children()) child.apply(visit);
    visit(this);
    return this;
  }

  /**
   * Converts all floating parameters and buffers below to `dtype`. Do it before an optimizer takes hold of the
   * parameters.
   */
  to(dtype: DType): this {
    const owned = this.modules().flatMap(module => module.#ownTensors().map(own => ({ module, ...own })));
    const olds = [...new Set(owned.map(({ tensor }) => tensor))].filter(t => isFloat(t.dtype) && t.dtype !== dtype);
    const values = olds.map(old => old.detach().to(dtype));
    // All conversions are one program, together with initial values that nothing has needed so far.
    evaluate(values.map(value => value.node));
    const twins = new Map(olds.map((old, i) => [old, new Parameter(values[i]!, { requiresGrad: old.requiresGrad })]));
    for (const { module, property, tensor } of owned) {
      const value = twins.get(tensor);
      if (value)
        Object.defineProperty(module, property, { value, enumerable: true, configurable: true, writable: true });
    }
    bumpModeEpoch();
    return this;
  }

  /**
   * Converts as `to` does, but forgets the values: all floating parameters and buffers are zero then. For weights that
   * are loaded next, so that nobody computes and converts initial ones.
   */
  toEmpty(dtype: DType): this {
    const twins = new Map<Parameter, Parameter>();
    for (const module of this.modules()) {
      for (const { property, tensor } of module.#ownTensors()) {
        if (!isFloat(tensor.dtype)) continue;
        const { shape, requiresGrad } = tensor;
        const zero = (): HostArray => hostArray(dtype, tensor.numel());
        const value = twins.get(tensor) ?? new Parameter({ shape, dtype, value: zero }, { requiresGrad });
        tensor.cell.settle();
        twins.set(tensor, value);
        Object.defineProperty(module, property, { value, enumerable: true, configurable: true, writable: true });
      }
    }
    bumpModeEpoch();
    return this;
  }

  /**
   * Every parameter and persistent buffer by key. The values are the live parameters, not copies: a shared one stands
   * under each of its names.
   */
  stateDict(prefix = ''): StateDict {
    const state: StateDict = {};
    for (const { property, tensor, persistent } of this.#ownTensors())
      if (persistent) state[joinKey(prefix, this.childKey(property))] = tensor;
    for (const [key, child] of this.namedChildren()) Object.assign(state, child.stateDict(joinKey(prefix, key)));
    return state;
  }

  /**
   * Copies values into parameters and buffers by key, converting dtypes.
   * @returns the keys that were missing and unexpected (both empty when strict)
   * @throws Error that lists missing, unexpected and wrongly shaped entries; then nothing has changed
   */
  loadStateDict(state: Readonly<StateDict>, options: LoadOptions = {}): StateMismatch {
    const { strict = true } = checkOptions('loadStateDict', options, ['strict']);
    return loadState(this.constructor.name, this.stateDict(), state, strict);
  }

  /**
   * A deep copy, as Python's copy.deepcopy makes one: parameters and buffers with their present values, modes, hooks,
   * pruned and normed weights. What is shared inside (tied weights) is shared in the copy, too. Gradients are not
   * copied; functions and objects of other classes are shared with the original.
   *
   * @throws Error for a class with `#private` members, which nothing can copy
   */
  clone(): this {
    // All initial values are one program.
    flush();
    return deepCopy(this, original => {
      if (!(original instanceof Module)) return null;
      refusePrivateMembers(original, Module.prototype);
      // Runs the base constructor alone: the fields of the class are copied, not made again.
      const copy = Reflect.construct(Module, [], original.constructor as new () => AnyModule) as AnyModule;
      for (const [property, persistent] of original.#buffers) copy.#buffers.set(property, persistent);
      if (original.#hooks)
        copy.#hooks = { before: new Set(original.#hooks.before), after: new Set(original.#hooks.after) };
      return copy;
    });
  }

  /**
   * A table of the layers in the order they run, with their output shapes and parameter counts.
   * @param inputs what `forward` takes: shapes (batch dimension included) of tensors of the model's dtype, or example
   * tensors, for models that take integers; without any, output shapes are left out
   */
  summary(...inputs: readonly (readonly number[] | Tensor)[]): string {
    return summarize(this, inputs);
  }

  /**
   * The settings that `toString` prints of this module itself: its fields of numbers, strings and flags. Override it to
   * print others.
   */
  extraRepr(): string {
    return describeSettings(this);
  }

  /**
   * The tree of modules with their settings, as PyTorch prints one; `console.log(model)` shows it too. Computes
   * nothing.
   */
  toString(): string {
    return describe(this);
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /**
   * Takes over the fields, parameters, buffers and class of `other`, which must not be used any more: how a lazy module
   * becomes the one it stands for.
   */
  protected become(other: AnyModule): void {
    Object.setPrototypeOf(this, Object.getPrototypeOf(other) as object);
    Object.assign(this, other);
    for (const [property, persistent] of other.#buffers) this.#buffers.set(property, persistent);
    bumpModeEpoch();
  }
}
