//! The master's command line (`-S`): `show proc`, `reload`, levels, and `@1 …` to a worker.
//!
//! Invariant: the master's loop answers in one step; a worker that hangs hangs only the connection that asked it. A
//! connection never has more rights at a worker than it has here.
//!
//! Absent on purpose: `mcli-debug-mode` shows itself in the prompt only, for the master has no proxies to debug.

use super::messages;
use crate::cli::help::{self, Entry};
use crate::config::model::{Bind, Level};
use crate::net::listener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
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

/// What a connection may do, here and at a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Powers {
    /// `level` of the socket, or what the connection went down to.
    pub level: Level,
    /// `expert-mode on`.
    pub expert: bool,
    /// `experimental-mode on`.
    pub experimental: bool,
}

impl Powers {
    /// Set in every byte that carries powers, so that it is none of the channel's other bytes.
    const MARK: u8 = 0x80;

    /// As one byte on a worker's channel.
    pub fn byte(self) -> u8 {
        let level = match self.level {
            Level::User => 0,
            Level::Operator => 1,
            Level::Admin => 2,
        };
        Self::MARK | level | u8::from(self.expert) << 2 | u8::from(self.experimental) << 3
    }

    /// Back from a byte; the master's own connections have all powers.
    pub fn of(byte: u8) -> Self {
        if byte & Self::MARK == 0 {
            return Self { level: Level::Admin, expert: false, experimental: false };
        }
        let level = match byte & 3 {
            0 => Level::User,
            1 => Level::Operator,
            _ => Level::Admin,
        };
        Self { level, expert: byte & 4 != 0, experimental: byte & 8 != 0 }
    }
}

/// What a connection asks the master's loop.
#[derive(Debug)]
pub enum Ask {
    /// `show proc`.
    Processes(oneshot::Sender<String>),
    /// `reload`: whether it succeeded.
    Reload(oneshot::Sender<bool>),
    /// The pid of a worker.
    Find(Target, oneshot::Sender<Option<u32>>),
    /// A connection to a worker.
    Connect(Target, Powers, oneshot::Sender<Option<StdStream>>),
}

const fn entry(words: &'static [&'static str], usage: &'static str, help: &'static str) -> Entry<'static> {
    Entry { words, usage, help }
}

/// Commands with their help, in its order.
const HELP: [Entry<'static>; 10] = [
    entry(&["@!<pid>"], "@!<pid>", "send a command to the <pid> process"),
    entry(&["@<relative pid>"], "@<relative pid>", "send a command to the <relative pid> process"),
    entry(&["@master"], "@master", "send a command to the master process"),
    entry(&["operator"], "operator", "lower the level of the current CLI session to operator"),
    entry(&["reload"], "reload", "reload haproxy"),
    entry(&["show", "cli", "level"], "show cli level", "display the level of the current CLI session"),
    entry(&["show", "cli", "sockets"], "show cli sockets", "dump list of cli sockets"),
    entry(&["show", "proc"], "show proc", "show processes status"),
    entry(&["show", "version"], "show version", "show version of the current process"),
    entry(&["user"], "user", "lower the level of the current CLI session to user"),
];

/// Commands that help does not show.
const HIDDEN: [&str; 3] = ["expert-mode", "experimental-mode", "mcli-debug-mode"];
/// Words of every command line.
const COMMON: [&str; 3] = ["help", "prompt", "quit"];

/// The names of the commands, `<…>` parts included.
pub fn command_names() -> Vec<String> {
    let shown = HELP.iter().map(|e| e.usage);
    shown.chain(HIDDEN).chain(COMMON).map(str::to_owned).collect()
}

/// Starts listening where `-S` says. The error is what the user reads.
pub fn listen(bind: &Bind, asks: mpsc::Sender<Ask>) -> Result<(), String> {
    let socket = listener::open(bind, None).map_err(|f| super::bind::text(bind, "proxy", "MASTER", &f))?;
    let unix = socket2::SockRef::from(&socket).local_addr().is_ok_and(|a| a.is_unix());
    serve(socket, unix, bind.level, asks)
        .map_err(|e| super::bind::text(bind, "proxy", "MASTER", &("cannot listen to socket", e)))
}

