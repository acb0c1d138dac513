//! Dead code elimination, and dense numbers in the order of execution.

use matex_ir::tensor::{Func, Kind, Region, RegionId, ValueId};

/// The function without what its results do not need.
pub(super) fn sweep(func: &Func) -> Func {
    let needed = needed(func);
    let mut out = Func {
        name: func.name.clone(),
        params: func.params.clone(),
        nodes: Vec::new(),
        regions: Vec::new(),
        result_names: func.result_names.clone(),
        guards: func.guards.clone(),
    };
    let order = order(func, &needed);
    let mut values: Vec<Option<ValueId>> = vec![None; func.nodes.len()];
    let mut regions: Vec<Option<RegionId>> = vec![None; func.regions.len()];
    for item in &order {
        match item {
            Item::Region(r) => {
                regions[r.0 as usize] = Some(RegionId(out.regions.len() as u32));
                out.regions.push(Region::default());
            }
            Item::Value(v) => {
                if let Some(node) = func.nodes.get(v.0 as usize) {
                    values[v.0 as usize] = Some(ValueId(out.nodes.len() as u32));
                    out.nodes.push(node.clone());
                }
            }
        }
    }
    let value = |v: &ValueId| values.get(v.0 as usize).copied().flatten().unwrap_or(*v);
    let region = |r: &mut RegionId| *r = regions.get(r.0 as usize).copied().flatten().unwrap_or(*r);
    for node in &mut out.nodes {
        node.args.iter_mut().for_each(|a| *a = value(a));
        if let Kind::For(body) = &mut node.kind {
            region(body);
        } else if let Kind::While(a, b) | Kind::If(a, b) = &mut node.kind {
            region(a);
            region(b);
        }
    }
    for (old, new) in func.regions.iter().zip(&regions) {
        if let Some(new) = new {
            let known = |v: &&ValueId| values.get(v.0 as usize).is_some_and(Option::is_some);
            out.regions[new.0 as usize] = Region {
                params: old.params.iter().map(value).collect(),
                nodes: old.nodes.iter().filter(known).map(value).collect(),
                results: old.results.iter().map(value).collect(),
            };
        }
    }
    out
}

/// Which values the results need, those inside of needed loops and branches included.
fn needed(func: &Func) -> Vec<bool> {
    let mut needed = vec![false; func.nodes.len()];
    let mut work: Vec<ValueId> = func.results().to_vec();
    while let Some(v) = work.pop() {
        let Some(mark @ false) = needed.get_mut(v.0 as usize) else { continue };
        *mark = true;
        let node = func.node(v);
        work.extend(&node.args);
        for region in node.kind.regions() {
            if let Some(region) = func.regions.get(region.0 as usize) {
                work.extend(&region.results);
            }
        }
    }
    needed
}

enum Item {
    Region(RegionId),
    Value(ValueId),
}

/// Regions and values in the order in which they get their numbers: a region's parameters, then its nodes, and the
/// regions of a node before what follows it.
fn order(func: &Func, needed: &[bool]) -> Vec<Item> {
    let mut out = Vec::new();
    let mut entered = vec![false; func.regions.len()];
    let mut stack: Vec<(RegionId, usize)> = Vec::new();
    let mut enter = |r: RegionId, out: &mut Vec<Item>, stack: &mut Vec<(RegionId, usize)>| {
        if let Some(mark @ false) = entered.get_mut(r.0 as usize) {
            *mark = true;
            stack.push((r, 0));
            out.push(Item::Region(r));
            out.extend(func.region(r).params.iter().map(|v| Item::Value(*v)));
        }
    };
    enter(Func::BODY, &mut out, &mut stack);
    while let Some((region, next)) = stack.last_mut() {
        let Some(v) = func.region(*region).nodes.get(*next).copied() else {
            stack.pop();
            continue;
        };
        *next += 1;
        if needed.get(v.0 as usize).copied().unwrap_or(false) {
            out.push(Item::Value(v));
            // The first region has to be on top of the stack, and is numbered first only when it is entered first.
            let regions = func.node(v).kind.regions();
            let at = stack.len();
            for r in regions {
                enter(r, &mut out, &mut stack);
            }
            stack[at..].reverse();
        }
    }
    out
}
