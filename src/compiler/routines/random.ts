/**
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC'11). Each lane computes
 * one block of four words. May import the loop IR and the target; knows nothing of distributions.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import type { BufferIndex, RandomSpec, Scratch } from './index.ts';
import { laneNumbers, lesser } from './lanes.ts';

const MULTIPLIERS = [0xd2511f53 | 0, 0xcd9e8d57 | 0] as const;
const WEYL = [0x9e3779b9 | 0, 0xbb67ae85 | 0] as const;
const ROUNDS = 10;
/** Groups (one block per lane) that a thread takes at a time. */
const CHUNK = 256;

export function randomScratch(_spec: RandomSpec, _target: Target): readonly Scratch[] {
  return [];
}

interface Key {
  readonly seed: readonly [Reg, Reg];
  readonly counter: readonly [Reg, Reg];
}

function loadKey(b: LoopBuilder, key: BufferIndex): Key {
  const p = b.addr(key);
  const words = (offset: number): readonly [Reg, Reg] => {
    const value = b.load('i64', p, offset);
    return [b.cvt('i32', value), b.cvt('i32', b.bin('shrU', value, b.const('i64', 32n)))];
  };
  return { seed: words(0), counter: words(8) };
}

/** The four words of block counter + `block`, one block per lane; `block` is below 2^31. */
function philox(b: LoopBuilder, key: Key, block: Reg): Reg[] {
  const { lanes } = block.type;
  const all = (value: number): Reg => b.const('i32', value, lanes);
  const base = b.splat(key.counter[0], lanes);
  const low = b.add(base, block);
  const carry = b.cvt('i32', b.cmp('ltU', low, base));
  let words: Reg[] = [low, b.add(b.splat(key.counter[1], lanes), carry), all(0), all(0)];
  let k0 = b.splat(key.seed[0], lanes);
  let k1 = b.splat(key.seed[1], lanes);
  const m0 = all(MULTIPLIERS[0]);
  const m1 = all(MULTIPLIERS[1]);
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) {
      k0 = b.add(k0, all(WEYL[0]));
      k1 = b.add(k1, all(WEYL[1]));
    }
    const [w0, w1, w2, w3] = words as [Reg, Reg, Reg, Reg];
    words = [
      b.bin('xor', b.bin('xor', b.bin('mulHiU', w2, m1), w1), k0),
      b.mul(w2, m1),
      b.bin('xor', b.bin('xor', b.bin('mulHiU', w0, m0), w3), k1),
      b.mul(w0, m0),
    ];
  }
  return words;
}

/** Four vectors of word 0, 1, 2, 3 of each lane's block -> the same words block after block. */
function interleave(b: LoopBuilder, words: readonly Reg[], lanes: number): Reg[] {
  const at = Array.from({ length: lanes }, (_, i) => i);
  return [0, 1, 2, 3].map(vector => {
    const block = (i: number): number => (vector * lanes + i) >> 2;
    const half = (even: Reg, odd: Reg): Reg =>
      b.shuffle(
        even,
        odd,
        at.map(i => block(i) + (i & 1) * lanes),
      );
    const first = half(words[0]!, words[1]!);
    const second = half(words[2]!, words[3]!);
    return b.shuffle(
      first,
      second,
      at.map(i => i + ((i & 3) < 2 ? 0 : lanes)),
    );
  });
}

/** Fills the output with words; every thread makes its own blocks. */
export function lowerRandom(b: LoopBuilder, spec: RandomSpec, target: Target, _scratch: readonly BufferIndex[]): void {
  const { size, key: keyBuffer, output } = spec;
  const lanes = lanesFor(target, 4);
  const vectored = lanes >= 4;
  const group = vectored ? lanes : 1;
  const groups = Math.floor(size / (4 * group));
  if (groups > 0)
    b.parallel(Math.ceil(groups / CHUNK), chunk => {
      const key = loadKey(b, keyBuffer);
      const numbers = vectored ? laneNumbers(b, lanes) : null;
      const from = b.mul(chunk, b.i32(CHUNK));
      const to = lesser(b, b.add(from, b.i32(CHUNK)), b.i32(groups));
      b.for(from, to, 1, g => {
        const first = group === 1 ? g : b.mul(g, b.i32(group));
        const block = numbers ? b.add(b.splat(first, lanes), numbers) : first;
        const words = philox(b, key, block);
        const p = b.addr(output, b.mul(first, b.i32(4)));
        const ordered = numbers ? interleave(b, words, lanes) : words;
        ordered.forEach((word, i) => {
          b.store('i32', p, word, i * 4 * word.type.lanes);
        });
      });
    });
  const done = groups * group;
  const whole = Math.floor(size / 4);
  if (done * 4 === size) return;
  b.once(() => {
    const key = loadKey(b, keyBuffer);
    const write = (block: Reg, count: number): void => {
      const words = philox(b, key, block);
      const p = b.addr(output, b.mul(block, b.i32(4)));
      for (let w = 0; w < count; w++) b.store('i32', p, words[w]!, w * 4);
    };
    if (whole > done) b.for(done, whole, 1, block => write(block, 4));
    if (size > whole * 4) write(b.i32(whole), size - whole * 4);
  });
}
