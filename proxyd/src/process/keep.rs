//! What commands and traffic made of a running process, from it to the one that replaces it: entries of stick tables,
//! states, weights, addresses and limits of servers.
//!
//! The new process asks with [`COMMAND`] on a connection to the old one's command line; the old one answers with
//! lines of JSON: a head with the version, its servers as a state file has them, what that file has no column for,
//! then each table's head and entries, and an end. Whatever else is answered (haproxy knows no such command) counts as
//! nothing.
//!
//! Invariant: what the new configuration says goes before what was kept; a giver that is slow, silent or broken costs
//! [`PATIENCE`] and is forgotten; no table is locked for longer than a batch takes.
//!
//! Absent on purpose: edits of maps and ACLs, servers that commands added, and counters of `show stat`: a reload means
//! what the files say, as with haproxy.

use super::messages::{self, Label};
use crate::config::model::{ProxyId, ServerAddress};
use crate::runtime::transitions::{Level, Notice};
use crate::runtime::{Generation, state_file};
use crate::stick::SharedTable;
use crate::stick::parse::ELEMENTS_MAX;
use crate::stick::table::{DATA, Data, KeptCell, Key, KeyType};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The command, with the version of what is answered.
pub const COMMAND: &str = "_getboard 1";
/// How long the whole may take the new process; what has come by then is kept.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a line at most; the states of 100,000 servers are one.
const LINE_MAX: u64 = 32 << 20;
/// Bytes of an answer to `show info` at most.
const INFO_MAX: u64 = 64 << 10;
/// Entries that are read under one lock.
const BATCH: usize = 256;

/// Answers [`COMMAND`]. Blocks, at most [`PATIENCE`] a step.
pub fn give(stream: &UnixStream, generation: &Generation) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut out = stream;
    let all: Vec<_> = (0..generation.config.proxies.len()).map(ProxyId).collect();
    let states = crate::cli::state::state_text(generation, &all);
    writeln!(out, "{}\n{}", json!({"board": 1}), json!({ "states": states }))?;
    for line in moved(generation) {
        writeln!(out, "{line}")?;
    }
    for table in generation.board.tables.all() {
        give_table(out, &table)?;
    }
    writeln!(out, "{}", json!({"end": true}))?;
    generation.board.peers.handed.store(true, Relaxed);
    Ok(())
}

/// Addresses and limits that are not the configuration's any more.
fn moved(generation: &Generation) -> Vec<Value> {
    let mut out = Vec::new();
    for (p, proxy) in generation.config.proxies.iter().enumerate() {
        for (id, server) in proxy.shown_servers() {
            let state = generation.server(ProxyId(p), id);
            let address = match server.address {
                ServerAddress::Inet(own) => state.address().filter(|now| *now != own),
                _ => None,
            };
            let limit = Some(state.maxconn.load(Relaxed)).filter(|now| *now != server.maxconn);
            if address.is_some() || limit.is_some() {
                out.push(json!({
                    "server": [proxy.name, server.name],
                    "written": server.address_text,
                    "address": address.map(|a| a.to_string()),
                    "limit": server.maxconn,
                    "maxconn": limit,
                }));
            }
        }
    }
    out
}

