//! A program as the rest of matex sees it: parsed and resolved once, then checked for each set of dtypes and ranks
//! that it is called with.

use crate::ast::{DTypeExpr, DimKind, Form, ParamDecl, Program, TypeExpr};
use crate::check::{self, Entry};
use crate::diag::Diagnostic;
use crate::limits::Limits;
use matex_ir::tensor::Func;
use matex_ir::{DType, Span};
use std::sync::Arc;

/// A parsed program whose names are resolved, and its entry.
///
/// ```
/// use matex_lang::{Limits, Unit};
///
/// let unit = Unit::new("fn double(x: f64[n]) -> f64[n] { 2 * x }", None, &Limits::default()).unwrap();
/// assert_eq!(unit.signature().params[0].name, "x");
/// let func = unit.specialize(&unit.assumed_args().unwrap()).unwrap();
/// assert_eq!(func.params[0].ty.to_string(), "f64[n]");
/// ```
#[derive(Clone, Debug)]
pub struct Unit {
    source: Arc<str>,
    program: Arc<Program>,
    entry: Entry,
    /// What is done to the entry, the first first.
    derived: Vec<Step>,
    signature: Signature,
    limits: Limits,
}

/// What a program takes and gives.
///
/// ```
/// # use matex_lang as matex;
/// use matex::{Limits, Unit};
/// let unit = Unit::new("fn f(x: f64[n]) -> f64 { sum(x) }", None, &Limits::default())?;
/// let s = unit.signature();
/// assert_eq!((&*s.name, s.params.len(), s.results.as_deref()), ("f", 1, Some(&["f64".to_owned()][..])));
/// # Ok::<(), Vec<matex_lang::Diagnostic>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The name of the entry function; `main` for an expression or a block.
    pub name: String,
    /// The parameters in order.
    pub params: Vec<ParamSig>,
    /// The declared types of the results, as text.
    pub results: Option<Vec<String>>,
}

/// A parameter of the entry.
///
/// ```
/// # use matex_lang as matex;
/// use matex::{Limits, Unit};
/// let unit = Unit::new("fn f(x, k: i64 = 3) { x * k }", None, &Limits::default())?;
/// let [x, k] = &unit.signature().params[..] else { unreachable!() };
/// assert!(x.ty.is_none() && !x.optional && k.optional);
/// # Ok::<(), Vec<matex_lang::Diagnostic>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSig {
    /// Its name: `x`, or `0` for `$0`.
    pub name: String,
    /// Its declared type; without one it takes the dtype and rank of the argument.
    pub ty: Option<ParamType>,
    /// Whether it has a default.
    pub optional: bool,
    /// The place of its declaration, or of its first use.
    pub span: Span,
}

/// The declared type of a parameter.
///
/// ```
/// # use matex_lang as matex;
/// use matex::{Limits, Unit};
/// let unit = Unit::new("fn f(x: f64[n, 3]) { x }", None, &Limits::default())?;
/// let ty = unit.signature().params[0].ty.as_ref().unwrap();
/// assert_eq!((&*ty.text, ty.dims.len()), ("f64[n, 3]", 2));
/// # Ok::<(), Vec<matex_lang::Diagnostic>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ParamType {
    /// As it was written.
    pub text: String,
    /// The dtypes that it takes.
    pub dtypes: DTypeClass,
    /// The dims, outermost first.
    pub dims: Vec<DimSig>,
}

/// The dtypes that a parameter takes.
///
/// ```
/// # use matex_lang as matex;
/// use matex::DTypeClass;
/// assert!(DTypeClass::Num.contains(matex_ir::DType::I8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DTypeClass {
    /// One.
    Concrete(DType),
    /// Any float dtype.
    Float,
    /// Any integer dtype.
    Int,
    /// Any dtype but bool.
    Num,
}

impl DTypeClass {
    /// Whether the class has that dtype.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::DTypeClass;
    /// assert!(!DTypeClass::Float.contains(matex_ir::DType::I8));
    /// ```
    pub fn contains(self, d: DType) -> bool {
        match self {
            DTypeClass::Concrete(own) => own == d,
            DTypeClass::Float => d.is_float(),
            DTypeClass::Int => d.is_int(),
            DTypeClass::Num => d != DType::Bool,
        }
    }

