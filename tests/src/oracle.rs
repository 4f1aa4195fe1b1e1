//! Comparison with the originals: both outputs are [`normalise`]d, what still differs must be listed with its
//! reason in `tests/deviations.toml`, and what is listed must still differ.
//!
//! Invariant: [`Suite::finish`] fails on a difference that is not listed and on a listed one that is gone, so
//! the list is exactly the truth.
//!
//! Absent on purpose: wildcards; one entry speaks of one case of one suite.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;

use crate::workspace;

/// How often running programs are compared before a difference counts.
pub const LOOKS: usize = 3;

/// One accepted difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    suite: String,
    case: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationFile {
    #[serde(default)]
    deviation: Vec<Deviation>,
}

/// The reasons by case, for one suite, from the text of a deviations file.
///
/// # Panics
/// When the text is no such file, lists a case twice, or gives no reason.
pub fn reasons(text: &str, suite: &str) -> BTreeMap<String, String> {
    let file: DeviationFile = toml::from_str(text).unwrap_or_else(|e| panic!("tests/deviations.toml: {e}"));
    let mut cases = BTreeMap::new();
    for entry in file.deviation {
        assert!(entry.reason.len() > 10, "tests/deviations.toml: {} {}: say why", entry.suite, entry.case);
        if entry.suite == suite {
            let twice = cases.insert(entry.case.clone(), entry.reason);
            assert!(twice.is_none(), "tests/deviations.toml: {suite} {} is listed twice", entry.case);
        }
    }
    cases
}

/// A set of comparisons under one name; each has a case name of its own.
#[derive(Debug)]
pub struct Suite {
    name: String,
    listed: BTreeMap<String, String>,
    seen: BTreeSet<String>,
    different: BTreeMap<String, String>,
}

impl Suite {
    /// A suite with the accepted differences that `tests/deviations.toml` lists for it.
    ///
    /// # Panics
    /// When that file can't be read, or holds an entry without a reason.
    pub fn new(name: &str) -> Self {
        let path = workspace().join("tests/deviations.toml");
        let text = std::fs::read_to_string(&path).expect("tests/deviations.toml can be read");
        Self::with_deviations(name, &text)
    }

    fn with_deviations(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            listed: reasons(text, name),
            seen: BTreeSet::new(),
            different: BTreeMap::new(),
        }
    }

    /// Compares what the original says with what ours says; both are taken as they are.
    pub fn case(&mut self, case: &str, original: &str, ours: &str) {
        self.seen.insert(case.to_owned());
        if original != ours {
            self.different.insert(case.to_owned(), difference(original, ours));
        }
    }

    /// Compares running programs: `look` makes the whole comparison once, and again while it finds faults, up to
    /// [`LOOKS`] times. What really differs differs every time; a race that a busy machine moved does not.
    ///
    /// # Panics
    /// As [`Suite::finish`]: on an unlisted difference in every look, and on a listed one in none.
    #[expect(clippy::print_stderr, reason = "the runner shows it beside the test's result")]
    pub fn live(name: &str, mut look: impl FnMut(&mut Self)) {
        let mut suite = Self::new(name);
        look(&mut suite);
        for _ in 1..LOOKS {
            let faults = suite.faults();
            if faults.is_empty() {
                break;
            }
            eprintln!("looking again:\n{}", faults.join("\n"));
            let mut again = Self { listed: suite.listed.clone(), ..Self::with_deviations(name, "") };
            look(&mut again);
            suite.settle(again);
        }
        suite.finish();
    }

    /// Takes what a further look saw: of the unlisted differences those of both stay, of the listed ones those of either.
    fn settle(&mut self, again: Self) {
        self.different.retain(|case, _| self.listed.contains_key(case) || again.different.contains_key(case));
        let listed = again.different.into_iter().filter(|(case, _)| self.listed.contains_key(case));
        self.different.extend(listed.collect::<Vec<_>>());
        self.seen.extend(again.seen);
    }

    /// How many cases have been compared and how many of them were equal.
    pub fn score(&self) -> (usize, usize) {
        (self.seen.len(), self.seen.len() - self.different.len())
    }

    /// Closes the suite.
    ///
    /// # Panics
    /// On a difference that is not listed, and on an entry whose case is equal or was not compared.
    pub fn finish(self) {
        let faults = self.faults();
        let (all, equal) = self.score();
        assert!(faults.is_empty(), "{equal} of {all} equal\n{}", faults.join("\n"));
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (case, difference) in &self.different {
            if !self.listed.contains_key(case) {
                faults.push(format!("{} {case} differs and is not listed:\n{difference}", self.name));
            }
        }
        for case in self.listed.keys().filter(|c| !self.different.contains_key(*c)) {
            let why = if self.seen.contains(case) { "no longer differs" } else { "names no case" };
            faults.push(format!("{} {case} is listed in tests/deviations.toml but {why}", self.name));
        }
        faults
    }
}

