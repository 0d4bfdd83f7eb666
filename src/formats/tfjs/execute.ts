/**
 * Running a TensorFlow graph: what is asked for is computed, each node after its inputs. Control flow of both
 * generations becomes branches and loops of ours: If and While with their functions, and the Switch, Merge, Enter, Exit
 * and NextIteration of TensorFlow 1, whose branches and loops are found in the graph.
 */
import type { Tensor } from '../../tensor/index.ts';
import { branch, repeat } from '../controlFlow.ts';
import {
  attributesOf,
  CALLERS,
  functionName,
  type GraphFunction,
  type GraphNode,
  type Library,
  nodeOf,
  outputOf,
} from './nodes.ts';
import { OPERATORS } from './operators/index.ts';

/** How deep functions may call one another. */
const MAX_DEPTH = 64;

/** Values of Const nodes by name. */
export type Constants = ReadonlyMap<string, readonly Tensor[]>;

/** What is known where: a branch or a step of a loop sees what is known around it. */
interface Scope {
  readonly known: Map<string, readonly Tensor[]>;
  readonly around: Scope | null;
  /** Values of Const nodes, those of functions too. */
  readonly constants: Constants;
  /** Whether this is a step of a loop, whose nodes are computed anew. */
  readonly loop: boolean;
}

/** Which side of a condition a node belongs to. */
interface Side {
  readonly condition: string;
  readonly side: boolean;
}

/** A while loop of TensorFlow 1: the Merge nodes that carry its values from step to step. */
interface Frame {
  readonly merges: readonly { readonly merge: string; readonly enter: string; readonly next: string }[];
  readonly condition: string;
}

export class Execution {
  readonly #nodes: ReadonlyMap<string, GraphNode>;
  readonly #library: Library;
  readonly #depth: number;
  readonly #sides = new Map<string, readonly Side[]>();
  readonly #frames = new Map<string, Frame>();
  /** Merge nodes that carry a loop's values, and their loops. */
  readonly #carriers = new Map<string, string>();

  /**
   * @throws Error where control flow is not as TensorFlow writes it, a function is missing, or functions call each
   * other in a circle
   */
  constructor(nodes: readonly GraphNode[], library: Library, depth = 0) {
    this.#nodes = new Map(nodes.map(node => [node.name, node]));
    this.#library = library;
    this.#depth = depth;
    this.#findFrames();
  }

  /** The tensors of `references` where `known` nodes have these values. */
  run(
    references: readonly string[],
    known: ReadonlyMap<string, readonly Tensor[]>,
    constants: Constants,
  ): readonly Tensor[] {
    return this.#evaluate(references, { known: new Map(known), around: null, constants, loop: false });
  }

