//! Packets: whose they are, whether they are good, and what is counted and said when they are not.
//!
//! Invariant: a packet that fails any check changes counters and, now and then, the log; no timer, no state.
//! Absent on purpose: taking packets apart (advert.rs).

use super::advert::{self, Decoded, Expected, Fault, Mangled, Parts, Raw};
use super::machine::Heard;
use super::router::{Effect, Router};
use crate::config::model::{Authentication, Instance, OldUnicastChecksum, Version};
use crate::messages::{BadExpected, Message, Note};
use std::time::{Duration, Instant};

/// One line per instance and cause in this time.
const BAD_GAP: Duration = Duration::from_mins(1);
/// Most senders whose authentication sequence is remembered for one instance: peers, not the whole net.
const SENDERS_MAX: usize = 64;
/// Marks lines that belong to no instance in the table of last times.
const NOBODY: usize = usize::MAX;

/// Number of a cause in the table of last times.
fn cause(fault: &Fault) -> u32 {
    match fault {
        Fault::UnexpectedAh => 1,
        Fault::MissingAh => 2,
        Fault::Length(false, ..) => 3,
        Fault::Ttl(_) => 4,
        Fault::Version(_) => 5,
        Fault::Kind(_) => 6,
        Fault::AuthType(_) => 7,
        Fault::Password => 8,
        Fault::AhValue => 9,
        Fault::Replay(_) => 10,
        Fault::Interval(_) => 11,
        Fault::Checksum => 12,
        Fault::Length(true, ..) => 13,
    }
}

fn interval_s(config: &Instance) -> u8 {
    config.advert_int.as_secs().min(255) as u8
}

impl Router {
    pub(super) fn on_packet(&mut self, now: Instant, raw: &Raw, out: &mut Vec<Effect>) {
        let parts = match raw.parts() {
            Ok(parts) => parts,
            Err(mangled) => {
                let kind = match mangled {
                    Mangled::Short(_) => 1,
                    Mangled::ShortAh(_) => 2,
                    Mangled::Short6(_) => 3,
                    Mangled::Length(..) => 4,
                    Mangled::Foreign => 5,
                };
                if self.may_repeat(now, NOBODY, kind, BAD_GAP) {
                    out.push(Effect::Say(Message::Mangled(mangled)));
                }
                return;
            }
        };
        let key = (raw.ifindex, raw.family, parts.pdu[1]);
        let Some(i) = self.by_vrid.get(&key).and_then(|list| self.addressee(list, &parts)) else {
            self.unknown_vrid(now, raw, &parts, out);
            return;
        };
        match self.examine(i, &parts) {
            Ok(decoded) => self.accept(now, i, &decoded, out),
            Err(Refusal::Bad(fault)) => self.refuse(now, i, fault, out),
            Err(Refusal::Quiet(note, kind)) => {
                if self.may_repeat(now, i, kind, BAD_GAP) {
                    out.push(self.say(i, note));
                }
            }
        }
    }

    /// Of several instances with this VRID the one that speaks this way.
    fn addressee(&self, list: &[usize], parts: &Parts<'_>) -> Option<usize> {
        let fits = |i: &&usize| {
            let unicast = !self.members[**i].config.unicast_peers.is_empty();
            parts.destination.is_unspecified() || unicast != parts.destination.is_multicast()
        };
        list.iter().find(fits).or_else(|| list.first()).copied()
    }

    fn unknown_vrid(&mut self, now: Instant, raw: &Raw, parts: &Parts<'_>, out: &mut Vec<Effect>) {
        let vrid = parts.pdu[1];
        if !self.config.globals.log_unknown_vrids
            || !self.may_repeat(now, NOBODY, 100 + u32::from(vrid), BAD_GAP)
        {
            return;
        }
        let interface = self.names.get(&raw.ifindex).cloned().unwrap_or_default();
        out.push(Effect::Say(Message::UnknownVrid { vrid, interface, source: Some(parts.source) }));
    }

