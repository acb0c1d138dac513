//! The choice for a target that computes products of matrices by kernels of its own.
//!
//! Such a kernel can compute its operands as it reads them, if that takes no reduction: what was reduced to be used all along
//! a row or a column (a mean, the largest exponent of a softmax) goes to memory then, which is little, and what is made with
//! it need not. On other targets the operand is put into memory anyway, and reduced by the kernel that does that.

use super::graph::{Graph, Work};
use super::{Fusion, captured, is_sound};
use crate::cost::CostModel;
use crate::sizes::Sizes;
use matex_ir::tensor::{Func, ValueId};

impl Fusion {
    /// The choice with all reductions in memory that stand before a product, smaller than the operand that they are for.
    pub(crate) fn for_own_products(mut self, func: &Func) -> Fusion {
        if !self.joins || !is_sound(func) {
            return self;
        }
        self.brings = true;
        let graph = Graph::new(func, &Sizes::nominal(), CostModel::FIXED, &captured(func));
        let products = (0..graph.items.len()).filter(|v| graph.items[*v].product);
        for (product, edge) in products.flat_map(|v| graph.items[v].edges.iter().map(move |e| (v, e))) {
            let operand = graph.behind_views(edge.node);
            let item = &graph.items[operand];
            let alone = self.group(ValueId(operand as u32)).is_none() && item.fills == 0;
            let only = alone && graph.only_needed_in(operand, &[product], &self.stored);
            if self.stored[operand] && only && item.work != Work::Fold {
                self.store_reductions(&graph, operand);
            }
        }
        self
    }

    /// Stores what is reduced for an operand. One after the other, as a largest element and the sum of what is made with it,
    /// reductions are better done by the one kernel that has the rows at hand.
    fn store_reductions(&mut self, graph: &Graph<'_>, operand: usize) {
        let reductions = self.reductions(graph, operand);
        let elements = graph.items[operand].elements();
        let simple = |fold: &usize| {
            graph.items[*fold].elements() < elements && self.reductions(graph, *fold).is_empty()
        };
        if reductions.iter().all(simple) {
            reductions.into_iter().for_each(|fold| self.stored[fold] = true);
        }
    }

    /// The reductions that the kernel which computes a value does before anything that is in memory.
    fn reductions(&self, graph: &Graph<'_>, value: usize) -> Vec<usize> {
        let (mut open, mut seen, mut found) = (vec![value], vec![value], Vec::new());
        while let Some(value) = open.pop() {
            for edge in &graph.items[value].edges {
                if self.stored[edge.node] || seen.contains(&edge.node) {
                    continue;
                }
                seen.push(edge.node);
                if graph.items[edge.node].work == Work::Fold {
                    found.push(edge.node);
                } else {
                    open.push(edge.node);
                }
            }
        }
        found
    }
}
