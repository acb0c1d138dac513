//! What programs mean, shown as nested lists, and that no program is too deep, too long or too wild.

use super::parse;
use crate::ast::{
    Arg, Ast, BlockId, DimId, DimKind, ExprId, ExprKind, FnId, Form, If, Index, IndexKind, LambdaBody,
    Pattern, StmtId, StmtKind, TypeExpr,
};
use crate::codes;
use crate::limits::Limits;
use crate::{Diagnostic, ast};

// ---- a printer for small trees ----

struct Show<'a>(&'a Ast);

impl Show<'_> {
    fn list(&self, ids: &[ExprId]) -> String {
        ids.iter().map(|&id| self.expr(id)).collect::<Vec<_>>().join(" ")
    }

    fn expr(&self, id: ExprId) -> String {
        match &self.0[id].kind {
            ExprKind::Number(n) => match (n.value, n.suffix) {
                (ast::NumberValue::Int(v), suffix) => format!("{v}{}", suffix.map_or("", |d| d.name())),
                (ast::NumberValue::Float(v), suffix) => format!("{v:?}{}", suffix.map_or("", |d| d.name())),
            },
            ExprKind::Bool(b) => b.to_string(),
            ExprKind::Name(name) => name.to_string(),
            ExprKind::Positional(i) => format!("${i}"),
            ExprKind::Str(text) => format!("{text:?}"),
            ExprKind::Tuple(parts) => format!("(tuple {})", self.list(parts)),
            ExprKind::List(parts) => format!("[{}]", self.list(parts)),
            ExprKind::Unary { op, operand, .. } => format!("({} {})", op.symbol(), self.expr(*operand)),
            ExprKind::Binary { op, lhs, rhs, .. } => {
                format!("({} {} {})", op.symbol(), self.expr(*lhs), self.expr(*rhs))
            }
            ExprKind::Call { name, args } => format!("(call {}{})", name.name, self.args(args)),
            ExprKind::MethodCall { receiver, name, args } => {
                format!("(method {} {}{})", self.expr(*receiver), name.name, self.args(args))
            }
            ExprKind::Attr { receiver, name } => format!("(attr {} {})", self.expr(*receiver), name.name),
            ExprKind::CallExpr { callee, args } => {
                format!("(apply {}{})", self.expr(*callee), self.args(args))
            }
            ExprKind::Index { base, indices } => {
                format!("(at {}{})", self.expr(*base), self.indices(indices))
            }
            ExprKind::If(chain) => self.chain(chain),
            ExprKind::Lambda { params, body } => {
                let params: Vec<&str> = params.iter().map(|p| &*p.name).collect();
                let body = match body {
                    LambdaBody::Expr(id) => self.expr(*id),
                    LambdaBody::Block(id) => self.block(*id),
                };
                format!("(|{}| {body})", params.join(" "))
            }
        }
    }

    fn args(&self, args: &[Arg]) -> String {
        let one = |arg: &Arg| match &arg.name {
            Some(name) => format!(" {}={}", name.name, self.expr(arg.value)),
            None => format!(" {}", self.expr(arg.value)),
        };
        args.iter().map(one).collect()
    }

    fn indices(&self, indices: &[Index]) -> String {
        let end = |id: &Option<ExprId>| id.map_or("_".to_owned(), |id| self.expr(id));
        let one = |index: &Index| match &index.kind {
            IndexKind::At(id) => format!(" {}", self.expr(*id)),
            IndexKind::Slice { start, stop, step, range } => {
                let dots = if *range { ".." } else { ":" };
                format!(" ({dots} {} {} {})", end(start), end(stop), end(step))
            }
            IndexKind::Ellipsis => " ...".to_owned(),
            IndexKind::NewAxis => " newaxis".to_owned(),
        };
        indices.iter().map(one).collect()
    }

    fn chain(&self, chain: &If) -> String {
        let one = |(cond, block): &(ExprId, BlockId)| format!(" {} {}", self.expr(*cond), self.block(*block));
        let branches: String = chain.branches.iter().map(one).collect();
        format!("(if{branches}{})", chain.otherwise.map_or(String::new(), |b| format!(" {}", self.block(b))))
    }

    fn block(&self, id: BlockId) -> String {
        let block = &self.0[id];
        let mut parts: Vec<String> = block.stmts.iter().map(|&s| self.stmt(s)).collect();
        parts.extend(block.value.map(|v| self.expr(v)));
        format!("{{{}}}", parts.join(" "))
    }

    fn stmt(&self, id: StmtId) -> String {
        match &self.0[id].kind {
            StmtKind::Let { pattern, ty, value } => {
                let names = match pattern {
                    Pattern::One(name) => name.name.to_string(),
                    Pattern::Tuple(names, _) => {
                        format!("({})", names.iter().map(|n| &*n.name).collect::<Vec<_>>().join(" "))
                    }
                };
                let ty = ty.as_ref().map_or(String::new(), |ty| format!(":{}", self.ty(ty)));
                format!("{names}{ty}={};", self.expr(*value))
            }
            StmtKind::Update { target, indices, op, value, .. } => {
                format!("(at {}{}){}{};", target.name, self.indices(indices), op.symbol(), self.expr(*value))
            }
            StmtKind::Compound { target, op, value, .. } => {
                format!("{}{}{};", target.name, op.symbol(), self.expr(*value))
            }
            StmtKind::For { var, start, stop, body } => {
                let (start, stop) = (self.expr(*start), self.expr(*stop));
                format!("(for {} {start} {stop} {})", var.name, self.block(*body))
            }
            StmtKind::While { cond, body } => format!("(while {} {})", self.expr(*cond), self.block(*body)),
            StmtKind::If(chain) => format!("{};", self.chain(chain)),
            StmtKind::Return(values) => format!("return {};", self.list(values)),
            StmtKind::Expr(value) => format!("{};", self.expr(*value)),
        }
    }

    fn ty(&self, ty: &TypeExpr) -> String {
        let Some(dims) = &ty.dims else { return ty.dtype.name().to_owned() };
        let dims: Vec<String> = dims.iter().map(|&d| self.dim(d)).collect();
        format!("{}[{}]", ty.dtype.name(), dims.join(" "))
    }

    fn dim(&self, id: DimId) -> String {
        match &self.0[id].kind {
            DimKind::Int(size) => size.to_string(),
            DimKind::Name(name) => name.to_string(),
            DimKind::Any => "_".to_owned(),
            DimKind::Rest => "...".to_owned(),
            DimKind::Binary { op, lhs, rhs, .. } => format!("({op:?} {} {})", self.dim(*lhs), self.dim(*rhs)),
        }
    }

    fn function(&self, id: FnId) -> String {
        let def = &self.0[id];
        let mut out = format!("fn {}", def.name.name);
        for param in &def.params {
            out += &format!(" {}", param.name.name);
            out += &param.ty.as_ref().map_or(String::new(), |ty| format!(":{}", self.ty(ty)));
            out += &param.default.map_or(String::new(), |value| format!("={}", self.expr(value)));
        }
        if let Some(result) = &def.result {
            let types: Vec<String> = result.types.iter().map(|t| self.ty(t)).collect();
            out += &if result.parenthesised {
                format!(" -> ({})", types.join(" "))
            } else {
                format!(" -> {}", types[0])
            };
        }
        format!("{out} {}", self.block(def.body))
    }
}

