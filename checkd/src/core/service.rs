//! Which real servers are up, which services have their quorum, and what follows: the wanted table, scripts,
//! FIFO lines, mails, probes.
//!
//! ```text
//! outcome → RetryJudge per checker → all checkers up? → real server alive → weight of all live ones
//!         → quorum ± hysteresis → sorry server in or out → wanted table
//! ```
//!
//! Invariant: [`Core::wanted`] is a function of the state alone; whoever applies it may do so at any time and as
//! often as it likes. A reload keeps the state of every checker that did not change.
//!
//! Absent on purpose: the kernel's table, clocks and randomness (a seed comes in), the bus.

mod reload;

use std::collections::BTreeMap;
use std::time::Duration;

use health::judge::{RetryJudge, Step};
use health::schedule::Loop;
use health::{Outcome, Spec};

use super::check;
use super::plan::{self, Destination, Entry, Service, Table};
use crate::config::model::{Checker, CheckerKind, Model, RealServer, Script, VirtualServer};
use crate::messages::{CheckEvent, CheckerNames, Message, Quorum, UrlTest, real_name};

/// Largest weight the kernel takes.
const WEIGHT_MAX: i64 = 65535;

/// How often a file is looked at.
pub const FILE_INTERVAL: Duration = Duration::from_millis(500);

/// Values of track files by name, as far as they are known.
pub type Files = BTreeMap<String, i64>;

/// Names a probe that is under way or planned; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// Begin.
    Start,
    /// A probe ended.
    Outcome(ProbeId, Outcome),
    /// A new configuration, with what its files hold now.
    Reload(Box<Model>, Files),
    /// The address of services with `ha_suspend` came or went (whether it is here now).
    Present(usize, bool),
    /// A BFD instance changed.
    Bfd(String, bool),
    /// The end is near: notifiers of `omega` services.
    Stop,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Log a line.
    Log(Message),
    /// Write a line to the FIFOs.
    Fifo(String),
    /// Run a script.
    Run(Script),
    /// Send a mail.
    Mail {
        /// Subject without the router's name.
        subject: String,
        /// Body.
        body: String,
    },
    /// Run a probe after a delay.
    Probe {
        /// For the outcome.
        id: ProbeId,
        /// Delay.
        after: Duration,
        /// What.
        spec: Box<Spec>,
    },
    /// Give up a probe, planned or under way.
    Cancel(ProbeId),
    /// A service's state changed (index into [`Core::services`]).
    Changed(usize),
}

/// A checker's state.
#[derive(Debug, Clone)]
pub struct CheckerState {
    /// Its configuration.
    pub config: Checker,
    /// Up or down.
    pub judge: RetryJudge,
    /// Addend to the real server's weight.
    pub addend: i64,
    /// The last outcome.
    pub last: Option<Outcome>,
    probe: Option<ProbeId>,
    url: usize,
    /// The URL that is asked next has failed: its success is followed by a round of all of them.
    url_failed: bool,
    /// That a body has another length than its head says has been told.
    short_told: bool,
}

/// A real server's state.
#[derive(Debug, Clone)]
pub struct RealState {
    /// Its configuration; checkers live in [`RealState::checkers`].
    pub config: RealServer,
    /// All checkers are up.
    pub alive: bool,
    /// Weight with all addends, not below 0.
    pub weight: i64,
    /// Checkers.
    pub checkers: Vec<CheckerState>,
}

/// A service's state.
#[derive(Debug, Clone)]
pub struct ServiceState {
    /// Its configuration; real servers live in [`ServiceState::reals`].
    pub config: VirtualServer,
    /// Name in messages.
    pub name: String,
    /// Whether the quorum is held.
    pub quorum_up: bool,
    /// Checks are suspended (`ha_suspend`).
    pub suspended: bool,
    /// Real servers.
    pub reals: Vec<RealState>,
}

impl ServiceState {
    /// Weight of all live servers.
    pub fn weight(&self) -> i64 {
        self.reals.iter().filter(|r| r.alive).map(|r| r.weight).sum()
    }

    fn quorum(&self) -> Quorum {
        Quorum { quorum: self.config.quorum, hysteresis: self.config.hysteresis, weight: self.weight() }
    }
}

