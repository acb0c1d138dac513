//! Which values are put into memory, and which are computed inside the kernels that need them.
//!
//! A kernel computes one value that is put into memory, with everything that it needs and that is not there: maps, views
//! and reductions over one space of points. So a plan is fixed by the set of the values in memory. `kernel` says
//! whether there is a kernel for a value and what it costs, `sweep` looks for the cheapest set, and `groups` puts
//! kernels together that read the same.

mod graph;
mod groups;
mod kernel;
mod operands;
mod sweep;
#[cfg(test)]
mod tests;

pub use kernel::{MAX_NODES, MAX_OPERANDS, MAX_STAGES, Obstacle};
pub use sweep::Refusal;

use crate::cost::CostModel;
use crate::plan::{Apart, OpSite};
use crate::sizes::Sizes;
use graph::Graph;
use groups::Groups;
use matex_ir::tensor::{Func, Kind, Node, ReduceOp, ScanOp, ValueId};
use sweep::Sweep;

/// The choice for a function.
#[derive(Clone, Debug, Default)]
pub struct Fusion {
    stored: Vec<bool>,
    captured: Vec<bool>,
    /// The values that are written together; each list rises.
    groups: Vec<Vec<ValueId>>,
    /// The values that stayed in memory though they need not, and why.
    pub refusals: Vec<(ValueId, Refusal)>,
    /// Whether kernels follow matrix products row by row.
    pub joins: bool,
    /// Whether what computes operands of matrix products runs with them.
    pub brings: bool,
    /// Kernels that were priced to find the choice.
    pub priced: usize,
    /// What the plan was expected to take, in nanoseconds.
    pub time: f64,
}

impl Fusion {
    /// Whether the value is put into memory where its node stands.
    pub fn is_stored(&self, v: ValueId) -> bool {
        self.stored.get(v.0 as usize).copied().unwrap_or(true)
    }

    /// The values that one kernel writes together with this one, itself included; none when it is alone.
    pub fn group(&self, v: ValueId) -> Option<&[ValueId]> {
        self.groups.iter().find(|g| g.contains(&v)).map(Vec::as_slice)
    }

    /// Whether a loop or a branch inside needs the value.
    pub fn is_captured(&self, v: ValueId) -> bool {
        self.captured.get(v.0 as usize).copied().unwrap_or(true)
    }
}

impl Fusion {
    /// What stayed in memory, and why, as explanations have it.
    pub fn apart(&self, func: &Func) -> Vec<Apart> {
        let apart = |(v, why): &(ValueId, Refusal)| {
            let why = match why {
                Refusal::Impossible(obstacle) => obstacle.text().to_owned(),
                Refusal::Dearer(more) => format!("the plan would take {more:.0} ns more"),
            };
            let together = self.group(*v).is_some();
            op_site(func, *v).filter(|_| self.is_stored(*v) && !together).map(|op| Apart { op, why })
        };
        self.refusals.iter().filter_map(apart).collect()
    }
}

/// The operation of a node that computes something.
pub(crate) fn op_site(func: &Func, v: ValueId) -> Option<OpSite> {
    let node = func.node(v);
    let name = match &node.kind {
        Kind::Map(op) => op.name(),
        Kind::Cast => "cast",
        Kind::Iota { .. } => "arange",
        Kind::Gather { .. } | Kind::GatherAlong { .. } => "gather",
        Kind::Reduce { op, .. } => match op {
            ReduceOp::Sum => "sum",
            ReduceOp::Prod => "prod",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
            ReduceOp::Any => "any",
            ReduceOp::All => "all",
            ReduceOp::ArgMax => "argmax",
            ReduceOp::ArgMin => "argmin",
        },
        Kind::Scan { op, .. } => match op {
            ScanOp::Sum => "cumsum",
            ScanOp::Prod => "cumprod",
            ScanOp::Max => "cummax",
            ScanOp::Min => "cummin",
        },
        Kind::Dot { .. } => "dot",
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Constant(_)
        | Kind::Size(_)
        | Kind::Bitcast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::Check { .. }
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => return None,
    };
    Some(OpSite { name: name.to_owned(), origin: node.origin })
}

/// Whether all operands are values. Lowering says what is wrong with a function of which that is not so.
fn is_sound(func: &Func) -> bool {
    let exists = |v: &ValueId| (v.0 as usize) < func.nodes.len();
    func.nodes.iter().all(|n| n.args.iter().all(exists))
}

/// Every op computes its value into memory.
pub fn nothing(func: &Func) -> Fusion {
    let captured = captured(func);
    if !is_sound(func) {
        return Fusion::default();
    }
    let stored = Graph::new(func, &Sizes::nominal(), CostModel::FIXED, &captured)
        .items
        .iter()
        .map(|i| i.computes())
        .collect();
    Fusion { stored, captured, ..Fusion::default() }
}

/// The cheapest choice that is found for these sizes, on a machine of these constants.
pub fn choose(func: &Func, sizes: &Sizes, costs: CostModel) -> Fusion {
    if !is_sound(func) {
        return Fusion::default();
    }
    let captured = captured(func);
    let graph = Graph::new(func, sizes, costs, &captured);
    let (mut sweep, refusals) = Sweep::run(&graph, sizes);
    let time = sweep.total().time;
    let refusals = refusals.into_iter().map(|(v, why)| (ValueId(v as u32), why)).collect();
    let Sweep { mut stored, priced, .. } = sweep;
    let groups = Groups::find(&graph, &mut stored, &captured);
    let groups = groups.into_iter().map(|g| g.into_iter().map(|v| ValueId(v as u32)).collect()).collect();
    Fusion { stored, captured, groups, refusals, joins: true, brings: false, priced, time }
}

/// Whether a value is as good as its operand: one simple operation on the elements of a parameter, which no region that needs
/// it has to find in memory of its own.
fn is_at_hand(func: &Func, node: &Node) -> bool {
    let Kind::Map(op) = &node.kind else { return false };
    let given = |v: &ValueId| matches!(func.node(*v).kind, Kind::Param(_)) && func.ty(*v).dtype.size() > 1;
    let [operand] = node.args.as_slice() else { return false };
    let cost = CostModel::FIXED.of_op(*op, func.ty(*operand).dtype);
    given(operand) && cost.ops <= 1.0 && !cost.scalar
}

/// For each value whether a region inside of its own needs it in memory.
fn captured(func: &Func) -> Vec<bool> {
    let mut home = vec![None; func.nodes.len()];
    for (r, region) in func.regions.iter().enumerate() {
        for v in region.params.iter().chain(&region.nodes) {
            if let Some(home) = home.get_mut(v.0 as usize) {
                *home = Some(r);
            }
        }
    }
    let mut captured = vec![false; func.nodes.len()];
    let at_hand: Vec<bool> = func.nodes.iter().map(|n| is_at_hand(func, n)).collect();
    let mut used = |by: Option<usize>, v: &ValueId| {
        let v = v.0 as usize;
        if let Some(place) = captured.get_mut(v) {
            *place |= home[v] != by && !at_hand[v];
        }
    };
    for (i, node) in func.nodes.iter().enumerate() {
        node.args.iter().for_each(|a| used(home[i], a));
    }
    for (r, region) in func.regions.iter().enumerate() {
        region.results.iter().for_each(|v| used(Some(r), v));
    }
    captured
}
