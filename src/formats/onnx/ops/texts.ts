/** Strings, computed on the host: joining, splitting, cleaning, matching, and counting of n-grams. */
import type { OperatorTable, Rule } from '../call.ts';
import { tensorOf } from '../tensorData.ts';
import { int64s, strings } from '../values.ts';
import { broadcastShape } from './shape.ts';

/** Position in an operand of shape `from` of element i of the broadcast shape `to`. */
function broadcastIndex(i: number, to: readonly number[], from: readonly number[]): number {
  let rest = i;
  let at = 0;
  let stride = 1;
  for (let d = to.length - 1; d >= 0; d--) {
    const size = from[d - to.length + from.length] ?? 1;
    if (size > 1) at += (rest % to[d]!) * stride;
    stride *= size;
    rest = Math.floor(rest / to[d]!);
  }
  return at;
}

const stringConcat: Rule = call => {
  const [a, b] = [call.stringTensor(0), call.stringTensor(1)];
  const shape = broadcastShape(call, a.shape, b.shape);
  const count = shape.reduce((p, q) => p * q, 1);
  return strings(
    Array.from(
      { length: count },
      (_, i) => a.strings[broadcastIndex(i, shape, a.shape)]! + b.strings[broadcastIndex(i, shape, b.shape)]!,
    ),
    shape,
  );
};

/** Like Python's split: at most maxsplit times, and without a delimiter at runs of white space. */
function pieces(text: string, delimiter: string, most: number): string[] {
  const found: string[] = [];
  let rest = delimiter === '' ? text.trimStart() : text;
  while (rest !== '' || delimiter !== '') {
    const at = delimiter === '' ? rest.search(/\s/) : rest.indexOf(delimiter);
    if (at < 0 || found.length === most) break;
    found.push(rest.slice(0, at));
    rest = delimiter === '' ? rest.slice(at).trimStart() : rest.slice(at + delimiter.length);
  }
  if (delimiter !== '' ? true : rest !== '')
    found.push(delimiter === '' ? (found.length === most ? rest.trimEnd() : rest) : rest);
  return found;
}

const stringSplit: Rule = call => {
  const { strings: texts, shape } = call.stringTensor(0);
  const delimiter = call.text('delimiter', '');
  const most = call.attribute('maxsplit') ? call.int('maxsplit') : Number.POSITIVE_INFINITY;
  // A text that is empty has no pieces, whatever the delimiter.
  const split = texts.map(text => (text === '' ? [] : pieces(text, delimiter, most)));
  const width = Math.max(0, ...split.map(list => list.length));
  return [
    strings(
      split.flatMap(list => [...list, ...new Array<string>(width - list.length).fill('')]),
      [...shape, width],
    ),
    int64s(split.map(list => list.length)).reshape(shape),
  ];
};

const stringNormalizer: Rule = call => {
  const { strings: texts, shape } = call.stringTensor(0);
  const change = call.choice('case_change_action', ['NONE', 'LOWER', 'UPPER'], 'NONE');
  const sensitive = call.flag('is_case_sensitive');
  const cased = (text: string): string =>
    change === 'LOWER' ? text.toLowerCase() : change === 'UPPER' ? text.toUpperCase() : text;
  const key = (text: string): string => (sensitive ? text : text.toLowerCase());
  const stops = new Set((call.texts('stopwords') ?? []).map(key));
  const kept = texts.filter(text => !stops.has(key(text))).map(cased);
  // At least one string remains.
  const list = kept.length > 0 ? kept : [''];
  return strings(list, shape.length === 2 ? [1, list.length] : [list.length]);
};

const regexFullMatch: Rule = call => {
  const { strings: texts, shape } = call.stringTensor(0);
  const pattern = call.text('pattern');
  let regex: RegExp;
  try {
    regex = new RegExp(`^(?:${pattern})$`, 'su');
  } catch {
    return call.fail(`pattern "${pattern}" is no regular expression`);
  }
  return tensorOf(
    texts.map(text => Number(regex.test(text))),
    shape,
    'bool',
  );
};

/** Counts of n-grams of a pool in each row, with gaps ("skips") between their members. */
const tfIdfVectorizer: Rule = call => {
  const counts = call.ints('ngram_counts') ?? call.fail('ngram_counts are missing');
  const indexes = call.ints('ngram_indexes') ?? call.fail('ngram_indexes are missing');
  const [least, most, skips] = [call.int('min_gram_length'), call.int('max_gram_length'), call.int('max_skip_count')];
  const mode = call.choice('mode', ['TF', 'IDF', 'TFIDF']);
  const weights = call.floats('weights');
  const text = call.isString(0);
  const pool: readonly (string | number)[] =
    (text ? call.texts('pool_strings') : call.ints('pool_int64s')) ?? call.fail('the pool is missing');
  /** n-grams by their members, to their number in the pool. */
  const known = new Map<string, number>();
  let number = 0;
  counts.forEach((start, i) => {
    const n = i + 1;
    const end = counts[i + 1] ?? pool.length;
    for (let at = start; at + n <= end; at += n) known.set(JSON.stringify(pool.slice(at, at + n)), number++);
  });
  const width = Math.max(...indexes) + 1;
  const items: readonly (string | number)[] = text ? call.stringTensor(0).strings : call.numbers(0);
  const shape = text ? call.stringTensor(0).shape : call.x(0).shape;
  const rows = shape.length === 2 ? shape[0]! : 1;
  const length = rows === 0 ? 0 : items.length / rows;
  const output = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const row = items.slice(r * length, (r + 1) * length);
    for (let n = least; n <= most; n++)
      for (let skip = 1; skip <= (n === 1 ? 1 : skips + 1); skip++)
        for (let at = 0; at + (n - 1) * skip < length; at++) {
          const gram = Array.from({ length: n }, (_, k) => row[at + k * skip]!);
          const found = known.get(JSON.stringify(gram));
          if (found !== undefined) output[r * width + indexes[found]!]! += 1;
        }
  }
  const weight = (i: number): number => {
    const gram = indexes.indexOf(i);
    return weights?.[gram] ?? 1;
  };
  const values = output.map((count, i) =>
    mode === 'TF' ? count : (mode === 'IDF' ? Math.min(count, 1) : count) * weight(i % width),
  );
  return tensorOf(values, shape.length === 2 ? [rows, width] : [width], 'f32');
};

export const texts: OperatorTable = {
  RegexFullMatch: regexFullMatch,
  StringConcat: stringConcat,
  StringNormalizer: stringNormalizer,
  StringSplit: stringSplit,
  TfIdfVectorizer: tfIdfVectorizer,
};
