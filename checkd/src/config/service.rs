//! `virtual_server_group`, `virtual_server`, `real_server`.
//!
//! Invariant: a draft holds what was written; defaults and inheritance are settled in finish.rs.

use super::model::{
    Family, Granularity, GroupEntry, Method, NAME_MAX, PERSISTENCE_TIMEOUT_S, Protocol, SchedulerFlags,
    Script, ServerGroup, SorryServer, Target,
};
use super::value::{inet_aton, method};
use super::{Builder, checker};
use conf_parsers::keepalived::boolean;
use conf_parsers::keepalived::walk::{Line, Row, Standing, Step, Stop, Takes, block, not_yet, words};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Microseconds of the longest time that fills 32 bits.
pub(super) const TIME_MAX_US: u64 = u32::MAX as u64;
/// The original's limit of `delay_loop` as it prints it.
pub(super) const DELAY_MAX_US: u64 = u64::MAX - 1;
/// 31 days, what the kernel takes.
const PERSISTENCE_MAX_S: u32 = 31 * 86_400;

const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "fo", "ovf", "mh", "sed", "nq", "twos", "nh"];

/// Timers that a real server takes over from its virtual server, and a checker from both.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timers {
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
    pub(super) warmup: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) delay_loop: Option<Duration>,
}

impl Timers {
    /// These, and the other's where they say nothing.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            retry: self.retry.or(other.retry),
            delay_before_retry: self.delay_before_retry.or(other.delay_before_retry),
            warmup: self.warmup.or(other.warmup),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
            delay_loop: self.delay_loop.or(other.delay_loop),
        }
    }
}

/// A virtual server under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) target: Option<Target>,
    pub(super) family: Option<Family>,
    pub(super) protocol: Option<Protocol>,
    pub(super) scheduler: Option<String>,
    pub(super) flags: SchedulerFlags,
    pub(super) hashed: bool,
    pub(super) ops: bool,
    pub(super) method: Option<Method>,
    pub(super) engine: Option<String>,
    pub(super) persistence_s: Option<u32>,
    pub(super) granularity: Option<Granularity>,
    pub(super) ha_suspend: bool,
    pub(super) smtp_alert: Option<bool>,
    pub(super) virtualhost: Option<String>,
    pub(super) snmp_name: Option<String>,
    pub(super) alpha: bool,
    pub(super) omega: bool,
    pub(super) quorum: Option<u32>,
    pub(super) hysteresis: u32,
    pub(super) quorum_up: Option<Script>,
    pub(super) quorum_down: Option<Script>,
    pub(super) sorry: Option<SorryServer>,
    pub(super) sorry_method: Option<Method>,
    pub(super) inhibit: bool,
    pub(super) weight: Option<u32>,
    pub(super) timers: Timers,
    pub(super) reals: Vec<RealDraft>,
}

/// A real server under way.
#[derive(Debug, Clone)]
pub(super) struct RealDraft {
    pub(super) address: SocketAddr,
    pub(super) weight: Option<u32>,
    pub(super) method: Option<Method>,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) inhibit: Option<bool>,
    pub(super) alpha: Option<bool>,
    pub(super) smtp_alert: Option<bool>,
    pub(super) virtualhost: Option<String>,
    pub(super) snmp_name: Option<String>,
    pub(super) notify_up: Option<Script>,
    pub(super) notify_down: Option<Script>,
    pub(super) timers: Timers,
    pub(super) checkers: Vec<checker::Draft>,
}

type B = Builder;

/// `virtual_server_group`.
pub(super) const GROUP: Row<B> = Row {
    name: "virtual_server_group",
    form: "NAME {",
    standing: Standing::Works,
    takes: Takes::Items { open: group_open, item: group_item, close: group_close },
};

fn group_open(b: &mut B, line: &mut Line<'_>) -> Step {
    b.group = ServerGroup { name: line.need(1)?.to_owned(), entries: Vec::new() };
    Ok(())
}

