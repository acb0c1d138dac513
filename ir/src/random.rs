//! The random bits of the language, as nodes of the tensor IR.
//!
//! Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11)
//! turns a key of two words and a counter of two words into two random words. The counter of an element is its index,
//! so that every element is computed by itself, in any order and on any device, from additions, shifts and exclusive
//! ors of u32, which every engine carries out alike.

use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::tensor::{Builder, ValueId};

/// How far the second word is rotated in each round of eight.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];

/// The constant of the key schedule that keeps a key of zeros from being a fixed point.
const PARITY: u32 = 0x1bd1_1bda;

/// The two random words for a key and a counter, all of them u32 tensors of one shape.
pub fn threefry(b: &mut Builder, key: [ValueId; 2], counter: [ValueId; 2]) -> [ValueId; 2] {
    let mixed = b.map(Op::Xor, &key);
    let parity = word(b, PARITY, mixed);
    let schedule = [key[0], key[1], b.map(Op::Xor, &[mixed, parity])];
    let mut x = [0, 1].map(|i| b.map(Op::Add, &[counter[i], key[i]]));
    for round in 0..20 {
        let by = ROTATIONS[round % 8];
        x[0] = b.map(Op::Add, &x);
        x[1] = rotated(b, x[1], by);
        x[1] = b.map(Op::Xor, &[x[1], x[0]]);
        if round % 4 == 3 {
            let step = round / 4 + 1;
            x[0] = b.map(Op::Add, &[x[0], schedule[step % 3]]);
            let count = word(b, step as u32, x[1]);
            let second = b.map(Op::Add, &[schedule[(step + 1) % 3], count]);
            x[1] = b.map(Op::Add, &[x[1], second]);
        }
    }
    x
}

fn rotated(b: &mut Builder, x: ValueId, by: u32) -> ValueId {
    let (left, right) = (word(b, by, x), word(b, 32 - by, x));
    let high = b.map(Op::Shl, &[x, left]);
    let low = b.map(Op::Shr, &[x, right]);
    b.map(Op::Or, &[high, low])
}

/// A constant repeated to the shape of a value.
fn word(b: &mut Builder, value: u32, like: ValueId) -> ValueId {
    let shape = b.ty(like).shape.clone();
    let scalar = b.scalar(Scalar::from_i128(DType::U32, value.into()));
    b.broadcast(scalar, shape, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::interp::{RunLimits, run};

    fn words(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
        let mut b = Builder::new("f", Vec::new());
        let mut constant = |v: u32| b.scalar(Scalar::from_i128(DType::U32, v.into()));
        let (key, counter) = (key.map(&mut constant), counter.map(&mut constant));
        let out = threefry(&mut b, key, counter);
        let func = b.finish(out.to_vec(), vec![None, None]);
        let results = run(&func, &[], &RunLimits::default()).unwrap();
        [0, 1].map(|i: usize| results[i].as_scalar().unwrap().to_i128() as u32)
    }

    /// The vectors that come with the authors' Random123 library.
    #[test]
    fn published_vectors() {
        assert_eq!(words([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(words([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        let pi = words([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(pi, [0xc492_3a9c, 0x483d_f7a0]);
    }
}
