//! Syntax of sample expressions, ACL conditions and log formats.

use diag::Span;

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
