use super::*;
use crate::config::model::Config;

fn generation(backend: &str) -> Generation {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("t.cfg");
    std::fs::write(&path, format!("backend b\n{backend}")).expect("file");
    let paths = vec![path.to_str().expect("utf-8").to_owned()];
    let loaded = crate::config::load(&crate::config::Settings { paths, ..Default::default() });
    let config: Config = loaded.config.expect("a valid file");
    Generation::build(1, config, Arc::default())
}

fn servers(weights: &[u32]) -> String {
    let line = |(i, w): (usize, &u32)| format!(" server s{} 127.0.0.1:1 weight {w}\n", i + 1);
    weights.iter().enumerate().map(line).collect()
}

fn choices(generation: &Generation, n: usize, wish: Wish) -> String {
    let at = ProxyId(0);
    let one = |_| match generation.balancers[0].choose(Field::of(generation, at), wish) {
        Choice::Server(id) => (id.0 + 1).to_string(),
        other => format!("({other:?})"),
    };
    (0..n).map(one).collect()
}

/// Orders that haproxy 2.6.12 showed.
#[test]
fn turns_come_in_haproxys_order() {
    for (weights, want) in [
        (&[1_u32, 1, 1, 1][..], "12341234"),
        (&[1, 1, 2], "31323132"),
        (&[2, 3], "2212122121"),
        (&[1, 2, 3, 4], "43423414324342341432"),
        (&[4, 4, 2, 1], "1212312412312123124123"),
        (&[1, 2, 5], "3323313233233132"),
    ] {
        let generation = generation(&servers(weights));
        assert_eq!(choices(&generation, want.len(), Wish::default()), want, "{weights:?}");
    }
}

#[test]
fn a_full_server_is_passed_over_and_all_full_means_waiting() {
    for algorithm in ["roundrobin", "static-rr", "leastconn", "first", "random"] {
        let text = format!(
            " balance {algorithm}\n server s1 127.0.0.1:1 maxconn 1\n server s2 127.0.0.1:1 maxconn 1\n"
        );
        let generation = generation(&text);
        generation.servers[0][0].sessions.store(1, Relaxed);
        assert_eq!(
            choices(&generation, 3, Wish { avoid: Some(ServerId(0)), hash: None }),
            "222",
            "{algorithm}"
        );
        generation.servers[0][1].sessions.store(1, Relaxed);
        assert_eq!(choices(&generation, 1, Wish::default()), "(Wait(None))", "{algorithm}");
    }
}

#[test]
fn backups_stand_in_one_or_all() {
    let text = " server s1 127.0.0.1:1\n server s2 127.0.0.1:1 backup\n server s3 127.0.0.1:1 backup\n";
    let one = generation(text);
    assert_eq!(choices(&one, 2, Wish::default()), "11");
    one.servers[0][0].oper.store(oper::STOPPED, Relaxed);
    assert_eq!(choices(&one, 3, Wish::default()), "222");
    let all = generation(&format!(" option allbackups\n{text}"));
    all.servers[0][0].oper.store(oper::STOPPED, Relaxed);
    assert_eq!(choices(&all, 4, Wish::default()), "2323");
    one.servers[0][1].user_weight.store(0, Relaxed);
    one.servers[0][2].user_weight.store(0, Relaxed);
    assert_eq!(choices(&one, 1, Wish::default()), "(None)");
}

#[test]
fn the_ring_moves_only_what_its_lost_server_had() {
    let text = format!(" balance source\n hash-type consistent\n{}", servers(&[1, 1, 1]));
    let generation = generation(&text);
    let pick = |hash: u32| choices(&generation, 1, Wish { hash: Some(hash), avoid: None });
    let keys: Vec<u32> = (0..500).map(|n: u32| n.wrapping_mul(0x0101_6b35)).collect();
    let before: Vec<String> = keys.iter().map(|k| pick(*k)).collect();
    generation.servers[0][1].oper.store(oper::STOPPED, Relaxed);
    for (key, was) in keys.iter().zip(&before) {
        let now = pick(*key);
        assert!(if was == "2" { now != "2" } else { now == *was }, "{key}: {was} {now}");
    }
}
