//! Compiling a kernel, and the compiled kernel as a value that owns its code.

use crate::abi::{Args, Entry, status};
use crate::emit_clif::{self, isa};
use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module};
use matex_ir::loops::{Kernel, Status, verify};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Why a kernel could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// The kernel breaks laws of the loop IR.
    Kernel(verify::Violations),
    /// This machine is not one that code can be generated for.
    Host(String),
    /// The code generator failed: a bug in it or in the emitter.
    Codegen(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Kernel(v) => write!(f, "the kernel is malformed: {v}"),
            CompileError::Host(why) => write!(f, "no code can be generated for this machine: {why}"),
            CompileError::Codegen(why) => write!(f, "code generation failed: {why}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// A kernel as machine code. Dropping it frees the code.
pub struct Compiled {
    // Locked only when dropped; the mutex makes the whole shareable, as the module itself is not.
    module: Mutex<Option<JITModule>>,
    entry: Entry,
    code_size: usize,
    kernel: Kernel,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("kernel", &self.kernel.name)
            .field("code_size", &self.code_size)
            .finish_non_exhaustive()
    }
}

/// Compiles a kernel for this machine. Takes 0.1 to 2 ms in a release build.
///
/// # Errors
/// A malformed kernel, an unsupported machine, or a failure of the code generator; never an unwinding panic.
pub fn compile(kernel: &Kernel) -> Result<Compiled, CompileError> {
    verify::verify(kernel).map_err(CompileError::Kernel)?;
    guarded(|| {
        let (mut module, ctx, id) = build(kernel, false)?;
        let code_size = ctx.compiled_code().map_or(0, |c| c.code_buffer().len());
        module.finalize_definitions().map_err(|e| CompileError::Codegen(e.to_string()))?;
        let code = module.get_finalized_function(id);
        // SAFETY: the code was built with the signature that `Entry` has (`emit_clif::signature`), by the calling
        // convention of that type, and lives as long as the module, which lives as long as the pointer.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(code) };
        Ok(Compiled { module: Mutex::new(Some(module)), entry, code_size, kernel: kernel.clone() })
    })
}

/// Turns a panic of the code generator into an error.
fn guarded<T>(f: impl FnOnce() -> Result<T, CompileError>) -> Result<T, CompileError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
        Err(CompileError::Codegen(text.unwrap_or_else(|| "panic".to_string())))
    })
}

fn build(kernel: &Kernel, disasm: bool) -> Result<(JITModule, Context, FuncId), CompileError> {
    let mut module = isa::module().map_err(CompileError::Host)?;
    let mut ctx = Context::new();
    let mut frontend = FunctionBuilderContext::new();
    let mut define = || {
        emit_clif::emit(kernel, &mut module, &mut ctx.func, &mut frontend)?;
        ctx.set_disasm(disasm);
        let signature = &ctx.func.signature;
        let id = module.declare_function("kernel", Linkage::Export, signature).map_err(|e| e.to_string())?;
        module.define_function(id, &mut ctx).map_err(|e| format!("{e:?}"))?;
        Ok(id)
    };
    match define() {
        Ok(id) => Ok((module, ctx, id)),
        Err(why) => {
            free(module);
            Err(CompileError::Codegen(why))
        }
    }
}

fn free(module: JITModule) {
    // SAFETY: callers own the module, and nothing can run or read its code any more: either no pointer to it was
    // ever handed out, or the only holder of the pointer is being dropped.
    unsafe { module.free_memory() };
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = module.take() {
            free(module);
        }
    }
}

impl Compiled {
    /// Runs the kernel over `begin..end` of its outermost parallel axis (`0..1` for a kernel without one).
    ///
    /// # Safety
    /// * `args` points to as many base pointers, extents and stride words as the kernel has operands, axes and
    ///   [`Kernel::stride_words`]; extents, those of gathered dimensions included, are not negative.
    /// * Every element that the iteration space reaches with these strides lies in memory that may be read and, for
    ///   outputs, written, for the time of the call, and nobody else writes what is read or touches what is written.
    ///   An output may share memory with an input only where both have the same element at every point. When an
    ///   extent is 0, nothing is reached, but for the outputs of an empty reduction.
    /// * Along the vector axis strides have the access classes that the kernel declares.
    /// * `bool` elements are 0 or 1. `begin` and `end` lie within `0..=extent`.
    pub unsafe fn call(&self, args: &Args, begin: i64, end: i64) -> Status {
        // SAFETY: passed on to the caller; the code is alive because `self` is.
        status(unsafe { (self.entry)(args, begin, end) })
    }

    /// The kernel that this is the code of.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Bytes of machine code.
    pub fn code_size(&self) -> usize {
        self.code_size
    }

    /// The machine code as text. Compiles once more, since text is not kept.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn disassembly(&self) -> Result<String, CompileError> {
        guarded(|| {
            let (module, ctx, _) = build(&self.kernel, true)?;
            free(module);
            Ok(ctx.compiled_code().and_then(|c| c.vcode.clone()).unwrap_or_default())
        })
    }

    /// Cranelift's IR of the kernel, before its optimizer. Emits once more, since text is not kept.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn clif(&self) -> Result<String, CompileError> {
        guarded(|| {
            let mut module = isa::module().map_err(CompileError::Host)?;
            let mut ctx = Context::new();
            let mut frontend = FunctionBuilderContext::new();
            let emitted = emit_clif::emit(&self.kernel, &mut module, &mut ctx.func, &mut frontend);
            free(module);
            emitted.map_err(CompileError::Codegen)?;
            Ok(ctx.func.display().to_string())
        })
    }
}
