//! Reads the files of a configuration and turns their lines into statements.

use super::expand::Expander;
use super::files::{self, Checks};
use super::lex::{Piece, pieces, uncomment};
use super::text::{Text, restore};
use super::{Brace, Complaint, Statement, Tree, remedy};
use diag::{FileId, Span};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A longer line is left out with a complaint; the original's limit of a line.
const LINE_MAX: usize = 1023;
/// Includes nest no deeper: a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 64;
/// No more statements are read: sequences and nested parameters can multiply without bound.
const STATEMENTS_MAX: usize = 4_000_000;

/// What a run is told about how to read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// What `@id` lines are compared with; the node name up to its first dot by default.
    pub config_id: String,
    /// Every include must find its files (`-e`).
    pub strict_includes: bool,
    /// Whether includes are followed at all.
    pub follow_includes: bool,
    /// Directory that relative includes of the main file start from.
    pub directory: PathBuf,
}

impl ReadOptions {
    /// Options for a configuration id, all else as by default.
    pub fn new(config_id: impl Into<String>) -> Self {
        Self {
            config_id: config_id.into(),
            strict_includes: false,
            follow_includes: true,
            directory: PathBuf::from("."),
        }
    }
}

/// Why there is no configuration to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoConfig {
    /// What is to be said, in the original's words; a name with wildcards that finds nothing is passed over in silence.
    pub lines: Vec<String>,
    /// The exit code that `-t` ends with.
    pub test_code: u8,
}

impl NoConfig {
    /// Exit code of `-t` for a file that can't be read, or any fault under `-e`.
    const FATAL: u8 = 4;

    fn new(lines: Vec<String>, strict: bool) -> Self {
        Self { lines, test_code: if strict { Self::FATAL } else { 0 } }
    }
}

/// A main file: its name as messages show it, its path, its bytes.
type Contents = (String, PathBuf, Vec<u8>);

/// Looks whether there is a configuration to read at all.
///
/// # Errors
/// The main file is missing, is no regular file or can't be read.
pub fn present(path: &Path, options: &ReadOptions) -> Result<(), NoConfig> {
    contents(path, options).map(drop)
}

/// Reads the file, or the files, that `path` names, and all they include.
///
/// # Errors
/// The main file is missing, is no regular file or can't be read.
pub fn parse(path: &Path, options: &ReadOptions) -> Result<Tree, NoConfig> {
    let (contents, lines) = contents(path, options)?;
    let mut reader = Reader::new(options);
    reader.tree.several = contents.len() > 1;
    // The one who looks for files says it, and the one who reads them.
    reader.tree.lines = lines.iter().chain(&lines).cloned().collect();
    if reader.tree.several {
        let (name, first) = (path.display(), &contents[0].0);
        let text = format!("WARNING, multiple configuration file matches of {name}, starting with {first}");
        reader.tree.lines.push(text);
    }
    for (name, path, bytes) in contents {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
        reader.file(&name, &bytes, directory.unwrap_or(&options.directory));
        reader.checks = checks(options);
    }
    Ok(reader.finish())
}

/// The main files, and what is said of them.
fn contents(path: &Path, options: &ReadOptions) -> Result<(Vec<Contents>, Vec<String>), NoConfig> {
    let strict = options.strict_includes;
    let found = files::find(&path.to_string_lossy(), Path::new(""), checks(options));
    let mut lines: Vec<String> = found.line.into_iter().collect();
    if found.files.is_empty() || found.failed {
        return Err(NoConfig::new(lines, strict));
    }
    let mut contents = Vec::new();
    for (name, path) in found.files {
        if let Some(text) = files::unfit(&name, &path) {
            lines.push(text);
            return Err(NoConfig::new(lines, strict));
        }
        let Ok(bytes) = std::fs::read(&path) else {
            lines.push(format!("Unable to read configuration file {name}"));
            return Err(NoConfig { lines, test_code: NoConfig::FATAL });
        };
        contents.push((name, path, bytes));
    }
    Ok((contents, lines))
}

/// Reads a configuration from memory. Total: any bytes give a tree.
pub fn parse_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Tree {
    let mut reader = Reader::new(options);
    reader.file(name, bytes, &options.directory);
    reader.finish()
}

