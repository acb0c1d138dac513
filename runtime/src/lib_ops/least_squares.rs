//! Least squares by a factorization with column pivoting, the same whichever library fills the table.
//!
//! A first solution is improved by one step of iterative refinement, whose residual is summed in twice the precision. It
//! costs a product and a solve, and gains digits on ill-conditioned data (Björck, "Numerical Methods for Least Squares
//! Problems", section 2.9).

use super::aligned::Aligned;
use super::dense::{Real, has_fused_multiply_add, largest, multiply, scale, subtract, wide};
use super::engine::{Failure, Routines, Triangle};
use super::pivoted::Pivoted;
use super::transpose::{flip, transpose, transpose_to};

/// A least-squares problem: `a: [rows, cols]`, `b: [rows, width]`, the part of the largest pivot under which one is zero, and the
/// part of its column's length up to which it is.
pub(super) struct LeastSquares<'a, T> {
    pub(super) a: &'a [T],
    pub(super) b: &'a [T],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) width: usize,
    pub(super) cut: f64,
    pub(super) rounding: f64,
}

/// What was found about the matrix of a least-squares problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    /// How many columns were used.
    pub(super) rank: usize,
    /// The largest pivot divided by the smallest one, cut ones included: about the condition number.
    pub(super) condition: f64,
}

/// Solves a problem into `x: [cols, width]`. Elements whose squares overflow or vanish are scaled, as LAPACK's gels does.
pub(super) fn solve<T: Real>(
    p: &LeastSquares<'_, T>,
    x: &mut [T],
    routines: &Routines<T>,
) -> Result<Fit, Failure> {
    let [of_a, of_b] = [p.a, p.b].map(|m| scale(largest(m)));
    if of_a == 1.0 && of_b == 1.0 {
        return solve_near_one(p, x, routines);
    }
    let [a, b] = [(p.a, of_a), (p.b, of_b)].map(|(m, by)| {
        let mut m = m.to_vec();
        multiply(&mut m, by);
        m
    });
    let fit = solve_near_one(&LeastSquares { a: &a, b: &b, ..*p }, x, routines)?;
    multiply(x, of_a / of_b);
    Ok(fit)
}

fn solve_near_one<T: Real>(
    p: &LeastSquares<'_, T>,
    x: &mut [T],
    routines: &Routines<T>,
) -> Result<Fit, Failure> {
    let factors = Pivoted::new(p.a, p.rows, p.cols)?;
    let pivots = &factors.pivots;
    let largest = pivots.first().copied().unwrap_or(0.0);
    // No column is longer than the first pivot.
    let rounded = |k: usize| {
        pivots[k] <= p.rounding * largest && pivots[k] <= p.rounding * factors.lengths[factors.order[k]]
    };
    let zero = |k: &usize| pivots[*k] == 0.0 || pivots[*k] < p.cut * largest || rounded(*k);
    let rank = (0..pivots.len()).find(zero).unwrap_or(pivots.len());
    let condition = if rank == 0 { f64::INFINITY } else { largest / pivots[pivots.len() - 1] };
    let need = factors.stride().checked_mul(p.width).ok_or(Failure::Memory)?;
    let mut right = Aligned::new(need).ok_or(Failure::Memory)?;
    transpose_to(p.b, p.width, &mut right, factors.stride());
    let mut found = unknowns(&factors, &mut right, rank, routines);
    residual(p, &found, &mut right, factors.stride());
    let correction = unknowns(&factors, &mut right, rank, routines);
    if correction.iter().all(|c| c.wide().is_finite()) {
        found.iter_mut().zip(correction).for_each(|(x, c)| *x = T::narrow(x.wide() + c.wide()));
    }
    transpose(&found, p.cols, x);
    Ok(Fit { rank, condition })
}

/// The unknowns of the leading `rank` columns for right-hand sides that are columns as long as those of the factors, and used up; by columns
/// too. Unknowns of other columns are zero.
fn unknowns<T: Real>(factors: &Pivoted<T>, right: &mut [T], rank: usize, routines: &Routines<T>) -> Vec<T> {
    /// From so many right-hand sides on a library is faster.
    const MANY: usize = 4;
    factors.apply(right);
    let (stride, cols) = (factors.stride(), factors.order.len());
    if right.len() < MANY * stride {
        right.chunks_exact_mut(stride).for_each(|column| substitute(factors, &mut column[..rank]));
    } else if rank > 0 {
        let mut triangle = vec![T::default(); rank * rank];
        for (k, to) in triangle.chunks_exact_mut(rank).enumerate() {
            to[..=k].copy_from_slice(factors.of_r(k));
        }
        let top: Vec<T> = right.chunks_exact(stride).flat_map(|column| &column[..rank]).copied().collect();
        let mut rows = vec![T::default(); top.len()];
        transpose(&top, rank, &mut rows);
        let triangle = Triangle { a: &triangle, n: rank, column_major: true, lower: false, unit: false };
        (routines.solve_triangular)(triangle, &mut rows);
        transpose_to(&rows, rows.len() / rank, right, stride);
    }
    let mut x = vec![T::default(); right.len() / stride * cols];
    for (x, column) in x.chunks_exact_mut(cols).zip(right.chunks_exact(stride)) {
        factors.order.iter().zip(&column[..rank]).for_each(|(unknown, v)| x[*unknown] = *v);
    }
    x
}

