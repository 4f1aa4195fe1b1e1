//! A client and a server on a pipe that moves any number of bytes at any time: whatever windows, limits, resets and
//! good-byes there are, everything that can go on does, no stream is left, and both ends agree on every window.

use super::*;
use crate::hpack::{self, Pseudo};
use std::collections::VecDeque;

/// Runs of one test.
const SEEDS: u64 = 250;
/// Turns in which nobody does more than it must before a run counts as stalled.
const TURNS_MAX: usize = 200_000;

/// Numbers that depend on the seed alone (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// True once in `n` times.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One end's view of a stream.
#[derive(Debug, Default, Clone, Copy)]
struct Side {
    /// Bytes of its own body: how many there are, and how many were sent.
    size: usize,
    sent: usize,
    /// The head was sent.
    began: bool,
    /// Bytes of the other's body: those that came, and those that were used.
    came: usize,
    used: usize,
    /// The other's end came.
    ended: bool,
    /// It was reset, by whomever.
    reset: bool,
    /// It does not read: what comes is left lying.
    deaf: bool,
}

/// One end: the core and who listens to it.
struct End {
    core: Connection,
    heard: Ears,
    /// Bytes on their way to it.
    pipe: VecDeque<u8>,
}

#[derive(Default)]
struct Ears {
    sides: BTreeMap<u32, Side>,
    server: bool,
}

impl Sink for Ears {
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        let side = self.sides.entry(id).or_default();
        assert_eq!(opens, self.server && side.came == 0 && !side.began, "stream {id}");
        if opens {
            let size = fields.iter().find(|(name, _)| *name == b"size").map(|(_, v)| v.to_vec());
            let text = String::from_utf8(size.expect("every request says it")).expect("digits");
            side.size = text.parse().expect("a number");
        }
        assert!(!side.ended && !side.reset, "a head on stream {id}, which is over");
        side.ended = end;
        Ok(())
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        let side = self.sides.get_mut(&id).expect("a stream begins with a head");
        assert!(!side.ended && !side.reset, "data on stream {id}, which is over");
        assert!(bytes.iter().all(|b| *b == id as u8), "bytes of another stream");
        side.came += bytes.len();
        side.ended = end;
        Ok(())
    }

    fn reset(&mut self, id: u32, _: u32) {
        if let Some(side) = self.sides.get_mut(&id) {
            side.reset = true;
        }
    }

    fn writable(&mut self, _: u32) {}
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        let heard = Ears { server: role == Role::Server, ..Ears::default() };
        Self { core: Connection::new(role, config), heard, pipe: VecDeque::new() }
    }

    /// Takes some of what is on its way, unless it must send first.
    fn take(&mut self, most: usize) -> bool {
        if self.core.is_choked() || self.core.is_dead() {
            return false;
        }
        let bytes: Vec<u8> = self.pipe.drain(..most.min(self.pipe.len())).collect();
        self.core.receive(&bytes, &mut self.heard);
        !bytes.is_empty()
    }

    /// Sends some of what there is.
    fn send(&mut self, to: &mut Self, most: usize) -> bool {
        let n = most.min(self.core.out.len());
        to.pipe.extend(self.core.out.drain(..n));
        n > 0
    }

    /// Goes on with one stream: sends its head, some of its body, uses some of what came.
    fn work(&mut self, id: u32, most: usize) -> bool {
        let Some(side) = self.heard.sides.get_mut(&id).filter(|s| !s.reset) else { return false };
        let mut moved = false;
        if !side.began {
            side.began = true;
            let mut block = Vec::new();
            hpack::put_status(&mut block, 200);
            self.core.send_head(id, &block, side.size == 0);
            moved = true;
        } else if side.sent < side.size {
            let rest = side.size - side.sent;
            let n = rest.min(most);
            let taken = self.core.send_data(id, &vec![id as u8; n], n == rest);
            side.sent += taken;
            moved |= taken > 0;
        }
        let n = (side.came - side.used).min(most);
        if n > 0 && !side.deaf {
            side.used += n;
            self.core.used(id, n);
            moved = true;
        }
        moved
    }

    fn cancel(&mut self, id: u32) {
        if let Some(side) = self.heard.sides.get_mut(&id) {
            side.reset = true;
            self.core.reset(id, Code::Cancel);
        }
    }

    fn is_quiet(&self) -> bool {
        self.core.out.is_empty() && self.pipe.is_empty()
    }
}

