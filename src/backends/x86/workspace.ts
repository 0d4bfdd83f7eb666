/**
 * Memory for intermediates, one area for all programs of a machine, which only grows. It is a SharedArrayBuffer, which
 * the collector frees but does not count: the size of an array makes it look through the heap, at a time when all that
 * is being compiled lives there.
 */
import { changes } from '../../graph/changes.ts';
import { LARGE_PAGE, type Native } from './memory/native.ts';
import type { PageTouch } from './page-touch.ts';

const LINE = 64;

/** Memory for the intermediates of a run, valid as long as the object is held. */
export interface Area {
  readonly address: number;
  readonly bytes: number;
  readonly view: Uint8Array;
}

export class Workspace {
  private readonly native: Native;
  private readonly pages: PageTouch;
  private area: Area | null = null;

  constructor(native: Native, pages: PageTouch) {
    this.native = native;
    this.pages = pages;
  }

  get bytes(): number {
    return this.area?.bytes ?? 0;
  }

  /** An area of so many bytes, of which the last `spare` will hardly be used; another one than before when it grows. */
  atLeast(bytes: number, spare = 0): Area {
    if (!this.area || bytes > this.area.bytes) {
      this.area = this.allocate(bytes);
      changes.moves++;
      const { address, view } = this.area;
      // From the start on, which is what a program uses first.
      this.pages.touch([{ address, bytes: bytes - spare }], [view]);
    }
    return this.area;
  }

  private allocate(bytes: number): Area {
    const { native } = this;
    const align = bytes >= LARGE_PAGE ? LARGE_PAGE : LINE;
    const all = new Uint8Array(new SharedArrayBuffer(bytes + align));
    const start = native.addressOf(all);
    const address = Math.ceil(start / align) * align;
    native.preferLargePages(address, bytes);
    return { address, bytes, view: all.subarray(address - start, address - start + bytes) };
  }
}
