//! One part of a value for all directions: which directions it is about, and which of its zeros are not there.

use super::Directions;
use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, SliceAxis, TensorType, UpdateAxis, ValueId};
use crate::transform::emit::whole;

/// The directions that a part is about, as axes: what was taken of those of the whole parameter, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    steps: Vec<Step>,
    dims: Vec<Dim>,
}

/// What was done to axes of directions, what they were before, and what they are since.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    how: How,
    from: Vec<Dim>,
    to: Vec<Dim>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    /// The same directions under other axes.
    Reshape,
    /// Some of them.
    Cut(Vec<SliceAxis>),
    /// More than there are, this many before the first; nothing comes of those.
    Widen(Vec<Dim>),
}

impl View {
    pub(super) fn whole(dims: &[Dim]) -> View {
        View { steps: Vec::new(), dims: dims.to_vec() }
    }

    pub(super) fn steps(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn dims(&self) -> &[Dim] {
        &self.dims
    }

    fn with(&self, how: How, dims: Vec<Dim>) -> View {
        let mut steps = self.steps.clone();
        steps.push(Step { how, from: self.dims.clone(), to: dims.clone() });
        View { steps, dims }
    }

    pub(super) fn reshaped(&self, dims: Vec<Dim>) -> View {
        if dims == self.dims { self.clone() } else { self.with(How::Reshape, dims) }
    }

    pub(super) fn cut(&self, axes: Vec<SliceAxis>, dims: Vec<Dim>) -> View {
        let all = axes == whole(axes.len()) && dims == self.dims;
        if all { self.clone() } else { self.with(How::Cut(axes), dims) }
    }

    pub(super) fn widened(&self, low: Vec<Dim>, dims: Vec<Dim>) -> View {
        if dims == self.dims { self.clone() } else { self.with(How::Widen(low), dims) }
    }
}

/// For each direction of a view, a value; those that are left out are 0.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) view: View,
    /// For each axis of the view the axis of the value that it is tied to: where their indices differ, all is 0.
    /// No two are tied to one.
    pub(super) ties: Vec<Option<usize>>,
    /// What is not left out: the axes of the view that are not tied, then those of the value.
    pub(super) value: ValueId,
}

impl Part {
    /// The same directions with other numbers.
    pub(super) fn with(&self, value: ValueId) -> Part {
        Part { value, ..self.clone() }
    }

    /// How many axes of the view are not tied.
    pub(super) fn free(&self) -> usize {
        self.ties.iter().filter(|t| t.is_none()).count()
    }

    /// The axis of the view that is tied to an axis of the value.
    pub(super) fn tied_to(&self, axis: usize) -> Option<usize> {
        self.ties.iter().position(|t| *t == Some(axis))
    }

    /// The extents of the axes that are not tied.
    pub(super) fn free_dims(&self) -> Vec<Dim> {
        let all = self.ties.iter().zip(self.view.dims());
        all.filter(|(t, _)| t.is_none()).map(|(_, d)| d.clone()).collect()
    }

    /// A value that does not depend on the directions, repeated for those that are not tied.
    pub(super) fn spread(&self, b: &mut Builder, x: ValueId) -> ValueId {
        let shape = b.ty(self.value).shape.clone();
        b.spread(x, &shape, &(0..self.free()).collect::<Vec<_>>())
    }

    /// The whole array, zeros included, with the axes of the view before or behind those of the value.
    fn dense(&self, b: &mut Builder, order: Directions) -> ValueId {
        let (ty, k) = (b.ty(self.value).clone(), self.ties.len());
        let own = &ty.shape[self.free()..];
        let (directions, places) = match order {
            Directions::First => (0, k),
            Directions::Last => (own.len(), 0),
        };
        let untied = (0..k).filter(|d| self.ties[*d].is_none()).map(|d| directions + d);
        let targets: Vec<usize> = untied.chain((0..own.len()).map(|s| places + s)).collect();
        let mut sorted: Vec<usize> = (0..targets.len()).collect();
        sorted.sort_by_key(|i| targets[*i]);
        let shape: Vec<Dim> = match order {
            Directions::First => self.view.dims().iter().chain(own).cloned().collect(),
            Directions::Last => own.iter().chain(self.view.dims()).cloned().collect(),
        };
        let axes = sorted.iter().map(|i| targets[*i]).collect();
        let x = b.permute(self.value, sorted);
        let x = b.broadcast(x, shape.clone(), axes);
        let mut on = None;
        for (d, tie) in self.ties.iter().enumerate() {
            let Some(axis) = tie else { continue };
            let (i, j) = (b.iota(shape.clone(), directions + d), b.iota(shape.clone(), places + axis));
            let equal = b.map(Op::Eq, &[i, j]);
            on = Some(on.map_or(equal, |on| b.map(Op::And, &[on, equal])));
        }
        on.map_or(x, |on| b.kept(on, x))
    }
}

/// The sum of parts as one array, with the axes of the parameter before or behind those of the value; nothing of no parts.
pub(super) fn assembled(b: &mut Builder, parts: &[Part], order: Directions) -> Option<ValueId> {
    let first = parts.first()?;
    let at = match order {
        Directions::First => 0,
        Directions::Last => b.ty(first.value).rank() - first.free(),
    };
    let dense = parts.iter().map(|p| (p.view.steps.as_slice(), p.dense(b, order))).collect();
    joined(b, dense, at)
}

