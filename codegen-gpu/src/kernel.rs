//! One kernel of the loop IR as a shader.
//!
//! Two schedules do all kernels. In [`Schedule::Points`] a thread takes a parallel point and walks the reduce axis alone,
//! which suits maps, short rows and reductions along an outer axis, where neighbouring threads read neighbouring elements. In
//! [`Schedule::Rows`] a workgroup takes a parallel point and shares the walk. A third one is for matrix products only
//! ([`Schedule::Tiles`]), and two for maps whose operands lie well for them. There may always be more points than threads or workgroups, which then take several in turn.
//!
//! A walk of one thread adds up blocks of [`BLOCK`] elements and then those, so that the error of a sum grows with the
//! root of the length. The order depends on sizes and on the schedule only.

use crate::body;
use crate::build::{Builder, Count, Flag, Ids, SubgroupIds, Ty, Val};
use crate::maps::{Turned, is_wide};
use crate::product::{Tiles, product};
use crate::reduce::{Fold, Share};
use crate::shader::Caps;
use crate::words::Words;
use access::Bound;
use matex_ir::loops::{Access, AxisKind, Form, InstKind, Kernel, Role, Stage, Store};
use naga::{BinaryOperator, Module};

mod access;
mod maps;
mod pieces;
mod scan;
mod tiles;
mod units;

/// The threads of a workgroup: what every device has.
pub(crate) const THREADS: u32 = 256;

/// How many elements one thread adds up before it adds that to the rest.
pub(crate) const BLOCK: u32 = 256;

/// How the points of a kernel are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// A thread takes a parallel point.
    Points,
    /// A workgroup takes a parallel point, and its threads share the reduce axis, which is the innermost one, or the scan
    /// axis.
    Rows,
    /// A workgroup takes a tile of a matrix product.
    Tiles(Tiles),
    /// A thread takes four parallel points of a map that lie side by side.
    Quads,
    /// A workgroup takes a tile of a map with operands that lie along another axis than the results.
    Turned(Turned),
}

impl Schedule {
    /// How often what stays along a parallel axis of so many points is read, or computed, on the way along that axis.
    pub fn walks(&self, axis: usize, extent: i64) -> i64 {
        match self {
            Schedule::Tiles(tiles) => tiles.walks(axis, extent),
            Schedule::Points | Schedule::Rows | Schedule::Quads | Schedule::Turned(_) => extent,
        }
    }
}

/// A kernel that is being written.
pub(crate) struct Emitter<'a> {
    pub(crate) b: Builder,
    pub(crate) kernel: &'a Kernel,
    schedule: Schedule,
    ids: Ids,
    /// The place in the subgroup, for reductions that a workgroup shares on a device that has subgroups.
    subgroup: Option<SubgroupIds>,
    arrays: Vec<Bound>,
    /// What tells the host that an index was out of range, in kernels that gather.
    flag: Option<Flag>,
    extents: Vec<Val>,
    /// For each operand its offset, and its stride along each axis where that is no constant.
    strides: Vec<(Val, Vec<Option<Val>>)>,
    moving: Vec<bool>,
    /// The position along each axis at the point that is being written.
    coords: Vec<Option<Val>>,
    /// The element of each operand at the point, as far as the parallel axes say.
    bases: Vec<Val>,
    pub(crate) values: Vec<Option<Val>>,
    /// For each operand what it holds at the current point, where that was read already.
    at_hand: Vec<Option<Val>>,
    /// The whole states of the reductions that are done, by their instructions.
    states: Vec<(usize, Vec<Val>)>,
}

