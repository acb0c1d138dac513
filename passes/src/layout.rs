//! Where a value lies: a buffer, an offset and a stride for each axis, all symbolic and in elements.
//!
//! Permutations, broadcasts, slices, picks of one index and most reshapes are nothing but another layout of the same
//! memory. Two strides are known to fit together when their normal forms are equal, so a layout that collapses here
//! collapses for every size.

use crate::plan::{BufferId, Register};
use matex_ir::Dim;
use matex_ir::tensor::SliceAxis;

/// The layout of one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The memory.
    pub buffer: BufferId,
    /// From the buffer's first element to the value's.
    pub offset: Dim,
    /// Further distances known only at run time: a register times a stride.
    pub moves: Vec<(Register, Dim)>,
    /// The stride of each axis.
    pub strides: Vec<Dim>,
}

/// The strides of a contiguous tensor. An axis without elements counts as one of a single element, so that no other axis gets the
/// stride 0, which says that a value does not depend on it.
pub fn row_major(shape: &[Dim]) -> Vec<Dim> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut step = Dim::ONE;
    for extent in shape.iter().rev() {
        strides.push(step.clone());
        if !extent.is(0) {
            step = &step * extent;
        }
    }
    strides.reverse();
    strides
}

impl Layout {
    /// The layout of a value that fills its buffer.
    pub fn contiguous(buffer: BufferId, shape: &[Dim]) -> Layout {
        Layout { buffer, offset: Dim::ZERO, moves: Vec::new(), strides: row_major(shape) }
    }

    /// The layout of positions: of an imaginary memory whose elements are 0, 1, 2, …, so that what a view of a counting
    /// value counts is what it would read there.
    pub fn counting(rank: usize, axis: usize) -> Layout {
        let step = |a: usize| if a == axis { Dim::ONE } else { Dim::ZERO };
        Layout {
            buffer: BufferId::NOWHERE,
            offset: Dim::ZERO,
            moves: Vec::new(),
            strides: (0..rank).map(step).collect(),
        }
    }

    /// Whether the elements are known to lie one after the other. No elements do.
    pub fn is_contiguous(&self, shape: &[Dim]) -> bool {
        if shape.iter().any(|extent| extent.is(0)) {
            return true;
        }
        let mut step = Dim::ONE;
        for (extent, stride) in shape.iter().zip(&self.strides).rev() {
            if extent.is(1) {
                continue;
            }
            if *stride != step {
                return false;
            }
            step = &step * extent;
        }
        true
    }

    /// Whether it begins where its buffer begins.
    pub fn is_at_start(&self) -> bool {
        self.offset.is(0) && self.moves.is_empty()
    }

    /// Axis `i` of the result is axis `perm[i]`.
    pub fn permute(&self, perm: &[usize]) -> Option<Layout> {
        let strides = perm.iter().map(|p| self.strides.get(*p).cloned()).collect::<Option<_>>()?;
        Some(Layout { strides, ..self.clone() })
    }

    /// Axis `i` becomes axis `axes[i]` of `to`; axes of extent 1 and new axes repeat.
    pub fn broadcast(&self, from: &[Dim], to: &[Dim], axes: &[usize]) -> Option<Layout> {
        let mut strides = vec![Dim::ZERO; to.len()];
        for (i, axis) in axes.iter().enumerate() {
            let (stride, extent) = (self.strides.get(i)?, from.get(i)?);
            if extent == to.get(*axis)? || !extent.is(1) {
                strides[*axis] = stride.clone();
            }
        }
        Some(Layout { strides, ..self.clone() })
    }

    /// A regular part.
    pub fn slice(&self, axes: &[SliceAxis]) -> Option<Layout> {
        let mut out = self.clone();
        for (i, axis) in axes.iter().enumerate() {
            let stride = out.strides.get(i)?.clone();
            out.offset = &out.offset + &(&axis.start * &stride);
            out.strides[i] = &stride * &Dim::constant(axis.step);
        }
        Some(out)
    }

    /// Everything at one position of an axis, which disappears; the position is in a register.
    pub fn at(&self, axis: usize, register: Register) -> Option<Layout> {
        let mut out = self.clone();
        if axis >= out.strides.len() {
            return None;
        }
        let stride = out.strides.remove(axis);
        out.moves.push((register, stride));
        Some(out)
    }

