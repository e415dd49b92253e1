//! What the front end tells about itself and its connections.

use super::{Front, Traffic};
use crate::gateway::kv::about::{self, Counts};
use crate::gateway::kv::backend::BackEnd;
use crate::gateway::kv::client;
use crate::gateway::kv::connection::Connection;
use crate::gateway::kv::session::Question;
use crate::gateway::resp::Writer;
use crate::protocol::Time;

impl Front {
    /// All that is counted about connections.
    fn counts(&self) -> Counts {
        let tally = self.crowd.tally();
        Counts {
            clients: tally.clients,
            most_clients: self.crowd.allowances().connections,
            connections: tally.connections,
            rejected: tally.rejected,
            cut_off: tally.cut_off,
            commands: self.counts.commands,
            received: self.counts.received,
            sent: self.counts.sent,
            buffers: tally.buffers,
            uptime: self.now.since(self.born).as_secs(),
            port: self.port,
        }
    }

    /// What was counted so far, as a line for people.
    pub fn report(&self) -> String {
        let Counts {
            clients,
            connections,
            rejected,
            cut_off,
            commands,
            received,
            sent,
            buffers,
            ..
        } = self.counts();
        format!(
            "statistics role=kv clients={clients} connections={connections} rejected={rejected} \
             cut_off={cut_off} commands={commands} received_bytes={received} sent_bytes={sent} \
             buffer_bytes={buffers}"
        )
    }

    /// Answers what a session does not know.
    pub(super) fn tell(
        &mut self,
        now: Time,
        question: &Question,
        muted: bool,
        connection: &mut Connection,
        back: &impl BackEnd,
    ) {
        let describe = |connection: &Connection| {
            client::line(
                &connection.session,
                now.since(connection.since).as_secs(),
                now.since(connection.heard).as_secs(),
                connection.intake.held(),
                connection.pending(),
            )
        };
        let text = match question {
            Question::Clients => {
                let others = self.crowd.guests();
                let others: String = others.map(|(_, other)| describe(other)).collect();
                others + &describe(connection)
            }
            Question::Client => describe(connection),
            Question::Info(sections) => about::info(sections, &self.counts(), &back.facts()),
            Question::Log => about::info(&["paxos".to_owned()], &self.counts(), &back.facts()),
            Question::Hash => {
                let facts = back.facts();
                format!("{:016x}@{}", facts.digest, facts.place)
            }
            Question::Instance => {
                let place = back.facts().place as i64;
                return connection.reply(muted, |session, out| {
                    Writer::new(out, session.version).integer(place);
                });
            }
            Question::ResetStatistics => {
                self.counts = Traffic::default();
                self.crowd.reset_tally();
                return connection.reply(muted, |session, out| {
                    Writer::new(out, session.version).ok();
                });
            }
        };
        connection.reply(muted, |session, out| {
            Writer::new(out, session.version).verbatim(&text);
        });
    }
}
