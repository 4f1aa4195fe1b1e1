//! No word is taken and forgotten: each row of each table is tried in a file of its own, and the file's model has to
//! change in a field that something outside the reader reads, or the word says that it has no effect, or is refused as
//! not supported.
//!
//! Invariant: a row needs nothing here but, where no common value suits it, an example of its value.
//!
//! Absent on purpose: rows that carry their own function (actions, fetches, converters, log variables): those have no
//! field to forget; `action`, `fetch` and `conv` try them.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Values that suit most words; the first that is taken and changes something counts.
const VALUES: &[&str] = &[
    "",
    "5",
    "127.0.0.5:5000",
    "127.0.0.5",
    "on",
    "1s",
    "none",
    "x",
    "/x",
    "x-y",
    "10.0.0.0/8",
    "x y",
    "all",
    "0",
];

/// A list of revocations without any, of an authority that nobody needs.
const REVOKED: &str = "\
-----BEGIN X509 CRL-----\n\
MIGlME0CAQEwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBeBcNMjYxMTIxMTc0MDMz\n\
WhgPMjEyNjEwMjgxNzQwMzNaoA4wDDAKBgNVHRQEAwIBATAKBggqhkjOPQQDAgNI\n\
ADBFAiEA8A+fivwUK/9O4C7tBXnxmMYYk6BWHpkM6X6hZiiiOe4CIEzonCZFA/ha\n\
rM0H1/cIS7ZtJXspD2/6dbzXNGhJkAJA\n\
-----END X509 CRL-----\n\
";
/// A key of tickets.
const KEYS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

