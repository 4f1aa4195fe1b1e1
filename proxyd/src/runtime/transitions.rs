//! Changes of a server's state: by its checks, by an operator, by the server it tracks; and what is said of them.
//!
//! Invariant: every change of [`ServerState::admin`] and [`ServerState::oper`] after the start goes through here,
//! so counters, ages, tracking servers and messages always agree. Nothing here waits or sends: the texts go into
//! a list, the caller puts them on stderr and into the logs.

use super::Generation;
use super::board::{ServerState, admin, oper};
use super::slowstart;
use crate::balance::Field;
use crate::config::model::{ProxyId, ServerId};
use crate::runtime::timers::Why;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// Syslog level of a notice in the logs; on stderr all are warnings, [`Level::Emergency`] is an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `emerg`.
    Emergency,
    /// `alert`.
    Alert,
    /// `notice`.
    Notice,
    /// What a command did, on stderr alone.
    Told,
}

/// One thing to tell. The two texts differ where haproxy's do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How bad.
    pub level: Level,
    /// The proxy whose log targets get it.
    pub proxy: ProxyId,
    /// On stderr.
    pub stderr: String,
    /// In logs.
    pub log: String,
}

/// Why a server changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A health check (`reason: Layer4 timeout, code: 500, info: "…", check duration: 3ms`).
    Check {
        /// The status in words.
        status: String,
        /// HTTP status or the like.
        code: Option<i64>,
        /// What it said.
        info: String,
        /// How long it took; `None` for observed traffic.
        duration_ms: Option<u64>,
    },
    /// An operator.
    Cli,
    /// The server it tracks.
    Tracked,
    /// A health check that was told of already (`option log-health-checks`).
    Told,
}

impl Cause {
    /// What stands behind the state: `, reason: Layer4 timeout, check duration: 3ms`.
    pub fn text(&self, via: &str) -> String {
        match self {
            Self::Cli => ", changed from CLI".into(),
            Self::Told => String::new(),
            Self::Tracked => format!(" via {via}"),
            Self::Check { status, code, info, duration_ms } => {
                let code = code.map_or_else(String::new, |c| format!(", code: {c}"));
                let info =
                    if info.is_empty() { String::new() } else { format!(", info: \"{}\"", escaped(info)) };
                let time = duration_ms.map_or_else(String::new, |ms| format!(", check duration: {ms}ms"));
                format!(", reason: {status}{code}{info}{time}")
            }
        }
    }
}

/// What a check said, for a line of a log: bytes that are no plain text, quotes and `<>` as `<0A>`.
fn escaped(info: &str) -> String {
    let plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '<' | '>');
    info.chars().fold(String::new(), |mut out, c| {
        if plain(c) {
            out.push(c);
        } else {
            // A character is a byte of the reply.
            out.push_str(&format!("<{:02X}>", u32::from(c)));
        }
        out
    })
}

/// How many servers of a backend can serve: active ones and backups.
pub fn usable(generation: &Generation, proxy: ProxyId) -> (usize, usize) {
    let servers = &generation.config.proxies[proxy.0].servers;
    let mut counts = (0, 0);
    for (server, state) in servers.iter().zip(&generation.servers[proxy.0]) {
        if serves(state) {
            *(if server.backup { &mut counts.1 } else { &mut counts.0 }) += 1;
        }
    }
    counts
}

/// Whether a backend has a server besides this one that can serve.
pub fn serve_beside(generation: &Generation, (proxy, server): (ProxyId, ServerId)) -> bool {
    generation.servers[proxy.0].iter().enumerate().any(|(i, state)| i != server.0 && serves(state))
}

fn serves(state: &ServerState) -> bool {
    state.is_up()
        && !state.in_drain()
        && state.oper.load(Relaxed) != oper::STOPPING
        && state.user_weight.load(Relaxed) > 0
}

struct Change<'a> {
    generation: &'a Generation,
    proxy: ProxyId,
    server: ServerId,
    had_any: bool,
    was_down: bool,
}

impl<'a> Change<'a> {
    fn begin(generation: &'a Generation, proxy: ProxyId, server: ServerId) -> Self {
        let counts = usable(generation, proxy);
        let state = &generation.servers[proxy.0][server.0];
        Self { generation, proxy, server, had_any: counts.0 + counts.1 > 0, was_down: !state.is_up() }
    }

