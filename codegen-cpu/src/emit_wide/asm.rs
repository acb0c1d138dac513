//! Writing instructions, labels and jumps down, and turning them into bytes.
//!
//! | register | holds |
//! |---|---|
//! | `rbx` | the constants, which lie behind the code |
//! | `rbp` | the stack as the caller had it |
//! | `rdx` | the position along the walk |
//! | `rcx` | an offset in bytes ([`OFFSET`]) |
//! | `rax` | nothing for long |
//! | the others | where operands stand |

use crate::listing::Mark;
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register,
};
use matex_ir::loops::InstId;

/// The register of offsets in bytes.
pub(super) const OFFSET: Register = Register::RCX;
/// The register of the position along a walk.
pub(super) const POSITION: Register = Register::RDX;
/// The register of constants.
pub(super) const POOL: Register = Register::RBX;
/// The register that holds nothing for long.
pub(super) const TEMP: Register = Register::RAX;
/// The registers for places of operands.
pub(super) const POINTERS: [Register; 10] = [
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// `push rbx; lea rbx, [rip + …]`, in front of everything else: its length is fixed, so that the distance to the
/// constants can be filled in.
const HEAD: [u8; 8] = [0x53, 0x48, 0x8d, 0x1d, 0, 0, 0, 0];

/// A place that can be jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u64);

/// When to jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Zero,
    NotZero,
}

/// Instructions in order, with labels.
#[derive(Default)]
pub(super) struct Asm {
    code: Vec<Instruction>,
    /// What of the loop IR each of them is for.
    of: Vec<Option<InstId>>,
    /// The same of those to come.
    pub(super) now: Option<InstId>,
    labels: u64,
    /// A label that stands at the next instruction.
    here: Option<Label>,
    failed: Option<String>,
}

impl Asm {
    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    /// The label stands here.
    pub(super) fn bind(&mut self, label: Label) {
        if self.here.is_some() {
            self.push(Instruction::with(Code::Nopd));
        }
        self.here = Some(label);
    }

    pub(super) fn push(&mut self, mut i: Instruction) {
        if let Some(Label(ip)) = self.here.take() {
            i.set_ip(ip);
        }
        self.code.push(i);
        self.of.push(self.now);
    }

    fn try_push(&mut self, i: Result<Instruction, iced_x86::IcedError>) {
        match i {
            Ok(i) => self.push(i),
            Err(e) => {
                self.failed.get_or_insert(e.to_string());
            }
        }
    }

    pub(super) fn jump(&mut self, when: When, to: Label) {
        let code = match when {
            When::Always => Code::Jmp_rel32_64,
            When::Less => Code::Jl_rel32_64,
            When::LessOrEqual => Code::Jle_rel32_64,
            When::Greater => Code::Jg_rel32_64,
            When::GreaterOrEqual => Code::Jge_rel32_64,
            When::Zero => Code::Je_rel32_64,
            When::NotZero => Code::Jne_rel32_64,
        };
        self.try_push(Instruction::with_branch(code, to.0));
    }

    pub(super) fn load(&mut self, to: Register, base: Register, disp: i32) {
        self.try_push(Instruction::with2(Code::Mov_r64_rm64, to, memory(base, disp)));
    }

    pub(super) fn store(&mut self, base: Register, disp: i32, from: Register) {
        self.try_push(Instruction::with2(Code::Mov_rm64_r64, memory(base, disp), from));
    }

    /// Loads from the frame.
    pub(super) fn get(&mut self, to: Register, slot: i32) {
        self.load(to, Register::RSP, slot);
    }

    /// Stores to the frame.
    pub(super) fn put(&mut self, slot: i32, from: Register) {
        self.store(Register::RSP, slot, from);
    }

    pub(super) fn put_const(&mut self, slot: i32, value: i32) {
        self.try_push(Instruction::with2(Code::Mov_rm64_imm32, memory(Register::RSP, slot), value));
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.try_push(Instruction::with2(Code::Mov_r64_rm64, to, from));
    }

    pub(super) fn zero(&mut self, reg: Register) {
        // The 32-bit registers come in the same order, and writing one clears the upper half.
        let low = Register::EAX + (reg as u32 - Register::RAX as u32);
        self.try_push(Instruction::with2(Code::Xor_r32_rm32, low, low));
    }

