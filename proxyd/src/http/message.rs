//! One HTTP head: start line and header fields, editable without copying what is not touched.
//!
//! All bytes live in one arena that a connection uses again for its next message; fields are ranges of it, so
//! an edit appends the new bytes and moves a range. Order is kept; a removed field leaves a hole.
//!
//! Absent on purpose: bodies, sockets, and what a field means.

/// A range of bytes in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One header field.
#[derive(Debug, Clone, Copy, Default)]
pub struct Field {
    /// The name, in lower case.
    pub name: Slice,
    /// The value without surrounding white space.
    pub value: Slice,
    /// Taken out; skipped by everything.
    pub removed: bool,
}

/// A request's or a response's start line.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// `GET /uri HTTP/1.1`.
    Request {
        /// The method.
        method: Slice,
        /// The target as received.
        uri: Slice,
    },
    /// `HTTP/1.1 200 OK`.
    Response {
        /// The status.
        status: u16,
        /// The reason phrase.
        reason: Slice,
    },
}

/// A head.
#[derive(Debug, Clone)]
pub struct Message {
    arena: Vec<u8>,
    fields: Vec<Field>,
    /// The start line.
    pub start: Start,
    /// Major and minor version as received.
    pub version: (u8, u8),
    /// The target has scheme and authority since HTTP/2 says them, not since it was asked for so: HTTP/1 is sent the
    /// path alone.
    pub normalized: bool,
    /// The body has no announced length: HTTP/1 is told of chunks when the head is written.
    pub chunks: bool,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            arena: Vec::new(),
            fields: Vec::new(),
            start: Start::Request { method: Slice::default(), uri: Slice::default() },
            version: (1, 1),
            normalized: false,
            chunks: false,
        }
    }
}

