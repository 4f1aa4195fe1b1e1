//! Checks by programs: haproxy's `external-check`, keepalived's `MISC_CHECK` and `vrrp_script`.
//!
//! Invariant: a program gets exactly the environment given, runs in a process group of its own, and when its time is
//! over the group is told to stop, then killed.
//!
//! Absent on purpose: what the program prints (nobody reads it), and the security rules for paths (crate `exec`,
//! applied when the configuration is read).

use serde::{Deserialize, Serialize};

use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, Row};

/// The row of this check.
pub const ROW: Row = Row {
    name: "process",
    haproxy: &["option external-check"],
    keepalived: &["MISC_CHECK", "vrrp_script"],
    carrier: Carrier::Process,
};

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment; `None` = ours.
    #[serde(default)]
    pub environment: Option<Vec<(String, String)>>,
    /// User; `None` = ours.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group; `None` = ours.
    #[serde(default)]
    pub gid: Option<u32>,
    /// `misc_dynamic`: exit statuses 2 to 255 are successes that set a weight.
    #[serde(default)]
    pub dynamic: bool,
}

/// What haproxy gives an external check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalCheck<'a> {
    /// `external-check command`.
    pub command: &'a str,
    /// `external-check path`; becomes PATH where given.
    pub path: Option<&'a str>,
    /// Address of the frontend, empty where it has none (a backend).
    pub proxy_address: &'a str,
    /// Its port.
    pub proxy_port: &'a str,
    /// Number of the proxy.
    pub proxy_id: u32,
    /// Name of the proxy.
    pub proxy_name: &'a str,
    /// Address of the server.
    pub server_address: &'a str,
    /// Its port.
    pub server_port: &'a str,
    /// Its number.
    pub server_id: u32,
    /// Its name.
    pub server_name: &'a str,
    /// `maxconn`.
    pub server_maxconn: u32,
    /// Connections now.
    pub server_connections: u32,
    /// Whether it has `ssl`.
    pub server_tls: bool,
    /// `h1`, `h2` or empty.
    pub server_protocol: &'a str,
}

impl ExternalCheck<'_> {
    /// Arguments and environment as haproxy makes them.
    pub fn process(&self) -> Process {
        let or_unused = |s: &str| if s.is_empty() { "NOT_USED".to_owned() } else { s.to_owned() };
        let mut environment = vec![
            ("HAPROXY_PROXY_NAME", self.proxy_name.to_owned()),
            ("HAPROXY_PROXY_ID", self.proxy_id.to_string()),
            ("HAPROXY_PROXY_ADDR", self.proxy_address.to_owned()),
            ("HAPROXY_PROXY_PORT", self.proxy_port.to_owned()),
            ("HAPROXY_SERVER_NAME", self.server_name.to_owned()),
            ("HAPROXY_SERVER_ID", self.server_id.to_string()),
            ("HAPROXY_SERVER_ADDR", self.server_address.to_owned()),
            ("HAPROXY_SERVER_PORT", self.server_port.to_owned()),
            ("HAPROXY_SERVER_MAXCONN", self.server_maxconn.to_string()),
            ("HAPROXY_SERVER_CURCONN", self.server_connections.to_string()),
            ("HAPROXY_SERVER_SSL", u8::from(self.server_tls).to_string()),
            ("HAPROXY_SERVER_PROTO", self.server_protocol.to_owned()),
        ];
        if let Some(path) = self.path {
            environment.push(("PATH", path.to_owned()));
        }
        Process {
            argv: vec![
                self.command.to_owned(),
                or_unused(self.proxy_address),
                or_unused(self.proxy_port),
                self.server_address.to_owned(),
                or_unused(self.server_port),
            ],
            environment: Some(environment.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            uid: None,
            gid: None,
            dynamic: false,
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started: the system's text.
    NotStarted(String),
    /// Its time was over.
    Timeout,
}

/// The outcome of an ending.
pub fn outcome(process: &Process, ending: &Ending) -> Outcome {
    match ending {
        Ending::Exit(0) => Outcome::passed(Status::ProcessOk),
        Ending::Exit(status) if process.dynamic && (2..=255).contains(status) => {
            let mut outcome = Outcome::passed(Status::ProcessOk).coded(i64::from(*status));
            outcome.wish.absolute_weight = Some(i64::from(*status) - 2);
            outcome
        }
        Ending::Exit(status) => {
            Outcome::new(Status::ProcessError, Cause::Exit(*status)).coded(i64::from(*status))
        }
        Ending::Signal(number) => Outcome::new(Status::ProcessError, Cause::Signal(*number)).coded(-1),
        // haproxy's child ends with 255 when it can't run the command.
        Ending::NotStarted(text) => {
            Outcome::new(Status::ProcessError, Cause::Io(text.clone())).coded(255).described("")
        }
        Ending::Timeout => Outcome::new(Status::ProcessTimeout, Cause::ProcessTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxys_arguments_and_environment() {
        let check = ExternalCheck {
            command: "/bin/c",
            path: Some("/usr/bin:/bin"),
            proxy_address: "",
            proxy_port: "",
            proxy_id: 53,
            proxy_name: "ext6",
            server_address: "127.0.0.1",
            server_port: "28001",
            server_id: 77,
            server_name: "s",
            server_maxconn: 0,
            server_connections: 0,
            server_tls: false,
            server_protocol: "h1",
        };
        let process = check.process();
        assert_eq!(process.argv, ["/bin/c", "NOT_USED", "NOT_USED", "127.0.0.1", "28001"]);
        let environment = process.environment.unwrap_or_default();
        assert_eq!(environment.len(), 13);
        assert!(environment.contains(&("HAPROXY_SERVER_PROTO".into(), "h1".into())));
    }

    #[test]
    fn endings() {
        let mut process = Process { argv: vec![], environment: None, uid: None, gid: None, dynamic: false };
        assert!(outcome(&process, &Ending::Exit(0)).is_success());
        assert_eq!(outcome(&process, &Ending::Exit(3)).code, 3);
        assert_eq!(outcome(&process, &Ending::Signal(9)).code, -1);
        process.dynamic = true;
        assert_eq!(outcome(&process, &Ending::Exit(7)).wish.absolute_weight, Some(5));
        assert!(!outcome(&process, &Ending::Exit(1)).is_success());
        assert_eq!(outcome(&process, &Ending::Exit(0)).wish.absolute_weight, None);
    }
}
