//! The `global` section and `log` lines.

use super::case;
use super::model::{CloseSpread, Global, UnixPermissions};
use super::{Loader, bind, kept};
use crate::log::{Sample, Target};
use conf_parsers::args::{Args, Fault, time_fault_quoted, time_fault_text, time_fault_text_up_to};
use conf_parsers::haproxy::Section;
use conf_parsers::table::{Named, Table, did_you_mean};
use conf_parsers::value::{NumberFault, TimeUnit, duration, lenient_int, size, strict_int, wrapping_int};
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity, Span};
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

/// A keyword of `global`.
struct Row {
    name: &'static str,
    run: Run,
    /// Words behind the value are not looked at.
    lenient: bool,
    /// `no` and `default` may stand before it.
    negatable: bool,
}

impl Named for Row {
    fn name(&self) -> &'static str {
        self.name
    }
}

const fn row(name: &'static str, run: Run) -> Row {
    Row { name, run, lenient: false, negatable: false }
}

impl Row {
    const fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    const fn negatable(self) -> Self {
        Self { negatable: true, ..self }
    }
}

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
    ($field:ident, $missing:literal) => {
        |g, a| {
            let text = a.expect(|| $missing.into())?.text.clone();
            g.global().$field = Some(text.into());
            Ok(())
        }
    };
}

