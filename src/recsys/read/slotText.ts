/**
 * Lines of slot-and-sign pairs: `sign:slot sign:slot ...` or the other way round, slots in any order and as often as
 * they have values.
 */
import { Fields } from '../features/fields.ts';
import { byteOf, type Format, type LineParser } from './format.ts';
import type { Scanner } from './scanner.ts';
import { LineSplitter } from './splitter.ts';

const COLON = 58;
const MINUS = 45;

export class SlotTextParser implements LineParser {
  readonly fields: Fields;
  private readonly names: NameTable;
  private readonly splitter: LineSplitter;
  private readonly prefix: number;
  private readonly slotFirst: boolean;

  /** Slots that are not among `wanted` are passed over. */
  constructor(wanted: readonly string[], format: Extract<Format, { type: 'slots' }>) {
    const { separator = ' ', order = 'sign:slot', prefix = [] } = format;
    const twice = prefix.find((name, i) => prefix.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format slots: prefix ${twice} is there twice`);
    const columns = [...prefix, ...wanted.filter(name => !prefix.includes(name))];
    this.fields = new Fields(columns);
    this.names = new NameTable(columns, prefix.length);
    this.splitter = new LineSplitter(byteOf('format slots: separator', separator));
    this.prefix = prefix.length;
    this.slotFirst = order === 'slot:sign';
  }

  attach(scanner: Scanner): void {
    this.splitter.attach(scanner);
  }

  renew(): void {
    this.splitter.renew();
  }

  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    return this.splitter.lineEnd(bytes, from, filled);
  }

  parse(bytes: Uint8Array, lineStart: number, lineEnd: number): string | null {
    const { fields, prefix, slotFirst, names, splitter } = this;
    fields.clear(bytes);
    const count = splitter.split(bytes, lineStart, lineEnd);
    const { start, end } = splitter;
    for (let piece = 0; piece < count; piece++) {
      const from = start[piece];
      const to = end[piece];
      if (piece < prefix) {
        fields.add(piece, from, to);
        continue;
      }
      if (from === to) continue;
      let colon = slotFirst ? from : to - 1;
      if (slotFirst) while (colon < to && bytes[colon] !== COLON) colon++;
      else while (colon >= from && bytes[colon] !== COLON) colon--;
      if (colon < from || colon === to)
        return `"${this.shown(bytes, from, to)}" has no slot, expected ${this.wantedForm()}`;
      const nameStart = slotFirst ? from : colon + 1;
      const nameEnd = slotFirst ? colon : to;
      if (nameStart === nameEnd) return `"${this.shown(bytes, from, to)}" has an empty slot`;
      if (bytes[nameStart] === MINUS) return `slot ${this.shown(bytes, nameStart, nameEnd)} is negative`;
      const column = names.find(bytes, nameStart, nameEnd);
      if (column < 0) continue;
      if (slotFirst) fields.add(column, colon + 1, to);
      else fields.add(column, from, colon);
    }
    return count < prefix ? `${count} field${count === 1 ? '' : 's'} in front of the slots, expected ${prefix}` : null;
  }

  private wantedForm(): string {
    return this.slotFirst ? 'slot:sign' : 'sign:slot';
  }

  private shown(bytes: Uint8Array, start: number, end: number): string {
    return new TextDecoder().decode(bytes.subarray(start, Math.min(end, start + 40)));
  }
}

/** Column numbers by the bytes of their names: open addressing, no strings. */
class NameTable {
  private readonly names: readonly Uint8Array[];
  private readonly slots: Int32Array;
  private readonly mask: number;

  /** Of the columns from number `first` on. */
  constructor(columns: readonly string[], first: number) {
    this.names = columns.map(name => new TextEncoder().encode(name));
    let size = 16;
    while (size < columns.length * 4) size *= 2;
    this.mask = size - 1;
    this.slots = new Int32Array(size).fill(-1);
    for (let column = first; column < columns.length; column++) {
      const name = this.names[column];
      let at = hashName(name, 0, name.length) & this.mask;
      while (this.slots[at] >= 0) at = (at + 1) & this.mask;
      this.slots[at] = column;
    }
  }

  /** -1 when there is none. */
  find(bytes: Uint8Array, start: number, end: number): number {
    for (let at = hashName(bytes, start, end) & this.mask; ; at = (at + 1) & this.mask) {
      const column = this.slots[at];
      if (column < 0 || this.isName(column, bytes, start, end)) return column;
    }
  }

  private isName(column: number, bytes: Uint8Array, start: number, end: number): boolean {
    const name = this.names[column];
    if (name.length !== end - start) return false;
    for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false;
    return true;
  }
}

/** FNV-1a, 32 bits. */
function hashName(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash ^ (hash >>> 15);
}
