//! Constants, stack slots, loads and stores.

use super::Emitter;
use super::loops::Point;
use super::types::{VECTOR, Width};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{
    Endianness, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value, condcodes::IntCC,
    types as ct,
};
use matex_ir::loops::{Access, InstId, OperandId};
use matex_ir::{DType, Scalar};

/// Flags for every access to operands and stack slots: the caller vouches for the addresses.
pub(super) fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Flags of a bit cast: lanes are counted from the low end.
pub(super) fn lanes_in_order() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Emitter<'_, '_> {
    /// The address of a fresh, 16-byte aligned stack slot.
    pub(super) fn slot(&mut self, bytes: u32) -> Value {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4);
        let slot = self.b.create_sized_stack_slot(data);
        self.b.ins().stack_addr(ct::I64, slot, 0)
    }

    pub(super) fn int(&mut self, v: i64) -> Value {
        self.b.ins().iconst(ct::I64, v)
    }

    /// A zero of any scalar type.
    pub(super) fn zero(&mut self, ty: Type) -> Value {
        if ty == ct::F32 {
            self.b.ins().f32const(Ieee32::with_bits(0))
        } else if ty == ct::F64 {
            self.b.ins().f64const(Ieee64::with_bits(0))
        } else {
            self.b.ins().iconst(ty, 0)
        }
    }

    /// A constant, in every lane.
    pub(super) fn constant(&mut self, s: Scalar, w: Width) -> Value {
        let Width::Vector(bytes) = w else { return self.scalar_constant(s) };
        let size = bytes as usize;
        let mask = s.dtype() == DType::Bool && w.masks();
        let word = if mask && s.bits() != 0 { [0xff; 8] } else { s.bits().to_le_bytes() };
        let data: Vec<u8> = word[..size].repeat(VECTOR as usize / size);
        let handle = self.b.func.dfg.constants.insert(data.into());
        self.b.ins().vconst(w.ty(s.dtype()), handle)
    }

    fn scalar_constant(&mut self, s: Scalar) -> Value {
        match s.dtype() {
            DType::F32 => self.b.ins().f32const(Ieee32::with_bits(s.bits() as u32)),
            DType::F64 => self.b.ins().f64const(Ieee64::with_bits(s.bits())),
            DType::F16
            | DType::BF16
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::Bool => self.b.ins().iconst(Width::Scalar.ty(s.dtype()), s.bits() as i64),
        }
    }

    /// The access class along the vector axis.
    pub(super) fn vector_access(&self, o: OperandId) -> Access {
        match self.k.vector_axis() {
            Some(axis) => self.k.operands[o.index()].access[axis],
            None => Access::Zero,
        }
    }

    /// The address of the operand's element `d` positions along the vector axis, as a pointer and an offset.
    fn address(&mut self, o: OperandId, at: &Point, d: i64) -> (Value, i32) {
        let base = at.ptrs[o.index()];
        match (self.vector_access(o), self.k.vector_axis()) {
            (Access::Unit, _) => (base, (d * self.k.operands[o.index()].dtype.size() as i64) as i32),
            (Access::Strided, Some(axis)) if d != 0 => {
                let step = self.b.ins().imul_imm_s(self.args.strides[o.index()][axis], d);
                (self.b.ins().iadd(base, step), 0)
            }
            (Access::Strided | Access::Zero, _) => (base, 0),
        }
    }

    /// The operand's elements from position `d` on.
    pub(super) fn load(&mut self, o: OperandId, at: &Point, d: i64, w: Width) -> Value {
        let dtype = self.k.operands[o.index()].dtype;
        let access = self.vector_access(o);
        if !w.is_vector() || access == Access::Unit {
            let (base, offset) = self.address(o, at, d);
            return self.b.ins().load(w.ty(dtype), memory(), base, offset);
        }
        let scalar = Width::Scalar.ty(dtype);
        let (base, offset) = self.address(o, at, d);
        let first = self.b.ins().load(scalar, memory(), base, offset);
        let mut v = self.b.ins().splat(w.ty(dtype), first);
        if access == Access::Strided {
            for lane in 1..w.lanes() as u8 {
                let (base, offset) = self.address(o, at, d + i64::from(lane));
                let x = self.b.ins().load(scalar, memory(), base, offset);
                v = self.b.ins().insertlane(v, x, lane);
            }
        }
        v
    }

    /// Writes the operand's elements from position `d` on.
    pub(super) fn store(&mut self, o: OperandId, value: Value, at: &Point, d: i64, w: Width) {
        if !w.is_vector() || self.vector_access(o) == Access::Unit {
            let (base, offset) = self.address(o, at, d);
            self.b.ins().store(memory(), value, base, offset);
            return;
        }
        for lane in 0..w.lanes() as u8 {
            let x = self.b.ins().extractlane(value, lane);
            let (base, offset) = self.address(o, at, d + i64::from(lane));
            self.b.ins().store(memory(), x, base, offset);
        }
    }

    /// A gather of one element. An index out of range sets the status, and a zero is read instead.
    pub(super) fn load_at(&mut self, o: OperandId, indices: &[Value], at: &Point, d: i64) -> Value {
        let (mut ptr, offset) = self.address(o, at, d);
        let mut valid = self.b.ins().iconst(ct::I8, 1);
        let dims = self.args.gathers[o.index()].clone();
        for (index, (extent, stride)) in indices.iter().zip(dims) {
            let from_end = self.b.ins().iadd(*index, extent);
            let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, *index, 0);
            let index = self.b.ins().select(negative, from_end, *index);
            // Extents are not negative, so that an unsigned comparison checks both ends.
            let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, extent);
            valid = self.b.ins().band(valid, inside);
            let step = self.b.ins().imul(index, stride);
            ptr = self.b.ins().iadd(ptr, step);
        }
        if offset != 0 {
            ptr = self.b.ins().iadd_imm_s(ptr, i64::from(offset));
        }
        let zeros = match self.zeros {
            Some(z) => z,
            None => ptr,
        };
        let safe = self.b.ins().select(valid, ptr, zeros);
        let wrong = self.b.ins().bxor_imm_u(valid, 1);
        let wrong = self.b.ins().uextend(ct::I32, wrong);
        let status = self.b.use_var(self.status);
        let status = self.b.ins().bor(status, wrong);
        self.b.def_var(self.status, status);
        self.b.ins().load(Width::Scalar.ty(self.k.operands[o.index()].dtype), memory(), safe, 0)
    }

    /// The dtype of an instruction.
    pub(super) fn dtype(&self, id: InstId) -> DType {
        self.k.inst(id).dtype
    }
}
