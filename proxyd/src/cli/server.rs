//! Commands about servers.

use super::{Answer, Call};
use crate::config::model::{ProxyId, Server, ServerId};
use crate::resolve::Request;
use crate::runtime::board::{ServerDetail, ServerState, admin, oper};
use crate::runtime::transitions::{self, Wanted};
use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
                     check-addr | check-port | fqdn | health | ssl | state | weight\n";

type Found = (ProxyId, ServerId);

/// The server that `backend/server` names; both may be numbers behind `#`.
pub fn find(call: &Call<'_>, word: usize) -> Result<Found, Answer> {
    let Some((backend, server)) = call.word(word).split_once('/') else {
        return Err(Answer::error("Require 'backend/server'.\n"));
    };
    if server.is_empty() {
        return Err(Answer::error("Require 'backend/server'.\n"));
    }
    let proxies = &call.generation.config.proxies;
    let proxy = proxies.iter().position(|p| {
        p.kind.is_back() && backend.strip_prefix('#').map_or(p.name == backend, |id| p.uuid.to_string() == id)
    });
    let Some(proxy) = proxy else { return Err(Answer::error("No such backend.\n")) };
    let is_meant =
        |s: &Server| server.strip_prefix('#').map_or(s.name == server, |id| s.uuid.to_string() == id);
    let found = proxies[proxy].shown_servers().into_iter().find(|(_, s)| is_meant(s));
    found.map(|(id, _)| (ProxyId(proxy), id)).ok_or_else(|| Answer::error("No such server.\n"))
}

fn config<'a>(call: &Call<'a>, found: Found) -> &'a Server {
    &call.generation.config.proxies[found.0.0].servers[found.1.0]
}

fn state<'a>(call: &Call<'a>, found: Found) -> &'a ServerState {
    &call.generation.servers[found.0.0][found.1.0]
}

fn with_detail<T>(call: &Call<'_>, found: Found, f: impl FnOnce(&mut ServerDetail) -> T) -> T {
    f(&mut state(call, found).detail.lock().unwrap_or_else(PoisonError::into_inner))
}

macro_rules! server {
    ($call:expr, $word:expr) => {
        match find($call, $word) {
            Ok(found) => found,
            Err(answer) => return answer,
        }
    };
}

fn set_state(call: &mut Call<'_>, found: Found, wanted: Wanted) -> Answer {
    transitions::set_admin(call.generation, found.0, found.1, wanted, call.notices);
    Answer::Done
}

/// `disable server`.
pub fn disable(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    set_state(call, found, Wanted::Maint)
}

/// `enable server`.
pub fn enable(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    let was = call.generation.servers[found.0.0][found.1.0].in_maintenance();
    if was { set_state(call, found, Wanted::Ready) } else { Answer::Done }
}

/// `disable health`.
pub fn disable_health(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    with_detail(call, found, |d| {
        d.check.paused = true;
        d.check.enabled = false;
    });
    Answer::Done
}

/// `enable health`.
pub fn enable_health(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    let known = with_detail(call, found, |d| {
        d.check.enabled = d.check.configured;
        d.check.paused = false;
        d.check.configured
    });
    if known {
        Answer::Done
    } else {
        Answer::error("Health check was not configured on this server, cannot enable.\n")
    }
}

/// `disable agent`.
pub fn disable_agent(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    with_detail(call, found, |d| d.agent.enabled = false);
    Answer::Done
}

/// `enable agent`.
pub fn enable_agent(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    let known = with_detail(call, found, |d| {
        d.agent.enabled = d.agent.configured;
        d.agent.configured
    });
    if known {
        Answer::Done
    } else {
        Answer::error("Agent was not configured on this server, cannot enable.\n")
    }
}

/// `get weight`.
pub fn get_weight(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    let state = state(call, found);
    let (now, initial) = (state.user_weight.load(Relaxed), state.initial_weight.load(Relaxed));
    Answer::Dump(format!("{now} (initial {initial})\n"))
}

/// `set weight`.
pub fn set_weight(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    weight(call, found, 3)
}

