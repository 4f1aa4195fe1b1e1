//! From outcomes to states: haproxy's counter of rises and falls, and keepalived's retries.
//!
//! Invariant: a judge is told outcomes in order and answers with what changed; it never probes, waits or logs.
//! `0 <= health < rise + fall`, and the server is up exactly when `health >= rise`.
//!
//! Absent on purpose: clocks, weights, tracking of other servers and administrative states (their owners').

use crate::outcome::Verdict;

/// What an outcome did to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing worth a line.
    None,
    /// Down, one success nearer to up.
    Rising,
    /// Up, one failure nearer to down.
    Falling,
    /// Up again, fully healthy.
    Up,
    /// Down.
    Down,
    /// Was falling, is fully healthy again.
    Recovered,
}

/// haproxy's judge of one server's health check (or agent check).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    rise: u32,
    fall: u32,
    health: u32,
    errors_in_a_row: u32,
}

/// `on-error`: what too many observed errors do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// `fastinter`: the next check comes sooner.
    Fastinter,
    /// `fail-check`: counts as one failed check (the default).
    #[default]
    FailCheck,
    /// `sudden-death`: one more failed check marks the server down.
    SuddenDeath,
    /// `mark-down`: down at once.
    MarkDown,
}

/// Default of `error-limit`.
pub const ERROR_LIMIT: u32 = 10;

impl Judge {
    /// A judge of a server that is up but goes down at its first failure, haproxy's state at start.
    /// Zeros count as one.
    pub fn new(rise: u32, fall: u32) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        Self { rise, fall, health: rise, errors_in_a_row: 0 }
    }

    /// A judge with a stored counter (state file, reload); values out of range are clamped.
    pub fn with_health(rise: u32, fall: u32, health: u32) -> Self {
        let mut judge = Self::new(rise, fall);
        judge.health = health.min(judge.full());
        judge
    }

    /// Successes needed to come up.
    pub fn rise(&self) -> u32 {
        self.rise
    }

    /// Failures needed to go down.
    pub fn fall(&self) -> u32 {
        self.fall
    }

    /// The counter, `0 ..= rise + fall - 1`.
    pub fn health(&self) -> u32 {
        self.health
    }

    /// The counter of a server without a blemish.
    pub fn full(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// Whether the server is up.
    pub fn is_up(&self) -> bool {
        self.health >= self.rise
    }

    /// The pair that logs print (`2/3` up: failures left of `fall`; down: successes of `rise`).
    pub fn progress(&self) -> (u32, u32) {
        if self.is_up() { (self.health - self.rise + 1, self.fall) } else { (self.health, self.rise) }
    }

    /// Which interval comes next.
    pub fn pace(&self) -> Pace {
        if self.health == self.full() {
            Pace::Normal
        } else if self.health == 0 {
            Pace::Down
        } else {
            Pace::Transition
        }
    }

    /// Takes the verdict of one check.
    pub fn judge(&mut self, verdict: Verdict) -> Change {
        match verdict {
            Verdict::Unknown => Change::None,
            Verdict::Failed => self.fail(),
            Verdict::Passed | Verdict::Conditional => self.pass(),
        }
    }

    fn pass(&mut self) -> Change {
        if self.health == self.full() {
            return Change::None;
        }
        let was_up = self.is_up();
        self.health += 1;
        if !self.is_up() {
            return Change::Rising;
        }
        self.health = self.full();
        if was_up { Change::Recovered } else { Change::Up }
    }

    fn fail(&mut self) -> Change {
        if self.health > self.rise {
            self.health -= 1;
            return Change::Falling;
        }
        let was_up = self.is_up();
        let rising = self.health > 0;
        self.health = 0;
        match (was_up, rising) {
            (true, _) => Change::Down,
            (false, true) => Change::Falling,
            (false, false) => Change::None,
        }
    }

    /// Marks the server down whatever its counter says (agent, command line).
    pub fn force_down(&mut self) -> Change {
        let was_up = self.is_up();
        self.health = 0;
        if was_up { Change::Down } else { Change::None }
    }

    /// Marks the server fully up (agent, command line).
    pub fn force_up(&mut self) -> Change {
        let was_up = self.is_up();
        self.health = self.full();
        if was_up { Change::None } else { Change::Up }
    }

    /// After a changed check specification: the state stays, the counter starts over.
    pub fn refill(&mut self, rise: u32, fall: u32) {
        let up = self.is_up();
        *self = Self::new(rise, fall);
        self.health = if up { self.full() } else { 0 };
    }

    /// Takes what `observe` saw of live traffic; a good answer clears the count.
    ///
    /// Returns the change and whether the next check has to come within `fastinter`, once `limit` errors came in
    /// a row; `None` below that.
    pub fn observe(&mut self, good: bool, limit: u32, on_error: OnError) -> Option<Change> {
        if good {
            self.errors_in_a_row = 0;
            return None;
        }
        self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
        if self.errors_in_a_row < limit.max(1) {
            return None;
        }
        self.errors_in_a_row = 0;
        Some(match on_error {
            OnError::Fastinter => Change::None,
            OnError::FailCheck => self.fail(),
            OnError::SuddenDeath => {
                self.health = self.health.min(self.rise + 1);
                self.fail()
            }
            OnError::MarkDown => {
                self.health = self.health.min(self.rise);
                self.fail()
            }
        })
    }
}

