/**
 * A file that says which process uses a folder. Of a process that is gone it is void, also where another one has its
 * number since: processes are told apart by when they began (Linux).
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';

interface Holder {
  readonly pid: number;
  /** Clock ticks from the start of the machine to that of the process; null where the system does not say. */
  readonly began: string | null;
}

/** When a process began; null where there is no such process, or the system does not say. */
function beginOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in brackets, may have blanks.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive({ pid, began }: Holder): boolean {
  if (began !== null) return beginOf(pid) === began;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Who holds a lock, null where it is gone or no lock. */
function holderOf(file: string): Holder | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Holder;
  } catch {
    return null;
  }
}

/**
 * Locks `file`, in a folder that is made where it is not there.
 * @returns what unlocks it
 * @throws Error naming the process that has it
 */
export function lock(file: string): () => void {
  const whole = `${file}.${process.pid}.tmp`;
  const own: Holder = { pid: process.pid, began: beginOf(process.pid) };
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(whole, `${JSON.stringify(own)}\n`);
    for (;;) {
      try {
        // Never there without its content.
        linkSync(whole, file);
        return () => rmSync(file, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = holderOf(file);
      if (holder && isAlive(holder))
        throw new Error(`${path.dirname(file)} is in use by process ${holder.pid}: two cannot train into one folder`);
      rmSync(file, { force: true });
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new Error(`cannot write ${file}: ${reasonOf(error)}`, { cause: error });
  } finally {
    rmSync(whole, { force: true });
  }
}
