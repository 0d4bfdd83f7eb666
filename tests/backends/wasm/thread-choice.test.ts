/**
 * The number of threads follows measured times, and only measured times.
 */
import { describe, expect, it } from 'vitest';
import { ThreadChoice } from '../../../src/backends/wasm/thread-choice.ts';

/** Runs until decided, with times as given for one thread and for several; returns what each run used, then the decision. */
function decide(choice: ThreadChoice, time: (threads: number) => number, limit = 50): number[] {
  const used: number[] = [];
  while (choice.undecided && used.length < limit) {
    const threads = choice.next(4);
    used.push(threads);
    choice.took(threads, time(threads));
  }
  return used;
}

describe('the number of threads', () => {
  it('is one for tiny programs, without trying', () => {
    const choice = new ThreadChoice(1000);
    expect(choice.undecided).toBe(false);
    expect(choice.next(4)).toBe(1);
  });

  it('is all of them once a run takes long', () => {
    const choice = new ThreadChoice(1e9);
    expect(choice.next(4)).toBe(4);
    expect(decide(choice, () => 100)).toEqual([4, 4]);
    expect(choice.next(4)).toBe(4);
    expect(choice.next(2)).toBe(2);
  });

  it('is what was faster in trials of both', () => {
    const slowTogether = new ThreadChoice(1e6);
    const used = decide(slowTogether, threads => (threads === 1 ? 0.1 : 0.2));
    expect(used.filter(n => n === 1).length).toBeGreaterThan(4);
    expect(used.filter(n => n === 4).length).toBeGreaterThan(4);
    expect(slowTogether.next(4)).toBe(1);
    const fastTogether = new ThreadChoice(1e6);
    decide(fastTogether, threads => (threads === 1 ? 0.1 : 0.06));
    expect(fastTogether.next(4)).toBe(4);
  });

  it('stays open while no other thread is up', () => {
    const choice = new ThreadChoice(1e6);
    for (let i = 0; i < 40; i++) {
      choice.next(4);
      choice.took(1, 0.1);
    }
    expect(choice.undecided).toBe(true);
    decide(choice, threads => (threads === 1 ? 0.1 : 0.05));
    expect(choice.next(4)).toBe(4);
  });

  it('is one when one is wanted', () => {
    expect(new ThreadChoice(1e9).next(1)).toBe(1);
  });
});
