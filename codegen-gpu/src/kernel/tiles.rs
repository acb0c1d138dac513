//! A matrix product by tiles: a workgroup computes 64 × 64 or 128 × 128 elements of the result.
//!
//! A step of the sums brings a piece of `a` and one of `b` to where all threads see them, four elements a thread, while
//! the pieces of the step before are multiplied. Each thread has 4 × 4 or 8 × 8 elements of the result, in blocks of
//! 4 × 4 that stand 64 apart, so that neighbouring threads read neighbouring quads. What lies beyond the ends of an operand
//! counts as zero, and is never part of a sum that is stored; no term of one that is stored is left out, so that 0 times
//! infinity is NaN as everywhere.
//!
//! An element is one chain of additions over the terms in their order.

use super::access::Bound;
use super::{Emitter, THREADS};
use crate::build::{OwnQuads, Quad, QuadArray, QuadVar, Ty, Val};
use crate::product::{Product, Tiles, Walk, product};
use matex_ir::loops::Store;
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// The threads along a side of a tile; each has four elements in a row and four in a column, once or twice.
const ACROSS: u32 = 16;

/// How many terms are written out in a row, for a loop to cost little.
const UNROLLED: u32 = 4;

/// The names of the two operands in the text.
const NAMES: [&str; 2] = ["a", "b"];

/// What is known of the tiles of a kernel.
struct Plan {
    tiles: Tiles,
    product: Product,
    /// The pieces of `a` and `b`, one row of quads after the other for each term.
    pieces: [QuadArray; 2],
    /// For `a` and `b` what this thread brings of a piece: the first row or column, and the first term.
    brings: [(Val, Val); 2],
    /// The place of this thread in its tile: its row and column of threads.
    place: [Val; 2],
}

impl Plan {
    /// The quads along a side of a tile.
    fn quads(&self) -> u32 {
        self.tiles.side / 4
    }

    /// How many terms a piece has: all threads together bring four elements each.
    fn terms(&self) -> u32 {
        4 * THREADS / self.tiles.side
    }

    /// The blocks of a thread along a side.
    fn blocks(&self) -> u32 {
        self.quads() / ACROSS
    }

    /// The axis of the result that an operand moves along.
    fn side(&self, which: usize) -> usize {
        [self.tiles.rows, self.tiles.cols][which]
    }
}

/// A tile that is being written: the positions of its first row and column.
struct Corner([Val; 2]);

