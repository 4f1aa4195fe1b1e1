//! `log-forward` sections (manual, 3.10).

use super::Loader;
use super::global::log_target;
use crate::log::forward::LogForward;
use conf_parsers::Line;
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::haproxy::{Section, address};
use conf_parsers::value::{TimeUnit, duration, lenient_int};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
        "dgram-bind" => forward.datagrams.extend(addresses(loader, &mut args)?),
        "bind" => forward.streams.extend(addresses(loader, &mut args)?),
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
            forward.backlog = i32::try_from(lenient_int(&word.text)).ok().filter(|n| *n > 0);
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

/// Options that change nothing here, and why.
const IDLE: &[(&str, &str)] = &[
    ("name", "statistics have no rows of these listeners"),
    ("id", "statistics have no rows of these listeners"),
    ("process", "one thread hears each address"),
    ("thread", "one thread hears each address"),
    ("shards", "one thread hears each address"),
    ("nbconn", "no connections are opened ahead"),
];

/// Addresses with ports; what stands behind them is told to change nothing here, or refused.
fn addresses(loader: &mut Loader<'_>, args: &mut Args<'_>) -> Result<Vec<SocketAddr>, Fault> {
    let keyword = args.keyword().text.clone();
    let word = args.expect(|| {
        format!("'{keyword}' expects {{<path>|addr1[:port1[-end1]]}}{{,[addr[:port]]}}* as arguments.")
    })?;
    let text = address::expand(&word.text, &|n| loader.variable(n));
    let mut found = Vec::new();
    for part in text.split(',') {
        let blame = |e: String| Fault::new(word.span, format!("'{keyword}' : {e}"));
        let parsed = address::parse(part).map_err(blame)?;
        let ip = match parsed.host {
            address::Host::Ip(ip) => Some(ip),
            address::Host::Any => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            address::Host::Name(name) => super::resolve::host(&name),
            _ => None,
        };
        let (Some(ip), address::Ports::Fixed(first, last)) = (ip, parsed.ports) else {
            return Err(blame(format!("'{part}' needs an address and a port.")));
        };
        found.extend((first..=last.max(first)).map(|port| SocketAddr::from((ip, port))));
    }
    while let Some(option) = args.next() {
        let (name, span) = (&option.text, option.span);
        let Some((_, reason)) = IDLE.iter().find(|(idle, _)| idle == name) else {
            let text = format!("'{keyword}' : option '{name}' is not supported in log-forward sections yet.");
            return Err(Fault::new(span, text));
        };
        let missing = if name == "name" { "name" } else { "argument" };
        args.expect(|| format!("'{name}' : missing {missing}"))?;
        loader.tell_idle(&format!("{keyword} … {name}"), reason, span);
    }
    Ok(found)
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
        let told = said("name a thread 1");
        assert!(
            told.iter().any(|t| t.contains("'dgram-bind … name' is accepted, but has no effect")),
            "{told:?}"
        );
        assert!(told.iter().any(|t| t.contains("'dgram-bind … thread'")), "{told:?}");
        assert!(said("name").iter().any(|t| t.ends_with("'name' : missing name")));
        assert!(said("ssl").iter().any(|t| t.contains("option 'ssl' is not supported")));
        assert!(said("").iter().all(|t| !t.contains("no effect")));
    }
}
