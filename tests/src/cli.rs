//! The command line of a running proxy, as socat speaks to it: one connection, one line, an answer to the end.
//!
//! Invariant: nobody waits longer than [`PATIENCE`] for an answer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one thing. Bytes that are no text become U+FFFD.
///
/// # Errors
/// Where nobody listens, or the answer does not end in time.
pub fn ask(socket: &Path, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The process that answers at a socket; `None` while none does.
pub fn pid(socket: &Path) -> Option<String> {
    let info = ask(socket, "show info").ok()?;
    info.lines().find_map(|l| l.strip_prefix("Pid: ").map(str::to_owned))
}

/// A line of `show stat`, by the names of its columns.
pub type Row = BTreeMap<String, String>;

/// The lines of an answer to `show stat`.
pub fn rows(table: &str) -> Vec<Row> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or("").trim_start_matches("# ").split(',').collect();
    let row = |line| names.iter().map(|n| (*n).to_owned()).zip(cells(line)).collect();
    lines.filter(|l| !l.is_empty()).map(row).collect()
}

/// Cells of a line, quotes undone.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}
