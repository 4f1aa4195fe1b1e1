//! `stick-table` and `stick` lines. The errors are haproxy's texts behind `parsing [file:line] : `.

use super::TableSpec;
use super::rules::{StickRule, StickRules};
use super::table::{DATA, Data, DataArg, KeyType, Stored};
use crate::acl::Condition;
use crate::action::flow::duration;
use crate::action::header::{sample, sample_word};
use crate::action::sets::Set;
use crate::config::model::Config;
use crate::sample::expr::{Referrer, Scope};
use conf_parsers::Word;
use conf_parsers::args::Args;
use conf_parsers::haproxy::condition;
use std::sync::Arc;
use std::time::Duration;

/// Most elements of an array.
pub const ELEMENTS_MAX: usize = 100;
/// Bytes of a string key when no length is given.
const STRING_LEN: usize = 31;
/// Bytes of a binary key when no length is given.
const BINARY_LEN: usize = 32;

/// `stick-table type … size … [expire …] [store …] [nopurge] [peers …]`.
pub fn table(name: &str, args: &mut Args<'_>, warnings: &mut Vec<String>) -> Result<TableSpec, String> {
    let (mut kind, mut size, mut expire) = (None, 0, None);
    let (mut nopurge, mut peers) = (false, None);
    let mut stored: Vec<Stored> = Vec::new();
    while let Some(word) = args.next() {
        let key = word.as_str();
        let mut value = || args.next().ok_or_else(|| format!("stick-table: missing argument after '{key}'."));
        match key {
            "size" => size = entries(value()?.as_str())?,
            "expire" => expire = time(value()?.as_str(), "expire")?,
            "nopurge" => nopurge = true,
            "peers" => peers = Some(value()?.as_str().to_owned()),
            // Sections of servers that take part in a shard: nothing to do without peers.
            "srvkey" => {
                value()?;
            }
            "type" => {
                let word = value()?.as_str().to_owned();
                kind = Some(key_type(&word, args)?);
            }
            "store" => store(value()?.as_str(), &mut stored, warnings)?,
            other => return Err(format!("stick-table: unknown argument '{other}'.")),
        }
    }
    if size == 0 {
        return Err("stick-table: missing size.".into());
    }
    let kind = kind.ok_or("stick-table: missing type.")?;
    let has = |d: Data| stored.iter().any(|s| s.data == d);
    for (array, singles, text) in [
        (
            Data::Gpc,
            [Data::Gpc0, Data::Gpc1],
            "'gpc' and 'gpc[0/1]' in a same table is not permitted as 'gpc' overrides 'gpc[0/1]'",
        ),
        (
            Data::GpcRate,
            [Data::Gpc0Rate, Data::Gpc1Rate],
            "'gpc_rate' and 'gpc[0/1]_rate' in a same table is not permitted as 'gpc_rate' overrides 'gpc[0/1]_rate'",
        ),
        (
            Data::Gpt,
            [Data::Gpt0, Data::Gpt0],
            "'gpt' and 'gpt0' in a same table is not permitted as 'gpt' overrides 'gpt0'",
        ),
    ] {
        if has(array) && singles.into_iter().any(has) {
            return Err(format!("stick-table: simultaneous usage of {text}."));
        }
    }
    in_order(&mut stored);
    Ok(TableSpec { name: name.to_owned(), kind, size, expire, nopurge, stored, peers })
}

/// Puts what a table stores into the order in which it is shown.
pub fn in_order(stored: &mut [Stored]) {
    stored.sort_by_key(|s| DATA.iter().position(|(_, d, _)| *d == s.data));
}

fn key_type(word: &str, args: &mut Args<'_>) -> Result<KeyType, String> {
    let mut len = |default: usize| -> Result<usize, String> {
        if !args.take("len") {
            return Ok(default);
        }
        let text = args.next().map_or("", |w| w.as_str());
        let n = text.parse().ok().filter(|n| *n > 0);
        n.ok_or_else(|| format!("stick-table: unknown type '{text}'."))
    };
    Ok(match word {
        "ip" => KeyType::Ip,
        "ipv6" => KeyType::Ipv6,
        "integer" => KeyType::Integer,
        "string" => KeyType::String(len(STRING_LEN)?),
        "binary" => KeyType::Binary(len(BINARY_LEN)?),
        other => return Err(format!("stick-table: unknown type '{other}'.")),
    })
}

fn odd(text: &str) -> char {
    text.chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ')
}

fn entries(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let bad = || format!("stick-table: unexpected character '{}' in argument of 'size'.", odd(text));
    let n: usize = text[..digits].parse().map_err(|_| bad())?;
    let shift = match &text[digits..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return Err(bad()),
    };
    Ok(n << shift)
}

fn time(text: &str, what: &str) -> Result<Option<Duration>, String> {
    let d = duration(text).ok_or_else(|| {
        format!("stick-table: unexpected character '{}' in argument of '{what}'.", odd(text))
    })?;
    Ok((!d.is_zero()).then_some(d))
}

