//! Sections beside global and the proxies: userlist, http-errors, ring and the inert ones; and the error
//! pages of proxies.

use super::Loader;
use super::elsewhere::Servers;
use super::keyword::Cx;
use super::model::{ErrorReply, Ring, User, Userlist};
use super::proxy::ErrorPage;
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::haproxy::{Section, address};
use conf_parsers::value::{TimeUnit, duration, lenient_int, size};
use conf_parsers::{Line, Word};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Statuses that error pages may replace.
const STATUSES: &[u16] =
    &[200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504];

fn name_of(loader: &mut Loader<'_>, section: &Section) -> Option<String> {
    match section.header.words.get(1) {
        Some(word) => Some(word.text.clone()),
        None => {
            let keyword = section.header.keyword();
            let text = match keyword {
                "userlist" => "'userlist' expects <name> as arguments.".to_owned(),
                "ring" => "missing ring name.".to_owned(),
                _ => format!("missing name for {keyword} section."),
            };
            let lead = if keyword == "userlist" { diag::Lead::Tight } else { diag::Lead::Parsing };
            let alert = diag::Diagnostic::at(diag::Severity::Alert, section.header.span, text);
            loader.report.push(alert.lead(lead));
            None
        }
    }
}

fn unknown(loader: &mut Loader<'_>, section: &Section, line: &Line) {
    let text = format!("unknown keyword '{}' in '{}' section", line.keyword(), section.header.keyword());
    loader.report.alert(line.words[0].span, text);
}

/// A section that is read for its syntax; what it describes does not exist here yet and traffic is served without it.
pub(super) fn inert(loader: &mut Loader<'_>, section: &Section) {
    let keyword = section.header.keyword().to_owned();
    if !matches!(keyword.as_str(), "traces" | "namespace_list" | "crt-store" | "dynamic-update")
        && name_of(loader, section).is_none()
    {
        return;
    }
    if keyword == "mailers" {
        for line in &section.lines {
            if let Err(fault) = mailers_line(line) {
                loader.report.push(fault.into_alert());
            }
        }
    }
    loader.no_effect(
        section.header.span,
        &format!("section '{keyword}'"),
        "nothing here makes use of it yet",
    );
}

/// `mailer NAME ADDR:PORT`, `timeout mail TIME`.
fn mailers_line(line: &Line) -> Result<(), Fault> {
    let mut args = line.args();
    match line.keyword() {
        "mailer" => {
            let (Some(name), Some(word)) = (args.next(), args.next()) else {
                return Err(args.fault("'mailer' expects <name> and <addr>[:<port>] as arguments."));
            };
            let lead = |e: String| Fault::new(word.span, format!("'mailer {}' : {e}", name.text));
            // An address with variables is only known once they are.
            if word.text.contains('$') {
                return Ok(());
            }
            let parsed = address::parse(&word.text).map_err(lead)?;
            let lacks = matches!(parsed.ports, address::Ports::None)
                && matches!(parsed.host, address::Host::Ip(_) | address::Host::Name(_) | address::Host::Any);
            if lacks {
                return Err(lead(format!("missing port specification in '{}'", word.text)));
            }
            Ok(())
        }
        "timeout" => {
            match args.next().map(|w| w.text.as_str()) {
                Some("mail") => {}
                Some(got) => {
                    return Err(
                        args.fault(format!("'timeout' expects 'mail' and <time> as arguments got '{got}'."))
                    );
                }
                None => return Err(args.fault("'timeout' expects 'mail' and <time> as arguments.")),
            }
            let word = args.expect(|| "'timeout mail' expects <time> as argument.".into())?;
            duration(&word.text, TimeUnit::Ms)
                .map(|_| ())
                .map_err(|e| Fault::new(word.span, time_fault_text(&word.text, "timeout mail", e)).tight())
        }
        other => {
            let text = format!("unknown keyword '{other}' in 'mailers' section");
            Err(Fault::new(line.words[0].span, text))
        }
    }
}

/// A section without which traffic would not be served as the file says.
pub(super) fn refused(loader: &mut Loader<'_>, section: &Section) {
    let text = format!("section '{}' is not supported yet.", section.header.keyword());
    loader.report.alert(section.header.span, text);
}

