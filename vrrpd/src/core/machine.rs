//! The state machine of one virtual router (RFC 9568 §6.4, RFC 3768 §6.4).
//!
//! ```text
//!                      +------------+
//!           +--------->| Initialize |<---------+
//!           |  stop    +------------+   stop   |
//!           |             |      |             |
//!           |   owner     |      |  not owner  |
//!           |             v      v             |
//!      +----------+  timeout    +----------+   |
//!      |  Master  |<------------|  Backup  |---+
//!      |          |------------>|          |
//!      +----------+ higher      +----------+
//!           |       priority        |   ^
//!           | link lost, script,    |   | all causes gone
//!           | no address ...        v   |
//!           |                   +----------+
//!           +------------------>|  Fault   |   (the original's addition to the RFC)
//!                               +----------+
//! ```
//!
//! Invariant: each state is a struct with only the data that is valid in it; a transition consumes it. Entering and
//! leaving own their acts: whoever leaves Master drops the addresses, whoever enters takes them, so no path can
//! forget. A Backup that may become Master says [`Act::WantsMaster`] and is told by its group.
//! No flood of adverts moves a deadline away: priority 0 only ever brings it nearer, and replies to lower adverts
//! have a least gap.
//! Absent on purpose: packets, addresses, other instances.

use crate::config::model::Version;
use crate::messages::{Note, StateName};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Priority of the address owner.
pub const OWNER: u8 = 255;

/// What the configuration says about timing and preemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Version.
    pub version: Version,
    /// Own interval.
    pub advert_int: Duration,
    /// Adverts missed until the master counts as down.
    pub down_adverts: u32,
    /// A lower master stays.
    pub nopreempt: bool,
    /// How long a lower master stays.
    pub preempt_delay: Duration,
    /// `state MASTER`.
    pub wants_master: bool,
    /// Do not answer lower adverts.
    pub lower_prio_no_advert: bool,
    /// Send an advert before giving way.
    pub higher_prio_send_advert: bool,
    /// The owner hears nobody.
    pub owner_ignore_adverts: bool,
    /// How much earlier than an interval the second advert of a Master comes, see [`stagger`].
    pub stagger: Duration,
}

/// Instances that advertise together: one waking of the process for all of them.
const TOGETHER: usize = 8;
/// How far apart such parties are: time for a peer to take over eight.
const APART: Duration = Duration::from_millis(2);

/// What the second advert of instance number `i` comes early. A thousand that become Master in one moment would else
/// advertise in one burst for ever: it overruns the receive buffers of peers, and it makes their take-over one burst too.
/// Never more than a quarter of the interval; nothing for the first eight instances.
pub(super) fn stagger(i: usize, advert_int: Duration) -> Duration {
    let quarter = (advert_int / 4).as_micros().max(1);
    let micros = APART.as_micros() * (i / TOGETHER) as u128 % quarter;
    Duration::from_micros(micros as u64)
}

impl Rules {
    /// Skew time for this priority under a master with this interval, exact to the microsecond: v2
    /// (256 − priority) / 256 s, v3 (256 − priority) · interval / 256.
    pub fn skew(&self, priority: u8, master_int: Duration) -> Duration {
        let steps = 256 - u64::from(priority);
        match self.version {
            Version::V2 => Duration::from_micros(steps * 1_000_000 / 256),
            Version::V3 => Duration::from_micros(steps * (master_int.as_millis() as u64 / 10) * 625 / 16),
        }
    }

    /// How long after an advert the master counts as down.
    pub fn master_down(&self, priority: u8, master_int: Duration) -> Duration {
        master_int * self.down_adverts + self.skew(priority, master_int)
    }
}

/// An advert that passed all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its priority.
    pub priority: u8,
    /// Its sender.
    pub source: IpAddr,
    /// Its interval.
    pub interval: Duration,
}

/// Why a state was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// At the start.
    Start,
    /// By an event of its own.
    Own,
    /// Because its group did.
    Group,
}

/// When to send gratuitous ARPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The addresses are newly ours.
    New,
    /// Somebody lower thought they were his.
    Again,
    /// They are ours no longer.
    Gone,
}

/// What the machine wants done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Send an advert with this priority.
    Advertise(u8),
    /// Add the addresses.
    Take,
    /// Remove them.
    Drop,
    /// Start or stop claiming them.
    Claim(Claim),
    /// A state was entered.
    Entered(StateName, Why),
    /// The master is down: may I?
    WantsMaster,
    /// Two owners: the effective priority is now this.
    Reduced(u8),
    /// A line for the log.
    Say(Note),
}

/// Before the start and after the stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init;

