//! Checks that a [`Func`] is well formed.
//!
//! The types of all nodes are computed anew and compared, dims by their normal forms and by what the guards say to
//! be equal; every use must follow its definition, in its own region or in one around it. All violations are
//! reported, not the first alone, since one wrong rewrite often shows in several places and the last of them explains
//! it. Passes are tested by running this behind each of them.

mod control;
mod kinds;
mod structure;
#[cfg(test)]
mod tests;

use super::{Func, GuardKind, Kind, Node, RegionId, TensorType, Type, ValueId};
use crate::dim::{Atom, Dim};
use crate::dtype::DType;
use std::collections::HashSet;
use std::fmt;

/// One thing that is wrong with a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The node it is about; `None` when it is about the function or a region.
    pub value: Option<ValueId>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(v) => write!(f, "value {}: {}", v.0, self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All that is wrong with a function; nothing when the function is well formed.
///
/// # Examples
/// ```
/// use matex_ir::tensor::{parse, verify::verify};
///
/// let func = parse("func @f(%x: f64[n]) -> f32[n] {\n  %1: f32[n] = neg %x\n  return %1\n}").unwrap();
/// assert_eq!(verify(&func)[0].to_string(), "value 1: has type f32[n], but neg gives f64[n]");
/// ```
pub fn verify(func: &Func) -> Vec<Violation> {
    let mut v = Verifier { func, at: None, found: Vec::new(), names: bound_names(func) };
    v.structure();
    v.signature();
    for i in 0..func.nodes.len() {
        v.at = Some(ValueId(i as u32));
        v.node(&func.nodes[i]);
    }
    v.found
}

/// The sizes and integer values that a call binds.
fn bound_names(func: &Func) -> HashSet<Atom> {
    let mut names = HashSet::new();
    for p in &func.params {
        for dim in &p.ty.shape {
            dim.visit_names(&mut |a| {
                names.insert(a.clone());
            });
        }
    }
    // An integer in a dim of a parameter is bound only by a parameter of that name.
    names.retain(|a| matches!(a, Atom::Size(_)));
    let ints = func.params.iter().filter(|p| p.ty.rank() == 0 && p.ty.dtype.is_int());
    names.extend(ints.map(|p| Atom::Int(p.name.as_str().into())));
    names
}

struct Verifier<'a> {
    func: &'a Func,
    /// The node that violations are reported for.
    at: Option<ValueId>,
    found: Vec<Violation>,
    names: HashSet<Atom>,
}

impl<'a> Verifier<'a> {
    fn report(&mut self, message: impl Into<String>) {
        self.found.push(Violation { value: self.at, message: message.into() });
    }

    fn ensure(&mut self, holds: bool, message: impl Into<String>) -> bool {
        if !holds {
            self.report(message);
        }
        holds
    }

    /// Whether two dims are equal for every call that passes the guards.
    fn same_dim(&self, a: &Dim, b: &Dim) -> bool {
        if a == b {
            return true;
        }
        let difference = a - b;
        let guarded = |left: &Dim, right: &Dim| {
            let known = left - right;
            difference == known || difference == -&known
        };
        let mut equalities = self.func.guards.iter().filter(|g| g.kind == GuardKind::Equal);
        equalities.any(|g| guarded(&g.left, &g.right))
    }

