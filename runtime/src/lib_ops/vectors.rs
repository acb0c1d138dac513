//! Elements in vectors of whatever width the CPU has, for sums that are written once for both float types.

use pulp::{Simd, bytemuck};
use std::slice;

/// A float type, and the vectors of it under each instruction set.
pub(crate) trait Lanes: Copy {
    /// A vector.
    type Vector<S: Simd>: Copy;
    /// The same element in all lanes.
    fn splat<S: Simd>(simd: S, e: Self) -> Self::Vector<S>;
    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a * b`.
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a * b + c`, rounded once where the CPU can.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The sum of all lanes.
    fn sum<S: Simd>(simd: S, v: Self::Vector<S>) -> Self;
    /// The elements as vectors, and the ones left that are fewer than a vector.
    fn vectors<S: Simd>(from: &[Self]) -> (&[Self::Vector<S>], &[Self]);
    /// [`vectors`](Lanes::vectors) to write to.
    fn vectors_mut<S: Simd>(from: &mut [Self]) -> (&mut [Self::Vector<S>], &mut [Self]);
    /// The elements of a vector, which has to go through memory for that.
    fn elements<S: Simd>(v: &mut Self::Vector<S>) -> &mut [Self];
}

macro_rules! lanes {
    ($t:ident, $vector:ident, $splat:ident, $add:ident, $mul:ident, $mul_add:ident, $sum:ident, $split:ident, $split_mut:ident) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, e: $t) -> S::$vector {
                simd.$splat(e)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$mul(a, b)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, v: S::$vector) -> $t {
                simd.$sum(v)
            }
            #[inline(always)]
            fn vectors<S: Simd>(from: &[$t]) -> (&[S::$vector], &[$t]) {
                S::$split(from)
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(from: &mut [$t]) -> (&mut [S::$vector], &mut [$t]) {
                S::$split_mut(from)
            }
            #[inline(always)]
            fn elements<S: Simd>(v: &mut S::$vector) -> &mut [$t] {
                bytemuck::cast_slice_mut(slice::from_mut(v))
            }
        }
    };
}
lanes!(
    f32,
    f32s,
    splat_f32s,
    add_f32s,
    mul_f32s,
    mul_add_e_f32s,
    reduce_sum_f32s,
    as_simd_f32s,
    as_mut_simd_f32s
);
lanes!(
    f64,
    f64s,
    splat_f64s,
    add_f64s,
    mul_f64s,
    mul_add_e_f64s,
    reduce_sum_f64s,
    as_simd_f64s,
    as_mut_simd_f64s
);
