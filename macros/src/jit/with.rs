//! The second half of the way to a function that calls others: their tokens have arrived.

use super::finish;
use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{ItemFn, bracketed};

/// What a function's macro hands over: itself with those it calls, what is known already, and who asked.
struct Given {
    known: Vec<ItemFn>,
    function: ItemFn,
}

impl Parse for Given {
    fn parse(input: ParseStream<'_>) -> syn::Result<Given> {
        let mut known: Vec<ItemFn> = Vec::new();
        let (arrived, before);
        bracketed!(arrived in input);
        bracketed!(before in input);
        for list in [before, arrived] {
            while !list.is_empty() {
                let one: ItemFn = list.parse()?;
                if known.iter().all(|k| k.sig.ident != one.sig.ident) {
                    known.push(one);
                }
            }
        }
        Ok(Given { known, function: input.parse()? })
    }
}

/// Goes on with a function, with one more of those that it calls.
pub(crate) fn with(tokens: TokenStream) -> TokenStream {
    match syn::parse2::<Given>(tokens) {
        Ok(given) => finish(&given.function, &given.known),
        Err(error) => error.into_compile_error(),
    }
}