fn give_table(mut out: &UnixStream, table: &SharedTable) -> io::Result<()> {
    let name = |data: Data| DATA.iter().find(|(_, d, _)| *d == data).map_or("", |(name, ..)| *name);
    let stored: Vec<Value> =
        table.spec.stored.iter().map(|s| json!([name(s.data), s.elements, s.period_ms])).collect();
    let (kind, len) = shape(table.spec.kind);
    writeln!(out, "{}", json!({"table": table.spec.name, "type": kind, "len": len, "stored": stored}))?;
    let now_ms = crate::stick::clock_ms(Instant::now());
    let keys = table.lock().keys_as_they_lie(now_ms);
    for batch in keys.chunks(BATCH) {
        let mut text = String::new();
        {
            let locked = table.lock();
            for (key, kept) in batch.iter().filter_map(|k| Some((k, locked.kept(k, now_ms)?))) {
                let cells: Vec<Value> = kept.cells.iter().map(cell).collect();
                let _ = writeln!(text, "{}", json!([key_text(key), kept.expires_in_ms, cells]));
            }
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn shape(kind: KeyType) -> (&'static str, usize) {
    match kind {
        KeyType::String(len) | KeyType::Binary(len) => (kind.name(), len),
        _ => (kind.name(), 0),
    }
}

fn cell(cell: &KeptCell) -> Value {
    match cell {
        KeptCell::Count(n) => json!(n),
        KeptCell::Rate { age_ms, current, previous } => json!([age_ms, current, previous]),
        KeptCell::Name(name) => json!(name),
    }
}

fn key_text(key: &Key) -> String {
    match key {
        Key::String(bytes) | Key::Binary(bytes) => bytes.iter().fold(String::new(), |mut text, b| {
            let _ = write!(text, "{b:02x}");
            text
        }),
        key => key.to_string(),
    }
}

/// A way to the process before us, opened while there are rights to: by its stats socket. Where `old` names
/// processes, it must be one of them that answers.
pub fn reach(path: &Path, old: &[u32]) -> Option<UnixStream> {
    let connect = || -> io::Result<UnixStream> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    if !old.is_empty() {
        let stream = connect().ok()?;
        (&stream).write_all(b"show info\n").ok()?;
        // The kernel knows who began to listen there, which may have been a parent that is gone.
        let mut lines = BufReader::new(stream.take(INFO_MAX)).lines();
        let pid = lines.find_map(|l| l.ok()?.strip_prefix("Pid: ")?.trim().parse::<u32>().ok())?;
        old.contains(&pid).then_some(())?;
    }
    connect().ok()
}

/// Takes what the process before us kept; whether that was all.
pub fn take(stream: &UnixStream, generation: &Generation) -> bool {
    let mut taker = Taker { generation, table: None };
    // What came until then is kept: a fault must not stop the start.
    taker.read(stream).unwrap_or(false)
}

struct Taker<'g> {
    generation: &'g Generation,
    /// The table whose entries come, and for each of its cells the place in theirs.
    table: Option<(Arc<SharedTable>, Vec<Option<usize>>)>,
}

impl Taker<'_> {
    fn read(&mut self, stream: &UnixStream) -> io::Result<bool> {
        let until = Instant::now() + PATIENCE;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut out = stream;
        out.write_all(format!("{COMMAND}\n").as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        for n in 0.. {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            line.clear();
            (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line)?;
            let value: Value = serde_json::from_slice(&line)?;
            if n == 0 && value["board"] != 1 || value["end"] == true {
                return Ok(value["end"] == true);
            }
            self.line(&value);
        }
        Ok(false)
    }

    fn line(&mut self, value: &Value) {
        if let Some(entry) = value.as_array() {
            self.entry(entry);
        } else if let Some(states) = value["states"].as_str() {
            state_file::apply_text(self.generation, states);
        } else if value["table"].is_string() {
            self.table = self.table(value);
        } else if value["server"].is_array() {
            self.server(value);
        }
    }

    /// The table of ours that takes the entries that follow. Another type of keys takes none, and says so.
    fn table(&self, head: &Value) -> Option<(Arc<SharedTable>, Vec<Option<usize>>)> {
        let name = head["table"].as_str()?;
        let table = self.generation.board.tables.find(name)?;
        let (kind, len) = shape(table.spec.kind);
        if head["type"] != kind || head["len"] != len {
            let text = format!(
                "stick-table '{name}' : its type is another than before the reload ('{}'), its entries are not kept.",
                head["type"].as_str().unwrap_or_default()
            );
            messages::say(Label::Notice, &text);
            // In the background nobody hears that.
            let proxies = &self.generation.config.proxies;
            if let Some(p) = proxies.iter().position(|p| p.name == name) {
                let (proxy, stderr) = (ProxyId(p), String::new());
                let notice = Notice { level: Level::Notice, proxy, stderr, log: text };
                crate::log::notices(self.generation, &[notice]);
            }
            return None;
        }
        let mut theirs = Vec::new();
        for stored in head["stored"].as_array()? {
            let elements = stored[1].as_u64().filter(|n| *n <= ELEMENTS_MAX as u64)?;
            theirs.extend((0..elements).map(|e| (stored[0].as_str(), stored[2].as_u64(), e)));
        }
        let mut places = Vec::new();
        for stored in &table.spec.stored {
            let name = DATA.iter().find(|(_, d, _)| *d == stored.data).map(|(name, ..)| *name);
            places.extend((0..stored.elements as u64).map(|element| {
                let same = (name, Some(stored.period_ms), element);
                // Connections of the process that goes do not end here.
                theirs.iter().position(|t| *t == same).filter(|_| stored.data != Data::ConnCur)
            }));
        }
        Some((table, places))
    }

    fn entry(&self, entry: &[Value]) -> Option<()> {
        let (table, places) = self.table.as_ref()?;
        let [key, expires, cells] = entry else { return None };
        let key = key_of(table.spec.kind, key.as_str()?)?;
        let cells = cells.as_array()?;
        let mine = places.iter().map(|at| at.and_then(|at| kept_cell(cells.get(at)?))).collect();
        let now_ms = crate::stick::clock_ms(Instant::now());
        table.lock().keep(&key, expires.as_u64(), mine, now_ms).then_some(())
    }

    fn server(&self, value: &Value) -> Option<()> {
        let config = &self.generation.config;
        let (backend, name) = (value["server"][0].as_str()?, value["server"][1].as_str()?);
        let p = config.proxies.iter().position(|p| p.kind.is_back() && p.name == backend)?;
        let id = config.proxies[p].server_named(name.as_bytes())?;
        let (server, state) = (&config.proxies[p].servers[id.0], self.generation.server(ProxyId(p), id));
        if value["limit"] == server.maxconn
            && let Some(maxconn) = value["maxconn"].as_u64()
        {
            state.maxconn.store(u32::try_from(maxconn).ok()?, Relaxed);
        }
        let address: SocketAddr = value["address"].as_str()?.parse().ok()?;
        if value["written"] == server.address_text {
            let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
            (detail.address, detail.port) = (Some(address), address.port());
            state.moves.fetch_add(1, Relaxed);
        }
        Some(())
    }
}

fn kept_cell(value: &Value) -> Option<KeptCell> {
    Some(match value {
        Value::Number(n) => KeptCell::Count(n.as_u64()?),
        Value::String(name) => KeptCell::Name(name.clone()),
        Value::Array(rate) => KeptCell::Rate {
            age_ms: rate.first()?.as_u64()?,
            current: rate.get(1)?.as_u64()?,
            previous: rate.get(2)?.as_u64()?,
        },
        _ => return None,
    })
}

fn key_of(kind: KeyType, text: &str) -> Option<Key> {
    let bytes = || -> Option<Box<[u8]>> {
        let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok();
        text.as_bytes().chunks(2).map(pair).collect()
    };
    Some(match kind {
        KeyType::Ip => Key::Ip(text.parse().ok()?),
        KeyType::Ipv6 => Key::Ipv6(text.parse().ok()?),
        KeyType::Integer => Key::Integer(text.parse().ok()?),
        KeyType::String(len) => Key::String(bytes().filter(|b| b.len() <= len)?),
        KeyType::Binary(len) => Key::Binary(bytes().filter(|b| b.len() == len)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stick::TableSpec;
    use crate::stick::table::Stored;

    fn generation(kind: KeyType, stored: &[(Data, u64)]) -> Generation {
        let stored: Vec<_> = stored
            .iter()
            .map(|(data, period_ms)| Stored { data: *data, elements: 1, period_ms: *period_ms })
            .collect();
        let board = Arc::new(crate::runtime::board::Board::default());
        let (size, expire) = (10, Some(Duration::from_mins(1)));
        let spec = TableSpec { name: "t".into(), kind, size, expire, nopurge: false, stored, peers: None };
        board.tables.ensure(&spec);
        Generation::build(1, crate::config::model::Config::default(), board)
    }

    fn reload(old: &Generation, new: &Generation) {
        let (giver, taker) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut command = vec![0; COMMAND.len() + 1];
                (&giver).read_exact(&mut command).unwrap();
                give(&giver, old).unwrap();
            });
            take(&taker, new);
        });
    }

    #[test]
    fn entries_go_over_with_what_both_tables_store() {
        use Data::{ConnCnt, ConnCur, Gpc0, HttpReqRate, ServerKey};
        let before = [(Gpc0, 0), (ConnCnt, 0), (ConnCur, 0), (HttpReqRate, 10_000), (ServerKey, 0)];
        let old = generation(KeyType::String(8), &before);
        let key = Key::String(b"a \"\xff"[..].into());
        let now_ms = crate::stick::clock_ms(Instant::now());
        let table = old.board.tables.find("t").unwrap();
        {
            let mut table = table.lock();
            assert!(table.touch(&key, now_ms));
            for (data, n) in [(Gpc0, 7), (ConnCnt, 2), (ConnCur, 1), (HttpReqRate, 5)] {
                table.add(&key, data, 0, n, now_ms);
            }
            table.set_server_key(&key, "s1");
        }
        let new =
            generation(KeyType::String(8), &[(ServerKey, 0), (HttpReqRate, 10_000), (Gpc0, 0), (ConnCur, 0)]);
        reload(&old, &new);
        let kept = new.board.tables.find("t").unwrap();
        let kept = kept.lock();
        let now_ms = crate::stick::clock_ms(Instant::now());
        let value = |data| kept.get(&key, data, 0, now_ms);
        assert_eq!((value(Gpc0), value(HttpReqRate), value(ConnCur)), (Some(7), Some(5), Some(0)));
        assert_eq!(kept.server_key(&key), Some("s1"));
        assert!(kept.expires_in_ms(&key, now_ms).is_some_and(|ms| ms > 0 && ms <= 60_000));
    }

    #[test]
    fn another_type_or_period_keeps_nothing() {
        let old = generation(KeyType::Ip, &[(Data::HttpReqRate, 10_000)]);
        let key = Key::Ip([10, 0, 0, 1].into());
        let now_ms = crate::stick::clock_ms(Instant::now());
        let table = old.board.tables.find("t").unwrap();
        assert!(table.lock().touch(&key, now_ms));
        table.lock().add(&key, Data::HttpReqRate, 0, 9, now_ms);
        let (other, longer) =
            (generation(KeyType::Integer, &[]), generation(KeyType::Ip, &[(Data::HttpReqRate, 5)]));
        reload(&old, &other);
        reload(&old, &longer);
        assert!(other.board.tables.find("t").unwrap().lock().is_empty());
        let longer = longer.board.tables.find("t").unwrap();
        assert_eq!(longer.lock().get(&key, Data::HttpReqRate, 0, now_ms), Some(0));
    }

    #[test]
    fn whoever_answers_otherwise_is_forgotten() {
        for answer in
            ["", "Unknown command.\n\n", "{}\n", "{\"board\":1}\n{\"table\":3}\n[1]\n[\"x\",1,[]]\nrubbish"]
        {
            let new = generation(KeyType::Ip, &[]);
            let (giver, taker) = UnixStream::pair().unwrap();
            (&giver).write_all(answer.as_bytes()).unwrap();
            giver.shutdown(std::net::Shutdown::Write).unwrap();
            take(&taker, &new);
            assert!(new.board.tables.find("t").unwrap().lock().is_empty());
        }
    }
}
