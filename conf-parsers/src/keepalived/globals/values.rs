//! Reading the values of `global_defs`, with the original's complaints.

use super::{Globals, LvsSyncDaemon, RxPolicy, Tuning};
use crate::keepalived::number::boolean;
use crate::keepalived::shared::{Command, DefaultUser, Fifo, User, command};
use crate::keepalived::walk::{Line, Step, Stop};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

type G = Globals;

pub(super) fn set(flag: &mut bool) -> Step {
    *flag = true;
    Ok(())
}

/// What the reader takes from it; said here is only what is none of its words.
pub(super) fn include_check(_: &mut G, line: &mut Line<'_>) -> Step {
    for i in 1..line.len() {
        let word = line.get(i).unwrap_or_default();
        let name = word.strip_prefix(['+', '-']).unwrap_or(word);
        if !crate::keepalived::files::CHECKS.contains(&name) {
            line.say(format!("Unknown include_check type '{name}' - ignoring"));
        }
    }
    Ok(())
}

pub(super) fn keep(slot: &mut Option<u32>, read: Option<u32>) -> Step {
    if read.is_some() {
        *slot = read;
    }
    Ok(())
}

/// A number with the complaint that follows when it is none; `{}` stands for the word.
pub(super) fn number(line: &mut Line<'_>, min: u32, max: u32, text: &str) -> Result<Option<u32>, Stop> {
    let word = line.need(1)?;
    let value = line.unsigned(word, min, max);
    if value.is_none() {
        line.say(text.replace("{}", word));
    }
    Ok(value)
}

pub(super) fn at_least_one(line: &mut Line<'_>, name: &str) -> Result<Option<u32>, Stop> {
    let value = number(line, 0, u32::MAX, &format!("{name} '{{}}' invalid - ignoring"))?;
    if value == Some(0) {
        line.say(format!("{name} must be greater than 0, setting to 1"));
        return Ok(Some(1));
    }
    Ok(value)
}

pub(super) fn named(line: &mut Line<'_>, missing: &str, slot: &mut Option<String>) -> Step {
    match line.get(1) {
        Some(word) => *slot = Some(word.to_owned()),
        None => line.say(missing),
    }
    Ok(())
}

pub(super) fn path(line: &mut Line<'_>, slot: &mut Option<PathBuf>) -> Step {
    *slot = Some(PathBuf::from(line.need(1)?));
    Ok(())
}

pub(super) fn once(line: &mut Line<'_>, what: &str, slot: &mut Option<String>) -> Step {
    match line.get(1) {
        None => line.say(format!("{what} name missing - ignoring")),
        Some(word) if slot.is_some() => line.say(format!("Duplicate {what} definition {word} - ignoring")),
        Some(word) => *slot = Some(word.to_owned()),
    }
    Ok(())
}

pub(super) fn child_wait_time(g: &mut G, line: &mut Line<'_>) -> Step {
    let read = number(line, 0, u32::MAX, "Invalid child_wait_time {}")?;
    keep(&mut g.child_wait_time, read)
}

pub(super) fn process_name(line: &mut Line<'_>, slot: &mut Option<String>) -> Step {
    /// The kernel keeps 15 characters.
    const COMM_MAX: usize = 15;
    let Some(name) = line.get(1) else {
        line.say("Process name missing");
        return Ok(());
    };
    if name.len() > COMM_MAX {
        line.say(format!("Process name {name} more than {COMM_MAX} characters, truncating"));
    }
    *slot = Some(name.chars().take(COMM_MAX).collect());
    Ok(())
}

pub(super) fn global_bool(line: &mut Line<'_>, name: &str, slot: &mut Option<bool>) -> Step {
    match line.get(1) {
        None => *slot = Some(true),
        Some(word) => match boolean(word) {
            Some(value) => *slot = Some(value),
            None => line.say(format!("Invalid value '{word}' for global {name} specified")),
        },
    }
    Ok(())
}

pub(super) fn flag_or_bool(line: &mut Line<'_>, name: &str, slot: &mut bool) -> Step {
    let mut value = None;
    global_bool(line, name, &mut value)?;
    *slot = value.unwrap_or(*slot);
    Ok(())
}