fn show(source: &str) -> String {
    let program = match parse(source, &Limits::default()) {
        Ok(program) => program,
        Err(errors) => panic!("{}", crate::render::render(&errors, "test.mx", source, false)),
    };
    let show = Show(&program.ast);
    match &program.form {
        Form::Expr(id) => show.expr(*id),
        Form::Block(id) => show.block(*id),
        Form::Module(fns) => fns.iter().map(|&f| show.function(f)).collect::<Vec<_>>().join("\n"),
    }
}

fn errors(source: &str) -> Vec<Diagnostic> {
    parse(source, &Limits { source_bytes: 1 << 26, ..Limits::default() }).expect_err(source)
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (source, shown) in cases {
        assert_eq!(show(source), *shown, "{source}");
    }
}

// ---- what programs mean ----

#[test]
fn precedence_follows_the_table() {
    check(&[
        ("-x**2", "(- (** x 2))"),
        ("2**3**2", "(** 2 (** 3 2))"),
        ("2**-1", "(** 2 (- 1))"),
        ("-x @ y", "(@ (- x) y)"),
        ("!a && b", "(&& (! a) b)"),
        ("a - b - c", "(- (- a b) c)"),
        ("a + b*c - d", "(- (+ a (* b c)) d)"),
        ("a > 0 && b > 0 || c", "(|| (&& (> a 0) (> b 0)) c)"),
        ("a || b && c == d + e * f ** g", "(|| a (&& b (== c (+ d (* e (** f g))))))"),
        ("(a < b) == c", "(== (< a b) c)"),
        ("a == b && c != d", "(&& (== a b) (!= c d))"),
        ("x.T @ y.mT", "(@ (attr x T) (attr y mT))"),
        ("-x[0].f(a)", "(- (method (at x 0) f a))"),
        ("a % b / c", "(/ (% a b) c)"),
        ("a - -b", "(- a (- b))"),
    ]);
}

