//! What no instruction does: calls of scalar code, lane by lane.
//!
//! Everything that is in a register is saved around such a call, so that one op of this kind costs its own time and the rest of
//! the kernel stays as it is. The cold form is for straight code that holds in almost all lanes.

use super::Emitter;
use super::codes::Lane;
use super::mir::{Call, Item, V};
use super::values::lane;
use crate::lanes;
use matex_ir::{DType, Op};

impl Emitter<'_> {
    /// An op of the table on every lane of a register.
    pub(super) fn called(&mut self, op: Op, lane: Lane, args: &[V]) -> V {
        self.push_call(lanes::of_ops(dtype(lane)), op as i32, self.level.bytes() / lane.size(), args, None)
    }

    /// `fast`, but the op's meaning in the lanes of `beyond`, a truth value for them.
    pub(super) fn rescued(&mut self, op: Op, lane: Lane, fast: V, beyond: V, args: &[V]) -> V {
        let lanes = self.level.bytes() / lane.size();
        self.push_call(lanes::of_ops(dtype(lane)), op as i32, lanes, args, Some((fast, beyond)))
    }

    /// The same for an expansion: of (fast, beyond, x) all registers.
    pub(super) fn rescue(&mut self, op: Op, d: DType, args: &[Vec<V>]) -> Vec<V> {
        let mut out = Vec::new();
        for chunk in 0..self.chunks(d) {
            let beyond = self.mask_for(args[1][0], d.size(), chunk);
            let (fast, x) = (args[0][chunk], args[2][chunk]);
            out.push(self.rescued(op, lane(d, self.narrow), fast, beyond, &[x]));
        }
        out
    }

    /// The lowest lanes of a register as those of another dtype, as many as fit of the wider one.
    pub(super) fn converted(&mut self, from: Lane, to: Lane, v: V) -> V {
        let lanes = self.level.bytes() / from.size().max(to.size());
        self.push_call(lanes::OF_CASTS, lanes::cast_number(dtype(from), dtype(to)), lanes, &[v], None)
    }

    fn push_call(
        &mut self,
        symbol: &'static str,
        what: i32,
        lanes: usize,
        args: &[V],
        rest: Option<(V, V)>,
    ) -> V {
        let (def, helper) = (self.vector(), self.pool.cell(symbol));
        self.items.push(Item::Call(Call {
            helper,
            what,
            lanes,
            def,
            args: args.to_vec(),
            rest,
            of: self.of,
        }));
        def
    }
}

fn dtype(lane: Lane) -> DType {
    match lane {
        Lane::F32 => DType::F32,
        Lane::F64 => DType::F64,
        Lane::I32 => DType::I32,
        Lane::I64 => DType::I64,
        Lane::U32 => DType::U32,
        Lane::U64 => DType::U64,
    }
}