pub(super) fn forced(_: &mut G, line: &mut Line<'_>) -> Step {
    let name = line.keyword().to_owned();
    global_bool(line, &name, &mut None)
}

pub(super) fn plain_bool(line: &mut Line<'_>, name: &str, slot: &mut bool) -> Step {
    match line.get(1).map(boolean) {
        None => *slot = true,
        Some(Some(value)) => *slot = value,
        Some(None) => line.say(format!("Invalid value for {name} specified")),
    }
    Ok(())
}

/// What is said of a mail server without an address.
pub fn no_smtp_server(host: &str, port: &str) -> String {
    format!("Invalid smtp server {host} {port}")
}

pub(super) fn smtp_server(g: &mut G, line: &mut Line<'_>) -> Step {
    const SMTP_PORT: u16 = 25;
    let host = line.need(1)?;
    let mut port = Some(u32::from(SMTP_PORT));
    if let Some(word) = line.get(2) {
        port = line.unsigned(word, 1, u32::from(u16::MAX));
        if port.is_none() {
            // The original reads it twice and says so.
            let _ = line.unsigned(word, 1, u32::from(u16::MAX));
        }
    }
    let plausible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    match port {
        Some(port) if host.chars().all(plausible) => {
            g.smtp_server = Some((host.to_owned(), port as u16));
        }
        _ => line.say(no_smtp_server(host, line.get(2).unwrap_or("25"))),
    }
    Ok(())
}

pub(super) fn smtp_connect_timeout(g: &mut G, line: &mut Line<'_>) -> Step {
    /// Microseconds of this many seconds fill 32 bits.
    const SECONDS_MAX: u32 = 4294;
    let text = format!("smtp_connect_timeout '{{}}' must be in [0, {SECONDS_MAX}] - ignoring");
    let Some(mut seconds) = number(line, 0, SECONDS_MAX, &text)? else { return Ok(()) };
    if seconds == 0 {
        line.say("smtp_conect_timeout must be greater than 0, setting to 1");
        seconds = 1;
    }
    g.smtp_connect_timeout = Some(Duration::from_secs(u64::from(seconds)));
    Ok(())
}

pub(super) fn startup(
    line: &mut Line<'_>,
    which: &str,
    user: &DefaultUser,
    slot: &mut Option<Command>,
) -> Step {
    if slot.is_some() {
        line.say(format!("{which} script already specified"));
        return Ok(());
    }
    if line.len() < 2 {
        line.say(format!("{which} script missing"));
        return Ok(());
    }
    match command(line, user) {
        Ok(command) => *slot = Some(command),
        Err(_) => line.say(format!("Invalid {which} script")),
    }
    Ok(())
}

pub(super) fn script_timeout(line: &mut Line<'_>, which: &str, slot: &mut Option<u32>) -> Step {
    if line.len() < 2 {
        line.say(format!("{which}_script_timeout requires value"));
        return Ok(());
    }
    let read =
        number(line, 1, 1000, &format!("{which}_script_timeout '{{}}' must be in [1, 1000] - ignoring"))?;
    keep(slot, read)
}

pub(super) fn max_auto_priority(_: &mut G, line: &mut Line<'_>) -> Step {
    if let Some(word) = line.get(1)
        && line.signed(word, -1, 99).is_none()
    {
        line.say(format!("max_auto_priority '{word}' must be in [0, 99] (or -1 to disable) - ignoring"));
    }
    Ok(())
}

pub(super) fn auto_delay(_: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("min_auto_priority_delay requires delay time");
        return Ok(());
    }
    number(line, 1, 10_000_000, "min_auto_priority_delay '{}' must be in [1, 10000000] - ignoring").map(drop)
}

pub(super) fn dynamic_interfaces(g: &mut G, line: &mut Line<'_>) -> Step {
    g.dynamic_interfaces = true;
    match line.get(1) {
        None => {}
        Some("allow_if_changes") => g.allow_if_changes = true,
        Some(other) => line.say(format!("Unknown dynamic_interfaces option '{other}'")),
    }
    Ok(())
}

