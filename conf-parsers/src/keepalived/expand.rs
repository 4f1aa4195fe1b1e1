//! What the reader answers by itself before keywords are looked at: `@id` conditions, `$NAME=` definitions,
//! `~SEQ()` and `~LST()`, references to parameters, and the form of `include`.
//!
//! Invariant: expansion ends. Every way to multiply text has a bound, and a line that reaches it is left
//! out with a complaint.

use super::lex::{Rule, pairs, uncomment};
use super::read::Continuation;
use super::remedy;
use super::text::Text;
use diag::Span;
use pest::iterators::Pair;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Substitutions in one resulting line: more than any sane line holds, few enough to end at once.
const SUBSTITUTIONS_MAX: usize = 256;
/// Bytes looked through for references in a configuration: 100 blocks of 100 lines with ten references each take a
/// tenth of it.
const WORK_MAX: usize = 256 << 20;
/// What one round of a sequence or list counts for in [`WORK_MAX`], beside its text: the manual's largest example has
/// 65,024 rounds, a quarter of what fits.
const ROUND_WORK: usize = 1024;
/// Bytes of one line after substitution; the original's buffer holds a good thousand.
const TEXT_MAX: usize = 4096;
/// Lines that one physical line may become, over all sequences and multi-line parameters in it: as many rounds as
/// [`WORK_MAX`] leaves.
const LINES_MAX: usize = WORK_MAX / ROUND_WORK;
/// Depth to which lines that come out of parameters may bring further lines.
const DEPTH_MAX: usize = 12;
/// Bounds of `${_RANDOM}` without arguments.
const RANDOM_MAX: u64 = 32_767;

/// Definitions and what lines become by them.
pub(super) struct Expander {
    config_id: String,
    parameters: HashMap<String, Vec<String>>,
    random: u64,
    /// What was spent of [`WORK_MAX`].
    work: usize,
}

/// A complaint: where, in which words, and its remedy.
pub(super) type Fault = (Span, String, &'static str);

/// One physical line on its way.
struct Run<'a> {
    pwd: &'a str,
    texts: Vec<Text>,
    faults: Vec<Fault>,
    substitutions: usize,
    work: usize,
    /// Multi-line parameters whose lines are under way: one that names itself has no end.
    open: Vec<String>,
}

impl Run<'_> {
    /// Told once for a line: what multiplies would be told as often.
    fn too_many(&mut self, span: Span) {
        let fault = (span, "Too many substitutions - ignoring".to_owned(), remedy::ENDLESS);
        if self.faults.last() != Some(&fault) {
            self.faults.push(fault);
        }
    }
}

impl Expander {
    pub(super) fn new(config_id: &str) -> Self {
        Self {
            config_id: config_id.to_owned(),
            parameters: HashMap::new(),
            random: RandomState::new().build_hasher().finish() | 1,
            work: 0,
        }
    }

    /// The lines that `text` becomes, and the original's complaints about it.
    pub(super) fn line(
        &mut self,
        text: Text,
        pwd: &str,
        more: &mut Continuation<'_, '_>,
    ) -> (Vec<Text>, Vec<Fault>) {
        let work = self.work;
        let mut run =
            Run { pwd, texts: Vec::new(), faults: Vec::new(), substitutions: 0, work, open: Vec::new() };
        self.process(text, true, 0, &mut run, Some(more));
        self.work = run.work;
        (run.texts, run.faults)
    }

    fn process(
        &mut self,
        text: Text,
        may_define: bool,
        depth: usize,
        run: &mut Run<'_>,
        more: Option<&mut Continuation<'_, '_>>,
    ) {
        // What stands in the file itself is always read.
        if depth > 0 && (run.texts.len() >= LINES_MAX || depth > DEPTH_MAX || run.work > WORK_MAX) {
            return run.too_many(text.span(0, text.s.len()));
        }
        let Some(text) = self.condition(text) else { return };
        if may_define && self.definition(&text, more) {
            return;
        }
        if text.s.starts_with('~') && self.repetition(&text, depth, run) {
            return;
        }
        let before = run.substitutions;
        let Some(mut text) = self.substitute(text, depth, run) else { return };
        if run.substitutions != before {
            // What was put in may hold a comment or a condition.
            (text, _) = uncomment(&text);
            let Some(kept) = self.condition(text) else { return };
            text = kept;
        }
        if !text.s.is_empty() {
            run.texts.push(text);
        }
    }

