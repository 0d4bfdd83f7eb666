/**
 * Runs a command line of tenon in this process and catches what it prints; or as a process of its own, from the built
 * files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { vi } from 'vitest';
import { run } from '../../src/cli/program.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The objects of --json. */
  readonly events: readonly Record<string, unknown>[];
}

export async function tenon(...args: readonly string[]): Promise<Outcome> {
  const texts = { stdout: '', stderr: '' };
  const catching = (name: 'stdout' | 'stderr'): { mockRestore(): void } =>
    vi.spyOn(process[name], 'write').mockImplementation(text => {
      texts[name] += String(text);
      return true;
    });
  const spies = [catching('stdout'), catching('stderr')];
  try {
    const code = await run(args);
    const events = args.includes('--json')
      ? texts.stdout
          .trimEnd()
          .split('\n')
          .map(line => JSON.parse(line) as Record<string, unknown>)
      : [];
    return { code, ...texts, events };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

export const program = path.resolve(import.meta.dirname, '../../bin/tenon.js');

/** Starts the built program; it is the caller's to end. */
export const startTenon = (...args: readonly string[]): ChildProcess => startTenonIn({}, ...args);

/** The same with more of an environment. */
export const startTenonIn = (env: Readonly<Record<string, string>>, ...args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
