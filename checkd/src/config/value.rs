//! Values of a line that take more than a word to read.
//!
//! Invariant: what is wrong has been said when a function gives nothing. Absent on purpose: keywords.

use super::model::{Method, Tunnel, TunnelChecksum, TunnelKind, UrlRegex};
use conf_parsers::keepalived::walk::{Line, Stop};
use health::probe::http::BodyRegex;

/// Bytes and masks of a free-form hexadecimal string: one or two digits a byte, `x` for any nibble.
pub(super) fn hex(line: &Line<'_>, any: bool) -> Option<Vec<(u8, u8)>> {
    let mut out = Vec::new();
    for word in line.words.iter().skip(1) {
        for pair in word.text.as_bytes().chunks(2) {
            let (mut value, mut mask) = (0u8, 0u8);
            for c in pair {
                let digit = (*c as char).to_digit(16);
                let wild = any && matches!(c, b'x' | b'X');
                (value, mask) = match digit {
                    Some(d) => (value << 4 | d as u8, mask << 4 | 0xf),
                    None if wild => (value << 4, mask << 4),
                    None => return None,
                };
            }
            if pair.len() == 1 && mask != 0 {
                mask = 0xff;
            }
            out.push((value, mask));
        }
    }
    Some(out)
}

/// A URL's pattern as the probe takes it.
pub(crate) fn body_regex(r: &UrlRegex) -> BodyRegex {
    BodyRegex {
        pattern: r.pattern.clone(),
        negate: r.no_match,
        options: r.options.clone(),
        min_offset: r.min_offset,
        max_offset: r.max_offset,
    }
}

/// An IPv4 address as inet_aton(3) reads it: the last of one to four numbers fills what is left.
pub(super) fn inet_aton(word: &str) -> Option<std::net::Ipv4Addr> {
    let parts: Vec<u32> = word.split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let free_bits = 32 - 8 * u32::try_from(first.len()).ok()?.min(4);
    if first.len() > 3 || first.iter().any(|p| *p > 255) || u64::from(*last) >= 1u64 << free_bits {
        return None;
    }
    let head = first.iter().enumerate().fold(0, |a, (i, p)| a | p << (24 - 8 * i));
    Some((head | last).into())
}

/// `NAT`, `DR` or `TUN` with its options.
pub(super) fn method(line: &mut Line<'_>, which: &str) -> Result<Option<Method>, Stop> {
    let word = line.need(1)?;
    match word {
        "NAT" => return Ok(Some(Method::Nat)),
        "DR" => return Ok(Some(Method::Dr)),
        "TUN" => {}
        _ => {
            line.say(format!("PARSER : unknown [{word}] routing method for {which} server."));
            return Ok(None);
        }
    }
    let mut tunnel = Tunnel::default();
    let (mut gue, mut port, mut i) = (false, None, 2);
    while let Some(option) = line.get(i) {
        i += 1;
        match option {
            "type" => {
                match line.get(i) {
                    Some("ipip") => tunnel.kind = TunnelKind::Ipip,
                    Some("gre") => tunnel.kind = TunnelKind::Gre,
                    Some("gue") => gue = true,
                    None => {
                        line.say(format!("Missing tunnel type for {which} server."));
                        return Ok(None);
                    }
                    Some(other) => {
                        line.say(format!("Unknown tunnel type {other} for {which} server."));
                        return Ok(None);
                    }
                }
                i += 1;
            }
            "port" => {
                let Some(word) = line.get(i) else {
                    line.say(format!("Missing port for {which} server gue tunnel."));
                    return Ok(None);
                };
                i += 1;
                port = line.unsigned(word, 1, 65_535);
                if port.is_none() {
                    line.say(format!("Invalid gue tunnel port {word} for {which} server."));
                    return Ok(None);
                }
            }
            "nocsum" => tunnel.checksum = TunnelChecksum::None,
            "csum" => tunnel.checksum = TunnelChecksum::Checksum,
            "remcsum" => tunnel.checksum = TunnelChecksum::Remote,
            _ => {
                line.say(format!("Invalid tunnel option {option} for {which} server."));
                return Ok(None);
            }
        }
    }
    if gue != port.is_some() {
        line.say("gue tunnels require port, otherwise cannot have port.");
        return Ok(None);
    }
    if let Some(port) = port {
        tunnel.kind = TunnelKind::Gue { port: port as u16 };
    }
    if tunnel.kind == TunnelKind::Ipip && tunnel.checksum != TunnelChecksum::None {
        line.say("ipip tunnels do not support checksum option.");
        return Ok(None);
    }
    if tunnel.kind == TunnelKind::Gre && tunnel.checksum == TunnelChecksum::Remote {
        line.say("gre tunnels do not support remote checksum option.");
        return Ok(None);
    }
    Ok(Some(Method::Tun(tunnel)))
}
