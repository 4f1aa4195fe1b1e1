//! Conditions of `.if`, `.elif` and `-cc`.
//!
//! Invariant: pure; what the program is and what the environment holds comes from the caller.

use pest::Parser;
use std::cmp::Ordering;

mod grammar {
    #![expect(unreachable_pub, reason = "the derive makes its types public")]

    #[derive(pest_derive::Parser)]
    #[grammar = "haproxy/cc.pest"]
    pub struct Grammar;
}
use grammar::{Grammar, Rule};

/// What a program can say of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Version, such as `2.6.12`.
    pub version: String,
    /// Names for which `feature()` is true.
    pub features: Vec<String>,
    /// Names for which `enabled()` is true; `enabled()` knows all of [`ENABLE_NAMES`].
    pub enabled: Vec<String>,
    /// What `ssllib_name_startswith()` compares with.
    pub ssl_library: String,
    /// What `openssl_version_atleast()` compares with.
    pub ssl_version: String,
    /// What `awslc_api_atleast()` compares with.
    pub awslc_api: i64,
    /// `fips_mode()`.
    pub fips: bool,
}

/// Names that `enabled()` may ask for.
pub const ENABLE_NAMES: &[&str] = &[
    "POLL",
    "EPOLL",
    "KQUEUE",
    "EVPORTS",
    "SPLICE",
    "GETADDRINFO",
    "REUSEPORT",
    "FAST-FORWARD",
    "SERVER-SSL-VERIFY-NONE",
];

/// Why a condition can't be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondFault {
    /// haproxy's words.
    pub text: String,
    /// Byte of the expression, from 0.
    pub at: usize,
}

/// Deepest nesting of parentheses and `!`.
const DEPTH_MAX: usize = 100;

