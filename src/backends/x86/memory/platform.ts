/**
 * What differs between operating systems, as one small interface: posix.ts and windows.ts implement it. Linux is run,
 * and Windows' half under Wine; macOS could not be.
 */
import type { SystemFunctions } from '../system-code.ts';

/** What native.ts asks of an operating system. */
export interface Platform {
  /** How threads sleep, wake and yield; the system says which calling convention it has. */
  readonly functions: SystemFunctions;
  /** Fresh pages that may be written, not executed. @throws Error when the system refuses. */
  map(bytes: number): number;
  /** From now on the pages may be executed, not written. */
  seal(address: number, bytes: number): void;
  /** From now on the pages may not be touched at all. */
  forbid(address: number, bytes: number): void;
  unmap(address: number, bytes: number): void;
  copyIn(address: number, from: Uint8Array): void;
  copyOut(into: Uint8Array, address: number): void;
  /** Asks for large pages behind memory that has not been touched yet; a hint. */
  largePages(address: number, bytes: number): void;
  /**
   * Has code(argument), of the system's convention, called on this thread when it ends, however it ends; the argument is
   * not 0. Null where there are too many, and for the main thread of Windows, which ends with its process.
   */
  atThreadEnd(code: number, argument: number): ThreadEnd | null;
  /**
   * Starts a thread on code of the system's convention with one argument; its handle is for `ThreadEnd.join`. Null
   * where the system refuses.
   */
  startThread(code: number, argument: number): bigint | null;
  /** Asks for the tile registers of AMX, for the whole process. */
  allowTiles(): boolean;
}

/** The parts of koffi that are used. */
export interface Koffi {
  load(path: string): { func(signature: string): (...args: unknown[]) => unknown };
  proto(signature: string): unknown;
  decode(address: bigint, type: unknown): unknown;
}

/**
 * What stands for the call at the end of a thread, and functions of the C convention, by address, for the code that is
 * called then.
 */
export interface ThreadEnd {
  readonly key: number;
  /**
   * forget(key), which it does itself; join(thread handle, 0); unmap(address, bytes). On Windows FlsFree,
   * WaitForSingleObject(handle, milliseconds) and VirtualFree.
   */
  readonly forget: number;
  readonly join: number;
  readonly unmap: number;
  /** CreateThread, CloseHandle, and a handle of this thread. */
  readonly windows?: { readonly start: number; readonly close: number; readonly thread: number };
}
