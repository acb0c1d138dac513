//! Systems of equations: no inverse is computed to be multiplied by, and structure is used where there is one.

use super::{Root, Rule, code, many};
use crate::algebra::{Graph, Structure, Tag};
use crate::options::Tier::Default;
use crate::rules::Site;
use egg::Id;
use matex_ir::tensor::{Kind, LibOp, ReduceOp};
use matex_ir::{DType, Dim, Op};

const DOT: Root = Root::Tag(Tag::Dot);
const SOLVE: Root = Root::Tag(Tag::Solve);

pub(super) const RULES: &[Rule] = &[
    many("inverse-times", Default, "inv(A) @ B = solve(A, B)", DOT, &[Tag::Solve], inverse_times),
    many("times-inverse", Default, "B @ inv(A) = solve(A.T, B.T).T", DOT, &[Tag::Solve], times_inverse),
    many("solve-times", Default, "solve(A, B) @ C = solve(A, B @ C)", DOT, &[Tag::Solve], solve_times),
    code("solve-inverse", Default, "solve(inv(A), B) = A @ B", SOLVE, &[], solve_inverse),
    code("solve-identity", Default, "solve(eye(n), B) = B", SOLVE, &[Tag::Iota], solve_identity),
    code("solve-orthogonal", Default, "solve(Q, B) = Q.T @ B for orthogonal Q", SOLVE, &[], solve_orthogonal),
    code(
        "solve-triangular",
        Default,
        "solve(L, B) = solve_triangular(L, B) for triangular L",
        SOLVE,
        &[],
        solve_triangular,
    ),
    code(
        "solve-diagonal",
        Default,
        "solve(D, B) = B / diagonal(D)[:, newaxis] for diagonal D, of which no element may be 0",
        SOLVE,
        &[],
        solve_diagonal,
    ),
    code(
        "solve-definite",
        Default,
        "solve(A, B) by Cholesky for an A that is X.T @ X, with a diagonal added or not",
        SOLVE,
        &[],
        solve_definite,
    ),
];

/// The matrices whose inverses, of rank 2, a class is.
fn inverses(graph: &Graph, id: Id) -> Vec<Id> {
    let of = |n: crate::algebra::TensorLang| {
        let [a, b] = *n.args.as_slice() else { return None };
        (graph.rank(a) == 2 && graph.has(b, Structure::IDENTITY)).then_some(a)
    };
    graph.nodes(id, Tag::Solve).into_iter().filter_map(of).collect()
}

/// The factors of a product over one axis each without a batch, and the axes.
fn matrix_product(graph: &Graph, site: &Site) -> Option<(Id, Id, usize, usize)> {
    let Kind::Dot { batch, contract } = graph.kind(&site.node) else { return None };
    let ([(l, r)], true) = (contract.as_slice(), batch.is_empty()) else { return None };
    let [a, b] = *site.node.args.as_slice() else { return None };
    Some((a, b, *l, *r))
}

/// The solution for a vector, or for the columns of a matrix.
fn solution(graph: &mut Graph, a: Id, b: Id) -> Option<Id> {
    match graph.rank(b) {
        1 => {
            let shape = graph.shape(b).to_vec();
            let column = graph.reshape(b, vec![shape[0].clone(), Dim::ONE]);
            let x = graph.lib(LibOp::Solve, &[a, column]);
            Some(graph.reshape(x, shape))
        }
        2 => Some(graph.lib(LibOp::Solve, &[a, b])),
        _ => None,
    }
}

/// The solution where the right-hand side may hold anything, as a factor of a product may and that of a system may not:
/// columns with a NaN or an infinity are solved as if it were 0, and are NaN then.
fn lenient_solution(graph: &mut Graph, a: Id, b: Id) -> Option<Id> {
    let ty = graph.ty(b).clone();
    let finite = graph.map(Op::IsFinite, &[b]);
    let zero = graph.number(0.0, ty.dtype, &ty.shape);
    let kept = graph.map(Op::Select, &[finite, b, zero]);
    let x = solution(graph, a, kept)?;
    // 0 for a finite number, else NaN.
    let marks = graph.map(Op::Mul, &[b, zero]);
    let mark = graph.reduce(ReduceOp::Sum, marks, vec![0]);
    let mark = graph.broadcast(mark, ty.shape, (1..graph.rank(b)).collect());
    Some(graph.map(Op::Add, &[x, mark]))
}

/// The operand with its summed axis first.
fn summed_first(graph: &mut Graph, x: Id, axis: usize) -> Id {
    if axis == 1 { graph.transpose(x) } else { x }
}

