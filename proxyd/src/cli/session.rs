//! `show sess`, `shutdown session(s)`, `show errors`.
//!
//! Lines have the shape of haproxy's. What speaks of its inner parts alone (buffer flags, analysers, tasks) is 0 in
//! the list and left out of the long form: there is nothing here that it could mean.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, Operator};
use crate::config::model::{Config, ProxyId, ServerId};
use crate::conv::time::{MONTHS, zoned};
use crate::runtime::captured::{Captured, Direction};
use crate::runtime::streams::{Phase, Seen};
use crate::runtime::timers::Why;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["show", "errors"],
        "show errors [<px>] [request|response]",
        "report last request and/or response errors for each proxy",
        Operator,
        errors,
    ),
    row(
        &["show", "sess"],
        "show sess [id]",
        "report the list of current sessions or dump this exact session",
        Operator,
        show,
    ),
    row(&["shutdown", "session"], "shutdown session [id]", "kill a specific session", Admin, shutdown),
    row(
        &["shutdown", "sessions", "server"],
        "shutdown sessions server <bk>/<srv>",
        "kill sessions on a server",
        Admin,
        shutdown_server,
    ),
];

/// Streams are told apart by numbers that look like haproxy's addresses.
fn parse_id(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).ok()
}

/// `show sess [all|ID]`.
fn show(call: &mut Call<'_>) -> Answer {
    let streams = call.generation.board.streams.list();
    let config = &call.generation.config;
    let mut out = String::new();
    match call.word(2) {
        // What is no pointer is as if nothing was said.
        id if id != "all" && parse_id(id).is_none_or(|id| id == 0) => {
            for stream in &streams {
                line(&mut out, config, stream);
            }
            own_line(&mut out, call);
        }
        "all" => streams.iter().for_each(|s| long(&mut out, config, s)),
        id => match parse_id(id).and_then(|id| streams.iter().find(|s| s.id == id)) {
            Some(stream) => long(&mut out, config, stream),
            None => out.push_str("Session not found.\n"),
        },
    }
    Answer::Dump(out)
}

fn protocol(address: Option<SocketAddr>) -> &'static str {
    match address {
        Some(SocketAddr::V4(_)) => "tcpv4",
        Some(SocketAddr::V6(_)) => "tcpv6",
        None => "unix_stream",
    }
}

fn source(seen: &Seen) -> String {
    seen.src.map_or_else(|| format!("unix:{}", seen.bind + 1), |a| a.to_string())
}

fn backend_name<'c>(config: &'c Config, seen: &Seen) -> &'c str {
    seen.backend.map_or("<NONE>", |b| config.proxies[b.0].name.as_str())
}

fn server_of(
    config: &Config,
    backend: Option<ProxyId>,
    server: Option<ServerId>,
) -> Option<&crate::config::model::Server> {
    config.proxies.get(backend?.0)?.servers.get(server?.0)
}

fn seconds(left: Option<Duration>) -> String {
    left.map_or_else(String::new, |d| format!("{}s", d.as_secs()))
}

/// States of haproxy's stream connectors: initial, queued, connecting, established.
fn back_state(phase: Phase) -> u8 {
    match phase {
        Phase::Idle | Phase::Analyse => 0,
        Phase::Queue => 2,
        Phase::Connect => 4,
        Phase::Established => 8,
    }
}