/// The core.
#[derive(Debug)]
pub struct Core {
    model: Model,
    /// Services, as in the configuration.
    pub services: Vec<ServiceState>,
    owners: BTreeMap<ProbeId, (usize, usize, usize)>,
    next_probe: u64,
    random: u64,
}

impl Core {
    /// A core for a configuration and what its files hold; the seed decides about warm-ups.
    pub fn new(model: Model, files: &Files, seed: u64) -> Self {
        let mut core =
            Self { model, services: Vec::new(), owners: BTreeMap::new(), next_probe: 0, random: seed | 1 };
        let fresh = reload::Fresh { model: &core.model, files, reloads: false };
        core.services = fresh.services(&[]);
        core
    }

    /// The configuration in force.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes what happened and appends what to do.
    pub fn handle(&mut self, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Start => self.start(out),
            Input::Outcome(id, outcome) => self.outcome(id, outcome, out),
            Input::Reload(model, files) => self.reload(*model, &files, out),
            Input::Present(index, here) => self.present(index, here, out),
            Input::Bfd(name, up) => self.bfd(&name, up, out),
            Input::Stop => self.stop(out),
        }
        debug_assert!(self.owners.values().all(|(s, r, c)| {
            self.services.get(*s).and_then(|s| s.reals.get(*r)).is_some_and(|r| r.checkers.len() > *c)
        }));
    }

    /// xorshift64: enough to scatter warm-ups.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn start(&mut self, out: &mut Vec<Effect>) {
        for index in 0..self.services.len() {
            if self.model.globals.rs_init_notifies {
                for real in 0..self.services[index].reals.len() {
                    if self.services[index].reals[real].alive {
                        self.notify_real(index, real, true, out);
                    }
                }
            }
            self.settle_quorum(index, true, out);
            self.tell_sorry_start(index, out);
            out.push(Effect::Changed(index));
        }
        self.activate_all(out);
    }

    /// A service that starts on its sorry server says so.
    fn tell_sorry_start(&self, index: usize, out: &mut Vec<Effect>) {
        let service = &self.services[index];
        let Some(sorry) = service.config.sorry.as_ref().filter(|_| !service.quorum_up) else { return };
        let (inhibited, sorry) = (sorry.inhibit, real_name(&service.config, sorry.address));
        let name = || service.name.clone();
        out.push(Effect::Log(Message::StartingDown { quorum: service.quorum(), service: name() }));
        out.push(Effect::Log(Message::AddingSorry { sorry, service: name(), inhibited }));
        out.push(Effect::Log(Message::RemovingAlive { service: name() }));
    }

    fn activate_all(&mut self, out: &mut Vec<Effect>) {
        for service in 0..self.services.len() {
            for real in 0..self.services[service].reals.len() {
                for checker in 0..self.services[service].reals[real].checkers.len() {
                    self.activate(service, real, checker, out);
                }
            }
        }
        out.push(Effect::Log(Message::ActivatingBfd));
    }

    fn activate(&mut self, service: usize, real: usize, checker: usize, out: &mut Vec<Effect>) {
        let random = self.random();
        let state = &self.services[service];
        let config = &state.reals[real].checkers[checker].config;
        let is_timed = !matches!(config.kind, CheckerKind::File { .. } | CheckerKind::Bfd { .. });
        if is_timed {
            let real = real_name(&state.config, state.reals[real].config.address);
            let service = state.name.clone();
            out.push(Effect::Log(if state.suspended {
                Message::Deactivating { real, service }
            } else {
                Message::Activating { real, service }
            }));
        }
        if state.suspended {
            return;
        }
        let after = if is_timed { timing(config).first((random >> 32) as u32) } else { Duration::ZERO };
        self.probe(service, real, checker, after, out);
    }

    fn probe(&mut self, service: usize, real: usize, checker: usize, after: Duration, out: &mut Vec<Effect>) {
        let random = self.random();
        let state = &mut self.services[service].reals[real].checkers[checker];
        let Some(spec) = check::spec(&state.config, state.url, &self.model, random) else { return };
        self.next_probe += 1;
        let id = ProbeId(self.next_probe);
        state.probe = Some(id);
        self.owners.insert(id, (service, real, checker));
        out.push(Effect::Probe { id, after, spec: Box::new(spec) });
    }

    fn outcome(&mut self, id: ProbeId, outcome: Outcome, out: &mut Vec<Effect>) {
        // A probe that was cancelled may still have an outcome on its way.
        let Some((service, real, checker)) = self.owners.remove(&id) else { return };
        let delay = self.judge(service, real, checker, outcome, out);
        self.probe(service, real, checker, delay, out);
    }

    /// Judges one outcome; gives the delay until the next probe.
    fn judge(
        &mut self,
        service: usize,
        real: usize,
        index: usize,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) -> Duration {
        let names = self.names(service, real);
        let no_mail = self.model.globals.no_checker_emails;
        let real_config = &self.services[service].reals[real].config;
        let wants_mail = real_config.smtp_alert && !no_mail;
        let configured = i64::from(real_config.weight);
        let state = &mut self.services[service].reals[real].checkers[index];
        state.probe = None;
        let pace = pace(&state.config, &outcome);
        let from_start = matches!(state.config.kind, CheckerKind::Misc { .. });
        let taken = if from_start { outcome.duration } else { Duration::ZERO };
        if outcome.is_success()
            && let CheckerKind::Http(get) = &state.config.kind
        {
            if !outcome.description.is_empty() && !std::mem::replace(&mut state.short_told, true) {
                let path = get.urls.get(state.url).map(|u| u.path.clone()).unwrap_or_default();
                let event = CheckEvent::Short { path, what: outcome.shown() };
                out.extend(names.checker(&state.config).line(&event, &outcome).map(Effect::Log));
            }
            let (count, fast) = (get.urls.len(), get.fast_recovery);
            if let Some(wait) = url_succeeded(state, count, fast, &names, &outcome, out) {
                return wait;
            }
        }
        let was_up = state.judge.is_up();
        let step = state.judge.judge(outcome.is_success());
        state.url_failed = !outcome.is_success();
        let addend = addend(&state.config.kind, &outcome, configured);
        let is_up = state.judge.is_up();
        let weight_changes = is_up && addend != state.addend;
        if weight_changes {
            state.addend = addend;
            self.settle_weight(service, real, out);
        }
        let state = &mut self.services[service].reals[real];
        if matches!(step, Step::Down { .. }) && state.checkers[index].addend != 0 {
            // A script that failed no longer says anything about the weight; nobody is told, the server goes anyway.
            state.checkers[index].addend = 0;
            state.weight = effective_weight(state);
        }
        let state = &mut state.checkers[index];
        report(state, &names, step, was_up, &outcome, out);
        let alpha_failure = !was_up && matches!(step, Step::Same { first: true }) && !outcome.is_success();
        let mails = match step {
            Step::Up { .. } | Step::Down { .. } => true,
            Step::Same { first } => first && is_up && matches!(state.config.kind, CheckerKind::Misc { .. }),
            Step::Retry { .. } => false,
        };
        if mails && wants_mail {
            let checker = state.config.clone();
            let body = names.checker(&checker).mail_body(is_up, &outcome);
            out.push(names.mail(is_up, body));
        }
        let file = matches!(state.config.kind, CheckerKind::File { .. });
        state.last = Some(outcome);
        if alpha_failure {
            self.notify_real(service, real, false, out);
        }
        self.settle_real(service, real, out);
        if file { FILE_INTERVAL } else { pace.next(step).saturating_sub(taken) }
    }

    fn names(&self, service: usize, real: usize) -> Names {
        let state = &self.services[service];
        Names {
            real: real_name(&state.config, state.reals[real].config.address),
            service: state.name.clone(),
        }
    }

    fn bfd(&mut self, name: &str, up: bool, out: &mut Vec<Effect>) {
        for service in 0..self.services.len() {
            for real in 0..self.services[service].reals.len() {
                for index in 0..self.services[service].reals[real].checkers.len() {
                    let state = &mut self.services[service].reals[real].checkers[index];
                    if matches!(&state.config.kind, CheckerKind::Bfd { name: n } if n == name) {
                        state.judge.judge(up);
                        self.settle_real(service, real, out);
                    }
                }
            }
        }
    }

    /// Recomputes a real server's weight.
    fn settle_weight(&mut self, service: usize, real: usize, out: &mut Vec<Effect>) {
        let names = self.names(service, real);
        let state = &mut self.services[service].reals[real];
        let to = effective_weight(state);
        if to == state.weight {
            return;
        }
        out.push(Effect::Log(Message::Weight {
            from: state.weight,
            to,
            active: state.alive,
            real: names.real,
            service: names.service,
        }));
        state.weight = to;
        self.settle_quorum(service, false, out);
        out.push(Effect::Changed(service));
    }

    /// Recomputes whether a real server lives, and what follows.
    fn settle_real(&mut self, service: usize, real: usize, out: &mut Vec<Effect>) {
        let names = self.names(service, real);
        let state = &mut self.services[service].reals[real];
        let alive = state.checkers.iter().all(|c| c.judge.is_up());
        if alive == state.alive {
            return;
        }
        state.alive = alive;
        let inhibit = state.config.inhibit_on_failure;
        let Names { real: r, service: s } = names;
        out.push(Effect::Log(match (alive, inhibit) {
            (true, false) => Message::Adding { real: r, service: s },
            (true, true) => Message::Enabling { real: r, service: s },
            (false, false) => Message::Removing { real: r, service: s },
            (false, true) => Message::Disabling { real: r, service: s },
        }));
        self.notify_real(service, real, alive, out);
        self.settle_quorum(service, false, out);
        out.push(Effect::Changed(service));
    }

    fn notify_real(&mut self, service: usize, real: usize, up: bool, out: &mut Vec<Effect>) {
        let names = self.names(service, real);
        let globals = &self.model.globals;
        let config = &self.services[service].reals[real].config;
        let script = if up { &config.notify_up } else { &config.notify_down };
        out.extend(script.clone().map(Effect::Run));
        let word = if up { "UP" } else { "DOWN" };
        out.push(Effect::Fifo(format!("RS {} {} {word}", names.real, names.service)));
        if config.smtp_alert && globals.no_checker_emails {
            let body = if up { "=> CHECK succeed on service <=" } else { "=> CHECK failed on service <=" };
            out.push(names.mail(up, body.to_owned()));
        }
    }

    /// Gains or loses a quorum.
    fn settle_quorum(&mut self, index: usize, starting: bool, out: &mut Vec<Effect>) {
        let service = &mut self.services[index];
        let quorum = service.quorum();
        let name = service.name.clone();
        let (q, h) = (i64::from(quorum.quorum), i64::from(quorum.hysteresis));
        let gains = !service.quorum_up && quorum.weight >= q + h;
        let loses = service.quorum_up && quorum.weight < q - h;
        if !gains && !loses {
            return;
        }
        service.quorum_up = gains;
        let inhibited = service.config.sorry.as_ref().is_some_and(|s| s.inhibit);
        let sorry = service.config.sorry.as_ref().map(|s| real_name(&service.config, s.address));
        let text = if gains {
            out.push(Effect::Log(Message::Gained { quorum, service: name.clone() }));
            if let Some(sorry) = sorry
                && !starting
            {
                out.push(Effect::Log(Message::RemovingSorry { sorry, service: name.clone(), inhibited }));
                out.push(Effect::Log(Message::AddingAlive { service: name.clone() }));
            }
            if starting { "Starting with quorum up" } else { "Gained quorum" }
        } else {
            out.push(Effect::Log(Message::Lost { quorum, service: name.clone() }));
            if let Some(sorry) = sorry {
                out.push(Effect::Log(Message::AddingSorry { sorry, service: name.clone(), inhibited }));
                out.push(Effect::Log(Message::RemovingAlive { service: name.clone() }));
            }
            "Lost quorum"
        };
        // The mail has this form for both.
        let bound = if gains { q + h } else { q - h };
        let body = format!("=> {text} {q}+{h}={bound} <= {} <=", quorum.weight);
        self.notify_quorum(index, gains, body, out);
    }

    fn notify_quorum(&self, index: usize, up: bool, body: String, out: &mut Vec<Effect>) {
        let service = &self.services[index];
        let script = if up { &service.config.quorum_up } else { &service.config.quorum_down };
        out.extend(script.clone().map(Effect::Run));
        let word = if up { "UP" } else { "DOWN" };
        out.push(Effect::Fifo(format!("VS {} {word}", service.name)));
        if service.config.smtp_alert {
            out.push(Effect::Mail { subject: format!("Virtualserver {} - {word}", service.name), body });
        }
    }

    fn present(&mut self, index: usize, here: bool, out: &mut Vec<Effect>) {
        let Some(service) = self.services.get_mut(index) else { return };
        if service.suspended != here || !service.config.ha_suspend {
            return;
        }
        service.suspended = !here;
        for real in 0..self.services[index].reals.len() {
            for checker in 0..self.services[index].reals[real].checkers.len() {
                if here {
                    self.activate(index, real, checker, out);
                    continue;
                }
                let names = self.names(index, real);
                out.push(Effect::Log(Message::Suspending { real: names.real, service: names.service }));
                self.cancel(index, real, checker, out);
            }
        }
    }

    fn cancel(&mut self, service: usize, real: usize, checker: usize, out: &mut Vec<Effect>) {
        if let Some(id) = self.services[service].reals[real].checkers[checker].probe.take() {
            self.owners.remove(&id);
            out.push(Effect::Cancel(id));
        }
    }

    fn stop(&mut self, out: &mut Vec<Effect>) {
        for index in 0..self.services.len() {
            for real in 0..self.services[index].reals.len() {
                let names = self.names(index, real);
                let alive = self.services[index].reals[real].alive;
                for checker in 0..self.services[index].reals[real].checkers.len() {
                    self.cancel(index, real, checker, out);
                }
                let inhibited = !alive && self.services[index].reals[real].config.inhibit_on_failure;
                let Names { real: name, service } = names;
                out.push(Effect::Log(Message::ShuttingDown { real: name, service, inhibited }));
                if alive && self.services[index].config.omega {
                    self.notify_real(index, real, false, out);
                }
            }
            if self.services[index].config.omega && self.services[index].quorum_up {
                self.notify_quorum(index, false, "=> Shutting down <=".to_owned(), out);
            }
        }
    }

    /// The table this state asks for.
    pub fn wanted(&self) -> Table {
        let mut table = Table::new();
        for service in &self.services {
            let pool = pool(service);
            for key in plan::keys(&service.config, &self.model.groups) {
                let wanted = Service::of(&service.config, key.family());
                // Several virtual servers of one group share its services; the first one's attributes count.
                let entry = table
                    .entry(key)
                    .or_insert_with(|| Entry { service: wanted, destinations: BTreeMap::new() });
                for (to, destination) in &pool {
                    entry.destinations.entry(plan::at(&key, *to, destination)).or_insert(*destination);
                }
            }
        }
        table
    }
}

