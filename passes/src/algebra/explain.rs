//! What was rewritten, in words.

use super::Mode;
use super::convert::Converted;
use super::extract::Choice;
use super::graph::Graph;
use super::lang::{Tag, TensorLang};
use super::saturate::{Search, Stop, canonical};
use crate::rules::Rule;
use egg::{FlatTerm, Id, Language, TreeExplanation, TreeTerm};
use matex_ir::Span;
use matex_ir::tensor::Func;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt;
use std::rc::Rc;

/// A rule that had a part in what was chosen.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The rule.
    pub rule: &'static Rule,
    /// What it was applied to, as far as a few words go.
    pub before: String,
    /// What it gave.
    pub after: String,
    /// The place in the source.
    pub origin: Span,
}

/// What rewriting did to a function.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// E-nodes made, over all regions.
    pub nodes: usize,
    /// Rounds of rewriting, over all regions.
    pub rounds: usize,
    /// The limit that ended the search in some region.
    pub limit: Option<Stop>,
    /// The rules behind what was chosen, in the order in which they were found; only when asked for.
    pub fired: Vec<Fired>,
    /// For each value that changed why its new form is equal to the old one; only when asked for.
    pub proofs: Vec<String>,
    /// How often a rule that a test prefers has said something new.
    pub(crate) preferred: usize,
    /// What should not have happened: rules that disagree. The regions concerned were left as they were.
    pub wrong: Vec<String>,
}

impl Report {
    pub(crate) fn stopped(&mut self, stop: Stop) {
        if stop != Stop::Saturated {
            self.limit.get_or_insert(stop);
        }
    }

    pub(crate) fn count(&mut self, graph: &Graph, search: &Search, mode: Mode<'_>) {
        let preferred = search.firings.iter().filter(|f| mode.prefer == Some(mode.rules.rule(f.rule).name));
        self.preferred += preferred.count();
        self.nodes += graph.egg.total_size();
        self.rounds += search.rounds;
        self.stopped(search.stop);
    }

    /// Notes the rules whose result is part of what was chosen.
    pub(crate) fn fired(
        &mut self,
        func: &Func,
        converted: &mut Converted,
        choice: &Choice,
        search: &Search,
        mode: Mode<'_>,
    ) {
        if !mode.explain {
            return;
        }
        let graph = &converted.graph;
        // Backwards from what was chosen: a rule counts when its result is chosen, when its result is what another
        // such rule took, and when what it replaced is a value of the program that nothing needs any more.
        let mut used: FxHashSet<TensorLang> = choice.chosen().map(|(_, n)| n.clone()).collect();
        let needed: FxHashSet<Id> = choice.chosen().map(|(id, _)| id).collect();
        let original: FxHashSet<TensorLang> =
            converted.added.iter().map(|(n, _)| canonical(graph, n)).collect();
        let words = Words { func, converted, choice };
        let mut told = FxHashSet::default();
        let mut fired = Vec::new();
        for firing in search.firings.iter().rev() {
            let (rule, class) = (mode.rules.rule(firing.rule), graph.egg.find(firing.site.class));
            let before = canonical(graph, &firing.site.node);
            let after = canonical(graph, graph.egg.id_to_node(firing.result));
            let gone = !needed.contains(&class) && original.contains(&before);
            if choice.node(graph, class) == Some(&before) || !(gone || used.contains(&after)) {
                continue;
            }
            let (text, origin) = ((words.node(&before, 2), words.node(&after, 2)), firing.origin);
            used.insert(before);
            if told.insert((rule.name, text.clone())) {
                fired.push(Fired { rule, before: text.0, after: text.1, origin });
            }
        }
        self.fired.extend(fired.into_iter().rev());
        self.proofs.extend(proofs(func, converted, choice));
    }

    /// The report as text, a line a rule; `source` is what the places refer to.
    pub fn text(&self, source: &str) -> String {
        let mut out = String::new();
        for f in &self.fired {
            let cited = source.get(f.origin.start as usize..f.origin.end as usize).unwrap_or_default();
            let cited: Vec<&str> = cited.split_whitespace().collect();
            let place = if cited.is_empty() { String::new() } else { format!("  // {}", cited.join(" ")) };
            out += &format!("{} ({}): {}{place}\n", f.rule.name, f.rule.tier, f.rule.law);
            out += &format!("  {} -> {}\n", f.before, f.after);
        }
        if let Some(limit) = self.limit {
            out += &format!("{limit}\n");
        }
        for wrong in &self.wrong {
            out += &format!("a bug in matex, without consequences for this result: {wrong}\n");
        }
        out
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Saturated => write!(f, "all equal forms were found"),
            Stop::Nodes(n) => {
                write!(f, "the search for equal forms ended at the limit optimizer_nodes, which is {n}")
            }
            Stop::Iterations(n) => {
                write!(f, "the search for equal forms ended at the limit optimizer_iterations, which is {n}")
            }
        }
    }
}

/// Nodes in words.
struct Words<'a> {
    func: &'a Func,
    converted: &'a Converted,
    choice: &'a Choice,
}

