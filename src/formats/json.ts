/**
 * JSON from files that may be hostile: like JSON.parse, but a repeated key is refused and nesting is bounded. Objects
 * come without a prototype. Imports nothing.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

// biome-ignore lint/suspicious/noControlCharactersInRegex: the JSON grammar excludes them from strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * Parses strict JSON.
 * @throws Error `${what} at character N` for a syntax error, a repeated key, or nesting deeper than `maxDepth`.
 */
export function parseJson(text: string, { maxDepth = 64 }: { maxDepth?: number } = {}): Json {
  let at = 0;
  const fail = (what: string): never => {
    throw new Error(`${what} at character ${at}`);
  };
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at += match[0].length;
    return match?.[0] ?? null;
  };
  const punctuation = (char: string): boolean => {
    take(SPACE);
    if (text[at] !== char) return false;
    at++;
    return true;
  };
  const expect = (char: string): void => {
    if (!punctuation(char))
      fail(at < text.length ? `expected '${char}', found '${text[at]}'` : `expected '${char}', found the end`);
  };
  const string = (): string => {
    take(SPACE);
    const raw = take(STRING) ?? fail('expected a string');
    return JSON.parse(raw) as string;
  };

  const object = (depth: number): Json => {
    const result: Record<string, Json> = Object.create(null);
    if (punctuation('}')) return result;
    do {
      const key = string();
      if (key in result) fail(`the key ${JSON.stringify(key)} is repeated`);
      expect(':');
      result[key] = value(depth);
    } while (punctuation(','));
    expect('}');
    return result;
  };
  const array = (depth: number): Json => {
    const result: Json[] = [];
    if (punctuation(']')) return result;
    do result.push(value(depth));
    while (punctuation(','));
    expect(']');
    return result;
  };
  const value = (depth: number): Json => {
    if (depth > maxDepth) fail(`nested deeper than ${maxDepth}`);
    if (punctuation('{')) return object(depth + 1);
    if (punctuation('[')) return array(depth + 1);
    if (text[at] === '"') return string();
    for (const [word, meaning] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const)
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    const number = take(NUMBER);
    return number ? Number(number) : fail('expected a value');
  };

  const result = value(0);
  take(SPACE);
  if (at < text.length) fail('text after the end');
  return result;
}

/** A value as an error shows it, also where there is none. */
export const shown = (value: Json | undefined): string => (value === undefined ? 'nothing' : JSON.stringify(value));
