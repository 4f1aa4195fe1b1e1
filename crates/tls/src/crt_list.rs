//! `crt-list` files: `FILE [options] filter…`, one a line (configuration manual, 5.1); which lists there are, and
//! entries that come and go while running.
//!
//! Invariant: an entry of a list is an entry of every listener that names the list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::book::lock;
use crate::server::{Options, Verify};
use crate::store::{Item, Library, Place};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The certificate's file.
    pub file: String,
    /// Words between brackets; `None` without brackets.
    pub options: Option<Vec<String>>,
    /// Names, wildcards and `!` exceptions.
    pub filters: Vec<String>,
}

/// Reads a whole file; blank lines and comments say nothing.
///
/// # Errors
/// The number of a line whose brackets don't close.
pub fn parse(text: &str) -> Result<Vec<Line>, usize> {
    let mut lines = Vec::new();
    for (at, text) in text.lines().enumerate() {
        let text = text.split_once('#').map_or(text, |(before, _)| before).trim();
        if text.is_empty() {
            continue;
        }
        let end = text.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(text.len());
        let (file, rest) = text.split_at(end);
        let rest = rest.trim();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (options, filters) = match rest.strip_prefix('[') {
            Some(inside) => {
                let (inside, rest) = inside.split_once(']').ok_or(at + 1)?;
                (Some(words(inside)), rest)
            }
            None => (None, rest),
        };
        lines.push(Line { number: at + 1, file: file.to_owned(), options, filters: words(filters) });
    }
    Ok(lines)
}

/// A path, below a base where it is relative.
pub fn based(path: &Path, base: Option<&Path>) -> PathBuf {
    base.filter(|_| path.is_relative()).map_or_else(|| path.to_owned(), |b| b.join(path))
}

/// A `ca-file`; `@system-ca` is no path.
pub fn authority(file: &str, base: Option<&Path>) -> PathBuf {
    if file.starts_with('@') { file.into() } else { based(Path::new(file), base) }
}

/// TLS versions that options name.
const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// Settings with the words of a line.
///
/// # Errors
/// The first word that can't be used, in haproxy's words.
pub fn with_words(
    mut options: Options,
    words: &[String],
    ca_base: Option<&Path>,
    at: &str,
) -> Result<Options, String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "no-tls-tickets" => {
                options.no_tickets = true;
                continue;
            }
            "no-ca-names" => {
                options.no_ca_names = true;
                continue;
            }
            "no-alpn" => {
                options.limits.alpn.clear();
                continue;
            }
            // Early data is never taken.
            "allow-0rtt" => continue,
            _ => {}
        }
        let known = OPTIONS.iter().any(|o| o.name == word);
        let value = words.next().filter(|_| known);
        let fault = if known { "ssl args out of '[]' for" } else { "unknown ssl keyword" };
        let value = value.ok_or_else(|| format!("parsing [{at}]: {fault} {word}"))?;
        let version = || {
            let known = VERSIONS.contains(&value.as_str());
            known.then(|| value.clone()).ok_or_else(|| format!("'{value}' : unknown ssl/tls version"))
        };
        match word.as_str() {
            "alpn" => options.limits.alpn = value.split(',').map(str::to_owned).collect(),
            "ssl-min-ver" => options.limits.min_version = Some(version()?),
            "ssl-max-ver" => options.limits.max_version = Some(version()?),
            "ciphers" => options.limits.ciphers = Some(value.clone()),
            "ciphersuites" => options.limits.ciphersuites = Some(value.clone()),
            "curves" | "ecdhe" => options.limits.curves = Some(value.clone()),
            "ca-file" => options.ca_file = Some(authority(value, ca_base)),
            "ca-verify-file" => options.ca_verify_file = Some(authority(value, ca_base)),
            "crl-file" => options.crl_file = Some(based(Path::new(value), ca_base)),
            "verify" => {
                options.verify = match value.as_str() {
                    "required" => Verify::Required,
                    "optional" => Verify::Optional,
                    "none" => Verify::None,
                    other => {
                        return Err(format!(
                            "'verify' : unknown verify method '{other}', only 'none', 'optional', and 'required' are \
                             supported"
                        ));
                    }
                }
            }
            _ => {} // told where lists are read: nothing here reads it
        }
    }
    Ok(options)
}

