//! Headers that clients send: right ones in every form, and wrong ones in every way.

use holdfast_tests::pair::Step;

/// A case: its name, the frontend, and what the client does.
pub(crate) type Case = (String, usize, Vec<Step>);

/// What is waited for limits of the configuration to pass, in milliseconds.
const LIMIT_MS: u64 = 2500;

fn request() -> Vec<u8> {
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()
}

fn with(header: &[u8]) -> Vec<Step> {
    vec![Step::Send([header, &request()].concat()), Step::Read]
}

/// A binary header: version and command, family, addresses, TLVs.
fn binary(command: u8, family: u8, addresses: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let len = (addresses.len() + tlvs.len()) as u16;
    let mut out = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    out.extend_from_slice(&[command, family]);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(addresses);
    out.extend_from_slice(tlvs);
    out
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

const V4: [u8; 12] = [10, 1, 2, 3, 10, 4, 5, 6, 0x12, 0x34, 0, 80];

fn v6() -> Vec<u8> {
    let ip = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&ip(1)[..], &ip(2), &[0x12, 0x34, 0, 80]].concat()
}

/// Text headers, the name being the header.
fn texts() -> Vec<&'static str> {
    vec![
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::2 7 8\r\n",
        "PROXY TCP6 ::1 ::ffff:1.2.3.4 65535 1\r\n",
        "PROXY TCP6 0001:02:003:4::1 ::2 7 8\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN \r\n",
        "PROXY UNKNOWN 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY UNKNOWN whatever stands here is of no interest\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOW\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
        "PROXY  TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP4  10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP4 10.1.2.3  10.4.5.6 7 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7  8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8 \r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8 9\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6\r\n",
        "PROXY TCP4 10.1.2.3\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 0 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 0\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 65536 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 65536\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 65535\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 007 0008\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 -7 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 +7 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7x 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8x\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 x 8\r\n",
        "PROXY TCP4 10.1.2 10.4.5.6 7 8\r\n",
        "PROXY TCP4 10.1.2.300 10.4.5.6 7 8\r\n",
        "PROXY TCP4 010.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5 7 8\r\n",
        "PROXY TCP4 10.1.2.3 ::1 7 8\r\n",
        "PROXY TCP4 ::1 ::1 7 8\r\n",
        "PROXY TCP6 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP6 2001:db8:::1 ::2 7 8\r\n",
        "PROXY TCP6 fe80::1%lo ::2 7 8\r\n",
        "PROXY TCP6 [::1] ::2 7 8\r\n",
        "PROXY TCP5 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY UDP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY tcp4 10.1.2.3 10.4.5.6 7 8\r\n",
        "proxy TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY\tTCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXY TCP4\t10.1.2.3\t10.4.5.6\t7\t8\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\rX\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\0\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\u{e9}\r\n",
        " PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "\r\nPROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "PROXI TCP4 10.1.2.3 10.4.5.6 7 8\r\n",
        "P",
        "",
        "\r\n\r\n",
        "PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\nPROXY TCP4 10.7.7.7 10.4.5.6 7 8\r\n",
    ]
}

