//! From the values of a call to one value for each parameter: names and places, declared types, literals.
//!
//! What is told here is told before the program is looked at again: a value of the wrong dtype is the caller's error
//! and is shown at the parameter that does not take it.

use matex_ir::tensor::bind::Argument;
use matex_ir::tensor::{Func, Param};
use matex_ir::{DType, Scalar, Span};
use matex_lang::unit::{ArgSpec, DTypeClass, DimSig, ParamSig, ParamType, Signature};
use matex_lang::{Diagnostic, codes, not_a_variable};
use matex_runtime::{AsArg, Given, Tensor, Value};

/// A value for a parameter of a program: whatever is a tensor, or a [`DeviceTensor`](crate::DeviceTensor).
///
/// ```
/// use matex::{Arg, CallOptions};
///
/// let f = matex::compile("x * 2.5")?;
/// let x = 3_i64;
/// // As a literal would, a weak value takes the dtype of what it meets.
/// let out = f.call_with(&CallOptions::new(), &[Arg::named("x", &x).weak()])?;
/// assert_eq!(out[0].to_string(), "7.5");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    name: Option<&'a str>,
    value: &'a dyn AsArg,
    weak: bool,
}

impl<'a> Arg<'a> {
    /// A value for the next parameter that none is given for by name.
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let f = matex::compile("a - b")?;
    /// let out = f.call_with(&CallOptions::new(), &[Arg::new(&5), Arg::named("a", &7)])?;
    /// assert_eq!(out[0].to_string(), "2");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn new(value: &'a dyn AsArg) -> Arg<'a> {
        Arg { name: None, value, weak: false }
    }

    /// A value for the parameter of that name; `0` is the name of `$0`.
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let f = matex::compile("{ $0 - $1 }")?;
    /// let out = f.call_with(&CallOptions::new(), &[Arg::named("1", &5), Arg::named("0", &7)])?;
    /// assert_eq!(out[0].to_string(), "2");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn named(name: &'a str, value: &'a dyn AsArg) -> Arg<'a> {
        Arg { name: Some(name), value, weak: false }
    }

    /// The same value as a literal: it takes the dtype that the parameter declares, or of what it meets.
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let f = matex::compile("fn f(x: f32) -> f32 { x / 2 }")?;
    /// let out = f.call_with(&CallOptions::new(), &[Arg::new(&3_i64).weak()])?;
    /// assert_eq!(out[0].describe(), "f32");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn weak(mut self) -> Arg<'a> {
        self.weak = true;
        self
    }
}

/// One value for each parameter; `None` takes the default.
pub(crate) type Slots<'a> = Vec<Option<Slot<'a>>>;

/// The value of a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) weak: bool,
}

/// `x: f64[n]`, or `x` for a parameter without a type.
pub(crate) fn declaration(p: &ParamSig) -> String {
    let name = display_name(&p.name);
    p.ty.as_ref().map_or(name.clone(), |ty| format!("{name}: {}", ty.text))
}

/// The name as the program writes it: `$0` for parameter `0`.
pub(crate) fn display_name(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("${name}") } else { name.to_owned() }
}

/// `f64[3, 4]`.
pub(crate) fn describe(view: &impl Given) -> String {
    let extents: Vec<String> = view.shape().iter().map(usize::to_string).collect();
    if extents.is_empty() {
        view.dtype().to_string()
    } else {
        format!("{}[{}]", view.dtype(), extents.join(", "))
    }
}

/// What binding sizes needs to know of the values of a function's parameters.
pub(crate) fn described<'a>(func: &Func, slots: impl Iterator<Item = &'a Slot<'a>>) -> Vec<Argument<'a>> {
    let one = |(slot, p): (&'a Slot<'a>, &Param)| {
        let dtype = if slot.weak { p.ty.dtype } else { slot.value.dtype() };
        Argument { dtype, shape: slot.value.shape(), int: slot.value.integer() }
    };
    slots.zip(&func.params).map(one).collect()
}

