//! What a request to the stats URI asks for, and the answer: page, CSV, JSON, or an admin action.
//!
//! Pure: the caller authenticates (see [`authorised`]), applies the actions and sends the reply.

use super::fields::column;
use super::rows::{self, Cell, Row, RowKind};
use super::status::ServerStatus;
use super::{csv, info, page, schema};
use crate::config::model::{Proxy, ProxyId, ServerId, Stats};
use crate::fetch::line::path_and_query;
use crate::runtime::Generation;
use base64::Engine;
use h1::Method;

/// Characters of the word behind `;st=`.
const NOTICE_LEN: usize = 4;
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
    /// `disable` of old: maintenance, beside a drain.
    Disable,
    /// `enable` of old: ends that.
    Enable,
    /// `stop` of old: a drain, beside maintenance.
    Stop,
    /// `start` of old: ends that.
    Start,
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
    ("disable", AdminAction::Disable),
    ("enable", AdminAction::Enable),
    ("stop", AdminAction::Stop),
    ("start", AdminAction::Start),
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

/// What a request asks for, as it is found behind `stats uri`: words may stand anywhere there and run on
/// (`;csvx` is `;csv`), as in haproxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    format: Format,
    options: PageOptions,
    scope: String,
    notice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Html,
    Csv,
    Typed,
    Json,
    Schema,
}

/// Words that choose a format; the first that is there counts.
const FORMATS: [(&str, Format); 4] = [
    (";json-schema", Format::Schema),
    (";json", Format::Json),
    (";typed", Format::Typed),
    (";csv", Format::Csv),
];

impl Query {
    /// What a request target asks for.
    pub fn of(stats: &Stats, target: &[u8]) -> Self {
        let rest = asked(stats, target).unwrap_or_default();
        let rest = String::from_utf8_lossy(rest);
        let format = FORMATS.iter().find(|(word, _)| rest.contains(word)).map_or(Format::Html, |(_, f)| *f);
        let options = PageOptions {
            hide_down: rest.contains(";up"),
            no_refresh: rest.contains(";norefresh"),
            hide_maint: rest.contains(";no-maint"),
            admin: false,
        };
        let word = rest.split_once(";st=").and_then(|(_, word)| word.get(..NOTICE_LEN));
        let notice = word.map(str::to_owned);
        Self { format, options, scope: scope(&rest), notice }
    }

    /// Whether the page is not to come again by itself.
    pub fn no_refresh(&self) -> bool {
        self.options.no_refresh
    }
}

/// The scope of a request: nothing where it has characters that no name of a proxy has.
fn scope(rest: &str) -> String {
    let Some((_, text)) = rest.split_once("scope=") else { return String::new() };
    let end = text.find([';', '&']).unwrap_or(text.len());
    // A single character at the very end is not looked at.
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.len() < 2 || !text[..end].chars().all(known) {
        return String::new();
    }
    text[..end].chars().take(SCOPE_MAX).collect()
}

/// What stands behind `stats uri` in a target; none where the target is not for the stats. A URI that begins with `/`
/// is compared with the path of targets in absolute form.
fn asked<'a>(stats: &Stats, target: &'a [u8]) -> Option<&'a [u8]> {
    let target = if stats.uri.starts_with('/') { path_and_query(target)? } else { target };
    target.strip_prefix(stats.uri.as_bytes())
}

/// Whether a request is for the stats of this configuration: a prefix match, and one of three methods.
pub fn is_for(stats: &Stats, method: Method, target: &[u8]) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Post) && asked(stats, target).is_some()
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

/// Answers a GET or HEAD.
pub fn get(generation: &Generation, proxy: ProxyId, query: &Query, admin: bool) -> StatsReply {
    let own = &generation.config.proxies[proxy.0];
    let Some(stats) = &own.stats else { return StatsReply::Body("text/plain", String::new()) };
    if query.format == Format::Schema {
        return StatsReply::Body("application/json", schema::compact());
    }
    let options = PageOptions { admin: admin && !stats.admin.is_empty(), ..query.options };
    let mut rows = visible(generation, own, stats, options, &query.scope);
    if !stats.show_legends {
        csv::without_legends(&mut rows);
    }
    let (kind, body) = match query.format {
        Format::Csv => ("text/plain", csv::csv(&rows)),
        Format::Typed => ("text/plain", csv::typed(&rows, false)),
        Format::Json => ("application/json", csv::json(&rows)),
        Format::Html | Format::Schema => {
            let info = info::values(generation, generation.board.clock());
            let notice = query.notice.as_deref();
            let (rows, info, scope) = (&rows, &info, query.scope.as_str());
            ("text/html", page::html(&page::Input { generation, stats, rows, info, options, notice, scope }))
        }
    };
    StatsReply::Body(kind, body)
}

/// The rows a request may see: `stats scope`, the page's own scope, hidden states.
fn visible(
    generation: &Generation,
    own: &Proxy,
    stats: &Stats,
    options: PageOptions,
    scope: &str,
) -> Vec<Row> {
    let maxconn = generation.board.info.maxconn.load(std::sync::atomic::Ordering::Relaxed);
    let mut rows = rows::all(generation, generation.board.clock(), maxconn);
    let needle = scope.to_lowercase();
    rows.retain(|row| {
        let name = &generation.config.proxies[row.proxy.0].name;
        let in_scope = stats.scope.is_empty()
            || stats.scope.iter().any(|s| s == name || (s == "." && *name == own.name));
        in_scope && name.to_lowercase().contains(&needle)
    });
    if options.hide_down || options.hide_maint {
        tell_hidden(&mut rows);
        rows.retain(|row| row.kind != RowKind::Server || !hidden(row, options));
    }
    rows
}

