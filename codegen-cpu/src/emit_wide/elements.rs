//! Elements one by one, between operands and the frame: truth values and 8- and 16-bit values under a mask or with a stride,
//! and results with a stride where there is no instruction for them.

use super::Emitter;
use super::asm::{OFFSET, POSITION, TEMP, When};
use super::mir::{Arg, Elements, Lanes};
use iced_x86::{Code, Instruction, Register};

impl Emitter<'_> {
    pub(super) fn move_elements(&mut self, e: &Elements) {
        let kept = [POSITION, OFFSET].map(|r| {
            let at = self.frame.word();
            self.asm.put(at, r);
            (r, at)
        });
        let mut address = Instruction::default();
        address.set_code(Code::Lea_r64_m);
        self.set_operand(&mut address, 0, Arg::Gpr(TEMP), None);
        self.set_place(&mut address, 1, e.operand, None);
        self.asm.push(address);
        match e.lanes {
            Lanes::Left(left, most) => self.move_left(e, left, most),
            Lanes::Apart(count, distances, wanted) => {
                for lane in 0..count {
                    self.move_apart(e, lane as i32, distances, wanted);
                }
            }
        }
        for (r, at) in kept {
            self.asm.get(r, at);
        }
    }

    /// The first elements, as many as there are lanes left; more may be left than a vector has lanes.
    fn move_left(&mut self, e: &Elements, left: i32, most: usize) {
        self.asm.zero(OFFSET);
        let (again, done) = (self.asm.label(), self.asm.label());
        self.asm.bind(again);
        self.asm.compare_slot(OFFSET, left);
        self.asm.jump(When::GreaterOrEqual, done);
        let (operand, frame) = ((TEMP, OFFSET, 0), (Register::RSP, OFFSET, e.slot));
        let (from, to) = if e.out { (frame, operand) } else { (operand, frame) };
        self.asm.load_element(e.size, POSITION, from);
        self.asm.store_element(e.size, to, POSITION);
        self.asm.add_const(OFFSET, 1);
        self.asm.compare_const(OFFSET, most as i32);
        self.asm.jump(When::Less, again);
        self.asm.bind(done);
    }

    fn move_apart(&mut self, e: &Elements, lane: i32, distances: i32, wanted: Option<i32>) {
        let past = self.asm.label();
        if let Some(wanted) = wanted {
            self.asm.get(OFFSET, wanted + 8 * lane);
            self.asm.compare_const(OFFSET, 0);
            self.asm.jump(When::Zero, past);
        }
        self.asm.get(OFFSET, distances + 8 * lane);
        self.asm.add(OFFSET, TEMP);
        let (operand, frame) =
            ((OFFSET, Register::None, 0), (Register::RSP, Register::None, e.slot + lane * e.size as i32));
        let (from, to) = if e.out { (frame, operand) } else { (operand, frame) };
        self.asm.load_element(e.size, POSITION, from);
        self.asm.store_element(e.size, to, POSITION);
        self.asm.bind(past);
    }
}
