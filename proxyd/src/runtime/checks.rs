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
use super::slowstart;
use super::suspicion::{self, Round, Why};
use super::transitions::{self, Cause, Wanted};
use crate::config::model::{BindAddress, Proxy, ProxyId, Server, ServerId};
use crate::delegate::{Desk, Seat};
use crate::net::arrivals::Arrivals;
use crate::runtime::Generation;
use health::judge::Judge;
use health::outcome::{AdminWish, OperationWish, Verdict};
use health::probe::agent::is_shown_only;
use health::schedule::Intervals;
use health::{Outcome, Spec, Status};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, JoinSet};

/// A server.
type At = (ProxyId, ServerId);

/// How often a new generation, or the end, is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Addresses that come within this belong to one move.
const MOVE_TAKES: Duration = Duration::from_millis(250);

/// Starts the thread that runs the checks, for as long as the engine lives.
pub fn start(engine: &Arc<Engine>) -> std::io::Result<JoinHandle<()>> {
    let engine = Arc::clone(engine);
    std::thread::Builder::new().name("proxyd/checks".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let watching = tokio::spawn(watch_addresses(Arc::clone(&engine)));
            supervise(engine).await;
            watching.abort();
        });
    })
}

async fn supervise(engine: Arc<Engine>) {
    while !engine.is_ended() {
        let generation = engine.generation.load_full();
        let mut running = begin(&generation);
        let mut edits = 0;
        while !engine.is_ended() && engine.generation.load().number == generation.number {
            tokio::time::sleep(LOOK_EVERY).await;
            slowstart::step(&generation);
            let now = generation.board.roster.edits.load(Relaxed);
            if std::mem::replace(&mut edits, now) != now {
                running.follow(&generation);
            }
            // Those that ended with their server are done with.
            while running.tasks.try_join_next().is_some() {}
        }
        running.tasks.abort_all();
        while running.tasks.join_next().await.is_some() {}
    }
}

/// The running checks of each server, and the tenure they began in.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    by_server: HashMap<(ProxyId, ServerId), (u64, Vec<AbortHandle>)>,
}

impl Running {
    fn start(&mut self, generation: &Generation, at: At, check: impl Future<Output = ()> + Send + 'static) {
        let tenure = generation.server(at.0, at.1).tenure.load(Relaxed);
        let handle = self.tasks.spawn(check);
        self.by_server.entry(at).or_insert_with(|| (tenure, Vec::new())).1.push(handle);
    }

    /// Ends the checks of servers that commands deleted, and starts those of servers that commands added.
    fn follow(&mut self, generation: &Arc<Generation>) {
        let is_over = |at: &At, tenure: u64| generation.server(at.0, at.1).tenure.load(Relaxed) != tenure;
        self.by_server.retain(|at, (tenure, handles)| {
            let over = is_over(at, *tenure);
            if over {
                handles.iter().for_each(AbortHandle::abort);
            }
            !over
        });
        for (p, proxy) in generation.config.proxies.iter().enumerate() {
            for (s, server) in proxy.servers.iter().enumerate().filter(|(_, s)| s.added.is_some()) {
                let at = (ProxyId(p), ServerId(s));
                if server.life.is_gone() || self.by_server.contains_key(&at) {
                    continue;
                }
                if server.agent.enabled {
                    self.start(generation, at, agent_loop(Arc::clone(generation), at, Duration::ZERO));
                }
                if is_checked(proxy, server) {
                    self.start(generation, at, Watch::new(generation, at, None).run(Duration::ZERO));
                }
            }
        }
    }
}

fn is_checked(proxy: &Proxy, server: &Server) -> bool {
    server.check.enabled && server.track.is_none() && !proxy.disabled
}

/// A seat at checkd for a server's check.
fn seat(generation: &Generation, at: At, desk: Option<&Arc<Desk>>) -> Option<Seat> {
    let proxy = generation.proxy(at.0);
    let server = &proxy.servers[at.1.0];
    let inter = server.check.inter;
    let timeouts = &proxy.timeouts;
    let timeout = timeouts.check.unwrap_or(inter) + timeouts.connect.unwrap_or_default().min(inter);
    // What the server is told of itself changes with every check: those stay here.
    desk.filter(|_| !proxy.check.send_state)?.seat((&proxy.name, &server.name), inter, timeout)
}

