//! What a kernel would be that computes one value: whether there is such a kernel, and what it costs.

use super::graph::{AXES, Edge, Graph, Item, Work};
use crate::cost;
use matex_ir::Dim;
use std::collections::{BTreeMap, HashMap};

/// The most nodes that one kernel computes. Its code grows with them, and the registers that it keeps values in do not.
pub const MAX_NODES: usize = 192;

/// The most tensors that one kernel reads.
pub const MAX_OPERANDS: usize = 24;

/// The most walks over its reduce axis that a kernel takes.
pub const MAX_STAGES: u32 = 6;

/// Why values cannot be computed by one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Two reductions run over axes of other extents.
    Axes,
    /// A reduction would be done again at points where it has the same result.
    Repeated,
    /// A reduction over what another one gives differently at each of its elements.
    Nested,
    /// There would be too many nodes, operands or stages.
    Large,
}

impl Obstacle {
    /// The reason in words, as explanations have it.
    pub fn text(self) -> &'static str {
        match self {
            Obstacle::Axes => "the reductions run over other axes",
            Obstacle::Repeated => "a reduction would be done again at every element",
            Obstacle::Nested => "a reduction inside another one",
            Obstacle::Large => "the kernel would be too large",
        }
    }
}

/// What a kernel costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Price {
    /// Simple operations.
    pub(super) ops: f64,
    /// Bytes that it reads and writes.
    pub(super) bytes: f64,
    /// Nanoseconds.
    pub(super) time: f64,
}

/// The place of a value that has the axes of its kernel.
fn whole(item: &Item) -> Place {
    let wide = (0..item.extents.len().min(AXES)).filter(|a| item.ones >> a & 1 == 0);
    let mut place = [0u8; AXES];
    wide.for_each(|axis| place[axis] = 1 << axis);
    u64::from_le_bytes(place)
}

/// For each axis of a value the axes of a kernel along which it moves, a byte each.
type Place = u64;

fn union(place: Place) -> u8 {
    place.to_le_bytes().into_iter().fold(0, |a, b| a | b)
}

/// Where the operand lies whose user lies here. `over` are the kernel's reduce axes.
fn below(place: Place, edge: &Edge, over: &[usize]) -> Place {
    let user = place.to_le_bytes();
    let mut below = [0u8; AXES];
    for (axis, related) in edge.axes.iter().enumerate() {
        // Mostly one axis or none.
        let mut left = *related;
        while left != 0 {
            below[axis] |= user[left.trailing_zeros() as usize];
            left &= left - 1;
        }
    }
    for (axis, bit) in edge.over.iter().zip(over) {
        if let (Some(place), true) = (below.get_mut(*axis), *bit < AXES) {
            *place |= 1 << bit;
        }
    }
    u64::from_le_bytes(below)
}

/// Spreads keys that no stranger chooses the collisions of, many times faster than the hash for those.
#[derive(Clone, Copy, Default)]
struct Spread(u64);

impl std::hash::BuildHasher for Spread {
    type Hasher = Spread;
    fn build_hasher(&self) -> Spread {
        Spread(0)
    }
}

impl std::hash::Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64((*b).into()));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// Something that a kernel does at every place of some of its axes.
struct Entry {
    axes: u8,
    ops: f64,
    /// The bytes of its value; none for a truth value that stays in registers.
    size: Option<usize>,
    /// Whether it has no vector form.
    scalar: bool,
}

