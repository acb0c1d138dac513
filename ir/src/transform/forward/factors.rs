//! Tangents of library routines: solvers, factorizations, sorting.
//!
//! The formulas are those of Giles ("An extended collection of matrix derivative results for forward and reverse mode
//! algorithmic differentiation", 2008) and, for QR, of Walter and Lehmann (2010), for batches of matrices. A function
//! of the lower triangle alone has no derivative by the upper one.

use super::order;
use crate::dim::Dim;
use crate::ops::Op;
use crate::span::Span;
use crate::tensor::{Builder, Guard, GuardKind, Kind, LibOp, Node, ReduceOp, ValueId};
use crate::transform::{MORE_COLUMNS, REPEATED_VALUES, Refused};

type Tangent = Result<Option<ValueId>, Refused>;

/// The tangent of a routine with one result.
pub(super) fn single(
    b: &mut Builder,
    op: &LibOp,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    y: ValueId,
) -> Tangent {
    let x = args[0];
    match op {
        LibOp::Sort { axis, descending } => Ok(tangents[0].map(|t| {
            let index = order(b, x, *axis, *descending);
            b.gather_along(t, index, *axis)
        })),
        LibOp::Argsort { .. } | LibOp::SearchSorted { .. } => Ok(None),
        LibOp::Solve | LibOp::SolveDefinite | LibOp::SolveTriangular { .. } => {
            Ok(Some(solved(b, op, node, args, tangents, y)))
        }
        LibOp::Lstsq => least_squares(b, node.origin, args, tangents, y),
        LibOp::Cholesky => Ok(tangents[0].map(|t| cholesky(b, t, y))),
        LibOp::PivotsDefinite => Err(Refused::at(
            node.origin,
            "pivots of which only the product is defined have no derivative".to_owned(),
            "take the derivative before the program is optimized",
        )),
        LibOp::Svdvals => Ok(tangents[0].map(|t| {
            let all = b.factor(LibOp::Svd { full: false }, &[x]);
            let (u, vh) = (b.proj(all, 0), b.proj(all, 2));
            let moved = b.product(t, false, vh, true);
            column_products(b, u, moved)
        })),
        LibOp::Eigvalsh => Ok(tangents[0].map(|t| {
            let all = b.factor(LibOp::Eigh, &[x]);
            let vectors = b.proj(all, 1);
            let t = mirrored(b, t);
            let moved = b.product(t, false, vectors, false);
            column_products(b, vectors, moved)
        })),
        LibOp::Lu | LibOp::Qr | LibOp::Svd { .. } | LibOp::Eigh => Ok(None),
    }
}

/// The tangents of the results of a factorization.
pub(super) fn members(
    b: &mut Builder,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    ys: &[ValueId],
) -> Result<Vec<Option<ValueId>>, Refused> {
    let (Kind::Lib(op), Some(Some(t))) = (&node.kind, tangents.first()) else { return Ok(Vec::new()) };
    let shape = b.ty(args[0]).shape.clone();
    let square = shape.len() >= 2 && shape[shape.len() - 1] == shape[shape.len() - 2];
    let refused = |what: &str, help| Err(Refused::at(node.origin, what.to_owned(), help));
    match op {
        LibOp::Lu if !square => refused(
            "lu of a matrix that is not known to be square has no derivative",
            "declare it square, as in A: f64[n, n]",
        ),
        LibOp::Svd { full: true } if !square => refused(
            "the square factors of svd have no derivative unless the matrix is known to be square",
            "write svd(A, full_matrices=false): the columns beyond the smaller size are not unique",
        ),
        LibOp::Lu => Ok(vec![Some(lu(b, *t, ys)), None, None]),
        LibOp::Qr => Ok(qr(b, args[0], *t, ys)),
        LibOp::Svd { .. } => Ok(svd(b, *t, ys, square)),
        LibOp::Eigh => Ok(eigh(b, *t, ys)),
        LibOp::Sort { .. }
        | LibOp::Argsort { .. }
        | LibOp::SearchSorted { .. }
        | LibOp::Solve
        | LibOp::SolveDefinite
        | LibOp::Lstsq
        | LibOp::SolveTriangular { .. }
        | LibOp::PivotsDefinite
        | LibOp::Cholesky
        | LibOp::Svdvals
        | LibOp::Eigvalsh => Ok(Vec::new()),
    }
}

