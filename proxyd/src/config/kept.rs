//! Settings of `global` that are kept by name or have no effect here: what their value may be is checked as the
//! original does, so that a slip of the finger is found.
//!
//! Invariant: every name that is accepted has a row, which says what becomes of it.

use super::Loader;
use conf_parsers::Line;
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::table::{Named, Table};
use conf_parsers::value::{NumberFault, TimeUnit, strict_int, time, wrapping_int};

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// No value.
    Flag,
    /// A number; what is no number counts as 0.
    Int,
    /// A number in a range, with the original's words where it is not.
    Range(i64, i64, &'static str),
    /// The same where a number that is missing counts as 0.
    Bare(i64, i64, &'static str),
    /// One of these words, with the original's words where it is not.
    OneOf(&'static [&'static str], &'static str),
    /// At least one word, with the original's words where there is none.
    Words(&'static str),
    /// Exactly one word, with the original's words where there is none.
    OneWord(&'static str),
    /// Read by a function.
    Check(fn(&mut Args<'_>) -> Result<(), Fault>),
    /// Whatever stands there.
    Any,
}

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Read by the TLS part under its name.
    Tls,
    /// Kept under its name for HTTP/2, which looks it up.
    Tune,
    /// Nothing: it tunes machinery of the original that is not there.
    Inert,
}

/// A row of [`SETTINGS`].
#[derive(Debug)]
pub(super) struct Setting {
    name: &'static str,
    value: Value,
    usage: Use,
    /// `no` and `default` may stand before it.
    pub(super) negatable: bool,
}

impl Named for Setting {
    fn name(&self) -> &'static str {
        self.name
    }
}

const fn row(name: &'static str, value: Value, usage: Use) -> Setting {
    Setting { name, value, usage, negatable: false }
}

const fn negatable(name: &'static str, value: Value, usage: Use) -> Setting {
    Setting { name, value, usage, negatable: true }
}

use Use::{Inert, Tls, Tune};
use Value::{Any, Bare, Check, Flag, Int, OneOf, OneWord, Range, Words};

/// Largest number of the original's integers.
const LARGEST: i64 = i32::MAX as i64;

/// All of them.
pub(super) static SETTINGS: Table<Setting> = Table::new(&[
    row(
        "issuers-chain-path",
        OneWord("global statement 'issuers-chain-path' expects a directory path as an argument."),
        Tls,
    ),
    row(
        "ssl-default-bind-ciphers",
        OneWord("global statement 'ssl-default-bind-ciphers' expects a cipher suite as an argument."),
        Tls,
    ),
    row(
        "ssl-default-bind-ciphersuites",
        OneWord("global statement 'ssl-default-bind-ciphersuites' expects a cipher suite as an argument."),
        Tls,
    ),
    row(
        "ssl-default-bind-client-sigalgs",
        OneWord(
            "global statement 'ssl-default-bind-client-sigalgs' expects a list of algorithms as an argument.",
        ),
        Inert,
    ),
    row(
        "ssl-default-bind-curves",
        OneWord("global statement 'ssl-default-bind-curves' expects a curves suite as an arguments."),
        Tls,
    ),
    row("ssl-default-bind-options", Check(super::tls::options), Tls),
    row(
        "ssl-default-bind-sigalgs",
        OneWord("global statement 'ssl-default-bind-sigalgs' expects a list of algorithms as an argument."),
        Inert,
    ),
    row(
        "ssl-default-server-ciphers",
        OneWord("global statement 'ssl-default-server-ciphers' expects a cipher suite as an argument."),
        Tls,
    ),
    row(
        "ssl-default-server-ciphersuites",
        OneWord("global statement 'ssl-default-server-ciphersuites' expects a cipher suite as an argument."),
        Tls,
    ),
    row(
        "ssl-default-server-client-sigalgs",
        OneWord(
            "global statement 'ssl-default-server-client-sigalgs' expects a list of algorithms as an argument.",
        ),
        Inert,
    ),
    row(
        "ssl-default-server-curves",
        OneWord("global statement 'ssl-default-server-curves' expects a curves suite as an arguments."),
        Tls,
    ),
    row("ssl-default-server-options", Check(super::tls::options), Tls),
    row(
        "ssl-default-server-sigalgs",
        OneWord("global statement 'ssl-default-server-sigalgs' expects a list of algorithms as an argument."),
        Inert,
    ),
    row("ssl-dh-param-file", Check(dh_file), Inert),
    row("ssl-load-extra-del-ext", Flag, Tls),
    row(
        "ssl-load-extra-files",
        Words(
            "'ssl-load-extra-files' expects one or multiple arguments (none, all, bundle, sctl, ocsp, issuer).",
        ),
        Tls,
    ),
    row("ssl-passphrase-cmd", Any, Inert),
    row("ssl-security-level", Any, Inert),
    row(
        "ssl-server-verify",
        OneOf(&["none", "required"], "'ssl-server-verify' expects 'none' or 'required' as argument."),
        Tls,
    ),
    row("ssl-skip-self-issued-ca", Any, Inert),
    row("tune.applet.zero-copy-forwarding", Any, Inert),
    row("tune.buffers.limit", Int, Inert),
    row("tune.buffers.reserve", Int, Inert),
    row("tune.bufsize.large", Int, Inert),
    row("tune.bufsize.small", Int, Inert),
    row("tune.cli.max-payload-size", Int, Inert),
    row("tune.defaults.purge", Any, Inert),
    row("tune.disable-fast-forward", Any, Inert),
    row("tune.disable-zero-copy-forwarding", Any, Inert),
    row("tune.epoll.mask-events", Any, Inert),
    row("tune.events.max-events-at-once", Int, Inert),
    row("tune.fail-alloc", Any, Inert),
    row("tune.fd.edge-triggered", Int, Inert),
    row("tune.glitches.kill.cpu-usage", Int, Inert),
    row("tune.h1.be.glitches-threshold", Int, Inert),
    row("tune.h1.fe.glitches-threshold", Int, Inert),
    row("tune.h1.zero-copy-fwd-recv", Any, Inert),
    row("tune.h1.zero-copy-fwd-send", Any, Inert),
    row("tune.h2.be.glitches-threshold", Int, Tune),
    row("tune.h2.be.initial-window-size", Int, Tune),
    row("tune.h2.be.max-concurrent-streams", Int, Tune),
    row("tune.h2.be.max-frames-at-once", Int, Inert),
    row("tune.h2.be.rxbuf", Int, Inert),
    row("tune.h2.fe.glitches-threshold", Int, Tune),
    row("tune.h2.fe.initial-window-size", Int, Tune),
    row("tune.h2.fe.max-concurrent-streams", Int, Tune),
    row("tune.h2.fe.max-frames-at-once", Int, Inert),
    row("tune.h2.fe.max-rst-at-once", Int, Inert),
    row("tune.h2.fe.max-total-streams", Int, Tune),
    row("tune.h2.fe.rxbuf", Int, Inert),
    row(
        "tune.h2.header-table-size",
        Bare(4096, 65_536, "'tune.h2.header-table-size' expects a numeric value between 4096 and 65536."),
        Tune,
    ),
    row(
        "tune.h2.initial-window-size",
        Bare(0, LARGEST, "'tune.h2.initial-window-size' expects a positive numeric value."),
        Tune,
    ),
    row("tune.h2.log-errors", Int, Inert),
    row(
        "tune.h2.max-concurrent-streams",
        Bare(0, LARGEST, "'tune.h2.max-concurrent-streams' expects a positive numeric value."),
        Tune,
    ),
    row("tune.h2.zero-copy-fwd-send", Any, Inert),
    row(
        "tune.idle-pool.shared",
        OneOf(&["on", "off"], "'tune.idle-pool.shared' expects either 'on' or 'off'"),
        Inert,
    ),
    row("tune.listener.default-shards", Any, Inert),
    row(
        "tune.listener.multi-queue",
        OneOf(&["on", "off", "fair"], "'tune.listener.multi-queue' expects either 'on' or 'off'"),
        Inert,
    ),
    row("tune.lua.bool-sample-conversion", Any, Inert),
    row("tune.lua.burst-timeout", Any, Inert),
    row("tune.lua.forced-yield", Any, Inert),
    row("tune.lua.log.loggers", Any, Inert),
    row("tune.lua.log.stderr", Any, Inert),
    row("tune.lua.maxmem", Any, Inert),
    row("tune.lua.service-timeout", Any, Inert),
    row("tune.lua.session-timeout", Any, Inert),
    row("tune.lua.task-timeout", Any, Inert),
    row("tune.max-checks-per-thread", Int, Inert),
    row("tune.max-rules-at-once", Int, Inert),
    row("tune.maxpollevents", Int, Inert),
    row("tune.memory.hot-size", Int, Inert),
    row("tune.notsent-lowat.client", Int, Inert),
    row("tune.notsent-lowat.server", Int, Inert),
    row(
        "tune.peers.max-updates-at-once",
        Bare(1, LARGEST, "'tune.peers.max-updates-at-once' expects an integer argument greater than 0."),
        Inert,
    ),
    row("tune.pipesize", Int, Inert),
    row("tune.pt.zero-copy-forwarding", Any, Inert),
    row("tune.quic.cc-hystart", Any, Inert),
    row("tune.quic.frontend.conn-tx-buffers.limit", Any, Inert),
    row("tune.quic.frontend.max-idle-timeout", Any, Inert),
    row("tune.quic.frontend.max-streams-bidi", Any, Inert),
    row("tune.quic.frontend.max-tx-mem", Any, Inert),
    row("tune.quic.listen", Any, Inert),
    row("tune.quic.retry-threshold", Any, Inert),
    row("tune.quic.socket-owner", Any, Inert),
    row("tune.rcvbuf.backend", Int, Inert),
    row("tune.rcvbuf.frontend", Int, Inert),
    row("tune.recv_enough", Int, Inert),
    row("tune.renice.runtime", Int, Inert),
    row("tune.renice.startup", Int, Inert),
    row("tune.ring.queues", Int, Inert),
    row("tune.runqueue-depth", Int, Inert),
    row(
        "tune.sched.low-latency",
        OneOf(&["on", "off"], "'tune.sched.low-latency' expects either 'on' or 'off'"),
        Inert,
    ),
    row("tune.sndbuf.backend", Int, Inert),
    row("tune.sndbuf.frontend", Int, Inert),
    row(
        "tune.ssl.cachesize",
        Range(0, LARGEST, "'tune.ssl.cachesize' expects a positive numeric value."),
        Tls,
    ),
    row("tune.ssl.capture-buffer-size", Int, Tls),
    row("tune.ssl.capture-cipherlist-size", Int, Tls),
    row("tune.ssl.certificate-compression", Any, Inert),
    row("tune.ssl.default-dh-param", Check(dh_bits), Inert),
    row("tune.ssl.force-private-cache", Any, Inert),
    row("tune.ssl.hard-maxrecord", Int, Inert),
    row("tune.ssl.keylog", OneOf(&["on", "off"], "'tune.ssl.keylog' expects either 'on' or 'off'"), Inert),
    row("tune.ssl.lifetime", Check(tls_lifetime), Tls),
    row(
        "tune.ssl.maxrecord",
        Range(0, LARGEST, "'tune.ssl.maxrecord' expects a positive numeric value."),
        Inert,
    ),
    row("tune.ssl.ocsp-update.maxdelay", Int, Inert),
    row("tune.ssl.ocsp-update.mindelay", Int, Inert),
    row("tune.ssl.ssl-ctx-cache-size", Int, Inert),
    row("tune.streams.max-glitches", Int, Inert),
    row("tune.takeover-other-tg-connections", Any, Inert),
    row("tune.zlib.memlevel", Int, Inert),
    row("tune.zlib.windowsize", Int, Inert),
    negatable("busy-polling", Flag, Inert),
    row("cluster-secret", Words("expects an ASCII string argument."), Inert),
    row("cpu-map", Check(cpu_map), Inert),
    row("cpu-policy", Any, Inert),
    row("cpu-set", Any, Inert),
    row("default-path", Check(default_path), Inert),
    row("dns-accept-family", Any, Inert),
    row("force-cfg-parser-pause", Any, Inert),
    row("h1-accept-payload-with-any-method", Any, Inert),
    row("h1-do-not-close-on-insecure-transfer-encoding", Any, Inert),
    row("h2-workaround-bogus-websocket-clients", Flag, Inert),
    row("harden.reject-privileged-ports.quic", Any, Inert),
    row("harden.reject-privileged-ports.tcp", Any, Inert),
    row("http-err-codes", Any, Inert),
    row("http-fail-codes", Any, Inert),
    row("httpclient.resolvers.disabled", Any, Inert),
    row("httpclient.resolvers.id", Any, Inert),
    row("httpclient.resolvers.prefer", Any, Inert),
    row("httpclient.retries", Any, Inert),
    row("httpclient.ssl.ca-file", Any, Inert),
    row(
        "httpclient.ssl.verify",
        OneOf(&["none", "required"], "'httpclient.ssl.verify' expects 'none' or 'required' as argument."),
        Inert,
    ),
    row("httpclient.timeout.connect", Any, Inert),
    row("limited-quic", Flag, Inert),
    row("maxcompcpuusage", Check(cpu_usage), Inert),
    row("maxcomprate", OneWord("'maxcomprate' expects an integer argument in kb/s."), Inert),
    row("maxpipes", Int, Inert),
    row("maxsslconn", Range(0, LARGEST, "'maxsslconn' expects a positive numeric value."), Tls),
    row("maxsslrate", Int, Tls),
    row("maxzlibmem", Int, Inert),
    row("no-memory-trimming", Flag, Inert),
    row("no-quic", Flag, Inert),
    row("noepoll", Flag, Inert),
    row("noevports", Flag, Inert),
    row("nogetaddrinfo", Flag, Inert),
    row("nokqueue", Flag, Inert),
    row("nopoll", Flag, Inert),
    row("noreuseport", Flag, Inert),
    row("nosplice", Flag, Inert),
    row("nosplice-in", Flag, Inert),
    negatable("numa-cpu-mapping", Any, Inert),
    row("ocsp-update.disable", Any, Inert),
    row("ocsp-update.httpproxy", Any, Inert),
    row("ocsp-update.maxdelay", Any, Inert),
    row("ocsp-update.mindelay", Any, Inert),
    row("ocsp-update.mode", Any, Inert),
    row("pp2-never-send-local", Flag, Inert),
    row("prealloc-fd", Int, Inert),
    row("profiling.memory", Any, Inert),
    row(
        "profiling.tasks",
        OneOf(&["on", "auto", "off"], "'profiling.tasks' expects either 'on', 'auto', or 'off'"),
        Inert,
    ),
    row("shm-stats-file", Any, Inert),
    row("ssl-engine", Any, Inert),
    row("ssl-mode-async", Flag, Inert),
    row("ssl-propquery", Any, Inert),
    row("ssl-provider", Any, Inert),
    row("ssl-provider-path", Any, Inert),
    row("stats-file", Any, Inert),
    row("thread-group", Any, Inert),
    row("thread-groups", Check(thread_groups), Inert),
    row("thread-hard-limit", Any, Inert),
    row("warn-blocked-traffic", Any, Inert),
    row("warn-blocked-traffic-after-ms", Any, Inert),
]);

/// Names of those that have no effect, for the compatibility table.
pub(super) fn idle() -> impl Iterator<Item = &'static str> {
    SETTINGS.rows().iter().filter(|s| s.usage == Inert).map(|s| s.name)
}

impl Setting {
    /// Checks the value, then keeps it, or tells that it does nothing.
    pub(super) fn read(
        &self,
        loader: &mut Loader<'_>,
        line: &Line,
        args: &mut Args<'_>,
    ) -> Result<(), Fault> {
        let words: Vec<String> = args.rest().iter().map(|w| w.text.clone()).collect();
        self.check(args)?;
        match self.usage {
            Tls => {
                loader.config.global.ssl_defaults.insert(self.name.to_owned(), words);
                super::tls::tell(loader, line);
            }
            Tune => drop(loader.config.global.tune.other.insert(self.name.to_owned(), words)),
            Inert => loader.no_effect(line.span, self.name, "it tunes machinery that is not there"),
        }
        Ok(())
    }

    fn check(&self, args: &mut Args<'_>) -> Result<(), Fault> {
        let name = self.name;
        match self.value {
            Any => return Ok(()),
            Flag => {}
            Int => drop(args.expect(|| format!("'{name}' expects an integer argument."))?),
            Range(low, high, complaint) => {
                let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
                if !(low..=high).contains(&wrapping_int(&word.text)) {
                    return Err(args.fault(complaint));
                }
            }
            Bare(low, high, complaint) => {
                let n = args.next().map_or(0, |w| wrapping_int(&w.text));
                if !(low..=high).contains(&n) {
                    return Err(args.fault(complaint));
                }
            }
            OneOf(words, complaint) => {
                let word = args.next().map_or("", |w| w.text.as_str());
                if !words.contains(&word) {
                    let ends = complaint.ends_with('.');
                    let text = if ends { complaint.into() } else { format!("{complaint} but got '{word}'.") };
                    return Err(args.fault(text));
                }
            }
            Words(missing) => {
                args.expect(|| missing.into())?;
                return Ok(());
            }
            OneWord(missing) => drop(args.expect(|| missing.into())?),
            Check(check) => return check(args),
        }
        args.none_left()
    }
}

fn dh_file(args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.expect(|| "'ssl-dh-param-file' expects a file path as an argument.".into())?;
    let text = format!("'ssl-dh-param-file': unable to load DH parameters from file <{}>.", word.text);
    std::fs::metadata(&word.text).map_err(|_| Fault::new(word.span, text))?;
    args.none_left()
}

fn default_path(args: &mut Args<'_>) -> Result<(), Fault> {
    let mode = args.next().map_or("", |w| w.text.as_str());
    if matches!(mode, "current" | "config" | "parent") {
        return Ok(());
    }
    if mode == "origin" {
        return args.expect(|| "'default-path' expects a directory as an argument.".into()).map(|_| ());
    }
    let what = if mode.is_empty() { "missing" } else { "unsupported" };
    Err(args.fault(format!(
        "{what} default-path mode '{mode}' for 'default-path', supported modes include 'current', 'config', 'parent', and 'origin'."
    )))
}

/// Highest number of a processor or thread in the original's maps.
const PROCESSORS: i64 = 64;

fn cpu_map(args: &mut Args<'_>) -> Result<(), Fault> {
    let usage = "cpu-map expects a process number  ('all', 'odd', 'even', a number from 1 to 64 or a range),  followed by a list of CPU ranges with numbers from 0 to 63.";
    let set = |text: &str| {
        let text = text.strip_prefix("auto:").unwrap_or(text);
        text.split('/').all(|part| matches!(part, "all" | "odd" | "even") || range(part, 1, PROCESSORS))
    };
    args.next().filter(|w| set(&w.text)).ok_or_else(|| Fault::new(args.keyword().span, usage))?;
    args.peek().ok_or_else(|| Fault::new(args.keyword().span, usage))?;
    while let Some(word) = args.next() {
        if !word.text.split(',').all(|part| range(part, 0, PROCESSORS - 1)) {
            return Err(args.fault(format!("cpu-map : '{}' is not a CPU range.", word.text)));
        }
    }
    Ok(())
}

fn range(text: &str, low: i64, high: i64) -> bool {
    let (a, b) = text.split_once('-').unwrap_or((text, text));
    let within = |t: &str| strict_int(t).is_some_and(|n| (low..=high).contains(&n));
    within(a) && within(b)
}

/// Most groups of threads that newer versions take; Debian's takes one.
const GROUPS_MAX: i64 = 16;

fn thread_groups(args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.next().map_or("", |w| w.text.as_str());
    let text = format!("'thread-groups' passed a missing or unparsable integer value in '{word}'");
    let n = strict_int(word).ok_or_else(|| args.fault(text))?;
    if !(1..=GROUPS_MAX).contains(&n) {
        return Err(args.fault(format!("'thread-groups' value must be between 1 and 1 (was {n})")));
    }
    args.none_left()
}

fn cpu_usage(args: &mut Args<'_>) -> Result<(), Fault> {
    let n = args.next().map_or(-1, |w| wrapping_int(&w.text));
    if !(0..=100).contains(&n) {
        return Err(args.fault("'maxcompcpuusage' expects an integer argument between 0 and 100."));
    }
    args.none_left()
}

fn dh_bits(args: &mut Args<'_>) -> Result<(), Fault> {
    const LEAST: u32 = 1024;
    let word = args.expect(|| "'tune.ssl.default-dh-param' expects an integer argument.".into())?;
    // The original's field has no sign.
    if (wrapping_int(&word.text) as u32) < LEAST {
        return Err(args.fault(format!("'tune.ssl.default-dh-param' expects a value >= {LEAST}.")));
    }
    args.none_left()
}

fn tls_lifetime(args: &mut Args<'_>) -> Result<(), Fault> {
    const LIMIT: &str = "(maximum value is 2147483647 s or ~68 years).";
    let missing = "'tune.ssl.lifetime' expects ssl sessions <lifetime> in seconds as argument.";
    let text = args.expect(|| missing.into())?.text.as_str();
    time(text, TimeUnit::Sec).map_err(|e| {
        args.fault(match e {
            NumberFault::Overflow => {
                format!("timer overflow in argument '{text}' to <tune.ssl.lifetime> {LIMIT}")
            }
            e => time_fault_text(text, "tune.ssl.lifetime", e),
        })
    })?;
    args.none_left()
}
