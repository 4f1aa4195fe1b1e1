//! What happens in a stream, counted in the stick table entries it tracks.
//!
//! Invariant: an entry that the stream tracks under a number hides the connection's own of that number.
//!
//! Absent on purpose: counting while data still flows; bytes are added when the stream ends.

use super::accept::Client;
use super::ending::Cause;
use super::http::Exchange;
use crate::runtime::clock;
use crate::stick::Tracked;
use std::time::Instant;

/// The connection is accepted by the rules of layers 4 and 5.
pub fn session(client: &Client) {
    client.session.tracked.iter().flatten().for_each(|t| t.session(clock::now()));
}

impl Exchange<'_, '_> {
    fn tracked(&self, count: impl Fn(&Tracked, Instant)) {
        let (of_stream, of_client) = (&self.parts.txn.tracked, &self.client.session.tracked);
        if of_stream.is_empty() && of_client.is_empty() {
            return;
        }
        let at = |list: &'_ [Option<Tracked>], slot: usize| list.get(slot).is_some_and(Option::is_some);
        let hidden = |slot: usize| at(of_stream, slot);
        let own = of_client.iter().enumerate().filter(|(slot, _)| !hidden(*slot)).map(|(_, t)| t);
        let now = clock::now();
        of_stream.iter().chain(own).flatten().for_each(|t| count(t, now));
    }

    /// A request came. What rules that see the request track counts it with its begin.
    pub(super) fn track_request(&self) {
        self.tracked(Tracked::request);
    }

    /// What came was no request.
    pub(super) fn track_bad_request(&self, cause: Cause) {
        if self.parts.txn.times.request.is_none() {
            self.tracked(Tracked::request);
        }
        if cause != Cause::ClientTimeout {
            self.tracked(Tracked::client_error);
        }
    }

    /// A rule refused the request.
    pub(super) fn track_denied(&self) {
        self.tracked(Tracked::client_error);
    }

    /// The server answered. Two statuses above 500 are about the request.
    pub(super) fn track_status(&self, status: u16) {
        match status {
            400..=499 => self.tracked(Tracked::client_error),
            501 | 505 => {}
            500..=599 => self.tracked(Tracked::server_error),
            _ => {}
        }
    }

    /// The server gave no answer to the request it had.
    pub(super) fn track_failed_response(&self) {
        self.tracked(Tracked::server_error);
    }

    /// The stream ends.
    pub(super) fn track_bytes(&self) {
        let txn = &self.parts.txn;
        self.tracked(|t, now| {
            t.bytes_in(txn.bytes_in, now);
            t.bytes_out(txn.bytes_out, now);
        });
    }
}
