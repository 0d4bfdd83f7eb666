/**
 * Control flow of TensorFlow graphs of both generations: closed forms, each eager and inside compile (where it becomes
 * cond and whileLoop).
 */
import { describe, expect, test } from 'vitest';
import { type GraphModel, loadTfjs } from '../../src/formats/index.ts';
import { compile, Tensor } from '../../src/tensor/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

type Node = { name: string; op: string; input?: string[]; attr?: object };
const node = (name: string, op: string, input: string[] = [], attr: object = {}): Node => ({ name, op, input, attr });
const float = { dtype: { type: 'DT_FLOAT' } };
const int = { dtype: { type: 'DT_INT32' } };
const calls = (attributes: Readonly<Record<string, string>>): object =>
  Object.fromEntries(Object.entries(attributes).map(([key, name]) => [key, { func: { name } }]));

/** Constants, float32 or int32 scalars, by name. */
type Constants = Readonly<Record<string, readonly [type: 'float32' | 'int32', value: number]>>;

function graph(nodes: readonly Node[], constants: Constants, output: string, functions: readonly object[] = []) {
  const weights = Object.entries(constants).map(([name, [dtype]]) => ({ name, shape: [], dtype }));
  const bytes = Buffer.concat(
    Object.values(constants).map(([type, value]) =>
      Buffer.from((type === 'int32' ? Int32Array.of(value) : Float32Array.of(value)).buffer),
    ),
  );
  folder.write('weights.bin', bytes);
  const path = folder.write(
    'model.json',
    JSON.stringify({
      modelTopology: { node: nodes, library: { function: functions } },
      signature: { outputs: { out: { name: output } } },
      weightsManifest: [{ paths: ['weights.bin'], weights }],
    }),
  );
  return loadTfjs(path) as GraphModel;
}

/** What the graph gives of each x, eager and inside compile. */
function expectOf(model: GraphModel, cases: readonly (readonly [x: number, y: number])[]): void {
  const compiled = compile((x: Tensor) => model.call(x) as Tensor);
  for (const [x, y] of cases) {
    expect((model.call(Tensor.from(x)) as Tensor).item()).toBeCloseTo(y, 4);
    expect(compiled(Tensor.from(x)).item()).toBeCloseTo(y, 4);
  }
}

const fn = (name: string, inputs: string[], outputs: Readonly<Record<string, string>>, nodeDef: Node[]): object => ({
  signature: {
    name,
    inputArg: inputs.map(input => ({ name: input, type: 'DT_FLOAT' })),
    outputArg: Object.keys(outputs).map(output => ({ name: output, type: 'DT_FLOAT' })),
  },
  nodeDef,
  ret: outputs,
});

describe('functions of TensorFlow 2', () => {
  test('If: 2 x where x > 1, else x - 3', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('one', 'Const'),
        node('positive', 'Greater', ['x', 'one']),
        node('if', 'StatelessIf', ['positive', 'x'], calls({ then_branch: 'double', else_branch: 'less' })),
        node('out', 'Identity', ['if']),
      ],
      { one: ['float32', 1], 'double/two': ['float32', 2], 'less/three': ['float32', 3] },
      'out',
      [
        fn('double', ['a'], { y: 'double/product:z:0' }, [
          node('double/two', 'Const'),
          node('double/product', 'Mul', ['a', 'double/two:output:0']),
        ]),
        fn('less', ['a'], { y: 'less/rest:z:0' }, [
          node('less/three', 'Const'),
          node('less/rest', 'Sub', ['a', 'less/three:output:0']),
        ]),
      ],
    );
    expectOf(model, [[2, 4], [0.5, -2.5], [1, -2]]); // biome-ignore format: a table
    expect(model.namedParameters().map(([name]) => name)).toEqual(['one', 'double/two', 'less/three']);
  });

  test('While: doubled until it is over 100, and how often', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('zero', 'Const'),
        node('while', 'While', ['x', 'zero'], calls({ cond: 'small', body: 'double' })),
        node('out', 'AddV2', ['while:0', 'while:1']),
      ],
      { zero: ['float32', 0], 'b/one': ['float32', 1], 'c/limit': ['float32', 100] },
      'out',
      [
        fn('small', ['v', 'n'], { go: 'c/less:z:0' }, [
          node('c/limit', 'Const'),
          node('c/less', 'Less', ['v', 'c/limit:output:0']),
        ]),
        fn('double', ['v', 'n'], { v2: 'b/twice:output:0', n2: 'b/next:z:0' }, [
          node('b/one', 'Const'),
          node('b/twice', 'PartitionedCall', ['v'], calls({ f: 'twice' })),
          node('b/next', 'AddV2', ['n', 'b/one:output:0']),
        ]),
        fn('twice', ['v'], { y: 't/sum:z:0' }, [node('t/sum', 'AddV2', ['v', 'v'])]),
      ],
    );
    expectOf(model, [[3, 192 + 6], [200, 200], [50, 100 + 1]]); // biome-ignore format: a table
  });

  test('a function that calls itself, or is not there', () => {
    const nodes = [node('x', 'Placeholder', [], float), node('out', 'PartitionedCall', ['x'], calls({ f: 'f' }))];
    const endless = fn('f', ['a'], { y: 'f/again:output:0' }, [
      node('f/again', 'PartitionedCall', ['a'], calls({ f: 'f' })),
    ]);
    expect(() => graph(nodes, {}, 'out', [endless]).call(Tensor.from(1))).toThrow(/call one another deeper than 64/);
    expect(() => graph(nodes, {}, 'out').call(Tensor.from(1))).toThrow('the function f is not in the library');
  });
});

