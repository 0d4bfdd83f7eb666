/**
 * What a recording depends on beside tensors: fields of the modules and optimizers that ran while it was made (a child
 * module, a probability, a flag). Each call of a compiled function compares them with what they held, a few nanoseconds
 * a field, so that `net.fc = new Linear(...)` or `dropout.p = 0.1` is seen. Knows no module: whoever has such fields
 * says so with `noteFields`.
 */
import { changes } from '../graph/changes.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Own fields that hold a value; those that compute one (a reparametrised weight) say themselves what they read. */
function valuesOf(object: object): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [key, { value, get, enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(object)))
    if (!get && (enumerable || Array.isArray(object))) values.set(key, value);
  return values;
}

const counting = new WeakSet<object>();

/** Says that something has been changed, whether it is done or refused. */
const COUNT: ProxyHandler<object> = {
  defineProperty(...args) {
    changes.modes++;
    return Reflect.defineProperty(...args);
  },
  deleteProperty(...args) {
    changes.modes++;
    return Reflect.deleteProperty(...args);
  },
};

/**
 * The object, or the list, whose fields count as a mode from now on (graph/changes.ts): a call compares them only when
 * some mode has changed. For what a user seldom writes and nothing reads in a hurry, as all goes through a proxy.
 */
export function countingChanges<T extends object>(object: T): T {
  const counted = new Proxy(object, COUNT) as T;
  counting.add(counted);
  return counted;
}

/** What has been noted by the recording under way, with the fields' values before it ran. */
let noted: Map<object, ReadonlyMap<string, unknown>> | null = null;

/** Says that the recording under way, if any, depends on the fields of `object` (of an array: its items and length). */
export function noteFields(object: object): void {
  if (noted && !noted.has(object)) noted.set(object, valuesOf(object));
}

/** Fields of one object and the values they had. */
interface Held {
  readonly object: Fields;
  readonly keys: readonly string[];
  readonly values: readonly unknown[];
}

/** Whether two values that `===` tells apart are not both NaN. */
const areOthers = (a: unknown, b: unknown): boolean => !Object.is(a, b);

/**
 * Whether all objects hold what is in `held`: each of them, the values of the fields that `for in` finds in it, in its
 * order, and the object again. V8 reads a field of such a loop without looking its name up. All in one function, as a
 * call costs as much as a field (decision 285).
 */
function haveFields(held: readonly unknown[]): boolean {
  let at = -1;
  const last = held.length - 1;
  while (at < last) {
    const object = held[++at] as Fields;
    for (const key in object) {
      const value = object[key];
      const before = held[++at];
      if (value !== before && areOthers(value, before)) return false;
    }
    if (held[++at] !== object) return false;
  }
  return true;
}

/** `values` are the items and the length. */
function hasItems(list: readonly unknown[], values: readonly unknown[]): boolean {
  if (list.length !== values.length - 1) return false;
  for (let i = 0; i < list.length; i++) if (list[i] !== values[i] && areOthers(list[i], values[i])) return false;
  return true;
}

const hasFields = ({ object, values }: Held): boolean => haveFields([object, ...values, object]);

function hasNamed(object: Fields, keys: readonly string[], values: readonly unknown[]): boolean {
  for (let i = 0; i < keys.length; i++) if (!Object.is(object[keys[i]!], values[i])) return false;
  return true;
}

/**
 * Whether `hasFields` would compare `keys` and nothing else, fast: V8 has no shortcut where names are numbers (a
 * container's items).
 */
function areAllOf(object: Fields, keys: readonly string[]): boolean {
  let at = 0;
  for (const key in object) if (key !== keys[at++] || /^\d/.test(key)) return false;
  return at === keys.length;
}

/**
 * Fields and the values they had, kept by the fastest way to compare them: that is done before every call, and
 * allocates nothing.
 */
export class HeldFields {
  private readonly objects: Held[] = [];
  /** What `haveFields` asks of `objects`. */
  private readonly held: unknown[] = [];
  private readonly lists: (Held & { readonly list: readonly unknown[] })[] = [];
  /** What has getters or numbered fields, or others than those that are held. */
  private readonly named: Held[] = [];

  /** Holds fields of `object`: all that `valuesOf` gives, or some. */
  add(object: object, fields: ReadonlyMap<string, unknown>): void {
    const held: Held = { object: object as Fields, keys: [...fields.keys()], values: [...fields.values()] };
    if (Array.isArray(object) && held.keys.length === object.length + 1) this.lists.push({ ...held, list: object });
    else if (areAllOf(held.object, held.keys)) {
      this.objects.push(held);
      this.held.push(object, ...held.values, object);
    } else this.named.push(held);
  }

  /** The first field that holds something else now, as `Class.field`; null where there is none. */
  changed(): string | null {
    const { lists, named } = this;
    if (!haveFields(this.held)) return changedIn(this.objects.find(held => !hasFields(held))!);
    for (let i = 0; i < lists.length; i++) if (!hasItems(lists[i]!.list, lists[i]!.values)) return changedIn(lists[i]!);
    for (let i = 0; i < named.length; i++)
      if (!hasNamed(named[i]!.object, named[i]!.keys, named[i]!.values)) return changedIn(named[i]!);
    return null;
  }
}

function changedIn({ object, keys, values }: Held): string {
  const key = keys.find((key, i) => !Object.is(object[key], values[i])) ?? 'a new field';
  return `${object.constructor.name}.${key}`;
}

/**
 * Runs `fn`, which records, and gives the fields it depends on, those of objects that count changes apart. What `fn`
 * itself wrote (a counter, a layer's last output) is no input of it: such fields are left out.
 */
export function holdingFields<T>(fn: () => T): {
  readonly result: T;
  readonly fields: HeldFields;
  readonly counted: HeldFields;
} {
  const outer = noted;
  const own = new Map<object, ReadonlyMap<string, unknown>>();
  noted = own;
  try {
    const result = fn();
    const [fields, counted] = [new HeldFields(), new HeldFields()];
    for (const [object, before] of own) {
      const after = valuesOf(object);
      const kept = [...before].filter(([key, value]) => after.has(key) && Object.is(value, after.get(key)));
      (counting.has(object) ? counted : fields).add(object, new Map(kept));
    }
    return { result, fields, counted };
  } finally {
    noted = outer;
  }
}
