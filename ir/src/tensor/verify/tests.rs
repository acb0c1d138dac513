//! Functions that are right, and the same ones with one thing broken.

use super::*;
use crate::tensor::{parse, samples};

#[test]
fn samples_are_well_formed() {
    for func in samples::all() {
        assert_eq!(verify(&func), [], "{func}");
        let read = parse(&func.to_string()).unwrap();
        assert_eq!(verify(&read), [], "{func}");
    }
}

/// The violations of a function given by its body, with `x: f64[n, m]`, `i: i64[k]` and `b: bool`.
fn found(body: &str) -> Vec<String> {
    let text = format!("func @f(%x: f64[n, m], %i: i64[k], %b: bool) -> () {{\n{body}\nreturn\n}}");
    let func = parse(&text).unwrap_or_else(|e| panic!("{e} in {text}"));
    verify(&func).iter().map(|v| v.message.clone()).collect()
}

#[test]
fn types_are_computed_anew() {
    let cases = [
        ("%3: f64[m, n] = neg %x", "has type f64[m, n], but neg gives f64[n, m]"),
        ("%3: f64[n, m] = add %x", "takes 2 operands, but has 1"),
        ("%3: f64[n, m] = and %x, %x", "and does not take [F64, F64]"),
        ("%3: f64[n, m] = add %x, %i", "add of operands of different shapes"),
        ("%3: f32[n, m] = bitcast %x", "bitcasts f64 to f32, which are of different widths"),
        ("%3: f64[m, n] = permute %x, [1, 1]", "is no permutation of its operand's axes"),
        (
            "%3: f64[n*m + 1] = reshape %x",
            "reshapes f64[n, m] to f64[m*n + 1], which has another number of elements",
        ),
        ("%3: f64[n, k] = broadcast %x, [0, 1]", "broadcasts the extent m to k"),
        ("%3: i64[2] = iota axis 1", "axis 1 is past rank 1"),
        ("%3: i64[-2] = iota axis 0", "-2 is a negative extent"),
        ("%3: i64[q] = iota axis 0", "no parameter binds q"),
        ("%3: i64 = size k!", "no parameter binds k!"),
        ("%3: f64[n] = reduce sum %x, [2]", "axis 2 is past rank 2"),
        ("%3: f64 = reduce any %x, [0, 1]", "Any does not take f64"),
        ("%3: i64 = reduce argmax %x, [0, 1]", "an index is found along one axis"),
        ("%3: f64[m, n] = dot %x, %x, contract [0:1]", "the product runs over n and m"),
        ("%3: f64[m, m] = dot %x, %x, contract [0:0, 0:1]", "axes [0, 0] do not increase"),
        ("%3: f64[n, m] = gather %x, %x, axis 0", "indices are f64[n, m] instead of integers"),
        ("%3: f64[n, m] = check %x, %i, E0009 \"no\"", "the condition is i64[k] instead of bool"),
        ("%3: f64[n, m] = proj %x, 0", "takes a member of no tuple"),
        ("%3: (f64[n, m]) = neg %x", "only control flow and factorizations give a tuple"),
        ("%3: f64[n, m] = lstsq %x, %x, %b", "the cut is bool"),
        ("%3: f64[n, m] = cholesky %x", "cholesky of f64[n, m], which is not square"),
        ("%3: f64[n, m] = lu %x", "only control flow and factorizations give a tuple"),
        (
            "%3: (f64[n, m], i64[n]) = lu %x",
            "has type (f64[n, m], i64[n]), but lu gives (f64[n, m], i64[n], f64)",
        ),
        ("%3: f64[n] = svdvals %x", "has type f64[n], but svdvals gives f64[min(m, n)]"),
        ("%3: i64[k] = slice %i, [0:0]", "has step 0"),
        ("%3: f64[n, m] = pad %x, %b, [0, 0]", "the padding is bool instead of f64"),
        ("%3: f64[2*n, m] = concat %x, %i, axis 0", "joins f64[n, m] and i64[k] on axis 0"),
    ];
    for (body, message) in cases {
        let found = found(body);
        assert!(found.iter().any(|m| m == message), "{body}: {found:?}");
    }
}

#[test]
fn constant_parts_are_checked() {
    let head = "%3: i64[3] = iota axis 0\n";
    assert_eq!(found(&format!("{head}%4: i64[2] = slice %3, [2:-2]")), [] as [&str; 0]);
    assert_eq!(found(&format!("{head}%4: i64[2] = slice %3, [2]")), ["takes 2 to 3 of 3"]);
    let zero = format!("{head}%4: i64 = const 0\n");
    assert_eq!(found(&format!("{zero}%5: i64[3] = pad %3, %4, [1]")), ["pads by a negative amount"]);
}

#[test]
fn regions_carry_what_they_are_given() {
    let cases = [
        ("%3: (f64) = if %x {\n%4: f64 = const 1.0\nyield %4\n} else {\nyield %b\n}", 2),
        ("%3: i64 = const 0\n%4: (bool) = for %3, %3, %b (%5: i64, %6: f64) {\nyield %b\n}", 1),
        ("%3: i64 = const 0\n%4: (bool) = for %3, %b, %b (%5: i64, %6: bool) {\nyield\n}", 2),
        ("%3: (bool) = while %b (%4: bool) {\nyield %i\n} do (%5: bool) {\nyield %5, %5\n}", 2),
        ("%3: (bool) = while %b (%4: bool) {\nyield %4\n} do (%5: bool) {\nyield %4\n}", 1),
    ];
    for (body, count) in cases {
        let found = found(body);
        assert_eq!(found.len(), count, "{body}: {found:?}");
    }
}

