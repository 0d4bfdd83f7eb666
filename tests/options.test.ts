/**
 * A misspelt option does nothing, silently, where nobody looks at names: every public call that takes an object of
 * settings refuses it in one sentence. The calls are found through their types (docs/api/options.mjs) and made with
 * arguments that suit these.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { ones, Parameter, Tensor } from '../src/index.ts';
import { Linear } from '../src/nn/index.ts';
import { SGD } from '../src/optim/index.ts';

interface OptionCall {
  readonly entry: string;
  readonly names: readonly string[];
  readonly constructed: boolean;
  readonly before: readonly string[];
}

const root = path.resolve(import.meta.dirname, '..');
const { optionCalls } = (await import(pathToFileURL(path.join(root, 'docs/api/options.mjs')).href)) as {
  optionCalls: () => OptionCall[];
};

const model = new Linear(2, 2);
/** What an argument of a type may be, by how the type is printed. */
const EXAMPLES: readonly (readonly [type: RegExp, example: () => unknown])[] = [
  [/=>/, () => (x: Tensor) => x],
  [/Optimizer/, () => new SGD(model.parameters(), { lr: 0.1 })],
  [/Module|^M$/, () => model],
  [/Tensor\[\]/, () => [ones([2, 2])]],
  [/\bnumber(?!\[)|Scalar/, () => 1],
  [/Tensor|Parameter/, () => new Parameter(ones([2, 2]))],
  [/\[\]/, () => [1, 1]],
  [/string/, () => 'x'],
];

const exampleOf = (type: string): unknown => EXAMPLES.find(([pattern]) => pattern.test(type))?.[1]();

type Callable = (...args: unknown[]) => unknown;

async function refusalOf({ entry, names, constructed, before }: OptionCall): Promise<string> {
  let holder: unknown;
  let at: unknown = await import(pathToFileURL(entry).href);
  for (const name of names) [holder, at] = [at, (at as Record<string, unknown>)[name]];
  // Methods ask for nothing of their object before they have looked at the options.
  if (holder === Tensor.prototype || holder === Parameter.prototype) holder = new Parameter(ones([2, 2]));
  const args = [...before.map(exampleOf), { misspelt: 1 }];
  try {
    const result = constructed ? Reflect.construct(at as Callable, args) : Reflect.apply(at as Callable, holder, args);
    // A generator starts when it is asked for its first value.
    (await (result as Partial<Iterator<unknown>> | undefined))?.next?.();
    return 'nothing was refused';
  } catch (error) {
    return (error as Error).message;
  }
}

it('every public call with options refuses a misspelt one', async () => {
  const calls = optionCalls();
  expect(calls.length).toBeGreaterThan(400);
  const silent: string[] = [];
  for (const call of calls) {
    const said = await refusalOf(call);
    if (!/unknown option misspelt, expected \{|came, expected one of/.test(said))
      silent.push(`${path.relative(root, call.entry)} ${call.names.join('.')}(${call.before.join(', ')}): ${said}`);
  }
  expect(silent).toEqual([]);
});
