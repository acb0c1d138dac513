//! Small matrices that the threads of a subgroup hold together, and the device's units multiply: halves, added up in single
//! precision. naga and wgpu call them cooperative.

use super::{Array, Builder, QuadArray, Ty, Val};
use naga::{
    CooperativeData, CooperativeRole, CooperativeSize, Expression, Handle, LocalVariable, Span, Statement,
    Type, TypeInner,
};

/// A matrix, good where the value inside is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    value: Val,
    role: CooperativeRole,
}

/// A matrix of sums, as a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SumsVar {
    local: Handle<LocalVariable>,
    function: u32,
}

/// Where a matrix lies among quads: the quad that it begins with, and how many are between its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lies {
    pub(crate) at: Val,
    pub(crate) stride: u32,
    /// Whether its rows are contiguous; else its columns.
    pub(crate) by_rows: bool,
}

impl Builder {
    fn matrix_type(&mut self, side: u32, ty: Ty, role: CooperativeRole) -> Handle<Type> {
        let size = if side == 8 { CooperativeSize::Eight } else { CooperativeSize::Sixteen };
        self.ty(TypeInner::CooperativeMatrix { columns: size, rows: size, scalar: ty.scalar(), role })
    }

    /// A variable for the sums of products of matrices of such a side, which begins with zeros each time that it is
    /// reached.
    pub(crate) fn sums_var(&mut self, name: &str, side: u32) -> SumsVar {
        let ty = self.matrix_type(side, Ty::F32, CooperativeRole::C);
        let variable = LocalVariable { name: Some(name.to_owned()), ty, init: None };
        let local = self.body.function.local_variables.append(variable, Span::UNDEFINED);
        let var = SumsVar { local, function: self.body.number };
        let value = self.given(Expression::ZeroValue(ty), Ty::F32);
        self.set_sums(var, Matrix { value, role: CooperativeRole::C });
        var
    }

    fn sums_place(&mut self, var: SumsVar) -> Handle<Expression> {
        if var.function != self.body.number {
            self.fail("a variable of another function");
        }
        self.given(Expression::LocalVariable(var.local), Ty::F32).handle
    }

    pub(crate) fn get_sums(&mut self, var: SumsVar) -> Matrix {
        let pointer = self.sums_place(var);
        Matrix { value: self.eval(Expression::Load { pointer }, Ty::F32), role: CooperativeRole::C }
    }

    pub(crate) fn set_sums(&mut self, var: SumsVar, sums: Matrix) {
        self.expect_role(sums, CooperativeRole::C);
        let (pointer, value) = (self.sums_place(var), self.used(sums.value));
        self.statement(Statement::Store { pointer, value });
    }

    fn expect_role(&mut self, matrix: Matrix, role: CooperativeRole) {
        if matrix.role != role {
            self.fail(format!("a matrix of role {:?} where {role:?} is needed", matrix.role));
        }
    }

    /// The left factor (`which` 0) or the right one (1) of a product, from halves that the workgroup shares.
    pub(crate) fn load_factor(&mut self, which: usize, side: u32, from: QuadArray, lies: Lies) -> Matrix {
        let role = [CooperativeRole::A, CooperativeRole::B][which];
        let size = if side == 8 { CooperativeSize::Eight } else { CooperativeSize::Sixteen };
        let QuadArray(array) = from;
        self.expect("a factor", array.ty, Ty::F16);
        let stride = self.u32(lies.stride).handle;
        let data = CooperativeData { pointer: self.element(array, lies.at), stride, row_major: lies.by_rows };
        let load = Expression::CooperativeLoad { columns: size, rows: size, role, data };
        Matrix { value: self.eval(load, Ty::F16), role }
    }

    /// `a · b + c`.
    pub(crate) fn multiply_add(&mut self, a: Matrix, b: Matrix, c: Matrix) -> Matrix {
        let roles = [CooperativeRole::A, CooperativeRole::B, CooperativeRole::C];
        [a, b, c].into_iter().zip(roles).for_each(|(m, role)| self.expect_role(m, role));
        let [a, b, sums] = [a, b, c].map(|m| self.used(m.value));
        let value = self.eval(Expression::CooperativeMultiplyAdd { a, b, c: sums }, Ty::F32);
        Matrix { value, role: CooperativeRole::C }
    }

    /// Stores sums row by row, from an element on and so many elements apart.
    pub(crate) fn store_sums(&mut self, sums: Matrix, into: Array, at: Val, stride: u32) {
        self.expect("an array of sums", into.ty, Ty::F32);
        self.expect_role(sums, CooperativeRole::C);
        let (target, stride) = (self.used(sums.value), self.u32(stride).handle);
        let data = CooperativeData { pointer: self.element(into, at), stride, row_major: true };
        self.statement(Statement::CooperativeStore { target, data });
    }
}
