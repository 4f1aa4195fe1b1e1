//! `log-forward` sections (manual, 3.10).

use super::Loader;
use super::global::log_target;
use super::model::{Bind, BindAddress, Verify};
use crate::log::forward::LogForward;
use conf_parsers::Line;
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::haproxy::Section;
use conf_parsers::value::{TimeUnit, duration, lenient_int};
use diag::{Diagnostic, Severity};

/// Connections of a section that does not say how many.
const MAXCONN: usize = 10;

/// `log-forward NAME`.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let header = &section.header;
    let Some(name) = header.words.get(1) else {
        return loader.report.alert(header.span, "missing name for log-forward section.");
    };
    if let Some(bad) = super::server::bad_char(&name.text) {
        let text = format!("character '{bad}' is not permitted in log-forward name '{}'.", name.text);
        return loader.report.alert(name.span, text);
    }
    if loader.config.log_forwards.iter().any(|f| f.name == name.text) {
        let text = format!("log-forward section '{}' is declared twice.", name.text);
        return loader.report.alert(header.span, text);
    }
    let mut forward = LogForward { name: name.text.clone(), maxconn: MAXCONN, ..LogForward::default() };
    for line in &section.lines {
        if let Err(fault) = one(loader, &mut forward, line) {
            loader.report.push(fault.into_alert());
        }
    }
    loader.config.log_forwards.push(forward);
}

fn one(loader: &mut Loader<'_>, forward: &mut LogForward, line: &Line) -> Result<(), Fault> {
    let mut args = line.args();
    match line.keyword() {
        "dgram-bind" => {
            let binds = binds(loader, forward, line, &mut args)?;
            forward.datagrams.extend(binds);
        }
        "bind" => {
            let binds = binds(loader, forward, line, &mut args)?;
            forward.streams.extend(binds);
        }
        "log" => {
            if args.take("global") {
                forward.logs.extend(loader.config.global.logs.iter().cloned());
                return args.unexpected(|w| format!("log : unknown log facility '{w}'"));
            }
            let target = log_target(loader, &mut args, "or global")?;
            forward.logs.push(target);
        }
        "maxconn" => {
            let word = args.expect(|| "'maxconn' expects an integer argument.".into())?;
            forward.maxconn = usize::try_from(lenient_int(&word.text)).unwrap_or(0).max(1);
        }
        "backlog" => {
            let word = args.expect(|| "'backlog' expects an integer argument.".into())?;
            forward.backlog = u32::try_from(lenient_int(&word.text)).ok().filter(|n| *n > 0);
        }
        "timeout" => {
            if !args.take("client") {
                return Err(args.fault("unknown timeout in log-forward section, only 'client' is."));
            }
            let word = args.expect(|| "'timeout client' expects <time> as argument.".into())?;
            let time = duration(&word.text, TimeUnit::Ms);
            forward.timeout_client = Some(
                time.map_err(|e| Fault::new(word.span, time_fault_text(&word.text, "timeout client", e)))?,
            );
        }
        other => {
            let text = format!("unknown keyword '{other}' in log-forward section.");
            return Err(Fault::new(line.words[0].span, text));
        }
    }
    args.unexpected(|w| format!("'{}' : unexpected argument '{w}'.", line.keyword()))
}

/// Addresses of a line and what stands behind them: read as those of proxies are.
fn binds(
    loader: &mut Loader<'_>,
    forward: &LogForward,
    line: &Line,
    args: &mut Args<'_>,
) -> Result<Vec<Bind>, Fault> {
    let datagrams = line.keyword() == "dgram-bind";
    // Who names no address gets no listener, as in the original.
    let Some(word) = args.next() else { return Ok(Vec::new()) };
    let mut word = word.clone();
    let place = format!("'bind {}' in section 'log-forward'", word.text);
    let who = format!("'bind {}'", word.text);
    if datagrams {
        for (of_datagrams, same) in [("udp@", ""), ("udp4@", "ipv4@"), ("udp6@", "ipv6@")] {
            if let Some(rest) = word.text.strip_prefix(of_datagrams) {
                word.text = format!("{same}{rest}");
            }
        }
    }
    let mut binds =
        super::bind::read(loader, args, &word, line.span, &place, &who).map_err(|mut fault| {
            if let (true, Some(rest)) =
                (datagrams, fault.text.strip_prefix(&format!("{place}: unknown keyword ")))
            {
                let at = rest.bytes().skip(1).position(|b| b == b'\'').map_or(rest.len(), |n| n + 2);
                fault.text =
                    format!("unknown keyword {} in 'log-forward' section{}", &rest[..at], &rest[at..]);
            }
            fault
        })?;
    for bind in &mut binds {
        heed(loader, forward, line, bind, datagrams)?;
    }
    Ok(binds)
}

