//! What rules, samples and logs see of a stream: a view, never a socket.

use super::txn::{Session, Txn};
use crate::config::model::Proxy;
use crate::http::message::Message;
use crate::runtime::Generation;
use std::time::{Instant, SystemTime};

/// Where a rule set runs; decides which fetches are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `tcp-request connection`.
    Connection,
    /// `tcp-request session`.
    Session,
    /// `tcp-request content`.
    RequestContent,
    /// `http-request`.
    RequestHead,
    /// `tcp-response content`.
    ResponseContent,
    /// `http-response`.
    ResponseHead,
    /// Making the log line.
    Log,
    /// Inside a health check.
    Check,
}

/// A view of a stream at one moment.
#[derive(Debug)]
pub struct View<'a> {
    /// Now, monotonic.
    pub now: Instant,
    /// Now, wall clock.
    pub wall: SystemTime,
    /// The generation in force for this stream.
    pub generation: &'a Generation,
    /// The proxy whose rules run.
    pub proxy: &'a Proxy,
    /// Where.
    pub phase: Phase,
    /// The client's connection.
    pub session: &'a mut Session,
    /// The transaction; `None` before there is one.
    pub txn: Option<&'a mut Txn>,
    /// The request's head.
    pub request: Option<&'a mut Message>,
    /// The response's head.
    pub response: Option<&'a mut Message>,
    /// Raw bytes received from the client and not yet forwarded (in HTTP: the body received so far).
    pub request_bytes: &'a [u8],
    /// Whether the request is complete: no more bytes will come.
    pub request_ended: bool,
    /// The same of the server's side.
    pub response_bytes: &'a [u8],
    /// The same of the server's side.
    pub response_ended: bool,
    /// Whether an action may still ask to wait; once false, waiting means giving up.
    pub may_wait: bool,
}
