//! Counters. Written by the engine with relaxed atomics, read by the stats page, the CLI and the exporter.

pub mod csv;
mod descriptions;
pub mod fields;
pub mod info;
pub mod page;
pub mod prometheus;
pub mod rate;
pub mod rows;
pub mod schema;
pub mod service;
pub mod status;
pub mod tally;

use rate::{Average, Rate};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident, $rates:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: AtomicU64,)*
            /// Rates and averages.
            pub rates: $rates,
        }

        impl $name {
            /// Counts a response status.
            pub fn count_status(&self, status: u16) {
                let counter = match status / 100 {
                    1 => &self.http_1xx,
                    2 => &self.http_2xx,
                    3 => &self.http_3xx,
                    4 => &self.http_4xx,
                    5 => &self.http_5xx,
                    _ => &self.http_other,
                };
                tally::Tally::plus(counter, 1);
            }

            /// Sets every counter to zero (`clear counters all`), gauges aside.
            pub fn clear_all(&self) {
                let gauges = self.gauges();
                $(if !gauges.iter().any(|g| std::ptr::eq(*g, &raw const self.$field)) { self.$field.store(0, Relaxed); })*
            }
        }
    };
}

counters! {
    /// What haproxy counts for a frontend or listener.
    FrontCounters, FrontRates {
        /// Connections now (`scur`).
        cur_conn,
        /// Most at once (`smax`).
        max_conn,
        /// Sessions in all (`stot`).
        cum_sess,
        /// Connections in all (`conn_tot`).
        cum_conn,
        /// Bytes from clients (`bin`).
        bytes_in,
        /// Bytes to clients (`bout`).
        bytes_out,
        /// Requests denied by rules (`dreq`).
        denied_req,
        /// Responses denied by rules (`dresp`).
        denied_resp,
        /// Bad requests (`ereq`).
        failed_req,
        /// Connections denied by tcp-request connection (`dcon`).
        denied_conn,
        /// Sessions denied by tcp-request session (`dses`).
        denied_sess,
        /// HTTP requests in all (`req_tot`).
        http_req,
        /// 1xx answers.
        http_1xx,
        /// 2xx answers.
        http_2xx,
        /// 3xx answers.
        http_3xx,
        /// 4xx answers.
        http_4xx,
        /// 5xx answers.
        http_5xx,
        /// Other answers.
        http_other,
        /// Requests answered by the proxy itself (`intercepted`).
        intercepted,
        /// Failed header rewrites (`wrew`).
        failed_rewrites,
        /// Internal errors (`eint`).
        internal_errors,
        /// Requests looked up in caches (`cache_lookups`).
        cache_lookups,
        /// Requests answered by caches (`cache_hits`).
        cache_hits,
        /// Bytes fed to the compressor (`comp_in`).
        comp_in,
        /// Bytes that came out (`comp_out`).
        comp_out,
        /// Bytes that went around it (`comp_byp`).
        comp_byp,
        /// Compressed responses (`comp_rsp`).
        comp_rsp,
        /// TLS sessions (`ssl_sess`).
        ssl_sess,
        /// Resumed TLS sessions (`ssl_reused_sess`).
        ssl_reused_sess,
        /// Failed TLS handshakes (`ssl_failed_handshake`).
        ssl_failed_handshake,
        /// HTTP/2 connections now (`h2_open_connections`).
        h2_open_connections,
        /// HTTP/2 connections in all (`h2_total_connections`).
        h2_total_connections,
        /// HTTP/2 streams now (`h2_backend_open_streams`).
        h2_open_streams,
        /// HTTP/2 streams in all (`h2_backend_total_streams`).
        h2_total_streams,
        /// HEADERS received (`h2_headers_rcvd`).
        h2_headers,
        /// DATA received (`h2_data_rcvd`).
        h2_data,
        /// SETTINGS received (`h2_settings_rcvd`).
        h2_settings,
        /// RST_STREAM received (`h2_rst_stream_rcvd`).
        h2_rst,
        /// GOAWAY received (`h2_goaway_rcvd`).
        h2_goaway,
        /// Faults of HTTP/2 connections (`h2_detected_conn_protocol_errors`).
        h2_conn_faults,
        /// Faults of HTTP/2 streams (`h2_detected_strm_protocol_errors`).
        h2_strm_faults,
        /// RST_STREAM sent (`h2_rst_stream_resp`).
        h2_rst_sent,
        /// GOAWAY sent (`h2_goaway_resp`).
        h2_goaway_sent,
        /// HTTP/1 streams now (`h1_open_streams`).
        h1_open_streams,
        /// Bytes from clients that went through a pipe (`h1_spliced_bytes_in`).
        spliced_in,
        /// Bytes to clients that went through a pipe (`h1_spliced_bytes_out`).
        spliced_out,
    }
}

