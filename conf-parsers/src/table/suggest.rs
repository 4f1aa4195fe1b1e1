//! "Did you mean": the known word whose letter pairs differ least from the typed one.
//!
//! Every word is seen as a walk over letters with one start and one end; two words are as far apart as the sum
//! of the squared differences in how often they take each step. A candidate that differs in too many steps for
//! its length is no suggestion. Case is not looked at; all digits count as one letter, so do all other signs.

/// Letters, digits, other signs, and the ends.
const CLASSES: usize = 32;
const DIGIT: usize = 27;
const OTHER: usize = 28;
const EDGE: usize = 0;

struct Profile([u8; CLASSES * CLASSES]);

impl Profile {
    fn of(word: &str) -> Self {
        let mut steps = [0u8; CLASSES * CLASSES];
        let mut from = EDGE;
        for byte in word.bytes() {
            let to = match byte.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => usize::from(letter - b'a') + 1,
                b'0'..=b'9' => DIGIT,
                _ => OTHER,
            };
            let step = &mut steps[from * CLASSES + to];
            *step = step.saturating_add(1);
            from = to;
        }
        let last = &mut steps[from * CLASSES + EDGE];
        *last = last.saturating_add(1);
        Self(steps)
    }

    fn distance(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| usize::from(a.abs_diff(*b)).pow(2)).sum()
    }
}

/// The candidate nearest to `word`; the first of equals; `None` when none is near enough.
pub fn suggest(word: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let typed = Profile::of(word);
    let (distance, name) =
        candidates.map(|c| (typed.distance(&Profile::of(c)), c)).min_by_key(|(distance, _)| *distance)?;
    // More tolerance where the first letter agrees: people mistype ends, not beginnings.
    let tolerance = 2 + usize::from(name.bytes().next() == word.bytes().next());
    (distance <= tolerance * word.len() && distance <= tolerance * name.len()).then_some(name)
}
