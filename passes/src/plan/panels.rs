//! Kernels that run together, a panel of rows at a time: matrix products, what is done to their results before they go
//! to memory, and what their operands are computed by.
//!
//! Whole kernels one after another send what one writes and the next reads through memory. Where all of them walk
//! the same rows, the next can follow while a panel is still in the cache, and the result can take the memory of the
//! product, which is then written once. What is computed stays the same, element by element and in the same
//! order: panels are parts of the walk that each kernel takes anyway.

use super::{Apart, Binding, BufferId, Item, KernelStep, Slot, Source, Step, Tables, live};
use matex_ir::Dim;
use matex_ir::dim::product as product_of;

mod operands;

/// A kernel that walks the rows of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The kernel, over all rows.
    pub step: KernelStep,
    /// The rows that it can be done by; nothing where it only runs next to the others.
    pub rows: Option<Rows>,
}

/// The rows of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The axis that they lie along.
    pub axis: usize,
    /// How many positions of that axis are a row.
    pub height: Slot,
}

/// How many steps before a kernel products that it could follow are looked for.
const NEAR: usize = 32;

/// A step of a block that runs with others.
#[derive(Clone, Debug)]
struct Place {
    /// Its number in the block.
    at: usize,
    /// For a kernel that may walk the rows of a panel the axis that they lie along, and how many positions of that are a row.
    rows: Option<(usize, Dim)>,
}

impl Tables {
    /// Joins matrix products with the kernels that read their results, and with those that compute an operand of them.
    pub(crate) fn join_products(&mut self) {
        for block in 0..self.plan.blocks.len() {
            let mut items = std::mem::take(&mut self.plan.blocks[block].items);
            let mut at = 0;
            while at < items.len() {
                at = self.join_before(&mut items, at) + 1;
            }
            self.plan.blocks[block].items = items;
        }
    }

    /// Joins a kernel with the products before it whose results it reads; where it stands then.
    fn join_before(&mut self, items: &mut Vec<Item>, at: usize) -> usize {
        let Some(last) = kernel(&items[at]).filter(|k| k.gemm.is_none()) else { return at };
        let (mut members, mut apart): (Vec<Place>, Vec<Apart>) = (Vec::new(), Vec::new());
        for place in self.products_before(items, at) {
            let Some(product) = kernel(&items[place]) else { continue };
            let with: Vec<usize> = members.iter().map(|m| m.at).chain([at]).collect();
            if !self.can_wait(items, place, &with) {
                continue;
            }
            let more = self.follows(product, last).map(|(axis, own, height)| {
                let mut more = members.clone();
                more.push(Place { at: place, rows: Some((axis, Dim::ONE)) });
                if members.is_empty() {
                    more.push(Place { at, rows: Some((own, height)) });
                }
                more.sort_by_key(|m| m.at);
                more
            });
            match more.filter(|more| self.is_sound(items, more)) {
                Some(more) => members = more,
                None => {
                    let why = "what reads the product does not follow its rows".to_owned();
                    apart.extend(product.ops.first().map(|op| Apart { op: op.clone(), why }));
                }
            }
        }
        self.plan.apart.extend(apart);
        if members.is_empty() {
            return at;
        }
        for place in self.operands_before(items, &members) {
            let mut more = members.clone();
            more.push(place);
            more.sort_by_key(|m| m.at);
            if self.is_sound(items, &more) {
                members = more;
            }
        }
        self.join(items, &members)
    }

    /// The products before a kernel whose results it reads, the last one first.
    fn products_before(&self, items: &[Item], at: usize) -> Vec<usize> {
        let Some(last) = kernel(&items[at]) else { return Vec::new() };
        let reads = |b: BufferId| last.operands.iter().any(|o| o.place.buffer == b);
        let joins = |i: &usize| {
            let product = kernel(&items[*i]).filter(|k| k.gemm.is_some());
            let result = product.and_then(|k| self.written(k));
            result.is_some_and(&reads)
        };
        let near = (at.saturating_sub(NEAR)..at).rev();
        near.take_while(|i| is_plain(&items[*i].step)).filter(joins).collect()
    }

