/**
 * Loop IR as text, one instruction per line: for TENON_DEBUG=code and for tests. Reads loop IR only.
 */
import type { Inst, LoopKernel, Reg } from './loops.ts';
import type { LoopProgram, Place } from './program.ts';

const SHORT = { i32: 'i', i64: 'l', f32: 'f', f64: 'd', mask: 'm', ptr: 'p' } as const;

/** `f3` is scalar f32 register 3, `f3x4` has four lanes; i, l, d, m and p are i32, i64, f64, mask and pointer. */
const name = (reg: Reg): string =>
  `${SHORT[reg.type.scalar]}${reg.id}${reg.type.lanes === 1 ? '' : `x${reg.type.lanes}`}`;

const at = (p: Reg, offset: number): string =>
  `[${name(p)}${offset === 0 ? '' : ` ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`}]`;

const where = (m: Reg | null | undefined): string => (m ? ` where ${name(m)}` : '');

const bound = (end: Reg | number): string => (typeof end === 'number' ? `${end}` : name(end));

function line(inst: Inst, kernel: LoopKernel): string {
  switch (inst.op) {
    case 'const':
      return `${name(inst.d)} = ${inst.value}`;
    case 'move':
      return `${name(inst.d)} = ${name(inst.a)}`;
    case 'un':
      return `${name(inst.d)} = ${inst.fn} ${name(inst.a)}`;
    case 'bin':
    case 'cmp':
      return `${name(inst.d)} = ${inst.fn} ${name(inst.a)}, ${name(inst.b)}`;
    case 'fma':
      return `${name(inst.d)} = fma ${name(inst.a)}, ${name(inst.b)}, ${name(inst.c)}`;
    case 'dot':
      return `${name(inst.d)} = dot ${inst.of} ${name(inst.a)}, ${name(inst.b)}, ${name(inst.c)}`;
    case 'tiles': {
      const shape = `${16 * inst.rows}x${16 * inst.columns}`;
      const ahead = inst.ahead ? `, ahead [${name(inst.ahead.from)}] by ${inst.ahead.lines}` : '';
      const runs = inst.runs ? `, ${name(inst.runs.count)} runs at [${name(inst.runs.at)}]` : '';
      const pitch = inst.pitch === undefined ? '' : `, rows ${inst.pitch} bytes apart`;
      return `tiles ${inst.kind} ${shape} += [${name(inst.a)}] . [${name(inst.b)}], ${bound(inst.steps)} steps${ahead}${runs}${pitch}`;
    }
    case 'tileSums': {
      const shape = `${16 * inst.rows}x${16 * inst.columns}`;
      if (inst.does === 'clear') return `clear tiles ${shape}`;
      const pitch = inst.pitch === undefined ? '' : `, rows ${inst.pitch} bytes apart`;
      return `${inst.does} tiles ${shape} [${name(inst.c)}]${pitch}`;
    }
    case 'select':
      return `${name(inst.d)} = select ${name(inst.m)}, ${name(inst.a)}, ${name(inst.b)}`;
    case 'cvt':
    case 'bitcast':
    case 'splat':
    case 'anyTrue':
      return `${name(inst.d)} = ${inst.op} ${name(inst.a)}`;
    case 'extract':
      return `${name(inst.d)} = extract ${name(inst.a)}, ${inst.lane}`;
    case 'insert':
      return `${name(inst.d)} = insert ${name(inst.a)}, ${inst.lane}, ${name(inst.s)}`;
    case 'shuffle':
      return `${name(inst.d)} = shuffle ${name(inst.a)}, ${name(inst.b)}, ${inst.lanes.join(' ')}`;
    case 'reduce':
      return `${name(inst.d)} = reduce ${inst.fn} ${name(inst.a)}`;
    case 'addr': {
      const buffer = kernel.buffers[inst.buf]?.name ?? `buffer ${inst.buf}`;
      return `${name(inst.d)} = &${buffer}${inst.index ? `[${name(inst.index)}]` : ''}`;
    }
    case 'count':
      return `${name(inst.d)} = count ${kernel.buffers[inst.buf]?.name ?? `buffer ${inst.buf}`}`;
    case 'apart': {
      const named = [inst.buf, ...inst.others].map(buf => `&${kernel.buffers[buf]?.name ?? `buffer ${buf}`}`);
      return `${name(inst.d)} = apart ${named.join(', ')}`;
    }
    case 'advance':
      return `${name(inst.d)} = ${name(inst.p)} + ${name(inst.by)} * ${inst.scale}`;
    case 'follow':
      return `${name(inst.d)} = follow ${at(inst.p, inst.offset)}`;
    case 'load':
      return `${name(inst.d)} = load ${inst.mem} ${at(inst.p, inst.offset)}${where(inst.m)}`;
    case 'prefetch':
      return `prefetch ${at(inst.p, inst.offset)}${inst.write ? ' to write' : ''}`;
    case 'gather':
      return `${name(inst.d)} = gather ${at(inst.p, 0)}, ${name(inst.index)}${where(inst.m)}`;
    case 'store':
      return `store ${inst.mem} ${at(inst.p, inst.offset)}, ${name(inst.a)}${where(inst.m)}${inst.past ? ' past the caches' : ''}${inst.exact ? ', rounded' : ''}`;
    case 'for':
      return `for ${name(inst.i)} = ${bound(inst.lo)} to ${bound(inst.hi)}${inst.step === 1 ? '' : ` by ${inst.step}`}`;
    case 'while':
      return `while ${name(inst.m)}`;
    case 'if':
      return `if ${name(inst.m)}`;
    case 'parallel':
      return `parallel ${name(inst.i)} of ${bound(inst.extent)}`;
    case 'fail':
      return `fail ${inst.site}, ${name(inst.value)}`;
    case 'iota':
      return `${name(inst.d)} = iota by ${inst.step}`;
    case 'thread':
    case 'threads':
      return `${name(inst.d)} = ${inst.op}`;
    case 'once':
    case 'barrier':
      return inst.op;
  }
}