/// A kernel that is being looked at.
pub(super) struct Kernel<'a, 'f> {
    graph: &'a Graph<'f>,
    stored: &'a [bool],
    /// The values that it writes; the first one has its axes.
    roots: Vec<usize>,
    /// What was met, with the number of walks after which it is known.
    seen: HashMap<(usize, Place), u32, Spread>,
    /// The extents of the kernel's axes; those that are only reduced stand behind the root's.
    extents: Vec<f64>,
    /// The axes of the root's points: all wide ones, but those that its reductions run over.
    points: u8,
    /// The axes that reductions run over, once there is one, and their extents.
    over: Option<(Vec<usize>, Vec<&'f Dim>)>,
    nodes: usize,
    /// Bytes of each value in memory that is read.
    reads: BTreeMap<usize, f64>,
    operands: usize,
    work: Vec<Entry>,
    /// Nanoseconds of products of matrices.
    products: f64,
    walks: u32,
}

impl<'a, 'f> Kernel<'a, 'f> {
    /// The price of the kernel that computes some values and writes them, when `stored` are in memory.
    pub(super) fn price(
        graph: &'a Graph<'f>,
        stored: &'a [bool],
        roots: &[usize],
    ) -> Result<Price, Obstacle> {
        let mut roots = roots.to_vec();
        // The one with the most axes has those of the kernel.
        roots.sort_by_key(|r| (std::cmp::Reverse(graph.items[*r].extents.len()), *r));
        let Some(first) = roots.first().copied() else { return Ok(Price::default()) };
        let item = &graph.items[first];
        let place = whole(item);
        let mut kernel = Kernel {
            graph,
            stored,
            roots,
            seen: HashMap::with_capacity_and_hasher(32, Spread::default()),
            extents: item.extents.clone(),
            points: union(place),
            over: None,
            nodes: 0,
            reads: BTreeMap::new(),
            operands: 0,
            work: Vec::new(),
            products: 0.0,
            walks: 0,
        };
        let mut walks = kernel.visit(first, place)?;
        for root in kernel.roots.clone().into_iter().skip(1) {
            let place = kernel.place_of(first, root)?;
            walks = walks.max(kernel.visit(root, place)?);
        }
        let over = kernel.over.as_ref().map(|(axes, _)| axes.as_slice()).unwrap_or_default();
        let inside = over.iter().any(|a| *a < item.extents.len());
        kernel.walks = walks + u32::from(inside);
        kernel.operands += kernel.roots.len();
        if kernel.walks > MAX_STAGES || kernel.operands > MAX_OPERANDS {
            return Err(Obstacle::Large);
        }
        Ok(kernel.total(item))
    }

    /// Where a further value of the kernel lies: it has its axes, or those of its points.
    fn place_of(&self, first: usize, root: usize) -> Result<Place, Obstacle> {
        let (base, own) = (self.graph.dims(first), self.graph.dims(root));
        if base == own {
            return Ok(whole(&self.graph.items[root]));
        }
        let points: Vec<usize> = (0..base.len().min(AXES)).filter(|a| self.points >> a & 1 == 1).collect();
        let wide: Vec<usize> = (0..own.len()).filter(|a| !own[*a].is(1)).collect();
        let alike = points.len() == wide.len() && points.iter().zip(&wide).all(|(a, b)| base[*a] == own[*b]);
        // Without a reduction there is nothing that only points have.
        if !alike || own.len() > AXES || (self.over.is_none() && points.len() != base.len()) {
            return Err(Obstacle::Axes);
        }
        let mut place = [0u8; AXES];
        points.iter().zip(&wide).for_each(|(a, b)| place[*b] = 1 << a);
        Ok(u64::from_le_bytes(place))
    }

    /// Looks at a value at a place, and gives the number of walks over the reduce axis after which it is known.
    fn visit(&mut self, node: usize, place: Place) -> Result<u32, Obstacle> {
        if let Some(walks) = self.seen.get(&(node, place)) {
            return Ok(*walks);
        }
        if self.seen.len() > 4 * MAX_NODES {
            return Err(Obstacle::Large);
        }
        // Entered before it is left, so that the depth of this is bounded too.
        self.seen.insert((node, place), 0);
        let item = &self.graph.items[node];
        let there = !self.roots.contains(&node) && (self.stored[node] || item.work == Work::Memory);
        let walks = match item.work {
            _ if there => {
                self.read(node, item, place)?;
                0
            }
            Work::Memory => {
                self.read(node, item, place)?;
                0
            }
            Work::Free => 0,
            Work::View => self.operands(item, place, &[])?,
            Work::Element(op) => {
                self.compute(item, op.ops, op.scalar, place)?;
                self.operands(item, place, &[])?
            }
            Work::Gather => {
                self.compute(item, 4.0, true, place)?;
                self.gather(item, place)?
            }
            Work::Fold => self.fold(node, item, place)? + 1,
            Work::Whole if item.product => {
                self.products += self.product(item);
                self.operands(item, place, &[])?
            }
            Work::Whole => {
                self.compute(item, 8.0, true, place)?;
                self.operands(item, place, &[])?
            }
        };
        self.seen.insert((node, place), walks);
        Ok(walks)
    }

