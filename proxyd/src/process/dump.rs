//! What SIGHUP makes the process tell about its servers.

use crate::config::model::ProxyId;
use crate::runtime::Generation;
use crate::runtime::transitions::usable;
use std::sync::atomic::Ordering::Relaxed;

/// The line of the command line's own frontend, which is before all others and counts nothing.
pub const GLOBAL: &str =
    "SIGHUP: Proxy GLOBAL has no servers. Conn: act(FE+BE): 0+0, 0 pend (0 unass), tot(FE+BE): 0+0.";

/// One line for each server, then one for its proxy, in haproxy's words.
pub fn lines(generation: &Generation) -> Vec<String> {
    let mut out = Vec::new();
    for (index, proxy) in generation.config.proxies.iter().enumerate() {
        for (at, server) in proxy.shown_servers() {
            let state = generation.server(ProxyId(index), at);
            let status = if state.is_up() { "UP" } else { "DOWN" };
            let now = state.sessions.load(Relaxed);
            let all = state.counters.cum_sess.load(Relaxed);
            let queued = state.counters.queue_cur.load(Relaxed);
            out.push(format!(
                "SIGHUP: Server {}/{} is {status}. Conn: {now} act, {queued} pend, {all} tot.",
                proxy.name, server.name
            ));
        }
        let state = &generation.proxies[index];
        let (front, back) = (&state.front, &state.back);
        let conn = format!(
            "Conn: act(FE+BE): {}+{}, {} pend ({} unass), tot(FE+BE): {}+{}.",
            front.cur_conn.load(Relaxed),
            back.cur_sess.load(Relaxed),
            back.queue_cur.load(Relaxed),
            back.queue_cur.load(Relaxed),
            front.cum_conn.load(Relaxed),
            back.cum_sess.load(Relaxed),
        );
        let what = match usable(generation, ProxyId(index)) {
            _ if proxy.shown_servers().is_empty() => "has no servers.".into(),
            (0, 0) => "has no server available !".into(),
            (0, backups) => format!("is running on {backups} backup servers."),
            (active, backups) => {
                format!("has {active} active servers and {backups} backup servers available.")
            }
        };
        out.push(format!("SIGHUP: Proxy {} {what} {conn}", proxy.name));
    }
    out
}
