//! What the kernel knows of the client's TCP connection.
//!
//! Invariant: connections keep a second handle of their socket only in processes whose files name such a fetch.

use super::{Row, row};
use crate::mux::wire::Wire;
use crate::sample::args::at;
use crate::sample::expr::Scope;
use crate::sample::source::Source::L4Client;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("fc_fackets", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.fackets)).check(want),
    row("fc_lost", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.lost)).check(want),
    row("fc_reordering", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.reordering)).check(want),
    row("fc_retrans", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.retrans)).check(want),
    row("fc_rtt", "[string]", Type::Int, L4Client, |v, a, _| time(v, a, |i| i.rtt_us)).check(unit),
    row("fc_rttvar", "[string]", Type::Int, L4Client, |v, a, _| time(v, a, |i| i.rttvar_us)).check(unit),
    row("fc_sacked", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.sacked)).check(want),
    row("fc_unacked", "", Type::Int, L4Client, |v, _, _| count(v, |i| i.unacked)).check(want),
];

/// Whether any expression asks.
static WANTED: AtomicBool = AtomicBool::new(false);

/// A second handle of a connection's socket, where one may be asked for.
pub fn handle(wire: &Wire) -> Option<Arc<OwnedFd>> {
    if !WANTED.load(Relaxed) {
        return None;
    }
    wire.tcp()?.as_fd().try_clone_to_owned().ok().map(Arc::new)
}

fn want(_: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    WANTED.store(true, Relaxed);
    Ok(())
}

fn unit(args: &mut Vec<Arg>, scope: &mut Scope<'_>) -> Result<(), String> {
    want(args, scope)?;
    match at(args, 0).text() {
        "" | "ms" | "us" => Ok(()),
        bad => Err(format!("expects 'ms' or 'us', got '{bad}'")),
    }
}

fn info(view: &View<'_>) -> Option<sys::tcp::Info> {
    sys::tcp::info(view.session.kernel.as_ref()?.as_fd()).ok()
}

fn count<'v>(view: &View<'_>, part: fn(&sys::tcp::Info) -> u32) -> Option<Value<'v>> {
    Some(Value::Int(i64::from(part(&info(view)?))))
}

fn time<'v>(view: &View<'_>, args: &[Arg], part: fn(&sys::tcp::Info) -> u32) -> Option<Value<'v>> {
    let us = i64::from(part(&info(view)?));
    Some(Value::Int(if at(args, 0).text() == "us" { us } else { us / 1000 }))
}