/// `A dx = db - dA x`.
fn solved(
    b: &mut Builder,
    op: &LibOp,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    y: ValueId,
) -> ValueId {
    let matrix = tangents[0].map(|t| {
        let t = if let LibOp::SolveTriangular { lower } = op {
            b.triangle(if *lower { Op::Le } else { Op::Ge }, t)
        } else {
            t
        };
        b.product(t, false, y, false)
    });
    let right = match (tangents[1], matrix) {
        (Some(t), Some(m)) => b.map(Op::Sub, &[t, m]),
        (Some(t), None) => t,
        (None, Some(m)) => b.map(Op::Neg, &[m]),
        (None, None) => b.filled(y, 0.0),
    };
    b.push(Kind::Lib(op.clone()), vec![args[0], right], node.ty.clone())
}

/// `x` with `T x = b` for triangular T.
fn triangular(b: &mut Builder, lower: bool, matrix: ValueId, right: ValueId) -> ValueId {
    b.factor(LibOp::SolveTriangular { lower }, &[matrix, right])
}

/// `a` times the inverse of the upper triangle of a matrix.
fn over_upper(b: &mut Builder, a: ValueId, upper: ValueId) -> ValueId {
    let (lower, right) = (b.transposed(upper), b.transposed(a));
    let x = triangular(b, true, lower, right);
    b.transposed(x)
}

/// The symmetric matrix of a lower triangle.
fn mirrored(b: &mut Builder, x: ValueId) -> ValueId {
    let low = b.triangle(Op::Le, x);
    let strict = b.triangle(Op::Lt, x);
    let up = b.transposed(strict);
    b.map(Op::Add, &[low, up])
}

/// The products of the columns of two matrices, one number a column.
fn column_products(b: &mut Builder, x: ValueId, y: ValueId) -> ValueId {
    let rows = b.ty(x).rank().saturating_sub(2);
    let each = b.map(Op::Mul, &[x, y]);
    b.reduce(ReduceOp::Sum, each, vec![rows])
}

/// `dL = L phi(L^-1 dA L^-T)`, where phi takes the lower triangle and half the diagonal.
fn cholesky(b: &mut Builder, t: ValueId, l: ValueId) -> ValueId {
    let t = mirrored(b, t);
    let left = triangular(b, true, l, t);
    let left = b.transposed(left);
    let inner = triangular(b, true, l, left);
    let low = b.triangle(Op::Lt, inner);
    let on = b.triangle(Op::Eq, inner);
    let half = b.filled(on, 0.5);
    let on = b.map(Op::Mul, &[on, half]);
    let phi = b.map(Op::Add, &[low, on]);
    b.product(l, false, phi, false)
}

/// For `X = L^-1 P dA U^-1`: `dL = L tril(X, -1)` and `dU = triu(X) U`, which share one matrix.
fn lu(b: &mut Builder, t: ValueId, ys: &[ValueId]) -> ValueId {
    let factors = ys[0];
    let shape = b.ty(factors).shape.clone();
    let rank = shape.len();
    let rows = b.spread(ys[1], &shape, &[rank - 1]);
    let t = b.gather_along(t, rows, rank - 2);
    let below = b.triangle(Op::Lt, factors);
    let on = b.beside_diagonal(Op::Eq, &shape);
    let ones = b.cast(on, b.ty(factors).dtype);
    let l = b.map(Op::Add, &[below, ones]);
    let left = triangular(b, true, l, t);
    let x = over_upper(b, left, factors);
    let strict = b.triangle(Op::Lt, x);
    let dl = b.product(l, false, strict, false);
    let (up, u) = (b.triangle(Op::Ge, x), b.triangle(Op::Ge, factors));
    let du = b.product(up, false, u, false);
    b.map(Op::Add, &[dl, du])
}

