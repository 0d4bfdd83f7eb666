/**
 * ai.onnx.ml, operators of classical models that are not trees: encoders, scalers, linear models, support vector
 * machines. Strings and maps live on the host.
 */

import { isFloat } from '../../../graph/dtype.ts';
import { cat, full, stack, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { NATURAL, type NumericType } from '../elementTypes.ts';
import { numbersOf, tensorOf } from '../tensorData.ts';
import { sequence, strings, typed, type Value } from '../values.ts';
import { labelsAt, postTransform } from './postTransform.ts';
import { treeEnsemble, treeEnsembleClassifier, treeEnsembleRegressor } from './trees.ts';

const toFloat = (x: Tensor): Tensor => (x.dtype === 'f32' ? x : x.to('f32'));

const arrayFeatureExtractor: Rule = call => {
  const index = call.x(1).to('i64').reshape([-1]);
  if (call.isString(0)) {
    const { strings: texts, shape } = call.stringTensor(0);
    const width = shape[shape.length - 1]!;
    const at = call.numbers(1);
    const rows = texts.length / width;
    const picked = Array.from({ length: rows }, (_, r) => at.map(i => texts[r * width + i]!)).flat();
    return strings(picked, [...(shape.length === 1 ? [1] : shape.slice(0, -1)), at.length]);
  }
  const x = call.x(0);
  const picked = x.indexSelect(x.ndim - 1, index);
  return typed(x.ndim === 1 ? picked.unsqueeze(0) : picked, call.type(0));
};

const binarizer: Rule = call => {
  const x = call.x(0);
  return call.like(0, x.gt(call.float('threshold', 0)).to(x.dtype));
};

const castMap: Rule = call => {
  const value = call.value(0);
  if (value.kind !== 'map') return call.fail('expected a map');
  const to = call.choice('cast_to', ['TO_FLOAT', 'TO_STRING', 'TO_INT64'], 'TO_FLOAT');
  const dense = call.choice('map_form', ['DENSE', 'SPARSE'], 'DENSE') === 'DENSE';
  const scalars = value.values.map(item => scalarOf(call, item));
  const order = value.keys.map((key, i) => [Number(key), scalars[i]!] as const).sort(([a], [b]) => a - b);
  const width = dense ? order.length : call.int('max_map', 1);
  const list: (string | number)[] = dense
    ? order.map(([, item]) => item)
    : new Array(width).fill(to === 'TO_STRING' ? '' : 0);
  if (!dense) for (const [key, item] of order) if (key < width) list[key] = item;
  if (to === 'TO_STRING') return strings(list.map(String), [1, width]);
  return tensorOf(list.map(Number), [1, width], to === 'TO_FLOAT' ? 'f32' : 'i64');
};

function scalarOf(call: Call, value: Value): string | number {
  if (value.kind === 'strings') return value.strings[0] ?? '';
  if (value.kind !== 'tensor') return call.fail('a map holds no scalars');
  return numbersOf(call.data(value.tensor, 0), value.tensor.dtype)[0] ?? 0;
}

const categoryMapper: Rule = call => {
  const names = call.texts('cats_strings') ?? [];
  const numbers = call.ints('cats_int64s') ?? [];
  if (call.isString(0)) {
    const { strings: texts, shape } = call.stringTensor(0);
    const absent = call.int('default_int64', -1);
    return tensorOf(
      texts.map(text => numbers[names.indexOf(text)] ?? absent),
      shape,
      'i64',
    );
  }
  const absent = call.text('default_string', '_Unused');
  return strings(
    call.numbers(0).map(n => names[numbers.indexOf(n)] ?? absent),
    call.x(0).shape,
  );
};

/** The values of a map in the order of a vocabulary, zero or empty where it has none. */
const dictVectorizer: Rule = call => {
  const value = call.value(0);
  if (value.kind !== 'map') return call.fail('expected a map');
  const words: readonly (string | number)[] = call.texts('string_vocabulary') ?? call.ints('int64_vocabulary') ?? [];
  const keys = value.keys.map(key => (typeof key === 'bigint' ? Number(key) : key));
  const items = words.map(word => {
    const at = keys.indexOf(word);
    return at < 0 ? null : scalarOf(call, value.values[at]!);
  });
  const first = value.values[0];
  if (first?.kind === 'strings') return strings(items.map(item => String(item ?? '')), [1, words.length]); // biome-ignore format: one line
  const dtype = first?.kind === 'tensor' ? first.tensor.dtype : 'f32';
  return tensorOf(items.map(item => Number(item ?? 0)), [1, words.length], dtype); // biome-ignore format: one line
};

const featureVectorizer: Rule = call => {
  const sizes = call.ints('inputdimensions');
  const parts = call.tensors().map((x, i) => {
    const flat = x.ndim < 2 ? x.reshape([1, -1]) : x.reshape([x.shape[0]!, -1]);
    const wanted = sizes?.[i] ?? flat.shape[1]!;
    const missing = wanted - flat.shape[1]!;
    return toFloat(missing > 0 ? flat.constantPad([0, missing]) : flat.narrow(1, 0, wanted));
  });
  return cat(parts, 1);
};

const imputer: Rule = call => {
  const x = call.x(0);
  const floats = call.floats('imputed_value_floats');
  const list = floats ?? call.ints('imputed_value_int64s') ?? call.fail('imputed values are missing');
  const values = tensorOf(list, [list.length], x.dtype);
  const replaced = floats ? call.float('replaced_value_float', 0) : call.int('replaced_value_int64', 0);
  const missing = Number.isNaN(replaced) ? x.isnan() : x.eq(replaced);
  return call.like(0, missing.where(values.numel() === 1 ? values.reshape([]) : values, x));
};

/** Keys and values by any of the attributes that may hold them. */
const labelEncoder: Rule = call => {
  // Version 1: one list of strings, and positions in it.
  if (call.opset < 2) {
    const classes = call.texts('classes_strings') ?? [];
    if (call.isString(0)) {
      const { strings: texts, shape } = call.stringTensor(0);
      const absent = call.int('default_int64', -1);
      return tensorOf(texts.map(text => (classes.includes(text) ? classes.indexOf(text) : absent)), shape, 'i64'); // biome-ignore format: one line
    }
    const absent = call.text('default_string', '_Unused');
    return strings(call.numbers(0).map(i => classes[i] ?? absent), call.x(0).shape); // biome-ignore format: one line
  }
  type List = readonly (string | number)[];
  const listed = (prefix: string): { list: List; dtype: Tensor['dtype'] | 'string'; type?: NumericType } => {
    const texts = call.texts(`${prefix}_strings`);
    if (texts) return { list: texts, dtype: 'string' };
    const ints = call.ints(`${prefix}_int64s`);
    if (ints) return { list: ints, dtype: 'i64' };
    const floats = call.floats(`${prefix}_floats`);
    if (floats) return { list: floats, dtype: 'f32' };
    const tensor = call.tensorAttribute(`${prefix}_tensor`);
    if (tensor?.kind === 'strings') return { list: tensor.strings, dtype: 'string' };
    if (tensor?.kind === 'tensor')
      return {
        list: numbersOf(call.data(tensor.tensor, 0), tensor.tensor.dtype),
        dtype: tensor.tensor.dtype,
        type: tensor.type,
      };
    return call.fail(`${prefix} are missing`);
  };
  const [keys, values] = [listed('keys'), listed('values')];
  if (keys.list.length !== values.list.length) call.fail(`${keys.list.length} keys for ${values.list.length} values`);
  const key = (item: string | number): string =>
    typeof item === 'number' ? (Number.isNaN(item) ? 'nan' : String(item)) : item;
  const map = new Map(keys.list.map((item, i) => [key(item), values.list[i]!]));
  const given = call.tensorAttribute('default_tensor');
  const absent: string | number =
    given?.kind === 'strings' ? given.strings[0]! :
    given?.kind === 'tensor' ? numbersOf(call.data(given.tensor, 0), given.tensor.dtype)[0]! :
    values.dtype === 'string' ? call.text('default_string', '_Unused') :
    values.dtype === 'i64' ? call.int('default_int64', -1) :
    values.dtype === 'f32' ? call.float('default_float', -0) : 0; // biome-ignore format: a table
  const text = call.isString(0);
  const items: List = text ? call.stringTensor(0).strings : call.numbers(0);
  const shape = text ? call.stringTensor(0).shape : call.x(0).shape;
  const mapped = items.map(item => map.get(key(item)) ?? absent);
  if (values.dtype === 'string') return strings(mapped.map(String), shape);
  return typed(tensorOf(mapped.map(Number), shape, values.dtype), values.type ?? NATURAL[values.dtype]);
};

const rows = (x: Tensor): Tensor => (x.ndim === 1 ? x.reshape([1, x.numel()]) : x);

const linearClassifier: Rule = call => {
  const x = toFloat(rows(call.x(0)));
  const features = x.shape[1]!;
  const coefficients = call.floats('coefficients') ?? call.fail('coefficients are missing');
  const classes = coefficients.length / features;
  const weights = tensorOf(coefficients, [classes, features], 'f32');
  const intercepts = call.floats('intercepts');
  let scores = x.matmul(weights.T);
  if (intercepts) scores = scores.add(tensorOf(intercepts, [intercepts.length], 'f32'));
  const labels = call.texts('classlabels_strings')?.length || call.ints('classlabels_ints')?.length || 0;
  if (classes === 1 && labels === 2) {
    // One row of coefficients for two classes: the other takes what is left of 1, whether that is a probability or not.
    const single = postTransform(call, scores);
    const both = cat([single.neg().add(1), single], 1);
    const second = scores.gt(0).reshape([x.shape[0]!]).to('i64');
    return [labelsAt(call, second), both];
  }
  return [labelsAt(call, scores.argmax(1)), postTransform(call, scores)];
};

const linearRegressor: Rule = call => {
  const x = toFloat(rows(call.x(0)));
  const coefficients = call.floats('coefficients') ?? call.fail('coefficients are missing');
  const targets = call.int('targets', 1);
  const weights = tensorOf(coefficients, [targets, coefficients.length / targets], 'f32');
  const intercepts = call.floats('intercepts');
  const scores = x.matmul(weights.T);
  return postTransform(call, intercepts ? scores.add(tensorOf(intercepts, [intercepts.length], 'f32')) : scores);
};

const normalizer: Rule = call => {
  const x = toFloat(call.x(0));
  const kind = call.choice('norm', ['MAX', 'L1', 'L2'], 'MAX');
  const axis = x.ndim - 1;
  const options = { keepdim: true };
  const size =
    kind === 'MAX'
      ? x.abs().amax(axis, options)
      : kind === 'L1'
        ? x.abs().sum(axis, options)
        : x.mul(x).sum(axis, options).sqrt();
  return x.div(size.eq(0).where(1, size));
};

const oneHotEncoder: Rule = call => {
  const text = call.isString(0);
  const categories: readonly (string | number)[] =
    (text ? call.texts('cats_strings') : call.ints('cats_int64s')) ?? call.fail('categories are missing');
  const shape = text ? call.stringTensor(0).shape : call.x(0).shape;
  const items: readonly (string | number)[] = text ? call.stringTensor(0).strings : call.numbers(0).map(Math.trunc);
  const at = new Map(categories.map((category, i) => [category, i]));
  const width = categories.length;
  const values = new Float32Array(items.length * width);
  items.forEach((item, i) => {
    const found = at.get(item);
    if (found !== undefined) values[i * width + found] = 1;
    else if (!call.flag('zeros', true)) call.fail(`"${item}" is no known category`);
  });
  return tensorOf(values, [...shape, width], 'f32');
};

const scaler: Rule = call => {
  const x = toFloat(call.x(0));
  const vector = (name: string, absent: number): Tensor | number => {
    const values = call.floats(name);
    if (!values || values.length === 0) return absent;
    return values.length === 1 ? values[0]! : tensorOf(values, [values.length], 'f32');
  };
  return x.sub(vector('offset', 0)).mul(vector('scale', 1));
};

/** The kernel of support vector machines between rows of a and b. */
function kernel(call: Call, a: Tensor, b: Tensor): Tensor {
  const [gamma, coef0, degree] = call.floats('kernel_params') ?? [0, 0, 3];
  switch (call.choice('kernel_type', ['LINEAR', 'POLY', 'RBF', 'SIGMOID'], 'LINEAR')) {
    case 'POLY':
      return a.matmul(b.T).mul(gamma!).add(coef0!).pow(degree!);
    case 'RBF': {
      const square = (x: Tensor): Tensor => x.mul(x).sum(1);
      const distance = square(a).unsqueeze(1).add(square(b).unsqueeze(0)).sub(a.matmul(b.T).mul(2));
      return distance.mul(-gamma!).exp();
    }
    case 'SIGMOID':
      return a.matmul(b.T).mul(gamma!).add(coef0!).tanh();
    default:
      return a.matmul(b.T);
  }
}

const svmRegressor: Rule = call => {
  const x = toFloat(rows(call.x(0)));
  const coefficients = call.floats('coefficients') ?? call.fail('coefficients are missing');
  const count = call.int('n_supports', 0);
  const rho = call.floats('rho')?.[0] ?? 0;
  const features = x.shape[1]!;
  const scores =
    count > 0
      ? kernel(call, x, tensorOf(call.floats('support_vectors') ?? [], [count, features], 'f32')).matmul(
          tensorOf(coefficients, [count, 1], 'f32'),
        )
      : kernel(call, x, tensorOf(coefficients, [1, features], 'f32'));
  const moved = scores.add(rho);
  return postTransform(call, call.flag('one_class') ? moved.gt(0).where(full([], 1, { dtype: 'f32' }), -1) : moved);
};

const svmClassifier: Rule = call => {
  const x = toFloat(rows(call.x(0)));
  const features = x.shape[1]!;
  const coefficients = call.floats('coefficients') ?? call.fail('coefficients are missing');
  const rho = call.floats('rho') ?? [];
  const perClass = call.ints('vectors_per_class') ?? [];
  const n = x.shape[0]!;
  if (perClass.length === 0) {
    // Linear: one row of coefficients per class.
    const weights = tensorOf(coefficients, [coefficients.length / features, features], 'f32');
    const scores = kernel(call, x, weights).add(rho[0] ?? 0);
    return [labelsAt(call, scores.argmax(1)), postTransform(call, scores)];
  }
  const total = perClass.reduce((a, b) => a + b, 0);
  const similarity = kernel(call, x, tensorOf(call.floats('support_vectors') ?? [], [total, features], 'f32'));
  const starts = perClass.map((_, i) => perClass.slice(0, i).reduce((a, b) => a + b, 0));
  const weights = tensorOf(coefficients, [coefficients.length / total, total], 'f32');
  const classes = perClass.length;
  const [probA, probB] = [call.floats('prob_a') ?? [], call.floats('prob_b') ?? []];
  // One against one: class i's vectors with the coefficients against j, and the other way round.
  const decisions: Tensor[] = [];
  const votes: Tensor[][] = Array.from({ length: classes }, () => []);
  for (let i = 0; i < classes; i++)
    for (let j = i + 1; j < classes; j++) {
      const side = (of: number, against: number): Tensor =>
        similarity
          .narrow(1, starts[of]!, perClass[of]!)
          .matmul(weights.select(0, against).narrow(0, starts[of]!, perClass[of]!).unsqueeze(1))
          .reshape([n]);
      const score = side(i, j - 1)
        .add(side(j, i))
        .add(rho[decisions.length] ?? 0);
      decisions.push(score);
      votes[i]!.push(score.gt(0).to('i64'));
      votes[j]!.push(score.le(0).to('i64'));
    }
  const counted = stack(votes.map(list => list.reduce((a, b) => a.add(b), full([n], 0, { dtype: 'i64' }))), 1); // biome-ignore format: one line
  const scores = stack(decisions, 1);
  // The votes decide also where probabilities are given.
  const winner = counted.argmax(1);
  if (probA.length === 0) {
    if (classes === 2) {
      const decision = decisions[0]!.unsqueeze(1);
      return [labelsAt(call, winner), postTransform(call, cat([decision.neg(), decision], 1))];
    }
    return [labelsAt(call, winner), postTransform(call, scores)];
  }
  const probabilities = coupled(call, scores, classes, probA, probB);
  return [labelsAt(call, winner), postTransform(call, probabilities)];
};

/** Pairwise probabilities joined into one per class (Wu, Lin and Weng 2004, second method, as in LIBSVM). */
function coupled(call: Call, scores: Tensor, classes: number, a: readonly number[], b: readonly number[]): Tensor {
  const n = scores.shape[0]!;
  const host = numbersOf(call.data(scores, 0), scores.dtype);
  const output = new Float32Array(n * classes);
  for (let row = 0; row < n; row++) {
    const r = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
    let pair = 0;
    for (let i = 0; i < classes; i++)
      for (let j = i + 1; j < classes; j++, pair++) {
        const decision = host[row * a.length + pair]!;
        const p = Math.min(Math.max(1 / (1 + Math.exp(decision * a[pair]! + b[pair]!)), 1e-7), 1 - 1e-7);
        [r[i]![j], r[j]![i]] = [p, 1 - p];
      }
    const q = r.map((line, i) =>
      line.map((_, j) =>
        i === j ? r.reduce((sum, other, k) => (k === i ? sum : sum + other[i]! ** 2), 0) : -r[j]![i]! * r[i]![j]!,
      ),
    );
    const p = new Array<number>(classes).fill(1 / classes);
    for (let iteration = 0; iteration < Math.max(100, classes); iteration++) {
      const qp = q.map(line => line.reduce((sum, value, j) => sum + value * p[j]!, 0));
      let pqp = p.reduce((sum, value, i) => sum + value * qp[i]!, 0);
      if (Math.max(...qp.map(value => Math.abs(value - pqp))) < 0.005 / classes) break;
      for (let t = 0; t < classes; t++) {
        const diff = (pqp - qp[t]!) / q[t]![t]!;
        p[t]! += diff;
        pqp = (pqp + diff * (diff * q[t]![t]! + 2 * qp[t]!)) / (1 + diff) ** 2;
        for (let j = 0; j < classes; j++) {
          qp[j] = (qp[j]! + diff * q[t]![j]!) / (1 + diff);
          p[j]! /= 1 + diff;
        }
      }
    }
    output.set(p, row * classes);
  }
  return tensorOf(output, [n, classes], 'f32');
}

/** One map of label to score per row. */
const zipMap: Rule = call => {
  const x = rows(call.x(0));
  const texts = call.texts('classlabels_strings');
  const keys: readonly (string | bigint)[] =
    texts && texts.length > 0 ? texts : (call.ints('classlabels_int64s') ?? []).map(BigInt);
  return sequence(
    Array.from({ length: x.shape[0]! }, (_, i) => ({
      kind: 'map' as const,
      keys,
      values: keys.map((_, j) => typed(x.select(0, i).select(0, j), isFloat(x.dtype) ? call.type(0) : 'float')),
    })),
  );
};

export const ml: OperatorTable = {
  ArrayFeatureExtractor: arrayFeatureExtractor,
  Binarizer: binarizer,
  CastMap: castMap,
  CategoryMapper: categoryMapper,
  DictVectorizer: dictVectorizer,
  FeatureVectorizer: featureVectorizer,
  Imputer: imputer,
  LabelEncoder: labelEncoder,
  LinearClassifier: linearClassifier,
  LinearRegressor: linearRegressor,
  Normalizer: normalizer,
  OneHotEncoder: oneHotEncoder,
  SVMClassifier: svmClassifier,
  SVMRegressor: svmRegressor,
  Scaler: scaler,
  TreeEnsemble: treeEnsemble,
  TreeEnsembleClassifier: treeEnsembleClassifier,
  TreeEnsembleRegressor: treeEnsembleRegressor,
  ZipMap: zipMap,
};
