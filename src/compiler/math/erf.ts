/**
 * erf: a polynomial near 0, else 1 - exp(-g(|x|)) with g = -log(erfc) a polynomial as well (the idea is N. Juffa's), so
 * nothing is divided. The coefficients are minimax fits (Remez) of our own. May import its neighbours; knows nothing of
 * dtypes or graphs.
 */
import type { Reg } from '../loops.ts';
import { expNormal } from './exp.ts';
import { horner, type Scope } from './scope.ts';

interface ErfTable {
  /** erf(x) / x - 1 in x^2, below `small`. */
  readonly near: readonly number[];
  readonly small: number;
  /** -log(1 - erf(x)) / x, from `small` up to `highest`, where erf has become 1. */
  readonly far: readonly number[];
  readonly highest: number;
}

const TABLES: { readonly f32: ErfTable; readonly f64: ErfTable } = {
  f32: {
    near: [
      8.345231617568061e-5, -0.0008137439726851881, 0.005200634710490704, -0.02685927040874958, 0.11283694207668304,
      -0.37612634897232056, 0.12837916612625122,
    ],
    small: 0.9275,
    far: [
      1.1231962162128184e-5, -0.00032280999585054815, 0.003642482217401266, -0.023762108758091927, 0.10623692721128464,
      0.6351512670516968, 1.1286485195159912,
    ],
    highest: 3.94,
  },
  f64: {
    near: [
      6.337399548416648e-11, -1.157664095734502e-9, 1.4707559394455718e-8, -1.6356747395498697e-7, 1.64615497311409e-6,
      -1.4925626210336147e-5, 0.00012055332273410575, -0.0008548327009508501, 0.005223977625265906,
      -0.02686617064511798, 0.11283791670955073, -0.37612638903183754, 0.1283791670955126,
    ],
    small: 0.9275,
    far: [
      2.0364933121801348e-13, -1.006216211371563e-11, 2.342766986102623e-10, -3.417171665483747e-9,
      3.499244063452508e-8, -2.6686951246396297e-7, 1.5658561258934295e-6, -7.17142026475926e-6, 2.5522238302791238e-5,
      -6.796048693362286e-5, 0.00011743132104079031, -3.314984729003604e-5, -0.0005373578269688646,
      0.0016588747944269867, -0.00018875894554345682, -0.019136792927739506, 0.10277499573086271, 0.6366193431924004,
      1.1283792033246542,
    ],
    highest: 5.94,
  },
};

export function erf(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { near, small, far, highest } = TABLES[s.float];
  const magnitude = b.un('abs', x);
  const inner = b.fma(x, horner(s, b.mul(x, x), near), x);
  const clamped = b.bin('pmin', magnitude, s.c(highest));
  const complement = expNormal(s, b.un('neg', b.mul(clamped, horner(s, clamped, far))));
  const outer = b.bin('copysign', b.sub(s.c(1), complement), x);
  return b.select(b.cmp('lt', magnitude, s.c(small)), inner, outer);
}