/// The shader of a kernel. `shares` has for each operand the first one that is bound to the same memory.
pub(crate) fn emit(
    kernel: &Kernel,
    schedule: Schedule,
    shares: &[usize],
    caps: Caps,
) -> Result<Module, String> {
    let words = Words::of(kernel);
    let mut b = Builder::new();
    let arrays = bind(&mut b, kernel, schedule, shares)?;
    b.args(words.count());
    let flag = gathers(kernel).then(|| b.flag("out_of_range"));
    let ids = b.ids();
    let together = schedule == Schedule::Rows && kernel.form() == Form::RowReduce;
    let by_units = matches!(schedule, Schedule::Tiles(Tiles { units: Some(_), .. }));
    let subgroup = ((together && caps.subgroups) || by_units).then(|| b.subgroup_ids());
    let extents: Vec<Val> = (0..kernel.axes.len())
        .map(|axis| {
            let extent = b.arg(words.extent(axis));
            b.name(extent, &format!("extent_{}", letter(axis)))
        })
        .collect();
    let mut strides = Vec::with_capacity(kernel.operands.len());
    for (i, operand) in kernel.operands.iter().enumerate() {
        let offset = b.arg(words.offset(i));
        let stride = |(axis, access): (usize, &Access)| {
            (*access == Access::Strided).then(|| b.arg(words.stride(i, axis)))
        };
        let along = operand.access.iter().enumerate().map(stride).collect();
        strides.push((offset, along));
    }
    let moving = kernel.walked_axis().map_or_else(Vec::new, |axis| kernel.moving(axis));
    let (coords, values) = (vec![None; kernel.axes.len()], vec![None; kernel.body.len()]);
    let mut emitter = Emitter {
        b,
        kernel,
        schedule,
        ids,
        subgroup,
        arrays,
        flag,
        extents,
        strides,
        moving,
        coords,
        bases: Vec::new(),
        values,
        at_hand: vec![None; kernel.operands.len()],
        states: Vec::new(),
    };
    match schedule {
        Schedule::Tiles(tiles) => match tiles.units {
            Some(units) => emitter.tiles_by_units(tiles, units)?,
            None => emitter.tiles(tiles)?,
        },
        Schedule::Points | Schedule::Rows => emitter.points()?,
        Schedule::Quads => emitter.quads()?,
        Schedule::Turned(turned) => emitter.turned(turned)?,
    }
    emitter.b.finish(THREADS)
}

/// The arrays of the operands, of which those that share memory are one.
fn bind(
    b: &mut Builder,
    kernel: &Kernel,
    schedule: Schedule,
    shares: &[usize],
) -> Result<Vec<Bound>, String> {
    let mut arrays: Vec<Bound> = Vec::with_capacity(kernel.operands.len());
    let tiles = if let Schedule::Tiles(tiles) = schedule { product(kernel).zip(Some(tiles)) } else { None };
    for (i, operand) in kernel.operands.iter().enumerate() {
        let (name, written) = (array_name(kernel, i), is_written(kernel, shares, i));
        let wide = tiles.as_ref().is_some_and(|(product, tiles)| tiles.is_wide(kernel, product, i))
            || (schedule == Schedule::Quads && is_wide(kernel, i));
        let array = match arrays.get(shares[i]) {
            Some(array) => *array,
            None => Bound::new(b, &name, (operand.dtype, wide), written)?,
        };
        arrays.push(array);
    }
    Ok(arrays)
}

/// `in_a`, `out_b`: names end in a letter, or the text gets a line below behind them.
fn array_name(kernel: &Kernel, operand: usize) -> String {
    format!("{}_{}", kernel.operands[operand].role.name(), letter(operand))
}

/// `a`, `b`, … `z`, `aa`, ….
pub(crate) fn letter(i: usize) -> String {
    let last = char::from(b'a' + (i % 26) as u8);
    if i < 26 { last.to_string() } else { format!("{}{last}", letter(i / 26 - 1)) }
}

/// Whether the memory of an operand is written by any that share it.
pub(crate) fn is_written(kernel: &Kernel, shares: &[usize], operand: usize) -> bool {
    let mut operands = kernel.operands.iter().zip(shares);
    operands.any(|(o, s)| *s == shares[operand] && o.role != Role::In)
}

/// Whether a kernel reads at places that values tell, and so may find an index out of range.
pub(crate) fn gathers(kernel: &Kernel) -> bool {
    kernel.body.iter().any(|i| matches!(i.kind, InstKind::LoadAt { .. }))
}

