//! `matex doctor`: what this build has and what it found on this machine.

use crate::costs;
use matex::Compiler;
use std::fmt::Write;

/// The report. The compiler was made from the environment, so that what is shown of it is right.
pub(crate) fn report(_compiler: &Compiler) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        // A String takes any text, so that writing to it cannot fail.
        let _ = writeln!(out, "{name:<16}{value}");
    };
    row("matex", env!("CARGO_PKG_VERSION"));
    row("target", &format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS));
    let features = features();
    row(
        "CPU features",
        &if features.is_empty() { "none that matter".to_owned() } else { features.join(" ") },
    );
    // What is used is not all that the CPU has, and a report that hid it would mislead.
    let widest = matex_runtime::Simd::of_cpu();
    let asked = std::env::var("MATEX_SIMD").ok().and_then(|v| v.parse::<matex::Simd>().ok());
    let used = matex_runtime::Simd::from(asked.unwrap_or_default()).here();
    let bits = |simd: matex_runtime::Simd| simd.bits().unwrap_or(128);
    let (used, widest) = (bits(used), bits(widest));
    row("SIMD", &format!("vectors of {used} bits, of {widest} that the CPU has ({})", set("MATEX_SIMD")));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let used = set("MATEX_NUM_THREADS");
    row("threads", &format!("{threads} ({used})"));
    row("engine", "machine code");
    let linalg = matex_runtime::linalg_info();
    row("linear algebra", &format!("{}, {}", linalg.name, linalg.linked));
    if let Some(core) = &linalg.core {
        row("  its core", core);
    }
    // One is right: matex shares work out itself.
    row("  its threads", &linalg.threads.to_string());
    if let Some(fix) = &linalg.fix {
        row("  to fix", fix);
    }
    row("GPU", &gpu());
    let asked = std::env::var("MATEX_DEVICE").ok().and_then(|v| v.parse::<matex::Device>().ok());
    let device = if asked == Some(matex::Device::Gpu) { "gpu" } else { "cpu" };
    row("device", &format!("{device} ({})", set("MATEX_DEVICE")));
    row("debug", &set("MATEX_DEBUG"));
    let measured = costs::kept();
    let of = if measured.is_some() {
        "measured here"
    } else {
        "the fixed ones; matex doctor --calibrate measures this machine"
    };
    row("costs", of);
    for (name, value, unit) in costs::rows(&measured.unwrap_or_default()) {
        row(&format!("  {name}"), &format!("{value:.1} {unit}"));
    }
    out
}

/// The GPU that was found, or what was looked for.
fn gpu() -> String {
    if !matex_runtime::HAS_GPU {
        return "not in this build".to_owned();
    }
    match matex_runtime::gpu_info() {
        Ok(info) => {
            let kind = if info.software { ", which is the CPU" } else { "" };
            let units = info.units.map_or(String::new(), |n| format!(", units for {n} × {n} halves"));
            format!("{}{kind}, {}{units}", info.name, info.driver.trim())
        }
        Err(e) => e.to_string(),
    }
}

/// What a variable of the environment is set to.
fn set(variable: &str) -> String {
    match std::env::var_os(variable).filter(|v| !v.is_empty()) {
        Some(value) => format!("{variable}={}", value.to_string_lossy()),
        None => format!("{variable} is not set"),
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let all = [
        ("sse4.2", std::arch::is_x86_feature_detected!("sse4.2")),
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512dq", std::arch::is_x86_feature_detected!("avx512dq")),
        ("avx512vl", std::arch::is_x86_feature_detected!("avx512vl")),
        ("avx512bw", std::arch::is_x86_feature_detected!("avx512bw")),
    ];
    all.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    vec!["neon"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}