impl Message {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        (self.normalized, self.chunks) = (false, false);
    }

    /// How many fields there are, those taken out included: the index of the next one.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there never was a field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Starts over with a copy of a head as received; slices of it are made by [`Self::slice_at`].
    pub fn load(&mut self, head: &[u8]) {
        self.clear();
        self.arena.extend_from_slice(head);
    }

    /// The slice of the copy that `part` was in what was received, the copy having begun at `origin`.
    pub fn slice_at(&self, origin: usize, part: h1::Slice) -> Slice {
        Slice { start: part.start - origin as u32, len: part.len }
    }

    /// Adds fields of the copy: names turn to lower case, line breaks of a folded value to blanks.
    pub fn load_fields(&mut self, origin: usize, fields: &[h1::Field]) {
        let arena = &mut self.arena[..];
        self.fields.extend(fields.iter().map(|field| {
            let at = |part: h1::Slice| Slice { start: part.start - origin as u32, len: part.len };
            let (name, value) = (at(field.name), at(field.value));
            h1::emit::lower(&mut arena[name.start as usize..(name.start + name.len) as usize]);
            if field.folded {
                for b in &mut arena[value.start as usize..(value.start + value.len) as usize] {
                    if matches!(b, b'\r' | b'\n') {
                        *b = b' ';
                    }
                }
            }
            Field { name, value, removed: false }
        }));
    }

    /// Where the arena holds the start line as it goes on the wire, CRLF included.
    fn start_line(&self) -> Option<(usize, usize)> {
        if self.normalized || self.version != (1, 1) {
            return None;
        }
        let (begin, end) = match self.start {
            Start::Request { method, uri } => {
                const BEHIND: &[u8] = b" HTTP/1.1\r\n";
                let (space, end) = ((method.start + method.len) as usize, (uri.start + uri.len) as usize);
                let is_whole = uri.start as usize == space + 1
                    && self.arena.get(space) == Some(&b' ')
                    && self.arena.get(end..end + BEHIND.len()) == Some(BEHIND);
                (Some(method.start as usize).filter(|_| is_whole)?, end + BEHIND.len())
            }
            Start::Response { status, reason } => {
                let (start, end) = (reason.start as usize, (reason.start + reason.len) as usize);
                let digit = |n: u16| b'0' + (n % 10) as u8;
                let [a, b, c] = [digit(status / 100), digit(status / 10), digit(status)];
                let before = [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', a, b, c, b' '];
                let begin = start.checked_sub(before.len())?;
                let is_whole = (100..1000).contains(&status)
                    && self.arena.get(begin..start) == Some(&before[..])
                    && self.arena.get(end..end + 2) == Some(b"\r\n");
                (Some(begin).filter(|_| is_whole)?, end + 2)
            }
        };
        Some((begin, end))
    }

    /// The start line as received, without its end, where it is in the form that goes on the wire.
    pub fn line_as_received(&self) -> Option<&[u8]> {
        self.start_line().map(|(start, end)| &self.arena[start..end - 2])
    }

    /// Where the message stands now, for [`Self::restore`].
    pub fn mark(&self) -> (usize, usize) {
        (self.arena.len(), self.fields.len())
    }

    /// Takes out what was added since the mark; edits of older fields stay.
    pub fn restore(&mut self, (arena, fields): (usize, usize)) {
        self.arena.truncate(arena);
        self.fields.truncate(fields);
    }

    /// Appends the head to `out`, start line to empty line, as it goes on the wire.
    ///
    /// What stands in the arena as it goes on the wire is copied together, most often all at once.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.arena.len() + 64);
        let begun = self.start_line();
        match self.start {
            _ if begun.is_some() => {}
            Start::Request { method, uri } => {
                let target = if self.normalized { path_of(self.get(uri)) } else { self.get(uri) };
                h1::emit::request_line(out, self.get(method), target, self.version.min((1, 1)));
            }
            Start::Response { status, reason } => {
                h1::emit::status_line(out, self.version.min((1, 1)), status, self.get(reason));
            }
        }
        let (mut from, mut to) = begun.unwrap_or_default();
        for field in self.fields.iter().filter(|f| !f.removed) {
            let Some((start, end)) = self.line(field) else {
                out.extend_from_slice(&self.arena[from..to]);
                (from, to) = (0, 0);
                h1::emit::field(out, self.get(field.name), self.get(field.value));
                continue;
            };
            if start != to {
                out.extend_from_slice(&self.arena[from..to]);
                from = start;
            }
            to = end;
        }
        if !self.chunks && to > from && self.arena.get(to..to + 2) == Some(b"\r\n") {
            out.extend_from_slice(&self.arena[from..to + 2]);
            return;
        }
        out.extend_from_slice(&self.arena[from..to]);
        out.extend_from_slice(if self.chunks { b"transfer-encoding: chunked\r\n\r\n" } else { b"\r\n" });
    }

    /// Where the arena holds a field as `name: value` and CRLF.
    #[inline]
    fn line(&self, field: &Field) -> Option<(usize, usize)> {
        let (start, colon) = (field.name.start as usize, (field.name.start + field.name.len) as usize);
        let (value, end) = (field.value.start as usize, (field.value.start + field.value.len) as usize);
        let whole = value == colon + 2
            && self.arena.get(colon..value) == Some(b": ")
            && self.arena.get(end..end + 2) == Some(b"\r\n");
        whole.then_some((start, end + 2))
    }

    /// Bytes of the head as haproxy counts them in logs and statistics: not the wire's, but those of its own
    /// message form, a record of 20 bytes with the start line's words, names and values, and an end mark.
    pub fn counted_len(&self) -> usize {
        const START: u32 = 20 + "HTTP/1.1".len() as u32;
        const STATUS: u32 = 3;
        const END: u32 = 1;
        let start = match self.start {
            Start::Request { method, uri } => method.len + uri.len,
            Start::Response { reason, .. } => STATUS + reason.len,
        };
        let fields = self.fields.iter().filter(|f| !f.removed).map(|f| f.name.len + f.value.len);
        (START + start + fields.sum::<u32>() + END) as usize
    }

    /// Puts bytes into the arena.
    pub fn store(&mut self, bytes: &[u8]) -> Slice {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Slice { start, len: bytes.len() as u32 }
    }

    /// The bytes of a slice of this message.
    pub fn get(&self, slice: Slice) -> &[u8] {
        &self.arena[slice.start as usize..(slice.start + slice.len) as usize]
    }

    /// Method; empty for a response.
    pub fn method(&self) -> &[u8] {
        match self.start {
            Start::Request { method, .. } => self.get(method),
            Start::Response { .. } => b"",
        }
    }

    /// Request target; empty for a response.
    pub fn uri(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => self.get(uri),
            Start::Response { .. } => b"",
        }
    }

    /// Status; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// Reason phrase; empty for a request.
    pub fn reason(&self) -> &[u8] {
        match self.start {
            Start::Request { .. } => b"",
            Start::Response { reason, .. } => self.get(reason),
        }
    }

    /// Replaces the method; nothing happens to a response.
    pub fn set_method(&mut self, new: &[u8]) {
        let new = self.store(new);
        if let Start::Request { method, .. } = &mut self.start {
            *method = new;
        }
    }

    /// Replaces the target; nothing happens to a response.
    pub fn set_uri(&mut self, new: &[u8]) {
        let new = self.store(new);
        if let Start::Request { uri, .. } = &mut self.start {
            *uri = new;
        }
    }

    /// Replaces status and reason; nothing happens to a request.
    pub fn set_status(&mut self, new: u16, new_reason: &[u8]) {
        let stored = self.store(new_reason);
        if let Start::Response { status, reason } = &mut self.start {
            *status = new;
            *reason = stored;
        }
    }

    /// Puts a field with stored name and value behind the others.
    pub fn push_field(&mut self, name: Slice, value: Slice) {
        self.fields.push(Field { name, value, removed: false });
    }

    /// Adds a field behind the others; the name is put into lower case.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        // Stored as it goes on the wire, so that it is written together with its neighbours.
        self.arena.reserve(name.len() + value.len() + 4);
        let name = self.store(name);
        self.arena.extend_from_slice(b": ");
        let value = self.store(value);
        self.arena.extend_from_slice(b"\r\n");
        h1::emit::lower(&mut self.arena[name.start as usize..(name.start + name.len) as usize]);
        self.push_field(name, value);
    }

    /// All fields in force, in order, with their indices.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (usize, &[u8], &[u8])> {
        self.fields
            .iter()
            .enumerate()
            .filter(|(_, f)| !f.removed)
            .map(|(i, f)| (i, self.get(f.name), self.get(f.value)))
    }

    /// The fields of a name (any case), in order.
    pub fn find<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = (usize, &'a [u8])> {
        self.fields()
            .filter(move |(_, n, _)| n.len() == name.len() && n.eq_ignore_ascii_case(name))
            .map(|(i, _, v)| (i, v))
    }

    /// The first value of a name.
    pub fn first<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.find(name).next().map(|(_, v)| v)
    }

    /// Replaces the value of the field at an index.
    pub fn set_value(&mut self, index: usize, value: &[u8]) {
        let value = self.store(value);
        self.fields[index].value = value;
    }

    /// Takes out the field at an index.
    pub fn remove_at(&mut self, index: usize) {
        self.fields[index].removed = true;
    }

    /// Takes out all fields of a name (any case); says whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let mut hit = false;
        for i in 0..self.fields.len() {
            let f = self.fields[i];
            if !f.removed && self.get(f.name).eq_ignore_ascii_case(name) {
                self.fields[i].removed = true;
                hit = true;
            }
        }
        hit
    }

    /// Takes out all fields of a name and adds one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }
}

