//! Tests of what is legal in a kernel, and of the search against all choices there are.

use super::graph::Graph;
use super::kernel::{Kernel, Obstacle};
use super::sweep::{Sweep, Total};
use super::{Fusion, captured, choose, nothing};
use crate::Sizes;
use crate::cost::CostModel;
use crate::plan::Item;
use matex_ir::tensor::{Func, ValueId, parse};

fn func_of(result: &str, lines: &[&str]) -> Func {
    let head = format!("func @f(%x: f64[n, m], %y: f64[m], %i: i64[m], %s: f64) -> {result} {{");
    parse(&format!("{head}\n  {}\n}}\n", lines.join("\n  "))).unwrap()
}

/// Whether there is a kernel for the result, when nothing but the parameters is in memory.
fn one_kernel(result: &str, lines: &[&str]) -> Result<(), Obstacle> {
    let func = func_of(result, lines);
    let graph = Graph::new(&func, &Sizes::nominal(), CostModel::FIXED, &captured(&func));
    let stored = vec![false; graph.items.len()];
    let root = func.results()[0].0 as usize;
    Kernel::price(&graph, &stored, &[root]).map(|_| ())
}

const SOFTMAX: &[&str] = &[
    "%4: f64[n] = reduce max %x, [1]",
    "%5: f64[n, m] = broadcast %4, [0]",
    "%6: f64[n, m] = sub %x, %5",
    "%7: f64[n, m] = exp %6",
    "%8: f64[n] = reduce sum %7, [1]",
    "%9: f64[n, m] = broadcast %8, [0]",
    "%10: f64[n, m] = div %7, %9",
    "return %10",
];

#[test]
fn maps_and_views_of_one_space_are_a_kernel() {
    let lines = [
        "%4: f64[n, m] = exp %x",
        "%5: f64[m, n] = permute %4, [1, 0]",
        "%6: f64[m, n] = broadcast %y, [0]",
        "%7: f64[m, n] = add %5, %6",
        "return %7",
    ];
    assert_eq!(one_kernel("f64[m, n]", &lines), Ok(()));
}

#[test]
fn reductions_over_the_same_rows_are_a_kernel() {
    assert_eq!(one_kernel("f64[n, m]", SOFTMAX), Ok(()));
}

#[test]
fn reductions_over_other_axes_are_not() {
    let lines = [
        "%4: f64[n] = reduce sum %x, [1]",
        "%5: f64[m] = reduce sum %x, [0]",
        "%6: f64[n, m] = broadcast %4, [0]",
        "%7: f64[n, m] = broadcast %5, [1]",
        "%8: f64[n, m] = add %6, %7",
        "return %8",
    ];
    assert_eq!(one_kernel("f64[n, m]", &lines), Err(Obstacle::Axes));
}

#[test]
fn a_reduction_that_would_be_repeated_is_not() {
    let lines = [
        "%4: f64 = reduce sum %y, [0]",
        "%5: f64[n, m] = broadcast %4, []",
        "%6: f64[n, m] = add %x, %5",
        "return %6",
    ];
    assert_eq!(one_kernel("f64[n, m]", &lines), Err(Obstacle::Repeated));
}

#[test]
fn a_reduction_of_columns_inside_one_of_rows_is_not() {
    let lines = [
        "%4: f64[n, n] = dot %x, %x, contract [1:1]",
        "%5: f64[n] = reduce sum %4, [1]",
        "%6: f64 = reduce sum %5, [0]",
        "return %6",
    ];
    let func = func_of("f64", &lines);
    let graph = Graph::new(&func, &Sizes::nominal(), CostModel::FIXED, &captured(&func));
    let mut stored = vec![false; graph.items.len()];
    stored[4] = true;
    assert_eq!(Kernel::price(&graph, &stored, &[6]).map(|_| ()), Err(Obstacle::Nested));
}

