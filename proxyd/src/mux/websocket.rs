//! Keys of WebSocket handshakes (RFC 6455, 4): HTTP/1 has them, HTTP/2's way to ask for a tunnel has not.
//!
//! Absent on purpose: frames; what goes through a tunnel is nobody's business here.

use crate::http::message::Message;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What every server joins to the key (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Field of a request.
pub const KEY: &[u8] = b"sec-websocket-key";
/// Field of a response.
const ACCEPT: &[u8] = b"sec-websocket-accept";

/// A new key: 16 random bytes.
pub fn key() -> String {
    STANDARD.encode(rand::random::<[u8; 16]>())
}

/// What a server answers to a key.
pub fn accept(key: &[u8]) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

/// Whether a request asks for WebSocket.
pub fn is_asked(request: &Message) -> bool {
    request.first(b"upgrade").is_some_and(|v| h1::eq_lower(v, b"websocket"))
}

/// Whether a response agrees as it must: with an answer at all, and with the right one where the key was ours.
pub fn is_accepted(request: &Message, response: &Message, own_key: bool) -> bool {
    match (response.first(ACCEPT), request.first(KEY)) {
        (Some(said), Some(key)) if own_key => said == accept(key).as_bytes(),
        (said, _) => said.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_answered_as_the_standard_has_it() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(key() != key() && key().len() == 24);
    }
}
