/**
 * The memory that intermediates share. Imports nothing.
 */

/** First-fit by best size over one growing arena. */
export class Arena {
  bytes = 0;
  /** Free ranges by offset. */
  private free: { offset: number; bytes: number }[] = [];

  take(bytes: number): number {
    let best = -1;
    for (let i = 0; i < this.free.length; i++) {
      const range = this.free[i]!;
      if (range.bytes >= bytes && (best < 0 || range.bytes < this.free[best]!.bytes)) best = i;
    }
    if (best >= 0) {
      const range = this.free[best]!;
      const { offset } = range;
      if (range.bytes === bytes) this.free.splice(best, 1);
      else {
        range.offset += bytes;
        range.bytes -= bytes;
      }
      return offset;
    }
    // A free end of the arena is grown instead of left behind.
    const last = this.free[this.free.length - 1];
    if (last && last.offset + last.bytes === this.bytes) {
      this.free.pop();
      this.bytes = last.offset + bytes;
      return last.offset;
    }
    const offset = this.bytes;
    this.bytes += bytes;
    return offset;
  }

  give(offset: number, bytes: number): void {
    let lo = 0;
    let hi = this.free.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.free[mid]!.offset < offset) lo = mid + 1;
      else hi = mid;
    }
    this.free.splice(lo, 0, { offset, bytes });
    const after = this.free[lo + 1];
    if (after && offset + bytes === after.offset) {
      this.free[lo]!.bytes += after.bytes;
      this.free.splice(lo + 1, 1);
    }
    const before = this.free[lo - 1];
    if (before && before.offset + before.bytes === offset) {
      before.bytes += this.free[lo]!.bytes;
      this.free.splice(lo, 1);
    }
  }
}
