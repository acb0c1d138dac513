//! Random programs with fixed seeds, on every engine, layout class and layout.
//!
//! Data are small integers and every step keeps them small, so that even float results are exact and compare bit for
//! bit whatever the order of a sum is.

mod common;

use common::*;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::verify::verify;
use matex_ir::tensor::{Builder, Func, Kind, ReduceOp, ScanOp, SliceAxis, UpdateAxis, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};
use matex_passes::{Options, run_pipeline};

struct Program {
    b: Builder,
    rng: Rng,
    /// Values of the program's dtype, by the region they were made in.
    values: Vec<ValueId>,
    dtype: DType,
}

impl Program {
    fn any(&mut self) -> ValueId {
        // Later values more often, so that programs are deep rather than wide.
        let n = self.values.len();
        let i = self.rng.below(n).max(self.rng.below(n));
        self.values[i]
    }

    fn like(&mut self, x: ValueId) -> ValueId {
        let shape = self.b.ty(x).shape.clone();
        let same: Vec<ValueId> =
            self.values.iter().copied().filter(|v| self.b.ty(*v).shape == shape).collect();
        same[self.rng.below(same.len())]
    }

    /// The value brought back to a small range, exactly.
    fn small(&mut self, x: ValueId) -> ValueId {
        let seven = self.b.scalar(Scalar::from_i128(self.dtype, 7));
        let shape = self.b.ty(x).shape.clone();
        let seven = self.b.broadcast(seven, shape, vec![]);
        self.b.map(Op::Rem, &[x, seven])
    }

    fn step(&mut self) -> ValueId {
        let x = self.any();
        let rank = self.b.ty(x).rank();
        match self.rng.below(13) {
            0..=2 => {
                let y = self.like(x);
                let op = [Op::Add, Op::Sub, Op::Mul, Op::Max, Op::Min][self.rng.below(5)];
                let z = self.b.map(op, &[x, y]);
                self.small(z)
            }
            3 => {
                let y = self.like(x);
                let c = self.b.map(Op::Lt, &[x, y]);
                self.b.map(Op::Select, &[c, x, y])
            }
            4 if rank > 0 => {
                let mut perm: Vec<usize> = (0..rank).collect();
                perm.rotate_left(self.rng.below(rank));
                self.b.permute(x, perm)
            }
            5 if rank > 0 => {
                let axes: Vec<usize> = (0..rank).filter(|_| self.rng.chance(50)).collect();
                let op = [ReduceOp::Sum, ReduceOp::Max][self.rng.below(2)];
                let y = self.b.reduce(op, x, axes);
                self.small(y)
            }
            6 if rank > 0 => {
                let axis = self.rng.below(rank);
                let y = self.b.scan([ScanOp::Sum, ScanOp::Min][self.rng.below(2)], x, axis);
                self.small(y)
            }
            7 if rank > 0 => self.slice(x),
            8 if rank > 0 => {
                let axis = self.rng.below(rank);
                let index = self.b.scalar(Scalar::from_i128(DType::I64, -(self.rng.below(2) as i128)));
                self.b.gather(x, index, axis)
            }
            9 if rank > 0 && rank < 3 => self.concat(x),
            10 if rank == 2 => {
                let z = self.b.dot(x, x, vec![], vec![(1, 1)]);
                self.small(z)
            }
            11 if rank > 1 => {
                let all = matex_ir::dim::product(&self.b.ty(x).shape.clone());
                self.b.reshape(x, vec![all])
            }
            12 if rank > 0 => self.update(x),
            _ => {
                let shape = self.b.ty(x).shape.clone();
                let mut wide = vec![Dim::size("n")];
                wide.extend(shape);
                if rank > 1 {
                    self.b.map(Op::Neg, &[x])
                } else {
                    self.b.broadcast(x, wide, (1..=rank).collect())
                }
            }
        }
    }

    fn concat(&mut self, x: ValueId) -> ValueId {
        let axis = self.rng.below(self.b.ty(x).rank());
        let y = self.like(x);
        self.b.concat(&[x, y, x], axis)
    }

    fn slice(&mut self, x: ValueId) -> ValueId {
        let shape = self.b.ty(x).shape.clone();
        let back = self.rng.chance(50);
        let axis = |d: &Dim| match back {
            true => SliceAxis { start: d - &Dim::ONE, step: -1 },
            false => SliceAxis { start: Dim::ZERO, step: 2 },
        };
        let axes = shape.iter().map(axis).collect();
        let lens = shape.iter().map(|d| if back { d.clone() } else { d.ceil_div(2) }).collect();
        self.b.slice(x, axes, lens)
    }

