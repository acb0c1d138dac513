//! What `:set` chooses: how the lines that follow are compiled and run.

use crate::failure::Failure;
use crate::inputs;
use matex::{Compiler, Device, Engine, NonFinite, Numerics, Simd, UnknownChoice};
use std::str::FromStr;

/// The options, with the environment's choices to begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    simd: Simd,
    device: Device,
    threads: usize,
    numerics: Numerics,
    engine: Engine,
    non_finite: NonFinite,
    /// The most steps that all loops of a line take together.
    pub(super) max_steps: Option<u64>,
    /// Whether the origin of a NaN or an infinity is told.
    pub(super) nan: bool,
}

/// The names that [`Settings::set`] knows.
pub(super) const OPTIONS: [&str; 8] =
    ["device", "engine", "max_steps", "nan", "non_finite", "numerics", "simd", "threads"];

impl Settings {
    /// Those of the environment, which was found to be right.
    pub(super) fn from_env() -> Settings {
        let mut settings = Settings::default();
        for (name, variable) in
            [("simd", "MATEX_SIMD"), ("device", "MATEX_DEVICE"), ("threads", "MATEX_NUM_THREADS")]
        {
            if let Some(value) = std::env::var(variable).ok().filter(|v| !v.is_empty()) {
                let _ = settings.set(name, &value);
            }
        }
        settings
    }

    /// A compiler with these options.
    pub(super) fn compiler(&self) -> Result<Compiler, Failure> {
        let compiler = inputs::compiler()?.file_name("<line>").simd(self.simd).device(self.device);
        Ok(compiler
            .threads(self.threads)
            .numerics(self.numerics)
            .engine(self.engine)
            .non_finite(self.non_finite))
    }

    /// Chooses.
    ///
    /// # Errors
    /// The choices that there are.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "simd" => self.simd = choice(value)?,
            "device" => self.device = choice(value)?,
            "numerics" => self.numerics = choice(value)?,
            "engine" => self.engine = choice(value)?,
            "non_finite" => self.non_finite = choice(value)?,
            "threads" => {
                let most = usize::from(u16::MAX);
                let threads = value.parse().ok().filter(|n| *n <= most);
                self.threads =
                    threads.ok_or_else(|| format!("the choices are the whole numbers from 0 to {most}"))?;
            }
            "max_steps" => {
                let none = value == "none";
                let steps = value.parse().ok();
                if steps.is_none() && !none {
                    return Err("the choices are whole numbers, and none for the usual limit".to_owned());
                }
                self.max_steps = steps;
            }
            "nan" => {
                self.nan = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err("the choices are on, off".to_owned()),
                }
            }
            _ => return Err(format!("the options are {}", OPTIONS.join(", "))),
        }
        Ok(())
    }

    /// What an option is set to.
    pub(super) fn get(&self, option: &str) -> Option<String> {
        Some(match option {
            "simd" => self.simd.to_string(),
            "device" => self.device.to_string(),
            "numerics" => self.numerics.to_string(),
            "engine" => self.engine.to_string(),
            "non_finite" => self.non_finite.to_string(),
            "threads" if self.threads == 0 => "0 (as many as are useful)".to_owned(),
            "threads" => self.threads.to_string(),
            "max_steps" => self.max_steps.map_or("none".to_owned(), |n| n.to_string()),
            "nan" => if self.nan { "on" } else { "off" }.to_owned(),
            _ => return None,
        })
    }
}

fn choice<T: FromStr<Err = UnknownChoice>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|e: UnknownChoice| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_options_can_be_set_and_read() {
        let mut s = Settings::default();
        let values = ["cpu", "interpreter", "10", "on", "nan", "exact", "128", "3"];
        for (option, value) in OPTIONS.iter().zip(values) {
            s.set(option, value).unwrap();
            assert_eq!(s.get(option).as_deref(), Some(value));
            assert!(s.set(option, "toaster").unwrap_err().contains("choices"));
        }
        assert!(s.set("colour", "red").is_err() && s.get("colour").is_none());
    }
}
