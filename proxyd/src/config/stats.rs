//! `stats …` in proxies.

use super::keyword::Cx;
use super::model::Stats;
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::condition;
use conf_parsers::value::{NumberFault, TimeUnit, duration};

fn defaults() -> Stats {
    Stats { uri: "/haproxy?stats".into(), ..Stats::default() }
}

/// `stats WORD …`.
pub(super) fn line(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(word) = args.next() else {
        return Err(Fault::new(args.keyword().span, SUPPORTED));
    };
    let name = word.text.as_str();
    let stats = cx.draft.proxy.stats.get_or_insert_with(defaults);
    let need =
        |args: &mut Args<'_>, text: &str| args.next().map(|w| w.text.clone()).ok_or_else(|| args.fault(text));
    match name {
        "enable" => {}
        "uri" => stats.uri = need(args, "'uri' needs an URI prefix.")?,
        "realm" => stats.realm = Some(need(args, "'realm' needs an realm name.")?),
        "refresh" => {
            let text = need(args, "'refresh' needs a refresh interval.")?;
            stats.refresh = Some(duration(&text, TimeUnit::Sec).map_err(|e| {
                args.fault(match e {
                    NumberFault::Unexpected(c) => {
                        format!("unexpected character '{}' in argument to stats refresh interval", char::from(c))
                    }
                    _ => format!(
                        "timer overflow in argument <{text}> to stats refresh interval, maximum value is 2147483647 s (~68 years)."
                    ),
                })
            })?);
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
            return Err(Fault::new(word.span, SUPPORTED));
        }
        _ => {
            let text = format!(
                "unknown stats parameter '{name}' (expects 'admin', 'auth', 'enable', 'hide-version', \
                'http-request', 'realm', 'refresh', 'scope', 'show-desc', 'show-legends', 'show-modules', 'show-node' or 'uri')."
            );
            return Err(Fault::new(word.span, text));
        }
    }
    Ok(())
}

const SUPPORTED: &str = "'stats' expects 'admin', 'auth', 'enable', 'hide-version', 'http-request', 'realm', \
    'refresh', 'scope', 'show-desc', 'show-legends', 'show-modules', 'show-node' or 'uri'.";

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
