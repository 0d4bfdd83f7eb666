/**
 * Ensembles of decision trees. The tree is walked for all rows at once: every row holds its node, gathers that node's
 * feature, threshold and children, and moves; after as many steps as the deepest tree has levels all rows stand at
 * leaves.
 */
import { cat, full, type Tensor } from '../../../tensor/index.ts';
import type { Call, Rule } from '../call.ts';
import { numbersOf, tensorOf } from '../tensorData.ts';
import { int64s, typed } from '../values.ts';
import { labelsAt, type PostTransform, postTransform, transformed } from './postTransform.ts';

type Mode =
  | 'BRANCH_LEQ'
  | 'BRANCH_LT'
  | 'BRANCH_GTE'
  | 'BRANCH_GT'
  | 'BRANCH_EQ'
  | 'BRANCH_NEQ'
  | 'LEAF'
  | 'BRANCH_MEMBER';

interface Forest {
  /** Per node, with children by position; leaves are their own children. */
  readonly feature: readonly number[];
  readonly threshold: readonly number[];
  readonly mode: readonly Mode[];
  readonly yes: readonly number[];
  readonly no: readonly number[];
  readonly missingYes: readonly boolean[];
  /** Values a BRANCH_MEMBER node looks for. */
  readonly members: readonly (readonly number[] | null)[];
  readonly roots: readonly number[];
}

/** Levels below the roots. @throws when a child points back up. */
function depthOf(call: Call, forest: Forest): number {
  let level: number[] = [...forest.roots];
  for (let depth = 0; ; depth++) {
    const next = level.flatMap(i => (forest.mode[i] === 'LEAF' ? [] : [forest.yes[i]!, forest.no[i]!]));
    if (next.length === 0) return depth;
    if (depth > forest.mode.length) call.fail('a tree has a cycle');
    level = [...new Set(next)];
  }
}

/** Where every row of x stands in every tree at the end: node numbers [rows, trees]. */
function walk(call: Call, x: Tensor, forest: Forest): Tensor {
  const depth = depthOf(call, forest);
  const n = x.shape[0]!;
  const trees = forest.roots.length;
  const modes: readonly Mode[] = [
    'BRANCH_LEQ',
    'BRANCH_LT',
    'BRANCH_GTE',
    'BRANCH_GT',
    'BRANCH_EQ',
    'BRANCH_NEQ',
    'LEAF',
    'BRANCH_MEMBER',
  ];
  const used = modes.filter(mode => mode !== 'LEAF' && forest.mode.includes(mode));
  const table = {
    feature: int64s(forest.feature),
    threshold: tensorOf(forest.threshold, [forest.threshold.length], x.dtype),
    mode: int64s(forest.mode.map(mode => modes.indexOf(mode))),
    yes: int64s(forest.yes),
    no: int64s(forest.no),
    missing: int64s(forest.missingYes.map(Number)),
  };
  const width = Math.max(0, ...forest.members.map(list => list?.length ?? 0));
  const members = tensorOf(
    forest.members.flatMap(list => Array.from({ length: width }, (_, i) => list?.[i] ?? Number.NaN)),
    [forest.members.length, width],
    x.dtype,
  );
  let at: Tensor = int64s(forest.roots).reshape([1, trees]).expand([n, trees]);
  for (let step = 0; step < depth; step++) {
    const flat = at.reshape([n * trees]);
    const read = (column: Tensor): Tensor => column.indexSelect(0, flat).reshape([n, trees]);
    const value = x.gather(1, read(table.feature));
    const threshold = read(table.threshold);
    const tests: Readonly<Record<string, () => Tensor>> = {
      BRANCH_LEQ: () => value.le(threshold),
      BRANCH_LT: () => value.lt(threshold),
      BRANCH_GTE: () => value.ge(threshold),
      BRANCH_GT: () => value.gt(threshold),
      BRANCH_EQ: () => value.eq(threshold),
      BRANCH_NEQ: () => value.ne(threshold),
      BRANCH_MEMBER: () => members.indexSelect(0, flat).reshape([n, trees, width]).eq(value.unsqueeze(2)).any(2),
    };
    const mode = read(table.mode);
    let taken: Tensor = full([n, trees], 0, { dtype: 'bool' });
    for (const kind of used) taken = mode.eq(modes.indexOf(kind)).where(tests[kind]!(), taken);
    if (forest.missingYes.includes(true)) taken = taken.logicalOr(value.isnan().logicalAnd(read(table.missing).ne(0)));
    at = taken.where(read(table.yes), read(table.no));
  }
  return at;
}