    /// The kernels before those of a panel that compute an operand of a product for them, row by row, and could as well
    /// run just before them.
    fn operands_before(&self, items: &[Item], members: &[Place]) -> Vec<Place> {
        let last = members.last().map_or(0, |m| m.at);
        let with: Vec<usize> = members.iter().map(|m| m.at).collect();
        let joins = |at: usize| {
            let step = kernel(&items[at]).filter(|k| k.gemm.is_none())?;
            let (result, axis) = (self.written(step)?, self.range_axis(step)?);
            let extent = self.plan.dim(*step.extents.get(axis)?);
            let height = members.iter().find_map(|m| {
                let product = kernel(&items[m.at]).filter(|k| k.gemm.is_some())?;
                let operand = product.operands.iter().position(|o| o.place.buffer == result)?;
                let (walked, _) = m.rows.as_ref()?;
                let rows = self.plan.dim(*product.extents.get(*walked)?);
                heights(&self.within(product, operand, *walked)?, rows, extent)
            })?;
            self.can_wait(items, at, &with).then_some(Place { at, rows: Some((axis, height)) })
        };
        let near = (last.saturating_sub(NEAR)..last).rev();
        near.take_while(|i| is_plain(&items[*i].step)).filter_map(joins).collect()
    }

    /// What a kernel writes, when that is one buffer and nothing else can come of a run.
    fn written(&self, step: &KernelStep) -> Option<BufferId> {
        let mut outs = self.plan.outs(step);
        let first = outs.next().filter(|_| step.gathers.is_empty())?;
        outs.next().is_none().then_some(first)
    }

    fn range_axis(&self, step: &KernelStep) -> Option<usize> {
        self.plan.kernels.get(step.kernel).filter(|_| step.gathers.is_empty())?.range_axis()
    }

    /// Whether a kernel may run as late as the last of `with`: nothing else looks at what it writes before, and nothing
    /// writes what it reads.
    fn can_wait(&self, items: &[Item], at: usize, with: &[usize]) -> bool {
        let Some(step) = kernel(&items[at]) else { return false };
        let Some(result) = self.written(step) else { return false };
        let last = with.iter().copied().max().unwrap_or(at);
        (at + 1..=last).filter(|i| !with.contains(i)).all(|i| {
            let other = &items[i].step;
            let writes = |b: &Binding| self.writes(other, b.place.buffer);
            !live::reads(other).contains(&result) && !step.operands.iter().any(writes)
        }) && self.keeps_no_memory(items, at, with)
    }

    /// Whether nothing of a kernel's operands is kept longer when it runs as late as the last of `with`: they are no
    /// temporary values, are needed as late anyway, or nothing else runs until then.
    fn keeps_no_memory(&self, items: &[Item], at: usize, with: &[usize]) -> bool {
        let Some(step) = kernel(&items[at]) else { return false };
        let last = with.iter().copied().max().unwrap_or(at);
        let runs = |i: usize| {
            !matches!(items[i].step, Step::Alloc(_) | Step::Size { .. }) && !with.contains(&i) && i != at
        };
        let behind = |b: BufferId| {
            let read = items[last..].iter().any(|i| live::reads(&i.step).contains(&b));
            read || self.plan.results.iter().any(|r| r.buffer == b)
        };
        let lasts = |b: BufferId| !matches!(self.plan.buffer(b).source, Source::Own) || behind(b);
        let read = step.operands.iter().map(|o| o.place.buffer).filter(|b| self.written(step) != Some(*b));
        !(at..last).any(runs) || read.into_iter().all(lasts)
    }