fn group_close(b: &mut B, line: &mut Line<'_>) {
    let group = std::mem::replace(&mut b.group, ServerGroup { name: String::new(), entries: Vec::new() });
    let name = &group.name;
    if group.entries.is_empty() {
        line.say(format!("virtual server group {name} has no entries - removing"));
        return;
    }
    let has = |f: Family| {
        group
            .entries
            .iter()
            .any(|e| matches!(e, GroupEntry::Range { first, .. } if Family::of(first.ip()) == f))
    };
    let bare_mark = group.entries.iter().any(|e| matches!(e, GroupEntry::Fwmark { family: None, .. }));
    if has(Family::Inet) && has(Family::Inet6) && bare_mark {
        line.say(format!(
            "virtual server group {name} cannot have IPv4, IPv6 and fwmark without family - removing"
        ));
        return;
    }
    b.model.groups.push(group);
}

fn group_item(b: &mut B, line: &mut Line<'_>) -> Step {
    let first = line.need(0)?;
    if first == "fwmark" {
        let word = line.need(1)?;
        let mark = line.unsigned(word, 0, u32::MAX);
        let Some(mark) = mark else {
            line.say(format!("({}): fwmark '{word}' must be in [0, {}] - ignoring", b.group.name, u32::MAX));
            return Ok(());
        };
        if mark == 0 {
            // A mark of 0 is none; the original takes the line without a word.
            line.inert("a mark of 0 marks nothing");
            return Ok(());
        }
        let family = match line.get(2) {
            None => None,
            Some("inet") => Some(Family::Inet),
            Some("inet6") => Some(Family::Inet6),
            Some(other) => {
                line.say(format!("({}): fwmark '{mark}' family {other} unknown - ignoring", b.group.name));
                return Ok(());
            }
        };
        b.group.entries.push(GroupEntry::Fwmark { mark, family });
        return Ok(());
    }
    let mut port = Some(0);
    if let Some(word) = line.get(1) {
        port = line.unsigned(word, 1, 65_535);
    }
    let base = first.split(['-', '/']).next().unwrap_or(first);
    let Some((address, port)) = base.parse::<IpAddr>().ok().zip(port) else {
        let (how, word) = line.get(1).map_or(("", ""), |w| ("/port/", w));
        line.say(format!("Invalid virtual server group IP address {first} {how}{word} - skipping"));
        return Ok(());
    };
    let Some(last) = range_end(line, first, address) else { return Ok(()) };
    b.group.entries.push(GroupEntry::Range { first: SocketAddr::new(address, port as u16), last });
    Ok(())
}

/// The last address of `A`, `A-B`, `A-last octet` or `A/LEN`.
fn range_end(line: &mut Line<'_>, text: &str, first: IpAddr) -> Option<IpAddr> {
    if let Some((_, len)) = text.split_once('/') {
        let max = if first.is_ipv4() { 32 } else { 128 };
        let Some(len) = len.parse::<u32>().ok().filter(|l| *l <= max && *l > 0) else {
            line.say(format!("Invalid netmask - {text} - skipping"));
            return None;
        };
        let net: ipnet::IpNet = ipnet::IpNet::new(first, len as u8).ok()?;
        if net.network() != first {
            line.say(format!("Address mask bits not empty - {text} - skipping"));
            return None;
        }
        return Some(net.broadcast());
    }
    let Some((_, end)) = text.split_once('-') else { return Some(first) };
    let last: Option<IpAddr> = end.parse().ok().or_else(|| match first {
        IpAddr::V4(a) => end.parse().ok().map(|octet: u8| {
            let [x, y, z, _] = a.octets();
            IpAddr::from([x, y, z, octet])
        }),
        IpAddr::V6(a) => u16::from_str_radix(end, 16).ok().map(|segment| {
            let mut segments = a.segments();
            segments[7] = segment;
            IpAddr::from(segments)
        }),
    });
    match last {
        None => line.say(format!("Invalid range end {text} - skipping")),
        Some(last) if last.is_ipv4() != first.is_ipv4() => {
            line.say(format!("Range address families do not match {text} - skipping"));
        }
        Some(last) if last <= first => {
            line.say(format!(
                "Address range end is not greater than address range start - {text} - skipping"
            ));
        }
        last => return last,
    }
    None
}

