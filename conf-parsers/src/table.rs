//! Keyword tables: exact and prefix look-up, `expects 'a', 'b'` lists, and "did you mean".

mod suggest;

pub use suggest::suggest;

/// Anything a table can hold: it has the name that users write.
pub trait Named {
    /// The name as users write it.
    fn name(&self) -> &'static str;
}

impl Named for &'static str {
    fn name(&self) -> &'static str {
        self
    }
}

impl<T> Named for (&'static str, T) {
    fn name(&self) -> &'static str {
        self.0
    }
}

/// An ordered table of rows. The order is a contract: users see it in messages and dumps.
#[derive(Debug, Clone, Copy)]
pub struct Table<R: 'static> {
    rows: &'static [R],
}

impl<R: Named> Table<R> {
    /// A table over static rows.
    pub const fn new(rows: &'static [R]) -> Self {
        Self { rows }
    }

    /// All rows, in order.
    pub const fn rows(&self) -> &'static [R] {
        self.rows
    }

    /// The row of exactly this name.
    pub fn find(&self, name: &str) -> Option<&'static R> {
        self.rows.iter().find(|r| r.name() == name)
    }

    /// The first row whose name is the longest prefix of `word`: `hdr_beg` for `hdr_beg(host)`.
    pub fn find_prefix(&self, word: &str) -> Option<&'static R> {
        let mut best: Option<&'static R> = None;
        for row in self.rows {
            let longer = best.is_none_or(|b| b.name().len() < row.name().len());
            if longer && word.starts_with(row.name()) {
                best = Some(row);
            }
        }
        best
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(Named::name)
    }

    /// `'a', 'b', 'c'`, for texts that list what was expected.
    pub fn quoted_list(&self) -> String {
        self.names().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
    }

    /// The name a user most likely meant.
    pub fn suggest(&self, word: &str) -> Option<&'static str> {
        suggest(word, self.names())
    }
}

/// `; did you mean 'x' maybe ?`, or nothing: what haproxy appends to a complaint about an unknown word.
pub fn did_you_mean(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    suggest(word, names).map(|n| format!("; did you mean '{n}' maybe ?")).unwrap_or_default()
}

/// ` Did you mean 'x' maybe ?`, or nothing: the same behind a complaint that is a sentence of its own.
pub fn did_you_mean_then(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    suggest(word, names).map(|n| format!(" Did you mean '{n}' maybe ?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Table<&str> = Table::new(&["bind", "backlog", "maxconn", "hdr", "hdr_beg"]);

    #[test]
    fn look_up_is_exact_or_by_longest_prefix() {
        assert_eq!(T.find("bind"), Some(&"bind"));
        assert_eq!(T.find("bin"), None);
        assert_eq!(T.find_prefix("hdr_beg(host)"), Some(&"hdr_beg"));
        assert_eq!(T.find_prefix("hdr(host)"), Some(&"hdr"));
        assert_eq!(T.find_prefix("xx"), None);
    }

    #[test]
    fn lists_are_quoted_in_order() {
        assert_eq!(T.quoted_list(), "'bind', 'backlog', 'maxconn', 'hdr', 'hdr_beg'");
    }

    #[test]
    fn complaints_name_the_likely_word() {
        assert_eq!(did_you_mean("maxcon", T.names()), "; did you mean 'maxconn' maybe ?");
        assert_eq!(did_you_mean_then("maxcon", T.names()), " Did you mean 'maxconn' maybe ?");
        assert_eq!(did_you_mean("zzzzz", T.names()), "");
    }
}
