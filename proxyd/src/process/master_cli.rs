//! The master's command line (`-S`): `show proc`, `reload`, and `@1 …` to a worker.
//!
//! Invariant: the master's loop answers in one step; a worker that hangs hangs only the connection that asked it.

use super::messages;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Longest line, as on stats sockets.
const LINE_MAX: u64 = 16 * 1024;

/// Which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `@1`.
    Relative(u32),
    /// `@!1234`.
    Pid(u32),
}

/// What a connection asks the master's loop.
#[derive(Debug)]
pub enum Ask {
    /// `show proc`.
    Processes(oneshot::Sender<String>),
    /// `reload`: whether it succeeded.
    Reload(oneshot::Sender<bool>),
    /// A connection to a worker.
    Connect(Target, oneshot::Sender<Option<StdStream>>),
}

/// Commands with their help.
const HELP: [(&str, &str); 9] = [
    ("@!<pid>", "send a command to the <pid> process"),
    ("@<relative pid>", "send a command to the <relative pid> process"),
    ("@master", "send a command to the master process"),
    ("reload", "reload haproxy"),
    ("show proc", "show processes status"),
    ("show version", "show version of the current process"),
    ("help [<command>]", "list matching or all commands"),
    ("prompt", "toggle interactive mode with prompt"),
    ("quit", "disconnect"),
];

/// The names of the commands, `<…>` parts included.
pub fn command_names() -> Vec<String> {
    HELP.iter().map(|(usage, _)| usage.split(" [").next().unwrap_or(usage).to_owned()).collect()
}

/// Starts listening on `ADDRESS[,OPTION…]`. The error is what the user reads.
pub fn listen(text: &str, asks: mpsc::Sender<Ask>) -> Result<(), String> {
    let fault = |e: &dyn std::fmt::Display| format!("config : master CLI '{text}': {e}");
    let mut words = text.split(',');
    let address = words.next().unwrap_or_default();
    let mode = mode(&mut words).map_err(|e| fault(&e))?;
    let path = |p: &str| (p.starts_with('/') || p.starts_with('.')).then(|| PathBuf::from(p));
    if let Some(number) = address.strip_prefix("fd@") {
        let number = number.parse().map_err(|e| fault(&e))?;
        let socket = socket2::Socket::from(sys::inherit::dup(number).map_err(|e| fault(&e))?);
        socket.set_nonblocking(true).map_err(|e| fault(&e))?;
        if socket.local_addr().is_ok_and(|a| a.is_unix()) {
            let listener = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket));
            unix(UnixListener::from_std(listener).map_err(|e| fault(&e))?, asks);
        } else {
            tcp(TcpListener::from_std(socket.into()).map_err(|e| fault(&e))?, asks);
        }
    } else if let Some(path) = path(address.strip_prefix("unix@").unwrap_or(address)) {
        let fresh = path.with_file_name(format!(".{}.tmp", std::process::id()));
        let bound = UnixListener::bind(&fresh).map_err(|e| fault(&e))?;
        let _ = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode));
        std::fs::rename(&fresh, &path).map_err(|e| fault(&e))?;
        unix(bound, asks);
    } else {
        let address = address.trim_start_matches("ipv4@").trim_start_matches("ipv6@");
        let listener = std::net::TcpListener::bind(address).map_err(|e| fault(&e))?;
        listener.set_nonblocking(true).map_err(|e| fault(&e))?;
        tcp(TcpListener::from_std(listener).map_err(|e| fault(&e))?, asks);
    }
    Ok(())
}

fn mode<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<u32, String> {
    // Whoever reaches the master can reload and command workers: its user only, unless told.
    let mut mode = 0o600;
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        match word {
            "mode" => mode = u32::from_str_radix(value, 8).map_err(|e| e.to_string())?,
            "level" if matches!(value, "admin" | "operator" | "user") => {}
            other => return Err(format!("unknown keyword '{other}'")),
        }
    }
    Ok(mode)
}

fn unix(listener: UnixListener, asks: mpsc::Sender<Ask>) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, asks.clone()));
        }
    });
}

fn tcp(listener: TcpListener, asks: mpsc::Sender<Ask>) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, asks.clone()));
        }
    });
}