/// Starts one task for each check.
fn begin(generation: &Arc<Generation>) -> Running {
    let mut running = Running::default();
    let all = || {
        let proxies = generation.config.proxies.iter().enumerate();
        proxies.flat_map(|(p, proxy)| (0..proxy.servers.len()).map(move |s| (ProxyId(p), ServerId(s))))
    };
    let settings = |at: (ProxyId, ServerId)| &generation.proxy(at.0).servers[at.1.0];
    let health = |at: &At| is_checked(generation.proxy(at.0), settings(*at));
    let agent = |at: &(ProxyId, ServerId)| settings(*at).agent.enabled;
    let count = all().filter(health).count();
    let starts = count + all().filter(agent).count();
    let most = generation.config.global.max_spread_checks;
    let first = |i: usize, inter: Duration| Intervals::first(i, starts, inter, most);
    let desk = Desk::open(count);
    // Health and agent checks begin in the order of their servers, each within an interval of its own.
    let mut place = 0;
    for at in &all().filter(|at| health(at) || agent(at)).collect::<Vec<_>>() {
        if agent(at) {
            let after = place + usize::from(health(at));
            running.start(
                generation,
                *at,
                agent_loop(Arc::clone(generation), *at, first(after, agent_inter(settings(*at)))),
            );
        }
        let begins = first(place, settings(*at).check.inter);
        place += usize::from(health(at)) + usize::from(agent(at));
        if !health(at) {
            continue;
        }
        let watch = Watch::new(generation, *at, seat(generation, *at, desk.as_ref()));
        running.start(generation, *at, watch.run(begins));
    }
    running
}

/// The health check of one server: probes for ever, here or at the seat's word in checkd; judged here either way.
/// A suspicion makes it probe at once, and a server that was up at a quick pace until it is clear what became of it.
struct Watch {
    generation: Arc<Generation>,
    at: (ProxyId, ServerId),
    intervals: Intervals,
    seat: Option<Seat>,
    round: Option<Round>,
    /// An address came to this host while it was the last of its backend, and it has not answered since.
    spared: bool,
    /// When a refused connection last had it probed.
    hastened: Option<Instant>,
}

impl Watch {
    fn new(generation: &Arc<Generation>, at: (ProxyId, ServerId), seat: Option<Seat>) -> Self {
        let proxy = generation.proxy(at.0);
        let spread = generation.config.global.spread_checks.unsigned_abs();
        let intervals = check_spec::intervals(proxy, &proxy.servers[at.1.0], spread);
        Self {
            generation: Arc::clone(generation),
            at,
            intervals,
            seat,
            round: None,
            spared: false,
            hastened: None,
        }
    }

    async fn run(mut self, first: Duration) {
        let mut slot = Instant::now() + first;
        loop {
            self.wait(slot).await;
            let started = Instant::now();
            let proxy = self.generation.proxy(self.at.0);
            let server = &proxy.servers[self.at.1.0];
            let mut interrupted = false;
            if let Some(spec) = check_spec::health(&self.generation, proxy, server, self.state()) {
                let (spec, every) = match self.quick(started) {
                    Some(round) => {
                        (round.probe(&spec, self.state().suspicion.usual()), Round::pace(&self.intervals))
                    }
                    None => (spec, self.intervals.of(self.judge().pace())),
                };
                if let Some(seat) = &mut self.seat {
                    seat.spec(&spec, every);
                }
                if self.is_wanted() && !self.is_remote() {
                    interrupted = self.probe(&spec).await;
                }
            }
            slot = match self.quick(started) {
                _ if interrupted => started,
                Some(_) => started + Round::pace(&self.intervals),
                // The interval runs from the end of a check, so that one that waited long leaves a pause too.
                None => Instant::now() + self.intervals.next(&self.judge(), random(started)),
            };
        }
    }

