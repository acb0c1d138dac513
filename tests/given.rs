//! Arguments that are given away: when their memory is used again, and that nobody else sees it.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex::{Outputs, Tensor, compile};

fn tensor(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    Tensor::from_vec(shape, (0..count).map(|i| i as f64 + 1.0).collect()).unwrap()
}

fn text(results: &Outputs) -> Vec<String> {
    results.iter().map(Tensor::to_string).collect()
}

/// Whether the first result of a program lies where its first argument did, and that it is what a plain call gives.
fn is_used_again(source: &str, args: Vec<Tensor>) -> bool {
    let f = compile(source).unwrap();
    let views: Vec<&dyn matex::AsView> = args.iter().map(|t| t as &dyn matex::AsView).collect();
    let wanted = text(&f.call(&views).unwrap());
    let memory = args[0].data_ptr();
    let mut used = Vec::new();
    for _ in 0..2 {
        // The second call finds all that the first one left.
        let copy: Vec<Tensor> =
            args.iter().map(|t| Tensor::from_vec(t.shape(), t.to_vec::<f64>().unwrap()).unwrap()).collect();
        let start = copy[0].data_ptr();
        let out = f.call_owned(copy).unwrap();
        assert_eq!(text(&out), wanted, "{source}");
        used.push(out[0].data_ptr() == start);
    }
    assert_eq!(used[0], used[1], "{source}");
    let out = f.call_owned(args).unwrap();
    assert_eq!(text(&out), wanted, "{source}");
    assert_eq!(out[0].data_ptr() == memory, used[0], "{source}");
    used[0]
}

#[test]
fn the_result_lies_where_the_argument_was() {
    for source in [
        "x * 2 + 1",
        "exp(x) / x",
        "{ x[0] = 7.0; x }",
        "x",
        "{ for i in 0..3 { x = x * 2; } x }",
        "{ y = cumsum(x); x + y[0] }",
    ] {
        assert!(is_used_again(source, vec![tensor(&[50])]), "{source}");
    }
    assert!(is_used_again("x + y", vec![tensor(&[4, 5]), tensor(&[4, 5])]));
}

/// A function type that takes tensors by value gives them away.
#[test]
fn so_it_does_in_a_typed_call() {
    let f = compile("fn f(x: f64[n], y: f64[n]) { return x * y, sum(y) }").unwrap();
    let owned = f.typed::<fn(Tensor, Tensor) -> (Tensor, f64)>().unwrap();
    let wanted = text(&f.call(&[&tensor(&[50]), &tensor(&[50])]).unwrap());
    for _ in 0..2 {
        let (x, y) = (tensor(&[50]), tensor(&[50]));
        let memory = [x.data_ptr(), y.data_ptr()];
        let (product, sum) = owned(x, y).unwrap();
        assert!(memory.contains(&product.data_ptr()));
        assert_eq!([product.to_string(), format!("{sum:?}")], wanted[..]);
    }
    // A tensor that somebody else holds does not change.
    let x = tensor(&[50]);
    let (product, _) = owned(x.clone(), tensor(&[50])).unwrap();
    assert_ne!(product.data_ptr(), x.data_ptr());
    assert_eq!(x.to_string(), tensor(&[50]).to_string());
    let wrong = owned(tensor(&[3]), tensor(&[4])).unwrap_err();
    assert_eq!(wrong.to_string(), f.call(&[&tensor(&[3]), &tensor(&[4])]).unwrap_err().to_string());
    assert!(f.typed::<fn(Tensor) -> Tensor>().is_err());
}

#[test]
fn what_is_needed_or_does_not_fit_keeps_its_memory() {
    // Elements are read elsewhere than they are written, or afterwards, or are of another size.
    assert!(!is_used_again("x[1:] * 2", vec![tensor(&[50])]));
    assert!(!is_used_again("x + x.T", vec![tensor(&[6, 6])]));
    assert!(!is_used_again("cast(x, f32) * 2", vec![tensor(&[50])]));
    assert!(!is_used_again("{ y = cumsum(x); return y, x - 1 }", vec![tensor(&[50])]));
    // A kernel of two stages loads its operand again after the first of them.
    assert!(!is_used_again("x - sum(x)", vec![tensor(&[50])]));
    assert!(!is_used_again("softmax(x)", vec![tensor(&[5, 8])]));
    assert!(!is_used_again("x + a", vec![tensor(&[1]), tensor(&[50])]));
}

#[test]
fn a_tensor_with_a_clone_does_not_change() {
    let f = compile("x * 2 + 1").unwrap();
    let x = tensor(&[50]);
    let before = x.to_vec::<f64>().unwrap();
    let out = f.call_owned(vec![x.clone()]).unwrap();
    assert_ne!(out[0].data_ptr(), x.data_ptr());
    assert_eq!(x.to_vec::<f64>().unwrap(), before);
    // The same tensor twice is not alone with its memory either.
    let sum = compile("a * 10 + b").unwrap();
    let out = sum.call_owned(vec![x.clone(), x]).unwrap();
    assert_eq!(out[0].get(&[1]).unwrap().to_string(), "22.0");
}

#[test]
fn a_part_of_a_tensor_keeps_its_memory() {
    let (dtype, _, _, _, buffer) = tensor(&[50]).into_parts();
    let part = Tensor::from_parts(dtype, &[10], &[1], 3, buffer).unwrap();
    let start = part.data_ptr();
    let out = compile("x + 1").unwrap().call_owned(vec![part]).unwrap();
    assert_ne!(out[0].data_ptr(), start);
    assert_eq!(out[0].get(&[0]).unwrap().to_string(), "5.0");
}

#[test]
fn errors_are_those_of_a_plain_call() {
    let f = compile("fn f(x: f64[n], y: f64[n], i: i64) { z = x + y; z[i] }").unwrap();
    let i = || Tensor::scalar(matex::Scalar::from_i128(matex::DType::I64, 9));
    let given = f.call_owned(vec![tensor(&[3]), tensor(&[3]), i()]).unwrap_err();
    let plain = f.call(&[&tensor(&[3]), &tensor(&[3]), &i()]).unwrap_err();
    assert_eq!(given.to_string(), plain.to_string());
    let given = f.call_owned(vec![tensor(&[3]), tensor(&[4]), i()]).unwrap_err();
    let plain = f.call(&[&tensor(&[3]), &tensor(&[4]), &i()]).unwrap_err();
    assert_eq!(given.to_string(), plain.to_string());
}

#[test]
fn explain_tells_which_arguments_can_be_used() {
    let f = compile("fn f(x: f64[n], y: f64[m]) { return x + 1, sum(y) }").unwrap();
    let text = f.explain(&[&tensor(&[3]), &tensor(&[4])]).unwrap();
    assert!(text.contains("used again when given away (`call_owned`): x\n"), "{text}");
}
