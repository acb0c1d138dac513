//! Tests of the linear algebra engine.

use super::*;

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