counters! {
    /// What haproxy counts for a backend or server.
    BackCounters, BackRates {
        /// Sessions now (`scur`).
        cur_sess,
        /// Most at once (`smax`).
        max_sess,
        /// Sessions in all (`stot`).
        cum_sess,
        /// Queued now (`qcur`).
        queue_cur,
        /// Most queued at once (`qmax`).
        queue_max,
        /// Bytes to servers (`bin`).
        bytes_in,
        /// Bytes from servers (`bout`).
        bytes_out,
        /// Requests denied (`dreq`).
        denied_req,
        /// Responses denied (`dresp`).
        denied_resp,
        /// Failed connections (`econ`).
        failed_conns,
        /// Failed responses (`eresp`).
        failed_resp,
        /// Retries (`wretr`).
        retries,
        /// Redispatches (`wredis`).
        redispatches,
        /// Transfers aborted by clients (`cli_abrt`).
        cli_aborts,
        /// Transfers aborted by servers (`srv_abrt`).
        srv_aborts,
        /// Times chosen by balancing (`lbtot`).
        lb_total,
        /// HTTP requests in all (`req_tot`).
        http_req,
        /// 1xx answers.
        http_1xx,
        /// 2xx answers.
        http_2xx,
        /// 3xx answers.
        http_3xx,
        /// 4xx answers.
        http_4xx,
        /// 5xx answers.
        http_5xx,
        /// Other answers.
        http_other,
        /// Connection attempts (`connect`).
        connect,
        /// Connections reused (`reuse`).
        reuse,
        /// Failed header rewrites (`wrew`).
        failed_rewrites,
        /// Internal errors (`eint`).
        internal_errors,
        /// Requests looked up in caches (`cache_lookups`).
        cache_lookups,
        /// Requests answered by caches (`cache_hits`).
        cache_hits,
        /// Bytes fed to the compressor (`comp_in`).
        comp_in,
        /// Bytes that came out (`comp_out`).
        comp_out,
        /// Bytes that went around it (`comp_byp`).
        comp_byp,
        /// Compressed responses (`comp_rsp`).
        comp_rsp,
        /// TLS sessions (`ssl_sess`).
        ssl_sess,
        /// Resumed TLS sessions (`ssl_reused_sess`).
        ssl_reused_sess,
        /// Failed TLS handshakes (`ssl_failed_handshake`).
        ssl_failed_handshake,
        /// Bytes that went through a pipe towards the server.
        spliced_in,
        /// Bytes that went through a pipe from the server.
        spliced_out,
    }
}

/// Rates of a frontend or listener.
#[derive(Debug, Default)]
pub struct FrontRates {
    /// Connections (`conn_rate`).
    pub conn: Rate,
    /// Sessions (`rate`).
    pub sess: Rate,
    /// Requests (`req_rate`).
    pub req: Rate,
}

/// Rates and times of a backend or server.
#[derive(Debug, Default)]
pub struct BackRates {
    /// Sessions (`rate`).
    pub sess: Rate,
    /// Time in the queue, milliseconds (`qtime`).
    pub queue_ms: Average,
    /// Time to connect, milliseconds (`ctime`).
    pub connect_ms: Average,
    /// Time to the response, milliseconds (`rtime`); 0 in TCP.
    pub response_ms: Average,
    /// Whole time, milliseconds (`ttime`).
    pub total_ms: Average,
    /// When the last session began, seconds since the epoch; 0 is never (`lastsess`).
    pub last_session: AtomicU64,
}

impl FrontCounters {
    fn gauges(&self) -> [*const AtomicU64; 4] {
        [
            &raw const self.cur_conn,
            &raw const self.h2_open_connections,
            &raw const self.h2_open_streams,
            &raw const self.h1_open_streams,
        ]
    }
}

impl BackCounters {
    /// Counts what a stream moved: bytes to the server, and from it.
    pub fn count_bytes(&self, to_server: u64, from_server: u64) {
        tally::Tally::plus(&self.bytes_in, to_server);
        tally::Tally::plus(&self.bytes_out, from_server);
    }

    fn gauges(&self) -> [*const AtomicU64; 2] {
        [&raw const self.cur_sess, &raw const self.queue_cur]
    }
}
