//! Loop IR to AVX2 and AVX-512, without Cranelift, whose vectors end at 128 bits.
//!
//! A kernel becomes one leaf function with the ABI of [`crate::abi`]. What it is made of:
//!
//! | file | job |
//! |---|---|
//! | `nest`, `walk`, `stream`, `ahead`, `row`, `column`, `reduce`, `scan` | loops, and the canonical order of reductions and scans |
//! | `values`, `arith`, `divide`, `clamp`, `compare`, `convert`, `call`, `memory`, `gather` | loop IR to machine instructions over virtual registers ([`mir`]) |
//! | `codes`, `level` | which instructions there are |
//! | `fold`, `schedule`, `alloc`, `frame` | memory operands, the order of a loop, registers, places in the stack frame, constants |
//! | `write`, `asm` | instructions, labels, bytes |
//!
//! There are no scalars: what is computed once per parallel point is computed in all lanes of a vector, and tails
//! run under a mask. A vector has as many lanes as fit of the narrowest dtype in the kernel, and values of a wider
//! dtype take two registers. What this emitter cannot do it refuses, and [`crate::emit_clif`] does it.

mod ahead;
mod alloc;
mod arith;
mod asm;
mod call;
mod clamp;
mod codes;
mod column;
mod compare;
mod convert;
mod divide;
mod elements;
mod fold;
mod frame;
mod gather;
pub(crate) mod level;
mod memory;
mod mir;
mod nest;
mod reduce;
mod row;
mod scan;
mod schedule;
mod small;
mod stream;
mod values;
mod walk;
mod write;

use crate::listing::Mark;
use alloc::{Home, Outside, allocate, load_home, store_slot};
use asm::{Asm, Bytes, TEMP, When};
use fold::{drop_dead, fold_loads};
use frame::{Frame, Pool};
use gather::Gathers;
use iced_x86::{Code, Register};
use level::Level;
use matex_ir::DType;
use matex_ir::loops::{Form, Inst, InstId, InstKind, Kernel, Role};
use mir::{Item, V};
use rustc_hash::{FxHashMap, FxHashSet};
use schedule::schedule;
use small::is_small;
use write::{CallFrame, Cold};

/// Why a kernel is left to the other emitter.
pub(super) type Out<T> = Result<T, String>;

/// Machine code with constants behind it.
pub(crate) struct Emitted {
    /// The code, then constants.
    pub(crate) bytes: Vec<u8>,
    /// Where the constants begin.
    pub(crate) code_len: usize,
    /// The functions whose addresses have to be filled in, and where.
    pub(crate) calls: Vec<(&'static str, u32)>,
    /// The instructions that are for some of the loop IR, in order.
    pub(crate) marks: Vec<Mark>,
}

/// The code of a verified kernel.
///
/// # Errors
/// What in the kernel this emitter has no form for.
pub(crate) fn emit(kernel: &Kernel, level: Level) -> Result<Emitted, String> {
    let mut e = Emitter::new(kernel, level)?;
    let (leave, done) = (e.asm.label(), e.asm.label());
    e.arguments(leave)?;
    match kernel.form() {
        Form::Map => e.map_kernel()?,
        Form::RowReduce => e.row_kernel()?,
        Form::ColumnReduce(axis) => e.column_kernel(axis)?,
        Form::Scan(axis) => e.scan_kernel(axis)?,
    }
    e.asm.bind(leave);
    e.asm.jump(When::Always, done);
    e.write_cold();
    e.asm.bind(done);
    e.finish()
}

/// The frame's slots of the run-time arguments.
#[derive(Default)]
struct RunTime {
    begin: i32,
    end: i32,
    extents: Vec<i32>,
    /// By operand and axis; none where an operand does not move or moves by its size along the vector axis.
    strides: Vec<Vec<Option<i32>>>,
    /// The positions along the axes that loops are open over.
    index: Vec<i32>,
}

struct Emitter<'k> {
    k: &'k Kernel,
    level: Level,
    /// Elements of a vector of the narrowest dtype.
    lanes: usize,
    /// The size of that dtype, and of truth values where they are vectors.
    narrow: usize,
    asm: Asm,
    frame: Frame,
    pool: Pool,
    args: RunTime,
    next: u32,
    homes: FxHashMap<V, Home>,
    /// The line that is being selected, and what of the loop IR that is done for.
    items: Vec<Item>,
    of: Option<InstId>,
    /// Known values, by copy and instruction.
    values: Vec<Vec<Option<Vec<V>>>>,
    /// Comparisons that are not computed, because what uses them does without.
    absorbed: Vec<bool>,
    /// The components of reductions, by copy and instruction.
    parts: FxHashMap<(usize, usize), Vec<Vec<V>>>,
    /// Where each operand stands at the point that loops are open over: slots.
    at: Vec<i32>,
    /// Where operands stand in a walk, for those without a register: slots.
    walk: Vec<i32>,
    cold: Vec<Cold>,
    calls: Option<CallFrame>,
    /// Whether results are written past the caches: in a kernel the slot that says so, and while a line is selected.
    streams: Option<i32>,
    streaming: bool,
    /// The slot of how many lanes are left in a tail.
    left: i32,
    /// Bytes to each lane of an operand with a stride: by operand, copy and part.
    offsets: FxHashMap<(usize, usize, usize), V>,
    /// Operands of which a walk asks for the next row, and the slots of how far that is.
    ahead: Vec<(usize, i32)>,
    gathers: Gathers,
}

