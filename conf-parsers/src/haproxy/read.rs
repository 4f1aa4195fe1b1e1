//! Files to sections: line by line, with `.if` decided on the way.

use super::{Section, cc, words};
use crate::{Line, Word};
use diag::{Diagnostic, FileId, Lead, Report, Severity, SourceMap, Span};

/// Deepest nesting of `.if`.
const NESTING_MAX: usize = 1024;

/// What reading needs to know from the daemon.
pub trait Host {
    /// Whether a line that starts with `word` opens a section.
    fn opens_section(&self, word: &str) -> bool;
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// What `.if` and `-cc` ask about.
    fn facts(&self) -> &cc::Facts;
    /// Told of every line of a section, so that `setenv` works on the lines behind it.
    fn line(&mut self, section: &Line, line: &Line) {
        let _ = (section, line);
    }
}

/// All sections of all files, in order.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The sections.
    pub sections: Vec<Section>,
}

/// Reads files that are already in `sources`.
pub fn parse(sources: &SourceMap, files: &[FileId], host: &mut dyn Host) -> (Tree, Report) {
    let mut reader = Reader { host, tree: Tree::default(), report: Report::new() };
    for file in files {
        reader.file(sources, *file);
    }
    (reader.tree, reader.report)
}

struct Reader<'h> {
    host: &'h mut dyn Host,
    tree: Tree,
    report: Report,
}

/// Where a `.if` block stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    /// This branch counts.
    Taken,
    /// An earlier branch counted.
    Over,
    /// None counted yet.
    Waiting,
    /// The whole block lies in one that does not count.
    Dead,
}

struct Block {
    branch: Branch,
    had_else: bool,
}

/// State of one file.
struct FileState {
    blocks: Vec<Block>,
    open: bool,
}

impl FileState {
    fn counts(&self) -> bool {
        self.blocks.iter().all(|b| b.branch == Branch::Taken)
    }
}

