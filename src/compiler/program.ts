/**
 * The compiler's result and the backends' food: kernels in order over planned memory. And the small interface every
 * backend is. Data only; graph -> program is compile.ts, program -> machine is backends/.
 */
import type { DType, HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import type { LoopKernel } from './loops.ts';
import type { Target } from './target.ts';

/**
 * What to compute, still as a graph. `leaves` are all nodes without a known value at compile time (data and realised
 * nodes, variables, placeholders), in binding order; the program depends on their shapes and dtypes only. `outputs` are
 * handed back as fresh host arrays; `updates` write nodes into variables in place, after every read of the old value.
 */
export interface GraphProgram {
  readonly leaves: readonly Node[];
  readonly outputs: readonly Node[];
  readonly updates: readonly { readonly leaf: number; readonly node: Node }[];
  /** All nodes that outputs and updates need, inputs before their readers, leaves among them; found where not given. */
  readonly order?: readonly Node[];
  /**
   * Everything that the compiled program depends on, in order: for caches beyond the process. Absent where such a cache
   * would not pay.
   */
  readonly identity?: readonly Int32Array[];
  /**
   * By leaf: whether it is bound to the same unchanged value run after run (weights of a model that is not trained).
   * What depends on such leaves alone is computed again only when one of them has changed, where the backend keeps
   * memory between runs. None by default.
   */
  readonly lasting?: readonly boolean[];
  /** The same program on another backend, for one whose machine refuses what it needs after the backend was chosen. */
  readonly elsewhere?: (refusal: MachineRefusal) => Executable;
}

/** The system refuses memory for machine code, or to let it run. Thrown before anything is computed that lasts. */
export class MachineRefusal extends Error {}

/** Where one buffer of a kernel lives at run time. */
export type Place =
  /** Leaf `index` of the program: a host value copied in, or a variable's own memory. */
  | { readonly kind: 'leaf'; readonly index: number }
  /** Output `index`. */
  | { readonly kind: 'output'; readonly index: number }
  /** Byte offset in the arena, 64-byte aligned. */
  | { readonly kind: 'arena'; readonly offset: number }
  /** Byte offset in memory that the program keeps from run to run, 64-byte aligned. */
  | { readonly kind: 'kept'; readonly offset: number }
  /** No memory, a number. */
  | { readonly kind: 'count'; readonly value: number };

export interface KernelOutline {
  readonly kernel: Pick<LoopKernel, 'name' | 'buffers'>;
  /** One place per kernel buffer. */
  readonly places: readonly Place[];
  /** Whether threads must meet before this kernel starts. */
  readonly barrierBefore: boolean;
  /** Writes a variable: skipped when an earlier kernel of this run has failed. */
  readonly commits: boolean;
}

export interface PlacedKernel extends KernelOutline {
  readonly kernel: LoopKernel;
}

/** What `fail(site, value)` means: becomes the sentence of graph/failure.ts. */
export interface FailSite {
  readonly what: string;
  readonly size: number;
}

/** What remains to be known of a program once its loops are translated. */
export interface ProgramOutline {
  readonly leaves: readonly {
    readonly dtype: DType;
    readonly elements: number;
    readonly written: boolean;
    /** Whether kept memory depends on it. */
    readonly lasting?: boolean;
  }[];
  readonly outputs: readonly { readonly dtype: DType; readonly elements: number }[];
  /** The first `preparations` of them fill the kept memory, and run only when a lasting leaf has changed. */
  readonly kernels: readonly KernelOutline[];
  readonly preparations: number;
  readonly arenaBytes: number;
  readonly keptBytes: number;
  readonly failSites: readonly FailSite[];
}

/** Which leaves a program writes. */
export const writtenLeaves = ({ leaves }: Pick<ProgramOutline, 'leaves'>): number[] =>
  leaves.flatMap(({ written }, i) => (written ? [i] : []));

export interface LoopProgram extends ProgramOutline {
  readonly kernels: readonly PlacedKernel[];
}

/** A program whose kernels come one after another, in the order in which they run: each is made when its turn comes. */
export interface ComingProgram extends LoopProgram {
  /** Those that there are. */
  readonly kernels: readonly PlacedKernel[];
  /** Bytes of the arena that these need, and that all of them will probably need. */
  readonly arenaBytes: number;
  readonly likelyBytes: number;
  /** How many kernels there will be. The first `preparations` are there from the start. */
  readonly count: number;
  /** Makes the next one. */
  next(): void;
}

/** A program of which nothing is still to come. */
export const whole = (program: LoopProgram): ComingProgram => ({
  ...program,
  likelyBytes: program.arenaBytes,
  count: program.kernels.length,
  next() {
    throw new Error('internal: there are no more kernels');
  },
});

/** What `of` holds of a program, and its kernels: those that there are by now. */
const partsOf = <K>(of: ProgramOutline, kernels: K): Omit<ProgramOutline, 'kernels'> & { readonly kernels: K } => ({
  leaves: of.leaves,
  outputs: of.outputs,
  kernels,
  preparations: of.preparations,
  arenaBytes: of.arenaBytes,
  keptBytes: of.keptBytes,
  failSites: of.failSites,
});

/** All of a program that comes. */
export function finished(program: ComingProgram): LoopProgram {
  while (program.kernels.length < program.count) program.next();
  return partsOf(program, program.kernels);
}

/** The program without its loops, which hold most of its memory. */
export const outlineOf = (program: ProgramOutline): ProgramOutline =>
  partsOf(
    program,
    program.kernels.map(placed => ({
      ...placed,
      kernel: { name: placed.kernel.name, buffers: placed.kernel.buffers },
    })),
  );

/** What a leaf is bound to for one run. */
export type Binding = HostArray | Variable;

/** A compiled program. Bindings must match the leaves in number, dtype and size. */
export interface Executable {
  /**
   * Runs once. Returns the outputs. Variables that the program updates are written in place. A `source` other than 0
   * says that lasting leaves and variables are what they were in other runs of that source.
   * @throws Error naming the operation and the index when a data-dependent index was out of range; then no variable has
   * changed.
   */
  run(bindings: readonly Binding[], source?: number): HostArray[];
  /** The same without blocking the event loop, where the backend can; variables must not be touched meanwhile. */
  runAsync(bindings: readonly Binding[], source?: number): Promise<HostArray[]>;
  /** Gives back code and memory early; never required. */
  free(): void;
}

/** A kernel of the caller's own, loaded: runs over arrays of the host where they lie, one per buffer of the kernel. */
export interface HostKernel {
  /**
   * Runs on every thread of the backend (`alone`: on the calling one only), or on the calling one while a program runs
   * that the event loop does not wait for. Nothing checks the arrays' sizes. The kernel may neither fail nor have
   * barriers.
   */
  run(arrays: readonly ArrayBufferView[], alone?: boolean): void;
}

/** Kernels written in loop IR outside of the compiler, for what is no graph: hash tables, rows of segments. */
export interface HostKernels {
  readonly target: Target;
  load(kernel: LoopKernel): HostKernel;
  /** Byte address of an array's first element, which `follow` goes to; valid for as long as its ArrayBuffer lives. */
  addressOf(array: ArrayBufferView): number;
}

/** One way to run programs. */
export interface Backend {
  readonly name: string;
  /** Compiles a graph; must not keep references to the nodes' values. */
  compile(program: GraphProgram): Executable;
  /** Compute threads in use, and how many to use from the next program on. */
  threads: number;
  /** Takes results that nobody reads any more as memory for later ones; never required. */
  giveBack?(results: readonly HostArray[]): void;
  /** Where generated code can work on the host's arrays. */
  readonly hostKernels?: HostKernels;
}