impl Words<'_> {
    fn node(&self, node: &TensorLang, depth: usize) -> String {
        let graph = &self.converted.graph;
        if node.tag == Tag::Leaf {
            return match self.converted.leaves.get(&node.entry) {
                Some(v) => match self.func.params.get(v.0 as usize) {
                    Some(p) => format!("%{}", p.name),
                    None => format!("%{}", v.0),
                },
                None => "?".to_owned(),
            };
        }
        let args: Vec<String> = node.args.iter().map(|a| self.class(*a, depth)).collect();
        let (head, tail) = graph.kind(node).words();
        format!("{head}({})", [args, tail].concat().join(", "))
    }

    /// A term of an explanation.
    fn term(&self, term: &FlatTerm<TensorLang>, depth: usize) -> String {
        if term.children.is_empty() {
            return self.node(&term.node, 0);
        }
        if depth == 0 {
            return "…".to_owned();
        }
        let args: Vec<String> = term.children.iter().map(|t| self.term(t, depth - 1)).collect();
        let (head, tail) = self.converted.graph.kind(&term.node).words();
        format!("{head}({})", [args, tail].concat().join(", "))
    }

    fn class(&self, id: Id, depth: usize) -> String {
        let graph = &self.converted.graph;
        if let Some(value) = graph.splat(id) {
            return value.to_string();
        }
        match self.choice.node(graph, id) {
            Some(node) if depth > 0 || node.args.is_empty() => {
                self.node(node, depth - usize::from(depth > 0))
            }
            Some(_) | None => "…".to_owned(),
        }
    }
}

/// For each value of the program that has another form now, the steps from the one to the other.
fn proofs(func: &Func, converted: &mut Converted, choice: &Choice) -> Vec<String> {
    let chosen = form(converted, choice);
    let mut seen = FxHashSet::default();
    let mut out = Vec::new();
    for (node, v) in converted.added.clone() {
        let graph = &mut converted.graph;
        let class = graph.egg.find(converted.class_of[&v]);
        let Some(new) = chosen.get(&class) else { continue };
        if choice.node(graph, class) == Some(&canonical(graph, &node)) || !seen.insert(class) {
            continue;
        }
        let mut explanation = graph.egg.explain_id_equivalence(converted.class_of[&v], *new);
        let Written { steps, size } = Written::of(&explanation.explanation_trees, &mut FxHashMap::default());
        if steps.saturating_mul(size) > MOST_WRITTEN {
            let words = Words { func, converted, choice };
            out.push(format!(
                "{}\n  = another form, by too long a proof to be written\n",
                words.node(&node, 2)
            ));
            continue;
        }
        let terms = explanation.make_flat_explanation();
        let words = Words { func, converted, choice };
        let steps = terms.windows(2).filter_map(|pair| step(&words, &pair[0], &pair[1]));
        let steps: Vec<String> = steps.collect();
        if let Some(first) = terms.first() {
            out.push(format!("{}\n{}", words.term(first, 3), steps.concat()));
        }
    }
    out
}

/// The parts of terms that one proof is written with at most. Each of its steps is a whole term, and a term is a tree, in which what is used
/// several times stands several times: of forty values that are each used twice it would have 2^40 parts.
const MOST_WRITTEN: u64 = 20_000;

/// What a proof is as trees.
#[derive(Clone, Copy, Default)]
struct Written {
    steps: u64,
    /// The parts of its largest term.
    size: u64,
}

impl Written {
    fn of(
        proof: &TreeExplanation<TensorLang>,
        known: &mut FxHashMap<*const TreeTerm<TensorLang>, Written>,
    ) -> Written {
        let mut all = Written::default();
        for term in proof {
            let address = Rc::as_ptr(term);
            let one = match known.get(&address) {
                Some(one) => *one,
                None => {
                    let parts = term.child_proofs.iter().map(|p| Written::of(p, known));
                    let sum = |a: Written, b: Written| Written {
                        steps: a.steps.saturating_add(b.steps),
                        size: a.size.saturating_add(b.size),
                    };
                    let one = parts.fold(Written { steps: 1, size: 1 }, sum);
                    known.insert(address, one);
                    one
                }
            };
            all.steps = all.steps.saturating_add(one.steps);
            all.size = all.size.max(one.size);
        }
        all
    }
}

/// The chosen form of every class that has one, as egg knows it.
fn form(converted: &mut Converted, choice: &Choice) -> FxHashMap<Id, Id> {
    let egg = &mut converted.graph.egg;
    let mut open: Vec<(Id, TensorLang)> = choice.chosen().map(|(id, n)| (id, n.clone())).collect();
    let mut made: FxHashMap<Id, Id> = FxHashMap::default();
    loop {
        let before = open.len();
        open.retain(|(class, node)| {
            if !node.args.iter().all(|a| made.contains_key(&egg.find(*a))) {
                return true;
            }
            let node = node.clone().map_children(|a| made[&egg.find(a)]);
            made.insert(*class, egg.add_uncanonical(node));
            false
        });
        if open.len() == before {
            return made;
        }
    }
}

/// A step of an explanation: the whole term where that changed, else the part of it that did, before and after, with the rule.
fn step(words: &Words<'_>, before: &FlatTerm<TensorLang>, after: &FlatTerm<TensorLang>) -> Option<String> {
    let mut open = vec![(before, after, true)];
    while let Some((old, new, whole)) = open.pop() {
        if let Some(rule) = new.forward_rule.or(new.backward_rule) {
            // As deep as it takes to see the difference.
            let shown = |depth| (words.term(old, depth), words.term(new, depth));
            let (old, new) = (3..8).map(shown).find(|(old, new)| old != new).unwrap_or_else(|| shown(3));
            return Some(match whole {
                true => format!("  = {new}  by {rule}\n"),
                false => format!("  with {old}\n     = {new}  by {rule}\n"),
            });
        }
        open.extend(old.children.iter().zip(&new.children).map(|(old, new)| (old, new, false)));
    }
    None
}
