//! E01xx: names, functions and arguments.

super::codes! {
UNKNOWN_NAME = 101, "an unknown name",
"In a function every variable is a parameter, a size of a parameter's type, a constant or assigned
before. Only in an expression or a block program do free names become parameters.
wrong:  fn f(x: f64) -> f64 { x * scale }
right:  fn f(x: f64, scale: f64) -> f64 { x * scale }";

UNKNOWN_FUNCTION = 102, "an unknown function",
"A name in call position is a builtin function or an `fn` of the same program.
wrong:  softmx(x)
right:  softmax(x)";

WRONG_ARGUMENT_COUNT = 103, "the wrong number of arguments",
"The function takes another number of arguments; those with a default may be left out.
wrong:  atan2(y, x, 1)
right:  atan2(y, x)";

UNKNOWN_ARGUMENT = 104, "an argument of a name that the function does not have",
"Named arguments are options such as `axis=` and `keepdims=`, or parameters of an `fn`.
wrong:  sum(x, dim=0)
right:  sum(x, axis=0)";

ARGUMENT_GIVEN_TWICE = 105, "an argument is given twice",
"A value by position and a value by name meet at the same parameter.
wrong:  sum(x, 0, axis=1)
right:  sum(x, axis=[0, 1])";

MISSING_ARGUMENT = 106, "an argument is missing",
"A parameter without a default needs a value.
wrong:  concat(axis=0)
right:  concat([a, b], axis=0)";

RECURSION = 107, "a function calls itself",
"Functions are expanded where they are called, so none may call itself, directly or through others.
Use a loop.
wrong:  fn f(n: i64) -> i64 { if n == 0 { 1 } else { n * f(n - 1) } }
right:  fn f(n: i64) -> i64 { p = 1; for i in 0..n { p *= i + 1; } p }";

SHADOWS_BUILTIN = 108, "a function has the name of a builtin",
"An `fn` must not change what a known name means.
wrong:  fn sum(x: f64[n]) -> f64 { x[0] }
right:  fn first(x: f64[n]) -> f64 { x[0] }";

DUPLICATE_FUNCTION = 109, "two functions have one name",
"There is no overloading; dtype classes (`float`, `int`, `num`) and `...` make one function serve
many types.
wrong:  fn f(x: f32) { x }  fn f(x: f64) { x }
right:  fn f(x: float) { x }";

UNASSIGNED_VARIABLE = 110, "a variable is used before it has a value",
"A name that is first assigned inside a block ends with it. Assign it before the block.
wrong:  { if a > 0 { y = a; } y }
right:  { y = 0; if a > 0 { y = a; } y }";

FUNCTION_AS_VALUE = 111, "a function is not a value",
"Functions are called, or are arguments of `grad`, `vmap`, `scan`, `fold` and their like.
wrong:  fn f(x: f64) { g = sin; x }
right:  fn f(x: f64) { sin(x) }";

VALUE_AS_FUNCTION = 112, "a value is not a function",
"Only functions can be called. Multiplication is written with `*`.
wrong:  2(a + b)
right:  2*(a + b)";

UNKNOWN_ATTRIBUTE = 113, "an unknown attribute",
"The attributes are `.T` and `.mT`; everything else is a function: `x.f(a)` is `f(x, a)`.
wrong:  x.shape
right:  shape(x)";

UNKNOWN_OPTION = 114, "an unknown word for an option",
"An option that takes a word knows only its own words.
wrong:  pad(x, [[1, 1]], mode=mirror)
right:  pad(x, [[1, 1]], mode=reflect)";

UNKNOWN_ENTRY = 115, "no function of that name to start with",
"The entry is the function that was asked for by name, else `main`, else the last one.";

DTYPE_AS_VALUE = 116, "a dtype is not a value",
"The name of a dtype stands in types and as an argument of `cast`, `bitcast` and `dtype=`.
wrong:  x * f32
right:  x * cast(y, f32)";

NOT_A_CONSTANT_ARGUMENT = 117, "an argument must be known when the program is compiled",
"Axes, flags and options decide what is computed; they are literals, not data.
wrong:  fn f(x: f64[n, m], a: i64) { sum(x, axis=a) }
right:  fn f(x: f64[n, m]) { sum(x, axis=0) }";

EXPECTED_FUNCTION = 118, "a function is expected as an argument",
"`grad`, `vmap`, `scan`, `fold` and their like take the name of a function or a lambda.
wrong:  grad(x**2)(x)
right:  grad(|x| x**2)(x)";

UNKNOWN_PARAMETER = 119, "the function has no parameter of that name",
"`wrt=` names the parameters of the function that is differentiated.
wrong:  fn loss(w: f64[n]) -> f64 { sum(w**2) }  fn main(w: f64[n]) { grad(loss, wrt=v)(w) }
right:  fn loss(w: f64[n]) -> f64 { sum(w**2) }  fn main(w: f64[n]) { grad(loss, wrt=w)(w) }";

NOT_DIFFERENTIABLE = 120, "no derivative",
"A derivative is taken of a scalar float result, with respect to float parameters, through
differentiable functions.
wrong:  grad(|x| argmax(x))(v)
right:  grad(|x| max(x))(v)";

NO_RESULT = 121, "a function without a result",
"A function ends in an expression or in `return`.
wrong:  fn f(x: f64) -> f64 { y = x; }
right:  fn f(x: f64) -> f64 { y = x; y }";

POSITIONAL_GAP = 122, "a positional parameter is left out",
"`$0`, `$1`, … are numbered from 0 without gaps, so that every value has a place.
wrong:  $0 + $2
right:  $0 + $1";

DEFAULT_BEFORE_REQUIRED = 123, "a parameter without a default after one with a default",
"Values fill the parameters in order, so those that may be left out come last.
wrong:  fn f(a: f64 = 1.0, b: f64) { a * b }
right:  fn f(b: f64, a: f64 = 1.0) { a * b }";

SIZE_NAME_TAKEN = 124, "a size has the name of something else",
"A size is an i64 value in the body, so it cannot share its name with a parameter.
wrong:  fn f(n: f64, x: f64[n]) { x }
right:  fn f(a: f64, x: f64[n]) { x }";
}
