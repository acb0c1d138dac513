//! Which kernels are matrix products, and how a product is cut into tiles.
//!
//! A kernel is a matrix product when each of its points is one sum of products of an element of `a` with one of `b`, each of which
//! is an operand or computed of some, element by element: halves are converted so. What is
//! done with the sum before it is stored is the kernel's own business, and so are axes along which both sides
//! move or neither: those are loops around the product.
//!
//! The predicate is [`tiles`], and it looks at sizes and strides only. A product of at least 16 rows, 16 columns and 8
//! terms is cut into tiles, of 128 × 128 elements where there are 128 of those at least, which is enough to occupy a
//! large device, and else of 64 × 64. Anything smaller or thinner, a product with a vector above all, reads each
//! element of its larger operand about once, so that it is done as the reduction that it is.
//!
//! Where both sides are halves, a device that has units for small matrices of those ([`Units`]) multiplies the tiles with them.

use crate::body::type_of;
use crate::build::Ty;
use crate::kernel::THREADS;
use crate::shader::Caps;
use crate::words::Run;
use matex_ir::loops::{Access, AxisKind, Combine, InstKind, Kernel, Role};
use matex_ir::{DType, Op};

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
    /// Whether four columns of a result lie in a quad of their own.
    pub(crate) wide_stores: bool,
    /// The device's units for small matrices of halves, where they do the products.
    pub(crate) units: Option<Units>,
}

/// Units of a device that multiply small matrices of halves and add them up in single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Units {
    /// The rows and columns of all matrices: 8 or 16.
    pub side: u32,
    /// The threads of a subgroup, always, which holds a matrix together.
    pub lanes: u32,
}

impl Units {
    /// The units of matrices of such a side, on a device whose subgroups have that many threads; nothing where there is no
    /// code for them.
    pub fn new(side: u32, lanes: u32) -> Option<Units> {
        let fits = matches!(side, 8 | 16) && lanes.is_power_of_two() && (8..=64).contains(&lanes);
        fits.then_some(Units { side, lanes })
    }

    /// The most bytes that the threads of a workgroup share.
    pub fn shared_bytes(self) -> u32 {
        let piece = piece_quads(128, true).max(piece_quads(128, false));
        2 * piece * 4 * 2 + self.side * self.side * self.subgroups() * 4
    }

    /// The subgroups of a workgroup.
    pub(crate) fn subgroups(self) -> u32 {
        THREADS / self.lanes
    }
}

/// How many terms a piece of halves has.
pub(crate) const HALF_TERMS: u32 = 32;

/// The quads between the lines of a piece of halves: 16 bytes more than are in one, so that lines do not begin at the same
/// places of the memory that is shared.
pub(crate) fn line_quads(side: u32, along_depth: bool) -> u32 {
    (if along_depth { HALF_TERMS } else { side }) / 4 + 2
}

/// The quads of a piece of halves.
pub(crate) fn piece_quads(side: u32, along_depth: bool) -> u32 {
    line_quads(side, along_depth) * if along_depth { side } else { HALF_TERMS }
}

/// How a tile of an operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    /// Whether neighbouring threads read elements that are neighbours along the sums; else along rows or columns.
    pub(crate) along_depth: bool,
    /// Whether four elements are read at once.
    pub(crate) wide: bool,
}

/// What one side of the products is: an operand, or what is computed of several, element by element.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    /// The instruction that is multiplied.
    pub(crate) value: usize,
    /// The half that it is the same number as, where it is one.
    pub(crate) half: Option<usize>,
    /// What it is computed by in their order, itself included.
    pub(crate) insts: Vec<usize>,
    /// The operands that are read for that.
    pub(crate) operands: Vec<usize>,
}

/// The parts of a kernel that is a matrix product.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// The two sides `a` and `b`.
    pub(crate) factors: [Factor; 2],
    /// The instruction that is the sum.
    pub(crate) sum: usize,
    /// What is multiplied.
    pub(crate) ty: Ty,
    /// The axis of the sums.
    pub(crate) depth: usize,
    /// What is done with a sum, and what is needed for that, in their order.
    pub(crate) behind: Vec<usize>,
}

