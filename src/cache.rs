//! The checked and compiled forms of one program, one for each set of dtypes and ranks that it was called with.

use crate::arguments::{Slot, fits};
use crate::engine::Engine;
use matex_ir::tensor::Func;
use matex_lang::unit::{ArgSpec, Signature};
use matex_runtime::View;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A program for one set of arguments.
#[derive(Debug)]
pub(crate) struct Special {
    /// What it was checked for.
    pub(crate) args: Vec<Option<ArgSpec>>,
    /// For each parameter whether its value is not contiguous, where the engine is prepared for that.
    pub(crate) strided: Vec<bool>,
    pub(crate) func: Func,
    pub(crate) engine: Engine,
    pub(crate) names: Arc<[String]>,
}

/// The most forms that are kept of one program. A program is called with few kinds of arguments; a caller that tries
/// them all must not fill the memory.
const KEPT: usize = 64;

/// Whether a value is not contiguous, where that matters.
pub(crate) fn is_strided(slot: &Slot<'_>, layouts: bool) -> bool {
    layouts && !slot.view.is_contiguous()
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
                    *strided == is_strided(slot, layouts) && fits(spec, p, &slot.view, slot.weak)
                }
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
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
        };
        let entry = entries.iter().find(same)?;
        if entries.len() > 1 {
            entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        Some(entry.special.clone())
    }

    /// Keeps a form, in the place of the one that was used longest ago when there is no room.
    pub(crate) fn keep(&self, special: &Arc<Special>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().any(|e| e.special.args == special.args && e.special.strided == special.strided) {
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

    fn special(rank: usize) -> Arc<Special> {
        let func = Func::default();
        let engine = Engine::Interpreter;
        let args = vec![Some(ArgSpec { dtype: DType::F64, ones: vec![false; rank], weak: false })];
        Arc::new(Special { args, strided: vec![false], func, engine, names: Vec::new().into() })
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
        let slot = Slot { view: matex_runtime::AsView::as_view(&1.5), weak: false };
        assert!(cache.find(signature.signature(), &[Some(slot)], false).is_some());
        cache.keep(&special(KEPT));
        let kept = ranks(&cache);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.contains(&0) && !kept.contains(&1) && kept.contains(&KEPT));
    }
}
