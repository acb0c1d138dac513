//! Random kernels: whatever the builder accepts has to come out as the interpreter has it, and its text has to read back.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Case, Rng};
use matex_ir::loops::{Access, AxisKind, Combine, InstId, Kernel, KernelBuilder};
use matex_ir::ops::{Class, TABLE};
use matex_ir::{DType, Op};

/// With one that is narrower than lanes of vectors.
const DTYPES: [DType; 5] = [DType::F64, DType::F32, DType::I32, DType::I64, DType::U8];
/// Without, so that reductions are vectors too.
const WIDE: [DType; 7] =
    [DType::F64, DType::F32, DType::I32, DType::I64, DType::U32, DType::U64, DType::Bool];

fn axes(rng: &mut Rng) -> Vec<AxisKind> {
    let mut axes = vec![AxisKind::Parallel; rng.below(4)];
    if !axes.is_empty() && rng.below(2) == 0 {
        let at = rng.below(axes.len());
        axes[at] = rng.pick(&[AxisKind::Reduce, AxisKind::Scan]);
    }
    axes
}

/// Exact along the innermost axis, anything along the others.
fn access(rng: &mut Rng, rank: usize, class: Option<Access>) -> Vec<Access> {
    let mut all = vec![Access::Strided; rank];
    for a in &mut all {
        *a = rng.pick(&[Access::Strided, Access::Strided, Access::Zero]);
    }
    if let Some(last) = all.last_mut() {
        *last =
            class.unwrap_or_else(|| rng.pick(&[Access::Unit, Access::Unit, Access::Strided, Access::Zero]));
    }
    all
}

/// Ops whose result on a NaN does not show the NaN's sign.
fn admissible(op: Op) -> bool {
    !matches!(op, Op::SignBit | Op::Copysign)
}

/// A few ops on values at hand; most of one dtype, so that many kernels are vectorized.
fn grow(
    b: &mut KernelBuilder,
    rng: &mut Rng,
    values: &mut Vec<InstId>,
    n: usize,
    main: DType,
    plain: bool,
    dtypes: &[DType],
) {
    for _ in 0..n {
        if rng.below(8) == 0 && !plain {
            let v = rng.pick(values);
            let d = rng.pick(dtypes);
            values.push(b.cast(v, d));
            continue;
        }
        if rng.below(6) == 0 {
            values.push(b.constant(rng.scalar(main)));
            continue;
        }
        let row = &TABLE[rng.below(TABLE.len())];
        if !admissible(row.op) || (plain && matches!(row.class, Class::Test)) {
            continue;
        }
        // Some tries to find arguments of fitting dtypes.
        for _ in 0..6 {
            let args: Vec<InstId> = (0..row.arity).map(|_| rng.pick(values)).collect();
            let dtypes: Vec<DType> = args.iter().map(|a| b.dtype(*a)).collect();
            if row.op.result_dtype(&dtypes).is_some() && dtypes.iter().all(|d| d.compute() == *d) {
                values.push(b.map(row.op, &args));
                break;
            }
        }
    }
}

fn kernel(rng: &mut Rng) -> Option<Kernel> {
    let axes = axes(rng);
    let special = axes.iter().position(|a| *a != AxisKind::Parallel);
    let dtypes = if rng.below(2) == 0 { &DTYPES[..] } else { &WIDE };
    let (main, plain) = (rng.pick(dtypes), rng.below(2) == 0);
    let mut b = KernelBuilder::new("random", &axes);
    let mut values = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let d = if plain { main } else { rng.pick(dtypes) };
        let classes = access(rng, axes.len(), None);
        let x = b.input(d, &classes);
        values.push(b.load(x));
    }
    if !plain && !axes.is_empty() {
        values.push(b.index(rng.below(axes.len())));
    }
    let size = rng.below(24);
    grow(&mut b, rng, &mut values, size, main, plain, dtypes);
    match special.map(|a| axes[a]) {
        None | Some(AxisKind::Parallel) => {}
        Some(AxisKind::Scan) => {
            let (c, v) = (rng.pick(&[Combine::Sum, Combine::Max, Combine::Prod]), rng.pick(&values));
            if c.accepts(&[b.dtype(v)]) {
                values.push(b.scan(c, v));
            }
        }
        Some(AxisKind::Reduce) => {
            let mut results = Vec::new();
            for _ in 0..1 + rng.below(3) {
                let (c, v) = (rng.pick(&Combine::ALL[..6]), rng.pick(&values));
                if c.accepts(&[b.dtype(v)]) {
                    results.push(b.reduce(c, &[v]));
                }
            }
            values = results;
            if values.is_empty() {
                return None;
            }
            let size = rng.below(4);
            grow(&mut b, rng, &mut values, size, main, plain, dtypes);
        }
    }
    for _ in 0..1 + rng.below(2) {
        let v = rng.pick(&values[values.len().saturating_sub(3)..]);
        let mut classes = vec![Access::Strided; axes.len()];
        if let Some(last) = classes.last_mut() {
            *last = rng.pick(&[Access::Unit, Access::Unit, Access::Strided]);
        }
        if let Some(a) = special.filter(|a| axes[*a] == AxisKind::Reduce) {
            classes[a] = Access::Zero;
        }
        let out = b.output(b.dtype(v), &classes);
        b.store(out, v);
    }
    Some(b.finish().unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn random_kernels() {
    let mut rng = Rng::new(99);
    let mut run = 0;
    while run < 1200 {
        let Some(k) = kernel(&mut rng) else { continue };
        assert_eq!(k.to_string().parse::<Kernel>().as_ref(), Ok(&k));
        let lengths = [0, 1, 2, 3, 5, 8, 9, 33, 70];
        rng.tame = rng.below(2) == 0;
        let extents: Vec<i64> = k.axes.iter().map(|_| rng.pick(&lengths)).collect();
        Case::new(k, &extents, &mut rng).check();
        run += 1;
    }
}
