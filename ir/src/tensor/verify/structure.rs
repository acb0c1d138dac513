//! Where values stand: every one in one place, every region under one node, every use behind its definition.

use super::Verifier;
use crate::tensor::interp::MAX_DEPTH;
use crate::tensor::{Func, Kind, RegionId, ValueId};

/// Where a value is defined: the region, and the place in it, with 0 for its parameters.
#[derive(Clone, Copy)]
struct Site {
    region: usize,
    place: usize,
}

struct Places {
    sites: Vec<Option<Site>>,
    /// For each region the site of the node that it belongs to.
    owners: Vec<Option<ValueId>>,
}

impl Verifier<'_> {
    pub(super) fn structure(&mut self) {
        if !self.ensure(!self.func.regions.is_empty(), "there is no body") {
            return;
        }
        let places = Places { sites: self.sites(), owners: self.owners() };
        self.depths(&places);
        self.at = None;
        for (r, region) in self.func.regions.iter().enumerate() {
            for v in &region.nodes {
                let Some(node) = self.func.nodes.get(v.0 as usize) else { continue };
                self.at = Some(*v);
                for arg in &node.args {
                    let here = places.sites[v.0 as usize].filter(|s| s.region == r);
                    self.use_of(&places, *arg, r, here.map_or(usize::MAX, |s| s.place));
                }
            }
            self.at = None;
            for v in &region.results {
                self.use_of(&places, *v, r, usize::MAX);
            }
        }
    }

    fn sites(&mut self) -> Vec<Option<Site>> {
        let mut sites: Vec<Option<Site>> = vec![None; self.func.nodes.len()];
        for (r, region) in self.func.regions.iter().enumerate() {
            let params = region.params.iter().map(|v| (*v, 0));
            let nodes = region.nodes.iter().enumerate().map(|(i, v)| (*v, i + 1));
            for (v, place) in params.chain(nodes) {
                self.at = Some(v);
                let Some(site) = sites.get_mut(v.0 as usize) else {
                    self.report(format!("stands in region {r}, but there is no such value"));
                    continue;
                };
                let twice = site.replace(Site { region: r, place }).is_some();
                self.ensure(!twice, "is defined twice");
                let kind = &self.func.nodes[v.0 as usize].kind;
                let is_param = matches!(kind, Kind::Param(_) | Kind::RegionParam);
                self.ensure(
                    is_param == (place == 0),
                    "stands among nodes as a parameter, or the other way round",
                );
                let of_body = matches!(kind, Kind::Param(_)) == (r == 0);
                self.ensure(!is_param || of_body, "is a parameter of the wrong kind of region");
            }
        }
        for (i, site) in sites.iter().enumerate() {
            self.at = Some(ValueId(i as u32));
            self.ensure(site.is_some(), "stands in no region");
        }
        sites
    }

    fn owners(&mut self) -> Vec<Option<ValueId>> {
        let mut owners = vec![None; self.func.regions.len()];
        for (i, node) in self.func.nodes.iter().enumerate() {
            self.at = Some(ValueId(i as u32));
            for RegionId(r) in node.kind.regions() {
                match owners.get_mut(r as usize) {
                    None => self.report(format!("has region {r}, but there is no such region")),
                    Some(_) if r == Func::BODY.0 => self.report("has the body as a region"),
                    Some(slot) => {
                        let twice = slot.replace(ValueId(i as u32)).is_some();
                        self.ensure(!twice, format!("has region {r}, which belongs to another place too"));
                    }
                }
            }
        }
        self.at = None;
        for (r, owner) in owners.iter().enumerate().skip(1) {
            self.ensure(owner.is_some(), format!("region {r} belongs to no node"));
        }
        owners
    }

    /// Checks that every region that belongs to a node lies within the body, not too deep.
    fn depths(&mut self, places: &Places) {
        for (r, owner) in places.owners.iter().enumerate() {
            let (mut at, mut depth) = (r, 0);
            self.at = *owner;
            while let Some(outer) = places.outer(at) {
                at = outer.region;
                depth += 1;
                if depth > MAX_DEPTH {
                    self.report(format!("region {r} is nested deeper than {MAX_DEPTH}, or within itself"));
                    break;
                }
            }
            let reached = at == 0 || depth > MAX_DEPTH || owner.is_none();
            self.ensure(reached, format!("region {r} does not lie within the body"));
        }
    }

    fn use_of(&mut self, places: &Places, v: ValueId, region: usize, place: usize) {
        let Some(site) = places.sites.get(v.0 as usize) else {
            self.report(format!("uses value {}, but there is no such value", v.0));
            return;
        };
        let Some(site) = site else {
            self.report(format!("uses value {}, which stands in no region", v.0));
            return;
        };
        let (mut region, mut place) = (region, place);
        for _ in 0..=MAX_DEPTH {
            if region == site.region {
                self.ensure(site.place < place, format!("uses value {} before its definition", v.0));
                return;
            }
            match places.outer(region) {
                Some(outer) => (region, place) = (outer.region, outer.place),
                None => break,
            }
        }
        self.report(format!("uses value {} outside of its region", v.0));
    }
}

impl Places {
    /// The site of the node that a region belongs to.
    fn outer(&self, region: usize) -> Option<Site> {
        self.sites[self.owners[region]?.0 as usize]
    }
}
