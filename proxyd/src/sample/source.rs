//! Where a sample comes from and therefore where an expression may use it: haproxy's `SMP_VAL_*` points.
//!
//! The order of [`POINTS`] and the names of [`Source::needs`] are contracts: `-dKsmp` prints the first,
//! configuration errors the second.

use std::ops::{BitOr, BitOrAssign};

/// A set of points of processing at which an expression may run. Bit 0 is the first column of `-dKsmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Points(pub u32);

impl Points {
    /// `tcp-request connection` rules.
    pub const FE_CONNECTION: Self = Self(1);
    /// `tcp-request session` rules.
    pub const FE_SESSION: Self = Self(1 << 1);
    /// Frontend `tcp-request content` rules.
    pub const FE_CONTENT: Self = Self(1 << 2);
    /// Frontend `http-request` rules.
    pub const FE_REQUEST: Self = Self(1 << 3);
    /// Frontend rules on a request's body.
    pub const FE_REQUEST_BODY: Self = Self(1 << 4);
    /// `use_backend` rules.
    pub const FE_SET_BACKEND: Self = Self(1 << 5);
    /// Backend `tcp-request content` rules.
    pub const BE_CONTENT: Self = Self(1 << 6);
    /// Backend `http-request` rules.
    pub const BE_REQUEST: Self = Self(1 << 7);
    /// Backend rules on a request's body.
    pub const BE_REQUEST_BODY: Self = Self(1 << 8);
    /// `use-server`, `balance`, `stick match`.
    pub const BE_SET_SERVER: Self = Self(1 << 9);
    /// Server source address selection, SNI.
    pub const BE_CONNECT: Self = Self(1 << 10);
    /// Backend `tcp-response content` rules.
    pub const BE_RES_CONTENT: Self = Self(1 << 11);
    /// Backend `http-response` rules.
    pub const BE_RESPONSE: Self = Self(1 << 12);
    /// Backend rules on a response's body.
    pub const BE_RESPONSE_BODY: Self = Self(1 << 13);
    /// `stick store-response`.
    pub const BE_STORE: Self = Self(1 << 14);
    /// Frontend `tcp-response content` rules.
    pub const FE_RES_CONTENT: Self = Self(1 << 15);
    /// Frontend `http-response` rules.
    pub const FE_RESPONSE: Self = Self(1 << 16);
    /// Frontend rules on a response's body.
    pub const FE_RESPONSE_BODY: Self = Self(1 << 17);
    /// Log lines.
    pub const LOG: Self = Self(1 << 18);
    /// Health-check rules.
    pub const CHECK: Self = Self(1 << 19);
    /// While the configuration is read.
    pub const CONFIG: Self = Self(1 << 20);
    /// CLI commands.
    pub const CLI: Self = Self(1 << 21);
    /// Every point.
    pub const ALL: Self = Self((1 << 22) - 1);

    /// Whether an expression valid at `self` may be used where all of `at` can happen.
    pub const fn covers_any(self, at: Self) -> bool {
        self.0 & at.0 != 0
    }

    /// Whether no point is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The points in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Points {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Points {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a fetch reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Constants; also usable while the configuration is read.
    Const,
    /// Facts of the process.
    Internal,
    /// The listener.
    Listener,
    /// The frontend.
    Frontend,
    /// Addresses of the client's connection.
    L4Client,
    /// What the client's connection negotiated.
    L5Client,
    /// Tracked counters.
    Track,
    /// Bytes of the request.
    L6Request,
    /// Request headers.
    RequestHeaders,
    /// Facts kept of the request until the end.
    Request,
    /// The request's body.
    RequestBody,
    /// The backend.
    Backend,
    /// The server.
    Server,
    /// Addresses of the server's connection.
    L4Server,
    /// What the server's connection negotiated.
    L5Server,
    /// Bytes of the response.
    L6Response,
    /// Response headers.
    ResponseHeaders,
    /// Facts kept of the response until the end.
    Response,
    /// The response's body.
    ResponseBody,
    /// Request or response, whichever the rule is about.
    Headers,
    /// Request or response bytes, whichever the rule is about.
    Buffer,
}

const fn mask(from: u32, to: u32) -> u32 {
    ((1 << (to + 1)) - 1) & !((1 << from) - 1)
}

impl Source {
    /// Whether it reads what a client sends as its request.
    pub const fn of_request(self) -> bool {
        matches!(
            self,
            Self::L6Request
                | Self::RequestHeaders
                | Self::Request
                | Self::RequestBody
                | Self::Headers
                | Self::Buffer
        )
    }

    /// The points at which this source holds something.
    pub const fn points(self) -> Points {
        Points(match self {
            Self::Const => Points::ALL.0,
            Self::Internal => Points::ALL.0 & !Points::CONFIG.0,
            Self::Listener | Self::Frontend => mask(0, 18),
            Self::L4Client | Self::Track => mask(0, 19),
            Self::L5Client => mask(1, 18),
            Self::L6Request | Self::RequestHeaders | Self::RequestBody => mask(2, 10),
            Self::Request => mask(2, 18),
            Self::Backend => mask(6, 19),
            Self::Server => mask(10, 19),
            Self::L4Server | Self::L5Server | Self::Response => mask(11, 19),
            Self::L6Response | Self::ResponseHeaders | Self::ResponseBody => mask(11, 17) | Points::CHECK.0,
            Self::Headers | Self::Buffer => mask(2, 17) | Points::CHECK.0,
        })
    }

    /// haproxy's name in "needs '…' which is not available here".
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Const | Self::Internal => "internal state",
            Self::Listener => "listener",
            Self::Frontend => "frontend",
            Self::L4Client => "client address",
            Self::L5Client => "client-side connection",
            Self::Track => "track counters",
            Self::L6Request => "request buffer",
            Self::RequestHeaders => "HTTP request headers",
            Self::Request => "HTTP request",
            Self::RequestBody => "HTTP request body",
            Self::Backend => "backend",
            Self::Server => "server",
            Self::L4Server => "server address",
            Self::L5Server => "server-side connection",
            Self::L6Response => "response buffer",
            Self::ResponseHeaders => "HTTP response headers",
            Self::Response => "HTTP response",
            Self::ResponseBody => "HTTP response body",
            Self::Headers => "HTTP request headers,HTTP response headers",
            Self::Buffer => "request buffer,response buffer",
        }
    }

    /// Whether an HTTP message is needed, so that the proxy must be in mode http.
    pub const fn needs_http(self) -> bool {
        matches!(
            self,
            Self::RequestHeaders
                | Self::Request
                | Self::RequestBody
                | Self::ResponseHeaders
                | Self::Response
                | Self::ResponseBody
                | Self::Headers
        )
    }
}
