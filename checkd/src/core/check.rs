//! A checker of the configuration as the probe that carries it out.
//!
//! Invariant: the bytes a server sees are keepalived's (request lines, user agent, header order).
//!
//! Absent on purpose: when it runs (`service.rs`).

use std::net::SocketAddr;
use std::time::Duration;

use health::probe::{datagram, dns, file, http, mail, process};
use health::{Check, Endpoint, Source, Spec};

use crate::config::model::{Checker, CheckerKind, DnsType, HttpGet, HttpProtocol, Model, UdpCheck, Url};

/// The user agent of `HTTP_GET`.
const USER_AGENT: &str = "KeepAliveClient";

/// Reply length where `max_reply_length` is not given.
const MAX_REPLY: usize = 255;

/// The probe of a checker (of one URL of it); `random` fills the payload of a UDP check that names none. `None` for
/// kinds that are told from outside (BFD) and for files nobody defined.
pub fn spec(checker: &Checker, url: usize, model: &Model, random: u64) -> Option<Spec> {
    let timeout = checker.connection.timeout;
    let check = match &checker.kind {
        CheckerKind::Tcp => return Some(with_source(Spec::tcp(checker.connection.to, timeout), checker)),
        CheckerKind::Http(get) => Check::Get(url_check(get, get.urls.get(url)?, checker.connection.to)),
        CheckerKind::Smtp { helo_name } => Check::Mail(mail::Mail { helo: helo_name.clone() }),
        CheckerKind::Dns { query, name } => {
            Check::Dns(dns::Dns { kind: dns_type(*query).to_owned(), name: name.clone() })
        }
        CheckerKind::Udp(udp) => Check::Udp(udp_check(udp, random)),
        CheckerKind::Ping => Check::Ping,
        CheckerKind::Misc { script, timeout, dynamic } => {
            let check = Check::Process(process::Process {
                argv: script.argv.clone(),
                environment: None,
                uid: Some(script.uid),
                gid: Some(script.gid),
                dynamic: *dynamic,
            });
            let limit = timeout.unwrap_or(checker.delay_loop).max(Duration::from_secs(1));
            return Some(Spec::new(Endpoint::Socket(checker.connection.to), limit, check));
        }
        CheckerKind::File { track_file, weight, reverse } => {
            let found = model.track_files.iter().find(|t| t.name == *track_file)?;
            Check::File(file::File {
                path: found.path.clone(),
                weight: *weight,
                reverse: *reverse,
                must_exist: checker.alpha,
            })
        }
        CheckerKind::Bfd { .. } => return None,
    };
    let mut spec = with_source(Spec::new(Endpoint::Socket(checker.connection.to), timeout, check), checker);
    spec.exchange_timeout = Some(timeout);
    if let CheckerKind::Http(get) = &checker.kind
        && get.tls
    {
        spec.tls = Some(tls_options(get, url, model));
    }
    Some(spec)
}

fn with_source(mut spec: Spec, checker: &Checker) -> Spec {
    let from = &checker.connection;
    spec.source = Source {
        address: from.bind_address,
        port: from.bind_port,
        interface: from.bind_interface.clone(),
        mark: from.fwmark,
    };
    spec
}

fn dns_type(query: DnsType) -> &'static str {
    match query {
        DnsType::A => "A",
        DnsType::Ns => "NS",
        DnsType::Cname => "CNAME",
        DnsType::Soa => "SOA",
        DnsType::Mx => "MX",
        DnsType::Txt => "TXT",
        DnsType::Aaaa => "AAAA",
        DnsType::Rrsig => "RRSIG",
        DnsType::Dnskey => "DNSKEY",
    }
}

fn udp_check(udp: &UdpCheck, random: u64) -> datagram::Udp {
    datagram::Udp {
        payload: udp.payload.clone().unwrap_or_else(|| random.to_be_bytes().to_vec()),
        reply: udp.require_reply.clone(),
        min_reply: usize::from(udp.min_reply),
        max_reply: udp.max_reply.map_or(MAX_REPLY, usize::from),
    }
}

fn virtual_host<'a>(get: &'a HttpGet, url: &'a Url) -> Option<&'a str> {
    url.virtualhost.as_deref().or(get.virtualhost.as_deref())
}

fn request(get: &HttpGet, url: &Url, to: SocketAddr) -> Vec<u8> {
    let (version, close) = match get.protocol {
        HttpProtocol::V10 => ("1.0", ""),
        HttpProtocol::V10Close => ("1.0", "Connection: close\r\n"),
        HttpProtocol::V11 => ("1.1", "Connection: close\r\n"),
        HttpProtocol::V11Keep => ("1.1", "Connection: keep-alive\r\n"),
    };
    let host = match virtual_host(get, url) {
        Some(name) => name.to_owned(),
        None => {
            let default = if get.tls { 443 } else { 80 };
            let ip = match to {
                SocketAddr::V4(a) => a.ip().to_string(),
                SocketAddr::V6(a) => format!("[{}]", a.ip()),
            };
            if to.port() == default { ip } else { format!("{ip}:{}", to.port()) }
        }
    };
    format!("GET {} HTTP/{version}\r\nUser-Agent: {USER_AGENT}\r\n{close}Host: {host}\r\n\r\n", url.path)
        .into_bytes()
}

fn url_check(get: &HttpGet, url: &Url, to: SocketAddr) -> http::Get {
    // A digest or a pattern does not take the place of the status.
    let status = if url.status.is_empty() { vec![(200, 299)] } else { url.status.clone() };
    http::Get {
        request: request(get, url, to),
        status,
        digest: url.digest,
        regex: url.regex.as_ref().map(crate::config::body_regex),
        strict_close: get.tls_compliant || url.tls_compliant,
    }
}

fn tls_options(get: &HttpGet, url: usize, model: &Model) -> tls::client::Options {
    let host = get.urls.get(url).and_then(|u| virtual_host(get, u));
    let sni = get.sni_name.as_deref().or(if get.enable_sni { host } else { None });
    let ssl = model.ssl.as_ref();
    tls::client::Options {
        sni: sni.map(|s| s.split(':').next().unwrap_or(s).to_owned()),
        certificate: ssl.and_then(|s| s.certificate.clone()),
        key: ssl.and_then(|s| s.key.clone()),
        ..tls::client::Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(protocol: HttpProtocol, virtualhost: Option<&str>) -> HttpGet {
        HttpGet {
            tls: false,
            protocol,
            virtualhost: virtualhost.map(Into::into),
            enable_sni: false,
            sni_name: None,
            fast_recovery: false,
            tls_compliant: false,
            urls: vec![Url {
                path: "/a".into(),
                digest: None,
                status: Vec::new(),
                virtualhost: None,
                regex: None,
                tls_compliant: false,
            }],
        }
    }

    #[test]
    fn requests_are_keepaliveds() {
        let to = "10.1.0.1:8001".parse().expect("address");
        let text = |get: &HttpGet| String::from_utf8(request(get, &get.urls[0], to)).unwrap_or_default();
        assert_eq!(
            text(&get(HttpProtocol::V10, None)),
            "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.1.0.1:8001\r\n\r\n"
        );
        assert_eq!(
            text(&get(HttpProtocol::V11, Some("vh.example"))),
            "GET /a HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: vh.example\r\n\r\n"
        );
    }
}
