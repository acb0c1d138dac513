//! Sizes that must agree: what is known to be equal, what cannot be, and what becomes a guard or a substitution.

use super::Checker;
use super::value::Operand;
use crate::diag::Diagnostic;
use matex_ir::tensor::{Func, Guard, GuardKind, Kind, Node, SliceAxis, Type, UpdateAxis, ValueId};
use matex_ir::{Atom, Code, Dim, Op, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// Sizes that turned out to be others: `x.0` that must be `n` is replaced by it everywhere when checking ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unifier {
    map: HashMap<Arc<str>, Dim>,
    /// Whether something was replaced that unfinished nodes may still name.
    stale: bool,
}

/// The outcome of asking two dims to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// They are, or one was replaced by the other.
    Equal,
    /// They never are.
    Never,
    /// Only the call can tell.
    Unknown,
}

/// Sizes that the compiler named have a dot in their name.
fn is_declared(name: &str) -> bool {
    !name.contains('.')
}

impl Unifier {
    /// The dim with everything replaced that is known by now.
    pub(crate) fn resolve(&self, d: &Dim) -> Dim {
        if self.map.is_empty() {
            return d.clone();
        }
        d.substitute(&|atom| match atom {
            Atom::Size(name) => self.map.get(name).cloned(),
            Atom::Int(_)
            | Atom::FloorDiv(..)
            | Atom::Min(..)
            | Atom::Max(..)
            | Atom::Root(_)
            | Atom::TooComplex => None,
        })
    }

    /// Asks two dims to be equal.
    pub(crate) fn unify(&mut self, a: &Dim, b: &Dim) -> Agreement {
        let (a, b) = (self.resolve(a), self.resolve(b));
        let difference = &a - &b;
        if let Some(d) = difference.as_const() {
            return if d == 0 { Agreement::Equal } else { Agreement::Never };
        }
        match (a.as_size(), b.as_size()) {
            (Some(x), Some(y)) if is_declared(x) && is_declared(y) => Agreement::Never,
            (Some(x), _) if !is_declared(x) && self.replace(x, &b) => Agreement::Equal,
            (_, Some(y)) if !is_declared(y) && self.replace(y, &a) => Agreement::Equal,
            (Some(x), _) if self.replace(x, &b) => Agreement::Equal,
            (_, Some(y)) if self.replace(y, &a) => Agreement::Equal,
            _ => Agreement::Unknown,
        }
    }

    fn replace(&mut self, name: &str, by: &Dim) -> bool {
        let mut inside = false;
        by.visit_names(&mut |atom| inside |= matches!(atom, Atom::Size(n) if &**n == name));
        if inside {
            return false;
        }
        let key: Arc<str> = name.into();
        let swap =
            |d: &Dim| d.substitute(&|atom| matches!(atom, Atom::Size(n) if *n == key).then(|| by.clone()));
        for d in self.map.values_mut() {
            *d = swap(d);
        }
        self.map.insert(key, by.clone());
        self.stale = true;
        true
    }

    /// Replaces everywhere in a finished function, and drops guards that have become certain. Gives back the guards
    /// that can never hold.
    pub(crate) fn apply(&self, func: &mut Func) -> Vec<Guard> {
        for p in &mut func.params {
            self.each(&mut p.ty.shape);
        }
        func.nodes.iter_mut().for_each(|node| self.apply_node(node));
        let mut impossible = Vec::new();
        let guards = std::mem::take(&mut func.guards);
        for mut g in guards {
            (g.left, g.right) = (self.resolve(&g.left), self.resolve(&g.right));
            let slack = &g.right - &g.left;
            let certain = match g.kind {
                GuardKind::Equal => slack.is(0),
                GuardKind::AtMost => slack.is_nonnegative(),
            };
            match slack.as_const() {
                _ if certain => {}
                Some(_) => impossible.push(g),
                None => func.guards.push(g),
            }
        }
        impossible
    }

    /// Replaces everywhere in nodes that have been made, for who compares sizes as they stand there.
    pub(crate) fn refresh(&mut self, nodes: &mut [Node]) {
        if std::mem::take(&mut self.stale) {
            nodes.iter_mut().for_each(|node| self.apply_node(node));
        }
    }

    /// Replaces everywhere in a node.
    pub(crate) fn apply_node(&self, node: &mut Node) {
        match &mut node.ty {
            Type::Tensor(t) => self.each(&mut t.shape),
            Type::Tuple(ts) => ts.iter_mut().for_each(|t| self.each(&mut t.shape)),
        }
        self.apply_kind(&mut node.kind);
    }

