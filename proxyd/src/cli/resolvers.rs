//! `show resolvers`: counters of name servers.

use super::{Answer, Call};
use std::fmt::Write;

/// `show resolvers [SECTION]`.
pub fn show(call: &mut Call<'_>) -> Answer {
    let wanted = call.word(2);
    let sections = &call.generation.config.resolvers;
    if !wanted.is_empty() && sections.iter().all(|r| r.name != wanted) {
        return Answer::error("Can't find that resolvers section\n");
    }
    let mut out = String::new();
    for section in sections.iter().filter(|r| wanted.is_empty() || r.name == wanted) {
        let _ = writeln!(out, "Resolvers section {}", section.name);
        for server in &section.nameservers {
            let counters = call.generation.board.resolvers.counters(&section.name, &server.name);
            let _ = writeln!(out, " nameserver {}:", server.name);
            for (name, value) in counters.rows() {
                let _ = writeln!(out, "  {:<12} {value}", format!("{name}:"));
            }
        }
    }
    Answer::Dump(out)
}
