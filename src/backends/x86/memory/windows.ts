/**
 * Windows, through kernel32 and kernelbase. What it does is run under Wine (tests/windows), never yet on Windows
 * itself.
 */
import { MachineRefusal } from '../../../compiler/program.ts';
import type { Koffi, Platform } from './platform.ts';

const COMMIT_AND_RESERVE = 0x3000;
const RELEASE = 0x8000;
/**
 * Of a thread's stack, committed at once: frames may step over the page by which Windows' stacks grow. koffi's have as
 * much.
 */
const STACK_BYTES = 1 << 17;
const PAGE = { none: 0x01, readWrite: 0x04, executeRead: 0x20 } as const;

/** FLS_OUT_OF_INDEXES */
const NO_INDEX = 0xffffffff;
const SAME_ACCESS = 2;

type Declare = (signature: string) => (...a: (number | BigInt64Array)[]) => number;

/** A handle of the calling thread that others can wait for; null where the system refuses. */
function ownHandle(declare: Declare, process: number): number | null {
  const handle = new BigInt64Array(1);
  const thread = declare('int64_t GetCurrentThread()')();
  const duplicate = declare('int DuplicateHandle(int64_t, int64_t, int64_t, void*, uint32_t, int, uint32_t)');
  return duplicate(process, thread, process, handle, 0, 0, SAME_ACCESS) === 0 ? null : Number(handle[0]);
}

export function windows(koffi: Koffi): Platform {
  const kernel = koffi.load('kernel32.dll');
  const integers: Declare = signature => kernel.func(signature) as ReturnType<Declare>;
  const allocate = integers('int64_t VirtualAlloc(int64_t, uint64_t, uint32_t, uint32_t)');
  const free = integers('int VirtualFree(int64_t, uint64_t, uint32_t)');
  const process = integers('int64_t GetCurrentProcess()');
  const flush = integers('int FlushInstructionCache(int64_t, int64_t, uint64_t)');
  const protect = kernel.func('int VirtualProtect(int64_t, uint64_t, uint32_t, void*)') as (
    address: number,
    bytes: number,
    mode: number,
    before: Uint32Array,
  ) => number;
  const copyIn = kernel.func('void RtlMoveMemory(int64_t, const void*, uint64_t)');
  const copyOut = kernel.func('void RtlMoveMemory(void*, int64_t, uint64_t)');
  const create = kernel.func('int64_t CreateThread(void*, uint64_t, int64_t, int64_t, uint32_t, void*)');
  const library = kernel.func('int64_t LoadLibraryA(const char*)') as (name: string) => number;
  const symbol = kernel.func('int64_t GetProcAddress(int64_t, const char*)') as (from: number, name: string) => number;
  const base = library('kernelbase.dll');
  const at = (name: string): number => {
    const address = symbol(base, name);
    if (address === 0) throw new Error(`x86: this system has no ${name}`);
    return address;
  };
  const change = (address: number, bytes: number, mode: number, what: string): void => {
    if (protect(address, bytes, mode, new Uint32Array(1)) === 0)
      throw new MachineRefusal(`x86: the system refuses to ${what}`);
  };
  return {
    functions: {
      system: 'win32',
      wait: at('WaitOnAddress'),
      wake: at('WakeByAddressAll'),
      yield: at('SwitchToThread'),
    },
    map(bytes) {
      const address = allocate(0, bytes, COMMIT_AND_RESERVE, PAGE.readWrite);
      if (address === 0) throw new MachineRefusal(`x86: the system refuses ${bytes} bytes of memory for machine code`);
      return address;
    },
    seal(address, bytes) {
      change(address, bytes, PAGE.executeRead, 'make memory executable');
      flush(process(), address, bytes);
    },
    forbid(address, bytes) {
      change(address, bytes, PAGE.none, 'protect memory');
    },
    unmap(address) {
      free(address, 0, RELEASE);
    },
    copyIn(address, from) {
      copyIn(address, from, from.length);
    },
    copyOut(into, address) {
      copyOut(into, address, into.length);
    },
    // Large pages need a privilege that ordinary users lack.
    largePages() {},
    atThreadEnd(code, argument) {
      if (globalThis.process.getBuiltinModule('node:worker_threads').isMainThread) return null;
      const thread = ownHandle(integers, process());
      const key = integers('uint32_t FlsAlloc(int64_t)')(code);
      if (thread === null || key === NO_INDEX) return null;
      integers('int FlsSetValue(uint32_t, int64_t)')(key, argument);
      return {
        key,
        forget: at('FlsFree'),
        join: at('WaitForSingleObject'),
        unmap: at('VirtualFree'),
        windows: { start: at('CreateThread'), close: at('CloseHandle'), thread },
      };
    },
    startThread(code, argument) {
      const handle = create(null, STACK_BYTES, code, argument, 0, null) as number;
      return handle === 0 ? null : BigInt(handle);
    },
    // Windows asks processes to opt in by a call of its own.
    allowTiles: () => false,
  };
}
