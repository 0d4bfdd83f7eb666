/**
 * Products of packed elements: dot products in vectors, and blocks of them on AMX tiles (Intel SDM volume 1, chapter 18). Tiles 0 to 3 are sums,
 * 4 and 5 rows of a, 6 and 7 columns of b.
 */
import type { Inst, TileKind, Tiles } from '../../compiler/loops.ts';
import { type Assembler, type Mem, mem, R } from './assembler/assembler.ts';
import type { TileOp } from './assembler/vex.ts';
import { FRAME, type Frame, G0, G1, G2, lengthOf, T0 } from './frame.ts';

/** Palette 1, every tile 16 rows of 64 bytes. */
const CONFIG = new Uint8Array(64);
CONFIG[0] = 1;
for (let tile = 0; tile < 8; tile++) {
  CONFIG[16 + 2 * tile] = 64;
  CONFIG[48 + tile] = 16;
}

/** Sets up the tiles; `plain('tilerelease')` gives them up, so that the system need not save them. */
export const configureTiles = (asm: Assembler): void => asm.loadTileConfig(asm.constant(CONFIG));

const PRODUCTS: { readonly [kind in TileKind]: TileOp } = {
  bf16: 'tdpbf16ps',
  i8i8: 'tdpbssd',
  i8u8: 'tdpbsud',
  u8i8: 'tdpbusd',
  u8u8: 'tdpbuud',
};

/** Registers that are borrowed while tiles run: bytes between the rows of a tile of `a` (those of `b` are as many or twice as many), and what is asked for ahead. */
const STRIDE = R.r13;
const AHEAD = R.r14;
const LINE = 64;
const saved = (slot: number): Mem => mem(R.rsp, FRAME.vector + 8 * slot);

const strided = (base: number, times: 1 | 2, disp: number): Mem => ({ base, index: STRIDE, scale: times, disp });

export function tiles(f: Frame, inst: Tiles): void {
  const { asm } = f;
  const { rows, columns } = inst;
  const product = PRODUCTS[inst.kind];
  const rowBytes = 64 * columns;
  // All operands are read before registers are borrowed.
  f.gCopy(inst.c, G0);
  asm.movStore(8, saved(0), G0);
  if (typeof inst.steps === 'number') asm.movImm(G2, BigInt(inst.steps));
  else f.gCopy(inst.steps, G2);
  f.gCopy(inst.a, G0);
  if (inst.ahead) {
    f.gCopy(inst.ahead.from, G1);
    asm.movStore(8, saved(4), G1);
  }
  f.gCopy(inst.b, G1);
  asm.movStore(8, saved(1), STRIDE);
  asm.movStore(8, saved(2), AHEAD);
  asm.movStore(8, saved(3), G1);
  if (inst.ahead) asm.mov(true, AHEAD, saved(4));
  asm.movImm(STRIDE, 64n);
  const eachSum = (visit: (tile: number, disp: number) => void): void => {
    for (let r = 0; r < rows; r++) for (let n = 0; n < columns; n++) visit(2 * r + n, 16 * r * rowBytes + 64 * n);
  };
  if (inst.add) {
    asm.mov(true, G1, saved(0));
    eachSum((tile, disp) => asm.tile('tileloadd', tile, strided(G1, columns, disp)));
    asm.mov(true, G1, saved(3));
  } else eachSum(tile => asm.tile('tilezero', tile));
  const top = asm.label();
  asm.bind(top);
  if (inst.ahead) {
    for (let line = 0; line < inst.ahead.lines; line++) asm.prefetch({ base: AHEAD, disp: LINE * line }, false);
    asm.aluImm('add', true, AHEAD, LINE * inst.ahead.lines);
  }
  for (let r = 0; r < rows; r++) {
    asm.tile('tileloadd', 4 + r, strided(G0, 1, 1024 * r));
    for (let n = 0; n < columns; n++) {
      if (r === 0) asm.tile('tileloadd', 6 + n, strided(G1, columns, 64 * n));
      asm.tile(product, 2 * r + n, 4 + r, 6 + n);
    }
  }
  asm.aluImm('add', true, G0, 1024 * rows);
  asm.aluImm('add', true, G1, 16 * rowBytes);
  asm.aluImm('sub', false, G2, 1);
  asm.jump(top, 'ne');
  asm.mov(true, G1, saved(0));
  eachSum((tile, disp) => asm.tile('tilestored', tile, strided(G1, columns, disp)));
  asm.mov(true, STRIDE, saved(1));
  asm.mov(true, AHEAD, saved(2));
}

export function dot(f: Frame, inst: Extract<Inst, { op: 'dot' }>): void {
  const { d, a, b, c } = inst;
  const l = lengthOf(d.type);
  const op = inst.of === 'bf16' ? 'vdpbf16ps' : 'vpdpwssd';
  const [x, y, z] = [f.v(a, 0), f.v(b, 1), f.v(c, 2)];
  const into = f.vInto(d);
  // The sum is the destination: where that holds an operand, another register takes its place.
  const at = into === z ? z : into === x || into === y ? T0 : into;
  if (at !== z) f.asm.vector('vmovaps', l, at, 0, z);
  f.asm.vector(op, l, at, x, y);
  f.vDone(d, at);
}
