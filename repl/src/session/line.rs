//! What a line of a session is: functions, or statements with or without a value at the end.

use matex::{Diagnostic, Limits};
use matex_lang::ast::{Ast, BlockId, Form, Pattern, StmtKind};
use matex_lang::{codes, parse};

/// A line that parses.
pub(super) enum Line {
    /// Functions with their texts.
    Functions(Vec<(String, String)>),
    /// Statements, and a value.
    Statements {
        /// The variables that the statements assign, in order.
        assigned: Vec<Assigned>,
        /// The text of the statements; places are those of the line.
        statements: String,
        /// The text of the value, with spaces in the place of the statements so that places are those of the line.
        value: Option<String>,
    },
}

/// A variable that a line assigns.
#[derive(Debug, PartialEq)]
pub(super) struct Assigned {
    pub(super) name: String,
    /// Whether it is assigned outside of all blocks.
    pub(super) top: bool,
    /// Whether it is assigned by itself, and not only as one of several results.
    pub(super) alone: bool,
}

impl Line {
    /// Whether a name becomes a variable or a function by it; as one of several results it may be left out.
    pub(super) fn defines(&self, name: &str) -> bool {
        match self {
            Line::Functions(functions) => functions.iter().any(|(n, _)| n == name),
            Line::Statements { assigned, .. } => assigned.iter().any(|a| a.alone && a.name == name),
        }
    }
}

/// Reads a line.
///
/// # Errors
/// What the parser says; places are those of the line.
pub(super) fn read_line(text: &str) -> Result<Line, Vec<Diagnostic>> {
    let limits = Limits::default();
    if words(behind_comments(text)).first() == Some(&"fn") {
        let program = parse(text, &limits)?;
        let source =
            |s: matex::Span| text.get(s.start as usize..s.end as usize).unwrap_or_default().to_owned();
        let functions = program.ast.fns().iter().map(|f| (f.name.name.to_string(), source(f.span)));
        return Ok(Line::Functions(functions.collect()));
    }
    if let Some(inside) = block_inside(text, &limits) {
        let line = read_line(&inside)?;
        return Ok(match line {
            // What a block assigns ends with it, and is there for its value: both are one text.
            Line::Statements { statements, value: Some(value), .. } => {
                let whole = value.get(statements.len()..).map(|rest| format!("{statements}{rest}"));
                Line::Statements { assigned: Vec::new(), statements: String::new(), value: whole }
            }
            Line::Statements { statements, value: None, .. } => {
                Line::Statements { assigned: Vec::new(), statements, value: None }
            }
            functions @ Line::Functions(_) => functions,
        });
    }
    // The last statement of a line needs no `;`.
    let attempts = [format!("{{{text}\n}}"), format!("{{{text};\n}}")];
    let mut first_error = None;
    for source in &attempts {
        match parse(source, &limits) {
            Ok(program) => {
                if let Form::Block(block) = program.form {
                    return Ok(statements(&program.ast, block, source, text));
                }
            }
            Err(errors) => {
                first_error.get_or_insert(errors);
            }
        }
    }
    // An expression by itself gives the better message for what is not a statement.
    let errors = match parse(text, &limits) {
        Err(errors) if !errors.iter().any(|d| d.code == codes::STATEMENT_OUTSIDE_BLOCK) => errors,
        Err(_) | Ok(_) => shifted(first_error.unwrap_or_default(), text.len()),
    };
    Err(errors)
}

/// The text of a block program with its braces blanked, so that places stay; `None` when the text is no block.
fn block_inside(text: &str, limits: &Limits) -> Option<String> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    let alone = text[..start].trim().is_empty() && text[end + 1..].trim().is_empty();
    let program = parse(text, limits).ok().filter(|_| alone)?;
    matches!(program.form, Form::Block(_))
        .then(|| format!("{} {} {}", &text[..start], &text[start + 1..end], &text[end + 1..]))
}

/// Places in a line that was parsed between braces, of which it knows nothing.
fn shifted(mut errors: Vec<Diagnostic>, len: usize) -> Vec<Diagnostic> {
    let at_the_end = |d: &Diagnostic| d.span().is_some_and(|s| s.start as usize > len);
    for error in errors.iter_mut().filter(|d| at_the_end(d)) {
        error.message = error.message.replace("`}`", "the end of the line");
    }
    for label in errors.iter_mut().flat_map(|d| &mut d.labels) {
        let place = |at: u32| (at.saturating_sub(1)).min(len as u32);
        label.span = matex::Span::new(place(label.span.start), place(label.span.end));
    }
    errors
}

fn statements(ast: &Ast, block: BlockId, source: &str, text: &str) -> Line {
    let mut assigned = Vec::new();
    collect(ast, block, true, &mut assigned);
    let inner = source.get(1..source.len() - 1).unwrap_or_default();
    let last = ast[block].stmts.last().map(|s| &ast[*s]);
    let returned = last.filter(|s| matches!(s.kind, StmtKind::Return(_))).map(|s| s.span);
    let value = ast[block].value.map(|e| ast[e].span).or(returned);
    // An expression with a `;` behind it is shown too: on a line of its own there is nothing else to do with it.
    let shown = value.or_else(|| last.filter(|s| matches!(s.kind, StmtKind::Expr(_))).map(|s| s.span));
    let Some(span) = shown else {
        return Line::Statements { assigned, statements: inner.to_owned(), value: None };
    };
    let at = (span.start as usize).saturating_sub(1).min(text.len());
    let end = (span.end as usize).saturating_sub(1).min(text.len());
    let blank: String = text[..at].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
    // Characters of several bytes become one space each; pad, so that bytes keep their places.
    let blank = format!("{}{blank}", " ".repeat(at - blank.len()));
    Line::Statements {
        assigned,
        statements: text[..at].to_owned(),
        value: Some(format!("{blank}{}", &text[at..end])),
    }
}

