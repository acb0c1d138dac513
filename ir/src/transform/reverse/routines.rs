//! Cotangents of what has a forward rule only, and of library routines.
//!
//! A routine works on a matrix as a whole. A matrix counts as taken when any element of what came of it was; for one
//! that was not, a regular one is differentiated instead and the derivative thrown away, so that neither a NaN nor an
//! error comes of it. Of a system, each column of the right side counts by itself.

use super::{Cotangent, Reverse};
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, LibOp, Node, ReduceOp, ScanOp, TensorType, Type, ValueId};
use crate::transform::Refused;
use crate::transform::body::Body;
use crate::transform::forward::{self, order, reversed};
use crate::transform::reverse::{Keep, reverse};

impl Reverse<'_> {
    /// A reduction that is not linear: what was not taken was not taken of every element that went into it.
    pub(super) fn reduction(
        &mut self,
        v: ValueId,
        node: &Node,
        axes: &[usize],
        ct: Cotangent,
    ) -> Result<(), Refused> {
        let mask = ct.mask.map(|m| {
            let shape = self.c.body.ty(self.c.b, node.args[0]).shape;
            self.c.b.spread(m, &shape, axes)
        });
        let (args, y) = (self.c.all(&node.args), self.c.get(v));
        let moved = self.by_forward(node, &args, &[y], &[Some(ct.value)])?;
        self.add_masked(moved, |_, _| mask);
        Ok(())
    }

    /// A scan that is not linear. An element goes into its own result and all behind it; where none of them was taken,
    /// neither element nor result is looked at.
    pub(super) fn running(
        &mut self,
        v: ValueId,
        node: &Node,
        axis: usize,
        ct: Cotangent,
    ) -> Result<(), Refused> {
        let (mut x, mut y) = (self.c.get(node.args[0]), self.c.get(v));
        let mask = ct.mask.map(|m| any_behind(self.c.b, m, axis));
        if let Some(m) = mask {
            x = self.c.b.kept(m, x);
            y = self.c.b.kept(m, y);
        }
        let moved = self.by_forward(node, &[x], &[y], &[Some(ct.value)])?;
        self.add_masked(moved, |_, _| mask);
        Ok(())
    }

    /// A library routine with one result.
    pub(super) fn routine(
        &mut self,
        v: ValueId,
        op: &LibOp,
        node: &Node,
        ct: Cotangent,
    ) -> Result<(), Refused> {
        match op {
            LibOp::Solve | LibOp::SolveDefinite | LibOp::SolveTriangular { .. } => {
                self.solve(v, op, node, ct);
                Ok(())
            }
            LibOp::Sort { axis, descending } => {
                let x = self.c.get(node.args[0]);
                let index = order(self.c.b, x, *axis, *descending);
                self.scattered(node.args[0], index, *axis, ct);
                Ok(())
            }
            LibOp::Argsort { .. }
            | LibOp::SearchSorted { .. }
            | LibOp::Lstsq
            | LibOp::Lu
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Qr
            | LibOp::Svd { .. }
            | LibOp::Svdvals
            | LibOp::Eigh
            | LibOp::Eigvalsh => {
                let y = self.c.get(v);
                self.matrices(node, vec![y], &[Some(ct)])
            }
        }
    }

    /// A library routine with several results.
    pub(super) fn factorization(
        &mut self,
        v: ValueId,
        node: &Node,
        count: usize,
        cts: &[Option<Cotangent>],
    ) -> Result<(), Refused> {
        let member = |i| self.c.env.member(self.c.body, v, i).unwrap_or(v);
        let ys = (0..count).map(member).collect();
        self.matrices(node, ys, cts)
    }

    /// A routine on batches of matrices that has a forward rule only.
    fn matrices(
        &mut self,
        node: &Node,
        mut ys: Vec<ValueId>,
        cts: &[Option<Cotangent>],
    ) -> Result<(), Refused> {
        let mut args = self.c.all(&node.args);
        let batch = self.c.b.ty(args[0]).rank().saturating_sub(2);
        let taken = self.any_taken(cts, batch);
        if let Some(taken) = taken {
            for x in args.iter_mut().take(1).chain(&mut ys) {
                *x = or_regular(self.c.b, *x, taken, batch);
            }
        }
        let values: Vec<Option<ValueId>> = cts.iter().map(|ct| ct.map(|ct| ct.value)).collect();
        let moved = self.by_forward(node, &args, &ys, &values)?;
        self.add_masked(moved, |b, x| taken.map(|t| over_matrix(b, t, x, batch)));
        Ok(())
    }

    /// For each matrix of a batch whether any of its results was taken.
    fn any_taken(&mut self, cts: &[Option<Cotangent>], batch: usize) -> Option<ValueId> {
        let mut any: Option<ValueId> = None;
        for ct in cts.iter().flatten() {
            let mask = ct.mask?;
            let rank = self.c.b.ty(mask).rank();
            let here = self.c.b.reduce(ReduceOp::Any, mask, (batch..rank).collect());
            any = Some(any.map_or(here, |sum| self.c.b.map(Op::Or, &[sum, here])));
        }
        any
    }

    /// Adds cotangents that are 0 outside of a mask of their shape.
    fn add_masked(
        &mut self,
        moved: Vec<(ValueId, ValueId)>,
        mut mask: impl FnMut(&mut Builder, ValueId) -> Option<ValueId>,
    ) {
        for (a, value) in moved {
            let mask = mask(self.c.b, value);
            let value = mask.map_or(value, |m| self.c.b.kept(m, value));
            self.add(a, Cotangent { value, mask });
        }
    }

    /// For `A x = b`: b has the solution for the transposed matrix, and A minus its product with x.
    fn solve(&mut self, v: ValueId, op: &LibOp, node: &Node, ct: Cotangent) {
        let (matrix, mut x) = (self.c.get(node.args[0]), self.c.get(v));
        let b = &mut *self.c.b;
        let ty = b.ty(ct.value).clone();
        let batch = ty.rank() - 2;
        let columns = ct.mask.map(|m| {
            let any = b.reduce(ReduceOp::Any, m, vec![batch]);
            b.spread(any, &ty.shape, &[batch])
        });
        let transposed = b.transposed(matrix);
        let op = if let LibOp::SolveTriangular { lower } = op {
            LibOp::SolveTriangular { lower: !lower }
        } else {
            op.clone()
        };
        let mut right = b.lib(op.clone(), &[transposed, ct.value], ty);
        if let Some(m) = columns {
            right = b.kept(m, right);
            x = b.kept(m, x);
        }
        self.add(node.args[1], Cotangent { value: right, mask: columns });
        if self.depends.on(node.args[0]) {
            let b = &mut *self.c.b;
            let product = b.product(right, false, x, true);
            let mut value = b.map(Op::Neg, &[product]);
            if let LibOp::SolveTriangular { lower } = op {
                value = b.triangle(if lower { Op::Ge } else { Op::Le }, value);
            }
            let mask = ct.mask.map(|m| {
                let any = b.reduce(ReduceOp::Any, m, vec![batch, batch + 1]);
                over_matrix(b, any, value, batch)
            });
            self.add(node.args[0], Cotangent { value, mask });
        }
    }

    /// A node that has a forward rule only, given what its operands and results are taken to be: its tangent, which is
    /// linear in those of the operands, is taken backwards. Gives the operands that depend on what is differentiated,
    /// with their cotangents.
    fn by_forward(
        &mut self,
        node: &Node,
        args: &[ValueId],
        ys: &[ValueId],
        cts: &[Option<ValueId>],
    ) -> Result<Vec<(ValueId, ValueId)>, Refused> {
        let marked: Vec<ValueId> = node.args.iter().copied().filter(|a| self.depends.on(*a)).collect();
        let types = self.c.types(&marked);
        let mark = self.c.b.mark();
        let (region, params) = self.c.b.begin_region(&types);
        let mut given = params.iter().copied();
        let tangents: Vec<Option<ValueId>> =
            node.args.iter().map(|a| if self.depends.on(*a) { given.next() } else { None }).collect();
        let moved = match &node.ty {
            Type::Tensor(_) => vec![forward::tangent(self.c.b, node, args, &tangents, ys[0])?],
            Type::Tuple(_) => forward::tangents(self.c.b, node, args, &tangents, ys)?,
        };
        let pairs = moved.iter().zip(cts).filter_map(|(t, ct)| Some(((*t)?, (*ct)?)));
        let (results, seeds): (Vec<ValueId>, Vec<ValueId>) = pairs.unzip();
        self.c.b.end_region(results);
        let body = Body::take(self.c.b, &mark, region);
        // The tangents stand for any: what is linear in them does not look at them.
        let zeros: Vec<ValueId> = types.iter().map(|t| self.c.b.zeros(t)).collect();
        let every = vec![true; zeros.len()];
        let seeds = seeds.into_iter().map(Some).collect();
        let out = reverse(self.c.b, &body, &zeros, &every, (Keep::All, self.c.limit), |_, _| seeds)?;
        let with = marked.into_iter().zip(out.cotangents);
        Ok(with.filter_map(|(a, ct)| Some((a, ct?))).collect())
    }
}

