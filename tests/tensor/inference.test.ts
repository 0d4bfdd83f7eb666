/**
 * Compiled inference keeps what depends on weights alone from call to call, and lays images out as it likes: the
 * results are those of the same calls run one by one, for every architecture here, and follow the weights when these
 * change.
 */
import { cat, compile, F, manualSeed, noGrad, randn, setNumThreads, type Tensor } from 'tenon';
import { BatchNorm2d, Conv2d, Linear, Sequential } from 'tenon/nn';
import { expect, test } from 'vitest';

const largest = (x: Tensor): number => x.abs().amax().item();

/** Compares `forward` compiled and not, on one and two threads, before and after `weight` changes. */
function sameCompiled(forward: (x: Tensor) => Tensor, x: Tensor, change: () => void): void {
  const infer = compile((input: Tensor): Tensor => noGrad(() => forward(input)));
  for (let round = 0; round < 2; round++) {
    const expected = noGrad(() => forward(x));
    expected.data();
    const tolerance = 2e-5 * largest(expected);
    const results = [1, 2, 1].map(threads => {
      setNumThreads(threads);
      return infer(x);
    });
    setNumThreads(1);
    for (const result of results) {
      expect(result.shape).toEqual(expected.shape);
      expect(largest(result.sub(expected))).toBeLessThanOrEqual(tolerance);
      expect(result.toArray()).toEqual(results[0]!.toArray());
    }
    change();
  }
}

const conv = (inputs: number, outputs: number, size: number, options: object = {}): Conv2d =>
  new Conv2d(inputs, outputs, size, options);

test('pointwise, depthwise and full convolutions with batch norm, a residual and a classifier', () => {
  manualSeed(1);
  const [expand, norm] = [conv(16, 48, 1, { bias: false }), new BatchNorm2d(48)];
  const depthwise = conv(48, 48, 3, { padding: 1, groups: 48, stride: 2 });
  const [project, full, head] = [conv(48, 24, 1), conv(24, 24, 3, { padding: 1 }), new Linear(24, 10)];
  norm.eval();
  const forward = (x: Tensor): Tensor => {
    const wide = norm.call(expand.call(x)).clamp(0, 6);
    const narrow = project.call(depthwise.call(wide).relu());
    return head.call(F.adaptiveAvgPool2d(full.call(narrow).add(narrow).relu(), 1).flatten(1));
  };
  sameCompiled(forward, randn([2, 16, 15, 13]), () => {
    expand.weight.assign(expand.weight.mul(-1.5));
    norm.runningMean!.assign(norm.runningMean!.add(0.25));
  });
});

test('borders: strides, dilations and paddings of every kind, ragged channels, images of one row', () => {
  manualSeed(2);
  const cases: readonly (readonly [
    channels: number,
    size: readonly [number, number],
    kernel: number,
    options: object,
  ])[] = [
    [40, [9, 17], 5, { padding: 2 }],
    [32, [12, 30], 3, { padding: 2, dilation: 2 }],
    [16, [8, 7], 7, { padding: 3, stride: 2 }],
    [20, [1, 33], 1, { stride: 3 }],
    [33, [6, 6], 3, {}],
    [64, [14, 14], 3, { padding: 1 }],
    [64, [5, 28], 3, { padding: [0, 1], stride: [1, 2] }],
  ];
  for (const [channels, [h, w], kernel, options] of cases) {
    const full = conv(channels, channels, kernel, options);
    const depthwise = conv(channels, channels, kernel, { ...options, groups: channels });
    const image = randn([2, channels, h, w]);
    sameCompiled(
      x => full.call(x).add(depthwise.call(x)),
      image,
      () => depthwise.weight.assign(depthwise.weight.add(1)),
    );
  }
});

test('what cannot follow the layout is put back: flatten, permute, concat, pooling, groups, transposed convolution, results', () => {
  manualSeed(3);
  const [one, two] = [conv(16, 32, 3, { padding: 1 }), conv(48, 32, 1)];
  const grouped = conv(32, 32, 3, { padding: 1, groups: 2 });
  const gate = new Sequential(conv(32, 32, 1), conv(32, 32, 1));
  const head = new Linear(32 * 4 * 4, 7);
  const x = randn([2, 16, 8, 8]);
  const change = (): void => void one.weight.assign(one.weight.mul(2));
  sameCompiled(x => one.call(x), x, change);
  sameCompiled(x => one.call(x).permute([0, 2, 3, 1]), x, change);
  sameCompiled(x => two.call(F.maxPool2d(cat([one.call(x), x], 1), 3, { stride: 2, padding: 1 })), x, change);
  sameCompiled(x => head.call(F.avgPool2d(grouped.call(one.call(x)), 2).flatten(1)), x, change);
  sameCompiled(
    x => {
      const y = one.call(x);
      return y.mul(gate.call(y.mean([2, 3], { keepdim: true })).sigmoid());
    },
    x,
    change,
  );
  sameCompiled(x => F.interpolate(one.call(x), { scaleFactor: 2, mode: 'bilinear' }), x, change);
  const up = randn([32, 16, 2, 2]);
  sameCompiled(x => F.convTranspose2d(one.call(x), up, null, { stride: 2 }), x, change);
  sameCompiled(x => one.call(x).softmax(1).argmax(1), x, change);
  sameCompiled(x => one.call(x).reshape([2, 4, 8, 8, 8]).sum(2).cumsum(1), x, change);
});

test('one and three spatial dims', () => {
  manualSeed(4);
  const [line, volume, depthwise] = [randn([32, 16, 5]), randn([24, 4, 3, 3, 3]), randn([16, 1, 4])];
  const change = (): void => {};
  sameCompiled(
    x => F.conv1d(F.conv1d(x, depthwise, null, { groups: 16, padding: 3 }), line),
    randn([2, 16, 40]),
    change,
  );
  sameCompiled(x => F.conv3d(x, volume, null, { padding: 1 }), randn([1, 4, 5, 6, 7]), change);
});
