//! docs/operations.md is made of the op table: `MATEX_WRITE_DOCS=1 cargo test --test operations` writes it anew.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex_ir::ops::{Class, Row, TABLE};
use std::fmt::Write;

const HEAD: &str = "# Elementwise operations

What the tensor IR has for single elements, as `matex dump --stage tensor` prints it. The functions of the language
([functions.md](functions.md)) are these, by the same or another name, or are made of them. Derivatives are those of floats by each operand; `a`, `b` and
`c` are the operands and `y` is the result. Operands broadcast before, and have one dtype where nothing else is said. This page is made of the op
table, `ir/src/ops.rs`.

| operation | dtypes | gives | derivatives |
|---|---|---|---|
";

fn dtypes(class: Class) -> &'static str {
    match class {
        Class::Number => "integers, floats",
        Class::Float => "floats",
        Class::Int => "integers",
        Class::Bits => "integers, bool",
        Class::Compare => "any, to bool",
        Class::Test => "floats, to bool",
        Class::Select => "bool, and two of any",
    }
}

fn line(row: &Row) -> String {
    let operands = ["a", "b", "c"][..row.arity].join(", ");
    let slopes: Vec<String> = row.slopes.iter().map(|s| format!("`{s}`")).collect();
    let gives = row.doc.trim_end_matches('.');
    format!("| `{}({operands})` | {} | {gives} | {} |\n", row.name, dtypes(row.class), slopes.join("; "))
}

#[test]
fn the_page_is_that_of_the_table() {
    let mut page = HEAD.to_owned();
    for row in TABLE {
        write!(page, "{}", line(row)).unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    if std::env::var_os("MATEX_WRITE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(file).unwrap_or_default(),
        page,
        "the op table is newer than its page"
    );
}
