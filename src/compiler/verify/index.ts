/**
 * Checks loop IR between the lowering and the emitters: every instruction by its rule (rules.ts), definition before
 * use, what may stand at top level only, buffers at their places. Runs in tests and under TENON_DEBUG; a violation is a
 * bug of Tenon, so messages start with `internal:`.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { Inst, KernelBuffer, LoopKernel, Reg } from '../loops.ts';
import type { LoopProgram, Place } from '../program.ts';
import { readBy } from '../usage.ts';
import { Checks, MAX_COUNT, RULES, same, show } from './rules.ts';

/** @throws Error naming the kernel, the instruction and the rule, for the first violation. */
export function verifyKernel(kernel: LoopKernel, failSites = Number.POSITIVE_INFINITY): void {
  new Verifier(kernel, failSites).block(kernel.body, new Set(), true);
}

/** Checks every kernel, and that buffers are where they fit. */
export function verifyProgram(program: LoopProgram): void {
  const seen = new Set<LoopKernel>();
  for (const [k, { kernel, places }] of program.kernels.entries()) {
    const wrong: Wrong = why => {
      throw new Error(`internal: kernel ${kernel.name}: ${why}`);
    };
    if (places.length !== kernel.buffers.length) wrong(`${places.length} places for ${kernel.buffers.length} buffers`);
    for (const [i, place] of places.entries()) verifyPlace(program, kernel.buffers[i]!, place, k, wrong);
    if (seen.has(kernel)) continue;
    seen.add(kernel);
    verifyKernel(kernel, program.failSites.length);
  }
}

type Wrong = (why: string) => never;

/** That kernel `k` may have `buffer` at `place`. */
function verifyPlace(program: LoopProgram, buffer: KernelBuffer, place: Place, k: number, wrong: Wrong): void {
  const { name, elements, access } = buffer;
  const bytes = elements * bytesOf(buffer.dtype);
  if (place.kind === 'arena' || place.kind === 'kept') {
    const end = place.offset + bytes;
    const room = place.kind === 'arena' ? program.arenaBytes : program.keptBytes;
    if (place.offset % 64 !== 0 || place.offset < 0 || end > room)
      wrong(`${name} at ${place.offset} to ${end} of an arena of ${room} bytes`);
    if (place.kind === 'kept' && k >= program.preparations && access !== 'read')
      wrong(`${name} is kept, and written by a kernel that is no preparation`);
    return;
  }
  if ((place.kind === 'count') !== (access === 'count')) wrong(`${name} is a ${access}, at a ${place.kind}`);
  if (place.kind === 'count') {
    if (!Number.isInteger(place.value) || place.value < 0 || place.value > MAX_COUNT)
      wrong(`${name} is ${place.value}`);
    return;
  }
  const value = (place.kind === 'leaf' ? program.leaves : program.outputs)[place.index];
  if (!value) wrong(`${name} is in ${place.kind} ${place.index}, which does not exist`);
  else if (bytesOf(value.dtype) * value.elements < bytes)
    wrong(`${name} needs ${elements} elements, ${place.kind} ${place.index} has ${value.elements}`);
  if (place.kind === 'leaf' && access !== 'read' && !program.leaves[place.index]!.written)
    wrong(`${name} writes leaf ${place.index}, which is not marked as written`);
}

class Verifier {
  private readonly kernel: LoopKernel;
  private readonly failSites: number;
  private readonly types = new Map<number, Reg['type']>();
  /** Counters and ends of the loops around the current instruction: nobody may write them. */
  private readonly fixed: Reg[] = [];

  constructor(kernel: LoopKernel, failSites: number) {
    this.kernel = kernel;
    this.failSites = failSites;
  }

  /** Checks a block; `defined` gains the registers that are written on every way through it. */
  block(block: readonly Inst[], defined: Set<number>, top: boolean): void {
    for (const inst of block) this.instruction(inst, new Checks(this.kernel, inst), defined, top);
  }

  private instruction(inst: Inst, check: Checks, defined: Set<number>, top: boolean): void {
    // The condition of a while is written by its test.
    if (inst.op !== 'while') readBy(inst, reg => this.read(reg, defined, check));
    (RULES[inst.op] as (inst: Inst, check: Checks) => void)(inst, check);
    switch (inst.op) {
      case 'for':
        this.inLoop(inst.i, typeof inst.hi === 'number' ? null : inst.hi, inst.body, defined, check);
        break;
      case 'while': {
        const inTest = new Set(defined);
        this.block(inst.test, inTest, false);
        this.read(inst.m, inTest, check);
        // The test has run whatever happens after it.
        this.block(inst.body, new Set(inTest), false);
        for (const id of inTest) defined.add(id);
        break;
      }
      case 'if': {
        const inBody = new Set(defined);
        const inOther = new Set(defined);
        this.block(inst.body, inBody, false);
        this.block(inst.otherwise, inOther, false);
        for (const id of inBody) if (inOther.has(id)) defined.add(id);
        break;
      }
      case 'parallel':
      case 'once':
      case 'barrier':
        if (!top) check.wrong('stands inside another block');
        if (inst.op === 'parallel') this.inLoop(inst.i, null, inst.body, defined, check);
        else if (inst.op === 'once') this.block(inst.body, new Set(defined), false);
        break;
      case 'fail':
        if (!Number.isInteger(inst.site) || inst.site < 0 || inst.site >= this.failSites)
          check.wrong(`site ${inst.site} does not exist`);
        break;
      default:
        if ('d' in inst) this.write(inst.d, defined, check);
    }
  }

  private read(reg: Reg, defined: ReadonlySet<number>, check: Checks): void {
    if (!defined.has(reg.id)) check.wrong(`r${reg.id} is read before it is written`);
    const known = this.types.get(reg.id)!;
    if (!same(known, reg.type)) check.wrong(`r${reg.id} is ${show(known)}, read as ${show(reg.type)}`);
  }

  private write(reg: Reg, defined: Set<number>, check: Checks): void {
    const { scalar, lanes } = reg.type;
    const known = this.types.get(reg.id);
    if (known && !same(known, reg.type)) check.wrong(`r${reg.id} is ${show(known)}, written as ${show(reg.type)}`);
    if (!Number.isInteger(lanes) || lanes < 1 || (lanes & (lanes - 1)) !== 0) check.wrong(`${lanes} lanes`);
    if (scalar === 'ptr' && lanes !== 1) check.wrong('pointers have one lane');
    if (this.fixed.some(f => f.id === reg.id)) check.wrong(`r${reg.id} belongs to a loop around it`);
    this.types.set(reg.id, reg.type);
    defined.add(reg.id);
  }

  /** The body of a loop with counter `i` that ends at `end`, where that is a register. */
  private inLoop(i: Reg, end: Reg | null, body: readonly Inst[], defined: ReadonlySet<number>, check: Checks): void {
    const inside = new Set(defined);
    this.write(i, inside, check);
    const held = end ? [i, end] : [i];
    this.fixed.push(...held);
    this.block(body, inside, false);
    this.fixed.length -= held.length;
  }
}
