/**
 * Programs in machine code, kept for later processes. What is kept depends on the processor, this build of Tenon, and the whole graph: the file's name is
 * a SHA-256 of all three. Only programs that took long to compile are kept. Files are the user's alone (src/launch/privateFiles.ts), and one that
 * does not hold is as good as none. Sources, as tests run them, keep nothing.
 */
import type { GraphProgram, ProgramOutline } from '../../compiler/program.ts';
import type { Target } from '../../compiler/target.ts';
import { buildHash } from '../../launch/build.ts';
import { dropOldest, privatePath, readPrivate, writePrivate } from '../../launch/privateFiles.ts';
import type { Isa } from './isa.ts';
import type { ProgramCode } from './program-code.ts';

/** A program that can be loaded. */
export interface TranslatedProgram {
  readonly outline: ProgramOutline;
  readonly code: ProgramCode;
}

/** Compiled faster than this, a program is not worth a file. */
const WORTH_KEEPING_MS = 20;
/** Files kept, some 0.2 to 2 MB each. */
const MOST_FILES = 128;
const PREFIX = 'x86-';

/** The file of a program; null where none is to be. */
export function keptFile(program: GraphProgram, target: Target, isa: Isa): string | null {
  const build = buildHash();
  if (build === null || !program.identity) return null;
  const { createHash } = process.getBuiltinModule('node:crypto');
  const name = createHash('sha256')
    .update(JSON.stringify([build, process.platform, isa, target]))
    .update(program.identity())
    .digest('hex');
  return privatePath(`${PREFIX}${name}.bin`);
}

export function readKept(file: string): TranslatedProgram | null {
  const kept = readPrivate(file);
  if (!kept) return null;
  // The mark says where the description ends and the code begins.
  const { outline, code } = JSON.parse(new TextDecoder().decode(kept.bytes.subarray(0, kept.mark)));
  return { outline, code: { ...code, bytes: kept.bytes.slice(kept.mark) } };
}

/** Keeps a program that took so many milliseconds to compile. */
export function keep(file: string, { outline, code }: TranslatedProgram, milliseconds: number): void {
  if (milliseconds < WORTH_KEEPING_MS) return;
  const { bytes, ...rest } = code;
  const text = new TextEncoder().encode(JSON.stringify({ outline, code: rest }));
  const all = new Uint8Array(text.length + bytes.length);
  all.set(text);
  all.set(bytes, text.length);
  writePrivate(file, all, text.length);
  dropOldest(file, PREFIX, MOST_FILES);
}
