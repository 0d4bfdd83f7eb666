/**
 * Encodings of the vector and mask instructions that are used, one line each: prefix, map, W, opcode, and how a
 * compressed displacement scales. Data only; encodings.ts writes the bytes.
 */

/** What one unit of an 8-bit displacement means: the bytes of memory the instruction touches. */
export type Tuple = 'full' | 'half' | 'quarter' | 'eighth' | 's1' | 's2' | 's4' | 's8' | 'none';

export interface VectorForm {
  /** 0 none, 1 66, 2 F3, 3 F2. */
  readonly pp: number;
  /** 1 0F, 2 0F38, 3 0F3A. */
  readonly map: number;
  readonly w: 0 | 1;
  readonly opcode: number;
  readonly tuple: Tuple;
  /** The /digit of forms whose ModRM.reg is part of the opcode. */
  readonly digit: number;
}

/** `name: "pp.map.w opcode tuple [/digit]"` */
const LINES = {
  vaddps: '0.1.0 58 full',
  vaddpd: '1.1.1 58 full',
  vmulps: '0.1.0 59 full',
  vmulpd: '1.1.1 59 full',
  vsubps: '0.1.0 5c full',
  vsubpd: '1.1.1 5c full',
  vminps: '0.1.0 5d full',
  vminpd: '1.1.1 5d full',
  vdivps: '0.1.0 5e full',
  vdivpd: '1.1.1 5e full',
  vmaxps: '0.1.0 5f full',
  vmaxpd: '1.1.1 5f full',
  vsqrtps: '0.1.0 51 full',
  vsqrtpd: '1.1.1 51 full',
  vfmadd231ps: '1.2.0 b8 full',
  vfmadd231pd: '1.2.1 b8 full',
  vfmadd213ps: '1.2.0 a8 full',
  vfmadd213pd: '1.2.1 a8 full',
  vscalefps: '1.2.0 2c full',
  vscalefpd: '1.2.1 2c full',
  vrangeps: '1.3.0 50 full',
  vrangepd: '1.3.1 50 full',
  vrcp14ps: '1.2.0 4c full',
  vrcp14pd: '1.2.1 4c full',
  vrndscaleps: '1.3.0 08 full',
  vrndscalepd: '1.3.1 09 full',
  vpandd: '1.1.0 db full',
  vpandq: '1.1.1 db full',
  vpandnd: '1.1.0 df full',
  vpandnq: '1.1.1 df full',
  vpord: '1.1.0 eb full',
  vporq: '1.1.1 eb full',
  vpxord: '1.1.0 ef full',
  vpxorq: '1.1.1 ef full',
  vpternlogd: '1.3.0 25 full',
  vpternlogq: '1.3.1 25 full',
  vpaddd: '1.1.0 fe full',
  vpaddq: '1.1.1 d4 full',
  vpsubd: '1.1.0 fa full',
  vpsubq: '1.1.1 fb full',
  vpmulld: '1.2.0 40 full',
  vpmullq: '1.2.1 40 full',
  vpmuludq: '1.1.1 f4 full',
  vpminsd: '1.2.0 39 full',
  vpminsq: '1.2.1 39 full',
  vpmaxsd: '1.2.0 3d full',
  vpmaxsq: '1.2.1 3d full',
  vpabsd: '1.2.0 1e full',
  vpabsq: '1.2.1 1f full',
  vpsllvd: '1.2.0 47 full',
  vpsllvq: '1.2.1 47 full',
  vpsrlvd: '1.2.0 45 full',
  vpsrlvq: '1.2.1 45 full',
  vpsravd: '1.2.0 46 full',
  vpsravq: '1.2.1 46 full',
  vpslld_i: '1.1.0 72 full /6',
  vpsllq_i: '1.1.1 73 full /6',
  vpsrld_i: '1.1.0 72 full /2',
  vpsrlq_i: '1.1.1 73 full /2',
  vpsrad_i: '1.1.0 72 full /4',
  vpsraq_i: '1.1.1 72 full /4',
  vblendmps: '1.2.0 65 full',
  vblendmpd: '1.2.1 65 full',
  vmovaps: '0.1.0 28 full',
  vmovups: '0.1.0 10 full',
  vmovups_st: '0.1.0 11 full',
  vmovntps_st: '0.1.0 2b full',
  vmovss: '2.1.0 10 s4',
  vmovss_st: '2.1.0 11 s4',
  vmovsd: '3.1.1 10 s8',
  vmovsd_st: '3.1.1 11 s8',
  vmovd: '1.1.0 6e s4',
  vmovq: '1.1.1 6e s8',
  vmovd_st: '1.1.0 7e s4',
  vmovq_st: '1.1.1 7e s8',
  vbroadcastss: '1.2.0 18 s4',
  vpbroadcastd: '1.2.0 58 s4',
  vpbroadcastq: '1.2.1 59 s8',
  vpbroadcastd_r: '1.2.0 7c s4',
  vpbroadcastq_r: '1.2.1 7c s8',
  valignd: '1.3.0 03 full',
  valignq: '1.3.1 03 full',
  vpermi2d: '1.2.0 76 full',
  vpermi2q: '1.2.1 76 full',
  vpermw: '1.2.1 8d full',
  vcvtdq2ps: '0.1.0 5b full',
  vcvttps2dq: '2.1.0 5b full',
  vcvtdq2pd: '2.1.0 e6 half',
  vcvttpd2dq: '1.1.1 e6 full',
  vcvtqq2pd: '2.1.1 e6 full',
  vcvttpd2qq: '1.1.1 7a full',
  vcvtps2pd: '0.1.0 5a half',
  vcvtpd2ps: '1.1.1 5a full',
  vcvtqq2ps: '0.1.1 5b full',
  vcvttps2qq: '1.1.0 7a half',
  vpmovsxdq: '1.2.0 25 half',
  vpmovqd: '2.2.0 35 half',
  vpmovzxbd: '1.2.0 31 quarter',
  vpmovsxbd: '1.2.0 21 quarter',
  vpmovdb: '2.2.0 31 quarter',
  vpmovzxwd: '1.2.0 33 half',
  vpmovdw: '2.2.0 33 half',
  vcvtph2ps: '1.2.0 13 half',
  vcvtps2ph: '1.3.0 1d half',
  vcvtneps2bf16: '2.2.0 72 full',
  vcvtne2ps2bf16: '3.2.0 72 full',
  vdpbf16ps: '2.2.0 52 full',
  vpdpwssd: '1.2.0 52 full',
  vpmovm2d: '2.2.0 38 none',
  vpmovm2q: '2.2.1 38 none',
  // Masks as destination.
  vcmpps: '0.1.0 c2 full',
  vcmppd: '1.1.1 c2 full',
  vpcmpd: '1.3.0 1f full',
  vpcmpq: '1.3.1 1f full',
  vpcmpud: '1.3.0 1e full',
  vpcmpuq: '1.3.1 1e full',
} as const;

