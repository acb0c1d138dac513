//! Writes at places that data tells, as a shader: no kernel of the loop IR, which writes where its axes say.
//!
//! `out[.., index[.., j, ..], ..]` becomes, or grows by, `src[.., j, ..]`, all three contiguous: `index` and `src` of
//! [outer, count, inner] elements and `out` of [outer, extent, inner]. A thread takes a line of them and walks it alone, so that what
//! comes of duplicates is what comes of them one after the other: the last one wins, or all are added in order, with the bits that the
//! CPU has.

use crate::body::type_of;
use crate::build::{Array, Builder, Flag, Ty, Val};
use crate::cast::nearest;
use crate::kernel::THREADS;
use crate::narrow::MOST_POINTS;
use crate::shader::{Refused, Shader};
use crate::words::POINTS;
use matex_ir::DType;
use naga::{BinaryOperator, UnaryOperator};

/// From how many lines on there is enough to do at a time.
const MANY_LINES: i64 = 256;

/// How many elements a thread walks that is alone.
const FEW_ELEMENTS: i64 = 256;

/// The words of a run behind those that all have.
const COUNT: u32 = POINTS + 1;
const EXTENT: u32 = COUNT + 1;
const INNER: u32 = EXTENT + 1;
const OFFSETS: u32 = INNER + 1;
const WORDS: u32 = OFFSETS + 3;

/// A scatter of a dtype by indices of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scatter {
    dtype: DType,
    index: DType,
    add: bool,
}

/// The sizes of a scatter, and where its operands begin in their arrays, in elements: index, source, result.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// The product of the extents before the axis.
    pub outer: i64,
    /// How many places are written along the axis.
    pub count: i64,
    /// The extent of the result along the axis.
    pub extent: i64,
    /// The product of the extents behind the axis.
    pub inner: i64,
    /// The first element of each operand.
    pub offsets: [i64; 3],
}

impl Lines {
    /// The number of lines.
    pub fn points(&self) -> i64 {
        self.outer.saturating_mul(self.inner)
    }

    /// The words of a run.
    ///
    /// # Errors
    /// Why it is left to the CPU, in a few words: sizes that the device does not count to, and long lines that are few, which threads
    /// walk alone.
    pub fn words(&self) -> Result<Vec<i32>, String> {
        let points = self.points();
        if points < MANY_LINES && self.count > FEW_ELEMENTS {
            return Err(format!("{} places in each of {points} lines follow one another", self.count));
        }
        let ends = [self.count, self.count, self.extent].into_iter().zip(self.offsets);
        let most = ends.map(|(n, offset)| points.saturating_mul(n).saturating_add(offset)).max();
        if most.is_none_or(|n| n > MOST_POINTS) || self.offsets.iter().any(|o| *o < 0) {
            return Err(format!("it has more than {MOST_POINTS} points"));
        }
        let [index, src, out] = self.offsets;
        // All are at most as large as what was looked at, or belong to arrays without elements.
        let words = [0, points, self.count, self.extent, self.inner, index, src, out];
        let narrow = |w: i64| i32::try_from(w).map_err(|_| "it reaches further than 32 bits tell".to_owned());
        words.into_iter().map(narrow).collect()
    }
}

impl Scatter {
    /// A scatter of elements of a dtype, which are added or replaced.
    ///
    /// # Errors
    /// Why it is left to the CPU, in a few words.
    pub fn new(dtype: DType, index: DType, add: bool) -> Result<Scatter, String> {
        let word = dtype.size() == 4 || (dtype == DType::Bool && !add);
        if !word || type_of(dtype).is_none() {
            return Err(format!("it writes {dtype}"));
        }
        if !matches!(index, DType::I32 | DType::U32 | DType::I64) {
            return Err(format!("its indices are {index}"));
        }
        Ok(Scatter { dtype, index, add })
    }

    /// What code generation depends on: equal keys are equal shaders.
    pub fn key(self) -> String {
        format!("{self:?}")
    }

