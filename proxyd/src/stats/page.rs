//! The stats page: one table a proxy, haproxy's columns, forms and options, readable on any screen.
//!
//! Pure: rows in, HTML out. No script is needed to read or to act; the style follows the reader's light or dark
//! preference.

use super::fields::{COMMON, FIELDS, column};
use super::info::InfoRow;
use super::rows::{Cell, Row, RowKind};
use super::service::{ACTIONS, PageOptions, row_class, text};
use crate::config::model::{ProxyId, Stats};
use crate::runtime::Generation;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// What a page is made of.
#[derive(Debug)]
pub struct Input<'a> {
    /// The generation shown.
    pub generation: &'a Generation,
    /// Its configuration.
    pub stats: &'a Stats,
    /// Rows to show.
    pub rows: &'a [Row],
    /// Lines of `show info`.
    pub info: &'a [(&'static InfoRow, Cell)],
    /// Options of the URI.
    pub options: PageOptions,
    /// The `st=` word.
    pub notice: Option<&'a str>,
    /// The scope in force.
    pub scope: &'a str,
}

/// The page.
pub fn html(input: &Input<'_>) -> String {
    let mut out = String::with_capacity(16 * 1024);
    let uri = escape(&input.stats.uri);
    let refresh = match input.stats.refresh {
        Some(every) if !input.options.no_refresh => {
            format!("<meta http-equiv=\"refresh\" content=\"{}\">", every.as_secs().max(1))
        }
        _ => String::new(),
    };
    let title = told(input, input.stats.show_node.as_deref(), "node", " on ");
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Statistics Report for HAProxy{title}\
         </title><link rel=\"icon\" href=\"data:,\"><meta name=\"viewport\" content=\"width=device-width\">{refresh}\
         <style>{STYLE}</style></head><body>\n"
    );
    header(&mut out, input, &uri);
    if let Some(word) = input.notice {
        let (class, message) = notice(word);
        let _ = writeln!(
            out,
            "<p class=\"notice {class}\"><a href=\"{uri}\" title=\"Remove this message\">[X]</a> {message}</p>"
        );
    }
    for (i, _) in input.generation.config.proxies.iter().enumerate() {
        proxy(&mut out, input, ProxyId(i));
    }
    out.push_str("</body></html>\n");
    out
}