export type VectorOp = keyof typeof LINES;

function parse(line: string): VectorForm {
  const [where, opcode, tuple, digit] = line.split(' ');
  const [pp, map, w] = where!.split('.').map(Number);
  return {
    pp: pp!,
    map: map!,
    w: w as 0 | 1,
    opcode: Number.parseInt(opcode!, 16),
    tuple: tuple as Tuple,
    digit: digit ? Number(digit.slice(1)) : -1,
  };
}

export const VECTOR_OPS = Object.keys(LINES) as readonly VectorOp[];

const forms: { [op in VectorOp]?: VectorForm } = {};

/**
 * How an instruction is encoded; its line is read when it is first used, as reading them all takes a millisecond of
 * every start.
 */
export const vectorForm = (op: VectorOp): VectorForm => (forms[op] ??= parse(LINES[op]));

/** VEX-encoded instructions on opmask registers: pp, map 1, W, opcode; L is 1 for those with three operands. */
export const MASK_FORMS = {
  kandw: { pp: 0, w: 0, l: 1, opcode: 0x41 },
  kandnw: { pp: 0, w: 0, l: 1, opcode: 0x42 },
  korw: { pp: 0, w: 0, l: 1, opcode: 0x45 },
  kxorw: { pp: 0, w: 0, l: 1, opcode: 0x47 },
  kxnorw: { pp: 0, w: 0, l: 1, opcode: 0x46 },
  knotw: { pp: 0, w: 0, l: 0, opcode: 0x44 },
  /** k <- k or memory. */
  kmovw: { pp: 0, w: 0, l: 0, opcode: 0x90 },
  /** Memory <- k. */
  kmovw_st: { pp: 0, w: 0, l: 0, opcode: 0x91 },
  /** k <- r32, r32 <- k. */
  kmovw_kr: { pp: 0, w: 0, l: 0, opcode: 0x92 },
  kmovw_rk: { pp: 0, w: 0, l: 0, opcode: 0x93 },
} as const;
export type MaskOp = keyof typeof MASK_FORMS;
