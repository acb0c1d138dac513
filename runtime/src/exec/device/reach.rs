//! Which elements of its operands a run of a kernel reaches, and what follows: whether its indices are proven to be
//! inside, and how it is done by chunks where an array is larger than what the device binds.

use matex_codegen_gpu::Run;
use matex_ir::DType;
use matex_ir::loops::{AxisKind, InstKind, Kernel, Role};

/// A run that is a part of another one, and where each operand is bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The extents, and the place of each operand's origin in what is bound.
    pub(super) extents: Vec<i64>,
    pub(super) offsets: Vec<i64>,
    /// For each operand the first byte that is bound, and how many are.
    pub(super) windows: Vec<(u64, u64)>,
}

impl Chunk {
    /// The run of it, where that of the whole is this one.
    pub(super) fn run<'a>(&'a self, whole: Run<'a>) -> Run<'a> {
        Run { extents: &self.extents, offsets: &self.offsets, ..whole }
    }
}

/// What a device asks of a binding, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The most that is bound.
    pub(super) most: u64,
    /// What the first byte is a multiple of.
    pub(super) alignment: u64,
}

/// The bytes of an element on the device.
pub(super) fn element_bytes(kernel: &Kernel, operand: usize) -> i64 {
    let dtype = kernel.operands[operand].dtype;
    // A truth value is a word there.
    if dtype == DType::Bool { 4 } else { dtype.size() as i64 }
}

/// The first and the last element that an operand of a run may be read or written at; none where a size is too large to
/// tell. Where it is found by indices, all that these can be counts.
fn reach(kernel: &Kernel, run: &Run<'_>, operand: usize) -> Option<(i64, i64)> {
    let axes = kernel.axes.len();
    let before: usize = kernel.operands[..operand].iter().map(|o| o.gathers as usize).sum();
    let gathers = kernel.operands[operand].gathers as usize;
    let words = run.gathers.get(2 * before..2 * (before + gathers))?;
    let moves = run.extents.iter().zip(run.strides.get(operand * axes..(operand + 1) * axes)?);
    let all = moves.chain(words.chunks_exact(2).map(|w| (&w[0], &w[1])));
    let start = *run.offsets.get(operand)?;
    all.into_iter().try_fold((start, start), |(low, high), (extent, stride)| {
        let last = (extent - 1).max(0).checked_mul(*stride)?;
        Some((low.checked_add(last.min(0))?, high.checked_add(last.max(0))?))
    })
}

/// Whether each element that a run may touch lies in the bytes that its operand is bound to. Rows of scratch lie one
/// behind the other, for so many workgroups.
pub(super) fn is_proven(kernel: &Kernel, run: &Run<'_>, bytes: &[u64], groups: i64) -> bool {
    let inside = |o: usize| {
        let length = bytes.get(o).map_or(0, |b| *b as i64 / element_bytes(kernel, o));
        let rows = if kernel.operands[o].role == Role::Scratch { groups } else { 1 };
        reach(kernel, run, o).is_some_and(|(low, high)| {
            low >= 0 && high.checked_add(1).and_then(|n| n.checked_mul(rows)).is_some_and(|n| n <= length)
        })
    };
    (0..kernel.operands.len()).all(inside)
}

/// Cuts a run along one of its parallel axes, into as few chunks as the device binds. `None` when no axis will do: an
/// operand that does not move along it has to be bound whole, and positions along it are counted from the beginning.
pub(super) fn chunks(kernel: &Kernel, run: &Run<'_>, shares: &[usize], rules: Rules) -> Option<Vec<Chunk>> {
    if kernel.scratch_operands() > 0 {
        return None;
    }
    let position = |axis: usize| kernel.body.iter().any(|i| i.kind == InstKind::Index(axis as u32));
    let fits = |axis: &usize| {
        kernel.axes[*axis].kind == AxisKind::Parallel && run.extents[*axis] > 1 && !position(*axis)
    };
    (0..kernel.axes.len()).filter(fits).find_map(|axis| along(kernel, run, shares, (axis, rules)))
}

/// The chunks along an axis: twice as many until each fits.
fn along(
    kernel: &Kernel,
    run: &Run<'_>,
    shares: &[usize],
    (axis, rules): (usize, Rules),
) -> Option<Vec<Chunk>> {
    let extent = run.extents[axis];
    let mut count = 2;
    loop {
        let length = (extent - 1) / count + 1;
        let starts = (0..extent).step_by(usize::try_from(length).ok()?);
        let chunk = |start: i64| piece(kernel, run, shares, (axis, start, length.min(extent - start)), rules);
        if let Some(all) = starts.map(chunk).collect::<Option<Vec<Chunk>>>() {
            return Some(all);
        }
        if length == 1 {
            return None;
        }
        count = count.saturating_mul(2);
    }
}

