//! Counters. Written by the engine with relaxed atomics, read by the stats page, the CLI and the exporter.

use std::sync::atomic::AtomicU64;

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: AtomicU64,)*
        }
    };
}

counters! {
    /// What haproxy counts for a frontend or listener.
    FrontCounters {
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
        /// Bytes fed to the compressor (`comp_in`).
        comp_in,
        /// Bytes that came out (`comp_out`).
        comp_out,
        /// Bytes that went around it (`comp_byp`).
        comp_byp,
        /// Compressed responses (`comp_rsp`).
        comp_rsp,
        /// Highest connection rate (`conn_rate_max`).
        conn_rate_max,
        /// Highest session rate (`rate_max`).
        sess_rate_max,
        /// Highest request rate (`req_rate_max`).
        req_rate_max,
    }
}

counters! {
    /// What haproxy counts for a backend or server.
    BackCounters {
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
        /// Highest session rate (`rate_max`).
        sess_rate_max,
        /// Bytes fed to the compressor (`comp_in`).
        comp_in,
        /// Bytes that came out (`comp_out`).
        comp_out,
        /// Bytes that went around it (`comp_byp`).
        comp_byp,
        /// Compressed responses (`comp_rsp`).
        comp_rsp,
    }
}
