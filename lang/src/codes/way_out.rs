//! What to do about errors that only a call finds: where they are found nothing is known of the program's text.

use super::*;

/// The help line of an error that a call made, by its code and, where one code has several causes, by its message.
///
/// ```
/// use matex_lang::codes;
///
/// assert!(codes::way_out(codes::SINGULAR, "").unwrap().contains("lstsq"));
/// ```
pub fn way_out(code: Code, message: &str) -> Option<&'static str> {
    const WAYS: &[(Code, &str)] = &[
        (SQUEEZE_NOT_ONE, "only axes of size 1 can be dropped; index it, as in x[0], to take one part"),
        (RESHAPE_SIZE, "keep the number of elements; -1 stands for the size that makes it fit"),
        (BAD_SPLIT, "give the indices where parts begin: split(x, [2])"),
        (
            EMPTY_REDUCTION,
            "give it at least one element, or join one that changes nothing: max(concat([x, [-inf]]))",
        ),
        (INDEX_OUT_OF_RANGE, "an axis of n elements has the indices 0 to n - 1, or -n to -1 from the end"),
        (SLICE_OUT_OF_RANGE, "bounds run from 0 to the size of the axis, and are never clamped"),
        (LIMIT_ELEMENTS, "look for an unwanted broadcast, or allow more with `Limits::elements`"),
        (LIMIT_BYTES, "work on a part at a time, in a narrower dtype, or allow more with `Limits::bytes`"),
        (LIMIT_CODE_BYTES, "split the program, or allow more with `Limits::code_bytes`"),
        (CALL_SIZE, "give it the declared size, or declare the size that it has"),
        (CALL_SIZE_NEGATIVE, "sizes are 0 or more: give values that make it so, or write maximum(k, 0)"),
        (OUT_OF_MEMORY, "work on a part at a time, or in a narrower dtype"),
        (NOT_SQUARE, "write lstsq(A, b) for a rectangular system, and pinv(A) for an inverse of it"),
        (SINGULAR, "write lstsq(A, b) for a system, and pinv(A) for an inverse: they take any matrix"),
        (
            NOT_POSITIVE_DEFINITE,
            "write lu(A) or solve(A, b) for other matrices; A + 1e-9 * eye(n) where rounding is to blame",
        ),
        (NON_FINITE_INPUT, "look where it comes from, or write where(isfinite(A), A, 0.0)"),
        (NO_CONVERGENCE, "scale the matrix, as in A / max(abs(A))"),
        (SINGULAR_TRIANGULAR, "give a diagonal without 0, or write lstsq(A, b)"),
        (REPEATED_VALUES, "differentiate the values alone, by eigvalsh(A) or svdvals(A), or move them apart"),
        (MORE_COLUMNS, "add equations: lstsq(concat([A, r * eye(k)]), concat([b, zeros(k)]))"),
    ];
    if code == RUNTIME_DOMAIN {
        return crate::check::help_of_domain(message);
    }
    WAYS.iter().find(|(c, _)| *c == code).map(|(_, help)| *help)
}