/// What must be there before a file has said so.
fn checks(options: &ReadOptions) -> Checks {
    if options.strict_includes { Checks::ALL } else { Checks::default() }
}

struct Reader<'a> {
    tree: Tree,
    options: &'a ReadOptions,
    expander: Expander,
    pending: Vec<Complaint>,
    depth: i64,
    include_depth: usize,
    /// `include_check` as the file under way has it.
    checks: Checks,
    /// The first word of the block under way at the top, and of the last statement.
    block: String,
    last: String,
}

impl<'a> Reader<'a> {
    fn new(options: &'a ReadOptions) -> Self {
        Self {
            tree: Tree::default(),
            options,
            expander: Expander::new(&options.config_id),
            pending: Vec::new(),
            depth: 0,
            include_depth: 0,
            checks: checks(options),
            block: String::new(),
            last: String::new(),
        }
    }

    fn file(&mut self, name: &str, bytes: &[u8], directory: &Path) {
        let file = self.tree.sources.add(name, bytes);
        let mut lines = physical_lines(bytes);
        let pwd = absolute(directory);
        while let Some((start, line)) = lines.pop_front() {
            if self.tree.statements.len() >= STATEMENTS_MAX {
                return;
            }
            let Some(text) = self.line_text(file, start, line) else { continue };
            let mut continuation = Continuation { reader: FileLines { file, lines: &mut lines } };
            let (texts, faults) = self.expander.line(text, &pwd, &mut continuation);
            for (span, text, remedy) in faults {
                self.complain(span, text, remedy);
            }
            for text in texts {
                match super::expand::include(&text) {
                    Some((strictness, pattern)) => self.include(&text, &strictness, &pattern, directory),
                    None => self.statements(&text),
                }
            }
        }
    }

    /// The line without comment; `None` when nothing is left or it is too long.
    fn line_text(&mut self, file: FileId, start: usize, line: &[u8]) -> Option<Text> {
        if line.len() > LINE_MAX {
            let span = Span::new(file, start, start + line.len());
            self.complain(span, "Line too long - ignoring", remedy::LONG_LINE);
            return None;
        }
        let (text, unclosed) = bare(&Text::of(file, start, line));
        if text.s.is_empty() {
            return None;
        }
        if unclosed {
            let span = text.span(0, text.s.len());
            let shown = restore(&text.s).0;
            self.complain(span, format!("Unterminated quote '{shown}'"), remedy::OPEN_QUOTE);
            self.complain(span, format!("Unmatched quote: '{shown}'"), remedy::OPEN_QUOTE);
        }
        Some(text)
    }

    fn complain(&mut self, span: Span, text: impl Into<String>, remedy: &'static str) {
        let (span, text, remedy) = (Some(span), text.into(), Some(remedy));
        self.pending.push(Complaint { span, text, first_pass: false, counts: true, remedy });
    }

    fn statements(&mut self, text: &Text) {
        for piece in pieces(text) {
            let span = piece.words[0].span.to(piece.words[piece.words.len() - 1].span);
            self.note_checks(&piece);
            match piece.brace {
                Brace::Open => self.depth += 1,
                Brace::Close => {
                    self.depth -= 1;
                    if self.depth < 0 {
                        self.depth = 0;
                        self.complain(span, "Extra '}' found", remedy::EXTRA_CLOSE);
                    }
                }
                Brace::None => {}
            }
            let raw = text.s[piece.start..piece.end].trim();
            let later = later_words(text, &piece);
            self.tree.statements.push(Statement {
                words: piece.words,
                brace: piece.brace,
                text: restore(raw).0,
                later,
                complaints: std::mem::take(&mut self.pending),
                span,
            });
        }
    }

