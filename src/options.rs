//! How to compile: [`Compiler`] and what can be chosen with it.

use crate::builder::Places;
use crate::error::{Error, guarded};
use crate::function::Function;
use crate::typed::{Typed, TypedFn};
use matex_lang::{Diagnostic, Limits, codes};
use matex_passes::{CostModel, Sizes, Tier};
use std::fmt;
use std::str::FromStr;

/// Declares a choice that has a name in the environment and on the command line.
macro_rules! choices {
    ($(#[$doc:meta])* $Name:ident { $($(#[$vdoc:meta])* $Variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name { $($(#[$vdoc])* $Variant,)+ }

        impl $Name {
            /// Every choice.
            pub const ALL: &'static [$Name] = &[$($Name::$Variant),+];

            /// The name of the choice.
            ///
            /// ```
            #[doc = concat!("let all = matex::", stringify!($Name), "::ALL;")]
            /// assert!(all.iter().all(|choice| choice.name().parse() == Ok(*choice)));
            /// ```
            pub fn name(self) -> &'static str {
                match self { $($Name::$Variant => $text,)+ }
            }
        }

        impl FromStr for $Name {
            type Err = UnknownChoice;

            fn from_str(text: &str) -> Result<$Name, UnknownChoice> {
                match text {
                    $($text => Ok($Name::$Variant),)+
                    _ => Err(UnknownChoice(&[$($text),+])),
                }
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use choices;

/// A word that is none of those that can be chosen; it displays these.
///
/// ```
/// let error = "77".parse::<matex::Simd>().unwrap_err();
/// assert_eq!(error.to_string(), "the choices are auto, 128, 256, 512");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownChoice(pub(crate) &'static [&'static str]);

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the choices are {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownChoice {}

choices! {
    /// The width of vectors on the CPU, in bits.
    ///
    /// ```
    /// assert_eq!("256".parse(), Ok(matex::Simd::W256));
    /// ```
    Simd {
        /// The widest that the CPU has.
        #[default]
        Auto = "auto",
        /// 128 bits, which every CPU has.
        W128 = "128",
        /// 256 bits (AVX2).
        W256 = "256",
        /// 512 bits (AVX-512).
        W512 = "512",
    }
}

impl From<Simd> for matex_runtime::Simd {
    fn from(simd: Simd) -> matex_runtime::Simd {
        match simd {
            Simd::Auto => matex_runtime::Simd::Auto,
            Simd::W128 => matex_runtime::Simd::W128,
            Simd::W256 => matex_runtime::Simd::W256,
            Simd::W512 => matex_runtime::Simd::W512,
        }
    }
}

choices! {
    /// Where a program runs.
    ///
    /// ```
    /// assert_eq!(matex::Device::default(), matex::Device::Auto);
    /// ```
    Device {
        /// On the CPU, which has the arguments in its memory. When a GPU would be faster has not been measured.
        #[default]
        Auto = "auto",
        /// On the CPU.
        Cpu = "cpu",
        /// On the GPU, but for what it cannot do; an error where there is none.
        Gpu = "gpu",
    }
}

choices! {
    /// Which rewritings of floating-point arithmetic are allowed.
    ///
    /// ```
    /// assert_eq!("fast".parse(), Ok(matex::Numerics::Fast));
    /// ```
    Numerics {
        /// Only those that keep every bit.
        Exact = "exact",
        /// Also those that change bits without losing accuracy, such as a fused multiply-add.
        #[default]
        Default = "default",
        /// Also those that may lose accuracy, such as reordered sums.
        Fast = "fast",
    }
}

choices! {
    /// What runs a compiled program.
    ///
    /// ```
    /// assert_eq!(matex::Engine::Interpreter.name(), "interpreter");
    /// ```
    Engine {
        /// The fastest one that can run it.
        #[default]
        Auto = "auto",
        /// Machine code, by Cranelift where the CPU lacks wide vectors; an error on a machine that there is none for.
        Cranelift = "cranelift",
        /// The interpreter of kernels: slow, with the same bits as machine code.
        LoopInterpreter = "loop-interpreter",
        /// The reference interpreter: slow, obvious, and what the others are tested against.
        Interpreter = "interpreter",
    }
}

choices! {
    /// What NaN or infinity in an operand of linear algebra (solvers and factorizations) is.
    ///
    /// ```
    /// assert_eq!("nan".parse(), Ok(matex::NonFinite::Nan));
    /// ```
    NonFinite {
        /// An error that names the operand and the place.
        #[default]
        Error = "error",
        /// A reason for a result of NaN only; of a batch, the other matrices have theirs.
        Nan = "nan",
    }
}

/// All that was chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) simd: Simd,
    pub(crate) device: Device,
    /// 0 for as many as there are CPUs.
    pub(crate) threads: usize,
    pub(crate) numerics: Numerics,
    pub(crate) engine: Engine,
    pub(crate) non_finite: NonFinite,
    /// Whether gradients made of a function keep less of its loops.
    pub(crate) recompute: bool,
    /// 0 for silence, up to 5 for everything.
    pub(crate) debug: u8,
    /// What plans take work to cost.
    pub(crate) costs: CostModel,
}

impl Options {
    /// How programs are rewritten and planned for these sizes.
    pub(crate) fn passes(&self, sizes: Sizes) -> matex_passes::Options {
        matex_passes::Options {
            tier: match self.numerics {
                Numerics::Exact => Tier::Exact,
                Numerics::Default => Tier::Default,
                Numerics::Fast => Tier::Fast,
            },
            max_nodes: self.limits.optimizer_nodes,
            max_iterations: self.limits.optimizer_iterations,
            sizes,
            costs: self.costs,
            ..matex_passes::Options::default()
        }
    }
}

/// Compiles programs with options of one's own.
///
/// ```
/// use matex::{Compiler, Limits};
///
/// let limits = Limits { loop_steps: 1000, ..Limits::default() };
/// let f = Compiler::new().limits(limits).compile("{ for i in 0..n { x = x * 2; } x }")?;
/// assert_eq!(f.call(&[&10_i64, &1_i64])?.into_single()?.to_string(), "1024");
/// assert!(f.call(&[&1001_i64, &1_i64]).is_err());
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    options: Options,
    entry: Option<String>,
    file_name: Option<String>,
}

impl Compiler {
    /// A compiler with the defaults, which the environment has no part in.
    ///
    /// ```
    /// assert!(matex::Compiler::new().compile("1 + 2").is_ok());
    /// ```
    pub fn new() -> Compiler {
        Compiler::default()
    }

    /// A compiler with the options of the environment: `MATEX_SIMD`, `MATEX_DEVICE`, `MATEX_NUM_THREADS` (0 for all
    /// CPUs) and `MATEX_DEBUG` (0 to 5; what is written goes to standard error). Those that are not set, or empty,
    /// have their defaults.
    ///
    /// # Errors
    /// E0114 for a value that is none of those that can be chosen.
    ///
    /// ```
    /// let f = matex::Compiler::from_env()?.compile("x + 1")?;
    /// assert_eq!(f.call(&[&1.5])?[0].to_string(), "2.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn from_env() -> Result<Compiler, Error> {
        Compiler::from_variables(|name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()))
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Compiler, Error> {
        let mut options = Options::default();
        let set = |name: &str| get(name).filter(|v| !v.is_empty()).map(|v| (name.to_owned(), v));
        if let Some(v) = set("MATEX_SIMD") {
            options.simd = choice(&v)?;
        }
        if let Some(v) = set("MATEX_DEVICE") {
            options.device = choice(&v)?;
        }
        if let Some(v) = set("MATEX_NUM_THREADS") {
            options.threads = number(&v, usize::from(u16::MAX))?;
        }
        if let Some(v) = set("MATEX_DEBUG") {
            options.debug = number(&v, 5)? as u8;
        }
        Ok(Compiler { options, ..Compiler::default() })
    }

    /// The function to start with; else it is `main`, or the last one.
    ///
    /// ```
    /// let source = "fn one() { 1 } fn two() { 2 }";
    /// let f = matex::Compiler::new().entry("one").compile(source)?;
    /// assert_eq!(f.call(&[])?[0].to_string(), "1");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn entry(mut self, name: impl Into<String>) -> Compiler {
        self.entry = Some(name.into());
        self
    }

    /// What the program is called where errors name a place in it.
    ///
    /// ```
    /// let error = matex::Compiler::new().file_name("ols.mx").compile("1 +").unwrap_err();
    /// assert!(error.to_string().contains("ols.mx:1:4"), "{error}");
    /// ```
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Compiler {
        self.file_name = Some(name.into());
        self
    }

    /// What a program may cost.
    ///
    /// ```
    /// use matex::{Compiler, Limits};
    /// let limits = Limits { source_bytes: 10, ..Limits::default() };
    /// let error = Compiler::new().limits(limits).compile("1 + 2 + 3 + 4").unwrap_err();
    /// assert_eq!(error.kind(), matex::ErrorKind::Limit);
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Compiler {
        self.options.limits = limits;
        self
    }

    /// The width of vectors. A width that the CPU does not have counts as the widest that it has. Results of kernels have
    /// the same bits at every width.
    ///
    /// ```
    /// use matex::{Compiler, Simd};
    /// let f = Compiler::new().simd(Simd::W128).compile("x + 1")?;
    /// assert_eq!(f.call(&[&1.0])?[0].to_string(), "2.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn simd(mut self, simd: Simd) -> Compiler {
        self.options.simd = simd;
        self
    }

    /// Where the program runs.
    ///
    /// ```
    /// use matex::{Compiler, Device};
    /// let f = Compiler::new().device(Device::Cpu).compile("x + 1")?;
    /// assert_eq!(f.call(&[&1.0])?[0].to_string(), "2.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn device(mut self, device: Device) -> Compiler {
        self.options.device = device;
        self
    }

    /// The most threads that a call uses; 0 for as many as there are CPUs. Kernels and linear algebra share them where the
    /// work is worth waking them. They are those of one pool of the process, or of the rayon pool that the caller is in.
    /// Kernels give the same bits on any number of threads.
    ///
    /// ```
    /// let f = matex::Compiler::new().threads(1).compile("x + 1")?;
    /// assert_eq!(f.call(&[&1.0])?[0].to_string(), "2.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Compiler {
        self.options.threads = threads;
        self
    }

    /// What plans take work to cost: which values are put into memory, and what is worth sharing among threads. Without it the
    /// same constants everywhere, [`CostModel::FIXED`], so that a program has the same plan everywhere; `matex doctor --calibrate`
    /// measures those of one. No bit that a kernel computes depends on it; what a library is given at a time, and so its bits, may.
    ///
    /// ```
    /// use matex::{Compiler, CostModel};
    /// let slow_memory = CostModel { levels: CostModel::FIXED.levels.map(|(holds, rate)| (holds, rate / 4.0)), ..CostModel::FIXED };
    /// let f = Compiler::new().cost_model(slow_memory).compile("sum(x) / 2")?;
    /// assert_eq!(f.call(&[&[1.0, 2.0]])?[0].to_string(), "1.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn cost_model(mut self, costs: CostModel) -> Compiler {
        self.options.costs = costs;
        self
    }

    /// Which rewritings of floating-point arithmetic are allowed.
    ///
    /// ```
    /// use matex::{Compiler, Numerics};
    /// let f = Compiler::new().numerics(Numerics::Exact).compile("x * 3")?;
    /// assert_eq!(f.call(&[&1.5])?[0].to_string(), "4.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn numerics(mut self, numerics: Numerics) -> Compiler {
        self.options.numerics = numerics;
        self
    }

    /// Whether NaN and infinities in operands of solvers and factorizations are errors.
    ///
    /// ```
    /// use matex::{Compiler, NonFinite};
    /// let source = "svdvals([[1.0, nan], [0.0, 1.0]])";
    /// assert_eq!(matex::compile(source)?.call(&[]).unwrap_err().code().to_string(), "E0704");
    /// let f = Compiler::new().non_finite(NonFinite::Nan).compile(source)?;
    /// assert_eq!(f.call(&[])?[0].to_string(), "[nan, nan]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn non_finite(mut self, non_finite: NonFinite) -> Compiler {
        self.options.non_finite = non_finite;
        self
    }

    /// Whether [`Function::grad`] and [`Function::value_and_grad`] keep what loops carry in about √n of their n steps only, and
    /// work the rest out again: less memory for about half as much work again, and the same bits. In a program it is
    /// `grad(f, recompute=true)`.
    ///
    /// ```
    /// let source = "fn f(x: f64) -> f64 { for i in 0..100 { x = x * 1.01; } x }";
    /// let (all, some) = (matex::compile(source)?, matex::Compiler::new().recompute(true).compile(source)?);
    /// let slope = |f: &matex::Function| f.grad("x")?.call(&[&2.0])?.into_single();
    /// assert_eq!(slope(&all)?.to_string(), slope(&some)?.to_string());
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn recompute(mut self, recompute: bool) -> Compiler {
        self.options.recompute = recompute;
        self
    }

    /// What runs the program.
    ///
    /// ```
    /// use matex::{Compiler, Engine};
    /// let f = Compiler::new().engine(Engine::Interpreter).compile("sum(x)")?;
    /// assert_eq!(f.call(&[&[1.0, 2.0, 3.5]])?[0].to_string(), "6.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Compiler {
        self.options.engine = engine;
        self
    }

    /// Compiles a program: an expression, a block or a module.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as it can be told without arguments.
    ///
    /// ```
    /// let f = matex::Compiler::new().compile("a * x + b")?;
    /// let names: Vec<&str> = f.signature().params.iter().map(|p| &*p.name).collect();
    /// assert_eq!(names, ["a", "x", "b"]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn compile(&self, source: &str) -> Result<Function, Error> {
        let file = self.file_name.as_deref().unwrap_or("<program>");
        self.compile_text(source, self.entry.as_deref(), file, None)
    }

    /// Compiles what a builder wrote, with the lines of Rust that asked for it.
    pub(crate) fn compile_built(
        &self,
        source: &str,
        entry: &str,
        places: &Places,
    ) -> Result<Function, Error> {
        self.compile_text(source, Some(entry), "<built>", Some(places))
    }

    fn compile_text(
        &self,
        source: &str,
        entry: Option<&str>,
        file: &str,
        places: Option<&Places>,
    ) -> Result<Function, Error> {
        guarded(|| {
            if self.options.device == Device::Gpu {
                find_gpu()?;
            }
            Function::compile(source, entry, file, places, &self.options)
        })
    }

    /// Compiles a program and takes it as a Rust function type, like [`Function::typed`].
    ///
    /// # Errors
    /// Those of [`compile`](Compiler::compile), and a type that does not fit the program.
    ///
    /// ```
    /// let add = matex::Compiler::new().compile_typed::<fn(&f64, &f64) -> f64>("a + b")?;
    /// assert_eq!(add(&1.5, &2.0)?, 3.5);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn compile_typed<F: TypedFn>(&self, source: &str) -> Result<Typed<F>, Error> {
        self.compile(source)?.typed()
    }
}