    /// The shader, whose bindings are the indices, the source and the result.
    ///
    /// # Errors
    /// Bugs.
    pub fn compile(self) -> Result<Shader, Refused> {
        let mut b = Builder::new();
        let word = if self.dtype == DType::Bool { Some(Ty::U32) } else { type_of(self.dtype) };
        let word = word.ok_or_else(|| Refused::Internal("a scatter without a type".to_owned()))?;
        let index = if self.index == DType::U32 { Ty::U32 } else { Ty::I32 };
        let arrays = [("index_a", index, false), ("src_b", word, false), ("out_c", word, true)]
            .map(|(name, ty, written)| b.buffer(name, ty, written));
        b.args(WORDS);
        let flag = b.flag("out_of_range");
        self.lines(&mut b, arrays, flag);
        let module = b.finish(THREADS).map_err(Refused::Internal)?;
        Shader::of_words(module, vec![false, false, true])
    }

    /// All lines, several to a thread where there are more.
    fn lines(self, b: &mut Builder, arrays: [Array; 3], flag: Flag) {
        let ids = b.ids();
        let [points, count, extent, inner] =
            [(POINTS, "points"), (COUNT, "count"), (EXTENT, "extent"), (INNER, "inner")].map(
                |(word, name)| {
                    let value = b.arg(word);
                    let value = b.bitcast(value, Ty::U32);
                    b.name(value, name)
                },
            );
        let offsets = [0, 1, 2].map(|i| {
            let offset = b.arg(OFFSETS + i);
            b.bitcast(offset, Ty::U32)
        });
        let threads = b.u32(THREADS);
        let first = b.mul(ids.group, threads);
        let (first, step) = (b.add(first, ids.thread), b.mul(ids.groups, threads));
        b.count("line", (first, points, step), |b, line| {
            let outer = b.binary(BinaryOperator::Divide, line, inner);
            let rest = b.binary(BinaryOperator::Modulo, line, inner);
            let [from, to] = [count, extent].map(|length| {
                let before = b.mul(outer, length);
                let before = b.mul(before, inner);
                b.add(before, rest)
            });
            let (zero, one) = (b.u32(0), b.u32(1));
            b.count("place", (zero, count, one), |b, place| {
                let distance = b.mul(place, inner);
                let from = b.add(from, distance);
                let [index_at, src_at] = [0, 1].map(|i| b.add(offsets[i], from));
                let index = self.index_at(b, arrays[0], index_at, extent);
                let inside = b.lt(index, extent);
                let outside = b.unary(UnaryOperator::LogicalNot, inside);
                b.when(outside, |b| b.raise(flag));
                b.when(inside, |b| {
                    let distance = b.mul(index, inner);
                    let to = b.add(to, distance);
                    let to = b.add(offsets[2], to);
                    let value = b.load(arrays[1], src_at);
                    let value = if self.add {
                        let before = b.load(arrays[2], to);
                        b.add(before, value)
                    } else {
                        value
                    };
                    b.store(arrays[2], to, value);
                });
            });
        });
    }

    /// An index counted from the beginning; one that is out of range is beyond every extent.
    fn index_at(self, b: &mut Builder, array: Array, at: Val, extent: Val) -> Val {
        let index = if self.index == DType::I64 {
            // Two words, the lower one first.
            let low_at = b.shift(BinaryOperator::ShiftLeft, at, 1);
            let one = b.u32(1);
            let high_at = b.or(low_at, one);
            let (low, high) = (b.load(array, low_at), b.load(array, high_at));
            nearest(b, low, high)
        } else {
            b.load(array, at)
        };
        if index.ty == Ty::U32 {
            return index;
        }
        let (zero, bits) = (b.i32(0), b.bitcast(index, Ty::U32));
        let negative = b.lt(index, zero);
        let from_end = b.add(bits, extent);
        b.select(negative, from_end, bits)
    }
}