/// Binary headers.
fn binaries() -> Vec<(&'static str, Vec<u8>)> {
    let crc = |good: bool| {
        let mut header = binary(0x21, 0x11, &V4, &tlv(3, &[0; 4]));
        let sum = crc32c(&header) ^ u32::from(!good);
        let at = header.len() - 4;
        header[at..].copy_from_slice(&sum.to_be_bytes());
        header
    };
    let unix = [b'/'; 216];
    vec![
        ("v4", binary(0x21, 0x11, &V4, &[])),
        ("v6", binary(0x21, 0x21, &v6(), &[])),
        ("local", binary(0x20, 0, &[], &[])),
        ("local with addresses", binary(0x20, 0x11, &V4, &[])),
        ("local with rest", binary(0x20, 0, &[], &[0; 40])),
        ("unspecified", binary(0x21, 0, &[], &[])),
        ("unix", binary(0x21, 0x31, &unix, &[])),
        ("datagram v4", binary(0x21, 0x12, &V4, &[])),
        ("datagram v6", binary(0x21, 0x22, &v6(), &[])),
        ("unknown family", binary(0x21, 0x41, &V4, &[])),
        ("unknown transport", binary(0x21, 0x13, &V4, &[])),
        ("unknown command", binary(0x22, 0x11, &V4, &[])),
        ("version 1", binary(0x11, 0x11, &V4, &[])),
        ("version 3", binary(0x31, 0x11, &V4, &[])),
        ("v4 too short", binary(0x21, 0x11, &V4[..11], &[])),
        ("v6 too short", binary(0x21, 0x21, &v6()[..35], &[])),
        ("v4 empty", binary(0x21, 0x11, &[], &[])),
        ("v4 with authority", binary(0x21, 0x11, &V4, &tlv(2, b"auth.example"))),
        ("v4 with unique id", binary(0x21, 0x11, &V4, &tlv(5, b"id-1"))),
        ("v4 with long unique id", binary(0x21, 0x11, &V4, &tlv(5, &[b'u'; 129]))),
        ("v4 with longest unique id", binary(0x21, 0x11, &V4, &tlv(5, &[b'u'; 128]))),
        ("v4 with empty authority", binary(0x21, 0x11, &V4, &tlv(2, b""))),
        ("v4 with two authorities", binary(0x21, 0x11, &V4, &[tlv(2, b"one"), tlv(2, b"two")].concat())),
        ("v4 with longest authority", binary(0x21, 0x11, &V4, &tlv(2, &[b'a'; 255]))),
        ("v4 with too long authority", binary(0x21, 0x11, &V4, &tlv(2, &[b'a'; 256]))),
        ("v4 with alpn and noop", binary(0x21, 0x11, &V4, &[tlv(1, b"h2"), tlv(4, b"xx")].concat())),
        ("v4 with unknown", binary(0x21, 0x11, &V4, &tlv(0xee, b"value"))),
        ("v4 with tls", binary(0x21, 0x11, &V4, &tlv(0x20, &[1, 0, 0, 0, 0]))),
        ("v4 with netns", binary(0x21, 0x11, &V4, &tlv(0x30, b"nowhere"))),
        ("v6 with both", binary(0x21, 0x21, &v6(), &[tlv(2, b"auth"), tlv(5, b"id")].concat())),
        ("local with authority", binary(0x20, 0x11, &V4, &tlv(2, b"auth.example"))),
        ("right checksum", crc(true)),
        ("wrong checksum", crc(false)),
        ("short checksum", binary(0x21, 0x11, &V4, &tlv(3, &[0; 3]))),
        ("long checksum", binary(0x21, 0x11, &V4, &tlv(3, &[0; 5]))),
        ("tlv cut", binary(0x21, 0x11, &V4, &[2, 0, 9, b'x'])),
        ("tlv of one byte", binary(0x21, 0x11, &V4, &[2])),
        ("tlv of two bytes", binary(0x21, 0x11, &V4, &[2, 0])),
        ("long", binary(0x21, 0x11, &V4, &tlv(4, &[0; 4000]))),
        ("signature alone wrong", [&b"\r\n\r\n\0\r\nQUIX\n"[..], &[0x21, 0x11, 0, 12], &V4].concat()),
    ]
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })
    })
}

/// Texts about as long as one may be.
fn lengths() -> Vec<Case> {
    let mut out = Vec::new();
    for len in [105, 106, 107, 108, 109, 150] {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(len - 2, b'x');
        line.extend_from_slice(b"\r\n");
        out.push((format!("text of {len} bytes"), 0, with(&line)));
        if len < 107 {
            continue;
        }
        let mut endless = b"PROXY TCP6 ".to_vec();
        endless.resize(len, b':');
        out.push((
            format!("{len} bytes without an end"),
            0,
            vec![Step::Send(endless), Step::Pause(LIMIT_MS), Step::Read],
        ));
    }
    out
}

/// The magic number of the configuration.
const MAGIC: u32 = 1234;

/// An IPv4 and a TCP header: the first byte's low half, the protocol, bytes of options of both.
fn ip4(first: u8, protocol: u8, ip_options: usize, tcp_options: usize) -> Vec<u8> {
    let mut out = vec![first, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 200];
    out.resize(20 + ip_options, 0);
    out.extend_from_slice(&[4, 87, 8, 174]);
    out.resize(40 + ip_options + tcp_options, 0);
    out
}

fn ip6(protocol: u8) -> Vec<u8> {
    let addresses = v6();
    let mut out = [&[0x60, 0, 0, 0, 0, 20, protocol, 64], &addresses[..32], &[4, 87, 8, 174]].concat();
    out.resize(60, 0);
    out
}

fn legacy(magic: u32, len: usize, packet: &[u8]) -> Vec<u8> {
    [&magic.to_be_bytes(), &(len as u32).to_be_bytes(), packet].concat()
}

fn standard(kind: u16, len: usize, packet: &[u8]) -> Vec<u8> {
    let total = (packet.len() + 12) as u32;
    let kind = [kind.to_be_bytes(), (len as u16).to_be_bytes()].concat();
    [&MAGIC.to_be_bytes(), &total.to_be_bytes(), &kind[..], packet].concat()
}

