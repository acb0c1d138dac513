//! The pieces of a matrix product's operands that the threads of a workgroup share for a few terms of the sums.
//!
//! Each thread brings some quads of either side to a variable of its own, from memory and through what the kernel computes
//! of it, and puts them into the piece when nobody reads the one before any more. Quads lie along the sums or across, as the
//! operand does in memory. What lies beyond the ends of an operand counts as zero.

use super::access::Bound;
use super::{Emitter, THREADS};
use crate::build::{QuadArray, QuadVar, Ty, Val};
use crate::product::{Product, Tiles};
use matex_ir::loops::InstKind;
use naga::BinaryOperator;

/// The names of the two sides in the text.
pub(super) const NAMES: [&str; 2] = ["a", "b"];

/// What is known of the tiles of a kernel.
pub(super) struct Plan {
    pub(super) tiles: Tiles,
    pub(super) product: Product,
    /// The pieces of `a` and `b`.
    pub(super) pieces: [Piece; 2],
    /// How many terms a piece has.
    pub(super) terms: u32,
}

/// A piece of one side.
pub(super) struct Piece {
    pub(super) array: QuadArray,
    /// The instruction whose values it holds, and their type.
    pub(super) value: usize,
    pub(super) ty: Ty,
    /// For each quad that this thread brings the first row or column, and the first term.
    pub(super) brings: Vec<(Val, Val)>,
}

/// The variables for the next piece of each side.
pub(super) type Next = [Vec<QuadVar>; 2];

impl Plan {
    /// The quads along a side of a tile.
    pub(super) fn quads(&self) -> u32 {
        self.tiles.side / 4
    }

    /// The axis of the result that a side of the products moves along.
    pub(super) fn side(&self, which: usize) -> usize {
        [self.tiles.rows, self.tiles.cols][which]
    }
}

