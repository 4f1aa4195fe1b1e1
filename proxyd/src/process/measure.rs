//! What is worth measuring once a second for `show info`: bytes sent, and the share of time nothing was done.
//!
//! Absent on purpose: anything that traffic would have to count for it.

use crate::runtime::Generation;
use crate::stats::info::bytes_out;
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Measures as long as it is polled.
pub async fn every_second(current: impl Fn() -> Arc<Generation>) {
    let (mut sent, mut cpu, mut at) = (bytes_out(&current()), processor_time(), Instant::now());
    current().board.process.idle_percent.store(100, Relaxed);
    loop {
        tokio::time::sleep(EVERY).await;
        let generation = current();
        let process = &generation.board.process;
        let (sent_now, cpu_now, now) = (bytes_out(&generation), processor_time(), Instant::now());
        process.bytes_out_rate.add(generation.board.clock().mono_ms, sent_now.saturating_sub(sent));
        let wall = now.saturating_duration_since(at) * generation.board.info.nbthread.max(1) as u32;
        let busy = cpu_now.saturating_sub(cpu).as_micros() * 100 / wall.as_micros().max(1);
        process.idle_percent.store(100 - busy.min(100) as u64, Relaxed);
        (sent, cpu, at) = (sent_now, cpu_now, now);
    }
}