/// All keywords of `global`. The bare names at the end are kept by name for those who understand them.
static KEYWORDS: Table<Row> = Table::new(&[
    row("daemon", |g, _| flag(g, |o| &mut o.daemon)),
    row("master-worker", |g, a| {
        let word = a.next();
        g.global().no_exit_on_failure = word.is_some();
        if let Some(word) = word.filter(|w| w.text != "no-exit-on-failure") {
            let text = "'master-worker' only supports 'no-exit-on-failure' option.";
            return Err(Fault::new(word.span, text));
        }
        flag(g, |o| &mut o.master_worker)
    }),
    row("mworker-max-reloads", |g, a| {
        let word = a.expect(|| "'mworker-max-reloads' expects an integer argument.".into())?;
        let most = u32::try_from(conf_parsers::value::wrapping_int(&word.text)).unwrap_or(0);
        a.none_left()?;
        g.global().max_reloads = Some(most);
        Ok(())
    }),
    row("nbthread", nbthread),
    row("nbproc", |g, a| {
        let n = integer(g, a)?;
        g.warn("nbproc is the syntax of old versions and has no effect; threads are used on all processors, see 'nbthread'.");
        if n > 1 && g.global().nbthread.is_none() {
            g.global().nbthread = usize::try_from(n.min(64)).ok();
        }
        Ok(())
    }),
    row("maxconn", |g, a| {
        g.global().maxconn = Some(integer(g, a)?.max(0) as usize);
        Ok(())
    }),
    row("ulimit-n", number!(some ulimit_n as u64)),
    row("fd-hard-limit", number!(some fd_hard_limit as u64)),
    row("uid", |g, a| {
        let id = id(g, a)?;
        g.global().uid = id;
        Ok(())
    }),
    row("gid", |g, a| {
        let id = id(g, a)?;
        g.global().gid = id;
        Ok(())
    }),
    row("user", |g, a| {
        let name = a.next().map_or(String::new(), |w| w.text.clone());
        match bind::user_id(&name) {
            Some(uid) => g.global().uid = Some(uid),
            None => {
                g.loader.report.alert(g.line.span, format!("cannot find user id for '{name}' (0:Success)"));
            }
        }
        Ok(())
    }),
    row("group", |g, a| {
        let name = a.next().map_or(String::new(), |w| w.text.clone());
        match bind::group_id(&name) {
            Some(gid) => g.global().gid = Some(gid),
            None => {
                g.loader.report.alert(g.line.span, format!("cannot find group id for '{name}' (0:Success)"));
            }
        }
        Ok(())
    }),
    row("chroot", path!(chroot, "'chroot' expects a directory as an argument.")),
    row("pidfile", path!(pidfile, "'pidfile' expects a file name as an argument.")),
    row("crt-base", path!(crt_base, "global statement 'crt-base' expects a directory path as an argument.")),
    row("ca-base", path!(ca_base, "global statement 'ca-base' expects a directory path as an argument.")),
    row(
        "server-state-base",
        path!(server_state_base, "'server-state-base' expects one argument: a directory path."),
    )
    .lenient(),
    row(
        "server-state-file",
        path!(server_state_file, "'server-state-file' expect one argument: a file path."),
    )
    .lenient(),
    row("node", |g, a| {
        let name = |w: &Word| w.text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        let Some(word) = a.next().filter(|w| !w.text.is_empty() && name(w)) else {
            let text = "'node' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), hyphen(-) or underscode(_).";
            return Err(a.fault(text).tight());
        };
        g.global().node = Some(word.text.clone());
        Ok(())
    }),
    row("description", |g, a| {
        let words: Vec<&str> = a.take_rest().iter().map(|w| w.text.as_str()).collect();
        if words.is_empty() {
            return Err(Fault::new(a.keyword().span, "'description' expects a string argument.").tight());
        }
        g.global().description = Some(words.join(" "));
        Ok(())
    })
    .lenient(),
    row("log", |g, a| {
        if g.negative {
            g.global().logs.clear();
            return Ok(());
        }
        if a.peek().is_some_and(|w| w.text == "global") {
            return Err(a.fault("log : 'global' is not supported for a global syslog server"));
        }
        let target = log_target(g.loader, a, "")?;
        g.global().logs.push(target);
        Ok(())
    })
    .negatable(),
    row("log-tag", |g, a| {
        let tag = text(g, a, "a tag for use in syslog")?;
        g.global().log_tag = Some(tag);
        Ok(())
    }),
    row("log-send-hostname", |g, a| {
        g.global().log_send_hostname = Some(a.next().map(|w| w.text.clone()));
        Ok(())
    })
    .lenient(),
    row("stats", stats).lenient(),
    row("hard-stop-after", |g, a| {
        let value = time(g, a, "hard-stop-after")?;
        g.global().hard_stop_after = Some(value);
        Ok(())
    })
    .lenient(),
    row("close-spread-time", |g, a| {
        let spread = if a.take("infinite") {
            Some(CloseSpread::Never)
        } else {
            Some(time(g, a, "close-spread-time")?).filter(|t| !t.is_zero()).map(CloseSpread::Within)
        };
        g.global().close_spread = spread;
        Ok(())
    })
    .lenient(),
    row("grace", |g, a| {
        let value = time(g, a, "grace")?;
        g.global().grace = Some(value);
        Ok(())
    })
    .lenient(),
    row("spread-checks", |g, a| {
        let word = a.next().ok_or_else(|| {
            Fault::new(a.keyword().span, "'spread-checks' expects an integer argument (0..50).").tight()
        })?;
        let n = wrapping_int(&word.text);
        if !(0..=50).contains(&n) {
            return Err(a.fault("'spread-checks' needs a positive value in range 0..50.").tight());
        }
        g.global().spread_checks = n as i32;
        Ok(())
    }),
    row("max-spread-checks", max_spread),
    row("external-check", |g, a| {
        if a.peek().is_some_and(|w| w.text == "preserve-env") {
            a.next();
        }
        flag(g, |o| &mut o.external_check)
    }),
    row("insecure-fork-wanted", |g, _| flag(g, |o| &mut o.insecure_fork_wanted)).negatable(),
    row("insecure-setuid-wanted", |g, _| none(g, "set-uid programs are never hindered here")),
    row("set-dumpable", |g, a| {
        if a.peek().is_some_and(|w| matches!(w.text.as_str(), "on" | "off" | "libs")) {
            a.next();
        }
        none(g, "the host's settings decide about core dumps")
    })
    .negatable(),
    row("strict-limits", |g, _| {
        g.global().strict_limits = Some(!g.negative);
        Ok(())
    })
    .negatable(),
    row("localpeer", |g, a| {
        let name = text(g, a, "a name as an argument")?;
        g.global().localpeer = Some(name);
        Ok(())
    }),
    row("unix-bind", unix_bind).lenient(),
    row("maxconnrate", number!(maxconnrate as usize)),
    row("maxsessrate", number!(maxsessrate as usize)),
    row("setenv", pair).lenient(),
    row("presetenv", pair).lenient(),
    row("unsetenv", |_, a| {
        a.expect(|| "'unsetenv' expects at least one variable name.".into()).map(|_| ()).map_err(Fault::tight)
    })
    .lenient(),
    row("resetenv", |_, _| Ok(())).lenient(),
    row("set-var", set_var).lenient(),
    row("set-var-fmt", set_var).lenient(),
    row("h1-case-adjust", |g, a| case::pair(g.loader, a)),
    row("h1-case-adjust-file", |g, a| {
        let path = text(g, a, "<file> as argument")?;
        case::file(g.loader, g.line.span, &path);
        Ok(())
    }),
    row("debug", |g, _| old(g, "it has no effect in a file; start with -d")),
    row("quiet", |_, _| Ok(())),
    row("zero-warning", |g, _| {
        g.loader.zero_warning = true;
        Ok(())
    }),
    row("expose-experimental-directives", |_, _| Ok(())).lenient(),
    row("expose-deprecated-directives", |_, _| Ok(())).lenient(),
    row("tune.bufsize", |g, a| {
        // The original crashes at what is no number, hence nothing else is taken here.
        if let Some(word) = a.peek().filter(|w| size(&w.text).is_err()) {
            return Err(Fault::new(word.span, "'tune.bufsize' expects a positive integer argument."));
        }
        let n = memory(g, a, 1)?;
        g.global().tune.bufsize = n;
        Ok(())
    }),
    row("tune.maxrewrite", |g, a| {
        let n = memory(g, a, 0)?;
        g.global().tune.maxrewrite = n;
        Ok(())
    }),
    row("tune.http.maxhdr", |g, a| {
        let n = integer(g, a)?;
        if !(1..=32_767).contains(&n) {
            return Err(a.fault("'tune.http.maxhdr' expects a numeric value between 1 and 32767"));
        }
        g.global().tune.maxhdr = n as usize;
        Ok(())
    }),
    row("tune.http.logurilen", number!(tune.logurilen as usize)),
    row("tune.http.cookielen", number!(tune.cookielen as usize)),
    row("tune.idletimer", |g, a| {
        const LONGEST: Duration = Duration::from_millis(65_535);
        let range = "'tune.idletimer' expects a timer value between 0 and 65535 ms.";
        if a.peek().is_none() {
            return Err(Fault::new(a.keyword().span, range));
        }
        let text = a.next().map_or("", |w| w.text.as_str());
        let value = duration(text, TimeUnit::Ms)
            .map_err(|e| a.fault(time_fault_text_up_to(text, "tune.idletimer", e, "65535 ms")).tight())?;
        if value > LONGEST {
            return Err(a.fault(range));
        }
        g.global().tune.idletimer = value;
        Ok(())
    }),
    row("tune.maxaccept", |g, a| {
        let word = a.expect(|| "'tune.maxaccept' expects an integer argument.".into())?;
        let n = lenient_int(&word.text);
        if n > i64::from(i32::MAX) {
            return Err(a.fault("'tune.maxaccept' expects -1 or an integer from 0 to INT_MAX."));
        }
        g.global().tune.maxaccept = Some(n as i32);
        Ok(())
    }),
    row("tune.pattern.cache-size", |g, a| {
        let n = a.peek().map_or(-1, |_| bare_integer(a));
        if n < 0 {
            return Err(a.fault("'tune.pattern.cache-size' expects a positive numeric value"));
        }
        g.global().tune.pattern_cache_size = n as usize;
        Ok(())
    })
    .lenient(),
    row("tune.pool-low-fd-ratio", |g, a| {
        g.global().tune.pool_low_fd_ratio = ratio(g, a)?;
        Ok(())
    }),
    row("tune.pool-high-fd-ratio", |g, a| {
        g.global().tune.pool_high_fd_ratio = ratio(g, a)?;
        Ok(())
    }),
    row("tune.rcvbuf.client", number!(tune.rcvbuf_client as usize)),
    row("tune.rcvbuf.server", number!(tune.rcvbuf_server as usize)),
    row("tune.sndbuf.client", number!(tune.sndbuf_client as usize)),
    row("tune.sndbuf.server", number!(tune.sndbuf_server as usize)),
    row("tune.stick-counters", number!(tune.stick_counters as usize)),
    row("tune.vars.global-max-size", |g, a| vars_size(g, a, 0)).lenient(),
    row("tune.vars.proc-max-size", |g, a| vars_size(g, a, 1)).lenient(),
    row("tune.vars.sess-max-size", |g, a| vars_size(g, a, 2)).lenient(),
    row("tune.vars.txn-max-size", |g, a| vars_size(g, a, 3)).lenient(),
    row("tune.vars.reqres-max-size", |g, a| vars_size(g, a, 4)).lenient(),
    row("tune.vars.check-max-size", |g, a| vars_size(g, a, 5)).lenient(),
    row("tune.comp.maxlevel", |g, a| {
        let n = bare_integer(a);
        if !(1..=9).contains(&n) {
            return Err(a.fault("'tune.comp.maxlevel' expects a numeric value between 1 and 9"));
        }
        g.global().tune.comp_maxlevel = n as u32;
        Ok(())
    }),
    row("tune.h2.max-frame-size", |g, a| {
        let n = bare_integer(a);
        if !(16_384..=16_777_215).contains(&n) {
            return Err(
                a.fault("'tune.h2.max-frame-size' expects a numeric value between 16384 and 16777215.")
            );
        }
        g.global().tune.other.insert("tune.h2.max-frame-size".into(), vec![n.to_string()]);
        Ok(())
    }),
]);

