//! The text of a plan: stable, and complete but for the bodies of the kernels.

use super::{
    Binding, BlockId, BufferId, KernelStep, Place, Plan, PlanView, Routine, Slot, Source, Step, live,
};
use matex_ir::tensor::LibOp;
use std::fmt::{self, Write};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<String> = self.params.iter().map(|p| format!("{}: {}", p.name, p.ty)).collect();
        writeln!(f, "plan @{}({}) {{", self.name, params.join(", "))?;
        let named = self.named();
        for (i, buffer) in self.buffers.iter().enumerate().filter(|(i, _)| named[*i]) {
            let (dtype, shape) = (buffer.dtype, self.list(&buffer.shape));
            match &buffer.source {
                Source::Param(p) => self.write_param(f, i, *p)?,
                Source::Constant(literal) if literal.shape().is_empty() => {
                    let value = literal.elements().next();
                    writeln!(f, "  b{i} = {dtype} {}", value.map(|v| v.to_string()).unwrap_or_default())?;
                }
                Source::Constant(_) => writeln!(f, "  b{i} = constant {dtype}{shape}")?,
                Source::Own => {
                    let piece = self.arena.piece(BufferId(i as u32));
                    let piece = piece.map_or(String::new(), |p| format!(" in m{p}"));
                    writeln!(f, "  b{i}: {dtype}{shape}{piece}")?;
                }
            }
        }
        self.write_block(f, self.body, 1)?;
        let results: Vec<String> = self.results.iter().map(|r| name(r.buffer)).collect();
        writeln!(f, "  return {}\n}}", results.join(", "))
    }
}

fn name(buffer: BufferId) -> String {
    format!("b{}", buffer.0)
}

fn names(buffers: &[BufferId]) -> String {
    let names: Vec<String> = buffers.iter().map(|b| name(*b)).collect();
    names.join(", ")
}

impl Plan {
    /// Which buffers there is something to say of: all but those whose values went to the memory of others.
    fn named(&self) -> Vec<bool> {
        let mut named: Vec<bool> = self.buffers.iter().map(|b| !matches!(b.source, Source::Own)).collect();
        for item in self.blocks.iter().flat_map(|b| &b.items) {
            let all = live::reads(&item.step).into_iter().chain(live::writes(&item.step));
            all.for_each(|b| named[b.0 as usize] = true);
        }
        self.results.iter().for_each(|r| named[r.buffer.0 as usize] = true);
        named
    }

    fn write_param(&self, f: &mut fmt::Formatter<'_>, buffer: usize, index: u32) -> fmt::Result {
        let Some(param) = self.params.get(index as usize) else { return Ok(()) };
        match &param.stride_names {
            None => writeln!(f, "  b{buffer} = {} contiguous", param.name),
            Some(names) => writeln!(f, "  b{buffer} = {} by [{}]", param.name, names.join(", ")),
        }
    }

