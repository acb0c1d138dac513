//! Values of four elements, and arrays that are read and written four elements at a time: 16 bytes are what a device moves
//! at once.

use super::{Array, Builder, Ty, Val};
use naga::{
    AddressSpace, ArraySize, BinaryOperator, Expression, Handle, LocalVariable, MathFunction, Span,
    Statement, StorageAccess, Type, TypeInner, VectorSize,
};
use std::num::NonZeroU32;

/// Four values, good where the one inside is; the type is that of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quad(Val);

/// A variable of four elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuadVar {
    local: Handle<LocalVariable>,
    ty: Ty,
    function: u32,
}

/// An array of quads that the host binds, or that a workgroup shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuadArray(pub(super) Array);

/// An array of quads that a thread has alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnQuads(QuadVar);

impl Builder {
    fn quad_type(&mut self, ty: Ty) -> Handle<Type> {
        self.ty(TypeInner::Vector { size: VectorSize::Quad, scalar: ty.scalar() })
    }

    fn quads_type(&mut self, ty: Ty, size: ArraySize) -> Handle<Type> {
        let base = self.quad_type(ty);
        self.ty(TypeInner::Array { base, size, stride: 4 * u32::from(ty.scalar().width) })
    }

    /// An array of quads that the host binds next.
    pub(crate) fn quad_buffer(&mut self, name: &str, ty: Ty, written: bool) -> QuadArray {
        let array = self.quads_type(ty, ArraySize::Dynamic);
        let store = if written { StorageAccess::STORE } else { StorageAccess::empty() };
        let space = AddressSpace::Storage { access: StorageAccess::LOAD | store };
        QuadArray(Array { global: self.global(name, space, array), ty })
    }

    /// An array of so many quads that the threads of a workgroup share.
    pub(crate) fn shared_quads(&mut self, name: &str, ty: Ty, len: NonZeroU32) -> QuadArray {
        let array = self.quads_type(ty, ArraySize::Constant(len));
        QuadArray(Array { global: self.global(name, AddressSpace::WorkGroup, array), ty })
    }

    pub(crate) fn load_quad(&mut self, QuadArray(array): QuadArray, index: Val) -> Quad {
        let pointer = self.element(array, index);
        Quad(self.eval(Expression::Load { pointer }, array.ty))
    }

    pub(crate) fn store_quad(&mut self, QuadArray(array): QuadArray, index: Val, Quad(value): Quad) {
        self.expect("an array of quads", value.ty, array.ty);
        let (pointer, value) = (self.element(array, index), self.used(value));
        self.statement(Statement::Store { pointer, value });
    }

    /// Stores one element of a quad.
    pub(crate) fn store_lane(&mut self, QuadArray(array): QuadArray, index: Val, lane: Val, value: Val) {
        self.expect("a lane", value.ty, array.ty);
        let (base, index) = (self.element(array, index), self.used(lane));
        let pointer = self.raw(Expression::Access { base, index });
        let value = self.used(value);
        self.statement(Statement::Store { pointer, value });
    }

    /// Four times the same value.
    pub(crate) fn splat(&mut self, v: Val) -> Quad {
        let value = self.used(v);
        Quad(self.eval(Expression::Splat { size: VectorSize::Quad, value }, v.ty))
    }

    /// A quad of these values.
    pub(crate) fn quad(&mut self, lanes: [Val; 4]) -> Quad {
        let ty = lanes[0].ty;
        lanes.iter().for_each(|v| self.expect("a quad", v.ty, ty));
        let components = lanes.iter().map(|v| self.used(*v)).collect();
        let vector = self.quad_type(ty);
        Quad(self.eval(Expression::Compose { ty: vector, components }, ty))
    }

    /// One of the four values.
    pub(crate) fn lane(&mut self, Quad(q): Quad, lane: u32) -> Val {
        let base = self.used(q);
        self.eval(Expression::AccessIndex { base, index: lane }, q.ty)
    }

    /// `a * b + c` in each lane: rounded once or twice, as the device does.
    pub(crate) fn quad_fma(&mut self, Quad(a): Quad, Quad(b): Quad, Quad(c): Quad) -> Quad {
        [a, b].iter().for_each(|v| self.expect("a product of quads", v.ty, c.ty));
        let [x, y, z] = [a, b, c].map(|v| self.used(v));
        if c.ty == Ty::F32 {
            let fun = MathFunction::Fma;
            return Quad(
                self.eval(Expression::Math { fun, arg: x, arg1: Some(y), arg2: Some(z), arg3: None }, c.ty),
            );
        }
        let product = self.raw(Expression::Binary { op: BinaryOperator::Multiply, left: x, right: y });
        Quad(self.eval(Expression::Binary { op: BinaryOperator::Add, left: z, right: product }, c.ty))
    }

    /// A quad of zeros.
    pub(crate) fn zero_quad(&mut self, ty: Ty) -> Quad {
        let zero = self.constant(ty, 0);
        self.splat(zero)
    }

    /// A variable that begins with a quad, each time that it is reached.
    pub(crate) fn quad_var(&mut self, name: &str, value: Quad) -> QuadVar {
        let vector = self.quad_type(value.0.ty);
        let var = self.own(name, vector, value.0.ty);
        self.set_quad(var, value);
        var
    }

    fn own(&mut self, name: &str, ty: Handle<Type>, lane: Ty) -> QuadVar {
        let variable = LocalVariable { name: Some(name.to_owned()), ty, init: None };
        let local = self.body.function.local_variables.append(variable, Span::UNDEFINED);
        QuadVar { local, ty: lane, function: self.body.number }
    }

    fn own_place(&mut self, var: QuadVar) -> Handle<Expression> {
        if var.function != self.body.number {
            self.fail("a variable of another function");
        }
        self.given(Expression::LocalVariable(var.local), var.ty).handle
    }

    pub(crate) fn get_quad(&mut self, var: QuadVar) -> Quad {
        let pointer = self.own_place(var);
        Quad(self.eval(Expression::Load { pointer }, var.ty))
    }

    pub(crate) fn set_quad(&mut self, var: QuadVar, Quad(value): Quad) {
        self.expect("a variable of quads", value.ty, var.ty);
        let (pointer, value) = (self.own_place(var), self.used(value));
        self.statement(Statement::Store { pointer, value });
    }

    /// Changes one of the four values of a variable.
    pub(crate) fn set_lane(&mut self, var: QuadVar, lane: u32, value: Val) {
        self.expect("a lane", value.ty, var.ty);
        let base = self.own_place(var);
        let pointer = self.raw(Expression::AccessIndex { base, index: lane });
        let value = self.used(value);
        self.statement(Statement::Store { pointer, value });
    }

    /// An array of so many quads that this thread has alone.
    pub(crate) fn own_quads(&mut self, name: &str, ty: Ty, len: NonZeroU32) -> OwnQuads {
        let array = self.quads_type(ty, ArraySize::Constant(len));
        OwnQuads(self.own(name, array, ty))
    }

    pub(crate) fn put_own(&mut self, OwnQuads(quads): OwnQuads, index: u32, Quad(value): Quad) {
        self.expect("an array of quads", value.ty, quads.ty);
        let base = self.own_place(quads);
        let pointer = self.raw(Expression::AccessIndex { base, index });
        let value = self.used(value);
        self.statement(Statement::Store { pointer, value });
    }

    pub(crate) fn take_own(&mut self, OwnQuads(quads): OwnQuads, index: Val) -> Quad {
        let (base, index) = (self.own_place(quads), self.used(index));
        let pointer = self.raw(Expression::Access { base, index });
        Quad(self.eval(Expression::Load { pointer }, quads.ty))
    }
}
