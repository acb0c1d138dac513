//! Loops and branches of built programs.

use super::operand::sealed::Sealed as _;
use super::{Builder, Expr, Operand};
use std::panic::Location;

impl Builder {
    /// Counts from `start` up to, not including, `end`, and passes the counter (an i64) and the carried values to the
    /// body, which gives their next values; gives the last ones. A carried value keeps its dtype and shape.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("power");
    /// let (a, v, n) = (b.param("A", "f64[n, n]"), b.param("v", "f64[n]"), b.param("steps", "i64"));
    /// let [v] = b.for_each(0, &n, [v], |_, [v]| {
    ///     let v = a.matmul(&v);
    ///     [&v / v.norm(())]
    /// });
    /// let f = b.returns(&[&v]).compile()?;
    /// assert_eq!(f.call(&[&[[2.0, 0.0], [0.0, 1.0]], &[1.0, 0.0], &5_i64])?[0].to_string(), "[1.0, 0.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn for_each<const N: usize>(
        &self,
        start: impl Operand,
        end: impl Operand,
        carried: [Expr; N],
        body: impl FnOnce(Expr, [Expr; N]) -> [Expr; N],
    ) -> [Expr; N] {
        let place = Location::caller();
        let carried = self.carry(&carried, place);
        let counter = self.value(&self.state.borrow_mut().fresh());
        let head =
            format!("for {} in {}..{} {{", counter.name, start.text(&self.state), end.text(&self.state));
        self.block(&head, place, &carried, || body(counter, carried.clone()));
        self.close("}", place);
        carried
    }

    /// Runs the body on the carried values as long as `test` of them, a rank-0 bool, is true; gives the last ones.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("halve");
    /// let x = b.param("x", "f64");
    /// let [x, n] = b.while_loop([x, b.literal(0)], |[x, _]| x.greater(1.0), |[x, n]| [x / 2.0, n + 1]);
    /// let f = b.returns(&[&x, &n]).compile()?;
    /// assert_eq!(f.call(&[&40.0])?[1].to_string(), "6");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn while_loop<const N: usize>(
        &self,
        carried: [Expr; N],
        test: impl Fn([Expr; N]) -> Expr,
        body: impl FnOnce([Expr; N]) -> [Expr; N],
    ) -> [Expr; N] {
        let place = Location::caller();
        let carried = self.carry(&carried, place);
        // The test is statements, and a condition is an expression: it is asked before the loop and at each end.
        let go_on = test(carried.clone());
        let go_on = self.carry(&[go_on], place);
        let head = format!("while {} {{", go_on[0].name);
        self.block(&head, place, &carried, || body(carried.clone()));
        let again = test(carried.clone());
        self.assign(&go_on, &[again], place);
        self.close("}", place);
        carried
    }

    /// Runs one of two bodies, by a rank-0 bool, and gives its values.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("root");
    /// let x = b.param("x", "f64");
    /// let [y] = b.if_else(&x.less(0.0), || [-&x], || [x.sqrt()]);
    /// let f = b.returns(&[&y]).compile()?;
    /// assert_eq!(f.call(&[&9.0])?[0].to_string(), "3.0");
    /// assert_eq!(f.call(&[&-9.0])?[0].to_string(), "9.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn if_else<const N: usize>(
        &self,
        condition: &Expr,
        yes: impl FnOnce() -> [Expr; N],
        no: impl FnOnce() -> [Expr; N],
    ) -> [Expr; N] {
        let place = Location::caller();
        let names: Vec<_> = (0..N).map(|_| self.state.borrow_mut().fresh()).collect();
        let target = match names.as_slice() {
            [one] => one.to_string(),
            several => format!("({})", several.join(", ")),
        };
        let head = format!("{target} = if {} {{", condition.text(&self.state));
        self.arm(&head, place, yes);
        self.arm("} else {", place, no);
        self.close("};", place);
        std::array::from_fn(|i| self.value(&names[i]))
    }

    fn arm<const N: usize>(
        &self,
        head: &str,
        place: &'static Location<'static>,
        body: impl FnOnce() -> [Expr; N],
    ) {
        self.open(head, place);
        let values = body();
        let names: Vec<String> = values.iter().map(|v| v.text(&self.state)).collect();
        let value = if N == 1 { names.concat() } else { format!("({})", names.join(", ")) };
        self.state.borrow_mut().line(&value, place);
        self.state.borrow_mut().indent -= 1;
    }

    /// New variables that start as these values, for a loop to change.
    fn carry<const N: usize>(&self, values: &[Expr; N], place: &'static Location<'static>) -> [Expr; N] {
        std::array::from_fn(|i| self.statement(&values[i].text(&self.state), place))
    }

    fn block<const N: usize>(
        &self,
        head: &str,
        place: &'static Location<'static>,
        carried: &[Expr; N],
        body: impl FnOnce() -> [Expr; N],
    ) {
        self.open(head, place);
        let next = body();
        self.assign(carried, &next, place);
    }

    /// All at once, so that values may change places.
    fn assign<const N: usize>(&self, to: &[Expr; N], from: &[Expr; N], place: &'static Location<'static>) {
        let list = |values: &[Expr; N]| {
            let names: Vec<String> = values.iter().map(|v| v.text(&self.state)).collect();
            if N == 1 { names.concat() } else { format!("({})", names.join(", ")) }
        };
        if N > 0 {
            self.state.borrow_mut().line(&format!("{} = {};", list(to), list(from)), place);
        }
    }

    fn open(&self, head: &str, place: &'static Location<'static>) {
        let mut state = self.state.borrow_mut();
        state.line(head, place);
        state.indent += 1;
    }

    fn close(&self, end: &str, place: &'static Location<'static>) {
        let mut state = self.state.borrow_mut();
        // `arm` has stepped out already.
        state.indent -= usize::from(end == "}");
        state.line(end, place);
    }
}
