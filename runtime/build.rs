//! Refuses a build with two libraries of linear algebra, in words: what they are linked by would only fail.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let providers = ["openblas", "mkl", "accelerate", "blis", "blas-custom"];
    let variable = |name: &str| format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"));
    let chosen: Vec<&str> =
        providers.into_iter().filter(|name| std::env::var_os(variable(name)).is_some()).collect();
    if chosen.len() > 1 {
        let (all, chosen) = (providers.join(", "), chosen.join(" and "));
        println!(
            "cargo::error=matex takes one library of linear algebra, and the features {chosen} are on: choose one of {all}, or none for faer"
        );
    }
}
