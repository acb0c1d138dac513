//! Loop IR to Cranelift IR.
//!
//! The function guards against empty iteration spaces, opens a loop for every outer axis and hands the innermost one
//! to the emitter for the kernel's form: [`loops`] (plain maps), [`row`] and [`column`] (reductions), [`scan`].
//! Everything below a loop is straight-line code from [`body`].

mod body;
mod cast;
mod column;
mod eval;
mod int;
pub(crate) mod isa;
pub(crate) mod libcalls;
mod loops;
mod memory;
mod rescue;
mod row;
mod scan;
mod stage;
mod types;
mod vector;

use cranelift_codegen::ir::{
    AbiParam, FuncRef, Function, InstBuilder, MemFlagsData, Signature, SourceLoc, Type, Value, types as ct,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::JITModule;
use cranelift_module::{Linkage, Module};
use matex_ir::loops::{Form, InstKind, Kernel};
use std::collections::HashMap;

/// Writes a verified kernel into `func`. With `located`, the source locations there are the kernel's instructions.
pub(crate) fn emit(
    kernel: &Kernel,
    module: &mut JITModule,
    func: &mut Function,
    frontend: &mut FunctionBuilderContext,
    located: bool,
) -> Result<(), String> {
    func.signature = signature(module);
    let config = module.target_config();
    let mut b = FunctionBuilder::new(func, frontend);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let run_time = RunTime::read(kernel, &mut b, entry);
    let mut e = Emitter::new(kernel, b, module, run_time);
    e.located = located;
    match kernel.form() {
        Form::Map => e.map_kernel(),
        Form::RowReduce => e.row_kernel(),
        Form::ColumnReduce(axis) => e.column_kernel(axis),
        Form::Scan(axis) => e.scan_kernel(axis),
    }
    let status = e.b.use_var(e.status);
    e.b.ins().return_(&[status]);
    e.b.seal_all_blocks();
    let failed = e.failed;
    e.b.finalize(config);
    failed.map_or(Ok(()), Err)
}

/// The signature of [`crate::abi::Entry`].
pub(crate) fn signature(module: &JITModule) -> Signature {
    let mut s = module.make_signature();
    s.call_conv = call_conv(module);
    s.params.extend([AbiParam::new(ct::I64), AbiParam::new(ct::I64), AbiParam::new(ct::I64)]);
    s.returns.push(AbiParam::new(ct::I32));
    s
}

fn call_conv(module: &JITModule) -> CallConv {
    if cfg!(target_arch = "x86_64") { CallConv::SystemV } else { module.isa().default_call_conv() }
}

/// The run-time arguments as values.
struct RunTime {
    bases: Vec<Value>,
    extents: Vec<Value>,
    /// By operand and axis.
    strides: Vec<Vec<Value>>,
    /// By operand and gathered dimension: extent and stride.
    gathers: Vec<Vec<(Value, Value)>>,
    begin: Value,
    end: Value,
}

impl RunTime {
    fn read(k: &Kernel, b: &mut FunctionBuilder<'_>, entry: cranelift_codegen::ir::Block) -> RunTime {
        let params = b.block_params(entry).to_vec();
        let flags = MemFlagsData::new().with_notrap().with_readonly().with_aligned();
        let mut word = |base: Value, at: usize| b.ins().load(ct::I64, flags, base, 8 * at as i32);
        let (data, extents, strides) = (word(params[0], 0), word(params[0], 1), word(params[0], 2));
        let rank = k.axes.len();
        let mut gather = k.operands.len() * rank;
        let mut out = RunTime {
            bases: (0..k.operands.len()).map(|o| word(data, o)).collect(),
            extents: (0..rank).map(|a| word(extents, a)).collect(),
            strides: Vec::new(),
            gathers: Vec::new(),
            begin: params[1],
            end: params[2],
        };
        for (o, operand) in k.operands.iter().enumerate() {
            out.strides.push((0..rank).map(|a| word(strides, o * rank + a)).collect());
            let mut pairs = Vec::new();
            for _ in 0..operand.gathers {
                pairs.push((word(strides, gather), word(strides, gather + 1)));
                gather += 2;
            }
            out.gathers.push(pairs);
        }
        out
    }
}

/// The state of an emission.
struct Emitter<'a, 'f> {
    b: FunctionBuilder<'f>,
    k: &'a Kernel,
    module: &'a mut JITModule,
    args: RunTime,
    /// The status word so far.
    status: Variable,
    /// The address of eight zero bytes, which stand in for elements that must not be read.
    zeros: Option<Value>,
    /// What scans come to, by instruction.
    scans: HashMap<usize, scan::Running>,
    calls: HashMap<&'static str, FuncRef>,
    /// The first failure to declare a function.
    failed: Option<String>,
    /// Whether instructions are told what of the loop IR they are for.
    located: bool,
}

impl<'a, 'f> Emitter<'a, 'f> {
    fn new(k: &'a Kernel, mut b: FunctionBuilder<'f>, module: &'a mut JITModule, args: RunTime) -> Self {
        let status = b.declare_var(ct::I32);
        let zero = b.ins().iconst(ct::I32, 0);
        b.def_var(status, zero);
        let mut e = Emitter {
            b,
            k,
            module,
            args,
            status,
            zeros: None,
            scans: HashMap::new(),
            calls: HashMap::new(),
            failed: None,
            located: false,
        };
        if k.body.iter().any(|i| matches!(i.kind, InstKind::LoadAt { .. })) {
            let slot = e.slot(8);
            let zero = e.b.ins().iconst(ct::I64, 0);
            e.b.ins().store(MemFlagsData::new().with_notrap(), zero, slot, 0);
            e.zeros = Some(slot);
        }
        e
    }

    /// What comes next is for this instruction of the loop IR, or for none.
    fn locate(&mut self, id: Option<usize>) {
        if self.located {
            self.b.set_srcloc(id.map_or(SourceLoc::default(), |id| SourceLoc::new(id as u32)));
        }
    }

    /// Calls one of the [`libcalls`].
    fn call(&mut self, name: &'static str, out: Type, args: &[Value]) -> Value {
        let f = match self.calls.get(name) {
            Some(f) => *f,
            None => match self.import(name, out, args) {
                Ok(f) => {
                    self.calls.insert(name, f);
                    f
                }
                Err(why) => {
                    // The emission goes on with any value of the type and is refused at its end.
                    self.failed.get_or_insert(why);
                    return self.zero(out);
                }
            },
        };
        let call = self.b.ins().call(f, args);
        self.b.inst_results(call)[0]
    }

    fn import(&mut self, name: &'static str, out: Type, args: &[Value]) -> Result<FuncRef, String> {
        let mut s = self.module.make_signature();
        s.call_conv = call_conv(self.module);
        for a in args {
            s.params.push(AbiParam::new(self.b.func.dfg.value_type(*a)));
        }
        s.returns.push(AbiParam::new(out));
        let id = self.module.declare_function(name, Linkage::Import, &s).map_err(|e| e.to_string())?;
        Ok(self.module.declare_func_in_func(id, self.b.func))
    }
}
