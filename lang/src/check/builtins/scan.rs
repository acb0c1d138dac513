//! Cumulative functions and differences.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value, sum_dtype};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::{ScanOp, SliceAxis, ValueId};
use matex_ir::{Dim, Op};

pub(super) const ROWS: &[Builtin] = &[
    row("cumulative_sum", "x, axis=, include_initial=", |c, a| c.cumulative(ScanOp::Sum, a)),
    row("cumulative_prod", "x, axis=, include_initial=", |c, a| c.cumulative(ScanOp::Prod, a)),
    row("cumsum", "x, axis=, include_initial=", |c, a| c.cumulative(ScanOp::Sum, a)),
    row("cumprod", "x, axis=, include_initial=", |c, a| c.cumulative(ScanOp::Prod, a)),
    row("cummax", "x, axis=", |c, a| c.cumulative(ScanOp::Max, a)),
    row("cummin", "x, axis=", |c, a| c.cumulative(ScanOp::Min, a)),
    row("diff", "x, axis=, n=", diff),
];

impl Checker<'_> {
    /// The axis of a function that needs one unless the rank is 1.
    pub(crate) fn scan_axis(&mut self, args: &Args, x: &Operand) -> R<usize> {
        let rank = self.rank(x.val.id);
        match self.axis_arg(args, "axis", rank)? {
            Some(a) => Ok(a),
            None if rank == 1 => Ok(0),
            None if rank == 0 => {
                let message = format!("{} needs an axis, this is a scalar", args.name);
                self.fail(codes::RANK_MISMATCH, message, args.span, "make it a vector: [x]")
            }
            None => {
                let message = format!("{} needs an axis on rank {rank}", args.name);
                self.fail(codes::AXIS_NEEDED, message, args.span, "write axis=0, or another one")
            }
        }
    }

    fn cumulative(&mut self, op: ScanOp, args: &Args) -> R<Value> {
        let x = self.arg(args, "x")?;
        let axis = self.scan_axis(args, &x)?;
        self.numbers(&[&x], &args.name)?;
        let own = self.dtype(x.val.id);
        let sums = matches!(op, ScanOp::Sum | ScanOp::Prod);
        let dtype = if sums { sum_dtype(own) } else { own };
        let wide = self.b.cast(x.val.id, dtype.compute());
        let y = self.b.scan(op, wide, axis);
        let mut y = self.b.cast(y, dtype);
        if args.has("include_initial") && self.flag_arg(args, "include_initial", false)? {
            let mut shape = self.shape(y);
            shape[axis] = Dim::ONE;
            let first = matex_ir::Scalar::from_i128(dtype, i128::from(op == ScanOp::Prod));
            let first = self.constant(first);
            let first = self.broadcast_to(first, &shape);
            y = self.b.concat(&[first, y], axis);
        }
        Ok(Val::with_weak(y, x.val.weak).into())
    }

    /// The part `start .. start + len` of an axis.
    pub(crate) fn part(&mut self, x: ValueId, axis: usize, start: Dim, len: Dim) -> ValueId {
        let mut lens = self.shape(x);
        let mut axes: Vec<SliceAxis> = lens.iter().map(|_| SliceAxis { start: Dim::ZERO, step: 1 }).collect();
        axes[axis].start = start;
        lens[axis] = len;
        self.b.slice(x, axes, lens)
    }
}

/// Differences of neighbours, n times; an axis with none left is empty.
fn diff(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.numbers(&[&x], "diff")?;
    let rank = c.rank(x.val.id);
    if rank == 0 {
        return c.fail(
            codes::RANK_MISMATCH,
            "diff needs an axis, this is a scalar",
            args.span,
            "make it a vector: [x]",
        );
    }
    let axis = c.axis_arg(args, "axis", rank)?.unwrap_or(rank - 1);
    let n = c.int_arg(args, "n")?.unwrap_or(1);
    if !(0..=256).contains(&n) {
        let at = args.get("n").map_or(args.span, |src| c.src_span(src));
        let help = "n counts how often differences are taken: 1, 2, …";
        return c.fail(codes::LITERAL_OUT_OF_RANGE, format!("n is {n}, and 0 to 256 is possible"), at, help);
    }
    let mut y = x.val.id;
    for _ in 0..n {
        let extent = c.shape(y)[axis].clone();
        let len = (&extent - &Dim::ONE).larger(&Dim::ZERO);
        let start = &extent - &len;
        let (a, b) = (c.part(y, axis, start, len.clone()), c.part(y, axis, Dim::ZERO, len));
        y = c.map_op(Op::Sub, &[a, b]);
    }
    Ok(Val::with_weak(y, x.val.weak).into())
}