fn line(out: &mut String, config: &Config, s: &Seen) {
    let server = match s.phase {
        Phase::Connect | Phase::Established => server_of(config, s.backend, s.server),
        Phase::Idle | Phase::Analyse | Phase::Queue => None,
    };
    let left = seconds(s.left);
    // Whoever is waited for: the server once there is one, else the client.
    let (of_client, of_server) =
        if s.phase == Phase::Established { ("", left.as_str()) } else { (left.as_str(), "") };
    let waits = if matches!(s.phase, Phase::Queue | Phase::Connect) { left.as_str() } else { "" };
    let of_client = if waits.is_empty() { of_client } else { "" };
    let _ = writeln!(
        out,
        "{:#x}: proto={} src={} fe={} be={} srv={} ts=00 epoch=0 age={} calls=1 rate=0 cpu=0 lat=0 \
         rq[f=0h,i=0,an=00h,rx={of_client},wx=,ax=] rp[f=0h,i=0,an=00h,rx={of_server},wx=,ax=] scf=[8,0h,fd={}] \
         scb=[{},0h,fd={}] exp={left} rc={} c_exp={waits}",
        s.id,
        protocol(s.src),
        source(s),
        config.proxies[s.frontend.0].name,
        backend_name(config, s),
        server.map_or("<none>", |s| s.name.as_str()),
        age(s.age),
        s.fd,
        back_state(s.phase),
        s.server_fd,
        s.retries,
    );
}

/// The connection that asks is a stream, too.
fn own_line(out: &mut String, call: &Call<'_>) {
    let _ = writeln!(
        out,
        "{:#x}: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age={} calls=1 rate=0 cpu=0 \
         lat=0 rq[f=0h,i=0,an=00h,rx=,wx=,ax=] rp[f=0h,i=0,an=00h,rx=,wx=,ax=] scf=[8,0h,fd=-1] scb=[8,0h,fd=-1] exp= \
         rc=0 c_exp=",
        call.session.id,
        age(call.session.started.elapsed()),
    );
}

/// The two largest units, as haproxy prints ages.
fn age(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86_400, s / 3600 % 24),
    }
}

/// `21/Nov/2026:07:02:00.493905`, local time, with this many digits behind the seconds.
fn date(at: SystemTime, digits: usize) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let t = zoned(since.as_secs() as i64, since.subsec_micros());
    let month = &MONTHS[t.month as usize - 1][..3];
    let fraction = format!("{:06}", since.subsec_micros());
    format!(
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02}.{}",
        t.day,
        t.year,
        t.hour,
        t.minute,
        t.second,
        &fraction[..digits.min(6)]
    )
}

fn mode(config: &Config, id: ProxyId) -> &'static str {
    match config.proxies[id.0].mode {
        crate::config::model::Mode::Tcp => "tcp",
        crate::config::model::Mode::Http => "http",
        crate::config::model::Mode::Health => "health",
    }
}

fn long(out: &mut String, config: &Config, s: &Seen) {
    let _ = writeln!(
        out,
        "{:#x}: [{}] id={} proto={} source={}",
        s.id,
        date(s.accepted_at, 6),
        s.id,
        protocol(s.src),
        source(s)
    );
    let waits = match s.phase {
        Phase::Queue | Phase::Connect => seconds(s.left),
        _ => String::new(),
    };
    let never = |text: String| if text.is_empty() { "<NEVER>".to_owned() } else { text };
    let _ = writeln!(
        out,
        "  flags=0x0, conn_retries={}, conn_exp={} waiting={}",
        s.retries,
        never(waits),
        u8::from(s.phase == Phase::Queue)
    );
    let front = &config.proxies[s.frontend.0];
    let bind = front.binds.get(s.bind);
    let _ = writeln!(
        out,
        "  frontend={} (id={} mode={}), listener={} (id={}) addr={}",
        front.name,
        front.uuid,
        mode(config, s.frontend),
        bind.and_then(|b| b.name.as_deref()).unwrap_or("?"),
        bind.and_then(|b| b.id).unwrap_or(s.bind as u32 + 1),
        s.dst.map_or_else(|| format!("unix:{}", s.bind + 1), |a| a.to_string())
    );
    match s.backend {
        Some(id) => {
            let _ = writeln!(
                out,
                "  backend={} (id={} mode={})",
                config.proxies[id.0].name,
                config.proxies[id.0].uuid,
                mode(config, id)
            );
        }
        None => out.push_str("  backend=<NONE> (id=-1 mode=-)\n"),
    }
    match server_of(config, s.backend, s.server) {
        Some(server) => {
            let _ = writeln!(out, "  server={} (id={})", server.name, server.uuid);
        }
        None => out.push_str("  server=<NONE> (id=-1)\n"),
    }
    let _ = writeln!(out, "  task (exp={} age={})", never(seconds(s.left)), age(s.age));
    let _ = writeln!(out, "  scf state=EST fd={}", s.fd);
    let _ = writeln!(
        out,
        "  scb state={} fd={}",
        match s.phase {
            Phase::Idle | Phase::Analyse => "INI",
            Phase::Queue => "QUE",
            Phase::Connect => "CON",
            Phase::Established => "EST",
        },
        s.server_fd
    );
}

