//! A piece of a function that has been taken out of it, to be put back in another form.

use crate::tensor::{Builder, Kind, Mark, Node, Region, RegionId, TensorType, Type, ValueId};

/// A region that has been taken out of a function under construction, with everything in it.
///
/// Values made before the region began are captured: they keep their numbers, and stand for themselves. The others
/// exist in here only, until a transform makes nodes of them.
#[derive(Clone, Debug)]
pub struct Body {
    base: u32,
    region_base: u32,
    nodes: Vec<Node>,
    regions: Vec<Region>,
    root: Region,
}

impl Body {
    /// Takes a closed region, opened at the mark, out of the function that is being built. Guards stay.
    pub fn take(b: &mut Builder, mark: &Mark, region: RegionId) -> Body {
        let root = b.func().region(region).clone();
        let (base, region_base) = mark.sizes();
        let (nodes, regions) = b.take_back(mark);
        let mut body = Body { base, region_base, nodes, regions, root };
        body.prune();
        body
    }

    /// Drops what the results do not need, so that no error can come of it.
    fn prune(&mut self) {
        let mut needed = vec![false; self.nodes.len()];
        let mut work = self.root.results.clone();
        while let Some(v) = work.pop() {
            let Some(i) = self.index(v).filter(|i| !needed[*i]) else { continue };
            needed[i] = true;
            work.extend(&self.nodes[i].args);
            for r in self.nodes[i].kind.regions() {
                work.extend(&self.region(r).results);
            }
        }
        let base = self.base;
        let kept = |v: &ValueId| needed.get(v.0.wrapping_sub(base) as usize).copied().unwrap_or(true);
        self.root.nodes.retain(kept);
        self.regions.iter_mut().for_each(|r| r.nodes.retain(kept));
    }

    /// The parameters of the region.
    pub fn params(&self) -> &[ValueId] {
        &self.root.params
    }

    /// What the region gives.
    pub fn results(&self) -> &[ValueId] {
        &self.root.results
    }

    /// How many values it has.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The type of a value, captured or not.
    pub fn type_of(&self, b: &Builder, v: ValueId) -> Type {
        self.node(v).map_or_else(|| b.func().node(v).ty.clone(), |n| n.ty.clone())
    }

    pub(super) fn root(&self) -> &Region {
        &self.root
    }

    pub(super) fn region(&self, r: RegionId) -> &Region {
        let index = (r.0.wrapping_sub(self.region_base)) as usize;
        self.regions.get(index).unwrap_or(&self.root)
    }

    /// The node of a value that is not captured.
    pub(super) fn node(&self, v: ValueId) -> Option<&Node> {
        self.nodes.get(self.index(v)?)
    }

    /// All values that are not captured, with their nodes.
    pub(super) fn values(&self) -> impl Iterator<Item = (ValueId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (ValueId(self.base + i as u32), n))
    }

    /// The place of a value among those that are not captured.
    pub(super) fn index(&self, v: ValueId) -> Option<usize> {
        v.0.checked_sub(self.base).map(|i| i as usize).filter(|i| *i < self.nodes.len())
    }

    /// The type of a value, captured or not, that is one tensor.
    pub(super) fn ty(&self, b: &Builder, v: ValueId) -> TensorType {
        match self.node(v).map(|n| &n.ty) {
            Some(Type::Tensor(t)) => t.clone(),
            Some(Type::Tuple(ts)) => {
                ts.first().cloned().unwrap_or_else(|| TensorType::scalar(crate::DType::Bool))
            }
            None => b.ty(v).clone(),
        }
    }

    /// Values that a region and the regions in it use and that were made outside of it, in the order of their numbers;
    /// captured ones are left out.
    pub(super) fn free(&self, region: &Region) -> Vec<ValueId> {
        let mut inside = vec![false; self.nodes.len()];
        let mut used = vec![false; self.nodes.len()];
        let mut open = vec![region];
        while let Some(r) = open.pop() {
            for v in r.params.iter().chain(&r.nodes) {
                let Some(i) = self.index(*v) else { continue };
                inside[i] = true;
                let node = &self.nodes[i];
                node.args.iter().filter_map(|a| self.index(*a)).for_each(|a| used[a] = true);
                open.extend(node.kind.regions().into_iter().map(|r| self.region(r)));
            }
            r.results.iter().filter_map(|v| self.index(*v)).for_each(|i| used[i] = true);
        }
        let outside = (0..self.nodes.len()).filter(|i| used[*i] && !inside[*i]);
        outside.map(|i| ValueId(self.base + i as u32)).collect()
    }
}

/// What a value of a [`Body`] has become.
#[derive(Clone, Debug, Default)]
pub(super) enum Slot {
    /// Nothing yet, or nothing at all.
    #[default]
    Empty,
    /// One tensor.
    One(ValueId),
    /// The members of a tuple, where they have become something.
    Many(Vec<Option<ValueId>>),
}

/// What the values of a body have become.
#[derive(Clone, Debug)]
pub(super) struct Slots(Vec<Slot>);

impl Slots {
    pub(super) fn new(body: &Body) -> Slots {
        Slots(vec![Slot::Empty; body.size()])
    }

