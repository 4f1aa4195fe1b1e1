//! Speed of reading haproxy.cfg: 100,000 generated lines.

use conf_parsers::haproxy::{Host, cc, parse};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diag::SourceMap;
use std::hint::black_box;

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

fn bench(c: &mut Criterion) {
    let text = generated();
    let mut group = c.benchmark_group("haproxy.cfg");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    let mut sources = SourceMap::new();
    let file = sources.add("generated.cfg", text);
    group.bench_function("100,000 lines", |b| {
        b.iter(|| black_box(parse(&sources, &[file], &mut Plain::default())));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