/// Solves with the leading triangle of r in place of as many elements.
fn substitute<T: Real>(factors: &Pivoted<T>, v: &mut [T]) {
    wide(
        #[inline(always)]
        || {
            for k in (0..v.len()).rev() {
                let column = factors.of_r(k);
                v[k] = v[k] / column[k];
                let known = v[k];
                subtract(&mut v[..k], known, &column[..k]);
            }
        },
    );
}

/// How many sums run side by side: those of a row, and then those of as many rows.
const LANES: usize = 8;

/// A number for each sum.
type Lanes = [f64; LANES];

/// `b - a x` in columns that are `stride` elements apart, for `x` by columns, with exact products and compensated sums (Ogita, Rump and Oishi,
/// "Accurate sum and dot product").
fn residual<T: Real>(p: &LeastSquares<'_, T>, x: &[T], out: &mut [T], stride: usize) {
    let columns: Vec<T> = x.iter().map(|x| -*x).collect();
    let fused = has_fused_multiply_add();
    // Loops, and not the calls that they stand for: what a call is not inlined into is compiled for any CPU.
    wide(
        #[inline(always)]
        || {
            for (j, x) in columns.chunks_exact(p.cols).enumerate() {
                for begin in (0..p.rows).step_by(LANES) {
                    let end = p.rows.min(begin + LANES);
                    let a = &p.a[begin * p.cols..end * p.cols];
                    let mut all = Sums::ZERO;
                    for (i, row) in (begin..end).enumerate() {
                        all.sum[i] = p.b[row * p.width + j].wide();
                    }
                    if fused {
                        all.add_rows::<T, true>(a, x);
                    } else {
                        all.add_rows::<T, false>(a, x);
                    }
                    let out = &mut out[j * stride + begin..j * stride + end];
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = T::narrow(all.sum[i] + all.lost[i]);
                    }
                }
            }
            // What rounds columns up was used up.
            out.chunks_exact_mut(stride).for_each(|column| column[p.rows..].fill(T::default()));
        },
    );
}

/// Sums, and what was lost of them. They begin with a cache line, so that no store of a vector is split, by the end of a page even: a
/// stack begins at another place in each process.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Sums {
    sum: Lanes,
    lost: Lanes,
}

impl Sums {
    const ZERO: Sums = Sums { sum: [0.0; LANES], lost: [0.0; LANES] };

    /// Adds numbers of which that much was lost before.
    #[inline(always)]
    fn add(&mut self, v: Lanes, lost: Lanes) {
        for i in 0..LANES {
            let next = self.sum[i] + v[i];
            let part = next - self.sum[i];
            self.lost[i] += lost[i] + ((self.sum[i] - (next - part)) + (v[i] - part));
            self.sum[i] = next;
        }
    }

    /// Adds the products of as many elements.
    #[inline(always)]
    fn add_products<T: Real, const FUSED: bool>(&mut self, a: &[T; LANES], x: &[T; LANES]) {
        let (mut products, mut lost) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let (a, x) = (a[i].wide(), x[i].wide());
            products[i] = a * x;
            lost[i] = if FUSED { a.mul_add(x, -products[i]) } else { lost_of_product(a, x, products[i]) };
        }
        self.add(products, lost);
    }

    /// The sums of the products of elements of a row and a column of one length.
    #[inline(always)]
    fn of<T: Real, const FUSED: bool>(a: &[T], x: &[T]) -> Sums {
        let mut sums = Sums::ZERO;
        let ((a, a_rest), (x, x_rest)) = (a.as_chunks::<LANES>(), x.as_chunks::<LANES>());
        for (a, x) in a.iter().zip(x) {
            sums.add_products::<T, FUSED>(a, x);
        }
        if !a_rest.is_empty() {
            let (mut a, mut x) = ([T::default(); LANES], [T::default(); LANES]);
            a[..a_rest.len()].copy_from_slice(a_rest);
            x[..x_rest.len()].copy_from_slice(x_rest);
            sums.add_products::<T, FUSED>(&a, &x);
        }
        sums
    }

    /// Adds the products of some rows and a column, each to one sum.
    #[inline(always)]
    fn add_rows<T: Real, const FUSED: bool>(&mut self, a: &[T], x: &[T]) {
        let (mut sums, mut lost) = ([[0.0; LANES]; LANES], [[0.0; LANES]; LANES]);
        for (i, a) in a.chunks_exact(x.len()).enumerate() {
            let row = Sums::of::<T, FUSED>(a, x);
            (sums[i], lost[i]) = (row.sum, row.lost);
        }
        let (sums, lost) = (flip(sums), flip(lost));
        for i in 0..LANES {
            self.add(sums[i], lost[i]);
        }
    }
}

