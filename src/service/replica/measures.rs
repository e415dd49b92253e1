//! How much a replica holds.

use super::Replica;
use crate::protocol::Measure;
use crate::service::StateMachine;

impl<S: StateMachine, T> Replica<S, T> {
    /// How much it holds, beside how much it may.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = self.learner.measures();
        measures.extend(self.client.measures());
        let held = self.answers.held() + self.questions.bytes();
        // What one turn brings may come on top.
        measures.push(Measure::new(
            "bytes of answers and questions",
            held,
            2 * Self::MOST_HELD,
        ));
        measures.push(Measure::new(
            "commands without a place",
            self.changes.len(),
            2 * Self::MOST_WAITING,
        ));
        measures
    }
}
