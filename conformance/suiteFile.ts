/** The file or folder of a suite, as an argument of a command. */
import { existsSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';

/** @throws InvalidArgumentError, which commander prints as a sentence, where there is nothing */
export function suiteFile(path: string): string {
  if (!existsSync(path)) throw new InvalidArgumentError('There is no such file or folder.');
  return path;
}