    /// Until the slot, or a suspicion that asks for a probe before it; meanwhile judges what checkd says.
    async fn wait(&mut self, mut slot: Instant) {
        loop {
            let generation = Arc::clone(&self.generation);
            let suspicion = &generation.server(self.at.0, self.at.1).suspicion;
            tokio::select! {
                biased;
                () = sansio::driver::sleep_until(Some(slot)) => return,
                why = suspicion.next() => if self.suspect(why) {
                    return;
                },
                () = suspicion.hurried() => if let Some(fast) = self.intervals.fast {
                    slot = slot.min(Instant::now() + fast);
                },
                outcome = heard(self.seat.as_mut()) => {
                    let Some(outcome) = outcome else { continue };
                    let quick = self.quick(Instant::now()).is_some();
                    if self.is_wanted() {
                        let changed = record(self.state(), &outcome, |d| &mut d.check);
                        self.take(&outcome, changed);
                    }
                    if quick && self.quick(Instant::now()).is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Probes here; whether a suspicion came between that wants to probe otherwise.
    async fn probe(&mut self, spec: &Spec) -> bool {
        let generation = Arc::clone(&self.generation);
        let state = generation.server(self.at.0, self.at.1);
        let mut probing = std::pin::pin!(probe(state, spec, |d| &mut d.check));
        loop {
            tokio::select! {
                biased;
                (outcome, changed) = &mut probing => {
                    self.take(&outcome, changed);
                    return false;
                }
                why = state.suspicion.next() => if why != Why::Refused && self.judge().is_up() && self.suspect(why) {
                    return true;
                },
            }
        }
    }

    /// A suspicion came: whether to probe now.
    fn suspect(&mut self, why: Why) -> bool {
        let judge = self.judge();
        if !judge.is_up() {
            // A hanging connection tells nothing new of a server that is down.
            return why == Why::Moved && !self.seat.as_ref().is_some_and(Seat::nudge);
        }
        if !self.others_serve() {
            self.spared |= why == Why::Moved;
            return false;
        }
        if why == Why::Refused {
            return self.hasten(judge.health() == judge.full());
        }
        // What was thought of the last server still is, when another one serves beside it and it has not answered.
        let why = if std::mem::take(&mut self.spared) { Why::Moved } else { why };
        let next = Round::after(self.round, Instant::now(), why, &self.intervals, judge.fall());
        self.round = next.or(self.round);
        next.is_some()
    }

    /// Connections to a server without a blemish begin to be refused: it is probed now, in its turn afterwards.
    fn hasten(&mut self, is_new: bool) -> bool {
        let now = Instant::now();
        let soon = self.hastened.is_some_and(|last| now < last + suspicion::ROUNDS_APART);
        if !is_new || soon || self.quick(now).is_some() {
            return false;
        }
        self.hastened = Some(now);
        !self.seat.as_ref().is_some_and(Seat::nudge)
    }

    /// The round that is on. The last server of a backend has none.
    fn quick(&self, now: Instant) -> Option<Round> {
        self.round.filter(|r| r.is_on(now) && (!self.judge().is_up() || self.others_serve()))
    }

    /// Judges an outcome.
    fn take(&mut self, outcome: &Outcome, changed: bool) {
        let now = Instant::now();
        let judge = self.judge();
        let on = self.round.as_mut().filter(|r| r.is_on(now));
        let failed = outcome.status.verdict() == Verdict::Failed;
        if on.is_some() && failed && judge.is_up() && !self.others_serve() {
            // Too quick to take away the last one: the regular checks decide.
            return;
        }
        if suspicion::is_good(outcome) {
            self.spared = false;
            self.state().suspicion.note_usual(outcome.duration);
        }
        judge_health(&self.generation, self.at, outcome, changed);
        if matches!(outcome.status, Status::L4Connection | Status::L4Timeout) {
            // Its name may lead elsewhere by now.
            self.generation.board.resolvers.send(crate::resolve::Request::Hurry(self.at));
        }
        let judge = self.judge();
        if judge.health() == judge.full()
            && let Some(round) = &mut self.round
        {
            round.end(now);
        }
    }

    fn state(&self) -> &ServerState {
        self.generation.server(self.at.0, self.at.1)
    }

    fn is_wanted(&self) -> bool {
        let state = self.state();
        with(state, |d| d.check.enabled && !d.check.paused) && !state.in_maintenance()
    }

    fn judge(&self) -> Judge {
        with(self.state(), |d| Judge::with_health(d.check.rise, d.check.fall, d.check.health))
    }

    fn is_remote(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::is_remote)
    }

    fn others_serve(&self) -> bool {
        transitions::serve_beside(&self.generation, self.at)
    }
}

/// The next outcome from checkd; `None` when the turn has changed.
async fn heard(seat: Option<&mut Seat>) -> Option<Outcome> {
    match seat {
        Some(seat) => seat.next().await,
        None => std::future::pending().await,
    }
}

/// Tells every check of addresses that come to this host and that a bind line takes connections at.
async fn watch_addresses(engine: Arc<Engine>) {
    // Without reports of the kernel (a sandbox) the regular checks do as they would.
    let Ok(mut arrivals) = Arrivals::open() else { return };
    while let Ok(came) = arrivals.next().await {
        let generation = engine.generation.load_full();
        if came.iter().any(|address| serves_at(&generation, *address)) {
            generation.suspect_all();
            // A thousand addresses that come one after the other are one move.
            tokio::time::sleep(MOVE_TAKES).await;
        }
    }
}

fn serves_at(generation: &Generation, address: IpAddr) -> bool {
    let mut binds = generation.config.proxies.iter().filter(|p| !p.disabled).flat_map(|p| &p.binds);
    binds.any(|bind| match &bind.address {
        BindAddress::Inet(at) => {
            at.ip() == address || at.ip().is_unspecified() && (at.is_ipv6() || address.is_ipv4())
        }
        _ => false,
    })
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
    with(state, |d| begin_check(which(d)));
    let outcome = health::run(spec).await;
    let changed = record(state, &outcome, which);
    (outcome, changed)
}

/// What is shown of a check while it runs: the last status, without its details.
fn begin_check(check: &mut CheckState) {
    check.running = true;
    check.description.clear();
    check.code = check.code.map(|_| 0);
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
        check.duration_ms = duration_ms(outcome);
        check.description = outcome.shown();
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
        info: if is_shown_only(outcome) { String::new() } else { outcome.description.clone() },
        duration_ms: duration_ms(outcome),
    }
}

/// How long a check took; what traffic showed took no time of its own.
fn duration_ms(outcome: &Outcome) -> Option<u64> {
    (outcome.status != Status::Analysis).then_some(outcome.duration.as_millis() as u64)
}

/// Judges what live traffic showed of a server as a check.
pub(super) fn judge_observed(generation: &Arc<Generation>, at: (ProxyId, ServerId), outcome: &Outcome) {
    let changed = record(generation.server(at.0, at.1), outcome, |d| &mut d.check);
    judge_health(generation, at, outcome, changed);
}

fn judge_health(generation: &Arc<Generation>, at: (ProxyId, ServerId), outcome: &Outcome, changed: bool) {
    let state = generation.server(at.0, at.1);
    let verdict = outcome.status.verdict();
    let (up, before, progress) = with(state, |d| {
        let mut judge = Judge::with_health(d.check.rise, d.check.fall, d.check.health);
        if verdict == Verdict::Failed && judge.health() > 0 {
            d.failed_checks += 1;
        }
        let before = judge.health();
        judge.judge(verdict);
        d.check.health = judge.health();
        state.health.store(judge.health(), Relaxed);
        (judge.is_up(), before, judge.progress())
    });
    let logged = generation.proxy(at.0).options.log_health_checks;
    if outcome.is_success() {
        state.errors.store(0, Relaxed);
    }
    if logged && verdict != Verdict::Unknown && (changed || before != state.health.load(Relaxed)) {
        tell(generation, &[told(generation, at, outcome, ("Health", up, progress))]);
    }
    let wanted = match (up, verdict) {
        // Good checks that are not enough yet take nothing from a server that was enabled before it was checked.
        (false, Verdict::Passed | Verdict::Conditional) => return,
        (false, _) => oper::STOPPED,
        // Failures that are not enough yet change nothing.
        (true, Verdict::Failed | Verdict::Unknown) => return,
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
    (kind, up, (done, of)): (&str, bool, (u32, u32)),
) -> transitions::Notice {
    let proxy = generation.proxy(at.0);
    let server = &proxy.servers[at.1.0];
    let result = match outcome.status.verdict() {
        Verdict::Conditional => "conditionally succeeded",
        Verdict::Passed => "succeeded",
        _ => "failed",
    };
    let text = format!(
        "{kind} check for {}server {}/{} {result}{}, status: {done}/{of} {}.",
        if server.backup { "backup " } else { "" },
        proxy.name,
        server.name,
        cause(outcome).text(""),
        match (up, generation.server(at.0, at.1).user_weight.load(Relaxed)) {
            (true, 0) => "DRAIN",
            (true, _) => "UP",
            (false, _) => "DOWN",
        },
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
    if wanted == oper::STOPPED {
        state.suspicion.tell_down();
    }
}

fn tell(generation: &Generation, notices: &[transitions::Notice]) {
    crate::log::notices(generation, notices);
    crate::log::on_stderr(notices);
}

/// `agent-inter`, else `inter`.
fn agent_inter(server: &Server) -> Duration {
    server.agent.inter.unwrap_or(server.check.inter)
}

async fn agent_loop(generation: Arc<Generation>, at: (ProxyId, ServerId), first: Duration) {
    let proxy = generation.proxy(at.0);
    let server = &proxy.servers[at.1.0];
    let state = generation.server(at.0, at.1);
    tokio::time::sleep(first).await;
    loop {
        if with(state, |d| d.agent.enabled)
            && let Some(spec) = check_spec::agent(proxy, server, state)
        {
            with(state, |d| begin_check(&mut d.agent));
            let (outcome, held) = health::run_holding(&spec).await;
            let changed = record(state, &outcome, |d| &mut d.agent);
            judge_agent(&generation, at, &outcome, changed);
            // An agent may take the end of its connection for the sign that its word counts now.
            drop(held);
        }
        tokio::time::sleep(agent_inter(server)).await;
    }
}

fn judge_agent(generation: &Arc<Generation>, at: (ProxyId, ServerId), outcome: &Outcome, changed: bool) {
    let state = generation.server(at.0, at.1);
    let wish = &outcome.wish;
    if let Some(percent) = wish.weight_percent {
        let weight = u64::from(state.initial_weight.load(Relaxed)) * u64::from(percent) / 100;
        let mut notices = Vec::new();
        transitions::set_weight(generation, at, weight.min(256) as u32, &mut notices);
        tell(generation, &notices);
    }
    if let Some(most) = wish.max_connections {
        state.maxconn.store(most, Relaxed);
    }
    // An agent that can't be asked says nothing of its server.
    let (before, now, up) = with(state, |d| {
        let mut judge = Judge::with_health(d.agent.rise, d.agent.fall, d.agent.health);
        if let Some(operation) = wish.operation {
            let up = operation == OperationWish::Up;
            judge.judge(if up { Verdict::Passed } else { Verdict::Failed });
        }
        (std::mem::replace(&mut d.agent.health, judge.health()), judge.health(), judge.is_up())
    });
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
    let logged = generation.proxy(at.0).options.log_health_checks;
    if logged && outcome.status.verdict() != Verdict::Unknown && (changed || before != now) {
        let progress = with(state, |d| Judge::with_health(d.agent.rise, d.agent.fall, now).progress());
        tell(generation, &[told(generation, at, outcome, ("Agent", up, progress))]);
    }
    if wish.operation.is_none() {
        return;
    }
    let checked_up = with(state, |d| !d.check.enabled || d.check.is_passing());
    if up && (!checked_up || state.oper.load(Relaxed) == oper::STOPPING) {
        return;
    }
    let wanted = if up { oper::RUNNING } else { oper::STOPPED };
    apply(generation, at, wanted, &if logged { Cause::Told } else { cause(outcome) });
}
