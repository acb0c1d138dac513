//! A typed builder of shaders: values with types, and blocks that are closures.
//!
//! naga's arenas, and the statements that say when an expression is evaluated, stay in here. naga's validator misses an
//! expression that is never evaluated and one that is used outside of its block, and the driver's side of wgpu then
//! panics; so each value knows its block, and a use where that is not open, or of the wrong type, is an error of the
//! whole shader ([`Builder::finish`]), as everything is that goes wrong on the way.

mod matrices;
mod quads;
mod threads;

pub(crate) use matrices::{Lies, Matrix, SumsVar};
pub(crate) use quads::{OwnQuads, Quad, QuadArray, QuadVar};
pub(crate) use threads::{Ids, SubgroupIds};

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Block, EntryPoint, Expression, Function, FunctionArgument,
    FunctionResult, GlobalVariable, Handle, Literal, LocalVariable, MathFunction, MemoryDecorations, Module,
    ResourceBinding, Scalar, ScalarKind, ShaderStage, Span, Statement, StorageAccess, Type, TypeInner,
    UnaryOperator, VectorSize,
};
use std::collections::HashMap;
use std::num::NonZeroU32;

/// The word that the host sets to zero in every run.
pub(crate) const ZERO_WORD: u32 = 0;

/// The type of a scalar value in a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ty {
    F16,
    F32,
    F64,
    I32,
    U32,
    /// The bits of an `F64`, and nothing else.
    U64,
    Bool,
}

impl Ty {
    fn scalar(self) -> Scalar {
        match self {
            Ty::F16 => Scalar { kind: ScalarKind::Float, width: 2 },
            Ty::F32 => Scalar::F32,
            Ty::F64 => Scalar::F64,
            Ty::I32 => Scalar::I32,
            Ty::U32 => Scalar::U32,
            Ty::U64 => Scalar::U64,
            Ty::Bool => Scalar::BOOL,
        }
    }

    /// Whether it is one of the floats that are computed with.
    pub(crate) fn is_real(self) -> bool {
        matches!(self, Ty::F32 | Ty::F64)
    }
}

/// A value, good in the block that it was made in and in those inside of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Val {
    handle: Handle<Expression>,
    pub(crate) ty: Ty,
    block: u32,
}

/// A variable of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Var {
    local: Handle<LocalVariable>,
    ty: Ty,
    function: u32,
}

/// An array in memory that the host binds, or that a workgroup shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array {
    global: Handle<GlobalVariable>,
    ty: Ty,
}

/// A word in memory that any thread may set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag(Handle<GlobalVariable>);

/// A function of the shader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fun {
    handle: Handle<Function>,
    ty: Ty,
}

/// An open [`Builder::begin_when`].
#[must_use]
pub(crate) struct When(Handle<Expression>);

/// An open [`Builder::begin_count`].
#[must_use]
pub(crate) struct Count {
    var: Var,
    step: Val,
}

/// A function that is being written.
#[derive(Default)]
struct Body {
    function: Function,
    /// The open blocks, outermost first, with their numbers.
    blocks: Vec<(u32, Block)>,
    number: u32,
    /// The word that is zero, once it was asked for.
    zero: Option<Val>,
}

/// A shader that is being written.
pub(crate) struct Builder {
    module: Module,
    body: Body,
    functions: HashMap<String, Fun>,
    shared: HashMap<String, Array>,
    args: Option<(Handle<GlobalVariable>, u32)>,
    next_block: u32,
    next_binding: u32,
    failed: Option<String>,
}

impl Array {
    /// The type of its elements.
    pub(crate) fn ty(self) -> Ty {
        self.ty
    }
}

impl Builder {
    /// A shader without anything.
    pub(crate) fn new() -> Builder {
        let mut b = Builder {
            module: Module::default(),
            body: Body::default(),
            functions: HashMap::new(),
            shared: HashMap::new(),
            args: None,
            next_block: 0,
            next_binding: 0,
            failed: None,
        };
        b.open();
        b
    }

