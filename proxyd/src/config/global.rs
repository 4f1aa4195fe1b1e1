//! The `global` section and `log` lines.

use super::model::{Global, UnixPermissions};
use super::{Loader, bind};
use crate::log::{Sample, Target};
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::haproxy::Section;
use conf_parsers::table::{Table, did_you_mean};
use conf_parsers::value::{NumberFault, TimeUnit, duration, lenient_int, size, strict_int};
use conf_parsers::{Line, Word};
use diag::Span;
use std::time::Duration;

/// What a keyword's function sees.
struct G<'a, 'l> {
    loader: &'a mut Loader<'l>,
    line: &'a Line,
    negative: bool,
}

impl G<'_, '_> {
    fn global(&mut self) -> &mut Global {
        &mut self.loader.config.global
    }

    fn name(&self) -> &str {
        &self.line.words[usize::from(self.negative)].text
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.loader.report.warning(self.line.span, text);
    }
}

type Run = for<'w> fn(&mut G<'_, '_>, &mut Args<'w>) -> Result<(), Fault>;

macro_rules! number {
    ($($field:ident).+ as $t:ty) => {
        |g, a| {
            g.global().$($field).+ = integer(g, a)?.clamp(0, i64::from(u32::MAX)) as $t;
            Ok(())
        }
    };
    (some $($field:ident).+ as $t:ty) => {
        |g, a| {
            g.global().$($field).+ = Some(integer(g, a)?.clamp(0, i64::from(u32::MAX)) as $t);
            Ok(())
        }
    };
}

macro_rules! path {
    ($field:ident) => {
        |g, a| {
            let text = text(g, a, "a path")?;
            g.global().$field = Some(text.into());
            Ok(())
        }
    };
}

