use proptest::prelude::*;

use super::*;

#[test]
fn starts_up_and_falls_at_the_first_failure() {
    let mut judge = Judge::new(2, 3);
    assert!(judge.is_up());
    assert_eq!(judge.progress(), (1, 3));
    assert_eq!(judge.judge(Verdict::Failed), Change::Down);
    assert_eq!(judge.progress(), (0, 2));
}

#[test]
fn one_success_after_start_makes_it_fully_healthy() {
    let mut judge = Judge::new(2, 3);
    assert_eq!(judge.judge(Verdict::Passed), Change::Recovered);
    assert_eq!(judge.progress(), (3, 3));
    assert_eq!(judge.judge(Verdict::Passed), Change::None);
}

#[test]
fn falls_after_fall_failures_and_rises_after_rise_successes() {
    let mut judge = Judge::with_health(2, 3, 4);
    assert_eq!(judge.judge(Verdict::Failed), Change::Falling);
    assert_eq!(judge.judge(Verdict::Failed), Change::Falling);
    assert_eq!(judge.judge(Verdict::Failed), Change::Down);
    assert_eq!(judge.judge(Verdict::Failed), Change::None);
    assert_eq!(judge.judge(Verdict::Passed), Change::Rising);
    assert_eq!(judge.judge(Verdict::Failed), Change::Falling);
    assert_eq!(judge.judge(Verdict::Passed), Change::Rising);
    assert_eq!(judge.judge(Verdict::Passed), Change::Up);
    assert_eq!(judge.health(), judge.full());
}

#[test]
fn paces() {
    let mut judge = Judge::with_health(2, 3, 4);
    assert_eq!(judge.pace(), Pace::Normal);
    judge.judge(Verdict::Failed);
    assert_eq!(judge.pace(), Pace::Transition);
    judge.force_down();
    assert_eq!(judge.pace(), Pace::Down);
    judge.judge(Verdict::Passed);
    assert_eq!(judge.pace(), Pace::Transition);
}

#[test]
fn observed_errors_act_at_the_limit_only() {
    let mut judge = Judge::with_health(2, 3, 4);
    for _ in 0..9 {
        assert_eq!(judge.observe(false, ERROR_LIMIT, OnError::MarkDown), None);
    }
    assert_eq!(judge.observe(true, ERROR_LIMIT, OnError::MarkDown), None);
    for _ in 0..9 {
        assert_eq!(judge.observe(false, ERROR_LIMIT, OnError::MarkDown), None);
    }
    assert_eq!(judge.observe(false, ERROR_LIMIT, OnError::MarkDown), Some(Change::Down));
}

#[test]
fn sudden_death_leaves_one_failure() {
    let mut judge = Judge::with_health(2, 3, 4);
    assert_eq!(judge.observe(false, 1, OnError::SuddenDeath), Some(Change::Falling));
    assert!(judge.is_up());
    assert_eq!(judge.judge(Verdict::Failed), Change::Down);
}

#[test]
fn keepalived_forgives_nothing_before_the_first_success() {
    let mut judge = RetryJudge::new(3, false);
    assert_eq!(judge.judge(false), Step::Down { retries: 0, first: true });
    assert_eq!(judge.judge(false), Step::Same { first: false });
    assert_eq!(judge.judge(true), Step::Up { first: false });
}

#[test]
fn keepalived_retries_then_goes_down() {
    let mut judge = RetryJudge::new(2, false);
    assert_eq!(judge.judge(true), Step::Same { first: true });
    assert_eq!(judge.judge(false), Step::Retry { count: 1 });
    assert_eq!(judge.judge(true), Step::Same { first: false });
    assert_eq!(judge.judge(false), Step::Retry { count: 1 });
    assert_eq!(judge.judge(false), Step::Retry { count: 2 });
    assert_eq!(judge.judge(false), Step::Down { retries: 2, first: false });
    assert!(!judge.is_up());
}

#[test]
fn keepalived_alpha_comes_up_with_its_first_success() {
    let mut judge = RetryJudge::new(1, true);
    assert_eq!(judge.judge(false), Step::Same { first: true });
    assert_eq!(judge.judge(true), Step::Up { first: false });
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    let one = prop_oneof![
        Just(Verdict::Passed),
        Just(Verdict::Failed),
        Just(Verdict::Conditional),
        Just(Verdict::Unknown)
    ];
    prop::collection::vec(one, 0..200)
}

proptest! {
    #[test]
    fn the_counter_stays_in_range_and_changes_tell_the_truth(rise in 0u32..6, fall in 0u32..6, list in verdicts()) {
        let mut judge = Judge::new(rise, fall);
        for verdict in list {
            let before = judge.is_up();
            let change = judge.judge(verdict);
            prop_assert!(judge.health() <= judge.full());
            prop_assert_eq!(change == Change::Up, !before && judge.is_up());
            prop_assert_eq!(change == Change::Down, before && !judge.is_up());
        }
    }

    #[test]
    fn rise_successes_always_bring_it_up_and_fall_failures_always_down(
        rise in 1u32..6, fall in 1u32..6, list in verdicts(),
    ) {
        let mut judge = Judge::new(rise, fall);
        for verdict in list {
            judge.judge(verdict);
        }
        let mut down = judge.clone();
        for _ in 0..rise {
            judge.judge(Verdict::Passed);
        }
        prop_assert!(judge.is_up());
        for _ in 0..fall {
            down.judge(Verdict::Failed);
        }
        prop_assert!(!down.is_up());
    }

    #[test]
    fn keepalived_needs_retry_plus_one_failures(retry in 0u32..6, list in prop::collection::vec(any::<bool>(), 0..100)) {
        let mut judge = RetryJudge::new(retry, false);
        let mut row = 0;
        let mut any = false;
        for success in list {
            let up = judge.is_up();
            judge.judge(success);
            row = if success { 0 } else { row + 1 };
            if success {
                prop_assert!(judge.is_up());
            } else if up && any && row <= retry {
                prop_assert!(judge.is_up());
            } else {
                prop_assert!(!judge.is_up());
            }
            any = true;
        }
    }
}