impl<'k> Emitter<'k> {
    fn new(k: &'k Kernel, level: Level) -> Out<Emitter<'k>> {
        let dtypes = || k.body.iter().map(|i| i.dtype).chain(k.operands.iter().map(|o| o.dtype));
        let combined = |i: &&Inst| matches!(i.kind, InstKind::Reduce { .. } | InstKind::Scan { .. });
        if let Some(i) = k.body.iter().filter(combined).find(|i| is_small(i.dtype)) {
            return Err(format!("a reduction of {}", i.dtype));
        }
        let narrow = dtypes().filter(|d| *d != DType::Bool).map(|d| d.size().max(4)).min().unwrap_or(4);
        let mut e = Emitter {
            k,
            level,
            lanes: level.bytes() / narrow,
            narrow,
            asm: Asm::default(),
            frame: Frame::default(),
            pool: Pool::default(),
            args: RunTime::default(),
            next: 0,
            homes: FxHashMap::default(),
            items: Vec::new(),
            of: None,
            values: vec![vec![None; k.body.len()]],
            absorbed: clamp::absorbed(k),
            parts: FxHashMap::default(),
            at: Vec::new(),
            walk: Vec::new(),
            cold: Vec::new(),
            calls: None,
            streams: None,
            streaming: false,
            left: 0,
            offsets: FxHashMap::default(),
            ahead: Vec::new(),
            gathers: Gathers::default(),
        };
        e.left = e.frame.word();
        for _ in &k.operands {
            let slot = e.frame.word();
            e.walk.push(slot);
        }
        Ok(e)
    }

    /// Registers and frame are set up by [`Emitter::finish`], in front of this.
    fn arguments(&mut self, leave: asm::Label) -> Out<()> {
        let rank = self.k.axes.len();
        let (data, extents, strides) = (Register::RAX, Register::RCX, Register::R8);
        self.args.begin = self.frame.word();
        self.args.end = self.frame.word();
        self.asm.put(self.args.begin, Register::RSI);
        self.asm.put(self.args.end, Register::RDX);
        self.asm.load(data, Register::RDI, 0);
        self.asm.load(extents, Register::RDI, 8);
        self.asm.load(strides, Register::RDI, 16);
        for o in 0..self.k.operands.len() {
            let slot = self.frame.word();
            self.asm.load(Register::R9, data, 8 * o as i32);
            self.asm.put(slot, Register::R9);
            self.at.push(slot);
        }
        for axis in 0..rank {
            let slot = self.frame.word();
            self.asm.load(Register::R9, extents, 8 * axis as i32);
            self.asm.put(slot, Register::R9);
            self.args.extents.push(slot);
            let index = self.frame.word();
            self.args.index.push(index);
        }
        for o in 0..self.k.operands.len() {
            let mut slots = Vec::new();
            for axis in 0..rank {
                slots.push(self.moves_by_stride(o, axis).then(|| {
                    let slot = self.frame.word();
                    self.asm.load(Register::R9, strides, 8 * (o * rank + axis) as i32);
                    self.asm.put(slot, Register::R9);
                    slot
                }));
            }
            self.args.strides.push(slots);
        }
        self.gather_arguments(strides)?;
        // Nothing is to be done where an axis that is not reduced is empty, or the range of the call.
        self.asm.compare(Register::RSI, Register::RDX);
        self.asm.jump(When::GreaterOrEqual, leave);
        for axis in (0..rank).filter(|a| Some(*a) != self.k.reduce_axis()) {
            self.asm.get(TEMP, self.args.extents[axis]);
            self.asm.compare_const(TEMP, 0);
            self.asm.jump(When::LessOrEqual, leave);
        }
        Ok(())
    }

    /// A fresh vector register.
    fn vector(&mut self) -> V {
        self.next += 1;
        V { id: self.next, mask: false }
    }

    /// A fresh register for a truth value: a mask register at the AVX-512 level.
    fn truth(&mut self) -> V {
        self.next += 1;
        V { id: self.next, mask: self.level == Level::Avx512 }
    }

    /// A place in the frame that a value lives in from now on.
    fn home(&mut self, v: V) -> i32 {
        if let Some(Home::Slot(at)) = self.homes.get(&v) {
            return *at;
        }
        let at = self.frame.place(64, 64);
        self.homes.insert(v, Home::Slot(at));
        at
    }

    /// Writes the line that was selected, with some values pinned to registers.
    fn flush(&mut self, pins: &FxHashMap<V, usize>) -> Out<()> {
        self.fold();
        let items = std::mem::take(&mut self.items);
        let outside = Outside { level: self.level, homes: &self.homes, pins };
        for (line, of) in allocate(&items, &outside, &mut self.frame)? {
            self.asm.now = of;
            self.write(line);
        }
        self.asm.now = None;
        Ok(())
    }

    fn fold(&mut self) {
        let homes = &self.homes;
        drop_dead(&mut self.items, |v| homes.contains_key(&v));
        fold_loads(&mut self.items, |v| homes.contains_key(&v));
    }

    /// Registers for values from outside that a loop over the selected line should not load at every turn:
    /// `first` as long as there are any, then those that are used most, as long as enough are left for the line itself.
    fn pins(&mut self, first: &[V]) -> FxHashMap<V, usize> {
        self.fold();
        let (items, homes) = (std::mem::take(&mut self.items), &self.homes);
        self.items = schedule(items, self.level, |v| homes.contains_key(&v));
        let mut uses: FxHashMap<V, usize> = FxHashMap::default();
        for item in &self.items {
            for v in item.reads() {
                *uses.entry(v).or_default() += 1;
            }
        }
        // What the line changes is pinned where it is asked for only: somebody has to store it behind the loop.
        let made: FxHashSet<V> = self.items.iter().filter_map(Item::def).collect();
        let own: FxHashSet<V> = made.iter().copied().filter(|v| !self.homes.contains_key(v)).collect();
        let registers = self.level.registers();
        let spare = registers.saturating_sub(live(&self.items, &own).clamp(4, registers * 3 / 4) + 1);
        let mut others: Vec<(usize, V)> = uses
            .into_iter()
            .filter(|(v, _)| !made.contains(v) && !first.contains(v) && !v.mask)
            .map(|(v, n)| (n, v))
            .collect();
        others.sort_by_key(|(n, v)| (std::cmp::Reverse(*n), *v));
        let vectors: Vec<V> = first.iter().filter(|v| !v.mask).copied().take(registers - 4).collect();
        let others = others.into_iter().map(|(_, v)| v).take(spare.saturating_sub(vectors.len()));
        let masks = first.iter().filter(|v| v.mask).copied().zip(1..4);
        vectors.iter().copied().chain(others).zip(0..).chain(masks).collect()
    }

    /// Loads pinned values from their homes, in front of the loop.
    fn load_pins(&mut self, pins: &FxHashMap<V, usize>) {
        let mut all: Vec<(V, usize)> = pins.iter().map(|(v, r)| (*v, *r)).collect();
        all.sort_unstable();
        for (v, r) in all {
            if let Some(home) = self.homes.get(&v) {
                let line = load_home(self.level, *home, v, r);
                self.write(line);
            }
        }
    }

    /// Stores pinned values that a loop has changed to their homes, behind it.
    fn store_pins(&mut self, pins: &FxHashMap<V, usize>, changed: &[V]) {
        for v in changed {
            if let (Some(r), Some(Home::Slot(at))) = (pins.get(v), self.homes.get(v)) {
                let line = store_slot(self.level, *at, *v, *r);
                self.write(line);
            }
        }
    }

    /// Puts what sets the registers up in front, now that the frame's size is known, and what restores them behind.
    fn finish(mut self) -> Result<Emitted, String> {
        const SAVED: [Register; 4] = [Register::R12, Register::R13, Register::R14, Register::R15];
        self.answer();
        self.asm.plain(Code::VEX_Vzeroupper);
        self.asm.copy(Register::RSP, Register::RBP);
        for r in SAVED.into_iter().rev() {
            self.asm.one(Code::Pop_r64, r);
        }
        self.asm.one(Code::Pop_r64, Register::RBP);
        self.asm.one(Code::Pop_r64, Register::RBX);
        self.asm.plain(Code::Retnq);
        let rest = self.asm.take();
        self.asm.one(Code::Push_r64, Register::RBP);
        for r in SAVED {
            self.asm.one(Code::Push_r64, r);
        }
        self.asm.copy(Register::RBP, Register::RSP);
        self.asm.and_const(Register::RSP, -64);
        let (page, mut left) = (4096, self.frame.size());
        // The guard page must not be stepped over.
        while left > page {
            self.asm.add_const(Register::RSP, -page);
            self.asm.touch();
            left -= page;
        }
        self.asm.add_const(Register::RSP, -left);
        self.asm.extend(rest);
        let Bytes { bytes, pool_at: code_len, marks } = self.asm.finish(&self.pool.bytes)?;
        let calls = self.pool.cells.iter().map(|(s, at)| (*s, code_len as u32 + *at as u32)).collect();
        Ok(Emitted { bytes, code_len, calls, marks })
    }

    /// Whether an operand's stride along an axis is used: not where it does not move, nor along the vector axis where
    /// it moves by its size.
    fn moves_by_stride(&self, o: usize, axis: usize) -> bool {
        let access = self.k.operands[o].access[axis];
        let vector = self.k.vector_axis() == Some(axis);
        match access {
            matex_ir::loops::Access::Zero => false,
            matex_ir::loops::Access::Unit => !vector,
            matex_ir::loops::Access::Strided => true,
        }
    }

    /// Whether an operand is written.
    fn written(&self, o: usize) -> bool {
        self.k.operands[o].role != Role::In
    }
}

/// The most values of a line that are alive at a time.
fn live(items: &[Item], own: &FxHashSet<V>) -> usize {
    let mut alive: FxHashSet<V> = FxHashSet::default();
    let mut most = 0;
    for item in items.iter().rev() {
        if let Some(v) = item.def() {
            alive.remove(&v);
        }
        alive.extend(item.reads().into_iter().filter(|v| own.contains(v) && !v.mask));
        most = most.max(alive.len());
    }
    most
}