    /// Whether a step has to do with a buffer.
    fn touches(&self, step: &Step, buffer: BufferId) -> bool {
        if let Step::Reuse { from, to } = step {
            return *from == buffer || *to == buffer;
        }
        self.writes(step, buffer) || live::reads(step).contains(&buffer)
    }

    /// Whether a plain step writes to a buffer.
    fn writes(&self, step: &Step, buffer: BufferId) -> bool {
        match step {
            Step::Kernel(k) => self.plan.outs(k).any(|b| b == buffer),
            Step::Panels(members) => members.iter().any(|m| self.plan.outs(&m.step).any(|b| b == buffer)),
            Step::Routine { outputs, .. } => outputs.iter().any(|o| o.place.buffer == buffer),
            Step::Alloc(b) | Step::Size { to: b, .. } => *b == buffer,
            Step::Index { .. } | Step::Check { .. } => false,
            Step::Reuse { .. }
            | Step::Move { .. }
            | Step::Take { .. }
            | Step::For { .. }
            | Step::While { .. }
            | Step::If { .. } => true,
        }
    }

    /// The extents that an operand moves along within a row, innermost first, when rows are positions of that axis and
    /// known to lie one after another. What lies at the same place for all rows is no row.
    fn within(&self, step: &KernelStep, operand: usize, axis: usize) -> Option<Vec<Dim>> {
        let binding = step.operands.get(operand).filter(|b| b.place.moves.is_empty())?;
        let stride = |a: usize| binding.strides.get(a).map(|s| self.plan.dim(*s));
        let extent = |a: usize| step.extents.get(a).map(|s| self.plan.dim(*s));
        let mut left: Vec<usize> = (0..binding.strides.len())
            .filter(|a| *a != axis && stride(*a).is_some_and(|s| !s.is(0)))
            .collect();
        let (mut step, mut within) = (Dim::ONE, Vec::new());
        while !left.is_empty() {
            let next = left.iter().position(|a| stride(*a) == Some(&step))?;
            let extent = extent(left.remove(next))?;
            step = &step * extent;
            within.push(extent.clone());
        }
        (stride(axis) == Some(&step)).then_some(within)
    }

    /// How a kernel follows the rows of a product: the axes of both that they lie along, and how many positions of the
    /// kernel's are one. `None` when it does not.
    fn follows(&self, product: &KernelStep, kernel: &KernelStep) -> Option<(usize, usize, Dim)> {
        let (result, depth) = (self.written(product)?, product.gemm?.depth);
        let out = product.operands.iter().position(|o| o.place.buffer == result)?;
        let axes = (0..product.extents.len()).filter(|a| *a != depth);
        let (axis, within) = axes.filter_map(|a| Some((a, self.within(product, out, a)?))).next()?;
        let own = self.range_axis(kernel)?;
        let rows = self.plan.dim(*product.extents.get(axis)?);
        let height = heights(&within, rows, self.plan.dim(*kernel.extents.get(own)?))?;
        Some((axis, own, height))
    }

    /// Whether kernels may run panel by panel: all have the same rows, and of whatever one of them writes each row is the
    /// business of the same row of all others.
    fn is_sound(&self, items: &[Item], members: &[Place]) -> bool {
        let steps = || members.iter().filter_map(|m| Some((m.rows.as_ref()?, kernel(&items[m.at])?)));
        let extent =
            |axis: usize, step: &KernelStep| step.extents.get(axis).map(|s| self.plan.dim(*s).clone());
        let product = steps().find(|(_, step)| step.gemm.is_some());
        let Some(rows) = product.and_then(|((axis, _), step)| extent(*axis, step)) else { return false };
        let same_rows = steps().all(|((axis, height), step)| extent(*axis, step) == Some(&rows * height));
        let keeps_rows = |buffer: BufferId| {
            let operands = |(rows, step)| {
                let of = |o: usize| (rows, step, o);
                touching(step, buffer).map(of).collect::<Vec<(&(usize, Dim), &KernelStep, usize)>>()
            };
            let all: Vec<_> = steps().flat_map(operands).collect();
            let row = |((axis, height), step, o): &(&(usize, Dim), &KernelStep, usize)| {
                let within = self.within(step, *o, *axis)?;
                Some((step.operands[*o].place.offset, &product_of(&within) * height))
            };
            let first = all.first().and_then(row);
            all.len() == 1 || (first.is_some() && all.iter().all(|o| row(o) == first))
        };
        same_rows && steps().flat_map(|(_, step)| self.plan.outs(step)).all(keeps_rows)
    }

