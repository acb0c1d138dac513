//! Which kernels are matrix products, and how a product is cut into tiles.
//!
//! A kernel is a matrix product when each of its points is one sum of products of an element of `a` with one of `b`. What is
//! done with the sum before it is stored is the kernel's own business, and so are axes along which both operands
//! move or neither: those are loops around the product.
//!
//! The predicate is [`tiles`], and it looks at sizes and strides only. A product of at least 16 rows, 16 columns and 8
//! terms is cut into tiles, of 128 × 128 elements where there are 128 of those at least, which is enough to occupy a
//! large device, and else of 64 × 64. Anything smaller or thinner, a product with a vector above all, reads each
//! element of its larger operand about once, so that it is done as the reduction that it is.

use crate::body::type_of;
use crate::build::Ty;
use crate::words::Run;
use matex_ir::Op;
use matex_ir::loops::{AxisKind, Combine, InstKind, Kernel, Role};

/// The least rows and columns of a tile that is worth it.
const LEAST_SIDE: i64 = 16;

/// The least terms of a sum, for which elements are put where all threads see them.
const LEAST_DEPTH: i64 = 8;

/// From how many large tiles on there is enough to do with those.
const MANY_TILES: i64 = 128;

/// How a matrix product is shared out: a workgroup takes a tile of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiles {
    /// The elements of a side of a tile: 64 or 128.
    pub(crate) side: u32,
    /// The axis along which only `a` moves.
    pub(crate) rows: usize,
    /// The axis along which only `b` moves.
    pub(crate) cols: usize,
    /// How `a` and `b` are read.
    pub(crate) reads: [Walk; 2],
    /// Whether four columns of a result lie in 16 bytes of their own.
    pub(crate) wide_stores: bool,
}

/// How a tile of an operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    /// Whether neighbouring threads read elements that are neighbours along the sums; else along rows or columns.
    pub(crate) along_depth: bool,
    /// Whether four elements are read at once.
    pub(crate) wide: bool,
}

/// The parts of a kernel that is a matrix product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// The operands `a` and `b`.
    pub(crate) factors: [usize; 2],
    /// The instruction that is the sum.
    pub(crate) sum: usize,
    /// What is multiplied.
    pub(crate) ty: Ty,
    /// The axis of the sums.
    pub(crate) depth: usize,
}

/// The parts of a kernel, when it is a matrix product.
pub(crate) fn product(kernel: &Kernel) -> Option<Product> {
    let depth = kernel.reduce_axis()?;
    let mut sums = kernel.body.iter().enumerate().filter(|(_, i)| matches!(i.kind, InstKind::Reduce { .. }));
    let (sum, inst) = sums.next()?;
    let InstKind::Reduce { combine: Combine::Sum, values } = &inst.kind else { return None };
    let InstKind::Map(Op::Mul, args) = &kernel.inst(*values.first()?).kind else { return None };
    let ty = type_of(inst.dtype).filter(|_| inst.dtype.size() == 4)?;
    let load = |i: usize| {
        let inst = kernel.inst(*args.get(i)?);
        let InstKind::Load(operand) = inst.kind else { return None };
        Some(operand.index())
    };
    let factors = [load(0)?, load(1)?];
    // What moves along the sums is loaded, multiplied and added up, and nothing else is done with it.
    let moving = kernel.moving(depth).iter().filter(|m| **m).count();
    let plain = sums.next().is_none()
        && moving == 3
        && kernel.stages.len() == 1
        && kernel.stores.iter().all(|s| !kernel.stores_elements(s));
    plain.then_some(Product { factors, sum, ty, depth })
}

/// How a kernel of such sizes is cut into tiles, if it is; `shares` as for [`compile`](crate::compile).
pub(crate) fn tiles(kernel: &Kernel, run: &Run<'_>, shares: &[usize]) -> Option<Tiles> {
    let product = product(kernel)?;
    let [a, b] = product.factors;
    let (axes, depth) = (kernel.axes.len(), product.depth);
    let stride = |operand: usize, axis: usize| run.strides.get(operand * axes + axis).copied().unwrap_or(0);
    let extent = |axis: usize| run.extents.get(axis).copied().unwrap_or(0);
    // Of several axes the longest, and of equal ones the innermost.
    let only = |moves: usize, stays: usize| {
        let fits = |axis: &usize| {
            *axis != depth && extent(*axis) > 1 && stride(moves, *axis) != 0 && stride(stays, *axis) == 0
        };
        (0..axes).filter(fits).max_by_key(|axis| (extent(*axis), *axis))
    };
    let (rows, cols) = (only(a, b)?, only(b, a)?);
    let alone = |o: usize| shares.iter().filter(|s| **s == shares[o]).count() == 1;
    let apart = [a, b].into_iter().all(alone);
    if extent(rows).min(extent(cols)) < LEAST_SIDE || extent(depth) < LEAST_DEPTH || !apart {
        return None;
    }
    let wide = |operand: usize, along: usize| {
        let even = |axis: usize| axis == along || extent(axis) <= 1 || stride(operand, axis) % 4 == 0;
        let offset = run.offsets.get(operand).copied().unwrap_or(1);
        stride(operand, along) == 1 && extent(along) % 4 == 0 && offset % 4 == 0 && (0..axes).all(even)
    };
    let walk = |operand: usize, side: usize| {
        let along_depth = stride(operand, depth) == 1 && stride(operand, side) != 1;
        Walk { along_depth, wide: wide(operand, if along_depth { depth } else { side }) }
    };
    let mut stored = (0..shares.len()).filter(|o| kernel.operands[*o].role == Role::Out);
    let wide_stores = stored.all(|o| alone(o) && kernel.operands[o].dtype.size() == 4 && wide(o, cols));
    let tiles = |side| Tiles { side, rows, cols, reads: [walk(a, rows), walk(b, cols)], wide_stores };
    let large = tiles(128);
    Some(if large.count(kernel, run.extents) >= MANY_TILES { large } else { tiles(64) })
}

impl Tiles {
    /// The axes that are loops around the product.
    pub(crate) fn loops(self, kernel: &Kernel) -> impl DoubleEndedIterator<Item = usize> {
        let axes = kernel.axes.iter().enumerate();
        axes.filter(move |(i, a)| a.kind == AxisKind::Parallel && *i != self.rows && *i != self.cols)
            .map(|(i, _)| i)
    }

    /// The number of tiles of all products.
    pub(crate) fn count(self, kernel: &Kernel, extents: &[i64]) -> i64 {
        let extent = |axis: usize| extents.get(axis).copied().unwrap_or(0);
        let across = |axis: usize| {
            extent(axis) / i64::from(self.side) + i64::from(extent(axis) % i64::from(self.side) != 0)
        };
        let one = across(self.rows).saturating_mul(across(self.cols));
        self.loops(kernel).fold(one, |n, axis| n.saturating_mul(extent(axis)))
    }

    /// Whether the array of an operand is one of quads.
    pub(crate) fn is_wide(self, kernel: &Kernel, product: &Product, operand: usize) -> bool {
        let read = product.factors.iter().zip(self.reads).any(|(f, walk)| *f == operand && walk.wide);
        read || (self.wide_stores && kernel.operands[operand].role == Role::Out)
    }

    /// Whether these are tiles that a kernel can be cut into.
    pub(crate) fn fit(self, kernel: &Kernel) -> bool {
        let parallel = |axis: usize| kernel.axes.get(axis).is_some_and(|a| a.kind == AxisKind::Parallel);
        product(kernel).is_some() && parallel(self.rows) && parallel(self.cols) && self.rows != self.cols
    }
}
