//! The original's complaints about options of `bind` and `server` lines that lack their value.
//!
//! Invariant: an option without a line of its own here gets the general text, so that nothing is ever silent.

/// What haproxy says when the value of a `server` option is missing, by option.
const SERVER: &[(&str, &str)] = &[
    ("addr", "'addr' expects <ipv4|ipv6> as argument."),
    ("agent-addr", "'agent-addr' expects an address as argument."),
    ("agent-port", "'agent-port' expects a port number as argument."),
    ("agent-send", "'agent-send' expects a string as argument."),
    ("alpn", "'alpn' : missing the comma-delimited ALPN protocol suite"),
    ("ca-file", "'ca-file' : missing CAfile path"),
    ("check-alpn", "'check-alpn' : missing the comma-delimited ALPN protocol suite"),
    ("check-sni", "'check-sni' : missing SNI"),
    ("cookie", "'cookie' expects <value> as argument."),
    ("crt", "'crt' : missing certificate file path"),
    ("error-limit", "'error-limit' expects an integer argument."),
    ("fall", "'fall' expects an integer argument."),
    ("id", "'id' : expects an integer argument"),
    ("init-addr", ""),
    ("max-reuse", "'max-reuse' expects <value> as argument."),
    ("namespace", "'namespace' : expects <name> as argument"),
    ("observe", "'observe' expects <mode> as argument."),
    (
        "on-error",
        "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got ''",
    ),
    ("on-marked-down", "'on-marked-down' expects 'shutdown-sessions' but got ''"),
    ("on-marked-up", "'on-marked-up' expects 'shutdown-backup-sessions' but got ''"),
    ("pool-low-conn", "'pool-low-conn' expects <value> as argument."),
    ("pool-max-conn", "'pool-max-conn' expects <value> as argument."),
    ("pool-purge-delay", "'pool-purge-delay' expects <value> as argument."),
    ("port", "'port' expects a port number as argument."),
    ("proxy-v2-options", "'' : proxy v2 option not implemented"),
    ("redir", "'redir' expects <prefix> as argument."),
    ("resolve-prefer", "'resolve-prefer' expects either ipv4 or ipv6 as argument."),
    ("rise", "'rise' expects an integer argument."),
    ("slowstart", "unexpected character '"),
    ("sni", "'sni' : missing sni expression"),
    ("socks4", "'socks4' expects <addr>:<port> as argument."),
    ("track", "'track' expects [<proxy>/]<server> as argument."),
    ("verify", "'verify' : missing verify method"),
    ("verifyhost", "'verifyhost' : missing hostname to verify against"),
    ("ws", "'ws' has to be 'auto', 'h1' or 'h2'"),
];

/// haproxy's complaint about a `server` option without its value.
pub(super) fn server_value(option: &str) -> String {
    if matches!(option, "inter" | "fastinter" | "downinter" | "agent-inter") {
        return format!("'{option}' expects a delay as argument.");
    }
    let own = SERVER.iter().find(|(name, text)| *name == option && !text.is_empty());
    own.map_or_else(|| format!("'{option}' expects an argument"), |(_, text)| (*text).to_owned())
}

/// What a `bind` option lacks, by option, where the general word does not fit.
const BIND: &[(&str, &str)] = &[
    ("ca-ignore-err", "error IDs list"),
    ("crt-ignore-err", "error IDs list"),
    ("mss", "MSS value"),
    ("npn", "the comma-delimited NPN protocol suite"),
    ("ssl-max-ver", "the ssl/tls version"),
    ("ssl-min-ver", "the ssl/tls version"),
    ("tls-ticket-keys", "TLS ticket keys file path"),
];

/// haproxy's complaint about a `bind` option without its value; `what` is the general word for it.
pub(super) fn bind_value(option: &str, what: &str) -> String {
    match option {
        "id" => "'id' : expects an integer argument".into(),
        "mode" => "'mode' : missing or invalid mode '' (octal integer expected)".into(),
        _ => {
            let own = BIND.iter().find(|(name, _)| *name == option).map_or(what, |(_, own)| own);
            format!("'{option}' : missing {own}")
        }
    }
}
