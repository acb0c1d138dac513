//! Carries out the steps of a plan.

use super::again::Recipe;
use super::device::Residence;
use super::memory::{Memory, PlaceMemory};
use super::products::Call;
use super::state::State;
use super::{
    CallOptions, ExecError, Executable, Warning, internal, kernel, panels, read_scalar, routine, run_error,
};
use crate::pool::Pool;
use crate::{Buffer, Dims};
use matex_ir::tensor::RunError;
use matex_ir::{DType, Scalar, Span};
use matex_lang::Limits;
use matex_passes::plan::{BlockId, BufferId, KernelStep, Place, Plan, PlanView, Register, Slot, Step};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stands in the table of dims for one that has no value; no dim has this one.
pub(super) const NO_VALUE: i64 = i64::MIN;

/// One call.
pub(super) struct Machine<'e> {
    pub(super) exe: &'e Executable,
    /// The value of each dim of the plan, what each buffer holds, and scratch.
    pub(super) state: Box<State>,
    steps: u64,
    /// The bytes that the call holds of its own, and the most that it held.
    live: u64,
    pub(super) most: u64,
    /// Whether what temporaries share is among them.
    shares: bool,
    /// Whether arguments were copied for the call.
    pub(super) copied: bool,
    /// Whether kernels ran panel by panel.
    pub(super) in_panels: bool,
    limits: &'e Limits,
    pub(super) cancel: Option<&'e AtomicBool>,
    pub(super) warnings: Option<&'e RefCell<Vec<Warning>>>,
    /// What is on the GPU, where a call uses one.
    pub(super) residence: Option<Box<Residence>>,
}