/** while (v < limit) { v = v * 2; n = n + 1 } with the loop's frame named `frame`. */
const loop = (frame: string, start: string, limit: string): Node[] => {
  const name = (part: string): string => `${frame}/${part}`;
  const enter = (constant = false): object => ({
    frame_name: { s: Buffer.from(frame).toString('base64') },
    is_constant: { b: constant },
  });
  return [
    node(name('enter'), 'Enter', [start], enter()),
    node(name('limit'), 'Enter', [limit], enter(true)),
    node(name('merge'), 'Merge', [name('enter'), name('next')]),
    node(name('less'), 'Less', [name('merge'), name('limit')]),
    node(name('cond'), 'LoopCond', [name('less')]),
    node(name('switch'), 'Switch', [name('merge'), name('cond')]),
    node(name('exit'), 'Exit', [name('switch')]),
    node(name('body'), 'Identity', [`${name('switch')}:1`]),
    node(name('twice'), 'AddV2', [name('body'), name('body')]),
    node(name('next'), 'NextIteration', [name('twice')]),
  ];
};

describe('Switch, Merge and frames of TensorFlow 1', () => {
  test('branches, one of them a constant', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('one', 'Const'),
        node('large', 'Greater', ['x', 'one']),
        node('switch', 'Switch', ['x', 'large']),
        node('square', 'Mul', ['switch:1', 'switch:1']),
        node('seven', 'Const', ['^switch']),
        node('merge', 'Merge', ['seven', 'square']),
        node('out', 'Identity', ['merge']),
      ],
      { one: ['float32', 1], seven: ['float32', 7] },
      'out',
    );
    expectOf(model, [[3, 9], [0, 7]]); // biome-ignore format: a table
  });

  test('a branch within a branch', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('one', 'Const'),
        node('ten', 'Const'),
        node('large', 'Greater', ['x', 'one']),
        node('outer', 'Switch', ['x', 'large']),
        node('huge', 'Greater', ['outer:1', 'ten']),
        node('inner', 'Switch', ['outer:1', 'huge']),
        node('negated', 'Neg', ['inner:1']),
        node('squared', 'Square', ['inner:0']),
        node('within', 'Merge', ['squared', 'negated']),
        node('kept', 'Identity', ['outer:0']),
        node('merge', 'Merge', ['kept', 'within']),
        node('out', 'Identity', ['merge:0']),
      ],
      { one: ['float32', 1], ten: ['float32', 10] },
      'out',
    );
    expectOf(model, [[0.5, 0.5], [3, 9], [20, -20]]); // biome-ignore format: a table
  });

  test('a loop, and what follows it', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('limit', 'Const'),
        ...loop('while', 'x', 'limit'),
        node('out', 'AddV2', ['while/exit', 'x']),
      ],
      { limit: ['float32', 100] },
      'out',
    );
    expectOf(model, [[3, 195], [200, 400]]); // biome-ignore format: a table
  });

  test('a loop within a branch, and one after another', () => {
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('one', 'Const'),
        node('limit', 'Const'),
        node('more', 'Const'),
        node('large', 'Greater', ['x', 'one']),
        node('switch', 'Switch', ['x', 'large']),
        ...loop('first', 'switch:1', 'limit'),
        ...loop('second', 'first/exit', 'more'),
        node('negated', 'Neg', ['switch:0']),
        node('merge', 'Merge', ['negated', 'second/exit']),
        node('out', 'Identity', ['merge']),
      ],
      { one: ['float32', 1], limit: ['float32', 100], more: ['float32', 1000] },
      'out',
    );
    expectOf(model, [[3, 1536], [0.5, -0.5]]); // biome-ignore format: a table
  });

  test('a loop within a loop: 2 ** (2 ** k) style growth', () => {
    // The outer body runs the inner loop up to twice its value and adds one.
    const outer = loop('outer', 'x', 'limit').filter(({ name }) => name !== 'outer/twice');
    const model = graph(
      [
        node('x', 'Placeholder', [], float),
        node('limit', 'Const'),
        node('one', 'Const'),
        ...outer,
        node('goal', 'AddV2', ['outer/body', 'outer/body']),
        ...loop('inner', 'outer/body', 'goal'),
        node('outer/one', 'Enter', ['one'], {
          frame_name: { s: Buffer.from('outer').toString('base64') },
          is_constant: { b: true },
        }),
        node('outer/twice', 'AddV2', ['inner/exit', 'outer/one']),
        node('out', 'Identity', ['outer/exit']),
      ],
      { limit: ['float32', 50], one: ['float32', 1] },
      'out',
    );
    // 3 -> 7 -> 15 -> 31 -> 63
    expectOf(model, [[3, 63], [60, 60]]); // biome-ignore format: a table
  });

  test('a TensorArray and a TensorList that are filled: squares of 0 to 3, times x', () => {
    const constants: Constants = {
      four: ['int32', 4],
      i0: ['int32', 0],
      i1: ['int32', 1],
      shape: ['int32', -1],
      axis: ['int32', 0],
      one: ['float32', 1],
    };
    const inside = (type: 'list' | 'array'): Node[] => [
      node('b/f', 'Cast', ['i'], { DstT: { type: 'DT_FLOAT' } }),
      node('b/square', 'Mul', ['b/f:y:0', 'b/f:y:0']),
      node('b/value', 'Mul', ['b/square:z:0', 'x']),
      type === 'list'
        ? node('b/list', 'TensorListSetItem', ['list', 'i', 'b/value:z:0'])
        : node('b/list', 'TensorArrayWriteV3', ['handle', 'i', 'b/value:z:0', 'list']),
      node('i1', 'Const'),
      node('b/next', 'AddV2', ['i', 'i1:output:0']),
    ];
    const model = (type: 'list' | 'array', ends: Node[] = [node('four', 'Const'), node('c/less', 'Less', ['i', 'four:output:0'])]): GraphModel => {
      const made =
        type === 'list'
          ? [node('list', 'TensorListReserve', ['shape', 'four'], { element_dtype: { type: 'DT_FLOAT' } })]
          : [node('list', 'TensorArrayV3', ['four'], { dtype: { type: 'DT_FLOAT' } })];
      const [first, flow] = type === 'list' ? ['i0', 'list'] : ['list:0', 'list:1'];
      return graph(
        [
          node('x', 'Placeholder', [], float),
          node('four', 'Const', [], int), node('i0', 'Const', [], int), node('i1', 'Const', [], int), node('shape', 'Const', [], int), node('axis', 'Const', [], int),
          ...made,
          node('while', 'While', ['i0', flow!, 'x', first!], calls({ cond: 'c', body: 'b' })),
          ...(type === 'list'
            ? [node('all', 'TensorListStack', ['while:1', 'shape'])]
            : [node('r', 'Range', ['i0', 'four', 'i1']), node('all', 'TensorArrayGatherV3', ['list:0', 'r', 'while:1'])]),
          node('out', 'Sum', ['all', 'axis']),
        ],
        constants,
        'out',
        [
          fn('c', ['i', 'list', 'x', 'handle'], { go: 'c/less:z:0' }, ends),
          fn('b', ['i', 'list', 'x', 'handle'], { i2: 'b/next:z:0', l2: 'b/list:0', x2: 'x', h2: 'handle' }, inside(type)),
        ],
      );
    }; // biome-ignore format: calls in one line
    // An end that the data decides: while i < x + 1, of at most four.
    const byData = [
      node('one', 'Const', [], float),
      node('b/i', 'Cast', ['i'], { DstT: { type: 'DT_FLOAT' } }),
      node('c/end', 'AddV2', ['x', 'one:output:0']),
      node('c/less', 'Less', ['b/i:y:0', 'c/end:z:0']),
    ];
    for (const type of ['list', 'array'] as const) {
      for (const [ends, x, want] of [
        [undefined, 2, 2 * (0 + 1 + 4 + 9)],
        [byData, 2, 2 * (0 + 1 + 4)],
        [byData, 1, 1],
      ] as const) {
        const loop = model(type, ends);
        expect((loop.call(Tensor.from(x)) as Tensor).item()).toBeCloseTo(want, 5);
        expect(compile((value: Tensor) => loop.call(value) as Tensor)(Tensor.from(x)).item()).toBeCloseTo(want, 5);
      }
    }
  });

  test('what is no control flow is named', () => {
    const merge = [node('x', 'Placeholder', [], float), node('out', 'Merge', ['x', 'x'])];
    expect(() => graph(merge, {}, 'out').call(Tensor.from(1))).toThrow('no Switch says which of its inputs there is');
    const exit = [node('x', 'Placeholder', [], float), node('out', 'Exit', ['x'])];
    expect(() => graph(exit, {}, 'out').call(Tensor.from(1))).toThrow('it does not leave a loop');
  });
});