impl Reader<'_> {
    fn file(&mut self, sources: &SourceMap, file: FileId) {
        let text = sources.file(file).text.as_slice();
        let mut state = FileState { blocks: Vec::new(), open: false };
        let mut start = 0;
        let mut last = Span::new(file, 0, 0);
        while start < text.len() {
            let found = text[start..].iter().position(|b| *b == b'\n');
            let end = found.map_or(text.len(), |n| start + n);
            let (line, stray) = match text[start..end].iter().position(|b| *b == 0) {
                Some(nul) => (&text[start..start + nul], Some(nul)),
                None => (&text[start..end], None),
            };
            last = Span::new(file, start, end);
            let go_on = self.line(line, file, start, &mut state);
            if found.is_none() || stray.is_some() {
                self.truncated(last, stray.unwrap_or(end - start));
                if stray.is_some() {
                    return;
                }
            }
            if !go_on {
                self.unterminated(last);
                return;
            }
            start = end + 1;
        }
        if !state.blocks.is_empty() {
            self.unterminated(last);
        }
    }

    fn truncated(&mut self, span: Span, length: usize) {
        let text =
            format!("Missing LF on last line, file might have been truncated at position {}.", length + 1);
        let help = "end the last line with a line feed; a cut-off file often lacks it";
        self.report.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Tight).help(help));
    }

    fn unterminated(&mut self, span: Span) {
        self.tight(span, "non-terminated '.if' block.");
    }

    fn tight(&mut self, span: Span, text: impl Into<String>) {
        self.report.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Tight));
    }

    /// Reads one line; false where the rest of the file can't be understood.
    fn line(&mut self, line: &[u8], file: FileId, offset: usize, state: &mut FileState) -> bool {
        let Some(first) = line.iter().position(|b| !matches!(b, b' ' | b'\t' | 0x0b | 0x0c)) else {
            return true;
        };
        if matches!(line[first], b'#' | b'\r') {
            return true;
        }
        if line[first] == b'.'
            && let Some(rest) = condition_start(&line[first..])
        {
            return self.if_or_elif(line, first, rest, file, offset, state);
        }
        let whole = Span::new(file, offset + first, offset + line.len());
        let host = &*self.host;
        let mut words = match words::split(line, file, offset, &|n| host.variable(n)) {
            Ok(words) => words,
            Err(fault) => {
                self.word_fault(line, file, offset, &fault);
                return true;
            }
        };
        let Some(word) = words.first() else { return true };
        if word.text.starts_with('.') && !word.quoted {
            return self.directive(&words, whole, state);
        }
        if !state.counts() || word.bytes().is_empty() {
            return true;
        }
        self.too_many(&mut words);
        self.add(words, state);
        true
    }

    /// haproxy names the last word it keeps, and its place among the words after quotes and blanks were taken off.
    fn too_many(&mut self, words: &mut Vec<Word>) {
        if words.len() <= words::WORDS_MAX {
            return;
        }
        let span = words[words::WORDS_MAX].span;
        words.truncate(words::WORDS_MAX);
        let last = words[words::WORDS_MAX - 1].text.clone();
        let before: usize = words[..words::WORDS_MAX - 1].iter().map(|w| w.bytes().len() + 1).sum();
        let max = words::WORDS_MAX;
        let text = format!("too many words, truncating after word {max}, position {}: <{last}>.", before + 1);
        self.tight(span, text);
    }

    fn add(&mut self, words: Vec<Word>, state: &mut FileState) {
        let span = words[0].span.to(words[words.len() - 1].span);
        let line = Line { words, span };
        if self.host.opens_section(line.keyword()) {
            state.open = true;
            self.tree.sections.push(Section { header: line, lines: Vec::new() });
            return;
        }
        match self.tree.sections.last_mut().filter(|_| state.open) {
            Some(section) => {
                self.host.line(&section.header, &line);
                section.lines.push(line);
            }
            None => {
                let text = format!("unknown keyword '{}' out of section.", line.keyword());
                self.tight(line.words[0].span, text);
            }
        }
    }

    fn word_fault(&mut self, line: &[u8], file: FileId, offset: usize, fault: &words::WordFault) {
        let (shown, caret) = excerpt(line, fault.at);
        let text = format!("{} at position {}:\n  {shown}\n  {:caret$}^", fault.text, fault.at + 1, "");
        let at = offset + fault.at;
        let diagnostic = Diagnostic::at(Severity::Alert, Span::new(file, at, at + 1), text);
        self.report.push(diagnostic.lead(Lead::Tight));
    }

    /// `.if` and `.elif`: the rest of the line is one expression.
    fn if_or_elif(
        &mut self,
        line: &[u8],
        first: usize,
        rest: (bool, usize),
        file: FileId,
        offset: usize,
        state: &mut FileState,
    ) -> bool {
        let (elif, after) = rest;
        let from = first + after;
        let span = Span::new(file, offset + first, offset + line.len());
        let host = &*self.host;
        let mut text = Vec::new();
        match words::split_one(&line[from..], file, offset + from, &|n| host.variable(n)) {
            Ok(bytes) => text.extend(bytes),
            Err(mut fault) => {
                fault.at += from;
                self.word_fault(line, file, offset, &fault);
                return true;
            }
        }
        let word = if elif { ".elif" } else { ".if" };
        if !self.may_branch(elif, span, state) {
            return false;
        }
        let open = match state.blocks.last() {
            Some(b) if elif => b.branch == Branch::Waiting,
            _ => state.counts(),
        };
        let truth = open && {
            match cc::evaluate(&text, self.host.facts(), &|n| self.host.variable(n)) {
                Ok(truth) => truth,
                Err(fault) => {
                    self.condition_fault(word, &text, &fault, span);
                    return true_after_fault(elif, state);
                }
            }
        };
        branch(elif, truth, state);
        true
    }

    fn may_branch(&mut self, elif: bool, span: Span, state: &FileState) -> bool {
        if !elif {
            if state.blocks.len() >= NESTING_MAX {
                self.tight(span, "too many nested '.if'.");
                return false;
            }
            return true;
        }
        match state.blocks.last() {
            None => {
                self.tight(span, "lone '.elif' with no matching '.if'.");
                false
            }
            Some(b) if b.had_else => {
                self.tight(span, "'.elif' after '.else' is not permitted.");
                false
            }
            Some(_) => true,
        }
    }

    fn condition_fault(&mut self, word: &str, text: &[u8], fault: &cc::CondFault, span: Span) {
        let mut shown = word.as_bytes().to_vec();
        shown.push(b' ');
        let lead = shown.len();
        shown.extend(text);
        let (shown, caret) = excerpt(&shown, lead + fault.at);
        let text =
            format!("{} in '{word}' at position {}:\n  {shown}\n  {:caret$}^", fault.text, fault.at + 1, "");
        self.tight(span, text);
    }

    /// All other words that start with a dot.
    fn directive(&mut self, words: &[Word], span: Span, state: &mut FileState) -> bool {
        let name = words[0].text.as_str();
        match name {
            ".else" | ".endif" => self.else_or_endif(name, words, span, state),
            ".notice" | ".warning" | ".alert" | ".diag" => {
                if state.counts() {
                    self.announce(name, words, span);
                }
                true
            }
            _ if state.counts() => {
                self.tight(span, format!("unknown directive '{name}'."));
                true
            }
            _ => true,
        }
    }

    fn else_or_endif(&mut self, name: &str, words: &[Word], span: Span, state: &mut FileState) -> bool {
        if let Some(extra) = words.get(1) {
            self.tight(extra.span, format!("Unexpected argument '{}' for '{name}'.", extra.text));
            return true;
        }
        let Some(block) = state.blocks.last_mut() else {
            self.tight(span, format!("lone '{name}' with no matching '.if'."));
            return true;
        };
        if name == ".endif" {
            state.blocks.pop();
            return true;
        }
        if block.had_else {
            self.tight(span, "'.else' after '.else' is not permitted.");
            return true;
        }
        block.had_else = true;
        block.branch = match block.branch {
            Branch::Taken => Branch::Over,
            Branch::Waiting => Branch::Taken,
            other => other,
        };
        true
    }

    fn announce(&mut self, name: &str, words: &[Word], span: Span) {
        if let Some(extra) = words.get(2) {
            let text = format!(
                "Unexpected argument '{}' for '{name}'. Use quotes if the message should contain spaces.",
                extra.text
            );
            self.tight(extra.span, text);
            return;
        }
        let severity = match name {
            ".notice" => Severity::Notice,
            ".warning" => Severity::Warning,
            ".diag" => Severity::Diag,
            _ => Severity::Alert,
        };
        let text = format!("'{}'.", words.get(1).map_or("", |w| w.text.as_str()));
        self.report.push(Diagnostic::at(severity, span, text).lead(Lead::Tight));
    }
}

