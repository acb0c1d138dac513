// What is no program.
fn main() {
    let _ = matex_macros::compile!({ m = $0 + ; m ^ 2 });
    let _ = matex_macros::compile!();
}