/// All keywords of `global`. The bare names at the end are kept by name for those who understand them.
static KEYWORDS: Table<(&str, Run)> = Table::new(&[
    ("daemon", |g, _| flag(g, |o| &mut o.daemon)),
    ("master-worker", |g, a| {
        a.take_rest();
        flag(g, |o| &mut o.master_worker)
    }),
    ("nbthread", nbthread),
    ("nbproc", |g, a| {
        let n = integer(g, a)?;
        g.warn("nbproc is the syntax of old versions and has no effect; threads are used on all processors, see 'nbthread'.");
        if n > 1 && g.global().nbthread.is_none() {
            g.global().nbthread = usize::try_from(n.min(64)).ok();
        }
        Ok(())
    }),
    ("maxconn", |g, a| {
        g.global().maxconn = Some(integer(g, a)?.max(0) as usize);
        a.unexpected(|w| format!("'maxconn' cannot handle unexpected argument '{w}'."))
    }),
    ("ulimit-n", number!(some ulimit_n as u64)),
    ("fd-hard-limit", |g, a| integer(g, a).and_then(|_| none(g, "the limit of the process decides"))),
    ("uid", number!(some uid as u32)),
    ("gid", number!(some gid as u32)),
    ("user", |g, a| {
        let name = text(g, a, "a user name")?;
        match bind::user_id(&name) {
            Some(uid) => g.global().uid = Some(uid),
            None => {
                g.loader.report.alert(g.line.span, format!("cannot find user id for '{name}' (0:Success)"));
            }
        }
        Ok(())
    }),
    ("group", |g, a| {
        let name = text(g, a, "a group name")?;
        match bind::group_id(&name) {
            Some(gid) => g.global().gid = Some(gid),
            None => {
                g.loader.report.alert(g.line.span, format!("cannot find group id for '{name}' (0:Success)"));
            }
        }
        Ok(())
    }),
    ("chroot", path!(chroot)),
    ("pidfile", path!(pidfile)),
    ("crt-base", path!(crt_base)),
    ("ca-base", path!(ca_base)),
    ("server-state-base", path!(server_state_base)),
    ("server-state-file", path!(server_state_file)),
    ("node", |g, a| {
        let node = text(g, a, "a string")?;
        g.global().node = Some(node);
        Ok(())
    }),
    ("description", |g, a| {
        let words: Vec<&str> = a.take_rest().iter().map(|w| w.text.as_str()).collect();
        if words.is_empty() {
            return Err(Fault::new(a.keyword().span, "'description' expects a string argument."));
        }
        g.global().description = Some(words.join(" "));
        Ok(())
    }),
    ("log", |g, a| {
        if g.negative {
            g.global().logs.clear();
            return Ok(());
        }
        let target = log_target(g.loader, a)?;
        g.global().logs.push(target);
        Ok(())
    }),
    ("log-tag", |g, a| {
        let tag = text(g, a, "a tag for use in syslog")?;
        g.global().log_tag = Some(tag);
        Ok(())
    }),
    ("log-send-hostname", |g, a| {
        g.global().log_send_hostname = Some(a.next().map(|w| w.text.clone()));
        Ok(())
    }),
    ("stats", stats),
    ("hard-stop-after", |g, a| {
        let value = time(g, a, "hard-stop-after")?;
        g.global().hard_stop_after = Some(value);
        Ok(())
    }),
    ("grace", |g, a| {
        let value = time(g, a, "grace")?;
        g.global().grace = Some(value);
        Ok(())
    }),
    ("spread-checks", |g, a| {
        let n = integer(g, a)?;
        if !(-50..=50).contains(&n) {
            return Err(a.fault("'spread-checks' expects a positive value in range 0..50."));
        }
        g.global().spread_checks = n as i32;
        Ok(())
    }),
    ("external-check", |g, a| {
        a.take_rest();
        flag(g, |o| &mut o.external_check)
    }),
    ("insecure-fork-wanted", |g, _| flag(g, |o| &mut o.insecure_fork_wanted)),
    ("insecure-setuid-wanted", |g, _| none(g, "set-uid programs are never hindered here")),
    ("set-dumpable", |g, a| {
        a.take_rest();
        none(g, "the host's settings decide about core dumps")
    }),
    ("strict-limits", |g, _| {
        g.global().strict_limits = Some(!g.negative);
        Ok(())
    }),
    ("localpeer", |g, a| {
        let name = text(g, a, "a name")?;
        g.global().localpeer = Some(name);
        Ok(())
    }),
    ("unix-bind", unix_bind),
    ("maxconnrate", number!(maxconnrate as usize)),
    ("maxsessrate", number!(maxsessrate as usize)),
    ("setenv", |_, _| Ok(())),
    ("presetenv", |_, _| Ok(())),
    ("unsetenv", |_, _| Ok(())),
    ("resetenv", |_, _| Ok(())),
    ("set-var", set_var),
    ("set-var-fmt", set_var),
    ("h1-case-adjust", |g, a| {
        let (Some(from), Some(to)) = (a.next(), a.next()) else {
            return Err(a.fault("'h1-case-adjust' expects <from> and <to> as argument."));
        };
        if from.text.eq_ignore_ascii_case(&to.text) {
            g.global().h1_case_adjust.insert(from.text.to_ascii_lowercase(), to.text.clone());
            return Ok(());
        }
        Err(a.fault(format!(
            "h1-case-adjust: <from> and <to> must be the same word in different cases ('{}', '{}').",
            from.text, to.text
        )))
    }),
    ("h1-case-adjust-file", case_file),
    ("debug", |g, _| old(g, "it has no effect in a file; start with -d")),
    ("quiet", |_, _| Ok(())),
    ("zero-warning", |g, _| {
        g.loader.zero_warning = true;
        Ok(())
    }),
    ("expose-experimental-directives", |_, _| Ok(())),
    ("expose-deprecated-directives", |_, _| Ok(())),
    ("tune.bufsize", |g, a| {
        let n = positive(g, a)?;
        g.global().tune.bufsize = n;
        Ok(())
    }),
    ("tune.maxrewrite", |g, a| {
        let n = positive(g, a)?;
        g.global().tune.maxrewrite = n;
        Ok(())
    }),
    ("tune.http.maxhdr", |g, a| {
        let n = integer(g, a)?;
        if !(1..=32_767).contains(&n) {
            return Err(a.fault("'tune.http.maxhdr' expects a numeric value between 1 and 32767"));
        }
        g.global().tune.maxhdr = n as usize;
        Ok(())
    }),
    ("tune.http.logurilen", number!(tune.logurilen as usize)),
    ("tune.http.cookielen", number!(tune.cookielen as usize)),
    ("tune.idletimer", |g, a| {
        let value = time(g, a, "tune.idletimer")?;
        g.global().tune.idletimer = value;
        Ok(())
    }),
    ("tune.maxaccept", |g, a| {
        g.global().tune.maxaccept = Some(integer(g, a)? as i32);
        Ok(())
    }),
    ("tune.pattern.cache-size", number!(tune.pattern_cache_size as usize)),
    ("tune.pool-low-fd-ratio", number!(tune.pool_low_fd_ratio as u32)),
    ("tune.pool-high-fd-ratio", number!(tune.pool_high_fd_ratio as u32)),
    ("tune.rcvbuf.client", number!(tune.rcvbuf_client as usize)),
    ("tune.rcvbuf.server", number!(tune.rcvbuf_server as usize)),
    ("tune.sndbuf.client", number!(tune.sndbuf_client as usize)),
    ("tune.sndbuf.server", number!(tune.sndbuf_server as usize)),
    ("tune.stick-counters", number!(tune.stick_counters as usize)),
    ("tune.vars.global-max-size", |g, a| vars_size(g, a, 0)),
    ("tune.vars.proc-max-size", |g, a| vars_size(g, a, 1)),
    ("tune.vars.sess-max-size", |g, a| vars_size(g, a, 2)),
    ("tune.vars.txn-max-size", |g, a| vars_size(g, a, 3)),
    ("tune.vars.reqres-max-size", |g, a| vars_size(g, a, 4)),
    ("tune.vars.check-max-size", |g, a| vars_size(g, a, 5)),
    ("tune.comp.maxlevel", |g, a| {
        let n = integer(g, a)?;
        if !(1..=9).contains(&n) {
            return Err(a.fault("'tune.comp.maxlevel' expects a numeric value between 1 and 9"));
        }
        g.global().tune.comp_maxlevel = n as u32;
        Ok(())
    }),
    ("tune.h2.max-frame-size", |g, a| {
        let n = integer(g, a)?;
        if !(16_384..=16_777_215).contains(&n) {
            return Err(
                a.fault("'tune.h2.max-frame-size' expects a numeric value between 16384 and 16777215.")
            );
        }
        g.loader.config.global.tune.other.insert("tune.h2.max-frame-size".into(), vec![n.to_string()]);
        Ok(())
    }),
]);

