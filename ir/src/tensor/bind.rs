//! Binds the sizes that a function's parameters name to the extents of its arguments, and checks its guards.
//!
//! Comes in: parameters, and what is known of the arguments before any element is looked at. Goes out: [`Bindings`],
//! under which every dim of the function can be evaluated. The interpreter and the executor of compiled programs
//! both begin a call with this, so that they refuse the same calls in the same words.

use super::{Guard, GuardKind, Param, RunError};
use crate::dim::{Atom, Dim};
use crate::dtype::DType;
use crate::span::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What binding needs to know of an argument.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: &'a [usize],
    /// The value of an integer scalar, which may size results; `None` for all else, and for one past the i64 range.
    pub int: Option<i64>,
}

/// The values of named sizes and of integer parameters, for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    sizes: BTreeMap<Arc<str>, i64>,
    ints: BTreeMap<Arc<str>, i64>,
}

impl Bindings {
    /// The value of a named size or an integer parameter; `None` for all other atoms, too.
    pub fn lookup(&self, atom: &Atom) -> Option<i64> {
        match atom {
            Atom::Size(name) => self.sizes.get(name).copied(),
            Atom::Int(name) => self.ints.get(name).copied(),
            Atom::FloorDiv(..) | Atom::Min(..) | Atom::Max(..) | Atom::Root(_) | Atom::TooComplex => None,
        }
    }

    /// The value of a dim, if it has one.
    pub fn eval(&self, dim: &Dim) -> Option<i64> {
        dim.eval(&|atom| self.lookup(atom))
    }

    /// The extents of a shape; `origin` is named by the error.
    ///
    /// # Errors
    /// [`RunError::Size`] when a dim is negative or has no value.
    pub fn extents(&self, shape: &[Dim], origin: Span) -> Result<Vec<usize>, RunError> {
        let extent = |dim: &Dim| {
            let value = self.eval(dim);
            let fits = value.and_then(|v| usize::try_from(v).ok());
            fits.ok_or_else(|| RunError::Size { dim: dim.to_string(), value, origin })
        };
        shape.iter().map(extent).collect()
    }

    /// Binds a size; the first binding stays, and what contradicts it is found when all dims are compared.
    pub fn set_size(&mut self, name: &str, value: i64) {
        self.sizes.entry(name.into()).or_insert(value);
    }

    /// Binds an integer parameter.
    pub fn set_int(&mut self, name: &str, value: i64) {
        self.ints.entry(name.into()).or_insert(value);
    }
}