/// Listening to a master, or waiting whether there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// When the master counts as down.
    down: Instant,
    /// The master's interval.
    master_int: Duration,
    /// The master last heard.
    heard: Option<Heard>,
    /// Until when a lower master stays.
    preempt_at: Option<Instant>,
    /// The master is down; the group decides.
    wants: bool,
}

/// Holding the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// When the next advert is due.
    next: Instant,
    /// Since when.
    since: Instant,
    /// When a lower advert was last answered.
    answered: Option<Instant>,
}

/// Unable to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault;

/// The four states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Before the start and after the stop.
    Init(Init),
    /// Listening.
    Backup(Backup),
    /// Holding the addresses.
    Master(Master),
    /// Unable to serve.
    Fault(Fault),
}

/// One virtual router.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its rules; a reload may change them.
    pub rules: Rules,
    /// Effective priority, 1 to 255.
    pub priority: u8,
    /// Own address, for ties.
    pub source: Option<IpAddr>,
    state: State,
}

struct Context<'a> {
    now: Instant,
    rules: &'a Rules,
    priority: &'a mut u8,
    source: Option<IpAddr>,
    out: &'a mut Vec<Act>,
}

impl Context<'_> {
    fn act(&mut self, act: Act) {
        self.out.push(act);
    }

    fn say(&mut self, note: Note) {
        self.out.push(Act::Say(note));
    }

    fn backup(&mut self, wait: Duration, master_int: Duration, heard: Option<Heard>, why: Why) -> State {
        self.act(Act::Entered(StateName::Backup, why));
        State::Backup(Backup { down: self.now + wait, master_int, heard, preempt_at: None, wants: false })
    }

    /// Backup with a full timer by the own interval.
    fn listen(&mut self, why: Why) -> State {
        let own = self.rules.advert_int;
        let wait = match *self.priority {
            OWNER if why != Why::Start => own + self.rules.skew(OWNER, own),
            priority => self.rules.master_down(priority, own),
        };
        self.backup(wait, own, None, why)
    }

    fn enter_master(&mut self, why: Why, note: Option<Note>) -> State {
        self.act(Act::Advertise(*self.priority));
        self.act(Act::Entered(StateName::Master, why));
        self.out.extend(note.map(Act::Say));
        self.act(Act::Take);
        self.act(Act::Claim(Claim::New));
        let next = self.now + self.rules.advert_int.saturating_sub(self.rules.stagger);
        State::Master(Master { next, since: self.now, answered: None })
    }

    fn enter_fault(&mut self, why: Why) -> State {
        self.act(Act::Entered(StateName::Fault, why));
        State::Fault(Fault)
    }
}

impl Init {
    #[expect(clippy::unused_self, reason = "a transition consumes its state")]
    fn start(self, cx: &mut Context<'_>, why: Why) -> State {
        if *cx.priority == OWNER && cx.rules.wants_master {
            cx.say(Note::Timeout);
            cx.act(Act::WantsMaster);
            // The group's answer comes at once; without one this Backup waits the owner's short timer.
            return State::Backup(Backup {
                down: cx.now + cx.rules.advert_int + cx.rules.skew(OWNER, cx.rules.advert_int),
                master_int: cx.rules.advert_int,
                heard: None,
                preempt_at: None,
                wants: true,
            });
        }
        cx.listen(why)
    }
}

impl Backup {
    fn advert(mut self, cx: &mut Context<'_>, heard: Heard) -> State {
        if *cx.priority == OWNER && cx.rules.owner_ignore_adverts {
            return State::Backup(self);
        }
        if heard.priority == 0 {
            cx.say(Note::BackupGotZero);
            self.down = self.down.min(cx.now + cx.rules.skew(*cx.priority, self.master_int));
            return State::Backup(self);
        }
        let lower = heard.priority < *cx.priority;
        if !lower && self.preempt_at.take().is_some() {
            cx.say(Note::StopPreemptDelay);
        }
        if lower && !cx.rules.nopreempt {
            let delay = cx.rules.preempt_delay;
            if self.preempt_at.is_none() && !delay.is_zero() {
                cx.say(Note::StartPreemptDelay(delay));
                self.preempt_at = Some(cx.now + delay);
            }
            if self.preempt_at.is_none_or(|at| at <= cx.now) {
                cx.say(Note::Discarding { priority: heard.priority, source: heard.source });
                return State::Backup(self);
            }
        }
        self.follow(cx, heard);
        State::Backup(self)
    }

    /// Accepts the sender as master.
    fn follow(&mut self, cx: &mut Context<'_>, heard: Heard) {
        if cx.rules.version == Version::V3 && !heard.interval.is_zero() && heard.interval != self.master_int {
            cx.say(Note::IntervalLearned { from: self.master_int, to: heard.interval });
            self.master_int = heard.interval;
        }
        self.down = cx.now + cx.rules.master_down(*cx.priority, self.master_int);
        self.heard = Some(heard);
        self.wants = false;
    }

