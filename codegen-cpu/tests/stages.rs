//! Kernels of several stages: softmax and its like, read-backs, scratch, and random ones.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use AxisKind::{Parallel, Reduce};
use common::{Case, Rng, all_widths};
use matex_ir::loops::expand::expand;
use matex_ir::loops::{Access, AxisKind, Combine, InstId, InstKind, Kernel, KernelBuilder, OperandId, Role};
use matex_ir::{DType, Op, Scalar};

/// The access classes of a tensor that moves along both axes, and of one that does not along the reduce axis.
fn classes(kinds: [AxisKind; 2]) -> ([Access; 2], [Access; 2]) {
    let point =
        if kinds[1] == Reduce { [Access::Strided, Access::Zero] } else { [Access::Zero, Access::Unit] };
    ([Access::Strided, Access::Unit], point)
}

/// `out = exp(x - max x) / sum` with the exponentials kept in `out` or in scratch.
fn softmax(d: DType, kinds: [AxisKind; 2], scratch: bool) -> Kernel {
    let (moving, _) = classes(kinds);
    let mut b = KernelBuilder::new("softmax", &kinds);
    let x = b.input(d, &moving);
    let out = b.output(d, &moving);
    let kept = if scratch { b.scratch(d) } else { out };
    let v = b.load(x);
    let max = b.reduce(Combine::Max, &[v]);
    b.next_stage();
    let v = b.load(x);
    let v = b.map(Op::Sub, &[v, max]);
    let e = b.map(Op::Exp, &[v]);
    b.store(kept, e);
    let sum = b.reduce(Combine::Sum, &[e]);
    b.next_stage();
    let e = b.load(kept);
    let y = b.map(Op::Div, &[e, sum]);
    b.store(out, y);
    expand(&b.finish().unwrap())
}

/// `(x - mean) * rsqrt(var + eps) * scale + shift`, with mean and variance as further results.
fn layernorm(d: DType, kinds: [AxisKind; 2]) -> Kernel {
    let (moving, point) = classes(kinds);
    let along =
        if kinds[1] == Reduce { [Access::Zero, Access::Unit] } else { [Access::Strided, Access::Zero] };
    let mut b = KernelBuilder::new("layernorm", &kinds);
    let x = b.input(d, &moving);
    let (scale, shift) = (b.input(d, &along), b.input(d, &along));
    let n = b.input(d, &[Access::Zero, Access::Zero]);
    let (out, means, variances) = (b.output(d, &moving), b.output(d, &point), b.output(d, &point));
    let v = b.load(x);
    let n = b.load(n);
    let square = b.map(Op::Mul, &[v, v]);
    let (sum, squares) = (b.reduce(Combine::Sum, &[v]), b.reduce(Combine::Sum, &[square]));
    let mean = b.map(Op::Div, &[sum, n]);
    let squares = b.map(Op::Div, &[squares, n]);
    let of_mean = b.map(Op::Mul, &[mean, mean]);
    let variance = b.map(Op::Sub, &[squares, of_mean]);
    let eps = b.constant(Scalar::from_f64(d, 1e-5));
    let root = b.map(Op::Add, &[variance, eps]);
    let root = b.map(Op::Sqrt, &[root]);
    b.store(means, mean);
    b.store(variances, variance);
    b.next_stage();
    let v = b.load(x);
    let v = b.map(Op::Sub, &[v, mean]);
    let v = b.map(Op::Div, &[v, root]);
    let (scale, shift) = (b.load(scale), b.load(shift));
    let v = b.map(Op::Fma, &[v, scale, shift]);
    b.store(out, v);
    b.finish().unwrap()
}

fn check(k: &Kernel, sizes: &[[i64; 2]], rng: &mut Rng) {
    assert_eq!(k.to_string().parse::<Kernel>().as_ref(), Ok(k));
    let code = all_widths(k);
    for extents in sizes {
        for tame in [false, true] {
            rng.tame = tame;
            Case::new(k.clone(), extents, rng).check_with(&code, None);
        }
    }
}

const SIZES: [[i64; 2]; 10] =
    [[0, 3], [3, 0], [1, 1], [2, 65], [65, 2], [9, 300], [300, 9], [1, 2100], [130, 40], [40, 130]];

#[test]
fn softmax_is_one_kernel() {
    let mut rng = Rng::new(21);
    for d in [DType::F32, DType::F64] {
        for kinds in [[Parallel, Reduce], [Reduce, Parallel]] {
            check(&softmax(d, kinds, false), &SIZES, &mut rng);
        }
        check(&softmax(d, [Parallel, Reduce], true), &SIZES, &mut rng);
    }
}

