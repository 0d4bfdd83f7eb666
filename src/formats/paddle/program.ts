/**
 * A Paddle inference program as a module: operators run in the program's order; persistable floats are parameters under
 * their names.
 */
import { Module } from '../../nn/index.ts';
import { type DType, isFloat, Parameter, Tensor } from '../../tensor/index.ts';
import { addParameter, liveParameter } from '../liveParameters.ts';
import type { OperatorCount, Port } from '../weights.ts';
import { CONTROL, type RunBlock, runConditional, runWhile, selectInput, type Variables } from './blocks.ts';
import { type Call, DTYPES, OPERATORS, type Value } from './operators/index.ts';
import type { Attr, BlockDesc, OpDesc, ProgramDesc, VarDesc } from './schema.ts';

/** An input with sequences of different lengths: all their rows, and where each sequence begins (and the last ends). */
export interface RaggedInput {
  readonly values: Tensor;
  /** 0, the end of the first sequence, ..., the number of rows. */
  readonly offsets: readonly number[];
}

const PLUMBING: ReadonlySet<string> = new Set(['feed', 'fetch']);
const runsOperator = (type: string): boolean =>
  PLUMBING.has(type) || CONTROL.has(type) || Object.hasOwn(OPERATORS, type);

const LOD_TENSOR = 7;

/** Variables that a file of parameters holds, in its order. */
export const persistables = (program: ProgramDesc): readonly VarDesc[] =>
  program.blocks
    .flatMap(({ vars }) => vars)
    .filter(({ persistable, type }) => persistable === 1 && type?.type === LOD_TENSOR)
    .sort((a, b) => (a.name < b.name ? -1 : 1));

export function operatorCounts(program: ProgramDesc): OperatorCount[] {
  const counts = new Map<string, number>();
  for (const { type } of program.blocks.flatMap(({ ops }) => ops)) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([name, count]) => ({ name, count, runs: runsOperator(name) }));
}

const argumentsOf = (list: OpDesc['inputs'], parameter: string): readonly string[] =>
  list.find(entry => entry.parameter === parameter)?.arguments ?? [];

const attribute = (op: OpDesc, name: string): Attr | undefined => op.attrs.find(attr => attr.name === name);

/** What is fed and fetched, in order of the columns. */
export function portsOf(program: ProgramDesc): { readonly inputs: readonly Port[]; readonly outputs: readonly Port[] } {
  const block = program.blocks[0];
  const byName = new Map(block?.vars.map(variable => [variable.name, variable]));
  const ports = (type: string, side: 'inputs' | 'outputs', parameter: string): Port[] =>
    (block?.ops ?? [])
      .filter(op => op.type === type)
      .sort((a, b) => (attribute(a, 'col')?.i ?? 0) - (attribute(b, 'col')?.i ?? 0))
      .map(op => portOf(argumentsOf(op[side], parameter)[0] ?? '?', byName));
  return { inputs: ports('feed', 'outputs', 'Out'), outputs: ports('fetch', 'inputs', 'X') };
}

function portOf(name: string, byName: ReadonlyMap<string, VarDesc>): Port {
  const tensor = byName.get(name)?.type?.lodTensor?.tensor;
  const type = tensor ? (DTYPES[tensor.dataType] ?? `type ${tensor.dataType}`) : '?';
  return { name, type, shape: (tensor?.dims ?? []).map(n => (n < 0 ? null : n)) };
}

/** Numbers of framework.proto's AttrType. */
const TYPE = {
  INT: 0,
  FLOAT: 1,
  STRING: 2,
  INTS: 3,
  FLOATS: 4,
  STRINGS: 5,
  BOOLEAN: 6,
  BOOLEANS: 7,
  LONG: 9,
  LONGS: 11,
  FLOAT64: 15,
  FLOAT64S: 12,
};

function numberOf(attr: Attr): number {
  switch (attr.type) {
    case TYPE.FLOAT:
      return attr.f;
    case TYPE.FLOAT64:
      return attr.float64;
    case TYPE.LONG:
      return attr.l;
    case TYPE.BOOLEAN:
      return attr.b;
    default:
      return attr.i;
  }
}