/// Examples for words that none of [`VALUES`] suits, by table and word.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("proxy", "acl", "a path /x"),
    ("proxy", "balance", "leastconn"),
    ("proxy", "block", "if { path /x }"),
    ("proxy", "capture", "request header x len 5"),
    ("proxy", "compression", "algo gzip"),
    ("proxy", "cookie", "x insert"),
    ("proxy", "declare", "capture request len 5"),
    ("proxy", "default-server", "weight 5"),
    ("proxy", "default_backend", "z"),
    ("proxy", "errorfile", "500 /dev/null"),
    ("proxy", "errorfiles", "e"),
    ("proxy", "errorloc", "500 /x"),
    ("proxy", "errorloc302", "500 /x"),
    ("proxy", "errorloc303", "500 /x"),
    ("proxy", "external-check", "command /x"),
    ("proxy", "filter", "trace"),
    ("proxy", "force-be-switch", "if { path /x }"),
    ("proxy", "force-persist", "if { path /x }"),
    ("proxy", "ignore-persist", "if { path /x }"),
    ("proxy", "hash-balance-factor", "150"),
    ("proxy", "hash-type", "consistent"),
    ("proxy", "http-after-response", "set-header x y"),
    ("proxy", "http-check", "expect status 200"),
    ("proxy", "http-error", "status 500 content-type text/plain string x"),
    ("proxy", "http-request", "deny"),
    ("proxy", "http-response", "deny"),
    ("proxy", "http-reuse", "never"),
    ("proxy", "load-server-state-from-file", "global"),
    ("proxy", "log", "127.0.0.1 local0"),
    ("proxy", "mode", "tcp"),
    ("proxy", "monitor", "fail if { path /x }"),
    ("proxy", "option", "dontlognull"),
    ("proxy", "persist", "rdp-cookie"),
    ("proxy", "rate-limit", "sessions 5"),
    ("proxy", "redirect", "location /x"),
    ("proxy", "retry-on", "empty-response"),
    ("proxy", "reqallow", "^X-A:y"),
    ("proxy", "reqiallow", "^X-A:y"),
    ("proxy", "reqdeny", "^X-A:y"),
    ("proxy", "reqideny", "^X-A:y"),
    ("proxy", "reqpass", "^X-A:y"),
    ("proxy", "reqipass", "^X-A:y"),
    ("proxy", "reqtarpit", "^X-A:y"),
    ("proxy", "reqitarpit", "^X-A:y"),
    ("proxy", "rspdeny", "^X-A:y"),
    ("proxy", "rspideny", "^X-A:y"),
    ("proxy", "reqdel", "^X-A:"),
    ("proxy", "reqidel", "^X-A:"),
    ("proxy", "rspdel", "^X-A:"),
    ("proxy", "rspidel", "^X-A:"),
    ("proxy", "reqrep", "^X-A:(.*) X-A:\\1"),
    ("proxy", "reqirep", "^X-A:(.*) X-A:\\1"),
    ("proxy", "rsprep", "^X-A:(.*) X-A:\\1"),
    ("proxy", "rspirep", "^X-A:(.*) X-A:\\1"),
    ("proxy", "reqadd", "x:y"),
    ("proxy", "rspadd", "x:y"),
    ("proxy", "reqsetbe", "^X-A:y z"),
    ("proxy", "reqisetbe", "^X-A:y z"),
    ("proxy", "server", "t 127.0.0.1:2"),
    ("proxy", "server-template", "t 2 127.0.0.1:2"),
    ("proxy", "stats", "enable"),
    ("proxy", "stick", "on src table z"),
    ("proxy", "stick-table", "type ip size 10"),
    ("proxy", "tcp-check", "connect"),
    ("proxy", "tcp-request", "content accept"),
    ("proxy", "tcp-response", "content accept"),
    ("proxy", "timeout", "queue 5s"),
    ("proxy", "use-server", "s if { path /x }"),
    ("proxy", "use_backend", "z if { path /x }"),
    ("option", "http-restrict-req-hdr-names", "delete"),
    ("option", "pgsql-check", "user x"),
    ("bind", "ca-file", "CERT"),
    ("bind", "crt", "CERT"),
    ("bind", "crt-list", "/dev/null"),
    ("bind", "ca-verify-file", "CERT"),
    ("bind", "crl-file", "REVOKED"),
    ("bind", "curves", "X25519"),
    ("bind", "tls-ticket-keys", "KEYS"),
    ("bind", "default-crt", "CERT"),
    ("bind", "expose-fd", "listeners"),
    ("bind", "group", "root"),
    ("bind", "level", "admin"),
    ("bind", "mode", "600"),
    ("bind", "proto", "h2"),
    ("bind", "severity-output", "number"),
    ("bind", "ssl-max-ver", "TLSv1.2"),
    ("bind", "ssl-min-ver", "TLSv1.3"),
    ("bind", "ssl", "crt CERT"),
    ("bind", "user", "root"),
    ("bind", "verify", "optional"),
    ("server", "agent-check", "agent-port 5"),
    ("server", "ca-file", "CERT"),
    ("server", "crl-file", "REVOKED"),
    ("server", "crt", "CERT"),
    ("server", "check-proto", "h2"),
    ("server", "log-proto", "legacy"),
    ("server", "observe", "layer4"),
    ("server", "on-error", "sudden-death"),
    ("server", "on-marked-down", "shutdown-sessions"),
    ("server", "on-marked-up", "shutdown-backup-sessions"),
    ("server", "proto", "h2"),
    ("server", "proxy-v2-options", "ssl"),
    ("server", "resolve-opts", "allow-dup-ip"),
    ("server", "resolve-prefer", "ipv4"),
    ("server", "resolvers", "default"),
    ("server", "ssl", "verify none"),
    ("server", "sni", "str(x)"),
    ("server", "ssl-max-ver", "TLSv1.2"),
    ("server", "ssl-min-ver", "TLSv1.3"),
    ("server", "track", "z/t"),
    ("server", "verify", "required ca-file CERT"),
    ("server", "ws", "h2"),
    ("global", "cpu-map", "1 0"),
    ("global", "default-path", "config"),
    ("global", "group", "root"),
    ("global", "h1-case-adjust", "x X"),
    ("global", "h1-case-adjust-file", "CASES"),
    ("global", "log", "127.0.0.1 local0"),
    ("global", "presetenv", "x y"),
    ("global", "setenv", "x y"),
    ("global", "set-var", "proc.x int(5)"),
    ("global", "set-var-fmt", "proc.x y"),
    ("global", "ssl-default-bind-options", "ssl-min-ver TLSv1.3"),
    ("global", "ssl-default-server-options", "ssl-min-ver TLSv1.3"),
    ("global", "ssl-dh-param-file", "/dev/null"),
    ("global", "stats", "timeout 5s"),
    ("global", "tune.h2.header-table-size", "5000"),
    ("global", "tune.h2.max-frame-size", "20000"),
    ("global", "tune.ssl.default-dh-param", "2048"),
    ("global", "unix-bind", "mode 600"),
    ("global", "user", "root"),
    ("stats", "admin", "if TRUE"),
    ("stats", "auth", "a:b"),
    ("stats", "http-request", "deny"),
];

