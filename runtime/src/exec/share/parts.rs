//! A reduction whose parts are computed at the same time and merged in the canonical order.
//!
//! The kernels for it are compiled when it is first shared, and kept with the program.

use super::super::invoke::{Extents, Frame};
use super::super::products::Call;
use super::super::rows::{Bases, LINE, Line};
use matex_codegen_cpu::{CompileError, Compiled, KernelCache, Simd};
use matex_ir::Scalar;
use matex_ir::loops::canon::BlockTree;
use matex_ir::loops::split::{Bound, Piece, Split, split};
use matex_ir::loops::{AxisKind, Kernel, Role, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A kernel cut along its reduce axis, compiled.
#[derive(Debug)]
pub(in super::super) struct Parts {
    split: Split,
    walks: Vec<Arc<Compiled>>,
    point: Option<Arc<Compiled>>,
}

impl Parts {
    /// Compiles the pieces of a kernel. `None` for one without a reduce axis.
    ///
    /// # Errors
    /// As for the kernel itself.
    pub(in super::super) fn compile(kernel: &Kernel, simd: Simd) -> Result<Option<Parts>, CompileError> {
        let Some(split) = split(kernel) else { return Ok(None) };
        let compile = |piece: &Piece| KernelCache::global().get_for(&piece.kernel, simd);
        let walks = split.walks.iter().map(compile).collect::<Result<_, _>>()?;
        let point = split.point.as_ref().map(compile).transpose()?;
        Ok(Some(Parts { split, walks, point }))
    }

    /// Runs the kernel that these are the parts of, on operands that were bound and placed, rows of scratch included.
    /// There are `count` parts, of `len` elements each but the last. `None` when there is no memory for states.
    pub(super) fn run(
        &self,
        frame: Frame<'_>,
        kernel: &Kernel,
        (len, count): (i64, i64),
        call: &Call<'_>,
    ) -> Option<Status> {
        let mut memory = States::new(&self.split, kernel, &frame, count as usize)?;
        let job = Job { split: &self.split, kernel, frame, len, states: memory.layout() };
        for (number, (walk, code)) in self.split.walks.iter().zip(&self.walks).enumerate() {
            let strides = job.strides(walk, false);
            let worst = AtomicU32::new(Status::Ok.word());
            call.pool.for_ranges(count as usize, 1, |parts| {
                for part in parts {
                    let (data, extents) = job.part(walk, part);
                    let frame = Frame { data: &data, extents: &extents, strides: &strides };
                    let all = frame.all(&walk.kernel);
                    // SAFETY: a part of the iteration space of operands that were bound and placed. Parts write elements
                    // and states of their own, and read states that were merged before any of them began.
                    let status = unsafe { frame.run(code, &walk.kernel, all, call.cancel) };
                    if status != Status::Ok {
                        worst.store(status.word(), Ordering::Relaxed);
                    }
                }
            });
            if worst.into_inner() != Status::Ok.word() {
                return Some(Status::IndexOutOfRange);
            }
            if call.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Some(Status::Ok);
            }
            memory.merge(&self.split, number, len);
        }
        let (Some(point), Some(code)) = (&self.split.point, &self.point) else { return Some(Status::Ok) };
        let (strides, (data, extents)) = (job.strides(point, true), job.points(point));
        let frame = Frame { data: &data, extents: &extents, strides: &strides };
        // SAFETY: what the kernel does at each parallel point, on operands that were bound and placed; its states are
        // those of the whole axis.
        Some(unsafe { frame.run(code, &point.kernel, frame.all(&point.kernel), call.cancel) })
    }
}

/// Where the states of parts lie: a slab for each part and one for the whole axis, which begin with where the part
/// begins, and have whole lines of the cache for each component of each state.
#[derive(Clone)]
struct Layout {
    base: *mut u8,
    /// The bytes of a slab.
    slab: usize,
    /// The first byte of each component in a slab, by state.
    offsets: Vec<Vec<usize>>,
    /// The parallel points, each with an element in each component.
    points: usize,
    count: usize,
}

impl Layout {
    fn at(&self, slab: usize, offset: usize) -> *mut u8 {
        self.base.wrapping_add(slab * self.slab + offset)
    }
}

/// The memory of states.
struct States {
    lines: Vec<Line>,
    layout: Layout,
}

impl States {
    fn new(split: &Split, kernel: &Kernel, frame: &Frame<'_>, count: usize) -> Option<States> {
        let axes = kernel.axes.iter().zip(frame.extents).filter(|(a, _)| a.kind == AxisKind::Parallel);
        let points = axes.fold(1usize, |n, (_, e)| n.saturating_mul(*e as usize));
        let mut slab = LINE;
        let mut offsets = Vec::new();
        for state in &split.states {
            let mut of_state = Vec::new();
            for d in &state.dtypes {
                of_state.push(slab);
                slab = slab.checked_add(points.checked_mul(d.size())?.checked_next_multiple_of(LINE)?)?;
            }
            offsets.push(of_state);
        }
        let mut lines: Vec<Line> = Vec::new();
        let all = (slab / LINE).checked_mul(count + 1)?;
        lines.try_reserve_exact(all).ok()?;
        lines.resize(all, Line::ZERO);
        let base = lines.as_mut_ptr().cast();
        Some(States { lines, layout: Layout { base, slab, offsets, points, count } })
    }

    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn bytes(&mut self) -> &mut [u8] {
        Line::bytes(&mut self.lines)
    }

