//! The oracle: runs a [`Func`] as it stands, element by element.
//!
//! It is slow and obvious on purpose, and shares nothing with code generation but the op table: every engine is
//! tested against it. Sums of floats are compensated and rounded once, so that it stands for the exact value that the
//! engines come near to. A function need not be verified: what does not fit is [`RunError::Malformed`], never a panic.

mod array;
mod control;
mod elements;
mod elimination;
mod factors;
mod jacobi;
mod lib_ops;
mod linalg;
mod orthogonal;
mod parts;
mod reduce;
#[cfg(test)]
mod tests;

pub use array::Array;

use super::bind::{Argument, Bindings, bind_sizes, check_guards};
use super::{Func, Kind, Node, RegionId, RunError, TensorType, Type, ValueId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a run may use up.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits<'a> {
    /// The most elements that one result may have.
    pub max_elements: usize,
    /// The most loop steps, over all loops.
    pub max_steps: u64,
    /// Set by another thread to stop the run.
    pub cancel: Option<&'a AtomicBool>,
    /// Whether NaN and infinities in an operand of linear algebra make its results NaN, and are no error.
    pub nan_passes: bool,
}

impl Default for RunLimits<'_> {
    /// 2^26 elements a result and 10 million steps.
    fn default() -> Self {
        RunLimits { max_elements: 1 << 26, max_steps: 10_000_000, cancel: None, nan_passes: false }
    }
}

/// The deepest nesting of regions that is run.
pub const MAX_DEPTH: usize = 256;

/// Runs a function on arguments, one for each parameter, and gives its results.
///
/// # Errors
/// Arguments that do not fit, guards and checks that fail, indices out of range, limits, and functions that the
/// verifier refuses.
///
/// # Examples
/// ```
/// use matex_ir::tensor::interp::{Array, RunLimits, run};
/// use matex_ir::tensor::{Builder, Param, TensorType};
/// use matex_ir::{DType, Dim, Op};
///
/// let x = Param { name: "x".into(), ty: TensorType::new(DType::F64, vec![Dim::size("n")]) };
/// let mut b = Builder::new("double", vec![x]);
/// let x = b.func().regions[0].params[0];
/// let sum = b.map(Op::Add, &[x, x]);
/// let func = b.finish(vec![sum], vec![None]);
/// let x = Array::from_f64(DType::F64, &[2], &[1.5, -2.0]).unwrap();
/// let out = run(&func, &[x], &RunLimits::default()).unwrap();
/// assert_eq!(out[0].to_f64(), [3.0, -4.0]);
/// ```
pub fn run(func: &Func, args: &[Array], limits: &RunLimits<'_>) -> Result<Vec<Array>, RunError> {
    check_structure(func)?;
    let int = |a: &Array| a.as_scalar().filter(|s| s.dtype().is_int()).map(|s| s.to_i128());
    let describe = |a: &'_ Array| int(a).and_then(|v| i64::try_from(v).ok());
    let described: Vec<Argument<'_>> =
        args.iter().map(|a| Argument { dtype: a.dtype(), shape: a.shape(), int: describe(a) }).collect();
    let bindings = bind_sizes(&func.params, &described)?;
    check_guards(&func.guards, &bindings)?;
    let mut machine = Machine { func, bindings, limits, values: vec![None; func.nodes.len()], steps: 0 };
    for v in &func.region(Func::BODY).params {
        let place = if let Kind::Param(i) = func.node(*v).kind { Some(i as usize) } else { None };
        let arg = place.and_then(|i| args.get(i));
        let arg = arg.ok_or_else(|| malformed("a parameter of the body that is none of the function"))?;
        machine.give(*v, &Arc::new(arg.clone()))?;
    }
    let results = machine.region(Func::BODY, 0)?;
    Ok(results.into_iter().map(Arc::unwrap_or_clone).collect())
}

/// The value of a node: one tensor, or several for control flow.
#[derive(Clone, Debug)]
enum Value {
    Array(Arc<Array>),
    Tuple(Vec<Arc<Array>>),
}

/// The state of a run. Values of inner regions are overwritten at each step.
struct Machine<'a> {
    func: &'a Func,
    bindings: Bindings,
    limits: &'a RunLimits<'a>,
    values: Vec<Option<Value>>,
    steps: u64,
}

