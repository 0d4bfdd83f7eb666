/**
 * What is made of a record, as plain data: it stands in config files and beside published models, so that serving
 * extracts exactly what training did.
 */
import {
  anything,
  byType,
  check,
  count,
  either,
  flag,
  type Kind,
  list,
  number,
  options,
  pair,
  positive,
  text,
  whole,
} from '../check.ts';

/** What every slot may say. */
interface SlotBase {
  readonly name: string;
  /**
   * `[first, last]`: this stands for as many slots, each called `name` and its number (and reading `from` and its
   * number).
   */
  readonly numbered?: readonly [first: number, last: number];
  /** The column that is read; `name` by default. */
  readonly from?: string;
  /**
   * The part of each value that is read, as `slice` counts it (in bytes): [-2] of YYMMDDHH is the hour. All of it by
   * default.
   */
  readonly part?: readonly [start: number, end?: number];
  /** Splits each value into several ids at this character: a sequence or a set in one field. */
  readonly separator?: string;
  /** At most so many ids; all by default. */
  readonly limit?: number;
  /** Which ids a limit keeps; 'last' by default, the newest of a history. */
  readonly keep?: 'first' | 'last';
  /**
   * What a missing or empty value gives: an id of its own ('sign': that it is missing may tell something), or no id
   * ('empty'). 'sign' for hash, cross and buckets, 'empty' for ids and everything with a separator. Of a separator, so
   * does an empty piece: with 'sign' it keeps its place in a sequence, as histories that belong together (items, and
   * their categories) need.
   */
  readonly missing?: 'sign' | 'empty';
  /** Whether more than one value of the column makes the record a bad one; false by default. */
  readonly single?: boolean;
}

export type SlotSpec =
  /** Unsigned decimal 64-bit signs, taken as they are. */
  | (SlotBase & { readonly type: 'id' })
  /**
   * The text's hash: the first 64 bits of MurmurHash3_x86_128, seeded by the slot's name, so equal texts of two slots
   * have two signs. `share` names a slot whose signs are meant instead (a history of items, and the item).
   */
  | (SlotBase & { readonly type: 'hash'; readonly share?: string })
  /** The hash of several columns' texts together; of columns with several values every combination. */
  | (Omit<SlotBase, 'from' | 'part' | 'separator' | 'single'> & {
      readonly type: 'cross';
      readonly from: readonly string[];
    })
  /** Which of the intervals between ascending boundaries a number lies in (at a boundary: the upper one). */
  | (SlotBase & { readonly type: 'bucket'; readonly boundaries: readonly number[] })
  /** floor(ln(x)^2) for x > 2, else x itself rounded down: the Criteo contest's binning of counts. */
  | (SlotBase & { readonly type: 'logBucket' });

/**
 * A number, or several of one column; missing ones count as `missing`, then clip, then log1p, then (x - mean) / std.
 */
export interface DenseSpec {
  readonly name: string;
  /** `[first, last]`: this stands for as many columns, as with slots. */
  readonly numbered?: readonly [first: number, last: number];
  /** The column that is read; `name` by default. */
  readonly from?: string;
  /** Values of that column, as slot text has several; 1 by default. */
  readonly width?: number;
  /** 0 by default. */
  readonly missing?: number;
  readonly min?: number;
  readonly max?: number;
  /** ln(1 + max(x, 0)); false by default. */
  readonly log1p?: boolean;
  readonly mean?: number;
  readonly std?: number;
}

export interface LabelSpec {
  readonly name: string;
  /** The column that is read; `name` by default. */
  readonly from?: string;
  /** The text that counts as 1, every other as 0; by default the column holds the number itself. */
  readonly positive?: string;
  /**
   * A label that is not there makes the line a bad one ('bad'), or is kept as unknown ('unknown': NaN). 'bad' by
   * default.
   */
  readonly missing?: 'bad' | 'unknown';
  /**
   * Smallest and largest number the column may hold: others make the line a bad one. [0, 1] by default, which the
   * losses of all models here need.
   */
  readonly range?: readonly [least: number, most: number];
}

/** Where a name alone is given, that column is hashed (slots) or taken as a number (dense, labels). */
export interface FeatureSpec {
  readonly slots: readonly (string | SlotSpec)[];
  readonly dense?: readonly (string | DenseSpec)[];
  readonly labels?: readonly (string | LabelSpec)[];
}