    /// The dtype that stands for the class when no argument is there, or when the argument is a literal.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::DTypeClass;
    /// assert_eq!(DTypeClass::Float.typical(), matex_ir::DType::F64);
    /// ```
    pub fn typical(self) -> DType {
        match self {
            DTypeClass::Concrete(own) => own,
            DTypeClass::Float | DTypeClass::Num => DType::F64,
            DTypeClass::Int => DType::I64,
        }
    }
}

/// A dim of a declared type.
///
/// ```
/// # use matex_lang as matex;
/// use matex::{DimSig, Limits, Unit};
/// let unit = Unit::new("fn f(x: f64[n, 3, _]) { x }", None, &Limits::default())?;
/// let dims = &unit.signature().params[0].ty.as_ref().unwrap().dims;
/// assert_eq!(dims[..], [DimSig::Named, DimSig::Fixed(3), DimSig::Any]);
/// # Ok::<(), Vec<matex_lang::Diagnostic>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DimSig {
    /// A fixed size.
    Fixed(u64),
    /// A named size, or an expression over named sizes.
    Named,
    /// `_`: any size.
    Any,
    /// `...`: any number of further dims.
    Rest,
}

/// What is known of an argument before the program is checked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgSpec {
    /// Its dtype.
    pub dtype: DType,
    /// For each axis whether its extent is 1; extents of 1 broadcast where a parameter does not name them.
    pub ones: Vec<bool>,
    /// Whether it is a literal, which takes the dtype of what it meets.
    pub weak: bool,
}

impl Unit {
    /// Parses and resolves a program. The entry is the function of that name, or `main`, or else the last one. What
    /// can be checked without arguments is checked.
    ///
    /// # Errors
    /// Everything that is wrong with the program as far as it can be told, at most 64 diagnostics in text order.
    pub fn new(source: &str, entry: Option<&str>, limits: &Limits) -> Result<Unit, Vec<Diagnostic>> {
        let program = crate::parser::parse(source, limits)?;
        let entry = check::resolve(&program, entry)?;
        let signature = signature(source, &program, &entry);
        let (source, program) = (source.into(), Arc::new(program));
        let unit = Unit { source, program, entry, derived: Vec::new(), signature, limits: limits.clone() };
        unit.checked()
    }

    /// The program with its entry transformed, as the language's function of that name does it.
    ///
    /// # Errors
    /// E0119 for a name that no parameter has, E0103 for another number of axes than of parameters, and, as far as it can be
    /// told without arguments, whatever the transformed program is refused for.
    ///
    /// ```
    /// use matex_lang::{Derived, Limits, Unit};
    ///
    /// let unit = Unit::new("fn f(x: f64[n], k: i64) { sum(x**2) * k }", None, &Limits::default()).unwrap();
    /// let gradient = unit.derive(Derived::Grad { wrt: vec!["x".into()], value: false, recompute: false }).unwrap();
    /// let func = gradient.specialize(&gradient.assumed_args().unwrap()).unwrap();
    /// assert_eq!(func.ty(func.results()[0]).to_string(), "f64[x.0]");
    /// ```
    pub fn derive(&self, derived: Derived) -> Result<Unit, Vec<Diagnostic>> {
        let signature = derived.signature(&self.signature)?;
        let mut unit = Unit { signature, ..self.clone() };
        let moving = (0..self.signature.params.len()).filter(|i| moves(&self.signature.params[*i]));
        unit.derived.push(Step { how: derived, moving: moving.collect() });
        unit.checked()
    }

    /// The unit, if there are arguments that it can be called with, as far as that can be told without any. What is wrong with it for the usual
    /// dtype of a class may be right for another one.
    fn checked(self) -> Result<Unit, Vec<Diagnostic>> {
        let Ok(usual) = self.assumed_args() else { return Ok(self) };
        let Err(wrong) = self.specialize(&usual) else { return Ok(self) };
        let others = DType::ALL.into_iter().map(|d| self.with_classes_as(d, &usual));
        let fits = |args: &Vec<Option<ArgSpec>>| *args != usual && self.specialize(args).is_ok();
        if others.into_iter().any(|args| fits(&args)) { Ok(self) } else { Err(wrong) }
    }

    /// The arguments with this dtype wherever a parameter has a class that it belongs to.
    fn with_classes_as(&self, dtype: DType, args: &[Option<ArgSpec>]) -> Vec<Option<ArgSpec>> {
        let of = |(p, arg): (&ParamSig, &Option<ArgSpec>)| {
            let takes = p.ty.as_ref().is_some_and(|ty| ty.dtypes.contains(dtype));
            arg.clone().map(|arg| if takes { ArgSpec { dtype, ..arg } } else { arg })
        };
        self.signature.params.iter().zip(args).map(of).collect()
    }

