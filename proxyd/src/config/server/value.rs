//! Values of a server's options that take more than a word to read.

use super::Srv;
use crate::config::model::InitAddr;
use conf_parsers::args::{Args, Fault};

pub(super) fn protocol(o: &Srv<'_, '_, '_>, args: &mut Args<'_>) -> Result<String, Fault> {
    let name = o.value(args)?;
    let known = crate::config::bind::PROTOCOLS.contains(&name.as_str());
    let text = format!("'{}' :  unknown MUX protocol '{name}'", o.option.text);
    if known { Ok(name) } else { Err(o.fault(text)) }
}

pub(super) fn init_addr(o: &mut Srv<'_, '_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = args.next().map_or(String::new(), |w| w.text.clone());
    let mut methods = Vec::new();
    for method in text.split(',').filter(|m| !m.is_empty()) {
        methods.push(match method {
            "last" => InitAddr::Last,
            "libc" => InitAddr::Libc,
            "none" => InitAddr::None,
            ip => match ip.parse() {
                Ok(ip) => InitAddr::Ip(ip),
                Err(_) => {
                    let text =
                        format!("'init-addr' : unknown init-addr method '{ip}', supported methods are 'libc', 'last', 'none'.");
                    return Err(o.fault(text));
                }
            },
        });
    }
    o.server.init_addr = Some(methods);
    Ok(())
}

pub(super) fn sni(o: &mut Srv<'_, '_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = o.value(args)?;
    conf_parsers::haproxy::expr::prefix(&text)
        .map_err(|e| o.fault(format!("error detected while parsing sni expression : {e}.")))?;
    o.tls().other.insert("sni".into(), text);
    Ok(())
}
