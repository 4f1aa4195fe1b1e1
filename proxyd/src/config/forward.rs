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

/// Addresses with ports; what stands behind them must be something that changes nothing here.
fn addresses(loader: &Loader<'_>, args: &mut Args<'_>) -> Result<Vec<SocketAddr>, Fault> {
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
        match option.text.as_str() {
            "name" | "id" | "process" | "thread" | "shards" | "nbconn" => {
                args.next();
            }
            other => {
                let text =
                    format!("'{keyword}' : option '{other}' is not supported in log-forward sections yet.");
                return Err(Fault::new(option.span, text));
            }
        }
    }
    Ok(found)
}
