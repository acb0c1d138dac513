//! Diagonals, and what little of a matrix a determinant needs: no whole matrix is made for its diagonal, none is multiplied by one
//! that has nothing beside its own, and the determinant of a matrix with structure takes no elimination, or half of one.

use super::{Root, Rule, code};
use crate::algebra::{Graph, Structure, Tag, is_diagonal_mask};
use crate::options::Tier::{Default, Exact};
use crate::rules::Site;
use egg::Id;
use matex_ir::tensor::{Kind, LibOp, ReduceOp};
use matex_ir::{DType, Dim, Op};

const PRODUCT: Root = Root::Tag(Tag::Map(Op::Mul));
const SUM: Root = Root::Tag(Tag::Reduce(ReduceOp::Sum));
const FACTORS: &[Tag] = &[Tag::Lib, Tag::Proj];

pub(super) const RULES: &[Rule] = &[
    code(
        "diagonal-map",
        Exact,
        "diagonal(f(A, B)) = f(diagonal(A), diagonal(B)) for elementwise f",
        Root::Tag(Tag::Other),
        &[Tag::Iota],
        diagonal_map,
    ),
    code(
        "det-triangular",
        Default,
        "det(L) = prod(diagonal(L)) for triangular L",
        PRODUCT,
        FACTORS,
        |g, s| determinant(g, s, of_triangular),
    ),
    code(
        "log-det-triangular",
        Default,
        "slogdet(L)[1] = sum(log(abs(diagonal(L)))) for triangular L",
        SUM,
        FACTORS,
        |g, s| log_determinant(g, s, of_triangular),
    ),
    code(
        "det-definite",
        Default,
        "det(A) by Cholesky for an A that is X.T @ X, with a diagonal added or not",
        PRODUCT,
        FACTORS,
        |g, s| determinant(g, s, of_definite),
    ),
    code(
        "log-det-definite",
        Default,
        "slogdet(A)[1] by Cholesky for an A that is X.T @ X, with a diagonal added or not",
        SUM,
        FACTORS,
        |g, s| log_determinant(g, s, of_definite),
    ),
];

/// What square matrices a node picks the elements of whose two indices are equal, as `diagonal` and `trace` do.
pub(super) fn picked_from(graph: &Graph, site: &Site) -> Option<Id> {
    let Kind::GatherAlong { axis } = graph.kind(&site.node) else { return None };
    let [x, index] = *site.node.args.as_slice() else { return None };
    let shape = graph.shape(x);
    let [.., rows, cols] = shape else { return None };
    let mut wanted = shape.to_vec();
    wanted[axis] = Dim::ONE;
    let (_, Kind::Iota { axis: counted }) = graph.node(index, Tag::Iota)? else { return None };
    let fits = axis + 1 == shape.len()
        && counted + 1 == axis
        && graph.same_dim(rows, cols)
        && graph.same_shape(graph.shape(index), &wanted);
    fits.then_some(x)
}

fn diagonal_map(graph: &mut Graph, site: &Site) -> Option<Id> {
    let x = picked_from(graph, site)?;
    let diagonal = graph.simpler_diagonal(x)?;
    let shape = graph.shape(site.class).to_vec();
    Some(graph.reshape(diagonal, shape))
}

/// The diagonal of a triangular matrix.
fn of_triangular(graph: &mut Graph, a: Id) -> Option<Id> {
    let triangular = graph.has(a, Structure::LOWER) || graph.has(a, Structure::UPPER);
    if triangular { graph.diagonal(a) } else { None }
}

/// The pivots of a matrix that is likely to have a Cholesky factor. By its numbers it may have none, and is then eliminated as
/// any other by the same routine.
fn of_definite(graph: &mut Graph, a: Id) -> Option<Id> {
    let triangular = graph.has(a, Structure::LOWER) || graph.has(a, Structure::UPPER);
    let likely = graph.has(a, Structure::LIKELY) && !triangular;
    if likely { graph.factor(&LibOp::PivotsDefinite, a) } else { None }
}

