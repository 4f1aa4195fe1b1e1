//! What a request to the stats URI asks for, and the answer: page, CSV, JSON, or an admin action.
//!
//! Pure: the caller authenticates (see [`authorised`]), applies the actions and sends the reply.

use super::rows::{self, Cell, Row, RowKind};
use super::status::ServerStatus;
use super::{csv, info, page, schema};
use crate::config::model::{Proxy, ProxyId, ServerId, Stats};
use crate::runtime::Generation;
use base64::Engine;

/// Most bytes of a form that are looked at: as much as haproxy's buffer holds.
pub const FORM_MAX: usize = 16_384;
/// Longest `scope`, as the page's input takes it.
const SCOPE_MAX: usize = 20;

/// What an operator asks for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAction {
    /// `ready`.
    Ready,
    /// `drain`.
    Drain,
    /// `maint`.
    Maint,
    /// `dhlth`.
    DisableHealth,
    /// `ehlth`.
    EnableHealth,
    /// `hrunn`.
    HealthUp,
    /// `hnolb`.
    HealthNolb,
    /// `hdown`.
    HealthDown,
    /// `dagent`.
    DisableAgent,
    /// `eagent`.
    EnableAgent,
    /// `arunn`.
    AgentUp,
    /// `adown`.
    AgentDown,
    /// `shutdown`.
    Shutdown,
}

/// All actions: form value and label.
pub const ACTIONS: [(&str, &str, AdminAction); 13] = [
    ("ready", "Set state to READY", AdminAction::Ready),
    ("drain", "Set state to DRAIN", AdminAction::Drain),
    ("maint", "Set state to MAINT", AdminAction::Maint),
    ("dhlth", "Health: disable checks", AdminAction::DisableHealth),
    ("ehlth", "Health: enable checks", AdminAction::EnableHealth),
    ("hrunn", "Health: force UP", AdminAction::HealthUp),
    ("hnolb", "Health: force NOLB", AdminAction::HealthNolb),
    ("hdown", "Health: force DOWN", AdminAction::HealthDown),
    ("dagent", "Agent: disable checks", AdminAction::DisableAgent),
    ("eagent", "Agent: enable checks", AdminAction::EnableAgent),
    ("arunn", "Agent: force UP", AdminAction::AgentUp),
    ("adown", "Agent: force DOWN", AdminAction::AgentDown),
    ("shutdown", "Kill Sessions", AdminAction::Shutdown),
];

/// What a client is asked a password for, unless the configuration says otherwise.
pub const REALM: &str = "HAProxy Statistics";

/// What scripts of old send: form values that have no button any more.
const OLD_ACTIONS: [(&str, AdminAction); 4] = [
    ("disable", AdminAction::Maint),
    ("enable", AdminAction::Ready),
    ("stop", AdminAction::Drain),
    ("start", AdminAction::Ready),
];

/// The action of a form value.
fn action_named(value: &str) -> Option<AdminAction> {
    let old = OLD_ACTIONS.iter().find(|(name, _)| *name == value).map(|(_, a)| *a);
    ACTIONS.iter().find(|(name, ..)| *name == value).map(|(.., a)| *a).or(old)
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsReply {
    /// 200 with this content type and body, `cache-control: no-cache`.
    Body(&'static str, String),
    /// 303 to this location after an admin action.
    SeeOther(String),
}

/// What the options behind the URI ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageOptions {
    /// `;up`: hides servers that are down.
    pub hide_down: bool,
    /// `;norefresh`.
    pub no_refresh: bool,
    /// `;no-maint`: hides servers in maintenance.
    pub hide_maint: bool,
    /// The operator may act (`stats admin`).
    pub admin: bool,
}

/// Whether a request for `uri` is for the stats of this configuration (a prefix match, as in haproxy).
pub fn is_for(stats: &Stats, uri: &[u8]) -> bool {
    uri.starts_with(stats.uri.as_bytes())
}

/// Whether an `authorization` header satisfies `stats auth`; true without any.
pub fn authorised(stats: &Stats, authorization: Option<&[u8]>) -> bool {
    if stats.auth.is_empty() {
        return true;
    }
    let given = authorization
        .and_then(|v| std::str::from_utf8(v).ok())
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, b64)| base64::engine::general_purpose::STANDARD.decode(b64.trim()).ok());
    let Some(given) = given else { return false };
    stats.auth.iter().any(|(user, password)| given == format!("{user}:{password}").into_bytes())
}

/// Answers a GET or HEAD. `uri` is the whole request target.
pub fn get(generation: &Generation, proxy: ProxyId, uri: &str, admin: bool) -> StatsReply {
    let own = &generation.config.proxies[proxy.0];
    let Some(stats) = &own.stats else { return StatsReply::Body("text/plain", String::new()) };
    let rest = uri.strip_prefix(stats.uri.as_str()).unwrap_or_default();
    let has = |word: &str| rest.split([';', '?', '&']).any(|w| w == word);
    if has("json-schema") {
        return StatsReply::Body("application/json", schema::compact());
    }
    let options = PageOptions {
        hide_down: has("up"),
        no_refresh: has("norefresh"),
        hide_maint: has("no-maint"),
        admin: admin && !stats.admin.is_empty(),
    };
    let scope = rest.split(['?', '&', ';']).find_map(|w| w.strip_prefix("scope=")).map(page::url_decode);
    let mut rows = visible(generation, own, stats, options, scope.as_deref());
    if has("csv") {
        csv::without_legends(&mut rows);
        return StatsReply::Body("text/plain", csv::csv(&rows));
    }
    if has("json") {
        csv::without_legends(&mut rows);
        return StatsReply::Body("application/json", csv::json(&rows));
    }
    let notice = rest.split([';', '?', '&']).find_map(|w| w.strip_prefix("st="));
    let info = info::values(generation, generation.board.clock());
    let html = page::html(&page::Input {
        generation,
        stats,
        rows: &rows,
        info: &info,
        options,
        notice,
        scope: scope.as_deref().unwrap_or_default(),
    });
    StatsReply::Body("text/html", html)
}

