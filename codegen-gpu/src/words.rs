//! The words that come with a run of a shader: sizes, and where operands lie.

use crate::build::ZERO_WORD;
use crate::kernel::Schedule;
use crate::narrow::MOST_POINTS;
use matex_ir::loops::{AxisKind, Kernel};

/// The word with the number of parallel points.
pub(crate) const POINTS: u32 = ZERO_WORD + 1;
const EXTENTS: u32 = POINTS + 1;

/// Where each word stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    axes: u32,
    operands: u32,
    /// The dimensions of all operands that are addressed by values.
    gathers: u32,
}

impl Words {
    pub(crate) fn of(kernel: &Kernel) -> Words {
        let gathers = kernel.operands.iter().map(|o| o.gathers).sum();
        Words { axes: kernel.axes.len() as u32, operands: kernel.operands.len() as u32, gathers }
    }

    pub(crate) fn count(self) -> u32 {
        self.gathers() + 2 * self.gathers
    }

    /// The extent of the first dimension that is addressed by values; its stride, and those of all others, follow.
    pub(crate) fn gathers(self) -> u32 {
        EXTENTS + self.axes + self.operands * (self.axes + 1)
    }

    pub(crate) fn extent(self, axis: usize) -> u32 {
        EXTENTS + axis as u32
    }

    /// The element at the origin of the iteration space.
    pub(crate) fn offset(self, operand: usize) -> u32 {
        EXTENTS + self.axes + operand as u32 * (self.axes + 1)
    }

    pub(crate) fn stride(self, operand: usize, axis: usize) -> u32 {
        self.offset(operand) + 1 + axis as u32
    }
}

/// What a kernel runs on: sizes, and places in elements.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The extent of each axis.
    pub extents: &'a [i64],
    /// The element of each operand's array at the origin; 0 for scratch.
    pub offsets: &'a [i64],
    /// The stride in elements of operand `o` along axis `a` at `o * axes + a`.
    pub strides: &'a [i64],
    /// Extent and stride in elements of each dimension that is addressed by values, operand by operand.
    pub gathers: &'a [i64],
}

impl Run<'_> {
    /// The number of points that are shared out: tiles where the schedule has some, quads, and else parallel points.
    pub fn points(&self, kernel: &Kernel, schedule: Schedule) -> i64 {
        match schedule {
            Schedule::Points | Schedule::Rows => self.elements(kernel),
            Schedule::Tiles(tiles) => tiles.count(kernel, self.extents),
            Schedule::Quads => self.elements(kernel) / 4,
            Schedule::Turned(turned) => turned.count(kernel, self.extents),
        }
    }

    /// The number of parallel points.
    fn elements(&self, kernel: &Kernel) -> i64 {
        let parallel = kernel.axes.iter().zip(self.extents).filter(|(a, _)| a.kind == AxisKind::Parallel);
        parallel.fold(1, |n, (_, extent)| n.saturating_mul(*extent))
    }

    /// The words of this run.
    ///
    /// # Errors
    /// A size that the device does not count to, in a few words.
    pub fn words(&self, kernel: &Kernel, schedule: Schedule) -> Result<Vec<i32>, String> {
        let words = Words::of(kernel);
        let axes = kernel.axes.len();
        let fits = self.extents.len() == axes
            && self.offsets.len() == kernel.operands.len()
            && self.strides.len() == axes * kernel.operands.len()
            && self.gathers.len() == (words.count() - words.gathers()) as usize;
        if !fits {
            return Err("a run that does not fit its kernel".to_owned());
        }
        let along = self.gathers.iter().step_by(2).chain(self.extents).copied().max().unwrap_or(0);
        if self.elements(kernel).max(along) > MOST_POINTS {
            return Err(format!("it has more than {MOST_POINTS} points"));
        }
        let mut all = vec![0_i64; words.count() as usize];
        all[POINTS as usize] = self.points(kernel, schedule);
        for (axis, extent) in self.extents.iter().enumerate() {
            all[words.extent(axis) as usize] = *extent;
        }
        for operand in 0..kernel.operands.len() {
            all[words.offset(operand) as usize] = self.offsets[operand];
            for axis in 0..axes {
                // A stride along an axis without a second element is never used.
                let stride = self.strides[operand * axes + axis];
                let used = self.extents[axis] > 1;
                all[words.stride(operand, axis) as usize] = if used { stride } else { 0 };
            }
        }
        all[words.gathers() as usize..].copy_from_slice(self.gathers);
        let narrow = |w: i64| i32::try_from(w).map_err(|_| "it reaches further than 32 bits tell".to_owned());
        all.into_iter().map(narrow).collect()
    }
}
