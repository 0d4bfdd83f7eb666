/**
 * Paddle's inference models: `.pdmodel` with `.pdiparams`, and the older folder of `__model__` and a file per variable.
 * Programs run as modules. May import nn and tensor.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readMessage } from '../protobuf/read.ts';
import { type OpenSource, openFile, withFile } from '../source.ts';
import { readAll, type StoredTensor, type WeightsFile } from '../weights.ts';
import { storedRecord, storedRecords } from './params.ts';
import { operatorCounts, PaddleProgram, persistables, portsOf } from './program.ts';
import { type ProgramDesc, SCHEMA } from './schema.ts';

export { PaddleProgram, type RaggedInput } from './program.ts';

const PROGRAM = '.pdmodel';
const PARAMETERS = '.pdiparams';

/** Names of a whole file of parameters in a folder of the older layout. */
const COMBINED = ['__params__', 'params'];

interface Place {
  readonly program: string;
  /** One file with all parameters, or the folder with one file for each; null where only the program is there. */
  readonly parameters: string | null;
}

/** The files a path stands for: the program, its parameters, or their folder. */
function placeOf(path: string): Place {
  const older = (folder: string): Place => {
    const whole = COMBINED.map(name => join(folder, name)).find(existsSync);
    return { program: join(folder, '__model__'), parameters: whole ?? folder };
  };
  if (existsSync(join(path, '__model__'))) return older(path);
  if (basename(path) === '__model__') return older(dirname(path));
  const program = path.endsWith(PARAMETERS) ? `${path.slice(0, -PARAMETERS.length)}${PROGRAM}` : path;
  const parameters = `${program.replace(/\.pdmodel$/, '')}${PARAMETERS}`;
  return { program, parameters: existsSync(parameters) ? parameters : null };
}

/** Whether a path is a folder of Paddle's older layout, or a file of parameters that its program names. */
export const isPaddlePath = (path: string): boolean => existsSync(join(path, '__model__')) || path.endsWith(PARAMETERS);

function open(path: string): { readonly file: WeightsFile; readonly program: ProgramDesc } {
  const place = placeOf(path);
  const program = withFile(place.program, source => readMessage(source, SCHEMA, 'ProgramDesc'));
  if (program.blocks.length === 0) throw new Error(`${place.program}: a program without blocks`);
  const names = persistables(program).map(({ name }) => name);
  const sources: OpenSource[] = [];
  const close = (): void => {
    for (const source of sources) source.close();
  };
  const opened = (file: string): OpenSource => {
    const source = openFile(file);
    sources.push(source);
    return source;
  };
  try {
    const tensors = parametersOf(place, names, opened);
    const metadata =
      place.parameters === null && names.length > 0 ? { parameters: `${names.length}, whose file is not there` } : {};
    const summary = { ...portsOf(program), operators: operatorCounts(program) };
    return { file: { path, format: 'Paddle program', tensors, metadata, program: summary, close }, program };
  } catch (error) {
    close();
    throw error;
  }
}

function parametersOf(
  { parameters }: Place,
  names: readonly string[],
  opened: (file: string) => OpenSource,
): StoredTensor[] {
  if (parameters === null || names.length === 0) return [];
  if (parameters.endsWith(PARAMETERS) || COMBINED.includes(basename(parameters)))
    return storedRecords(opened(parameters), names);
  const there = new Set(readdirSync(parameters));
  return names.map(name => {
    // Names come from the program: only files of the folder itself are opened.
    if (!there.has(name)) throw new Error(`${parameters}: the variable ${JSON.stringify(name)} has no file there`);
    return storedRecord(opened(join(parameters, name)), name, 0).tensor;
  });
}

/**
 * Opens a Paddle model by its `.pdmodel`, `.pdiparams` or folder.
 * @throws Error naming the file and what is wrong in it
 */
export const openPaddle = (path: string): WeightsFile => open(path).file;

/**
 * Loads a Paddle inference model as a module, by its `.pdmodel`, `.pdiparams` or folder.
 * @throws Error naming the file: what is wrong in it, or every operator that cannot be run, before anything runs
 */
export function loadPaddle(path: string): PaddleProgram {
  const { file, program } = open(path);
  try {
    const names = persistables(program);
    if (file.tensors.length < names.length)
      throw new Error(
        `${path}: the parameters of ${names.length} variables are not there: expected ${PARAMETERS} beside it`,
      );
    return new PaddleProgram(program, readAll(file), path);
  } finally {
    file.close();
  }
}
