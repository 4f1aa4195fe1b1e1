//! Keywords of proxies without a family of their own: mode, balancing, limits, cookies, captures, logs.

use super::keyword::Cx;
use super::model::{
    Algorithm, Capture, Compression, Cookie, ExternalCheck, HashFunction, HttpReuse, Kind, Mode, RetryOn,
    Source,
};
use super::proxy::{Named, Scope};
use conf_parsers::Word;
use conf_parsers::args::{Args, Fault, time_fault_text_up_to};
use conf_parsers::haproxy::address;
use conf_parsers::value::{TimeUnit, duration};

fn one_word<'w>(args: &mut Args<'w>, missing: &str) -> Result<&'w Word, Fault> {
    let keyword = args.keyword().span;
    args.next().filter(|w| !w.text.is_empty()).ok_or_else(|| Fault::new(keyword, missing))
}

fn no_more(args: &Args<'_>, keyword: &str) -> Result<(), Fault> {
    args.unexpected(|w| format!("'{keyword}' cannot handle unexpected argument '{w}'."))
}

fn number(args: &mut Args<'_>, keyword: &str) -> Result<u32, Fault> {
    let word = one_word(args, &format!("'{keyword}' expects an integer argument."))?;
    Ok(conf_parsers::value::wrapping_int(&word.text).max(0) as u32)
}

/// `mode`.
pub(super) fn mode(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.next().map_or("", |w| w.text.as_str());
    no_more(args, "mode")?;
    cx.draft.mode_set = true;
    cx.draft.proxy.mode = match word {
        "http" => Mode::Http,
        "tcp" => Mode::Tcp,
        "health" => {
            return Err(args.fault(
                "'mode health' doesn't exist anymore. Please use 'http-request return status 200' instead.",
            ));
        }
        "syslog" | "log" | "spop" | "haterm" | "peers" => {
            return Err(args.fault(format!("proxy mode '{word}' is not supported here.")));
        }
        _ => return Err(args.fault(format!("unknown proxy mode '{word}'."))),
    };
    Ok(())
}

const BALANCE_TEXT: &str = "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', \
    'url_param', 'hdr(name)' and 'rdp-cookie(name)' options.";

/// `balance`.
pub(super) fn balance(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.balanced = true;
    let Some(word) = args.next() else {
        cx.draft.proxy.balance.algorithm = Algorithm::RoundRobin;
        return Ok(());
    };
    let unknown = || Fault::new(word.span, BALANCE_TEXT);
    if word.text == "rdp-cookie(" || word.text == "rdp-cookie()" {
        return Err(Fault::new(word.span, "balance rdp-cookie : missing cookie name."));
    }
    let (name, inner) = match word.text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
        None => (word.text.as_str(), None),
    };
    let algorithm = match (name, inner) {
        ("roundrobin", None) => Algorithm::RoundRobin,
        ("static-rr", None) => Algorithm::StaticRr,
        ("leastconn", None) => Algorithm::LeastConn,
        ("first", None) => Algorithm::First,
        ("source", None) => Algorithm::Source,
        ("uri", None) => uri(args)?,
        ("url_param", None) => {
            let name = one_word(args, "balance url_param requires an URL parameter name.")?.text.clone();
            let check_post = args.take("check_post");
            if check_post {
                args.next();
            }
            args.unexpected(|w| {
                format!("balance url_param only accepts 'check_post' modifier (got '{w}').")
            })?;
            Algorithm::UrlParam { name, check_post }
        }
        ("hdr", Some(inner)) if !inner.is_empty() => {
            let use_domain_only = args.take("use_domain_only");
            let text = |w: &str| {
                format!("balance {} only accepts 'use_domain_only' modifier (got '{w}').", word.text)
            };
            args.unexpected(text)?;
            let name = inner;
            Algorithm::Hdr { name: name.to_ascii_lowercase(), use_domain_only }
        }
        ("hdr", Some(_)) => {
            return Err(Fault::new(word.span, "balance hdr requires an http header field name."));
        }
        ("random", None) => Algorithm::Random(2),
        ("random", Some(n)) => {
            if let Some(c) = n.chars().find(|c| !c.is_ascii_digit()) {
                let text = format!("balance random : unexpected character '{c}' after argument.");
                return Err(Fault::new(word.span, text));
            }
            let draws = n.parse::<u32>().ok().filter(|n| *n > 0);
            let text = "balance random : number of draws must be at least 1.";
            Algorithm::Random(draws.ok_or_else(|| Fault::new(word.span, text))?)
        }
        ("rdp-cookie", name) => Algorithm::RdpCookie(name.unwrap_or("mstshash").to_owned()),
        ("hash", None) => {
            let text = "'balance hash' requires a sample expression.";
            let expr = one_word(args, text)?;
            return super::rule::balance_hash(cx, expr);
        }
        ("log-hash" | "log-sticky" | "sticky", _) => Algorithm::RoundRobin,
        _ => return Err(unknown()),
    };
    // Whatever else stands there is not looked at, as in the original.
    cx.draft.proxy.balance.algorithm = algorithm;
    Ok(())
}

