/**
 * TENON_DEBUG=code against objdump: every line of whole programs, for each instruction set, is what objdump reads at
 * its offset.
 */
import { expect, it } from 'vitest';
import { ListingAssembler } from '../../../src/backends/x86/assembler/listing.ts';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { ProgramEmitter } from '../../../src/backends/x86/program-code.ts';
import { compileGraph } from '../../../src/compiler/compile.ts';
import { whole } from '../../../src/compiler/program.ts';
import type { Node } from '../../../src/graph/node.ts';
import { F, manualSeed, randn, type Tensor, vjp } from '../../../src/index.ts';
import { programOf } from '../../compiler/support.ts';
import { randomGraph } from '../../fuzz/graph.ts';
import { disassembled, isInstalled, plainText } from '../../support/disassembly.ts';
import { isas } from './available.ts';

const GRAPHS = 12;

/** A network with its gradients, in a dtype whose products have instructions of their own. */
function network(dtype: 'f32' | 'bf16'): Node[] {
  manualSeed(3);
  const leaf = (shape: readonly number[]): Tensor => {
    const x = randn(shape).to(dtype);
    x.data();
    return x;
  };
  const loss = (x: Tensor, w: Tensor, v: Tensor): Tensor =>
    F.conv2d(x, w, null, { padding: 1 }).relu().flatten(1).matmul(v).to('f32').softmax(1).log().sum();
  const [y, pullback] = vjp(loss, leaf([2, 16, 8, 8]), leaf([32, 16, 3, 3]), leaf([32 * 64, 64]));
  return [y, ...pullback(y)].map(t => t!.node);
}

/**
 * Lines of a listing by their offset: instructions, with jumps to the offset in hexadecimal that their label stands
 * for.
 */
function instructionsOf(listing: string): [number, string][] {
  const lines = [...listing.matchAll(/^ *([0-9a-f]+) {2,}(\S.*)$/gm)].map(
    ([, at, text]) => [Number.parseInt(at!, 16), text!] as [number, string],
  );
  const labels = new Map(lines.flatMap(([at, text]) => (/^L\d+:$/.test(text) ? [[text.slice(0, -1), at]] : [])));
  return lines
    .filter(([, text]) => !text.startsWith(';') && !/^L\d+:$/.test(text))
    .map(([at, text]) => [at, text.replace(/\bL\d+$/, label => `0x${labels.get(label)!.toString(16)}`)]);
}

/** Constants are addressed by name here, by distance there. */
const withoutDistance = (text: string): string => plainText(text.replace(/\[rip[^\]]*\]/, '[rip]'));

it.skipIf(!isInstalled('objdump')).each(isas)('%s', isa => {
  const target = targetOf(isa, queryCpu(new Native()));
  const programs = [
    network('f32'),
    network('bf16'),
    ...Array.from({ length: GRAPHS }, (_, seed) => randomGraph(seed + 1).map(value => value.node)),
  ];
  const wrong: string[] = [];
  let lines = 0;
  for (const outputs of programs) {
    const program = compileGraph(programOf(outputs), target);
    const { preparations } = program;
    const listing = new ListingAssembler();
    // One segment: objdump takes the constants behind one for instructions.
    const emitter = new ProgramEmitter(
      whole(program),
      0x7f00_1111_2000,
      isa,
      listing,
      preparations,
      Number.POSITIVE_INFINITY,
    );
    const { bytes } = emitter.finish();
    const read = disassembled(bytes, withoutDistance);
    for (const [at, text] of instructionsOf(listing.text())) {
      lines++;
      const [ours, theirs] = [withoutDistance(text), read.get(at)];
      if (ours !== theirs) wrong.push(`${at.toString(16)}: ${ours}, objdump: ${theirs}`);
    }
  }
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(lines).toBeGreaterThan(5000);
});