fn weight(call: &mut Call<'_>, found: Found, word: usize) -> Answer {
    let text = call.word(word);
    if text.is_empty() {
        return Answer::error("Require <weight> or <weight%>.\n");
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    if end == 0 {
        return Answer::error("Empty weight string empty or preceded by garbage");
    }
    let digits = &text[..text.len() - unsigned.len() + end];
    let number: i64 = digits.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
    let initial = i64::from(state(call, found).initial_weight.load(Relaxed));
    let new = match &text[digits.len()..] {
        "%" if number < 0 => return Answer::error("Relative weight must be positive.\n"),
        "%" => (initial.saturating_mul(number) / 100).min(256),
        "" if (0..=256).contains(&number) => number,
        "" => return Answer::error("Absolute weight can only be between 0 and 256 inclusive.\n"),
        _ => return Answer::error("Trailing garbage in weight string"),
    };
    if crate::balance::is_static(&call.generation.proxy(found.0).balance) && new != 0 && new != initial {
        return Answer::error(
            "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n",
        );
    }
    transitions::set_weight(call.generation, found, new as u32, call.notices);
    Answer::Done
}

/// `set maxconn server`.
pub fn set_maxconn(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 3);
    let text = call.word(4);
    if text.is_empty() {
        return Answer::error("Require <maxconn>.\n");
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Answer::error("maxconn string empty or preceded by garbage");
    }
    match text.parse::<u32>() {
        Ok(limit) => {
            state(call, found).maxconn.store(limit, Relaxed);
            Answer::Done
        }
        Err(_) => Answer::error("Trailing garbage in maxconn string"),
    }
}

/// `set server BACKEND/SERVER …`.
pub fn set(call: &mut Call<'_>) -> Answer {
    let found = server!(call, 2);
    match call.word(3) {
        "weight" => weight(call, found, 4),
        "state" => match call.word(4) {
            "ready" => set_state(call, found, Wanted::Ready),
            "drain" => set_state(call, found, Wanted::Drain),
            "maint" => set_state(call, found, Wanted::Maint),
            _ => Answer::error("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"),
        },
        "health" => health(call, found),
        "agent" => agent(call, found),
        "agent-addr" => agent_address(call, found),
        "agent-port" => port(call, found, |d, port| d.agent.port = Some(port), "agent"),
        "agent-send" => agent_send(call, found),
        "check-addr" => check_address(call, found),
        "check-port" => port(call, found, |d, port| d.check.port = Some(port), "check"),
        "addr" => address(call, found),
        "fqdn" => fqdn(call, found),
        "ssl" => ssl(call, found),
        _ => Answer::error(USAGE),
    }
}

fn health(call: &mut Call<'_>, found: Found) -> Answer {
    if config(call, found).track.is_some() {
        return Answer::error("cannot change health on a tracking server.\n");
    }
    let new = match call.word(4) {
        "up" => oper::RUNNING,
        "stopping" => oper::STOPPING,
        "down" => oper::STOPPED,
        _ => return Answer::error("'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"),
    };
    transitions::force_health(call.generation, found.0, found.1, new, call.notices);
    Answer::Done
}

fn agent(call: &mut Call<'_>, found: Found) -> Answer {
    if !with_detail(call, found, |d| d.agent.enabled) {
        return Answer::error("agent checks are not enabled on this server.\n");
    }
    let up = match call.word(4) {
        "up" => true,
        "down" => false,
        _ => return Answer::error("'set server <srv> agent' expects 'up' or 'down'.\n"),
    };
    transitions::force_agent(call.generation, found, up, call.notices);
    Answer::Done
}

/// The address in a command's fifth word, as haproxy complains of it.
fn address_word(call: &Call<'_>, what: &str) -> Result<IpAddr, Answer> {
    let text = call.word(4);
    if text.is_empty() {
        return Err(Answer::error(format!(
            "set server <b>/<s> {what} requires an address and optionally a port.\n"
        )));
    }
    text.parse().map_err(|_| Answer::error(format!("invalid addr '{text}'")))
}

/// `port N` behind an address.
fn port_words(call: &Call<'_>) -> Result<Option<u16>, Answer> {
    if call.word(5) != "port" {
        return Ok(None);
    }
    port_number(call.word(6)).map(Some)
}

fn port_number(text: &str) -> Result<u16, Answer> {
    let number = text.parse::<i64>().ok().filter(|_| !text.starts_with('+'));
    let number = number.ok_or_else(|| Answer::error("provided port is not an integer"))?;
    // None is the server's own.
    u16::try_from(number).map_err(|_| Answer::error("provided port is invalid"))
}

fn agent_address(call: &Call<'_>, found: Found) -> Answer {
    let (ip, port) = match address_word(call, "agent-addr").and_then(|ip| Ok((ip, port_words(call)?))) {
        Ok(words) => words,
        Err(answer) => return answer,
    };
    if !with_detail(call, found, |d| d.agent.configured) {
        return Answer::error("agent checks are not enabled on this server");
    }
    with_detail(call, found, |d| {
        d.agent.address = Some(ip);
        d.agent.port = port.or(d.agent.port);
    });
    Answer::Done
}

fn agent_send(call: &Call<'_>, found: Found) -> Answer {
    if !with_detail(call, found, |d| d.agent.configured) {
        return Answer::error("agent checks are not enabled on this server.\n");
    }
    with_detail(call, found, |d| d.agent.send = Some(call.word(4).to_owned()));
    Answer::Done
}