/// An array for some directions, and the steps by which they were taken of all.
type Cut<'a> = (&'a [Step], ValueId);

/// The sum of arrays whose axes from `at` on are directions, once the steps to them are gone back. There are at most
/// as many calls within each other as a view has steps.
fn joined(b: &mut Builder, arrays: Vec<Cut<'_>>, at: usize) -> Option<ValueId> {
    let mut terms = Vec::new();
    let mut groups: Vec<(&Step, Vec<Cut<'_>>)> = Vec::new();
    for (steps, x) in arrays {
        let Some((first, rest)) = steps.split_first() else {
            terms.push(x);
            continue;
        };
        match groups.iter_mut().find(|(step, _)| *step == first) {
            Some((_, inner)) => inner.push((rest, x)),
            None => groups.push((first, vec![(rest, x)])),
        }
    }
    let pieces = groups.into_iter().filter_map(|(step, inner)| Some((step, joined(b, inner, at)?)));
    let pieces: Vec<(&Step, ValueId)> = pieces.collect();
    match in_a_row(b, &pieces, at) {
        Some(x) => terms.push(x),
        None => terms.extend(pieces.into_iter().map(|(step, x)| back(b, x, step, at))),
    }
    terms.into_iter().reduce(|sum, x| b.map(Op::Add, &[sum, x]))
}

/// The shape of an array before a step.
fn shape_before(b: &Builder, x: ValueId, step: &Step, at: usize) -> Vec<Dim> {
    let now = &b.ty(x).shape;
    now[..at].iter().chain(&step.from).chain(&now[at + step.to.len()..]).cloned().collect()
}

/// An array before a step, zero where the step left out something.
fn back(b: &mut Builder, x: ValueId, step: &Step, at: usize) -> ValueId {
    let (dtype, shape) = (b.ty(x).dtype, shape_before(b, x, step, at));
    match &step.how {
        How::Reshape => b.reshape(x, shape),
        How::Cut(axes) if axes.iter().all(|a| a.step == 1) => {
            let mut low = vec![Dim::ZERO; shape.len()];
            axes.iter().enumerate().for_each(|(i, a)| low[at + i] = a.start.clone());
            let zero = b.zeros(&TensorType::scalar(dtype));
            b.pad(x, zero, low, shape)
        }
        How::Cut(axes) => {
            let mut places = whole(shape.len());
            axes.iter().enumerate().for_each(|(i, a)| places[at + i] = a.clone());
            let zeros = b.zeros(&TensorType::new(dtype, shape));
            b.update(zeros, x, &[], places.into_iter().map(UpdateAxis::Slice).collect())
        }
        How::Widen(low) => {
            let mut axes = whole(shape.len());
            low.iter().enumerate().for_each(|(i, l)| axes[at + i].start = l.clone());
            b.slice(x, axes, shape)
        }
    }
}

/// Pieces that were cut off one axis at several places, put together again: one pass over the result, where a sum of
/// pieces with zeros around them would be one over each.
fn in_a_row(b: &mut Builder, pieces: &[(&Step, ValueId)], at: usize) -> Option<ValueId> {
    let (step, first) = pieces.first().filter(|_| pieces.len() > 1)?;
    let axis = (0..step.to.len()).find(|i| {
        let How::Cut(axes) = &step.how else { return false };
        axes[*i].start != Dim::ZERO || b.ty(*first).shape[at + i] != step.from[*i]
    })?;
    let whole_shape = shape_before(b, *first, step, at);
    let place = at + axis;
    let mut left: Vec<(Dim, ValueId)> = Vec::new();
    for (step, x) in pieces {
        let How::Cut(axes) = &step.how else { return None };
        let mut shape = b.ty(*x).shape.clone();
        shape[place] = whole_shape[place].clone();
        let elsewhere =
            axes.iter().enumerate().any(|(i, a)| a.step != 1 || (i != axis && a.start != Dim::ZERO));
        if elsewhere || shape != whole_shape {
            return None;
        }
        left.push((axes[axis].start.clone(), *x));
    }
    let mut row = Vec::new();
    let mut end = Dim::ZERO;
    let gap = |b: &mut Builder, from: &Dim, to: &Dim| {
        let mut shape = whole_shape.clone();
        shape[place] = to - from;
        let dtype = b.ty(*first).dtype;
        b.zeros(&TensorType::new(dtype, shape))
    };
    while !left.is_empty() {
        // The piece that begins where the last one ends, or else the nearest, whose place must be a number then.
        let next = match left.iter().position(|(start, _)| *start == end) {
            Some(next) => next,
            None => {
                let starts = left.iter().map(|(start, _)| start.as_const()).collect::<Option<Vec<i64>>>()?;
                let (next, start) = starts.into_iter().enumerate().min_by_key(|(_, s)| *s)?;
                if start < end.as_const()? {
                    return None;
                }
                next
            }
        };
        let (start, x) = left.swap_remove(next);
        if start != end {
            row.push(gap(b, &end, &start));
        }
        end = &start + &b.ty(x).shape[place];
        row.push(x);
    }
    if end != whole_shape[place] {
        row.push(gap(b, &end, &whole_shape[place]));
    }
    Some(b.concat(&row, place))
}
