//! The stage: two hosts, a client and the application servers on one switch, and how the programs on the hosts
//! are started, found and ended.
//!
//! Invariant: the programs are started with the files the user gave, as the users of the originals start them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_tests::netns::{Host, Net, Port, wait_for};
use holdfast_tests::node::Program;

use crate::client::Client;
use crate::files::{Files, Virtual};
use crate::timeline::{Timeline, holds, say};
use crate::{Fallible, web};

/// Where the statistics page is offered to the person who watches, with `KEEP=1`.
const OFFERED: &str = "127.0.0.1:8404";

/// How long one look at nothing lasts while the watcher watches.
const PAUSE: Duration = Duration::from_hours(1);

/// The programs on show.
#[derive(Debug)]
pub(crate) struct Programs {
    /// What runs as `haproxy`.
    pub(crate) haproxy: Program,
    /// What runs as `keepalived`.
    pub(crate) keepalived: Program,
}

impl Programs {
    /// Ours, or the ones that the environment names.
    pub(crate) fn from_environment(haproxy: Option<PathBuf>, keepalived: Option<PathBuf>) -> Fallible<Self> {
        let given = |path: PathBuf, name: &str| -> Fallible<Program> {
            Ok(Program { path: path.canonicalize()?, name: name.to_owned() })
        };
        Ok(Self {
            haproxy: haproxy
                .map_or_else(|| Ok(Program::ours("proxyd", "haproxy")), |p| given(p, "haproxy"))?,
            keepalived: keepalived
                .map_or_else(|| Ok(Program::ours("keepalived", "keepalived")), |p| given(p, "keepalived"))?,
        })
    }
}

/// One of the two balancers.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// The host.
    pub(crate) host: Host,
    /// Its cables, one an interface.
    pub(crate) ports: Vec<Port>,
    keepalived_conf: PathBuf,
}

/// Everything that stands on the stage.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Host names: fred and ethyl.
    pub(crate) balancers: [Balancer; 2],
    /// Time and moves.
    pub(crate) timeline: Timeline,
    /// The client's host.
    pub(crate) client: Host,
    /// The virtual address that is asked and watched.
    pub(crate) vip: IpAddr,
    files: Files,
    _apps: Host,
    _net: Net,
}

/// The addresses that the stage gives to its own hosts beside the virtual one's network.
fn with_prefix(address: IpAddr, like: Virtual) -> String {
    let full = if address.is_ipv4() { 32 } else { 128 };
    let wide = if address.is_ipv4() { 24 } else { 64 };
    // A virtual address without mask says nothing of the network it lies in.
    format!("{address}/{}", if like.prefix == full { wide } else { like.prefix })
}

impl Stage {
    /// Builds it; nothing of the user's runs yet.
    pub(crate) fn build(files: Files, programs: &Programs) -> Fallible<Self> {
        let mut keep =
            vec![programs.haproxy.path.clone(), programs.keepalived.path.clone(), files.haproxy.clone()];
        keep.extend(files.keepalived.iter().cloned());
        keep.extend(files.derived_dir().map(PathBuf::from));
        let net = Net::keeping("demo", keep).ok_or("neither root nor root of a user namespace")?;
        let lan = net.bridge("lan");
        let vip = files.virtuals[0];
        let balancer = |index: usize, name: &str| {
            let host = net.host(name);
            let mut ports = Vec::new();
            for (number, interface) in files.interfaces.iter().enumerate() {
                let address = with_prefix(files.addresses[index], vip);
                let addresses = if number == 0 { vec![address.as_str()] } else { Vec::new() };
                ports.push(net.plug(&host, interface, &lan, &addresses));
            }
            prepare(&host, &files);
            web::serve_loopback(&host, &files.servers);
            host.install(&programs.haproxy.path, "haproxy");
            host.install(&programs.keepalived.path, "keepalived");
            Balancer { host, ports, keepalived_conf: files.keepalived[index].clone() }
        };
        let balancers = [balancer(0, "fred"), balancer(1, "ethyl")];
        let apps = net.host("apps");
        net.plug(&apps, "eth0", &lan, &[]);
        for server in files.servers.iter().filter(|s| !s.address.ip().is_loopback()) {
            let full = if server.address.is_ipv4() { 32 } else { 128 };
            apps.try_sh(&format!("ip address replace {}/{full} dev eth0", server.address.ip()));
        }
        on_link(&apps, "eth0");
        let client = net.host("client");
        net.plug(&client, "eth0", &lan, &[]);
        client.sh("ip address add 203.0.113.50/32 dev eth0; ip address add 2001:db8:ffff::50/128 dev eth0");
        on_link(&client, "eth0");
        web::serve(&apps, &files.servers)?;
        let timeline = Timeline::new();
        let watched = balancers.iter().map(|b| (b.host.name().to_owned(), b.host.pid())).collect();
        timeline.watch(watched, vip.address);
        Ok(Self { balancers, timeline, client, vip: vip.address, files, _apps: apps, _net: net })
    }

