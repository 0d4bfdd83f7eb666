/**
 * Encodings of the VEX instructions that machines without AVX-512 are given, one line each: prefix, map, W, opcode, and
 * a digit. Data only; assembler.ts writes the bytes.
 */

interface VexForm {
  /** 0 none, 1 66, 2 F3, 3 F2. */
  readonly pp: number;
  /** 1 0F, 2 0F38, 3 0F3A. */
  readonly map: number;
  readonly w: number;
  readonly opcode: number;
  /** The /digit of forms whose ModRM.reg is part of the opcode, else -1. */
  readonly digit: number;
}

/** `name: "pp.map.w opcode [/digit]"`; `_st` stores (ModRM.reg is the source), `_i` shifts by an immediate. */
const LINES = {
  vaddps: '0.1.0 58',
  vaddpd: '1.1.0 58',
  vmulps: '0.1.0 59',
  vmulpd: '1.1.0 59',
  vsubps: '0.1.0 5c',
  vsubpd: '1.1.0 5c',
  vminps: '0.1.0 5d',
  vminpd: '1.1.0 5d',
  vdivps: '0.1.0 5e',
  vdivpd: '1.1.0 5e',
  vmaxps: '0.1.0 5f',
  vmaxpd: '1.1.0 5f',
  vsqrtps: '0.1.0 51',
  vsqrtpd: '1.1.0 51',
  vfmadd231ps: '1.2.0 b8',
  vfmadd231pd: '1.2.1 b8',
  vfmadd213ps: '1.2.0 a8',
  vfmadd213pd: '1.2.1 a8',
  vroundps: '1.3.0 08',
  vroundpd: '1.3.0 09',
  vpand: '1.1.0 db',
  vpandn: '1.1.0 df',
  vpor: '1.1.0 eb',
  vpxor: '1.1.0 ef',
  vpaddd: '1.1.0 fe',
  vpaddq: '1.1.0 d4',
  vpsubd: '1.1.0 fa',
  vpsubq: '1.1.0 fb',
  vpmulld: '1.2.0 40',
  vpmuludq: '1.1.0 f4',
  vpminsd: '1.2.0 39',
  vpmaxsd: '1.2.0 3d',
  vpabsd: '1.2.0 1e',
  vpsllvd: '1.2.0 47',
  vpsllvq: '1.2.1 47',
  vpsrlvd: '1.2.0 45',
  vpsrlvq: '1.2.1 45',
  vpsravd: '1.2.0 46',
  vpslld_i: '1.1.0 72 /6',
  vpsllq_i: '1.1.0 73 /6',
  vpsrld_i: '1.1.0 72 /2',
  vpsrlq_i: '1.1.0 73 /2',
  vpsrad_i: '1.1.0 72 /4',
  vpcmpeqd: '1.1.0 76',
  vpcmpeqq: '1.2.0 29',
  vpcmpgtd: '1.1.0 66',
  vpcmpgtq: '1.2.0 37',
  vcmpps: '0.1.0 c2',
  vcmppd: '1.1.0 c2',
  vblendvps: '1.3.0 4a',
  vblendvpd: '1.3.0 4b',
  vpblendd: '1.3.0 02',
  vmovaps: '0.1.0 28',
  vmovups: '0.1.0 10',
  vmovups_st: '0.1.0 11',
  vmovntps_st: '0.1.0 2b',
  vmovss: '2.1.0 10',
  vmovss_st: '2.1.0 11',
  vmovsd: '3.1.0 10',
  vmovsd_st: '3.1.0 11',
  vmovd: '1.1.0 6e',
  vmovq: '1.1.1 6e',
  vmovd_st: '1.1.0 7e',
  vmovq_st: '1.1.1 7e',
  vbroadcastss: '1.2.0 18',
  vpbroadcastd: '1.2.0 58',
  vpbroadcastq: '1.2.0 59',
  vpermd: '1.2.0 36',
  vpermq: '1.3.1 00',
  vpshufd: '1.1.0 70',
  vshufps: '0.1.0 c6',
  vextracti128: '1.3.0 39',
  vpshufb: '1.2.0 00',
  vpackusdw: '1.2.0 2b',
  vpunpckldq: '1.1.0 62',
  vpunpcklqdq: '1.1.0 6c',
  vcvtdq2ps: '0.1.0 5b',
  vcvttps2dq: '2.1.0 5b',
  vcvtdq2pd: '2.1.0 e6',
  vcvttpd2dq: '1.1.0 e6',
  vcvtps2pd: '0.1.0 5a',
  vcvtpd2ps: '1.1.0 5a',
  vpmovsxdq: '1.2.0 25',
  vpmovzxdq: '1.2.0 35',
  vpmovzxbd: '1.2.0 31',
  vpmovsxbd: '1.2.0 21',
  vpmovzxwd: '1.2.0 33',
  vcvtph2ps: '1.2.0 13',
  vcvtps2ph: '1.3.0 1d',
  vmovmskps: '0.1.0 50',
  /** Scalar: a 64-bit general register or memory word on one side. */
  vcvtsi2ss: '2.1.1 2a',
  vcvtsi2sd: '3.1.1 2a',
  vcvtsi2ss_d: '2.1.0 2a',
  vcvtsi2sd_d: '3.1.0 2a',
  vcvttsd2si: '3.1.1 2c',
} as const;

export type VexOp = keyof typeof LINES;

function parse(line: string): VexForm {
  const [where, opcode, digit] = line.split(' ');
  const [pp, map, w] = where!.split('.').map(Number);
  return {
    pp: pp!,
    map: map!,
    w: w!,
    opcode: Number.parseInt(opcode!, 16),
    digit: digit ? Number(digit.slice(1)) : -1,
  };
}

export const VEX_OPS = Object.keys(LINES) as readonly VexOp[];

const forms: { [op in VexOp]?: VexForm } = {};

/** How an instruction is encoded; its line is read when it is first used. */
export const vexForm = (op: VexOp): VexForm => (forms[op] ??= parse(LINES[op]));

/** Tile instructions: pp, opcode in map 0F38, W0. Tile registers are numbers 0 to 7. */
export const TILE_FORMS = {
  /** d, [base + stride register] and back. */
  tileloadd: { pp: 3, opcode: 0x4b },
  tilestored: { pp: 2, opcode: 0x4b },
  tilezero: { pp: 3, opcode: 0x49 },
  /** d += a . b */
  tdpbf16ps: { pp: 2, opcode: 0x5c },
  tdpbssd: { pp: 3, opcode: 0x5e },
  tdpbsud: { pp: 2, opcode: 0x5e },
  tdpbusd: { pp: 1, opcode: 0x5e },
  tdpbuud: { pp: 0, opcode: 0x5e },
} as const;
export type TileOp = keyof typeof TILE_FORMS;
