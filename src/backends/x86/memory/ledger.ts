/**
 * The pages a thread holds, written where generated code finds them: a worker may be terminated at any time and runs no
 * JavaScript then, so what it held is given back by the code of thread-code.ts that the system calls when it ends.
 */
import type { Platform } from './platform.ts';

/** Pages that may be executed, or hold what code reads. */
export interface Pages {
  readonly address: number;
  readonly bytes: number;
}

/** Two words of eight bytes: address and bytes, both 0 after the last entry. */
export const LEDGER_ENTRY_BYTES = 16;
const MOST_ENTRIES = 4095;
export const LEDGER_BYTES = (MOST_ENTRIES + 1) * LEDGER_ENTRY_BYTES;

const NOTHING: Pages = { address: 0, bytes: 0 };

export class Ledger {
  readonly address: number;
  private readonly platform: Platform;
  private readonly held: Pages[] = [];
  private readonly places = new Map<number, number>();

  constructor(platform: Platform) {
    this.platform = platform;
    this.address = platform.map(LEDGER_BYTES);
  }

  /** Where there is no room, a terminated worker's pages stay until the process ends. */
  add(pages: Pages): void {
    if (this.held.length === MOST_ENTRIES) return;
    this.places.set(pages.address, this.held.length);
    this.write(this.held.length, pages);
    this.held.push(pages);
  }

  /** The last entry takes the place of the one that is struck out. */
  remove({ address }: Pages): void {
    const place = this.places.get(address);
    if (place === undefined) return;
    const last = this.held.pop()!;
    if (last.address !== address) {
      this.held[place] = last;
      this.places.set(last.address, place);
      this.write(place, last);
    }
    this.write(this.held.length, NOTHING);
    this.places.delete(address);
  }

  private write(place: number, { address, bytes }: Pages): void {
    const words = BigInt64Array.of(BigInt(address), BigInt(bytes));
    this.platform.copyIn(this.address + place * LEDGER_ENTRY_BYTES, new Uint8Array(words.buffer));
  }
}
