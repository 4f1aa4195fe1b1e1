//! Walks the statements with a table of keywords. Which braces open a block is decided here, by the keyword before
//! them, exactly as the original does it: behind an unknown keyword a `{` is ignored and what it holds is read at
//! the outer level.
//!
//! Invariant: each pass (core, checker, VRRP, BFD) walks the same statements with its own table. The first pass's
//! table ([`globals::TOP`]) has all names of the top level, so that no pass takes another's keyword for unknown.

use super::{Brace, Complaint, Statement, Tree, globals, remedy};
use crate::Word;
use crate::table::Named;
use diag::{Diagnostic, Report, Severity, Span};

/// Reading can't go on: the original ends with exit code 2 where a keyword's parameter is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// What a keyword's function returns.
pub type Step = Result<(), Stop>;

/// How far a keyword is carried here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what the manual says.
    Works,
    /// It is read and has no effect here, for this reason; `-t` says so.
    NoEffect(&'static str),
    /// It is read but what it asks for is not there yet; `-t` says so.
    NotYet(&'static str),
}

/// One keyword.
pub struct Row<C: 'static> {
    /// The word.
    pub name: &'static str,
    /// Its arguments, as a manual writes them.
    pub form: &'static str,
    /// How far it is carried.
    pub standing: Standing,
    /// What follows it.
    pub takes: Takes<C>,
}

