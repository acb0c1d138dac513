//! A reduction cut along its axis, so that parts of it can be computed at the same time.
//!
//! A kernel with a reduce axis becomes several: for each stage a *walk*, which is run on parts of the axis and writes
//! what its reductions came to on each of them, and one for what is done per parallel *point* behind all of them. In
//! between, whoever runs them merges the states of the parts by a [`BlockTree`](super::canon::BlockTree). Where all parts
//! but the last are of [`block`](super::canon::block) elements times the same power of two, the result has the bits of the
//! whole kernel's: such a part is a complete subtree of the canonical tree, and the last one is what is merged from the top
//! of the stack down.
//!
//! A kernel with rows of scratch may have but one parallel point when it is run so: the rows are those of one point.

use super::{
    Access, Axis, AxisKind, Combine, Inst, InstId, InstKind, Kernel, Operand, OperandId, Role, Stage, Store,
    verify,
};
use crate::dtype::DType;
use crate::ops::Op;
use std::collections::HashMap;

/// What an operand of a part of a kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// That operand of the whole kernel.
    Operand(OperandId),
    /// A component of what a reduction comes to, one element for each parallel point in row-major order. Walks of its own
    /// stage write it for their part; all others read that of the whole axis.
    State {
        /// The reduction, by its place in [`Split::states`].
        state: usize,
        /// The component.
        component: usize,
    },
    /// An `i64`: where the part begins along the reduce axis.
    Start,
}

/// One of the kernels that a kernel is cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The kernel. That of the points has no reduce axis; a walk has the axes of the whole.
    pub kernel: Kernel,
    /// What its operands are.
    pub operands: Vec<Bound>,
}

/// A reduction of the whole kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How parts are merged.
    pub combine: Combine,
    /// The components.
    pub dtypes: Vec<DType>,
    /// The walk that computes it, by its place in [`Split::walks`].
    pub walk: usize,
    /// Whether the second component is a position along the reduce axis, counted from the beginning of the part.
    pub counted: bool,
}

/// A kernel cut along its reduce axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The reduce axis.
    pub axis: usize,
    /// The walks, in the order in which they have to be run.
    pub walks: Vec<Piece>,
    /// The reductions.
    pub states: Vec<State>,
    /// What is done once per parallel point, after all walks; none where nothing is.
    pub point: Option<Piece>,
}

/// Cuts a verified kernel. `None` for one without a reduce axis.
pub fn split(k: &Kernel) -> Option<Split> {
    let axis = k.reduce_axis()?;
    let mut cutter = Cutter { k, axis, states: Vec::new(), of: HashMap::new() };
    let stages = k.stages();
    let mut walks = Vec::new();
    for stage in &stages {
        cutter.note_states(stage, walks.len());
        walks.extend(cutter.walk(stage));
    }
    let point = cutter.point(&stages);
    Some(Split { axis, walks, states: cutter.states, point })
}

struct Cutter<'k> {
    k: &'k Kernel,
    axis: usize,
    states: Vec<State>,
    /// The state of each reduction so far, by its instruction.
    of: HashMap<usize, usize>,
}