    fn include(&mut self, text: &Text, strictness: &str, pattern: &str, directory: &Path) {
        if !self.options.follow_includes {
            return;
        }
        let span = text.span(0, text.s.len());
        let checks = self.checks.with_letter(strictness);
        let mut found = files::find(pattern, directory, checks);
        if let Some(line) = found.line.take() {
            self.include_complaint(span, line);
        }
        self.tree.include_failed |= found.failed;
        if self.include_depth >= INCLUDE_DEPTH_MAX {
            let text =
                format!("Configuration file '{pattern}' open problem (Too many open files) - skipping");
            self.include_complaint(span, text);
            found.files.clear();
        }
        for (name, path) in found.files {
            match files::read(&name, &path) {
                Ok(bytes) => {
                    self.include_depth += 1;
                    let saved = self.checks;
                    let parent = path.parent().map_or_else(|| directory.to_path_buf(), Path::to_path_buf);
                    self.file(&name, &bytes, &parent);
                    self.checks = saved;
                    self.include_depth -= 1;
                }
                Err(text) => {
                    self.include_complaint(span, text);
                    self.tree.include_failed |= checks.unreadable();
                }
            }
        }
    }

    /// `include_check` is in force from its own line on, so the reader has to know it.
    fn note_checks(&mut self, piece: &Piece) {
        let first = piece.words[0].text.as_str();
        if piece.brace == Brace::Open && self.depth == 0 {
            self.block = if first == "{" { std::mem::take(&mut self.last) } else { first.to_owned() };
        } else if first == "include_check" && self.depth == 1 && self.block == "global_defs" {
            self.checks = self.checks.said(piece.words[1..].iter().map(|w| w.text.as_str()));
        }
        if self.depth == 0 {
            first.clone_into(&mut self.last);
        }
    }

    fn include_complaint(&mut self, span: Span, text: String) {
        let (span, remedy) = (Some(span), Some(remedy::NO_FILE));
        self.pending.push(Complaint { span, text, first_pass: true, counts: false, remedy });
    }

    fn finish(mut self) -> Tree {
        if self.depth > 0 {
            let text = format!("There are {} missing '}}'s or extra '{{'s", self.depth);
            let remedy = Some(remedy::MISSING_CLOSE);
            self.pending.push(Complaint { span: None, text, first_pass: false, counts: true, remedy });
        }
        self.tree.complaints = self.pending;
        self.tree
    }
}

/// A line without comment and blanks. A backslash at its very end stays, joined to what is before it, also where a
/// comment holds it: comments go on with the definition around them. The flag tells of a quote that is never closed.
fn bare(line: &Text) -> (Text, bool) {
    let whole = line.s.trim_ascii_end();
    let Some(body) = whole.strip_suffix('\\') else { return uncomment(line) };
    let (mut text, unclosed) = uncomment(&line.part(0, body.len()));
    text.append(line, body.len(), whole.len());
    (text, unclosed)
}

/// The words that the later passes see, where they differ.
fn later_words(line: &Text, piece: &Piece) -> Option<Vec<crate::Word>> {
    if piece.brace == Brace::Close || !line.s[piece.start..piece.end].contains(['#', '!']) {
        return None;
    }
    let text = line.part(piece.start, piece.end);
    let (again, _) = uncomment(&text);
    if again.s.len() == text.s.trim_end().len() {
        return None;
    }
    Some(pieces(&again).into_iter().flat_map(|p| p.words).collect())
}

fn absolute(directory: &Path) -> String {
    std::fs::canonicalize(directory)
        .unwrap_or_else(|_| directory.to_path_buf())
        .to_string_lossy()
        .into_owned()
}

/// Lines without their endings, with their offsets. A NUL ends a line's text, as it does for the original.
fn physical_lines(bytes: &[u8]) -> VecDeque<(usize, &[u8])> {
    let mut out = VecDeque::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let mut text = line.strip_suffix(b"\n").unwrap_or(line);
        while let Some(shorter) = text.strip_suffix(b"\r") {
            text = shorter;
        }
        if let Some(nul) = text.iter().position(|b| *b == 0) {
            text = &text[..nul];
        }
        out.push_back((start, text));
        start += line.len();
    }
    out
}

/// The lines behind the current one, for definitions that span several.
struct FileLines<'a, 'b> {
    file: FileId,
    lines: &'a mut VecDeque<(usize, &'b [u8])>,
}

pub(super) struct Continuation<'a, 'b> {
    reader: FileLines<'a, 'b>,
}

impl Continuation<'_, '_> {
    /// The next line without its comment; nothing is left of a blank one, which ends a definition.
    pub(super) fn next(&mut self) -> Option<Text> {
        let (start, line) = self.reader.lines.pop_front()?;
        Some(bare(&Text::of(self.reader.file, start, line)).0)
    }
}
