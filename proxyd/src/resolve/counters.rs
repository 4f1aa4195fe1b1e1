//! Counters of name servers, as `show resolvers` and `show stat` print them.

use super::core::Status;
use super::wire::Fault;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less: what was counted did not happen.
    pub fn take_back(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// How many.
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters of one name server.
#[derive(Debug, Default)]
pub struct Counters {
    /// Questions sent.
    pub sent: Count,
    /// Questions that could not be sent.
    pub send_error: Count,
    /// Good answers.
    pub valid: Count,
    /// Addresses of servers changed.
    pub update: Count,
    /// Aliases without an address.
    pub alias_error: Count,
    /// Answers without records.
    pub empty: Count,
    /// Names that are not there.
    pub nx: Count,
    /// Refusals.
    pub refused: Count,
    /// Other error codes.
    pub other: Count,
    /// Messages that are no answers.
    pub invalid: Count,
    /// Messages larger than accepted.
    pub too_big: Count,
    /// Answers that were cut off.
    pub truncated: Count,
    /// Answers to questions that are no longer open.
    pub outdated: Count,
}

impl Counters {
    /// Counts a bad answer; gives how a resolution ends that it is the last one of.
    pub fn fault(&self, fault: Fault) -> Status {
        let (count, status) = match fault {
            Fault::Invalid => (&self.invalid, Status::Other),
            Fault::Truncated => (&self.truncated, Status::Other),
            Fault::Nx => (&self.nx, Status::Nx),
            Fault::Refused => (&self.refused, Status::Refused),
            Fault::Other => (&self.other, Status::Other),
            Fault::Empty => (&self.empty, Status::Other),
            Fault::Alias => (&self.alias_error, Status::Other),
        };
        count.add();
        status
    }

    /// Names and values in the order of the dumps. Two of haproxy's are never counted there, nor here.
    pub fn rows(&self) -> [(&'static str, u64); 15] {
        [
            ("sent", self.sent.read()),
            ("snd_error", self.send_error.read()),
            ("valid", self.valid.read()),
            ("update", self.update.read()),
            ("cname", 0),
            ("cname_error", self.alias_error.read()),
            ("any_err", self.empty.read()),
            ("nx", self.nx.read()),
            ("timeout", 0),
            ("refused", self.refused.read()),
            ("other", self.other.read()),
            ("invalid", self.invalid.read()),
            ("too_big", self.too_big.read()),
            ("truncated", self.truncated.read()),
            ("outdated", self.outdated.read()),
        ]
    }
}