    /// The line without its `@id`; `None` when the condition does not hold.
    fn condition(&self, text: Text) -> Option<Text> {
        if !text.s.starts_with('@') {
            return Some(text);
        }
        let condition = pairs(Rule::directive, &text.s).next()?;
        let mut negated = false;
        let mut id = String::new();
        let mut rest = text.s.len();
        for pair in condition.into_inner() {
            match pair.as_rule() {
                Rule::not => negated = true,
                Rule::id => pair.as_str().clone_into(&mut id),
                Rule::rest => rest = pair.as_span().start(),
                _ => {}
            }
        }
        // An id may be missing; it is no configuration's then. (`@!id` is a comment behind `@`.)
        if (id == self.config_id) == negated {
            return None;
        }
        Some(super::lex::trimmed(&text.part(rest, text.s.len())))
    }

    /// Takes a definition in; false when the line is none.
    fn definition(&mut self, text: &Text, more: Option<&mut Continuation<'_, '_>>) -> bool {
        if !text.s.starts_with('$') {
            return false;
        }
        let Some(found) = pairs(Rule::directive, &text.s).next().filter(|p| p.as_rule() == Rule::definition)
        else {
            return false;
        };
        let mut inner = found.into_inner();
        let name = inner.next().map_or("", |p| p.as_str()).to_owned();
        let mut value = inner.next().map_or("", |p| p.as_str()).trim().to_owned();
        let mut lines = Vec::new();
        if let Some(more) = more {
            while let Some(first) = value.strip_suffix('\\') {
                lines.push(first.trim().to_owned());
                match more.next() {
                    Some(next) => next.s.trim().clone_into(&mut value),
                    None => value = String::new(),
                }
                if lines.len() >= LINES_MAX {
                    break;
                }
            }
        }
        lines.push(value);
        self.parameters.insert(name, lines);
        true
    }

    /// `~SEQ` and `~LST`; false when the line is neither.
    fn repetition(&mut self, text: &Text, depth: usize, run: &mut Run<'_>) -> bool {
        let kind = match &text.s {
            s if s.starts_with("~SEQ") => "~SEQ",
            s if s.starts_with("~LST") => "~LST",
            _ => return false,
        };
        let text = &self.with_bounds(text, depth, run);
        let span = text.span(0, text.s.len());
        let rounds = match pairs(Rule::directive, &text.s).next() {
            Some(p) if p.as_rule() == Rule::sequence => sequence(p),
            Some(p) if p.as_rule() == Rule::list => list(p),
            _ if !text.s.contains(')') && kind == "~SEQ" => Err("~SEQ parameter strings too long"),
            _ if text.s.starts_with("~SEQ(") || text.s.starts_with("~SEQx(") => Err(SEQ_DEFINITION),
            _ => Err(""),
        };
        let rounds = match rounds {
            Ok(rounds) => rounds,
            Err(fault) => {
                let shown = super::text::restore(&text.s).0;
                let faults = [fault.to_owned(), format!("Invalid {kind} specification")];
                let told = faults.into_iter().filter(|f| !f.is_empty());
                let remedy = if kind == "~SEQ" { remedy::SEQUENCE } else { remedy::LIST };
                run.faults.extend(told.map(|f| (span, format!("{f} '{shown}'"), remedy)));
                return true;
            }
        };
        run.work += rounds.values.len();
        let body = text.part(rounds.rest, text.s.len());
        let saved: Vec<_> = rounds.names.iter().map(|n| self.parameters.get(n).cloned()).collect();
        for values in rounds.values {
            // Rounds inside of rounds multiply, also those that leave no line.
            run.work += body.s.len() + ROUND_WORK;
            if run.texts.len() >= LINES_MAX || run.work > WORK_MAX {
                run.too_many(span);
                break;
            }
            for (i, name) in rounds.names.iter().enumerate() {
                let value = values.get(i).cloned().unwrap_or_default();
                self.parameters.insert(name.clone(), vec![value]);
            }
            self.process(body.clone(), false, depth + 1, run, None);
        }
        for (name, old) in rounds.names.iter().zip(saved) {
            match old {
                Some(lines) => self.parameters.insert(name.clone(), lines),
                None => self.parameters.remove(name),
            };
        }
        true
    }

    /// The line with parameters put into the parentheses, where sequences may take their bounds from.
    fn with_bounds(&mut self, text: &Text, depth: usize, run: &mut Run<'_>) -> Text {
        let Some(end) = text.s.find(')').filter(|end| text.s[..*end].contains('$')) else {
            return text.clone();
        };
        let Some(mut head) = self.substitute(text.part(0, end), depth, run) else { return text.clone() };
        head.append(text, end, text.s.len());
        head
    }

