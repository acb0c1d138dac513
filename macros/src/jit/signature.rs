//! The head of a function: Rust types and the types of the language.

use super::kind::Kind;
use crate::text::Text;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{
    Error, Expr, FnArg, GenericArgument, Ident, ItemFn, Lit, Pat, PathArguments, ReturnType, Type, TypePath,
};

/// A function's head, understood.
pub(super) struct Signature {
    pub(super) name: Ident,
    pub(super) params: Vec<Param>,
    /// The result's type without a `Result` around it, and whether there was one.
    result: TokenStream,
    fallible: bool,
}

/// A parameter.
pub(super) struct Param {
    pub(super) name: Ident,
    pub(super) kind: Kind,
    /// In the language.
    ty: String,
    /// In Rust, without a reference.
    rust: TokenStream,
    by_value: bool,
}

impl Signature {
    pub(super) fn of(function: &ItemFn) -> syn::Result<Signature> {
        let sig = &function.sig;
        let refused: [(&dyn ToTokens, bool, &str); 4] = [
            (&sig.generics.params, !sig.generics.params.is_empty(), "a compiled function is not generic"),
            (&sig.asyncness, sig.asyncness.is_some(), "a compiled function is not async"),
            (&sig.variadic, sig.variadic.is_some(), "a compiled function takes a fixed number of arguments"),
            (&sig.unsafety, sig.unsafety.is_some(), "a compiled function is safe"),
        ];
        if let Some((tokens, _, why)) = refused.into_iter().find(|r| r.1) {
            return Err(Error::new_spanned(tokens.to_token_stream(), why));
        }
        if super::methods::is_builtin(&sig.ident.to_string()) {
            let why = format!("`{}` is a function of the language: give this one another name", sig.ident);
            return Err(Error::new_spanned(&sig.ident, why));
        }
        let params = sig.inputs.iter().map(param).collect::<syn::Result<_>>()?;
        let ReturnType::Type(_, ty) = &sig.output else {
            return Err(Error::new_spanned(
                &sig.ident,
                "a compiled function has a result: write its type behind `->`",
            ));
        };
        let inner = result_of(ty);
        let result = inner.unwrap_or(ty).to_token_stream();
        Ok(Signature { name: sig.ident.clone(), params, result, fallible: inner.is_some() })
    }

