//! `-S` of the command line: sockets of the master's command line.
//!
//! Invariant: an option means there what it means on a `bind` line; only the level is the highest where none is said.

use super::Loader;
use super::model::{Bind, Level};
use conf_parsers::Word;
use conf_parsers::args::Args;
use diag::Span;

/// What `-S` says, words between commas: an address and options of `bind`. Without any word there is no socket. The
/// faults are what the original tells, in its order.
pub fn master_socket(text: &str) -> Result<Vec<Bind>, Vec<String>> {
    // Stands before what options say, and is put in words below.
    const OPTION: &str = "\u{1}";
    let mut sources = diag::SourceMap::new();
    let file = sources.add("master-socket", "");
    let parts = text.split(',').filter(|w| !w.is_empty()).enumerate();
    let words: Vec<Word> = parts.map(|(i, w)| Word::new(w, Span::new(file, i, i))).collect();
    let Some((first, _)) = words.split_first() else { return Ok(Vec::new()) };
    let mut loader = Loader::new(&sources);
    loader.env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let mut args = Args::new(first, &words[1..]);
    let span = Span::new(file, 0, 0);
    let binds = super::bind::read(&mut loader, &mut args, first, span, OPTION, "");
    binds
        .map(|binds| {
            let named = |b| Bind { origin: "master-socket:0".into(), level: level_of(&words, &b), ..b };
            binds.into_iter().map(named).collect()
        })
        .map_err(|fault| {
            let option = words.get(fault.span.start as usize).map_or("", |w| w.text.as_str());
            if let Some(address) = fault.text.strip_prefix(" : ") {
                // Some of the texts have a line end of their own.
                let bare = ["missing port", "invalid port"].iter().any(|t| address.starts_with(t));
                let end = if bare { "" } else { "\n" };
                return vec![
                    "Cannot create the listener of the master CLI".into(),
                    format!("{address}{end}"),
                ];
            }
            let lead = format!("'{} {option}' : ", first.text);
            vec![match fault.text.strip_prefix(OPTION).unwrap_or_default() {
                rest if rest.starts_with(": ") => lead + &rest[2..].replacen("; did you", ". Did you", 1),
                rest => format!("{lead}'{}'", rest.strip_prefix(" : ").unwrap_or(rest)),
            }]
        })
}

/// The level of the master's socket: the highest, where no word says another.
fn level_of(words: &[Word], bind: &Bind) -> Level {
    if words.iter().any(|w| w.text == "level") { bind.level } else { Level::Admin }
}
