//! Scalar code for the lanes that an expansion does not hold for, in a cold block beside the straight line.

use super::Emitter;
use super::types::Width;
use cranelift_codegen::ir::{InstBuilder, Value};
use matex_ir::{DType, Op};

impl Emitter<'_, '_> {
    /// `a` is (fast, beyond, x): `fast`, but the op's meaning at `x` in the lanes where `beyond` is true.
    pub(super) fn rescue(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Option<Value> {
        let &[fast, beyond, x] = a else { return None };
        let (cold, done) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        let result = self.b.append_block_param(done, w.ty(d));
        let any = if w.is_vector() { self.b.ins().vany_true(beyond) } else { beyond };
        self.b.ins().brif(any, cold, &[], done, &[fast.into()]);
        self.b.switch_to_block(cold);
        let slow = if w.is_vector() {
            let mut called = fast;
            for lane in 0..w.lanes() as u8 {
                let element = self.b.ins().extractlane(x, lane);
                let y = self.float_call(op, d, &[element]);
                called = self.b.ins().insertlane(called, y, lane);
            }
            self.select(d, &[beyond, called, fast], w)
        } else {
            self.float_call(op, d, &[x])
        };
        self.b.ins().jump(done, &[slow.into()]);
        self.b.switch_to_block(done);
        Some(result)
    }
}
