/**
 * Programs with control flow. A backend runs straight programs, so such a graph is cut where a loop or a choice stands:
 * what they read is computed by one program, then they run, then the next program reads what they gave. Variables are
 * written by the last program, when nothing can fail any more. To its caller the whole is one executable.
 */
import type { Binding, Executable, GraphProgram } from '../compiler/program.ts';
import { uniformValue } from '../graph/build.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { type ControlRunner, choiceRunner, hostOf, loopRunner, type Prepare } from './control.ts';
import { finish, finishAsync, type Work } from './work.ts';

const isControl = (node: Node): node is Node<'loop'> | Node<'choose'> => node.op === 'loop' || node.op === 'choose';

const rootsOf = (program: GraphProgram): Node[] => [...program.outputs, ...program.updates.map(update => update.node)];

/** A program that says what it consists of. */
export type OrderedProgram = GraphProgram & Required<Pick<GraphProgram, 'order'>>;

export const hasControlFlow = ({ order, leaves }: OrderedProgram): boolean =>
  order.some(node => isControl(node) && !leaves.includes(node));

/**
 * One stretch: a straight program, then the control flow that reads what there is by then. Numbers are slots for
 * values.
 */
interface Stretch {
  readonly program: {
    readonly executable: Executable;
    readonly reads: readonly number[];
    readonly writes: readonly number[];
  } | null;
  readonly control: readonly {
    readonly run: ControlRunner;
    readonly reads: readonly number[];
    readonly writes: readonly number[];
  }[];
}

/** All stretches in order; values stand in `slots` slots, of which the leaves come first. */
interface Split {
  readonly stretches: readonly Stretch[];
  readonly slots: number;
  readonly leaves: number;
  /** Slots of the outputs. */
  readonly results: readonly number[];
}

/** Compiles a graph with control flow; `prepare` compiles its parts. */
export const splitProgram = (program: OrderedProgram, prepare: Prepare): Executable =>
  executableOf(split(program, prepare));

/**
 * Keeps no node: executables live as long as the program cache. The parts belong to that cache, which other programs
 * share.
 */
const executableOf = (of: Split): Executable => ({
  run: bindings => finish(work(of, bindings)),
  runAsync: bindings => finishAsync(work(of, bindings)),
  free() {},
});

function* work({ stretches, slots, leaves, results }: Split, bindings: readonly Binding[]): Work<HostArray[]> {
  const values: Binding[] = [...bindings];
  values.length = slots;
  // A variable that is handed back is read before anything is written.
  const given = results.map(slot => (slot < leaves ? hostOf(values[slot]!) : null));
  const write = (slots: readonly number[], made: readonly HostArray[]): void => {
    for (const [i, slot] of slots.entries()) values[slot] = made[i]!;
  };
  for (const { program, control } of stretches) {
    if (program)
      write(program.writes, yield { executable: program.executable, bindings: program.reads.map(s => values[s]!) });
    for (const { run, reads, writes } of control) write(writes, yield* run(reads.map(slot => values[slot]!)));
  }
  return results.map((slot, i) => given[i] ?? (values[slot] as HostArray));
}

function split(program: OrderedProgram, prepare: Prepare): Split {
  const leaves = new Set(program.leaves);
  const slots = new Map<Node, number>(program.leaves.map((leaf, i) => [leaf, i]));
  const slotOf = (node: Node): number => {
    const slot = slots.get(node) ?? slots.size;
    slots.set(node, slot);
    return slot;
  };
  const order = program.order.filter(node => !leaves.has(node));
  // A node's stretch: one past the last control flow below it. Literals belong to every stretch.
  const level = new Map<Node, number>();
  const isFree = (node: Node): boolean => node.op === 'iota' || uniformValue(node) !== null;
  for (const node of order) {
    const below = node.inputs.reduce((most, input) => Math.max(most, level.get(input) ?? 0), 0);
    level.set(node, isControl(node) ? below + 1 : below);
  }
  const last = Math.max(...level.values());
  // What a later stretch, control flow or the caller needs of an earlier one.
  const crossing = new Set<Node>();
  for (const node of order)
    for (const input of node.inputs) {
      if (leaves.has(input) || isControl(input)) continue;
      if (isControl(node) || (level.get(input)! < level.get(node)! && !isFree(input))) crossing.add(input);
    }
  for (const root of rootsOf(program))
    if (!leaves.has(root) && !isControl(root) && (level.get(root)! < last || program.outputs.includes(root)))
      crossing.add(root);

  const known = new Set<Node>([...leaves, ...order.filter(isControl)]);
  const stretches: Stretch[] = [];
  for (let at = 0; at <= last; at++) {
    const outputs = order.filter(node => crossing.has(node) && level.get(node) === at);
    const updates = at === last ? program.updates.map(({ leaf, node }) => ({ leaf: program.leaves[leaf]!, node })) : [];
    let straight: Stretch['program'] = null;
    if (outputs.length > 0 || updates.length > 0) {
      const prepared = prepare(outputs, updates, node => known.has(node));
      straight = {
        executable: prepared.executable,
        reads: prepared.leaves.map(slotOf),
        writes: outputs.map(slotOf),
      };
    }
    for (const node of outputs) known.add(node);
    const controls = order.filter(isControl).filter(node => level.get(node) === at + 1);
    stretches.push({ program: straight, control: controlOf(controls, slotOf, prepare) });
  }
  const results = program.outputs.map(slotOf);
  return { stretches, slots: slots.size, leaves: program.leaves.length, results };
}

/** Runners for the given results, one for each application. */
function controlOf(
  nodes: readonly (Node<'loop'> | Node<'choose'>)[],
  slotOf: (node: Node) => number,
  prepare: Prepare,
): Stretch['control'] {
  const applications = new Map<object, Node[]>();
  for (const node of nodes) {
    const key = node.is('loop') ? node.attrs.loop : (node as Node<'choose'>).attrs.choice;
    applications.set(key, [...(applications.get(key) ?? []), node]);
  }
  return [...applications.values()].map(results => {
    const [node] = results as [Node];
    const wanted = results.map(result => (result as Node<'loop'>).attrs.output);
    const run = node.is('loop')
      ? loopRunner(node.attrs.loop, wanted, prepare)
      : choiceRunner((node as Node<'choose'>).attrs.choice, wanted, prepare);
    return { run, reads: node.inputs.map(slotOf), writes: results.map(slotOf) };
  });
}
