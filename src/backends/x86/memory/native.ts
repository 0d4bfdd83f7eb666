/**
 * The operating system as generated code needs it: pages that are written and then made executable, threads, addresses
 * of typed arrays, calls. Through koffi, loaded when first asked for, so that browsers and machines without it can
 * import everything.
 */
import { setEngineFlags } from '../../../launch/engine.ts';
import { type SystemFunctions, windowsEntry } from '../system-code.ts';
import { Ledger, type Pages } from './ledger.ts';
import type { Koffi, Platform, ThreadEnd } from './platform.ts';
import { darwin, linux } from './posix.ts';
import { windows } from './windows.ts';

/** A call of generated code: (function or program, arguments, thread or threads, threads). */
export interface NativeCall {
  (a: number, b: number, c: number, d: number): number;
  /** The same on a thread of the event loop's pool; `done` is called from the event loop. */
  async(a: number, b: number, c: number, d: number, done: () => void): void;
}

const PLATFORMS: { readonly [name: string]: (koffi: Koffi) => Platform } = {
  linux,
  darwin,
  win32: windows,
};

export const PAGE = 4096;
/** What a large page holds, and the memory from which on they are asked for. */
export const LARGE_PAGE = 2 << 20;
export const pageAlign = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

function loadKoffi(): Koffi {
  const module = globalThis.process?.getBuiltinModule?.('node:module');
  if (!module) throw new Error('x86: machine code needs Node.js 20.16 or newer');
  const require = module.createRequire(import.meta.url);
  try {
    return koffiForGlibc(module) ?? (require('koffi') as Koffi);
  } catch (error) {
    throw new Error(`x86: koffi, which calls machine code, could not be loaded: ${firstLine(error)}`);
  }
}

/** koffi's library for most Linux machines. */
const GLIBC_LIBRARY = '@koromix/koffi-linux-x64/linux_x64/koffi.node';

/**
 * What koffi's own entry finds after looking in many places, in 1 ms instead of 7: beside koffi, where npm puts it, or
 * below it, which takes 2 ms more to find. Null where it is not there.
 */
function koffiForGlibc({ createRequire }: typeof import('node:module')): Koffi | null {
  if (process.platform !== 'linux' || process.getBuiltinModule('node:fs').existsSync('/lib/ld-musl-x86_64.so.1'))
    return null;
  const require = createRequire(import.meta.url);
  for (const from of [() => require, () => createRequire(require.resolve('koffi'))])
    try {
      return from()(GLIBC_LIBRARY) as Koffi;
    } catch {}
  return null;
}

const firstLine = (error: unknown): string => String(error instanceof Error ? error.message : error).split('\n')[0]!;

/** Machine code in memory. */
export type CodePages = Pages;

export class Native {
  private readonly koffi: Koffi;
  private readonly platform: Platform;
  private readonly ledger: Ledger;
  private readonly callType: unknown;
  /** What arrays without elements point to: reads that a guard discards may be made there. */
  private readonly empty: number;
  private readonly pointer: (array: ArrayBufferView) => number;
  private readonly dropped = new FinalizationRegistry<CodePages>(pages => this.release(pages));

  /** @throws Error in one sentence where machine code cannot run. */
  constructor() {
    const { platform, arch } = globalThis.process ?? {};
    const open = PLATFORMS[platform ?? ''];
    if (!open || arch !== 'x64')
      throw new Error(
        `x86: machine code is written for ${Object.keys(PLATFORMS).join(', ')} on x86-64, this is ${platform} on ${arch}`,
      );
    this.koffi = loadKoffi();
    this.platform = open(this.koffi);
    this.callType = this.koffi.proto('int64_t (int64_t, int64_t, int64_t, int64_t)');
    this.ledger = new Ledger(this.platform);
    this.empty = this.platform.map(PAGE);
    this.ledger.add({ address: this.empty, bytes: PAGE });
    // mov rax, rdi; ret
    const identity = this.load(Uint8Array.of(0x48, 0x89, 0xf8, 0xc3));
    this.pointer = this.koffi.decode(
      BigInt(this.entry(identity.address).address),
      this.koffi.proto('int64_t (const void*)'),
    ) as (array: ArrayBufferView) => number;
  }

  /**
   * Writes code to fresh pages and makes them executable. They are given back by `release`, or when this thread ends.
   */
  load(code: Uint8Array): CodePages {
    const pages = this.loadOwned(code);
    this.ledger.add(pages);
    return pages;
  }