    fn write_block(&self, f: &mut fmt::Formatter<'_>, id: BlockId, depth: usize) -> fmt::Result {
        let pad = "  ".repeat(depth);
        for item in &self.block(id).items {
            f.write_str(&pad)?;
            self.write_step(f, &item.step, depth)?;
            if !item.frees.is_empty() {
                write!(f, "  free {}", names(&item.frees))?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }

    fn write_step(&self, f: &mut fmt::Formatter<'_>, step: &Step, depth: usize) -> fmt::Result {
        match step {
            Step::Alloc(b) => write!(f, "alloc {}", name(*b)),
            Step::Reuse { from, to } if self.is_argument(*from) => {
                write!(f, "alloc {} or given {}", name(*to), name(*from))
            }
            Step::Reuse { from, to } => write!(f, "reuse {} = {}", name(*to), name(*from)),
            Step::Kernel(k) => self.write_kernel(f, k),
            Step::Panels(members) => members.iter().enumerate().try_for_each(|(i, m)| {
                let by_rows = members.iter().all(|m| m.rows.is_some());
                let how = if by_rows { "by rows " } else { "together " };
                f.write_str(if i == 0 { how } else { " then " })?;
                self.write_kernel(f, &m.step)
            }),
            Step::Routine { routine, inputs, outputs, .. } => {
                let texts = |views: &[PlanView]| -> String {
                    let texts: Vec<String> = views.iter().map(|v| self.view_text(v)).collect();
                    texts.join(", ")
                };
                write!(f, "{} ({}) to {}", routine_text(routine), texts(inputs), texts(outputs))
            }
            Step::Size { to, value } => write!(f, "size {} = {}", name(*to), self.dim(*value)),
            Step::Index { register, from, extent, .. } => {
                let (from, extent) = (self.view_text(from), self.dim(*extent));
                write!(f, "index r{} = {from} below {extent}", register.0)
            }
            Step::Check { condition, code, .. } => {
                write!(f, "check {} else {code}", self.view_text(condition))
            }
            Step::Move { from, to } => write!(f, "move {} = {}", names(to), names(from)),
            Step::Take { from, to, last, .. } => {
                let how = if *last { "take" } else { "copy" };
                write!(f, "{how} {} = {}", name(*to), name(*from))
            }
            Step::For { counter, start, end, body, .. } => {
                let (start, end) = (self.view_text(start), self.view_text(end));
                writeln!(f, "for {} in {start} .. {end} {{", name(*counter))?;
                self.write_inner(f, *body, depth)
            }
            Step::While { test, condition, body, .. } => {
                f.write_str("while {\n")?;
                self.write_block(f, *test, depth + 1)?;
                writeln!(f, "{}}} {} {{", "  ".repeat(depth), self.view_text(condition))?;
                self.write_inner(f, *body, depth)
            }
            Step::If { condition, yes, no, .. } => {
                writeln!(f, "if {} {{", self.view_text(condition))?;
                self.write_block(f, *yes, depth + 1)?;
                writeln!(f, "{}}} else {{", "  ".repeat(depth))?;
                self.write_inner(f, *no, depth)
            }
        }
    }

    fn write_inner(&self, f: &mut fmt::Formatter<'_>, block: BlockId, depth: usize) -> fmt::Result {
        self.write_block(f, block, depth + 1)?;
        write!(f, "{}}}", "  ".repeat(depth))
    }

    fn write_kernel(&self, f: &mut fmt::Formatter<'_>, step: &KernelStep) -> fmt::Result {
        let kernel = self.kernels.get(step.kernel).map_or("?", |k| k.name.as_str());
        let operands: Vec<String> = step.operands.iter().map(|o| self.binding_text(o)).collect();
        let extents = self.list(&step.extents);
        let library = step.gemm.map_or(String::new(), |gemm| format!("{} or ", gemm.name()));
        write!(f, "{library}kernel {} @{kernel} over {extents} ({})", step.kernel, operands.join(", "))
    }

    fn list(&self, slots: &[Slot]) -> String {
        let dims: Vec<String> = slots.iter().map(|s| self.dim(*s).to_string()).collect();
        format!("[{}]", dims.join(", "))
    }

    fn place_text(&self, place: &Place) -> String {
        let mut text = name(place.buffer);
        if !self.dim(place.offset).is(0) {
            let _ = write!(text, " + {}", self.dim(place.offset));
        }
        for (register, stride) in &place.moves {
            let _ = write!(text, " + r{}*({})", register.0, self.dim(*stride));
        }
        text
    }

    fn binding_text(&self, binding: &Binding) -> String {
        let mut text = format!("{} by {}", self.place_text(&binding.place), self.list(&binding.strides));
        for (extent, stride) in &binding.gathers {
            let _ = write!(text, " at {} by {}", self.dim(*extent), self.dim(*stride));
        }
        text
    }

    fn view_text(&self, view: &PlanView) -> String {
        let place = self.place_text(&view.place);
        if view.shape.is_empty() { place } else { format!("{place}{}", self.list(&view.shape)) }
    }
}

fn routine_text(routine: &Routine) -> String {
    match routine {
        Routine::Scatter { axis, add } => format!("scatter{} axis {axis}", if *add { "_add" } else { "" }),
        Routine::Lib(op) => match op {
            LibOp::Sort { axis, descending } => format!("sort axis {axis}{}", down(*descending)),
            LibOp::Argsort { axis, descending } => format!("argsort axis {axis}{}", down(*descending)),
            LibOp::SearchSorted { right } => {
                format!("searchsorted {}", if *right { "right" } else { "left" })
            }
            LibOp::SolveTriangular { lower } => {
                format!("{} {}", op.name(), if *lower { "lower" } else { "upper" })
            }
            LibOp::Svd { full } => format!("{}{}", op.name(), if *full { " full" } else { "" }),
            LibOp::Solve
            | LibOp::SolveDefinite
            | LibOp::Lstsq
            | LibOp::Lu
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Qr
            | LibOp::Svdvals
            | LibOp::Eigh
            | LibOp::Eigvalsh => op.name().to_owned(),
        },
    }
}

fn down(descending: bool) -> &'static str {
    if descending { " descending" } else { "" }
}
