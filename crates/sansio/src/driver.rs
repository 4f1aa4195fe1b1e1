//! Where virtual time becomes real time: running a core on tokio.

use crate::Core;
use std::collections::VecDeque;
use std::time::Instant;
use tokio::sync::mpsc;

/// Sleeps until a core's deadline; for ever when there is none. Made for one arm of a `select!`.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Runs a core until its inputs end. `apply` does one effect; what it pushes (the failure of an effect, say) is
/// handled before anything else. For daemons with more than one kind of event their own loop is clearer.
pub async fn drive<C: Core>(
    core: &mut C,
    inputs: &mut mpsc::Receiver<C::Input>,
    mut apply: impl FnMut(C::Effect, &mut VecDeque<C::Input>),
) {
    let mut effects = Vec::new();
    let mut back = VecDeque::new();
    loop {
        let input = match back.pop_front() {
            Some(input) => input,
            None => tokio::select! {
                biased;
                () = sleep_until(core.deadline()) => core.timeout(),
                input = inputs.recv() => match input {
                    Some(input) => input,
                    None => return,
                },
            },
        };
        core.handle(tokio::time::Instant::now().into_std(), input, &mut effects);
        for effect in effects.drain(..) {
            apply(effect, &mut back);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Says `Tick` two seconds after each `Poke`.
    #[derive(Default)]
    struct Echo {
        due: Option<Instant>,
    }

    enum Input {
        Poke,
        Timeout,
    }

    impl Core for Echo {
        type Input = Input;
        type Effect = &'static str;

        fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<&'static str>) {
            match input {
                Input::Poke => self.due = Some(now + Duration::from_secs(2)),
                Input::Timeout => {
                    self.due = None;
                    out.push("tick");
                }
            }
        }

        fn deadline(&self) -> Option<Instant> {
            self.due
        }

        fn timeout(&self) -> Input {
            Input::Timeout
        }
    }

    #[test]
    fn wakes_the_core_at_its_deadline_and_feeds_back() {
        let rt =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        rt.block_on(async {
            let (tx, mut rx) = mpsc::channel(4);
            tx.send(Input::Poke).await.unwrap();
            let mut said = Vec::new();
            let start = tokio::time::Instant::now();
            let mut core = Echo::default();
            let closer = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(tx);
            };
            let driver = drive(&mut core, &mut rx, |effect, back| {
                said.push((effect, start.elapsed().as_secs()));
                if said.len() < 2 {
                    back.push_back(Input::Poke);
                }
            });
            tokio::join!(driver, closer);
            assert_eq!(said, [("tick", 2), ("tick", 4)]);
        });
    }
}
