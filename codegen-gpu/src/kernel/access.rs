//! How the operands of a kernel lie in memory, and how their elements are read and written.
//!
//! A truth value is a whole word, since threads cannot write bytes. An `i64` is the two words that it is on the host, of
//! which a thread makes one: what it writes has 32 bits ([`crate::narrow`]), and what it reads and that does not fit is taken
//! for the nearest number that does. That is enough to know it for an index out of range.

use super::Emitter;
use crate::body::type_of;
use crate::build::{Array, Builder, QuadArray, Ty, Val};
use crate::cast;
use crate::words::Words;
use matex_ir::DType;
use matex_ir::loops::{InstId, OperandId, Store};
use naga::BinaryOperator;

/// The array of an operand.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// It is read and written element by element.
    Elements(Array),
    /// Each element is two words, the lower one first.
    Pairs(Array),
    /// It is read and written four elements at a time.
    Quads(QuadArray),
}

impl Bound {
    /// The array that the host binds next, of a dtype; by quads where it is `wide`.
    pub(super) fn new(
        b: &mut Builder,
        name: &str,
        (dtype, wide): (DType, bool),
        written: bool,
    ) -> Result<Bound, String> {
        let ty = match type_of(dtype) {
            Some(Ty::Bool) => Ty::U32,
            Some(ty) => ty,
            None => return Err(format!("it works on {dtype}")),
        };
        Ok(match (dtype, wide) {
            (DType::I64, false) => Bound::Pairs(b.buffer(name, ty, written)),
            (DType::I64 | DType::F64, true) => return Err(format!("it works on {dtype}")),
            (_, true) => Bound::Quads(b.quad_buffer(name, ty, written)),
            (_, false) => Bound::Elements(b.buffer(name, ty, written)),
        })
    }
}

impl Emitter<'_> {
    /// The element of an operand at the current point and position along the axis that is walked.
    pub(super) fn address(&mut self, operand: OperandId) -> Val {
        let o = operand.index();
        let base = self.bases[o];
        let at = match self.kernel.walked_axis() {
            Some(axis) => match self.coords[axis] {
                Some(at) => self.moved(base, o, axis, at),
                None => base,
            },
            None => base,
        };
        self.b.bitcast(at, Ty::U32)
    }

    /// What an operand holds at the current point.
    pub(super) fn load(&mut self, operand: OperandId) -> Result<Val, String> {
        if let Some(value) = self.at_hand[operand.index()] {
            return Ok(self.truth(operand, value));
        }
        let at = self.address(operand);
        self.load_from(operand, at)
    }

    /// What a word of an operand means: of a truth value whether it is one.
    fn truth(&mut self, operand: OperandId, word: Val) -> Val {
        if self.kernel.operands[operand.index()].dtype != DType::Bool {
            return word;
        }
        let zero = self.b.u32(0);
        self.b.binary(BinaryOperator::NotEqual, word, zero)
    }

    /// What an operand holds at the current point moved by indices: zero where one is out of range, which is told to the
    /// host.
    pub(super) fn load_at(&mut self, operand: OperandId, indices: &[InstId]) -> Result<Val, String> {
        let words = Words::of(self.kernel).gathers();
        let before = &self.kernel.operands[..operand.index()];
        let first = words + 2 * before.iter().map(|o| o.gathers).sum::<u32>();
        let flag = self.flag.ok_or("a gather without a flag")?;
        let at = self.address(operand);
        let mut at = self.b.bitcast(at, Ty::I32);
        let (zero, mut inside) = (self.b.i32(0), self.b.bool(true));
        for (i, index) in indices.iter().enumerate() {
            let index = self.values[index.index()].ok_or("an index is not known")?;
            let [extent, stride] = [0, 1].map(|w| self.b.arg(first + 2 * i as u32 + w));
            let from_end = self.b.add(index, extent);
            let negative = self.b.lt(index, zero);
            let index = self.b.select(negative, from_end, index);
            // As numbers without a sign those below zero are beyond every extent.
            let [index_bits, extent_bits] = [index, extent].map(|v| self.b.bitcast(v, Ty::U32));
            let fits = self.b.lt(index_bits, extent_bits);
            inside = self.b.and(inside, fits);
            let distance = self.b.mul(index, stride);
            at = self.b.add(at, distance);
        }
        let outside = self.b.unary(naga::UnaryOperator::LogicalNot, inside);
        self.b.when(outside, |b| b.raise(flag));
        // There is always a first element of an array, even where it means nothing.
        let at = self.b.select(inside, at, zero);
        let at = self.b.bitcast(at, Ty::U32);
        let value = self.load_from(operand, at)?;
        let nothing = self.b.constant(value.ty, 0);
        Ok(self.b.select(inside, value, nothing))
    }

    fn load_from(&mut self, operand: OperandId, at: Val) -> Result<Val, String> {
        let word = self.word_at(operand.index(), at);
        Ok(self.truth(operand, word))
    }

    /// The word of an operand at a place.
    pub(super) fn word_at(&mut self, operand: usize, at: Val) -> Val {
        match self.arrays[operand] {
            Bound::Elements(array) => self.b.load(array, at),
            Bound::Pairs(array) => {
                let [low_at, high_at] = self.pair(at);
                let (low, high) = (self.b.load(array, low_at), self.b.load(array, high_at));
                cast::nearest(&mut self.b, low, high)
            }
            Bound::Quads(_) => {
                self.b.fail("an array of quads is no array of elements");
                at
            }
        }
    }

    /// Where the two words of an element stand.
    fn pair(&mut self, at: Val) -> [Val; 2] {
        let low = self.b.shift(BinaryOperator::ShiftLeft, at, 1);
        let one = self.b.u32(1);
        [low, self.b.or(low, one)]
    }

    pub(super) fn store(&mut self, s: &Store) -> Result<(), String> {
        let value = self.values[s.value.index()].ok_or("a stored value is not known")?;
        let value = if value.ty == Ty::Bool { cast::cast(&mut self.b, value, Ty::U32) } else { value };
        let at = self.address(s.operand);
        match self.arrays[s.operand.index()] {
            Bound::Elements(array) => self.b.store(array, at, value),
            Bound::Pairs(array) => {
                let [low, high] = self.pair(at);
                let sign = self.b.shift(BinaryOperator::ShiftRight, value, 31);
                self.b.store(array, low, value);
                self.b.store(array, high, sign);
            }
            Bound::Quads(_) => return Err("an array of quads is no array of elements".to_owned()),
        }
        Ok(())
    }
}
