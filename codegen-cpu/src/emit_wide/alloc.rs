//! Registers for a straight line of code: a linear scan that evicts the value whose next use is furthest away.
//!
//! Values from outside of the line are pinned to a register for all of it, or have a home in memory: a place in the
//! frame or among the constants. Those are loaded where they are needed, or used from memory where the instruction
//! takes that, with one element repeated for all lanes at the AVX-512 level.

use super::frame::Frame;
use super::level::Level;
use super::mir::{Arg, Base, Call, Index, Insn, Item, Place, V, View};
use super::write::{Called, Line, Saved};
use iced_x86::{Code, Register};
use matex_ir::loops::InstId;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Where a value from outside of the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// A whole vector or mask in the frame.
    Slot(i32),
    /// Among the constants: an element of this size for all lanes, or a whole vector when it is 0.
    Pool(i32, usize),
}

/// What a line is allocated in.
pub(super) struct Outside<'a> {
    pub(super) level: Level,
    pub(super) homes: &'a FxHashMap<V, Home>,
    /// The number of the register of each pinned value.
    pub(super) pins: &'a FxHashMap<V, usize>,
}

/// The number of mask registers; the first cannot mask and is not given out.
const MASKS: usize = 8;

/// Writes the line with registers, and what of the loop IR each part of it is for.
pub(super) fn allocate(
    items: &[Item],
    outside: &Outside<'_>,
    frame: &mut Frame,
) -> Result<Vec<(Line, Option<InstId>)>, String> {
    let mut uses: FxHashMap<V, Vec<usize>> = FxHashMap::default();
    for (at, item) in items.iter().enumerate() {
        for v in item.reads() {
            uses.entry(v).or_default().push(at);
        }
    }
    let files = [vec![None; outside.level.registers()], vec![None; MASKS]];
    let mut s = Scan {
        outside,
        frame,
        uses,
        files,
        reg: FxHashMap::default(),
        spilled: FxHashMap::default(),
        locked: SmallVec::new(),
        out: vec![],
        of: vec![],
        at: 0,
    };
    for (v, r) in outside.pins {
        s.files[usize::from(v.mask)][*r] = Some(*v);
        s.reg.insert(*v, *r);
    }
    for (at, item) in items.iter().enumerate() {
        s.at = at;
        // Also what is not looked at yet: its last use may be here.
        s.locked = item.reads();
        match item {
            Item::Insn(i) => s.insn(i.clone())?,
            Item::Call(c) => s.call(c)?,
            Item::Elements(e) => s.out.push(Line::Elements(*e)),
        }
        // What moves its operands is for it, too.
        s.of.resize(s.out.len(), item.of());
    }
    s.frame.forget_spills();
    Ok(s.out.into_iter().zip(s.of).collect())
}

struct Scan<'a, 'f> {
    outside: &'a Outside<'a>,
    frame: &'f mut Frame,
    /// The items that read each value, in order.
    uses: FxHashMap<V, Vec<usize>>,
    /// What each register holds: vectors, masks.
    files: [Vec<Option<V>>; 2],
    reg: FxHashMap<V, usize>,
    /// Values of this line that have a copy in the frame.
    spilled: FxHashMap<V, i32>,
    /// The registers that the item at hand needs.
    locked: SmallVec<[V; 4]>,
    out: Vec<Line>,
    /// What of the loop IR each of them is for.
    of: Vec<Option<InstId>>,
    at: usize,
}

impl Scan<'_, '_> {
    fn pinned(&self, v: V) -> bool {
        self.outside.pins.contains_key(&v)
    }

    /// The next item that reads a value after the one at hand.
    fn next_use(&self, v: V) -> Option<usize> {
        let uses = self.uses.get(&v)?;
        uses.get(uses.partition_point(|u| *u <= self.at)).copied()
    }

    /// Whether the value is not read any more after the item at hand, and its register is its own.
    fn dies(&self, v: V) -> bool {
        !self.pinned(v) && self.next_use(v).is_none()
    }

