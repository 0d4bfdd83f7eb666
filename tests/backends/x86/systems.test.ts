/**
 * What differs between operating systems, as far as Linux can show it: which functions of Windows and macOS are called
 * with what, by a binding that writes them down; the code that stands between Windows' calling convention and ours, by
 * its text and by running it here.
 */
import { describe, expect, it } from 'vitest';
import { Assembler } from '../../../src/backends/x86/assembler/assembler.ts';
import { ListingAssembler } from '../../../src/backends/x86/assembler/listing.ts';
import { mem, R } from '../../../src/backends/x86/assembler/operands.ts';
import { CONTROL, CONTROL_BYTES } from '../../../src/backends/x86/control.ts';
import { LEDGER_BYTES } from '../../../src/backends/x86/memory/ledger.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import type { Koffi } from '../../../src/backends/x86/memory/platform.ts';
import { darwin } from '../../../src/backends/x86/memory/posix.ts';
import { windows } from '../../../src/backends/x86/memory/windows.ts';
import { waitingCode, windowsEntry } from '../../../src/backends/x86/system-code.ts';
import { reapCode } from '../../../src/backends/x86/thread-end.ts';
import { isas } from './available.ts';

/** A binding that writes down every call, and answers with `results` by function or 1. */
function recorder(results: { readonly [name: string]: number } = {}): { koffi: Koffi; calls: string[] } {
  const calls: string[] = [];
  const shown = (value: unknown): string => (ArrayBuffer.isView(value) ? `[${value.byteLength} bytes]` : String(value));
  const koffi: Koffi = {
    load: library => ({
      func: signature => {
        const name = /(\w+)\(/.exec(signature)![1]!;
        return (...args) => {
          calls.push(`${library.split('/').at(-1)} ${name}(${args.map(shown).join(', ')})`);
          return results[name] ?? 1;
        };
      },
    }),
    proto: () => null,
    decode: () => null,
  };
  return { koffi, calls };
}

describe('Windows', () => {
  it('maps, seals, protects and frees pages, and starts threads', () => {
    const { koffi, calls } = recorder({ VirtualAlloc: 0x10000, GetCurrentProcess: -1, GetProcAddress: 0x7000 });
    const platform = windows(koffi);
    expect(platform.functions).toEqual({ system: 'win32', wait: 0x7000, wake: 0x7000, yield: 0x7000 });
    expect(calls.splice(0)).toEqual([
      'kernel32.dll LoadLibraryA(kernelbase.dll)',
      'kernel32.dll GetProcAddress(1, WaitOnAddress)',
      'kernel32.dll GetProcAddress(1, WakeByAddressAll)',
      'kernel32.dll GetProcAddress(1, SwitchToThread)',
    ]);
    expect(platform.map(8192)).toBe(0x10000);
    platform.copyIn(0x10000, new Uint8Array(100));
    platform.seal(0x10000, 8192);
    platform.forbid(0x11000, 4096);
    platform.copyOut(new Uint8Array(16), 0x10000);
    platform.unmap(0x10000, 8192);
    platform.startThread(0x12340, 5);
    expect(calls).toEqual([
      'kernel32.dll VirtualAlloc(0, 8192, 12288, 4)',
      'kernel32.dll RtlMoveMemory(65536, [100 bytes], 100)',
      'kernel32.dll VirtualProtect(65536, 8192, 32, [4 bytes])',
      'kernel32.dll GetCurrentProcess()',
      'kernel32.dll FlushInstructionCache(-1, 65536, 8192)',
      'kernel32.dll VirtualProtect(69632, 4096, 1, [4 bytes])',
      'kernel32.dll RtlMoveMemory([16 bytes], 65536, 16)',
      'kernel32.dll VirtualFree(65536, 0, 32768)',
      'kernel32.dll CreateThread(null, 131072, 74560, 5, 0, null)',
    ]);
  });

  it('says what the system refuses', () => {
    const refuses = (name: string) => windows(recorder({ [name]: 0 }).koffi);
    expect(() => refuses('VirtualAlloc').map(4096)).toThrow('x86: the system refuses 4096 bytes');
    expect(() => refuses('VirtualProtect').seal(1, 4096)).toThrow('x86: the system refuses to make memory executable');
    expect(() => refuses('GetProcAddress')).toThrow('x86: this system has no WaitOnAddress');
  });

  it('has an entry that translates its calling convention', () => {
    const asm = new ListingAssembler();
    windowsEntry(0x1234, asm);
    const lines = asm.instructions();
    // Sixteen touches of the pages that frames may reach.
    expect(lines.filter(line => /^or dword ptr \[rsp-\d+\], 0$/.test(line))).toHaveLength(16);
    expect(lines.filter(line => !line.startsWith('or '))).toMatchInlineSnapshot(`
      [
        "push rdi",
        "push rsi",
        "sub rsp, 168",
        "vmovups xmmword ptr [rsp], xmm6",
        "vmovups xmmword ptr [rsp+16], xmm7",
        "vmovups xmmword ptr [rsp+32], xmm8",
        "vmovups xmmword ptr [rsp+48], xmm9",
        "vmovups xmmword ptr [rsp+64], xmm10",
        "vmovups xmmword ptr [rsp+80], xmm11",
        "vmovups xmmword ptr [rsp+96], xmm12",
        "vmovups xmmword ptr [rsp+112], xmm13",
        "vmovups xmmword ptr [rsp+128], xmm14",
        "vmovups xmmword ptr [rsp+144], xmm15",
        "mov rdi, rcx",
        "mov rsi, rdx",
        "mov rdx, r8",
        "mov rcx, r9",
        "mov eax, 4660",
        "call rax",
        "vmovups xmm6, xmmword ptr [rsp]",
        "vmovups xmm7, xmmword ptr [rsp+16]",
        "vmovups xmm8, xmmword ptr [rsp+32]",
        "vmovups xmm9, xmmword ptr [rsp+48]",
        "vmovups xmm10, xmmword ptr [rsp+64]",
        "vmovups xmm11, xmmword ptr [rsp+80]",
        "vmovups xmm12, xmmword ptr [rsp+96]",
        "vmovups xmm13, xmmword ptr [rsp+112]",
        "vmovups xmm14, xmmword ptr [rsp+128]",
        "vmovups xmm15, xmmword ptr [rsp+144]",
        "add rsp, 168",
        "pop rsi",
        "pop rdi",
        "ret",
      ]
    `);
  });

  it.skipIf(isas.length === 0)('keeps what Windows wants kept, and passes arguments on', () => {
    const native = new Native();
    // rax = rdi + 10 rsi + 100 rdx + 1000 rcx; changes everything that System V lets it change.
    const target = new Assembler();
    target.mov(true, R.rax, R.rdi);
    for (const [r, weight] of [[R.rsi, 10], [R.rdx, 100], [R.rcx, 1000]] as const) {
      target.imulImm(true, r, r, weight);
      target.alu('add', true, R.rax, r);
    } // biome-ignore format: a table
    for (const r of [R.rdi, R.rsi, R.rcx, R.rdx, R.r8, R.r9, R.r10, R.r11]) target.movImm(r, 0n);
    for (let v = 0; v < 16; v++) target.vex('vpxor', 1, v, v, v);
    target.plain('ret');
    const entry = native.load(windowsEntry(native.load(target.finish()).address));
    // A caller of that convention, which looks at what was kept.
    const caller = new Assembler();
    caller.push(R.rbx);
    caller.mov(true, R.rbx, R.rdi);
    for (let v = 6; v < 16; v++) caller.vex('vpbroadcastd', 0, v, 0, mem(R.rbx, 4 * v));
    caller.movImm(R.rdi, 0x1111n);
    caller.movImm(R.rsi, 0x2222n);
    for (const [k, r] of [R.rcx, R.rdx, R.r8, R.r9].entries()) caller.movImm(r, BigInt(k + 1));
    caller.aluImm('sub', true, R.rsp, 32);
    caller.movImm(R.rax, BigInt(entry.address));
    caller.callRegister(R.rax);
    caller.aluImm('add', true, R.rsp, 32);
    caller.movStore(8, mem(R.rbx, 0), R.rax);
    caller.movStore(8, mem(R.rbx, 8), R.rdi);
    caller.movStore(8, mem(R.rbx, 16), R.rsi);
    for (let v = 6; v < 16; v++) caller.vex('vmovss_st', 0, v, 0, mem(R.rbx, 64 + 4 * v));
    caller.pop(R.rbx);
    caller.plain('ret');
    const words = new Int32Array(64);
    for (let v = 6; v < 16; v++) words[v] = 100 + v;
    native.callable(native.load(caller.finish()).address)(native.addressOf(words), 0, 0, 0);
    expect([words[0], words[2], words[4]]).toEqual([4321, 0x1111, 0x2222]);
    expect([...words.subarray(22, 32)]).toEqual(Array.from({ length: 10 }, (_, i) => 106 + i));
  });
});

it.skipIf(isas.length === 0)('what a worker of Windows held is given back once it and its threads have ended', () => {
  const native = new Native();
  const NAMES = ['WaitForSingleObject', 'CloseHandle', 'FlsFree', 'VirtualFree'] as const;
  const seen = new BigInt64Array(4 * 64);
  const cursor = BigInt64Array.of(BigInt(native.addressOf(seen)));
  /** A function of Windows that writes down its number and its first three arguments, and changes what it may. */
  const fake = (number: number): number => {
    const asm = new Assembler();
    asm.movImm(R.r10, BigInt(native.addressOf(cursor)));
    asm.mov(true, R.rax, mem(R.r10));
    asm.movImm(R.r11, BigInt(number));
    for (const [k, r] of [R.r11, R.rcx, R.rdx, R.r8].entries()) asm.movStore(8, mem(R.rax, 8 * k), r);
    asm.aluImm('add', true, R.rax, 32);
    asm.movStore(8, mem(R.r10), R.rax);
    // Its shadow space.
    for (let k = 0; k < 4; k++) asm.movStore(8, mem(R.rsp, 8 + 8 * k), R.rax);
    for (const r of [R.rax, R.rcx, R.rdx, R.r8, R.r9, R.r10, R.r11]) asm.movImm(r, 0n);
    asm.plain('ret');
    return native.load(asm.finish()).address;
  };
  const [join, closeHandle, forgetEnd, unmap] = NAMES.map((_, i) => fake(i));
  const [control, ledger] = [native.sharedWords(CONTROL_BYTES), native.sharedWords(LEDGER_BYTES)];
  const write = (address: number, ...words: number[]): void =>
    native.write(address, new Uint8Array(BigInt64Array.from(words, BigInt).buffer));
  const words = { endKey: 7, forgetEnd, join, unmap, poolCode: 0x70000, closeHandle, thisThread: 99, workers: 2 };
  for (const [name, word] of Object.entries(words)) write(control + CONTROL[name as keyof typeof words], word!);
  write(control + CONTROL.handles, 11, 12);
  write(ledger, 0x50000, 4096, 0x60000, 8192, 0, 0);
  const asm = new Assembler();
  const reap = reapCode(asm, ledger);
  const pages = native.load(asm.finish());
  native.callable(pages.address + reap.at)(0, 0, 0, control);

  const count = (Number(cursor[0]) - native.addressOf(seen)) / 32;
  const calls = Array.from({ length: count }, (_, i) => {
    const [name, ...args] = seen.subarray(4 * i, 4 * i + 4);
    return [NAMES[Number(name)], ...args.map(Number)];
  });
  const freed = (address: number) => ['VirtualFree', address, 0, 0x8000];
  const ended = (handle: number) => [
    ['WaitForSingleObject', handle, 0xffffffff, expect.anything()],
    ['CloseHandle', handle, expect.anything(), expect.anything()],
  ];
  expect(calls).toEqual([
    ...[11, 12, 99].flatMap(ended),
    ['FlsFree', 7, expect.anything(), expect.anything()],
    ...[0x50000, 0x60000, ledger, control, 0x70000].map(freed),
  ]);
});

it.skipIf(isas.length === 0).each(isas.filter(isa => isa !== 'amx'))(
  'waiting calls WaitOnAddress and keeps every register: %s',
  isa => {
    const native = new Native();
    const vex = isa === 'avx2';
    const seen = new BigInt64Array(8);
    // A WaitOnAddress that writes down its arguments and the stack pointer, and changes everything it may.
    const fake = new Assembler();
    fake.movImm(R.rax, BigInt(native.addressOf(seen)));
    fake.movStore(8, mem(R.rax, 0), R.rcx);
    fake.mov(false, R.r10, mem(R.rdx));
    fake.movStore(8, mem(R.rax, 8), R.r10);
    fake.movStore(8, mem(R.rax, 16), R.r8);
    fake.movStore(8, mem(R.rax, 24), R.r9);
    fake.movStore(8, mem(R.rax, 32), R.rsp);
    // Its shadow space.
    for (let k = 0; k < 4; k++) fake.movStore(8, mem(R.rsp, 8 + 8 * k), R.rax);
    for (const r of [R.rcx, R.rdx, R.r8, R.r9, R.r10, R.r11]) fake.movImm(r, 0n);
    for (let v = 0; v < (vex ? 16 : 32); v++) {
      if (vex) fake.vex('vpxor', 1, v, v, v);
      else fake.vector('vpxord', 2, v, v, v);
    }
    if (!vex) for (let k = 1; k < 8; k++) fake.mask('kxorw', k, k, k);
    fake.plain('ret');
    const { address } = native.load(fake.finish());
    const code = waitingCode({ system: 'win32', wait: address, wake: address, yield: address }, isa);
    const waiting = native.load(code.bytes).address + code.wait;

    const caller = new Assembler();
    const general = [R.rcx, R.rsi, R.r8, R.r9, R.r10, R.r11];
    caller.push(R.rbx);
    caller.mov(true, R.rbx, R.rdi);
    for (const [k, r] of general.entries()) caller.movImm(r, BigInt(1000 + k));
    const vectors = vex ? 16 : 32;
    for (let v = 0; v < vectors; v++) {
      if (vex) caller.vex('vpbroadcastd', 1, v, 0, mem(R.rbx, 4 * v));
      else caller.vector('vpbroadcastd', 2, v, 0, mem(R.rbx, 4 * v));
    }
    if (!vex) for (let k = 1; k < 8; k++) caller.mask('kmovw', k, 0, mem(R.rbx, 4 * k));
    caller.movImm(R.rdi, 0x5550n);
    caller.movImm(R.rdx, 77n);
    caller.movImm(R.rax, BigInt(waiting));
    caller.callRegister(R.rax);
    for (const [k, r] of [...general, R.rdi, R.rdx].entries()) caller.movStore(8, mem(R.rbx, 128 + 8 * k), r);
    for (let v = 0; v < vectors; v++) {
      if (vex) caller.vex('vmovups_st', 1, v, 0, mem(R.rbx, 256 + 64 * v));
      else caller.vector('vmovups_st', 2, v, 0, mem(R.rbx, 256 + 64 * v));
    }
    if (!vex) for (let k = 1; k < 8; k++) caller.mask('kmovw_st', k, 0, mem(R.rbx, 192 + 4 * k));
    caller.plain('vzeroupper');
    caller.pop(R.rbx);
    caller.plain('ret');
    const words = new Int32Array(64 + 32 * 16);
    for (let v = 0; v < 32; v++) words[v] = 7 * v + 1;
    native.callable(native.load(caller.finish()).address)(native.addressOf(words), 0, 0, 0);

    expect([...seen.subarray(0, 4)]).toEqual([0x5550n, 77n, 4n, 0xffffffffn]);
    // Aligned where the call was made.
    expect((seen[4]! + 8n) % 16n).toBe(0n);
    expect(Array.from({ length: 8 }, (_, k) => words[32 + 2 * k])).toEqual([
      1000, 1001, 1002, 1003, 1004, 1005, 0x5550, 77,
    ]);
    const lanes = vex ? 8 : 16;
    for (let v = 0; v < vectors; v++)
      expect([...words.subarray(64 + 16 * v, 64 + 16 * v + lanes)]).toEqual(
        Array.from({ length: lanes }, () => 7 * v + 1),
      );
    if (!vex) for (let k = 1; k < 8; k++) expect(words[48 + k]).toBe(7 * k + 1);
  },
);

it('macOS: pages, threads, and the functions that wait', () => {
  const { koffi, calls } = recorder({
    mmap: 0x10000,
    mprotect: 0,
    pthread_create: 0,
    pthread_key_create: 0,
    dlsym: 0x7000,
  });
  const platform = darwin(koffi);
  expect(platform.functions).toEqual({ system: 'darwin', wait: 0x7000, wake: 0x7000, yield: 0x7000 });
  platform.map(8192);
  platform.seal(0x10000, 8192);
  platform.largePages(0x10000, 8192);
  platform.startThread(0x12340, 5);
  expect(platform.atThreadEnd(0x12380, 0x10000)).toEqual({ key: 0, forget: 0x7000, join: 0x7000, unmap: 0x7000 });
  platform.unmap(0x10000, 8192);
  expect(calls).toEqual([
    'libSystem.B.dylib dlsym(-2, __ulock_wait)',
    'libSystem.B.dylib dlsym(-2, __ulock_wake)',
    'libSystem.B.dylib dlsym(-2, sched_yield)',
    'libSystem.B.dylib mmap(0, 8192, 3, 4098, -1, 0)',
    'libSystem.B.dylib mprotect(65536, 8192, 5)',
    'libSystem.B.dylib pthread_create([8 bytes], null, 74560, 5)',
    'libSystem.B.dylib pthread_key_create([8 bytes], 74624)',
    'libSystem.B.dylib pthread_setspecific(0, 65536)',
    'libSystem.B.dylib dlsym(-2, pthread_key_delete)',
    'libSystem.B.dylib dlsym(-2, pthread_join)',
    'libSystem.B.dylib dlsym(-2, munmap)',
    'libSystem.B.dylib munmap(65536, 8192)',
  ]);
  const asm = new ListingAssembler();
  waitingCode({ system: 'darwin', wait: 0x7000, wake: 0x7100, yield: 0x7200 }, 'avx2', asm);
  const calling = asm
    .instructions()
    .filter(line => /^(mov(?!ups)|lea|call|and)/.test(line) && !line.includes('mmword'));
  expect(calling).toMatchInlineSnapshot(`
    [
      "mov rbp, rsp",
      "and rsp, -64",
      "mov rsi, rdi",
      "mov edi, 1",
      "mov edx, edx",
      "mov ecx, 0",
      "mov eax, 28672",
      "call rax",
      "lea rsp, [rbp-64]",
      "mov rbp, rsp",
      "and rsp, -64",
      "mov rsi, rdi",
      "mov edi, 257",
      "mov edx, edx",
      "mov ecx, 0",
      "mov eax, 28928",
      "call rax",
      "lea rsp, [rbp-64]",
      "mov rbp, rsp",
      "and rsp, -64",
      "mov eax, 29184",
      "call rax",
      "lea rsp, [rbp-64]",
    ]
  `);
});
