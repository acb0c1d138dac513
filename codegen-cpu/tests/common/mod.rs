//! Running one kernel on both engines: the interpreter of loop IR and compiled code.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of this")]

use matex_codegen_cpu::abi::Args;
use matex_codegen_cpu::{Compiled, Emitter, Simd, compile_for};
use matex_ir::loops::interp::{Base, KernelArgs, run};
use matex_ir::loops::{Access, Kernel, Role, Status};
use matex_ir::{DType, Scalar};

/// A seeded generator (splitmix64), so that every run sees the same cases.
pub struct Rng {
    state: u64,
    /// Whether floats are ordinary values, so that rounding shows. Otherwise there are NaN and infinities, which hide it.
    pub tame: bool,
}

impl Rng {
    pub fn new(state: u64) -> Rng {
        Rng { state, tame: false }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A value of a dtype: special ones, small ones and arbitrary bits.
    pub fn scalar(&mut self, d: DType) -> Scalar {
        const SPECIAL: [f64; 20] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.0,
            -2.0,
            3.7,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1e-310,
            -1e-40,
            6e-8,
            1e300,
            127.5,
            -128.0,
            255.0,
            2147483647.0,
            1e19,
        ];
        if self.tame && d.is_float() {
            return Scalar::from_f64(d, (self.next() >> 11) as f64 / (1u64 << 53) as f64 + 0.5);
        }
        match self.below(4) {
            0 => Scalar::from_f64(d, self.pick(&SPECIAL)),
            1 if d != DType::Bool => Scalar::from_bits(d, self.next()),
            2 if d.is_int() => {
                let edges = [0, 1, -1, 2, i128::from(i64::MIN), i128::from(i64::MAX), -128, 127, -32768];
                Scalar::from_i128(d, self.pick(&edges))
            }
            _ if d.is_float() => Scalar::from_f64(d, (self.next() >> 11) as f64 / (1u64 << 50) as f64 - 4.0),
            _ => Scalar::from_i128(d, i128::from(self.next() % 17) - 8),
        }
    }
}

/// How an operand lies along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lay {
    Zero,
    Unit,
    Every(i64),
}

/// A kernel with its arguments and memory.
pub struct Case {
    pub kernel: Kernel,
    pub extents: Vec<i64>,
    /// Strides in elements by operand and axis, then pairs of extent and stride for gathers, operand by operand.
    pub strides: Vec<Vec<i64>>,
    pub gathers: Vec<(i64, i64)>,
    pub memory: Vec<Vec<u8>>,
    pub bases: Vec<usize>,
}

impl Case {
    /// Lays operands out densely in row-major order over the axes along which they move; `wild` ones get a larger or
    /// negative step along the axes whose class is strided.
    pub fn new(kernel: Kernel, extents: &[i64], rng: &mut Rng) -> Case {
        let (mut strides, mut memory, mut bases) = (Vec::new(), Vec::new(), Vec::new());
        let mut gathers = Vec::new();
        for o in &kernel.operands {
            let mut step = vec![0i64; extents.len()];
            let mut span = 1i64;
            let mut low = 0i64;
            for a in (0..extents.len()).rev() {
                if o.access[a] == Access::Zero {
                    continue;
                }
                let factor = if o.access[a] == Access::Unit { 1 } else { rng.pick(&[1, 2, -1, -3]) };
                step[a] = if o.access[a] == Access::Unit { 1 } else { span * factor };
                if step[a] < 0 {
                    low += step[a] * (extents[a] - 1).max(0);
                }
                span *= extents[a].max(1) * factor.abs();
            }
            for _ in 0..o.gathers {
                gathers.push((5, span));
                span *= 5;
            }
            let size = o.dtype.size();
            // A few bytes on either side, so that a stray write shows.
            let pad = 3;
            let total = (span + 2 * pad) as usize;
            let bytes: Vec<u8> =
                (0..total).flat_map(|_| rng.scalar(o.dtype).bits().to_le_bytes()[..size].to_vec()).collect();
            bases.push((pad - low) as usize * size);
            memory.push(bytes);
            strides.push(step);
        }
        Case { kernel, extents: extents.to_vec(), strides, gathers, memory, bases }
    }