/// An LU factorization that a class is member `i` of: its matrix, and its class.
fn member(graph: &Graph, id: Id, i: usize) -> Option<(Id, Id)> {
    let members = graph.nodes(id, Tag::Proj).into_iter().filter(|n| graph.kind(n) == Kind::Proj(i));
    members.map(|n| n.args[0]).find_map(|all| {
        let lu = graph.nodes(all, Tag::Lib).into_iter().find(|n| graph.kind(n) == Kind::Lib(LibOp::Lu))?;
        Some((lu.args[0], all))
    })
}

/// The LU factorization whose pivots a class is: the sum along each row of what is on the diagonal.
fn factorized(graph: &Graph, id: Id) -> Option<(Id, Id)> {
    graph.nodes(id, Tag::Reduce(ReduceOp::Sum)).into_iter().find_map(|sum| {
        let (Kind::Reduce { axes, .. }, kept) = (graph.kind(&sum), sum.args[0]) else { return None };
        let last = graph.rank(kept).checked_sub(1)?;
        if axes != [last] {
            return None;
        }
        graph.nodes(kept, Tag::Map(Op::Select)).into_iter().find_map(|select| {
            let [mask, factors, other] = *select.args.as_slice() else { return None };
            let zero = graph.splat(other).is_some_and(|s| s.to_f64() == 0.0);
            let diagonal = zero && is_diagonal_mask(&graph.egg, mask, last - 1);
            if diagonal { member(graph, factors, 0) } else { None }
        })
    })
}

fn is_factorizable(graph: &Graph, a: Id) -> bool {
    matches!(graph.ty(a).dtype, DType::F32 | DType::F64)
}

/// The product of the pivots of an LU factorization, or of their signs, with the sign of the order of its rows.
fn determinant(graph: &mut Graph, site: &Site, numbers: fn(&mut Graph, Id) -> Option<Id>) -> Option<Id> {
    let [x, y] = *site.node.args.as_slice() else { return None };
    [(x, y), (y, x)].into_iter().find_map(|(sign, product)| {
        let (a, lu) = member(graph, sign, 2)?;
        let node = graph.nodes(product, Tag::Reduce(ReduceOp::Prod)).into_iter().next()?;
        let (factors, last) = (node.args[0], graph.rank(node.args[0]).checked_sub(1)?);
        let same = |graph: &Graph, id: Id| factorized(graph, id).is_some_and(|(_, all)| graph.same(all, lu));
        let signs = graph.nodes(factors, Tag::Map(Op::Sign)).into_iter().any(|n| same(graph, n.args[0]));
        let fits = graph.kind(&node) == Kind::Reduce { op: ReduceOp::Prod, axes: vec![last] };
        if !fits || !is_factorizable(graph, a) || !(signs || same(graph, factors)) {
            return None;
        }
        let pivots = numbers(graph, a)?;
        let factors = if signs { graph.map(Op::Sign, &[pivots]) } else { pivots };
        Some(graph.reduce(ReduceOp::Prod, factors, vec![last]))
    })
}

/// The sum of the logarithms of the sizes of the pivots of an LU factorization.
fn log_determinant(graph: &mut Graph, site: &Site, numbers: fn(&mut Graph, Id) -> Option<Id>) -> Option<Id> {
    let logs = site.node.args[0];
    let last = graph.rank(logs).checked_sub(1)?;
    if graph.kind(&site.node) != (Kind::Reduce { op: ReduceOp::Sum, axes: vec![last] }) {
        return None;
    }
    let sizes: Vec<Id> = graph.nodes(logs, Tag::Map(Op::Log)).iter().map(|n| n.args[0]).collect();
    let pivots = sizes.into_iter().flat_map(|s| graph.nodes(s, Tag::Map(Op::Abs))).map(|n| n.args[0]);
    let (a, _) = pivots.into_iter().find_map(|p| factorized(graph, p))?;
    if !is_factorizable(graph, a) {
        return None;
    }
    let pivots = numbers(graph, a)?;
    let sizes = graph.map(Op::Abs, &[pivots]);
    let logs = graph.map(Op::Log, &[sizes]);
    Some(graph.reduce(ReduceOp::Sum, logs, vec![last]))
}
