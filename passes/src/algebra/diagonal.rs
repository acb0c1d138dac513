//! The diagonal of the last two axes of a value: of what is elementwise the same of the diagonals of its operands, so that
//! the matrix itself need not be there.

use super::graph::Graph;
use super::lang::Tag;
use super::structure;
use egg::Id;
use matex_ir::tensor::Kind;
use matex_ir::{DType, Dim, Scalar};
use smallvec::SmallVec;

/// How many operations deep operands are looked through at a time: what is picked from there is a place for the rule again.
const DEPTH: usize = 3;

impl Graph {
    /// The diagonal of square matrices, `[.., n]` of `[.., n, n]`; `None` for what is not known to be square.
    pub(crate) fn diagonal(&mut self, x: Id) -> Option<Id> {
        let [.., rows, cols] = self.shape(x) else { return None };
        let square = self.same_dim(rows, cols);
        square.then(|| self.diagonal_of(x, DEPTH))
    }

    /// The same, if it is simpler than picking elements of the value.
    pub(crate) fn simpler_diagonal(&mut self, x: Id) -> Option<Id> {
        let [.., rows, cols] = self.shape(x) else { return None };
        let square = self.same_dim(rows, cols);
        if square { self.through(x, DEPTH) } else { None }
    }

    fn diagonal_of(&mut self, x: Id, depth: usize) -> Id {
        match self.through(x, depth) {
            Some(made) => made,
            None => self.picked(x),
        }
    }

    /// By the first of the operations that a value may be which has a simpler form.
    fn through(&mut self, x: Id, depth: usize) -> Option<Id> {
        let depth = depth.checked_sub(1)?;
        let mut shape = self.shape(x).to_vec();
        let last = shape.len().checked_sub(2)?;
        shape.pop();
        if let Some(value) = self.splat(x) {
            return Some(self.constant(value, &shape));
        }
        let nodes = self.egg[x].nodes.clone();
        nodes.iter().find_map(|node| match node.tag {
            Tag::Map(op) => {
                let known = structure::mask_on_diagonal(&self.egg, op, &node.args, last);
                if let Some(value) = known {
                    return Some(self.constant(Scalar::from_bits(DType::Bool, u64::from(value)), &shape));
                }
                let args: SmallVec<[Id; 3]> = node.args.iter().map(|a| self.diagonal_of(*a, depth)).collect();
                Some(self.map(op, &args))
            }
            Tag::Cast => {
                let dtype = self.ty(x).dtype;
                let inner = self.diagonal_of(node.args[0], depth);
                Some(self.cast(inner, dtype))
            }
            Tag::Iota => {
                let Kind::Iota { axis } = self.kind(node) else { return None };
                Some(self.iota(&shape, axis.min(last)))
            }
            Tag::Broadcast => {
                let Kind::Broadcast { axes } = self.kind(node) else { return None };
                self.of_repeated(node.args[0], &axes, &shape)
            }
            Tag::Permute => {
                let Kind::Permute(perm) = self.kind(node) else { return None };
                structure::swaps_last_two(&perm).then(|| self.diagonal_of(node.args[0], depth))
            }
            Tag::Leaf
            | Tag::Constant
            | Tag::Reshape
            | Tag::Slice
            | Tag::Reduce(_)
            | Tag::Dot
            | Tag::Solve
            | Tag::Lib
            | Tag::Proj
            | Tag::Other => None,
        })
    }

    /// The diagonal of what repeats a value that has at most one of the two axes: its elements, repeated along the others.
    fn of_repeated(&mut self, x: Id, axes: &[usize], shape: &[Dim]) -> Option<Id> {
        let last = shape.len() - 1;
        let own: Vec<usize> = axes.iter().copied().filter(|a| *a >= last).collect();
        // An axis of extent 1 that is repeated has no place of its own among the elements.
        let whole =
            own.iter().zip(self.shape(x).last()).all(|(_, extent)| self.same_dim(extent, &shape[last]));
        let one = own.len() <= 1 && whole;
        one.then(|| self.broadcast(x, shape.to_vec(), axes.iter().map(|a| (*a).min(last)).collect()))
    }

    /// The elements themselves.
    fn picked(&mut self, x: Id) -> Id {
        let mut shape = self.shape(x).to_vec();
        let last = shape.len() - 1;
        shape[last] = Dim::ONE;
        let index = self.iota(&shape, last - 1);
        let picked = self.gather_along(x, index, last);
        shape.pop();
        self.reshape(picked, shape)
    }
}
