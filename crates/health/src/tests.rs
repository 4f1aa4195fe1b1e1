//! Probes against servers on loopback, with the outcomes haproxy 2.6 gives for the same servers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::probe::http::{BodyRegex, Get, Request};
use crate::probe::preset;
use crate::probe::steps::{Action, Connect, Expect, Flavour, Pattern, Script, Step};

const TIMEOUT: Duration = Duration::from_millis(400);

fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(future)
}

/// A server that reads once, sends the answer, and closes (or holds the connection open).
async fn serve(answer: &'static [u8], hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let wait = Duration::from_millis(50);
                let _ = tokio::time::timeout(wait, stream.read(&mut buffer)).await;
                let _ = stream.write_all(answer).await;
                if hold {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
            });
        }
    });
    address
}

fn steps(flavour: Flavour, steps: Vec<Step>) -> Check {
    Check::Steps(Script { flavour, steps, disable_on_404: false })
}

fn tcp_check(list: Vec<Action>) -> Check {
    steps(Flavour::TcpCheck, list.into_iter().map(Step::from).collect())
}

fn expect(pattern: Pattern) -> Action {
    Action::Expect(Box::new(Expect::new(pattern)))
}

fn http_check(wanted: Expect) -> Check {
    let request = Action::SendHttp(Request::default());
    steps(Flavour::HttpCheck, vec![request.into(), Action::Expect(Box::new(wanted)).into()])
}

fn default_http() -> Check {
    http_check(Expect::new(Pattern::HttpStatus(vec![(200, 399)])))
}

/// Status, code and description of a check of such a server.
fn against(answer: &'static [u8], hold: bool, check: Check) -> (&'static str, i64, String) {
    block(async {
        let to = serve(answer, hold).await;
        let mut spec = Spec::new(Endpoint::Socket(to), TIMEOUT, check);
        spec.exchange_timeout = Some(TIMEOUT);
        let outcome = run(&spec).await;
        assert!(outcome.duration < Duration::from_secs(10));
        (outcome.status.name(), outcome.code, outcome.description)
    })
}

fn said(status: &'static str, code: i64, text: &str) -> (&'static str, i64, String) {
    (status, code, text.to_owned())
}

const OK: &[u8] = b"HTTP/1.0 200 Some Reason\r\nX-A: foo, bar\r\n\r\nhello\n";
const BAD: &[u8] = b"HTTP/1.0 500 Some Reason\r\n\r\nhello\n";

#[test]
fn plain_connects() {
    assert_eq!(against(b"", false, Check::Steps(Script::connect_only())), said("L4OK", 0, ""));
    let refused = block(async { run(&Spec::tcp("127.0.0.1:1".parse().expect("address"), TIMEOUT)).await });
    assert_eq!(refused.status.name(), "L4CON");
    assert_eq!(refused.description, "Connection refused");
}

#[test]
fn http_statuses() {
    assert_eq!(against(OK, false, default_http()), said("L7OK", 200, ""));
    assert_eq!(against(BAD, false, default_http()), said("L7STS", 500, "Some Reason"));
    assert_eq!(against(b"garbage", false, default_http()), said("L7RSP", 0, ""));
    assert_eq!(against(b"", false, default_http()), said("L7RSP", 0, ""));
    assert_eq!(against(b"", true, default_http()), said("L7TOUT", 0, ""));
    assert_eq!(against(b"HTTP/1.1 301 Moved\r\n\r\n", true, default_http()), said("L7OK", 301, ""));
}

#[test]
fn http_contents() {
    let string = |s: &str| Expect::new(Pattern::HttpBody(s.into()));
    let negated = |s: &str| Expect { negate: true, ..string(s) };
    let short: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabcde";
    let chunked: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    assert_eq!(against(OK, false, http_check(string("hello"))), said("L7OK", 200, ""));
    let (status, _, text) = against(short, false, http_check(string("hello")));
    assert_eq!((status, text.as_str()), ("L7RSP", "HTTP content check did not match"));
    let (status, _, text) = against(OK, false, http_check(negated("hello")));
    assert_eq!((status, text.as_str()), ("L7RSP", "HTTP check matched unwanted content"));
    assert_eq!(against(short, false, http_check(negated("hello"))).0, "L7OK");
    assert_eq!(against(chunked, true, http_check(string("abcde"))).0, "L7OK");
    let regex = Expect::new(Pattern::HttpBodyRegex("hel+o".into()));
    assert_eq!(against(BAD, false, http_check(regex)), said("L7OK", 500, ""));
}