    /// Puts parameters in until none is left. A multi-line one ends the text: its lines are processed one by
    /// one and `None` is returned.
    fn substitute(&mut self, mut text: Text, depth: usize, run: &mut Run<'_>) -> Option<Text> {
        let mut from = 0;
        let start_count = run.substitutions;
        while let Some(reference) = self.find(&text, from, run.pwd) {
            run.substitutions += 1;
            run.work += text.s.len();
            if run.substitutions - start_count > SUBSTITUTIONS_MAX
                || run.work > WORK_MAX
                || text.s.len() > TEXT_MAX
                || run.open.contains(&reference.name)
            {
                let span = text.span(0, text.s.len());
                run.too_many(span);
                return None;
            }
            let (start, end) = (reference.start, reference.end);
            let last = reference.lines.len() - 1;
            let mut next = text.empty();
            next.append(&text, 0, start);
            next.substitute(&reference.lines[0], &text, start, end);
            if last == 0 {
                next.append(&text, end, text.s.len());
                // A value may hold references of its own; what stands before it was looked at already.
                from = if reference.literal { start + reference.lines[0].len() } else { start };
                text = next;
                continue;
            }
            run.open.push(reference.name);
            for (i, line) in reference.lines.iter().enumerate() {
                let mut next = if i == 0 { next.clone() } else { text.empty() };
                if i > 0 {
                    next.substitute(line, &text, start, end);
                }
                if i == last {
                    next.append(&text, end, text.s.len());
                }
                let next = super::lex::trimmed(&next);
                if !next.s.is_empty() {
                    self.process(next, i > 0, depth + 1, run, None);
                }
            }
            run.open.pop();
            return None;
        }
        Some(text)
    }

    /// The first reference at or behind `from` that stands for something.
    fn find(&mut self, text: &Text, from: usize, pwd: &str) -> Option<Reference> {
        let mut at = from;
        loop {
            at += text.s.get(at..)?.find('$')?;
            let start = at;
            at += 1;
            let Some(pair) = pairs(Rule::reference, &text.s[start..]).next() else { continue };
            let (end, rule) = (start + pair.as_span().end(), pair.as_rule());
            if rule == Rule::dollar {
                continue;
            }
            let mut inner = pair.into_inner();
            let name = inner.next().map_or("", |p| p.as_str());
            let args: Vec<&str> = inner.map(|p| p.as_str()).collect();
            if rule == Rule::braced
                && let Some(value) = self.built_in(name, &args, pwd)
            {
                return Some(Reference {
                    name: name.to_owned(),
                    start,
                    end,
                    lines: vec![value],
                    literal: true,
                });
            }
            // Several lines stand only for what ends the line.
            let fits = |lines: &&Vec<String>| lines.len() == 1 || text.s[end..].trim_ascii_end().is_empty();
            if let Some(lines) = self.parameters.get(name).filter(|_| args.is_empty()).filter(fits) {
                return Some(Reference {
                    name: name.to_owned(),
                    start,
                    end,
                    lines: lines.clone(),
                    literal: false,
                });
            }
        }
    }

    fn built_in(&mut self, name: &str, args: &[&str], pwd: &str) -> Option<String> {
        match (name, args) {
            ("_PWD", []) => Some(pwd.to_owned()),
            ("_INSTANCE", []) => Some(self.config_id.clone()),
            ("_HASH", []) => Some("#".to_owned()),
            ("_BANG", []) => Some("!".to_owned()),
            ("_ENV", [name]) => Some(std::env::var(name).unwrap_or_default()),
            ("_RANDOM", [] | [_] | [_, _]) => {
                let min = args.first().map_or(Some(0), |a| a.parse::<u64>().ok())?;
                let max = args.get(1).map_or(Some(RANDOM_MAX.max(min)), |a| a.parse::<u64>().ok())?;
                // xorshift: the values need to differ between hosts, not to be secret.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let count = max.checked_sub(min)?.saturating_add(1);
                Some((min + self.random % count).to_string())
            }
            _ => None,
        }
    }
}

struct Reference {
    name: String,
    start: usize,
    end: usize,
    lines: Vec<String>,
    literal: bool,
}

struct Rounds {
    names: Vec<String>,
    values: Vec<Vec<String>>,
    rest: usize,
}

/// What is said of a sequence that can't be read at all.
const SEQ_DEFINITION: &str = "Invalid ~SEQ definition";

