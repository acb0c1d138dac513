//! Allocated lines as instructions, and the cold code beside them.

use super::Emitter;
use super::asm::{Label, OFFSET, POINTERS, POOL, POSITION, TEMP, When, low32};
use super::level::Level;
use super::mir::{Arg, Base, Index, Place};
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
    /// As many bytes as there are lanes left, one by one.
    Bytes { operand: Place, slot: i32, left: i32, out: bool },
    /// Scalar code for the lanes of `beyond`; registers by number.
    Rescue {
        helper: i32,
        size: usize,
        beyond_mask: bool,
        result: usize,
        beyond: usize,
        x: usize,
        saved: Vec<Saved>,
    },
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
    line: Line,
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
            Line::Bytes { operand, slot, left, out } => self.move_bytes(*operand, *slot, *left, *out),
            Line::Rescue { beyond_mask, beyond, .. } => self.look(*beyond_mask, *beyond, line.clone()),
        }
    }

    fn set_operand(&mut self, i: &mut Instruction, at: u32, arg: Arg, lanes: Option<Register>) {
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

    fn set_place(&mut self, i: &mut Instruction, at: u32, place: Place, lanes: Option<Register>) {
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

    /// Copies bytes between an operand and the frame, as many as there are lanes left.
    fn move_bytes(&mut self, operand: Place, slot: i32, left: i32, out: bool) {
        let kept = [POSITION, OFFSET].map(|r| {
            let at = self.frame.word();
            self.asm.put(at, r);
            (r, at)
        });
        let mut address = Instruction::default();
        address.set_code(Code::Lea_r64_m);
        self.set_operand(&mut address, 0, Arg::Gpr(TEMP), None);
        self.set_place(&mut address, 1, operand, None);
        self.asm.push(address);
        self.asm.zero(OFFSET);
        let (again, done) = (self.asm.label(), self.asm.label());
        self.asm.bind(again);
        self.asm.compare_slot(OFFSET, left);
        self.asm.jump(When::GreaterOrEqual, done);
        if out {
            self.asm.load_byte(POSITION, Register::RSP, OFFSET, slot);
            self.asm.store_byte(TEMP, OFFSET, 0, POSITION);
        } else {
            self.asm.load_byte(POSITION, TEMP, OFFSET, 0);
            self.asm.store_byte(Register::RSP, OFFSET, slot, POSITION);
        }
        self.asm.add_const(OFFSET, 1);
        // More may be left than a vector has lanes.
        self.asm.compare_const(OFFSET, self.lanes as i32);
        self.asm.jump(When::Less, again);
        self.asm.bind(done);
        for (r, at) in kept {
            self.asm.get(r, at);
        }
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
    fn look(&mut self, mask: bool, beyond: usize, line: Line) {
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
        self.cold.push(Cold { enter, leave, line });
    }

    /// Writes the cold code, behind everything else.
    pub(super) fn write_cold(&mut self) {
        for Cold { enter, leave, line } in std::mem::take(&mut self.cold) {
            self.asm.bind(enter);
            if let Line::Rescue { helper, size, beyond_mask, result, beyond, x, saved } = line {
                let frame = self.rescue_frame();
                let vector = |s: &Saved| frame.vectors + 64 * s.reg as i32;
                let mask = |s: &Saved| frame.masks + 8 * s.reg as i32;
                for s in &saved {
                    let at = if s.mask { mask(s) } else { vector(s) };
                    self.move_saved(*s, at, true);
                }
                let (out, of) = (Saved { mask: false, reg: result }, Saved { mask: false, reg: x });
                self.move_saved(out, frame.result, true);
                self.move_saved(of, frame.x, true);
                self.lanes_beyond(beyond_mask, beyond, size);
                self.asm.put(frame.position, POSITION);
                self.asm.put(frame.offset, OFFSET);
                for (n, r) in POINTERS.iter().take(6).enumerate() {
                    self.asm.put(frame.pointers + 8 * n as i32, *r);
                }
                self.asm.copy(Register::RDX, TEMP);
                self.asm.address(Register::RDI, Register::RSP, frame.result);
                self.asm.address(Register::RSI, Register::RSP, frame.x);
                self.asm.plain(Code::VEX_Vzeroupper);
                self.asm.call(helper);
                for (n, r) in POINTERS.iter().take(6).enumerate() {
                    self.asm.get(*r, frame.pointers + 8 * n as i32);
                }
                self.asm.get(POSITION, frame.position);
                self.asm.get(OFFSET, frame.offset);
                for s in &saved {
                    let at = if s.mask { mask(s) } else { vector(s) };
                    self.move_saved(*s, at, false);
                }
                self.move_saved(out, frame.result, false);
            }
            self.asm.jump(When::Always, leave);
        }
    }

    /// The bits of the lanes to be done, in the register for short use.
    fn lanes_beyond(&mut self, mask: bool, beyond: usize, size: usize) {
        let (code, from) = match (mask, size) {
            (true, _) => (Code::VEX_Kmovw_r32_kr, Register::K0 + beyond as u32),
            (false, 4) => (Code::VEX_Vmovmskps_r32_ymm, self.level.vector(beyond)),
            (false, _) => (Code::VEX_Vmovmskpd_r32_ymm, self.level.vector(beyond)),
        };
        let mut i = Instruction::default();
        i.set_code(code);
        self.set_operand(&mut i, 0, Arg::Gpr(low32(TEMP)), None);
        self.set_operand(&mut i, 1, Arg::Gpr(from), None);
        self.asm.push(i);
        // A vector has so many lanes; what lies above them in a mask register means nothing.
        let lanes = self.level.bytes() / size;
        self.asm.and_const(TEMP, (1 << lanes) - 1);
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

    /// Where cold code keeps what a call may change. The place is made once.
    fn rescue_frame(&mut self) -> RescueFrame {
        if let Some(f) = self.rescue {
            return f;
        }
        let f = RescueFrame {
            vectors: self.frame.place(64 * self.level.registers(), 64),
            masks: self.frame.place(64, 64),
            result: self.frame.place(64, 64),
            x: self.frame.place(64, 64),
            pointers: self.frame.place(64, 64),
            position: self.frame.word(),
            offset: self.frame.word(),
        };
        self.rescue = Some(f);
        f
    }
}

/// The parts of the frame that cold code uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct RescueFrame {
    vectors: i32,
    masks: i32,
    result: i32,
    x: i32,
    pointers: i32,
    position: i32,
    offset: i32,
}
