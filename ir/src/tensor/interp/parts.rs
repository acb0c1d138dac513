//! Nodes that read or write parts of tensors: slices, padding, joining, indexing.

use super::array::each_index;
use super::{Array, Machine, ensure, malformed};
use crate::dim::Dim;
use crate::dtype::Scalar;
use crate::ops::Op;
use crate::span::Span;
use crate::tensor::{Node, RunError, SliceAxis, UpdateAxis};

/// Where one axis of a slice or an update lies in the whole tensor.
struct Place {
    start: i128,
    step: i128,
}

impl Place {
    /// The index in the whole tensor of index `i` of the part.
    fn at(&self, i: usize, axis: usize, extent: usize, origin: Span) -> Result<usize, RunError> {
        // |start|, |step| and i are below 2^64, so that this stays within 128 bits.
        let index = self.start + self.step * i as i128;
        let inside = usize::try_from(index).ok().filter(|p| *p < extent);
        inside.ok_or(RunError::IndexOutOfRange { axis, index: saturate(index), extent, origin })
    }
}

fn saturate(v: i128) -> i64 {
    i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX })
}

/// The place that an index value means: negative ones count from the end.
fn wrap_index(index: Scalar, axis: usize, extent: usize, origin: Span) -> Result<usize, RunError> {
    ensure(index.dtype().is_int(), "an index that is no integer")?;
    let given = index.to_i128();
    let v = if given < 0 { given + extent as i128 } else { given };
    let inside = usize::try_from(v).ok().filter(|p| *p < extent);
    inside.ok_or(RunError::IndexOutOfRange { axis, index: saturate(given), extent, origin })
}

