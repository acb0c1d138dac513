//! Tests of the linear algebra engine.

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
    let a: Vec<f64> = LONGLEY.iter().flat_map(|r| [1.0].into_iter().chain(r[1..].iter().copied())).collect();
    let b: Vec<f64> = LONGLEY.iter().map(|r| r[0]).collect();
    let mut x = vec![0.0; 7];
    let problem =
        LeastSquares { a: &a, b: &b, rows: 16, cols: 7, width: 1, cut: f64::EPSILON, rounding: 0.0 };
    let fit = (LinalgEngine::current().f64.lstsq)(&problem, &mut x).unwrap();
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
    let p = LeastSquares { a: &a, b: &[2.0, 4.0, 6.0], rows: 3, cols: 2, width: 1, cut: 1e-6, rounding: 0.0 };
    let fit = (LinalgEngine::current().f32.lstsq)(&p, &mut x).unwrap();
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
    let fit = (LinalgEngine::current().f64.lstsq)(&p, &mut x).unwrap();
    assert_eq!((x, fit), ([0.0, 0.0, 2.0], Fit { rank: 1, condition: 1.0 }));
}

/// Numbers without a pattern.
fn noise(n: usize) -> Vec<f64> {
    (0..n as u64).map(|i| ((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / 1e7 - 0.8).collect()
}

/// How a matrix lies: the steps along its axes for so many rows and columns, with room for all of them in `3 rows cols`.
const LIES: [fn(isize, isize) -> [isize; 2]; 4] =
    [|_, c| [c, 1], |r, _| [1, r], |_, c| [3 * c, 1], |_, c| [2 * c, 2]];

#[test]
fn products_of_matrices_however_they_lie() {
    let routines = &LinalgEngine::current().f64;
    for (rows, cols, depth) in [(7, 5, 6), (1, 5, 6), (7, 1, 6), (7, 5, 1), (33, 40, 65)] {
        for (la, lb, lc) in (0..64).map(|k| (k % 4, k / 4 % 4, k / 16)) {
            let (a, b) = (noise(3 * rows * depth), noise(3 * depth * cols));
            let mut c = vec![f64::NAN; 3 * rows * cols];
            let sizes = [(rows, depth, la), (depth, cols, lb), (rows, cols, lc)];
            let [sa, sb, sc] = sizes.map(|(r, c, lie)| LIES[lie](r as isize, c as isize));
            let product = Product {
                rows,
                cols,
                depth,
                a: (a.as_ptr(), sa),
                b: (b.as_ptr(), sb),
                c: (c.as_mut_ptr(), sc),
            };
            // SAFETY: each has room for its lie, and no two elements of the result are one place.
            unsafe { (routines.gemm)(&product) };
            let at = |s: [isize; 2], i: usize, j: usize| (i as isize * s[0] + j as isize * s[1]) as usize;
            for i in 0..rows {
                for j in 0..cols {
                    let want: f64 = (0..depth).map(|k| a[at(sa, i, k)] * b[at(sb, k, j)]).sum();
                    let got = c[at(sc, i, j)];
                    assert!(
                        (got - want).abs() < 1e-11,
                        "{got} for {want} of {rows} {cols} {depth} {la}{lb}{lc}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_triangle_of_a_symmetric_product() {
    let routines = &LinalgEngine::current().f32;
    for (n, depth) in [(1, 5), (7, 6), (40, 65), (130, 9)] {
        for (la, lc) in (0..16).map(|k| (k % 4, k / 4)) {
            let a: Vec<f32> = noise(3 * n * depth).into_iter().map(|v| v as f32).collect();
            let mut c = vec![f32::NAN; 3 * n * n];
            let sa = LIES[la](n as isize, depth as isize);
            let sc = LIES[lc](n as isize, n as isize);
            let (a_at, b_at) = ((a.as_ptr(), sa), (a.as_ptr(), [sa[1], sa[0]]));
            let product = Product { rows: n, cols: n, depth, a: a_at, b: b_at, c: (c.as_mut_ptr(), sc) };
            // SAFETY: each has room for its lie, and no two elements of the result are one place.
            unsafe { (routines.syrk)(&product) };
            let at = |s: [isize; 2], i: usize, j: usize| (i as isize * s[0] + j as isize * s[1]) as usize;
            for i in 0..n {
                for j in 0..=i {
                    let want: f32 = (0..depth).map(|k| a[at(sa, i, k)] * a[at(sa, j, k)]).sum();
                    let got = c[at(sc, i, j)];
                    assert!((got - want).abs() < 1e-3, "{got} for {want} of {n} {depth} {la}{lc}");
                }
            }
        }
    }
}

#[test]
fn triangles_are_solved_however_they_lie() {
    let routines = &LinalgEngine::current().f64;
    for (n, width) in [(1, 1), (5, 1), (6, 3), (70, 9)] {
        for (column_major, lower, unit) in (0..8).map(|k| (k & 1 == 0, k & 2 == 0, k & 4 == 0)) {
            let mut a: Vec<f64> = noise(n * n).into_iter().map(|v| v / n as f64).collect();
            (0..n).for_each(|i| a[i * n + i] = 2.0 + i as f64);
            let at = |i: usize, j: usize| if column_major { a[j * n + i] } else { a[i * n + j] };
            let element = |i: usize, j: usize| match i.cmp(&j) {
                std::cmp::Ordering::Equal if unit => 1.0,
                std::cmp::Ordering::Equal => at(i, j),
                std::cmp::Ordering::Less if !lower => at(i, j),
                std::cmp::Ordering::Greater if lower => at(i, j),
                std::cmp::Ordering::Less | std::cmp::Ordering::Greater => 0.0,
            };
            let b = noise(n * width);
            let mut x = b.clone();
            (routines.solve_triangular)(Triangle { a: &a, n, column_major, lower, unit }, &mut x);
            for i in 0..n {
                for j in 0..width {
                    let back: f64 = (0..n).map(|k| element(i, k) * x[k * width + j]).sum();
                    let want = b[i * width + j];
                    assert!((back - want).abs() < 1e-12, "{n} {width} {column_major} {lower} {unit}");
                }
            }
        }
    }
}

/// Whether the product of row-major matrices is the identity, to that part of an element.
fn are_inverse(a: &[f64], b: &[f64], n: usize, allowed: f64) {
    for (i, j) in (0..n * n).map(|k| (k / n, k % n)) {
        let product: f64 = (0..n).map(|k| a[i * n + k] * b[k * n + j]).sum();
        let error = (product - f64::from(u8::from(i == j))).abs();
        assert!(error < allowed, "{i} {j} of {n}: {error:e}");
    }
}

#[test]
fn inverses_of_factors() {
    let routines = &LinalgEngine::current().f64;
    for n in [1, 2, 5, 16, 33, 70, 150] {
        let mut a = noise(n * n);
        // No order of rows is the one that they have.
        (0..n).for_each(|i| a[i * n + (i + 2) % n] += n as f64);
        let (mut lu, mut order, mut inverse) = (a.clone(), vec![0; n], vec![f64::NAN; n * n]);
        (routines.lu)(&mut lu, &mut order).unwrap();
        (routines.inverse)(&lu, &order, &mut inverse).unwrap();
        // By columns both are transposes.
        are_inverse(&inverse, &a, n, 1e-12);
    }
}

#[test]
fn inverses_of_definite_matrices() {
    let routines = &LinalgEngine::current().f64;
    for n in [1, 2, 5, 16, 33, 70, 150] {
        let b = noise(n * n);
        let product = |i: usize, j: usize| (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum::<f64>();
        let a: Vec<f64> =
            (0..n * n).map(|k| product(k / n, k % n) + if k / n == k % n { n as f64 } else { 0.0 }).collect();
        // Nothing above the diagonal has a part in it.
        let mut l = a.clone();
        (0..n * n).filter(|k| k / n < k % n).for_each(|k| l[k] = f64::NAN);
        let mut inverse = l.clone();
        (routines.cholesky)(&mut l, n).unwrap();
        (routines.inverse_definite)(&l, n, &mut inverse).unwrap();
        (0..n * n).filter(|k| k / n < k % n).for_each(|k| inverse[k] = inverse[k % n * n + k / n]);
        are_inverse(&inverse, &a, n, 1e-12);
    }
}
