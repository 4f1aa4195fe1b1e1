//! Expressions outside any stream: `set-var` of the `global` section, `set var` of the command line.
//!
//! Invariant: only fetches that need no stream can give a value; all others give none, and nothing panics.

use super::Generation;
use crate::config::model::{Config, Kind, Mode, Proxy, ProxyId, ServerId};
use crate::log::format::{Format, Use};
use crate::sample::Value;
use crate::sample::expr::{Captures, Expr, FormatsSeen, Refs, Scope};
use crate::sample::source::Points;
use crate::stream::txn::{Session, Txn};
use crate::stream::view::{Phase, View};
use conf_parsers::haproxy::expr::expression;
use std::collections::HashMap;
use std::time::{Instant, SystemTime};

/// What is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// A sample expression.
    Expression,
    /// A log format.
    Format,
}

fn with_scope<T>(
    config: &Config,
    run: impl FnOnce(&mut Scope<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let (mut refs, mut late, mut warnings) = (Refs::default(), Vec::new(), Vec::new());
    let mut captures = Captures::default();
    let acls = HashMap::new();
    run(&mut Scope {
        proxy: "CLI",
        kind: Kind::Frontend,
        mode: Mode::Http,
        origin: ("CLI", 0),
        within: "",
        files: &config.patterns,
        acls: &acls,
        refs: &mut refs,
        late: &mut late,
        warnings: &mut warnings,
        stick_counters: config.global.tune.stick_counters,
        formats: &mut FormatsSeen::default(),
        captures: &mut captures,
        http_errors: &config.http_errors,
    })
}

/// The text's value now; `None` when it has none here.
pub fn value(
    generation: &Generation,
    text: &str,
    notation: Notation,
) -> Result<Option<Value<'static>>, String> {
    let Some(proxy) = generation.config.proxies.first() else { return Ok(None) };
    evaluated(&generation.config, text, notation, |read| with_view(generation, proxy, read))
}

/// The same for a server's check, where the names of backend and server are known.
pub fn value_at(
    generation: &Generation,
    at: (ProxyId, ServerId),
    text: &str,
    notation: Notation,
) -> Result<Option<Value<'static>>, String> {
    evaluated(&generation.config, text, notation, |read| {
        let mut txn = Txn::new(Instant::now(), SystemTime::now());
        (txn.backend, txn.server) = (Some(at.0), Some(at.1));
        view_of(generation, generation.proxy(at.0), Some(&mut txn), read)
    })
}

/// What is read out of a view.
type Read<'r> = &'r dyn Fn(&View<'_>) -> Option<Value<'static>>;

fn evaluated(
    config: &Config,
    text: &str,
    notation: Notation,
    look: impl FnOnce(Read<'_>) -> Option<Value<'static>>,
) -> Result<Option<Value<'static>>, String> {
    with_scope(config, |scope| match notation {
        Notation::Expression => {
            let expr = Expr::compile(&expression(text)?, scope)?;
            Ok(look(&|view| expr.run(view).map(Value::into_owned)))
        }
        Notation::Format => {
            let format = Format::compile(text, Use::Http, Points::ALL, scope)?;
            Ok(look(&|view| Some(Value::str(format.to_bytes(view)))))
        }
    })
}

/// Runs something on a view without a stream.
pub(super) fn with_view<T>(generation: &Generation, proxy: &Proxy, run: impl FnOnce(&View<'_>) -> T) -> T {
    view_of(generation, proxy, None, run)
}

fn view_of<T>(
    generation: &Generation,
    proxy: &Proxy,
    txn: Option<&mut Txn>,
    run: impl FnOnce(&View<'_>) -> T,
) -> T {
    let now = Instant::now();
    let mut session = Session::blank();
    run(&View {
        now,
        wall: SystemTime::now(),
        generation,
        proxy,
        phase: Phase::Connection,
        session: &mut session,
        txn,
        request: None,
        response: None,
        request_bytes: &[],
        request_ended: true,
        response_bytes: &[],
        response_ended: true,
        may_wait: false,
    })
}
