//! `:nan on`: which operation made the first NaN or infinity of a result, and at which index.
//!
//! The line runs once more in the reference interpreter with all values of its body as results. From a result that is
//! not finite the way leads back over operands that are not, to one whose own operands all are.

use super::state::Ready;
use matex::{DeviceTensor, Diagnostic, Limits, Scalar, Span, Tensor};
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Func, Type, ValueId};
use matex_lang::{ArgSpec, Unit, codes};
use std::sync::atomic::AtomicBool;

/// The most elements of a value that are looked at.
const LOOKED_AT: usize = 1 << 24;

/// Whether all elements are finite; integers are, and what is too large to be looked at counts as if it were.
pub(super) fn is_clean(tensor: &Tensor) -> bool {
    !tensor.dtype().is_float() || tensor.len() > LOOKED_AT || tensor.scalars().all(|s| s.to_f64().is_finite())
}

/// Tells where the first one arose. The place is one of what was compiled.
pub(super) fn first(ready: &Ready, entry: &str, cancel: &AtomicBool) -> Diagnostic {
    let told = |text: &str| Diagnostic::new(codes::INTERNAL, text);
    let Some((func, values)) = all_values(ready, entry, cancel) else {
        return told(
            "the result holds NaN or infinity, and the line is too large to be searched for where it arose",
        );
    };
    let Some((value, index, scalar)) = origin(&func, &values) else {
        return told("the result holds NaN or infinity, which did not arise when the line ran again exactly");
    };
    let node = func.node(value);
    let what = if scalar.to_f64().is_nan() { "NaN" } else { "infinity" };
    let at: Vec<String> = index.iter().map(usize::to_string).collect();
    let place = if at.is_empty() { String::new() } else { format!(" at [{}]", at.join(", ")) };
    if let Some((name, _)) =
        ready.values.get(value.0 as usize).filter(|_| (value.0 as usize) < func.params.len())
    {
        return told(&format!("`{name}` came with {what}{place}"));
    }
    let text = source(ready, node.origin);
    let d = told(&format!("the first {what} arose{place} in `{text}`"));
    d.primary(node.origin, format!("{scalar} here"))
}

/// The text of a node, on one line.
fn source(ready: &Ready, span: Span) -> String {
    let text = ready.source.get(span.start as usize..span.end as usize).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values of the body in the order of their nodes.
type Values = Vec<(ValueId, Array)>;

/// Runs the line and gives every tensor of its body.
fn all_values(ready: &Ready, entry: &str, cancel: &AtomicBool) -> Option<(Func, Values)> {
    const MOST: usize = 1 << 24;
    let unit = Unit::new(&ready.source, Some(entry), &Limits::default()).ok()?;
    let spec = |(_, t): &(String, DeviceTensor)| {
        Some(ArgSpec { dtype: t.dtype(), ones: t.shape().iter().map(|n| *n == 1).collect(), weak: false })
    };
    let func = unit.specialize(&ready.values.iter().map(spec).collect::<Vec<_>>()).ok()?;
    let mut all = func.clone();
    let body = func.region(Func::BODY);
    let is_tensor = |v: &&ValueId| matches!(func.node(**v).ty, Type::Tensor(_));
    let wanted: Vec<ValueId> = body.params.iter().chain(&body.nodes).filter(is_tensor).copied().collect();
    all.result_names = vec![None; wanted.len()];
    all.regions.first_mut()?.results.clone_from(&wanted);
    let array = |(_, value): &(String, DeviceTensor)| {
        let t = value.tensor().ok()?;
        (t.len() <= MOST).then(|| Array::new(t.dtype(), t.shape().to_vec(), t.scalars().collect()))?
    };
    let args: Vec<Array> = ready.values.iter().map(array).collect::<Option<_>>()?;
    let limits = RunLimits {
        max_elements: MOST,
        max_steps: Limits::default().loop_steps,
        cancel: Some(cancel),
        nan_passes: true,
    };
    let arrays = run(&all, &args, &limits).ok()?;
    Some((func, wanted.into_iter().zip(arrays).collect()))
}

/// The first value on the way from a bad result back that has no bad operand, with its first bad element.
fn origin(func: &Func, values: &Values) -> Option<(ValueId, Vec<usize>, Scalar)> {
    let bad = |v: ValueId| {
        let (_, array) = values.iter().find(|(known, _)| *known == v)?;
        let at = array.data().iter().position(|s| s.dtype().is_float() && !s.to_f64().is_finite())?;
        Some((unravel(at, array.shape()), *array.data().get(at)?))
    };
    let mut way: Vec<ValueId> = func.results().iter().copied().filter(|v| bad(*v).is_some()).collect();
    let (mut seen, mut origins) = (way.clone(), Vec::new());
    while let Some(v) = way.pop() {
        let operands: Vec<ValueId> =
            func.node(v).args.iter().copied().filter(|a| bad(*a).is_some()).collect();
        if operands.is_empty() {
            origins.push(v);
        }
        for operand in operands {
            if !seen.contains(&operand) {
                seen.push(operand);
                way.push(operand);
            }
        }
    }
    let first = values.iter().map(|(v, _)| *v).find(|v| origins.contains(v))?;
    let (index, scalar) = bad(first)?;
    Some((first, index, scalar))
}

/// The index of an element by its place in row-major order.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|extent| {
            let i = at % (*extent).max(1);
            at /= (*extent).max(1);
            i
        })
        .collect();
    index.reverse();
    index
}