/// Fields whose reader is the configuration itself, with what it does.
const READ_HERE: &[(&str, &str, &str)] = &[
    ("Global", "unix_bind", "what Unix sockets of bind lines start with"),
    ("Global", "env", "the environment of the lines behind it"),
    ("Global", "localpeer", "peers sections find this process among their peers by it"),
    ("Global", "external_check", "sections with external checks ask for it"),
    ("Tune", "cookielen", "captures of cookies are cut to it"),
];

/// Words that set what is so already, or only open what is there: nothing can change, and that is what they say.
const NOTHING_TO_CHANGE: &[(&str, &str, &str)] = &[
    ("global", "quiet", "the start is quiet; -q silences warnings"),
    ("global", "expose-experimental-directives", "every keyword can be used without it"),
    ("global", "expose-deprecated-directives", "every keyword can be used without it"),
    ("global", "zero-warning", "kept beside the model: the verdict depends on it"),
    ("global", "resetenv", "carried out by the reader of lines, see `line` in config/mod.rs"),
    ("server", "usesrc", "a part of source, refused elsewhere"),
    ("global", "unsetenv", "carried out by the reader of lines, see `line` in config/mod.rs"),
];

/// Names that readers use for values of a struct, where its fields have common names.
const RECEIVERS: &[(&str, &[&str])] = &[
    ("Bind", &["bind", "b", "socket"]),
    ("BindTls", &["settings"]),
    ("Server", &["server", "s", "cfg", "settings", "candidate"]),
    ("ServerTls", &["settings", "t", "tls"]),
    ("ServerCheck", &["check"]),
    ("AgentCheck", &["agent"]),
    ("Source", &["source"]),
    ("Timeouts", &["timeouts", "front", "back", "t", "limits"]),
    ("Options", &["options", "back"]),
    ("Proxy", &["proxy", "p", "front", "back", "frontend", "f", "own", "settings"]),
    ("Cookie", &["rule", "cookie"]),
    ("RetryOn", &["retry_on", "retry"]),
    ("Stats", &["stats"]),
    ("Compression", &["c", "settings", "compression"]),
    ("ForwardHeader", &["rule", "r"]),
    ("Balance", &["balance"]),
    ("Check", &["check"]),
    ("ExternalCheck", &["s"]),
    ("Global", &["global", "g"]),
    ("Tune", &["tune"]),
    ("Ring", &["settings"]),
];

/// Where a struct's value is in a printed model: `Server › weight`.
type Field = (String, String);

/// What the sources of the daemon say.
struct Sources {
    /// Fields of the model, by struct.
    model: BTreeMap<String, BTreeSet<String>>,
    /// Everything that is no reader of configuration, without tests.
    engine: String,
}

