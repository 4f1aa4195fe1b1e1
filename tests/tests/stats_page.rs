//! The statistics page in a browser: who may read it, what it shows, its exports, its scope, and that its form acts.
//!
//! Invariant: the browser is Chromium without a screen, with a profile of its own; what is compared is the page as it
//! understood it.
//!
//! Absent on purpose: how the page looks; that takes eyes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use holdfast_tests::netns::wait_for;
use holdfast_tests::node::Program;
use holdfast_tests::skip;

/// Names under which distributions install the browser.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// How long the daemon may take to listen, on a busy machine.
const START: Duration = Duration::from_mins(1);

fn browser() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .flat_map(|dir| BROWSERS.map(|name| dir.join(name)))
        .find(|path| path.is_file())
}

/// A running daemon; ended with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(dir: &Path) -> (Daemon, u16) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its number").port();
    drop(free);
    let config = format!(
        "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n\
         listen page\n bind 127.0.0.1:{port}\n stats uri /stats\n stats auth admin:secret\n stats admin if TRUE\n \
         stats refresh 3600s\n stats show-node\n\
         backend app\n server web1 127.0.0.1:1\n server web2 127.0.0.1:1 weight 7\n \
         description <b>bold</b> & more\n"
    );
    let path = dir.join("page.cfg");
    std::fs::write(&path, config).expect("a file");
    let program = Program::ours("proxyd", "haproxy");
    let mut command = Command::new(program.path);
    command.args(["-db", "-q", "-f"]).arg(path).env("HOLDFAST_DIR", "").stdout(Stdio::null());
    let daemon = Daemon(command.spawn().expect("the daemon starts"));
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    wait_for(START, listens).expect("the daemon listens");
    (daemon, port)
}

/// The document at an address, after its scripts.
fn document(browser: &Path, profile: &Path, address: &str) -> String {
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=10000", "--dump-dom", address])
        .stderr(Stdio::null());
    let output = command.output().expect("the browser starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_is_read_and_acts_in_a_browser() {
    let Some(browser) = browser() else {
        return skip("stats_page", "needs a browser (Debian package chromium)");
    };
    let dir = tempfile::tempdir().expect("a directory");
    let (_daemon, port) = start(dir.path());
    let profile = |name: &str| dir.path().join(name);
    let stranger = document(&browser, &profile("stranger"), &format!("http://127.0.0.1:{port}/stats"));
    assert!(!stranger.contains("web1"), "a stranger sees nothing: {stranger}");
    let known = format!("http://admin:secret@127.0.0.1:{port}/stats");
    let get = |path: &str| document(&browser, &profile("known"), &format!("{known}{path}"));
    let page = get("");
    if page.is_empty() {
        return skip("stats_page", "the browser shows nothing here");
    }
    for part in [
        "Statistics Report for pid",
        "<meta http-equiv=\"refresh\" content=\"3600\">",
        "id=\"page\"",
        "value=\"web1\"",
        "value=\"web2\"",
        "&lt;b&gt;bold&lt;/b&gt; &amp; more",
        "<td>7/7</td>",
    ] {
        assert!(page.contains(part), "the page holds {part}: {page}");
    }
    assert!(!get(";norefresh").contains("http-equiv"), "refresh can be switched off");
    let scoped = get("?scope=app");
    assert!(scoped.contains("web1") && !scoped.contains("id=\"page\""), "a scope leaves others out");
    let csv = get(";csv");
    assert!(csv.contains("# pxname,svname") && csv.contains("app,web2,"), "{csv}");
    let form = format!(
        "<form id=f method=post action=\"{known}\"><input name=s value=web2><input name=action value=maint>\
         <input name=b value=app></form><script>document.getElementById('f').submit()</script>"
    );
    let file = dir.path().join("form.html");
    std::fs::write(&file, form).expect("a file");
    document(&browser, &profile("known"), &format!("file://{}", file.display()));
    let after = get("");
    let line = after.lines().find(|l| l.contains("value=\"web2\"")).unwrap_or_default();
    assert!(line.contains("class=\"maintain\"") && line.contains("MAINT"), "the form acts: {line}");
    assert!(!after.lines().any(|l| l.contains("value=\"web1\"") && l.contains("MAINT")), "on one alone");
}
