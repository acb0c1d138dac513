//! The ops of the table, on scalars and vectors alike.

use super::Emitter;
use super::libcalls;
use super::memory::lanes_in_order;
use super::types::Width;
use crate::walk::Reduction;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types as ct};
use matex_ir::loops::Combine;
use matex_ir::{DType, Op, Scalar};

impl Emitter<'_, '_> {
    /// One op. `d` is the dtype of the operands (of the last two for `select`).
    #[expect(clippy::too_many_lines, reason = "an exhaustive match over the op table")]
    pub(super) fn map(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Value {
        let float = d.is_float();
        match op {
            Op::Add if float => self.b.ins().fadd(a[0], a[1]),
            Op::Add => self.b.ins().iadd(a[0], a[1]),
            Op::Sub if float => self.b.ins().fsub(a[0], a[1]),
            Op::Sub => self.b.ins().isub(a[0], a[1]),
            Op::Mul if float => self.b.ins().fmul(a[0], a[1]),
            Op::Mul => self.b.ins().imul(a[0], a[1]),
            Op::Div => self.b.ins().fdiv(a[0], a[1]),
            Op::Neg if float => self.b.ins().fneg(a[0]),
            Op::Neg => self.b.ins().ineg(a[0]),
            Op::Abs if float => self.b.ins().fabs(a[0]),
            Op::Abs if d.is_signed_int() => self.b.ins().iabs(a[0]),
            Op::Abs => a[0],
            Op::Sign if float => self.float_sign(d, a[0], w),
            Op::Sign => self.int_sign(d, a[0], w),
            Op::Max | Op::Min if float => self.float_extreme(op, d, a, w),
            Op::Max | Op::Min => self.int_extreme(op, d, a, w),
            Op::Fma if float => self.b.ins().fma(a[0], a[1], a[2]),
            Op::Fma => {
                let p = self.b.ins().imul(a[0], a[1]);
                self.b.ins().iadd(p, a[2])
            }
            Op::Sqrt => self.b.ins().sqrt(a[0]),
            Op::Rsqrt => self.rsqrt(d, a[0], w),
            Op::Floor => self.b.ins().floor(a[0]),
            Op::Ceil => self.b.ins().ceil(a[0]),
            Op::Trunc => self.b.ins().trunc(a[0]),
            Op::Round => self.b.ins().nearest(a[0]),
            Op::Copysign => self.copysign(d, a, w),
            Op::SignBit => self.sign_bit(d, a[0], w),
            Op::IsNan => self.float_test(FloatCC::Unordered, a[0], a[0], w),
            Op::IsInf | Op::IsFinite => {
                let magnitude = self.b.ins().fabs(a[0]);
                let inf = self.constant(Scalar::from_f64(d, f64::INFINITY), w);
                let cc = if op == Op::IsInf { FloatCC::Equal } else { FloatCC::LessThan };
                self.float_test(cc, magnitude, inf, w)
            }
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => self.compare(op, d, a, w),
            Op::And => self.b.ins().band(a[0], a[1]),
            Op::Or => self.b.ins().bor(a[0], a[1]),
            Op::Xor => self.b.ins().bxor(a[0], a[1]),
            Op::Not if d == DType::Bool && !w.masks() => {
                let one = self.constant(Scalar::from_bits(d, 1), w);
                self.b.ins().bxor(a[0], one)
            }
            Op::Not => self.b.ins().bnot(a[0]),
            Op::Shl | Op::Shr => self.shift(op, d, a, w),
            Op::Select => self.select(d, a, w),
            Op::FloorDiv | Op::Rem | Op::Fmod | Op::Pow if !float => self.int_divide(op, d, a),
            Op::Nextafter if d == DType::F32 => self.call(libcalls::NEXTAFTER_F32, ct::F32, a),
            Op::FloorDiv
            | Op::Rem
            | Op::Fmod
            | Op::Pow
            | Op::Cbrt
            | Op::Exp
            | Op::Exp2
            | Op::Expm1
            | Op::Log
            | Op::Log2
            | Op::Log10
            | Op::Log1p
            | Op::Sin
            | Op::Cos
            | Op::Tan
            | Op::Asin
            | Op::Acos
            | Op::Atan
            | Op::Atan2
            | Op::Sinh
            | Op::Cosh
            | Op::Tanh
            | Op::Asinh
            | Op::Acosh
            | Op::Atanh
            | Op::Hypot
            | Op::LogAddExp
            | Op::Erf
            | Op::Erfc
            | Op::Lgamma
            | Op::Sigmoid
            | Op::Softplus
            | Op::Gelu
            | Op::Nextafter => self.float_call(op, d, a),
        }
    }

    /// Cranelift's own sequence for vectors on x86-64 is nine dependent instructions. The machine's min and max give
    /// the second operand when the two are zeros or one is NaN, so that taking them in both orders leaves both
    /// candidates, which bitwise ops join: a NaN or'ed with anything is NaN, and zeros join by their signs.
    fn float_extreme(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Value {
        let max = op == Op::Max;
        if !w.is_vector() || !cfg!(target_arch = "x86_64") {
            return if max { self.b.ins().fmax(a[0], a[1]) } else { self.b.ins().fmin(a[0], a[1]) };
        }
        let ty = w.int_ty(d);
        let [one, other] = [[a[0], a[1]], [a[1], a[0]]].map(|[x, y]| {
            // `x < y ? x : y` and `y < x ? x : y` are the machine's instructions.
            let first = if max {
                self.b.ins().fcmp(FloatCC::LessThan, y, x)
            } else {
                self.b.ins().fcmp(FloatCC::LessThan, x, y)
            };
            let r = self.select(d, &[first, x, y], w);
            self.bitcast(r, ty)
        });
        let joined = if max {
            let both = self.b.ins().band(one, other);
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a[0], a[1]);
            self.b.ins().bor(both, nan)
        } else {
            self.b.ins().bor(one, other)
        };
        self.bitcast(joined, w.ty(d))
    }

    /// A call of the op's meaning over `f64`, with one rounding to `f32` where that is the dtype.
    pub(super) fn float_call(&mut self, op: Op, d: DType, a: &[Value]) -> Value {
        let Some(name) = libcalls::symbol(op) else {
            self.failed.get_or_insert_with(|| format!("{} has no code", op.name()));
            return a[0];
        };
        if d == DType::F64 {
            return self.call(name, ct::F64, a);
        }
        let wide: Vec<Value> = a.iter().map(|v| self.b.ins().fpromote(ct::F64, *v)).collect();
        let r = self.call(name, ct::F64, &wide);
        self.b.ins().fdemote(ct::F32, r)
    }

    fn rsqrt(&mut self, d: DType, x: Value, w: Width) -> Value {
        // In f32 this is the f64 expression, rounded once.
        let x = if d == DType::F32 { self.b.ins().fpromote(ct::F64, x) } else { x };
        let root = self.b.ins().sqrt(x);
        let one = self.constant(Scalar::from_f64(DType::F64, 1.0), w);
        let r = self.b.ins().fdiv(one, root);
        if d == DType::F32 { self.b.ins().fdemote(ct::F32, r) } else { r }
    }

    fn float_sign(&mut self, d: DType, x: Value, w: Width) -> Value {
        let [zero, one, minus] = [0.0, 1.0, -1.0].map(|v| self.constant(Scalar::from_f64(d, v), w));
        let is_zero = self.float_test(FloatCC::Equal, x, zero, w);
        let negative = self.float_test(FloatCC::LessThan, x, zero, w);
        let positive = self.float_test(FloatCC::GreaterThan, x, zero, w);
        let r = self.select(d, &[is_zero, zero, x], w);
        let r = self.select(d, &[negative, minus, r], w);
        self.select(d, &[positive, one, r], w)
    }

    fn copysign(&mut self, d: DType, a: &[Value], w: Width) -> Value {
        if !w.is_vector() {
            return self.b.ins().fcopysign(a[0], a[1]);
        }
        let ty = w.int_ty(d);
        let sign = self.constant(Scalar::from_bits(int_of(d), 1 << (d.bits() - 1)), w);
        let (x, y) = (self.bitcast(a[0], ty), self.bitcast(a[1], ty));
        let r = self.b.ins().bitselect(sign, y, x);
        self.bitcast(r, w.ty(d))
    }

    fn sign_bit(&mut self, d: DType, x: Value, w: Width) -> Value {
        let bits = self.bitcast(x, w.int_ty(d));
        let zero = self.constant(Scalar::from_bits(int_of(d), 0), w);
        self.int_test(IntCC::SignedLessThan, bits, zero, w)
    }

    /// A comparison of floats as a truth value.
    pub(super) fn float_test(&mut self, cc: FloatCC, a: Value, b: Value, w: Width) -> Value {
        let t = self.b.ins().fcmp(cc, a, b);
        self.truth(t, w)
    }

    /// A comparison of integers as a truth value.
    pub(super) fn int_test(&mut self, cc: IntCC, a: Value, b: Value, w: Width) -> Value {
        let t = self.b.ins().icmp(cc, a, b);
        self.truth(t, w)
    }

    /// Comparisons of bytes give masks too, where truth values are 0 or 1.
    fn truth(&mut self, t: Value, w: Width) -> Value {
        if w == Width::Vector(1) {
            let one = self.constant(Scalar::from_bits(DType::U8, 1), w);
            return self.b.ins().band(t, one);
        }
        t
    }

    fn compare(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Value {
        if d.is_float() {
            return self.float_test(float_cc(op), a[0], a[1], w);
        }
        // Masks compare as integers: all ones is -1 when signed, but the largest when unsigned, above 0 as true is.
        self.int_test(int_cc(op, d.is_signed_int()), a[0], a[1], w)
    }

    /// `a[0] ? a[1] : a[2]`.
    pub(super) fn select(&mut self, d: DType, a: &[Value], w: Width) -> Value {
        if !w.is_vector() {
            return self.b.ins().select(a[0], a[1], a[2]);
        }
        let mask = if w.masks() { a[0] } else { self.b.ins().ineg(a[0]) };
        let mask = self.bitcast(mask, w.ty(d));
        self.b.ins().bitselect(mask, a[1], a[2])
    }

    /// The bits as another type of the same size.
    pub(super) fn bitcast(&mut self, v: Value, ty: Type) -> Value {
        let from = self.b.func.dfg.value_type(v);
        if from == ty { v } else { self.b.ins().bitcast(ty, lanes_in_order(), v) }
    }

    /// One step of `argmax` or `argmin`: whether the first state stays. NaN is above all, and the lower index wins
    /// among equals.
    pub(super) fn arg_step(&mut self, r: &Reduction, a: &[Value], b: &[Value]) -> Vec<Value> {
        let (d, w) = (r.dtypes[0], Width::Scalar);
        let better = if r.combine == Combine::ArgMax { Op::Gt } else { Op::Lt };
        let lower = self.b.ins().icmp(IntCC::SignedLessThan, a[1], b[1]);
        let equal = self.compare(Op::Eq, d, &[a[0], b[0]], w);
        let tie = self.b.ins().band(equal, lower);
        let wins = self.compare(better, d, &[a[0], b[0]], w);
        let mut first = self.b.ins().bor(wins, tie);
        if d.is_float() {
            let number = self.b.ins().fcmp(FloatCC::Ordered, b[0], b[0]);
            let before = self.b.ins().bor(number, lower);
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a[0], a[0]);
            let nan_first = self.b.ins().band(nan, before);
            first = self.b.ins().bor(first, nan_first);
        }
        let value = self.b.ins().select(first, a[0], b[0]);
        vec![value, self.b.ins().select(first, a[1], b[1])]
    }
}

/// The integer dtype of a float's width.
pub(super) fn int_of(d: DType) -> DType {
    match d.size() {
        8 => DType::I64,
        4 => DType::I32,
        2 => DType::I16,
        _ => DType::I8,
    }
}

/// The condition of a comparison op; equality for anything else.
fn float_cc(op: Op) -> FloatCC {
    let table = [
        (Op::Ne, FloatCC::NotEqual),
        (Op::Lt, FloatCC::LessThan),
        (Op::Le, FloatCC::LessThanOrEqual),
        (Op::Gt, FloatCC::GreaterThan),
        (Op::Ge, FloatCC::GreaterThanOrEqual),
    ];
    table.into_iter().find(|(o, _)| *o == op).map_or(FloatCC::Equal, |(_, cc)| cc)
}

/// The condition of a comparison op; equality for anything else.
pub(super) fn int_cc(op: Op, signed: bool) -> IntCC {
    let table = [
        (Op::Ne, IntCC::NotEqual, IntCC::NotEqual),
        (Op::Lt, IntCC::SignedLessThan, IntCC::UnsignedLessThan),
        (Op::Le, IntCC::SignedLessThanOrEqual, IntCC::UnsignedLessThanOrEqual),
        (Op::Gt, IntCC::SignedGreaterThan, IntCC::UnsignedGreaterThan),
        (Op::Ge, IntCC::SignedGreaterThanOrEqual, IntCC::UnsignedGreaterThanOrEqual),
    ];
    let row = table.into_iter().find(|(o, ..)| *o == op);
    row.map_or(IntCC::Equal, |(_, s, u)| if signed { s } else { u })
}
