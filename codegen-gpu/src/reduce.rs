//! Reductions: what a thread has so far, and how the threads of a workgroup put theirs together.

use crate::arith;
use crate::body::{constant, type_of};
use crate::build::{Array, Builder, Ty, Val, Var};
use crate::cast;
use crate::kernel::{BLOCK, THREADS, letter};
use matex_ir::loops::{Combine, InstKind, Kernel};
use matex_ir::{DType, Op, Scalar};
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// One reduction of a walk.
pub(crate) struct Fold {
    /// The instruction.
    id: usize,
    op: Op,
    dtype: DType,
    /// What the elements of the current block come to; of all elements where the order does not show.
    block: Var,
    /// What the blocks before come to, where the order shows.
    total: Option<Var>,
    /// Where the threads of a workgroup put theirs: those of a stage have each their own.
    place: usize,
}

impl Fold {
    /// Begins a reduction with nothing in it.
    pub(crate) fn begin(b: &mut Builder, kernel: &Kernel, id: usize, place: usize) -> Result<Fold, String> {
        let InstKind::Reduce { combine, .. } = &kernel.body[id].kind else {
            return Err("no reduction".to_owned());
        };
        let dtype = kernel.body[id].dtype;
        let op = combine.op().ok_or("it finds positions")?;
        let identity = combine.identity(dtype)[0];
        let start = word(b, identity)?;
        let block = b.var("block", start);
        let total = combine.ordered(dtype).then(|| b.var("total", start));
        Ok(Fold { id, op, dtype, block, total, place })
    }

    /// Adds the element whose values are known.
    pub(crate) fn step(
        &self,
        b: &mut Builder,
        kernel: &Kernel,
        values: &[Option<Val>],
    ) -> Result<(), String> {
        let InstKind::Reduce { values: args, .. } = &kernel.body[self.id].kind else { return Ok(()) };
        let value = args.first().and_then(|a| values[a.index()]).ok_or("an element is not known")?;
        let value = if value.ty == Ty::Bool { cast::cast(b, value, Ty::U32) } else { value };
        let before = b.get(self.block);
        let after = self.combined(b, before, value)?;
        b.set(self.block, after);
        Ok(())
    }

    fn combined(&self, b: &mut Builder, x: Val, y: Val) -> Result<Val, String> {
        // Truth values are words here, and of those `and` and `or` are the same.
        arith::map(b, self.op, self.dtype, &[x, y])
    }

    /// All that this thread has.
    fn whole(&self, b: &mut Builder) -> Result<Val, String> {
        let block = b.get(self.block);
        match self.total {
            None => Ok(block),
            Some(total) => {
                let total = b.get(total);
                self.combined(b, total, block)
            }
        }
    }
}

/// A value as it lies in a variable: truth values are words.
fn word(b: &mut Builder, s: Scalar) -> Result<Val, String> {
    if s.dtype() == DType::Bool { Ok(b.u32(s.bits() as u32)) } else { constant(b, s) }
}

/// Ends the blocks of a thread behind each [`BLOCK`]th of its elements; `shift` tells from the position which it is.
pub(crate) fn close_blocks(b: &mut Builder, folds: &[Fold], element: Val, shift: u32) {
    if folds.iter().all(|f| f.total.is_none()) {
        return;
    }
    let number = b.shift(BinaryOperator::ShiftRight, element, shift);
    let last = b.u32(BLOCK - 1);
    let number = b.and(number, last);
    let full = b.eq(number, last);
    b.when(full, |b| {
        for fold in folds {
            let Some(total) = fold.total else { continue };
            match fold.whole(b) {
                Ok(whole) => b.set(total, whole),
                Err(why) => b.fail(why),
            }
            let identity = if fold.op == Op::Add { -0.0 } else { 1.0 };
            let identity = b.f32(identity);
            b.set(fold.block, identity);
        }
    });
}

/// The value of each reduction, for every thread. `share` is this one's number where a workgroup shares the walk.
pub(crate) fn finish(
    b: &mut Builder,
    kernel: &Kernel,
    folds: &[Fold],
    share: Option<Val>,
    extent: Val,
) -> Result<Vec<(usize, Val)>, String> {
    let mut wholes = Vec::with_capacity(folds.len());
    for fold in folds {
        wholes.push(fold.whole(b)?);
    }
    if let Some(thread) = share {
        wholes = together(b, folds, &wholes, thread)?;
    }
    let mut results = Vec::with_capacity(folds.len());
    for (fold, whole) in folds.iter().zip(wholes) {
        let value = if fold.dtype == DType::Bool { cast::cast(b, whole, Ty::Bool) } else { whole };
        results.push((fold.id, of_nothing(b, kernel, fold, value, extent)));
    }
    Ok(results)
}

/// A sum of nothing is 0.0, and not the -0.0 that it begins with.
fn of_nothing(b: &mut Builder, kernel: &Kernel, fold: &Fold, value: Val, extent: Val) -> Val {
    let sum = matches!(kernel.body[fold.id].kind, InstKind::Reduce { combine: Combine::Sum, .. });
    if !sum || fold.dtype != DType::F32 {
        return value;
    }
    let (none, zero) = (b.i32(0), b.f32(0.0));
    let empty = b.eq(extent, none);
    b.select(empty, zero, value)
}

/// By halving: thread `i` takes what thread `i + half` has, for half as many threads each time.
fn together(b: &mut Builder, folds: &[Fold], wholes: &[Val], thread: Val) -> Result<Vec<Val>, String> {
    if folds.is_empty() {
        return Ok(Vec::new());
    }
    let mut arrays: Vec<Array> = Vec::with_capacity(folds.len());
    for (fold, whole) in folds.iter().zip(wholes) {
        let array = shared(b, fold)?;
        b.store(array, thread, *whole);
        arrays.push(array);
    }
    b.barrier();
    let mut failed = None;
    b.halve("half", THREADS / 2, |b, half| {
        let mine = b.lt(thread, half);
        b.when(mine, |b| {
            let other = b.add(thread, half);
            for (fold, array) in folds.iter().zip(&arrays) {
                let (x, y) = (b.load(*array, thread), b.load(*array, other));
                match fold.combined(b, x, y) {
                    Ok(both) => b.store(*array, thread, both),
                    Err(why) => failed = Some(why),
                }
            }
        });
        b.barrier();
    });
    if let Some(why) = failed {
        return Err(why);
    }
    let zero = b.u32(0);
    let results = arrays.iter().map(|a| b.load(*a, zero)).collect();
    // The next reduction writes to the same memory.
    b.barrier();
    Ok(results)
}

fn shared(b: &mut Builder, fold: &Fold) -> Result<Array, String> {
    let ty = match type_of(fold.dtype) {
        Some(Ty::Bool) => Ty::U32,
        Some(ty) => ty,
        None => return Err(format!("it reduces {}", fold.dtype)),
    };
    let kind = match ty {
        Ty::F32 => "floats",
        Ty::I32 => "signed",
        Ty::U32 | Ty::Bool => "words",
    };
    let name = format!("{kind}_{}", letter(fold.place));
    let len = NonZeroU32::new(THREADS).unwrap_or(NonZeroU32::MIN);
    Ok(b.shared(&name, ty, len))
}
