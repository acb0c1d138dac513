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
use super::pieces::{NAMES, Piece, Plan};
use super::{Emitter, THREADS};
use crate::build::{OwnQuads, Quad, QuadVar, Ty, Val};
use crate::product::{Tiles, product};
use matex_ir::loops::Store;
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// The threads along a side of a tile; each has four elements in a row and four in a column, once or twice.
const ACROSS: u32 = 16;

/// How many terms are written out in a row, for a loop to cost little.
const UNROLLED: u32 = 4;

/// How a thread multiplies.
struct Threads {
    plan: Plan,
    /// The place of this thread in its tile: its row and column of threads.
    place: [Val; 2],
}

impl Threads {
    /// The blocks of a thread along a side.
    fn blocks(&self) -> u32 {
        self.plan.quads() / ACROSS
    }
}

impl Emitter<'_> {
    pub(super) fn tiles(&mut self, tiles: Tiles) -> Result<(), String> {
        let product = product(self.kernel).ok_or("it is no product")?;
        let thread = self.ids.thread;
        let place = [self.over(thread, ACROSS), self.within(thread, ACROSS)];
        // All threads together bring a quad each, and a piece has one row of quads after the other for each term.
        let len = NonZeroU32::new(THREADS).unwrap_or(NonZeroU32::MIN);
        let terms = 4 * THREADS / tiles.side;
        let pieces = [0, 1].map(|which| Piece {
            array: self.b.shared_quads(&format!("piece_{}", NAMES[which]), product.ty, len),
            value: product.factors[which].value,
            ty: product.ty,
            brings: self.brought(tiles, which, terms),
        });
        let threads = Threads { plan: Plan { tiles, product, pieces, terms }, place };
        let across = self.across(tiles);
        let (open, point) = self.begin_points();
        let corner = self.corner(tiles, point, across);
        self.tile(&threads, corner)?;
        self.b.end_count(open);
        Ok(())
    }

    /// The number of tiles down and across a product.
    pub(super) fn across(&mut self, tiles: Tiles) -> [Val; 2] {
        [tiles.rows, tiles.cols].map(|axis| {
            let extent = self.b.bitcast(self.extents[axis], Ty::U32);
            let more = self.b.u32(tiles.side - 1);
            let extent = self.b.add(extent, more);
            self.over(extent, tiles.side)
        })
    }

    /// The first row and column of the tile of a number, whose product becomes the current one.
    pub(super) fn corner(&mut self, tiles: Tiles, point: Val, [down, across]: [Val; 2]) -> [Val; 2] {
        let col = self.b.binary(BinaryOperator::Modulo, point, across);
        let rest = self.b.binary(BinaryOperator::Divide, point, across);
        let row = self.b.binary(BinaryOperator::Modulo, rest, down);
        let rest = self.b.binary(BinaryOperator::Divide, rest, down);
        let loops: Vec<usize> = tiles.loops(self.kernel).collect();
        self.decode(rest, &loops);
        self.coords[tiles.rows] = None;
        self.coords[tiles.cols] = None;
        self.find_bases();
        let names = ["first_row", "first_col"];
        let mut positions = [row, col].map(|tile| {
            let side = self.b.u32(tiles.side);
            let position = self.b.mul(tile, side);
            self.signed(position)
        });
        for (position, name) in positions.iter_mut().zip(names) {
            *position = self.b.name(*position, name);
        }
        positions
    }

    fn tile(&mut self, threads: &Threads, corner: [Val; 2]) -> Result<(), String> {
        let plan = &threads.plan;
        let blocks = threads.blocks();
        let sums: Vec<QuadVar> = (0..4 * blocks * blocks)
            .map(|_| {
                let zero = self.b.zero_quad(plan.product.ty);
                self.b.quad_var("sum", zero)
            })
            .collect();
        let next = self.next_quads(plan);
        let [zero, terms] = [0, plan.terms].map(|v| self.b.u32(v));
        self.bring_both(plan, corner, zero, &next);
        let depth = self.b.bitcast(self.extents[plan.product.depth], Ty::U32);
        let (open, term) = self.b.begin_count("term", (zero, depth, terms));
        for which in [0, 1] {
            for (turn, from) in next[which].iter().enumerate() {
                self.put(plan, (which, turn), *from);
            }
        }
        self.b.barrier();
        let behind = self.b.add(term, terms);
        self.bring_both(plan, corner, behind, &next);
        self.multiply(threads, &sums);
        self.b.barrier();
        self.b.end_count(open);
        self.results(threads, corner, &sums)
    }

    /// Puts a quad that this thread has brought where all see it.
    fn put(&mut self, plan: &Plan, (which, turn): (usize, usize), from: QuadVar) {
        let value = self.b.get_quad(from);
        let piece = &plan.pieces[which];
        if !plan.tiles.reads[which].along_depth {
            let thread = self.ids.thread;
            return self.b.store_quad(piece.array, thread, value);
        }
        let (side, term) = piece.brings[turn];
        let [side, term] = [side, term].map(|v| self.b.bitcast(v, Ty::U32));
        let (quad, lane) = (self.over(side, 4), self.within(side, 4));
        for i in 0..4 {
            let (row, quads) = (self.b.u32(i), self.b.u32(plan.quads()));
            let row = self.b.add(term, row);
            let row = self.b.mul(row, quads);
            let at = self.b.add(row, quad);
            let element = self.b.lane(value, i);
            self.b.store_lane(piece.array, at, lane, element);
        }
    }

    /// Adds the products of the pieces to the sums of this thread, four terms in a row.
    fn multiply(&mut self, threads: &Threads, sums: &[QuadVar]) {
        let plan = &threads.plan;
        let [zero, end, step] = [0, plan.terms, UNROLLED].map(|v| self.b.u32(v));
        let (open, first) = self.b.begin_count("inner", (zero, end, step));
        let quads = self.b.u32(plan.quads());
        let before = self.b.mul(first, quads);
        let rows = threads.place.map(|place| self.b.add(before, place));
        for term in 0..UNROLLED {
            let [a, b] = [0, 1].map(|which| {
                let block = |block: u32| {
                    let further = self.b.u32(term * plan.quads() + block * ACROSS);
                    let at = self.b.add(rows[which], further);
                    self.b.load_quad(plan.pieces[which].array, at)
                };
                (0..threads.blocks()).map(block).collect::<Vec<Quad>>()
            });
            let mut sums = sums.iter();
            for row in 0..4 * threads.blocks() {
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
    fn results(&mut self, threads: &Threads, corner: [Val; 2], sums: &[QuadVar]) -> Result<(), String> {
        let (plan, place) = (&threads.plan, threads.place);
        let len = NonZeroU32::new(sums.len() as u32).unwrap_or(NonZeroU32::MIN);
        // The sums themselves stay in registers, which cannot be numbered at run time.
        let all = self.b.own_quads("sums", plan.product.ty, len);
        for (i, sum) in sums.iter().enumerate() {
            let value = self.b.get_quad(*sum);
            self.b.put_own(all, i as u32, value);
        }
        let [zero, end, one] = [0, len.get(), 1].map(|v| self.b.u32(v));
        let (open, number) = self.b.begin_count("quad", (zero, end, one));
        let (row, col) = (self.over(number, threads.blocks()), self.within(number, threads.blocks()));
        let (row_block, row_lane) = (self.over(row, 4), self.within(row, 4));
        let row = self.position(place[0], row_block, corner[0]);
        let row_lane = self.signed(row_lane);
        let row = self.b.add(row, row_lane);
        let row = self.b.name(row, "row");
        let col = self.position(place[1], col, corner[1]);
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
    pub(super) fn at_point(&mut self, plan: &Plan) -> Result<(), String> {
        self.find_bases();
        plan.product.behind.iter().try_for_each(|id| self.inst(*id))
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
