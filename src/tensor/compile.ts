/**
 * compile(fn): the whole of a function (forward, backward, optimizer update) as one program.
 */
import { data } from '../graph/build.ts';
import type { HostArray } from '../graph/dtype.ts';
import { evaluate, evaluateAsync, type Trace, trace } from '../runtime/index.ts';
import { dropTracedGradients } from './backward.ts';
import { modeEpoch } from './mode.ts';
import { Tensor } from './tensor.ts';
import { type Flat, flatten } from './tree.ts';

interface Compiled {
  readonly program: Trace;
  readonly result: Flat;
  /** The training/evaluation epoch it was traced in. */
  readonly epoch: number;
}

/** A compiled function: call it as the original, or `async` to leave the event loop free while it runs. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  (...args: A): R;
  async(...args: A): Promise<R>;
}

/**
 * Compiles `fn` into one program per form of its arguments (tree structure, shapes, dtypes, and static values such as numbers).
 *
 * `fn` runs once over symbolic tensors. Parameters, optimizer state and module buffers it assigns are updated in place by every
 * call; random numbers are drawn anew by every call; a schedule may change `optimizer.lr` between calls. Everything else it
 * reads from outside (a plain number, the values of other tensors) is fixed when it is traced. After `model.train()` or
 * `model.eval()` it is traced again.
 *
 * @param fn takes and returns trees of tensors (arrays and plain objects); must not read values (item, data) inside
 * @returns a function of the same type; results are computed when it returns
 * @throws Error when `fn` reads a value while it is traced, or an index is out of range when it runs (no parameter has changed then)
 */
export function compile<A extends readonly unknown[], R>(fn: (...args: A) => R): CompiledFunction<A, R> {
  const programs = new Map<string, Compiled>();

  const find = (flat: Flat): Compiled => {
    const key = `${flat.form}|${flat.tensors.map(t => `${t.dtype}${t.shape}`).join('|')}`;
    const known = programs.get(key);
    const epoch = modeEpoch();
    if (known?.epoch === epoch) return known;
    let result: Flat | undefined;
    try {
      const program = trace(
        flat.tensors.map(t => ({ shape: t.shape, dtype: t.dtype })),
        nodes => {
          const inputs = flat.rebuild(nodes.map(node => new Tensor(node))) as unknown as A;
          result = flatten(fn(...inputs), 'compile: result');
          return result.tensors.map(t => t.node);
        },
      );
      const compiled = { program, result: result!, epoch };
      programs.set(key, compiled);
      return compiled;
    } finally {
      dropTracedGradients();
    }
  };

  const wrap = ({ program, result }: Compiled, values: readonly HostArray[]): R =>
    result.rebuild(
      values.map((value, i) => new Tensor(data(value, program.outputs[i]!.shape, program.outputs[i]!.dtype))),
    ) as R;

  const call = (...args: A): R => {
    const flat = flatten(args, 'compile: arguments');
    const nodes = flat.tensors.map(t => t.node);
    evaluate(nodes);
    const compiled = find(flat);
    return wrap(compiled, compiled.program.run(nodes.map(node => node.value!)));
  };
  const later = async (...args: A): Promise<R> => {
    const flat = flatten(args, 'compile: arguments');
    const nodes = flat.tensors.map(t => t.node);
    await evaluateAsync(nodes);
    const compiled = find(flat);
    return wrap(compiled, await compiled.program.runAsync(nodes.map(node => node.value!)));
  };
  return Object.assign(call, { async: later });
}
