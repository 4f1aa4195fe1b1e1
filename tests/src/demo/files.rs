//! What the demonstration needs to know of the configuration files to build a stage for them: addresses,
//! interfaces, servers. It looks words up and leaves all understanding to the daemons.
//!
//! Invariant: the files are used as they are; the one file that may be written is the second host's
//! keepalived.conf when the user gave only one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use holdfast_tests::netns::Host;
use holdfast_tests::workspace;
use regex::{Captures, Regex};

use crate::Fallible;
use crate::stage::Programs;
use crate::timeline::say;

/// Where names in `server` lines point to (TEST-NET-2).
const NAMED_SERVERS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 0);
/// How much lower the second host's priority is when it is derived from the first's.
const PRIORITY_STEP: u8 = 1;

/// A `server` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its name.
    pub(crate) name: String,
    /// Where it listens; a host name has been given an address.
    pub(crate) address: SocketAddr,
}

/// A virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Virtual {
    /// The address.
    pub(crate) address: IpAddr,
    /// Its prefix length, the full one when none was written.
    pub(crate) prefix: u8,
}

/// The files and what was found in them.
#[derive(Debug)]
pub(crate) struct Files {
    /// haproxy.cfg of both hosts.
    pub(crate) haproxy: PathBuf,
    /// keepalived.conf of the first and the second host.
    pub(crate) keepalived: [PathBuf; 2],
    /// Interfaces named by VRRP instances.
    pub(crate) interfaces: Vec<String>,
    /// All virtual addresses; the first one is what the client asks.
    pub(crate) virtuals: Vec<Virtual>,
    /// All servers.
    pub(crate) servers: Vec<Server>,
    /// Users and groups that haproxy.cfg names, which the stage's hosts get; `haproxy` is always among them.
    pub(crate) users: [Vec<String>; 2],
    /// Host names of servers and the address each was given.
    pub(crate) names: Vec<(String, IpAddr)>,
    /// The port the client asks: 80 where something listens there, else the first one bound.
    pub(crate) port: u16,
    /// Where the statistics page is, when there is one: port and path.
    pub(crate) stats: Option<(u16, String)>,
    /// Addresses of the two hosts, from `unicast_src_ip` where written.
    pub(crate) addresses: [IpAddr; 2],
    derived: Option<tempfile::TempDir>,
}

impl Files {
    /// Loads the user's files, or the pair in docs/examples. `keepalived` may hold two paths with a comma.
    pub(crate) fn load(haproxy: Option<PathBuf>, keepalived: Option<String>) -> Fallible<Self> {
        let examples = workspace().join("docs/examples/pair");
        let haproxy = haproxy.unwrap_or_else(|| examples.join("haproxy.cfg")).canonicalize()?;
        let mut derived = None;
        let keepalived = match keepalived.as_deref().map(|k| k.split_once(',').ok_or(k)) {
            None => ["fred", "ethyl"].map(|h| examples.join(format!("{h}.keepalived.conf"))),
            Some(Ok((first, second))) => {
                [Path::new(first).canonicalize()?, Path::new(second).canonicalize()?]
            }
            Some(Err(one)) => {
                let one = Path::new(one).canonicalize()?;
                let dir = tempfile::Builder::new().prefix("holdfast-demo-").tempdir()?;
                let two = dir.path().join("keepalived.conf");
                std::fs::write(&two, second_host(&std::fs::read_to_string(&one)?))?;
                derived = Some(dir);
                [one, two]
            }
        };
        let balancer = std::fs::read_to_string(&haproxy)?;
        let vrrp = [std::fs::read_to_string(&keepalived[0])?, std::fs::read_to_string(&keepalived[1])?];
        let (servers, names) = servers(&balancer);
        let virtuals = virtuals(&vrrp[0]);
        let first = virtuals.first().ok_or("no virtual_ipaddress in keepalived.conf")?;
        let addresses = host_addresses(&vrrp, *first);
        let ports = words(&balancer, r"(?m)^\s*(?:bind|listen\s+\S+|frontend\s+\S+)\s+[^\s#]*?:(\d+)");
        let ports: Vec<u16> = ports.iter().filter_map(|p| p.parse().ok()).collect();
        let port =
            if ports.contains(&80) { 80 } else { *ports.first().ok_or("no bind line in haproxy.cfg")? };
        let stats = stats(&balancer);
        let mut interfaces = words(&vrrp[0], r"(?m)^\s*interface\s+(\S+)");
        interfaces.sort();
        interfaces.dedup();
        Ok(Self {
            haproxy,
            keepalived,
            interfaces,
            virtuals,
            servers,
            users: ["user", "group"].map(|word| accounts(&balancer, word)),
            names,
            port,
            stats,
            addresses,
            derived,
        })
    }

