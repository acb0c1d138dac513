//! The order in which the products of an `einsum` multiply least.
//!
//! Sizes that are not known count as equal, so that of two orders the one with the lower power of them wins; where that
//! decides nothing, operands are taken as they stand. Up to eight operands all orders are looked at, and of more of them
//! the cheapest pair of neighbours is taken again and again.

use std::collections::BTreeSet;

/// Takes two terms together: the result stands in the place of `left`, and keeps the letters of `rest`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) left: usize,
    pub(super) right: usize,
    /// The letters that the result of all needs, or a term that is not in this one.
    pub(super) rest: BTreeSet<char>,
}

/// What stands for a size that is not known.
const UNKNOWN: f64 = 64.0;

/// The most operands for which all orders are looked at.
const ALL_ORDERS: usize = 8;

struct Sizes<'a> {
    terms: &'a [&'a [char]],
    output: &'a [char],
    size: &'a dyn Fn(char) -> Option<i64>,
}

/// The products in their order. `size` is that of a letter's axes where it is known.
pub(super) fn order(terms: &[&[char]], output: &[char], size: &dyn Fn(char) -> Option<i64>) -> Vec<Split> {
    let all = Sizes { terms, output, size };
    if terms.len() <= ALL_ORDERS { all.best() } else { all.neighbours() }
}

