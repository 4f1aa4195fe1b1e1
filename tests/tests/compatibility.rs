//! docs/COMPATIBILITY.md says what the tables say that the daemons read files with, and the README how much that is.
//!
//! Invariant: the generated part has no word of its own about a keyword; it comes from the keyword's row.

use std::collections::BTreeMap;
use std::fmt::Write;

use conf_parsers::keepalived::{globals, walk::Row, walk::Standing, walk::Takes};
use holdfast_tests::workspace;

const MARKS: [&str; 2] = ["<!-- tables begin -->", "<!-- tables end -->"];

/// Around the README's short form.
const README_MARKS: [&str; 2] = ["<!-- counts begin -->", "<!-- counts end -->"];

/// What haproxy 2.6.12 lists with `-dKall`, by class, without lines that begin with `#`.
const HAPROXY_LISTS: [(&str, usize); 5] = [
    ("configuration keywords", 492),
    ("sample fetch functions", 453),
    ("sample converter functions", 135),
    ("ACL keywords", 77),
    ("CLI keywords", 130),
];

/// `block → (keyword, standing)`, in the order of the tables.
#[derive(Default)]
struct Blocks {
    order: Vec<String>,
    rows: BTreeMap<String, Vec<(&'static str, Standing)>>,
}

impl Blocks {
    fn add<C>(&mut self, block: &str, rows: &'static [Row<C>]) {
        for row in rows {
            match &row.takes {
                // Another daemon's keyword; its own table lists it.
                Takes::Elsewhere | Takes::Seen(_) => continue,
                Takes::Block { rows, .. } => self.add(&inner(block, row.name), rows),
                Takes::Items { .. } | Takes::Words(_) => {}
            }
            if !self.rows.contains_key(block) {
                self.order.push(block.to_owned());
            }
            let list = self.rows.entry(block.to_owned()).or_default();
            if !list.iter().any(|(name, _)| *name == row.name) {
                list.push((row.name, row.standing));
            }
        }
    }

    /// How many keywords work, have no effect here, and are not carried out yet.
    fn counts(&self) -> [usize; 3] {
        let all = self.rows.values().flatten();
        let count = |want: fn(&Standing) -> bool| all.clone().filter(|(_, s)| want(s)).count();
        [
            count(|s| matches!(s, Standing::Works)),
            count(|s| matches!(s, Standing::NoEffect(_))),
            count(|s| matches!(s, Standing::NotYet(_))),
        ]
    }

