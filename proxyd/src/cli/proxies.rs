//! Commands about frontends and the whole process.

use super::{Answer, Call};
use crate::config::model::{Kind, ProxyId};
use crate::runtime::transitions::{Level, Notice};
use std::sync::atomic::Ordering::Relaxed;

fn frontend(call: &Call<'_>, word: usize) -> Result<ProxyId, Answer> {
    let name = call.word(word);
    if name.is_empty() {
        return Err(Answer::error("A frontend name is expected.\n"));
    }
    let proxies = &call.generation.config.proxies;
    let found = match name.strip_prefix('#') {
        Some(id) => proxies.iter().position(|p| p.kind.is_front() && p.uuid.to_string() == id),
        None => proxies.iter().position(|p| p.kind.is_front() && p.name == name),
    };
    found.map(ProxyId).ok_or_else(|| Answer::error("No such frontend.\n"))
}

fn notice(call: &mut Call<'_>, proxy: ProxyId, text: String) {
    call.notices.push(Notice { level: Level::Notice, proxy, stderr: text.clone(), log: text });
}

/// SIGTTOU and SIGTTIN: no section takes connections any more, or all do again. What is to be said of it.
pub fn pause_all(generation: &crate::runtime::Generation, pause: bool) -> Vec<Notice> {
    let done = if pause { "Paused" } else { "Resumed" };
    let mut notices = Vec::new();
    for (index, (proxy, state)) in generation.config.proxies.iter().zip(&generation.proxies).enumerate() {
        let listens = !proxy.binds.is_empty() && !proxy.disabled && !state.shut.load(Relaxed);
        if listens && state.stopped.swap(pause, Relaxed) != pause {
            let text = format!("{done} {} {}.", noun(proxy.kind), proxy.name);
            let (stderr, log) = (text.clone(), text);
            notices.push(Notice { level: Level::Notice, proxy: ProxyId(index), stderr, log });
        }
    }
    generation.board.limits_changed.notify_waiters();
    notices
}

/// How a section is called in these messages.
fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Frontend => "frontend",
        Kind::Backend => "backend",
        Kind::Listen => "proxy",
    }
}

/// `disable frontend`: stops accepting, keeps the sockets.
pub fn disable(call: &mut Call<'_>) -> Answer {
    let id = match frontend(call, 2) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let state = &call.generation.proxies[id.0];
    if state.shut.load(Relaxed) {
        return Answer::info("Frontend was previously shut down, cannot disable.\n");
    }
    if state.stopped.swap(true, Relaxed) {
        return Answer::info("All sockets are already disabled.\n");
    }
    call.generation.board.limits_changed.notify_waiters();
    let proxy = &call.generation.config.proxies[id.0];
    let text = format!("Paused {} {}.", noun(proxy.kind), proxy.name);
    notice(call, id, text);
    Answer::Done
}

/// `enable frontend`.
pub fn enable(call: &mut Call<'_>) -> Answer {
    let id = match frontend(call, 2) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let state = &call.generation.proxies[id.0];
    if state.shut.load(Relaxed) {
        return Answer::error("Frontend was previously shut down, cannot enable.\n");
    }
    if !state.stopped.swap(false, Relaxed) {
        return Answer::info("All sockets are already enabled.\n");
    }
    call.generation.board.limits_changed.notify_waiters();
    let proxy = &call.generation.config.proxies[id.0];
    let text = format!("Resumed {} {}.", noun(proxy.kind), proxy.name);
    notice(call, id, text);
    Answer::Done
}

/// `shutdown frontend`: stops for good; the addresses are free again.
pub fn shutdown(call: &mut Call<'_>) -> Answer {
    let id = match frontend(call, 2) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let state = &call.generation.proxies[id.0];
    if state.shut.swap(true, Relaxed) {
        return Answer::error("Frontend was already shut down.\n");
    }
    state.stopped.store(true, Relaxed);
    let (fe, be) = (state.front.cum_conn.load(Relaxed), state.back.cum_sess.load(Relaxed));
    call.generation.board.limits_changed.notify_waiters();
    let name = call.generation.config.proxies[id.0].name.clone();
    notice(call, id, format!("Proxy {name} stopped (cumulated conns: FE: {fe}, BE: {be})."));
    Answer::Done
}

/// `set maxconn frontend NAME VALUE`.
pub fn set_maxconn(call: &mut Call<'_>) -> Answer {
    let id = match frontend(call, 3) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    match call.word(4) {
        "" => Answer::error("Integer value expected.\n"),
        // As atoi() reads it: what is no number is 0, which lifts the limit.
        text => match leading_number(text) {
            Some(value) => {
                call.generation.proxies[id.0].maxconn.store(value, Relaxed);
                call.generation.board.limits_changed.notify_waiters();
                Answer::Done
            }
            None => Answer::error("Value out of range.\n"),
        },
    }
}

fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { (!text.starts_with('-')).then_some(0) } else { digits.parse().ok() }
}

/// `set maxconn global VALUE`; 0 goes back to the start's limit.
pub fn set_maxconn_global(call: &mut Call<'_>) -> Answer {
    let info = &call.generation.board.info;
    // As atoi() reads it: what is no number is 0.
    match leading_number(call.word(3)).ok_or(()) {
        _ if call.word(3).is_empty() => Answer::error("Expects an integer value.\n"),
        Ok(value) if value <= info.hard_maxconn => {
            info.maxconn.store(if value == 0 { info.hard_maxconn } else { value }, Relaxed);
            call.generation.board.limits_changed.notify_waiters();
            Answer::Done
        }
        Ok(_) | Err(()) => Answer::error("Value out of range.\n"),
    }
}
