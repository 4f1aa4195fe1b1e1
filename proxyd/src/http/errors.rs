//! The answers the proxy gives by itself when nobody wrote another: haproxy's pages, byte for byte.
//!
//! A page is sent in two dresses: raw, with the names as haproxy's files have them, where no request could be
//! read; and as a message whose names are in lower case, where one could.
//!
//! Absent on purpose: `errorfile` and `http-error` (they replace a page in the configuration).

use crate::http::message::{Message, Start};

/// What the field that ends a connection counts in logs: its name and value.
pub const CLOSE_COUNTED: u64 = b"connectionclose".len() as u64;

/// One canned page.
#[derive(Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'static str,
    /// Whether it ends the connection by itself.
    pub close: bool,
    /// Its headline, often but not always the reason.
    title: &'static str,
    text: &'static str,
}

const fn page(status: u16, reason: &'static str, text: &'static str) -> Page {
    Page { status, reason, close: false, title: reason, text }
}

/// All pages, by status.
pub const PAGES: &[Page] = &[
    page(200, "OK", "Service ready."),
    Page { close: true, ..page(400, "Bad request", "Your browser sent an invalid request.") },
    page(401, "Unauthorized", "You need a valid user and password to access this content."),
    page(403, "Forbidden", "Request forbidden by administrative rules."),
    page(404, "Not Found", "The resource could not be found."),
    page(
        405,
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource",
    ),
    page(407, "Unauthorized", "You need a valid user and password to access this content."),
    Page {
        close: true,
        ..page(408, "Request Time-out", "Your browser didn't send a complete request in time.")
    },
    page(410, "Gone", "The resource is no longer available and will not be available again."),
    page(413, "Payload Too Large", "The request entity exceeds the maximum allowed."),
    page(421, "Misdirected Request", "Request sent to a non-authoritative server."),
    page(422, "Unprocessable Content", "The server cannot process the contained instructions."),
    page(425, "Too Early", "Your browser sent early data."),
    page(429, "Too Many Requests", "You have sent too many requests in a given amount of time."),
    page(500, "Internal Server Error", "An internal server error occurred."),
    page(
        501,
        "Not Implemented",
        ".The server does not support the functionality required to fulfill the request.",
    ),
    page(502, "Bad Gateway", "The server returned an invalid or incomplete response."),
    page(503, "Service Unavailable", "No server is available to handle this request."),
    page(504, "Gateway Time-out", "The server didn't respond in time."),
];

/// The page of a status; 500's for a status that has none.
pub fn of(status: u16) -> &'static Page {
    PAGES.iter().find(|p| p.status == status).unwrap_or_else(|| of(500))
}

impl Page {
    /// The body.
    pub fn body(&self) -> String {
        format!("<html><body><h1>{} {}</h1>\n{}\n</body></html>\n", self.status, self.title, self.text)
    }

    /// Head and body with the names of haproxy's own files.
    pub fn raw(&self) -> Vec<u8> {
        let body = self.body();
        let close = if self.close { "Connection: close\r\n" } else { "" };
        let (status, reason) = (self.status, self.reason);
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-length: {}\r\nCache-Control: no-cache\r\n{close}Content-Type: text/html\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Fills a message; gives the body.
    pub fn message(&self, into: &mut Message) -> Vec<u8> {
        let body = self.body();
        into.clear();
        let reason = into.store(self.reason.as_bytes());
        into.start = Start::Response { status: self.status, reason };
        into.version = (1, 1);
        into.add(b"content-length", body.len().to_string().as_bytes());
        into.add(b"cache-control", b"no-cache");
        into.add(b"content-type", b"text/html");
        body.into_bytes()
    }
}

/// Reason phrase of a status, for answers that rules make.
pub fn reason(status: u16) -> &'static str {
    REASONS.iter().find(|(s, _)| *s == status).map_or_else(
        || match status / 100 {
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            5 => "Server Error",
            _ => "Other",
        },
        |(_, reason)| reason,
    )
}

/// Reason phrases by status (IANA's registry, and haproxy's where it has none).
const REASONS: &[(u16, &str)] = &[
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (210, "Content Different"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (310, "Too many Redirects"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Time-out"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Requested range unsatisfiable"),
    (417, "Expectation failed"),
    (418, "I'm a teapot"),
    (421, "Misdirected Request"),
    (422, "Unprocessable entity"),
    (423, "Locked"),
    (424, "Method failure"),
    (425, "Too Early"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (449, "Retry With"),
    (450, "Blocked by Windows Parental Controls"),
    (451, "Unavailable For Legal Reasons"),
    (456, "Unrecoverable Error"),
    (499, "client has closed connection"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway or Proxy Error"),
    (503, "Service Unavailable"),
    (504, "Gateway Time-out"),
    (505, "HTTP Version not supported"),
    (506, "Variant also negociate"),
    (507, "Insufficient storage"),
    (508, "Loop detected"),
    (509, "Bandwidth Limit Exceeded"),
    (510, "Not extended"),
    (511, "Network authentication required"),
    (520, "Web server is returning an unknown error"),
];

/// What the fields of a head count that tell of the connection.
pub fn connection_len(head: &[u8]) -> u64 {
    let fields = head.split(|b| *b == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"connection").then_some(name.len() + value.len())
    });
    fields.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn pages_have_the_lengths_of_haproxy() {
        for (status, len) in [
            (400, 90),
            (403, 93),
            (404, 83),
            (405, 146),
            (408, 110),
            (500, 97),
            (501, 136),
            (502, 107),
            (503, 107),
            (504, 92),
        ] {
            assert_eq!(super::of(status).body().len(), len, "{status}");
        }
    }
}
