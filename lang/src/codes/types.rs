//! E02xx: types and shapes.

super::codes! {
DTYPE_MISMATCH = 201, "dtypes that do not fit",
"The value has another dtype than the one that is declared or wanted here. A dtype never changes
silently.
wrong:  fn f(x: f64[n]) -> f32[n] { x }
right:  fn f(x: f64[n]) -> f32[n] { cast(x, f32) }";

ARITHMETIC_ON_BOOL = 202, "arithmetic on bool",
"Truth values are counted by `sum` and `mean` and combined by `&&`, `||` and `!`. Arithmetic wants
numbers.
wrong:  (x > 0) * x
right:  where(x > 0, x, 0)";

SHAPES_DO_NOT_BROADCAST = 203, "shapes do not broadcast",
"Shapes are aligned at their last axes; two sizes agree when they are equal or one is 1. Two sizes
with different names never agree. A column is made by `[:, newaxis]`.
wrong:  fn f(y: f64[n], X: f64[n, k]) { y - X }
right:  fn f(y: f64[n], X: f64[n, k]) { y[:, newaxis] - X }";

SHAPE_MISMATCH = 204, "the shape is not the declared one",
"The value has another rank or other sizes than the type that is declared for it.
wrong:  fn f(x: f64[n, k]) -> f64[n] { sum(x, axis=0) }
right:  fn f(x: f64[n, k]) -> f64[k] { sum(x, axis=0) }";

RANK_MISMATCH = 205, "the wrong number of dimensions",
"The function wants a tensor of another rank.
wrong:  fn f(v: f64[n]) { det(v) }
right:  fn f(A: f64[n, n]) { det(A) }";

SIZES_DISAGREE = 206, "one size, two values",
"A name in types stands for one size in the whole function.
wrong:  fn dot2(x: f64[n], y: f64[n]) { dot(x, y) }  fn main(a: f64[3], b: f64[4]) { dot2(a, b) }
right:  fn dot2(x: f64[n], y: f64[n]) { dot(x, y) }  fn main(a: f64[3], b: f64[3]) { dot2(a, b) }";

INNER_DIMS_DISAGREE = 207, "the inner dimensions of a matrix product disagree",
"`A @ B` sums over the last axis of A and the last but one of B.
wrong:  fn f(A: f64[n, k], B: f64[n, m]) { A @ B }
right:  fn f(A: f64[n, k], B: f64[n, m]) { A.T @ B }";

AXIS_OUT_OF_RANGE = 208, "no such axis",
"The axes of a tensor of rank r are 0 to r-1, or -r to -1 from the end.
wrong:  fn f(x: f64[n, k]) { sum(x, axis=2) }
right:  fn f(x: f64[n, k]) { sum(x, axis=1) }";

DUPLICATE_AXIS = 209, "an axis is named twice",
"Each axis occurs at most once in a list of axes.
wrong:  sum(x, axis=[0, 0])
right:  sum(x, axis=0)";

RESHAPE_SIZE = 210, "reshape changes the number of elements",
"The product of the new sizes is that of the old ones; one of them may be -1 and is worked out.
wrong:  fn f(x: f64[6]) { reshape(x, [4, 2]) }
right:  fn f(x: f64[6]) { reshape(x, [3, -1]) }";

CONCAT_MISMATCH = 211, "tensors that cannot be joined",
"`concat` wants equal ranks and sizes but for the axis that it joins; `stack` and `[a, b]` want equal
shapes.
wrong:  fn f(a: f64[n, 2], b: f64[m, 2]) { concat([a, b], axis=1) }
right:  fn f(a: f64[n, 2], b: f64[m, 2]) { concat([a, b], axis=0) }";

DATA_DEPENDENT_SIZE = 212, "a size that depends on data",
"Shapes follow from the shapes of the inputs and from integer parameters, never from computed data.
Keep the shape and mark what does not count by `where`.
wrong:  zeros(argmax(x))
right:  where(arange(n) < argmax(x), 0.0, x)";

MIXED_SIGNEDNESS = 213, "u64 with a signed integer",
"No integer dtype holds both. Cast one of them.
wrong:  fn f(a: u64, b: i64) { a + b }
right:  fn f(a: u64, b: i64) { cast(a, i64) + b }";

NEGATIVE_INTEGER_POWER = 214, "an integer to a negative power",
"The result would not be an integer. Make the base a float.
wrong:  fn f(k: i64) { k ** -1 }
right:  fn f(k: i64) { cast(k, f64) ** -1 }";

LITERAL_OUT_OF_RANGE = 215, "a literal does not fit its dtype",
"A literal takes the dtype of what it meets and must be one of its values.
wrong:  fn f(x: u8[n]) { x + 300 }
right:  fn f(x: u8[n]) { cast(x, i64) + 300 }";

LITERAL_KIND = 216, "a literal of another kind",
"A fraction is no integer, and a truth value is no number.
wrong:  fn f(x: i64[n]) { x[0] = 0.5; x }
right:  fn f(x: i64[n]) { y = cast(x, f64); y[0] = 0.5; y }";

RAGGED_LIST = 217, "a list whose parts differ in shape",
"The parts of a list become the slices of one tensor.
wrong:  [[1, 2], [3]]
right:  [[1, 2], [3, 4]]";

EMPTY_LIST = 218, "an empty list has no dtype",
"`[]` is a shape (`reshape(x, [])` makes a scalar) and a list of axes. An empty tensor is made by
`zeros`.
wrong:  [] + 1.0
right:  zeros(0) + 1.0";

BRANCH_TYPES_DIFFER = 219, "the branches of an `if` differ in type",
"All branches give values of one dtype and one shape, and leave each variable with one type.
wrong:  if c { x } else { sum(x) }
right:  if c { sum(x) } else { 0.0 }";

LOOP_CHANGES_TYPE = 220, "a variable changes its type in a loop",
"A variable that a loop changes keeps its dtype and its shape.
wrong:  { v = x; for i in 0..3 { v = concat([v, x], axis=0); } v }
right:  { v = zeros([3, n]); for i in 0..3 { v[i] = x; } v }";

CONDITION_NOT_SCALAR_BOOL = 221, "a condition is not a scalar bool",
"`if` and `while` take one path, so they want one truth value. `where` chooses elementwise; `any` and
`all` reduce.
wrong:  if x > 0 { x } else { -x }
right:  where(x > 0, x, -x)";

LOOP_BOUND_NOT_INTEGER = 222, "a loop bound is not an integer scalar",
"`for i in a..b` counts integers from a up to b, b excluded.
wrong:  for i in 0..1.5 { }
right:  for i in 0..2 { }";

TUPLE_MISUSE = 223, "several results used as one value",
"The results of a function with several are unpacked or picked by a literal: `(q, r) = qr(A)`,
`lu(A)[1]`.
wrong:  qr(A) @ x
right:  qr(A)[0] @ x";

TUPLE_COUNT = 224, "the wrong number of names for the results",
"A pattern has one name for each result.
wrong:  (q, r, p) = qr(A);
right:  (q, r) = qr(A);";

TUPLE_INDEX = 225, "no such result",
"A tuple is indexed by one literal that is smaller than the number of results.
wrong:  qr(A)[2]
right:  qr(A)[1]";

WRONG_RESULT_COUNT = 226, "the wrong number of results",
"The function declares another number of results than it returns.
wrong:  fn f(x: f64) -> (f64, f64) { x }
right:  fn f(x: f64) -> (f64, f64) { return x, x }";

EXPECTED_INTEGER = 227, "an integer is expected",
"Sizes, axes, counts and shifts are integers.
wrong:  zeros(2.5)
right:  zeros(2)";

EXPECTED_FLOAT = 228, "a float is expected",
"The function or transform is defined for float tensors.
wrong:  fn f(x: i64[n]) { grad(|v| sum(v))(x) }
right:  fn f(x: f64[n]) { grad(|v| sum(v))(x) }";

EXPECTED_BOOL = 229, "a bool is expected",
"`&&`, `||`, `!` and the condition of `where` want truth values; a comparison makes them.
wrong:  where(x, a, b)
right:  where(x != 0, a, b)";

EMPTY_REDUCTION = 230, "a reduction of nothing that has no identity",
"`max`, `min`, `argmax` and `argmin` of no elements do not exist; `sum` of none is 0 and `prod` is 1.
wrong:  max(zeros(0))
right:  sum(zeros(0))";

NOT_SQUARE_TYPE = 231, "a matrix that is not square",
"The last two sizes must be equal. For a rectangular system use `lstsq`.
wrong:  fn f(A: f64[n, k], b: f64[n]) { solve(A, b) }
right:  fn f(A: f64[n, k], b: f64[n]) { lstsq(A, b) }";

BAD_EINSUM = 232, "an einsum spec that does not fit",
"A spec has one group of letters for each operand, one letter for each axis, and after `->` the
letters that stay.
wrong:  einsum(\"ij,jk\", a)
right:  einsum(\"ij,jk->ik\", a, b)";

AXIS_NEEDED = 233, "an axis must be named",
"The function would have to guess which axis is meant.
wrong:  fn f(x: f64[n, m]) { cumsum(x) }
right:  fn f(x: f64[n, m]) { cumsum(x, axis=0) }";

SQUEEZE_NOT_ONE = 234, "an axis that is not of size 1 cannot be dropped",
"`squeeze` drops axes of size 1.
wrong:  fn f(x: f64[n, 3]) { squeeze(x, axis=1) }
right:  fn f(x: f64[n, 1]) { squeeze(x, axis=1) }";

BAD_PERMUTATION = 235, "not a permutation of the axes",
"`permute_dims` names each axis once.
wrong:  fn f(x: f64[n, m]) { permute_dims(x, [0]) }
right:  fn f(x: f64[n, m]) { permute_dims(x, [1, 0]) }";

NEGATIVE_SIZE = 236, "a negative size",
"Sizes are 0 or more; -1 is a size only in `reshape`.
wrong:  zeros(-3)
right:  zeros(3)";

BAD_SPLIT = 237, "a split that does not come out even",
"`split(x, k)` wants k to divide the size; a list of indices splits anywhere.
wrong:  fn f(x: f64[7]) { split(x, 3) }
right:  fn f(x: f64[7]) { split(x, [3, 5]) }";

AMBIGUOUS_SIZE = 238, "a size that does not follow from the arguments",
"Each name in a type stands alone in a dim of a parameter, or is the one name of a dim like `2*n + 1`,
so that a call can read it off.
wrong:  fn f(x: f64[n*m]) { x }
right:  fn f(x: f64[n*m], y: f64[n], z: f64[m]) { x }";

CAST_NOT_DEFINED = 239, "a cast between these dtypes is not defined",
"`bitcast` wants dtypes of the same width; `cast` converts values between any two.
wrong:  fn f(x: f64[n]) { bitcast(x, i32) }
right:  fn f(x: f64[n]) { bitcast(x, i64) }";

NOT_A_KEY = 240, "not a key",
"Random functions take a key, which is u32[2] and comes from `key(seed)`, `split_key` or `fold_in`. The
same key gives the same numbers, so each draw wants a key of its own.
wrong:  uniform(1, [3])
right:  uniform(key(1), [3])";
}