    fn state(&self) -> &ServerState {
        &self.generation.servers[self.proxy.0][self.server.0]
    }

    fn name(&self) -> String {
        let proxy = &self.generation.config.proxies[self.proxy.0];
        let server = &proxy.servers[self.server.0];
        format!("{}Server {}/{}", if server.backup { "Backup " } else { "" }, proxy.name, server.name)
    }

    fn push(&self, level: Level, text: String, out: &mut Vec<Notice>) {
        out.push(Notice { level, proxy: self.proxy, stderr: text.clone(), log: text });
    }

    /// `. 1 active and 0 backup servers left.…` for servers that go, `online` for those that come or drain.
    fn tail(&self, gone: bool, moved: u32) -> String {
        let (active, backup) = usable(self.generation, self.proxy);
        let running = if active == 0 && backup > 0 { " Running on backup." } else { "" };
        let queued = self.generation.proxies[self.proxy.0].back.queue_cur.load(Relaxed);
        let sessions = self.state().counters.cur_sess.load(Relaxed);
        if gone {
            format!(
                ". {active} active and {backup} backup servers left.{running} {sessions} sessions active, {moved} \
                 requeued, {queued} remaining in queue."
            )
        } else {
            format!(
                ". {active} active and {backup} backup servers online.{running} {moved} sessions requeued, {queued} \
                 total in queue."
            )
        }
    }

    /// Streams that wait follow: away from a server that went, to one that came. Gives how many that were.
    fn requeue(&self) -> u32 {
        let balancer = &self.generation.balancers[self.proxy.0];
        let proxy = &self.generation.config.proxies[self.proxy.0];
        let state = self.state();
        if state.is_up() && state.oper.load(Relaxed) != oper::STOPPING {
            return balancer.offer(Field::of(self.generation, self.proxy), self.server);
        }
        if proxy.redispatch.is_none() || proxy.options.persist {
            return 0;
        }
        balancer.queue.dissolve(self.server)
    }

    /// Into maintenance.
    fn go_out(&self, name: &str, via: &str, out: &mut Vec<Notice>) {
        let state = self.state();
        state.oper.store(oper::STOPPED, Relaxed);
        {
            let check = &mut state.detail.lock().unwrap_or_else(PoisonError::into_inner).check;
            check.held = check.enabled;
            if !self.was_down {
                check.health = 0;
                state.health.store(0, Relaxed);
            }
        }
        slowstart::end(state);
        let moved = self.requeue();
        if self.was_down {
            self.push(Level::Notice, format!("{name} was DOWN and now enters maintenance{via}."), out);
        } else {
            let tail = self.tail(true, moved);
            self.push(Level::Alert, format!("{name} is going DOWN for maintenance{via}{tail}"), out);
        }
    }

    /// Out of maintenance, up or down by its agent's last word.
    fn come_back(&self, name: &str, (ready, why): (bool, &str), out: &mut Vec<Notice>) {
        let up = come_back(self.generation, (self.proxy, self.server));
        if up {
            self.requeue();
        }
        let word = match (up, ready) {
            (true, true) => "UP/READY",
            (true, false) => "UP/DRAIN",
            (false, true) => "DOWN/READY",
            (false, false) => "DOWN/DRAIN",
        };
        self.push(Level::Notice, format!("{name} is {word} ({why})."), out);
    }

    /// Ages, transitions of the backend, tracking servers.
    /// `on-marked-down shutdown-sessions` and `on-marked-up shutdown-backup-sessions`, whoever marks.
    fn shut_sessions(&self, down: bool) {
        let (streams, servers) = (&self.generation.board.streams, &self.generation.proxy(self.proxy).servers);
        let settings = &servers[self.server.0];
        if !self.was_down && down && settings.on_marked_down_shutdown {
            streams.kill_server((self.proxy, self.server), Why::Down);
        }
        if self.was_down && !down && settings.on_marked_up_shutdown_backup && !settings.backup {
            for (i, _) in servers.iter().enumerate().filter(|(_, s)| s.backup) {
                streams.kill_server((self.proxy, ServerId(i)), Why::Up);
            }
        }
    }

