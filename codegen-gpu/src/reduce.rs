//! Reductions: what a thread has so far, and how the threads of a workgroup put theirs together.

use crate::arith;
use crate::body::{constant, type_of};
use crate::build::{Array, Builder, SubgroupIds, Ty, Val, Var};
use crate::cast;
use crate::kernel::{BLOCK, THREADS, letter};
use matex_ir::loops::{Combine, InstKind, Kernel};
use matex_ir::{DType, Op, Scalar};
use naga::BinaryOperator;
use std::num::NonZeroU32;

/// The most lanes that a subgroup has.
const MOST_LANES: u32 = 128;

/// One reduction of a walk.
pub(crate) struct Fold {
    /// The instruction.
    id: usize,
    combine: Combine,
    dtype: DType,
    /// What the elements of the current block come to, each component; of all elements where the order does not show.
    block: Vec<Var>,
    /// What the blocks before come to, where the order shows.
    total: Option<Var>,
    /// Where the threads of a workgroup put theirs: those of a stage have each their own.
    place: usize,
}

impl Fold {
    /// Begins a reduction with nothing in it.
    pub(crate) fn begin(b: &mut Builder, kernel: &Kernel, id: usize, place: usize) -> Result<Fold, String> {
        let InstKind::Reduce { combine, .. } = kernel.body[id].kind else {
            return Err("no reduction".to_owned());
        };
        let dtype = kernel.body[id].dtype;
        let mut start = vec![word(b, combine.identity(dtype)[0])?];
        if combine.arity() > 1 {
            // Behind every position: the identity of the index.
            start.push(b.i32(i32::MAX));
        }
        let names = ["block", "at"];
        let block = start.iter().zip(names).map(|(v, name)| b.var(name, *v)).collect();
        let total = combine.ordered(dtype).then(|| b.var("total", start[0]));
        Ok(Fold { id, combine, dtype, block, total, place })
    }

    /// Adds the element whose values are known.
    pub(crate) fn step(
        &self,
        b: &mut Builder,
        kernel: &Kernel,
        values: &[Option<Val>],
    ) -> Result<(), String> {
        let InstKind::Reduce { values: args, .. } = &kernel.body[self.id].kind else { return Ok(()) };
        let mut element = Vec::with_capacity(args.len());
        for arg in args {
            let value = values[arg.index()].ok_or("an element is not known")?;
            element.push(if value.ty == Ty::Bool { cast::cast(b, value, Ty::U32) } else { value });
        }
        let before: Vec<Val> = self.block.iter().map(|v| b.get(*v)).collect();
        let after = self.combined(b, &before, &element)?;
        self.block.iter().zip(after).for_each(|(var, value)| b.set(*var, value));
        Ok(())
    }

    fn combined(&self, b: &mut Builder, x: &[Val], y: &[Val]) -> Result<Vec<Val>, String> {
        match (self.combine.op(), x, y) {
            // Truth values are words here, and of those `and` and `or` are the same.
            (Some(op), [x], [y]) => Ok(vec![arith::map(b, op, self.dtype, &[*x, *y])?]),
            (None, [x, i], [y, j]) => {
                let first = better(b, self.combine == Combine::ArgMax, [*x, *i], [*y, *j]);
                Ok(vec![b.select(first, *x, *y), b.select(first, *i, *j)])
            }
            _ => Err("a state of another size".to_owned()),
        }
    }

    /// All that this thread has.
    fn whole(&self, b: &mut Builder) -> Result<Vec<Val>, String> {
        let block: Vec<Val> = self.block.iter().map(|v| b.get(*v)).collect();
        match self.total {
            None => Ok(block),
            Some(total) => {
                let total = b.get(total);
                self.combined(b, &[total], &block)
            }
        }
    }
}

