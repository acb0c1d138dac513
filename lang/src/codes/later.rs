//! E09xx: what is not available yet, and bugs.

super::codes! {
RESERVED_FOR_LATER = 907, "a name that is reserved for later",
"`fft`, `median`, `quantile`, `conv` and their like will be functions one day; an `fn` must not take
their names.
wrong:  fn median(x: f64[n]) -> f64 { sort(x)[0] }
right:  fn middle(x: f64[3]) -> f64 { sort(x)[1] }";

NO_GPU_IN_BUILD = 908, "this build has no GPU engine",
"The program was asked to run on a GPU, by a build without the feature `gpu`. The CPU runs every program;
`cargo build --features gpu` makes a build that can use both.";

INTERNAL = 999, "a bug in matex",
"The compiler met something that it had ruled out. The program is not to blame: please report it
together with the program and the output of `matex doctor`.";
}