/// A run: its ends, what may still be asked.
struct Play {
    dice: Dice,
    client: End,
    server: End,
    asks: usize,
    largest: usize,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut config = || Config {
            window: dice.one_of(&[1, 7, 1000, 65_535, 65_536, 1 << 20]),
            streams: dice.one_of(&[1, 2, 10, 100]),
            payload: dice.one_of(&[16_384, 16_385, 100_000]),
            ..Config::default()
        };
        let (client, server) = (End::new(Role::Client, config()), End::new(Role::Server, config()));
        // Windows of few bytes make many frames: bodies are short then.
        let least = client.core.config.window.min(server.core.config.window) as usize;
        let largest = dice.one_of(&[10, 5000, 300_000]).min(least.saturating_mul(200));
        Self { asks: 1 + dice.below(40), largest, dice, client, server }
    }

    fn ask(&mut self) -> bool {
        if self.asks == 0 {
            return false;
        }
        let Some(id) = self.client.core.start() else { return false };
        self.asks -= 1;
        let size = if self.dice.rarely(2) { 0 } else { self.dice.below(self.largest) };
        let mut block = Vec::new();
        hpack::put_pseudo(&mut block, Pseudo::Method, b"POST");
        hpack::put(&mut block, b"size", self.dice.below(self.largest).to_string().as_bytes());
        self.client.core.send_head(id, &block, size == 0);
        let side = Side { size, began: true, ..Side::default() };
        self.client.heard.sides.insert(id, side);
        true
    }

    /// Anything that may happen.
    fn happen(&mut self) {
        let most = self.dice.one_of(&[1, 5, 9, 100, 5000, 100_000]);
        let (one, other) = if self.dice.rarely(2) {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        match self.dice.below(64) {
            0..16 => drop(one.send(other, most)),
            16..32 => drop(one.take(most)),
            32..40 => drop(self.ask()),
            event => {
                let ids: Vec<u32> = one.heard.sides.keys().copied().collect();
                if ids.is_empty() {
                    return;
                }
                let id = self.dice.one_of(&ids);
                match event {
                    40..43 => one.cancel(id),
                    43..45 => one.heard.sides.entry(id).or_default().deaf = true,
                    45 if self.dice.rarely(20) => one.core.leave(Code::NoError),
                    // What is over already may be given up once more.
                    46 if !one.core.has(id) => one.core.refuse(id, Code::Cancel),
                    _ => drop(one.work(id, most)),
                }
            }
        }
    }

    /// Everybody does what can be done, and reads or gives up what it did not read, until there is nothing left.
    fn finish(&mut self, seed: u64) {
        for _ in 0..TURNS_MAX {
            let mut moved = self.ask();
            for turn in 0..2 {
                let (one, other) = match turn {
                    0 => (&mut self.client, &mut self.server),
                    _ => (&mut self.server, &mut self.client),
                };
                for id in one.heard.sides.keys().copied().collect::<Vec<_>>() {
                    if one.heard.sides[&id].deaf {
                        one.cancel(id);
                    }
                    moved |= one.work(id, usize::MAX);
                }
                moved |= one.send(other, usize::MAX);
                moved |= other.take(usize::MAX);
            }
            if !moved {
                return;
            }
        }
        panic!("seed {seed}: there is no end of it");
    }

    /// What must hold when nothing is on its way.
    fn check(&self, seed: u64) {
        let (c, s) = (&self.client.core, &self.server.core);
        assert!(!c.is_dead() && !s.is_dead(), "seed {seed}: {:?} {:?}", c.counts, s.counts);
        assert_eq!((c.send, s.send), (s.receive, c.receive), "seed {seed}: windows of the connection");
        for (one, other) in [(&self.client, &self.server), (&self.server, &self.client)] {
            for (id, stream) in &one.core.streams {
                let lying = other.heard.sides.get(id).map_or(0, |s| s.came - s.used) as i64;
                let there = other.core.streams.get(id);
                assert!(
                    there.is_none_or(|o| !o.remote || o.receive == stream.send)
                        && there.is_none_or(
                            |o| !o.remote || o.receive + lying == i64::from(other.core.config.window)
                        ),
                    "seed {seed}: window of {id}: {stream:?} {there:?} {lying}"
                );
            }
        }
    }
}

#[test]
fn nothing_stalls_leaks_or_loses_count() {
    for seed in 0..SEEDS {
        let mut play = Play::new(seed);
        for _ in 0..play.dice.below(4000) {
            play.happen();
            if play.client.is_quiet() && play.server.is_quiet() {
                play.check(seed);
            }
        }
        play.finish(seed);
        play.check(seed);
        assert!(play.client.is_quiet() && play.server.is_quiet(), "seed {seed}: bytes are stuck");
        let left = (play.client.core.streams.len(), play.server.core.streams.len());
        assert_eq!(left, (0, 0), "seed {seed}: streams are left");
        let gone = play.client.core.is_closing();
        assert!(play.asks == 0 || gone, "seed {seed}: requests are left");
        for (id, side) in &play.client.heard.sides {
            let Some(peer) = play.server.heard.sides.get(id) else {
                assert!(side.reset, "seed {seed}: stream {id} was lost: {side:?}");
                continue;
            };
            if !side.reset && !peer.reset {
                assert!(side.ended && peer.ended, "seed {seed}: {id}: {side:?} {peer:?}");
                assert_eq!((side.came, peer.came), (peer.size, side.size), "seed {seed}: {id}");
            }
        }
    }
}
