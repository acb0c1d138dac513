//! E05xx: the values given to a call, and E06xx: run time.

super::codes! {
CALL_COUNT = 501, "the wrong number of values",
"A typed function of Rust, or a call of an engine, has more or fewer values than the program has
parameters; those with a default may be left out of the type.";

CALL_DTYPE = 502, "a value of the wrong dtype",
"The parameter is declared with another dtype. Nothing is converted silently: convert the value, or
make the parameter generic by `float`, `int` or `num`.";

CALL_RANK = 503, "a value of the wrong rank",
"The parameter is declared with another number of dimensions. `...` in its type admits any further
ones.";

CALL_SIZE = 504, "a value of the wrong size",
"A dim of the value is not the one that the parameter's type fixes, or differs from the size that the
same name already has in another value of the call.
wrong:  matex eval 'fn f(x: f64[n], y: f64[n]) { x + y }' x=[1,2,3] y=[1,2]
right:  matex eval 'fn f(x: f64[n], y: f64[n]) { x + y }' x=[1,2,3] y=[1,2,3]";

CALL_MISSING = 505, "a value is missing",
"A parameter without a default was given no value.
wrong:  matex eval 'a * x' a=2
right:  matex eval 'a * x' a=2 x=3";

CALL_SUPERFLUOUS = 506, "a value that nothing takes",
"The program has no parameter of that name, or fewer parameters than values.
wrong:  matex eval 'a * 2' a=2 b=3
right:  matex eval 'a * b' a=2 b=3";

CALL_GIVEN_TWICE = 507, "a value is given twice",
"A parameter takes one value, by name or by position.
wrong:  matex eval 'a * 2' a=2 a=3
right:  matex eval 'a * 2' a=3";

CALL_SHAPES_DISAGREE = 508, "shapes that do not fit together",
"The sizes of this call were not known when the program was compiled, and they do not broadcast,
multiply or join as the program wants. The note names the operation and the sizes.
wrong:  matex eval 'a + b' a=[1,2,3] b=[1,2]
right:  matex eval 'a + b' a=[1,2,3] b=[1,2,3]";

CALL_OUTPUT = 509, "an output place that does not fit",
"The memory given for a result has another dtype or shape than the result, or overlaps with an input.";

CALL_DEVICE = 510, "a value is on another device",
"Move it: copies between devices are never silent.";

CALL_SIZE_NEGATIVE = 511, "a size worked out from the arguments is negative",
"A dim such as `n - 2` has to be 0 or more for every call.
wrong:  matex eval 'fn f(x: f64[n]) { zeros(n - 2) }' x=[1]
right:  matex eval 'fn f(x: f64[n]) { zeros(n - 2) }' x=[1,2,3]";

RUNTIME_INDEX = 601, "an index is out of range at run time",
"An index that was computed from data is not within the axis. Bounds are checked and never clamped.
wrong:  x[i + 1]
right:  x[minimum(i + 1, n - 1)]";

LOOP_STEPS_EXHAUSTED = 602, "the loops took too many steps",
"All loops of one call together take at most `Limits::loop_steps` steps (`--max-steps` on the command
line). A `while` may not end.
wrong:  { s = 1.0; while s > 0.0 { s = s + 1.0; } s }
right:  { s = 1.0; while s < 100.0 { s = s + 1.0; } s }";

CANCELLED = 603, "cancelled",
"The caller asked the running program to stop. No result was made, and nothing else was changed.";

OUT_OF_MEMORY = 604, "out of memory",
"The memory for a result or for an intermediate value could not be had. The note says how much was
asked for.";

DEVICE_LOST = 605, "the device was lost",
"The GPU stopped answering: its driver was reset or the work took too long. The call may be tried
again.";

NO_DEVICE = 606, "no such device",
"The program was asked to run on a device that this machine does not have, or one that cannot run it.
`matex doctor` shows the devices.";

RUNTIME_SLICE = 607, "the bound of a slice is out of range at run time",
"Kept for bounds that only a running program knows. Today they are sizes, whether written down or worked
out from integer arguments, and E0303 tells them before anything runs.";

RUNTIME_DOMAIN = 608, "a value that the function is not defined for",
"Such as a probability outside of 0 to 1, an integer to a negative power, or an empty range of random
integers.
wrong:  bernoulli(key(0), 1.5, [3])
right:  bernoulli(key(0), 0.5, [3])";
}