    pub fn words(&self) -> Vec<i64> {
        let mut words = Vec::new();
        for (o, s) in self.kernel.operands.iter().zip(&self.strides) {
            words.extend(s.iter().map(|s| s * o.dtype.size() as i64));
        }
        let mut g = self.gathers.iter();
        for o in &self.kernel.operands {
            for _ in 0..o.gathers {
                let (extent, stride) = g.next().unwrap();
                words.extend([*extent, stride * o.dtype.size() as i64]);
            }
        }
        words
    }

    pub fn interpret(&self, range: Option<std::ops::Range<i64>>) -> (Status, Vec<Vec<u8>>) {
        let mut memory = self.memory.clone();
        let args = KernelArgs {
            bases: self.bases.iter().enumerate().map(|(buffer, b)| Base { buffer, offset: *b }).collect(),
            extents: self.extents.clone(),
            strides: self.words(),
            range,
        };
        let mut slices: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
        let status = run(&self.kernel, &args, &mut slices).unwrap_or_else(|e| panic!("{e}\n{}", self.kernel));
        (status, memory)
    }

    pub fn execute(&self, code: &Compiled, range: Option<std::ops::Range<i64>>) -> (Status, Vec<Vec<u8>>) {
        let mut memory = self.memory.clone();
        let words = self.words();
        let data: Vec<*mut u8> =
            memory.iter_mut().zip(&self.bases).map(|(m, b)| m.as_mut_ptr().wrapping_add(*b)).collect();
        let args = Args { data: data.as_ptr(), extents: self.extents.as_ptr(), strides: words.as_ptr() };
        let all = 0..self.kernel.range_axis().map_or(1, |a| self.extents[a]);
        let range = range.unwrap_or(all);
        // SAFETY: the interpreter runs the same case with bounds checks before.
        let status = unsafe { code.call(&args, range.start, range.end) };
        (status, memory)
    }

    /// Asserts that machine code at every width writes the bytes that the interpreter writes, but for the bits of NaN.
    pub fn check(&self) {
        self.check_with(&all_widths(&self.kernel), None);
    }

    pub fn check_with(&self, codes: &[Compiled], range: Option<std::ops::Range<i64>>) {
        let want = self.interpret(range.clone());
        for code in codes {
            self.compare(code, range.clone(), &want);
        }
    }

    fn compare(&self, code: &Compiled, range: Option<std::ops::Range<i64>>, want: &(Status, Vec<Vec<u8>>)) {
        let (want_status, want) = want;
        let (got_status, got) = self.execute(code, range);
        assert_eq!(got_status, *want_status, "{} {}{:?}", code.emitter(), self.kernel, self.extents);
        for (o, operand) in self.kernel.operands.iter().enumerate() {
            if want[o] == got[o] {
                continue;
            }
            assert_ne!(operand.role, Role::In, "an input was written");
            let size = operand.dtype.size();
            for (i, (w, g)) in want[o].chunks(size).zip(got[o].chunks(size)).enumerate() {
                let (w, g) = (read(operand.dtype, w), read(operand.dtype, g));
                assert!(
                    same(w, g),
                    "{} operand ${o}, element {i}: want {w:?} ({:#x}), got {g:?} ({:#x})\n{}extents {:?} strides {:?}",
                    code.emitter(),
                    w.bits(),
                    g.bits(),
                    self.kernel,
                    self.extents,
                    self.strides,
                );
            }
        }
    }
}

/// The kernel at every width that this CPU has and that makes a difference.
pub fn all_widths(k: &Kernel) -> Vec<Compiled> {
    let mut all: Vec<Compiled> = Vec::new();
    for simd in [Simd::W128, Simd::W256, Simd::W512] {
        if simd.here() != simd {
            continue;
        }
        let code = compile_for(k, simd).unwrap_or_else(|e| panic!("{e}\n{k}"));
        if simd == Simd::W128 || code.emitter() != Emitter::Cranelift {
            all.push(code);
        }
    }
    all
}

pub fn read(d: DType, bytes: &[u8]) -> Scalar {
    let mut word = [0u8; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Scalar::from_bits(d, u64::from_le_bytes(word))
}

fn same(a: Scalar, b: Scalar) -> bool {
    a == b || (a.dtype().is_float() && a.to_f64().is_nan() && b.to_f64().is_nan())
}