/// With `X = dA R^-1` of the first columns and W the antisymmetric matrix that has the strict lower triangle of `Q^T X`:
/// `dQ = Q (W - Q^T X) + X` and `dR = Q^T dA - W R`.
fn qr(b: &mut Builder, a: ValueId, t: ValueId, ys: &[ValueId]) -> Vec<Option<ValueId>> {
    let (q, r) = (ys[0], ys[1]);
    let rank = b.ty(a).rank();
    let small = b.ty(q).shape[rank - 1].clone();
    let (first, upper) = (b.first(t, rank - 1, &small), b.first(r, rank - 1, &small));
    let x = over_upper(b, first, upper);
    let projected = b.product(q, true, x, false);
    let low = b.triangle(Op::Lt, projected);
    let up = b.transposed(low);
    let turn = b.map(Op::Sub, &[low, up]);
    let inner = b.map(Op::Sub, &[turn, projected]);
    let inner = b.product(q, false, inner, false);
    let dq = b.map(Op::Add, &[inner, x]);
    let whole = b.product(q, true, t, false);
    let turned = b.product(turn, false, r, false);
    let dr = b.map(Op::Sub, &[whole, turned]);
    let dr = b.triangle(Op::Ge, dr);
    vec![Some(dq), Some(dr)]
}

/// `1 / (v[j] - v[i])`, and 0 on the diagonal, under the condition that no two values are equal.
fn inverse_gaps(b: &mut Builder, values: ValueId, squared: bool) -> ValueId {
    let mut shape = b.ty(values).shape.clone();
    let n = shape.last().cloned().unwrap_or(Dim::ONE);
    let rank = shape.len() + 1;
    shape.push(n);
    let (rows, cols) = (b.spread(values, &shape, &[rank - 1]), b.spread(values, &shape, &[rank - 2]));
    let mut gaps = b.map(Op::Sub, &[cols, rows]);
    if squared {
        let sums = b.map(Op::Add, &[cols, rows]);
        gaps = b.map(Op::Mul, &[gaps, sums]);
    }
    let on = b.beside_diagonal(Op::Eq, &shape);
    let one = b.filled(gaps, 1.0);
    let gaps = b.map(Op::Select, &[on, one, gaps]);
    let zero = b.filled(gaps, 0.0);
    let apart = b.map(Op::Ne, &[gaps, zero]);
    let apart = b.reduce(ReduceOp::All, apart, (0..rank).collect());
    let inverse = b.map(Op::Div, &[one, gaps]);
    let inverse = b.map(Op::Select, &[on, zero, inverse]);
    let message = "the derivative of vectors that belong to equal values is not defined".to_owned();
    b.check(inverse, apart, REPEATED_VALUES, message)
}

fn eigh(b: &mut Builder, t: ValueId, ys: &[ValueId]) -> Vec<Option<ValueId>> {
    let (w, v) = (ys[0], ys[1]);
    let t = mirrored(b, t);
    let moved = b.product(t, false, v, false);
    let dw = column_products(b, v, moved);
    let inner = b.product(v, true, moved, false);
    let gaps = inverse_gaps(b, w, false);
    let inner = b.map(Op::Mul, &[gaps, inner]);
    let dv = b.product(v, false, inner, false);
    vec![Some(dw), Some(dv)]
}