    /// Has both programs say what they think of the files, on a host of the stage: there the user and the directories are
    /// that the files name.
    pub(crate) fn tell_limits(&self, programs: &Programs) -> Fallible<()> {
        self.files.tell_limits(programs, &self.balancers[0].host)
    }

    /// Starts the client.
    pub(crate) fn ask(&self) -> Client {
        let names =
            self.balancers.iter().zip(self.files.addresses).map(|(b, a)| (a, b.host.name().to_owned()));
        let mut names: BTreeMap<IpAddr, String> = names.collect();
        // With the virtual address in the servers' network the kernel may prefer it as source.
        names.entry(self.vip).or_insert_with(|| "the virtual address".to_owned());
        Client::start(&self.client, SocketAddr::new(self.vip, self.files.port), names, self.timeline.clone())
    }

    /// Which balancer holds the virtual address.
    pub(crate) fn holder(&self) -> Option<usize> {
        let holding: Vec<usize> = (0..2).filter(|i| holds(self.balancers[*i].host.pid(), self.vip)).collect();
        if let [one] = holding.as_slice() { Some(*one) } else { None }
    }

    /// Waits until the balancer of this index is the only holder.
    pub(crate) fn wait_holder(&self, index: usize, timeout: Duration) -> bool {
        wait_for(timeout, || (self.holder() == Some(index)).then_some(())).is_some()
    }

    /// Starts the proxy of a host, or takes over from the one that runs there.
    pub(crate) fn start_proxy(&self, index: usize, take_over: bool) -> Fallible<()> {
        let host = &self.balancers[index].host;
        let config = self.files.haproxy.display();
        let over = if take_over { " -sf $(cat /run/haproxy.pid)" } else { "" };
        // The same argument twice on purpose: `-D` as an operator starts it, `-p` as the unit names the file.
        let output =
            host.try_sh(&format!("haproxy -f {config} -D -p /run/haproxy.pid{over} >/run/haproxy.out 2>&1"));
        if !output.status.success() {
            let said = host.sh("cat /run/haproxy.out");
            return Err(format!("haproxy on {} ended with {}: {said}", host.name(), output.status).into());
        }
        Ok(())
    }

    /// Starts keepalived on a host.
    pub(crate) fn start_keepalived(&self, index: usize) -> Fallible<()> {
        let balancer = &self.balancers[index];
        let config = balancer.keepalived_conf.display();
        let output = balancer.host.try_sh(&format!("keepalived -f {config} >/run/keepalived.out 2>&1"));
        if !output.status.success() {
            let said = balancer.host.sh("cat /run/keepalived.out");
            return Err(format!(
                "keepalived on {} ended with {}: {said}",
                balancer.host.name(),
                output.status
            )
            .into());
        }
        Ok(())
    }

    /// Runs a shell line on a balancer, whatever comes of it.
    pub(crate) fn on(&self, index: usize, script: &str) {
        self.balancers[index].host.try_sh(script);
    }

