//! What a plan does at given sizes: the work of each kernel, and the memory that all of it needs at a time.

use super::{BlockId, BufferId, KernelStep, Places, Plan, Slot, Source, Step};
use crate::cost::{self, CostModel};
use matex_ir::Dim;
use matex_ir::loops::{AxisKind, Kernel};
use std::ops::Range;

/// The work of one run of a kernel, or of kernels that run together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Bytes that it reads and writes, each once.
    pub bytes: f64,
    /// Scalar operations, elementary functions counted by what they are made of.
    pub ops: f64,
    /// What it is expected to take, in nanoseconds on no particular machine.
    pub time: f64,
    /// What its memory traffic takes of that.
    moving: f64,
    /// What its arithmetic takes in vectors of some bytes, and in scalars.
    computing: [f64; 2],
    width: f64,
}

impl Work {
    /// What it takes with vectors of so many bytes, without being started: for those who ask whether it is worth the while to
    /// share it.
    pub fn least_time(&self, vector: f64) -> f64 {
        let [vectors, scalars] = self.computing;
        self.moving.max(vectors * self.width / vector + scalars)
    }
}

impl Plan {
    /// The work of a step that runs kernels, by the values of sizes. What they hand on to each other counts once.
    pub fn work(&self, step: &Step, value: &impl Fn(&Dim) -> Option<i64>) -> Work {
        self.work_of(step.kernels(), &|slot| value(self.dim(slot)))
    }

    /// The work of kernels that run together, by the values of dims.
    pub fn work_of<'a>(
        &self,
        steps: impl IntoIterator<Item = &'a KernelStep>,
        value: &impl Fn(Slot) -> Option<i64>,
    ) -> Work {
        let costs = &self.costs;
        let mut work = Work { width: costs.width, ..Work::default() };
        let mut seen: Vec<(BufferId, f64)> = Vec::new();
        for step in steps {
            let extent = |slot: &Slot| value(*slot).unwrap_or(0).max(0) as f64;
            let extents: Vec<f64> = step.extents.iter().map(extent).collect();
            let Some(kernel) = self.kernels.get(step.kernel) else { continue };
            for (binding, operand) in step.operands.iter().zip(&kernel.operands) {
                let moves = |(_, slot): &(&f64, &Slot)| !self.dim(**slot).is(0);
                let walked: f64 =
                    extents.iter().zip(&binding.strides).filter(moves).map(|(e, _)| e).product();
                let held = value(self.buffer(binding.place.buffer).bytes).unwrap_or(0) as f64;
                let touched = (walked * operand.dtype.size() as f64).min(held);
                // A buffer that is read in several ways is read once.
                match seen.iter_mut().find(|(b, _)| *b == binding.place.buffer) {
                    Some((_, most)) => *most = most.max(touched),
                    None => seen.push((binding.place.buffer, touched)),
                }
            }
            let Arithmetic { ops, vectors, scalars } = match product(step, kernel, &extents, costs) {
                Some(product) => product,
                None => arithmetic(kernel, &extents, costs),
            };
            work.ops += ops;
            work.computing[0] += vectors;
            work.computing[1] += scalars;
        }
        work.bytes = seen.iter().map(|(_, b)| b).sum::<f64>();
        work.moving = work.bytes / costs.bandwidth(work.bytes);
        work.time = work.moving.max(work.computing.iter().sum()) + costs.launch;
        work
    }

    /// The most bytes that a call holds at a time besides its arguments and constants, by the values of sizes: its results
    /// and the values between its kernels, which lie in one piece of memory that is held to the end. Exact for a plan without
    /// branches; of a branch the larger side counts.
    pub fn peak_bytes(&self, value: &impl Fn(&Dim) -> Option<i64>) -> u64 {
        let bytes = |slot: Slot| value(self.dim(slot)).map_or(0, |v| v.max(0) as u64);
        let mut peak = Peak {
            plan: self,
            holds: vec![None; self.buffers.len()],
            pieces: Vec::new(),
            live: 0,
            most: 0,
            shared: false,
            places: self.arena.places(|p| bytes(p.bytes)),
            bytes: &bytes,
        };
        for (i, buffer) in self.buffers.iter().enumerate() {
            if !matches!(buffer.source, Source::Own) {
                // The caller's, or the program's: held by one more than the plan, so that it is never let go.
                peak.pieces.push((0, 2));
                peak.holds[i] = Some(peak.pieces.len() - 1);
            }
        }
        peak.block(self.body);
        peak.most
    }
}

/// What a kernel computes.
struct Arithmetic {
    ops: f64,
    /// Nanoseconds of what is done in vectors, and of what is not.
    vectors: f64,
    scalars: f64,
}

/// What a product of matrices computes that goes to the library; one of a matrix and a vector waits for memory and nothing else.
fn product(step: &KernelStep, kernel: &Kernel, extents: &[f64], costs: &CostModel) -> Option<Arithmetic> {
    let gemm = step.gemm.filter(|g| g.rows.is_some() && g.cols.is_some())?;
    let all: f64 = extents.iter().product();
    if all < cost::SMALL_PRODUCT {
        return None;
    }
    let done = if gemm.symmetric { all / 2.0 } else { all };
    let size = kernel.operands.first()?.dtype.size();
    Some(Arithmetic { ops: 2.0 * done, vectors: 0.0, scalars: costs.product_time(done, size) })
}

