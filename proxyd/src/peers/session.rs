//! One session with a peer, behind the greeting: what it says, and what there is to say. A core.
//!
//! Invariant: a value that came from a peer is never told as a change of ours; `conn_cur` is told and never learned;
//! a change is told until the peer has confirmed it, over sessions.
//!
//! Absent on purpose: sockets and clocks (`task.rs`), and whom to ask for everything (`resync.rs`).

use super::wire::{self, Defined, Dictionary, Lack, Message, Reader, class, control, stick};
use crate::stick::SharedTable;
use crate::stick::table::{Data, KeptCell, Key, Stored};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

/// Bytes after which no more is made until they are sent.
const OUT_MAX: usize = 32 << 10;
/// Entries that are read under one lock.
const BATCH: usize = 128;

/// What a session may share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The table.
    pub table: Arc<SharedTable>,
    /// Its name among peers.
    pub name: String,
}

/// What the other side told about its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It told all it has, and is sure that this is all.
    Finished,
    /// It told all it has, and may have missed something.
    Partial,
    /// It heard that we told all.
    Confirmed,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What came is no message.
    Protocol,
    /// It is too long.
    Size,
    /// The peer said that it does not understand us.
    Refused,
}

/// What a peer tells under one of its numbers.
#[derive(Debug)]
struct Theirs {
    /// Ours, by its place.
    ours: Option<usize>,
    stored: Vec<Stored>,
    /// Number of the last entry, and of the last that was confirmed.
    last: u32,
    confirmed: u32,
}

/// How far a table was told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Number of the last change that was told.
    pub told: u64,
    /// Number of the last change that was confirmed.
    pub confirmed: u64,
    /// The peer's number for the table; 0 is none yet.
    pub remote: u64,
    /// Number of the last change that came.
    pub came: u32,
}

/// All entries, on their way.
#[derive(Debug)]
struct Teaching {
    tables: VecDeque<usize>,
    /// Of the first table.
    keys: Option<(VecDeque<Key>, u64)>,
    /// What stands at the end.
    end: u8,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    tables: Vec<Shared>,
    progress: Vec<Progress>,
    theirs: HashMap<u64, Theirs>,
    /// The number that entries come under.
    current: Option<u64>,
    /// The table that entries go out under, and the number of the last one.
    telling: Option<(usize, u32)>,
    teaching: Option<Teaching>,
    /// Whether changes are told; an old process is told nothing.
    tells: bool,
    inbox: Vec<u8>,
    /// Messages without an own place: control, confirmations.
    urgent: Vec<u8>,
    heard: Dictionary,
    said: Dictionary,
}

impl Session {
    /// A session that goes on where the one before it had been confirmed.
    pub fn new(tables: Vec<Shared>, before: &[Progress], tells: bool) -> Self {
        let from = |n: usize| before.get(n).map_or(0, |p| p.confirmed);
        let progress =
            (0..tables.len()).map(|n| Progress { told: from(n), confirmed: from(n), ..Progress::default() });
        Self {
            progress: progress.collect(),
            tables,
            theirs: HashMap::new(),
            current: None,
            telling: None,
            teaching: None,
            tells,
            inbox: Vec::new(),
            urgent: Vec::new(),
            heard: Dictionary::default(),
            said: Dictionary::default(),
        }
    }

    /// How far each table is.
    pub fn progress(&self) -> &[Progress] {
        &self.progress
    }

    /// Names that have a number: ours, and the peer's.
    pub fn names(&self) -> (&[String], &[String]) {
        (self.said.names(), self.heard.names())
    }

    /// Says a control message.
    pub fn say(&mut self, kind: u8) {
        self.urgent.extend([class::CONTROL, kind]);
    }

    /// Begins to tell everything; `sure` when nothing can have been missed here.
    pub fn teach(&mut self, sure: bool) {
        let end = if sure { control::FINISHED } else { control::PARTIAL };
        self.teaching = Some(Teaching { tables: (0..self.tables.len()).collect(), keys: None, end });
    }

    /// Takes what came. A peer that wants everything gets it, as `sure` says.
    pub fn read(&mut self, bytes: &[u8], sure: bool, now_ms: u64) -> Result<Vec<Told>, Fault> {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let (mut at, mut told) = (0, Vec::new());
        let end = loop {
            match wire::message(&inbox[at..]) {
                Ok((message, length)) => {
                    at += length;
                    match self.message(message, sure, now_ms) {
                        Ok(news) => told.extend(news),
                        Err(fault) => break Err(fault),
                    }
                }
                Err(Lack::More) => break Ok(told),
                Err(Lack::TooLong) => break Err(Fault::Size),
            }
        };
        inbox.drain(..at);
        self.inbox = inbox;
        self.confirm();
        end
    }

