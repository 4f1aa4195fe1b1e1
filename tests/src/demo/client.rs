//! The client: asks at a fixed rate whatever comes back, one connection a request, and keeps every result.
//!
//! Invariant: open loop. A slow or dead service does not slow the asking down, so an outage counts in full.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_tests::netns::Host;

use crate::timeline::Timeline;

/// Requests a second.
pub(crate) const RATE: u32 = 50;
/// After this a request has failed; what people call "hangs".
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 65536;

/// One request and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// When it ended.
    pub(crate) ended: Instant,
    /// Who answered, or `None` when nobody did in time.
    pub(crate) answer: Option<Answer>,
}

/// Where an answer came from, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The application server.
    pub(crate) server: String,
    /// The host whose proxy asked it.
    pub(crate) via: String,
}

/// What a window of time looked like to the client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Requests sent.
    pub(crate) sent: usize,
    /// Requests without a good answer.
    pub(crate) failed: usize,
    /// Longest time without a good answer.
    pub(crate) dark: Duration,
    /// From the first failed request to the first one after the last failure that was answered.
    pub(crate) outage: Duration,
    /// Median time to an answer.
    pub(crate) median: Duration,
}

/// The running client.
#[derive(Debug)]
pub(crate) struct Client {
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Client {
    /// Starts asking `target` from `host`; `names` says which host an address is.
    pub(crate) fn start(
        host: &Host,
        target: SocketAddr,
        names: BTreeMap<IpAddr, String>,
        timeline: Timeline,
    ) -> Self {
        let client = Self { requests: Arc::default(), stop: Arc::default() };
        let (requests, stop) = (Arc::clone(&client.requests), Arc::clone(&client.stop));
        let names = Arc::new(names);
        // Threads started inside inherit the host's network.
        host.inside(move || {
            std::thread::spawn(move || {
                let pause = Duration::from_secs(1) / RATE;
                let mut next = Instant::now();
                let teller = Arc::new(Teller { timeline, last: Mutex::default() });
                while !stop.load(Ordering::Relaxed) {
                    let (requests, names, teller) =
                        (Arc::clone(&requests), Arc::clone(&names), Arc::clone(&teller));
                    std::thread::spawn(move || {
                        let sent = Instant::now();
                        let answer = ask(target, &names);
                        let request = Request { sent, ended: Instant::now(), answer };
                        teller.tell(&request);
                        if let Ok(mut requests) = requests.lock() {
                            requests.push(request);
                        }
                    });
                    next += pause;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
        });
        client
    }

    /// Stops asking.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the last few requests were all answered.
    pub(crate) fn is_served(&self) -> bool {
        const ENOUGH: usize = 10; // a fifth of a second without a failure
        let requests = self.requests.lock().map(|r| r.iter().rev().take(ENOUGH).cloned().collect::<Vec<_>>());
        requests.is_ok_and(|r| r.len() == ENOUGH && r.iter().all(|r| r.answer.is_some()))
    }

    /// Figures of the requests sent between two moments; those still under way are waited for.
    pub(crate) fn figures(&self, from: Instant, to: Instant) -> Figures {
        std::thread::sleep(
            (to + TIMEOUT + Duration::from_millis(50)).saturating_duration_since(Instant::now()),
        );
        let requests = self.requests.lock().map(|r| r.clone()).unwrap_or_default();
        figures(&requests, from, to)
    }
}

fn figures(requests: &[Request], from: Instant, to: Instant) -> Figures {
    let mut window: Vec<&Request> = requests.iter().filter(|r| r.sent >= from && r.sent < to).collect();
    window.sort_by_key(|r| r.sent);
    let failed: Vec<&&Request> = window.iter().filter(|r| r.answer.is_none()).collect();
    let mut good: Vec<Instant> = window.iter().filter(|r| r.answer.is_some()).map(|r| r.ended).collect();
    good.sort();
    let edges: Vec<Instant> = std::iter::once(from).chain(good).chain(std::iter::once(to)).collect();
    let dark = edges.windows(2).map(|w| w[1].saturating_duration_since(w[0])).max().unwrap_or_default();
    let outage = failed.first().zip(failed.last()).map(|(first, last)| {
        let after = window.iter().find(|r| r.sent > last.sent && r.answer.is_some()).map_or(to, |r| r.sent);
        after.saturating_duration_since(first.sent)
    });
    let mut times: Vec<Duration> = window
        .iter()
        .filter(|r| r.answer.is_some())
        .map(|r| r.ended.saturating_duration_since(r.sent))
        .collect();
    times.sort();
    Figures {
        sent: window.len(),
        failed: failed.len(),
        dark,
        outage: outage.unwrap_or_default(),
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
    }
}

/// One request on a connection of its own.
fn ask(target: SocketAddr, names: &BTreeMap<IpAddr, String>) -> Option<Answer> {
    let end = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&target, TIMEOUT).ok()?;
    stream
        .set_read_timeout(Some(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))))
        .ok()?;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.ip());
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let status: u16 = text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    if status >= 500 {
        return None;
    }
    let body = text.split_once("\r\n\r\n")?.1.trim();
    let (server, asker) = body.split_once(" asked by ").unwrap_or(("the proxy", ""));
    let via = asker.parse().ok().and_then(|a: IpAddr| names.get(&a)).cloned().unwrap_or_default();
    Some(Answer { server: server.to_owned(), via })
}

/// Tells when answers start, stop, or come another way.
#[derive(Debug)]
struct Teller {
    timeline: Timeline,
    last: Mutex<Option<Told>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    sent: Instant,
    via: Option<String>,
}

impl Teller {
    fn tell(&self, request: &Request) {
        let Ok(mut last) = self.last.lock() else { return };
        if last.as_ref().is_some_and(|l| l.sent > request.sent) {
            return; // a slow one; a later one has told already
        }
        let via = request.answer.as_ref().map(|a| a.via.clone());
        let before = last.as_ref().map(|l| l.via.clone());
        *last = Some(Told { sent: request.sent, via: via.clone() });
        drop(last);
        if before.as_ref() == Some(&via) {
            return;
        }
        let took = request.ended.saturating_duration_since(request.sent).as_secs_f64() * 1000.0;
        match via {
            Some(via) => self.timeline.tell(&format!("    answers come through {via} ({took:.1} ms)")),
            None => self.timeline.tell("    no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_from_first_failure_to_first_success_after_the_last() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let answer = || Some(Answer { server: "app1".into(), via: "fred".into() });
        let request = |sent, good: bool| Request {
            sent: at(sent),
            ended: at(sent + 1),
            answer: good.then(answer).flatten(),
        };
        let requests: Vec<Request> =
            (0..100).map(|i| request(i * 20, !(500..1500).contains(&(i * 20)))).collect();
        let figures = figures(&requests, at(0), at(2000));
        assert_eq!((figures.sent, figures.failed), (100, 50));
        assert_eq!(figures.outage, Duration::from_secs(1));
        assert_eq!(figures.dark, Duration::from_millis(1020));
        assert_eq!(figures.median, Duration::from_millis(1));
    }
}
