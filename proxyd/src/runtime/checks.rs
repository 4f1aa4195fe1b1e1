//! Health and agent checks of all servers: probes by `health`, judged here, written onto the board.
//!
//! One thread of its own runs them, so that no probe takes time from traffic. A new generation starts them anew;
//! the counters on the board go on.
//!
//! Invariant: a server's state is changed by `transitions` only, and by one task at a time.
//!
//! Absent on purpose: what a probe does (`check_spec.rs` says it, `health` does it).

use super::board::{CheckState, ServerState, oper};
use super::check_spec;
use super::engine::Engine;
use super::timers::Why;
use super::transitions::{self, Cause, Wanted};
use crate::config::model::{ProxyId, ServerId};
use crate::delegate::{Desk, Seat};
use crate::runtime::Generation;
use health::judge::Judge;
use health::outcome::{AdminWish, OperationWish, Verdict};
use health::schedule::Intervals;
use health::{Outcome, Spec};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often a new generation, or the end, is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts the thread that runs the checks, for as long as the engine lives.
pub fn start(engine: &Arc<Engine>) -> std::io::Result<JoinHandle<()>> {
    let engine = Arc::clone(engine);
    std::thread::Builder::new().name("proxyd/checks".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(supervise(engine));
    })
}

async fn supervise(engine: Arc<Engine>) {
    while !engine.is_ended() {
        let generation = engine.generation.load_full();
        let mut tasks = begin(&generation);
        while !engine.is_ended() && engine.generation.load().number == generation.number {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
    }
}

/// Starts one task for each check.
fn begin(generation: &Arc<Generation>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let all = || {
        let proxies = generation.config.proxies.iter().enumerate();
        proxies.flat_map(|(p, proxy)| (0..proxy.servers.len()).map(move |s| (ProxyId(p), ServerId(s))))
    };
    let settings = |at: (ProxyId, ServerId)| &generation.proxy(at.0).servers[at.1.0];
    let checked: Vec<_> = all()
        .filter(|at| {
            settings(*at).check.enabled && settings(*at).track.is_none() && !generation.proxy(at.0).disabled
        })
        .collect();
    let smallest = checked.iter().map(|at| settings(*at).check.inter).min().unwrap_or(Duration::from_secs(2));
    let desk = Desk::open(checked.len());
    for (i, at) in checked.iter().enumerate() {
        let first = Intervals::first(i, checked.len(), smallest, None);
        let name = (generation.proxy(at.0).name.as_str(), settings(*at).name.as_str());
        let timeouts = &generation.proxy(at.0).timeouts;
        let inter = settings(*at).check.inter;
        let timeout = timeouts.check.unwrap_or(inter) + timeouts.connect.unwrap_or_default().min(inter);
        let seat = desk.as_ref().and_then(|d| d.seat(name, inter, timeout));
        tasks.spawn(health_loop(Arc::clone(generation), *at, first, seat));
    }
    for at in all().filter(|at| settings(*at).agent.enabled) {
        tasks.spawn(agent_loop(Arc::clone(generation), at));
    }
    tasks
}

/// Probes a server for ever: here, or at `seat`'s word in checkd; judged here either way.
async fn health_loop(
    generation: Arc<Generation>,
    at: (ProxyId, ServerId),
    first: Duration,
    mut seat: Option<Seat>,
) {
    let proxy = generation.proxy(at.0);
    let server = &proxy.servers[at.1.0];
    let state = generation.server(at.0, at.1);
    let spread = generation.config.global.spread_checks.unsigned_abs();
    let intervals = check_spec::intervals(proxy, server, spread);
    let wanted = || with(state, |d| d.check.enabled && !d.check.paused) && !state.in_maintenance();
    let judge = || with(state, |d| Judge::with_health(d.check.rise, d.check.fall, d.check.health));
    let mut slot = Instant::now() + first;
    loop {
        while let Some(outcome) = before(slot, seat.as_mut()).await {
            if wanted() {
                let changed = record(state, &outcome, |d| &mut d.check);
                judge_health(&generation, at, &outcome, changed);
            }
        }
        let started = Instant::now();
        if let Some(spec) = check_spec::health(&generation.config, proxy, server, state) {
            if let Some(seat) = &mut seat {
                seat.spec(&spec, intervals.of(judge().pace()));
            }
            if wanted() && !seat.as_ref().is_some_and(Seat::is_remote) {
                let (outcome, changed) = probe(state, &spec, |d| &mut d.check).await;
                judge_health(&generation, at, &outcome, changed);
            }
        }
        slot = started + intervals.next(&judge(), random(started));
    }
}

/// The next outcome from checkd; `None` once the slot has come.
async fn before(slot: Instant, seat: Option<&mut Seat>) -> Option<Outcome> {
    let Some(seat) = seat else {
        sansio::driver::sleep_until(Some(slot)).await;
        return None;
    };
    loop {
        tokio::select! {
            () = sansio::driver::sleep_until(Some(slot)) => return None,
            outcome = seat.next() => if outcome.is_some() {
                return outcome;
            },
        }
    }
}

/// Enough randomness to spread checks: the nanoseconds of the clock.
fn random(now: Instant) -> u32 {
    let _ = now;
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos())
}

