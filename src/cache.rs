//! The checked and compiled forms of one program, one for each set of dtypes and ranks that it was called with, and
//! where a plan was chosen by sizes, for each power of two of these sizes.

use crate::arguments::{Slot, fits};
use crate::engine::Engine;
use matex_ir::Dim;
use matex_ir::dim::Atom;
use matex_ir::tensor::Func;
use matex_lang::unit::{ArgSpec, Signature};
use matex_passes::sizes::bucket;
use matex_passes::{Options, Sizes};
use matex_runtime::{Given, View};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A program for one set of arguments.
#[derive(Debug)]
pub(crate) struct Special {
    /// What it was checked for.
    pub(crate) args: Vec<Option<ArgSpec>>,
    /// For each parameter whether its value is not contiguous, where the engine is prepared for that.
    pub(crate) strided: Vec<bool>,
    /// The buckets of the sizes that its plan was chosen by; none for most programs.
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) func: Func,
    pub(crate) engine: Engine,
    /// What its plan was made by.
    pub(crate) passes: Options,
    pub(crate) names: Arc<[String]>,
}

/// One size that a plan was chosen by: of all extents with the same bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// The parameter that has it.
    param: usize,
    /// The axis; `None` for the value of an integer.
    axis: Option<usize>,
    bucket: u32,
}

impl Bucket {
    /// The buckets of all names that a choice was made by. `places` has the parameter of the program for each of the
    /// function, whose sizes were taken to be `sizes`.
    pub(crate) fn of(func: &Func, places: &[usize], sizes: &Sizes) -> Vec<Bucket> {
        let compared = sizes.compared();
        compared.iter().filter_map(|atom| Bucket::one(func, places, sizes, atom)).collect()
    }

    fn one(func: &Func, places: &[usize], sizes: &Sizes, atom: &Atom) -> Option<Bucket> {
        if let Atom::Int(name) = atom {
            let i = func.params.iter().position(|p| p.ty.rank() == 0 && *p.name == **name)?;
            let bucket = bucket(sizes.estimate(&Dim::int(name)) as i64);
            return Some(Bucket { param: *places.get(i)?, axis: None, bucket });
        }
        let named = |dim: &Dim| {
            let mut found = false;
            dim.visit_names(&mut |a| found |= a == atom);
            found
        };
        let axes = || {
            let params = func.params.iter().enumerate();
            params.flat_map(|(i, p)| p.ty.shape.iter().enumerate().map(move |(axis, dim)| (i, axis, dim)))
        };
        // An axis that is the name itself rather than a sum that it is part of.
        let plain = axes().find(|(_, _, dim)| dim.as_size().is_some() && named(dim));
        let (i, axis, dim) = plain.or_else(|| axes().find(|(_, _, dim)| named(dim)))?;
        let bucket = bucket(sizes.estimate(dim) as i64);
        Some(Bucket { param: *places.get(i)?, axis: Some(axis), bucket })
    }

    /// Whether the value of the parameter has a size of this bucket.
    fn has(&self, view: &impl Given) -> bool {
        let value = match self.axis {
            Some(axis) => view.shape().get(axis).and_then(|n| i64::try_from(*n).ok()),
            None => view.integer(),
        };
        value.is_some_and(|v| bucket(v) == self.bucket)
    }
}

/// The most forms that are kept of one program. A program is called with few kinds of arguments; a caller that tries
/// them all must not fill the memory.
const KEPT: usize = 64;

/// Whether a value is not contiguous, where that matters.
pub(crate) fn is_strided(slot: &Slot<'_>, layouts: bool) -> bool {
    layouts && !slot.value.is_contiguous()
}

/// A bounded map that is looked through in order: comparing a few dtypes costs less than hashing them.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: RwLock<Vec<Entry>>,
    clock: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    special: Arc<Special>,
    used: AtomicU64,
}

