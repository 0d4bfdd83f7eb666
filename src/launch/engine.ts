/**
 * Settings of V8 that hold while something runs. They are the whole process's, so each is taken back at once: V8
 * refuses code caches where its flags differ from those of the cache's writer. Knows Node, nothing of the package.
 */

/** Sets V8 flags where there is a `node:v8` to do so; says whether there was. */
export function setEngineFlags(...flags: readonly string[]): boolean {
  const v8 = globalThis.process?.getBuiltinModule?.('node:v8');
  for (const flag of flags) v8?.setFlagsFromString(flag);
  return v8 !== undefined;
}

/**
 * Bytes of bytecode that a function runs before V8 of Node 20 thinks about optimising it: its default, and while code
 * runs that mostly runs once.
 */
const BUDGET = '--interrupt-budget=67584';
const COLD_BUDGET = '--interrupt-budget=500000';

/** Milliseconds after which a process's code is not cold any more. */
const COLD_MS = 2000;
let spent = 0;

/**
 * Whether the engine has the flag, with the default above. Later versions count calls instead, optimise less at first
 * and have another tier for it.
 */
const hasBudget = (): boolean => {
  const { versions, execArgv, env } = globalThis.process ?? {};
  if (!versions?.v8?.startsWith('11.3.')) return false;
  return ![...execArgv!, env!['NODE_OPTIONS']].some(text => text?.includes('interrupt'));
};

/**
 * Runs `body`, of which most is code that this process has not run before, with V8's optimiser waiting longer for each
 * function: on its threads it takes half a second of processor time from a first call otherwise, which gains less
 * (docs/decisions/230-cold-code.md).
 */
export function runCold<T>(body: () => T): T {
  if (spent > COLD_MS || !hasBudget()) return body();
  const start = performance.now();
  setEngineFlags(COLD_BUDGET);
  try {
    return body();
  } finally {
    setEngineFlags(BUDGET);
    spent += performance.now() - start;
  }
}

/** Runs `body`, which compiles from a code cache, with the flags of other processes. */
export function runAsElsewhere<T>(body: () => T): T {
  if (!hasBudget()) return body();
  const v8 = process.getBuiltinModule('node:v8');
  const before = v8.cachedDataVersionTag();
  setEngineFlags(BUDGET);
  try {
    return body();
  } finally {
    if (v8.cachedDataVersionTag() !== before) setEngineFlags(COLD_BUDGET);
  }
}
