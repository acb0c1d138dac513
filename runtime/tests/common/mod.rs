//! Runs functions on every engine and compares with the reference interpreter.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Builder, Func, Param, RunError, TensorType, ValueId};
use matex_ir::{DType, Dim, Scalar, dim::parse_dim};
use matex_runtime::{AsView, Engine, ExecError, Executable, LayoutClass, PrepareOptions, Tensor, View};

/// A parameter from its name, dtype and dims.
pub(crate) fn param(name: &str, dtype: DType, dims: &[&str]) -> Param {
    Param { name: name.into(), ty: TensorType::new(dtype, shape(dims)) }
}

pub(crate) fn shape(dims: &[&str]) -> Vec<Dim> {
    dims.iter().map(|d| parse_dim(d).unwrap()).collect()
}

/// A builder and the values of its parameters.
pub(crate) fn builder(params: Vec<Param>) -> (Builder, Vec<ValueId>) {
    let b = Builder::new("f", params);
    let values = b.func().regions[0].params.clone();
    (b, values)
}

/// Ends a function with unnamed results.
pub(crate) fn finish(b: Builder, results: Vec<ValueId>) -> Func {
    let names = vec![None; results.len()];
    b.finish(results, names)
}

/// Small deterministic random numbers.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51afd7ed558ccd) >> 11
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// An array of small integers of any dtype, so that float arithmetic on them is exact.
pub(crate) fn small_ints(rng: &mut Rng, dtype: DType, shape: &[usize]) -> Array {
    let count = shape.iter().product();
    let data: Vec<Scalar> = (0..count)
        .map(|_| {
            let low = if dtype.is_unsigned_int() || dtype == DType::Bool { 0 } else { -4 };
            let high = if dtype == DType::Bool { 1 } else { 5 };
            Scalar::from_i128(dtype, low + rng.below((high - low + 1) as usize) as i128)
        })
        .collect();
    Array::new(dtype, shape.to_vec(), data).unwrap()
}

pub(crate) fn tensor(a: &Array) -> Tensor {
    Tensor::from_scalars(a.dtype(), a.shape(), a.data().iter().copied()).unwrap()
}

pub(crate) fn array(t: &Tensor) -> Array {
    Array::new(t.dtype(), t.shape().to_vec(), t.scalars().collect()).unwrap()
}

/// How an argument is laid out for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Contiguous,
    /// Every axis reversed in memory.
    Reversed,
    /// Every other element of a larger tensor.
    Spaced,
    /// Axes in opposite order in memory.
    Transposed,
}

pub(crate) const LIES: [Lie; 4] = [Lie::Contiguous, Lie::Reversed, Lie::Spaced, Lie::Transposed];

/// The same elements in another layout.
pub(crate) fn lay(a: &Array, lie: Lie) -> Tensor {
    let shape = a.shape();
    let rank = shape.len();
    let step = if lie == Lie::Spaced { 2 } else { 1 };
    let order: Vec<usize> =
        if lie == Lie::Transposed { (0..rank).rev().collect() } else { (0..rank).collect() };
    let mut strides = vec![0isize; rank];
    let mut next = step;
    for axis in order.iter().rev() {
        strides[*axis] = next;
        next *= shape[*axis].max(1) as isize * step;
    }
    let mut offset = 0isize;
    if lie == Lie::Reversed {
        for (s, e) in strides.iter_mut().zip(shape) {
            offset += *s * (*e as isize - 1).max(0);
            *s = -*s;
        }
    }
    let len = next.unsigned_abs().max(1);
    let mut cells = vec![Scalar::from_i128(a.dtype(), 1); len];
    let mut index = vec![0usize; rank];
    for e in a.data() {
        let at: isize = index.iter().zip(&strides).map(|(i, s)| *i as isize * s).sum::<isize>() + offset;
        cells[at as usize] = *e;
        for axis in (0..rank).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    let buffer = Tensor::from_scalars(a.dtype(), &[len], cells).unwrap();
    Tensor::from_parts(a.dtype(), shape, &strides, offset as usize, buffer.buffer().clone()).unwrap()
}

pub(crate) fn prepare(func: &Func, class: LayoutClass, engine: Engine) -> Result<Executable, ExecError> {
    let classes = vec![class; func.params.len()];
    Executable::prepare(func, &classes, &PrepareOptions { engine, ..PrepareOptions::default() })
}

/// Every way to prepare a function.
pub(crate) fn executables(func: &Func) -> Vec<(String, Executable)> {
    let mut out = Vec::new();
    for engine in [Engine::Cranelift, Engine::LoopInterp] {
        for class in [LayoutClass::Contiguous, LayoutClass::Strided] {
            let exe = prepare(func, class, engine).unwrap_or_else(|e| panic!("{e}\n{func:?}"));
            out.push((format!("{engine:?} {class:?}"), exe));
        }
    }
    out
}

fn close(a: Scalar, b: Scalar, tolerance: f64) -> bool {
    if a == b {
        return true;
    }
    if !a.dtype().is_float() || a.dtype() != b.dtype() {
        return false;
    }
    let (x, y) = (a.to_f64(), b.to_f64());
    let zeros = x == 0.0 && y == 0.0 && tolerance > 0.0;
    zeros || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(1.0)
}

pub(crate) fn assert_close(found: &Tensor, wanted: &Array, tolerance: f64, what: &str) {
    assert_eq!((found.dtype(), found.shape()), (wanted.dtype(), wanted.shape()), "{what}");
    assert!(found.is_contiguous(), "{what}");
    for (i, (a, b)) in found.scalars().zip(wanted.data()).enumerate() {
        assert!(close(a, *b, tolerance), "{what}: element {i} is {a:?}, wanted {b:?}");
    }
}

/// Runs a function on all engines, layout classes and layouts, and compares with the oracle.
pub(crate) fn check_all(executables: &[(String, Executable)], func: &Func, args: &[Array], tolerance: f64) {
    let wanted = run(func, args, &RunLimits::default());
    for (name, exe) in executables {
        for lie in LIES {
            let tensors: Vec<Tensor> = args.iter().map(|a| lay(a, lie)).collect();
            let views: Vec<View<'_>> = tensors.iter().map(|t| t.as_view()).collect();
            let what =
                || format!("{name} {lie:?} {:?}\n{}{}", shapes(args), exe.plan(), exe.plan().kernels_text());
            match (&wanted, exe.call(&views)) {
                (Ok(wanted), Ok(found)) => {
                    assert_eq!(wanted.len(), found.len());
                    for (f, w) in found.iter().zip(wanted) {
                        assert_close(f, w, tolerance, &what());
                    }
                }
                // An index into an empty axis is refused, where the oracle looks at it only when an element needs it.
                (Ok(_), Err(ExecError::Run(RunError::IndexOutOfRange { extent: 0, .. }))) => {}
                (Err(w), Err(ExecError::Run(f))) => assert_eq!(*w, f, "{}", what()),
                (w, f) => panic!("{}: wanted {w:?}, found {f:?}", what()),
            }
        }
    }
}

fn shapes(args: &[Array]) -> Vec<Vec<usize>> {
    args.iter().map(|a| a.shape().to_vec()).collect()
}

/// [`check_all`] for a function that is prepared here.
pub(crate) fn check(func: &Func, args: &[Array], tolerance: f64) {
    check_all(&executables(func), func, args, tolerance);
}
