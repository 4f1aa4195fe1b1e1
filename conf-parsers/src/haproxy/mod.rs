//! haproxy.cfg: lines of words, sections, conditions.

pub mod expr;

use crate::Line;

/// One section: its opening line and the lines up to the next opening line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The opening line, `frontend www from base`.
    pub header: Line,
    /// The lines inside.
    pub lines: Vec<Line>,
}
