/**
 * How random numbers are drawn while a function is traced for a transform: vmap draws for all its examples at once (or refuses), and
 * the body of a loop draws from a stream of its own, which every step moves on. Knows no tensors.
 */
import { binary, data, placeholder } from '../graph/build.ts';
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

/** The key `blocks` further along its stream. */
export const movedOn = (key: Node, blocks: bigint): Node =>
  binary('add', key, data(BigInt64Array.of(0n, blocks), [2], 'i64'));
