//! Factorizations, and what is defined by them: determinants, inverses, ranks and powers of matrices.
//!
//! The tensor IR has the factorizations; everything else is put together from their factors here. Work is done in f32
//! or f64, also for f16 and bf16, and gives that.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R, domain};
use crate::codes;
use matex_ir::tensor::{Kind, LibOp, ReduceOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};

pub(super) const ROWS: &[Builtin] = &[
    row("det", "A", det),
    row("slogdet", "A", slogdet),
    row("inv", "A", inv),
    row("solve_triangular", "A, b, lower=", solve_triangular),
    row("cholesky", "A", |c, args| {
        let a = c.square_factor(args, "lu(A) takes matrices that are not square")?;
        Ok(Val::strong(c.b.factor(LibOp::Cholesky, &[a])).into())
    }),
    row("lu", "A", lu),
    row("qr", "A", |c, args| {
        let a = c.factor_arg(args)?;
        Ok(c.members(LibOp::Qr, a.val.id, 2))
    }),
    row("svd", "A, full_matrices=", |c, args| {
        let a = c.factor_arg(args)?;
        let full = c.flag_arg(args, "full_matrices", true)?;
        Ok(c.members(LibOp::Svd { full }, a.val.id, 3))
    }),
    row("svdvals", "A", |c, args| {
        let a = c.factor_arg(args)?;
        Ok(Val::strong(c.b.factor(LibOp::Svdvals, &[a.val.id])).into())
    }),
    row("eigh", "A", |c, args| {
        let a = c.square_factor(args, "svd(A) takes matrices that are not square")?;
        Ok(c.members(LibOp::Eigh, a, 2))
    }),
    row("eigvalsh", "A", |c, args| {
        let a = c.square_factor(args, "svdvals(A) takes matrices that are not square")?;
        Ok(Val::strong(c.b.factor(LibOp::Eigvalsh, &[a])).into())
    }),
    row("pinv", "A, rcond=", pinv),
    row("matrix_power", "A, n", matrix_power),
    row("matrix_rank", "A, rtol=", matrix_rank),
];