/// `userlist NAME`.
pub(super) fn userlist(loader: &mut Loader<'_>, section: &Section) {
    let Some(name) = name_of(loader, section) else { return };
    if let Some(extra) = section.header.words.get(2) {
        let text = format!("'userlist' cannot handle unexpected argument '{}'.", extra.text);
        return loader.report.alert(extra.span, text);
    }
    if loader.config.userlists.contains_key(&name) {
        let text = format!("ignoring duplicated userlist '{name}'.");
        let warning = diag::Diagnostic::at(diag::Severity::Warning, section.header.span, text);
        return loader.report.push(warning.lead(diag::Lead::Tight));
    }
    let mut list = Userlist::default();
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for line in &section.lines {
        let done = match line.keyword() {
            "group" => group(line).map(|g| groups.push(g)),
            "user" if line.words.get(1).is_some_and(|w| list.users.contains_key(&w.text)) => {
                let text = format!("ignoring duplicated user '{}' in userlist '{name}'.", line.words[1].text);
                let warning = diag::Diagnostic::at(diag::Severity::Warning, line.span, text);
                loader.report.push(warning.lead(diag::Lead::Tight));
                continue;
            }
            "user" => user(&mut list, line),
            other => {
                let text = format!("unknown keyword '{other}' in 'users' section");
                Err(Fault::new(line.words[0].span, text))
            }
        };
        if let Err(fault) = done {
            loader.report.push(fault.tight().into_alert());
        }
    }
    for (user, group) in list.users.iter().flat_map(|(n, u)| u.groups.iter().map(move |g| (n, g))) {
        if !groups.iter().any(|(name, _)| name == group) {
            let text = format!("userlist '{name}': no such group '{group}' specified in user '{user}'");
            loader.report.push(diag::Diagnostic::global(diag::Severity::Alert, text));
        }
    }
    for (group, users) in groups {
        for user in users {
            match list.users.get_mut(&user) {
                Some(u) => u.groups.push(group.clone()),
                None => {
                    let text =
                        format!("userlist '{name}': no such user '{user}' specified in group '{group}'");
                    loader.report.push(diag::Diagnostic::global(diag::Severity::Alert, text));
                }
            }
        }
    }
    loader.config.userlists.insert(name, Arc::new(list));
}

fn group(line: &Line) -> Result<(String, Vec<String>), Fault> {
    let mut args = line.args();
    let name = args.expect(|| "'group' expects <name> as arguments.".into())?.text.clone();
    if let Some(bad) = super::server::bad_char(&name) {
        let text = format!("character '{bad}' is not permitted in 'group' name '{name}'.");
        return Err(Fault::new(line.words[1].span, text));
    }
    let mut users = Vec::new();
    while let Some(word) = args.next() {
        if word.text != "users" {
            return Err(Fault::new(word.span, "'group' only supports 'users' option."));
        }
        let list = args.expect(|| "'users' expects a list.".into())?;
        users.extend(list.text.split(',').filter(|u| !u.is_empty()).map(str::to_owned));
    }
    Ok((name, users))
}

fn user(list: &mut Userlist, line: &Line) -> Result<(), Fault> {
    let mut args = line.args();
    let name = args.expect(|| "'user' expects <name> as arguments.".into())?.text.clone();
    let mut user = User { password: String::new(), insecure: false, groups: Vec::new() };
    while let Some(word) = args.next() {
        if !matches!(word.text.as_str(), "password" | "insecure-password" | "groups") {
            let text = "'user' only supports 'password', 'insecure-password' and 'groups' options.";
            return Err(Fault::new(word.span, text));
        }
        let value = args.expect(|| format!("'{}' expects an argument.", word.text))?.text.clone();
        match word.text.as_str() {
            "password" => user.password = value,
            "insecure-password" => {
                user.password = value;
                user.insecure = true;
            }
            _ => user.groups.extend(value.split(',').filter(|g| !g.is_empty()).map(str::to_owned)),
        }
    }
    list.users.insert(name, user);
    Ok(())
}

/// `ring NAME`.
pub(super) fn ring(loader: &mut Loader<'_>, section: &Section) {
    let Some(name) = name_of(loader, section) else { return };
    let mut ring = Ring { format: "raw".into(), maxlen: 1024, size: 1 << 20, ..Ring::default() };
    let mut servers = Servers::new("ring", &name, section.header.span);
    for line in &section.lines {
        if line.keyword() == "server" {
            let (octets, rest) = log_proto(line);
            ring.servers.extend(servers.one(loader, &rest).map(|server| (server, octets)));
            continue;
        }
        let words: Vec<&str> = line.words.iter().map(|w| w.text.as_str()).collect();
        if matches!(words[..], ["backing-file", ..] | ["timeout", "server", ..]) {
            let why = "messages are kept in memory, and a connection is given up where it breaks";
            loader.no_effect(line.span, &format!("ring … {}", line.keyword()), why);
        }
        if let Err(fault) = ring_line(&mut ring, line) {
            loader.report.push(fault.into_alert());
        }
    }
    loader.config.rings.insert(name, ring);
}

/// Whether messages go with their length before them (`log-proto octet-count`), and the line without these words,
/// which no other server heeds.
fn log_proto(line: &Line) -> (bool, Line) {
    let (mut octets, mut words, mut at) = (false, Vec::new(), 0);
    while let Some(word) = line.words.get(at) {
        let value = line.words.get(at + 1).map(|w| w.text.as_str());
        match (word.text.as_str(), value) {
            ("log-proto", Some(value @ ("legacy" | "octet-count"))) if at > 2 => {
                octets = value == "octet-count";
                at += 2;
            }
            _ => {
                words.push(word.clone());
                at += 1;
            }
        }
    }
    (octets, Line { words, span: line.span })
}

