//! `stats …` in proxies.

use super::keyword::Cx;
use super::model::Stats;
use super::proxy::Scope;
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::condition;
use conf_parsers::value::{NumberFault, TimeUnit, duration};

fn defaults() -> Stats {
    Stats { uri: "/haproxy?stats".into(), ..Stats::default() }
}

/// Words that may follow, for tests; each is an arm of [`line`].
pub(super) const WORDS: [&str; 13] = [
    "enable",
    "uri",
    "realm",
    "refresh",
    "auth",
    "scope",
    "hide-version",
    "show-legends",
    "show-modules",
    "show-node",
    "show-desc",
    "admin",
    "http-request",
];

/// `stats WORD …`.
pub(super) fn line(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(word) = args.next() else {
        let text = format!("missing keyword in 'stats', expects {SUPPORTED}");
        return Err(Fault::new(args.keyword().span, text).tight());
    };
    let name = word.text.as_str();
    if cx.draft.scope == Scope::Defaults && matches!(name, "admin" | "http-request") {
        let what = if name == "admin" { "stats admin" } else { "stats" };
        let text = format!("'{what}' not allowed in 'defaults' section.");
        return Err(Fault::new(word.span, text).tight());
    }
    let stats = cx.draft.proxy.stats.get_or_insert_with(defaults);
    let need =
        |args: &mut Args<'_>, text: &str| args.next().map(|w| w.text.clone()).ok_or_else(|| args.fault(text));
    match name {
        "enable" => {}
        "uri" => stats.uri = need(args, "'uri' needs an URI prefix.")?,
        "realm" => stats.realm = Some(need(args, "'realm' needs an realm name.")?),
        "refresh" => {
            let Some(text) = args.next().map(|w| w.text.clone()) else {
                return Err(args.fault("unexpected character '").tight());
            };
            let value = duration(&text, TimeUnit::Sec).map_err(|e| {
                let text = match e {
                    NumberFault::Unexpected(c) => {
                        format!("unexpected character '{}' in argument to stats refresh interval.", char::from(c))
                    }
                    _ => format!(
                        "timer overflow in argument <{text}> to stats refresh interval, maximum value is 2147483647 s (~68 years)."
                    ),
                };
                args.fault(text).tight()
            })?;
            stats.refresh = Some(value);
        }
        "auth" => {
            let text = need(args, "'auth' needs a user:password account.")?;
            let (user, password) = text.split_once(':').unwrap_or((text.as_str(), ""));
            stats.auth.push((user.to_owned(), password.to_owned()));
        }
        "scope" => stats.scope.push(need(args, "'scope' needs a proxy name.")?),
        "hide-version" => stats.hide_version = true,
        "show-legends" => stats.show_legends = true,
        "show-modules" => stats.show_modules = true,
        "show-node" => {
            let node = args.next().map(|w| w.text.clone());
            stats.show_node = Some(node.unwrap_or_default());
        }
        "show-desc" => {
            let words: Vec<&str> = args.take_rest().iter().map(|w| w.text.as_str()).collect();
            stats.show_desc = Some(words.join(" "));
        }
        "admin" | "http-request" => return rule(cx, args, name),
        "socket" | "timeout" | "maxconn" | "bind-process" => {
            let text = format!("unknown stats parameter '{name}', expects {SUPPORTED}");
            return Err(Fault::new(word.span, text).tight());
        }
        _ => {
            let text = format!("unknown stats parameter '{name}', expects {SUPPORTED}");
            return Err(Fault::new(word.span, text).tight());
        }
    }
    Ok(())
}

/// What may follow, in the original's order.
const SUPPORTED: &str = "'admin', 'uri', 'realm', 'auth', 'scope', 'enable', 'hide-version', 'show-node', \
    'show-desc' or 'show-legends'.";

fn rule(cx: &mut Cx<'_, '_>, args: &mut Args<'_>, name: &str) -> Result<(), Fault> {
    let words = args.rest();
    match words.iter().position(condition::opens) {
        Some(at) => {
            condition::parse(&words[at..]).map_err(|f| {
                Fault::new(
                    f.span,
                    format!("error detected while parsing a 'stats {name}' rule : {}.", f.text),
                )
            })?;
        }
        None if name == "admin" => {
            let text = "'stats admin' requires either 'if' or 'unless' followed by a condition.";
            return Err(Fault::new(args.keyword().span, text));
        }
        None => {}
    }
    cx.draft.stats_rules.push(super::proxy::RuleLine { line: cx.line.clone() });
    Ok(())
}