/// Gives each value to its parameter.
pub(crate) fn place<'a>(signature: &Signature, args: &[Arg<'a>]) -> Result<Slots<'a>, Vec<Diagnostic>> {
    let params = &signature.params;
    let mut slots: Slots<'a> = vec![None; params.len()];
    let mut errors = Vec::new();
    for arg in args.iter().filter(|a| a.name.is_some()) {
        let name = arg.name.unwrap_or_default();
        let name = name.strip_prefix('$').unwrap_or(name);
        match params.iter().position(|p| p.name == name) {
            Some(i) if slots[i].is_some() => errors.push(given_twice(&params[i])),
            Some(i) => slots[i] = Some(Slot { value: arg.value.as_arg(), weak: arg.weak }),
            None => errors.push(no_such(signature, name)),
        }
    }
    let mut free = (0..params.len()).filter(|i| slots[*i].is_none()).collect::<Vec<_>>().into_iter();
    let unnamed = args.iter().filter(|a| a.name.is_none());
    let count = args.len();
    for arg in unnamed {
        match free.next() {
            Some(i) => slots[i] = Some(Slot { value: arg.value.as_arg(), weak: arg.weak }),
            None => {
                errors.push(too_many(signature, count));
                break;
            }
        }
    }
    let missing = params.iter().zip(&slots).filter(|(p, slot)| slot.is_none() && !p.optional);
    errors.extend(missing.map(|(p, _)| is_missing(p)));
    if errors.is_empty() { Ok(slots) } else { Err(errors) }
}

fn given_twice(p: &ParamSig) -> Diagnostic {
    let message = format!("`{}` is given two values", display_name(&p.name));
    Diagnostic::new(codes::CALL_GIVEN_TWICE, message).primary(p.span, "one value is enough")
}

fn no_such(signature: &Signature, name: &str) -> Diagnostic {
    let d = Diagnostic::new(
        codes::CALL_SUPERFLUOUS,
        format!("the program has no parameter `{}`", display_name(name)),
    );
    d.help(parameters(signature))
}

fn too_many(signature: &Signature, count: usize) -> Diagnostic {
    let message = format!("{count} values are given, and the program takes {}", signature.params.len());
    Diagnostic::new(codes::CALL_SUPERFLUOUS, message).help(parameters(signature))
}

fn is_missing(p: &ParamSig) -> Diagnostic {
    let name = display_name(&p.name);
    let label = p.ty.as_ref().map_or("no value is given".to_owned(), |ty| format!("{} is expected", ty.text));
    let message = format!("`{}` is given no value", declaration(p));
    let help = not_a_variable(&p.name).filter(|_| p.ty.is_none());
    let help = help.unwrap_or_else(|| format!("give {name} a value by its name or its place"));
    Diagnostic::new(codes::CALL_MISSING, message).primary(p.span, label).help(help)
}

fn parameters(signature: &Signature) -> String {
    if signature.params.is_empty() {
        return "it takes none".to_owned();
    }
    let names: Vec<String> = signature.params.iter().map(declaration).collect();
    format!("it takes {}", names.join(", "))
}

/// Compares values with the declared types, and converts those that are literals. The result has a tensor wherever a
/// value was converted.
pub(crate) fn settle(
    signature: &Signature,
    slots: &Slots<'_>,
) -> Result<Vec<Option<Tensor>>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut converted = Vec::new();
    for (i, (p, slot)) in signature.params.iter().zip(slots).enumerate() {
        let mut tensor = None;
        if let (Some(ty), Some(slot)) = (&p.ty, slot) {
            let checked = if slot.weak {
                literal(p, ty, slot, class_dtype(signature, slots, i)).map(|t| tensor = t)
            } else {
                check_dtype(p, ty, &slot.value)
            };
            if let Err(d) = checked.and_then(|()| check_rank(p, ty, &slot.value)) {
                errors.push(d);
            }
        }
        converted.push(tensor);
    }
    if errors.is_empty() { Ok(converted) } else { Err(errors) }
}

fn check_dtype(p: &ParamSig, ty: &ParamType, view: &impl Given) -> Result<(), Diagnostic> {
    if ty.dtypes.contains(view.dtype()) {
        return Ok(());
    }
    let help = match ty.dtypes {
        DTypeClass::Concrete(d) => {
            format!("convert the value to {d}, or declare {} with {}", p.name, view.dtype())
        }
        DTypeClass::Float => "give it f16, bf16, f32 or f64".to_owned(),
        DTypeClass::Int => "give it an integer dtype".to_owned(),
        DTypeClass::Num => "give it numbers: cast bool to one of their dtypes".to_owned(),
    };
    Err(mismatch(codes::CALL_DTYPE, p, ty.text.as_str(), view).help(help))
}

fn check_rank(p: &ParamSig, ty: &ParamType, view: &impl Given) -> Result<(), Diagnostic> {
    let fits = if ty.dims.contains(&DimSig::Rest) {
        view.rank() + 1 >= ty.dims.len()
    } else {
        view.rank() == ty.dims.len()
    };
    if fits {
        return Ok(());
    }
    Err(mismatch(codes::CALL_RANK, p, ty.text.as_str(), view).note(format!("its rank is {}", view.rank())))
}