fn uri(args: &mut Args<'_>) -> Result<Algorithm, Fault> {
    let (mut len, mut depth, mut whole, mut path_only) = (0, 0, false, false);
    while let Some(word) = args.next() {
        let mut value = |what: &str| {
            let got = args.next().map_or("", |w| w.text.as_str());
            Some(conf_parsers::value::wrapping_int(got)).filter(|n| *n > 0).ok_or_else(|| {
                args.fault(format!("balance uri : '{what}' expects a positive integer (got '{got}')."))
            })
        };
        match word.text.as_str() {
            "len" => len = value("len")? as usize,
            "depth" => depth = value("depth")? as usize,
            "whole" => whole = true,
            "path-only" => path_only = true,
            other => {
                let text = format!(
                    "balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{other}')."
                );
                return Err(Fault::new(word.span, text));
            }
        }
    }
    Ok(Algorithm::Uri { len, depth, whole, path_only })
}

/// `hash-type`.
pub(super) fn hash_type(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let balance = &mut cx.draft.proxy.balance;
    balance.consistent = match args.next().map_or("", |w| w.text.as_str()) {
        "map-based" => false,
        "consistent" => true,
        "avalanche" => {
            let text = "experimental feature 'hash-type avalanche' is not supported anymore, please use 'hash-type map-based sdbm avalanche' instead.";
            return Err(args.fault(text));
        }
        _ => return Err(args.fault("'hash-type' only supports 'consistent' and 'map-based'.")),
    };
    // A bare method keeps djb2-like defaults of haproxy: sdbm, and avalanche for consistent hashing.
    balance.avalanche = balance.consistent && args.is_empty();
    if let Some(word) = args.next() {
        balance.function = match word.text.as_str() {
            "sdbm" => HashFunction::Sdbm,
            "djb2" => HashFunction::Djb2,
            "wt6" => HashFunction::Wt6,
            "crc32" => HashFunction::Crc32,
            "none" => HashFunction::None,
            _ => {
                return Err(
                    args.fault("'hash-type' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions.")
                );
            }
        };
        if let Some(modifier) = args.next() {
            if modifier.text != "avalanche" {
                let text = "'hash-type' only supports 'avalanche' as a modifier for hash functions.";
                return Err(args.fault(text));
            }
            balance.avalanche = true;
        }
    }
    Ok(())
}

/// `default_backend`.
pub(super) fn default_backend(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'default_backend' expects a backend name.")?;
    cx.draft.default_backend = Some(Named { name: word.text.clone(), span: word.span });
    no_more(args, "default_backend")
}

/// `maxconn`.
pub(super) fn maxconn(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.maxconn = Some(number(args, "maxconn")? as usize);
    no_more(args, "maxconn")
}

/// `fullconn`.
pub(super) fn fullconn(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.fullconn = Some(number(args, "fullconn")? as usize);
    no_more(args, "fullconn")
}

/// `backlog`.
pub(super) fn backlog(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.backlog = Some(number(args, "backlog")?);
    no_more(args, "backlog")
}

/// `retries`.
pub(super) fn retries(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.is_empty() {
        return Err(args.fault("'retries' expects an integer argument (dispatch counts for one)."));
    }
    cx.draft.proxy.retries = number(args, "retries")?;
    no_more(args, "retries")
}

