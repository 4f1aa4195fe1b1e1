//! Certificates of clients as OpenSSL judges them, and files of TLS that are changed while running: proxyd and
//! Debian's haproxy side by side, with curl as the client of both and the same commands on both sockets.
//!
//! Absent on purpose: certificates in a refused handshake of TLS 1.3, of which clients learn in a race.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use std::path::Path;
use std::process::{Command, Stdio};

const CONFIG: &str = include_str!("proxy_tls_changes/haproxy.cfg");
const COMMANDS: &str = include_str!("proxy_tls_changes/commands.txt");
/// Frontends of the configuration.
const FRONTENDS: usize = 6;

/// Runs openssl in a directory; words have no spaces.
fn openssl(dir: &Path, words: &str) {
    let output = Command::new("openssl").args(words.split(' ')).current_dir(dir).output().expect("runs");
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Certificate, key and both in one file; of version 1 without extensions.
fn certificate(dir: &Path, name: &str, by: &str, extensions: &str, how: &str) {
    openssl(
        dir,
        &format!(
            "req -newkey {how} -nodes -keyout {name}.key -out {name}.csr -subj /C=FR/O=Org/OU=One/OU=Two/CN={name}"
        ),
    );
    std::fs::write(dir.join("ext"), extensions).expect("written");
    let ext = if extensions.is_empty() { "" } else { " -extfile ext" };
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 300 -out {name}.crt{ext}"
        ),
    );
    join(dir, &format!("{name}.pem"), &[&format!("{name}.crt"), &format!("{name}.key")]);
}

fn join(dir: &Path, name: &str, parts: &[&str]) {
    let all: String = parts.iter().map(|p| std::fs::read_to_string(dir.join(p)).expect("there")).collect();
    std::fs::write(dir.join(name), all).expect("written");
}

const CLIENT: &str = "extendedKeyUsage=clientAuth\n";
const RSA: &str = "rsa:2048";
const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const CA: &str = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
                  default_crl_days=1000\npolicy=p\n[p]\ncountryName=optional\norganizationName=optional\n\
                  organizationalUnitName=optional\ncommonName=optional\n";

const LIST: &str = "server.pem\n\
                    ec.pem [ssl-min-ver TLSv1.2 ciphers ECDHE-ECDSA-AES128-GCM-SHA256] ec.test *.ec.test !no.ec.test\n\
                    good.pem\nserver.pem [ca-file ca.pem verify optional] other.test\n";

/// All files that the configuration and the commands name.
fn files(dir: &Path) {
    let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /C=FR/O=Org/CN=Root -days 3000",
    );
    put(
        "ext",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    );
    openssl(dir, "req -newkey rsa:2048 -nodes -keyout inter.key -out inter.csr -subj /C=FR/O=Org/CN=Inter");
    openssl(
        dir,
        "x509 -req -in inter.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2000 -extfile ext -out inter.pem",
    );
    certificate(dir, "server", "inter", "subjectAltName=DNS:server.test,DNS:*.w.test,IP:10.0.0.1\n", RSA);
    join(dir, "server.pem", &["server.crt", "inter.pem", "server.key"]);
    certificate(dir, "good", "ca", "subjectAltName=DNS:good.test\n", RSA);
    certificate(dir, "ec", "ca", "subjectAltName=DNS:ec.test\n", EC);
    certificate(dir, "client", "ca", CLIENT, RSA);
    certificate(dir, "version1", "ca", "", RSA);
    certificate(dir, "version1-ec", "ca", "", EC);
    certificate(dir, "below", "inter", CLIENT, RSA);
    join(dir, "chain.pem", &["below.crt", "inter.pem", "below.key"]);
    certificate(dir, "wrong-use", "ca", "extendedKeyUsage=serverAuth\n", RSA);
    certificate(dir, "revoked", "ca", CLIENT, RSA);
    openssl(dir, "req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.crt -subj /CN=self -days 100");
    join(dir, "self.pem", &["self.crt", "self.key"]);
    for (name, text) in [
        ("index", ""),
        ("index.attr", "unique_subject=no\n"),
        ("number", "01\n"),
        ("serial", "5000\n"),
        ("ca.cnf", CA),
    ] {
        put(name, text);
    }
    openssl(
        dir,
        "ca -batch -config ca.cnf -keyfile ca.key -cert ca.pem -startdate 20200101000000Z -enddate 20210101000000Z -in client.csr -out old.crt -notext",
    );
    join(dir, "old.pem", &["old.crt", "client.key"]);
    openssl(dir, "ca -config ca.cnf -keyfile ca.key -cert ca.pem -gencrl -out crl-empty.pem");
    openssl(dir, "ca -config ca.cnf -keyfile ca.key -cert ca.pem -revoke revoked.crt");
    openssl(dir, "ca -config ca.cnf -keyfile ca.key -cert ca.pem -gencrl -out crl.pem");
    openssl(dir, "ocsp -issuer ca.pem -cert good.crt -reqout request -no_nonce");
    let output = Command::new("openssl")
        .args(["x509", "-in", "good.crt", "-noout", "-serial"])
        .current_dir(dir)
        .output();
    let serial = String::from_utf8_lossy(&output.expect("runs").stdout).trim().replace("serial=", "");
    for (name, state) in [
        ("good.ocsp", "V\t900101000000Z\t"),
        ("revoked.ocsp", "R\t900101000000Z\t250101000000Z,keyCompromise"),
    ] {
        put("answers", &format!("{state}\t{serial}\tunknown\t/CN=good\n"));
        put("answers.attr", "unique_subject=no\n");
        openssl(
            dir,
            &format!(
                "ocsp -index answers -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request -respout {name} -ndays 1000"
            ),
        );
    }
    join(dir, "good.pem.issuer", &["ca.pem"]);
    std::fs::copy(dir.join("good.ocsp"), dir.join("good.pem.ocsp")).expect("copied");
    put("list", LIST);
}