impl Checker<'_> {
    /// The matrix, or the batch of them, in f32 or f64.
    fn factor_arg(&mut self, args: &Args) -> R<Operand> {
        let a = self.arg(args, "A")?;
        self.matrix(&a, &args.name)?;
        let dtype = self.float_dtype(&[&a], &args.name)?.compute();
        let id = self.in_dtype(&a, dtype)?;
        Ok(Operand { val: Val::strong(id), span: a.span })
    }

    fn square_factor(&mut self, args: &Args, help: &str) -> R<ValueId> {
        let a = self.factor_arg(args)?;
        Ok(self.square(&a, &args.name, help)?.0)
    }

    /// The results of a factorization that gives several.
    fn members(&mut self, op: LibOp, a: ValueId, count: usize) -> Value {
        let all = self.b.factor(op, &[a]);
        Value::Tuple((0..count).map(|i| Val::strong(self.b.proj(all, i))).collect())
    }

    /// Where `col - row` compares like this with 0, in the last two axes of a shape.
    fn beside_diagonal(&mut self, op: Op, shape: &[Dim]) -> ValueId {
        let rank = shape.len();
        let (rows, cols) = (self.iota(shape, rank - 2), self.iota(shape, rank - 1));
        self.map_op(op, &[cols, rows])
    }

    fn identity(&mut self, shape: &[Dim], dtype: DType) -> ValueId {
        let on = self.beside_diagonal(Op::Eq, shape);
        self.b.cast(on, dtype)
    }

    /// `x` where the condition holds, else 0.
    fn kept(&mut self, condition: ValueId, x: ValueId) -> ValueId {
        let (dtype, shape) = (self.dtype(x), self.shape(x));
        let zeros = self.repeated(Scalar::from_bits(dtype, 0), &shape);
        self.map_op(Op::Select, &[condition, x, zeros])
    }

    /// The diagonal of U and the sign of the order of the rows, of the LU factors of a square matrix. The diagonal is
    /// a sum over rows of which all but one element is 0, which is right for 0 rows too.
    fn pivots(&mut self, a: ValueId) -> (ValueId, ValueId) {
        let all = self.b.factor(LibOp::Lu, &[a]);
        let (factors, sign) = (self.b.proj(all, 0), self.b.proj(all, 2));
        let shape = self.shape(factors);
        let on = self.beside_diagonal(Op::Eq, &shape);
        let kept = self.kept(on, factors);
        (self.reduced(ReduceOp::Sum, kept, &[shape.len() - 1], false), sign)
    }

    /// The matrix of a determinant.
    fn determined(&mut self, args: &Args) -> R<ValueId> {
        self.square_factor(args, "only square matrices have determinants; look at svdvals(A)")
    }

    /// The determinant by LU.
    fn by_pivots(&mut self, a: ValueId) -> ValueId {
        let (diagonal, sign) = self.pivots(a);
        let product = self.along_last(ReduceOp::Prod, diagonal);
        self.signed(sign, product)
    }

    fn along_last(&mut self, op: ReduceOp, x: ValueId) -> ValueId {
        let last = self.rank(x) - 1;
        self.reduced(op, x, &[last], false)
    }

    /// The determinant as LU gives it, with the derivative of the product of the singular values, which does not divide by any
    /// of them. The sign is that of the two orthogonal factors.
    fn by_singular_values(&mut self, a: ValueId) -> ValueId {
        let dtype = self.dtype(a);
        let fixed = self.b.bitcast(a, dtype);
        let value = self.by_pivots(fixed);
        let all = self.b.factor(LibOp::Svd { full: false }, &[fixed]);
        let (u, vh) = (self.b.proj(all, 0), self.b.proj(all, 2));
        let s = self.b.factor(LibOp::Svdvals, &[a]);
        let (du, dv) = (self.by_pivots(u), self.by_pivots(vh));
        let turned = self.map_op(Op::Mul, &[du, dv]);
        let sign = self.map_op(Op::Sign, &[turned]);
        let product = self.along_last(ReduceOp::Prod, s);
        let product = self.map_op(Op::Mul, &[sign, product]);
        let same = self.b.bitcast(product, dtype);
        let change = self.map_op(Op::Sub, &[product, same]);
        self.map_op(Op::Add, &[value, change])
    }

    /// The product with a sign, without a negative zero.
    fn signed(&mut self, sign: ValueId, x: ValueId) -> ValueId {
        let (dtype, shape) = (self.dtype(x), self.shape(x));
        let product = self.map_op(Op::Mul, &[sign, x]);
        let zeros = self.repeated(Scalar::from_bits(dtype, 0), &shape);
        self.map_op(Op::Add, &[product, zeros])
    }

    /// The inverse of square matrices in f32 or f64.
    fn inverse(&mut self, a: ValueId) -> ValueId {
        let ty = self.b.ty(a).clone();
        let eye = self.identity(&ty.shape, ty.dtype);
        self.b.lib(LibOp::Solve, &[a, eye], ty)
    }

    /// Which of these singular values, in falling order, are larger than `name=` times the largest: without it, than
    /// the larger extent times the distance from 1 to the next number.
    fn significant(&mut self, args: &Args, name: &str, matrix: ValueId, s: ValueId) -> R<ValueId> {
        let (dtype, shape, whole) = (self.dtype(s), self.shape(s), self.shape(matrix));
        let last = shape.len() - 1;
        let relative = match self.opt_arg(args, name)? {
            Some(r) if self.rank(r.val.id) == 0 => self.in_dtype(&r, dtype)?,
            Some(r) => {
                let message = format!("{name} is one number, this is {}", self.type_text(r.val.id));
                return self.fail(codes::RANK_MISMATCH, message, r.span, "give a scalar");
            }
            None => {
                let larger = self.size_value(whole[last].larger(&whole[last + 1])).id;
                let larger = self.b.cast(larger, dtype);
                let eps = if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
                let eps = self.constant(Scalar::from_f64(dtype, eps));
                self.map_op(Op::Mul, &[larger, eps])
            }
        };
        // A zero behind them, so that there is a largest of none.
        let mut one = shape.clone();
        one[last] = Dim::ONE;
        let zero = self.repeated(Scalar::from_bits(dtype, 0), &one);
        let all = self.b.concat(&[s, zero], last);
        let largest = self.reduced(ReduceOp::Max, all, &[last], true);
        let cut = self.over_scalar(Op::Mul, largest, relative);
        let cut = self.broadcast_to(cut, &shape);
        Ok(self.map_op(Op::Gt, &[s, cut]))
    }
}

