use super::*;
use crate::mux::wire::Wire;
use http2::connection::OUT_MAX;
use std::cell::Cell;
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::{LocalSet, spawn_local, yield_now};

/// Runs of one test.
const SEEDS: u64 = 60;
/// How long one run may take on a busy machine; a stalled stream takes for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// Numbers that depend on the seed alone.
#[derive(Clone)]
struct Dice(Rc<Cell<u64>>);

impl Dice {
    fn below(&self, n: usize) -> usize {
        let x = self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0.set(x);
        ((x >> 33) % n.max(1) as u64) as usize
    }

    /// Lets others run for a while.
    async fn rest(&self) {
        for _ in 0..self.below(4) {
            yield_now().await;
        }
    }
}

/// What a request asks of its server, as its path says it.
#[derive(Clone, Copy)]
struct Plan {
    /// Bytes of the response, and of the request that are read before it is made.
    size: usize,
    read: usize,
    chunked: bool,
    /// Bytes of the response after which the server gives up.
    broken_at: usize,
}

impl Plan {
    fn roll(dice: &Dice) -> Self {
        let sizes = [0, 1, 1000, 65_536, 3 * OUT_MAX];
        let size = sizes[dice.below(sizes.len())];
        let read = [usize::MAX, usize::MAX, 0, 5000][dice.below(4)];
        // Clients here read once they wrote: who does not read them answers with what fits any window.
        let size = if read == usize::MAX { size } else { size.min(900) };
        let broken_at = if dice.below(5) == 0 { dice.below(size) } else { usize::MAX };
        Self { size, read, chunked: dice.below(2) == 0, broken_at }
    }

    fn path(self) -> String {
        format!("/{}/{}/{}/{}", self.size, self.read, u8::from(self.chunked), self.broken_at)
    }

    fn of(path: &str) -> Self {
        let n: Vec<usize> = path.rsplit('/').map(|n| n.parse().unwrap_or(0)).take(4).collect();
        Self { size: n[3], read: n[2], chunked: n[1] == 1, broken_at: n[0] }
    }
}

