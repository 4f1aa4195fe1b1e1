//! The records every phase writes and the log line is made of.

use super::vars::Vars;
use crate::config::model::{ProxyId, ServerId};
use crate::http::compress::Algorithm as Compressor;
use crate::runtime::timers::whole_ms;
use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

/// An end of a connection as rules and logs see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Peer {
    /// Not known.
    #[default]
    Unknown,
    /// An IP address and port.
    Inet(SocketAddr),
    /// A Unix socket; haproxy logs `unix:ID`.
    Unix,
}

/// Both ends of a server's connection, ours first; one record for the connection and all its streams.
pub type Ends = Rc<(Peer, Peer)>;

/// What lives as long as the client's connection.
#[derive(Debug)]
pub struct Session {
    /// Process-wide number of the connection.
    pub id: u64,
    /// When it was accepted, monotonic.
    pub accepted: Instant,
    /// When it was accepted, wall clock (`%t`, `%ts`).
    pub accepted_at: SystemTime,
    /// The frontend.
    pub frontend: ProxyId,
    /// Index of the bind line in the frontend.
    pub bind: usize,
    /// The client, as PROXY protocol or `set-src` left it (`src`).
    pub src: Peer,
    /// Where the client connected to (`dst`).
    pub dst: Peer,
    /// The client as the kernel said it (`fc_src`).
    pub real_src: Peer,
    /// As the kernel said it (`fc_dst`).
    pub real_dst: Peer,
    /// Whether `accept-proxy` took a header.
    pub proxied: bool,
    /// TLVs of PROXY v2: type and value.
    pub proxy_tlvs: Vec<(u8, Vec<u8>)>,
    /// TLS of the client side.
    pub tls: Option<Arc<TlsInfo>>,
    /// `sess.` variables.
    pub vars: Vars,
    /// `track-scN` made at connection or session level.
    pub tracked: Vec<Option<crate::stick::Tracked>>,
    /// Requests begun on this connection before the current one.
    pub requests: u32,
    /// Handshake time (`%Th`).
    pub handshake: Duration,
    /// `set-mark` asks for it.
    pub mark: Option<u32>,
    /// `set-tos` asks for it.
    pub tos: Option<u8>,
    /// A second handle of the TCP socket, where fetches ask the kernel about it (`fc_rtt` …).
    pub kernel: Option<Arc<OwnedFd>>,
    /// The thread that serves it, from 0.
    pub thread: usize,
    /// What was wrong with the connection ([`crate::fetch::conn::FAULTS`]); 0 is nothing.
    pub fault: u8,
    /// `expect-proxy layer4` asks for a PROXY header on this connection.
    pub expect_proxy: bool,
    /// `expect-netscaler-cip layer4` asks for a NetScaler header on this connection.
    pub expect_netscaler: bool,
    /// `set-nice`, `set-mark` … ask for it: log level forced by a rule.
    pub log_level: Option<u8>,
}

impl Session {
    /// A record without a connection, for what runs without a client.
    pub fn blank() -> Self {
        Self {
            id: 0,
            accepted: Instant::now(),
            accepted_at: SystemTime::now(),
            frontend: ProxyId(0),
            bind: 0,
            src: Peer::Unknown,
            dst: Peer::Unknown,
            real_src: Peer::Unknown,
            real_dst: Peer::Unknown,
            proxied: false,
            proxy_tlvs: Vec::new(),
            tls: None,
            vars: Vars::default(),
            tracked: Vec::new(),
            requests: 0,
            handshake: Duration::ZERO,
            mark: None,
            tos: None,
            kernel: None,
            thread: 0,
            fault: 0,
            expect_proxy: false,
            expect_netscaler: false,
            log_level: None,
        }
    }
}

/// TLS facts of a connection, as fetches give them.
#[derive(Debug, Default, Clone)]
pub struct TlsInfo {
    /// `TLSv1.3`.
    pub version: String,
    /// OpenSSL's name of the suite.
    pub cipher: String,
    /// Key bits of the cipher.
    pub bits: u32,
    /// SNI.
    pub sni: Option<String>,
    /// ALPN.
    pub alpn: Option<Vec<u8>>,
    /// Resumed.
    pub resumed: bool,
    /// The peer's certificate chain, DER.
    pub peer_certs: Vec<Vec<u8>>,
    /// Our certificate, DER.
    pub own_cert: Option<Vec<u8>>,
    /// OpenSSL's name of the group of the key exchange.
    pub group: Option<&'static str>,
    /// Result of client verification.
    pub verdict: tls::verdict::Verdict,
    /// What ended the handshake: OpenSSL's code and text.
    pub error: Option<(u32, String)>,
    /// The ClientHello's bytes, where they were kept.
    pub client_hello: Vec<u8>,
}

