// Writes tests/fixtures/tfjs-models.json: small layers models and graphs with what TensorFlow.js itself computes from them. Run once where
// @tensorflow/tfjs is installed: node make_tfjs_models.mjs FOLDER_WITH_NODE_MODULES
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import util from 'node:util';

// TensorFlow.js 4 asks for functions that Node 23 dropped.
util.isNullOrUndefined ??= x => x === null || x === undefined;
util.isArray ??= Array.isArray;
const require = createRequire(`${process.argv[2]}/package.json`);
const tf = require('@tensorflow/tfjs');
await tf.setBackend('cpu');

let seed = 7;
const next = () => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.round((seed / 2 ** 32 - 0.5) * 2000) / 1000;
};
const values = n => Array.from({ length: n }, next);
const size = shape => shape.reduce((a, n) => a * n, 1);
const pack = array => Buffer.from(Float32Array.from(array).buffer).toString('base64');
const given = tensor => ({ shape: tensor.shape, dtype: tensor.dtype, data: pack(tensor.dataSync()) });

const l = tf.layers;
const models = {
  dense: [
    [[2, 5]],
    x => l.dense({ units: 3, activation: 'relu' }).apply(l.dense({ units: 4, useBias: false }).apply(x)),
  ],
  conv: [
    [[1, 9, 8, 2]],
    x => l.conv2d({ filters: 3, kernelSize: [3, 2], strides: 2, padding: 'same', activation: 'elu' }).apply(x),
  ],
  dilated: [[[1, 9, 9, 2]], x => l.conv2d({ filters: 2, kernelSize: 3, dilationRate: 2, padding: 'same' }).apply(x)],
  conv1d: [[[2, 7, 3]], x => l.conv1d({ filters: 2, kernelSize: 3, padding: 'same', dilationRate: 2 }).apply(x)],
  transpose: [
    [[1, 4, 5, 2]],
    x => l.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' }).apply(x),
  ],
  transposeValid: [
    [[1, 4, 5, 2]],
    x => l.conv2dTranspose({ filters: 3, kernelSize: [2, 4], strides: [3, 2], padding: 'valid' }).apply(x),
  ],
  depthwise: [
    [[1, 7, 6, 3]],
    x => l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, strides: 2, padding: 'same' }).apply(x),
  ],
  separable: [[[1, 6, 6, 2]], x => l.separableConv2d({ filters: 4, kernelSize: 3 }).apply(x)],
  pools: [
    [[1, 7, 7, 2]],
    x =>
      l
        .averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })
        .apply(l.maxPooling2d({ poolSize: 2, strides: 1, padding: 'same' }).apply(x)),
  ],
  pool1d: [[[2, 9, 2]], x => l.globalAveragePooling1d({}).apply(l.maxPooling1d({ poolSize: 3, strides: 2 }).apply(x))],
  norms: [[[2, 4, 3]], x => l.layerNormalization({}).apply(l.batchNormalization({ epsilon: 0.01 }).apply(x))],
  lstm: [[[2, 4, 3]], x => l.lstm({ units: 3, returnSequences: true }).apply(x)],
  gru: [[[2, 4, 3]], x => l.gru({ units: 3, goBackwards: true, recurrentActivation: 'sigmoid' }).apply(x)],
  rnn: [[[2, 4, 3]], x => l.simpleRNN({ units: 2 }).apply(x)],
  bidirectional: [
    [[2, 4, 3]],
    x => l.bidirectional({ layer: l.lstm({ units: 2, returnSequences: true }), mergeMode: 'concat' }).apply(x),
  ],
  timeDistributed: [[[2, 3, 4]], x => l.timeDistributed({ layer: l.dense({ units: 2 }) }).apply(x)],
  shapes: [
    [[2, 6, 2]],
    x => l.permute({ dims: [2, 1] }).apply(l.reshape({ targetShape: [4, 3] }).apply(l.flatten().apply(x))),
  ],
  borders: [
    [[1, 3, 4, 2]],
    x =>
      l
        .cropping2D({
          cropping: [
            [1, 0],
            [2, 1],
          ],
        })
        .apply(
          l
            .zeroPadding2d({
              padding: [
                [1, 2],
                [0, 3],
              ],
            })
            .apply(x),
        ),
  ],
  upsampling: [[[1, 3, 2, 2]], x => l.upSampling2d({ size: [2, 3] }).apply(x)],
  activations: [
    [[2, 6]],
    x =>
      l
        .concatenate()
        .apply([
          l.leakyReLU({ alpha: 0.2 }).apply(x),
          l.prelu().apply(x),
          l.thresholdedReLU({ theta: 0.3 }).apply(x),
          l.reLU({ maxValue: 0.5 }).apply(x),
          l.softmax().apply(x),
          l.activation({ activation: 'hardSigmoid' }).apply(x),
          l.activation({ activation: 'softsign' }).apply(x),
        ]),
  ],
  merges: [
    [
      [2, 3],
      [2, 3],
    ],
    (x, y) =>
      l
        .average()
        .apply([
          l.multiply().apply([x, y]),
          l.maximum().apply([x, y]),
          l.add().apply([x, x, y]),
          l.minimum().apply([x, y]),
        ]),
  ],
  dot: [
    [
      [2, 3, 4],
      [2, 5, 4],
    ],
    (x, y) => l.dot({ axes: 2, normalize: true }).apply([x, y]),
  ],
  repeated: [[[2, 3]], x => l.repeatVector({ n: 2 }).apply(x)],
};

