//! The lang crate.
