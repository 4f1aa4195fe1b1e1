//! `show servers state` (the server-state file's format) and `show servers conn`.

use super::{Answer, Call};
use crate::config::model::{MapPorts, Proxy, ProxyId, Server, ServerAddress};
use crate::runtime::Generation;
use crate::runtime::board::{CheckState, ServerDetail, ServerState, admin};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

const STATE_HEADER: &str = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
    srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
    srv_check_addr srv_agent_addr srv_agent_port\n";

/// Numbers of check statuses in the state file, by name (management manual, "show servers state").
const STATUS_NUMBERS: [(&str, u32); 17] = [
    ("CHECKED", 3),
    ("HANA", 4),
    ("SOCKERR", 5),
    ("L4OK", 6),
    ("L4TOUT", 7),
    ("L4CON", 8),
    ("L6OK", 9),
    ("L6TOUT", 10),
    ("L6RSP", 11),
    ("L7TOUT", 12),
    ("L7RSP", 13),
    ("L7OK", 15),
    ("L7OKC", 16),
    ("L7STS", 17),
    ("PROCERR", 18),
    ("PROCTOUT", 19),
    ("PROCOK", 20),
];

/// The servers a command is about: of all backends or of one.
fn backends(call: &Call<'_>) -> Result<Vec<ProxyId>, Answer> {
    let name = call.word(3);
    let proxies = &call.generation.config.proxies;
    let found: Vec<_> = (0..proxies.len())
        .filter(|i| proxies[*i].kind.is_back() && (name.is_empty() || proxies[*i].name == name))
        .map(ProxyId)
        .collect();
    if found.is_empty() && !name.is_empty() {
        return Err(Answer::error("Can't find backend.\n"));
    }
    Ok(found)
}

/// `show servers state [BACKEND]`.
pub fn state(call: &mut Call<'_>) -> Answer {
    match backends(call) {
        Ok(ids) => Answer::Dump(state_text(call.generation, &ids)),
        Err(answer) => answer,
    }
}

/// The state of all servers of these backends, as the server-state file has it.
pub fn state_text(generation: &Generation, backends: &[ProxyId]) -> String {
    let mut out = format!("1\n{STATE_HEADER}");
    let now = generation.board.clock().wall_s;
    for id in backends {
        let proxy = &generation.config.proxies[id.0];
        for (at, server) in proxy.shown_servers() {
            let state = generation.server(*id, at);
            state_line(&mut out, proxy, server, state, now);
        }
    }
    out
}

fn state_line(out: &mut String, proxy: &Proxy, server: &Server, state: &ServerState, now: u64) {
    let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    let check = &detail.check;
    let status = STATUS_NUMBERS.iter().find(|(name, _)| *name == check.status).map_or(1, |(_, n)| *n);
    let result = match check.status {
        "" => 0,
        "L7OKC" => 4,
        "L4OK" | "L6OK" | "L7OK" | "PROCOK" => 3,
        _ => 2,
    };
    let configured_off = state.admin.load(Relaxed) & admin::CONFIGURED_MAINT != 0;
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let (agent_address, agent_port) = agent_target(server, &detail);
    let _ = writeln!(
        out,
        "{} {} {} {} {} {} {} {} {} {} {status} {result} {} {} {} {} {} {} {} {} {} {} {} {} {}",
        proxy.uuid,
        proxy.name,
        server.uuid,
        server.name,
        shown_address(server, &detail),
        state.oper.load(Relaxed),
        state.admin.load(Relaxed),
        state.user_weight.load(Relaxed),
        state.initial_weight.load(Relaxed),
        now.saturating_sub(detail.last_change),
        check.health,
        check_bits(check, state.in_maintenance(), configured_off, false),
        check_bits(&detail.agent, false, configured_off, true),
        0,
        u8::from(server.forced_id),
        dash(detail.fqdn.clone()),
        shown_port(server, &detail),
        dash(server.srv_record.clone()),
        u8::from(state.uses_tls(server.tls.as_ref().is_some_and(|t| t.enabled))),
        check.port.or(server.check.port).unwrap_or(0),
        dash(check.address.or(server.check.addr).map(|a| a.to_string())),
        dash(agent_address),
        agent_port,
    );
}

fn shown_address(server: &Server, detail: &ServerDetail) -> String {
    match (&detail.address, &server.address) {
        (Some(address), _) => address.ip().to_string(),
        (None, ServerAddress::Destination(_)) => Ipv4Addr::UNSPECIFIED.to_string(),
        _ => "-".into(),
    }
}

/// The port, or what is added to the client's.
fn shown_port(server: &Server, detail: &ServerDetail) -> u16 {
    match server.map_ports {
        MapPorts::Offset(offset) if detail.port == 0 => offset as u16,
        _ => detail.port,
    }
}

/// Where the agent is asked, as far as it was told.
fn agent_target(server: &Server, detail: &ServerDetail) -> (Option<String>, u16) {
    let address = detail.agent.address.or(server.agent.addr).map(|a| a.to_string());
    (address, detail.agent.port.or(server.agent.port).unwrap_or(0))
}

/// In progress 1, configured 2, enabled 4, paused 8, agent 16.
fn check_bits(check: &CheckState, paused: bool, configured_off: bool, agent: bool) -> u32 {
    if !check.configured {
        // Only `disabled` of the configuration pauses what is not there.
        return if configured_off && !agent { 8 } else { 0 };
    }
    u32::from(check.running)
        | 2
        | if check.enabled { 4 } else { 0 }
        | if paused && (check.enabled || check.held) || check.paused { 8 } else { 0 }
        | if agent { 16 } else { 0 }
}

/// `show servers conn [BACKEND]`.
pub fn connections(call: &mut Call<'_>) -> Answer {
    let ids = match backends(call) {
        Ok(ids) => ids,
        Err(answer) => return answer,
    };
    let generation = call.generation;
    let threads = generation.board.info.nbthread;
    let mut out = format!(
        "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim \
         idle_cur idle_per_thr[{threads}]\n"
    );
    for id in ids {
        let proxy = &generation.config.proxies[id.0];
        for (at, server) in proxy.shown_servers() {
            let state = generation.server(id, at);
            let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
            let (safe, unsafe_idle) = (state.idle[0].load(Relaxed), state.idle[1].load(Relaxed));
            let _ = write!(
                out,
                "{}/{} {}/{} {} {} - {} {} {} {} {unsafe_idle} {safe} {} {}",
                proxy.name,
                server.name,
                proxy.uuid,
                server.uuid,
                shown_address(server, &detail),
                shown_port(server, &detail),
                server.pool_purge_delay.as_millis(),
                state.used.load(Relaxed),
                state.counters.max_sess.load(Relaxed),
                state.need.load(Relaxed),
                server.pool_max_conn,
                safe + unsafe_idle,
            );
            // Idle connections belong to the thread that made them; only their sum is shared.
            for thread in 0..threads {
                let _ = write!(out, " {}", if thread == 0 { safe + unsafe_idle } else { 0 });
            }
            out.push('\n');
        }
    }
    Answer::Dump(out)
}