    pub(super) fn set(&mut self, body: &Body, v: ValueId, to: Option<ValueId>) {
        if let Some(i) = body.index(v) {
            self.0[i] = to.map_or(Slot::Empty, Slot::One);
        }
    }

    pub(super) fn set_members(&mut self, body: &Body, v: ValueId, to: Vec<Option<ValueId>>) {
        if let Some(i) = body.index(v) {
            self.0[i] = Slot::Many(to);
        }
    }

    pub(super) fn get(&self, body: &Body, v: ValueId) -> Option<ValueId> {
        match self.0.get(body.index(v)?)? {
            Slot::One(v) => Some(*v),
            Slot::Empty | Slot::Many(_) => None,
        }
    }

    pub(super) fn member(&self, body: &Body, tuple: ValueId, i: usize) -> Option<ValueId> {
        match self.0.get(body.index(tuple)?)? {
            Slot::Many(vs) => vs.get(i).copied().flatten(),
            Slot::Empty | Slot::One(_) => None,
        }
    }
}

/// Puts values of a body back into a function as they were.
pub(super) struct Copier<'a> {
    pub(super) b: &'a mut Builder,
    pub(super) body: &'a Body,
    /// What each value has become.
    pub(super) env: Slots,
    /// How many nodes the function may have.
    pub(super) limit: usize,
}

impl<'a> Copier<'a> {
    pub(super) fn new(b: &'a mut Builder, body: &'a Body, limit: usize) -> Copier<'a> {
        Copier { b, body, env: Slots::new(body), limit }
    }

    /// What a value has become; a captured one is itself.
    pub(super) fn get(&self, v: ValueId) -> ValueId {
        self.env.get(self.body, v).unwrap_or(v)
    }

    pub(super) fn all(&self, vs: &[ValueId]) -> Vec<ValueId> {
        vs.iter().map(|v| self.get(*v)).collect()
    }

    pub(super) fn set(&mut self, v: ValueId, to: ValueId) {
        self.env.set(self.body, v, Some(to));
    }

    pub(super) fn set_all(&mut self, vs: &[ValueId], to: &[ValueId]) {
        for (v, to) in vs.iter().zip(to) {
            self.set(*v, *to);
        }
    }

    /// The members of a tuple that has been made.
    pub(super) fn projected(&mut self, tuple: ValueId) -> Vec<ValueId> {
        let count = if let Type::Tuple(ts) = &self.b.func().node(tuple).ty { ts.len() } else { 0 };
        (0..count).map(|i| self.b.proj(tuple, i)).collect()
    }

    pub(super) fn set_tuple(&mut self, v: ValueId, members: &[ValueId]) {
        self.env.set_members(self.body, v, members.iter().copied().map(Some).collect());
    }

    /// Copies one value, loops and branches with all that is in them.
    pub(super) fn copy(&mut self, v: ValueId) -> Result<(), super::Refused> {
        let body = self.body;
        let Some(node) = body.node(v) else { return Ok(()) };
        super::within(self.b, self.limit)?;
        let before = self.b.set_origin(node.origin);
        let made = self.copy_node(v, node);
        self.b.set_origin(before);
        made
    }

    fn copy_node(&mut self, v: ValueId, node: &Node) -> Result<(), super::Refused> {
        if let Kind::Proj(i) = node.kind
            && let Some(member) = node.args.first().and_then(|t| self.env.member(self.body, *t, i))
        {
            self.set(v, member);
            return Ok(());
        }
        let args = self.all(&node.args);
        let made = if let Kind::For(r) = node.kind {
            let r = self.copy_region(r)?;
            self.b.control(Kind::For(r), args)
        } else if let Kind::While(test, r) = node.kind {
            let (test, r) = (self.copy_region(test)?, self.copy_region(r)?);
            self.b.control(Kind::While(test, r), args)
        } else if let Kind::If(yes, no) = node.kind {
            let (yes, no) = (self.copy_region(yes)?, self.copy_region(no)?);
            self.b.control(Kind::If(yes, no), args)
        } else {
            self.b.push(node.kind.clone(), args, node.ty.clone())
        };
        self.bind(v, made, &node.ty);
        Ok(())
    }

    /// Remembers what a node has become, a tuple by its members.
    pub(super) fn bind(&mut self, v: ValueId, made: ValueId, ty: &Type) {
        match ty {
            Type::Tensor(_) => self.set(v, made),
            Type::Tuple(_) => {
                let members = self.projected(made);
                self.set_tuple(v, &members);
            }
        }
    }

    fn copy_region(&mut self, r: RegionId) -> Result<RegionId, super::Refused> {
        let body = self.body;
        let region = body.region(r);
        let types = self.types(&region.params);
        let (made, params) = self.b.begin_region(&types);
        self.set_all(&region.params, &params);
        self.copy_all(&region.nodes)?;
        let results = self.all(&region.results);
        self.b.end_region(results);
        Ok(made)
    }

    pub(super) fn copy_all(&mut self, nodes: &[ValueId]) -> Result<(), super::Refused> {
        nodes.iter().try_for_each(|v| self.copy(*v))
    }

    pub(super) fn types(&self, vs: &[ValueId]) -> Vec<TensorType> {
        vs.iter().map(|v| self.body.ty(self.b, *v)).collect()
    }
}
