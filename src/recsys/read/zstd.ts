/**
 * Zstandard (RFC 8878): fzstd unpacks, frame by frame; where frames end, and whether what came out has the checksum
 * that a frame carries, is told here, because fzstd passes checksums over.
 */
import type { Decompress } from 'fzstd';
import type { XXHash } from 'xxhash-wasm';

const MAGIC = 0xfd2fb528;
const MAGIC_BYTES = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
const SKIPPABLE = 0x184d2a50;
const RLE = 1;

/** Whether a file that begins like this is zstd: a frame, or one to be passed over. */
export function isZstd(start: Uint8Array): boolean {
  if (start.length < 4) return false;
  const magic = new DataView(start.buffer, start.byteOffset).getUint32(0, true);
  return magic === MAGIC || magic - (magic % 16) === SKIPPABLE;
}

/** Where a frame is, by what its next bytes are. */
type Part = 'magic' | 'skippable size' | 'skipped' | 'header' | 'block header' | 'block' | 'checksum';

interface Step {
  readonly at: number;
  readonly event: 'begun' | 'ended' | null;
}

/** Follows frames through bytes that come in pieces. */
class Frames {
  part: Part = 'magic';
  /** Whether the present frame carries a checksum; and that, once it was read. */
  hasChecksum = false;
  checksum = 0;
  /** Bytes of this part that are still to come; those of parts that are read, little-endian. */
  private rest = 4;
  private value = 0;
  private shift = 0;
  private last = false;

  /** Goes on from bytes[from] to the end of a magic number, of a frame or of the bytes. */
  follow(bytes: Uint8Array, from: number): Step {
    let at = from;
    while (at < bytes.length) {
      if (this.part === 'skipped' || this.part === 'block') {
        const step = Math.min(this.rest, bytes.length - at);
        at += step;
        this.rest -= step;
      } else {
        // Headers are longer than what is read of them here: of theirs, the first byte says the rest.
        if (this.shift < 32) this.value += bytes[at]! * 2 ** this.shift;
        this.shift += 8;
        at++;
        this.rest--;
        if (this.part === 'header' && this.shift === 8) this.rest += this.headerBytes(this.value);
      }
      if (this.rest > 0) continue;
      const magic = this.part === 'magic';
      if (this.next()) return { at, event: 'ended' };
      if (magic) return { at, event: 'begun' };
    }
    return { at, event: null };
  }

  /** Bytes of a frame's header behind its first. */
  private headerBytes(descriptor: number): number {
    this.hasChecksum = (descriptor & 4) !== 0;
    const single = (descriptor & 32) !== 0;
    const size = descriptor >> 6;
    const sizeBytes = size === 0 ? (single ? 1 : 0) : 1 << size;
    return (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]! + sizeBytes;
  }

  private begin(part: Part, bytes: number): void {
    this.part = part;
    this.rest = bytes;
    this.value = 0;
    this.shift = 0;
  }

  /** A part is over. @returns whether the frame is */
  private next(): boolean {
    const { part, value } = this;
    switch (part) {
      case 'magic':
        if (value === MAGIC) this.begin('header', 1);
        else if (value - (value % 16) === SKIPPABLE) this.begin('skippable size', 4);
        else throw new Error('what follows a frame is none');
        return false;
      case 'skippable size':
        this.hasChecksum = false;
        if (value === 0) return this.end();
        this.begin('skipped', value);
        return false;
      case 'header':
        this.begin('block header', 3);
        return false;
      case 'block header': {
        this.last = (value & 1) === 1;
        const size = ((value >> 1) & 3) === RLE ? 1 : value >> 3;
        this.begin('block', size);
        return size === 0 && this.next();
      }
      case 'block':
        if (!this.last) this.begin('block header', 3);
        else if (this.hasChecksum) this.begin('checksum', 4);
        else return this.end();
        return false;
      case 'checksum':
        this.checksum = value;
        return this.end();
      case 'skipped':
        return this.end();
    }
  }

  private end(): true {
    this.begin('magic', 4);
    return true;
  }

  /** Whether the bytes so far are whole frames. */
  get between(): boolean {
    return this.part === 'magic' && this.rest === 4;
  }
}

/** The two libraries, loaded when the first such file is read. */
async function load() {
  const [{ Decompress: Unpacker }, { default: xxhash }] = await Promise.all([import('fzstd'), import('xxhash-wasm')]);
  return { Unpacker, create64: (await xxhash()).create64 };
}

let loading: ReturnType<typeof load> | undefined;

/**
 * The unpacked bytes of whole frames, one after the other. A chunk is valid until the next is asked for.
 * @throws Error naming the file when it is damaged or truncated
 */
export async function* unzstd(
  path: string,
  raw: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  loading ??= load();
  const { Unpacker, create64 } = await loading;
  const frames = new Frames();
  let ready: Uint8Array[] = [];
  let hash: XXHash<bigint> = create64();
  let stream: Decompress | null = null;
  const open = (): Decompress => {
    hash = create64();
    return new Unpacker(chunk => {
      if (frames.hasChecksum) hash.update(chunk);
      ready.push(chunk);
    });
  };
  const damaged = (reason: string): Error => new Error(`${path}: the zstd data is damaged (${reason})`);
  const cut = (): Error => new Error(`${path}: the zstd data ends too early (truncated file?)`);
  for await (const chunk of raw) {
    // A copy, because blocks may still point into it.
    const bytes = chunk.slice();
    for (let from = 0; from < bytes.length; ) {
      let step: Step;
      try {
        step = frames.follow(bytes, from);
        // Null between frames and in those that are passed over.
        stream?.push(bytes.subarray(from, step.at), step.event === 'ended');
        if (step.event === 'begun' && frames.part === 'header') {
          stream = open();
          stream.push(MAGIC_BYTES);
        }
      } catch (error) {
        const { message } = error as Error;
        throw message.includes('EOF') ? cut() : damaged(message);
      }
      const chunks = ready;
      ready = [];
      if (step.event === 'ended') {
        if (stream && frames.hasChecksum && Number(hash.digest() & 0xffffffffn) !== frames.checksum)
          throw damaged('its checksum does not fit');
        stream = null;
      }
      yield* chunks;
      from = step.at;
    }
  }
  if (!frames.between) throw cut();
}
