//! What runs: the [`Generation`] in force, the [`board`] that outlives it, and the threads of the [`engine`].

pub mod board;
pub mod buffers;
pub mod captured;
pub mod check_spec;
pub mod checks;
pub mod clock;
pub mod cookies;
pub mod engine;
pub mod evaluate;
pub mod observe;
pub mod roster;
pub mod slowstart;
pub mod state_file;
pub mod streams;
pub mod suspicion;
pub mod timers;
pub mod transitions;
pub mod watched;
pub mod worker;

use crate::balance::{self, Balancer};
use crate::config::model::{Config, Proxy, ProxyId, Roster, Server, ServerAddress, ServerId};
use board::{Board, ProxyState, ServerState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A configuration in force. Streams hold an `Arc` of the one they began with; a reload makes a new one and
/// the old drains.
#[derive(Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// What the text said.
    pub config: Config,
    /// Live state of each proxy, by [`ProxyId`].
    pub proxies: Vec<Arc<ProxyState>>,
    /// Live state of each server, by [`ProxyId`] and [`ServerId`].
    pub servers: Vec<Roster<Arc<ServerState>>>,
    /// Choice of servers and queues of each backend, by [`ProxyId`].
    pub balancers: Vec<Balancer>,
    /// TLS of bind lines and servers.
    pub tls: crate::net::tls::Configurations,
    /// Open log targets.
    pub outlets: crate::log::Outlets,
    /// The board they live on.
    pub board: Arc<Board>,
}

impl Generation {
    /// Binds a configuration to live state: what has a name the board knows goes on with its state.
    pub fn build(number: u64, mut config: Config, board: Arc<Board>) -> Self {
        crate::stick::parse::complete(&mut config);
        config.proxies.iter_mut().for_each(direct);
        let mut proxies = Vec::with_capacity(config.proxies.len());
        let mut servers = Vec::with_capacity(config.proxies.len());
        let mut balancers = Vec::with_capacity(config.proxies.len());
        let of_peers = config.peers.iter().flat_map(|p| &p.tables);
        for table in config.proxies.iter().filter_map(|p| p.stick_table.as_ref()).chain(of_peers) {
            board.tables.ensure(table);
        }
        config.refs.bind(&config, &board.tables);
        config.refs.bind_caches(&config, &board.caches);
        for proxy in &config.proxies {
            proxies.push(board.proxy(&proxy.name, proxy.binds.len()));
            let states: Roster<_> = proxy.servers.iter().map(|s| board.server(&proxy.name, s)).collect();
            let field = balance::Field { proxy, state: &proxies[proxies.len() - 1], servers: &states };
            balancers.push(Balancer::new(field));
            servers.push(states);
        }
        let tls = crate::net::tls::Configurations::build(&config);
        board.limits.begin(&config.global);
        let outlets = crate::log::Outlets::open(&config, &tls.library, &board);
        let generation = Self { number, config, proxies, servers, balancers, tls, outlets, board };
        generation.preset_variables();
        for (p, proxy) in generation.config.proxies.iter().enumerate() {
            for s in (0..proxy.servers.len()).filter(|s| proxy.servers[*s].track.is_some()) {
                generation.name_tracked((ProxyId(p), ServerId(s)));
            }
        }
        generation.begin_trackers();
        generation
    }

    /// Notes for operators whom a server tracks.
    fn name_tracked(&self, at: (ProxyId, ServerId)) {
        let Some((p, s)) = self.proxy(at.0).servers[at.1.0].track else { return };
        let name = format!("{}/{}", self.proxy(p).name, self.proxy(p).servers[s.0].name);
        let mut detail =
            self.server(at.0, at.1).detail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        detail.tracked = Some(name);
    }

    /// Chains of tracking servers, from their ends on.
    fn begin_trackers(&self) {
        let all = self.config.proxies.iter().enumerate();
        let mut left: Vec<_> = all
            .flat_map(|(p, proxy)| (0..proxy.servers.len()).map(move |s| (ProxyId(p), ServerId(s))))
            .filter(|at| self.proxy(at.0).servers[at.1.0].track.is_some())
            .collect();
        while !left.is_empty() {
            let before = left.len();
            let waits = |at: &(ProxyId, ServerId), left: &[(ProxyId, ServerId)]| {
                self.proxy(at.0).servers[at.1.0].track.is_some_and(|t| left.contains(&t))
            };
            let (later, now): (Vec<_>, Vec<_>) = left.iter().partition(|at| waits(at, &left));
            for at in now {
                self.begin_as_tracked(at);
            }
            left = later;
            if left.len() == before {
                // A loop, which the configuration does not have.
                return;
            }
        }
    }

