//! keepalived.conf: nested blocks of lines.

use crate::Line;

/// One statement: a line of words and, where a `{` follows, what stands between the braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The words.
    pub line: Line,
    /// The statements between the braces; `None` without braces.
    pub block: Option<Vec<Item>>,
}