fn info_text(info: &[(&'static InfoRow, Cell)], name: &str) -> String {
    info.iter().find(|(row, _)| row.field.name == name).map_or_else(String::new, |(_, cell)| match cell {
        Cell::Num(n) => n.to_string(),
        Cell::Int(n) => n.to_string(),
        Cell::Text(s) => escape(s),
    })
}

/// What `stats show-node` and `show-desc` tell: their own words, or else the process's.
fn told(input: &Input<'_>, own: Option<&str>, line: &str, before: &str) -> String {
    match own {
        None => String::new(),
        Some("") => format!("{before}{}", info_text(input.info, line)),
        Some(own) => format!("{before}{}", escape(own)),
    }
}

fn header(out: &mut String, input: &Input<'_>, uri: &str) {
    let get = |name: &str| info_text(input.info, name);
    let version =
        if input.stats.hide_version { String::new() } else { format!(" version {}", get("Version")) };
    let node = told(input, input.stats.show_node.as_deref(), "node", " on ");
    let desc = told(input, input.stats.show_desc.as_deref(), "description", ": ");
    let _ = write!(
        out,
        "<header><h1>HAProxy{version}</h1><h2>Statistics Report for pid {}{node}{desc}</h2>\n\
         <dl class=\"process\"><div><dt>pid</dt><dd>{} (process #1, nbproc = 1, nbthread = {})</dd></div><div><dt>uptime\
         </dt><dd>{}</dd></div><div><dt>system limits</dt><dd>memmax = unlimited; ulimit-n = {}</dd></div><div><dt>\
         maxsock</dt><dd>{}; maxconn = {}</dd></div><div><dt>current conns</dt><dd>{}; conn rate = {}/sec; bit rate = \
         {} bps</dd></div><div><dt>idle</dt><dd>{} %</dd></div></dl>\n",
        get("Pid"),
        get("Pid"),
        get("Nbthread"),
        get("Uptime"),
        get("Ulimit-n"),
        get("Maxsock"),
        get("Maxconn"),
        get("CurrConns"),
        get("ConnRate"),
        get("BytesOutRate").parse::<u64>().unwrap_or(0) * 8,
        get("Idle_pct"),
    );
    let legend = [
        ("active_up", "UP"),
        ("active_going_down", "UP, going down"),
        ("active_going_up", "DOWN, going up"),
        ("active_down", "DOWN"),
        ("active_no_check", "not checked"),
        ("maintain", "MAINT"),
        ("active_draining", "DRAIN / NOLB"),
    ];
    out.push_str("<ul class=\"legend\">");
    for (class, word) in legend {
        let _ = write!(out, "<li class=\"{class}\">{word}</li>");
    }
    out.push_str("<li class=\"backup_up\">backup</li></ul>\n<nav>");
    let _ = write!(
        out,
        "<form method=\"GET\" action=\"{uri}\"><label>Scope : <input name=\"scope\" size=\"8\" maxlength=\"20\" \
         value=\"{}\"></label></form>",
        escape(input.scope)
    );
    let down = if input.options.hide_down { "" } else { ";up" };
    let keep = if input.options.hide_down { ";up" } else { "" };
    let word = if input.options.hide_down { "Show all servers" } else { "Hide 'DOWN' servers" };
    let scope =
        if input.scope.is_empty() { String::new() } else { format!("?scope={}", url_encode(input.scope)) };
    let _ = write!(out, "<a href=\"{uri}{down}{scope}\">{word}</a>");
    if input.stats.refresh.is_some() {
        let (suffix, word) =
            if input.options.no_refresh { ("", "Enable refresh") } else { (";norefresh", "Disable refresh") };
        let _ = write!(out, "<a href=\"{uri}{keep}{suffix}{scope}\">{word}</a>");
    }
    let _ = writeln!(
        out,
        "<a href=\"{uri}{keep}{scope}\">Refresh now</a><a href=\"{uri};csv{scope}\">CSV export</a>\
         <a href=\"{uri};json{scope}\">JSON export</a><a href=\"{uri};json-schema\">schema</a></nav></header>"
    );
}

fn notice(word: &str) -> (&'static str, &'static str) {
    match word {
        "DONE" => ("good", "Action processed successfully."),
        "NONE" => ("warn", "Nothing has changed."),
        "PART" => (
            "warn",
            "Action partially processed.<br>Some server names are probably unknown or ambiguous (duplicated names in \
             the backend).",
        ),
        "ERRP" => (
            "bad",
            "Action not processed because of invalid parameters.<ul><li>The action is maybe unknown.</li><li>Invalid \
             key parameter (empty or too long).</li><li>The backend name is probably unknown or ambiguous (duplicated \
             names).</li><li>Some server names are probably unknown or ambiguous (duplicated names in the backend).\
             </li></ul>",
        ),
        "EXCD" => (
            "bad",
            "Action not processed : the buffer couldn't store all the data.<br>You should retry with less servers at \
             a time.",
        ),
        "DENY" => ("bad", "Action denied."),
        _ => ("bad", "Unexpected result."),
    }
}

/// Group headings: words and the columns under them.
const GROUPS: [(&str, &[&str]); 9] = [
    ("Queue", &["Cur", "Max", "Limit"]),
    ("Session rate", &["Cur", "Max", "Limit"]),
    ("Sessions", &["Cur", "Max", "Limit", "Total", "LbTot", "Last"]),
    ("Bytes", &["In", "Out"]),
    ("Denied", &["Req", "Resp"]),
    ("Errors", &["Req", "Conn", "Resp"]),
    ("Warnings", &["Retr", "Redis"]),
    ("Server", &["Status", "LastChk", "Wght", "Act", "Bck", "Chk", "Dwn", "Dwntme"]),
    ("", &["Thrtle"]),
];

fn proxy(out: &mut String, input: &Input<'_>, id: ProxyId) {
    let rows: Vec<&Row> = input.rows.iter().filter(|r| r.proxy == id).collect();
    if rows.is_empty() {
        return;
    }
    let proxy = &input.generation.config.proxies[id.0];
    let name = escape(&proxy.name);
    let form = input.options.admin && rows.iter().any(|r| r.kind == RowKind::Server);
    if form {
        out.push_str("<form method=\"post\">");
    }
    let desc =
        proxy.description.as_deref().map_or_else(String::new, |d| format!(" <small>{}</small>", escape(d)));
    let _ = write!(
        out,
        "<section><h3 id=\"{name}\"{}><a href=\"#{name}\">{name}</a>{desc}</h3><div class=\"scroll\"><table><thead><tr>{}\
         <th rowspan=\"2\"></th>",
        tip(input, &format!("mode: {}, id: #{}", text(rows[0], const { column("mode") }), proxy.uuid)),
        if form { "<th rowspan=\"2\"></th>" } else { "" }
    );
    for (group, columns) in GROUPS {
        let _ = write!(out, "<th colspan=\"{}\">{group}</th>", columns.len());
    }
    if input.stats.show_modules {
        out.push_str("<th rowspan=\"2\">Extra modules</th>");
    }
    out.push_str("</tr><tr>");
    for (_, columns) in GROUPS {
        for word in columns {
            let _ = write!(out, "<th>{word}</th>");
        }
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        table_row(out, input, row, form);
    }
    out.push_str("</tbody></table></div>");
    if form {
        actions(out, proxy.uuid);
    }
    out.push_str("</section>\n");
}

fn actions(out: &mut String, uuid: u32) {
    out.push_str("<p class=\"act\">Choose the action to perform on the checked servers : <select name=\"action\"><option value=\"\"></option>");
    for (value, label, _) in ACTIONS {
        let _ = write!(out, "<option value=\"{value}\">{label}</option>");
    }
    let _ = write!(
        out,
        "</select><input type=\"hidden\" name=\"b\" value=\"#{uuid}\"> <input type=\"submit\" value=\"Apply\"></p></form>"
    );
}

macro_rules! cells {
    ($row:expr, $($name:literal),* $(,)?) => {
        [$({ const C: usize = column($name); number(&text($row, C)) }),*]
    };
}

fn table_row(out: &mut String, input: &Input<'_>, row: &Row, form: bool) {
    const SVNAME: usize = column("svname");
    const STATUS: usize = column("status");
    let name = escape(&text(row, SVNAME));
    let backup = text(row, const { column("bck") }) == "1" && row.kind == RowKind::Server;
    let (class, label) = match row.kind {
        RowKind::Frontend => ("frontend".to_owned(), "Frontend".to_owned()),
        RowKind::Backend => ("backend".to_owned(), "Backend".to_owned()),
        RowKind::Listener => ("socket".to_owned(), name.clone()),
        RowKind::Server => (row_class(row, backup), name.clone()),
    };
    let _ = write!(out, "<tr class=\"{class}\">");
    if form {
        let cell = match row.kind {
            RowKind::Server => format!("<td><input type=\"checkbox\" name=\"s\" value=\"{name}\"></td>"),
            _ => "<td></td>".to_owned(),
        };
        out.push_str(&cell);
    }
    let px = escape(&input.generation.config.proxies[row.proxy.0].name);
    let _ = write!(
        out,
        "<td class=\"name\"{}><a id=\"{px}/{label}\" href=\"#{px}/{label}\">{label}</a></td>",
        tip(input, &legend(row))
    );
    let first = cells!(
        row, "qcur", "qmax", "qlimit", "rate", "rate_max", "rate_lim", "scur", "smax", "slim", "stot",
        "lbtot",
    );
    for cell in first {
        let _ = write!(out, "<td>{cell}</td>");
    }
    let last = age(&text(row, const { column("lastsess") }));
    let _ = write!(out, "<td>{last}</td>");
    for cell in cells!(row, "bin", "bout", "dreq", "dresp", "ereq", "econ", "eresp", "wretr", "wredis") {
        let _ = write!(out, "<td>{cell}</td>");
    }
    let since = age(&text(row, const { column("lastchg") }));
    let _ = write!(out, "<td class=\"name\">{since} {}</td>", escape(&text(row, STATUS)));
    let _ = write!(out, "<td class=\"name\">{}</td>", last_check(row));
    let weight = match (text(row, const { column("weight") }), text(row, const { column("uweight") })) {
        (w, u) if u.is_empty() => w,
        (w, u) => format!("{w}/{u}"),
    };
    let role = |on: bool| if on { "Y" } else { "-" };
    let (act, bck) = match row.kind {
        RowKind::Server => (role(!backup).to_owned(), role(backup).to_owned()),
        _ => (text(row, const { column("act") }), text(row, const { column("bck") })),
    };
    let _ = write!(out, "<td>{weight}</td><td>{act}</td><td>{bck}</td>");
    for cell in cells!(row, "chkfail", "chkdown") {
        let _ = write!(out, "<td>{cell}</td>");
    }
    let throttle = text(row, const { column("throttle") });
    let throttle = if throttle.is_empty() { "-".to_owned() } else { format!("{throttle} %") };
    let down = age(&text(row, const { column("downtime") }));
    let throttle = if row.kind == RowKind::Server { &throttle } else { "" };
    let modules = if input.stats.show_modules { modules(row) } else { String::new() };
    let _ = writeln!(out, "<td>{down}</td><td>{throttle}</td>{modules}</tr>");
}

/// A tip of `stats show-legends`.
fn tip(input: &Input<'_>, text: &str) -> String {
    if input.stats.show_legends { format!(" title=\"{}\"", escape(text)) } else { String::new() }
}

/// What a row's tip says: where it is, who it is, how it balances.
fn legend(row: &Row) -> String {
    let (iid, sid) = row.ids;
    let own = match row.kind {
        RowKind::Server | RowKind::Listener => format!("id: #{sid}"),
        RowKind::Frontend | RowKind::Backend => format!("id: #{iid}"),
    };
    let named = |name: &str, index: usize| {
        let value = text(row, index);
        (!value.is_empty()).then(|| format!("{name}{value}"))
    };
    let parts = [
        named("", const { column("addr") }),
        named("balance: ", const { column("algo") }),
        named("mode: ", const { column("mode") }),
        Some(own),
        named("cookie: ", const { column("cookie") }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The cell of `stats show-modules`: what each module counts, a tip a module.
fn modules(row: &Row) -> String {
    let mut out = String::from("<td class=\"name\">");
    let of = |name: &'static str| name.split_once('_').map_or(name, |(module, _)| module);
    let filled: Vec<usize> = (COMMON..FIELDS.len()).filter(|at| row.cells[*at].is_some()).collect();
    for group in filled.chunk_by(|a, b| of(FIELDS[*a].name) == of(FIELDS[*b].name)) {
        let lines: Vec<String> =
            group.iter().map(|at| format!("{}: {}", FIELDS[*at].name, text(row, *at))).collect();
        let module = of(FIELDS[group[0]].name);
        let _ = write!(out, "<abbr title=\"{}\">{module}</abbr> ", escape(&lines.join("\n")));
    }
    out + "</td>"
}

/// `L7OK/200 in 3ms`, with the description as a tip.
fn last_check(row: &Row) -> String {
    let status = text(row, const { column("check_status") });
    if status.is_empty() {
        return String::new();
    }
    let code = text(row, const { column("check_code") });
    let code = if code.is_empty() { code } else { format!("/{code}") };
    let ms = text(row, const { column("check_duration") });
    let time = if ms.is_empty() { ms } else { format!(" in {ms}ms") };
    let tip =
        format!("{}: {}", text(row, const { column("check_desc") }), text(row, const { column("last_chk") }));
    format!("<abbr title=\"{}\">{}{code}{time}</abbr>", escape(tip.trim_end_matches(": ")), escape(&status))
}

/// Digits in groups of three, by style alone so that copies stay plain.
fn number(digits: &str) -> String {
    if digits.len() < 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return escape(digits);
    }
    let first = digits.len() % 3;
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && i % 3 == first % 3 {
            out.push_str("<i></i>");
        }
        out.push(c);
    }
    out
}

/// Seconds as haproxy's page prints ages: the two largest units.
fn age(seconds: &str) -> String {
    let Ok(s) = seconds.parse::<i64>() else { return String::new() };
    match s {
        i64::MIN..0 => "?".into(),
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86_400, s / 3600 % 24),
    }
}

/// Escapes text for HTML and attribute values.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Decodes `%XX` and `+` of a form value; what is not UTF-8 is replaced.
pub fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(b as char);
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_the_page() {
        assert_eq!(escape("<b a=\"'&\">"), "&lt;b a=&quot;&#39;&amp;&quot;&gt;");
        assert_eq!(url_decode("a%2Bb+c%zz%4"), "a+b c%zz%4");
        assert_eq!(url_decode(&url_encode("a/b c%ü")), "a/b c%ü");
    }

    #[test]
    fn ages_and_numbers_read_well() {
        assert_eq!(["-1", "5", "65", "3700", "90000", ""].map(age), ["?", "5s", "1m5s", "1h1m", "1d1h", ""]);
        assert_eq!(number("999"), "999");
        assert_eq!(number("1234567").replace("<i></i>", " "), "1 234 567");
        assert_eq!(number("123456").replace("<i></i>", " "), "123 456");
    }
}
