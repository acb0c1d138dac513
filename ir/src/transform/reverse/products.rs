//! Cotangents of sums of products.
//!
//! Each term multiplies an element of the cotangent with one of the other factor, and one that was not taken may stand
//! beside a NaN. So a product with a masked cotangent is a masked product, which leaves such terms out. Nothing less
//! would do: a factor may be taken for one row of the result and not for another, and setting it to 0 would be
//! wrong for one of them.

use super::{Cotangent, Reverse, placed};
use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, Node, ReduceOp, ValueId};

/// Pairs of axes of two operands.
type Pairs = Vec<(usize, usize)>;

/// How the axes of the factors stand in their product: the batch, the free ones of the left, those of the right.
struct Axes<'a> {
    batch: &'a [(usize, usize)],
    contract: &'a [(usize, usize)],
    free: [Vec<usize>; 2],
}

impl Axes<'_> {
    /// The batch and what is summed over in the product of the cotangent with the other factor, in the places that
    /// the operands of that product have them in: the cotangent stands on the left for the left factor.
    fn pairs(&self, side: usize) -> (Pairs, Pairs) {
        let n = self.batch.len();
        let kept = self.batch.iter().enumerate();
        if side == 0 {
            let over = self.free[1].iter().enumerate().map(|(i, f)| (n + self.free[0].len() + i, *f));
            (kept.map(|(i, p)| (i, p.1)).collect(), over.collect())
        } else {
            let over = self.free[0].iter().enumerate().map(|(i, f)| (*f, n + i));
            (kept.map(|(i, p)| (p.0, i)).collect(), over.collect())
        }
    }

    /// The axes of the factor in the order in which that product has them.
    fn order(&self, side: usize) -> Vec<usize> {
        let own = |p: &(usize, usize)| if side == 0 { p.0 } else { p.1 };
        let mut summed = self.contract.to_vec();
        // What was summed over comes in the order of the other factor.
        summed.sort_by_key(|p| if side == 0 { p.1 } else { p.0 });
        let (batch, summed) = (self.batch.iter().map(own), summed.iter().map(own));
        let free = self.free[side].iter().copied();
        if side == 0 {
            batch.chain(free).chain(summed).collect()
        } else {
            batch.chain(summed).chain(free).collect()
        }
    }

    /// A mask of the cotangent for the factor, in the order of [`Axes::order`] and with the shape of that product:
    /// whether anything was taken that the element goes into.
    fn mask(&self, b: &mut Builder, side: usize, mask: ValueId, product: ValueId) -> ValueId {
        let (n, left) = (self.batch.len(), self.free[0].len());
        let over = if side == 0 { n + left..n + left + self.free[1].len() } else { n..n + left };
        let any = b.reduce(ReduceOp::Any, mask, over.collect());
        let shape = b.ty(product).shape.clone();
        let summed = self.contract.len();
        let new = if side == 0 { n + left..n + left + summed } else { n..n + summed };
        b.spread(any, &shape, &new.collect::<Vec<_>>())
    }

    /// The mask of the other factor for the factor, whose shape is given: whether any of what the element is
    /// multiplied by counts.
    fn seen(&self, b: &mut Builder, side: usize, others: ValueId, shape: &[Dim]) -> ValueId {
        let pairs = self.batch.iter().chain(self.contract);
        let mut pairs: Pairs = pairs.map(|p| if side == 0 { (p.1, p.0) } else { *p }).collect();
        pairs.sort_unstable();
        let own: Vec<usize> = pairs.into_iter().map(|p| p.1).collect();
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by_key(|i| own[*i]);
        let any = b.reduce(ReduceOp::Any, others, self.free[1 - side].clone());
        let places = order.iter().map(|i| own[*i]).collect();
        let any = b.permute(any, order);
        b.broadcast(any, shape.to_vec(), places)
    }
}

impl Reverse<'_> {
    /// The cotangent of each factor is the product of that of the result and the other factor, over the other's axes.
    pub(super) fn dot(
        &mut self,
        node: &Node,
        batch: &[(usize, usize)],
        contract: &[(usize, usize)],
        ct: Cotangent,
    ) {
        let free = [0, 1].map(|side| {
            let rank = self.c.body.ty(self.c.b, node.args[side]).rank();
            let bound = |p: &(usize, usize)| if side == 0 { p.0 } else { p.1 };
            let bound: Vec<usize> = batch.iter().chain(contract).map(bound).collect();
            (0..rank).filter(|i| !bound.contains(i)).collect()
        });
        let axes = Axes { batch, contract, free };
        for side in [0, 1] {
            if self.depends.on(node.args[side]) {
                self.factor(node, &axes, side, ct);
            }
        }
    }

    fn factor(&mut self, node: &Node, axes: &Axes<'_>, side: usize, ct: Cotangent) {
        let other = self.c.get(node.args[1 - side]);
        // The masks of a product that is masked itself, of this factor and of the other one.
        let own = node.args.get(2 + side).map(|m| self.c.get(*m));
        let others = node.args.get(3 - side).map(|m| self.c.get(*m));
        let (pairs, over) = axes.pairs(side);
        let mut operands = [ct.value, other];
        let mut masks = [ct.mask, others];
        if side == 1 {
            operands.reverse();
            masks.reverse();
        }
        let b = &mut *self.c.b;
        let product = b.masked_dot(operands, masks, pairs, over);
        let order = axes.order(side);
        let mask = ct.mask.map(|m| {
            let m = axes.mask(b, side, m, product);
            placed(b, m, order.iter().copied())
        });
        let value = placed(b, product, order.iter().copied());
        let value = own.map_or(value, |m| b.kept(m, value));
        let shape = self.c.body.ty(b, node.args[side]).shape;
        let seen = others.map(|m| axes.seen(b, side, m, &shape));
        let masks = [mask, own, seen].into_iter().flatten();
        let mask = masks.reduce(|p, q| b.map(Op::And, &[p, q]));
        self.add(node.args[side], Cotangent { value, mask });
    }
}
