/**
 * A small click log for tests: users beyond 2^53, items, one number; clicks that depend on user and item.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RandomStream } from '../../src/data/index.ts';

/** What `tenon stream --config` reads. */
export const clickConfig = {
  format: { type: 'slots' },
  features: {
    labels: ['click'],
    dense: ['q'],
    slots: [
      { type: 'id', name: 'user' },
      { type: 'id', name: 'item' },
    ],
  },
  model: { model: 'deepfm', dim: 4, hidden: [16] },
} as const;

/** Lines `first` to `first + count - 1` of the log. */
export function clickLines(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new RandomStream(5, first + i);
    const user = Math.floor(300 * random.uniform() ** 2);
    const item = Math.floor(100 * random.uniform() ** 2);
    const logit = 3 * (((user * 7) % 13) / 13 - 0.5) + 3 * (((item * 5) % 11) / 11 - 0.5) - 1;
    const click = random.uniform() < 1 / (1 + Math.exp(-logit)) ? 1 : 0;
    return `${click}:click ${2n ** 60n + BigInt(user)}:user ${item + 1}:item ${random.uniform().toFixed(3)}:q`;
  });
}

/** DATA/day/time/ folders of `count` lines each, with their done-files. */
export function writeClickLog(root: string, days: readonly string[], times: readonly string[], count: number): void {
  let first = 0;
  for (const day of days)
    for (const time of times) {
      const folder = path.join(root, day, time);
      mkdirSync(folder, { recursive: true });
      const lines = clickLines(count, first);
      first += count;
      writeFileSync(path.join(folder, 'part-0.txt'), `${lines.slice(0, count / 2).join('\n')}\n`);
      writeFileSync(path.join(folder, 'part-1.txt'), `${lines.slice(count / 2).join('\n')}\n`);
      writeFileSync(path.join(folder, '_SUCCESS'), '');
    }
}