    fn finish(self, out: &mut Vec<Notice>) {
        let now = self.generation.board.clock().wall_s;
        let down = !self.state().is_up();
        {
            let mut detail = self.state().detail.lock().unwrap_or_else(PoisonError::into_inner);
            if self.was_down && !down {
                detail.down_time += now.saturating_sub(detail.last_change);
            }
            if !self.was_down && down {
                detail.down_transitions += 1;
            }
            if self.was_down != down {
                detail.last_change = now;
            }
        }
        self.shut_sessions(down);
        let counts = usable(self.generation, self.proxy);
        let state = &self.generation.proxies[self.proxy.0];
        match (self.had_any, counts.0 + counts.1 > 0) {
            (true, false) => {
                state.down_transitions.fetch_add(1, Relaxed);
                state.last_change.store(now, Relaxed);
                let proxy = &self.generation.config.proxies[self.proxy.0];
                let name = &proxy.name;
                let noun = if proxy.kind.is_front() { "proxy" } else { "backend" };
                out.push(Notice {
                    level: Level::Emergency,
                    proxy: self.proxy,
                    stderr: format!("{noun} '{name}' has no server available!"),
                    log: format!("{noun} {name} has no server available!"),
                });
            }
            (false, true) => {
                let since = state.last_change.swap(now, Relaxed);
                state.down_time.fetch_add(now.saturating_sub(since), Relaxed);
            }
            _ => {}
        }
    }
}

/// A check, an agent or an operator says that the server is up, down or stopping. Servers that track it follow.
/// Says whether anything changed.
pub fn set_oper(
    generation: &Generation,
    proxy: ProxyId,
    server: ServerId,
    new: u32,
    cause: &Cause,
    out: &mut Vec<Notice>,
) -> bool {
    let change = Change::begin(generation, proxy, server);
    let state = change.state();
    if state.in_maintenance() || state.oper.load(Relaxed) == new {
        return false;
    }
    let wanted = new;
    let new = match new {
        oper::RUNNING if change.was_down => slowstart::begin(generation, (proxy, server)),
        oper::STOPPED => {
            slowstart::end(state);
            new
        }
        _ => new,
    };
    let old = state.oper.swap(new, Relaxed);
    if old == new {
        return false;
    }
    let via = state.detail.lock().unwrap_or_else(PoisonError::into_inner).tracked.clone().unwrap_or_default();
    let (name, why) = (change.name(), cause.text(&via));
    let draining = state.in_drain();
    let moved = change.requeue();
    match new {
        oper::STOPPED => {
            // One that took no new work is no alarm.
            let level = if old == oper::STOPPING { Level::Notice } else { Level::Alert };
            change.push(level, format!("{name} is DOWN{why}{}", change.tail(true, moved)), out);
        }
        oper::STOPPING => {
            change.push(Level::Notice, format!("{name} is stopping{why}{}", change.tail(false, moved)), out);
        }
        _ => change.push(Level::Notice, format!("{name} is UP{why}{}", change.tail(false, moved)), out),
    }
    if draining {
        change.push(Level::Notice, format!("{name} remains in forced drain mode."), out);
    }
    change.finish(out);
    for (p, s) in trackers(generation, proxy, server) {
        set_oper(generation, p, s, wanted, &Cause::Tracked, out);
    }
    true
}

/// Who tracks this server, those that came last first, as the original tells of them.
fn trackers(generation: &Generation, proxy: ProxyId, server: ServerId) -> Vec<(ProxyId, ServerId)> {
    let mut found = Vec::new();
    for (p, config) in generation.config.proxies.iter().enumerate() {
        for (s, candidate) in config.servers.iter().enumerate() {
            if candidate.track == Some((proxy, server)) && !candidate.life.is_gone() {
                found.push((ProxyId(p), ServerId(s)));
            }
        }
    }
    found.reverse();
    found
}

/// What an operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `state ready`.
    Ready,
    /// `state drain`.
    Drain,
    /// `state maint`.
    Maint,
}

