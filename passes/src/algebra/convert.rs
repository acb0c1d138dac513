//! Between a region of a function and its e-graph.
//!
//! Each region is an e-graph of its own. Values from around it are leaves, of which the structure is known that the region has
//! found where they are made; a loop or a branch inside of it is one node
//! whose operands are, besides its own, the values that its regions take from here, so that they are there before it.

use super::extract::Choice;
use super::facts::{Facts, single};
use super::graph::Graph;
use super::lang::{Table, Tag, TensorLang};
use super::structure::Structure;
use egg::{EGraph, Id};
use matex_ir::tensor::{Func, GuardKind, Kind, Node, RegionId, TensorType, Type, ValueId};
use matex_ir::{DType, Dim, Span};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// For each loop and branch the values that its regions take from the region that it stands in.
type Captures = FxHashMap<ValueId, BTreeSet<ValueId>>;

/// What regions take from those around them.
pub(crate) struct Around {
    captures: Captures,
    /// The structure of such values, as far as their own regions were looked at.
    structures: FxHashMap<ValueId, Structure>,
}

impl Around {
    /// `None` for a function that the verifier refuses.
    pub(crate) fn of(func: &Func) -> Option<Around> {
        Some(Around { captures: captures(func)?, structures: FxHashMap::default() })
    }

    /// Whether regions inside of this one take values from it.
    pub(crate) fn takes_from(&self, func: &Func, region: RegionId) -> bool {
        func.region(region).nodes.iter().any(|v| self.captures.contains_key(v))
    }

    /// Keeps for the regions inside of one what its e-graph knows of the values that they take.
    pub(crate) fn learn(&mut self, func: &Func, region: RegionId, converted: &Converted) {
        let graph = &converted.graph;
        let taken = func.region(region).nodes.iter().filter_map(|v| self.captures.get(v)).flatten();
        for v in taken {
            let known = converted.class_of.get(v).map(|id| graph.facts(graph.egg.find(*id)).structure);
            self.structures.extend(known.map(|structure| (*v, structure)));
        }
    }
}

/// The regions of a function, each behind the one that it stands in.
pub(crate) fn outer_first(func: &Func) -> Vec<RegionId> {
    let mut depth = vec![usize::MAX; func.regions.len()];
    let mut open = vec![(Func::BODY, 0)];
    while let Some((region, at)) = open.pop() {
        let Some(place) = depth.get_mut(region.0 as usize).filter(|_| at < func.regions.len()) else {
            continue;
        };
        *place = at;
        let inner = func.region(region).nodes.iter().flat_map(|v| func.node(*v).kind.regions());
        open.extend(inner.map(|r| (r, at + 1)));
    }
    let mut regions: Vec<RegionId> = (0..func.regions.len() as u32).map(RegionId).collect();
    regions.sort_by_key(|r| depth[r.0 as usize]);
    regions
}

/// The region that each value is made in, and the loop or branch that owns each region.
struct Places {
    region_of: Vec<Option<RegionId>>,
    owner: Vec<Option<ValueId>>,
}

/// What the regions of a function take from those around them; `None` for a function that the verifier refuses.
fn captures(func: &Func) -> Option<Captures> {
    let mut places =
        Places { region_of: vec![None; func.nodes.len()], owner: vec![None; func.regions.len()] };
    for (i, region) in func.regions.iter().enumerate() {
        for v in region.params.iter().chain(&region.nodes) {
            *places.region_of.get_mut(v.0 as usize)? = Some(RegionId(i as u32));
        }
        for v in &region.nodes {
            for inner in func.nodes[v.0 as usize].kind.regions() {
                *places.owner.get_mut(inner.0 as usize)? = Some(*v);
            }
        }
    }
    let mut captures = Captures::default();
    for (i, region) in func.regions.iter().enumerate().skip(1) {
        let used = region.nodes.iter().flat_map(|v| &func.nodes[v.0 as usize].args).chain(&region.results);
        for v in used {
            let home = (*places.region_of.get(v.0 as usize)?)?;
            let mut at = RegionId(i as u32);
            // Up from loop to loop, until the one that stands where the value is made.
            while at != home {
                let owner = places.owner[at.0 as usize]?;
                let outside = places.region_of[owner.0 as usize]?;
                if outside == home && !captures.entry(owner).or_default().insert(*v) {
                    break;
                }
                at = outside;
            }
        }
    }
    Some(captures)
}

