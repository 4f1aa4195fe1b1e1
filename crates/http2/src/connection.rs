//! One HTTP/2 connection: frames of the peer come in, what is to be sent gathers in an output buffer.
//!
//! A stream's window is given back as its bytes are used ([`Connection::used`]), so a reader that does not read
//! stops its sender and nobody else; the connection's window is as wide as it can be.
//!
//! Invariant: an output buffer beyond [`OUT_MAX`] takes no more data, and whoever drives the connection reads
//! nothing while it is that long; so answers to a flood of frames can't pile up.
//!
//! Absent on purpose: what fields mean, time, priorities (read and passed over), push (refused).

mod rest;

pub use crate::face::{Config, Counts, Role, Sink};
use crate::frame::{self, Code, Head, WINDOW, WINDOW_MAX, flag, kind, setting};
use crate::hpack::{Decoder, Fields};
use std::collections::BTreeMap;

/// Bytes waiting to be sent from which on no data is taken: several frames, so that a turn of the loop fills one
/// write, and few enough that a slow peer costs little.
pub const OUT_MAX: usize = 64 * 1024;
/// Control frames make the buffer longer than [`OUT_MAX`] at most by what one read can cause.
pub const OUT_PAUSE: usize = 2 * OUT_MAX;
/// The connection's window is opened again after so many bytes.
const CREDIT_AFTER: u32 = 64 * 1024;

#[derive(Debug, Clone, Copy)]
struct Stream {
    /// What we may send.
    send: i64,
    /// What the peer may send.
    receive: i64,
    /// The peer has not ended it.
    remote: bool,
    /// We have not ended it.
    local: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Preface(usize),
    Head,
    Payload(Head),
    /// Rest of the payload, of it padding.
    Data {
        head: Head,
        left: u32,
        padding: u32,
    },
}

/// A header block whose end has not come yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    id: u32,
    end: bool,
}

/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    /// Bytes to be sent; whoever sends takes them away.
    pub out: Vec<u8>,
    reading: Reading,
    /// A frame's head or payload that is not complete.
    pending: Vec<u8>,
    /// A header block that goes on in the next frame.
    block: Vec<u8>,
    open: Option<Open>,
    fields: Fields,
    decoder: Decoder,
    streams: BTreeMap<u32, Stream>,
    /// Highest stream of the peer, or of ours.
    last: u32,
    send: i64,
    receive: i64,
    unpaid: u32,
    peer_window: i64,
    peer_payload: usize,
    peer_streams: u32,
    settled: bool,
    extended: bool,
    /// No stream beyond this one is served: GOAWAY was sent.
    closing: Option<u32>,
    /// The peer said GOAWAY.
    leaving: bool,
    dead: bool,
    /// For statistics.
    pub counts: Counts,
}

impl Connection {
    /// A connection of which nothing was read; its settings are in the output.
    pub fn new(role: Role, config: Config) -> Self {
        let mut new = Self {
            role,
            config,
            out: Vec::new(),
            reading: if role == Role::Server { Reading::Preface(0) } else { Reading::Head },
            pending: Vec::new(),
            block: Vec::new(),
            open: None,
            fields: Fields::default(),
            decoder: Decoder::new(config.table as usize),
            streams: BTreeMap::new(),
            last: 0,
            send: WINDOW,
            receive: WINDOW,
            unpaid: 0,
            peer_window: WINDOW,
            peer_payload: frame::PAYLOAD_MAX as usize,
            peer_streams: u32::MAX,
            settled: false,
            extended: false,
            closing: None,
            leaving: false,
            dead: false,
            counts: Counts::default(),
        };
        new.settings();
        new
    }

