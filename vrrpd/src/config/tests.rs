use super::*;
use conf_parsers::keepalived::{ReadOptions, parse_bytes};

fn read_text(text: &str) -> (Config, Vec<String>) {
    let tree = parse_bytes("t.conf", text.as_bytes(), &ReadOptions::new("vm"));
    let (globals, _) = globals::read(&tree);
    let (config, report) = read(&tree, &globals, |name| name == "eth0" || name == "eth1");
    let texts = report
        .items
        .iter()
        .filter(|d| d.severity >= diag::Severity::Warning)
        .map(|d| diag::style::keepalived(d, &tree.sources, false))
        .collect();
    (config, texts)
}

const VI: &str =
    "vrrp_instance V {\n interface eth0\n virtual_router_id 5\n virtual_ipaddress { 1.2.3.4/24 }\n";

#[test]
fn an_instance_gets_the_defaults() {
    let (config, texts) = read_text(&format!("{VI} }}"));
    assert_eq!(texts, [""; 0]);
    let i = &config.instances[0];
    assert_eq!((i.vrid, i.priority, i.advert_int), (5, 100, Duration::from_secs(1)));
    assert_eq!(i.vips[0].prefix_len, 24);
    assert!(i.accept && !i.nopreempt);
}

#[test]
fn complaints_are_the_originals() {
    let (config, texts) =
        read_text(&format!("{VI} state SLAVE\n priority 300\n advert_int 0.001\n blah\n }}"));
    assert_eq!(
        texts,
        [
            "(t.conf: Line 5) (V) unknown state 'SLAVE', defaulting to BACKUP",
            "(t.conf: Line 6) number '300' outside range [1, 255]",
            "(t.conf: Line 6) (V) Priority not valid! must be between 1 & 255. Using default 100",
            "(t.conf: Line 7) number '0.001' outside range [0.010000, 255.000000]",
            "(t.conf: Line 7) (V) Advert interval (0.001) not valid! Must be > 0 - ignoring",
            "(t.conf: Line 8) Unknown keyword 'blah'",
        ]
    );
    assert_eq!(config.instances[0].priority, 100);
}

#[test]
fn a_missing_parameter_stops_the_reading() {
    let (config, texts) = read_text("vrrp_instance V {\n virtual_router_id\n}\n");
    assert_eq!(
        texts,
        [
            "(t.conf: Line 2) *** Configuration line starting `virtual_router_id` is missing a parameter after keyword `virtual_router_id` at word position 2"
        ]
    );
    assert!(config.instances.is_empty());
}

#[test]
fn one_router_id_twice_on_a_wire_is_told() {
    let other = VI.replace("V {", "W {");
    let (config, texts) = read_text(&format!("{VI} }}\n{other} }}"));
    assert_eq!(texts, ["V and W both use VRID 5 with IPv4 on interface eth0"]);
    assert_eq!(config.instances[1].config_faults, 1);
}
