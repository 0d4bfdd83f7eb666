/**
 * Derivatives of the matrix routines, forward only: the tangent is linear in the inputs' tangents, so vjp transposes
 * it. Notation: dA is the tangent of A; formulas are solved from the equation that each factorisation satisfies (Giles
 * 2008, "Collected matrix derivative results").
 */
import * as g from '../graph/build.ts';
import type { MatrixRoutine } from '../graph/matrix.ts';
import type { Node } from '../graph/node.ts';
import { add, div, equal, indicator, keep, less, like, mul, neg, one, sub, zero } from './arithmetic.ts';
import { productOfOthers } from './products.ts';

type Tangents = readonly (Node | null)[];
type MatrixJvp = (node: Node<'matrix'>, tangents: Tangents) => Node | null;

// ------------------------------------------------------------------------------------------------ matrices [..., r, c]
// of nodes

const rowsOf = (x: Node): number => x.shape[x.shape.length - 2]!;
const colsOf = (x: Node): number => x.shape[x.shape.length - 1]!;

/** The transpose of the last two dims. */
function transpose(x: Node): Node {
  const rank = x.shape.length;
  return g.permute(
    x,
    x.shape.map((_, d) => (d === rank - 1 ? rank - 2 : d === rank - 2 ? rank - 1 : d)),
  );
}

function matmul(a: Node, b: Node): Node {
  const batch = a.shape.slice(0, -2).map((_, d) => d);
  const [i, j, k] = [batch.length, batch.length + 1, batch.length + 2];
  return g.contract(a, b, [...batch, i, k], [...batch, k, j], [...batch, i, j]);
}

/** Rows (`along` 2) or columns (1) `from` .. `from + count`. */
function part(x: Node, along: 1 | 2, from: number, count: number): Node {
  const axis = x.shape.length - along;
  return g.slice(
    x,
    x.shape.map((_, d) => (d === axis ? from : 0)),
    x.shape.map((n, d) => (d === axis ? count : n)),
  );
}
const rows = (x: Node, from: number, count = rowsOf(x) - from): Node => part(x, 2, from, count);
const columns = (x: Node, from: number, count = colsOf(x) - from): Node => part(x, 1, from, count);
const stackRows = (...parts: readonly Node[]): Node => g.concat(parts, parts[0]!.shape.length - 2);
const stackColumns = (...parts: readonly Node[]): Node => g.concat(parts, parts[0]!.shape.length - 1);

/** The row or column number of every element. */
function numbers(x: Node, along: 1 | 2): Node {
  const axis = x.shape.length - along;
  return g.reindex(g.iota(x.shape[axis]!, 'i32'), x.shape, [{ terms: [[axis, 1]], offset: 0, div: 1 }]);
}
const onDiagonal = (x: Node): Node => equal(numbers(x, 2), numbers(x, 1));
const below = (x: Node): Node => keep(less(numbers(x, 1), numbers(x, 2)), x);
const belowOrOn = (x: Node): Node => keep(g.compare('le', numbers(x, 1), numbers(x, 2)), x);
const aboveOrOn = (x: Node): Node => keep(g.compare('le', numbers(x, 2), numbers(x, 1)), x);
const identityLike = (x: Node): Node => indicator(onDiagonal(x), x);
/** The diagonal as a row [..., 1, n], and a row as the diagonal of a matrix. */
const diagonal = (x: Node): Node => {
  const axis = x.shape.length - 2;
  const sums = g.reduce('sum', keep(onDiagonal(x), x), [axis]);
  return g.reshape(sums, [...x.shape.slice(0, -2), 1, colsOf(x)]);
};
const spreadRows = (row: Node, count: number): Node =>
  g.broadcastTo(row, [...row.shape.slice(0, -2), count, colsOf(row)]);
/** x with column j multiplied by row[j]. */
const scaleColumns = (x: Node, row: Node): Node => mul(x, spreadRows(row, rowsOf(x)));
const scaleRows = (x: Node, row: Node): Node => transpose(scaleColumns(transpose(x), row));
/** 1 / x, and 0 at 0. */
const inverseOr0 = (x: Node): Node => {
  const isZero = equal(x, zero(x));
  return keep(g.unary('not', isZero), div(one(x), g.where(isZero, one(x), x)));
};
const symmetric = (x: Node): Node => mul(add(x, transpose(x)), like(x, 0.5));

/** X with L X = B, of a lower triangular L; with Lᵀ X = B; with X L = B; and of an upper triangular U. */
const solve = (l: Node, b: Node): Node => g.matrix('solveTriangular', l, b);
const reversed = (x: Node, both: boolean): Node => {
  const rank = x.shape.length;
  const flips = (d: number): boolean => d === rank - 2 || (both && d === rank - 1);
  return g.slice(
    x,
    x.shape.map((n, d) => (flips(d) ? Math.max(n - 1, 0) : 0)),
    x.shape,
    x.shape.map((_, d) => (flips(d) ? -1 : 1)),
  );
};
const solveUpper = (u: Node, b: Node): Node => reversed(solve(reversed(u, true), reversed(b, false)), false);
const solveTransposed = (l: Node, b: Node): Node => solveUpper(transpose(l), b);
/** X with X U = B. */
const solveRight = (b: Node, u: Node): Node => transpose(solve(transpose(u), transpose(b)));

