/**
 * Lines of slot-and-sign pairs: `sign:slot sign:slot ...` or the other way round, slots in any order and as often as they have values.
 */
import { Fields } from '../features/fields.ts';
import { byteOf, type Format, type LineParser, newlineAt } from './format.ts';

const COLON = 58;
const MINUS = 45;

export class SlotTextParser implements LineParser {
  readonly fields: Fields;
  private readonly names: NameTable;
  private readonly separator: number;
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
    this.separator = byteOf('format slots: separator', separator);
    this.prefix = prefix.length;
    this.slotFirst = order === 'slot:sign';
  }

  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    return newlineAt(bytes, from, filled);
  }

  parse(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields, separator, prefix, slotFirst, names } = this;
    fields.clear(bytes);
    let piece = 0;
    for (let begin = start; begin < end; ) {
      let at = begin;
      let colon = -1;
      for (; at < end && bytes[at] !== separator; at++)
        if (bytes[at] === COLON && (!slotFirst || colon < 0)) colon = at;
      if (piece < prefix) fields.add(piece++, begin, at);
      else if (at > begin) {
        if (colon < 0) return `"${this.shown(bytes, begin, at)}" has no slot, expected ${this.wantedForm()}`;
        const [nameAt, nameEnd] = slotFirst ? [begin, colon] : [colon + 1, at];
        if (nameAt === nameEnd) return `"${this.shown(bytes, begin, at)}" has an empty slot`;
        if (bytes[nameAt] === MINUS) return `slot ${this.shown(bytes, nameAt, nameEnd)} is negative`;
        const column = names.find(bytes, nameAt, nameEnd);
        if (column >= 0) {
          if (slotFirst) fields.add(column, colon + 1, at);
          else fields.add(column, begin, colon);
        }
      }
      begin = at + 1;
    }
    return piece < prefix ? `${piece} field${piece === 1 ? '' : 's'} in front of the slots, expected ${prefix}` : null;
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