#[test]
fn tcp_scripts_name_the_step() {
    let pong = || expect(Pattern::String(b"+PONG".to_vec()));
    let connect = || Action::Connect(Connect::default());
    let list = || vec![connect(), Action::Send(b"PING\r\n".to_vec()), pong()];
    assert_eq!(against(b"+PONG\r\n", false, tcp_check(list())), said("L7OK", 0, "(tcp-check)"));
    assert_eq!(
        against(b"-ERR no\r\n", false, tcp_check(list())),
        said("L7RSP", 0, "TCPCHK did not match content '+PONG' at step 3")
    );
    assert_eq!(
        against(b"", false, tcp_check(vec![connect(), pong()])),
        said("L7RSP", 0, "TCPCHK got an empty response at step 2")
    );
    assert_eq!(
        against(b"", true, tcp_check(vec![connect(), Action::Comment, pong()])),
        said("L7TOUT", 0, " at step 3 of tcp-check (expect string '+PONG')")
    );
    let elsewhere = Action::Connect(Connect { port: Some(1), ..Connect::default() });
    assert_eq!(
        against(b"", false, tcp_check(vec![elsewhere])),
        said("L4CON", 0, "Connection refused at step 1 of tcp-check (connect port 1)")
    );
    let negated = Expect { negate: true, ..Expect::new(Pattern::BinaryRegex("4552".into())) };
    assert_eq!(
        against(b"-ERR no\r\n", false, tcp_check(vec![connect(), Action::Expect(Box::new(negated))])),
        said("L7RSP", 0, "TCPCHK matched unwanted content (binary regex) at step 2")
    );
}

#[test]
fn presets_speak_as_haproxy_does() {
    let go = |answer: &'static [u8], script: Script| against(answer, false, Check::Steps(script));
    assert_eq!(go(b"+PONG\r\n", preset::redis()), said("L7OK", 0, "Redis server is ok"));
    assert_eq!(go(b"-ERR no\r\n", preset::redis()), said("L7STS", 0, "-ERR no"));
    assert_eq!(go(b"", preset::redis()), said("L7STS", 0, "TCPCHK got an empty response at step 2"));
    assert_eq!(go(b"-ERR no\r\n", preset::smtp("HELO x")), said("L7RSP", 0, "-ERR no"));
    let step5 = said("L7STS", 0, "TCPCHK got an empty response at step 5");
    let smtp = go(b"220 hi\r\n", preset::smtp("HELO x"));
    assert_eq!((smtp.0, smtp.2), (step5.0, step5.2));
    let answers = |ehlo: &[u8]| {
        let script = preset::smtp("EHLO x");
        let Some(Action::Expect(expect)) = script.steps.get(4).map(|s| &s.action) else { return None };
        let Pattern::Regex(pattern) = &expect.pattern else { return None };
        Some(regex::bytes::Regex::new(pattern).ok()?.is_match(ehlo))
    };
    assert_eq!(answers(b"250-a\r\n250-SIZE 1\r\n250 8BITMIME\r\n"), Some(true));
    assert_eq!(answers(b"250-a\r\n"), Some(false));
    assert_eq!(answers(b"250-a\r\n550 no\r\n"), Some(false));
    assert_eq!(go(b"R\0\0\0\x08\0\0\0\0", preset::pgsql("u")), said("L7OK", 0, "PostgreSQL server is ok"));
    assert_eq!(go(b"ESFATAL\0", preset::pgsql("u")), said("L7RSP", 0, "L"));
    assert_eq!(go(b"-ERR nonono\r\n", preset::pgsql("u")), said("L7STS", 0, "PostgreSQL unknown error"));
    let bind = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
    assert_eq!(go(bind, preset::ldap_check()), said("L7OK", 0, "Success"));
    assert_eq!(go(b"-ERR nonononono\r\n", preset::ldap_check()), said("L7RSP", 0, "Not LDAPv3 protocol"));
    let alert = b"\x15\x03\x00\x00\x02\x02\x28";
    assert_eq!(go(alert, preset::ssl_hello_check(1)), said("L6OK", 0, ""));
    assert_eq!(go(b"HTTP/1.0", preset::ssl_hello_check(1)), said("L6RSP", 0, ""));
    let refused = b"\x17\0\0\0\xff\x10\x04Too many connections";
    let mysql = preset::mysql_check("", preset::MysqlLogin::None);
    assert_eq!(go(refused, mysql), said("L7STS", 1040, "Too many connections"));
}

