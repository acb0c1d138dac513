//! The closure form of a program: `|x: f32[n], y: f32[n]| { … }` is a function without a name.

use crate::text::Text;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// The program of the tokens of `compile!`. What is no closure is a program already.
pub(crate) fn program(tokens: TokenStream) -> Text {
    let all: Vec<TokenTree> = tokens.into_iter().collect();
    if !all.first().is_some_and(is_bar) {
        return Text::of(all.into_iter().collect());
    }
    // A type has no bars in it, so the next one ends the parameters.
    let Some(close) = all.iter().skip(1).position(is_bar).map(|at| at + 1) else {
        return Text::of(all.into_iter().collect());
    };
    let mut text = Text::default();
    text.push("fn main(", all[0].span());
    text.tokens(all[1..close].iter().cloned().collect());
    text.push(") ", all[close].span());
    let rest = &all[close + 1..];
    let body = body_start(rest);
    text.tokens(rest[..body].iter().cloned().collect());
    let braced = rest.len() == body + 1 && rest[body..].iter().all(is_braces);
    let (open, end) = (span_of(rest.get(body)), span_of(rest.last()));
    if !braced {
        text.push(" { ", open);
    }
    text.tokens(rest[body..].iter().cloned().collect());
    if !braced {
        text.push(" }", end);
    }
    text
}

/// Where the body begins: behind the type of the result, if there is one. A type is a word with brackets, or
/// parentheses around such.
fn body_start(rest: &[TokenTree]) -> usize {
    let arrow = rest.len() > 2 && is_punct(&rest[0], '-') && is_punct(&rest[1], '>');
    if !arrow {
        return 0;
    }
    let bracketed = |t: &TokenTree| matches!(t, TokenTree::Group(g) if g.delimiter() == Delimiter::Bracket);
    if rest.get(3).is_some_and(bracketed) { 4 } else { 3 }
}

fn is_bar(token: &TokenTree) -> bool {
    is_punct(token, '|')
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == c)
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace)
}

fn span_of(token: Option<&TokenTree>) -> Span {
    token.map_or_else(Span::call_site, TokenTree::span)
}
