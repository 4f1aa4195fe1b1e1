//! The process as scripts and service managers see it: exit codes, pid files, readiness, reloads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running(Child);

impl Running {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration on a port that was free a moment ago.
fn config(dir: &Path) -> (String, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = dir.join("t.cfg");
    let text = format!(
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 1s\n\
         frontend f\n bind 127.0.0.1:{port}\n"
    );
    std::fs::write(&path, text).unwrap();
    (path.to_str().unwrap().into(), port)
}

fn proxyd(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxyd"));
    command.args(args).env("HOLDFAST_DIR", "").env("NOTIFY_SOCKET", dir.join("notify"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_to_string(&mut text).is_ok()
        && text.starts_with("HTTP/1.1 503 ")
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn explain_points_at_the_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.cfg");
    std::fs::write(&path, "frontend f\n bind :80 nme x\n").unwrap();
    let said = |args: &[&str]| {
        let mut command = proxyd(dir.path(), args);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let file = path.to_str().unwrap();
    assert!(!said(&["-c", "-f", file]).contains('^'), "only where it is asked for");
    let explained = said(&["-c", "--explain", "-f", file]);
    let lines: Vec<&str> = explained.lines().collect();
    let at = lines.iter().position(|l| l.contains("bind :80 nme x")).unwrap();
    let word = lines[at].find("nme").unwrap();
    assert_eq!(lines[at + 1].find('^').map(|c| (word..word + 3).contains(&c)), Some(true), "{explained}");
}

#[test]
fn checks_and_refusals_have_the_originals_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (good, _) = config(dir.path());
    let bad = dir.path().join("bad.cfg");
    std::fs::write(&bad, "global\n no-such-keyword\n").unwrap();
    let code = |args: &[&str]| proxyd(dir.path(), args).status().unwrap().code();
    assert_eq!(code(&["-c", "-f", &good]), Some(0));
    assert_eq!(code(&["-c", "-f", bad.to_str().unwrap()]), Some(1));
    assert_eq!(code(&["-zz"]), Some(1));
    assert_eq!(code(&["-v"]), Some(0));
    assert_eq!(code(&["-cc", "version_atleast(2.4)"]), Some(0));
    assert_eq!(code(&["-cc", "version_before(2.4)"]), Some(1));
    assert_eq!(code(&["-cc", "200rrr"]), Some(2));
}

#[test]
fn the_foreground_process_dies_by_its_signal_or_stops_softly() {
    use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
    let dir = tempfile::tempdir().unwrap();
    for (signal, want) in [(SIGTERM, (None, Some(15))), (SIGUSR1, (Some(0), None))] {
        let (path, port) = config(dir.path());
        let mut process = Running(proxyd(dir.path(), &["-db", "-f", &path]).spawn().unwrap());
        wait("answers", || answers(port));
        process.signal(signal);
        let status = process.0.wait().unwrap();
        assert_eq!((status.code(), status.signal()), want);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn a_master_is_ready_reloads_without_losing_a_connection_and_ends() {
    use nix::sys::signal::Signal::{SIGTERM, SIGUSR2};
    let dir = tempfile::tempdir().unwrap();
    let (path, port) = config(dir.path());
    let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 200];
        let n = manager.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8_lossy(&bytes[..n]).trim_end().to_owned()
    };
    let pidfile = dir.path().join("pid");
    let args = ["-Ws", "-f", &path, "-p", pidfile.to_str().unwrap()];
    let mut master = Running(proxyd(dir.path(), &args).spawn().unwrap());
    let ready = format!("READY=1\nMAINPID={}", master.0.id());
    assert_eq!(told(), ready);
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap(), format!("{}\n", master.0.id()));
    for _ in 0..3 {
        master.signal(SIGUSR2);
        assert_eq!(told(), "RELOADING=1");
        for _ in 0..20 {
            assert!(answers(port), "a connection was lost");
        }
        assert_eq!(told(), "RELOADING=1");
        assert_eq!(told(), ready);
    }
    std::fs::write(&path, "global\n no-such-keyword\n").unwrap();
    master.signal(SIGUSR2);
    assert_eq!([told(), told(), told()], ["RELOADING=1".into(), "RELOADING=1".into(), ready]);
    assert!(answers(port), "the old worker stays when the new configuration is bad");
    master.signal(SIGTERM);
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(master.0.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// A daemon in the foreground whose words go to a file.
fn speaking(dir: &Path, file: &str, more: &[&str]) -> (Running, std::path::PathBuf) {
    let said = dir.join("said");
    let mut command = proxyd(dir, &["-db", "-f", file]);
    command.args(more).stderr(std::fs::File::create(&said).unwrap());
    (Running(command.spawn().unwrap()), said)
}

#[test]
fn sigttou_pauses_and_sigttin_resumes() {
    use nix::sys::signal::Signal::{SIGTTIN, SIGTTOU};
    let dir = tempfile::tempdir().unwrap();
    let (file, port) = config(dir.path());
    let (daemon, said) = speaking(dir.path(), &file, &[]);
    let says = |text: &str| std::fs::read_to_string(&said).unwrap().contains(text);
    wait("it serves", || answers(port));
    daemon.signal(SIGTTOU);
    wait("it pauses", || says("Paused frontend f."));
    daemon.signal(SIGTTIN);
    wait("it resumes", || says("Resumed frontend f."));
    wait("it serves again", || answers(port));
}

#[test]
fn a_start_counts_words_without_effect_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (file, port) = config(dir.path());
    let text = std::fs::read_to_string(&file).unwrap() + " option contstats\n option independent-streams\n";
    std::fs::write(&file, text).unwrap();
    let start = |more: &[&str]| {
        let (daemon, said) = speaking(dir.path(), &file, more);
        wait("it serves", || answers(port));
        drop(daemon);
        std::fs::read_to_string(said).unwrap()
    };
    let said = start(&[]);
    assert!(said.contains("words of the configuration that have no effect here: 2."), "{said}");
    assert_eq!(said.lines().filter(|l| l.starts_with("[NOTICE]")).count(), 1, "{said}");
    assert_eq!(start(&["-q"]), "");
}