// ------------------------------------------------------------------------------------------------ rules

/** L X = B: Bc = L⁻ᵀ Xc, Lc = -tril(Bc Xᵀ). */
export function solveTriangularVjp(node: Node<'matrix'>, ct: Node): Tangents {
  const [l, b] = node.inputs as [Node, Node];
  const toB = solveTransposed(l, ct);
  return [l.requiresGrad ? neg(belowOrOn(matmul(toB, transpose(node)))) : null, b.requiresGrad ? toB : null];
}

/** A X = B: Bc = A⁻ᵀ Xc, Ac = -Bc Xᵀ. */
export function solveVjp(node: Node<'matrix'>, ct: Node): Tangents {
  const [a, b] = node.inputs as [Node, Node];
  const toB = g.matrix('solve', transpose(a), ct);
  return [a.requiresGrad ? neg(matmul(toB, transpose(node))) : null, b.requiresGrad ? toB : null];
}

/** A = L Lᵀ: dL = L phi(L⁻¹ dA L⁻ᵀ), phi the lower triangle with half the diagonal. */
const cholesky: MatrixJvp = (l, [t]) => {
  const inner = solve(l, transpose(solve(l, symmetric(t!))));
  const phi = sub(belowOrOn(inner), mul(keep(onDiagonal(inner), inner), like(inner, 0.5)));
  return matmul(l, phi);
};

/** Rows of x in the order that lu's last column says. */
function permuted(x: Node, lu: Node): Node {
  const order = g.cast(columns(lu, colsOf(lu) - 1), 'i32');
  const pick = g.broadcastTo(order, [...order.shape.slice(0, -1), rowsOf(lu)]);
  return matmul(indicator(equal(pick, numbers(pick, 1)), x), x);
}

/** P L U = A, k = min(m, n), the leading k x k block first: F = L⁻¹ Pᵀ dA U⁻¹, dL = L tril(F, -1), dU = triu(F) U. */
const lu: MatrixJvp = (node, [t]) => {
  const [a] = node.inputs as [Node];
  const [m, n] = [rowsOf(a), colsOf(a)];
  const k = Math.min(m, n);
  const packed = columns(node, 0, n);
  const d = permuted(t!, node);
  const block = rows(columns(packed, 0, k), 0, k);
  const l = add(below(block), identityLike(block));
  const u = aboveOrOn(block);
  const f = solveRight(solve(l, rows(columns(d, 0, k), 0, k)), u);
  const dl = matmul(l, below(f));
  const du = matmul(aboveOrOn(f), u);
  const leading = add(below(dl), aboveOrOn(du));
  const rest = zero(columns(node, n));
  // Wide: L dU₂ = Pᵀ dA₂ - dL U₂. Tall: dL₂ U = Pᵀ dA₂ - L₂ dU.
  if (m < n) return stackColumns(leading, solve(l, sub(columns(d, k), matmul(dl, columns(packed, k)))), rest);
  if (m > n) return stackColumns(stackRows(leading, solveRight(sub(rows(d, k), matmul(rows(packed, k), du)), u)), rest);
  return stackColumns(leading, rest);
};

/** det A: det' = tr(adj(A) dA), with adj(A) = det(A) A⁻¹, or from singular values where that does not exist. */
const det: MatrixJvp = (node, [t]) => {
  const [a] = node.inputs as [Node];
  const n = rowsOf(a);
  if (n === 0) return null;
  const singular = g.broadcastTo(equal(node, zero(node)), a.shape);
  // Each way sees matrices that it can differentiate, so that no infinity of the other enters.
  const identity = identityLike(a);
  const distinct = mul(identity, g.cast(add(numbers(a, 1), like(numbers(a, 1), 1)), a.dtype));
  const regular = g.where(singular, identity, a);
  const factors = g.matrix('lu', regular);
  const l = add(below(columns(factors, 0, n)), identity);
  const inverse = solveUpper(aboveOrOn(columns(factors, 0, n)), solve(l, permuted(identity, factors)));
  const byInverse = mul(g.broadcastTo(node, a.shape), inverse);
  // A = U S Vᵀ: adj(A) = det(U) det(V) V adj(S) Uᵀ
  const usv = g.matrix('svd', g.where(singular, a, distinct));
  const [u, s, v] = [rows(usv, 0, n), rows(usv, n, 1), rows(usv, n + 1)];
  const sign = mul(g.matrix('det', g.detach(u)), g.matrix('det', g.detach(v)));
  const others = productOfOthers(s, [s.shape.length - 1]);
  const bySvd = mul(g.broadcastTo(sign, a.shape), matmul(scaleColumns(v, others), transpose(u)));
  const adjugate = g.where(singular, bySvd, byInverse);
  const rank = a.shape.length;
  return g.reshape(g.reduce('sum', mul(transpose(adjugate), t!), [rank - 2, rank - 1]), node.shape);
};

