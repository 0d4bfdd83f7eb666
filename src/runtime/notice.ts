/**
 * What is no error but hardly meant, said on the console: each sentence once. Imports nothing.
 */
const said = new Set<string>();
/** Sentences remembered. */
const CAPACITY = 1000;

export function noticeOnce(sentence: string): void {
  if (said.has(sentence)) return;
  if (said.size >= CAPACITY) said.clear();
  said.add(sentence);
  console.warn(`tenon: ${sentence}`);
}