/// Headers of a NetScaler.
fn netscaler() -> Vec<Case> {
    let (v4, v6) = (ip4(0x45, 6, 0, 0), ip6(6));
    let whole = [
        ("old v4", legacy(MAGIC, 40, &v4)),
        ("old v6", legacy(MAGIC, 60, &v6)),
        ("v4", standard(1, 40, &v4)),
        ("v6", standard(1, 60, &v6)),
        ("another type", standard(2, 40, &v4)),
        ("type 0", standard(0, 40, &v4)),
        ("length 0", standard(1, 0, &v4)),
        ("short length", standard(1, 20, &v4)),
        ("old length 0", legacy(MAGIC, 0, &v4)),
        ("old short length", legacy(MAGIC, 39, &v4)),
        ("old longer", legacy(MAGIC, 42, &[&v4[..], b"GE"].concat())),
        ("old, another number", legacy(5, 40, &v4)),
        ("number 0", legacy(0, 40, &v4)),
        ("old UDP", legacy(MAGIC, 40, &ip4(0x45, 17, 0, 0))),
        ("UDP v6", standard(1, 60, &ip6(17))),
        ("version 5", legacy(MAGIC, 40, &ip4(0x55, 6, 0, 0))),
        ("version 0", legacy(MAGIC, 40, &ip4(0x05, 6, 0, 0))),
        ("options of IP", standard(1, 48, &ip4(0x47, 6, 8, 0))),
        ("old, options of TCP", legacy(MAGIC, 52, &ip4(0x45, 6, 0, 12))),
        ("old, length of IP 0", legacy(MAGIC, 40, &ip4(0x40, 6, 0, 0))),
        ("no header", Vec::new()),
        ("of PROXY", b"PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n".to_vec()),
    ];
    let mut out: Vec<Case> = Vec::new();
    for (name, header) in &whole {
        for frontend in [9, 10] {
            out.push((format!("NetScaler, {name}, {frontend}"), frontend, with(header)));
        }
    }
    let first = standard(1, 40, &v4);
    for cut in [0, 3, 8, 11, 20, 30] {
        let steps = vec![Step::Send(first[..cut].to_vec()), Step::HalfClose, Step::Read];
        out.push((format!("NetScaler, cut off, {cut}"), 9, steps));
    }
    for begun in [0, 20] {
        let steps = vec![Step::Send(first[..begun].to_vec()), Step::Pause(LIMIT_MS), Step::Read];
        out.push((format!("NetScaler, silence behind {begun}"), 9, steps));
    }
    let text = b"PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n";
    out.push(("NetScaler, behind PROXY".to_owned(), 11, with(&[&text[..], &first].concat())));
    out.push(("NetScaler, before PROXY".to_owned(), 11, with(&[&first[..], text].concat())));
    out
}

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let all = texts().into_iter().map(|t| (format!("{t:?}"), t.as_bytes().to_vec()));
    let others = binaries().into_iter().map(|(n, b)| (n.to_owned(), b));
    for (n, (name, bytes)) in all.chain(others).enumerate() {
        out.push((name.clone(), 0, with(&bytes)));
        // By rule it is the same, as a sample of them shows.
        if n % 6 == 2 {
            out.push((format!("{name} by rule"), 2, with(&bytes)));
        }
    }
    for (frontend, header) in [(7, &b""[..]), (8, b"PROXY UNKNOWN\r\n")] {
        out.push((format!("rejected, {frontend}"), frontend, with(header)));
    }
    let good = b"PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n".to_vec();
    let good2 = binary(0x21, 0x11, &V4, &tlv(2, b"auth"));
    for (name, header) in [("text", &good), ("binary", &good2)] {
        for cut in [1, 11, 13, 16, 20, header.len() - 1] {
            let steps = vec![Step::Send(header[..cut].to_vec()), Step::HalfClose, Step::Read];
            out.push((format!("{name} cut off, {cut}"), 0, steps));
        }
        let (a, b) = header.split_at(20);
        let rest = Step::Send([b, &request()].concat());
        let steps = vec![Step::Send(a.to_vec()), Step::Pause(LIMIT_MS / 5), rest, Step::Read];
        out.push((format!("{name} in two pieces"), 0, steps));
        let late = vec![Step::Send(a.to_vec()), Step::Pause(LIMIT_MS), Step::Read];
        out.push((format!("{name} never whole"), 0, late));
    }
    for frontend in [0, 3, 4] {
        out.push((format!("silence, {frontend}"), frontend, vec![Step::Pause(LIMIT_MS), Step::Read]));
        out.push((format!("end at once, {frontend}"), frontend, vec![Step::HalfClose, Step::Read]));
        out.push((format!("garbage, {frontend}"), frontend, with(b"garbage")));
        out.push((format!("wrong text, {frontend}"), frontend, with(b"PROXY TCP9 x\r\n")));
        out.push((
            format!("cut text, {frontend}"),
            frontend,
            vec![Step::Send(b"PROXY T".to_vec()), Step::HalfClose, Step::Read],
        ));
    }
    out.extend(lengths());
    out.extend(netscaler());
    for (name, header) in [
        ("text", &good),
        ("binary", &good2),
        ("unknown", &b"PROXY UNKNOWN\r\n".to_vec()),
        ("local", &binary(0x20, 0, &[], &[])),
        ("none", &Vec::new()),
    ] {
        out.push((format!("{name}, bytes"), 1, with(header)));
        if name != "none" {
            out.push((format!("{name}, from a Unix socket"), 5, with(header)));
        }
    }
    for ip in ["10.9.9.9", "10.1.1.1", "10.2.2.2", "10.3.3.3"] {
        let header = format!("PROXY TCP4 {ip} 10.4.5.6 7 8\r\n");
        out.push((format!("rules see {ip}"), 6, with(header.as_bytes())));
    }
    out
}