/// One chunk, where what it reaches can be bound.
fn piece(
    kernel: &Kernel,
    run: &Run<'_>,
    shares: &[usize],
    (axis, start, length): (usize, i64, i64),
    rules: Rules,
) -> Option<Chunk> {
    let (axes, count) = (kernel.axes.len(), kernel.operands.len());
    let mut extents = run.extents.to_vec();
    extents[axis] = length;
    let moved = |o: usize| run.offsets[o] + start * run.strides[o * axes + axis];
    let mut offsets: Vec<i64> = (0..count).map(moved).collect();
    let part = Run { extents: &extents, offsets: &offsets, ..*run };
    let mut windows = vec![(0, 0); count];
    for root in (0..count).filter(|o| shares[*o] == *o) {
        let sharing = (0..count).filter(|o| shares[*o] == root);
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for operand in sharing {
            let (first, last) = reach(kernel, &part, operand)?;
            (low, high) = (low.min(first), high.max(last));
        }
        let size = element_bytes(kernel, root);
        let low = u64::try_from(low.checked_mul(size)?).ok()? / rules.alignment * rules.alignment;
        let high = u64::try_from(high.checked_add(1)?.checked_mul(size)?).ok()?;
        // A quad that begins inside ends inside.
        let bytes = (high - low).next_multiple_of(16);
        if bytes > rules.most {
            return None;
        }
        windows[root] = (low, bytes);
    }
    for operand in 0..count {
        windows[operand] = windows[shares[operand]];
        offsets[operand] -= windows[operand].0 as i64 / element_bytes(kernel, operand);
    }
    Some(Chunk { extents, offsets, windows })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use matex_ir::DType;
    use matex_ir::loops::{Access, Combine, KernelBuilder};

    /// `out[i, j] = x[i, j] + r[j]`, or the sums of rows of that.
    fn kernel(sums: bool) -> Kernel {
        let last = if sums { AxisKind::Reduce } else { AxisKind::Parallel };
        let mut b = KernelBuilder::new("k", &[AxisKind::Parallel, last]);
        let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
        let r = b.input(DType::F32, &[Access::Zero, Access::Unit]);
        let out = b.output(DType::F32, &[Access::Strided, if sums { Access::Zero } else { Access::Unit }]);
        let (v, u) = (b.load(x), b.load(r));
        let mut value = b.map(matex_ir::Op::Add, &[v, u]);
        if sums {
            value = b.reduce(Combine::Sum, &[value]);
        }
        b.store(out, value);
        b.finish().unwrap()
    }

    const STRIDES: [i64; 6] = [100, 1, 0, 1, 100, 1];

    #[test]
    fn indices_are_proven_by_the_last_element() {
        let k = kernel(false);
        let proven = |offsets: &[i64], strides: &[i64], bytes: [u64; 3]| {
            let run = Run { extents: &[10, 100], offsets, strides, gathers: &[] };
            is_proven(&k, &run, &bytes, 1)
        };
        assert!(proven(&[0, 0, 0], &STRIDES, [4000, 400, 4000]));
        assert!(!proven(&[0, 0, 0], &STRIDES, [3999, 400, 4000]));
        assert!(!proven(&[0, 0, 0], &STRIDES, [4000, 396, 4000]));
        assert!(!proven(&[0, 0, 1], &STRIDES, [4000, 400, 4000]));
        assert!(!proven(&[-1, 0, 0], &STRIDES, [4000, 400, 4000]));
        // Backwards, from the last element on.
        assert!(proven(&[999, 0, 0], &[-100, -1, 0, 1, 100, 1], [4000, 400, 4000]));
        assert!(!proven(&[998, 0, 0], &[-100, -1, 0, 1, 100, 1], [4000, 400, 4000]));
        assert!(!proven(&[0, 0, 0], &[i64::MAX, 1, 0, 1, 100, 1], [4000, 400, 4000]));
    }

    #[test]
    fn chunks_are_as_few_as_fit() {
        let rules = Rules { most: 1024, alignment: 256 };
        for (k, strides) in [(kernel(false), STRIDES), (kernel(true), [100, 1, 0, 1, 1, 0])] {
            let run = Run { extents: &[10, 100], offsets: &[0; 3], strides: &strides, gathers: &[] };
            let all = chunks(&k, &run, &[0, 1, 2], rules).unwrap();
            assert_eq!(all.iter().map(|c| c.extents[0]).sum::<i64>(), 10);
            let mut row = 0;
            for chunk in &all {
                let [first, bytes] = [chunk.windows[0].0, chunk.windows[0].1];
                assert!(first % 256 == 0 && bytes <= 1024, "{chunk:?}");
                // The same element of the whole.
                assert_eq!(first as i64 / 4 + chunk.offsets[0], row * 100);
                assert_eq!(chunk.windows[1].0, 0);
                row += chunk.extents[0];
            }
        }
        // A row alone is too large.
        let k = kernel(false);
        let run = Run { extents: &[10, 100], offsets: &[0; 3], strides: &STRIDES, gathers: &[] };
        assert_eq!(chunks(&k, &run, &[0, 1, 2], Rules { most: 256, alignment: 256 }), None);
    }
}
