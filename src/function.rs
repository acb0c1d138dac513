//! A compiled program and the ways to call it.

use crate::arguments::{self, Arg, Slot, Slots};
use crate::builder::{self, Places};
use crate::cache::{Bucket, Cache, Special, is_strided};
use crate::engine::{Budget, Engine};
use crate::error::{Error, guarded, internal};
use crate::failure::{Given as Parameters, diagnose, is_of_sizes, with_operation};
use crate::options::{NonFinite, Options};
use crate::outputs::{self, Outputs};
use crate::typed::{Typed, TypedFn};
use crate::warning::Warning;
use matex_ir::dim::Atom;
use matex_ir::tensor::Func;
use matex_ir::tensor::bind::bind_sizes;
use matex_lang::unit::{ArgSpec, ParamSig, Signature, Unit};
use matex_lang::{Derived, Diagnostic, Limits, codes};
use matex_passes::Sizes;
use matex_runtime::{
    Again, AsArg, AsView, AsViewMut, DeviceTensor, ExecError, Given, LayoutClass, Tensor, Value, View,
    ViewMut,
};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// A compiled program. It is immutable, cheap to clone, and may be called from many threads at once.
///
/// A program is checked when it is compiled, and made ready once for each set of dtypes and ranks that it is called
/// with; sizes may differ from call to call at no cost.
///
/// ```
/// let f = matex::compile("fn scale(x: f64[n], by: f64 = 2.0) -> f64[n] { x * by }")?;
/// assert_eq!(f.call(&[&[1.0, 2.0]])?[0].to_string(), "[2.0, 4.0]");
/// assert_eq!(f.call(&[&[1.0, 2.0, 3.0], &3.0])?[0].to_string(), "[3.0, 6.0, 9.0]");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone)]
pub struct Function(Arc<Shared>);

struct Shared {
    /// The error is that of a program that was checked elsewhere and is refused here all the same.
    unit: Result<Unit, Error>,
    options: Options,
    file: Arc<str>,
    source: Arc<str>,
    cache: Cache,
    /// The form that was first called with values by place: that of all calls of most programs.
    usual: OnceLock<Arc<Special>>,
    /// The lines of Rust that a built program came from.
    places: Option<Places>,
}

/// What one call may do.
///
/// ```
/// use matex::{Arg, CallOptions};
///
/// let f = matex::compile("{ s = 0; while s >= 0 { s = s + x; } s }")?;
/// let error = f.call_with(&CallOptions::new().max_steps(100), &[Arg::new(&1_i64)]).unwrap_err();
/// assert_eq!(error.kind(), matex::ErrorKind::Limit);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    max_steps: Option<u64>,
    cancel: Option<Arc<AtomicBool>>,
}

impl CallOptions {
    /// What a plain call may do.
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let out = matex::compile("x + 1")?.call_with(&CallOptions::new(), &[Arg::new(&1)])?;
    /// assert_eq!(out[0].to_string(), "2");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// The most steps that all loops of the call take together, in place of [`Limits::loop_steps`](crate::Limits).
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let f = matex::compile("{ for i in 0..n { x = x + 1; } x }")?;
    /// let args = [Arg::new(&5_i64), Arg::new(&0_i64)];
    /// assert!(f.call_with(&CallOptions::new().max_steps(4), &args).is_err());
    /// assert!(f.call_with(&CallOptions::new().max_steps(5), &args).is_ok());
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> CallOptions {
        self.max_steps = Some(steps);
        self
    }

    /// A flag that another thread sets to stop the call, which then fails with E0603.
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// use std::sync::Arc;
    /// use std::sync::atomic::AtomicBool;
    /// let stop = Arc::new(AtomicBool::new(true));
    /// let options = CallOptions::new().cancel(stop);
    /// let error = matex::compile("x + 1")?.call_with(&options, &[Arg::new(&1)]).unwrap_err();
    /// assert_eq!(error.code().to_string(), "E0603");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> CallOptions {
        self.cancel = Some(flag);
        self
    }
}

