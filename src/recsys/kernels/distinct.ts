/**
 * The distinct signs of a batch: the twin of DistinctSigns in table/distinct.ts. On one thread, because a sign's number
 * is its place among the first appearances.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { loadKernel, word } from './writing.ts';

/** What the kernel reads and writes; see DistinctSigns. */
interface DistinctArrays {
  readonly places: Int32Array;
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  readonly hash: Int32Array;
  readonly tag: Uint32Array;
  readonly inverse: Int32Array;
}

/** `hashSign` of table/hash.ts. */
function hashOf(b: LoopBuilder, hi: Reg, lo: Reg): Reg {
  const mixed = (x: Reg, shift: number): Reg => b.bin('xor', x, b.bin('shrU', x, b.i32(shift)));
  const times = (x: Reg, factor: number): Reg => b.mul(x, b.i32(factor | 0));
  let h = times(mixed(lo, 16), 0x85ebca6b);
  h = times(b.bin('xor', mixed(h, 13), hi), 0xc2b2ae35);
  h = times(mixed(h, 16), 0x7feb352d);
  return mixed(h, 15);
}

/** `tagSign` of table/hash.ts. */
function tagOf(b: LoopBuilder, hi: Reg, lo: Reg): Reg {
  const mixed = (x: Reg, shift: number): Reg => b.bin('xor', x, b.bin('shrU', x, b.i32(shift)));
  const times = (x: Reg, factor: number): Reg => b.mul(x, b.i32(factor | 0));
  const upper = times(b.bin('xor', hi, b.i32(0x9e3779b9 | 0)), 0x27d4eb2f);
  const h = b.bin('xor', upper, times(mixed(lo, 15), 0x165667b1));
  return mixed(times(mixed(h, 13), 0x2c1b3c6d), 16);
}

export class DistinctKernel {
  private readonly kernel: HostKernel;
  /** [count, places less one, distinct signs] */
  private readonly numbers = new Int32Array(3);

  constructor(machine: HostKernels) {
    const names = {
      hi: 'i32',
      lo: 'i32',
      places: 'i32',
      ownHi: 'i32',
      ownLo: 'i32',
      hash: 'i32',
      tag: 'i32',
      inverse: 'i32',
      numbers: 'i32',
    } as const;
    this.kernel = loadKernel(machine, 'distinct signs', names, (b, buffer) => {
      const put = (to: number, at: Reg, value: Reg): void => b.store('i32', b.addr(to, at), value);
      const count = word(b, buffer.numbers, 0);
      const mask = word(b, buffer.numbers, 1);
      const none = b.i32(-1);
      const one = b.i32(1);
      const unique = b.copy(b.i32(0));
      b.for(0, count, 1, k => {
        const hi = word(b, buffer.hi, k);
        const lo = word(b, buffer.lo, k);
        const hash = hashOf(b, hi, lo);
        const place = b.copy(b.bin('and', hash, mask));
        const at = b.copy(word(b, buffer.places, place));
        const found = b.copy(none);
        b.while(
          () => b.cmp('ge', at, b.i32(0)),
          () => {
            const differs = b.bin(
              'or',
              b.bin('xor', word(b, buffer.ownLo, at), lo),
              b.bin('xor', word(b, buffer.ownHi, at), hi),
            );
            b.if(
              b.cmp('eq', differs, b.i32(0)),
              () => {
                b.move(found, at);
                b.move(at, none);
              },
              () => {
                b.move(place, b.bin('and', b.add(place, one), mask));
                b.move(at, word(b, buffer.places, place));
              },
            );
          },
        );
        b.if(b.cmp('lt', found, b.i32(0)), () => {
          b.move(found, unique);
          put(buffer.places, place, unique);
          put(buffer.ownHi, unique, hi);
          put(buffer.ownLo, unique, lo);
          put(buffer.hash, unique, hash);
          put(buffer.tag, unique, tagOf(b, hi, lo));
          b.move(unique, b.add(unique, one));
        });
        put(buffer.inverse, k, found);
      });
      b.store('i32', b.addr(buffer.numbers, b.i32(2)), unique);
    });
  }

  /** @returns how many distinct signs there are */
  run(hi: Uint32Array, lo: Uint32Array, count: number, own: DistinctArrays): number {
    const { numbers } = this;
    numbers[0] = count;
    numbers[1] = own.places.length - 1;
    this.kernel.run([hi, lo, own.places, own.hi, own.lo, own.hash, own.tag, own.inverse, numbers], true);
    return numbers[2]!;
  }
}
