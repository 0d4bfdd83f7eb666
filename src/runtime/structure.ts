/**
 * The structural hash: graphs that differ only in the values of their leaves get one key, so one compiled program serves them all.
 */

import type { Body } from '../graph/control.ts';
import type { DType } from '../graph/dtype.ts';
import type { Attrs, Node, Primitive } from '../graph/node.ts';

/** Takes a graph in as 32-bit words. */
abstract class Words {
  private readonly f64 = new Float64Array(1);
  private readonly u32 = new Uint32Array(this.f64.buffer);

  abstract int(x: number): void;

  float(x: number): void {
    this.f64[0] = x;
    this.int(this.u32[0]!);
    this.int(this.u32[1]!);
  }

  ints(xs: readonly number[]): void {
    this.int(xs.length);
    for (const x of xs) this.int(x);
  }

  text(s: string): void {
    this.int(s.length);
    for (let i = 0; i < s.length; i++) this.int(s.charCodeAt(i));
  }

  value(x: number | bigint): void {
    if (typeof x === 'bigint') this.text(String(x));
    else this.float(x);
  }
}

/** Two 32-bit lanes mixed with different odd constants: 64 bits against accidental collisions. */
class Hash extends Words {
  private a = 0x9e3779b9 | 0;
  private b = 0x85ebca6b | 0;

  int(x: number): void {
    this.a = Math.imul(this.a ^ x, 0x01000193) ^ (this.a >>> 15);
    this.b = Math.imul((this.b << 13) | (this.b >>> 19), 5) + Math.imul(x ^ 0x5bd1e995, 0xcc9e2d51);
  }

  digest(): string {
    return `${(this.a >>> 0).toString(36)}.${(this.b >>> 0).toString(36)}`;
  }
}

/** All words in a row. */
class Transcript extends Words {
  readonly words: number[] = [];

  int(x: number): void {
    this.words.push(x);
  }
}

/** Checkpoint groups are numbered as they are met: the same step builds new groups every time it runs. */
type Groups = Map<number, number>;

type AttrHash = { readonly [P in Primitive]: (h: Words, attrs: Attrs[P], groups: Groups) => void };

const nothing = (): void => {};

const ATTRS: AttrHash = {
  constant: (h, a) => h.value(a.value),
  data: nothing,
  variable: nothing,
  placeholder: nothing,
  iota: nothing,
  unary: (h, a) => h.text(a.fn),
  binary: (h, a) => h.text(a.fn),
  compare: (h, a) => h.text(a.fn),
  where: nothing,
  cast: nothing,
  bitcast: nothing,
  checkIndex: (h, a) => {
    h.int(a.size);
    h.text(a.what);
  },
  detach: nothing,
  barrier: (h, a, groups) => {
    if (!groups.has(a.group)) groups.set(a.group, groups.size);
    h.int(groups.get(a.group)!);
  },
  reshape: nothing,
  reindex: (h, a) => {
    h.float(a.fill);
    for (const map of a.axes) {
      h.int(map.terms.length);
      for (const [dim, coef] of map.terms) {
        h.int(dim);
        h.int(coef);
      }
      h.int(map.offset);
      h.int(map.div);
    }
  },
  concat: (h, a) => h.int(a.axis),
  gather: (h, a) => {
    h.int(a.axis);
    h.text(a.what);
  },
  reduce: (h, a) => {
    h.text(a.kind);
    h.ints(a.axes);
  },
  argReduce: (h, a) => {
    h.text(a.kind);
    h.int(a.axis);
  },
  scan: (h, a) => {
    h.text(a.kind);
    h.int(a.axis);
    h.int(a.reverse ? 1 : 0);
  },
  scatter: (h, a) => {
    h.text(a.kind);
    h.int(a.axis);
    h.text(a.what);
    h.int(a.drop ? 1 : 0);
  },
  contract: (h, a) => {
    h.ints(a.a);
    h.ints(a.b);
    h.ints(a.out);
  },
  argSort: (h, a) => {
    h.int(a.axis);
    h.int(a.descending ? 1 : 0);
  },
  matrix: (h, a) => h.text(a.routine),
  random: nothing,
  custom: nothing,
  loop: (h, { loop, output }) => {
    h.text(bodyKey(loop.body));
    h.text(loop.cond ? bodyKey(loop.cond) : '');
    h.ints([loop.carries, loop.xs, loop.length ?? -1, loop.reverse ? 1 : 0, output]);
  },
  choose: (h, { choice, output }) => {
    h.text(bodyKey(choice.onTrue));
    h.text(bodyKey(choice.onFalse));
    h.int(output);
  },
};