/// Serves one stream as its path says.
async fn serve(mut stream: Stream, path: String, dice: Dice) -> io::Result<()> {
    let plan = Plan::of(&path);
    let (mut left, mut room) = (plan.read, vec![0; 20_000]);
    while left > 0 {
        let n = stream.read(&mut room[..left.min(20_000)]).await?;
        left -= n;
        if n == 0 {
            break;
        }
        dice.rest().await;
    }
    let framing =
        if plan.chunked { "transfer-encoding: chunked" } else { &format!("content-length: {}", plan.size) };
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()).await?;
    let mut sent = 0;
    while sent < plan.size {
        let n = (plan.size - sent).min(1 + dice.below(30_000));
        if sent + n > plan.broken_at {
            return Ok(()); // the wire is dropped
        }
        let piece = vec![b'r'; n];
        if plan.chunked {
            stream.write_all(format!("{n:x}\r\n").as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if plan.chunked {
            stream.write_all(b"\r\n").await?;
        }
        sent += n;
        dice.rest().await;
    }
    if plan.chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    stream.shutdown().await
}

/// Asks once; gives whether the answer came whole.
async fn ask(asker: Asker, dice: Dice) -> io::Result<bool> {
    let mut stream = loop {
        match asker.open() {
            Some(stream) => break stream,
            None if asker.is_over() => return Ok(false),
            None => yield_now().await,
        }
    };
    let plan = Plan::roll(&dice);
    let body = [0, 0, 10, 70_000, 2 * OUT_MAX][dice.below(5)];
    let (method, path) = (if dice.below(6) == 0 { "HEAD" } else { "POST" }, plan.path());
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {body}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut sent = 0;
    while sent < body {
        let n = (body - sent).min(1 + dice.below(30_000));
        if dice.below(40) == 0 {
            return Ok(false); // given up within the request
        }
        // A server may answer, or give up, without reading all of it.
        if stream.write_all(&vec![b'q'; n]).await.is_err() {
            break;
        }
        sent += n;
        dice.rest().await;
    }
    let gives_up = if dice.below(5) == 0 { dice.below(plan.size) } else { usize::MAX };
    let (mut all, mut room) = (0, vec![0; 20_000]);
    while all <= gives_up {
        match stream.read(&mut room).await? {
            0 => {
                poll_fn(|cx| stream.poll_end(cx)).await;
                return Ok(all >= plan.size || method == "HEAD");
            }
            n => all += n,
        }
        dice.rest().await;
    }
    Ok(false)
}

fn pair() -> (Conn, Conn) {
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let made = [a, b].map(|socket| {
        // Little room, so that writers wait.
        socket2::SockRef::from(&socket).set_send_buffer_size(8192).unwrap();
        socket.set_nonblocking(true).unwrap();
        Conn::new(Wire::Unix(UnixStream::from_std(socket).unwrap()))
    });
    let [a, b] = made;
    (a, b)
}

/// Serves a connection until its end; what is shared comes back.
async fn server(mut link: Link, dice: Dice, shared: Rc<RefCell<Shared>>) {
    let mut born = Vec::new();
    loop {
        let over = poll_fn(|cx| {
            let polled = link.poll(cx, &mut born);
            if dice.below(3) == 0 {
                link.rest(&mut born); // whenever that is, nothing may be lost
            }
            match polled {
                _ if !born.is_empty() => Poll::Ready(false),
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            }
        });
        if over.await {
            return drop(shared);
        }
        for one in born.drain(..) {
            let Some(stream) = link.open(&one) else { continue };
            let path = one.request.map(|(m, _)| String::from_utf8_lossy(m.uri()).into_owned()).unwrap();
            let dice = dice.clone();
            spawn_local(async move {
                let _ = serve(stream, path, dice).await; // clients give up as they like
            });
        }
    }
}

/// One run: how many of all requests were answered whole.
async fn play(dice: Dice) -> (usize, usize) {
    let (a, b) = pair();
    let config = || Config {
        window: [1000, 65_535, 1 << 20][dice.below(3)],
        streams: [1, 3, 100][dice.below(3)] as u32,
        ..Config::default()
    };
    let (link, (mut below, asker)) = (Link::new(a, config()), Link::ask(b, config(), false));
    let ends = [Rc::clone(&link.shared), Rc::clone(&below.shared)];
    let served = spawn_local(server(link, dice.clone(), Rc::clone(&ends[0])));
    let driven = spawn_local(async move {
        let mut none = Vec::new();
        poll_fn(|cx| below.poll(cx, &mut none).map(drop)).await;
    });
    // Streams that are opened before the server said how many it takes may be refused.
    while !ends[1].borrow().core.is_settled() {
        yield_now().await;
    }
    let all = 30;
    let asked: Vec<_> = (0..all).map(|_| spawn_local(ask(asker.clone(), dice.clone()))).collect();
    let mut whole = 0;
    for one in asked {
        whole += usize::from(matches!(one.await, Ok(Ok(true))));
    }
    // All was said: nothing may be left at either end once the last frames went through.
    while ends.iter().any(|e| !e.borrow().ears.slots.is_empty()) {
        yield_now().await;
    }
    for end in &ends {
        let shared = end.borrow();
        assert_eq!((shared.wires, shared.core.streams()), (0, 0), "streams are left");
    }
    {
        let shared = &mut *ends[1].borrow_mut();
        shared.core.leave(Code::NoError);
        shared.call();
    }
    driven.await.unwrap();
    served.await.unwrap();
    (whole, all)
}

#[test]
fn streams_go_on_whatever_others_do() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut whole, mut all) = (0, 0);
    for seed in 0..SEEDS {
        let dice = Dice(Rc::new(Cell::new(seed)));
        let run = async { tokio::time::timeout(PATIENCE, LocalSet::new().run_until(play(dice))).await };
        let (w, a) = runtime.block_on(run).unwrap_or_else(|_| panic!("seed {seed} stalls"));
        (whole, all) = (whole + w, all + a);
    }
    assert!(whole > all / 4, "{whole} of {all} are too few to say anything");
}