/// The delays behind an outcome.
fn pace(checker: &Checker, outcome: &Outcome) -> Loop {
    let mut pace = timing(checker);
    if matches!(checker.kind, CheckerKind::Http(_)) && checker.retry == 0 && !outcome.is_success() {
        // HTTP_GET without retries waits as if it had one.
        pace.delay = pace.before_retry;
    }
    pace
}

/// What an outcome adds to the real server's weight.
fn addend(kind: &CheckerKind, outcome: &Outcome, configured: i64) -> i64 {
    match (kind, outcome.wish.absolute_weight) {
        (CheckerKind::Misc { .. }, Some(weight)) => weight - configured,
        (_, Some(addend)) => addend,
        (_, None) => 0,
    }
}

fn timing(checker: &Checker) -> Loop {
    Loop { warmup: checker.warmup, delay: checker.delay_loop, before_retry: checker.delay_before_retry }
}

fn effective_weight(state: &RealState) -> i64 {
    let sum = state.checkers.iter().map(|c| c.addend).sum::<i64>();
    (i64::from(state.config.weight) + sum).clamp(0, WEIGHT_MAX)
}

/// The destinations of a service.
fn pool(service: &ServiceState) -> BTreeMap<std::net::SocketAddr, Destination> {
    let mut list = BTreeMap::new();
    let config = &service.config;
    let sorry_in = config.sorry.is_some() && !service.quorum_up;
    if let Some(sorry) = &config.sorry
        && (sorry_in || sorry.inhibit)
    {
        let weight = u32::from(sorry_in);
        list.insert(sorry.address, Destination { method: sorry.method, weight, upper: 0, lower: 0 });
    }
    for real in &service.reals {
        let in_pool = real.alive && !sorry_in;
        if !in_pool && !real.config.inhibit_on_failure {
            continue;
        }
        let destination = Destination {
            method: real.config.method,
            weight: if in_pool { real.weight as u32 } else { 0 },
            upper: real.config.upper_threshold,
            lower: real.config.lower_threshold,
        };
        // A sorry server that is also a real server serves as what it is needed for.
        if !(sorry_in && list.contains_key(&real.config.address)) {
            list.insert(real.config.address, destination);
        }
    }
    list
}

