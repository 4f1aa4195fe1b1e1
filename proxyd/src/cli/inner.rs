//! What operators see of the process's inside: environment, threads, descriptors, memory, activity.
//!
//! Names and line shapes are haproxy's where both have the thing; what only haproxy has is not listed.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, Operator, User};
use crate::runtime::streams::{Live, Seen};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["set", "profiling"],
        "set profiling <what> {auto|on|off}",
        "enable/disable resource profiling (tasks,memory)",
        Admin,
        set_profiling,
    ),
    row(
        &["show", "activity"],
        "show activity",
        "show per-thread activity stats (for support/developers)",
        Operator,
        activity,
    ),
    row(&["show", "env"], "show env [var]", "dump environment variables known to the process", Operator, env),
    row(&["show", "events"], "show events [<sink>] [-w] [-n]", "show event sink state", User, events),
    row(
        &["show", "fd"],
        "show fd [num]",
        "dump list of file descriptors in use or a specific one",
        Operator,
        descriptors,
    ),
    row(&["show", "libs"], "show libs", "show loaded object files and libraries", Operator, libraries),
    row(&["show", "pools"], "show pools", "report information about the memory pools usage", Operator, pools),
    row(
        &["show", "profiling"],
        "show profiling [<what>|<#lines>|byaddr]*",
        "show profiling state (all,status,tasks,memory)",
        Operator,
        profiling,
    ),
    row(
        &["show", "startup-logs"],
        "show startup-logs",
        "report logs emitted during HAProxy startup",
        Operator,
        startup_logs,
    ),
    row(&["show", "threads"], "show threads", "show some threads debugging information", Operator, threads),
    CommandRow {
        expert: true,
        ..row(
            &["debug", "dev", "log"],
            "debug dev log    [msg] ...",
            "send this msg to global logs",
            Admin,
            debug_log,
        )
    },
    refused(&["debug", "dev", "bug"], "debug dev bug", "call BUG_ON() and crash", debug_refused),
    refused(
        &["debug", "dev", "check"],
        "debug dev check",
        "call CHECK_IF() and possibly crash",
        debug_refused,
    ),
    refused(&["debug", "dev", "close"], "debug dev close  <fd>", "close this file descriptor", debug_refused),
    refused(&["debug", "dev", "delay"], "debug dev delay  [ms]", "sleep this long", debug_refused),
    refused(
        &["debug", "dev", "exit"],
        "debug dev exit   [code]",
        "immediately exit the process",
        debug_refused,
    ),
    refused(&["debug", "dev", "fd"], "debug dev fd", "scan for rogue/unhandled FDs", debug_refused),
    refused(&["debug", "dev", "hex"], "debug dev hex    <addr> [len]", "dump a memory area", debug_refused),
    refused(&["debug", "dev", "loop"], "debug dev loop   [ms]", "loop this long", debug_refused),
    refused(&["debug", "dev", "panic"], "debug dev panic", "immediately trigger a panic", debug_refused),
    refused(
        &["debug", "dev", "sched"],
        "debug dev sched  {task|tasklet} [k=v]*",
        "stress the scheduler",
        debug_refused,
    ),
    refused(
        &["debug", "dev", "stream"],
        "debug dev stream [k=v]*",
        "show/manipulate stream flags",
        debug_refused,
    ),
    refused(&["debug", "dev", "sym"], "debug dev sym    <addr>", "resolve symbol address", debug_refused),
    refused(
        &["debug", "dev", "tkill"],
        "debug dev tkill  [thr] [sig]",
        "send signal to thread",
        debug_refused,
    ),
    refused(&["debug", "dev", "warn"], "debug dev warn", "call WARN_ON() and possibly crash", debug_refused),
    refused(
        &["debug", "dev", "write"],
        "debug dev write  [size]",
        "write that many bytes in return",
        debug_refused,
    ),
    refused(&["httpclient"], "httpclient <method> <URI>", "launch an HTTP request", no_client),
    CommandRow {
        absent: Some(MACHINERY),
        ..row(&["show", "tasks"], "show tasks", "show running tasks", Operator, tasks)
    },
    CommandRow {
        absent: Some(MACHINERY),
        ..row(&["show", "trace"], "show trace [<module>]", "show live tracing state", User, no_traces)
    },
    CommandRow {
        absent: Some(MACHINERY),
        ..row(
            &["trace"],
            "trace [<module>|0] [cmd [args...]]",
            "manage live tracing (empty to list, 0 to stop all)",
            Operator,
            traces,
        )
    },
    row(
        &["set", "rate-limit"],
        "set rate-limit <setting> <value>",
        "change a rate limiting value",
        Admin,
        rate_limit,
    ),
    row(
        &["show", "peers"],
        "show peers [dict|-] [section]",
        "dump some information about all the peers or this peers section",
        User,
        super::peers::show,
    ),
    row(&["show", "cache"], "show cache", "show cache status", Admin, super::cache::show),
];