fn inverse_times(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some((inverse, b, l, r)) = matrix_product(graph, site) else { return Vec::new() };
    let mut out = Vec::new();
    for a in inverses(graph, inverse) {
        // Summed over its rows, it is the inverse of the transpose.
        let a = if l == 1 { a } else { graph.transpose(a) };
        let b = summed_first(graph, b, r);
        out.extend(lenient_solution(graph, a, b));
    }
    out
}

fn times_inverse(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some((b, inverse, l, r)) = matrix_product(graph, site) else { return Vec::new() };
    let mut out = Vec::new();
    for a in inverses(graph, inverse) {
        let a = if r == 0 { graph.transpose(a) } else { a };
        let b = summed_first(graph, b, l);
        if let Some(x) = lenient_solution(graph, a, b) {
            out.push(graph.transpose(x));
        }
    }
    out
}

/// The columns of the solution are combined before they are solved for.
fn solve_times(graph: &mut Graph, site: &Site) -> Vec<Id> {
    let Some((x, c, 1, r)) = matrix_product(graph, site) else { return Vec::new() };
    let mut out = Vec::new();
    for solve in graph.nodes(x, Tag::Solve) {
        let [a, b] = *solve.args.as_slice() else { continue };
        if graph.rank(a) == 2 && !graph.has(b, Structure::IDENTITY) {
            let product = graph.dot(b, c, Vec::new(), vec![(1, r)]);
            out.extend(lenient_solution(graph, a, product));
        }
    }
    out
}

/// The operands of a system of rank 2.
fn system(graph: &Graph, site: &Site) -> Option<(Id, Id)> {
    let [a, b] = *site.node.args.as_slice() else { return None };
    (graph.rank(a) == 2 && graph.rank(b) == 2).then_some((a, b))
}

fn solve_inverse(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (inverse, b) = system(graph, site)?;
    let a = *inverses(graph, inverse).first()?;
    Some(if graph.has(b, Structure::IDENTITY) { a } else { graph.dot(a, b, Vec::new(), vec![(1, 0)]) })
}

fn solve_identity(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (a, b) = system(graph, site)?;
    graph.has(a, Structure::IDENTITY).then_some(b)
}

fn solve_orthogonal(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (a, b) = system(graph, site)?;
    if !graph.has(a, Structure::ORTHOGONAL) || graph.has(a, Structure::IDENTITY) {
        return None;
    }
    Some(if graph.has(b, Structure::IDENTITY) {
        graph.transpose(a)
    } else {
        graph.dot(a, b, Vec::new(), vec![(0, 0)])
    })
}

/// What is no positive definite matrix after all, by its numbers, is solved as any other by the same routine.
fn solve_definite(graph: &mut Graph, site: &Site) -> Option<Id> {
    let [a, b] = *site.node.args.as_slice() else { return None };
    let fits = matches!(graph.ty(a).dtype, DType::F32 | DType::F64);
    let better = graph.has(a, Structure::LOWER) || graph.has(a, Structure::UPPER);
    let likely = graph.has(a, Structure::LIKELY);
    (fits && likely && !better).then(|| graph.lib(LibOp::SolveDefinite, &[a, b]))
}

/// As systems of one unknown each, so that a zero is the error that it was.
fn solve_diagonal(graph: &mut Graph, site: &Site) -> Option<Id> {
    let [a, b] = *site.node.args.as_slice() else { return None };
    if !graph.has(a, Structure::DIAGONAL) || graph.has(a, Structure::IDENTITY) {
        return None;
    }
    let d = graph.diagonal(a)?;
    let shape = graph.shape(b).to_vec();
    let (mut pivots, mut rows) = (graph.shape(d).to_vec(), shape.clone());
    pivots.extend([Dim::ONE, Dim::ONE]);
    rows.insert(shape.len() - 1, Dim::ONE);
    let (d, b) = (graph.reshape(d, pivots), graph.reshape(b, rows));
    let x = graph.lib(LibOp::Solve, &[d, b]);
    Some(graph.reshape(x, shape))
}

fn solve_triangular(graph: &mut Graph, site: &Site) -> Option<Id> {
    let [a, b] = *site.node.args.as_slice() else { return None };
    let lower = graph.has(a, Structure::LOWER);
    let fits = matches!(graph.ty(a).dtype, DType::F32 | DType::F64);
    // One that is both is diagonal.
    if !fits || lower == graph.has(a, Structure::UPPER) {
        return None;
    }
    Some(graph.lib(LibOp::SolveTriangular { lower }, &[a, b]))
}