    /// The same elements in row-major order under another shape; `None` when that takes a copy, or is not known not
    /// to.
    pub fn reshape(&self, from: &[Dim], to: &[Dim]) -> Option<Layout> {
        let strides = if self.is_contiguous(from) { row_major(to) } else { self.regroup(from, to)? };
        Some(Layout { strides, ..self.clone() })
    }

    /// Matches runs of old axes with runs of new ones that have the same number of elements; what is left of both when no
    /// runs are known to match are such runs. Each old run has to be one even step; the new axes then divide that.
    fn regroup(&self, from: &[Dim], to: &[Dim]) -> Option<Vec<Dim>> {
        let old: Vec<usize> = (0..from.len()).filter(|i| !from[*i].is(1)).collect();
        let new: Vec<usize> = (0..to.len()).filter(|i| !to[*i].is(1)).collect();
        let ends: Vec<Dim> = running_products(&old, from);
        let wanted: Vec<Dim> = running_products(&new, to);
        let mut strides = vec![Dim::ZERO; to.len()];
        let (mut i, mut j) = (0, 0);
        while i < old.len() && j < new.len() {
            // The nearest place behind both where the products agree.
            let (di, dj) = (i..old.len())
                .find_map(|a| (j..new.len()).find(|b| wanted[*b] == ends[a]).map(|b| (a + 1, b + 1)))
                .unwrap_or((old.len(), new.len()));
            let run = &old[i..di];
            let even = run.windows(2).all(|w| self.strides[w[0]] == &self.strides[w[1]] * &from[w[1]]);
            if !even {
                return None;
            }
            let mut step = self.strides[*run.last()?].clone();
            for axis in new[j..dj].iter().rev() {
                strides[*axis] = step.clone();
                step = &step * &to[*axis];
            }
            (i, j) = (di, dj);
        }
        (i == old.len() && j == new.len()).then_some(strides)
    }
}

fn running_products(axes: &[usize], shape: &[Dim]) -> Vec<Dim> {
    let mut product = Dim::ONE;
    let next = |axis: &usize| {
        product = &product * &shape[*axis];
        product.clone()
    };
    axes.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use matex_ir::dim::parse_dim;

    fn dims(text: &str) -> Vec<Dim> {
        text.split(',').filter(|t| !t.is_empty()).map(|t| parse_dim(t).unwrap()).collect()
    }

    #[test]
    fn contiguous_layouts_reshape_to_anything() {
        let l = Layout::contiguous(BufferId(0), &dims("n,m"));
        assert!(l.is_contiguous(&dims("n,m")));
        assert_eq!(l.reshape(&dims("n,m"), &dims("m,n")).unwrap().strides, dims("n,1"));
        assert_eq!(l.reshape(&dims("n,m"), &dims("m*n")).unwrap().strides, dims("1"));
    }

    #[test]
    fn transposed_layouts_split_and_merge_where_strides_allow() {
        let l = Layout::contiguous(BufferId(0), &dims("n,m,k")).permute(&[2, 0, 1]).unwrap();
        let from = dims("k,n,m");
        assert_eq!(l.reshape(&from, &dims("k,n*m")).unwrap().strides, dims("1,k"));
        assert_eq!(l.reshape(&from, &dims("k,1,n,m")).unwrap().strides, dims("1,0,m*k,k"));
        assert_eq!(l.reshape(&from, &dims("k*n,m")), None);
        let l = Layout::contiguous(BufferId(0), &dims("6,n")).permute(&[1, 0]).unwrap();
        assert_eq!(l.reshape(&dims("n,6"), &dims("n,2,3")).unwrap().strides, dims("1,3*n,n"));
    }

    #[test]
    fn slices_and_broadcasts() {
        let l = Layout::contiguous(BufferId(0), &dims("n,m"));
        let s = l.slice(&[
            SliceAxis { start: parse_dim("n - 1").unwrap(), step: -1 },
            SliceAxis { start: Dim::ONE, step: 2 },
        ]);
        let s = s.unwrap();
        assert_eq!((s.offset, s.strides), (parse_dim("m*n - m + 1").unwrap(), dims("-m,2")));
        let b =
            Layout::contiguous(BufferId(0), &dims("1,m")).broadcast(&dims("1,m"), &dims("k,n,m"), &[1, 2]);
        assert_eq!(b.unwrap().strides, dims("0,0,1"));
    }
}