/// Words kept by name: TLS defaults for the tls crate, and what reads them later.
const KEPT: &[&str] = &[
    "ssl-default-bind-ciphers",
    "ssl-default-bind-ciphersuites",
    "ssl-default-bind-client-sigalgs",
    "ssl-default-bind-curves",
    "ssl-default-bind-options",
    "ssl-default-bind-sigalgs",
    "ssl-default-server-ciphers",
    "ssl-default-server-ciphersuites",
    "ssl-default-server-client-sigalgs",
    "ssl-default-server-curves",
    "ssl-default-server-options",
    "ssl-default-server-sigalgs",
    "ssl-dh-param-file",
    "ssl-server-verify",
    "ssl-skip-self-issued-ca",
    "ssl-load-extra-del-ext",
    "ssl-load-extra-files",
    "ssl-security-level",
    "ssl-passphrase-cmd",
    "issuers-chain-path",
];

/// Words that say how much of something haproxy's own machinery may use; ours has no such machinery.
const INERT: &[&str] = &[
    "busy-polling",
    "close-spread-time",
    "cluster-secret",
    "cpu-map",
    "cpu-policy",
    "cpu-set",
    "default-path",
    "dns-accept-family",
    "force-cfg-parser-pause",
    "h1-accept-payload-with-any-method",
    "h1-do-not-close-on-insecure-transfer-encoding",
    "h2-workaround-bogus-websocket-clients",
    "harden.reject-privileged-ports.tcp",
    "harden.reject-privileged-ports.quic",
    "http-err-codes",
    "http-fail-codes",
    "httpclient.resolvers.disabled",
    "httpclient.resolvers.id",
    "httpclient.resolvers.prefer",
    "httpclient.retries",
    "httpclient.ssl.ca-file",
    "httpclient.ssl.verify",
    "httpclient.timeout.connect",
    "limited-quic",
    "no-quic",
    "max-spread-checks",
    "maxcompcpuusage",
    "maxcomprate",
    "maxpipes",
    "maxsslconn",
    "maxsslrate",
    "maxzlibmem",
    "mworker-max-reloads",
    "no-memory-trimming",
    "noepoll",
    "noevports",
    "nogetaddrinfo",
    "nokqueue",
    "nopoll",
    "noreuseport",
    "nosplice",
    "nosplice-in",
    "numa-cpu-mapping",
    "ocsp-update.disable",
    "ocsp-update.httpproxy",
    "ocsp-update.maxdelay",
    "ocsp-update.mindelay",
    "ocsp-update.mode",
    "pp2-never-send-local",
    "prealloc-fd",
    "profiling.memory",
    "profiling.tasks",
    "shm-stats-file",
    "ssl-engine",
    "ssl-mode-async",
    "ssl-propquery",
    "ssl-provider",
    "ssl-provider-path",
    "stats-file",
    "thread-group",
    "thread-groups",
    "thread-hard-limit",
    "warn-blocked-traffic-after-ms",
    "warn-blocked-traffic",
];

