//! The protocol presets of haproxy as scripts: `option redis-check`, `mysql-check`, `pgsql-check`, `smtpchk`,
//! `ldap-check`, `ssl-hello-chk`, `spop-check`.
//!
//! Invariant: what goes over the wire and what is said about the answer is haproxy 2.6's, byte for byte.
//!
//! Absent on purpose: credentials beyond a user name (haproxy has none either).

use serde::{Deserialize, Serialize};

use super::steps::{Action, Connect, Expect, Flavour, Number, Part, Pattern, Script, Step, Text, latin1};
use crate::outcome::{Cause, Outcome, Status};

/// Tests of binary protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// MySQL's greeting; the reply says the version.
    MysqlGreeting,
    /// MySQL's greeting and the answer to the login.
    MysqlLogin,
    /// LDAP bind response.
    Ldap,
    /// SPOE agent hello.
    Spop,
    /// TLS: anything that looks like a handshake or alert.
    SslHello,
}

/// What a test says.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// Not enough yet.
    More,
    /// Passed.
    Pass(Outcome),
    /// Failed.
    Fail(Outcome),
}

fn invalid(text: &str) -> Judgement {
    Judgement::Fail(Outcome::new(Status::L7Response, Cause::Protocol("invalid reply".into())).described(text))
}

impl Test {
    pub(crate) fn judge(self, reply: &[u8], last: bool) -> Judgement {
        match self {
            Self::MysqlGreeting => mysql(reply, last, false),
            Self::MysqlLogin => mysql(reply, last, true),
            Self::Ldap => ldap(reply, last),
            Self::Spop => spop(reply, last),
            Self::SslHello => ssl_hello(reply, last),
        }
    }
}

/// One MySQL packet at the start of the bytes: payload and the rest.
fn mysql_packet(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = reply.get(..4)?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    Some((reply.get(4..4 + length)?, &reply[4 + length..]))
}

fn mysql_error(payload: &[u8]) -> Option<Judgement> {
    let [0xff, low, high, text @ ..] = payload else { return None };
    let code = i64::from(u16::from_le_bytes([*low, *high]));
    let outcome = Outcome::new(Status::L7Status, Cause::Protocol("error packet".into()));
    Some(Judgement::Fail(outcome.coded(code).described(latin1(text))))
}

fn mysql(reply: &[u8], last: bool, login: bool) -> Judgement {
    let Some((greeting, rest)) = mysql_packet(reply) else {
        return if last { invalid("") } else { Judgement::More };
    };
    if let Some(error) = mysql_error(greeting) {
        return error;
    }
    let version = greeting.get(1..).and_then(|v| v.split(|b| *b == 0).next()).unwrap_or_default();
    let passed = || Judgement::Pass(Outcome::passed(Status::L7Ok).described(latin1(version)));
    if !login {
        return passed();
    }
    match mysql_packet(rest) {
        None if last => invalid(""),
        None => Judgement::More,
        Some((answer, _)) => mysql_error(answer).unwrap_or_else(passed),
    }
}

fn ldap(reply: &[u8], last: bool) -> Judgement {
    // LDAPMessage { messageID 1, bindResponse { resultCode … } } with a one-byte length, as haproxy wants it.
    if reply.len() < 14 {
        return if last { invalid("Not LDAPv3 protocol") } else { Judgement::More };
    }
    if reply[0] != 0x30 {
        return invalid("Not LDAPv3 protocol");
    }
    // A long-form length of the message shifts what follows.
    let shift = if reply[1] & 0x80 != 0 { usize::from(reply[1] & 0x7f) } else { 0 };
    let body = reply.get(2 + shift..).unwrap_or_default();
    if body.get(..3) != Some(&[2, 1, 1]) || body.get(3) != Some(&0x61) {
        return invalid("Not LDAPv3 protocol");
    }
    let Some(operation) = body.get(4..) else { return invalid("Not LDAPv3 protocol") };
    let shift = match operation.first() {
        Some(n) if n & 0x80 != 0 => usize::from(n & 0x7f),
        _ => 0,
    };
    match operation.get(1 + shift..4 + shift) {
        Some([0x0a, 0x01, 0]) => Judgement::Pass(Outcome::passed(Status::L7Ok).described("Success")),
        Some([0x0a, 0x01, code]) => {
            let outcome = Outcome::new(Status::L7Status, Cause::Protocol("bind refused".into()));
            Judgement::Fail(
                outcome
                    .coded(i64::from(*code))
                    .described("See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"),
            )
        }
        _ => invalid("Not LDAPv3 protocol"),
    }
}

