//! Log-format strings: from a view of a transaction to bytes, pure.
//!
//! Invariant: rendering never fails and never waits; what is not known prints as haproxy prints it (`-`, `-1`,
//! `<NOSRV>` …).
//!
//! Absent on purpose: where a line goes (`mod.rs`), what a tag prints (`tag.rs`).

use super::tag::{self, Tag};
use crate::config::model::Mode;
use crate::sample::expr::{Expr, Scope};
use crate::sample::source::Points;
use crate::sample::{Buf, Type};
use crate::stream::view::View;
use conf_parsers::haproxy::expr::FormatItem;
use conf_parsers::haproxy::log_format;

/// What a format string is for; decides how odd bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A log line: missing values are `-`, runs of spaces are one.
    Log,
    /// A header, a body, a variable: missing values are nothing, control bytes are `%XX`.
    Http,
    /// As [`Use::Http`], with runs of spaces made one: `unique-id-format`.
    Id,
}

impl Use {
    /// Whether runs of spaces are one.
    fn merges(self) -> bool {
        self != Self::Http
    }
}

/// `%{+Q}` and its relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `Q`: in double quotes.
    pub quote: bool,
    /// `E`: `"`, `\` and `]` behind a backslash.
    pub escape: bool,
    /// `X`: numbers and addresses in hexadecimal.
    pub hex: bool,
}

impl Flags {
    fn apply(mut self, text: &str) -> Self {
        for word in text.split(',').filter(|w| !w.is_empty()) {
            let (on, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
                (Some(n), _) => (true, n),
                (_, Some(n)) => (false, n),
                // haproxy passes over a flag without sign.
                _ => continue,
            };
            match name {
                "Q" => self.quote = on,
                "E" => self.escape = on,
                "X" => self.hex = on,
                // "M" (mandatory) is what log lines do anyway; unknown letters are passed over, as haproxy does.
                _ => {}
            }
        }
        self
    }
}