/**
 * Q R = A, B = Qᵀ dA₁ R₁⁻¹ of the leading k columns: Qᵀ dQ is skew and dR R⁻¹ upper triangular, so tril(B, -1) belongs
 * to the first alone.
 */
const qr: MatrixJvp = (node, [t]) => {
  const [a] = node.inputs as [Node];
  const [m, n] = [rowsOf(a), colsOf(a)];
  const k = Math.min(m, n);
  const q = rows(node, 0, m);
  const r = transpose(rows(node, m));
  const [d1, r1] = [columns(t!, 0, k), columns(r, 0, k)];
  const x = solveRight(d1, r1);
  const b = matmul(transpose(q), x);
  const skew = sub(below(b), transpose(below(b)));
  const inside = matmul(q, skew);
  const dq = m > n ? add(inside, sub(x, matmul(q, b))) : inside;
  const dr1 = aboveOrOn(matmul(sub(b, skew), r1));
  const dr = m < n ? stackColumns(dr1, matmul(transpose(q), sub(columns(t!, k), matmul(dq, columns(r, k))))) : dr1;
  return stackRows(dq, transpose(dr));
};

/**
 * A V = V diag(w), E = Vᵀ dA V of the symmetric part of dA: dw = diag(E), dV = V (E / (w_j - w_i)); equal eigenvalues
 * turn into each other by nothing.
 */
const eigh: MatrixJvp = (node, [t]) => {
  const [w, v] = [rows(node, 0, 1), rows(node, 1)];
  const n = rowsOf(v);
  const e = matmul(transpose(v), matmul(symmetric(t!), v));
  const across = spreadRows(w, n);
  const gaps = inverseOr0(sub(across, transpose(across)));
  return stackRows(diagonal(e), matmul(v, mul(e, gaps)));
};

/**
 * A = U S Vᵀ, P = Uᵀ dA V, F = 1 / (s_j² - s_i²): dS = diag(P), dU = U (F o (P S + S Pᵀ)) + (1 - U Uᵀ) dA V S⁻¹, and V
 * likewise from Aᵀ.
 */
const svd: MatrixJvp = (node, [t]) => {
  const [a] = node.inputs as [Node];
  const [m, n] = [rowsOf(a), colsOf(a)];
  const k = Math.min(m, n);
  const [u, s, v] = [rows(node, 0, m), rows(node, m, 1), rows(node, m + 1)];
  const av = matmul(t!, v);
  const p = matmul(transpose(u), av);
  const across = spreadRows(s, k);
  const down = transpose(across);
  const gaps = mul(inverseOr0(sub(across, down)), inverseOr0(add(across, down)));
  const inverse = inverseOr0(s);
  const insideU = matmul(u, mul(gaps, add(scaleColumns(p, s), scaleRows(transpose(p), s))));
  const insideV = matmul(v, mul(gaps, add(scaleRows(p, s), scaleColumns(transpose(p), s))));
  const outsideU = (): Node => scaleColumns(sub(av, matmul(u, p)), inverse);
  const outsideV = (): Node => {
    const atu = matmul(transpose(t!), u);
    return scaleColumns(sub(atu, matmul(v, transpose(p))), inverse);
  };
  return stackRows(m > k ? add(insideU, outsideU()) : insideU, diagonal(p), n > k ? add(insideV, outsideV()) : insideV);
};

/** Golub and Pereyra (1973): dP = -P dA P + P Pᵀ dAᵀ (1 - A P) + (1 - P A) dAᵀ Pᵀ P, as long as the rank stays. */
const pinv: MatrixJvp = (p, [t]) => {
  if (!t) return null;
  const a = p.inputs[0]!;
  const [pt, tt] = [transpose(p), transpose(t)];
  const left = matmul(matmul(p, pt), tt);
  const right = matmul(tt, matmul(pt, p));
  const across = sub(left, matmul(matmul(left, a), p));
  const down = sub(right, matmul(p, matmul(a, right)));
  return sub(add(across, down), matmul(matmul(p, t), p));
};

const none = (): null => null;

/** Tangents of a routine's result; those without one are steps, or have no derivative in PyTorch either. */
export const MATRIX_JVP: { readonly [R in MatrixRoutine]: MatrixJvp } = {
  cholesky,
  // L dX = dB - tril(dL) X
  solveTriangular: (node, [dl, db]) => {
    const moved = dl ? neg(matmul(belowOrOn(dl), node)) : null;
    return solve(node.inputs[0]!, moved && db ? add(db, moved) : (moved ?? db)!);
  },
  // A dX = dB - dA X
  solve: (node, [da, db]) => {
    const moved = da ? neg(matmul(da, node)) : null;
    return g.matrix('solve', node.inputs[0]!, moved && db ? add(db, moved) : (moved ?? db)!);
  },
  lu,
  permutation: none,
  det,
  geqrf: none,
  qr,
  eigh,
  eighUpper: eigh,
  svd,
  pinv,
  ldl: none,
  ldlSolve: none,
};
