//! Maps by four elements a thread and by tiles, against the CPU: the same bits however operands lie.

use super::{on_gpu, placed};
use crate::support::data::Random;
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

fn small(dtype: DType, shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let data = (0..shape.iter().product()).map(|_| Scalar::from_f64(dtype, random.below(9) as f64 - 4.0));
    Tensor::from_scalars(dtype, shape, data).unwrap()
}

fn same(source: &str, args: &[&dyn AsView]) {
    let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
    let ((all, there), why) = (placed(&gpu, args), gpu.explain(args).unwrap());
    // A device with the least limits binds four arrays.
    assert!(all > 0 && (all == there || why.contains("the GPU binds 4 at most")), "{source}: {why}");
    let (wanted, got) = (cpu.call(args).unwrap(), gpu.call(args).unwrap());
    for (w, g) in wanted.iter().zip(&got) {
        let bits = |t: &Tensor| t.as_view().scalars().map(|s| s.bits()).collect::<Vec<u64>>();
        assert_eq!(g.as_view().shape(), w.as_view().shape());
        assert!(bits(g) == bits(w), "{source}");
    }
}

#[test]
fn maps_of_every_layout_have_the_bits_of_the_cpu() {
    if !super::gpu_is_there() {
        return;
    }
    for [n, m] in [[1, 4], [5, 8], [33, 64], [64, 33], [100, 260], [70, 70], [16, 1000], [3, 7]] {
        let (x, y) = (small(DType::F32, &[n, m], 1), small(DType::F32, &[m, n], 2));
        let (row, col) = (small(DType::F32, &[m], 3), small(DType::F32, &[n, 1], 4));
        let (b, i) = (small(DType::Bool, &[n, m], 5), small(DType::I32, &[m, n], 6));
        let args: [&dyn AsView; 6] = [&x, &y, &row, &col, &b, &i];
        let head = "fn f(x: f32[n, m], y: f32[m, n], r: f32[m], c: f32[n, 1], b: bool[n, m], i: i32[m, n])";
        for body in [
            // By quads where four divides the columns, with broadcast operands, truth values, positions, and several results.
            "x * r + c",
            "z = where(b, x, 1 - x); return z, z > 0, cast(z, i32)",
            "x[:, ::-1] + c",
            "x[:, 1:] - x[:, :-1]",
            "cast(clip(cast(x, i32), 0, 2), i64)",
            // By tiles.
            "y.T * 2",
            "x + y.T * r",
            "where(b, y.T, cast(i.T, f32)) + c",
            "return (y > 0).T, x.T + y",
            "x.T * c.T + r.reshape([-1, 1])",
        ] {
            if m == 1 || (m < 2 && body.contains("1:")) {
                continue;
            }
            same(&format!("{head} {{ {body} }}"), &args);
        }
    }
    let x = small(DType::F32, &[3, 40, 50], 7);
    same(
        "fn f(x: f32[p, n, m]) { return permute_dims(x, [0, 2, 1]) + 1, permute_dims(x, [2, 1, 0]) * 2, permute_dims(x, [1, 2, 0]) - 1 }",
        &[&x],
    );
}