  #node(name: string): GraphNode {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`there is no node ${JSON.stringify(name)}`);
    return node;
  }

  #find(name: string, scope: Scope): readonly Tensor[] | undefined {
    for (let at: Scope | null = scope; at; at = at.around) {
      const found = at.known.get(name);
      if (found) return found;
    }
    return undefined;
  }

  #evaluate(references: readonly string[], scope: Scope): readonly Tensor[] {
    const stack = references.map(nodeOf).reverse();
    const open = new Set<string>();
    while (stack.length > 0) {
      const name = stack.at(-1)!;
      if (this.#find(name, scope)) {
        stack.pop();
        continue;
      }
      const node = this.#node(name);
      const missing = this.#needs(node).filter(needed => !this.#find(needed, scope));
      if (missing.length === 0) {
        stack.pop();
        scope.known.set(name, this.#value(node, scope));
        continue;
      }
      if (open.has(name)) throw new Error(`the node ${JSON.stringify(name)} is an input of itself`);
      open.add(name);
      stack.push(...missing);
    }
    return references.map(reference => this.#read(reference, scope));
  }

  #read(reference: string, scope: Scope): Tensor {
    const name = nodeOf(reference);
    const output = outputOf(reference, this.#nodes.get(name)?.op ?? '');
    const found = this.#find(name, scope)?.[output];
    if (!found) throw new Error(`there is no value ${reference}`);
    return found;
  }

  /** What must be known before a node's value can be. */
  #needs(node: GraphNode): readonly string[] {
    if (node.op === 'Enter' || node.op === 'Exit' || this.#carriers.has(node.name)) return [];
    if (node.op === 'Merge') return [nodeOf(this.#conditionOf(node).condition)];
    return node.inputs.map(nodeOf);
  }

  #value(node: GraphNode, scope: Scope): readonly Tensor[] {
    const read = (i: number): Tensor => this.#read(node.inputs[i]!, scope);
    switch (node.op) {
      case 'Placeholder':
        throw new Error(`the input ${node.name} is not given`);
      case 'Const': {
        const constant = scope.constants.get(node.name);
        if (!constant) throw new Error(`the constant ${node.name} is not among the weights`);
        return constant;
      }
      case 'NoOp':
        return [];
      case 'Switch':
        return [read(0), read(0)];
      case 'NextIteration':
      case 'LoopCond':
        return [read(0)];
      case 'Enter': {
        // What enters a loop is computed outside of it.
        const step = this.#stepOf(scope);
        return this.#evaluate(node.inputs, step?.around ?? scope);
      }
      case 'Exit':
        this.#runFrame(node, scope);
        return this.#find(node.name, scope)!;
      case 'Merge':
        return this.#merge(node, scope);
    }
    try {
      if (CALLERS[node.op]) return this.#call(node, scope);
      const result = OPERATORS[node.op]!(
        node.inputs.map((_, i) => read(i)),
        attributesOf(node),
      );
      return Array.isArray(result) ? result : [result as Tensor];
    } catch (error) {
      throw new Error(`${node.op} "${node.name}": ${(error as Error).message}`, { cause: error });
    }
  }

  #stepOf(scope: Scope): Scope | null {
    let at: Scope | null = scope;
    while (at && !at.loop) at = at.around;
    return at;
  }

  // ------------------------------------------------------------------------------------------------ functions

  #call(node: GraphNode, scope: Scope): readonly Tensor[] {
    if (this.#depth === MAX_DEPTH) throw new Error(`functions call one another deeper than ${MAX_DEPTH}`);
    const args = node.inputs.map(reference => this.#read(reference, scope));
    const [first, second] = CALLERS[node.op]!.map(key => this.#function(node, key, scope.constants));
    switch (node.op) {
      case 'If':
      case 'StatelessIf':
        return branch(
          args[0]!,
          () => first!(args.slice(1)),
          () => second!(args.slice(1)),
        );
      case 'While':
      case 'StatelessWhile':
        return repeat(values => first!(values)[0]!, second!, args);
      default:
        return first!(args);
    }
  }

  #function(node: GraphNode, key: string, constants: Constants): (args: readonly Tensor[]) => readonly Tensor[] {
    const name = functionName(node, key);
    const called: GraphFunction | undefined = name === undefined ? undefined : this.#library.get(name);
    if (!called) throw new Error(`the function ${name ?? `of ${key}`} is not in the library`);
    const execution = new Execution(called.nodes, this.#library, this.#depth + 1);
    return args => {
      if (args.length !== called.inputs.length)
        throw new Error(`function ${name} takes ${called.inputs.length} arguments, and ${args.length} came`);
      const given = called.inputs.map((input, i) => [input, [args[i]!]] as const);
      return execution.run(called.outputs, new Map(given), constants);
    };
  }

  // ------------------------------------------------------------------------------------------------ branches of
  // TensorFlow 1

  /** The conditions that a node's value depends on, the outer ones first. */
  #sidesOf(name: string): readonly Side[] {
    const stack = [name];
    const open = new Set<string>();
    while (stack.length > 0) {
      const at = stack.at(-1)!;
      const node = this.#nodes.get(at);
      const around = node ? [...this.#before(node), ...node.controls].map(nodeOf) : [];
      const missing = around.filter(before => !this.#sides.has(before) && !open.has(before));
      if (this.#sides.has(at) || missing.length === 0) {
        stack.pop();
        if (!this.#sides.has(at)) this.#sides.set(at, node ? this.#sidesFrom(node) : []);
        continue;
      }
      open.add(at);
      stack.push(...missing);
    }
    return this.#sides.get(name)!;
  }

  /** The inputs that say which branch a node is in: what leaves a loop or is carried by it is where the loop is. */
  #before(node: GraphNode): readonly string[] {
    if (this.#carriers.has(node.name))
      return node.inputs.filter(input => this.#nodes.get(nodeOf(input))?.op === 'Enter');
    return node.inputs;
  }

  /** The same from what is known of a node's inputs. */
  #sidesFrom(node: GraphNode): readonly Side[] {
    const sides: Side[] = [];
    const lists = this.#before(node).map(input => this.#sidesAt(input));
    // Both sides of a Merge's own condition meet in it.
    const own = node.op === 'Merge' && lists.length === 2 ? this.#joined(lists)?.condition : undefined;
    for (const list of [...lists, ...node.controls.map(control => this.#sidesAt(control))])
      for (const side of list)
        if (side.condition !== own && !sides.some(({ condition }) => condition === side.condition)) sides.push(side);
    return sides;
  }

  #sidesAt(reference: string): readonly Side[] {
    const name = nodeOf(reference);
    const sides = this.#sides.get(name) ?? [];
    const node = this.#nodes.get(name);
    if (node?.op !== 'Switch' || this.#isOfLoop(node)) return sides;
    return [...sides, { condition: node.inputs[1]!, side: outputOf(reference, 'Switch') === 1 }];
  }

  #isOfLoop(node: GraphNode): boolean {
    return this.#nodes.get(nodeOf(node.inputs[1] ?? ''))?.op === 'LoopCond';
  }

  /** The condition whose sides two lists differ in: the innermost. */
  #joined(lists: readonly (readonly Side[])[]): Side | undefined {
    const [a, b] = lists as [readonly Side[], readonly Side[]];
    const opposite = (list: readonly Side[], side: Side): boolean =>
      list.some(other => other.condition === side.condition && other.side !== side.side);
    const has = (list: readonly Side[], side: Side): boolean =>
      list.some(({ condition }) => condition === side.condition);
    const both = a.findLast(side => opposite(b, side));
    if (both) return both;
    // A branch without a Switch of its own, such as a constant: the other one tells.
    const alone = a.findLast(side => !has(b, side));
    if (alone) return alone;
    const other = b.findLast(side => !has(a, side));
    return other && { ...other, side: !other.side };
  }

  /** The condition of a Merge, and on which side of it its first input lies. */
  #conditionOf(node: GraphNode): Side {
    if (node.inputs.length !== 2) throw new Error(`Merge "${node.name}": ${node.inputs.length} inputs, expected 2`);
    for (const input of node.inputs) this.#sidesOf(nodeOf(input));
    const side = this.#joined(node.inputs.map(input => this.#sidesAt(input)));
    if (!side) throw new Error(`Merge "${node.name}": no Switch says which of its inputs there is`);
    return side;
  }

  #merge(node: GraphNode, scope: Scope): readonly Tensor[] {
    const { condition, side } = this.#conditionOf(node);
    const [decides] = this.#evaluate([condition], scope);
    const taken = (reference: string) => (): readonly Tensor[] =>
      this.#evaluate([reference], { ...scope, known: new Map(), around: scope, loop: false });
    const [first, second] = node.inputs.map(taken);
    const [value] = side ? branch(decides!, first!, second!) : branch(decides!, second!, first!);
    return [value!, side ? decides!.logicalNot().to('i32') : decides!.to('i32')];
  }

  // ------------------------------------------------------------------------------------------------ loops of
  // TensorFlow 1

  #findFrames(): void {
    const merges = new Map<string, { merge: string; enter: string; next: string }[]>();
    for (const node of this.#nodes.values()) {
      if (node.op !== 'Merge') continue;
      const of = (op: string): string | undefined =>
        node.inputs.find(input => this.#nodes.get(nodeOf(input))?.op === op);
      const [enter, next] = [of('Enter'), of('NextIteration')];
      if (!enter || !next) continue;
      const frame = attributesOf(this.#node(nodeOf(enter))).text('frame_name');
      merges.set(frame, [...(merges.get(frame) ?? []), { merge: node.name, enter, next }]);
      this.#carriers.set(node.name, frame);
    }
    for (const [frame, list] of merges) {
      const carried = new Set(list.map(({ merge }) => merge));
      const condition = [...this.#nodes.values()].find(
        node => node.op === 'Switch' && carried.has(nodeOf(node.inputs[0]!)) && this.#isOfLoop(node),
      )?.inputs[1];
      if (!condition) throw new Error(`the loop ${frame} has no LoopCond`);
      this.#frames.set(frame, { merges: list, condition });
    }
  }

  /** Runs the loop that `exit` belongs to; all its Exit nodes are known afterwards. */
  #runFrame(exit: GraphNode, scope: Scope): void {
    const carrierOf = (node: GraphNode): string | undefined => {
      const chosen = this.#nodes.get(nodeOf(node.inputs[0] ?? ''));
      const merge = chosen?.op === 'Switch' ? nodeOf(chosen.inputs[0]!) : undefined;
      return merge !== undefined && this.#carriers.has(merge) ? merge : undefined;
    };
    const name = this.#carriers.get(carrierOf(exit) ?? '');
    const frame = name === undefined ? undefined : this.#frames.get(name);
    if (!frame) throw new Error(`Exit "${exit.name}": it does not leave a loop`);
    const { merges, condition } = frame;
    // The rest is known from the outside, or computed in every step.
    const step = (values: readonly Tensor[]): Scope => ({
      known: new Map(merges.map(({ merge }, i) => [merge, [values[i]!]])),
      around: scope,
      constants: scope.constants,
      loop: true,
    });
    const entered = this.#evaluate(
      merges.map(({ enter }) => this.#node(nodeOf(enter)).inputs[0]!),
      scope,
    );
    const left = repeat(
      values => this.#evaluate([condition], step(values))[0]!,
      values =>
        this.#evaluate(
          merges.map(({ next }) => next),
          step(values),
        ),
      entered,
    );
    for (const node of this.#nodes.values()) {
      if (node.op !== 'Exit') continue;
      const at = merges.findIndex(({ merge }) => merge === carrierOf(node));
      if (at >= 0) scope.known.set(node.name, [left[at]!]);
    }
  }
}