pub(super) fn lvs_timeouts(g: &mut G, line: &mut Line<'_>) -> Step {
    /// The kernel counts in jiffies of at least 1/1000 s in 31 bits.
    const SECONDS_MAX: u32 = 31 * 86_400;
    if line.len() < 2 {
        line.say("lvs_timeouts requires at least one option");
        return Ok(());
    }
    let mut i = 1;
    while let Some(option) = line.get(i) {
        i += 1;
        if !matches!(option, "tcp" | "tcpfin" | "udp") {
            line.say(format!("Unknown option {option} specified for lvs_timeouts"));
            continue;
        }
        let Some(word) = line.get(i) else {
            line.say(format!("No value specified for lvs_timeout {option} - ignoring"));
            continue;
        };
        i += 1;
        let value = line.unsigned(word, 0, SECONDS_MAX);
        match (value, option) {
            (None, _) => line.say(format!("Invalid lvs_timeout {option} ({word}) - ignoring")),
            (value, "tcp") => g.lvs_timeouts.tcp = value,
            (value, "tcpfin") => g.lvs_timeouts.tcpfin = value,
            (value, _) => g.lvs_timeouts.udp = value,
        }
    }
    Ok(())
}

pub(super) fn lvs_flush_on_stop(g: &mut G, line: &mut Line<'_>) -> Step {
    match line.get(1) {
        None => g.lvs_flush_on_stop = Some(false),
        Some(word) if word.eq_ignore_ascii_case("VS") => g.lvs_flush_on_stop = Some(true),
        Some(word) => line.say(format!("Unknown lvs_flush_on_stop type {word}")),
    }
    Ok(())
}

pub(super) fn lvs_sync_daemon(g: &mut G, line: &mut Line<'_>) -> Step {
    /// Longest interface name.
    const NAME_MAX: usize = 15;
    let Some(interface) = line.get(1) else {
        line.say("lvs_sync_daemon requires interface");
        return Ok(());
    };
    if let Some(old) = &g.lvs_sync_daemon {
        let instance = old.instance.clone().unwrap_or_default();
        let text =
            format!("lvs_sync_daemon has already been specified as {} {instance} - ignoring", old.interface);
        line.say(text);
        return Ok(());
    }
    if interface.len() > NAME_MAX {
        line.say(format!("lvs_sync_daemon interface name '{interface}' too long - ignoring"));
        return Ok(());
    }
    let mut daemon = LvsSyncDaemon { interface: interface.to_owned(), ..LvsSyncDaemon::default() };
    let mut i = 2;
    if let Some(word) =
        line.get(i).filter(|w| !matches!(*w, "inst" | "id" | "maxlen" | "port" | "ttl" | "group"))
    {
        daemon.instance = Some(word.to_owned());
        i += 1;
    }
    while let Some(option) = line.get(i) {
        if !matches!(option, "inst" | "id" | "maxlen" | "port" | "ttl" | "group") {
            line.say(format!("Unknown option {option} specified for lvs_sync_daemon"));
            i += 1;
            continue;
        }
        sync_option(line, &mut daemon, option, line.get(i + 1));
        i += 2;
    }
    g.lvs_sync_daemon = Some(daemon);
    Ok(())
}

