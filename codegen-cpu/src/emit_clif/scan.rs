//! Scans: a sequential loop over the scan axis at every parallel point.

use super::Emitter;
use super::types::Width;
use crate::walk::Reduction;
use cranelift_codegen::ir::Value;
use matex_ir::DType;
use matex_ir::loops::{Combine, InstKind};

impl Emitter<'_, '_> {
    /// A kernel with a scan axis, which becomes the innermost loop wherever it stands.
    pub(super) fn scan_kernel(&mut self, axis: usize) {
        let axes: Vec<usize> = (0..self.k.axes.len()).collect();
        self.leave_if_empty(&axes);
        let outer: Vec<usize> = axes.into_iter().filter(|a| *a != axis).collect();
        let (open, at) = self.open_all(&outer);
        for (id, inst) in self.k.body.iter().enumerate() {
            if let InstKind::Scan { combine, value } = &inst.kind {
                let r = Reduction { id, combine: *combine, values: vec![*value], dtypes: vec![inst.dtype] };
                // Combining the identity with the first element gives that element, bit for bit.
                let start = self.identity(&r, Width::Scalar);
                let var = self.b.declare_var(Width::Scalar.ty(inst.dtype));
                self.b.def_var(var, start[0]);
                self.scans.insert(id, var);
            }
        }
        let wanted = vec![true; self.k.body.len()];
        let (start, end) = (self.int(0), self.args.extents[axis]);
        let (l, inside) = self.open(&at, axis, start, end, 1);
        let mut copies = super::eval::Copies::new(self.k);
        self.eval(&mut copies, &inside, Width::Scalar, 0..self.k.body.len(), &wanted);
        self.store_all(&self.k.stores, &copies, &inside, Width::Scalar);
        self.close(l);
        self.close_all(open);
    }

    /// The next value of a scan.
    pub(super) fn scan_step(&mut self, id: usize, combine: Combine, dtype: DType, x: Value) -> Value {
        let Some(&var) = self.scans.get(&id) else { return x };
        let Some(op) = combine.op() else { return x };
        let before = self.b.use_var(var);
        let next = self.map(op, dtype, &[before, x], Width::Scalar);
        self.b.def_var(var, next);
        next
    }
}