fn spop(reply: &[u8], last: bool) -> Judgement {
    let Some(head) = reply.get(..4) else {
        return if last { invalid("invalid frame received") } else { Judgement::More };
    };
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length > super::REPLY_MAX - 4 {
        return invalid("invalid frame received");
    }
    let Some(frame) = reply.get(4..4 + length) else {
        return if last { invalid("invalid frame received") } else { Judgement::More };
    };
    // AGENT-HELLO is 101, AGENT-DISCONNECT 102.
    match frame.first() {
        Some(101) => Judgement::Pass(Outcome::passed(Status::L7Ok).described("SPOA server is ok")),
        _ => invalid("invalid frame received"),
    }
}

fn ssl_hello(reply: &[u8], last: bool) -> Judgement {
    let fail = || Outcome::new(Status::L6Response, Cause::Protocol("not TLS".into()));
    match reply.first() {
        // Alert or handshake.
        Some(0x15 | 0x16) if reply.len() >= 5 || last => Judgement::Pass(Outcome::passed(Status::L6Ok)),
        Some(0x15 | 0x16) | None if !last => Judgement::More,
        _ => Judgement::Fail(fail()),
    }
}

fn script(steps: Vec<Step>) -> Script {
    Script { flavour: Flavour::Preset, steps, disable_on_404: false }
}

fn connect() -> Step {
    Action::Connect(Connect::default()).into()
}

fn expect(expect: Expect) -> Step {
    Action::Expect(Box::new(expect)).into()
}

fn line_from(offset: usize) -> Text {
    Text(vec![Part::Payload { offset, length: 0, cut_line: true, trim: true }])
}

fn literal(text: &str) -> Text {
    Text(vec![Part::Literal(text.to_owned())])
}

/// `option redis-check`.
pub fn redis() -> Script {
    script(vec![
        Action::Send(b"*1\r\n$4\r\nPING\r\n".to_vec()).into(),
        expect(Expect {
            error_status: Some(Status::L7Status),
            on_success: Some(literal("Redis server is ok")),
            on_error: Some(line_from(0)),
            ..Expect::new(Pattern::String(b"+PONG\r\n".to_vec()))
        }),
    ])
}

/// All lines of a good answer to EHLO.
const EHLO_ANSWER: &str = r"^(2[0-9]{2}-[^\r]*\r\n)*2[0-9]{2}[ \r]";

/// `option smtpchk [HELO|EHLO NAME]`.
pub fn smtp(hello: &str) -> Script {
    let number = Some(Number::Payload { offset: 0, length: 3 });
    let wanted = |pattern: &str, status: Status, from: usize| Expect {
        min_recv: 4,
        error_status: Some(status),
        on_error: Some(line_from(from)),
        on_success: Some(line_from(4)),
        status_code: if status == Status::L7Status { number.clone() } else { None },
        ..Expect::new(Pattern::Regex(pattern.to_owned()))
    };
    script(vec![
        connect(),
        expect(wanted("^[0-9]{3}[ \\r]", Status::L7Response, 0)),
        expect(wanted("^2[0-9]{2}[ \\r]", Status::L7Status, 4)),
        Action::Send(format!("{hello}\r\n").into_bytes()).into(),
        // The answer may have lines before the one that counts, which is waited for.
        expect(Expect { min_recv: 0, ..wanted(EHLO_ANSWER, Status::L7Status, 4) }),
        Action::Send(b"QUIT\r\n".to_vec()).into(),
        expect(wanted("^2[0-9]{2}[- \\r]", Status::L7Status, 4)),
    ])
}

/// `option pgsql-check user NAME`.
pub fn pgsql(user: &str) -> Script {
    let mut packet = vec![0, 0, 0, 0, 0, 3, 0, 0];
    packet.extend_from_slice(b"user\0");
    packet.extend_from_slice(user.as_bytes());
    packet.extend_from_slice(b"\0\0");
    let length = packet.len() as u32;
    packet[..4].copy_from_slice(&length.to_be_bytes());
    script(vec![
        connect(),
        Action::Send(packet).into(),
        expect(Expect {
            negate: true,
            min_recv: 5,
            error_status: Some(Status::L7Response),
            on_error: Some(Text(vec![Part::Payload { offset: 6, length: 0, cut_line: false, trim: false }])),
            ..Expect::new(Pattern::Regex("^E".to_owned()))
        }),
        expect(Expect {
            min_recv: 9,
            error_status: Some(Status::L7Status),
            on_success: Some(literal("PostgreSQL server is ok")),
            on_error: Some(literal("PostgreSQL unknown error")),
            ..Expect::new(Pattern::BinaryRegex(
                "^52000000(08|0A|0C)000000(00|02|03|04|05|06|07|09|0A)".to_owned(),
            ))
        }),
    ])
}