    fn same_shape(&self, a: &[Dim], b: &[Dim]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same_dim(a, b))
    }

    fn same_type(&self, a: &TensorType, b: &TensorType) -> bool {
        a.dtype == b.dtype && self.same_shape(&a.shape, &b.shape)
    }

    /// The type of an operand that is one tensor; other operands are reported by [`Verifier::operands`].
    fn tensor(&self, v: ValueId) -> Option<&'a TensorType> {
        match &self.func.nodes.get(v.0 as usize)?.ty {
            Type::Tensor(t) => Some(t),
            Type::Tuple(_) => None,
        }
    }

    /// The types of all operands, if all are tensors.
    fn operands(&mut self, node: &Node) -> Option<Vec<&'a TensorType>> {
        let types: Option<Vec<_>> = node.args.iter().map(|v| self.tensor(*v)).collect();
        let tuple =
            |v: &ValueId| matches!(self.func.nodes.get(v.0 as usize), Some(Node { ty: Type::Tuple(_), .. }));
        if node.args.iter().any(tuple) {
            self.report("uses a tuple as a tensor");
        }
        types
    }

    fn node(&mut self, node: &Node) {
        let (members, in_tuple) = match &node.ty {
            Type::Tensor(t) => (std::slice::from_ref(t), false),
            Type::Tuple(ts) => (ts.as_slice(), true),
        };
        for dim in members.iter().flat_map(|t| &t.shape) {
            self.extent(dim);
        }
        if !self
            .ensure(in_tuple == node.kind.gives_tuple(), "only control flow and factorizations give a tuple")
        {
            return;
        }
        if let Kind::Proj(i) = node.kind {
            self.projection(node, i);
        } else if let Kind::Lib(op) = &node.kind
            && in_tuple
        {
            self.factorization(node, op);
        } else if in_tuple {
            self.control(node);
        } else {
            self.tensor_node(node);
        }
    }

    fn projection(&mut self, node: &Node, i: usize) {
        if !self.ensure(node.args.len() == 1, "proj takes 1 operand") {
            return;
        }
        let Some(source) = self.func.nodes.get(node.args[0].0 as usize) else { return };
        match &source.ty {
            Type::Tuple(ts) => match ts.get(i) {
                Some(t) => self.expect(node, "proj", t),
                None => self.report(format!("takes member {i} of {}", ts.len())),
            },
            Type::Tensor(_) => self.report("takes a member of no tuple"),
        }
    }

    /// Compares the type of a node with the one computed anew.
    fn expect(&mut self, node: &Node, what: &str, expected: &TensorType) {
        if let Type::Tensor(ty) = &node.ty {
            let same = self.same_type(ty, expected);
            self.ensure(same, format!("has type {ty}, but {what} gives {expected}"));
        }
    }

    /// Checks a dim that is an extent.
    fn extent(&mut self, dim: &Dim) {
        self.ensure(dim.as_const().is_none_or(|v| v >= 0), format!("{dim} is a negative extent"));
        self.dim(dim);
    }

    /// Checks that all names in a dim are bound by the parameters.
    fn dim(&mut self, dim: &Dim) {
        let mut unbound = Vec::new();
        dim.visit_names(&mut |a| {
            if !self.names.contains(a) {
                unbound.push(a.clone());
            }
        });
        for atom in unbound {
            self.report(format!("no parameter binds {atom}"));
        }
    }

    fn signature(&mut self) {
        self.at = None;
        let func = self.func;
        for (i, p) in func.params.iter().enumerate() {
            let twice = func.params[..i].iter().any(|q| q.name == p.name);
            self.ensure(!twice, format!("two parameters are called {}", p.name));
            let node = func.nodes.get(i);
            let right =
                node.is_some_and(|n| n.kind == Kind::Param(i as u32) && n.ty == Type::Tensor(p.ty.clone()));
            self.ensure(right, format!("value {i} is not parameter {} of type {}", p.name, p.ty));
        }
        for g in &func.guards {
            self.dim(&g.left);
            self.dim(&g.right);
        }
        let Some(body) = func.regions.first() else { return };
        let params = (0..func.params.len()).map(|i| ValueId(i as u32));
        self.ensure(body.params.iter().copied().eq(params), "the body's parameters are not the function's");
        let named = func.result_names.len() == body.results.len();
        self.ensure(named, "the number of names of results is not that of results");
        for v in &body.results {
            let tuple = self.func.nodes.get(v.0 as usize).is_some_and(|n| matches!(n.ty, Type::Tuple(_)));
            self.ensure(!tuple, format!("result {} is a tuple", v.0));
        }
    }

    fn region_of(&self, id: RegionId) -> Option<&'a super::Region> {
        self.func.regions.get(id.0 as usize)
    }

    /// Checks that an operand is a scalar of that dtype.
    fn scalar_operand(&mut self, what: &str, ty: &TensorType, dtype: DType) {
        self.ensure(*ty == TensorType::scalar(dtype), format!("{what} is {ty} instead of {dtype}"));
    }
}