    /// Puts the kernels of a panel where the last one of them stands, with the memory that they alone fill; where that is.
    fn join(&mut self, items: &mut Vec<Item>, members: &[Place]) -> usize {
        let (mut joined, mut filled) = (Vec::new(), Vec::new());
        for Place { at, rows } in members {
            for step in items[*at].step.kernels() {
                filled.extend(self.plan.outs(step));
            }
            if let Step::Panels(members) = &items[*at].step {
                joined.extend(members.iter().cloned());
            } else if let Some(step) = kernel(&items[*at]) {
                let of = |(axis, height): &(usize, Dim)| Rows { axis: *axis, height: self.slot(height) };
                joined.push(Member { step: step.clone(), rows: rows.as_ref().map(of) });
            }
        }
        let last = members.last().map_or(0, |m| m.at);
        // What another kernel has filled in part keeps its memory where it is.
        filled.retain(|b| {
            let own = items.iter().position(|item| item.step == Step::Alloc(*b));
            let between = own.map_or(last, |at| at + 1)..last;
            let mut others = between.filter(|i| members.iter().all(|m| m.at != *i));
            others.all(|i| !self.touches(&items[i].step, *b))
        });
        let (mut memory, mut before) = (Vec::new(), Vec::new());
        let behind = items.split_off(last + 1);
        for (i, item) in items.drain(..).enumerate() {
            if matches!(item.step, Step::Alloc(b) if filled.contains(&b)) {
                memory.push(item);
            } else if members.iter().all(|m| m.at != i) {
                before.push(item);
            }
        }
        before.append(&mut memory);
        let at = before.len();
        before.push(Item { step: Step::Panels(joined), frees: Vec::new() });
        before.extend(behind);
        *items = before;
        at
    }
}

/// The kernel that a step runs, if that is all that it does.
fn kernel(item: &Item) -> Option<&KernelStep> {
    if let Step::Kernel(step) = &item.step { Some(step) } else { None }
}

/// The operands of a kernel that lie in a buffer.
fn touching(step: &KernelStep, buffer: BufferId) -> impl Iterator<Item = usize> + '_ {
    (0..step.operands.len()).filter(move |o| step.operands[*o].place.buffer == buffer)
}

/// How many positions of an axis of that extent are a row, of so many rows that move along these extents within: those
/// of some of the outer ones.
fn heights(within: &[Dim], rows: &Dim, extent: &Dim) -> Option<Dim> {
    (0..=within.len()).rev().map(|inner| product_of(&within[inner..])).find(|h| &(rows * h) == extent)
}

