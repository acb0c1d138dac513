//! Operations that no kernel carries out: sorting, searching, scattering, solving and factorizing.
//!
//! Inputs are contiguous views and the output is contiguous memory. The routines are generic over the element type and
//! chosen by dtype once a call; bools are handled as the bytes that they are.

mod aligned;
mod batch;
mod cholesky;
mod condition;
mod dense;
mod engine;
mod factors;
mod finite;
mod gemv;
mod gram;
mod inverse;
mod least_squares;
mod linalg;
mod pivoted;
mod scatter;
mod search;
mod side_by_side;
mod sort;
mod subtract;
mod transpose;
mod vectors;

use crate::View;
use crate::exec::Warning;
use crate::pool::Pool;
use batch::Worst;
use half::{bf16, f16};
use linalg::Factors;
use matex_ir::tensor::{LibOp, RunError};
use matex_ir::{Code, DType, Span};
use matex_lang::codes;
use matex_passes::plan::Routine;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicBool;

pub(crate) use dense::Real;
pub use engine::LinalgInfo;
pub(crate) use engine::{LinalgEngine, Product, Routines};
pub(crate) use gemv::{Side, gemv};
pub(crate) use gram::{ORDERS as GRAM_ORDERS, gram};

/// The memory that a routine fills.
pub(crate) struct Operand<'a> {
    pub(crate) dtype: DType,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: Bytes<'a>,
}

/// The bytes of an operand that is written.
pub(crate) enum Bytes<'a> {
    /// Nothing was put into them yet.
    Fresh(&'a mut [MaybeUninit<u8>]),
    /// What is there is changed.
    Filled(&'a mut [u8]),
}

/// What a routine may use, and where it stands.
pub(crate) struct Context<'a> {
    pub(crate) pool: Pool,
    /// Whether NaN and infinities in linear algebra make results NaN and no error.
    pub(crate) nan_passes: bool,
    /// Where warnings go; nobody looks for what there is to warn of when they go nowhere.
    pub(crate) warnings: Option<&'a RefCell<Vec<Warning>>>,
    /// Set to stop.
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) origin: Span,
}

impl Context<'_> {
    /// Warns of the worst of `count` matrices.
    fn warn(&self, code: Code, mut message: String, worst: &Worst, count: usize) {
        let Some(warnings) = self.warnings else { return };
        if count > 1 {
            message.push_str(&format!(
                "; it is matrix {} of {count}, and {} of them are so",
                worst.index, worst.count
            ));
        }
        let warning = Warning { code, message, origin: self.origin, condition: worst.condition };
        warning.add_to(&mut warnings.borrow_mut());
    }

    /// Refuses extents that no LAPACK takes.
    fn check_extents(&self, name: &str, extents: &[usize]) -> Result<(), RunError> {
        match extents.iter().find(|e| i32::try_from(**e).is_err()) {
            None => Ok(()),
            Some(extent) => {
                let message = format!("an extent of {extent} is too large for {name}");
                Err(RunError::Library { code: codes::LIMIT_ELEMENTS, message, origin: self.origin })
            }
        }
    }
}

/// Runs a routine.
pub(crate) fn run(
    routine: &Routine,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    context: &Context<'_>,
) -> Result<(), RunError> {
    let Routine::Lib(op) = routine else { return scatter_into(routine, inputs, outputs, context.origin) };
    if op.gives_tuple() {
        return factors::run(op, inputs, outputs, context);
    }
    let output = single(outputs)?;
    match (op, inputs) {
        (LibOp::Sort { axis, descending }, [x]) => sort::sort(x, *axis, *descending, output),
        (LibOp::Argsort { axis, descending }, [x]) => sort::argsort(x, *axis, *descending, output),
        (LibOp::SearchSorted { right }, [sorted, values]) => {
            search::search_sorted(sorted, values, *right, output)
        }
        (LibOp::Solve, [a, b]) => linalg::solve(a, b, output, Factors::Lu, context),
        (LibOp::SolveDefinite, [a, b]) => linalg::solve(a, b, output, Factors::Cholesky, context),
        (LibOp::Lstsq, [a, b, cut]) => linalg::lstsq(a, b, cut, output, context),
        (_, inputs) => factors::run(op, inputs, vec![output], context),
    }
}

fn scatter_into(
    routine: &Routine,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    origin: Span,
) -> Result<(), RunError> {
    match (routine, inputs) {
        (Routine::Scatter { axis, add }, [index, src]) => {
            scatter::scatter(index, src, *axis, *add, single(outputs)?, origin)
        }
        (Routine::Lib(_) | Routine::Scatter { .. }, _) => Err(malformed("a routine with other operands")),
    }
}

fn single(mut outputs: Vec<Operand<'_>>) -> Result<Operand<'_>, RunError> {
    ensure(outputs.len() == 1, "a routine with another number of results")?;
    outputs.pop().ok_or_else(|| malformed("a routine without a result"))
}

fn malformed(why: &str) -> RunError {
    RunError::Malformed(why.to_owned())
}

fn ensure(holds: bool, why: &str) -> Result<(), RunError> {
    if holds { Ok(()) } else { Err(malformed(why)) }
}

/// A number type of Rust that routines work on. `u8` stands for `bool` too.
pub(crate) trait Number: Copy + 'static {
    /// What is compared where numbers are put into an order.
    type Key: radsort::Key + Ord + Copy;
    /// The place among the others, from the smallest or from the largest on: NaN last, and both zeros are equal.
    fn key(self, descending: bool) -> Self::Key;
    /// The sum, as the op table has it.
    fn add(self, other: Self) -> Self;
}

