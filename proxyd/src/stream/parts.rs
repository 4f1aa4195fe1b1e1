//! The memory of one stream, kept by the thread and used again for the next.
//!
//! Invariant: after [`Parts::reset`] nothing of the last stream can be seen; the allocations stay.

use super::rules::Sight;
use super::txn::{EndedBy, EndedIn, RequestCookie, ResponseCookie, Times, Txn};
use super::vars::Vars;
use crate::http::message::Message;
use crate::mux::flow::Flow;
use h1::{HeadParser, Kind, Options, RequestInfo};
use std::cell::RefCell;
use std::time::{Instant, SystemTime};

/// What a stream works on.
#[derive(Debug)]
pub struct Parts {
    /// The request's head.
    pub request: Message,
    /// What it means.
    pub info: RequestInfo,
    /// The response's head.
    pub response: Message,
    /// The record.
    pub txn: Txn,
    /// A TCP stream began with a request, which is in `request`.
    pub looks_http: bool,
    /// Bodies as rules see them.
    pub sight: Sight,
    /// Client to server.
    pub up: Flow,
    /// Server to client.
    pub down: Flow,
    /// Reads the client's heads.
    pub client_parser: HeadParser,
    /// Reads the server's heads.
    pub server_parser: HeadParser,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            request: Message::default(),
            info: RequestInfo::default(),
            response: Message::default(),
            txn: Txn::new(Instant::now(), SystemTime::now()),
            looks_http: false,
            sight: Sight::default(),
            up: Flow::default(),
            down: Flow::default(),
            client_parser: HeadParser::new(Kind::Request, Options::default()),
            server_parser: HeadParser::new(Kind::Response, Options::default()),
        }
    }
}

impl Parts {
    /// Forgets a stream.
    pub fn reset(&mut self) {
        self.txn.clear();
        self.request.clear();
        self.response.clear();
        self.sight.reset();
        self.looks_http = false;
        self.up.reset();
        self.down.reset();
        self.client_parser.reset();
        self.server_parser.reset();
    }
}

impl Txn {
    /// A record that begins now.
    pub fn new(start: Instant, start_at: SystemTime) -> Self {
        Self {
            id: 0,
            number: 0,
            start,
            start_at,
            start_ms: 0,
            times: Times::default(),
            backend: None,
            server: None,
            server_note: None,
            method: Vec::new(),
            request_line: Vec::new(),
            uri: Vec::new(),
            version: (1, 1),
            status: 0,
            server_status: 0,
            bytes_out: 0,
            bytes_in: 0,
            captures_req: RefCell::default(),
            captures_res: RefCell::default(),
            cookie_req: None,
            cookie_res: None,
            cookie_state: super::txn::RequestCookie::None,
            cookie_action: super::txn::ResponseCookie::None,
            ended_by: super::txn::EndedBy::Nobody,
            ended_in: super::txn::EndedIn::None,
            retries: 0,
            redispatched: false,
            server_queue: 0,
            backend_queue: 0,
            counts: [0; 4],
            unique_id: std::cell::OnceCell::new(),
            vars: Vars::default(),
            message_vars: Vars::default(),
            responding: false,
            tracked: Vec::new(),
            log_level: None,
            priority: (0, 0),
            timeout_server: None,
            timeout_tunnel: None,
            timeout_client: None,
            no_l7_retry: false,
            resolving: None,
            last_rule: None,
            server_ends: None,
            compression: None,
            compressed: false,
            cache: None,
            server_fault: 0,
            src: None,
            dst: None,
            server_tls: None,
            strict_rewriting: true,
        }
    }

    /// Begins a record in memory that [`Self::clear`] left.
    pub fn begin(&mut self, start: Instant, start_at: SystemTime, start_ms: u64) {
        (self.start, self.start_at, self.start_ms) = (start, start_at, start_ms);
    }

    /// Forgets a record in its place, keeping what memory it has for texts: moving a whole new one here would
    /// cost every request a kilobyte of copying.
    pub fn clear(&mut self) {
        let Self {
            id: _,
            number: _,
            start: _,
            start_at: _,
            start_ms: _,
            times,
            backend,
            server,
            server_note,
            method,
            request_line,
            uri,
            version,
            status,
            server_status,
            bytes_out,
            bytes_in,
            captures_req,
            captures_res,
            cookie_req,
            cookie_res,
            cookie_state,
            cookie_action,
            ended_by,
            ended_in,
            retries,
            redispatched,
            server_queue,
            backend_queue,
            counts,
            unique_id,
            vars,
            message_vars,
            responding,
            tracked,
            log_level,
            priority,
            timeout_server,
            timeout_tunnel,
            timeout_client,
            no_l7_retry,
            resolving,
            last_rule,
            server_ends,
            compression,
            compressed,
            cache,
            server_fault,
            src,
            dst,
            server_tls,
            strict_rewriting,
        } = self;
        (*times, *backend, *server, *server_note, *last_rule) = (Times::default(), None, None, None, None);
        [method, request_line, uri].into_iter().for_each(Vec::clear);
        (*version, *status, *server_status, *server_fault, *counts) = ((1, 1), 0, 0, 0, [0; 4]);
        (*bytes_out, *bytes_in, *server_queue, *backend_queue, *log_level) = (0, 0, 0, 0, None);
        captures_req.get_mut().clear();
        captures_res.get_mut().clear();
        (*cookie_state, *cookie_action) = (RequestCookie::None, ResponseCookie::None);
        (*ended_by, *ended_in, *cookie_req, *cookie_res) = (EndedBy::Nobody, EndedIn::None, None, None);
        (*retries, *redispatched, *strict_rewriting, *priority) = (0, false, true, (0, 0));
        (*responding, *compressed, *no_l7_retry, *compression) = (false, false, false, None);
        [&*vars, &*message_vars].into_iter().for_each(Vars::clear);
        tracked.clear();
        ([*timeout_server, *timeout_tunnel, *timeout_client], *resolving) = ([None; 3], None);
        (*server_ends, *src, *dst, *server_tls, *cache, _) = (None, None, None, None, None, unique_id.take());
    }
}