    fn examine(&self, i: usize, parts: &Parts<'_>) -> Result<Decoded, Refusal> {
        let member = &self.members[i];
        let config = &member.config;
        let unicast = !config.unicast_peers.is_empty();
        if !parts.destination.is_unspecified() && unicast == parts.destination.is_multicast() {
            return Err(Refusal::Quiet(Note::Cast { expected_unicast: unicast }, 20));
        }
        let old = unicast
            && config.version == Version::V3
            && config.old_unicast_checksum != OldUnicastChecksum::Never;
        let expected = Expected {
            version: config.version,
            family: config.family,
            authentication: config.authentication.clone(),
            check_ttl: !unicast,
            interval_s: interval_s(config),
            any_v3_checksum: config.v3_checksum_as_v2,
            old_group: old.then_some(self.config.globals.mcast_group4),
        };
        let decoded = advert::decode(parts, &expected).map_err(Refusal::Bad)?;
        if let Some(sequence) = decoded.sequence
            && member.ah_seen.get(&decoded.source).is_some_and(|seen| sequence <= *seen)
        {
            return Err(Refusal::Bad(Fault::Replay(sequence)));
        }
        // Our own advert that came back, or somebody's with our address: never a reason to give way to ourselves.
        if member.machine.source == Some(decoded.source) && decoded.advert.priority != member.machine.priority
        {
            return Err(Refusal::Quiet(Note::SameAddress, 23));
        }
        if unicast {
            let peer = config.unicast_peers.iter().find(|p| p.address == decoded.source);
            match peer {
                None if config.check_unicast_source => {
                    return Err(Refusal::Quiet(Note::NotAPeer(decoded.source), 21));
                }
                Some(peer) => {
                    let (min, max) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(255));
                    if parts.ttl < min || parts.ttl > max {
                        return Err(Refusal::Quiet(Note::PeerTtl { got: parts.ttl, min, max }, 22));
                    }
                }
                None => {}
            }
        }
        Ok(decoded)
    }

    fn refuse(&mut self, now: Instant, i: usize, fault: Fault, out: &mut Vec<Effect>) {
        let stats = &mut self.members[i].stats;
        match fault {
            Fault::UnexpectedAh | Fault::MissingAh => stats.authtype_mismatch += 1,
            Fault::Length(..) => stats.packet_len_err += 1,
            Fault::Ttl(_) => stats.ip_ttl_err += 1,
            Fault::Kind(_) => stats.invalid_type_rcvd += 1,
            Fault::AuthType(0..=2) => stats.authtype_mismatch += 1,
            Fault::AuthType(_) => stats.invalid_authtype += 1,
            Fault::Password | Fault::AhValue | Fault::Replay(_) => stats.auth_failure += 1,
            Fault::Interval(_) => stats.advert_interval_err += 1,
            // The original counts these with the lengths.
            Fault::Version(_) | Fault::Checksum => stats.packet_len_err += 1,
        }
        if !self.may_repeat(now, i, cause(&fault), BAD_GAP) {
            return;
        }
        let config = &self.members[i].config;
        let expected = BadExpected {
            version: if config.version == Version::V2 { 2 } else { 3 },
            auth: match config.authentication {
                Authentication::None => 0,
                Authentication::Pass(_) => 1,
                Authentication::Ah(_) => 2,
            },
            interval_s: interval_s(config),
            sequence: self.members[i].ah_seen.values().copied().max().unwrap_or(0),
        };
        out.push(self.say(i, Note::Bad { fault, expected }));
    }

    fn accept(&mut self, now: Instant, i: usize, decoded: &Decoded, out: &mut Vec<Effect>) {
        // What was said with the right key was said, whatever else is wrong with it.
        let member = &mut self.members[i];
        if let Some(sequence) = decoded.sequence
            && (member.ah_seen.len() < SENDERS_MAX || member.ah_seen.contains_key(&decoded.source))
        {
            member.ah_seen.insert(decoded.source, sequence);
        }
        if !self.right_count(now, i, decoded, out) {
            return;
        }
        let member = &mut self.members[i];
        if decoded.old_checksum && !member.old_checksum {
            member.old_checksum = true;
            out.push(self.say(i, Note::OldChecksum));
        }
        self.members[i].stats.advert_rcvd += 1;
        if !self.right_addresses(now, i, decoded, out) {
            return;
        }
        let member = &mut self.members[i];
        if decoded.advert.priority == 0 {
            member.stats.pri_zero_rcvd += 1;
        }
        let heard = Heard {
            priority: decoded.advert.priority,
            source: decoded.source,
            interval: Duration::from_millis(u64::from(decoded.advert.interval_cs) * 10),
        };
        let mut acts = Vec::new();
        member.machine.advert(now, heard, &mut acts);
        self.perform(now, i, acts, out);
    }

    /// A sender with another number of addresses is not of our router, as for the original.
    fn right_count(&mut self, now: Instant, i: usize, decoded: &Decoded, out: &mut Vec<Effect>) -> bool {
        let config = &self.members[i].config;
        let (expected, got) = (config.vips.len(), decoded.advert.addresses.len());
        if config.skip_check_adv_addr || expected == got {
            return true;
        }
        self.wrong_addresses(now, i, Note::Count { expected, got }, out);
        false
    }

    /// Neither is one with other addresses; the original counts its adverts as received all the same.
    fn right_addresses(&mut self, now: Instant, i: usize, decoded: &Decoded, out: &mut Vec<Effect>) -> bool {
        let config = &self.members[i].config;
        if config.skip_check_adv_addr {
            return true;
        }
        let missing = config.vips.iter().find(|v| !decoded.advert.addresses.contains(&v.address));
        let Some(vip) = missing else { return true };
        let note = Note::MissingAddress { vrid: config.vrid, address: vip.address };
        self.wrong_addresses(now, i, note, out);
        false
    }

    fn wrong_addresses(&mut self, now: Instant, i: usize, note: Note, out: &mut Vec<Effect>) {
        self.members[i].stats.addr_list_err += 1;
        let kind = if matches!(note, Note::Count { .. }) { 30 } else { 31 };
        if self.may_repeat(now, i, kind, BAD_GAP) {
            out.push(self.say(i, note));
        }
    }
}

enum Refusal {
    Bad(Fault),
    Quiet(Note, u32),
}