/// The parts of a kernel, when it is a matrix product.
pub(crate) fn product(kernel: &Kernel) -> Option<Product> {
    let depth = kernel.reduce_axis()?;
    let mut sums = kernel.body.iter().enumerate().filter(|(_, i)| matches!(i.kind, InstKind::Reduce { .. }));
    let (sum, inst) = sums.next()?;
    let InstKind::Reduce { combine: Combine::Sum, values } = &inst.kind else { return None };
    let multiplied = values.first()?.index();
    let InstKind::Map(Op::Mul, args) = &kernel.body[multiplied].kind else { return None };
    let doubles = kernel.body.iter().any(|i| i.dtype == DType::F64);
    let ty = type_of(inst.dtype).filter(|_| inst.dtype.size() == 4 && !doubles)?;
    let [a, b] = *args.as_slice() else { return None };
    let factors = [factor(kernel, a.index())?, factor(kernel, b.index())?];
    // What moves along the sums is computed, multiplied and added up, and nothing else is done with it.
    let known = |id: usize| id == multiplied || factors.iter().any(|f| f.insts.contains(&id));
    let mut moving = kernel.moving(depth).into_iter().enumerate().filter(|(_, m)| *m);
    let plain = sums.next().is_none()
        && moving.all(|(id, _)| known(id))
        && kernel.stages.len() == 1
        && kernel.stores.iter().all(|s| !kernel.stores_elements(s));
    let behind = closure(kernel, kernel.stores.iter().map(|s| s.value.index()).collect(), sum);
    plain.then_some(Product { factors, sum, ty, depth, behind })
}

/// What a side of the products is computed by, where that is done element by element.
fn factor(kernel: &Kernel, value: usize) -> Option<Factor> {
    let insts = closure(kernel, vec![value], usize::MAX);
    let mut operands = Vec::new();
    for id in &insts {
        match &kernel.body[*id].kind {
            InstKind::Load(o) if operands.contains(&o.index()) => {}
            InstKind::Load(o) => operands.push(o.index()),
            InstKind::Const(_) | InstKind::Map(..) | InstKind::Cast(_) | InstKind::Bitcast(_) => {}
            InstKind::LoadAt { .. }
            | InstKind::Index(_)
            | InstKind::Rescue(..)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => return None,
        }
    }
    let half = if let InstKind::Cast(of) = kernel.body[value].kind { Some(of) } else { None };
    let single = kernel.body[value].dtype == DType::F32;
    let half = half.filter(|of| single && kernel.inst(*of).dtype == DType::F16).map(|of| of.index());
    Some(Factor { value, half, insts, operands })
}

/// All that some instructions are computed by in their order, themselves included and nothing behind `end`.
fn closure(kernel: &Kernel, mut left: Vec<usize>, end: usize) -> Vec<usize> {
    let mut all = Vec::new();
    while let Some(id) = left.pop() {
        if id != end && !all.contains(&id) {
            all.push(id);
            left.extend(kernel.body[id].kind.args().iter().map(|a| a.index()));
        }
    }
    all.sort_unstable();
    all
}

/// What is known of a run of a product.
struct Seen<'a> {
    kernel: &'a Kernel,
    run: &'a Run<'a>,
    product: &'a Product,
    shares: &'a [usize],
}

impl Seen<'_> {
    fn stride(&self, operand: usize, axis: usize) -> i64 {
        self.run.strides.get(operand * self.kernel.axes.len() + axis).copied().unwrap_or(0)
    }

    fn extent(&self, axis: usize) -> i64 {
        self.run.extents.get(axis).copied().unwrap_or(0)
    }

    /// Whether no other operand has the same memory.
    fn alone(&self, operand: usize) -> bool {
        self.shares.iter().filter(|s| **s == self.shares[operand]).count() == 1
    }

    /// The axis along which one side moves and the other does not: of several the longest, and of equal ones the innermost.
    fn only(&self, which: usize) -> Option<usize> {
        let moves = |which: usize, axis: usize| {
            self.product.factors[which].operands.iter().any(|o| self.stride(*o, axis) != 0)
        };
        let fits = |axis: &usize| {
            *axis != self.product.depth
                && self.extent(*axis) > 1
                && moves(which, *axis)
                && !moves(1 - which, *axis)
        };
        (0..self.kernel.axes.len()).filter(fits).max_by_key(|axis| (self.extent(*axis), *axis))
    }

    /// Whether four elements along an axis are a quad of their own.
    fn wide(&self, operand: usize, along: usize) -> bool {
        let even =
            |axis: usize| axis == along || self.extent(axis) <= 1 || self.stride(operand, axis) % 4 == 0;
        let offset = self.run.offsets.get(operand).copied().unwrap_or(1);
        self.stride(operand, along) == 1
            && self.extent(along) % 4 == 0
            && offset % 4 == 0
            && (0..self.kernel.axes.len()).all(even)
    }

    /// How a side is read, whose elements stand at positions of `side` and of the sums.
    fn walk(&self, which: usize, side: usize) -> Walk {
        let (factor, other) = (&self.product.factors[which], &self.product.factors[1 - which]);
        let depth = self.product.depth;
        // The operand that there is most of says which way.
        let moves = |o: &&usize| [depth, side].iter().filter(|axis| self.stride(**o, **axis) != 0).count();
        let lead = factor.operands.iter().rev().max_by_key(moves);
        let along_depth = lead.is_some_and(|o| self.stride(*o, depth) == 1 && self.stride(*o, side) != 1);
        let along = if along_depth { depth } else { side };
        let fits = |o: &usize| {
            let stays = self.kernel.operands[*o].access[along] == Access::Zero;
            let quads = self.kernel.operands[*o].dtype.size() != 8 && !other.operands.contains(o);
            stays || (quads && self.wide(*o, along))
        };
        Walk { along_depth, wide: factor.operands.iter().all(fits) }
    }
}

