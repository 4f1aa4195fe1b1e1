//! `vrrp_track_process`: whether enough processes of a name run.
//!
//! Invariant: gaining and losing the quorum each count only after their delay. Absent on purpose: the kernel's process
//! events, which exist in the first network namespace only; /proc is read four times a second instead, so a process
//! that lives shorter than that is not seen.

use super::Report;
use crate::config::model::{ParamMatch, TrackProcess};
use crate::messages::Message;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// How often /proc is read.
const POLL: Duration = Duration::from_millis(250);

/// Whether a process with this comm and command line is meant.
pub fn matches(track: &TrackProcess, comm: &str, cmdline: &[String]) -> bool {
    let full = track.full_command || track.params.is_some();
    let base = |s: &str| s.rsplit('/').next().unwrap_or_default().to_string();
    let name = if full {
        let program = cmdline.first().map(String::as_str).unwrap_or_default();
        program == track.program || (!track.program.contains('/') && base(program) == track.program)
    } else {
        let want: String = base(&track.program).chars().take(15).collect();
        comm == want
    };
    let Some(params) = &track.params else { return name };
    let got = cmdline.get(1..).unwrap_or_default();
    name && match track.param_match {
        None => got == params,
        Some(ParamMatch::Partial) => got.starts_with(params),
        Some(ParamMatch::Initial) => {
            let (Some(last), Some(n)) = (params.last(), params.len().checked_sub(1)) else { return true };
            got.len() > n && got[..n] == params[..n] && got[n].starts_with(last)
        }
    }
}

/// How many processes of this kind there are now.
pub fn count(track: &TrackProcess) -> u32 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let own = std::process::id().to_string();
    let mut n = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|p| p.bytes().all(|b| b.is_ascii_digit()) && *p != own) else {
            continue;
        };
        let Ok(comm) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else { continue };
        let mut cmdline = Vec::new();
        if track.full_command || track.params.is_some() {
            let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            cmdline = text.trim_end_matches('\0').split('\0').map(String::from).collect();
        }
        n += u32::from(matches(track, comm.trim_end(), &cmdline));
    }
    n
}

/// Whether that number of processes is what is asked for.
pub fn has_quorum(track: &TrackProcess, n: u32) -> bool {
    n >= track.quorum && track.quorum_max.is_none_or(|max| n <= max)
}

/// Counts for ever.
pub async fn run(track: TrackProcess, out: Sender<Report>) {
    let mut told = None;
    let mut since: Option<(bool, Instant)> = None;
    loop {
        let asked = track.clone();
        let Ok(n) = tokio::task::spawn_blocking(move || count(&asked)).await else { return };
        let have = has_quorum(&track, n);
        let now = tokio::time::Instant::now().into_std();
        if told == Some(have) {
            since = None;
        } else {
            let delay = if have { track.fork_delay } else { track.terminate_delay };
            let begun = since.filter(|(state, _)| *state == have).map_or(now, |(_, at)| at);
            since = Some((have, begun));
            if told.is_none() || now >= begun + delay {
                let name = track.name.clone();
                let quorum = Report::Say(Message::ProcessQuorum { name: name.clone(), gained: have });
                let first = told.is_none();
                told = Some(have);
                if (!first && out.send(quorum).await.is_err())
                    || out.send(Report::Process(name, have)).await.is_err()
                {
                    return;
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(program: &str, params: Option<&[&str]>, param_match: Option<ParamMatch>) -> TrackProcess {
        TrackProcess {
            name: "t".into(),
            program: program.into(),
            params: params.map(|p| p.iter().map(|s| (*s).to_string()).collect()),
            param_match,
            full_command: false,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            terminate_delay: Duration::ZERO,
            fork_delay: Duration::ZERO,
        }
    }

    #[test]
    fn names_and_parameters() {
        let line = |words: &[&str]| words.iter().map(|s| (*s).to_string()).collect::<Vec<_>>();
        assert!(matches(&track("haproxy", None, None), "haproxy", &[]));
        assert!(matches(&track("/usr/sbin/haproxy", None, None), "haproxy", &[]));
        assert!(!matches(&track("haproxy", None, None), "haproxy2", &[]));
        let sleep = track("sleep", Some(&["77"]), None);
        assert!(matches(&sleep, "sleep", &line(&["/bin/sleep", "77"])));
        assert!(!matches(&sleep, "sleep", &line(&["sleep", "77", "88"])));
        assert!(matches(
            &track("sleep", Some(&["77"]), Some(ParamMatch::Partial)),
            "",
            &line(&["sleep", "77", "88"])
        ));
        assert!(matches(
            &track("sleep", Some(&["7"]), Some(ParamMatch::Initial)),
            "",
            &line(&["sleep", "77"])
        ));
        assert!(!matches(
            &track("sleep", Some(&["8"]), Some(ParamMatch::Initial)),
            "",
            &line(&["sleep", "77"])
        ));
    }
}
