//! Reads the text of a [`Func`] back: `parse(&f.to_string())` is a function of the same text.
//!
//! The reader checks what it must to build a function: words it knows, values that are defined before they are used,
//! literals that fit their dtypes. Whether the types are right is the verifier's business. A text may be nested
//! [`MAX_DEPTH`] deep.

mod cursor;
mod kinds;

use super::interp::MAX_DEPTH;
use super::{Builder, Func, Guard, GuardKind, Kind, Param, RegionId, TensorType, Type, ValueId};
use crate::span::Span;
use cursor::Cursor;
use std::collections::HashMap;
use std::fmt;

/// Where and why a text is no function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads a function from its text.
///
/// # Errors
/// The first place where the text is none.
///
/// # Examples
/// ```
/// let text = "func @f(%x: f64[n]) -> f64[n] {\n  %1: f64[n] = neg %x\n  return %1\n}\n";
/// let func = matex_ir::tensor::parse(text).unwrap();
/// assert_eq!(func.to_string(), text);
/// ```
pub fn parse(text: &str) -> Result<Func, ParseError> {
    let mut cursor = Cursor::new(text);
    let header = header(&mut cursor)?;
    let mut values = HashMap::new();
    for (i, p) in header.params.iter().enumerate() {
        if values.insert(p.name.clone(), ValueId(i as u32)).is_some() {
            return Err(cursor.error(format!("two parameters are called {}", p.name)));
        }
    }
    // Parameters have names, all other values numbers; the two never meet, since a name in words of digits has a `$`.
    let values = values.into_iter().map(|(name, v)| (Key::Named(name), v)).collect();
    let builder = Builder::new(&header.name, header.params);
    let mut reader = Reader { cursor, builder, values };
    let guards = reader.guards()?;
    reader.nodes(0)?;
    let (results, names) = reader.results()?;
    reader.cursor.finish()?;
    let types = results.iter().map(|v| reader.builder.func().node(*v).ty.clone()).collect::<Vec<_>>();
    let declared = match header.results {
        Type::Tensor(t) => vec![t],
        Type::Tuple(ts) => ts,
    };
    if !types.iter().eq(declared.into_iter().map(Type::Tensor).collect::<Vec<_>>().iter()) {
        return Err(reader.cursor.error("the results are not of the types declared"));
    }
    let mut func = reader.builder.finish(results, names);
    func.guards = guards;
    Ok(func)
}

/// Reads a type that stands alone.
pub(super) fn parse_type(text: &str) -> Option<TensorType> {
    let mut cursor = Cursor::new(text);
    let ty = cursor.tensor_type().ok()?;
    cursor.finish().ok()?;
    Some(ty)
}

/// The name of a value in the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Named(String),
    Numbered(u64),
}

struct Header {
    name: String,
    params: Vec<Param>,
    results: Type,
}

fn header(c: &mut Cursor<'_>) -> Result<Header, ParseError> {
    c.word("func")?;
    c.expect("@")?;
    let name = c.name()?;
    c.expect("(")?;
    let mut params = Vec::new();
    while !c.eat(")") {
        if !params.is_empty() {
            c.expect(",")?;
        }
        c.expect("%")?;
        let name = c.name()?;
        c.expect(":")?;
        params.push(Param { name, ty: c.tensor_type()? });
    }
    c.expect("->")?;
    let results = c.value_type()?;
    c.expect("{")?;
    Ok(Header { name, params, results })
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    builder: Builder,
    values: HashMap<Key, ValueId>,
}

