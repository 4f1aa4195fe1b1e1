//! Scripts, FIFO lines and mails: what others are told of changes.
//!
//! Invariant: nothing here holds up the checks; mails wait in a bounded queue, a FIFO without reader loses lines.
//!
//! Absent on purpose: the decision that something is worth telling (`core/service.rs`).

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exec::fifo::Fifo;
use exec::{Owner, Program};
use logging::{Contract, Severity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::config::model::{self, Globals, Script};
use crate::messages::{MailFault, Message};

/// Mails that may wait for a slow server.
const MAIL_QUEUE_MAX: usize = 256;

/// Connections to the mail server at once.
const MAIL_CONNECTIONS_MAX: usize = 8;

/// `smtp_connect_timeout` where none is given; also the time for each answer.
const MAIL_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer of a mail server.
const MAIL_ANSWER_MAX: usize = 4096;

/// Writer of all notifications.
pub struct Notifier {
    log: Rc<Contract>,
    fifos: Vec<Fifo>,
    mails: mpsc::Sender<Mail>,
    settings: model::Mail,
    router: String,
}

#[derive(Debug)]
struct Mail {
    server: (String, u16),
    settings: model::Mail,
    subject: String,
    body: String,
}

impl Notifier {
    /// Opens the FIFOs and starts their scripts; mails are sent by a task of the current local set, which logs
    /// its successes with `detail` only.
    pub fn open(globals: &Globals, log: Rc<Contract>, detail: bool) -> Self {
        let (mails, queue) = mpsc::channel(MAIL_QUEUE_MAX);
        tokio::task::spawn_local(post(queue, log.clone(), detail));
        let mut notifier = Self {
            log,
            fifos: Vec::new(),
            mails,
            settings: globals.mail.clone(),
            router: globals.router_id.clone(),
        };
        notifier.open_fifos(globals);
        notifier
    }

    /// Takes over a new configuration; FIFOs that stay are not closed.
    pub fn reload(&mut self, globals: &Globals) {
        self.settings = globals.mail.clone();
        self.router.clone_from(&globals.router_id);
        let wanted =
            |f: &Fifo| [&globals.lvs_fifo, &globals.fifo].into_iter().flatten().any(|w| w.path == f.path());
        let (stay, go): (Vec<_>, Vec<_>) = self.fifos.drain(..).partition(wanted);
        self.fifos = stay;
        go.into_iter().for_each(Fifo::close);
        self.open_fifos(globals);
    }

    fn open_fifos(&mut self, globals: &Globals) {
        for wanted in [&globals.lvs_fifo, &globals.fifo].into_iter().flatten() {
            if self.fifos.iter().any(|f| f.path() == wanted.path) {
                continue;
            }
            match Fifo::open(&wanted.path, Some(Owner { uid: wanted.uid, gid: wanted.gid })) {
                Ok(fifo) => self.fifos.push(fifo),
                Err(e) => {
                    self.log.say(Severity::Info, &Message::Fifo { reason: e.to_string() }.to_string());
                    continue;
                }
            }
            if let Some(script) = &wanted.script {
                let mut script = script.clone();
                script.argv.push(wanted.path.display().to_string());
                self.run(&script);
            }
        }
    }

    /// Writes a line to all FIFOs.
    pub fn fifo(&mut self, line: &str) {
        let line = format!("{line}\n");
        for fifo in &mut self.fifos {
            fifo.line(&line);
        }
    }

    /// Starts a script and lets it go.
    pub fn run(&self, script: &Script) {
        let owner = Some(Owner { uid: script.uid, gid: script.gid });
        let program = Program { owner, ..Program::new(&script.argv) };
        if let Err(e) = program.detach() {
            let reason = format!("{}: {}", e.raw_os_error().unwrap_or(0), health::outcome::error_text(&e));
            let message = Message::ScriptNotStarted { script: script.text.clone(), reason };
            self.log.say(Severity::Info, &message.to_string());
        }
    }

    /// Queues a mail; without server or recipients there is none.
    pub fn mail(&self, subject: &str, body: &str) {
        let Some(server) = self.settings.server.clone() else { return };
        if self.settings.to.is_empty() {
            return;
        }
        let mail = Mail {
            server,
            settings: self.settings.clone(),
            subject: format!("[{}] {subject}", self.router),
            body: body.to_owned(),
        };
        // A full queue means a server that does not answer; the log has the event itself.
        let _ = self.mails.try_send(mail);
    }

    /// Closes the FIFOs.
    pub fn close(self) {
        self.fifos.into_iter().for_each(Fifo::close);
    }
}

async fn post(mut queue: mpsc::Receiver<Mail>, log: Rc<Contract>, detail: bool) {
    let slots = Arc::new(Semaphore::new(MAIL_CONNECTIONS_MAX));
    while let Some(mail) = queue.recv().await {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let log = log.clone();
        tokio::task::spawn_local(async move {
            let (address, server) = resolve(&mail).await;
            match deliver(&mail, address, &server, &log, detail).await {
                Ok(()) if detail => log.say(Severity::Info, &Message::MailSent.to_string()),
                Ok(()) => {}
                Err(reason) => {
                    log.say(Severity::Info, &Message::MailFailed { server, reason }.to_string());
                }
            }
            drop(slot);
        });
    }
}

/// RFC 5322's date, in local time.
fn date(at: SystemTime) -> String {
    let t = sys::clock::local(at);
    let sign = if t.offset_s < 0 { '-' } else { '+' };
    let minutes = t.offset_s.unsigned_abs() / 60;
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        t.day_name(),
        t.day,
        t.month_name(),
        t.year,
        t.hour,
        t.minute,
        t.second,
        minutes / 60,
        minutes % 60
    )
}

