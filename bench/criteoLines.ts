/**
 * A log like Criteo's, for benchmarks of reading and training.
 */
import { writeFileSync } from 'node:fs';

/**
 * Lines as Criteo's: a label, 13 counts of which some are missing, 26 hexadecimal categories of a long-tailed 100,000
 * each.
 */
export function writeCriteoLines(file: string, count: number): void {
  let x = 88172645;
  const next = (): number => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const fields: (string | number)[] = [next() < 0.25 ? 1 : 0];
    for (let k = 0; k < 13; k++) fields.push(next() < 0.1 ? '' : Math.floor(next() ** 4 * 1000));
    for (let k = 0; k < 26; k++) {
      const rank = Math.floor(100_000 * next() ** 3);
      fields.push((Math.imul(rank * 26 + k, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0'));
    }
    lines.push(fields.join('\t'));
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
}
