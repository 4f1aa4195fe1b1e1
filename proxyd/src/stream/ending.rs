//! From what happened to haproxy's two letters: who ended a stream, and in which phase.
//!
//! Pure: a function of the cause and the phase. Absent on purpose: the cookie letters (`http/cookie.rs`).

use super::txn::{EndedBy, EndedIn};
use crate::runtime::timers::Why;

/// What ended a stream before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The client closed or broke its connection.
    ClientClosed,
    /// The client was silent for too long.
    ClientTimeout,
    /// The client sent no HTTP.
    ClientBad,
    /// The server closed, broke or refused its connection.
    ServerClosed,
    /// The server was silent for too long.
    ServerTimeout,
    /// The server sent no HTTP.
    ServerBad,
    /// A rule or limit of the proxy.
    Proxy,
    /// The proxy ran out of something.
    Resource,
    /// A fault inside the proxy.
    Internal,
    /// The server went down.
    Down,
    /// An operator.
    Killed,
}

fn by(cause: Cause) -> EndedBy {
    match cause {
        Cause::ClientClosed => EndedBy::Client,
        Cause::ClientTimeout => EndedBy::ClientTimeout,
        Cause::ServerClosed => EndedBy::Server,
        Cause::ServerTimeout => EndedBy::ServerTimeout,
        Cause::ClientBad | Cause::ServerBad | Cause::Proxy => EndedBy::Proxy,
        Cause::Resource => EndedBy::Resource,
        Cause::Internal => EndedBy::Internal,
        Cause::Down => EndedBy::Down,
        Cause::Killed => EndedBy::Killed,
    }
}

/// Who ends streams from outside, as logs name it.
pub fn from_outside(why: Why) -> EndedBy {
    match why {
        Why::Killed => EndedBy::Killed,
        Why::Down => EndedBy::Down,
        Why::Up => EndedBy::Up,
    }
}

/// While the request was read or analysed.
pub fn request(cause: Cause) -> (EndedBy, EndedIn) {
    (by(cause), EndedIn::Request)
}

/// In the queue.
pub fn queue(cause: Cause) -> (EndedBy, EndedIn) {
    (by(cause), EndedIn::Queue)
}

/// While connecting.
pub fn connect(cause: Cause) -> (EndedBy, EndedIn) {
    (by(cause), EndedIn::Connect)
}

/// While the response's head was waited for.
pub fn headers(cause: Cause) -> (EndedBy, EndedIn) {
    (by(cause), EndedIn::Headers)
}

/// While data were passed on.
pub fn data(cause: Cause) -> (EndedBy, EndedIn) {
    (by(cause), EndedIn::Data)
}