impl Sources {
    fn read() -> Self {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut model, mut engine) = (BTreeMap::<String, BTreeSet<String>>::new(), String::new());
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(&dir).expect("sources").map(|e| e.expect("an entry").path()) {
                if entry.is_dir() {
                    open.push(entry);
                    continue;
                }
                let name = entry.strip_prefix(&root).expect("below").to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&entry).expect("a source");
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                if name.starts_with("config/model/") {
                    Self::structs(text, &mut model);
                } else if (!name.starts_with("config/")
                    || ["config/resolve.rs", "config/tls.rs"].contains(&name.as_str()))
                    && !name.ends_with("tests.rs")
                    && !name.ends_with("fixture.rs")
                {
                    engine.push_str(text);
                }
            }
        }
        Self { model, engine }
    }

    fn structs(text: &str, model: &mut BTreeMap<String, BTreeSet<String>>) {
        let mut current = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                current = rest.split([' ', '(', '<']).next().map(str::to_owned);
            } else if line.starts_with('}') {
                current = None;
            } else if let (Some(name), Some(rest)) = (&current, line.strip_prefix("    pub "))
                && let Some((field, _)) = rest.split_once(':')
            {
                model.entry(name.clone()).or_default().insert(field.to_owned());
            }
        }
    }

    /// Whether something outside the configuration reads the field.
    fn reads(&self, (owner, field): &Field) -> bool {
        if READ_HERE.iter().any(|(o, f, _)| (*o, *f) == (owner.as_str(), field.as_str())) {
            return true;
        }
        let receivers = RECEIVERS.iter().find(|(o, _)| o == owner).map(|(_, names)| *names);
        let needle = format!(".{field}");
        self.engine.match_indices(&needle).any(|(at, _)| {
            let rest = self.engine[at + needle.len()..].trim_start();
            let more = |c: char| c.is_alphanumeric() || c == '_' || c == '(';
            let whole = !self.engine[at + needle.len()..].starts_with(more);
            let set = rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>");
            let before = self.engine[..at].trim_end().trim_end_matches("()");
            let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |n| n + 1);
            let receiver = &before[start..];
            let fits = receiver.is_empty() || receivers.is_none_or(|names| names.contains(&receiver));
            whole && !set && fits
        })
    }

    /// Whether a value that is kept under this name is asked for.
    fn names(&self, word: &str) -> bool {
        // HTTP/2 puts the names of its settings together.
        let part = word.strip_prefix("tune.h2.").unwrap_or(word);
        let part = part.trim_start_matches("fe.").trim_start_matches("be.");
        self.engine.contains(&format!("\"{part}\""))
    }
}

/// A printed model as place → (nearest field of the model, value).
fn leaves(debug: &str, sources: &Sources) -> BTreeMap<String, (Option<Field>, String)> {
    struct Open {
        key: String,
        is_field: bool,
        of: Option<String>,
        children: usize,
    }
    let mut out = BTreeMap::new();
    let root = || Open { key: String::new(), is_field: false, of: None, children: 0 };
    let mut stack = vec![root()];
    for line in debug.lines() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 4;
        if text.starts_with(['}', ')', ']']) {
            continue;
        }
        stack.truncate(depth + 1);
        let parent = stack.last_mut().expect("the root stays");
        parent.children += 1;
        let colon = text.find(": ").filter(|at| {
            let name = &text[..*at];
            name.starts_with('"') || name.chars().all(|c| c.is_alphanumeric() || c == '_')
        });
        let (key, is_field, rest) = match colon {
            Some(at) => (text[..at].to_owned(), !text.starts_with('"'), &text[at + 2..]),
            None => (format!("#{}", parent.children), false, text),
        };
        if let Some(opened) = rest.strip_suffix(['{', '(', '[']) {
            let of = Some(opened.trim().to_owned()).filter(|n| !n.is_empty() && rest.ends_with('{'));
            stack.push(Open { key, is_field, of, children: 0 });
            continue;
        }
        let path = stack.iter().map(|o| o.key.as_str()).chain([key.as_str()]).collect::<Vec<_>>().join("/");
        let pairs = stack.windows(2).map(|w| (&w[0].of, w[1].is_field, &w[1].key));
        let last = stack.last().map(|o| (&o.of, is_field, &key));
        let mut field = pairs.chain(last).filter_map(|(of, is_field, key)| {
            let of = of.as_ref().filter(|_| is_field)?;
            sources.model.get(of)?.contains(key).then(|| (of.clone(), key.clone()))
        });
        out.insert(path, (field.next_back(), rest.trim_end_matches(',').to_owned()));
    }
    out
}

/// What became of a word.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Fields that changed, one of which is read.
    Works,
    /// It was said that the word does nothing, or what it means today.
    Told,
    /// It is refused as something that is not there.
    Refused,
    /// The example does not suit.
    Unfit(String),
    /// What changed is read by nobody.
    Unread(BTreeSet<Field>),
    /// Nothing changed and nothing was said.
    Silent,
}

/// Tries words.
struct Trials {
    sources: Sources,
    dir: tempfile::TempDir,
    faults: String,
    tried: usize,
}