#[test]
fn layernorm_has_three_results() {
    let mut rng = Rng::new(22);
    for d in [DType::F32, DType::F64] {
        for kinds in [[Parallel, Reduce], [Reduce, Parallel]] {
            check(&layernorm(d, kinds), &SIZES, &mut rng);
        }
    }
}

#[test]
fn a_whole_array_is_reduced_and_then_mapped() {
    let mut rng = Rng::new(23);
    let mut b = KernelBuilder::new("normalize", &[Reduce]);
    let x = b.input(DType::F64, &[Access::Unit]);
    let out = b.output(DType::F64, &[Access::Unit]);
    let v = b.load(x);
    let square = b.map(Op::Mul, &[v, v]);
    let sum = b.reduce(Combine::Sum, &[square]);
    let norm = b.map(Op::Sqrt, &[sum]);
    b.next_stage();
    let v = b.load(x);
    let y = b.map(Op::Div, &[v, norm]);
    b.store(out, y);
    let k = b.finish().unwrap();
    for n in [0, 1, 31, 33, 2049, 9000] {
        Case::new(k.clone(), &[n], &mut rng).check();
    }
}

const DTYPES: [DType; 6] = [DType::F64, DType::F32, DType::I32, DType::I64, DType::Bool, DType::U8];

/// A kernel that grows stage by stage.
struct Random<'r> {
    rng: &'r mut Rng,
    b: KernelBuilder,
    axes: &'static [AxisKind],
    /// The dtype of most values.
    d: DType,
    plain: bool,
    inputs: Vec<OperandId>,
    /// What is written per element: outputs, and scratch in row form. Declared before the body, as scratch comes last.
    elements: Vec<(OperandId, DType, Role)>,
    points: Vec<(OperandId, DType)>,
    /// What has been written per element by a stage that is done.
    stored: Vec<OperandId>,
    /// What does not change along the reduce axis, of the stages that are done.
    known: Vec<InstId>,
}

impl Random<'_> {
    fn dtype(&mut self) -> DType {
        // The last one has no form in wide vectors, and should not keep most kernels from them.
        let some = if self.rng.below(8) == 0 { &DTYPES[..] } else { &DTYPES[..5] };
        if self.plain { self.d } else { self.rng.pick(some) }
    }

    fn operands(&mut self) {
        let (rank, last) = (self.axes.len(), self.axes.len() - 1);
        let reduce = self.axes.iter().position(|a| *a == Reduce).unwrap();
        for _ in 0..1 + self.rng.below(3) {
            let mut access = vec![Access::Strided; rank];
            for a in &mut access {
                *a = self.rng.pick(&[Access::Strided, Access::Strided, Access::Zero]);
            }
            access[last] = self.rng.pick(&[Access::Unit, Access::Unit, Access::Strided, Access::Zero]);
            let d = self.dtype();
            self.inputs.push(self.b.input(d, &access));
        }
        for _ in 0..1 + self.rng.below(2) {
            let mut access = vec![Access::Strided; rank];
            access[last] = self.rng.pick(&[Access::Unit, Access::Unit, Access::Strided]);
            let d = self.dtype();
            self.elements.push((self.b.output(d, &access), d, Role::Out));
            access[reduce] = Access::Zero;
            let d = self.dtype();
            self.points.push((self.b.output(d, &access), d));
        }
        if reduce == last && self.rng.below(2) == 0 {
            let d = self.dtype();
            self.elements.push((self.b.scratch(d), d, Role::Scratch));
        }
    }

    /// Some ops on values at hand.
    fn grow(&mut self, values: &mut Vec<InstId>, n: usize) {
        for _ in 0..n {
            if self.rng.below(6) == 0 {
                values.push(self.b.constant(self.rng.scalar(self.d)));
            }
            for _ in 0..4 {
                let op = self.rng.pick(&OPS);
                let args: Vec<InstId> = (0..op.arity()).map(|_| self.rng.pick(values)).collect();
                let dtypes: Vec<DType> = args.iter().map(|a| self.b.dtype(*a)).collect();
                if op.result_dtype(&dtypes).is_some() {
                    values.push(self.b.map(op, &args));
                    break;
                }
            }
        }
    }

    /// What a stage computes per element, and what it writes then.
    fn element_part(&mut self, last: bool) -> Vec<InstId> {
        let mut values = self.known.clone();
        for _ in 0..2 {
            let x = self.rng.pick(&self.inputs);
            values.push(self.b.load(x));
        }
        if !self.stored.is_empty() {
            let x = self.rng.pick(&self.stored);
            values.push(self.b.load(x));
        }
        if !self.plain && self.rng.below(3) == 0 {
            values.push(self.b.index(self.rng.below(self.axes.len())));
        }
        let size = 1 + self.rng.below(6);
        self.grow(&mut values, size);
        for (o, d, role) in self.elements.clone() {
            let before = self.stored.contains(&o);
            let again = self.rng.below(3) == 0 && !(role == Role::Scratch && before);
            if again || (last && !before) {
                let v = self.rng.pick(&values);
                // Standing here it is above the reductions, even when it is a value of an earlier stage.
                let v = self.b.inst(d, InstKind::Cast(v));
                values.push(v);
                self.b.store(o, v);
                self.stored.push(o);
            }
        }
        values
    }

    /// Some reductions; what is known per point afterwards.
    fn reductions(&mut self, values: &[InstId], n: usize) -> Vec<InstId> {
        let axis = self.axes.iter().position(|a| *a == Reduce).unwrap();
        let mut reduced = self.known.clone();
        for _ in 0..n * 3 {
            let (c, v) = (self.rng.pick(&Combine::ALL), self.rng.pick(values));
            if reduced.len() == self.known.len() + n {
                break;
            } else if c.arity() == 2 && c.accepts(&[self.b.dtype(v), DType::I64]) {
                let i = self.b.index(axis);
                reduced.push(self.b.reduce(c, &[v, i]));
            } else if c.accepts(&[self.b.dtype(v)]) {
                reduced.push(self.b.reduce(c, &[v]));
            }
        }
        reduced
    }
}