impl Sizes<'_> {
    /// The letters that something outside of these terms needs.
    fn rest(&self, within: &dyn Fn(usize) -> bool) -> BTreeSet<char> {
        let outside = (0..self.terms.len()).filter(|i| !within(*i)).flat_map(|i| self.terms[i]);
        self.output.iter().chain(outside).copied().collect()
    }

    /// The letters of the product of these terms.
    fn letters(&self, within: &dyn Fn(usize) -> bool) -> BTreeSet<char> {
        let own = (0..self.terms.len()).filter(|i| within(*i)).flat_map(|i| self.terms[i]);
        let own: BTreeSet<char> = own.copied().collect();
        own.intersection(&self.rest(within)).copied().collect()
    }

    /// How many multiplications the product of two terms with these letters takes.
    fn cost(&self, a: &BTreeSet<char>, b: &BTreeSet<char>) -> f64 {
        a.union(b).map(|l| (self.size)(*l).map_or(UNKNOWN, |n| n.max(1) as f64)).product()
    }

    /// The best of all orders, by the best ones of all sets of terms.
    fn best(&self) -> Vec<Split> {
        let count = self.terms.len();
        let sets = 1usize << count;
        let letters: Vec<BTreeSet<char>> =
            (0..sets).map(|set| self.letters(&|i| set >> i & 1 == 1)).collect();
        let (mut costs, mut left) = (vec![0.0f64; sets], vec![0usize; sets]);
        for set in (1..sets).filter(|s| s.count_ones() > 1) {
            let cost = |costs: &[f64], part: usize| {
                let other = set & !part;
                costs[part] + costs[other] + self.cost(&letters[part], &letters[other])
            };
            // The set without its last term: as the operands stand. Another split has to be better than that.
            let last = 1usize << (usize::BITS - 1 - set.leading_zeros());
            left[set] = set & !last;
            costs[set] = cost(&costs, left[set]);
            let mut part = (set - 1) & set;
            while part > 0 {
                // Each pair of parts once: the left one has the first term.
                if part & set & set.wrapping_neg() != 0 {
                    let cost = cost(&costs, part);
                    if cost < costs[set] * (1.0 - 1e-9) {
                        (costs[set], left[set]) = (cost, part);
                    }
                }
                part = (part - 1) & set;
            }
        }
        let mut out = Vec::new();
        self.collect(sets - 1, &left, &mut out);
        out
    }

    /// Adds the products of a set, those of its parts first, and gives the place of its result.
    fn collect(&self, set: usize, left: &[usize], out: &mut Vec<Split>) -> usize {
        if set.count_ones() <= 1 {
            return set.trailing_zeros() as usize;
        }
        let l = self.collect(left[set], left, out);
        let r = self.collect(set & !left[set], left, out);
        out.push(Split { left: l, right: r, rest: self.rest(&|i| set >> i & 1 == 1) });
        l
    }

    /// The cheapest pair of neighbours first.
    fn neighbours(&self) -> Vec<Split> {
        let mut groups: Vec<Vec<usize>> = (0..self.terms.len()).map(|i| vec![i]).collect();
        let letters = |g: &[usize]| self.letters(&|i| g.contains(&i));
        let mut out = Vec::new();
        while groups.len() > 1 {
            let found: Vec<BTreeSet<char>> = groups.iter().map(|g| letters(g)).collect();
            let costs: Vec<f64> = found.windows(2).map(|w| self.cost(&w[0], &w[1])).collect();
            let best = (0..costs.len()).fold(0, |b, i| if costs[i] < costs[b] { i } else { b });
            let right = groups.remove(best + 1);
            let (l, r) = (groups[best][0], right[0]);
            groups[best].extend(right);
            let group = &groups[best];
            out.push(Split { left: l, right: r, rest: self.rest(&|i| group.contains(&i)) });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(spec: &str, size: &dyn Fn(char) -> Option<i64>) -> Vec<(usize, usize)> {
        let (left, output) = spec.split_once("->").unwrap();
        let terms: Vec<Vec<char>> = left.split(',').map(|t| t.chars().collect()).collect();
        let terms: Vec<&[char]> = terms.iter().map(Vec::as_slice).collect();
        let output: Vec<char> = output.chars().collect();
        order(&terms, &output, size).iter().map(|s| (s.left, s.right)).collect()
    }

    #[test]
    fn a_vector_comes_before_a_matrix() {
        let unknown = |_| None;
        assert_eq!(pairs("ij,jk,k->i", &unknown), [(1, 2), (0, 1)]);
        assert_eq!(pairs("ij,jk,kl,l->i", &unknown), [(2, 3), (1, 2), (0, 1)]);
        assert_eq!(pairs("i,ij,jk->k", &unknown), [(0, 1), (0, 2)]);
    }

    #[test]
    fn as_they_stand_where_nothing_is_known() {
        let unknown = |_| None;
        assert_eq!(pairs("ij,jk,kl->il", &unknown), [(0, 1), (0, 2)]);
        assert_eq!(pairs("ab,bc,cd,de->ae", &unknown), [(0, 1), (0, 2), (0, 3)]);
        assert_eq!(pairs("i->i", &unknown), []);
    }

    #[test]
    fn known_sizes_decide() {
        // 10 x 1000, 1000 x 10, 10 x 1000 and the other way round.
        let first = |l| Some(if "ik".contains(l) { 10 } else { 1000 });
        assert_eq!(pairs("ij,jk,kl->il", &first), [(0, 1), (0, 2)]);
        let second = |l| Some(if "jl".contains(l) { 10 } else { 1000 });
        assert_eq!(pairs("ij,jk,kl->il", &second), [(1, 2), (0, 1)]);
        // The order of the textbooks: 30 35 15 5 10 20 25 takes 15125 multiplications as (A (B C)) ((D E) F).
        let sizes = [30, 35, 15, 5, 10, 20, 25];
        let known = |l: char| sizes.get(l as usize - 'a' as usize).copied();
        let book = [(1, 2), (0, 1), (3, 4), (3, 5), (0, 3)];
        assert_eq!(pairs("ab,bc,cd,de,ef,fg->ag", &known), book);
    }

    #[test]
    fn many_operands_are_taken_in_pairs_of_neighbours() {
        let unknown = |_| None;
        let found = pairs("ab,bc,cd,de,ef,fg,gh,hi,ij,j->a", &unknown);
        assert_eq!(found.len(), 9);
        assert_eq!(found[0], (8, 9));
        assert_eq!(found[8], (0, 1));
    }
}
