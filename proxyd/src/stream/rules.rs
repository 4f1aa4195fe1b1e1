//! Running rules where they may wait: for bytes of a body, for a time, for a whole body.
//!
//! Invariant: a rule that waits is judged again in its place; when what it waits for can no longer come, it is judged
//! as what is known then.
//!
//! Absent on purpose: what a rule means (`action/`), and what its verdict does to the stream (`analyse.rs`).

use super::accept::Client;
use super::answer;
use super::connect::Server;
use super::http::{After, Exchange, Switch};
use super::transfer::{Event, Kind};
use super::txn::{EndedBy, EndedIn, Resolving};
use super::view::Phase;
use crate::acl::Answer;
use crate::action::{Flow as Next, Hint, Rule, RuleSet, Verdict, Wait};
use crate::config::model::Proxy;
use crate::mux::wire::Conn;
use crate::runtime::clock;
use h1::{Body, Framing, Part, Progress, RequestInfo};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What logs count for a `100 Continue` of our own, bytes: the start line as haproxy keeps it, and the end.
const CONTINUE_COUNTED: u64 = 40;

/// Where bytes of the response come from, and how they are framed.
pub type From<'s, 'g> = Option<(&'s mut Server<'g>, Framing)>;

/// Bodies as rules see them: without chunks.
#[derive(Debug, Default)]
pub struct Sight {
    request: Plain,
    response: Plain,
    /// The client broke its connection off while rules waited for it.
    pub client_broke: bool,
    /// The client was silent for longer than `timeout client` while rules waited for it.
    pub client_silent: bool,
}

/// The content of a chunked body, where there is one.
#[derive(Debug, Default)]
struct Plain(Option<Box<Content>>);

/// That content; made anew when more of it came.
#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    of: usize,
    /// Raw bytes that the content and its framing take.
    used: usize,
    ended: bool,
}

impl Content {
    fn see(&mut self, raw: &[u8]) -> (&[u8], bool) {
        if self.of != raw.len() {
            self.of = raw.len();
            self.bytes.clear();
            let mut body = Body::new(Framing::Chunked);
            let mut at = 0;
            while !body.is_end() {
                let Ok(part) = body.next(&raw[at..], false) else { break };
                at += match part {
                    Part::Need | Part::End => break,
                    Part::Data { take } => {
                        self.bytes.extend_from_slice(&raw[at..at + take]);
                        take
                    }
                    Part::Plain { take }
                    | Part::Size { take, .. }
                    | Part::Crlf { take }
                    | Part::Trailer { take, .. } => take,
                };
            }
            (self.used, self.ended) = (at, body.is_end());
        }
        (&self.bytes, self.ended)
    }
}

impl Plain {
    fn of<'s>(&'s mut self, framing: Framing, raw: &'s [u8], eof: bool) -> (&'s [u8], bool) {
        match framing {
            Framing::None => (&[], true),
            Framing::Length(n) if n <= raw.len() as u64 => (&raw[..n as usize], true),
            Framing::Length(_) => (raw, eof),
            Framing::Chunked => {
                let (bytes, ended) = self.0.get_or_insert_default().see(raw);
                (bytes, ended || eof)
            }
            Framing::UntilClose | Framing::Tunnel => (raw, eof),
        }
    }
}

impl Sight {
    /// The request's content so far, and whether that is all of it.
    pub fn request<'s>(&'s mut self, framing: Framing, raw: &'s [u8]) -> (&'s [u8], bool) {
        self.request.of(framing, raw, false)
    }

    /// How many raw bytes a chunked request took, when it was seen to its end.
    pub fn request_len(&self) -> Option<usize> {
        self.request.0.as_ref().filter(|c| c.ended).map(|c| c.used)
    }

    /// Forgets a stream.
    pub fn reset(&mut self) {
        (self.client_broke, self.client_silent) = (false, false);
        for content in [&mut self.request, &mut self.response].into_iter().filter_map(|p| p.0.as_mut()) {
            content.bytes.clear();
            (content.of, content.used, content.ended) = (0, 0, false);
        }
    }
}