const OPS: [Op; 12] = [
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Max,
    Op::Fma,
    Op::Lt,
    Op::Select,
    Op::Div,
    Op::Abs,
    Op::Floor,
    Op::Exp,
    Op::And,
];

const AXES: [&[AxisKind]; 5] = [
    &[Reduce],
    &[Parallel, Reduce],
    &[Reduce, Parallel],
    &[Parallel, Parallel, Reduce],
    &[Parallel, Reduce, Parallel],
];

/// A kernel of up to four stages. Each may use the per-point values of those before it and load what they stored.
fn random(rng: &mut Rng) -> Option<Kernel> {
    let axes = rng.pick(&AXES);
    let (d, plain, stages) = (rng.pick(&DTYPES), rng.below(2) == 0, 1 + rng.below(4));
    let b = KernelBuilder::new("random", axes);
    let (inputs, elements, points) = (Vec::new(), Vec::new(), Vec::new());
    let mut r = Random { rng, b, axes, d, plain, inputs, elements, points, stored: vec![], known: vec![] };
    r.operands();
    for s in 0..stages {
        if s > 0 {
            r.b.next_stage();
        }
        let values = r.element_part(s + 1 == stages);
        // The first and the last have to: so that there are any, and to have something to write per point.
        let wanted = if s == 0 || s + 1 == stages { 1 + r.rng.below(2) } else { r.rng.below(3) };
        let mut reduced = r.reductions(&values, wanted);
        if reduced.len() > r.known.len() {
            let size = r.rng.below(4);
            r.grow(&mut reduced, size);
        } else if wanted > 0 {
            return None;
        }
        r.known = reduced;
    }
    for (o, d) in r.points.clone() {
        let v = r.rng.pick(&r.known);
        let v = r.b.inst(d, InstKind::Cast(v));
        r.b.store(o, v);
    }
    Some(r.b.finish().unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn random_stages() {
    let mut rng = Rng::new(24);
    let mut run = 0;
    while run < 250 {
        rng.tame = false;
        let Some(k) = random(&mut rng) else { continue };
        assert_eq!(k.to_string().parse::<Kernel>().as_ref(), Ok(&k));
        let code = all_widths(&k);
        for _ in 0..2 {
            rng.tame = rng.below(2) == 0;
            let lengths = [0, 1, 2, 3, 5, 8, 9, 33, 70, 140];
            let extents: Vec<i64> = k.axes.iter().map(|_| rng.pick(&lengths)).collect();
            Case::new(k.clone(), &extents, &mut rng).check_with(&code, None);
        }
        run += 1;
    }
}
