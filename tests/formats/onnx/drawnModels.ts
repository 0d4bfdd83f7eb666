/** Draws of texts and of classical models (ai.onnx.ml): see draw.ts. */
import { A, type Attribute, type Draw, type Input, type Operator, type Type } from './draw.ts';

const op = (opsets: readonly number[], entry: Operator['entry']): Operator => ({ opsets, entry });
const ml = (entry: Operator['entry'], opsets: readonly number[] = [1, 2, 3]): Operator => ({ opsets, entry, domain: 'ai.onnx.ml' }); // biome-ignore format: one line
const repeat = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
const reals = (d: Draw, n: number, low = -2, high = 2): number[] => repeat(n, () => Math.fround(d.real(low, high)));
const rows = (d: Draw, type: Type, width: number): Input => d.tensor(type, [d.int(1, 4), width]);
const ML_NUMBERS: readonly Type[] = ['float', 'double', 'int64', 'int32'];

const POSTS = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'] as const;
/** Probit is of probabilities only. */
const post = (d: Draw): Attribute[] => d.maybe(A.text('post_transform', d.pick(POSTS.slice(0, 4))));

/** The attribute of whole labels is called classlabels_ints by some operators, classlabels_int64s by others. */
const labels = (d: Draw, n: number, whole = 'classlabels_ints'): Attribute =>
  d.flag()
    ? A.ints(
        whole,
        repeat(n, i => 5 + i),
      )
    : A.texts(
        'classlabels_strings',
        repeat(n, i => `c${i}`),
      );

/** Trees of depth 2 over `features` features, their nodes numbered 0 to 6. */
function trees(d: Draw, count: number, features: number, outputs: number, kind: 'class' | 'target'): Attribute[] {
  const ids = repeat(count, t => repeat(7, () => t)).flat();
  const nodes = repeat(count, () => repeat(7, i => i)).flat();
  const mode = d.pick(['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ']);
  const leaf = (i: number): boolean => i > 2;
  const leaves = repeat(count, t => [3, 4, 5, 6].flatMap(node => repeat(outputs, k => [t, node, k] as const))).flat();
  return [
    A.ints('nodes_treeids', ids),
    A.ints('nodes_nodeids', nodes),
    A.ints('nodes_featureids', nodes.map(i => (leaf(i) ? 0 : d.int(0, features - 1)))),
    A.floats('nodes_values', nodes.map(i => (leaf(i) ? 0 : Math.fround(d.int(-2, 2) / 2)))),
    A.texts('nodes_modes', nodes.map(i => (leaf(i) ? 'LEAF' : mode))),
    A.ints('nodes_truenodeids', nodes.map(i => (leaf(i) ? 0 : 2 * i + 1))),
    A.ints('nodes_falsenodeids', nodes.map(i => (leaf(i) ? 0 : 2 * i + 2))),
    A.ints('nodes_missing_value_tracks_true', nodes.map(() => d.int(0, 1))),
    A.ints(`${kind}_treeids`, leaves.map(([t]) => t)),
    A.ints(`${kind}_nodeids`, leaves.map(([, node]) => node)),
    A.ints(`${kind}_ids`, leaves.map(([, , k]) => k)),
    A.floats(`${kind}_weights`, reals(d, leaves.length, kind === 'class' ? 0 : -1, 1)),
  ];
} // biome-ignore format: as it is

const treeInput = (d: Draw, features: number): Input => {
  const n = d.int(1, 4);
  return d.of(
    d.pick(['float', 'double']),
    [n, features],
    repeat(n * features, () => d.int(-4, 4) / 2),
  );
};

const kernel = (d: Draw): Attribute[] => [
  A.text('kernel_type', d.pick(['LINEAR', 'POLY', 'RBF', 'SIGMOID'])),
  A.floats('kernel_params', [0.5, 0.3, 2]),
];

