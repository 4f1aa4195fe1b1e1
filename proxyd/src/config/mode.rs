//! Settings that mean something in mode http only, in sections of mode tcp.
//!
//! Invariant: each is told, in haproxy's order, and what is told to be ignored is taken out of the section where the
//! engine would look at it.

use super::Loader;
use super::model::{Algorithm, Mode};
use super::option::of_http;
use super::proxy::{Draft, Named, noun};
use diag::{Diagnostic, Lead, Severity};

fn warn(loader: &mut Loader<'_>, draft: &Draft, text: String) {
    loader.report.push(Diagnostic::at(Severity::Warning, draft.header, text).lead(Lead::Bare));
}

/// What is told first: settings, and formats that look at messages.
pub(super) fn settings(loader: &mut Loader<'_>, draft: &mut Draft) {
    if draft.proxy.mode == Mode::Http {
        return;
    }
    let who = format!("{} '{}'", noun(draft.proxy.kind), draft.proxy.name);
    if draft.proxy.cookie.is_some() {
        warn(loader, draft, format!("cookie will be ignored for {who} (needs 'mode http')."));
    }
    if draft.proxy.monitor_uri.take().is_some() {
        warn(loader, draft, format!("monitor-uri will be ignored for {who} (needs 'mode http')."));
    }
    let balance = &mut draft.proxy.balance.algorithm;
    if matches!(balance, Algorithm::Uri { .. } | Algorithm::UrlParam { .. } | Algorithm::Hdr { .. }) {
        *balance = Algorithm::RoundRobin;
        let text =
            format!("Layer 7 hash not possible for {who} (needs 'mode http'). Falling back to round robin.");
        warn(loader, draft, text);
    }
    if let Some((file, line)) = draft.http_format.take() {
        let text = format!(
            "parsing [{file}:{line}] : HTTP log/header format not usable with {who} (needs 'mode http')."
        );
        warn(loader, draft, text);
    }
    if let Some(preset) = draft.log_preset.take_if(|p| p.name.starts_with("http")) {
        let text = format!(
            "parsing [{}:{}] : 'option {}' not usable with {who} (needs 'mode http'). Falling back to 'option tcplog'.",
            loader.sources.name(preset.span),
            loader.sources.line(preset.span),
            preset.name.split(' ').next().unwrap_or_default(),
        );
        warn(loader, draft, text);
        draft.log_preset = Some(Named { name: "tcplog".into(), span: preset.span });
    }
}

/// What is told last: the page, captures, rules, options, and words of servers.
pub(super) fn rules(loader: &mut Loader<'_>, draft: &mut Draft) {
    if draft.proxy.mode == Mode::Http {
        return;
    }
    let who = format!("{} '{}'", noun(draft.proxy.kind), draft.proxy.name);
    let (p, has) = (&draft.proxy, |sets: &[crate::action::RuleSet]| sets.iter().any(|s| !s.is_empty()));
    let words = [("stats", p.stats.is_some()), ("capture", p.capture_cookie.is_some())];
    let sets = [
        ("http-request", has(&p.rules.http_req) && draft.http_rules),
        ("http-response", has(&p.rules.http_res)),
        ("http-after-response", has(&p.rules.http_after_res)),
        ("redirect", draft.redirects),
    ];
    let mut texts = Vec::new();
    for (word, _) in words.iter().filter(|(_, on)| *on) {
        texts.push(format!("'{word}' statement ignored for {who} as it requires HTTP mode."));
    }
    for (word, _) in sets.iter().filter(|(_, on)| *on) {
        texts.push(format!("'{word}' rules ignored for {who} as they require HTTP mode."));
    }
    for word in of_http(p) {
        texts.push(format!("'option {word}' ignored for {who} as it requires HTTP mode."));
    }
    for text in texts {
        warn(loader, draft, text);
    }
    draft.proxy.forwardfor = None;
    draft.proxy.originalto = None;
    draft.proxy.cookie = None;
    servers(loader, draft, &who);
}

/// Cookies and redirections of servers.
fn servers(loader: &mut Loader<'_>, draft: &mut Draft, who: &str) {
    if draft.proxy.servers.iter().any(|s| s.redir.is_some()) {
        let text = format!("{who} : server cannot have cookie or redirect prefix in non-HTTP mode.");
        loader.report.push(Diagnostic::at(Severity::Alert, draft.header, text).lead(Lead::Bare));
    }
    let of = |s: &&super::model::Server| s.cookie.is_some();
    let named: Vec<String> = draft.proxy.servers.iter().filter(of).map(|s| s.name.clone()).collect();
    for name in named {
        warn(loader, draft, format!("{who} : ignoring cookie for server '{name}' as HTTP mode is disabled."));
    }
}
