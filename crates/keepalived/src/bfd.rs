//! The BFD pass: `bfd_instance` is read and judged as the original does, nothing runs.

use conf_parsers::keepalived::Tree;
use conf_parsers::keepalived::walk::{Line, Row, Standing, Step, Stop, Takes, Walker, no_effect, not_yet};
use diag::Report;
use std::net::IpAddr;

const WHY: &str = "there is no BFD session; the instances that track it follow their other trackers";

/// The instance under way.
#[derive(Default)]
struct Bfd {
    name: String,
    names: Vec<String>,
    neighbour: Option<IpAddr>,
    /// The neighbour's address was wrong: that has been said.
    malformed: bool,
}

static BLOCKS: &[Row<Bfd>] = &[Row {
    name: "bfd_instance",
    form: "NAME {",
    standing: Standing::NotYet(WHY),
    takes: Takes::Block { open, rows: ROWS, close },
}];

static ROWS: &[Row<Bfd>] = &[
    not_yet("source_ip", "<IP ADDRESS>", WHY, source),
    not_yet("neighbor_ip", "<IP ADDRESS>", WHY, neighbour),
    not_yet("neighbour_ip", "IP", WHY, neighbour),
    not_yet("min_rx", "<DECIMAL>", WHY, needs_value),
    not_yet("min_tx", "<DECIMAL>", WHY, needs_value),
    not_yet("idle_tx", "<DECIMAL>", WHY, needs_value),
    not_yet("multiplier", "<INTEGER>", WHY, needs_value),
    not_yet("passive", "", WHY, |_, _| Ok(())),
    not_yet("ttl", "<INTEGER>", WHY, needs_value),
    not_yet("hoplimit", "<INTEGER>", WHY, needs_value),
    not_yet("max_hops", "<INTEGER>", WHY, needs_value),
    not_yet("multihop", "[<BOOL>]", WHY, |_, _| Ok(())),
    not_yet("weight", "<-253:253> [reverse]", WHY, needs_value),
    no_effect("vrrp", "", WHY, |_, _| Ok(())),
    no_effect("checker", "", WHY, |_, _| Ok(())),
];

fn open(b: &mut Bfd, line: &mut Line<'_>) -> Result<bool, Stop> {
    line.need(1)?.clone_into(&mut b.name);
    (b.neighbour, b.malformed) = (None, false);
    if b.names.contains(&b.name) {
        line.say(format!(
            "Configuration error: BFD instance {} already configured, skipping instance",
            b.name
        ));
        return Ok(false);
    }
    b.names.push(b.name.clone());
    Ok(true)
}

fn close(b: &mut Bfd, line: &mut Line<'_>) {
    if b.neighbour.is_none() && !b.malformed {
        line.say(format!(
            "Configuration error: BFD instance {} has no neighbor address set, disabling instance",
            b.name
        ));
    }
}

fn needs_value(_: &mut Bfd, line: &mut Line<'_>) -> Step {
    line.need(1).map(drop)
}

fn source(b: &mut Bfd, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if word.parse::<IpAddr>().is_err() {
        let name = &b.name;
        line.say(format!(
            "Configuration error: BFD instance {name} has malformed source address {word}, ignoring"
        ));
    }
    Ok(())
}

fn neighbour(b: &mut Bfd, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    b.neighbour = word.parse().ok();
    if b.neighbour.is_none() {
        b.malformed = true;
        let name = &b.name;
        line.say(format!(
            "Configuration error: BFD instance {name} has malformed neighbor address {word}, ignoring instance"
        ));
    }
    Ok(())
}

/// Reads the BFD part.
pub(crate) fn read(tree: &Tree) -> Report {
    Walker::new(tree, false).run(&mut Bfd::default(), BLOCKS)
}
