import { expect, test } from 'vitest';
import { tenon } from '../support/runTenon.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

test.each([
  [[], ['train', 'eval', 'predict', 'sample', 'doctor', 'demo']],
  [['train'], ['digits', 'table', 'text']],
  [
    ['train', 'digits'],
    ['--data', '--model', '--epochs', '--out', '--resume', '--backend', '--threads', '--seed', '--json'],
  ],
  [
    ['train', 'table'],
    ['--data', '--test', '--label', '--positive', '--separator', '--preset', '--model', '--json', '--resume'],
  ],
  [
    ['train', 'text'],
    ['--data', '--steps', '--out', '--json', '--resume'],
  ],
  [['eval'], ['<run>', '--data', '--json']],
  [['predict'], ['<model>', '<file...>', '--json']],
  [['sample'], ['<run>', '--prompt', '--temperature', '--seed', '--json']],
  [['inspect'], ['<file>', '--json']],
  [['convert'], ['<in>', '<out>', '--dtype', '--strip', '--json']],
  [['doctor'], ['--json']],
  [['demo'], ['--json', '--seed']],
  [
    ['stream'],
    [
      '--config',
      '--data',
      '--redis',
      '--nats',
      '--days',
      '--passes',
      '--validate',
      '--checkpoint-every',
      '--resume',
      '--json',
    ],
  ],
  [['report'], ['<run>', '--out', '--json']],
])('%j --help names what it takes', async (command, words) => {
  const { code, stdout, stderr } = await tenon(...command, '--help');
  expect([code, stderr]).toEqual([0, '']);
  for (const word of words) expect(stdout).toContain(word);
});

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['train', 'digits', '--frob'], "unknown option '--frob'"],
  [
    ['train', 'digits', '--epochs', '0'],
    "option '--epochs <n>' argument '0' is invalid. expected a whole number of at least 1.",
  ],
  [['train', 'digits', '--epochs', '1.5'], 'expected a whole number of at least 1.'],
  [['train', 'digits', '--lr', '-1'], 'expected a number above 0.'],
  [['train', 'digits', '--model', 'vgg'], 'Allowed choices are lenet, mlp.'],
  [['train', 'digits', '--backend', 'abacus'], 'is invalid'],
  [['train', 'text'], "required option '--data <file>' not specified"],
  [['train', 'table', '--separator', 'ab'], '--separator ab: expected one character, or tab'],
  [['train', 'table', '--preset', 'iris'], 'Allowed choices are adult, criteo.'],
  [['predict'], "missing required argument 'model'"],
  [['eval', 'a', 'b'], 'too many arguments'],
  [['convert', 'a.pt', 'b.exe'], 'expected a name that ends with .safetensors, .npz, .npy, .pt, .pth, .onnx'],
  [['convert', 'a.pt', 'b.npz', '--dtype', 'i7'], 'Allowed choices are f32, f64, f16, bf16.'],
])('%j is wrong use: one sentence, exit code 2', async (args, sentence) => {
  const { code, stdout, stderr } = await tenon(...args);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(sentence);
  expect(stderr).toMatch(/^tenon: [^\n]+\n$/);
});

test.each([
  [['eval', 'ABSENT'], 'no such file or folder'],
  [['predict', 'ABSENT', 'x.png'], 'no such file or folder'],
  [['inspect', 'ABSENT'], 'no such file or folder'],
  [['convert', 'ABSENT', 'b.npz'], 'no such file or folder'],
  [['train', 'digits', '--data', 'ABSENT', '--out', 'OUT1'], 'no such file or folder'],
  [['train', 'text', '--data', 'ABSENT', '--out', 'OUT2'], 'no such file or folder'],
  [['train', 'table', '--data', 'ABSENT', '--label', 'y', '--out', 'OUT3'], 'no such file or folder'],
])('%j fails: one sentence, exit code 1, no stack', async (args, sentence) => {
  const { code, stdout, stderr } = await tenon(
    ...args.map(arg => arg.replace(/^[A-Z]{3,}\d?$/, name => folder.file(name))),
  );
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain(sentence);
  expect(stderr).toMatch(/^tenon: [^\n]+\n$/);
});

test('TENON_DEBUG shows where it came from', async () => {
  process.env['TENON_DEBUG'] = '1';
  try {
    expect((await tenon('eval', folder.file('absent'))).stderr).toContain('savedModel.ts');
  } finally {
    delete process.env['TENON_DEBUG'];
  }
});

test('doctor says what there is, for people and for programs', async () => {
  const { code, stdout } = await tenon('doctor');
  expect(code).toBe(0);
  expect(stdout).toContain(`Node ${process.version}`);
  expect(stdout).toMatch(/backend +reference: works/);
  const { events } = await tenon('doctor', '--json');
  expect(events.map(e => e['event'])).toEqual(['machine', ...events.slice(1, -1).map(() => 'backend'), 'end']);
  expect(events.at(-1)!['backends']).toContain('reference');
});