    /// A server that tracks one in maintenance begins there, too.
    fn begin_as_tracked(&self, at: (ProxyId, ServerId)) {
        let followed = self.proxy(at.0).servers[at.1.0].track;
        let out = board::admin::FORCED_MAINT | board::admin::INHERITED_MAINT;
        let leads = |(p, s): (ProxyId, ServerId)| self.server(p, s).admin.load(Relaxed) & out != 0;
        if followed.is_some_and(leads) {
            let state = self.server(at.0, at.1);
            let before = state.admin.fetch_or(board::admin::INHERITED_MAINT, Relaxed);
            state.oper.store(board::oper::STOPPED, Relaxed);
            if before & board::admin::MAINT == 0 && transitions::usable(self, at.0) == (0, 0) {
                self.proxies[at.0.0].down_transitions.fetch_add(1, Relaxed);
            }
        }
    }

    /// `set-var` of the `global` section: what a new process would begin with.
    fn preset_variables(&self) {
        let Some(proxy) = self.config.proxies.first() else { return };
        evaluate::with_view(self, proxy, |view| {
            for preset in &self.config.global.proc_vars {
                preset.apply(view);
            }
        });
    }

    /// The live state of a server.
    pub fn server(&self, proxy: ProxyId, server: ServerId) -> &Arc<ServerState> {
        &self.servers[proxy.0][server.0]
    }

    /// Has every server checked at once: an address came to this host, so another host may be gone.
    pub fn suspect_all(&self) {
        for state in self.servers.iter().flat_map(Roster::iter) {
            state.suspicion.raise(suspicion::Why::Moved);
        }
    }

    /// The settings of a proxy.
    pub fn proxy(&self, id: ProxyId) -> &crate::config::model::Proxy {
        &self.config.proxies[id.0]
    }
}

/// A backend without servers may still have a place to go to: `dispatch`, or where the client wanted to
/// (`option transparent`).
fn direct(proxy: &mut Proxy) {
    let to = match proxy.dispatch {
        Some(address) => ServerAddress::Inet(address),
        None if proxy.options.transparent => ServerAddress::Destination(0),
        None => return,
    };
    if proxy.servers.is_empty() && proxy.kind.is_back() {
        let name = "<NOSRV>".to_owned();
        proxy.servers.push(Server { name, uuid: 1, address: to, hidden: true, ..Server::default() });
    }
}

impl Board {
    /// The state of a proxy, made when there is none.
    pub fn proxy(&self, name: &str, listeners: usize) -> Arc<ProxyState> {
        let mut all = self.proxies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let state = all.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(ProxyState {
                listeners: (0..listeners).map(|_| crate::stats::FrontCounters::default()).collect(),
                last_change: std::sync::atomic::AtomicU64::new(now_s()),
                ..ProxyState::default()
            })
        });
        Arc::clone(state)
    }

    /// The state of a server, made from its configuration when there is none.
    pub fn server(&self, backend: &str, server: &crate::config::model::Server) -> Arc<ServerState> {
        let mut all = self.servers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (backend.to_owned(), server.name.clone());
        if let Some(known) = all.get(&key) {
            return Arc::clone(known);
        }
        let state = ServerState::default();
        // A name without an address keeps its server out until it has one.
        let nowhere = matches!(server.address, ServerAddress::Name(..));
        let mut admin = if nowhere { board::admin::RESOLUTION_MAINT } else { 0 };
        if server.disabled {
            admin |= board::admin::CONFIGURED_MAINT | board::admin::FORCED_MAINT;
        }
        state.begin(server, admin);
        let state = Arc::new(state);
        all.insert(key, Arc::clone(&state));
        state
    }
}

impl ServerState {
    /// What is known of a server at its beginning.
    fn begin(&self, server: &Server, admin: u32) {
        let (state, out) = (self, admin != 0);
        state.admin.store(admin, Relaxed);
        state.oper.store(if out { board::oper::STOPPED } else { board::oper::RUNNING }, Relaxed);
        state.user_weight.store(server.weight, Relaxed);
        state.initial_weight.store(server.weight, Relaxed);
        state.maxconn.store(server.maxconn, Relaxed);
        let health = if out { 0 } else { server.check.rise };
        state.health.store(health, Relaxed);
        if let Ok(mut detail) = state.detail.lock() {
            match &server.address {
                ServerAddress::Inet(address) => {
                    (detail.address, detail.port) = (Some(*address), address.port());
                }
                ServerAddress::Name(_, port) | ServerAddress::Destination(port) => detail.port = *port,
                _ => {}
            }
            detail.fqdn.clone_from(&server.fqdn);
            detail.last_change = now_s();
            detail.check.configured = server.check.enabled;
            detail.check.enabled = server.check.enabled;
            detail.check.rise = server.check.rise;
            detail.check.fall = server.check.fall;
            detail.check.health = health;
            detail.agent.configured = server.agent.enabled;
            detail.agent.enabled = server.agent.enabled;
            (detail.agent.rise, detail.agent.fall, detail.agent.health) = (1, 1, 1);
        }
    }
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