/// Words that traffic depends on and that are not there yet.
const REFUSED: &[&str] = &["lua-load", "lua-load-per-thread", "lua-prepend-path"];

/// Prefix of settings that are kept by name.
const TUNE: &str = "tune.";

/// Reads the section.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    if let Some(extra) = section.header.words.get(1) {
        let text = format!("'global' cannot handle unexpected argument '{}'.", extra.text);
        loader.report.alert(extra.span, text);
    }
    for line in &section.lines {
        match one(loader, line) {
            Ok(()) => loader.tell_inert(line),
            Err(fault) => loader.report.push(fault.into_alert()),
        }
    }
}

fn one(loader: &mut Loader<'_>, line: &Line) -> Result<(), Fault> {
    let negative = matches!(line.keyword(), "no" | "default") && line.words.len() > 1;
    let word = &line.words[usize::from(negative)];
    let name = word.text.as_str();
    let mut args = Args::new(word, &line.words[1 + usize::from(negative)..]);
    if let Some((_, run)) = KEYWORDS.find(name) {
        return run(&mut G { loader, line, negative }, &mut args);
    }
    let words = || line.words[1 + usize::from(negative)..].iter().map(|w| w.text.clone()).collect::<Vec<_>>();
    if KEPT.contains(&name) {
        if words().is_empty() && name != "ssl-skip-self-issued-ca" {
            return Err(Fault::new(word.span, format!("global statement '{name}' expects an argument.")));
        }
        loader.config.global.ssl_defaults.insert(name.to_owned(), words());
        return Ok(());
    }
    if name.starts_with(TUNE) && TUNED.contains(&name) {
        return tuned(loader, word, &words());
    }
    if INERT.contains(&name) {
        loader.no_effect(line.span, name, "it tunes machinery that is not there");
        return Ok(());
    }
    if REFUSED.contains(&name) {
        return Err(Fault::new(word.span, format!("'{name}' : Lua is not supported.")));
    }
    let names = KEYWORDS
        .names()
        .chain(KEPT.iter().copied())
        .chain(INERT.iter().copied())
        .chain(TUNED.iter().copied());
    let text = format!("unknown keyword '{name}' in 'global' section{}", did_you_mean(name, names));
    Err(Fault::new(word.span, text))
}