/// Lets a connection go without a word. Where the kernel does not forget it for us, which takes rights, or where `hops`
/// asks for it, it resets the connection with a packet that goes so far and no further.
pub fn forget(conn: &Conn, hops: Option<u8>) {
    let Some(socket) = conn.wire.socket() else { return };
    if hops.is_none() && sys::tcp::repair(&*socket).is_ok() {
        return;
    }
    let hops = u32::from(hops.unwrap_or(1));
    // What can't be set leaves an ordinary close.
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = socket.set_ttl_v4(hops).or_else(|_| socket.set_unicast_hops_v6(hops));
}

/// Does to the client's socket what rules asked for: `set-mark`, `set-tos`. What the process may not do is left out.
pub fn touch_socket(client: &mut Client) {
    let (mark, tos) = (client.session.mark.take(), client.session.tos.take());
    if mark.is_none() && tos.is_none() {
        return;
    }
    let Some(socket) = client.conn.wire.socket() else { return };
    if let Some(mark) = mark {
        let _ = socket.set_mark(mark);
    }
    if let Some(tos) = tos {
        let _ = socket.set_tos_v4(u32::from(tos)).or_else(|_| socket.set_tclass_v6(u32::from(tos)));
    }
}

impl Exchange<'_, '_> {
    /// Rules on the request's bytes.
    pub async fn content_rules(&mut self, sets: &[RuleSet], delay: Option<Duration>) -> Result<(), After> {
        self.http_rules(sets, Phase::RequestContent, delay, None).await
    }