/// Decides a condition; the empty one is false.
pub fn evaluate(
    expression: &[u8],
    facts: &Facts,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, CondFault> {
    let text = String::from_utf8_lossy(expression);
    let tokens = tokens(&text);
    let mut eval = Evaluator { text: &text, tokens: &tokens, next: 0, facts, variable };
    if tokens.is_empty() {
        return Ok(false);
    }
    let truth = eval.or(0)?;
    match eval.tokens.get(eval.next) {
        None => Ok(truth),
        Some(extra) => {
            let found = eval.text[extra.at..].chars().next().unwrap_or(' ');
            let text = format!(
                "unexpected character '{found}' at the end of conditional expression '{}'",
                eval.text
            );
            Err(CondFault { text, at: extra.at })
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    And,
    Or,
    Not,
    Open,
    Close,
    Number(bool),
    Call { name: String, args: String, args_at: usize, closed: bool },
    Other,
}

struct Token {
    kind: Kind,
    at: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let Ok(pairs) = Grammar::parse(Rule::tokens, text) else { return Vec::new() };
    let mut out = Vec::new();
    for pair in pairs {
        let at = pair.as_span().start();
        let kind = match pair.as_rule() {
            Rule::and => Kind::And,
            Rule::or => Kind::Or,
            Rule::not => Kind::Not,
            Rule::open => Kind::Open,
            Rule::close => Kind::Close,
            Rule::number => Kind::Number(pair.as_str().bytes().any(|b| matches!(b, b'1'..=b'9'))),
            Rule::call => {
                let (mut name, mut args, mut args_at, mut closed) = (String::new(), String::new(), 0, false);
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::name => part.as_str().clone_into(&mut name),
                        Rule::args => {
                            part.as_str().clone_into(&mut args);
                            args_at = part.as_span().start();
                        }
                        Rule::end => closed = true,
                        _ => {}
                    }
                }
                Kind::Call { name, args, args_at, closed }
            }
            Rule::EOI => continue,
            _ => Kind::Other,
        };
        out.push(Token { kind, at });
    }
    out
}

struct Evaluator<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
    facts: &'a Facts,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Evaluator<'_> {
    fn is(&self, kind: &Kind) -> bool {
        self.tokens.get(self.next).is_some_and(|t| t.kind == *kind)
    }

    /// An operator without right side is reported at the operator, with what stands behind it.
    fn chain(
        &mut self,
        depth: usize,
        operator: &Kind,
        side: fn(&mut Self, usize) -> Result<bool, CondFault>,
    ) -> Result<Vec<bool>, CondFault> {
        let mut terms = vec![side(self, depth)?];
        while self.is(operator) {
            let at = self.tokens[self.next].at;
            self.next += 1;
            if self.next >= self.tokens.len() {
                return Err(self.unparsable(at));
            }
            terms.push(side(self, depth)?);
        }
        Ok(terms)
    }

    fn or(&mut self, depth: usize) -> Result<bool, CondFault> {
        Ok(self.chain(depth, &Kind::Or, Self::and)?.contains(&true))
    }

    fn and(&mut self, depth: usize) -> Result<bool, CondFault> {
        Ok(!self.chain(depth, &Kind::And, Self::term)?.contains(&false))
    }

    fn term(&mut self, depth: usize) -> Result<bool, CondFault> {
        let Some(token) = self.tokens.get(self.next) else { return Err(self.unparsable(self.text.len())) };
        let at = token.at;
        if depth > DEPTH_MAX {
            return Err(CondFault { text: "condition nested too deep".into(), at });
        }
        match &token.kind {
            Kind::Not => {
                self.next += 1;
                if self.next >= self.tokens.len() {
                    return Err(self.unparsable(at));
                }
                Ok(!self.term(depth + 1)?)
            }
            Kind::Open => {
                self.next += 1;
                let truth = self.or(depth + 1)?;
                if !self.is(&Kind::Close) {
                    let text = format!("expected ')' after conditional expression '{}'", &self.text[at..]);
                    return Err(CondFault { text, at });
                }
                self.next += 1;
                Ok(truth)
            }
            Kind::Number(truth) => {
                self.next += 1;
                Ok(*truth)
            }
            Kind::Call { name, args, args_at, closed } => {
                self.next += 1;
                self.call(name, args, *args_at, *closed, at)
            }
            _ => Err(self.unparsable(at)),
        }
    }

    fn unparsable(&self, at: usize) -> CondFault {
        CondFault { text: format!("unparsable conditional expression '{}'", &self.text[at..]), at }
    }

    fn call(
        &self,
        name: &str,
        args: &str,
        args_at: usize,
        closed: bool,
        at: usize,
    ) -> Result<bool, CondFault> {
        let Some((_, arity)) = PREDICATES.iter().find(|(n, _)| *n == name) else {
            return Err(self.unparsable(at));
        };
        let (list, ends) = if *arity == 0 && args.is_empty() { Default::default() } else { arguments(args) };
        let tail = |n: usize| format!("in argument {n} of predicate '{name}' used in conditional expression");
        if !closed {
            return Err(CondFault { text: format!("expected ')' {}", tail(1)), at: args_at + args.len() });
        }
        if list.len() > *arity {
            let extra = arity.checked_sub(1).map_or(0, |last| ends[last]);
            let shown = &self.text[args_at + extra..];
            return Err(CondFault {
                text: format!("expected ')' before '{shown}' {}", tail(1)),
                at: args_at + extra,
            });
        }
        if list.len() < *arity {
            let text = format!(
                "missing arguments (got {}/{arity}), type 'string' expected {}",
                list.len(),
                tail(list.len())
            );
            return Err(CondFault { text, at: args_at + args.len() });
        }
        self.predicate(name, &list).ok_or_else(|| self.unparsable(at))
    }

    fn predicate(&self, name: &str, args: &[String]) -> Option<bool> {
        let facts = self.facts;
        let first = args.first().map_or("", String::as_str);
        let second = args.get(1).map_or("", String::as_str);
        Some(match name {
            "defined" => (self.variable)(first).is_some(),
            // The empty name is found before any feature.
            "feature" => first.is_empty() || facts.features.iter().any(|f| f == first),
            "streq" => first == second,
            "strneq" => first != second,
            // haproxy takes the search for nothing as one that can't be read.
            "strstr" if second.is_empty() => return None,
            "strstr" => first.contains(second),
            "version_atleast" => compare_versions(&facts.version, first) != Ordering::Less,
            "version_before" => compare_versions(&facts.version, first) == Ordering::Less,
            "openssl_version_atleast" => compare_versions(&facts.ssl_version, first) != Ordering::Less,
            "openssl_version_before" => compare_versions(&facts.ssl_version, first) == Ordering::Less,
            "ssllib_name_startswith" => facts.ssl_library.starts_with(first),
            "awslc_api_atleast" => facts.awslc_api >= crate::value::lenient_int(first),
            "awslc_api_before" => facts.awslc_api < crate::value::lenient_int(first),
            "fips_mode" => facts.fips,
            "enabled" => {
                let known = ENABLE_NAMES.iter().any(|n| n.eq_ignore_ascii_case(first));
                return known.then(|| facts.enabled.iter().any(|n| n.eq_ignore_ascii_case(first)));
            }
            _ => return None,
        })
    }
}

/// Predicates and how many arguments each takes, in the manual's order.
pub const PREDICATES: &[(&str, usize)] = &[
    ("defined", 1),
    ("feature", 1),
    ("streq", 2),
    ("strneq", 2),
    ("strstr", 2),
    ("version_atleast", 1),
    ("version_before", 1),
    ("openssl_version_atleast", 1),
    ("openssl_version_before", 1),
    ("ssllib_name_startswith", 1),
    ("awslc_api_atleast", 1),
    ("awslc_api_before", 1),
    ("fips_mode", 0),
    ("enabled", 1),
];

/// Splits at commas outside quotes; gives each argument unquoted and where it ends.
fn arguments(text: &str) -> (Vec<String>, Vec<usize>) {
    if text.is_empty() {
        return (vec![String::new()], vec![0]);
    }
    let (mut list, mut ends, mut current, mut quote) = (Vec::new(), Vec::new(), String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            // A comma ends the argument all the same; letters keep their backslash.
            (None | Some('"'), '\\') => match text[at + 1..].chars().next() {
                Some(c @ ('\\' | '"' | '\'' | ' ')) => {
                    current.push(c);
                    chars.next();
                }
                _ => current.push('\\'),
            },
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => {
                list.push(std::mem::take(&mut current));
                ends.push(at);
            }
            (_, c) => current.push(c),
        }
    }
    list.push(current);
    ends.push(text.len());
    (list, ends)
}

/// Compares `3.5-dev3`, `v2.6.12-1` and the like: numbers by value, `-dev` before the release.
fn compare_versions(have: &str, want: &str) -> Ordering {
    version_parts(have).cmp(&version_parts(want))
}

/// Four numbers and a rank: major, minor, patch (dev counts as its own level below), commits.
fn version_parts(text: &str) -> [i64; 5] {
    let (numbers, suffix) = text.split_once('-').unwrap_or((text, ""));
    let mut parts = [0i64; 5];
    for (i, number) in numbers.split('.').take(3).enumerate() {
        parts[i + usize::from(i == 2)] = crate::value::lenient_int(number);
    }
    // `2.6-dev3` stands before `2.6.0`, whose rank is above every dev number.
    parts[2] = match suffix.strip_prefix("dev") {
        Some(dev) => crate::value::lenient_int(dev),
        None => i64::from(u16::MAX),
    };
    let commits = suffix.rsplit('-').next().unwrap_or_default();
    parts[4] = crate::value::strict_int(commits).unwrap_or(0);
    parts
}
