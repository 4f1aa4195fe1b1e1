//! A list that grows while others read it: the servers of a backend, and what belongs to each of them.
//!
//! What the configuration says stands in one piece; what is added at run time comes behind it, in pieces of doubling
//! size, so that nothing that was lent ever moves.
//!
//! Invariant: a place once filled is never emptied or filled anew, and its index stays its own.
//!
//! Absent on purpose: removing. Who leaves is marked by its owner, and its place may be used again by the owner's
//! rules.

use std::ops::{Index, IndexMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};

/// Places of the first piece, a power of two.
const FIRST: usize = 16;
/// Pieces, which bounds what can be added at run time to as many as a `server-template` may have.
const PIECES: usize = 12;

/// The list.
#[derive(Debug)]
pub struct Roster<T> {
    first: Vec<T>,
    added: [OnceLock<Box<[OnceLock<T>]>>; PIECES],
    count: AtomicUsize,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { first: Vec::new(), added: [const { OnceLock::new() }; PIECES], count: AtomicUsize::new(0) }
    }
}

/// The piece of an added place, and the place in it.
fn place(n: usize) -> (usize, usize) {
    let piece = (n / FIRST + 1).ilog2() as usize;
    (piece, n - FIRST * ((1 << piece) - 1))
}

impl<T> Roster<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.first.len() + self.count.load(Acquire)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at an index.
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.first.get(index) {
            Some(one) => Some(one),
            None => {
                let (piece, at) = place(index - self.first.len());
                self.added.get(piece)?.get()?.get(at)?.get()
            }
        }
    }

    /// The first.
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// All that are there now, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { roster: self, range: 0..self.len() }
    }

    /// Adds one while nobody else has the list.
    pub fn push(&mut self, one: T) {
        self.first.push(one);
    }

    /// All, to change them while nobody else has the list.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.first.iter_mut()
    }

    /// One, to change it while nobody else has the list.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.first.get_mut(index)
    }

    /// Adds one while others read; they see it once it is whole. Who adds must be alone in adding. `Err` gives it
    /// back when the list is full.
    pub fn add(&self, one: T) -> Result<usize, T> {
        let n = self.count.load(Acquire);
        let (piece, at) = place(n);
        let Some(slots) = self.added.get(piece) else { return Err(one) };
        let slots = slots.get_or_init(|| (0..FIRST << piece).map(|_| OnceLock::new()).collect());
        slots[at].set(one)?;
        self.count.store(n + 1, Release);
        Ok(self.first.len() + n)
    }
}

impl<T> Index<usize> for Roster<T> {
    type Output = T;

    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "an index beyond the end is a fault of the caller, as with slices"
    )]
    fn index(&self, index: usize) -> &T {
        match self.first.get(index) {
            Some(one) => one,
            None => self.get(index).expect("index within the roster"),
        }
    }
}

impl<T> IndexMut<usize> for Roster<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.first[index]
    }
}

/// Those that were there when it began, in order.
#[derive(Debug)]
pub struct Iter<'a, T> {
    roster: &'a Roster<T>,
    range: std::ops::Range<usize>,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { roster: self.roster, range: self.range.clone() }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        self.range.next().map(|i| &self.roster[i])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back().map(|i| &self.roster[i])
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Roster<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Roster<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> std::slice::IterMut<'a, T> {
        self.iter_mut()
    }
}

impl<T> FromIterator<T> for Roster<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Self { first: all.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDED_MAX: usize = FIRST * ((1 << PIECES) - 1);

    #[test]
    fn places_lie_side_by_side() {
        let mut next = (0, 0);
        for n in 0..2000 {
            assert_eq!(place(n), next, "{n}");
            next = if next.1 + 1 == FIRST << next.0 { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
        }
        assert_eq!(place(ADDED_MAX - 1), (PIECES - 1, (FIRST << (PIECES - 1)) - 1));
        assert_eq!(place(ADDED_MAX).0, PIECES);
    }

    #[test]
    fn what_was_lent_stays_while_others_come() {
        let roster: Roster<String> = ["a", "b"].into_iter().map(String::from).collect();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (a, mut seen) = (&roster[0], 0);
                while seen < 502 {
                    seen = roster.len();
                    assert!(roster.iter().enumerate().skip(2).all(|(i, s)| *s == i.to_string()));
                }
                a.clone()
            });
            for n in 0..500 {
                assert_eq!(roster.add((n + 2).to_string()), Ok(n + 2));
            }
            assert_eq!(reader.join().unwrap(), "a");
        });
        assert_eq!((roster.len(), roster.get(502), roster[501].as_str()), (502, None, "501"));
    }

    #[test]
    fn a_full_list_gives_back() {
        let roster = Roster::default();
        for n in 0..ADDED_MAX {
            assert_eq!(roster.add(n), Ok(n));
        }
        assert_eq!(roster.add(7), Err(7));
    }
}