    /// Stays until the person who watches has seen enough; the statistics page is offered on loopback.
    pub(crate) fn keep(&self) -> Fallible<()> {
        say("");
        say("Everything keeps running (KEEP=1). End it with Ctrl-C.");
        if let Some((port, path)) = &self.files.stats {
            let listener = TcpListener::bind(OFFERED)?;
            let target = SocketAddr::new(self.vip, *port);
            say(&format!("  statistics page  http://{OFFERED}{path}  (through the virtual address)"));
            self.client.inside(|| std::thread::spawn(move || forward(&listener, target)));
        }
        let user = if is_one_user_only() { " -U --preserve-credentials" } else { "" };
        for balancer in &self.balancers {
            let (name, pid) = (balancer.host.name(), balancer.host.pid());
            say(&format!("  a shell on {name:<6} nsenter{user} -t {pid} --net --mount --pid --uts --ipc sh"));
        }
        let _client = self.ask();
        loop {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether this is a user namespace with one user; there the proxy's user is that one.
fn is_one_user_only() -> bool {
    let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    mapped.split_whitespace().nth(2).is_some_and(|count| count == "1")
}

/// What a host needs before the files work on it as they do on the user's: sysctls, users, directories, names.
fn prepare(host: &Host, files: &Files) {
    host.sh("sysctl -qw net.ipv4.ip_nonlocal_bind=1; sysctl -qw net.ipv6.ip_nonlocal_bind=1 || true");
    if let Some(first) = files.interfaces.first() {
        on_link(host, first);
    }
    let alone = is_one_user_only();
    let id = if alone { 0 } else { 65534 };
    for (file, names, entry) in [
        ("passwd", &files.users[0], format!(":x:{id}:{id}::/var/lib/haproxy:/usr/sbin/nologin")),
        ("group", &files.users[1], format!(":x:{id}:")),
    ] {
        let text = std::fs::read_to_string(format!("/etc/{file}")).unwrap_or_default();
        let of = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let mut lines: Vec<String> =
            text.lines().filter(|l| !alone || !names.contains(&of(l))).map(str::to_owned).collect();
        let there: Vec<String> = lines.iter().map(|l| of(l)).collect();
        lines.extend(names.iter().filter(|n| !there.contains(n)).map(|name| format!("{name}{entry}")));
        let path = host.file(file, &(lines.join("\n") + "\n"));
        host.sh(&format!("mount --bind {} /etc/{file}", path.display()));
    }
    let hosts: Vec<String> = files.names.iter().map(|(name, address)| format!("{address} {name}")).collect();
    let path = host.file("hosts", &format!("127.0.0.1 localhost\n{}\n", hosts.join("\n")));
    // A bare root has none, and then nobody looks names up in it.
    if Path::new("/etc/hosts").exists() {
        host.sh(&format!("mount --bind {} /etc/hosts", path.display()));
    } else if !files.names.is_empty() {
        say("  (there is no /etc/hosts here: names of servers are not resolved)");
    }
    host.sh("mount -t tmpfs -o mode=755 lib /var/lib && mkdir -p /var/lib/haproxy /run/haproxy && chown haproxy:haproxy /run/haproxy");
}

/// Everything is reachable without a router.
fn on_link(host: &Host, interface: &str) {
    host.sh(&format!(
        "ip route replace default dev {interface}; ip -6 route replace default dev {interface} || true"
    ));
}

/// Passes connections on from the watcher's loopback to the stage.
fn forward(listener: &TcpListener, target: SocketAddr) {
    for from in listener.incoming().flatten() {
        std::thread::spawn(move || -> Option<()> {
            let to = TcpStream::connect_timeout(&target, Duration::from_secs(3)).ok()?;
            let (mut a, mut b) = (from.try_clone().ok()?, to.try_clone().ok()?);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut a, &mut b);
                let _ = b.shutdown(std::net::Shutdown::Write);
            });
            let (mut from, mut to) = (from, to);
            let _ = std::io::copy(&mut to, &mut from);
            from.flush().ok()
        });
    }
}