/// By LU, but for the derivative of a singular matrix, which that has no way to.
fn det(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.determined(args)?;
    if c.differentiated == 0 {
        return Ok(Val::strong(c.by_pivots(a)).into());
    }
    let dtype = c.dtype(a);
    let fixed = c.b.bitcast(a, dtype);
    let (diagonal, _) = c.pivots(fixed);
    let shape = c.shape(diagonal);
    let zeros = c.repeated(Scalar::from_bits(dtype, 0), &shape);
    let zero = c.map_op(Op::Eq, &[diagonal, zeros]);
    let axes: Vec<usize> = (0..shape.len()).collect();
    let singular = c.reduced(ReduceOp::Any, zero, &axes, false);
    let (yes, _) = c.b.begin_region(&[]);
    let result = c.by_singular_values(a);
    c.b.end_region(vec![result]);
    let (no, _) = c.b.begin_region(&[]);
    let result = c.by_pivots(a);
    c.b.end_region(vec![result]);
    let both = c.b.control(Kind::If(yes, no), vec![singular]);
    Ok(Val::strong(c.b.proj(both, 0)).into())
}

/// Sign and logarithm of the absolute value; 0 and -inf for a singular matrix.
fn slogdet(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.determined(args)?;
    let (diagonal, sign) = c.pivots(a);
    let last = c.rank(diagonal) - 1;
    let signs = c.map_op(Op::Sign, &[diagonal]);
    let signs = c.reduced(ReduceOp::Prod, signs, &[last], false);
    let sign = c.signed(sign, signs);
    let sizes = c.map_op(Op::Abs, &[diagonal]);
    let logs = c.map_op(Op::Log, &[sizes]);
    let sum = c.reduced(ReduceOp::Sum, logs, &[last], false);
    Ok(Value::Tuple(vec![Val::strong(sign), Val::strong(sum)]))
}

fn inv(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.square_factor(args, "pinv(A) takes matrices that are not square")?;
    Ok(Val::strong(c.inverse(a)).into())
}

fn solve_triangular(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let lower = c.flag_arg(args, "lower", false)?;
    let (a, b, vector) = c.square_system(args)?;
    let x = c.b.factor(LibOp::SolveTriangular { lower }, &[a, b]);
    Ok(c.solution(x, vector))
}

/// P, L and U with `A == P @ L @ U`.
fn lu(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.factor_arg(args)?.val.id;
    let (dtype, shape) = (c.dtype(a), c.shape(a));
    let rank = shape.len();
    let small = shape[rank - 2].smaller(&shape[rank - 1]);
    let all = c.b.factor(LibOp::Lu, &[a]);
    let (factors, order) = (c.b.proj(all, 0), c.b.proj(all, 1));
    let left = c.part(factors, rank - 1, Dim::ZERO, small.clone());
    let left_shape = c.shape(left);
    let below = c.beside_diagonal(Op::Lt, &left_shape);
    let below = c.kept(below, left);
    let ones = c.identity(&left_shape, dtype);
    let l = c.map_op(Op::Add, &[below, ones]);
    let top = c.part(factors, rank - 2, Dim::ZERO, small);
    let top_shape = c.shape(top);
    let above = c.beside_diagonal(Op::Ge, &top_shape);
    let u = c.kept(above, top);
    // Column j of P has its 1 in the row that became row j.
    let mut p_shape = shape;
    p_shape[rank - 1] = p_shape[rank - 2].clone();
    let rows = c.iota(&p_shape, rank - 2);
    let mut line = p_shape.clone();
    line[rank - 2] = Dim::ONE;
    let order = c.b.reshape(order, line);
    let order = c.broadcast_to(order, &p_shape);
    let p = c.map_op(Op::Eq, &[rows, order]);
    let p = c.b.cast(p, dtype);
    Ok(Value::Tuple([p, l, u].map(Val::strong).to_vec()))
}

/// The inverse of Moore and Penrose, without the directions of small singular values.
fn pinv(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.factor_arg(args)?.val.id;
    let all = c.b.factor(LibOp::Svd { full: false }, &[a]);
    let (u, s, vh) = (c.b.proj(all, 0), c.b.proj(all, 1), c.b.proj(all, 2));
    let keep = c.significant(args, "rcond", a, s)?;
    let (dtype, mut shape) = (c.dtype(s), c.shape(s));
    let ones = c.repeated(Scalar::from_f64(dtype, 1.0), &shape);
    // No division by 0 where nothing is kept.
    let safe = c.map_op(Op::Select, &[keep, s, ones]);
    let inverse = c.map_op(Op::Div, &[ones, safe]);
    let inverse = c.kept(keep, inverse);
    let rank = shape.len() + 1;
    shape.push(Dim::ONE);
    let column = c.b.reshape(inverse, shape);
    let whole = c.shape(vh);
    let column = c.broadcast_to(column, &whole);
    let scaled = c.map_op(Op::Mul, &[vh, column]);
    let batch = (0..rank - 2).map(|k| (k, k)).collect();
    Ok(Val::strong(c.b.dot(scaled, u, batch, vec![(rank - 2, rank - 1)])).into())
}