  /** The same for code that gives its own pages back. */
  loadOwned(code: Uint8Array): CodePages {
    const bytes = pageAlign(code.length);
    const address = this.platform.map(bytes);
    try {
      this.fill(address, code);
    } catch (error) {
      this.platform.unmap(address, bytes);
      throw error;
    }
    return { address, bytes };
  }

  /** Pages for code that comes piece by piece; they take no memory until it does. */
  reserve(bytes: number): CodePages {
    const pages = { address: this.platform.map(bytes), bytes };
    this.ledger.add(pages);
    return pages;
  }

  /** Writes code to the pages at `address`, which nothing was written to, and makes them executable. */
  fill(address: number, code: Uint8Array): void {
    this.platform.copyIn(address, code);
    this.platform.seal(address, pageAlign(code.length));
  }

  release(pages: CodePages): void {
    this.ledger.remove(pages);
    this.platform.unmap(pages.address, pages.bytes);
  }

  /** Gives the pages back when `owner` is collected; `forget` first to give them back earlier. */
  releaseWith(owner: object, pages: CodePages): void {
    this.dropped.register(owner, pages, owner);
  }

  forget(owner: object): void {
    this.dropped.unregister(owner);
  }

  /** How threads sleep, wake and yield here. */
  get functions(): SystemFunctions {
    return this.platform.functions;
  }

  /**
   * Where the system can call generated code: there, or at an entry of pages of its own that translates the convention.
   */
  private entry(address: number): { readonly address: number; readonly pages: CodePages | null } {
    if (this.functions.system !== 'win32') return { address, pages: null };
    const pages = this.load(windowsEntry(address));
    return { address: pages.address, pages };
  }

  /** Code at `address` as a function of four integers. */
  callable(address: number): NativeCall {
    const entry = this.entry(address);
    const call = this.koffi.decode(BigInt(entry.address), this.callType) as NativeCall;
    if (entry.pages) this.releaseWith(call, entry.pages);
    return call;
  }

  /** Memory for words that threads share, which its owner gives back. */
  sharedWords(bytes: number): number {
    return this.platform.map(pageAlign(bytes));
  }

  /** From now on nobody may touch these pages. */
  forbid(address: number, bytes: number): void {
    this.platform.forbid(address, bytes);
  }

  /** Copies native memory out. */
  read(into: Uint8Array, address: number): void {
    this.platform.copyOut(into, address);
  }

  write(address: number, from: Uint8Array): void {
    this.platform.copyIn(address, from);
  }

  /** Whether this process may use the tile registers of AMX from now on. */
  allowTiles(): boolean {
    return this.platform.allowTiles();
  }

  /** Has code(argument) called on this thread when it ends, however it ends, where the system can. */
  atThreadEnd(code: number, argument: number): ThreadEnd | null {
    return this.platform.atThreadEnd(this.entry(code).address, argument);
  }

  /**
   * Pages of this thread, for the code that gives them back when it ends: entries of address and bytes, both 0 after
   * the last.
   */
  get ledgerAddress(): number {
    return this.ledger.address;
  }

  /** Its handle, to be waited for; null where the system refuses another thread. */
  startThread(code: number, argument: number): bigint | null {
    return this.platform.startThread(this.entry(code).address, argument);
  }

  /** Runs the garbage collector now, where the engine lets it. */
  collect(): void {
    const vm = globalThis.process?.getBuiltinModule?.('node:vm');
    // The flag only concerns contexts made from now on: this one.
    if (!vm || !setEngineFlags('--expose-gc')) return;
    const gc = vm.runInNewContext('gc') as (() => void) | undefined;
    setEngineFlags('--no-expose-gc');
    gc?.();
  }

  /**
   * Asks for large pages under fresh memory of some size: a first touch then costs one fault per 2 MB, and a walk over
   * the memory fewer misses of the TLB.
   */
  preferLargePages(address: number, bytes: number): void {
    const from = Math.ceil(address / LARGE_PAGE) * LARGE_PAGE;
    const until = Math.floor((address + bytes) / LARGE_PAGE) * LARGE_PAGE;
    if (until > from) this.platform.largePages(from, until - from);
  }

  /** Byte address of an array's first element; valid for as long as its ArrayBuffer lives. */
  addressOf(array: ArrayBufferView): number {
    return array.byteLength === 0 ? this.empty : this.pointer(array);
  }
}