    fn operands(&mut self, item: &Item, place: Place, over: &[usize]) -> Result<u32, Obstacle> {
        let mut walks = 0;
        for edge in &item.edges {
            walks = walks.max(self.visit(edge.node, below(place, edge, over))?);
        }
        Ok(walks)
    }

    /// How long a product of matrices takes: each element of the result is a sum along the axes that both factors share.
    fn product(&self, item: &Item) -> f64 {
        let Some(edge) = item.edges.first() else { return 0.0 };
        let factor = &self.graph.items[edge.node].extents;
        let terms: f64 = edge.over.iter().filter_map(|axis| factor.get(*axis)).product();
        self.graph.costs.product_time(item.elements() * terms, item.size)
    }

    /// The memory that is read at places that data tells, and the index.
    fn gather(&mut self, item: &Item, place: Place) -> Result<u32, Obstacle> {
        let touched = self.evaluations(union(place)) * item.size as f64;
        let Some((from, index)) = item.edges.split_first() else { return Ok(0) };
        let held = self.graph.items[from.node].elements() * item.size as f64;
        let read = self.reads.entry(from.node).or_insert(0.0);
        *read = read.max(touched.min(held));
        self.operands += 1;
        let mut walks = 0;
        for edge in index {
            walks = walks.max(self.visit(edge.node, below(place, edge, &[]))?);
        }
        Ok(walks)
    }

    fn fold(&mut self, node: usize, item: &Item, place: Place) -> Result<u32, Obstacle> {
        let cover = union(place);
        let Some(edge) = item.edges.first() else { return Ok(0) };
        let from = self.graph.dims(edge.node);
        let is_wide = |a: &usize| from.get(*a).is_some_and(|d| !d.is(1));
        let wide: Vec<usize> = edge.over.iter().copied().filter(is_wide).collect();
        let dims: Vec<&'f Dim> = wide.iter().map(|a| &from[*a]).collect();
        let axes = match &self.over {
            Some((axes, known)) => {
                if *known != dims {
                    return Err(Obstacle::Axes);
                }
                axes.clone()
            }
            None => {
                let axes = self.reduce_axes(node, cover, edge.node, &wide, &dims)?;
                self.over = Some((axes.clone(), dims));
                axes
            }
        };
        let reduced = axes.iter().fold(0u8, |bits, a| bits | 1u8.checked_shl(*a as u32).unwrap_or(0));
        if cover & reduced != 0 {
            return Err(Obstacle::Nested);
        }
        if !self.roots.contains(&node) && cover & self.points != self.points {
            return Err(Obstacle::Repeated);
        }
        // The reduction is one operation for each element.
        let every = self.points | reduced;
        self.work.push(Entry { axes: every, ops: 1.0, size: Some(item.size), scalar: false });
        self.nodes += 1;
        let mut walks = 0;
        for edge in &item.edges {
            let mut edge = edge.clone();
            edge.over.retain(|a| !self.graph.dims(edge.node).get(*a).is_some_and(|d| d.is(1)));
            walks = walks.max(self.visit(edge.node, below(place, &edge, &axes))?);
        }
        Ok(walks)
    }

    /// The axes of the kernel that a first reduction runs over: those of the root that it does not move along, where its
    /// result is used at every element of them, else further ones.
    fn reduce_axes(
        &mut self,
        node: usize,
        cover: u8,
        from: usize,
        wide: &[usize],
        dims: &[&Dim],
    ) -> Result<Vec<usize>, Obstacle> {
        let missing: Vec<usize> = (0..AXES).filter(|a| (self.points & !cover) >> a & 1 == 1).collect();
        if self.roots.contains(&node) || missing.is_empty() {
            let first = self.extents.len();
            self.extents.extend(wide.iter().map(|a| self.graph.items[from].extents[*a]));
            if self.extents.len() > AXES {
                return Err(Obstacle::Large);
            }
            return Ok((first..self.extents.len()).collect());
        }
        let root = self.graph.dims(self.roots[0]);
        if missing.len() != dims.len() || missing.iter().zip(dims).any(|(a, d)| root[*a] != **d) {
            return Err(Obstacle::Repeated);
        }
        self.points &= cover;
        Ok(missing)
    }

