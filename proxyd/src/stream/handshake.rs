//! What comes before the first byte of a session's own: headers of proxies and TLS.

use super::accept::Client;
use super::txn::{Peer, TlsInfo};
use crate::fetch::conn::fault;
use crate::mux::wire::Wire;
use crate::net::netscaler;
use crate::net::proxy_protocol::{self, Header, Invalid};
use crate::runtime::clock;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// A header that is to come before the client's bytes.
#[derive(Debug, Clone, Copy)]
pub enum Before {
    /// The PROXY protocol's.
    Proxy,
    /// NetScaler's, with this magic number.
    NetScaler(u32),
}

/// What is wrong when a header does not come.
struct Missing {
    empty: u8,
    abort: u8,
    timeout: u8,
    truncated: u8,
}

impl Before {
    const fn missing(self) -> Missing {
        match self {
            Self::Proxy => Missing {
                empty: fault::PROXY_EMPTY,
                abort: fault::PROXY_ABORT,
                timeout: fault::PROXY_TIMEOUT,
                truncated: fault::PROXY_TRUNCATED,
            },
            Self::NetScaler(_) => Missing {
                empty: fault::CIP_EMPTY,
                abort: fault::CIP_ABORT,
                timeout: fault::CIP_TIMEOUT,
                truncated: fault::CIP_TRUNCATED,
            },
        }
    }

