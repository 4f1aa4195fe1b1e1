//! `vrrp_script`: runs at its interval, judged by rise and fall.
//!
//! Invariant: one run of a script at a time, each with a deadline; the first result decides at once, later ones need
//! `rise` or `fall` in a row. Absent on purpose: what the result does to an instance (core/).

use super::Report;
use crate::config::model::Script;
use crate::messages::Message;
use exec::{Outcome, Owner, Program};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Counts results in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    rise: u32,
    fall: u32,
    up: Option<bool>,
    row: u32,
}

impl Judge {
    /// Knows nothing, or starts from what was known before a reload.
    pub fn new(rise: u32, fall: u32, up: Option<bool>) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), up, row: 0 }
    }

    /// Takes a result; the judgement when it changes.
    pub fn result(&mut self, good: bool) -> Option<bool> {
        let need = if good { self.rise } else { self.fall };
        match self.up {
            Some(up) if up == good => {
                self.row = 0;
                return None;
            }
            Some(_) if self.row + 1 < need => {
                self.row += 1;
                return None;
            }
            Some(_) | None => {}
        }
        self.row = 0;
        self.up = Some(good);
        self.up
    }
}

/// The program of a model's command.
pub fn program(command: &crate::config::model::Command, more: &[String]) -> Program {
    let mut program = Program::new(command.argv.iter().chain(more).cloned());
    program.owner = command.user.as_ref().map(|u| Owner { uid: u.uid, gid: u.gid });
    program
}

/// Runs the script for ever. `known`: its state before a reload.
pub async fn run(script: Script, known: Option<bool>, out: Sender<Report>) {
    let program = program(&script.command, &[]);
    let limit = script.timeout.unwrap_or(script.interval);
    let start = known.or(script.init_fail.then_some(false));
    let mut judge = Judge::new(script.rise, script.fall, start);
    if let (None, Some(up)) = (known, start) {
        // Nobody listens any more: the daemon ends.
        if out.send(Report::Script(script.name.clone(), up)).await.is_err() {
            return;
        }
    }
    let mut status = None;
    let mut ticks = tokio::time::interval(script.interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let outcome = program.run(Some(limit)).await;
        let (good, now, cause) = match &outcome {
            Outcome::Exited(0) => (true, 0, None),
            Outcome::Exited(code) => (false, *code, Some(format!("exited with status {code}"))),
            Outcome::Signalled(signal) => (false, -*signal, Some(format!("due to signal {signal}"))),
            Outcome::TimedOut => (false, i32::MIN, Some("timed_out".into())),
            Outcome::Failed(_) => (false, 126, Some("exited with status 126".into())),
        };
        let mut reports = Vec::new();
        if status.is_some_and(|before| before != now) {
            reports.push(Report::Say(match outcome {
                Outcome::TimedOut => Message::ScriptTimeout { name: script.name.clone() },
                _ => Message::ScriptReturns { name: script.name.clone(), status: now },
            }));
        }
        status = Some(now);
        if let Some(up) = judge.result(good) {
            reports.push(Report::Say(Message::ScriptState { name: script.name.clone(), up, cause }));
            reports.push(Report::Script(script.name.clone(), up));
        }
        for report in reports {
            if out.send(report).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_result_decides_and_later_ones_need_a_row() {
        let mut judge = Judge::new(2, 3, None);
        assert_eq!(judge.result(true), Some(true));
        assert_eq!(judge.result(false), None);
        assert_eq!(judge.result(false), None);
        assert_eq!(judge.result(true), None);
        assert_eq!(judge.result(false), None);
        assert_eq!(judge.result(false), None);
        assert_eq!(judge.result(false), Some(false));
        assert_eq!(judge.result(true), None);
        assert_eq!(judge.result(true), Some(true));
        assert_eq!(Judge::new(1, 1, None).result(false), Some(false));
        assert_eq!(Judge::new(1, 1, Some(false)).result(false), None);
    }
}