    fn each(&self, dims: &mut [Dim]) {
        for d in dims {
            *d = self.resolve(d);
        }
    }

    fn apply_kind(&self, kind: &mut Kind) {
        let slice = |a: &mut SliceAxis| a.start = self.resolve(&a.start);
        if let Kind::Size(d) = kind {
            *d = self.resolve(d);
        } else if let Kind::Slice(axes) = kind {
            axes.iter_mut().for_each(slice);
        } else if let Kind::Pad { low } = kind {
            self.each(low);
        } else if let Kind::Update(axes) = kind {
            for a in axes {
                if let UpdateAxis::Slice(s) = a {
                    slice(s);
                }
            }
        }
    }
}

impl Checker<'_> {
    pub(crate) fn resolve(&self, d: &Dim) -> Dim {
        self.unifier.resolve(d)
    }

    /// The shape of a value with everything replaced that is known by now.
    pub(crate) fn shape(&self, id: ValueId) -> Vec<Dim> {
        self.b.ty(id).shape.iter().map(|d| self.resolve(d)).collect()
    }

    /// Demands that two dims are equal: `false` when they never are. What cannot be known becomes a guard.
    pub(crate) fn agree(&mut self, a: &Dim, b: &Dim, code: Code, message: &str, origin: Span) -> bool {
        match self.unifier.unify(a, b) {
            Agreement::Equal => true,
            Agreement::Never => false,
            Agreement::Unknown => {
                let (left, right) = (self.resolve(a), self.resolve(b));
                self.b.guard(Guard {
                    kind: GuardKind::Equal,
                    left,
                    right,
                    code,
                    message: message.to_owned(),
                    origin,
                });
                true
            }
        }
    }

    /// Demands that two dims are equal as [`Checker::agree`] does, where a declared size keeps its name: that the result
    /// has the size that is declared for it is no fact about the parameter whose size it is.
    pub(crate) fn agree_rigid(&mut self, a: &Dim, b: &Dim, code: Code, message: &str, origin: Span) -> bool {
        let (left, right) = (self.resolve(a), self.resolve(b));
        let declared = |d: &Dim| d.as_size().is_some_and(is_declared);
        if declared(&left) == declared(&right) || (&left - &right).as_const().is_some() {
            return self.agree(a, b, code, message, origin);
        }
        let message = message.to_owned();
        self.b.guard(Guard { kind: GuardKind::Equal, left, right, code, message, origin });
        true
    }

    /// Demands `left <= right`: `false` when it never holds. What cannot be known becomes a guard, or a condition of the
    /// value that is being indexed where bounds are deferred.
    pub(crate) fn at_most(
        &mut self,
        left: &Dim,
        right: &Dim,
        code: Code,
        message: &str,
        origin: Span,
    ) -> bool {
        let (left, right) = (self.resolve(left), self.resolve(right));
        let slack = &right - &left;
        if slack.is_nonnegative() {
            return true;
        }
        if slack.as_const().is_some() {
            return false;
        }
        let message = message.to_owned();
        let guard = Guard { kind: GuardKind::AtMost, left, right, code, message, origin };
        match &mut self.deferred {
            Some(conditions) => conditions.push(guard),
            None => self.b.guard(guard),
        }
        true
    }

    /// A value under conditions on sizes that are looked at when it is used.
    pub(crate) fn under(&mut self, x: ValueId, conditions: Vec<Guard>) -> ValueId {
        conditions.into_iter().fold(x, |x, g| {
            let before = self.b.set_origin(g.origin);
            let (left, right) = (self.size_value(g.left).id, self.size_value(g.right).id);
            let op = if g.kind == GuardKind::Equal { Op::Eq } else { Op::Le };
            let holds = self.map_op(op, &[left, right]);
            let x = self.b.check(x, holds, g.code, g.message);
            self.b.set_origin(before);
            x
        })
    }

    /// The shape that operands have together, or the error that they have none.
    pub(crate) fn broadcast_shape(
        &mut self,
        operands: &[&Operand],
        at: Span,
    ) -> Result<Vec<Dim>, Box<Diagnostic>> {
        let mut total: Vec<Dim> = Vec::new();
        for (i, o) in operands.iter().enumerate() {
            let shape = self.shape(o.val.id);
            let longer = total.len().max(shape.len());
            let mut merged = Vec::with_capacity(longer);
            for from_end in (1..=longer).rev() {
                let a = total.len().checked_sub(from_end).map(|k| total[k].clone());
                let b = shape.len().checked_sub(from_end).map(|k| shape[k].clone());
                let dim = match (a, b) {
                    (Some(a), Some(b)) => match self.broadcast_dim(&a, &b, at) {
                        Some(d) => d,
                        None => {
                            return Err(Box::new(self.broadcast_error(
                                &operands[..=i],
                                longer - from_end,
                                &a,
                                &b,
                            )));
                        }
                    },
                    (a, b) => a.or(b).unwrap_or(Dim::ONE),
                };
                merged.push(dim);
            }
            total = merged;
        }
        Ok(total)
    }

    fn broadcast_dim(&mut self, a: &Dim, b: &Dim, at: Span) -> Option<Dim> {
        if a.is(1) {
            return Some(b.clone());
        }
        if b.is(1) || a == b {
            return Some(a.clone());
        }
        let fits = self.agree(a, b, crate::codes::CALL_SHAPES_DISAGREE, "shapes do not broadcast", at);
        fits.then(|| self.resolve(a))
    }

    fn broadcast_error(&self, operands: &[&Operand], axis: usize, a: &Dim, b: &Dim) -> Diagnostic {
        let mut d = Diagnostic::new(crate::codes::SHAPES_DO_NOT_BROADCAST, "shapes do not broadcast");
        for (i, o) in operands.iter().enumerate() {
            let text = self.type_text(o.val.id);
            d = if i == 0 { d.primary(o.span, text) } else { d.secondary(o.span, text) };
        }
        let d = d.note(format!("axis {axis}: {a} and {b} are different sizes"));
        d.help(self.broadcast_help(operands, a, b))
    }

    /// The way out that fits the shapes: a column when a vector stands beside a matrix of as many rows.
    fn broadcast_help(&self, operands: &[&Operand], a: &Dim, b: &Dim) -> String {
        for v in operands {
            for m in operands {
                let (vs, ms) = (self.shape(v.val.id), self.shape(m.val.id));
                if vs.len() == 1 && ms.len() == 2 && vs[0] == ms[0] {
                    let name = self.text(v.span);
                    return format!("write {name}[:, newaxis] to make {name} a column");
                }
            }
        }
        match (a.as_const(), b.as_const()) {
            (Some(_), Some(_)) => "two sizes agree when they are equal or one of them is 1".to_owned(),
            _ => format!("give both one name if {a} and {b} are the same size, or add an axis with newaxis"),
        }
    }

    /// Repeats a value to a shape that it broadcasts to.
    pub(crate) fn broadcast_to(&mut self, id: ValueId, shape: &[Dim]) -> ValueId {
        let own = self.shape(id);
        if own == shape {
            return self.retype(id, shape);
        }
        let lead = shape.len() - own.len().min(shape.len());
        let axes = (lead..shape.len()).collect();
        // An axis that is neither 1 nor of the same text has been proved, or guarded, to be equal.
        let exact: Vec<Dim> = own
            .iter()
            .zip(&shape[lead..])
            .map(|(o, s)| if o.is(1) { o.clone() } else { s.clone() })
            .collect();
        let id = self.retype(id, &exact);
        self.b.broadcast(id, shape.to_vec(), axes)
    }

    /// Gives a value a shape that is known, or guarded, to be its own under another text.
    pub(crate) fn retype(&mut self, id: ValueId, shape: &[Dim]) -> ValueId {
        if self.shape(id) == shape { id } else { self.b.reshape(id, shape.to_vec()) }
    }

    /// The type of a value as the user would write it, with `_` for sizes that nobody named.
    pub(crate) fn type_text(&self, id: ValueId) -> String {
        let named =
            |d: &Dim| if d.as_size().is_some_and(|n| !is_declared(n)) { "_".into() } else { user_text(d) };
        let dims: Vec<String> = self.shape(id).iter().map(named).collect();
        let dtype = self.b.ty(id).dtype;
        if dims.is_empty() { dtype.to_string() } else { format!("{dtype}[{}]", dims.join(", ")) }
    }
}

/// A dim in the user's words: integer parameters without their mark.
pub(crate) fn user_text(d: &Dim) -> String {
    d.to_string().replace('!', "")
}
