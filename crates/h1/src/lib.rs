//! HTTP/1 connection core.
