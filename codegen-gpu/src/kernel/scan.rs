//! Scans: what the elements along an axis come to, up to each of them.
//!
//! A thread that walks a line alone combines one element after the other. A workgroup takes [`THREADS`] elements of its
//! line at a time, one a thread, forms what these come to by doubling (for a distance of 1, 2, 4 …, all at once, what
//! stands that far before is combined with each), and combines what came before with each of it (Hillis and Steele, 1986).
//! The order depends on sizes and on the schedule only.

use super::{Emitter, Schedule, THREADS, letter};
use crate::arith;
use crate::body::constant;
use crate::build::{Array, Ty, Val, Var};
use matex_ir::loops::{Combine, InstKind, Stage};
use matex_ir::{DType, Op};
use std::num::NonZeroU32;

/// A scan of the line that is being walked.
pub(super) struct Running {
    op: Op,
    dtype: DType,
    /// What it came to so far.
    so_far: Var,
    /// What changes nothing when combined.
    nothing: Val,
    /// Where the threads of a workgroup put theirs.
    place: Option<Place>,
}

/// What the threads of a workgroup share.
#[derive(Clone, Copy)]
struct Place {
    /// One element for each thread, twice: one is read while the other is written.
    line: Array,
    /// What the whole line comes to.
    last: Array,
}

impl Emitter<'_> {
    /// A line along the scan axis, at one parallel point.
    pub(super) fn scan_line(&mut self, stage: &Stage, axis: usize) -> Result<(), String> {
        let mut running = Vec::new();
        for id in stage.insts() {
            if let InstKind::Scan { combine, .. } = self.kernel.body[id].kind {
                running.push((id, self.begin_scan(combine, self.kernel.body[id].dtype, running.len())?));
            } else if !self.moving[id] {
                self.inst(id)?;
            }
        }
        let extent = self.b.bitcast(self.extents[axis], Ty::U32);
        let (zero, step) = (self.b.u32(0), if self.schedule == Schedule::Rows { THREADS } else { 1 });
        let step = self.b.u32(step);
        let (open, first) = self.b.begin_count("element", (zero, extent, step));
        if self.schedule == Schedule::Rows {
            self.piece(stage, axis, first, &running)?;
        } else {
            self.elements_of(stage, axis, (first, None), &running)?;
            self.stores(stage, |_| true)?;
        }
        self.b.end_count(open);
        self.coords[axis] = None;
        Ok(())
    }

    fn begin_scan(&mut self, combine: Combine, dtype: DType, number: usize) -> Result<Running, String> {
        let op = combine.op().ok_or("a scan of positions")?;
        let nothing = constant(&mut self.b, combine.identity(dtype)[0])?;
        let so_far = self.b.var("so_far", nothing);
        let place = (self.schedule == Schedule::Rows).then(|| {
            let mut shared = |name: &str, len: u32| {
                let len = NonZeroU32::new(len).unwrap_or(NonZeroU32::MIN);
                self.b.shared(&format!("{name}_{}", letter(number)), nothing.ty, len)
            };
            Place { line: shared("line", 2 * THREADS), last: shared("last", 1) }
        });
        Ok(Running { op, dtype, so_far, nothing, place })
    }

    /// As many elements as a workgroup has threads. Threads behind the end do what that of the last element does, with
    /// nothing to combine, since all have to meet at the barriers.
    fn piece(
        &mut self,
        stage: &Stage,
        axis: usize,
        first: Val,
        running: &[(usize, Running)],
    ) -> Result<(), String> {
        let extent = self.b.bitcast(self.extents[axis], Ty::U32);
        let element = self.b.add(first, self.ids.thread);
        let inside = self.b.lt(element, extent);
        let one = self.b.u32(1);
        let end = self.b.sub(extent, one);
        let at = self.b.select(inside, element, end);
        self.elements_of(stage, axis, (at, Some(inside)), running)?;
        let open = self.b.begin_when(inside);
        self.stores(stage, |_| true)?;
        self.b.end_when(open);
        Ok(())
    }

    /// All that is computed for an element.
    fn elements_of(
        &mut self,
        stage: &Stage,
        axis: usize,
        (element, inside): (Val, Option<Val>),
        running: &[(usize, Running)],
    ) -> Result<(), String> {
        let at = self.b.bitcast(element, Ty::I32);
        self.coords[axis] = Some(self.b.name(at, &format!("at_{}", letter(axis))));
        for id in stage.insts().filter(|id| self.moving[*id]).collect::<Vec<_>>() {
            let InstKind::Scan { value, .. } = self.kernel.body[id].kind else {
                self.inst(id)?;
                continue;
            };
            let value = self.values[value.index()].ok_or("an element is not known")?;
            let (_, scan) = running.iter().find(|(r, _)| *r == id).ok_or("a scan that was not begun")?;
            let value = inside.map_or(value, |inside| self.b.select(inside, value, scan.nothing));
            let result = match scan.place {
                Some(place) => self.together(scan, place, value)?,
                None => {
                    let before = self.b.get(scan.so_far);
                    let after = arith::map(&mut self.b, scan.op, scan.dtype, &[before, value])?;
                    self.b.set(scan.so_far, after);
                    after
                }
            };
            self.values[id] = Some(self.b.name(result, &format!("v{id}")));
        }
        Ok(())
    }

    /// What the elements of a workgroup come to up to that of this thread, all before them included.
    fn together(&mut self, scan: &Running, place: Place, value: Val) -> Result<Val, String> {
        let (thread, op, dtype) = (self.ids.thread, scan.op, scan.dtype);
        let b = &mut self.b;
        let mine = b.var("mine", value);
        let halves = [0, THREADS].map(|h| b.u32(h));
        let mut failed = None;
        for step in 0..THREADS.ilog2() {
            let half = halves[step as usize % 2];
            let at = b.add(half, thread);
            let value = b.get(mine);
            b.store(place.line, at, value);
            b.barrier();
            let distance = b.u32(1 << step);
            let far = b.ge(thread, distance);
            b.when(far, |b| {
                let from = b.sub(at, distance);
                let (before, value) = (b.load(place.line, from), b.get(mine));
                match arith::map(b, op, dtype, &[before, value]) {
                    Ok(both) => b.set(mine, both),
                    Err(why) => failed = Some(why),
                }
            });
        }
        if let Some(why) = failed {
            return Err(why);
        }
        let (value, before) = (b.get(mine), b.get(scan.so_far));
        let result = arith::map(b, op, dtype, &[before, value])?;
        let last = b.u32(THREADS - 1);
        let is_last = b.eq(thread, last);
        let zero = b.u32(0);
        b.when(is_last, |b| b.store(place.last, zero, result));
        // Of the line, the half that is written next was read before the last barrier of the loop above.
        b.barrier();
        let so_far = b.load(place.last, zero);
        b.set(scan.so_far, so_far);
        Ok(result)
    }
}
