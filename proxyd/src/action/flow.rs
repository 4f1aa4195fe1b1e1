//! What steers a transaction: `allow`, log levels, timeouts, waiting, services.

use super::header::sample_word;
use super::sets::Set;
use super::{Action, Flow, Verdict, Wait, act};
use crate::sample::expr::{Expr, Scope};
use crate::stream::view::View;
use conf_parsers::args::Args;
use std::time::Duration;

type Parsed = Result<Box<dyn Action>, String>;

/// `allow`, `accept`.
pub fn accept(_: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    Ok(act("allow", (), |(), _| Flow::Stop))
}

/// Rules whose work is done before they run: `wait-for-handshake`, since early data is not taken.
pub fn nothing(_: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    Ok(act("wait-for-handshake", (), |(), _| Flow::Continue))
}

/// Actions of parts that are not there yet; the error says so.
pub fn refused(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let name = args.keyword().as_str();
    Err(format!("action '{name}' is not supported by this version"))
}

/// Names of syslog levels, in order.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// `set-log-level LEVEL|silent`.
pub fn set_log_level(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    const USAGE: &str = "expects exactly 1 argument (log level name or 'silent')";
    let word = args.next().ok_or(USAGE)?.as_str();
    // 0 is silent; the levels count from 1, as in the transaction's record.
    let level = match LEVELS.iter().position(|l| *l == word) {
        Some(i) => i as u8 + 1,
        None if word == "silent" => 0,
        None => return Err(USAGE.into()),
    };
    Ok(act("set-log-level", level, |level, view| {
        match view.txn.as_deref_mut() {
            Some(txn) => txn.log_level = Some(*level),
            None => view.session.log_level = Some(*level),
        }
        Flow::Continue
    }))
}

/// `use-service NAME`.
pub fn use_service(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    match args.next().map_or("", |w| w.as_str()) {
        "prometheus-exporter" => {
            Ok(act("use-service", (), |(), _| Flow::Finish(Verdict::Service("prometheus-exporter"))))
        }
        "" => Err("expects exactly 1 argument (service name)".into()),
        other => Err(format!("'{other}' unknown service name.")),
    }
}

/// `switch-mode http [proto P]`.
pub fn switch_mode(args: &mut Args<'_>, scope: &mut Scope<'_>, _: Set) -> Parsed {
    const WHO: &str = "'tcp-request switch-mode'";
    if !scope.kind.is_front() {
        let (side, name) = (scope.kind.side(), scope.proxy);
        return Err(format!("{WHO} not allowed because {side} '{name}' has no frontend capability"));
    }
    match args.next().map_or("", |w| w.as_str()) {
        "http" => {}
        "" => return Err(format!("{WHO} expects a mode as argument.")),
        other => return Err(format!("{WHO} expects a valid mode (got '{other}').")),
    }
    let mut h2_too = true;
    if args.take("proto") {
        match args.next().map_or("", |w| w.as_str()) {
            "h2" => {}
            "h1" => h2_too = false,
            "" => return Err(format!("{WHO}: 'proto' expects a protocol as argument.")),
            other => {
                let wants = "'proto' expects a valid MUX protocol, if specified";
                return Err(format!("{WHO}: {wants} (got '{other}')"));
            }
        }
    }
    Ok(act("switch-mode", h2_too, |h2_too, _| Flow::Finish(Verdict::Http { h2_too: *h2_too })))
}

/// `disable-l7-retry`.
pub fn disable_retry(_: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    Ok(act("disable-l7-retry", (), |(), view| {
        if let Some(txn) = view.txn.as_deref_mut() {
            txn.no_l7_retry = true;
        }
        Flow::Continue
    }))
}

/// `strict-mode on|off`.
pub fn strict_mode(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let on = match args.next().map_or("", |w| w.as_str()) {
        "on" => true,
        "off" => false,
        "" => return Err("expects exactly 1 arguments".into()),
        other => return Err(format!("Unexpected value '{other}'. Only 'on' and 'off' are supported")),
    };
    Ok(act("strict-mode", on, |on, view| {
        if let Some(txn) = view.txn.as_deref_mut() {
            txn.strict_rewriting = *on;
        }
        Flow::Continue
    }))
}

struct Timeout {
    which: String,
    fixed: Option<Duration>,
    expr: Option<Expr>,
}

/// `set-timeout server|tunnel|client TIME|EXPR`.
pub fn set_timeout(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    if !scope.kind.is_back() {
        return Err(format!("proxy '{}' has no backend capability", scope.proxy));
    }
    let which = args.next().map_or("", |w| w.as_str()).to_owned();
    if !matches!(which.as_str(), "server" | "tunnel" | "client") {
        return Err(format!("'set-timeout' rule supports 'server'/'tunnel'/'client' (got '{which}')"));
    }
    let word = args.peek().ok_or("expects a duration or an expression")?.as_str();
    let (fixed, expr) = match duration(word) {
        Some(d) => {
            args.next();
            (Some(d), None)
        }
        None => (None, Some(sample_word(args, scope, set)?)),
    };
    Ok(act("set-timeout", Timeout { which, fixed, expr }, |t, view| {
        let from_expr = |view: &View<'_>| {
            let ms = t.expr.as_ref()?.run(view)?.into_int()?;
            u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
        };
        if let Some(value) = t.fixed.or_else(|| from_expr(view))
            && let Some(txn) = view.txn.as_deref_mut()
        {
            match t.which.as_str() {
                "server" => txn.timeout_server = Some(value),
                "tunnel" => txn.timeout_tunnel = Some(value),
                _ => txn.timeout_client = Some(value),
            }
        }
        Flow::Continue
    }))
}

/// `pause TIME|EXPR`; what is no time makes none.
pub fn pause(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let word = args.peek().ok_or("expects a duration or an expression")?.as_str();
    if let Some(time) = duration(word) {
        args.next();
        return Ok(act("pause", time, |time, _| Flow::Wait(Wait::Pause(*time))));
    }
    Ok(act("pause", sample_word(args, scope, set)?, |expr, view| {
        let ms = expr.run(view).and_then(|v| u64::try_from(v.into_int()?).ok()).filter(|ms| *ms > 0);
        ms.map_or(Flow::Continue, |ms| Flow::Wait(Wait::Pause(Duration::from_millis(ms))))
    }))
}

/// A time with its unit, milliseconds without one.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let n: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "us" => Duration::from_micros(n),
        "" | "ms" => Duration::from_millis(n),
        "s" => Duration::from_secs(n),
        "m" => Duration::from_secs(n * 60),
        "h" => Duration::from_secs(n * 3600),
        "d" => Duration::from_secs(n * 86400),
        _ => return None,
    })
}

/// `wait-for-body time T [at-least N]`.
pub fn wait_for_body(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let (mut time, mut at_least) = (None, 0);
    while let Some(word) = args.peek() {
        let key = word.as_str();
        if !matches!(key, "time" | "at-least") {
            break;
        }
        args.next();
        let text = args.next().ok_or_else(|| format!("missing argument for '{key}'"))?.as_str();
        if key == "time" {
            time = Some(
                duration(text).ok_or_else(|| format!("unexpected character in '{text}' (time expected)"))?,
            );
        } else {
            at_least = conf_parsers::value::size(text)
                .map_err(|_| format!("unexpected character in '{text}' (size expected)"))?
                as usize;
        }
    }
    let time = time.ok_or("expects time <time> [ at-least <bytes> ]")?;
    Ok(act("wait-for-body", Wait::Body { time, at_least }, |wait, _| Flow::Wait(*wait)))
}
