/**
 * Programs in machine code, kept for later processes. What is kept depends on the processor, this build of Tenon, and
 * the whole graph: a file is named by a checksum of all three, and says their SHA-256, which takes longer and is only
 * asked for where there is a file. Only programs that took long to compile are kept. Files are the user's alone
 * (src/launch/privateFiles.ts), and one that does not hold is as good as none. Sources, as tests run them, keep nothing.
 */
import type { GraphProgram, ProgramOutline } from '../../compiler/program.ts';
import type { Target } from '../../compiler/target.ts';
import { buildHash } from '../../launch/build.ts';
import { dropOldest, privatePath, readPrivate, writePrivate } from '../../launch/privateFiles.ts';
import type { Isa } from './isa.ts';
import type { ProgramCode } from './program-code.ts';
import type { PlanTuner } from './tuner.ts';

/** A program that can be loaded. */
export interface TranslatedProgram {
  readonly outline: ProgramOutline;
  readonly code: ProgramCode;
  /** What was chosen by measuring where it was made, if anything. */
  readonly plans?: Choices;
}

/** Labels of plans by what they are for. */
export type Choices = Readonly<Record<string, string>>;

/** Compiled faster than this, a program is not worth a file. */
const WORTH_KEEPING_MS = 20;
/** Files kept, some 0.2 to 2 MB each. */
const MOST_FILES = 128;
const PREFIX = 'x86-';

/** Where a program is kept, and what says that it is the one. */
export interface KeptFile {
  readonly path: string;
  readonly identity: () => string;
}

/** The file of a program; null where none is to be. Programs that are tuned have files of their own. */
export function keptFile(program: GraphProgram, target: Target, isa: Isa, tuner: PlanTuner | null): KeptFile | null {
  const build = buildHash();
  const { identity } = program;
  if (build === null || !identity) return null;
  const around = JSON.stringify([build, process.platform, isa, target, ...(tuner ? ['tuned', tuner.threads] : [])]);
  const { crc32 } = process.getBuiltinModule('node:zlib');
  let sum = crc32(around);
  let length = 0;
  for (const words of identity) {
    sum = crc32(words, sum);
    length += words.length;
  }
  const path = privatePath(`${PREFIX}${sum.toString(16)}-${length}.bin`);
  return path === null ? null : { path, identity: () => sha256(around, identity) };
}

function sha256(around: string, identity: readonly Int32Array[]): string {
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  hash.update(around);
  for (const words of identity) hash.update(words);
  return hash.digest('hex');
}

/** Null also where what is chosen by now differs from what the program was made with. */
export function readKept({ path, identity }: KeptFile, tuner: PlanTuner | null): TranslatedProgram | null {
  const kept = readPrivate(path);
  if (!kept) return null;
  // The mark says where the description ends and the code begins.
  const { of, outline, code, plans } = JSON.parse(new TextDecoder().decode(kept.bytes.subarray(0, kept.mark)));
  if (of !== identity()) return null;
  if (tuner && !tuner.agrees(plans ?? {})) return null;
  return { outline, code: { ...code, bytes: kept.bytes.slice(kept.mark) } };
}

/** Keeps a program that took so many milliseconds to compile. */
export function keep(
  { path, identity }: KeptFile,
  { outline, code, plans }: TranslatedProgram,
  milliseconds: number,
): void {
  if (milliseconds < WORTH_KEEPING_MS) return;
  const { bytes, ...rest } = code;
  const text = new TextEncoder().encode(JSON.stringify({ of: identity(), outline, code: rest, plans }));
  const all = new Uint8Array(text.length + bytes.length);
  all.set(text);
  all.set(bytes, text.length);
  writePrivate(path, all, text.length);
  dropOldest(path, PREFIX, MOST_FILES);
}