function listOf(attr: Attr): readonly number[] {
  switch (attr.type) {
    case TYPE.FLOATS:
      return attr.floats;
    case TYPE.FLOAT64S:
      return attr.float64s;
    case TYPE.LONGS:
      return attr.longs;
    case TYPE.BOOLEANS:
      return attr.bools;
    case TYPE.INTS:
      return attr.ints;
    default:
      return [numberOf(attr)];
  }
}

/** What the file says, which copies of the program share. */
class ProgramFile {
  readonly path: string;
  readonly blocks: readonly BlockDesc[];
  /** Stored variables that are no parameters. */
  readonly fixed = new Map<string, Tensor>();
  /** Names of the parameters. */
  readonly trained: string[] = [];

  constructor(path: string, blocks: readonly BlockDesc[]) {
    this.path = path;
    this.blocks = blocks;
  }
}

/** A symbol, as the fields with names are the file's. */
const FILE = Symbol('file');

/** A program. Takes one tensor (or ragged input) per fed variable and gives one tensor per fetched one. */
export class PaddleProgram extends Module<readonly (Tensor | RaggedInput)[], Tensor | readonly Tensor[]> {
  private readonly [FILE]: ProgramFile;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];

  constructor(program: ProgramDesc, weights: Readonly<Record<string, Tensor>>, path: string) {
    super();
    const missing = operatorCounts(program).filter(({ runs }) => !runs);
    if (missing.length > 0)
      throw new Error(`${path}: operators that Tenon cannot run: ${missing.map(({ name }) => name).join(', ')}`);
    if (program.blocks.length === 0) throw new Error(`${path}: the program has no blocks`);
    checkBlocks(program, path);
    const file = new ProgramFile(path, program.blocks);
    this[FILE] = file;
    const { inputs, outputs } = portsOf(program);
    this.inputs = inputs;
    this.outputs = outputs;
    for (const [name, value] of Object.entries(weights)) {
      if (isFloat(value.dtype)) {
        addParameter(this, name, new Parameter(value, { name }), `${path}: the variable's name`);
        file.trained.push(name);
      } else file.fixed.set(name, value);
    }
  }

  forward(...inputs: readonly (Tensor | RaggedInput)[]): Tensor | readonly Tensor[] {
    if (inputs.length !== this.inputs.length)
      throw new Error(
        `PaddleProgram: ${inputs.length} inputs came, expected ${this.inputs.length}: ${this.inputs.map(({ name }) => name).join(', ')}`,
      );
    const known = new Map<string, Value>();
    const { path, blocks, fixed, trained } = this[FILE];
    for (const [name, tensor] of fixed) known.set(name, { tensor });
    for (const name of trained) known.set(name, { tensor: liveParameter(this, name) });
    for (const [i, { name }] of this.inputs.entries()) known.set(name, inputValue(inputs[i]!, name));
    try {
      runBlock(blocks, 0, known);
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
    const results = this.outputs.map(({ name }) => {
      const found = known.get(name);
      if (!found) throw new Error(`${path}: nothing computes the output ${name}`);
      return found.tensor;
    });
    return results.length === 1 ? results[0]! : results;
  }
}

