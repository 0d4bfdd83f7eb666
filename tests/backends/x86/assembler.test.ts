/**
 * Encodings against GNU as: as recorded, and live with other operands where it is installed. Labels and the constant pool by running them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { Assembler, R } from '../../../src/backends/x86/assembler/assembler.ts';
import { ListingAssembler } from '../../../src/backends/x86/assembler/listing.ts';
import { testMachine } from '../../support/run-x86-kernel.ts';
import { assemblyCases, gnuBytes, hex } from '../../support/x86-lines.ts';
import { machineCode } from './available.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/x86-assembly.txt');
const SEED = 1;
const ROUNDS = 3;

const isInstalled = (tool: 'as' | 'objdump'): boolean => {
  try {
    return /^GNU /.test(execFileSync(tool, ['--version'], { encoding: 'utf8' }));
  } catch {
    return false;
  }
};
const gnu = isInstalled('as');

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-as-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const fromGnu = (lines: readonly string[]): string[] => inFolder(folder => gnuBytes(lines, folder));

const PREDICATES = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];

/** An instruction as text that both printers share: without sizes of memory, numbers in decimal, predicates of comparisons by number. */
function plainText(text: string): string {
  return text
    .replace(/#.*$/, '')
    .replace(/^\{\w+\} /, '')
    .toLowerCase()
    .replace(/(byte|word|dword|qword|[xyz]mmword) (ptr|bcst) ?/g, '')
    .replace(/\{1to\d+\}/g, '')
    .replace(/0x([0-9a-f]+)/g, (_, digits) => {
      const value = BigInt(`0x${digits}`);
      return String(
        value >= 0xffffffff00000000n
          ? BigInt.asIntN(64, value)
          : value >= 0xffffff00n && value < 1n << 32n
            ? BigInt.asIntN(32, value)
            : value,
      );
    })
    .replace(/\+-/g, '-')
    .replace(/\+0\]/, ']')
    .replace(
      /^(vp?cmp)(eq|lt|le|unord|neq|nlt|nle|ord)((?:p[sd]|u?[dq]) .*)$/,
      (_, name, predicate, rest) => `${name}${rest},${PREDICATES.indexOf(predicate)}`,
    )
    .replace(/\s*,\s*/g, ',')
    .replace(/\s+/g, ' ')
    .trim();
}

/** What objdump reads at each offset of machine code. */
function disassembled(code: Uint8Array): ReadonlyMap<number, string> {
  const out = inFolder(folder => {
    const file = join(folder, 'code.bin');
    writeFileSync(file, code);
    const flags = ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--insn-width=16'];
    return execFileSync('objdump', [...flags, file], { encoding: 'utf8', maxBuffer: 1 << 26 });
  });
  const rows = out.matchAll(/^\s*([0-9a-f]+):\t[0-9a-f ]+?\s*\t(.*)$/gm);
  return new Map([...rows].map(([, at, text]) => [Number.parseInt(at!, 16), plainText(text!)]));
}

it('makes the bytes that GNU as 2.40 made (TENON_RECORD=1 records them again)', () => {
  const cases = assemblyCases(SEED, ROUNDS);
  if (process.env['TENON_RECORD']) {
    const bytes = fromGnu(cases.map(c => c.line));
    writeFileSync(FIXTURE, `${cases.map((c, i) => `${bytes[i]}\t${c.line}`).join('\n')}\n`);
  }
  const recorded = readFileSync(FIXTURE, 'utf8').trimEnd().split('\n');
  expect(recorded.length).toBe(cases.length);
  expect(cases.map(c => `${hex(c.bytes)}\t${c.line}`).filter((line, i) => line !== recorded[i])).toEqual([]);
});

it.skipIf(!gnu)('agrees with GNU as on other operands', () => {
  const cases = assemblyCases(Date.now() | 0, 10);
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
  const read = disassembled(Buffer.concat(cases.map(c => c.bytes)));
  let at = 0;
  const wrong: string[] = [];
  for (const { bytes, printed } of cases) {
    if (read.get(at) !== plainText(printed))
      wrong.push(`${plainText(printed)}: ${hex(bytes)}, objdump: ${read.get(at)}`);
    at += bytes.length;
  }
  expect(wrong).toEqual([]);
});

it('has a line for every instruction there is', () => {
  const used = new Set<string>();
  const methods = Object.getOwnPropertyNames(Assembler.prototype).filter(name => name in ListingAssembler.prototype);
  const spies = methods.map(name => vi.spyOn(Assembler.prototype, name as keyof Assembler));
  assemblyCases(SEED, 1);
  methods.forEach((name, i) => {
    if (spies[i]!.mock.calls.length > 0) used.add(name);
    spies[i]!.mockRestore();
  });
  const printed = Object.getOwnPropertyNames(ListingAssembler.prototype);
  // Labels, and gathers, have tests of their own below.
  const apart = ['constructor', 'comment', 'bind', 'jump', 'call', 'gather'];
  expect(methods.filter(name => printed.includes(name) && !used.has(name) && !apart.includes(name))).toEqual([]);
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

it.each([
  ['62f27d49900c90', 'vpgatherdd zmm1{k1}, [rax+zmm2*4]', 2, 1, { base: R.rax, vector: 2, scale: 4 }, 1],
  ['62027d479074bd00', 'vpgatherdd zmm30{k7}, [r13+zmm31*4]', 2, 30, { base: R.r13, vector: 31, scale: 4 }, 7],
  ['62a27d2a904ccd00', 'vpgatherdd ymm17{k2}, [rbp+ymm9*8]', 1, 17, { base: R.rbp, vector: 9, scale: 8 }, 2],
  ['62d27d05901c24', 'vpgatherdd xmm3{k5}, [r12+xmm20*1]', 0, 3, { base: R.r12, vector: 20, scale: 1 }, 5],
] as const)('%s is %s, as GNU as has it', (bytes, _, l, d, at, k) => {
  const asm = new Assembler();
  asm.gather(l, d, at, k);
  expect(hex(asm.finish())).toBe(bytes);
});