/// Whether the first of two values with their positions is the one to take: NaN before all numbers, and of equal ones that
/// of the lower position.
fn better(b: &mut Builder, max: bool, [x, i]: [Val; 2], [y, j]: [Val; 2]) -> Val {
    let lower = b.lt(i, j);
    let wins = arith::compare(b, if max { Op::Gt } else { Op::Lt }, x, y);
    let tie = arith::compare(b, Op::Eq, x, y);
    let tie = b.and(tie, lower);
    let number = b.or(wins, tie);
    if !x.ty.is_real() {
        return number;
    }
    let (x_nan, y_nan) = (arith::is_nan(b, x), arith::is_nan(b, y));
    let yes = b.bool(true);
    let nan = b.select(y_nan, lower, yes);
    let no = b.bool(false);
    let number = b.select(y_nan, no, number);
    b.select(x_nan, nan, number)
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
                Ok(whole) => b.set(total, whole[0]),
                Err(why) => b.fail(why),
            }
            match word(b, fold.combine.identity(fold.dtype)[0]) {
                Ok(identity) => b.set(fold.block[0], identity),
                Err(why) => b.fail(why),
            }
        }
    });
}

/// A thread of a workgroup that shares a walk.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    /// Its number.
    pub(crate) thread: Val,
    /// Its place in its subgroup, where the device has such.
    pub(crate) subgroup: Option<SubgroupIds>,
}

/// The state of each reduction, for every thread. `share` is this one where a workgroup shares the walk.
pub(crate) fn finish(
    b: &mut Builder,
    kernel: &Kernel,
    folds: &[Fold],
    share: Option<Share>,
    extent: Val,
) -> Result<Vec<(usize, Vec<Val>)>, String> {
    let mut wholes = Vec::with_capacity(folds.len());
    for fold in folds {
        wholes.push(fold.whole(b)?);
    }
    // Not all devices with both exchange the lanes of those.
    let doubles = folds.iter().any(|f| f.dtype == DType::F64);
    wholes = match share {
        None => wholes,
        Some(Share { subgroup: Some(ids), .. }) if !doubles => by_subgroups(b, folds, &wholes, ids)?,
        Some(Share { thread, .. }) => together(b, folds, &wholes, thread)?,
    };
    let mut results = Vec::with_capacity(folds.len());
    for (fold, mut state) in folds.iter().zip(wholes) {
        let value = if fold.dtype == DType::Bool { cast::cast(b, state[0], Ty::Bool) } else { state[0] };
        state[0] = of_nothing(b, kernel, fold, value, extent);
        results.push((fold.id, state));
    }
    Ok(results)
}

/// A sum of nothing is 0.0, and not the -0.0 that it begins with.
fn of_nothing(b: &mut Builder, kernel: &Kernel, fold: &Fold, value: Val, extent: Val) -> Val {
    let sum = matches!(kernel.body[fold.id].kind, InstKind::Reduce { combine: Combine::Sum, .. });
    if !sum || !value.ty.is_real() {
        return value;
    }
    let (none, zero) = (b.i32(0), b.real(value.ty, 0.0));
    let empty = b.eq(extent, none);
    b.select(empty, zero, value)
}