/// The keywords of `virtual_server`.
pub(super) static ROWS: &[Row<B>] = &[
    words("ip_family", "inet|inet6", ip_family),
    words("retry", "<INTEGER>", |b, l| retry(l, &mut b.service.timers)),
    words("delay_before_retry", "<TIMER>", |b, l| {
        time(
            l,
            "virtual server delay before retry '{}' invalid - ignoring",
            0,
            TIME_MAX_US,
            &mut b.service.timers.delay_before_retry,
        )
    }),
    words("warmup", "<TIMER>", |b, l| {
        time(l, "virtual server warmup '{}' invalid - ignoring", 0, TIME_MAX_US, &mut b.service.timers.warmup)
    }),
    words("connect_timeout", "<TIMER>", |b, l| {
        time(
            l,
            "virtual server connect_timeout {} invalid - ignoring",
            1,
            TIME_MAX_US,
            &mut b.service.timers.connect_timeout,
        )
    }),
    words("delay_loop", "<TIMER>", |b, l| {
        time(
            l,
            "virtual server delay loop '{}' invalid - ignoring",
            1,
            DELAY_MAX_US,
            &mut b.service.timers.delay_loop,
        )
    }),
    words("inhibit_on_failure", "", |b, _| {
        b.service.inhibit = true;
        Ok(())
    }),
    words("lb_algo", "SCHED", scheduler),
    words("lvs_sched", "rr|wrr|lc|wlc|lblc|sh|mh|dh|fo|ovf|lblcr|sed|nq|twos", scheduler),
    words("hashed", "", |b, _| {
        b.service.hashed = true;
        Ok(())
    }),
    words("ops", "", |b, _| {
        b.service.ops = true;
        Ok(())
    }),
    words("flag-1", "", |b, _| {
        b.service.flags.one = true;
        Ok(())
    }),
    words("flag-2", "", |b, _| {
        b.service.flags.two = true;
        Ok(())
    }),
    words("flag-3", "", |b, _| {
        b.service.flags.three = true;
        Ok(())
    }),
    words("sh-port", "", |b, l| sched_flag(b, l, "sh", |f| f.two = true)),
    words("sh-fallback", "", |b, l| sched_flag(b, l, "sh", |f| f.one = true)),
    // The original names the wrong scheduler here, and people search for its words.
    words("mh-port", "", |b, l| sched_flag(b, l, "mh", |f| f.two = true)),
    words("mh-fallback", "", |b, l| sched_flag(b, l, "mh", |f| f.one = true)),
    words("lb_kind", "NAT|DR|TUN [...]", |b, l| {
        let m = method(l, "virtual")?;
        b.service.method = m.or(b.service.method);
        Ok(())
    }),
    words("lvs_method", "NAT|DR", |b, l| {
        let m = method(l, "virtual")?;
        b.service.method = m.or(b.service.method);
        Ok(())
    }),
    words("persistence_engine", "<STRING>", persistence_engine),
    words("persistence_timeout", "[<INTEGER>]", persistence_timeout),
    words("persistence_granularity", "<NETMASK>", persistence_granularity),
    words("protocol", "TCP|UDP|SCTP", protocol),
    words("ha_suspend", "", |b, _| {
        b.service.ha_suspend = true;
        Ok(())
    }),
    words("smtp_alert", "<BOOL>", |b, l| {
        truth(l, "Invalid virtual_server smtp_alert parameter {}", &mut b.service.smtp_alert)
    }),
    words("virtualhost", "<STRING>", |b, l| {
        named(l, "virtual server virtualhost missing", &mut b.service.virtualhost)
    }),
    not_yet("snmp_name", "<STRING>", "there is no SNMP agent", |b, l| {
        named(l, "virtual server snmp_name missing or extra parameters", &mut b.service.snmp_name)
    }),
    words("alpha", "", |b, _| {
        b.service.alpha = true;
        Ok(())
    }),
    words("omega", "", |b, _| {
        b.service.omega = true;
        Ok(())
    }),
    words("quorum_up", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "quorum_up", |b| Some(&mut b.service.quorum_up))
    }),
    words("quorum_down", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "quorum_down", |b| Some(&mut b.service.quorum_down))
    }),
    words("quorum", "<INTEGER>", |b, l| {
        let word = l.need(1)?;
        let value = l.unsigned(word, 1, u32::MAX);
        if value.is_none() {
            l.say(format!("Quorum {word} must be in [1, {}]. Setting to 1.", u32::MAX));
        }
        b.service.quorum = Some(value.unwrap_or(1));
        Ok(())
    }),
    words("hysteresis", "<INTEGER>", |b, l| {
        let word = l.need(1)?;
        match l.unsigned(word, 0, u32::MAX) {
            Some(v) => b.service.hysteresis = v,
            None => l.say(format!("Hysteresis {word} must be in [0, {}] - ignoring", u32::MAX)),
        }
        Ok(())
    }),
    words("weight", "<INTEGER>", |b, l| {
        let word = l.need(1)?;
        match l.unsigned(word, 1, i32::MAX as u32) {
            Some(v) => b.service.weight = Some(v),
            None => l.say(format!("Virtual server weight {word} is outside range 1-{}", i32::MAX)),
        }
        Ok(())
    }),
    words("sorry_server", "<IPADDR> [<PORT>]", sorry_server),
    words("sorry_server_inhibit", "", |b, l| {
        match &mut b.service.sorry {
            Some(sorry) => sorry.inhibit = true,
            None => l.say("Ignoring sorry_server inhibit used before or without sorry_server"),
        }
        Ok(())
    }),
    words("sorry_server_lvs_method", "NAT|DR", |b, l| {
        if b.service.sorry.is_none() {
            l.say("sorry_server forwarding used without sorry_server");
            return Ok(());
        }
        b.service.sorry_method = method(l, "sorry")?;
        Ok(())
    }),
    block("real_server", "<IPADDR> [<PORT>]", real_open, REAL, real_close),
];