/// Where servers may be hidden, the status of a backend says how many there are: `UP (2/6)`.
fn tell_hidden(rows: &mut [Row]) {
    const STATUS: usize = column("status");
    for at in (0..rows.len()).filter(|at| rows[*at].kind == RowKind::Backend).collect::<Vec<_>>() {
        let of_it = |r: &&Row| r.kind == RowKind::Server && r.proxy == rows[at].proxy;
        let all = rows.iter().filter(of_it).count();
        let up = rows.iter().filter(of_it).filter(|r| !is_out(r)).count();
        let status = format!("{} ({up}/{all})", text(&rows[at], STATUS));
        rows[at].cells[STATUS] = Some(Cell::Text(status));
    }
}

fn is_out(row: &Row) -> bool {
    row.status.is_some_and(|s| matches!(s.label(), "DOWN" | "MAINT"))
}

fn hidden(row: &Row, options: PageOptions) -> bool {
    let in_maintenance = row.status.is_some_and(|s| s.label() == "MAINT");
    (options.hide_down && is_out(row)) || (options.hide_maint && in_maintenance)
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
        /// Names that were not found.
        unknown: usize,
    },
    /// Do nothing and tell this.
    Tell(&'static str),
}

/// Reads a form's body (`s=s1&s=s2&action=drain&b=%233`). Of an action or backend given twice the last counts; what is
/// not encoded well is not there.
pub fn form(generation: &Generation, body: &[u8]) -> Form {
    let (mut action, mut backend, mut names) = (None, None, Vec::new());
    for pair in body.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let pair = String::from_utf8_lossy(pair);
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        if !well_encoded(value) || (value.is_empty() && !pair.contains('=') && key != "s") {
            continue;
        }
        let value = page::url_decode(value);
        match key {
            "action" => action = Some(action_named(&value)),
            "b" => backend = Some(find_backend(generation, &value)),
            "s" => names.push(value),
            _ => {}
        }
    }
    if action == Some(None) || backend == Some(None) {
        return Form::Tell("ERRP");
    }
    let (Some(action), Some(backend)) = (action.flatten(), backend.flatten()) else {
        return Form::Tell("NONE");
    };
    let proxy = &generation.config.proxies[backend.0];
    let servers: Vec<_> =
        names.iter().filter_map(|n| Some((backend, proxy.server_named(n.as_bytes())?))).collect();
    Form::Act { action, unknown: names.len() - servers.len(), servers }
}

/// The `st=` word of what a form did: how many servers its action fits and was done to, and how many names no server has.
pub fn outcome(done: usize, unknown: usize) -> &'static str {
    match (done, unknown) {
        (0, 0) => "NONE",
        (0, _) => "ERRP",
        (_, 0) => "DONE",
        _ => "PART",
    }
}

/// Whether every `%` begins a byte.
fn well_encoded(text: &str) -> bool {
    let hex = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(hex)
}

/// How long a form may be: what haproxy's buffer has left beside the head and room to rewrite it, for a head of this
/// many fields and bytes in them.
pub fn form_max(tune: &crate::config::model::Tune, fields: usize, bytes: usize) -> usize {
    // What the start line, the end of the head and the body themselves take there.
    const BESIDE: usize = 24 + 3 * PER_BLOCK;
    const PER_BLOCK: usize = 8;
    tune.bufsize.saturating_sub(tune.maxrewrite + BESIDE + fields * PER_BLOCK + bytes)
}

fn find_backend(generation: &Generation, name: &str) -> Option<ProxyId> {
    let proxies = &generation.config.proxies;
    let found = match name.strip_prefix('#') {
        Some(id) => proxies.iter().position(|p| p.uuid.to_string() == id),
        None => proxies.iter().position(|p| p.kind.is_back() && p.name == name),
    };
    found.map(ProxyId)
}

/// Where to send the browser after a form: the page as it was asked for, and what to tell.
pub fn after_form(stats: &Stats, query: &Query, tell: &str) -> StatsReply {
    let up = if query.options.hide_down { ";up" } else { "" };
    let refresh = if query.options.no_refresh { ";norefresh" } else { "" };
    let scope = if query.scope.is_empty() { String::new() } else { format!("?scope={}", query.scope) };
    StatsReply::SeeOther(format!("{};st={tell}{up}{refresh}{scope}", stats.uri))
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
    fn queries_are_words_behind_the_uri() {
        let stats = Stats { uri: "/s".into(), ..Stats::default() };
        let of = |target: &str| Query::of(&stats, target.as_bytes());
        for (target, format) in [
            ("/s", Format::Html),
            ("/s?csv", Format::Html),
            ("/s;csvx", Format::Csv),
            ("/s;csv;typed", Format::Typed),
            ("/s;typed;json", Format::Json),
            ("/s;json-s", Format::Json),
            ("http://x/s;json;json-schema", Format::Schema),
        ] {
            assert_eq!(of(target).format, format, "{target}");
        }
        for (target, scope) in [
            ("/s;scope=app", "app"),
            ("/s?scope=app&x=y", "app"),
            ("/s;scope=a%62", ""),
            ("/s;scope=a", ""),
            ("/s;scope=a;", "a"),
            ("/s;scope=aaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(of(target).scope, scope, "{target}");
        }
        let location = |target: &str| after_form(&stats, &of(target), "DONE");
        assert_eq!(
            location("/s;up;no-maint;csv;scope=ab"),
            StatsReply::SeeOther("/s;st=DONE;up?scope=ab".into())
        );
        assert!(is_for(&stats, Method::Post, b"/sx") && !is_for(&stats, Method::Put, b"/s"));
    }

    #[test]
    fn percent_signs_begin_bytes() {
        assert!(well_encoded("a%62") && well_encoded("") && !well_encoded("a%6") && !well_encoded("%zz1"));
    }

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
