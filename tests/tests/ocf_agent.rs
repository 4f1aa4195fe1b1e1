//! packaging/ocf/haproxy as a cluster calls it: exit codes of its actions, and a process that is there but hangs.
//!
//! The cluster's shell functions are stood in for, so that no package of Pacemaker's is needed; `ocf-tester` runs in the labs.

use holdfast_tests::netns::{Host, Net};
use holdfast_tests::node::Program;
use holdfast_tests::workspace;

/// What the agent uses of `ocf-shellfuncs`, with the numbers of the OCF resource agent API 1.1, section 4.
const FUNCTIONS: &str = "OCF_SUCCESS=0 OCF_ERR_GENERIC=1 OCF_ERR_UNIMPLEMENTED=3 OCF_ERR_INSTALLED=5 OCF_ERR_CONFIGURED=6 \
                         OCF_NOT_RUNNING=7\nocf_log() { :; }\nocf_exit_reason() { echo \"$*\" >&2; }\nocf_is_probe() { \
                         false; }\ncheck_binary() { command -v \"$1\" >/dev/null || exit 5; }\n";

const NOT_RUNNING: i32 = 7;

struct Agent<'a> {
    host: &'a Host,
    environment: String,
}

impl Agent<'_> {
    /// Runs an action and wants this exit code of it; `more` is further environment.
    #[track_caller]
    fn gives(&self, code: i32, action: &str, more: &str) {
        let agent = workspace().join("packaging/ocf/haproxy");
        let line = format!("{} {more} {} {action}", self.environment, agent.display());
        let output = self.host.try_sh(&line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{action} {more}: {said}");
    }
}

#[test]
fn the_agent_sees_a_process_that_hangs() {
    let Some(net) = Net::new("ocf_agent") else { return };
    let host = net.host("node");
    host.sh("ip link set lo up");
    host.file("ocf-shellfuncs", FUNCTIONS);
    let text = "global\n stats socket /run/hp/admin.sock level admin\ndefaults\n mode http\n timeout connect 1s\n timeout \
                client 5s\n timeout server 5s\nlisten f\n bind 127.0.0.1:8080\n http-request return status 200\n";
    let config = host.file("haproxy.cfg", text);
    let bad = host.file("bad.cfg", "listen f\n bind nonsense nonsense\n");
    let environment = format!(
        "OCF_FUNCTIONS_DIR={} OCF_RESOURCE_INSTANCE=hp OCF_RESKEY_binpath={} OCF_RESKEY_conffile={} \
         OCF_RESKEY_answer_timeout=20",
        host.dir().display(),
        Program::ours("proxyd", "proxyd").path.display(),
        config.display()
    );
    let agent = Agent { host: &host, environment };
    agent.gives(NOT_RUNNING, "monitor", "");
    agent.gives(NOT_RUNNING, "reload", "");
    for action in ["start", "monitor", "start", "reload", "monitor", "validate-all", "meta-data"] {
        agent.gives(0, action, "");
    }
    agent.gives(1, "validate-all", &format!("OCF_RESKEY_conffile={}", bad.display()));
    agent.gives(6, "validate-all", "OCF_RESKEY_graceful=soon");
    agent.gives(3, "nonsense", "");

    let first = host.sh("cat /run/hp.pid").trim().to_owned();
    host.sh(&format!("kill -STOP {first}"));
    agent.gives(1, "monitor", "OCF_RESKEY_answer_timeout=2");
    // Without a socket to ask its state is looked at.
    agent.gives(1, "monitor", "OCF_RESKEY_statssocket=none");
    // Another one takes its place.
    agent.gives(0, "start", "OCF_RESKEY_answer_timeout=2");
    assert_ne!(host.sh("cat /run/hp.pid").trim(), first);
    for (action, code) in [("monitor", 0), ("stop", 0), ("stop", 0), ("monitor", NOT_RUNNING)] {
        agent.gives(code, action, "");
    }
}
