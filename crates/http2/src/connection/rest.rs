//! The memory of a connection that is not used for a while.
//!
//! Invariant: nothing is forgotten that a later frame depends on: the table of header blocks stays as it is.

use super::Connection;
use crate::hpack::Fields;
use std::collections::BTreeMap;

impl Connection {
    /// Gives back memory that nothing is in.
    pub fn rest(&mut self) {
        for buffer in [&mut self.out, &mut self.pending, &mut self.block] {
            buffer.shrink_to_fit();
        }
        if self.open.is_none() {
            self.fields = Fields::default();
        }
        if self.streams.is_empty() {
            self.streams = BTreeMap::new();
        }
    }
}
