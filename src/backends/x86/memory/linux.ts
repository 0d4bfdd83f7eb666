/**
 * Linux, through the C library.
 */
import type { Koffi, Platform } from './platform.ts';

/** arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), Documentation/arch/x86/xstate.rst. */
const ARCH_PRCTL = 158;
const ARCH_REQ_XCOMP_PERM = 0x1023;
const XFEATURE_XTILEDATA = 18;

export function linux(koffi: Koffi): Platform {
  const libc = koffi.load('libc.so.6');
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
  const syscall = libc.func('int64_t syscall(int64_t, int64_t, int64_t)') as (...a: number[]) => number;
  const READ = 1;
  const WRITE = 2;
  const EXECUTE = 4;
  const PRIVATE_ANONYMOUS = 0x22;
  const HUGE_PAGES = 14;
  return {
    map(bytes) {
      const address = mmap(0, bytes, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0);
      if (address === -1) throw new Error(`x86: the system refuses ${bytes} bytes of memory for machine code`);
      return address;
    },
    seal(address, bytes) {
      if (mprotect(address, bytes, READ | EXECUTE) !== 0)
        throw new Error('x86: the system refuses to make memory executable');
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
      madvise(address, bytes, HUGE_PAGES);
    },
    allowTiles: () => syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) === 0,
    startThread(code, argument) {
      const status = create(new BigUint64Array(1), null, code, argument);
      if (status !== 0) throw new Error(`x86: pthread_create failed with status ${status}`);
    },
  };
}
