//! Tests of the canonical form.

use super::canonicalize;
use matex_ir::tensor::verify::verify;
use matex_ir::tensor::{Builder, Func, Kind, Param, TensorType, ValueId, parse};
use matex_ir::{DType, Dim, Op};

fn canonical(text: &str) -> String {
    let func = parse(text).unwrap();
    let out = canonicalize(&func);
    assert_eq!(verify(&out), []);
    assert_eq!(canonicalize(&out).to_string(), out.to_string());
    out.to_string()
}

#[test]
fn equal_values_are_shared_and_constants_folded() {
    let text = "func @f(%x: f64[n], %y: f64[n]) -> f64[n] {
  %2: f64[n] = add %x, %y
  %3: f64[n] = add %y, %x
  %4: f64[n] = mul %2, %3
  %5: f64[n] = sub %4, %4
  %6: f64 = const 2.0
  %7: f64 = const 3.0
  %8: f64 = mul %6, %7
  %9: f64[n] = broadcast %8, []
  %10: f64[n] = mul %9, %4
  return %10
}
";
    insta::assert_snapshot!(canonical(text));
}

#[test]
fn values_are_shared_with_regions_inside_but_not_out_of_them() {
    let scalar = TensorType::scalar(DType::F64);
    let params = ["x", "c"].map(|n| Param { name: n.into(), ty: scalar.clone() });
    let mut b = Builder::new("f", params.to_vec());
    let (x, limit) = (ValueId(0), ValueId(1));
    let outer = b.map(Op::Neg, &[x]);
    let c = b.map(Op::Lt, &[x, limit]);
    let mut regions = Vec::new();
    for _ in 0..2 {
        let (region, _) = b.begin_region(&[]);
        let again = b.map(Op::Neg, &[x]);
        let inner = b.map(Op::Exp, &[again]);
        b.end_region(vec![inner]);
        regions.push(region);
    }
    let out = b.control(Kind::If(regions[0], regions[1]), vec![c]);
    let out = b.proj(out, 0);
    let after = b.map(Op::Exp, &[outer]);
    let sum = b.map(Op::Add, &[out, after]);
    let func = canonicalize(&b.finish(vec![sum], vec![None]));
    assert_eq!(verify(&func), []);
    let count = |op: Op| func.nodes.iter().filter(|n| n.kind == Kind::Map(op)).count();
    assert_eq!((count(Op::Neg), count(Op::Exp)), (1, 3));
}

#[test]
fn long_functions_take_no_stack_and_no_quadratic_time() {
    let ty = TensorType::new(DType::F64, vec![Dim::size("n")]);
    let mut b = Builder::new("f", vec![Param { name: "x".into(), ty }]);
    let mut x = ValueId(0);
    for _ in 0..100_000 {
        x = b.map(Op::Exp, &[x]);
        b.map(Op::Neg, &[x]);
    }
    let func: Func = canonicalize(&b.finish(vec![x], vec![None]));
    assert_eq!(func.nodes.len(), 100_001);
}

/// A loop that sums, keeps what it had, and counts in vain; the way back reads one of the three.
#[test]
fn carried_values_that_only_compute_themselves_go() {
    let scalar = TensorType::scalar(DType::F64);
    let mut b = Builder::new("f", vec![Param { name: "x".into(), ty: scalar.clone() }]);
    let x = ValueId(0);
    let bound = |b: &mut Builder, v: i128| b.scalar(matex_ir::Scalar::from_i128(DType::I64, v));
    let (start, stop) = (bound(&mut b, 0), bound(&mut b, 3));
    let (body, p) = b.begin_region(&[TensorType::scalar(DType::I64), scalar.clone(), scalar.clone(), scalar]);
    let sum = b.map(Op::Add, &[p[1], x]);
    let kept = b.map(Op::Mul, &[p[2], p[1]]);
    let count = b.map(Op::Add, &[p[3], x]);
    b.end_region(vec![count, kept, sum]);
    let all = b.control(Kind::For(body), vec![start, stop, x, x, x]);
    let out = b.proj(all, 2);
    let func = canonicalize(&b.finish(vec![out], vec![None]));
    assert_eq!(verify(&func), []);
    // The third comes from the first and the first from the third; the second is needed by itself alone.
    let carried: Vec<usize> =
        func.nodes.iter().filter(|n| matches!(n.kind, Kind::For(_))).map(|n| n.args.len() - 2).collect();
    assert_eq!(carried, [2]);
    assert_eq!(func.nodes.iter().filter(|n| n.kind == Kind::Map(Op::Mul)).count(), 0);
}

/// The product itself stays outside of the branch, where every other pass sees it.
#[test]
fn masked_products_become_products_and_a_branch() {
    let text = "func @f(%x: f32[n, k], %y: f32[m, k], %p: bool[n, k], %q: bool[m, k]) -> f32[n, m] {
  %4: f32[n, m] = dot %x, %y, %p, %q, contract [1:1]
  return %4
}
";
    insta::assert_snapshot!(canonical(text));
}
