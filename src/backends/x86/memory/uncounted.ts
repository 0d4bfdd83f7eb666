/**
 * Memory that the collector frees but does not count: that of a SharedArrayBuffer. What V8 counts of ordinary ones makes
 * it look through the heap, after each 64 MB, and a model's parameters come when all that is being compiled lives there.
 * Imports nothing.
 */

/**
 * At most so many bytes are alive at once; more is counted. A model that was dropped keeps no more than this until
 * something else makes the collector look.
 */
const MOST = 1 << 28;

export class Uncounted {
  private bytes = 0;
  private readonly dropped = new FinalizationRegistry<number>(bytes => {
    this.bytes -= bytes;
  });

  allocate(bytes: number): ArrayBufferLike {
    if (this.bytes + bytes > MOST) return new ArrayBuffer(bytes);
    const memory = new SharedArrayBuffer(bytes);
    this.bytes += bytes;
    this.dropped.register(memory, bytes);
    return memory;
  }
}