impl<C> Named for Row<C> {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// A function that reads a line into the configuration under way.
pub type Read<C> = fn(&mut C, &mut Line<'_>) -> Step;

/// What follows a keyword.
pub enum Takes<C: 'static> {
    /// Words on its line.
    Words(Read<C>),
    /// A block with one item a line: the opening line, each item, the end.
    Items {
        /// Reads the opening line.
        open: Read<C>,
        /// Reads one item.
        item: Read<C>,
        /// Is told of the end.
        close: fn(&mut C, &mut Line<'_>),
    },
    /// A block of keywords.
    Block {
        /// Reads the opening line; false skips the block.
        open: fn(&mut C, &mut Line<'_>) -> Result<bool, Stop>,
        /// The keywords inside.
        rows: &'static [Row<C>],
        /// Is told of the end; the line is the opening one, its place that of the `}`.
        close: fn(&mut C, &mut Line<'_>),
    },
    /// Words or a block that another pass reads.
    Elsewhere,
    /// The same, but this pass wants to know that there is one.
    Seen(fn(&mut C)),
}

/// A keyword that works and takes words.
pub const fn words<C>(name: &'static str, form: &'static str, read: Read<C>) -> Row<C> {
    Row { name, form, standing: Standing::Works, takes: Takes::Words(read) }
}

/// A keyword that is taken without effect.
pub const fn no_effect<C>(
    name: &'static str,
    form: &'static str,
    why: &'static str,
    read: Read<C>,
) -> Row<C> {
    Row { name, form, standing: Standing::NoEffect(why), takes: Takes::Words(read) }
}

/// A keyword that is taken although its behaviour is still to come.
pub const fn not_yet<C>(name: &'static str, form: &'static str, what: &'static str, read: Read<C>) -> Row<C> {
    Row { name, form, standing: Standing::NotYet(what), takes: Takes::Words(read) }
}

/// A block with one item a line.
pub const fn items<C>(name: &'static str, form: &'static str, item: Read<C>) -> Row<C> {
    let takes = Takes::Items { open: no_extra, item, close: nothing };
    Row { name, form, standing: Standing::Works, takes }
}

/// A block with one item a line that is taken without effect.
pub const fn no_effect_items<C>(
    name: &'static str,
    form: &'static str,
    why: &'static str,
    item: Read<C>,
) -> Row<C> {
    Row { standing: Standing::NoEffect(why), ..items(name, form, item) }
}

/// A block with one item a line that is taken although its behaviour is still to come.
pub const fn not_yet_items<C>(
    name: &'static str,
    form: &'static str,
    what: &'static str,
    item: Read<C>,
) -> Row<C> {
    Row { standing: Standing::NotYet(what), ..items(name, form, item) }
}

/// A block of keywords.
pub const fn block<C>(
    name: &'static str,
    form: &'static str,
    open: fn(&mut C, &mut Line<'_>) -> Result<bool, Stop>,
    rows: &'static [Row<C>],
    close: fn(&mut C, &mut Line<'_>),
) -> Row<C> {
    Row { name, form, standing: Standing::Works, takes: Takes::Block { open, rows, close } }
}

/// A keyword of another pass.
pub const fn elsewhere<C>(name: &'static str) -> Row<C> {
    Row { name, form: "", standing: Standing::Works, takes: Takes::Elsewhere }
}

/// Takes a line without looking at it.
pub fn ignore<C>(_: &mut C, _: &mut Line<'_>) -> Step {
    Ok(())
}

/// The end of a block that needs nothing done.
pub fn nothing<C>(_: &mut C, _: &mut Line<'_>) {}

/// The opening line of a block that takes no parameters.
pub fn no_extra<C>(_: &mut C, line: &mut Line<'_>) -> Step {
    if let Some(extra) = line.get(1).map(str::to_owned) {
        let text = format!("Block {} has extra parameters {extra} ...", line.keyword());
        line.say(text);
    }
    Ok(())
}

/// One line on its way to a keyword's function, and the report to complain to.
pub struct Line<'a> {
    /// The words without the brace.
    pub words: &'a [Word],
    /// The line's text behind its keyword is cut from here.
    text: &'a str,
    /// What the keyword's row says of its words.
    form: &'static str,
    span: Span,
    report: &'a mut Report,
}

impl<'a> Line<'a> {
    fn new(statement: &'a Statement, words: &'a [Word], form: &'static str, report: &'a mut Report) -> Self {
        Self { words, text: &statement.text, form, span: statement.span, report }
    }

    /// A complaint about this line: the caret below the word it names, the keyword's form as the remedy.
    fn complaint(&self, severity: Severity, text: String) -> Diagnostic {
        let mut complaint = Diagnostic::at(severity, remedy::place(self.words, self.span, &text), text);
        complaint.help = remedy::form(self.keyword(), self.form);
        complaint
    }

    /// The first word.
    pub fn keyword(&self) -> &'a str {
        self.words.first().map_or("", |w| w.text.as_str())
    }

    /// The word at `i`; 0 is the keyword.
    pub fn get(&self, i: usize) -> Option<&'a str> {
        self.words.get(i).map(|w| w.text.as_str())
    }

    /// The number of words, keyword included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word at all.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The word at `i`, which the keyword can't do without.
    ///
    /// # Errors
    /// It is missing; the complaint was made.
    pub fn need(&mut self, i: usize) -> Result<&'a str, Stop> {
        if let Some(word) = self.get(i) {
            return Ok(word);
        }
        let before = i
            .checked_sub(1)
            .and_then(|i| self.get(i))
            .map_or(String::new(), |w| format!(" after keyword `{w}`"));
        let text = format!(
            "*** Configuration line starting `{}` is missing a parameter{before} at word position {}",
            self.keyword(),
            i + 1
        );
        let complaint = self.complaint(Severity::Fatal, text);
        self.report.push(complaint);
        Err(Stop)
    }

    /// Complains about this line.
    pub fn say(&mut self, text: impl Into<String>) {
        let complaint = self.complaint(Severity::Warning, text.into());
        self.report.push(complaint);
    }

    /// Complains about this line and says what to write instead.
    pub fn say_remedy(&mut self, text: impl Into<String>, remedy: impl Into<String>) {
        let complaint = self.complaint(Severity::Warning, text.into()).help(remedy);
        self.report.push(complaint);
    }

    /// Complains about this line so that the configuration can't be used (exit code 4).
    pub fn say_fatal(&mut self, text: impl Into<String>) {
        let complaint = self.complaint(Severity::Alert, text.into());
        self.report.push(complaint);
    }

    /// Complains without a place.
    pub fn say_global(&mut self, text: impl Into<String>) {
        self.report.push(Diagnostic::global(Severity::Warning, text));
    }

    /// Tells something that is no complaint.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.report.push(Diagnostic::at(Severity::Notice, self.span, text));
    }

    /// Tells that a word of this line is taken and not carried out, as [`Standing`] does for keywords.
    pub fn inert(&mut self, text: impl Into<String>) {
        self.report.push(Diagnostic::at(Severity::Diag, self.span, text));
    }

    /// Where the line stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The line as a command line: the words behind the keyword with quotes and escapes resolved as scripts need
    /// it. The first word is itself a command line.
    pub fn command(&mut self) -> Vec<String> {
        let behind = self.text.strip_prefix(self.keyword()).unwrap_or(self.text);
        let (words, fault) = super::command_words(behind);
        if let Some(fault) = fault {
            self.command_fault(&fault, behind);
        }
        words
    }

    fn command_fault(&mut self, fault: &super::lex::CommandFault, text: &str) {
        let text = match fault {
            super::lex::CommandFault::Quote(c) => {
                format!("String '{}': missing terminating {c}", text.trim())
            }
            super::lex::CommandFault::Escape => format!("Missing escape char at end: '{}'", text.trim()),
        };
        self.say(text);
    }

    /// The report that complaints go to.
    pub fn report(&mut self) -> &mut Report {
        self.report
    }
}

/// Walks the statements of a tree with one pass's table.
pub struct Walker<'t> {
    tree: &'t Tree,
    next: usize,
    first: bool,
    report: Report,
    /// Where the statement taken last stands: complaints at the end of a block are made there.
    last: Span,
}

impl<'t> Walker<'t> {
    /// A walker for the first pass (`first`) or a later one.
    pub fn new(tree: &'t Tree, first: bool) -> Self {
        Self { tree, next: 0, first, report: Report::new(), last: Span::new(tree.main(), 0, 0) }
    }

