//! Scans of few long lines in pieces: what each part of the axis comes to, what comes before each, and then the parts.
//!
//! The parts are those of a reduction ([`super::parts`]), and told by sizes alone.

use super::DeviceRun;
use super::parts::{Parts, Pieces, Whole};
use crate::exec::ExecError;
use crate::gpu::DeviceArray;
use matex_codegen_gpu::{Cut, Run};
use matex_ir::loops::running::Running;
use std::sync::Arc;

impl DeviceRun<'_, '_> {
    /// Runs a scan in pieces; whether that could be done.
    pub(super) fn run_scan(
        &mut self,
        running: &Running,
        cut: Cut,
        whole: &Whole<'_>,
    ) -> Result<bool, ExecError> {
        let Some(axis) = self.kernel.walked_axis() else { return Ok(false) };
        let (full, rest) = (cut.length, whole.run.extents[axis] % cut.length);
        // What the last part comes to nobody asks for.
        let asked = cut.parts - i64::from(rest == 0);
        let mut pieces = Pieces::new(self.kernel, whole, axis);
        let kernels = [&running.totals, &running.carries, &running.rest];
        let Some(bytes) = self.states_fit(&pieces, asked, &kernels) else { return Ok(false) };
        let mut befores = Vec::new();
        for _ in &running.states {
            pieces.states.push(self.side.fresh(bytes)?);
            befores.push(self.side.fresh(bytes)?);
        }
        let all = Parts { first: 0, count: asked, length: full, full, back: 0 };
        let done = self.run_parts((&running.totals, &running.totals_operands), &pieces, all)?
            && self.run_carries(running, &pieces, &befores, asked)?
            && self.run_first(whole, axis, full)?;
        pieces.states = befores;
        let behind = Parts { first: 1, count: cut.parts - 1, back: 1, ..all };
        let last = Parts { first: cut.parts, count: 1, length: rest, ..behind };
        for parts in [behind, last].into_iter().filter(|p| p.count > 0 && p.length > 0) {
            if !done || !self.run_parts((&running.rest, &running.rest_operands), &pieces, parts)? {
                return Ok(false);
            }
        }
        Ok(done)
    }

    /// What the parts come to up to each of them.
    fn run_carries(
        &mut self,
        running: &Running,
        pieces: &Pieces<'_>,
        befores: &[Arc<DeviceArray>],
        parts: i64,
    ) -> Result<bool, ExecError> {
        let (arrays, points) = ([&pieces.states[..], befores].concat(), pieces.points);
        let shares: Vec<usize> = (0..arrays.len()).collect();
        let (offsets, strides) = (vec![0; arrays.len()], [1, points].repeat(arrays.len()));
        let run = Run { extents: &[points, parts], offsets: &offsets, strides: &strides, gathers: &[] };
        self.dispatch(&running.carries, &Whole { run, shares: &shares, arrays: &arrays })
    }

    /// The part that nothing comes before.
    fn run_first(&mut self, whole: &Whole<'_>, axis: usize, length: i64) -> Result<bool, ExecError> {
        let mut extents = whole.run.extents.to_vec();
        extents[axis] = length;
        let run = Run { extents: &extents, ..whole.run };
        self.dispatch(self.kernel, &Whole { run, ..*whole })
    }
}
