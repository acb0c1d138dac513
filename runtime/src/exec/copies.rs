//! Which copies between host and GPU a call makes, told before it runs: the steps of the plan are gone through as a call
//! does, with nothing of a buffer known but where it is up to date.

use super::Executable;
use crate::Given;
use crate::gpu::{GpuError, device_bytes};
use matex_ir::Dim;
use matex_ir::loops::Role;
use matex_passes::plan::{BlockId, BufferId, KernelStep, Source, Step};

/// A copy between host and GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCopy {
    /// What is copied.
    pub buffer: BufferId,
    /// Its bytes on the device, where a truth value takes four.
    pub bytes: u64,
    /// Whether it goes to the GPU, and not back.
    pub up: bool,
    /// Whether it is made at each step of a loop.
    pub repeated: bool,
}

/// Where a buffer is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fresh {
    host: bool,
    gpu: bool,
}

const NOWHERE: Fresh = Fresh { host: false, gpu: false };
const ON_HOST: Fresh = Fresh { host: true, gpu: false };
const ON_GPU: Fresh = Fresh { host: false, gpu: true };

impl Executable {
    /// The copies of a call whose results are read, in their order, by the values of sizes. Of a branch both ways count, and of
    /// a loop the first step and those that follow.
    ///
    /// # Errors
    /// When there is no GPU.
    pub fn copies<G: Given>(
        &self,
        args: &[G],
        value: &impl Fn(&Dim) -> Option<i64>,
    ) -> Result<Vec<HostCopy>, GpuError> {
        if self.placement.is_none() {
            return Ok(Vec::new());
        }
        let given = |p: u32| args.get(p as usize).and_then(Given::device);
        let begin = |source: &Source| match source {
            Source::Param(p) => given(*p)
                .map_or(ON_HOST, |v| Fresh { host: v.is_on_host() || !v.is_on_gpu(), gpu: v.is_on_gpu() }),
            Source::Constant(_) => ON_HOST,
            Source::Own => NOWHERE,
        };
        let fresh = self.plan.buffers.iter().map(|b| begin(&b.source)).collect();
        let mut walk = Walk { exe: self, value, fresh, copies: Vec::new(), repeated: false };
        walk.block(self.plan.body)?;
        self.plan.results.iter().for_each(|r| walk.need_on_host(r.buffer));
        Ok(walk.copies)
    }
}

struct Walk<'a, F> {
    exe: &'a Executable,
    value: &'a F,
    fresh: Vec<Fresh>,
    copies: Vec<HostCopy>,
    repeated: bool,
}

impl<F: Fn(&Dim) -> Option<i64>> Walk<'_, F> {
    fn block(&mut self, block: BlockId) -> Result<(), GpuError> {
        let exe = self.exe;
        exe.plan.block(block).items.iter().try_for_each(|item| self.step(&item.step))
    }

    fn step(&mut self, step: &Step) -> Result<(), GpuError> {
        match step {
            Step::Alloc(to) | Step::Reuse { to, .. } => self.set(*to, NOWHERE),
            Step::Kernel(_) | Step::Panels(_) => return step.kernels().try_for_each(|k| self.kernel(k)),
            Step::Routine { routine, inputs, outputs, .. } => {
                let why = self.exe.routine_stays_on_cpu(routine, (inputs, outputs), self.value)?;
                let there = why.is_none();
                for view in inputs.iter().chain(outputs) {
                    if there {
                        self.need_on_gpu(view.place.buffer)
                    } else {
                        self.need_on_host(view.place.buffer)
                    }
                }
                let fresh = if there { ON_GPU } else { ON_HOST };
                outputs.iter().for_each(|v| self.set(v.place.buffer, fresh));
            }
            Step::Size { to, .. } => self.set(*to, ON_HOST),
            Step::Index { from, .. } => self.need_on_host(from.place.buffer),
            Step::Check { condition, .. } => self.need_on_host(condition.place.buffer),
            Step::Move { from, to } => {
                let held: Vec<Fresh> = from.iter().map(|b| self.fresh[b.0 as usize]).collect();
                to.iter().zip(held).for_each(|(b, fresh)| self.set(*b, fresh));
            }
            Step::Take { from, to, last, copy } => {
                // The memory of an argument is nobody's to take.
                let own = matches!(self.exe.plan.buffer(*from).source, Source::Own);
                if !last || !own {
                    self.set(*to, NOWHERE);
                    return self.kernel(copy);
                }
                self.set(*to, self.fresh[from.0 as usize]);
            }
            Step::For { counter, start, end, body, .. } => {
                self.need_on_host(start.place.buffer);
                self.need_on_host(end.place.buffer);
                return self.loops(|walk| {
                    walk.set(*counter, ON_HOST);
                    walk.block(*body)
                });
            }
            Step::While { test, condition, body, .. } => {
                return self.loops(|walk| {
                    walk.block(*test)?;
                    walk.need_on_host(condition.place.buffer);
                    walk.block(*body)
                });
            }
            Step::If { condition, yes, no, .. } => {
                self.need_on_host(condition.place.buffer);
                self.block(*yes)?;
                return self.block(*no);
            }
        }
        Ok(())
    }

    /// The first step, and then one like all that follow.
    fn loops(&mut self, step: impl Fn(&mut Self) -> Result<(), GpuError>) -> Result<(), GpuError> {
        step(self)?;
        let before = std::mem::replace(&mut self.repeated, true);
        step(self)?;
        self.repeated = before;
        Ok(())
    }

    fn kernel(&mut self, step: &KernelStep) -> Result<(), GpuError> {
        let there = self.exe.stays_on_cpu(step, self.value)?.is_none();
        let Some(kernel) = self.exe.plan.kernels.get(step.kernel) else { return Ok(()) };
        for binding in &step.operands {
            if there {
                self.need_on_gpu(binding.place.buffer)
            } else {
                self.need_on_host(binding.place.buffer)
            }
        }
        let written = step.operands.iter().zip(&kernel.operands).filter(|(_, o)| o.role == Role::Out);
        written.for_each(|(b, _)| self.set(b.place.buffer, if there { ON_GPU } else { ON_HOST }));
        Ok(())
    }

    fn set(&mut self, buffer: BufferId, fresh: Fresh) {
        self.fresh[buffer.0 as usize] = fresh;
    }

    fn need_on_gpu(&mut self, buffer: BufferId) {
        if self.fresh[buffer.0 as usize] == ON_HOST {
            self.copy(buffer, true);
        }
    }

    fn need_on_host(&mut self, buffer: BufferId) {
        if self.fresh[buffer.0 as usize] == ON_GPU {
            self.copy(buffer, false);
        }
    }

    fn copy(&mut self, buffer: BufferId, up: bool) {
        let decl = self.exe.plan.buffer(buffer);
        let bytes = (self.value)(self.exe.plan.dim(decl.bytes)).unwrap_or(0).max(0) as u64;
        let (bytes, repeated) = (device_bytes(decl.dtype, bytes), self.repeated);
        self.fresh[buffer.0 as usize] = Fresh { host: true, gpu: true };
        if bytes > 0 {
            self.copies.push(HostCopy { buffer, bytes, up, repeated });
        }
    }
}
