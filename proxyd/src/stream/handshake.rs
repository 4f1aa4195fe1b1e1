//! What comes before the first byte of a session's own: the PROXY header.

use super::accept::Client;
use super::txn::Peer;
use crate::net::proxy_protocol::{self, Header};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// Reads the PROXY header; false says that there is none or a bad one: the connection must go.
pub async fn proxy(client: &mut Client) -> bool {
    let generation = Arc::clone(&client.generation);
    let timeouts = &generation.proxy(client.session.frontend).timeouts;
    client.deadline.set(Instant::now(), timeouts.http_request.or(timeouts.client));
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
