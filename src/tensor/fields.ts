/**
 * What a recording depends on beside tensors: fields of the modules and optimizers that ran while it was made (a child module, a probability, a flag). Each call of a
 * compiled function compares them with what they held, a few nanoseconds a field, so that `net.fc = new Linear(...)` or `dropout.p = 0.1` is seen.
 * Knows no module: whoever has such fields says so with `noteFields`. Imports nothing.
 */

type Fields = Readonly<Record<string, unknown>>;

/** Own fields that hold a value; those that compute one (a reparametrised weight) say themselves what they read. */
function valuesOf(object: object): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [key, { value, get, enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(object)))
    if (!get && (enumerable || Array.isArray(object))) values.set(key, value);
  return values;
}

/** What has been noted by the recording under way, with the fields' values before it ran. */
let noted: Map<object, ReadonlyMap<string, unknown>> | null = null;

/** Says that the recording under way, if any, depends on the fields of `object` (of an array: its items and length). */
export function noteFields(object: object): void {
  if (noted && !noted.has(object)) noted.set(object, valuesOf(object));
}

/** Fields and the values they had, in three lists of one length: the check before every call allocates nothing. */
export class HeldFields {
  readonly #objects: Fields[] = [];
  readonly #keys: string[] = [];
  readonly #values: unknown[] = [];

  add(object: object, key: string, value: unknown): void {
    this.#objects.push(object as Fields);
    this.#keys.push(key);
    this.#values.push(value);
  }

  /** The first field that holds something else now, as `Class.field`; null where there is none. */
  changed(): string | null {
    const [objects, keys, values] = [this.#objects, this.#keys, this.#values];
    for (let i = 0; i < objects.length; i++)
      if (!Object.is(objects[i]![keys[i]!], values[i])) return `${objects[i]!.constructor.name}.${keys[i]}`;
    return null;
  }
}

/**
 * Runs `fn`, which records, and gives the fields it depends on. What `fn` itself wrote (a counter, a layer's last output) is no input of it:
 * such fields are left out.
 */
export function holdingFields<T>(fn: () => T): { readonly result: T; readonly fields: HeldFields } {
  const outer = noted;
  const own = new Map<object, ReadonlyMap<string, unknown>>();
  noted = own;
  try {
    const result = fn();
    const fields = new HeldFields();
    for (const [object, before] of own) {
      const after = valuesOf(object);
      for (const [key, value] of before)
        if (after.has(key) && Object.is(value, after.get(key))) fields.add(object, key, value);
    }
    return { result, fields };
  } finally {
    noted = outer;
  }
}