/// Names of a real server and its service.
#[derive(Debug, Clone)]
struct Names {
    real: String,
    service: String,
}

impl Names {
    fn checker<'a>(&'a self, checker: &'a Checker) -> CheckerNames<'a> {
        CheckerNames {
            kind: &checker.kind,
            real: &self.real,
            service: &self.service,
            to: checker.connection.to,
            retry: checker.retry,
        }
    }

    fn mail(&self, up: bool, body: String) -> Effect {
        let word = if up { "UP" } else { "DOWN" };
        Effect::Mail {
            subject: format!("Realserver {} of virtual server {} - {word}", self.real, self.service),
            body,
        }
    }
}

/// A URL answered as wanted; `Some(delay)` when another one has to be asked before that counts.
fn url_succeeded(
    state: &mut CheckerState,
    count: usize,
    fast: bool,
    names: &Names,
    outcome: &Outcome,
    out: &mut Vec<Effect>,
) -> Option<Duration> {
    let up = state.judge.is_up();
    let delay =
        if fast && (!up || !state.judge.has_run()) { Duration::ZERO } else { state.config.delay_loop };
    if !up {
        for what in url_tests(&state.config.kind, state.url) {
            let CheckerKind::Http(get) = &state.config.kind else { continue };
            let path = get.urls.get(state.url).map(|u| u.path.clone()).unwrap_or_default();
            out.extend(
                names
                    .checker(&state.config)
                    .line(&CheckEvent::UrlSuccess { path, what }, outcome)
                    .map(Effect::Log),
            );
        }
    }
    if state.url_failed {
        (state.url_failed, state.url) = (false, 0);
        return Some(delay);
    }
    if state.url + 1 < count {
        state.url += 1;
        return Some(delay);
    }
    state.url = 0;
    None
}