/// Compares arguments with parameters, and binds every size that the parameters name: first those that are a dim by
/// themselves, then those that stand in a linear dim like `2*n + 1`.
///
/// # Errors
/// The first argument that does not fit: its dtype, its rank, or an extent that contradicts another.
pub fn bind_sizes(params: &[Param], args: &[Argument<'_>]) -> Result<Bindings, RunError> {
    if params.len() != args.len() {
        return Err(RunError::ArgumentCount { expected: params.len(), got: args.len() });
    }
    let mut bindings = Bindings::default();
    let mut open: Vec<(&Dim, usize)> = Vec::new();
    for (param, arg) in params.iter().zip(args) {
        check_argument(param, arg)?;
        if let Some(v) = arg.int.filter(|_| param.ty.rank() == 0 && param.ty.dtype.is_int()) {
            bindings.set_int(&param.name, v);
        }
        for (dim, extent) in param.ty.shape.iter().zip(arg.shape) {
            match dim.as_size() {
                Some(name) => bindings.set_size(name, as_i64(*extent)),
                None => open.push((dim, *extent)),
            }
        }
    }
    solve_linear(&mut bindings, open);
    for (param, arg) in params.iter().zip(args) {
        check_extents(&bindings, param, arg)?;
    }
    Ok(bindings)
}

fn check_argument(param: &Param, arg: &Argument<'_>) -> Result<(), RunError> {
    let (expected, got) = (param.ty.dtype, arg.dtype);
    if expected != got {
        return Err(RunError::ArgumentDType { param: param.name.clone(), expected, got });
    }
    let (expected, got) = (param.ty.rank(), arg.shape.len());
    if expected != got {
        return Err(RunError::ArgumentRank { param: param.name.clone(), expected, got });
    }
    Ok(())
}

/// Solves dims that are linear in one size not yet known, until none is left or none can be solved. A solution that
/// is no whole number is rounded here and found out by the comparison of all dims afterwards.
fn solve_linear(bindings: &mut Bindings, mut open: Vec<(&Dim, usize)>) {
    loop {
        let before = open.len();
        open.retain(|(dim, extent)| {
            let known = dim.substitute(&|atom| bindings.lookup(atom).map(Dim::constant));
            match known.solve(&Dim::from(*extent)).and_then(|(name, v)| Some((name, v.as_const()?))) {
                Some((name, v)) if v >= 0 => {
                    bindings.set_size(&name, v);
                    false
                }
                Some(_) | None => true,
            }
        });
        if open.len() == before {
            return;
        }
    }
}

fn check_extents(bindings: &Bindings, param: &Param, arg: &Argument<'_>) -> Result<(), RunError> {
    for (axis, (dim, got)) in param.ty.shape.iter().zip(arg.shape).enumerate() {
        let expected = bindings.eval(dim);
        if expected != Some(as_i64(*got)) {
            let (param, dim) = (param.name.clone(), dim.to_string());
            return Err(RunError::ArgumentSize { param, axis, expected, got: *got, dim });
        }
    }
    Ok(())
}

fn as_i64(extent: usize) -> i64 {
    i64::try_from(extent).unwrap_or(i64::MAX)
}

/// Checks guards in order.
///
/// # Errors
/// [`RunError::Guard`] for the first that does not hold; one with a side that has no value does not.
pub fn check_guards(guards: &[Guard], bindings: &Bindings) -> Result<(), RunError> {
    for guard in guards {
        let (left, right) = (bindings.eval(&guard.left), bindings.eval(&guard.right));
        let holds = match (left, right) {
            (Some(l), Some(r)) => match guard.kind {
                GuardKind::Equal => l == r,
                GuardKind::AtMost => l <= r,
            },
            (None, _) | (_, None) => false,
        };
        if !holds {
            let (code, message, origin) = (guard.code, guard.message.clone(), guard.origin);
            return Err(RunError::Guard { code, message, kind: guard.kind, left, right, origin });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dim::parse_dim;
    use crate::span::Code;
    use crate::tensor::TensorType;

    fn param(name: &str, dtype: DType, dims: &[&str]) -> Param {
        let shape = dims.iter().map(|d| parse_dim(d).unwrap()).collect();
        Param { name: name.into(), ty: TensorType::new(dtype, shape) }
    }

    fn arg(dtype: DType, shape: &[usize], int: Option<i64>) -> Argument<'_> {
        Argument { dtype, shape, int }
    }

    #[test]
    fn sizes_are_bound_in_any_order_and_compared() {
        let params = [
            param("x", DType::F64, &["2*n + m", "n"]),
            param("k", DType::I64, &[]),
            param("y", DType::F64, &["m", "k! + 1"]),
        ];
        let args = |rows, last| {
            [vec![rows, 3], vec![], vec![4, last]]
                .map(|s: Vec<usize>| Box::leak(s.into_boxed_slice()) as &[_])
        };
        let bind = |s: [&'static [usize]; 3]| {
            bind_sizes(
                &params,
                &[arg(DType::F64, s[0], None), arg(DType::I64, s[1], Some(7)), arg(DType::F64, s[2], None)],
            )
        };
        let b = bind(args(10, 8)).unwrap();
        assert_eq!(b.eval(&parse_dim("n*m + k!").unwrap()), Some(19));
        let Err(RunError::ArgumentSize { param, axis, expected, got, dim }) = bind(args(11, 8)) else {
            panic!()
        };
        assert_eq!((&*param, axis, expected, got, &*dim), ("x", 0, Some(10), 11, "m + 2*n"));
        assert!(matches!(bind(args(10, 9)), Err(RunError::ArgumentSize { axis: 1, .. })));
    }

    #[test]
    fn linear_dims_bind_what_nothing_else_names() {
        let params = [param("x", DType::F32, &["2*n + 1"])];
        assert_eq!(
            bind_sizes(&params, &[arg(DType::F32, &[7], None)]).unwrap().eval(&Dim::size("n")),
            Some(3)
        );
        for shape in [[8], [0]] {
            let e = bind_sizes(&params, &[arg(DType::F32, &shape, None)]);
            assert!(matches!(e, Err(RunError::ArgumentSize { .. })), "{e:?}");
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_named() {
        let params = [param("x", DType::F32, &["n"])];
        assert_eq!(bind_sizes(&params, &[]), Err(RunError::ArgumentCount { expected: 1, got: 0 }));
        let e = bind_sizes(&params, &[arg(DType::F64, &[1], None)]);
        assert!(matches!(e, Err(RunError::ArgumentDType { got: DType::F64, .. })));
        let e = bind_sizes(&params, &[arg(DType::F32, &[1, 1], None)]);
        assert!(matches!(e, Err(RunError::ArgumentRank { expected: 1, got: 2, .. })));
    }

    #[test]
    fn a_guard_without_a_value_fails() {
        let mut b = Bindings::default();
        b.set_size("n", 0);
        let guard = |left: &str, kind| Guard {
            kind,
            left: parse_dim(left).unwrap(),
            right: parse_dim("n").unwrap(),
            code: Code(301),
            message: "no".into(),
            origin: Span::default(),
        };
        assert_eq!(check_guards(&[guard("n", GuardKind::Equal), guard("n", GuardKind::AtMost)], &b), Ok(()));
        for left in ["1", "m", "floordiv(1, n)"] {
            assert!(matches!(
                check_guards(&[guard(left, GuardKind::AtMost)], &b),
                Err(RunError::Guard { .. })
            ));
        }
    }
}
