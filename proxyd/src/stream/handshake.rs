//! What comes before the first byte of a session's own: the PROXY header and TLS.

use super::accept::Client;
use super::txn::Peer;
use crate::mux::wire::Wire;
use crate::net::proxy_protocol::{self, Header};
use crate::runtime::clock;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// Reads the PROXY header; false says that there is none or a bad one: the connection must go.
pub async fn proxy(client: &mut Client) -> bool {
    let generation = Arc::clone(&client.generation);
    let timeouts = &generation.proxy(client.session.frontend).timeouts;
    client.deadline.set(clock::now(), timeouts.http_request.or(timeouts.client));
    loop {
        match proxy_protocol::parse(client.conn.buf.bytes()) {
            Ok(Some((header, used))) => {
                client.conn.buf.consume(used);
                client.session.proxied = true;
                if let Header::Proxied { src, dst, tlvs } = header {
                    client.session.src = Peer::Inet(src);
                    client.session.dst = Peer::Inet(dst);
                    client.session.proxy_tlvs = tlvs;
                }
                return true;
            }
            Ok(None) => {}
            Err(_) => return false,
        }
        let (conn, deadline) = (&mut client.conn, &client.deadline);
        let got = poll_fn(|cx| match conn.poll_fill(cx, false) {
            Poll::Ready(Ok(n)) => Poll::Ready(n > 0),
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        if !got.await {
            return false;
        }
    }
}

/// Runs the TLS handshake; false says that it failed: the connection must go.
pub async fn tls(client: &mut Client) -> bool {
    let generation = Arc::clone(&client.generation);
    let (frontend, bind) = (client.session.frontend, client.session.bind);
    let Some(server) = generation.tls.binds.get(frontend.0).and_then(|b| b.get(bind)?.as_ref()) else {
        return false;
    };
    let process = &generation.board.process;
    process.ssl_rate.add(client.worker.engine.ms(clock::now()), 1);
    process.cum_ssl_conns.fetch_add(1, Relaxed);
    // What was read ahead with the PROXY header belongs to the handshake; haproxy's peers never send it that early.
    if !client.conn.buf.is_empty() {
        return false;
    }
    let Some(stream) = client.conn.take_tcp() else { return false };
    let timeouts = &generation.proxy(frontend).timeouts;
    client.deadline.set(clock::now(), timeouts.http_request.or(timeouts.client));
    let deadline = &client.deadline;
    let mut shaking = pin!(server.accept(stream));
    let done = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Ready(Ok(stream)) => Poll::Ready(Some(stream)),
        Poll::Ready(Err(_)) => Poll::Ready(None),
        Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let Some(stream) = done.await else { return false };
    let (_, connection) = stream.get_ref();
    client.session.tls = Some(Arc::new(crate::net::tls::info(connection, connection.server_name())));
    client.conn.wire = Wire::TlsServer(Box::new(stream));
    true
}
