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

/// What is taken and not carried out, as the first and the VRRP pass tell it, and whether anything is complained of.
fn inert(text: &str) -> (Vec<String>, bool) {
    let tree = parse_bytes("t.conf", text.as_bytes(), &ReadOptions::new("vm"));
    let (globals, core) = globals::read(&tree);
    let (_, report) = read(&tree, &globals, |name| name == "eth0" || name == "eth1");
    let all = || core.items.iter().chain(&report.items);
    let texts = all().filter(|d| d.severity == diag::Severity::Diag).map(|d| d.text.clone());
    (texts.collect(), all().any(|d| d.severity != diag::Severity::Diag))
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

#[test]
fn what_is_not_carried_out_is_told_and_is_no_complaint() {
    for (line, start) in [
        ("vrf red", "'vrf' is not supported yet: "),
        ("garp_extra_if 10", "'garp_extra_if' is not supported yet: "),
        ("track_bfd { B }", "'track_bfd' is not supported yet: there is no BFD session"),
        ("debug 2", "'debug' has no effect here: "),
        ("auth_hmac {\n active_key 2\n }", "'active_key' is not supported yet: adverts carry no HMAC"),
    ] {
        let (texts, complaints) = inert(&format!("{VI} {line}\n }}\n"));
        assert_eq!(texts.len(), 1, "{line}: {texts:?}");
        assert!(texts[0].starts_with(start), "{line}: {texts:?}");
        assert!(!complaints, "{line} is complained of");
    }
    assert_eq!(inert(&format!("{VI} accept\n }}\n")), (vec![], false));
}

#[test]
fn settings_for_all_that_are_not_carried_out_are_told() {
    for line in
        ["vrrp_garp_extra_if 10", "vrrp_iptables", "vrrp_rx_bufs_policy MTU", "vrrp_rx_bufs_multiplier 2"]
    {
        let name = line.split(' ').next().unwrap_or_default();
        let (texts, complaints) = inert(&format!("global_defs {{\n {line}\n}}\n{VI} }}\n"));
        assert!(
            matches!(&texts[..], [one] if one.starts_with(&format!("'{name}' is not supported yet: "))),
            "{line}: {texts:?}"
        );
        // The original complains of vrrp_iptables where it was built without it, and so do we.
        assert!(!complaints || name == "vrrp_iptables", "{line} is complained of");
    }
    let text = format!(
        "track_group G {{\n group {{\n V\n }}\n}}\nstatic_ipaddress {{\n 9.9.9.9 dev eth0 track_group G\n}}\n{VI} }}\n"
    );
    let (texts, _) = inert(&text);
    assert!(texts.iter().any(|t| t.starts_with("'track_group' is not supported yet: ")), "{texts:?}");
}
