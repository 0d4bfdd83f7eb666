/**
 * What the processor can do and how large its caches are, asked by CPUID and XGETBV code of our own. Knows leaves and
 * bits (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).
 */
import { Assembler } from './assembler/assembler.ts';
import { mem, R } from './assembler/operands.ts';
import type { Native } from './memory/native.ts';

export interface Cpu {
  /** As the maker calls it; empty where it does not say. */
  readonly name: string;
  /** With FMA and F16C. */
  readonly avx2: boolean;
  /** F, BW, DQ and VL, and the system saves their registers. */
  readonly avx512: boolean;
  /**
   * Dot products of bf16 pairs that beat multiply-adds: Intel's have half their rate (115 against 228 GFLOP/s on
   * Sapphire Rapids), AMD's twice.
   */
  readonly fastBf16Dots: boolean;
  /** AMD's Zen 5 or one after it, with AVX-512. */
  readonly zen5: boolean;
  readonly avx512Vnni: boolean;
  /** Tiles with both kinds of products, and the system lets this process use them. */
  readonly amx: boolean;
  /** Whether it says that two or more of the processors that the system counts are threads of one core. */
  readonly hyperthreads: boolean;
  /** Whether it is a virtual machine's, which need not say so. */
  readonly virtual: boolean;
  readonly l1Bytes: number;
  readonly l2Bytes: number;
}

/** f(into, leaf, subleaf): eax, ebx, ecx, edx of CPUID to `into`; leaf -1 is XGETBV(0) in the first two words. */
function queryCode(): Uint8Array {
  const asm = new Assembler();
  const xgetbv = asm.label();
  const end = asm.label();
  asm.push(R.rbx);
  asm.mov(false, R.rax, R.rsi);
  asm.mov(false, R.rcx, R.rdx);
  asm.aluImm('cmp', false, R.rax, -1);
  asm.jump(xgetbv, 'e');
  asm.plain('cpuid');
  asm.movStore(4, mem(R.rdi, 0), R.rax);
  asm.movStore(4, mem(R.rdi, 4), R.rbx);
  asm.movStore(4, mem(R.rdi, 8), R.rcx);
  asm.movStore(4, mem(R.rdi, 12), R.rdx);
  asm.jump(end);
  asm.bind(xgetbv);
  asm.alu('xor', false, R.rcx, R.rcx);
  asm.plain('xgetbv');
  asm.movStore(4, mem(R.rdi, 0), R.rax);
  asm.movStore(4, mem(R.rdi, 4), R.rdx);
  asm.bind(end);
  asm.pop(R.rbx);
  asm.plain('ret');
  return asm.finish();
}

const bit = (word: number, n: number): boolean => ((word >>> n) & 1) === 1;
/** The family and its extension, which counts where the family is 15. */
const familyOf = (version: number): number => ((version >>> 8) & 15) + ((version >>> 20) & 255);
const DEFAULT_L1 = 32 * 1024;
const DEFAULT_L2 = 1024 * 1024;

/** Asks the processor this runs on. */
export function queryCpu(native: Native): Cpu {
  const pages = native.load(queryCode());
  const call = native.callable(pages.address);
  const words = new Uint32Array(4);
  const address = native.addressOf(words);
  const leaf = (n: number, sub = 0): { eax: number; ebx: number; ecx: number; edx: number } => {
    call(address, n | 0, sub, 0);
    return { eax: words[0]!, ebx: words[1]!, ecx: words[2]!, edx: words[3]! };
  };
  const highest = leaf(0).eax;
  const extended = leaf(0x80000000).eax;
  const one = leaf(1);
  const seven = highest >= 7 ? leaf(7) : { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const sevenOne = seven.eax >= 1 ? leaf(7, 1) : { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  // OSXSAVE: only then may XGETBV be asked.
  const saved = bit(one.ecx, 27) ? leaf(-1).eax : 0;
  const avx2 = (saved & 6) === 6 && [12, 28, 29].every(n => bit(one.ecx, n)) && bit(seven.ebx, 5);
  const avx512 = avx2 && (saved & 0xe6) === 0xe6 && [16, 17, 30, 31].every(n => bit(seven.ebx, n));
  const amd = extended >= 0x8000001d && bit(leaf(0x80000001).ecx, 22);
  const cacheLeaf = amd ? 0x8000001d : 4;
  let [l1Bytes, l2Bytes] = [DEFAULT_L1, DEFAULT_L2];
  if (amd || highest >= 4)
    for (let sub = 0; sub < 16; sub++) {
      const { eax, ebx, ecx } = leaf(cacheLeaf, sub);
      const type = eax & 31;
      if (type === 0) break;
      const bytes = ((ebx >>> 22) + 1) * (((ebx >>> 12) & 0x3ff) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1);
      const level = (eax >>> 5) & 7;
      // Type 1 is data, 2 instructions, 3 both.
      if (type !== 2 && level === 1) l1Bytes = bytes;
      else if (type !== 2 && level === 2) l2Bytes = bytes;
    }
  // Extended topology: the first level is that of a core's threads.
  const topology = highest >= 0x1f ? 0x1f : 0xb;
  const threadsOfCore = highest >= 0xb ? leaf(topology).ebx & 0xffff : 1;
  const name = new Uint8Array(48);
  if (extended >= 0x80000004)
    for (let part = 0; part < 3; part++) {
      leaf(0x80000002 + part);
      name.set(new Uint8Array(words.buffer), 16 * part);
    }
  native.release(pages);
  return {
    name: new TextDecoder('latin1').decode(name).replaceAll('\0', '').trim(),
    avx2,
    avx512,
    fastBf16Dots: amd && avx512 && bit(sevenOne.eax, 5),
    zen5: amd && avx512 && familyOf(one.eax) >= 26,
    avx512Vnni: avx512 && bit(seven.ecx, 11),
    amx: (saved & 0x60000) === 0x60000 && [22, 24, 25].every(n => bit(seven.edx, n)) && native.allowTiles(),
    hyperthreads: threadsOfCore > 1,
    virtual: bit(one.ecx, 31),
    l1Bytes,
    l2Bytes,
  };
}
