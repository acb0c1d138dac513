//! The memory of one call: what each buffer of the plan holds, the arena that its temporaries lie in, and the memory that
//! waits to be used again.

use super::ExecError;
use crate::{Buffer, View};
use matex_ir::Span;
use matex_passes::plan::{Arena, BufferId, Part, Piece, Places};
use std::sync::Arc;

/// What a buffer of the plan holds.
#[derive(Clone, Debug, Default)]
pub(super) enum Memory {
    /// Nothing yet, or nothing any more.
    #[default]
    Empty,
    /// An argument: the caller's memory, which is only read.
    Caller(CallerMemory),
    /// Memory of the call, or of a constant; written to only while nothing else holds it.
    Own(Arc<Buffer>),
    /// Memory that the plan fills as a buffer of its own and that is not its to give away: the caller's for a result, or a
    /// part of what temporaries share.
    Place(PlaceMemory),
    /// Memory that another buffer of the call has got already, readable until this one is freed.
    Lent(PlaceMemory),
    /// So many bytes of an argument that is on the GPU, to be read there or copied first.
    Away(i64),
}

/// The bytes of a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceMemory {
    pub(super) start: *mut u8,
    pub(super) len: usize,
}

/// The bytes that an argument reaches, as distances from its first element.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallerMemory {
    pub(super) start: *const u8,
    pub(super) low: i64,
    pub(super) high: i64,
}

impl CallerMemory {
    /// The reach of a view. Its constructors' contract keeps every stride and product within the address space.
    pub(super) fn of(view: &View<'_>) -> CallerMemory {
        let (mut low, mut high) = (0i64, 0i64);
        if !view.is_empty() {
            let size = view.dtype().size() as i64;
            for (extent, stride) in view.shape().iter().zip(view.strides()) {
                let last = (*extent as i64 - 1).saturating_mul(*stride as i64).saturating_mul(size);
                low = low.saturating_add(last.min(0));
                high = high.saturating_add(last.max(0));
            }
            high = high.saturating_add(size);
        }
        CallerMemory { start: view.data_ptr(), low, high }
    }
}

impl Memory {
    /// Where the first byte of offset 0 is, and the offsets that may be touched.
    pub(super) fn reach(&self) -> Option<(*const u8, i64, i64)> {
        match self {
            Memory::Empty | Memory::Away(_) => None,
            Memory::Caller(m) => Some((m.start, m.low, m.high)),
            Memory::Own(buffer) => Some((buffer.as_ptr(), 0, buffer.len() as i64)),
            Memory::Place(m) | Memory::Lent(m) => Some((m.start.cast_const(), 0, m.len as i64)),
        }
    }

    /// As [`reach`](Memory::reach), also of what is not on the host: then the pointer is none, and not to be read from.
    pub(super) fn bounds(&self) -> Option<(*const u8, i64, i64)> {
        match self {
            Memory::Away(len) => Some((std::ptr::null(), 0, *len)),
            Memory::Empty | Memory::Caller(_) | Memory::Own(_) | Memory::Place(_) | Memory::Lent(_) => {
                self.reach()
            }
        }
    }

    /// All bytes that may be read. Of an argument only where there are no gaps between its elements
    /// ([`super::Temporary`]).
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        let (start, low, high) = self.reach()?;
        let len = usize::try_from(high - low).ok()?;
        // SAFETY: `reach` tells the bounds of memory that lives as long as the reference: a buffer's, a place's, or that of an
        // argument, which is borrowed during the call and contiguous, or an image, which holds `low..high` without gaps.
        // Nothing writes to it meanwhile: what the call writes is done when a step ends.
        Some(unsafe { std::slice::from_raw_parts(start.wrapping_offset(low as isize), len) })
    }

    /// The memory to write to: only when it is the call's own and nothing else holds it, or a place for a result.
    pub(super) fn unique(&mut self) -> Option<PlaceMemory> {
        match self {
            Memory::Own(buffer) => {
                let buffer = Arc::get_mut(buffer)?;
                Some(PlaceMemory { start: buffer.as_mut_ptr(), len: buffer.len() })
            }
            Memory::Place(place) => Some(*place),
            Memory::Empty | Memory::Caller(_) | Memory::Lent(_) | Memory::Away(_) => None,
        }
    }

    /// The bytes to write to, all of them set to 0 first when asked for: fresh memory may be uninitialized.
    pub(super) fn bytes_mut(&mut self, clear: bool) -> Option<&mut [u8]> {
        let PlaceMemory { start, len } = self.unique()?;
        // SAFETY: these bytes are this memory's alone, which is uniquely borrowed as long as the slice lives; what is not
        // cleared was written before, by the plan or (a place) by the caller.
        unsafe {
            if clear {
                std::ptr::write_bytes(start, 0, len);
            }
            Some(std::slice::from_raw_parts_mut(start, len))
        }
    }
}

/// One piece of memory for the temporaries of a call, kept from call to call.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Where they lie.
    places: Places,
    /// Made when the first of them is filled: no loop may have to.
    memory: Option<Buffer>,
}

impl Shared {
    /// Places the temporaries of a plan for other sizes; what is too large for a call anyway has no place.
    pub(super) fn bind(&mut self, arena: &Arena, bytes: impl Fn(&Piece) -> u64) {
        self.places = arena.places(bytes);
        if self.memory.as_ref().is_some_and(|m| (m.len() as u64) < self.places.total) {
            self.memory = None;
        }
    }

