//! Answers the proxy gives by itself: pages, replies of rules, files; and closing so that the client gets to read them.

use super::http::{After, Exchange};
use super::view::Phase;
use crate::action::Reply;
use crate::config::model::ErrorReply;
use crate::http::errors;
use crate::mux::wire::Conn;
use crate::runtime::clock;
use crate::runtime::timers::Deadline;
use h1::{Framing, HeadParser, Kind, Method, Options, Progress};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long what a client still sends is swallowed after the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it.
const LINGER_READS_MAX: u32 = 64;

/// Writes everything, under the deadline that is set.
pub async fn write_all(conn: &mut Conn, deadline: &Deadline, bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    poll_fn(|cx| {
        while at < bytes.len() {
            match conn.poll_write(cx, &bytes[at..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending if deadline.poll_passed(cx) => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        conn.poll_flush(cx)
    })
    .await
}

/// Closes our side and swallows what the client had under way: a reset would take the answer with it. `owes` says that
/// more is to come for sure.
pub async fn close(conn: &mut Conn, deadline: &Deadline, owes: bool) {
    let quiet = conn.buf.is_empty();
    let n = conn.buf.len();
    conn.buf.consume(n);
    if quiet && !owes && conn.wire.tcp().is_some() && conn.is_quiet() {
        return; // nothing under way that could cause a reset: closing says all
    }
    if poll_fn(|cx| conn.poll_shutdown(cx)).await.is_err() || conn.eof {
        return;
    }
    deadline.set(clock::now(), Some(LINGER));
    let mut reads = 0;
    poll_fn(|cx| {
        loop {
            let n = conn.buf.len();
            conn.buf.consume(n);
            match conn.poll_fill(cx, false) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => reads += 1,
                Poll::Pending if deadline.poll_passed(cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if reads > LINGER_READS_MAX {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

impl Exchange<'_, '_> {
    /// Answers with the page of a status, as the configuration has it.
    pub async fn reply_error(&mut self, status: u16) -> After {
        self.reply_page(status, &[]).await
    }

    /// The same with more header fields.
    async fn reply_page(&mut self, status: u16, extra: &[(String, Vec<u8>)]) -> After {
        if self.raw {
            return After::Close; // a TCP client can't be told
        }
        let (front, back) = (self.frontend(), self.back());
        match back.errors.get(&status).or_else(|| front.errors.get(&status)) {
            Some(ErrorReply::Raw(raw)) => return self.reply_raw(raw, status, extra).await,
            Some(ErrorReply::Template(template)) => {
                let mut reply = template.make(&self.view(back, Phase::ResponseHead));
                if !reply.canned {
                    reply.headers.extend_from_slice(extra);
                    return Box::pin(self.reply(&Arc::new(reply))).await;
                }
            }
            None => {}
        }
        let page = errors::of(status);
        let body = page.message(&mut self.parts.response);
        for (name, value) in extra {
            self.parts.response.add(name.as_bytes(), value);
        }
        if page.close {
            self.keep = false;
            self.parts.txn.bytes_out += errors::CLOSE_COUNTED;
        }
        self.send(body).await
    }

    /// Answers with a reply of a rule.
    pub async fn reply(&mut self, reply: &Arc<Reply>) -> After {
        if let Some(raw) = &reply.raw {
            return self.reply_raw(raw, reply.status, &[]).await;
        }
        if reply.canned {
            let extra = reply.headers.clone();
            return Box::pin(self.reply_page(reply.status, &extra)).await;
        }
        let body = !matches!(self.parts.info.framing, Framing::None | Framing::Length(0));
        if reply.redirect && body && !self.parts.txn.responding {
            self.keep = false;
            self.parts.txn.bytes_out += errors::CLOSE_COUNTED;
        }
        reply.fill(&mut self.parts.response);
        self.send(reply.body.clone()).await
    }

    /// Answers with the bytes of an `errorfile`.
    async fn reply_raw(&mut self, raw: &[u8], status: u16, extra: &[(String, Vec<u8>)]) -> After {
        let mut parser = HeadParser::new(Kind::Response, Options { lenient: true, max_fields: usize::MAX });
        let Ok(Progress::Done(len)) = parser.parse(raw) else {
            self.parts.txn.status = status;
            self.keep = false;
            return After::Close; // an empty file closes without a word
        };
        let read = crate::mux::h1::response(&parser.head, raw, Method::Get, false, &mut self.parts.response);
        if read.is_err() {
            self.keep = false;
        }
        let body = raw[len..].to_vec();
        // What the file says of the connection is part of it, though the connection decides for itself.
        self.parts.txn.bytes_out += errors::connection_len(&raw[..len]);
        let response = &mut self.parts.response;
        response.remove(b"connection");
        let told = response.find(b"content-length").map(|(at, _)| at).next();
        if let Some(at) = told {
            response.set_value(at, body.len().to_string().as_bytes());
        } else {
            // The file does not say how long it is: only the end of the connection does.
            self.keep = false;
        }
        for (name, value) in extra {
            response.add(name.as_bytes(), value);
        }
        let after = self.send(body).await;
        // It counts as what it stands for, whatever the file says.
        self.parts.txn.status = status;
        after
    }

    /// Sends the response that is in the message, made by the proxy itself.
    pub async fn send(&mut self, body: Vec<u8>) -> After {
        self.after_response();
        // The request may have gone to a server as a whole.
        let gone = self.parts.txn.responding && self.parts.up.is_done();
        self.parts.txn.bytes_in += self.parts.up.counted;
        self.parts.up.reset();
        self.parts.down.reset();
        if !gone && !self.skip_request_body() {
            self.keep = false;
            self.client.owes = true;
        }
        self.parts.txn.bytes_out += self.parts.response.counted_len() as u64;
        let bodyless = self.parts.info.method == Method::Head || self.parts.response.status() == 204;
        if self.parts.response.status() == 204 {
            self.parts.response.remove(b"content-length");
        }
        self.send_head(Framing::None);
        let mut out = std::mem::take(&mut self.parts.down.out);
        if !bodyless {
            out.extend_from_slice(&body);
            self.parts.txn.bytes_out += body.len() as u64;
        }
        let limit = self.frontend().timeouts.client;
        self.client.deadline.set(clock::now(), limit);
        let sent = write_all(&mut self.client.conn, &self.client.deadline, &out).await;
        self.sent(sent, out)
    }

    /// What comes behind an answer that was sent, or not; the memory it was made in stays for the next.
    pub(super) fn sent(&mut self, sent: io::Result<()>, mut out: Vec<u8>) -> After {
        out.clear();
        self.parts.down.out = out;
        match sent {
            Ok(()) if self.keep => After::Keep,
            Ok(()) => After::Close,
            Err(_) => After::Abort,
        }
    }

    /// Counts what came of a body and waits to be passed on, which it will not be.
    pub(super) fn count_waiting(&mut self) {
        let parts = &mut *self.parts;
        let (content, _) = parts.sight.request(parts.info.framing, self.client.conn.buf.bytes());
        parts.txn.bytes_in += content.len() as u64;
    }

    /// Swallows what is here of a body that nobody wants; false says that more is to come.
    pub fn skip_request_body(&mut self) -> bool {
        self.count_waiting();
        match self.parts.info.framing {
            Framing::None => true,
            Framing::Length(n) if self.client.conn.buf.len() as u64 >= n => {
                self.client.conn.buf.consume(n as usize);
                true
            }
            Framing::Chunked => match self.parts.sight.request_len() {
                Some(len) if !self.client.conn.buf.is_empty() => {
                    self.client.conn.buf.consume(len);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }
}
