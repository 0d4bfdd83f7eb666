/**
 * Loop IR: the language every emitter (wasm, x86) translates one instruction at a time. Structured control flow over
 * mutable typed virtual registers; memory is buffers of a kernel, addressed by typed pointers. This file says what it
 * is; loop-builder.ts writes it for the lowering, verify/ checks it, print-loops.ts prints it. It knows nothing of
 * tensors, graphs or machines.
 */
import type { DType } from '../graph/dtype.ts';

/**
 * Register types. `mask` is the result of a comparison: one truth value per lane. `ptr` is a byte address. Vectors have
 * the target's lanes for 4-byte or 8-byte elements (4 or 2 on WebAssembly); i32 and f32 vectors of n lanes go with
 * masks of n lanes.
 */
export type Scalar = 'i32' | 'i64' | 'f32' | 'f64' | 'mask' | 'ptr';
export interface RegType {
  readonly scalar: Scalar;
  readonly lanes: number;
}

/** A mutable virtual register. */
export interface Reg {
  readonly id: number;
  readonly type: RegType;
}

/**
 * `nearest` rounds half to even. `not` is bitwise on integers, logical on masks. `clz` counts leading zeros (scalar
 * integers). `nearInverse` is 1 / a within 2^-14 of it, where both are normal numbers; `toF16` is an f32 rounded to the
 * values of binary16, `toBf16` to those of bfloat16 (NaN quiet), and `toNormalBf16` the same where nobody minds if
 * numbers below 2^-126 become 0. All four only where the target says so.
 */
export type UnOp =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'nearest'
  | 'not'
  | 'clz'
  | 'nearInverse'
  | 'toF16'
  | 'toBf16'
  | 'toNormalBf16';

/**
 * `min` and `max` propagate NaN and order -0 below +0; `pmin` is b < a ? b : a and `pmax` is a < b ? b : a (one
 * instruction on x86). Integer `div` and `rem` truncate (divU, remU unsigned; scalar only; division by zero must be
 * excluded by the lowering, and so must the smallest integer by -1). `shrU` shifts in zeros, `shrS` the sign; shift
 * counts are taken modulo the width. `andnot` is a & ~b. `mulHiU` is the upper half of the unsigned 32x32-bit product
 * (i32 only). `scale` is a * 2^floor(b), rounded once; `toBf16Words` is, of vectors, the bits of bfloat16 that
 * `toNormalBf16` makes of a in the lower half of each lane, and those of b in the upper one. Both only where the target
 * says so.
 */
export type BinOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'rem'
  | 'divU'
  | 'remU'
  | 'min'
  | 'max'
  | 'pmin'
  | 'pmax'
  | 'and'
  | 'or'
  | 'xor'
  | 'andnot'
  | 'shl'
  | 'shrS'
  | 'shrU'
  | 'copysign'
  | 'mulHiU'
  | 'scale'
  | 'toBf16Words';

/** Signed comparisons; `ltU` is unsigned. `ne` is true for NaN, all others false. */
export type CmpOp = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'ltU';

/**
 * Products on matrix registers, added to the sums that these hold (`TileSums`). Words are 32 bits: two bf16 (`bf16`,
 * `f32`; sums in f32, denormals count as zero) or four 8-bit integers (each side signed or not as `kind` says, a before
 * b; sums in i32, wrapping). With R = 16 * rows and N = 16 * columns,
 *
 *     sums[r][n] += sum over s < steps, g < 16 of a[s][r][g] . b[16 s + g][n]    for all r < R, n < N
 *
 * where `.` multiplies element by element and adds. a is [steps][R][16] words, b is [16 * steps][N], each contiguous;
 * there is a step at least. `ahead` is where lines begin that later blocks will read: asked for meanwhile, so many for
 * every step.
 *
 * Operands of `f32` are cut into parts, x = x0 + x1 + x2, each rounded to bf16: a is [steps][3 parts][R][16] words, b
 * is [steps][3 parts][16][N], a word two points of k of one part. Of the nine products of parts those six are summed
 * whose places add to 2 at most; what is left out is below 2^-24 of the product's size (Henry, Tang, Heinecke, 2019).
 * Parts must be finite, and parts and products of parts that are denormal count as zero.
 *
 * With `runs`, the sum goes over several such products, of `steps` steps each: pair i of the i32 at `runs.at` says how
 * many bytes behind a and b its blocks begin. Where `pitch` is given, so many bytes lie between the rows of a, which
 * are read where they are: word g of step s stands 64 s + 4 g bytes behind its row's first, and that of part t, where
 * there are parts, 64 (3 s + t) + 4 g.
 *
 * `room` is where what stands may be overwritten, [R][N]: the target may store there on the way, so that storing
 * stays fast.
 */