    fn timeout(mut self, cx: &mut Context<'_>) -> State {
        if self.down <= cx.now {
            cx.say(Note::Timeout);
            cx.act(Act::WantsMaster);
            self.wants = true;
            // If the group is not ready, ask again after as long as it took.
            self.down = cx.now + cx.rules.master_down(*cx.priority, self.master_int);
        }
        State::Backup(self)
    }

    fn promote(self, cx: &mut Context<'_>, why: Why) -> State {
        let own = cx.rules.advert_int;
        let learned = cx.rules.version == Version::V3 && self.master_int != own;
        cx.enter_master(why, learned.then_some(Note::IntervalOwn { from: self.master_int, to: own }))
    }
}

impl Master {
    fn advert(mut self, cx: &mut Context<'_>, heard: Heard) -> State {
        let ours = *cx.priority;
        if ours == OWNER && cx.rules.owner_ignore_adverts {
            return State::Master(self);
        }
        if heard.priority == 0 {
            if self.may_answer(cx) {
                cx.say(Note::MasterGotZero);
                self.advertise(cx);
            }
            return State::Master(self);
        }
        let ahead = cx.source.map_or(std::cmp::Ordering::Greater, |own| heard.source.cmp(&own));
        match (heard.priority.cmp(&ours), ahead) {
            (std::cmp::Ordering::Greater, _) => {
                cx.say(Note::Higher { source: heard.source, priority: heard.priority, ours });
                if cx.rules.higher_prio_send_advert {
                    cx.act(Act::Advertise(ours));
                }
                self.yield_to(cx, heard)
            }
            (std::cmp::Ordering::Equal, std::cmp::Ordering::Greater) => {
                if ours == OWNER {
                    cx.say(Note::TwoOwners);
                    *cx.priority = OWNER - 1;
                    cx.act(Act::Reduced(OWNER - 1));
                }
                cx.say(Note::SameHigherAddress { source: heard.source, priority: heard.priority });
                self.yield_to(cx, heard)
            }
            (std::cmp::Ordering::Equal, std::cmp::Ordering::Equal) => {
                cx.say(Note::SameAddress);
                State::Master(self)
            }
            (std::cmp::Ordering::Equal | std::cmp::Ordering::Less, _) => self.insist(cx, heard),
        }
    }

    /// Replies to adverts of others have a least gap, so that a flood of them is not doubled.
    fn may_answer(&mut self, cx: &Context<'_>) -> bool {
        let gap = cx.rules.advert_int / 4;
        let may = self.answered.is_none_or(|at| cx.now >= at + gap);
        if may {
            self.answered = Some(cx.now);
        }
        may
    }

    fn insist(mut self, cx: &mut Context<'_>, heard: Heard) -> State {
        if !self.may_answer(cx) {
            return State::Master(self);
        }
        let election = !cx.rules.lower_prio_no_advert;
        // Within the first interval this is the old master's farewell, which needs no line.
        if cx.now >= self.since + cx.rules.advert_int {
            cx.say(Note::Lower {
                source: heard.source,
                priority: heard.priority,
                ours: *cx.priority,
                election,
            });
        }
        if election {
            self.advertise(cx);
        }
        cx.act(Act::Claim(Claim::Again));
        State::Master(self)
    }

    fn advertise(&mut self, cx: &mut Context<'_>) {
        cx.act(Act::Advertise(*cx.priority));
        self.next = cx.now + cx.rules.advert_int;
    }

    /// Gives way to a better master. The last advert, after the addresses are gone, tells the winner of a split
    /// brain that somebody else was master, so that it claims the addresses again (it cannot know otherwise).
    fn yield_to(self, cx: &mut Context<'_>, heard: Heard) -> State {
        let learn = cx.rules.version == Version::V3 && !heard.interval.is_zero();
        let master_int = if learn { heard.interval } else { cx.rules.advert_int };
        if master_int != cx.rules.advert_int {
            cx.say(Note::IntervalLearned { from: cx.rules.advert_int, to: master_int });
        }
        let ours = *cx.priority;
        let wait = cx.rules.master_down(ours, master_int);
        let state = cx.backup(wait, master_int, Some(heard), Why::Own);
        self.leave(cx);
        cx.act(Act::Advertise(ours));
        state
    }

    fn timeout(mut self, cx: &mut Context<'_>) -> State {
        if self.next <= cx.now {
            cx.act(Act::Advertise(*cx.priority));
            // Keeps the beat; after a long sleep (suspend, stopped process) it starts a new one.
            self.next += cx.rules.advert_int;
            if self.next <= cx.now {
                self.next = cx.now + cx.rules.advert_int;
            }
        }
        State::Master(self)
    }

