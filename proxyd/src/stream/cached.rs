//! Answers out of a cache: as if the answer had come from a server, without one.
//!
//! Invariant: rules on responses see what is sent, and compression and conditions apply as to any answer.
//!
//! Absent on purpose: which answer it is (`action/cache.rs`).

use super::answer;
use super::http::{After, Exchange};
use super::txn::{EndedBy, EndedIn};
use super::view::Phase;
use crate::http::cache::{Copies, rules};
use crate::http::compress;
use crate::runtime::clock;
use h1::{Framing, Method};
use std::sync::atomic::Ordering::Relaxed;

/// Content up to this length is written together with its head.
const JOIN_MAX: usize = 16 * 1024;

impl Exchange<'_, '_> {
    /// Answers what a rule found in a cache.
    pub async fn cached(&mut self) -> Result<(), After> {
        let Some(visit) = self.parts.txn.cache.as_deref_mut().filter(|v| v.hit.is_some()) else {
            return Ok(());
        };
        visit.served = true;
        Err(Box::pin(self.deliver()).await)
    }

    async fn deliver(&mut self) -> After {
        let Some((_, entry)) = self.parts.txn.cache.as_deref().and_then(|v| v.hit.clone()) else {
            return self.reply_error(500).await;
        };
        self.set_end((EndedBy::Local, EndedIn::Request));
        let (front, back) = (self.frontend(), self.back());
        if self.backend == self.client.session.frontend {
            let counters = &self.generation.proxies[self.backend.0].front;
            counters.intercepted.fetch_add(1, Relaxed);
        }
        self.served_here();
        let parts = &mut *self.parts;
        parts.txn.server_note = Some("<CACHE>");
        parts.response.clone_from(&entry.head);
        let age = entry.age_at(clock::now());
        parts.response.add(b"age", age.to_string().as_bytes());
        let unchanged = rules::is_unchanged(&parts.request, &entry.head, entry.modified);
        if unchanged {
            parts.response.set_status(304, b"Not Modified");
        }
        let silent = unchanged || parts.info.method == Method::Head;
        parts.txn.bytes_out += parts.response.counted_len() as u64;
        if !silent {
            let trailers = entry.trailers.iter().map(|(name, value)| (name.len() + value.len()) as u64);
            parts.txn.bytes_out += entry.body.len() as u64 + trailers.sum::<u64>();
        }
        self.capture_response();
        if !back.rules.tcp_res_cont.is_empty() {
            let rules = &back.rules.tcp_res_cont;
            if let Err(after) = self.http_rules(rules, Phase::ResponseContent, None, None).await {
                return after;
            }
        }
        let own = (self.backend != self.client.session.frontend).then_some(&front.rules.http_res);
        for sets in [Some(&back.rules.http_res), own].into_iter().flatten() {
            if let Err(after) = self.http_rules(sets, Phase::ResponseHead, None, None).await {
                return after;
            }
        }
        self.after_response();
        let content = if silent { &[][..] } else { &entry.body[..] };
        self.send_content(content, &entry.trailers, silent).await
    }

    /// Sends the head that is in the message and content in one piece.
    async fn send_content(&mut self, content: &[u8], trailers: &[(Vec<u8>, Vec<u8>)], silent: bool) -> After {
        let (front, back) = (self.frontend(), self.back());
        let settings = [&back.compression, &front.compression];
        self.parts.up.reset();
        self.parts.down.reset();
        if let Some(settings) = settings.into_iter().flatten().find(|c| !c.algorithms.is_empty()) {
            let parts = &mut *self.parts;
            parts.txn.compression =
                parts.txn.compression.or_else(|| compress::wanted(settings, &mut parts.request));
        }
        let chunked = self.parts.response.first(b"content-length").is_none();
        let mut framing = if chunked { Framing::Chunked } else { Framing::Length(content.len() as u64) };
        if silent {
            framing = Framing::None;
        } else {
            self.compress(framing);
        }
        let encoder = self.parts.down.encoder.take();
        if !self.skip_request_body() {
            self.keep = false;
        }
        self.send_head(framing);
        let mut out = std::mem::take(&mut self.parts.down.out);
        let mut whole = &[][..];
        if let Some(mut encoder) = encoder {
            encoder.take(content);
            encoder.give(true, &mut out);
            self.parts.down.encoded = (encoder.taken, encoder.made);
        } else if framing == Framing::Chunked {
            if !content.is_empty() {
                h1::emit::chunk_size(&mut out, content.len() as u64);
                out.extend_from_slice(content);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                h1::emit::field(&mut out, name, value);
            }
            out.extend_from_slice(b"\r\n");
        } else if content.len() <= JOIN_MAX {
            out.extend_from_slice(content);
        } else {
            whole = content;
        }
        let limit = self.frontend().timeouts.client;
        self.client.deadline.set(clock::now(), limit);
        let (conn, deadline) = (&mut self.client.conn, &self.client.deadline);
        let mut sent = answer::write_all(conn, deadline, &out).await;
        if sent.is_ok() && !whole.is_empty() {
            sent = answer::write_all(conn, deadline, whole).await;
        }
        self.sent(sent, out)
    }

    /// Has the content copied that rules want to keep.
    pub fn copy_for_caches(&mut self) {
        let Some(visit) = self.parts.txn.cache.as_deref_mut() else { return };
        if !visit.copies.is_empty() {
            let copies = std::mem::take(&mut visit.copies);
            self.parts.down.copies = Some(Box::new(Copies(copies)));
        }
    }
}
