/**
 * What is made of a record, as plain data: it stands in config files and beside published models, so that serving extracts exactly what training did.
 */

/** What every slot may say. */
interface SlotBase {
  readonly name: string;
  /** The column that is read; `name` by default. */
  readonly from?: string;
  /** The part of each value that is read, as `slice` counts it (in bytes): [-2] of YYMMDDHH is the hour. All of it by default. */
  readonly part?: readonly [start: number, end?: number];
  /** Splits each value into several ids at this character: a sequence or a set in one field. */
  readonly separator?: string;
  /** At most so many ids; all by default. */
  readonly limit?: number;
  /** Which ids a limit keeps; 'last' by default, the newest of a history. */
  readonly keep?: 'first' | 'last';
  /**
   * What a missing or empty value gives: an id of its own ('sign': that it is missing may tell something), or no id ('empty').
   * 'sign' for hash, cross and buckets, 'empty' for ids and everything with a separator.
   */
  readonly missing?: 'sign' | 'empty';
  /** Whether more than one value of the column makes the record a bad one; false by default. */
  readonly single?: boolean;
}

export type SlotSpec =
  /** Unsigned decimal 64-bit signs, taken as they are. */
  | (SlotBase & { readonly type: 'id' })
  /**
   * The text's hash: the first 64 bits of MurmurHash3_x86_128, seeded by the slot's name, so equal texts of two slots have two signs.
   * `share` names a slot whose signs are meant instead (a history of items, and the item).
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

/** A number, or several of one column; missing ones count as `missing`, then clip, then log1p, then (x - mean) / std. */
export interface DenseSpec {
  readonly name: string;
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
  /** A label that is not there makes the line a bad one ('bad'), or is kept as unknown ('unknown': NaN). 'bad' by default. */
  readonly missing?: 'bad' | 'unknown';
}

/** Where a name alone is given, that column is hashed (slots) or taken as a number (dense, labels). */
export interface FeatureSpec {
  readonly slots: readonly (string | SlotSpec)[];
  readonly dense?: readonly (string | DenseSpec)[];
  readonly labels?: readonly (string | LabelSpec)[];
}

const SLOT_TYPES: readonly string[] = ['id', 'hash', 'cross', 'bucket', 'logBucket'];

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
  if (!Array.isArray(spec.slots)) throw new Error('features: slots is missing, expected an array of slots');
  const slots = spec.slots.map(slot => (typeof slot === 'string' ? { type: 'hash' as const, name: slot } : slot));
  const dense = (spec.dense ?? []).map(column => (typeof column === 'string' ? { name: column } : column));
  const labels = (spec.labels ?? []).map(label => (typeof label === 'string' ? { name: label } : label));
  for (const [kind, list] of [
    ['slot', slots],
    ['dense column', dense],
    ['label', labels],
  ] as const) {
    const seen = new Set<string>();
    for (const { name } of list) {
      if (typeof name !== 'string' || name === '') throw new Error(`features: a ${kind} has no name`);
      if (seen.has(name)) throw new Error(`features: ${kind} ${name} is there twice`);
      seen.add(name);
    }
  }
  for (const slot of slots) checkSlot(slot);
  for (const { name, width = 1, std = 1 } of dense) {
    if (!Number.isInteger(width) || width < 1)
      throw new Error(`features: ${name}: width is ${width}, expected 1 or more`);
    if (!(std > 0)) throw new Error(`features: ${name}: std is ${std}, expected a number above 0`);
  }
  return { slots, dense, labels };
}

function checkSlot(slot: SlotSpec): void {
  const where = `features: slot ${slot.name}`;
  if (!SLOT_TYPES.includes(slot.type))
    throw new Error(`${where}: type ${slot.type} came, expected ${SLOT_TYPES.join(', ')}`);
  if (slot.limit !== undefined && (!Number.isInteger(slot.limit) || slot.limit < 1))
    throw new Error(`${where}: limit is ${slot.limit}, expected a whole number of at least 1`);
  if (slot.type === 'cross') {
    if (!Array.isArray(slot.from) || slot.from.length < 2)
      throw new Error(`${where}: a cross needs at least two columns in from`);
    return;
  }
  if (slot.part !== undefined && !(Array.isArray(slot.part) && slot.part.every(Number.isInteger)))
    throw new Error(`${where}: part ${JSON.stringify(slot.part)} came, expected [start] or [start, end]`);
  if (slot.separator !== undefined && (slot.separator.length !== 1 || slot.separator.charCodeAt(0) > 127))
    throw new Error(`${where}: separator "${slot.separator}" came, expected one ASCII character`);
  if (slot.type !== 'bucket') return;
  const { boundaries } = slot;
  if (!Array.isArray(boundaries) || boundaries.some((b, i) => !Number.isFinite(b) || (i > 0 && b <= boundaries[i - 1])))
    throw new Error(`${where}: boundaries are ${JSON.stringify(boundaries)}, expected ascending numbers`);
}
