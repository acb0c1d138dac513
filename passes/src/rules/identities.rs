//! What changes nothing, for every value: NaN, infinities and signed zeros included.

use super::{Root, Rule, code, ints, text};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::{Default, Exact};
use crate::rules::Site;
use egg::Id;
use matex_ir::{DType, Op, Scalar};

pub(super) const RULES: &[Rule] = &[
    text("mul-one", Exact, "x * 1 = x", "(mul x 1)", "x"),
    text("div-one", Exact, "x / 1 = x", "(div x 1)", "x"),
    text("mul-minus-one", Exact, "x * -1 = -x", "(mul x -1)", "(neg x)"),
    text("div-minus-one", Exact, "x / -1 = -x", "(div x -1)", "(neg x)"),
    text("sub-zero", Exact, "x - 0 = x", "(sub x 0)", "x"),
    text("add-minus-zero", Exact, "x + -0.0 = x", "(add x -0.0)", "x"),
    text("add-zero", Exact, "x + 0 = x for integers", "(add x 0)", "x").when(ints),
    text("zero-sub", Exact, "0 - x = -x for integers", "(sub 0 x)", "(neg x)").when(ints),
    text("mul-zero", Exact, "x * 0 = 0 for integers", "(mul x 0)", "0").when(ints),
    text("sub-self", Exact, "x - x = 0 for integers", "(sub x x)", "0").when(ints),
    text(
        "reassociate-add",
        Exact,
        "(x + y) + z = x + (y + z) for integers, y and z constants",
        "(add (add x y) z)",
        "(add x (add y z))",
    )
    .when(|g, l| ints(g, l) && constants(g, &l[1..])),
    text(
        "reassociate-mul",
        Exact,
        "(x * y) * z = x * (y * z) for integers, y and z constants",
        "(mul (mul x y) z)",
        "(mul x (mul y z))",
    )
    .when(|g, l| ints(g, l) && constants(g, &l[1..])),
    text(
        "reassociate-sub",
        Exact,
        "(x - y) + z = x + (z - y) for integers, y and z constants",
        "(add (sub x y) z)",
        "(add x (sub z y))",
    )
    .when(|g, l| ints(g, l) && constants(g, &l[1..])),
    text("neg-neg", Exact, "-(-x) = x", "(neg (neg x))", "x"),
    text("add-neg", Exact, "x + -y = x - y", "(add x (neg y))", "(sub x y)"),
    text("sub-neg", Exact, "x - -y = x + y", "(sub x (neg y))", "(add x y)"),
    text("mul-neg-neg", Exact, "-x * -y = x * y", "(mul (neg x) (neg y))", "(mul x y)"),
    text("div-neg-neg", Exact, "-x / -y = x / y", "(div (neg x) (neg y))", "(div x y)"),
    text("mul-neg-constant", Exact, "-x * c = x * -c", "(mul (neg x) y)", "(mul x (neg y))")
        .when(|g, l| constants(g, &l[1..])),
    text("abs-neg", Exact, "abs(-x) = abs(x)", "(abs (neg x))", "(abs x)").when(signed),
    text("abs-abs", Exact, "abs(abs(x)) = abs(x)", "(abs (abs x))", "(abs x)"),
    text("cos-neg", Default, "cos(-x) = cos(x)", "(cos (neg x))", "(cos x)"),
    text("max-self", Exact, "maximum(x, x) = x", "(max x x)", "x"),
    text("min-self", Exact, "minimum(x, x) = x", "(min x x)", "x"),
    text("and-self", Exact, "x && x = x", "(and x x)", "x"),
    text("or-self", Exact, "x || x = x", "(or x x)", "x"),
    text("not-not", Exact, "!!x = x", "(not (not x))", "x"),
    text("not-eq", Exact, "!(x == y) = x != y", "(not (eq x y))", "(ne x y)"),
    text("not-ne", Exact, "!(x != y) = x == y", "(not (ne x y))", "(eq x y)"),
    text("select-same", Exact, "where(c, x, x) = x", "(select c x x)", "x"),
    text("select-not", Exact, "where(!c, x, y) = where(c, y, x)", "(select (not c) x y)", "(select c y x)"),
    code(
        "select-known",
        Exact,
        "where(true, x, y) = x, where(false, x, y) = y",
        Root::Tag(Tag::Map(Op::Select)),
        &[],
        select_known,
    ),
    code(
        "and-known",
        Exact,
        "c && true = c, c && false = false",
        Root::Tag(Tag::Map(Op::And)),
        &[],
        and_known,
    ),
    code("or-known", Exact, "c || false = c, c || true = true", Root::Tag(Tag::Map(Op::Or)), &[], or_known),
    code(
        "div-power-of-two",
        Exact,
        "x / c = x * (1 / c) where c is a power of two",
        Root::Tag(Tag::Map(Op::Div)),
        &[],
        div_power_of_two,
    ),
    code(
        "cast-cast",
        Exact,
        "cast(cast(x, wider), narrower) = cast(x, narrower)",
        Root::Tag(Tag::Cast),
        &[],
        cast_cast,
    ),
];

