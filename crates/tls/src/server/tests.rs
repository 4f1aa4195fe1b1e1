use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::client;

fn write_certificate(dir: &Path, file: &str, names: &[&str]) -> PathBuf {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("certificate");
    let path = dir.join(file);
    let text = format!("# comment\n{}\n{}", made.signing_key.serialize_pem(), made.cert.pem());
    std::fs::write(&path, text).expect("written");
    path
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(future)
}

/// ALPN, first certificate and text the client saw.
type Seen = (Option<Vec<u8>>, Vec<u8>, Vec<u8>);

/// Handshake over a pipe.
fn shake(server: &Server, options: &client::Options) -> std::io::Result<Seen> {
    let client = client::build(options).map_err(std::io::Error::other)?;
    run(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        let theirs = async {
            let mut stream = server.accept(far).await.map_err(|f| f.error)?.stream;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        };
        let ours = async {
            let mut stream =
                TlsConnector::from(client.config.clone()).connect(client.name.clone(), near).await?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await?;
            let state = stream.get_ref().1;
            let first = state.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
            Ok::<_, std::io::Error>((
                state.alpn_protocol().map(<[u8]>::to_vec),
                first.unwrap_or_default(),
                text,
            ))
        };
        let (result, _) = tokio::join!(ours, theirs);
        result
    })
}

fn limits(alpn: &[&str]) -> Limits {
    Limits { alpn: alpn.iter().map(|a| (*a).to_owned()).collect(), ..Limits::default() }
}

#[test]
fn an_alpn_without_overlap_does_not_end_the_handshake() {
    let dir = tempfile::tempdir().expect("dir");
    let path = write_certificate(dir.path(), "a.pem", &["a.example"]);
    let server = load(&Options {
        certificates: vec![path],
        limits: limits(&["h2", "http/1.1"]),
        ..Options::default()
    })
    .expect("server");
    let with =
        |alpn: &[&str]| client::Options { limits: Box::new(limits(alpn)), ..client::Options::default() };
    assert_eq!(shake(&server, &with(&["h2"])).expect("shakes").0.as_deref(), Some(&b"h2"[..]));
    assert_eq!(shake(&server, &with(&["http/1.1", "h2"])).expect("shakes").0.as_deref(), Some(&b"h2"[..]));
    let (alpn, _, text) = shake(&server, &with(&["imap"])).expect("shakes");
    assert_eq!(alpn, None);
    assert_eq!(text, b"hello");
}

#[test]
fn sni_chooses_the_certificate() {
    let dir = tempfile::tempdir().expect("dir");
    let a = write_certificate(dir.path(), "a.pem", &["a.example"]);
    let b = write_certificate(dir.path(), "b.pem", &["*.b.example"]);
    let certificates = vec![a.clone(), b.clone()];
    let server = load(&Options { certificates: certificates.clone(), ..Options::default() }).expect("server");
    let strict = load(&Options { certificates, strict_sni: true, ..Options::default() }).expect("server");
    let der = |p: &Path| pem::certificates(p).expect("read")[0].to_vec();
    let ask = |server: &Server, name: Option<&str>| {
        let options = client::Options { sni: name.map(Into::into), ..client::Options::default() };
        shake(server, &options).map(|r| r.1)
    };
    assert_eq!(ask(&server, Some("A.example")).expect("shakes"), der(&a));
    assert_eq!(ask(&server, Some("x.b.example")).expect("shakes"), der(&b));
    assert_eq!(ask(&server, Some("x.y.b.example")).expect("shakes"), der(&a));
    assert_eq!(ask(&server, None).expect("shakes"), der(&a));
    assert!(ask(&strict, None).is_err());
}

#[test]
fn verification_of_chain_and_name() {
    let dir = tempfile::tempdir().expect("dir");
    let a = write_certificate(dir.path(), "a.pem", &["a.example"]);
    let other = write_certificate(dir.path(), "o.pem", &["a.example"]);
    let server = load(&Options { certificates: vec![a.clone()], ..Options::default() }).expect("server");
    let ask = |ca: &Path, host: Option<&str>| {
        let options = client::Options {
            verify: true,
            ca_file: Some(ca.to_owned()),
            verify_host: host.map(Into::into),
            ..client::Options::default()
        };
        shake(&server, &options).is_ok()
    };
    assert!(ask(&a, None));
    assert!(ask(&a, Some("a.example")));
    assert!(!ask(&a, Some("b.example")));
    assert!(!ask(&other, None));
}

#[test]
fn client_certificates_are_required_where_asked() {
    let dir = tempfile::tempdir().expect("dir");
    let a = write_certificate(dir.path(), "a.pem", &["a.example"]);
    let mine = write_certificate(dir.path(), "m.pem", &["m.example"]);
    let server = load(&Options {
        certificates: vec![a],
        verify: Verify::Required,
        ca_file: Some(mine.clone()),
        ..Options::default()
    })
    .expect("server");
    let with = client::Options { certificate: Some(mine), ..client::Options::default() };
    assert!(shake(&server, &with).is_ok());
    assert!(shake(&server, &client::Options::default()).is_err());
}

#[test]
fn faults_name_the_file() {
    let dir = tempfile::tempdir().expect("dir");
    let empty = dir.path().join("e.pem");
    std::fs::write(&empty, "nothing").expect("written");
    let text = load(&Options { certificates: vec![empty.clone()], ..Options::default() })
        .err()
        .map(|e| e.to_string());
    assert_eq!(text, Some(format!("no certificate found in '{}'", empty.display())));
    assert!(load(&Options::default()).is_err());
}
