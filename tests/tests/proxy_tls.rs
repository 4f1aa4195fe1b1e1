//! TLS of proxyd and Debian's haproxy side by side, with curl as the client of both: certificates by name, versions,
//! ALPN, client certificates and servers' ones; the same answers, certificates, exit codes and log lines.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use regex::Regex;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_tls/haproxy.cfg");
/// Frontends of the configuration.
const FRONTENDS: usize = 8;

/// A certificate's key on disk, for clients and proxies.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("an authority").pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

/// Writes certificate and key into one file; `serial` tells them apart.
fn certificate(by: &Authority, path: &Path, names: &[&str], serial: u64, expired: bool, rsa: bool) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("names");
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("client", String::as_str));
    params.serial_number = Some(SerialNumber::from(serial));
    params.use_authority_key_identifier_extension = true;
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let kind = if rsa { &rcgen::PKCS_RSA_SHA256 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
    let key = KeyPair::generate_for(kind).expect("a key");
    let made = params.signed_by(&key, &by.issuer).expect("a certificate");
    std::fs::write(path, made.pem() + &key.serialize_pem()).expect("written");
}

/// All files that the configuration names.
fn files(dir: &Path) {
    let (ours, other) = (authority("Test Authority"), authority("Other Authority"));
    let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
    std::fs::create_dir(dir.join("dir")).expect("a directory");
    put("ca.pem", &ours.pem);
    put("other.pem", &other.pem);
    certificate(&ours, &dir.join("a.pem"), &["a.example"], 1, false, true);
    certificate(&ours, &dir.join("dir/b.pem"), &["*.b.example", "b.example"], 2, false, false);
    certificate(&ours, &dir.join("dir/old.pem"), &["old.example"], 3, true, false);
    certificate(&ours, &dir.join("both.pem.rsa"), &["both.example"], 4, false, true);
    certificate(&ours, &dir.join("both.pem.ecdsa"), &["both.example"], 5, false, false);
    certificate(&ours, &dir.join("client.pem"), &["client"], 6, false, false);
    certificate(&ours, &dir.join("client-old.pem"), &["client-old"], 7, true, false);
    certificate(&ours, &dir.join("client-revoked.pem"), &["client-revoked"], 8, false, false);
    certificate(&other, &dir.join("client-other.pem"), &["client-other"], 9, false, false);
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(8u64),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    put("crl.pem", &list.signed_by(&ours.issuer).and_then(|l| l.pem()).expect("a list"));
    put(
        "list",
        "# names\na.pem\ndir/b.pem [ssl-min-ver TLSv1.3] only13.example\ndir/b.pem [alpn h2] *.wild.example !not.wild.example\n",
    );
}

