//! Timers to the microsecond and transitions one by one.

use super::*;

fn rules(version: Version) -> Rules {
    Rules {
        version,
        advert_int: Duration::from_secs(1),
        down_adverts: 3,
        nopreempt: false,
        preempt_delay: Duration::ZERO,
        wants_master: false,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        stagger: Duration::ZERO,
    }
}

fn heard(priority: u8, last: u8) -> Heard {
    Heard { priority, source: IpAddr::from([10, 0, 0, last]), interval: Duration::from_secs(1) }
}

/// A Backup with address 10.0.0.5.
fn backup(t0: Instant, priority: u8, rules: Rules) -> Machine {
    let mut machine = Machine::new(rules, priority);
    machine.source = Some(IpAddr::from([10, 0, 0, 5]));
    machine.start(t0, Why::Start, &mut Vec::new());
    assert_eq!(machine.name(), StateName::Backup);
    machine
}

fn master(t0: Instant, priority: u8, rules: Rules) -> Machine {
    let mut machine = backup(t0, priority, rules);
    machine.promote(t0, Why::Own, &mut Vec::new());
    assert_eq!(machine.name(), StateName::Master);
    machine
}

#[test]
fn skew_and_master_down_are_exact() {
    let us = Duration::from_micros;
    let (v2, v3) = (rules(Version::V2), rules(Version::V3));
    let second = Duration::from_secs(1);
    assert_eq!(v2.skew(150, second), us(414_062));
    assert_eq!(v2.skew(150, second * 10), us(414_062), "version 2 counts in seconds, whatever the interval");
    assert_eq!(v3.skew(150, second), us(414_062));
    assert_eq!(v3.skew(150, Duration::from_millis(10)), us(4_140));
    assert_eq!(v3.skew(255, Duration::from_millis(500)), us(1_953));
    assert_eq!(v2.master_down(100, second), us(3_609_375));
    assert_eq!(Rules { down_adverts: 5, ..v2 }.master_down(100, second), us(5_609_375));
}

#[test]
fn a_backup_waits_out_its_timer_and_lower_adverts_do_not_move_it() {
    let t0 = Instant::now();
    let mut machine = backup(t0, 150, rules(Version::V2));
    let due = t0 + Duration::from_micros(3_414_062);
    assert_eq!(machine.deadline(), Some(due));
    let mut out = Vec::new();
    machine.advert(t0 + Duration::from_secs(1), heard(100, 2), &mut out);
    assert_eq!(machine.deadline(), Some(due));
    machine.advert(t0 + Duration::from_secs(1), heard(200, 2), &mut out);
    assert_eq!(machine.deadline(), Some(due + Duration::from_secs(1)));
    machine.advert(t0 + Duration::from_secs(1), heard(150, 9), &mut out);
    assert_eq!(machine.name(), StateName::Backup);
    out.clear();
    machine.timeout(due + Duration::from_secs(1), &mut out);
    assert_eq!(out, [Act::Say(Note::Timeout), Act::WantsMaster]);
    assert!(machine.ready());
}

#[test]
fn masters_of_one_moment_advertise_apart() {
    let (t0, second) = (Instant::now(), Duration::from_secs(1));
    assert!((0..8).all(|i| stagger(i, second).is_zero()));
    assert!((0..5000).all(|i| stagger(i, second) < second / 4));
    assert!((0..5000).all(|i| stagger(i, Duration::from_millis(10)) < Duration::from_millis(3)));
    let early = stagger(30, second);
    assert_eq!(early, Duration::from_millis(6));
    let mut machine = master(t0, 150, Rules { stagger: early, ..rules(Version::V2) });
    let beats = [(); 3].map(|()| {
        let at = machine.deadline().unwrap();
        machine.timeout(at, &mut Vec::new());
        at
    });
    assert_eq!(beats.map(|at| at + early), [t0 + second, t0 + second * 2, t0 + second * 3]);
    // Out of turn, together with all others: the beat stays.
    let mut out = Vec::new();
    let now = beats[2] + second / 2;
    machine.advertise(now, &mut out);
    assert_eq!((out, machine.deadline()), (vec![Act::Advertise(150)], Some(beats[2] + second)));
}

#[test]
fn with_nopreempt_a_lower_master_stays() {
    let t0 = Instant::now();
    let mut machine = backup(t0, 150, Rules { nopreempt: true, ..rules(Version::V2) });
    machine.advert(t0 + Duration::from_secs(1), heard(100, 2), &mut Vec::new());
    assert_eq!(machine.deadline(), Some(t0 + Duration::from_micros(4_414_062)));
}

#[test]
fn a_preempt_delay_counts_from_the_first_lower_advert() {
    let t0 = Instant::now();
    let s = Duration::from_secs;
    let mut machine = backup(t0, 150, Rules { preempt_delay: s(4), ..rules(Version::V2) });
    let mut out = Vec::new();
    machine.advert(t0 + s(1), heard(100, 2), &mut out);
    assert_eq!(out, [Act::Say(Note::StartPreemptDelay(s(4)))]);
    machine.advert(t0 + s(4), heard(100, 2), &mut out);
    assert_eq!(machine.deadline(), Some(t0 + s(4) + Duration::from_micros(3_414_062)));
    machine.advert(t0 + s(5), heard(100, 2), &mut out);
    assert_eq!(machine.deadline(), Some(t0 + s(4) + Duration::from_micros(3_414_062)), "over: discarded");
    out.clear();
    machine.advert(t0 + s(6), heard(200, 2), &mut out);
    assert_eq!(out, [Act::Say(Note::StopPreemptDelay)]);
}