const OF_SLOTS = {
  name: text,
  numbered: pair(whole),
  limit: count,
  keep: either('first', 'last'),
  missing: either('sign', 'empty'),
};
const OF_VALUES = { ...OF_SLOTS, from: text, part: list(whole), separator: text, single: flag };
const SLOT: Kind = byType<SlotSpec>(
  {
    id: OF_VALUES,
    hash: { ...OF_VALUES, share: text },
    cross: { ...OF_SLOTS, from: list(text) },
    bucket: { ...OF_VALUES, boundaries: list(number) },
    logBucket: OF_VALUES,
  },
  { cross: ['from'], bucket: ['boundaries'] },
);
const DENSE: Kind = options<DenseSpec>({
  name: text,
  numbered: pair(whole),
  from: text,
  width: count,
  missing: number,
  min: number,
  max: number,
  log1p: flag,
  mean: number,
  std: positive,
});
const LABEL: Kind = options<LabelSpec>({
  name: text,
  from: text,
  positive: text,
  missing: either('bad', 'unknown'),
  range: pair(number),
});
const SPEC: Kind = options<FeatureSpec>({ slots: list(anything), dense: list(anything), labels: list(anything) }, [
  'slots',
]);

export interface FullSpec {
  readonly slots: readonly SlotSpec[];
  readonly dense: readonly DenseSpec[];
  readonly labels: readonly LabelSpec[];
}

/**
 * The spec with names written out.
 * @throws Error in one sentence naming the feature that is wrong.
 */
export function fullSpec(spec: FeatureSpec): FullSpec {
  check('features', SPEC, spec);
  const slots = spec.slots.flatMap(slot =>
    expanded<SlotSpec>('slot', SLOT, typeof slot === 'string' ? { type: 'hash', name: slot } : slot),
  );
  const dense = (spec.dense ?? []).flatMap(column => expanded<DenseSpec>('dense column', DENSE, plain(column)));
  const labels = (spec.labels ?? []).flatMap(label => expanded<LabelSpec>('label', LABEL, plain(label)));
  for (const [what, list] of [
    ['slot', slots],
    ['dense column', dense],
    ['label', labels],
  ] as const) {
    const seen = new Set<string>();
    for (const { name } of list) {
      if (name === '') throw new Error(`features: a ${what} has no name`);
      if (seen.has(name)) throw new Error(`features: ${what} ${name} is there twice`);
      seen.add(name);
    }
  }
  for (const slot of slots) checkSlot(slot);
  return { slots, dense, labels };
}

const plain = <T extends object>(column: string | T): T | { readonly name: string } =>
  typeof column === 'string' ? { name: column } : column;

/**
 * What `numbered` stands for, one by one.
 * @throws Error in one sentence for a feature with a key or value that cannot be
 */
function expanded<T extends { readonly name: string }>(what: string, kind: Kind, feature: object): T[] {
  const { name } = feature as T;
  if (typeof name !== 'string') throw new Error(`features: a ${what} has no name`);
  check(`features: ${what} ${name}`, kind, feature);
  const { numbered, ...each } = feature as T & { numbered?: readonly [number, number]; from?: string };
  if (numbered === undefined) return [feature as T];
  const [first, last] = numbered;
  if (last < first) throw new Error(`features: ${what} ${name}: numbered: ${last} comes behind ${first}`);
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const number = first + i;
    const from = typeof each.from === 'string' ? { from: each.from + number } : {};
    return { ...each, ...from, name: name + number } as unknown as T;
  });
}

function checkSlot(slot: SlotSpec): void {
  const where = `features: slot ${slot.name}`;
  if (slot.type === 'cross') {
    if (slot.from.length < 2) throw new Error(`${where}: a cross needs at least two columns in from`);
    return;
  }
  if (slot.part !== undefined && (slot.part.length < 1 || slot.part.length > 2))
    throw new Error(`${where}: part ${JSON.stringify(slot.part)} came, expected [start] or [start, end]`);
  if (slot.separator !== undefined && (slot.separator.length !== 1 || slot.separator.charCodeAt(0) > 127))
    throw new Error(`${where}: separator "${slot.separator}" came, expected one ASCII character`);
  if (
    slot.type === 'bucket' &&
    slot.boundaries.some((b, i) => !Number.isFinite(b) || b <= (slot.boundaries[i - 1] ?? -Infinity))
  )
    throw new Error(`${where}: boundaries are ${JSON.stringify(slot.boundaries)}, expected ascending numbers`);
}
