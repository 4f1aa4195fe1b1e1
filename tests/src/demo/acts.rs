//! The acts: what is done to the pair, one after another, and the table of what the client saw.
//!
//! Invariant: an act begins with the pair whole and the client served, and is not over before that is so again
//! or its patience ends; the table says which.

use std::time::{Duration, Instant};

use crate::Fallible;
use crate::client::{Client, Figures};
use crate::stage::Stage;
use crate::timeline::say;

/// The host that holds the address while all is well, and the other one.
const FRED: usize = 0;
const ETHYL: usize = 1;
/// Longest wait for a move of the address; twice what the rules of VRRP and a 2 s check give.
const PATIENCE: Duration = Duration::from_secs(10);
/// Width of the closing table.
const TABLE_COLUMNS: usize = 80;
/// A look at the calm after an act.
const CALM: Duration = Duration::from_millis(1500);

/// What an act came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: &'static str,
    /// From the deed to the address on the other host; `None` when it was not meant to move or did not.
    moved: Option<Duration>,
    /// Whether the address was meant to move.
    moves: bool,
    figures: Figures,
}

type Deed = fn(&Stage) -> Fallible<()>;

/// An act: title, what is done, where the address is expected afterwards.
struct Act {
    name: &'static str,
    deed: Deed,
    holder: usize,
    moves: bool,
}

/// All of them, in order.
const ACTS: [Act; 9] = [
    Act { name: "proxy killed (-9) on fred", deed: kill_proxy, holder: ETHYL, moves: true },
    Act { name: "proxy started again", deed: |s| s.start_proxy(FRED, false), holder: FRED, moves: true },
    Act { name: "vrrp process killed (-9) on fred", deed: kill_vrrp, holder: FRED, moves: false },
    Act { name: "cable of fred pulled", deed: cut, holder: ETHYL, moves: true },
    Act { name: "cable plugged in again", deed: heal, holder: FRED, moves: true },
    Act { name: "both daemons reloaded on fred", deed: reload, holder: FRED, moves: false },
    Act { name: "fred taken out for an upgrade", deed: take_out, holder: ETHYL, moves: true },
    Act { name: "new programs started on fred", deed: put_back, holder: FRED, moves: true },
    Act { name: "quiet", deed: |_| Ok(()), holder: FRED, moves: false },
];

/// Plays everything.
pub(crate) fn play(stage: &Stage) -> Fallible<Vec<Outcome>> {
    let begin = Instant::now();
    stage.timeline.tell("proxy and keepalived start on fred and ethyl");
    for host in [FRED, ETHYL] {
        stage.start_proxy(host, false)?;
    }
    for host in [FRED, ETHYL] {
        stage.start_keepalived(host)?;
    }
    if !stage.wait_holder(FRED, PATIENCE) {
        return Err("fred did not get the virtual address".into());
    }
    let client = stage.ask();
    settle(stage, &client, FRED, true);
    let hopeful = client.is_served();
    if !hopeful {
        stage.timeline.tell("  these files give the client no answer; nothing waits for one");
    }
    let moved = stage.timeline.moves(begin).first().map(|m| m.at.saturating_duration_since(begin));
    let calm = Instant::now();
    std::thread::sleep(CALM);
    let figures = client.figures(calm, Instant::now());
    let mut outcomes = vec![Outcome { name: "start of both hosts", moved, moves: true, figures }];
    for act in ACTS {
        outcomes.push(perform(stage, &client, &act, hopeful)?);
    }
    client.stop();
    stage.timeline.close();
    Ok(outcomes)
}

fn perform(stage: &Stage, client: &Client, act: &Act, hopeful: bool) -> Fallible<Outcome> {
    stage.timeline.tell(&format!("* {}", act.name));
    let from = Instant::now();
    (act.deed)(stage)?;
    settle(stage, client, act.holder, hopeful);
    std::thread::sleep(CALM);
    let to = Instant::now();
    let figures = client.figures(from, to);
    // The first host that got it: with a process that comes back by itself that is the other one.
    let moves = stage.timeline.moves(from);
    let moved = moves.iter().find(|m| m.got).map(|m| m.at.saturating_duration_since(from));
    Ok(Outcome { name: act.name, moved, moves: act.moves, figures })
}