#[test]
fn preset_packets_are_haproxys() {
    let sent = |script: Script| {
        script.steps.into_iter().find_map(|s| if let Action::Send(b) = s.action { Some(b) } else { None })
    };
    let pre41 = sent(preset::mysql_check("u", preset::MysqlLogin::Pre41));
    assert_eq!(
        pre41.as_deref(),
        Some(&b"\x08\x00\x00\x01\x00\x80\x00\x00\x01u\x00\x00\x01\x00\x00\x00\x01"[..])
    );
    let post41 = sent(preset::mysql_check("u", preset::MysqlLogin::Post41)).unwrap_or_default();
    assert_eq!(post41.len(), 44);
    assert_eq!(&post41[..13], b"#\x00\x00\x01\x00\x82\x00\x00\x00\x80\x00\x01!");
    let pgsql = sent(preset::pgsql("u"));
    assert_eq!(pgsql.as_deref(), Some(&b"\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00"[..]));
    let hello = sent(preset::ssl_hello_check(0x6b01_14ef)).unwrap_or_default();
    assert_eq!(hello.len(), 126);
}

fn get(answer: &'static [u8], change: impl Fn(&mut Get)) -> Outcome {
    let mut get = Get {
        request: b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        status: vec![(200, 299)],
        digest: None,
        regex: None,
        strict_close: false,
    };
    change(&mut get);
    block(async {
        let to = serve(answer, false).await;
        run(&Spec::new(Endpoint::Socket(to), TIMEOUT, Check::Get(get))).await
    })
}

#[test]
fn keepaliveds_get() {
    assert!(get(OK, |_| {}).is_success());
    assert_eq!(get(BAD, |_| {}).cause, Cause::HttpStatus(500));
    // MD5 of "hello\n".
    let digest =
        [0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84];
    assert!(get(OK, |g| g.digest = Some(digest)).is_success());
    assert_eq!(get(OK, |g| g.digest = Some([0; 16])).cause, Cause::Digest(digest));
    let regex = |pattern: &str, negate| BodyRegex {
        pattern: pattern.into(),
        negate,
        options: vec!["caseless".into()],
        min_offset: 0,
        max_offset: None,
    };
    assert!(get(OK, |g| g.regex = Some(regex("HEL+O", false))).is_success());
    assert_eq!(get(OK, |g| g.regex = Some(regex("HEL+O", true))).cause, Cause::Regex);
    let late = |g: &mut Get| g.regex = Some(BodyRegex { max_offset: Some(1), ..regex("LO", false) });
    assert_eq!(get(OK, late).cause, Cause::Regex);
}

#[test]
fn programs() {
    let program = |script: &str, time: u64| {
        let process = probe::process::Process {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            environment: Some(vec![("A".into(), "7".into())]),
            uid: None,
            gid: None,
            dynamic: false,
        };
        let to = Endpoint::Abstract(String::new());
        let spec = Spec::new(to, Duration::from_millis(time), Check::Process(process));
        let outcome = block(run(&spec));
        (outcome.status.name(), outcome.code)
    };
    assert_eq!(program("exit 0", 5000), ("PROCOK", 0));
    assert_eq!(program("exit $A", 5000), ("PROCERR", 7));
    assert_eq!(program("kill -9 $$", 5000), ("PROCERR", -1));
    assert_eq!(program("/bin/sleep 20", 100), ("PROCTOUT", 0));
}

#[test]
fn hostile_replies_end_in_time_and_space() {
    block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let to = listener.local_addr().expect("address");
        // Headers without end.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
                    while stream.write_all(b"X-Filler: 0123456789\r\n").await.is_ok() {}
                });
            }
        });
        let spec = Spec::new(Endpoint::Socket(to), TIMEOUT, default_http());
        assert_eq!(run(&spec).await.status, Status::L7Response);
        let check = tcp_check(vec![expect(Pattern::String(b"never".to_vec()))]);
        let spec = Spec::new(Endpoint::Socket(to), TIMEOUT, check);
        assert_eq!(run(&spec).await.status, Status::L7Response);
        let agent = Check::Agent(probe::agent::Agent::default());
        assert!(run(&Spec::new(Endpoint::Socket(to), TIMEOUT, agent)).await.duration < TIMEOUT * 5);
        let mail = Check::Mail(probe::mail::Mail { helo: "x".into() });
        assert!(!run(&Spec::new(Endpoint::Socket(to), TIMEOUT, mail)).await.is_success());
    });
}

#[test]
fn a_byte_at_a_time_ends_with_the_deadline() {
    block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let to = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while stream.write_all(b"H").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
            }
        });
        let check = tcp_check(vec![expect(Pattern::String(b"never".to_vec()))]);
        let outcome = run(&Spec::new(Endpoint::Socket(to), TIMEOUT, check)).await;
        assert_eq!(outcome.status, Status::L7Timeout);
        assert!(outcome.duration < TIMEOUT * 5);
    });
}