    fn settings(&mut self) {
        let c = self.config;
        let mut list: Vec<(u16, u32)> = Vec::new();
        if self.role == Role::Server {
            list.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
            list.push((setting::MAX_CONCURRENT_STREAMS, c.streams));
        } else {
            self.out.extend_from_slice(frame::PREFACE);
            list.push((setting::ENABLE_PUSH, 0));
        }
        let standard = [
            (setting::HEADER_TABLE_SIZE, c.table, 4096),
            (setting::INITIAL_WINDOW_SIZE, c.window, WINDOW as u32),
            (setting::MAX_FRAME_SIZE, c.payload, frame::PAYLOAD_MAX),
        ];
        list.extend(standard.iter().filter(|(_, own, usual)| own != usual).map(|(id, own, _)| (*id, *own)));
        frame::put(&mut self.out, list.len() * 6, kind::SETTINGS, 0, 0);
        for (id, value) in list {
            self.out.extend_from_slice(&id.to_be_bytes());
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// Whether nothing more is read: a fault ended the connection. What is in the output is still to be sent.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether the peer serves or opens no new streams, or we don't.
    pub fn is_closing(&self) -> bool {
        self.leaving || self.closing.is_some() || self.dead
    }

    /// Streams that are not over.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams that the peer lets us have open at once.
    pub fn streams_allowed(&self) -> usize {
        self.peer_streams as usize
    }

    /// Whether the peer takes extended CONNECT (RFC 8441).
    pub fn is_extended(&self) -> bool {
        self.extended
    }

    /// Whether the peer's settings came.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether reading must wait until more was sent.
    pub fn is_choked(&self) -> bool {
        self.out.len() > OUT_PAUSE
    }

    /// Takes all that was received.
    pub fn receive<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.dead {
            let taken = match self.reading {
                Reading::Preface(at) => self.preface(at, rest),
                Reading::Head => self.frame_head(rest, sink),
                Reading::Payload(head) => self.payload(head, rest, sink),
                Reading::Data { head, left, padding } => self.data(head, left, padding, rest, sink),
            };
            match taken {
                Ok(taken) => rest = &rest[taken..],
                Err(code) => {
                    self.counts.connection_faults += 1;
                    self.die(code, sink);
                }
            }
        }
        if self.unpaid >= CREDIT_AFTER || (self.unpaid > 0 && self.receive < WINDOW) {
            self.pay();
        }
    }

    /// Opens the connection's window as far as it goes.
    fn pay(&mut self) {
        let n = (WINDOW_MAX - self.receive) as u32;
        self.receive = WINDOW_MAX;
        self.unpaid = 0;
        frame::put_whole(&mut self.out, kind::WINDOW_UPDATE, 0, 0, &n.to_be_bytes());
    }

    fn preface(&mut self, at: usize, rest: &[u8]) -> Result<usize, Code> {
        let wanted = &frame::PREFACE[at..];
        let n = wanted.len().min(rest.len());
        if rest[..n] != wanted[..n] {
            return Err(Code::Protocol);
        }
        self.reading = if n == wanted.len() { Reading::Head } else { Reading::Preface(at + n) };
        Ok(n)
    }

    fn frame_head<S: Sink>(&mut self, rest: &[u8], sink: &mut S) -> Result<usize, Code> {
        let (head, taken) = match (self.pending.is_empty(), rest.first_chunk::<{ frame::HEAD }>()) {
            (true, Some(whole)) => (Head::read(whole), frame::HEAD),
            _ => {
                let n = (frame::HEAD - self.pending.len()).min(rest.len());
                self.pending.extend_from_slice(&rest[..n]);
                let Some(whole) = self.pending.first_chunk::<{ frame::HEAD }>() else { return Ok(n) };
                let head = Head::read(whole);
                self.pending.clear();
                (head, n)
            }
        };
        self.judge(head)?;
        if head.kind == kind::DATA {
            self.data_head(head, sink)?;
        } else if head.len == 0 {
            self.whole(head, &[], sink)?;
        } else {
            self.reading = Reading::Payload(head);
        }
        Ok(taken)
    }

    /// What can be said of a frame by its head alone.
    fn judge(&self, head: Head) -> Result<(), Code> {
        if !self.settled && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Code::Protocol);
        }
        if head.len > self.config.payload {
            return Err(Code::FrameSize);
        }
        match self.open {
            Some(open) if head.kind != kind::CONTINUATION || head.id != open.id => {
                return Err(Code::Protocol);
            }
            None if head.kind == kind::CONTINUATION => return Err(Code::Protocol),
            _ => {}
        }
        let of_stream = matches!(
            head.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
        );
        let of_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        if (of_stream && head.id == 0) || (of_connection && head.id != 0) || head.kind == kind::PUSH_PROMISE {
            return Err(Code::Protocol);
        }
        // A stream that was never opened can only be opened.
        let idle = head.id > self.last || (head.id != 0 && head.id.is_multiple_of(2));
        let opens = head.kind == kind::HEADERS && self.role == Role::Server;
        if idle && of_stream && !opens && !matches!(head.kind, kind::PRIORITY | kind::CONTINUATION) {
            return Err(Code::Protocol);
        }
        Ok(())
    }

    fn payload<S: Sink>(&mut self, head: Head, rest: &[u8], sink: &mut S) -> Result<usize, Code> {
        let len = head.len as usize;
        if self.pending.is_empty() && rest.len() >= len {
            self.reading = Reading::Head;
            self.whole(head, &rest[..len], sink)?;
            return Ok(len);
        }
        let n = (len - self.pending.len()).min(rest.len());
        self.pending.extend_from_slice(&rest[..n]);
        if self.pending.len() == len {
            self.reading = Reading::Head;
            let payload = std::mem::take(&mut self.pending);
            self.whole(head, &payload, sink)?;
        }
        Ok(n)
    }

    fn whole<S: Sink>(&mut self, head: Head, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        match head.kind {
            kind::HEADERS => self.headers(head, payload, sink),
            kind::CONTINUATION => self.continuation(head, payload, sink),
            kind::PRIORITY => match frame::number(payload) {
                Some(on) if payload.len() == 5 && on & 0x7fff_ffff != head.id => Ok(()),
                Some(_) if payload.len() == 5 => Err(Code::Protocol),
                _ => Err(Code::FrameSize),
            },
            kind::RST_STREAM => {
                let code = frame::number(payload).filter(|_| payload.len() == 4).ok_or(Code::FrameSize)?;
                self.counts.rst += 1;
                match self.streams.remove(&head.id) {
                    Some(_) => sink.reset(head.id, code),
                    None => self.counts.glitches += 1,
                }
                Ok(())
            }
            kind::SETTINGS => self.peer_settings(head, payload, sink),
            kind::PING if payload.len() != 8 => Err(Code::FrameSize),
            kind::PING => {
                if !head.has(flag::ACK) {
                    frame::put_whole(&mut self.out, kind::PING, flag::ACK, 0, payload);
                }
                Ok(())
            }
            kind::GOAWAY => self.peer_leaves(payload, sink),
            kind::WINDOW_UPDATE => self.window_update(head.id, payload, sink),
            _ => Ok(()), // types nobody knows are passed over
        }
    }

    fn peer_leaves<S: Sink>(&mut self, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        let last =
            frame::number(payload).filter(|_| payload.len() >= 8).ok_or(Code::FrameSize)? & 0x7fff_ffff;
        self.counts.goaway += 1;
        self.leaving = true;
        if self.role == Role::Client {
            // What lies beyond was not looked at, and may be asked for elsewhere.
            let lost: Vec<u32> = self.streams.range(last.saturating_add(1)..).map(|(id, _)| *id).collect();
            for id in lost {
                self.streams.remove(&id);
                sink.reset(id, Code::RefusedStream as u32);
            }
        }
        Ok(())
    }

    fn headers<S: Sink>(&mut self, head: Head, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        self.counts.headers += 1;
        let mut block = payload;
        if head.has(flag::PADDED) {
            let (padding, rest) = block.split_first().ok_or(Code::FrameSize)?;
            let keep = rest.len().checked_sub(usize::from(*padding)).ok_or(Code::Protocol)?;
            block = &rest[..keep];
        }
        if head.has(flag::PRIORITY) {
            let (on, rest) = block.split_at_checked(5).ok_or(Code::FrameSize)?;
            if frame::number(on).is_some_and(|on| on & 0x7fff_ffff == head.id) {
                return Err(Code::Protocol);
            }
            block = rest;
        }
        let open = Open { id: head.id, end: head.has(flag::END_STREAM) };
        if head.has(flag::END_HEADERS) {
            return self.head(open, block, sink);
        }
        self.block.clear();
        self.block.extend_from_slice(block);
        self.open = Some(open);
        Ok(())
    }

    fn continuation<S: Sink>(&mut self, head: Head, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        // Coded bytes are fewer than what they stand for, but for a few that say nothing.
        if self.block.len() + payload.len() > 2 * self.config.head {
            return Err(Code::EnhanceYourCalm);
        }
        self.block.extend_from_slice(payload);
        self.counts.glitches += u64::from(payload.is_empty());
        if head.has(flag::END_HEADERS)
            && let Some(open) = self.open.take()
        {
            let block = std::mem::take(&mut self.block);
            return self.head(open, &block, sink);
        }
        Ok(())
    }

    /// A whole header block.
    fn head<S: Sink>(&mut self, open: Open, block: &[u8], sink: &mut S) -> Result<(), Code> {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        let read = self.decoder.decode(block, self.config.head, &mut fields);
        let done = read.map_err(|_| Code::Compression).and_then(|()| self.fields_of(open, &fields, sink));
        self.fields = fields;
        done
    }

    fn fields_of<S: Sink>(&mut self, open: Open, fields: &Fields, sink: &mut S) -> Result<(), Code> {
        let Open { id, end } = open;
        let opens = self.role == Role::Server && id > self.last;
        if opens {
            if id.is_multiple_of(2) {
                return Err(Code::Protocol);
            }
            self.last = id;
            if self.closing.is_some() {
                return Ok(()); // the client was told that it is not served; what follows is passed over
            }
            if self.streams.len() >= self.config.streams as usize {
                self.refuse(id, Code::RefusedStream);
                return Ok(());
            }
            let new = Stream {
                send: self.peer_window,
                receive: i64::from(self.config.window),
                remote: true,
                local: true,
            };
            self.streams.insert(id, new);
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            // Over already: by us, and the peer did not know yet, or by the peer, who should.
            self.refuse(id, Code::StreamClosed);
            return Ok(());
        };
        if !stream.remote {
            self.fail(id, Code::StreamClosed, sink);
            return Ok(());
        }
        stream.remote = !end;
        match sink.head(id, opens, fields, end) {
            Ok(()) if end => self.settle(id),
            Ok(()) => {}
            Err(code) => self.fail(id, code, sink),
        }
        Ok(())
    }

    fn data_head<S: Sink>(&mut self, head: Head, sink: &mut S) -> Result<(), Code> {
        self.counts.data += 1;
        let len = i64::from(head.len);
        self.receive -= len;
        self.unpaid = self.unpaid.saturating_add(head.len);
        if self.receive < 0 {
            return Err(Code::FlowControl);
        }
        if let Some(stream) = self.streams.get_mut(&head.id) {
            stream.receive -= len;
            let fault = match (stream.remote, stream.receive < 0) {
                (false, _) => Some(Code::StreamClosed),
                (true, true) => Some(Code::FlowControl),
                (true, false) => None,
            };
            if let Some(code) = fault {
                self.fail(head.id, code, sink);
            }
        }
        if head.has(flag::PADDED) && head.len == 0 {
            return Err(Code::FrameSize);
        }
        if head.len == 0 {
            self.counts.glitches += u64::from(!head.has(flag::END_STREAM));
            self.part(head, &[], true, sink);
            return Ok(());
        }
        self.reading = Reading::Data { head, left: head.len, padding: 0 };
        Ok(())
    }

    fn data<S: Sink>(
        &mut self,
        head: Head,
        left: u32,
        padding: u32,
        rest: &[u8],
        sink: &mut S,
    ) -> Result<usize, Code> {
        if head.has(flag::PADDED) && left == head.len {
            let padding = u32::from(rest[0]);
            if padding >= head.len {
                return Err(Code::Protocol);
            }
            self.reading = Reading::Data { head, left: left - 1, padding };
            // Nobody uses padding: its window is given back at once.
            self.used(head.id, padding as usize + 1);
            if left - 1 == padding {
                self.part(head, &[], true, sink);
            }
            if left == 1 {
                self.reading = Reading::Head;
            }
            return Ok(1);
        }
        let n = rest.len().min(left as usize);
        let content = (left - padding.min(left)) as usize;
        let here = n.min(content);
        if content > 0 {
            self.part(head, &rest[..here], here == content, sink);
        }
        let left = left - n as u32;
        self.reading = if left == 0 { Reading::Head } else { Reading::Data { head, left, padding } };
        Ok(n)
    }

    fn part<S: Sink>(&mut self, head: Head, bytes: &[u8], last: bool, sink: &mut S) {
        let end = last && head.has(flag::END_STREAM);
        let Some(stream) = self.streams.get_mut(&head.id) else { return };
        stream.remote &= !end;
        match sink.data(head.id, bytes, end) {
            Ok(()) if end => self.settle(head.id),
            Ok(()) => {}
            Err(code) => self.fail(head.id, code, sink),
        }
    }

    fn peer_settings<S: Sink>(&mut self, head: Head, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        if head.has(flag::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Code::FrameSize) };
        }
        let (list, []) = payload.as_chunks::<6>() else { return Err(Code::FrameSize) };
        self.counts.settings += 1;
        self.settled = true;
        for [a, b, c, d, e, f] in list {
            let value = u32::from_be_bytes([*c, *d, *e, *f]);
            match u16::from_be_bytes([*a, *b]) {
                setting::INITIAL_WINDOW_SIZE => self.peer_window(i64::from(value), sink)?,
                setting::MAX_FRAME_SIZE if !(frame::PAYLOAD_MAX..1 << 24).contains(&value) => {
                    return Err(Code::Protocol);
                }
                setting::MAX_FRAME_SIZE => self.peer_payload = value as usize,
                setting::ENABLE_PUSH if value > 1 => return Err(Code::Protocol),
                setting::MAX_CONCURRENT_STREAMS => self.peer_streams = value,
                setting::ENABLE_CONNECT_PROTOCOL => self.extended = value == 1,
                _ => {}
            }
        }
        frame::put(&mut self.out, 0, kind::SETTINGS, flag::ACK, 0);
        Ok(())
    }

    fn peer_window<S: Sink>(&mut self, window: i64, sink: &mut S) -> Result<(), Code> {
        if window > WINDOW_MAX {
            return Err(Code::FlowControl);
        }
        let change = window - self.peer_window;
        self.peer_window = window;
        for stream in self.streams.values_mut() {
            stream.send += change;
            if stream.send > WINDOW_MAX {
                return Err(Code::FlowControl);
            }
        }
        sink.writable(0);
        Ok(())
    }

    fn window_update<S: Sink>(&mut self, id: u32, payload: &[u8], sink: &mut S) -> Result<(), Code> {
        let n = frame::number(payload).filter(|_| payload.len() == 4).ok_or(Code::FrameSize)? & 0x7fff_ffff;
        if id == 0 {
            self.send += i64::from(n);
            if n == 0 {
                return Err(Code::Protocol);
            }
            if self.send > WINDOW_MAX {
                return Err(Code::FlowControl);
            }
            sink.writable(0);
            return Ok(());
        }
        if id > self.last {
            return Err(Code::Protocol);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        stream.send += i64::from(n);
        if n == 0 {
            self.fail(id, Code::Protocol, sink);
        } else if stream.send > WINDOW_MAX {
            self.fail(id, Code::FlowControl, sink);
        } else {
            sink.writable(id);
        }
        Ok(())
    }

    /// Opens a stream of ours; `None` when none can be opened now.
    pub fn start(&mut self) -> Option<u32> {
        if self.is_closing() || self.streams.len() >= self.peer_streams as usize || self.last >= (1 << 31) - 3
        {
            return None;
        }
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        let new = Stream {
            send: self.peer_window,
            receive: i64::from(self.config.window),
            remote: true,
            local: true,
        };
        self.streams.insert(self.last, new);
        Some(self.last)
    }

    /// Gives up a stream of ours of which nothing was said; `tell` says so by a reset.
    pub fn give_up(&mut self, id: u32, code: Code, tell: bool) {
        if self.streams.remove(&id).is_some() && tell {
            self.refuse(id, code);
        }
    }

    /// Sends a header block.
    pub fn send_head(&mut self, id: u32, block: &[u8], end: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.local &= !end;
        let ends = if end { flag::END_STREAM } else { 0 };
        let (mut kind, mut first) = (kind::HEADERS, ends);
        let mut rest = block;
        loop {
            let (part, tail) = rest.split_at(rest.len().min(self.peer_payload));
            let last = if tail.is_empty() { flag::END_HEADERS } else { 0 };
            frame::put_whole(&mut self.out, kind, first | last, id, part);
            if tail.is_empty() {
                break;
            }
            (kind, first, rest) = (kind::CONTINUATION, 0, tail);
        }
        if end {
            self.settle(id);
        }
    }

    /// Sends as much of a body as windows and the output allow; `end` says that these are its last bytes. Gives how
    /// many were taken; the end is said only with the last of them.
    pub fn send_data(&mut self, id: u32, bytes: &[u8], end: bool) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else { return bytes.len() };
        if bytes.is_empty() {
            if end && stream.local {
                stream.local = false;
                frame::put(&mut self.out, 0, kind::DATA, flag::END_STREAM, id);
                self.settle(id);
            }
            return 0;
        }
        let mut at = 0;
        while at < bytes.len() && self.out.len() < OUT_MAX {
            let window = stream.send.min(self.send).max(0) as usize;
            let n = (bytes.len() - at).min(window).min(self.peer_payload);
            if n == 0 {
                break;
            }
            let last = end && at + n == bytes.len();
            let flags = if last { flag::END_STREAM } else { 0 };
            frame::put_whole(&mut self.out, kind::DATA, flags, id, &bytes[at..at + n]);
            stream.send -= n as i64;
            self.send -= n as i64;
            stream.local &= !last;
            at += n;
        }
        if end && at == bytes.len() {
            self.settle(id);
        }
        at
    }

    /// Says that `n` bytes of a stream's body were used: the peer may send as many more.
    pub fn used(&mut self, id: u32, n: usize) {
        if n == 0 || self.dead {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.receive += n as i64;
            frame::put_whole(&mut self.out, kind::WINDOW_UPDATE, 0, id, &(n as u32).to_be_bytes());
        }
    }

    /// Opens a stream's window further than the settings say, as far as windows go.
    pub fn widen(&mut self, id: u32, n: u32) {
        let Some(stream) = self.streams.get(&id) else { return };
        self.used(id, n.min((WINDOW_MAX - stream.receive).max(0) as u32) as usize);
    }

    /// Whether the stream is still there.
    pub fn has(&self, id: u32) -> bool {
        self.streams.contains_key(&id)
    }

    /// Whether the peer has more to say on a stream.
    pub fn awaits(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(|s| s.remote)
    }

    /// Whether we have more to say on a stream.
    pub fn speaks(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(|s| s.local)
    }

    /// Ends a stream, unless it is over.
    pub fn reset(&mut self, id: u32, code: Code) {
        if self.streams.remove(&id).is_some() {
            self.refuse(id, code);
        }
    }

    fn refuse(&mut self, id: u32, code: Code) {
        self.counts.rst_sent += 1;
        frame::put_whole(&mut self.out, kind::RST_STREAM, 0, id, &(code as u32).to_be_bytes());
    }

    /// A stream's fault.
    fn fail<S: Sink>(&mut self, id: u32, code: Code, sink: &mut S) {
        if code != Code::RefusedStream {
            self.counts.stream_faults += 1;
            self.counts.glitches += 1;
        }
        self.reset(id, code);
        sink.reset(id, code as u32);
    }

    /// Forgets a stream that both sides have ended.
    fn settle(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|s| !s.remote && !s.local) {
            self.streams.remove(&id);
        }
    }

    /// Says that no more streams are served; those that are open go on.
    pub fn leave(&mut self, code: Code) {
        if self.closing.is_some() {
            return;
        }
        self.say_closing(if self.role == Role::Server { self.last } else { 0 }, code);
    }

    /// Says that this connection will be closed, while every stream is still served (RFC 9113, 6.8).
    pub fn announce(&mut self) {
        if self.closing.is_none() {
            self.goaway(WINDOW_MAX as u32, Code::NoError);
        }
    }

    fn say_closing(&mut self, last: u32, code: Code) {
        self.closing = Some(last);
        self.goaway(last, code);
    }

    fn goaway(&mut self, last: u32, code: Code) {
        self.counts.goaway_sent += 1;
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&(code as u32).to_be_bytes());
        frame::put_whole(&mut self.out, kind::GOAWAY, 0, 0, &payload);
    }

    /// Ends the connection and all of its streams.
    pub fn die<S: Sink>(&mut self, code: Code, sink: &mut S) {
        // What was not served stays so.
        match self.closing {
            Some(last) => self.say_closing(last, code),
            None => self.leave(code),
        }
        self.dead = true;
        for id in std::mem::take(&mut self.streams).into_keys() {
            sink.reset(id, code as u32);
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
