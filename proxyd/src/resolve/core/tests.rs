use super::*;
use crate::config::model::Nameserver;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record};
use proptest::prelude::*;

fn section(servers: usize) -> Resolvers {
    let one = |i: usize| Nameserver {
        name: format!("ns{i}"),
        address: ([127, 0, 0, 1], 5300 + i as u16).into(),
        tcp: false,
    };
    let mut section = Resolvers::new("r");
    section.nameservers = (0..servers).map(one).collect();
    section.payload = 4096;
    section
}

struct Rig {
    core: Core,
    now: Instant,
    counters: Vec<Arc<Counters>>,
}

impl Rig {
    fn new(section: Resolvers) -> Self {
        let counters: Vec<Arc<Counters>> = section.nameservers.iter().map(|_| Arc::default()).collect();
        let mut id = 0;
        let ids = move || {
            id += 1;
            id
        };
        let core = Core::new(Arc::new(section), counters.clone(), Box::new(ids));
        Self { core, now: Instant::now(), counters }
    }

    fn put(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.core.handle(self.now, input, &mut out);
        out
    }

    /// Goes on to the next deadline.
    fn pass(&mut self) -> Vec<Effect> {
        self.now = self.core.deadline().expect("something is awaited");
        self.put(Input::Deadline)
    }
}

fn key() -> Key {
    Key::new("Web.Test.", Kind::A)
}

/// The questions among effects.
fn questions(effects: &[Effect]) -> Vec<(usize, Message)> {
    let sends = effects.iter().filter_map(|e| match e {
        Effect::Send(i, bytes) => Some((*i, Message::from_vec(bytes).unwrap())),
        Effect::Ended(..) => None,
    });
    sends.collect()
}

fn reply(question: &Message, code: ResponseCode, records: &[RData]) -> Vec<u8> {
    let mut message = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    message.metadata.response_code = code;
    message.add_query(question.queries[0].clone());
    for data in records {
        message.add_answer(Record::from_rdata(question.queries[0].name.clone(), 30, data.clone()));
    }
    message.to_vec().unwrap()
}

fn v4(last: u8) -> RData {
    RData::A(A::new(10, 0, 0, last))
}

fn known(rig: &Rig, key: &Key) -> Vec<Data> {
    rig.core.lookup(key).map_or(Vec::new(), |l| l.records().cloned().collect())
}

fn ip(last: u8) -> Data {
    Data::Ip(std::net::IpAddr::from([10, 0, 0, last]))
}

#[test]
fn a_name_is_asked_for_at_once_and_again_after_its_pause() {
    let mut rig = Rig::new(section(2));
    let asked = questions(&rig.put(Input::Follow(key())));
    assert_eq!(asked.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 1]);
    let good = reply(&asked[0].1, ResponseCode::NoError, &[v4(1), v4(2)]);
    assert_eq!(rig.put(Input::Packet(1, good.clone())), [Effect::Ended(key(), Some(1))]);
    assert_eq!(known(&rig, &key()), [ip(1), ip(2)]);
    // The other server's answer comes late.
    assert_eq!(rig.put(Input::Packet(0, good)), []);
    assert_eq!((rig.counters[0].outdated.read(), rig.counters[1].valid.read()), (1, 1));
    let begun = rig.now;
    assert_eq!(questions(&rig.pass()).len(), 2);
    assert_eq!(rig.now - begun, Duration::from_secs(1));
}

#[test]
fn bad_answers_of_all_servers_lead_to_the_other_family_and_then_to_failure() {
    let mut rig = Rig::new(section(2));
    let first = questions(&rig.put(Input::Follow(key())));
    let nx = |q: &Message| reply(q, ResponseCode::NXDomain, &[]);
    assert_eq!(rig.put(Input::Packet(0, nx(&first[0].1))), []);
    let second = questions(&rig.put(Input::Packet(1, nx(&first[1].1))));
    assert_eq!(second[0].1.queries[0].query_type.to_string(), "AAAA");
    assert_eq!(rig.put(Input::Packet(0, nx(&second[0].1))), []);
    assert_eq!(rig.put(Input::Packet(1, nx(&second[1].1))), [Effect::Ended(key(), None)]);
    let section = Arc::clone(rig.core.section());
    let lookup = rig.core.lookup(&key()).unwrap();
    assert_eq!(lookup.status, Status::Nx);
    assert!(!lookup.is_given_up(rig.now, &section));
    assert!(lookup.is_given_up(rig.now + section.hold.nx, &section));
}

