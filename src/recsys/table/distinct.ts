/**
 * The distinct signs of one batch, in order of first appearance: a small open-addressing table that stays in cache.
 * What follows (finding rows, the optimizer, sending to other processes) is then done once per sign.
 */
import type { HostKernels } from '../../compiler/program.ts';
import { DistinctKernel } from '../kernels/index.ts';
import { hashSign, tagSign } from './hash.ts';

const kernels = new WeakMap<HostKernels, DistinctKernel>();

function kernelFor(machine: HostKernels): DistinctKernel {
  let kernel = kernels.get(machine);
  if (!kernel) kernels.set(machine, (kernel = new DistinctKernel(machine)));
  return kernel;
}

export class DistinctSigns {
  unique = 0;
  count = 0;
  /** Of the distinct signs. */
  hi = new Uint32Array(0);
  lo = new Uint32Array(0);
  hash = new Int32Array(0);
  /** Of `hash` modulo its length: which distinct sign, -1 for none. */
  places = new Int32Array(16);
  tag = new Uint32Array(0);
  /** `[count]`: which distinct sign each id is. */
  inverse = new Int32Array(0);

  /** Reads the first `count` of (hi, lo), by generated code where there is some. */
  read(hi: Uint32Array, lo: Uint32Array, count: number, machine?: HostKernels): void {
    this.reserve(count);
    this.count = count;
    if (machine && count > 0) {
      this.places.fill(-1);
      this.unique = kernelFor(machine).run(hi, lo, count, this);
      return;
    }
    const { places, inverse, hi: ownHi, lo: ownLo, hash, tag } = this;
    places.fill(-1);
    const mask = places.length - 1;
    let unique = 0;
    for (let k = 0; k < count; k++) {
      const h = hi[k]!;
      const l = lo[k]!;
      const mixed = hashSign(h, l);
      let place = mixed & mask;
      let at = places[place]!;
      while (at >= 0 && (ownLo[at] !== l || ownHi[at] !== h)) {
        place = (place + 1) & mask;
        at = places[place]!;
      }
      if (at < 0) {
        at = unique++;
        places[place] = at;
        ownHi[at] = h;
        ownLo[at] = l;
        hash[at] = mixed;
        tag[at] = tagSign(h, l);
      }
      inverse[k] = at;
    }
    this.unique = unique;
  }

  private reserve(count: number): void {
    let capacity = this.places.length;
    while (capacity < 2 * count) capacity *= 2;
    if (capacity > this.places.length) this.places = new Int32Array(capacity);
    if (count <= this.inverse.length) return;
    const room = Math.ceil(count * 1.25);
    this.hi = new Uint32Array(room);
    this.lo = new Uint32Array(room);
    this.hash = new Int32Array(room);
    this.tag = new Uint32Array(room);
    this.inverse = new Int32Array(room);
  }
}
