//! Speed of reading haproxy.cfg: 100,000 generated lines, by the clock and by CPU time, which a busy machine
//! changes least.

use conf_parsers::haproxy::{Host, cc, parse};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diag::SourceMap;
use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// CPU time of this thread, user and system.
struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock of CPU time").into()
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }
    fn end(&self, start: Duration) -> Duration {
        Self::now().saturating_sub(start)
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

#[derive(Default)]
struct Plain {
    facts: cc::Facts,
}

impl Host for Plain {
    fn opens_section(&self, word: &str) -> bool {
        matches!(word, "global" | "defaults" | "frontend" | "backend" | "listen")
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn facts(&self) -> &cc::Facts {
        &self.facts
    }
}

/// About 7 MB: backends of servers with ACLs, comments, quotes and escapes.
fn generated() -> String {
    let mut text = String::from("global\n    maxconn 4096\n");
    let mut lines = 2;
    let mut backend = 0;
    while lines < 100_000 {
        text += &format!(
            "backend app{backend}\n    # servers of application {backend}\n    mode http\n    balance roundrobin\n"
        );
        text += "    acl is_static path_beg -i /static /images \"/with space\"\n";
        text += "    http-request set-header X-Forwarded-Proto https if { ssl_fc } !is_static\n";
        for server in 0..14 {
            text += &format!(
                "    server s{server} 10.{}.{}.{server}:8080 check inter 2s rise 3 fall 2 weight 10 maxconn 500\n",
                backend / 250 % 250,
                backend % 250
            );
        }
        lines += 20;
        backend += 1;
    }
    text
}

fn bench<M: Measurement + 'static>(c: &mut Criterion<M>, by: &str) {
    let text = generated();
    let mut group = c.benchmark_group(format!("haproxy.cfg, {by}"));
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    let mut sources = SourceMap::new();
    let file = sources.add("generated.cfg", text);
    group.bench_function("100,000 lines", |b| {
        b.iter_with_large_drop(|| black_box(parse(&sources, &[file], &mut Plain::default())));
    });
    group.finish();
}

fn wall(c: &mut Criterion) {
    bench(c, "wall");
}

fn cpu(c: &mut Criterion<CpuTime>) {
    bench(c, "CPU time");
}

criterion_group!(by_the_clock, wall);
criterion_group!(name = by_cpu_time; config = Criterion::default().with_measurement(CpuTime); targets = cpu);
criterion_main!(by_the_clock, by_cpu_time);