fn ring_line(ring: &mut Ring, line: &Line) -> Result<(), Fault> {
    let mut args = line.args();
    let keyword = line.keyword();
    let mut value = || args.expect(|| format!("'{keyword}' expects an argument.")).cloned();
    match keyword {
        "description" => ring.description = Some(value()?.text),
        "format" => ring.format = value()?.text,
        "maxlen" => {
            let word = value()?;
            ring.maxlen = size(&word.text).map_err(|_| Fault::new(word.span, "invalid maxlen"))? as usize;
        }
        "size" => {
            let word = value()?;
            let text = format!("invalid size '{}' for new sink buffer.", word.text);
            ring.size = size(&word.text).map_err(|_| Fault::new(word.span, text))? as usize;
        }
        "timeout" => {
            let (what, time) = (value()?, value()?);
            let bad = format!("unexpected argument '{}' in 'timeout {}'", time.text, what.text);
            let time_value = duration(&time.text, TimeUnit::Ms).map_err(|_| Fault::new(time.span, bad))?;
            match what.text.as_str() {
                "connect" => ring.timeout_connect = Some(time_value),
                "server" => ring.timeout_server = Some(time_value),
                other => return Err(Fault::new(what.span, format!("unknown timeout '{other}' in ring"))),
            }
        }
        "backing-file" => {}
        other => {
            return Err(Fault::new(line.words[0].span, format!("unknown statement '{other}'.")));
        }
    }
    Ok(())
}

/// `http-errors NAME`.
pub(super) fn http_errors(loader: &mut Loader<'_>, section: &Section) {
    let Some(name) = name_of(loader, section) else { return };
    let mut pages = BTreeMap::new();
    for line in &section.lines {
        if line.keyword() != "errorfile" {
            unknown(loader, section, line);
            continue;
        }
        match page(loader, &mut line.args()) {
            Ok((status, reply)) => {
                pages.insert(status, reply);
            }
            Err(fault) => loader.report.push(fault.into_alert()),
        }
    }
    loader.config.http_errors.insert(name, Arc::new(pages));
}

fn status_of(word: Option<&Word>, args: &Args<'_>, keyword: &str) -> Result<u16, Fault> {
    let text = word.map_or("", |w| w.text.as_str());
    // What stands behind the digits is not looked at.
    let status = u16::try_from(lenient_int(text)).ok().filter(|s| STATUSES.contains(s));
    let number = lenient_int(text);
    status.ok_or_else(|| args.fault(format!("{keyword} : status code '{number}' not handled.")))
}

fn page(loader: &Loader<'_>, args: &mut Args<'_>) -> Result<(u16, ErrorReply), Fault> {
    let usage = "errorfile : expects <status_code> and <file> as arguments.";
    let word = args.next();
    let Some(file) = args.next() else { return Err(Fault::new(args.keyword().span, usage)) };
    let status = status_of(word, args, "errorfile")?;
    let bytes = std::fs::read(&file.text)
        .map_err(|_| Fault::new(file.span, format!("errorfile : error opening file '{}'.", file.text)))?;
    let tune = &loader.config.global.tune;
    let max = tune.bufsize.saturating_sub(tune.maxrewrite);
    if bytes.len() > max {
        let text = format!("custom error message file '{}' larger than {max} bytes.", file.text);
        return Err(Fault::new(file.span, text));
    }
    Ok((status, ErrorReply::Raw(bytes.into())))
}

/// `errorfile STATUS FILE`.
pub(super) fn errorfile(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let (status, reply) = page(cx.loader, args)?;
    cx.draft.errorfiles.push(ErrorPage::Own(status, reply));
    Ok(())
}

/// `errorfiles SECTION [STATUS…]`.
pub(super) fn errorfiles(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = args.expect(|| "errorfiles : expects <name> as argument.".into())?;
    let wanted: Vec<u16> = args.take_rest().iter().filter_map(|w| w.text.parse().ok()).collect();
    cx.draft.errorfiles.push(ErrorPage::Section(name.text.clone(), wanted, name.span));
    Ok(())
}

/// `errorloc`, `errorloc302`, `errorloc303`.
pub(super) fn errorloc(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    let word = args.next();
    let usage = format!("{keyword} : expects <status_code> and <url> as arguments.");
    let Some(url) = args.next() else { return Err(Fault::new(args.keyword().span, usage)) };
    let status = status_of(word, args, &keyword)?;
    let (code, reason) = if keyword == "errorloc303" { (303, "See Other") } else { (302, "Found") };
    let text = format!(
        "HTTP/1.1 {code} {reason}\r\nCache-Control: no-cache\r\nContent-length: 0\r\nLocation: {}\r\n\r\n",
        url.text
    );
    cx.draft.errorfiles.push(ErrorPage::Own(status, ErrorReply::Raw(text.into_bytes().into())));
    Ok(())
}

/// `http-error status N …`: read with the rules, since it may hold formats.
pub(super) fn http_error(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    args.take_rest();
    cx.draft.errorfiles.push(ErrorPage::Line(cx.line.clone()));
    Ok(())
}
