//! `bind` lines of every form, proxyd and Debian's haproxy in a namespace each: the same sockets in the kernel, the same
//! rows in `show stat`, the same names of clients on sockets of both families.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use holdfast_tests::oracle::Suite;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

const LISTENERS: &str = include_str!("proxy_bind/listeners.cfg");
const MAPPED: &str = include_str!("proxy_bind/mapped.cfg");
/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy that runs on a host of its own with a configuration, in which `@DIR@` is the host's directory.
struct Running<'h> {
    host: &'h Host,
    node: Node,
}

impl<'h> Running<'h> {
    fn start(host: &'h Host, program: &Program, config: &str) -> Self {
        let dir = host.dir().display().to_string();
        let file = host.file("haproxy.cfg", &config.replace("@DIR@", &dir));
        let node = Node::start(host, program, &["-db", "-f", &file.display().to_string()]);
        let running = Self { host, node };
        let up = wait_for(PATIENCE, || running.ask("show info").filter(|i| i.contains("Uptime")));
        assert!(up.is_some(), "{}: {}", program.path.display(), running.node.output());
        running
    }

    fn ask(&self, command: &str) -> Option<String> {
        holdfast_tests::cli::ask(&self.host.dir().join("stats"), command).ok()
    }

    fn request(&self, ip: IpAddr, port: u16) -> String {
        let answer = self.host.inside(|| {
            let mut stream = TcpStream::connect(SocketAddr::new(ip, port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        });
        answer.unwrap_or_else(|| "no answer".into())
    }
}

/// Both programs, each on a host of its own, with what they say made comparable.
fn both(suite: &mut Suite, test: &str, config: &str, look: impl Fn(&Running<'_>) -> Vec<(String, String)>) {
    let Some(original) = Program::original(test, "haproxy") else { return };
    let Some(net) = Net::new(test) else { return };
    let seen = [("theirs", original), ("ours", Program::ours("proxyd", "haproxy"))].map(|(name, program)| {
        let host = net.host(name);
        host.sh("ip link set lo up");
        let running = Running::start(&host, &program, config);
        let dir = host.dir().display().to_string();
        look(&running).into_iter().map(|(case, text)| (case, text.replace(&dir, "DIR"))).collect::<Vec<_>>()
    });
    let [theirs, ours] = seen;
    for ((case, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        suite.case(case, theirs, ours);
    }
}

#[test]
fn sockets_are_the_same_in_the_kernel_and_in_the_statistics() {
    let test = "proxy_bind";
    Suite::live(test, |suite| {
        both(suite, test, LISTENERS, |side| {
            let columns = |text: &str| {
                let row = |l: &str| {
                    l.split(',').take(2).chain(l.split(',').skip(26).take(7)).collect::<Vec<_>>().join(",")
                };
                text.lines().map(row).collect::<Vec<_>>().join("\n")
            };
            let own = |text: String| {
                // The numbers of processes and of descriptors.
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            };
            vec![
                ("show stat".into(), columns(&side.ask("show stat").unwrap_or_default())),
                ("show cli sockets".into(), side.ask("show cli sockets").unwrap_or_default()),
                ("tcp".into(), own(side.host.sh("ss -Hltn | awk '{print $3, $4}' | uniq"))),
                ("unix".into(), own(side.host.sh("ss -Hlx | awk '{print $4, $5}' | grep -v /run/holdfast"))),
                (
                    "files".into(),
                    own(side.host.sh(&format!(
                        "cd {} && stat -c '%n %a %u %g %F' u1 u2 u3 stats",
                        side.host.dir().display()
                    ))),
                ),
                ("port 8002".into(), side.request([127, 0, 0, 1].into(), 8002)),
            ]
        });
    });
}

#[test]
fn clients_of_both_families_have_the_same_names() {
    let test = "proxy_bind_mapped";
    Suite::live(test, |suite| {
        both(suite, test, MAPPED, |side| {
            let mut seen = Vec::new();
            for (name, ip) in
                [("v4", IpAddr::from([127, 0, 0, 1])), ("v6", "::1".parse().expect("an address"))]
            {
                for port in [8001, 8002, 8003, 8004] {
                    seen.push((format!("{name} to {port}"), side.request(ip, port)));
                }
            }
            for table in ["ip", "ipv6", "string"] {
                let text = side.ask(&format!("show table {table}")).unwrap_or_default();
                let keys: Vec<&str> =
                    text.lines().filter_map(|l| l.split(' ').find(|w| w.starts_with("key="))).collect();
                seen.push((format!("table {table}"), keys.join("\n")));
            }
            seen
        });
    });
}