/// A word between the brackets of a list's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionRow {
    /// The word.
    pub name: &'static str,
    /// It stands alone; all others have a value.
    pub lone: bool,
    /// `show ssl crt-list` shows it.
    pub shown: bool,
}

const fn option(name: &'static str) -> OptionRow {
    OptionRow { name, lone: false, shown: true }
}

/// All of them, in the order in which `show ssl crt-list` shows them.
pub const OPTIONS: [OptionRow; 19] = [
    option("npn"),
    option("alpn"),
    option("verify"),
    OptionRow { lone: true, ..option("no-ca-names") },
    OptionRow { lone: true, ..option("allow-0rtt") },
    option("ca-file"),
    option("ca-verify-file"),
    option("crl-file"),
    option("ciphers"),
    option("ciphersuites"),
    option("curves"),
    option("ecdhe"),
    option("ssl-min-ver"),
    option("ssl-max-ver"),
    OptionRow { lone: true, ..option("no-alpn") },
    OptionRow { lone: true, ..option("no-tls-tickets") },
    OptionRow { shown: false, ..option("sigalgs") },
    OptionRow { shown: false, ..option("client-sigalgs") },
    OptionRow { shown: false, ..option("ocsp-update") },
];

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its line; 0 of directories.
    pub line: usize,
    /// The certificate's file.
    pub file: PathBuf,
    /// Its options as they were written.
    pub options: Option<Vec<String>>,
    /// Its names.
    pub filters: Vec<String>,
}

/// All lists, directories among them.
#[derive(Debug, Default)]
pub struct Book {
    all: Mutex<BTreeMap<PathBuf, Vec<Entry>>>,
}

impl Book {
    /// Takes the lines of a file in.
    pub fn define(&self, list: &Path, lines: &[Line], crt_base: Option<&Path>) {
        let entries = lines.iter().map(|l| Entry {
            line: l.number,
            file: based(Path::new(&l.file), crt_base),
            options: l.options.clone(),
            filters: l.filters.clone(),
        });
        lock(&self.all).entry(list.to_owned()).or_insert_with(|| entries.collect());
    }

    /// Takes a file of a directory in.
    pub(crate) fn found(&self, dir: &Path, file: &Path) {
        let mut all = lock(&self.all);
        let entries = all.entry(dir.to_owned()).or_default();
        if !entries.iter().any(|e| e.file == file) {
            entries.push(Entry { line: 0, file: file.to_owned(), options: None, filters: Vec::new() });
        }
    }

    /// Names of all, in order.
    pub fn names(&self) -> Vec<PathBuf> {
        lock(&self.all).keys().cloned().collect()
    }

    /// The entries of one.
    pub fn entries(&self, list: &Path) -> Option<Vec<Entry>> {
        lock(&self.all).get(list).cloned()
    }
}

/// Why an entry can't be added or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryFault {
    /// Nobody knows the list.
    NoList,
    /// Nobody knows the certificate.
    NoCertificate,
    /// It has neither chain nor key.
    Empty,
    /// A word can't be used, or a file.
    Words(String),
    /// Several entries have the certificate.
    Several(Vec<usize>),
    /// None of the certificate's lines is the one named.
    Line(Vec<usize>),
    /// It is the default certificate of listeners, which are named.
    Default(Vec<String>),
}