impl Function {
    pub(crate) fn compile(
        source: &str,
        entry: Option<&str>,
        file: &str,
        places: Option<&Places>,
        options: &Options,
    ) -> Result<Function, Error> {
        let function = Function::new(source, entry, file, places, options);
        function.unit()?;
        Ok(function)
    }

    /// A program that was checked while the crate that holds it was built. Should it be refused now, each call says so.
    pub(crate) fn checked(source: &str, file: &str, options: &Options) -> Function {
        Function::new(source, None, file, None, options)
    }

    fn new(
        source: &str,
        entry: Option<&str>,
        file: &str,
        places: Option<&Places>,
        options: &Options,
    ) -> Function {
        let _span = tracing::debug_span!("compile", file).entered();
        let (source, file): (Arc<str>, Arc<str>) = (source.into(), file.into());
        let unit = guarded(|| {
            Unit::new(&source, entry, &options.limits).map_err(|ds| {
                let noted = if let Some(places) = places { places.note(&source, ds) } else { ds };
                Error::new(noted, &file, &source)
            })
        });
        let (options, cache, places) = (options.clone(), Cache::default(), places.cloned());
        Function(Arc::new(Shared { unit, options, file, source, cache, usual: OnceLock::new(), places }))
    }

    /// The program with its entry transformed.
    pub(crate) fn derived(&self, how: Derived) -> Result<Function, Error> {
        let unit = guarded(|| self.unit()?.derive(how).map_err(|ds| self.error(ds)))?;
        let Shared { options, file, source, places, .. } = &*self.0;
        Ok(Function(Arc::new(Shared {
            unit: Ok(unit),
            options: options.clone(),
            file: file.clone(),
            source: source.clone(),
            cache: Cache::default(),
            usual: OnceLock::new(),
            places: places.clone(),
        })))
    }

    pub(crate) fn recompute(&self) -> bool {
        self.0.options.recompute
    }

    fn unit(&self) -> Result<&Unit, Error> {
        self.0.unit.as_ref().map_err(Clone::clone)
    }