/// Collects what a block and the blocks in it assign; they nest as deep as the parser admits.
fn collect(ast: &Ast, block: BlockId, top: bool, out: &mut Vec<Assigned>) {
    let mut add = |name: &str, alone: bool| match out.iter_mut().find(|a| a.name == name) {
        Some(known) => (known.top, known.alone) = (known.top | top, known.alone | alone),
        None => out.push(Assigned { name: name.to_owned(), top, alone }),
    };
    let mut inner = Vec::new();
    for stmt in &ast[block].stmts {
        match &ast[*stmt].kind {
            StmtKind::Let { pattern: Pattern::One(ident), .. } => add(&ident.name, true),
            StmtKind::Let { pattern: Pattern::Tuple(idents, _), .. } => {
                idents.iter().for_each(|i| add(&i.name, false))
            }
            StmtKind::Update { target, .. } | StmtKind::Compound { target, .. } => add(&target.name, true),
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => inner.push(*body),
            StmtKind::If(chain) => {
                inner.extend(chain.branches.iter().map(|(_, block)| *block));
                inner.extend(chain.otherwise);
            }
            StmtKind::Return(_) | StmtKind::Expr(_) => {}
        }
    }
    for block in inner {
        collect(ast, block, false, out);
    }
}

/// Whether a line ends within brackets or a comment, and goes on in the next one.
pub(super) fn is_open(text: &str) -> bool {
    let (mut depth, mut comment) = (0_i64, 0_u32);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut step = c.len_utf8();
        if rest.starts_with("/*") {
            (comment, step) = (comment + 1, 2);
        } else if comment > 0 && rest.starts_with("*/") {
            (comment, step) = (comment - 1, 2);
        } else if comment > 0 {
            // Comments nest, and nothing else counts in them.
        } else if rest.starts_with("//") {
            step = rest.find('\n').unwrap_or(rest.len());
        } else if matches!(c, '(' | '[' | '{') {
            depth += 1;
        } else if matches!(c, ')' | ']' | '}') {
            depth -= 1;
        }
        rest = &rest[step..];
    }
    depth > 0 || comment > 0
}

/// A text from the first thing on that is no comment.
fn behind_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let step = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            // The shortest beginning in which all comments end.
            rest.match_indices("*/")
                .map(|(i, _)| i + 2)
                .find(|end| !is_open(&rest[..*end]))
                .unwrap_or(rest.len())
        } else {
            return rest;
        };
        rest = rest[step..].trim_start();
    }
}

/// The words of a text, comments included: those that are names of variables become parameters, which costs nothing.
pub(super) fn words(text: &str) -> Vec<&str> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(part).filter(|w| !w.is_empty()).collect()
}

/// A text with a letter in the place of a word of one byte, so that all places stay; comments may change too.
pub(super) fn replace_word(text: &str, word: &str, letter: char) -> String {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        out.push_str(before);
        let whole = !part(out.chars().next_back()) && !part(after.chars().next());
        if whole {
            out.push(letter)
        } else {
            out.push_str(word)
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match read_line(text) {
            Ok(Line::Functions(fs)) => fs.iter().map(|(name, _)| format!("fn {name} ")).collect(),
            Ok(Line::Statements { assigned, statements, value }) => {
                let names: Vec<String> =
                    assigned.iter().map(|a| format!("{}{}", a.name, if a.top { "" } else { "?" })).collect();
                format!("{} | {} | {}", names.join(","), statements.trim(), value.unwrap_or_default().trim())
            }
            Err(errors) => errors[0].code.to_string(),
        }
    }

    #[test]
    fn kinds_of_lines() {
        assert_eq!(show("1 + 2"), " |  | 1 + 2");
        assert_eq!(show("{ a = 1; a + 1 }"), " |  | a = 1; a + 1");
        assert_eq!(show("x = 1"), "x | x = 1; | ");
        assert_eq!(show("x = 1; y = 2;"), "x,y | x = 1; y = 2; | ");
        assert_eq!(show("x = 1; x + 1"), "x | x = 1; | x + 1");
        assert_eq!(show("(q, r) = qr(A)"), "q,r | (q, r) = qr(A); | ");
        assert_eq!(show("x[0] += 1"), "x | x[0] += 1; | ");
        assert_eq!(show("for i in 0..3 { s += i; t = 1; }"), "s?,t? | for i in 0..3 { s += i; t = 1; } | ");
        assert_eq!(show("fn f(x) { x } fn g() { 1 }"), "fn f fn g ");
        assert_eq!(show("// a\n/* b /* c */ */ fn f(x) { x } // d"), "fn f ");
        assert_eq!(show("1 +"), "E0010");
    }

    #[test]
    fn lines_go_on_within_brackets() {
        assert!(is_open("[1, 2,") && is_open("fn f(x) {") && is_open("/* a /* */") && is_open("x = [1,"));
        assert!(!is_open("[1, 2]") && !is_open("1 +") && !is_open("x = 1 // (") && !is_open("())"));
    }

    #[test]
    fn words_are_replaced_whole() {
        assert_eq!(replace_word("_ + a_b + _x + (_)*_", "_", 'Z'), "Z + a_b + _x + (Z)*Z");
        assert_eq!(replace_word("__ é_", "_", 'Z'), "__ éZ");
    }

    #[test]
    fn values_keep_their_places() {
        let Ok(Line::Statements { value: Some(value), .. }) = read_line("x = 1; /* é */ x + 1") else {
            panic!()
        };
        assert_eq!(value.find("x + 1"), Some("x = 1; /* é */ ".len()));
    }
}
