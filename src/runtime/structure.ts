/**
 * The structure of graphs as words, and its hash: graphs that differ only in the values of their leaves get one key, so
 * one compiled program serves them all.
 */

import type { Body } from '../graph/control.ts';
import type { DType } from '../graph/dtype.ts';
import type { Attrs, Node, Primitive } from '../graph/node.ts';
import { type NodeNumbers, withNodeNumbers } from '../graph/numbers.ts';

/** A graph as 32-bit words in a row. */
class Words {
  private readonly f64 = new Float64Array(1);
  private readonly u32 = new Uint32Array(this.f64.buffer);
  private words = new Int32Array(1 << 12);
  length = 0;

  /** Room for so many words; says where the first goes. */
  private room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.words.length) {
      const grown = new Int32Array(2 * this.length);
      grown.set(this.words);
      this.words = grown;
    }
    return at;
  }

  int(x: number): void {
    const at = this.room(1);
    this.words[at] = x;
  }

  float(x: number): void {
    this.f64[0] = x;
    const at = this.room(2);
    this.words[at] = this.u32[0]!;
    this.words[at + 1] = this.u32[1]!;
  }

  ints(xs: readonly number[]): void {
    let at = this.room(xs.length + 1);
    const { words } = this;
    words[at] = xs.length;
    for (let i = 0; i < xs.length; i++) words[++at] = xs[i]!;
  }

  text(s: string): void {
    let at = this.room(s.length + 1);
    const { words } = this;
    words[at] = s.length;
    for (let i = 0; i < s.length; i++) words[++at] = s.charCodeAt(i);
  }

  /** What a node is, and where its inputs are. */
  node(op: number, dtype: number, shape: readonly number[], inputs: readonly Node[], places: NodeNumbers): void {
    let at = this.room(3 + shape.length + inputs.length);
    const { words } = this;
    words[at++] = op;
    words[at++] = dtype;
    words[at++] = shape.length;
    for (let i = 0; i < shape.length; i++) words[at++] = shape[i]!;
    for (let i = 0; i < inputs.length; i++) words[at++] = places.get(inputs[i]!);
  }

  value(x: number | bigint): void {
    if (typeof x === 'bigint') this.text(String(x));
    else this.float(x);
  }

  from(start: number): Int32Array {
    return this.words.slice(start, this.length);
  }

  /** Two 32-bit lanes mixed with different odd constants: 64 bits against accidental collisions. */
  hash(start: number): string {
    const { words, length } = this;
    let a = 0x9e3779b9 | 0;
    let b = 0x85ebca6b | 0;
    for (let i = start; i < length; i++) {
      const x = words[i]!;
      a = Math.imul(a ^ x, 0x01000193) ^ (a >>> 15);
      b = Math.imul((b << 13) | (b >>> 19), 5) + Math.imul(x ^ 0x5bd1e995, 0xcc9e2d51);
    }
    return `${(a >>> 0).toString(36)}.${(b >>> 0).toString(36)}`;
  }
}

/** What is being taken in: a body of control flow, behind what its user has of itself so far. */
const words = new Words();

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

/** Smaller graphs than this compile in less time than a cache beyond the process takes. */
const WORTH_KEEPING = 64;

interface Graph {
  /** Leaves in order of first appearance. */
  readonly leaves: readonly Node[];
  /** What the roots need, inputs before their readers, leaves among them. */
  readonly order: readonly Node[];
  /** How many nodes there are. */
  readonly size: number;
}

interface Structure extends Graph {
  readonly key: string;
  /** All words that the key is a hash of, where the graph is large enough to be kept beyond the process. */
  readonly words: Int32Array | null;
}

/**
 * Walks the graph under `roots` once, in a fixed order, and hashes it. `extraLeaves` are counted as leaves even where
 * nothing reads them (variables that are only written); `isLeaf` says what is bound instead of computed.
 */
export function structureOf(
  roots: readonly Node[],
  extraLeaves: readonly Node[] = [],
  isLeaf: (node: Node) => boolean = isBound,
): Structure {
  const start = words.length;
  try {
    const graph = withNodeNumbers(places => take(roots, extraLeaves, isLeaf, places));
    return {
      ...graph,
      key: `${words.hash(start)}.${graph.size}.${graph.leaves.length}`,
      words: graph.size < WORTH_KEEPING ? null : words.from(start),
    };
  } finally {
    words.length = start;
  }
}

/** Which leaves are one variable: for each, the first leaf of its memory. */
export function sharedLeaves(leaves: readonly Node[]): number[] {
  const first = new Map<unknown, number>();
  return leaves.map((leaf, i) => {
    const memory = leaf.is('variable') ? leaf.attrs.variable : leaf;
    if (!first.has(memory)) first.set(memory, i);
    return first.get(memory)!;
  });
}

function take(
  roots: readonly Node[],
  extraLeaves: readonly Node[],
  isLeaf: (node: Node) => boolean,
  places: NodeNumbers,
): Graph {
  let size = 0;
  const leaves: Node[] = [];
  const order: Node[] = [];
  const groups: Groups = new Map();
  const visit = (node: Node): void => {
    places.set(node, ++size);
    order.push(node);
    const { shape, inputs } = node;
    const dtype = DTYPE_CODE[node.dtype];
    if (isLeaf(node)) {
      words.node(-1, dtype, shape, [], places);
      leaves.push(node);
      return;
    }
    words.node(OPS.get(node.op)!, dtype, shape, inputs, places);
    (ATTRS[node.op] as (h: Words, attrs: Attrs[Primitive], groups: Groups) => void)(words, node.attrs, groups);
  };
  // Depth first without recursion: a training step's graph is thousands of nodes deep.
  const stack: Node[] = [];
  const walk = (root: Node): void => {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (places.get(node) !== 0) {
        stack.pop();
        continue;
      }
      let ready = true;
      if (!isLeaf(node)) {
        for (let i = node.inputs.length - 1; i >= 0; i--) {
          const input = node.inputs[i]!;
          if (places.get(input) === 0) {
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
    words.int(places.get(root));
  };
  for (const root of roots) walk(root);
  const needed = order.length;
  for (const leaf of extraLeaves) walk(leaf);
  order.length = needed;
  return { leaves, order, size };
}