    /// The bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.places.total
    }

    /// Whether all of it stays from call to call.
    pub(super) fn is_kept(&self) -> bool {
        self.places.total <= KEPT_BYTES as u64
    }

    /// Where a temporary of so many bytes lies, if it has a place.
    pub(super) fn part(&self, arena: &Arena, buffer: BufferId, bytes: u64) -> Option<Part> {
        let part = self.places.pieces.get(arena.piece(buffer)?)?;
        Some(*part).filter(|p| p.bytes == bytes)
    }

    /// The memory of all that lies in no result's.
    pub(super) fn memory(&mut self, origin: Span) -> Result<PlaceMemory, ExecError> {
        let total = self.places.total;
        let memory = match &mut self.memory {
            Some(memory) => memory,
            none => {
                let failed = || ExecError::OutOfMemory { bytes: total, origin };
                let size = usize::try_from(total).map_err(|_| failed())?;
                // SAFETY: as for `Pool::allocate`: lowering fills every buffer before anything else reads it, and nothing but
                // the buffers of the plan reads this.
                none.insert(unsafe { Buffer::uninit(size) }.map_err(|_| failed())?)
            }
        };
        Ok(PlaceMemory { start: memory.as_mut_ptr(), len: memory.len() })
    }
}

impl PlaceMemory {
    /// A part of it, if it lies inside.
    pub(super) fn part(self, part: &Part) -> Option<PlaceMemory> {
        let (start, len) = (usize::try_from(part.start).ok()?, usize::try_from(part.bytes).ok()?);
        let inside = start.checked_add(len).is_some_and(|end| end <= self.len);
        inside.then(|| PlaceMemory { start: self.start.wrapping_add(start), len })
    }
}

/// Freed memory of a call, to be used again for a buffer of the same size.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Vec<Arc<Buffer>>,
    zeroed: bool,
}

/// How much freed memory is kept at most, in pieces.
const POOLED: usize = 32;

/// How many bytes are kept from call to call at most; what is larger is kept for the whole process
/// ([`crate::tensor`]'s spare buffers).
const KEPT_BYTES: usize = 1 << 20;

impl Pool {
    /// A pool whose memory is always initialized, when that is asked for.
    pub(super) fn new(zeroed: bool) -> Pool {
        Pool { free: Vec::new(), zeroed }
    }

    /// Memory of that size with unspecified contents.
    pub(super) fn allocate(&mut self, bytes: usize, origin: Span) -> Result<Arc<Buffer>, ExecError> {
        if let Some(i) = self.free.iter().rposition(|b| b.len() == bytes) {
            return Ok(self.free.swap_remove(i));
        }
        let fresh = if self.zeroed {
            Buffer::zeroed(bytes)
        } else {
            // SAFETY: lowering fills every buffer that it allocates, by kernels and routines that cover its whole
            // shape, before any other step reads it; results are complete because a failed step ends the call and drops
            // its memory. Tests hold the plans to that: the loop interpreter runs them on memory whose contents differ.
            unsafe { Buffer::uninit(bytes) }
        };
        fresh.map(Arc::new).map_err(|_| ExecError::OutOfMemory { bytes: bytes as u64, origin })
    }

    /// Keeps what is small for a later call besides the arena, and lets all else go.
    pub(super) fn shrink(&mut self, shared: &mut Shared) {
        if shared.memory.as_ref().is_some_and(|m| m.len() > KEPT_BYTES) {
            shared.memory = None;
        }
        let mut room = KEPT_BYTES - shared.memory.as_ref().map_or(0, Buffer::len);
        self.free.retain(|b| {
            let keeps = b.len() <= room;
            room -= if keeps { b.len() } else { 0 };
            keeps
        });
    }

    /// Takes back what a buffer held, when nothing else does.
    pub(super) fn give(&mut self, memory: Memory) {
        if let Memory::Own(mut buffer) = memory
            && self.free.len() < POOLED
            && Arc::get_mut(&mut buffer).is_some()
        {
            self.free.push(buffer);
        }
    }
}

/// A copy of the elements of an argument, with the same layout over memory of its own, for an engine that looks at
/// bytes rather than elements: those between the elements are not the caller's to lend.
pub(super) fn image(view: &View<'_>) -> Result<Buffer, ExecError> {
    let reach = CallerMemory::of(view);
    let bytes = usize::try_from(reach.high - reach.low).unwrap_or(usize::MAX);
    let refused = |_| ExecError::OutOfMemory { bytes: bytes as u64, origin: Span::default() };
    let mut copy = Buffer::zeroed(bytes).map_err(refused)?;
    let size = view.dtype().size();
    let mut index = vec![0usize; view.rank()];
    for value in view.scalars() {
        let at: i64 = index.iter().zip(view.strides()).map(|(i, s)| *i as i64 * *s as i64).sum();
        let at = usize::try_from(at * size as i64 - reach.low).unwrap_or(usize::MAX);
        if let Some(place) = copy.as_mut_bytes().get_mut(at..at.saturating_add(size)) {
            place.copy_from_slice(&value.bits().to_le_bytes()[..size]);
        }
        for (i, extent) in index.iter_mut().zip(view.shape()).rev() {
            *i += 1;
            if *i < *extent {
                break;
            }
            *i = 0;
        }
    }
    Ok(copy)
}
