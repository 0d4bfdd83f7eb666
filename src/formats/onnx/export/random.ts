/**
 * Random numbers: the file draws its own, of the same distributions. Nothing of our generator is written.
 */
import type { Composite } from '../../../graph/composite.ts';
import type { DType } from '../../../graph/dtype.ts';
import type { Node } from '../../../graph/node.ts';
import { codeOf, NATURAL } from '../elementTypes.ts';
import type { CompositeRule } from './composites.ts';
import type { AttributeValue } from './graph.ts';
import { isStatic, type Writer } from './writer.ts';

type Attributes = Readonly<Record<string, AttributeValue>>;

/** Numbers of `node`'s shape from RandomUniform or RandomNormal. */
function drawn(writer: Writer, node: Node, kind: 'Uniform' | 'Normal', dtype: DType, attributes: Attributes): string {
  const { graph } = writer;
  const shape = writer.shape(node);
  const all = { ...attributes, dtype: codeOf(NATURAL[dtype]) };
  if (isStatic(shape) && node.shape.length > 0) return graph.node(`Random${kind}`, [], { ...all, shape: node.shape });
  const like = graph.node('ConstantOfShape', [graph.sizes(shape)]);
  return graph.node(`Random${kind}Like`, [like], all);
}

const uniform = (writer: Writer, node: Node, dtype: DType): string =>
  drawn(writer, node, 'Uniform', dtype, { low: { float: 0 }, high: { float: 1 } });

/** 32 random bits as whole numbers of 32 bits. */
export function randomBits(writer: Writer, node: Node<'random'>): string {
  const { graph } = writer;
  const range = { low: { float: -(2 ** 31) }, high: { float: 2 ** 31 } };
  const whole = graph.node('Floor', [drawn(writer, node, 'Uniform', 'f64', range)]);
  return graph.node('Cast', [whole], { to: codeOf('int32') });
}

const number = ({ attributes }: Composite, name: string): number => attributes[name] as number;

/** By the names under which tensor/random and dropout note what they draw. */
export const RANDOM: Readonly<Record<string, CompositeRule>> = {
  // Not Bernoulli: the function body that ONNX 1.15 to 1.22 gives for it, and onnxruntime runs, draws 1 with
  // probability 1 - x.
  bernoulli: {
    since: 1,
    write(writer, { inputs }, node) {
      const x = writer.name(inputs[0]!);
      const below = writer.graph.node('Less', [uniform(writer, node, inputs[0]!.dtype), x]);
      return writer.graph.node('Cast', [below], { to: codeOf(NATURAL[node.dtype]) });
    },
  },
  dropout: {
    since: 13,
    write(writer, composite) {
      const { graph } = writer;
      const ratio = graph.scalar(number(composite, 'p'), 'f32');
      return graph.node('Dropout', [writer.name(composite.inputs[0]!), ratio, graph.scalar(1, 'bool')]);
    },
  },
  keepMask: {
    since: 1,
    write: (writer, composite, node) =>
      writer.graph.node('Less', [uniform(writer, node, 'f32'), writer.graph.scalar(number(composite, 'keep'), 'f32')]),
  },
  multinomial: {
    since: 7,
    when: ({ inputs }) => inputs[0]!.shape.length === 2,
    write: (writer, composite) =>
      writer.graph.node('Multinomial', [writer.name(composite.inputs[0]!)], {
        sample_size: number(composite, 'numSamples'),
        dtype: codeOf('int64'),
      }),
  },
  randomNormal: {
    since: 1,
    write: (writer, _, node) => drawn(writer, node, 'Normal', node.dtype, { mean: { float: 0 }, scale: { float: 1 } }),
  },
  randomUniform: { since: 1, write: (writer, _, node) => uniform(writer, node, node.dtype) },
};