/** Forests of versions 1 and 3: nodes by tree and number. */
function classicForest(call: Call): { forest: Forest; position: (tree: number, node: number) => number } {
  const trees = call.ints('nodes_treeids') ?? call.fail('nodes_treeids are missing');
  const ids = call.ints('nodes_nodeids') ?? call.fail('nodes_nodeids are missing');
  const where = new Map(trees.map((tree, i) => [`${tree}:${ids[i]}`, i]));
  const position = (tree: number, node: number): number =>
    where.get(`${tree}:${node}`) ?? call.fail(`tree ${tree} has no node ${node}`);
  const mode = (call.texts('nodes_modes') ?? call.fail('nodes_modes are missing')) as Mode[];
  const list = (name: string): number[] => call.ints(name) ?? call.fail(`${name} are missing`);
  const [yes, no] = [list('nodes_truenodeids'), list('nodes_falsenodeids')];
  const child = (ends: readonly number[]): number[] =>
    ends.map((node, i) => (mode[i] === 'LEAF' ? i : position(trees[i]!, node)));
  const [yesAt, noAt] = [child(yes), child(no)];
  const children = new Set(mode.flatMap((kind, i) => (kind === 'LEAF' ? [] : [yesAt[i]!, noAt[i]!])));
  const roots = trees.flatMap((_, i) => (children.has(i) ? [] : [i]));
  const values = doubles(call, 'nodes_values') ?? call.fail('nodes_values are missing');
  return {
    forest: {
      feature: list('nodes_featureids').map((f, i) => (mode[i] === 'LEAF' ? 0 : f)),
      threshold: values,
      mode,
      yes: yesAt,
      no: noAt,
      missingYes: (call.ints('nodes_missing_value_tracks_true') ?? mode.map(() => 0)).map(Boolean),
      members: mode.map(() => null),
      roots,
    },
    position,
  };
}

/** Numbers of an attribute of floats, or of its `_as_tensor` twin in f64. */
function doubles(call: Call, name: string): number[] | null {
  const list = call.floats(name);
  if (list && list.length > 0) return list;
  const tensor = call.tensorAttribute(`${name}_as_tensor`);
  return tensor?.kind === 'tensor' ? numbersOf(call.data(tensor.tensor, 0), tensor.tensor.dtype) : list;
}

/**
 * Sums (or averages, extremes) of what the leaves give: [rows, width]. `weights` is [nodes, width]; NaN where a leaf
 * says nothing.
 */
function aggregated(
  call: Call,
  at: Tensor,
  weights: readonly Float64Array[],
  given: readonly Float64Array[],
  dtype: Tensor['dtype'],
  kind: string,
): Tensor {
  const [n, trees] = at.shape as [number, number];
  const width = weights[0]?.length ?? 0;
  const read = (rows: readonly Float64Array[]): Tensor =>
    tensorOf(rows.flatMap(row => Array.from(row)), [rows.length, width], dtype).indexSelect(0, at.reshape([n * trees])).reshape([n, trees, width]); // biome-ignore format: one line
  const values = read(weights);
  if (kind === 'SUM') return values.sum(1);
  if (kind === 'AVERAGE') return values.sum(1).div(trees);
  const present = read(given).gt(0);
  const none = kind === 'MIN' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  const bounded = present.where(values, none);
  const extreme =
    kind === 'MIN'
      ? bounded.amin(1)
      : kind === 'MAX'
        ? bounded.amax(1)
        : call.fail(`aggregate_function "${kind}" is unknown`);
  return present.any(1).where(extreme, 0);
}

