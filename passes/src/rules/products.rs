//! Sums of products: transposes go into the axes, chains take the cheaper order, a diagonal needs no whole product.

use super::diagonals::picked_from;
use super::{Root, Rule, code, many};
use crate::algebra::{Graph, Pairs, Structure, Tag};
use crate::options::Tier::{Default, Exact, Fast};
use crate::rules::Site;
use egg::Id;
use matex_ir::Op;
use matex_ir::tensor::Kind;

const DOT: Root = Root::Tag(Tag::Dot);

pub(super) const RULES: &[Rule] = &[
    many("dot-permute", Exact, "x.T @ y sums over the other axis of x", DOT, &[Tag::Permute], dot_permute),
    code("permute-dot", Default, "(A @ B).T = B.T @ A.T", Root::Tag(Tag::Permute), &[Tag::Dot], permute_dot),
    many("associate-right", Default, "(A @ B) @ C = A @ (B @ C)", DOT, &[], associate_right),
    many("associate-left", Default, "A @ (B @ C) = (A @ B) @ C", DOT, &[], associate_left),
    many("dot-identity", Default, "A @ eye(n) = A, eye(n) @ A = A", DOT, &[Tag::Iota], dot_identity),
    code(
        "dot-diagonal",
        Default,
        "D @ A = diagonal(D)[:, newaxis] * A, A @ D = A * diagonal(D) for diagonal D",
        DOT,
        &[],
        dot_diagonal,
    ),
    code(
        "dot-outer",
        Exact,
        "outer(x, y) = x[:, newaxis] * y, a product that sums nothing",
        DOT,
        &[],
        dot_outer,
    )
    .directed(),
    code(
        "diagonal-dot",
        Default,
        "diagonal(A @ B) = sum(A * B.T, axis=1)",
        Root::Tag(Tag::Other),
        &[Tag::Dot, Tag::Iota],
        diagonal_dot,
    ),
    many(
        "dot-scaled",
        Fast,
        "(x * c) @ y = (x @ y) * c, c one number",
        DOT,
        &[Tag::Map(Op::Mul), Tag::Broadcast],
        dot_scaled,
    ),
];

/// A sum of products, taken apart.
struct Product {
    a: Id,
    b: Id,
    batch: Pairs,
    contract: Pairs,
}

impl Product {
    fn new(graph: &Graph, node: &crate::algebra::TensorLang) -> Option<Product> {
        let Kind::Dot { batch, contract } = graph.kind(node) else { return None };
        Some(Product { a: *node.args.first()?, b: *node.args.get(1)?, batch, contract })
    }

    /// All products in a class that have no batch axes.
    fn plain(graph: &Graph, id: Id) -> Vec<Product> {
        let all = graph.nodes(id, Tag::Dot).into_iter().filter_map(|n| Product::new(graph, &n));
        all.filter(|p| p.batch.is_empty()).collect()
    }

    /// The free axes of the left or the right factor.
    fn free(&self, graph: &Graph, left: bool) -> Vec<usize> {
        let side = |(l, r): &(usize, usize)| if left { *l } else { *r };
        let x = if left { self.a } else { self.b };
        (0..graph.rank(x))
            .filter(|i| self.batch.iter().chain(&self.contract).all(|p| side(p) != *i))
            .collect()
    }
}

fn is_sorted(axes: &[usize]) -> bool {
    axes.windows(2).all(|w| w[0] < w[1])
}

/// Only where the free axes keep their order, so that the result has its axes where they were.
fn dot_permute(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some(p) = Product::new(graph, &site.node) else { return Vec::new() };
    let mut out = Vec::new();
    for left in [true, false] {
        let x = if left { p.a } else { p.b };
        let Some((inner, Kind::Permute(perm))) = graph.node(x, Tag::Permute) else { continue };
        let free: Vec<usize> = p.free(graph, left).iter().map(|a| perm[*a]).collect();
        if !is_sorted(&free) {
            continue;
        }
        let turned = |pairs: &Pairs| -> Pairs {
            let one = |(l, r): &(usize, usize)| if left { (perm[*l], *r) } else { (*l, perm[*r]) };
            pairs.iter().map(one).collect()
        };
        let (batch, contract) = (turned(&p.batch), turned(&p.contract));
        let (a, b) = if left { (inner.args[0], p.b) } else { (p.a, inner.args[0]) };
        out.push(graph.dot(a, b, batch, contract));
    }
    out
}