/// The keywords' names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYWORDS.names().chain(kept::SETTINGS.names())
}

/// Words that traffic depends on and that are not there yet.
const REFUSED: &[&str] = &["lua-load", "lua-load-per-thread", "lua-prepend-path"];

/// Said of other keywords.
pub(super) const NOT_NEGATABLE: &str = "negation/default currently supported only for options, log, busy-polling, \
    set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping.";

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

/// Keywords whose first line counts: name, which setting it is of those with two names, how a second line is told.
const ONCE: [(&str, &str, &str); 23] = [
    ("user", "uid", "user/uid already specified. Continuing."),
    ("uid", "uid", "user/uid already specified. Continuing."),
    ("group", "gid", "gid/group was already specified. Continuing."),
    ("gid", "gid", "group/gid already specified. Continuing."),
    ("spread-checks", "spread-checks", "spread-checks already specified. Continuing."),
    ("chroot", "chroot", ""),
    ("fd-hard-limit", "fd-hard-limit", ""),
    ("log-send-hostname", "log-send-hostname", ""),
    ("maxconn", "maxconn", ""),
    ("maxconnrate", "maxconnrate", ""),
    ("maxpipes", "maxpipes", ""),
    ("maxsessrate", "maxsessrate", ""),
    ("pidfile", "pidfile", ""),
    ("server-state-base", "server-state-base", ""),
    ("server-state-file", "server-state-file", ""),
    ("tune.maxaccept", "tune.maxaccept", ""),
    ("tune.maxpollevents", "tune.maxpollevents", ""),
    ("tune.rcvbuf.client", "tune.rcvbuf.client", ""),
    ("tune.sndbuf.client", "tune.sndbuf.client", ""),
    ("tune.rcvbuf.server", "tune.rcvbuf.server", ""),
    ("tune.sndbuf.server", "tune.sndbuf.server", ""),
    ("tune.runqueue-depth", "tune.runqueue-depth", ""),
    ("ulimit-n", "ulimit-n", ""),
];

