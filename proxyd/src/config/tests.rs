use super::*;

fn read(text: &str) -> Loaded {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("t.cfg");
    std::fs::write(&path, text).expect("file");
    let paths = vec![path.to_str().expect("utf-8").to_owned()];
    load(&Settings { paths, ..Settings::default() })
}

fn faults(text: &str) -> Vec<String> {
    read(text)
        .report
        .items
        .iter()
        .filter(|d| d.severity >= Severity::Warning)
        .map(|d| d.text.clone())
        .collect()
}

const TIMEOUTS: &str = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n";

#[test]
fn a_common_file_becomes_a_model() {
    let text = format!(
        "{TIMEOUTS} mode http\n option forwardfor\nfrontend f\n bind :8080 name x\n default_backend b\n\
         backend b\n balance leastconn\n cookie SID insert indirect nocache\n \
         server s1 127.0.0.1:80 check inter 3s weight 10 cookie a\n server s2 127.0.0.2:81 backup\n"
    );
    let loaded = read(&text);
    assert!(!loaded.report.refuses(), "{:?}", loaded.report);
    let [front, back] = &loaded.config.expect("accepted").proxies[..] else { panic!("two proxies") };
    assert_eq!(front.default_backend, Some(model::ProxyId(1)));
    assert_eq!(front.binds[0].name.as_deref(), Some("x"));
    assert_eq!(back.servers[0].weight, 10);
    assert_eq!(back.servers[0].check.inter.as_secs(), 3);
    assert!(back.servers[1].backup);
    assert!(back.forwardfor.is_some());
    assert!(matches!(back.balance.algorithm, model::Algorithm::LeastConn));
}

#[test]
fn all_faults_are_told_at_once_in_haproxys_words() {
    let text = "frontend x\n binds :80\n bind :80 ssll\nbackend\nbackend b\n server\n server a b:c chek\n optio y\n \
                option http-chek\n balance foo\n timeout foo 1\n timeout server 1x\n";
    assert_eq!(
        faults(text),
        [
            "unknown keyword 'binds' in 'frontend' section; did you mean 'bind' maybe ?",
            "'bind :80' in section 'frontend': unknown keyword 'ssll'; did you mean 'ssl' maybe ?",
            "'backend' expects an <id> argument",
            "'server' expects <name> and <addr>[:<port>] as arguments.",
            "'server b/a' : invalid character 'c' in port number 'c' in 'b:c'",
            "'server b/a' : unknown keyword 'chek'; did you mean 'check' maybe ?",
            "unknown keyword 'optio' in 'backend' section; did you mean 'option' maybe ?",
            "unknown option 'http-chek'; did you mean 'httpchk' maybe ?",
            "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hdr(name)' \
             and 'rdp-cookie(name)' options.",
            "'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'http-keep-alive', 'http-request', \
             'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got 'foo')",
            "unexpected character 'x' in 'timeout server'",
        ]
    );
}

#[test]
fn missing_backends_are_named() {
    let text = format!("{TIMEOUTS}frontend f\n bind :80\n use_backend c if TRUE\n default_backend b\n");
    assert_eq!(
        faults(&text),
        [
            "Proxy 'f': unable to find required default_backend: 'b'.",
            "Proxy 'f': unable to find required use_backend: 'c'.",
        ]
    );
}

#[test]
fn old_syntax_warns_and_works() {
    let text = "defaults\n contimeout 5000\n clitimeout 50000\n srvtimeout 50000\n redispatch\n\
                listen l 127.0.0.1:8080\n server s 127.0.0.1:80\n";
    let loaded = read(text);
    assert!(!loaded.report.refuses(), "{:?}", loaded.report);
    assert_eq!(loaded.report.count(Severity::Warning), 5);
    let config = loaded.config.expect("accepted");
    let proxy = &config.proxies[0];
    assert_eq!(proxy.timeouts.connect.map(|t| t.as_secs()), Some(5));
    assert_eq!(proxy.redispatch, Some(-1));
    assert_eq!(proxy.binds.len(), 1);
}

#[test]
fn defaults_have_names_and_can_be_chosen() {
    let text = "defaults a\n mode http\n timeout client 1s\ndefaults b\n timeout client 2s\n\
                frontend x from a\n bind :80\nfrontend y\n bind :81\nfrontend z from c\n bind :82\n";
    let loaded = read(text);
    let found: Vec<_> = loaded.report.items.iter().map(|d| d.text.as_str()).collect();
    assert_eq!(found, ["defaults section 'c' not found for frontend 'z'."]);
}

#[test]
fn every_table_has_unique_names() {
    for names in [proxy_keywords(), sections()] {
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}

#[test]
fn old_rules_become_todays() {
    let old = format!(
        "{TIMEOUTS} mode http\nfrontend f\n bind :80\n reqidel ^X-Bad:\n reqadd X-Good:\\ yes\n \
         reqirep ^(X-Forwarded-For:)(.*) X-Was:\\2\n reqideny ^[^\\ ]*\\ /admin if TRUE\n \
         reqisetbe ^Host:\\ img b\n reqrep ^([^\\ ]*)\\ /a/(.*) \\1\\ /\\2\nbackend b\n server s 127.0.0.1:81\n"
    );
    let loaded = read(&old);
    assert!(!loaded.report.refuses(), "{:?}", loaded.report);
    assert_eq!(loaded.report.count(Severity::Warning), 6);
    let config = loaded.config.expect("accepted");
    let front = &config.proxies[0];
    assert_eq!(front.rules.http_req.iter().map(|r| r.len()).sum::<usize>(), 6);
    assert_eq!(front.use_backend.len(), 1);
}

#[test]
fn rules_see_the_acls_before_them_only() {
    let text = format!(
        "{TIMEOUTS} mode http\nfrontend f\n bind :80\n http-request deny if late\n acl late path /x\n \
         http-request deny if late\n"
    );
    assert_eq!(
        faults(&text),
        ["error detected while parsing an 'http-request deny' condition : no such ACL : 'late'."]
    );
}

#[test]
fn stick_tables_and_formats_are_compiled() {
    let text = format!(
        "{TIMEOUTS} mode http\nlisten l\n bind :80\n option httplog\n stick-table type ip size 1k expire 30s \
         store gpc0,http_req_rate(10s)\n stick on src\n http-request track-sc0 src\n server s 127.0.0.1:81\n"
    );
    let loaded = read(&text);
    assert!(!loaded.report.refuses(), "{:?}", loaded.report);
    let config = loaded.config.expect("accepted");
    let proxy = &config.proxies[0];
    assert_eq!(proxy.stick_table.as_ref().map(|t| (t.size, t.stored.len())), Some((1024, 2)));
    assert_eq!(proxy.stick_rules.matches.len(), 1);
    assert!(proxy.log_format.is_some());
}