    /// The directory of a derived file, which hosts must see.
    pub(crate) fn derived_dir(&self) -> Option<&Path> {
        self.derived.as_ref().map(tempfile::TempDir::path)
    }

    /// Asks both programs what they think of the files and passes their words on; a refusal ends the demonstration.
    pub(crate) fn tell_limits(&self, programs: &Programs, host: &Host) -> Fallible<()> {
        let path = self.haproxy.to_string_lossy().into_owned();
        let mut checks = vec![(&programs.haproxy, vec!["-c".to_owned(), "-f".to_owned(), path])];
        for path in &self.keepalived {
            let path = path.to_string_lossy().into_owned();
            checks.push((&programs.keepalived, vec!["-t".to_owned(), "-f".to_owned(), path]));
        }
        for (program, args) in checks {
            let output = host.command(&program.path).args(&args).output()?;
            let code = output.status.code().unwrap_or(-1);
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            say(&format!("{} {}: exit {code}", program.path.display(), args.join(" ")));
            for line in text.lines() {
                say(&format!("    {line}"));
            }
            // keepalived: 5 and 6 are complaints about a file that works.
            if ![0, 5, 6].contains(&code) {
                return Err(format!("{} refuses {}", program.path.display(), args[2]).into());
            }
        }
        say("");
        Ok(())
    }
}

/// All first groups of a pattern.
fn words(text: &str, pattern: &str) -> Vec<String> {
    let regex = Regex::new(pattern).expect("patterns of this module are valid");
    regex.captures_iter(text).map(|c| c[1].to_owned()).collect()
}

/// The accounts that lines of `word` name, and `haproxy`.
fn accounts(text: &str, word: &str) -> Vec<String> {
    let mut names = words(text, &format!(r"(?m)^\s*{word}\s+([A-Za-z_][\w-]*)\s*(?:#.*)?$"));
    names.push("haproxy".to_owned());
    names.retain(|name| name != "root");
    names.sort();
    names.dedup();
    names
}

/// The servers with addresses, and the names that were given one.
fn servers(text: &str) -> (Vec<Server>, Vec<(String, IpAddr)>) {
    let line = Regex::new(r"(?m)^\s*server\s+(\S+)\s+(\S+)").expect("the pattern is valid");
    let (mut servers, mut names): (Vec<Server>, Vec<(String, IpAddr)>) = (Vec::new(), Vec::new());
    for found in line.captures_iter(text) {
        let target = found[2].trim_start_matches("ipv4@").trim_start_matches("ipv6@");
        let address = target.parse::<SocketAddr>().ok().or_else(|| {
            let (host, port) = target.rsplit_once(':').unwrap_or((target, "80"));
            let port = port.parse().ok()?;
            let ip = host.parse().ok().or_else(|| names.iter().find(|(n, _)| n == host).map(|(_, a)| *a));
            let next = u32::from(NAMED_SERVERS) + names.len() as u32 + 1;
            let ip = ip.unwrap_or(IpAddr::V4(next.into()));
            if host.parse::<IpAddr>().is_err() && !names.iter().any(|(n, _)| n == host) {
                names.push((host.to_owned(), ip));
            }
            Some(SocketAddr::new(ip, port))
        });
        servers.extend(address.map(|address| Server { name: found[1].to_owned(), address }));
    }
    (servers, names)
}

/// The addresses of all `virtual_ipaddress` blocks.
fn virtuals(text: &str) -> Vec<Virtual> {
    let mut found = Vec::new();
    for block in words(text, r"virtual_ipaddress\s*\{([^}]*)\}") {
        for line in block.lines().map(|l| l.split(['#', '!']).next().unwrap_or("")) {
            let Some(word) = line.split_whitespace().next() else { continue };
            let (address, prefix) = word.split_once('/').unwrap_or((word, ""));
            let Ok(address) = address.parse::<IpAddr>() else { continue };
            let full = if address.is_ipv4() { 32 } else { 128 };
            found.push(Virtual { address, prefix: prefix.parse().unwrap_or(full) });
        }
    }
    found
}