/// What to say of a line whose setting an earlier line, or the command line, has made.
fn is_repeated(loader: &mut Loader<'_>, name: &str) -> Option<String> {
    let (_, setting, text) = ONCE.iter().find(|row| row.0 == name)?;
    if loader.given.insert(*setting) {
        return None;
    }
    Some(if text.is_empty() {
        format!("'{name}' already specified. Continuing.")
    } else {
        (*text).to_owned()
    })
}

fn one(loader: &mut Loader<'_>, line: &Line) -> Result<(), Fault> {
    let negative = matches!(line.keyword(), "no" | "default") && line.words.len() > 1;
    let word = &line.words[usize::from(negative)];
    let name = word.text.as_str();
    let (own, kept) = (KEYWORDS.find(name), kept::SETTINGS.find(name));
    if negative && !(own.is_some_and(|r| r.negatable) || kept.is_some_and(|s| s.negatable)) {
        loader.report.push(Fault::new(word.span, NOT_NEGATABLE).tight().into_alert());
    }
    if let Some(text) = is_repeated(loader, name) {
        let told = Diagnostic::at(Severity::Skipped, word.span, text);
        let tight = name == "spread-checks";
        loader.report.push(if tight { told.lead(Lead::Tight) } else { told });
        return Ok(());
    }
    let mut args = Args::new(word, &line.words[1 + usize::from(negative)..]);
    if let Some(row) = own {
        (row.run)(&mut G { loader, line, negative }, &mut args)?;
        return if row.lenient { Ok(()) } else { args.none_left() };
    }
    if let Some(setting) = kept {
        return setting.read(loader, line, &mut args);
    }
    if REFUSED.contains(&name) {
        return Err(Fault::new(word.span, format!("'{name}' : Lua is not supported.")));
    }
    if name == "tune.chksize" {
        let text = "option 'tune.chksize' is not supported any more (tune.bufsize is used instead).";
        return Err(Fault::new(word.span, text).tight());
    }
    let names = KEYWORDS.names().chain(kept::SETTINGS.names());
    let text = format!("unknown keyword '{name}' in 'global' section{}", did_you_mean(name, names));
    Err(Fault::new(word.span, text))
}

