/**
 * Keys of the messages that came last. A producer that is not sure whether a message arrived sends it again with the
 * same key; the second one is passed over. What is remembered at a position depends on the messages before it alone, so
 * a run that was stopped passes over the same ones. Imports nothing.
 */

/** Of a position in the stream: how many messages with a key came before it, and the keys of the last of them. */
export interface KeysState {
  readonly count: number;
  readonly keys: readonly string[];
}

export class RecentKeys {
  private readonly window: number;
  /** Keys in the order they came, the first of them number `first`. */
  private keys: string[] = [];
  private first = 0;
  private numbers = new Map<string, number>();

  /** `window`: messages with a key for which one is remembered. */
  constructor(window: number) {
    this.window = window;
  }

  /** Messages with a key so far, those that came again left out. */
  get count(): number {
    return this.first + this.keys.length;
  }

  /**
   * Takes the next message's key.
   * @returns false where it is one of the last `window`: the message came before, and is not counted
   */
  take(key: string): boolean {
    const earlier = this.numbers.get(key);
    if (earlier !== undefined && this.count - earlier <= this.window) return false;
    this.numbers.set(key, this.count);
    this.keys.push(key);
    return true;
  }

  /** What was known when `count` messages had come. */
  at(count: number): KeysState {
    const end = count - this.first;
    return { count, keys: this.keys.slice(Math.max(0, end - this.window), end) };
  }

  restore({ count, keys }: KeysState): void {
    this.first = count - keys.length;
    this.keys = [...keys];
    this.numbers = new Map(keys.map((key, i) => [key, this.first + i]));
  }

  /** No position before that of `count` messages will be asked for. */
  forgetBefore(count: number): void {
    const gone = Math.max(0, count - this.window - this.first);
    for (let i = 0; i < gone; i++)
      if (this.numbers.get(this.keys[i]!) === this.first + i) this.numbers.delete(this.keys[i]!);
    this.keys.splice(0, gone);
    this.first += gone;
  }
}
