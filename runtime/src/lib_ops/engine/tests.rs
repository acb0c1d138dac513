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
fn longley_to_eight_digits() {
    let a: Vec<f64> = LONGLEY.iter().flat_map(|r| [1.0].into_iter().chain(r[1..].iter().copied())).collect();
    let b: Vec<f64> = LONGLEY.iter().map(|r| r[0]).collect();
    let mut x = vec![0.0; 7];
    let problem = LeastSquares { a: &a, b: &b, rows: 16, cols: 7, width: 1, cut: f64::EPSILON };
    (LinalgEngine::current().f64.lstsq)(&problem, &mut x).unwrap();
    for (got, want) in x.iter().zip(CERTIFIED) {
        let digits = -((got - want) / want).abs().log10();
        assert!(digits > 8.0, "{got} against {want}: {digits} digits");
    }
}

#[test]
fn a_singular_matrix_names_its_pivot() {
    let a = [1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 1.0, 0.0, 0.0];
    let mut b = [1.0, 1.0, 1.0];
    let e = (LinalgEngine::current().f64.solve)(&a, &mut b, 3, 1);
    assert_eq!(e, Err(Failure::Pivot(2)));
    let e = (LinalgEngine::current().f32.solve)(&[0.0; 4], &mut [0.0; 2], 2, 1);
    assert_eq!(e, Err(Failure::Pivot(0)));
}

#[test]
fn solutions_are_right_and_rank_is_cut() {
    let mut b = [5.0, 11.0, 6.0, 14.0];
    (LinalgEngine::current().f64.solve)(&[1.0, 2.0, 3.0, 4.0], &mut b, 2, 2).unwrap();
    for (got, want) in b.iter().zip([-4.0, -8.0, 4.5, 9.5]) {
        assert!((got - want).abs() < 1e-12, "{b:?}");
    }
    // Two equal columns: one of them is left out.
    let a = [1.0f32, 1.0, 2.0, 2.0, 3.0, 3.0];
    let mut x = [0.0f32; 2];
    let p = LeastSquares { a: &a, b: &[2.0, 4.0, 6.0], rows: 3, cols: 2, width: 1, cut: 1e-6 };
    (LinalgEngine::current().f32.lstsq)(&p, &mut x).unwrap();
    assert!(x.contains(&0.0) && (x[0] + x[1] - 2.0).abs() < 1e-5, "{x:?}");
    // Fewer rows than columns.
    let mut x = [0.0; 3];
    let p = LeastSquares { a: &[1.0, 2.0, 4.0], b: &[8.0], rows: 1, cols: 3, width: 1, cut: 1e-15 };
    (LinalgEngine::current().f64.lstsq)(&p, &mut x).unwrap();
    assert_eq!(x, [0.0, 0.0, 2.0]);
}