/// `setenv` and `presetenv`, which the file's reader has carried out already.
fn pair(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = format!("'{}' expects a name and a value.", g.name());
    let whole = args.next().is_some() && args.next().is_some();
    if whole { Ok(()) } else { Err(Fault::new(args.keyword().span, text).tight()) }
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
    let word = args.expect(|| format!("'{name}' expects {what}."))?;
    Ok(word.text.clone())
}

fn integer(g: &G<'_, '_>, args: &mut Args<'_>) -> Result<i64, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
    Ok(wrapping_int(&word.text))
}

/// A number that counts as 0 where it is missing.
fn bare_integer(args: &mut Args<'_>) -> i64 {
    args.next().map_or(0, |w| wrapping_int(&w.text))
}

/// `uid` and `gid`: a word that is no number is warned about, with a hint.
fn id(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<Option<u32>, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
    let number = strict_int(&word.text).filter(|n| i32::try_from(*n).is_ok());
    if number.is_none() {
        let other = if name == "uid" { "user" } else { "group" };
        g.warn(format!(
            " {name}: string '{}' is not a number.\n   | You might want to use the '{other}' parameter to use a system {other} name.\n",
            word.text
        ));
    }
    Ok(number.map(|n| n as u32))
}

/// A share of the descriptors, percent.
fn ratio(g: &G<'_, '_>, args: &mut Args<'_>) -> Result<u32, Fault> {
    let name = g.name().to_owned();
    let n = args.next().map_or(-1, |w| wrapping_int(&w.text));
    if !(0..=100).contains(&n) {
        return Err(args.fault(format!("'{name}' expects an integer argument between 0 and 100.")));
    }
    Ok(n as u32)
}

/// Bytes, `least` or more: a number, or one with a unit as newer versions take it.
fn memory(g: &G<'_, '_>, args: &mut Args<'_>, least: i64) -> Result<usize, Fault> {
    let name = g.name().to_owned();
    let word = args.expect(|| format!("'{name}' expects an integer argument."))?;
    let value = match size(&word.text) {
        Ok(n) if word.text.ends_with(|c: char| c.is_ascii_alphabetic()) => i64::from(n),
        _ => wrapping_int(&word.text),
    };
    let value = Some(value).filter(|n| *n >= least);
    let text = format!("'{name}' expects a positive integer argument.");
    value.map(|n| n as usize).ok_or_else(|| Fault::new(word.span, text))
}

