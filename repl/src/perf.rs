//! Names of compiled kernels for Linux' perf: with `MATEX_PERF=1` they are written to `/tmp/perf-PID.map` at the end, where
//! perf looks for the names of code that no file holds.

use matex_runtime::KernelCache;

/// Writes the map, if it was asked for. A map that cannot be written costs names and nothing else.
pub(crate) fn write_map() {
    if std::env::var_os("MATEX_PERF").is_some_and(|v| v == "1") {
        let path = format!("/tmp/perf-{}.map", std::process::id());
        let _ = std::fs::write(path, KernelCache::global().perf_map());
    }
}