fn serve(socket: OwnedFd, unix: bool, level: Level, asks: mpsc::Sender<Ask>) -> std::io::Result<()> {
    if unix {
        let listener = UnixListener::from_std(socket.into())?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Session::new(level, asks.clone())));
            }
        });
    } else {
        let listener = TcpListener::from_std(socket.into())?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Session::new(level, asks.clone())));
            }
        });
    }
    Ok(())
}

/// One connection's state, which its commands change.
struct Session {
    powers: Powers,
    debug: bool,
    interactive: bool,
    /// The worker that commands go to, by pid.
    target: Option<u32>,
    asks: mpsc::Sender<Ask>,
}

/// What is answered.
struct Answer {
    text: Vec<u8>,
    /// The connection ends behind it; without a prompt where it is a refusal.
    last: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Quit,
    Refused,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text: text.into(), last: None }
    }
}

fn refused(text: impl Into<String>) -> Answer {
    Answer { text: text.into().into(), last: Some(End::Refused) }
}

async fn converse(stream: impl AsyncRead + AsyncWrite, mut session: Session) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    loop {
        let Some((text, complete)) = line(&mut reader).await else { return };
        let mut commands = commands(&text);
        if !complete {
            // What no line end or semicolon ends is no command.
            commands.pop();
        }
        let mut payload = String::new();
        if let Some(last) = commands.last_mut()
            && let Some(head) = last.trim_end().strip_suffix("<<")
        {
            *last = head.to_owned();
            loop {
                if session.interactive && writer.write_all(b"+ ").await.is_err() {
                    return;
                }
                match line(&mut reader).await {
                    Some((text, true)) if !text.is_empty() => payload.extend([text.as_str(), "\n"]),
                    _ => break,
                }
            }
            *last += &format!("<<\n{payload}");
        }
        for command in commands {
            let Some(mut answer) = session.one(&command).await else { return };
            if session.interactive && answer.last != Some(End::Refused) {
                answer.text.extend(session.prompt().into_bytes());
            }
            if writer.write_all(&answer.text).await.is_err() || answer.last.is_some() {
                return;
            }
        }
        if !complete {
            return;
        }
    }
}

