//! Patterns over elementwise ops, written as text: `(log (add x 1))`.
//!
//! A word in parentheses is an op of the table, a letter stands for any value, a number for a value whose elements are
//! all that number. Operands of commutative ops match in either order, so that no rule has to be written twice and no
//! class has to hold both.

use super::graph::Graph;
use super::lang::Tag;
use egg::Id;
use matex_ir::{DType, Op};
use smallvec::{SmallVec, smallvec};

/// What the letters of a pattern stand for, in the order of their first use.
pub(crate) type Binding = SmallVec<[Option<Id>; 4]>;

/// A pattern, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pattern {
    /// Any value, the same in all places.
    Letter(usize),
    /// A value whose elements are all this number.
    Number(f64),
    /// An elementwise op.
    Map(Op, Vec<Pattern>),
}

/// The most ways in which one pattern matches one node that are looked at.
const MATCHES: usize = 8;

impl Pattern {
    /// Reads a pattern; `letters` are those seen so far, to which new ones are added. `None` when it is malformed.
    pub(crate) fn parse(text: &str, letters: &mut Vec<char>) -> Option<Pattern> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_whitespace();
        let pattern = parse(&mut words, letters)?;
        words.next().is_none().then_some(pattern)
    }

    /// Every op in it.
    pub(crate) fn ops(&self, found: &mut impl FnMut(Op)) {
        if let Pattern::Map(op, args) = self {
            found(*op);
            args.iter().for_each(|a| a.ops(found));
        }
    }

    /// The ways in which the operands of a node match those of this pattern, whose op the node has.
    pub(crate) fn find(&self, graph: &Graph, args: &[Id], letters: usize) -> Vec<Binding> {
        let Pattern::Map(op, patterns) = self else { return Vec::new() };
        let mut found = Vec::new();
        operands(graph, *op, patterns, args, smallvec![None; letters], &mut found);
        found
    }

    fn matches(&self, graph: &Graph, id: Id, mut binding: Binding, found: &mut Vec<Binding>) {
        if found.len() >= MATCHES {
            return;
        }
        match self {
            Pattern::Letter(i) => match binding[*i] {
                Some(bound) if !graph.same(bound, id) => {}
                Some(_) => found.push(binding),
                None => {
                    binding[*i] = Some(id);
                    found.push(binding);
                }
            },
            Pattern::Number(v) => {
                let same =
                    |s: matex_ir::Scalar| s.dtype() != DType::Bool && s.to_f64().to_bits() == v.to_bits();
                if graph.splat(id).is_some_and(same) {
                    found.push(binding);
                }
            }
            Pattern::Map(op, patterns) => {
                for node in &graph.egg[id].nodes {
                    if node.tag == Tag::Map(*op) {
                        operands(graph, *op, patterns, &node.args, binding.clone(), found);
                    }
                }
            }
        }
    }

    /// Makes the value that the pattern describes, for the letters of a match. Numbers take the dtype of the operand
    /// beside them, and the shape of `like`.
    pub(crate) fn build(&self, graph: &mut Graph, binding: &Binding, like: Id) -> Option<Id> {
        self.build_as(graph, binding, like, graph.ty(like).dtype)
    }

    fn build_as(&self, graph: &mut Graph, binding: &Binding, like: Id, dtype: DType) -> Option<Id> {
        match self {
            Pattern::Letter(i) => *binding.get(*i)?,
            Pattern::Number(v) => {
                let shape = graph.shape(like).to_vec();
                Some(graph.number(*v, dtype, &shape))
            }
            Pattern::Map(op, patterns) => {
                let beside = patterns.iter().skip(usize::from(*op == Op::Select));
                let dtype = beside.filter_map(|p| p.letter(binding)).map(|id| graph.ty(id).dtype).next();
                let dtype = dtype.unwrap_or(graph.ty(like).dtype);
                let args: SmallVec<[Id; 3]> = patterns
                    .iter()
                    .map(|p| p.build_as(graph, binding, like, dtype))
                    .collect::<Option<_>>()?;
                Some(graph.map(*op, &args))
            }
        }
    }

    /// The first value that a letter of it stands for.
    fn letter(&self, binding: &Binding) -> Option<Id> {
        match self {
            Pattern::Letter(i) => *binding.get(*i)?,
            Pattern::Number(_) => None,
            Pattern::Map(_, args) => args.iter().find_map(|a| a.letter(binding)),
        }
    }
}

/// Matches operands in order, and the first two of a commutative op exchanged.
fn operands(
    graph: &Graph,
    op: Op,
    patterns: &[Pattern],
    args: &[Id],
    binding: Binding,
    found: &mut Vec<Binding>,
) {
    if patterns.len() != args.len() {
        return;
    }
    in_order(graph, patterns, args, binding.clone(), found);
    // A pattern of two alike gains nothing by an exchange, nor does one of two letters that are free.
    if op.row().commutative && patterns[0] != patterns[1] {
        let mut exchanged: SmallVec<[Id; 3]> = args.into();
        exchanged.swap(0, 1);
        if exchanged.as_slice() != args {
            in_order(graph, patterns, &exchanged, binding, found);
        }
    }
}

fn in_order(graph: &Graph, patterns: &[Pattern], args: &[Id], binding: Binding, found: &mut Vec<Binding>) {
    let mut open: Vec<Binding> = vec![binding];
    for (pattern, arg) in patterns.iter().zip(args) {
        let mut next = Vec::new();
        for binding in open {
            pattern.matches(graph, *arg, binding, &mut next);
        }
        open = next;
    }
    found.extend(open);
}

fn parse<'t>(words: &mut impl Iterator<Item = &'t str>, letters: &mut Vec<char>) -> Option<Pattern> {
    let word = words.next()?;
    if word != "(" {
        return leaf(word, letters);
    }
    let op = Op::from_name(words.next()?)?;
    let args = (0..op.arity()).map(|_| parse(words, letters)).collect::<Option<Vec<_>>>()?;
    (words.next()? == ")").then_some(Pattern::Map(op, args))
}

fn leaf(word: &str, letters: &mut Vec<char>) -> Option<Pattern> {
    if let Ok(v) = word.parse::<f64>() {
        return Some(Pattern::Number(v));
    }
    let mut chars = word.chars();
    let letter = chars.next().filter(|c| c.is_ascii_lowercase())?;
    if chars.next().is_some() {
        return None;
    }
    let place = letters.iter().position(|l| *l == letter).unwrap_or_else(|| {
        letters.push(letter);
        letters.len() - 1
    });
    Some(Pattern::Letter(place))
}