/// Whether other steps may be done before or after this one, as long as they do not touch the same memory.
fn is_plain(step: &Step) -> bool {
    match step {
        Step::Alloc(_)
        | Step::Kernel(_)
        | Step::Panels(_)
        | Step::Routine { .. }
        | Step::Size { .. }
        | Step::Index { .. }
        | Step::Check { .. } => true,
        Step::Reuse { .. }
        | Step::Move { .. }
        | Step::Take { .. }
        | Step::For { .. }
        | Step::While { .. }
        | Step::If { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, lower};
    use matex_ir::tensor::parse;

    /// The lines of a plan that run kernels.
    fn runs(lines: &[&str]) -> Vec<String> {
        let head =
            "func @f(%x: f64[n, k], %w: f64[k, m], %b: f64[m], %h: f64[n, m], %v: f64[k]) -> f64[n, m] {";
        let func = parse(&format!("{head}\n  {}\n}}\n", lines.join("\n  "))).unwrap();
        let plan = lower(&func, &[], &Options { optimize: false, ..Options::default() }).unwrap().to_string();
        let kernels = plan.lines().filter(|l| l.contains("kernel "));
        let name = |word: &str| word.strip_prefix('@').map(str::to_owned);
        let short = |line: &str| {
            let names: Vec<String> = line.split(' ').filter_map(name).collect();
            format!("{}{}", if line.contains("by rows") { "by rows " } else { "" }, names.join(" "))
        };
        kernels.map(short).collect()
    }

    const BIAS: [&str; 4] = [
        "%5: f64[n, m] = dot %x, %w, contract [1:0]",
        "%6: f64[n, m] = broadcast %b, [1]",
        "%7: f64[n, m] = add %5, %6",
        "%8: f64[n, m] = tanh %7",
    ];

    #[test]
    fn what_follows_a_product_by_rows_joins_it() {
        assert_eq!(runs(&[&BIAS[..], &["return %8"]].concat()), ["by rows mul_sum add_tanh"]);
        let rows = ["%9: f64[n] = reduce max %8, [1]", "%10: f64[n, m] = broadcast %9, [0]"];
        let last = ["%11: f64[n, m] = sub %8, %10", "return %11"];
        assert_eq!(runs(&[&BIAS[..], &rows, &last].concat()), ["by rows mul_sum add_tanh_max_sub"]);
    }

    #[test]
    fn several_products_and_what_computes_a_row_of_an_operand_join() {
        let lines = [
            "%5: f64[n, k] = exp %x",
            "%6: f64[n, m] = dot %5, %w, contract [1:0]",
            "%7: f64[n, m] = dot %x, %w, contract [1:0]",
            "%8: f64[n, m] = add %6, %7",
            "return %8",
        ];
        assert_eq!(runs(&lines), ["by rows exp mul_sum mul_sum add"]);
    }

    #[test]
    fn what_walks_columns_or_all_of_a_product_does_not_join() {
        let columns = [
            "%5: f64[n, m] = dot %x, %w, contract [1:0]",
            "%6: f64[m] = reduce sum %5, [0]",
            "%7: f64[n, m] = broadcast %6, [1]",
            "%8: f64[n, m] = add %h, %7",
            "return %8",
        ];
        assert_eq!(runs(&columns), ["mul_sum", "sum", "add"]);
        let turned = [
            "%5: f64[m, n] = dot %w, %x, contract [0:1]",
            "%6: f64[n, m] = permute %5, [1, 0]",
            "%7: f64[n, m] = add %h, %6",
            "return %7",
        ];
        assert_eq!(runs(&turned), ["mul_sum", "add"]);
    }

    #[test]
    fn an_operand_that_all_rows_need_does_not_join() {
        let lines = [
            "%5: f64[k, m] = exp %w",
            "%6: f64[n, m] = dot %x, %5, contract [1:0]",
            "%7: f64[n, m] = add %h, %6",
            "return %7",
        ];
        assert_eq!(runs(&lines), ["exp", "by rows mul_sum add"]);
    }

    #[test]
    fn the_result_of_a_product_lies_where_it_is_replaced() {
        let head = "func @f(%x: f64[n, k], %w: f64[k, m]) -> f64[n, m] {";
        let body = "%2: f64[n, m] = dot %x, %w, contract [1:0]\n  %3: f64[n, m] = exp %2\n  return %3\n}\n";
        let plan = lower(&parse(&format!("{head}\n  {body}")).unwrap(), &[], &Options::default()).unwrap();
        let value = |dim: &matex_ir::Dim| dim.eval(&|_| Some(8));
        assert_eq!(plan.peak_bytes(&value), 512);
        assert_eq!(plan.to_string().matches("alloc").count(), 1);
    }
}
