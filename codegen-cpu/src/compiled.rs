//! Compiling a kernel, and the compiled kernel as a value that owns its code.

use crate::abi::{Args, Entry, status};
use crate::emit_clif::{self, isa};
use crate::emit_wide::{self, Emitted};
use crate::listing::{Line, Mark, clif_lines, disassembled};
use crate::simd::{Emitter, Simd};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::{CompiledCode, Context};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc};
use matex_ir::loops::{InstId, Kernel, Status, verify};
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
    emitter: Emitter,
    refused: Option<String>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("kernel", &self.kernel.name)
            .field("code_size", &self.code_size)
            .field("emitter", &self.emitter)
            .finish_non_exhaustive()
    }
}

/// Compiles a kernel for this machine, with the widest vectors that it has. Takes 0.02 to 2 ms in a release build.
///
/// # Errors
/// A malformed kernel, an unsupported machine, or a failure of the code generator; never an unwinding panic.
pub fn compile(kernel: &Kernel) -> Result<Compiled, CompileError> {
    compile_for(kernel, Simd::Auto)
}

/// Compiles a kernel with vectors of at most this width. Results have the same bits at every width.
///
/// # Errors
/// As [`compile`].
pub fn compile_for(kernel: &Kernel, simd: Simd) -> Result<Compiled, CompileError> {
    verify::verify(kernel).map_err(CompileError::Kernel)?;
    guarded(|| {
        let mut built = build(kernel, simd, false)?;
        let finalized = built.module.finalize_definitions().map_err(|e| CompileError::Codegen(e.to_string()));
        if let Err(why) = finalized {
            free(built.module);
            return Err(why);
        }
        let code = built.module.get_finalized_function(built.id);
        // SAFETY: the code was built with the signature that `Entry` has (`emit_clif::signature`), by the calling
        // convention of that type, and lives as long as the module, which lives as long as the pointer.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(code) };
        let Built { module, emitter, refused, code_size, .. } = built;
        Ok(Compiled {
            module: Mutex::new(Some(module)),
            entry,
            code_size,
            kernel: kernel.clone(),
            emitter,
            refused,
        })
    })
}

/// A kernel in a module that is not finalized yet.
struct Built {
    module: JITModule,
    id: FuncId,
    emitter: Emitter,
    /// Why it was not the wide emitter.
    refused: Option<String>,
    code_size: usize,
    /// The machine code as text, if it was asked for.
    text: Vec<Line>,
}

/// Turns a panic of the code generator into an error.
fn guarded<T>(f: impl FnOnce() -> Result<T, CompileError>) -> Result<T, CompileError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
        Err(CompileError::Codegen(text.unwrap_or_else(|| "panic".to_string())))
    })
}

fn build(kernel: &Kernel, simd: Simd, text: bool) -> Result<Built, CompileError> {
    let refused = match simd.level() {
        None => None,
        Some(level) => match emit_wide::emit(kernel, level) {
            Ok(emitted) => return build_wide(&emitted, Emitter::of(level), text),
            Err(why) => Some(why),
        },
    };
    let mut module = isa::module().map_err(CompileError::Host)?;
    let mut ctx = Context::new();
    let mut frontend = FunctionBuilderContext::new();
    let mut define = || {
        emit_clif::emit(kernel, &mut module, &mut ctx.func, &mut frontend, text)?;
        ctx.set_disasm(text);
        let signature = &ctx.func.signature;
        let id = module.declare_function("kernel", Linkage::Export, signature).map_err(|e| e.to_string())?;
        module.define_function(id, &mut ctx).map_err(|e| format!("{e:?}"))?;
        Ok(id)
    };
    match define() {
        Ok(id) => {
            let code = ctx.compiled_code();
            let code_size = code.map_or(0, |c| c.code_buffer().len());
            let text = code.filter(|_| text).map(lines_of).unwrap_or_default();
            Ok(Built { module, id, emitter: Emitter::Cranelift, refused, code_size, text })
        }
        Err(why) => {
            free(module);
            Err(CompileError::Codegen(why))
        }
    }
}