#[test]
fn silence_is_asked_again_as_often_as_the_section_says() {
    let mut rig = Rig::new(section(1));
    assert_eq!(questions(&rig.put(Input::Follow(key()))).len(), 1);
    assert_eq!(questions(&rig.pass()).len(), 1);
    assert_eq!(questions(&rig.pass()).len(), 1);
    assert_eq!(rig.pass(), [Effect::Ended(key(), None)]);
    assert_eq!(rig.core.lookup(&key()).unwrap().status, Status::Timeout);
    assert_eq!(rig.counters[0].sent.read(), 3);
}

#[test]
fn a_server_that_can_not_be_reached_is_not_waited_for() {
    let mut rig = Rig::new(section(2));
    let asked = questions(&rig.put(Input::Follow(key())));
    let id = asked[1].1.metadata.id;
    assert_eq!(rig.put(Input::Unsent(1, id)), []);
    assert_eq!((rig.counters[1].sent.read(), rig.counters[1].send_error.read()), (0, 1));
    let nx = reply(&asked[0].1, ResponseCode::NXDomain, &[]);
    assert_eq!(questions(&rig.put(Input::Packet(0, nx))).len(), 2);
}

#[test]
fn answers_that_are_none_of_ours_change_nothing() {
    let mut rig = Rig::new(section(1));
    let asked = questions(&rig.put(Input::Follow(key())));
    let mut spoofed = reply(&asked[0].1, ResponseCode::NoError, &[v4(66)]);
    spoofed[0] ^= 1;
    assert_eq!(rig.put(Input::Packet(0, spoofed)), []);
    assert_eq!(rig.put(Input::Packet(0, vec![0; 5])), []);
    assert_eq!(rig.put(Input::Packet(7, vec![0; 50])), []);
    assert_eq!(rig.put(Input::Packet(0, vec![0; 5000])), []);
    let c = &rig.counters[0];
    assert_eq!((c.outdated.read(), c.invalid.read(), c.too_big.read()), (1, 1, 1));
    assert_eq!(known(&rig, &key()), []);
    // The true answer still counts.
    let good = reply(&asked[0].1, ResponseCode::NoError, &[v4(1)]);
    assert_eq!(rig.put(Input::Packet(0, good)), [Effect::Ended(key(), Some(0))]);
}

#[test]
fn an_answer_to_another_question_is_no_answer() {
    let mut rig = Rig::new(section(1));
    let mut asked = questions(&rig.put(Input::Follow(key())));
    asked[0].1.queries[0].name = Name::from_ascii("evil.test.").unwrap();
    let wrong = reply(&asked[0].1, ResponseCode::NoError, &[v4(66)]);
    assert_eq!(rig.put(Input::Packet(0, wrong)), [Effect::Ended(key(), None)]);
    assert_eq!((known(&rig, &key()), rig.counters[0].invalid.read()), (vec![], 1));
}

#[test]
fn records_that_answers_no_longer_hold_count_until_they_are_obsolete() {
    let mut settings = section(1);
    settings.hold.obsolete = Duration::from_secs(3);
    let mut rig = Rig::new(settings);
    let mut asked = questions(&rig.put(Input::Follow(key())));
    rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[v4(1), v4(2)])));
    for want in [vec![ip(1), ip(2)], vec![ip(1), ip(2)], vec![ip(2)]] {
        asked = questions(&rig.pass());
        rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[v4(2)])));
        assert_eq!(known(&rig, &key()), want);
    }
}