/// How many singular values are not small.
fn matrix_rank(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let a = c.factor_arg(args)?.val.id;
    let s = c.b.factor(LibOp::Svdvals, &[a]);
    let keep = c.significant(args, "rtol", a, s)?;
    let last = c.rank(keep) - 1;
    let counted = c.b.cast(keep, DType::I64);
    Ok(Val::strong(c.reduced(ReduceOp::Sum, counted, &[last], false)).into())
}

impl Checker<'_> {
    /// The product of two batches of square matrices.
    fn product(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let rank = self.rank(a);
        let batch = (0..rank - 2).map(|k| (k, k)).collect();
        self.b.dot(a, b, batch, vec![(rank - 1, rank - 2)])
    }

    /// A power that is known, 1 or more, by squaring.
    fn known_power(&mut self, mut base: ValueId, mut n: u64) -> ValueId {
        let mut result: Option<ValueId> = None;
        loop {
            if n & 1 == 1 {
                result = Some(result.map_or(base, |r| self.product(r, base)));
            }
            n >>= 1;
            if n == 0 {
                return result.unwrap_or(base);
            }
            base = self.product(base, base);
        }
    }

    /// A power that is known when the program runs, by squaring in a loop; it must not be negative.
    fn any_power(&mut self, base: ValueId, n: ValueId) -> ValueId {
        let ty = self.b.ty(base).clone();
        let int = |v: i128| Scalar::from_i128(DType::I64, v);
        let (zero, one) = (self.constant(int(0)), self.constant(int(1)));
        let n = self.b.cast(n, DType::I64);
        let fits = self.map_op(Op::Ge, &[n, zero]);
        let message = domain::NEGATIVE_MATRIX_POWER.message.to_owned();
        let n = self.b.check(n, fits, codes::RUNTIME_DOMAIN, message);
        let start = self.identity(&ty.shape, ty.dtype);
        let carried = [TensorType::scalar(DType::I64), ty.clone(), ty];
        let (test, p) = self.b.begin_region(&carried);
        let more = self.map_op(Op::Gt, &[p[0], zero]);
        self.b.end_region(vec![more]);
        let (body, p) = self.b.begin_region(&carried);
        let bit = self.map_op(Op::And, &[p[0], one]);
        let odd = self.map_op(Op::Eq, &[bit, one]);
        let (yes, _) = self.b.begin_region(&[]);
        let times = self.product(p[2], p[1]);
        self.b.end_region(vec![times]);
        let (no, _) = self.b.begin_region(&[]);
        self.b.end_region(vec![p[2]]);
        let result = self.b.control(Kind::If(yes, no), vec![odd]);
        let result = self.b.proj(result, 0);
        let rest = self.map_op(Op::Shr, &[p[0], one]);
        let square = self.product(p[1], p[1]);
        self.b.end_region(vec![rest, square, result]);
        let out = self.b.control(Kind::While(test, body), vec![n, base, start]);
        self.b.proj(out, 2)
    }
}

/// Integers stay integers unless the power is negative.
fn matrix_power(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, n) = (c.arg(args, "A")?, c.arg(args, "n")?);
    c.matrix(&a, "matrix_power")?;
    c.numbers(&[&a], "matrix_power")?;
    c.integers(&[&n], "matrix_power")?;
    if c.rank(n.val.id) != 0 {
        let message = format!("the power is one integer, this is {}", c.type_text(n.val.id));
        return c.fail(codes::RANK_MISMATCH, message, n.span, "give a scalar");
    }
    let known = n.val.dims.as_ref().and_then(|d| d.first()?.as_const());
    let own = c.dtype(a.val.id);
    let dtype = if own.is_float() { own.compute() } else { own };
    let dtype = if known.is_some_and(|n| n < 0) && !dtype.is_float() { DType::F64 } else { dtype };
    let weak = a.val.weak && !dtype.is_float();
    let id = c.in_dtype(&a, dtype)?;
    let a = Operand { val: Val::strong(id), span: a.span };
    let (base, _) = c.square(&a, "matrix_power", "only square matrices have powers")?;
    let id = match known {
        Some(0) => {
            let shape = c.shape(base);
            c.identity(&shape, dtype)
        }
        Some(n) => {
            let base = if n < 0 { c.inverse(base) } else { base };
            c.known_power(base, n.unsigned_abs())
        }
        None => c.any_power(base, n.val.id),
    };
    Ok(Val::with_weak(id, weak).into())
}
