//! `show cache`.

use super::{Answer, Call};
use crate::http::cache::shown_hash;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

/// `show cache`: all stores and what they hold. Numbers stand in place of addresses.
pub fn show(call: &mut Call<'_>) -> Answer {
    let mut out = String::new();
    let now = Instant::now();
    for settings in &call.generation.config.caches {
        let cache = call.generation.board.caches.ensure(settings);
        let entries = cache.entries();
        // Blocks that nobody reads at this moment can be used again.
        let used: usize = entries.iter().filter(|e| Arc::strong_count(e) > HELD).map(|e| e.blocks()).sum();
        let address = Arc::as_ptr(&cache) as usize;
        let _ = writeln!(
            out,
            "{address:#x}: {} (shctx:{address:#x}, available blocks:{})",
            settings.name,
            settings.blocks - used
        );
        for entry in entries.iter().filter(|e| e.expires > now) {
            let _ = writeln!(
                out,
                "{:#x} hash:{} vary:0x{} size:{} ({} blocks), refcount:{}, expire:{}",
                Arc::as_ptr(entry) as usize,
                shown_hash(&entry.key),
                entry.variant.shown(),
                entry.size(),
                entry.blocks(),
                Arc::strong_count(entry).saturating_sub(HELD),
                entry.expires.saturating_duration_since(now).as_millis().div_ceil(1000)
            );
        }
    }
    Answer::Dump(out)
}

/// References to an entry that is only kept: the list of its key, the order of use, and the one that is shown.
const HELD: usize = 3;
