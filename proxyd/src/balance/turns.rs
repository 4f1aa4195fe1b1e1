//! Weighted turns (`roundrobin`): who is next when nothing but weights counts.
//!
//! Positions count turns. A round is as long as the sum of all weights; after its turn a server's next position is
//! one round over its weight further on. Servers that had no turn in this round wait at the door, heaviest first,
//! and come in whenever nobody's position has come; those whose next position lies beyond the next round wait for
//! the round to end. Weights may change at any turn; the length of the round follows with the next one.
//!
//! Invariant: a server is in one place at a time; over a round each has as many turns as its weight says.

use super::{Ask, Order};
use crate::config::model::ServerId;

/// Weights are kept in this many parts of a user's unit, so that a server can come back in small steps.
pub const PARTS: u32 = 16;
/// Largest weight, in parts.
const WEIGHT_MAX: u64 = 256 * PARTS as u64;
/// Weight of a position over that of a difference in weight, when places in line are compared.
const POSITION: u64 = 256;

/// Where a server waits. Among equal ranks the one that came first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Out of service.
    Out,
    /// At the door of this round.
    Door { rank: u64, came: u64 },
    /// In line.
    Line { rank: u64, came: u64 },
    /// For the round's end.
    Later { rank: u64, came: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    weight: u64,
    place: Place,
    /// Its next turn.
    next: u64,
    /// Its last turn.
    last: u64,
    /// What the last division left over.
    rest: u64,
}

/// The line of one group of servers.
#[derive(Debug, Default)]
pub struct Turns {
    entries: Vec<Entry>,
    now: u64,
    /// Length of this round, and of the next.
    round: u64,
    coming: u64,
    arrivals: u64,
    started: bool,
}

impl Turns {
    fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn at_door(&mut self, weight: u64) -> Place {
        Place::Door { rank: WEIGHT_MAX - weight.min(WEIGHT_MAX), came: self.arrival() }
    }

    /// Puts a server where its next position belongs.
    fn queue(&mut self, i: usize) {
        let came = self.arrival();
        let entry = &mut self.entries[i];
        entry.place = if entry.next >= self.round + self.coming {
            entry.next -= self.round;
            Place::Later { rank: WEIGHT_MAX - entry.weight.min(WEIGHT_MAX), came }
        } else {
            let nuance = (WEIGHT_MAX + entry.rest).saturating_sub(entry.weight) / u64::from(PARTS);
            Place::Line { rank: POSITION * entry.next + nuance, came }
        };
    }

    fn candidate(&mut self) -> Option<usize> {
        let (mut in_line, mut at_door) = (None, None);
        for (i, entry) in self.entries.iter().enumerate() {
            let (first, ranked) = match entry.place {
                Place::Line { rank, came } => (&mut in_line, (rank, came, i)),
                Place::Door { rank, came } => (&mut at_door, (rank, came, i)),
                Place::Out | Place::Later { .. } => continue,
            };
            if first.is_none_or(|first| ranked < first) {
                *first = Some(ranked);
            }
        }
        let in_line = in_line.map(|(_, _, i)| i);
        if let Some(i) = in_line.filter(|i| self.entries[*i].next <= self.now) {
            return Some(i);
        }
        if let Some((_, _, i)) = at_door {
            (self.entries[i].next, self.entries[i].rest) = (0, 0);
            return Some(i);
        }
        in_line
    }

    /// Uses up a turn.
    fn advance(&mut self, i: usize) {
        let (now, round) = (self.now, self.coming);
        let entry = &mut self.entries[i];
        if entry.next == 0 {
            entry.next = now;
        }
        entry.last = entry.next;
        entry.next += round / entry.weight;
        entry.rest += round % entry.weight;
        if entry.rest >= entry.weight {
            entry.rest -= entry.weight;
            entry.next += 1;
        }
        entry.place = Place::Out;
        self.now += 1;
    }

    /// The round is over: those who waited for its end are at the door of the next.
    fn turn_over(&mut self) {
        for entry in &mut self.entries {
            entry.place = match entry.place {
                Place::Later { rank, came } => Place::Door { rank, came },
                Place::Door { rank, came } => Place::Later { rank, came },
                other => other,
            };
        }
        self.round = self.coming;
        self.now = self.round;
    }

    fn grow_to(&mut self, len: usize) {
        if self.entries.len() < len {
            let none = Entry { weight: 0, place: Place::Out, next: 0, last: 0, rest: 0 };
            self.entries.resize(len, none);
        }
    }

    fn comes(&mut self, i: usize, weight: u64) {
        self.coming += weight;
        self.entries[i].weight = weight;
        if !self.started {
            self.entries[i].place = self.at_door(weight);
            return;
        }
        self.entries[i].next = self.now + (self.coming + self.round).saturating_sub(self.now) / weight;
        self.queue(i);
    }

    fn changes(&mut self, i: usize, weight: u64) {
        let old = self.entries[i].weight;
        self.coming = self.coming - old + weight;
        self.entries[i].weight = weight;
        match self.entries[i].place {
            Place::Door { .. } => self.entries[i].place = self.at_door(weight),
            place => {
                let (now, round, step) = (self.now, self.round, self.coming / weight);
                let entry = &mut self.entries[i];
                if matches!(place, Place::Later { .. }) {
                    entry.next += round;
                }
                entry.next = entry.next.min(entry.last + step);
                entry.rest = 0;
                if entry.next < now + 2 {
                    entry.next = now + step;
                }
                self.queue(i);
            }
        }
    }
}

impl Order for Turns {
    fn begin(&mut self) {
        (self.started, self.round, self.now) = (true, self.coming, self.coming);
    }

    fn set(&mut self, server: ServerId, weight: u32) {
        let (i, weight) = (server.0, u64::from(weight));
        self.grow_to(i + 1);
        match (self.entries[i].weight, weight) {
            (0, 0) => {}
            (0, weight) => self.comes(i, weight),
            (old, 0) => {
                self.coming -= old;
                let entry = &mut self.entries[i];
                (entry.weight, entry.place, entry.next) = (0, Place::Out, self.now);
            }
            (old, weight) if old != weight => self.changes(i, weight),
            _ => {}
        }
    }

    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        if self.round == 0 {
            self.begin();
        }
        let (mut turned, mut avoided) = (false, None);
        let mut passed = smallvec::SmallVec::<[usize; 8]>::new();
        let chosen = loop {
            let Some(i) = self.candidate() else {
                if turned {
                    break avoided;
                }
                turned = true;
                self.turn_over();
                continue;
            };
            self.advance(i);
            if ask.has_room(ServerId(i)) {
                if ask.avoid != Some(ServerId(i)) || avoided.is_some() {
                    break Some(i);
                }
                avoided = Some(i);
            }
            passed.push(i);
        };
        if let Some(i) = chosen {
            self.queue(i);
        }
        // Who was passed over keeps its place, or after a turn of the round its weight alone.
        while let Some(i) = passed.pop() {
            if chosen == Some(i) {
                continue;
            }
            if turned {
                self.entries[i].place = self.at_door(self.entries[i].weight);
            } else {
                self.queue(i);
            }
        }
        chosen.map(ServerId)
    }
}
