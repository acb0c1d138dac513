//! What work costs: the roofline that choices are made by.
//!
//! A kernel takes the longer of what its arithmetic takes and of what its memory traffic takes at the level of cache
//! that the traffic fits into, and a fixed time to be started. The constants are a value, [`CostModel`], and never measured when a program
//! is compiled: without any other they are [`CostModel::FIXED`], so that the same program has the same plan everywhere.
//! What counts is their ratios.

mod device;

pub use device::DeviceModel;

use matex_ir::loops::{InstKind, Kernel};
use matex_ir::{DType, Op};

/// The constants of the model, all of one thread.
///
/// A plan depends on them in what it puts into memory and what threads share, and no bit that a kernel computes does: algebra, which changes roundings,
/// has prices of its own that are the same everywhere.
///
/// ```
/// use matex_passes::CostModel;
/// let fast = CostModel { vector: 2000.0, ..CostModel::FIXED };
/// assert!(fast.is_sensible() && fast != CostModel::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// Bytes of vectors that simple operations are done on in a nanosecond.
    pub vector: f64,
    /// The bytes of a vector at which that is so.
    pub width: f64,
    /// Simple operations on scalars that are done in a nanosecond.
    pub scalar: f64,
    /// As many simple operations as an elementary function takes in vectors, by its class: those of [`CostModel::FUNCTIONS`].
    pub functions: [f64; CostModel::FUNCTIONS.len()],
    /// Bytes of elements that a product of matrices multiplies and adds in a nanosecond.
    pub product: f64,
    /// What it takes to start a kernel, to bind its operands and to find memory for its result, in nanoseconds.
    pub launch: f64,
    /// Bytes that a level of memory holds, rising, and bytes that move there in a nanosecond; the last one holds everything.
    pub levels: [(f64, f64); 4],
}

/// Products of matrices with fewer multiplications than these are kernels and no calls of the library.
pub const SMALL_PRODUCT: f64 = 16.0 * 16.0 * 16.0;

/// As many bytes of what kernels hand on to each other panel by panel are in use at a time.
pub const PANEL: f64 = 512e3;

/// How far constants may be from those of [`CostModel::FIXED`]: another machine, and no other century.
const FARTHEST: f64 = 1000.0;

impl CostModel {
    /// What an instruction costs; nothing for what is no arithmetic.
    pub(crate) fn of_inst(&self, kernel: &Kernel, kind: &InstKind) -> Option<OpCost> {
        match kind {
            InstKind::Load(_) | InstKind::Const(_) | InstKind::Index(_) | InstKind::Part { .. } => None,
            InstKind::Map(op, args) => {
                Some(self.of_op(*op, args.first().map_or(DType::Bool, |a| kernel.inst(*a).dtype)))
            }
            InstKind::LoadAt { .. }
            | InstKind::Rescue(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Reduce { .. }
            | InstKind::Scan { .. } => Some(OpCost { ops: 1.0, scalar: false }),
        }
    }

    /// One elementary function of each class: those of a class take about as many operations.
    pub const FUNCTIONS: [&str; 5] = ["exp", "log", "sin", "atan", "pow"];

    /// What dumps and tests have, and whoever has not measured others: what `matex doctor --calibrate` measured on a Zen 5 with vectors
    /// of 512 bits, rounded, and of the functions what `matex bench` did of `f64`. On a slower machine arithmetic and memory are both slower,
    /// and what counts are their ratios.
    pub const FIXED: CostModel = CostModel {
        vector: 800.0,
        width: 64.0,
        scalar: 16.0,
        functions: [35.0, 50.0, 55.0, 65.0, 180.0],
        product: 550.0,
        launch: 50.0,
        levels: [(32e3, 400.0), (1e6, 240.0), (16e6, 115.0), (f64::INFINITY, 70.0)],
    };

    /// Whether they may be those of a machine: positive, and within three orders of magnitude of [`CostModel::FIXED`].
    ///
    /// ```
    /// use matex_passes::CostModel;
    /// assert!(!CostModel { launch: f64::NAN, ..CostModel::FIXED }.is_sensible());
    /// ```
    pub fn is_sensible(&self) -> bool {
        let rates = |c: &CostModel| {
            let rates = [c.vector, c.width, c.scalar, c.product, c.launch].into_iter();
            rates.chain(c.functions).chain(c.levels.map(|l| l.1))
        };
        let near = |(own, fixed): (f64, f64)| own > fixed / FARTHEST && own < fixed * FARTHEST;
        let rising = self.levels.windows(2).all(|w| 0.0 < w[0].0 && w[0].0 < w[1].0);
        rates(self).zip(rates(&CostModel::FIXED)).all(near) && rising && self.levels[3].0 == f64::INFINITY
    }

    /// How many bytes move in a nanosecond where `resident` bytes are in use.
    pub(crate) fn bandwidth(&self, resident: f64) -> f64 {
        let [.., (_, last)] = self.levels;
        self.levels.iter().find(|(holds, _)| resident <= *holds).map_or(last, |(_, rate)| *rate)
    }

    /// How many simple operations on elements of that size are done in a nanosecond.
    pub(crate) fn rate(&self, size: usize, vector: bool) -> f64 {
        if vector { self.vector / size.max(1) as f64 } else { self.scalar }
    }

    /// How long a product of so many multiplications takes, of elements of that size, where their way through memory does not count.
    pub(crate) fn product_time(&self, multiplications: f64, size: usize) -> f64 {
        multiplications * size as f64 / self.product
    }
}

impl Default for CostModel {
    fn default() -> CostModel {
        CostModel::FIXED
    }
}

/// What an op costs as a number of simple operations, and whether it has no vector form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpCost {
    /// Simple operations.
    pub ops: f64,
    /// Whether whatever is computed with it is computed in scalars.
    pub scalar: bool,
}

