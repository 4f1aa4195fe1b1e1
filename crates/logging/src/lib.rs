//! What a daemon says, in three channels that never mix.
//!
//! - **contract**: lines that people grep for and the oracles print too; only `messages.rs` of a daemon makes
//!   them, [`Contract`] carries them to syslog and the console.
//! - **access**: proxyd's traffic lines; `log/format.rs` makes the bytes, [`syslog::Header`] and [`sink::Sink`]
//!   carry them, one `Header` per core because it caches the rendered second.
//! - **trace**: free text for developers by `tracing`, off unless asked for, never tested ([`trace`]).
//!
//! Invariant: sending never blocks the caller. A full or missing receiver costs the line, and the loss is
//! counted ([`sink::Sink::dropped`]); the next line tries again, so a restarted syslogd is found by itself.
//!
//! Absent on purpose: queues and a writer thread. They would only move the moment of loss, and add memory.

pub mod contract;
pub mod sink;
pub mod syslog;

pub use contract::Contract;
pub use sink::{Sink, Target};
pub use syslog::{Facility, Format, Header, Severity};

/// Switches the trace channel on when `HOLDFAST_TRACE` is set (in `tracing`'s filter syntax, e.g. `proxyd=debug`);
/// it writes to stderr. Without the variable nothing happens and trace points cost a load and a branch.
pub fn trace() {
    if let Ok(filter) = std::env::var("HOLDFAST_TRACE") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        // A second call (tests) finds a subscriber in place; the first one stays.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