pub(super) fn sync_option(line: &mut Line<'_>, daemon: &mut LvsSyncDaemon, option: &str, word: Option<&str>) {
    let Some(word) = word else {
        let what = if option == "id" { ", defaulting to vrid" } else { " - ignoring" };
        line.say(format!("No value specified for lvs_sync_daemon {option}{what}"));
        return;
    };
    let number = |line: &mut Line<'_>, min, max| {
        let value = line.unsigned(word, min, max);
        if value.is_none() && option != "id" {
            line.say(format!("Invalid lvs_sync_daemon {option} ({word}) - ignoring"));
        }
        value
    };
    match option {
        "inst" => daemon.instance = Some(word.to_owned()),
        "id" => match number(line, 0, 255) {
            Some(id) => daemon.id = Some(id as u8),
            None => line.say(format!("Invalid syncid ({word}) - defaulting to vrid")),
        },
        "maxlen" => daemon.maxlen = number(line, 1, 65_507).map(|v| v as u16),
        "port" => daemon.port = number(line, 1, 65_535).map(|v| v as u16),
        "ttl" => daemon.ttl = number(line, 1, 255).map(|v| v as u8),
        _ => match word.parse::<IpAddr>() {
            Ok(address) if address.is_multicast() => daemon.group = Some(address),
            Ok(_) => line.say(format!("lvs_sync_daemon group address {word} is not multicast - ignoring")),
            Err(_) => line.say(format!("Invalid lvs_sync_daemon group ({word}) - ignoring")),
        },
    }
}

pub(super) fn mcast_group4(g: &mut G, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Can't parse vrrp_mcast_group4 [{word}]. Skipping")),
        Ok(IpAddr::V6(_)) => line.say(format!("vrrp_mcast_group4 [{word}] is not IPv4. Skipping")),
        Ok(IpAddr::V4(a)) if !a.is_multicast() => {
            line.say(format!("vrrp_mcast_group4 [{word}] is not multicast. Skipping"));
        }
        Ok(IpAddr::V4(a)) => g.vrrp_mcast_group4 = Some(a),
    }
    Ok(())
}

pub(super) fn mcast_group6(g: &mut G, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Can't parse vrrp_mcast_group6 [{word}]. Skipping")),
        Ok(IpAddr::V4(_)) => line.say(format!("vrrp_mcast_group6 [{word}] is not IPv6. Skipping")),
        Ok(IpAddr::V6(a)) if !a.is_multicast() => {
            line.say(format!("vrrp_mcast_group6 [{word}] is not multicast. Skipping"));
        }
        Ok(IpAddr::V6(a)) => {
            if a.segments()[0] & 0xf != 2 {
                line.say(format!("vrrp_mcast_group6 [{word}] should be link-local multicast."));
            }
            g.vrrp_mcast_group6 = Some(a);
        }
    }
    Ok(())
}

/// A time of up to 4294.967295 s.
pub(super) fn pace(line: &mut Line<'_>, name: &str, min_us: u64, slot: &mut Option<Duration>) -> Step {
    let word = line.need(1)?;
    match line.seconds(word, min_us, u64::from(u32::MAX)) {
        None => line.say(format!("{name} '{word}' is invalid")),
        Some(time) => *slot = Some(time),
    }
    Ok(())
}

pub(super) fn garp_extra_if(g: &mut G, line: &mut Line<'_>) -> Step {
    let all = line.get(1) == Some("all");
    let keyword = line.keyword();
    let Some(word) = line.get(1 + usize::from(all)) else {
        line.say(format!("{keyword} specified without time - ignoring"));
        return Ok(());
    };
    match line.unsigned(word, 0, 86_400) {
        Some(seconds) => g.garp_extra_if = Some((seconds, all)),
        None => line.say(format!("{keyword} '{word}' invalid - ignoring")),
    }
    Ok(())
}

pub(super) fn vrrp_version(g: &mut G, line: &mut Line<'_>) -> Step {
    let read = number(line, 2, 3, "VRRP Error: Version must be either 2 or 3")?;
    g.version = read.map(|v| v as u8).or(g.version);
    Ok(())
}

pub(super) fn iptables(g: &mut G, line: &mut Line<'_>) -> Step {
    line.say(
        "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with \
         'nftables' config option",
    );
    let name = |i| line.get(i).unwrap_or_default().to_owned();
    g.iptables = Some((name(1), name(2)));
    g.nftables.get_or_insert_with(|| "keepalived".to_owned());
    Ok(())
}

pub(super) fn nftables(g: &mut G, line: &mut Line<'_>) -> Step {
    /// NFT_TABLE_MAXNAMELEN without the NUL.
    const NAME_MAX: usize = 255;
    if g.nftables.is_some() {
        line.say("nftables already specified - ignoring");
        return Ok(());
    }
    let name = line.get(1).unwrap_or("keepalived");
    if name.len() > NAME_MAX {
        line.say("nftables table name too long - ignoring");
        return Ok(());
    }
    g.nftables = Some(name.to_owned());
    Ok(())
}

