//! Compiled programs as Rust functions: the types are checked once, and then it is a plain call.

use crate::arguments::{declaration, display_name};
use crate::error::Error;
use crate::function::Function;
use matex_ir::DType;
use matex_lang::unit::{ArgSpec, DTypeClass, DimSig, ParamSig};
use matex_lang::{Diagnostic, codes};
use matex_runtime::{AsViewMut, FromTensors, Tensor, TypeKind, TypedView, View};
use std::fmt;
use std::ops::Deref;

mod sealed {
    pub trait Sealed {}
}

#[diagnostic::on_unimplemented(
    message = "a program cannot be called as `{Self}`",
    note = "arguments are references (`&f64`, `&[f32]`, `&Array2<f64>`), at most 12, and results are values or a last `&mut`",
    note = "a view that borrows has a lifetime that a function type cannot tell: take `&[T]` or ndarray's `&ArrayRef2<T>`"
)]
/// A function type that a program can be taken as: `fn(&A, &B) -> C` with up to twelve arguments, each a
/// [`TypedView`] behind a reference, and one result or a tuple of them; or `fn(&A, &B, &mut C)` for a program of one
/// result, which is written into memory that is given; or `fn(Tensor, Tensor) -> C` of up to eight, which gives its arguments away as
/// [`Function::call_owned`] does, so that a result may lie in the memory of one of them. A function type cannot tell the lifetimes inside of its arguments:
/// in the place of an `ArrayView2` that borrows take `ArrayRef2`, which arrays and views of ndarray borrow as.
///
/// ```
/// let add = matex::compile("a + b")?.typed::<fn(&[f64; 2], &[f64; 2], &mut [f64; 2])>()?;
/// let mut out = [0.0; 2];
/// add(&[1.0, 2.0], &[3.0, 4.0], &mut out)?;
/// assert_eq!(out, [4.0, 6.0]);
/// # Ok::<(), matex::Error>(())
/// ```
///
/// ```
/// use matex::Tensor;
/// let next = matex::compile("x * 2 + 1")?.typed::<fn(Tensor) -> Tensor>()?;
/// let x = Tensor::from_slice(&[3], &[1.0, 2.0, 3.0])?;
/// let memory = x.data_ptr();
/// assert_eq!(next(x)?.data_ptr(), memory);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// fn sum_of<F: matex::TypedFn>(source: &str) -> bool {
///     matex::compile(source).is_ok_and(|f| f.typed::<F>().is_ok())
/// }
/// assert!(sum_of::<fn(&f64, &f64) -> f64>("a + b"));
/// assert!(!sum_of::<fn(&f64) -> f64>("a + b"));
/// ```
pub trait TypedFn: sealed::Sealed {
    /// What is called: a function with the same arguments, and with a [`Result`] of the result.
    type Call: ?Sized + Send + Sync;

    #[doc(hidden)]
    const ARGUMENTS: &'static [TypeKind];

    #[doc(hidden)]
    const RESULTS: &'static [TypeKind];

    #[doc(hidden)]
    fn wrap(function: Function) -> Box<Self::Call>;
}

/// A program as a Rust function. It is called like one, and gives a [`Result`].
///
/// ```
/// let f = matex::compile("sum(x) * k")?;
/// let g = f.typed::<fn(&Vec<f64>, &f64) -> f64>()?;
/// assert_eq!(g(&vec![1.0, 2.0], &10.0)?, 30.0);
/// # Ok::<(), matex::Error>(())
/// ```
pub struct Typed<F: TypedFn> {
    call: Box<F::Call>,
    function: Function,
}

impl<F: TypedFn> Typed<F> {
    pub(crate) fn new(function: &Function) -> Result<Typed<F>, Error> {
        check(function, F::ARGUMENTS, F::RESULTS)?;
        Ok(Typed { call: F::wrap(function.clone()), function: function.clone() })
    }

    /// The function without its types.
    ///
    /// ```
    /// let g = matex::Compiler::new().compile_typed::<fn(&f64) -> f64>("x + 1")?;
    /// assert_eq!(g.function().source(), "x + 1");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn function(&self) -> &Function {
        &self.function
    }
}

impl<F: TypedFn> Deref for Typed<F> {
    type Target = F::Call;

    fn deref(&self) -> &F::Call {
        &self.call
    }
}

impl<F: TypedFn> Clone for Typed<F> {
    fn clone(&self) -> Typed<F> {
        Typed { call: F::wrap(self.function.clone()), function: self.function.clone() }
    }
}

impl<F: TypedFn> fmt::Debug for Typed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed({:?})", self.function)
    }
}

