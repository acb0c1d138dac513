//! When a reduction or a scan is cut into parts, whose results are put together in further runs.
//!
//! A device is busy with some hundreds of workgroups at least. A kernel that walks fewer lines than that is cut along its axis,
//! into as many parts as make [`GROUPS`] workgroups, as long as each has enough to do: [`BLOCK`] elements for a thread
//! that walks alone or a tile, and 32 for each thread of a workgroup that shares a row. The predicate is [`cut`]; it looks at
//! sizes and the schedule only.

use crate::kernel::{BLOCK, Schedule, THREADS};
use crate::words::Run;
use matex_ir::loops::Kernel;

/// How many workgroups are wanted.
const GROUPS: i64 = 256;

/// The elements that each thread of a workgroup has at least.
const EACH: i64 = 32;

/// How an axis is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The elements of a part, a multiple of 256.
    pub length: i64,
    /// How many parts have that length; what is left behind them is one more.
    pub parts: i64,
}

/// How a run of a kernel with such a schedule is cut, if it is.
pub fn cut(kernel: &Kernel, run: &Run<'_>, schedule: Schedule) -> Option<Cut> {
    let depth = *run.extents.get(kernel.walked_axis()?)?;
    let points = run.points(kernel, schedule);
    let (groups, least) = match schedule {
        Schedule::Points => (points / i64::from(THREADS) + 1, BLOCK.into()),
        Schedule::Rows => (points, i64::from(THREADS) * EACH),
        Schedule::Tiles(_) => (points, i64::from(BLOCK)),
        Schedule::Quads | Schedule::Turned(_) => return None,
    };
    if points == 0 {
        return None;
    }
    let parts = (GROUPS / groups).min(depth / least);
    if parts < 2 {
        return None;
    }
    let block = i64::from(BLOCK);
    let length = ((depth - 1) / (parts * block) + 1) * block;
    Some(Cut { length, parts: depth / length })
}