function leafTable(nodes: number, width: number): { weights: Float64Array[]; given: Float64Array[] } {
  const rows = (): Float64Array[] => Array.from({ length: nodes }, () => new Float64Array(width));
  return { weights: rows(), given: rows() };
}

const input = (call: Call): Tensor => {
  const x = call.x(0);
  const flat = x.ndim === 1 ? x.reshape([1, x.numel()]) : x;
  return flat.dtype === 'f64' ? flat : flat.to('f32');
};

export const treeEnsembleRegressor: Rule = call => {
  const { forest, position } = classicForest(call);
  const targets = call.int('n_targets', 1);
  const [trees, nodes, ids] = ['target_treeids', 'target_nodeids', 'target_ids'].map(
    name => call.ints(name) ?? call.fail(`${name} are missing`),
  ) as [number[], number[], number[]];
  const weights = doubles(call, 'target_weights') ?? call.fail('target_weights are missing');
  const table = leafTable(forest.mode.length, targets);
  trees.forEach((tree, i) => {
    const at = position(tree, nodes[i]!);
    table.weights[at]![ids[i]!]! += weights[i]!;
    table.given[at]![ids[i]!] = 1;
  });
  const x = input(call);
  const sums = aggregated(
    call,
    walk(call, x, forest),
    table.weights,
    table.given,
    x.dtype,
    call.text('aggregate_function', 'SUM'),
  );
  const base = doubles(call, 'base_values');
  return postTransform(call, base && base.length > 0 ? sums.add(tensorOf(base, [base.length], x.dtype)) : sums).to(
    'f32',
  );
};

export const treeEnsembleClassifier: Rule = call => {
  const { forest, position } = classicForest(call);
  const [trees, nodes, ids] = ['class_treeids', 'class_nodeids', 'class_ids'].map(
    name => call.ints(name) ?? call.fail(`${name} are missing`),
  ) as [number[], number[], number[]];
  const weights = doubles(call, 'class_weights') ?? call.fail('class_weights are missing');
  const labels = call.texts('classlabels_strings')?.length || call.ints('classlabels_int64s')?.length || 0;
  const distinct = new Set(ids);
  // Two classes with weights for one of them: the score decides between both.
  const binary = labels === 2 && distinct.size === 1;
  const width = binary ? 1 : Math.max(labels, ...ids.map(id => id + 1));
  const table = leafTable(forest.mode.length, width);
  trees.forEach((tree, i) => {
    const at = position(tree, nodes[i]!);
    const column = binary ? 0 : ids[i]!;
    table.weights[at]![column]! += weights[i]!;
    table.given[at]![column] = 1;
  });
  const x = input(call);
  let scores = aggregated(call, walk(call, x, forest), table.weights, table.given, x.dtype, 'SUM');
  const base = doubles(call, 'base_values');
  if (base && base.length > 0)
    scores = scores.add(tensorOf(binary ? base.slice(-1) : base, [binary ? 1 : base.length], x.dtype));
  if (!binary) return [labelsAt(call, scores.argmax(1)), postTransform(call, scores).to('f32')];
  const single = scores.to('f32');
  const transform = call.text('post_transform', 'NONE');
  const positive = weights.every(weight => weight >= 0);
  // With weights that are probabilities the line is at one half, otherwise at zero.
  const second = positive ? single.gt(0.5) : single.gt(0);
  const position1 = second.reshape([x.shape[0]!]).to('i64');
  if (transform === 'NONE' || transform === 'PROBIT')
    return [
      labelsAt(call, position1),
      postTransform(call, both(positive ? single.neg().add(1) : single.neg(), single)),
    ];
  if (transform === 'LOGISTIC') return [labelsAt(call, position1), both(single.neg().sigmoid(), single.sigmoid())];
  return [labelsAt(call, position1), postTransform(call, both(single.neg(), single))];
};