/// The values are constants.
pub(super) fn constants(graph: &Graph, ids: &[Id]) -> bool {
    ids.iter().all(|id| graph.splat(*id).is_some())
}

/// The elements are not unsigned integers.
fn signed(graph: &Graph, ids: &[Id]) -> bool {
    ids.iter().all(|id| !graph.ty(*id).dtype.is_unsigned_int())
}

fn select_known(graph: &mut Graph, site: &Site) -> Option<Id> {
    let [condition, yes, no] = *site.node.args.as_slice() else { return None };
    Some(if graph.splat(condition)?.bits() != 0 { yes } else { no })
}

/// The operand beside a known truth value, and that value.
fn beside_truth(graph: &Graph, site: &Site) -> Option<(Id, Id, bool)> {
    let [a, b] = *site.node.args.as_slice() else { return None };
    let truth = |id: Id| graph.splat(id).filter(|s| s.dtype() == DType::Bool).map(|s| s.bits() != 0);
    match (truth(a), truth(b)) {
        (Some(known), None) => Some((b, a, known)),
        (None, Some(known)) => Some((a, b, known)),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn and_known(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (other, constant, known) = beside_truth(graph, site)?;
    Some(if known { other } else { constant })
}

fn or_known(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (other, constant, known) = beside_truth(graph, site)?;
    Some(if known { constant } else { other })
}

/// The reciprocal of a power of two is a float again, so that both sides round the same number.
fn div_power_of_two(graph: &mut Graph, site: &Site) -> Option<Id> {
    let [x, by] = *site.node.args.as_slice() else { return None };
    let c = graph.splat(by)?;
    let inverse = 1.0 / c.to_f64();
    let exact = |v: f64| v.is_normal() && v.to_bits() << 12 == 0;
    if !exact(c.to_f64()) || !exact(inverse) || Scalar::from_f64(c.dtype(), inverse).to_f64() != inverse {
        return None;
    }
    let shape = graph.shape(by).to_vec();
    let inverse = graph.number(inverse, c.dtype(), &shape);
    Some(graph.map(Op::Mul, &[x, inverse]))
}

/// A conversion by way of a dtype that holds every value of the first.
fn cast_cast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (inner, _) = graph.node(site.node.args[0], Tag::Cast)?;
    let x = inner.args[0];
    let (from, by) = (graph.ty(x).dtype, graph.ty(site.node.args[0]).dtype);
    let to = graph.ty(site.class).dtype;
    let through_same = to == from && holds(by, from);
    let ints = from.is_int() && by.is_int() && to.is_int() && holds(by, from);
    (through_same || ints).then(|| graph.cast(x, to))
}

/// Whether one dtype has every value of another.
fn holds(wide: DType, narrow: DType) -> bool {
    use DType::{BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    match narrow {
        F16 | BF16 => matches!(wide, F32 | F64),
        F32 => wide == F64,
        I8 => matches!(wide, I16 | I32 | I64 | F16 | F32 | F64),
        I16 => matches!(wide, I32 | I64 | F32 | F64),
        I32 => matches!(wide, I64 | F64),
        U8 => matches!(wide, I16 | I32 | I64 | U16 | U32 | U64 | F16 | F32 | F64),
        U16 => matches!(wide, I32 | I64 | U32 | U64 | F32 | F64),
        U32 => matches!(wide, I64 | U64 | F64),
        F64 | I64 | U64 | DType::Bool => false,
    }
}
