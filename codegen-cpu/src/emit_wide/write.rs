//! Allocated lines as instructions, and the cold code beside them.

use super::Emitter;
use super::asm::{Label, OFFSET, POINTERS, POOL, POSITION, TEMP, When, low32};
use super::level::Level;
use super::mir::{Arg, Base, Elements, Index, Place};
use iced_x86::{Code, Instruction, OpKind, Register};

/// What is to be written.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// An instruction; registers among the arguments are real ones.
    Insn {
        code: Code,
        def: Option<Register>,
        args: Vec<Arg>,
        mask: Option<Register>,
        zeroing: bool,
        /// The register of an index for each lane.
        lanes: Option<Register>,
    },
    Elements(Elements),
    Call(Called),
}

/// A call of a function that works lane by lane; registers by number.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) helper: i32,
    pub(super) what: i32,
    pub(super) lanes: usize,
    pub(super) result: usize,
    pub(super) args: Vec<usize>,
    /// The register of the lanes that are the function's, and whether it is a mask register. The result's has what the
    /// others keep.
    pub(super) beyond: Option<(bool, usize)>,
    pub(super) saved: Vec<Saved>,
}

/// A register that has to be as before after a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) mask: bool,
    pub(super) reg: usize,
}

/// Code that rarely runs, and where it is entered and left.
pub(super) struct Cold {
    enter: Label,
    leave: Label,
    call: Called,
}

