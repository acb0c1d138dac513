//! Loops, and kernels whose axes are all parallel.

use super::Emitter;
use super::eval::Copies;
use super::types::Width;
use super::vector;
use crate::walk::Walk;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value, condcodes::IntCC, types as ct};
use matex_ir::loops::{Access, InstKind};

/// How many values may be loaded before the first of them is used.
const LOADS: usize = 12;

/// A place in the iteration space.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// Where each operand stands.
    pub(super) ptrs: Vec<Value>,
    /// The position along each axis.
    pub(super) index: Vec<Value>,
}

/// A loop that is being emitted.
pub(super) struct Loop {
    body: Block,
    exit: Block,
    i: Value,
    limit: Value,
    step: i64,
    /// The pointers that step along with the loop: operand and pointer.
    moving: Vec<(usize, Value)>,
    axis: usize,
}

impl Emitter<'_, '_> {
    /// The place where all positions are 0.
    pub(super) fn origin(&mut self) -> Point {
        let zero = self.int(0);
        Point { ptrs: self.args.bases.clone(), index: vec![zero; self.k.axes.len()] }
    }

    /// The range of an axis: that of the call for the outermost parallel axis.
    pub(super) fn range(&mut self, axis: usize) -> (Value, Value) {
        if self.k.range_axis() == Some(axis) {
            (self.args.begin, self.args.end)
        } else {
            (self.int(0), self.args.extents[axis])
        }
    }

    /// Opens a loop over `start..end` of an axis in whole steps. `at` is the place with position 0 along that axis;
    /// the place inside the loop is returned. The test is at the end of the body, so that a turn has one branch.
    pub(super) fn open(
        &mut self,
        at: &Point,
        axis: usize,
        start: Value,
        end: Value,
        step: i64,
    ) -> (Loop, Point) {
        let vector_axis = self.k.vector_axis() == Some(axis);
        let limit = if step == 1 { end } else { self.b.ins().iadd_imm_s(end, 1 - step) };
        let (body, exit) = (self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(body, ct::I64);
        self.b.append_block_param(exit, ct::I64);
        let mut entering = vec![BlockArg::from(start)];
        let mut moving = Vec::new();
        let mut indexed = Vec::new();
        for (o, operand) in self.k.operands.iter().enumerate() {
            match operand.access[axis] {
                Access::Zero => {}
                // Contiguous operands share one counter by base-and-index addressing.
                Access::Unit if vector_axis => indexed.push((o, operand.dtype.size().trailing_zeros())),
                Access::Unit | Access::Strided => {
                    let skip = self.b.ins().imul(start, self.args.strides[o][axis]);
                    let first = self.b.ins().iadd(at.ptrs[o], skip);
                    entering.push(first.into());
                    moving.push((o, self.b.append_block_param(body, ct::I64)));
                }
            }
        }
        let some = self.b.ins().icmp(IntCC::SignedLessThan, start, limit);
        self.b.ins().brif(some, body, &entering, exit, &[start.into()]);
        self.b.switch_to_block(body);
        let mut inside = at.clone();
        inside.index[axis] = i;
        for (o, ptr) in &moving {
            inside.ptrs[*o] = *ptr;
        }
        for (o, log2) in indexed {
            let bytes = self.b.ins().ishl_imm_u(i, i64::from(log2));
            inside.ptrs[o] = self.b.ins().iadd(at.ptrs[o], bytes);
        }
        (Loop { body, exit, i, limit, step, moving, axis }, inside)
    }

    /// Closes a loop and gives the position at which it ended: the first one that no whole step covered.
    pub(super) fn close(&mut self, l: Loop) -> Value {
        let next = self.b.ins().iadd_imm_s(l.i, l.step);
        let mut again = vec![BlockArg::from(next)];
        for (o, ptr) in &l.moving {
            let stride = self.args.strides[*o][l.axis];
            let step = if l.step == 1 { stride } else { self.b.ins().imul_imm_s(stride, l.step) };
            again.push(self.b.ins().iadd(*ptr, step).into());
        }
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, l.limit);
        self.b.ins().brif(more, l.body, &again, l.exit, &[next.into()]);
        self.b.switch_to_block(l.exit);
        self.b.block_params(l.exit)[0]
    }