/// `retry-on`.
pub(super) fn retry_on(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.is_empty() {
        return Err(args.fault("'retry-on' needs at least one keyword to specify when to retry"));
    }
    let mut on = RetryOn { conn_failure: false, ..RetryOn::default() };
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "none" => {}
            "conn-failure" => on.conn_failure = true,
            "empty-response" => on.empty_response = true,
            "junk-response" => on.junk_response = true,
            "response-timeout" => on.response_timeout = true,
            "0rtt-rejected" => on.early_rejected = true,
            "all-retryable-errors" => {
                on = RetryOn {
                    conn_failure: true,
                    empty_response: true,
                    junk_response: true,
                    response_timeout: true,
                    early_rejected: true,
                    statuses: vec![500, 502, 503, 504],
                };
            }
            status @ ("401" | "403" | "404" | "408" | "421" | "425" | "429" | "500" | "501" | "502"
            | "503" | "504") => {
                on.statuses.extend(status.parse::<u16>().ok());
            }
            other => return Err(Fault::new(word.span, format!("'retry-on': unknown keyword '{other}'"))),
        }
    }
    cx.draft.proxy.retry_on = on;
    Ok(())
}

/// `cookie`.
pub(super) fn cookie(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = one_word(args, "'cookie' expects <cookie_name> as argument.")?;
    let mut cookie = Cookie { name: name.text.clone(), ..Cookie::default() };
    while let Some(word) = args.next() {
        let seconds = |w: Option<&Word>, what: &str| -> Result<std::time::Duration, Fault> {
            let missing = match what {
                "maxidle" => "'maxidle' expects <idletime> in seconds as argument.",
                _ => "'maxlife' expects <lifetime> in seconds as argument.",
            };
            let value = w.ok_or_else(|| Fault::new(word.span, missing).tight())?;
            duration(&value.text, TimeUnit::Sec).map_err(|e| {
                let limit = "2147483647 s (~68 years)";
                Fault::new(value.span, time_fault_text_up_to(&value.text, what, e, limit)).tight()
            })
        };
        match word.text.as_str() {
            "rewrite" => cookie.rewrite = true,
            "indirect" => cookie.indirect = true,
            "insert" => cookie.insert = true,
            "nocache" => cookie.nocache = true,
            "postonly" => cookie.postonly = true,
            "preserve" => cookie.preserve = true,
            "prefix" => cookie.prefix = true,
            "httponly" => cookie.httponly = true,
            "secure" => cookie.secure = true,
            "dynamic" => cookie.dynamic = true,
            "domain" => {
                let text = "'domain' expects <domain> as argument.";
                let domain = args.next().ok_or_else(|| Fault::new(word.span, text).tight())?;
                if !domain.text.contains('.') {
                    let text = format!(
                        "domain '{}' contains no embedded dot, this configuration may not work properly (see RFC6265#5.2.3).",
                        domain.text
                    );
                    let warning = diag::Diagnostic::at(diag::Severity::Warning, domain.span, text);
                    cx.loader.report.push(warning.lead(diag::Lead::Tight));
                }
                cookie.domains.push(domain.text.clone());
            }
            "maxidle" => cookie.maxidle = Some(seconds(args.next(), "maxidle")?),
            "maxlife" => cookie.maxlife = Some(seconds(args.next(), "maxlife")?),
            "attr" => {
                let text = "'attr' expects <value> as argument.";
                let value = args.next().ok_or_else(|| Fault::new(word.span, text).tight())?;
                cookie.attrs.push(value.text.clone());
            }
            _ => {
                let text = "'cookie' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', \
                            'domain', 'maxidle', 'dynamic', 'maxlife' and 'attr' options.";
                return Err(Fault::new(word.span, text));
            }
        }
    }
    if cookie.rewrite && cookie.indirect {
        let fault = args.fault("cookie 'rewrite' and 'indirect' modes are incompatible.");
        cx.loader.report.push(fault.into_alert());
    }
    if u8::from(cookie.rewrite) + u8::from(cookie.insert) + u8::from(cookie.prefix) > 1 {
        return Err(args.fault("cookie 'rewrite', 'insert' and 'prefix' modes are incompatible."));
    }
    if cookie.preserve && !cookie.insert && !cookie.indirect {
        return Err(args.fault("cookie 'preserve' requires at least 'insert' or 'indirect'."));
    }
    cx.draft.proxy.cookie = Some(cookie);
    Ok(())
}

/// `dynamic-cookie-key`.
pub(super) fn dynamic_cookie_key(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'dynamic-cookie-key' expects <secret_key> as argument.")?;
    cx.draft.proxy.dynamic_cookie_key = Some(word.text.clone());
    Ok(())
}

