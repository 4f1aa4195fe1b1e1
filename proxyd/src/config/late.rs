//! What only whole sections show: settings that contradict or lack each other, in haproxy's words.
//!
//! Invariant: nothing here changes what a section means, but for lengths that a limit cuts.

use super::Loader;
use super::model::{CheckKind, Kind, Mode, Proxy, Server, ServerAddress};
use super::proxy::{Draft, noun};
use super::resolve::Kin;
use diag::{Diagnostic, Lead, Severity, Span};
use std::collections::HashMap;

/// Frontends that listen to nothing, and an address beside servers.
pub(super) fn openings(loader: &mut Loader<'_>, draft: &Draft) {
    let proxy = &draft.proxy;
    if proxy.kind.is_front() && proxy.binds.is_empty() {
        let text = format!(
            "{} '{}' has no 'bind' directive. Please declare it as a backend if this was intended.",
            noun(proxy.kind),
            proxy.name
        );
        say(loader, Severity::Warning, draft.header, text);
    }
    if proxy.options.transparent && draft.balanced && proxy.kind.is_back() {
        let text =
            format!("{} '{}' cannot use both transparent and balance mode.", noun(proxy.kind), proxy.name);
        say(loader, Severity::Alert, draft.header, text);
    } else if proxy.dispatch.is_some() && draft.balanced {
        let text = format!(
            "dispatch address of {} '{}' will be ignored in balance mode.",
            noun(proxy.kind),
            proxy.name
        );
        say(loader, Severity::Warning, draft.header, text);
    }
}

/// Settings of checks without the option that they belong to.
pub(super) fn checks(loader: &mut Loader<'_>, draft: &Draft) {
    let (check, who) = (&draft.proxy.check, format!("{} '{}'", noun(draft.proxy.kind), draft.proxy.name));
    let http = matches!(check.kind, CheckKind::Http { .. });
    if !http && check.http_rules {
        let text = format!("{who} uses http-check rules without 'option httpchk', so the rules are ignored.");
        say(loader, Severity::Warning, draft.header, text);
    }
    for (on, word) in [(check.disable_on_404, "disable-on-404"), (check.send_state, "send-state")] {
        // The original takes the plain kind, and one that no rules describe, for no kind at all.
        if on && !http && !matches!(check.kind, CheckKind::Tcp | CheckKind::External) {
            let text = format!("'{word}' will be ignored for {who} (requires 'option httpchk').");
            say(loader, Severity::Warning, draft.header, text);
        }
    }
    external(loader, draft);
}

/// Rules on contents that nobody waits for, or that would be better off where none are needed.
pub(super) fn contents(loader: &mut Loader<'_>, draft: &Draft, faults: &[String]) {
    let proxy = &draft.proxy;
    if !proxy.kind.is_front() {
        return;
    }
    let unawaited = proxy.rules.req_inspect_delay.is_none();
    let faulty = |action: &str| faults.iter().any(|f| f.ends_with(&format!("the '{action}' rule.")));
    for rule in draft.content_rules.iter().filter(|r| !faulty(&r.action)) {
        let track = rule.action != "capture";
        let what = if track { "'tcp-request content track-sc*'" } else { "'tcp-request capture'" };
        let text = if rule.needs && unawaited {
            format!(
                "a {what} rule explicitly depending on request contents without any 'tcp-request inspect-delay' \
                 setting. This means that this rule will randomly find its contents. This can be fixed by setting the \
                 tcp-request inspect-delay."
            )
        } else if track && !rule.needs && !rule.needs_if && proxy.mode == Mode::Http {
            format!(
                "a {what} rule not depending on request contents for an HTTP frontend should be executed at the session \
                 level, using a 'tcp-request session' rule (mandatory to track invalid HTTP requests)."
            )
        } else {
            continue;
        };
        let text = format!("{} '{}' : {text}", noun(proxy.kind), proxy.name);
        say(loader, Severity::Warning, draft.header, text);
    }
}

/// `tcp-check` rules without their option.
pub(super) fn tcp_checks(loader: &mut Loader<'_>, draft: &Draft) {
    let (proxy, check) = (&draft.proxy, &draft.proxy.check);
    if check.tcp_rules && check.kind != CheckKind::TcpCheck {
        let text = format!(
            "{} '{}' uses tcp-check rules without 'option tcp-check', so the rules are ignored.",
            noun(proxy.kind),
            proxy.name
        );
        say(loader, Severity::Warning, draft.header, text);
    }
}

/// Resolvers that are no section, and servers whose checks have no port: told when all sections were gone through.
pub(super) fn ports(loader: &mut Loader<'_>, drafts: &[Draft]) {
    for draft in drafts.iter().filter(|d| !d.proxy.disabled) {
        for server in &draft.proxy.servers {
            let known = |name: &str| loader.config.resolvers.iter().any(|r| r.name == *name);
            if let Some(name) = server.resolvers.as_ref().filter(|n| !known(n)) {
                let (noun, proxy) = (noun(draft.proxy.kind), &draft.proxy.name);
                let text = format!(
                    "{noun} '{proxy}', server '{}': unable to find required resolvers '{name}'",
                    server.name
                );
                say(loader, Severity::Alert, draft.header, text);
            }
        }
    }
    // The rules of plain checks are one set for all backends: it is empty until the first of them is done.
    let mut plain_before = false;
    for draft in drafts.iter().filter(|d| !d.proxy.disabled) {
        for server in &draft.proxy.servers {
            if lacks_port(&draft.proxy, server) {
                say(loader, Severity::Alert, draft.header, no_port(&draft.proxy, server, plain_before));
            }
        }
        plain_before |= draft.proxy.kind.is_back() && plain(&draft.proxy);
    }
}

