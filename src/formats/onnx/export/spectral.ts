/**
 * Factorisations that ONNX has no operator for, in the tensor API: QR by Householder's reflections, eigenvalues and
 * singular values by Jacobi's rotations of disjoint pairs at once (Golub and Van Loan, 5.2, 8.5 and 8.6). Scans over
 * columns or rounds. Signs of vectors are those the rotations leave.
 */
import { arange, cat, eye, scan, Tensor } from '../../../tensor/index.ts';

/** Rounds in which every pair meets once, so often: f64 has converged after eight or nine. */
const SWEEPS = 10;

interface Reflected {
  /** R above the diagonal, the vectors below it. */
  readonly packed: Tensor;
  readonly tau: Tensor;
  /** The product of all reflections [m, m]. */
  readonly q: Tensor;
}

/** LAPACK's geqrf of [..., m, n], column by column. */
function reflections(a: Tensor): Reflected {
  const [m, n] = a.shape.slice(-2) as [number, number];
  const rows = arange(m).to(a.dtype).unsqueeze(1);
  const columns = arange(n).to(a.dtype);
  const square = a
    .narrow(-1, 0, 1)
    .mul(0)
    .add(eye(m, m, { dtype: a.dtype }));
  const [[packed, tau, q]] = scan(
    ([before, taus, product]: readonly [Tensor, Tensor, Tensor], j: Tensor) => {
      const here = columns.eq(j).to(a.dtype);
      const column = before.mul(here).sum(-1, { keepdim: true });
      const at = rows.eq(j).to(a.dtype);
      const below = rows.gt(j).to(a.dtype);
      const alpha = column.mul(at).sum(-2, { keepdim: true });
      const rest = column.mul(below).square().sum(-2, { keepdim: true });
      const none = rest.eq(0);
      const length = alpha.square().add(rest).sqrt();
      const beta = none.where(alpha, alpha.ge(0).where(length.neg(), length));
      const factor = none.where(0, beta.sub(alpha).div(none.where(1, beta)));
      const v = column
        .mul(below)
        .div(none.where(1, alpha.sub(beta)))
        .add(at);
      const later = columns.gt(j).to(a.dtype);
      const turned = before.sub(v.mul(factor).matmul(v.transpose(-2, -1).matmul(before)).mul(later));
      const above = column.mul(rows.lt(j).to(a.dtype));
      const stored = above.add(beta.mul(at)).add(v.mul(below));
      return [
        [
          turned.mul(here.neg().add(1)).add(stored.mul(here)),
          taus.add(factor.mul(here)),
          product.sub(product.matmul(v).matmul(v.mul(factor).transpose(-2, -1))),
        ] as const,
        null,
      ];
    },
    [a, a.narrow(-2, 0, 1).mul(0), square] as const,
    arange(Math.min(m, n)).to(a.dtype),
  );
  return { packed, tau, q };
}

export function geqrf(a: Tensor): Tensor {
  const { packed, tau } = reflections(a);
  return cat([packed, tau], -2);
}

export function qr(a: Tensor): Tensor {
  const k = Math.min(...a.shape.slice(-2));
  const { packed, q } = reflections(a);
  return cat([q.narrow(-1, 0, k), packed.triu().narrow(-2, 0, k).transpose(-2, -1)], -2);
}

/**
 * For each round the matrix that exchanges the partners [rounds, n, n]: everybody meets everybody once, one rests where
 * n is odd.
 */
function partners(n: number, like: Tensor): Tensor {
  const seats = n + (n % 2);
  const values = new Float32Array((seats - 1) * n * n);
  for (let round = 0; round < seats - 1; round++)
    for (let i = 0; i < n; i++) {
      // The last seat stays, the others go round.
      const turned = (2 * round - i + 2 * seats) % (seats - 1);
      const other = i === seats - 1 ? round : turned === i ? seats - 1 : turned;
      values[(round * n + i) * n + (other < n ? other : i)] = 1;
    }
  return Tensor.from(values, { shape: [seats - 1, n, n] }).to(like.dtype);
}

