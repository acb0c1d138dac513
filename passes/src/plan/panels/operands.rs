//! What computes an operand of a matrix product, element by element, is brought next to the product.
//!
//! A target that computes a product by a kernel of its own can take the map into that kernel, and need not put the operand into
//! memory. Here both only come to run together; whether they become one kernel depends on sizes, and is decided at a call.

use super::{Place, is_plain, kernel};
use crate::plan::{BufferId, Item, KernelStep, Step, Tables, live};
use matex_ir::loops::Form;

/// How many steps before a product what computes its operands is looked for.
const NEAR: usize = 32;

impl Tables {
    /// Brings what computes operands of products next to them.
    pub(crate) fn bring_operands(&mut self) {
        for block in 0..self.plan.blocks.len() {
            let mut items = std::mem::take(&mut self.plan.blocks[block].items);
            let mut at = 0;
            while at < items.len() {
                at = self.bring(&mut items, at) + 1;
            }
            self.plan.blocks[block].items = items;
        }
    }

    /// Brings maps to the products of a step; where that stands then.
    fn bring(&mut self, items: &mut Vec<Item>, at: usize) -> usize {
        let read: Vec<BufferId> = products(&items[at].step)
            .flat_map(|p| p.operands.iter().map(|o| o.place.buffer))
            .filter(|b| !items[at + 1..].iter().any(|i| live::reads(&i.step).contains(b)))
            .collect();
        let mut places = vec![Place { at, rows: None }];
        let near = (at.saturating_sub(NEAR)..at).rev();
        for before in near.take_while(|i| is_plain(&items[*i].step)) {
            let Some(step) = kernel(&items[before]).filter(|k| k.gemm.is_none()) else { continue };
            let map = self.plan.kernels.get(step.kernel).is_some_and(|k| k.form() == Form::Map);
            let with: Vec<usize> = places.iter().map(|p| p.at).collect();
            let wanted = self.written(step).is_some_and(|b| read.contains(&b));
            if map && wanted && self.can_wait(items, before, &with) {
                places.push(Place { at: before, rows: None });
            }
        }
        if places.len() == 1 {
            return at;
        }
        places.sort_by_key(|p| p.at);
        self.join(items, &places)
    }
}

/// The products that a step runs.
fn products(step: &Step) -> impl Iterator<Item = &KernelStep> {
    let runs = matches!(step, Step::Kernel(_) | Step::Panels(_));
    step.kernels().filter(move |k| runs && k.gemm.is_some())
}

#[cfg(test)]
mod tests {
    use crate::{Options, lower, lower_unexpanded};
    use matex_ir::tensor::parse;

    /// The kernels of a plan for a target with products of its own, a line for those that run together.
    fn runs(lines: &[&str]) -> Vec<String> {
        let head = "func @f(%x: f32[n, k], %w: f32[k, m], %s: f32[k]) -> f32[n, m] {";
        let func = parse(&format!("{head}\n  {}\n}}\n", lines.join("\n  "))).unwrap();
        let options = Options { optimize: false, ..Options::default() };
        assert!(!lower(&func, &[], &options).unwrap().to_string().contains("together"));
        let plan = lower_unexpanded(&func, &[], &options).unwrap().to_string();
        let name = |word: &str| word.strip_prefix('@').map(str::to_owned);
        let names = |line: &str| line.split(' ').filter_map(name).collect::<Vec<_>>().join(" ");
        plan.lines().filter(|l| l.contains("kernel ")).map(names).collect()
    }

    #[test]
    fn maps_of_both_operands_run_with_a_product() {
        let lines = [
            "%3: f32[n, k] = exp %x",
            "%4: f32[k, m] = tanh %w",
            "%5: f32[n, m] = dot %3, %4, contract [1:0]",
            "%6: f32[n, m] = exp %5",
            "return %6",
        ];
        assert_eq!(runs(&lines), ["tanh exp mul_sum exp"]);
    }

    #[test]
    fn what_is_reduced_for_an_operand_is_put_into_memory_and_what_several_need_is_too() {
        let mean = "%3: f32[k] = reduce sum %x, [0]";
        let rest = ["%4: f32[n, k] = broadcast %3, [1]", "%5: f32[n, k] = sub %x, %4"];
        let once = ["%6: f32[n, m] = dot %5, %w, contract [1:0]", "return %6"];
        assert_eq!(runs(&[&[mean][..], &rest, &once].concat()), ["sum", "sub mul_sum"]);
        let twice = [
            "%6: f32[n, m] = dot %5, %w, contract [1:0]",
            "%7: f32[n] = reduce sum %5, [1]",
            "%8: f32[n, m] = broadcast %7, [0]",
            "%9: f32[n, m] = mul %6, %8",
            "return %9",
        ];
        let several = runs(&[&[mean][..], &rest, &twice].concat());
        assert!(several.iter().all(|l| !l.contains("sub mul_sum")), "{several:?}");
        // Reductions that need each other stay with what is made of them.
        let nested = [
            "%3: f32[n] = reduce max %x, [1]",
            "%4: f32[n, k] = broadcast %3, [0]",
            "%5: f32[n, k] = sub %x, %4",
            "%6: f32[n, k] = exp %5",
            "%7: f32[n] = reduce sum %6, [1]",
            "%8: f32[n, k] = broadcast %7, [0]",
            "%9: f32[n, k] = div %6, %8",
            "%10: f32[n, m] = dot %9, %w, contract [1:0]",
            "return %10",
        ];
        assert_eq!(runs(&nested).len(), 2);
    }
}