fn time(g: &G<'_, '_>, args: &mut Args<'_>, name: &str) -> Result<Duration, Fault> {
    let _ = g;
    let word = args.expect(|| format!("'{name}' expects <time> as argument."))?;
    duration(&word.text, TimeUnit::Ms)
        .map_err(|e| Fault::new(word.span, time_fault_quoted(&word.text, name, e)))
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
    let name = g.name().to_owned();
    let word = args.next().map_or("", |w| w.text.as_str());
    // A unit is what newer versions take.
    let n = strict_int(word).map(|n| n as u32).or_else(|| size(word).ok());
    let n = n.or(Some(0).filter(|_| word.is_empty()));
    let n = n.ok_or_else(|| args.fault(format!("{name}: '{word}' is an invalid size")))?;
    g.global().tune.vars_max_size[index] = n as usize;
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
            let value = duration(text, TimeUnit::Ms).map_err(|e| {
                args.fault(match e {
                    NumberFault::Overflow | NumberFault::Underflow => {
                        time_fault_quoted(text, "stats timeout", e)
                    }
                    NumberFault::Unexpected(0) => "'stats timeout' : unexpected character '".into(),
                    NumberFault::Unexpected(byte) => {
                        format!("'stats timeout' : unexpected character '{}'", char::from(byte))
                    }
                })
            })?;
            if value.is_zero() {
                return Err(args.fault("'stats timeout' expects a positive value"));
            }
            g.global().stats_timeout = Some(value);
            Ok(())
        }
        "maxconn" => {
            let n = bare_integer(args);
            if n <= 0 {
                return Err(args.fault("'stats maxconn' expects a positive value"));
            }
            g.global().stats_maxconn = Some(n as usize);
            Ok(())
        }
        "bind-process" => {
            args.take_rest();
            none(g, "there is one process")
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
        let known = ["prefix", "mode", "uid", "gid", "user", "group"].contains(&word.text.as_str());
        if !known {
            let text =
                "'unix-bind' only supports the 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' options.";
            return Err(Fault::new(word.span, text));
        }
        let value = args.expect(|| format!("'unix-bind {}' expects a value.", word.text))?.text.clone();
        match word.text.as_str() {
            "prefix" => unix.prefix = Some(value),
            "mode" => unix.mode = u32::from_str_radix(&value, 8).ok(),
            "uid" => unix.uid = Some(lenient_int(&value) as u32),
            "user" | "group" => {
                let id = if word.text == "user" { bind::user_id(&value) } else { bind::group_id(&value) };
                let text = format!("'unix-bind' : '{value}' unknown {}.", word.text);
                let id = id.ok_or_else(|| Fault::new(word.span, text))?;
                if word.text == "user" { unix.uid = Some(id) } else { unix.gid = Some(id) }
            }
            _ => unix.gid = Some(lenient_int(&value) as u32),
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
/// `or` names what else may stand there.
pub(super) fn log_target(loader: &mut Loader<'_>, args: &mut Args<'_>, or: &str) -> Result<Target, Fault> {
    let usage = format!("log : expects <address> and <facility> {or} as arguments");
    let word = args.next().filter(|_| args.peek().is_some());
    let word = word.ok_or_else(|| Fault::new(args.keyword().span, usage.as_str()))?;
    let address = conf_parsers::haproxy::address::expand(&word.text, &|n| loader.variable(n));
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
            let ranges = args.expect(|| "log : Missing sample size".into())?;
            target.sample = Some(Sample::parse(&ranges.text).map_err(|e| Fault::new(ranges.span, e))?);
        } else if args.take("profile") {
            let name = args.expect(|| "log : profile expects a name.".into())?;
            loader.no_effect(name.span, "log … profile", "lines have the format of their proxy");
        } else {
            break;
        }
    }
    let facility = args.expect(|| usage)?.text.as_str();
    let number = FACILITIES.iter().position(|f| *f == facility);
    target.facility =
        number.ok_or_else(|| args.fault(format!("log : unknown log facility '{facility}'")))? as u8;
    check_log_address(&target.address, word.span)?;
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
    args.unexpected(|w| format!("log : cannot handle unexpected argument '{w}'"))?;
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

fn max_spread(g: &mut G<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let missing = "'max-spread-checks' expects an integer argument (0..50).";
    let word = args.next().ok_or_else(|| Fault::new(args.keyword().span, missing).tight())?;
    let limit = duration(&word.text, TimeUnit::Ms).map_err(|e| {
        let byte = match e {
            NumberFault::Unexpected(byte) => char::from(byte),
            _ => return args.fault(time_fault_text(&word.text, "max-spread-checks", e)).tight(),
        };
        let text = format!("unsupported character '{byte}' in 'max-spread-checks' (wants an integer delay).");
        args.fault(text).tight()
    })?;
    g.global().max_spread_checks = Some(limit).filter(|l| !l.is_zero());
    Ok(())
}
