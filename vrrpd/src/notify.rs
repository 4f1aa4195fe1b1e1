//! Notify scripts, FIFO lines and mail alerts.
//!
//! Invariant: nothing here is waited for: scripts are started and left alone, FIFO lines are dropped when nobody reads,
//! mail goes in a task of its own. Absent on purpose: when to notify (core/).

use crate::config::model::{Command, Config, Fifo as FifoConfig, Globals, Mail, Notify};
use crate::core::router::{NoticeState, Subject};
use crate::messages::Message;
use crate::track::script::program;
use exec::Owner;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How long mail may take in all when the configuration says nothing.
const MAIL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer of a mail server that is read.
const ANSWER_MAX: u64 = 4096;

impl NoticeState {
    /// The word of scripts and pipes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
            Self::MasterRxLowerPri => "MASTER_RX_LOWER_PRI",
            Self::MasterPriority => "MASTER_PRIORITY",
            Self::BackupPriority => "BACKUP_PRIORITY",
        }
    }
}

/// Kind, name, state and priority as scripts get them.
fn words(subject: &Subject, state: NoticeState, priority: u8) -> [String; 4] {
    let (kind, name) = match subject {
        Subject::Instance(instance) => ("INSTANCE", instance.name.clone()),
        Subject::Group(group) => ("GROUP", group.name.clone()),
    };
    [kind.into(), name, state.word().into(), priority.to_string()]
}

/// The line of a FIFO.
pub fn line(subject: &Subject, state: NoticeState, priority: u8) -> String {
    let [kind, name, state, priority] = words(subject, state, priority);
    format!("{kind} \"{name}\" {state} {priority}\n")
}

/// Open pipes and the address of the mail server.
#[derive(Debug, Default)]
pub struct Notifier {
    fifos: Vec<exec::fifo::Fifo>,
    mail: Mail,
    no_email_faults: bool,
    router_id: String,
}

impl Notifier {
    /// Opens the pipes of a configuration and starts their readers; complaints come back as lines.
    pub fn open(config: &Config, previous: Option<Self>) -> (Self, Vec<Message>) {
        let mut lines = Vec::new();
        let globals: &Globals = &config.globals;
        let wanted: Vec<&FifoConfig> =
            [&globals.notify_fifo, &globals.vrrp_notify_fifo].into_iter().flatten().collect();
        let mut old = previous.map(|p| p.fifos).unwrap_or_default();
        let mut fifos = Vec::new();
        for fifo in wanted {
            if let Some(at) = old.iter().position(|o| o.path() == fifo.path) {
                fifos.push(old.swap_remove(at));
                continue;
            }
            let owner = fifo.owner.as_ref().map(|u| Owner { uid: u.uid, gid: u.gid });
            match exec::fifo::Fifo::open(&fifo.path, owner) {
                Ok(open) => fifos.push(open),
                Err(error) => lines.push(Message::Text(format!("Unable to open notify fifo: {error}"))),
            }
            if let Some(script) = &fifo.script {
                run(script, &[fifo.path.to_string_lossy().into_owned()], &mut lines);
            }
        }
        old.into_iter().for_each(exec::fifo::Fifo::close);
        let host =
            || nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
        let router_id = globals.router_id.clone().unwrap_or_else(host);
        let notifier =
            Self { fifos, mail: globals.mail.clone(), no_email_faults: globals.no_email_faults, router_id };
        (notifier, lines)
    }

    /// Removes the pipes that were made here.
    pub fn close(self) {
        self.fifos.into_iter().for_each(exec::fifo::Fifo::close);
    }

    /// Tells those who read the pipes.
    pub fn remind(&mut self, subject: &Subject, state: NoticeState, priority: u8) {
        let text = line(subject, state, priority);
        self.fifos.iter_mut().for_each(|fifo| {
            // Nobody reads: the line is lost, and counted by the FIFO itself.
            let _taken = fifo.line(&text);
        });
    }