/// `http-reuse`.
pub(super) fn http_reuse(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let choices = [
        ("never", HttpReuse::Never),
        ("safe", HttpReuse::Safe),
        ("aggressive", HttpReuse::Aggressive),
        ("always", HttpReuse::Always),
    ];
    let chosen = args.peek().map_or("", |w| w.text.as_str());
    let Some(reuse) = args.one_of(&choices) else {
        return Err(args.fault("'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'."));
    };
    cx.draft.proxy.http_reuse = reuse;
    no_more(args, &format!("http-reuse {chosen}"))
}

/// `http-send-name-header`.
pub(super) fn send_name_header(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'http-send-name-header' requires a header string.")?;
    cx.draft.proxy.send_name_header = Some(word.text.clone());
    Ok(())
}

/// `source`.
pub(super) fn source(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let source = read_source(args)?;
    cx.draft.proxy.source = Some(source);
    args.unexpected(|_| "'source' only supports optional keywords 'interface' and 'usesrc'.".into())
}

/// `ADDR [usesrc …] [interface …]`, for backends and servers.
pub(super) fn read_source(args: &mut Args<'_>) -> Result<Source, Fault> {
    let word = one_word(
        args,
        "'source' expects <addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>.",
    )?;
    let parsed = address::parse(&word.text).map_err(|e| Fault::new(word.span, format!("'source' : {e}")))?;
    let (low, high) = match parsed.ports {
        address::Ports::Fixed(low, high) => (low, high),
        _ => (0, 0),
    };
    let ip = match parsed.host {
        address::Host::Ip(ip) => ip,
        address::Host::Any => std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        address::Host::Name(name) => super::resolve::host(&name).ok_or_else(|| {
            Fault::new(word.span, format!("'source {0}' : invalid address: '{name}' in '{0}'", word.text))
        })?,
        _ => return Err(Fault::new(word.span, "'source' : address family not supported")),
    };
    let mut source = Source {
        address: (ip, low).into(),
        port_high: (high > low).then_some(high),
        interface: None,
        usesrc: None,
    };
    loop {
        if args.take("usesrc") {
            let missing = "'usesrc' expects <addr>[:<port>], 'client', or 'clientip' as argument.";
            source.usesrc = Some(usesrc(one_word(args, missing)?)?);
        } else if args.take("interface") {
            source.interface = Some(one_word(args, "'source' : missing interface name.")?.text.clone());
        } else {
            return Ok(source);
        }
    }
}

/// What `usesrc` may name: a word for the client's address, a header that holds one, or an address.
fn usesrc(word: &Word) -> Result<String, Fault> {
    let text = word.text.as_str();
    if !matches!(text, "client" | "clientip") && !text.starts_with("hdr_ip(") {
        let bad = |e: String| Fault::new(word.span, format!("'usesrc {text}' : {e}"));
        let parsed = address::parse(text).map_err(bad)?;
        if let address::Host::Name(name) = parsed.host
            && super::resolve::host(&name).is_none()
        {
            return Err(bad(format!("invalid address: '{name}' in '{text}'")));
        }
    }
    Ok(text.to_owned())
}

/// `dispatch ADDR:PORT`.
pub(super) fn dispatch(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word =
        one_word(args, "'dispatch' : '' resolves to an empty address (environment variable missing?)")?;
    let bad = |e: String| Fault::new(word.span, format!("'dispatch' : {e}"));
    let parsed = address::parse(&word.text).map_err(bad)?;
    let address::Ports::Fixed(port, _) = parsed.ports else {
        return Err(bad(format!("missing port specification in '{}'", word.text)));
    };
    let ip = match parsed.host {
        address::Host::Ip(ip) => ip,
        address::Host::Name(name) => {
            super::resolve::host(&name).ok_or_else(|| bad(format!("could not resolve address '{name}'")))?
        }
        _ => return Err(bad("an IP address is expected".into())),
    };
    cx.draft.proxy.dispatch = Some((ip, port).into());
    no_more(args, "dispatch")
}

/// `transparent`, today's `option transparent`.
pub(super) fn transparent(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.options.transparent = true;
    no_more(args, "transparent")
}