impl<'e> Machine<'e> {
    pub(super) fn new(
        exe: &'e Executable,
        options: &CallOptions<'e>,
        mut state: Box<State>,
    ) -> Result<Machine<'e>, ExecError> {
        let residence = match exe.placement {
            Some(_) => Some(Box::new(Residence::new(&exe.plan)?)),
            None => None,
        };
        state.memory.clear();
        state.memory.resize(exe.plan.buffers.len(), Memory::Empty);
        state.registers.clear();
        state.registers.resize(exe.plan.registers as usize, 0);
        state.scratch.resize_with(exe.plan.kernel_steps, kernel::Scratch::default);
        let (cancel, limits) = (options.cancel, options.limits.unwrap_or(&exe.limits));
        let warnings = options.warnings;
        let (steps, live, most) = (0, 0, 0);
        let (shares, copied, in_panels) = (false, false, false);
        Ok(Machine {
            exe,
            state,
            steps,
            live,
            most,
            shares,
            copied,
            in_panels,
            limits,
            cancel,
            warnings,
            residence,
        })
    }

    /// Notes how a call like this one can be done, before its state is kept.
    pub(super) fn remember(&mut self) {
        if !self.state.remembered {
            self.state.remembered = true;
            self.state.recipe = Recipe::of(self);
        }
    }

    /// How the work of this call is done.
    pub(super) fn call(&self) -> Call<'e> {
        Call { pool: Pool::current(self.exe.threads), cancel: self.cancel }
    }

    fn plan(&self) -> &'e Plan {
        &self.exe.plan
    }

    /// Runs a block. Blocks nest at most as deep as lowering allows.
    pub(super) fn run(&mut self, block: BlockId) -> Result<(), ExecError> {
        let plan = self.plan();
        for item in &plan.block(block).items {
            self.check_cancelled()?;
            self.step(&item.step)?;
            for buffer in &item.frees {
                let memory = std::mem::take(&mut self.state.memory[buffer.0 as usize]);
                self.give(memory);
                if let Some(residence) = &mut self.residence {
                    residence.forget(*buffer);
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_cancelled(&self) -> Result<(), ExecError> {
        let set = self.cancel.is_some_and(|c| c.load(Ordering::Relaxed));
        if set { Err(run_error(RunError::Cancelled)) } else { Ok(()) }
    }

    fn step(&mut self, step: &'e Step) -> Result<(), ExecError> {
        match step {
            Step::Alloc(buffer) => self.allocate(*buffer),
            Step::Reuse { from, to } => self.reuse(*from, *to),
            Step::Kernel(_) | Step::Panels(_) => {
                let _span = self.told(step).entered();
                if let Step::Panels(members) = step {
                    return panels::run(self, members);
                }
                step.kernels().try_for_each(|k| kernel::run(self, k))
            }
            Step::Routine { routine, inputs, outputs, origin } => {
                let _span = tracing::trace_span!("routine", name = routine.name()).entered();
                routine::run(self, routine, (inputs, outputs), *origin)
            }
            Step::Size { to, value } => {
                let value = self.value(*value, Span::default())?;
                self.write_integer(*to, value)
            }
            Step::Index { register, from, extent, axis, origin } => {
                self.index(*register, from, *extent, *axis, *origin)
            }
            Step::Check { condition, code, message, origin } => {
                if self.read::<bool>(condition)? {
                    return Ok(());
                }
                let (code, message, origin) = (*code, message.clone(), *origin);
                Err(run_error(RunError::Check { code, message, origin }))
            }
            Step::Move { from, to } => {
                let mut held = std::mem::take(&mut self.state.moving);
                held.extend(from.iter().map(|b| self.state.memory[b.0 as usize].clone()));
                for (buffer, memory) in to.iter().zip(held.drain(..)) {
                    let before = std::mem::replace(&mut self.state.memory[buffer.0 as usize], memory);
                    self.give(before);
                }
                self.state.moving = held;
                if let Some(residence) = &mut self.residence {
                    residence.share(from, to);
                }
                Ok(())
            }
            Step::Take { from, to, last, copy } => self.take(*from, *to, *last, copy),
            Step::For { counter, start, end, body, .. } => self.count(*counter, start, end, *body),
            Step::While { test, condition, body, .. } => loop {
                self.run(*test)?;
                if !self.read::<bool>(condition)? {
                    return Ok(());
                }
                self.loop_step()?;
                self.run(*body)?;
            },
            Step::If { condition, yes, no, .. } => {
                let block = if self.read::<bool>(condition)? { *yes } else { *no };
                self.run(block)
            }
        }
    }

    /// The span of a step that runs kernels, for whoever listens.
    fn told(&self, step: &Step) -> tracing::Span {
        let first = || step.kernels().next();
        let kernel = || self.plan().kernels.get(first()?.kernel);
        tracing::trace_span!("kernel", name = kernel().map(|k| k.name.as_str()), step = first().map(|k| k.id))
    }

    /// The value of a dim.
    pub(super) fn value(&self, slot: Slot, origin: Span) -> Result<i64, ExecError> {
        let value = self.state.dims[slot.0 as usize];
        if value == NO_VALUE {
            let dim = self.plan().dim(slot).to_string();
            return Err(run_error(RunError::Size { dim, value: None, origin }));
        }
        Ok(value)
    }

    /// The value of an extent.
    pub(super) fn extent(&self, slot: Slot, origin: Span) -> Result<i64, ExecError> {
        let value = self.value(slot, origin)?;
        if value < 0 {
            let dim = self.plan().dim(slot).to_string();
            return Err(run_error(RunError::Size { dim, value: Some(value), origin }));
        }
        Ok(value)
    }

    pub(super) fn extents(&self, slots: &[Slot], origin: Span) -> Result<Dims, ExecError> {
        slots.iter().map(|s| self.extent(*s, origin).map(|v| v as usize)).collect()
    }

    /// The distance in elements of a place from the start of its buffer.
    pub(super) fn offset(&self, place: &Place, origin: Span) -> Result<i64, ExecError> {
        let mut offset = self.value(place.offset, origin)?;
        for (register, stride) in &place.moves {
            let stride = self.value(*stride, origin)?;
            let moved = self.state.registers[register.0 as usize].checked_mul(stride);
            offset =
                moved.and_then(|m| offset.checked_add(m)).ok_or_else(|| internal("an offset overflows"))?;
        }
        Ok(offset)
    }

    fn allocate(&mut self, buffer: BufferId) -> Result<(), ExecError> {
        if let Some(residence) = &mut self.residence {
            residence.forget(buffer);
        }
        let decl = self.plan().buffer(buffer);
        let limits = self.limits;
        let mut elements = 1u64;
        for slot in &decl.shape {
            elements = elements.saturating_mul(self.extent(*slot, decl.origin)? as u64);
        }
        if elements > limits.elements {
            let limit = usize::try_from(limits.elements).unwrap_or(usize::MAX);
            return Err(run_error(RunError::Elements { limit, origin: decl.origin }));
        }
        let bytes = self.extent(decl.bytes, decl.origin)? as u64;
        if bytes > limits.bytes {
            return Err(ExecError::Bytes { limit: limits.bytes, bytes, origin: decl.origin });
        }
        let place = self.temporary(buffer, bytes, decl.origin)?;
        let before = std::mem::take(&mut self.state.memory[buffer.0 as usize]);
        if self.is_early(buffer, &before, bytes) {
            self.state.memory[buffer.0 as usize] = before;
            return Ok(());
        }
        self.give(before);
        self.state.memory[buffer.0 as usize] = match place {
            Some(place) => Memory::Place(place),
            None => self.own(bytes, decl.origin)?,
        };
        Ok(())
    }

    /// Gives a buffer memory that was the caller's.
    pub(super) fn give_memory(&mut self, buffer: BufferId, memory: Arc<Buffer>) {
        self.count_bytes(memory.len() as u64);
        self.state.memory[buffer.0 as usize] = Memory::Own(memory);
    }

    /// Fresh memory that counts.
    fn own(&mut self, bytes: u64, origin: Span) -> Result<Memory, ExecError> {
        let memory = self.state.pool.allocate(bytes as usize, origin)?;
        self.count_bytes(bytes);
        Ok(Memory::Own(memory))
    }

    fn count_bytes(&mut self, bytes: u64) {
        self.live += bytes;
        self.most = self.most.max(self.live);
    }

    /// Whether a buffer has memory before it is allocated: the caller's for a result, or a result's own that something else
    /// lay in until now.
    fn is_early(&self, buffer: BufferId, memory: &Memory, bytes: u64) -> bool {
        match memory {
            Memory::Place(place) => place.len as u64 == bytes,
            Memory::Own(own) => {
                let result = || self.plan().arena.results.iter().any(|r| r.buffer == buffer);
                own.len() as u64 == bytes && Arc::strong_count(own) == 1 && result()
            }
            Memory::Empty | Memory::Caller(_) | Memory::Lent(_) | Memory::Away(_) => false,
        }
    }

    /// The memory that a temporary shares with others, if it does.
    fn temporary(
        &mut self,
        buffer: BufferId,
        bytes: u64,
        origin: Span,
    ) -> Result<Option<PlaceMemory>, ExecError> {
        let Some(part) = self.state.shared.part(&self.plan().arena, buffer, bytes) else { return Ok(None) };
        let Some(host) = part.host else {
            let memory = self.state.shared.memory(origin)?;
            if !std::mem::replace(&mut self.shares, true) {
                self.count_bytes(self.state.shared.bytes());
            }
            return Ok(memory.part(&part));
        };
        if let Memory::Empty = self.state.memory[host.0 as usize] {
            let size = self.extent(self.plan().buffer(host).bytes, origin)? as u64;
            self.state.memory[host.0 as usize] = self.own(size, origin)?;
        }
        Ok(self.state.memory[host.0 as usize].unique().and_then(|memory| memory.part(&part)))
    }

    /// Gives a buffer the memory of another one, which stays readable until it is freed.
    fn reuse(&mut self, from: BufferId, to: BufferId) -> Result<(), ExecError> {
        let decl = self.plan().buffer(to);
        let bytes = self.extent(decl.bytes, decl.origin)?;
        let place = matches!(self.state.memory[to.0 as usize], Memory::Place(_));
        // What is on the GPU only has no memory to give: that on the host holds nothing.
        let away = self.residence.as_ref().is_some_and(|r| r.is_away(from));
        let lent = self.state.memory[from.0 as usize].unique();
        let lent = lent.filter(|m| m.len as i64 == bytes && !place && !away);
        let Some(lent) = lent else { return self.allocate(to) };
        let memory = std::mem::replace(&mut self.state.memory[from.0 as usize], Memory::Lent(lent));
        let before = std::mem::replace(&mut self.state.memory[to.0 as usize], memory);
        self.give(before);
        if let Some(residence) = &mut self.residence {
            residence.forget(to);
        }
        Ok(())
    }

    /// Takes back what a buffer held.
    fn give(&mut self, memory: Memory) {
        if let Memory::Own(buffer) = &memory
            && Arc::strong_count(buffer) == 1
        {
            self.live = self.live.saturating_sub(buffer.len() as u64);
        }
        self.state.pool.give(memory);
    }

    fn take(
        &mut self,
        from: BufferId,
        to: BufferId,
        last: bool,
        copy: &'e KernelStep,
    ) -> Result<(), ExecError> {
        let bytes = self.extent(self.plan().buffer(to).bytes, copy.origin)?;
        let source = &mut self.state.memory[from.0 as usize];
        let fits = last && source.unique().is_some_and(|b| b.len as i64 == bytes);
        if fits {
            self.state.memory[to.0 as usize] = std::mem::take(&mut self.state.memory[from.0 as usize]);
            if let Some(residence) = &mut self.residence {
                residence.share(&[from], &[to]);
                residence.forget(from);
            }
            return Ok(());
        }
        self.allocate(to)?;
        kernel::run(self, copy)
    }

    fn write_integer(&mut self, to: BufferId, value: i64) -> Result<(), ExecError> {
        if self.state.memory[to.0 as usize].unique().is_none() {
            self.allocate(to)?;
        }
        // A size that the program converts at once is written as what it is converted to.
        let dtype = self.plan().buffer(to).dtype;
        let word = Scalar::from_i128(DType::I64, value.into()).cast(dtype).bits().to_le_bytes();
        let bytes = self.state.memory[to.0 as usize].bytes_mut(true);
        let place = bytes.and_then(|b| b.get_mut(..dtype.size()));
        place.ok_or_else(|| internal("a scalar without memory"))?.copy_from_slice(&word[..dtype.size()]);
        if let Some(residence) = &mut self.residence {
            residence.written(to);
        }
        Ok(())
    }

    /// The element of a rank-0 view.
    fn read<T: crate::Element>(&mut self, view: &PlanView) -> Result<T, ExecError> {
        self.fetch([view.place.buffer])?;
        let offset = self.offset(&view.place, Span::default())?;
        read_scalar(&self.state.memory[view.place.buffer.0 as usize], view.dtype, offset)
    }

    fn index(
        &mut self,
        register: Register,
        from: &PlanView,
        extent: Slot,
        axis: usize,
        origin: Span,
    ) -> Result<(), ExecError> {
        self.fetch([from.place.buffer])?;
        let extent = self.extent(extent, origin)?;
        let place = self.offset(&from.place, origin)?;
        let given =
            kernel::load(&self.state.memory[from.place.buffer.0 as usize], from.dtype, place)?.to_i128();
        let found = if given < 0 { given + i128::from(extent) } else { given };
        if !(0..i128::from(extent)).contains(&found) {
            return Err(run_error(out_of_range(axis, given, extent, origin)));
        }
        self.state.registers[register.0 as usize] = found as i64;
        Ok(())
    }

    fn loop_step(&mut self) -> Result<(), ExecError> {
        self.check_cancelled()?;
        self.steps += 1;
        let limit = self.limits.loop_steps;
        if self.steps > limit { Err(run_error(RunError::Steps { limit })) } else { Ok(()) }
    }

    fn count(
        &mut self,
        counter: BufferId,
        start: &PlanView,
        end: &PlanView,
        body: BlockId,
    ) -> Result<(), ExecError> {
        let (start, end) = (self.read::<i64>(start)?, self.read::<i64>(end)?);
        for i in start..end {
            self.loop_step()?;
            self.write_integer(counter, i)?;
            self.run(body)?;
        }
        Ok(())
    }
}

/// The error of an index, as it was given.
pub(super) fn out_of_range(axis: usize, index: i128, extent: i64, origin: Span) -> RunError {
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    RunError::IndexOutOfRange { axis, index, extent: extent as usize, origin }
}