impl Cutter<'_> {
    fn note_states(&mut self, stage: &Stage, walk: usize) {
        for id in stage.element.clone() {
            if let InstKind::Reduce { combine, values } = &self.k.body[id].kind {
                let index = values.get(1).map(|v| &self.k.inst(*v).kind);
                let counted = index == Some(&InstKind::Index(self.axis as u32));
                let dtypes = values.iter().map(|v| self.k.inst(*v).dtype).collect();
                self.of.insert(id, self.states.len());
                self.states.push(State { combine: *combine, dtypes, walk, counted });
            }
        }
    }

    /// What a stage does per element; `None` where it does nothing.
    fn walk(&self, stage: &Stage) -> Option<Piece> {
        let k = self.k;
        let mut roots: Vec<usize> = stage.element.clone().filter(|id| self.is_root(*id)).collect();
        let stores: Vec<Store> = k
            .stores
            .iter()
            .filter(|s| stage.insts().contains(&s.value.index()) && k.stores_elements(s))
            .copied()
            .collect();
        roots.extend(stores.iter().map(|s| s.value.index()));
        let mut piece = Builder::new(self, Some(stage.clone()));
        for id in self.needed(roots, stage) {
            piece.copy(id);
        }
        for store in stores {
            piece.store(store);
        }
        piece.finish("part")
    }

    /// What is done once per parallel point, of all stages.
    fn point(&self, stages: &[Stage]) -> Option<Piece> {
        let k = self.k;
        let stores: Vec<Store> = k.stores.iter().filter(|s| !k.stores_elements(s)).copied().collect();
        let mut roots: Vec<usize> = stores.iter().map(|s| s.value.index()).collect();
        let fails = |id: &usize| matches!(k.body[*id].kind, InstKind::LoadAt { .. });
        roots.extend(stages.iter().flat_map(|s| s.point.clone()).filter(fails));
        let mut piece = Builder::new(self, None);
        let nothing = Stage { element: 0..0, point: 0..0 };
        for id in self.needed(roots, &nothing) {
            piece.copy(id);
        }
        for store in stores {
            piece.store(store);
        }
        piece.finish("point")
    }

    /// Whether an instruction of a stage has to be there though no store needs it: reductions, and what can fail.
    fn is_root(&self, id: usize) -> bool {
        matches!(self.k.body[id].kind, InstKind::Reduce { .. } | InstKind::LoadAt { .. })
    }

    /// The instructions that these depend on, themselves included, in order. What other stages reduced is known.
    fn needed(&self, roots: Vec<usize>, stage: &Stage) -> Vec<usize> {
        let mut needed = vec![false; self.k.body.len()];
        let mut open = roots;
        while let Some(id) = open.pop() {
            let kind = &self.k.body[id].kind;
            let reduced = matches!(kind, InstKind::Reduce { .. } | InstKind::Part { .. });
            let known = reduced && !stage.element.contains(&id);
            if !std::mem::replace(&mut needed[id], true) && !known {
                open.extend(kind.args().iter().map(|a| a.index()));
            }
        }
        (0..needed.len()).filter(|id| needed[*id]).collect()
    }
}

/// A piece that is being put together.
struct Builder<'c, 'k> {
    cutter: &'c Cutter<'k>,
    /// The stage of a walk; none for the points.
    stage: Option<Stage>,
    piece: Piece,
    /// The new place of each instruction.
    renamed: HashMap<usize, InstId>,
}

impl<'c, 'k> Builder<'c, 'k> {
    fn new(cutter: &'c Cutter<'k>, stage: Option<Stage>) -> Builder<'c, 'k> {
        let reduces =
            |s: &Stage| s.element.clone().any(|id| matches!(cutter.k.body[id].kind, InstKind::Reduce { .. }));
        let mut axes = cutter.k.axes.clone();
        match &stage {
            None => {
                axes.remove(cutter.axis);
            }
            // A walk that only writes elements has no order among them.
            Some(s) if !reduces(s) => axes[cutter.axis] = Axis { kind: AxisKind::Parallel },
            Some(_) => {}
        }
        let kernel = Kernel {
            name: String::new(),
            axes,
            operands: Vec::new(),
            body: Vec::new(),
            stages: vec![0],
            stores: Vec::new(),
        };
        let piece = Piece { kernel, operands: Vec::new() };
        Builder { cutter, stage, piece, renamed: HashMap::new() }
    }

    /// Whether what an instruction comes to is known from the whole axis.
    fn is_known(&self, reduction: usize) -> bool {
        self.stage.as_ref().is_none_or(|s| !s.element.contains(&reduction))
    }