/// `hash-balance-factor`.
pub(super) fn hash_balance_factor(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'hash-balance-factor' expects an integer argument.")?;
    let factor = conf_parsers::value::wrapping_int(&word.text);
    if factor != 0 && factor <= 100 {
        return Err(args.fault("'hash-balance-factor' must be 0 or greater than 100."));
    }
    cx.draft.proxy.hash_balance_factor = factor as u32;
    Ok(())
}

/// `max-keep-alive-queue`.
pub(super) fn max_keep_alive_queue(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'max-keep-alive-queue' expects expects an integer value (or -1 to disable)")?;
    cx.draft.proxy.max_keep_alive_queue = integer_value(word, "max-keep-alive-queue")? as i32;
    if !(matches!(cx.draft.scope, Scope::Defaults) || cx.draft.scope.is_back()) {
        let (kind, id) = (cx.draft.scope.word(), cx.draft.proxy.name.clone());
        cx.warn(format!(
            "max-keep-alive-queue will be ignored because {kind} '{id}' has no backend capability"
        ));
    }
    Ok(())
}

/// A whole number, or the original's complaint about the first character that is no part of one.
fn integer_value(word: &Word, keyword: &str) -> Result<i64, Fault> {
    let bad = word
        .text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && matches!(c, '-' | '+'))));
    match bad {
        None => Ok(conf_parsers::value::lenient_int(&word.text)),
        Some((_, c)) => Err(Fault::new(
            word.span,
            format!("'{keyword}' : unexpected character '{c}' in integer value '{}'", word.text),
        )),
    }
}

/// `load-server-state-from-file`.
pub(super) fn load_server_state(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.server_state = match args.next().map_or("", |w| w.text.as_str()) {
        "global" => Some(None),
        "local" => Some(Some(std::path::PathBuf::from(&cx.draft.proxy.name))),
        "none" => None,
        other => {
            let text =
                format!("'load-server-state-from-file' expects 'global', 'local' or 'none'. Got '{other}'");
            return Err(args.fault(text));
        }
    };
    Ok(())
}

/// `server-state-file-name`.
pub(super) fn server_state_file_name(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    // Without a word, and with this one, the backend's name is the file's.
    let name = match args.next() {
        Some(word) if word.text != "use-backend-name" => &word.text,
        _ => &cx.draft.proxy.name,
    };
    cx.draft.proxy.server_state = Some(Some(name.into()));
    no_more(args, "server-state-file-name")
}

/// `persist rdp-cookie[(name)]`.
pub(super) fn persist(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.next().map_or("", |w| w.text.as_str()) {
        "" => Err(args.fault("missing persist method.")),
        "rdp-cookie(" | "rdp-cookie()" => {
            Err(args.fault("persist rdp-cookie(name)' requires an rdp cookie name."))
        }
        word if word.starts_with("rdp-cookie") => {
            cx.no_effect("persist rdp-cookie", "connections are balanced without looking at the cookie");
            Ok(())
        }
        _ => Err(args.fault("unknown persist method.")),
    }
}

/// `external-check command|path`.
pub(super) fn external_check(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let check = cx.draft.proxy.external_check.get_or_insert_with(ExternalCheck::default);
    match args.next().map_or("", |w| w.text.as_str()) {
        "command" => check.command = Some(one_word(args, "missing argument after 'command'.")?.text.clone()),
        "path" => check.path = Some(one_word(args, "missing argument after 'path'.")?.text.clone()),
        "" => return Err(args.fault("missing argument after 'external-check'.")),
        other => {
            let text = format!("'external-check' only supports 'command' and 'path'. but got '{other}'.");
            return Err(args.fault(text));
        }
    }
    no_more(args, "external-check")
}

/// `log` and `no log`.
pub(super) fn log(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if cx.draft.negation.is_some() {
        cx.draft.proxy.logs.clear();
        cx.draft.log_global = false;
        return args.unexpected(|_| "log : 'no log' does not expect arguments".to_owned());
    }
    if args.peek().is_some_and(|w| w.text == "global") {
        cx.draft.log_global = true;
        args.next();
        return args.unexpected(|w| format!("log : unknown log facility '{w}'"));
    }
    let target = super::global::log_target(cx.loader, args, "or global")?;
    cx.draft.proxy.logs.push(target);
    Ok(())
}

