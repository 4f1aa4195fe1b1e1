use super::*;
use serde_json::json;
use std::time::Duration;

async fn news(client: &mut Client) -> News {
    tokio::time::timeout(Duration::from_secs(20), client.news.recv())
        .await
        .expect("news in time")
        .expect("open")
}

#[tokio::test]
async fn a_subscriber_sees_the_facts_through_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vrrpd.sock");
    let mut client = dial(path.clone(), Role::Proxyd, &["vrrp.*"]);
    let server = Server::unserved();
    server.publish("vrrp.instance/A", json!({"state": "BACKUP"}));
    let requests = server.serve(dir.path(), Role::Vrrpd).unwrap();
    assert_eq!(news(&mut client).await, News::Up { leases: false });
    assert_eq!(news(&mut client).await, News::Changed("vrrp.instance/A".into(), json!({"state": "BACKUP"})));
    assert_eq!(news(&mut client).await, News::Synced);
    server.publish("ipvs.service/S", json!(1));
    server.publish("vrrp.instance/A", json!({"state": "MASTER"}));
    assert_eq!(news(&mut client).await, News::Changed("vrrp.instance/A".into(), json!({"state": "MASTER"})));

    drop(requests);
    let mode = std::fs::metadata(&path).map(|m| m.permissions().mode() & 0o777).ok();
    assert_eq!(mode, Some(0o660));
    let successor = Server::unserved();
    successor.publish("vrrp.instance/B", json!(2));
    let _requests = successor.serve(dir.path(), Role::Vrrpd).unwrap();
    // The old connection lives as long as its daemon; here it is told to go by closing its inbox and its peers.
    server.lock().peers.clear();
    server.publish("x", json!(0));
    drop(server);
    let mut seen = Vec::new();
    while seen.last() != Some(&News::Synced) {
        seen.push(news(&mut client).await);
    }
    let want = [
        News::Down,
        News::Up { leases: false },
        News::Changed("vrrp.instance/B".into(), json!(2)),
        News::Gone("vrrp.instance/A".into()),
        News::Synced,
    ];
    assert_eq!(seen, want);
}

#[tokio::test]
async fn leases_go_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::unserved();
    let mut requests = server.serve(dir.path(), Role::Checkd).unwrap();
    let mut client = dial(dir.path().join("checkd.sock"), Role::Proxyd, &[]);
    assert_eq!(news(&mut client).await, News::Up { leases: true });
    assert_eq!(news(&mut client).await, News::Synced);
    assert!(client.send(Frame::Offer { lease: 4, ttl_ms: 6000, spec: json!({}) }));
    let Some(Request::Lease(peer, Frame::Offer { lease: 4, .. })) = requests.recv().await else {
        panic!("no offer came")
    };
    server.reply(peer, Frame::Granted { lease: 4 });
    assert_eq!(news(&mut client).await, News::Lease(Frame::Granted { lease: 4 }));
    drop(client);
    assert_eq!(requests.recv().await, Some(Request::Closed(peer)));
}

#[tokio::test]
async fn rubbish_closes_only_its_own_connection() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::unserved();
    let _requests = server.serve(dir.path(), Role::Proxyd).unwrap();
    let path = dir.path().join("proxyd.sock");
    for rubbish in
        [&b"GET / HTTP/1.0\n\n"[..], b"{\"v\":1,\"t\":\"subscribe\",\"topics\":[]}\n", &vec![b'x'; 70_000]]
    {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        // The server may close before it has read all of it.
        let _ = stream.write_all(rubbish).await;
        let mut said = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await.unwrap();
        assert!(said.starts_with(b"{\"v\":1,") || said.is_empty());
    }
    let mut client = dial(path, Role::Operator, &["*"]);
    assert_eq!(news(&mut client).await, News::Up { leases: false });
}

#[tokio::test]
async fn a_reader_that_stops_costs_a_bounded_queue() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::unserved();
    let _requests = server.serve(dir.path(), Role::Proxyd).unwrap();
    let mut client = dial(dir.path().join("proxyd.sock"), Role::Operator, &["*"]);
    assert_eq!(news(&mut client).await, News::Up { leases: false });
    // Nobody reads the news; the texts fill the inbox, the socket and the session's queue.
    let text = "x".repeat(500);
    for n in 0..6000 {
        server.publish(&format!("proxy.server/b/s{}", n % 50), json!({"n": n, "text": text}));
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let last = |n: usize| json!({"n": 5950 + n, "text": text});
    let mut view = BTreeMap::new();
    while view.len() < 50 || (0..50).any(|n| view.get(&format!("proxy.server/b/s{n}")) != Some(&last(n))) {
        if let News::Changed(topic, data) = news(&mut client).await {
            view.insert(topic, data);
        }
    }
}

#[test]
fn rights_follow_the_kernels_word() {
    assert_eq!(access(0, 0, 1000, 77), Access::Full);
    assert_eq!(access(1000, 1000, 1000, 77), Access::Full);
    assert_eq!(access(1001, 77, 1000, 77), Access::Watch);
    assert_eq!(access(1001, 1001, 1000, 77), Access::None);
    assert_eq!(access(1001, 0, 1000, 0), Access::None, "the group root is no group of watchers");
}