macro_rules! ints {
    ($($t:ty)*) => {$(
        impl Number for $t {
            type Key = $t;
            fn key(self, descending: bool) -> $t {
                if descending { !self } else { self }
            }
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}
ints! { i8 i16 i32 i64 u8 u16 u32 u64 }

macro_rules! floats {
    ($($t:ty, $bits:ty, |$a:ident, $b:ident| $sum:expr;)*) => {$(
        impl Number for $t {
            type Key = $bits;
            fn key(self, descending: bool) -> $bits {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                if self.is_nan() {
                    return <$bits>::MAX;
                }
                let bits = self.to_bits();
                // Negative numbers are larger bits the smaller they are, and -0 is 0.
                let key = if bits > SIGN { !bits } else { bits | SIGN };
                if descending { !key } else { key }
            }
            fn add(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $sum
            }
        }
    )*};
}
floats! {
    f16, u16, |a, b| f16::from_f32(a.to_f32() + b.to_f32());
    bf16, u16, |a, b| bf16::from_f32(a.to_f32() + b.to_f32());
    f32, u32, |a, b| a + b;
    f64, u64, |a, b| a + b;
}

/// Evaluates an expression with `$T` as the Rust type of a dtype.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            matex_ir::DType::F16 => {
                type $T = half::f16;
                $body
            }
            matex_ir::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            matex_ir::DType::F32 => {
                type $T = f32;
                $body
            }
            matex_ir::DType::F64 => {
                type $T = f64;
                $body
            }
            matex_ir::DType::I8 => {
                type $T = i8;
                $body
            }
            matex_ir::DType::I16 => {
                type $T = i16;
                $body
            }
            matex_ir::DType::I32 => {
                type $T = i32;
                $body
            }
            matex_ir::DType::I64 => {
                type $T = i64;
                $body
            }
            matex_ir::DType::U8 | matex_ir::DType::Bool => {
                type $T = u8;
                $body
            }
            matex_ir::DType::U16 => {
                type $T = u16;
                $body
            }
            matex_ir::DType::U32 => {
                type $T = u32;
                $body
            }
            matex_ir::DType::U64 => {
                type $T = u64;
                $body
            }
        }
    };
}
use with_number;

/// The elements of a contiguous view, as numbers of the same size.
fn elements<'v, T: Number>(view: &'v View<'_>) -> Result<&'v [T], RunError> {
    ensure(view.is_contiguous() && view.dtype().size() == size_of::<T>(), "an operand that does not fit")?;
    if view.is_empty() {
        return Ok(&[]);
    }
    // SAFETY: a view's elements are valid and aligned as long as it is borrowed, and these are contiguous; every bit
    // pattern of that size is one of `T`, which is a number type.
    Ok(unsafe { std::slice::from_raw_parts(view.data_ptr().cast::<T>(), view.len()) })
}

/// The memory of an output, as numbers: what is there, or zeros.
fn elements_mut<T: Number>(bytes: Bytes<'_>) -> Result<&mut [T], RunError> {
    let bytes = match bytes {
        Bytes::Filled(bytes) => bytes,
        Bytes::Fresh(bytes) => {
            bytes.fill(MaybeUninit::new(0));
            // SAFETY: all of them were written just now.
            unsafe { bytes.assume_init_mut() }
        }
    };
    // SAFETY: every bit pattern is a number, and every number written is bytes.
    let (before, elements, after) = unsafe { bytes.align_to_mut::<T>() };
    ensure(before.is_empty() && after.is_empty(), "an output that is not aligned")?;
    Ok(elements)
}

/// The memory of an output that nothing was put into yet, as numbers.
fn elements_fresh<T: Number>(bytes: Bytes<'_>) -> Result<&mut [MaybeUninit<T>], RunError> {
    let Bytes::Fresh(bytes) = bytes else { return Err(malformed("an output that is filled already")) };
    // SAFETY: nothing is read, and every number written is bytes.
    let (before, elements, after) = unsafe { bytes.align_to_mut::<MaybeUninit<T>>() };
    ensure(before.is_empty() && after.is_empty(), "an output that is not aligned")?;
    Ok(elements)
}

/// A copy of a view's elements in the memory of an output of as many.
fn copied<'o, T: Number>(from: &View<'_>, bytes: Bytes<'o>) -> Result<&'o mut [T], RunError> {
    let (from, to) = (elements::<T>(from)?, elements_fresh::<T>(bytes)?);
    ensure(from.len() == to.len(), "an output of another size")?;
    Ok(to.write_copy_of_slice(from))
}

/// A tensor as lines along one axis: how many stand before, how long they are, and the step within one.
#[derive(Clone, Copy)]
struct Lines {
    outer: usize,
    extent: usize,
    inner: usize,
}

impl Lines {
    fn new(shape: &[usize], axis: usize) -> Result<Lines, RunError> {
        let extent = *shape.get(axis).ok_or_else(|| malformed("no such axis"))?;
        let (outer, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        Ok(Lines { outer, extent, inner })
    }

    /// The place of the first element of each line.
    fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.outer).flat_map(move |o| (0..self.inner).map(move |i| o * self.extent * self.inner + i))
    }
}