/// A command that haproxy has for its own developers and that is answered with a reason here.
const fn refused(
    words: &'static [&'static str],
    usage: &'static str,
    help: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> CommandRow {
    CommandRow { expert: true, absent: Some(DEVELOPERS), ..row(words, usage, help, Admin, run) }
}

const DEVELOPERS: &str = "a tool of haproxy's developers";
const MACHINERY: &str = "it shows machinery of haproxy";

/// `debug dev log WORDS`.
fn debug_log(call: &mut Call<'_>) -> Answer {
    let text = call.words[3..].join(" ");
    crate::log::notices(
        call.generation,
        &[crate::runtime::transitions::Notice {
            level: crate::runtime::transitions::Level::Notice,
            proxy: crate::config::model::ProxyId(0),
            stderr: text.clone(),
            log: text,
        }],
    );
    Answer::Done
}

/// Ways to break the process on purpose are not built in.
fn debug_refused(_: &mut Call<'_>) -> Answer {
    Answer::error("This command is not built in: nothing here ends the process but its signals.\n")
}

/// `httpclient METHOD URI`.
fn no_client(call: &mut Call<'_>) -> Answer {
    if call.word(2).is_empty() {
        return Answer::error("Can't start the HTTP client: not enough parameters.\n");
    }
    Answer::error("There is no HTTP client here: ask the URI with a program such as curl.\n")
}

/// `show tasks`: what there is to do stands in the threads' own queues, of which only their runtime knows.
fn tasks(_: &mut Call<'_>) -> Answer {
    Answer::error(
        "Queues of tasks cannot be listed here: see 'show sess', 'show threads' and 'show activity'.\n",
    )
}

const NO_TRACES: &str = "There are no trace sources here: see 'show sess', 'show errors' and the logs.\n";

/// `show trace`.
fn no_traces(_: &mut Call<'_>) -> Answer {
    Answer::error(NO_TRACES)
}

/// `trace`; `trace 0` stops all of none.
fn traces(call: &mut Call<'_>) -> Answer {
    match call.word(1) {
        "0" => Answer::info("All traces now stopped"),
        _ => Answer::error(NO_TRACES),
    }
}

/// `show env [NAME]`.
fn env(call: &mut Call<'_>) -> Answer {
    let name = call.word(2);
    let set = &call.generation.config.global.env;
    let mut out = String::new();
    for (key, value) in std::env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        if !set.contains_key(&key) && (name.is_empty() || name == key) {
            let _ = writeln!(out, "{key}={}", value.to_string_lossy());
        }
    }
    for (key, value) in set.iter().filter(|(k, _)| name.is_empty() || name == k.as_str()) {
        let _ = writeln!(out, "{key}={value}");
    }
    if out.is_empty() && !name.is_empty() {
        return Answer::error("Variable not found\n");
    }
    Answer::Dump(out)
}

/// `show activity`: what ours has of it.
fn activity(call: &mut Call<'_>) -> Answer {
    let board = &call.generation.board;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let per_thread = board.streams.measure();
    let switches: Vec<u64> = per_thread.iter().map(|t| t.switches).collect();
    let list = |values: &[u64]| {
        let all: Vec<String> = values.iter().map(u64::to_string).collect();
        format!("{} [ {} ]", values.iter().sum::<u64>(), all.join(" "))
    };
    let cpu: Vec<u64> = per_thread.iter().map(|t| t.cpu.as_millis() as u64).collect();
    Answer::Dump(format!(
        "thread_id: 1 (1..{})\ndate_now: {}.{:06}\nctxsw: {}\ncpust_ms_tot: 0 [ {} ]\ncpu_ms: {}\naccepted: {}\n\
         stream_calls: {}\n",
        board.info.nbthread,
        now.as_secs(),
        now.subsec_micros(),
        list(&switches),
        vec!["0"; per_thread.len()].join(" "),
        list(&cpu),
        board.process.cum_conns.load(Relaxed),
        board.process.cum_req.load(Relaxed),
    ))
}