impl Machine<'_> {
    fn dim_value(&self, dim: &Dim, origin: Span) -> Result<i64, RunError> {
        let missing = || RunError::Size { dim: dim.to_string(), value: None, origin };
        self.bindings.eval(dim).ok_or_else(missing)
    }

    fn slice_place(&self, axis: &SliceAxis, origin: Span) -> Result<Place, RunError> {
        ensure(axis.step != 0, "a slice with step 0")?;
        Ok(Place { start: self.dim_value(&axis.start, origin)?.into(), step: axis.step.into() })
    }

    pub(super) fn slice(
        &self,
        node: &Node,
        axes: &[SliceAxis],
        shape: Vec<usize>,
    ) -> Result<Array, RunError> {
        let x = self.arg(node, 0)?;
        ensure(axes.len() == x.rank() && axes.len() == shape.len(), "a slice of another rank")?;
        let places: Vec<Place> =
            axes.iter().map(|a| self.slice_place(a, node.origin)).collect::<Result<_, RunError>>()?;
        let mut from = vec![0; x.rank()];
        Array::build(x.dtype(), shape, |index| {
            for (i, place) in places.iter().enumerate() {
                from[i] = place.at(index[i], i, x.shape()[i], node.origin)?;
            }
            x.at(&from)
        })
    }

    pub(super) fn pad(&self, node: &Node, low: &[Dim], shape: Vec<usize>) -> Result<Array, RunError> {
        let (x, value) = (self.arg(node, 0)?, self.arg(node, 1)?);
        let value = value.as_scalar().ok_or_else(|| malformed("padding that is no scalar"))?;
        ensure(low.len() == x.rank() && low.len() == shape.len(), "padding of another rank")?;
        let mut starts = Vec::new();
        for ((dim, extent), whole) in low.iter().zip(x.shape()).zip(&shape) {
            let start = usize::try_from(self.dim_value(dim, node.origin)?).ok();
            let fits = start.and_then(|s| s.checked_add(*extent)).is_some_and(|end| end <= *whole);
            ensure(fits, "negative padding")?;
            starts.push(start.unwrap_or(0));
        }
        let mut from = vec![0; x.rank()];
        Array::build(x.dtype(), shape, |index| {
            for (i, start) in starts.iter().enumerate() {
                match index[i].checked_sub(*start).filter(|p| *p < x.shape()[i]) {
                    Some(p) => from[i] = p,
                    None => return Ok(value),
                }
            }
            x.at(&from)
        })
    }

    pub(super) fn concat(&self, node: &Node, axis: usize, shape: Vec<usize>) -> Result<Array, RunError> {
        let parts = node.args.iter().map(|v| self.array(*v)).collect::<Result<Vec<_>, RunError>>()?;
        let Some(first) = parts.first() else { return Err(malformed("a concat of nothing")) };
        ensure(axis < shape.len(), "an axis past the rank")?;
        let mut total = 0usize;
        for part in &parts {
            let alike = part.rank() == shape.len()
                && part.shape().iter().zip(&shape).enumerate().all(|(i, (a, b))| i == axis || a == b);
            ensure(alike, "a concat of parts that do not fit")?;
            total = total.saturating_add(part.extent(axis)?);
        }
        ensure(total == shape[axis], "a concat of another length")?;
        Array::build(first.dtype(), shape, |index| {
            let mut index = index.to_vec();
            for part in &parts {
                let extent = part.extent(axis)?;
                if index[axis] < extent {
                    return part.at(&index);
                }
                index[axis] -= extent;
            }
            Err(malformed("a concat of another length"))
        })
    }

    pub(super) fn gather(&self, node: &Node, axis: usize, shape: Vec<usize>) -> Result<Array, RunError> {
        let (x, index) = (self.arg(node, 0)?, self.arg(node, 1)?);
        let extent = x.extent(axis)?;
        let expected = [&x.shape()[..axis], index.shape(), &x.shape()[axis + 1..]].concat();
        ensure(expected == shape, "a gather to another shape")?;
        let after = axis + index.rank();
        Array::build(x.dtype(), shape, |out| {
            let picked = wrap_index(index.at(&out[axis..after])?, axis, extent, node.origin)?;
            x.at(&[&out[..axis], &[picked], &out[after..]].concat())
        })
    }

    pub(super) fn gather_along(
        &self,
        node: &Node,
        axis: usize,
        shape: Vec<usize>,
    ) -> Result<Array, RunError> {
        let (x, index) = (self.arg(node, 0)?, self.arg(node, 1)?);
        ensure(index.shape() == shape, "a gather to another shape")?;
        alike_but_on(&x, &index, axis)?;
        let extent = x.extent(axis)?;
        Array::build(x.dtype(), shape, |out| {
            let mut from = out.to_vec();
            from[axis] = wrap_index(index.at(out)?, axis, extent, node.origin)?;
            x.at(&from)
        })
    }

    pub(super) fn scatter_along(&self, node: &Node, axis: usize, add: bool) -> Result<Array, RunError> {
        let (x, index, src) = (self.arg(node, 0)?, self.arg(node, 1)?, self.arg(node, 2)?);
        ensure(index.shape() == src.shape(), "a scatter of values and indices of different shapes")?;
        alike_but_on(&x, &index, axis)?;
        let extent = x.extent(axis)?;
        let mut out = (*x).clone();
        each_index(index.shape(), |at| {
            let mut to = at.to_vec();
            to[axis] = wrap_index(index.at(at)?, axis, extent, node.origin)?;
            let mut value = src.at(at)?;
            if add {
                let sum = Op::Add.eval(&[out.at(&to)?, value]);
                value = sum.ok_or_else(|| malformed("a scatter of a dtype that does not add"))?;
            }
            out.set(&to, value)
        })?;
        Ok(out)
    }

    pub(super) fn update(&self, node: &Node, axes: &[UpdateAxis]) -> Result<Array, RunError> {
        let (x, value) = (self.arg(node, 0)?, self.arg(node, 1)?);
        ensure(axes.len() == x.rank() && value.rank() == x.rank(), "an update of another rank")?;
        let mut places = Vec::new();
        let mut next = 2;
        for (i, axis) in axes.iter().enumerate() {
            places.push(match axis {
                UpdateAxis::Slice(s) => self.slice_place(s, node.origin)?,
                UpdateAxis::Index => {
                    let index = self.arg(node, next)?.as_scalar();
                    let index = index.ok_or_else(|| malformed("an index that is no scalar"))?;
                    next += 1;
                    ensure(value.extent(i)? == 1, "an update of one index with several values")?;
                    Place { start: wrap_index(index, i, x.extent(i)?, node.origin)? as i128, step: 1 }
                }
            });
        }
        ensure(next == node.args.len(), "an update with operands left over")?;
        let mut out = (*x).clone();
        let mut to = vec![0; x.rank()];
        each_index(value.shape(), |at| {
            for (i, place) in places.iter().enumerate() {
                to[i] = place.at(at[i], i, x.shape()[i], node.origin)?;
            }
            out.set(&to, value.at(at)?)
        })?;
        Ok(out)
    }
}

fn alike_but_on(x: &Array, index: &Array, axis: usize) -> Result<(), RunError> {
    let same = x.shape().iter().zip(index.shape()).enumerate().all(|(i, (a, b))| i == axis || a == b);
    ensure(same && x.rank() == index.rank() && axis < x.rank(), "indices that do not fit their operand")
}