/// An operator sets a server's administrative state. Servers that track it follow.
pub fn set_admin(
    generation: &Generation,
    proxy: ProxyId,
    server: ServerId,
    wanted: Wanted,
    out: &mut Vec<Notice>,
) {
    let (clear, set) = match wanted {
        Wanted::Ready => (admin::FORCED_MAINT | admin::FORCED_DRAIN, 0),
        Wanted::Drain => (admin::FORCED_MAINT, admin::FORCED_DRAIN),
        Wanted::Maint => (admin::FORCED_DRAIN, admin::FORCED_MAINT),
    };
    change_admin(generation, (proxy, server), clear, set, "", out);
    inherit(generation, (proxy, server), wanted, out);
}

/// Servers that track one follow it into an administrative state, and those that track them. None follows one out
/// of a state that it keeps for a reason of its own.
fn inherit(generation: &Generation, at: (ProxyId, ServerId), wanted: Wanted, out: &mut Vec<Notice>) {
    let bits = generation.server(at.0, at.1).admin.load(Relaxed);
    let (clear, set) = match wanted {
        Wanted::Ready if bits & admin::MAINT != 0 => return,
        Wanted::Ready if bits & admin::DRAIN != 0 => (admin::INHERITED_MAINT, 0),
        Wanted::Ready => (admin::INHERITED_MAINT | admin::INHERITED_DRAIN, 0),
        Wanted::Drain if bits & admin::MAINT != 0 => (0, admin::INHERITED_DRAIN),
        Wanted::Drain => (admin::INHERITED_MAINT, admin::INHERITED_DRAIN),
        Wanted::Maint => (admin::INHERITED_DRAIN, admin::INHERITED_MAINT),
    };
    for tracker in trackers(generation, at.0, at.1) {
        change_admin(generation, tracker, clear, set, "", out);
        inherit(generation, tracker, wanted, out);
    }
}

/// An operator forces maintenance or a drain, or ends it, and leaves the other as it is. False where nothing changes.
pub fn force_admin(
    generation: &Generation,
    at: (ProxyId, ServerId),
    drain: bool,
    on: bool,
    out: &mut Vec<Notice>,
) -> bool {
    let (forced, inherited) = if drain {
        (admin::FORCED_DRAIN, admin::INHERITED_DRAIN)
    } else {
        (admin::FORCED_MAINT, admin::INHERITED_MAINT)
    };
    if (generation.server(at.0, at.1).admin.load(Relaxed) & forced != 0) == on {
        return false;
    }
    let change = |bits: u32| if on { (0, bits) } else { (bits, 0) };
    change_admin(generation, at, change(forced).0, change(forced).1, "", out);
    for tracker in trackers(generation, at.0, at.1) {
        change_admin(generation, tracker, change(inherited).0, change(inherited).1, "", out);
    }
    true
}

/// A server's name led nowhere for longer than its resolver holds. Servers that track it follow.
pub fn set_resolution(generation: &Generation, at: (ProxyId, ServerId), why: &str, out: &mut Vec<Notice>) {
    change_admin(generation, at, 0, admin::RESOLUTION_MAINT, why, out);
    inherit(generation, at, Wanted::Maint, out);
}

/// A server's name leads somewhere again. Servers that track it follow.
pub fn clear_resolution(generation: &Generation, at: (ProxyId, ServerId), out: &mut Vec<Notice>) {
    change_admin(generation, at, admin::RESOLUTION_MAINT, 0, "", out);
    inherit(generation, at, Wanted::Ready, out);
}

