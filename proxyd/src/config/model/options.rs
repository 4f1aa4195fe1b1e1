//! `option` switches and `timeout`s.

use std::time::Duration;

/// `timeout *`; `None` is no timeout.
#[derive(Debug, Clone, Default)]
pub struct Timeouts {
    /// `timeout client-hs`: the TLS handshake.
    pub client_hs: Option<Duration>,
    /// `timeout check`.
    pub check: Option<Duration>,
    /// `timeout client`.
    pub client: Option<Duration>,
    /// `timeout client-fin`.
    pub client_fin: Option<Duration>,
    /// `timeout connect`.
    pub connect: Option<Duration>,
    /// `timeout http-keep-alive`.
    pub http_keep_alive: Option<Duration>,
    /// `timeout http-request`.
    pub http_request: Option<Duration>,
    /// `timeout queue`.
    pub queue: Option<Duration>,
    /// `timeout server`.
    pub server: Option<Duration>,
    /// `timeout server-fin`.
    pub server_fin: Option<Duration>,
    /// `timeout tarpit`.
    pub tarpit: Option<Duration>,
    /// `timeout tunnel`.
    pub tunnel: Option<Duration>,
}

/// What becomes of request headers whose names hold more than letters, digits and hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestrictNames {
    /// They are passed on.
    #[default]
    Preserve,
    /// They are left out.
    Delete,
    /// The request is denied.
    Reject,
}

/// `option *` that are plain switches.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `option abortonclose`.
    pub abortonclose: bool,
    /// `option accept-invalid-http-request`.
    pub accept_invalid_http_request: bool,
    /// `option accept-invalid-http-response`.
    pub accept_invalid_http_response: bool,
    /// `option allbackups`.
    pub allbackups: bool,
    /// `option checkcache`.
    pub checkcache: bool,
    /// `option clitcpka`.
    pub clitcpka: bool,
    /// `option srvtcpka`.
    pub srvtcpka: bool,
    /// `option contstats`.
    pub contstats: bool,
    /// `option disable-h2-upgrade`.
    pub disable_h2_upgrade: bool,
    /// `option dontlog-normal`.
    pub dontlog_normal: bool,
    /// `option dontlognull`.
    pub dontlognull: bool,
    /// `option h1-case-adjust-bogus-client`.
    pub h1_case_adjust_bogus_client: bool,
    /// `option h1-case-adjust-bogus-server`.
    pub h1_case_adjust_bogus_server: bool,
    /// `option http-buffer-request`.
    pub http_buffer_request: bool,
    /// `option http-ignore-probes`.
    pub http_ignore_probes: bool,
    /// `option http-no-delay`.
    pub http_no_delay: bool,
    /// `option http-pretend-keepalive`.
    pub http_pretend_keepalive: bool,
    /// `option http-use-proxy-header`.
    pub http_use_proxy_header: bool,
    /// `option http_proxy`.
    pub http_proxy: bool,
    /// `option idle-close-on-response`.
    pub idle_close_on_response: bool,
    /// `option independent-streams`.
    pub independent_streams: bool,
    /// `option log-health-checks`.
    pub log_health_checks: bool,
    /// `option log-separate-errors`.
    pub log_separate_errors: bool,
    /// `option http-restrict-req-hdr-names`.
    pub restrict_names: RestrictNames,
    /// `option logasap`.
    pub logasap: bool,
    /// `option nolinger`.
    pub nolinger: bool,
    /// `option persist`.
    pub persist: bool,
    /// `option prefer-last-server`.
    pub prefer_last_server: bool,
    /// `option socket-stats`.
    pub socket_stats: bool,
    /// `option splice-auto`.
    pub splice_auto: bool,
    /// `option splice-request`.
    pub splice_request: bool,
    /// `option splice-response`.
    pub splice_response: bool,
    /// `option tcp-smart-accept`.
    pub tcp_smart_accept: bool,
    /// `option tcp-smart-connect`.
    pub tcp_smart_connect: bool,
    /// `option transparent`.
    pub transparent: bool,
    /// `option httpclose`, `http-server-close`, `http-keep-alive`.
    pub connection_mode: ConnectionMode,
}

/// How connections end after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionMode {
    /// `option http-keep-alive`, the default.
    #[default]
    KeepAlive,
    /// `option http-server-close`.
    ServerClose,
    /// `option httpclose`.
    Close,
}
