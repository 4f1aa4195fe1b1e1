//! Sending what the proxy says by itself, and closing so that the client gets to read it.

use crate::mux::wire::Conn;
use crate::runtime::clock;
use crate::runtime::timers::Deadline;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

/// How long what a client still sends is swallowed after the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it.
const LINGER_READS_MAX: u32 = 64;

/// Writes everything, under the deadline that is set.
pub async fn write_all(conn: &mut Conn, deadline: &Deadline, bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    poll_fn(|cx| {
        while at < bytes.len() {
            match conn.poll_write(cx, &bytes[at..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending if deadline.poll_passed(cx) => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        conn.poll_flush(cx)
    })
    .await
}

/// Closes our side and swallows what the client had under way: a reset would take the answer with it. `owes` says that
/// more is to come for sure.
pub async fn close(conn: &mut Conn, deadline: &Deadline, owes: bool) {
    let quiet = conn.buf.is_empty();
    let n = conn.buf.len();
    conn.buf.consume(n);
    if quiet && !owes && conn.wire.tcp().is_some() && conn.is_quiet() {
        return; // nothing under way that could cause a reset: closing says all
    }
    if poll_fn(|cx| conn.poll_shutdown(cx)).await.is_err() || conn.eof {
        return;
    }
    deadline.set(clock::now(), Some(LINGER));
    let mut reads = 0;
    poll_fn(|cx| {
        loop {
            let n = conn.buf.len();
            conn.buf.consume(n);
            match conn.poll_fill(cx, false) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => reads += 1,
                Poll::Pending if deadline.poll_passed(cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if reads > LINGER_READS_MAX {
                return Poll::Ready(());
            }
        }
    })
    .await;
}
