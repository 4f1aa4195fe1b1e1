//! The packet filter of virtual addresses and virtual MACs: tables of nftables, by netlink, without the nft program.
//!
//! Invariant: a table is replaced as a whole in one transaction, so no packet ever meets half of it; addresses come and
//! go by single elements. The rules are those the original makes, so that `nft list ruleset` shows the same. Absent on
//! purpose: every other use of nftables.
//!
//! Numbers are those of linux/netfilter/nf_tables.h; numbers in attributes are big-endian.

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

/// An address that is not to be answered for; link-local ones are only so on their interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hidden {
    /// The address.
    pub address: IpAddr,
    /// Number of its interface.
    pub index: u32,
}

/// What a table is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Of IPv6.
    pub v6: bool,
    /// Its name.
    pub name: String,
    /// Priority of its chains.
    pub priority: i32,
    /// Rules count packets.
    pub counters: bool,
    /// Macvlans with their parents: group reports of theirs leave by the parent.
    pub macvlans: Vec<(u32, u32)>,
    /// Addresses can be hidden.
    pub hides: bool,
    /// Those that are now.
    pub hidden: Vec<Hidden>,
}

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const HOOK_IN: u32 = 1;
const HOOK_OUT: u32 = 3;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const GOTO: i32 = -4;
/// Types of set keys, as the nft program numbers them.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const IFINDEX: u32 = 20;
const ICMPV6: u32 = 29;
/// An address and an interface together.
const IPV6_AND_IFINDEX: u32 = IPV6 << 6 | IFINDEX;
const SET_CONSTANT: u32 = 2;
const SET_MAP: u32 = 8;
const META_IIF: u32 = 4;
const META_OIF: u32 = 5;
const META_L4PROTO: u32 = 16;
const META_OIFKIND: u32 = 27;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const IGMP: u8 = 2;
const ICMP6: u8 = 58;
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const LISTENER_REPORT: u8 = 143;
/// IFNAMSIZ: kinds of links are compared in this length.
const KIND_LEN: usize = 16;
/// For the nft program: keys (0) and values (1) of four octets are in the host's order (1).
const NATIVE_NUMBERS: [u8; 12] = if cfg!(target_endian = "little") {
    [0, 4, 1, 0, 0, 0, 1, 4, 1, 0, 0, 0]
} else {
    [0, 4, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1]
};
/// Elements in one message: an attribute's length has 16 bits.
const ELEMENTS_MAX: usize = 500;
/// Room for answers to a batch.
const ANSWER_MAX: usize = 65536;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 7);
    out.extend((value.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &parts.concat())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    attribute(kind, &bytes)
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

/// NFTA_DATA_VALUE in an attribute.
fn data(kind: u16, value: &[u8]) -> Vec<u8> {
    nested(kind, &[attribute(1, value)])
}

/// One expression of a rule.
fn expression(name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, parts)])
}

fn load(base: u32, offset: u32, len: u32) -> Vec<u8> {
    expression("payload", &[number(1, 1), number(2, base), number(3, offset), number(4, len)])
}

fn meta(register: u32, key: u32) -> Vec<u8> {
    expression("meta", &[number(1, register), number(2, key)])
}

fn equals(value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, 1), number(2, 0), data(3, value)])
}

fn lookup(set: &str) -> Vec<u8> {
    expression("lookup", &[text(1, set), number(2, 1)])
}

fn verdict(code: u32, chain: Option<&str>) -> Vec<u8> {
    let mut parts = vec![number(1, code)];
    parts.extend(chain.map(|name| text(2, name)));
    expression("immediate", &[number(1, 0), nested(2, &[nested(2, &parts)])])
}

fn mask(value: &[u8]) -> Vec<u8> {
    let zero = vec![0; value.len()];
    let len = number(3, value.len() as u32);
    expression("bitwise", &[number(1, 1), number(2, 1), len, data(4, value), data(5, &zero)])
}

fn is_macvlan() -> Vec<Vec<u8>> {
    let mut kind = [0; KIND_LEN];
    kind[.."macvlan".len()].copy_from_slice(b"macvlan");
    vec![meta(1, META_OIFKIND), equals(&kind)]
}

/// Messages of one transaction.
struct Batch {
    bytes: Vec<u8>,
    family: u8,
    table: String,
    sequence: u32,
}

