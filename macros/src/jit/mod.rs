//! Rust functions of arrays, as programs.
//!
//! The function is translated to the text of a program; what has no meaning there, or another one than in Rust, is an
//! error at its token. The function that is left calls the program.

mod expr;
mod kind;
mod methods;
mod signature;
mod stmt;
mod with;

use crate::report;
use crate::text::Text;
use expr::Translator;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use signature::Signature;
use syn::ItemFn;

pub(crate) use with::with;

/// The function that takes the place of the annotated one.
pub(crate) fn expand(attribute: &TokenStream, item: TokenStream) -> TokenStream {
    if let Some(token) = attribute.clone().into_iter().next() {
        return report::at((token.span(), token.span()), "`#[matex::jit]` takes no arguments");
    }
    match syn::parse2::<ItemFn>(item) {
        Ok(function) => finish(&function, &[]),
        Err(error) => error.into_compile_error(),
    }
}

/// Translates a function, given those that it may call. One that is not given is asked for: its own expansion left a macro
/// that hands its tokens over.
fn finish(function: &ItemFn, known: &[ItemFn]) -> TokenStream {
    let signature = match Signature::of(function) {
        Ok(signature) => signature,
        Err(error) => return error.into_compile_error(),
    };
    if let Some(wanted) =
        expr::calls(function).into_iter().find(|name| known.iter().all(|k| k.sig.ident != *name))
    {
        let hand_over = format_ident!("__matex_jit_{}", wanted, span = wanted.span());
        return quote_spanned! { wanted.span() => #hand_over! { [#(#known)*] #function } };
    }
    let mut text = Text::default();
    let mut errors = TokenStream::new();
    for one in known.iter().chain([function]) {
        match Signature::of(one) {
            Ok(signature) => translate(one, &signature, &mut text, &mut errors),
            Err(error) => errors.extend(error.into_compile_error()),
        }
    }
    if errors.is_empty() {
        errors = report::check(&text).err().unwrap_or_default();
    }
    // The head stays even so, lest every caller is an error too.
    let body = if errors.is_empty() {
        signature.call(text.source())
    } else {
        quote! { #errors ::core::unreachable!() }
    };
    let ItemFn { attrs, vis, sig, .. } = function;
    let hand_over = handed_over(function, known);
    quote! {
        #(#attrs)* #vis #sig { #body }
        #hand_over
    }
}

fn translate(function: &ItemFn, signature: &Signature, text: &mut Text, errors: &mut TokenStream) {
    signature.head(text);
    let mut translator = Translator::new(text, signature);
    translator.body(&function.block);
    for error in translator.errors {
        errors.extend(error.into_compile_error());
    }
}

/// The macro by which other functions get the tokens of this one and of those that it calls.
fn handed_over(function: &ItemFn, known: &[ItemFn]) -> TokenStream {
    let name = format_ident!("__matex_jit_{}", function.sig.ident, span = Span::call_site());
    quote! {
        #[allow(unused_macros, reason = "another function may call this one, or none")]
        macro_rules! #name {
            ([$($known:tt)*] $($then:tt)*) => {
                ::matex::__private::jit_with! { [#(#known)* #function] [$($known)*] $($then)* }
            };
        }
    }
}
