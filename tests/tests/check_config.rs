//! `-t` of Debian's keepalived and of ours with configurations that are broken in one way each
//! (`check_config/cases.txt`): the same lines in the same order, the same exit code.

use std::process::{Command, Stdio};

use holdfast_tests::netns::Net;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::workspace;

const NAME: &str = "tests_say_what_keepaliveds_do";

/// The verdict of a program on a file: its complaints, then the exit code. What is only here is a `NOTICE:`.
fn verdict(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().expect("nsenter starts");
    let text = String::from_utf8_lossy(&out.stderr);
    let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with("NOTICE: ")).collect();
    format!("{}\nexit {:?}", lines.join("\n"), out.status.code())
}

#[test]
fn tests_say_what_keepaliveds_do() {
    let Some(original) = Program::original(NAME, "keepalived") else { return };
    let Some(net) = Net::new(NAME) else { return };
    let host = net.host("h");
    let ours = Program::ours("keepalived", "keepalived");
    let text =
        std::fs::read_to_string(workspace().join("tests/tests/check_config/cases.txt")).expect("the cases");
    let mut suite = Suite::new("config_test");
    for section in text.split("\n=== ").skip(1) {
        let (name, config) = section.split_once('\n').unwrap_or((section, ""));
        let file = host.file("k.conf", config);
        let [theirs, ours] = [&original, &ours].map(|program| {
            let mut command = host.command("timeout");
            command.arg("20").arg(&program.path).arg("-t").arg("-f").arg(&file);
            verdict(&mut command)
        });
        suite.case(name, &theirs, &ours);
    }
    let (all, _) = suite.score();
    assert!(all >= 100, "{all} cases are too few");
    suite.finish();
}

#[test]
fn explanations_show_the_place_and_a_remedy() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("k.conf");
    let text =
        "vrrp_instanc VI_1 {\n}\nvirtual_server 192.0.2.1 80 {\n    delay_lop 3\n    delay_loop 0\n}\n";
    std::fs::write(&file, text).expect("the file is written");
    let said = |program: &str, words: &[&str]| {
        let program = Program::ours(program, program);
        let out = Command::new(&program.path).args(words).arg("-f").arg(&file).output().expect("it starts");
        let lines = String::from_utf8_lossy(&out.stderr).into_owned();
        (lines, out.status.code())
    };
    for program in ["keepalived", "checkd"] {
        let (plain, code) = said(program, &["-t"]);
        let (explained, same_code) = said(program, &["-t", "--explain"]);
        assert_eq!(code, same_code, "{program}");
        for line in plain.lines() {
            assert!(explained.contains(line), "{program} does not repeat: {line}");
        }
        assert!(!plain.contains('^'), "{plain}");
        for wanted in [
            "1 | vrrp_instanc VI_1 {",
            "| ^^^^^^|^^^^^",
            "Help: did you mean 'vrrp_instance'?",
            "Help: did you mean 'delay_loop'?",
            "Help: write a number from ",
        ] {
            assert!(explained.contains(wanted), "{program} lacks {wanted}:\n{explained}");
        }
        // Several passes find the same; it is shown once.
        assert_eq!(explained.matches("Help: did you mean 'vrrp_instance'?").count(), 1, "{explained}");
    }
    let (explained, _) = said("vrrpd", &["-t", "--explain"]);
    assert!(explained.contains("Help: did you mean 'vrrp_instance'?"), "{explained}");
}