    /// Takes the header out of what came; false says that more must come.
    fn take(self, client: &mut Client) -> Result<bool, u8> {
        match self {
            Self::Proxy => take_proxy(client),
            Self::NetScaler(magic) => match netscaler::parse(client.conn.buf.bytes(), magic) {
                Ok(Some((header, used))) => {
                    client.conn.buf.consume(used);
                    client.session.src = Peer::Inet(header.src);
                    client.session.dst = Peer::Inet(header.dst);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(netscaler::Invalid::Magic) => Err(fault::CIP_MAGIC),
                Err(netscaler::Invalid::Unhandled) => Err(fault::CIP_UNHANDLED),
            },
        }
    }
}

fn take_proxy(client: &mut Client) -> Result<bool, u8> {
    match proxy_protocol::parse(client.conn.buf.bytes()) {
        Ok(Some((header, used))) => {
            client.conn.buf.consume(used);
            client.session.proxied = true;
            if let Header::Proxied { src, dst, tlvs } = header {
                client.session.src = Peer::Inet(src);
                client.session.dst = Peer::Inet(dst);
                client.session.proxy_tlvs = tlvs;
            }
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(Invalid::None) => Err(fault::PROXY_NONE),
        Err(Invalid::Endless) => Err(fault::PROXY_TRUNCATED),
        Err(Invalid::Unhandled) => Err(fault::PROXY_UNHANDLED),
        Err(Invalid::Bad(told)) => {
            if let Some((src, dst)) = told {
                (client.session.src, client.session.dst) = (Peer::Inet(src), Peer::Inet(dst));
            }
            Err(fault::PROXY_BAD)
        }
    }
}

/// Reads a header; the error, a number of [`crate::fetch::conn::fault`], says that the connection must go.
pub async fn header(client: &mut Client, before: Before) -> Result<(), u8> {
    let generation = Arc::clone(&client.generation);
    let timeouts = &generation.proxy(client.session.frontend).timeouts;
    client.deadline.set(clock::now(), timeouts.client_hs.or(timeouts.client));
    let missing = before.missing();
    while !before.take(client)? {
        let (conn, deadline) = (&mut client.conn, &client.deadline);
        if conn.buf.is_full() {
            return Err(missing.truncated);
        }
        let got = poll_fn(|cx| match conn.poll_fill(cx, false) {
            Poll::Ready(Ok(0)) if conn.buf.is_empty() => Poll::Ready(Err(missing.empty)),
            Poll::Ready(Ok(0)) => Poll::Ready(Err(missing.truncated)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(missing.abort)),
            Poll::Pending if deadline.poll_passed(cx) => {
                // The original says at once that the rest is missing; here the client had time for it.
                let begun = !conn.buf.is_empty();
                Poll::Ready(Err(if begun { missing.truncated } else { missing.timeout }))
            }
            Poll::Pending => Poll::Pending,
        });
        got.await?;
    }
    Ok(())
}

/// Runs the TLS handshake; the error, a number of [`crate::fetch::conn::fault`], says that the connection must go.
pub async fn tls(client: &mut Client) -> Result<(), u8> {
    let generation = Arc::clone(&client.generation);
    let (frontend, bind) = (client.session.frontend, client.session.bind);
    let Some(server) = generation.tls.binds.get(frontend.0).and_then(|b| b.get(bind)?.as_ref()) else {
        return Err(fault::TLS);
    };
    let process = &generation.board.process;
    process.ssl_rate.add(client.worker.engine.ms(clock::now()), 1);
    // What was read ahead with the PROXY header belongs to the handshake.
    let Some(mut stream) = client.conn.take_plain() else { return Err(fault::TLS) };
    stream.keep();
    if std::mem::take(&mut client.seated) {
        stream.seat(&generation.board);
    } else {
        stream.count(&generation.board);
    }
    let timeouts = &generation.proxy(frontend).timeouts;
    client.deadline.set(clock::now(), timeouts.client_hs.or(timeouts.client));
    let deadline = &client.deadline;
    let mut shaking = pin!(server.accept(stream));
    let done = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Ok(accepted)),
        Poll::Ready(Err(failed)) => {
            let e = &failed.error;
            let number = fault_of(e);
            let reason = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            let error = reason.and_then(tls::errors::of);
            Poll::Ready(Err((number, TlsInfo { error, verdict: failed.verdict, ..TlsInfo::default() })))
        }
        Poll::Pending if deadline.poll_passed(cx) => {
            Poll::Ready(Err((fault::TLS_TIMEOUT, TlsInfo::default())))
        }
        Poll::Pending => Poll::Pending,
    });
    let mut accepted = match done.await {
        Ok(accepted) => accepted,
        Err((fault, info)) => {
            client.session.tls = Some(Arc::new(info));
            generation.proxies[frontend.0].front.ssl_failed_handshake.fetch_add(1, Relaxed);
            return Err(fault);
        }
    };
    let (_, connection) = accepted.stream.get_ref();
    let mut info = crate::net::tls::info(connection, connection.server_name());
    info.own_cert = accepted.certificate.and_then(|key| Some(key.cert.first()?.to_vec()));
    info.verdict = accepted.verdict;
    if !info.resumed {
        process.ssl_front_keys.add(client.worker.engine.ms(clock::now()), 1);
    }
    let front = &generation.proxies[frontend.0].front;
    front.ssl_sess.fetch_add(1, Relaxed);
    front.ssl_reused_sess.fetch_add(u64::from(info.resumed), Relaxed);
    let hello = accepted.stream.get_mut().0.kept();
    // The library tells names in lower case, fetches as they came.
    if let Some(name) =
        crate::fetch::payload::name_asked_for(&hello).and_then(|n| std::str::from_utf8(n).ok())
        && info.sni.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name))
    {
        info.sni = Some(name.to_owned());
    }
    if crate::net::tls::capture(&generation.config.global) > 0 {
        info.client_hello = hello;
    }
    client.session.tls = Some(Arc::new(info));
    client.conn.wire = Wire::TlsServer(Box::new(accepted.stream));
    Ok(())
}

/// What a handshake with a client failed for, a number of [`crate::fetch::conn::fault`].
pub fn fault_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => fault::TLS_EMPTY,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => fault::TLS_ABORT,
        io::ErrorKind::TimedOut => fault::TLS_TIMEOUT,
        _ if is_about_certificate(error) => fault::TLS_CERTIFICATE,
        _ => fault::TLS,
    }
}

/// Whether the client's certificate was found wanting.
fn is_about_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}