/// A region as an e-graph.
pub(crate) struct Converted {
    pub(crate) graph: Graph,
    /// The class of every value of the region, and of those from around that it uses.
    pub(crate) class_of: FxHashMap<ValueId, Id>,
    /// The nodes of the region as they were added, with their values.
    pub(crate) added: Vec<(TensorLang, ValueId)>,
    /// Which value a leaf is, by the entry of its node.
    pub(crate) leaves: FxHashMap<u32, ValueId>,
}

/// The set of tags in a region.
pub(crate) fn tags(func: &Func, region: RegionId) -> u128 {
    let nodes = func.region(region).nodes.iter();
    nodes.fold(0, |all, v| all | crate::rules::bit(Tag::of(&func.node(*v).kind)))
}

/// Makes the e-graph of a region.
pub(crate) fn build(func: &Func, region: RegionId, around: &Around, explain: bool) -> Converted {
    let equal = func.guards.iter().filter(|g| g.kind == GuardKind::Equal);
    let table = Table::new(equal.map(|g| (g.left.clone(), g.right.clone())).collect());
    let egg = EGraph::new(table);
    let egg = if explain { egg.with_explanations_enabled() } else { egg };
    let mut out = Converted {
        graph: Graph { egg },
        class_of: FxHashMap::default(),
        added: Vec::new(),
        leaves: FxHashMap::default(),
    };
    let body = func.region(region);
    for v in &body.params {
        out.leaf(func, *v, around);
    }
    for v in &body.nodes {
        let node = func.node(*v);
        let inner = around.captures.get(v).into_iter().flatten();
        let args: SmallVec<[Id; 3]> =
            node.args.iter().chain(inner).map(|a| out.operand(func, *a, around)).collect();
        out.node(node, *v, args);
    }
    for v in &body.results {
        out.operand(func, *v, around);
    }
    out
}

impl Converted {
    fn operand(&mut self, func: &Func, v: ValueId, around: &Around) -> Id {
        match self.class_of.get(&v) {
            Some(id) => *id,
            None => self.leaf(func, v, around),
        }
    }

    fn node(&mut self, node: &Node, v: ValueId, args: SmallVec<[Id; 3]>) {
        let tag = Tag::of(&node.kind);
        let table = &mut self.graph.egg.analysis;
        let entry = if let Tag::Map(_) = tag { 0 } else { table.entry(&node.kind, &node.ty) };
        table.origin = node.origin;
        let made = TensorLang { tag, entry, args };
        self.added.push((made.clone(), v));
        let id = self.graph.egg.add_uncanonical(made);
        self.class_of.insert(v, id);
    }

    /// A value from around the region. Its number is that of a parameter, which no region has nodes for.
    fn leaf(&mut self, func: &Func, v: ValueId, around: &Around) -> Id {
        let node = func.node(v);
        let table = &mut self.graph.egg.analysis;
        let entry = table.entry(&Kind::Param(v.0), &node.ty);
        let constant =
            |node: &Node| if let Kind::Constant(literal) = &node.kind { single(literal) } else { None };
        let repeated = if let Kind::Broadcast { .. } = node.kind { node.args.first() } else { None };
        let splat = constant(repeated.map_or(node, |a| func.node(*a)));
        let ty = table.type_number(&node.ty);
        let structure = around.structures.get(&v).copied().unwrap_or_default();
        let facts = Facts { ty, splat, structure, origin: Span::default() };
        table.set_leaf(entry, facts);
        self.leaves.insert(entry, v);
        let leaf = TensorLang { tag: Tag::Leaf, entry, args: SmallVec::new() };
        self.added.push((leaf.clone(), v));
        let id = self.graph.egg.add_uncanonical(leaf);
        self.class_of.insert(v, id);
        id
    }
}