    /// A register that is free, after one was made so where needed.
    fn free(&mut self, mask: bool) -> Result<usize, String> {
        let file = &self.files[usize::from(mask)];
        let first = usize::from(mask);
        if let Some(r) = (first..file.len()).find(|r| file[*r].is_none()) {
            return Ok(r);
        }
        let held = (first..file.len()).filter_map(|r| file[r].map(|v| (r, v)));
        let candidates = held.filter(|(_, v)| !self.pinned(*v) && !self.locked.contains(v));
        let victim = candidates.max_by_key(|(_, v)| self.next_use(*v).unwrap_or(usize::MAX));
        let (r, v) = victim.ok_or("too many values at a time")?;
        if self.next_use(v).is_some()
            && !self.outside.homes.contains_key(&v)
            && !self.spilled.contains_key(&v)
        {
            let slot = self.frame.spill();
            self.out.push(store_slot(self.outside.level, slot, v, r));
            self.spilled.insert(v, slot);
        }
        self.release(v);
        Ok(r)
    }

    fn release(&mut self, v: V) {
        if let Some(r) = self.reg.remove(&v) {
            self.files[usize::from(v.mask)][r] = None;
        }
    }

    fn hold(&mut self, v: V, r: usize) {
        self.files[usize::from(v.mask)][r] = Some(v);
        self.reg.insert(v, r);
    }

    fn home(&self, v: V) -> Result<Home, String> {
        let spilled = self.spilled.get(&v).map(|s| Home::Slot(*s));
        spilled.or_else(|| self.outside.homes.get(&v).copied()).ok_or_else(|| format!("no value {}", v.id))
    }

    /// The register of a value, which is loaded where it has none.
    fn bring(&mut self, v: V) -> Result<usize, String> {
        if let Some(r) = self.reg.get(&v) {
            return Ok(*r);
        }
        let home = self.home(v)?;
        let r = self.free(v.mask)?;
        self.out.push(load_home(self.outside.level, home, v, r));
        self.hold(v, r);
        Ok(r)
    }

    /// The last argument as memory, where the instruction takes it and no register holds it.
    fn folded(&self, i: &Insn, position: usize) -> Option<Place> {
        let (size, Arg::V(v, View::Full)) = (i.folds?, i.args[position]) else { return None };
        let last = i.args.iter().rposition(|a| !matches!(a, Arg::Imm(_))) == Some(position);
        let once = i.reads().filter(|r| *r == v).count() == 1;
        if !last || !once || v.mask || self.reg.contains_key(&v) {
            return None;
        }
        match self.home(v).ok()? {
            // Several uses are better served by a register, if there is a free one.
            _ if self.next_use(v).is_some() && self.files[0].contains(&None) => None,
            Home::Slot(at) => Some(Place::frame(at)),
            Home::Pool(at, 0) => Some(Place::pool(at, false)),
            Home::Pool(at, _) if self.outside.level == Level::Avx2 => Some(Place::pool(at, false)),
            Home::Pool(at, s) => (s == size).then(|| Place::pool(at, true)),
        }
    }

    fn insn(&mut self, mut i: Insn) -> Result<(), String> {
        self.arrange(&mut i);
        let mut args = Vec::new();
        for (position, arg) in i.args.iter().enumerate() {
            args.push(match *arg {
                Arg::V(v, view) => match self.folded(&i, position) {
                    Some(place) => Arg::Mem(place),
                    None => {
                        let r = self.bring(v)?;
                        Arg::Gpr(self.register(v, r, view))
                    }
                },
                Arg::Mem(Place { index: Index::Lanes(v), .. }) => {
                    self.bring(v)?;
                    *arg
                }
                Arg::Mem(_) | Arg::Imm(_) | Arg::Gpr(_) => *arg,
            });
        }
        let mask = i.mask.map(|m| self.bring(m)).transpose()?;
        let lanes = args.iter().find_map(|a| match a {
            Arg::Mem(Place { index: Index::Lanes(v), .. }) => {
                self.reg.get(v).map(|r| self.outside.level.vector(*r))
            }
            Arg::V(..) | Arg::Mem(_) | Arg::Imm(_) | Arg::Gpr(_) => None,
        });
        let made = self.define(&i, &mut args)?;
        let def = i.def.zip(made).map(|((v, view), r)| self.register(v, r, view));
        let mask = mask.map(|r| Register::K0 + r as u32);
        self.out.push(Line::Insn { code: i.code, def, args, mask, zeroing: i.zeroing, lanes });
        if let Some(((v, _), made)) = i.def.zip(made) {
            if let Some(pin) = self.outside.pins.get(&v).filter(|pin| **pin != made) {
                self.out.push(move_vector(self.outside.level, *pin, made));
            }
            self.settle(v);
        }
        Ok(())
    }