/// `log-format`, `log-format-sd`, `error-log-format`, `unique-id-format`.
pub(super) fn log_format(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    const NAMES: [&str; 4] = ["log-format", "log-format-sd", "error-log-format", "unique-id-format"];
    let keyword = args.keyword().text.clone();
    let name = NAMES.into_iter().find(|n| *n == keyword).unwrap_or(NAMES[0]);
    let word = one_word(args, &format!("{name} expects an argument."))?;
    args.unexpected(|_| format!("{name} expects only one argument, don't forget to escape spaces!"))?;
    if name != "unique-id-format" && cx.draft.scope == Scope::Proxy(Kind::Backend) {
        let text = format!("backend '{}' : '{name}' directive is ignored in backends.", cx.draft.proxy.name);
        cx.warn(text);
        return Ok(());
    }
    cx.draft.formats.insert(name, Named { name: word.text.clone(), span: word.span });
    if name == "log-format" {
        cx.draft.log_preset = None;
    }
    Ok(())
}

/// `unique-id-header`.
pub(super) fn unique_id_header(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "unique-id-header expects an argument.")?;
    cx.draft.proxy.unique_id_header = Some(word.text.clone());
    Ok(())
}

/// `log-tag`.
pub(super) fn log_tag(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'log-tag' expects a tag for use in syslog.")?;
    cx.draft.proxy.log_tag = Some(word.text.clone());
    Ok(())
}

/// `description`.
pub(super) fn description(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let words: Vec<&str> = args.take_rest().iter().map(|w| w.text.as_str()).collect();
    if words.is_empty() {
        return Err(Fault::new(args.keyword().span, "'description' expects a string argument.").tight());
    }
    cx.draft.proxy.description = Some(words.join(" "));
    Ok(())
}

/// `id`.
pub(super) fn id(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'id' expects an integer argument.").map_err(Fault::tight)?;
    let value = conf_parsers::value::wrapping_int(&word.text);
    if value <= 0 {
        return Err(Fault::new(word.span, "custom id has to be > 0.").tight());
    }
    cx.draft.proxy.uuid = value as u32;
    no_more(args, "id")
}

/// `disabled`.
pub(super) fn disabled(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.disabled = true;
    no_more(args, "disabled")
}

/// `enabled`.
pub(super) fn enabled(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.disabled = false;
    no_more(args, "enabled")
}

/// `monitor-uri`.
pub(super) fn monitor_uri(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = one_word(args, "'monitor-uri' expects an URI.")?;
    cx.draft.proxy.monitor_uri = Some(word.text.clone());
    no_more(args, "monitor-uri")
}

/// `rate-limit sessions N`.
pub(super) fn rate_limit(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if !args.take("sessions") {
        let got = args.next().map_or("", |w| w.text.as_str());
        return Err(args.fault(format!("'rate-limit' only supports 'sessions' (got '{got}')")));
    }
    let word = one_word(args, "'rate-limit sessions' expects expects an integer value (in sessions/second)")?;
    let rate = integer_value(word, "rate-limit sessions")?;
    cx.draft.proxy.rate_limit_sessions = u32::try_from(rate.max(0)).unwrap_or(u32::MAX);
    Ok(())
}

/// `compression`.
pub(super) fn compression(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.next().map_or("", |w| w.text.as_str());
    let rest = |args: &mut Args<'_>| args.take_rest().iter().map(|w| w.text.clone()).collect::<Vec<_>>();
    let names = match word {
        "algo" | "algo-req" | "algo-res" => {
            let names = rest(args);
            if names.is_empty() {
                return Err(args.fault(format!("'compression' : '{word}' expects <algorithm>.")));
            }
            let known = ["identity", "gzip", "deflate", "raw-deflate"];
            if let Some(bad) = names.iter().find(|n| !known.contains(&n.as_str())) {
                return Err(args.fault(format!("'compression' : '{bad}' is not a supported algorithm.")));
            }
            names
        }
        "type" | "type-req" | "type-res" => {
            let types = rest(args);
            if types.is_empty() {
                return Err(args.fault("'compression' expects <type>."));
            }
            types
        }
        "offload" | "direction" | "minsize-req" | "minsize-res" => rest(args),
        _ => return Err(args.fault("'compression' expects 'algo', 'type' or 'offload'")),
    };
    let compression = cx.draft.proxy.compression.get_or_insert_with(Compression::default);
    match word {
        "algo" | "algo-res" => compression.algorithms.extend(names),
        "type" | "type-res" => compression.types.extend(names),
        "offload" => compression.offload = true,
        other => {
            let what = format!("compression {other}");
            cx.no_effect(&what, "answers are compressed whatever their size, requests never");
        }
    }
    Ok(())
}

