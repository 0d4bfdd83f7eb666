/**
 * Machine code as GNU's programs read it, in a form that our own printer's text can be brought to.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const isInstalled = (tool: 'as' | 'objdump'): boolean => {
  try {
    return /^GNU /.test(execFileSync(tool, ['--version'], { encoding: 'utf8' }));
  } catch {
    return false;
  }
};
export function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-as-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Predicates of vcmpps and vcmppd by number (Intel SDM, CMPPD); those of vpcmp are the first eight. */
const PREDICATES = [
  'eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord', 'eq_uq', 'nge', 'ngt', 'false', 'neq_oq', 'ge', 'gt', 'true',
  'eq_os', 'lt_oq', 'le_oq', 'unord_s', 'neq_us', 'nlt_uq', 'nle_uq', 'ord_s', 'eq_us', 'nge_uq', 'ngt_uq', 'false_os', 'neq_os', 'ge_oq', 'gt_oq', 'true_us',
]; // biome-ignore format: a table
const COMPARISON = new RegExp(`^(vp?cmp)(${PREDICATES.join('|')})((?:p[sd]|u?[dq]) .*)$`);

/**
 * An instruction as text that both printers share: without sizes of memory, numbers in decimal, predicates of
 * comparisons by number.
 */
export function plainText(text: string): string {
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
    .replace(/\b42949\d{5}\b/g, digits => String(BigInt.asIntN(32, BigInt(digits))))
    .replace(/\+-/g, '-')
    .replace(/\+0\]/, ']')
    .replace(COMPARISON, (_, name, predicate, rest) => `${name}${rest},${PREDICATES.indexOf(predicate)}`)
    .replace(/\s*,\s*/g, ',')
    .replace(/\s+/g, ' ')
    .trim();
}

/** What objdump reads at each offset of machine code, in the words of `plain`. */
export function disassembled(code: Uint8Array, plain: (text: string) => string): ReadonlyMap<number, string> {
  const out = inFolder(folder => {
    const file = join(folder, 'code.bin');
    writeFileSync(file, code);
    const flags = ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--insn-width=16'];
    return execFileSync('objdump', [...flags, file], { encoding: 'utf8', maxBuffer: 1 << 26 });
  });
  const rows = out.matchAll(/^\s*([0-9a-f]+):\t[0-9a-f ]+?\s*\t(.*)$/gm);
  return new Map([...rows].map(([, at, text]) => [Number.parseInt(at!, 16), plain(text!)]));
}