    /// Confirms what came.
    fn confirm(&mut self) {
        for (id, theirs) in self.theirs.iter_mut().filter(|(_, t)| t.last != t.confirmed) {
            theirs.confirmed = theirs.last;
            let mut body = Vec::new();
            wire::put_int(&mut body, *id);
            body.extend(theirs.last.to_be_bytes());
            wire::put_stick(&mut self.urgent, stick::ACK, &body);
        }
    }

    fn message(&mut self, message: Message<'_>, sure: bool, now_ms: u64) -> Result<Option<Told>, Fault> {
        match (message.class, message.kind) {
            (class::CONTROL, control::REQUEST) => self.teach(sure),
            (class::CONTROL, kind @ (control::FINISHED | control::PARTIAL)) => {
                self.say(control::CONFIRM);
                let told = if kind == control::FINISHED { Told::Finished } else { Told::Partial };
                return Ok(Some(told));
            }
            (class::CONTROL, control::CONFIRM) => return Ok(Some(Told::Confirmed)),
            (class::CONTROL, control::HEARTBEAT) => {}
            (class::ERROR, _) => return Err(Fault::Refused),
            (class::STICK, kind) => self.stick(kind, message.body, now_ms).ok_or(Fault::Protocol)?,
            // Later versions may say more; what has no length can't be skipped for sure.
            (_, kind) if kind < 128 => return Err(Fault::Protocol),
            _ => {}
        }
        Ok(None)
    }

    fn stick(&mut self, kind: u8, body: &[u8], now_ms: u64) -> Option<()> {
        let mut r = Reader(body);
        match kind {
            stick::DEFINITION => {
                let defined = Defined::read(body)?;
                let fits = |s: &Shared| s.name == defined.name && defined.fits(&s.table.spec);
                let ours = self.tables.iter().position(fits);
                if let Some(ours) = ours {
                    self.progress[ours].remote = defined.id;
                }
                let before = self.theirs.remove(&defined.id).filter(|t| t.ours == ours);
                let (last, confirmed) = before.map_or((0, 0), |t| (t.last, t.confirmed));
                self.theirs.insert(defined.id, Theirs { ours, stored: defined.stored, last, confirmed });
                self.current = Some(defined.id);
            }
            stick::SWITCH => self.current = Some(r.int().filter(|id| self.theirs.contains_key(id))?),
            stick::ACK => {
                let (id, number) = (r.int()?, r.word()?);
                let at = usize::try_from(id).ok()?.checked_sub(1)?;
                let progress = self.progress.get_mut(at)?;
                // The low half of a number that was told: the last one that it can be.
                let high = progress.told & !u64::from(u32::MAX) | u64::from(number);
                let known = if high > progress.told { high.checked_sub(1 << 32) } else { Some(high) };
                progress.confirmed = progress.confirmed.max(known.unwrap_or(0));
            }
            stick::UPDATE | stick::NEXT | stick::TIMED_UPDATE | stick::TIMED_NEXT => {
                self.entry(kind, r, now_ms)?;
            }
            _ => {}
        }
        Some(())
    }

    fn entry(&mut self, kind: u8, mut r: Reader<'_>, now_ms: u64) -> Option<()> {
        let theirs = self.theirs.get_mut(&self.current?)?;
        theirs.last = match kind {
            stick::UPDATE | stick::TIMED_UPDATE => r.word()?,
            _ => theirs.last.wrapping_add(1),
        };
        let timed = matches!(kind, stick::TIMED_UPDATE | stick::TIMED_NEXT);
        let left = if timed { Some(u64::from(r.word()?)) } else { None };
        let Some(ours) = theirs.ours else { return Some(()) };
        self.progress[ours].came = theirs.last;
        let table = &self.tables[ours].table;
        let key = wire::key(&mut r, table.spec.kind)?;
        let came = wire::cells(&mut r, &theirs.stored, &mut self.heard)?;
        let places = theirs.stored.iter().flat_map(|s| (0..s.elements).map(|e| (s.data, e)));
        let by_place: HashMap<(Data, usize), KeptCell> = places.zip(came).collect();
        let mine = table.spec.stored.iter().flat_map(|s| (0..s.elements).map(|e| (s.data, e)));
        // How many connections there are is a matter of each process.
        let cells = mine.map(|at| by_place.get(&at).filter(|_| at.0 != Data::ConnCur).cloned()).collect();
        // Tables whose entries stay say 0.
        let left = left.filter(|_| table.spec.expire.is_some());
        table.lock().learn(&key, left, cells, now_ms);
        Some(())
    }