#[derive(Debug)]
enum Item {
    Text(Box<[u8]>),
    Tag(&'static Tag, Flags),
    Expr(Box<Expr>, Flags),
}

/// A compiled log-format string.
#[derive(Debug)]
pub struct Format {
    items: Vec<Item>,
    usage: Use,
    /// The string as written.
    pub text: String,
}

/// The line of a proxy without a format.
pub const DEFAULT_FORMAT: &str = "Connect from %ci:%cp to %fi:%fp (%f/%{-Q}mode)";
/// `option tcplog`.
pub const TCP_FORMAT: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
/// `option httplog`.
pub const HTTP_FORMAT: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                               %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option httpslog`.
pub const HTTPS_FORMAT: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                                %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r \
                                %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] \
                                %[ssl_fc_sni]/%sslv/%sslc";
/// `option httplog clf`.
pub const CLF_FORMAT: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr \
                              %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
/// Connections that end before there is a stream.
pub const ERROR_FORMAT: &str = "%ci:%cp [%tr] %ft %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/\
                                %[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";

impl Format {
    /// Compiles a string for a use at `at`; the error is haproxy's text.
    pub fn compile(text: &str, usage: Use, at: Points, scope: &mut Scope<'_>) -> Result<Self, String> {
        let mut out = Self { items: Vec::new(), usage, text: text.to_owned() };
        let mut global = Flags::default();
        // Whether options were set before anything else.
        let mut bare = false;
        scope.formats.line = scope.origin.1;
        for item in log_format::parse(text)? {
            match item {
                FormatItem::Text(t) => {
                    let mut t = if usage.merges() { merge_spaces(&t) } else { t };
                    // What stands before may have printed nothing (`%{+Q}o`): spaces stay one, and none leads.
                    let spaced = match out.items.last() {
                        None => bare,
                        Some(Item::Text(before)) => before.ends_with(b" "),
                        Some(_) => false,
                    };
                    if usage.merges() && spaced {
                        t = t.trim_start_matches(' ').to_owned();
                    }
                    out.items.push(Item::Text(t.into_bytes().into()));
                }
                FormatItem::Tag { tag, flags, .. } if tag == "o" => {
                    bare = true;
                    global = global.apply(&flags);
                }
                FormatItem::Tag { tag, flags, .. } => {
                    let row = tag::find(&tag).ok_or_else(|| {
                        format!(
                            "no such format variable '{tag}'. If you wanted to emit the '%' character verbatim, you need to use '%%'"
                        )
                    })?;
                    if row.needs_http && usage != Use::Http && scope.mode != Mode::Http {
                        return Err(format!("format variable '{tag}' is reserved for HTTP mode"));
                    }
                    scope.formats.http |= row.needs_http;
                    out.items.push(Item::Tag(row, global.apply(&flags)));
                }
                FormatItem::Expr { expr, flags, .. } => {
                    let shown = log_format_text(text, &expr);
                    let expr = Expr::compile(&expr, scope)
                        .map_err(|e| format!("failed to parse sample expression <{shown}> : {e}"))?;
                    scope.formats.http |= expr.source().needs_http();
                    if !expr.points().covers_any(at) {
                        return Err(format!(
                            "sample fetch <{shown}> may not be reliably used here because it needs '{}' which is \
                             not available here",
                            expr.source().needs()
                        ));
                    }
                    out.items.push(Item::Expr(Box::new(expr), global.apply(&flags)));
                }
            }
        }
        Ok(out)
    }

    /// Whether it is plain text.
    pub fn constant(&self) -> Option<&[u8]> {
        match self.items.as_slice() {
            [] => Some(b""),
            [Item::Text(t)] => Some(t),
            _ => None,
        }
    }

    /// Writes the string for a view, behind what `out` holds.
    pub fn render(&self, view: &View<'_>, out: &mut Vec<u8>) {
        // Whether a space stands last; what prints nothing between two spaces leaves one.
        let mut spaced = false;
        for item in &self.items {
            let before = out.len();
            match item {
                Item::Text(t) => {
                    let skip = usize::from(spaced && self.usage.merges() && t.first() == Some(&b' '));
                    out.extend_from_slice(&t[skip..]);
                    spaced = if t.len() > skip { t.ends_with(b" ") } else { spaced };
                    continue;
                }
                Item::Tag(tag, flags) => {
                    let mut writer = Writer { out, flags: *flags, usage: self.usage, empty: false };
                    (tag.write)(view, &mut writer);
                    spaced &= !writer.empty;
                }
                Item::Expr(expr, flags) => {
                    let text = expr.run(view).and_then(|v| v.cast(Type::Str)).and_then(|v| v.into_text());
                    let mut writer = Writer { out, flags: *flags, usage: self.usage, empty: false };
                    match self.usage {
                        Use::Log => writer.text(text.as_deref().unwrap_or(b"")),
                        Use::Http | Use::Id => writer.http(&text.unwrap_or(Buf::Ref(b""))),
                    }
                }
            }
            spaced &= out.len() == before;
        }
    }

    /// The string for a view.
    pub fn to_bytes(&self, view: &View<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.render(view, &mut out);
        out
    }
}

/// haproxy names a faulty expression together with the bracket that follows it.
fn log_format_text(whole: &str, expr: &conf_parsers::haproxy::expr::SampleExpr) -> String {
    let (start, end) = (expr.span.start as usize, expr.span.end as usize);
    match (whole.get(start..end), whole.get(end..)) {
        (Some(text), Some(rest)) => format!("{text}{rest}"),
        _ => whole.to_owned(),
    }
}

fn merge_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

/// Writes values as flags and use ask for.
#[derive(Debug)]
pub struct Writer<'o> {
    /// Where to.
    pub out: &'o mut Vec<u8>,
    /// Flags of the item.
    pub flags: Flags,
    /// Use of the string.
    pub usage: Use,
    /// Set by an item whose value was there and empty: the spaces around it stay.
    pub empty: bool,
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

impl Writer<'_> {
    /// Text as it is; nothing prints as `-` in logs, or as two quotes.
    pub fn text(&mut self, text: &[u8]) {
        self.wrapped(text, |w, t| w.escaped(t));
    }

    fn wrapped(&mut self, text: &[u8], inner: fn(&mut Self, &[u8])) {
        if text.is_empty() && !self.flags.quote {
            if self.usage == Use::Log {
                self.out.push(b'-');
            }
            return;
        }
        let quote = self.flags.quote;
        if quote {
            self.out.push(b'"');
        }
        inner(self, text);
        if quote {
            self.out.push(b'"');
        }
    }

    fn escaped(&mut self, text: &[u8]) {
        for b in text {
            if self.flags.escape && matches!(b, b'"' | b'\\' | b']') {
                self.out.push(b'\\');
            }
            self.out.push(*b);
        }
    }

    /// Text from the wire: `#XX` for control bytes, bytes above 126, and those in `also`.
    pub fn encoded(&mut self, text: &[u8], also: &[u8]) {
        let quote = self.flags.quote;
        if text.is_empty() {
            return self.text(text);
        }
        if quote {
            self.out.push(b'"');
        }
        self.hashed(text, also);
        if quote {
            self.out.push(b'"');
        }
    }

    /// As [`Self::encoded`], without quotes.
    pub fn hashed(&mut self, text: &[u8], also: &[u8]) {
        for b in text {
            if *b < 0x20 || *b >= 0x7f || also.contains(b) {
                self.out.extend_from_slice(&[b'#', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            } else if self.flags.escape && matches!(b, b'"' | b'\\' | b']') {
                self.out.extend_from_slice(&[b'\\', *b]);
            } else {
                self.out.push(*b);
            }
        }
    }

    /// The value of an expression in a header or body: control bytes but tabs are `%XX`.
    fn http(&mut self, text: &[u8]) {
        for b in text {
            if self.flags.escape && matches!(b, b'"' | b'\\' | b']') {
                self.out.extend_from_slice(&[b'\\', *b]);
            } else if (*b < 0x20 && *b != b'\t') || *b == 0x7f {
                self.out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            } else {
                self.out.push(*b);
            }
        }
    }

    /// A number that `+X` writes in hexadecimal with at least `width` digits.
    pub fn hex_int(&mut self, n: i64, width: usize) {
        if self.flags.hex {
            self.out.extend_from_slice(format!("{n:0width$X}").as_bytes());
        } else {
            self.int(n);
        }
    }

    /// A number in decimal.
    pub fn int(&mut self, n: i64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = n.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    /// Bytes as they are, without any flag.
    pub fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }
}
