//! The runs of a gateway, as its process knows them: when one may begin, and when the
//! process gives way to another one that has its id.
//!
//! A run begins with a command that names the one before ([`Command::Start`]). So of two
//! processes with one id the one goes on that began last, knowing of the other; what comes
//! late of one that has ended changes nothing. A process none of whose runs has begun
//! follows whichever there is; later on it follows itself alone.

use super::command::{Command, Gateway};

/// The runs of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The present one.
    me: Gateway,
    /// The number of the first.
    first: u64,
    /// One of them has begun.
    ever: bool,
    /// The present one has.
    begun: bool,
    /// The log is asked to begin it.
    starting: bool,
}

/// What is to be done about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// The log is to be asked for this.
    Ask(Command),
    /// Another process has begun to be this gateway: this one ends.
    GiveWay,
}

impl Runs {
    /// Those of a process that has just started, and has drawn the number of its first.
    pub fn new(first: Gateway) -> Runs {
        Runs {
            me: first,
            first: first.run,
            ever: false,
            begun: false,
            starting: false,
        }
    }

    /// The present one.
    pub fn present(&self) -> Gateway {
        self.me
    }

    /// Whether the present one has begun; nobody is let in before.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// What is to be done, where this run began last as far as is known here.
    pub fn step(&mut self, latest: Option<u64>) -> Step {
        if self.begun || self.starting {
            return Step::Nothing;
        }
        self.ever |= self.is_ours(latest);
        if self.ever && !self.is_ours(latest) {
            return Step::GiveWay;
        }
        self.starting = true;
        Step::Ask(Command::Start { after: latest })
    }

    /// What was asked for has its place, and this run began last by now. If it is another
    /// one, the next step tells.
    pub fn started(&mut self, latest: Option<u64>) {
        self.starting = false;
        self.begun = latest == Some(self.me.run);
        self.ever |= self.begun;
    }

    /// The present one is over; there is another one from now on.
    pub fn advance(&mut self) {
        (self.begun, self.starting) = (false, false);
        self.me.run = self.me.run.wrapping_add(1);
    }

    /// Whether this is one of them.
    pub fn is_ours(&self, run: Option<u64>) -> bool {
        let so_far = self.me.run.wrapping_sub(self.first);
        run.is_some_and(|run| run.wrapping_sub(self.first) <= so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(run: u64) -> Runs {
        Runs::new(Gateway { id: 1, run })
    }

    /// The log, as far as it goes: whether it begins this.
    fn begin(latest: &mut Option<u64>, runs: &Runs, step: &Step) -> bool {
        let heeded = *step == Step::Ask(Command::Start { after: *latest });
        if heeded {
            *latest = Some(runs.present().run);
        }
        heeded
    }

    #[test]
    fn a_process_follows_whichever_there_is_and_then_itself() {
        let mut latest = Some(7);
        let mut runs = process(u64::MAX);
        // It knew of another one when it asked.
        let step = runs.step(None);
        assert!(!begin(&mut latest, &runs, &step) && runs.step(latest) == Step::Nothing);
        runs.started(latest);
        let step = runs.step(latest);
        assert!(begin(&mut latest, &runs, &step));
        runs.started(latest);
        assert!(runs.has_begun() && runs.step(latest) == Step::Nothing);
        // What is asked for may be done though nobody heard so.
        for _ in 0..2 {
            runs.advance();
            assert!(!runs.has_begun());
            let step = runs.step(latest);
            assert!(begin(&mut latest, &runs, &step));
        }
        assert_eq!(latest, Some(1));
        runs.started(latest);
        assert!(runs.has_begun());
    }

    #[test]
    fn what_comes_late_of_the_dead_begins_nothing() {
        let mut latest = Some(3);
        let (mut dead, mut next) = (process(100), process(200));
        let late = dead.step(latest);
        let step = next.step(latest);
        assert!(begin(&mut latest, &next, &step) && !begin(&mut latest, &dead, &late));
        next.started(latest);
        assert!(next.has_begun());
        // The other way round it asks once more.
        let (mut dead, mut next) = (process(300), process(400));
        let (late, step) = (dead.step(latest), next.step(latest));
        assert!(begin(&mut latest, &dead, &late) && !begin(&mut latest, &next, &step));
        next.started(latest);
        let step = next.step(latest);
        assert!(begin(&mut latest, &next, &step));
    }

    #[test]
    fn who_had_begun_gives_way_however_late_it_hears_of_it() {
        let mut latest = None;
        let (mut old, mut new) = (process(100), process(200));
        for runs in [&mut old, &mut new] {
            let step = runs.step(latest);
            assert!(begin(&mut latest, runs, &step));
            runs.started(latest);
        }
        assert!(!old.is_ours(latest));
        // It was taken for dead, and does not know yet that it was replaced.
        old.advance();
        let step = old.step(Some(100));
        assert!(!begin(&mut latest, &old, &step));
        old.started(latest);
        assert_eq!(old.step(latest), Step::GiveWay);
        assert!(new.has_begun() && new.is_ours(latest));
    }
}
