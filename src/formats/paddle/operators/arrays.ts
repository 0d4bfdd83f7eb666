/**
 * Arrays of tensors.
 */
import { cat, full, stack } from '../../../tensor/index.ts';
import { dataIfKnown } from '../../controlFlow.ts';
import type { Rule } from './rule.ts';

/** Arrays of tensors of one shape, which loops fill: one tensor with the elements along its first dim. */
export const ARRAYS: Readonly<Record<string, Rule>> = {
  write_to_array: call => {
    const [array, item, index] = [call.current('Out'), call.input('X').unsqueeze(0), call.input('I').reshape([1])];
    if (!array) return { Out: item };
    const known = dataIfKnown(index);
    if (known && Number(known[0]) >= array.shape[0]!) return { Out: cat([array, item], 0) };
    return { Out: array.indexCopy(0, index.to('i64'), item) };
  },
  read_from_array: call => ({
    Out: call
      .input('X')
      .indexSelect(0, call.input('I').reshape([1]).to('i64'))
      .squeeze(0),
  }),
  lod_array_length: call => ({ Out: full([1], call.input('X').shape[0]!, { dtype: 'i64' }) }),
  tensor_array_to_tensor: call => {
    const x = call.input('X');
    const axis = call.number('axis', 0);
    const joined = call.flag('use_stack', false) ? stack(x.unbind(0), axis) : cat(x.unbind(0), axis);
    return { Out: joined, OutIndex: full([x.shape[0]!], x.shape[axis + 1] ?? 1, { dtype: 'i32' }) };
  },
};
