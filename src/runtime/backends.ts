/**
 * Which backend runs programs. The first use picks the best that works here, and says why where machine code could have
 * run and does not; `TENON_BACKEND` and `setBackend` choose by name.
 */
import { referenceBackend } from '../backends/reference/index.ts';
import { createWasmBackend } from '../backends/wasm/index.ts';
import { createX86Backend } from '../backends/x86/index.ts';
import { wantedThreads } from '../compiler/processors.ts';
import { type Backend, type HostKernels, MachineRefusal } from '../compiler/program.ts';
import { SettingError } from '../compiler/settings.ts';

interface Entry {
  readonly create: () => Backend;
  instance?: Backend;
  unavailable?: string;
}

/** Best first. */
const entries = new Map<string, Entry>([
  ['x86', { create: createX86Backend }],
  ['wasm', { create: createWasmBackend }],
  ['reference', { create: () => referenceBackend }],
]);

let current: Backend | null = null;
let chosenThreads: number | null = null;

/** Names of all backends, best first, whether or not they work here. */
export const backendNames = (): readonly string[] => [...entries.keys()];

function open(name: string): Backend | null {
  const entry = entries.get(name)!;
  if (entry.unavailable) return null;
  if (entry.instance) return entry.instance;
  wantedThreads();
  try {
    entry.instance = entry.create();
    if (chosenThreads !== null) entry.instance.threads = chosenThreads;
    return entry.instance;
  } catch (error) {
    // A wrong setting is the user's to mend, not a reason to compute elsewhere.
    if (error instanceof SettingError) throw error;
    entry.unavailable = error instanceof Error ? error.message : String(error);
    return null;
  }
}

/** Why a backend does not work here, in one line; null when it does. */
export function whyUnavailable(name: string): string | null {
  if (!entries.has(name)) return `unknown backend "${name}": expected one of ${backendNames().join(', ')}`;
  return open(name) ? null : entries.get(name)!.unavailable!;
}

/** Chooses the backend for all programs from now on. @throws Error when it does not exist or does not work here. */
export function setBackend(name: string): void {
  const reason = whyUnavailable(name);
  if (reason) throw new Error(`setBackend: ${reason}`);
  current = open(name);
}

/** The backend in use. */
export function backend(): Backend {
  if (current) return current;
  const asked = globalThis.process?.env?.['TENON_BACKEND'];
  if (asked) {
    const reason = whyUnavailable(asked);
    if (reason) throw new SettingError(`TENON_BACKEND: ${reason}`);
    current = open(asked);
  } else for (const name of backendNames()) if (name !== 'x86' || !untried()) current ??= open(name);
  if (!current) throw new Error('no backend works here');
  if (!asked) sayWhatIsMissing(current.name);
  return current;
}

/**
 * The backend for what `from` was refused: the next best, from now on and for all programs. What `from` has in place
 * goes on there. One line on stderr says so.
 */
export function moveOn(from: Backend, reason: string): Backend {
  for (const entry of entries.values()) if (entry.instance === from) entry.unavailable ??= reason;
  if (current === from) {
    current = null;
    for (const name of backendNames()) current ??= open(name);
    console.error(`tenon: computing on ${current!.name} from now on: ${reason}`);
  }
  return current!;
}

/**
 * What `make` loads of kernels of the caller's own on the backend in use: null where it takes none, and where it is
 * refused memory for them, by which programs move on, too.
 */
export function withHostKernels<K>(make: (machine: HostKernels) => K): K | null {
  const device = backend();
  if (!device.hostKernels) return null;
  try {
    return make(device.hostKernels);
  } catch (error) {
    if (!(error instanceof MachineRefusal)) throw error;
    moveOn(device, error.message);
    return null;
  }
}

/** Whether this is the system that machine code is written for, but where nobody has run it yet. */
const untried = (): boolean => globalThis.process?.platform === 'darwin';

/** On a processor that machine code is written for, one line on stderr says why it does not run. */
function sayWhatIsMissing(chosen: string): void {
  const { arch, platform } = globalThis.process ?? {};
  const reason = untried()
    ? `x86: machine code was never run on ${platform}; TENON_BACKEND=x86 asks for it`
    : entries.get('x86')!.unavailable;
  if (reason && arch === 'x64') console.error(`tenon: computing on ${chosen}: ${reason}`);
}

/** Name of the backend in use. */
export const backendName = (): string => backend().name;

/**
 * Compute threads of the backend in use: one per processor by default, no more than the time its container is given, or
 * what `TENON_NUM_THREADS` says. Results do not depend on it, to the bit.
 */
export const numThreads = (): number => backend().threads;

/** Sets the number of compute threads, 1 or more. */
export function setNumThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`setNumThreads: ${threads} came, expected a whole number of at least 1`);
  chosenThreads = threads;
  for (const entry of entries.values()) if (entry.instance) entry.instance.threads = threads;
}