/// `show threads`.
fn threads(call: &mut Call<'_>) -> Answer {
    let board = &call.generation.board;
    let measured = board.streams.measure();
    let (now, all) = (board.info.started.elapsed().as_nanos(), board.info.nbthread);
    let mut out = String::new();
    for thread in &measured {
        let n = thread.index + 1;
        let _ = writeln!(
            out,
            "  Thread {n:<2}: id={:#x} act={} glob=0 wq=0 rq=0 tl=0 tlsz=0 rqsz=0\n      1/{n:<2}   stuck=0 prof=0 \
             harmless=1 wantrdv=0\n             cpu_ns: poll={} now={now} diff=0\n             curr_task=0",
            thread.id,
            u8::from(thread.streams > 0),
            thread.cpu.as_nanos(),
        );
    }
    for n in (measured.len() + 1)..=all {
        // It did not answer in time.
        let _ = writeln!(
            out,
            "  Thread {n:<2}: id=0x0 act=1 glob=0\n      1/{n:<2}   stuck=1 prof=0 harmless=0 wantrdv=0"
        );
    }
    Answer::Dump(out)
}

/// `show pools`: memory kept for streams to come.
fn pools(call: &mut Call<'_>) -> Answer {
    Answer::Dump(pools_text(call.generation))
}

/// What `show pools` and SIGQUIT tell.
pub fn pools_text(generation: &crate::runtime::Generation) -> String {
    let measured = generation.board.streams.measure();
    let buffer = generation.config.global.tune.bufsize;
    let rows = [
        ("stream", std::mem::size_of::<Live>(), measured.iter().map(|t| t.streams).sum::<usize>(), true),
        ("buffer", buffer, measured.iter().map(|t| t.buffers).sum(), false),
    ];
    let mut out = String::from("Dumping pools usage. Use SIGQUIT to flush them.\n");
    let mut total = 0;
    for (name, size, count, used) in rows {
        let bytes = size * count;
        total += bytes;
        let in_use = if used { count } else { 0 };
        let _ = writeln!(
            out,
            "  - Pool {name} ({size} bytes) : {count} allocated ({bytes} bytes), {in_use} used (~{} by thread caches), \
             needed_avg {in_use}, 0 failures, 1 users",
            count - in_use
        );
    }
    let _ = writeln!(
        out,
        "Total: {} pools, {total} bytes allocated, {total} used (~0 by thread caches).",
        rows.len()
    );
    out
}

fn link(fd: &str) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .map_or_else(|_| String::new(), |p| p.display().to_string())
}

/// `show fd [NUMBER]`.
fn descriptors(call: &mut Call<'_>) -> Answer {
    let config = &call.generation.config;
    let streams = call.generation.board.streams.list();
    let mut owners: HashMap<i32, (&Seen, bool)> = HashMap::new();
    for seen in &streams {
        owners.insert(seen.fd, (seen, false));
        owners.insert(seen.server_fd, (seen, true));
    }
    // As atoi() reads it: what is no number is 0.
    let word = call.word(2);
    let only = (!word.is_empty()).then(|| word.parse::<i32>().unwrap_or(0));
    let mut numbers: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .map(|dir| dir.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    numbers.sort_unstable();
    let mut out = String::new();
    for fd in numbers.into_iter().filter(|fd| only.is_none_or(|o| o == *fd)) {
        let what = link(&fd.to_string());
        let owner = match owners.get(&fd) {
            Some((seen, back)) => {
                let backend = seen.backend.map_or("<NONE>", |b| config.proxies[b.0].name.as_str());
                format!(
                    " back={} fe={} be={backend} strm={:#x}",
                    u8::from(*back),
                    config.proxies[seen.frontend.0].name,
                    seen.id
                )
            }
            None => String::new(),
        };
        let _ = writeln!(out, "{fd:>7} : {what}{owner}");
    }
    Answer::Dump(out)
}

/// `show libs`.
fn libraries(_: &mut Call<'_>) -> Answer {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut ranges: Vec<(&str, u64, u64)> = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(file)) = (words.next(), words.nth(4).filter(|f| f.starts_with('/'))) else {
            continue;
        };
        let Some((Ok(from), Ok(to))) =
            range.split_once('-').map(|(a, b)| (u64::from_str_radix(a, 16), u64::from_str_radix(b, 16)))
        else {
            continue;
        };
        match ranges.iter_mut().find(|(f, ..)| *f == file) {
            Some(known) => known.2 = known.2.max(to),
            None => ranges.push((file, from, to)),
        }
    }
    let mut out = String::new();
    for (file, from, to) in ranges {
        let _ = writeln!(out, "{from:#018x}-{:#018x} ({:#09x}) {file}", to - 1, to - from);
    }
    Answer::Dump(out)
}

