//! The codegen-cpu crate.