impl Emitter<'_> {
    /// A number divided by a power of two.
    pub(super) fn over(&mut self, v: Val, by: u32) -> Val {
        self.b.shift(BinaryOperator::ShiftRight, v, by.ilog2())
    }

    /// The rest of that division.
    pub(super) fn within(&mut self, v: Val, by: u32) -> Val {
        let mask = self.b.u32(by - 1);
        self.b.and(v, mask)
    }

    pub(super) fn signed(&mut self, v: Val) -> Val {
        self.b.bitcast(v, Ty::I32)
    }

    /// The first row or column and the first term of each quad that this thread brings of a piece with so many terms.
    pub(super) fn brought(&mut self, tiles: Tiles, which: usize, terms: u32) -> Vec<(Val, Val)> {
        let count = tiles.side * terms / 4 / THREADS;
        (0..count).map(|turn| self.brought_in_turn(tiles, (which, turn), terms)).collect()
    }

    fn brought_in_turn(&mut self, tiles: Tiles, (which, turn): (usize, u32), terms: u32) -> (Val, Val) {
        let (mut number, four) = (self.ids.thread, self.b.u32(4));
        if turn > 0 {
            let before = self.b.u32(turn * THREADS);
            number = self.b.add(number, before);
        }
        let (side, term) = if tiles.reads[which].along_depth {
            let (side, quad) = (self.over(number, terms / 4), self.within(number, terms / 4));
            (side, self.b.mul(quad, four))
        } else {
            let quads = tiles.side / 4;
            let (term, quad) = (self.over(number, quads), self.within(number, quads));
            (self.b.mul(quad, four), term)
        };
        (self.signed(side), self.signed(term))
    }

    /// The variables for what this thread brings next.
    pub(super) fn next_quads(&mut self, plan: &Plan) -> Next {
        [0, 1].map(|which| {
            let piece = &plan.pieces[which];
            let nothing = self.b.zero_quad(piece.ty);
            let name = format!("next_{}", NAMES[which]);
            piece.brings.iter().map(|_| self.b.quad_var(&name, nothing)).collect()
        })
    }

    /// Brings the quads of this thread from a term on, in the tile at a row and a column.
    pub(super) fn bring_both(&mut self, plan: &Plan, corner: [Val; 2], term: Val, next: &Next) {
        let term = self.signed(term);
        for which in [0, 1] {
            for (turn, into) in next[which].iter().enumerate() {
                let zero = self.b.zero_quad(plan.pieces[which].ty);
                self.b.set_quad(*into, zero);
                self.bring(plan, (which, turn), (corner[which], term), *into);
            }
        }
    }

    /// One of these quads; what lies beyond the ends stays what it is.
    fn bring(
        &mut self,
        plan: &Plan,
        (which, turn): (usize, usize),
        (first, term): (Val, Val),
        into: QuadVar,
    ) {
        let brings = plan.pieces[which].brings[turn];
        let at_side = self.b.add(first, brings.0);
        let at_term = self.b.add(term, brings.1);
        // The four elements lie along one of the axes, at one position of the other.
        let [along, fixed] = plan.tiles.axes(&plan.product, which);
        let (start, at) = if fixed == plan.side(which) { (at_term, at_side) } else { (at_side, at_term) };
        let inside = self.b.lt(at, self.extents[fixed]);
        let open = self.b.begin_when(inside);
        let operands = plan.product.factors[which].operands.clone();
        let bases: Vec<(usize, Val)> =
            operands.into_iter().map(|o| (o, self.moved(self.bases[o], o, fixed, at))).collect();
        if plan.tiles.reads[which].wide {
            let inside = self.b.lt(start, self.extents[along]);
            let open = self.b.begin_when(inside);
            self.bring_wide(plan, which, (along, start, &bases), into);
            self.b.end_when(open);
        } else {
            for lane in 0..4 {
                let distance = self.b.i32(lane);
                let at = self.b.add(start, distance);
                let inside = self.b.lt(at, self.extents[along]);
                let open = self.b.begin_when(inside);
                self.bring_lane(plan, which, (along, at, &bases), (into, lane as u32));
                self.b.end_when(open);
            }
        }
        self.b.end_when(open);
    }

    /// Four elements that all operands have in quads, or once.
    fn bring_wide(
        &mut self,
        plan: &Plan,
        which: usize,
        (along, start, bases): (usize, Val, &[(usize, Val)]),
        into: QuadVar,
    ) {
        let mut lanes: [Vec<(usize, Val)>; 4] = Default::default();
        for (operand, base) in bases {
            if let Bound::Quads(array) = self.arrays[*operand] {
                let element = self.moved(*base, *operand, along, start);
                let element = self.b.bitcast(element, Ty::U32);
                let quad = self.over(element, 4);
                let quad = self.b.load_quad(array, quad);
                if self.is_plain(plan, which, *operand) {
                    return self.b.set_quad(into, quad);
                }
                for (lane, words) in lanes.iter_mut().enumerate() {
                    words.push((*operand, self.b.lane(quad, lane as u32)));
                }
            } else {
                let at = self.b.bitcast(*base, Ty::U32);
                let word = self.word_at(*operand, at);
                lanes.iter_mut().for_each(|words| words.push((*operand, word)));
            }
        }
        let mut values = Vec::with_capacity(4);
        for words in lanes {
            values.push(self.computed(plan, which, &words));
        }
        if let [a, b, c, d] = *values.as_slice() {
            let quad = self.b.quad([a, b, c, d]);
            self.b.set_quad(into, quad);
        }
    }

    /// One element.
    fn bring_lane(
        &mut self,
        plan: &Plan,
        which: usize,
        (along, at, bases): (usize, Val, &[(usize, Val)]),
        (into, lane): (QuadVar, u32),
    ) {
        let mut words = Vec::with_capacity(bases.len());
        for (operand, base) in bases {
            let place = self.moved(*base, *operand, along, at);
            let place = self.b.bitcast(place, Ty::U32);
            words.push((*operand, self.word_at(*operand, place)));
        }
        let value = self.computed(plan, which, &words);
        self.b.set_lane(into, lane, value);
    }

    /// Whether a piece holds what is in an operand, as it stands.
    fn is_plain(&self, plan: &Plan, which: usize, operand: usize) -> bool {
        let value = &self.kernel.body[plan.pieces[which].value].kind;
        matches!(value, InstKind::Load(o) if o.index() == operand)
    }

    /// What a piece holds where its operands hold these words.
    fn computed(&mut self, plan: &Plan, which: usize, words: &[(usize, Val)]) -> Val {
        if let [(operand, word)] = *words
            && self.is_plain(plan, which, operand)
        {
            return word;
        }
        for (operand, word) in words {
            self.at_hand[*operand] = Some(*word);
        }
        let value = plan.pieces[which].value;
        for id in plan.product.factors[which].insts.iter().filter(|id| **id <= value) {
            if let Err(why) = self.inst(*id) {
                self.b.fail(why);
            }
        }
        for (operand, _) in words {
            self.at_hand[*operand] = None;
        }
        self.values[value].unwrap_or_else(|| {
            self.b.fail("an element of a product is not known");
            self.ids.thread
        })
    }
}
