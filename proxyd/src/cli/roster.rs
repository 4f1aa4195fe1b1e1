//! `add server` and `del server`, and cookies made of servers' addresses (management manual, 9.3).

use super::{Answer, Call, CommandRow, row};
use crate::config::dynamic::{self, Around};
use crate::config::model::{Level, Proxy, ProxyId};
use crate::runtime::roster::{self, Refusal};
use crate::runtime::transitions::{self, Notice};

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(&["add", "server"], "add server <bk>/<srv>", "create a new server", Level::Admin, add),
    row(
        &["del", "server"],
        "del server <bk>/<srv>",
        "remove a dynamically added server",
        Level::Admin,
        delete,
    ),
    row(
        &["disable", "dynamic-cookie", "backend"],
        "disable dynamic-cookie backend <bk>",
        "disable dynamic cookies on a specific backend",
        Level::Admin,
        |call| cookies(call, false),
    ),
    row(
        &["enable", "dynamic-cookie", "backend"],
        "enable dynamic-cookie backend <bk>",
        "enable dynamic cookies on a specific backend",
        Level::Admin,
        |call| cookies(call, true),
    ),
    row(
        &["set", "dynamic-cookie-key", "backend"],
        "set dynamic-cookie-key backend <bk> <k>",
        "change a backend secret key for dynamic cookies",
        Level::Admin,
        cookie_key,
    ),
];

/// The backend that a command names.
fn backend(call: &Call<'_>) -> Result<ProxyId, Answer> {
    let name = call.word(3);
    if name.is_empty() {
        return Err(Answer::error("A backend name is expected.\n"));
    }
    let proxies = &call.generation.config.proxies;
    let meant = |p: &Proxy| match name.strip_prefix('#') {
        Some(id) => p.uuid.to_string() == id,
        None => p.name == name,
    };
    let found = proxies.iter().position(|p| p.kind.is_back() && meant(p));
    found.map(ProxyId).ok_or_else(|| Answer::error("No such backend.\n"))
}

/// `enable|disable dynamic-cookie backend NAME`.
fn cookies(call: &Call<'_>, on: bool) -> Answer {
    match backend(call) {
        Ok(id) => call.generation.proxies[id.0].cookies.set_on(on),
        Err(answer) => return answer,
    }
    Answer::Done
}

/// `set dynamic-cookie-key backend NAME KEY`.
fn cookie_key(call: &mut Call<'_>) -> Answer {
    let id = match backend(call) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let key = call.word(4);
    if key.is_empty() {
        return Answer::error("String value expected.\n");
    }
    call.generation.proxies[id.0].cookies.set_key(key);
    Answer::Done
}

/// The backend and the name behind it. These texts end without a line end, as in haproxy.
fn parts<'a>(call: &Call<'a>) -> Result<(ProxyId, &'a str), Answer> {
    let word = call.word(2);
    let Some((backend, server)) = word.split_once('/').filter(|(_, server)| !server.is_empty()) else {
        return Err(Answer::error("Require 'backend/server'."));
    };
    let proxies = &call.generation.config.proxies;
    let is_meant = |p: &Proxy| match backend.strip_prefix('#') {
        Some(id) => p.uuid.to_string() == id,
        None => p.name == backend,
    };
    let found = proxies.iter().position(|p| p.kind.is_back() && is_meant(p));
    found.map(|p| (ProxyId(p), server)).ok_or_else(|| Answer::error("No such backend."))
}

/// Says it on stderr, too.
fn tell(call: &mut Call<'_>, level: transitions::Level, proxy: ProxyId, text: String) {
    call.notices.push(Notice { level, proxy, stderr: text, log: String::new() });
}

fn add(call: &mut Call<'_>) -> Answer {
    let (backend, name) = match parts(call) {
        Ok(parts) => parts,
        Err(answer) => return answer,
    };
    if !roster::is_open(call.generation, backend) {
        return Answer::error("Backend must use a dynamic load balancing to support dynamic servers.");
    }
    let config = &call.generation.config;
    let place = format!("'server {}/{name}'", config.proxies[backend.0].name);
    let around = Around { global: &config.global, proxies: &config.proxies, backend };
    let words = call.words.get(3..).unwrap_or_default();
    let made = dynamic::server(&around, name, words).and_then(|server| {
        if config.proxies[backend.0].server_named(name.as_bytes()).is_some() {
            return Err("Already exists a server with the same name in backend.".to_owned());
        }
        let enabled = words.contains(&"enabled");
        let full = || "no more servers can be added to this backend before a reload.".to_owned();
        roster::add(call.generation, backend, server, enabled).ok_or_else(full)
    });
    match made {
        Ok(_) => {
            let text = "New server registered.";
            tell(call, transitions::Level::Told, backend, format!("{place} : {text}"));
            Answer::info(format!("{text}\n"))
        }
        Err(text) => {
            // The original has no name yet where it complains of these.
            let nameless = text.starts_with("'server' expects") || text.starts_with("character '");
            let said = if nameless { text.clone() } else { format!("{place} : {text}") };
            tell(call, transitions::Level::Emergency, backend, said);
            Answer::error(format!("{text}\n"))
        }
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let (backend, name) = match parts(call) {
        Ok(parts) => parts,
        Err(answer) => return answer,
    };
    let Some(server) = call.generation.proxy(backend).server_named(name.as_bytes()) else {
        return Answer::error("No such server.");
    };
    let fault = match roster::delete(call.generation, (backend, server)) {
        Ok(()) => {
            let text = "Server deleted.";
            tell(call, transitions::Level::Told, backend, text.into());
            return Answer::info(text);
        }
        Err(Refusal::Referenced) => {
            "This server cannot be removed at runtime due to other configuration elements pointing to it."
        }
        Err(Refusal::InService) => "Only servers in maintenance mode can be deleted.",
        Err(Refusal::InUse) => "Server still has connections attached to it, cannot remove it.",
    };
    Answer::error(fault)
}