fn arithmetic(kernel: &Kernel, extents: &[f64], costs: &CostModel) -> Arithmetic {
    let points: f64 =
        kernel.axes.iter().zip(extents).filter(|(a, _)| a.kind != AxisKind::Reduce).map(|(_, e)| e).product();
    let all: f64 = extents.iter().product();
    let sizes: Vec<usize> = kernel.body.iter().map(|i| i.dtype.size()).filter(|s| *s > 1).collect();
    let alike = sizes.windows(2).all(|w| w[0] == w[1]);
    let size = kernel.operands.first().map_or(8, |o| o.dtype.size());
    let mut total = Arithmetic { ops: 0.0, vectors: 0.0, scalars: 0.0 };
    let mut count = |ids: Range<usize>, times: f64| {
        for id in ids {
            let Some(cost) = costs.of_inst(kernel, &kernel.body[id].kind) else { continue };
            total.ops += times;
            if alike && !cost.scalar {
                total.vectors += times * cost.ops / costs.rate(size, true);
            } else {
                total.scalars += times * cost.ops / costs.rate(size, false);
            }
        }
    };
    for stage in kernel.stages() {
        count(stage.element, all);
        count(stage.point, points);
    }
    total
}

/// The memory of a call that is only counted.
struct Peak<'a> {
    plan: &'a Plan,
    /// The piece of memory that each buffer holds.
    holds: Vec<Option<usize>>,
    /// The bytes of each piece, and how many hold it.
    pieces: Vec<(u64, u32)>,
    live: u64,
    most: u64,
    /// Where temporaries lie, and whether there is memory for them yet.
    places: Places,
    shared: bool,
    bytes: &'a dyn Fn(Slot) -> u64,
}

impl Peak<'_> {
    fn let_go(&mut self, buffer: BufferId) {
        if let Some(piece) = self.holds[buffer.0 as usize].take() {
            let (bytes, held) = &mut self.pieces[piece];
            *held -= 1;
            if *held == 0 {
                self.live -= *bytes;
            }
        }
    }

    fn allocate(&mut self, buffer: BufferId) {
        let part = self.plan.arena.piece(buffer).and_then(|p| self.places.pieces.get(p).copied());
        match part.map(|p| p.host) {
            Some(Some(result)) => {
                self.claim(result);
                self.hold(buffer, 0);
            }
            Some(None) => {
                let more = if std::mem::replace(&mut self.shared, true) { 0 } else { self.places.total };
                self.live += more;
                self.hold(buffer, 0);
            }
            None => self.claim(buffer),
        }
    }

    /// Memory for a buffer, unless it has been given some for what was there before it.
    fn claim(&mut self, buffer: BufferId) {
        let early = self.plan.arena.results.iter().any(|r| r.buffer == buffer);
        if !early || self.holds[buffer.0 as usize].is_none() {
            self.hold(buffer, (self.bytes)(self.plan.buffer(buffer).bytes));
        }
    }

    fn hold(&mut self, buffer: BufferId, bytes: u64) {
        self.let_go(buffer);
        self.pieces.push((bytes, 1));
        self.holds[buffer.0 as usize] = Some(self.pieces.len() - 1);
        self.live += bytes;
        self.most = self.most.max(self.live);
    }

    /// Whether nothing but a buffer holds its memory.
    fn alone(&self, buffer: BufferId) -> bool {
        self.holds[buffer.0 as usize].is_some_and(|p| self.pieces[p].1 == 1)
    }

    fn block(&mut self, id: BlockId) {
        let plan = self.plan;
        for item in &plan.block(id).items {
            self.step(&item.step);
            item.frees.iter().for_each(|b| self.let_go(*b));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Alloc(buffer) => self.allocate(*buffer),
            Step::Reuse { from, to } => {
                let bytes = |b: &BufferId| (self.bytes)(self.plan.buffer(*b).bytes);
                if self.alone(*from) && bytes(from) == bytes(to) {
                    self.let_go(*to);
                    self.holds[to.0 as usize] = self.holds[from.0 as usize].take();
                } else {
                    self.allocate(*to);
                }
            }
            Step::Size { to, .. } if self.holds[to.0 as usize].is_none() => self.allocate(*to),
            Step::Size { .. } | Step::Kernel(_) | Step::Panels(_) | Step::Routine { .. } => {}
            Step::Index { .. } | Step::Check { .. } => {}
            Step::Move { from, to } => {
                let held: Vec<Option<usize>> = from.iter().map(|b| self.holds[b.0 as usize]).collect();
                held.iter().flatten().for_each(|p| self.pieces[*p].1 += 1);
                for (buffer, piece) in to.iter().zip(held) {
                    self.let_go(*buffer);
                    self.holds[buffer.0 as usize] = piece;
                }
            }
            Step::Take { from, to, last, .. } => {
                if *last && self.alone(*from) {
                    self.holds[to.0 as usize] = self.holds[from.0 as usize].take();
                } else {
                    self.allocate(*to);
                }
            }
            Step::For { counter, body, .. } => {
                self.allocate(*counter);
                // The second round finds the carried values in the loop's own memory.
                self.block(*body);
                self.block(*body);
            }
            Step::While { test, body, .. } => {
                for block in [*test, *body, *test, *body, *test] {
                    self.block(block);
                }
            }
            Step::If { yes, no, .. } => {
                let before = (self.holds.clone(), self.pieces.clone(), self.live);
                self.block(*yes);
                let after = (self.holds.clone(), self.pieces.clone(), self.live);
                (self.holds, self.pieces, self.live) = before;
                self.block(*no);
                if after.2 > self.live {
                    (self.holds, self.pieces, self.live) = after;
                }
            }
        }
    }
}