/// By halving: thread `i` takes what thread `i + half` has, for half as many threads each time.
fn together(
    b: &mut Builder,
    folds: &[Fold],
    wholes: &[Vec<Val>],
    thread: Val,
) -> Result<Vec<Vec<Val>>, String> {
    if folds.is_empty() {
        return Ok(Vec::new());
    }
    let mut arrays: Vec<Vec<Array>> = Vec::with_capacity(folds.len());
    for (fold, whole) in folds.iter().zip(wholes) {
        let all = shared(b, fold)?;
        all.iter().zip(whole).for_each(|(array, value)| b.store(*array, thread, *value));
        arrays.push(all);
    }
    b.barrier();
    let mut failed = None;
    b.halve("half", THREADS / 2, |b, half| {
        let mine = b.lt(thread, half);
        b.when(mine, |b| {
            let other = b.add(thread, half);
            for (fold, all) in folds.iter().zip(&arrays) {
                let [x, y] = [thread, other].map(|at| all.iter().map(|a| b.load(*a, at)).collect::<Vec<_>>());
                match fold.combined(b, &x, &y) {
                    Ok(both) => {
                        all.iter().zip(both).for_each(|(array, value)| b.store(*array, thread, value))
                    }
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
    let results = arrays.iter().map(|all| all.iter().map(|a| b.load(*a, zero)).collect()).collect();
    // The next reduction writes to the same memory.
    b.barrier();
    Ok(results)
}

/// The lanes of a subgroup by halving, without memory, and then the subgroups one after the other. Which elements meet in
/// which order follows from the number of lanes, which is the device's.
fn by_subgroups(
    b: &mut Builder,
    folds: &[Fold],
    wholes: &[Vec<Val>],
    ids: SubgroupIds,
) -> Result<Vec<Vec<Val>>, String> {
    if folds.is_empty() {
        return Ok(Vec::new());
    }
    let zero = b.u32(0);
    let mut arrays: Vec<Vec<Array>> = Vec::with_capacity(folds.len());
    for (fold, whole) in folds.iter().zip(wholes) {
        let mine: Vec<Var> = whole.iter().map(|v| b.var("mine", *v)).collect();
        for step in 0..MOST_LANES.ilog2() {
            let bits = b.u32(1 << step);
            let within = b.lt(bits, ids.size);
            let open = b.begin_when(within);
            let x: Vec<Val> = mine.iter().map(|v| b.get(*v)).collect();
            let y: Vec<Val> = x.iter().map(|v| b.shuffle_xor(*v, bits)).collect();
            let both = fold.combined(b, &x, &y)?;
            mine.iter().zip(both).for_each(|(var, value)| b.set(*var, value));
            b.end_when(open);
        }
        let all = shared(b, fold)?;
        let first = b.eq(ids.lane, zero);
        b.when(first, |b| {
            for (array, var) in all.iter().zip(&mine) {
                let value = b.get(*var);
                b.store(*array, ids.number, value);
            }
        });
        arrays.push(all);
    }
    b.barrier();
    let mut results = Vec::with_capacity(folds.len());
    for (fold, all) in folds.iter().zip(&arrays) {
        let first: Vec<Val> = all.iter().map(|a| b.load(*a, zero)).collect();
        let total: Vec<Var> = first.iter().map(|v| b.var("together", *v)).collect();
        let one = b.u32(1);
        let (open, i) = b.begin_count("subgroup_at", (one, ids.count, one));
        let x: Vec<Val> = total.iter().map(|v| b.get(*v)).collect();
        let y: Vec<Val> = all.iter().map(|a| b.load(*a, i)).collect();
        let both = fold.combined(b, &x, &y)?;
        total.iter().zip(both).for_each(|(var, value)| b.set(*var, value));
        b.end_count(open);
        results.push(total.iter().map(|v| b.get(*v)).collect());
    }
    // The next reduction writes to the same memory.
    b.barrier();
    Ok(results)
}

/// Where the threads of a workgroup put the components of a state.
fn shared(b: &mut Builder, fold: &Fold) -> Result<Vec<Array>, String> {
    let ty = match type_of(fold.dtype) {
        Some(Ty::Bool) => Ty::U32,
        Some(ty) => ty,
        None => return Err(format!("it reduces {}", fold.dtype)),
    };
    let kind = match ty {
        Ty::F16 | Ty::F32 => "floats",
        Ty::F64 => "doubles",
        Ty::I32 => "signed",
        Ty::U64 | Ty::U32 | Ty::Bool => "words",
    };
    let len = NonZeroU32::new(THREADS).unwrap_or(NonZeroU32::MIN);
    let kinds = [(kind, ty), ("places", Ty::I32)];
    let kinds = kinds.iter().take(fold.block.len());
    Ok(kinds.map(|(kind, ty)| b.shared(&format!("{kind}_{}", letter(fold.place)), *ty, len)).collect())
}