/// The factors of a product whose result has the axes of one before those of the other are exchanged.
fn permute_dot(graph: &mut Graph, site: &Site) -> Option<Id> {
    let Kind::Permute(perm) = graph.kind(&site.node) else { return None };
    let node = graph.nodes(site.node.args[0], Tag::Dot).into_iter().next()?;
    let p = Product::new(graph, &node)?;
    let (fixed, fa, fb) = (p.batch.len(), p.free(graph, true).len(), p.free(graph, false).len());
    let expected = (0..fixed).chain(fixed + fa..fixed + fa + fb).chain(fixed..fixed + fa);
    if !expected.eq(perm.iter().copied()) {
        return None;
    }
    let swapped = |pairs: &Pairs| -> Pairs { pairs.iter().map(|(l, r)| (*r, *l)).collect() };
    let (batch, contract) = (swapped(&p.batch), swapped(&p.contract));
    Some(graph.dot(p.b, p.a, batch, contract))
}

/// The place of an axis among those that are left.
fn place(axis: usize, gone: &[usize]) -> usize {
    axis - gone.iter().filter(|g| **g < axis).count()
}

/// `(a . b) . c`, summed over axes of one of `a` and `b`: that one meets `c` first.
fn associate_right(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some(outer) = Product::new(graph, &site.node).filter(|p| p.batch.is_empty()) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for inner in Product::plain(graph, outer.a) {
        let (fa, fb) = (inner.free(graph, true), inner.free(graph, false));
        let free_c = outer.free(graph, false);
        if outer.contract.iter().all(|(l, _)| *l >= fa.len()) {
            let met: Pairs = outer.contract.iter().map(|(l, r)| (fb[l - fa.len()], *r)).collect();
            let gone: Vec<usize> = met.iter().map(|(l, _)| *l).collect();
            let right = graph.dot(inner.b, outer.b, Vec::new(), met);
            let contract = inner.contract.iter().map(|(l, r)| (*l, place(*r, &gone))).collect();
            out.push(graph.dot(inner.a, right, Vec::new(), contract));
        } else if outer.contract.iter().all(|(l, _)| *l < fa.len()) && (free_c.is_empty() || fb.is_empty()) {
            let met: Pairs = outer.contract.iter().map(|(l, r)| (fa[*l], *r)).collect();
            let gone: Vec<usize> = met.iter().map(|(l, _)| *l).collect();
            let left = graph.dot(inner.a, outer.b, Vec::new(), met);
            let contract = inner.contract.iter().map(|(l, r)| (place(*l, &gone), *r)).collect();
            out.push(graph.dot(left, inner.b, Vec::new(), contract));
        }
    }
    out
}

/// `c . (a . b)`, summed over axes of one of `a` and `b`: that one meets `c` first.
fn associate_left(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some(outer) = Product::new(graph, &site.node).filter(|p| p.batch.is_empty()) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for inner in Product::plain(graph, outer.b) {
        let (fa, fb) = (inner.free(graph, true), inner.free(graph, false));
        let free_c = outer.free(graph, true);
        if outer.contract.iter().all(|(_, r)| *r < fa.len()) {
            let met: Pairs = outer.contract.iter().map(|(l, r)| (*l, fa[*r])).collect();
            let gone: Vec<usize> = met.iter().map(|(_, r)| *r).collect();
            let left = graph.dot(outer.a, inner.a, Vec::new(), met);
            let contract =
                inner.contract.iter().map(|(l, r)| (free_c.len() + place(*l, &gone), *r)).collect();
            out.push(graph.dot(left, inner.b, Vec::new(), contract));
        } else if outer.contract.iter().all(|(_, r)| *r >= fa.len()) && (free_c.is_empty() || fa.is_empty()) {
            let met: Pairs = outer.contract.iter().map(|(l, r)| (fb[r - fa.len()], *l)).collect();
            let gone: Vec<usize> = met.iter().map(|(l, _)| *l).collect();
            let right = graph.dot(inner.b, outer.a, Vec::new(), met);
            let contract = inner.contract.iter().map(|(l, r)| (*l, place(*r, &gone))).collect();
            out.push(graph.dot(inner.a, right, Vec::new(), contract));
        }
    }
    out
}