/// `capture request|response header NAME len N`, `capture cookie NAME len N`.
pub(super) fn capture(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.next().map_or("", |w| w.text.as_str());
    let kinds = "'capture' expects 'cookie' or 'request header' or 'response header'.";
    let (family, usage) = match word {
        "cookie" => ("cookie", "'capture' expects 'cookie' <cookie_name> 'len' <len>."),
        "request" => ("request", "'capture request' expects 'header' <header_name> 'len' <len>."),
        "response" => ("response", "'capture response' expects 'header' <header_name> 'len' <len>."),
        _ => return Err(args.fault(kinds)),
    };
    if family != "cookie" && !args.take("header") {
        return Err(args.fault(kinds));
    }
    let name = one_word(args, usage)?.text.clone();
    if !args.take("len") || args.peek().is_none() {
        return Err(args.fault(usage));
    }
    let len = number(args, "capture")? as usize;
    let shown = if family == "cookie" { "capture cookie".to_owned() } else { format!("capture {family}") };
    if family != "cookie" {
        no_more(args, &shown)?;
    }
    let proxy = &mut cx.draft.proxy;
    let capture = Capture { name, len };
    match family {
        "cookie" => proxy.capture_cookie = Some(capture),
        "request" => proxy.capture_request.push(capture),
        _ => proxy.capture_response.push(capture),
    }
    Ok(())
}

/// `declare capture request|response len N`: a slot without a header.
pub(super) fn declare(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.next().map(|w| w.text.as_str()) {
        Some("capture") => {}
        Some(other) => {
            return Err(args.fault(format!("unknown declaration type '{other}' (supports 'capture')")));
        }
        None => {
            let text = "'declare' needs a second keyword that specify the type of declaration ('capture')";
            return Err(args.fault(text));
        }
    }
    let side = args.next().map_or("", |w| w.text.as_str());
    if !matches!(side, "request" | "response") {
        return Err(args.fault("'declare capture' requires a direction ('request' or 'response')"));
    }
    if !args.take("len") {
        return Err(args.fault("'declare capture' requires a capture length ('len')"));
    }
    let missing = "'declare capture': 'len' requires a numeric value that represents the capture length";
    let word = one_word(args, missing)?;
    let Some(len) = conf_parsers::value::strict_int(&word.text) else {
        return Err(args.fault("'declare capture': cannot parse the length 'len'."));
    };
    if len <= 0 {
        return Err(args.fault("length must be > 0"));
    }
    let slot = Capture { name: String::new(), len: len as usize };
    let slots = match side {
        "request" => &mut cx.draft.proxy.capture_request,
        _ => &mut cx.draft.proxy.capture_response,
    };
    slots.push(slot);
    Ok(())
}

/// Read, and of no effect here.
pub(super) fn accepted(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = args.keyword().text.clone();
    cx.no_effect(&name, "this setting has no counterpart here yet; traffic is served without it");
    Ok(())
}

/// Refused: traffic would not be served as the file says.
pub(super) fn refused(_: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = format!("'{}' is not supported yet.", args.keyword().text);
    Err(Fault::new(args.keyword().span, text))
}

/// `bind-process`: nothing since threads took over.
pub(super) fn bind_process(cx: &mut Cx<'_, '_>, _: &mut Args<'_>) -> Result<(), Fault> {
    let text = "'bind-process' has no effect, is deprecated, and will be removed in version 2.7.";
    let warning = diag::Diagnostic::at(diag::Severity::Warning, cx.line.span, text);
    cx.loader.report.push(warning.lead(diag::Lead::Tight));
    Ok(())
}

/// `grace` of a proxy.
pub(super) fn grace(cx: &mut Cx<'_, '_>, _: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn("the 'grace' keyword of proxies has no effect any more; use 'grace' in the 'global' section.");
    Ok(())
}

/// `appsession`, gone since 1.6.
pub(super) fn appsession(_: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    Err(Fault::new(args.keyword().span, "'appsession' is not supported anymore since HAProxy 1.6."))
}