pub(super) fn nice(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let Some(word) = line.get(1) else {
        line.say(format!("No {which} process priority specified"));
        return Ok(());
    };
    match line.signed(word, -20, 19) {
        Some(nice) => tuning.nice = Some(nice),
        None => line.say(format!("Invalid {which} process priority specified")),
    }
    Ok(())
}

pub(super) fn realtime(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let Some(word) = line.get(1) else {
        line.say(format!("No {which} process real-time priority specified"));
        return Ok(());
    };
    let Some(priority) = line.signed(word, i32::MIN, i32::MAX) else {
        line.say(format!("{which} process real-time priority '{word}' invalid"));
        return Ok(());
    };
    let what = format!("{which} process real-time priority {priority}");
    if priority < 1 {
        line.say(format!("{what} less than minimum 1 - setting to minimum"));
    } else if priority > 99 {
        line.say(format!("{what} greater than maximum 99 - setting to maximum"));
    }
    tuning.realtime = Some(priority.clamp(1, 99) as u32);
    Ok(())
}

pub(super) fn affinity(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    if line.len() < 2 {
        line.say(format!("No {which} cpu_id set specified"));
        return Ok(());
    }
    let last = std::thread::available_parallelism().map_or(0, |n| n.get() as u32 - 1);
    for i in 1..line.len() {
        let Some(word) = line.get(i) else { break };
        match line.unsigned(word, 0, last) {
            Some(cpu) => tuning.cpus.push(cpu),
            None => line.say(format!("Invalid cpu_id:{word} specified for {which} process")),
        }
    }
    Ok(())
}

pub(super) fn rttime(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let word = line.need(1)?;
    match line.unsigned64(word, 1, u64::from(u32::MAX)) {
        Some(us) => tuning.rlimit_rttime_us = Some(us),
        None => line.say(format!("Invalid {which} real-time limit - {word}")),
    }
    Ok(())
}

pub(super) fn old_rttime(line: &mut Line<'_>, name: &str, which: &str, tuning: &mut Tuning) -> Step {
    line.say(format!("Keyword '{name}' is deprecated - please use '{which}_rlimit_rttime'"));
    rttime(line, which, tuning)
}

pub(super) fn fifo(line: &mut Line<'_>, which: &str, slot: &mut Option<Fifo>) -> Step {
    let Some(name) = line.get(1) else {
        line.say(format!("No {which}notify_fifo name specified"));
        return Ok(());
    };
    if slot.as_ref().is_some_and(|f| !f.path.as_os_str().is_empty()) {
        line.say(format!("{which}notify_fifo already specified - ignoring {name}"));
        return Ok(());
    }
    let mut owner = None;
    if line.len() > 2 {
        let words: Vec<&str> = line.words[2..].iter().map(|w| w.text.as_str()).collect();
        owner = User::of_words(&words);
        if owner.is_none() {
            line.say(format!("Invalid user/group for {which}notify fifo {name} - ignoring"));
            return Ok(());
        }
    }
    let script = slot.take().and_then(|f| f.script);
    *slot = Some(Fifo { path: PathBuf::from(name), owner, script });
    Ok(())
}

pub(super) fn fifo_script(
    line: &mut Line<'_>,
    which: &str,
    user: &DefaultUser,
    slot: &mut Option<Fifo>,
) -> Step {
    let Some(name) = line.get(1) else {
        line.say(format!("No {which}notify_fifo_script specified"));
        return Ok(());
    };
    if slot.as_ref().is_some_and(|f| f.script.is_some()) {
        line.say(format!("{which}notify_fifo_script already specified - ignoring {name}"));
        return Ok(());
    }
    match command(line, user) {
        Ok(command) => {
            let fifo = slot.get_or_insert_with(|| Fifo { path: PathBuf::new(), owner: None, script: None });
            fifo.script = Some(command);
        }
        Err(_) => line.say(format!("Invalid user/group for {which}notify fifo script {name} - ignoring")),
    }
    Ok(())
}