/// A product with the identity: the other factor, its summed axis where that of the identity is.
fn dot_identity(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some(p) = Product::new(graph, &site.node).filter(|p| p.batch.is_empty()) else { return Vec::new() };
    let [(l, r)] = p.contract.as_slice() else { return Vec::new() };
    let identity = |x: Id| graph.rank(x) == 2 && graph.has(x, Structure::IDENTITY);
    let rank = |x: Id| graph.rank(x);
    let mut out = Vec::new();
    if identity(p.b) {
        let perm = (0..rank(p.a)).filter(|i| i != l).chain([*l]).collect();
        out.push(graph.permute(p.a, perm));
    } else if identity(p.a) {
        let perm = [*r].into_iter().chain((0..rank(p.b)).filter(|i| i != r)).collect();
        out.push(graph.permute(p.b, perm));
    }
    out
}

/// A factor that is zero beside its diagonal scales the other one along the axis that is summed. A NaN or an infinity of the other
/// one stays where it is: by the zeros beside the diagonal the product has a NaN in the whole row or column.
fn dot_diagonal(graph: &mut Graph, site: &Site) -> Option<Id> {
    let p = Product::new(graph, &site.node).filter(|p| p.batch.is_empty())?;
    let [(l, r)] = *p.contract.as_slice() else { return None };
    let diagonal =
        |x: Id| graph.rank(x) == 2 && graph.has(x, Structure::DIAGONAL) && !graph.has(x, Structure::IDENTITY);
    let (d, x, summed, left) = if diagonal(p.b) { (p.b, p.a, l, false) } else { (p.a, p.b, r, true) };
    if !diagonal(d) {
        return None;
    }
    let d = graph.diagonal(d)?;
    let free = (0..graph.rank(x)).filter(|i| *i != summed);
    let perm: Vec<usize> =
        if left { [summed].into_iter().chain(free).collect() } else { free.chain([summed]).collect() };
    let along = if left { 0 } else { perm.len() - 1 };
    let x = graph.permute(x, perm);
    let shape = graph.shape(x).to_vec();
    let factor = graph.broadcast(d, shape, vec![along]);
    Some(graph.map(Op::Mul, &[x, factor]))
}

/// Each element is one product, which any kernel may compute where it is used.
fn dot_outer(graph: &mut Graph, site: &Site) -> Option<Id> {
    let p = Product::new(graph, &site.node).filter(|p| p.contract.is_empty())?;
    let shape = graph.shape(site.class).to_vec();
    let n = p.batch.len();
    let (fa, fb) = (p.free(graph, true), p.free(graph, false));
    let middle = n + fa.len();
    let of_a: Vec<usize> = p.batch.iter().map(|(l, _)| *l).chain(fa).collect();
    let of_b: Vec<usize> = p.batch.iter().map(|(_, r)| *r).chain(fb).collect();
    let (a, b) = (graph.permute(p.a, of_a), graph.permute(p.b, of_b));
    let a = graph.broadcast(a, shape.clone(), (0..middle).collect());
    let b = graph.broadcast(b, shape.clone(), (0..n).chain(middle..shape.len()).collect());
    Some(graph.map(Op::Mul, &[a, b]))
}

/// Each element of the diagonal is one sum.
fn diagonal_dot(graph: &mut Graph, site: &Site) -> Option<Id> {
    let x = picked_from(graph, site).filter(|x| graph.rank(*x) == 2)?;
    let p = Product::plain(graph, x).into_iter().next()?;
    let ([fa], [fb]) = (&*p.free(graph, true), &*p.free(graph, false)) else { return None };
    let picked = graph.dot(p.a, p.b, vec![(*fa, *fb)], p.contract);
    let shape = graph.shape(site.class).to_vec();
    Some(graph.reshape(picked, shape))
}

/// One number that a factor is multiplied by may as well multiply the product.
fn dot_scaled(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some(p) = Product::new(graph, &site.node).filter(|p| graph.is_float(p.a)) else { return Vec::new() };
    let mut out = Vec::new();
    for left in [true, false] {
        for scaled in graph.nodes(if left { p.a } else { p.b }, Tag::Map(Op::Mul)) {
            for (x, c) in [(0, 1), (1, 0)].map(|(i, j)| (scaled.args[i], scaled.args[j])) {
                let one = graph.repetitions(c).into_iter().find(|(_, axes)| axes.is_empty());
                let Some((number, _)) = one else { continue };
                let (a, b) = if left { (x, p.b) } else { (p.a, x) };
                let product = graph.dot(a, b, p.batch.clone(), p.contract.clone());
                let shape = graph.shape(product).to_vec();
                let factor = graph.broadcast(number, shape, Vec::new());
                out.push(graph.map(Op::Mul, &[product, factor]));
            }
        }
    }
    out
}
