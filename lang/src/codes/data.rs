//! E07xx: linear algebra, and E08xx: files and data.

super::codes! {
NOT_SQUARE = 701, "a matrix is not square",
"The sizes of the matrix are known at the call only, and are not equal. `lstsq` solves rectangular
systems.
wrong:  matex eval 'inv(2 * eye(n, m))' n=2 m=3
right:  matex eval 'pinv(2 * eye(n, m))' n=2 m=3";

SINGULAR = 702, "a matrix is singular",
"A pivot of the elimination is exactly zero; the note tells which one. There is no inverse and no
single solution.
wrong:  solve([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0])
right:  lstsq([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0])";

NOT_POSITIVE_DEFINITE = 703, "a matrix is not positive definite",
"`cholesky` wants a symmetric matrix whose leading minors are all positive; the note tells the first
that is not.
wrong:  cholesky([[1.0, 2.0], [2.0, 1.0]])
right:  lu([[1.0, 2.0], [2.0, 1.0]])";

NON_FINITE_INPUT = 704, "NaN or infinity in a matrix",
"Factorizations of such matrices mean nothing. The note tells the first place.
wrong:  inv([[nan, 0.0], [0.0, 1.0]])
right:  inv(where(isnan(A), 0.0, A))";

NO_CONVERGENCE = 705, "an iteration did not converge",
"The eigenvalues or singular values were not found within the iterations that LAPACK allows. Scaling
the matrix may help.";

SINGULAR_TRIANGULAR = 706, "a triangular matrix is singular",
"An element on the diagonal is exactly zero; the note tells which one.
wrong:  solve_triangular([[0.0, 1.0], [0.0, 1.0]], b)
right:  solve_triangular([[2.0, 1.0], [0.0, 1.0]], b)";

REPEATED_VALUES = 707, "a derivative of vectors that belong to equal values",
"Eigenvectors and singular vectors of equal values are not unique, so that they have no derivative. The
values themselves, and what does not depend on the choice of the vectors, can be differentiated.
wrong:  grad(|A| { (w, v) = eigh(A); sum(v) })(eye(2))
right:  grad(|A| sum(eigvalsh(A)))(eye(2))";

MORE_COLUMNS = 708, "the derivative of a least-squares solution that is one of many",
"`lstsq` of a matrix with more columns than rows gives one of many solutions, which has no derivative.
Add equations, as `lstsq(concat([A, r * eye(k)]), concat([b, zeros(k)]))` does.";

ILL_CONDITIONED = 709, "a matrix is nearly singular",
"A warning, and the result comes with it. Rounding errors of the matrix are multiplied by its condition
number: from 1/eps on (4.5e15 for f64, 8.4e6 for f32), no digit of the result need be right.
doubtful:  solve(X.T @ X, X.T @ y)
better:    lstsq(X, y)";

RANK_DEFICIENT = 710, "a least-squares problem has many solutions",
"A warning, and the result comes with it. Some columns depend on others, as far as rounding errors let
it be told, and their unknowns are 0. `rcond=` says from which relative size on a pivot counts.
doubtful:  lstsq([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], y)
right:     lstsq([[1.0], [2.0], [3.0]], y), or pinv(X) @ y for the solution of least length";

FILE_MISSING = 801, "a file cannot be read",
"The file is not there, or may not be read. Paths are relative to the directory where the program was
started.
wrong:  matex eval 'sum(a)' a=dta.npy
right:  matex eval 'sum(a)' a=data.npy";

FILE_MALFORMED = 802, "a file is malformed",
"Its contents are not what its name or its header says. The note tells where.";

FILE_UNKNOWN_FORMAT = 803, "an unknown kind of file",
"The formats are known by the end of the name: .npy, .npz, .csv.
wrong:  matex eval 'sum(a)' a=data.xlsx
right:  matex eval 'sum(a)' a=data.csv";

COLUMN_NOT_THERE = 804, "no such column",
"The table has no column of that name; the note lists those it has.
wrong:  matex eval 'mean(x)' x=data.csv:hieght
right:  matex eval 'mean(x)' x=data.csv:height";

NUMBER_DOES_NOT_PARSE = 805, "a number does not parse",
"A cell or an argument is not a number. The note tells the line and the column.
wrong:  matex eval 'x * 2' x=1,5
right:  matex eval 'x * 2' x=1.5";

FILE_DTYPE = 806, "a file has elements of an unsupported type",
"Supported are floats of 16, 32 and 64 bits, integers of 8 to 64 bits, and bool. Objects, strings and
complex numbers are not.";

FILE_NOT_WRITTEN = 807, "a file cannot be written",
"The place does not exist, may not be written, or is full.";

ARRAY_NOT_IN_FILE = 808, "no such array in the file",
"The .npz has no array of that name; the note lists those it has.
wrong:  matex eval 'sum(a)' a=model.npz:wieghts
right:  matex eval 'sum(a)' a=model.npz:weights";

FILE_TOO_LARGE = 809, "a file is too large",
"Its header promises more elements or bytes than `Limits::elements` or `Limits::bytes` allow, or than
it holds.";

RAGGED_TABLE = 810, "the rows of a table differ in length",
"Each line of a .csv has the same number of cells. The note tells the first line that has not.";
}
