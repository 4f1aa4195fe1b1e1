//! The shell of the HTTP/1 core: heads from a connection into a [`Message`], and back into bytes.
//!
//! Invariant: a message read has the fields that go on, in order, with the edits of [`h1::semantics`] applied.

use crate::http::message::{Message, Start};
use h1::semantics::{self, Edit, Edits, RequestInfo};
use h1::{Fault, Framing, Head, Method};

/// What is left to know of a response whose head is in a message: the edits are made.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The body's framing.
    pub framing: Framing,
    /// The server keeps the connection open.
    pub keep_alive: bool,
    /// An interim answer: another head follows.
    pub interim: bool,
}

/// Puts a request's head into a message, and what it means beside it.
pub fn request(
    head: &Head,
    buf: &[u8],
    options: h1::Options,
    into: &mut Message,
    info: &mut RequestInfo,
) -> Result<(), Fault> {
    semantics::request_into(head, buf, options, info)?;
    fields(head, buf, &info.edits, into);
    let method = into.slice_at(head.start, head.first);
    let uri = match info.target.take() {
        Some(new) => into.store(&new),
        None => into.slice_at(head.start, head.second),
    };
    into.start = Start::Request { method, uri };
    into.version = version(head, buf);
    Ok(())
}

/// Puts a response's head into a message.
pub fn response(
    head: &Head,
    buf: &[u8],
    method: Method,
    upgrade: bool,
    into: &mut Message,
) -> Result<Answer, Fault> {
    let info = semantics::response(head, buf, method, upgrade)?;
    fields(head, buf, &info.edits, into);
    let reason = into.slice_at(head.start, head.second);
    into.start = Start::Response { status: head.status, reason };
    into.version = version(head, buf);
    Ok(Answer { framing: info.framing, keep_alive: info.keep_alive, interim: info.interim })
}

/// The version as received; what is above 1.1 goes out as 1.1.
fn version(head: &Head, buf: &[u8]) -> (u8, u8) {
    match head.version.of(buf) {
        b"HTTP/1.1" => (1, 1),
        &[_, _, _, _, _, major, _, minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            (major - b'0', minor - b'0')
        }
        _ if head.is_11 => (1, 1),
        _ => (1, 0),
    }
}

fn fields(head: &Head, buf: &[u8], edits: &Edits, into: &mut Message) {
    into.load(&buf[head.start..head.len]);
    into.load_fields(head.start, &head.fields);
    for (index, edit) in edits {
        match edit {
            Edit::Drop => into.remove_at(*index),
            Edit::Part(part) => into.set_value(*index, part.of(buf)),
            Edit::Value(new) => into.set_value(*index, new),
        }
    }
}