/// The keywords of `real_server`.
static REAL: &[Row<B>] = &[
    words("weight", "<INTEGER>", |b, l| {
        let word = l.need(1)?;
        match l.unsigned(word, 0, i32::MAX as u32) {
            Some(v) => {
                if let Some(r) = b.real() {
                    r.weight = Some(v);
                }
            }
            None => l.say(format!("Real server weight {word} is outside range 0-{}", i32::MAX)),
        }
        Ok(())
    }),
    words("lvs_method", "NAT|DR", |b, l| {
        let m = method(l, "real")?;
        if let Some(r) = b.real() {
            r.method = m.or(r.method);
        }
        Ok(())
    }),
    words("uthreshold", "<INTEGER>", |b, l| threshold(b, l, "uthreshold")),
    words("lthreshold", "<INTEGER>", |b, l| threshold(b, l, "lthreshold")),
    words("inhibit_on_failure", "<BOOL>", |b, l| {
        let mut v = None;
        truth(l, "Invalid inhibit_on_failure parameter {}", &mut v)?;
        if let Some(r) = b.real() {
            r.inhibit = v.or(r.inhibit);
        }
        Ok(())
    }),
    words("notify_up", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_up", |b| b.real().map(|r| &mut r.notify_up))
    }),
    words("notify_down", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_down", |b| b.real().map(|r| &mut r.notify_down))
    }),
    words("alpha", "<BOOL>", |b, l| {
        let mut v = None;
        truth(l, "Invalid alpha parameter {}", &mut v)?;
        if let Some(r) = b.real() {
            r.alpha = v.or(r.alpha);
        }
        Ok(())
    }),
    words("retry", "<INTEGER>", |b, l| {
        if let Some(r) = b.real() {
            retry(l, &mut r.timers)?;
        }
        Ok(())
    }),
    words("delay_before_retry", "<TIMER>", |b, l| {
        real_time(b, l, "real server delay_before_retry '{}' invalid - ignoring", 0, |t| {
            &mut t.delay_before_retry
        })
    }),
    words("warmup", "<TIMER>", |b, l| {
        real_time(b, l, "real server warmup '{}' invalid - ignoring", 0, |t| &mut t.warmup)
    }),
    words("connect_timeout", "<TIMER>", |b, l| {
        real_time(b, l, "real server connect_timeout {} invalid - ignoring", 1, |t| &mut t.connect_timeout)
    }),
    words("delay_loop", "<TIMER>", |b, l| {
        real_time(b, l, "real server delay_loop '{}' invalid - ignoring", 1, |t| &mut t.delay_loop)
    }),
    words("smtp_alert", "<BOOL>", |b, l| {
        let mut v = None;
        truth(l, "Invalid real_server smtp_alert parameter {}", &mut v)?;
        if let Some(r) = b.real() {
            r.smtp_alert = v.or(r.smtp_alert);
        }
        Ok(())
    }),
    words("virtualhost", "<STRING>", |b, l| {
        if let Some(r) = b.real() {
            named(l, "real server virtualhost missing", &mut r.virtualhost)?;
        }
        Ok(())
    }),
    not_yet("snmp_name", "<STRING>", "there is no SNMP agent", |b, l| {
        if let Some(r) = b.real() {
            named(l, "real server snmp_name missing or extra parameters", &mut r.snmp_name)?;
        }
        Ok(())
    }),
    checker::MISC,
    checker::SMTP,
    checker::TCP,
    checker::PING,
    checker::UDP,
    checker::HTTP,
    checker::SSL,
    checker::DNS,
    checker::FILE,
    checker::BFD,
];

