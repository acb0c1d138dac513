// Two mistakes in one function.
fn main() {
    let _ = matex_macros::compile! {
        fn f(x: f32[n]) -> f32[n] { sqt(x) + nothing }
    };
}