/// Whether the line starts with `.if` or `.elif` (true), and where its expression starts.
fn condition_start(line: &[u8]) -> Option<(bool, usize)> {
    let (elif, length) = if line.starts_with(b".elif") {
        (true, 5)
    } else if line.starts_with(b".if") {
        (false, 3)
    } else {
        return None;
    };
    let blanks = line[length..].iter().take_while(|b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c)).count();
    let at = length + blanks;
    (blanks > 0 || at == line.len() || line[at] == b'\r').then_some((elif, at))
}

fn branch(elif: bool, truth: bool, state: &mut FileState) {
    let alive = state.counts();
    match state.blocks.last_mut() {
        Some(block) if elif => {
            block.branch = match block.branch {
                Branch::Taken => Branch::Over,
                Branch::Waiting if truth => Branch::Taken,
                other => other,
            };
        }
        _ => {
            let branch = match (alive, truth) {
                (false, _) => Branch::Dead,
                (true, true) => Branch::Taken,
                (true, false) => Branch::Waiting,
            };
            state.blocks.push(Block { branch, had_else: false });
        }
    }
}

/// A condition that can't be read counts as false, so that the block still nests.
fn true_after_fault(elif: bool, state: &mut FileState) -> bool {
    branch(elif, false, state);
    true
}

/// Widest line shown under a message.
const EXCERPT_WIDTH: usize = 80;

/// The part of a line around `at` that fits a terminal, printable, and the column of `at` in it.
fn excerpt(line: &[u8], at: usize) -> (String, usize) {
    let shift = at.saturating_sub(EXCERPT_WIDTH / 2);
    let show = |b: &u8| match b {
        b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => ' ',
        0x20..=0x7e => char::from(*b),
        _ => '?',
    };
    let mut shown: String = line.iter().skip(shift).take(EXCERPT_WIDTH).map(show).collect();
    if shift > 0 {
        shown.replace_range(..shown.len().min(3), "...");
    }
    if line.len() > shift + EXCERPT_WIDTH {
        shown.truncate(EXCERPT_WIDTH - 3);
        shown.push_str("...");
    }
    (shown, at - shift)
}
