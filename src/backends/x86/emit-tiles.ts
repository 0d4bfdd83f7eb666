/**
 * Products of packed elements: dot products in vectors, and blocks of them on AMX tiles (Intel SDM volume 1, chapter
 * 18). Tiles 0 to 3 are sums, 4 and 5 rows of a, 6 and 7 columns of b.
 */
import type { Inst, Reg, TileKind, TileSums, Tiles } from '../../compiler/loops.ts';
import type { Assembler } from './assembler/assembler.ts';
import { type Mem, mem, R } from './assembler/operands.ts';
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
  f32: 'tdpbf16ps',
  i8i8: 'tdpbssd',
  i8u8: 'tdpbsud',
  u8i8: 'tdpbusd',
  u8u8: 'tdpbuud',
};

/**
 * Parts of a and b that are multiplied, one pair after another, where operands have parts: each pair shares one with
 * the pair before, so that a step of f32 loads 14 tiles for its 24 products.
 */
const PAIRS_OF_F32: readonly (readonly [a: number, b: number])[] = [[0, 2], [0, 1], [1, 1], [1, 0], [0, 0], [2, 0]]; // biome-ignore format: a sequence
const PARTS_OF_F32 = 3;

/**
 * Kinds whose every step stores a sum on the way. Steps of the others are short: one store follows the last of a block.
 * After 2000 cycles without a tile store the next ones take 950 cycles for a block of four, as if a unit had to wake
 * up; otherwise 140 (f32, 128 x 512 of 512: 64 blocks of 16 steps, 155 -> 144 us; bf16, 384 x 1536 of 1024: 1.37 ->
 * 1.25 ms; decision 255).
 */
const LONG_STEPS: ReadonlySet<TileKind> = new Set(['f32']);

/**
 * All products of one step: `part` of rows `r` of a, and of columns `n` of b, are found where `rowsAt` and `columnsAt`
 * say.
 */
function step(
  asm: Assembler,
  inst: Tiles,
  rowsAt: (r: number, part: number) => Mem,
  columnsAt: (n: number, part: number) => Mem,
): void {
  let [loadedA, loadedB] = [-1, -1];
  for (const [a, b] of inst.kind === 'f32' ? PAIRS_OF_F32 : [[0, 0] as const]) {
    for (let r = 0; r < inst.rows; r++) {
      if (a !== loadedA) asm.tile('tileloadd', 4 + r, rowsAt(r, a));
      for (let n = 0; n < inst.columns; n++) {
        if (r === 0 && b !== loadedB) asm.tile('tileloadd', 6 + n, columnsAt(n, b));
        asm.tile(PRODUCTS[inst.kind], 2 * r + n, 4 + r, 6 + n);
      }
    }
    [loadedA, loadedB] = [a, b];
  }
}

/**
 * Registers that are borrowed while tiles run: bytes between rows of `a`; what is asked for ahead, or, where rows of
 * `a` are read in place, bytes between those of `b`; and where sums are stored.
 */
const STRIDE = R.r13;
const OTHER = R.r14;
const SUMS = R.r12;
const LINE = 64;
/** Where operands wait in the frame, in words of 8 bytes: the room for a vector, and the two words before. */
const PLACE = { sums: -2, room: -1, ahead: 0, stride: 1, other: 2, b: 3, a: 4, at: 5, count: 6, steps: 7 } as const;
const saved = (place: keyof typeof PLACE): Mem => mem(R.rsp, FRAME.vector + 8 * PLACE[place]);

export function tileSums(f: Frame, inst: TileSums): void {
  const { asm } = f;
  const rowBytes = (inst.does === 'clear' ? undefined : inst.pitch) ?? 64 * inst.columns;
  if (inst.does !== 'clear') {
    f.gCopy(inst.c, G0);
    asm.movImm(G1, BigInt(rowBytes));
  }
  for (let r = 0; r < inst.rows; r++) {
    for (let n = 0; n < inst.columns; n++) {
      const at = { base: G0, index: G1, scale: 1, disp: 16 * r * rowBytes + 64 * n } as const;
      if (inst.does === 'clear') asm.tile('tilezero', 2 * r + n);
      else asm.tile(inst.does === 'load' ? 'tileloadd' : 'tilestored', 2 * r + n, at);
    }
  }
}

