/**
 * Which instructions code is written with, and what schedules may count on for each. The best the processor has, unless
 * TENON_ISA asks for less.
 */

import { availableProcessors, visibleProcessors, wantedThreads } from '../../compiler/processors.ts';
import { SettingError } from '../../compiler/settings.ts';
import type { PackedProducts, Target } from '../../compiler/target.ts';
import type { Cpu } from './cpu.ts';

/** From least to most: `avx2` (with FMA and F16C), `avx512` (F, BW, DQ, VL), `amx` (AVX-512 and tiles). */
const ISAS = ['avx2', 'avx512', 'amx'] as const;
export type Isa = (typeof ISAS)[number];

/** What the processor can do, best last. */
export const isasOf = (cpu: Cpu): Isa[] => [
  ...(cpu.avx2 ? (['avx2'] as const) : []),
  ...(cpu.avx512 ? (['avx512'] as const) : []),
  ...(cpu.avx512 && cpu.amx ? (['amx'] as const) : []),
];

/**
 * @param asked the value of TENON_ISA, if any
 * @throws Error where the processor lacks what was asked for, or AVX2 at all
 */
export function chooseIsa(cpu: Cpu, asked: string | undefined): Isa {
  const known = isasOf(cpu);
  if (known.length === 0)
    throw new Error('x86: this processor has no AVX2 with FMA, the least that machine code is written with');
  if (!asked) return known[known.length - 1]!;
  const found = known.find(isa => isa === asked);
  if (!found)
    throw new SettingError(`x86: TENON_ISA is ${asked}, expected one of ${known.join(', ')} on this processor`);
  return found;
}

/** From so many processors on a virtual machine is taken to have its cores' threads, whatever it says. */
const VIRTUAL_THREADS = 4;

/**
 * Whether other programs, or other threads of this one, are likely to compute on the cores that this one computes on.
 */
const sharesCores = (cpu: Cpu, processors: number): boolean =>
  cpu.hyperthreads || (cpu.virtual && processors >= VIRTUAL_THREADS);

/**
 * AVX512_BF16 and VNNI are asked of the processor; whoever has tiles has both. Products of f32 in parts take six
 * products of tiles, which lose more than multiply-adds do on a core that is shared
 * (docs/decisions/280-tiles-on-shared-cores.md): there they are for those who ask for them.
 */
const packedProducts = (isa: Isa, cpu: Cpu, asked: boolean): PackedProducts =>
  isa === 'amx'
    ? { bf16: 'tiles', int8: 'tiles', f32: asked || !sharesCores(cpu, visibleProcessors()) ? 'tiles' : null }
    : { bf16: cpu.fastBf16Dots ? 'dot' : null, int8: cpu.avx512Vnni ? 'dot' : null, f32: null };

/**
 * Results of so many bytes are not found in a cache by whoever reads them next: their lines are neither fetched before
 * they are written nor kept.
 */
const STREAMED_BYTES = 32 << 20;

/** As many as keep 30 registers full of a formula like a gelu's (docs/decisions/287-vectors-in-turn.md). */
const VECTORS_IN_TURN = 8;

/** Some rows of a layer norm: in less time memory does not answer (docs/decisions/308-rows-beside-each-other.md). */
const ROW_BYTES_AHEAD = 16 << 10;

/**
 * Vector registers but for the temporaries of the emitter.
 * @param asked whether somebody asked for the instruction set by name (TENON_ISA): then all of it is used
 */
export const targetOf = (isa: Isa, cpu: Cpu, asked = true): Target => {
  const products = isa === 'avx2' ? null : packedProducts(isa, cpu, asked);
  return {
    name: 'x86',
    vectorBytes: isa === 'avx2' ? 32 : 64,
    vectorRegisters: isa === 'avx2' ? 13 : 30,
    fusedMultiplyAdd: true,
    keepsOrder: true,
    ...(products ? { packedProducts: products, roundsBf16: products.bf16 === 'dot' } : {}),
    keepsMemory: true,
    masksMemory: isa !== 'avx2',
    scales: isa !== 'avx2',
    // 64 bytes of f32 in 2.5 cycles, where others take 16 (287).
    dividesQuickly: isa !== 'avx2' && cpu.zen5,
    ...(isa === 'avx512'
      ? {
          vectorsInTurn: VECTORS_IN_TURN,
          shufflesStrides: true,
          rowBytesAhead: ROW_BYTES_AHEAD,
          // The rule against it was found on Intel's processors (296).
          readsFarRows: cpu.zen5,
        }
      : {}),
    roundsF16: true,
    streamedBytes: STREAMED_BYTES,
    processors: Math.max(availableProcessors(), wantedThreads()),
    l1Bytes: cpu.l1Bytes,
    l2Bytes: cpu.l2Bytes,
    pointerBytes: 8,
  };
};
