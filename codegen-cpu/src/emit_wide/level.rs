//! Which instructions there are.

use iced_x86::Register;
use std::sync::OnceLock;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// AVX2, FMA and F16C: 16 registers of 256 bits, truth values as vectors of all zeros or ones.
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
            if !(has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2")) {
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

/// Bytes of the largest cache, beyond which a result is not read again before it has left it. 32 MiB where the CPU does not
/// say.
pub(super) fn largest_cache() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| told_by_cpu().unwrap_or(32 << 20))
}

#[cfg(target_arch = "x86_64")]
fn told_by_cpu() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const INTEL: u32 = 4;
    const AMD: u32 = 0x8000_001d;
    let has_amd = __cpuid(0x8000_0000).eax >= AMD;
    let leaves = [(__cpuid(0).eax >= INTEL, INTEL), (has_amd, AMD)];
    let caches = leaves
        .into_iter()
        .filter(|(has, _)| *has)
        .flat_map(|(_, leaf)| (0..8).map(move |n| __cpuid_count(leaf, n)).take_while(|r| r.eax & 0x1f != 0));
    let size = |r: std::arch::x86_64::CpuidResult| {
        let field = |shift: u32, bits: u32| (r.ebx >> shift & ((1 << bits) - 1)) as usize + 1;
        field(22, 10) * field(12, 10) * field(0, 12) * (r.ecx as usize + 1)
    };
    caches.map(size).max()
}

#[cfg(not(target_arch = "x86_64"))]
fn told_by_cpu() -> Option<usize> {
    None
}