/// A case: its frontend, the name asked for, the path, and more words for curl; `@` is the certificates' directory.
type Case = (usize, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    // certificates by name
    (0, "a.example", "/", &[]),
    (0, "A.EXAMPLE", "/", &[]),
    (0, "x.b.example", "/", &[]),
    (0, "b.example", "/", &[]),
    (0, "x.y.b.example", "/", &[]),
    (0, "nobody.example", "/", &[]),
    (0, "127.0.0.1", "/", &[]),
    (0, "old.example", "/", &[]),
    (0, "both.example", "/", &[]),
    (0, "both.example", "/", &["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"]),
    (0, "both.example", "/", &["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
    (1, "a.example", "/", &[]),
    (1, "x.b.example", "/", &[]),
    (1, "nobody.example", "/", &[]),
    (1, "127.0.0.1", "/", &[]),
    (2, "a.example", "/", &[]),
    (2, "only13.example", "/", &[]),
    (2, "only13.example", "/", &["--tls-max", "1.2"]),
    (2, "x.wild.example", "/", &[]),
    (2, "not.wild.example", "/", &[]),
    (2, "b.example", "/", &[]),
    // protocols
    (0, "a.example", "/", &["--http1.1"]),
    (0, "a.example", "/", &["--http1.0"]),
    (0, "a.example", "/", &["--no-alpn"]),
    (2, "a.example", "/", &["--http2"]),
    (1, "a.example", "/", &["--http2"]),
    // versions and suites
    (0, "a.example", "/", &["--tls-max", "1.2"]),
    (0, "a.example", "/", &["--tlsv1.3"]),
    (0, "a.example", "/", &["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"]),
    (5, "a.example", "/", &[]),
    (5, "a.example", "/", &["--tlsv1.3"]),
    (6, "a.example", "/", &[]),
    (6, "a.example", "/", &["--tls-max", "1.2"]),
    // client certificates
    (3, "a.example", "/", &[]),
    (3, "a.example", "/", &["--cert", "@/client.pem"]),
    (3, "a.example", "/", &["--cert", "@/client-old.pem"]),
    (3, "a.example", "/", &["--cert", "@/client-revoked.pem"]),
    (3, "a.example", "/", &["--cert", "@/client-other.pem"]),
    (3, "a.example", "/", &["--cert", "@/client-old.pem", "--tls-max", "1.2"]),
    (4, "a.example", "/", &[]),
    (4, "a.example", "/", &["--cert", "@/client.pem"]),
    (4, "a.example", "/", &["--cert", "@/client-old.pem"]),
    (4, "a.example", "/", &["--cert", "@/client-other.pem"]),
    // bodies
    (0, "a.example", "/big/200000", &[]),
    (0, "a.example", "/p", &["--data", "hello"]),
    (0, "a.example", "/p", &["--http1.1", "--data", "hello"]),
    // towards servers
    (7, "x", "/unverified", &[]),
    (7, "x", "/named", &[]),
    (7, "x", "/header_named", &["--header", "Host: y.b.example"]),
    (7, "x", "/verified", &[]),
    (7, "x", "/wrong_name", &[]),
    (7, "x", "/verifyhost", &[]),
    (7, "x", "/wrong_verifyhost", &[]),
    (7, "x", "/wrong_ca", &[]),
    (7, "x", "/expired", &[]),
    (7, "x", "/no_certificate", &[]),
    (7, "x", "/with_certificate", &[]),
    (7, "x", "/over_h2", &[]),
    (7, "x", "/over_h1", &[]),
    (7, "x", "/not_tls", &[]),
];

/// One request by curl; what it got, the certificate it saw, and the log's line.
fn run(side: &Side, certs: &Path, (frontend, name, path, more): Case) -> String {
    let port = side.port(frontend);
    let scheme = if frontend == 7 { "http" } else { "https" };
    let mut command = Command::new("curl");
    command.args(["-sk", "-i", "--noproxy", "*", "--max-time", "15"]);
    command.args(["--connect-to", &format!("::127.0.0.1:{port}")]);
    command.args(["--write-out", "\n%{stderr}%{local_port}\n%{certs}"]);
    for word in more {
        command.arg(word.replace('@', &certs.display().to_string()));
    }
    let output = command.arg(format!("{scheme}://{name}:{port}{path}")).stdin(Stdio::null()).output();
    let output = output.expect("curl runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let client: u16 = errors.lines().next().and_then(|l| l.parse().ok()).unwrap_or(0);
    let subject = errors.lines().find(|l| l.starts_with("Subject:")).unwrap_or("Subject: none");
    let serial = errors.lines().find(|l| l.starts_with("Serial Number:")).unwrap_or_default();
    let body = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown = if body.len() > 4000 {
        format!("{}…{} bytes", &body[..body.floor_char_boundary(300)], body.len())
    } else {
        body
    };
    let exit = output.status.code();
    format!("{shown}\n{subject} {serial}\nexit {exit:?}\nlog: {}", side.log_of(client))
        .replace(&port.to_string(), "PORT")
}

#[test]
fn handshakes_certificates_and_logs_are_alike() {
    let test = "proxy_tls";
    let Some(original) = Program::original(test, "haproxy") else { return };
    if Program::original(test, "curl").is_none() {
        return;
    }
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let dir = tempfile::tempdir().expect("a directory");
    files(dir.path());
    Suite::live(test, |suite| look(suite, &programs, dir.path()));
}

fn look(suite: &mut Suite, programs: &[Program; 2], certs: &Path) {
    let origin = Origin::start();
    let config = CONFIG.replace("@CERTS@", &certs.display().to_string());
    let sides = programs.each_ref().map(|p| Side::start(&p.path, &config, FRONTENDS, &origin));
    let pattern: Vec<(Regex, &str)> = [
        (r"(?m)127\.0\.0\.1:\d+ \[[^\]]+\]", "CLIENT"),
        (r"TLSv1\.3 [A-Z0-9_]+", "TLSv1.3 SUITE"),
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
    ]
    .map(|(p, to)| (Regex::new(p).expect("a valid pattern"), to))
    .into();
    for case in CASES {
        let texts = sides.each_ref().map(|side| {
            pattern.iter().fold(run(side, certs, *case), |t, (p, to)| p.replace_all(&t, *to).into_owned())
        });
        suite.case(&format!("{} {} {} {:?}", case.0, case.1, case.2, case.3), &texts[0], &texts[1]);
    }
    let (all, _) = suite.score();
    assert!(all >= 40, "only {all} handshakes");
}

/// Faults of files are told alike when the configuration is read.
#[test]
fn files_that_can_not_be_used_are_told_alike() {
    let test = "proxy_tls_files";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let dir = tempfile::tempdir().expect("a directory");
    files(dir.path());
    let at = |name: &str| dir.path().join(name);
    let part = |name: &str, mark: &str| {
        let text = std::fs::read_to_string(at(name)).unwrap_or_default();
        let start = text.find(mark).unwrap_or_default();
        let end = text[start..].find("-----END").map_or(text.len(), |e| start + e);
        let end = text[end..].find('\n').map_or(text.len(), |n| end + n + 1);
        text[start..end].to_owned()
    };
    let (first, key) = (part("a.pem", "-----BEGIN CERT"), part("dir/b.pem", "-----BEGIN PRIV"));
    let write = |name: &str, text: &str| -> PathBuf {
        std::fs::write(at(name), text).expect("written");
        at(name)
    };
    let mixed = write("mixed.pem", &format!("{first}{key}"));
    let alone = write("alone.pem", &first);
    let junk = write("junk.pem", "nothing\n");
    let mut suite = Suite::new(test);
    for (name, words) in [
        ("good", format!("crt {}", at("a.pem").display())),
        ("missing", format!("crt {}", at("missing.pem").display())),
        ("wrong key", format!("crt {}", mixed.display())),
        ("no key", format!("crt {}", alone.display())),
        ("no certificate", format!("crt {}", junk.display())),
        ("missing list", format!("crt-list {}", at("missing").display())),
        ("missing authorities", format!("crt {} verify required ca-file /nowhere", at("a.pem").display())),
    ] {
        let text = format!(
            "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nfrontend f\n bind :1 ssl {words}\n http-request deny\n"
        );
        let file = write("haproxy.cfg", &text);
        let verdicts = programs.each_ref().map(|p| {
            let output = Command::new(&p.path).args(["-c", "-f"]).arg(&file).output().expect("runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let alerts: Vec<&str> = said.lines().filter(|l| l.contains("parsing [")).collect();
            format!("{:?}\n{}", output.status.code(), holdfast_tests::oracle::normalise(&alerts.join("\n")))
        });
        suite.case(name, &verdicts[0], &verdicts[1]);
    }
    suite.finish();
}

/// What `maxsslconn` allows, and names as clients write them.
const LIMITED: &str = "global
 stats socket @DIR@/s.sock level admin
 maxsslconn 3
 maxsslrate 1000
 maxconnrate 2000
 maxsessrate 3000
defaults
 mode http
 timeout client 1m
 timeout server 1m
 timeout connect 1m
frontend f
 bind 127.0.0.1:@PORT0@ ssl crt CERTIFICATE
 http-request return status 200 content-type text/plain lf-string \"sni:%[ssl_fc_sni]:%[ssl_fc_has_sni].\"
";

/// A client that stays connected, and what it got so far.
struct Client {
    child: std::process::Child,
    got: std::sync::mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Client {
    /// Connects, asks for a name, and sends a request.
    fn start(port: u16, name: &[&str]) -> Self {
        use std::io::{Read as _, Write as _};
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")])
            .args(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let (told, got) = std::sync::mpsc::channel();
        let mut out = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = out.read(&mut bytes) {
                if n == 0 || told.send(bytes[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let pipe = child.stdin.as_mut().expect("a pipe");
        // A proxy that refuses it at once has closed the pipe by now, perhaps.
        let _ = pipe.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        Self { child, got, text: String::new() }
    }

    /// The answer's last line, where it comes in time.
    fn answer(&mut self, patience: Duration) -> String {
        let until = Instant::now() + patience;
        while !self.text.ends_with("1.") && !self.text.ends_with("0.") {
            match self.got.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => return format!("nothing more than {:?}", self.text),
            }
        }
        self.text.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Names as they came, counters, and who waits when there are as many connections as there may be.
#[test]
fn names_counters_and_limits_are_alike() {
    let test = "proxy_tls_limits";
    let Some(original) = Program::original(test, "haproxy") else { return };
    if Program::original(test, "openssl").is_none() {
        return;
    }
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let dir = tempfile::tempdir().expect("directory");
    files(dir.path());
    let certificate = dir.path().join("a.pem").display().to_string();
    let config = LIMITED.replace("CERTIFICATE", &certificate);
    Suite::live(test, |suite| {
        let texts = programs.each_ref().map(|program| limited(program, &config));
        suite.case("limits", &texts[0], &texts[1]);
    });
}

fn limited(program: &Program, config: &str) -> String {
    const PATIENCE: Duration = Duration::from_mins(1);
    let origin = Origin::start();
    let side = Side::start(&program.path, config, 1, &origin);
    let mut text = String::new();
    let info = |wanted: Option<&str>| {
        let ask = || {
            let told = holdfast_tests::cli::ask(&side.directory().join("s.sock"), "show info").ok()?;
            let of_tls = |l: &&str| {
                let names =
                    ["MaxSslConns", "CurrSslConns", "CumSslConns", "ConnRateL", "SessRateL", "SslRateL"];
                names.iter().any(|n| l.starts_with(n))
            };
            let lines: Vec<&str> = told.lines().filter(of_tls).collect();
            let lines = lines.join("\n");
            wanted.is_none_or(|w| lines.contains(w)).then_some(lines)
        };
        holdfast_tests::netns::wait_for(PATIENCE, ask).unwrap_or_else(|| "never".into()) + "\n"
    };
    // The connection that found out that it listens counts, too.
    text += &info(Some("CurrSslConns: 0\nCumSslConns: 1"));
    for name in [&["-servername", "A.Example"][..], &["-servername", "a.example"], &["-noservername"]] {
        text += &Client::start(side.port(0), name).answer(PATIENCE);
        text.push('\n');
    }
    text += &info(Some("CurrSslConns: 0"));
    let mut three = [(); 3].map(|()| Client::start(side.port(0), &["-noservername"]));
    for client in &mut three {
        text += &client.answer(PATIENCE);
    }
    text += &info(None);
    let mut fourth = Client::start(side.port(0), &["-noservername"]);
    text += &fourth.answer(Duration::from_secs(1));
    text += &info(None);
    drop(three);
    // haproxy 2.6 may not look again until something else happens.
    let got = if program.path.ends_with("proxyd") { fourth.answer(PATIENCE) } else { String::new() };
    assert!(got.is_empty() || got == "sni::0.", "{got}");
    drop(fourth);
    assert!(info(Some("CurrSslConns: 0")).contains("CurrSslConns: 0"), "connections are counted for ever");
    text
}