impl Trials {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).expect("a certificate");
        let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(dir.path().join("cert.pem"), pem).expect("a file");
        std::fs::write(dir.path().join("cases"), "x-y X-Y\n").expect("a file");
        std::fs::write(dir.path().join("revoked"), REVOKED).expect("a file");
        std::fs::write(dir.path().join("keys"), KEYS.repeat(3)).expect("a file");
        Self { sources: Sources::read(), dir, faults: String::new(), tried: 0 }
    }

    fn load(&self, text: &str) -> Loaded {
        let path = self.dir.path().join("t.cfg");
        let in_dir = |name: &str| self.dir.path().join(name).to_string_lossy().into_owned();
        let text = text.replace("CERT", &in_dir("cert.pem")).replace("CASES", &in_dir("cases"));
        let text = text.replace("REVOKED", &in_dir("revoked")).replace("KEYS", &in_dir("keys"));
        std::fs::write(&path, text).expect("a file");
        let paths = vec![path.to_string_lossy().into_owned()];
        load(&Settings { paths, check: true, ..Settings::default() })
    }

    fn judge(&self, without: &str, with: &str) -> Standing {
        let (before, after) = (self.load(without), self.load(with));
        let told = |d: &&Diagnostic| !before.report.items.iter().any(|b| b.text == d.text);
        let new: Vec<&Diagnostic> = after.report.items.iter().filter(told).collect();
        if let Some(fault) = new.iter().find(|d| d.severity.refuses()) {
            let absent = ["not supported", "not implemented here"].iter().any(|t| fault.text.contains(t));
            return if absent { Standing::Refused } else { Standing::Unfit(fault.text.clone()) };
        }
        if new.iter().any(|d| d.text.contains("no effect")) {
            return Standing::Told;
        }
        let (Some(before), Some(after)) = (&before.config, &after.config) else {
            return Standing::Unfit("the file is refused without the word".into());
        };
        let print = |c: &Config| leaves(&format!("{c:#?}"), &self.sources);
        let (a, b) = (print(before), print(after));
        let origin = |f: &Field| f.1 == "origin" || f.1 == "text";
        let changed = a.iter().chain(&b).filter(|(at, _)| a.get(*at) != b.get(*at));
        let mut fields = BTreeSet::new();
        let changed: Vec<(&String, Field)> = changed.filter_map(|(at, v)| Some((at, v.0.clone()?))).collect();
        let opened = |f: &Field| f == &("ServerTls".to_owned(), "enabled".to_owned());
        if changed.iter().any(|(_, f)| opened(f)) && !with.contains(" ssl") {
            return Standing::Unfit("a word of TLS, tried behind others of its kind".into());
        }
        for (at, field) in changed {
            if origin(&field) {
                continue;
            }
            let by_name = ["other", "ssl_defaults"].contains(&field.1.as_str());
            let word = at.split('/').filter_map(|p| p.strip_prefix('"')?.strip_suffix('"')).next_back();
            let read = match word.filter(|_| by_name) {
                Some(word) => self.sources.names(word),
                None => !by_name && self.sources.reads(&field),
            };
            if read {
                return Standing::Works;
            }
            fields.insert(field);
        }
        match (fields.is_empty(), new.is_empty()) {
            (false, _) => Standing::Unread(fields),
            (true, false) => Standing::Told,
            (true, true) => Standing::Silent,
        }
    }

    /// Tries a row in files made of these frames: what stands without the word, and what with it (`@`).
    fn row(&mut self, table: &str, name: &str, frames: &[(&str, &str)]) {
        self.tried += 1;
        if NOTHING_TO_CHANGE.iter().any(|(t, n, _)| (*t, *n) == (table, name)) {
            return;
        }
        let own = EXAMPLES.iter().find(|(t, n, _)| (*t, *n) == (table, name)).map(|(_, _, v)| *v);
        let mut seen = String::new();
        for value in own.as_slice().iter().chain(VALUES.iter().filter(|_| own.is_none())) {
            for (without, with) in frames {
                let word = format!("{name} {value}");
                match self.judge(without, &with.replace('@', word.trim_end())) {
                    Standing::Works | Standing::Told | Standing::Refused => return,
                    Standing::Unfit(_) if !seen.is_empty() => {}
                    other => {
                        let other = format!("{other:?}");
                        if !seen.contains(&other) {
                            let _ = writeln!(seen, "      {}: {other}", word.trim_end());
                        }
                    }
                }
            }
        }
        let _ = writeln!(self.faults, "{table} › {name}\n{seen}");
    }
}

