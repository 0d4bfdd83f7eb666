/**
 * Encodings against GNU as: as recorded, and live with other operands where it is installed. Labels and the constant
 * pool by running them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { Assembler } from '../../../src/backends/x86/assembler/assembler.ts';
import { MASK_FORMS, VECTOR_OPS, vectorForm } from '../../../src/backends/x86/assembler/forms.ts';
import { ListingAssembler } from '../../../src/backends/x86/assembler/listing.ts';
import { ALU, CC, PLAIN, R, SHIFT } from '../../../src/backends/x86/assembler/operands.ts';
import { TILE_FORMS, VEX_OPS } from '../../../src/backends/x86/assembler/vex.ts';
import { disassembled, inFolder, isInstalled, plainText } from '../../support/disassembly.ts';
import { testMachine } from '../../support/run-x86-kernel.ts';
import { assemblyCases, gnuBytes, hex, jumpCases } from '../../support/x86-lines.ts';
import { machineCode } from './available.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/x86-assembly.txt');
const SEED = 1;
/** One of every variant. */
const ROUNDS = 5;

const gnu = isInstalled('as');

const fromGnu = (lines: readonly string[]): string[] => inFolder(folder => gnuBytes(lines, folder));

it('makes the bytes that GNU as 2.40 made (TENON_RECORD=1 records them again)', () => {
  const cases = [...assemblyCases(SEED, ROUNDS), ...jumpCases()];
  if (process.env['TENON_RECORD']) {
    const bytes = fromGnu(cases.map(c => c.line));
    writeFileSync(FIXTURE, `${cases.map((c, i) => `${bytes[i]}\t${c.line}`).join('\n')}\n`);
  }
  const recorded = readFileSync(FIXTURE, 'utf8').trimEnd().split('\n');
  expect(recorded.length).toBe(cases.length);
  expect(cases.map(c => `${hex(c.bytes)}\t${c.line}`).filter((line, i) => line !== recorded[i])).toEqual([]);
});

it.skipIf(!gnu)('agrees with GNU as on other operands', () => {
  const cases = [...assemblyCases(Date.now() | 0, 10), ...jumpCases()];
  const bytes = fromGnu(cases.map(c => c.line));
  const wrong = cases.map((c, i) => `${c.line}: ${hex(c.bytes)}, as: ${bytes[i]}`);
  expect(wrong.filter((_, i) => hex(cases[i]!.bytes) !== bytes[i])).toEqual([]);
});

it.skipIf(!gnu)('prints what GNU as reads back as the same bytes', () => {
  const cases = assemblyCases(7, 4);
  const bytes = fromGnu(cases.map(c => c.printed));
  const wrong = cases.map((c, i) => `${c.printed} (${c.line}): ${hex(c.bytes)}, as: ${bytes[i]}`);
  expect(wrong.filter((_, i) => hex(cases[i]!.bytes) !== bytes[i])).toEqual([]);
});

it.skipIf(!isInstalled('objdump'))('is read by objdump as what was meant, instruction by instruction', () => {
  const cases = assemblyCases(Date.now() | 0, 3);
  const read = disassembled(Buffer.concat(cases.map(c => c.bytes)), plainText);
  let at = 0;
  const wrong: string[] = [];
  for (const { bytes, printed } of cases) {
    if (read.get(at) !== plainText(printed))
      wrong.push(`${plainText(printed)}: ${hex(bytes)}, objdump: ${read.get(at)}`);
    at += bytes.length;
  }
  expect(wrong).toEqual([]);
});