/// `~SEQ(V, end)`, `(V, start, end)` or `(V, start, step, end)`; the error is the original's text about it.
fn sequence(pair: Pair<'_, Rule>) -> Result<Rounds, &'static str> {
    let mut rounds = Rounds { names: Vec::new(), values: Vec::new(), rest: 0 };
    let mut hexadecimal = false;
    let mut numbers = Vec::new();
    for p in pair.into_inner() {
        match p.as_rule() {
            Rule::hexadecimal => hexadecimal = true,
            Rule::variable => rounds.names.push(p.as_str().to_owned()),
            Rule::number => numbers.push(number(p.as_str()).ok_or(SEQ_DEFINITION)?),
            Rule::rest => rounds.rest = p.as_span().start(),
            _ => {}
        }
    }
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match numbers[..] {
        [end] if end < 0 => (-1, -1, end),
        [end] => (1, towards(1, end), end),
        [start, end] => (start, towards(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return Err(SEQ_DEFINITION),
    };
    if step == 0 || (step > 0) != (start <= end) && start != end {
        return Err("Invalid ~SEQ values");
    }
    if hexadecimal && (start < 0 || end < 0) {
        return Err("~SEQx is only valid for positive numbers");
    }
    let mut at = start;
    while (step > 0 && at <= end || step < 0 && at >= end) && rounds.values.len() < LINES_MAX {
        rounds.values.push(vec![if hexadecimal { format!("{at:x}") } else { at.to_string() }]);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(rounds)
}

/// A number as C writes it: decimal, `0x…`, or octal behind a zero; nothing is zero.
fn number(s: &str) -> Option<i64> {
    let (sign, digits) = match s.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, s.strip_prefix('+').unwrap_or(s)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match hex {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.is_empty() => 0,
        None if digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * value)
}

/// `~LST(V, a, b)` or `~LST({A,B}, {1,2}, {3})`: a value that is missing is empty.
fn list(pair: Pair<'_, Rule>) -> Result<Rounds, &'static str> {
    let mut rounds = Rounds { names: Vec::new(), values: Vec::new(), rest: 0 };
    let words =
        |p: Pair<'_, Rule>| -> Vec<String> { p.into_inner().map(|p| p.as_str().to_owned()).collect() };
    for p in pair.into_inner() {
        match p.as_rule() {
            Rule::variable | Rule::unnamed => rounds.names.push(p.as_str().to_owned()),
            Rule::variables => rounds.names = words(p),
            Rule::value => rounds.values.push(vec![p.as_str().to_owned()]),
            Rule::values => rounds.values.push(words(p)),
            Rule::rest => rounds.rest = p.as_span().start(),
            _ => {}
        }
    }
    if rounds.values.iter().any(|v| v.len() > rounds.names.len()) {
        return Err("~LST specification has too many values");
    }
    Ok(rounds)
}

/// The strictness letter and the pattern of an include line.
pub(super) fn include(text: &Text) -> Option<(String, String)> {
    if !text.s.starts_with("include") {
        return None;
    }
    let found = pairs(Rule::directive, &text.s).next().filter(|p| p.as_rule() == Rule::include)?;
    let mut inner = found.into_inner();
    let strictness = inner.next()?.as_str().to_owned();
    let pattern = inner.next()?.as_str().trim().to_owned();
    (!pattern.is_empty()).then_some((strictness, pattern))
}

/// The patterns that csh braces stand for: `{a,b}c` is `ac` and `bc`.
pub(super) fn braces(pattern: &str) -> Vec<String> {
    /// Brace groups multiply; a pattern that stands for more names than this is taken literally from there on.
    const PATTERNS_MAX: usize = 1024;
    let mut out = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let Some(close) = matching(&rest[open..]).map(|i| open + i) else { break };
        let choices = alternatives(&rest[open + 1..close]);
        if out.len() * choices.len() > PATTERNS_MAX {
            break;
        }
        let inner: Vec<String> = choices.into_iter().flat_map(braces).collect();
        out = out
            .iter()
            .flat_map(|head| inner.iter().map(move |i| format!("{head}{}{i}", &rest[..open])))
            .collect();
        rest = &rest[close + 1..];
    }
    out.into_iter().map(|head| head + rest).collect()
}

/// Where the brace that opens `s` closes.
fn matching(s: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in s.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn alternatives(s: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0usize, 0, Vec::new());
    for (i, c) in s.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&s[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&s[start..]);
    out
}
