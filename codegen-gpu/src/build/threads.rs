//! Where a thread stands among the others, and how they wait for each other and exchange values.

use super::{Builder, Ty, Val};
use naga::{
    Barrier, Binding, BuiltIn, Expression, FunctionArgument, GatherMode, Scalar, Span, Statement, TypeInner,
    VectorSize,
};

/// The number of the workgroup along x, the number of workgroups along x, and that of the thread in its workgroup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) group: Val,
    pub(crate) groups: Val,
    pub(crate) thread: Val,
}

/// The place of a thread among those that run in lockstep: its lane, how many there are, and the number of its subgroup and of
/// all of the workgroup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubgroupIds {
    pub(crate) lane: Val,
    pub(crate) size: Val,
    pub(crate) number: Val,
    pub(crate) count: Val,
}

impl Builder {
    /// Waits for all threads of the workgroup.
    pub(crate) fn barrier(&mut self) {
        self.statement(Statement::ControlBarrier(Barrier::WORK_GROUP));
    }

    /// The place of this thread.
    pub(crate) fn ids(&mut self) -> Ids {
        let vector = self.ty(TypeInner::Vector { size: VectorSize::Tri, scalar: Scalar::U32 });
        let scalar = self.scalar(Ty::U32);
        let builtins = [
            ("group", vector, BuiltIn::WorkGroupId),
            ("groups", vector, BuiltIn::NumWorkGroups),
            ("thread", scalar, BuiltIn::LocalInvocationIndex),
        ];
        let [group, groups, thread] = builtins.map(|(name, ty, builtin)| {
            let index = self.body.function.arguments.len() as u32;
            let (name, binding) = (Some(name.to_owned()), Some(Binding::BuiltIn(builtin)));
            self.body.function.arguments.push(FunctionArgument { name, ty, binding });
            self.given(Expression::FunctionArgument(index), Ty::U32)
        });
        let [group, groups] =
            [group, groups].map(|v| self.eval(Expression::AccessIndex { base: v.handle, index: 0 }, Ty::U32));
        Ids { group, groups, thread }
    }

    /// The place of this thread in its subgroup.
    pub(crate) fn subgroup_ids(&mut self) -> SubgroupIds {
        let builtins = [
            ("lane", BuiltIn::SubgroupInvocationId),
            ("lanes", BuiltIn::SubgroupSize),
            ("subgroup", BuiltIn::SubgroupId),
            ("subgroups", BuiltIn::NumSubgroups),
        ];
        let ty = self.scalar(Ty::U32);
        let [lane, size, number, count] = builtins.map(|(name, builtin)| {
            let index = self.body.function.arguments.len() as u32;
            let (name, binding) = (Some(name.to_owned()), Some(Binding::BuiltIn(builtin)));
            self.body.function.arguments.push(FunctionArgument { name, ty, binding });
            self.given(Expression::FunctionArgument(index), Ty::U32)
        });
        SubgroupIds { lane, size, number, count }
    }

    /// What the thread has whose lane differs from this one's by these bits; all threads of the subgroup take part.
    pub(crate) fn shuffle_xor(&mut self, v: Val, bits: Val) -> Val {
        let (argument, mask, ty) = (self.used(v), self.used(bits), self.scalar(v.ty));
        // Evaluated by the statement, and not to be emitted.
        let result = Expression::SubgroupOperationResult { ty };
        let result = self.body.function.expressions.append(result, Span::UNDEFINED);
        self.statement(Statement::SubgroupGather { mode: GatherMode::ShuffleXor(mask), argument, result });
        Val { handle: result, ty: v.ty, block: self.here() }
    }
}