impl Machine<'_> {
    /// The operand of that place.
    fn arg(&self, node: &Node, place: usize) -> Result<Arc<Array>, RunError> {
        let v = node.args.get(place).ok_or_else(|| malformed("an operand is missing"))?;
        self.array(*v)
    }

    /// The value of a node that is one tensor.
    fn array(&self, v: ValueId) -> Result<Arc<Array>, RunError> {
        match &self.values[v.0 as usize] {
            Some(Value::Array(a)) => Ok(a.clone()),
            Some(Value::Tuple(_)) => Err(malformed("a tuple is used as a tensor")),
            None => Err(malformed("a value is used before it is computed")),
        }
    }

    /// Sets a parameter, whose type the value must have.
    fn give(&mut self, v: ValueId, array: &Arc<Array>) -> Result<(), RunError> {
        let node = self.func.node(v);
        let Type::Tensor(ty) = &node.ty else { return Err(malformed("a parameter that is a tuple")) };
        if array.dtype() != ty.dtype || array.shape() != self.bindings.extents(&ty.shape, node.origin)? {
            return Err(malformed("a parameter and its value differ in type"));
        }
        self.values[v.0 as usize] = Some(Value::Array(array.clone()));
        Ok(())
    }

    /// Runs the nodes of a region, whose parameters are set, and gives its results.
    fn region(&mut self, region: RegionId, depth: usize) -> Result<Vec<Arc<Array>>, RunError> {
        let region = self.func.region(region);
        for v in &region.nodes {
            if self.limits.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Err(RunError::Cancelled);
            }
            let value = self.value(self.func.node(*v), depth)?;
            self.values[v.0 as usize] = Some(value);
        }
        region.results.iter().map(|v| self.array(*v)).collect()
    }

    fn value(&mut self, node: &Node, depth: usize) -> Result<Value, RunError> {
        let ty = match &node.ty {
            Type::Tuple(types) => {
                let members = if let Kind::Lib(op) = &node.kind {
                    self.factors(op, node, types)?.into_iter().map(Arc::new).collect()
                } else {
                    self.control(node, depth)?
                };
                return Ok(Value::Tuple(members));
            }
            Type::Tensor(ty) => ty,
        };
        if let Kind::Proj(i) = node.kind {
            let tuple = node.args.first().and_then(|v| self.values[v.0 as usize].as_ref());
            let Some(Value::Tuple(members)) = tuple else { return Err(malformed("a member of no tuple")) };
            let member = members.get(i).ok_or_else(|| malformed("a member past the end of its tuple"))?;
            return Ok(Value::Array(member.clone()));
        }
        let shape = self.result_shape(ty, node)?;
        let array = self.compute(node, ty, shape.clone())?;
        if array.dtype() != ty.dtype || array.shape() != shape {
            return Err(malformed("a result differs from its type"));
        }
        Ok(Value::Array(array))
    }

    fn result_shape(&self, ty: &TensorType, node: &Node) -> Result<Vec<usize>, RunError> {
        let shape = self.bindings.extents(&ty.shape, node.origin)?;
        let limit = self.limits.max_elements;
        match array::count(&shape) {
            Some(n) if n <= limit => Ok(shape),
            Some(_) | None => Err(RunError::Elements { limit, origin: node.origin }),
        }
    }
}

fn malformed(why: &str) -> RunError {
    RunError::Malformed(why.to_owned())
}

fn ensure(holds: bool, why: &str) -> Result<(), RunError> {
    if holds { Ok(()) } else { Err(malformed(why)) }
}

/// Checks what the rest relies on: all ids are those of nodes and regions, no node and no region stands in two
/// places. A run is then finite but for its loops, whose steps are counted.
fn check_structure(func: &Func) -> Result<(), RunError> {
    ensure(!func.regions.is_empty(), "no body")?;
    let mut placed = vec![false; func.nodes.len()];
    let mut owned = vec![false; func.regions.len()];
    owned[0] = true;
    for node in &func.nodes {
        ensure(node.args.iter().all(|v| (v.0 as usize) < placed.len()), "an operand that is no value")?;
        for region in node.kind.regions() {
            let once = owned.get_mut(region.0 as usize).is_some_and(|o| !std::mem::replace(o, true));
            ensure(once, "a region that is none, or that belongs to two nodes")?;
        }
    }
    for region in &func.regions {
        for v in region.params.iter().chain(&region.nodes) {
            let once = placed.get_mut(v.0 as usize).is_some_and(|p| !std::mem::replace(p, true));
            ensure(once, "a value that is none, or that stands in two places")?;
        }
        ensure(
            region.results.iter().all(|v| (v.0 as usize) < func.nodes.len()),
            "a result that is no value",
        )?;
    }
    Ok(())
}