    /// Whether there is something to say; if not, the next change wakes.
    pub fn ready(&self, waker: &Waker) -> bool {
        if !self.urgent.is_empty() || self.teaching.is_some() {
            return true;
        }
        self.tells
            && self.tables.iter().zip(&self.progress).any(|(shared, progress)| {
                shared.table.lock().updates().is_some_and(|u| u.ready(progress.told, waker))
            })
    }

    /// Appends what there is to say, up to a measure.
    pub fn write(&mut self, out: &mut Vec<u8>, now_ms: u64) {
        out.append(&mut self.urgent);
        while out.len() < OUT_MAX && self.teaching.is_some() {
            self.teach_some(out, now_ms);
        }
        for n in 0..self.tables.len() {
            while self.tells
                && out.len() < OUT_MAX
                && self.teaching.is_none()
                && self.tell_some(n, out, now_ms)
            {}
        }
    }

    fn define(&mut self, n: usize, out: &mut Vec<u8>) {
        if self.telling.is_some_and(|(at, _)| at == n) {
            return;
        }
        let shared = &self.tables[n];
        let body = wire::definition(n as u64 + 1, &shared.name, &shared.table.spec);
        wire::put_stick(out, stick::DEFINITION, &body);
        // Behind a definition the number is said.
        self.telling = Some((n, u32::MAX));
    }

    /// Appends one entry of the table that is told. False when it is gone.
    fn put(&mut self, n: usize, key: &Key, number: u64, timed: bool, out: &mut Vec<u8>, now_ms: u64) -> bool {
        let shared = &self.tables[n];
        let Some(kept) = shared.table.lock().kept(key, now_ms) else { return false };
        let number = number as u32;
        let next = self.telling.is_some_and(|(_, last)| last != u32::MAX && last.wrapping_add(1) == number);
        let mut body = Vec::new();
        if !next {
            body.extend(number.to_be_bytes());
        }
        if timed {
            let left = kept.expires_in_ms.unwrap_or(0);
            body.extend(u32::try_from(left).unwrap_or(u32::MAX).to_be_bytes());
        }
        wire::put_key(&mut body, key);
        wire::put_cells(&mut body, &shared.table.spec.stored, &kept.cells, &mut self.said);
        let kind = match (timed, next) {
            (false, false) => stick::UPDATE,
            (false, true) => stick::NEXT,
            (true, false) => stick::TIMED_UPDATE,
            (true, true) => stick::TIMED_NEXT,
        };
        wire::put_stick(out, kind, &body);
        self.telling = Some((n, number));
        true
    }

    /// A batch of changes; false when there are none.
    fn tell_some(&mut self, n: usize, out: &mut Vec<u8>, now_ms: u64) -> bool {
        let told = self.progress[n].told;
        let changes = self.tables[n].table.lock().updates().map(|u| u.take(told, BATCH)).unwrap_or_default();
        let Some((last, _)) = changes.last() else { return false };
        self.progress[n].told = *last;
        self.define(n, out);
        for (number, key) in &changes {
            self.put(n, key, *number, false, out, now_ms);
        }
        true
    }

    /// A batch of everything.
    fn teach_some(&mut self, out: &mut Vec<u8>, now_ms: u64) {
        let Some(mut teaching) = self.teaching.take() else { return };
        let Some(n) = teaching.tables.front().copied() else {
            out.extend([class::CONTROL, teaching.end]);
            return;
        };
        self.define(n, out);
        let (mut keys, number) = teaching.keys.take().unwrap_or_else(|| {
            let mut table = self.tables[n].table.lock();
            // Whatever changes from here on is told behind this.
            let number = table.updates().map_or(0, |u| u.pass_all());
            (table.keys_as_they_lie(now_ms).into(), number)
        });
        for key in keys.drain(..keys.len().min(BATCH)).collect::<Vec<_>>() {
            // All under the number of the last change: once that is confirmed, they have all arrived.
            self.put(n, &key, number, true, out, now_ms);
        }
        if keys.is_empty() {
            teaching.tables.pop_front();
            self.progress[n].told = self.progress[n].told.max(number);
        } else {
            teaching.keys = Some((keys, number));
        }
        self.teaching = Some(teaching);
    }
}