impl Draft {
    /// Whether a server with this method, or the service's where it has none, is reached through a tunnel.
    fn tunnels(&self, method: Option<Method>) -> bool {
        matches!(method.or(self.method), Some(Method::Tun(_)))
    }
}

impl Builder {
    /// The real server under way.
    pub(super) fn real(&mut self) -> Option<&mut RealDraft> {
        self.service.reals.last_mut()
    }
}

/// The opening line of `virtual_server`.
pub(super) fn open(b: &mut B, line: &mut Line<'_>) -> Result<bool, Stop> {
    b.service = Draft::default();
    let first = line.need(1)?;
    match first {
        "group" => b.service.target = Some(Target::Group(line.need(2)?.to_owned())),
        "fwmark" => {
            let word = line.need(2)?;
            match line.unsigned(word, 0, u32::MAX) {
                Some(mark) => b.service.target = Some(Target::Fwmark(mark)),
                None => {
                    line.say(format!(
                        "virtual server fwmark '{word}' must be in [0, {}] - ignoring",
                        u32::MAX
                    ));
                    return Ok(false);
                }
            }
        }
        _ => {
            let Some(address) = socket(line, first) else {
                let (how, port) = line.get(2).map_or(("", String::new()), |p| ("/port", format!("/{p}")));
                line.say(format!("Invalid virtual server IP address{how} {first}{port} - skipping"));
                return Ok(false);
            };
            b.service.family = Some(Family::of(address.ip()));
            b.service.target = Some(Target::Address(address));
        }
    }
    Ok(true)
}

/// The end of `virtual_server`.
pub(super) fn close(b: &mut B, line: &mut Line<'_>) {
    let mut draft = std::mem::take(&mut b.service);
    if let (Some(family), Some(sorry)) = (draft.family, &draft.sorry)
        && !draft.tunnels(draft.sorry_method)
        && Family::of(sorry.address.ip()) != family
    {
        line.say(format!(
            "Address family of virtual server and sorry server {} don't match - skipping sorry server.",
            sorry.address.ip()
        ));
        draft.sorry = None;
    }
    b.services.push(draft);
}

