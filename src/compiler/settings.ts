/**
 * Wrong values of the variables that set Tenon up (TENON_BACKEND, TENON_NUM_THREADS, ...). They are the user's to mend
 * and have nothing to do with the line that computed first: a program that they end shows one sentence, without a
 * stack. Imports nothing.
 */

/** A variable of the environment has a value that means nothing. */
export class SettingError extends Error {
  override readonly name = 'SettingError';

  constructor(sentence: string) {
    super(sentence);
    this.stack = `${this.name}: ${sentence}`;
  }
}