impl Emitter<'_> {
    pub(super) fn write(&mut self, line: Line) {
        match &line {
            Line::Insn { code, def, args, mask, zeroing, lanes } => {
                let mut i = Instruction::default();
                i.set_code(*code);
                let mut at = 0;
                if let Some(def) = def {
                    i.set_op_kind(0, OpKind::Register);
                    i.set_op_register(0, *def);
                    at = 1;
                }
                for arg in args {
                    self.set_operand(&mut i, at, *arg, *lanes);
                    at += 1;
                }
                if let Some(mask) = mask {
                    i.set_op_mask(*mask);
                    i.set_zeroing_masking(*zeroing);
                }
                self.asm.push(i);
            }
            Line::Elements(e) => self.move_elements(e),
            Line::Call(call) => match call.beyond {
                Some((mask, beyond)) => self.look(mask, beyond, call.clone()),
                None => self.call_lanes(call),
            },
        }
    }

    pub(super) fn set_operand(&mut self, i: &mut Instruction, at: u32, arg: Arg, lanes: Option<Register>) {
        match arg {
            Arg::Gpr(r) => {
                i.set_op_kind(at, OpKind::Register);
                i.set_op_register(at, r);
            }
            Arg::Imm(v) => {
                i.set_op_kind(at, OpKind::Immediate8);
                i.set_immediate8(v);
            }
            Arg::Mem(place) => self.set_place(i, at, place, lanes),
            // Allocation has replaced all of them.
            Arg::V(..) => {}
        }
    }

    pub(super) fn set_place(&mut self, i: &mut Instruction, at: u32, place: Place, lanes: Option<Register>) {
        let base = match place.base {
            Base::Frame => Register::RSP,
            Base::Pool => POOL,
            Base::Operand(o) => self.pointer(o),
        };
        let (index, scale) = match place.index {
            Index::None => (Register::None, 1),
            Index::Position(size) => (POSITION, size),
            Index::Offset => (OFFSET, 1),
            Index::Lanes(_) => (lanes.unwrap_or(Register::None), 1),
        };
        i.set_op_kind(at, OpKind::Memory);
        i.set_memory_base(base);
        i.set_memory_index(index);
        i.set_memory_index_scale(scale);
        i.set_memory_displ_size(1);
        i.set_memory_displacement64(i64::from(place.disp) as u64);
        i.set_is_broadcast(place.broadcast);
    }

    /// The register that an operand's place is in, loaded where it has none of its own.
    fn pointer(&mut self, o: usize) -> Register {
        if let Some(r) = POINTERS.get(o) {
            return *r;
        }
        let slot = self.walk[o];
        self.asm.get(TEMP, slot);
        TEMP
    }

    /// A jump to cold code where any lane asks for it.
    fn look(&mut self, mask: bool, beyond: usize, call: Called) {
        let (enter, leave) = (self.asm.label(), self.asm.label());
        let (code, r) = match (mask, self.lanes) {
            (true, 16) => (Code::VEX_Kortestw_kr_kr, Register::K0 + beyond as u32),
            (true, _) => (Code::VEX_Kortestb_kr_kr, Register::K0 + beyond as u32),
            (false, _) => (Code::VEX_Vptest_ymm_ymmm256, self.level.vector(beyond)),
        };
        let mut test = Instruction::default();
        test.set_code(code);
        for at in 0..2 {
            self.set_operand(&mut test, at, Arg::Gpr(r), None);
        }
        self.asm.push(test);
        self.asm.jump(When::NotZero, enter);
        self.asm.bind(leave);
        self.cold.push(Cold { enter, leave, call });
    }

    /// Writes the cold code, behind everything else.
    pub(super) fn write_cold(&mut self) {
        for Cold { enter, leave, call } in std::mem::take(&mut self.cold) {
            self.asm.bind(enter);
            self.call_lanes(&call);
            self.asm.jump(When::Always, leave);
        }
    }

    /// Calls a function on vectors in the frame, and leaves all but the result as it was.
    fn call_lanes(&mut self, call: &Called) {
        let frame = self.call_frame();
        let at = |s: &Saved| {
            if s.mask { frame.masks + 8 * s.reg as i32 } else { frame.vectors + 64 * s.reg as i32 }
        };
        for s in &call.saved {
            self.move_saved(*s, at(s), true);
        }
        let vector = |reg: usize| Saved { mask: false, reg };
        for (n, reg) in call.args.iter().enumerate() {
            self.move_saved(vector(*reg), frame.args + 64 * n as i32, true);
        }
        let all = (1 << call.lanes) - 1;
        match call.beyond {
            Some((mask, beyond)) => {
                self.move_saved(vector(call.result), frame.result, true);
                self.lanes_beyond(mask, beyond, call.lanes);
                // What lies above the lanes in a mask register means nothing.
                self.asm.and_const(TEMP, all);
            }
            None => self.asm.set(TEMP, all),
        }
        self.asm.put(frame.position, POSITION);
        self.asm.put(frame.offset, OFFSET);
        for (n, r) in POINTERS.iter().take(6).enumerate() {
            self.asm.put(frame.pointers + 8 * n as i32, *r);
        }
        self.asm.copy(Register::RDX, TEMP);
        self.asm.set(Register::RCX, call.what);
        self.asm.address(Register::RDI, Register::RSP, frame.result);
        self.asm.address(Register::RSI, Register::RSP, frame.args);
        self.asm.plain(Code::VEX_Vzeroupper);
        self.asm.call(call.helper);
        for (n, r) in POINTERS.iter().take(6).enumerate() {
            self.asm.get(*r, frame.pointers + 8 * n as i32);
        }
        self.asm.get(POSITION, frame.position);
        self.asm.get(OFFSET, frame.offset);
        for s in &call.saved {
            self.move_saved(*s, at(s), false);
        }
        self.move_saved(vector(call.result), frame.result, false);
    }

    /// The bits of the lanes to be done, in the register for short use.
    fn lanes_beyond(&mut self, mask: bool, beyond: usize, lanes: usize) {
        let (code, from) = match (mask, lanes) {
            (true, _) => (Code::VEX_Kmovw_r32_kr, Register::K0 + beyond as u32),
            (false, 8) => (Code::VEX_Vmovmskps_r32_ymm, self.level.vector(beyond)),
            (false, _) => (Code::VEX_Vmovmskpd_r32_ymm, self.level.vector(beyond)),
        };
        let mut i = Instruction::default();
        i.set_code(code);
        self.set_operand(&mut i, 0, Arg::Gpr(low32(TEMP)), None);
        self.set_operand(&mut i, 1, Arg::Gpr(from), None);
        self.asm.push(i);
    }

    /// Stores a register to the frame, or loads it.
    fn move_saved(&mut self, s: Saved, at: i32, store: bool) {
        let reg = if s.mask { Register::K0 + s.reg as u32 } else { self.level.vector(s.reg) };
        let code = match (s.mask, self.level, store) {
            (true, _, true) => Code::VEX_Kmovw_m16_kr,
            (true, _, false) => Code::VEX_Kmovw_kr_km16,
            (false, Level::Avx2, true) => Code::VEX_Vmovups_ymmm256_ymm,
            (false, Level::Avx2, false) => Code::VEX_Vmovups_ymm_ymmm256,
            (false, Level::Avx512, true) => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            (false, Level::Avx512, false) => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        };
        let mut i = Instruction::default();
        i.set_code(code);
        let (memory, register) = if store { (0, 1) } else { (1, 0) };
        self.set_place(&mut i, memory, Place::frame(at), None);
        self.set_operand(&mut i, register, Arg::Gpr(reg), None);
        self.asm.push(i);
    }

    /// Where calls keep what they may change, and what they work on. The place is made once.
    fn call_frame(&mut self) -> CallFrame {
        if let Some(f) = self.calls {
            return f;
        }
        let f = CallFrame {
            vectors: self.frame.place(64 * self.level.registers(), 64),
            masks: self.frame.place(64, 64),
            result: self.frame.place(64, 64),
            args: self.frame.place(2 * 64, 64),
            pointers: self.frame.place(64, 64),
            position: self.frame.word(),
            offset: self.frame.word(),
        };
        self.calls = Some(f);
        f
    }
}

/// The parts of the frame that calls use.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallFrame {
    vectors: i32,
    masks: i32,
    result: i32,
    args: i32,
    pointers: i32,
    position: i32,
    offset: i32,
}