impl Batch {
    fn new(table: &Table) -> Self {
        let family = if table.v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 };
        let mut batch = Self { bytes: Vec::new(), family, table: table.name.clone(), sequence: 0 };
        batch.frame(BATCH_BEGIN);
        batch
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, parts: &[Vec<u8>]) {
        let body = parts.concat();
        self.bytes.extend((body.len() as u32 + 20).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
        self.sequence += 1;
    }

    fn frame(&mut self, kind: u16) {
        self.message(kind, 0, 0, SUBSYSTEM >> 8, &[]);
    }

    fn push(&mut self, kind: u16, flags: u16, parts: &[Vec<u8>]) {
        self.message(SUBSYSTEM | kind, flags | ACK, self.family, 0, parts);
    }

    fn table(&mut self, kind: u16) {
        let name = text(1, &self.table);
        self.push(kind, if kind == NEW_TABLE { CREATE } else { 0 }, &[name]);
    }

    fn set(&mut self, name: &str, key: (u32, u32), flags: u32, data: Option<(u32, u32)>) {
        let mut parts =
            vec![text(1, &self.table), text(2, name), number(3, flags), number(4, key.0), number(5, key.1)];
        parts.extend(data.into_iter().flat_map(|(kind, len)| [number(6, kind), number(7, len)]));
        parts.push(number(10, self.sequence));
        if key.0 == IFINDEX {
            parts.push(attribute(13, &NATIVE_NUMBERS));
        }
        self.push(NEW_SET, CREATE, &parts);
    }

    fn elements(&mut self, kind: u16, set: &str, list: &[(Vec<u8>, Option<Vec<u8>>)]) {
        for part in list.chunks(ELEMENTS_MAX) {
            let element = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
                let mut parts = vec![data(1, key)];
                parts.extend(value.as_ref().map(|v| data(2, v)));
                nested(1, &parts)
            };
            let elements: Vec<Vec<u8>> = part.iter().map(element).collect();
            let flags = if kind == NEW_ELEMENTS { CREATE } else { 0 };
            self.push(kind, flags, &[text(1, &self.table), text(2, set), nested(3, &elements)]);
        }
    }

    fn chain(&mut self, name: &str, hook: Option<(u32, i32)>) {
        let mut parts = vec![text(1, &self.table), text(3, name)];
        if let Some((hook, priority)) = hook {
            parts.push(nested(4, &[number(1, hook), number(2, priority as u32)]));
            parts.push(number(5, ACCEPT));
            parts.push(text(7, "filter"));
        }
        self.push(NEW_CHAIN, CREATE, &parts);
    }

    fn rule(&mut self, chain: &str, expressions: &[Vec<u8>]) {
        let parts = [text(1, &self.table), text(2, chain), nested(4, expressions)];
        self.push(NEW_RULE, CREATE | APPEND, &parts);
    }
}

impl Table {
    /// It would hold nothing.
    pub fn is_empty(&self) -> bool {
        self.macvlans.is_empty() && !self.hides
    }

    fn dropping(&self, mut expressions: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if self.counters {
            expressions.push(expression("counter", &[]));
        }
        expressions.push(verdict(DROP, None));
        expressions
    }

    fn build(&self, batch: &mut Batch) {
        batch.table(NEW_TABLE);
        let address = if self.v6 { (IPV6, 16) } else { (IPV4, 4) };
        if !self.macvlans.is_empty() {
            batch.set("vmac_map", (IFINDEX, 4), SET_MAP, Some((IFINDEX, 4)));
            if self.v6 {
                batch.set("vmac_set", (IFINDEX, 4), 0, None);
            }
        }
        if self.hides {
            batch.set("vips", address, 0, None);
            if self.v6 {
                batch.set("neighbor-discovery", (ICMPV6, 1), SET_CONSTANT, None);
                batch.set("vips_link_local", (IPV6_AND_IFINDEX, 20), 0, None);
                let kinds = [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT].map(|kind| (vec![kind], None));
                batch.elements(NEW_ELEMENTS, "neighbor-discovery", &kinds);
            }
        }
        batch.chain("out", Some((HOOK_OUT, self.priority)));
        self.reports(batch);
        if self.hides {
            batch.chain("in", Some((HOOK_IN, self.priority)));
            self.hiding(batch);
        }
        let index = |n: u32| n.to_ne_bytes().to_vec();
        let pairs: Vec<_> =
            self.macvlans.iter().map(|(own, parent)| (index(*own), Some(index(*parent)))).collect();
        batch.elements(NEW_ELEMENTS, "vmac_map", &pairs);
        if self.v6 {
            let own: Vec<_> = self.macvlans.iter().map(|(own, _)| (index(*own), None)).collect();
            batch.elements(NEW_ELEMENTS, "vmac_set", &own);
        }
        self.hide(batch, NEW_ELEMENTS, &self.hidden);
    }

    /// Group reports of a macvlan leave by its parent: a switch must not learn the virtual MAC from a backup.
    fn reports(&self, batch: &mut Batch) {
        if self.macvlans.is_empty() {
            return;
        }
        let (kind, destination) = if self.v6 {
            let kind = vec![
                meta(1, META_L4PROTO),
                equals(&[ICMP6]),
                load(TRANSPORT, 0, 1),
                equals(&[LISTENER_REPORT]),
            ];
            (kind, load(NETWORK, 24, 16))
        } else {
            (vec![load(NETWORK, 9, 1), equals(&[IGMP])], load(NETWORK, 16, 4))
        };
        let mut rule = [kind, is_macvlan()].concat();
        rule.push(destination);
        rule.push(meta(2, META_OIF));
        rule.push(expression("lookup", &[text(1, "vmac_map"), number(2, 2), number(3, 2)]));
        rule.push(expression("dup", &[number(1, 1), number(2, 2)]));
        batch.rule("out", &self.dropping(rule));
        if self.v6 {
            let kind = vec![
                meta(1, META_L4PROTO),
                equals(&[ICMP6]),
                load(TRANSPORT, 0, 1),
                equals(&[ROUTER_SOLICITATION]),
            ];
            let mut rule = [kind, is_macvlan()].concat();
            rule.push(meta(1, META_OIF));
            rule.push(lookup("vmac_set"));
            batch.rule("out", &self.dropping(rule));
        }
    }

