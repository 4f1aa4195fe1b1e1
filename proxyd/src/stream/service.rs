//! Built-in services that answer in place of a server: the stats page, the Prometheus exporter.

use super::http::{After, Exchange};
use super::txn::{EndedBy, EndedIn};
use super::view::Phase;
use crate::action::{Flow as Next, Reply, Verdict};
use crate::config::model::{ProxyId, ServerId, Stats};
use crate::http::errors;
use crate::http::message::Start;
use crate::runtime::Generation;
use crate::runtime::board::oper;
use crate::runtime::timers::Why;
use crate::runtime::transitions::{self, Notice, Wanted};
use crate::stats::service::AdminAction;
use crate::stats::{info, prometheus, rows, service};
use h1::Method;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What these services answer is of the moment.
const NO_CACHE: (&str, &[u8]) = ("cache-control", b"no-cache");
/// How long the body of a form is waited for.
const FORM_WAIT: Duration = Duration::from_secs(10);

impl Exchange<'_, '_> {
    /// Answers by a service that a rule asked for.
    pub async fn service(&mut self, name: &'static str) -> After {
        self.set_end((EndedBy::Local, EndedIn::Request));
        if name != "prometheus-exporter" {
            return self.reply_error(500).await;
        }
        self.parts.txn.server_note = Some("<PROMEX>");
        if !matches!(self.parts.info.method, Method::Get | Method::Head) {
            return self.reply_error(405).await;
        }
        let generation = Arc::clone(self.generation);
        let board = &generation.board;
        let values = info::values(&generation, board.clock());
        let all = rows::all(&generation, board.clock(), board.info.maxconn.load(Relaxed));
        let uri = String::from_utf8_lossy(self.parts.request.uri()).into_owned();
        let query = uri.split_once('?').map_or("", |(_, q)| q);
        let Some(filter) = filter(query) else { return self.reply_error(400).await };
        let body = prometheus::page(&values, &all, &rows::tables(&generation), filter);
        let fields = [NO_CACHE, ("content-type", &b"text/plain; version=0.0.4"[..])];
        self.answer_text(200, &fields, body, &[]).await
    }

    /// The stats page, where the request asks for it.
    pub async fn stats_page(&mut self, proxy: ProxyId) -> Result<(), After> {
        let generation = Arc::clone(self.generation);
        let Some(stats) = &generation.proxy(proxy).stats else { return Ok(()) };
        let method = self.parts.info.method;
        if stats.uri.is_empty() || !service::is_for(stats, method, self.parts.request.uri()) {
            return Ok(());
        }
        self.parts.txn.server_note = Some("<STATS>");
        for rule in &stats.http_request {
            let own = generation.proxy(proxy);
            match self.one_rule(rule, own, Phase::RequestHead) {
                Next::Continue => {}
                Next::Stop => break,
                Next::Finish(verdict) => return Err(self.refuse_stats(proxy, verdict).await),
                Next::Wait(_) | Next::Inform(_) => {}
            }
        }
        self.count_intercepted(proxy);
        if !service::authorised(stats, self.parts.request.first(b"authorization")) {
            return Err(self.ask_password(stats).await);
        }
        let admin =
            stats.admin.iter().any(|c| c.holds(&self.view(generation.proxy(proxy), Phase::RequestHead)));
        self.set_end((EndedBy::Local, EndedIn::Request));
        let query = service::Query::of(stats, self.parts.request.uri());
        let reply = if method == Method::Post {
            self.ask_for_body().await;
            let body = self.whole_body(FORM_WAIT).await;
            self.parts.txn.bytes_in += body.len() as u64;
            let tell = if admin { self.act(&body) } else { "DENY" };
            service::after_form(stats, &query, tell)
        } else {
            service::get(&generation, proxy, &query, admin)
        };
        Err(match reply {
            service::StatsReply::Body(kind, body) => {
                let refresh = stats.refresh.filter(|_| !query.no_refresh());
                let every = refresh.map(|every| every.as_secs().to_string());
                let mut fields = vec![NO_CACHE, ("content-type", kind.as_bytes())];
                fields.extend(every.as_ref().map(|every| ("refresh", every.as_bytes())));
                self.answer_text(200, &fields, body, &[]).await
            }
            service::StatsReply::SeeOther(location) => {
                let fields = [NO_CACHE, ("content-type", &b"text/plain"[..])];
                let location = [("location", location.as_bytes())];
                self.answer_text(303, &fields, String::new(), &location).await
            }
        })
    }

    /// Counts a request that the stats of its frontend answer; those of a backend are not told from others.
    pub(super) fn count_intercepted(&self, proxy: ProxyId) {
        if proxy == self.client.session.frontend {
            self.generation.proxies[proxy.0].front.intercepted.fetch_add(1, Relaxed);
        }
    }

    async fn refuse_stats(&mut self, proxy: ProxyId, verdict: Verdict) -> After {
        match verdict {
            Verdict::Reply(reply) => {
                if reply.denied {
                    let front = &self.generation.proxies[self.client.session.frontend.0].front;
                    front.denied_req.fetch_add(1, Relaxed);
                } else {
                    self.count_intercepted(proxy);
                }
                let by = if reply.denied { EndedBy::Proxy } else { EndedBy::Local };
                self.set_end((by, EndedIn::Request));
                self.reply(&reply).await
            }
            _ => self.reply_error(403).await,
        }
    }

    async fn ask_password(&mut self, stats: &Stats) -> After {
        self.set_end((EndedBy::Local, EndedIn::Request));
        let realm = stats.realm.as_deref().unwrap_or(service::REALM);
        let reply = Reply {
            status: 401,
            canned: true,
            headers: vec![("www-authenticate".to_owned(), format!("Basic realm=\"{realm}\"").into_bytes())],
            ..Reply::default()
        };
        self.reply(&Arc::new(reply)).await
    }

