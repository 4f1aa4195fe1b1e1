//! What checks of a backend send and expect.

/// What checks of a backend do; health's own spec is made from it.
#[derive(Debug, Clone, Default)]
pub struct Check {
    /// Which kind.
    pub kind: CheckKind,
    /// `tcp-check` and `http-check` lines, in order, as health's steps.
    pub steps: Vec<CheckStep>,
    /// `http-check disable-on-404`.
    pub disable_on_404: bool,
    /// `http-check send-state`.
    pub send_state: bool,
    /// There are `http-check` rules.
    pub http_rules: bool,
    /// There are `tcp-check` rules.
    pub tcp_rules: bool,
}

/// `option *chk*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CheckKind {
    /// Connect only, or `option tcp-check` with steps.
    #[default]
    Tcp,
    /// `option tcp-check`.
    TcpCheck,
    /// `option httpchk [METHOD] [URI] [VERSION [\r\nHEADERS]]`.
    Http {
        /// Method, `OPTIONS` by default.
        method: String,
        /// URI, `/` by default.
        uri: String,
        /// Version, `HTTP/1.0` by default.
        version: String,
        /// What followed the version: raw header lines.
        headers: String,
    },
    /// `option ssl-hello-chk`.
    SslHello,
    /// `option smtpchk HELLO DOMAIN`.
    Smtp(String),
    /// `option ldap-check`.
    Ldap,
    /// `option mysql-check [user NAME [post-41|pre-41]]`: name and whether post-41.
    Mysql(Option<(String, bool)>),
    /// `option pgsql-check user NAME`.
    Pgsql(String),
    /// `option redis-check`.
    Redis,
    /// `option spop-check`.
    Spop,
    /// `option external-check`.
    External,
}

/// One `tcp-check` or `http-check` line, keyword and words as health's parser takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// `connect`, `send`, `send-binary`, `expect`, `comment`, `set-var`, `unset-var` …
    pub keyword: String,
    /// The words behind it.
    pub words: Vec<String>,
}

/// `external-check command|path`.
#[derive(Debug, Clone, Default)]
pub struct ExternalCheck {
    /// `command`.
    pub command: Option<String>,
    /// `path`.
    pub path: Option<String>,
}