impl Emitter<'_> {
    pub(super) fn tiles(&mut self, tiles: Tiles) -> Result<(), String> {
        let product = product(self.kernel).ok_or("it is no product")?;
        let len = NonZeroU32::new(THREADS).unwrap_or(NonZeroU32::MIN);
        let pieces = NAMES.map(|n| self.b.shared_quads(&format!("piece_{n}"), product.ty, len));
        let thread = self.ids.thread;
        let place = [self.over(thread, ACROSS), self.within(thread, ACROSS)];
        let nowhere = (thread, thread);
        let mut plan = Plan { tiles, product, pieces, brings: [nowhere; 2], place };
        plan.brings = [0, 1].map(|which| self.brought(&plan, tiles.reads[which]));
        let across = [tiles.rows, tiles.cols].map(|axis| {
            let extent = self.b.bitcast(self.extents[axis], Ty::U32);
            let more = self.b.u32(tiles.side - 1);
            let extent = self.b.add(extent, more);
            self.over(extent, tiles.side)
        });
        let (open, point) = self.begin_points();
        let corner = self.corner(&plan, point, across);
        self.tile(&plan, &corner)?;
        self.b.end_count(open);
        Ok(())
    }

    /// A number divided by a power of two.
    fn over(&mut self, v: Val, by: u32) -> Val {
        self.b.shift(BinaryOperator::ShiftRight, v, by.ilog2())
    }

    /// The rest of that division.
    fn within(&mut self, v: Val, by: u32) -> Val {
        let mask = self.b.u32(by - 1);
        self.b.and(v, mask)
    }

    fn signed(&mut self, v: Val) -> Val {
        self.b.bitcast(v, Ty::I32)
    }

    /// The first row or column and the first term of what this thread brings of each piece.
    fn brought(&mut self, plan: &Plan, walk: Walk) -> (Val, Val) {
        let (thread, four) = (self.ids.thread, self.b.u32(4));
        let (side, term) = if walk.along_depth {
            let quads = plan.terms() / 4;
            let (side, quad) = (self.over(thread, quads), self.within(thread, quads));
            (side, self.b.mul(quad, four))
        } else {
            let (term, quad) = (self.over(thread, plan.quads()), self.within(thread, plan.quads()));
            (self.b.mul(quad, four), term)
        };
        (self.signed(side), self.signed(term))
    }

    /// Where the tile of a number lies, and which of the products it belongs to.
    fn corner(&mut self, plan: &Plan, point: Val, [down, across]: [Val; 2]) -> Corner {
        let col = self.b.binary(BinaryOperator::Modulo, point, across);
        let rest = self.b.binary(BinaryOperator::Divide, point, across);
        let row = self.b.binary(BinaryOperator::Modulo, rest, down);
        let rest = self.b.binary(BinaryOperator::Divide, rest, down);
        let loops: Vec<usize> = plan.tiles.loops(self.kernel).collect();
        self.decode(rest, &loops);
        let names = ["first_row", "first_col"];
        let mut positions = [row, col].map(|tile| {
            let side = self.b.u32(plan.tiles.side);
            let position = self.b.mul(tile, side);
            self.signed(position)
        });
        for (position, name) in positions.iter_mut().zip(names) {
            *position = self.b.name(*position, name);
        }
        Corner(positions)
    }

    fn tile(&mut self, plan: &Plan, corner: &Corner) -> Result<(), String> {
        let ty = plan.product.ty;
        let [rows, cols] = [plan.tiles.rows, plan.tiles.cols];
        self.coords[rows] = None;
        self.coords[cols] = None;
        self.find_bases();
        let blocks = plan.blocks();
        let sums: Vec<QuadVar> = (0..4 * blocks * blocks)
            .map(|_| {
                let zero = self.b.zero_quad(ty);
                self.b.quad_var("sum", zero)
            })
            .collect();
        let nothing = self.b.zero_quad(ty);
        let next = NAMES.map(|n| self.b.quad_var(&format!("next_{n}"), nothing));
        let [zero, terms] = [0, plan.terms()].map(|v| self.b.u32(v));
        self.bring_both(plan, corner, zero, next);
        let depth = self.b.bitcast(self.extents[plan.product.depth], Ty::U32);
        let (open, term) = self.b.begin_count("term", (zero, depth, terms));
        for which in [0, 1] {
            self.put(plan, which, next[which]);
        }
        self.b.barrier();
        let behind = self.b.add(term, terms);
        self.bring_both(plan, corner, behind, next);
        self.multiply(plan, &sums);
        self.b.barrier();
        self.b.end_count(open);
        self.results(plan, corner, &sums)
    }

    fn bring_both(&mut self, plan: &Plan, corner: &Corner, term: Val, next: [QuadVar; 2]) {
        let term = self.signed(term);
        for which in [0, 1] {
            let zero = self.b.zero_quad(plan.product.ty);
            self.b.set_quad(next[which], zero);
            self.bring(plan, which, (corner.0[which], term), next[which]);
        }
    }

    /// What this thread brings of a piece, from its corner on; what lies beyond the ends stays what it is.
    fn bring(&mut self, plan: &Plan, which: usize, (first, term): (Val, Val), into: QuadVar) {
        let walk = plan.tiles.reads[which];
        let (side, depth) = (plan.side(which), plan.product.depth);
        let at_side = self.b.add(first, plan.brings[which].0);
        let at_term = self.b.add(term, plan.brings[which].1);
        // The four elements lie along one of the axes, at one position of the other.
        let ((along, start), (fixed, at)) = if walk.along_depth {
            ((depth, at_term), (side, at_side))
        } else {
            ((side, at_side), (depth, at_term))
        };
        let inside = self.b.lt(at, self.extents[fixed]);
        let open = self.b.begin_when(inside);
        let operand = plan.product.factors[which];
        let base = self.moved(self.bases[operand], operand, fixed, at);
        match self.arrays[operand] {
            Bound::Quads(array) => {
                let inside = self.b.lt(start, self.extents[along]);
                let open = self.b.begin_when(inside);
                let quad = self.quad_at(operand, along, (base, start));
                let value = self.b.load_quad(array, quad);
                self.b.set_quad(into, value);
                self.b.end_when(open);
            }
            Bound::Elements(array) => {
                for lane in 0..4 {
                    let distance = self.b.i32(lane);
                    let at = self.b.add(start, distance);
                    let inside = self.b.lt(at, self.extents[along]);
                    let open = self.b.begin_when(inside);
                    let place = self.moved(base, operand, along, at);
                    let place = self.b.bitcast(place, Ty::U32);
                    let value = self.b.load(array, place);
                    self.b.set_lane(into, lane as u32, value);
                    self.b.end_when(open);
                }
            }
            Bound::Pairs(_) => self.b.fail("a product of pairs of words"),
        }
        self.b.end_when(open);
    }

    /// The number of the quad at a position.
    fn quad_at(&mut self, operand: usize, axis: usize, (base, at): (Val, Val)) -> Val {
        let element = self.moved(base, operand, axis, at);
        let element = self.b.bitcast(element, Ty::U32);
        self.over(element, 4)
    }

    /// Puts what this thread has brought where all see it.
    fn put(&mut self, plan: &Plan, which: usize, from: QuadVar) {
        let value = self.b.get_quad(from);
        if !plan.tiles.reads[which].along_depth {
            let thread = self.ids.thread;
            return self.b.store_quad(plan.pieces[which], thread, value);
        }
        let (side, term) = plan.brings[which];
        let [side, term] = [side, term].map(|v| self.b.bitcast(v, Ty::U32));
        let (quad, lane) = (self.over(side, 4), self.within(side, 4));
        for i in 0..4 {
            let (row, quads) = (self.b.u32(i), self.b.u32(plan.quads()));
            let row = self.b.add(term, row);
            let row = self.b.mul(row, quads);
            let at = self.b.add(row, quad);
            let element = self.b.lane(value, i);
            self.b.store_lane(plan.pieces[which], at, lane, element);
        }
    }

    /// Adds the products of the pieces to the sums of this thread, four terms in a row.
    fn multiply(&mut self, plan: &Plan, sums: &[QuadVar]) {
        let [zero, end, step] = [0, plan.terms(), UNROLLED].map(|v| self.b.u32(v));
        let (open, first) = self.b.begin_count("inner", (zero, end, step));
        let quads = self.b.u32(plan.quads());
        let before = self.b.mul(first, quads);
        let rows = plan.place.map(|place| self.b.add(before, place));
        for term in 0..UNROLLED {
            let [a, b] = [0, 1].map(|which| {
                let block = |block: u32| {
                    let further = self.b.u32(term * plan.quads() + block * ACROSS);
                    let at = self.b.add(rows[which], further);
                    self.b.load_quad(plan.pieces[which], at)
                };
                (0..plan.blocks()).map(block).collect::<Vec<Quad>>()
            });
            let mut sums = sums.iter();
            for row in 0..4 * plan.blocks() {
                let factor = self.b.lane(a[(row / 4) as usize], row % 4);
                let factor = self.b.splat(factor);
                for (quad, sum) in b.iter().zip(sums.by_ref()) {
                    let before = self.b.get_quad(*sum);
                    let after = self.b.quad_fma(factor, *quad, before);
                    self.b.set_quad(*sum, after);
                }
            }
        }
        self.b.end_count(open);
    }

    /// Does with each sum what the kernel does with it, and stores what comes of it.
    fn results(&mut self, plan: &Plan, corner: &Corner, sums: &[QuadVar]) -> Result<(), String> {
        let len = NonZeroU32::new(sums.len() as u32).unwrap_or(NonZeroU32::MIN);
        // The sums themselves stay in registers, which cannot be numbered at run time.
        let all = self.b.own_quads("sums", plan.product.ty, len);
        for (i, sum) in sums.iter().enumerate() {
            let value = self.b.get_quad(*sum);
            self.b.put_own(all, i as u32, value);
        }
        let [zero, end, one] = [0, len.get(), 1].map(|v| self.b.u32(v));
        let (open, number) = self.b.begin_count("quad", (zero, end, one));
        let (row, col) = (self.over(number, plan.blocks()), self.within(number, plan.blocks()));
        let (row_block, row_lane) = (self.over(row, 4), self.within(row, 4));
        let row = self.position(plan.place[0], row_block, corner.0[0]);
        let row_lane = self.signed(row_lane);
        let row = self.b.add(row, row_lane);
        let row = self.b.name(row, "row");
        let col = self.position(plan.place[1], col, corner.0[1]);
        let col = self.b.name(col, "col");
        let inside = self.b.lt(row, self.extents[plan.tiles.rows]);
        let within = self.b.begin_when(inside);
        self.coords[plan.tiles.rows] = Some(row);
        self.quad(plan, (all, number), col)?;
        self.b.end_when(within);
        self.b.end_count(open);
        Ok(())
    }

    /// The first row or column of a block of this thread.
    fn position(&mut self, place: Val, block: Val, first: Val) -> Val {
        let [across, four] = [ACROSS, 4].map(|v| self.b.u32(v));
        let quads = self.b.mul(block, across);
        let quads = self.b.add(quads, place);
        let distance = self.b.mul(quads, four);
        let distance = self.signed(distance);
        self.b.add(first, distance)
    }

    /// Four sums of a row, from a column on.
    fn quad(&mut self, plan: &Plan, (all, number): (OwnQuads, Val), col: Val) -> Result<(), String> {
        let sums = self.b.take_own(all, number);
        let wide = plan.tiles.wide_stores;
        let cols = self.extents[plan.tiles.cols];
        let open = wide.then(|| {
            let inside = self.b.lt(col, cols);
            self.b.begin_when(inside)
        });
        let mut stored: Vec<[Option<Val>; 4]> = vec![[None; 4]; self.kernel.stores.len()];
        for lane in 0..4 {
            let distance = self.b.i32(lane as i32);
            let at = self.b.add(col, distance);
            let open = (!wide).then(|| {
                let inside = self.b.lt(at, cols);
                self.b.begin_when(inside)
            });
            self.coords[plan.tiles.cols] = Some(at);
            self.values[plan.product.sum] = Some(self.b.lane(sums, lane as u32));
            self.at_point(plan)?;
            if let Some(open) = open {
                let kernel = self.kernel;
                kernel.stores.iter().try_for_each(|s| self.store(s))?;
                self.b.end_when(open);
            } else {
                for (values, s) in stored.iter_mut().zip(&self.kernel.stores) {
                    values[lane] = self.values[s.value.index()];
                }
            }
        }
        if let Some(open) = open {
            self.coords[plan.tiles.cols] = Some(col);
            self.find_bases();
            self.store_quads(&stored)?;
            self.b.end_when(open);
        }
        Ok(())
    }

    /// What is done once per sum.
    fn at_point(&mut self, plan: &Plan) -> Result<(), String> {
        self.find_bases();
        let point = |id: &usize| *id != plan.product.sum && !self.moving[*id];
        let insts: Vec<usize> = (0..self.kernel.body.len()).filter(point).collect();
        insts.into_iter().try_for_each(|id| self.inst(id))
    }

    fn store_quads(&mut self, stored: &[[Option<Val>; 4]]) -> Result<(), String> {
        let kernel = self.kernel;
        for (Store { operand, .. }, values) in kernel.stores.iter().zip(stored) {
            let ([Some(a), Some(b), Some(c), Some(d)], Bound::Quads(array)) =
                (*values, self.arrays[operand.index()])
            else {
                return Err("a stored value is not known".to_owned());
            };
            let quad = self.b.quad([a, b, c, d]);
            let at = self.address(*operand);
            let at = self.over(at, 4);
            self.b.store_quad(array, at, quad);
        }
        Ok(())
    }
}
