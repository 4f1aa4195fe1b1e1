use super::*;
use conf_parsers::keepalived::{ReadOptions, parse_bytes};
use std::time::Duration;

fn read_text(text: &str) -> (Model, Vec<String>) {
    let tree = parse_bytes("t.conf", text.as_bytes(), &ReadOptions::new("vm"));
    let (globals, _) = globals::read(&tree);
    let (model, report) = read(&tree, &globals);
    let texts = report
        .items
        .iter()
        .filter(|d| d.severity >= diag::Severity::Warning)
        .map(|d| diag::style::keepalived(d, &tree.sources, false))
        .collect();
    (model, texts)
}

#[test]
fn timers_come_down_from_the_virtual_server() {
    let (model, texts) = read_text(
        "virtual_server 10.0.0.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n delay_loop 6\n retry 7\n\
         real_server 10.0.0.2 80 {\n retry 8\n TCP_CHECK { connect_timeout 3\n }\n}\n\
         real_server 10.0.0.3 80 { TCP_CHECK { retry 9 } }\n}",
    );
    assert_eq!(texts, [""; 0]);
    let reals = &model.services[0].real_servers;
    let checkers: Vec<_> = reals.iter().map(|r| &r.checkers[0]).collect();
    assert_eq!(checkers.iter().map(|c| c.retry).collect::<Vec<_>>(), [8, 9]);
    assert_eq!(checkers[0].delay_loop, Duration::from_secs(6));
    assert_eq!(checkers[0].connection.timeout, Duration::from_secs(3));
    assert_eq!(checkers[1].connection.timeout, model::CONNECT_TIMEOUT);
}

#[test]
fn defaults_are_told_in_the_originals_words() {
    let (model, texts) = read_text(
        "virtual_server 1.2.3.4 80 {\n bogus\n real_server 1.2.3.5 80 { weight 1\n TCP_CHECK { foo\n }\n }\n}",
    );
    assert_eq!(
        texts,
        [
            "(t.conf: Line 2) Unknown keyword 'bogus'",
            "(t.conf: Line 4) Unknown keyword 'foo'",
            "Virtual server [1.2.3.4]:none:80: no protocol set - defaulting to UDP",
            "Virtual server [1.2.3.4]:udp:80: no scheduler set, setting default 'wlc'",
            "Virtual server [1.2.3.4]:udp:80: no forwarding method set, setting default NAT",
        ]
    );
    assert_eq!(model.services[0].scheduler, "wlc");
}