export function tiles(f: Frame, inst: Tiles): void {
  const { asm } = f;
  const { rows, columns, runs, ahead } = inst;
  const rowBytes = 64 * columns;
  const inPlace = inst.pitch !== undefined;
  const pitch = inst.pitch ?? 64;
  const parts = inst.kind === 'f32' ? PARTS_OF_F32 : 1;
  const partA = inPlace ? 64 : 1024 * rows;
  const partB = 16 * rowBytes;
  const save = (place: keyof typeof PLACE, reg: Reg): void => {
    f.gCopy(reg, G0);
    asm.movStore(8, saved(place), G0);
  };
  // All operands are read before registers are borrowed.
  if (ahead) save('ahead', ahead.from);
  const { room } = inst;
  if (room) save('room', room);
  if (runs) {
    save('at', runs.at);
    save('count', runs.count);
    save('a', inst.a);
  }
  if (typeof inst.steps === 'number') asm.movImm(G2, BigInt(inst.steps));
  else f.gCopy(inst.steps, G2);
  if (runs) asm.movStore(8, saved('steps'), G2);
  f.gCopy(inst.a, G0);
  f.gCopy(inst.b, G1);
  asm.movStore(8, saved('stride'), STRIDE);
  asm.movStore(8, saved('other'), OTHER);
  if (room) {
    asm.movStore(8, saved('sums'), SUMS);
    asm.mov(true, SUMS, saved('room'));
  }
  if (runs) asm.movStore(8, saved('b'), G1);
  if (ahead) asm.mov(true, OTHER, saved('ahead'));
  if (inPlace) asm.movImm(OTHER, BigInt(rowBytes));
  asm.movImm(STRIDE, BigInt(pitch));
  const rowsOfA = (r: number, part: number): Mem => ({
    base: G0,
    index: STRIDE,
    scale: 1,
    disp: 16 * pitch * r + partA * part,
  });
  /** Rows of b from what G1 points at. */
  const wide = (disp: number): Mem =>
    inPlace ? { base: G1, index: OTHER, scale: 1, disp } : { base: G1, index: STRIDE, scale: columns, disp };

  const next = asm.label();
  const done = asm.label();
  if (runs) {
    asm.bind(next);
    asm.mov(false, G2, saved('count'));
    asm.aluImm('sub', false, G2, 1);
    asm.jump(done, 'b');
    asm.movStore(4, saved('count'), G2);
    asm.mov(true, G2, saved('at'));
    asm.aluImm('add', true, saved('at'), 8);
    asm.mov(false, G0, mem(G2, 0));
    asm.mov(false, G1, mem(G2, 4));
    asm.alu('add', true, G0, saved('a'));
    asm.alu('add', true, G1, saved('b'));
    asm.mov(false, G2, saved('steps'));
  }
  const top = asm.label();
  asm.bind(top);
  if (ahead) {
    for (let line = 0; line < ahead.lines; line++) asm.prefetch({ base: OTHER, disp: LINE * line }, false);
    asm.aluImm('add', true, OTHER, LINE * ahead.lines);
  }
  step(asm, inst, rowsOfA, (n, part) => wide(64 * n + partB * part));
  const storeOne = (): void => asm.tile('tilestored', 0, { ...wide(0), base: SUMS });
  if (room && LONG_STEPS.has(inst.kind)) storeOne();
  asm.aluImm('add', true, G0, parts * partA);
  asm.aluImm('add', true, G1, parts * partB);
  asm.aluImm('sub', false, G2, 1);
  asm.jump(top, 'ne');
  if (runs) {
    asm.jump(next);
    asm.bind(done);
  }
  if (room && !LONG_STEPS.has(inst.kind)) storeOne();
  asm.mov(true, STRIDE, saved('stride'));
  if (room) asm.mov(true, SUMS, saved('sums'));
  asm.mov(true, OTHER, saved('other'));
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