pub(super) fn snmp_socket(_: &mut G, line: &mut Line<'_>) -> Step {
    match line.len() {
        1 => line.say("SNMP error : snmp socket name missing"),
        2 => {}
        _ => line.say("Too many parameters specified for snmp_socket - ignoring"),
    }
    Ok(())
}

pub(super) fn script_user(g: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("No script username specified");
        return Ok(());
    }
    let words: Vec<&str> = line.words[1..].iter().map(|w| w.text.as_str()).collect();
    match User::of_words(&words) {
        Some(user) => g.script_user = DefaultUser::User(user),
        None => line.say("Error setting global script uid/gid"),
    }
    Ok(())
}

pub(super) fn buffer(line: &mut Line<'_>, slot: &mut Option<u32>) -> Step {
    let what = line.keyword().trim_end_matches("_rcv_bufs").to_owned();
    let Some(word) = line.get(1) else {
        line.say(format!("{what}_rcv_bufs size missing"));
        return Ok(());
    };
    match line.unsigned(word, 0, u32::MAX) {
        Some(size) => *slot = Some(size),
        None => line.say(format!("{what}_rcv_bufs size ({word}) invalid")),
    }
    Ok(())
}

pub(super) fn rx_bufs_policy(g: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("vrrp_rx_bufs_policy missing");
        return Ok(());
    }
    for i in 1..line.len() {
        let Some(word) = line.get(i) else { break };
        let policy = match word.to_ascii_uppercase().as_str() {
            "MTU" => Some(RxPolicy::Mtu),
            "ADVERT" => Some(RxPolicy::Advert),
            _ => line.unsigned(word, 1, u32::MAX).map(RxPolicy::Octets),
        };
        match (policy, g.rx_bufs_policy) {
            (None, _) => line.say(format!("Invalid vrrp_rx_bufs_policy {word}")),
            (Some(RxPolicy::Advert), Some(RxPolicy::Mtu)) | (Some(RxPolicy::Mtu), Some(RxPolicy::Advert)) => {
                line.say("Cannot set both vrrp_rx_bufs_policy MTU and ADVERT, ignoring ADVERT");
                g.rx_bufs_policy = Some(RxPolicy::Mtu);
            }
            (Some(RxPolicy::Mtu | RxPolicy::Advert), Some(RxPolicy::Octets(_))) => {
                line.say("Cannot set vrrp_rx_bufs_policy size and policy, ignoring policy");
            }
            (policy, _) => g.rx_bufs_policy = policy,
        }
    }
    Ok(())
}

pub(super) fn vmac_prefix(line: &mut Line<'_>, which: &str, slot: &mut Option<String>) -> Step {
    let word = line.need(1)?;
    if slot.is_some() {
        line.say(format!("{which} prefix has already been specified - ignoring {word}"));
    } else {
        *slot = Some(word.to_owned());
    }
    Ok(())
}

pub(super) fn umask(g: &mut G, line: &mut Line<'_>) -> Step {
    const BITS: [(&str, u32); 9] = [
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
    ];
    let first = line.need(1)?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        match u32::from_str_radix(first, 8).ok().filter(|m| *m <= 0o777) {
            Some(mask) => g.umask = Some(mask),
            None => line.say(format!("invalid umask value {first}")),
        }
        return Ok(());
    }
    let mut mask = 0;
    for (i, word) in line.words.iter().skip(1).enumerate() {
        let word = word.text.as_str();
        if i % 2 == 1 {
            if word != "|" {
                line.say(format!("Invalid umask syntax {word}"));
                return Ok(());
            }
            continue;
        }
        match BITS.iter().find(|(name, _)| *name == word) {
            Some((_, bit)) => mask |= bit,
            None => {
                line.say(format!("Unknown umask bit {word}"));
                return Ok(());
            }
        }
    }
    g.umask = Some(mask);
    Ok(())
}