const bodyKeys = new WeakMap<Body, string>();

/** The structure of a body, and which of its leaves is which parameter. */
function bodyKey(body: Body): string {
  let key = bodyKeys.get(body);
  if (key === undefined) {
    const { key: structure, leaves } = structureOf(body.outputs, body.params);
    key = `${structure}:${leaves.map(leaf => body.params.indexOf(leaf))}`;
    bodyKeys.set(body, key);
  }
  return key;
}

const OPS = new Map(Object.keys(ATTRS).map((op, i) => [op, i]));
const DTYPE_CODE: { readonly [D in DType]: number } = {
  f32: 0, f64: 1, f16: 2, bf16: 3, i32: 4, i64: 5, u8: 6, i8: 7, bool: 8,
}; // biome-ignore format: a table

/** Whether a program binds this node when it runs instead of computing it. */
export const isBound = (node: Node): boolean =>
  node.value !== null || node.op === 'data' || node.op === 'variable' || node.op === 'placeholder';

export interface Structure {
  readonly key: string;
  /** Leaves in order of first appearance. */
  readonly leaves: readonly Node[];
  /** How many nodes there are. */
  readonly size: number;
}

/**
 * Walks the graph under `roots` once, in a fixed order, and hashes it. `extraLeaves` are counted as leaves even where nothing reads
 * them (variables that are only written); `isLeaf` says what is bound instead of computed.
 */
export function structureOf(
  roots: readonly Node[],
  extraLeaves: readonly Node[] = [],
  isLeaf: (node: Node) => boolean = isBound,
): Structure {
  const hash = new Hash();
  const { leaves, size } = take(hash, roots, extraLeaves, isLeaf);
  return { key: `${hash.digest()}.${size}.${leaves.length}`, leaves, size };
}

/**
 * The whole structure that `structureOf` hashes, and which leaves are one variable: what differs in nothing of this compiles to the same program, for certain
 * and in any process of one build.
 */
export function transcriptOf(
  roots: readonly Node[],
  extraLeaves: readonly Node[],
  isLeaf: (node: Node) => boolean,
): number[] {
  const transcript = new Transcript();
  const { leaves } = take(transcript, roots, extraLeaves, isLeaf);
  const first = new Map<unknown, number>();
  for (const [i, leaf] of leaves.entries()) {
    const memory = leaf.is('variable') ? leaf.attrs.variable : leaf;
    if (!first.has(memory)) first.set(memory, i);
    transcript.int(first.get(memory)!);
  }
  return transcript.words;
}

function take(
  words: Words,
  roots: readonly Node[],
  extraLeaves: readonly Node[],
  isLeaf: (node: Node) => boolean,
): { readonly leaves: readonly Node[]; readonly size: number } {
  const number = new Map<Node, number>();
  const leaves: Node[] = [];
  const groups: Groups = new Map();
  const visit = (node: Node): void => {
    number.set(node, number.size);
    const leaf = isLeaf(node);
    words.int(leaf ? -1 : OPS.get(node.op)!);
    words.int(DTYPE_CODE[node.dtype]);
    words.ints(node.shape);
    if (leaf) {
      leaves.push(node);
      return;
    }
    for (const input of node.inputs) words.int(number.get(input)!);
    (ATTRS[node.op] as (h: Words, attrs: Attrs[Primitive], groups: Groups) => void)(words, node.attrs, groups);
  };
  // Depth first without recursion: a training step's graph is thousands of nodes deep.
  const stack: Node[] = [];
  for (const root of [...roots, ...extraLeaves]) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (number.has(node)) {
        stack.pop();
        continue;
      }
      let ready = true;
      if (!isLeaf(node)) {
        for (let i = node.inputs.length - 1; i >= 0; i--) {
          const input = node.inputs[i]!;
          if (!number.has(input)) {
            stack.push(input);
            ready = false;
          }
        }
      }
      if (ready) {
        stack.pop();
        visit(node);
      }
    }
    words.int(-2);
    words.int(number.get(root)!);
  }
  return { leaves, size: number.size };
}