export interface Tiles {
  readonly op: 'tiles';
  readonly kind: TileKind;
  readonly a: Reg;
  readonly b: Reg;
  readonly steps: Reg | number;
  readonly rows: 1 | 2;
  readonly columns: 1 | 2;
  readonly ahead?: { readonly from: Reg; readonly lines: number };
  readonly runs?: { readonly at: Reg; readonly count: Reg };
  readonly pitch?: number;
  readonly room?: Reg;
}

/**
 * The sums of `tiles`: become zero, or what stands at `c`, or are written there, [16 * rows][16 * columns] of f32 or
 * i32, `pitch` bytes from row to row (contiguous without). Nothing else touches them, so that other instructions may
 * run between the products of one block.
 */
export type TileSums = { readonly op: 'tileSums'; readonly rows: 1 | 2; readonly columns: 1 | 2 } & (
  | { readonly does: 'clear' }
  | { readonly does: 'load' | 'store'; readonly c: Reg; readonly pitch?: number }
);
export type TileKind = 'bf16' | 'f32' | 'i8i8' | 'i8u8' | 'u8i8' | 'u8u8';

/**
 * One instruction. `d` is written. Operand types follow the op: same type as `d` unless said.
 *
 * - const     splat when d has lanes; masks take 0 or 1. Sums begin so: other instructions may write its register again
 * - fma       d = a * b + c, fused where the target says so; `fms`-like forms are written with neg
 * - dot       d = c + the products of the packed elements of a and b, lane by lane: a and b are i32, each lane two bf16
 *             (sums in f32, whose denormals may count as zero; where a product is rounded is the machine's) or two i16
 *             (sums in i32). Only where the target says so
 * - tiles     products on matrix registers, see `Tiles`; tileSums: their sums, see `TileSums`. Only where the target
 *             says so
 * - select    d = m ? a : b, m a mask of d's lanes
 * - cvt       numeric conversion between i32, i64, f32, f64 of equal lanes (float to integer truncates, saturates, NaN
 *             to 0); i32 -> i64 sign-extends; i64 -> i32 wraps; mask -> i32 gives 0 or 1
 * - bitcast   same bits, same lanes (i32 <-> f32, i64 <-> f64)
 * - splat     scalar -> every lane; extract: one lane -> scalar; insert: d = a with lane replaced by scalar s
 * - shuffle   d[i] = (a ++ b)[lanes[i]], lanes known when compiling (4-byte or 8-byte elements)
 * - reduce    all lanes -> scalar by fn ('add' | 'mul' | 'min' | 'max' | 'and' | 'or'), pairwise: halves are combined
 *             until one is left
 * - anyTrue   mask of any lanes -> scalar mask
 * - addr      d: ptr = address of element `index` (scalar i32, or null for 0) of buffer `buf`
 * - count     d: i32 = the number that stands where the address of `buf` would: kernels of many sizes are told theirs
 * - apart     d: mask = whether buffer `buf` starts at a line of the caches, and none of `others` starts where it does;
 *             where the target streams
 * - advance   d: ptr = p + by * scale bytes (by: scalar i32)
 * - load      reads `d.lanes` consecutive elements of memory type `mem` at ptr + offset bytes, converted to d's type:
 *             f32, f64, i32, i64 as they are; f16 and bf16 widen to f32; u8, i8, bool to i32 (sign by type);
 *             vectors of 4-byte lanes may be masked where the target has it: lanes outside `m` read 0 and touch no memory
 * - store     the reverse (f16 and bf16 round to nearest even; narrow integers wrap; bool stores lane != 0); masked
 *             likewise. `exact` says that a bf16 is rounded already, `flush` that numbers below 2^-126 may become 0
 *             (where the target has tiles). `past` sends it past the caches: a whole vector of 4-byte or 8-byte
 *             elements, at a multiple of its bytes; where the target streams
 * - prefetch  a hint that the line at p + offset bytes, whatever it is, will be read, or written; where the target
 *             keeps order
 * - gather    d[i] = the f32 or i32 at ptr + 4 * index[i] where m[i] (everywhere without m), else 0; where the target
 *             has it
 * - iota      d[i] = i * step (i32); where the target has masks
 * - follow    d: ptr = the 64-bit address that stands at p + offset bytes; only where pointers have 8 bytes
 * - for       i from lo (inclusive) to hi (exclusive) by step (> 0); lo and hi are numbers or scalar i32 registers
 * - parallel  top level of a kernel only: iterations [0, extent), a number or scalar i32, are shared out in contiguous
 *             chunks, one per thread, the same way for every kernel: thread t of n runs floor(extent * t / n) up to
 *             floor(extent * (t + 1) / n). Anything else at top level is run by every thread.
 * - once      top level only: thread 0 runs the body
 * - barrier   top level only: every thread waits for all
 * - fail      writes the program's error record (site, then the offending i64 value) if it is empty, and goes on;
 *             results of the program are then discarded. The lowering must keep memory accesses legal after a failure.
 * - thread    d: i32 = index of this thread; threads: d: i32 = their number
 */
