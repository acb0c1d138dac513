//! Transforms nested deeper than anybody needs: an answer or an error, and soon.

use matex_lang::{Diagnostic, Limits, Unit};

fn check(program: &str) -> Result<(), Vec<Diagnostic>> {
    let unit = Unit::new(program, None, &Limits::default())?;
    unit.specialize(&unit.assumed_args()?).map(|_| ())
}

fn nested(levels: usize, outer: &str, inner: &str, body: &str) -> String {
    let mut f = body.to_owned();
    for _ in 0..levels {
        f = format!("{outer}{f}{inner}");
    }
    f
}

#[test]
fn a_hundred_levels_end() {
    let programs = [
        format!("fn f(x: f64) {{ {}(x) }}", nested(100, "grad(", ")", "|x| x * sin(x)")),
        format!("fn f(x: f64) {{ {} }}", nested(100, "grad(|x| ", ")(x)", "exp(x * x)")),
        format!("fn f(x: f64) {{ jvp({}, x, 1.0) }}", nested(100, "grad(", ")", "|x| sin(x)")),
        format!("fn f(x: f64[n]) {{ {}(x) }}", nested(100, "hessian(", ")", "|x| sum(x**3)")),
        format!(
            "fn f(x: f64) {{ {}(x) }}",
            nested(100, "grad(", ")", "|x| { s = x; for i in 0..9 { s = s * sin(s); } s }")
        ),
        format!(
            "fn f(x: f64) {{ grad(|x| {{ s = x; {} s }})(x) }}",
            nested(60, "for i in 0..2 { ", " s = s * x; }", "s = sin(s);")
        ),
        format!("fn f(x: f64[2]) {{ {}(x) }}", nested(100, "vmap(", ")", "|x| x")),
    ];
    for program in &programs {
        match check(program) {
            Ok(()) => {}
            Err(errors) => {
                let code = errors[0].code.to_string();
                assert!(
                    ["E0402", "E0403", "E0120", "E0208"].contains(&&*code),
                    "{code}: {program}\n{}",
                    errors[0]
                );
            }
        }
    }
}

#[test]
fn levels_that_people_use_work() {
    assert!(check(&format!("fn f(x: f64) {{ {}(x) }}", nested(6, "grad(", ")", "|x| sin(x)"))).is_ok());
    assert!(check("fn f(x: f64[2, 2, 2]) { vmap(vmap(vmap(|x| x**2)))(x) }").is_ok());
    assert!(check("fn f(x: f64[n]) { hessian(|x| sum(x**3))(x) }").is_ok());
}