#[test]
fn operands_and_nodes_are_limited() {
    let mut lines = vec!["%4: f64[m] = add %y, %y".to_owned()];
    lines.extend((5..300).map(|i| format!("%{i}: f64[m] = add %{}, %y", i - 1)));
    lines.push("return %299".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(one_kernel("f64[m]", &lines), Err(Obstacle::Large));
    let func = func_of("f64[m]", &lines);
    let chosen = choose(&func, &Sizes::nominal(), CostModel::FIXED);
    let kernels = (0..func.nodes.len() as u32).filter(|v| chosen.is_stored(ValueId(*v))).count();
    assert_eq!(kernels, 2, "{:?}", chosen.refusals);
}

/// The figures that were measured for products and functions are what makes up the price of those.
#[test]
fn products_and_functions_cost_what_was_measured() {
    let time = |lines: &[&str], result: &str, costs: CostModel| {
        let func = func_of(result, lines);
        let name = |name: &str| matex_ir::dim::Atom::Size(name.into());
        let sizes = Sizes::of([(name("n"), 1024), (name("m"), 1024)]);
        let graph = Graph::new(&func, &sizes, costs, &captured(&func));
        let stored: Vec<bool> = (0..graph.items.len()).map(|v| v == 4).collect();
        Kernel::price(&graph, &stored, &[4]).unwrap().time - costs.launch
    };
    let fixed = CostModel::FIXED;
    let slow =
        CostModel { product: fixed.product / 3.0, functions: fixed.functions.map(|f| 3.0 * f), ..fixed };
    let product = ["%4: f64[n, n] = dot %x, %x, contract [1:1]", "return %4"];
    let measured = 1024f64.powi(3) * 8.0 / fixed.product;
    let times = [fixed, slow].map(|costs| time(&product, "f64[n, n]", costs));
    assert!(
        (times[1] / times[0] - 3.0).abs() < 0.01 && (times[0] / measured - 1.0).abs() < 0.01,
        "{times:?}"
    );
    for (name, own) in CostModel::FUNCTIONS.iter().zip(fixed.functions) {
        let operands = if *name == "pow" { "%x, %x" } else { "%x" };
        let lines = [format!("%4: f64[n, m] = {name} {operands}"), "return %4".to_owned()];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let more = time(&lines, "f64[n, m]", slow) - time(&lines, "f64[n, m]", fixed);
        let measured = 2.0 * own * 1024f64.powi(2) * 8.0 / fixed.vector;
        assert!((more / measured - 1.0).abs() < 0.01, "{name}: {more} and not {measured}");
    }
}

/// Each pair of values is used by both of the next one, so that the ways through them double with each.
#[test]
fn values_that_are_used_twice_are_looked_at_once() {
    let mut lines = vec!["%4: f64[m] = add %y, %y".to_owned(), "%5: f64[m] = mul %y, %y".to_owned()];
    for i in (6..86).step_by(2) {
        lines.push(format!("%{i}: f64[m] = add %{}, %{}", i - 2, i - 1));
        lines.push(format!("%{}: f64[m] = mul %{}, %{}", i + 1, i - 2, i - 1));
    }
    lines.push("%86: f64[m] = add %84, %85".to_owned());
    lines.push("return %86".to_owned());
    let func = func_of("f64[m]", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let graph = Graph::new(&func, &Sizes::nominal(), CostModel::FIXED, &captured(&func));
    let stored: Vec<bool> = (0..graph.items.len()).map(|v| v == 86).collect();
    assert!(graph.only_needed_in(4, &[86], &stored));
    assert!(!graph.only_needed_in(4, &[85], &stored));
}

/// The sum of a row and that of its squared distances from the mean, put together: the rows are read by one kernel.
#[test]
fn parts_that_share_what_they_read_are_written_together() {
    let rows = [
        "%4: f64[n] = reduce sum %x, [1]",
        "%5: f64[n, m] = broadcast %4, [0]",
        "%6: f64[n, m] = sub %x, %5",
        "%7: f64[n, m] = mul %6, %6",
        "%8: f64[n] = reduce sum %7, [1]",
        "%9: f64[1, n] = reshape %4",
        "%10: f64[1, n] = reshape %8",
        "%11: f64[2, n] = concat %9, %10, axis 0",
        "return %11",
    ];
    let group = |lines: &[&str]| {
        let func = func_of("f64[2, n]", lines);
        let chosen = choose(&func, &Sizes::nominal(), CostModel::FIXED);
        chosen.group(ValueId(8)).map(<[ValueId]>::to_vec)
    };
    assert_eq!(group(&rows), Some(vec![ValueId(4), ValueId(8)]));
    // Maps would only be copied once more.
    let maps = [
        "%4: f64[m] = exp %y",
        "%5: f64[m] = sqrt %y",
        "%6: f64[1, m] = reshape %4",
        "%7: f64[1, m] = reshape %5",
        "%8: f64[2, m] = concat %6, %7, axis 0",
        "return %8",
    ];
    let func = func_of("f64[2, m]", &maps);
    let chosen = choose(&func, &Sizes::nominal(), CostModel::FIXED);
    assert!((4..8).all(|v| !chosen.is_stored(ValueId(v))));
}

/// Users of a value stand before the last one of its group, whose kernel writes it.
#[test]
fn what_a_group_writes_is_read() {
    let lines = [
        "%4: f64[n, m] = exp %x",
        "%5: f64[m, n] = permute %4, [1, 0]",
        "%6: f64[m, n] = neg %5",
        "%7: f64[n, m] = expm1 %x",
        "%8: f64[n] = reduce max %7, [1]",
        "%9: f64[n, m] = scan sum %7, axis 1",
        "%10: f64[m, n] = scan sum %6, axis 1",
        "%11: f64[n, m] = permute %10, [1, 0]",
        "%12: f64[n, m] = add %9, %11",
        "%13: f64[n, m] = broadcast %8, [0]",
        "%14: f64[n, m] = add %12, %13",
        "return %14",
    ];
    let func = func_of("f64[n, m]", &lines);
    let mut fusion = Fusion { groups: vec![vec![ValueId(4), ValueId(7)]], ..nothing(&func) };
    fusion.stored[6] = false;
    let plan = crate::lower::lower_with(&func, &[], &fusion).unwrap();
    let writes = |item: &Item| item.step.kernels().flat_map(|k| plan.outs(k)).collect::<Vec<_>>();
    let items = &plan.block(plan.body).items;
    assert!(items.iter().any(|i| writes(i).len() == 2), "{plan}");
    assert!(items.iter().all(|i| writes(i).iter().all(|b| !i.frees.contains(b))), "{plan}");
}

/// One simple operation on a parameter is done where it is needed, in a loop too.
#[test]
fn what_is_as_good_as_a_parameter_needs_no_memory_for_a_loop() {
    let text = "func @f(%x: f64[n], %y: f64[n], %k: i64) -> f64[n] {
  %3: f64[n] = neg %y
  %4: f64[n] = mul %x, %3
  %5: i64 = const 0
  %6: (f64[n]) = for %5, %k, %4 (%7: i64, %8: f64[n]) {
    %9: f64[n] = mul %8, %3
    yield %9
  }
  %10: f64[n] = proj %6, 0
  return %10
}
";
    let func = parse(text).unwrap();
    assert!(!choose(&func, &Sizes::nominal(), CostModel::FIXED).is_stored(ValueId(3)));
    let dear = parse(&text.replace("neg", "exp")).unwrap();
    assert!(choose(&dear, &Sizes::nominal(), CostModel::FIXED).is_stored(ValueId(3)));
}

/// The cheapest of all sets of values in memory.
fn best(graph: &Graph<'_>) -> Total {
    let free: Vec<usize> =
        (0..graph.items.len()).filter(|i| graph.items[*i].computes() && !graph.items[*i].forced).collect();
    assert!(free.len() <= 12);
    let price = |set: usize| {
        let mut stored: Vec<bool> = graph.items.iter().map(|i| i.forced).collect();
        free.iter().enumerate().for_each(|(bit, v)| stored[*v] = set >> bit & 1 == 1);
        Sweep::at(graph, stored).total()
    };
    (0..1usize << free.len()).map(price).min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap()
}

#[test]
fn the_search_finds_what_all_choices_hold() {
    let shared: &[&str] = &[
        "%4: f64[n, m] = exp %x",
        "%5: f64[m, n] = permute %4, [1, 0]",
        "%6: f64[n] = reduce sum %4, [1]",
        "%7: f64[m] = reduce max %4, [0]",
        "%8: f64[n, m] = broadcast %6, [0]",
        "%9: f64[n, m] = div %4, %8",
        "%10: f64[m] = reduce sum %9, [0]",
        "%11: f64[m] = add %7, %10",
        "return %11",
    ];
    let outer: &[&str] = &[
        "%4: f64[m] = exp %y",
        "%5: f64[n, m] = broadcast %4, [1]",
        "%6: f64[n, m] = mul %x, %5",
        "%7: f64[n, m] = add %6, %x",
        "%8: f64[m] = reduce sum %7, [0]",
        "%9: f64[m] = div %8, %4",
        "return %9",
    ];
    for (result, lines) in [("f64[n, m]", SOFTMAX), ("f64[m]", shared), ("f64[m]", outer)] {
        let func = func_of(result, lines);
        for n in [1, 8, 64, 1024, 1 << 14] {
            let name = |name: &str| matex_ir::dim::Atom::Size(name.into());
            let sizes = Sizes::of([(name("n"), n), (name("m"), 256)]);
            let graph = Graph::new(&func, &sizes, CostModel::FIXED, &captured(&func));
            let found = Sweep::run(&graph, &sizes).0.total();
            assert_eq!((found.impossible, found.time), (0, best(&graph).time), "{n}: {lines:?}");
        }
    }
}

/// A random program of maps, broadcasts and reductions over `x: [n, m]` and `y: [m]`, with as many values to choose a place for as
/// all choices can be tried.
fn random(seed: u64) -> Func {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut lines, mut wide, mut rows, mut columns) =
        (Vec::new(), vec!["%x".to_owned()], vec![], vec!["%y".to_owned()]);
    let mut number = 4;
    let mut push = |text: String, lines: &mut Vec<String>| {
        lines.push(format!("%{number}: {text}"));
        number += 1;
        format!("%{}", number - 1)
    };
    for _ in 0..8 {
        let (a, b) = (wide[wide.len() - 1 - next(wide.len().min(3))].clone(), wide[next(wide.len())].clone());
        match next(6) {
            0 => wide.push(push(format!("f64[n, m] = exp {a}"), &mut lines)),
            1 | 2 => {
                let op = ["add", "mul", "div"][next(3)];
                wide.push(push(format!("f64[n, m] = {op} {a}, {b}"), &mut lines));
            }
            3 => rows.push(push(format!("f64[n] = reduce {} {a}, [1]", ["sum", "max"][next(2)]), &mut lines)),
            4 => columns.push(push(format!("f64[m] = reduce sum {a}, [0]"), &mut lines)),
            _ => {
                let (from, axis) = match rows.len() {
                    0 => (columns[next(columns.len())].clone(), 1),
                    n if next(2) == 0 => (rows[next(n)].clone(), 0),
                    _ => (columns[next(columns.len())].clone(), 1),
                };
                let spread = push(format!("f64[n, m] = broadcast {from}, [{axis}]"), &mut lines);
                wide.push(push(format!("f64[n, m] = sub {a}, {spread}"), &mut lines));
            }
        }
    }
    let last = format!("f64[m] = reduce sum {}, [0]", wide[wide.len() - 1]);
    let sum = push(last, &mut lines);
    let rest = push(format!("f64[m] = add {sum}, {}", columns[columns.len() - 1]), &mut lines);
    lines.push(format!("return {rest}"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    func_of("f64[m]", &lines)
}

/// How often the search misses the cheapest plan of small random programs, and by how much at most. It is a heuristic: more would
/// mean that it got worse.
#[test]
fn the_search_rarely_misses_the_cheapest_plan() {
    let (mut tried, mut missed, mut worst) = (0, 0, 1.0f64);
    for seed in 0..60 {
        let func = crate::canon::canonicalize(&random(seed));
        for n in [16, 4096] {
            let name = |name: &str| matex_ir::dim::Atom::Size(name.into());
            let sizes = Sizes::of([(name("n"), n), (name("m"), 256)]);
            let graph = Graph::new(&func, &sizes, CostModel::FIXED, &captured(&func));
            let found = Sweep::run(&graph, &sizes).0.total();
            let best = best(&graph);
            assert_eq!(found.impossible, best.impossible, "{func}");
            tried += 1;
            if found.time > best.time * 1.000_001 {
                missed += 1;
                worst = worst.max(found.time / best.time);
            }
        }
    }
    println!("{missed} of {tried}, by {worst:.3} at most");
    assert!(missed * 50 <= tried && worst < 1.1, "{missed} of {tried}, by {worst:.3} at most");
}