/// The lines in which two texts differ, as a short reader-friendly excerpt.
pub fn difference(original: &str, ours: &str) -> String {
    const LINES_MAX: usize = 12; // enough to see the kind of difference; the rest is in the texts themselves
    let (left, right): (Vec<&str>, Vec<&str>) = (original.lines().collect(), ours.lines().collect());
    let mut out = Vec::new();
    for i in 0..left.len().max(right.len()) {
        let (l, r) = (left.get(i), right.get(i));
        if l != r {
            out.push(format!("  original: {}\n  ours:     {}", l.unwrap_or(&"-"), r.unwrap_or(&"-")));
        }
        if out.len() == LINES_MAX {
            out.push("  …".to_owned());
            break;
        }
    }
    if out.is_empty() { "  they differ in line endings only".to_owned() } else { out.join("\n") }
}

/// What changes from run to run, and its stand-in. The order matters: dates before bare numbers.
const VARIABLE: [(&str, &str); 9] = [
    (r"(?m)^(\[[A-Z]+\] +)\(\d+\)", "$1(PID)"),
    (r"(?m)^(\[[A-Z]+\] +)\d+/\d+ \(\d+\)", "$1DATE (PID)"),
    (r"\b[Pp]id[:=] ?\d+", "pid=PID"),
    (r"\[\d+\]:", "[PID]:"),
    (r"\b\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(\.\d+)?", "DATE"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d( \d{4})?", "DATE"),
    (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\b", "DATE"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "DATE"),
    (r"\b(version|Keepalived|HAProxy version|Version) v?\d+\.\d+[.\d]*[-+~\w.]*", "$1 VERSION"),
];

/// Replaces process ids, dates and versions by fixed words.
///
/// # Panics
/// Never; the patterns are constants of this module.
pub fn normalise(text: &str) -> String {
    static RULES: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let compile = |(pattern, to)| (Regex::new(pattern).expect("the patterns above are valid"), to);
        VARIABLE.into_iter().map(compile).collect()
    });
    rules.iter().fold(text.to_owned(), |text, (rule, to)| rule.replace_all(&text, *to).into_owned())
}

/// Replaces each of `words` (ports, paths and names that this run chose) by `W1`, `W2` …
pub fn mask(text: &str, words: &[&str]) -> String {
    let replace = |text: String, (i, word): (usize, &&str)| text.replace(*word, &format!("W{}", i + 1));
    words.iter().enumerate().fold(text.to_owned(), replace)
}

/// Runs a program with standard input closed.
///
/// # Panics
/// When it can't be started.
pub fn run(program: &std::path::Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "[[deviation]]\nsuite = \"s\"\ncase = \"a\"\nreason = \"ours tells the column too\"\n";

    #[test]
    fn a_listed_difference_is_accepted() {
        let mut suite = Suite::with_deviations("s", LIST);
        suite.case("a", "one", "two");
        suite.case("b", "same", "same");
        assert_eq!(suite.score(), (2, 1));
        suite.finish();
    }

    #[test]
    #[should_panic(expected = "no longer differs")]
    fn a_listed_difference_that_is_gone_fails() {
        let mut suite = Suite::with_deviations("s", LIST);
        suite.case("a", "one", "one");
        suite.finish();
    }

    #[test]
    #[should_panic(expected = "names no case")]
    fn an_entry_without_case_fails() {
        Suite::with_deviations("s", LIST).finish();
    }

    #[test]
    #[should_panic(expected = "is not listed")]
    fn an_unlisted_difference_fails() {
        let mut suite = Suite::with_deviations("other", LIST);
        suite.case("a", "one", "two");
        suite.finish();
    }

    #[test]
    fn a_difference_of_one_look_only_is_a_race() {
        let mut suite = Suite::with_deviations("s", LIST);
        suite.case("a", "one", "one");
        suite.case("b", "now", "then");
        let mut again = Suite::with_deviations("s", LIST);
        again.case("a", "one", "two");
        again.case("b", "same", "same");
        suite.settle(again);
        suite.finish();
    }

    #[test]
    #[should_panic(expected = "c differs and is not listed")]
    fn a_difference_of_every_look_stands() {
        let mut suite = Suite::with_deviations("s", "");
        suite.case("c", "one", "two");
        let mut again = Suite::with_deviations("s", "");
        again.case("c", "one", "three");
        suite.settle(again);
        suite.finish();
    }

    #[test]
    #[should_panic(expected = "say why")]
    fn an_entry_without_reason_fails() {
        Suite::with_deviations("s", &LIST.replace("ours tells the column too", ""));
    }

    #[test]
    fn what_changes_from_run_to_run_is_masked() {
        let alert = "[ALERT]    (4711) : config : parsing [f:8] : unknown keyword 'x'";
        assert_eq!(normalise(alert), "[ALERT]    (PID) : config : parsing [f:8] : unknown keyword 'x'");
        assert_eq!(
            normalise("Starting Keepalived v2.2.7 (01/16,2022)"),
            "Starting Keepalived VERSION (01/16,2022)"
        );
        assert_eq!(normalise("Nov 21 03:42:13 lb haproxy[77]: up"), "DATE lb haproxy[PID]: up");
        assert_eq!(normalise("[21/Nov/2026:03:42:13.123] fe"), "[DATE] fe");
        assert_eq!(mask("127.0.0.1:4711 /x/y", &["4711", "/x"]), "127.0.0.1:W1 W2/y");
    }
}
