//! What a server's state is called, on the stats page, in `show stat` and by the exporter.

use crate::runtime::board::{CheckState, ServerDetail, ServerState, admin, oper};
use std::sync::atomic::Ordering::Relaxed;

/// State of a server as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStatus {
    /// Out of service by an operator, the configuration, or a tracked server.
    Maint,
    /// Out of service since its name does not resolve.
    MaintResolution,
    /// Down by its health check.
    Down,
    /// Down by its agent.
    DownAgent,
    /// Down, but checks have begun to pass.
    GoingUp,
    /// Up, no new sessions by an operator.
    Drain,
    /// Up, no new sessions by its own word (404).
    Nolb,
    /// Up, but checks have begun to fail.
    GoingDown,
    /// Up.
    Up,
    /// Up, since nothing checks it.
    NoCheck,
}

impl ServerStatus {
    /// The status of a server whose checks, or those of the server that it tracks, found `detail`.
    pub fn of(state: &ServerState, detail: &ServerDetail) -> Self {
        let bits = state.admin.load(Relaxed);
        if bits & admin::RESOLUTION_MAINT != 0 {
            return Self::MaintResolution;
        }
        if bits & admin::MAINT != 0 {
            return Self::Maint;
        }
        let (check, agent) = (&detail.check, &detail.agent);
        match state.oper.load(Relaxed) {
            oper::STOPPED if agent.enabled && agent.health == 0 => Self::DownAgent,
            oper::STOPPED if check.enabled && check.health > 0 && !check.is_passing() => Self::GoingUp,
            oper::STOPPED => Self::Down,
            _ if bits & admin::DRAIN != 0 => Self::Drain,
            oper::STOPPING => Self::Nolb,
            _ if !check.enabled => Self::NoCheck,
            _ if check.enabled && check.health + 1 < check.rise + check.fall => Self::GoingDown,
            _ => Self::Up,
        }
    }

    /// Its words, `DOWN 1/2`.
    pub fn text(self, detail: &ServerDetail, bits: u32) -> String {
        let check = &detail.check;
        match self {
            Self::Maint if bits & admin::INHERITED_MAINT != 0 => {
                format!("MAINT (via {})", detail.tracked.as_deref().unwrap_or_default())
            }
            Self::Maint => "MAINT".into(),
            Self::MaintResolution => "MAINT (resolution)".into(),
            Self::Down => "DOWN".into(),
            Self::DownAgent => "DOWN (agent)".into(),
            Self::GoingUp => format!("DOWN {}/{}", check.health, check.rise),
            Self::Drain if detail.agent.enabled => "DRAIN (agent)".into(),
            Self::Drain => "DRAIN".into(),
            Self::Nolb => "NOLB".into(),
            Self::GoingDown => format!("UP {}/{}", (check.health + 1).saturating_sub(check.rise), check.fall),
            Self::Up => "UP".into(),
            Self::NoCheck => "no check".into(),
        }
    }

    /// Why a server has it: who put it there, or what the last check or agent saw.
    pub fn reason(self, detail: &ServerDetail, bits: u32) -> String {
        let followed = detail.tracked.as_deref();
        match self {
            Self::MaintResolution => "its name does not resolve".into(),
            Self::Maint | Self::Drain if bits & (admin::INHERITED_MAINT | admin::INHERITED_DRAIN) != 0 => {
                format!("follows {}", followed.unwrap_or_default())
            }
            Self::Maint if bits & admin::CONFIGURED_MAINT != 0 => "disabled in the configuration".into(),
            Self::Drain if detail.agent.enabled => "by its agent or an operator".into(),
            Self::Maint | Self::Drain => "by an operator".into(),
            Self::DownAgent => seen(&detail.agent),
            Self::NoCheck => "no check".into(),
            Self::Down | Self::GoingUp | Self::Nolb | Self::GoingDown | Self::Up => match followed {
                Some(other) => format!("follows {other}"),
                None if detail.check.enabled => seen(&detail.check),
                None => String::new(),
            },
        }
    }

