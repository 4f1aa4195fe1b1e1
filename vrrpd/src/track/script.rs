//! `vrrp_script`: runs at its interval, judged by rise and fall; and ahead of its time when a proxyd of this host
//! ended.
//!
//! Invariant: one run of a script at a time, each with a deadline; the first result decides at once, later ones need
//! `rise` or `fall` in a row. A run ahead of time moves the next one to a whole interval behind it, and there is one in an
//! interval at most, so what needs several failures takes nearly as long as it always does. Absent on purpose: what the
//! result does to an instance (core/).

use super::Report;
use crate::config::model::Script;
use crate::messages::Message;
use exec::{Outcome, Owner, Program};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::{Instant, Interval};

/// How long a proxyd that went may take to be there again before the scripts look: about what a restart takes. A
/// process that ends needs some of it to be gone from /proc.
const RESTARTED_WITHIN: Duration = Duration::from_millis(300);

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

/// When the next run is due: at the interval's beat, or soon after a proxyd was lost.
struct Beat {
    ticks: Interval,
    lost: watch::Receiver<u64>,
    /// The last run ahead of time.
    ahead: Option<Instant>,
}

impl Beat {
    fn new(interval: Duration, mut lost: watch::Receiver<u64>) -> Self {
        lost.mark_unchanged();
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        Self { ticks, lost, ahead: None }
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => return,
                () = changed(&mut self.lost) => {}
            }
            if self.ahead.is_some_and(|at| at.elapsed() < self.ticks.period()) {
                continue;
            }
            tokio::select! {
                _ = self.ticks.tick() => {}
                () = tokio::time::sleep(RESTARTED_WITHIN) => {
                    self.ahead = Some(Instant::now());
                    self.ticks.reset();
                }
            }
            return;
        }
    }
}

/// Waits for the next change; for ever when none can come.
async fn changed(lost: &mut watch::Receiver<u64>) {
    if lost.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs the script for ever. `known`: its state before a reload; `lost` changes when a proxyd of this host ends.
pub async fn run(script: Script, known: Option<bool>, lost: watch::Receiver<u64>, out: Sender<Report>) {
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
    // A script that was never run is taken for good.
    let mut status = 0;
    let mut beat = Beat::new(script.interval, lost);
    loop {
        beat.next().await;
        let outcome = program.run(Some(limit)).await;
        let (good, now, cause) = match &outcome {
            Outcome::Exited(0) => (true, 0, None),
            Outcome::Exited(code) => (false, *code, Some(format!("exited with status {code}"))),
            Outcome::Signalled(signal) => (false, -*signal, Some(format!("due to signal {signal}"))),
            Outcome::TimedOut => (false, i32::MIN, Some("timed_out".into())),
            Outcome::Failed(_) => (false, 126, Some("exited with status 126".into())),
        };
        let mut reports = Vec::new();
        if status != now {
            reports.push(Report::Say(match outcome {
                Outcome::TimedOut => Message::ScriptTimeout { name: script.name.clone() },
                _ => Message::ScriptReturns { name: script.name.clone(), status: now },
            }));
        }
        status = now;
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

    /// Milliseconds at which runs are due, with losses at the given times.
    fn beats(interval_ms: u64, losses: &'static [u64], until: u64) -> Vec<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async move {
            let (lose, lost) = watch::channel(0);
            let begin = Instant::now();
            tokio::spawn(async move {
                for at in losses {
                    tokio::time::sleep_until(begin + Duration::from_millis(*at)).await;
                    lose.send_modify(|n| *n += 1);
                }
            });
            let mut beat = Beat::new(Duration::from_millis(interval_ms), lost);
            let mut due = Vec::new();
            loop {
                beat.next().await;
                let at = begin.elapsed().as_millis() as u64;
                if at > until {
                    return due;
                }
                due.push(at);
            }
        })
    }

    #[test]
    fn a_lost_proxy_brings_one_run_ahead_of_its_time() {
        assert_eq!(beats(2000, &[], 6000), [0, 2000, 4000, 6000]);
        // 0.3 s behind the loss, and from there on at the interval: three failures in a row still need two of it.
        assert_eq!(beats(2000, &[2500], 8000), [0, 2000, 2800, 4800, 6800]);
        // The beat comes first.
        assert_eq!(beats(2000, &[1900], 6000), [0, 2000, 4000, 6000]);
        assert_eq!(beats(200, &[250], 800), [0, 200, 400, 600, 800]);
        // A proxy that crashes again and again makes no more runs than one in an interval.
        assert_eq!(beats(2000, &[2500, 2900, 3300, 3700, 4100], 5000), [0, 2000, 2800, 4800]);
        assert_eq!(beats(2000, &[500, 2900], 6000), [0, 800, 2800, 3200, 5200]);
    }

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
