//! `global`, `ring` and `userlist`.

use super::{Bind, UnixPermissions};
use crate::log;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How idle and further connections end once a soft stop begins (`close-spread-time`); without it all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseSpread {
    /// Each at some moment within this time.
    Within(Duration),
    /// Only by their timeouts.
    Never,
}

/// The `global` section; `None` and empty mean haproxy's default.
#[derive(Debug, Default, Clone)]
pub struct Global {
    /// `daemon`.
    pub daemon: bool,
    /// `master-worker`.
    pub master_worker: bool,
    /// `master-worker no-exit-on-failure`: a worker that dies ends nobody else.
    pub no_exit_on_failure: bool,
    /// `nbthread`.
    pub nbthread: Option<usize>,
    /// `maxconn`.
    pub maxconn: Option<usize>,
    /// `ulimit-n`.
    pub ulimit_n: Option<u64>,
    /// `user` or `uid`.
    pub uid: Option<u32>,
    /// `group` or `gid`.
    pub gid: Option<u32>,
    /// `chroot`.
    pub chroot: Option<PathBuf>,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `node`.
    pub node: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// `log-send-hostname`: `Some(None)` means the host's own name.
    pub log_send_hostname: Option<Option<String>>,
    /// `log` lines.
    pub logs: Vec<log::Target>,
    /// `stats socket` lines.
    pub stats_sockets: Vec<Bind>,
    /// `stats timeout`.
    pub stats_timeout: Option<Duration>,
    /// `stats maxconn`.
    pub stats_maxconn: Option<usize>,
    /// `hard-stop-after`.
    pub hard_stop_after: Option<Duration>,
    /// `close-spread-time`.
    pub close_spread: Option<CloseSpread>,
    /// `grace`.
    pub grace: Option<Duration>,
    /// `spread-checks`, percent, -50..50.
    pub spread_checks: i32,
    /// `fd-hard-limit`: descriptors that the number of connections is derived from, at most.
    pub fd_hard_limit: Option<u64>,
    /// `max-spread-checks`: first checks begin within this time at the latest.
    pub max_spread_checks: Option<Duration>,
    /// `server-state-base`.
    pub server_state_base: Option<PathBuf>,
    /// `server-state-file`.
    pub server_state_file: Option<PathBuf>,
    /// `crt-base`.
    pub crt_base: Option<PathBuf>,
    /// `ca-base`.
    pub ca_base: Option<PathBuf>,
    /// `external-check`.
    pub external_check: bool,
    /// `mworker-max-reloads`: a worker that outlived more is ended.
    pub max_reloads: Option<u32>,
    /// `-S`: sockets of the master's command line.
    pub master_sockets: Vec<Bind>,
    /// `program` sections, for the master.
    pub programs: Vec<Program>,
    /// `insecure-fork-wanted`.
    pub insecure_fork_wanted: bool,
    /// `setenv`, `presetenv` results that external programs see.
    pub env: BTreeMap<String, String>,
    /// `strict-limits`, on unless `no strict-limits`.
    pub strict_limits: Option<bool>,
    /// `h1-case-adjust` pairs: lower-cased name to wanted form.
    pub h1_case_adjust: std::sync::Arc<h1::emit::Cases>,
    /// `localpeer`.
    pub localpeer: Option<String>,
    /// `unix-bind` defaults.
    pub unix_bind: UnixPermissions,
    /// Rates of the whole process, connections (or sessions, TLS handshakes) per second; 0 is none.
    pub maxconnrate: usize,
    /// `maxsessrate`.
    pub maxsessrate: usize,
    /// `tune.*`.
    pub tune: Tune,
    /// Initial `proc.` variables from `set-var` and `set-var-fmt`.
    pub proc_vars: Vec<std::sync::Arc<crate::action::var::Preset>>,
    /// `ssl-default-bind-*` and `ssl-default-server-*` and everything else of TLS, by keyword.
    pub ssl_defaults: BTreeMap<String, Vec<String>>,
}

/// `tune.*` of `global`.
#[derive(Debug, Clone)]
pub struct Tune {
    /// `tune.bufsize`, bytes.
    pub bufsize: usize,
    /// `tune.maxrewrite`, bytes.
    pub maxrewrite: usize,
    /// `tune.http.maxhdr`, headers.
    pub maxhdr: usize,
    /// `tune.http.logurilen`, bytes.
    pub logurilen: usize,
    /// `tune.http.cookielen`, bytes.
    pub cookielen: usize,
    /// `tune.idletimer`.
    pub idletimer: Duration,
    /// `tune.maxaccept`; `None` is haproxy's choice.
    pub maxaccept: Option<i32>,
    /// `tune.pattern.cache-size`.
    pub pattern_cache_size: usize,
    /// `tune.pool-low-fd-ratio`, percent.
    pub pool_low_fd_ratio: u32,
    /// `tune.pool-high-fd-ratio`, percent.
    pub pool_high_fd_ratio: u32,
    /// `tune.rcvbuf.client`, bytes; 0 is the kernel's choice.
    pub rcvbuf_client: usize,
    /// `tune.rcvbuf.server`.
    pub rcvbuf_server: usize,
    /// `tune.sndbuf.client`.
    pub sndbuf_client: usize,
    /// `tune.sndbuf.server`.
    pub sndbuf_server: usize,
    /// `tune.stick-counters`.
    pub stick_counters: usize,
    /// Limits of variables, bytes; 0 is none: global, proc, sess, txn, reqres, check.
    pub vars_max_size: [usize; 6],
    /// `tune.comp.maxlevel`.
    pub comp_maxlevel: u32,
    /// Every other `tune.*` keyword with its words, for those who understand it.
    pub other: BTreeMap<String, Vec<String>>,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            bufsize: 16384,
            maxrewrite: 1024,
            maxhdr: 101,
            logurilen: 1024,
            cookielen: 63,
            idletimer: Duration::from_secs(1),
            maxaccept: None,
            pattern_cache_size: 10_000,
            pool_low_fd_ratio: 20,
            pool_high_fd_ratio: 25,
            rcvbuf_client: 0,
            rcvbuf_server: 0,
            sndbuf_client: 0,
            sndbuf_server: 0,
            stick_counters: 3,
            vars_max_size: [0; 6],
            comp_maxlevel: 1,
            other: BTreeMap::new(),
        }
    }
}

/// A `userlist`.
#[derive(Debug, Clone, Default)]
pub struct Userlist {
    /// User name to user.
    pub users: BTreeMap<String, User>,
}

/// A user of a userlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The password, or its crypt(3) form.
    pub password: String,
    /// `insecure-password`: clear text.
    pub insecure: bool,
    /// Groups the user is in.
    pub groups: Vec<String>,
}

/// A `ring` section.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    /// `description`.
    pub description: Option<String>,
    /// `format`.
    pub format: String,
    /// `maxlen`, bytes.
    pub maxlen: usize,
    /// `size`, bytes.
    pub size: usize,
    /// `server` lines: where messages are sent, and whether each has its length before it (`log-proto octet-count`).
    pub servers: Vec<(super::Remote, bool)>,
    /// `timeout connect`.
    pub timeout_connect: Option<Duration>,
    /// `timeout server`.
    pub timeout_server: Option<Duration>,
}

/// A `program` section: what a master runs beside its workers (management manual, chapter on programs).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// `command`: the program and its arguments.
    pub command: Vec<String>,
    /// `user`.
    pub uid: Option<u32>,
    /// `group`.
    pub gid: Option<u32>,
    /// `no option start-on-reload`: a reload ends it and starts no other.
    pub once: bool,
}