/// How a request's cookie matched (`%tsc`, third letter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestCookie {
    /// `N`: none.
    #[default]
    None,
    /// `I`: invalid.
    Invalid,
    /// `D`: its server is down.
    Down,
    /// `V`: valid.
    Valid,
    /// `E`: expired.
    Expired,
    /// `O`: old.
    Old,
    /// `U`: unused.
    Unused,
}

/// What happened to the response's cookie (`%tsc`, fourth letter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseCookie {
    /// `N`: none.
    #[default]
    None,
    /// `P`: provided by the server, left alone.
    Provided,
    /// `I`: inserted.
    Inserted,
    /// `U`: updated.
    Updated,
    /// `R`: rewritten.
    Rewritten,
    /// `D`: deleted.
    Deleted,
}

/// First letter of the termination state: who ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndedBy {
    /// `-`: nobody, it is complete.
    #[default]
    Nobody,
    /// `C`: the client.
    Client,
    /// `S`: the server.
    Server,
    /// `P`: the proxy, by limits or rules.
    Proxy,
    /// `L`: the proxy answered by itself.
    Local,
    /// `R`: a resource ran out.
    Resource,
    /// `I`: an internal error.
    Internal,
    /// `D`: the server went down.
    Down,
    /// `U`: a backup server went away since others came up.
    Up,
    /// `K`: an operator killed it.
    Killed,
    /// `c`: client timeout.
    ClientTimeout,
    /// `s`: server timeout.
    ServerTimeout,
}

/// Second letter of the termination state: in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndedIn {
    /// `-`: none, it is complete.
    #[default]
    None,
    /// `R`: waiting for the request.
    Request,
    /// `Q`: in the queue.
    Queue,
    /// `C`: connecting.
    Connect,
    /// `H`: waiting for the response's head.
    Headers,
    /// `D`: data.
    Data,
    /// `L`: last data to the client.
    Last,
    /// `T`: tarpit.
    Tarpit,
}

/// Points in time of a transaction, all relative to [`Txn::start`]; `None` where not reached (logged `-1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// First byte of the request (`%Ti` ends).
    pub first_byte: Option<Duration>,
    /// Whole request head (`%TR` ends).
    pub request: Option<Duration>,
    /// Left the queue (`%Tw` ends).
    pub queue: Option<Duration>,
    /// Connected (`%Tc` ends).
    pub connect: Option<Duration>,
    /// Whole response head (`%Tr` ends).
    pub response: Option<Duration>,
    /// Last byte (`%Ta`, `%Tt` end).
    pub end: Option<Duration>,
}

/// An address that a rule asks for (`do-resolve`).
#[derive(Debug)]
pub enum Resolving {
    /// It will come here.
    Asked(tokio::sync::oneshot::Receiver<Option<std::net::IpAddr>>),
    /// It came; `None` where the name leads nowhere.
    Done(Option<std::net::IpAddr>),
}

impl Txn {
    /// Both ends of the server's connection; unknown before there is one.
    pub fn server_ends(&self) -> &(Peer, Peer) {
        self.server_ends.as_deref().unwrap_or(&(Peer::Unknown, Peer::Unknown))
    }
}

