//! What rules say about a request and a response.
//!
//! Order of a request: frontend's content rules, `monitor-uri`, `http-request`, stats page, then the choice of the
//! backend and its rules, then what the proxy adds (`forwardfor`, unique id). Of a response: cookie, content
//! rules, `http-response`, `http-after-response`.
//!
//! Invariant: a rule that waits is called again in its place, with more bytes or after its time.

use super::accept::Client;
use super::connect::Server;
use super::http::{After, Exchange, Switch};
use super::txn::{EndedBy, EndedIn, Peer};
use super::view::{Phase, View};
use crate::action::{Flow as Next, Reply, RuleSet, Verdict};
use crate::config::model::{BackendTarget, Mode, ProxyId, RestrictNames, ServerId};
use crate::http::{compress, cookie, forward};
use crate::runtime::clock;
use crate::stats::tally::Tally;
use h1::Framing;
use logging::syslog::Severity;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

impl<'c> Exchange<'c, '_> {
    /// Runs what stands before a server; `Err` says that the answer was given.
    pub async fn analyse(&mut self) -> Result<(), After> {
        let front = self.frontend();
        if !front.rules.tcp_req_cont.is_empty() {
            Box::pin(self.content_rules(&front.rules.tcp_req_cont, front.rules.req_inspect_delay)).await?;
        }
        if self.raw {
            return match self.switch {
                None => Box::pin(self.analyse_raw()).await,
                Some(_) => Ok(()),
            };
        }
        self.analyse_request().await
    }

    /// A request from what its frontend makes of it.
    pub async fn analyse_request(&mut self) -> Result<(), After> {
        let front = self.frontend();
        if let Some(uri) = &front.monitor_uri
            && is_monitored(self.parts.request.uri(), uri.as_bytes())
        {
            return Err(Box::pin(self.monitor()).await);
        }
        self.capture_request();
        if front.options.http_buffer_request {
            Box::pin(self.request_body(None, 0)).await?;
        }
        if !front.rules.http_req.is_empty() {
            self.http_rules(&front.rules.http_req, Phase::RequestHead, None, None).await?;
        }
        self.own_affairs(self.client.session.frontend).await?;
        self.route().await?;
        self.analyse_in_backend().await
    }

    /// From the rules of the backend, where it is not the frontend as well.
    pub async fn analyse_in_backend(&mut self) -> Result<(), After> {
        if self.backend != self.client.session.frontend {
            let back = self.back();
            if !back.rules.tcp_req_cont.is_empty() {
                Box::pin(self.content_rules(&back.rules.tcp_req_cont, back.rules.req_inspect_delay)).await?;
            }
            if back.options.http_buffer_request {
                Box::pin(self.request_body(None, 0)).await?;
            }
            if !back.rules.http_req.is_empty() {
                self.http_rules(&back.rules.http_req, Phase::RequestHead, None, None).await?;
            }
            self.own_affairs(self.backend).await?;
        }
        self.forwarding();
        self.use_server();
        self.read_cookie();
        self.stick();
        Ok(())
    }

    /// The same for a TCP stream: content rules of both sections.
    async fn analyse_raw(&mut self) -> Result<(), After> {
        self.look_for_http();
        self.route().await?;
        if self.parts.sight.client_broke || self.parts.sight.client_silent {
            let silent = self.parts.sight.client_silent;
            let by = if silent { EndedBy::ClientTimeout } else { EndedBy::Client };
            self.set_end((by, EndedIn::Request));
            return Err(After::Abort);
        }
        let back = self.back();
        if back.mode == Mode::Http {
            self.switch = Some(Switch { h2_too: true, routed: true });
            return Ok(());
        }
        if self.backend != self.client.session.frontend && !back.rules.tcp_req_cont.is_empty() {
            Box::pin(self.content_rules(&back.rules.tcp_req_cont, back.rules.req_inspect_delay)).await?;
        }
        self.use_server();
        self.stick();
        Ok(())
    }

    /// What a section does with a request itself, where it does anything: odd names, the stats page.
    async fn own_affairs(&mut self, at: ProxyId) -> Result<(), After> {
        let proxy = self.generation.proxy(at);
        if proxy.options.restrict_names != RestrictNames::Preserve {
            Box::pin(self.restrict_names(proxy.options.restrict_names)).await?;
        }
        if proxy.stats.is_some() {
            Box::pin(self.stats_page(at)).await?;
        }
        if self.parts.txn.cache.is_some() {
            self.cached().await?;
        }
        Ok(())
    }

    /// `option http-restrict-req-hdr-names`.
    async fn restrict_names(&mut self, how: RestrictNames) -> Result<(), After> {
        let odd = |name: &[u8]| !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        match how {
            RestrictNames::Preserve => Ok(()),
            RestrictNames::Delete => {
                let names: Vec<Vec<u8>> = self
                    .parts
                    .request
                    .fields()
                    .filter(|(_, n, _)| odd(n))
                    .map(|(_, n, _)| n.to_vec())
                    .collect();
                for name in names {
                    self.parts.request.remove(&name);
                }
                Ok(())
            }
            RestrictNames::Reject if self.parts.request.fields().any(|(_, n, _)| odd(n)) => {
                let front = &self.generation.proxies[self.client.session.frontend.0].front;
                front.denied_req.fetch_add(1, Relaxed);
                self.set_end((EndedBy::Proxy, EndedIn::Request));
                Err(self.reply_error(403).await)
            }
            RestrictNames::Reject => Ok(()),
        }
    }

    /// Chooses the backend.
    async fn route(&mut self) -> Result<(), After> {
        let front = self.frontend();
        let mut target = None;
        for rule in &front.use_backend {
            let view = self.view(front, Phase::RequestHead);
            if !rule.condition.as_ref().is_none_or(|c| c.holds(&view)) {
                continue;
            }
            target = match &rule.target {
                BackendTarget::Static(id) => Some(*id),
                BackendTarget::Dynamic(format) => {
                    let name = crate::log::render(format, &view);
                    let proxies = &view.generation.config.proxies;
                    proxies.iter().position(|p| p.kind.is_back() && p.name.as_bytes() == name).map(ProxyId)
                }
            };
            // A name that is no backend's leads to the default one, past all other rules.
            break;
        }
        let own = front.kind.is_back().then_some(self.client.session.frontend);
        let Some(backend) = target.or(front.default_backend).or(own) else {
            self.set_end((EndedBy::Server, EndedIn::Connect));
            return Err(Box::pin(self.reply_error(503)).await);
        };
        self.enter_backend(backend);
        if self.back().disabled {
            self.parts.txn.times.request = None;
            self.set_end((EndedBy::Server, EndedIn::Connect));
            return Err(Box::pin(self.reply_error(503)).await);
        }
        Ok(())
    }

    fn enter_backend(&mut self, backend: ProxyId) {
        self.backend = backend;
        self.parts.txn.backend = Some(backend);
        self.client.live.backend.set(Some(backend));
        if self.in_backend {
            return;
        }
        self.in_backend = true;
        let counters = &self.generation.proxies[backend.0].back;
        let now = counters.cur_sess.plus(1);
        if now > counters.max_sess.load(Relaxed) {
            counters.max_sess.fetch_max(now, Relaxed);
        }
        counters.cum_sess.plus(1);
        counters.rates.sess.add(self.parts.txn.start_ms, 1);
    }

    fn forwarding(&mut self) {
        let src = match self.parts.txn.src.as_ref().unwrap_or(&self.client.session.src) {
            Peer::Inet(a) => Some(a.ip()),
            _ => None,
        };
        let dst = match self.parts.txn.dst.as_ref().unwrap_or(&self.client.session.dst) {
            Peer::Inet(a) => Some(a.ip()),
            _ => None,
        };
        let (front, back) = (self.frontend(), self.back());
        let request = &mut self.parts.request;
        forward::add(request, front.forwardfor.as_ref(), back.forwardfor.as_ref(), src);
        forward::add(request, front.originalto.as_ref(), back.originalto.as_ref(), dst);
        if front.unique_id_format.is_some() {
            let view = self.view(front, Phase::RequestHead);
            let id = crate::fetch::env::unique_id(&view).map(<[u8]>::to_vec);
            if let (Some(header), Some(id)) = (&front.unique_id_header, id) {
                self.parts.request.add(header.as_bytes(), &id);
            }
        }
        let compression = [&back.compression, &front.compression];
        if let Some(settings) = compression.into_iter().flatten().find(|c| !c.algorithms.is_empty()) {
            self.parts.txn.compression = compress::wanted(settings, &mut self.parts.request);
        }
    }

    /// Persistence by cookie, unless a rule has named the server.
    fn read_cookie(&mut self) {
        let back = self.back();
        let Some(rule) = &back.cookie else { return };
        let states = &self.generation.servers[self.backend.0];
        let unused = self.persistence.ignored || self.stick_to.is_some();
        let terms = cookie::Terms {
            cookies: &self.generation.proxies[self.backend.0].cookies,
            unused,
            forced: self.persistence.forced || back.options.persist,
        };
        let found = cookie::request(rule, back, states, terms, &mut self.parts.request);
        self.parts.txn.cookie_state = found.state;
        self.persistence.dates = found.dates;
        self.stick_to = self.stick_to.or(found.server);
    }

    fn use_server(&mut self) {
        let back = self.back();
        let states = &self.generation.servers[self.backend.0];
        for (force, condition) in &back.persist_rules {
            let view = self.view(back, Phase::RequestHead);
            if condition.holds(&view) {
                // The first rule that holds decides.
                (self.persistence.forced, self.persistence.ignored) = (*force, !force);
                break;
            }
        }
        let forced = self.persistence.forced || back.options.persist;
        let may = |id: ServerId| states[id.0].is_up() || forced;
        let mut named = None;
        for rule in &back.use_server {
            let view = self.view(back, Phase::RequestHead);
            if !rule.condition.as_ref().is_none_or(|c| c.holds(&view)) {
                continue;
            }
            let id = rule.server.or_else(|| {
                let name = crate::log::render(rule.dynamic.as_ref()?, &view);
                back.server_named(&name)
            });
            named = named.or(id);
            if named.is_some() {
                break;
            }
        }
        self.stick_to = named.filter(|id| may(*id));
    }

    /// Stick rules of the request: the server that a table names, unless a cookie or a rule named one, and what to
    /// store once the server is known.
    fn stick(&mut self) {
        let back = self.back();
        let rules = &back.stick_rules;
        if rules.matches.is_empty() && rules.store_request.is_empty() {
            return;
        }
        let phase = if self.raw { Phase::RequestContent } else { Phase::RequestHead };
        let named = self.stick_to.is_some();
        let view = self.view(back, phase);
        let found = if named { None } else { rules.server_for(&view) };
        let pending = rules.from_request(&view);
        self.to_store = pending;
        if let Some((id, name)) = found {
            let by_name = name.and_then(|name| back.server_named(name.as_bytes()));
            let has_id = |s: &crate::config::model::Server| u64::from(s.uuid) == id && !s.life.is_gone();
            self.stick_to = by_name.or_else(|| back.servers.iter().position(has_id).map(ServerId));
        }
    }

    /// Stores the server under the keys of the request and of the response.
    pub fn store_stick(&mut self, server: &Server<'_>) {
        let back = self.back();
        let rules = &back.stick_rules.store_response;
        let mut pending = std::mem::take(&mut self.to_store);
        if !rules.is_empty() {
            let phase = if self.raw { Phase::ResponseContent } else { Phase::ResponseHead };
            let seen = (server.link.conn.buf.bytes(), server.link.conn.eof);
            pending.extend(back.stick_rules.from_response(&self.view_with(back, phase, seen)));
        }
        let settings = &back.servers[server.at.1.0];
        if !settings.non_stick {
            let now = clock::now();
            for p in &pending {
                p.store(settings.uuid, &settings.name, now);
            }
        }
    }

    /// The server that must be used, while it can be.
    pub fn persistent(&self) -> Option<ServerId> {
        let id = self.stick_to?;
        let state = self.generation.server(self.backend, id);
        // A server that drains keeps those it has.
        (state.is_up() || self.back().options.persist || self.persistence.forced).then_some(id)
    }

    fn capture_request(&mut self) {
        let front = self.frontend();
        let parts = &mut *self.parts;
        for capture in &front.capture_request {
            let value = parts.request.find(capture.name.as_bytes()).next_back().map(|(_, v)| v);
            parts.txn.captures_req.get_mut().push(value.map(|v| v[..v.len().min(capture.len)].to_vec()));
        }
        if let Some(capture) = &front.capture_cookie {
            parts.txn.cookie_req = cookie::captured(&parts.request, b"cookie", capture);
        }
    }

    /// A view of the request for rules.
    pub fn view<'v>(&'v mut self, proxy: &'v crate::config::model::Proxy, phase: Phase) -> View<'v> {
        self.view_with(proxy, phase, (&[], false))
    }

    /// The same, with what came of the response's body and whether that is all of it.
    pub fn view_with<'v>(
        &'v mut self,
        proxy: &'v crate::config::model::Proxy,
        phase: Phase,
        (response_bytes, response_ended): (&'v [u8], bool),
    ) -> View<'v> {
        let parts = &mut *self.parts;
        let in_response = matches!(phase, Phase::ResponseHead | Phase::ResponseContent | Phase::Log);
        let conn = &self.client.conn;
        // A large buffer may hold more than rules are to see.
        let most = self.generation.config.global.tune.bufsize;
        let raw = &conn.buf.bytes()[..conn.buf.len().min(most)];
        let full = raw.len() == most;
        let (body, ended) =
            if self.raw { (raw, false) } else { parts.sight.request(parts.info.framing, raw) };
        View {
            now: clock::now(),
            wall: clock::wall(),
            generation: self.generation,
            proxy,
            phase,
            session: &mut self.client.session,
            txn: Some(&mut parts.txn),
            request: Some(&mut parts.request).filter(|_| !self.raw || parts.looks_http),
            response: in_response.then_some(&mut parts.response),
            request_bytes: body,
            request_ended: ended || full || conn.eof || conn.buf.is_full(),
            response_bytes,
            response_ended,
            may_wait: true,
        }
    }

    /// Carries out the verdict of a rule.
    pub async fn finish_by(&mut self, verdict: Verdict, phase: Phase) -> After {
        let in_response = matches!(phase, Phase::ResponseHead | Phase::ResponseContent);
        match verdict {
            Verdict::Reply(reply) => {
                let within = if in_response { EndedIn::Headers } else { EndedIn::Request };
                if reply.denied {
                    self.count_denied(phase);
                    if !in_response {
                        self.track_denied();
                    }
                    self.set_end((EndedBy::Proxy, within));
                } else {
                    let frontend = self.client.session.frontend;
                    if !in_response && self.backend == frontend {
                        self.count_intercepted(frontend);
                    }
                    self.set_end((EndedBy::Local, within));
                }
                if in_response {
                    self.parts.txn.times.response = None;
                }
                self.reply(&reply).await
            }
            Verdict::Tarpit(reply) => {
                self.count_denied(phase);
                self.track_denied();
                let timeouts = &self.back().timeouts;
                self.client.deadline.set(clock::now(), timeouts.tarpit.or(timeouts.connect));
                self.client.deadline.passed().await;
                // haproxy shows the time in the tarpit as time in the queue.
                let waited = self.since_start();
                (self.parts.txn.times.request, self.parts.txn.times.queue) = (None, Some(waited));
                self.set_end((EndedBy::Proxy, EndedIn::Tarpit));
                self.reply(&reply).await
            }
            Verdict::Reject | Verdict::Close | Verdict::Http { .. } => {
                self.count_denied(phase);
                let within = match phase {
                    Phase::ResponseContent => EndedIn::Data,
                    _ if in_response => EndedIn::Headers,
                    _ => EndedIn::Request,
                };
                self.set_end((EndedBy::Proxy, within));
                self.unreach(in_response);
                if phase == Phase::ResponseContent && !self.raw {
                    self.parts.txn.bytes_out = 0;
                }
                After::Close
            }
            Verdict::SilentDrop(hops) => {
                self.count_denied(phase);
                self.set_end((EndedBy::Proxy, EndedIn::Request));
                self.unreach(in_response);
                if in_response {
                    self.parts.txn.status = self.parts.txn.server_status;
                }
                super::rules::forget(&self.client.conn, hops);
                After::Abort
            }
            Verdict::Service(name) => self.service(name).await,
            Verdict::Invalid => {
                self.set_end((EndedBy::Proxy, EndedIn::Request));
                self.reply_error(400).await
            }
            Verdict::Internal => {
                self.set_end((EndedBy::Proxy, EndedIn::Request));
                self.reply_error(500).await
            }
        }
    }

    /// Counts what a rule refuses: a request for the frontend, and for the backend whose HTTP rule it was; a response
    /// for all whose it was.
    fn count_denied(&self, phase: Phase) {
        let frontend = self.client.session.frontend;
        let front = &self.generation.proxies[frontend.0].front;
        let back = &self.generation.proxies[self.backend.0].back;
        if !matches!(phase, Phase::ResponseHead | Phase::ResponseContent) {
            front.denied_req.fetch_add(1, Relaxed);
            if self.backend != frontend && phase != Phase::RequestContent {
                back.denied_req.fetch_add(1, Relaxed);
            }
            return;
        }
        front.denied_resp.fetch_add(1, Relaxed);
        back.denied_resp.fetch_add(1, Relaxed);
        if let Some(server) = self.parts.txn.server {
            self.generation.server(self.backend, server).counters.denied_resp.fetch_add(1, Relaxed);
        }
    }

    /// A message that is dropped while rules look at it was never reached, as logs tell it.
    fn unreach(&mut self, in_response: bool) {
        let times = &mut self.parts.txn.times;
        *(if in_response { &mut times.response } else { &mut times.request }) = None;
    }

    async fn monitor(&mut self) -> After {
        let front = self.frontend();
        let fails = front.monitor_fail.iter().any(|c| c.holds(&self.view(front, Phase::RequestHead)));
        self.silent = true;
        self.count_intercepted(self.client.session.frontend);
        self.set_end((EndedBy::Local, EndedIn::Request));
        self.reply_error(if fails { 503 } else { 200 }).await
    }

    /// The response's rules.
    pub async fn analyse_response(&mut self, server: &mut Server<'_>, framing: Framing) -> Result<(), After> {
        let (front, back) = (self.frontend(), self.back());
        self.responding();
        self.store_stick(server);
        if !back.rules.tcp_res_cont.is_empty() {
            let delay = back.rules.res_inspect_delay;
            let from = Some((&mut *server, framing));
            Box::pin(self.http_rules(&back.rules.tcp_res_cont, Phase::ResponseContent, delay, from)).await?;
        }
        self.capture_response();
        if !back.rules.http_res.is_empty() {
            let from = Some((&mut *server, framing));
            Box::pin(self.http_rules(&back.rules.http_res, Phase::ResponseHead, None, from)).await?;
        }
        if self.backend != self.client.session.frontend && !front.rules.http_res.is_empty() {
            let from = Some((&mut *server, framing));
            Box::pin(self.http_rules(&front.rules.http_res, Phase::ResponseHead, None, from)).await?;
        }
        let parts = &*self.parts;
        let leaks = back.options.checkcache && cookie::leaks(&parts.response, &parts.txn.method);
        if let Some(rule) = &back.cookie {
            let (chosen, state) =
                (&back.servers[server.at.1.0], &self.generation.servers[server.at.0.0][server.at.1.0]);
            let id = self.generation.proxies[server.at.0.0].cookies.of(back, chosen, state);
            let parts = &mut *self.parts;
            let given = cookie::Given {
                id: id.as_deref(),
                direct: self.stick_to == Some(server.at.1),
                post: parts.txn.method == b"POST",
                ignored: self.persistence.ignored,
                dates: self.persistence.dates,
            };
            parts.txn.cookie_action = cookie::response(rule, given, &mut parts.response);
        }
        if leaks {
            return Err(self.refuse_cookie(server).await);
        }
        self.after_response();
        Ok(())
    }

    /// `option checkcache`: a cookie that a cache would give to others.
    async fn refuse_cookie(&mut self, server: &Server<'_>) -> After {
        let back = self.back();
        let name = &back.servers[server.at.1.0].name;
        let text =
            format!("Blocking cacheable cookie in response from instance {}, server {name}.", back.name);
        let now = SystemTime::now();
        crate::log::line(self.generation, self.backend, Severity::Alert, now, text.as_bytes());
        let headers = Vec::new();
        let reply = Reply {
            status: 502,
            raw: None,
            headers,
            body: Vec::new(),
            denied: true,
            canned: true,
            redirect: false,
        };
        self.finish_by(Verdict::Reply(Arc::new(reply)), Phase::ResponseHead).await
    }

    /// `capture response header` and `capture cookie`.
    pub fn capture_response(&mut self) {
        self.responding();
        let front = self.frontend();
        let parts = &mut *self.parts;
        for capture in &front.capture_response {
            let value = parts.response.find(capture.name.as_bytes()).next_back().map(|(_, v)| v);
            parts.txn.captures_res.get_mut().push(value.map(|v| v[..v.len().min(capture.len)].to_vec()));
        }
        if let Some(capture) = &front.capture_cookie {
            parts.txn.cookie_res = cookie::captured(&parts.response, b"set-cookie", capture);
        }
    }

    /// From here on variables of the message are the response's.
    pub(super) fn responding(&mut self) {
        let txn = &mut self.parts.txn;
        if !txn.responding {
            txn.responding = true;
            txn.message_vars.clear();
        }
    }

    /// `http-after-response` rules.
    pub fn after_response(&mut self) {
        self.responding();
        let (front, back) = (self.frontend(), self.back());
        let mut sets: Vec<&RuleSet> = back.rules.http_after_res.iter().collect();
        if self.backend != self.client.session.frontend {
            sets.extend(front.rules.http_after_res.iter());
        }
        for set in sets {
            for rule in set.iter() {
                if let Next::Stop = self.one_rule(rule, back, Phase::ResponseHead) {
                    break;
                }
            }
        }
    }

    /// How many connections there are at this moment, for the log.
    fn count_now(&mut self) {
        let Self { client, generation, parts, backend, in_backend, .. } = self;
        let txn = &mut parts.txn;
        let front = &generation.proxies[client.session.frontend.0].front;
        let process = generation.board.process.cur_conns.load(Relaxed);
        let (of_back, of_server) = match (*in_backend, txn.server) {
            (true, Some(id)) => {
                // A session that the queue gave away counts when its stream goes on.
                let server = generation.server(*backend, id).counters.cur_sess.load(Relaxed);
                (generation.proxies[backend.0].back.cur_sess.load(Relaxed), server)
            }
            (true, None) => (generation.proxies[backend.0].back.cur_sess.load(Relaxed), 0),
            _ => (0, 0),
        };
        txn.counts = [process, front.cur_conn.load(Relaxed), of_back, of_server];
    }

    /// `option logasap`: the line is written before the data, with what is known by now; `here` bytes of the answer's
    /// body have come.
    pub fn log_early(&mut self, here: usize) {
        let proxy = self.frontend();
        if !proxy.options.logasap || self.silent || proxy.logs.is_empty() {
            return;
        }
        self.parts.txn.times.end = Some(self.since_start());
        self.count_now();
        self.parts.txn.bytes_out += here as u64;
        // What the client sent is added up at the end.
        let bytes_in = std::mem::take(&mut self.parts.txn.bytes_in);
        crate::log::emit(&self.view(proxy, Phase::Log));
        self.parts.txn.bytes_in = bytes_in;
        self.parts.txn.bytes_out -= here as u64;
        self.silent = true;
    }

    /// Counts, logs and gives the memory back. Nothing is logged for `silent` ones.
    pub fn finish(self, silent: bool) {
        self.finish_on(silent);
    }

    /// The same, giving the connection back.
    pub fn finish_on(mut self, silent: bool) -> &'c mut Client {
        let end = self.since_start();
        self.client.live.phase.set(crate::runtime::streams::Phase::Idle);
        if self.client.deadline.rung().is_some() {
            self.client.deadline.silence();
        }
        let Self { client, generation, parts, backend, in_backend, .. } = &mut self;
        let txn = &mut parts.txn;
        txn.times.end = Some(end);
        txn.bytes_in += parts.up.counted;
        txn.bytes_out += parts.down.counted;
        let (taken, made) = parts.down.encoded;
        let front = &generation.proxies[client.session.frontend.0].front;
        front.bytes_in.plus(txn.bytes_in);
        front.bytes_out.plus(txn.bytes_out);
        if txn.status > 0 {
            front.count_status(txn.status);
        }
        if taken > 0 {
            front.comp_in.fetch_add(taken, Relaxed);
            front.comp_out.fetch_add(made, Relaxed);
        }
        if *in_backend {
            let back = &generation.proxies[backend.0].back;
            back.cur_sess.minus(1);
            back.http_req.plus(1);
            back.count_bytes(txn.bytes_in, txn.bytes_out);
            if txn.status > 0 {
                back.count_status(txn.status);
            }
            let spent = super::txn::Spent::of(txn);
            spent.count(&back.rates);
            if taken > 0 {
                back.comp_in.fetch_add(taken, Relaxed);
                back.comp_out.fetch_add(made, Relaxed);
            }
            if let Some(server) = txn.server {
                let counters = &generation.server(*backend, server).counters;
                counters.count_bytes(txn.bytes_in, txn.bytes_out);
                spent.count(&counters.rates);
            }
        } else if generation.proxy(client.session.frontend).kind.is_back() {
            // Until another is chosen a `listen` section is its own backend.
            generation.proxies[client.session.frontend.0].back.count_bytes(txn.bytes_in, txn.bytes_out);
        }
        self.track_bytes();
        self.count_now();
        if !silent && !self.silent {
            let proxy = self.frontend();
            if !proxy.logs.is_empty() {
                crate::log::emit(&self.view(proxy, Phase::Log));
            }
        }
        self.client.worker.give_parts(self.parts);
        self.client
    }
}

/// Whether a target is the one of `monitor-uri`: as it stands, or by its path where it is absolute.
fn is_monitored(target: &[u8], monitored: &[u8]) -> bool {
    target == monitored
        || (!target.starts_with(b"/") && crate::fetch::line::path_and_query(target) == Some(monitored))
}