#[test]
fn the_owner_that_wants_it_is_master_at_once() {
    let t0 = Instant::now();
    let mut machine = Machine::new(Rules { wants_master: true, ..rules(Version::V2) }, OWNER);
    let mut out = Vec::new();
    machine.start(t0, Why::Start, &mut out);
    assert_eq!(out, [Act::Say(Note::Timeout), Act::WantsMaster]);
    machine.promote(t0, Why::Own, &mut out);
    assert_eq!(machine.name(), StateName::Master);
}

#[test]
fn a_master_gives_way_and_says_so_last() {
    let t0 = Instant::now();
    let mut machine = master(t0, 100, rules(Version::V3));
    let mut out = Vec::new();
    let better = Heard { interval: Duration::from_millis(300), ..heard(150, 2) };
    machine.advert(t0, better, &mut out);
    let entered = out.iter().position(|a| *a == Act::Entered(StateName::Backup, Why::Own));
    let dropped = out.iter().position(|a| *a == Act::Drop);
    assert!(entered < dropped && entered.is_some());
    assert_eq!(out.last(), Some(&Act::Advertise(100)), "the winner of a split brain hears of it");
    let skew = Duration::from_micros(156 * 30 * 625 / 16);
    assert_eq!(machine.deadline(), Some(t0 + Duration::from_millis(900) + skew), "by the learned interval");
}

#[test]
fn ties_go_to_the_higher_address() {
    let t0 = Instant::now();
    let mut out = Vec::new();
    let mut machine = master(t0, 100, rules(Version::V2));
    machine.advert(t0, heard(100, 4), &mut out);
    assert_eq!(machine.name(), StateName::Master);
    machine.advert(t0, heard(100, 5), &mut out);
    assert_eq!(machine.name(), StateName::Master, "our own address");
    machine.advert(t0, heard(100, 6), &mut out);
    assert_eq!(machine.name(), StateName::Backup);
}

#[test]
fn of_two_owners_the_lower_address_becomes_an_ordinary_router() {
    let t0 = Instant::now();
    let mut out = Vec::new();
    let mut machine = master(t0, OWNER, rules(Version::V2));
    machine.advert(t0, heard(OWNER, 6), &mut out);
    assert_eq!((machine.name(), machine.priority), (StateName::Backup, 254));
    let deaf = Rules { owner_ignore_adverts: true, ..rules(Version::V2) };
    let mut machine = master(t0, OWNER, deaf);
    machine.advert(t0, heard(OWNER, 6), &mut out);
    assert_eq!(machine.name(), StateName::Master);
}

#[test]
fn a_lower_advert_is_answered_unless_told_not_to() {
    let t0 = Instant::now();
    let later = t0 + Duration::from_secs(5);
    let mut out = Vec::new();
    master(t0, 100, rules(Version::V2)).advert(later, heard(50, 2), &mut out);
    assert!(out.contains(&Act::Advertise(100)) && out.contains(&Act::Claim(Claim::Again)));
    out.clear();
    let quiet = Rules { lower_prio_no_advert: true, ..rules(Version::V2) };
    master(t0, 100, quiet).advert(later, heard(50, 2), &mut out);
    assert!(!out.contains(&Act::Advertise(100)) && out.contains(&Act::Claim(Claim::Again)));
}

#[test]
fn whoever_leaves_master_drops_the_addresses() {
    let t0 = Instant::now();
    type Leave = fn(&mut Machine, Instant, &mut Vec<Act>);
    let ways: [(&str, Leave, bool); 4] = [
        ("stop", |m, t, out| m.stop(t, out), true),
        ("fault", |m, t, out| m.fault(t, Why::Own, out), true),
        ("group", |m, t, out| m.demote(t, out), false),
        ("better", |m, t, out| m.advert(t, heard(200, 9), out), false),
    ];
    for (name, leave, resigns) in ways {
        let mut out = Vec::new();
        leave(&mut master(t0, 100, rules(Version::V2)), t0, &mut out);
        assert!(out.contains(&Act::Drop) && out.contains(&Act::Claim(Claim::Gone)), "{name}");
        assert_eq!(out.contains(&Act::Advertise(0)), resigns, "{name}");
    }
}

#[test]
fn a_master_keeps_the_beat_and_does_not_catch_up_after_a_sleep() {
    let t0 = Instant::now();
    let ms = Duration::from_millis;
    let mut out = Vec::new();
    let mut machine = master(t0, 100, rules(Version::V2));
    machine.timeout(t0 + ms(1003), &mut out);
    assert_eq!(machine.deadline(), Some(t0 + ms(2000)));
    machine.timeout(t0 + ms(9500), &mut out);
    assert_eq!(machine.deadline(), Some(t0 + ms(10_500)));
    assert_eq!(out, [Act::Advertise(100), Act::Advertise(100)]);
}

#[test]
fn fault_forgets_the_master_and_comes_back_as_backup() {
    let t0 = Instant::now();
    let mut out = Vec::new();
    let mut machine = backup(t0, 100, rules(Version::V2));
    machine.fault(t0, Why::Own, &mut out);
    assert_eq!((machine.name(), machine.deadline()), (StateName::Fault, None));
    machine.advert(t0, heard(200, 2), &mut out);
    machine.timeout(t0 + Duration::from_mins(1), &mut out);
    assert_eq!(machine.name(), StateName::Fault);
    machine.recover(t0, Why::Own, &mut out);
    assert_eq!(machine.deadline(), Some(t0 + Duration::from_micros(3_609_375)));
}