#[test]
fn operands_hang_together() {
    check(&[
        ("grad(f)(x)", "(apply (call grad f) x)"),
        ("(f)(x)", "(apply f x)"),
        ("f()", "(call f)"),
        ("sum(x, axis=[0, 1], keepdims=true,)", "(call sum x axis=[0 1] keepdims=true)"),
        ("cast(x, f32)", "(call cast x f32)"),
        ("einsum(\"ij,jk->ik\", a, b)", "(call einsum \"ij,jk->ik\" a b)"),
        ("vmap(|a, b| a + b)(x, y)", "(apply (call vmap (|a b| (+ a b))) x y)"),
        (
            "scan(|c, x| { d = c + x; return d, d }, 0, xs)",
            "(call scan (|c x| {d=(+ c x); return d d;}) 0 xs)",
        ),
        (
            "x[0, 1:3, ::-1, ..., newaxis, a.., ..b, :]",
            "(at x 0 (: 1 3 _) (: _ _ (- 1)) ... newaxis (.. a _ _) (.. _ b _) (: _ _ _))",
        ),
        ("lu(A)[1]", "(at (call lu A) 1)"),
        ("[]", "[]"),
        ("[[1, 2], [3, 4]]", "[[1 2] [3 4]]"),
        ("$0 + $1[0]", "(+ $0 (at $1 0))"),
        ("f(wrt=(a, b))", "(call f wrt=(tuple a b))"),
        ("2.sqrt()", "(method 2 sqrt)"),
        ("lambda * 2", "(* lambda 2)"),
        ("if a > 0 { a } else if b { 1 } else { c = 2; c }", "(if (> a 0) {a} b {1} {c=2; c})"),
        ("(if a { 1 } else { 2 }) + 1", "(+ (if a {1} {2}) 1)"),
    ]);
}

#[test]
fn statements_and_blocks() {
    check(&[
        ("{ m = $0 + $1; return m / (m[0] + m[1]) }", "{m=(+ $0 $1); return (/ m (+ (at m 0) (at m 1)));}"),
        ("{ let x: f64[n] = y; x[0, 1:] += 2; x -= 1; x }", "{x:f64[n]=y; (at x 0 (: 1 _ _))+=2; x-=1; x}"),
        ("{ (q, r) = qr(A); (q) = r; (q + r) }", "{(q r)=(call qr A); (q)=r; (+ q r)}"),
        (
            "{ for i in 0..n - 1 { v = v + i; } while any(v) { v = v / 2; } v }",
            "{(for i 0 (- n 1) {v=(+ v i);}) (while (call any v) {v=(/ v 2);}) v}",
        ),
        ("{ if a { b = 1; } -b }", "{(if a {b=1;}); (- b)}"),
        (
            "{ if a { b = 1; } else { b = 2; } (c, d) = f(b); c }",
            "{(if a {b=1;} {b=2;}); (c d)=(call f b); c}",
        ),
        ("{ if a { 1 } else { 2 } }", "{(if a {1} {2})}"),
        (
            "{ x[0] == 1; x[f(|a| { a[0] = 1; a })[0]] = 3; x }",
            "{(== (at x 0) 1); (at x (at (call f (|a| {(at a 0)=1; a})) 0))=3; x}",
        ),
        ("{}", "{}"),
        ("{ elif = 1; break = elif; break + 1 }", "{elif=1; break=elif; (+ break 1)}"),
    ]);
}