    /// What the program takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The text of the program.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Checks the program for arguments, one for each parameter; `None` takes the default. The function has a
    /// parameter for each argument that is given, in order.
    ///
    /// # Errors
    /// Everything that is wrong with the program for these arguments.
    pub fn specialize(&self, args: &[Option<ArgSpec>]) -> Result<Func, Vec<Diagnostic>> {
        self.specialize_for(args, &[])
    }

    /// What is wrong with the program for arguments of these extents, which stand in the place of sizes that are not
    /// declared: the operation that they do not fit, where a call with them only knows that sizes disagree.
    pub fn explain_sizes(
        &self,
        args: &[Option<ArgSpec>],
        extents: &[Option<Vec<usize>>],
    ) -> Option<Diagnostic> {
        self.specialize_for(args, extents).err()?.into_iter().next()
    }

    fn specialize_for(
        &self,
        args: &[Option<ArgSpec>],
        extents: &[Option<Vec<usize>>],
    ) -> Result<Func, Vec<Diagnostic>> {
        let names: Vec<&str> = self.signature.params.iter().map(|p| &*p.name).collect();
        let given =
            check::Given { args, extents, derived: &self.derived, name: &self.signature.name, names: &names };
        check::check(&self.source, &self.program, &self.entry, &given, &self.limits)
    }

    /// Arguments that stand for a call that has not been made: of the declared types, with defaults left out.
    ///
    /// # Errors
    /// When a parameter has no type, or `...` leaves its rank open.
    pub fn assumed_args(&self) -> Result<Vec<Option<ArgSpec>>, Vec<Diagnostic>> {
        self.signature.params.iter().map(assumed).collect::<Result<_, _>>().map_err(|d| vec![d])
    }
}

/// A transform of a program's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Derived {
    /// `grad` by parameters, or `value_and_grad`.
    Grad {
        /// The names of the parameters; none for the first that is a float.
        wrt: Vec<String>,
        /// Whether the result itself comes first.
        value: bool,
        /// Whether less of loops is kept, and worked out again.
        recompute: bool,
    },
    /// `jacobian` by parameters.
    Jacobian {
        /// The names of the parameters; none for the first that is a float.
        wrt: Vec<String>,
    },
    /// `hessian` by a parameter.
    Hessian {
        /// Its name; none for the first that is a float.
        wrt: Vec<String>,
    },
    /// `jvp`: each parameter that is not declared as something other than a float has a further one, `v_` and its name,
    /// for the change of it.
    Jvp,
    /// `vmap` over an axis of each parameter, or none of it.
    Vmap {
        /// The axes, one for each parameter.
        axes: Vec<Option<usize>>,
    },
}

/// A transform of an entry, with the places of the parameters that may change.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) how: Derived,
    pub(crate) moving: Vec<usize>,
}

/// Whether a parameter may change.
fn moves(p: &ParamSig) -> bool {
    p.ty.as_ref().is_none_or(|t| match t.dtypes {
        DTypeClass::Concrete(d) => d.is_float(),
        DTypeClass::Float => true,
        DTypeClass::Int | DTypeClass::Num => false,
    })
}

impl Derived {
    /// The signature of the transform of a function.
    fn signature(&self, of: &Signature) -> Result<Signature, Vec<Diagnostic>> {
        let mut params = of.params.clone();
        let name = match self {
            Derived::Grad { wrt, value, .. } => {
                known(of, wrt)?;
                if *value { "value_and_grad" } else { "grad" }
            }
            Derived::Jacobian { wrt } => {
                known(of, wrt)?;
                "jacobian"
            }
            Derived::Hessian { wrt } => {
                known(of, wrt)?;
                "hessian"
            }
            Derived::Jvp => {
                params.iter_mut().for_each(|p| p.optional = false);
                for p in params.clone().into_iter().filter(moves) {
                    let mut name = format!("v_{}", p.name);
                    while params.iter().any(|q| q.name == name) {
                        name = format!("v_{name}");
                    }
                    params.push(ParamSig { name, ..p });
                }
                "jvp"
            }
            Derived::Vmap { axes } => {
                if axes.len() != params.len() {
                    let message = format!("{} axes for {} parameters", axes.len(), params.len());
                    let d = Diagnostic::new(crate::codes::WRONG_ARGUMENT_COUNT, message);
                    return Err(vec![d.help("give an axis, or None, for each parameter")]);
                }
                params.iter_mut().zip(axes).filter(|(_, a)| a.is_some()).for_each(|(p, _)| p.lengthen());
                "vmap"
            }
        };
        Ok(Signature { name: format!("{name}_{}", of.name), params, results: None })
    }
}