/// MySQL's client side of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MysqlLogin {
    /// No `user`: only the greeting is looked at.
    None,
    /// `user NAME`, `user NAME post-41`.
    Post41,
    /// `user NAME pre-41`.
    Pre41,
}

/// `option mysql-check [user NAME [pre-41|post-41]]`.
pub fn mysql_check(user: &str, login: MysqlLogin) -> Script {
    let mut packet = match login {
        MysqlLogin::None => {
            return script(vec![connect(), expect(Expect::new(Pattern::Preset(Test::MysqlGreeting)))]);
        }
        MysqlLogin::Post41 => {
            let mut p = vec![0, 0, 0, 1, 0x00, 0x82, 0, 0, 0, 0x80, 0, 1, 0x21];
            p.extend_from_slice(&[0; 23]);
            p.extend_from_slice(user.as_bytes());
            p.extend_from_slice(&[0, 0]);
            p
        }
        MysqlLogin::Pre41 => {
            let mut p = vec![0, 0, 0, 1, 0x00, 0x80, 0, 0, 1];
            p.extend_from_slice(user.as_bytes());
            p.push(0);
            p.push(0);
            p
        }
    };
    let length = packet.len() - 4;
    packet[0] = length as u8;
    packet[1] = (length >> 8) as u8;
    packet.extend_from_slice(&[1, 0, 0, 0, 1]);
    script(vec![
        connect(),
        Action::Send(packet).into(),
        expect(Expect::new(Pattern::Preset(Test::MysqlLogin))),
    ])
}

/// `option ldap-check`.
pub fn ldap_check() -> Script {
    let bind = [0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00];
    script(vec![Action::Send(bind.to_vec()).into(), expect(Expect::new(Pattern::Preset(Test::Ldap)))])
}

/// `option ssl-hello-chk`: an SSLv3 hello with the time in it, seconds since 1970.
pub fn ssl_hello_check(now_s: u32) -> Script {
    let mut hello = vec![0x16, 3, 0, 0, 0x79, 1, 0, 0, 0x75, 3, 0];
    hello.extend_from_slice(&now_s.to_be_bytes());
    hello.extend_from_slice(b"HAPROXYSSLCHK\nHAPROXYSSLCHK\n");
    hello.push(0);
    hello.extend_from_slice(&[0, 0x4e]);
    for suite in (0x01..=0x1bu8).chain(0x2f..=0x3a) {
        hello.extend_from_slice(&[0, suite]);
    }
    hello.extend_from_slice(&[1, 0]);
    script(vec![
        Action::Send(hello).into(),
        expect(Expect {
            error_status: Some(Status::L6Response),
            timeout_status: Some(Status::L6Timeout),
            ..Expect::new(Pattern::Preset(Test::SslHello))
        }),
    ])
}

/// `option spop-check`.
pub fn spop_check() -> Script {
    let mut frame = vec![1, 0, 0, 0, 1, 0, 0];
    let text = |frame: &mut Vec<u8>, bytes: &[u8]| {
        frame.push(bytes.len() as u8);
        frame.extend_from_slice(bytes);
    };
    for (key, value) in [
        (&b"supported-versions"[..], &b"2.0"[..]),
        (b"max-frame-size", b""),
        (b"capabilities", b""),
        (b"healthcheck", b"1"),
    ] {
        text(&mut frame, key);
        match key {
            b"max-frame-size" => frame.extend_from_slice(&[0x03, 0xfc, 0xf0, 0x06]),
            b"healthcheck" => frame.push(0x11),
            _ => {
                frame.push(8);
                text(&mut frame, value);
            }
        }
    }
    let mut packet = (frame.len() as u32).to_be_bytes().to_vec();
    packet.extend_from_slice(&frame);
    script(vec![Action::Send(packet).into(), expect(Expect::new(Pattern::Preset(Test::Spop)))])
}
