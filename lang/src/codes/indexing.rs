//! E03xx: indexing, and E04xx: limits.

super::codes! {
TOO_MANY_INDICES = 301, "more indices than axes",
"A tensor of rank r takes r indices; `newaxis` and `...` do not count.
wrong:  fn f(x: f64[n]) { x[0, 1] }
right:  fn f(x: f64[n, m]) { x[0, 1] }";

INDEX_OUT_OF_RANGE = 302, "an index is out of range",
"An axis of size n has the indices 0 to n-1, or -n to -1 from the end. Nothing is clamped.
wrong:  fn f(x: f64[3]) { x[3] }
right:  fn f(x: f64[3]) { x[2] }";

SLICE_OUT_OF_RANGE = 303, "the bound of a slice is out of range",
"Bounds are from 0 to the size, or negative from the end. Nothing is clamped.
wrong:  fn f(x: f64[3]) { x[0:5] }
right:  fn f(x: f64[3]) { x[0:3] }";

BOOL_INDEX = 304, "a bool array as an index",
"How many elements it picks depends on data, and shapes do not. `where` keeps the shape.
wrong:  sum(x[x > 0])
right:  sum(where(x > 0, x, 0))";

TWO_INDEX_ARRAYS = 305, "two index arrays in one index",
"One integer array gathers along its axis. For pairs of positions use `take_along_axis`.
wrong:  x[i, j]
right:  take_along_axis(x, j[:, newaxis], axis=1)";

INDEX_NOT_INTEGER = 306, "an index is not an integer",
"Positions are integers; there is no rounding.
wrong:  x[1.0]
right:  x[1]";

TWO_ELLIPSES = 307, "two `...` in one index",
"`...` stands for all axes that are not named, so there can be one only.
wrong:  x[..., 0, ...]
right:  x[..., 0, :]";

ZERO_STEP = 308, "a step of zero",
"The step of a slice is a literal that is not 0; a negative one goes backwards.
wrong:  x[::0]
right:  x[::-1]";

INDEX_A_SCALAR = 309, "a scalar has no axis to index",
"A value of rank 0 takes no index but `newaxis` and `...`.
wrong:  fn f(s: f64) { s[0] }
right:  fn f(s: f64) { s }";

UPDATE_NEEDS_VARIABLE = 310, "an update of something that is not a variable",
"`x[i] = e` gives the variable x a new value; x has to be one, and parameters are.
wrong:  pi[0] = 3.0;
right:  x = zeros(3); x[0] = 3.0;";

UPDATE_DOES_NOT_FIT = 311, "the new elements do not fit the place",
"What is assigned broadcasts to the shape of what is indexed, and has or takes its dtype.
wrong:  fn f(x: f64[n, 3]) { x[0] = [1.0, 2.0]; x }
right:  fn f(x: f64[n, 3]) { x[0] = [1.0, 2.0, 3.0]; x }";

SLICE_BOUND_DEPENDS_ON_DATA = 312, "the bound of a slice depends on data",
"The size of a slice would depend on data. A window whose size is fixed may start anywhere.
wrong:  x[0:argmax(x)]
right:  where(arange(n) < argmax(x), x, 0)";

LIMIT_SOURCE = 401, "the source is too long",
"`Limits::source_bytes` guards against programs of strangers. Raise it for programs that you trust,
and pass data as arguments rather than as literals.";

LIMIT_NESTING = 402, "the program is nested too deeply",
"Parentheses, brackets, blocks, prefix operators and `**` nest at most `Limits::nesting_depth` deep.
Name a part of the expression by an assignment.";

LIMIT_IR_NODES = 403, "the program is too large",
"With all calls expanded it has more values than `Limits::ir_nodes`. A loop is compiled once, however
often it runs.";

LIMIT_ELEMENTS = 404, "a value has too many elements",
"The value has more elements than `Limits::elements`. It is often the sign of an unwanted broadcast.
wrong:  a[:, newaxis] - b[newaxis, :]
right:  a - b";

LIMIT_BYTES = 405, "a value has too many bytes",
"The value has more bytes than `Limits::bytes`. A narrower dtype or a smaller block at a time may do.";

LIMIT_CODE_BYTES = 406, "the compiled code is too long",
"A function made more machine code than `Limits::code_bytes`. Split it into functions that are called
one by one.";

LIMIT_RANK = 407, "a tensor has too many dimensions",
"No tensor has more dimensions than the compiler's fixed limit. Join axes by `reshape`.";

LIMIT_OPTIMIZER = 408, "the optimizer stopped early",
"It met `Limits::optimizer_nodes` or `Limits::optimizer_iterations`. The program is right, and may be
slower than it could be.";
}
