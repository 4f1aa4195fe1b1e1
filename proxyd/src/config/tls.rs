//! What `ssl-default-bind-*` and `ssl-default-server-*` give to lines, and words for ranges of versions.
//!
//! Invariant: as in the original, a line takes what `global` said before it, and its own words go before that.

use super::Loader;
use super::model::{BindTls, Global, ServerTls};
use conf_parsers::args::{Args, Fault};

/// TLS of a `bind` line before its own words.
pub(super) fn of_bind(global: &Global) -> BindTls {
    let mut tls = BindTls {
        ciphers: first(global, "ssl-default-bind-ciphers"),
        ciphersuites: first(global, "ssl-default-bind-ciphersuites"),
        curves: first(global, "ssl-default-bind-curves"),
        ..BindTls::default()
    };
    let words = global.ssl_defaults.get("ssl-default-bind-options");
    range(words, &mut tls.min_version, &mut tls.max_version);
    tls.no_tls_tickets = words.is_some_and(|w| w.iter().any(|w| w == "no-tls-tickets"));
    tls.strict_sni = words.is_some_and(|w| w.iter().any(|w| w == "strict-sni"));
    tls
}

/// TLS towards a server before the line's own words.
pub(super) fn of_server(global: &Global) -> ServerTls {
    let mut tls = ServerTls::default();
    for (name, keyword) in [
        ("ciphers", "ssl-default-server-ciphers"),
        ("ciphersuites", "ssl-default-server-ciphersuites"),
        ("curves", "ssl-default-server-curves"),
    ] {
        tls.other.extend(first(global, keyword).map(|list| (name.to_owned(), list)));
    }
    let words = global.ssl_defaults.get("ssl-default-server-options");
    range(words, &mut tls.min_version, &mut tls.max_version);
    tls
}

fn first(global: &Global, keyword: &str) -> Option<String> {
    global.ssl_defaults.get(keyword)?.first().cloned()
}

fn range(words: Option<&Vec<String>>, min: &mut Option<String>, max: &mut Option<String>) {
    let mut words = words.into_iter().flatten();
    while let Some(word) = words.next() {
        match word.as_str() {
            "ssl-min-ver" => *min = words.next().cloned(),
            "ssl-max-ver" => *max = words.next().cloned(),
            // What is below the range of the library leaves it as it is.
            other => drop(versions(other, min, max)),
        }
    }
}

/// What a word like `no-tlsv12` or `force-tlsv13` leaves of the range of TLS versions; the fault says why it leaves the
/// range as it is.
pub(super) fn versions(
    word: &str,
    min: &mut Option<String>,
    max: &mut Option<String>,
) -> Result<(), &'static str> {
    let (low, high) = match word {
        "no-tlsv12" => (Some("TLSv1.3"), None),
        "no-tlsv13" => (None, Some("TLSv1.2")),
        "force-tlsv12" => (Some("TLSv1.2"), Some("TLSv1.2")),
        "force-tlsv13" => (Some("TLSv1.3"), Some("TLSv1.3")),
        _ => return Err(OLD),
    };
    if let Some(low) = low {
        *min = Some(low.to_owned());
    }
    if let Some(high) = high {
        *max = Some(high.to_owned());
    }
    Ok(())
}

/// Why a version before 1.2 has no effect as the lowest.
pub(super) const OLD: &str = "versions before TLS 1.2 are never spoken";

/// Whether a version is too old to be spoken.
pub(super) fn is_old(version: &str) -> bool {
    matches!(version, "SSLv3" | "TLSv1.0" | "TLSv1.1")
}

/// Whether a range leaves nothing that is spoken here.
pub(super) fn leaves_nothing(min: Option<&String>, max: Option<&String>) -> bool {
    let limits =
        tls::Limits { min_version: min.cloned(), max_version: max.cloned(), ..tls::Limits::default() };
    tls::versions(&limits).is_err()
}

/// Names of TLS versions that options take.
pub(super) const VERSIONS: &[&str] = &["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// Words that `ssl-default-bind-options` and `ssl-default-server-options` may list besides the ranges of versions.
const OPTIONS: &[&str] = &[
    "no-sslv3",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-tls-tickets",
    "tls-tickets",
];

/// Words of bind lines alone.
const BIND_ALONE: &[&str] = &["prefer-client-ciphers", "strict-sni"];

/// Checks the words of such a line.
pub(super) fn options(args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    let bind = keyword == "ssl-default-bind-options";
    let missing = format!("global statement '{keyword}' expects an option as an argument.");
    let mut word = args.expect(|| missing)?;
    loop {
        match word.text.as_str() {
            version @ ("ssl-min-ver" | "ssl-max-ver") => {
                let lacks =
                    format!("'{version}' : missing the ssl/tls version on global statement '{keyword}'.");
                let value = args.expect(|| lacks)?;
                if !VERSIONS.contains(&value.text.as_str()) {
                    let text = format!(
                        "'{}' : unknown ssl/tls version on global statement '{keyword}'.",
                        value.text
                    );
                    return Err(Fault::new(value.span, text));
                }
            }
            name if OPTIONS.contains(&name) || (bind && BIND_ALONE.contains(&name)) => {}
            name => {
                let text = format!("unknown option '{name}' on global statement '{keyword}'.");
                return Err(Fault::new(word.span, text));
            }
        }
        match args.next() {
            Some(next) => word = next,
            None => return Ok(()),
        }
    }
}

/// Says which words of such a line do nothing.
pub(super) fn tell(loader: &mut Loader<'_>, line: &conf_parsers::Line) {
    const NOTHING: [&str; 3] = ["prefer-client-ciphers", "force-tlsv10", "force-tlsv11"];
    let silent = line.words.iter().filter(|w| NOTHING.contains(&w.text.as_str()));
    for word in silent {
        let why = if word.text.starts_with("force") { OLD } else { "the server's order decides" };
        loader.no_effect(word.span, &format!("{} … {}", line.keyword(), word.text), why);
    }
}
