//! Measures the constants of the model of costs on the machine that this runs on.
//!
//! What is timed is what the model speaks of: kernels of this compiler, each the least of many runs, so that whatever else the
//! machine does counts as little as possible. It takes some tens of milliseconds and a few arrays of 16 MB.

use crate::exec::{ExecError, Executable, PrepareOptions};
use crate::tensor::{AsView, AsViewMut, Tensor, TensorError};
use matex_codegen_cpu::Simd;
use matex_ir::tensor::{RunError, parse};
use matex_ir::{DType, Op};
use matex_passes::{CostModel, Options};
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The parameters of the programs.
const NAMES: [&str; 2] = ["x", "y"];

/// The type of a vector.
const VECTOR: &str = "f32[n]";

/// How long one program is timed, and how often at least.
const WINDOW: Duration = Duration::from_millis(3);
const RUNS: usize = 4;

/// Measures this machine, one thread of it.
///
/// # Errors
/// When the programs that are timed cannot be compiled or run here, or the clock gives nothing sensible.
pub fn calibrate() -> Result<CostModel, ExecError> {
    let fixed = CostModel::FIXED;
    // A call of one kernel that does next to nothing: what others take beyond it is their work.
    let call = chain(1, 1)?;
    let launch = (chain(17, 1)? - call) / 16.0;
    let mut levels = fixed.levels;
    // Three quarters of what a level holds are in use, and three times the last cache.
    let mut below = 0.0;
    for (holds, rate) in &mut levels {
        let bytes = if holds.is_finite() { *holds * 0.75 } else { below * 3.0 };
        below = *holds;
        *rate = bytes / (sum_of_two(bytes)? - call).max(1.0);
    }
    let (elements, operations) = (2048.0, 64.0);
    let arithmetic = mixed(elements as usize, operations as usize)?;
    let vector = elements * operations * size_of::<f32>() as f64 / (arithmetic - call).max(1.0);
    let scalars = fixed.of_op(Op::Lgamma, DType::F32).ops;
    let scalar = elements * scalars / (apply("lgamma", elements as usize)? - call).max(1.0);
    let simple = elements * size_of::<f32>() as f64 / vector;
    let mut functions = fixed.functions;
    for (name, taken) in CostModel::FUNCTIONS.iter().zip(&mut functions) {
        *taken = (apply(name, elements as usize)? - call) / simple;
    }
    let side = 512;
    let multiplications = (side * side * side) as f64;
    let product = multiplications * size_of::<f32>() as f64 / (square(side)? - call).max(1.0);
    let width = Simd::Auto.here().bits().map_or(fixed.width, |bits| f64::from(bits) / 8.0);
    let costs = CostModel { vector, width, scalar, functions, product, launch, levels };
    let sensible = costs.is_sensible().then_some(costs);
    sensible.ok_or_else(|| RunError::Malformed("the clock gives no sensible times".to_owned()).into())
}

/// The time of so many additions, a kernel each, on as many elements.
fn chain(kernels: usize, elements: usize) -> Result<f64, ExecError> {
    let mut body = "  %2: f32[n] = add %x, %y\n".to_owned();
    for i in 3..kernels + 2 {
        // A String takes any text, so that writing to it cannot fail.
        let _ = writeln!(body, "  %{i}: f32[n] = add %{}, %{}", i - 1, NAMES[i % 2]);
    }
    time(VECTOR, &body, kernels + 1, &[elements], &Options::plain())
}

/// The time of a sum of two arrays which are so many bytes together with the result.
fn sum_of_two(bytes: f64) -> Result<f64, ExecError> {
    chain(1, (bytes / (3 * size_of::<f32>()) as f64) as usize)
}

/// The time of one kernel of so many additions and multiplications an element, in four chains that do not wait for each other.
fn mixed(elements: usize, operations: usize) -> Result<f64, ExecError> {
    let mut body = String::new();
    let mut put = |i: usize, op: &str, a: &str, b: &str| {
        let _ = writeln!(body, "  %{i}: f32[n] = {op} %{a}, %{b}");
    };
    for (i, (op, a, b)) in
        [("add", "x", "x"), ("add", "y", "y"), ("add", "x", "y"), ("mul", "x", "y")].iter().enumerate()
    {
        put(i + 2, op, a, b);
    }
    let last = operations + 2;
    for i in 6..last - 3 {
        put(i, if i / 4 % 2 == 0 { "add" } else { "mul" }, &(i - 4).to_string(), NAMES[i % 2]);
    }
    // The ends of the chains together.
    (last - 3..last).for_each(|i| put(i, "add", &(i - 1).to_string(), &(i - 4).to_string()));
    time(VECTOR, &body, last - 1, &[elements], &Options { optimize: false, ..Options::default() })
}

/// The time of one function of each element.
fn apply(function: &str, elements: usize) -> Result<f64, ExecError> {
    let operands = if function == "pow" { "%x, %y" } else { "%x" };
    let body = format!("  %2: f32[n] = {function} {operands}\n");
    time(VECTOR, &body, 2, &[elements], &Options::default())
}

/// The time of a product of two square matrices.
fn square(side: usize) -> Result<f64, ExecError> {
    let body = "  %2: f32[n, n] = dot %x, %y, contract [1:0]\n";
    time("f32[n, n]", body, 2, &[side, side], &Options::default())
}

/// The least time in nanoseconds that a program of two arrays of one type takes, which gives one of its values, of that type.
fn time(ty: &str, body: &str, result: usize, shape: &[usize], passes: &Options) -> Result<f64, ExecError> {
    let text = format!("func @f(%x: {ty}, %y: {ty}) -> {ty} {{\n{body}  return %{result}\n}}\n");
    let func = parse(&text).map_err(|e| ExecError::from(RunError::Malformed(e.to_string())))?;
    let options = PrepareOptions { passes: passes.clone(), threads: 1, ..PrepareOptions::default() };
    let program = Executable::prepare(&func, &[], &options)?;
    // Touched, so that the system has given the memory before anything is timed.
    let (x, y, mut out) = (filled(shape, 1.25)?, filled(shape, 0.5)?, filled(shape, 1.0)?);
    let args = [x.as_view(), y.as_view()];
    let (mut least, begin) = (f64::INFINITY, Instant::now());
    let (mut inner, mut timed) = (1, 0);
    while begin.elapsed() < WINDOW || timed < RUNS {
        let start = Instant::now();
        for _ in 0..inner {
            program.call_into(&args, &mut [black_box(&mut out).as_view_mut().map_err(refused)?])?;
        }
        let taken = start.elapsed();
        // Long enough that looking at the clock does not count.
        if taken < Duration::from_micros(20) {
            inner *= 2;
        } else {
            least = least.min(taken.as_nanos() as f64 / f64::from(inner));
            timed += 1;
        }
    }
    Ok(least)
}

/// A tensor of one value.
fn filled(shape: &[usize], value: f32) -> Result<Tensor, ExecError> {
    Tensor::from_vec(shape, vec![value; shape.iter().product()]).map_err(refused)
}

fn refused(e: TensorError) -> ExecError {
    RunError::Malformed(e.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_sensible_constants() {
        let costs = calibrate().unwrap();
        assert!(costs.is_sensible(), "{costs:?}");
    }
}