/// With `P = U^T dA V`: `ds` is the diagonal of P, `dU = U (F * (P S + S P^T)) + (dA V - U P) S^-1`, and likewise dV;
/// the last term is 0 for a square matrix.
fn svd(b: &mut Builder, t: ValueId, ys: &[ValueId], square: bool) -> Vec<Option<ValueId>> {
    let (u, s, vh) = (ys[0], ys[1], ys[2]);
    let moved = b.product(t, false, vh, true);
    let p = b.product(u, true, moved, false);
    let ds = b.diagonal(p);
    let pt = b.transposed(p);
    let gaps = inverse_gaps(b, s, true);
    let turned = |b: &mut Builder, basis: ValueId, p: ValueId, pt: ValueId| {
        let (left, right) = (b.times_columns(p, s), b.times_rows(pt, s));
        let sum = b.map(Op::Add, &[left, right]);
        let inner = b.map(Op::Mul, &[gaps, sum]);
        b.product(basis, false, inner, false)
    };
    let mut du = turned(b, u, p, pt);
    let v = b.transposed(vh);
    // F * (S P + P^T S) is the same with P and its transpose swapped.
    let mut dv = turned(b, v, pt, p);
    if !square {
        let one = b.filled(s, 1.0);
        let inverse = b.map(Op::Div, &[one, s]);
        let rest = |b: &mut Builder, moved: ValueId, basis: ValueId, p: ValueId| {
            let inside = b.product(basis, false, p, false);
            let outside = b.map(Op::Sub, &[moved, inside]);
            b.times_columns(outside, inverse)
        };
        let more = rest(b, moved, u, p);
        du = b.map(Op::Add, &[du, more]);
        let moved = b.product(t, true, u, false);
        let more = rest(b, moved, v, pt);
        dv = b.map(Op::Add, &[dv, more]);
    }
    let dvh = b.transposed(dv);
    vec![Some(du), Some(ds), Some(dvh)]
}

/// `dx = R^-1 Q^T (db - dA x) + R^-1 R^-T dA^T (b - A x)`, for a matrix of full column rank.
fn least_squares(
    b: &mut Builder,
    origin: Span,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    x: ValueId,
) -> Tangent {
    let (a, right) = (args[0], args[1]);
    let shape = b.ty(a).shape.clone();
    let (rows, cols) = (shape[0].clone(), shape[1].clone());
    let spare = &rows - &cols;
    if spare.as_const().is_some_and(|v| v < 0) {
        let what = "lstsq with more unknowns than equations has no derivative";
        return Err(Refused::at(origin, what, "its solution is one of many; add equations"));
    }
    if !spare.is_nonnegative() {
        let message = "the derivative of lstsq with more unknowns than equations is not defined".to_owned();
        let (left, right, code) = (cols.clone(), rows.clone(), MORE_COLUMNS);
        b.guard(Guard { kind: GuardKind::AtMost, left, right, code, message, origin });
    }
    let all = b.factor(LibOp::Qr, &[a]);
    let (q, r) = (b.proj(all, 0), b.proj(all, 1));
    let (q, r) = (b.reshape(q, vec![rows, cols.clone()]), b.reshape(r, vec![cols.clone(), cols]));
    let mut change = tangents[1];
    let mut normal = None;
    if let Some(t) = tangents[0] {
        let moved = b.product(t, false, x, false);
        change = Some(match change {
            Some(c) => b.map(Op::Sub, &[c, moved]),
            None => b.map(Op::Neg, &[moved]),
        });
        let fitted = b.product(a, false, x, false);
        let residual = b.map(Op::Sub, &[right, fitted]);
        let turned = b.product(t, true, residual, false);
        let lower = b.transposed(r);
        normal = Some(triangular(b, true, lower, turned));
    }
    let seen = change.map(|c| b.product(q, true, c, false));
    let total = match (seen, normal) {
        (Some(s), Some(n)) => b.map(Op::Add, &[s, n]),
        (Some(v), None) | (None, Some(v)) => v,
        (None, None) => return Ok(None),
    };
    Ok(Some(triangular(b, false, r, total)))
}