    /// A number that is not negative.
    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.try_push(Instruction::with2(Code::Mov_r32_imm32, low32(to), value));
    }

    pub(super) fn add(&mut self, to: Register, from: Register) {
        self.try_push(Instruction::with2(Code::Add_r64_rm64, to, from));
    }

    pub(super) fn add_slot(&mut self, to: Register, slot: i32) {
        self.try_push(Instruction::with2(Code::Add_r64_rm64, to, memory(Register::RSP, slot)));
    }

    pub(super) fn add_to_slot(&mut self, slot: i32, from: Register) {
        self.try_push(Instruction::with2(Code::Add_rm64_r64, memory(Register::RSP, slot), from));
    }

    pub(super) fn add_const(&mut self, to: Register, value: i32) {
        self.try_push(Instruction::with2(Code::Add_rm64_imm32, to, value));
    }

    pub(super) fn add_const_to_slot(&mut self, slot: i32, value: i32) {
        self.try_push(Instruction::with2(Code::Add_rm64_imm32, memory(Register::RSP, slot), value));
    }

    pub(super) fn sub(&mut self, to: Register, from: Register) {
        self.try_push(Instruction::with2(Code::Sub_r64_rm64, to, from));
    }

    pub(super) fn times_slot(&mut self, to: Register, slot: i32) {
        self.try_push(Instruction::with2(Code::Imul_r64_rm64, to, memory(Register::RSP, slot)));
    }

    pub(super) fn times_register(&mut self, to: Register, from: Register) {
        self.try_push(Instruction::with2(Code::Imul_r64_rm64, to, from));
    }

    pub(super) fn times(&mut self, to: Register, factor: i32) {
        self.try_push(Instruction::with3(Code::Imul_r64_rm64_imm32, to, to, factor));
    }

    pub(super) fn compare_slot(&mut self, a: Register, slot: i32) {
        self.try_push(Instruction::with2(Code::Cmp_r64_rm64, a, memory(Register::RSP, slot)));
    }

    pub(super) fn compare(&mut self, a: Register, b: Register) {
        self.try_push(Instruction::with2(Code::Cmp_r64_rm64, a, b));
    }

    pub(super) fn compare_const(&mut self, a: Register, b: i32) {
        self.try_push(Instruction::with2(Code::Cmp_rm64_imm32, a, b));
    }

    /// `to = base + disp`, leaving the flags as they are.
    pub(super) fn address(&mut self, to: Register, base: Register, disp: i32) {
        self.try_push(Instruction::with2(Code::Lea_r64_m, to, memory(base, disp)));
    }

    /// `to = base + index * scale`.
    pub(super) fn address_of(&mut self, to: Register, base: Register, index: Register, scale: u32) {
        let m = MemoryOperand::new(base, index, scale, 0, 0, false, Register::None);
        self.try_push(Instruction::with2(Code::Lea_r64_m, to, m));
    }

    /// Asks for a line of memory that will be read soon. An address that is nobody's does no harm.
    pub(super) fn prefetch(&mut self, base: Register, disp: i32) {
        self.try_push(Instruction::with1(Code::Prefetcht0_m8, memory(base, disp)));
    }

    /// Compares with a word among the constants.
    pub(super) fn compare_pool(&mut self, a: Register, at: i32) {
        self.try_push(Instruction::with2(Code::Cmp_r64_rm64, a, memory(POOL, at)));
    }

    /// Sets the flags by some bits of a register.
    pub(super) fn test_bits(&mut self, reg: Register, bits: i32) {
        self.try_push(Instruction::with2(Code::Test_rm64_imm32, reg, bits));
    }

    pub(super) fn test_bit(&mut self, reg: Register) {
        self.try_push(Instruction::with2(Code::Test_rm64_imm32, reg, 1));
    }

    pub(super) fn halve(&mut self, reg: Register) {
        self.try_push(Instruction::with2(Code::Shr_rm64_imm8, reg, 1));
    }

    /// The smaller of two.
    pub(super) fn at_most_slot(&mut self, reg: Register, slot: i32) {
        self.compare_slot(reg, slot);
        self.try_push(Instruction::with2(Code::Cmovg_r64_rm64, reg, memory(Register::RSP, slot)));
    }

    pub(super) fn and_const(&mut self, reg: Register, value: i32) {
        self.try_push(Instruction::with2(Code::And_rm64_imm32, reg, value));
    }

    /// Loads an element of 1, 2, 4 or 8 bytes from a base, a number of elements and a distance in bytes.
    pub(super) fn load_element(&mut self, size: usize, to: Register, from: (Register, Register, i32)) {
        let (code, to) = match size {
            1 => (Code::Movzx_r32_rm8, low32(to)),
            2 => (Code::Movzx_r32_rm16, low32(to)),
            4 => (Code::Mov_r32_rm32, low32(to)),
            _ => (Code::Mov_r64_rm64, to),
        };
        self.try_push(Instruction::with2(code, to, element(size, from)));
    }

    /// The opposite.
    pub(super) fn store_element(&mut self, size: usize, to: (Register, Register, i32), from: Register) {
        let number = from as u32 - Register::RAX as u32;
        let (code, from) = match size {
            1 => (Code::Mov_rm8_r8, Register::AL + number),
            2 => (Code::Mov_rm16_r16, Register::AX + number),
            4 => (Code::Mov_rm32_r32, low32(from)),
            _ => (Code::Mov_rm64_r64, from),
        };
        self.try_push(Instruction::with2(code, element(size, to), from));
    }

    /// Instructions with no operands, or one register.
    pub(super) fn plain(&mut self, code: Code) {
        self.push(Instruction::with(code));
    }

    pub(super) fn one(&mut self, code: Code, reg: Register) {
        self.try_push(Instruction::with1(code, reg));
    }

    pub(super) fn call(&mut self, cell: i32) {
        self.try_push(Instruction::with1(Code::Call_rm64, memory(POOL, cell)));
    }

    pub(super) fn touch(&mut self) {
        self.try_push(Instruction::with2(Code::Test_rm64_imm32, memory(Register::RSP, 0), 0));
    }

    /// Takes what was written, to put it elsewhere.
    pub(super) fn take(&mut self) -> Written {
        if self.here.is_some() {
            self.push(Instruction::with(Code::Nopd));
        }
        Written(std::mem::take(&mut self.code), std::mem::take(&mut self.of))
    }

    /// Puts instructions behind what there is.
    pub(super) fn extend(&mut self, Written(code, of): Written) {
        if self.here.is_some() {
            self.push(Instruction::with(Code::Nopd));
        }
        self.code.extend(code);
        self.of.extend(of);
    }

    /// The bytes of a function: head, code, and the constants, at a multiple of 64 bytes.
    pub(super) fn finish(mut self, pool: &[u8]) -> Result<Bytes, String> {
        if let Some(why) = self.failed.take() {
            return Err(why);
        }
        let Written(code, of) = self.take();
        let block = InstructionBlock::new(&code, HEAD.len() as u64);
        let encoded = BlockEncoder::encode(64, block, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)
            .map_err(|e| e.to_string())?;
        let at = encoded.new_instruction_offsets.iter().map(|at| at + HEAD.len() as u32);
        let marks = at.zip(of).filter_map(|(at, of)| Some((at..at + 1, of?))).collect();
        let mut bytes = HEAD.to_vec();
        bytes.extend(encoded.code_buffer);
        let pool_at = bytes.len().next_multiple_of(64);
        bytes.resize(pool_at, 0xcc);
        bytes.extend(pool);
        let distance = i32::try_from(pool_at - HEAD.len()).map_err(|e| e.to_string())?;
        bytes[4..8].copy_from_slice(&distance.to_le_bytes());
        Ok(Bytes { bytes, pool_at, marks })
    }
}

/// Instructions, and what of the loop IR each is for.
pub(super) struct Written(Vec<Instruction>, Vec<Option<InstId>>);

/// A function.
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    /// Where its constants begin.
    pub(super) pool_at: usize,
    /// The instructions that are for some of the loop IR, in order; of each, its first byte.
    pub(super) marks: Vec<Mark>,
}

fn memory(base: Register, disp: i32) -> MemoryOperand {
    MemoryOperand::with_base_displ(base, i64::from(disp))
}

fn element(size: usize, (base, index, disp): (Register, Register, i32)) -> MemoryOperand {
    MemoryOperand::new(base, index, size as u32, i64::from(disp), 1, false, Register::None)
}

/// The lower half of a general register.
pub(super) fn low32(reg: Register) -> Register {
    Register::EAX + (reg as u32 - Register::RAX as u32)
}