/// Writes the chosen nodes of a region into a function: the nodes of the region, and for each of its values that is
/// still there the one that it is now.
pub(crate) struct Emitter<'a> {
    pub(crate) func: &'a mut Func,
    pub(crate) converted: &'a Converted,
    pub(crate) choice: &'a Choice,
    /// The values of classes that are there already.
    values: FxHashMap<Id, ValueId>,
    nodes: Vec<ValueId>,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(func: &'a mut Func, converted: &'a Converted, choice: &'a Choice) -> Emitter<'a> {
        Emitter { func, converted, choice, values: FxHashMap::default(), nodes: Vec::new() }
    }

    /// Writes the region anew, in the order of the program as far as that goes. `replaced` gets what each value of the
    /// region has become. `None` when a class has no node, which is a bug.
    pub(crate) fn region(
        mut self,
        region: RegionId,
        replaced: &mut FxHashMap<ValueId, ValueId>,
    ) -> Option<()> {
        let old = self.func.region(region).clone();
        let needed = self.needed(&old.results)?;
        for v in &old.nodes {
            let class = self.class(*v)?;
            if needed.contains_key(&class) {
                self.emit(class, &needed)?;
            }
        }
        for v in &old.results {
            let class = self.class(*v)?;
            self.emit(class, &needed)?;
        }
        // Values from around the region stay what they are, even where one of its own is equal to them.
        for v in &old.nodes {
            if let Some(new) = self.values.get(&self.class(*v)?) {
                replaced.insert(*v, *new);
            }
        }
        // What was there before is gone: a loop that stayed would own the regions of the one in its place, too.
        for v in &old.nodes {
            let node = &mut self.func.nodes[v.0 as usize];
            (node.kind, node.ty) = (Kind::Size(Dim::ZERO), Type::Tensor(TensorType::scalar(DType::I64)));
            node.args.clear();
        }
        let results =
            old.results.iter().map(|v| Some(*self.values.get(&self.class(*v)?)?)).collect::<Option<_>>()?;
        let region = &mut self.func.regions[region.0 as usize];
        (region.nodes, region.results) = (self.nodes, results);
        Some(())
    }

    fn class(&self, v: ValueId) -> Option<Id> {
        self.converted.class_of.get(&v).map(|id| self.converted.graph.egg.find(*id))
    }

    /// The classes that the results need, with the place in the source of who needs them first.
    fn needed(&self, results: &[ValueId]) -> Option<FxHashMap<Id, Span>> {
        let graph = &self.converted.graph;
        let mut needed = FxHashMap::default();
        let mut open: Vec<(Id, Span)> = Vec::new();
        for v in results {
            open.push((self.class(*v)?, Span::default()));
        }
        while let Some((class, user)) = open.pop() {
            let own = graph.facts(class).origin;
            let origin = if own == Span::default() { user } else { own };
            if needed.insert(class, origin).is_some() {
                continue;
            }
            let node = self.choice.node(graph, class)?;
            open.extend(node.args.iter().map(|a| (graph.egg.find(*a), origin)));
        }
        Some(needed)
    }

    /// Makes the value of a class after those that it needs.
    fn emit(&mut self, class: Id, needed: &FxHashMap<Id, Span>) -> Option<()> {
        let graph = &self.converted.graph;
        let mut stack: Vec<(Id, usize)> = vec![(class, 0)];
        while let Some((class, next)) = stack.pop() {
            if self.values.contains_key(&class) {
                continue;
            }
            let node = self.choice.node(graph, class)?;
            if let Some(arg) = node.args.get(next) {
                stack.push((class, next + 1));
                stack.push((graph.egg.find(*arg), 0));
                continue;
            }
            let value = self.value(class, node, needed.get(&class).copied().unwrap_or_default())?;
            self.values.insert(class, value);
        }
        Some(())
    }

    fn value(&mut self, class: Id, node: &TensorLang, origin: Span) -> Option<ValueId> {
        let graph = &self.converted.graph;
        if node.tag == Tag::Leaf {
            return self.converted.leaves.get(&node.entry).copied();
        }
        let mut args: Vec<ValueId> =
            node.args.iter().map(|a| self.values.get(&graph.egg.find(*a)).copied()).collect::<Option<_>>()?;
        let kind = graph.kind(node);
        let ty = if let Tag::Map(_) = node.tag {
            graph.full_type(class).clone()
        } else {
            graph.egg.analysis.entry_type(node.entry).clone()
        };
        // Behind the operands of a loop or a branch stand the values that its regions take.
        let own = own_operands(&kind, &ty, args.len());
        args.truncate(own);
        let id = ValueId(self.func.nodes.len() as u32);
        self.func.nodes.push(Node { kind, args, ty, origin });
        self.nodes.push(id);
        Some(id)
    }
}

/// How many operands of a node are its own.
fn own_operands(kind: &Kind, ty: &Type, all: usize) -> usize {
    let carried = match ty {
        Type::Tuple(types) => types.len(),
        Type::Tensor(_) => 0,
    };
    if let Kind::For(_) = kind {
        carried + 2
    } else if let Kind::While(..) = kind {
        carried
    } else if let Kind::If(..) = kind {
        1
    } else {
        all
    }
}