    /// The name, the parameters and the declared results.
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64[n], k: i64 = 3) -> f64[n] { x * k }")?;
    /// let k = &f.signature().params[1];
    /// assert_eq!((&*k.name, k.ty.as_ref().map(|t| &*t.text), k.optional), ("k", Some("i64"), true));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn signature(&self) -> &Signature {
        static NOTHING: Signature = Signature { name: String::new(), params: Vec::new(), results: None };
        self.0.unit.as_ref().map_or(&NOTHING, Unit::signature)
    }

    /// The text that it was compiled from.
    ///
    /// ```
    /// assert_eq!(matex::compile("x + 1")?.source(), "x + 1");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// How many plans are kept of it: one for each set of dtypes and ranks that it was called with, and where a plan was
    /// chosen by sizes, one for each power of two of these sizes. There are never more than 64.
    ///
    /// ```
    /// let f = matex::compile("x + 1")?;
    /// f.call(&[&1.5])?;
    /// f.call(&[&[1.0, 2.0]])?;
    /// f.call(&[&[1.0, 2.0, 3.0]])?;
    /// assert_eq!(f.plans(), 2);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn plans(&self) -> usize {
        self.0.cache.len()
    }

    /// Calls it with values by place: tensors, views, slices, numbers, arrays of ndarray, nalgebra and faer.
    ///
    /// # Errors
    /// Values that do not fit (E05xx), and what may happen at run time (E06xx, E07xx).
    ///
    /// ```
    /// let f = matex::compile("sqrt(mean((a - b)**2))")?;
    /// assert_eq!(f.call(&[&[1.0, 2.0], &[4.0, 5.0]])?[0].to_string(), "3.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call(&self, args: &[&dyn AsView]) -> Result<Outputs, Error> {
        let warnings = RefCell::default();
        let again = self.again(|special, call| {
            let alike = args.iter().all(|a| call.arg(*a));
            alike.then(|| Some((call.run_new(Some(&warnings))?, special.names.clone())))?
        });
        if let Some((tensors, names)) = again {
            return Outputs::new(tensors, names, self.warnings(warnings));
        }
        let views: Views<'_> = args.iter().map(|a| a.as_view()).collect();
        // What one that failed has warned of is told again.
        let warnings = RefCell::default();
        let (tensors, names) = self.call_views(&views, Some(&warnings))?;
        Outputs::new(tensors, names, self.warnings(warnings))
    }

    /// Calls it with tensors that are given away: a result, or a value on the way to one, may then lie in the memory of an argument
    /// that is of its dtype and shape and is read no more when it is written. That is decided for each argument on its own, as
    /// with [`Arc::make_mut`](std::sync::Arc::make_mut): a tensor with a clone elsewhere, or one that is a part of another,
    /// keeps its memory, and its numbers never change. [`explain`](Function::explain) tells which arguments
    /// a program can use.
    ///
    /// # Errors
    /// As for [`call`](Function::call); the tensors are gone then as well.
    ///
    /// ```
    /// use matex::Tensor;
    /// let f = matex::compile("x * 2 + 1")?;
    /// let x = Tensor::from_slice(&[3], &[1.0, 2.0, 3.0])?;
    /// let memory = x.data_ptr();
    /// let out = f.call_owned(vec![x])?;
    /// assert_eq!(out[0].to_string(), "[3.0, 5.0, 7.0]");
    /// assert_eq!(out[0].data_ptr(), memory);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_owned(&self, args: Vec<Tensor>) -> Result<Outputs, Error> {
        let warnings = RefCell::default();
        let (tensors, names) = self.call_tensors(args, Some(&warnings))?;
        Outputs::new(tensors, names, self.warnings(warnings))
    }

    /// [`call_owned`](Function::call_owned): results and their names.
    pub(crate) fn call_tensors(
        &self,
        args: Vec<Tensor>,
        warnings: Option<&Warnings>,
    ) -> Result<(Vec<Tensor>, Arc<[String]>), Error> {
        guarded(|| self.run_owned(args, warnings))
    }

    fn run_owned(
        &self,
        mut args: Vec<Tensor>,
        warnings: Option<&Warnings>,
    ) -> Result<(Vec<Tensor>, Arc<[String]>), Error> {
        let special = {
            let views: Views<'_> = args.iter().map(AsView::as_view).collect();
            let known = self.plain(&views);
            if known.is_none() {
                self.with_ready(&strong(&views), |_| Ok(()))?;
            }
            known.or_else(|| self.plain(&views))
        };
        let Some(special) = special else {
            // Some arguments have to be converted, or are not given.
            let views: Views<'_> = args.iter().map(AsView::as_view).collect();
            return self
                .with_ready(&strong(&views), |ready| ready.run(self, &CallOptions::default(), warnings));
        };
        let results = special.engine.run_owned(&special.func, &mut args, self.budget(warnings));
        let views: Views<'_> = args.iter().map(AsView::as_view).collect();
        let results = results.map_err(|e| self.failed(&special, &views, e))?;
        Ok((results, special.names.clone()))
    }

    /// [`call`](Function::call) with views: results and their names. Nothing is looked at but dtypes and shapes where a
    /// form of the program was found for them before, which takes the values as they are.
    pub(crate) fn call_views(
        &self,
        views: &[View<'_>],
        warnings: Option<&Warnings>,
    ) -> Result<(Vec<Tensor>, Arc<[String]>), Error> {
        guarded(|| match self.plain(views) {
            Some(special) => {
                let results = special.engine.run(&special.func, views, self.budget(warnings));
                let results = results.map_err(|e| self.failed(&special, views, e))?;
                Ok((results, special.names.clone()))
            }
            None => {
                self.with_ready(&strong(views), |ready| ready.run(self, &CallOptions::default(), warnings))
            }
        })
    }

    /// Carries a call out that is like the last one of this thread, if it is.
    #[inline]
    pub(crate) fn again<'v, T>(
        &self,
        call: impl FnOnce(&Special, &mut Again<'_, 'v>) -> Option<T>,
    ) -> Option<T> {
        let special = self.0.usual.get()?;
        match &special.engine {
            Engine::Plan(exe) => exe.again(|again| call(special, again)),
            Engine::Interpreter => None,
        }
    }

    /// Warnings of a call, with the lines of the program.
    pub(crate) fn warnings(&self, found: Warnings) -> Vec<Warning> {
        let drawn = |w: &matex_runtime::Warning| {
            let warning = Warning::new(w, &self.0.file, &self.0.source);
            tracing::warn!(code = %warning.code(), "{}", warning.message());
            warning
        };
        found.into_inner().iter().map(drawn).collect()
    }

    /// The form for these values, if there is one and it takes them as they are.
    fn plain(&self, views: &[View<'_>]) -> Option<Arc<Special>> {
        let layouts = Engine::has_layouts(&self.0.options);
        let special = self.0.cache.find_plain(self.signature(), views, layouts)?;
        let plain = special.func.params.len() == views.len();
        if plain && self.0.usual.get().is_none() {
            // Another thread may have been first, with another form.
            let _ = self.0.usual.set(special.clone());
        }
        plain.then_some(special)
    }

    fn budget<'a>(&'a self, warnings: Option<&'a Warnings>) -> Budget<'a> {
        let nan_passes = self.0.options.non_finite == NonFinite::Nan;
        Budget { limits: &self.0.options.limits, cancel: None, warnings, nan_passes }
    }

    #[cold]
    fn failed(&self, special: &Special, views: &[View<'_>], error: ExecError) -> Error {
        let slots: Slots<'_> =
            views.iter().map(|view| Some(Slot { value: Value::Host(view.clone()), weak: false })).collect();
        let ready = Ready { special, signature: self.signature(), slots: &slots };
        self.told(special, error, &ready.given())
    }

    /// The error of a call that failed.
    fn told(&self, special: &Special, error: ExecError, given: &Parameters<'_>) -> Error {
        let of_sizes = is_of_sizes(&error);
        let d = diagnose(error, &special.func, given);
        let operation = self.unit().ok().filter(|_| of_sizes).and_then(|unit| {
            let mut extents = given.iter().map(|(_, slot)| slot.value.shape().to_vec());
            let extents: Vec<_> =
                special.args.iter().map(|spec| spec.as_ref().and_then(|_| extents.next())).collect();
            unit.explain_sizes(&special.args, &extents)
        });
        self.error(vec![match operation {
            Some(operation) => with_operation(d, operation, given),
            None => d,
        }])
    }

    /// Calls it with values by name; `0` is the name of `$0`. Parameters with defaults may be left out.
    ///
    /// # Errors
    /// As for [`call`](Function::call).
    ///
    /// ```
    /// let f = matex::compile("a - b")?;
    /// assert_eq!(f.call_named(&[("b", &1), ("a", &3)])?[0].to_string(), "2");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call_named(&self, args: &[(&str, &dyn AsView)]) -> Result<Outputs, Error> {
        let args: Vec<Arg<'_>> = args.iter().map(|(name, a)| Arg::named(name, a)).collect();
        self.call_with(&CallOptions::default(), &args)
    }

    /// Calls it with options, and with values by place, by name, or as literals.
    ///
    /// # Errors
    /// As for [`call`](Function::call).
    ///
    /// ```
    /// use matex::{Arg, CallOptions};
    /// let f = matex::compile("fn f(x: f32[n], k: i64 = 2) { x * k }")?;
    /// let out = f.call_with(&CallOptions::new(), &[Arg::new(&[1.5f32]), Arg::named("k", &4_i64)])?;
    /// assert_eq!(out[0].to_string(), "[6.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call_with(&self, options: &CallOptions, args: &[Arg<'_>]) -> Result<Outputs, Error> {
        let warnings = RefCell::default();
        let (tensors, names) =
            guarded(|| self.with_ready(args, |ready| ready.run(self, options, Some(&warnings))))?;
        Outputs::new(tensors, names, self.warnings(warnings))
    }

    /// Calls it and writes the results into memory of the caller's, which must be of the right dtypes and shapes.
    ///
    /// # Errors
    /// As for [`call`](Function::call), and E0509 for a place that a result does not fit; nothing is written then. A
    /// call that fails otherwise may leave any numbers in the places.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// matex::compile("x * 2")?.call_into(&[&[1.5, 2.0]], &mut [&mut out])?;
    /// assert_eq!(out, [3.0, 4.0]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call_into(&self, args: &[&dyn AsView], outputs: &mut [&mut dyn AsViewMut]) -> Result<(), Error> {
        let again = self.again(|_, call| {
            let alike = args.iter().all(|a| call.arg(*a)) && outputs.iter_mut().all(|o| call.result(*o));
            alike.then(|| call.run())?
        });
        if again.is_some() {
            return Ok(());
        }
        let mut places: SmallVec<[ViewMut<'_>; 2]> = SmallVec::new();
        for (i, output) in outputs.iter_mut().enumerate() {
            let place = output.as_view_mut().map_err(|e| {
                let message = format!("the place for result {i} does not fit: {e}");
                self.error(vec![Diagnostic::new(codes::CALL_OUTPUT, message)])
            })?;
            places.push(place);
        }
        let views: Views<'_> = args.iter().map(|a| a.as_view()).collect();
        self.call_views_into(&views, &mut places)
    }

    pub(crate) fn call_views_into(
        &self,
        views: &[View<'_>],
        places: &mut [ViewMut<'_>],
    ) -> Result<(), Error> {
        guarded(|| match self.plain(views) {
            Some(special) => {
                let done = special.engine.run_into(&special.func, views, places, self.budget(None));
                done.map_err(|e| self.failed(&special, views, e))
            }
            None => self.with_ready(&strong(views), |ready| {
                ready.with_values(self, &CallOptions::default(), None, |engine, func, values, budget| {
                    engine.run_into(func, values, places, budget)
                })
            }),
        })
    }

    /// The same function as a Rust function of references, its types checked once.
    ///
    /// # Errors
    /// E0501, E0502, E0503 and E0509 when the type does not fit the program.
    ///
    /// ```
    /// let f = matex::compile("fn stats(x: f64[n]) -> (f64, f64[n]) { m = mean(x); return m, x - m }")?;
    /// let stats = f.typed::<fn(&[f64; 3]) -> (f64, Vec<f64>)>()?;
    /// assert_eq!(stats(&[1.0, 2.0, 6.0])?, (3.0, vec![-2.0, -1.0, 3.0]));
    /// assert!(f.typed::<fn(&[f32; 3]) -> (f64, Vec<f64>)>().is_err());
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn typed<F: TypedFn>(&self) -> Result<Typed<F>, Error> {
        guarded(|| Typed::new(self))
    }

    pub(crate) fn error(&self, diagnostics: Vec<Diagnostic>) -> Error {
        let diagnostics = match &self.0.places {
            Some(places) => places.note(&self.0.source, diagnostics),
            None => diagnostics,
        };
        Error::new(diagnostics, &self.0.file, &self.0.source)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// The form for arguments that are told by their kinds only, as far as the signature tells the rest; it is not
    /// kept where a call would not find it.
    pub(crate) fn assumed(&self) -> Result<Arc<Special>, Error> {
        let args = self.unit()?.assumed_args().map_err(|ds| self.error(ds))?;
        self.specialize(args, None)
    }

    /// Checks the program for these arguments and makes it ready to run. Values that are not there yet count as
    /// contiguous.
    pub(crate) fn specialize(
        &self,
        args: Vec<Option<ArgSpec>>,
        slots: Option<&Slots<'_>>,
    ) -> Result<Arc<Special>, Error> {
        let _span = tracing::debug_span!("specialize").entered();
        let mut func = self.unit()?.specialize(&args).map_err(|ds| self.error(ds))?;
        if self.0.places.is_some() {
            builder::forget_names(&mut func);
        }
        let layouts = Engine::has_layouts(&self.0.options);
        let strided =
            |i: usize| slots.and_then(|s| s[i].as_ref()).is_some_and(|slot| is_strided(slot, layouts));
        let strided: Vec<bool> = (0..args.len()).map(strided).collect();
        let class = |(spec, strided): (&Option<ArgSpec>, &bool)| {
            spec.as_ref().map(|_| if *strided { LayoutClass::Strided } else { LayoutClass::Contiguous })
        };
        let classes: Vec<LayoutClass> = args.iter().zip(&strided).filter_map(class).collect();
        let given: Vec<&Slot<'_>> = slots.into_iter().flatten().flatten().collect();
        let passes = self.0.options.passes(sizes(&func, &given));
        let engine = Engine::new(&func, &classes, &self.0.options, passes);
        let (engine, passes) = engine.map_err(|e| self.error(vec![diagnose(e, &func, &[])]))?;
        let places: Vec<usize> = (0..args.len()).filter(|i| args[*i].is_some()).collect();
        let buckets = Bucket::of(&func, &places, &passes.sizes);
        let names = outputs::names(&func.result_names, func.results().len());
        let special = Arc::new(Special { args, strided, buckets, func, engine, passes, names });
        self.0.cache.keep(&special);
        crate::debug::report(self, &special);
        Ok(special)
    }

    /// Finds or makes the form for these values, and passes it on together with them.
    pub(crate) fn with_ready<T>(
        &self,
        args: &[Arg<'_>],
        then: impl FnOnce(&Ready<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let signature = self.unit()?.signature();
        let mut slots = arguments::place(signature, args).map_err(|ds| self.error(ds))?;
        for slot in slots.iter().flatten() {
            slot.value.settle().map_err(|e| self.error(vec![Diagnostic::new(e.code(), e.to_string())]))?;
        }
        let converted = arguments::settle(signature, &slots).map_err(|ds| self.error(ds))?;
        for (slot, tensor) in slots.iter_mut().zip(&converted) {
            if let (Some(slot), Some(tensor)) = (slot, tensor) {
                slot.value = Value::Host(tensor.as_view());
            }
        }
        // A literal whose dtype is declared is settled; others stay weak, and the program decides.
        for (slot, p) in slots.iter_mut().zip(&signature.params) {
            if let Some(slot) = slot {
                slot.weak &= p.ty.is_none();
            }
        }
        let layouts = Engine::has_layouts(&self.0.options);
        let special = match self.0.cache.find(signature, &slots, layouts) {
            Some(special) => special,
            None => self.specialize(specs(signature, &slots), Some(&slots))?,
        };
        then(&Ready { special: &special, signature, slots: &slots })
    }
}

/// Where a call puts its warnings.
pub(crate) type Warnings = RefCell<Vec<matex_runtime::Warning>>;

/// The values of a call, given by place.
type Views<'a> = SmallVec<[View<'a>; 12]>;

/// Views as arguments that are no literals.
fn strong<'a>(views: &'a [View<'_>]) -> Vec<Arg<'a>> {
    views.iter().map(|view| Arg::new(view)).collect()
}

fn specs(signature: &Signature, slots: &Slots<'_>) -> Vec<Option<ArgSpec>> {
    let spec = |(p, slot): (&ParamSig, &Option<Slot<'_>>)| {
        slot.as_ref().map(|slot| arguments::spec(p, &slot.value, slot.weak))
    };
    signature.params.iter().zip(slots).map(spec).collect()
}

/// The sizes of these values, for the choice of a plan; without values, or with some that a call will refuse, all are
/// nominal.
fn sizes(func: &Func, given: &[&Slot<'_>]) -> Sizes {
    let described = arguments::described(func, given.iter().copied());
    let Ok(bindings) = bind_sizes(&func.params, &described) else { return Sizes::nominal() };
    let mut values = Vec::new();
    let mut add = |atom: &Atom| values.extend(bindings.lookup(atom).map(|v| (atom.clone(), v)));
    for p in &func.params {
        p.ty.shape.iter().for_each(|dim| dim.visit_names(&mut add));
        add(&Atom::Int(p.name.as_str().into()));
    }
    Sizes::of(values)
}

/// A form of a program together with the values of a call.
pub(crate) struct Ready<'a> {
    pub(crate) special: &'a Special,
    pub(crate) signature: &'a Signature,
    pub(crate) slots: &'a Slots<'a>,
}

impl Ready<'_> {
    /// The values that are given, with their parameters.
    pub(crate) fn given(&self) -> Vec<(&ParamSig, &Slot<'_>)> {
        let pairs = self.signature.params.iter().zip(self.slots);
        pairs.filter_map(|(p, slot)| slot.as_ref().map(|s| (p, s))).collect()
    }

    fn run(
        &self,
        function: &Function,
        options: &CallOptions,
        warnings: Option<&Warnings>,
    ) -> Result<(Vec<Tensor>, Arc<[String]>), Error> {
        let results = self.with_values(function, options, warnings, |engine, func, values, budget| {
            engine.run(func, values, budget)
        })?;
        Ok((results, self.special.names.clone()))
    }

    /// Calls the form, whose results stay where they are made.
    pub(crate) fn run_resident(
        &self,
        function: &Function,
        options: &CallOptions,
        warnings: &Warnings,
    ) -> Result<(Vec<DeviceTensor>, Arc<[String]>), Error> {
        let results =
            self.with_values(function, options, Some(warnings), |engine, func, values, budget| {
                engine.run_resident(func, values, budget)
            })?;
        Ok((results, self.special.names.clone()))
    }

    /// Converts the values to what the function takes, and passes them on to its engine.
    fn with_values<T>(
        &self,
        function: &Function,
        options: &CallOptions,
        warnings: Option<&Warnings>,
        then: impl FnOnce(&Engine, &Func, &[Value<'_>], Budget<'_>) -> Result<T, ExecError>,
    ) -> Result<T, Error> {
        let Special { func, engine, .. } = self.special;
        let given = self.given();
        // A weak value may come in wider than the program takes it.
        let converted: Vec<Option<Tensor>> = given
            .iter()
            .zip(&func.params)
            .map(|((_, slot), p)| {
                let differs = slot.weak && slot.value.dtype() != p.ty.dtype;
                if !differs {
                    return Ok(None);
                }
                let view = slot.value.host().map_err(|e| Diagnostic::new(e.code(), e.to_string()))?;
                let cast = view.to_tensor().and_then(|t| t.cast(p.ty.dtype)).map(Some);
                cast.map_err(|e| Diagnostic::new(codes::OUT_OF_MEMORY, e.to_string()))
            })
            .collect::<Result<_, _>>()
            .map_err(|d| function.error(vec![d]))?;
        if given.len() != func.params.len() {
            return Err(
                function.error(vec![internal("a function with another number of parameters than values")])
            );
        }
        let mut values: Vec<Value<'_>> = Vec::with_capacity(given.len());
        for ((_, slot), tensor) in given.iter().zip(&converted) {
            values.push(tensor.as_ref().map_or_else(|| slot.value.clone(), AsArg::as_arg));
        }
        let limits = &function.options().limits;
        let fewer = options.max_steps.map(|loop_steps| Limits { loop_steps, ..limits.clone() });
        let (limits, cancel) = (fewer.as_ref().unwrap_or(limits), options.cancel.as_deref());
        let budget = Budget { limits, cancel, ..function.budget(warnings) };
        then(engine, func, &values, budget).map_err(|e| function.told(self.special, e, &given))
    }
}

/// The head of the function, as it was declared.
impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({})", crate::stage::head(self.signature()))
    }
}