/// Frontend, name asked for, certificate shown.
type Case = (usize, &'static str, &'static str);

const CASES: &[Case] = &[
    (0, "a.test", ""),
    (0, "a.test", "client"),
    (0, "a.test", "version1"),
    (0, "a.test", "version1-ec"),
    (0, "a.test", "below"),
    (0, "a.test", "chain"),
    (0, "a.test", "wrong-use"),
    (0, "a.test", "self"),
    (0, "a.test", "old"),
    (1, "a.test", "client"),
    (1, "a.test", "revoked"),
    (1, "a.test", "old"),
    (2, "a.test", "client"),
    (2, "a.test", "below"),
    (2, "a.test", "chain"),
    (2, "a.test", "self"),
    (2, "a.test", "old"),
    (3, "a.test", "client"),
    (3, "a.test", "below"),
    (4, "server.test", ""),
    (4, "ec.test", ""),
    (4, "no.ec.test", ""),
    (4, "good.test", ""),
    (4, "other.test", "client"),
    (5, "a.test", ""),
];

fn get(side: &Side, certs: &Path, (frontend, name, shown): Case, tls: &str) -> String {
    let port = side.port(frontend);
    let mut command = Command::new("curl");
    command.args(["-sk", "--noproxy", "*", "--max-time", "15", "--tls-max", tls]);
    command.args(["--connect-to", &format!("::127.0.0.1:{port}")]);
    if !shown.is_empty() {
        command.arg("--cert").arg(certs.join(format!("{shown}.pem")));
    }
    let output = command.arg(format!("https://{name}/")).stdin(Stdio::null()).output().expect("curl runs");
    format!("{}\nexit {:?}", String::from_utf8_lossy(&output.stdout), output.status.code())
}

fn ask(side: &Side, command: &str) -> String {
    let answer = holdfast_tests::cli::ask(&side.directory().join("admin"), command).expect("an answer");
    // The original leaves a NUL behind the protocols of ALPN.
    let text = answer.replace('\0', "");
    text.replace(&side.directory().display().to_string(), "DIR").replace("alpn h2  ", "alpn h2 ")
}

/// A line of the commands with its payload.
fn command(line: &str, certs: &Path) -> String {
    let dir = certs.display().to_string();
    let Some((head, payload)) = line.split_once(" < ") else { return line.replace("@/", &format!("{dir}/")) };
    let text = match payload.strip_prefix('=') {
        Some(text) => text.replace("@/", &format!("{dir}/")) + "\n",
        None if Path::new(payload).extension().is_some_and(|e| e == "ocsp") => {
            let output = Command::new("openssl").args(["base64", "-in", payload]).current_dir(certs).output();
            String::from_utf8_lossy(&output.expect("runs").stdout).into_owned()
        }
        None => payload.split('+').map(|p| std::fs::read_to_string(certs.join(p)).expect("there")).collect(),
    };
    format!("{} <<\n{text}", head.replace("@/", &format!("{dir}/")))
}

#[test]
fn clients_are_judged_and_files_are_changed_alike() {
    let test = "proxy_tls_changes";
    let Some(original) = Program::original(test, "haproxy") else { return };
    if Program::original(test, "curl").is_none() || Program::original(test, "openssl").is_none() {
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
    let handshakes = |suite: &mut Suite, when: &str| {
        for case in CASES {
            for tls in ["1.2", "1.3"] {
                let texts = sides.each_ref().map(|side| get(side, certs, *case, tls));
                suite.case(&format!("{when} {} {} {} {tls}", case.0, case.1, case.2), &texts[0], &texts[1]);
            }
        }
    };
    handshakes(suite, "before");
    for (n, line) in COMMANDS.lines().enumerate().filter(|(_, l)| !l.starts_with('#')) {
        let sent = command(line, certs);
        let answers = sides.each_ref().map(|side| ask(side, &sent));
        suite.case(&format!("{:03} {line}", n + 1), &answers[0], &answers[1]);
    }
    handshakes(suite, "after");
    let (all, _) = suite.score();
    assert!(all >= 150, "only {all} cases");
}