fn url_tests(kind: &CheckerKind, url: usize) -> Vec<UrlTest> {
    let CheckerKind::Http(get) = kind else { return Vec::new() };
    let Some(url) = get.urls.get(url) else { return Vec::new() };
    let mut list = Vec::new();
    if !url.status.is_empty() || (url.digest.is_none() && url.regex.is_none()) {
        list.push(UrlTest::Status);
    }
    if url.digest.is_some() {
        list.push(UrlTest::Digest);
    }
    if url.regex.is_some() {
        list.push(UrlTest::Regex);
    }
    list
}

/// Logs what a checker's step means.
fn report(
    state: &mut CheckerState,
    names: &Names,
    step: Step,
    was_up: bool,
    outcome: &Outcome,
    out: &mut Vec<Effect>,
) {
    let config = &state.config;
    let checker = names.checker(config);
    let not_sent = config.kind == CheckerKind::Ping
        && matches!(&outcome.cause, health::Cause::Connect(t) if t.contains("unreachable"));
    if not_sent {
        out.push(Effect::Log(Message::PingNotSent));
    }
    let chatty = config.log_all_failures && !not_sent;
    // Most kinds print each failure and then that it was the last; these have one line for both.
    let one_line =
        matches!(config.kind, CheckerKind::Smtp { .. } | CheckerKind::Dns { .. } | CheckerKind::Misc { .. });
    let mut say = |event: CheckEvent| out.extend(checker.line(&event, outcome).map(Effect::Log));
    match step {
        Step::Up { .. } | Step::Same { first: true } if outcome.is_success() => say(CheckEvent::Success),
        Step::Retry { count } if chatty && (was_up || !state.judge.has_run()) => {
            say(CheckEvent::Failure { retry: Some((count - 1, config.retry)) });
        }
        Step::Down { retries, first } => {
            if chatty && !one_line {
                say(CheckEvent::Failure { retry: None });
            }
            say(CheckEvent::Down { retries, first });
        }
        Step::Same { first: true } if !was_up && matches!(config.kind, CheckerKind::Http(_)) => {
            if chatty {
                say(CheckEvent::Failure { retry: None });
            }
        }
        Step::Same { first: true } if !was_up => say(CheckEvent::Down { retries: 0, first: true }),
        Step::Same { .. } | Step::Up { .. } | Step::Retry { .. } => {}
    }
}

#[cfg(test)]
mod tests;