async fn converse(stream: impl AsyncRead + AsyncWrite, asks: mpsc::Sender<Ask>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let mut interactive = false;
    let mut target = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) || !line.ends_with(b"\n") {
            return;
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut sticky = target;
        for command in commands(text.trim_end()) {
            match one(&command, &mut sticky, &mut interactive, &asks).await {
                Some(answer) if writer.write_all(&answer.text).await.is_ok() && !answer.last => {}
                _ => return,
            }
        }
        if interactive {
            target = sticky;
            let prompt = match target {
                None => "master> ".into(),
                Some(Target::Relative(n)) => format!("{n}> "),
                Some(Target::Pid(pid)) => format!("{pid}> "),
            };
            if writer.write_all(prompt.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Commands of a line; `\;` is a semicolon within one.
fn commands(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut escaped = false;
    for c in line.chars() {
        if c == ';' && !escaped {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    out
}

/// What is answered.
struct Answer {
    text: Vec<u8>,
    /// The connection ends behind it.
    last: bool,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text: text.into(), last: false }
    }
}

/// The answer to one command; `None` ends the connection. `@1` before a command is for this one, alone for all
/// that follow.
async fn one(
    command: &str,
    target: &mut Option<Target>,
    interactive: &mut bool,
    asks: &mpsc::Sender<Ask>,
) -> Option<Answer> {
    let mut command = command.trim();
    let mut at = *target;
    if let Some(behind) = command.strip_prefix('@') {
        let (name, rest) = behind.split_once(' ').unwrap_or((behind, ""));
        at = match parse_target(name) {
            Ok(at) => at,
            Err(()) => {
                return Some(format!("Can't find the target PID matching the prefix '@{name}'\n\n").into());
            }
        };
        command = rest.trim();
        if command.is_empty() {
            *target = at;
            return Some(String::new().into());
        }
    }
    if let Some(worker) = at {
        return Some(Answer { text: forward(worker, command, asks).await, last: false });
    }
    let words: Vec<_> = command.split_whitespace().collect();
    let answer = match words.as_slice() {
        [] => String::new(),
        ["show", "proc", ..] => {
            let (reply, answer) = oneshot::channel();
            asks.send(Ask::Processes(reply)).await.ok()?;
            answer.await.ok()?
        }
        ["reload", ..] => {
            let (reply, answer) = oneshot::channel();
            asks.send(Ask::Reload(reply)).await.ok()?;
            let text = format!("Success={}\n--\n\n", u8::from(answer.await.ok()?));
            // haproxy's master begins anew here, so nobody waits for the end of an answer.
            return Some(Answer { text: text.into(), last: true });
        }
        ["show", "version"] => format!("{}\n\n", messages::VERSION),
        ["prompt", ..] => {
            *interactive = !*interactive;
            String::new()
        }
        ["quit", ..] => return None,
        ["help", ..] => help("The following commands are valid at this level:\n"),
        _ => help("Unknown command, but maybe one of the following ones is a better match:\n"),
    };
    Some(answer.into())
}

fn parse_target(name: &str) -> Result<Option<Target>, ()> {
    match name.strip_prefix('!') {
        Some(pid) => pid.parse().map(|pid| Some(Target::Pid(pid))).map_err(drop),
        None if name == "master" => Ok(None),
        None => match name.parse() {
            Ok(0) => Ok(None),
            Ok(n) => Ok(Some(Target::Relative(n))),
            Err(_) => Err(()),
        },
    }
}

async fn forward(target: Target, command: &str, asks: &mpsc::Sender<Ask>) -> Vec<u8> {
    let prefix = match target {
        Target::Relative(n) => format!("@{n}"),
        Target::Pid(pid) => format!("@!{pid}"),
    };
    let missing = || format!("Can't find the target PID matching the prefix '{prefix}'\n\n").into_bytes();
    let (reply, answer) = oneshot::channel();
    if asks.send(Ask::Connect(target, reply)).await.is_err() {
        return missing();
    }
    let Ok(Some(stream)) = answer.await else { return missing() };
    if stream.set_nonblocking(true).is_err() {
        return missing();
    }
    let Ok(mut stream) = UnixStream::from_std(stream) else { return missing() };
    let mut text = Vec::new();
    let sent = stream.write_all(format!("{command}\n").as_bytes()).await;
    if sent.is_ok() && stream.shutdown().await.is_ok() {
        // What came until the worker closed or died is the answer.
        let _ = stream.read_to_end(&mut text).await;
    }
    text
}

fn help(head: &str) -> String {
    let list: Vec<_> = HELP.iter().map(|(usage, about)| format!("  {usage:<40}: {about}\n")).collect();
    format!("{head}{}\n", list.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_commands() {
        assert_eq!(parse_target("1"), Ok(Some(Target::Relative(1))));
        assert_eq!(parse_target("!77"), Ok(Some(Target::Pid(77))));
        assert_eq!((parse_target("master"), parse_target("0")), (Ok(None), Ok(None)));
        assert_eq!((parse_target("x"), parse_target("!x")), (Err(()), Err(())));
        assert_eq!(commands("a;b\\;c; d"), ["a", "b\\;c", " d"]);
    }

    #[tokio::test]
    async fn a_client_gets_answers_until_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.sock");
        let (asks, mut asked) = mpsc::channel(4);
        listen(&format!("{},mode,660,level,admin", path.display()), asks).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o660);
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"@9 show info;show version\nreload\nshow version\n").await.unwrap();
        let Some(Ask::Connect(Target::Relative(9), reply)) = asked.recv().await else {
            panic!("no connection asked for")
        };
        reply.send(None).unwrap();
        let Some(Ask::Reload(reply)) = asked.recv().await else { panic!("no reload asked for") };
        reply.send(false).unwrap();
        let mut text = String::new();
        // Nothing behind a reload is answered.
        client.read_to_string(&mut text).await.unwrap();
        let want = format!(
            "Can't find the target PID matching the prefix '@9'\n\n{}\n\nSuccess=0\n--\n\n",
            messages::VERSION
        );
        assert_eq!(text, want);
    }

    #[tokio::test]
    async fn unknown_options_are_refused() {
        let (asks, _asked) = mpsc::channel(1);
        assert!(listen("/nonexistent/x.sock", asks.clone()).is_err());
        assert!(listen("./x.sock,frobnicate,1", asks).unwrap_err().contains("frobnicate"));
    }
}