/// `show profiling [all|status|tasks|memory|byaddr|LINES]`: there is none to switch on, so nothing was measured.
fn profiling(call: &mut Call<'_>) -> Answer {
    let mut status = true;
    for word in &call.words[2..] {
        match *word {
            "all" | "status" => status = true,
            "tasks" | "memory" => status = false,
            "byaddr" => {}
            number if number.parse::<u32>().is_ok() => {}
            _ => return Answer::error(PROFILING_WORDS),
        }
    }
    let state = "Per-task CPU profiling              : off           # set profiling tasks {on|auto|off}\nMemory usage \
                 profiling              : off           # set profiling memory {on|off}\n";
    Answer::Dump(if status { state.into() } else { String::new() })
}

const PROFILING_WORDS: &str =
    "Expects either 'all', 'status', 'tasks', 'memory', 'byaddr' or a max number of output lines.\n";

/// `set profiling tasks|memory on|auto|off`.
fn set_profiling(call: &mut Call<'_>) -> Answer {
    match (call.word(2), call.word(3)) {
        ("memory", _) => Answer::error("Memory profiling not compiled in.\n"),
        ("tasks", "off") => Answer::Done,
        ("tasks", "on" | "auto") => Answer::error("Task profiling not compiled in.\n"),
        ("tasks", _) => Answer::error("Expects 'on', 'auto', or 'off'.\n"),
        _ => Answer::error("Expects either 'tasks' or 'memory'.\n"),
    }
}

/// `show events [SINK] [-w] [-n]`: the sinks, or what one of them holds, and with `-w` what comes.
fn events(call: &mut Call<'_>) -> Answer {
    let rings = &call.generation.outlets.rings;
    let name = call.word(2);
    if name.is_empty() {
        let mut text = String::from(
            "Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop\n\
             \x20   stdout     : type=fd, 0 dropped, standard output (fd#1)\n\
             \x20   stderr     : type=fd, 0 dropped, standard output (fd#2)\n",
        );
        for ring in rings.values() {
            let _ = writeln!(text, "    {:<10} : type=buffer, 0 dropped, {}", ring.name, ring.description);
        }
        return Answer::Dump(text);
    }
    if call.session.level < Operator {
        return Answer::error("Permission denied\n");
    }
    if ["stdout", "stderr"].contains(&name) {
        return Answer::info("Nothing to report for this sink");
    }
    let Some(ring) = rings.get(name) else { return Answer::error("No such event sink") };
    let options = call.words.get(3..).unwrap_or_default();
    let given = |letter: char| options.iter().any(|o| o.starts_with('-') && o.contains(letter));
    if !options.iter().all(|o| matches!(*o, "-n" | "-w" | "-nw" | "-wn")) {
        return Answer::error("unknown option");
    }
    let (held, next) = ring.text(0);
    let text = if given('n') { String::new() } else { held };
    if !given('w') {
        return Answer::Dump(text);
    }
    call.session.following = Some((Arc::clone(ring), next));
    Answer::Begun(text)
}

/// `show startup-logs`.
fn startup_logs(call: &mut Call<'_>) -> Answer {
    let log = call.generation.board.startup_log.get().map_or("", String::as_str);
    Answer::Dump(if log.is_empty() { "\n".into() } else { log.to_owned() })
}

const RATE_LIMITS: &str = "'set rate-limit' only supports :\n   - 'connections global' to set the per-process maximum \
    connection rate\n   - 'sessions global' to set the per-process maximum session rate\n   - 'ssl-sessions global' to \
    set the per-process maximum SSL session rate\n   - 'http-compression global' to set the per-process maximum \
    compression speed in kB/s\n";

/// `set rate-limit connections|sessions|ssl-sessions|http-compression global VALUE`.
fn rate_limit(call: &mut Call<'_>) -> Answer {
    let limits = &call.generation.board.limits;
    let limit = match (call.word(2), call.word(3)) {
        ("connections", "global") => &limits.connections,
        ("sessions", "global") => &limits.sessions,
        ("ssl-sessions", "global") => &limits.tls_sessions,
        ("http-compression", "global") => &limits.compression_kb,
        _ => return Answer::error(RATE_LIMITS),
    };
    let text = call.word(4);
    if text.is_empty() {
        return Answer::error("Expects an integer value.\n");
    }
    if text.starts_with('-') {
        return Answer::error("Value out of range.\n");
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    limit.store(digits.parse().unwrap_or(0), Relaxed);
    call.generation.board.limits_changed.notify_waiters();
    Answer::Done
}
