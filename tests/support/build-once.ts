/**
 * Vitest's global set-up: tests that start processes (command line, memory, threads) run the built package, so build it
 * first.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export default function setup(): void {
  execFileSync('npm', ['run', '-s', 'build'], { cwd: path.resolve(import.meta.dirname, '../..'), stdio: 'inherit' });
}