    #[expect(clippy::unused_self, reason = "leaving consumes the state")]
    fn leave(self, cx: &mut Context<'_>) {
        cx.act(Act::Claim(Claim::Gone));
        cx.act(Act::Drop);
    }

    fn resign(self, cx: &mut Context<'_>) {
        cx.act(Act::Advertise(0));
        cx.say(Note::SentZero);
        self.leave(cx);
    }
}

impl Machine {
    /// A router that has not started.
    pub fn new(rules: Rules, priority: u8) -> Self {
        Self { rules, priority, source: None, state: State::Init(Init) }
    }

    fn step(&mut self, now: Instant, out: &mut Vec<Act>, f: impl FnOnce(State, &mut Context<'_>) -> State) {
        let state = std::mem::replace(&mut self.state, State::Init(Init));
        let (rules, source) = (&self.rules, self.source);
        let mut cx = Context { now, rules, priority: &mut self.priority, source, out };
        self.state = f(state, &mut cx);
    }

    /// Leaves Init; `why` says whether it had to wait for something first.
    pub fn start(&mut self, now: Instant, why: Why, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Init(init) => init.start(cx, why),
            State::Backup(_) | State::Master(_) | State::Fault(_) => state,
        });
    }

    /// Back to Init: resigns if Master.
    pub fn stop(&mut self, now: Instant, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| {
            match state {
                State::Master(master) => master.resign(cx),
                State::Init(_) | State::Backup(_) | State::Fault(_) => {}
            }
            State::Init(Init)
        });
    }

    /// Something makes serving impossible.
    pub fn fault(&mut self, now: Instant, why: Why, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Master(master) => {
                let state = cx.enter_fault(why);
                master.resign(cx);
                state
            }
            State::Init(_) | State::Backup(_) => cx.enter_fault(why),
            State::Fault(_) => state,
        });
    }

    /// Nothing is in the way any more.
    pub fn recover(&mut self, now: Instant, why: Why, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Fault(Fault) => cx.listen(why),
            State::Init(_) | State::Backup(_) | State::Master(_) => state,
        });
    }

    /// An advert of somebody else.
    pub fn advert(&mut self, now: Instant, heard: Heard, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Backup(backup) => backup.advert(cx, heard),
            State::Master(master) => master.advert(cx, heard),
            State::Init(_) | State::Fault(_) => state,
        });
    }

    /// The deadline may have passed.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Backup(backup) => backup.timeout(cx),
            State::Master(master) => master.timeout(cx),
            State::Init(_) | State::Fault(_) => state,
        });
    }

    /// Becomes Master from Backup, because it asked or its group does.
    pub fn promote(&mut self, now: Instant, why: Why, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Backup(backup) => backup.promote(cx, why),
            State::Init(_) | State::Master(_) | State::Fault(_) => state,
        });
    }

    /// Leaves Master because its group does, or stays Backup with a fresh timer.
    pub fn demote(&mut self, now: Instant, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Master(master) => {
                let state = cx.listen(Why::Group);
                master.leave(cx);
                state
            }
            State::Backup(mut backup) => {
                backup.wants = false;
                State::Backup(backup)
            }
            State::Init(_) | State::Fault(_) => state,
        });
    }

    /// Sends an advert out of turn (after a reload or a change of priority); the beat stays, so that instances that do
    /// this together do not fall into step.
    pub fn advertise(&mut self, now: Instant, out: &mut Vec<Act>) {
        self.step(now, out, |state, cx| match state {
            State::Master(mut master) => {
                cx.act(Act::Advertise(*cx.priority));
                master.next = master.next.min(now + cx.rules.advert_int);
                State::Master(master)
            }
            State::Init(_) | State::Backup(_) | State::Fault(_) => state,
        });
    }

    /// When [`Self::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Backup(backup) => Some(backup.down),
            State::Master(master) => Some(master.next),
            State::Init(_) | State::Fault(_) => None,
        }
    }

    /// Which state it is in.
    pub fn name(&self) -> StateName {
        match &self.state {
            State::Init(_) => StateName::Init,
            State::Backup(_) => StateName::Backup,
            State::Master(_) => StateName::Master,
            State::Fault(_) => StateName::Fault,
        }
    }

    /// Master, or would be if the group agreed.
    pub fn ready(&self) -> bool {
        match &self.state {
            State::Master(_) => true,
            State::Backup(backup) => backup.wants,
            State::Init(_) | State::Fault(_) => false,
        }
    }

    /// The master that is being followed: its advert and its interval.
    pub fn follows(&self) -> Option<(Heard, Duration)> {
        match &self.state {
            State::Backup(backup) => backup.heard.map(|heard| (heard, backup.master_int)),
            State::Init(_) | State::Master(_) | State::Fault(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
