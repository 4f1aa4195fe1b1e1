//! MQTT 3.1, 3.1.1 and 5.0: the first packet of each side, CONNECT and CONNACK.

use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::{Arg, Type, Value};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("mqtt_field_value", "string,string", Type::Bin, Type::Str, |_, a, x| {
        let data = x.into_bytes()?;
        let packet = Packet::parse(&data).ok()?;
        if i64::from(packet.kind) != at(a, 0).int_or(0) {
            return None;
        }
        packet.field(at(a, 1)).map(Value::str)
    })
    .check(|a, _| {
        let kind = match at(a, 0).text().to_ascii_lowercase().as_str() {
            "connect" | "1" => 1,
            "connack" | "2" => 2,
            _ => return Err(format!("Unknown MQTT type '{}'", at(a, 0).text())),
        };
        let name = at(a, 1).text().to_ascii_lowercase();
        let fields: &[&str] = if kind == 1 { &CONNECT_FIELDS } else { &CONNACK_FIELDS };
        let ids: &[i64] = if kind == 1 { &CONNECT_PROPERTIES } else { &CONNACK_PROPERTIES };
        a[1] = match parse_int(&name) {
            Some(id) if ids.contains(&id) => Arg::Int(id),
            None if fields.contains(&name.as_str()) => Arg::Str(name.into_bytes().into()),
            _ => return Err(format!("Unknown MQTT field name '{}'", at(a, 1).text())),
        };
        a[0] = Arg::Int(kind);
        Ok(())
    }),
    row("mqtt_is_valid", "", Type::Bin, Type::Bool, |_, _, x| match Packet::parse(&x.into_bytes()?) {
        Err(Fault::Short) => None,
        packet => Some(Value::Bool(packet.is_ok())),
    }),
];

const CONNECT_FIELDS: [&str; 9] = [
    "flags",
    "protocol_name",
    "protocol_version",
    "client_identifier",
    "will_topic",
    "will_payload",
    "username",
    "password",
    "keepalive",
];
const CONNACK_FIELDS: [&str; 3] = ["flags", "protocol_version", "reason_code"];
const CONNECT_PROPERTIES: [i64; 14] = [17, 33, 39, 34, 25, 23, 21, 22, 18, 1, 2, 3, 8, 9];
const CONNACK_PROPERTIES: [i64; 16] = [17, 33, 36, 37, 39, 18, 34, 31, 40, 41, 42, 19, 26, 28, 21, 22];

/// Reads a packet from front to back.
struct Cursor<'d>(&'d [u8]);

impl<'d> Cursor<'d> {
    fn take(&mut self, n: usize) -> Option<&'d [u8]> {
        let (head, rest) = (self.0.get(..n)?, &self.0[n..]);
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
    }

    fn string(&mut self) -> Option<&'d [u8]> {
        let len = self.number(2)? as usize;
        self.take(len)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let b = self.byte()?;
            value |= usize::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// A CONNECT or CONNACK packet.
#[derive(Default)]
struct Packet {
    kind: u8,
    flags: u8,
    version: u8,
    reason: u8,
    keepalive: u64,
    fields: Vec<(&'static str, Vec<u8>)>,
    properties: Vec<(i64, Vec<u8>)>,
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// More would have to come.
    Short,
    /// They never become one.
    Bad,
}

impl Packet {
    fn parse(data: &[u8]) -> Result<Self, Fault> {
        let [first, _, ..] = data else { return Err(Fault::Short) };
        let (kind, flags) = (first >> 4, first & 0x0f);
        if flags != 0 {
            return Err(Fault::Bad);
        }
        let mut c = Cursor(&data[1..]);
        let whole = c.0.iter().take(4).any(|b| b & 0x80 == 0);
        let len = c.varint().ok_or(if whole || data.len() > 4 { Fault::Bad } else { Fault::Short })?;
        let mut body = Cursor(c.take(len).ok_or(Fault::Short)?);
        // The server's first packet stands alone.
        if kind == 2 && !c.0.is_empty() {
            return Err(Fault::Bad);
        }
        let mut packet = Self { kind, ..Self::default() };
        let read = match kind {
            1 => packet.connect(&mut body),
            2 => packet.connack(&mut body),
            _ => None,
        };
        read.filter(|()| body.0.is_empty()).map(|()| packet).ok_or(Fault::Bad)
    }

    fn connect(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        let name = c.string()?;
        self.version = c.byte()?;
        match (name, self.version) {
            (b"MQIsdp", 3) | (b"MQTT", 4 | 5) => {}
            _ => return None,
        }
        self.fields.push(("protocol_name", name.to_vec()));
        self.flags = c.byte()?;
        if self.flags & 1 != 0 {
            return None;
        }
        self.keepalive = c.number(2)?;
        if self.version == 5 {
            self.property_list(c, true)?;
        }
        self.fields.push(("client_identifier", c.string()?.to_vec()));
        if self.flags & 4 != 0 {
            if self.version == 5 {
                self.property_list(c, true)?;
            }
            self.fields.push(("will_topic", c.string()?.to_vec()));
            self.fields.push(("will_payload", c.string()?.to_vec()));
        }
        if self.flags & 0x80 != 0 {
            self.fields.push(("username", c.string()?.to_vec()));
        }
        if self.flags & 0x40 != 0 {
            self.fields.push(("password", c.string()?.to_vec()));
        }
        Some(())
    }

    fn connack(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        self.flags = c.byte()?;
        self.reason = c.byte()?;
        if self.flags & 0xfe != 0 {
            return None;
        }
        self.version = 4;
        if !c.0.is_empty() {
            self.version = 5;
            self.property_list(c, false)?;
        }
        Some(())
    }

    fn property_list(&mut self, c: &mut Cursor<'_>, connect: bool) -> Option<()> {
        let len = c.varint()?;
        let mut list = Cursor(c.take(len)?);
        while !list.0.is_empty() {
            let id = list.varint()? as i64;
            let value = match id {
                1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => list.number(1)?.to_string().into_bytes(),
                19 | 33 | 34 => list.number(2)?.to_string().into_bytes(),
                2 | 17 | 39 => list.number(4)?.to_string().into_bytes(),
                // In CONNECT, 18 is the will's delay; in CONNACK, the client's name.
                18 if connect => list.number(4)?.to_string().into_bytes(),
                3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => list.string()?.to_vec(),
                38 => {
                    list.string()?;
                    list.string()?;
                    continue;
                }
                _ => return None,
            };
            self.properties.push((id, value));
        }
        Some(())
    }

    fn field(&self, wanted: &Arg) -> Option<Vec<u8>> {
        if let Arg::Int(id) = wanted {
            return self.properties.iter().find(|(i, _)| i == id).map(|(_, v)| v.clone());
        }
        let number = |n: u64| Some(n.to_string().into_bytes());
        match wanted.text() {
            "flags" => number(u64::from(self.flags)),
            "protocol_version" => number(u64::from(self.version)),
            "reason_code" => number(u64::from(self.reason)),
            "keepalive" => number(self.keepalive),
            name => self.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone()),
        }
    }
}
