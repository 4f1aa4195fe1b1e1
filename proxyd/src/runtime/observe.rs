//! `observe`: what live traffic says of a server. Too many errors in a row count as a check that failed.
//!
//! Invariant: only servers whose line says `observe` and `check` are judged here; a good answer ends the row.
//!
//! Absent on purpose: what follows from a failed check (`checks.rs`).

use super::checks;
use crate::config::model::{Observe, OnError, ProxyId, ServerId};
use crate::runtime::Generation;
use health::outcome::Cause;
use health::{Outcome, Status};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// What a stream saw of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It took a connection.
    Connected,
    /// It did not.
    Refused,
    /// It answered with this status.
    Answered(u16),
    /// It answered with something that is no HTTP.
    Invalid,
    /// Its connection broke before an answer.
    Broken,
    /// It did not answer in time.
    Silent,
    /// It closed before an answer.
    Closed,
}

impl Seen {
    /// In words, and what it means at layer 4 and at layer 7: good, bad, nothing.
    fn verdict(self) -> (&'static str, Option<bool>, Option<bool>) {
        match self {
            Self::Connected => ("L4 successful connection", Some(true), None),
            Self::Refused => ("L4 unsuccessful connection", Some(false), Some(false)),
            Self::Answered(100..=499 | 501 | 505) => ("Correct http response", None, Some(true)),
            Self::Answered(_) => ("Wrong http response", None, Some(false)),
            Self::Invalid => ("Invalid http response (headers)", None, Some(false)),
            Self::Broken => ("Read error (http)", None, Some(false)),
            Self::Silent => ("Read timeout (http)", None, Some(false)),
            Self::Closed => ("Close from server (http)", None, Some(false)),
        }
    }
}

/// Takes what a stream saw.
pub fn seen(generation: &Arc<Generation>, at: (ProxyId, ServerId), seen: Seen) {
    let settings = &generation.proxy(at.0).servers[at.1.0];
    if settings.observe == Observe::No || !settings.check.enabled {
        return;
    }
    let (text, layer4, layer7) = seen.verdict();
    let good = if settings.observe == Observe::Layer4 { layer4 } else { layer7 };
    let state = generation.server(at.0, at.1);
    let Some(good) = good else { return };
    if good {
        state.errors.store(0, Relaxed);
        return;
    }
    let errors = state.errors.fetch_add(1, Relaxed) + 1;
    if errors < settings.error_limit {
        return;
    }
    state.errors.store(0, Relaxed);
    state.suspicion.hurry();
    {
        let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
        detail.failed_hana += 1;
        let rise = detail.check.rise;
        match settings.on_error {
            OnError::Fastinter => return,
            OnError::FailCheck => {}
            OnError::SuddenDeath => detail.check.health = detail.check.health.min(rise + 1),
            OnError::MarkDown => detail.check.health = rise,
        }
    }
    let text = format!("Detected {errors} consecutive errors, last one was: {text}");
    let outcome = Outcome::new(Status::Analysis, Cause::default()).described(text);
    checks::judge_observed(generation, at, &outcome);
}