fn known(of: &Signature, wrt: &[String]) -> Result<(), Vec<Diagnostic>> {
    let Some(name) = wrt.iter().find(|n| !of.params.iter().any(|p| p.name == **n)) else { return Ok(()) };
    let names: Vec<&str> = of.params.iter().map(|p| &*p.name).collect();
    let message = format!("{} has no parameter {name}", of.name);
    let d = Diagnostic::new(crate::codes::UNKNOWN_PARAMETER, message);
    Err(vec![d.help(format!("it has: {}", names.join(", ")))])
}

impl ParamSig {
    /// One axis more, of any size.
    fn lengthen(&mut self) {
        if let Some(ty) = &mut self.ty {
            ty.dims.insert(0, DimSig::Any);
            ty.text = match ty.text.split_once('[') {
                Some((dtype, dims)) => format!("{dtype}[_, {dims}"),
                None => format!("{}[_]", ty.text),
            };
        }
    }
}

fn assumed(p: &ParamSig) -> Result<Option<ArgSpec>, Diagnostic> {
    let open = |what: &str| {
        Diagnostic::new(crate::codes::CALL_MISSING, format!("{what} of parameter {} is not known", p.name))
            .primary(p.span, "no argument is given for it")
            .help(format!("give it an argument, or declare it, as in {}: f64[n]", p.name))
    };
    if p.optional {
        return Ok(None);
    }
    let ty = p.ty.as_ref().ok_or_else(|| open("the type"))?;
    if ty.dims.contains(&DimSig::Rest) {
        return Err(open("the rank"));
    }
    let ones = ty.dims.iter().map(|d| *d == DimSig::Fixed(1)).collect();
    Ok(Some(ArgSpec { dtype: ty.dtypes.typical(), ones, weak: false }))
}

fn signature(source: &str, program: &Program, entry: &Entry) -> Signature {
    let text = |s: Span| source.get(s.start as usize..s.end as usize).unwrap_or_default().to_owned();
    match (&program.form, entry) {
        (Form::Module(_), Entry::Function(id)) => {
            let def = &program.ast[*id];
            let declared = |p: &ParamDecl| ParamSig {
                name: p.name.name.to_string(),
                ty: p.ty.as_ref().map(|t| param_type(program, t, text(t.span))),
                optional: p.default.is_some(),
                span: p.span,
            };
            Signature {
                name: def.name.name.to_string(),
                params: def.params.iter().map(declared).collect(),
                results: def.result.as_ref().map(|r| r.types.iter().map(|t| text(t.span)).collect()),
            }
        }
        (_, Entry::Free(names)) => {
            let free = |(name, span): &(crate::ast::Name, Span)| ParamSig {
                name: name.trim_start_matches('$').to_owned(),
                ty: None,
                optional: false,
                span: *span,
            };
            Signature { name: "main".to_owned(), params: names.iter().map(free).collect(), results: None }
        }
        (_, Entry::Function(_)) => Signature { name: "main".to_owned(), params: Vec::new(), results: None },
    }
}

fn param_type(program: &Program, ty: &TypeExpr, text: String) -> ParamType {
    let dtypes = match ty.dtype {
        DTypeExpr::Concrete(d) => DTypeClass::Concrete(d),
        DTypeExpr::Float => DTypeClass::Float,
        DTypeExpr::Int => DTypeClass::Int,
        DTypeExpr::Num => DTypeClass::Num,
    };
    let dim = |d: &crate::ast::DimId| match &program.ast[*d].kind {
        DimKind::Int(n) => DimSig::Fixed(*n),
        DimKind::Name(_) | DimKind::Binary { .. } => DimSig::Named,
        DimKind::Any => DimSig::Any,
        DimKind::Rest => DimSig::Rest,
    };
    ParamType { text, dtypes, dims: ty.dims.iter().flatten().map(dim).collect() }
}
