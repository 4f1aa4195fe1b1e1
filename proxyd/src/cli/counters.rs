//! `clear counters`.

use super::{Answer, Call};
use crate::config::model::{Level, Roster};
use crate::runtime::Generation;
use crate::stats::{BackCounters, FrontCounters};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// `clear counters [all]`: maxima, or everything; the latter needs the admin level.
pub fn clear(call: &mut Call<'_>) -> Answer {
    if call.word(2) == "server" {
        return clear_server(call);
    }
    let all = call.word(2) == "all";
    if all && call.session.level < Level::Admin {
        return Answer::error("Permission denied\n");
    }
    let generation = call.generation;
    everything(generation, all);
    if all {
        // A sum that was under way may have taken the place of a zero.
        everything(generation, all);
    }
    Answer::Done
}

fn everything(generation: &Generation, all: bool) {
    for state in &generation.proxies {
        front(&state.front, all);
        state.listeners.iter().for_each(|l| front(l, all));
        back(&state.back, all);
        if all {
            state.down_transitions.store(0, Relaxed);
        }
    }
    for state in generation.servers.iter().flat_map(Roster::iter) {
        back(&state.counters, all);
        if all {
            let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
            (detail.failed_checks, detail.failed_hana, detail.down_transitions) = (0, 0, 0);
        }
    }
    let process = &generation.board.process;
    for rate in [&process.conn_rate, &process.sess_rate, &process.ssl_rate] {
        rate.clear_max();
    }
}

/// `clear counters server BACKEND/SERVER [force]` of later versions: everything of one server. There are no
/// counters shared with other processes, which `force` is about.
fn clear_server(call: &mut Call<'_>) -> Answer {
    if call.session.level < Level::Admin {
        return Answer::error("Permission denied\n");
    }
    let (proxy, server) = match super::server::find(call, 3) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let state = call.generation.server(proxy, server);
    for _ in 0..2 {
        back(&state.counters, true); // twice, as above
    }
    let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    (detail.failed_checks, detail.failed_hana, detail.down_transitions) = (0, 0, 0);
    Answer::info("Server counters cleared.\n")
}

fn front(counters: &FrontCounters, all: bool) {
    if all {
        counters.clear_all();
    }
    counters.max_conn.store(counters.cur_conn.load(Relaxed), Relaxed);
    for rate in [&counters.rates.conn, &counters.rates.sess, &counters.rates.req] {
        rate.clear_max();
    }
}

fn back(counters: &BackCounters, all: bool) {
    if all {
        counters.clear_all();
    }
    counters.max_sess.store(counters.cur_sess.load(Relaxed), Relaxed);
    counters.queue_max.store(counters.queue_cur.load(Relaxed), Relaxed);
    let rates = &counters.rates;
    rates.sess.clear_max();
    for average in [&rates.queue_ms, &rates.connect_ms, &rates.response_ms, &rates.total_ms] {
        average.clear_max();
    }
}
