//! A matrix product of halves by tiles, with the device's units for small matrices ([`Units`]).
//!
//! Pieces of both sides go through memory that the workgroup shares as in the plain tiles, as halves and as they lie, by
//! rows or by columns, which the units read both. Each subgroup has a part of the tile: some rows of small
//! matrices of sums, in single precision. In the end a small matrix at a time goes through shared memory to the threads, which do
//! with each sum what the kernel does and store it.
//!
//! The order in which the terms of a small product are added, and how, is the device's.

use super::Emitter;
use super::pieces::{NAMES, Next, Piece, Plan};
use crate::build::{Array, Lies, Matrix, QuadVar, SubgroupIds, SumsVar, Ty, Val};
use crate::product::{HALF_TERMS, Tiles, Units, line_quads, piece_quads, product};
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// What a subgroup does.
struct Part {
    plan: Plan,
    units: Units,
    ids: SubgroupIds,
    /// How many small matrices it has down and across.
    count: [u32; 2],
    /// Its first row and column in the tile.
    place: [Val; 2],
    /// Where a small matrix of sums of each subgroup passes through.
    passage: Array,
}

impl Emitter<'_> {
    pub(super) fn tiles_by_units(&mut self, tiles: Tiles, units: Units) -> Result<(), String> {
        let product = product(self.kernel).ok_or("it is no product")?;
        let ids = self.subgroup.ok_or("units without subgroups")?;
        let mut pieces = Vec::with_capacity(2);
        for which in [0, 1] {
            let quads = piece_quads(tiles.side, tiles.reads[which].along_depth);
            let len = NonZeroU32::new(quads).unwrap_or(NonZeroU32::MIN);
            pieces.push(Piece {
                array: self.b.shared_quads(&format!("piece_{}", NAMES[which]), Ty::F16, len),
                value: product.factors[which].half.ok_or("a factor that is no half")?,
                ty: Ty::F16,
                brings: self.brought(tiles, which, HALF_TERMS),
            });
        }
        let pieces: [Piece; 2] = pieces.try_into().map_err(|_| "a product of two sides")?;
        let plan = Plan { tiles, product, pieces, terms: HALF_TERMS };
        let part = self.part(plan, (units, ids))?;
        let across = self.across(tiles);
        let (open, point) = self.begin_points();
        let corner = self.corner(tiles, point, across);
        self.tile_by_units(&part, corner)?;
        self.b.end_count(open);
        Ok(())
    }

    /// How the subgroups share a tile: about as many of them down as across.
    fn part(&mut self, plan: Plan, (units, ids): (Units, SubgroupIds)) -> Result<Part, String> {
        let all = units.subgroups();
        let across = 1 << (all.ilog2() / 2);
        let count = [all / across, across].map(|n| plan.tiles.side / units.side / n);
        if count.contains(&0) {
            return Err("more subgroups than small matrices".to_owned());
        }
        let numbers = [self.over(ids.number, across), self.within(ids.number, across)];
        let place = [0, 1].map(|i| {
            let size = self.b.u32(count[i] * units.side);
            self.b.mul(numbers[i], size)
        });
        let elements = units.side * units.side * all;
        let passage = self.b.shared("sums", Ty::F32, NonZeroU32::new(elements).unwrap_or(NonZeroU32::MIN));
        Ok(Part { plan, units, ids, count, place, passage })
    }

    fn tile_by_units(&mut self, part: &Part, corner: [Val; 2]) -> Result<(), String> {
        let plan = &part.plan;
        let count = part.count[0] * part.count[1];
        let sums: Vec<SumsVar> = (0..count).map(|_| self.b.sums_var("sum", part.units.side)).collect();
        let next: Next = self.next_quads(plan);
        let [zero, terms] = [0, plan.terms].map(|v| self.b.u32(v));
        self.bring_both(plan, corner, zero, &next);
        let depth = self.b.bitcast(self.extents[plan.product.depth], Ty::U32);
        let (open, term) = self.b.begin_count("term", (zero, depth, terms));
        for (which, quads) in next.iter().enumerate() {
            quads.iter().enumerate().for_each(|(turn, from)| self.put_halves(plan, (which, turn), *from));
        }
        self.b.barrier();
        let behind = self.b.add(term, terms);
        self.bring_both(plan, corner, behind, &next);
        self.multiply_by_units(part, &sums);
        self.b.barrier();
        self.b.end_count(open);
        for (i, sum) in sums.iter().enumerate() {
            let [down, right] = [i as u32 / part.count[1], i as u32 % part.count[1]];
            self.result(part, corner, (*sum, [down, right]))?;
        }
        Ok(())
    }

    /// Puts a quad that this thread has brought where all see it.
    fn put_halves(&mut self, plan: &Plan, (which, turn): (usize, usize), from: QuadVar) {
        let value = self.b.get_quad(from);
        let (piece, along_depth) = (&plan.pieces[which], plan.tiles.reads[which].along_depth);
        let (side, term) = piece.brings[turn];
        let (line, first) = if along_depth { (side, term) } else { (term, side) };
        let [line, first] = [line, first].map(|v| self.b.bitcast(v, Ty::U32));
        let quads = self.b.u32(line_quads(plan.tiles.side, along_depth));
        let before = self.b.mul(line, quads);
        let quad = self.over(first, 4);
        let at = self.b.add(before, quad);
        self.b.store_quad(piece.array, at, value);
    }

    /// A small matrix of a side of the products: the one of a number from this subgroup's place on, and of some terms.
    fn small(&mut self, part: &Part, which: usize, (number, term): (u32, u32)) -> Matrix {
        let (plan, side) = (&part.plan, part.units.side);
        let along_depth = plan.tiles.reads[which].along_depth;
        let stride = line_quads(plan.tiles.side, along_depth);
        let further = self.b.u32(number * side);
        let at_side = self.b.add(part.place[which], further);
        let at = if along_depth {
            let lines = self.b.u32(stride);
            let before = self.b.mul(at_side, lines);
            let quads = self.b.u32(term / 4);
            self.b.add(before, quads)
        } else {
            let quads = self.over(at_side, 4);
            let before = self.b.u32(term * stride);
            self.b.add(before, quads)
        };
        // Rows of `a` and columns of `b` go along the sums.
        let by_rows = along_depth == (which == 0);
        self.b.load_factor(which, side, plan.pieces[which].array, Lies { at, stride, by_rows })
    }

    /// Adds the products of the pieces to the sums of this subgroup.
    fn multiply_by_units(&mut self, part: &Part, sums: &[SumsVar]) {
        for term in (0..part.plan.terms).step_by(part.units.side as usize) {
            let [a, b] = [0, 1].map(|which| {
                let all = 0..part.count[which];
                all.map(|number| self.small(part, which, (number, term))).collect::<Vec<Matrix>>()
            });
            let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b)));
            for ((a, b), var) in pairs.zip(sums) {
                let before = self.b.get_sums(*var);
                let after = self.b.multiply_add(a, b, before);
                self.b.set_sums(*var, after);
            }
        }
    }

    /// Does with each sum of a small matrix what the kernel does with it, and stores what comes of it.
    fn result(
        &mut self,
        part: &Part,
        corner: [Val; 2],
        (sum, number): (SumsVar, [u32; 2]),
    ) -> Result<(), String> {
        let (plan, side) = (&part.plan, part.units.side);
        let elements = self.b.u32(side * side);
        let mine = self.b.mul(part.ids.number, elements);
        let sums = self.b.get_sums(sum);
        self.b.store_sums(sums, part.passage, mine, side);
        self.b.barrier();
        let lanes = self.b.u32(part.units.lanes);
        let (open, element) = self.b.begin_count("element", (part.ids.lane, elements, lanes));
        let within = [self.over(element, side), self.within(element, side)];
        let mut positions = corner;
        for i in [0, 1] {
            let further = self.b.u32(number[i] * side);
            let at = self.b.add(part.place[i], further);
            let at = self.b.add(at, within[i]);
            let at = self.signed(at);
            positions[i] = self.b.add(corner[i], at);
            positions[i] = self.b.name(positions[i], ["row", "col"][i]);
        }
        let [row, col] = positions;
        let below = self.b.lt(row, self.extents[plan.tiles.rows]);
        let left = self.b.lt(col, self.extents[plan.tiles.cols]);
        let inside = self.b.binary(BinaryOperator::And, below, left);
        let within = self.b.begin_when(inside);
        self.coords[plan.tiles.rows] = Some(row);
        self.coords[plan.tiles.cols] = Some(col);
        let at = self.b.add(mine, element);
        self.values[plan.product.sum] = Some(self.b.load(part.passage, at));
        self.at_point(plan)?;
        let kernel = self.kernel;
        kernel.stores.iter().try_for_each(|s| self.store(s))?;
        self.b.end_when(within);
        self.b.end_count(open);
        self.b.barrier();
        Ok(())
    }
}