/// The path of a target with scheme and authority; the whole server where there is none.
fn path_of(target: &[u8]) -> &[u8] {
    crate::fetch::line::path_and_query(target).filter(|p| !p.is_empty()).unwrap_or(b"*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_does_not_depend_on_what_was_received_together() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nB:2\r\nC:  3\r\nD: 4 \r\nE: 5\nF: 6\r\n  7\r\nG: \r\nLast-One: 8\r\n\r\n";
        let mut parser = h1::HeadParser::new(h1::Kind::Request, h1::Options::default());
        assert!(matches!(parser.parse(head), Ok(h1::Progress::Done(n)) if n == head.len()));
        let mut m = Message::default();
        m.load(head);
        m.load_fields(0, &parser.head.fields);
        m.start = Start::Request {
            method: m.slice_at(0, parser.head.first),
            uri: m.slice_at(0, parser.head.second),
        };
        m.add(b"X-New", b"n");
        let whole = "GET / HTTP/1.1\r\nhost: a\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6    7\r\ng: \r\nlast-one: 8\r\nx-new: n\r\n\r\n";
        let text = |m: &Message| {
            let mut out = Vec::new();
            m.write(&mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(text(&m), whole);
        m.remove(b"last-one");
        m.set(b"b", b"two");
        m.set_value(0, b"other");
        let edited =
            whole.replace("last-one: 8\r\n", "").replace("b: 2\r\n", "").replace("host: a", "host: other");
        assert_eq!(text(&m), edited.replace("x-new: n\r\n", "x-new: n\r\nb: two\r\n"));
    }

    #[test]
    fn start_lines_are_written_as_they_are_now() {
        let written = |m: &Message| {
            let mut out = Vec::new();
            m.write(&mut out);
            String::from_utf8(out).expect("text")
        };
        let head = b"PUT /a HTTP/1.1\r\nA: 1\r\n\r\n";
        let mut parser = h1::HeadParser::new(h1::Kind::Request, h1::Options::default());
        assert!(parser.parse(head).is_ok());
        let mut m = Message::default();
        let info = &mut h1::RequestInfo::default();
        crate::mux::h1::request(&parser.head, head, h1::Options::default(), &mut m, info).expect("head");
        assert_eq!(m.line_as_received(), Some(&b"PUT /a HTTP/1.1"[..]));
        assert_eq!(written(&m), "PUT /a HTTP/1.1\r\na: 1\r\n\r\n");
        m.version = (1, 0);
        assert_eq!(written(&m), "PUT /a HTTP/1.0\r\na: 1\r\n\r\n");
        m.version = (1, 1);
        m.chunks = true;
        assert_eq!(written(&m), "PUT /a HTTP/1.1\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n");
        m.chunks = false;
        m.set_uri(b"/b");
        assert_eq!((written(&m).as_str(), m.line_as_received()), ("PUT /b HTTP/1.1\r\na: 1\r\n\r\n", None));
        m.set_method(b"GET");
        m.remove_at(0);
        assert_eq!(written(&m), "GET /b HTTP/1.1\r\n\r\n");

        let head = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n";
        let mut parser = h1::HeadParser::new(h1::Kind::Response, h1::Options::default());
        assert!(parser.parse(head).is_ok());
        let method = h1::Method::Get;
        crate::mux::h1::response(&parser.head, head, method, false, &mut m).expect("head");
        assert_eq!(written(&m), "HTTP/1.1 200 OK\r\na: 1\r\n\r\n");
        if let Start::Response { status, .. } = &mut m.start {
            *status = 404;
        }
        assert_eq!(written(&m), "HTTP/1.1 404 OK\r\na: 1\r\n\r\n");
        m.set_status(503, b"No");
        m.add(b"B", b"2");
        assert_eq!(written(&m), "HTTP/1.1 503 No\r\na: 1\r\nb: 2\r\n\r\n");
    }

    #[test]
    fn edits_keep_order_and_leave_others_alone() {
        let mut m = Message::default();
        for (n, v) in [("Host", "a"), ("X", "1"), ("x", "2"), ("y", "3")] {
            m.add(n.as_bytes(), v.as_bytes());
        }
        m.set(b"X", b"new");
        let names: Vec<_> = m.fields().map(|(_, n, v)| (n.to_vec(), v.to_vec())).collect();
        let want = [("host", "a"), ("y", "3"), ("x", "new")];
        assert_eq!(names, want.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())));
        assert_eq!(m.first(b"host"), Some(&b"a"[..]));
        assert!(!m.remove(b"x-none"));
    }
}
