/**
 * The number of threads follows measured times, and only measured times.
 */
import { describe, expect, it } from 'vitest';
import { compileGraph } from '../../src/compiler/compile.ts';
import { ThreadChoice } from '../../src/compiler/thread-choice.ts';
import { usageOf } from '../../src/compiler/usage.ts';
import { contract, placeholder } from '../../src/graph/build.ts';
import { programOf, TARGET } from './support.ts';

/** Runs with times as given for one thread and for several; returns the threads of each run. */
function runs(choice: ThreadChoice, count: number, time: (threads: number) => number, wanted = 4): number[] {
  return Array.from({ length: count }, () => {
    const threads = choice.next(wanted);
    choice.took(threads, time(threads));
    return threads;
  });
}
const share = (used: readonly number[], threads: number): number =>
  used.filter(n => n === threads).length / used.length;

describe('the number of threads', () => {
  it('is one for tiny programs, without measuring', () => {
    const choice = new ThreadChoice(1000);
    expect(choice.brief).toBe(true);
    expect(choice.next(4)).toBe(1);
  });

  it('is all of them while runs take long', () => {
    const choice = new ThreadChoice(1e9);
    expect(runs(choice, 500, () => 100)).toEqual(Array.from({ length: 500 }, () => 4));
    expect(choice.next(2)).toBe(2);
    // Also where they take long on one thread only.
    const longAlone = new ThreadChoice(1e6);
    expect(share(runs(longAlone, 500, threads => (threads === 1 ? 1.4 : 0.8)).slice(3), 4)).toBe(1);
    // One long run among short ones says nothing.
    let i = 0;
    const interrupted = runs(new ThreadChoice(1e6), 300, threads => (i++ % 7 === 0 ? 9 : threads === 1 ? 0.1 : 0.4));
    expect(share(interrupted, 1)).toBeGreaterThan(0.9);
  });

  it('comes back to one when a busy machine had made short runs long', () => {
    const choice = new ThreadChoice(1e6);
    runs(choice, 20, threads => (threads === 1 ? 3 : 2));
    const later = runs(choice, 300, threads => (threads === 1 ? 0.05 : 0.1));
    expect(share(later.slice(2), 1)).toBeGreaterThan(0.97);
  });

  it('is what is faster, but for trials of the other that end up costing one part in a thousand', () => {
    for (const [alone, together] of [
      [0.1, 0.2],
      [0.1, 0.06],
      [0.02, 0.9],
    ] as const) {
      const best = Math.min(alone, together);
      const choice = new ThreadChoice(1e6);
      const time = (threads: number): number => (threads === 1 ? alone : together);
      const cost = (used: readonly number[]): number =>
        used.reduce((sum, threads) => sum + time(threads) - best, 0) / (used.length * best);
      const trials = runs(choice, 1000, time).filter(threads => time(threads) !== best).length;
      expect(trials).toBeLessThan(12);
      runs(choice, 100_000, time);
      expect(cost(runs(choice, 500_000, time))).toBeLessThan(1.2e-3);
    }
  });

  it('comes back to more threads when the machine is free again', () => {
    const choice = new ThreadChoice(1e6);
    runs(choice, 200, threads => (threads === 1 ? 0.1 : 0.5));
    const later = runs(choice, 600, threads => (threads === 1 ? 0.1 : 0.05));
    expect(share(later.slice(-100), 4)).toBeGreaterThan(0.95);
  });

  it('is found out when other threads come up late', () => {
    const choice = new ThreadChoice(1e6);
    for (let i = 0; i < 40; i++) {
      choice.next(4);
      choice.took(1, 0.1);
    }
    expect(
      share(
        runs(choice, 100, threads => (threads === 1 ? 0.1 : 0.05)),
        4,
      ),
    ).toBeGreaterThan(0.9);
  });

  it('is one when one is wanted', () => {
    expect(new ThreadChoice(1e9).next(1)).toBe(1);
  });

  it.each([
    [640, 640, 640],
    [512, 1024, 256],
    [1000, 400, 400],
  ])('is guessed from at least the multiply-adds of a product, where k is not cut: %i x %i of %i', (m, n, k) => {
    const product = contract(placeholder('a', [m, k], 'f32'), placeholder('b', [k, n], 'f32'), [0, 1], [1, 2], [0, 2]);
    const { kernels } = compileGraph(programOf([product]), TARGET);
    const work = kernels.reduce((sum, { kernel }) => sum + usageOf(kernel.body).work, 0);
    expect(work).toBeGreaterThan((m * n * k) / (TARGET.vectorBytes / 4));
  });
});
