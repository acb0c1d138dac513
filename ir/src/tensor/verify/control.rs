//! Loops and branches: what goes into their regions, and what comes out.

use super::Verifier;
use crate::dtype::DType;
use crate::tensor::{Kind, Node, RegionId, TensorType, Type, ValueId};

impl<'a> Verifier<'a> {
    pub(super) fn control(&mut self, node: &Node) {
        let Type::Tuple(members) = &node.ty else { return };
        let Some(args) = self.operands(node) else { return };
        let args: Vec<TensorType> = args.into_iter().cloned().collect();
        let flag = TensorType::scalar(DType::Bool);
        if let Kind::For(body) = node.kind {
            if !self.ensure(args.len() >= 2, "a loop has two bounds") {
                return;
            }
            let counter = TensorType::scalar(DType::I64);
            self.scalar_operand("the first bound", &args[0], DType::I64);
            self.scalar_operand("the second bound", &args[1], DType::I64);
            let carried = &args[2..];
            self.region_types(body, &[std::slice::from_ref(&counter), carried].concat(), carried);
            self.types("the tuple", members.iter(), carried);
        } else if let Kind::While(test, body) = node.kind {
            self.region_types(test, &args, std::slice::from_ref(&flag));
            self.region_types(body, &args, &args);
            self.types("the tuple", members.iter(), &args);
        } else if let Kind::If(yes, no) = node.kind {
            self.types("the condition", args.iter(), std::slice::from_ref(&flag));
            self.region_types(yes, &[], members);
            self.region_types(no, &[], members);
        }
    }

    fn region_types(&mut self, id: RegionId, params: &[TensorType], results: &[TensorType]) {
        let Some(region) = self.region_of(id) else { return };
        for (what, values, expected) in
            [("parameters", &region.params, params), ("results", &region.results, results)]
        {
            let what = format!("the {what} of region {}", id.0);
            if let Some(types) = self.types_of(&what, values) {
                self.types(&what, types.into_iter(), expected);
            }
        }
    }

    fn types_of(&mut self, what: &str, values: &[ValueId]) -> Option<Vec<&'a TensorType>> {
        let mut types = Vec::new();
        for v in values {
            match &self.func.nodes.get(v.0 as usize)?.ty {
                Type::Tensor(t) => types.push(t),
                Type::Tuple(_) => {
                    self.report(format!("{what} have a tuple among them"));
                    return None;
                }
            }
        }
        Some(types)
    }

    fn types<'t>(
        &mut self,
        what: &str,
        got: impl ExactSizeIterator<Item = &'t TensorType> + Clone,
        expected: &[TensorType],
    ) {
        let same =
            got.len() == expected.len() && got.clone().zip(expected).all(|(a, b)| self.same_type(a, b));
        let text = |ts: &[TensorType]| Type::Tuple(ts.to_vec()).to_string();
        let given: Vec<TensorType> = got.cloned().collect();
        self.ensure(same, format!("{what}: {} instead of {}", text(&given), text(expected)));
    }
}