const HEAD: &str = "global\n stats timeout 9s\n external-check\n insecure-fork-wanted\ndefaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n\
    http-errors e\n errorfile 500 /dev/null\nbackend z\n mode http\n stick-table type ip size 10\n \
    server t 127.0.0.1:1 check\n";

/// The file with a proxy of these lines.
fn proxy(lines: &str) -> String {
    format!("{HEAD}listen l\n mode http\n bind 127.0.0.1:1\n server s 127.0.0.1:1 check\n{lines}\n")
}

#[test]
fn every_word_works_or_says_that_it_does_not() {
    let mut t = Trials::new();
    for row in keyword::PROXY_KEYWORDS.rows() {
        let name = Named::name(row);
        let mut frames =
            [("", " @"), (" disabled\n", " disabled\n @"), (" option httplog\n", " option httplog\n @")];
        if name == "default-server" {
            frames[0] = (" server v 127.0.0.1:3", " @\n server v 127.0.0.1:3");
        }
        let frames = frames.map(|(without, with)| (proxy(without), proxy(with)));
        let frames: Vec<(&str, &str)> = frames.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        t.row("proxy", name, &frames);
    }
    for name in option::names() {
        let other = " option httpclose\n external-check command /x\n";
        let frames = [("", " option @"), (other, &format!("{other} option @"))];
        let [a, b] = frames.map(|(without, with)| (proxy(without), proxy(with)));
        t.row("option", name, &[(&a.0, &a.1), (&b.0, &b.1)]);
    }
    for name in option::timeouts() {
        t.row("timeout", name, &[(&proxy(""), &proxy(" timeout @"))]);
    }
    for name in bind::options() {
        let line = |o: &str| proxy(&format!(" bind 127.0.0.1:2 {o}"));
        let tls = |o: &str| line(&format!("ssl crt CERT {o}"));
        let unset = name.strip_prefix("no-").unwrap_or("strict-sni");
        let socket = |o: &str| proxy(&format!(" bind /nowhere/x.sock {o}"));
        let frames = [
            (line(""), line("@")),
            (tls(""), tls("@")),
            (tls(unset), tls(&format!("{unset} @"))),
            (tls("alpn x"), tls("alpn x @")),
            (socket(""), socket("@")),
        ];
        let frames: Vec<(&str, &str)> = frames.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        t.row("bind", name, &frames);
    }
    for (name, _) in server::shapes() {
        let line = |o: &str| proxy(&format!(" server u 127.0.0.1:2 check {o}"));
        let tls = |o: &str| line(&format!("ssl verify none {o}"));
        let unset = match name {
            "enabled" => "disabled",
            "stick" => "non-stick",
            "no-agent-check" => "agent-check agent-port 5",
            _ => name.strip_prefix("no-").unwrap_or("backup"),
        };
        let frames = [
            (line(""), line("@")),
            (tls(""), tls("@")),
            (line(unset), line(&format!("{unset} @"))),
            (tls("verifyhost x"), tls("verifyhost x @")),
            (line("no-check"), line("no-check @")),
        ];
        let frames: Vec<(&str, &str)> = frames.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        t.row("server", name, &frames);
    }
    for name in global::names() {
        let head = HEAD.replace(" external-check\n insecure-fork-wanted\n", "");
        let off = format!("{head}global\n no {name}\n");
        let on = format!("{head}global\n @\n");
        t.row("global", name, &[(&head, &on), (&off, &on)]);
    }
    for name in stats::WORDS {
        let line = |o: &str| proxy(&format!(" stats uri /s\n{o}"));
        t.row("stats", name, &[(&line(""), &line(" stats @")), (&proxy(""), &proxy(" stats @"))]);
    }
    assert!(t.tried > 500, "the tables are walked: {}", t.tried);
    assert!(t.faults.is_empty(), "read and forgotten, without a word:\n{}", t.faults);
}

