//! The rules of algebra, one file a subject. `README.md` here has their laws.
//!
//! A rule is data: its name, the tier that allows it, the equality it says, and how it is found. Most say it as a
//! pattern over elementwise ops; those about shapes, products and systems are functions that look at one node and
//! give a value equal to it.

mod broadcasts;
mod diagonals;
mod fast;
mod fma;
mod identities;
mod pieces;
mod powers;
mod products;
mod reductions;
mod stable;
mod systems;
mod views;

use crate::algebra::{Binding, Graph, Pattern, Tag, TensorLang};
use crate::options::Tier;
use egg::Id;
use std::sync::OnceLock;

/// An equality that rewriting may use from left to right.
#[derive(Debug)]
pub struct Rule {
    /// Its name, by which dumps and explanations call it.
    pub name: &'static str,
    /// The tier that allows it.
    pub tier: Tier,
    /// What it says, in words of the language.
    pub law: &'static str,
    make: Make,
    /// Whether its right side is always preferred: what it matches is no choice any more.
    directed: bool,
    /// What must hold of the letters of its pattern, in the order of their first use.
    when: fn(&Graph, &[Id]) -> bool,
}

#[derive(Debug)]
enum Make {
    /// From one pattern to another.
    Text { from: &'static str, to: &'static str },
    /// What a function makes of a node, in a region that also has the tags of `needs`.
    Code { root: Root, needs: &'static [Tag], run: fn(&mut Graph, &Site) -> Option<Id> },
    /// The same for one that may give several.
    Many { root: Root, needs: &'static [Tag], run: fn(&mut Graph, &Site) -> Vec<Id> },
}

/// Which nodes a rule is tried on.
#[derive(Clone, Copy, Debug)]
enum Root {
    /// Those with this tag.
    Tag(Tag),
    /// Elementwise ops.
    Maps,
    /// Reductions.
    Reductions,
}

impl Root {
    fn tags(self) -> Vec<Tag> {
        use matex_ir::tensor::ReduceOp::{All, Any, ArgMax, ArgMin, Max, Min, Prod, Sum};
        match self {
            Root::Tag(tag) => vec![tag],
            Root::Maps => matex_ir::ops::TABLE.iter().map(|row| Tag::Map(row.op)).collect(),
            Root::Reductions => [Sum, Prod, Max, Min, Any, All, ArgMax, ArgMin].map(Tag::Reduce).to_vec(),
        }
    }
}

/// A node that a rule is tried on.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Its class.
    pub(crate) class: Id,
    /// The node.
    pub(crate) node: TensorLang,
}

const fn text(
    name: &'static str,
    tier: Tier,
    law: &'static str,
    from: &'static str,
    to: &'static str,
) -> Rule {
    Rule { name, tier, law, make: Make::Text { from, to }, directed: false, when: |_, _| true }
}

const fn code(
    name: &'static str,
    tier: Tier,
    law: &'static str,
    root: Root,
    needs: &'static [Tag],
    run: fn(&mut Graph, &Site) -> Option<Id>,
) -> Rule {
    Rule { name, tier, law, make: Make::Code { root, needs, run }, directed: false, when: |_, _| true }
}

const fn many(
    name: &'static str,
    tier: Tier,
    law: &'static str,
    root: Root,
    needs: &'static [Tag],
    run: fn(&mut Graph, &Site) -> Vec<Id>,
) -> Rule {
    Rule { name, tier, law, make: Make::Many { root, needs, run }, directed: false, when: |_, _| true }
}

impl Rule {
    const fn when(mut self, when: fn(&Graph, &[Id]) -> bool) -> Rule {
        self.when = when;
        self
    }

    const fn directed(mut self) -> Rule {
        self.directed = true;
        self
    }

    /// Whether what it matches is no choice any more.
    pub(crate) fn is_directed(&self) -> bool {
        self.directed
    }
}

/// The elements are floats.
fn floats(graph: &Graph, letters: &[Id]) -> bool {
    letters.iter().all(|l| graph.is_float(*l))
}

/// The elements are integers.
fn ints(graph: &Graph, letters: &[Id]) -> bool {
    letters.iter().all(|l| graph.ty(*l).dtype.is_int())
}

/// All files of rules.
const SUBJECTS: [&[Rule]; 12] = [
    identities::RULES,
    powers::RULES,
    stable::RULES,
    fma::RULES,
    views::RULES,
    pieces::RULES,
    broadcasts::RULES,
    reductions::RULES,
    products::RULES,
    systems::RULES,
    diagonals::RULES,
    fast::RULES,
];

/// Every rule, in the order in which they are tried.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    SUBJECTS.into_iter().flatten()
}

