/**
 * Settings of V8 that hold while something runs. They are the whole process's, so each is taken back at once: V8
 * refuses code caches where its flags differ from those of the cache's writer. Knows Node, nothing of the package.
 */
import { clock } from './clock.ts';

/** Sets V8 flags where there is a `node:v8` to do so; says whether there was. */
export function setEngineFlags(...flags: readonly string[]): boolean {
  const v8 = globalThis.process?.getBuiltinModule?.('node:v8');
  for (const flag of flags) v8?.setFlagsFromString(flag);
  return v8 !== undefined;
}

/**
 * V8's optimising compiler is at work, as it is by default, and not. Young objects get room for 16 MB at once instead of
 * 2, 4, ...: a compiler makes millions that live until it is done, and each collection would copy them.
 */
const WARM = ['--opt', '--semi-space-growth-factor=2'];
const COLD = ['--no-opt', '--semi-space-growth-factor=16'];

/**
 * Milliseconds after which a process's code is not cold any more: from then on optimised code gains more than making it
 * costs.
 */
const COLD_MS = 1000;
let spent = 0;
/** Of so many questions one looks at the clock. */
const LOOKS = 16;
let looks = 0;
/** When what runs cold now began. */
let begun: number | null = null;

/**
 * Whether the engine is the one that this was measured with, of Node 20, with its own choice of tiers: later ones have
 * another tier between.
 */
const canWait = (): boolean => {
  const { versions, execArgv, env } = globalThis.process ?? {};
  if (!versions?.v8?.startsWith('11.3.')) return false;
  return ![...execArgv!, env!['NODE_OPTIONS']].some(
    text => text && /\bopt\b|turbofan|sparkplug|maglev|semi-space/.test(text),
  );
};

function warm(): void {
  if (begun === null) return;
  setEngineFlags(...WARM);
  spent += clock() - begun;
  begun = null;
}

/**
 * Runs `body`, of which most is code that this process has not run before, without V8's optimiser: on its threads it
 * takes a fifth of the processor time of a first call otherwise, and what it makes gains less
 * (docs/decisions/250-follow-what-is-written.md and 297). What may take long calls `stayCold` now and then.
 */
export function runCold<T>(body: () => T): T {
  if (begun !== null || spent > COLD_MS || !canWait()) return body();
  begun = clock();
  setEngineFlags(...COLD);
  try {
    return body();
  } finally {
    warm();
  }
}

/** Has the optimiser back where `runCold` has lasted for longer than code stays cold. */
export function stayCold(): void {
  if (begun === null || ++looks % LOOKS !== 0) return;
  if (spent + clock() - begun > COLD_MS) warm();
}

/**
 * Runs `body`, which compiles from a code cache, with the flags of other processes. The loader has a copy of this
 * module: V8 tells what was set.
 */
export function runAsElsewhere<T>(body: () => T): T {
  if (!canWait()) return body();
  const v8 = process.getBuiltinModule('node:v8');
  const before = v8.cachedDataVersionTag();
  setEngineFlags(...WARM);
  try {
    return body();
  } finally {
    if (v8.cachedDataVersionTag() !== before) setEngineFlags(...COLD);
  }
}
