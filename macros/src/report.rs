//! What is wrong with a program, said at the tokens of the user.

use crate::text::Text;
use matex_lang::{Diagnostic, Limits, Unit, render};
use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote;

/// Checks a program as far as it can be without arguments.
///
/// # Errors
/// One `compile_error!` for each label of each diagnostic.
pub(crate) fn check(text: &Text) -> Result<(), TokenStream> {
    match Unit::new(text.source(), None, &Limits::default()) {
        Ok(_) => Ok(()),
        Err(diagnostics) => Err(diagnostics.iter().map(|d| errors(text, d)).collect()),
    }
}

/// The first label carries the whole drawing, and the others say what they are about.
fn errors(text: &Text, diagnostic: &Diagnostic) -> TokenStream {
    let drawing = render::render(std::slice::from_ref(diagnostic), "<program>", text.source(), false);
    // rustc writes `error: ` itself.
    let drawing = drawing.trim_end().trim_start_matches("error");
    let mut labels: Vec<_> = diagnostic.labels.iter().collect();
    labels.sort_by_key(|label| !label.primary);
    let Some((first, others)) = labels.split_first() else {
        return at((Span::call_site(), Span::call_site()), drawing);
    };
    let place = |label: &matex_lang::Label| text.spans(label.span.start as usize..label.span.end as usize);
    let mut all = at(place(first), drawing);
    for label in others.iter().filter(|l| !l.message.is_empty()) {
        all.extend(at(place(label), &format!("{}: {}", diagnostic.code, label.message)));
    }
    all
}

/// `compile_error!` at the tokens from one to another.
pub(crate) fn at((start, end): (Span, Span), message: &str) -> TokenStream {
    let mut call = TokenStream::new();
    for (i, name) in ["core", "compile_error"].into_iter().enumerate() {
        let colons = [Punct::new(':', Spacing::Joint), Punct::new(':', Spacing::Alone)];
        call.extend(colons.map(|mut p| {
            p.set_span(start);
            TokenTree::Punct(p)
        }));
        call.extend([TokenTree::Ident(Ident::new(name, if i == 0 { start } else { end }))]);
    }
    // rustc underlines from the first token of the call to the last one.
    let mut bang = Punct::new('!', Spacing::Alone);
    bang.set_span(start);
    let mut body = Group::new(Delimiter::Brace, quote!(#message));
    body.set_span(end);
    call.extend([TokenTree::Punct(bang), TokenTree::Group(body)]);
    call
}