const shared = l.dense({ units: 3, name: 'twice' });
models.sharedLayer = [[[2, 3]], x => shared.apply(shared.apply(x))];
models.twoOutputs = [[[2, 3]], x => [l.dense({ units: 2 }).apply(x), l.dense({ units: 1 }).apply(x)]];
const inside = tf.sequential({
  layers: [l.dense({ units: 4, inputShape: [3], activation: 'tanh' }), l.dense({ units: 2 })],
});
models.nested = [[[2, 3]], x => l.dense({ units: 2 }).apply(inside.apply(x))];

const out = { layers: {}, graphs: {} };
for (const [name, [shapes, build]] of Object.entries(models)) {
  const inputs = shapes.map(shape => tf.input({ shape: shape.slice(1) }));
  const model = tf.model({ inputs, outputs: build(...inputs) });
  model.setWeights(
    model.getWeights().map((w, i) => {
      const v = values(w.size);
      // Variances are positive.
      return tf.tensor(model.weights[i].name.includes('variance') ? v.map(x => Math.abs(x) + 0.5) : v, w.shape);
    }),
  );
  const xs = shapes.map(shape => tf.tensor(values(size(shape)), shape));
  const ys = [model.predict(xs.length === 1 ? xs[0] : xs)].flat();
  let saved;
  await model.save(
    tf.io.withSaveHandler(async artifacts => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  out.layers[name] = {
    model: {
      modelTopology: saved.modelTopology,
      format: 'layers-model',
      weightsManifest: [{ paths: ['weights.bin'], weights: saved.weightSpecs }],
    },
    weights: Buffer.from(
      tf.io.CompositeArrayBuffer ? tf.io.CompositeArrayBuffer.join(saved.weightData) : saved.weightData,
    ).toString('base64'),
    inputs: xs.map(given),
    outputs: ys.map(given),
  };
}

const b64 = text => Buffer.from(text).toString('base64');
const attr = {
  int: v => ({ i: String(v) }),
  float: v => ({ f: v }),
  flag: v => ({ b: v }),
  text: v => ({ s: b64(v) }),
  ints: v => ({ list: { i: v.map(String) } }),
  texts: v => ({ list: { s: v.map(b64) } }),
  type: v => ({ type: v }),
};
const t = (shape, v = values(size(shape)), dtype = 'float32') => ({ shape, v, dtype });
const ints = (...v) => t([v.length], v, 'int32');
const scalar = v => t([], [v], 'int32');
const nhwc = { data_format: attr.text('NHWC') };
const windowed = (strides, padding, more = {}) => ({
  strides: attr.ints([1, ...strides, 1]),
  padding: attr.text(padding),
  dilations: attr.ints([1, 1, 1, 1]),
  ...nhwc,
  ...more,
});
const mask = o =>
  Object.fromEntries(
    ['begin', 'end', 'ellipsis', 'new_axis', 'shrink_axis'].map(k => [`${k}_mask`, attr.int(o[k] ?? 0)]),
  );
// op, attributes, inputs, number of outputs
const graphs = {
  matmul: ['MatMul', { transpose_a: attr.flag(false), transpose_b: attr.flag(true) }, [t([2, 3]), t([4, 3])]],
  fusedMatmul: [
    '_FusedMatMul',
    {
      transpose_a: attr.flag(false),
      transpose_b: attr.flag(false),
      fused_ops: attr.texts(['BiasAdd', 'Relu']),
      num_args: attr.int(1),
      epsilon: attr.float(0),
    },
    [t([2, 3]), t([3, 4]), t([4])],
  ],
  batchMatmul: ['BatchMatMulV2', { adj_x: attr.flag(true), adj_y: attr.flag(false) }, [t([2, 3, 2]), t([2, 3, 4])]],
  conv: ['Conv2D', windowed([2, 2], 'SAME'), [t([1, 6, 7, 2]), t([3, 3, 2, 3])]],
  convExplicit: [
    'Conv2D',
    windowed([1, 1], 'EXPLICIT', { explicit_paddings: attr.ints([0, 0, 1, 2, 0, 1, 0, 0]) }),
    [t([1, 4, 4, 1]), t([2, 2, 1, 2])],
  ],
  fusedConv: [
    '_FusedConv2D',
    windowed([1, 1], 'VALID', {
      fused_ops: attr.texts(['BiasAdd', 'Relu6']),
      num_args: attr.int(1),
      epsilon: attr.float(0),
    }),
    [t([1, 5, 5, 2]), t([3, 3, 2, 3]), t([3])],
  ],
  depthwise: ['DepthwiseConv2dNative', windowed([1, 1], 'SAME'), [t([1, 5, 5, 2]), t([3, 3, 2, 2])]],
  convBackward: ['Conv2DBackpropInput', windowed([2, 2], 'SAME'), [ints(1, 6, 6, 2), t([3, 3, 2, 3]), t([1, 3, 3, 3])]],
  maxPool: ['MaxPool', windowed([2, 2], 'SAME', { ksize: attr.ints([1, 3, 3, 1]) }), [t([1, 6, 5, 2])]],
  avgPool: ['AvgPool', windowed([2, 2], 'SAME', { ksize: attr.ints([1, 3, 3, 1]) }), [t([1, 6, 5, 2])]],
  batchNorm: [
    'FusedBatchNormV3',
    { epsilon: attr.float(0.001), is_training: attr.flag(false), ...nhwc },
    [t([1, 3, 3, 2]), t([2]), t([2]), t([2]), t([2], [0.5, 2])],
  ],
  softmax: ['Softmax', {}, [t([2, 4])]],
  prelu: ['Prelu', {}, [t([2, 3]), t([3])]],
  leaky: ['LeakyRelu', { alpha: attr.float(0.1) }, [t([4])]],
  mean: ['Mean', { keep_dims: attr.flag(true) }, [t([2, 3, 4]), ints(1, -1)]],
  sum: ['Sum', { keep_dims: attr.flag(false) }, [t([2, 3, 4]), ints(0)]],
  max: ['Max', { keep_dims: attr.flag(false) }, [t([2, 3, 4]), ints(2)]],
  prod: ['Prod', { keep_dims: attr.flag(false) }, [t([2, 3]), ints(0, 1)]],
  argMax: ['ArgMax', {}, [t([3, 4]), scalar(1)]],
  topk: ['TopKV2', { sorted: attr.flag(true) }, [t([2, 5]), scalar(3)], 2],
  cumsum: ['Cumsum', { exclusive: attr.flag(true), reverse: attr.flag(true) }, [t([2, 4]), scalar(1)]],
  reshape: ['Reshape', {}, [t([2, 6]), ints(3, -1)]],
  transpose: ['Transpose', {}, [t([2, 3, 4]), ints(2, 0, 1)]],
  concat: ['ConcatV2', { N: attr.int(2) }, [t([2, 2]), t([2, 3]), scalar(-1)]],
  pack: ['Pack', { axis: attr.int(1), N: attr.int(2) }, [t([2, 2]), t([2, 2])]],
  unpack: ['Unpack', { axis: attr.int(0), num: attr.int(2) }, [t([2, 3])], 2],
  splitV: ['SplitV', { num_split: attr.int(2) }, [t([2, 5]), ints(2, 3), scalar(1)], 2],
  slice: ['Slice', {}, [t([3, 4]), ints(1, 0), ints(-1, 2)]],
  // With a dim dropped as well, TensorFlow.js reads the wrong places unless every stride is 1.
  strided: ['StridedSlice', mask({ begin: 2, end: 4 }), [t([3, 4, 5]), ints(1, 1, 1), ints(2, 4, 3), ints(1, 2, 2)]],
  stridedDropped: [
    'StridedSlice',
    mask({ begin: 2, end: 4, shrink_axis: 1 }),
    [t([3, 4, 5]), ints(1, 1, 1), ints(2, 3, 3), ints(1, 1, 1)],
  ],
  stridedBack: ['StridedSlice', mask({ end: 1 }), [t([5]), ints(3), ints(0), ints(-2)]],
  stridedNew: [
    'StridedSlice',
    mask({ ellipsis: 1, new_axis: 2 }),
    [t([2, 3]), ints(0, 0, 1), ints(0, 0, 3), ints(1, 1, 1)],
  ],
  pad: ['PadV2', {}, [t([2, 3]), t([2, 2], [1, 0, 0, 2], 'int32'), t([], [0.5])]],
  mirror: [
    'MirrorPad',
    { mode: attr.text('REFLECT') },
    [t([1, 3, 4, 1]), t([4, 2], [0, 0, 1, 2, 2, 0, 0, 0], 'int32')],
  ],
  tile: ['Tile', {}, [t([2, 2]), ints(1, 3)]],
  gather: ['GatherV2', { batch_dims: attr.int(0) }, [t([4, 3]), t([2, 2], [3, 0, 1, 1], 'int32'), scalar(0)]],
  gatherNd: ['GatherNd', {}, [t([3, 4, 2]), t([2, 2], [2, 1, 0, 3], 'int32')]],
  oneHot: [
    'OneHot',
    { axis: attr.int(-1), dtype: attr.type('DT_FLOAT') },
    [ints(2, 0), scalar(3), t([], [2]), t([], [-1])],
  ],
  resize: [
    'ResizeBilinear',
    { align_corners: attr.flag(false), half_pixel_centers: attr.flag(true) },
    [t([1, 3, 4, 1]), ints(5, 6)],
  ],
  resizeOld: [
    'ResizeBilinear',
    { align_corners: attr.flag(false), half_pixel_centers: attr.flag(false) },
    [t([1, 3, 4, 1]), ints(5, 6)],
  ],
  nearest: [
    'ResizeNearestNeighbor',
    { align_corners: attr.flag(false), half_pixel_centers: attr.flag(false) },
    [t([1, 3, 4, 1]), ints(5, 2)],
  ],
  spaceToBatch: ['SpaceToBatchND', {}, [t([1, 3, 4, 2]), ints(2, 2), t([2, 2], [1, 0, 0, 0], 'int32')]],
  batchToSpace: ['BatchToSpaceND', {}, [t([4, 2, 2, 1]), ints(2, 2), t([2, 2], [0, 1, 1, 0], 'int32')]],
  depthToSpace: ['DepthToSpace', { block_size: attr.int(2), ...nhwc }, [t([1, 2, 2, 8])]],
  select: ['SelectV2', {}, [t([2, 3], [1, 0, 1, 0, 0, 1], 'bool'), t([2, 3]), t([2, 3])]],
  squaredDifference: ['SquaredDifference', {}, [t([2, 3]), t([3])]],
  floorMod: ['FloorMod', {}, [t([4]), t([4])]],
  einsum: ['Einsum', { equation: attr.text('bij,bjk->bik'), N: attr.int(2) }, [t([2, 2, 3]), t([2, 3, 2])]],
  fill: ['Fill', {}, [ints(2, 3), t([], [0.25])]],
  squeeze: ['Squeeze', { squeeze_dims: attr.ints([1]) }, [t([2, 1, 3, 1])]],
  log1p: ['Log1p', {}, [t([3], [0.1, 2, 5])]],
  erf: ['Erf', {}, [t([4])]],
  batchSoftplus: ['Softplus', {}, [t([4])]],
};
const tfType = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' };
for (const [name, [op, attributes, inputs, outputs = 1]] of Object.entries(graphs)) {
  // The first floating input is fed, the others are constants.
  const fed = Math.max(
    0,
    inputs.findIndex(({ dtype }) => dtype === 'float32'),
  );
  const nodes = inputs.map(({ shape, dtype }, i) => ({
    name: `in${i}`,
    op: i === fed ? 'Placeholder' : 'Const',
    attr: {
      dtype: attr.type(tfType[dtype]),
      ...(i === fed && { shape: { shape: { dim: shape.map(n => ({ size: String(n) })) } } }),
    },
  }));
  const first = inputs[fed].dtype;
  nodes.push({
    name: 'op',
    op,
    input: inputs.map((_, i) => `in${i}`),
    attr: { T: attr.type(tfType[first]), ...attributes },
  });
  const results = Array.from({ length: outputs }, (_, k) => `out${k}`);
  for (const [k, result] of results.entries())
    nodes.push({ name: result, op: 'Identity', input: [k ? `op:${k}` : 'op'], attr: { T: attr.type('DT_FLOAT') } });
  const constants = inputs.map((x, i) => [x, `in${i}`]).filter((_, i) => i !== fed);
  const bytes = Buffer.concat(
    constants.map(([{ v, dtype }]) =>
      Buffer.from(
        dtype === 'float32'
          ? Float32Array.from(v).buffer
          : dtype === 'int32'
            ? Int32Array.from(v).buffer
            : Uint8Array.from(v),
      ),
    ),
  );
  const specs = constants.map(([{ shape, dtype }, key]) => ({ name: key, shape, dtype }));
  const topology = { node: nodes, versions: { producer: 1 } };
  const model = await tf.loadGraphModel(
    tf.io.fromMemory({ modelTopology: topology, weightSpecs: specs, weightData: new Uint8Array(bytes).buffer }),
  );
  const x = tf.tensor(inputs[fed].v, inputs[fed].shape, inputs[fed].dtype);
  const ys = [model.execute({ [`in${fed}`]: x }, results)].flat();
  out.graphs[name] = {
    model: {
      format: 'graph-model',
      modelTopology: topology,
      weightsManifest: [{ paths: ['weights.bin'], weights: specs }],
    },
    weights: bytes.toString('base64'),
    inputs: [given(x)],
    outputs: ys.map(given),
  };
}
writeFileSync(new URL('../fixtures/tfjs-models.json', import.meta.url), `${JSON.stringify(out)}\n`);
