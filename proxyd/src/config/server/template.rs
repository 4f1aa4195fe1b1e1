//! `server-template`: servers by number, whose names are asked for together.

use super::{Who, add, bracket, options, set_address};
use crate::config::keyword::Cx;
use crate::config::model::Server;
use conf_parsers::args::{Args, Fault};
use conf_parsers::value::strict_int;

/// Servers of one template.
const TEMPLATE_MAX: i64 = 65_535;

/// `server-template PREFIX NUM[-NUM] FQDN[:PORT] …`.
pub(in crate::config) fn template(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let (Some(prefix), Some(count), Some(address)) = (args.next(), args.next(), args.next()) else {
        let text = "'server-template' expects <prefix> <nb | range> <addr>[:<port>] as arguments.";
        bracket(cx, cx.line.span, text);
        return Ok(());
    };
    let (low, high) = count.text.split_once('-').unwrap_or(("1", count.text.as_str()));
    let range =
        strict_int(low).zip(strict_int(high)).filter(|(a, b)| *a >= 0 && a <= b && b - a < TEMPLATE_MAX);
    let Some((low, high)) = range else {
        bracket(cx, count.span, &format!("Wrong server-template number or range arg '{}'.", count.text));
        return Ok(());
    };
    // The servers have no name yet, which the original's complaints show.
    const NAMELESS: &str = "(null)";
    let place = format!("'server {}/{NAMELESS}' : ", cx.draft.proxy.name);
    let mut server = Server { name: NAMELESS.into(), ..cx.draft.default_server.clone() };
    if let Err(text) = set_address(cx, &mut server, address) {
        bracket(cx, address.span, &format!("{place}{text}"));
    }
    options(cx, args, &mut server, &Who::Line(place));
    for number in low..=high {
        let one = Server { name: format!("{}{number}", prefix.text), ..server.clone() };
        add(cx, one, address.span);
    }
    Ok(())
}