    /// Runs rule sets; `Err` when one of them ended the exchange.
    pub async fn http_rules(
        &mut self,
        sets: &[RuleSet],
        phase: Phase,
        delay: Option<Duration>,
        mut from: From<'_, '_>,
    ) -> Result<(), After> {
        let proxy = self.back();
        let content = matches!(phase, Phase::RequestContent | Phase::ResponseContent);
        let unlimited = if content { Duration::ZERO } else { Duration::from_hours(1) };
        let mut give_up = None;
        for set in sets {
            let mut at = 0;
            while let Some(rule) = set.get(at) {
                // The clock is looked at only where there is something to wait for.
                let may_wait = !content
                    || delay.is_some_and(|d| clock::now() < *give_up.get_or_insert_with(|| clock::now() + d));
                let next = self.judge(rule, proxy, phase, may_wait, &mut from);
                touch_socket(self.client);
                match next {
                    Next::Continue => at += 1,
                    Next::Stop => return Ok(()),
                    Next::Finish(Verdict::Http { h2_too }) => {
                        // What is HTTP already goes on as it is.
                        self.switch = self.raw.then_some(Switch { h2_too, routed: false });
                        return Ok(());
                    }
                    Next::Finish(verdict) => {
                        if let Some((server, _)) = &from {
                            // What came of an answer that is not passed on counts all the same.
                            self.parts.txn.bytes_out += server.link.conn.buf.len() as u64;
                        }
                        return Err(Box::pin(self.finish_by(verdict, phase)).await);
                    }
                    Next::Wait(Wait::Body { time, at_least }) => {
                        match &mut from {
                            Some((server, framing)) => {
                                Box::pin(self.response_body(server, *framing, time, at_least)).await?;
                            }
                            // An answer out of a cache is whole.
                            None if phase == Phase::ResponseHead => {}
                            None => Box::pin(self.request_body(Some(time), at_least)).await?,
                        }
                        at += 1;
                    }
                    Next::Inform(hint) => {
                        Box::pin(self.inform(hint)).await;
                        at += 1;
                    }
                    Next::Wait(Wait::Pause(time)) => {
                        Box::pin(self.pause(time)).await;
                        at += 1;
                    }
                    Next::Wait(Wait::Address) => Box::pin(self.resolved()).await,
                    Next::Wait(_) if !may_wait => at += 1,
                    Next::Wait(wait) => {
                        let until = *give_up.get_or_insert_with(|| clock::now() + delay.unwrap_or(unlimited));
                        if !Box::pin(self.wait(wait, until, &mut from)).await {
                            // Nothing more will come: as at the end of the delay.
                            give_up = Some(clock::now());
                            if !content {
                                at += 1;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn pause(&mut self, time: Duration) {
        self.client.deadline.set(clock::now(), Some(time));
        self.client.deadline.passed().await;
    }

    /// Sends a head before the answer. A client that is gone is noticed by whoever reads from it next.
    async fn inform(&mut self, hint: Hint) {
        self.parts.txn.bytes_out += hint.counted;
        self.client.deadline.set(clock::now(), self.frontend().timeouts.client);
        let _ = answer::write_all(&mut self.client.conn, &self.client.deadline, &hint.head).await;
    }

    /// Waits for the address that a rule asked for. The resolver always answers, if only by going away.
    async fn resolved(&mut self) {
        if let Some(Resolving::Asked(answer)) = self.parts.txn.resolving.take() {
            self.parts.txn.resolving = Some(Resolving::Done(answer.await.ok().flatten()));
        }
    }

    /// Runs one rule where nothing can be waited for.
    pub fn one_rule(&mut self, rule: &Rule, proxy: &Proxy, phase: Phase) -> Next {
        self.judge(rule, proxy, phase, false, &mut None)
    }

    fn judge(
        &mut self,
        rule: &Rule,
        proxy: &Proxy,
        phase: Phase,
        may_wait: bool,
        from: &mut From<'_, '_>,
    ) -> Next {
        let response = phase == Phase::ResponseContent;
        if self.raw {
            self.look_for_http();
        }
        let mut sight = std::mem::take(&mut self.parts.sight.response);
        let seen = match &*from {
            Some((server, framing)) => sight.of(*framing, server.link.conn.buf.bytes(), server.link.conn.eof),
            None => (&[][..], false),
        };
        let full = from.as_ref().is_some_and(|(server, _)| server.link.conn.buf.is_full());
        let mut view = self.view_with(proxy, phase, (seen.0, seen.1 || full));
        let next = 'judged: {
            // Only content rules wait for what they can't tell yet; what is complete leaves nothing to wait for.
            let waits = may_wait
                && match phase {
                    Phase::RequestContent => !view.request_ended,
                    Phase::ResponseContent => true,
                    _ => false,
                };
            view.may_wait = waits;
            if waits && rule.condition.as_ref().is_some_and(|c| c.check(&view) == Answer::Unknown) {
                break 'judged Next::Wait(if response { Wait::ResponseBytes } else { Wait::RequestBytes });
            }
            view.may_wait =
                waits || (may_wait && !matches!(phase, Phase::RequestContent | Phase::ResponseContent));
            if !rule.condition.as_ref().is_none_or(|c| c.holds(&view)) {
                break 'judged Next::Continue;
            }
            let next = rule.action.run(&mut view);
            if matches!(next, Next::Stop | Next::Finish(_))
                && let Some(txn) = view.txn.as_deref_mut()
            {
                txn.last_rule = Some(rule.origin.clone());
            }
            next
        };
        self.parts.sight.response = sight;
        next
    }

    /// Rules of a TCP stream may ask for parts of a request: it is read as one where it can be.
    pub fn look_for_http(&mut self) {
        let bytes = self.client.conn.buf.bytes();
        let parts = &mut *self.parts;
        if parts.looks_http || bytes.is_empty() {
            return;
        }
        parts.client_parser.reset();
        let options = super::requests::options(self.generation, true);
        parts.client_parser.set_options(options);
        if let Ok(Progress::Done(_)) = parts.client_parser.parse(bytes) {
            let head = &parts.client_parser.head;
            let mut info = RequestInfo::default();
            let read = crate::mux::h1::request(head, bytes, options, &mut parts.request, &mut info);
            parts.looks_http = read.is_ok();
        }
    }

    /// Waits for what a rule wants; false says that it will not come.
    async fn wait(&mut self, wait: Wait, give_up: Instant, from: &mut From<'_, '_>) -> bool {
        let now = clock::now();
        let rest = give_up.saturating_duration_since(now);
        match (wait, from) {
            (Wait::Delay(time), _) => {
                self.client.deadline.set(now, Some(time));
                self.client.deadline.passed().await;
                true
            }
            (Wait::ResponseBytes, Some((server, _))) => {
                if server.link.conn.eof || server.link.conn.buf.is_full() {
                    return false;
                }
                self.client.deadline.set(now, Some(rest));
                matches!(
                    fill(&mut server.link.conn, &self.client.deadline).await,
                    Filled::Bytes | Filled::Timeout
                )
            }
            (Wait::RequestBytes, _) => {
                let patience = self.frontend().timeouts.client.filter(|t| self.raw && *t < rest);
                self.client.deadline.set(now, Some(patience.unwrap_or(rest)));
                let filled = fill(&mut self.client.conn, &self.client.deadline).await;
                self.parts.sight.client_broke |= filled == Filled::Broken;
                self.parts.sight.client_silent |= filled == Filled::Timeout && patience.is_some();
                filled == Filled::Bytes || (filled == Filled::Timeout && patience.is_none())
            }
            _ => {
                self.client.deadline.set(now, Some(rest));
                self.client.deadline.passed().await;
                true
            }
        }
    }

    /// Waits until the request's body is whole, `at_least` bytes are there or the buffer is full; 408 when it takes
    /// longer than `time`, or the time for requests.
    pub async fn request_body(&mut self, time: Option<Duration>, at_least: usize) -> Result<(), After> {
        let timeouts = &self.frontend().timeouts;
        let begun = if time.is_some() { clock::now() } else { self.parts.txn.start };
        let limit = time.or(timeouts.http_request).or(timeouts.client);
        let mut asked = false;
        loop {
            let conn = &self.client.conn;
            let (bytes, ended) = self.parts.sight.request(self.parts.info.framing, conn.buf.bytes());
            let full = conn.buf.is_full() || conn.buf.len() >= self.generation.config.global.tune.bufsize;
            if ended || conn.eof || full || (at_least > 0 && bytes.len() >= at_least) {
                return Ok(());
            }
            if !asked {
                asked = true;
                self.ask_for_body().await;
            }
            self.client.deadline.set(begun, limit);
            match fill(&mut self.client.conn, &self.client.deadline).await {
                Filled::Bytes => {}
                Filled::End | Filled::Broken => {
                    self.count_waiting();
                    self.set_end((EndedBy::Client, EndedIn::Request));
                    return Err(After::Abort);
                }
                Filled::Timeout => {
                    self.set_end((EndedBy::ClientTimeout, EndedIn::Request));
                    self.keep = false;
                    self.parts.txn.times.request = None;
                    return Err(self.reply_error(408).await);
                }
            }
        }
    }

    /// A client that waits for a word before it sends its body gets it here.
    pub(super) async fn ask_for_body(&mut self) {
        let request = &mut self.parts.request;
        let waits = request.first(b"expect").is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
        if waits && request.version >= (1, 1) && self.client.conn.buf.is_empty() {
            request.remove(b"expect");
            self.client.deadline.set(clock::now(), self.frontend().timeouts.client);
            let text = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.parts.txn.bytes_out += CONTINUE_COUNTED;
            // A client that is gone is noticed by the read that follows.
            let _ = answer::write_all(&mut self.client.conn, &self.client.deadline, text).await;
        }
    }

    /// The same of the response; 504 when it takes too long.
    async fn response_body(
        &mut self,
        server: &mut Server<'_>,
        framing: Framing,
        time: Duration,
        at_least: usize,
    ) -> Result<(), After> {
        let begun = clock::now();
        loop {
            let conn = &server.link.conn;
            let (bytes, ended) = self.parts.sight.response.of(framing, conn.buf.bytes(), conn.eof);
            if ended || conn.buf.is_full() || (at_least > 0 && bytes.len() >= at_least) {
                return Ok(());
            }
            self.client.deadline.set(begun, Some(time));
            let here = bytes.len() as u64;
            if fill(&mut server.link.conn, &self.client.deadline).await == Filled::Timeout {
                self.parts.txn.bytes_out += here;
                self.set_end((EndedBy::ServerTimeout, EndedIn::Request));
                self.parts.txn.times.response = None;
                return Err(self.reply_error(504).await);
            }
        }
    }

    /// Waits until the whole body is in the buffer, or as much of it as fits or comes in time.
    pub async fn whole_body(&mut self, limit: Duration) -> Vec<u8> {
        let until = clock::now() + limit;
        loop {
            let view = self.view(self.frontend(), Phase::RequestHead);
            if view.request_ended || clock::now() >= until {
                return view.request_bytes.to_vec();
            }
            if !self.wait(Wait::RequestBytes, until, &mut None).await {
                return self.view(self.frontend(), Phase::RequestHead).request_bytes.to_vec();
            }
        }
    }

    /// `tcp-response content` of a TCP stream: what the client sends goes on meanwhile. `Err` ends the stream.
    pub async fn stream_response_rules(&mut self, server: &mut Server<'_>) -> Result<(), Option<Event>> {
        let back = self.back();
        let begun = clock::now();
        let until = begun + back.rules.res_inspect_delay.unwrap_or_default();
        let mut final_say = back.rules.res_inspect_delay.is_none();
        for set in &back.rules.tcp_res_cont {
            let mut at = 0;
            while let Some(rule) = set.get(at) {
                let mut from = Some((&mut *server, Framing::UntilClose));
                final_say |= clock::now() >= until;
                match self.judge(rule, back, Phase::ResponseContent, !final_say, &mut from) {
                    Next::Continue | Next::Inform(_) => at += 1,
                    Next::Stop => return Ok(()),
                    Next::Finish(verdict) => {
                        self.parts.txn.bytes_out += server.link.conn.buf.len() as u64;
                        server.link.conn.take_leave();
                        if !matches!(verdict, Verdict::Close) {
                            self.set_end((EndedBy::Proxy, EndedIn::Data));
                        }
                        return Err(None);
                    }
                    Next::Wait(_) if final_say => at += 1,
                    Next::Wait(_) => {
                        if server.link.conn.eof || server.link.conn.buf.is_full() {
                            final_say = true;
                            continue;
                        }
                        let limits = self.limits();
                        let more = self.transfer_within(server, true, Kind::Raw, &limits);
                        match tokio::time::timeout_at(until.into(), more).await {
                            Err(_) => final_say = true,
                            Ok(Event::Head) => {}
                            Ok(other) => return Err(Some(other)),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// How a read went.
#[derive(Debug, PartialEq, Eq)]
enum Filled {
    Bytes,
    End,
    Broken,
    Timeout,
}

async fn fill(conn: &mut Conn, deadline: &crate::runtime::timers::Deadline) -> Filled {
    poll_fn(|cx| match conn.poll_fill(cx, false) {
        Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Filled::Bytes),
        Poll::Ready(Ok(_)) => Poll::Ready(Filled::End),
        Poll::Ready(Err(_)) => {
            conn.eof = true;
            Poll::Ready(Filled::Broken)
        }
        Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Filled::Timeout),
        Poll::Pending => Poll::Pending,
    })
    .await
}
