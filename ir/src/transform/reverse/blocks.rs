//! Loops as loops over blocks of their steps, before the way back keeps what they carry.
//!
//! The way back through a block works the block out again from its start, so that what is kept at once are the starts of all
//! blocks and the steps of one. A loop whose number of steps follows from sizes is cut where that is asked for, into
//! blocks of about the square root of its steps. One whose number of steps is known only when it runs is always
//! cut, three times over into a fixed number of blocks, which is how much can be kept; for up to
//! 32,768 steps each of them is then worked out four times at most, and beyond that the last cut goes through the steps of a
//! block from its start each time.

use super::bounds::Bounds;

use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, RegionId, TensorType, ValueId};
use crate::transform::Refused;
use crate::transform::body::{Body, Copier};
use crate::transform::depend::{Depends, Through};

/// Into how many blocks a loop of an unknown number of steps is cut, and how often.
const BLOCKS: i64 = 32;
const CUTS: usize = 3;

/// The body with its loops cut; `None` when none has to be.
pub(super) fn cut(
    b: &mut Builder,
    body: &Body,
    marked: &[bool],
    recompute: bool,
    limit: usize,
) -> Result<Option<Body>, Refused> {
    let depends = Depends::new(body, marked, Through::Floats);
    let bounds = Bounds::new(body);
    let wanted = |v: ValueId, node: &Node, b: &Builder| {
        let kept = matches!(node.kind, Kind::For(_)) && depends.any_member(v);
        kept && (recompute || bounds.steps(b, body, node).is_none())
    };
    if !body.values().any(|(v, node)| wanted(v, node, b)) {
        return Ok(None);
    }
    let mark = b.mark();
    let types = Copier::new(b, body, limit).types(body.params());
    let (region, params) = b.begin_region(&types);
    let mut cutter = Cutter { c: Copier::new(b, body, limit), wanted, bounds: &bounds };
    cutter.c.set_all(body.params(), &params);
    cutter.nodes(&body.root().nodes)?;
    let results = cutter.c.all(body.results());
    b.end_region(results);
    Ok(Some(Body::take(b, &mark, region)))
}

struct Cutter<'a, W> {
    c: Copier<'a>,
    wanted: W,
    bounds: &'a Bounds,
}

/// A loop that is being cut: its body, the index of its first step, and how often it is cut.
struct Loop {
    region: RegionId,
    first: ValueId,
    steps: ValueId,
    cuts: Vec<Cut>,
}

/// The number of blocks and of steps in a block.
#[derive(Clone)]
enum Cut {
    Sizes(Dim, Dim),
    Blocks(i64),
}

impl<W: Fn(ValueId, &Node, &Builder) -> bool> Cutter<'_, W> {
    fn nodes(&mut self, nodes: &[ValueId]) -> Result<(), Refused> {
        nodes.iter().try_for_each(|v| self.node(*v))
    }

    fn node(&mut self, v: ValueId) -> Result<(), Refused> {
        let body = self.c.body;
        let Some(node) = body.node(v).filter(|n| !n.kind.regions().is_empty()) else { return self.c.copy(v) };
        crate::transform::within(self.c.b, self.c.limit)?;
        let before = self.c.b.set_origin(node.origin);
        let members = self.control(v, node)?;
        self.c.b.set_origin(before);
        self.c.set_tuple(v, &members);
        Ok(())
    }

    fn control(&mut self, v: ValueId, node: &Node) -> Result<Vec<ValueId>, Refused> {
        let args = self.c.all(&node.args);
        if let Kind::For(region) = node.kind
            && (self.wanted)(v, node, self.c.b)
        {
            let b = &mut *self.c.b;
            let zero = b.int(0);
            let steps = b.map(Op::Sub, &[args[1], args[0]]);
            let steps = b.map(Op::Max, &[steps, zero]);
            let cuts = match self.bounds.steps(b, self.c.body, node) {
                Some(most) => {
                    let size = most.root();
                    let blocks = size.larger(&Dim::ONE);
                    vec![Cut::Sizes((&most + &(&blocks - &Dim::ONE)).floor_div(&blocks), blocks)]
                }
                None => vec![Cut::Blocks(BLOCKS); CUTS],
            };
            return self.blocks(&Loop { region, first: args[0], steps, cuts }, &args[2..]);
        }
        let mut kind = node.kind.clone();
        if let Kind::For(r) = &mut kind {
            *r = self.region(*r)?;
        } else if let Kind::While(p, q) | Kind::If(p, q) = &mut kind {
            (*p, *q) = (self.region(*p)?, self.region(*q)?);
        }
        let tuple = self.c.b.control(kind, args);
        Ok(self.c.projected(tuple))
    }

    fn region(&mut self, r: RegionId) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let types = self.c.types(&region.params);
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        self.nodes(&region.nodes)?;
        let results = self.c.all(&region.results);
        self.c.b.end_region(results);
        Ok(made)
    }

    /// The loop over blocks, and in it the loop over what is in one.
    fn blocks(&mut self, of: &Loop, inits: &[ValueId]) -> Result<Vec<ValueId>, Refused> {
        let region = self.c.body.region(of.region);
        let mut types = self.c.types(&region.params);
        types[0] = TensorType::scalar(DType::I64);
        let b = &mut *self.c.b;
        let zero = b.int(0);
        let Some((cut, rest)) = of.cuts.split_first() else {
            let (made, params) = b.begin_region(&types);
            let index = b.map(Op::Add, &[of.first, params[0]]);
            self.c.set(region.params[0], index);
            self.c.set_all(&region.params[1..], &params[1..]);
            self.nodes(&region.nodes)?;
            let results = self.c.all(&region.results);
            self.c.b.end_region(results);
            return Ok(self.finish(made, zero, of.steps, inits));
        };
        let one = b.int(1);
        let (most, size) = match cut {
            Cut::Sizes(count, size) => (b.extent(count), b.extent(size)),
            Cut::Blocks(n) => {
                let (count, more) = (b.int(*n), b.int(n - 1));
                let whole = b.map(Op::Add, &[of.steps, more]);
                let size = b.map(Op::FloorDiv, &[whole, count]);
                (count, b.map(Op::Max, &[size, one]))
            }
        };
        // As many blocks as there are steps for.
        let behind = b.map(Op::Sub, &[size, one]);
        let whole = b.map(Op::Add, &[of.steps, behind]);
        let count = b.map(Op::FloorDiv, &[whole, size]);
        let count = b.map(Op::Min, &[count, most]);
        let (made, params) = b.begin_region(&types);
        let skipped = b.map(Op::Mul, &[params[0], size]);
        let first = b.map(Op::Add, &[of.first, skipped]);
        let left = b.map(Op::Sub, &[of.steps, skipped]);
        let steps = b.map(Op::Min, &[left, size]);
        let steps = b.map(Op::Max, &[steps, zero]);
        let inner = Loop { region: of.region, first, steps, cuts: rest.to_vec() };
        let results = self.blocks(&inner, &params[1..])?;
        self.c.b.end_region(results);
        Ok(self.finish(made, zero, count, inits))
    }

    fn finish(&mut self, made: RegionId, zero: ValueId, count: ValueId, inits: &[ValueId]) -> Vec<ValueId> {
        let args = [zero, count].iter().chain(inits).copied().collect();
        let tuple = self.c.b.control(Kind::For(made), args);
        self.c.projected(tuple)
    }
}