    /// Tells everybody who wants to know.
    pub fn tell(&mut self, subject: &Subject, state: NoticeState, priority: u8) -> Vec<Message> {
        let mut lines = Vec::new();
        self.remind(subject, state, priority);
        let (notify, alert): (&Notify, bool) = match subject {
            Subject::Instance(instance) => (&instance.notify, instance.smtp_alert),
            Subject::Group(group) => (&group.notify, group.smtp_alert),
        };
        let own: Option<&Command> = match state {
            NoticeState::Master => notify.master.as_ref(),
            NoticeState::Backup => notify.backup.as_ref(),
            NoticeState::Fault => notify.fault.as_ref(),
            NoticeState::Stop => notify.stop.as_ref(),
            NoticeState::Deleted => notify.deleted_script.as_ref(),
            NoticeState::MasterRxLowerPri => notify.master_rx_lower_pri.as_ref(),
            NoticeState::MasterPriority | NoticeState::BackupPriority => None,
        };
        if let Some(script) = own {
            run(script, &[], &mut lines);
        }
        if let Some(script) = &notify.any {
            run(script, &words(subject, state, priority), &mut lines);
        }
        if alert {
            self.alert(subject, state);
        }
        lines
    }

    fn alert(&self, subject: &Subject, state: NoticeState) {
        if self.mail.to.is_empty() || (state == NoticeState::Fault && self.no_email_faults) {
            return;
        }
        let Some((subject, body)) = alert_text(subject, state) else { return };
        let message = message(&self.router_id, &self.mail, &subject, body);
        let mail = self.mail.clone();
        tokio::spawn(async move {
            let limit = mail.connect_timeout.unwrap_or(MAIL_TIMEOUT) + MAIL_TIMEOUT;
            // A mail that cannot be delivered has nobody to complain to but the log of the mail server.
            let _ = tokio::time::timeout(limit, deliver(&mail, &message)).await;
        });
    }
}

fn run(script: &Command, more: &[String], lines: &mut Vec<Message>) {
    if script.insecure {
        return;
    }
    if let Err(error) = program(script, more).detach() {
        lines.push(Message::Text(format!("Error exec-ing command '{}', error {error}", script.text)));
    }
}

/// Subject and body of a mail about a transition.
fn alert_text(subject: &Subject, state: NoticeState) -> Option<(String, &'static str)> {
    let instance = matches!(subject, Subject::Instance(_));
    let (what, body) = match state {
        NoticeState::Master if instance => {
            ("Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <=")
        }
        NoticeState::Backup if instance => {
            ("Entering BACKUP state", "=> VRRP Instance is no longer owning VRRP VIPs <=")
        }
        NoticeState::Fault if instance => {
            ("Entering FAULT state", "=> VRRP Instance is no longer owning VRRP VIPs <=")
        }
        NoticeState::Stop if instance => ("Stopping", "=> VRRP Instance stopping <="),
        NoticeState::Deleted if instance => ("Deleted", "=> VRRP Deleted at reload <="),
        NoticeState::Master => {
            ("Entering MASTER state", "=> All VRRP group instances are now in MASTER state <=")
        }
        NoticeState::Backup => {
            ("Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <=")
        }
        NoticeState::Fault => {
            ("Entering FAULT state", "=> All VRRP group instances are now in FAULT state <=")
        }
        NoticeState::Stop => ("Stopping", "=> All VRRP group instances are now stopping <="),
        NoticeState::Deleted
        | NoticeState::MasterRxLowerPri
        | NoticeState::MasterPriority
        | NoticeState::BackupPriority => return None,
    };
    let name = match subject {
        Subject::Instance(instance) => format!("VRRP Instance {}", instance.name),
        Subject::Group(group) => format!("VRRP Group {}", group.name),
    };
    Some((format!("{name} - {what}"), body))
}

fn message(router_id: &str, mail: &Mail, subject: &str, body: &str) -> String {
    let now = sys::clock::local(std::time::SystemTime::now());
    let sign = if now.offset_s < 0 { '-' } else { '+' };
    let minutes = now.offset_s.abs() / 60;
    let mut out = format!(
        "Date: {}, {:02} {} {} {:02}:{:02}:{:02} {sign}{:02}{:02}\r\nFrom: {}\r\nSubject: [{router_id}] {subject}\r\n",
        now.day_name(),
        now.day,
        now.month_name(),
        now.year,
        now.hour,
        now.minute,
        now.second,
        minutes / 60,
        minutes % 60,
        mail.from.as_deref().unwrap_or_default()
    );
    out.push_str(&format!("X-Mailer: Keepalived\r\nTo: {}\r\n\r\n{body}\r\n", mail.to.join(", ")));
    out
}