/// That there is a GPU, and a build that can use it.
fn find_gpu() -> Result<(), Error> {
    let help = "choose the device `auto` or `cpu`";
    if !matex_runtime::HAS_GPU {
        let d = Diagnostic::new(codes::NO_GPU_IN_BUILD, "this build of matex has no GPU engine");
        return Err(Error::plain(d.note("the feature `gpu` of the build has it").help(help)));
    }
    let found = matex_runtime::gpu_info();
    found.map(drop).map_err(|e| Error::plain(Diagnostic::new(codes::NO_DEVICE, e.to_string()).help(help)))
}

fn refused((name, value): &(String, String), choices: &str) -> Error {
    let d =
        Diagnostic::new(codes::UNKNOWN_OPTION, format!("{name} is set to `{value}`, which cannot be chosen"));
    Error::plain(d.help(choices))
}

fn choice<T: FromStr<Err = UnknownChoice>>(variable: &(String, String)) -> Result<T, Error> {
    variable.1.parse().map_err(|e: UnknownChoice| refused(variable, &e.to_string()))
}

fn number(variable: &(String, String), most: usize) -> Result<usize, Error> {
    let parsed = variable.1.parse().ok().filter(|n| *n <= most);
    parsed.ok_or_else(|| refused(variable, &format!("the choices are the whole numbers from 0 to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Compiler, Error> {
        Compiler::from_variables(|n| (n == name).then(|| value.to_owned()))
    }

    #[test]
    fn the_environment_is_read() {
        assert_eq!(with("MATEX_SIMD", "512").unwrap().options.simd, Simd::W512);
        assert_eq!(with("MATEX_DEVICE", "cpu").unwrap().options.device, Device::Cpu);
        assert_eq!(with("MATEX_NUM_THREADS", "3").unwrap().options.threads, 3);
        assert_eq!(with("MATEX_DEBUG", "5").unwrap().options.debug, 5);
        assert_eq!(with("MATEX_SIMD", "").unwrap().options.simd, Simd::Auto);
    }

    #[test]
    fn wrong_values_are_errors_that_name_the_right_ones() {
        for (name, value, right) in [
            ("MATEX_SIMD", "77", "auto, 128, 256, 512"),
            ("MATEX_DEVICE", "toaster", "auto, cpu, gpu"),
            ("MATEX_NUM_THREADS", "-1", "0 to 65535"),
            ("MATEX_DEBUG", "6", "0 to 5"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.code(), codes::UNKNOWN_OPTION);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(value) && text.contains(right), "{text}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        match Compiler::new().device(Device::Gpu).compile("1") {
            Ok(f) => assert!(matex_runtime::HAS_GPU && f.call(&[]).is_ok()),
            Err(e) if matex_runtime::HAS_GPU => assert_eq!(e.code(), codes::NO_DEVICE),
            Err(e) => assert_eq!(e.code(), codes::NO_GPU_IN_BUILD),
        }
    }
}