fn mismatch(code: matex_lang::Code, p: &ParamSig, expected: &str, view: &impl Given) -> Diagnostic {
    let message = format!("`{}` is {expected} and is given {}", display_name(&p.name), describe(view));
    Diagnostic::new(code, message).primary(p.span, format!("{expected} is expected"))
}

/// The dtype of the class of parameter `i` in this call: that of the values that have one, else of the literals.
fn class_dtype(signature: &Signature, slots: &Slots<'_>, i: usize) -> Option<DType> {
    let class = signature.params.get(i)?.ty.as_ref()?.dtypes;
    let members = signature.params.iter().zip(slots).filter_map(|(p, slot)| {
        let same = p.ty.as_ref().is_some_and(|ty| ty.dtypes == class);
        slot.as_ref().filter(|_| same)
    });
    let (weak, strong): (Vec<&Slot<'_>>, Vec<&Slot<'_>>) = members.partition(|s| s.weak);
    match (class, strong.first()) {
        (DTypeClass::Concrete(d), _) => Some(d),
        (_, Some(slot)) => Some(slot.value.dtype()),
        (DTypeClass::Num, None) if weak.iter().all(|s| s.value.dtype().is_int()) => Some(DType::I64),
        (DTypeClass::Num | DTypeClass::Float | DTypeClass::Int, None) => Some(class.typical()),
    }
}

/// Converts a literal to the dtype that its parameter has.
fn literal(
    p: &ParamSig,
    ty: &ParamType,
    slot: &Slot<'_>,
    dtype: Option<DType>,
) -> Result<Option<Tensor>, Diagnostic> {
    let (value, Some(dtype)) = (&slot.value, dtype) else { return Ok(None) };
    if value.dtype() == dtype {
        return Ok(None);
    }
    let number = |d: DType| d != DType::Bool;
    if number(value.dtype()) != number(dtype) {
        return check_dtype(p, ty, value).map(|()| None);
    }
    let view = value.host().map_err(|e| Diagnostic::new(e.code(), e.to_string()))?;
    if view.dtype().is_float() && !dtype.is_float() {
        let name = display_name(&p.name);
        let message = format!("`{name}` is {} and is given a literal with a point", ty.text);
        return Err(Diagnostic::new(codes::LITERAL_KIND, message)
            .primary(p.span, format!("{} is expected", ty.text))
            .help(format!("write an integer, or declare {name} with a float dtype")));
    }
    if dtype.is_int()
        && let Some(v) =
            view.scalars().find(|s| Scalar::from_i128(dtype, s.to_i128()).to_i128() != s.to_i128())
    {
        let message = format!("{v} does not fit {dtype}");
        return Err(Diagnostic::new(codes::LITERAL_OUT_OF_RANGE, message)
            .primary(p.span, format!("{} is expected", ty.text))
            .help(format!("give a value that {dtype} holds, or declare {} wider", display_name(&p.name))));
    }
    let cast = view.to_tensor().and_then(|t| t.cast(dtype));
    cast.map(Some).map_err(|e| out_of_memory(&e.to_string(), p.span))
}

fn out_of_memory(what: &str, span: Span) -> Diagnostic {
    Diagnostic::new(codes::OUT_OF_MEMORY, what).primary(span, "for this value")
}

/// What the program is checked for. Sizes that are declared do not broadcast, so that an extent of 1 is nothing
/// special there, and one check serves all of them.
pub(crate) fn spec(p: &ParamSig, view: &impl Given, weak: bool) -> ArgSpec {
    let ones = (0..view.rank()).map(|axis| is_one(p, view, axis)).collect();
    ArgSpec { dtype: view.dtype(), ones, weak }
}

/// Whether a spec is that of a value, without making one.
pub(crate) fn fits(spec: &ArgSpec, p: &ParamSig, view: &impl Given, weak: bool) -> bool {
    spec.dtype == view.dtype()
        && spec.weak == weak
        && spec.ones.len() == view.rank()
        && spec.ones.iter().enumerate().all(|(axis, one)| *one == is_one(p, view, axis))
}