    /// Puts the arguments into the order in which the fewest values have to be copied or loaded.
    fn arrange(&mut self, i: &mut Insn) {
        let Some((def, _)) = i.def else { return };
        let at = |i: &Insn, n: usize| match i.args.get(n) {
            Some(Arg::V(v, _)) => Some(*v),
            Some(Arg::Mem(_) | Arg::Imm(_) | Arg::Gpr(_)) | None => None,
        };
        let held = |s: &Self, v: Option<V>| v.is_some_and(|v| s.reg.contains_key(&v));
        if let (Some(over_c), Some(a), Some(b), Some(c)) = (i.over_c, at(i, 0), at(i, 1), at(i, 2)) {
            let takes = |s: &Self, v: V, others: [V; 2]| {
                (v == def || (s.dies(v) && !s.pinned(def) && s.reg.contains_key(&v))) && !others.contains(&v)
            };
            if takes(self, a, [b, c]) {
            } else if takes(self, b, [a, c]) {
                i.args.swap(0, 1);
            } else if takes(self, c, [a, b]) {
                i.code = over_c;
                i.args = vec![i.args[2], i.args[0], i.args[1]];
            }
        } else if i.commutes && !held(self, at(i, 0)) && held(self, at(i, 1)) {
            i.args.swap(0, 1);
        }
    }

    /// The register of the result. For a tied instruction the first argument is made to be in it, and left out. A pinned
    /// value whose old self the instruction reads is made in another register, and has to be moved after it.
    fn define(&mut self, i: &Insn, args: &mut Vec<Arg>) -> Result<Option<usize>, String> {
        let Some((def, _)) = i.def else {
            self.bury(i);
            return Ok(None);
        };
        let wanted = self.reg.get(&def).copied();
        if !i.tied {
            if !i.apart {
                self.bury(i);
            }
            let r = match wanted {
                Some(r) => r,
                None => self.free(def.mask)?,
            };
            if i.apart {
                self.bury(i);
            }
            self.hold(def, r);
            return Ok(Some(r));
        }
        let Arg::V(first, _) = i.args[0] else { return Err("a tied argument in memory".into()) };
        let from = self.bring(first)?;
        let r = if first == def {
            from
        } else if self.dies(first) && wanted.is_none() {
            self.release(first);
            from
        } else {
            let r = match wanted {
                Some(r) if !i.args[1..].contains(&Arg::V(def, View::Full)) => r,
                _ => self.free(def.mask)?,
            };
            self.out.push(move_vector(self.outside.level, r, from));
            r
        };
        self.bury(i);
        args.remove(0);
        if wanted.is_none_or(|wanted| wanted == r) {
            self.hold(def, r);
        } else if !self.pinned(def) {
            self.release(def);
            self.hold(def, r);
        }
        Ok(Some(r))
    }

    /// Frees the registers of values that are read here for the last time.
    fn bury(&mut self, i: &Insn) {
        let def = i.def.map(|(v, _)| v);
        for v in i.reads() {
            if self.dies(v) && Some(v) != def {
                self.release(v);
            }
        }
    }