/// `unicast_src_ip` of each host, else two addresses beside the virtual one.
fn host_addresses(vrrp: &[String; 2], beside: Virtual) -> [IpAddr; 2] {
    let written = |text: &str| words(text, r"(?m)^\s*unicast_src_ip\s+(\S+)").first()?.parse().ok();
    let neighbour = |last: u8| match beside.address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, if d == last { last + 100 } else { last }))
        }
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[15] = if octets[15] == last { last + 100 } else { last };
            IpAddr::V6(octets.into())
        }
    };
    [written(&vrrp[0]).unwrap_or_else(|| neighbour(11)), written(&vrrp[1]).unwrap_or_else(|| neighbour(12))]
}

/// Port and path of the first statistics page.
fn stats(text: &str) -> Option<(u16, String)> {
    let bind = Regex::new(r"^\s*(?:bind|listen\s+\S+|frontend\s+\S+)\s+[^\s#]*?:(\d+)")
        .expect("the pattern is valid");
    let uri = Regex::new(r"^\s*stats\s+uri\s+(\S+)").expect("the pattern is valid");
    let mut port = None;
    for line in text.lines() {
        if let Some(found) = bind.captures(line) {
            port = found[1].parse().ok();
        }
        if let Some((found, port)) = uri.captures(line).zip(port) {
            return Some((port, found[1].to_owned()));
        }
    }
    None
}

/// The second host's file made from the first's: backup, lower priority, own and peer address swapped.
fn second_host(text: &str) -> String {
    let priority = Regex::new(r"(?m)^(\s*priority\s+)(\d+)").expect("the pattern is valid");
    let text = priority.replace_all(text, |c: &Captures<'_>| {
        let value: u8 = c[2].parse().unwrap_or(100);
        format!("{}{}", &c[1], value.saturating_sub(PRIORITY_STEP).max(1))
    });
    let state = Regex::new(r"(?m)^(\s*state\s+)MASTER\b").expect("the pattern is valid");
    let text = state.replace_all(&text, "${1}BACKUP").into_owned();
    let source = words(&text, r"(?m)^\s*unicast_src_ip\s+(\S+)");
    let peer = words(&text, r"unicast_peer\s*\{\s*(\S+)");
    match (source.first(), peer.first()) {
        (Some(source), Some(peer)) => {
            text.replace(source.as_str(), "\u{0}").replace(peer.as_str(), source).replace('\u{0}', peer)
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_pair_is_understood() {
        let files = Files::load(None, None).expect("the examples load");
        assert_eq!(files.port, 80);
        assert_eq!(files.stats, Some((8404, "/stats".to_owned())));
        assert_eq!(files.interfaces, ["eth0"]);
        assert_eq!(files.virtuals, [Virtual { address: [192, 0, 2, 100].into(), prefix: 24 }]);
        assert_eq!(files.addresses, [IpAddr::from([192, 0, 2, 11]), IpAddr::from([192, 0, 2, 12])]);
        let names: Vec<&str> = files.servers.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["app1", "app2"]);
    }

    #[test]
    fn a_second_host_is_the_first_one_turned_round() {
        let one = "vrrp_instance a {\n state MASTER\n priority 150\n unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2\n }\n}\n";
        let two = "vrrp_instance a {\n state BACKUP\n priority 149\n unicast_src_ip 10.0.0.2\n unicast_peer {\n 10.0.0.1\n }\n}\n";
        assert_eq!(second_host(one), two);
    }

    #[test]
    fn accounts_are_those_of_the_process_and_not_of_user_lists() {
        let text = "global\n user www-data # x\n group proxy\nuserlist l\n user joe password x\n";
        assert_eq!(accounts(text, "user"), ["haproxy", "www-data"]);
        assert_eq!(accounts(text, "group"), ["haproxy", "proxy"]);
    }

    #[test]
    fn named_servers_are_given_addresses() {
        let (servers, names) =
            servers("backend b\n server a db.example:3306 check\n server b [2001:db8::1]:80\n");
        assert_eq!(names, [("db.example".to_owned(), IpAddr::from([198, 51, 100, 1]))]);
        assert_eq!(servers[0].address, "198.51.100.1:3306".parse().expect("an address"));
        assert_eq!(servers[1].address, "[2001:db8::1]:80".parse().expect("an address"));
    }
}