/// A rule that is ready to be tried.
pub(crate) struct Ready {
    pub(crate) rule: &'static Rule,
    pattern: Option<(Pattern, Pattern, usize)>,
    /// What a region must have for the rule to match at once: all of these, and one of its roots.
    needs: u128,
    roots: u128,
}

/// The rules of one tier, by the tags of the nodes that they are tried on.
pub(crate) struct RuleSet {
    rules: Vec<Ready>,
    by_tag: Vec<Vec<usize>>,
}

impl RuleSet {
    /// The rules that a tier allows, made once a process.
    pub(crate) fn of(tier: Tier) -> &'static RuleSet {
        static SETS: [OnceLock<RuleSet>; 3] = [const { OnceLock::new() }; 3];
        SETS[tier as usize].get_or_init(|| RuleSet::new(all().filter(|r| r.tier <= tier)))
    }

    /// A set of these rules.
    pub(crate) fn new(rules: impl Iterator<Item = &'static Rule>) -> RuleSet {
        let mut set = RuleSet { rules: Vec::new(), by_tag: vec![Vec::new(); Tag::COUNT] };
        for rule in rules {
            let Some((ready, roots)) = Ready::new(rule) else { continue };
            for root in roots {
                set.by_tag[root.index()].push(set.rules.len());
            }
            set.rules.push(ready);
        }
        set
    }

    /// Whether any rule can match in a region that has these tags.
    pub(crate) fn can_match(&self, present: u128) -> bool {
        self.rules.iter().any(|r| r.needs & present == r.needs && r.roots & present != 0)
    }

    /// The rules to try on a node with this tag, with their numbers.
    pub(crate) fn for_tag(&self, tag: Tag) -> impl Iterator<Item = (usize, &Ready)> {
        self.by_tag[tag.index()].iter().map(|i| (*i, &self.rules[*i]))
    }

    pub(crate) fn rule(&self, number: usize) -> &'static Rule {
        self.rules[number].rule
    }
}

/// The set of one tag.
pub(crate) fn bit(tag: Tag) -> u128 {
    1 << tag.index()
}

impl Ready {
    /// The rule and the tags that it is tried on; `None` for one whose text is malformed, which a test refuses.
    fn new(rule: &'static Rule) -> Option<(Ready, Vec<Tag>)> {
        let set = |tags: &[Tag]| tags.iter().fold(0, |all, tag| all | bit(*tag));
        match &rule.make {
            Make::Text { from, to } => {
                let mut letters = Vec::new();
                let from = Pattern::parse(from, &mut letters)?;
                let count = letters.len();
                let to = Pattern::parse(to, &mut letters)?;
                let Pattern::Map(root, _) = &from else { return None };
                let roots = vec![Tag::Map(*root)];
                let mut needs = 0;
                from.ops(&mut |op| needs |= bit(Tag::Map(op)));
                let ready = Ready { rule, needs, roots: set(&roots), pattern: Some((from, to, count)) };
                (letters.len() == count).then_some((ready, roots))
            }
            Make::Code { root, needs, .. } | Make::Many { root, needs, .. } => {
                let roots = root.tags();
                Some((Ready { rule, pattern: None, needs: set(needs), roots: set(&roots) }, roots))
            }
        }
    }

    /// Values that the rule says to be equal to the node.
    pub(crate) fn results(&self, graph: &mut Graph, site: &Site) -> Vec<Id> {
        match (&self.pattern, &self.rule.make) {
            (Some((from, to, letters)), _) => {
                let bindings: Vec<Binding> = from.find(graph, &site.node.args, *letters);
                let holds = |b: &Binding| {
                    let ids: Option<Vec<Id>> = b.iter().copied().collect();
                    ids.is_some_and(|ids| (self.rule.when)(graph, &ids))
                };
                let fitting: Vec<Binding> = bindings.into_iter().filter(holds).collect();
                fitting.iter().filter_map(|b| to.build(graph, b, site.class)).collect()
            }
            (None, Make::Code { run, .. }) => run(graph, site).into_iter().collect(),
            (None, Make::Many { run, .. }) => run(graph, site),
            (None, Make::Text { .. }) => Vec::new(),
        }
    }
}