fn change_admin(
    generation: &Generation,
    (proxy, server): (ProxyId, ServerId),
    clear: u32,
    set: u32,
    why: &str,
    out: &mut Vec<Notice>,
) {
    let change = Change::begin(generation, proxy, server);
    let state = change.state();
    let old = state.admin.load(Relaxed);
    let new = (old & !clear) | set;
    if new == old {
        return;
    }
    let kind = |bits: u32| if bits & admin::MAINT != 0 { 2 } else { u8::from(bits & admin::DRAIN != 0) };
    // Bit by bit: operators and the resolver change others at the same time.
    state.admin.fetch_and(!clear, Relaxed);
    state.admin.fetch_or(set, Relaxed);
    let name = change.name();
    let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match (kind(old), kind(new)) {
        (0 | 1, 2) => {
            let via = if set & admin::INHERITED_MAINT != 0 {
                format!(" via {}", detail.tracked.unwrap_or_default())
            } else if why.is_empty() {
                String::new()
            } else {
                format!(" ({why})")
            };
            change.go_out(&name, &via, out);
        }
        (2, 2) if old & !new & admin::RESOLUTION_MAINT != 0 => {
            let host = detail.fqdn.unwrap_or_default();
            let text = format!("{name} ('{host}') resolves again but remains in maintenance.");
            change.push(Level::Notice, text, out);
        }
        (2, after @ (0 | 1)) => {
            let forced = old & (admin::FORCED_MAINT | admin::CONFIGURED_MAINT) != 0;
            let resolved = old & !new & admin::RESOLUTION_MAINT != 0;
            let (host, why) = match (resolved, forced) {
                (true, _) => (format!(" ('{}')", detail.fqdn.unwrap_or_default()), "resolves again"),
                (false, true) => (String::new(), "leaving forced maintenance"),
                (false, false) => (String::new(), "leaving maintenance"),
            };
            change.come_back(&format!("{name}{host}"), (after == 0, why), out);
            if after == 1 {
                change.push(Level::Notice, format!("{name} remains in forced drain mode."), out);
            }
        }
        (0, 1) => {
            let via = if set & admin::INHERITED_DRAIN != 0 {
                format!(" via {}", detail.tracked.unwrap_or_default())
            } else {
                String::new()
            };
            let text = format!("{name} enters drain state{via}{}", change.tail(false, change.requeue()));
            change.push(Level::Notice, text, out);
        }
        (1, 0) => {
            let word = if state.is_up() { "UP" } else { "DOWN" };
            change.push(Level::Notice, format!("{name} is {word} (leaving forced drain)."), out);
        }
        _ => {}
    }
    change.finish(out);
}

/// Leaves maintenance: a checked server gets one check's worth of trust, as haproxy gives it.
fn come_back(generation: &Generation, at: (ProxyId, ServerId)) -> bool {
    let state = generation.server(at.0, at.1);
    let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    detail.check.held = false;
    if detail.check.enabled {
        detail.check.health = detail.check.rise;
    }
    state.health.store(detail.check.health, Relaxed);
    if detail.agent.enabled && detail.agent.health < detail.agent.rise {
        state.oper.store(oper::STOPPED, Relaxed);
        return false;
    }
    drop(detail);
    let followed = generation.proxy(at.0).servers[at.1.0].track;
    if followed.is_some_and(|(p, s)| generation.server(p, s).oper.load(Relaxed) == oper::STOPPED) {
        state.oper.store(oper::STOPPED, Relaxed);
        return false;
    }
    state.oper.store(slowstart::begin(generation, at), Relaxed);
    true
}

/// An operator forces the outcome of the agent's check: `agent up|down`.
pub fn force_agent(generation: &Generation, at: (ProxyId, ServerId), up: bool, out: &mut Vec<Notice>) {
    let healthy = {
        let state = generation.server(at.0, at.1);
        let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
        let full = (detail.agent.rise + detail.agent.fall).saturating_sub(1);
        detail.agent.health = if up { full } else { 0 };
        !detail.check.enabled || detail.check.is_passing()
    };
    let new = if up && healthy { oper::RUNNING } else { oper::STOPPED };
    set_oper(generation, at.0, at.1, new, &Cause::Cli, out);
}

/// An operator or an agent gives a server another weight; without any it takes no new work.
pub fn set_weight(generation: &Generation, at: (ProxyId, ServerId), weight: u32, out: &mut Vec<Notice>) {
    let change = Change::begin(generation, at.0, at.1);
    if change.state().user_weight.swap(weight, Relaxed) != weight {
        generation.board.weights_changed.fetch_add(1, Relaxed);
        change.finish(out);
    }
}

/// An operator forces the outcome of the health check: `health up|stopping|down`.
pub fn force_health(
    generation: &Generation,
    proxy: ProxyId,
    server: ServerId,
    new: u32,
    out: &mut Vec<Notice>,
) -> bool {
    let state = &generation.servers[proxy.0][server.0];
    {
        let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
        let full = (detail.check.rise + detail.check.fall).saturating_sub(1);
        detail.check.health = if new == oper::STOPPED { 0 } else { full };
        state.health.store(detail.check.health, Relaxed);
    }
    set_oper(generation, proxy, server, new, &Cause::Cli, out)
}