/// Waits until the address is where it belongs and the client is served, if there is hope that it will be.
fn settle(stage: &Stage, client: &Client, holder: usize, hopeful: bool) {
    // Something may still be on its way to happen: a supervisor that starts a process again, a check that fails.
    std::thread::sleep(CALM);
    stage.wait_holder(holder, PATIENCE);
    if hopeful {
        holdfast_tests::netns::wait_for(PATIENCE, || client.is_served().then_some(()));
    }
}

fn kill_proxy(stage: &Stage) -> Fallible<()> {
    stage.on(FRED, "kill -9 $(pgrep -x haproxy)");
    Ok(())
}

fn kill_vrrp(stage: &Stage) -> Fallible<()> {
    stage.on(FRED, "kill -9 $(cat /run/vrrp.pid /run/keepalived/vrrp.pid 2>/dev/null)");
    Ok(())
}

fn cut(stage: &Stage) -> Fallible<()> {
    stage.balancers[FRED].ports.iter().for_each(holdfast_tests::netns::Port::cut);
    Ok(())
}

fn heal(stage: &Stage) -> Fallible<()> {
    stage.balancers[FRED].ports.iter().for_each(holdfast_tests::netns::Port::heal);
    Ok(())
}

fn reload(stage: &Stage) -> Fallible<()> {
    stage.on(FRED, "kill -HUP $(cat /run/keepalived.pid)");
    stage.start_proxy(FRED, true)
}

fn take_out(stage: &Stage) -> Fallible<()> {
    stage.on(
        FRED,
        "kill -TERM $(cat /run/keepalived.pid); while pgrep -x keepalived >/dev/null; do sleep 0.02; done",
    );
    stage.on(FRED, "kill -USR1 $(pgrep -x haproxy); sleep 0.3; kill -TERM $(pgrep -x haproxy)");
    Ok(())
}

fn put_back(stage: &Stage) -> Fallible<()> {
    stage.start_proxy(FRED, false)?;
    stage.start_keepalived(FRED)
}

fn seconds(duration: Duration) -> String {
    if duration.is_zero() { "-".to_owned() } else { format!("{:.2} s", duration.as_secs_f64()) }
}

/// Prints what the client saw, in lines that fit a terminal of 80 columns.
pub(crate) fn closing_table(stage: &Stage, outcomes: &[Outcome]) {
    let line = |cells: [&str; 6]| {
        let [name, moved, outage, dark, failed, median] = cells;
        say(&format!("{name:<32}{moved:>10}{outage:>8}{dark:>9}{failed:>13}{median:>8}"));
    };
    say("");
    line(["What happened", "moved in", "outage", "silence", "failed", "median"]);
    say(&"-".repeat(TABLE_COLUMNS));
    for outcome in outcomes {
        let figures = outcome.figures;
        let moved = match (outcome.moved, outcome.moves) {
            (Some(after), _) => seconds(after),
            (None, true) => "NOT MOVED".to_owned(),
            (None, false) => "stayed".to_owned(),
        };
        let median = match figures.median {
            Duration::ZERO => "-".to_owned(),
            median => format!("{:.1} ms", median.as_secs_f64() * 1000.0),
        };
        line([
            outcome.name,
            &moved,
            &seconds(figures.outage),
            &seconds(figures.dark),
            &format!("{} of {}", figures.failed, figures.sent),
            &median,
        ]);
    }
    say("");
    say(&format!(
        "The client asked {} {} times a second, a new connection each,",
        stage.vip,
        crate::client::RATE
    ));
    say(&format!("and gave an answer {} s.", crate::client::TIMEOUT.as_secs()));
    say("moved in: until a host newly held the address; outage: from the first failed");
    say("request to the first good one behind the last failure; silence: the longest");
    say("time without an answer.");
}
