//! Syntax of sample expressions, ACL conditions and log formats: the trees, and reading of expressions.
//!
//! Invariant: spans count from the span that the caller gives for the text; quoting around the text is not undone
//! in them, so they can be off by the quotes.

use diag::{FileId, Span};
use pest::Parser;
use pest::iterators::Pair;

mod grammar {
    #![expect(unreachable_pub, reason = "the derive makes its types public")]

    #[derive(pest_derive::Parser)]
    #[grammar = "haproxy/expr.pest"]
    pub struct Grammar;
}
use grammar::Rule;
pub(super) use grammar::{Grammar, Rule as FormatRule};

/// One argument between parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The text, unquoted.
    pub text: String,
    /// Where it stands, as well as that can be told through quoting.
    pub span: Span,
}

/// A name with optional arguments: `hdr(host,1)`; `args` is `None` without parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The fetch's or converter's name.
    pub name: String,
    /// The arguments between the parentheses.
    pub args: Option<Vec<Arg>>,
    /// Name and arguments.
    pub span: Span,
}

/// `fetch(args),conv(args),conv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleExpr {
    /// The fetch.
    pub fetch: Call,
    /// The converters, in order.
    pub converters: Vec<Call>,
    /// All of it.
    pub span: Span,
}

/// One term of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whether `!` stands before it.
    pub negated: bool,
    /// A named ACL, or the words of an anonymous one between braces.
    pub acl: AclRef,
}

/// What a term refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclRef {
    /// A name.
    Named(crate::Word),
    /// The words between `{` and `}`.
    Anonymous(Vec<crate::Word>),
}

/// `if a b || !c`: a disjunction of conjunctions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether the word was `unless`.
    pub unless: bool,
    /// The alternatives; each is a list of terms that must all hold.
    pub any: Vec<Vec<Term>>,
    /// From `if` to the last word.
    pub span: Span,
}

/// One piece of a log-format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatItem {
    /// Literal bytes.
    Text(String),
    /// `%{flags}tag` or `%(name:type){flags}tag`.
    Tag {
        /// The tag, such as `ci`.
        tag: String,
        /// Flags between braces, such as `+Q`.
        flags: String,
        /// The item's name and type between parentheses.
        name: Option<String>,
        /// Where it stands.
        span: Span,
    },
    /// `%[expr]` with the same decorations.
    Expr {
        /// The expression.
        expr: SampleExpr,
        /// Flags between braces.
        flags: String,
        /// The item's name and type between parentheses.
        name: Option<String>,
    },
}

/// An expression that is the whole text.
pub fn expression(text: &str) -> Result<SampleExpr, String> {
    let (tree, used) = prefix(text)?;
    if used < text.len() {
        return Err(match tree.converters.last() {
            None => format!("missing comma after fetch keyword '{}'", tree.fetch.name),
            Some(last) => format!("missing comma after converter '{}'", last.name),
        });
    }
    Ok(tree)
}

/// An expression at the start of the text, and how many bytes it took.
pub fn prefix(text: &str) -> Result<(SampleExpr, usize), String> {
    prefix_at(text, Span::new(FileId(0), 0, text.len()))
}

/// Like [`prefix`], with spans that count from the start of `origin`.
pub fn prefix_at(text: &str, origin: Span) -> Result<(SampleExpr, usize), String> {
    let pairs = Grammar::parse(Rule::expression, text).map_err(|_| "missing fetch method".to_owned())?;
    let mut calls = Vec::new();
    let mut end = 0;
    for pair in pairs.filter(|p| p.as_rule() == Rule::call) {
        end = pair.as_span().end();
        let first = calls.is_empty();
        calls.push(call(pair, first, origin)?);
    }
    let mut calls = calls.into_iter();
    let fetch = calls.next().filter(|c| !c.name.is_empty()).ok_or("missing fetch method")?;
    let span = Span { start: origin.start, end: origin.start + end as u32, ..origin };
    Ok((SampleExpr { fetch, converters: calls.collect(), span }, end))
}

fn sub_span(pair: &Pair<'_, Rule>, origin: Span) -> Span {
    let (from, to) = (pair.as_span().start() as u32, pair.as_span().end() as u32);
    Span { start: origin.start.saturating_add(from), end: origin.start.saturating_add(to), ..origin }
}

fn call(pair: Pair<'_, Rule>, fetch: bool, origin: Span) -> Result<Call, String> {
    let span = sub_span(&pair, origin);
    let mut name = String::new();
    let mut args = None;
    for part in pair.into_inner() {
        if part.as_rule() == Rule::name {
            part.as_str().clone_into(&mut name);
            continue;
        }
        let mut list = Vec::new();
        let mut closed = false;
        for item in part.into_inner() {
            match item.as_rule() {
                Rule::arg => list.push(arg(item, origin)),
                _ => closed = true,
            }
        }
        if !closed {
            let who = if fetch {
                format!("fetch method '{name}'")
            } else {
                format!("invalid arg {} in converter '{name}'", list.len() + 1)
            };
            return Err(format!("{who} : expected ')'"));
        }
        args = Some(list);
    }
    Ok(Call { name, args, span })
}

fn arg(pair: Pair<'_, Rule>, origin: Span) -> Arg {
    let span = sub_span(&pair, origin);
    let mut text = String::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::escape => unescape(part.as_str(), "\\\"' ", &mut text),
            Rule::weak => {
                for piece in part.into_inner() {
                    match piece.as_rule() {
                        Rule::escape => unescape(piece.as_str(), "\\\"", &mut text),
                        Rule::weak_text => text.push_str(piece.as_str()),
                        _ => {}
                    }
                }
            }
            Rule::strong => {
                part.into_inner()
                    .filter(|p| p.as_rule() == Rule::strong_text)
                    .for_each(|p| text.push_str(p.as_str()));
            }
            _ => text.push_str(part.as_str()),
        }
    }
    Arg { text, span }
}

/// Takes the backslash off before one of `known`, and leaves it before others.
fn unescape(escape: &str, known: &str, out: &mut String) {
    match escape[1..].chars().next() {
        Some(c) if known.contains(c) => out.push(c),
        _ => out.push_str(escape),
    }
}
