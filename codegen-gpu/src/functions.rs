//! Elementary functions as functions of the shader, each written once where it is used first.
//!
//! A device's own are off by hundreds of ulp in places: WGSL asks for little. These are the expansions of the loop IR for
//! a target without a fused fma.

use crate::build::{Builder, Fun, Ty, Val};
use crate::{body, turns};
use matex_ir::Op;
use matex_ir::loops::InstId;
use matex_ir::loops::expand::{Function, unfused};

/// What an op is not done on the device for.
pub(crate) fn none(op: Op) -> String {
    format!("{} has no code for the GPU", op.name())
}

/// Whether an op has code here.
pub(crate) fn exists(op: Op) -> bool {
    op != Op::Lgamma
}

/// A call of the function that an op is.
pub(crate) fn call(b: &mut Builder, op: Op, args: &[Val]) -> Result<Val, String> {
    let expansion = unfused(op).ok_or_else(|| none(op))?;
    let function = write(b, op, expansion);
    Ok(b.call(function, args))
}

fn write(b: &mut Builder, op: Op, expansion: &Function) -> Fun {
    const NAMES: [&str; 2] = ["x", "y"];
    let params: Vec<(&str, Ty)> = NAMES[..op.arity().min(2)].iter().map(|n| (*n, Ty::F32)).collect();
    b.function(&format!("matex_{}", op.name()), &params, |b, args| {
        let values = body::straight(b, &expansion.body, args);
        let near = value(b, &values, expansion.result, Ty::F32);
        let Some(beyond) = expansion.beyond else { return near };
        let beyond = value(b, &values, beyond, Ty::Bool);
        let result = b.var("result", near);
        b.when(beyond, |b| {
            let far = turns::far(b, op, args[0]);
            b.set(result, far);
        });
        b.get(result)
    })
}

/// A value of a function's body.
pub(crate) fn value(b: &mut Builder, values: &[Val], id: InstId, ty: Ty) -> Val {
    match values.get(id.index()) {
        Some(value) => *value,
        None => {
            b.fail("a function without its value");
            b.constant(ty, 0)
        }
    }
}
