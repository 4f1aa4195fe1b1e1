//! Bodies as far as they have arrived.

use super::{Row, row};
use crate::config::model::Mode;
use crate::fetch::line::parameter;
use crate::http::message::Message;
use crate::sample::args::at;
use crate::sample::expr::Cursor;
use crate::sample::source::Source::{RequestBody, ResponseBody};
use crate::sample::{Arg, Type, Value, leading_int};
use crate::stream::view::View;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("req.body", "", Type::Bin, RequestBody, |v, _, c| Some(Value::bin(body(v, c, true)?))),
    row("req.body_len", "", Type::Int, RequestBody, |v, _, c| {
        Some(Value::Int(body(v, c, true)?.len() as i64))
    }),
    row("req.body_param", "[string]", Type::Bin, RequestBody, body_param),
    row("req.body_size", "", Type::Int, RequestBody, |v, _, c| {
        Some(Value::Int(size(v.request.as_deref()?, body(v, c, true)?)))
    }),
    row("res.body", "", Type::Bin, ResponseBody, |v, _, c| Some(Value::bin(body(v, c, false)?))),
    row("res.body_len", "", Type::Int, ResponseBody, |v, _, c| {
        Some(Value::Int(body(v, c, false)?.len() as i64))
    }),
    row("res.body_size", "", Type::Int, ResponseBody, |v, _, c| {
        Some(Value::Int(size(v.response.as_deref()?, body(v, c, false)?)))
    }),
];

fn body<'v>(view: &'v View<'_>, cursor: &mut Cursor, request: bool) -> Option<&'v [u8]> {
    let (head, bytes, ended) = if request {
        (view.request.is_some(), view.request_bytes, view.request_ended)
    } else {
        (view.response.is_some(), view.response_bytes, view.response_ended)
    };
    cursor.pending = view.may_wait && !ended;
    // A TCP stream that began with a request has bytes, no body.
    head.then_some(if view.proxy.mode == Mode::Http { bytes } else { &[] })
}

/// The announced size, or what is there when none is announced.
fn size(head: &Message, body: &[u8]) -> i64 {
    head.first(b"content-length").map_or(body.len() as i64, |v| leading_int(v).0)
}

fn body_param<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let bytes = body(view, cursor, true)?;
    let value = parameter(bytes, at(args, 0).bytes(), b'&', &mut cursor.at)?;
    cursor.more = true;
    Some(Value::bin(value))
}