fn store(text: &str, stored: &mut Vec<Stored>, warnings: &mut Vec<String>) -> Result<(), String> {
    for item in split(text) {
        let (name, arg) = match item.split_once('(') {
            Some((n, a)) => (n, Some(a.trim_end_matches(')'))),
            None => (item, None),
        };
        let row = DATA.iter().find(|(n, _, _)| *n == name);
        let (_, data, takes) = row.ok_or_else(|| format!("stick-table: unknown store option '{name}'."))?;
        if stored.iter().any(|s| s.data == *data) {
            warnings.push(format!("stick-table: store option '{name}' already enabled, ignored."));
            continue;
        }
        stored.push(argument(name, *data, *takes, arg)?);
    }
    Ok(())
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0usize, 0);
    let mut out = Vec::new();
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn argument(name: &str, data: Data, takes: DataArg, arg: Option<&str>) -> Result<Stored, String> {
    let bad = || format!("stick-table: error when processing store option '{name}'.");
    let period = |t: &str| duration(t).map(|d| d.as_millis() as u64).filter(|p| *p > 0).ok_or_else(bad);
    let elements = |t: &str| match t.parse::<usize>() {
        Ok(n) if (1..=ELEMENTS_MAX).contains(&n) => Ok(n),
        Ok(_) => Err(format!(
            "stick-table: array size is out of allowed range (1-{ELEMENTS_MAX}) for store option '{name}'."
        )),
        Err(_) => Err(bad()),
    };
    let (elements, period_ms) = match (takes, arg) {
        (DataArg::No, None) => (1, 0),
        (DataArg::No, Some(_)) => {
            return Err(format!("stick-table: unexpected argument to store option '{name}'."));
        }
        (_, None) => return Err(format!("stick-table: missing argument to store option '{name}'.")),
        (DataArg::Period, Some(t)) => (1, period(t)?),
        (DataArg::Elements, Some(t)) => (elements(t)?, 0),
        (DataArg::ElementsPeriod, Some(t)) => {
            let (n, p) = t.split_once(',').ok_or_else(bad)?;
            (elements(n)?, period(p)?)
        }
    };
    Ok(Stored { data, elements, period_ms })
}

/// `stick on|match|store-request|store-response EXPR [table T] [if …]`, added to the rules of a backend.
pub fn rule(
    rules: &mut StickRules,
    words: &[Word],
    keyword: &Word,
    scope: &mut Scope<'_>,
) -> Result<(), String> {
    let cut = words.iter().position(condition::opens).unwrap_or(words.len());
    let mut args = Args::new(keyword, &words[..cut]);
    let verb = args.next().map_or("", |w| w.as_str());
    if !matches!(verb, "on" | "match" | "store-request" | "store-response") {
        return Err("'stick' expects 'on', 'match', or 'store'.".into());
    }
    let text = args.peek().ok_or("'stick' expects a fetch method.")?.as_str().to_owned();
    let set = if verb == "store-response" { Set::Response } else { Set::Request };
    let expr = sample_word(&mut args, scope, set).map_err(|e| format!("'stick': {e}"))?;
    let table = if args.take("table") {
        args.next().map_or("", |w| w.as_str()).to_owned()
    } else {
        scope.proxy.to_owned()
    };
    if let Some(extra) = args.peek() {
        return Err(format!("'stick': unknown keyword '{}'.", extra.as_str()));
    }
    let owner = scope.owner();
    let table = scope.refs.table(&table, owner, Referrer::Stick(expr.output));
    let when = |scope: &mut Scope<'_>| -> Result<Option<Condition>, String> {
        if cut == words.len() {
            return Ok(None);
        }
        let blame = |e: String| format!("'stick': error detected while parsing sticking condition : {e}.");
        let tree = condition::parse(&words[cut..]).map_err(|f| blame(f.text))?;
        Condition::compile(&tree, scope).map(Some).map_err(blame)
    };
    let condition = when(scope)?;
    if verb == "on" {
        // Matched before the server is chosen, stored after.
        let again = sample(&text, scope, set).map_err(|e| format!("'stick': {e}"))?;
        let stored = StickRule { expr: again, table: Arc::clone(&table), condition: when(scope)? };
        rules.store_request.push(stored);
    }
    let rule = StickRule { expr, table, condition };
    match verb {
        "on" | "match" => rules.matches.push(rule),
        "store-request" => rules.store_request.push(rule),
        _ => rules.store_response.push(rule),
    }
    Ok(())
}

/// Adds what stick rules need to store to the tables they name.
pub fn complete(config: &mut Config) {
    let named: Vec<String> = config
        .proxies
        .iter()
        .flat_map(|p| {
            let r = &p.stick_rules;
            r.matches.iter().chain(&r.store_request).chain(&r.store_response).map(|r| r.table.name.clone())
        })
        .collect();
    let of_peers = config.peers.iter_mut().flat_map(|p| &mut p.tables);
    let specs = config.proxies.iter_mut().filter_map(|p| p.stick_table.as_mut()).chain(of_peers);
    for spec in specs.filter(|s| named.contains(&s.name)) {
        for data in [Data::ServerId, Data::ServerKey] {
            if !spec.stored.iter().any(|s| s.data == data) {
                spec.stored.push(Stored { data, elements: 1, period_ms: 0 });
            }
        }
        in_order(&mut spec.stored);
    }
}
