//! What the program of this crate becomes, held by snapshots.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::Stage;
use matex_docs_snapshots::haversine;

/// The typed program: changes when the program does.
#[test]
fn tensor_ir() {
    insta::assert_snapshot!(haversine().unwrap().dump(Stage::Tensor).unwrap());
}

/// What runs in which order: changes when kernels are split or joined.
#[test]
fn plan() {
    insta::assert_snapshot!(haversine().unwrap().dump(Stage::Plan).unwrap());
}

/// The gradient is a program like any other.
#[test]
fn gradient() {
    insta::assert_snapshot!(haversine().unwrap().grad("lat1").unwrap().dump(Stage::Optimized).unwrap());
}
