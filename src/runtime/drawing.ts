/**
 * How random numbers are drawn while a function is traced for a transform: vmap draws for all its examples at once (or
 * refuses), and the body of a loop draws from a stream of its own, which every step moves on. Knows no tensors.
 */
import { binary, concat, data, full, placeholder, slice } from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import type { Generator } from './generator.ts';

/** 'error' refuses random numbers, 'different' draws for each example, 'same' shares one draw among all. */
export type Randomness = 'error' | 'different' | 'same';

/** The key of a loop's body for one generator. */
export interface LoopKey {
  readonly generator: Generator;
  /** Stands for the key at the start of a step, i64[2]. */
  readonly key: Node;
  /** Blocks that one step draws. */
  used: bigint;
}

type Scope =
  | { readonly kind: 'vmap'; readonly randomness: Randomness; readonly size: number }
  | { readonly kind: 'loop'; readonly keys: LoopKey[] };

let scopes: readonly Scope[] = [];

function within<T>(scope: Scope, fn: () => T): T {
  const before = scopes;
  scopes = [...scopes, scope];
  try {
    return fn();
  } finally {
    scopes = before;
  }
}

/** Runs `fn` as the function that vmap maps over `size` examples. */
export const drawingForExamples = <T>(randomness: Randomness, size: number, fn: () => T): T =>
  within({ kind: 'vmap', randomness, size }, fn);

/** Runs `fn` as the body of a loop; `keys` is filled with the keys it draws from. */
export const drawingInLoop = <T>(keys: LoopKey[], fn: () => T): T => within({ kind: 'loop', keys }, fn);

/** How many numbers each one drawn now stands for. @throws Error inside a vmap that allows none */
export function drawsPerNumber(): number {
  let count = 1;
  for (const scope of scopes) {
    if (scope.kind !== 'vmap') continue;
    if (scope.randomness === 'error')
      throw new Error(
        "vmap: a random number is drawn inside; say { randomness: 'different' } for one per example or { randomness: 'same' } to share it",
      );
    if (scope.randomness === 'different') count *= scope.size;
  }
  return count;
}

/** The key of the innermost loop that is being traced, moved on by `blocks`; null outside of loops. */
export function loopKey(generator: Generator, blocks: bigint): Node | null {
  const loop = scopes.findLast(scope => scope.kind === 'loop');
  if (!loop) return null;
  let own = loop.keys.find(key => key.generator === generator);
  if (!own) {
    own = { generator, key: placeholder('random key of a loop', [2], 'i64'), used: 0n };
    loop.keys.push(own);
  }
  const { key, used } = own;
  own.used += blocks;
  return used === 0n ? key : movedOn(key, used);
}

/** The key of a loop's body after a step. */
export const nextLoopKey = ({ key, used }: LoopKey): Node => movedOn(key, used);

const literal = (value: bigint, like: Node): Node => full(value, like.shape, 'i64');
const mixed = (x: Node, shift: bigint, factor: bigint): Node =>
  binary('mul', binary('xor', x, binary('shr', x, literal(shift, x))), literal(BigInt.asIntN(64, factor), x));

/**
 * The start of a stream that has nothing to do with the generator's: a key with a seed mixed from its seed and counter
 * (the finaliser of SplitMix64, Steele et al. 2014), and a counter of 0. A loop takes one stretch of the generator and
 * draws as often as it likes.
 */
export function streamOf(generator: Generator): Node {
  const key = generator.nextKey(1);
  const at = (i: number): Node => slice(key, [i], [1]);
  const start = binary('add', at(0), binary('mul', at(1), literal(BigInt.asIntN(64, 0x9e3779b97f4a7c15n), at(1))));
  const seed = mixed(mixed(start, 30n, 0xbf58476d1ce4e5b9n), 27n, 0x94d049bb133111ebn);
  return concat([seed, full(0n, [1], 'i64')], 0);
}

/** The key `blocks` further along its stream. */
export const movedOn = (key: Node, blocks: bigint): Node =>
  binary('add', key, data(BigInt64Array.of(0n, blocks), [2], 'i64'));
