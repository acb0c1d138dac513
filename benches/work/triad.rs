//! What the machine moves where the rows of a table have their memory: the triad of STREAM over as many elements, with stores
//! that fill the caches and with such that go past them.

use super::{Float, Rows, uniform};
use std::hint::black_box;

/// A type whose triad can be stored past the caches.
pub(super) trait PastCaches: Sized {
    /// `to = a + 3 b`.
    fn triad(to: &mut [Self], a: &[Self], b: &[Self]);
}

macro_rules! past_caches {
    ($t:ident, $lanes:literal, $set:ident $load:ident $add:ident $mul:ident $stream:ident) => {
        impl PastCaches for $t {
            #[cfg(target_arch = "x86_64")]
            fn triad(to: &mut [$t], a: &[$t], b: &[$t]) {
                use std::arch::x86_64::*;
                assert!(to.len() <= a.len() && to.len() <= b.len());
                // The allocator gives long arrays such an address; another one would be measured with plain stores.
                if !to.as_ptr().addr().is_multiple_of(16) {
                    return plain(to, a, b);
                }
                let whole = to.len() / $lanes * $lanes;
                for i in (0..whole).step_by($lanes) {
                    // SAFETY: every x86-64 has SSE2; `i + lanes` is within all three, and `to` is aligned to 16 bytes.
                    unsafe {
                        let (x, y) = ($load(a.as_ptr().add(i)), $load(b.as_ptr().add(i)));
                        $stream(to.as_mut_ptr().add(i), $add(x, $mul($set(3.0), y)));
                    }
                }
                // SAFETY: it orders the stores before whatever follows, and touches no memory.
                unsafe { _mm_sfence() };
                plain(&mut to[whole..], &a[whole..], &b[whole..]);
            }

            #[cfg(not(target_arch = "x86_64"))]
            fn triad(to: &mut [$t], a: &[$t], b: &[$t]) {
                plain(to, a, b);
            }
        }
    };
}

past_caches!(f32, 4, _mm_set1_ps _mm_loadu_ps _mm_add_ps _mm_mul_ps _mm_stream_ps);
past_caches!(f64, 2, _mm_set1_pd _mm_loadu_pd _mm_add_pd _mm_mul_pd _mm_stream_pd);

fn plain<T: Copy + From<u8> + std::ops::Add<Output = T> + std::ops::Mul<Output = T>>(
    to: &mut [T],
    a: &[T],
    b: &[T],
) {
    let scale = T::from(3);
    to.iter_mut().zip(a).zip(b).for_each(|((o, x), y)| *o = *x + scale * *y);
}

/// Gigabytes in a second of both, and of the faster one.
pub(super) fn all<T: Float + From<u8>>(on: Rows<'_>, n: usize) {
    let (a, b): (Vec<T>, Vec<T>) = (uniform(n, 1, (0.0, 1.0)), uniform(n, 2, (0.0, 1.0)));
    let (mut to, mut other) = (vec![T::zero(); n], vec![T::zero(); n]);
    let times = on.bench.fastest(&mut [
        &mut || {
            plain(&mut to, &a, &b);
            black_box(&mut to);
        },
        &mut || {
            T::triad(&mut other, &a, &b);
            black_box(&mut other);
        },
    ]);
    let rate = |ns: f64| (3 * n * size_of::<T>()) as f64 / ns;
    let (kept, past) = (rate(times[0]), rate(times[1]));
    let figures = [("plain", kept), ("non-temporal", past), ("GB/s", kept.max(past))];
    on.bench.line("limit", &format!("{} {}", on.work.name, T::DTYPE), &figures);
}