function printBlock(block: readonly Inst[], kernel: LoopKernel, indent: string, out: string[]): void {
  const inner = `${indent}  `;
  for (const inst of block) {
    if (inst.op === 'while') {
      out.push(`${indent}test`);
      printBlock(inst.test, kernel, inner, out);
    }
    out.push(indent + line(inst, kernel));
    if ('body' in inst) printBlock(inst.body, kernel, inner, out);
    if (inst.op === 'if' && inst.otherwise.length > 0) {
      out.push(`${indent}else`);
      printBlock(inst.otherwise, kernel, inner, out);
    }
  }
}

const describePlace = (place: Place): string => {
  if (place.kind === 'count') return String(place.value);
  return 'offset' in place ? `${place.kind}+${place.offset}` : `${place.kind} ${place.index}`;
};

/** The kernel as text; `places` adds where its buffers are. */
export function printKernel(kernel: LoopKernel, places?: readonly Place[]): string {
  const out = [`kernel ${kernel.name}`];
  for (const [i, b] of kernel.buffers.entries()) {
    const place = places ? ` = ${describePlace(places[i]!)}` : '';
    out.push(`  ${b.access} ${b.name}: ${b.dtype}[${b.elements}]${place}`);
  }
  printBlock(kernel.body, kernel, '  ', out);
  return out.join('\n');
}

/** All kernels in order, with barriers and places. */
export function printProgram(program: LoopProgram): string {
  const parts = program.kernels.map(({ kernel, places, barrierBefore, commits }) =>
    [...(barrierBefore ? ['--- barrier'] : []), ...(commits ? ['--- commits'] : []), printKernel(kernel, places)].join(
      '\n',
    ),
  );
  return [`program: ${program.kernels.length} kernels, arena of ${program.arenaBytes} bytes`, ...parts].join('\n');
}
