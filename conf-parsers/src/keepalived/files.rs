//! Which files a name stands for: the main file's and that of an `include`, with wildcards and csh braces.
//!
//! Invariant: what is missing is said in the original's words, and what must be there is judged by `include_check`
//! alone. Absent on purpose: reading.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The words of `include_check`. The original's manual names `readable`, which 2.2.7 does not know.
pub(super) const CHECKS: [&str; 4] = ["readable", "match", "wildcard_match", "brace_match"];

/// What must be there: `include_check` and the letter behind `include`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checks {
    /// Every file found must be a file that can be read.
    readable: bool,
    /// A name without braces must find a file, or with wildcards its directory.
    named: bool,
    /// A name with wildcards must find a file.
    wildcard: bool,
    /// Each choice of a name with braces must find a file.
    brace: bool,
}

impl Checks {
    /// All of them: `-e`, `includea`, `include_check` alone.
    pub(super) const ALL: Self = Self { readable: true, named: true, wildcard: true, brace: true };

    /// With what the letter behind `include` asks for besides.
    pub(super) fn with_letter(self, letter: &str) -> Self {
        let more = match letter {
            "r" => Self { readable: true, ..Self::default() },
            "m" => Self { readable: true, named: true, ..Self::default() },
            "w" => Self { readable: true, named: true, wildcard: true, ..Self::default() },
            "b" => Self { readable: true, brace: true, ..Self::default() },
            "a" => Self::ALL,
            _ => Self::default(),
        };
        Self {
            readable: self.readable || more.readable,
            named: self.named || more.named,
            wildcard: self.wildcard || more.wildcard,
            brace: self.brace || more.brace,
        }
    }

    /// Whether a file that can't be read is a fault.
    pub(super) fn unreadable(self) -> bool {
        self.readable
    }

    /// The words behind `include_check`: a setting of its own, or with `+` and `-` a change of the one in force. A word
    /// that is none changes nothing; the keyword's row says so.
    pub(super) fn said<'a>(self, words: impl Iterator<Item = &'a str>) -> Self {
        let mut words = words.peekable();
        let mut out = match words.peek() {
            None => return Self::ALL,
            Some(word) if word.starts_with(['+', '-']) => self,
            // A setting looks at the files as well; a change leaves that as it is, which is the original's way.
            Some(_) => Self { readable: true, ..Self::default() },
        };
        let mut on = true;
        for word in words {
            let sign = word.chars().next().filter(|c| ['+', '-'].contains(c));
            on = sign.map_or(on, |sign| sign == '+');
            match word.strip_prefix(['+', '-']).unwrap_or(word) {
                "readable" => out.readable = on,
                "match" => out.named = on,
                "wildcard_match" => out.wildcard = on,
                "brace_match" => out.brace = on,
                _ => {}
            }
        }
        out
    }
}

/// What a name stands for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files: the name as messages show it, and its path.
    pub(super) files: Vec<(String, PathBuf)>,
    /// What is missing.
    pub(super) line: Option<String>,
    /// Whether that must not be.
    pub(super) failed: bool,
}

/// Finds the files of a name; a relative one starts at `directory`.
pub(super) fn find(pattern: &str, directory: &Path, checks: Checks) -> Found {
    let (files, missed) = expand(pattern, directory);
    let failed = missed && if pattern.contains('{') { checks.brace } else { checks.named };
    let (line, failed) = match (files.is_empty(), missed) {
        (true, true) => (Some(format!("Config files missing '{pattern}'.")), failed),
        (true, false) => {
            (checks.wildcard.then(|| format!("No config files matched '{pattern}'.")), checks.wildcard)
        }
        (false, true) => (Some(format!("Some config files missing: \"{pattern}\".")), failed),
        (false, false) => (None, false),
    };
    Found { files, line, failed }
}