#[test]
fn services_have_hosts_ports_and_weights_and_no_family() {
    let mut rig = Rig::new(section(1));
    let service = Key::new("_http._tcp.test", Kind::Srv);
    let asked = questions(&rig.put(Input::Follow(service.clone())));
    let record = SRV::new(0, 512, 8080, Name::from_ascii("H1.Test.").unwrap());
    rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[RData::SRV(record)])));
    let want = Data::Srv { weight: 512, port: 8080, target: "h1.test".into(), ip: None };
    assert_eq!(known(&rig, &service), [want]);
    let asked = questions(&rig.pass());
    let nx = reply(&asked[0].1, ResponseCode::NXDomain, &[]);
    assert_eq!(rig.put(Input::Packet(0, nx)), [Effect::Ended(service, None)]);
}

#[test]
fn an_answer_that_still_counts_is_given_without_a_question() {
    let mut rig = Rig::new(section(1));
    let asked = questions(&rig.put(Input::Follow(key())));
    rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[v4(1)])));
    assert_eq!(rig.put(Input::Follow(key())), [Effect::Ended(key(), None)]);
    assert_eq!(rig.put(Input::Hurry(key())), []);
    rig.put(Input::Leave(key()));
    rig.put(Input::Leave(key()));
    // Nobody follows it: it is forgotten when its answer counts no more.
    assert_eq!(rig.pass(), []);
    assert!(rig.core.lookup(&key()).is_none() && rig.core.deadline().is_none());
}

#[test]
fn aliases_lead_on_and_a_bare_one_is_an_error() {
    let mut rig = Rig::new(section(1));
    let alias = |to: &str| RData::CNAME(hickory_proto::rr::rdata::CNAME(Name::from_ascii(to).unwrap()));
    let asked = questions(&rig.put(Input::Follow(key())));
    let mut message =
        Message::from_vec(&reply(&asked[0].1, ResponseCode::NoError, &[alias("x.test.")])).unwrap();
    message.add_answer(Record::from_rdata(Name::from_ascii("x.test.").unwrap(), 30, v4(9)));
    rig.put(Input::Packet(0, message.to_vec().unwrap()));
    assert_eq!(known(&rig, &key()), [ip(9)]);
    let asked = questions(&rig.pass());
    let again = rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[alias("x.test.")])));
    assert_eq!((questions(&again).len(), rig.counters[0].alias_error.read()), (1, 1));
}

#[test]
fn ipv6_answers_come_for_names_that_have_them() {
    let mut rig = Rig::new(section(1));
    let six = Key::new("web.test", Kind::Aaaa);
    let asked = questions(&rig.put(Input::Follow(six.clone())));
    let data = RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
    rig.put(Input::Packet(0, reply(&asked[0].1, ResponseCode::NoError, &[data])));
    assert_eq!(known(&rig, &six), [Data::Ip("fd00::1".parse().unwrap())]);
}

proptest! {
    /// Whatever a name server sends and whenever: no panic, at most one open question a name, and the name comes
    /// back to being asked for.
    #[test]
    fn any_bytes_leave_the_name_alive(steps in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..64)), 1..60)) {
        let mut rig = Rig::new(section(2));
        let mut last = questions(&rig.put(Input::Follow(key())));
        for (what, bytes) in steps {
            let effects = match (what, last.first()) {
                (0, _) => rig.pass(),
                (1, Some((_, question))) => {
                    let mut packet = question.to_vec().unwrap();
                    packet[2] |= 0x80;
                    packet.extend(&bytes);
                    let at = bytes.len() % packet.len();
                    packet[at] ^= bytes.first().copied().unwrap_or(0);
                    rig.put(Input::Packet(0, packet))
                }
                (2, Some((_, question))) => {
                    let good = reply(question, ResponseCode::NoError, &[v4(bytes.len() as u8)]);
                    rig.put(Input::Packet(1, good))
                }
                _ => rig.put(Input::Packet(0, bytes)),
            };
            let asked = questions(&effects);
            if !asked.is_empty() {
                last = asked;
            }
            prop_assert!(rig.core.open.len() <= 1);
            prop_assert!(rig.core.deadline().is_some());
        }
    }
}