/// The next line without its end, and whether it has one; `None` at the end.
async fn line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<(String, bool)> {
    let mut line = Vec::new();
    let read = reader.take(LINE_MAX).read_until(b'\n', &mut line).await;
    if !matches!(read, Ok(1..)) {
        return None;
    }
    let complete = line.last() == Some(&b'\n');
    let text = String::from_utf8_lossy(&line);
    Some((text.trim_end_matches(['\n', '\r']).to_owned(), complete))
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

impl Session {
    fn new(level: Level, asks: mpsc::Sender<Ask>) -> Self {
        let powers = Powers { level, expert: false, experimental: false };
        Self { powers, debug: false, interactive: false, target: None, asks }
    }

    fn prompt(&self) -> String {
        let name = self.target.map_or_else(|| "master".to_owned(), |pid| pid.to_string());
        let flags = [(self.powers.experimental, 'x'), (self.powers.expert, 'e'), (self.debug, 'd')];
        let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        if flags.is_empty() { format!("{name}> ") } else { format!("{name}({flags})> ") }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        answer.await.ok()
    }

    /// The answer to one command, whose payload follows its first line; `None` ends the connection. `@1` before a
    /// command is for this one, alone for all that follow.
    async fn one(&mut self, command: &str) -> Option<Answer> {
        let mut command = command.trim_start();
        let mut at = self.target.map(Target::Pid);
        if let Some(behind) = command.strip_prefix('@') {
            let (name, rest) = behind.split_once([' ', '\n']).unwrap_or((behind, ""));
            let missing = || refused(format!("Can't find the target PID matching the prefix '@{name}'\n"));
            let Ok(target) = parse_target(name) else { return Some(missing()) };
            let pid = match target {
                Some(target) => match self.ask(|reply| Ask::Find(target, reply)).await? {
                    Some(pid) => Some(pid),
                    None => return Some(missing()),
                },
                None => None,
            };
            command = rest.trim_start();
            if command.is_empty() {
                self.target = pid;
                return Some(String::new().into());
            }
            at = pid.map(Target::Pid);
        }
        match at {
            // What speaks of the connection is for the master, whoever commands go to.
            Some(worker) if !self.is_own(command) => self.forward(worker, command).await,
            _ => self.own(command).await,
        }
    }

    fn is_own(&self, command: &str) -> bool {
        let word = command.split_whitespace().next().unwrap_or_default();
        let ours = ["prompt", "quit", "user", "operator"].contains(&word) || HIDDEN.contains(&word);
        self.target.is_some() && ours
    }

    async fn own(&mut self, command: &str) -> Option<Answer> {
        let first = command.lines().next().unwrap_or_default();
        let first = first.strip_suffix("<<").unwrap_or(first);
        let words: Vec<_> = first.split_whitespace().take_while(|w| !w.starts_with('#')).collect();
        let answer = match words.as_slice() {
            [] if first.trim().is_empty() => help::list_of(HELP.iter(), &[], help::UNKNOWN_EMPTY) + "\n",
            ["show", "proc", ..] => self.ask(Ask::Processes).await?,
            ["reload", ..] if self.powers.level < Level::Operator => "Permission denied\n\n".into(),
            ["reload", ..] => {
                let text = format!("Success={}\n--\n\n", u8::from(self.ask(Ask::Reload).await?));
                // haproxy's master begins anew here, so nobody waits for the end of an answer.
                return Some(refused(text));
            }
            ["show", "version", ..] => format!("{}\n\n", messages::VERSION),
            ["show", "cli", "level", ..] => format!("{}\n\n", name_of(self.powers.level)),
            ["show", "cli", "sockets", ..] => "\n".into(),
            ["prompt", ..] => {
                self.interactive = !self.interactive;
                String::new()
            }
            ["quit", ..] => return Some(Answer { text: Vec::new(), last: Some(End::Quit) }),
            ["user", ..] => {
                self.powers.level = Level::User;
                String::new()
            }
            ["operator", ..] if self.powers.level < Level::Operator => return Some(denied()),
            ["operator", ..] => {
                self.powers.level = Level::Operator;
                String::new()
            }
            [word, rest @ ..] if HIDDEN.contains(word) => {
                if self.powers.level < Level::Admin {
                    return Some(denied());
                }
                let on = rest.first() == Some(&"on");
                match *word {
                    "expert-mode" => self.powers.expert = on,
                    "experimental-mode" => self.powers.experimental = on,
                    _ => self.debug = on,
                }
                String::new()
            }
            ["help", rest @ ..] => {
                help::list_of(HELP.iter(), rest, "The following commands are valid at this level:\n") + "\n"
            }
            words => help::unknown_of(HELP.iter(), words) + "\n",
        };
        Some(answer.into())
    }

    async fn forward(&self, target: Target, command: &str) -> Option<Answer> {
        let powers = self.powers;
        let connected = self.ask(|reply| Ask::Connect(target, powers, reply)).await?;
        let stream = connected.filter(|s| s.set_nonblocking(true).is_ok())?;
        let mut stream = UnixStream::from_std(stream).ok()?;
        let mut text = Vec::new();
        let sent = stream.write_all(format!("{command}\n").as_bytes()).await;
        if sent.is_ok() && stream.shutdown().await.is_ok() {
            // What came until the worker closed or died is the answer.
            let _ = stream.read_to_end(&mut text).await;
        }
        Some(Answer { text, last: None })
    }
}

fn denied() -> Answer {
    refused("Permission denied!\n")
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

fn parse_target(name: &str) -> Result<Option<Target>, ()> {
    match name.strip_prefix('!') {
        Some(pid) => pid.parse().map(|pid| Some(Target::Pid(pid))).map_err(drop),
        None if name.is_empty() || name == "master" => Ok(None),
        None => match name.parse() {
            Ok(0) => Ok(None),
            Ok(n) => Ok(Some(Target::Relative(n))),
            Err(_) => Err(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn bind(text: &str) -> Bind {
        config::master_socket(text).unwrap().remove(0)
    }

    #[test]
    fn targets_powers_and_commands() {
        assert_eq!(parse_target("1"), Ok(Some(Target::Relative(1))));
        assert_eq!(parse_target("!77"), Ok(Some(Target::Pid(77))));
        assert_eq!(
            (parse_target("master"), parse_target("0"), parse_target("")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!((parse_target("x"), parse_target("!x"), parse_target("-1")), (Err(()), Err(()), Err(())));
        assert_eq!(commands("a;b\\;c; d"), ["a", "b\\;c", " d"]);
        for level in [Level::User, Level::Operator, Level::Admin] {
            for (expert, experimental) in [(false, false), (true, false), (false, true)] {
                let powers = Powers { level, expert, experimental };
                assert_eq!(Powers::of(powers.byte()), powers);
            }
        }
        assert_eq!(Powers::of(super::super::master::CONNECT).level, Level::Admin);
    }

    #[tokio::test]
    async fn a_client_gets_answers_until_a_reload() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.sock");
        let (asks, mut asked) = mpsc::channel(4);
        listen(&bind(&format!("{},mode,660,level,admin", path.display())), asks).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o660);
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"show version\nreload\nshow version\n").await.unwrap();
        let Some(Ask::Reload(reply)) = asked.recv().await else { panic!("no reload asked for") };
        reply.send(false).unwrap();
        let mut text = String::new();
        // Nothing behind a reload is answered.
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, format!("{}\n\nSuccess=0\n--\n\n", messages::VERSION));
    }

    #[tokio::test]
    async fn levels_go_down_and_bound_what_is_asked_of_workers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.sock");
        let (asks, mut asked) = mpsc::channel(4);
        listen(&bind(&format!("{}", path.display())), asks).unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"prompt\nexpert-mode on\nuser;reload\n@1 x\noperator\n").await.unwrap();
        let Some(Ask::Find(Target::Relative(1), reply)) = asked.recv().await else {
            panic!("nobody asked for")
        };
        reply.send(Some(7)).unwrap();
        let Some(Ask::Connect(Target::Pid(7), powers, reply)) = asked.recv().await else {
            panic!("not asked")
        };
        assert_eq!(powers, Powers { level: Level::User, expert: true, experimental: false });
        let (ours, mut theirs) = StdStream::pair().unwrap();
        std::io::Write::write_all(&mut theirs, b"done\n\n").unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        reply.send(Some(ours)).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        let want = "master> master(e)> master(e)> Permission denied\n\nmaster(e)> done\n\nmaster(e)> Permission denied!\n";
        assert_eq!(text, want);
    }

    #[tokio::test]
    async fn what_cannot_be_bound_is_told() {
        let (asks, _asked) = mpsc::channel(1);
        let fault = listen(&bind("/nonexistent/x.sock"), asks).unwrap_err();
        assert_eq!(
            fault,
            "Binding [master-socket:0] for proxy MASTER: cannot bind UNIX socket (No such file or directory) \
             [/nonexistent/x.sock]"
        );
        let faults = |text| config::master_socket(text).unwrap_err();
        assert_eq!(
            faults("./x.sock,frobnicate,1"),
            ["Cannot create the listener of the master CLI", "missing port specification in './x.sock'"]
        );
        assert_eq!(
            faults("/x,level,foo"),
            ["'/x level' : ''level' only supports 'user', 'operator', and 'admin' (got 'foo')'"]
        );
    }
}
