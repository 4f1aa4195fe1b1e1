//! Settings of HTTP proxies.

use crate::{acl, action};
use std::sync::Arc;
use std::time::Duration;

/// `cookie NAME …`.
#[derive(Debug, Clone, Default)]
pub struct Cookie {
    /// The name.
    pub name: String,
    /// `rewrite`.
    pub rewrite: bool,
    /// `insert`.
    pub insert: bool,
    /// `prefix`.
    pub prefix: bool,
    /// `indirect`.
    pub indirect: bool,
    /// `nocache`.
    pub nocache: bool,
    /// `postonly`.
    pub postonly: bool,
    /// `preserve`.
    pub preserve: bool,
    /// `httponly`.
    pub httponly: bool,
    /// `secure`.
    pub secure: bool,
    /// `dynamic`.
    pub dynamic: bool,
    /// `domain`, joined as sent.
    pub domains: Vec<String>,
    /// `maxidle`.
    pub maxidle: Option<Duration>,
    /// `maxlife`.
    pub maxlife: Option<Duration>,
    /// `attr`.
    pub attrs: Vec<String>,
}

/// `retry-on`.
#[derive(Debug, Clone)]
pub struct RetryOn {
    /// `conn-failure`.
    pub conn_failure: bool,
    /// `empty-response`.
    pub empty_response: bool,
    /// `junk-response`.
    pub junk_response: bool,
    /// `response-timeout`.
    pub response_timeout: bool,
    /// `0rtt-rejected`.
    pub early_rejected: bool,
    /// Statuses.
    pub statuses: Vec<u16>,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            conn_failure: true,
            empty_response: false,
            junk_response: false,
            response_timeout: false,
            early_rejected: false,
            statuses: Vec::new(),
        }
    }
}

/// `http-reuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpReuse {
    /// `never`.
    Never,
    /// `safe`, the default.
    #[default]
    Safe,
    /// `aggressive`.
    Aggressive,
    /// `always`.
    Always,
}

/// `stats *` of a proxy.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// `stats uri`, `/haproxy?stats` by default.
    pub uri: String,
    /// `stats realm`.
    pub realm: Option<String>,
    /// `stats auth USER:PASSWORD`.
    pub auth: Vec<(String, String)>,
    /// `stats refresh`.
    pub refresh: Option<Duration>,
    /// `stats scope`; `.` is this proxy.
    pub scope: Vec<String>,
    /// `stats hide-version`.
    pub hide_version: bool,
    /// `stats show-desc`.
    pub show_desc: Option<String>,
    /// `stats show-legends`.
    pub show_legends: bool,
    /// `stats show-modules`.
    pub show_modules: bool,
    /// `stats show-node`.
    pub show_node: Option<String>,
    /// `stats admin if|unless`.
    pub admin: Vec<Arc<acl::Condition>>,
    /// `stats http-request allow|deny|auth`.
    pub http_request: Vec<Arc<action::Rule>>,
}

/// What is sent in place of a canned error page.
#[derive(Debug, Clone)]
pub enum ErrorReply {
    /// The bytes of an `errorfile`, head included; empty closes without an answer.
    Raw(Arc<[u8]>),
    /// `http-error`: made for each request that it answers.
    Template(Arc<action::reply::Template>),
}

/// `capture … len N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Header or cookie name (a prefix for cookies); empty for `declare capture`.
    pub name: String,
    /// Bytes kept.
    pub len: usize,
}

/// `compression *`.
#[derive(Debug, Clone, Default)]
pub struct Compression {
    /// `algo`, in order.
    pub algorithms: Vec<String>,
    /// `type`, in order.
    pub types: Vec<String>,
    /// `offload`.
    pub offload: bool,
}

/// `option forwardfor|originalto`.
#[derive(Debug, Clone, Default)]
pub struct ForwardHeader {
    /// `header`, `x-forwarded-for` or `x-original-to` by default.
    pub header: String,
    /// `except` network.
    pub except: Option<ipnet::IpNet>,
    /// `if-none`.
    pub if_none: bool,
}
