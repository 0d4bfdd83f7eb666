/**
 * tenon inspect: what a model file holds, without reading its tensors.
 */

import { Command } from 'commander';
import { openWeights, type Port, type StoredTensor, type WeightsFile } from '../../formats/index.ts';
import { sizeOf } from '../../graph/shape.ts';
import { Output } from '../output.ts';

export const inspectCommand = (): Command =>
  new Command('inspect')
    .description(
      'Show what a model file holds: tensors with shapes, types and sizes, metadata, operators, and what Tenon cannot read or run.',
    )
    .argument('<file>', 'a model file of any format Tenon knows, told by its content')
    .option('--json', 'one JSON object per line, the last with "event":"end"')
    .action(async (path: string, options: { json?: boolean }) => {
      await inspect(path, new Output(options.json ?? false));
    });

async function inspect(path: string, output: Output): Promise<void> {
  const file = await openWeights(path);
  try {
    output.event('file', { path, format: file.format });
    output.say(`${path}: ${file.format}`);
    showMetadata(file, output);
    showProgram(file, output);
    showTensors(file.tensors, output);
    const unreadable = file.tensors.filter(tensor => tensor.dtype === null);
    const unsupported = file.program?.operators.filter(operator => !operator.runs) ?? [];
    for (const [what, names] of [
      ['tensors Tenon cannot read', unreadable.map(({ name, storedAs }) => `${name} (${storedAs})`)],
      ['operators Tenon cannot run', unsupported.map(({ name }) => name)],
    ] as const)
      if (names.length > 0) output.say(`${names.length} ${what}: ${names.join(', ')}`);
    output.event('end', {
      tensors: file.tensors.length,
      elements: total(file.tensors, tensor => sizeOf(tensor.shape)),
      bytes: total(file.tensors, tensor => tensor.bytes),
      unreadable: unreadable.map(tensor => tensor.name),
      unsupported: unsupported.map(operator => operator.name),
    });
  } finally {
    file.close();
  }
}

const total = (tensors: readonly StoredTensor[], of: (tensor: StoredTensor) => number): number =>
  tensors.reduce((sum, tensor) => sum + of(tensor), 0);

/** Long values by their beginning: a vocabulary is a list of 50,000 words. */
function brief(value: unknown): string {
  const text =
    Array.isArray(value) && value.length > 6
      ? `[${value.slice(0, 4).map(brief).join(', ')}, ... ${value.length} items]`
      : JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

function showMetadata({ metadata }: WeightsFile, output: Output): void {
  for (const [key, value] of Object.entries(metadata)) {
    output.event('metadata', { key, value: brief(value) });
    output.say(`  ${key}: ${brief(value)}`);
  }
}

const portText = ({ name, type, shape }: Port): string => `${name} ${type}[${shape.map(n => n ?? '?').join(', ')}]`;

function showProgram({ program }: WeightsFile, output: Output): void {
  if (!program) return;
  for (const [kind, ports] of [
    ['input', program.inputs],
    ['output', program.outputs],
  ] as const)
    for (const port of ports) {
      output.event(kind, { ...port });
      output.say(`  ${kind} ${portText(port)}`);
    }
  for (const operator of program.operators) output.event('operator', { ...operator });
  const texts = program.operators.map(({ name, count, runs }) => `${name} x ${count}${runs ? '' : ' (cannot run)'}`);
  if (texts.length > 0) output.say(`  operators: ${texts.join(', ')}`);
}

function showTensors(tensors: readonly StoredTensor[], output: Output): void {
  const rows = tensors.map(tensor => [
    tensor.name,
    tensor.storedAs,
    `[${tensor.shape.join(', ')}]`,
    sizeOf(tensor.shape).toLocaleString('en'),
    tensor.bytes.toLocaleString('en'),
  ]);
  for (const { name, storedAs, dtype, shape, bytes } of tensors)
    output.event('tensor', { name, stored_as: storedAs, dtype, shape, bytes });
  const table = [['tensor', 'type', 'shape', 'elements', 'bytes'], ...rows];
  const sums = [
    `${tensors.length} in all`,
    '',
    '',
    total(tensors, tensor => sizeOf(tensor.shape)).toLocaleString('en'),
    total(tensors, tensor => tensor.bytes).toLocaleString('en'),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...[...table, sums].map(row => row[column]!.length)));
  // Names and types to the left, numbers to the right.
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  for (const row of [...table, sums]) output.say(line(row).trimEnd());
}
