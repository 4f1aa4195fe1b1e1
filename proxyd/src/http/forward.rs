//! `option forwardfor` and `option originalto`.

use crate::config::model::ForwardHeader;
use crate::http::message::Message;
use std::net::IpAddr;

/// Adds the address as both sections of a request say: the backend names the header, either may leave an address out,
/// and a header that is there stays alone only where both want it so.
pub fn add(
    request: &mut Message,
    front: Option<&ForwardHeader>,
    back: Option<&ForwardHeader>,
    ip: Option<IpAddr>,
) {
    let rules = || [back, front].into_iter().flatten();
    let (Some(rule), Some(ip)) = (rules().next(), ip) else { return };
    if rules().any(|r| r.except.is_some_and(|net| net.contains(&ip))) {
        return;
    }
    if rules().all(|r| r.if_none) && request.first(rule.header.as_bytes()).is_some() {
        return;
    }
    match ip {
        IpAddr::V4(v4) => {
            // The common case without a formatter.
            let text = dotted(v4.octets());
            request.add(rule.header.as_bytes(), text.as_slice());
        }
        IpAddr::V6(v6) => request.add(rule.header.as_bytes(), v6.to_string().as_bytes()),
    }
}

fn dotted(octets: [u8; 4]) -> smallvec::SmallVec<[u8; 16]> {
    let mut out = smallvec::SmallVec::new();
    for (i, o) in octets.into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        if o >= 100 {
            out.push(b'0' + o / 100);
        }
        if o >= 10 {
            out.push(b'0' + o / 10 % 10);
        }
        out.push(b'0' + o % 10);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_text() {
        for text in ["0.0.0.0", "127.0.0.1", "255.10.100.9"] {
            let ip: std::net::Ipv4Addr = text.parse().expect("address");
            assert_eq!(dotted(ip.octets()).as_slice(), text.as_bytes());
        }
    }
}