fn check_address(call: &Call<'_>, found: Found) -> Answer {
    let (ip, port) = match address_word(call, "check-addr").and_then(|ip| Ok((ip, port_words(call)?))) {
        Ok(words) => words,
        Err(answer) => return answer,
    };
    if !with_detail(call, found, |d| d.check.configured) {
        return Answer::error("health checks are not enabled on this server");
    }
    with_detail(call, found, |d| {
        d.check.address = Some(ip);
        d.check.port = port.or(d.check.port);
    });
    Answer::Done
}

fn port(call: &Call<'_>, found: Found, store: fn(&mut ServerDetail, u16), what: &str) -> Answer {
    let known =
        with_detail(call, found, |d| if what == "agent" { d.agent.configured } else { d.check.configured });
    if !known {
        return Answer::error(if what == "agent" {
            "agent checks are not enabled on this server"
        } else {
            "health checks are not enabled on this server"
        });
    }
    if call.word(4).is_empty() {
        return Answer::error(format!("set server <b>/<s> {what}-port requires a port.\n"));
    }
    match port_number(call.word(4)) {
        Ok(port) => {
            with_detail(call, found, |d| store(d, port));
            Answer::Done
        }
        Err(answer) => answer,
    }
}

fn address(call: &Call<'_>, found: Found) -> Answer {
    let text = call.word(4);
    if text.is_empty() {
        return Answer::error("set server <b>/<s> addr requires an address and optionally a port.\n");
    }
    let by = " by 'stats socket command'\n";
    let Ok(ip) = text.parse::<IpAddr>() else { return Answer::error(format!("Invalid addr '{text}'{by}")) };
    with_detail(call, found, |detail| {
        let (old_ip, old_port) = (detail.address.map(|a| a.ip()), detail.port);
        let ip_part = match old_ip {
            Some(old) if old == ip => "no need to change the addr".to_owned(),
            Some(old) => format!("IP changed from '{old}' to '{ip}'"),
            None => format!("IP changed from '' to '{ip}'"),
        };
        let (port, port_part) = match (call.word(5), call.word(6)) {
            ("port", text) => match text.parse::<i64>().ok().and_then(|n| u16::try_from(n).ok()) {
                None if text.parse::<i64>().is_ok() => {
                    return Answer::error(format!("{ip_part}, provided port is not valid{by}"));
                }
                None => {
                    let fault = format!("problem converting port '{text}' to an int");
                    return Answer::error(format!("{ip_part}, {fault}{by}"));
                }
                Some(new) if new == old_port => (new, ", no need to change the port".to_owned()),
                Some(new) => (new, format!(", port changed from '{old_port}' to '{new}'")),
            },
            _ => (old_port, String::new()),
        };
        let new = SocketAddr::new(ip, port);
        if detail.address.replace(new) != Some(new) {
            state(call, found).moves.fetch_add(1, Relaxed);
        }
        detail.port = port;
        Answer::info(format!("{ip_part}{port_part}{by}"))
    })
}

fn fqdn(call: &Call<'_>, found: Found) -> Answer {
    let name = call.word(4);
    if name.is_empty() {
        return Answer::error("set server <b>/<s> fqdn requires a FQDN.\n");
    }
    let config = config(call, found);
    if config.resolvers.is_none() {
        return Answer::error("set server <b>/<s> fqdn failed because no resolution is configured.\n");
    }
    if config.srv_record.is_some() {
        return Answer::error("set server <b>/<s> fqdn failed because SRV resolution is configured.\n");
    }
    let old = with_detail(call, found, |d| d.fqdn.replace(name.to_owned()));
    let server = format!("{}/{}", call.generation.proxy(found.0).name, config.name);
    if old.as_deref() == Some(name) {
        return Answer::info("no need to change the FDQN by 'stats socket command'\n");
    }
    state(call, found).admin.fetch_or(admin::RENAMED, Relaxed);
    call.generation.board.resolvers.send(Request::Renamed(found));
    let old = old.as_deref().unwrap_or("(null)").to_owned();
    Answer::info(format!("{server} changed its FQDN from {old} to {name} by 'stats socket command'\n"))
}

fn ssl(call: &Call<'_>, found: Found) -> Answer {
    if config(call, found).tls.is_none() {
        return Answer::error(
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings\n",
        );
    }
    match call.word(4) {
        word @ ("on" | "off") => {
            state(call, found).tls_switch.store(if word == "on" { 2 } else { 1 }, Relaxed);
            state(call, found).moves.fetch_add(1, Relaxed);
            Answer::Done
        }
        _ => Answer::error("'set server <srv> ssl' expects 'on' or 'off'.\n"),
    }
}