fn call<R: FromTensors>(function: &Function, args: &[View<'_>]) -> Result<R, Error> {
    results(function, function.call_views(args, None)?.0)
}

/// What is done by a call that is not like the last one, and kept out of the code of those that are.
#[cold]
#[inline(never)]
fn otherwise<T>(call: impl FnOnce() -> T) -> T {
    call()
}

fn results<R: FromTensors>(function: &Function, tensors: Vec<Tensor>) -> Result<R, Error> {
    R::from_tensors(tensors).map_err(|(place, e)| {
        let message = format!("result {place} does not fit its type: {e}");
        function.error(vec![Diagnostic::new(codes::CALL_OUTPUT, message)])
    })
}

fn call_into<O: AsViewMut + ?Sized>(
    function: &Function,
    args: &[View<'_>],
    out: &mut O,
) -> Result<(), Error> {
    let place = out.as_view_mut().map_err(|e| {
        let message = format!("the place for the result does not fit: {e}");
        function.error(vec![Diagnostic::new(codes::CALL_OUTPUT, message)])
    })?;
    function.call_views_into(args, &mut [place])
}

macro_rules! arities {
    ($(($($A:ident $a:ident)*))+) => {$(
        impl<$($A: TypedView + ?Sized + 'static,)* R: FromTensors + 'static> sealed::Sealed for fn($(&$A),*) -> R {}

        impl<$($A: TypedView + ?Sized + 'static,)* R: FromTensors + 'static> TypedFn for fn($(&$A),*) -> R {
            type Call = dyn Fn($(&$A),*) -> Result<R, Error> + Send + Sync;
            const ARGUMENTS: &'static [TypeKind] = &[$($A::KIND),*];
            const RESULTS: &'static [TypeKind] = R::KINDS;

            fn wrap(function: Function) -> Box<Self::Call> {
                Box::new(move |$($a: &$A),*| {
                    let again = function.again(|_, call| {
                        let alike = $(call.arg($a) &&)* true;
                        alike.then(|| call.run_new(None))?
                    });
                    match again {
                        Some(tensors) => results(&function, tensors),
                        None => otherwise(|| call(&function, &[$($a.as_view()),*])),
                    }
                })
            }
        }

        impl<$($A: TypedView + ?Sized + 'static,)* O> sealed::Sealed for fn($(&$A,)* &mut O)
        where
            O: TypedView + AsViewMut + ?Sized + 'static {}

        impl<$($A: TypedView + ?Sized + 'static,)* O> TypedFn for fn($(&$A,)* &mut O)
        where
            O: TypedView + AsViewMut + ?Sized + 'static,
        {
            type Call = dyn Fn($(&$A,)* &mut O) -> Result<(), Error> + Send + Sync;
            const ARGUMENTS: &'static [TypeKind] = &[$($A::KIND),*];
            const RESULTS: &'static [TypeKind] = &[O::KIND];

            fn wrap(function: Function) -> Box<Self::Call> {
                Box::new(move |$($a: &$A,)* out: &mut O| {
                    let again = function.again(|_, call| {
                        let alike = $(call.arg($a) &&)* call.result(out);
                        alike.then(|| call.run())?
                    });
                    match again {
                        Some(()) => Ok(()),
                        None => otherwise(|| call_into(&function, &[$($a.as_view()),*], out)),
                    }
                })
            }
        }
    )+};
}

arities! {
    ()
    (A a)
    (A a B b)
    (A a B b C c)
    (A a B b C c D d)
    (A a B b C c D d E e)
    (A a B b C c D d E e F f)
    (A a B b C c D d E e F f G g)
    (A a B b C c D d E e F f G g H h)
    (A a B b C c D d E e F f G g H h I i)
    (A a B b C c D d E e F f G g H h I i J j)
    (A a B b C c D d E e F f G g H h I i J j K k)
    (A a B b C c D d E e F f G g H h I i J j K k L l)
}

/// Function types that take as many tensors by value as there are names.
macro_rules! owned {
    ($(($($a:ident: $T:ident)+))+) => {$(
        impl<R: FromTensors + 'static> sealed::Sealed for fn($($T),+) -> R {}

        impl<R: FromTensors + 'static> TypedFn for fn($($T),+) -> R {
            type Call = dyn Fn($($T),+) -> Result<R, Error> + Send + Sync;
            const ARGUMENTS: &'static [TypeKind] = &[$(<$T as TypedView>::KIND),+];
            const RESULTS: &'static [TypeKind] = R::KINDS;

            fn wrap(function: Function) -> Box<Self::Call> {
                Box::new(move |$($a: $T),+| results(&function, function.call_tensors(vec![$($a),+], None)?.0))
            }
        }
    )+};
}

owned! {
    (a: Tensor)
    (a: Tensor b: Tensor)
    (a: Tensor b: Tensor c: Tensor)
    (a: Tensor b: Tensor c: Tensor d: Tensor)
    (a: Tensor b: Tensor c: Tensor d: Tensor e: Tensor)
    (a: Tensor b: Tensor c: Tensor d: Tensor e: Tensor f: Tensor)
    (a: Tensor b: Tensor c: Tensor d: Tensor e: Tensor f: Tensor g: Tensor)
    (a: Tensor b: Tensor c: Tensor d: Tensor e: Tensor f: Tensor g: Tensor h: Tensor)
}

/// Compares a function type with a program. What the types leave open (a `Tensor` is of any kind) is left to the call.
fn check(function: &Function, arguments: &[TypeKind], results: &[TypeKind]) -> Result<(), Error> {
    let params = &function.signature().params;
    let required = params.iter().take_while(|p| !p.optional).count();
    if arguments.len() > params.len() || arguments.len() < required {
        let names: Vec<String> = params.iter().map(declaration).collect();
        let message =
            format!("the type has {} arguments, and the program takes {}", arguments.len(), params.len());
        let d = Diagnostic::new(codes::CALL_COUNT, message)
            .help(format!("its parameters are {}", names.join(", ")));
        return Err(function.error(vec![d]));
    }
    let mismatches: Vec<Diagnostic> =
        params.iter().zip(arguments).filter_map(|(p, k)| mismatch(p, *k)).collect();
    if !mismatches.is_empty() {
        return Err(function.error(mismatches));
    }
    let kinds = arguments.iter().map(Some).chain(std::iter::repeat(None));
    let specs: Option<Vec<Option<ArgSpec>>> = params
        .iter()
        .zip(kinds)
        .map(|(p, kind)| match kind {
            Some(kind) => assumed(p, *kind).map(Some),
            None => Some(None),
        })
        .collect();
    let Some(specs) = specs else { return Ok(()) };
    let special = function.specialize(specs, None)?;
    let func = &special.func;
    if func.results().len() != results.len() {
        let message =
            format!("the type has {} results, and the program has {}", results.len(), func.results().len());
        return Err(function.error(vec![Diagnostic::new(codes::CALL_OUTPUT, message)]));
    }
    for (i, (v, kind)) in func.results().iter().zip(results).enumerate() {
        let ty = func.ty(*v);
        if kind.dtype.is_some_and(|d| d != ty.dtype) || kind.rank.is_some_and(|r| r != ty.rank()) {
            let message = format!("result {i} is {ty}, and the type takes {}", describe(*kind));
            let d = Diagnostic::new(codes::CALL_OUTPUT, message).primary(func.node(*v).origin, "");
            return Err(function.error(vec![d]));
        }
    }
    Ok(())
}

fn mismatch(p: &ParamSig, kind: TypeKind) -> Option<Diagnostic> {
    let ty = p.ty.as_ref()?;
    let rest = ty.dims.contains(&DimSig::Rest);
    let wrong_dtype = kind.dtype.is_some_and(|d| !ty.dtypes.contains(d));
    let wrong_rank = kind.rank.is_some_and(|r| if rest { r + 1 < ty.dims.len() } else { r != ty.dims.len() });
    if !wrong_dtype && !wrong_rank {
        return None;
    }
    let code = if wrong_dtype { codes::CALL_DTYPE } else { codes::CALL_RANK };
    let message =
        format!("`{}` is {}, and the type gives {}", display_name(&p.name), ty.text, describe(kind));
    Some(Diagnostic::new(code, message).primary(p.span, format!("{} is expected", ty.text)))
}

/// What a parameter is checked for, when its declaration and the Rust type together tell it.
fn assumed(p: &ParamSig, kind: TypeKind) -> Option<ArgSpec> {
    let declared_dtype = p.ty.as_ref().and_then(|ty| match ty.dtypes {
        DTypeClass::Concrete(d) => Some(d),
        DTypeClass::Float | DTypeClass::Int | DTypeClass::Num => None,
    });
    let dims = p.ty.as_ref().map(|ty| &ty.dims).filter(|dims| !dims.contains(&DimSig::Rest));
    let dtype: DType = kind.dtype.or(declared_dtype)?;
    let rank = kind.rank.or(dims.map(Vec::len))?;
    let fixed_one = |axis: usize| dims.and_then(|d| d.get(axis)) == Some(&DimSig::Fixed(1));
    Some(ArgSpec { dtype, ones: (0..rank).map(fixed_one).collect(), weak: false })
}

fn describe(kind: TypeKind) -> String {
    let dtype = kind.dtype.map_or("any dtype".to_owned(), |d| d.to_string());
    match kind.rank {
        Some(0) => dtype,
        Some(rank) => format!("{dtype}[{}]", vec!["_"; rank].join(", ")),
        None => format!("{dtype}[...]"),
    }
}