#[test]
fn modules_and_types() {
    check(&[
        (
            "fn f(w: f32[k], X: float[n, 2*k + 1, ...], l2: f32 = -1e-3, p = [1, pi],) -> (f64, f64[_]) { return w, X }",
            "fn f w:f32[k] X:float[n (Add (Mul 2 k) 1) ...] l2:f32=(- 0.001) p=[1 pi] -> (f64 f64[_]) {return w X;}",
        ),
        (
            "fn f() { 1 } fn g(x: num[3 - (a - b)]) -> (bool) { x }",
            "fn f {1}\nfn g x:num[(Sub 3 (Sub a b))] -> (bool) {x}",
        ),
        ("\u{feff}// c\r\nfn main(x: i64[])\r\n{ x }\r\n", "fn main x:i64[] {x}"),
    ]);
}

#[test]
fn programs_of_the_contract_parse() {
    let text = include_str!("contract.mx");
    let shown = show(text);
    assert_eq!(shown.lines().count(), 7, "{shown}");
}

#[test]
fn operands_come_first_and_spans_cover_them() {
    let source = "{ x[(a + b)*c] += d; if a < b { f(x, |y| y**2)[0, 1:n] } else { -z.g(1, k=2) } }";
    let program = parse(source, &Limits::default()).unwrap();
    for i in 0..program.ast.expr_count() {
        let id = ExprId(u32::try_from(i).unwrap());
        let span = program.ast[id].span;
        assert!(span.start < span.end && span.end as usize <= source.len());
        if let Some(left) = program.ast.left(id) {
            let inner = program.ast[left].span;
            assert!(left < id && span.start <= inner.start && inner.end <= span.end, "{source}");
        }
    }
    assert_eq!(program.span, crate::Span::new(0, u32::try_from(source.len()).unwrap()));
}

// ---- long, deep and wild ----

/// Where a call too deep would be noticed: test threads can be given any stack.
fn on_an_ordinary_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 21).spawn(run).unwrap().join().unwrap();
}

const LONG: usize = 100_000;

#[test]
fn long_chains_parse() {
    on_an_ordinary_stack(|| {
        let limits = Limits { source_bytes: 1 << 26, ..Limits::default() };
        for source in [
            format!("a{}", " + a".repeat(LONG)),
            format!("a{}", " && a < b".repeat(LONG)),
            format!("x{}", "[0]".repeat(LONG)),
            format!("f(){}", ".g()".repeat(LONG)),
            format!("f{}", "(x)".repeat(LONG)),
            format!("x{}", ".T".repeat(LONG)),
            format!("[{}1]", "1, ".repeat(LONG)),
            format!("f({}1)", "1, ".repeat(LONG)),
            format!("x[{}1]", "1, ".repeat(LONG)),
            format!("{{ {} x }}", "x = x + 1; ".repeat(LONG)),
            format!("{{ {} x }}", "if a { x = 1; } ".repeat(LONG)),
            format!("if a {{ 1 }} {} else {{ 3 }}", "else if b { 2 } ".repeat(LONG)),
            "fn f(x) { x } ".repeat(LONG),
            format!("fn f(x: f64[n{}]) {{ x }}", " + n*2".repeat(LONG)),
            format!("{}a{}", "(".repeat(200), ")".repeat(200)),
        ] {
            assert!(parse(&source, &limits).is_ok(), "{}", &source[..40]);
        }
    });
}