    /// How often something is computed that moves along these axes: what is the same along the innermost ones is computed
    /// once for all of them. Axes that are reduced are inside of all others.
    fn evaluations(&self, axes: u8) -> f64 {
        let last = (0..AXES).rev().find(|a| (axes & self.points) >> a & 1 == 1);
        let points = last.map_or(0, |last| self.points & (0xff >> (7 - last)));
        let inner = axes & !self.points;
        let all = if inner == 0 { points } else { self.points | inner };
        let extent =
            |a: usize| if all >> a & 1 == 1 { self.extents.get(a).copied().unwrap_or(1.0) } else { 1.0 };
        (0..AXES).map(extent).product()
    }

    fn compute(&mut self, item: &Item, ops: f64, scalar: bool, place: Place) -> Result<(), Obstacle> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Obstacle::Large);
        }
        let size = (!item.truth).then_some(item.size);
        self.work.push(Entry { axes: union(place), ops, size, scalar });
        Ok(())
    }

    fn read(&mut self, node: usize, item: &Item, place: Place) -> Result<(), Obstacle> {
        let axes = union(place);
        let touched: f64 = (0..AXES)
            .filter(|a| axes >> a & 1 == 1)
            .map(|a| self.extents.get(a).copied().unwrap_or(1.0))
            .product();
        let bytes = touched.min(item.elements().max(1.0)) * item.size as f64;
        let read = self.reads.entry(node).or_insert(0.0);
        *read = read.max(bytes);
        self.work.push(Entry { axes, ops: 0.5, size: Some(item.size), scalar: false });
        self.operands += 1;
        Ok(())
    }

    /// The bytes of the products of matrices that are computed just before, row by row, and read while they are in a cache.
    fn handed_on(&self) -> f64 {
        let follows = |node: &usize| {
            let mut places = self.seen.keys().filter(|(n, _)| n == node);
            self.graph.items[*node].product
                && self.points & 1 == 1
                && places.all(|(_, place)| place.to_le_bytes()[0] == 1)
                && self.graph.only_needed_in(*node, &self.roots, self.stored)
        };
        self.reads.iter().filter(|(node, _)| follows(node)).map(|(_, bytes)| bytes).sum()
    }

    fn total(&self, root: &Item) -> Price {
        let read: f64 = self.reads.values().sum();
        let items = || self.roots.iter().map(|r| &self.graph.items[*r]);
        let written: f64 = items().map(|i| i.elements() * i.size as f64).sum();
        let bytes = read + written;
        let hot = self.handed_on();
        let costs = &self.graph.costs;
        let mut moved =
            (bytes - hot) / costs.bandwidth(bytes) + hot / costs.bandwidth(cost::PANEL.min(bytes));
        if self.walks > 1 {
            // Further walks find the row in a cache, when it fits in one.
            let rows = self.evaluations(self.points).max(1.0);
            let again = f64::from(self.walks - 1) * read;
            moved += again / costs.bandwidth(bytes / rows);
        }
        let everything = self.work.iter().map(|e| e.axes).fold(self.points, |a, b| a | b);
        let inner = everything & !self.points;
        let last = (0..AXES).rev().find(|a| self.points >> a & 1 == 1).map_or(0, |a| 1 << a);
        let innermost = if inner == 0 { last } else { inner };
        // Vectors lie along the innermost axis, and what moves along it has to have one width.
        let moving = || self.work.iter().filter(|e| e.axes & innermost != 0);
        let elements = inner == 0 || innermost < 1 << root.extents.len();
        let stored = items().filter(|i| elements && i.extents.len() == root.extents.len()).map(|i| i.size);
        let mut sizes = moving().filter_map(|e| e.size).chain(stored);
        let width = sizes.next().unwrap_or(root.size);
        let vector = sizes.all(|s| s == width) && !moving().any(|e| e.scalar);
        let (mut ops, mut time) = (0.0, self.products);
        for entry in &self.work {
            let done = entry.ops * self.evaluations(entry.axes);
            let size = entry.size.unwrap_or(width);
            ops += done;
            time += done / costs.rate(size, vector);
        }
        Price { ops, bytes, time: time.max(moved) + costs.launch }
    }
}