/// `shutdown session ID`.
fn shutdown(call: &mut Call<'_>) -> Answer {
    let text = call.word(2);
    if text.is_empty() || parse_id(text).is_none_or(|id| id == 0) {
        return Answer::error("Session pointer expected (use 'show sess').\n");
    }
    match parse_id(text) {
        Some(id) if call.generation.board.streams.kill(id) => Answer::Done,
        _ => Answer::error("No such session (use 'show sess').\n"),
    }
}

/// `shutdown sessions server BACKEND/SERVER`.
fn shutdown_server(call: &mut Call<'_>) -> Answer {
    match super::server::find(call, 3) {
        Ok(at) => {
            call.generation.board.streams.kill_server(at, Why::Killed);
            Answer::Done
        }
        Err(answer) => answer,
    }
}

/// `show errors [PROXY|ID] [request|response]`.
fn errors(call: &mut Call<'_>) -> Answer {
    let config = &call.generation.config;
    let name = call.word(2);
    let wanted = if name.is_empty() {
        None
    } else {
        let by_id = name.parse::<i64>().ok();
        match by_id {
            Some(id) if id < 0 => None,
            _ => {
                let named = |p: &&crate::config::model::Proxy| {
                    by_id.map_or(p.name == name, |id| i64::from(p.uuid) == id)
                };
                match config.proxies.iter().find(named) {
                    Some(found) => Some(found.uuid),
                    None => return Answer::error("No such proxy.\n"),
                }
            }
        }
    };
    let only = match call.word(3) {
        "request" => Some(Direction::Request),
        "response" => Some(Direction::Response),
        _ => None,
    };
    let board = &call.generation.board;
    let mut out =
        format!("Total events captured on [{}] : {}\n", date(SystemTime::now(), 3), board.captured.count());
    for (proxy, state) in config.proxies.iter().zip(&call.generation.proxies) {
        for (direction, captured) in state.captured.both() {
            let fits = wanted.is_none_or(|id| {
                id == proxy.uuid || captured.other.is_some_and(|o| config.proxies[o.0].uuid == id)
            });
            if fits && only.is_none_or(|o| o == direction) {
                event(&mut out, config, (&proxy.name, proxy.uuid), direction, &captured);
            }
        }
    }
    Answer::Dump(out)
}

fn event(out: &mut String, config: &Config, (name, uuid): (&str, u32), direction: Direction, c: &Captured) {
    let named = |id: Option<ProxyId>| {
        id.map_or(("<NONE>".to_owned(), -1), |id| {
            (config.proxies[id.0].name.clone(), i64::from(config.proxies[id.0].uuid))
        })
    };
    let (other, other_id) = named(c.other);
    let backend = if direction == Direction::Request { c.other } else { c.own };
    let (server, server_id) =
        server_of(config, backend, c.server).map_or(("<NONE>", -1), |s| (s.name.as_str(), i64::from(s.uuid)));
    let (own, what, role) = match direction {
        Direction::Request => ("frontend", "request", "backend"),
        Direction::Response => ("backend", "response", "frontend"),
    };
    let src = c.src.map_or_else(|| "unix:1".to_owned(), |a| a.to_string());
    let size = config.global.tune.bufsize;
    let _ = write!(
        out,
        " \n[{}] {own} {name} (#{uuid}): invalid {what}\n  {role} {other} (#{other_id}), server {server} \
         (#{server_id}), event #{}, src {src}\n  buffer starts at 0 (including 0 out), {} free,\n  len {}, wraps at \
         {size}, error at position {}\n  H1 connection flags 0x00000000, H1 stream flags 0x00000000\n  H1 msg state \
         {}, H1 msg flags 0x00000000\n  H1 chunk len 0 bytes, H1 body len 0 bytes :\n  \n",
        date(c.at, 3),
        c.number,
        size.saturating_sub(c.bytes.len()),
        c.bytes.len(),
        c.position,
        state(direction, c),
    );
    dump(out, &c.bytes);
}

