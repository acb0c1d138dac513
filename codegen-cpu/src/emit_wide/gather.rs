//! Reads at places that data tells.
//!
//! Every lane has its own distance in bytes. Where an index is out of range the lane is not read, is 0, and the kernel
//! answers that there was one: a vector in the frame collects such lanes.

use super::asm::{TEMP, When};
use super::codes::{Do, Lane};
use super::compare::Condition;
use super::mir::{Place, V};
use super::small::is_small;
use super::values::At;
use super::{Emitter, Out};
use iced_x86::Register;
use matex_ir::loops::{Access, InstKind, OperandId};
use matex_ir::{DType, Op, Scalar};

/// What gathers need: where the extents and strides of gathered dimensions are, and what was out of range.
#[derive(Default)]
pub(super) struct Gathers {
    /// By operand and dimension the slots of the extent and of the stride.
    words: Vec<Vec<(i32, i32)>>,
    wrong: Option<V>,
}

impl Emitter<'_> {
    /// Keeps the words of gathered dimensions, from the strides array in this register.
    pub(super) fn gather_arguments(&mut self, strides: Register) -> Out<()> {
        let k = self.k;
        if !k.body.iter().any(|i| matches!(i.kind, InstKind::LoadAt { .. })) {
            return Ok(());
        }
        for (o, operand) in k.operands.iter().enumerate() {
            let first = k.gather_words(OperandId(o as u32));
            let mut words = Vec::new();
            for n in 0..operand.gathers as usize {
                let slots = [self.frame.word(), self.frame.word()];
                for (part, slot) in slots.into_iter().enumerate() {
                    self.asm.load(Register::R9, strides, 8 * (first + 2 * n + part) as i32);
                    self.asm.put(slot, Register::R9);
                }
                words.push((slots[0], slots[1]));
            }
            self.gathers.words.push(words);
        }
        let wrong = self.vector();
        let slot = self.home(wrong);
        for word in 0..8 {
            self.asm.put_const(slot + 8 * word, 0);
        }
        self.gathers.wrong = Some(wrong);
        Ok(())
    }

    /// The operand's elements at these positions along its gathered dimensions.
    pub(super) fn load_at(&mut self, o: OperandId, indices: &[Vec<V>], copy: usize, at: At) -> Out<Vec<V>> {
        let (o, d) = (o.index(), self.k.operands[o.index()].dtype);
        let parts = self.chunks(DType::I64);
        let (mut inside, mut offsets) = (Vec::new(), Vec::new());
        for part in 0..parts {
            let mut offset = self.lane_offset(o, copy, part, at)?;
            let mut valid: Option<V> = None;
            for (index, (extent, stride)) in indices.iter().zip(self.gathers.words[o].clone()) {
                let (extent, stride) = (self.word_lanes(extent), self.word_lanes(stride));
                let zero = self.bits(0, 8);
                let negative = self.compare_lanes(Condition::Less, Lane::I64, index[part], zero)?;
                let from_end = self.op(Do::Add, Lane::I64, &[index[part], extent])?;
                let index = self.blend(negative, 8, from_end, index[part]);
                // Extents are not negative, so that one comparison of unsigned numbers checks both ends.
                let below = self.compare_lanes(Condition::Less, Lane::U64, index, extent)?;
                valid = Some(match valid {
                    Some(valid) => self.logic(Op::And, &[valid, below])?,
                    None => below,
                });
                let distance = self.multiply(Lane::I64, &[index, stride])?;
                offset = Some(match offset {
                    Some(offset) => self.op(Do::Add, Lane::I64, &[offset, distance])?,
                    None => distance,
                });
            }
            inside.push(valid.ok_or("a gather along no dimension")?);
            offsets.push(offset.ok_or("a gather along no dimension")?);
        }
        let inside = self.mask_from(&inside);
        let read = match at.mask {
            Some(tail) => self.logic(Op::And, &[inside, tail])?,
            None => inside,
        };
        self.note_wrong(inside, at)?;
        if d == DType::Bool || is_small(d) {
            let slot = self.frame.place(64, 64);
            self.copy_at(o, &offsets, Some(read), slot, false);
            let values = [self.narrow_at(o, Place::frame(slot), None)];
            let zero = self.constant(Scalar::from_bits(d, 0));
            return self.select(read, d, &values, &zero);
        }
        let mut values = Vec::new();
        for (part, offset) in offsets.into_iter().enumerate() {
            let mask = self.gather_mask(Some(read), d.size(), part);
            values.push(self.gather_part(o, offset, mask));
        }
        let (values, zero) = (self.gathered(&values, d.size()), self.bits(0, d.size()));
        self.select(read, d, &values, &vec![zero; self.chunks(d)])
    }

    /// Bytes to each lane from where an operand stands; none where it does not move along them.
    fn lane_offset(&mut self, o: usize, copy: usize, part: usize, at: At) -> Out<Option<V>> {
        let size = self.k.operands[o].dtype.size() as i64;
        match self.lane_access(o) {
            Access::Zero => Ok(None),
            Access::Strided => self.lane_offsets(o, copy + at.skip, part).map(Some),
            Access::Unit => {
                let in_part = (self.level.bytes() / 8) as i64;
                let first = ((copy + at.skip) * self.lanes) as i64 + part as i64 * in_part;
                let lanes = self.lanes_of((first..first + in_part).map(|n| n * size), 8);
                if at.walked.is_none() || at.walked != self.k.vector_axis() {
                    return Ok(Some(lanes));
                }
                // The pointer stays at the beginning of the walk.
                let (position, size) = (self.position(), self.bits(size as u64, 8));
                let moved = self.multiply(Lane::I64, &[position, size])?;
                self.op(Do::Add, Lane::I64, &[moved, lanes]).map(Some)
            }
        }
    }

    /// Collects the lanes that are there and not inside.
    fn note_wrong(&mut self, inside: V, at: At) -> Out<()> {
        let Some(wrong) = self.gathers.wrong else { return Ok(()) };
        let mut outside = self.logic(Op::Not, &[inside])?;
        if let Some(tail) = at.mask {
            outside = self.logic(Op::And, &[outside, tail])?;
        }
        let lanes = self.truth_lanes(outside);
        let all = self.op(Do::Or, Lane::I64, &[wrong, lanes])?;
        self.assign_one(wrong, all);
        Ok(())
    }

    /// Puts the status word into the register of results.
    pub(super) fn answer(&mut self) {
        let slot = self.gathers.wrong.and_then(|wrong| self.slot_of(wrong));
        let Some(slot) = slot else { return self.asm.zero(TEMP) };
        let (found, done) = (self.asm.label(), self.asm.label());
        for word in 0..8 {
            self.asm.get(TEMP, slot + 8 * word);
            self.asm.compare_const(TEMP, 0);
            self.asm.jump(When::NotZero, found);
        }
        self.asm.zero(TEMP);
        self.asm.jump(When::Always, done);
        self.asm.bind(found);
        self.asm.zero(TEMP);
        self.asm.add_const(TEMP, 1);
        self.asm.bind(done);
    }
}