/// Cranelift's code as text: instructions where it is for x86-64, else what Cranelift says of it.
fn lines_of(code: &CompiledCode) -> Vec<Line> {
    if cfg!(target_arch = "x86_64") {
        let located = code.buffer.get_srclocs_sorted().iter().filter(|l| !l.loc.is_default());
        let marks: Vec<Mark> = located.map(|l| (l.start..l.end, InstId(l.loc.bits()))).collect();
        return disassembled(code.code_buffer(), &marks);
    }
    let text = code.vcode.as_deref().unwrap_or_default();
    text.lines().map(|l| (l.to_owned(), None)).collect()
}

/// Puts the code of the wide emitter into a module, which fills the addresses of functions in and owns the memory.
fn build_wide(emitted: &Emitted, emitter: Emitter, text: bool) -> Result<Built, CompileError> {
    let mut module = isa::module().map_err(CompileError::Host)?;
    let mut define = || -> Result<FuncId, Box<cranelift_module::ModuleError>> {
        let signature = emit_clif::signature(&module);
        let mut relocations = Vec::new();
        for (symbol, offset) in &emitted.calls {
            let function = module.declare_function(symbol, Linkage::Import, &signature)?;
            let (kind, name) = (Reloc::Abs8, function.into());
            relocations.push(ModuleReloc { offset: *offset, kind, name, addend: 0 });
        }
        let id = module.declare_function("kernel", Linkage::Export, &signature)?;
        module.define_function_bytes(id, 64, &emitted.bytes, &relocations)?;
        Ok(id)
    };
    match define() {
        Ok(id) => {
            let code = &emitted.bytes[..emitted.code_len];
            let text = if text { disassembled(code, &emitted.marks) } else { Vec::new() };
            let code_size = emitted.bytes.len();
            Ok(Built { module, id, emitter, refused: None, code_size, text })
        }
        Err(why) => {
            free(module);
            Err(CompileError::Codegen(why.to_string()))
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
    #[inline]
    pub unsafe fn call(&self, args: &Args, begin: i64, end: i64) -> Status {
        // SAFETY: passed on to the caller; the code is alive because `self` is.
        status(unsafe { (self.entry)(args, begin, end) })
    }

    /// The kernel that this is the code of.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What made the code.
    pub fn emitter(&self) -> Emitter {
        self.emitter
    }

    /// Why the emitter of wide vectors left the kernel to Cranelift; `None` where it did not, or was not asked.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The width that leads to the same code.
    fn simd(&self) -> Simd {
        match self.emitter {
            Emitter::Cranelift => Simd::W128,
            Emitter::Wide256 => Simd::W256,
            Emitter::Wide512 => Simd::W512,
        }
    }

    /// Where the code begins, as a number: what a profiler sees.
    pub fn address(&self) -> usize {
        self.entry as usize
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
        Ok(self.listing()?.into_iter().map(|(line, _)| line + "\n").collect())
    }

    /// [`disassembly`](Compiled::disassembly) by lines, with what each is for.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn listing(&self) -> Result<Vec<Line>, CompileError> {
        guarded(|| {
            let built = build(&self.kernel, self.simd(), true)?;
            free(built.module);
            Ok(built.text)
        })
    }

    /// Cranelift's IR of the kernel, before its optimizer. Emits once more, since text is not kept.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn clif(&self) -> Result<String, CompileError> {
        self.clif_text(false)
    }

    /// [`clif`](Compiled::clif) by lines, with what each is for.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn clif_listing(&self) -> Result<Vec<Line>, CompileError> {
        Ok(clif_lines(&self.clif_text(true)?))
    }

    fn clif_text(&self, located: bool) -> Result<String, CompileError> {
        guarded(|| {
            let mut module = isa::module().map_err(CompileError::Host)?;
            let mut ctx = Context::new();
            let mut frontend = FunctionBuilderContext::new();
            let emitted = emit_clif::emit(&self.kernel, &mut module, &mut ctx.func, &mut frontend, located);
            free(module);
            emitted.map_err(CompileError::Codegen)?;
            Ok(ctx.func.display().to_string())
        })
    }
}