fn is_one(p: &ParamSig, view: &impl Given, axis: usize) -> bool {
    let dims = p.ty.as_ref().map_or(&[][..], |ty| &ty.dims);
    // Dims behind `...` are counted from the end.
    let dim = match dims.iter().position(|d| *d == DimSig::Rest) {
        Some(rest) if axis >= rest => {
            let from_end = view.rank() - axis;
            if from_end < dims.len() - rest { dims.get(dims.len() - from_end) } else { dims.get(rest) }
        }
        Some(_) | None => dims.get(axis),
    };
    match dim {
        Some(DimSig::Named) => false,
        Some(DimSig::Fixed(n)) => *n == 1,
        Some(DimSig::Any | DimSig::Rest) | None => view.shape()[axis] == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matex_runtime::AsView;

    fn param(name: &str, ty: Option<(&str, DTypeClass, Vec<DimSig>)>) -> ParamSig {
        let ty = ty.map(|(text, dtypes, dims)| ParamType { text: text.into(), dtypes, dims });
        ParamSig { name: name.into(), ty, optional: false, span: Span::default() }
    }

    fn signature(params: Vec<ParamSig>) -> Signature {
        Signature { name: "main".into(), params, results: None }
    }

    fn codes_of<T>(result: Result<T, Vec<Diagnostic>>) -> Vec<u16> {
        result.err().unwrap_or_default().iter().map(|d| d.code.0).collect()
    }

    #[test]
    fn names_and_places() {
        let s = signature(vec![param("a", None), param("0", None), param("b", None)]);
        let slots = place(&s, &[Arg::new(&1), Arg::named("0", &[1, 2]), Arg::new(&2.5)]).unwrap();
        let kinds: Vec<String> = slots.iter().flatten().map(|s| describe(&s.value)).collect();
        assert_eq!(kinds, ["i32", "i32[2]", "f64"]);
        assert_eq!(codes_of(place(&s, &[Arg::new(&1); 4])), [506]);
        assert_eq!(codes_of(place(&s, &[Arg::new(&1), Arg::named("$0", &1)])), [505]);
        assert_eq!(
            codes_of(place(&s, &[Arg::named("a", &1), Arg::named("a", &1), Arg::named("zz", &1)])),
            [507, 506, 505, 505]
        );
    }

    #[test]
    fn literals_take_the_declared_dtype() {
        let one = |ty: (&str, DTypeClass, Vec<DimSig>), value: &dyn AsArg| {
            let s = signature(vec![param("x", Some(ty))]);
            let slots = place(&s, &[Arg::new(value).weak()]).unwrap();
            settle(&s, &slots).map(|c| c[0].as_ref().map(Tensor::describe)).map_err(|e| e[0].code.0)
        };
        let concrete = |d: DType| (d.name(), DTypeClass::Concrete(d), vec![]);
        assert_eq!(one(concrete(DType::F32), &3i64), Ok(Some("f32".into())));
        assert_eq!(one(concrete(DType::I8), &-3i64), Ok(Some("i8".into())));
        assert_eq!(one(concrete(DType::I8), &300i64), Err(215));
        assert_eq!(one(concrete(DType::U8), &-1i64), Err(215));
        assert_eq!(one(concrete(DType::I64), &3.5), Err(216));
        assert_eq!(one(concrete(DType::Bool), &1i64), Err(502));
        assert_eq!(one(("float", DTypeClass::Float, vec![]), &1i64), Ok(Some("f64".into())));
        assert_eq!(one(("num", DTypeClass::Num, vec![]), &1i64), Ok(None));
        assert_eq!(one(("f64[n]", DTypeClass::Concrete(DType::F64), vec![DimSig::Named]), &1i64), Err(503));
    }

    #[test]
    fn a_class_is_one_dtype() {
        let ty = || Some(("float", DTypeClass::Float, vec![DimSig::Rest]));
        let s = signature(vec![param("x", ty()), param("y", ty())]);
        let slots = place(&s, &[Arg::new(&1i64).weak(), Arg::new(&[1.0f32, 2.0])]).unwrap();
        assert_eq!(settle(&s, &slots).unwrap()[0].as_ref().unwrap().describe(), "f32");
    }

    #[test]
    fn extents_of_one_count_only_where_no_size_is_declared() {
        let m = [[1.0; 1]; 1];
        let ones = |dims: &[DimSig]| {
            let p = param("x", Some(("", DTypeClass::Num, dims.to_vec())));
            let spec = spec(&p, &m.as_view(), false);
            assert!(fits(&spec, &p, &m.as_view(), false) && !fits(&spec, &p, &m.as_view(), true));
            spec.ones
        };
        use DimSig::{Any, Fixed, Named, Rest};
        assert_eq!(ones(&[Named, Any]), [false, true]);
        assert_eq!(ones(&[Rest, Named]), [true, false]);
        assert_eq!(ones(&[Named, Rest]), [false, true]);
        assert_eq!(ones(&[Named, Rest, Fixed(1)]), [false, true]);
        assert_eq!(ones(&[Rest]), [true, true]);
    }
}
