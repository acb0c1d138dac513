//! The `matex` program.

#[allow(dead_code, unused_imports, reason = "the commands that read and write files are not there yet")]
mod data;

fn main() {}
