//! What the tables of the reader know, as `-dKcfg` prints it.
//!
//! Invariant: nothing is listed twice: how many words an option takes, and whether it belongs to TLS, is asked of the
//! option itself.

use super::{Loader, bind, global, keyword, option, server};
use crate::action::sets::Set;
use conf_parsers::Word;
use conf_parsers::args::Args;
use diag::{SourceMap, Span};

/// Words that some option takes for its value; whichever is taken shows how many are.
const VALUES: [&str; 5] = ["1", "127.0.0.1", "required", "X25519", "TLSv1.2"];
/// How many of them are offered.
const OFFERED: usize = 4;

/// Runs an option on each of [`VALUES`] until it is taken: how many words it took.
pub(super) fn taken(name: &str, mut run: impl FnMut(&mut Loader<'_>, &Word, &mut Args<'_>) -> bool) -> usize {
    let sources = SourceMap::new();
    let mut loader = Loader::new(&sources);
    let span = Span { file: diag::FileId(0), start: 0, end: 0 };
    let word = Word::new(name, span);
    let mut most = 0;
    for value in VALUES {
        let words: Vec<Word> = (0..OFFERED).map(|_| Word::new(value, span)).collect();
        let mut args = Args::new(&word, &words);
        let good = run(&mut loader, &word, &mut args);
        most = OFFERED - args.rest().len();
        if good {
            break;
        }
    }
    most
}

fn option_line(lead: &str, (name, tls, words): (&str, bool, usize)) -> String {
    let tls = if tls { "ssl " } else { "" };
    let takes = if words == 0 { String::new() } else { format!(" +{words}") };
    format!("\t{lead} {tls}{name}{takes}")
}

/// All lines, by section, in haproxy's form.
pub fn lines() -> Vec<String> {
    let sorted = |names: Vec<&'static str>| {
        let mut names = names;
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|n| format!("\t{n}")).collect::<Vec<_>>()
    };
    let mut out = vec!["global".to_owned()];
    out.extend(sorted(global::names().collect()));
    out.push("listen".into());
    out.extend(sorted(keyword::PROXY_KEYWORDS.names().collect()));
    let mut binds = bind::shapes();
    binds.sort_unstable_by_key(|(name, tls, _)| (*tls, *name));
    out.extend(binds.into_iter().map(|shape| option_line("bind <addr>", shape)));
    let mut servers = server::shapes();
    servers.sort_unstable();
    out.extend(servers.into_iter().map(|(name, n)| option_line("server <name> <addr>", (name, false, n))));
    out.extend(option::shapes());
    for set in Set::ALL {
        let mut names: Vec<String> = set.rows().map(|r| r.name.replace("(*", "*")).collect();
        names.sort_unstable();
        out.extend(names.into_iter().map(|n| format!("\t{} {n}", set.name())));
    }
    let others: Vec<&'static str> =
        keyword::SECTIONS.names().filter(|n| !matches!(*n, "global" | "listen")).collect();
    out.extend(others.into_iter().map(str::to_owned));
    out
}