#[test]
fn guards_make_sizes_equal() {
    let text = "func @f(%x: f64[n + 1], %y: f64[m]) -> f64[m] {
      guard n == m - 1, E0203 \"shapes\"
      %2: f64[m] = add %x, %y
      return %2
    }";
    let mut func = parse(text).unwrap();
    assert_eq!(verify(&func), []);
    func.guards.clear();
    assert_eq!(verify(&func).len(), 2);
}

/// Breaks a copy of the sample with loops, and gives what is found.
fn broken(change: impl FnOnce(&mut Func)) -> String {
    let mut func = samples::loops();
    change(&mut func);
    let found: Vec<String> = verify(&func).iter().map(Violation::to_string).collect();
    found.join("\n")
}

#[test]
fn structure_is_checked() {
    let contains = |text: String, message: &str| assert!(text.contains(message), "{message} in\n{text}");
    contains(broken(|f| f.regions[0].nodes.swap(0, 2)), "uses value 3 before its definition");
    contains(broken(|f| f.regions[0].results.push(ValueId(7))), "uses value 7 outside of its region");
    contains(broken(|f| f.regions[0].results[0] = ValueId(99)), "uses value 99, but there is no such value");
    contains(broken(|f| f.regions[1].nodes.push(ValueId(3))), "value 3: is defined twice");
    contains(broken(|f| f.regions[0].nodes.retain(|v| v.0 != 3)), "value 3: stands in no region");
    contains(broken(|f| f.nodes[3].kind = Kind::If(RegionId(1), RegionId(9))), "there is no such region");
    contains(broken(|f| f.nodes[3].kind = Kind::For(RegionId(1))), "belongs to another place too");
    contains(broken(|f| f.regions.push(super::super::Region::default())), "region 6 belongs to no node");
    contains(broken(|f| f.params.swap(0, 1)), "value 0 is not parameter v of type f64[n]");
    contains(broken(|f| f.params[1].name = "A".into()), "two parameters are called A");
    contains(broken(|f| drop(f.result_names.pop())), "the number of names of results");
    contains(broken(|f| f.regions[0].nodes.push(ValueId(0))), "value 0: is defined twice");
    contains(broken(|f| f.regions.clear()), "there is no body");
    let inside_itself = broken(|f| {
        let inner = f.nodes.iter().position(|n| matches!(n.kind, Kind::While(..))).unwrap();
        f.nodes[inner].kind = Kind::While(RegionId(2), RegionId(1));
    });
    contains(inside_itself, "belongs to another place too");
}

#[test]
fn nothing_panics_whatever_is_broken() {
    for func in samples::all() {
        for i in 0..func.nodes.len() {
            for j in 0..func.nodes.len() {
                let mut f = func.clone();
                f.nodes[i].kind = func.nodes[j].kind.clone();
                touch(&f);
                f = func.clone();
                f.nodes[i].args = func.nodes[j].args.clone();
                touch(&f);
                f = func.clone();
                f.nodes[i].ty = func.nodes[j].ty.clone();
                touch(&f);
            }
        }
    }
}

#[test]
fn no_text_makes_anything_panic() {
    for func in samples::all() {
        let text = func.to_string();
        for (i, c) in text.char_indices() {
            for swapped in ["", "9", "%", "]", "é"] {
                let text = format!("{}{swapped}{}", &text[..i], &text[i + c.len_utf8()..]);
                if let Ok(func) = parse(&text) {
                    let printed = func.to_string();
                    assert_eq!(parse(&printed).map(|f| f.to_string()), Ok(printed.clone()), "{text}");
                    verify(&func);
                }
            }
        }
    }
}

/// Prints, verifies and runs a function that may be anything.
fn touch(func: &Func) {
    use crate::tensor::interp::{Array, RunLimits, run};
    let text = func.to_string();
    let found = verify(func);
    let argument = |t: &TensorType| {
        let shape: Vec<usize> = t.shape.iter().map(|d| d.as_const().map_or(2, |v| v as usize)).collect();
        let count = shape.iter().product();
        Array::from_f64(t.dtype, &shape, &vec![1.0; count]).unwrap()
    };
    let args: Vec<Array> = func.params.iter().map(|p| argument(&p.ty)).collect();
    let limits = RunLimits { max_elements: 1000, max_steps: 10, ..RunLimits::default() };
    let ran = run(func, &args, &limits);
    if found.is_empty() {
        // What only sizes decide is the business of guards, which nobody has put here.
        let sizes = ["a reshape to another number of elements", "negative padding"];
        if let Err(crate::tensor::RunError::Malformed(why)) = ran {
            assert!(sizes.contains(&&*why), "{why} in\n{text}");
        }
        assert_eq!(parse(&text).unwrap().to_string(), text);
    }
}