impl CostModel {
    /// The cost of an op on elements of a dtype.
    pub fn of_op(&self, op: Op, dtype: DType) -> OpCost {
        let [exp, log, sin, atan, pow] = self.functions;
        let vector = |ops: f64| OpCost { ops, scalar: false };
        let scalar = |ops: f64| OpCost { ops, scalar: true };
        match op {
            Op::Add
            | Op::Sub
            | Op::Neg
            | Op::Abs
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::Not
            | Op::Select
            | Op::Fma
            | Op::Floor
            | Op::Ceil
            | Op::Trunc
            | Op::Round
            | Op::Copysign
            | Op::SignBit
            | Op::IsNan
            | Op::IsInf
            | Op::IsFinite
            | Op::Eq
            | Op::Ne => vector(1.0),
            Op::Mul | Op::Shl | Op::Shr => vector(1.0),
            Op::Lt | Op::Le | Op::Gt | Op::Ge if dtype == DType::U64 => scalar(1.0),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => vector(1.0),
            Op::Max | Op::Min if dtype == DType::U64 => scalar(2.0),
            Op::Max | Op::Min | Op::Sign => vector(4.0),
            Op::Div | Op::Sqrt => vector(5.0),
            Op::Rsqrt => vector(10.0),
            Op::FloorDiv | Op::Rem | Op::Fmod => scalar(20.0),
            Op::Exp | Op::Exp2 => vector(exp),
            Op::Expm1 | Op::Log | Op::Log2 | Op::Log10 | Op::Sinh | Op::Cosh | Op::Sigmoid => vector(log),
            Op::Log1p | Op::Sin | Op::Cos => vector(sin),
            Op::Asin
            | Op::Acos
            | Op::Atan
            | Op::Atan2
            | Op::Tan
            | Op::Tanh
            | Op::Cbrt
            | Op::Erf
            | Op::Erfc => vector(atan),
            Op::Softplus | Op::Gelu => vector(pow),
            Op::Pow if dtype.is_float() => vector(pow),
            Op::Pow => scalar(40.0),
            Op::Asinh | Op::Acosh | Op::Atanh | Op::Hypot | Op::LogAddExp | Op::Lgamma | Op::Nextafter => {
                scalar(100.0)
            }
        }
    }
}

/// What an element of a kernel costs that has no loop inside, as a number of simple operations.
pub fn of_body(kernel: &Kernel) -> f64 {
    kernel.body.iter().map(|inst| CostModel::FIXED.of_inst(kernel, &inst.kind).map_or(0.0, |c| c.ops)).sum()
}