/// Where the reader was, with haproxy's names and numbers.
fn state(direction: Direction, c: &Captured) -> &'static str {
    let before = &c.bytes[..c.position.min(c.bytes.len())];
    if before.contains(&b'\n') {
        let line = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        return if line.contains(&b':') { "MSG_HDR_VAL(22)" } else { "MSG_HDR_NAME(17)" };
    }
    let words = before.split(|b| *b == b' ').count() - 1;
    match (direction, words) {
        (Direction::Request, _) if before.is_empty() => "MSG_RQBEFORE(0)",
        (Direction::Request, 0) => "MSG_RQMETH(2)",
        (Direction::Request, 1) => "MSG_RQURI(4)",
        (Direction::Request, _) => "MSG_RQVER(6)",
        (Direction::Response, _) if before.is_empty() => "MSG_RPBEFORE(8)",
        (Direction::Response, 0) => "MSG_RPVER(10)",
        (Direction::Response, 1) => "MSG_RPCODE(12)",
        (Direction::Response, _) => "MSG_RPREASON(14)",
    }
}

/// Columns of a dumped line, at most.
const COLUMNS: usize = 79;

/// The bytes as text, a line each, offset in front; `+` marks one that goes on.
fn dump(out: &mut String, bytes: &[u8]) {
    let mut at = 0;
    let mut goes_on = false;
    while at < bytes.len() {
        let start = at;
        let mut text = format!("  {at:05}{} ", if goes_on { '+' } else { ' ' });
        goes_on = true;
        while at < bytes.len() {
            let shown = match bytes[at] {
                b'\n' => "\\n".to_owned(),
                b'\r' => "\\r".to_owned(),
                b'\t' => "\\t".to_owned(),
                0x1b => "\\e".to_owned(),
                b'\\' => "\\\\".to_owned(),
                b @ 0x20..=0x7e => char::from(b).to_string(),
                b => format!("\\x{b:02X}"),
            };
            if text.len() + shown.len() > COLUMNS && at > start {
                break;
            }
            text.push_str(&shown);
            at += 1;
            if bytes[at - 1] == b'\n' {
                goes_on = false;
                break;
            }
        }
        out.push_str(&text);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_break_at_lines_and_columns() {
        let mut out = String::new();
        let mut bytes = b"GET / HTTP/1.1\r\nA: ".to_vec();
        bytes.extend([b'y'; 100]);
        bytes.extend(b"\r\n\x00\xff");
        dump(&mut out, &bytes);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "  00000  GET / HTTP/1.1\\r\\n");
        assert_eq!(lines[1], format!("  00016  A: {}", "y".repeat(67 - 3 + 3)).as_str());
        assert!(lines[2].starts_with("  00086+ yyy") && lines[2].ends_with("y\\r\\n"), "{}", lines[2]);
        assert_eq!(lines[3], "  00121  \\x00\\xFF");
    }

    #[test]
    fn ages_have_two_units() {
        let ages = [5, 65, 3700, 90_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(ages, ["5s", "1m5s", "1h1m", "1d1h"]);
    }

    #[test]
    fn numbers_of_streams_are_hexadecimal() {
        assert_eq!((parse_id("0x1f"), parse_id("1F"), parse_id("zz")), (Some(31), Some(31), None));
    }
}