/// `tune.*` without a field of its own.
const TUNED: &[&str] = &[
    "tune.applet.zero-copy-forwarding",
    "tune.buffers.limit",
    "tune.buffers.reserve",
    "tune.bufsize.large",
    "tune.bufsize.small",
    "tune.cli.max-payload-size",
    "tune.disable-fast-forward",
    "tune.disable-zero-copy-forwarding",
    "tune.epoll.mask-events",
    "tune.events.max-events-at-once",
    "tune.fail-alloc",
    "tune.fd.edge-triggered",
    "tune.glitches.kill.cpu-usage",
    "tune.h1.be.glitches-threshold",
    "tune.h1.fe.glitches-threshold",
    "tune.h1.zero-copy-fwd-recv",
    "tune.h1.zero-copy-fwd-send",
    "tune.h2.be.glitches-threshold",
    "tune.h2.be.initial-window-size",
    "tune.h2.be.max-concurrent-streams",
    "tune.h2.be.max-frames-at-once",
    "tune.h2.be.rxbuf",
    "tune.h2.fe.glitches-threshold",
    "tune.h2.fe.initial-window-size",
    "tune.h2.fe.max-concurrent-streams",
    "tune.h2.fe.max-frames-at-once",
    "tune.h2.fe.max-rst-at-once",
    "tune.h2.fe.max-total-streams",
    "tune.h2.fe.rxbuf",
    "tune.h2.header-table-size",
    "tune.h2.initial-window-size",
    "tune.h2.log-errors",
    "tune.h2.max-concurrent-streams",
    "tune.h2.zero-copy-fwd-send",
    "tune.idle-pool.shared",
    "tune.listener.default-shards",
    "tune.listener.multi-queue",
    "tune.lua.bool-sample-conversion",
    "tune.lua.burst-timeout",
    "tune.lua.forced-yield",
    "tune.lua.log.loggers",
    "tune.lua.log.stderr",
    "tune.lua.maxmem",
    "tune.lua.service-timeout",
    "tune.lua.session-timeout",
    "tune.lua.task-timeout",
    "tune.max-checks-per-thread",
    "tune.max-rules-at-once",
    "tune.maxpollevents",
    "tune.memory.hot-size",
    "tune.notsent-lowat.client",
    "tune.notsent-lowat.server",
    "tune.peers.max-updates-at-once",
    "tune.pipesize",
    "tune.pt.zero-copy-forwarding",
    "tune.quic.frontend.conn-tx-buffers.limit",
    "tune.quic.frontend.max-idle-timeout",
    "tune.quic.frontend.max-streams-bidi",
    "tune.quic.retry-threshold",
    "tune.quic.cc-hystart",
    "tune.quic.frontend.max-tx-mem",
    "tune.quic.listen",
    "tune.quic.socket-owner",
    "tune.rcvbuf.backend",
    "tune.rcvbuf.frontend",
    "tune.recv_enough",
    "tune.renice.runtime",
    "tune.renice.startup",
    "tune.ring.queues",
    "tune.runqueue-depth",
    "tune.sched.low-latency",
    "tune.sndbuf.backend",
    "tune.sndbuf.frontend",
    "tune.streams.max-glitches",
    "tune.ssl.cachesize",
    "tune.ssl.capture-buffer-size",
    "tune.ssl.capture-cipherlist-size",
    "tune.ssl.default-dh-param",
    "tune.ssl.force-private-cache",
    "tune.ssl.hard-maxrecord",
    "tune.ssl.keylog",
    "tune.ssl.lifetime",
    "tune.ssl.maxrecord",
    "tune.ssl.ocsp-update.maxdelay",
    "tune.ssl.ocsp-update.mindelay",
    "tune.ssl.ssl-ctx-cache-size",
    "tune.takeover-other-tg-connections",
    "tune.defaults.purge",
    "tune.zlib.memlevel",
    "tune.zlib.windowsize",
    "tune.ssl.certificate-compression",
];

/// Words whose value must be a number above zero or zero; haproxy checks those.
fn tuned(loader: &mut Loader<'_>, word: &Word, values: &[String]) -> Result<(), Fault> {
    let name = word.text.as_str();
    if values.is_empty() {
        return Err(Fault::new(word.span, format!("'{name}' expects an argument.")));
    }
    if name == "tune.ssl.maxrecord" && strict_int(&values[0]).is_none_or(|n| n < 0) {
        return Err(Fault::new(word.span, "'tune.ssl.maxrecord' expects a positive numeric value."));
    }
    loader.config.global.tune.other.insert(name.to_owned(), values.to_vec());
    Ok(())
}

fn flag(g: &mut G<'_, '_>, field: fn(&mut Global) -> &mut bool) -> Result<(), Fault> {
    let on = !g.negative;
    *field(g.global()) = on;
    Ok(())
}

fn none(g: &mut G<'_, '_>, why: &str) -> Result<(), Fault> {
    let name = g.name().to_owned();
    g.loader.no_effect(g.line.span, &name, why);
    Ok(())
}

