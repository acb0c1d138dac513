//! Functions that wide kernels call for what has no instruction, on the lanes of a vector in memory.
//!
//! They are the meanings of the op table, so that the bits are those of the interpreter. Each takes the result, two operands of
//! which an op may use the first only, a bit for each lane that is to be done, and the number of what is wanted.

use crate::abi::kernel_abi;
use crate::emit_clif::libcalls::{apply, pow_signed, pow_unsigned};
use matex_ir::ops::TABLE;
use matex_ir::{DType, Op, Scalar};

kernel_abi! {
    fn lanes_f64(out: &mut [f64; 8], args: &[[f64; 8]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = apply(op, &[args[0][i], args[1][i]][..op.arity()]))
    }
    fn lanes_f32(out: &mut [f32; 16], args: &[[f32; 16]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = narrow(op, args[0][i], args[1][i]))
    }
    fn lanes_i64(out: &mut [i64; 8], args: &[[i64; 8]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = signed(op, args[0][i], args[1][i]))
    }
    fn lanes_u64(out: &mut [u64; 8], args: &[[u64; 8]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = unsigned(op, args[0][i], args[1][i]))
    }
    fn lanes_i32(out: &mut [i32; 16], args: &[[i32; 16]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = signed(op, args[0][i].into(), args[1][i].into()) as i32)
    }
    fn lanes_u32(out: &mut [u32; 16], args: &[[u32; 16]; 2], lanes: u64, op: u64) -> u64 {
        each(lanes, op, |op, i| out[i] = unsigned(op, args[0][i].into(), args[1][i].into()) as u32)
    }
    fn lanes_cast(out: &mut [u8; 64], args: &[[u8; 64]; 2], lanes: u64, dtypes: u64) -> u64 {
        let count = DType::ALL.len();
        let dtype = |n: usize| DType::ALL.get(n).copied().unwrap_or(DType::Bool);
        let (from, to) = (dtype(dtypes as usize / count), dtype(dtypes as usize % count));
        for i in set(lanes) {
            let mut word = [0; 8];
            word[..from.size()].copy_from_slice(&args[0][i * from.size()..][..from.size()]);
            let value = Scalar::from_bits(from, u64::from_le_bytes(word)).cast(to);
            out[i * to.size()..][..to.size()].copy_from_slice(&value.bits().to_le_bytes()[..to.size()]);
        }
        0
    }
}

/// The function for ops on lanes of a dtype of 32 or 64 bits.
pub(crate) fn of_ops(d: DType) -> &'static str {
    match d {
        DType::F64 => "matex_lanes_f64",
        DType::F32 => "matex_lanes_f32",
        DType::U64 => "matex_lanes_u64",
        DType::U32 => "matex_lanes_u32",
        DType::I32 => "matex_lanes_i32",
        DType::I64
        | DType::F16
        | DType::BF16
        | DType::I8
        | DType::I16
        | DType::U8
        | DType::U16
        | DType::Bool => "matex_lanes_i64",
    }
}

/// The function for conversions between dtypes.
pub(crate) const OF_CASTS: &str = "matex_lanes_cast";

/// The number of a conversion.
pub(crate) fn cast_number(from: DType, to: DType) -> i32 {
    let place = |d: DType| DType::ALL.iter().position(|other| *other == d).unwrap_or_default();
    (place(from) * DType::ALL.len() + place(to)) as i32
}

/// The address of a function of this file.
pub(crate) fn address(name: &str) -> Option<*const u8> {
    let table: [(&str, *const u8); 7] = [
        ("matex_lanes_f64", lanes_f64 as *const u8),
        ("matex_lanes_f32", lanes_f32 as *const u8),
        ("matex_lanes_i64", lanes_i64 as *const u8),
        ("matex_lanes_u64", lanes_u64 as *const u8),
        ("matex_lanes_i32", lanes_i32 as *const u8),
        ("matex_lanes_u32", lanes_u32 as *const u8),
        (OF_CASTS, lanes_cast as *const u8),
    ];
    table.into_iter().find(|(n, _)| *n == name).map(|(_, f)| f)
}

/// The lanes whose bits are set.
fn set(lanes: u64) -> impl Iterator<Item = usize> {
    (0..16).filter(move |i| lanes >> i & 1 == 1)
}

fn each(lanes: u64, op: u64, mut f: impl FnMut(Op, usize)) -> u64 {
    if let Some(row) = TABLE.get(op as usize) {
        set(lanes).for_each(|i| f(row.op, i));
    }
    0
}

fn narrow(op: Op, x: f32, y: f32) -> f32 {
    if op == Op::Nextafter {
        return libm::nextafterf(x, y);
    }
    apply(op, &[f64::from(x), f64::from(y)][..op.arity()]) as f32
}

/// Integer ops wrap, and by zero they give 0.
fn signed(op: Op, x: i64, y: i64) -> i64 {
    if op == Op::Pow {
        return pow_signed(x, y);
    }
    if y == 0 {
        return 0;
    }
    let (q, m) = (x.wrapping_div(y), x.wrapping_rem(y));
    let down = m != 0 && (m < 0) != (y < 0);
    if op == Op::Fmod {
        m
    } else if op == Op::Rem {
        if down { m + y } else { m }
    } else {
        q - i64::from(down)
    }
}

fn unsigned(op: Op, x: u64, y: u64) -> u64 {
    if op == Op::Pow {
        return pow_unsigned(x as i64, y as i64) as u64;
    }
    if y == 0 {
        0
    } else if op == Op::FloorDiv {
        x / y
    } else {
        x % y
    }
}