#[test]
fn deep_nesting_is_a_diagnostic() {
    on_an_ordinary_stack(|| {
        let repeated = [
            "(", "[", "f(", "x[", "-", "!", "- -", "a ** ", "if a { ", "f(|x| ", "f(|x| { ", "[x[(f(-",
            "f(a=", "a[b[", "(a, ",
        ];
        let mut sources: Vec<String> = repeated.iter().map(|open| open.repeat(LONG)).collect();
        sources.push(format!("fn f(x: f64[{}", "(".repeat(LONG)));
        sources.push(format!("{{ {}", "if a { ".repeat(LONG)));
        sources.push(format!("{{ {}", "for i in 0..1 { ".repeat(LONG)));
        sources.push(format!("{{ x[{}", "y[".repeat(LONG)));
        for source in sources {
            let found = errors(&source);
            let codes: Vec<_> = found.iter().map(|e| e.code).collect();
            assert_eq!(codes, [codes::LIMIT_NESTING], "{}: {:?}", &source[..30], found[0]);
        }
        assert!(errors(&"{ if a ".repeat(LONG)).len() <= 2);
        let most = Limits { nesting_depth: usize::MAX, source_bytes: 1 << 26, ..Limits::default() };
        assert!(parse(&"(a+b*".repeat(LONG), &most).is_err());
    });
}

#[test]
fn too_long_a_source_is_a_diagnostic() {
    let limits = Limits { source_bytes: 3, ..Limits::default() };
    assert_eq!(parse("a + b", &limits).unwrap_err()[0].code, codes::LIMIT_SOURCE);
}

#[test]
fn errors_are_few_and_in_order() {
    let source = "{ a = ; b = 1 2; c = (; d = 1; x y; }";
    let found = errors(source);
    let starts: Vec<u32> = found.iter().filter_map(|e| e.span()).map(|s| s.start).collect();
    assert!(starts.is_sorted(), "{found:?}");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(errors(&"{ a = ; }".repeat(1000)).len() <= 64);
    assert!(errors(&format!("{{ {} }}", "a = ; ".repeat(1000))).len() <= 64);
    assert!(errors(&format!("{{ {} }}", "a = ☃; ".repeat(1000))).len() <= 64);
}

mod wild {
    use super::{Limits, parse};
    use crate::render::render;
    use proptest::prelude::*;

    const TOKENS: &[&str] = &[
        "fn", "let", "for", "while", "in", "if", "else", "return", "true", "newaxis", "_", "x", "f", "f64",
        "1", "2.5f32", "0..", "$0", "\"ij\"", "(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "..", "...",
        "->", "|", "+", "-", "*", "/", "%", "@", "**", "!", "<", "==", "&&", "||", "=", "+=", "^", "'", "#",
        "é", "/*", "*/", "//", "\n", "1.", ".5", "None", "lambda", "def", "elif", "and", "\\", "\t", "\r\n",
    ];

    fn survives(source: &str) {
        if let Err(errors) = parse(source, &Limits::default()) {
            assert!(!errors.is_empty(), "{source:?}");
            assert!(errors.iter().all(|e| crate::codes::explain(e.code).is_some()));
            for color in [false, true] {
                assert!(render(&errors, "wild.mx", source, color).starts_with(if color {
                    "\x1b"
                } else {
                    "error[E"
                }));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn token_soup(picks in prop::collection::vec((0..TOKENS.len(), any::<bool>()), 0..60)) {
            let soup: String = picks.iter().flat_map(|&(i, space)| [TOKENS[i], if space { " " } else { "" }]).collect();
            survives(&soup);
            survives(&format!("fn f(x) {{ {soup} }}"));
        }

        #[test]
        fn text_soup(text in ".{0,80}") {
            survives(&text);
        }

        #[test]
        fn ascii_soup(text in "[ -~\n\r\t]{0,80}") {
            survives(&text);
        }
    }
}