    /// Walks all statements. The report holds what was wrong, in order; after a [`Stop`] it ends with the fatal
    /// diagnostic.
    pub fn run<C>(mut self, config: &mut C, rows: &'static [Row<C>]) -> Report {
        if self.level(config, rows, 0).is_ok() {
            let tree = self.tree;
            self.complain(&tree.complaints);
        }
        self.report
    }

    fn complain(&mut self, complaints: &[Complaint]) {
        for complaint in complaints.iter().filter(|c| self.first || !c.first_pass) {
            let severity = if complaint.counts { Severity::Warning } else { Severity::Notice };
            let (span, text) = (complaint.span, complaint.text.clone());
            let help = complaint.remedy.map(str::to_owned);
            self.report.push(Diagnostic { severity, span, text, help, lead: diag::Lead::default() });
        }
    }

    /// The next statement that has words in this pass.
    fn take(&mut self) -> Option<(&'t Statement, &'t [Word])> {
        loop {
            let statement = self.tree.statements.get(self.next)?;
            self.next += 1;
            self.complain(&statement.complaints);
            self.last = statement.span;
            let words = self.words_of(statement);
            if !words.is_empty() || statement.brace != Brace::None {
                return Some((statement, words));
            }
        }
    }

    /// The words of a statement without its opening brace.
    fn words_of(&self, statement: &'t Statement) -> &'t [Word] {
        match &statement.later {
            Some(later) if !self.first => later,
            _ => match statement.brace {
                Brace::Open => &statement.words[..statement.words.len() - 1],
                Brace::None | Brace::Close => &statement.words,
            },
        }
    }

    fn next_is_open(&self) -> bool {
        self.tree.statements.get(self.next).is_some_and(|s| s.brace == Brace::Open && s.words.len() == 1)
    }

    /// Reads statements with `rows` up to the `}` that ends the block; `depth` 0 is the top, which has no end.
    fn level<C>(&mut self, config: &mut C, rows: &'static [Row<C>], depth: usize) -> Step {
        while let Some((statement, words)) = self.take() {
            if statement.brace == Brace::Close && depth > 0 {
                return Ok(());
            }
            if words.is_empty() {
                self.stray_brace(statement);
                continue;
            }
            let Some(row) = rows.iter().find(|r| r.name == words[0].text) else {
                if depth == 0 && globals::TOP.iter().any(|r| r.name == words[0].text) {
                    self.skip(statement);
                    continue;
                }
                self.unknown(&words[0], rows, depth);
                if statement.brace == Brace::Open {
                    self.stray_brace(statement);
                }
                continue;
            };
            self.row(config, row, statement, words, depth)?;
        }
        Ok(())
    }

    fn row<C>(
        &mut self,
        config: &mut C,
        row: &'static Row<C>,
        statement: &'t Statement,
        words: &'t [Word],
        depth: usize,
    ) -> Step {
        self.standing(row, statement);
        match &row.takes {
            Takes::Words(read) => {
                read(config, &mut Line::new(statement, words, row.form, &mut self.report))?;
                if statement.brace == Brace::Open {
                    self.stray_brace(statement);
                }
            }
            Takes::Items { open, item, close } => {
                open(config, &mut Line::new(statement, words, row.form, &mut self.report))?;
                self.items(config, statement, *item)?;
                close(
                    config,
                    &mut Line { span: self.last, ..Line::new(statement, words, "", &mut self.report) },
                );
            }
            Takes::Block { open, rows, close } => {
                let enter = open(config, &mut Line::new(statement, words, row.form, &mut self.report))?;
                if !enter {
                    self.skip(statement);
                    return Ok(());
                }
                self.opening(statement);
                self.level(config, rows, depth + 1)?;
                close(
                    config,
                    &mut Line { span: self.last, ..Line::new(statement, words, "", &mut self.report) },
                );
            }
            Takes::Elsewhere => self.skip(statement),
            Takes::Seen(seen) => {
                seen(config);
                self.skip(statement);
            }
        }
        Ok(())
    }

    fn unknown<C>(&mut self, word: &Word, rows: &'static [Row<C>], depth: usize) {
        let text = format!("Unknown keyword '{}'", word.text);
        let mut complaint = Diagnostic::at(Severity::Warning, word.span, text);
        complaint.help = remedy::unknown(&word.text, rows, depth);
        self.report.push(complaint);
    }

    fn stray_brace(&mut self, statement: &Statement) {
        let brace = statement.words.last().map_or(statement.span, |w| w.span);
        let complaint = Diagnostic::at(Severity::Warning, brace, "Unexpected '{' - ignoring");
        self.report.push(complaint.help(remedy::STRAY_BRACE));
    }

    fn standing<C>(&mut self, row: &Row<C>, statement: &Statement) {
        let text = match row.standing {
            Standing::Works => return,
            Standing::NoEffect(why) => format!("'{}' has no effect here: {why}", row.name),
            Standing::NotYet(what) => format!("'{}' is not supported yet: {what}", row.name),
        };
        self.report.push(Diagnostic::at(Severity::Diag, statement.span, text));
    }

    /// Passes the `{` of a block, complaining where it is missing.
    fn opening(&mut self, statement: &Statement) {
        if statement.brace == Brace::Open {
            return;
        }
        if self.next_is_open() {
            self.take();
        } else if let Some(next) = self.tree.statements.get(self.next) {
            let text = "Missing '{' at beginning of configuration block";
            let complaint = Diagnostic::at(Severity::Warning, next.span, text);
            self.report.push(complaint.help(remedy::NO_BRACE));
        }
    }

    fn items<C>(&mut self, config: &mut C, statement: &Statement, item: Read<C>) -> Step {
        if statement.brace != Brace::Open && self.next_is_open() {
            self.take();
        }
        while let Some((statement, words)) = self.take() {
            if statement.brace == Brace::Close {
                break;
            }
            if !words.is_empty() {
                item(config, &mut Line::new(statement, words, "", &mut self.report))?;
            }
            if statement.brace == Brace::Open {
                let brace = &statement.words[statement.words.len() - 1..];
                item(config, &mut Line::new(statement, brace, "", &mut self.report))?;
            }
        }
        Ok(())
    }

    /// Passes over the block that may follow, counting braces.
    fn skip(&mut self, statement: &Statement) {
        if statement.brace != Brace::Open {
            if !self.next_is_open() {
                return;
            }
            self.take();
        }
        let mut depth = 1usize;
        while depth > 0 {
            match self.take() {
                Some((s, _)) if s.brace == Brace::Open => depth += 1,
                Some((s, _)) if s.brace == Brace::Close => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}