    fn push(&mut self, dtype: DType, kind: InstKind) -> InstId {
        self.piece.kernel.body.push(Inst { dtype, kind });
        InstId(self.piece.kernel.body.len() as u32 - 1)
    }

    fn copy(&mut self, id: usize) {
        let inst = &self.cutter.k.body[id];
        let new = match &inst.kind {
            InstKind::Reduce { .. } if self.is_known(id) => self.known(id, 0),
            InstKind::Part { of, component } if self.is_known(of.index()) => {
                self.known(of.index(), *component as usize)
            }
            InstKind::Index(a) => self.index(*a as usize),
            InstKind::Load(o) => {
                let operand = self.operand(Bound::Operand(*o), Role::In);
                self.push(inst.dtype, InstKind::Load(operand))
            }
            InstKind::LoadAt { operand, indices } => {
                let operand = self.operand(Bound::Operand(*operand), Role::In);
                let indices = indices.iter().map(|a| self.renamed[&a.index()]).collect();
                self.push(inst.dtype, InstKind::LoadAt { operand, indices })
            }
            InstKind::Reduce { combine, values } => self.reduction(id, *combine, values),
            InstKind::Const(_)
            | InstKind::Map(..)
            | InstKind::Rescue(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => {
                let mut kind = inst.kind.clone();
                for a in kind.args_mut() {
                    *a = self.renamed[&a.index()];
                }
                self.push(inst.dtype, kind)
            }
        };
        self.renamed.insert(id, new);
    }

    /// A component of what a reduction came to over the whole axis.
    fn known(&mut self, reduction: usize, component: usize) -> InstId {
        let state = self.cutter.of[&reduction];
        let dtype = self.cutter.states[state].dtypes[component];
        let operand = self.operand(Bound::State { state, component }, Role::In);
        self.push(dtype, InstKind::Load(operand))
    }

    /// The position along an axis of the whole.
    fn index(&mut self, axis: usize) -> InstId {
        let gone = self.stage.is_none() && axis > self.cutter.axis;
        let here = self.push(DType::I64, InstKind::Index((axis - usize::from(gone)) as u32));
        if axis != self.cutter.axis {
            return here;
        }
        let start = self.operand(Bound::Start, Role::In);
        let start = self.push(DType::I64, InstKind::Load(start));
        self.push(DType::I64, InstKind::Map(Op::Add, vec![here, start]))
    }

    /// A reduction of this walk, and its state as results.
    fn reduction(&mut self, id: usize, combine: Combine, values: &[InstId]) -> InstId {
        let state = self.cutter.of[&id];
        let State { dtypes, counted, .. } = self.cutter.states[state].clone();
        let mut values: Vec<InstId> = values.iter().map(|a| self.renamed[&a.index()]).collect();
        if let (true, Some(index)) = (counted, values.get_mut(1)) {
            *index = self.push(DType::I64, InstKind::Index(self.cutter.axis as u32));
        }
        self.push(dtypes[0], InstKind::Reduce { combine, values })
    }

    /// Stores the states of the walk's reductions; below all of them, as their components may be seen only there.
    fn store_states(&mut self) {
        let Some(stage) = self.stage.clone() else { return };
        for id in stage.element {
            let Some(&state) = self.cutter.of.get(&id) else { continue };
            let of = self.renamed[&id];
            for (component, dtype) in self.cutter.states[state].dtypes.clone().into_iter().enumerate() {
                let value = match component {
                    0 => of,
                    _ => self.push(dtype, InstKind::Part { of, component: component as u32 }),
                };
                let operand = self.operand(Bound::State { state, component }, Role::Out);
                self.piece.kernel.stores.push(Store { operand, value });
            }
        }
    }

    fn store(&mut self, store: Store) {
        let operand = self.operand(Bound::Operand(store.operand), Role::Out);
        let value = self.renamed[&store.value.index()];
        self.piece.kernel.stores.push(Store { operand, value });
    }

    /// The operand of the piece for this, read or written.
    fn operand(&mut self, bound: Bound, role: Role) -> OperandId {
        let there = self.piece.operands.iter().zip(&self.piece.kernel.operands);
        if let Some(at) = there.clone().position(|(b, o)| *b == bound && o.role == role) {
            return OperandId(at as u32);
        }
        let (k, axis) = (self.cutter.k, self.cutter.axis);
        let mut operand = match bound {
            Bound::Operand(o) => Operand { role, ..k.operands[o.index()].clone() },
            Bound::State { state, component } => {
                let inner = k.axes.iter().rposition(|a| a.kind == AxisKind::Parallel);
                let access = (0..k.axes.len()).map(|a| match a {
                    a if a == axis => Access::Zero,
                    a if Some(a) == inner => Access::Unit,
                    _ => Access::Strided,
                });
                let dtype = self.cutter.states[state].dtypes[component];
                Operand { dtype, role, access: access.collect(), gathers: 0 }
            }
            Bound::Start => {
                Operand { dtype: DType::I64, role, access: vec![Access::Zero; k.axes.len()], gathers: 0 }
            }
        };
        if self.stage.is_none() {
            operand.access.remove(axis);
        }
        self.piece.kernel.operands.push(operand);
        self.piece.operands.push(bound);
        OperandId(self.piece.kernel.operands.len() as u32 - 1)
    }

    fn finish(mut self, name: &str) -> Option<Piece> {
        self.store_states();
        self.piece.kernel.name = format!("{}_{name}", self.cutter.k.name);
        if self.piece.kernel.stores.is_empty() {
            return None;
        }
        debug_assert_eq!(verify::verify(&self.piece.kernel), Ok(()), "{}", self.piece.kernel);
        Some(self.piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::KernelBuilder;

    /// Two walks over one row: the sum of what moves with the position, then what depends on it, written where it was
    /// kept in between.
    fn staged() -> Kernel {
        let mut b = KernelBuilder::new("staged", &[AxisKind::Reduce]);
        let x = b.input(DType::F32, &[Access::Unit]);
        let out = b.output(DType::F32, &[Access::Unit]);
        let whole = b.output(DType::F32, &[Access::Zero]);
        let first = b.output(DType::I64, &[Access::Zero]);
        let row = b.scratch(DType::F32);
        let (v, i) = (b.load(x), b.index(0));
        let at = b.cast(i, DType::F32);
        let y = b.map(Op::Mul, &[v, at]);
        b.store(row, y);
        let sum = b.reduce(Combine::Sum, &[y]);
        let most = b.reduce(Combine::ArgMax, &[v, i]);
        let root = b.map(Op::Sqrt, &[sum]);
        let place = b.part(most, 1);
        b.store(whole, root);
        b.store(first, place);
        b.next_stage();
        let y = b.load(row);
        let z = b.map(Op::Div, &[y, root]);
        b.store(out, z);
        b.reduce(Combine::Max, &[z]);
        b.finish().unwrap()
    }

    #[test]
    fn a_kernel_is_cut_into_walks_and_points() {
        let split = split(&staged()).unwrap();
        let counted: Vec<bool> = split.states.iter().map(|s| s.counted).collect();
        assert_eq!((split.axis, split.walks.len(), counted), (0, 2, vec![false, true, false]));
        let pieces = split.walks.iter().chain(&split.point);
        let texts: Vec<String> = pieces.map(|p| format!("{}{:?}\n", p.kernel, p.operands)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_has_no_reduce_axis_is_not_cut() {
        let mut b = KernelBuilder::new("map", &[AxisKind::Parallel]);
        let x = b.input(DType::F32, &[Access::Unit]);
        let out = b.output(DType::F32, &[Access::Unit]);
        let v = b.load(x);
        b.store(out, v);
        assert_eq!(split(&b.finish().unwrap()), None);
    }
}
