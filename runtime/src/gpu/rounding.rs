//! How a device rounds doubles, which is measured when it is opened.
//!
//! Vulkan promises of quotients and roots of doubles no more than of singles, lets `fma` round twice, and says nothing of which
//! neighbour a conversion takes. A device that has doubles at all does all this as IEEE 754 has it, as far as is known, and where
//! one does not its kernels would be wrong in the last place. So each is asked for numbers that tell.

use super::device::Device;
use super::{Code, Dispatch, GpuError};
use matex_codegen_gpu::{Run, Schedule};
use matex_ir::loops::{Access, AxisKind, Kernel, KernelBuilder};
use matex_ir::{DType, Op};
use std::sync::Arc;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rounding {
    /// Sums, products, quotients, roots and conversions to singles are those of the CPU.
    pub(super) exact: bool,
    /// `fma` rounds once.
    pub(super) fused: bool,
}

/// How many numbers are tried.
const COUNT: usize = 4096;

/// What is computed of a, b and c, in this order; the last one is a single.
const RESULTS: usize = 6;

/// The kernel that does so.
fn kernel() -> Option<Kernel> {
    let mut b = KernelBuilder::new("rounding", &[AxisKind::Parallel]);
    let inputs = [0; 3].map(|_| b.input(DType::F64, &[Access::Unit]));
    let [x, y, z] = inputs.map(|o| b.load(o));
    let ops: [(Op, &[_]); RESULTS - 1] =
        [(Op::Fma, &[x, y, z]), (Op::Div, &[x, y]), (Op::Sqrt, &[x]), (Op::Add, &[x, z]), (Op::Mul, &[x, y])];
    for (op, args) in ops {
        let (value, out) = (b.map(op, args), b.output(DType::F64, &[Access::Unit]));
        b.store(out, value);
    }
    let (single, out) = (b.cast(x, DType::F32), b.output(DType::F32, &[Access::Unit]));
    b.store(out, single);
    b.finish().ok()
}

/// The numbers of a try: all bits of the fractions, magnitudes near 1, and a sum that takes away most of the product, so that
/// its second rounding shows.
fn numbers(i: u64) -> [f64; 3] {
    let mixed = |n: u64| {
        let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let unit = |n: u64| f64::from_bits(mixed(n) >> 12 | 0x3ff0_0000_0000_0000);
    let (x, y) = (unit(2 * i + 1), unit(2 * i + 2));
    [x, y, if i.is_multiple_of(2) { -x * y } else { -unit(mixed(i)) }]
}

/// The bits of what the CPU makes of them.
fn wanted([x, y, z]: [f64; 3]) -> [u64; RESULTS] {
    let doubles = [x.mul_add(y, z), x / y, x.sqrt(), x + z, x * y].map(f64::to_bits);
    let single = (x as f32).to_bits();
    [doubles[0], doubles[1], doubles[2], doubles[3], doubles[4], single.into()]
}

/// What a device makes of all, by results.
fn found(device: &Arc<Device>, kernel: &Kernel) -> Result<Vec<Vec<u64>>, GpuError> {
    let mut queue = device.queue();
    let mut arrays = Vec::with_capacity(kernel.operands.len());
    for operand in 0..kernel.operands.len() {
        let array = device.array((COUNT * 8) as u64)?;
        if operand < 3 {
            let bytes = (0..COUNT as u64).flat_map(|i| numbers(i)[operand].to_le_bytes());
            queue.upload(&array, &bytes.collect::<Vec<u8>>())?;
        }
        arrays.push(array);
    }
    let count = arrays.len();
    let (offsets, strides, shares) = (vec![0; count], vec![1; count], (0..count).collect::<Vec<usize>>());
    let run = Run { extents: &[COUNT as i64], offsets: &offsets, strides: &strides, gathers: &[] };
    let schedule = Schedule::Points;
    let words = run.words(kernel, schedule).map_err(GpuError::Refused)?;
    queue.run(&Dispatch {
        code: Code::Kernel { kernel, schedule, shares: &shares },
        arrays: &arrays,
        words: &words,
        points: COUNT as i64,
        windows: None,
        proven: false,
        flag: None,
    })?;
    let mut all = Vec::with_capacity(RESULTS);
    for (array, operand) in arrays.iter().zip(&kernel.operands).skip(3) {
        let size = operand.dtype.size();
        let mut bytes = vec![0; COUNT * size];
        queue.download(array, &mut bytes)?;
        let bits = |word: &[u8]| word.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
        all.push(bytes.chunks_exact(size).map(bits).collect());
    }
    Ok(all)
}

/// How a device rounds that has doubles; one that fails meanwhile does nothing as the CPU does, and the next call finds out why.
pub(super) fn measure(device: &Arc<Device>) -> Rounding {
    let Some(kernel) = kernel() else { return Rounding::default() };
    let Ok(found) = found(device, &kernel) else { return Rounding::default() };
    judge(&found)
}

/// Whether results are those of the CPU.
fn judge(found: &[Vec<u64>]) -> Rounding {
    let wanted: Vec<[u64; RESULTS]> = (0..COUNT as u64).map(|i| wanted(numbers(i))).collect();
    let same = |result: usize| {
        let found = found.get(result).map_or(&[][..], Vec::as_slice);
        found.len() == COUNT && found.iter().zip(&wanted).all(|(f, w)| *f == w[result])
    };
    Rounding { exact: (1..RESULTS).all(same), fused: same(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device finds that computes so.
    fn of(compute: impl Fn([f64; 3]) -> [u64; RESULTS]) -> Rounding {
        let all: Vec<_> = (0..COUNT as u64).map(|i| compute(numbers(i))).collect();
        judge(&(0..RESULTS).map(|r| all.iter().map(|w| w[r]).collect()).collect::<Vec<_>>())
    }

    #[test]
    fn one_that_rounds_otherwise_is_found_out() {
        assert_eq!(of(wanted), Rounding { exact: true, fused: true });
        let twice = |[x, y, z]: [f64; 3]| {
            let mut all = wanted([x, y, z]);
            all[0] = (x * y + z).to_bits();
            all
        };
        assert_eq!(of(twice), Rounding { exact: true, fused: false });
        let by_reciprocal = |[x, y, z]: [f64; 3]| {
            let mut all = wanted([x, y, z]);
            all[1] = (x * (1.0 / y)).to_bits();
            all
        };
        assert_eq!(of(by_reciprocal), Rounding { exact: false, fused: true });
        let downwards = |[x, y, z]: [f64; 3]| {
            let mut all = wanted([x, y, z]);
            all[5] = (f64::from_bits(x.to_bits() & !0x1fff_ffff) as f32).to_bits().into();
            all
        };
        assert_eq!(of(downwards), Rounding { exact: false, fused: true });
        assert_eq!(judge(&[]), Rounding { exact: false, fused: false });
    }
}
