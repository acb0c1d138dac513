//! Typed data as the corpus writes it: `f32[2, 3] = [[1, 2, 3], [4, 5, nan]]`, `f64[1000] ~1e-12 = oracle`.

use matex_ir::tensor::interp::Array;
use matex_ir::{DType, Scalar};

/// A tensor that is given or wanted.
pub(crate) struct Wanted {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) tolerance: Tolerance,
    /// `None` stands for what the oracle gives.
    pub(crate) data: Option<Vec<Scalar>>,
}

/// How far a result may be off: `|got - wanted| <= relative * |wanted| + absolute`.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Tolerance {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

impl Wanted {
    /// The tensor, for data that is written out or generated.
    pub(crate) fn array(self, name: &str) -> Array {
        let data = self.data.unwrap_or_else(|| panic!("{name}: an input cannot come from the oracle"));
        Array::new(self.dtype, self.shape, data).unwrap_or_else(|| panic!("{name}: wrong count"))
    }
}

/// Reads a type, a tolerance if there is one, and data.
pub(crate) fn wanted(name: &str, text: &str) -> Wanted {
    let (ty, data) = text.split_once(" = ").unwrap_or_else(|| panic!("{name}: want ` = ` in {text:?}"));
    let (ty, tolerance) = match ty.split_once('~') {
        Some((ty, t)) => (ty.trim(), self::tolerance(name, t.trim())),
        None => (ty.trim(), Tolerance::default()),
    };
    let (dtype, dims) = ty.split_once('[').unwrap_or((ty, "]"));
    let dtype = DType::from_name(dtype).unwrap_or_else(|| panic!("{name}: dtype {dtype:?}"));
    let dims = dims.trim_end_matches(']').split(',').map(str::trim).filter(|d| !d.is_empty());
    let shape: Vec<usize> = dims.map(|d| d.parse().unwrap_or_else(|_| panic!("{name}: dim {d}"))).collect();
    let data = elements(name, dtype, &shape, data.trim());
    Wanted { dtype, shape, tolerance, data }
}

fn tolerance(name: &str, text: &str) -> Tolerance {
    let (relative, absolute) = text.split_once('+').unwrap_or((text, "0"));
    let number = |t: &str| t.trim().parse().unwrap_or_else(|_| panic!("{name}: tolerance {t:?}"));
    Tolerance { relative: number(relative), absolute: number(absolute) }
}

fn elements(name: &str, dtype: DType, shape: &[usize], text: &str) -> Option<Vec<Scalar>> {
    let count: usize = shape.iter().product();
    if text == "oracle" {
        return None;
    }
    if let Some((maker, arguments)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        let numbers: Vec<f64> = arguments.split(',').map(|a| a.trim().parse().unwrap()).collect();
        return Some(generated(name, maker, &numbers, dtype, count));
    }
    let words: Vec<&str> = text.split(['[', ']', ',', ' ']).filter(|w| !w.is_empty()).collect();
    assert_eq!(words.len(), count, "{name}: the number of elements of {shape:?}");
    assert_eq!(
        nesting(text),
        if count == 0 { nesting(text) } else { shape.len() },
        "{name}: nesting of {text}"
    );
    Some(words.iter().map(|w| scalar(name, dtype, w)).collect())
}

fn nesting(text: &str) -> usize {
    text.chars().take_while(|c| *c == '[').count()
}

fn scalar(name: &str, dtype: DType, word: &str) -> Scalar {
    let read = if dtype == DType::Bool {
        word.parse::<bool>().ok().map(|v| Scalar::from_bits(dtype, v.into()))
    } else if dtype.is_float() {
        word.parse().ok().map(|v| Scalar::from_f64(dtype, v))
    } else {
        word.parse().ok().map(|v| integer(name, dtype, v))
    };
    read.unwrap_or_else(|| panic!("{name}: {word:?} is no {dtype}"))
}

fn integer(name: &str, dtype: DType, value: i128) -> Scalar {
    let s = Scalar::from_i128(dtype, value);
    assert_eq!(s.to_i128(), value, "{name}: {value} does not fit {dtype}");
    s
}

/// Data that is too long to write: `ramp(start, step)`, `fill(v)`, `normal(seed)`, `uniform(seed, lo, hi)`.
fn generated(name: &str, maker: &str, numbers: &[f64], dtype: DType, count: usize) -> Vec<Scalar> {
    let mut random = Random::new(numbers[0] as u64);
    let mut value = |i: usize| match (maker, numbers) {
        ("ramp", [start, step]) => start + step * i as f64,
        ("fill", [v]) => *v,
        ("normal", [_]) => random.normal(),
        ("uniform", [_, lo, hi]) => lo + (hi - lo) * random.unit(),
        _ => panic!("{name}: no data {maker}{numbers:?}"),
    };
    (0..count).map(|i| Scalar::from_f64(dtype, value(i))).collect()
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A sum of twelve uniform numbers: near enough to a normal one, and without functions whose last bit may differ.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
