//! The `matex` program.
fn main() {}
