//! Which vectors a kernel may be compiled for, and which emitter compiled it.

use crate::emit_wide::level::Level;
use std::fmt;

/// How wide the vectors of compiled kernels may be. What the CPU does not have is not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Simd {
    /// As wide as the CPU has them.
    #[default]
    Auto,
    /// 128 bits, on any CPU.
    W128,
    /// 256 bits: AVX2 and FMA.
    W256,
    /// 512 bits: AVX-512 F, BW, DQ and VL.
    W512,
}

impl Simd {
    /// The bits of a vector; `None` for [`Simd::Auto`].
    pub const fn bits(self) -> Option<u32> {
        match self {
            Simd::Auto => None,
            Simd::W128 => Some(128),
            Simd::W256 => Some(256),
            Simd::W512 => Some(512),
        }
    }

    /// The widest that this CPU has.
    pub fn of_cpu() -> Simd {
        match Level::of_cpu() {
            None => Simd::W128,
            Some(Level::Avx2) => Simd::W256,
            Some(Level::Avx512) => Simd::W512,
        }
    }

    /// What is used on this CPU when this is asked for.
    pub fn here(self) -> Simd {
        if self == Simd::Auto { Simd::of_cpu() } else { self.min(Simd::of_cpu()) }
    }

    pub(crate) fn level(self) -> Option<Level> {
        match self.here() {
            Simd::Auto | Simd::W128 => None,
            Simd::W256 => Some(Level::Avx2),
            Simd::W512 => Some(Level::Avx512),
        }
    }
}

/// What made the code of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Emitter {
    /// Cranelift, with vectors of 128 bits.
    Cranelift,
    /// The emitter of AVX2.
    Wide256,
    /// The emitter of AVX-512.
    Wide512,
}

impl Emitter {
    /// The name in dumps.
    pub const fn name(self) -> &'static str {
        match self {
            Emitter::Cranelift => "clif",
            Emitter::Wide256 => "wide256",
            Emitter::Wide512 => "wide512",
        }
    }

    pub(crate) fn of(level: Level) -> Emitter {
        match level {
            Level::Avx2 => Emitter::Wide256,
            Level::Avx512 => Emitter::Wide512,
        }
    }
}

impl fmt::Display for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