    fn print(&self, out: &mut String) {
        let [works, inert, later] = self.counts();
        let _ = writeln!(
            out,
            "{} keywords: {works} work, {inert} have no effect here, {later} are read but not carried out yet.\n",
            works + inert + later
        );
        for block in &self.order {
            let rows = &self.rows[block];
            let _ = writeln!(out, "**{block}**: {}\n", list(rows, |s| matches!(s, Standing::Works)));
            for (name, standing) in rows {
                match standing {
                    Standing::Works => {}
                    Standing::NoEffect(why) => {
                        let _ = writeln!(out, "- `{name}` has no effect here: {why}");
                    }
                    Standing::NotYet(what) => {
                        let _ = writeln!(out, "- `{name}` is not carried out yet: {what}");
                    }
                }
            }
            if rows.iter().any(|(_, s)| !matches!(s, Standing::Works)) {
                out.push('\n');
            }
        }
    }
}

fn inner(block: &str, name: &str) -> String {
    if block == "top level" { name.to_owned() } else { format!("{block} › {name}") }
}

fn list(rows: &[(&'static str, Standing)], want: fn(&Standing) -> bool) -> String {
    let names = rows.iter().filter(|(_, s)| want(s)).map(|(n, _)| format!("`{n}`"));
    names.collect::<Vec<_>>().join(" ")
}

fn names<'a>(out: &mut String, title: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = Vec::new();
    for name in names {
        if !name.is_empty() && !seen.contains(&name) {
            seen.push(name);
        }
    }
    let quoted: Vec<String> = seen.iter().map(|n| format!("`{n}`")).collect();
    let _ = writeln!(out, "**{title}** ({}): {}\n", seen.len(), quoted.join(" "));
}

fn keepalived() -> Blocks {
    let mut blocks = Blocks::default();
    blocks.add("top level", globals::TOP);
    blocks.add("top level", vrrpd::config::BLOCKS);
    blocks.add("top level", checkd::config::BLOCKS);
    blocks
}

/// The README's table: numbers only.
fn readme() -> String {
    let [works, inert, later] = keepalived().counts();
    let mut out = format!(
        "\n| keywords of keepalived.conf that are read | work | have no effect here | are not carried out yet |\n\
         |---|---|---|---|\n| {} | {works} | {inert} | {later} |\n\n\
         | haproxy.cfg: words of | HAProxy 2.6.12 lists (`-dKall`) | Holdfast lists the same |\n\
         |---|---|---|\n",
        works + inert + later
    );
    let text = std::fs::read_to_string(workspace().join("tests/deviations.toml")).expect("it can be read");
    let listed = holdfast_tests::oracle::reasons(&text, "keyword_dump");
    for (class, theirs) in HAPROXY_LISTS {
        let missing = listed.keys().filter(|case| case.starts_with(&format!("{class}: "))).count();
        let _ = writeln!(out, "| {class} | {theirs} | {} |", theirs.saturating_sub(missing));
    }
    out
}

fn tables() -> String {
    let mut out = String::from("\n## keepalived.conf\n\n");
    keepalived().print(&mut out);
    out.push_str(
        "## haproxy.cfg\n\nWhat the reader knows, in the order of its tables. A row that is known and refused (an action of a \
         feature that is not here) says so under `proxyd -c`.\n\n",
    );
    names(&mut out, "sections", proxyd::config::sections().into_iter());
    names(&mut out, "keywords of proxy sections", proxyd::config::proxy_keywords().into_iter());
    for (line, words) in proxyd::config::words() {
        names(&mut out, &format!("words of `{line}`"), words.into_iter());
    }
    out.push_str("Read and checked, but without effect here yet (`proxyd -c` says so at the word):\n\n");
    for row in proxyd::config::inert::INERT {
        let _ = writeln!(out, "- `{}`: {}", row.name(), row.reason);
    }
    out.push('\n');
    let idle = proxyd::config::idle_settings();
    names(&mut out, "settings of global that tune machinery which is not there", idle.into_iter());
    names(&mut out, "sample fetches", proxyd::fetch::FETCHES.iter().copied().flatten().map(|r| r.name));
    names(&mut out, "converters", proxyd::conv::CONVERTERS.iter().copied().flatten().map(|r| r.name));
    names(&mut out, "matching methods", proxyd::acl::matcher::MATCHERS.iter().map(|r| r.0));
    use proxyd::action::sets::Set;
    for (title, set) in [
        ("tcp-request connection, session", Set::Connection),
        ("tcp-request content", Set::RequestContent),
        ("tcp-response content", Set::ResponseContent),
        ("http-request", Set::Request),
        ("http-response", Set::Response),
        ("http-after-response", Set::AfterResponse),
    ] {
        names(&mut out, title, set.rows().map(|r| r.name));
    }
    names(&mut out, "log variables", proxyd::log::tag::LOG_TAGS.iter().map(|r| r.name));
    let works = proxyd::cli::all_commands().filter(|c| c.absent.is_none() && !c.usage.is_empty());
    names(&mut out, "commands of the statistics socket", works.map(|c| c.usage));
    let answered = proxyd::cli::all_commands().filter(|c| c.absent.is_some());
    names(&mut out, "commands that are answered with a reason, and do nothing", answered.map(|c| c.usage));
    out
}

#[test]
fn compatibility_is_what_the_tables_say() {
    is_generated("docs/COMPATIBILITY.md", MARKS, &tables());
}

#[test]
fn the_readme_counts_what_the_tables_have() {
    is_generated("README.md", README_MARKS, &readme());
}

/// Between its marks a file has these words; with `UPDATE` they are written there.
fn is_generated(file: &str, [begin, end]: [&str; 2], wanted: &str) {
    let path = workspace().join(file);
    let text = std::fs::read_to_string(&path).expect("the document can be read");
    let (before, rest) = text.split_once(begin).expect("the document marks the begin");
    let (have, after) = rest.split_once(end).expect("the document marks the end");
    if have == wanted {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).expect("it is written");
        return;
    }
    let difference = holdfast_tests::oracle::difference(have, wanted);
    panic!("{file} is not what the tables say; UPDATE=1 writes it anew (original = file):\n{difference}");
}
