//! Machine instructions over virtual registers, as selection makes them and allocation takes them.

use iced_x86::{Code, Register};
use matex_ir::loops::InstId;
use smallvec::SmallVec;

/// A virtual register. Most are defined once; accumulators are defined again by what adds to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct V {
    pub(super) id: u32,
    /// Whether it is one of the mask registers.
    pub(super) mask: bool,
}

/// How much of a vector register an instruction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Full,
    /// The lower half.
    Half,
    /// The lowest 128 bits.
    Low,
}

/// What an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    V(V, View),
    Mem(Place),
    Imm(u8),
    Gpr(Register),
}

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: Base,
    pub(super) index: Index,
    pub(super) disp: i32,
    /// One element for all lanes.
    pub(super) broadcast: bool,
}

/// What an address begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Where an operand stands.
    Operand(usize),
    Frame,
    Pool,
}

/// What is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    None,
    /// The position along the walk, times a size.
    Position(u32),
    /// Bytes in the register of [`super::asm::OFFSET`].
    Offset,
    /// Bytes for each lane.
    Lanes(V),
}

impl Place {
    pub(super) fn frame(disp: i32) -> Place {
        Place { base: Base::Frame, index: Index::None, disp, broadcast: false }
    }

    pub(super) fn pool(disp: i32, broadcast: bool) -> Place {
        Place { base: Base::Pool, index: Index::None, disp, broadcast }
    }
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Insn {
    pub(super) code: Code,
    pub(super) def: Option<(V, View)>,
    pub(super) args: Vec<Arg>,
    /// The first argument is overwritten by the result.
    pub(super) tied: bool,
    /// The result may not lie where an argument does.
    pub(super) apart: bool,
    /// Lanes that are not in the mask keep what they held, or become 0.
    pub(super) mask: Option<V>,
    pub(super) zeroing: bool,
    /// The last argument may be memory; the size of an element that it may repeat, if it may.
    pub(super) folds: Option<usize>,
    /// The first two arguments can be exchanged.
    pub(super) commutes: bool,
    /// For `a * b + c`: the form that overwrites `c`. The code is the one that overwrites `a`.
    pub(super) over_c: Option<Code>,
    /// What of the loop IR it is for.
    pub(super) of: Option<InstId>,
}

impl Insn {
    pub(super) fn new(code: Code, def: Option<(V, View)>, args: Vec<Arg>) -> Insn {
        Insn {
            code,
            def,
            args,
            tied: false,
            apart: false,
            mask: None,
            zeroing: false,
            folds: None,
            commutes: false,
            over_c: None,
            of: None,
        }
    }

    /// Every register that it reads.
    pub(super) fn reads(&self) -> impl Iterator<Item = V> {
        let direct = self.args.iter().filter_map(|a| match a {
            Arg::V(v, _) | Arg::Mem(Place { index: Index::Lanes(v), .. }) => Some(*v),
            Arg::Mem(_) | Arg::Imm(_) | Arg::Gpr(_) => None,
        });
        direct.chain(self.mask)
    }
}

/// A call of a function that works lane by lane: `def` is what it says of the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Where in the pool the function's address stands.
    pub(super) helper: i32,
    /// Which of the things that the function can do.
    pub(super) what: i32,
    /// How many lanes there are.
    pub(super) lanes: usize,
    pub(super) def: V,
    pub(super) args: Vec<V>,
    /// For lanes that straight code does not hold for: what that code says, and the truth value of the others. All lanes are
    /// the function's where there is none.
    pub(super) rest: Option<(V, V)>,
    /// What of the loop IR it is for.
    pub(super) of: Option<InstId>,
}

/// What allocation goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Insn(Insn),
    Call(Call),
    Elements(Elements),
}

/// A copy of elements between an operand and the frame, one by one: what no vector instruction reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elements {
    pub(super) operand: Place,
    /// The slot where they lie side by side.
    pub(super) slot: i32,
    /// Bytes of one: 1, 2, 4 or 8.
    pub(super) size: usize,
    pub(super) lanes: Lanes,
    /// From the frame to the operand.
    pub(super) out: bool,
    /// What of the loop IR it is for.
    pub(super) of: Option<InstId>,
}

/// Which lanes are copied, and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// Side by side, as many as a slot says but no more than there are.
    Left(i32, usize),
    /// So many, at distances in bytes that begin at a slot; where there is another slot, those whose words of 8 bytes there are
    /// not 0.
    Apart(usize, i32, Option<i32>),
}

impl Item {
    pub(super) fn reads(&self) -> SmallVec<[V; 4]> {
        match self {
            Item::Insn(i) => i.reads().collect(),
            Item::Call(c) => {
                let rest = c.rest.iter().flat_map(|(fast, beyond)| [*fast, *beyond]);
                rest.chain(c.args.iter().copied()).collect()
            }
            Item::Elements(_) => SmallVec::new(),
        }
    }

    /// What of the loop IR it is for.
    pub(super) fn of(&self) -> Option<InstId> {
        match self {
            Item::Insn(i) => i.of,
            Item::Call(c) => c.of,
            Item::Elements(e) => e.of,
        }
    }

    pub(super) fn def(&self) -> Option<V> {
        match self {
            Item::Insn(i) => i.def.map(|(v, _)| v),
            Item::Call(c) => Some(c.def),
            Item::Elements(_) => None,
        }
    }
}