fn old(g: &mut G<'_, '_>, today: &str) -> Result<(), Fault> {
    let text = format!("the keyword '{}' is the syntax of old versions; {today}.", g.name());
    g.warn(text);
    Ok(())
}

fn text(g: &G<'_, '_>, args: &mut Args<'_>, what: &str) -> Result<String, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects {what} as argument."))?;
    let word = word.text.clone();
    args.unexpected(|w| format!("'{name}' cannot handle unexpected argument '{w}'."))?;
    Ok(word)
}

fn integer(g: &G<'_, '_>, args: &mut Args<'_>) -> Result<i64, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
    Ok(lenient_int(&word.text))
}

fn positive(g: &G<'_, '_>, args: &mut Args<'_>) -> Result<usize, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
    let value = size(&word.text).ok().filter(|n| *n > 0);
    let text = format!("'{name}' expects a positive integer argument.");
    value.map(|n| n as usize).ok_or_else(|| Fault::new(word.span, text))
}

fn time(g: &G<'_, '_>, args: &mut Args<'_>, name: &str) -> Result<Duration, Fault> {
    let _ = g;
    let word = args.expect(|| format!("'{name}' expects <time> as argument."))?;
    duration(&word.text, TimeUnit::Ms)
        .map_err(|e| Fault::new(word.span, time_fault_text(&word.text, name, e)))
}

fn nbthread(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    const THREADS_MAX: i64 = 64;
    let word = args.next().map_or("", |w| w.text.as_str());
    let Some(n) = strict_int(word) else {
        return Err(
            args.fault(format!("'nbthread' passed a missing or unparsable integer value in '{word}'"))
        );
    };
    if !(1..=THREADS_MAX).contains(&n) {
        return Err(args.fault(format!("'nbthread' value must be between 1 and {THREADS_MAX} (was {n})")));
    }
    g.global().nbthread = Some(n as usize);
    Ok(())
}

fn vars_size(g: &mut G<'_, '_>, args: &mut Args<'_>, index: usize) -> Result<(), Fault> {
    let n = integer(g, args)?.max(0) as usize;
    g.global().tune.vars_max_size[index] = n;
    Ok(())
}

fn stats(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.next().map_or("", |w| w.text.as_str()) {
        "socket" => {
            let line = g.line;
            let sockets = bind::stats_socket(g.loader, args, line)?;
            g.global().stats_sockets.extend(sockets);
            Ok(())
        }
        "timeout" => {
            let text = args.next().map_or("", |w| w.text.as_str());
            let value = duration(text, TimeUnit::Ms).map_err(|e| match e {
                NumberFault::Unexpected(0) => args.fault("'stats timeout' expects a positive value"),
                e => args.fault(time_fault_text(text, "stats timeout", e)),
            })?;
            g.global().stats_timeout = Some(value);
            Ok(())
        }
        "maxconn" => {
            let n =
                args.int(1..=i64::from(i32::MAX), |_| "'stats maxconn' expects a positive value".into())?;
            g.global().stats_maxconn = Some(n as usize);
            Ok(())
        }
        "bind-process" => {
            g.warn("'stats bind-process' has no effect any more and can be removed.");
            args.take_rest();
            Ok(())
        }
        other => {
            let text = format!(
                "'stats' only supports 'socket', 'maxconn', 'bind-process' and 'timeout' (got '{other}')"
            );
            Err(args.fault(text))
        }
    }
}

fn unix_bind(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut unix = UnixPermissions::default();
    while let Some(word) = args.next() {
        let value = args.expect(|| format!("'unix-bind {}' expects a value.", word.text))?.text.clone();
        match word.text.as_str() {
            "prefix" => unix.prefix = Some(value),
            "mode" => unix.mode = u32::from_str_radix(&value, 8).ok(),
            "uid" => unix.uid = Some(lenient_int(&value) as u32),
            "gid" => unix.gid = Some(lenient_int(&value) as u32),
            "user" | "group" => {
                let id = if word.text == "user" { bind::user_id(&value) } else { bind::group_id(&value) };
                let text = format!("'unix-bind' : '{value}' unknown {}.", word.text);
                let id = id.ok_or_else(|| Fault::new(word.span, text))?;
                if word.text == "user" { unix.uid = Some(id) } else { unix.gid = Some(id) }
            }
            _ => {
                let text = "'unix-bind' only supports the 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' options.";
                return Err(Fault::new(word.span, text));
            }
        }
    }
    g.global().unix_bind = unix;
    Ok(())
}