/// What of the words of a bind line counts here.
fn heed(
    loader: &mut Loader<'_>,
    forward: &LogForward,
    line: &Line,
    bind: &mut Bind,
    datagrams: bool,
) -> Result<(), Fault> {
    let keyword = line.keyword();
    let place = format!("'bind {}' in section 'log-forward'", line.words[1].text);
    if bind.accept_proxy || bind.accept_netscaler_cip.is_some() {
        let text = format!("{place} : headers of other proxies are not read in log-forward sections yet.");
        return Err(Fault::new(line.span, text));
    }
    if let (BindAddress::Sockpair(_), _) | (BindAddress::Fd(_) | BindAddress::Abstract(_), true) =
        (&bind.address, datagrams)
    {
        let text = format!("{place} : such an address is not supported here yet.");
        return Err(Fault::new(line.span, text));
    }
    let Some(settings) = bind.tls.take_if(|tls| datagrams || !tls.enabled) else {
        let Some(settings) = &bind.tls else { return Ok(()) };
        super::certificate::of_bind(settings, &loader.config.global)
            .map_err(|e| Fault::new(line.span, format!("{place} : {e}")))?;
        let mut late = |what: String| {
            let text = format!("Proxy '{}': {what}", forward.name);
            loader.late.push(Diagnostic::global(Severity::Alert, text));
        };
        if settings.crt.is_empty() && settings.crt_list.is_empty() {
            late(format!("no SSL certificate specified for bind '(null)' at [{}] (use 'crt').", bind.origin));
        } else if settings.verify != Verify::None
            && settings.verify != Verify::Unset
            && settings.ca_file.is_none()
        {
            late(format!(
                "verify is enabled but no CA file specified for bind '(null)' at [{}].",
                bind.origin
            ));
        }
        return Ok(());
    };
    super::certificate::of_bind(&settings, &loader.config.global)
        .map_err(|e| Fault::new(line.span, format!("{place} : {e}")))?;
    if datagrams && settings.enabled {
        loader.no_effect(line.span, &format!("{keyword} … ssl"), "datagrams are not encrypted");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{Settings, load};

    #[test]
    fn options_that_change_nothing_are_told() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("t.cfg");
        let said = |options: &str| -> Vec<String> {
            let text = format!("log-forward l\n dgram-bind 127.0.0.1:1 {options}\n log 127.0.0.1:2 local0\n");
            std::fs::write(&path, text).expect("file");
            let paths = vec![path.to_str().expect("utf-8").to_owned()];
            let report = load(&Settings { paths, check: true, ..Settings::default() }).report;
            report.items.iter().map(|d| d.text.clone()).collect()
        };
        assert!(said("name").iter().any(|t| t.ends_with("'name' : missing name")));
        assert!(said("thread 1").iter().any(|t| t.contains("bind … thread is accepted")), "thread");
        let told = said("foo");
        let unknown = "unknown keyword 'foo' in 'log-forward' section; did you mean 'tfo' maybe ?";
        assert!(told.iter().any(|t| t == unknown), "{told:?}");
        assert!(said("ssl").iter().any(|t| t.contains("dgram-bind … ssl is accepted")), "ssl");
        assert!(said("accept-proxy").iter().any(|t| t.contains("not read in log-forward")), "proxied");
        assert!(said("").iter().all(|t| !t.contains("no effect")));
    }
}