/// Whether anything is taken from each element on, along an axis.
pub(super) fn any_behind(b: &mut Builder, mask: ValueId, axis: usize) -> ValueId {
    let count = b.cast(mask, DType::I32);
    let back = reversed(b, count, axis);
    let most = b.scan(ScanOp::Max, back, axis);
    let most = reversed(b, most, axis);
    b.cast(most, DType::Bool)
}

/// A truth value for each matrix of a batch, repeated to the shape of a value of that batch.
fn over_matrix(b: &mut Builder, each: ValueId, like: ValueId, batch: usize) -> ValueId {
    let shape = b.ty(like).shape.clone();
    let inner: Vec<usize> = (batch..shape.len()).collect();
    b.spread(each, &shape, &inner)
}

/// Matrices where they were taken, else one with 1, 2, … on the diagonal, and vectors of 1, 2, …: of full rank, and
/// without equal values. Integers stay, and so do signs.
fn or_regular(b: &mut Builder, x: ValueId, taken: ValueId, batch: usize) -> ValueId {
    let TensorType { dtype, shape } = b.ty(x).clone();
    if !dtype.is_float() || shape.len() == batch {
        return x;
    }
    let places = b.iota(shape.clone(), batch);
    let one = b.filled(places, 1.0);
    let count = b.map(Op::Add, &[places, one]);
    let mut regular = b.cast(count, dtype);
    if shape.len() - batch > 1 {
        regular = b.triangle(Op::Eq, regular);
    }
    let taken = over_matrix(b, taken, x, batch);
    b.map(Op::Select, &[taken, x, regular])
}