    fn update(&mut self, x: ValueId) -> ValueId {
        let shape = self.b.ty(x).shape.clone();
        let rank = shape.len();
        let mut lens = shape.clone();
        lens[0] = Dim::ONE;
        let whole = vec![SliceAxis { start: Dim::ZERO, step: 1 }; rank];
        let row = self.b.slice(x, whole.clone(), lens);
        let row = self.b.map(Op::Abs, &[row]);
        let mut axes: Vec<UpdateAxis> = whole.into_iter().map(UpdateAxis::Slice).collect();
        axes[0] = UpdateAxis::Index;
        let index = self.b.scalar(Scalar::from_i128(DType::I64, -1));
        self.b.update(x, row, &[index], axes)
    }

    /// A loop that carries two values of equal shape, or a branch over them.
    fn control(&mut self) -> ValueId {
        let x = self.any();
        let y = self.like(x);
        let ty = self.b.ty(x).clone();
        let outer = self.values.len();
        if self.rng.chance(50) {
            let zero = self.b.scalar(Scalar::from_i128(DType::I64, 0));
            let three = self.b.scalar(Scalar::from_i128(DType::I64, 3));
            let counter = matex_ir::tensor::TensorType::scalar(DType::I64);
            let (body, p) = self.b.begin_region(&[counter, ty.clone(), ty]);
            self.values.extend([p[1], p[2]]);
            for _ in 0..3 {
                let v = self.step();
                self.values.push(v);
            }
            let updated = if self.b.ty(p[1]).rank() > 0 { self.update(p[1]) } else { p[1] };
            let next = self.like(p[1]);
            self.b.end_region(vec![next, updated]);
            self.values.truncate(outer);
            let out = self.b.control(Kind::For(body), vec![zero, three, x, y]);
            let second = self.b.proj(out, 1);
            self.values.push(second);
            return self.b.proj(out, 0);
        }
        let flag = self.b.scalar(Scalar::from_i128(DType::Bool, self.rng.below(2) as i128));
        let mut regions = Vec::new();
        for _ in 0..2 {
            let (region, _) = self.b.begin_region(&[]);
            for _ in 0..2 {
                let v = self.step();
                self.values.push(v);
            }
            let result = self.like(x);
            self.b.end_region(vec![result]);
            self.values.truncate(outer);
            regions.push(region);
        }
        let out = self.b.control(Kind::If(regions[0], regions[1]), vec![flag]);
        self.b.proj(out, 0)
    }
}

fn program(seed: u64) -> (Func, DType) {
    let mut rng = Rng(seed.wrapping_mul(77).wrapping_add(5));
    let dtype = [DType::F64, DType::F32, DType::I32, DType::F16, DType::I64, DType::BF16][rng.below(6)];
    let params = vec![param("x", dtype, &["n", "m"]), param("y", dtype, &["m"]), param("z", dtype, &[])];
    let (b, values) = builder(params);
    let mut p = Program { b, rng, values, dtype };
    for _ in 0..3 + p.rng.below(8) {
        let v = if p.rng.chance(20) { p.control() } else { p.step() };
        p.values.push(v);
    }
    let n = p.values.len();
    let results = vec![p.values[n - 1], p.values[n - 2]];
    (finish(p.b, results), dtype)
}

#[test]
fn random_programs_agree() {
    for seed in 0..300 {
        let (func, dtype) = program(seed);
        assert_eq!(verify(&func), [], "seed {seed}");
        let canonical = run_pipeline(&func, &Options::plain(), |_, _| {});
        assert_eq!(verify(&canonical), [], "seed {seed}\n{func}\n{canonical}");
        let again = run_pipeline(&canonical, &Options::plain(), |_, _| {});
        assert_eq!(again.to_string(), canonical.to_string(), "seed {seed}");
        let optimized = run_pipeline(&func, &Options::default(), |_, _| {});
        assert_eq!(verify(&optimized), [], "seed {seed}\n{func}\n{optimized}");
        let exes = executables(&func);
        let mut rng = Rng(seed);
        for [n, m] in [[2, 3], [1, 1], [3, 1], [1, 4], [0, 2]] {
            let args: Vec<Array> =
                [vec![n, m], vec![m], vec![]].iter().map(|s| small_ints(&mut rng, dtype, s)).collect();
            // Places in empty axes and a maximum of nothing are ruled out by guards that programs of the language have.
            if run(&func, &args, &RunLimits::default()).is_ok() {
                check_all(&exes, &func, &args, 1e-9);
            }
        }
    }
}
