//! Slow start: a server that comes back gets its weight and its limit of sessions step by step.
//!
//! Invariant: a server is in state starting exactly while its ramp is below full.

use super::Generation;
use super::board::{ServerState, oper};
use crate::balance::turns::PARTS;
use crate::config::model::{ProxyId, ServerId};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// Steps of a ramp at most; each takes a second at least.
const STEPS: u64 = 20;

/// The state of a server that comes up: starting where its line asks for a slow start.
pub fn begin(generation: &Generation, at: (ProxyId, ServerId)) -> u32 {
    let Some(time) = generation.proxy(at.0).servers[at.1.0].slowstart.filter(|t| !t.is_zero()) else {
        return oper::RUNNING;
    };
    let state = generation.server(at.0, at.1);
    let now = generation.board.clock().mono_ms;
    {
        let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
        detail.slowstart = Some((now, now + time.as_millis() as u64));
    }
    state.ramp.store(1, Relaxed);
    state.ramp_percent.store(1, Relaxed);
    oper::STARTING
}

/// Ends a ramp: the server went down, or is through.
pub fn end(state: &ServerState) {
    if state.ramp.swap(0, Relaxed) > 0 {
        state.ramp_percent.store(0, Relaxed);
        state.detail.lock().unwrap_or_else(PoisonError::into_inner).slowstart = None;
    }
}

/// Moves all ramps on.
pub fn step(generation: &Generation) {
    let now = generation.board.clock().mono_ms;
    for (settings, states) in generation.config.proxies.iter().zip(&generation.servers) {
        for (_, state) in settings.servers.iter().zip(states).filter(|(s, _)| s.slowstart.is_some()) {
            if state.oper.load(Relaxed) == oper::STARTING {
                one(state, now);
            }
        }
    }
}

fn one(state: &ServerState, now: u64) {
    let ramp = state.detail.lock().unwrap_or_else(PoisonError::into_inner).slowstart;
    let (begin, end_ms) = ramp.unwrap_or((0, 0));
    if now >= end_ms {
        // Only from starting: the server may have gone down meanwhile.
        let _ = state.oper.compare_exchange(oper::STARTING, oper::RUNNING, Relaxed, Relaxed);
        return end(state);
    }
    let seconds = (end_ms - begin).div_ceil(1000);
    let tick = (seconds / STEPS).max(1);
    let passed = (now - begin) / 1000 / tick * tick;
    let parts = (u64::from(PARTS) * passed + seconds) / seconds;
    state.ramp.store(parts.clamp(1, u64::from(PARTS)) as u32, Relaxed);
    state.ramp_percent.store((100 * passed / seconds).clamp(1, 100) as u32, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_rises_by_the_second_and_ends() {
        let state = ServerState::default();
        state.oper.store(oper::STARTING, Relaxed);
        state.ramp.store(1, Relaxed);
        state.detail.lock().expect("unpoisoned").slowstart = Some((1000, 11_000));
        let mut seen = Vec::new();
        for now in (1000..=11_000).step_by(2500) {
            one(&state, now);
            seen.push((state.ramp(), state.slow_start_percent(), state.oper.load(Relaxed)));
        }
        let starting = |parts, percent| (parts, Some(percent), oper::STARTING);
        assert_eq!(
            seen,
            [
                starting(1, 1),
                starting(4, 20),
                starting(9, 50),
                starting(12, 70),
                (PARTS, None, oper::RUNNING)
            ]
        );
    }
}