/// Address and port of a line; port 0 where none is given.
fn socket(line: &mut Line<'_>, address: &str) -> Option<SocketAddr> {
    let port = match line.get(2) {
        // "any" may be written out; the complaint about others does not name it.
        Some("0") | None => 0,
        Some(word) => line.unsigned(word, 1, 65_535)?,
    };
    Some(SocketAddr::new(address.parse().ok()?, port as u16))
}

fn real_open(b: &mut B, line: &mut Line<'_>) -> Result<bool, Stop> {
    let first = line.need(1)?;
    let Some(address) = socket(line, first) else {
        let port = line.get(2).unwrap_or_default();
        line.say(format!("Invalid real server ip address/port {first}/{port} - skipping"));
        return Ok(false);
    };
    b.service.reals.push(RealDraft {
        address,
        weight: None,
        method: None,
        upper: 0,
        lower: 0,
        inhibit: None,
        alpha: None,
        smtp_alert: None,
        virtualhost: None,
        snmp_name: None,
        notify_up: None,
        notify_down: None,
        timers: Timers::default(),
        checkers: Vec::new(),
    });
    Ok(true)
}

/// The end of `real_server`: only tunnels lead from one family to the other.
fn real_close(b: &mut B, line: &mut Line<'_>) {
    let Some(real) = b.service.reals.last() else { return };
    let (address, method) = (real.address.ip(), real.method);
    if b.service.family.is_some_and(|f| f != Family::of(address)) && !b.service.tunnels(method) {
        line.say(format!(
            "Address family of virtual server and real server {address} don't match - skipping real server."
        ));
        b.service.reals.pop();
    }
}

fn ip_family(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let family = match word {
        "inet" => Family::Inet,
        "inet6" => Family::Inet6,
        _ => {
            line.say(format!("unknown address family {word}"));
            return Ok(());
        }
    };
    if b.service.family.is_some_and(|f| f != family) {
        line.say(format!("Virtual server specified family {word} conflicts with server family"));
        return Ok(());
    }
    b.service.family = Some(family);
    Ok(())
}

pub(super) fn retry(line: &mut Line<'_>, timers: &mut Timers) -> Step {
    let word = line.need(1)?;
    match line.unsigned(word, 0, u32::MAX) {
        Some(v) => timers.retry = Some(v),
        None => line.say(format!("retry value invalid - {word}")),
    }
    Ok(())
}

/// A time in seconds; the number's own complaint stands alone where the original says no more.
pub(super) fn time(line: &mut Line<'_>, text: &str, min: u64, max: u64, slot: &mut Option<Duration>) -> Step {
    let word = line.need(1)?;
    match line.seconds(word, min, max) {
        Some(v) => *slot = Some(v),
        // The original forgets its second line for these two.
        None if text.contains("warmup") || text.contains("before") => {}
        None => line.say(text.replace("{}", word)),
    }
    Ok(())
}

fn real_time(
    b: &mut B,
    line: &mut Line<'_>,
    text: &str,
    min: u64,
    slot: fn(&mut Timers) -> &mut Option<Duration>,
) -> Step {
    let max = if text.contains("delay_loop") { DELAY_MAX_US } else { TIME_MAX_US };
    match b.real() {
        Some(real) => time(line, text, min, max, slot(&mut real.timers)),
        None => Ok(()),
    }
}

fn scheduler(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if SCHEDULERS.contains(&word) {
        b.service.scheduler = Some(word.to_owned());
    } else {
        line.say(format!("Invalid lvs_scheduler '{word}' - ignoring"));
    }
    Ok(())
}

fn sched_flag(b: &mut B, line: &mut Line<'_>, wanted: &str, set: fn(&mut SchedulerFlags)) -> Step {
    if b.service.scheduler.as_deref() == Some(wanted) {
        set(&mut b.service.flags);
    } else {
        let text = format!("{} only applies to sh scheduler - ignoring", line.keyword());
        line.say(text);
    }
    Ok(())
}