    /// Remembers the first thing that went wrong.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failed.get_or_insert_with(|| why.into());
    }

    fn open(&mut self) -> u32 {
        self.next_block += 1;
        self.body.blocks.push((self.next_block, Block::new()));
        self.next_block
    }

    fn close(&mut self) -> Block {
        self.body.blocks.pop().map(|b| b.1).unwrap_or_default()
    }

    fn ty(&mut self, inner: TypeInner) -> Handle<Type> {
        self.module.types.insert(Type { name: None, inner }, Span::UNDEFINED)
    }

    fn scalar(&mut self, ty: Ty) -> Handle<Type> {
        self.ty(TypeInner::Scalar(ty.scalar()))
    }

    fn here(&self) -> u32 {
        self.body.blocks.last().map_or(0, |b| b.0)
    }

    fn statement(&mut self, statement: Statement) {
        if let Some((_, block)) = self.body.blocks.last_mut() {
            block.push(statement, Span::UNDEFINED);
        }
    }

    /// An expression that is there from the beginning of the function on.
    fn given(&mut self, expression: Expression, ty: Ty) -> Val {
        let handle = self.body.function.expressions.append(expression, Span::UNDEFINED);
        let block = self.body.blocks.first().map_or(0, |b| b.0);
        Val { handle, ty, block }
    }

    /// An expression that is evaluated here.
    fn eval(&mut self, expression: Expression, ty: Ty) -> Val {
        let handle = self.raw(expression);
        Val { handle, ty, block: self.here() }
    }

    fn raw(&mut self, expression: Expression) -> Handle<Expression> {
        let inner = self.body.blocks.len().saturating_sub(1);
        self.raw_in(expression, inner)
    }

    /// An expression that is evaluated in one of the open blocks, after what that holds by now.
    fn raw_in(&mut self, expression: Expression, block: usize) -> Handle<Expression> {
        let expressions = &mut self.body.function.expressions;
        let before = expressions.len();
        let handle = expressions.append(expression, Span::UNDEFINED);
        let range = expressions.range_from(before);
        if let Some((_, block)) = self.body.blocks.get_mut(block) {
            block.push(Statement::Emit(range), Span::UNDEFINED);
        }
        handle
    }

    /// The expression of a value, which has to be known here.
    fn used(&mut self, v: Val) -> Handle<Expression> {
        if !self.body.blocks.iter().any(|b| b.0 == v.block) {
            self.fail("a value is used outside of its block");
        }
        v.handle
    }

    fn expect(&mut self, what: &str, found: Ty, expected: Ty) {
        if found != expected {
            self.fail(format!("{what}: {found:?} where {expected:?} is needed"));
        }
    }

    /// Gives a value a name in the text.
    pub(crate) fn name(&mut self, v: Val, name: &str) -> Val {
        self.body.function.named_expressions.insert(v.handle, name.to_owned());
        v
    }

    pub(crate) fn u32(&mut self, value: u32) -> Val {
        self.given(Expression::Literal(Literal::U32(value)), Ty::U32)
    }

    pub(crate) fn i32(&mut self, value: i32) -> Val {
        self.given(Expression::Literal(Literal::I32(value)), Ty::I32)
    }

    pub(crate) fn bool(&mut self, value: bool) -> Val {
        self.given(Expression::Literal(Literal::Bool(value)), Ty::Bool)
    }

    /// A constant. Text has no infinities and NaN, and a device may make a zero of a subnormal number: those are bits.
    pub(crate) fn f32(&mut self, value: f32) -> Val {
        if value.is_normal() || value == 0.0 {
            return self.given(Expression::Literal(Literal::F32(value)), Ty::F32);
        }
        let bits = self.u32(value.to_bits());
        self.bitcast(bits, Ty::F32)
    }

    /// As [`f32`](Builder::f32), of 64 bits.
    pub(crate) fn f64(&mut self, value: f64) -> Val {
        if value.is_normal() || value == 0.0 {
            return self.given(Expression::Literal(Literal::F64(value)), Ty::F64);
        }
        let bits = self.u64(value.to_bits());
        self.bitcast(bits, Ty::F64)
    }

    /// A constant of one of the two floats that are computed with; a single is rounded.
    pub(crate) fn real(&mut self, ty: Ty, value: f64) -> Val {
        if ty == Ty::F64 { self.f64(value) } else { self.f32(value as f32) }
    }

    pub(crate) fn u64(&mut self, value: u64) -> Val {
        self.given(Expression::Literal(Literal::U64(value)), Ty::U64)
    }

    /// The bits of a float that is computed with, as a number without a sign.
    pub(crate) fn bits(&mut self, v: Val) -> Val {
        self.bitcast(v, if v.ty == Ty::F64 { Ty::U64 } else { Ty::U32 })
    }

    /// What stands for a pattern of [`bits`](Builder::bits) of a float of that type.
    pub(crate) fn pattern(&mut self, ty: Ty, single: u32, double: u64) -> Val {
        if ty == Ty::F64 { self.u64(double) } else { self.u32(single) }
    }

    /// A constant of any type from its 32 bits; of a truth value, whether one is set, and of a half or a double those of the
    /// same number as an `f32`.
    pub(crate) fn constant(&mut self, ty: Ty, bits: u32) -> Val {
        match ty {
            Ty::F16 => {
                let number = self.f32(f32::from_bits(bits));
                self.cast(number, Ty::F16)
            }
            Ty::F32 => self.f32(f32::from_bits(bits)),
            Ty::F64 => self.f64(f32::from_bits(bits).into()),
            Ty::I32 => self.i32(bits as i32),
            Ty::U32 => self.u32(bits),
            Ty::U64 => self.u64(bits.into()),
            Ty::Bool => self.bool(bits != 0),
        }
    }

    pub(crate) fn binary(&mut self, op: BinaryOperator, a: Val, b: Val) -> Val {
        let compares = matches!(
            op,
            BinaryOperator::Equal
                | BinaryOperator::NotEqual
                | BinaryOperator::Less
                | BinaryOperator::LessEqual
                | BinaryOperator::Greater
                | BinaryOperator::GreaterEqual
        );
        let shift = matches!(op, BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight);
        self.expect(&format!("{op:?}"), b.ty, if shift { Ty::U32 } else { a.ty });
        let (left, right) = (self.used(a), self.used(b));
        self.eval(Expression::Binary { op, left, right }, if compares { Ty::Bool } else { a.ty })
    }

    pub(crate) fn add(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::Add, a, b)
    }

    pub(crate) fn sub(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::Subtract, a, b)
    }

    pub(crate) fn mul(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::Multiply, a, b)
    }

    pub(crate) fn and(&mut self, a: Val, b: Val) -> Val {
        // Of truth values, `&` and not `&&`: both sides are there.
        self.binary(BinaryOperator::And, a, b)
    }

    pub(crate) fn or(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::InclusiveOr, a, b)
    }

    pub(crate) fn eq(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::Equal, a, b)
    }

    pub(crate) fn lt(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::Less, a, b)
    }

    pub(crate) fn ge(&mut self, a: Val, b: Val) -> Val {
        self.binary(BinaryOperator::GreaterEqual, a, b)
    }

    /// `a << n` or `a >> n` for a count below the width.
    pub(crate) fn shift(&mut self, op: BinaryOperator, a: Val, n: u32) -> Val {
        let n = self.u32(n);
        self.binary(op, a, n)
    }

    pub(crate) fn unary(&mut self, op: UnaryOperator, a: Val) -> Val {
        let expr = self.used(a);
        self.eval(Expression::Unary { op, expr }, a.ty)
    }

    /// A function of the device on one to three operands of one type.
    pub(crate) fn math(&mut self, fun: MathFunction, args: &[Val]) -> Val {
        let Some(&first) = args.first() else {
            self.fail("a function without operands");
            return self.bool(false);
        };
        args.iter().for_each(|a| self.expect(&format!("{fun:?}"), a.ty, first.ty));
        let mut used = args.iter().map(|a| self.used(*a)).collect::<Vec<_>>().into_iter();
        let arg = used.next().unwrap_or(first.handle);
        let (arg1, arg2) = (used.next(), used.next());
        self.eval(Expression::Math { fun, arg, arg1, arg2, arg3: None }, first.ty)
    }

    /// `yes` where the condition is true.
    pub(crate) fn select(&mut self, condition: Val, yes: Val, no: Val) -> Val {
        self.expect("select", condition.ty, Ty::Bool);
        self.expect("select", no.ty, yes.ty);
        let (condition, accept, reject) = (self.used(condition), self.used(yes), self.used(no));
        self.eval(Expression::Select { condition, accept, reject }, yes.ty)
    }

    /// The bits as another type; not from or to a truth value.
    pub(crate) fn bitcast(&mut self, v: Val, ty: Ty) -> Val {
        if v.ty == ty {
            return v;
        }
        self.convert(v, ty, None)
    }

    /// The value as another type, by the device's rules.
    pub(crate) fn cast(&mut self, v: Val, ty: Ty) -> Val {
        let bytes = if ty == Ty::Bool { 1 } else { ty.scalar().width };
        self.convert(v, ty, Some(bytes))
    }

    fn convert(&mut self, v: Val, ty: Ty, convert: Option<u8>) -> Val {
        let kind = match ty {
            Ty::F16 | Ty::F32 | Ty::F64 => ScalarKind::Float,
            Ty::I32 => ScalarKind::Sint,
            Ty::U32 | Ty::U64 => ScalarKind::Uint,
            Ty::Bool => ScalarKind::Bool,
        };
        let expr = self.used(v);
        self.eval(Expression::As { expr, kind, convert }, ty)
    }

    /// A variable that begins with a value, each time that it is reached.
    pub(crate) fn var(&mut self, name: &str, value: Val) -> Var {
        let ty = self.scalar(value.ty);
        let variable = LocalVariable { name: Some(name.to_owned()), ty, init: None };
        let local = self.body.function.local_variables.append(variable, Span::UNDEFINED);
        let var = Var { local, ty: value.ty, function: self.body.number };
        self.set(var, value);
        var
    }

    fn pointer(&mut self, var: Var) -> Handle<Expression> {
        if var.function != self.body.number {
            self.fail("a variable of another function");
        }
        self.given(Expression::LocalVariable(var.local), var.ty).handle
    }

    pub(crate) fn get(&mut self, var: Var) -> Val {
        let pointer = self.pointer(var);
        self.eval(Expression::Load { pointer }, var.ty)
    }

    pub(crate) fn set(&mut self, var: Var, value: Val) {
        self.expect("a variable", value.ty, var.ty);
        let (pointer, value) = (self.pointer(var), self.used(value));
        self.statement(Statement::Store { pointer, value });
    }

    /// Runs `then` where the condition is true.
    pub(crate) fn when(&mut self, condition: Val, then: impl FnOnce(&mut Builder)) {
        let open = self.begin_when(condition);
        then(self);
        self.end_when(open);
    }

    /// What follows, up to [`end_when`](Builder::end_when), runs where the condition is true.
    pub(crate) fn begin_when(&mut self, condition: Val) -> When {
        self.expect("if", condition.ty, Ty::Bool);
        let condition = self.used(condition);
        self.open();
        When(condition)
    }

    pub(crate) fn end_when(&mut self, When(condition): When) {
        let accept = self.close();
        self.statement(Statement::If { condition, accept, reject: Block::new() });
    }

    /// Runs `body` for `start`, `start + step`, … as long as that is below `end`; all of one integer type.
    pub(crate) fn count(&mut self, name: &str, span: (Val, Val, Val), body: impl FnOnce(&mut Builder, Val)) {
        let (open, i) = self.begin_count(name, span);
        body(self, i);
        self.end_count(open);
    }

    /// What follows, up to [`end_count`](Builder::end_count), runs for each of the numbers of
    /// [`count`](Builder::count).
    pub(crate) fn begin_count(&mut self, name: &str, (start, end, step): (Val, Val, Val)) -> (Count, Val) {
        let var = self.var(name, start);
        self.open();
        let i = self.get(var);
        let done = self.ge(i, end);
        self.when(done, |b| b.statement(Statement::Break));
        (Count { var, step }, i)
    }

    pub(crate) fn end_count(&mut self, Count { var, step }: Count) {
        let body = self.close();
        self.open();
        let i = self.get(var);
        let next = self.add(i, step);
        self.set(var, next);
        let continuing = self.close();
        self.statement(Statement::Loop { body, continuing, break_if: None });
    }

    /// Runs `body` for `start`, half of it, … down to 1.
    pub(crate) fn halve(&mut self, name: &str, start: u32, body: impl FnOnce(&mut Builder, Val)) {
        let start = self.u32(start);
        let var = self.var(name, start);
        self.open();
        let half = self.get(var);
        let zero = self.u32(0);
        let done = self.eq(half, zero);
        self.when(done, |b| b.statement(Statement::Break));
        body(self, half);
        let block = self.close();
        self.open();
        let half = self.get(var);
        let next = self.shift(BinaryOperator::ShiftRight, half, 1);
        self.set(var, next);
        let continuing = self.close();
        self.statement(Statement::Loop { body: block, continuing, break_if: None });
    }

    fn global(&mut self, name: &str, space: AddressSpace, ty: Handle<Type>) -> Handle<GlobalVariable> {
        let binding = (space != AddressSpace::WorkGroup).then(|| {
            self.next_binding += 1;
            ResourceBinding { group: 0, binding: self.next_binding - 1 }
        });
        let memory_decorations = MemoryDecorations::empty();
        let name = Some(name.to_owned());
        let variable = GlobalVariable { name, space, binding, ty, init: None, memory_decorations };
        self.module.global_variables.append(variable, Span::UNDEFINED)
    }

    /// An array of elements that the host binds next.
    pub(crate) fn buffer(&mut self, name: &str, ty: Ty, written: bool) -> Array {
        let base = self.scalar(ty);
        let stride = ty.scalar().width.into();
        let ty_array = self.ty(TypeInner::Array { base, size: ArraySize::Dynamic, stride });
        let store = if written { StorageAccess::STORE } else { StorageAccess::empty() };
        let space = AddressSpace::Storage { access: StorageAccess::LOAD | store };
        Array { global: self.global(name, space, ty_array), ty }
    }

    /// A word that the host binds next, and has cleared.
    pub(crate) fn flag(&mut self, name: &str) -> Flag {
        let ty = self.ty(TypeInner::Atomic(Scalar::U32));
        let access = StorageAccess::LOAD | StorageAccess::STORE;
        Flag(self.global(name, AddressSpace::Storage { access }, ty))
    }

    /// Sets a flag; many threads may at a time.
    pub(crate) fn raise(&mut self, Flag(flag): Flag) {
        let pointer = self.given(Expression::GlobalVariable(flag), Ty::U32).handle;
        let value = self.u32(1).handle;
        self.statement(Statement::Store { pointer, value });
    }

    /// The array of that name that the threads of a workgroup share.
    pub(crate) fn shared(&mut self, name: &str, ty: Ty, len: NonZeroU32) -> Array {
        if let Some(known) = self.shared.get(name) {
            return *known;
        }
        let base = self.scalar(ty);
        let stride = ty.scalar().width.into();
        let ty_array = self.ty(TypeInner::Array { base, size: ArraySize::Constant(len), stride });
        let array = Array { global: self.global(name, AddressSpace::WorkGroup, ty_array), ty };
        self.shared.insert(name.to_owned(), array);
        array
    }

    /// The words that come with a run, four by four: the host binds them next.
    pub(crate) fn args(&mut self, words: u32) {
        let base = self.ty(TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::I32 });
        let quads = NonZeroU32::new(words.div_ceil(4)).unwrap_or(NonZeroU32::MIN);
        let ty = self.ty(TypeInner::Array { base, size: ArraySize::Constant(quads), stride: 16 });
        self.args = Some((self.global("args", AddressSpace::Uniform, ty), words));
    }

    /// One of the words.
    pub(crate) fn arg(&mut self, word: u32) -> Val {
        let inner = self.body.blocks.len().saturating_sub(1);
        self.arg_in(word, inner)
    }

    fn arg_in(&mut self, word: u32, block: usize) -> Val {
        let Some((global, words)) = self.args else {
            self.fail("a shader without words");
            return self.i32(0);
        };
        if word >= words {
            self.fail("there is no such word");
        }
        let base = self.given(Expression::GlobalVariable(global), Ty::I32).handle;
        let base = self.raw_in(Expression::AccessIndex { base, index: word / 4 }, block);
        let pointer = self.raw_in(Expression::AccessIndex { base, index: word % 4 }, block);
        let handle = self.raw_in(Expression::Load { pointer }, block);
        Val { handle, ty: Ty::I32, block: self.body.blocks.get(block).map_or(0, |b| b.0) }
    }

    /// The same number, of which the driver's compiler knows nothing: its bits, changed by those of a word that is always
    /// zero. Without it `(x + y) - x` becomes `y`, and `x - x` zero even for an infinity.
    pub(crate) fn opaque(&mut self, v: Val) -> Val {
        let zero = match self.body.zero {
            Some(zero) => zero,
            None => {
                let zero = self.unknown_zero();
                *self.body.zero.insert(zero)
            }
        };
        let (bits, zero) = if v.ty == Ty::F64 {
            let word = self.bitcast(zero, Ty::U32);
            (self.bitcast(v, Ty::U64), self.cast(word, Ty::U64))
        } else {
            (self.bitcast(v, Ty::I32), zero)
        };
        let same = self.binary(BinaryOperator::ExclusiveOr, bits, zero);
        self.bitcast(same, v.ty)
    }

    /// The word that is zero, read where that word itself says: drivers compile shaders anew for the values of words that
    /// stand at known places, and would know this one.
    fn unknown_zero(&mut self) -> Val {
        let place = self.arg_in(ZERO_WORD, 0);
        let Some((global, _)) = self.args else { return place };
        let base = self.given(Expression::GlobalVariable(global), Ty::I32).handle;
        let base = self.raw_in(Expression::Access { base, index: place.handle }, 0);
        let pointer = self.raw_in(Expression::AccessIndex { base, index: ZERO_WORD % 4 }, 0);
        Val { handle: self.raw_in(Expression::Load { pointer }, 0), ..place }
    }

    fn element(&mut self, array: Array, index: Val) -> Handle<Expression> {
        let base = self.given(Expression::GlobalVariable(array.global), array.ty).handle;
        let index = self.used(index);
        self.raw(Expression::Access { base, index })
    }

    pub(crate) fn load(&mut self, array: Array, index: Val) -> Val {
        let pointer = self.element(array, index);
        self.eval(Expression::Load { pointer }, array.ty)
    }

    pub(crate) fn store(&mut self, array: Array, index: Val, value: Val) {
        self.expect("an array", value.ty, array.ty);
        let (pointer, value) = (self.element(array, index), self.used(value));
        self.statement(Statement::Store { pointer, value });
    }

    /// The function of that name, which is written when it is asked for the first time.
    pub(crate) fn function(
        &mut self,
        name: &str,
        args: &[(&str, Ty)],
        write: impl FnOnce(&mut Builder, &[Val]) -> Val,
    ) -> Fun {
        if let Some(known) = self.functions.get(name) {
            return *known;
        }
        let outer = std::mem::take(&mut self.body);
        self.body.number = self.next_block;
        self.open();
        self.body.function.name = Some(name.to_owned());
        let mut values = Vec::with_capacity(args.len());
        for (i, (name, ty)) in args.iter().enumerate() {
            let (name, handle) = (Some((*name).to_owned()), self.scalar(*ty));
            self.body.function.arguments.push(FunctionArgument { name, ty: handle, binding: None });
            values.push(self.given(Expression::FunctionArgument(i as u32), *ty));
        }
        let result = write(self, &values);
        let value = Some(self.used(result));
        self.statement(Statement::Return { value });
        let ty = self.scalar(result.ty);
        self.body.function.result = Some(FunctionResult { ty, binding: None });
        self.body.function.body = self.close();
        let inner = std::mem::replace(&mut self.body, outer);
        let handle = self.module.functions.append(inner.function, Span::UNDEFINED);
        let fun = Fun { handle, ty: result.ty };
        self.functions.insert(name.to_owned(), fun);
        fun
    }

    pub(crate) fn call(&mut self, fun: Fun, args: &[Val]) -> Val {
        let arguments = args.iter().map(|a| self.used(*a)).collect();
        // Evaluated by the statement, and not to be emitted.
        let call = Expression::CallResult(fun.handle);
        let result = self.body.function.expressions.append(call, Span::UNDEFINED);
        self.statement(Statement::Call { function: fun.handle, arguments, result: Some(result) });
        Val { handle: result, ty: fun.ty, block: self.here() }
    }

    /// The shader, whose entry runs in workgroups of so many threads.
    ///
    /// # Errors
    /// What went wrong first while it was written.
    pub(crate) fn finish(mut self, threads: u32) -> Result<Module, String> {
        self.statement(Statement::Return { value: None });
        self.body.function.body = self.close();
        if let Some(why) = self.failed {
            return Err(why);
        }
        self.module.entry_points.push(EntryPoint {
            name: "main".to_owned(),
            stage: ShaderStage::Compute,
            early_depth_test: None,
            workgroup_size: [threads, 1, 1],
            workgroup_size_overrides: None,
            function: self.body.function,
            mesh_info: None,
            task_payload: None,
            incoming_ray_payload: None,
        });
        Ok(self.module)
    }
}
