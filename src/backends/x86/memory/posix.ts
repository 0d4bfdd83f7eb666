/**
 * Linux and macOS, through the C library. macOS could not be run.
 */
import { MachineRefusal } from '../../../compiler/program.ts';
import type { SystemFunctions } from '../system-code.ts';
import type { Koffi, Platform } from './platform.ts';

/** arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), Documentation/arch/x86/xstate.rst. */
const ARCH_PRCTL = 158;
const ARCH_REQ_XCOMP_PERM = 0x1023;
const XFEATURE_XTILEDATA = 18;

interface System {
  readonly library: string;
  /** MAP_PRIVATE | MAP_ANONYMOUS, which systems number differently. */
  readonly privateAnonymous: number;
  /** The advice that asks for large pages, where there is one. */
  readonly hugePages: number | null;
  /** Whether a thread can be told which cores it may run on. */
  readonly placesThreads: boolean;
  /** RTLD_DEFAULT: functions of all libraries that are loaded. */
  readonly anyLibrary: number;
}

export function linux(koffi: Koffi): Platform {
  const { library, ...platform } = posix(koffi, {
    library: 'libc.so.6',
    privateAnonymous: 0x22,
    hugePages: 14,
    placesThreads: true,
    anyLibrary: 0,
  });
  const syscall = library.func('int64_t syscall(int64_t, int64_t, int64_t)') as (...a: number[]) => number;
  return {
    ...platform,
    functions: { system: 'linux' },
    allowTiles: () => syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) === 0,
  };
}

/** Where a function of the libraries that are loaded is. */
function addressIn(libc: ReturnType<Koffi['load']>, system: System, name: string): number {
  const dlsym = libc.func('int64_t dlsym(int64_t, const char*)') as (from: number, name: string) => number;
  const address = dlsym(system.anyLibrary, name);
  if (address === 0) throw new Error(`x86: this system has no ${name}`);
  return address;
}

const DARWIN: System = {
  library: '/usr/lib/libSystem.B.dylib',
  privateAnonymous: 0x1002,
  hugePages: null,
  placesThreads: false,
  anyLibrary: -2,
};

export function darwin(koffi: Koffi): Platform {
  const { library, ...platform } = posix(koffi, DARWIN);
  const at = (name: string): number => addressIn(library, DARWIN, name);
  const functions: SystemFunctions = {
    system: 'darwin',
    wait: at('__ulock_wait'),
    wake: at('__ulock_wake'),
    yield: at('sched_yield'),
  };
  // No Mac has them.
  return { ...platform, functions, allowTiles: () => false };
}

/** Bytes of a set of 1024 cores. */
const CORES_BYTES = 128;

/**
 * Has a new thread begin on another core than the one that starts it, where some kernels leave it for 20 ms and more
 * (decision 298). Afterwards it may run wherever its process may.
 */
function beginElsewhere(libc: ReturnType<Koffi['load']>): (thread: bigint) => void {
  const allowed = libc.func('int sched_getaffinity(int, uint64_t, void*)') as (
    process: number,
    bytes: number,
    cores: Uint8Array,
  ) => number;
  const allow = libc.func('int pthread_setaffinity_np(uint64_t, uint64_t, const void*)') as (
    thread: bigint,
    bytes: number,
    cores: Uint8Array,
  ) => number;
  const here = libc.func('int sched_getcpu()') as () => number;
  return thread => {
    const all = new Uint8Array(CORES_BYTES);
    const core = here();
    if (core < 0 || core >= 8 * CORES_BYTES || allowed(0, CORES_BYTES, all) !== 0) return;
    const others = all.slice();
    others[core >> 3]! &= ~(1 << (core & 7));
    if (others.every(cores => cores === 0)) return;
    allow(thread, CORES_BYTES, others);
    allow(thread, CORES_BYTES, all);
  };
}

function posix(
  koffi: Koffi,
  system: System,
): Omit<Platform, 'functions' | 'allowTiles'> & { readonly library: ReturnType<Koffi['load']> } {
  const libc = koffi.load(system.library);
  const mmap = libc.func('int64_t mmap(int64_t, uint64_t, int, int, int, int64_t)') as (...a: number[]) => number;
  const mprotect = libc.func('int mprotect(int64_t, uint64_t, int)') as (...a: number[]) => number;
  const munmap = libc.func('int munmap(int64_t, uint64_t)') as (...a: number[]) => number;
  const copyIn = libc.func('int64_t memcpy(int64_t, const void*, uint64_t)') as (
    a: number,
    from: Uint8Array,
    n: number,
  ) => number;
  const copyOut = libc.func('int64_t memcpy(void*, int64_t, uint64_t)') as (
    into: Uint8Array,
    a: number,
    n: number,
  ) => number;
  const madvise = libc.func('int madvise(int64_t, uint64_t, int)') as (...a: number[]) => number;
  const create = libc.func('int pthread_create(void*, void*, int64_t, int64_t)') as (
    handle: BigUint64Array,
    attributes: null,
    code: number,
    argument: number,
  ) => number;
  const READ = 1;
  const WRITE = 2;
  const EXECUTE = 4;
  return {
    library: libc,
    map(bytes) {
      const address = mmap(0, bytes, READ | WRITE, system.privateAnonymous, -1, 0);
      if (address === -1) throw new MachineRefusal(`x86: the system refuses ${bytes} bytes of memory for machine code`);
      return address;
    },
    seal(address, bytes) {
      if (mprotect(address, bytes, READ | EXECUTE) !== 0)
        throw new MachineRefusal('x86: the system refuses to make memory executable');
    },
    forbid(address, bytes) {
      if (mprotect(address, bytes, 0) !== 0) throw new Error('x86: the system refuses to protect memory');
    },
    unmap(address, bytes) {
      munmap(address, bytes);
    },
    copyIn(address, from) {
      copyIn(address, from, from.length);
    },
    copyOut(into, address) {
      copyOut(into, address, into.length);
    },
    largePages(address, bytes) {
      if (system.hugePages !== null) madvise(address, bytes, system.hugePages);
    },
    atThreadEnd(code, argument) {
      const makeKey = libc.func('int pthread_key_create(void*, int64_t)') as (
        key: BigUint64Array,
        at: number,
      ) => number;
      const set = libc.func('int pthread_setspecific(uint64_t, int64_t)') as (key: bigint, value: number) => number;
      const key = new BigUint64Array(1);
      if (makeKey(key, code) !== 0) return null;
      set(key[0]!, argument);
      const at = (name: string): number => addressIn(libc, system, name);
      return { key: Number(key[0]), forget: at('pthread_key_delete'), join: at('pthread_join'), unmap: at('munmap') };
    },
    startThread(code, argument) {
      const handle = new BigUint64Array(1);
      if (create(handle, null, code, argument) !== 0) return null;
      if (system.placesThreads) beginElsewhere(libc)(handle[0]!);
      return handle[0]!;
    },
  };
}