impl Library {
    /// Adds an entry at the end of a list, and to all listeners that name it.
    ///
    /// # Errors
    /// What it names can't be used.
    pub fn add_entry(&self, list: &Path, line: &Line, ca_base: Option<&Path>) -> Result<(), EntryFault> {
        let entries = self.lists.entries(list).ok_or(EntryFault::NoList)?;
        let certificate = self.find(Path::new(&line.file)).ok_or(EntryFault::NoCertificate)?;
        if certificate.key().is_none() {
            return Err(EntryFault::Empty);
        }
        let number = entries.iter().map(|e| e.line).max().map_or(0, |last| last + usize::from(last > 0));
        let followers: Vec<_> = self.listeners().into_iter().filter(|l| l.names(list)).collect();
        let mut settings = Vec::new();
        for listener in &followers {
            let own = match &line.options {
                None => None,
                Some(words) if words.is_empty() => None,
                Some(words) => {
                    let options = with_words(listener.options(), words, ca_base, "CLI:1");
                    let fault = |e: crate::Error| EntryFault::Words(words_of(&e));
                    Some(listener.settings_for(self, options.map_err(EntryFault::Words)?).map_err(fault)?)
                }
            };
            settings.push(own);
        }
        for (listener, own) in followers.iter().zip(settings) {
            let settings = own.map_or(0, |own| listener.add_settings(own));
            let place = Place { filters: &line.filters, settings, entry: Some((list, number)) };
            listener.shelf.push(Item::new(certificate.clone(), &place));
        }
        let entry = Entry {
            line: number,
            file: certificate.path.clone(),
            options: line.options.clone(),
            filters: line.filters.clone(),
        };
        lock(&self.lists.all).entry(list.to_owned()).or_default().push(entry);
        Ok(())
    }

    /// Takes an entry away, from all listeners too; `line` says which where the certificate has several.
    ///
    /// # Errors
    /// There is none, not just one, or a listener needs it.
    pub fn delete_entry(&self, list: &Path, file: &Path, line: Option<usize>) -> Result<(), EntryFault> {
        let entries = self.lists.entries(list).ok_or(EntryFault::NoList)?;
        if self.find(file).is_none() {
            return Err(EntryFault::NoCertificate);
        }
        let lines: Vec<usize> = entries.iter().filter(|e| e.file == file).map(|e| e.line).collect();
        let line = match (line, lines.as_slice()) {
            (_, []) => return Err(EntryFault::NoCertificate),
            (None, [one]) => *one,
            (None, _) => return Err(EntryFault::Several(lines)),
            (Some(line), all) if all.contains(&line) => line,
            (Some(_), _) => return Err(EntryFault::Line(lines)),
        };
        let followers: Vec<_> = self.listeners().into_iter().filter(|l| l.names(list)).collect();
        let needed: Vec<_> =
            followers.iter().filter(|l| l.needs(list, line, file)).map(|l| l.label()).collect();
        if !needed.is_empty() {
            return Err(EntryFault::Default(needed));
        }
        for listener in &followers {
            let gone = listener.shelf.drop_entry(list, line, file);
            listener.drop_settings(&gone);
        }
        if let Some(entries) = lock(&self.lists.all).get_mut(list) {
            entries.retain(|e| e.line != line || e.file != file);
        }
        Ok(())
    }
}

fn words_of(error: &crate::Error) -> String {
    match error {
        crate::Error::Authorities(path) => format!("'ca-file' : unable to load {}", path.display()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_file_options_and_filters() {
        let text =
            "# all\n\na.pem\n  b.pem [alpn h2 ssl-min-ver TLSv1.3] *.b !x.b # end\nc.pem c d\ne.pem []\n";
        let got: Vec<_> = parse(text)
            .expect("good")
            .into_iter()
            .map(|l| {
                format!(
                    "{} {} {} {}",
                    l.number,
                    l.file,
                    l.options.unwrap_or_default().join(","),
                    l.filters.join(",")
                )
            })
            .collect();
        assert_eq!(
            got,
            ["3 a.pem  ", "4 b.pem alpn,h2,ssl-min-ver,TLSv1.3 *.b,!x.b", "5 c.pem  c,d", "6 e.pem  "]
        );
        assert_eq!(parse("a.pem\nb.pem [alpn h2\n"), Err(2));
    }
}
