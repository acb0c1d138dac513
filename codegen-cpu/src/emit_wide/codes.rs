//! The instructions by what they do, at both levels.

use super::level::Level;
use iced_x86::Code;

/// What an instruction does to the lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Do {
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`, with `b` for NaN and equal zeros.
    Min,
    /// `a > b ? a : b`, with `b` for NaN and equal zeros.
    Max,
    Sqrt,
    /// To an integer; how is said by a number.
    Round,
    /// `a * b + c` over `a`.
    Fma213,
    /// `b * c + a` over `a`.
    Fma231,
    And,
    Or,
    Xor,
    /// `!a & b`.
    AndNot,
    ShiftLeft,
    ShiftRight,
    /// Copies the sign in from above.
    ShiftRightSigned,
}

/// How the lanes of a vector are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    F32,
    F64,
    I32,
    I64,
    U32,
    U64,
}

impl Lane {
    pub(super) fn size(self) -> usize {
        match self {
            Lane::F32 | Lane::I32 | Lane::U32 => 4,
            Lane::F64 | Lane::I64 | Lane::U64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Lane::F32 | Lane::F64)
    }

    pub(super) fn is_unsigned(self) -> bool {
        matches!(self, Lane::U32 | Lane::U64)
    }
}

/// One row: what and for which lanes, the code at each level.
type Row = (Do, &'static [Lane], Option<Code>, Option<Code>);

macro_rules! rows {
    ($($what:ident [$($lane:ident)+] $avx2:tt $avx512:tt)+) => {
        &[$((Do::$what, &[$(Lane::$lane),+], rows!(@ $avx2), rows!(@ $avx512)),)+]
    };
    (@ -) => { None };
    (@ $code:ident) => { Some(Code::$code) };
}

const ROWS: &[Row] = rows! {
    Add [F32] VEX_Vaddps_ymm_ymm_ymmm256 EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er
    Add [F64] VEX_Vaddpd_ymm_ymm_ymmm256 EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er
    Add [I32 U32] VEX_Vpaddd_ymm_ymm_ymmm256 EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32
    Add [I64 U64] VEX_Vpaddq_ymm_ymm_ymmm256 EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64
    Sub [F32] VEX_Vsubps_ymm_ymm_ymmm256 EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er
    Sub [F64] VEX_Vsubpd_ymm_ymm_ymmm256 EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er
    Sub [I32 U32] VEX_Vpsubd_ymm_ymm_ymmm256 EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32
    Sub [I64 U64] VEX_Vpsubq_ymm_ymm_ymmm256 EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64
    Mul [F32] VEX_Vmulps_ymm_ymm_ymmm256 EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er
    Mul [F64] VEX_Vmulpd_ymm_ymm_ymmm256 EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er
    Mul [I32 U32] VEX_Vpmulld_ymm_ymm_ymmm256 EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32
    Mul [I64 U64] - EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64
    Div [F32] VEX_Vdivps_ymm_ymm_ymmm256 EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er
    Div [F64] VEX_Vdivpd_ymm_ymm_ymmm256 EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er
    Min [F32] VEX_Vminps_ymm_ymm_ymmm256 EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae
    Min [F64] VEX_Vminpd_ymm_ymm_ymmm256 EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae
    Min [I32] VEX_Vpminsd_ymm_ymm_ymmm256 EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32
    Min [U32] VEX_Vpminud_ymm_ymm_ymmm256 EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32
    Min [I64] - EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64
    Min [U64] - EVEX_Vpminuq_zmm_k1z_zmm_zmmm512b64
    Max [F32] VEX_Vmaxps_ymm_ymm_ymmm256 EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae
    Max [F64] VEX_Vmaxpd_ymm_ymm_ymmm256 EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae
    Max [I32] VEX_Vpmaxsd_ymm_ymm_ymmm256 EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32
    Max [U32] VEX_Vpmaxud_ymm_ymm_ymmm256 EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32
    Max [I64] - EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64
    Max [U64] - EVEX_Vpmaxuq_zmm_k1z_zmm_zmmm512b64
    Sqrt [F32] VEX_Vsqrtps_ymm_ymmm256 EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er
    Sqrt [F64] VEX_Vsqrtpd_ymm_ymmm256 EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er
    Round [F32] VEX_Vroundps_ymm_ymmm256_imm8 EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae
    Round [F64] VEX_Vroundpd_ymm_ymmm256_imm8 EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae
    Fma213 [F32] VEX_Vfmadd213ps_ymm_ymm_ymmm256 EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er
    Fma213 [F64] VEX_Vfmadd213pd_ymm_ymm_ymmm256 EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er
    Fma231 [F32] VEX_Vfmadd231ps_ymm_ymm_ymmm256 EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er
    Fma231 [F64] VEX_Vfmadd231pd_ymm_ymm_ymmm256 EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er
    And [F32 I32 U32] VEX_Vpand_ymm_ymm_ymmm256 EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32
    And [F64 I64 U64] VEX_Vpand_ymm_ymm_ymmm256 EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64
    Or [F32 I32 U32] VEX_Vpor_ymm_ymm_ymmm256 EVEX_Vpord_zmm_k1z_zmm_zmmm512b32
    Or [F64 I64 U64] VEX_Vpor_ymm_ymm_ymmm256 EVEX_Vporq_zmm_k1z_zmm_zmmm512b64
    Xor [F32 I32 U32] VEX_Vpxor_ymm_ymm_ymmm256 EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32
    Xor [F64 I64 U64] VEX_Vpxor_ymm_ymm_ymmm256 EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64
    AndNot [F32 I32 U32] VEX_Vpandn_ymm_ymm_ymmm256 EVEX_Vpandnd_zmm_k1z_zmm_zmmm512b32
    AndNot [F64 I64 U64] VEX_Vpandn_ymm_ymm_ymmm256 EVEX_Vpandnq_zmm_k1z_zmm_zmmm512b64
    ShiftLeft [I32 U32] VEX_Vpsllvd_ymm_ymm_ymmm256 EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32
    ShiftLeft [I64 U64] VEX_Vpsllvq_ymm_ymm_ymmm256 EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64
    ShiftRight [I32 U32] VEX_Vpsrlvd_ymm_ymm_ymmm256 EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32
    ShiftRight [I64 U64] VEX_Vpsrlvq_ymm_ymm_ymmm256 EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64
    ShiftRightSigned [I32] VEX_Vpsravd_ymm_ymm_ymmm256 EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32
    ShiftRightSigned [I64] - EVEX_Vpsravq_zmm_k1z_zmm_zmmm512b64
};

/// The instruction that does this, if there is one.
pub(super) fn code(level: Level, what: Do, lane: Lane) -> Option<Code> {
    let row = ROWS.iter().find(|(w, lanes, ..)| *w == what && lanes.contains(&lane))?;
    match level {
        Level::Avx2 => row.2,
        Level::Avx512 => row.3,
    }
}