/** The rotation that makes the elements between partners of a symmetric matrix 0. */
function rotation(symmetric: Tensor, exchange: Tensor): Tensor {
  const n = symmetric.shape.at(-1)!;
  const unit = eye(n, n, { dtype: symmetric.dtype });
  const own = symmetric.mul(unit).sum(-1, { keepdim: true });
  const between = symmetric.mul(exchange).sum(-1, { keepdim: true });
  const place = arange(n).to(symmetric.dtype).unsqueeze(1);
  const other = exchange.matmul(place);
  const still = between.eq(0).logicalOr(other.eq(place));
  const tau = exchange
    .matmul(own)
    .sub(own)
    .div(still.where(1, between.mul(2)));
  // Of equal diagonal elements the first partner turns one way, the second the other.
  const sign = tau.eq(0).where(place.lt(other).to(tau.dtype).mul(2).sub(1), tau.sign());
  const tangent = still.where(0, sign.div(tau.abs().add(tau.square().add(1).sqrt())));
  const cosine = tangent.square().add(1).rsqrt();
  return unit.mul(cosine).add(exchange.mul(tangent.mul(cosine)));
}

/** Rotations from the right of `x`, chosen by `gram(x)`; also their product. */
function rotated(
  x: Tensor,
  turn: (x: Tensor, j: Tensor) => Tensor,
  gram: (x: Tensor) => Tensor,
): readonly [Tensor, Tensor] {
  const n = x.shape.at(-1)!;
  const rounds = partners(n, x);
  const unit = x
    .narrow(-2, 0, 1)
    .mul(0)
    .add(eye(n, n, { dtype: x.dtype }));
  const [result] = scan(
    ([before, product]: readonly [Tensor, Tensor], exchange: Tensor) => {
      const j = rotation(gram(before), exchange);
      return [[turn(before, j), product.matmul(j)] as const, null];
    },
    [x, unit] as const,
    cat(new Array<Tensor>(SWEEPS).fill(rounds), 0),
  );
  return result;
}

/** The matrix that brings columns into ascending order of `values` [..., n, 1]. */
function ordering(values: Tensor): Tensor {
  const n = values.shape.at(-2)!;
  const order = values.squeeze(-1).argsort(-1);
  return order.unsqueeze(-2).eq(arange(n).unsqueeze(1)).to(values.dtype);
}

const diagonalOf = (x: Tensor): Tensor =>
  x.mul(eye(x.shape.at(-1)!, x.shape.at(-1)!, { dtype: x.dtype })).sum(-1, { keepdim: true });

function eigenOf(symmetric: Tensor): Tensor {
  const [values, vectors] = rotated(
    symmetric,
    (x, j) => j.transpose(-2, -1).matmul(x).matmul(j),
    x => x,
  );
  const diagonal = diagonalOf(values);
  const order = ordering(diagonal);
  return cat([diagonal.transpose(-2, -1).matmul(order), vectors.matmul(order)], -2);
}

export const eigh = (a: Tensor): Tensor => eigenOf(a.tril().add(a.tril(-1).transpose(-2, -1)));
export const eighUpper = (a: Tensor): Tensor => eigenOf(a.triu().add(a.triu(1).transpose(-2, -1)));

/**
 * Singular values [..., 1, k] in descending order, U and V; of a singular matrix the columns of U beyond its rank are
 * 0.
 */
function singular(a: Tensor): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  const [m, n] = a.shape.slice(-2) as [number, number];
  if (m < n) {
    const { u, s, v } = singular(a.transpose(-2, -1));
    return { u: v, s, v: u };
  }
  const [columns, product] = rotated(
    a,
    (x, j) => x.matmul(j),
    x => x.transpose(-2, -1).matmul(x),
  );
  const size = columns.square().sum(-2, { keepdim: true }).sqrt();
  const order = ordering(size.transpose(-2, -1).neg());
  return { u: columns.div(size.eq(0).where(1, size)).matmul(order), s: size.matmul(order), v: product.matmul(order) };
}

export function svd(a: Tensor): Tensor {
  const { u, s, v } = singular(a);
  return cat([u, s, v], -2);
}

/** Of singular values above the larger of an absolute and a relative bound. */
export function pinv(a: Tensor, bounds: Tensor): Tensor {
  const { u, s, v } = singular(a);
  const largest = s.amax(-1, { keepdim: true });
  const least = bounds.narrow(-1, 0, 1).maximum(bounds.narrow(-1, 1, 1).mul(largest));
  const kept = s.gt(least);
  return v.mul(kept.where(kept.where(s, 1).reciprocal(), 0)).matmul(u.transpose(-2, -1));
}
