//! An example of a crate that uses matex and tests what its programs become.
//!
//! `tests/programs.rs` has the tests: a change of the program, or of what the compiler makes of it, shows up in
//! review as a change of a text. `cargo insta review` accepts it.

use matex::{Error, Function};

/// The distance between two points on a sphere of radius 1, by latitudes and longitudes in radians.
///
/// # Errors
/// None: the program is known to compile, which the tests hold.
///
/// ```
/// let f = matex_docs_snapshots::haversine()?;
/// assert_eq!(f.call(&[&0.5, &1.0, &0.5, &1.0])?[0].to_string(), "0.0");
/// # Ok::<(), matex::Error>(())
/// ```
pub fn haversine() -> Result<Function, Error> {
    matex::compile(
        "fn haversine(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
            a = sin((lat2 - lat1) / 2)**2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2)**2;
            2.0 * asin(sqrt(a))
        }",
    )
}