/// Kept for when all sections were read: an expression may name what comes later.
fn set_var(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    args.take_rest();
    g.loader.proc_vars.push(g.line.clone());
    Ok(())
}

fn case_file(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let path = text(g, args, "<file>")?;
    let content = std::fs::read_to_string(&path)
        .map_err(|_| args.fault(format!("h1-case-adjust-file: failed to open file '{path}'.")))?;
    for line in content.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some((from, to)) = line.split_once(char::is_whitespace) {
            g.global().h1_case_adjust.insert(from.to_ascii_lowercase(), to.trim().to_owned());
        }
    }
    Ok(())
}

/// Syslog facilities by number.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Syslog levels by number.
const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Names of log line formats.
const FORMATS: &[&str] = &["local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw"];

/// Longest message where none is said, bytes.
const LOG_LEN: usize = 1024;

/// `log ADDR [len N] [format F] [sample RANGES:SIZE] FACILITY [LEVEL [MINLEVEL]]`.
pub(super) fn log_target(loader: &mut Loader<'_>, args: &mut Args<'_>) -> Result<Target, Fault> {
    let usage = "log : expects <address> and <facility> or global as arguments";
    let word = args.next().ok_or_else(|| Fault::new(args.keyword().span, usage))?;
    let address = conf_parsers::haproxy::address::expand(&word.text, &|n| loader.variable(n));
    check_log_address(&address, word.span)?;
    let mut target = Target { address, len: LOG_LEN, ..Target::default() };
    loop {
        if args.take("len") {
            let n = args.int(80..=65_535, |got| {
                format!("log : invalid log length '{got}', must be between 80 and 65535")
            })?;
            target.len = n as usize;
        } else if args.take("format") {
            let name = args.next().map_or("", |w| w.text.as_str());
            if !FORMATS.contains(&name) {
                return Err(args.fault(format!("log : unknown log format '{name}'")));
            }
            name.clone_into(&mut target.format);
        } else if args.take("sample") {
            let ranges = args.expect(|| "log : sample expects ranges.".into())?;
            target.sample = Some(Sample::parse(&ranges.text).map_err(|e| Fault::new(ranges.span, e))?);
        } else if args.take("profile") {
            let name = args.expect(|| "log : profile expects a name.".into())?;
            loader.no_effect(name.span, "log … profile", "lines have the format of their proxy");
        } else {
            break;
        }
    }
    let facility = args.expect(|| usage.into())?.text.as_str();
    let number = FACILITIES.iter().position(|f| *f == facility);
    target.facility =
        number.ok_or_else(|| args.fault(format!("log : unknown log facility '{facility}'")))? as u8;
    let mut level = |default: u8, what: &str| match args.next() {
        None => Ok(default),
        Some(w) => LEVELS
            .iter()
            .position(|l| *l == w.text)
            .map(|n| n as u8)
            .ok_or_else(|| Fault::new(w.span, format!("log : unknown optional {what} '{}'", w.text))),
    };
    target.level = level(7, "log level")?;
    target.minlevel = level(0, "minimum log level")?;
    args.unexpected(|w| format!("log : cannot handle unexpected argument '{w}'."))?;
    Ok(target)
}

fn check_log_address(text: &str, span: Span) -> Result<(), Fault> {
    use conf_parsers::haproxy::address::{Host, parse};
    if matches!(text, "stdout" | "stderr") || text.starts_with("ring@") {
        return Ok(());
    }
    let text = text.strip_prefix("tcp@").unwrap_or(text);
    let parsed = parse(text).map_err(|e| Fault::new(span, format!("log : {e}")))?;
    match parsed.host {
        Host::Name(name) if super::resolve::host(&name).is_none() => {
            Err(Fault::new(span, format!("log : invalid address: '{name}' in '{text}'")))
        }
        _ => Ok(()),
    }
}
