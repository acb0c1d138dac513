//! The language inside Rust: programs that are parsed and checked while the crate that holds them is built.
//!
//! [`macro@compile`] takes the language itself, and [`macro@jit`] a Rust function of arrays. Both write the text of a program
//! (`text` remembers which token each byte came from), have `lang` check it, and report what is wrong at the
//! tokens of the user (`report`). The program's text is what is left at run time: one way into the
//! compiler, and so the same IR as that of the string. Use them through the crate `matex`.
#![forbid(unsafe_code)]

mod closure;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has a meaning is listed; the syntax of Rust grows, and the rest of it has none"
)]
mod jit;
mod report;
mod text;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use quote::quote;

/// A program in the language of matex, checked by rustc: an expression, a block, a module of functions, or a closure.
///
/// Use it as `matex::compile!`; the manual stands there.
#[proc_macro]
pub fn compile(input: TokenStream) -> TokenStream {
    let text = closure::program(input.into());
    let expanded = match report::check(&text) {
        Ok(()) => {
            let source = text.source();
            quote! {{
                static PROGRAM: ::matex::__private::Program =
                    ::matex::__private::Program::new(#source, ::core::concat!(::core::file!(), ":", ::core::line!()));
                PROGRAM.function()
            }}
        }
        Err(errors) => quote! {{ #errors }},
    };
    expanded.into()
}

/// Compiles a Rust function of arrays with matex.
///
/// Use it as `#[matex::jit]`; the manual stands there.
#[proc_macro_attribute]
pub fn jit(attribute: TokenStream, item: TokenStream) -> TokenStream {
    jit::expand(&attribute.into(), item.into()).into()
}

/// The second half of [`macro@jit`] for a function that calls others; not for people.
#[doc(hidden)]
#[proc_macro]
pub fn jit_with(input: TokenStream) -> TokenStream {
    jit::with(input.into()).into()
}