/// The rows a request may see: `stats scope`, the page's own scope, hidden states.
fn visible(
    generation: &Generation,
    own: &Proxy,
    stats: &Stats,
    options: PageOptions,
    scope: Option<&str>,
) -> Vec<Row> {
    let maxconn = generation.board.info.maxconn.load(std::sync::atomic::Ordering::Relaxed);
    let mut rows = rows::all(generation, generation.board.clock(), maxconn);
    let needle = scope.map(|s| s.chars().take(SCOPE_MAX).collect::<String>().to_lowercase());
    rows.retain(|row| {
        let name = &generation.config.proxies[row.proxy.0].name;
        let in_scope = stats.scope.is_empty()
            || stats.scope.iter().any(|s| s == name || (s == "." && *name == own.name));
        let named = needle.as_ref().is_none_or(|n| name.to_lowercase().contains(n.as_str()));
        let shown = row.kind != RowKind::Server || !hidden(row, options);
        in_scope && named && shown
    });
    rows
}

fn hidden(row: &Row, options: PageOptions) -> bool {
    let Some(status) = row.status else { return false };
    let down = matches!(status.label(), "DOWN" | "MAINT");
    (options.hide_down && down) || (options.hide_maint && status.label() == "MAINT")
}

/// What an admin form asks for, and the `st=` word if it is not to be done at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Do this to these; `unknown` says that some names were not found.
    Act {
        /// What.
        action: AdminAction,
        /// To whom.
        servers: Vec<(ProxyId, ServerId)>,
        /// Whether some names were not found.
        unknown: bool,
    },
    /// Do nothing and tell this.
    Tell(&'static str),
}

/// Reads a form's body (`s=s1&s=s2&action=drain&b=%233`).
pub fn form(generation: &Generation, body: &[u8]) -> Form {
    if body.len() > FORM_MAX {
        return Form::Tell("EXCD");
    }
    let (mut action, mut backend, mut names, mut bad) = (None, None, Vec::new(), false);
    for pair in body.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let pair = String::from_utf8_lossy(pair);
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        let value = page::url_decode(value);
        match key {
            "action" => action = action_named(&value),
            "b" => backend = find_backend(generation, &value),
            "s" if value.is_empty() => bad = true,
            "s" => names.push(value),
            _ => {}
        }
    }
    let (Some(action), Some(backend), false) = (action, backend, bad) else { return Form::Tell("ERRP") };
    let proxy = &generation.config.proxies[backend.0];
    let servers: Vec<_> =
        names.iter().filter_map(|n| Some((backend, proxy.server_named(n.as_bytes())?))).collect();
    match servers.len() {
        0 if names.is_empty() => Form::Tell("NONE"),
        0 => Form::Tell("ERRP"),
        found => Form::Act { action, unknown: found < names.len(), servers },
    }
}

fn find_backend(generation: &Generation, name: &str) -> Option<ProxyId> {
    let proxies = &generation.config.proxies;
    let found = match name.strip_prefix('#') {
        Some(id) => proxies.iter().position(|p| p.uuid.to_string() == id),
        None => proxies.iter().position(|p| p.kind.is_back() && p.name == name),
    };
    found.map(ProxyId)
}

/// Where to send the browser after a form: the page, and what to tell.
pub fn after_form(stats: &Stats, tell: &str) -> StatsReply {
    StatsReply::SeeOther(format!("{};st={tell}", stats.uri))
}

/// A cell as text, empty where there is none.
pub fn text(row: &Row, column: usize) -> String {
    match &row.cells[column] {
        Some(Cell::Num(n)) => n.to_string(),
        Some(Cell::Int(n)) => n.to_string(),
        Some(Cell::Text(s)) => s.clone(),
        None => String::new(),
    }
}

/// The class that colours a server's row.
pub fn row_class(row: &Row, backup: bool) -> String {
    match row.status.map(ServerStatus::css) {
        Some("maintain") => "maintain".into(),
        Some(state) => format!("{}_{state}", if backup { "backup" } else { "active" }),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_auth_is_compared_whole() {
        let stats = Stats { auth: vec![("admin".into(), "pa:ss".into())], ..Stats::default() };
        assert!(authorised(&stats, Some(b"Basic YWRtaW46cGE6c3M=")));
        for wrong in [&b"Basic YWRtaW46cGE="[..], b"Bearer YWRtaW46cGE6c3M=", b"Basic !!", b""] {
            assert!(!authorised(&stats, Some(wrong)));
        }
        assert!(!authorised(&stats, None));
        assert!(authorised(&Stats::default(), None));
    }
}