/// How a kernel of such sizes is cut into tiles, if it is; `shares` as for [`compile`](crate::compile).
pub(crate) fn tiles(kernel: &Kernel, run: &Run<'_>, shares: &[usize], caps: Caps) -> Option<Tiles> {
    let product = product(kernel)?;
    let seen = Seen { kernel, run, product: &product, shares };
    let (rows, cols) = (seen.only(0)?, seen.only(1)?);
    let apart = product.factors.iter().flat_map(|f| &f.operands).all(|o| seen.alone(*o));
    let small =
        seen.extent(rows).min(seen.extent(cols)) < LEAST_SIDE || seen.extent(product.depth) < LEAST_DEPTH;
    if small || !apart {
        return None;
    }
    let units = caps.units.filter(|_| product.factors.iter().all(|f| f.half.is_some()));
    let mut stored = (0..shares.len()).filter(|o| kernel.operands[*o].role == Role::Out);
    let word = |o: usize| kernel.operands[o].dtype.size() == 4;
    let wide_stores = units.is_none() && stored.all(|o| seen.alone(o) && word(o) && seen.wide(o, cols));
    let reads = [seen.walk(0, rows), seen.walk(1, cols)];
    let tiles = |side| Tiles { side, rows, cols, reads, wide_stores, units };
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
        let across = |axis: usize| self.walks(axis, extent(axis));
        let one = across(self.rows).saturating_mul(across(self.cols));
        self.loops(kernel).fold(one, |n, axis| n.saturating_mul(extent(axis)))
    }

    /// The number of tiles along an axis, or of its points where it is a loop around the product.
    pub(crate) fn walks(self, axis: usize, extent: i64) -> i64 {
        let side = if [self.rows, self.cols].contains(&axis) { i64::from(self.side) } else { 1 };
        extent / side + i64::from(extent % side != 0)
    }

    /// The axis that a side of the products is read along, four elements a thread, and the one across.
    pub(crate) fn axes(self, product: &Product, which: usize) -> [usize; 2] {
        let side = [self.rows, self.cols][which];
        if self.reads[which].along_depth { [product.depth, side] } else { [side, product.depth] }
    }

    /// Whether the array of an operand is one of quads.
    pub(crate) fn is_wide(self, kernel: &Kernel, product: &Product, operand: usize) -> bool {
        let moves =
            |which: usize| kernel.operands[operand].access[self.axes(product, which)[0]] != Access::Zero;
        let read = |which: usize| {
            self.reads[which].wide && product.factors[which].operands.contains(&operand) && moves(which)
        };
        read(0) || read(1) || (self.wide_stores && kernel.operands[operand].role == Role::Out)
    }

    /// Whether these are tiles that a kernel can be cut into.
    pub(crate) fn fit(self, kernel: &Kernel, caps: Caps) -> bool {
        let parallel = |axis: usize| kernel.axes.get(axis).is_some_and(|a| a.kind == AxisKind::Parallel);
        let halves = |p: &Product| p.factors.iter().all(|f| f.half.is_some());
        let units = |p: &Product| self.units.is_none() || (self.units == caps.units && halves(p));
        product(kernel).is_some_and(|p| units(&p))
            && parallel(self.rows)
            && parallel(self.cols)
            && self.rows != self.cols
    }
}