/// A file that is right, and what a section of it may hold.
const SECTIONS: &[(&str, &str)] = &[
    ("userlist", "userlist u\n user a insecure-password b\n"),
    ("http-errors", "http-errors x\n errorfile 500 /dev/null\n"),
    ("ring", "ring r\n size 65536\n"),
    ("peers", "peers p\n peer a 127.0.0.1:1\n"),
    ("mailers", "mailers m\n mailer a 127.0.0.1:25\n"),
    ("namespace_list", "namespace_list\n namespace x\n"),
    ("resolvers", "resolvers r\n nameserver a 127.0.0.1:53\n"),
    ("cache", "cache c\n total-max-size 1\n"),
    ("program", "program p\n command true\n"),
    ("fcgi-app", "fcgi-app a\n docroot /\n"),
    ("log-forward", "log-forward f\n"),
    ("log-profile", "log-profile p\n"),
    ("crt-store", "crt-store\n"),
    ("traces", "traces\n"),
    ("acme", "acme a\n"),
    ("dynamic-update", "dynamic-update\n"),
    ("listen", "listen x\n bind :1\n"),
    ("frontend", "frontend x\n bind :1\n"),
    ("backend", "backend x\n"),
    ("defaults", "defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\nbackend x\n"),
    ("global", "global\n maxconn 5\n"),
];

/// Lines of the small sections, each of which has to stand.
const SECTION_LINES: &[(&str, &str)] = &[
    ("ring r", "description x"),
    ("ring r", "format rfc5424"),
    ("ring r", "maxlen 500"),
    ("ring r", "size 70000"),
    ("ring r", "timeout connect 3s"),
    ("ring r", "timeout server 3s"),
    ("ring r", "server s 127.0.0.1:5"),
    ("ring r", "backing-file /x"),
    ("userlist u", "group g users a"),
    ("userlist u", "user b password x groups h"),
];

#[test]
fn every_section_works_or_says_that_it_does_not() {
    let mut t = Trials::new();
    for name in keyword::SECTIONS.names() {
        let text = SECTIONS.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
        let text = text.unwrap_or_else(|| panic!("an example of section '{name}'"));
        match t.judge(HEAD, &format!("{HEAD}{text}")) {
            Standing::Works | Standing::Told | Standing::Refused => {}
            other => drop(writeln!(t.faults, "section {name}: {other:?}")),
        }
    }
    for (section, line) in SECTION_LINES {
        let head = format!("{HEAD}{section}\n");
        let base = if section.starts_with("userlist") { " user a password x\n group h\n" } else { "" };
        match t.judge(&format!("{head}{base}"), &format!("{head}{base} {line}\n")) {
            Standing::Works | Standing::Told | Standing::Refused => {}
            other => drop(writeln!(t.faults, "{section}: {line}: {other:?}")),
        }
    }
    assert!(t.faults.is_empty(), "read and forgotten, without a word:\n{}", t.faults);
}

#[test]
fn a_forgotten_field_is_found() {
    let t = Trials::new();
    let field = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert!(t.sources.reads(&field("Server", "weight")));
    assert!(!t.sources.reads(&field("Server", "no_such_field")));
    assert!(!t.sources.reads(&field("Options", "contstats")), "the engine does not look at it");
    // A word of no table changes nothing that anybody reads: this is what the walk would tell.
    assert!(matches!(t.judge(&proxy(""), &proxy("")), Standing::Silent));
    let line = proxy(" option contstats");
    let mut quiet = t.load(&line);
    quiet.report.items.clear();
    let print = |c: &Loaded| leaves(&format!("{:#?}", c.config.as_ref().expect("right")), &t.sources);
    let (before, after) = (print(&t.load(&proxy(""))), print(&quiet));
    let changed: BTreeSet<_> =
        after.iter().filter(|(k, v)| before.get(*k) != Some(v)).filter_map(|(_, v)| v.0.clone()).collect();
    assert_eq!(changed, BTreeSet::from([field("Options", "contstats")]));
}
