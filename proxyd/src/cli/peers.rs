//! `show peers`: the peers of each section, and how far each table is with them.

use super::{Answer, Call};
use crate::peers::status::{Peer, Section, State, look};
use crate::runtime::Generation;
use crate::stick::table::DATA;
use std::fmt::Write;
use std::time::Instant;
use sys::clock::local;

/// Names in a row of a dictionary, and rows.
const NAMES: (usize, usize) = (4, 32);

/// `show peers [dict|-] [SECTION]`.
pub fn show(call: &mut Call<'_>) -> Answer {
    let dict = call.word(2) == "dict";
    let wanted = if dict || call.word(2) == "-" { call.word(3) } else { call.word(2) };
    let sections = call.generation.board.peers.sections();
    if !wanted.is_empty() && !sections.iter().any(|s| look(s).name == wanted) {
        return Answer::error("No such peers\n");
    }
    let mut out = String::new();
    for (n, section) in sections.iter().enumerate() {
        let section = look(section);
        if wanted.is_empty() || section.name == wanted {
            one(&mut out, call.generation, n, &section, dict);
        }
    }
    Answer::Dump(out)
}

/// A time ahead or behind, as haproxy tells it.
fn ahead(at: Option<Instant>, now: Instant) -> String {
    match at {
        None => "<NEVER>".into(),
        Some(at) if at <= now => "<PAST>".into(),
        Some(at) => format!("{}s", (at - now).as_secs()),
    }
}

fn one(out: &mut String, generation: &Generation, n: usize, section: &Section, dict: bool) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = Instant::now();
    let date = local(std::time::SystemTime::now());
    let month = MONTHS.get(usize::from(date.month).saturating_sub(1)).unwrap_or(&"");
    let _ = writeln!(
        out,
        "{:#x}: [{:02}/{month}/{}:{:02}:{:02}:{:02}] id={} disabled=0 flags={:#x} resync_timeout={} task_calls=0",
        n + 1,
        date.day,
        date.year,
        date.hour,
        date.minute,
        date.second,
        section.name,
        u8::from(section.until.is_none()),
        section.until.map_or_else(|| "<PAST>".into(), |at| ahead(Some(at), now)),
    );
    for (p, peer) in section.peers.iter().enumerate() {
        head(out, p, peer, now);
        if let Some((ours, theirs)) = peer.ends {
            let transport = if peer.secure { "SSL" } else { "RAW" };
            let _ = writeln!(out, "        xprt={transport} src={ours} addr={theirs}");
        }
        out.push_str("        shared tables:\n");
        for (t, name) in section.tables.iter().enumerate().rev() {
            table(out, generation, peer, t, name);
            if dict {
                names(out, peer);
            } else {
                out.push_str("        Dictionary cache not dumped (use \"show peers dict\")\n");
            }
        }
    }
}

fn head(out: &mut String, p: usize, peer: &Peer, now: Instant) {
    let role = if peer.local { "local" } else { "remote" };
    let activity = if peer.local { "inactive" } else { "active" };
    let address = peer.address.map_or_else(|| "-".into(), |a| a.to_string());
    let status = match peer.state {
        State::None => "NONE".into(),
        State::Connecting => "CONN".into(),
        State::Greeted => "HSHK".into(),
        State::Established => "ESTA".into(),
        State::Unreachable => "CONN".into(),
        State::Refused(status) => status.to_string(),
    };
    let greeted = peer.greeted.map_or_else(|| "<NEVER>".into(), |at| format!("{}s", (now - at).as_secs()));
    let (sent, heard, missed) = peer.heartbeats;
    let established = peer.state == State::Established;
    let _ = writeln!(
        out,
        "  {:#x}: id={}({role},{activity}) addr={address} last_status={status} last_hdshk={greeted}",
        p + 1,
        peer.name
    );
    let _ = writeln!(
        out,
        "        reconnect={} heartbeat={} confirm=0 tx_hbt={sent} rx_hbt={heard} no_hbt={missed} new_conn={} \
         proto_err={} coll={}",
        ahead(peer.again, now),
        if established { "0s" } else { "<NEVER>" },
        peer.sessions,
        peer.faults,
        peer.collisions
    );
    let _ = writeln!(out, "        flags=0x0{}", if established { " state=EST" } else { "" });
}

fn table(out: &mut String, generation: &Generation, peer: &Peer, t: usize, name: &str) {
    let progress = peer.progress.get(t).copied().unwrap_or_default();
    let Some(shared) = generation.board.tables.find(name) else { return };
    let data = shared.spec.stored.iter().filter_map(|s| DATA.iter().position(|(_, d, _)| *d == s.data));
    let bits = if progress.remote == 0 { 0 } else { data.fold(0, |bits, n| bits | 1 << n) };
    let mut locked = shared.lock();
    let (last, passed) = locked.updates().map_or((0, 0), |u| (u.last(), u.passed()));
    let _ = writeln!(
        out,
        "          {:#x} local_id={} remote_id={} flags=0x0 remote_data={bits:#x}",
        t + 1,
        t + 1,
        progress.remote
    );
    let _ = writeln!(
        out,
        "              last_acked={} last_pushed={} last_get={} teaching_origin=0 update={}",
        progress.confirmed, progress.told, progress.came, last
    );
    let _ = writeln!(
        out,
        "              table:{:#x} id={name} update={last} localupdate={last} commitupdate={passed} refcnt=1",
        t + 1
    );
}

fn names(out: &mut String, peer: &Peer) {
    let (ours, theirs) = &peer.names;
    out.push_str("        TX dictionary cache:");
    for (n, name) in ours.iter().enumerate() {
        if n % NAMES.0 == 0 {
            out.push_str("\n        ");
        }
        let _ = write!(out, " {n:>4} -> {name}");
    }
    out.push_str("\n        RX dictionary cache:");
    for n in 0..NAMES.0 * NAMES.1 {
        if n % NAMES.0 == 0 {
            out.push_str("\n        ");
        }
        let name = theirs.get(n).filter(|n| !n.is_empty()).map_or("-", String::as_str);
        let _ = write!(out, " {n:>4} -> {name}");
    }
    out.push('\n');
}
