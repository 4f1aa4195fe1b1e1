//! Keyword tables: exact and prefix look-up, `expects 'a', 'b'` lists, and "did you mean".

/// Anything a table can hold: it has the name that users write.
pub trait Named {
    /// The name as users write it.
    fn name(&self) -> &'static str;
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
}