/// What rounding took from a product, on a CPU without a fused multiply-add: by halves of 26 bits, whose products are
/// exact (Dekker).
#[inline(always)]
fn lost_of_product(a: f64, x: f64, product: f64) -> f64 {
    #[inline(always)]
    fn split(v: f64) -> (f64, f64) {
        let big = v * 134_217_729.0;
        let high = big - (big - v);
        (high, v - high)
    }
    let ((a_high, a_low), (x_high, x_low)) = (split(a), split(x));
    a_low * x_low - (((product - a_high * x_high) - a_low * x_high) - a_high * x_low)
}

#[cfg(test)]
mod tests {
    use super::super::engine::LinalgEngine;
    use super::*;

    /// The Longley data of the NIST Statistical Reference Datasets: y, then six columns.
    const LONGLEY: [[f64; 7]; 16] = [
        [60323.0, 83.0, 234289.0, 2356.0, 1590.0, 107608.0, 1947.0],
        [61122.0, 88.5, 259426.0, 2325.0, 1456.0, 108632.0, 1948.0],
        [60171.0, 88.2, 258054.0, 3682.0, 1616.0, 109773.0, 1949.0],
        [61187.0, 89.5, 284599.0, 3351.0, 1650.0, 110929.0, 1950.0],
        [63221.0, 96.2, 328975.0, 2099.0, 3099.0, 112075.0, 1951.0],
        [63639.0, 98.1, 346999.0, 1932.0, 3594.0, 113270.0, 1952.0],
        [64989.0, 99.0, 365385.0, 1870.0, 3547.0, 115094.0, 1953.0],
        [63761.0, 100.0, 363112.0, 3578.0, 3350.0, 116219.0, 1954.0],
        [66019.0, 101.2, 397469.0, 2904.0, 3048.0, 117388.0, 1955.0],
        [67857.0, 104.6, 419180.0, 2822.0, 2857.0, 118734.0, 1956.0],
        [68169.0, 108.4, 442769.0, 2936.0, 2798.0, 120445.0, 1957.0],
        [66513.0, 110.8, 444546.0, 4681.0, 2637.0, 121950.0, 1958.0],
        [68655.0, 112.6, 482704.0, 3813.0, 2552.0, 123366.0, 1959.0],
        [69564.0, 114.2, 502601.0, 3931.0, 2514.0, 125368.0, 1960.0],
        [69331.0, 115.7, 518173.0, 4806.0, 2572.0, 127852.0, 1961.0],
        [70551.0, 116.9, 554894.0, 4007.0, 2827.0, 130081.0, 1962.0],
    ];

    /// The certified coefficients, the constant first.
    const CERTIFIED: [f64; 7] = [
        -3482258.63459582,
        15.0618722713733,
        -0.358191792925910E-01,
        -2.02022980381683,
        -1.03322686717359,
        -0.511041056535807E-01,
        1829.15146461355,
    ];

    #[test]
    fn longley_to_nine_digits() {
        let a: Vec<f64> =
            LONGLEY.iter().flat_map(|r| [1.0].into_iter().chain(r[1..].iter().copied())).collect();
        let b: Vec<f64> = LONGLEY.iter().map(|r| r[0]).collect();
        let mut x = vec![0.0; 7];
        let problem =
            LeastSquares { a: &a, b: &b, rows: 16, cols: 7, width: 1, cut: f64::EPSILON, rounding: 0.0 };
        let fit = solve(&problem, &mut x, &LinalgEngine::current().f64).unwrap();
        assert!(fit.rank == 7 && (1e6..1e10).contains(&fit.condition), "{fit:?}");
        for (got, want) in x.iter().zip(CERTIFIED) {
            let digits = -((got - want) / want).abs().log10();
            assert!(digits > 9.0, "{got} against {want}: {digits} digits");
        }
    }

    #[test]
    fn rank_is_cut_and_told() {
        // Two equal columns: one of them is left out.
        let a = [1.0f32, 1.0, 2.0, 2.0, 3.0, 3.0];
        let mut x = [0.0f32; 2];
        let p =
            LeastSquares { a: &a, b: &[2.0, 4.0, 6.0], rows: 3, cols: 2, width: 1, cut: 1e-6, rounding: 0.0 };
        let fit = solve(&p, &mut x, &LinalgEngine::current().f32).unwrap();
        assert!(fit.rank == 1 && fit.condition > 1e6, "{fit:?}");
        assert!(x.contains(&0.0) && (x[0] + x[1] - 2.0).abs() < 1e-5, "{x:?}");
        // Fewer rows than columns.
        let mut x = [0.0; 3];
        let p = LeastSquares {
            a: &[1.0, 2.0, 4.0],
            b: &[8.0],
            rows: 1,
            cols: 3,
            width: 1,
            cut: 1e-15,
            rounding: 0.0,
        };
        let fit = solve(&p, &mut x, &LinalgEngine::current().f64).unwrap();
        assert_eq!((x, fit), ([0.0, 0.0, 2.0], Fit { rank: 1, condition: 1.0 }));
    }
}