    /// Leaves at once when one of the axes is empty, or the range of the call.
    pub(super) fn leave_if_empty(&mut self, axes: &[usize]) {
        let mut empty = self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, self.args.begin, self.args.end);
        for axis in axes {
            let none = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, self.args.extents[*axis], 0);
            empty = self.b.ins().bor(empty, none);
        }
        let (leave, go) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(empty, leave, &[], go, &[]);
        self.b.switch_to_block(leave);
        let ok = self.b.ins().iconst(ct::I32, 0);
        self.b.ins().return_(&[ok]);
        self.b.switch_to_block(go);
    }

    /// Opens loops over all of these axes, outermost first.
    pub(super) fn open_all(&mut self, axes: &[usize]) -> (Vec<Loop>, Point) {
        let mut at = self.origin();
        let mut open = Vec::new();
        for axis in axes {
            let (start, end) = self.range(*axis);
            let (l, inside) = self.open(&at, *axis, start, end, 1);
            at = inside;
            open.push(l);
        }
        (open, at)
    }

    /// Closes loops, innermost first.
    pub(super) fn close_all(&mut self, open: Vec<Loop>) {
        for l in open.into_iter().rev() {
            self.close(l);
        }
    }

    /// A kernel whose axes are all parallel.
    pub(super) fn map_kernel(&mut self) {
        let axes: Vec<usize> = (0..self.k.axes.len()).collect();
        self.leave_if_empty(&axes);
        let Some((&inner, outer)) = axes.split_last() else {
            let at = self.origin();
            let mut copies = Copies::new(self.k);
            self.eval(&mut copies, &at, Width::Scalar, 0..self.k.body.len(), &vec![true; self.k.body.len()]);
            return self.store_all(&self.k.stores, &copies, &at, Width::Scalar);
        };
        let (open, at) = self.open_all(outer);
        for stage in self.k.stages() {
            let mut points = Copies::new(self.k);
            self.still(&mut points, &stage, inner, &at, Width::Scalar);
            let walk = Walk::of(self.k, &stage, inner);
            self.elements(&walk, &points, inner, &at);
        }
        self.close_all(open);
    }

    /// A walk along the innermost axis that combines nothing.
    pub(super) fn elements(&mut self, walk: &Walk, points: &Copies, axis: usize, at: &Point) {
        let (mut start, end) = self.range(axis);
        let width = vector::width(self.k, walk);
        for (w, unroll) in self.tiers(walk, width) {
            // Values that do not change along the innermost axis are computed once, before the loop.
            let fixed = self.spread(points, walk, w);
            let step = i64::from(w.lanes()) * unroll;
            let (l, inside) = self.open(at, axis, start, end, step);
            // `unroll` copies of the body: all loads, then all arithmetic, then all stores.
            let mut copies = fixed.times(unroll as usize);
            self.eval(&mut copies, &inside, w, walk.range.clone(), &walk.wanted);
            self.store_all(&walk.stores, &copies, &inside, w);
            start = self.close(l);
        }
    }

    /// The loops over the innermost axis, each for what the one before it left: unrolled vectors, vectors, scalars.
    fn tiers(&self, walk: &Walk, width: Width) -> Vec<(Width, i64)> {
        let wanted = || walk.range.clone().filter(|id| walk.wanted[*id]).map(|id| &self.k.body[id].kind);
        let size = wanted().count();
        let calls = wanted().any(|kind| match kind {
            InstKind::Map(op, _) => super::libcalls::symbol(*op).is_some(),
            InstKind::LoadAt { .. } => true,
            InstKind::Load(_)
            | InstKind::Index(_)
            | InstKind::Const(_)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Rescue(..)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => false,
        });
        let mut tiers = Vec::new();
        if width.is_vector() {
            let unroll = self.unroll(walk, size);
            if unroll > 1 {
                tiers.push((width, unroll));
            }
            tiers.push((width, 1));
        } else if size <= 12 && !calls {
            tiers.push((Width::Scalar, 4));
        }
        tiers.push((Width::Scalar, 1));
        tiers
    }

    /// How many copies of a body are worth having in one turn. Large ones have enough independent work in them, and
    /// unrolled they cost compile time; the loads of all copies come first, and beyond the registers they are spilled.
    fn unroll(&self, walk: &Walk, size: usize) -> i64 {
        let loads = walk.range.clone().filter(|id| walk.wanted[*id]);
        let loads = loads.filter(|id| matches!(self.k.body[*id].kind, InstKind::Load(_))).count();
        let limit = match size {
            0..=16 => 4,
            17..=48 => 2,
            _ => 1,
        };
        [4, 2].into_iter().find(|n| *n <= limit && loads * *n <= LOADS).unwrap_or(1) as i64
    }
}
