/**
 * Lists of tensors that loops fill (TensorList of TensorFlow 2, TensorArray of TensorFlow 1): one tensor with the
 * elements along its first dim. What a TensorArray holds goes with its flow, so nothing is changed in place. A list
 * whose elements have no shape yet has elements of size 0.
 */
import { shapeText } from '../../tensor/convert.ts';
import { arange, cat, full, type Tensor } from '../../tensor/index.ts';
import { knownNumbers as numbers } from '../controlFlow.ts';
import type { Operator } from './operators/operator.ts';

const number = (x: Tensor): number => numbers(x)[0]!;

/** A list as large as it has to be for elements like `item`. */
function holding(list: Tensor, item: Tensor): Tensor {
  const shape = list.shape.slice(1);
  if (shape.join() === item.shape.join() && list.dtype === item.dtype) return list;
  if (list.numel() > 0 && shape.join() !== item.shape.join())
    throw new Error(`an element has shape ${shapeText(item.shape)}, expected ${shapeText(shape)}`);
  return full([list.shape[0]!, ...item.shape], 0, { dtype: item.dtype });
}

/** `list` with `item` at `index`, which may be a value of a compiled program. */
function written(list: Tensor, index: Tensor, item: Tensor): Tensor {
  const into = holding(list, item);
  const place = arange(into.shape[0]!, { dtype: 'i64' }).eq(index.reshape([]).to('i64'));
  return place.reshape([-1, ...item.shape.map(() => 1)]).where(item.unsqueeze(0), into);
}

const read = (list: Tensor, index: Tensor): Tensor => list.indexSelect(0, index.reshape([1]).to('i64')).squeeze(0);
const gathered = (list: Tensor, indices: Tensor): Tensor => list.indexSelect(0, indices.reshape([-1]).to('i64'));
const i32 = (x: number): Tensor => full([], x, { dtype: 'i32' });

/** Rows of all elements, one after the other, and how many each has. */
const joined = (list: Tensor): readonly Tensor[] => [
  list.flatten(0, 1),
  full([list.shape[0]!], list.shape[1] ?? 0, { dtype: 'i64' }),
];

function reserved(count: number, shape: readonly number[], dtype: Tensor['dtype']): Tensor {
  const known = shape.every(n => n >= 0);
  return full(known ? [count, ...shape] : [count, 0], 0, { dtype });
}

/** The numbers of an element shape, which may be unknown altogether (-1). */
const shapeOf = (x: Tensor): number[] => (x.ndim === 0 ? [-1] : numbers(x));

export const LISTS: Readonly<Record<string, Operator>> = {
  EmptyTensorList: ([shape], attributes) => reserved(0, shapeOf(shape!), attributes.dtype('element_dtype')),
  TensorListReserve: ([shape, count], attributes) =>
    reserved(number(count!), shapeOf(shape!), attributes.dtype('element_dtype')),
  TensorListFromTensor: ([x]) => x!,
  TensorListStack: ([list]) => list!,
  TensorListLength: ([list]) => i32(list!.shape[0]!),
  TensorListGetItem: ([list, index]) => read(list!, index!),
  TensorListSetItem: ([list, index, item]) => written(list!, index!, item!),
  TensorListGather: ([list, indices]) => gathered(list!, indices!),
  TensorListPushBack: ([list, item]) =>
    list!.shape[0] === 0 ? item!.unsqueeze(0) : cat([holding(list!, item!), item!.unsqueeze(0)], 0),
  TensorListPopBack: ([list]) => [list!.narrow(0, 0, list!.shape[0]! - 1), list!.select(0, list!.shape[0]! - 1)],
  TensorListConcat: ([list]) => joined(list!),
  TensorListConcatV2: ([list]) => joined(list!),
  TensorListScatterV2: ([x, indices, , count]) => {
    const list = numbers(indices!);
    const length = Math.max(number(count!), ...list.map(i => i + 1));
    const empty = full([length, ...x!.shape.slice(1)], 0, { dtype: x!.dtype });
    return empty.indexCopy(0, indices!.reshape([-1]).to('i64'), x!);
  },
  TensorArrayV3: ([count], attributes) => {
    const list = reserved(number(count!), [-1], attributes.dtype('dtype'));
    return [i32(0), list];
  },
  TensorArraySizeV3: ([, flow]) => i32(flow!.shape[0]!),
  TensorArrayWriteV3: ([, index, item, flow]) => written(flow!, index!, item!),
  TensorArrayReadV3: ([, index, flow]) => read(flow!, index!),
  TensorArrayGatherV3: ([, indices, flow]) => gathered(flow!, indices!),
  TensorArrayScatterV3: ([, indices, x, flow]) =>
    numbers(indices!).reduce((list, at, i) => written(list, i32(at), x!.select(0, i)), flow!),
  TensorArrayConcatV3: ([, flow]) => joined(flow!),
  TensorArrayCloseV3: () => [],
};