impl Emitter<'_> {
    /// All points, several to a thread or workgroup where there are more.
    fn points(&mut self) -> Result<(), String> {
        let (open, point) = self.begin_points();
        self.point(point)?;
        self.b.end_count(open);
        Ok(())
    }

    /// What follows is done for each of the points that this thread or workgroup takes.
    fn begin_points(&mut self) -> (Count, Val) {
        let (Ids { group, groups, thread }, b) = (self.ids, &mut self.b);
        let points = b.arg(crate::words::POINTS);
        let points = b.bitcast(points, Ty::U32);
        let points = b.name(points, "points");
        let (start, step) = if matches!(self.schedule, Schedule::Points | Schedule::Quads) {
            let threads = b.u32(THREADS);
            let first = b.mul(group, threads);
            (b.add(first, thread), b.mul(groups, threads))
        } else {
            (group, groups)
        };
        b.begin_count("point", (start, points, step))
    }

    fn point(&mut self, point: Val) -> Result<(), String> {
        let axes: Vec<usize> = self.parallel_axes().collect();
        self.decode(point, &axes);
        self.find_bases();
        for stage in self.kernel.stages() {
            self.stage(&stage)?;
        }
        Ok(())
    }

    /// The position along each of these axes, from the number of the point.
    fn decode(&mut self, point: Val, axes: &[usize]) {
        let mut rest = point;
        for (i, axis) in axes.iter().enumerate().rev() {
            let position = if i == 0 {
                rest
            } else {
                let extent = self.b.bitcast(self.extents[*axis], Ty::U32);
                let position = self.b.binary(BinaryOperator::Modulo, rest, extent);
                rest = self.b.binary(BinaryOperator::Divide, rest, extent);
                position
            };
            let position = self.b.bitcast(position, Ty::I32);
            self.coords[*axis] = Some(self.b.name(position, &format!("at_{}", letter(*axis))));
        }
    }

    fn parallel_axes(&self) -> impl Iterator<Item = usize> {
        let axes = self.kernel.axes.iter().enumerate();
        axes.filter(|(_, a)| a.kind == AxisKind::Parallel).map(|(i, _)| i)
    }

    fn find_bases(&mut self) {
        self.bases.clear();
        for o in 0..self.kernel.operands.len() {
            let mut base = self.strides[o].0;
            for axis in 0..self.kernel.axes.len() {
                if let Some(at) = self.coords[axis].filter(|_| Some(axis) != self.kernel.walked_axis()) {
                    base = self.moved(base, o, axis, at);
                }
            }
            if self.kernel.operands[o].role == Role::Scratch {
                base = self.own_row(base);
            }
            self.bases.push(base);
        }
    }

    /// A base moved along an axis.
    fn moved(&mut self, base: Val, operand: usize, axis: usize, at: Val) -> Val {
        match (self.kernel.operands[operand].access[axis], self.strides[operand].1[axis]) {
            (Access::Unit, _) => self.b.add(base, at),
            (Access::Strided, Some(stride)) => {
                let distance = self.b.mul(at, stride);
                self.b.add(base, distance)
            }
            (Access::Zero | Access::Strided, _) => base,
        }
    }

    /// Each workgroup has rows of scratch of its own.
    fn own_row(&mut self, base: Val) -> Val {
        let Some(extent) = self.kernel.reduce_axis().map(|axis| self.extents[axis]) else { return base };
        let group = self.b.bitcast(self.ids.group, Ty::I32);
        let before = self.b.mul(group, extent);
        self.b.add(base, before)
    }

    /// One stage at one point.
    fn stage(&mut self, stage: &Stage) -> Result<(), String> {
        let axis = match self.kernel.form() {
            Form::RowReduce | Form::ColumnReduce(_) => self.kernel.reduce_axis().ok_or("no axis")?,
            Form::Scan(axis) => return self.scan_line(stage, axis),
            Form::Map => {
                stage.insts().try_for_each(|id| self.inst(id))?;
                return self.stores(stage, |_| true);
            }
        };
        // What does not change along the axis is known before the walk, and even where that has no elements.
        let (mut folds, mut parts) = (Vec::new(), Vec::new());
        for id in stage.element.clone() {
            let kind = &self.kernel.body[id].kind;
            if matches!(kind, InstKind::Reduce { .. }) {
                folds.push(Fold::begin(&mut self.b, self.kernel, id, folds.len())?);
            } else if matches!(kind, InstKind::Part { of, .. } if stage.element.contains(&of.index())) {
                // Known behind the walk.
                parts.push(id);
            } else if !self.moving[id] {
                self.inst(id)?;
            }
        }
        let walked = !folds.is_empty()
            || self.kernel.stores.iter().any(|s| self.is_here(stage, s) && self.kernel.stores_elements(s));
        if walked {
            self.walk(stage, axis, &folds)?;
        }
        let share = Share { thread: self.ids.thread, subgroup: self.subgroup };
        let share = (self.schedule == Schedule::Rows).then_some(share);
        let extent = self.extents[axis];
        for (id, state) in crate::reduce::finish(&mut self.b, self.kernel, &folds, share, extent)? {
            self.values[id] = state.first().copied();
            self.states.push((id, state));
        }
        parts.into_iter().try_for_each(|id| self.inst(id))?;
        stage.point.clone().try_for_each(|id| self.inst(id))?;
        self.point_stores(stage)
    }

    fn is_here(&self, stage: &Stage, s: &Store) -> bool {
        stage.insts().contains(&s.value.index())
    }

    /// The elements of a stage, one after the other.
    fn walk(&mut self, stage: &Stage, axis: usize, folds: &[Fold]) -> Result<(), String> {
        let extent = self.b.bitcast(self.extents[axis], Ty::U32);
        let (start, step) = if self.schedule == Schedule::Rows {
            (self.ids.thread, self.b.u32(THREADS))
        } else {
            (self.b.u32(0), self.b.u32(1))
        };
        let (open, element) = self.b.begin_count("element", (start, extent, step));
        self.element(stage, axis, element, folds)?;
        self.b.end_count(open);
        self.coords[axis] = None;
        Ok(())
    }

    fn element(&mut self, stage: &Stage, axis: usize, element: Val, folds: &[Fold]) -> Result<(), String> {
        let at = self.b.bitcast(element, Ty::I32);
        self.coords[axis] = Some(self.b.name(at, &format!("at_{}", letter(axis))));
        for id in stage.element.clone() {
            if self.moving[id] {
                self.inst(id)?;
            }
        }
        for fold in folds {
            fold.step(&mut self.b, self.kernel, &self.values)?;
        }
        let shift = if self.schedule == Schedule::Rows { THREADS.ilog2() } else { 0 };
        crate::reduce::close_blocks(&mut self.b, folds, element, shift);
        let elements = |k: &Kernel, s: &Store| k.stores_elements(s);
        let kernel = self.kernel;
        self.stores(stage, |s| elements(kernel, s))
    }

    fn point_stores(&mut self, stage: &Stage) -> Result<(), String> {
        let kernel = self.kernel;
        let per_point = |s: &Store| !kernel.stores_elements(s);
        if !kernel.stores.iter().any(|s| self.is_here(stage, s) && per_point(s)) {
            return Ok(());
        }
        if self.schedule == Schedule::Points {
            return self.stores(stage, per_point);
        }
        let zero = self.b.u32(0);
        let first = self.b.eq(self.ids.thread, zero);
        let open = self.b.begin_when(first);
        self.stores(stage, per_point)?;
        self.b.end_when(open);
        Ok(())
    }

    /// The stores of a stage that are chosen.
    fn stores(&mut self, stage: &Stage, which: impl Fn(&Store) -> bool) -> Result<(), String> {
        for s in self.kernel.stores.iter().filter(|s| which(s)) {
            if self.is_here(stage, s) {
                self.store(s)?;
            }
        }
        Ok(())
    }

    /// An instruction, whose operands are known.
    fn inst(&mut self, id: usize) -> Result<(), String> {
        let kernel = self.kernel;
        let value = match &kernel.body[id].kind {
            InstKind::Load(o) => self.load(*o)?,
            InstKind::LoadAt { operand, indices } => self.load_at(*operand, indices)?,
            InstKind::Index(axis) => self.coords[*axis as usize].ok_or("a position is not known")?,
            // Known since the end of the walk.
            InstKind::Reduce { .. } => return Ok(()),
            InstKind::Const(_) | InstKind::Map(..) | InstKind::Cast(_) | InstKind::Bitcast(_) => {
                body::inst(&mut self.b, id, &kernel.body, &self.values)?
            }
            InstKind::Rescue(op, _) => return Err(crate::functions::none(*op)),
            InstKind::Part { of, component } => {
                let state = self.states.iter().rev().find(|(id, _)| *id == of.index()).map(|(_, s)| s);
                state.and_then(|s| s.get(*component as usize)).copied().ok_or("a state is not known")?
            }
            InstKind::Scan { .. } => return Err("a scan outside of its line".to_owned()),
        };
        self.values[id] = Some(self.b.name(value, &format!("v{id}")));
        Ok(())
    }
}