/** Operators by name. */
export const MODELS: Readonly<Record<string, Operator>> = {
  ArrayFeatureExtractor: ml(d => {
    const x = d.tensor(d.pick(['float', 'double', 'int64', 'int32', 'string']), d.shape(1, 3));
    return {
      inputs: [
        x,
        d.of(
          'int64',
          [3],
          repeat(3, () => d.int(0, x.dims.at(-1)! - 1)),
        ),
      ],
    };
  }),
  Binarizer: ml(d => ({ inputs: [d.tensor('float', d.shape(1, 2))], attributes: d.maybe(A.float('threshold', 0.5)) })),
  CategoryMapper: ml(d => {
    const table = [A.texts('cats_strings', ['a', 'b', 'tenon']), A.ints('cats_int64s', [1, 2, 3]), ...d.maybe(A.text('default_string', 'none'), A.int('default_int64', 9))]; // biome-ignore format: one line
    return { inputs: [d.tensor(d.pick(['string', 'int64']), d.shape(1, 2), 0, 4)], attributes: table };
  }),
  FeatureVectorizer: ml(d => {
    const widths = repeat(d.int(1, 3), () => d.int(1, 3));
    const n = d.int(1, 3);
    const type = d.pick(ML_NUMBERS);
    return { inputs: widths.map(width => d.tensor(type, [n, width])), attributes: [A.ints('inputdimensions', widths)] };
  }),
  Imputer: ml(d => {
    const n = d.int(1, 3);
    if (d.flag()) return { inputs: [d.of('float', [2, n], repeat(2 * n, () => (d.flag() ? Number.NaN : 1.5)))], attributes: [A.floats('imputed_value_floats', d.flag() ? reals(d, n) : [7]), A.float('replaced_value_float', Number.NaN)] }; // biome-ignore format: one line
    return { inputs: [d.tensor('int64', [2, n], 0, 2)], attributes: [A.ints('imputed_value_int64s', repeat(n, i => 5 + i)), A.int('replaced_value_int64', 1)] }; // biome-ignore format: one line
  }),
  LabelEncoder: ml(
    d => {
      const from = d.pick(['strings', 'int64s', 'floats'] as const);
      const to = d.pick(['strings', 'int64s', 'floats'] as const);
      const list = (name: string, kind: typeof from): Attribute =>
        kind === 'strings' ? A.texts(name, ['a', 'b', 'tenon']) : kind === 'int64s' ? A.ints(name, [0, 1, 2]) : A.floats(name, [0, 1, 2]); // biome-ignore format: one line
      const type = ({ strings: 'string', int64s: 'int64', floats: 'float' } as const)[from];
      const dims = d.shape(0, 2);
      const count = dims.reduce((a, n) => a * n, 1);
      return {
        inputs: [
          d.of(
            type,
            dims,
            repeat(count, () => d.int(-1, 3)),
          ),
        ],
        attributes: [list(`keys_${from}`, from), list(`values_${to}`, to), ...d.maybe(A.text('default_string', 'none'), A.int('default_int64', 9), A.float('default_float', 0.5))], // biome-ignore format: one line
      };
    },
    [2, 4],
  ),
  LinearClassifier: ml(d => {
    const [width, classes] = [d.int(1, 3), d.int(1, 4)];
    return {
      inputs: [rows(d, d.pick(ML_NUMBERS), width)],
      attributes: [A.floats('coefficients', reals(d, classes * width)), A.floats('intercepts', reals(d, classes)), labels(d, Math.max(classes, 2)), ...(classes === 1 ? d.maybe(A.text('post_transform', 'LOGISTIC')) : post(d)), A.int('multi_class', 0)], // biome-ignore format: one line
      outputs: 2,
    };
  }),
  LinearRegressor: ml(d => {
    const [width, targets] = [d.int(1, 3), d.int(1, 3)];
    return {
      inputs: [rows(d, 'float', width)],
      attributes: [A.floats('coefficients', reals(d, targets * width)), A.int('targets', targets), ...d.maybe(A.floats('intercepts', reals(d, targets)))], // biome-ignore format: one line
    };
  }),
  Normalizer: ml(d => ({ inputs: [d.tensor(d.pick(ML_NUMBERS), d.shape(1, 2), 1, 9)], attributes: [A.text('norm', d.pick(['MAX', 'L1', 'L2']))] })), // biome-ignore format: one line
  OneHotEncoder: ml(d => {
    const text = d.flag();
    const x = text ? d.tensor('string', d.shape(1, 2)) : d.tensor(d.pick(['int64', 'int32', 'float', 'double']), d.shape(1, 2), 0, 3); // biome-ignore format: one line
    const whole = x.type === 'float' || x.type === 'double' ? d.of(x.type, x.dims, Array.from(x.data as ArrayLike<number>, Math.round)) : x; // biome-ignore format: one line
    return { inputs: [whole], attributes: [text ? A.texts('cats_strings', ['a', 'b', '']) : A.ints('cats_int64s', [2, 0, 1]), A.int('zeros', 1)] }; // biome-ignore format: one line
  }),
  RegexFullMatch: op([20], d => ({ inputs: [d.tensor('string', d.shape(0, 2))], attributes: [A.text('pattern', d.pick(['[a-z]+', 'b.*', '(a|b)', '.*']))] })), // biome-ignore format: one line
  SVMClassifier: ml(d => {
    const [width, classes] = [d.int(1, 3), d.int(2, 3)];
    const vectors = repeat(classes, () => d.int(1, 2));
    const total = vectors.reduce((a, n) => a + n, 0);
    const pairs = (classes * (classes - 1)) / 2;
    const probabilities = d.flag() ? [A.floats('prob_a', reals(d, pairs)), A.floats('prob_b', reals(d, pairs))] : [];
    return {
      inputs: [rows(d, d.pick(ML_NUMBERS), width)],
      attributes: [...kernel(d), A.floats('support_vectors', reals(d, total * width)), A.ints('vectors_per_class', vectors), A.floats('coefficients', reals(d, total * (classes - 1))), A.floats('rho', reals(d, pairs)), ...probabilities, labels(d, classes)], // biome-ignore format: one line
      outputs: 2,
    };
  }),
  SVMRegressor: ml(d => {
    const [width, n] = [d.int(1, 3), d.int(1, 4)];
    return {
      inputs: [rows(d, 'float', width)],
      attributes: [...kernel(d), A.floats('support_vectors', reals(d, n * width)), A.int('n_supports', n), A.floats('coefficients', reals(d, n)), A.floats('rho', reals(d, 1)), ...d.maybe(A.int('one_class', 1))], // biome-ignore format: one line
    };
  }),
  Scaler: ml(d => {
    const width = d.int(1, 3);
    const n = d.flag() ? width : 1;
    return { inputs: [rows(d, d.pick(ML_NUMBERS), width)], attributes: [A.floats('offset', reals(d, n)), A.floats('scale', reals(d, n))] }; // biome-ignore format: one line
  }),
  StringConcat: op([20], d => { const dims = d.shape(0, 2); return { inputs: [d.tensor('string', dims), d.tensor('string', d.broadcast(dims))] }; }), // biome-ignore format: one line
  StringNormalizer: op([10], d => ({
    inputs: [d.tensor('string', d.flag() ? [d.int(1, 4)] : [1, d.int(1, 4)])],
    attributes: [...d.maybe(A.text('case_change_action', d.pick(['NONE', 'LOWER', 'UPPER'])), A.int('is_case_sensitive', d.flag())), ...d.maybe(A.texts('stopwords', ['monday', 'a']))], // biome-ignore format: one line
  })),
  StringSplit: op([20], d => ({ inputs: [d.tensor('string', d.shape(1, 2))], attributes: d.maybe(A.text('delimiter', d.pick([' ', 'n', ''])), A.int('maxsplit', 1)), outputs: 2 })), // biome-ignore format: one line
  TfIdfVectorizer: op([9], d => ({
    inputs: [d.tensor(d.pick(['int32', 'int64']), d.flag() ? [d.int(1, 8)] : [2, d.int(1, 6)], 0, 5)],
    attributes: [
      A.text('mode', d.pick(['TF', 'IDF', 'TFIDF'])),
      A.int('min_gram_length', d.int(1, 2)),
      A.int('max_gram_length', 2),
      A.int('max_skip_count', d.int(0, 3)),
      A.ints('ngram_counts', [0, 3]),
      A.ints('ngram_indexes', [0, 1, 2, 3, 4, 5]),
      A.ints('pool_int64s', [1, 2, 3, 0, 1, 2, 3, 3, 1]),
      ...d.maybe(A.floats('weights', [1, 2, 0.5, 3, 1, 2])),
    ],
  })),
  TreeEnsembleClassifier: ml(
    d => {
      // Of two classes onnxruntime gives labels that are none of the file's.
      const [features, classes] = [d.int(1, 3), d.int(3, 4)];
      return {
        inputs: [treeInput(d, features)],
        attributes: [...trees(d, d.int(1, 3), features, classes, 'class'), labels(d, classes, 'classlabels_int64s'), ...post(d), ...d.maybe(A.floats('base_values', reals(d, classes)))], // biome-ignore format: one line
        outputs: 2,
      };
    },
    [1, 3],
  ),
  TreeEnsembleRegressor: ml(
    d => {
      const [features, targets] = [d.int(1, 3), d.int(1, 3)];
      return {
        inputs: [treeInput(d, features)],
        attributes: [...trees(d, d.int(1, 3), features, targets, 'target'), A.int('n_targets', targets), ...d.maybe(A.text('aggregate_function', d.pick(['SUM', 'AVERAGE', 'MIN', 'MAX'])), A.floats('base_values', reals(d, targets)))], // biome-ignore format: one line
      };
    },
    [1, 3],
  ),
};
