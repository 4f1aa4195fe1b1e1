//! keepalived.conf: physical lines become statements (words up to a brace), with parameters, conditions, sequences
//! and includes already put in.
//!
//! Which braces open a block depends on the keyword before them, so the tree of blocks is made by the keyword
//! layer ([`walk`]); what is here is total and knows no keyword but `include`.
//!
//! Invariant: any bytes give a [`Tree`]; what is wrong with them is a [`Complaint`] at the statement where the
//! original would have said it. Absent on purpose: meaning of keywords, exit codes.

mod expand;
mod files;
pub mod globals;
mod lex;
mod number;
mod read;
mod remedy;
pub mod shared;
mod text;
pub mod walk;

#[cfg(test)]
mod tests;

pub use lex::command_words;
pub use number::boolean;
pub use read::{NoConfig, ReadOptions, parse, parse_bytes, present};

use crate::Word;
use diag::{FileId, SourceMap, Span};

/// How a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brace {
    /// At the end of its line.
    None,
    /// With `{`, which is its last word.
    Open,
    /// It is a `}`, its only word.
    Close,
}

/// What the reader itself has to say, in the original's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where; `None` for faults of the whole configuration.
    pub span: Option<Span>,
    /// The original's words.
    pub text: String,
    /// Said by the first pass only; the later passes read what the first one wrote down.
    pub first_pass: bool,
    /// Whether it makes `-t` end with 5; a missing optional include does not.
    pub counts: bool,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

/// Words up to a brace or the end of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The words, never empty; braces included.
    pub words: Vec<Word>,
    /// How it ends.
    pub brace: Brace,
    /// The text as it stands after substitution, for keywords that take a command line; without the brace.
    pub text: String,
    /// The words as the passes after the first see them, where that differs: those read a copy in which `\#` and
    /// `\!` already lost their backslash.
    pub later: Option<Vec<Word>>,
    /// The reader's complaints about the lines before and at this statement.
    pub complaints: Vec<Complaint>,
    /// From the first word to the last.
    pub span: Span,
}

/// A whole configuration, all files read.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The files, main file first.
    pub sources: SourceMap,
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// Complaints behind the last statement.
    pub complaints: Vec<Complaint>,
    /// Whether an include that must find its files did not (exit code 6).
    pub include_failed: bool,
    /// What is said about the name on the command line, before anything that stands in the file.
    pub lines: Vec<String>,
    /// That name stood for several files: it is a complaint, and each line is told with its file's name.
    pub several: bool,
}

impl Tree {
    /// The main file.
    pub fn main(&self) -> FileId {
        FileId(0)
    }

    /// What the surface syntax alone has to complain about, in order.
    pub fn complaints(&self) -> impl Iterator<Item = &Complaint> {
        self.statements.iter().flat_map(|s| &s.complaints).chain(&self.complaints)
    }

    /// The configuration as text that reads back to the same statements: one statement a line, indented by depth.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut depth = 0usize;
        for statement in &self.statements {
            if statement.brace == Brace::Close {
                depth = depth.saturating_sub(1);
            }
            out.push_str(&"    ".repeat(depth));
            out.push_str(&lex::print(statement));
            out.push('\n');
            if statement.brace == Brace::Open {
                depth += 1;
            }
        }
        out
    }
}