    /// Answers with these fields, in this order, and the body's length behind those of `front`.
    async fn answer_text(
        &mut self,
        status: u16,
        front: &[(&str, &[u8])],
        body: String,
        rest: &[(&str, &[u8])],
    ) -> After {
        let response = &mut self.parts.response;
        response.clear();
        let reason = response.store(errors::reason(status).as_bytes());
        response.start = Start::Response { status, reason };
        response.version = (1, 1);
        let length = body.len().to_string();
        let length: [(&str, &[u8]); 1] = [("content-length", length.as_bytes())];
        for (name, value) in front.iter().chain(&length).chain(rest) {
            response.add(name.as_bytes(), value);
        }
        self.served_here();
        self.send(body.into_bytes()).await
    }

    /// What answers here takes a server's place, in times as well.
    pub(super) fn served_here(&mut self) {
        let at = self.since_start();
        let times = &mut self.parts.txn.times;
        (times.queue, times.connect, times.response) = (Some(at), Some(at), Some(at));
    }

    /// Does what an operator's form asks for; gives the word to tell.
    fn act(&mut self, body: &[u8]) -> &'static str {
        let generation = Arc::clone(self.generation);
        let request = &self.parts.request;
        let (fields, bytes) =
            request.fields().fold((0, request.uri().len()), |(n, sum), (_, name, value)| {
                (n + 1, sum + name.len() + value.len())
            });
        if body.len() > service::form_max(&generation.config.global.tune, fields, bytes) {
            return "EXCD";
        }
        match service::form(&generation, body) {
            service::Form::Tell(word) => word,
            service::Form::Act { action, servers, unknown } => {
                let mut notices = Vec::new();
                let done =
                    servers.iter().filter(|at| perform(&generation, action, **at, &mut notices)).count();
                crate::log::notices(&generation, &notices);
                service::outcome(done, unknown)
            }
        }
    }
}

/// `scope=` and `no-maint` of the exporter's query; `None` for a scope that does not exist.
fn filter(query: &str) -> Option<prometheus::Filter> {
    let mut filter = prometheus::Filter::default();
    for word in query.split('&').filter(|w| !w.is_empty()) {
        if word == "no-maint" {
            filter.no_maint = true;
        } else if let Some(scope) = word.strip_prefix("scope=") {
            let scopes = filter.scopes.get_or_insert([false; 6]);
            match scope {
                "" => {}
                "*" => *scopes = [true; 6],
                name => {
                    let all = ["global", "frontend", "listener", "backend", "server", "sticktable"];
                    match all.iter().position(|n| *n == name) {
                        Some(at) => scopes[at] = true,
                        None => return None,
                    }
                }
            }
        }
    }
    Some(filter)
}

/// Does one action of the stats page's form; whether it fits this server.
fn perform(
    generation: &Generation,
    action: AdminAction,
    at: (ProxyId, ServerId),
    notices: &mut Vec<Notice>,
) -> bool {
    let (proxy, server) = at;
    let detail = || generation.server(proxy, server).detail.lock().unwrap_or_else(PoisonError::into_inner);
    let follows = generation.proxy(proxy).servers[server.0].track.is_some();
    let fits = match action {
        AdminAction::DisableHealth | AdminAction::EnableHealth => detail().check.configured,
        AdminAction::DisableAgent | AdminAction::EnableAgent => detail().agent.configured,
        AdminAction::HealthUp | AdminAction::HealthNolb | AdminAction::HealthDown => !follows,
        AdminAction::AgentUp | AdminAction::AgentDown => detail().agent.enabled,
        AdminAction::Disable => return transitions::force_admin(generation, at, false, true, notices),
        AdminAction::Enable => return transitions::force_admin(generation, at, false, false, notices),
        AdminAction::Stop => return transitions::force_admin(generation, at, true, true, notices),
        AdminAction::Start => return transitions::force_admin(generation, at, true, false, notices),
        AdminAction::Ready | AdminAction::Drain | AdminAction::Maint | AdminAction::Shutdown => true,
    };
    if !fits {
        return false;
    }
    match action {
        AdminAction::Ready => {
            transitions::set_admin(generation, proxy, server, Wanted::Ready, notices);
        }
        AdminAction::Drain => {
            transitions::set_admin(generation, proxy, server, Wanted::Drain, notices);
        }
        AdminAction::Maint => {
            transitions::set_admin(generation, proxy, server, Wanted::Maint, notices);
        }
        AdminAction::DisableHealth => detail().check.enabled = false,
        AdminAction::EnableHealth => detail().check.enabled = true,
        AdminAction::DisableAgent => detail().agent.enabled = false,
        AdminAction::EnableAgent => detail().agent.enabled = true,
        AdminAction::HealthUp => {
            transitions::force_health(generation, proxy, server, oper::RUNNING, notices);
        }
        AdminAction::HealthNolb => {
            transitions::force_health(generation, proxy, server, oper::STOPPING, notices);
        }
        AdminAction::HealthDown => {
            transitions::force_health(generation, proxy, server, oper::STOPPED, notices);
        }
        AdminAction::AgentUp => transitions::force_agent(generation, at, true, notices),
        AdminAction::AgentDown => transitions::force_agent(generation, at, false, notices),
        AdminAction::Disable | AdminAction::Enable | AdminAction::Stop | AdminAction::Start => {}
        AdminAction::Shutdown => generation.board.streams.kill_server(at, Why::Killed),
    }
    true
}
