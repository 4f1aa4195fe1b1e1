//! Who carries the table's commands: the kernel over generic netlink, or a table in memory for tests.
//!
//! Invariant: a refusal is reported with the kernel's error number; nothing is retried here.
//!
//! Absent on purpose: decisions, and loading of modules other than asking for `ip_vs` once.

use std::collections::BTreeMap;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

use super::wire::{self, Message, SyncState};
use crate::config::model::{IpvsTimeouts, SyncDaemon};
use crate::core::plan::{Command, Entry, Refusal, ServiceKey, Table, apply};

/// A table of virtual services.
pub trait Ipvs {
    /// Carries out a command.
    ///
    /// # Errors
    /// The kernel's error.
    fn apply(&mut self, command: &Command) -> io::Result<()>;

    /// The whole table.
    ///
    /// # Errors
    /// The kernel's error.
    fn dump(&mut self) -> io::Result<Table>;

    /// Empties the table.
    ///
    /// # Errors
    /// The kernel's error.
    fn flush(&mut self) -> io::Result<()>;

    /// Sets `lvs_timeouts`.
    ///
    /// # Errors
    /// The kernel's error.
    fn timeouts(&mut self, timeouts: IpvsTimeouts) -> io::Result<()>;

    /// Starts or stops a sync daemon.
    ///
    /// # Errors
    /// The kernel's error.
    fn sync_daemon(&mut self, start: bool, state: SyncState, daemon: &SyncDaemon) -> io::Result<()>;

    /// The version of the kernel's code, as `1.2.1`.
    fn version(&self) -> String;
}

/// The kernel's table.
pub struct Kernel {
    socket: Socket,
    family: u16,
    version: String,
    sequence: u32,
}

/// Larger than any answer of this family.
const RECEIVE_MAX: usize = 64 << 10;

impl Kernel {
    /// Opens the table of the current network namespace, loading `ip_vs` where it is a module.
    ///
    /// # Errors
    /// `ErrorKind::NotFound` when the kernel has no IPVS; errors of the socket.
    pub fn open() -> io::Result<Self> {
        match Self::try_open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // As modprobe would be run by hand; where it is missing the next line says what is wrong.
                let _ = std::process::Command::new("modprobe")
                    .args(["-q", "ip_vs"])
                    .stdin(std::process::Stdio::null())
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null())
                    .status();
                Self::try_open()
            }
            other => other,
        }
    }

    fn try_open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        let mut kernel = Self { socket, family: 0, version: String::new(), sequence: 0 };
        kernel.family = kernel.resolve()?;
        let answers = kernel.request(wire::info(), 0)?;
        let version = answers.first().and_then(|m| {
            let list = wire::attributes(&m.attributes);
            wire::read_u32(&list, wire::INFO_VERSION)
        });
        let v = version.unwrap_or(0);
        kernel.version = format!("{}.{}.{}", v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff);
        Ok(kernel)
    }

    fn resolve(&mut self) -> io::Result<u16> {
        let control = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName("IPVS".to_owned())],
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut message = NetlinkMessage::new(header, GenlMessage::from_payload(control).into());
        self.send(&mut message)?;
        let mut found = None;
        self.receive(|payload: GenlMessage<GenlCtrl>| {
            for attribute in &payload.payload.nlas {
                if let GenlCtrlAttrs::FamilyId(id) = attribute {
                    found = Some(*id);
                }
            }
        })?;
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn send<F>(&mut self, message: &mut NetlinkMessage<GenlMessage<F>>) -> io::Result<()>
    where
        F: netlink_packet_generic::GenlFamily + netlink_packet_core::Emitable + std::fmt::Debug,
        GenlMessage<F>: netlink_packet_core::NetlinkSerializable,
    {
        self.sequence = self.sequence.wrapping_add(1);
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut buffer = vec![0; message.buffer_len()];
        message.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;
        Ok(())
    }

    /// Reads answers until the kernel says that all is said.
    fn receive<F>(&mut self, mut each: impl FnMut(GenlMessage<F>)) -> io::Result<()>
    where
        F: std::fmt::Debug,
        GenlMessage<F>: netlink_packet_core::NetlinkDeserializable,
        <GenlMessage<F> as netlink_packet_core::NetlinkDeserializable>::Error: std::fmt::Display,
    {
        let mut buffer: Vec<u8> = Vec::with_capacity(RECEIVE_MAX);
        loop {
            buffer.clear();
            let length = self.socket.recv(&mut buffer, 0)?;
            let mut rest = &buffer[..length];
            while rest.len() >= 16 {
                let size = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                if size < 16 || size > rest.len() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let message = NetlinkMessage::<GenlMessage<F>>::deserialize(&rest[..size])
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                rest = rest.get((size + 3) & !3..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(e) => {
                        return match e.raw_code() {
                            0 => Ok(()),
                            code => Err(io::Error::from_raw_os_error(-code)),
                        };
                    }
                    NetlinkPayload::InnerMessage(inner) => each(inner),
                    NetlinkPayload::Noop | NetlinkPayload::Overrun(_) => {}
                    _ => {}
                }
            }
        }
    }

    fn request(&mut self, message: Message, flags: u16) -> io::Result<Vec<Message>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | if flags & NLM_F_DUMP == 0 { NLM_F_ACK } else { flags };
        let mut genl = GenlMessage::from_payload(message);
        genl.set_resolved_family_id(self.family);
        let mut message = NetlinkMessage::new(header, genl.into());
        self.send(&mut message)?;
        let mut answers = Vec::new();
        self.receive(|m: GenlMessage<Message>| answers.push(m.payload))?;
        Ok(answers)
    }
}