    /// After a value was defined: one that lives in the frame goes there, and one that nobody reads is gone.
    fn settle(&mut self, v: V) {
        if self.pinned(v) {
            return;
        }
        if let (Some(Home::Slot(slot)), Some(r)) = (self.outside.homes.get(&v), self.reg.get(&v)) {
            self.out.push(store_slot(self.outside.level, *slot, v, *r));
        }
        // A copy from before is out of date.
        self.spilled.remove(&v);
        if self.next_use(v).is_none() {
            self.release(v);
        }
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        let args: Vec<usize> = call.args.iter().map(|v| self.bring(*v)).collect::<Result<_, _>>()?;
        let rest = match call.rest {
            Some((fast, beyond)) => Some((self.bring(fast)?, beyond.mask, self.bring(beyond)?)),
            None => None,
        };
        let result = match (call.rest, rest) {
            (Some((v, _)), Some((fast, ..))) if self.dies(v) => {
                self.release(v);
                Some(fast)
            }
            // While the arguments still have their registers, because cold code reads them later.
            (_, Some((fast, ..))) => {
                let r = self.free(false)?;
                self.out.push(move_vector(self.outside.level, r, fast));
                Some(r)
            }
            (_, None) => None,
        };
        for v in call.args.iter().copied().chain(call.rest.map(|(_, beyond)| beyond)) {
            if self.dies(v) {
                self.release(v);
            }
        }
        let result = result.map_or_else(|| self.free(false), Ok)?;
        let mut saved = Vec::new();
        for (mask, file) in [false, true].into_iter().zip(&self.files) {
            let held = file.iter().enumerate().filter(|(r, v)| v.is_some() && (mask || *r != result));
            saved.extend(held.map(|(reg, _)| Saved { mask, reg }));
        }
        self.hold(call.def, result);
        self.out.push(Line::Call(Called {
            helper: call.helper,
            what: call.what,
            lanes: call.lanes,
            result,
            args,
            beyond: rest.map(|(_, mask, beyond)| (mask, beyond)),
            saved,
        }));
        self.settle(call.def);
        Ok(())
    }

    fn register(&self, v: V, r: usize, view: View) -> Register {
        if v.mask {
            return Register::K0 + r as u32;
        }
        match view {
            View::Full => self.outside.level.vector(r),
            View::Half => self.outside.level.half(r),
            View::Low => Register::XMM0 + r as u32,
        }
    }
}

fn plain(code: Code, def: Option<Register>, args: Vec<Arg>) -> Line {
    Line::Insn { code, def, args, mask: None, zeroing: false, lanes: None }
}

/// Loads a value from its home.
pub(super) fn load_home(level: Level, home: Home, v: V, r: usize) -> Line {
    if v.mask {
        let place = match home {
            Home::Slot(at) => Place::frame(at),
            Home::Pool(at, _) => Place::pool(at, false),
        };
        return plain(Code::VEX_Kmovw_kr_km16, Some(Register::K0 + r as u32), vec![Arg::Mem(place)]);
    }
    let whole = match level {
        Level::Avx2 => Code::VEX_Vmovups_ymm_ymmm256,
        Level::Avx512 => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
    };
    let (code, place) = match (home, level) {
        (Home::Slot(at), _) => (whole, Place::frame(at)),
        (Home::Pool(at, 4), Level::Avx512) => {
            (Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Place::pool(at, false))
        }
        (Home::Pool(at, 8), Level::Avx512) => {
            (Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64, Place::pool(at, false))
        }
        (Home::Pool(at, _), _) => (whole, Place::pool(at, false)),
    };
    plain(code, Some(level.vector(r)), vec![Arg::Mem(place)])
}

/// Stores a register to the frame.
pub(super) fn store_slot(level: Level, slot: i32, v: V, r: usize) -> Line {
    let (code, reg) = match (v.mask, level) {
        (true, _) => (Code::VEX_Kmovw_m16_kr, Register::K0 + r as u32),
        (false, Level::Avx2) => (Code::VEX_Vmovups_ymmm256_ymm, level.vector(r)),
        (false, Level::Avx512) => (Code::EVEX_Vmovups_zmmm512_k1z_zmm, level.vector(r)),
    };
    plain(
        code,
        None,
        vec![
            Arg::Mem(Place { base: Base::Frame, index: Index::None, disp: slot, broadcast: false }),
            Arg::Gpr(reg),
        ],
    )
}

fn move_vector(level: Level, to: usize, from: usize) -> Line {
    let code = match level {
        Level::Avx2 => Code::VEX_Vmovaps_ymm_ymmm256,
        Level::Avx512 => Code::EVEX_Vmovaps_zmm_k1z_zmmm512,
    };
    plain(code, Some(level.vector(to)), vec![Arg::Gpr(level.vector(from))])
}