const both = (first: Tensor, second: Tensor): Tensor => cat([first, second], 1);

const MODES: readonly Mode[] = [
  'BRANCH_LEQ',
  'BRANCH_LT',
  'BRANCH_GTE',
  'BRANCH_GT',
  'BRANCH_EQ',
  'BRANCH_NEQ',
  'BRANCH_MEMBER',
];
const AGGREGATES = ['AVERAGE', 'SUM', 'MIN', 'MAX'] as const;
const TRANSFORMS: readonly PostTransform[] = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'];

/** Version 5: inner nodes and leaves in lists of their own, sets of members. */
export const treeEnsemble: Rule = call => {
  const x = input(call);
  const ints = (name: string): number[] => call.ints(name) ?? call.fail(`${name} are missing`);
  const tensor = (name: string): number[] | null => {
    const value = call.tensorAttribute(name);
    return value?.kind === 'tensor' ? numbersOf(call.data(value.tensor, 0), value.tensor.dtype) : null;
  };
  const modes = tensor('nodes_modes') ?? call.fail('nodes_modes are missing');
  const inner = modes.length;
  const leafTargets = ints('leaf_targetids');
  const leafWeights = tensor('leaf_weights') ?? call.fail('leaf_weights are missing');
  const total = inner + leafTargets.length;
  const [yes, yesLeaf] = [ints('nodes_truenodeids'), ints('nodes_trueleafs')];
  const [no, noLeaf] = [ints('nodes_falsenodeids'), ints('nodes_falseleafs')];
  const own = Array.from({ length: leafTargets.length }, (_, i) => inner + i);
  const child = (ids: readonly number[], leaf: readonly number[]): number[] => [
    ...ids.map((id, i) => (leaf[i] ? inner + id : id)),
    ...own,
  ];
  const leaves = <T>(value: T): T[] => new Array<T>(leafTargets.length).fill(value);
  // Members of all sets in one list, sets ended by NaN, in order of the nodes that have them.
  const listed = tensor('membership_values') ?? [];
  const sets: number[][] = [[]];
  for (const value of listed) {
    if (Number.isNaN(value)) sets.push([]);
    else sets[sets.length - 1]!.push(value);
  }
  let set = 0;
  const mode = modes.map(code => MODES[code] ?? call.fail(`node mode ${code} is unknown`));
  const members = mode.map(kind => (kind === 'BRANCH_MEMBER' ? (sets[set++] ?? []) : null));
  const forest: Forest = {
    feature: [...ints('nodes_featureids'), ...leaves(0)],
    threshold: [...(tensor('nodes_splits') ?? call.fail('nodes_splits are missing')), ...leaves(0)],
    mode: [...mode, ...leaves<Mode>('LEAF')],
    yes: child(yes, yesLeaf),
    no: child(no, noLeaf),
    missingYes: [...(call.ints('nodes_missing_value_tracks_true') ?? mode.map(() => 0)).map(Boolean), ...leaves(false)],
    members: [...members, ...leaves<null>(null)],
    // A root that is a leaf has both children on itself.
    roots: ints('tree_roots'),
  };
  const table = leafTable(total, call.int('n_targets', 1));
  leafTargets.forEach((target, i) => {
    table.weights[inner + i]![target] = leafWeights[i]!;
    table.given[inner + i]![target] = 1;
  });
  const kind = AGGREGATES[call.int('aggregate_function', 1)] ?? call.fail('aggregate_function is unknown');
  const scores = aggregated(call, walk(call, x, forest), table.weights, table.given, x.dtype, kind);
  const transform = TRANSFORMS[call.int('post_transform', 0)] ?? call.fail('post_transform is unknown');
  return typed(transformed(scores, transform).to(call.x(0).dtype), call.type(0));
};
