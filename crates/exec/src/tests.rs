use super::*;
use std::time::Instant;

fn sh(script: &str) -> Program {
    Program::new(["/bin/sh", "-c", script])
}

#[tokio::test]
async fn codes_and_signals_are_told_apart() {
    assert!(matches!(sh("exit 7").run(None).await, Outcome::Exited(7)));
    assert!(matches!(sh("kill -9 $$").run(None).await, Outcome::Signalled(9)));
    assert!(matches!(Program::new(["/nonexistent"]).run(None).await, Outcome::Failed(_)));
    assert!(matches!(Program::new([""; 0]).run(None).await, Outcome::Failed(_)));
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", mark.display());
    let outcome = sh(&script).run(Some(Duration::from_millis(500))).await;
    assert!(matches!(outcome, Outcome::TimedOut));
    let pid: i32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    let gone = || nix::sys::signal::kill(Pid::from_raw(pid), None).is_err() || is_zombie(pid);
    let start = Instant::now();
    while !gone() && start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone(), "the sleep in the background outlived the script");
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "))
}

#[tokio::test]
async fn a_script_that_ignores_term_is_killed_after_the_grace() {
    let start = Instant::now();
    let outcome = sh("trap '' TERM; sleep 30; sleep 30").run(Some(Duration::from_millis(100))).await;
    assert!(matches!(outcome, Outcome::TimedOut));
    assert!(start.elapsed() >= GRACE && start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn the_environment_is_what_was_said() {
    let mut program = sh("test \"$A\" = 1 && test -z \"$HOME\"");
    program.environment = Environment::Only(vec![("A".into(), "1".into())]);
    assert!(matches!(program.run(None).await, Outcome::Exited(0)));
}

#[tokio::test]
async fn runs_as_another_user_when_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut program = sh("test \"$(id -u)/$(id -g)/$(id -G)\" = 65534/65534/65534");
    program.owner = Some(Owner { uid: 65534, gid: 65534 });
    assert!(matches!(program.run(None).await, Outcome::Exited(0)));
}

#[tokio::test]
async fn detached_scripts_are_reaped() {
    let pid = sh("exit 0").detach().unwrap();
    let start = Instant::now();
    let alive = || nix::sys::signal::kill(Pid::from_raw(pid as i32), None).is_ok();
    while alive() && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!alive());
}

#[test]
fn owners_by_name_and_number() {
    assert_eq!(Owner::named("root", None), Some(Owner { uid: 0, gid: 0 }));
    assert_eq!(Owner::named("root", Some("nogroup")).map(|o| o.uid), Some(0));
    assert_eq!(Owner::named("no-such-user", None), None);
    assert_eq!(Owner::named("root", Some("no-such-group")), None);
}
