/**
 * Finding a model's parameters in a file whose names differ by a prefix or by an older spelling.
 */

/** Older spellings of names, and today's. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  // BERT's first release, from TensorFlow.
  [/LayerNorm\.gamma$/, 'LayerNorm.weight'],
  [/LayerNorm\.beta$/, 'LayerNorm.bias'],
  // torchvision's vision transformers before 0.13.
  [/\.mlp\.linear_1\./, '.mlp.0.'],
  [/\.mlp\.linear_2\./, '.mlp.3.'],
];

/** Entries that are computed from others or from the configuration: nobody misses them, on either side. */
const DERIVED = /(^|\.)(attn\.(bias|masked_bias)|rotary_emb\.inv_freq|embeddings\.position_ids|num_batches_tracked)$/;

interface Matched {
  /** The stored name for each of the model's keys that has one. */
  readonly pairs: ReadonlyMap<string, string>;
  /** Keys of the model that are not stored. */
  readonly missing: readonly string[];
  /** Stored names that the model has no place for. */
  readonly unexpected: readonly string[];
}

const modern = (name: string): string => RENAMED.reduce((text, [old, now]) => text.replace(old, now), name);

/** The prefixes of one and of two parts that names have, and none. */
function prefixes(names: readonly string[]): string[] {
  const ends = (name: string): number[] => {
    const first = name.indexOf('.') + 1;
    return [first, name.indexOf('.', first) + 1];
  };
  return ['', ...new Set(names.flatMap(name => ends(name).map(end => name.slice(0, end))))].filter(
    (prefix, i) => i === 0 || prefix !== '',
  );
}

/**
 * Stored names as the model would call them, by dropping one prefix and adding another: the choice by which most of
 * them fit.
 */
function bestNames(own: ReadonlySet<string>, names: readonly string[]): string[] {
  let best: { names: string[]; fitting: number } = { names: [...names], fitting: -1 };
  for (const dropped of prefixes(names)) {
    for (const added of prefixes([...own])) {
      const renamed = names.map(name => {
        const bare = name.startsWith(dropped) ? name.slice(dropped.length) : name;
        return dropped === '' && own.has(bare) ? bare : added + bare;
      });
      const fitting = renamed.filter(name => own.has(name)).length;
      if (fitting > best.fitting) best = { names: renamed, fitting };
    }
  }
  return best.names;
}

/** Which stored tensor belongs to which key. */
export function matchNames(own: readonly string[], stored: readonly string[]): Matched {
  const keys = new Set(own);
  const plain = stored.map(name => (keys.has(name) ? name : modern(name)));
  const names = bestNames(keys, plain);
  const pairs = new Map<string, string>();
  const unexpected: string[] = [];
  names.forEach((name, i) => {
    if (keys.has(name) && !pairs.has(name)) pairs.set(name, stored[i]!);
    else if (!DERIVED.test(stored[i]!)) unexpected.push(stored[i]!);
  });
  return { pairs, missing: own.filter(key => !pairs.has(key) && !DERIVED.test(key)), unexpected };
}
