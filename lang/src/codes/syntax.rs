//! E00xx: characters, tokens and grammar.

super::codes! {
UNKNOWN_CHARACTER = 1, "a character that no program has",
"Programs are made of ASCII letters, digits and the operators of the language; names are ASCII too.
Comments may hold any text.
wrong:  a × b
right:  a * b";

OTHER_SPELLING = 2, "an operator of another language",
"The operator is spelled in another way here: `**` for `^`, `&&` for `&` and `and`, `||` for `|` and
`or`, `!` for `~` and `not`, `.T` for `'`, `*` for `.*` and `//` for a `#` comment. The operators on
booleans are elementwise.
wrong:  x^2 * (a > 0 & b > 0)
right:  where(a > 0 && b > 0, x**2, 0)";

MALFORMED_NUMBER = 3, "a number is not written right",
"A digit stands on both sides of the dot, `_` only between digits, and a suffix names a dtype.
wrong:  1. + .5 + 2.5f31
right:  1.0 + 0.5 + 2.5f32";

NUMBER_TOO_LARGE = 4, "a number is too large to be read",
"An integer literal has at most 128 bits, and a float literal is finite. The constant `inf` is
infinity.
wrong:  x < 1e999
right:  x < inf";

UNCLOSED_COMMENT = 5, "a block comment does not end",
"`/*` opens a comment and `*/` ends it. Comments nest, so each `/*` inside wants a `*/` of its own.
wrong:  /* outer /* inner */ a + b
right:  /* outer /* inner */ */ a + b";

UNCLOSED_STRING = 6, "a string does not end",
"A string ends with `\"` on the line where it begins.
wrong:  einsum(\"ij,jk->ik, a, b)
right:  einsum(\"ij,jk->ik\", a, b)";

STRING_NOT_ALLOWED = 7, "a string where none can stand",
"Strings are arguments of functions, such as the spec of `einsum`, and nothing else. Options are bare
words.
wrong:  s = \"reflect\"; pad(x, [[1, 1]], mode=s)
right:  pad(x, [[1, 1]], mode=reflect)";

EMPTY_PROGRAM = 8, "the program is empty",
"A program is an expression, a block or one or more functions.
wrong:  // nothing but a comment
right:  a + b";

EXPECTED_EXPRESSION = 10, "an expression is missing",
"Something else stands where a value was expected.
wrong:  a * / b
right:  a / b";

EXPECTED_TOKEN = 11, "a token is missing",
"The grammar wants a certain token here, such as `;` after an assignment or `)` after the arguments.
wrong:  { y = x + 1 y * 2 }
right:  { y = x + 1; y * 2 }";

UNEXPECTED_TOKEN = 12, "a token that cannot stand here",
"Everything before this token is complete, and nothing that begins with it can follow.
wrong:  a b
right:  a * b";

UNCLOSED_DELIMITER = 13, "a bracket is not closed",
"Each `(`, `[` and `{` needs its `)`, `]` and `}`, in the right order.
wrong:  sum((a + b) * c
right:  sum((a + b) * c)";

CHAINED_COMPARISON = 14, "comparisons cannot be chained",
"A comparison of a comparison would compare truth values, which is hardly ever meant.
wrong:  0 < x < 1
right:  0 < x && x < 1";

RESERVED_WORD = 15, "a reserved word as a name",
"Keywords and the names of dtypes cannot name variables, functions, parameters or sizes.
wrong:  in = 3; f32 = x;
right:  input = 3; y = x;";

OTHER_LANGUAGE = 16, "a word of another language",
"The word is a keyword elsewhere and means nothing here.
wrong:  def f(x): return lambda y: None
right:  fn f(x) { x }";

LAMBDA_NOT_ALLOWED = 17, "a lambda where none can stand",
"A lambda is an argument of `vmap`, `scan`, `fold`, `grad` and their like. It is not a value: give it
a name by `fn`.
wrong:  f = |x| x**2; grad(f)(y)
right:  grad(|x| x**2)(y)";

BAD_ASSIGNMENT_TARGET = 18, "this cannot be assigned to",
"The left side is a name, names in parentheses, or a name with one pair of index brackets.
wrong:  x[0][1] = 2.0;  f(x) = 3;
right:  x[0, 1] = 2.0;  y = 3;";

RETURN_NOT_LAST = 19, "`return` is not the last statement",
"`return` ends a function and stands last in it, not in a loop or a branch. An `if` gives a value
instead.
wrong:  fn f(x: f64) -> f64 { if x > 0.0 { return x; } return -x }
right:  fn f(x: f64) -> f64 { if x > 0.0 { x } else { -x } }";

ASSIGNMENT_IN_EXPRESSION = 20, "an assignment inside an expression",
"`=` assigns and is a statement of its own; `==` compares.
wrong:  if x = 0.0 { 1.0 } else { x }
right:  if x == 0.0 { 1.0 } else { x }";

IF_WITHOUT_ELSE = 21, "an `if` that is a value needs an `else`",
"Without an `else` there would be no value when the condition is false.
wrong:  y = if n > 0 { a };
right:  y = if n > 0 { a } else { b };";

MIXED_FORMS = 22, "something beside the functions of a module",
"A program is one expression, one block, or functions only. Statements belong into a function.
wrong:  fn f(x) { x }  f(3)
right:  fn f(x) { x }  fn main() { f(3) }";

STATEMENT_OUTSIDE_BLOCK = 23, "a statement needs a block",
"An expression is written alone. Statements stand between `{` and `}`.
wrong:  y = x + 1; y * 2
right:  { y = x + 1; y * 2 }";

UNKNOWN_TYPE = 24, "not a dtype",
"A type begins with a dtype: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool, or a class of them:
float int num. Sizes follow in brackets.
wrong:  fn f(x: double[n]) { x }
right:  fn f(x: f64[n]) { x }";

BAD_DIM = 25, "not a dimension",
"A dimension is a size, a name, a sum, difference or product of these, `_` for any size, or `...` for
any number of dims; `_` and `...` stand alone, and `...` at most once.
wrong:  fn f(x: f64[n/2, _ + 1]) { x }
right:  fn f(x: f64[m, _]) { x }";

BAD_DEFAULT = 26, "a default must be a constant",
"A default is a number with or without a sign, `true`, `false`, `pi`, `inf`, `nan` or a list of
these.
wrong:  fn f(x: f64, y: f64 = x + 1) { x * y }
right:  fn f(x: f64, y: f64 = 1.0) { x * y }";

BAD_POSITIONAL = 27, "not a positional parameter",
"`$0`, `$1`, … are the positional parameters of an expression or block, numbered from 0 without gaps.
Functions name their parameters.
wrong:  fn f() { $0 + 1 }
right:  fn f(x) { x + 1 }";

EMPTY_INDEX = 28, "empty parentheses or brackets",
"An index, a tuple, a pattern and a lambda's parameters have at least one part.
wrong:  x[] + ()
right:  x[...]";

SEMICOLON_AFTER_VALUE = 29, "the value of a block is thrown away by `;`",
"The last expression of a block is its value when no `;` follows.
wrong:  fn f(x: f64) -> f64 { x + 1.0; }
right:  fn f(x: f64) -> f64 { x + 1.0 }";

DUPLICATE_ARGUMENT_NAME = 30, "two with the same name in one list",
"Each parameter, each name of a pattern and each named argument occurs once.
wrong:  sum(x, axis=0, axis=1)
right:  sum(x, axis=[0, 1])";

POSITIONAL_AFTER_NAMED = 31, "an argument without a name after one with a name",
"Arguments without names come first.
wrong:  sum(axis=0, x)
right:  sum(x, axis=0)";
}
