//! The text and its reader are inverses.

use super::*;
use crate::tensor::samples;

#[test]
fn text_reads_back() {
    for func in samples::all() {
        let text = func.to_string();
        let read = parse(&text).unwrap_or_else(|e| panic!("{e} in\n{text}"));
        assert_eq!(read.to_string(), text);
        assert_eq!(read.params, func.params);
        assert_eq!(read.result_names, func.result_names);
        let literals = |f: &Func| -> Vec<Kind> {
            let all = f.nodes.iter().map(|n| n.kind.clone());
            all.filter(|k| matches!(k, Kind::Constant(_))).collect()
        };
        assert_eq!(literals(&read), literals(&func));
    }
}

#[test]
fn numbers_follow_the_text_and_not_the_arena() {
    let mut func = samples::ols();
    let orphan = func.nodes[2].clone();
    func.nodes.push(orphan);
    let text = samples::ols().to_string();
    assert_eq!(func.to_string(), text);
}

#[test]
fn guards_and_names_are_kept() {
    insta::assert_snapshot!(samples::ols(), @r#"
    func @ols(%X: f64[n, k], %y: f64[n]) -> f64[k] {
      guard 1 <= n, E0301 "there is \"nothing\" to\nfit"
      %2: f64[k, n] = permute %X, [1, 0]
      %3: f64[k, k] = dot %2, %X, contract [1:0]
      %4: f64[k] = dot %2, %y, contract [1:0]
      %5: f64[k, 1] = reshape %4
      %6: f64[k, 1] = solve %3, %5
      %7: f64[k] = reshape %6
      return %7 as beta
    }
    "#);
}

#[test]
fn regions_are_indented() {
    insta::assert_snapshot!(samples::loops(), @r#"
    func @power(%A: f64[n, n], %v: f64[n], %iters: i64) -> (f64, f64[n]) {
      %3: i64 = const 0
      %4: f64 = const 1.0
      %5: (f64[n]) = for %3, %iters, %v (%6: i64, %7: f64[n]) {
        %8: f64[n] = dot %A, %7, contract [1:0]
        %9: f64 = dot %8, %8, contract [0:0]
        %10: (f64) = while %9 (%11: f64) {
          %12: bool = gt %11, %4
          yield %12
        } do (%13: f64) {
          %14: f64 = const 0.5
          %15: f64 = mul %13, %14
          yield %15
        }
        %16: f64 = proj %10, 0
        %17: bool = lt %16, %4
        %18: (f64[n]) = if %17 {
          %19: f64[n] = broadcast %16, []
          %20: f64[n] = mul %8, %19
          yield %20
        } else {
          yield %8
        }
        %21: f64[n] = proj %18, 0
        yield %21
      }
      %22: f64[n] = proj %5, 0
      %23: f64 = dot %22, %22, contract [0:0]
      return %23, %22 as v
    }
    "#);
}

#[test]
fn parts_and_constants() {
    insta::assert_snapshot!(samples::moves(), @r#"
    func @moves(%x: f32[n, m], %i: i64[k], %$0: i64[$0.0, 2]) -> (f32[2*k + 2, m], u32[k, m], bf16[$0.0, 2]) {
      %3: f32 = const -0.0
      %4: f32[k, m] = gather %x, %i, axis 0
      %5: f32[k, m] = slice %4, [0, m - 1:-1]
      %6: f32[k + 2, m] = pad %5, %3, [1, 0]
      %7: f32[2*k + 2, m] = concat %6, %4, axis 0
      %8: i64[k, m] = broadcast %i, [0]
      %9: f32[k, m] = gather_along %4, %8, axis 1
      %10: f32[k, m] = scatter_add_along %4, %8, %9, axis 0
      %11: f32[k, m] = scatter_along %10, %8, %4, axis 0
      %12: i64 = size n - 1
      %13: f32[1, m] = slice %11, [0, 0]
      %14: f32[k, m] = update %11, %13, %12, [@, 0]
      %15: i64[$0.0, 2] = iota axis 1
      %16: i64[$0.0, 2] = add %15, %$0
      %17: u32[k, m] = bitcast %14
      %18: bf16[$0.0, 2] = cast %16
      return %7, %17, %18
    }
    "#);
    insta::assert_snapshot!(samples::constants(), @r#"
    func @"odd name"() -> (f64[4], f64, f32[2, 2], f16[2], bf16[2], i64[2], u64[1, 1], i8, bool[2], f64[0, 3]) {
      %0: f64[4] = const [5e-324, nan:0x7ff8000000000001, nan, -inf; 4]
      %1: f64 = const 1.7976931348623157e308
      %2: f32[2, 2] = const [1e-45, -0.0, nan, 3.4028235e38; 2, 2]
      %3: f16[2] = const [5.9604645e-8, 65504.0; 2]
      %4: bf16[2] = const [9.1835e-41, nan:0xffc1; 2]
      %5: i64[2] = const [-9223372036854775808, 9223372036854775807; 2]
      %6: u64[1, 1] = const [18446744073709551615; 1, 1]
      %7: i8 = const -128
      %8: bool[2] = const [false, true; 2]
      %9: f64[0, 3] = const [; 0, 3]
      return %0 as "a b", %1, %2, %3, %4, %5, %6, %7, %8, %9
    }
    "#);
}

#[test]
fn wrong_texts_are_refused_with_their_line() {
    let refused = |body: &str, line: usize, message: &str| {
        let text = format!("func @f(%x: f64[n]) -> f64[n] {{\n{body}\n}}");
        let e = parse(&text).unwrap_err();
        assert_eq!((e.line, e.message.as_str()), (line, message), "{body}");
    };
    refused("return %y", 2, "Named(\"y\") is used before it is defined");
    refused("%1: f64[n] = neg %1\nreturn %1", 2, "Numbered(1) is used before it is defined");
    refused("%1: f64[n] = neg %x\n%1: f64[n] = neg %x\nreturn %1", 3, "%1 is defined twice");
    refused("%1: f64[n] = frob %x\nreturn %1", 2, "expected a comma behind the operands of frob");
    refused("%1: f64[n] = frob %x, 1\nreturn %1", 2, "frob is no operation");
    refused("%1: f63[n] = neg %x\nreturn %1", 2, "f63 is no dtype");
    refused("%1: f64[n +] = neg %x\nreturn %1", 2, "\"n +\" is no dim");
    refused("%1: u8 = const 256\nreturn %1", 2, "\"256\" is no u8");
    refused("%1: u8[2] = const [1; 2]\nreturn %1", 2, "the number of elements does not fit the extents");
    refused("%1: f64 = const 1.0\nreturn %1", 4, "the results are not of the types declared");
    refused("guard 1 <= n, E0301 \"no end", 2, "a string without an end");
    refused("return %x }", 3, "something follows: \"}\"");
    assert!(parse("").is_err() && parse("func @f(%x: f64, %x: f64) -> () {").is_err());
}

#[test]
fn nesting_is_bounded() {
    let open = "%1: (f64) = if %x {\n".repeat(100_000);
    let e = parse(&format!("func @f(%x: bool) -> () {{\n{open}")).unwrap_err();
    assert_eq!(e.message, "regions nested too deep");
}

#[test]
fn malformed_functions_print() {
    let mut func = samples::loops();
    func.regions[2].results.push(ValueId(999));
    func.regions[1].nodes.push(ValueId(998));
    func.nodes[5].kind = Kind::If(RegionId(77), RegionId(0));
    func.nodes[6].kind = Kind::For(RegionId(1));
    assert!(func.to_string().contains("%?999"));
    assert_eq!(Func::default().to_string(), "func @\"\"() -> () {\n  ?0\n  return\n}\n");
}