    /// Nothing is taken at hidden addresses, nothing is sent from them.
    fn hiding(&self, batch: &mut Batch) {
        let chains = [("in", "in_link_local", META_IIF), ("out", "out_link_local", META_OIF)];
        if self.v6 {
            for (_, chain, _) in chains {
                batch.chain(chain, None);
            }
        }
        for (chain, local, link) in chains {
            let source = chain == "out";
            if !self.v6 {
                let load = load(NETWORK, if source { 12 } else { 16 }, 4);
                batch.rule(chain, &self.dropping(vec![load, lookup("vips")]));
                continue;
            }
            let load_address = || load(NETWORK, if source { 8 } else { 24 }, 16);
            let discovery = [
                meta(1, META_L4PROTO),
                equals(&[ICMP6]),
                load(TRANSPORT, 0, 1),
                lookup("neighbor-discovery"),
                verdict(ACCEPT, None),
            ];
            batch.rule(chain, &discovery);
            let prefix = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).octets();
            let bits = Ipv6Addr::new(0xffc0, 0, 0, 0, 0, 0, 0, 0).octets();
            let goto = verdict(GOTO as u32, Some(local));
            batch.rule(chain, &[load_address(), mask(&bits), equals(&prefix), goto]);
            batch.rule(chain, &self.dropping(vec![load_address(), lookup("vips")]));
            batch.rule(local, &self.dropping(vec![load_address(), meta(2, link), lookup("vips_link_local")]));
        }
    }

    fn hide(&self, batch: &mut Batch, kind: u16, list: &[Hidden]) {
        let local = |h: &Hidden| matches!(h.address, IpAddr::V6(a) if a.is_unicast_link_local());
        let of = |h: &&Hidden| h.address.is_ipv6() == self.v6;
        let (mut everywhere, mut there) = (Vec::new(), Vec::new());
        for hidden in list.iter().filter(of) {
            match hidden.address {
                IpAddr::V4(a) => everywhere.push((a.octets().to_vec(), None)),
                IpAddr::V6(a) if local(hidden) => {
                    there.push(([&a.octets()[..], &hidden.index.to_ne_bytes()[..]].concat(), None));
                }
                IpAddr::V6(a) => everywhere.push((a.octets().to_vec(), None)),
            }
        }
        batch.elements(kind, "vips", &everywhere);
        batch.elements(kind, "vips_link_local", &there);
    }
}

/// A socket to nftables.
#[derive(Debug)]
pub struct Filter {
    socket: Socket,
}

impl Filter {
    /// Opens it in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        // The answers are there when a request has been sent; none is waited for.
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Puts the table in the place of the one of its name, in one transaction; an empty one only removes.
    pub fn replace(&mut self, table: &Table) -> io::Result<()> {
        let mut batch = Batch::new(table);
        // It need not be there to be removed when it has just been made.
        batch.table(NEW_TABLE);
        batch.table(DELETE_TABLE);
        if !table.is_empty() {
            table.build(&mut batch);
        }
        self.commit(batch)
    }

    /// Removes the table.
    pub fn remove(&mut self, table: &Table) -> io::Result<()> {
        let mut batch = Batch::new(table);
        batch.table(DELETE_TABLE);
        self.commit(batch)
    }

    /// Hides addresses, or shows them again.
    pub fn hide(&mut self, table: &Table, list: &[Hidden], hide: bool) -> io::Result<()> {
        let mut batch = Batch::new(table);
        table.hide(&mut batch, if hide { NEW_ELEMENTS } else { DELETE_ELEMENTS }, list);
        self.commit(batch)
    }

    /// All or nothing; the first error is the transaction's.
    fn commit(&mut self, mut batch: Batch) -> io::Result<()> {
        batch.frame(BATCH_END);
        self.socket.send(&batch.bytes, 0)?;
        let mut fault = None;
        let mut buffer = vec![0; ANSWER_MAX];
        while let Ok(n) = self.socket.recv(&mut &mut buffer[..], 0) {
            let mut rest = &buffer[..n];
            while rest.len() >= 20 {
                let word = |at: usize| [rest[at], rest[at + 1], rest[at + 2], rest[at + 3]];
                let length = u32::from_ne_bytes(word(0)) as usize;
                let kind = u16::from_ne_bytes([rest[4], rest[5]]);
                let code = i32::from_ne_bytes(word(16));
                // NLMSG_ERROR, which is an acknowledgement when the code is 0.
                if kind == 2 && code != 0 {
                    fault.get_or_insert_with(|| io::Error::from_raw_os_error(code.abs()));
                }
                rest = &rest[length.max(20).next_multiple_of(4).min(rest.len())..];
            }
        }
        fault.map_or(Ok(()), Err)
    }
}
