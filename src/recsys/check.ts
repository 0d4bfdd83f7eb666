/**
 * Options that come as plain data (config files, published cards): every key known, every value of its kind, and one
 * sentence where not. Made of valibot's schemas; a schema lists all keys of the options' type, or it does not compile.
 * What the values mean is checked where they are used.
 */
import * as v from 'valibot';

/** A schema whose messages are what was expected, to stand behind "came, expected". */
export type Kind = v.GenericSchema<unknown>;

const kind = (expected: string, is: (x: unknown) => boolean): Kind => v.custom(is, expected);

/** Looked at elsewhere. */
export const anything: Kind = v.unknown();
export const text = kind('a text', x => typeof x === 'string');
export const flag = kind('true or false', x => typeof x === 'boolean');
export const number = kind('a number', x => typeof x === 'number' && !Number.isNaN(x));
export const positive = kind('a number above 0', x => typeof x === 'number' && x > 0);
export const notNegative = kind('a number of at least 0', x => typeof x === 'number' && x >= 0);
export const whole = kind('a whole number', Number.isInteger);
export const count = kind('a whole number of at least 1', x => Number.isInteger(x) && (x as number) >= 1);
export const share = kind('a number from 0 to below 1', x => typeof x === 'number' && x >= 0 && x < 1);
export const list = (of: Kind): Kind => v.array(of, 'an array');
/** Values by name. */
export const named = (of: Kind): Kind => v.record(v.string(), of, 'an object');
export const pair = (of: Kind): Kind => v.tuple([of, of], 'an array of two');
export const either = (...names: readonly string[]): Kind => v.picklist(names, `one of ${names.join(', ')}`);
/** An object that may have these keys and no others; `required` ones must be there. */
export function options<T>(
  entries: { readonly [K in keyof Required<T>]: Kind },
  required: readonly (keyof T & string)[] = [],
): Kind {
  const known = Object.entries<Kind>(entries);
  const needs = (key: string): boolean => (required as readonly string[]).includes(key);
  return v.strictObject(
    Object.fromEntries(known.map(([key, of]) => [key, needs(key) ? of : v.optional(of)])),
    ({ expected }) => {
      if (expected === 'never') return `one of ${known.map(([key]) => key).join(', ')}`;
      const missing = known.find(([key]) => expected === `"${key}"`);
      return missing ? expectedOf(missing[1]) : 'an object';
    },
  );
}

const expectedOf = (of: Kind): string => ('message' in of && typeof of.message === 'string' ? of.message : 'an object');

/** One of several objects, told apart by their `type`. */
export function byType<T extends { readonly type: string }>(
  kinds: { readonly [N in T['type']]: { readonly [K in keyof Required<Omit<Extract<T, { type: N }>, 'type'>>]: Kind } },
  required: Partial<Record<T['type'], readonly string[]>> = {},
): Kind {
  const names = Object.keys(kinds) as T['type'][];
  const schemas = Object.fromEntries(
    names.map(name => [name, options({ type: text, ...kinds[name] }, (required[name] ?? []) as never)]),
  );
  const wrong = v.object({ type: either(...names) }, 'an object');
  return v.lazy(x => schemas[(x as { type?: string } | null)?.type ?? ''] ?? wrong);
}

const shown = (x: unknown): string => {
  const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
  const json = typeof x === 'function' || x === undefined ? String(x) : JSON.stringify(x, plain);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
};

/**
 * @param where what the sentence begins with: a file, or whose options these are
 * @throws Error in one sentence for the first value that is wrong, for instance `model deepfm: "hiden" came, expected
 * one of dim, hidden, dropout`
 */
export function check(where: string, schema: Kind, value: unknown): void {
  const [issue] = v.safeParse(schema, value, { abortEarly: true }).issues ?? [];
  if (!issue) return;
  const keys = (issue.path ?? []).map(({ key }) => String(key));
  // Of a key that is not known, the key itself is what came.
  const unknown = issue.type === 'strict_object' && issue.expected === 'never';
  const came = unknown ? `"${keys.pop()}"` : issue.input === undefined ? 'nothing' : shown(issue.input);
  const at = keys.length > 0 ? `: ${keys.join('.')}` : '';
  throw new Error(`${where}${at}: ${came} came, expected ${issue.message}`);
}