it('has a recorded line for every form there is, with registers and memory, masks and broadcasts', () => {
  const rows = readFileSync(FIXTURE, 'utf8')
    .trimEnd()
    .split('\n')
    .map(row => row.split('\t')[1]!);
  const rowsOf = (prefix: string, op: string): string[] =>
    rows.filter(row => row.startsWith(`${prefix}${op.replace(/_(st|i|r|d|kr|rk)$/, '')} `) || row === op);
  const missing = (prefix: string, ops: readonly string[]): string[] =>
    ops.filter(op => rowsOf(prefix, op).length === 0);
  expect(missing('{evex} ', [...VECTOR_OPS, 'vpgatherdd'])).toEqual([]);
  expect(VEX_OPS.filter(op => rowsOf('{vex} ', op).length + rowsOf('{load} ', op).length === 0)).toEqual([]);
  expect(missing('', Object.keys(MASK_FORMS))).toEqual([]);
  expect(missing('', [...Object.keys(TILE_FORMS), 'ldtilecfg'])).toEqual([]);
  expect(missing('', [...Object.keys(ALU), ...Object.keys(SHIFT), ...Object.keys(PLAIN), 'call', 'jmp'])).toEqual([]);
  for (const name of ['j', 'set', 'cmov']) expect(missing(name, Object.keys(CC))).toEqual([]);
  const full = VECTOR_OPS.filter(
    op => vectorForm(op).tuple === 'full' && /^v(add|mul|sub|min|max|div|fma|p(add|sub|and|or|xor|mul))/.test(op),
  );
  const variants = [/mm\d+$/, / ptr \[/, /\{k\d\}, /, / bcst \[/, /\{z\}/];
  for (const op of full)
    expect(
      variants.map(variant => rowsOf('{evex} ', op).some(row => variant.test(row))),
      op,
    ).toEqual(variants.map(() => true));
});

it('has a line for every method that writes an instruction', () => {
  const used = new Set<string>();
  const methods = Object.getOwnPropertyNames(Assembler.prototype).filter(name => name in ListingAssembler.prototype);
  const spies = methods.map(name => vi.spyOn(Assembler.prototype, name as keyof Assembler));
  assemblyCases(SEED, 1);
  jumpCases();
  methods.forEach((name, i) => {
    if (spies[i]!.mock.calls.length > 0) used.add(name);
    spies[i]!.mockRestore();
  });
  const printed = Object.getOwnPropertyNames(ListingAssembler.prototype);
  expect(
    methods.filter(name => printed.includes(name) && !used.has(name) && !['constructor', 'comment'].includes(name)),
  ).toEqual([]);
});

it('prints a program with its labels', () => {
  const asm = new ListingAssembler();
  const [top, end] = [asm.label(), asm.label()];
  asm.comment('counts down');
  asm.movImm(R.rcx, 3n);
  asm.bind(top);
  asm.aluImm('sub', false, R.rcx, 1);
  asm.jump(end, 'e');
  asm.jump(top);
  asm.bind(end);
  asm.plain('ret');
  asm.finish();
  expect(asm.text()).toMatchInlineSnapshot(`
    "     0  ; counts down
         0    mov ecx, 3
         5  L0:
         5    sub ecx, 1
         8    je L1
         a    jmp L0
         c  L1:
         c    ret"
  `);
});

it.skipIf(!machineCode)('TENON_DEBUG=code prints loops, then assembly', () => {
  const script = `import { Tensor } from 'tenon'; Tensor.from(Array.from({ length: 16 }, (_, i) => i)).add(1).data();`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '../../..'),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], TENON_BACKEND: 'x86', TENON_ISA: 'avx2', TENON_DEBUG: 'code' },
  });
  expect(stderr).toMatch(
    /= add f\d+x8, f\d+x8[\s\S]*; kernel k0 map \[16\][\s\S]* vaddps ymm\d+, ymm\d+, .*[\s\S]* ret/,
  );
});

it('jumps are short where they reach and near where they do not', () => {
  for (const filler of [0, 126, 127, 128, 300]) {
    const asm = new Assembler();
    const end = asm.label();
    asm.jump(end);
    for (let i = 0; i < filler; i++) asm.byte(0x90);
    asm.bind(end);
    const code = asm.finish();
    expect(code[0]).toBe(filler <= 127 ? 0xeb : 0xe9);
    expect(end.at).toBe(filler + (filler <= 127 ? 2 : 5));
  }
  expect(() => {
    const asm = new Assembler();
    asm.jump(asm.label());
    asm.finish();
  }).toThrow('not bound');
});

it.skipIf(!machineCode)('loops, calls and constants run', () => {
  // Sum of 1..n plus 64-bit constant, through a call behind 200 bytes of padding.
  const asm = new Assembler();
  const [top, function_, after] = [asm.label(), asm.label(), asm.label()];
  asm.alu('xor', false, R.rax, R.rax);
  asm.bind(top);
  asm.alu('add', true, R.rax, R.rdi);
  asm.aluImm('sub', true, R.rdi, 1);
  asm.jump(top, 'ne');
  asm.call(function_);
  asm.jump(after);
  for (let i = 0; i < 200; i++) asm.byte(0x90);
  asm.bind(function_);
  asm.alu('add', true, R.rax, asm.constant64(1_000_000_000_000n));
  asm.plain('ret');
  asm.bind(after);
  asm.plain('ret');
  const { native } = testMachine();
  const pages = native.load(asm.finish());
  expect(native.callable(pages.address)(100, 0, 0, 0)).toBe(1_000_000_005_050);
  native.release(pages);
});