fn say(loader: &mut Loader<'_>, severity: Severity, span: Span, text: String) {
    loader.report.push(Diagnostic::at(severity, span, text).lead(Lead::Bare));
}

/// `option external-check` asks for the word in `global` and for a command.
fn external(loader: &mut Loader<'_>, draft: &Draft) {
    let proxy = &draft.proxy;
    if proxy.check.kind != CheckKind::External || !proxy.kind.is_back() {
        return;
    }
    let who = format!("Proxy '{}' :", proxy.name);
    let option = "'option external-check'";
    if !loader.config.global.external_check {
        let text = format!("{who} {option} unable to find required 'global.external-check'.");
        say(loader, Severity::Alert, draft.header, text);
    }
    if proxy.external_check.as_ref().is_none_or(|c| c.command.is_none()) {
        let text = format!("{who} {option} unable to find required 'external-check command'.");
        say(loader, Severity::Alert, draft.header, text);
    }
    if !loader.config.global.insecure_fork_wanted {
        let text = format!(
            "{who} 'insecure-fork-wanted' not enabled in the global section, {option} will likely fail."
        );
        say(loader, Severity::Warning, draft.header, text);
    }
}

/// A backend that names itself as the backend to use: haproxy takes the line where no frontend is, and finds a loop.
pub(super) fn loops(loader: &mut Loader<'_>, draft: &Draft, all: &[Kin], backs: &HashMap<String, usize>) {
    if draft.proxy.kind != Kind::Backend {
        return;
    }
    let own = &draft.proxy.name;
    let found = |target: &str| backs.get(target).is_some_and(|at| all[*at].name == *own);
    if draft.default_backend.as_ref().is_some_and(|t| found(&t.name)) {
        let text = format!("Proxy '{own}': loop detected for default_backend: '{own}'.");
        say(loader, Severity::Alert, draft.header, text);
    }
    for switch in draft.switches.iter().filter(|s| s.format.is_none() && found(&s.target.text)) {
        let text = format!("Proxy '{own}': loop detected for use_backend: '{own}'.");
        say(loader, Severity::Alert, switch.target.span, text);
    }
}

/// `capture cookie` keeps no more than `tune.http.cookielen` bytes.
pub(super) fn captures(loader: &mut Loader<'_>, draft: &mut Draft) {
    let most = loader.config.global.tune.cookielen;
    let (name, noun, span) = (draft.proxy.name.clone(), noun(draft.proxy.kind), draft.header);
    let Some(capture) = draft.proxy.capture_cookie.as_mut() else { return };
    if capture.len > most {
        capture.len = most;
        let text = format!("truncating capture length to {most} bytes for {noun} '{name}'.");
        say(loader, Severity::Warning, span, text);
    }
}

/// A log format without anybody to send lines to.
pub(super) fn unheard(loader: &mut Loader<'_>, draft: &Draft) {
    let proxy = &draft.proxy;
    let targets = proxy.logs.is_empty() && (!draft.log_global || loader.config.global.logs.is_empty());
    let formats = proxy.log_format.is_some() || proxy.log_format_sd.is_some();
    if targets && formats && proxy.kind.is_front() {
        let text = format!(
            "log format ignored for {} '{}' since it has no log address.",
            noun(proxy.kind),
            proxy.name
        );
        say(loader, Severity::Warning, draft.header, text);
    }
}

/// The stats page asks for a password by its own words or by rules, not by both.
pub(super) fn two_passwords(loader: &mut Loader<'_>, draft: &Draft) {
    let Some(stats) = &draft.proxy.stats else { return };
    let of_rule = |l: &super::proxy::RuleLine| l.line.words.get(1).is_some_and(|w| w.text == "http-request");
    let rules = !stats.http_request.is_empty() || draft.stats_rules.iter().any(of_rule);
    if rules && (!stats.auth.is_empty() || stats.realm.is_some()) {
        let text = format!(
            "proxy '{}': stats 'auth'/'realm' and 'http-request' can't be used at the same time.",
            draft.proxy.name
        );
        say(loader, Severity::Alert, draft.header, text);
    }
}

/// Whether nothing was said of what checks do.
fn plain(proxy: &Proxy) -> bool {
    matches!(proxy.check.kind, CheckKind::Tcp) && proxy.check.steps.is_empty()
}

/// What is told of a server that [`lacks_port`]; `plain_before` when plain checks have their rules already.
pub(super) fn no_port(proxy: &Proxy, server: &Server, plain_before: bool) -> String {
    let told = " nor tcp_check rule 'connect' with port information";
    let silent = !plain_before && (plain(proxy) || proxy.check.kind == CheckKind::External);
    let rules = if silent { "" } else { told };
    format!(
        "config: {} '{}': server '{}' has neither service port nor check port{rules}.",
        noun(proxy.kind),
        proxy.name,
        server.name
    )
}

/// Whether no port is known that a check could go to.
pub(super) fn lacks_port(proxy: &Proxy, server: &Server) -> bool {
    let own = match server.address {
        ServerAddress::Inet(address) => address.port(),
        ServerAddress::Name(_, port) => port,
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) | ServerAddress::Destination(_) => return false,
    };
    let checked = server.check.enabled && server.track.is_none();
    let steps = &proxy.check.steps;
    let connects = || steps.iter().filter(|s| s.keyword == "connect");
    let told = connects().any(|_| true)
        && connects().all(|s| s.words.iter().any(|w| matches!(w.as_str(), "port" | "addr")));
    // The records of a service name bring the port.
    let service = server.resolvers.is_some()
        && matches!(&server.address, ServerAddress::Name(name, _) if name.starts_with('_'));
    checked && !service && own == 0 && server.check.port.is_none_or(|p| p == 0) && !told
}