    /// Merges the states that a walk left for its parts.
    fn merge(&mut self, split: &Split, walk: usize, len: i64) {
        let layout = self.layout();
        let bytes = self.bytes();
        for (state, offsets) in split.states.iter().zip(&layout.offsets).filter(|(s, _)| s.walk == walk) {
            for point in 0..layout.points {
                let place = |slab: usize, component: usize| {
                    let size = state.dtypes[component].size();
                    let start = slab * layout.slab + offsets[component] + point * size;
                    start..start + size
                };
                let mut tree = BlockTree::new(state.combine);
                for part in 0..layout.count {
                    let mut values: Vec<Scalar> = Vec::with_capacity(2);
                    for (component, dtype) in state.dtypes.iter().enumerate() {
                        let mut word = [0u8; 8];
                        word[..dtype.size()].copy_from_slice(&bytes[place(part, component)]);
                        values.push(Scalar::from_bits(*dtype, u64::from_le_bytes(word)));
                    }
                    if let (true, [_, index]) = (state.counted, values.as_mut_slice()) {
                        let position = index.to_i128() + i128::from(part as i64 * len);
                        *index = Scalar::from_i128(index.dtype(), position);
                    }
                    tree.push(values);
                }
                for (component, value) in tree.finish().iter().flatten().enumerate() {
                    let word = value.bits().to_le_bytes();
                    bytes[place(layout.count, component)].copy_from_slice(&word[..value.dtype().size()]);
                }
            }
        }
    }
}

/// What all parts have in common.
struct Job<'a> {
    split: &'a Split,
    kernel: &'a Kernel,
    frame: Frame<'a>,
    len: i64,
    states: Layout,
}

// SAFETY: the pointers are only passed on, to calls whose callers see to it that no two of them touch what one of them
// writes (`Frame::run`), and to the first word of a part's own slab.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    /// The strides array of a piece.
    fn strides(&self, piece: &Piece, point: bool) -> Vec<i64> {
        let (rank, reduce) = (self.kernel.axes.len(), self.split.axis);
        let axes: Vec<usize> = (0..rank).filter(|a| !point || *a != reduce).collect();
        let mut words = Vec::with_capacity(piece.kernel.stride_words());
        for (bound, operand) in piece.operands.iter().zip(&piece.kernel.operands) {
            match bound {
                Bound::Operand(o) => words.extend(axes.iter().map(|a| self.stride(o.index(), *a))),
                Bound::State { .. } => {
                    let row = |axis: usize| {
                        let inner = (axis + 1..rank).filter(|a| *a != reduce).map(|a| self.frame.extents[a]);
                        inner.product::<i64>() * operand.dtype.size() as i64
                    };
                    words.extend(axes.iter().map(|a| if *a == reduce { 0 } else { row(*a) }));
                }
                Bound::Start => words.extend(axes.iter().map(|_| 0)),
            }
        }
        for (bound, operand) in piece.operands.iter().zip(&piece.kernel.operands) {
            if let (Bound::Operand(o), 1..) = (bound, operand.gathers) {
                let first = self.kernel.gather_words(*o);
                words.extend_from_slice(&self.frame.strides[first..first + 2 * operand.gathers as usize]);
            }
        }
        words
    }

    fn stride(&self, operand: usize, axis: usize) -> i64 {
        self.frame.strides[operand * self.kernel.axes.len() + axis]
    }

    /// The pointers and extents of a walk over a part.
    fn part(&self, walk: &Piece, part: usize) -> (Bases, Extents) {
        let (axis, begin) = (self.split.axis, part as i64 * self.len);
        let mut extents = Extents::from_slice(self.frame.extents);
        extents[axis] = self.len.min(extents[axis] - begin);
        let start = self.states.at(part, 0);
        // SAFETY: the first word of the part's slab, aligned to a line; no other part has it.
        unsafe { start.cast::<i64>().write(begin) };
        let bases = walk.operands.iter().zip(&walk.kernel.operands).map(|(bound, operand)| match bound {
            Bound::Operand(o) => {
                let moved = begin * self.stride(o.index(), axis);
                self.frame.data[o.index()].wrapping_offset(moved as isize)
            }
            Bound::State { state, component } => {
                let slab = if operand.role == Role::In { self.states.count } else { part };
                self.states.at(slab, self.states.offsets[*state][*component])
            }
            Bound::Start => start,
        });
        (bases.collect(), extents)
    }

    /// Those of what is done at the points.
    fn points(&self, point: &Piece) -> (Bases, Extents) {
        let mut extents = Extents::from_slice(self.frame.extents);
        extents.remove(self.split.axis);
        let whole = self.states.count;
        let bases = point.operands.iter().map(|bound| match bound {
            Bound::Operand(o) => self.frame.data[o.index()],
            Bound::State { state, component } => {
                self.states.at(whole, self.states.offsets[*state][*component])
            }
            Bound::Start => self.states.at(whole, 0),
        });
        (bases.collect(), extents)
    }
}
