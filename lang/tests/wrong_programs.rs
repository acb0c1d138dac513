//! Programs with a slip in them, and what they are told: one snapshot to read through.

use matex_lang::{Limits, codes, parse, render::render};

const PROGRAMS: &[&str] = &[
    // Characters and spellings of other languages.
    "x ^ 2",
    "(a > 0) & (b > 0)",
    "(a > 0) | (b > 0)",
    "a and not b",
    "~a",
    "A' * b",
    "a .* b ./ c",
    "a + b # the sum",
    "A \\ b",
    "c ? a : b",
    "a × b ≤ π",
    "a ☃☃ b",
    "αβ + 1",
    "pad(x, mode='reflect')",
    "a << 2",
    "True",
    "x[None, :]",
    "vmap(lambda x: x + 1)(y)",
    "def f(x): return x",
    "{ if a { 1 } elif b { 2 } else { 3 } }",
    "{ while a { break; } x }",
    "f32(x)",
    // Numbers, strings and comments.
    "1. + x",
    ".5 * x",
    "2x + 1",
    "1_ + 2.5i32 + 3j + 0b11",
    "1e999",
    "lu(A).0",
    "einsum(\"ij,jk->ik, a)",
    "\"text\" + 1",
    "a /* b",
    "$x + $99999999999",
    // Expressions.
    "",
    "a * / b",
    "a b",
    "0 < x < 1",
    "a == b + 1 != c",
    "sum((a + b) * c",
    "x[a + b)",
    "f(a b)",
    "f(x, axis=0, axis=1)",
    "f(axis=0, x)",
    "[1, 2,]",
    "x[]",
    "()",
    "x[1:2:3:4]",
    "x[newaxis + 1]",
    "|x| x + 1",
    "f(|| 1)",
    "if a { 1 }",
    "1 + if a { 1 } else { 2 }",
    "if a { 1 } else { 2 } + 1",
    "f(x = in)",
    "+x",
    "x.in",
    // Statements.
    "y = x + 1; y * 2",
    "{ y = x + 1 y * 2 }",
    "{ y = x + 1\n  z = y * 2\n  z }",
    "{ x[0][1] = 2; x }",
    "{ f(x) = 3; x }",
    "{ a, b = f(x); a }",
    "{ (a, b + 1) = f(x); a }",
    "{ (a, a) = f(x); a }",
    "{ in = 3; f32 = x; _ = 1; x }",
    "{ x %= 2; x }",
    "{ a = b = 1; a }",
    "{ if x = 0 { 1 } else { 2 } }",
    "{ for i in range(n) { x += i; } x }",
    "{ for i in 0..=n { x += i; } x }",
    "{ for x in xs { y += x; } y }",
    "{ while a: { x = 1; } x }",
    "{ if a { x = 1; }; x }",
    "{ y = if a { 1 }; y }",
    "{ x = 1;",
    "{ x } + 1",
    "{ a = (1; b = 2 3; c = ; a }",
    // Functions and types.
    "fn f(x) { if x > 0 { return x; } return -x }",
    "fn f(x) { return x; y = 1; }",
    "fn f(x: double[n]) { x }",
    "fn f(x: f64[n/2, _ + 1, ..., ...]) { x }",
    "fn f(x: f64[-1, 2.5, f32]) { x }",
    "fn f(x, x, f32) { x }",
    "fn f(x = y + 1) { x }",
    "fn f(x) = x + 1",
    "fn f(x): { x }",
    "fn f(x) -> (f64, { x }",
    "fn f(x) { x } f(3)",
    "fn f(x) { x + \n\nfn g(y) { y }",
    "fn f(x) { fn g(y) { y + } z = q; g(x) }",
    "{ q = 1; fn k(x) { x } k(q) }",
    "fn (x) { x }",
    "fn f x { x }",
];

#[test]
fn every_slip_is_told_well() {
    let mut book = String::new();
    for source in PROGRAMS {
        let errors = parse(source, &Limits::default()).expect_err(source);
        for error in &errors {
            assert!(codes::explain(error.code).is_some(), "{source}: {error}");
            assert!(error.span().is_some(), "{source}: {error}");
        }
        book += &format!("---- {source:?}\n{}\n", render(&errors, "program.mx", source, false));
    }
    insta::assert_snapshot!(book);
}