    /// Its class on the stats page: `active_` or `backup_` goes before all but `maintain`.
    pub fn css(self) -> &'static str {
        match self {
            Self::Maint | Self::MaintResolution => "maintain",
            Self::Down | Self::DownAgent => "down",
            Self::GoingUp => "going_up",
            Self::Drain | Self::Nolb => "draining",
            Self::GoingDown => "going_down",
            Self::Up => "up",
            Self::NoCheck => "no_check",
        }
    }

    /// Its label value in the exporter.
    pub fn label(self) -> &'static str {
        match self {
            Self::Maint | Self::MaintResolution => "MAINT",
            Self::Down | Self::DownAgent | Self::GoingUp => "DOWN",
            Self::Drain => "DRAIN",
            Self::Nolb => "NOLB",
            Self::GoingDown | Self::Up | Self::NoCheck => "UP",
        }
    }
}

/// What a check saw last: `Layer7 wrong status, code 503 (Service Unavailable)`.
fn seen(check: &CheckState) -> String {
    let mut out = check.status_text.to_owned();
    if let Some(code) = check.code {
        out += &format!(", code {code}");
    }
    if !check.description.is_empty() {
        out += &format!(" ({})", check.description);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(bits: u32, oper: u32, health: u32) -> (ServerState, ServerDetail) {
        let state = ServerState::default();
        state.admin.store(bits, Relaxed);
        state.oper.store(oper, Relaxed);
        let check = CheckState { enabled: true, health, rise: 2, fall: 3, ..CheckState::default() };
        (state, ServerDetail { check, ..ServerDetail::default() })
    }

    #[test]
    fn words_follow_admin_state_then_health() {
        let cases = [
            (admin::FORCED_MAINT, oper::RUNNING, 4, "MAINT"),
            (admin::RESOLUTION_MAINT, oper::STOPPED, 0, "MAINT (resolution)"),
            (0, oper::STOPPED, 0, "DOWN"),
            (0, oper::STOPPED, 1, "DOWN 1/2"),
            (0, oper::RUNNING, 4, "UP"),
            (0, oper::RUNNING, 3, "UP 2/3"),
            (0, oper::RUNNING, 2, "UP 1/3"),
            (admin::FORCED_DRAIN, oper::RUNNING, 4, "DRAIN"),
            (0, oper::STOPPING, 4, "NOLB"),
        ];
        for (bits, oper, health, want) in cases {
            let (state, detail) = server(bits, oper, health);
            assert_eq!(ServerStatus::of(&state, &detail).text(&detail, bits), want);
        }
    }

    #[test]
    fn states_have_reasons() {
        let configured = admin::CONFIGURED_MAINT | admin::FORCED_MAINT;
        let cases = [
            (configured, oper::RUNNING, "disabled in the configuration"),
            (admin::FORCED_MAINT, oper::RUNNING, "by an operator"),
            (admin::FORCED_DRAIN, oper::RUNNING, "by an operator"),
            (admin::RESOLUTION_MAINT, oper::STOPPED, "its name does not resolve"),
            (admin::INHERITED_MAINT, oper::RUNNING, "follows b/s"),
            (0, oper::STOPPED, "Layer7 wrong status, code 503 (Service Unavailable)"),
        ];
        for (bits, oper, want) in cases {
            let (state, mut detail) = server(bits, oper, 0);
            detail.check.status_text = "Layer7 wrong status";
            detail.check.code = Some(503);
            detail.check.description = "Service Unavailable".into();
            detail.tracked = (bits & admin::INHERITED_MAINT != 0).then(|| "b/s".into());
            assert_eq!(ServerStatus::of(&state, &detail).reason(&detail, bits), want);
        }
    }

    #[test]
    fn unchecked_servers_say_so() {
        let (state, mut detail) = server(0, oper::RUNNING, 0);
        detail.check.enabled = false;
        assert_eq!(ServerStatus::of(&state, &detail), ServerStatus::NoCheck);
    }
}
