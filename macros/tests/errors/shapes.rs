// Operands that do not broadcast, in a closure.
fn main() {
    let _ = matex_macros::compile!(|y: f64[n], X: f64[n, k]| {
        r = y - X;
        sum(r**2)
    });
}
