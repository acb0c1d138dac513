//! What rustc says of a wrong program: at the program's own tokens, in the words of the language.

#[test]
fn errors_stand_at_the_tokens_of_the_user() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