async fn probe(
    state: &ServerState,
    spec: &Spec,
    which: fn(&mut super::board::ServerDetail) -> &mut CheckState,
) -> (Outcome, bool) {
    with(state, |d| which(d).running = true);
    let outcome = health::run(spec).await;
    let changed = record(state, &outcome, which);
    (outcome, changed)
}

/// Puts an outcome on the board; whether its status is another than the last.
fn record(
    state: &ServerState,
    outcome: &Outcome,
    which: fn(&mut super::board::ServerDetail) -> &mut CheckState,
) -> bool {
    with(state, |d| {
        let check = which(d);
        let changed = check.status != outcome.status.name();
        check.running = false;
        check.status = outcome.status.name();
        check.status_text = outcome.status.text();
        check.code = outcome.status.has_code().then_some(outcome.code);
        check.duration_ms = Some(outcome.duration.as_millis() as u64);
        check.description.clone_from(&outcome.description);
        changed
    })
}

fn with<T>(state: &ServerState, f: impl FnOnce(&mut super::board::ServerDetail) -> T) -> T {
    f(&mut state.detail.lock().unwrap_or_else(PoisonError::into_inner))
}

fn cause(outcome: &Outcome) -> Cause {
    Cause::Check {
        status: outcome.status.text().to_owned(),
        code: outcome.status.has_code().then_some(outcome.code),
        info: outcome.description.clone(),
        duration_ms: Some(outcome.duration.as_millis() as u64),
    }
}

fn judge_health(generation: &Arc<Generation>, at: (ProxyId, ServerId), outcome: &Outcome, changed: bool) {
    let state = generation.server(at.0, at.1);
    let verdict = outcome.status.verdict();
    let (up, before, progress) = with(state, |d| {
        let mut judge = Judge::with_health(d.check.rise, d.check.fall, d.check.health);
        if verdict == Verdict::Failed && judge.is_up() {
            d.failed_checks += 1;
        }
        let before = judge.health();
        judge.judge(verdict);
        d.check.health = judge.health();
        state.health.store(judge.health(), Relaxed);
        (judge.is_up(), before, judge.progress())
    });
    let logged = generation.proxy(at.0).options.log_health_checks;
    if logged && verdict != Verdict::Unknown && (changed || before != state.health.load(Relaxed)) {
        tell(generation, &[told(generation, at, outcome, up, progress)]);
    }
    let wanted = match (up, verdict) {
        (false, _) => oper::STOPPED,
        (true, Verdict::Conditional) => oper::STOPPING,
        // An agent that says down outweighs a good check.
        (true, _) if agent_says_down(state) => oper::STOPPED,
        (true, _) => oper::RUNNING,
    };
    let why = if logged { Cause::Told } else { cause(outcome) };
    apply(generation, at, wanted, &why);
}

