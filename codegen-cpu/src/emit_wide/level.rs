//! Which instructions there are.

use iced_x86::Register;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// AVX2 and FMA: 16 registers of 256 bits, truth values as vectors of all zeros or ones.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 32 registers of 512 bits, truth values in mask registers.
    Avx512,
}

impl Level {
    /// The best one that this CPU has.
    pub(crate) fn of_cpu() -> Option<Level> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            if !(has!("avx2") && has!("fma") && has!("bmi2")) {
                return None;
            }
            let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            Some(if wide { Level::Avx512 } else { Level::Avx2 })
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Bytes of a vector.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Level::Avx2 => 32,
            Level::Avx512 => 64,
        }
    }

    /// How many vector registers there are.
    pub(super) const fn registers(self) -> usize {
        match self {
            Level::Avx2 => 16,
            Level::Avx512 => 32,
        }
    }

    /// A vector register by its number.
    pub(super) fn vector(self, n: usize) -> Register {
        match self {
            Level::Avx2 => Register::YMM0 + n as u32,
            Level::Avx512 => Register::ZMM0 + n as u32,
        }
    }

    /// The register of half the size that a vector register begins with.
    pub(super) fn half(self, n: usize) -> Register {
        match self {
            Level::Avx2 => Register::XMM0 + n as u32,
            Level::Avx512 => Register::YMM0 + n as u32,
        }
    }
}