export type Inst =
  | { readonly op: 'const'; readonly d: Reg; readonly value: number | bigint }
  | { readonly op: 'move'; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'un'; readonly fn: UnOp; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'bin'; readonly fn: BinOp; readonly d: Reg; readonly a: Reg; readonly b: Reg }
  | { readonly op: 'cmp'; readonly fn: CmpOp; readonly d: Reg; readonly a: Reg; readonly b: Reg }
  | { readonly op: 'fma'; readonly d: Reg; readonly a: Reg; readonly b: Reg; readonly c: Reg }
  | {
      readonly op: 'dot';
      readonly of: 'bf16' | 'i16';
      readonly d: Reg;
      readonly a: Reg;
      readonly b: Reg;
      readonly c: Reg;
    }
  | Tiles
  | TileSums
  | { readonly op: 'select'; readonly d: Reg; readonly m: Reg; readonly a: Reg; readonly b: Reg }
  | { readonly op: 'cvt'; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'bitcast'; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'splat'; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'extract'; readonly d: Reg; readonly a: Reg; readonly lane: number }
  | { readonly op: 'insert'; readonly d: Reg; readonly a: Reg; readonly lane: number; readonly s: Reg }
  | { readonly op: 'shuffle'; readonly d: Reg; readonly a: Reg; readonly b: Reg; readonly lanes: readonly number[] }
  | {
      readonly op: 'reduce';
      readonly fn: 'add' | 'mul' | 'min' | 'max' | 'and' | 'or';
      readonly d: Reg;
      readonly a: Reg;
    }
  | { readonly op: 'anyTrue'; readonly d: Reg; readonly a: Reg }
  | { readonly op: 'addr'; readonly d: Reg; readonly buf: number; readonly index: Reg | null }
  | { readonly op: 'count'; readonly d: Reg; readonly buf: number }
  | { readonly op: 'apart'; readonly d: Reg; readonly buf: number; readonly others: readonly number[] }
  | { readonly op: 'advance'; readonly d: Reg; readonly p: Reg; readonly by: Reg; readonly scale: number }
  | { readonly op: 'iota'; readonly d: Reg; readonly step: number }
  | { readonly op: 'follow'; readonly d: Reg; readonly p: Reg; readonly offset: number }
  | { readonly op: 'prefetch'; readonly p: Reg; readonly offset: number; readonly write: boolean }
  | {
      readonly op: 'load';
      readonly d: Reg;
      readonly p: Reg;
      readonly offset: number;
      readonly mem: DType;
      readonly m?: Reg;
    }
  | {
      readonly op: 'store';
      readonly p: Reg;
      readonly offset: number;
      readonly a: Reg;
      readonly mem: DType;
      readonly m?: Reg;
      readonly past?: true;
      readonly exact?: true;
      readonly flush?: true;
    }
  | { readonly op: 'gather'; readonly d: Reg; readonly p: Reg; readonly index: Reg; readonly m: Reg | null }
  | {
      readonly op: 'for';
      readonly i: Reg;
      readonly lo: Reg | number;
      readonly hi: Reg | number;
      readonly step: number;
      readonly body: readonly Inst[];
      /** About how many iterations it has, where the bounds do not say: for estimates of work. */
      readonly trips?: number;
    }
  | { readonly op: 'while'; readonly test: readonly Inst[]; readonly m: Reg; readonly body: readonly Inst[] }
  | { readonly op: 'if'; readonly m: Reg; readonly body: readonly Inst[]; readonly otherwise: readonly Inst[] }
  | { readonly op: 'parallel'; readonly i: Reg; readonly extent: Reg | number; readonly body: readonly Inst[] }
  | { readonly op: 'once'; readonly body: readonly Inst[] }
  | { readonly op: 'barrier' }
  | { readonly op: 'fail'; readonly site: number; readonly value: Reg }
  | { readonly op: 'thread'; readonly d: Reg }
  | { readonly op: 'threads'; readonly d: Reg };

/**
 * A buffer a kernel touches; `elements` bounds every access. A `count` is no memory but a number, and has no elements.
 */
export interface KernelBuffer {
  readonly name: string;
  readonly dtype: DType;
  readonly elements: number;
  readonly access: 'read' | 'write' | 'readwrite' | 'scratch' | 'count';
}

/**
 * One kernel: straight-line at the top (see `parallel`), buffers by index. Kernels of one body are one piece of code.
 */
export interface LoopKernel {
  readonly name: string;
  readonly buffers: readonly KernelBuffer[];
  readonly body: readonly Inst[];
}

/** The register type values of a dtype are computed in. */
export function registerScalar(dtype: DType): 'i32' | 'i64' | 'f32' | 'f64' {
  switch (dtype) {
    case 'f64':
    case 'i64':
    case 'i32':
    case 'f32':
      return dtype;
    case 'f16':
    case 'bf16':
      return 'f32';
    default:
      return 'i32';
  }
}