/// `option log-health-checks`: one line for a check whose status or effect is new.
fn told(
    generation: &Generation,
    at: (ProxyId, ServerId),
    outcome: &Outcome,
    up: bool,
    (done, of): (u32, u32),
) -> transitions::Notice {
    let proxy = generation.proxy(at.0);
    let server = &proxy.servers[at.1.0];
    let result = match outcome.status.verdict() {
        Verdict::Conditional => "conditionally succeeded",
        Verdict::Passed => "succeeded",
        _ => "failed",
    };
    let text = format!(
        "Health check for {}server {}/{} {result}{}, status: {done}/{of} {}.",
        if server.backup { "backup " } else { "" },
        proxy.name,
        server.name,
        cause(outcome).text(""),
        if up { "UP" } else { "DOWN" },
    );
    transitions::Notice { level: transitions::Level::Notice, proxy: at.0, stderr: text.clone(), log: text }
}

fn agent_says_down(state: &ServerState) -> bool {
    with(state, |d| d.agent.enabled && d.agent.health < d.agent.rise)
}

/// Puts a state into force and tells it.
fn apply(generation: &Arc<Generation>, at: (ProxyId, ServerId), wanted: u32, cause: &Cause) {
    let state = generation.server(at.0, at.1);
    let was = state.oper.load(Relaxed);
    // Slow start counts as running until its time is over.
    if was == wanted || (was == oper::STARTING && wanted == oper::RUNNING) {
        return;
    }
    let mut notices = Vec::new();
    if !transitions::set_oper(generation, at.0, at.1, wanted, cause, &mut notices) {
        return;
    }
    tell(generation, &notices);
    let settings = &generation.proxy(at.0).servers[at.1.0];
    if wanted == oper::STOPPED && settings.on_marked_down_shutdown {
        generation.board.streams.kill_server(at, Why::Down);
    }
    if wanted == oper::RUNNING && settings.on_marked_up_shutdown_backup {
        let proxy = generation.proxy(at.0);
        for (i, backup) in proxy.servers.iter().enumerate() {
            if backup.backup {
                generation.board.streams.kill_server((at.0, ServerId(i)), Why::Up);
            }
        }
    }
}

fn tell(generation: &Generation, notices: &[transitions::Notice]) {
    crate::log::notices(generation, notices);
    crate::log::on_stderr(notices);
}

async fn agent_loop(generation: Arc<Generation>, at: (ProxyId, ServerId)) {
    let server = &generation.proxy(at.0).servers[at.1.0];
    let state = generation.server(at.0, at.1);
    let every = server.agent.inter.unwrap_or(server.check.inter);
    loop {
        let started = Instant::now();
        if with(state, |d| d.agent.enabled)
            && let Some(spec) = check_spec::agent(server, state)
        {
            let (outcome, _) = probe(state, &spec, |d| &mut d.agent).await;
            judge_agent(&generation, at, &outcome);
        }
        tokio::time::sleep(every.saturating_sub(started.elapsed())).await;
    }
}

fn judge_agent(generation: &Arc<Generation>, at: (ProxyId, ServerId), outcome: &Outcome) {
    let state = generation.server(at.0, at.1);
    let wish = &outcome.wish;
    if let Some(percent) = wish.weight_percent {
        let weight = u64::from(state.initial_weight.load(Relaxed)) * u64::from(percent) / 100;
        state.user_weight.store(weight.min(256) as u32, Relaxed);
    }
    if let Some(most) = wish.max_connections {
        state.maxconn.store(most, Relaxed);
    }
    if let Some(admin) = wish.admin {
        let wanted = match admin {
            AdminWish::Ready => Wanted::Ready,
            AdminWish::Drain => Wanted::Drain,
            AdminWish::Maint => Wanted::Maint,
        };
        let mut notices = Vec::new();
        transitions::set_admin(generation, at.0, at.1, wanted, &mut notices);
        tell(generation, &notices);
    }
    let Some(operation) = wish.operation else { return };
    let up = operation == OperationWish::Up;
    with(state, |d| d.agent.health = if up { d.agent.rise + d.agent.fall - 1 } else { 0 });
    let checked_up = with(state, |d| !d.check.enabled || d.check.is_passing());
    let wanted = if up && checked_up { oper::RUNNING } else { oper::STOPPED };
    apply(generation, at, wanted, &cause(outcome));
}
