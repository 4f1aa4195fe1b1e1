//! The phase chart of a stream: accept → analyse → connect → transfer → log.
//!
//! [`accept`] makes a session of a connection, [`requests`] reads one request after the other, [`multiplexed`] many
//! at once, [`http`] is one exchange, [`tcp`] a stream without messages; both use [`analyse`], [`assign`],
//! [`connect`] ([`hang`] while that takes long) and [`transfer`]. A stream whose bytes only pass keeps what
//! [`passing`] needs; a connection that only waits is put away by [`park`].

pub mod accept;
pub mod analyse;
pub mod answer;
pub mod assign;
pub mod cached;
pub mod connect;
pub mod ending;
pub mod handshake;
pub mod hang;
pub mod heading;
pub mod http;
pub mod multiplexed;
pub mod park;
pub mod parts;
pub mod passing;
pub mod requests;
pub mod rules;
pub mod service;
pub mod tcp;
pub mod tracking;
pub mod transfer;
pub mod txn;
pub mod vars;
pub mod view;