function runBlock(blocks: readonly BlockDesc[], block: number, variables: Variables): void {
  for (const op of blocks[block]!.ops) {
    if (PLUMBING.has(op.type)) continue;
    try {
      if (CONTROL.has(op.type)) control(blocks, op, variables);
      else run(op, variables);
    } catch (error) {
      const output = op.outputs.flatMap(entry => entry.arguments)[0];
      throw new Error(`${op.type} of ${output}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function control(blocks: readonly BlockDesc[], op: OpDesc, variables: Variables): void {
  const named = (parameter: string): string => {
    const [name] = argumentsOf(op.inputs, parameter);
    if (name === undefined) throw new Error(`the input ${parameter} is missing`);
    return name;
  };
  const tensor = (name: string): Tensor => {
    const found = variables.get(name);
    if (!found) throw new Error(`nothing computes its input ${name}`);
    return found.tensor;
  };
  const outputs = argumentsOf(op.outputs, 'Out');
  if (op.type === 'select_input') {
    const chosen = selectInput(tensor(named('Mask')), argumentsOf(op.inputs, 'X'), variables);
    variables.set(outputs[0]!, chosen);
    return;
  }
  const block = attribute(op, 'sub_block')?.blockIdx;
  if (block === undefined) throw new Error('the attribute sub_block is missing');
  const body: RunBlock = inner => runBlock(blocks, block, inner);
  if (op.type === 'while') runWhile(named('Condition'), body, outputs, variables);
  else runConditional(tensor(named('Cond')), body, outputs, variables);
}

/** Blocks run only blocks behind them, so that none runs itself. */
function checkBlocks({ blocks }: ProgramDesc, path: string): void {
  for (const [i, { ops }] of blocks.entries())
    for (const op of ops) {
      const block = attribute(op, 'sub_block')?.blockIdx;
      if (CONTROL.has(op.type) && block !== undefined && !(block > i && block < blocks.length))
        throw new Error(
          `${path}: ${op.type} in block ${i} runs block ${block}, expected one from ${i + 1} on of ${blocks.length}`,
        );
    }
}

function inputValue(input: Tensor | RaggedInput, name: string): Value {
  if (input instanceof Tensor) return { tensor: input };
  const { values, offsets } = input;
  const rising = offsets.every((end, i) => Number.isInteger(end) && end >= (i === 0 ? 0 : offsets[i - 1]!));
  if (offsets[0] !== 0 || offsets.at(-1) !== values.shape[0] || !rising)
    throw new RangeError(
      `PaddleProgram: input ${name}: offsets [${offsets}] came, expected to rise from 0 to the ${values.shape[0]} rows`,
    );
  return { tensor: values, offsets };
}

function run(op: OpDesc, known: Map<string, Value>): void {
  const valuesAt = (parameter: string): readonly Value[] =>
    argumentsOf(op.inputs, parameter).map(name => {
      const found = known.get(name);
      if (!found) throw new Error(`nothing computes its input ${name}`);
      return found;
    });
  const number = (name: string, absent?: number): number => {
    const attr = attribute(op, name);
    if (attr) return numberOf(attr);
    if (absent === undefined) throw new Error(`the attribute ${name} is missing`);
    return absent;
  };
  const call: Call = {
    type: op.type,
    input: parameter => {
      const [first] = valuesAt(parameter);
      if (!first) throw new Error(`the input ${parameter} is missing`);
      return first.tensor;
    },
    optional: parameter => valuesAt(parameter)[0]?.tensor ?? null,
    all: parameter => valuesAt(parameter).map(({ tensor }) => tensor),
    offsets: parameter => valuesAt(parameter)[0]?.offsets,
    number,
    numbers: (name, absent) => {
      const attr = attribute(op, name);
      if (attr) return listOf(attr);
      if (absent === undefined) throw new Error(`the attribute ${name} is missing`);
      return absent;
    },
    text: (name, absent) => {
      const attr = attribute(op, name);
      if (attr) return attr.s;
      if (absent === undefined) throw new Error(`the attribute ${name} is missing`);
      return absent;
    },
    flag: (name, absent) => {
      const attr = attribute(op, name);
      return attr ? attr.b !== 0 : (absent ?? false);
    },
    has: name => attribute(op, name) !== undefined,
    dtype: (name): DType => {
      const found = DTYPES[number(name)];
      if (!found) throw new Error(`${name} is type number ${number(name)}, which Tenon has none for`);
      return found;
    },
    current: parameter => known.get(argumentsOf(op.outputs, parameter)[0] ?? '')?.tensor ?? null,
    count: parameter => argumentsOf(op.outputs, parameter).length,
  };
  const results = OPERATORS[op.type]!(call);
  for (const [parameter, result] of Object.entries(results)) {
    const list = Array.isArray(result) ? (result as readonly Tensor[]) : [result as Tensor | Value];
    for (const [i, name] of argumentsOf(op.outputs, parameter).entries()) {
      const value = list[i];
      if (!value) continue;
      // Rows of a ragged input stay the sequences they were where an operator keeps their number.
      const from = valuesAt('X')[0] ?? undefined;
      if (!(value instanceof Tensor)) known.set(name, value);
      else if (from?.offsets && value.shape[0] === from.offsets.at(-1) && op.type !== 'sequence_pool')
        known.set(name, { tensor: value, offsets: from.offsets });
      else known.set(name, { tensor: value });
    }
  }
}
