//! The tables of HPACK: the fixed one (RFC 7541, appendix A) and the one a connection fills.
//!
//! Invariant: the entries' sizes (name, value and 32, as the standard counts) never exceed the limit.

use std::collections::VecDeque;

/// What the standard adds to each entry's size.
pub(crate) const ENTRY_OVERHEAD: usize = 32;

/// The fixed table; its first entry has index 1.
pub(crate) const FIXED: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The index of a name in the fixed table; 0 where it has none. Pseudo fields are left out: who writes them knows.
pub(crate) fn fixed_index(name: &[u8]) -> usize {
    // Names of a length are few, so most are sorted out without looking at them.
    const FIRST_PLAIN: usize = 14;
    static BY_LENGTH: std::sync::OnceLock<Vec<Vec<usize>>> = std::sync::OnceLock::new();
    let by_length = BY_LENGTH.get_or_init(|| {
        let longest = FIXED.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
        let of = |len: usize| (FIRST_PLAIN..FIXED.len()).filter(|i| FIXED[*i].0.len() == len).collect();
        (0..=longest).map(of).collect()
    });
    let found = by_length.get(name.len()).and_then(|l| l.iter().find(|i| FIXED[**i].0.as_bytes() == name));
    found.map_or(0, |i| i + 1)
}

#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    name: usize,
}

impl Entry {
    fn size(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD
    }
}

/// The table that header blocks fill.
#[derive(Debug)]
pub(crate) struct Dynamic {
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
}

impl Dynamic {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, limit }
    }

    /// The field of an index, over both tables.
    pub(crate) fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        if let Some((name, value)) = index.checked_sub(1).and_then(|i| FIXED.get(i)) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(index.checked_sub(FIXED.len() + 1)?)?;
        Some(entry.bytes.split_at(entry.name))
    }

    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(self.limit.saturating_sub(size));
        if size > self.limit {
            return; // larger than all there is: it empties the table
        }
        self.size += size;
        self.entries.push_front(Entry { bytes: [name, value].concat().into(), name: name.len() });
    }

    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    fn evict(&mut self, room: usize) {
        while self.size > room {
            match self.entries.pop_back() {
                Some(entry) => self.size -= entry.size(),
                None => return,
            }
        }
    }
}