    /// Writes the head in the language.
    pub(super) fn head(&self, text: &mut Text) {
        let span = self.name.span();
        text.push(&format!("fn {}(", self.name), span);
        for (i, p) in self.params.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            text.push(&format!("{comma}{}: {}", p.name, p.ty), p.name.span());
        }
        text.push(") ", span);
    }

    /// The body that is left: a call of the program.
    pub(super) fn call(&self, source: &str) -> TokenStream {
        let types = self.params.iter().map(|p| &p.rust);
        let args = self.params.iter().map(|p| {
            let name = &p.name;
            if p.by_value { quote!(&#name) } else { quote!(#name) }
        });
        let result = &self.result;
        let called = quote! { PROGRAM.get().and_then(|f| f(#(#args),*)) };
        let done = if self.fallible {
            called
        } else {
            quote! { ::matex::__private::value(#called) }
        };
        quote! {
            static PROGRAM: ::matex::__private::Jit<fn(#(&#types),*) -> #result> =
                ::matex::__private::Jit::new(#source, ::core::concat!(::core::file!(), ":", ::core::line!()));
            #done
        }
    }
}

fn param(arg: &FnArg) -> syn::Result<Param> {
    let FnArg::Typed(arg) = arg else {
        return Err(Error::new_spanned(arg, "a compiled function is not a method"));
    };
    let Pat::Ident(pat) = &*arg.pat else {
        return Err(Error::new_spanned(&arg.pat, "a parameter is a name"));
    };
    let given = if let Type::Group(group) = &*arg.ty { &*group.elem } else { &*arg.ty };
    let (ty, by_value) = match given {
        Type::Reference(r) if r.mutability.is_some() => {
            return Err(Error::new_spanned(r, "nothing is written through arguments: return the new value"));
        }
        Type::Reference(r) => (&*r.elem, false),
        other => (other, true),
    };
    let (text, kind) = language_type(ty)?;
    Ok(Param { name: pat.ident.clone(), kind, ty: text, rust: ty.to_token_stream(), by_value })
}

/// What it is for people who try another type.
const TYPES: &str = "values are numbers, slices, arrays, `Vec`s and ndarray's arrays of f32, f64, bool or integers of fixed width";

/// The type in the language, and the kind of its elements.
pub(super) fn language_type(ty: &Type) -> syn::Result<(String, Kind)> {
    let unknown = || Error::new_spanned(ty, TYPES);
    // A macro by example passes types on in an invisible group.
    if let Type::Group(group) = ty {
        return language_type(&group.elem);
    }
    if let Type::Slice(slice) = ty {
        let (element, kind) = element(&slice.elem)?;
        return Ok((format!("{element}[_]"), kind));
    }
    if let Type::Array(array) = ty {
        let (inner, kind) = language_type(&array.elem)?;
        let n = extent(&array.len)
            .ok_or_else(|| Error::new_spanned(&array.len, "write the length as a number"))?;
        return Ok(match inner.split_once('[') {
            Some((element, dims)) => (format!("{element}[{n}, {dims}"), kind),
            None => (format!("{inner}[{n}]"), kind),
        });
    }
    let Type::Path(path) = ty else { return Err(unknown()) };
    let Some(last) = path.path.segments.last() else { return Err(unknown()) };
    let name = last.ident.to_string();
    let Some(rank) = rank_of(&name) else {
        if ["DMatrix", "DVector", "Matrix", "Mat", "MatRef", "Col"].contains(&name.as_str()) {
            let why =
                "`*` of this type is the matrix product, which is `@` in the language: use `matex::compile!`";
            return Err(Error::new_spanned(ty, why));
        }
        return element(ty);
    };
    let Some(inner) = first_argument(path) else { return Err(unknown()) };
    let (element, kind) = element(inner)?;
    let dims = rank.map_or("...".to_owned(), |rank| vec!["_"; rank].join(", "));
    Ok((if rank == Some(0) { element } else { format!("{element}[{dims}]") }, kind))
}

fn element(ty: &Type) -> syn::Result<(String, Kind)> {
    let name = match ty {
        Type::Group(group) => return element(&group.elem),
        Type::Path(p) => p.path.get_ident().map(ToString::to_string),
        _ => None,
    };
    name.and_then(|n| Kind::of(&n).map(|kind| (n, kind))).ok_or_else(|| Error::new(ty.span(), TYPES))
}

/// How many axes an array of that name has; `None` inside for any number of them.
fn rank_of(name: &str) -> Option<Option<usize>> {
    Some(match name {
        "Array0" => Some(0),
        "Array1" | "Vec" => Some(1),
        "Array2" => Some(2),
        "Array3" => Some(3),
        "Array4" => Some(4),
        "Array5" => Some(5),
        "Array6" => Some(6),
        "ArrayD" => None,
        _ => return None,
    })
}

fn first_argument(path: &TypePath) -> Option<&Type> {
    let PathArguments::AngleBracketed(args) = &path.path.segments.last()?.arguments else { return None };
    args.args.iter().find_map(|a| if let GenericArgument::Type(t) = a { Some(t) } else { None })
}

fn extent(len: &Expr) -> Option<u64> {
    let Expr::Lit(lit) = len else { return None };
    if let Lit::Int(n) = &lit.lit { n.base10_parse().ok() } else { None }
}

/// The type inside of a `Result`.
fn result_of(ty: &Type) -> Option<&Type> {
    if let Type::Group(group) = ty {
        return result_of(&group.elem);
    }
    let Type::Path(path) = ty else { return None };
    if path.path.segments.last()?.ident == "Result" { first_argument(path) } else { None }
}