/// One request and its response, or one TCP stream.
#[derive(Debug)]
pub struct Txn {
    /// The address that a rule waits for.
    pub resolving: Option<Resolving>,
    /// Process-wide number.
    pub id: u64,
    /// How many streams there were before (`%rt`).
    pub number: u64,
    /// When waiting for it began: accept, or the end of the previous one.
    pub start: Instant,
    /// The same, wall clock.
    pub start_at: SystemTime,
    /// The same as rates count: milliseconds since the engine started.
    pub start_ms: u64,
    /// Times reached.
    pub times: Times,
    /// The backend chosen; the frontend's own until then.
    pub backend: Option<ProxyId>,
    /// The server chosen.
    pub server: Option<ServerId>,
    /// Name logged in place of a server: `<NOSRV>`, `<STATS>`…
    pub server_note: Option<&'static str>,
    /// The request's method as received.
    pub method: Vec<u8>,
    /// The request's start line as received (`%r`).
    pub request_line: Vec<u8>,
    /// The target as received (`capture.req.uri`).
    pub uri: Vec<u8>,
    /// The version as received.
    pub version: (u8, u8),
    /// Status sent to the client; 0 is none (`-1` in logs).
    pub status: u16,
    /// The server's own status, before rules.
    pub server_status: u16,
    /// Bytes to the client (`%B`).
    pub bytes_out: u64,
    /// Bytes from the client (`%U`).
    pub bytes_in: u64,
    /// `capture` slots of the request.
    pub captures_req: RefCell<Vec<Option<Vec<u8>>>>,
    /// `capture` slots of the response.
    pub captures_res: RefCell<Vec<Option<Vec<u8>>>>,
    /// Captured request cookie (`%CC`).
    pub cookie_req: Option<Vec<u8>>,
    /// Captured response cookie (`%CS`).
    pub cookie_res: Option<Vec<u8>>,
    /// Third letter of the termination state.
    pub cookie_state: RequestCookie,
    /// Fourth letter.
    pub cookie_action: ResponseCookie,
    /// First letter.
    pub ended_by: EndedBy,
    /// Second letter.
    pub ended_in: EndedIn,
    /// Connection retries (`%rc`).
    pub retries: u32,
    /// Redispatched: `+` before the retries.
    pub redispatched: bool,
    /// Position in the server's queue (`%sq`).
    pub server_queue: u32,
    /// Position in the backend's queue (`%bq`).
    pub backend_queue: u32,
    /// Connection counters at the end: process, frontend, backend, server (`%ac %fc %bc %sc`).
    pub counts: [u64; 4],
    /// `unique-id` once made.
    pub unique_id: OnceCell<Vec<u8>>,
    /// `txn.` variables.
    pub vars: Vars,
    /// `req.` or `res.` variables, whichever is running.
    pub message_vars: Vars,
    /// The response runs: [`Self::message_vars`] are its.
    pub responding: bool,
    /// `track-scN` made by content rules; laid over the session's.
    pub tracked: Vec<Option<crate::stick::Tracked>>,
    /// `set-log-level`: `Some(0)` is silent.
    pub log_level: Option<u8>,
    /// `set-priority-class` and `-offset`.
    pub priority: (i32, i32),
    /// `set-timeout server|tunnel|client`.
    pub timeout_server: Option<Duration>,
    /// As above.
    pub timeout_tunnel: Option<Duration>,
    /// As above.
    pub timeout_client: Option<Duration>,
    /// `disable-l7-retry`.
    pub no_l7_retry: bool,
    /// Rule that ended it (`last_rule_file`, `last_rule_line`).
    pub last_rule: Option<String>,
    /// Address of the server's connection: ours and theirs (`bc_src`, `bc_dst`, `%bi %si`).
    pub server_ends: Option<Ends>,
    /// What the client asked for of the algorithms configured; kept when the answer is compressed.
    pub compression: Option<Compressor>,
    /// Whether the answer is compressed.
    pub compressed: bool,
    /// What rules asked of caches.
    pub cache: Option<Box<crate::http::cache::Visit>>,
    /// What was wrong with the server's connection.
    pub server_fault: u8,
    /// `set-src`, `set-src-port` of a request; the session keeps its own.
    pub src: Option<Peer>,
    /// `set-dst`, `set-dst-port`.
    pub dst: Option<Peer>,
    /// TLS of the server side.
    pub server_tls: Option<Arc<TlsInfo>>,
    /// `http-request set-src` and `http-response …` may say no to header rewriting errors.
    pub strict_rewriting: bool,
}

/// What a backend and its server count of a stream's times.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    queue_ms: u64,
    connect_ms: u64,
    response_ms: u64,
    total_ms: u64,
    /// Begin of the stream, seconds since the epoch.
    began: u64,
}

impl Spent {
    /// Those of a stream that is over.
    pub fn of(txn: &Txn) -> Self {
        let between = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => whole_ms(b.saturating_sub(a)),
            _ => 0,
        };
        let t = &txn.times;
        Self {
            queue_ms: between(t.request, t.queue),
            connect_ms: between(t.queue, t.connect),
            response_ms: between(t.connect, t.response),
            total_ms: between(t.request, t.end),
            began: txn.start_at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        }
    }

    /// Adds them.
    pub fn count(&self, rates: &crate::stats::BackRates) {
        rates.queue_ms.add(self.queue_ms);
        rates.connect_ms.add(self.connect_ms);
        rates.response_ms.add(self.response_ms);
        rates.total_ms.add(self.total_ms);
        rates.last_session.store(self.began, Relaxed);
    }
}