/// Hands a message to the server, word by word.
async fn deliver(mail: &Mail, message: &str) -> std::io::Result<()> {
    let host = mail.server.as_deref().unwrap_or("127.0.0.1");
    let limit = mail.connect_timeout.unwrap_or(MAIL_TIMEOUT);
    let connect = tokio::net::TcpStream::connect((host, mail.port.unwrap_or(25)));
    let mut stream = BufReader::new(tokio::time::timeout(limit, connect).await??);
    answer(&mut stream, '2').await?;
    let helo = match &mail.helo {
        Some(helo) => helo.clone(),
        None => nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let mut say = vec![(format!("HELO {helo}\r\n"), '2')];
    say.push((format!("MAIL FROM:<{}>\r\n", mail.from.as_deref().unwrap_or_default()), '2'));
    say.extend(mail.to.iter().map(|to| (format!("RCPT TO:<{to}>\r\n"), '2')));
    say.push(("DATA\r\n".into(), '3'));
    say.push((format!("{}\r\n.\r\n", message.replace("\r\n.", "\r\n..")), '2'));
    say.push(("QUIT\r\n".into(), '2'));
    for (line, expect) in say {
        stream.write_all(line.as_bytes()).await?;
        answer(&mut stream, expect).await?;
    }
    Ok(())
}

async fn answer(stream: &mut BufReader<tokio::net::TcpStream>, expect: char) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    loop {
        let mut line = String::new();
        if (&mut *stream).take(ANSWER_MAX).read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        return if line.starts_with(expect) { Ok(()) } else { Err(std::io::Error::other(line)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Instance, SyncGroup};
    use std::sync::Arc;

    #[test]
    fn lines_of_the_pipe() {
        let instance = Subject::Instance(Arc::new(Instance { name: "VI_1".into(), ..Instance::default() }));
        let group = Subject::Group(Arc::new(SyncGroup { name: "G1".into(), ..SyncGroup::default() }));
        assert_eq!(line(&instance, NoticeState::Master, 150), "INSTANCE \"VI_1\" MASTER 150\n");
        assert_eq!(
            line(&instance, NoticeState::BackupPriority, 90),
            "INSTANCE \"VI_1\" BACKUP_PRIORITY 90\n"
        );
        assert_eq!(line(&group, NoticeState::Fault, 0), "GROUP \"G1\" FAULT 0\n");
    }

    #[tokio::test]
    async fn mail_is_delivered_word_by_word() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220-hello\r\n220 there\r\n").await.unwrap();
            let mut seen = String::new();
            let mut data = false;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return seen;
                }
                seen.push_str(&line);
                let reply: &[u8] = match line.as_str() {
                    "DATA\r\n" => b"354 go\r\n",
                    ".\r\n" => b"250 ok\r\n",
                    _ if data => b"",
                    _ => b"250 ok\r\n",
                };
                data = (data || line == "DATA\r\n") && line != ".\r\n";
                stream.write_all(reply).await.unwrap();
            }
        });
        // A name, where the machine knows this one: it is looked up beside everything else, when there is something to
        // deliver.
        let known = tokio::net::lookup_host(("localhost", port)).await.is_ok();
        let mail = Mail {
            to: vec!["a@b".into()],
            from: Some("k@h".into()),
            server: Some(if known { "localhost" } else { "127.0.0.1" }.into()),
            port: Some(port),
            helo: Some("me".into()),
            connect_timeout: None,
        };
        let text = message("R1", &mail, "VRRP Instance VI_1 - Entering MASTER state", "body");
        deliver(&mail, &text).await.unwrap();
        let seen = server.await.unwrap();
        for part in
            ["HELO me\r\n", "MAIL FROM:<k@h>", "RCPT TO:<a@b>", "Subject: [R1] VRRP Instance VI_1 - Entering"]
        {
            assert!(seen.contains(part), "{part} in {seen}");
        }
    }
}
