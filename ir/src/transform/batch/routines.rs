//! Library routines on one axis more. All but two of them take batches as they are.

use super::Batch;
use crate::dim::Dim;
use crate::tensor::{Kind, LibOp, Node, TensorType, Type, ValueId};
use crate::transform::Refused;

impl Batch<'_> {
    pub(super) fn routine(&mut self, v: ValueId, op: &LibOp, node: &Node) -> Result<(), Refused> {
        let made = match op {
            LibOp::Sort { axis, descending } => {
                let kind = Kind::Lib(LibOp::Sort { axis: axis + 1, descending: *descending });
                self.same(kind, node)
            }
            LibOp::Argsort { axis, descending } => {
                let kind = Kind::Lib(LibOp::Argsort { axis: axis + 1, descending: *descending });
                self.same(kind, node)
            }
            // The values may have any shape; a table for each element is looked through element by element.
            LibOp::SearchSorted { .. } if !self.depends.on(node.args[0]) => {
                let args = self.c.all(&node.args);
                let ty = self.result(node);
                self.c.b.push(node.kind.clone(), args, Type::Tensor(ty))
            }
            LibOp::SearchSorted { .. } | LibOp::Lstsq => return self.one_by_one(v, node),
            LibOp::Solve | LibOp::SolveDefinite | LibOp::SolveTriangular { .. }
                if self.columns_only(node) =>
            {
                self.more_columns(node)
            }
            LibOp::Solve | LibOp::SolveDefinite => self.same(node.kind.clone(), node),
            LibOp::SolveTriangular { .. }
            | LibOp::Lu
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Qr
            | LibOp::Svd { .. }
            | LibOp::Svdvals
            | LibOp::Eigh
            | LibOp::Eigvalsh => {
                let args: Vec<ValueId> = node.args.iter().map(|a| self.full(*a)).collect();
                self.c.b.factor(op.clone(), &args)
            }
        };
        self.c.bind(v, made, &node.ty);
        Ok(())
    }

    /// Whether a system has one matrix for all elements, so that their right sides are columns of one system.
    fn columns_only(&self, node: &Node) -> bool {
        !self.depends.on(node.args[0]) && self.c.body.ty(self.c.b, node.args[0]).rank() == 2
    }

    fn more_columns(&mut self, node: &Node) -> ValueId {
        let (matrix, right) = (self.c.get(node.args[0]), self.c.get(node.args[1]));
        let b = &mut *self.c.b;
        let shape = b.ty(right).shape.clone();
        let columns = &shape[0] * &shape[2];
        let side = b.permute(right, vec![1, 0, 2]);
        let turned = b.ty(side).shape.clone();
        let side = b.reshape(side, vec![shape[1].clone(), columns]);
        let ty = b.ty(side).clone();
        let x = b.push(node.kind.clone(), vec![matrix, side], Type::Tensor(ty));
        let x = b.reshape(x, turned);
        b.permute(x, vec![1, 0, 2])
    }

    /// The loop over the elements, with the node as it is inside.
    pub(super) fn one_by_one(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        let types: Vec<TensorType> = match &node.ty {
            Type::Tensor(t) => vec![t.clone()],
            Type::Tuple(ts) => ts.clone(),
        };
        let body = self.c.body;
        // Operands, and what loops and branches take from outside.
        let mut used = node.args.clone();
        used.extend(node.kind.regions().into_iter().flat_map(|r| body.free(body.region(r))));
        used.sort_unstable();
        used.dedup();
        used.retain(|u| self.depends.on(*u));
        let whole: Vec<ValueId> = used.iter().map(|u| self.c.get(*u)).collect();
        let b = &mut *self.c.b;
        let mut args = vec![b.int(0), b.extent(&self.count)];
        let mut params = vec![TensorType::scalar(crate::DType::I64)];
        for ty in &types {
            let mut shape: Vec<Dim> = vec![self.count.clone()];
            shape.extend(ty.shape.iter().cloned());
            params.push(TensorType::new(ty.dtype, shape));
            args.push(b.zeros(&params[params.len() - 1]));
        }
        let (region, p) = b.begin_region(&params);
        for (u, whole) in used.iter().zip(&whole) {
            let entry = self.c.b.entry(*whole, p[0]);
            self.c.set(*u, entry);
        }
        self.c.copy(v)?;
        let results: Vec<ValueId> = match &node.ty {
            Type::Tensor(_) => vec![self.c.get(v)],
            Type::Tuple(ts) => (0..ts.len()).filter_map(|i| self.c.env.member(body, v, i)).collect(),
        };
        let b = &mut *self.c.b;
        let results = results.iter().zip(&p[1..]).map(|(r, all)| b.with_entry(*all, p[0], *r)).collect();
        b.end_region(results);
        let tuple = b.control(Kind::For(region), args);
        for (u, whole) in used.iter().zip(&whole) {
            self.c.set(*u, *whole);
        }
        let members = self.c.projected(tuple);
        match &node.ty {
            Type::Tensor(_) => self.c.set(v, members[0]),
            Type::Tuple(_) => self.c.set_tuple(v, &members),
        }
        Ok(())
    }
}
