/**
 * Where a segment's bytes come to lie: jumps become as short as they can, constants stand behind the code, and what is
 * addressed by RIP is told how far.
 */
import type { Label } from './operands.ts';

export interface Jump {
  readonly at: number;
  readonly target: Label;
  /** -1 for an unconditional jump, -2 for a call. */
  readonly condition: number;
}

export interface Reference {
  /** Where the four bytes stand, and how many bytes follow them in the instruction. */
  readonly at: number;
  readonly jumps: number;
  readonly after: number;
  readonly target: Label;
}

/** A constant behind the code that uses it. */
export interface Constant {
  readonly label: Label;
  readonly bytes: Uint8Array;
}

/**
 * Code without its jumps, and what is to be resolved in it. Places count from the beginning of all segments, and leave
 * out this one's jumps.
 */
interface Segment {
  /** Bytes of the segments before. */
  readonly before: number;
  readonly code: Uint8Array;
  readonly jumps: readonly Jump[];
  readonly references: readonly Reference[];
  readonly labels: readonly Label[];
  readonly constants: readonly Constant[];
}

const POOL_ALIGN = 64;

/** The segment's bytes; its labels' `at` are final afterwards. */
export function layOut({ before, code, jumps, references, labels, constants }: Segment): Uint8Array {
  const long = longJumps(jumps);
  const extra = jumpBytes(jumps, long);
  const codeEnd = before + code.length + extra[jumps.length]!;
  let end = constants.length > 0 ? Math.ceil(codeEnd / POOL_ALIGN) * POOL_ALIGN : codeEnd;
  const pool = [...constants].sort((p, q) => q.bytes.length - p.bytes.length);
  for (const { label, bytes } of pool) {
    label.at = end;
    label.jumps = 0;
    end += bytes.length;
  }
  const out = new Uint8Array(end - before);
  const words = new DataView(out.buffer);
  let from = 0;
  for (const [j, jump] of jumps.entries()) {
    const until = jump.at - before;
    out.set(code.subarray(from, until), from + extra[j]!);
    from = until;
    let at = until + extra[j]!;
    const distance = distanceOf(jump, j, extra);
    if (!long[j]) {
      out[at] = jump.condition < 0 ? 0xeb : 0x70 | jump.condition;
      out[at + 1] = distance & 0xff;
      continue;
    }
    if (jump.condition < 0) out[at++] = jump.condition === -2 ? 0xe8 : 0xe9;
    else {
      out[at++] = 0x0f;
      out[at++] = 0x80 | jump.condition;
    }
    words.setInt32(at, distance, true);
  }
  out.set(code.subarray(from), from + extra[jumps.length]!);
  for (const { label, bytes } of pool) out.set(bytes, label.at - before);
  for (const label of labels) {
    label.at += extra[label.jumps]!;
    label.jumps = 0;
  }
  for (const { at, jumps: count, after, target } of references) {
    const place = at + extra[count]!;
    words.setInt32(place - before, target.at - (place + 4 + after), true);
  }
  return out;
}

/** Which jumps do not reach their targets with 8 bits; calls never do. */
function longJumps(jumps: readonly Jump[]): readonly boolean[] {
  const long = jumps.map(jump => jump.condition === -2);
  for (let changed = true; changed; ) {
    changed = false;
    const extra = jumpBytes(jumps, long);
    for (const [j, jump] of jumps.entries()) {
      if (long[j]) continue;
      if (jump.target.at < 0) throw new Error('internal: a jump to a label that is not bound');
      const distance = distanceOf(jump, j, extra);
      if (distance >= -128 && distance <= 127) continue;
      long[j] = true;
      changed = true;
    }
  }
  return long;
}

/** Bytes of all jumps before each one. */
function jumpBytes(jumps: readonly Jump[], long: readonly boolean[]): Int32Array {
  const extra = new Int32Array(jumps.length + 1);
  for (let j = 0; j < jumps.length; j++) extra[j + 1] = extra[j]! + (!long[j] ? 2 : jumps[j]!.condition < 0 ? 5 : 6);
  return extra;
}

/** From the end of jump j to its target. Labels of earlier segments have no jumps before them. */
const distanceOf = (jump: Jump, j: number, extra: Int32Array): number =>
  jump.target.at + extra[jump.target.jumps]! - (jump.at + extra[j + 1]!);