fn text(mail: &Mail) -> String {
    let from = mail.settings.from.as_deref().unwrap_or_default();
    let to = mail.settings.to.join(", ");
    let date = date(SystemTime::now());
    let mut out = format!(
        "Date: {date}\r\nFrom: {from}\r\nSubject: {}\r\nX-Mailer: Keepalived\r\nTo: {to}\r\n\r\n",
        mail.subject
    );
    for line in mail.body.lines() {
        // A line that is a dot alone would end the mail.
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str("\r\n.\r\n");
    out
}

/// The server's address, where it has one, and its name in messages.
async fn resolve(mail: &Mail) -> (Option<SocketAddr>, String) {
    let (host, port) = &mail.server;
    let limit = mail.settings.connect_timeout.unwrap_or(MAIL_TIMEOUT);
    let found = timeout(limit, tokio::net::lookup_host((host.as_str(), *port))).await;
    let address = found.ok().and_then(Result::ok).and_then(|mut all| all.next());
    let shown = address.map_or_else(|| host.clone(), |a| a.ip().to_string());
    (address, format!("[{shown}]:{port}"))
}

async fn deliver(
    mail: &Mail,
    address: Option<SocketAddr>,
    server: &str,
    log: &Contract,
    detail: bool,
) -> Result<(), MailFault> {
    let limit = mail.settings.connect_timeout.unwrap_or(MAIL_TIMEOUT);
    let address = address.ok_or(MailFault::Connect)?;
    let mut stream = timeout(limit, tokio::net::TcpStream::connect(address))
        .await
        .map_err(|_| MailFault::ConnectTimeout)?
        .map_err(|_| MailFault::Connect)?;
    if detail {
        log.say(Severity::Info, &Message::MailConnected { server: server.to_owned() }.to_string());
    }
    let from = mail.settings.from.as_deref().unwrap_or_default();
    let mut dialogue: Vec<(&'static str, String, u16)> = vec![
        ("HELO", format!("HELO {}\r\n", mail.settings.helo_name), 250),
        ("MAIL", format!("MAIL FROM:<{from}>\r\n"), 250),
    ];
    for to in &mail.settings.to {
        dialogue.push(("RCPT", format!("RCPT TO:<{to}>\r\n"), 250));
    }
    dialogue.push(("DATA", "DATA\r\n".to_owned(), 354));
    dialogue.push(("BODY", text(mail), 250));
    dialogue.push(("QUIT", "QUIT\r\n".to_owned(), 221));
    answer(&mut stream, limit, "CONNECT", 220).await?;
    for (name, command, wanted) in dialogue {
        stream.write_all(command.as_bytes()).await.map_err(|_| MailFault::Closed)?;
        answer(&mut stream, limit, name, wanted).await?;
    }
    Ok(())
}

async fn answer(
    stream: &mut tokio::net::TcpStream,
    limit: Duration,
    command: &'static str,
    wanted: u16,
) -> Result<(), MailFault> {
    let mut reply = Vec::new();
    let mut buffer = [0; 512];
    let code = loop {
        let n = timeout(limit, stream.read(&mut buffer))
            .await
            .map_err(|_| MailFault::ReadTimeout)?
            .map_err(|_| MailFault::Closed)?;
        if n == 0 || reply.len() > MAIL_ANSWER_MAX {
            return Err(MailFault::Closed);
        }
        reply.extend_from_slice(&buffer[..n]);
        let last = reply.split_inclusive(|b| *b == b'\n').next_back();
        if let Some([a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..]) = last
            && rest.ends_with(b"\n")
            && rest.first() != Some(&b'-')
        {
            break [a, b, c].iter().fold(0u16, |n, d| n * 10 + u16::from(**d - b'0'));
        }
    };
    if code == wanted { Ok(()) } else { Err(MailFault::Refused { command, code }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_look_as_keepaliveds() {
        let mail = Mail {
            server: ("127.0.0.1".into(), 25),
            settings: model::Mail {
                from: Some("k@example.com".into()),
                to: vec!["a@example.com".into(), "b@example.com".into()],
                ..model::Mail::default()
            },
            subject: "[x] Virtualserver [g1]:0 - UP".into(),
            body: "=> Gained quorum 1+0=1 <= 1 <=\n.".into(),
        };
        let text = text(&mail);
        assert!(text.starts_with("Date: "));
        assert!(text.ends_with(
            "From: k@example.com\r\nSubject: [x] Virtualserver [g1]:0 - UP\r\nX-Mailer: Keepalived\r\n\
             To: a@example.com, b@example.com\r\n\r\n=> Gained quorum 1+0=1 <= 1 <=\r\n..\r\n\r\n.\r\n"
        ));
    }
}