impl Cache {
    /// The form for these values, if it is there.
    pub(crate) fn find(
        &self,
        signature: &Signature,
        slots: &[Option<Slot<'_>>],
        layouts: bool,
    ) -> Option<Arc<Special>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let same = |e: &&Entry| {
            let mut each = e.special.args.iter().zip(&e.special.strided).zip(&signature.params).zip(slots);
            each.all(|(((spec, strided), p), slot)| match (spec, slot) {
                (Some(spec), Some(slot)) => {
                    *strided == is_strided(slot, layouts) && fits(spec, p, &slot.value, slot.weak)
                }
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }) && e.special.buckets.iter().all(|b| {
                let slot = slots.get(b.param).and_then(Option::as_ref);
                slot.is_some_and(|slot| b.has(&slot.value))
            })
        };
        let entry = entries.iter().find(same)?;
        // The clock runs only where there is something to choose from: most programs have one form.
        if entries.len() > 1 {
            entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        Some(entry.special.clone())
    }

    /// The form for values that are given by place, one for each parameter, and are no literals.
    pub(crate) fn find_plain(
        &self,
        signature: &Signature,
        views: &[View<'_>],
        layouts: bool,
    ) -> Option<Arc<Special>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let same = |e: &&Entry| {
            let mut each = e.special.args.iter().zip(&e.special.strided).zip(&signature.params).zip(views);
            e.special.args.len() == views.len()
                && each.all(|(((spec, strided), p), view)| {
                    let strides = *strided == (layouts && !view.is_contiguous());
                    strides && spec.as_ref().is_some_and(|spec| fits(spec, p, view, false))
                })
                && e.special.buckets.iter().all(|b| views.get(b.param).is_some_and(|view| b.has(view)))
        };
        let entry = entries.iter().find(same)?;
        if entries.len() > 1 {
            entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        Some(entry.special.clone())
    }

    /// How many forms there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Keeps a form, in the place of the one that was used longest ago when there is no room.
    pub(crate) fn keep(&self, special: &Arc<Special>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        fn key(s: &Special) -> (&[Option<ArgSpec>], &[bool], &[Bucket]) {
            (&s.args, &s.strided, &s.buckets)
        }
        if entries.iter().any(|e| key(&e.special) == key(special)) {
            return;
        }
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed));
        let entry = Entry { special: special.clone(), used };
        if entries.len() < KEPT {
            entries.push(entry);
        } else if let Some(oldest) = entries.iter_mut().min_by_key(|e| e.used.load(Ordering::Relaxed)) {
            *oldest = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matex_ir::DType;
    use matex_runtime::{AsView, Value};

    fn special(rank: usize) -> Arc<Special> {
        let func = Func::default();
        let engine = Engine::Interpreter;
        let args = vec![Some(ArgSpec { dtype: DType::F64, ones: vec![false; rank], weak: false })];
        let (strided, passes) = (vec![false], Options::default());
        let names = Vec::new().into();
        Arc::new(Special { args, strided, buckets: Vec::new(), func, engine, passes, names })
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let cache = Cache::default();
        for rank in 0..KEPT {
            cache.keep(&special(rank));
            cache.keep(&special(rank));
        }
        let ranks = |cache: &Cache| -> Vec<usize> {
            let entries = cache.entries.read().unwrap();
            entries.iter().flat_map(|e| e.special.args.iter().flatten().map(|a| a.ones.len())).collect()
        };
        assert_eq!(ranks(&cache).len(), KEPT);
        let signature = matex_lang::Unit::new("x + 1", None, &matex_lang::Limits::default()).unwrap();
        let slot = Slot { value: Value::Host(1.5.as_view()), weak: false };
        assert!(cache.find(signature.signature(), &[Some(slot)], false).is_some());
        cache.keep(&special(KEPT));
        let kept = ranks(&cache);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.contains(&0) && !kept.contains(&1) && kept.contains(&KEPT));
    }

    #[test]
    fn plans_are_found_by_the_buckets_of_the_sizes_that_they_were_chosen_by() {
        use matex_ir::tensor::{Param, TensorType};
        let sizes = [Dim::size("n"), &Dim::size("m") + &Dim::ONE];
        let x = TensorType::new(DType::F64, sizes.to_vec());
        let k = TensorType::scalar(DType::I64);
        let params = [("x", x), ("k", k)].map(|(name, ty)| Param { name: name.into(), ty });
        let func = Func { params: params.to_vec(), ..Func::default() };
        let sizes = Sizes::of([(Atom::Size("n".into()), 100), (Atom::Int("k".into()), 3)]);
        assert_eq!(Bucket::of(&func, &[1, 2], &sizes), []);
        sizes.compare(&(&Dim::size("n") * &Dim::size("m")));
        sizes.compare(&Dim::int("k"));
        let bucket = |param, axis, bucket| Bucket { param, axis, bucket };
        let buckets = Bucket::of(&func, &[1, 2], &sizes);
        assert_eq!(buckets, [bucket(1, Some(1), 11), bucket(1, Some(0), 7), bucket(2, None, 2)]);
        let has = |n: usize| buckets[1].has(&ndarray::Array2::<f64>::zeros((n, 2)).as_view());
        assert_eq!([63, 64, 127, 128].map(has), [false, true, true, false]);
        assert_eq!([1, 2, 3, 4].map(|k: i64| buckets[2].has(&k.as_view())), [false, true, true, false]);
    }
}