#[test]
fn datagrams() {
    block(async {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let to = server.local_addr().expect("address");
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = server.recv_from(&mut buffer).await {
                let _ = server.send_to(&buffer[..n.min(3)], from).await;
            }
        });
        let udp = |reply: Option<Vec<(u8, u8)>>| probe::datagram::Udp {
            payload: vec![1, 2, 3, 4],
            reply,
            min_reply: 0,
            max_reply: 255,
        };
        let go =
            |to, udp| async move { run(&Spec::new(Endpoint::Socket(to), TIMEOUT, Check::Udp(udp))).await };
        assert!(go(to, udp(None)).await.is_success());
        assert!(go(to, udp(Some(vec![(1, 0xff), (0, 0)]))).await.is_success());
        assert_eq!(go(to, udp(Some(vec![(9, 0xff)]))).await.cause, Cause::Mismatch);
        let closed = "127.0.0.1:1".parse().expect("address");
        assert_eq!(go(closed, udp(None)).await.status, Status::L4Connection);
    });
}

#[test]
fn specifications_travel_as_json() {
    let spec = Spec::new(Endpoint::Socket("[::1]:80".parse().expect("address")), TIMEOUT, default_http());
    let text = serde_json::to_string(&spec).expect("serialises");
    assert_eq!(serde_json::from_str::<Spec>(&text).expect("parses"), spec);
}

#[test]
fn rows_have_unique_names_and_keywords() {
    let mut names: Vec<_> = PROBES.iter().map(|r| r.name).collect();
    let keywords = PROBES.iter().flat_map(|r| r.keepalived.iter().chain(r.haproxy).copied());
    names.extend(keywords);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn tls_checks_handshake_and_verify() {
    let dir = tempfile::tempdir().expect("dir");
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("certificate");
    let path = dir.path().join("a.pem");
    std::fs::write(&path, format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()))
        .expect("written");
    let options =
        tls::server::Options { certificates: vec![path.clone()], ..tls::server::Options::default() };
    let server = tls::server::load(&options).expect("server");
    block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let to = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    let Ok(accepted) = server.accept(stream).await else { return };
                    let mut stream = accepted.stream;
                    let mut buffer = [0; 1024];
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(OK).await;
                    // Closed without close_notify, as many servers do.
                });
            }
        });
        let mut spec = Spec::new(Endpoint::Socket(to), TIMEOUT * 5, default_http());
        spec.tls = Some(tls::client::Options::default());
        assert_eq!(run(&spec).await.status, Status::L7Ok);
        spec.check = Check::Get(Get {
            request: b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            status: vec![(200, 200)],
            digest: None,
            regex: None,
            strict_close: false,
        });
        assert!(run(&spec).await.is_success());
        spec.check = Check::Steps(Script::connect_only());
        assert_eq!(run(&spec).await.status, Status::L6Ok);
        spec.tls = Some(tls::client::Options { verify: true, ca_file: Some(path), ..Default::default() });
        assert_eq!(run(&spec).await.status, Status::L6Ok);
        let host = Some("b.example".to_owned());
        let tls = spec.tls.take().map(|t| tls::client::Options { verify_host: host, ..t });
        spec.tls = tls;
        let refused = run(&spec).await;
        assert_eq!(
            (refused.status, refused.description.as_str()),
            (Status::L6Response, "SSL handshake failure")
        );
    });
    let plain = block(async {
        let to = serve(b"plain text that is no handshake", false).await;
        let mut spec = Spec::new(Endpoint::Socket(to), TIMEOUT, Check::Steps(Script::connect_only()));
        spec.tls = Some(tls::client::Options::default());
        run(&spec).await
    });
    assert_eq!(plain.status, Status::L6Response);
}

#[test]
fn a_body_without_end_is_digested_in_bounded_time_and_space() {
    block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let to = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
                    let block = vec![0u8; 64 << 10];
                    while stream.write_all(&block).await.is_ok() {}
                });
            }
        });
        let time = Duration::from_millis(100);
        let mut get = Get {
            request: b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            status: Vec::new(),
            digest: Some([0; 16]),
            regex: None,
            strict_close: false,
        };
        let outcome = run(&Spec::new(Endpoint::Socket(to), time, Check::Get(get.clone()))).await;
        assert_eq!(outcome.cause, Cause::ReplyTimeout);
        // Where nobody looks at the body, its first part is enough.
        get.digest = None;
        get.status = vec![(200, 299)];
        assert!(run(&Spec::new(Endpoint::Socket(to), time, Check::Get(get))).await.is_success());
    });
}