fn persistence_engine(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if word.len() > NAME_MAX {
        line.say(format!("persistence_name too long, truncating - {word}"));
    }
    b.service.engine = Some(word.chars().take(NAME_MAX).collect());
    Ok(())
}

fn persistence_timeout(b: &mut B, line: &mut Line<'_>) -> Step {
    let Some(word) = line.get(1) else {
        b.service.persistence_s = Some(PERSISTENCE_TIMEOUT_S);
        return Ok(());
    };
    match line.unsigned(word, 1, PERSISTENCE_MAX_S) {
        Some(v) => b.service.persistence_s = Some(v),
        None => line.say("persistence_timeout invalid"),
    }
    Ok(())
}

fn persistence_granularity(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if !word.starts_with(|c: char| c.is_ascii_digit()) || word.contains('.') {
        match inet_aton(word) {
            Some(mask) => b.service.granularity = Some(Granularity::Mask(mask)),
            None => {
                line.say(format!("Invalid IPv4 persistence_granularity specified - {word}"));
                return Ok(());
            }
        }
    } else {
        match line.unsigned(word, 1, 128) {
            Some(len) => b.service.granularity = Some(Granularity::Prefix(len as u8)),
            None => {
                line.say(format!("Invalid IPv6 persistence_granularity specified - {word}"));
                return Ok(());
            }
        }
    }
    b.service.persistence_s.get_or_insert(PERSISTENCE_TIMEOUT_S);
    Ok(())
}

fn protocol(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word.to_ascii_uppercase().as_str() {
        "TCP" => b.service.protocol = Some(Protocol::Tcp),
        "UDP" => b.service.protocol = Some(Protocol::Udp),
        "SCTP" => b.service.protocol = Some(Protocol::Sctp),
        _ => line.say(format!("Unknown protocol {word} - ignoring")),
    }
    Ok(())
}

pub(super) fn truth(line: &mut Line<'_>, text: &str, slot: &mut Option<bool>) -> Step {
    match line.get(1).map_or(Some(true), boolean) {
        Some(value) => *slot = Some(value),
        None => line.say(text.replace("{}", line.get(1).unwrap_or_default())),
    }
    Ok(())
}

pub(super) fn named(line: &mut Line<'_>, missing: &str, slot: &mut Option<String>) -> Step {
    match line.get(1) {
        Some(word) => *slot = Some(word.to_owned()),
        None => line.say(missing),
    }
    Ok(())
}

fn notify(
    b: &mut B,
    line: &mut Line<'_>,
    what: &str,
    slot: fn(&mut B) -> Option<&mut Option<Script>>,
) -> Step {
    line.need(1)?;
    if slot(b).is_some_and(|s| s.is_some()) {
        let shown = line.command().first().cloned().unwrap_or_default();
        line.say(format!("((null)) {what} script already specified - ignoring {shown}"));
        return Ok(());
    }
    let command = b.command(line);
    if let Some(slot) = slot(b) {
        *slot = command;
    }
    Ok(())
}

fn threshold(b: &mut B, line: &mut Line<'_>, which: &str) -> Step {
    let word = line.need(1)?;
    let Some(value) = line.unsigned(word, 0, u32::MAX) else {
        line.say(format!("Invalid real_server {which} '{word}' - ignoring"));
        return Ok(());
    };
    if let Some(real) = b.real() {
        *(if which == "uthreshold" { &mut real.upper } else { &mut real.lower }) = value;
    }
    Ok(())
}

fn sorry_server(b: &mut B, line: &mut Line<'_>) -> Step {
    let first = line.need(1)?;
    match socket(line, first) {
        Some(address) => {
            b.service.sorry = Some(SorryServer { address, inhibit: false, method: Method::Nat });
        }
        None => line.say(format!("Invalid sorry server IP address {first} - skipping")),
    }
    Ok(())
}
