//! Maps by four elements a thread, and by tiles that operands are turned in ([`crate::maps`]).

use super::access::Bound;
use super::{Emitter, THREADS};
use crate::build::{Array, Quad, Ty, Val, When};
use crate::cast;
use crate::maps::{SIDE, Turned};
use matex_ir::loops::{InstKind, OperandId, Store};
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// The elements of a row of a tile in memory: one more than it has, so that those of a column lie in different banks.
const PITCH: u32 = SIDE + 1;

/// How many rows of a tile all threads take at a time.
const ROWS: u32 = THREADS / SIDE;

impl Emitter<'_> {
    /// All points, four neighbours along the innermost axis to a thread.
    pub(super) fn quads(&mut self) -> Result<(), String> {
        let last = self.kernel.axes.len().checked_sub(1).ok_or("no axis")?;
        self.moving = self.kernel.moving(last);
        let (open, point) = self.begin_points();
        let extent = self.extents[last];
        // Of the innermost axis the point counts quads.
        let two = self.b.u32(2);
        self.extents[last] = self.b.binary(BinaryOperator::ShiftRight, extent, two);
        let axes: Vec<usize> = self.parallel_axes().collect();
        self.decode(point, &axes);
        self.extents[last] = extent;
        let first = self.coords[last].ok_or("a position is not known")?;
        let first = self.b.shift(BinaryOperator::ShiftLeft, first, 2);
        self.coords[last] = Some(first);
        self.find_bases();
        let read = self.read_quads();
        let stored = self.lanes(last, first, &read)?;
        self.coords[last] = Some(first);
        self.find_bases();
        self.store_lanes(last, first, &stored)?;
        self.at_hand.fill(None);
        self.b.end_count(open);
        Ok(())
    }

    /// The four elements of each operand that is read so.
    fn read_quads(&mut self) -> Vec<Option<Quad>> {
        let kernel = self.kernel;
        let mut quads = Vec::with_capacity(kernel.operands.len());
        for o in 0..kernel.operands.len() {
            let load = InstKind::Load(OperandId(o as u32));
            let quad = match self.arrays[o] {
                Bound::Quads(array) if kernel.body.iter().any(|i| i.kind == load) => {
                    let at = self.quad_address(o);
                    Some(self.b.load_quad(array, at))
                }
                Bound::Quads(_) | Bound::Elements(_) | Bound::Pairs(_) => None,
            };
            quads.push(quad);
        }
        quads
    }

    fn quad_address(&mut self, operand: usize) -> Val {
        let at = self.b.bitcast(self.bases[operand], Ty::U32);
        self.b.shift(BinaryOperator::ShiftRight, at, 2)
    }

    /// What is computed for each of four elements: the values of the stores.
    fn lanes(
        &mut self,
        last: usize,
        first: Val,
        read: &[Option<Quad>],
    ) -> Result<[Vec<Option<Val>>; 4], String> {
        let mut stored: [Vec<Option<Val>>; 4] = Default::default();
        for (lane, stored) in (0..).zip(&mut stored) {
            let distance = self.b.i32(lane);
            self.coords[last] = Some(self.b.add(first, distance));
            self.find_bases();
            for (o, quad) in read.iter().enumerate() {
                self.at_hand[o] = quad.map(|q| self.b.lane(q, lane as u32));
            }
            for id in 0..self.kernel.body.len() {
                if lane == 0 || self.moving[id] {
                    self.inst(id)?;
                }
            }
            *stored = self.kernel.stores.iter().map(|s| self.values[s.value.index()]).collect();
        }
        Ok(stored)
    }

    fn store_lanes(&mut self, last: usize, first: Val, stored: &[Vec<Option<Val>>; 4]) -> Result<(), String> {
        let kernel = self.kernel;
        for (number, s) in kernel.stores.iter().enumerate() {
            let Bound::Quads(array) = self.arrays[s.operand.index()] else {
                self.store_one_by_one(last, first, (number, s), stored)?;
                continue;
            };
            let mut lanes = Vec::with_capacity(4);
            for values in stored {
                let value = values[number].ok_or("a stored value is not known")?;
                lanes.push(if value.ty == Ty::Bool {
                    cast::cast(&mut self.b, value, Ty::U32)
                } else {
                    value
                });
            }
            let quad = self.b.quad([lanes[0], lanes[1], lanes[2], lanes[3]]);
            let at = self.quad_address(s.operand.index());
            self.b.store_quad(array, at, quad);
        }
        Ok(())
    }

    /// A result whose elements are no words.
    fn store_one_by_one(
        &mut self,
        last: usize,
        first: Val,
        (number, s): (usize, &Store),
        stored: &[Vec<Option<Val>>; 4],
    ) -> Result<(), String> {
        for (lane, values) in (0..).zip(stored) {
            let distance = self.b.i32(lane);
            self.coords[last] = Some(self.b.add(first, distance));
            self.find_bases();
            self.values[s.value.index()] = values[number];
            self.store(s)?;
        }
        self.coords[last] = Some(first);
        self.find_bases();
        Ok(())
    }

    /// All points, in tiles of the innermost axis and the one that turned operands lie along.
    pub(super) fn turned(&mut self, turned: Turned) -> Result<(), String> {
        let last = self.kernel.axes.len().checked_sub(1).ok_or("no axis")?;
        let mut tiles = Vec::new();
        for operand in 0..self.kernel.operands.len() {
            if let (Bound::Elements(array), true) = (self.arrays[operand], turned.brings(operand)) {
                let len = NonZeroU32::new(SIDE * PITCH).unwrap_or(NonZeroU32::MIN);
                let name = format!("tile_{}", super::letter(operand));
                tiles.push((operand, array, self.b.shared(&name, array.ty(), len)));
            }
        }
        let across = [turned.rows, last].map(|axis| {
            let (extent, more) = (self.b.bitcast(self.extents[axis], Ty::U32), self.b.u32(SIDE - 1));
            let extent = self.b.add(extent, more);
            self.b.shift(BinaryOperator::ShiftRight, extent, SIDE.ilog2())
        });
        let (open, point) = self.begin_points();
        let corner = self.turned_corner((turned.rows, last), point, across);
        self.bring_tiles((turned.rows, last), corner, &tiles)?;
        self.b.barrier();
        self.compute_tile((turned.rows, last), corner, &tiles)?;
        // The next tile is brought to the same memory.
        self.b.barrier();
        self.b.end_count(open);
        Ok(())
    }

    /// The positions of the first element of a tile.
    fn turned_corner(
        &mut self,
        (rows, last): (usize, usize),
        point: Val,
        [down, across]: [Val; 2],
    ) -> [Val; 2] {
        let col = self.b.binary(BinaryOperator::Modulo, point, across);
        let rest = self.b.binary(BinaryOperator::Divide, point, across);
        let row = self.b.binary(BinaryOperator::Modulo, rest, down);
        let rest = self.b.binary(BinaryOperator::Divide, rest, down);
        let loops: Vec<usize> = self.parallel_axes().filter(|a| *a != rows && *a != last).collect();
        self.decode(rest, &loops);
        [row, col].map(|tile| {
            let first = self.b.shift(BinaryOperator::ShiftLeft, tile, SIDE.ilog2());
            self.b.bitcast(first, Ty::I32)
        })
    }

    /// Sets the position of this thread in a tile, its neighbours being along the second axis, and opens a block for when
    /// that is inside. Also the place in the tile: the one along the first axis, and the one along the second.
    fn begin_place(
        &mut self,
        (first, second): (usize, usize),
        corner: [Val; 2],
        turn: u32,
    ) -> (When, [Val; 2]) {
        let b = &mut self.b;
        let mask = b.u32(SIDE - 1);
        let near = b.and(self.ids.thread, mask);
        let far = b.shift(BinaryOperator::ShiftRight, self.ids.thread, SIDE.ilog2());
        let before = b.u32(turn * ROWS);
        let far = b.add(far, before);
        let [at_first, at_second] = [(far, corner[0]), (near, corner[1])].map(|(place, corner)| {
            let place = b.bitcast(place, Ty::I32);
            b.add(corner, place)
        });
        let inside = [b.lt(at_first, self.extents[first]), b.lt(at_second, self.extents[second])];
        let inside = b.and(inside[0], inside[1]);
        self.coords[first] = Some(at_first);
        self.coords[second] = Some(at_second);
        let open = self.b.begin_when(inside);
        (open, [far, near])
    }

    /// The element of a tile in the workgroup's memory, whose rows lie along the axis of turned operands.
    fn tile_place(&mut self, along: Val, across: Val) -> Val {
        let pitch = self.b.u32(PITCH);
        let row = self.b.mul(across, pitch);
        self.b.add(row, along)
    }

    fn bring_tiles(
        &mut self,
        (rows, last): (usize, usize),
        [row, col]: [Val; 2],
        tiles: &[(usize, Array, Array)],
    ) -> Result<(), String> {
        for turn in 0..SIDE / ROWS {
            let (open, [across, along]) = self.begin_place((last, rows), [col, row], turn);
            self.find_bases();
            let place = self.tile_place(along, across);
            for (operand, array, tile) in tiles {
                let at = self.address(OperandId(*operand as u32));
                let value = self.b.load(*array, at);
                self.b.store(*tile, place, value);
            }
            self.b.end_when(open);
        }
        Ok(())
    }

    fn compute_tile(
        &mut self,
        (rows, last): (usize, usize),
        corner: [Val; 2],
        tiles: &[(usize, Array, Array)],
    ) -> Result<(), String> {
        let kernel = self.kernel;
        for turn in 0..SIDE / ROWS {
            let (open, [along, across]) = self.begin_place((rows, last), corner, turn);
            self.find_bases();
            let place = self.tile_place(along, across);
            for (operand, _, tile) in tiles {
                self.at_hand[*operand] = Some(self.b.load(*tile, place));
            }
            (0..kernel.body.len()).try_for_each(|id| self.inst(id))?;
            kernel.stores.iter().try_for_each(|s| self.store(s))?;
            self.b.end_when(open);
        }
        self.at_hand.fill(None);
        Ok(())
    }
}
