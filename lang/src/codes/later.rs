//! E09xx: what is not available yet, and bugs.

super::codes! {
NOT_YET_FUNCTION = 904, "this function is not available yet",
"The name is known and reserved, and this version does not compile it yet. Nothing is wrong with the
program.";

NOT_YET_SYNTAX = 905, "this form is not available yet",
"The form is part of the language, and this version does not compile it yet. Nothing is wrong with
the program.";

NOT_YET_DTYPE = 906, "complex numbers are not available yet",
"Complex dtypes are reserved for later. Keep the real and the imaginary part as two tensors.
wrong:  fft(x)
right:  cos(w @ x)";

RESERVED_FOR_LATER = 907, "a name that is reserved for later",
"`fft`, `median`, `quantile`, `conv` and their like will be functions one day; an `fn` must not take
their names.
wrong:  fn median(x: f64[n]) -> f64 { sort(x)[0] }
right:  fn middle(x: f64[3]) -> f64 { sort(x)[1] }";

NOT_YET_DEVICE = 908, "this device cannot run the program yet",
"The program was asked to run on a device that this version does not compile it for. The CPU runs
every program.";

INTERNAL = 999, "a bug in matex",
"The compiler met something that it had ruled out. The program is not to blame: please report it
together with the program and the output of `matex doctor`.";
}
