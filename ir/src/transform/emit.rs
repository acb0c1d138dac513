//! Small pieces that the rules of all transforms are put together from.

use crate::dim::Dim;
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::tensor::{Builder, ReduceOp, SliceAxis, TensorType, UpdateAxis, ValueId};

impl Builder {
    /// A number repeated to the shape of a value, in its dtype.
    pub(super) fn filled(&mut self, like: ValueId, v: f64) -> ValueId {
        let ty = self.ty(like).clone();
        let s = self.scalar(Scalar::from_f64(ty.dtype, v));
        self.broadcast(s, ty.shape, Vec::new())
    }

    /// Zeros of a type.
    pub(super) fn zeros(&mut self, ty: &TensorType) -> ValueId {
        let s = self.scalar(Scalar::from_bits(ty.dtype, 0));
        self.broadcast(s, ty.shape.clone(), Vec::new())
    }

    /// A truth value repeated to the shape of a type.
    pub(super) fn all_of(&mut self, ty: &TensorType, holds: bool) -> ValueId {
        let s = self.scalar(Scalar::from_bits(DType::Bool, holds.into()));
        self.broadcast(s, ty.shape.clone(), Vec::new())
    }

    /// An i64 constant.
    pub(super) fn int(&mut self, v: i64) -> ValueId {
        self.scalar(Scalar::from_i128(DType::I64, v.into()))
    }

    /// A size as a value, a constant where it is known.
    pub(super) fn extent(&mut self, d: &Dim) -> ValueId {
        match d.as_const() {
            Some(v) => self.int(v),
            None => self.size(d.clone()),
        }
    }

    /// A sum over axes, which the storage formats form in f32.
    pub(super) fn summed(&mut self, x: ValueId, axes: Vec<usize>) -> ValueId {
        let dtype = self.ty(x).dtype;
        let wide = self.cast(x, dtype.compute());
        let sum = self.reduce(ReduceOp::Sum, wide, axes);
        self.cast(sum, dtype)
    }

    /// Puts a value without these axes back under a shape that has them.
    pub(super) fn spread(&mut self, x: ValueId, shape: &[Dim], without: &[usize]) -> ValueId {
        let axes = (0..shape.len()).filter(|a| !without.contains(a)).collect();
        self.broadcast(x, shape.to_vec(), axes)
    }

    /// `x` where a condition of its shape holds, else 0.
    pub(super) fn kept(&mut self, condition: ValueId, x: ValueId) -> ValueId {
        let zeros = self.filled(x, 0.0);
        self.map(Op::Select, &[condition, x, zeros])
    }

    /// Where `col - row` of the last two axes compares like this with 0, in a shape.
    pub(super) fn beside_diagonal(&mut self, op: Op, shape: &[Dim]) -> ValueId {
        let last = shape.len().saturating_sub(1);
        let rows = self.iota(shape.to_vec(), last.saturating_sub(1));
        let cols = self.iota(shape.to_vec(), last);
        self.map(op, &[cols, rows])
    }

    /// The part of matrices where `col - row` compares like this with 0; the rest is 0.
    pub(super) fn triangle(&mut self, op: Op, x: ValueId) -> ValueId {
        let shape = self.ty(x).shape.clone();
        let on = self.beside_diagonal(op, &shape);
        self.kept(on, x)
    }

    /// Matrices with their last two axes swapped.
    pub(super) fn transposed(&mut self, x: ValueId) -> ValueId {
        let rank = self.ty(x).rank();
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank - 1, rank - 2);
        }
        self.permute(x, perm)
    }

    /// The product of two batches of matrices of one rank, either of them transposed first.
    pub(super) fn product(&mut self, a: ValueId, ta: bool, b: ValueId, tb: bool) -> ValueId {
        let rank = self.ty(a).rank();
        let batch = (0..rank.saturating_sub(2)).map(|k| (k, k)).collect();
        let inner = |transposed: bool, left: bool| {
            let last = transposed != left;
            if last { rank.saturating_sub(1) } else { rank.saturating_sub(2) }
        };
        self.dot(a, b, batch, vec![(inner(ta, true), inner(tb, false))])
    }

    /// The diagonal of square matrices, as a sum of which all but one term is 0.
    pub(super) fn diagonal(&mut self, x: ValueId) -> ValueId {
        let last = self.ty(x).rank().saturating_sub(1);
        let on = self.triangle(Op::Eq, x);
        self.reduce(ReduceOp::Sum, on, vec![last])
    }

    /// Vectors as the columns' factors of matrices of a shape: `x * row[.., newaxis, :]`.
    pub(super) fn times_columns(&mut self, x: ValueId, row: ValueId) -> ValueId {
        let shape = self.ty(x).shape.clone();
        let row = self.spread(row, &shape, &[shape.len().saturating_sub(2)]);
        self.map(Op::Mul, &[x, row])
    }

    /// Vectors as the rows' factors of matrices of a shape: `x * column[.., :, newaxis]`.
    pub(super) fn times_rows(&mut self, x: ValueId, column: ValueId) -> ValueId {
        let shape = self.ty(x).shape.clone();
        let column = self.spread(column, &shape, &[shape.len().saturating_sub(1)]);
        self.map(Op::Mul, &[x, column])
    }

    /// The part `0 .. len` of an axis.
    pub(super) fn first(&mut self, x: ValueId, axis: usize, len: &Dim) -> ValueId {
        let mut lens = self.ty(x).shape.clone();
        if let Some(d) = lens.get_mut(axis) {
            *d = len.clone();
        }
        let axes = whole(lens.len());
        self.slice(x, axes, lens)
    }

    /// Entry `index` of the first axis, which disappears.
    pub(super) fn entry(&mut self, x: ValueId, index: ValueId) -> ValueId {
        self.gather(x, index, 0)
    }

    /// `x` with entry `index` of its first axis replaced.
    pub(super) fn with_entry(&mut self, x: ValueId, index: ValueId, entry: ValueId) -> ValueId {
        let mut shape = self.ty(entry).shape.clone();
        shape.insert(0, Dim::ONE);
        let entry = self.reshape(entry, shape.clone());
        let mut axes: Vec<UpdateAxis> = whole(shape.len()).into_iter().map(UpdateAxis::Slice).collect();
        axes[0] = UpdateAxis::Index;
        self.update(x, entry, &[index], axes)
    }
}

/// Every axis as it is.
pub(super) fn whole(rank: usize) -> Vec<SliceAxis> {
    vec![SliceAxis { start: Dim::ZERO, step: 1 }; rank]
}
