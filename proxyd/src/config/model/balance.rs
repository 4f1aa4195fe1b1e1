//! `balance` and `hash-type`.

use crate::sample;
use std::sync::Arc;

/// `balance` with its arguments.
#[derive(Debug, Clone)]
pub struct Balance {
    /// The algorithm's row name in `balance::BALANCERS`.
    pub algorithm: Algorithm,
    /// `hash-type` method: consistent instead of map-based.
    pub consistent: bool,
    /// `hash-type` function.
    pub function: HashFunction,
    /// `hash-type … avalanche`.
    pub avalanche: bool,
}

/// A balancing algorithm with its arguments.
#[derive(Debug, Clone)]
pub enum Algorithm {
    /// `roundrobin`.
    RoundRobin,
    /// `static-rr`.
    StaticRr,
    /// `leastconn`.
    LeastConn,
    /// `first`.
    First,
    /// `source`.
    Source,
    /// `uri [len N] [depth N] [whole] [path-only]`.
    Uri {
        /// Bytes looked at; 0 is all.
        len: usize,
        /// Directories looked at; 0 is all.
        depth: usize,
        /// Query string included.
        whole: bool,
        /// Host part of an absolute URI left out.
        path_only: bool,
    },
    /// `url_param NAME [check_post]`.
    UrlParam {
        /// The parameter.
        name: String,
        /// Looks into the body too.
        check_post: bool,
    },
    /// `hdr(NAME) [use_domain_only]`.
    Hdr {
        /// The header.
        name: String,
        /// Only the word before the top domain.
        use_domain_only: bool,
    },
    /// `random(N)`.
    Random(u32),
    /// `rdp-cookie(NAME)`.
    RdpCookie(String),
    /// `hash EXPR`.
    Hash(Arc<sample::expr::Expr>),
}

/// `hash-type` function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashFunction {
    /// `sdbm`, the default.
    #[default]
    Sdbm,
    /// `djb2`.
    Djb2,
    /// `wt6`.
    Wt6,
    /// `crc32`.
    Crc32,
    /// `none`.
    None,
}
