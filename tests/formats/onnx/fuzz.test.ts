/**
 * Damaged and hostile files: always an error in one sentence that names the file, never a crash, a hang or an
 * allocation beyond the file.
 */
import fc from 'fast-check';
import { Tensor } from 'tenon';
import { onnx } from 'tenon/formats';
import { expect, it } from 'vitest';
import type { GraphProto, NodeProto, TensorProto } from '../../../src/formats/onnx/proto/schema.ts';
import { floats, model, node, perceptron, port, subgraph } from './models.ts';

/** Parses and runs; gives the message when that fails, and insists that it is a message for people. */
function attempt(bytes: Uint8Array): string | null {
  try {
    const net = onnx.parse(bytes, 'hostile.onnx');
    net.run({ x: Tensor.from([[1, 2]]) });
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    const { message } = error as Error;
    expect(message).not.toMatch(/internal|undefined|is not a function|Cannot read|Invalid array length|call stack/i);
    expect(message).toMatch(/hostile\.onnx|node "/);
    return message;
  }
}

it('truncation at every byte', () => {
  const whole = perceptron();
  expect(attempt(whole)).toBeNull();
  let refused = 0;
  for (let length = 0; length < whole.length; length++) if (attempt(whole.subarray(0, length)) !== null) refused++;
  // Ends between fields of the model itself leave a valid, smaller message.
  expect(refused).toBeGreaterThan(whole.length - 20);
});

it('every byte changed in turn', () => {
  const whole = perceptron();
  for (let at = 0; at < whole.length; at++)
    for (const flip of [0x01, 0x80, 0xff]) {
      const damaged = whole.slice();
      damaged[at]! ^= flip;
      attempt(damaged);
    }
});

it('random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      attempt(bytes);
    }),
    { numRuns: 500 },
  );
});

const withTensor = (tensor: Partial<TensorProto>): string | null =>
  attempt(
    model({
      name: 'g',
      input: [port('x', [1, 2])],
      output: [port('y', [1, 2])],
      initializer: [tensor] as TensorProto[],
      node: [node('Add', ['x', 'w'], ['y'])] as NodeProto[],
    }),
  );

it('tensors whose sizes lie', () => {
  const raw = new Uint8Array(8);
  const before = process.memoryUsage().arrayBuffers;
  expect(withTensor({ name: 'w', dims: [1e9], dataType: 1, rawData: raw })).toContain('raw_data has 8 bytes');
  expect(withTensor({ name: 'w', dims: [1e6, 1e6], dataType: 1, rawData: raw })).toContain('more than 2^31 - 1 elements');
  expect(withTensor({ name: 'w', dims: [-2], dataType: 1, rawData: raw })).toContain('are no sizes');
  expect(withTensor({ name: 'w', dims: [1e8], dataType: 1, floatData: [1, 2] })).toContain('float_data has 2 elements');
  expect(withTensor({ name: 'w', dims: [2], dataType: 99, rawData: raw })).toContain('data_type 99 is unknown');
  expect(withTensor({ name: 'w', dims: [1], dataType: 14, rawData: raw })).toContain('complex64 tensors are not supported');
  expect(withTensor({ name: 'w', dims: [1e8], dataType: 8, stringData: [] })).toContain('string_data has 0 elements');
  // Nothing was allocated by what the files claim.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50e6);
}); // biome-ignore format: messages in one line

it('a length that points beyond the file', () => {
  // Field 7 (graph), of 2^60 bytes.
  const bytes = Uint8Array.from([0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
  expect(attempt(bytes)).toContain('bytes are claimed, and 0 are left');
  expect(attempt(Uint8Array.from([0x3a]))).toContain('byte 0');
});

it('subgraphs within subgraphs without end', () => {
  let graph: Partial<GraphProto> = { name: 'leaf', node: [] };
  for (let depth = 0; depth < 60; depth++)
    graph = { name: `g${depth}`, node: [node('If', ['c'], ['r'], [subgraph('then_branch', graph)])] as NodeProto[] };
  expect(attempt(model(graph))).toContain('messages nest deeper than 100');
});

it('chains of nodes of any length', () => {
  const count = 20_000;
  const nodes = Array.from({ length: count }, (_, i) => node('Identity', [i === 0 ? 'x' : `v${i - 1}`], [i === count - 1 ? 'y' : `v${i}`]));
  const bytes = model({ name: 'g', input: [port('x', [1, 2])], output: [port('y', [1, 2])], node: nodes.reverse() as NodeProto[] });
  expect(attempt(bytes)).toBeNull();
}); // biome-ignore format: long lines

it('operators given nonsense', () => {
  const operators = onnx.operatorNames()['']!;
  expect(operators.length).toBeGreaterThan(180);
  for (const operator of operators)
    for (const inputs of [[], ['x'], ['x', 'w'], ['w', 'x', 'w'], ['x', '', '', 'w', 'x']]) {
      const bytes = model({
        name: 'g',
        input: [port('x', [1, 2])],
        output: [port('y', [1, 2])],
        initializer: [floats('w', [2], [1, -2])] as TensorProto[],
        node: [node(operator, inputs, ['y', 'z'])] as NodeProto[],
      });
      attempt(bytes);
    }
});