impl Reader<'_> {
    fn guards(&mut self) -> Result<Vec<Guard>, ParseError> {
        let c = &mut self.cursor;
        let mut guards = Vec::new();
        while c.eat_word("guard") {
            let left = c.dim()?;
            let kind = if c.eat("==") {
                GuardKind::Equal
            } else {
                c.expect("<=")?;
                GuardKind::AtMost
            };
            let right = c.dim()?;
            c.expect(",")?;
            let (code, message) = (c.code()?, c.string()?);
            guards.push(Guard { kind, left, right, code, message, origin: Span::default() });
        }
        Ok(guards)
    }

    /// Reads nodes as long as lines begin with a value.
    fn nodes(&mut self, depth: usize) -> Result<(), ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.cursor.error("regions nested too deep"));
        }
        while self.cursor.eat("%") {
            let number = self.cursor.number()?;
            self.cursor.expect(":")?;
            let ty = self.cursor.value_type()?;
            self.cursor.expect("=")?;
            let v = self.node(ty, depth)?;
            self.bind(number, v)?;
        }
        Ok(())
    }

    fn bind(&mut self, number: u64, v: ValueId) -> Result<(), ParseError> {
        match self.values.insert(Key::Numbered(number), v) {
            None => Ok(()),
            Some(_) => Err(self.cursor.error(format!("%{number} is defined twice"))),
        }
    }

    fn node(&mut self, ty: Type, depth: usize) -> Result<ValueId, ParseError> {
        let head = self.cursor.ident()?.to_owned();
        let mode =
            if matches!(&*head, "reduce" | "scan") { self.cursor.ident()?.to_owned() } else { String::new() };
        let args = self.operands()?;
        let kind = match &*head {
            "for" => Kind::For(self.region(depth)?),
            "while" => {
                let test = self.region(depth)?;
                self.cursor.word("do")?;
                Kind::While(test, self.region(depth)?)
            }
            "if" => {
                let yes = self.region(depth)?;
                self.cursor.word("else")?;
                Kind::If(yes, self.region(depth)?)
            }
            head => {
                // What follows the operands is set off from them by a comma.
                let separated = args.is_empty() || self.cursor.eat_on_line(",");
                kinds::kind(&mut self.cursor, head, &mode, &ty, separated)?
            }
        };
        Ok(self.builder.push(kind, args, ty))
    }

    /// Reads values with commas between them; a comma before something else is left.
    fn operands(&mut self) -> Result<Vec<ValueId>, ParseError> {
        let mut args = Vec::new();
        while self.cursor.eat_operand(args.is_empty()) {
            args.push(self.value()?);
        }
        Ok(args)
    }

    /// Reads the name of a value behind its `%`.
    fn value(&mut self) -> Result<ValueId, ParseError> {
        let key = match self.cursor.at_digit() {
            true => Key::Numbered(self.cursor.number()?),
            false => Key::Named(self.cursor.name()?),
        };
        let unknown = || format!("{key:?} is used before it is defined");
        self.values.get(&key).copied().ok_or_else(|| self.cursor.error(unknown()))
    }

    fn region(&mut self, depth: usize) -> Result<RegionId, ParseError> {
        let mut params = Vec::new();
        if self.cursor.eat("(") {
            while !self.cursor.eat(")") {
                if !params.is_empty() {
                    self.cursor.expect(",")?;
                }
                self.cursor.expect("%")?;
                let number = self.cursor.number()?;
                self.cursor.expect(":")?;
                params.push((number, self.cursor.tensor_type()?));
            }
        }
        let types: Vec<TensorType> = params.iter().map(|(_, ty)| ty.clone()).collect();
        let (id, values) = self.builder.begin_region(&types);
        for ((number, _), v) in params.iter().zip(values) {
            self.bind(*number, v)?;
        }
        self.cursor.expect("{")?;
        self.nodes(depth + 1)?;
        self.cursor.word("yield")?;
        let results = self.operands()?;
        self.cursor.expect("}")?;
        self.builder.end_region(results);
        Ok(id)
    }

    fn results(&mut self) -> Result<(Vec<ValueId>, Vec<Option<String>>), ParseError> {
        self.cursor.word("return")?;
        let (mut results, mut names) = (Vec::new(), Vec::new());
        while self.cursor.eat_operand(results.is_empty()) {
            results.push(self.value()?);
            let named = self.cursor.eat_word("as");
            names.push(if named { Some(self.cursor.name()?) } else { None });
        }
        self.cursor.expect("}")?;
        Ok((results, names))
    }
}

#[cfg(test)]
mod tests;