/// Which of haproxy's intervals applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// `inter`.
    Normal,
    /// `fastinter`: between up and down.
    Transition,
    /// `downinter`.
    Down,
}

/// keepalived's judge of one checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryJudge {
    retry: u32,
    up: bool,
    has_run: bool,
    failures: u32,
    patience: Patience,
}

/// When keepalived's checker retries, apart from the failures of one that is up and has run before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Patience {
    /// Never: the first result decides at once, and one that is down is asked at the usual pace.
    #[default]
    WhileUp,
    /// After its very first result.
    First,
    /// While it is down, too: every other failure is followed by the short delay.
    WhileDown,
    /// While it is down, and after its very first result.
    Always,
}

/// What keepalived's checker does after an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Was and is up (or down); `first` = the very first result since start.
    Same {
        /// No result came before this one.
        first: bool,
    },
    /// Came up; `first` as above.
    Up {
        /// No result came before this one.
        first: bool,
    },
    /// Failed (up or down: see [`Patience`]), but retries are left; the next check comes after `delay_before_retry`.
    Retry {
        /// Retries done so far, from 1.
        count: u32,
    },
    /// Went down after this many retries; none when its very first result was a failure.
    Down {
        /// Retries made.
        retries: u32,
        /// No result came before this one.
        first: bool,
    },
}

impl RetryJudge {
    /// A checker that starts down with `alpha`, else up.
    pub fn new(retry: u32, alpha: bool) -> Self {
        Self { retry, up: !alpha, has_run: false, failures: 0, patience: Patience::WhileUp }
    }

    /// One that retries in more cases.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// A checker that goes on after a reload.
    pub fn resumed(retry: u32, up: bool, has_run: bool) -> Self {
        Self { retry, up, has_run, failures: 0, patience: Patience::WhileUp }
    }

    /// Whether the checker counts as up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether any result came.
    pub fn has_run(&self) -> bool {
        self.has_run
    }

    /// Takes one outcome.
    pub fn judge(&mut self, success: bool) -> Step {
        let first = !self.has_run;
        self.has_run = true;
        if success {
            self.failures = 0;
            if self.up {
                return Step::Same { first };
            }
            self.up = true;
            return Step::Up { first };
        }
        let retries = match self.patience {
            Patience::WhileUp => self.up && !first,
            Patience::First => self.up,
            Patience::WhileDown => !first,
            Patience::Always => true,
        };
        if retries && self.failures < self.retry {
            self.failures += 1;
            // The first result of one that always retries is the one that counts.
            self.has_run = !first || self.patience != Patience::Always;
            return Step::Retry { count: self.failures };
        }
        let retries = self.failures;
        self.failures = 0;
        if self.up {
            self.up = false;
            return Step::Down { retries, first };
        }
        Step::Same { first }
    }
}

#[cfg(test)]
mod tests;