/// The files, and whether one that is named outright is missing, or the directory that wildcards are looked for in.
fn expand(pattern: &str, directory: &Path) -> (Vec<(String, PathBuf)>, bool) {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let (mut out, mut missed) = (Vec::new(), false);
    for one in super::expand::braces(pattern) {
        let path = directory.join(&one);
        let Some(wild) = one.find(['*', '?', '[']) else {
            match path.symlink_metadata() {
                Ok(_) => out.push((one, path)),
                Err(_) => missed = true,
            }
            continue;
        };
        let place = one[..wild].rfind('/').map_or("", |slash| &one[..=slash]);
        missed |= !directory.join(place).is_dir() && !(directory.join(place).as_os_str().is_empty());
        let Ok(found) = glob::glob_with(&path.to_string_lossy(), options) else { continue };
        for entry in found.filter_map(Result::ok) {
            let name = if Path::new(&one).is_absolute() {
                &entry
            } else {
                entry.strip_prefix(directory).unwrap_or(&entry)
            };
            out.push((name.to_string_lossy().into_owned(), entry.clone()));
        }
    }
    (out, missed)
}

/// Why a file found is not read: the original's words, or `None` when it may be.
pub(super) fn unfit(name: &str, path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let name = name.trim_end_matches('/');
            Some(format!("Configuration file '{name}/' is a directory - skipping"))
        }
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 == 0 => None,
        // A link to nothing is no regular file either.
        _ => Some(format!("Configuration file '{name}' is not a regular non-executable file - skipping")),
    }
}

/// What the first attempt to read an included file came to.
pub(super) fn read(name: &str, path: &Path) -> Result<Vec<u8>, String> {
    if let Some(text) = unfit(name, path) {
        return Err(text);
    }
    std::fs::read(path).map_err(|error| {
        let full = error.to_string();
        let reason = full.split(" (os error").next().unwrap_or_default();
        format!("Configuration file '{name}' open problem ({reason}) - skipping")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_files_or_say_which_are_missing() {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::write(dir.path().join("a.conf"), "").expect("file");
        std::fs::write(dir.path().join("b.conf"), "").expect("file");
        // What was printed and whether `-t` ended with 6, as keepalived 2.2.7 did for each letter.
        let rows = [
            ("a.conf", 1, None, ""),
            ("none", 0, Some("Config files missing 'none'."), "mwa"),
            ("{none,nil}", 0, Some("Config files missing '{none,nil}'."), "ba"),
            ("{a,nil}.conf", 1, Some("Some config files missing: \"{a,nil}.conf\"."), "ba"),
            ("{nil*,a}.conf", 1, None, ""),
            ("?.conf", 2, None, ""),
            ("nowhere/*", 0, Some("Config files missing 'nowhere/*'."), "mwa"),
            ("{nowhere/*,a}.conf", 1, Some("Some config files missing: \"{nowhere/*,a}.conf\"."), "ba"),
            ("none*", 0, None, "wa"),
            ("{none,nil}*", 0, None, "wa"),
        ];
        for (name, files, line, letters) in rows {
            for letter in ["", "r", "m", "w", "b", "a"] {
                let found = find(name, dir.path(), Checks::default().with_letter(letter));
                assert_eq!(found.files.len(), files, "{name}");
                let failed = !letter.is_empty() && letters.contains(letter);
                assert_eq!(found.failed, failed, "{name} {letter}");
                let unmatched = failed.then(|| format!("No config files matched '{name}'."));
                assert_eq!(found.line, line.map(str::to_owned).or(unmatched), "{name} {letter}");
            }
        }
    }

    #[test]
    fn include_check_sets_adds_and_removes() {
        let all = Checks::ALL;
        let said = |from: Checks, text: &str| from.said(text.split_whitespace());
        assert_eq!(said(Checks::default(), ""), all);
        assert_eq!(said(all, "match"), Checks { readable: true, named: true, ..Checks::default() });
        assert_eq!(said(all, "-wildcard_match"), Checks { wildcard: false, ..all });
        let both = said(said(Checks::default(), "brace_match"), "+match -brace_match");
        assert_eq!(both, Checks { readable: true, named: true, ..Checks::default() });
        assert_eq!(said(Checks::default(), "+match"), Checks { named: true, ..Checks::default() });
    }
}