impl Ipvs for Kernel {
    fn apply(&mut self, command: &Command) -> io::Result<()> {
        self.request(wire::message(command), 0).map(drop)
    }

    fn dump(&mut self) -> io::Result<Table> {
        let mut table = Table::new();
        for message in self.request(wire::dump_services(), NLM_F_DUMP)? {
            let Some((key, service)) = wire::read_service(&message) else { continue };
            table.insert(key, Entry { service, destinations: BTreeMap::new() });
        }
        let keys: Vec<ServiceKey> = table.keys().copied().collect();
        for key in keys {
            let answers = self.request(wire::dump_destinations(&key), NLM_F_DUMP)?;
            let list = answers.iter().filter_map(|m| wire::read_destination(m, key.family())).collect();
            if let Some(entry) = table.get_mut(&key) {
                entry.destinations = list;
            }
        }
        Ok(table)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.request(wire::flush(), 0).map(drop)
    }

    fn timeouts(&mut self, t: IpvsTimeouts) -> io::Result<()> {
        let value = |v: Option<u32>| v.unwrap_or(0);
        self.request(wire::timeouts(value(t.tcp_s), value(t.tcp_fin_s), value(t.udp_s)), 0).map(drop)
    }

    fn sync_daemon(&mut self, start: bool, state: SyncState, daemon: &SyncDaemon) -> io::Result<()> {
        self.request(wire::sync_daemon(start, state, daemon), 0).map(drop)
    }

    fn version(&self) -> String {
        self.version.clone()
    }
}

/// A table in memory that behaves as the kernel's.
#[derive(Debug, Default)]
pub struct Fake {
    /// The table.
    pub table: Table,
    /// All commands, in order.
    pub log: Vec<Command>,
    /// Sync daemons that run.
    pub daemons: Vec<SyncState>,
}

impl Ipvs for Fake {
    fn apply(&mut self, command: &Command) -> io::Result<()> {
        self.log.push(command.clone());
        apply(&mut self.table, command).map_err(|refusal| {
            io::Error::from_raw_os_error(match refusal {
                Refusal::Exists => libc::EEXIST,
                Refusal::NoService => libc::ESRCH,
                Refusal::NoDestination => libc::ENOENT,
            })
        })
    }

    fn dump(&mut self) -> io::Result<Table> {
        Ok(self.table.clone())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.table.clear();
        Ok(())
    }

    fn timeouts(&mut self, _: IpvsTimeouts) -> io::Result<()> {
        Ok(())
    }

    fn sync_daemon(&mut self, start: bool, state: SyncState, _: &SyncDaemon) -> io::Result<()> {
        self.daemons.retain(|s| *s != state);
        if start {
            self.daemons.push(state);
        }
        Ok(())
    }

    fn version(&self) -> String {
        "1.2.1".to_owned()
    }
}
